//! Bytes per second for all moves of the balancer together.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

/// How far spending may run ahead of time before somebody sleeps.
const SLACK: Duration = Duration::from_millis(50);

/// A shared speed limit.
#[derive(Debug)]
pub(crate) struct Pace {
    bytes_per_second: AtomicU64,
    /// When everything spent so far will have been allowed.
    paid_until: Mutex<Instant>,
}

impl Pace {
    pub(crate) fn new(bytes_per_second: u64) -> Self {
        Self {
            bytes_per_second: AtomicU64::new(bytes_per_second.max(1)),
            paid_until: Mutex::new(Instant::now()),
        }
    }

    pub(crate) fn set(&self, bytes_per_second: u64) {
        self.bytes_per_second.store(bytes_per_second.max(1), Ordering::Relaxed);
    }

    pub(crate) fn bytes_per_second(&self) -> u64 {
        self.bytes_per_second.load(Ordering::Relaxed)
    }

    /// Counts bytes and sleeps when they came too fast.
    pub(crate) fn spend(&self, bytes: usize) {
        let nanos = (bytes as u64).saturating_mul(1_000_000_000) / self.bytes_per_second();
        let now = Instant::now();
        let until = {
            let mut paid = self.paid_until.lock();
            *paid = (*paid).max(now) + Duration::from_nanos(nanos);
            *paid
        };
        let ahead = until.saturating_duration_since(now);
        if ahead > SLACK {
            std::thread::sleep(ahead - SLACK);
        }
    }
}
