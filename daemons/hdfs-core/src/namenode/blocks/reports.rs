//! What datanodes say they have: full reports, incremental ones, and complaints about bad replicas.
//!
//! A report never changes the namespace; it only moves replicas in and out of blocks. What is
//! decided here, per replica: stored (good or corrupt), expected (part of a pipeline), or unknown
//! (deleted).

use hdfs_wire::block_list::{ReplicaState, ReportedReplica};
use hdfs_wire::proto::hdfs::{DatanodeStorageProto, LocatedBlockProto};

use super::block_map::{Damage, Expected, Slot, StorageId};
use super::nodes::NAME_BYTES_MAX;
use super::registry::NodeId;
use super::{Block, BlockManager, BlockState};
use crate::Millis;

impl BlockManager {
    /// Is it this node's turn for a full report?
    pub(in crate::namenode) fn report_allowed(
        &mut self,
        now: Millis,
        node: NodeId,
        lease: u64,
    ) -> bool {
        self.advance(now);
        self.leases.check(node, lease, self.clock)
    }

    /// The last part of a full report was read.
    pub(in crate::namenode) fn end_report(&mut self, node: NodeId) {
        self.leases.end(node);
        self.check_safe_mode();
    }

    /// After incremental reports: safe mode may be over.
    pub(in crate::namenode) fn settled(&mut self, now: Millis) {
        self.advance(now);
        if self.safe.in_startup() {
            self.check_safe_mode();
        }
    }

    /// A node's storage by uuid; made when a report is the first to name it. `None` when the node
    /// has too many, or the uuid is absurd.
    pub(in crate::namenode) fn known_storage(
        &mut self,
        node: NodeId,
        uuid: &str,
        described: Option<&DatanodeStorageProto>,
    ) -> Option<StorageId> {
        if let Some(known) = self.nodes.storage_of(node, uuid) {
            return Some(known);
        }
        if uuid.is_empty() || uuid.len() > NAME_BYTES_MAX {
            return None;
        }
        self.nodes.ensure_storage(node, uuid, described)
    }

    /// One storage's part of a full report.
    pub(in crate::namenode) fn storage_report(
        &mut self,
        node: NodeId,
        storage: &DatanodeStorageProto,
        replicas: &[ReportedReplica],
    ) {
        if let Some(id) = self.known_storage(node, &storage.storage_uuid, Some(storage)) {
            self.full_report(id, replicas.iter().copied());
        }
    }

    /// Incremental: a replica is being written.
    pub(in crate::namenode) fn receiving(&mut self, storage: StorageId, block: Block) {
        let Block { id, length, stamp } = block;
        self.reported(
            storage,
            ReportedReplica { id, length, stamp, state: ReplicaState::BeingWritten },
        );
    }

    /// A full report of one storage: what is not in it is not there.
    pub(in crate::namenode) fn full_report(
        &mut self,
        storage: StorageId,
        replicas: impl Iterator<Item = ReportedReplica>,
    ) {
        let mut seen = vec![0_u64; (self.map.top() as usize).div_ceil(64)];
        for replica in replicas {
            if let Some(slot) = self.reported(storage, replica) {
                seen[slot as usize / 64] |= 1 << (slot % 64);
                self.insist_on_deletion(slot, storage);
            }
        }
        let missing = |slot: &Slot| seen[*slot as usize / 64] & (1 << (slot % 64)) == 0;
        for slot in self.slots_of(storage).into_iter().filter(missing) {
            self.detach(slot, storage);
            self.reassess(slot);
        }
        let list = self.nodes.storage_mut(storage);
        let was_stale = std::mem::replace(&mut list.stale, false);
        let node = list.node;
        self.nodes.node_mut(node).last_report = self.clock;
        if was_stale && !(self.postponed.is_empty() && self.damaged.is_empty()) {
            // Deletions that waited for this report.
            for slot in self.slots_of(storage) {
                if self.postponed.contains(&slot) || self.damaged.contains(&slot) {
                    self.reassess(slot);
                }
            }
        }
    }

