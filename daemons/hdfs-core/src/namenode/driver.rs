//! What the driver asks of the core besides the RPCs: the log, the clock, images, checkpoints.

use hdfs_disk::edits::EditOp;
use hdfs_wire::Fault;
use hdfs_wire::proto::hdfs::{
    RollEditsRequestProto, RollEditsResponseProto, SaveNamespaceRequestProto,
    SaveNamespaceResponseProto,
};

use super::apply::Source;
use super::blocks::BlockManager;
use super::kept::Kept;
use super::lease::Leases;
use super::log::Log;
use super::retry::RetryCache;
use super::tree::Tree;
use super::{Caller, Config, Counters, Durable, Namenode};
use crate::Millis;

/// Why a log could not be replayed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("transaction {txid} cannot be replayed: {reason}")]
pub struct ReplayError {
    /// The transaction.
    pub txid: u64,
    /// What does not fit.
    pub reason: String,
}

impl Namenode {
    /// A namenode with nothing but the root directory, as after a format at `now`.
    pub fn new(config: Config, now: Millis) -> Self {
        let blocks = BlockManager::new(&config);
        let tree = Tree::new(&config.superuser, &config.supergroup, now);
        Self {
            config,
            tree,
            leases: Leases::default(),
            log: Log::default(),
            retry: RetryCache::default(),
            counters: Counters::default(),
            kept: Kept::default(),
            now,
            lease_check: now,
            blocks,
        }
    }

    /// The configuration in force.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Takes up new limits and intervals while it runs. Who the cluster is, the seed, the minimum
    /// of replicas and the limits of safe mode must be those it began with: blocks are counted by
    /// them already.
    pub fn reconfigure(&mut self, config: Config) {
        debug_assert_eq!(self.config.identity, config.identity);
        debug_assert_eq!(self.config.replication_min, config.replication_min);
        self.blocks.reconfigure(&config);
        self.config = config;
    }

    /// Bytes held by inodes and ids, directory entries, names, and lists of blocks.
    pub fn namespace_memory(&self) -> [usize; 4] {
        self.tree.memory()
    }

    // ---- the log ----

    /// Whether a call, even a refused one, left operations that [`Self::take_log`] must take.
    pub fn log_pending(&self) -> bool {
        self.log.is_pending()
    }

    /// Moves the pending operations (whole encoded frames) behind those in `into`, and says the
    /// last transaction id. Call it under the same lock as the write that logged them.
    pub fn take_log(&mut self, into: &mut Vec<u8>) -> u64 {
        self.log.take(into)
    }

    /// The newest transaction id, encoded or replayed.
    pub fn last_txid(&self) -> u64 {
        self.log.last_txid()
    }

    /// Carries out one operation of the log of an earlier life. After the last one call
    /// [`Self::loaded`].
    ///
    /// # Errors
    /// A transaction out of order, or one that does not fit the namespace.
    pub fn replay(&mut self, txid: u64, op: &EditOp) -> Result<(), ReplayError> {
        let expected = self.log.last_txid() + 1;
        if txid != expected {
            return Err(ReplayError { txid, reason: format!("{expected} was expected") });
        }
        self.apply(op, Source::Replay)
            .map_err(|fault| ReplayError { txid, reason: fault.message })?;
        self.log.set_last_txid(txid);
        Ok(())
    }

    /// Image and log are in, and service begins: all clocks start, safe mode waits for reports.
    pub fn loaded(&mut self, now: Millis) {
        self.now = now;
        self.lease_check = now;
        self.leases.renew_all(now);
        self.retry.restart(now);
        self.blocks.loaded(now);
    }

    /// `rollEdits`: checks the caller and logs the end of the segment. The driver then finalizes
    /// the file, opens the next one, and calls [`Self::start_segment`]; the answer already names
    /// that transaction.
    ///
    /// # Errors
    /// `AccessControlException` for all but superusers; safe mode errors.
    pub fn roll_edits(
        &mut self,
        caller: &Caller<'_>,
        _: &RollEditsRequestProto,
    ) -> Result<Durable<RollEditsResponseProto>, Fault> {
        self.begin(caller);
        self.checker(caller).superuser("rollEditLog")?;
        self.check_safe_mode("roll log, Name node is in safe mode")?;
        self.end_segment()?;
        let last = self.last_txid();
        Ok(self.durable(RollEditsResponseProto { new_segment_tx_id: last + 1 }))
    }

    /// `saveNamespace`: only the preconditions; when they hold the driver saves an image.
    ///
    /// # Errors
    /// `AccessControlException` for all but superusers, `IOException` outside safe mode.
    pub fn save_namespace(
        &mut self,
        caller: &Caller<'_>,
        _: &SaveNamespaceRequestProto,
    ) -> Result<Durable<SaveNamespaceResponseProto>, Fault> {
        self.begin(caller);
        self.checker(caller).superuser("saveNamespace")?;
        if !self.blocks.in_safe_mode() {
            return Err(Fault::io(
                "Safe mode should be turned ON in order to create namespace image.",
            ));
        }
        Ok(self.durable(SaveNamespaceResponseProto { saved: Some(true) }))
    }

    // ---- the clock ----

    /// The time passes: leases expire, dead nodes are found, replication work is handed out. To be
    /// called every second; it may log.
    pub fn tick(&mut self, now: Millis) {
        self.now = self.now.max(now);
        self.blocks.tick(self.now);
        self.retry.expire(self.now.saturating_sub(self.config.retry_cache_expiry));
        if self.now >= self.lease_check + self.config.lease_recheck_interval {
            self.lease_check = self.now;
            self.release_expired_leases();
        }
    }
}
