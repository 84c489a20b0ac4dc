//! Blocks on their way to Complete: the expected pipeline, the client's commit, the change of
//! states and the counters that follow. Nothing here talks to a datanode.

use hdfs_wire::Fault;
use hdfs_wire::block_list::ReplicaState;

use super::block_map::{Construction, Damage, Expected, NEEDED, Pending, SAFE, Slot, StorageId};
use super::{Block, BlockManager, BlockState, COMPLETED_MAX, Target, unknown_block};

impl BlockManager {
    /// The pipeline a client was sent to (addBlock, updatePipeline).
    pub fn expect(&mut self, id: i64, targets: &[Target]) {
        let Some(slot) = self.map.find(id) else { return };
        let stamp = self.map.block(slot).stamp;
        let storages: Vec<_> = targets.iter().filter_map(|each| self.storage_at(each)).collect();
        self.expect_no_more(slot, &storages);
        for storage in &storages {
            let construction = self.map.construction(slot);
            let mut known = construction.iter().flat_map(|each| &each.expected);
            if !self.map.holds(slot, *storage) && !known.any(|each| each.storage == *storage) {
                self.nodes.storage_mut(*storage).scheduled[0] += 1;
            }
        }
        if self.map.state(slot) == BlockState::Complete {
            return;
        }
        self.map.change_rare(slot, |rare| {
            let construction = rare.construction.get_or_insert_default();
            let known = std::mem::take(&mut construction.expected);
            construction.expected = storages
                .into_iter()
                .map(|storage| {
                    let heard = known.iter().find(|each| each.storage == storage).copied();
                    let state = ReplicaState::BeingWritten;
                    let mut each = heard.unwrap_or(Expected { storage, stamp, length: 0, state });
                    if each.state == ReplicaState::WaitingToBeRecovered {
                        // Its writer came back to it.
                        each.state = state;
                    }
                    each
                })
                .collect();
            // A finalized replica that was reported early still counts.
            construction
                .expected
                .extend(known.into_iter().filter(|each| each.finalized() && each.stamp == stamp));
            dedup(&mut construction.expected);
        });
        self.drop_strangers(slot);
    }

    /// Room for replicas that were expected, and now are not, is room again. Those of `still` are.
    pub(super) fn expect_no_more(&mut self, slot: Slot, still: &[StorageId]) {
        let Some(construction) = self.map.construction(slot) else { return };
        let gone: Vec<StorageId> = construction
            .expected
            .iter()
            .filter(|each| !each.finalized() && !still.contains(&each.storage))
            .map(|each| each.storage)
            .collect();
        for storage in gone {
            self.nodes.storage_mut(storage).arrived();
        }
    }

    /// The client's word on stamp and length. Becomes Complete at once when enough replicas are
    /// reported.
    ///
    /// # Errors
    /// `IOException`: unknown block, another stamp, or a length below the one known.
    pub fn commit(&mut self, block: Block) -> Result<BlockState, Fault> {
        let slot = self.map.find(block.id).ok_or_else(|| unknown_block(block.id))?;
        let stored = self.map.block(slot);
        if stored.stamp != block.stamp {
            return Err(Fault::io(format!(
                "Commit block with mismatching GS. NN has {}, client submits {}",
                text(stored),
                text(block)
            )));
        }
        if block.length < stored.length {
            return Err(Fault::io(format!(
                "Commit block {}: its length {} is less than the stored one {}",
                text(block),
                block.length,
                stored.length
            )));
        }
        let state = self.map.state(slot);
        if matches!(state, BlockState::Complete | BlockState::Committed) {
            return Ok(state);
        }
        self.map.set_block(slot, block);
        self.map.set_state(slot, BlockState::Committed);
        self.drop_strangers(slot);
        self.judge_lengths(slot);
        self.reassess(slot);
        Ok(self.map.state(slot))
    }

    /// The pipeline of a block being written, or the replicas of a complete one.
    pub fn locations(&self, id: i64) -> Vec<Target> {
        let Some(slot) = self.map.find(id) else { return Vec::new() };
        self.where_to_look(slot).into_iter().map(|storage| self.target_at(storage)).collect()
    }

    /// Whether any node, dead ones too, holds the block or was told to: then bytes of it may exist.
    pub fn was_placed(&self, id: i64) -> bool {
        let Some(slot) = self.map.find(id) else { return false };
        let expected = self.map.construction(slot).is_some_and(|each| !each.expected.is_empty());
        expected || self.map.replicas(slot).next().is_some()
    }

    /// Storages that hold, or should come to hold, the block; dead nodes left out.
    pub(super) fn where_to_look(&self, slot: Slot) -> Vec<StorageId> {
        let expected = self.map.construction(slot).map(|each| each.expected.as_slice());
        let storages: Vec<StorageId> = match expected {
            Some(expected) if !expected.is_empty() => {
                expected.iter().map(|each| each.storage).collect()
            }
            _ => self.map.replicas(slot).collect(),
        };
        storages.into_iter().filter(|storage| self.nodes.host(*storage).alive).collect()
    }

    // ---- states ----

