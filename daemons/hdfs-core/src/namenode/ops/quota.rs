//! setQuota.

use hdfs_disk::edits::EditOp;
use hdfs_disk::types::StorageType;
use hdfs_wire::proto::hdfs::{SetQuotaRequestProto, SetQuotaResponseProto};
use hdfs_wire::{Exception, Fault};

use super::super::resolve::Intent;
use super::super::tree::{ROOT, Slot};
use super::super::{Caller, Durable, Namenode};
use super::not_found;

/// "Leave it as it is."
const UNCHANGED: i64 = i64::MAX;
/// "Take it away."
const RESET: i64 = -1;

/// The operation's name in Java's audit and permission texts.
fn command(namespace: i64, space: i64) -> &'static str {
    match (namespace, space) {
        (RESET, UNCHANGED) => "clearQuota",
        (UNCHANGED, RESET) => "clearSpaceQuota",
        (_, UNCHANGED) => "setQuota",
        _ => "setSpaceQuota",
    }
}

impl Namenode {
    /// `setQuota`: names and bytes, or bytes of one storage type, for a directory.
    ///
    /// # Errors
    /// `AccessControlException` for all but superusers, `FileNotFoundException`,
    /// `PathIsNotDirectoryException`, `IllegalArgumentException` for negative values.
    pub fn set_quota(
        &mut self,
        caller: &Caller<'_>,
        request: &SetQuotaRequestProto,
    ) -> Result<Durable<SetQuotaResponseProto>, Fault> {
        self.begin(caller);
        let (namespace, space) =
            (request.namespace_quota as i64, request.storagespace_quota as i64);
        self.checker(caller).superuser(command(namespace, space))?;
        self.check_safe_mode(format_args!("set quota on {}", request.path))?;
        let resolved = self.resolve(caller, &request.path, Intent::Write)?;
        if namespace < RESET || space < RESET {
            let message = format!("Illegal value for nsQuota or ssQuota : {namespace} and {space}");
            return Err(Fault::new(Exception::IllegalArgument, message));
        }
        let slot = self.directory_at(resolved.target(), resolved.path())?;
        let op = match request.storage_type {
            None => self.quota_op(slot, resolved.path(), namespace, space),
            Some(number) => Some(type_quota_op(resolved.path(), namespace, space, number)?),
        };
        if let Some(op) = op {
            self.log(&op)?;
        }
        Ok(self.durable(SetQuotaResponseProto {}))
    }

    fn directory_at(&self, target: Option<Slot>, path: &str) -> Result<Slot, Fault> {
        let slot = target.ok_or_else(|| not_found(format!("Directory does not exist: {path}")))?;
        if self.tree.get(slot).is_directory() {
            return Ok(slot);
        }
        let message = format!("`{path}': Is not a directory");
        Err(Fault::new(Exception::PathIsNotDirectory, message))
    }

    /// The operation with the values that will hold; none when nothing changes.
    fn quota_op(&self, slot: Slot, path: &str, namespace: i64, space: i64) -> Option<EditOp> {
        let (old_namespace, old_space) =
            self.tree.quota(slot).map_or((RESET, RESET), |quota| (quota.namespace, quota.space));
        let keep_root = slot == ROOT && namespace == RESET;
        let namespace = if namespace == UNCHANGED || keep_root { old_namespace } else { namespace };
        let space = if space == UNCHANGED { old_space } else { space };
        if (namespace, space) == (old_namespace, old_space) {
            return None;
        }
        Some(EditOp::SetQuota { path: path.to_owned(), namespace, space })
    }
}

fn type_quota_op(path: &str, namespace: i64, space: i64, number: i32) -> Result<EditOp, Fault> {
    let storage_type = StorageType::from_proto(number)
        .filter(|each| *each != StorageType::RamDisk && namespace == UNCHANGED)
        .ok_or_else(|| {
            let message = format!(
                "Failed to set quota by storage type because either \
                 dfs.quota.by.storage.type.enabled is set to false or nsQuota value is illegal \
                 {namespace}"
            );
            Fault::new(Exception::UnsupportedOperation, message)
        })?;
    Ok(EditOp::SetQuotaByStorageType { path: path.to_owned(), storage_type, quota: space })
}
