//! The keeper of a program that is not ours.
//!
//! Our own daemons start nothing, so it is enough that the kernel kills them with the agent
//! ([`tie`]). Any other program may leave children behind, so it gets a keeper
//! (`howdah __keep PROGRAM...`), a small process between:
//!
//! - it starts the program in its own group, to be killed with it, and passes every signal on;
//! - as a subreaper it inherits whatever the program leaves behind;
//! - when the program ends it kills all that is left, and ends the way the program did;
//! - when the agent is gone (any signal shows it, and the kernel sends one) it kills everything.

use std::ffi::OsString;
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Child, Command, ExitStatus};

use hdfs_edge::child::tie;
use nix::sys::signal::{SigSet, Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::{Pid, getppid};

use super::orphans::children_of;

/// Hidden first argument of a process that is a keeper.
pub const KEEP_VERB: &str = "__keep";

/// What tells a keeper that its agent is gone.
pub(super) const LAST_SIGNAL: Signal = Signal::SIGTERM;

/// Could not be started.
const EXIT_LAUNCH: i32 = 127;

/// Whether a process is a keeper.
pub(super) fn is_keeper(id: i32) -> bool {
    let words = std::fs::read(format!("/proc/{id}/cmdline")).unwrap_or_default();
    words.split(|byte| *byte == 0).nth(1) == Some(KEEP_VERB.as_bytes())
}

/// A keeper's life: `arguments` are the program and its arguments. Returns its exit code.
pub fn keep(arguments: &[OsString]) -> i32 {
    let [program, rest @ ..] = arguments else { return EXIT_LAUNCH };
    let parent = getppid();
    // A signal that comes from here on is met in the loop; one that came before ended this.
    let _ = SigSet::all().thread_block();
    let _ = nix::sys::prctl::set_child_subreaper(true);
    let mut command = Command::new(program);
    command.args(rest);
    tie(&mut command, Signal::SIGKILL);
    match command.spawn() {
        Ok(child) => keep_until_the_end(parent, child),
        Err(error) => {
            eprintln!("howdah: cannot start {}: {error}", program.display());
            EXIT_LAUNCH
        }
    }
}

fn keep_until_the_end(parent: Pid, child: Child) -> i32 {
    let program = Pid::from_raw(i32::try_from(child.id()).unwrap_or_default());
    let signals = SigSet::all();
    loop {
        let signal = signals.wait();
        if getppid() != parent {
            end_all();
            return EXIT_LAUNCH;
        }
        match signal {
            Ok(Signal::SIGCHLD) => {
                if let Some(status) = reap(program) {
                    end_all();
                    return leave(status);
                }
            }
            Ok(signal) => drop(kill(program, signal)),
            Err(_) => {}
        }
    }
}

/// Reaps all that ended; how the program did, if it is among them.
fn reap(program: Pid) -> Option<ExitStatus> {
    let mut found = None;
    loop {
        match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
            Ok(WaitStatus::Exited(id, code)) if id == program => {
                found = Some(ExitStatus::from_raw(code << 8));
            }
            Ok(WaitStatus::Signaled(id, signal, _)) if id == program => {
                found = Some(ExitStatus::from_raw(signal as i32));
            }
            Ok(WaitStatus::StillAlive) | Err(_) => return found,
            Ok(_) => {}
        }
    }
}

/// Kills every descendant: the children, and what falls to us when they are gone.
fn end_all() {
    loop {
        let left = children_of(std::process::id().try_into().unwrap_or_default());
        if left.is_empty() {
            return;
        }
        for id in &left {
            let _ = kill(Pid::from_raw(*id), Signal::SIGKILL);
        }
        for id in left {
            let _ = waitpid(Pid::from_raw(id), None);
        }
    }
}

/// Ends as the program did.
fn leave(status: ExitStatus) -> i32 {
    if let Some(signal) = status.signal().and_then(|number| Signal::try_from(number).ok()) {
        // The program's own core is enough.
        let none = nix::sys::resource::Resource::RLIMIT_CORE;
        let _ = nix::sys::resource::setrlimit(none, 0, 0);
        let _ = SigSet::all().thread_unblock();
        let _ = nix::sys::signal::raise(signal);
        return 128 + signal as i32;
    }
    status.code().unwrap_or(EXIT_LAUNCH)
}
