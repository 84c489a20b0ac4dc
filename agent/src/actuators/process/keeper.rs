//! The child's half of a start: tied to the agent's life, and the keeper of what it starts.
//!
//! `howdah __child PARENT direct PROGRAM...` asks the kernel to be killed when its parent dies,
//! makes sure that the parent has not died already, and becomes the program. The kernel means the
//! parent *thread*, so children are spawned from a thread that lives as long as the agent: its main
//! thread. A killed program leaves its own children behind, though, so a program that is not ours
//! gets a keeper (`howdah __child PARENT keep PROGRAM...`), which stays:
//!
//! - it starts the program `direct`, in its own group, and passes every signal on to it;
//! - as a subreaper it inherits whatever the program leaves behind;
//! - when the program ends it kills all that is left, and ends the way the program did;
//! - when the agent is gone (any signal shows it, and the kernel sends one) it kills everything.

use std::ffi::OsString;
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::process::{Child, Command, ExitStatus};

use nix::sys::signal::{SigSet, Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::{Pid, getppid};

use super::orphans::children_of;

/// Hidden first argument of a process that is about to become a supervised child.
pub const CHILD_VERB: &str = "__child";

/// What becomes of the process: the program itself, or its keeper.
const DIRECT: &str = "direct";
const KEEP: &str = "keep";

/// Could not be started.
const EXIT_LAUNCH: i32 = 127;

/// The words before the program and its arguments.
pub(super) fn words(direct: bool) -> [String; 3] {
    let way = if direct { DIRECT } else { KEEP };
    [CHILD_VERB.to_owned(), std::process::id().to_string(), way.to_owned()]
}

/// Whether a process is a keeper.
pub(super) fn is_keeper(id: i32) -> bool {
    let words = std::fs::read(format!("/proc/{id}/cmdline")).unwrap_or_default();
    let mut words = words.split(|byte| *byte == 0).skip(1);
    words.next() == Some(CHILD_VERB.as_bytes()) && words.nth(1) == Some(KEEP.as_bytes())
}

/// The child's half: `arguments` are the parent's process id, the way, the program and its
/// arguments. Returns only with an exit code: a keeper's, or that the program cannot be started.
pub fn become_child(arguments: &[OsString]) -> i32 {
    let [parent, way, program, rest @ ..] = arguments else { return EXIT_LAUNCH };
    let keep = way == KEEP;
    let parent = parent.to_str().and_then(|text| text.parse().ok()).map(Pid::from_raw);
    let last = if keep { Signal::SIGTERM } else { Signal::SIGKILL };
    if keep {
        // Before the first signal can come.
        let _ = SigSet::all().thread_block();
    }
    if let Err(error) = nix::sys::prctl::set_pdeathsig(last) {
        eprintln!("howdah: cannot tie the process to its parent: {error}");
        return EXIT_LAUNCH;
    }
    // A parent that died before the line above sends no signal any more.
    let Some(parent) = parent.filter(|parent| *parent == getppid()) else { return EXIT_LAUNCH };
    if !keep {
        // A keeper has all signals blocked, and a child inherits that.
        let _ = SigSet::all().thread_unblock();
        let error = Command::new(program).args(rest).exec();
        eprintln!("howdah: cannot start {}: {error}", program.display());
        return EXIT_LAUNCH;
    }
    let _ = nix::sys::prctl::set_child_subreaper(true);
    let launched = std::env::current_exe().and_then(|launcher| {
        Command::new(launcher).args(words(true)).arg(program).args(rest).spawn()
    });
    match launched {
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
