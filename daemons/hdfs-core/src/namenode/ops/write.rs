//! The calls of a writer between create and close: addBlock, complete, abandonBlock, fsync.

use hdfs_disk::edits::{EditOp, RpcIds};
use hdfs_disk::types::{BlockRecord, Permission};
use hdfs_wire::proto::hdfs::{
    AbandonBlockRequestProto, AbandonBlockResponseProto, CompleteRequestProto,
    CompleteResponseProto, ExtendedBlockProto, FsyncRequestProto, FsyncResponseProto,
};
use hdfs_wire::{Exception, Fault};

use super::super::blocks::Block;
use super::super::lease;
use super::super::resolve::Resolved;
use super::super::tree::{Mark, Slot};
use super::super::{Caller, Durable, Namenode};
use super::not_found;

/// A block of the wire.
pub(crate) fn block_of(block: &ExtendedBlockProto) -> Block {
    Block { id: block.block_id as i64, length: block.num_bytes(), stamp: block.generation_stamp }
}

impl Namenode {
    /// The file must be open, and open by this client.
    ///
    /// # Errors
    /// `FileNotFoundException`, `LeaseExpiredException`.
    pub(crate) fn check_lease(
        &self,
        resolved: &Resolved<'_>,
        holder: &str,
        file_id: u64,
    ) -> Result<Slot, Fault> {
        let describe = || {
            let lease = lease::describe(holder, self.leases.lease(holder));
            format!("{} (inode {file_id}) {lease}", resolved.path())
        };
        let expired =
            |text: &str| Fault::new(Exception::LeaseExpired, format!("{text}{}", describe()));
        let slot = resolved
            .target()
            .ok_or_else(|| not_found(format!("File does not exist: {}", describe())))?;
        let inode = self.tree.get(slot);
        if !inode.is_file() {
            return Err(expired("INode is not a regular file: "));
        }
        if !inode.has(Mark::Open) {
            return Err(expired("File is not open for writing: "));
        }
        let owner = self.leases.writer(inode.id()).map_or("", |writer| &writer.holder);
        if owner != holder {
            return Err(expired(&format!("Client (={holder}) is not the lease owner (={owner}: ")));
        }
        Ok(slot)
    }

    /// The block must be of this namespace.
    pub(crate) fn check_pool(&self, block: &ExtendedBlockProto) -> Result<(), Fault> {
        let expected = &self.config.identity.block_pool_id;
        if &block.pool_id == expected {
            return Ok(());
        }
        Err(Fault::io(format!("Unexpected BlockPoolId {} - expected {expected}", block.pool_id)))
    }

    /// A file's blocks as the log and the image have them.
    pub(crate) fn records(&self, file: Slot) -> Vec<BlockRecord> {
        let ids = self.tree.blocks(file);
        ids.iter().map(|id| self.record(id)).collect()
    }

    pub(crate) fn record(&self, id: i64) -> BlockRecord {
        match self.blocks.block(id) {
            Some((block, _)) => BlockRecord { id, length: block.length, stamp: block.stamp },
            None => BlockRecord { id, length: 0, stamp: 0 },
        }
    }

    /// Logs that a file is complete.
    pub(crate) fn close_file(&mut self, slot: Slot) -> Result<(), Fault> {
        let inode = *self.tree.get(slot);
        let permission = self.tree.permission(slot);
        let op = EditOp::Close {
            // Java writes 0: the path says it all.
            inode_id: 0,
            path: self.tree.path(slot),
            replication: self.copies_of(slot),
            mtime: self.now as i64,
            atime: inode.atime() as i64,
            block_size: inode.block_size(),
            blocks: self.records(slot),
            permission: Permission {
                user: self.tree.principal(permission.user).to_owned(),
                group: self.tree.principal(permission.group).to_owned(),
                mode: permission.mode,
            },
        };
        self.log(&op)
    }

    /// `complete`: the client has written everything. False while a block has too few reported
    /// replicas; [`Self::awaited_block`] says which.
    ///
    /// # Errors
    /// `LeaseExpiredException`, `FileNotFoundException`, `IOException` for a block that does not
    /// fit; path and safe mode errors.
    pub fn complete(
        &mut self,
        caller: &Caller<'_>,
        request: &CompleteRequestProto,
    ) -> Result<Durable<CompleteResponseProto>, Fault> {
        self.begin(caller);
        let (src, file_id) = (&request.src, request.file_id());
        self.check_safe_mode(format_args!("complete file {src}"))?;
        if let Some(last) = &request.last {
            self.check_pool(last)?;
        }
        let resolved = self.resolve_open(caller, src, file_id)?;
        let last = request.last.as_ref().map(block_of);
        let slot = match self.check_lease(&resolved, &request.client_name, file_id) {
            Ok(slot) => slot,
            Err(fault) if self.is_closed_with(&resolved, last) => {
                debug_assert_eq!(fault.exception, Exception::LeaseExpired);
                return Ok(self.durable(CompleteResponseProto { result: true }));
            }
            Err(fault) => return Err(fault),
        };
        let result = self.try_complete(slot, last)?;
        Ok(self.durable(CompleteResponseProto { result }))
    }

