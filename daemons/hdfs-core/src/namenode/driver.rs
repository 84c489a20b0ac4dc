//! What the driver asks of the core besides the RPCs: the log, the clock, waiting calls.

use hdfs_wire::proto::common::{GetDelegationTokenRequestProto, GetDelegationTokenResponseProto};
use hdfs_wire::proto::hdfs::datanode::{
    CommitBlockSynchronizationRequestProto, CommitBlockSynchronizationResponseProto,
};
use hdfs_wire::proto::hdfs::{
    CompleteRequestProto, HaServiceStateRequestProto, HaServiceStateResponseProto,
};
use hdfs_wire::{Exception, Fault};

use super::blocks::BlockManager;
use super::log::Log;
use super::{Caller, Config, Durable, Namenode};
use crate::Millis;

impl Namenode {
    /// A namenode with nothing but the root directory, as after a format.
    pub fn new(config: Config) -> Self {
        let blocks = BlockManager::new(&config);
        Self { config, log: Log::default(), blocks }
    }

    /// The configuration in force.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Whether a call, even a refused one, left operations that [`Self::take_log`] must take.
    pub fn log_pending(&self) -> bool {
        self.log.is_pending()
    }

    /// Moves the pending operations (whole encoded frames) behind those in `into`, and says the last
    /// transaction id. Call it under the same lock as the write that logged them.
    pub fn take_log(&mut self, into: &mut Vec<u8>) -> u64 {
        self.log.take(into)
    }

    /// The newest transaction id, encoded or replayed.
    pub fn last_txid(&self) -> u64 {
        self.log.last_txid()
    }

    /// The time passes: leases expire, dead nodes are found, replication work is handed out. To be
    /// called every second; it may log.
    pub fn tick(&mut self, _now: Millis) {}

    /// The block a `complete` that answered false waits for. Park the call until
    /// [`BlockManager::take_completed`] names it (or a moment has passed), then call again.
    pub fn awaited_block(&self, _request: &CompleteRequestProto) -> Option<i64> {
        None
    }

    /// Whether a successful `get_block_locations` of this path asks for a new access time: then call
    /// [`Self::touch_access_time`].
    pub fn access_time_due(&self, _caller: &Caller<'_>, _src: &str) -> bool {
        false
    }

    /// Sets the access time of a file that was opened for reading.
    ///
    /// # Errors
    /// None that matter to the reader; the file may be gone.
    pub fn touch_access_time(&mut self, _caller: &Caller<'_>, _src: &str) -> Result<(), Fault> {
        Ok(())
    }

    /// `getHAServiceState`: this namenode stands alone.
    ///
    /// # Errors
    /// Always `ServiceFailedException`, as Java without high availability.
    pub fn get_ha_service_state(
        &self,
        _: &Caller<'_>,
        _: &HaServiceStateRequestProto,
    ) -> Result<HaServiceStateResponseProto, Fault> {
        Err(Fault::new(Exception::ServiceFailed, "HA for namenode is not enabled"))
    }

    /// `getDelegationToken`: none, since security is off.
    ///
    /// # Errors
    /// None.
    pub fn get_delegation_token(
        &self,
        _: &Caller<'_>,
        _: &GetDelegationTokenRequestProto,
    ) -> Result<GetDelegationTokenResponseProto, Fault> {
        Ok(GetDelegationTokenResponseProto::default())
    }

    /// `commitBlockSynchronization`: the primary datanode of a recovery reports the agreed length.
    ///
    /// # Errors
    /// `IOException` when the block or the recovery is unknown.
    pub fn commit_block_synchronization(
        &mut self,
        _: &Caller<'_>,
        _: &CommitBlockSynchronizationRequestProto,
    ) -> Result<Durable<CommitBlockSynchronizationResponseProto>, Fault> {
        Err(Fault::io("block recovery is not supported"))
    }
}
