//! What follows from a block's replicas: is it complete, safe, in need of copies, or of deletions?
//! [`BlockManager::reassess`] is the one place that decides; it runs after every change.

use super::block_map::{Corrupt, Damage, NEEDED, SAFE, Slot, StorageId};
use super::queue::Priority;
use super::{BlockManager, BlockState};
use hdfs_wire::proto::hdfs::datanode_info_proto::AdminState;

/// A copy that a node shall send: the block and where to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Transfer {
    pub(super) id: i64,
    pub(super) targets: Vec<StorageId>,
}

/// Replicas of one block by what they are good for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Numbers {
    /// Good, on nodes in service, meant to stay.
    pub(super) live: usize,
    /// Good, on nodes that leave: may be read and copied, does not count.
    pub(super) leaving: usize,
    pub(super) corrupt: usize,
    /// Good, but chosen for deletion.
    pub(super) excess: usize,
    /// Of the live ones, those on storages without a full report since the registration.
    pub(super) stale: usize,
}

impl Numbers {
    /// Replicas a reader or a copy may start from and that will not be deleted.
    pub(super) fn usable(self) -> usize {
        self.live + self.leaving
    }
}

impl BlockManager {
    /// Counts the stored replicas.
    pub(super) fn numbers(&self, slot: Slot) -> Numbers {
        let mut numbers = Numbers::default();
        let rare = self.map.rare(slot);
        for storage in self.map.replicas(slot) {
            if rare.is_some_and(|rare| rare.corrupt.iter().any(|each| each.storage == storage)) {
                numbers.corrupt += 1;
            } else if rare.is_some_and(|rare| rare.excess.contains(&storage)) {
                numbers.excess += 1;
            } else if self.nodes.host(storage).admin == AdminState::Normal {
                numbers.live += 1;
                numbers.stale += usize::from(self.nodes.storage(storage).stale);
            } else {
                numbers.leaving += 1;
            }
        }
        numbers
    }

    pub(super) fn is_corrupt(&self, slot: Slot, storage: StorageId) -> bool {
        self.map.corrupt(slot, storage).is_some()
    }

    pub(super) fn is_excess(&self, slot: Slot, storage: StorageId) -> bool {
        self.map.rare(slot).is_some_and(|rare| rare.excess.contains(&storage))
    }

    // ---- the one place of consequences ----

    /// Derives everything that depends on the block's replicas.
    pub(super) fn reassess(&mut self, slot: Slot) {
        let mut numbers = self.numbers(slot);
        let least = usize::from(self.settings.replication_min);
        if self.map.state(slot) == BlockState::Committed && numbers.usable() >= least {
            self.set_complete(slot);
            numbers = self.numbers(slot);
        }
        let complete = self.map.state(slot) == BlockState::Complete;
        let safe = complete && numbers.usable() + numbers.excess >= least;
        if safe != self.map.has(slot, SAFE) {
            self.map.set_flag(slot, SAFE, safe);
            self.safe_blocks = if safe { self.safe_blocks + 1 } else { self.safe_blocks - 1 };
        }
        if self.scanned.is_none() {
            return;
        }
        if complete && numbers.excess > 0 && numbers.live < self.map.replication(slot) {
            self.recall_excess(slot);
            numbers = self.numbers(slot);
        }
        if complete && numbers.corrupt > 0 {
            self.delete_corrupt(slot, numbers);
            numbers = self.numbers(slot);
        }
        self.judge_need(slot, complete, numbers);
        if complete && numbers.live > self.map.replication(slot) {
            self.shed_excess(slot, None);
        } else {
            self.postponed.remove(&slot);
        }
    }

    fn judge_need(&mut self, slot: Slot, complete: bool, numbers: Numbers) {
        let priority = if complete { self.priority(slot, numbers) } else { None };
        let queued = self.map.has(slot, NEEDED);
        match priority {
            Some(priority) => self.needed.put(slot, priority, queued),
            None if queued => {
                self.needed.take(slot);
            }
            None => {}
        }
        self.map.set_flag(slot, NEEDED, priority.is_some());
    }

    /// How urgent copies are; `None` when none are needed beyond those on their way.
    fn priority(&self, slot: Slot, numbers: Numbers) -> Option<Priority> {
        let wanted = self.map.replication(slot);
        let pending = self.map.rare(slot).and_then(|rare| rare.pending.as_ref());
        let pending = pending.map_or(0, |pending| pending.storages.len());
        if numbers.live + pending >= wanted {
            let misplaced = pending == 0 && !self.spread_enough(slot, wanted);
            return misplaced.then_some(Priority::Misplaced);
        }
        Some(match numbers.live {
            0 if numbers.usable() == 0 && numbers.excess == 0 => Priority::Lost,
            0 | 1 if wanted > 1 || numbers.live == 0 => Priority::Highest,
            live if live * 3 < wanted => Priority::VeryLow,
            _ => Priority::Low,
        })
    }

