//! Blocks and where their replicas are. Nothing here is durable: the namespace says which blocks
//! exist, datanode reports say where they are, and everything else follows from the two.
//!
//! One rule keeps it simple: whatever happens to a block's replicas, `reassess` is called
//! afterwards and derives all that depends on them (complete, safe, in need of copies, of
//! deletions). No other place decides any of that.

use std::collections::BTreeSet;
use std::sync::atomic::AtomicU32;

use hdfs_wire::Fault;

use self::block_map::{BlockMap, Construction, Slot, StorageId};
use self::leases::ReportLeases;
use self::queue::Needed;
use self::random::Random;
use self::registry::Registry;
use self::safemode::{Census, SafeMode};
use self::settings::Settings;
use crate::Millis;

mod admin;
mod block_map;
mod construction;
mod heartbeat;
mod index;
mod leases;
mod locate;
mod nodes;
mod placement;
mod policy;
mod queue;
mod random;
mod recovery;
mod registry;
mod replication;
mod reports;
mod safemode;
mod settings;
mod stats;
#[cfg(test)]
mod tests;
mod work;

pub use admin::Hosts;

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

/// Completed blocks remembered for waiting calls: far more than calls can wait. When nobody fetches
/// them, the oldest news is dropped, and a waiting call finds out by its timer.
const COMPLETED_MAX: usize = 1 << 16;

/// The block map, the datanode registry, and the work queues between them.
#[derive(Debug)]
pub struct BlockManager {
    settings: Settings,
    map: BlockMap,
    nodes: Registry,
    needed: Needed,
    safe: SafeMode,
    leases: ReportLeases,
    random: Random,
    hosts: Hosts,
    /// Numbers the reads, so that equal readers do not all start at the same replica.
    turn: AtomicU32,
    /// Complete blocks, and those of them with the minimum of replicas.
    complete: u64,
    safe_blocks: u64,
    /// See [`Self::take_completed`].
    completed: Vec<i64>,
    /// Blocks with more replicas than wanted, some of them on storages not reported yet.
    postponed: BTreeSet<Slot>,
    /// Blocks with copies on their way.
    pending: BTreeSet<Slot>,
    /// Blocks with corrupt replicas.
    damaged: BTreeSet<Slot>,
    /// The needs of blocks below this slot are known; `None` before safe mode ended once.
    scanned: Option<Slot>,
    /// Replicas deleted by order: sum of what waits in the nodes' queues.
    pending_deletions: u64,
    /// The newest time any call brought.
    clock: Millis,
    last_tick: Millis,
    /// No node is declared dead before this time.
    mourn_from: Millis,
    next_redundancy: Millis,
    next_decommission: Millis,
    next_roll: Millis,
}

impl BlockManager {
    /// An empty map that waits for the namespace: safe mode is on until [`Self::loaded`].
    pub fn new(config: &super::Config) -> Self {
        let settings = Settings::from(config);
        Self {
            map: BlockMap::default(),
            nodes: Registry::new(settings.default_rack.clone()),
            needed: Needed::default(),
            safe: SafeMode::new(&settings),
            leases: ReportLeases::new(&settings),
            random: Random::new(settings.seed),
            hosts: Hosts::default(),
            turn: AtomicU32::new(0),
            complete: 0,
            safe_blocks: 0,
            completed: Vec::new(),
            postponed: BTreeSet::new(),
            pending: BTreeSet::new(),
            damaged: BTreeSet::new(),
            scanned: None,
            pending_deletions: 0,
            clock: 0,
            last_tick: 0,
            mourn_from: 0,
            next_redundancy: 0,
            next_decommission: 0,
            next_roll: 0,
            settings,
        }
    }

    /// New limits and intervals. What was planned with a longer interval comes sooner; and where
    /// less silence is death from now on, nodes that still beat at the old pace get time to hear
    /// of the new one.
    pub(super) fn reconfigure(&mut self, config: &super::Config) {
        let old = std::mem::replace(&mut self.settings, Settings::from(config));
        let round = self.clock.saturating_add(self.settings.redundancy_interval_ms);
        self.next_redundancy = self.next_redundancy.min(round);
        if self.settings.dead_after_ms() < old.dead_after_ms() {
            let grace = self.clock.saturating_add(10 * old.heartbeat_interval_ms);
            self.mourn_from = self.mourn_from.max(grace);
        }
    }

    /// Image and edits are in: safe mode starts to count (or ends at once with no blocks).
    pub fn loaded(&mut self, now: Millis) {
        self.advance(now);
        self.safe.loaded(now, self.census());
        self.start_scan();
    }

    /// Once a second: dead and stale nodes, safe mode, replication work, recovery retries.
    pub fn tick(&mut self, now: Millis) {
        self.advance(now);
        self.notice_pause();
        self.bury_silent_nodes();
        self.check_safe_mode();
        self.scan_some();
        self.redundancy_round();
        self.decommission_round();
    }

    /// Is any kind of safe mode on?
    pub fn in_safe_mode(&self) -> bool {
        self.safe.is_on()
    }

    /// The lines after "Name node is in safe mode.\n"; `None` when safe mode is off.
    pub fn safe_mode_details(&self, now: Millis) -> Option<String> {
        self.safe.details(now.max(self.clock), self.census())
    }

    /// `dfsadmin -safemode enter`.
    pub fn enter_safe_mode(&mut self) {
        self.safe.enter();
    }