    /// Complete, with the counters that follow. Nodes of the pipeline that have not reported yet
    /// count as copies on their way.
    pub(super) fn set_complete(&mut self, slot: Slot) {
        if self.map.state(slot) == BlockState::Complete {
            return;
        }
        self.map.set_state(slot, BlockState::Complete);
        self.complete += 1;
        self.judge_left_behind(slot);
        let (id, now) = (self.map.block(slot).id, self.clock);
        if !self.safe.is_loading() {
            if self.completed.len() >= COMPLETED_MAX {
                self.completed.clear();
            }
            self.completed.push(id);
        }
        let late: Vec<StorageId> = self
            .where_to_look(slot)
            .into_iter()
            .filter(|storage| !self.map.holds(slot, *storage))
            .collect();
        if self.map.rare(slot).is_some() {
            self.map.change_rare(slot, |rare| {
                rare.construction = None;
                rare.pending = (!late.is_empty()).then_some(Pending { storages: late, since: now });
            });
        }
        let pending = self.map.rare(slot).is_some_and(|rare| rare.pending.is_some());
        if pending {
            self.pending.insert(slot);
        }
    }

    /// Under construction again, its replicas the expected pipeline.
    pub(super) fn set_writable(&mut self, slot: Slot) {
        if self.map.state(slot) == BlockState::Complete {
            self.complete -= 1;
        }
        self.map.set_state(slot, BlockState::UnderConstruction);
        let block = self.map.block(slot);
        let storages: Vec<StorageId> =
            self.map.replicas(slot).filter(|storage| !self.is_corrupt(slot, *storage)).collect();
        self.pending.remove(&slot);
        self.map.change_rare(slot, |rare| {
            rare.pending = None;
            let construction = rare.construction.get_or_insert_with(Construction::default);
            if construction.expected.is_empty() {
                construction.expected = storages
                    .into_iter()
                    .map(|storage| Expected {
                        storage,
                        stamp: block.stamp,
                        length: block.length,
                        state: ReplicaState::Finalized,
                    })
                    .collect();
            }
        });
    }

    /// Takes a block out of every counter and queue.
    pub(super) fn forget_state(&mut self, slot: Slot) {
        if self.map.state(slot) == BlockState::Complete {
            self.complete -= 1;
        }
        if self.map.has(slot, SAFE) {
            self.safe_blocks -= 1;
        }
        if self.map.has(slot, NEEDED) {
            self.needed.take(slot);
        }
        self.postponed.remove(&slot);
        self.pending.remove(&slot);
        self.damaged.remove(&slot);
    }

    // ---- replicas that do not fit ----

    /// Takes out the stored replicas of an open block that were reported with another stamp than
    /// the block has now: they were left behind by a pipeline change.
    pub(super) fn drop_strangers(&mut self, slot: Slot) {
        let stamp = self.map.block(slot).stamp;
        let Some(construction) = self.map.construction(slot) else { return };
        let strangers: Vec<StorageId> = construction
            .expected
            .iter()
            .filter(|each| each.finalized() && each.stamp != stamp)
            .map(|each| each.storage)
            .collect();
        for storage in strangers {
            self.detach(slot, storage);
            self.map.change_rare(slot, |rare| {
                for each in rare.construction.iter_mut().flat_map(|each| &mut each.expected) {
                    if each.storage == storage {
                        each.state = ReplicaState::BeingWritten;
                    }
                }
            });
        }
    }

    /// Marks the stored replicas whose reported length is not the committed one.
    fn judge_lengths(&mut self, slot: Slot) {
        let length = self.map.block(slot).length;
        let Some(construction) = self.map.construction(slot) else { return };
        let wrong: Vec<StorageId> = construction
            .expected
            .iter()
            .filter(|each| each.finalized() && each.length != length)
            .map(|each| each.storage)
            .filter(|storage| self.map.holds(slot, *storage))
            .collect();
        let stamp = self.map.block(slot).stamp;
        for storage in wrong {
            self.mark_corrupt(slot, storage, Damage::Mismatch, stamp);
        }
    }

    /// Marks the replicas that a restarted node found half written: no writer came back to them,
    /// so none of them is on its way, and each is in the way of the copy its node needs.
    fn judge_left_behind(&mut self, slot: Slot) {
        let Some(construction) = self.map.construction(slot) else { return };
        let left: Vec<Expected> = construction
            .expected
            .iter()
            .filter(|each| each.state == ReplicaState::WaitingToBeRecovered)
            .copied()
            .collect();
        for each in left {
            let node = self.nodes.storage(each.storage).node;
            let whole = self.map.replicas(slot).any(|it| self.nodes.storage(it).node == node);
            if !whole && self.nodes.node(node).alive {
                self.settle(slot, each.storage);
                self.mark_corrupt(slot, each.storage, Damage::Mismatch, each.stamp);
            }
        }
    }
}

/// Keeps the first entry of each storage.
fn dedup(expected: &mut Vec<Expected>) {
    let mut kept: Vec<Expected> = Vec::with_capacity(expected.len());
    for each in expected.drain(..) {
        if !kept.iter().any(|other| other.storage == each.storage) {
            kept.push(each);
        }
    }
    *expected = kept;
}

/// A block as Hadoop prints it.
pub(super) fn text(block: Block) -> String {
    format!("blk_{}_{}", block.id, block.stamp)
}