    /// Are the live replicas on two racks, if there are two?
    fn spread_enough(&self, slot: Slot, wanted: usize) -> bool {
        if wanted < 2 || self.nodes.rack_count() < 2 {
            return true;
        }
        let mut racks = self.live_storages(slot).map(|storage| &self.nodes.host(storage).rack);
        let first = racks.next();
        racks.any(|rack| Some(rack) != first)
    }

    /// Storages whose replica is good, in service and to stay.
    pub(super) fn live_storages(&self, slot: Slot) -> impl Iterator<Item = StorageId> + '_ {
        self.map.replicas(slot).filter(move |storage| {
            !self.is_corrupt(slot, *storage)
                && !self.is_excess(slot, *storage)
                && self.nodes.host(*storage).admin == AdminState::Normal
        })
    }

    // ---- deletions ----

    /// Chooses replicas beyond the wanted number and orders their deletion, unless some of the live
    /// ones are on storages that may have lost them meanwhile. `hint` is the node a balancer copied
    /// from.
    pub(super) fn shed_excess(&mut self, slot: Slot, hint: Option<&str>) {
        let numbers = self.numbers(slot);
        if numbers.stale > 0 {
            self.postponed.insert(slot);
            return;
        }
        self.postponed.remove(&slot);
        let wanted = self.map.replication(slot).max(usize::from(self.settings.replication_min));
        let block = self.map.block(slot);
        for _ in wanted..numbers.live {
            let Some(storage) = self.choose_excess(slot, hint) else { break };
            self.map.change_rare(slot, |rare| rare.excess.push(storage));
            self.queue_deletion(storage, block.id, block.stamp);
        }
    }

    /// The replica to lose: the hinted node's if racks allow, else from the fullest rack one on a
    /// silent node, else the one with least room.
    fn choose_excess(&self, slot: Slot, hint: Option<&str>) -> Option<StorageId> {
        let live: Vec<StorageId> = self.live_storages(slot).collect();
        let on_rack = |storage: StorageId| {
            let rack = &self.nodes.host(storage).rack;
            live.iter().filter(|each| &self.nodes.host(**each).rack == rack).count()
        };
        let racks = live.iter().filter(|each| on_rack(**each) == 1).count();
        let crowded = live.iter().any(|each| on_rack(*each) > 1);
        let racks = racks + usize::from(crowded);
        let hinted = live
            .iter()
            .copied()
            .find(|each| hint.is_some_and(|hint| self.nodes.host(*each).id.datanode_uuid == hint));
        if let Some(hinted) = hinted
            && (on_rack(hinted) > 1 || racks > 2 || self.nodes.rack_count() < 2)
        {
            return Some(hinted);
        }
        let silent_ms = self.settings.heartbeat_interval_ms * 4;
        live.iter().copied().filter(|each| !crowded || on_rack(*each) > 1).min_by_key(|each| {
            let node = self.nodes.host(*each);
            let silent = node.silent(self.clock, silent_ms);
            (!silent, self.nodes.storage(*each).space.remaining, *each)
        })
    }

    /// Takes deletions back that no heartbeat has carried yet, because the replicas are needed
    /// again.
    fn recall_excess(&mut self, slot: Slot) {
        let block = self.map.block(slot);
        let excess = self.map.rare(slot).map(|rare| rare.excess.clone()).unwrap_or_default();
        let missing = self.map.replication(slot).saturating_sub(self.numbers(slot).live);
        let mut recalled = Vec::new();
        for storage in excess {
            if recalled.len() == missing {
                break;
            }
            let node = self.nodes.storage(storage).node;
            if self.nodes.node_mut(node).invalidate.remove(&block.id).is_some() {
                self.pending_deletions -= 1;
                recalled.push(storage);
            }
        }
        if !recalled.is_empty() {
            self.map.change_rare(slot, |rare| rare.excess.retain(|each| !recalled.contains(each)));
        }
    }

    /// Orders the deletion of corrupt replicas, if the good ones are enough without them, or if no
    /// other node is left that a good copy could go to.
    fn delete_corrupt(&mut self, slot: Slot, numbers: Numbers) {
        let least = usize::from(self.settings.replication_min).max(1);
        if numbers.stale > 0 || numbers.live < least {
            return;
        }
        let enough = numbers.live >= self.map.replication(slot);
        if !enough && self.has_spare_node(slot) {
            return;
        }
        // Wrong bytes are one reader's word: without a full set of good ones, two must vouch.
        let may_go = |each: &Corrupt| {
            !each.ordered && (enough || each.damage == Damage::Mismatch || numbers.live > 1)
        };
        let id = self.map.block(slot).id;
        let corrupt = self.map.rare(slot).map(|rare| rare.corrupt.clone()).unwrap_or_default();
        for each in corrupt.into_iter().filter(may_go) {
            self.queue_deletion(each.storage, id, each.stamp);
        }
        self.map.change_rare(slot, |rare| {
            rare.corrupt
                .iter_mut()
                .filter(|each| may_go(each))
                .for_each(|each| each.ordered = true);
        });
    }

    /// Is there a node in service without any replica of the block?
    fn has_spare_node(&self, slot: Slot) -> bool {
        let holders: Vec<_> =
            self.map.replicas(slot).map(|each| self.nodes.storage(each).node).collect();
        let mut live = self.nodes.live().iter();
        live.any(|node| self.nodes.node(*node).in_service() && !holders.contains(node))
    }

    /// Marks a stored replica as corrupt. The caller reassesses.
    pub(super) fn mark_corrupt(
        &mut self,
        slot: Slot,
        storage: StorageId,
        damage: Damage,
        stamp: u64,
    ) {
        self.map.change_rare(slot, |rare| {
            rare.excess.retain(|each| *each != storage);
            match rare.corrupt.iter_mut().find(|each| each.storage == storage) {
                Some(known) => {
                    known.stamp = stamp;
                    if damage == Damage::Bytes {
                        known.damage = damage;
                    }
                }
                None => rare.corrupt.push(Corrupt { storage, damage, stamp, ordered: false }),
            }
        });
        self.damaged.insert(slot);
    }

    /// A replica's report fits again: it was marked for its stamp or length only. True when it was.
    pub(super) fn heal(&mut self, slot: Slot, storage: StorageId) -> bool {
        let mark = self.map.corrupt(slot, storage);
        if mark.is_none_or(|each| each.damage != Damage::Mismatch) {
            return false;
        }
        let healed = self.map.change_rare(slot, |rare| {
            rare.corrupt.retain(|each| each.storage != storage);
            rare.corrupt.is_empty()
        });
        if healed {
            self.damaged.remove(&slot);
        }
        true
    }

    /// Orders a node to delete its replica. The deletion goes out with one of its next heartbeats.
    pub(super) fn queue_deletion(&mut self, storage: StorageId, id: i64, stamp: u64) {
        let node = self.nodes.storage(storage).node;
        let node = self.nodes.node_mut(node);
        // A dead node is told when it comes back and reports.
        if node.alive && node.invalidate.insert(id, stamp).is_none() {
            self.pending_deletions += 1;
        }
    }

    /// Takes a deletion back: the node has a newer, good replica of the block.
    pub(super) fn forget_deletion(&mut self, storage: StorageId, id: i64) {
        let node = self.nodes.storage(storage).node;
        if self.nodes.node_mut(node).invalidate.remove(&id).is_some() {
            self.pending_deletions -= 1;
        }
    }

    // ---- the map and the storages' lists change together, only here ----

    /// Stores a replica; false when it is there already.
    pub(super) fn attach(&mut self, slot: Slot, storage: StorageId) -> bool {
        if self.map.holds(slot, storage) {
            return false;
        }
        self.map.add_replica(slot, storage);
        let storage = self.nodes.storage_mut(storage);
        storage.slots.push(slot);
        storage.count += 1;
        true
    }

    /// Forgets a replica; false when it was not there.
    pub(super) fn detach(&mut self, slot: Slot, storage: StorageId) -> bool {
        if !self.map.remove_replica(slot, storage) {
            return false;
        }
        if self.damaged.contains(&slot)
            && self.map.rare(slot).is_none_or(|rare| rare.corrupt.is_empty())
        {
            self.damaged.remove(&slot);
        }
        let list = self.nodes.storage_mut(storage);
        list.count -= 1;
        if list.slots.len() > 2 * list.count + SLACK {
            let slots = std::mem::take(&mut list.slots);
            self.nodes.storage_mut(storage).slots = self.stored(slots, storage);
        }
        true
    }

    /// The blocks a storage holds, each once, in slot order.
    pub(super) fn slots_of(&self, storage: StorageId) -> Vec<Slot> {
        self.stored(self.nodes.storage(storage).slots.clone(), storage)
    }

    fn stored(&self, mut slots: Vec<Slot>, storage: StorageId) -> Vec<Slot> {
        slots.sort_unstable();
        slots.dedup();
        slots.retain(|slot| self.map.holds(*slot, storage));
        slots.shrink_to_fit();
        slots
    }
}

/// Stale entries a storage's list may hold beyond one per replica before it is tidied.
const SLACK: usize = 64;
