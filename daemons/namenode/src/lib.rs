//! The HDFS namenode: the driver around the core's state machine, and the routes to it.
//!
//! The core decides; this crate brings it calls and the time, puts its operations on disk, and lets
//! go of a reply only when its transaction is there.

mod admin;
mod beans;
mod checkpoint;
mod datanodes;
mod dates;
mod format;
mod fsck;
mod journal;
mod names;
mod opening;
mod process;
mod racks;
mod reload;
mod routes;
pub mod secondary;
mod server;
mod settings;
mod transfer;
mod waiting;
mod watch;
mod web;

#[cfg(test)]
mod tests;

use std::path::PathBuf;

use hdfs_edge::config::Config;
use hdfs_edge::daemon::{self, Failure, LogFormat};

pub use names::{DiskFactory, Purpose, local_disk};
pub use process::Running;

/// What to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Serve until told to stop.
    Start,
    /// Make an empty file system in the name folders.
    Format {
        /// Instead of a random one.
        cluster_id: Option<String>,
        /// Even where there is one already: it is lost.
        force: bool,
    },
}

/// How a namenode is started.
#[derive(Debug, Clone)]
pub struct Options {
    /// The folder with `core-site.xml` and `hdfs-site.xml`.
    pub conf: PathBuf,
    /// What to do.
    pub action: Action,
    /// How log lines look.
    pub log: LogFormat,
}

/// Runs a namenode to its end, in the foreground.
///
/// # Errors
/// One line for the user, with the process's exit code.
pub fn run(options: Options) -> Result<(), Failure> {
    daemon::init_logging(options.log);
    daemon::abort_on_panic();
    let config = Config::load(&options.conf)?;
    daemon::log_as_configured(&config);
    match options.action {
        Action::Format { cluster_id, force } => format::run(&config, cluster_id, force),
        Action::Start => {
            let running = Running::start(config)?;
            running.wait()?;
            running.stop()
        }
    }
}