    /// A replica that was to be deleted is still there: its node forgot, so it is told again,
    /// unless the replica has become precious meanwhile.
    fn insist_on_deletion(&mut self, slot: Slot, storage: StorageId) {
        let Some(rare) = self.map.rare(slot) else { return };
        let block = self.map.block(slot);
        if rare.excess.contains(&storage) {
            if self.numbers(slot).live >= self.map.replication(slot) {
                self.queue_deletion(storage, block.id, block.stamp);
            } else {
                self.forget_deletion(storage, block.id);
                self.map.change_rare(slot, |rare| rare.excess.retain(|each| *each != storage));
                self.reassess(slot);
            }
        } else if let Some(mark) = self.map.corrupt(slot, storage).filter(|each| each.ordered) {
            self.queue_deletion(storage, block.id, mark.stamp);
        }
    }

    /// One reported replica, from a full or an incremental report. Gives the slot if the block is
    /// known.
    pub(in crate::namenode) fn reported(
        &mut self,
        storage: StorageId,
        replica: ReportedReplica,
    ) -> Option<Slot> {
        let block = block_of(replica);
        let Some(slot) = self.map.find(block.id) else {
            // While image and edits are being read, unknown only means not known yet.
            if !self.safe.is_loading() {
                self.queue_deletion(storage, block.id, block.stamp);
            }
            return None;
        };
        let node = self.nodes.node(self.nodes.storage(storage).node);
        if node.invalidate.get(&block.id) == Some(&block.stamp) {
            // Its deletion waits for the next heartbeat; it does not count any more.
            return Some(slot);
        }
        if self.contradicts(slot, replica) {
            self.settle(slot, storage);
            self.mark_corrupt(slot, storage, Damage::Mismatch, block.stamp);
            self.reassess(slot);
            return Some(slot);
        }
        let open = self.map.state(slot) != BlockState::Complete;
        if open {
            self.heard_of(slot, storage, replica);
        }
        if replica.state == ReplicaState::Finalized {
            self.forget_deletion(storage, block.id);
            let healed = self.heal(slot, storage);
            if self.settle(slot, storage) || healed || open {
                self.reassess(slot);
            }
        }
        Some(slot)
    }

    /// Can this replica not be one of the block?
    fn contradicts(&self, slot: Slot, replica: ReportedReplica) -> bool {
        let stored = self.map.block(slot);
        let block = block_of(replica);
        match (replica.state, self.map.state(slot)) {
            (ReplicaState::Finalized, BlockState::Complete | BlockState::Committed) => {
                block != stored
            }
            (ReplicaState::Finalized, BlockState::UnderConstruction) => block.stamp < stored.stamp,
            (ReplicaState::Finalized, BlockState::UnderRecovery) => false,
            // A slow node may not have finalized yet what is complete already.
            (ReplicaState::BeingWritten, BlockState::Complete) => block.stamp != stored.stamp,
            (ReplicaState::WaitingToBeRecovered, BlockState::Complete) => true,
            (ReplicaState::BeingWritten | ReplicaState::WaitingToBeRecovered, _) => false,
            (_, _) => true,
        }
    }

    /// Keeps what a node says of its replica of an open block.
    fn heard_of(&mut self, slot: Slot, storage: StorageId, replica: ReportedReplica) {
        let node = self.nodes.storage(storage).node;
        let heard = Expected {
            storage,
            stamp: replica.stamp,
            length: replica.length,
            state: replica.state,
        };
        let nodes = &self.nodes;
        self.map.change_rare(slot, |rare| {
            let expected = &mut rare.construction.get_or_insert_default().expected;
            // The node may have chosen another of its volumes than it was told.
            match expected.iter_mut().find(|each| nodes.storage(each.storage).node == node) {
                Some(known)
                    if known.finalized() && !heard.finalized() && known.stamp >= heard.stamp => {}
                Some(known) => *known = heard,
                None => expected.push(heard),
            }
        });
        if !heard.finalized() && self.map.holds(slot, storage) && !self.is_corrupt(slot, storage) {
            self.reopened_on(slot, storage, heard);
        }
    }

    /// A replica that was finalized is being written again (append).
    fn reopened_on(&mut self, slot: Slot, storage: StorageId, heard: Expected) {
        if heard.stamp > self.map.block(slot).stamp {
            self.detach(slot, storage);
        }
    }

