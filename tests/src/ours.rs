//! Our namenode and datanode as single daemons on folders and ports of our choice, configured by
//! the same files as Java's.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use nix::sys::signal::Signal;

use crate::process::{self, Guard};
use crate::{binary, wait};

/// How long a start may take on a busy machine with a debug build.
const PATIENCE: Duration = Duration::from_secs(60);

/// One of our daemons.
#[derive(Debug)]
pub struct Daemon {
    guard: Guard,
    log: PathBuf,
}

impl Daemon {
    /// Formats a name folder.
    ///
    /// # Panics
    /// When it is refused.
    pub fn format(conf: &Path) {
        let output = Command::new(binary::howdah())
            .args(["namenode", "--format", "--conf"])
            .arg(conf)
            .output()
            .expect("howdah starts");
        let complaint = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "namenode --format: {complaint}");
    }

    /// Starts a daemon (`namenode`, `datanode`) and waits until a port of it is open.
    ///
    /// # Panics
    /// When it ends instead.
    pub fn start(role: &str, conf: &Path, port: u16) -> Self {
        let mut daemon = Self::spawn(role, conf);
        wait::until(&format!("our {role} on port {port}"), PATIENCE, || {
            if let Some(status) = daemon.guard.status() {
                panic!("our {role} ended with {status}:\n{}", daemon.log());
            }
            std::net::TcpStream::connect(("127.0.0.1", port)).ok()
        });
        daemon
    }

    /// Starts a daemon without waiting.
    ///
    /// # Panics
    /// When the program does not start.
    pub fn spawn(role: &str, conf: &Path) -> Self {
        let log = conf.join(format!("our-{role}.log"));
        let file = File::options().create(true).append(true).open(&log).expect("a log file");
        let child = Command::new(binary::howdah())
            .args([role, "--conf"])
            .arg(conf)
            .stdin(Stdio::null())
            .stdout(file.try_clone().expect("a descriptor"))
            .stderr(file)
            .spawn()
            .expect("howdah starts");
        Self { guard: Guard::new(child), log }
    }

    /// The process id.
    pub fn id(&self) -> i32 {
        self.guard.id()
    }

    /// The last lines of its log.
    pub fn log(&self) -> String {
        process::tail(&self.log)
    }

    /// How it ended by itself.
    pub fn wait(&mut self, limit: Duration) -> Option<std::process::ExitStatus> {
        self.guard.wait(limit)
    }

    /// Asks it to stop and waits; it must exit with 0.
    ///
    /// # Panics
    /// When it does not.
    pub fn stop(mut self) {
        self.guard.signal(Signal::SIGTERM);
        let status = self.guard.wait(Duration::from_secs(20));
        let code = status.and_then(|status| status.code());
        assert_eq!(code, Some(0), "a daemon stops cleanly:\n{}", self.log());
    }
}
