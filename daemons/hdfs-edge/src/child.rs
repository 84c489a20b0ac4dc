//! Children that live no longer than their parent: the one place with `unsafe`.
//!
//! The kernel sends a process a signal when the *thread* that made it ends
//! (`PR_SET_PDEATHSIG`, prctl(2)), so such children are made by a thread that lives as long as the
//! program: its main thread. The request does not survive a change of user, which therefore comes
//! first, and is not inherited by what the child starts itself.

use std::io;
use std::os::unix::process::CommandExt as _;
use std::process::Command;

use nix::sys::prctl;
use nix::sys::signal::{SigSet, Signal};
use nix::unistd::{Pid, getpid, getppid};

/// Has a command's process get `signal` when the thread that starts it ends, and start with no
/// signal blocked. If this process is gone before that is arranged, the command does not run.
pub fn tie(command: &mut Command, signal: Signal) {
    tie_to(command, getpid(), signal);
}

fn tie_to(command: &mut Command, parent: Pid, signal: Signal) {
    let tied = move || {
        prctl::set_pdeathsig(signal)?;
        // A parent that died before the line above sends no signal any more.
        if getppid() != parent {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        SigSet::empty().thread_set_mask()?;
        Ok(())
    };
    // SAFETY: this runs between fork and exec, where only what is safe in a signal handler may be
    // called. `tied` makes three system calls on values it owns; it takes no lock and no memory.
    #[allow(unsafe_code)]
    unsafe {
        command.pre_exec(tied);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_whose_parent_is_another_does_not_run() {
        let root = tempfile::tempdir().unwrap();
        let touch = |parent: Pid, name: &str| {
            let mut command = Command::new("touch");
            command.arg(root.path().join(name));
            tie_to(&mut command, parent, Signal::SIGKILL);
            command.status()
        };
        assert!(touch(getpid(), "ours").unwrap().success());
        assert!(root.path().join("ours").exists());
        // Process 1 is alive and not the parent.
        touch(Pid::from_raw(1), "anothers").unwrap_err();
        assert!(!root.path().join("anothers").exists());
    }

    #[test]
    fn signals_come_through() {
        let blocked = SigSet::all().thread_swap_mask(nix::sys::signal::SigmaskHow::SIG_BLOCK);
        let mut command = Command::new("grep");
        command.args(["SigBlk", "/proc/self/status"]);
        tie(&mut command, Signal::SIGKILL);
        let said = command.output();
        blocked.unwrap().thread_set_mask().unwrap();
        assert_eq!(String::from_utf8_lossy(&said.unwrap().stdout), "SigBlk:\t0000000000000000\n");
    }
}
