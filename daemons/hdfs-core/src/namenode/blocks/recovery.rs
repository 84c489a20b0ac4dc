//! Recovery of blocks whose writer went away: one datanode, the primary, makes the others agree on
//! a length and reports back. This file chooses primaries and writes the commands; what the
//! agreement means for the file, the namespace decides.

use hdfs_wire::block_list::ReplicaState;
use hdfs_wire::proto::hdfs::datanode::datanode_command_proto::Type;
use hdfs_wire::proto::hdfs::datanode::{BlockRecoveryCommandProto, DatanodeCommandProto};
use hdfs_wire::proto::hdfs::{BlockProto, RecoveringBlockProto};

use super::block_map::{Expected, Slot, StorageId};
use super::registry::NodeId;
use super::{Block, BlockManager, BlockState, Target};
use crate::Millis;

/// Recoveries in one heartbeat's answer: the rest goes with the next ones.
const RECOVERIES_PER_HEARTBEAT: usize = 256;

/// A recovery under way.
#[derive(Debug)]
pub(super) struct Recovery {
    /// The stamp the block gets; also names the attempt.
    pub(super) stamp: u64,
    pub(super) started: Millis,
    /// Primaries of this and earlier attempts: each gets a turn before one gets a second.
    tried: Vec<NodeId>,
    /// The length to cut to, when it is a truncate.
    truncate: Option<u64>,
}

impl Recovery {
    /// A node left for good, and its number may name another one later.
    pub(super) fn forget(&mut self, node: NodeId) {
        self.tried.retain(|each| *each != node);
    }
}

impl BlockManager {
    /// Starts (or restarts after its timeout) recovery of a block whose writer is gone: the next
    /// heartbeat of the chosen primary carries the command. False when one is under way.
    pub fn start_recovery(&mut self, now: Millis, id: i64, recovery_stamp: u64) -> bool {
        self.begin_recovery(now, id, recovery_stamp, None)
    }

    /// The same, to make a block shorter: datanodes cut it to `length`.
    pub fn start_truncate(
        &mut self,
        now: Millis,
        id: i64,
        recovery_stamp: u64,
        length: u64,
    ) -> bool {
        self.begin_recovery(now, id, recovery_stamp, Some(length))
    }

    /// Would [`Self::start_recovery`] start one now? Ask before spending a stamp.
    pub fn recovery_due(&self, now: Millis, id: i64) -> bool {
        let Some(slot) = self.map.find(id) else { return false };
        let recovery = self.map.construction(slot).and_then(|each| each.recovery.as_ref());
        recovery.is_none_or(|each| {
            now >= each.started.saturating_add(self.settings.recovery_retry_ms())
        })
    }

    /// The recovery stamp under way for a block.
    pub fn recovery_stamp(&self, id: i64) -> Option<u64> {
        let slot = self.map.find(id)?;
        Some(self.map.construction(slot)?.recovery.as_ref()?.stamp)
    }

    /// The length a truncate under way cuts to.
    pub fn truncate_length(&self, id: i64) -> Option<u64> {
        let slot = self.map.find(id)?;
        self.map.construction(slot)?.recovery.as_ref()?.truncate
    }

    /// The end of a recovery (commitBlockSynchronization): stamp and length are these, and exactly
    /// these storages hold finalized replicas. `commit` then completes the block.
    pub fn finish_recovery(&mut self, block: Block, targets: &[Target]) {
        let Some(slot) = self.map.find(block.id) else { return };
        let storages: Vec<_> = targets.iter().filter_map(|each| self.storage_at(each)).collect();
        if self.map.state(slot) == BlockState::Complete {
            self.set_writable(slot);
        }
        self.map.set_state(slot, BlockState::UnderConstruction);
        self.map.set_block(slot, block);
        let old: Vec<StorageId> = self.map.replicas(slot).collect();
        for storage in old.into_iter().filter(|each| !storages.contains(each)) {
            self.detach(slot, storage);
        }
        self.expect_no_more(slot, &[]);
        for storage in &storages {
            self.heal(slot, *storage);
            self.attach(slot, *storage);
        }
        if !storages.is_empty() {
            self.clear_away(slot, &storages);
        }
        let (length, stamp) = (block.length, block.stamp);
        self.map.change_rare(slot, |rare| {
            let construction = rare.construction.get_or_insert_default();
            construction.recovery = None;
            construction.expected = storages
                .into_iter()
                .map(|storage| Expected { storage, stamp, length, state: ReplicaState::Finalized })
                .collect();
        });
        self.reassess(slot);
    }

