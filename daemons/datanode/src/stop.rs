//! How somebody else stops a writer: a flag, the sockets it may be blocked on, and a wait for the
//! moment it has let go.

use std::net::{Shutdown, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::{Condvar, Mutex};

/// Shared between a writer and whoever may stop it.
#[derive(Debug, Default)]
pub(crate) struct Stop {
    stopped: AtomicBool,
    /// At most the two of a pipeline: upstream and mirror.
    sockets: Mutex<Vec<Arc<TcpStream>>>,
    finished: Mutex<bool>,
    changed: Condvar,
}

impl Stop {
    /// The writer may block on this socket from now on.
    pub(crate) fn attach(&self, socket: &Arc<TcpStream>) {
        self.sockets.lock().push(Arc::clone(socket));
        if self.is_stopped() {
            let _ = socket.shutdown(Shutdown::Both);
        }
    }

    pub(crate) fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::Acquire)
    }

    /// Tells the writer to stop and cuts its sockets.
    pub(crate) fn stop(&self) {
        self.stopped.store(true, Ordering::Release);
        for socket in &*self.sockets.lock() {
            let _ = socket.shutdown(Shutdown::Both);
        }
    }

    /// Stops the writer and waits until it let go; false when it did not in time.
    pub(crate) fn stop_and_wait(&self, timeout: Duration) -> bool {
        self.stop();
        let mut finished = self.finished.lock();
        let gone = |finished: &mut bool| !*finished;
        !self.changed.wait_while_for(&mut finished, gone, timeout).timed_out()
    }

    /// The writer has let go.
    pub(crate) fn done(&self) {
        *self.finished.lock() = true;
        self.changed.notify_all();
        self.sockets.lock().clear();
    }
}