    /// Is the file closed already, with just this last block? Then the call is a repetition.
    fn is_closed_with(&self, resolved: &Resolved<'_>, last: Option<Block>) -> bool {
        let Some(slot) = resolved.target() else { return false };
        let inode = self.tree.get(slot);
        if !inode.is_file() || inode.has(Mark::Open) {
            return false;
        }
        let known = self.tree.blocks(slot).last().map(|id| self.record(id));
        known.map(|record| (record.id, record.stamp)) == last.map(|block| (block.id, block.stamp))
    }

    fn try_complete(&mut self, slot: Slot, last: Option<Block>) -> Result<bool, Fault> {
        let penultimate = self.tree.blocks(slot).penultimate();
        if penultimate.is_some_and(|id| !self.is_complete(id)) {
            return Ok(false);
        }
        self.commit_last(slot, last)?;
        if self.first_incomplete(slot).is_some() {
            return Ok(false);
        }
        self.close_file(slot)?;
        Ok(true)
    }

    /// Takes the client's word on its last block, unless that is settled already.
    pub(crate) fn commit_last(&mut self, slot: Slot, told: Option<Block>) -> Result<(), Fault> {
        let (Some(told), Some(id)) = (told, self.tree.blocks(slot).last()) else { return Ok(()) };
        if told.id != id {
            return Err(Fault::io(format!(
                "Trying to commit block blk_{} but the last block of {} is blk_{id}",
                told.id,
                self.tree.path(slot)
            )));
        }
        if !self.is_complete(id) {
            self.blocks.commit(told)?;
        }
        Ok(())
    }

    /// The first block of a file that has too few reported replicas.
    pub(crate) fn first_incomplete(&self, slot: Slot) -> Option<i64> {
        self.tree.blocks(slot).iter().find(|&id| !self.is_complete(id))
    }

    /// The block a `complete` that answered false waits for. Park the call until
    /// [`Self::take_completed`] names it (or a moment has passed), then call again.
    pub fn awaited_block(&self, request: &CompleteRequestProto) -> Option<i64> {
        let slot = match request.file_id() {
            0 => {
                let clean = super::super::path::normalize(&request.src).ok()?;
                super::super::resolve::walk(&self.tree, clean).target()?
            }
            id => self.tree.by_id(id)?,
        };
        self.first_incomplete(slot)
    }

    /// `abandonBlock`: the client could not reach the datanodes of its last block.
    ///
    /// # Errors
    /// `LeaseExpiredException`, `FileNotFoundException`; path and safe mode errors.
    pub fn abandon_block(
        &mut self,
        caller: &Caller<'_>,
        request: &AbandonBlockRequestProto,
    ) -> Result<Durable<AbandonBlockResponseProto>, Fault> {
        self.begin(caller);
        let (src, file_id) = (&request.src, request.file_id());
        let id = request.b.block_id as i64;
        self.check_safe_mode(format_args!("abandon block blk_{id} for file{src}"))?;
        self.check_pool(&request.b)?;
        let resolved = self.resolve_open(caller, src, file_id)?;
        let slot = self.check_lease(&resolved, &request.holder, file_id)?;
        if self.tree.blocks(slot).last() == Some(id) && !self.is_complete(id) {
            let mut blocks = self.records(slot);
            blocks.pop();
            let path = self.tree.path(slot);
            self.log(&EditOp::UpdateBlocks { path, blocks, rpc: RpcIds::NONE })?;
        }
        Ok(self.durable(AbandonBlockResponseProto {}))
    }

    /// `fsync`: what was written so far survives, and the length too if the client tells it.
    ///
    /// # Errors
    /// `LeaseExpiredException`, `FileNotFoundException`; path and safe mode errors.
    pub fn fsync(
        &mut self,
        caller: &Caller<'_>,
        request: &FsyncRequestProto,
    ) -> Result<Durable<FsyncResponseProto>, Fault> {
        self.begin(caller);
        let (src, file_id) = (&request.src, request.file_id());
        self.check_safe_mode(format_args!("fsync file {src}"))?;
        let resolved = self.resolve_open(caller, src, file_id)?;
        let slot = self.check_lease(&resolved, &request.client, file_id)?;
        let mut blocks = self.records(slot);
        if let (Ok(length @ 1..), Some(last)) =
            (u64::try_from(request.last_block_length()), blocks.last_mut())
            && !self.is_complete(last.id)
        {
            last.length = length;
        }
        let path = self.tree.path(slot);
        self.log(&EditOp::UpdateBlocks { path, blocks, rpc: RpcIds::NONE })?;
        Ok(self.durable(FsyncResponseProto {}))
    }
}
