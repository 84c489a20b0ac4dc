//! truncate: at the border of a block at once, inside a block through its datanodes.

use hdfs_disk::edits::EditOp;
use hdfs_disk::types::BlockRecord;
use hdfs_wire::proto::hdfs::{TruncateRequestProto, TruncateResponseProto};
use hdfs_wire::{Exception, Fault};

use super::super::lease_recovery::LeaseCall;
use super::super::permission::WRITE;
use super::super::resolve::Intent;
use super::super::tree::{Mark, Slot};
use super::super::{Caller, Durable, Namenode};
use super::illegal;

impl Namenode {
    /// `truncate`: true when the file has its new length now, false when datanodes must cut first.
    ///
    /// # Errors
    /// `HadoopIllegalArgumentException` for a length beyond the end, `FileNotFoundException`,
    /// `AlreadyBeingCreatedException`; path, permission and safe mode errors.
    pub fn truncate(
        &mut self,
        caller: &Caller<'_>,
        request: &TruncateRequestProto,
    ) -> Result<Durable<TruncateResponseProto>, Fault> {
        self.begin(caller);
        let (src, length) = (&request.src, request.new_length as i64);
        let Ok(new_length) = u64::try_from(length) else {
            return Err(illegal(format!("Cannot truncate to a negative file size: {length}.")));
        };
        self.check_safe_mode(format_args!("truncate for {src}"))?;
        let resolved = self.resolve(caller, src, Intent::Write)?;
        let slot = self.file_at(resolved.target(), src)?;
        self.checker(caller).check(slot, WRITE)?;
        if self.tree.get(slot).has(Mark::Striped) {
            let message = format!("Cannot truncate file with striped block {src}");
            return Err(Fault::new(Exception::UnsupportedOperation, message));
        }
        if self.truncated_length(slot) == Some(new_length) {
            return Ok(self.durable(TruncateResponseProto { result: false }));
        }
        let client = &request.client_name;
        self.recover_lease_for(LeaseCall::TruncateFile, &resolved, client, caller.address)?;
        let old_length = self.file_length(slot);
        if old_length == new_length {
            return Ok(self.durable(TruncateResponseProto { result: true }));
        }
        if old_length < new_length {
            return Err(illegal(format!(
                "Cannot truncate to a larger file size. Current size: {old_length}, truncate size: \
                 {new_length}."
            )));
        }
        let block = self.cut_record(slot, new_length)?;
        let result = block.is_none();
        let op = EditOp::Truncate {
            path: resolved.into_path(),
            client_name: client.clone(),
            client_machine: caller.address.to_owned(),
            new_length,
            timestamp: self.now as i64,
            block,
        };
        self.log(&op)?;
        Ok(self.durable(TruncateResponseProto { result }))
    }

    /// The length a file is being cut to.
    fn truncated_length(&self, slot: Slot) -> Option<u64> {
        let last = self.tree.blocks(slot).last()?;
        let cut = self.blocks.truncate_length(last)?;
        Some(self.file_length(slot) - self.block_length(last) + cut)
    }

    /// The block inside which the cut is, with its new stamp and length; none at a border.
    fn cut_record(&mut self, slot: Slot, length: u64) -> Result<Option<BlockRecord>, Fault> {
        let mut offset = 0;
        let mut cut = None;
        for id in self.tree.blocks(slot).iter() {
            let end = offset + self.block_length(id);
            if offset < length && length < end {
                cut = Some(BlockRecord { id, length: length - offset, stamp: 0 });
            }
            offset = end;
        }
        match cut {
            Some(record) => Ok(Some(BlockRecord { stamp: self.next_stamp()?, ..record })),
            None => Ok(None),
        }
    }
}
