//! What the block side needs to be told: the cluster's identity and the limits of
//! `hdfs/semantics` section 1. Plain data, filled by the driver; nothing here reads a file.

use crate::Millis;
use crate::namenode::{Config, Identity};

/// Limits and intervals, as the facade's `Config` says; what it does not say is Hadoop's default.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Settings {
    /// Who this cluster is.
    pub(super) identity: Identity,
    /// Host name shown at the end of safe mode texts.
    pub(super) host: String,
    /// Rack of a node that no topology mapping names.
    pub(super) default_rack: String,
    /// Seed of every random choice (placement, order of readers, lease ids).
    pub(super) seed: u64,
    /// `dfs.namenode.replication.min`: replicas that make a block complete and safe.
    pub(super) replication_min: u16,
    /// `dfs.heartbeat.interval`.
    pub(super) heartbeat_interval_ms: Millis,
    /// `dfs.namenode.heartbeat.recheck-interval`.
    pub(super) recheck_interval_ms: Millis,
    /// `dfs.namenode.stale.datanode.interval`.
    pub(super) stale_interval_ms: Millis,
    /// `dfs.namenode.avoid.read.stale.datanode`: stale nodes come last for readers.
    pub(super) avoid_stale_for_read: bool,
    /// `dfs.namenode.avoid.write.stale.datanode`: stale nodes are no targets on the first try.
    pub(super) avoid_stale_for_write: bool,
    /// `dfs.namenode.redundancy.interval.seconds`.
    pub(super) redundancy_interval_ms: Millis,
    /// `dfs.namenode.replication.work.multiplier.per.iteration`: blocks per live node and round.
    pub(super) work_multiplier: usize,
    /// `dfs.namenode.replication.max-streams`: copies a node sends at once.
    pub(super) streams_max: usize,
    /// `dfs.namenode.replication.max-streams-hard-limit`: the same for blocks about to be lost.
    pub(super) streams_hard_limit: usize,
    /// `dfs.namenode.reconstruction.pending.timeout-sec`.
    pub(super) pending_timeout_ms: Millis,
    /// `dfs.block.invalidate.limit`: deletions in one heartbeat's answer.
    pub(super) invalidate_limit: usize,
    /// `dfs.namenode.safemode.threshold-pct`; above 1 means for ever.
    pub(super) safemode_threshold: f64,
    /// `dfs.namenode.safemode.extension`; 0 leaves at once.
    pub(super) safemode_extension_ms: Millis,
    /// `dfs.namenode.safemode.min.datanodes`.
    pub(super) safemode_min_datanodes: usize,
    /// `dfs.namenode.max.full.block.report.leases`.
    pub(super) report_leases_max: usize,
    /// `dfs.namenode.full.block.report.lease.length.ms`.
    pub(super) report_lease_ms: Millis,
    /// `dfs.namenode.redundancy.considerLoad`: skip nodes far busier than the average.
    pub(super) consider_load: bool,
    /// `dfs.namenode.redundancy.considerLoad.factor`.
    pub(super) consider_load_factor: f64,
    /// `dfs.namenode.decommission.interval`.
    pub(super) decommission_interval_ms: Millis,
}

impl From<&Config> for Settings {
    fn from(config: &Config) -> Self {
        Self {
            identity: config.identity.clone(),
            host: config.hostname.clone(),
            default_rack: config.default_rack.clone(),
            seed: config.seed,
            replication_min: config.replication_min,
            heartbeat_interval_ms: config.heartbeat_interval,
            recheck_interval_ms: config.heartbeat_recheck_interval,
            stale_interval_ms: config.stale_interval,
            avoid_stale_for_read: false,
            avoid_stale_for_write: false,
            redundancy_interval_ms: config.redundancy_interval,
            work_multiplier: config.replication_work_multiplier,
            streams_max: config.replication_streams_max,
            streams_hard_limit: config.replication_streams_hard_limit,
            pending_timeout_ms: config.reconstruction_timeout,
            invalidate_limit: config.invalidate_limit,
            safemode_threshold: config.safemode_threshold,
            safemode_extension_ms: config.safemode_extension,
            safemode_min_datanodes: config.safemode_datanodes_min,
            report_leases_max: 6,
            report_lease_ms: 300_000,
            consider_load: true,
            consider_load_factor: 2.0,
            decommission_interval_ms: 30_000,
        }
    }
}

impl Settings {
    /// Silence after which a node counts as dead and its replicas as gone.
    pub(super) fn dead_after_ms(&self) -> Millis {
        2 * self.recheck_interval_ms + 10 * self.heartbeat_interval_ms
    }

    /// Time before a block recovery that got no answer is tried again.
    pub(super) fn recovery_retry_ms(&self) -> Millis {
        30 * self.heartbeat_interval_ms
    }
}
