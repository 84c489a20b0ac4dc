//! Work that time brings: the first look at all blocks after safe mode, copies to hand out, copies
//! that never arrived.

use hdfs_wire::proto::hdfs::datanode_info_proto::AdminState;

use super::block_map::{Pending, Slot, StorageId};
use super::placement::Wish;
use super::queue::Priority;
use super::registry::NodeId;
use super::replication::Transfer;
use super::{BlockManager, BlockState};

/// Blocks looked at in one tick after safe mode: about 10 ms of the namespace lock.
const SCAN_PER_TICK: u32 = 100_000;
/// Counts of scheduled replicas are forgotten after one to two of these.
const SCHEDULED_PERIOD_MS: u64 = 600_000;

impl BlockManager {
    // ---- after safe mode ----

    /// Start-up safe mode is over for the first time: needs of blocks are judged from now on, and
    /// those of the blocks there are get found tick by tick.
    pub(super) fn start_scan(&mut self) {
        if self.scanned.is_none() && !self.safe.in_startup() {
            self.scanned = Some(0);
        }
    }

    pub(super) fn scan_some(&mut self) {
        let Some(from) = self.scanned else { return };
        let to = self.map.top().min(from.saturating_add(SCAN_PER_TICK));
        for slot in from..to {
            if self.map.is_block(slot) {
                self.reassess(slot);
            }
        }
        // Blocks that come later are judged as they come.
        self.scanned = Some(to);
    }

    // ---- copies ----

    /// Every few seconds: overdue copies go back to the queue, and new ones are handed out.
    pub(super) fn redundancy_round(&mut self) {
        if self.clock >= self.next_roll {
            self.next_roll = self.clock.saturating_add(SCHEDULED_PERIOD_MS);
            self.nodes.roll_scheduled();
        }
        if self.clock < self.next_redundancy || self.scanned.is_none() || self.safe.is_on() {
            return;
        }
        self.next_redundancy = self.clock.saturating_add(self.settings.redundancy_interval_ms);
        self.expire_pending();
        let count = self.nodes.live().len() * self.settings.work_multiplier;
        for (slot, priority) in self.needed.next(count) {
            self.schedule_copies(slot, priority);
        }
    }

    fn expire_pending(&mut self) {
        let limit = self.settings.pending_timeout_ms;
        let overdue: Vec<Slot> = self
            .pending
            .iter()
            .copied()
            .filter(|slot| {
                let pending = self.map.rare(*slot).and_then(|rare| rare.pending.as_ref());
                pending.is_none_or(|each| self.clock.saturating_sub(each.since) > limit)
            })
            .collect();
        for slot in overdue {
            self.pending.remove(&slot);
            self.map.change_rare(slot, |rare| rare.pending = None);
            self.reassess(slot);
        }
    }

    /// Hands one block's copies to a node that has it.
    fn schedule_copies(&mut self, slot: Slot, priority: Priority) {
        if self.map.state(slot) != BlockState::Complete {
            return;
        }
        let numbers = self.numbers(slot);
        let pending = self.map.rare(slot).and_then(|rare| rare.pending.as_ref());
        let pending: Vec<StorageId> = pending.map(|each| each.storages.clone()).unwrap_or_default();
        let wanted = self.map.replication(slot).saturating_sub(numbers.live + pending.len());
        let wanted = wanted.max(usize::from(priority == Priority::Misplaced));
        let Some(source) = self.choose_source(slot, priority).filter(|_| wanted > 0) else {
            return;
        };
        let block = self.map.block(slot);
        let holders = self.map.replicas(slot).chain(pending);
        let existing: Vec<NodeId> = holders.map(|each| self.nodes.storage(each).node).collect();
        let targets = self.place(&Wish::copies(wanted, block.length, existing));
        if targets.is_empty() || !self.worth_it(slot, priority, &targets) {
            return;
        }
        for target in &targets {
            self.nodes.storage_mut(*target).scheduled[0] += 1;
        }
        let transfer = Transfer { id: block.id, targets: targets.clone() };
        self.nodes.node_mut(source).transfer.push_back(transfer);
        let since = self.clock;
        self.map.change_rare(slot, |rare| match &mut rare.pending {
            Some(pending) => {
                pending.storages.extend(targets);
                pending.since = since;
            }
            None => rare.pending = Some(Pending { storages: targets, since }),
        });
        self.pending.insert(slot);
        self.reassess(slot);
    }

    /// A copy for the sake of racks must go to another rack than the replicas there are.
    fn worth_it(&self, slot: Slot, priority: Priority, targets: &[StorageId]) -> bool {
        let rack = |storage: StorageId| &self.nodes.host(storage).rack;
        priority != Priority::Misplaced
            || targets
                .iter()
                .any(|target| self.live_storages(slot).all(|live| rack(live) != rack(*target)))
    }

    /// A node with a good replica and a free stream; one that leaves is preferred, as it has
    /// nothing else to do.
    fn choose_source(&mut self, slot: Slot, priority: Priority) -> Option<NodeId> {
        let limit = match priority {
            Priority::Highest => self.settings.streams_hard_limit,
            _ => self.settings.streams_max,
        };
        let candidates: Vec<NodeId> = self
            .map
            .replicas(slot)
            .filter(|each| !self.is_corrupt(slot, *each) && !self.is_excess(slot, *each))
            .map(|each| self.nodes.storage(each).node)
            .filter(|place| {
                let node = self.nodes.node(*place);
                node.alive && node.transfer.len() + (node.transfers as usize) < limit
            })
            .collect();
        let leaving = candidates
            .iter()
            .copied()
            .find(|place| self.nodes.node(*place).admin == AdminState::DecommissionInprogress);
        leaving.or_else(|| {
            let choice = self.random.below(candidates.len());
            candidates.get(choice).copied()
        })
    }
}
