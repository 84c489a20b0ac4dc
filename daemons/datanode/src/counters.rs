//! What the datanode counts, for its beans.

use std::sync::atomic::AtomicUsize;

use hdfs_edge::metrics::{Counter, Timing};

/// All counters of one datanode.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) bytes_read: Counter,
    pub(crate) bytes_written: Counter,
    pub(crate) blocks_read: Counter,
    pub(crate) blocks_written: Counter,
    pub(crate) blocks_replicated: Counter,
    pub(crate) blocks_removed: Counter,
    pub(crate) blocks_verified: Counter,
    pub(crate) checksum_failures: Counter,
    pub(crate) fsyncs: Counter,
    pub(crate) network_errors: Counter,
    pub(crate) refused_connections: Counter,
    pub(crate) heartbeats: Timing,
    pub(crate) block_reports: Timing,
    pub(crate) incremental_reports: Timing,
    pub(crate) reads: Timing,
    pub(crate) writes: Timing,
    /// Copies to other datanodes running now, for the heartbeat.
    pub(crate) copies: AtomicUsize,
}
