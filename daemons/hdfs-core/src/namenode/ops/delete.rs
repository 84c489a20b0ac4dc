//! delete.

use hdfs_disk::edits::EditOp;
use hdfs_wire::proto::hdfs::{DeleteRequestProto, DeleteResponseProto};
use hdfs_wire::{Exception, Fault};

use super::super::permission::ALL;
use super::super::resolve::Intent;
use super::super::tree::ROOT;
use super::super::{Caller, Durable, Namenode};
use super::attributes::check_not_reserved;

impl Namenode {
    /// `delete`: a path and everything below it. False when it does not exist, or is the root.
    ///
    /// # Errors
    /// `PathIsNotEmptyDirectoryException` without `recursive`, `InvalidPathException` for the
    /// reserved name, permission and safe mode errors.
    pub fn delete(
        &mut self,
        caller: &Caller<'_>,
        request: &DeleteRequestProto,
    ) -> Result<Durable<DeleteResponseProto>, Fault> {
        self.begin(caller);
        if self.repeated(caller).is_some() {
            return Ok(self.durable(DeleteResponseProto { result: true }));
        }
        self.check_safe_mode(format_args!("delete {}", request.src))?;
        check_not_reserved(&request.src)?;
        let resolved = self.resolve(caller, &request.src, Intent::WriteLink)?;
        let Some(slot) = resolved.target() else {
            return Ok(self.durable(DeleteResponseProto { result: false }));
        };
        let checker = self.checker(caller);
        checker.removal(slot)?;
        checker.subtree(slot, ALL, true)?;
        if !request.recursive && self.tree.children(slot).is_some() {
            let message = format!("`{} is non empty': Directory is not empty", resolved.path());
            return Err(Fault::new(Exception::PathIsNotEmptyDirectory, message));
        }
        if slot == ROOT {
            return Ok(self.durable(DeleteResponseProto { result: false }));
        }
        let op = EditOp::Delete {
            path: resolved.into_path(),
            timestamp: self.now as i64,
            rpc: Self::rpc_ids(caller),
        };
        self.log(&op)?;
        Ok(self.durable(DeleteResponseProto { result: true }))
    }
}
