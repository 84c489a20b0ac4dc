//! The clock of the namenode: once a second the core is told the time, and now and then free space
//! and the open segment are looked at.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use hdfs_wire::proto::hdfs::{SafeModeActionProto, SetSafeModeRequestProto};
use parking_lot::{Condvar, Mutex};

use crate::checkpoint;
use crate::server::Server;

/// The core's clock.
const TICK: Duration = Duration::from_secs(1);

/// Ends the thread when told to.
#[derive(Default)]
pub(crate) struct Stop {
    stopped: Mutex<bool>,
    changed: Condvar,
}

impl Stop {
    /// The thread ends at once.
    pub(crate) fn stop(&self) {
        *self.stopped.lock() = true;
        self.changed.notify_all();
    }

    /// Waits; false when it is time to end.
    fn sleep(&self, length: Duration) -> bool {
        let deadline = Instant::now() + length;
        let mut stopped = self.stopped.lock();
        while !*stopped {
            if self.changed.wait_until(&mut stopped, deadline).timed_out() {
                return true;
            }
        }
        false
    }
}

/// The thread's life.
pub(crate) fn run(server: &Arc<Server>, stop: &Stop) {
    let mut space = Every::new(server.settings.space_check_interval);
    let mut roll = Every::new(server.settings.roll_check_interval);
    while stop.sleep(TICK) {
        let now = crate::server::now();
        let ((), aftermath) = server.change(|state| state.tick(now));
        server.wake(&aftermath);
        if space.is_due() {
            guard_space(server);
        }
        if roll.is_due() {
            checkpoint::roll_when_long(server);
        }
    }
}

struct Every {
    interval: Duration,
    last: Instant,
}

impl Every {
    fn new(interval: Duration) -> Self {
        Self { interval, last: Instant::now() }
    }

    fn is_due(&mut self) -> bool {
        let due = self.last.elapsed() >= self.interval;
        if due {
            self.last = Instant::now();
        }
        due
    }
}

/// The first folder whose disk has fewer free bytes than reserved, with those bytes.
pub(crate) fn low_folder(server: &Server) -> Option<(PathBuf, u64)> {
    server.settings.name_folders.iter().find_map(|folder| {
        let free = free_bytes(folder)?;
        (free < server.settings.space_reserved).then(|| (folder.clone(), free))
    })
}

fn free_bytes(folder: &PathBuf) -> Option<u64> {
    match nix::sys::statvfs::statvfs(folder) {
        Ok(status) => Some(status.blocks_available() * status.fragment_size()),
        Err(error) => {
            tracing::warn!(folder = %folder.display(), %error, "free space is not known");
            None
        }
    }
}

/// Enters safe mode while space is low; an operator leaves it, as in Java.
pub(crate) fn guard_space(server: &Arc<Server>) {
    let Some((folder, free)) = low_folder(server) else { return };
    let caller = server.own_caller();
    if server.state.read().safe_mode_details(caller.now).is_some() {
        return;
    }
    tracing::error!(
        folder = %folder.display(),
        free,
        reserved = server.settings.space_reserved,
        "space is low; safe mode is entered. Free some space, then: dfsadmin -safemode leave"
    );
    let action = SafeModeActionProto::SafemodeEnter.into();
    let request = SetSafeModeRequestProto { action, checked: None };
    let (entered, aftermath) = server.change(|state| state.set_safe_mode(&caller, &request));
    if let Err(fault) = entered {
        tracing::error!(%fault, "safe mode was not entered");
    }
    server.wake(&aftermath);
}
