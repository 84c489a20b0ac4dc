//! commitBlockSynchronization: the end of a block recovery.

use hdfs_disk::edits::{EditOp, RpcIds};
use hdfs_wire::Fault;
use hdfs_wire::proto::hdfs::datanode::{
    CommitBlockSynchronizationRequestProto, CommitBlockSynchronizationResponseProto,
};

use super::super::blocks::Block;
use super::super::tree::{Mark, Slot};
use super::super::{Caller, Durable, Namenode};
use super::blocks::show;
use super::not_found;

type Request = CommitBlockSynchronizationRequestProto;
type Response = CommitBlockSynchronizationResponseProto;

impl Namenode {
    /// `commitBlockSynchronization`: the primary datanode of a recovery reports the agreed length.
    ///
    /// # Errors
    /// `IOException` when the block or the recovery is unknown; safe mode errors.
    pub fn commit_block_synchronization(
        &mut self,
        caller: &Caller<'_>,
        request: &Request,
    ) -> Result<Durable<Response>, Fault> {
        self.begin(caller);
        let shown = show(&request.block);
        self.check_safe_mode("commitBlockSynchronization while in safe mode")?;
        let id = request.block.block_id as i64;
        if self.blocks.block(id).is_none() {
            if request.delete_block {
                return Ok(self.durable(Response {}));
            }
            return Err(Fault::io(format!("Block (={shown}) not found")));
        }
        let slot = self
            .blocks
            .file_of(id)
            .and_then(|file| self.tree.by_id(file))
            .ok_or_else(|| not_found(format!("The file of block {shown} was deleted")))?;
        let is_last = self.tree.blocks(slot).last() == Some(id);
        if !self.tree.get(slot).has(Mark::Open) || !is_last || self.is_complete(id) {
            // Said before: a repetition.
            return Ok(self.durable(Response {}));
        }
        let current = self.blocks.recovery_stamp(id).unwrap_or(0);
        if current != request.new_gen_stamp {
            return Err(Fault::io(format!(
                "The recovery id {} does not match current recovery id {current} for block {shown}",
                request.new_gen_stamp
            )));
        }
        self.finish(slot, id, request)?;
        Ok(self.durable(Response {}))
    }

    fn finish(&mut self, slot: Slot, id: i64, request: &Request) -> Result<(), Fault> {
        if request.delete_block {
            let mut blocks = self.records(slot);
            blocks.pop();
            let path = self.tree.path(slot);
            self.log(&EditOp::UpdateBlocks { path, blocks, rpc: RpcIds::NONE })?;
        } else {
            let (stamp, length) = (request.new_gen_stamp, request.new_length);
            let block = Block { id, length, stamp };
            let targets = self.targets(&request.new_taragets, &request.new_target_storages);
            self.blocks.finish_recovery(block, &targets);
            if request.close_file {
                self.blocks.commit(block)?;
                self.blocks.mark_complete(id);
            }
        }
        if request.close_file {
            self.close_file(slot)
        } else if !request.delete_block {
            let (path, blocks) = (self.tree.path(slot), self.records(slot));
            self.log(&EditOp::UpdateBlocks { path, blocks, rpc: RpcIds::NONE })
        } else {
            Ok(())
        }
    }
}
