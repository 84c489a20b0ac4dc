//! Operations on the blocks of open files: add, update, and the list a close brings along.

use hdfs_disk::types::BlockRecord;
use hdfs_wire::Fault;

use super::super::Namenode;
use super::super::blocks::{Block, BlockState};
use super::super::tree::{Slot, Usage};
use super::Source;

fn block_of(record: BlockRecord) -> Block {
    Block { id: record.id, length: record.length, stamp: record.stamp }
}

impl Namenode {
    pub(super) fn apply_add_block(
        &mut self,
        path: &str,
        penultimate: Option<BlockRecord>,
        last: BlockRecord,
        source: Source,
    ) -> Result<(), Fault> {
        let file = self.existing_file(path)?;
        let old_last = self.tree.blocks(file).last();
        if old_last != penultimate.map(|record| record.id) {
            return Err(Fault::io(format!(
                "{path} ends with block {old_last:?}, not with {penultimate:?}"
            )));
        }
        // Only the old last block's share changes: from a full block to its length. Done by hand,
        // since a file may have very many blocks.
        let inode = self.tree.get(file);
        let (size, copies) = (inode.block_size() as i64, i64::from(inode.replication()));
        let mut more = size;
        if let Some(record) = penultimate {
            self.settle(record, source);
            more = record.length as i64;
        }
        self.insert_block(file, last, BlockState::UnderConstruction);
        let parent = self.tree.get(file).parent();
        self.tree.charge(parent, Usage { names: 0, space: more * copies });
        self.newest_block(last.id, last.stamp);
        Ok(())
    }

    pub(super) fn apply_update_blocks(
        &mut self,
        path: &str,
        blocks: &[BlockRecord],
        source: Source,
    ) -> Result<(), Fault> {
        let file = self.existing_file(path)?;
        self.set_records(file, blocks, source, false)
    }

    /// Makes a file's blocks equal to the records: lengths and stamps of those it has, then one
    /// dropped or some new at the end. With `complete` the last one is complete too.
    pub(super) fn set_records(
        &mut self,
        file: Slot,
        records: &[BlockRecord],
        source: Source,
        complete: bool,
    ) -> Result<(), Fault> {
        let ids = self.tree.blocks(file);
        let known = ids.len();
        let common = known.min(records.len());
        if !ids.iter().zip(records).all(|(id, record)| id == record.id) {
            return Err(Fault::io(format!(
                "{} does not have the blocks that are updated",
                self.tree.path(file)
            )));
        }
        if records.len() + 1 < known {
            return Err(Fault::io(format!(
                "{} would lose more than its last block",
                self.tree.path(file)
            )));
        }
        self.with_space(file, |node| {
            for (index, &record) in records[..common].iter().enumerate() {
                if complete || index + 1 < records.len() {
                    node.settle(record, source);
                } else {
                    node.restamp(record);
                }
            }
            if records.len() < known
                && let Some(last) = node.tree.pop_block(file)
            {
                node.blocks.remove(last);
            }
            for (index, &record) in records.iter().enumerate().skip(common) {
                let is_settled = complete || index + 1 < records.len();
                let state =
                    if is_settled { BlockState::Complete } else { BlockState::UnderConstruction };
                node.insert_block(file, record, state);
                node.newest_block(record.id, record.stamp);
            }
        });
        Ok(())
    }

    /// A block that will not change any more. Live it is already so by the reports of datanodes.
    fn settle(&mut self, record: BlockRecord, source: Source) {
        self.restamp(record);
        if source == Source::Replay {
            self.blocks.mark_complete(record.id);
        }
    }

    fn restamp(&mut self, record: BlockRecord) {
        let block = block_of(record);
        if self.blocks.block(record.id).is_none_or(|(known, _)| known != block) {
            self.blocks.restamp(block);
        }
    }

    /// Old logs name blocks without an operation that gave their ids out.
    fn newest_block(&mut self, id: i64, stamp: u64) {
        if id > 0 {
            self.counters.block_id = self.counters.block_id.max(id);
        }
        self.counters.stamp = self.counters.stamp.max(stamp);
    }
}