    /// `dfsadmin -safemode leave` and `forceExit`.
    pub fn leave_safe_mode(&mut self, now: Millis) {
        self.advance(now);
        self.safe.leave();
        self.start_scan();
    }

    /// Blocks that became Complete since the last call; waiting `complete` calls look again.
    pub fn take_completed(&mut self) -> Vec<i64> {
        std::mem::take(&mut self.completed)
    }

    // ---- the namespace's side, called alike when ops are applied live and replayed ----

    /// A block enters the namespace. `Complete` for closed files of an image or replay; such blocks
    /// count for safe mode. A known id is overwritten: replay may meet a block twice.
    pub fn insert(&mut self, block: Block, file: u64, replication: u16, state: BlockState) {
        if self.map.find(block.id).is_some() {
            self.remove(block.id);
        }
        let Some(slot) = self.map.insert(block, file, replication, BlockState::UnderConstruction)
        else {
            return;
        };
        if state == BlockState::Complete {
            self.set_complete(slot);
            self.reassess(slot);
        } else {
            self.map.set_state(slot, state);
            self.map.change_rare(slot, |rare| rare.construction = Some(Construction::default()));
        }
    }

    /// A block leaves the namespace: its replicas are to be deleted.
    pub fn remove(&mut self, id: i64) {
        let Some(slot) = self.map.find(id) else { return };
        let stamp = self.map.block(slot).stamp;
        let open = self.map.construction(slot).map(|each| each.expected.as_slice());
        let open: Vec<_> =
            open.unwrap_or_default().iter().map(|each| (each.storage, each.stamp)).collect();
        let stored: Vec<StorageId> = self.map.replicas(slot).collect();
        self.expect_no_more(slot, &[]);
        for (storage, stamp) in open {
            self.queue_deletion(storage, id, stamp);
        }
        for storage in stored {
            let stamp = self.map.corrupt(slot, storage).map_or(stamp, |each| each.stamp);
            self.queue_deletion(storage, id, stamp);
            self.detach(slot, storage);
        }
        self.forget_state(slot);
        self.map.remove(slot);
    }

    /// New stamp and length after a pipeline change or a recovery. Replicas that were reported with
    /// another stamp no longer belong to the block.
    pub fn restamp(&mut self, block: Block) {
        let Some(slot) = self.map.find(block.id) else { return };
        self.map.set_block(slot, block);
        self.drop_strangers(slot);
        self.reassess(slot);
    }

    /// Moves a block to another file (concat).
    pub fn set_file(&mut self, id: i64, file: u64) {
        if let Some(slot) = self.map.find(id) {
            self.map.set_file(slot, file);
        }
    }

    /// The file's replication changed: copies are made, or replicas deleted.
    pub fn set_replication(&mut self, id: i64, replication: u16) {
        if let Some(slot) = self.map.find(id) {
            self.map.set_replication(slot, replication);
            self.reassess(slot);
        }
    }

    /// Replay of CLOSE, or a forced completion: the block is complete whatever was reported.
    pub fn mark_complete(&mut self, id: i64) {
        if let Some(slot) = self.map.find(id) {
            self.set_complete(slot);
            self.reassess(slot);
        }
    }

    /// Append: a complete block is written again; its locations become the expected pipeline.
    pub fn reopen(&mut self, id: i64) {
        if let Some(slot) = self.map.find(id) {
            self.set_writable(slot);
            self.reassess(slot);
        }
    }

    /// The block and where it is in its life.
    pub fn block(&self, id: i64) -> Option<(Block, BlockState)> {
        let slot = self.map.find(id)?;
        Some((self.map.block(slot), self.map.state(slot)))
    }

    /// The file a block belongs to.
    pub fn file_of(&self, id: i64) -> Option<u64> {
        self.map.find(id).map(|slot| self.map.file(slot))
    }

    /// Finalized replicas reported with the current stamp and length, on nodes in service.
    pub fn live_replicas(&self, id: i64) -> usize {
        self.map.find(id).map_or(0, |slot| self.numbers(slot).live)
    }

    /// Bytes of the arena, the index and the storages' lists: the memory figure of goals.md P4.
    pub fn bytes(&self) -> usize {
        let lists = self.nodes.all().flat_map(|(_, node)| node.storages.iter());
        let lists: usize = lists.map(|id| self.nodes.storage(*id).slots.capacity() * 4).sum();
        self.map.bytes() + lists
    }

    // ---- shared inside ----

    fn advance(&mut self, now: Millis) {
        self.clock = self.clock.max(now);
    }

    fn census(&self) -> Census {
        Census { total: self.complete, safe: self.safe_blocks, nodes: self.nodes.live().len() }
    }

    fn check_safe_mode(&mut self) {
        self.safe.check(self.clock, self.census());
        self.start_scan();
    }

    /// The storage a target means.
    fn storage_at(&self, target: &Target) -> Option<StorageId> {
        let node = self.nodes.by_uuid(&target.datanode_uuid)?;
        self.nodes.storage_of(node, &target.storage_uuid)
    }

    fn target_at(&self, storage: StorageId) -> Target {
        Target {
            datanode_uuid: self.nodes.host(storage).id.datanode_uuid.clone(),
            storage_uuid: self.nodes.storage(storage).uuid.clone(),
        }
    }
}

/// The error for a block nobody knows.
fn unknown_block(id: i64) -> Fault {
    Fault::io(format!("block blk_{id} is not in the namespace"))
}
