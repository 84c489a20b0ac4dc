//! Processes that tests start, and what the kernel says about them.
//!
//! Processes are ended by their id only, and only those that a test started.

use std::fs;
use std::path::Path;
use std::process::{Child, ExitStatus};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// A process that does not outlive its guard.
#[derive(Debug)]
pub struct Guard {
    child: Child,
}

impl Guard {
    /// Takes over a child.
    pub fn new(child: Child) -> Self {
        Self { child }
    }

    /// The process id.
    pub fn id(&self) -> i32 {
        i32::try_from(self.child.id()).expect("process ids are small")
    }

    /// Sends a signal, if it still runs.
    pub fn signal(&mut self, signal: Signal) {
        if self.status().is_none() {
            let _ = kill(Pid::from_raw(self.id()), signal);
        }
    }

    /// How it ended, if it has.
    pub fn status(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().ok().flatten()
    }

    /// Waits for the end.
    pub fn wait(&mut self, limit: Duration) -> Option<ExitStatus> {
        let start = Instant::now();
        while start.elapsed() < limit {
            if let Some(status) = self.status() {
                return Some(status);
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        None
    }

    /// Kills it and waits.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Kills one process.
pub fn kill_hard(id: i32) {
    let _ = kill(Pid::from_raw(id), Signal::SIGKILL);
}

/// Sends a signal to one process.
pub fn signal(id: i32, signal: Signal) {
    let _ = kill(Pid::from_raw(id), signal);
}

/// Whether a process is there and not only a zombie.
pub fn alive(id: i32) -> bool {
    stat(id).is_some_and(|fields| fields[0] != "Z")
}

/// Running processes with `word` within one of their arguments, and their arguments.
pub fn with_argument(word: &str) -> Vec<(i32, Vec<String>)> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let ids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    ids.filter_map(|id| {
        let line = fs::read(format!("/proc/{id}/cmdline")).ok()?;
        let arguments = line.split(|byte| *byte == 0);
        let arguments: Vec<String> =
            arguments.map(|bytes| String::from_utf8_lossy(bytes).into_owned()).collect();
        (arguments.iter().any(|argument| argument.contains(word)) && alive(id))
            .then_some((id, arguments))
    })
    .collect()
}

/// CPU time that a process used, user and system together.
pub fn cpu(id: i32) -> Duration {
    let Some(fields) = stat(id) else { return Duration::ZERO };
    let ticks: u64 = fields[11..13].iter().filter_map(|field| field.parse::<u64>().ok()).sum();
    // The kernel counts in hundredths of a second on every Linux that we run on.
    Duration::from_millis(ticks * 10)
}

/// Memory of a process in bytes: resident, and its share of it (PSS).
pub fn memory(id: i32) -> (u64, u64) {
    let text = fs::read_to_string(format!("/proc/{id}/smaps_rollup")).unwrap_or_default();
    let value = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name)).unwrap_or("0");
        let number = line.split_whitespace().next().unwrap_or("0");
        number.parse::<u64>().unwrap_or(0) * 1024
    };
    (value("Rss:"), value("Pss:"))
}

/// Open descriptors of a process.
pub fn descriptors(id: i32) -> usize {
    fs::read_dir(format!("/proc/{id}/fd")).map_or(0, Iterator::count)
}

/// TCP connections of a process to `127.0.0.1:PORT`.
pub fn connections(id: i32, address: &str) -> usize {
    let port: u16 = address.rsplit(':').next().and_then(|port| port.parse().ok()).unwrap_or(0);
    let remote = format!("0100007F:{port:04X}");
    let table = fs::read_to_string(format!("/proc/{id}/net/tcp")).unwrap_or_default();
    let row = |line: &str| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        // Remote address, state (01 is established), inode.
        let there = fields.len() > 9 && fields[2] == remote && fields[3] == "01";
        there.then(|| format!("socket:[{}]", fields[9]))
    };
    let sockets: Vec<String> = table.lines().filter_map(row).collect();
    let entries = fs::read_dir(format!("/proc/{id}/fd")).into_iter().flatten().flatten();
    let links = entries.filter_map(|entry| fs::read_link(entry.path()).ok());
    links.filter(|link| sockets.iter().any(|socket| link.as_os_str() == socket.as_str())).count()
}

/// The fields of `/proc/ID/stat` from the state on.
fn stat(id: i32) -> Option<Vec<String>> {
    let text = fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
    let (_, rest) = text.rsplit_once(')')?;
    Some(rest.split_whitespace().map(str::to_owned).collect())
}

/// The end of a log file, for messages.
pub fn tail(path: &Path) -> String {
    let text = fs::read(path).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(40)..].join("\n")
}
