//! Which children of this process are known, and the end of those that are not.
//!
//! The agent is a subreaper: a process whose parent died becomes its child. Such an orphan belongs
//! to something that is over, so it is killed and reaped. Children that the agent made itself are
//! known from the moment they exist: making one and looking for orphans exclude each other.

use std::collections::HashSet;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};

use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, waitpid};
use nix::unistd::Pid;
use tokio::process::{Child, Command};

static KNOWN: LazyLock<Mutex<HashSet<i32>>> = LazyLock::new(Mutex::default);

fn all_known() -> MutexGuard<'static, HashSet<i32>> {
    KNOWN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A child that somebody waits for, while this lives.
#[derive(Debug)]
pub(super) struct Known(Pid);

impl Known {
    /// Starts a command.
    pub(super) fn spawn(command: &mut Command) -> io::Result<(Child, Self)> {
        let mut known = all_known();
        let child = command.spawn()?;
        let id = child.id().and_then(|id| i32::try_from(id).ok());
        let id = id.ok_or_else(|| io::Error::other("the child has no process id"))?;
        known.insert(id);
        Ok((child, Self(Pid::from_raw(id))))
    }

    /// Its process id.
    pub(super) fn id(&self) -> Pid {
        self.0
    }
}

impl Drop for Known {
    fn drop(&mut self) {
        all_known().remove(&self.0.as_raw());
    }
}

/// The children of a process, of all its threads.
pub(super) fn children_of(id: i32) -> Vec<i32> {
    let mut children = Vec::new();
    for thread in std::fs::read_dir(format!("/proc/{id}/task")).into_iter().flatten().flatten() {
        let text = std::fs::read_to_string(thread.path().join("children")).unwrap_or_default();
        children.extend(text.split_whitespace().filter_map(|word| word.parse::<i32>().ok()));
    }
    children
}

/// Whether orphans fall to this process.
static ADOPTING: AtomicBool = AtomicBool::new(false);

/// From now on orphans below this process fall to it, and [`end_orphans`] ends them. Only for a
/// process all of whose children are made through this module.
pub fn adopt_orphans() {
    match nix::sys::prctl::set_child_subreaper(true) {
        Ok(()) => ADOPTING.store(true, Ordering::Relaxed),
        Err(error) => tracing::warn!(%error, "cannot become a subreaper"),
    }
}

/// Kills and reaps children that nobody knows.
pub fn end_orphans() {
    if !ADOPTING.load(Ordering::Relaxed) {
        return;
    }
    let known = all_known();
    let own = i32::try_from(std::process::id()).unwrap_or_default();
    for id in children_of(own).into_iter().filter(|id| !known.contains(id)) {
        let id = Pid::from_raw(id);
        let _ = kill(id, Signal::SIGKILL);
        // One that is not dead yet is met again at the next look.
        let _ = waitpid(id, Some(WaitPidFlag::WNOHANG));
    }
}
