//! append: a closed file is open again at its end.

use hdfs_disk::edits::EditOp;
use hdfs_wire::proto::hdfs::{
    AppendRequestProto, AppendResponseProto, CreateFlagProto, LocatedBlockProto,
};
use hdfs_wire::{Exception, Fault};

use super::super::blocks::{Block, BlockState};
use super::super::lease_recovery::LeaseCall;
use super::super::permission::WRITE;
use super::super::resolve::Intent;
use super::super::retry::Answer;
use super::super::tree::{Mark, Slot, Usage};
use super::super::{Caller, Durable, Namenode};
use super::create::has_flag;
use super::not_found;

impl Namenode {
    /// `append`: the lease goes to the client; the answer has the last block if it has room.
    ///
    /// # Errors
    /// `FileNotFoundException`, `FileAlreadyExistsException` for a directory,
    /// `AlreadyBeingCreatedException`, `RecoveryInProgressException`, `RetriableException` while
    /// the last block is only committed, quota, path, permission and safe mode errors.
    pub fn append(
        &mut self,
        caller: &Caller<'_>,
        request: &AppendRequestProto,
    ) -> Result<Durable<AppendResponseProto>, Fault> {
        self.begin(caller);
        let src = &request.src;
        let new_block = has_flag(request.flag(), CreateFlagProto::NewBlock);
        if let Some(Answer::File(id)) = self.repeated(caller)
            && let Some(slot) = self.tree.by_id(id)
        {
            return Ok(self.appended(slot, new_block));
        }
        self.check_safe_mode(format_args!("append to file{src}"))?;
        let resolved = self.resolve(caller, src, Intent::Write)?;
        let path = resolved.path();
        let target = resolved.target();
        if target.is_some_and(|slot| self.tree.get(slot).is_directory()) {
            let message =
                format!("Cannot append to directory {path}; already exists as a directory.");
            return Err(Fault::new(Exception::FileAlreadyExists, message));
        }
        let slot = target.ok_or_else(|| {
            not_found(format!(
                "Failed to append to non-existent file {path} for client {}",
                caller.address
            ))
        })?;
        self.checker(caller).check(slot, WRITE)?;
        if self.tree.get(slot).has(Mark::Striped) {
            let message = "Append to erasure coded files is not supported";
            return Err(Fault::new(Exception::UnsupportedOperation, message));
        }
        self.recover_lease_for(
            LeaseCall::AppendFile,
            &resolved,
            &request.client_name,
            caller.address,
        )?;
        self.check_last_for_append(slot, path)?;
        let op = EditOp::Append {
            path: resolved.into_path(),
            client_name: request.client_name.clone(),
            client_machine: caller.address.to_owned(),
            new_block,
            rpc: Self::rpc_ids(caller),
        };
        self.log(&op)?;
        Ok(self.appended(slot, new_block))
    }

    fn check_last_for_append(&self, slot: Slot, path: &str) -> Result<(), Fault> {
        let Some(last) = self.tree.blocks(slot).last() else { return Ok(()) };
        let Some((block, state)) = self.blocks.block(last) else { return Ok(()) };
        let shown = format!("blk_{last}_{}", block.stamp);
        if state == BlockState::Committed {
            let message = format!(
                "append: lastBlock={shown} of src={path} is COMMITTED but not yet COMPLETE."
            );
            return Err(Fault::new(Exception::Retriable, message));
        }
        let least = usize::from(self.config.replication_min);
        if state == BlockState::Complete && self.blocks.live_replicas(last) < least {
            return Err(Fault::io(format!(
                "append: lastBlock={shown} of src={path} is not sufficiently replicated yet."
            )));
        }
        let inode = self.tree.get(slot);
        let room = inode.block_size().saturating_sub(block.length) as i64;
        let usage = Usage { names: 0, space: room * i64::from(inode.replication()) };
        inode.parent().map_or(Ok(()), |parent| self.check_quota(parent, usage, None))
    }

    fn appended(&self, slot: Slot, new_block: bool) -> Durable<AppendResponseProto> {
        let last = self.tree.blocks(slot).last().map(|id| (id, self.record(id)));
        let block = last.and_then(|(id, record)| {
            let known = Block { id, length: record.length, stamp: record.stamp };
            let offset = self.file_length(slot) - record.length;
            if new_block {
                let bare = self.blocks.located_targets(known, offset, &[]);
                return Some(LocatedBlockProto { locs: Vec::new(), ..bare });
            }
            let is_open = !self.is_complete(id);
            is_open.then(|| {
                let targets = self.blocks.locations(id);
                self.blocks.located_targets(known, offset, &targets)
            })
        });
        self.durable(AppendResponseProto { block, stat: Some(self.status(slot, b"")) })
    }
}
