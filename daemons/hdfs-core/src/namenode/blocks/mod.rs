//! Blocks and where their replicas are. Nothing here is durable: the namespace says which blocks
//! exist, datanode reports say where they are, and everything else follows from the two.

use hdfs_wire::Fault;
use hdfs_wire::proto::hdfs::{DatanodeIdProto, DatanodeInfoProto, LocatedBlockProto};

use crate::Millis;

#[allow(dead_code)]
mod settings;

/// A block as clients and datanodes name it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Block {
    /// Cluster-wide id, from 1073741825 up.
    pub id: i64,
    /// Bytes; 0 while the first bytes are on their way.
    pub length: u64,
    /// Generation stamp: grows with every change of the pipeline.
    pub stamp: u64,
}

/// Life of a block; see `hdfs/semantics` section 6.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BlockState {
    /// A client writes it.
    UnderConstruction,
    /// The client told the final length; too few replicas are reported yet.
    Committed,
    /// At least the minimum of finalized replicas with this stamp and length is reported.
    Complete,
    /// Datanodes agree on a length for a writer that went away.
    UnderRecovery,
}

/// What placement needs to know of a write.
#[derive(Debug, Clone)]
pub struct PlacementRequest<'a> {
    /// Replicas wanted now.
    pub count: usize,
    /// Bytes one replica may grow to.
    pub block_size: u64,
    /// The writer's address; its own datanode comes first.
    pub writer: &'a str,
    /// Datanode uuids that must not be chosen.
    pub excluded: &'a [String],
    /// Datanode uuids that hold the block already (they count for rack rules).
    pub existing: &'a [String],
    /// `host:port` or `ip:port` of nodes the client would like.
    pub favored: &'a [String],
    /// The file's storage policy (7 = HOT; 0 = not set, which means HOT).
    pub policy: u8,
    /// NO_LOCAL_WRITE: not on the writer's own node if another one has room.
    pub avoid_local: bool,
}

/// One chosen storage of one datanode.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// The node's uuid.
    pub datanode_uuid: String,
    /// The storage on that node.
    pub storage_uuid: String,
}

/// The block map, the datanode registry, and the work queues between them.
#[derive(Debug)]
pub struct BlockManager {}

#[allow(unused_variables, clippy::todo, clippy::needless_pass_by_value, missing_docs)]
impl BlockManager {
    /// An empty map that waits for the namespace: safe mode is on until [`Self::loaded`].
    pub fn new(config: &super::Config) -> Self {
        Self {}
    }
    /// Image and edits are in: safe mode starts to count (or ends at once with no blocks).
    pub fn loaded(&mut self, now: Millis) {
        todo!()
    }
    /// Once a second: dead and stale nodes, safe mode, replication work, recovery retries.
    pub fn tick(&mut self, now: Millis) {
        todo!()
    }
    /// Is any kind of safe mode on?
    pub fn in_safe_mode(&self) -> bool {
        todo!()
    }
    /// The lines after "Name node is in safe mode.\n"; `None` when safe mode is off.
    pub fn safe_mode_details(&self, now: Millis) -> Option<String> {
        todo!()
    }
    /// `dfsadmin -safemode enter`.
    pub fn enter_safe_mode(&mut self) {
        todo!()
    }
    /// `dfsadmin -safemode leave` and `forceExit`.
    pub fn leave_safe_mode(&mut self, now: Millis) {
        todo!()
    }

    // ---- the namespace's side, called alike when ops are applied live and replayed ----

    /// A block enters the namespace. `Complete` for closed files of an image or replay; such blocks
    /// count for safe mode.
    pub fn insert(&mut self, block: Block, file: u64, replication: u16, state: BlockState) {
        todo!()
    }
    /// A block leaves the namespace: its replicas are to be deleted.
    pub fn remove(&mut self, id: i64) {
        todo!()
    }
    /// New stamp and length after a pipeline change or a recovery.
    pub fn restamp(&mut self, block: Block) {
        todo!()
    }
    /// Moves a block to another file (concat).
    pub fn set_file(&mut self, id: i64, file: u64) {
        todo!()
    }
    pub fn set_replication(&mut self, id: i64, replication: u16) {
        todo!()
    }
    /// Replay of CLOSE, or a forced completion: the block is complete whatever was reported.
    pub fn mark_complete(&mut self, id: i64) {
        todo!()
    }
    /// Append: a complete block is written again; its locations become the expected pipeline.
    pub fn reopen(&mut self, id: i64) {
        todo!()
    }

    // ---- live only ----

    /// The pipeline a client was sent to (addBlock, updatePipeline).
    pub fn expect(&mut self, id: i64, targets: &[Target]) {
        todo!()
    }
    /// The client's word on stamp and length. Becomes Complete at once when enough replicas are
    /// reported. Errors: unknown block, older stamp, shorter length (java.io.IOException).
    pub fn commit(&mut self, block: Block) -> Result<BlockState, Fault> {
        todo!()
    }
    pub fn block(&self, id: i64) -> Option<(Block, BlockState)> {
        todo!()
    }
    /// Finalized replicas reported with the current stamp and length.
    pub fn live_replicas(&self, id: i64) -> usize {
        todo!()
    }
    pub fn choose_targets(
        &mut self,
        now: Millis,
        request: &PlacementRequest<'_>,
    ) -> Result<Vec<Target>, Fault> {
        todo!()
    }
    /// The answer to addBlock and getAdditionalDatanode: the block with exactly these targets.
    pub fn located_targets(
        &self,
        block: Block,
        offset: u64,
        targets: &[Target],
    ) -> LocatedBlockProto {
        todo!()
    }
    /// The answer to a reader: live locations, nearest to `reader` first.
    pub fn located(&self, id: i64, offset: u64, reader: &str) -> LocatedBlockProto {
        todo!()
    }
    /// Starts (or restarts after its timeout) recovery of a block whose writer is gone: the next
    /// heartbeat of the chosen primary carries the command. False when one is under way.
    pub fn start_recovery(&mut self, now: Millis, id: i64, recovery_stamp: u64) -> bool {
        todo!()
    }
    /// The same, to make a block shorter: datanodes cut it to `length`.
    pub fn start_truncate(
        &mut self,
        now: Millis,
        id: i64,
        recovery_stamp: u64,
        length: u64,
    ) -> bool {
        todo!()
    }
    /// The end of a recovery (commitBlockSynchronization): stamp and length are these, and exactly
    /// these storages hold finalized replicas. `commit` then completes the block.
    pub fn finish_recovery(&mut self, block: Block, targets: &[Target]) {
        todo!()
    }
    /// The pipeline of a block being written, or the replicas of a complete one.
    pub fn locations(&self, id: i64) -> Vec<Target> {
        todo!()
    }
    /// Maps what a client sent back (uuid, or address when the uuid is unknown) to a target.
    pub fn target_of(&self, node: &DatanodeIdProto, storage_uuid: &str) -> Option<Target> {
        todo!()
    }
    /// The file a block belongs to.
    pub fn file_of(&self, id: i64) -> Option<u64> {
        todo!()
    }
    /// The recovery stamp under way for a block.
    pub fn recovery_stamp(&self, id: i64) -> Option<u64> {
        todo!()
    }
    /// Blocks that became Complete since the last call; waiting `complete` calls look again.
    pub fn take_completed(&mut self) -> Vec<i64> {
        todo!()
    }
    /// Fills in a target's full description.
    pub fn datanode_info(&self, uuid: &str) -> Option<DatanodeInfoProto> {
        todo!()
    }
}