    /// Replicas of the old pipeline that did not take part are of no use, and in the way of copies.
    fn clear_away(&mut self, slot: Slot, storages: &[StorageId]) {
        let id = self.map.block(slot).id;
        let expected = self.map.construction(slot).map(|each| each.expected.clone());
        let left = expected.unwrap_or_default().into_iter().filter(|each| {
            let node = self.nodes.storage(each.storage).node;
            !storages.iter().any(|storage| self.nodes.storage(*storage).node == node)
        });
        for each in left.collect::<Vec<_>>() {
            self.queue_deletion(each.storage, id, each.stamp);
        }
    }

    fn begin_recovery(&mut self, now: Millis, id: i64, stamp: u64, truncate: Option<u64>) -> bool {
        self.advance(now);
        let Some(slot) = self.map.find(id).filter(|_| self.recovery_due(now, id)) else {
            return false;
        };
        if self.map.state(slot) == BlockState::Complete {
            self.set_writable(slot);
        }
        self.map.set_state(slot, BlockState::UnderRecovery);
        let before = self
            .map
            .change_rare(slot, |rare| rare.construction.get_or_insert_default().recovery.take());
        let (mut tried, truncate) = match before {
            Some(before) => (before.tried, truncate.or(before.truncate)),
            None => (Vec::new(), truncate),
        };
        if let Some(primary) = self.choose_primary(slot, &mut tried) {
            tried.push(primary);
            let queue = &mut self.nodes.node_mut(primary).recover;
            if !queue.contains(&id) {
                queue.push_back(id);
            }
        }
        let recovery = Recovery { stamp, started: now, tried, truncate };
        self.map.change_rare(slot, |rare| {
            rare.construction.get_or_insert_default().recovery = Some(recovery);
        });
        self.reassess(slot);
        true
    }

    /// The node heard last among those that had no turn yet; when all had one, a new round begins.
    fn choose_primary(&self, slot: Slot, tried: &mut Vec<NodeId>) -> Option<NodeId> {
        let nodes: Vec<NodeId> =
            self.where_to_look(slot).iter().map(|each| self.nodes.storage(*each).node).collect();
        if nodes.iter().all(|node| tried.contains(node)) {
            tried.clear();
        }
        let fresh = nodes.into_iter().filter(|node| !tried.contains(node));
        fresh.max_by_key(|node| (self.nodes.node(*node).heard, u32::MAX - node))
    }

    /// The command for a node that shall lead recoveries. Blocks that were closed, removed or given
    /// to another primary meanwhile are left out.
    pub(super) fn recovery_command(&mut self, node: NodeId) -> Option<DatanodeCommandProto> {
        let mut blocks = Vec::new();
        while blocks.len() < RECOVERIES_PER_HEARTBEAT {
            let Some(id) = self.nodes.node_mut(node).recover.pop_front() else { break };
            blocks.extend(self.recovering(node, id));
        }
        (!blocks.is_empty()).then(|| DatanodeCommandProto {
            cmd_type: Type::BlockRecoveryCommand as i32,
            recovery_cmd: Some(BlockRecoveryCommandProto { blocks }),
            ..DatanodeCommandProto::default()
        })
    }

    fn recovering(&self, node: NodeId, id: i64) -> Option<RecoveringBlockProto> {
        let slot = self.map.find(id)?;
        let recovery = self.map.construction(slot)?.recovery.as_ref()?;
        if recovery.tried.last() != Some(&node) {
            return None;
        }
        let block = self.map.block(slot);
        let all = self.where_to_look(slot);
        let stale_ms = self.settings.stale_interval_ms;
        let fresh: Vec<StorageId> = all
            .iter()
            .copied()
            .filter(|each| !self.nodes.host(*each).silent(self.clock, stale_ms))
            .collect();
        let storages = if fresh.is_empty() { all } else { fresh };
        Some(RecoveringBlockProto {
            new_gen_stamp: recovery.stamp,
            block: self.located_at(block, 0, &storages, false),
            truncate_block: recovery.truncate.map(|length| BlockProto {
                block_id: id.cast_unsigned(),
                gen_stamp: recovery.stamp,
                num_bytes: Some(length),
            }),
            ec_policy: None,
            block_indices: None,
        })
    }
}
