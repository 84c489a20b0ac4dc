//! The HDFS datanode: keeps replicas of blocks, streams them, and reports them to its namenode.
//!
//! The rules (who may write what, what a recovery decides, what is reported) are `hdfs-core`'s; the
//! bytes flow here, on one thread for each stream. What is on disk in which state of a replica, and
//! in which order it gets there, is written at the head of `hdfs_core::datanode`.

mod actor;
mod beans;
mod counters;
mod ipc;
mod link;
mod orders;
mod process;
mod random;
mod reading;
mod recovering;
mod recovery;
mod reload;
mod settings;
mod stop;
mod storage;
mod store;
mod swap;
mod transfer;
mod volume;
mod writing;

use std::path::PathBuf;

use hdfs_edge::config::Config;
use hdfs_edge::daemon::{self, Failure, LogFormat};

pub use process::{Ports, Running};

/// How a datanode is started.
#[derive(Debug, Clone)]
pub struct Options {
    /// The folder with `core-site.xml` and `hdfs-site.xml`.
    pub conf: PathBuf,
    /// How log lines look.
    pub log: LogFormat,
}

/// Runs a datanode to its end, in the foreground.
///
/// # Errors
/// One line for the user, with the process's exit code.
pub fn run(options: Options) -> Result<(), Failure> {
    daemon::init_logging(options.log);
    daemon::abort_on_panic();
    let config = Config::load(&options.conf)?;
    daemon::log_as_configured(&config);
    let mut running = Running::start(config)?;
    let result = running.wait();
    running.stop();
    result
}

#[cfg(test)]
mod tests;
