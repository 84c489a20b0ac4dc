//! Operations on the life of a file: add, close, append, truncate, concat, a lease's new holder.

use hdfs_disk::edits::EditOp;
use hdfs_disk::types::BlockRecord;
use hdfs_wire::Fault;

use super::super::Namenode;
use super::super::blocks::{Block, BlockState};
use super::super::retry::Answer;
use super::super::tree::{Kind, Mark, Slot, Usage};
use super::Source;

fn mismatch(op: &EditOp) -> Fault {
    Fault::io(format!("unexpected operation {op:?}"))
}

impl Namenode {
    pub(super) fn apply_add(&mut self, op: &EditOp, source: Source) -> Result<(), Fault> {
        let EditOp::Add { inode_id, path, overwrite, client_name, client_machine, rpc, .. } = op
        else {
            return Err(mismatch(op));
        };
        if let Ok(slot) = self.existing_file(path) {
            if !overwrite {
                return self.apply_old_append(op, slot, source);
            }
            let EditOp::Add { mtime, .. } = op else { return Err(mismatch(op)) };
            self.apply_delete(path, *mtime);
        }
        let id = if *inode_id == 0 { self.tree.last_id + 1 } else { *inode_id };
        let slot = self.add_file(op, id)?;
        self.open(slot, client_name, client_machine);
        if let EditOp::Add { blocks, .. } = op {
            self.set_records(slot, blocks, source, false)?;
        }
        self.remember(rpc, Answer::File(id));
        Ok(())
    }

    /// Makes the inode of an `Add`.
    fn add_file(&mut self, op: &EditOp, id: u64) -> Result<Slot, Fault> {
        let EditOp::Add {
            path,
            replication,
            mtime,
            atime,
            block_size,
            permission,
            acl,
            xattrs,
            storage_policy,
            erasure_coding_policy,
            ..
        } = op
        else {
            return Err(mismatch(op));
        };
        let (resolved, parent) = self.vacant(path)?;
        let permission = self.intern(permission);
        let slot = self.tree.create(Kind::File, id, permission, *mtime as u64);
        let inode = self.tree.get_mut(slot);
        inode.set_atime(*atime as u64);
        inode.set_block_size(*block_size);
        inode.set_policy(*storage_policy);
        inode.set_replication(*replication);
        if *erasure_coding_policy != 0 {
            inode.set(Mark::Striped, true);
            inode.set_replication(u16::from(*erasure_coding_policy));
        }
        self.attach(parent, resolved.name(), slot, Usage { names: 1, space: 0 });
        self.put_logical_acl(slot, acl);
        if !xattrs.is_empty() {
            self.tree.set_xattrs(slot, xattrs.clone());
        }
        Ok(slot)
    }

    /// Before layout -61 an append was logged as an `Add` of an existing file.
    fn apply_old_append(&mut self, op: &EditOp, slot: Slot, source: Source) -> Result<(), Fault> {
        let EditOp::Add { client_name, client_machine, blocks, rpc, .. } = op else {
            return Err(mismatch(op));
        };
        if !self.tree.get(slot).has(Mark::Open) {
            self.reopen(slot, client_name, client_machine, false);
        }
        self.set_records(slot, blocks, source, false)?;
        let id = self.tree.get(slot).id();
        self.remember(rpc, Answer::File(id));
        Ok(())
    }

    pub(super) fn apply_close(&mut self, op: &EditOp, source: Source) -> Result<(), Fault> {
        let EditOp::Close { path, mtime, atime, blocks, .. } = op else {
            return Err(mismatch(op));
        };
        let slot = self.existing_file(path)?;
        self.set_records(slot, blocks, source, true)?;
        let id = self.tree.get(slot).id();
        self.with_space(slot, |node| {
            let inode = node.tree.get_mut(slot);
            inode.set(Mark::Open, false);
            inode.set_mtime(*mtime as u64);
            inode.set_atime(*atime as u64);
        });
        self.leases.close(id);
        Ok(())
    }

    pub(super) fn apply_append(&mut self, op: &EditOp) -> Result<(), Fault> {
        let EditOp::Append { path, client_name, client_machine, new_block, rpc } = op else {
            return Err(mismatch(op));
        };
        let slot = self.existing_file(path)?;
        self.reopen(slot, client_name, client_machine, *new_block);
        let id = self.tree.get(slot).id();
        self.remember(rpc, Answer::File(id));
        Ok(())
    }