    /// Stores a replica on its storage, and takes it off any other storage of the same node: a node
    /// holds a block once. True when something changed.
    pub(super) fn settle(&mut self, slot: Slot, storage: StorageId) -> bool {
        if self.map.holds(slot, storage) {
            return false;
        }
        let node = self.nodes.storage(storage).node;
        let elsewhere: Vec<StorageId> =
            self.map.replicas(slot).filter(|each| self.nodes.storage(*each).node == node).collect();
        for other in elsewhere {
            self.detach(slot, other);
        }
        self.attach(slot, storage);
        self.nodes.storage_mut(storage).arrived();
        self.arrived(slot, node);
        true
    }

    /// A copy that was on its way to a node is there.
    fn arrived(&mut self, slot: Slot, node: NodeId) {
        if !self.pending.contains(&slot) {
            return;
        }
        let nodes = &self.nodes;
        let done = self.map.change_rare(slot, |rare| {
            if let Some(pending) = &mut rare.pending {
                pending.storages.retain(|each| nodes.storage(*each).node != node);
                if pending.storages.is_empty() {
                    rare.pending = None;
                }
            }
            rare.pending.is_none()
        });
        if done {
            self.pending.remove(&slot);
        }
    }

    /// Incremental: a replica is whole. `hint` names the node that may lose its replica for it.
    pub(in crate::namenode) fn received(
        &mut self,
        storage: StorageId,
        block: Block,
        hint: Option<&str>,
    ) {
        // A move's source is to be chosen, not whatever reassess would choose.
        let slot = self.map.find(block.id);
        if let (Some(slot), Some(hint)) = (slot, hint.filter(|hint| !hint.is_empty())) {
            let node = self.nodes.node(self.nodes.storage(storage).node);
            let fits = self.map.state(slot) == BlockState::Complete
                && self.map.block(slot) == block
                && !node.invalidate.contains_key(&block.id);
            if fits && self.settle(slot, storage) && self.scanned.is_some() {
                if self.numbers(slot).live > self.map.replication(slot) {
                    self.shed_excess(slot, Some(hint));
                }
                self.reassess(slot);
                return;
            }
        }
        let Block { id, length, stamp } = block;
        let state = ReplicaState::Finalized;
        self.reported(storage, ReportedReplica { id, length, stamp, state });
    }

    /// Incremental: a replica is gone.
    pub(in crate::namenode) fn deleted(&mut self, storage: StorageId, block: Block) {
        let Some(slot) = self.map.find(block.id) else { return };
        let current = self.map.block(slot).stamp;
        let stamp = self.map.corrupt(slot, storage).map_or(current, |each| each.stamp);
        // Late news of an older replica must not take away the one that replaced it.
        if block.stamp != stamp && self.map.state(slot) == BlockState::Complete {
            return;
        }
        if self.map.construction(slot).is_some() {
            self.map.change_rare(slot, |rare| {
                let expected = rare.construction.iter_mut().flat_map(|each| &mut each.expected);
                expected
                    .filter(|each| each.storage == storage)
                    .for_each(|each| each.state = ReplicaState::BeingWritten);
            });
        }
        if self.detach(slot, storage) {
            self.reassess(slot);
        }
    }

    /// A reader, or a datanode's scanner, found wrong bytes in these replicas.
    pub(in crate::namenode) fn complain(&mut self, located: &LocatedBlockProto) {
        let id = located.b.block_id.cast_signed();
        let Some(slot) = self.map.find(id) else { return };
        let stamp = located.b.generation_stamp;
        // Of a block being written the pipeline takes care; an older one is judged by reports.
        let fits = self.map.block(slot).stamp == stamp;
        if !fits || self.map.state(slot) != BlockState::Complete {
            return;
        }
        for (number, info) in located.locs.iter().enumerate() {
            let Some(node) = self.nodes.by_uuid(&info.id.datanode_uuid) else { continue };
            let named = located.storage_i_ds.get(number);
            let named = named.and_then(|uuid| self.nodes.storage_of(node, uuid));
            let mut stored = self.map.replicas(slot);
            let bad =
                stored.find(|each| Some(*each) == named || self.nodes.storage(*each).node == node);
            drop(stored);
            if let Some(storage) = bad {
                self.mark_corrupt(slot, storage, Damage::Bytes, stamp);
            }
        }
        self.reassess(slot);
    }
}

fn block_of(replica: ReportedReplica) -> Block {
    Block { id: replica.id, length: replica.length, stamp: replica.stamp }
}
