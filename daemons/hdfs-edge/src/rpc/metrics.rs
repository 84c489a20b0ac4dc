//! What an RPC server counts. Plain atomics, read by whoever publishes them; counts only, the
//! meaning of calls is the service's.

use std::sync::atomic::{AtomicU64, Ordering};

/// Counters of one server. Those that end in `_open` go up and down, the others only up.
#[derive(Debug, Default)]
pub struct Metrics {
    /// Connections at present.
    pub connections_open: AtomicU64,
    /// Connections taken.
    pub connections_accepted: AtomicU64,
    /// Connections closed at once because there were too many.
    pub connections_refused: AtomicU64,
    /// Connections ended because the peer broke a rule or was too slow.
    pub connections_dropped: AtomicU64,
    /// Peers turned away at their connection context.
    pub authorization_failures: AtomicU64,
    /// Calls handed to the service.
    pub calls: AtomicU64,
    /// Calls answered with a fault.
    pub faults: AtomicU64,
    /// Bytes read.
    pub received_bytes: AtomicU64,
    /// Bytes written.
    pub sent_bytes: AtomicU64,
    /// Bytes of large units held at present.
    pub buffered_bytes_open: AtomicU64,
}

impl Metrics {
    pub(super) fn add(counter: &AtomicU64, amount: u64) {
        counter.fetch_add(amount, Ordering::Relaxed);
    }

    pub(super) fn sub(counter: &AtomicU64, amount: u64) {
        counter.fetch_sub(amount, Ordering::Relaxed);
    }
}