    /// A closed file is written again; its last block too, if it has room and is wanted.
    fn reopen(&mut self, slot: Slot, holder: &str, machine: &str, new_block: bool) {
        self.with_space(slot, |node| {
            if let Some(last) = node.partial_block(slot).filter(|_| !new_block) {
                node.blocks.reopen(last);
            }
            node.open(slot, holder, machine);
        });
    }

    /// The last block, if it is not full.
    pub(crate) fn partial_block(&self, file: Slot) -> Option<i64> {
        let last = self.tree.blocks(file).last()?;
        (self.block_length(last) < self.tree.get(file).block_size()).then_some(last)
    }

    /// Marks a file as written by `holder`.
    pub(super) fn open(&mut self, slot: Slot, holder: &str, machine: &str) {
        let inode = self.tree.get_mut(slot);
        inode.set(Mark::Open, true);
        let id = inode.id();
        self.leases.open(id, holder, machine, self.now);
    }

    pub(super) fn apply_reassign(&mut self, path: &str, holder: &str) -> Result<(), Fault> {
        let slot = self.existing_file(path)?;
        self.leases.reassign(self.tree.get(slot).id(), holder, self.now);
        Ok(())
    }

    pub(super) fn apply_truncate(&mut self, op: &EditOp) -> Result<(), Fault> {
        let EditOp::Truncate { path, client_name, client_machine, new_length, timestamp, block } =
            op
        else {
            return Err(mismatch(op));
        };
        let slot = self.existing_file(path)?;
        self.with_space(slot, |node| {
            node.cut_blocks(slot, *new_length);
            if let Some(record) = block {
                node.open(slot, client_name, client_machine);
                node.blocks.reopen(record.id);
                let _ =
                    node.blocks.start_truncate(node.now, record.id, record.stamp, record.length);
            }
        });
        self.tree.get_mut(slot).set_mtime(*timestamp as u64);
        Ok(())
    }

    /// Drops the blocks that begin at or behind `length`.
    fn cut_blocks(&mut self, file: Slot, length: u64) {
        let mut kept = Vec::new();
        let mut dropped = Vec::new();
        let mut offset = 0;
        for id in self.tree.blocks(file).iter() {
            let list = if offset < length { &mut kept } else { &mut dropped };
            list.push(id);
            offset += self.block_length(id);
        }
        self.tree.set_blocks(file, kept);
        for id in dropped {
            self.blocks.remove(id);
        }
    }

    pub(super) fn apply_concat(
        &mut self,
        target: &str,
        sources: &[String],
        timestamp: i64,
    ) -> Result<(), Fault> {
        let slot = self.existing_file(target)?;
        let slots: Vec<_> =
            sources.iter().map(|path| self.existing_file(path)).collect::<Result<_, _>>()?;
        let id = self.tree.get(slot).id();
        let replication = self.tree.get(slot).replication();
        let mut moved = Vec::new();
        for &source in &slots {
            let usage = self.usage_of(source);
            moved.extend(self.tree.blocks(source).iter());
            self.tree.set_blocks(source, Vec::new());
            let parent = self.tree.get(source).parent();
            self.tree.charge(parent, -usage);
            self.tree.unlink(source);
            self.forget(source);
        }
        self.with_space(slot, |node| {
            for &block in &moved {
                node.blocks.set_file(block, id);
                node.blocks.set_replication(block, replication);
            }
            let ids = node.tree.blocks(slot).iter().chain(moved.iter().copied()).collect();
            node.tree.set_blocks(slot, ids);
        });
        self.tree.get_mut(slot).set_mtime(timestamp as u64);
        if let Some(parent) = self.tree.get(slot).parent() {
            self.advance_mtime(parent, timestamp);
        }
        Ok(())
    }

    /// The state in which a block of this record enters the block map.
    pub(super) fn insert_block(&mut self, file: Slot, record: BlockRecord, state: BlockState) {
        let inode = self.tree.get(file);
        let replication = if inode.has(Mark::Striped) { 1 } else { inode.replication() };
        let block = Block { id: record.id, length: record.length, stamp: record.stamp };
        self.blocks.insert(block, inode.id(), replication, state);
        self.tree.push_block(file, record.id);
    }
}
