//! setPermission, setOwner, setTimes, setReplication.

use hdfs_disk::edits::EditOp;
use hdfs_wire::proto::hdfs::{
    SetOwnerRequestProto, SetOwnerResponseProto, SetPermissionRequestProto,
    SetPermissionResponseProto, SetReplicationRequestProto, SetReplicationResponseProto,
    SetTimesRequestProto, SetTimesResponseProto,
};
use hdfs_wire::{Exception, Fault};

use super::super::permission::WRITE;
use super::super::resolve::{Intent, Resolved};
use super::super::tree::{MODE_BITS, Mark, Slot, Usage};
use super::super::{Caller, Durable, Namenode, path};
use super::not_found;

impl Namenode {
    /// `setPermission`: owner or superuser.
    ///
    /// # Errors
    /// `FileNotFoundException`; path, permission and safe mode errors.
    pub fn set_permission(
        &mut self,
        caller: &Caller<'_>,
        request: &SetPermissionRequestProto,
    ) -> Result<Durable<SetPermissionResponseProto>, Fault> {
        self.begin(caller);
        let src = &request.src;
        check_not_reserved(src)?;
        self.check_safe_mode(format_args!("set permission for {src}"))?;
        let resolved = self.resolve_owned(caller, src)?;
        let mode = request.permission.perm as u16 & MODE_BITS;
        self.log(&EditOp::SetPermissions { path: resolved.into_path(), mode })?;
        Ok(self.durable(SetPermissionResponseProto {}))
    }

    /// `setOwner`: only superusers give files away; owners choose among their groups.
    ///
    /// # Errors
    /// `AccessControlException`, `FileNotFoundException`; path and safe mode errors.
    pub fn set_owner(
        &mut self,
        caller: &Caller<'_>,
        request: &SetOwnerRequestProto,
    ) -> Result<Durable<SetOwnerResponseProto>, Fault> {
        self.begin(caller);
        let src = &request.src;
        check_not_reserved(src)?;
        self.check_safe_mode(format_args!("set owner for {src}"))?;
        let resolved = self.resolve_owned(caller, src)?;
        let given = |text: &Option<String>| text.clone().filter(|name| !name.is_empty());
        let (user, group) = (given(&request.username), given(&request.groupname));
        let checker = self.checker(caller);
        if !checker.may_all() {
            if user.as_deref().is_some_and(|user| user != caller.user) {
                let message = format!(
                    "User {} is not a super user (non-super user cannot change owner).",
                    caller.user
                );
                return Err(Fault::new(Exception::AccessControl, message));
            }
            if let Some(group) = group.as_deref().filter(|group| !checker.has_group(group)) {
                let message = format!("User {} does not belong to {group}", caller.user);
                return Err(Fault::new(Exception::AccessControl, message));
            }
        }
        self.log(&EditOp::SetOwner { path: resolved.into_path(), user, group })?;
        Ok(self.durable(SetOwnerResponseProto {}))
    }

    /// The owner's own calls share their checks and texts.
    fn resolve_owned<'p>(&self, caller: &Caller<'_>, src: &'p str) -> Result<Resolved<'p>, Fault> {
        let resolved = self.resolve(caller, src, Intent::Write)?;
        let Some(slot) = resolved.target() else {
            let message = format!("Directory/File does not exist {}", resolved.path());
            return Err(not_found(message));
        };
        self.checker(caller).owner(slot)?;
        Ok(resolved)
    }

    /// `setTimes`: -1 leaves a time as it is.
    ///
    /// # Errors
    /// `FileNotFoundException`; path, permission and safe mode errors.
    pub fn set_times(
        &mut self,
        caller: &Caller<'_>,
        request: &SetTimesRequestProto,
    ) -> Result<Durable<SetTimesResponseProto>, Fault> {
        self.begin(caller);
        let src = &request.src;
        let (mtime, atime) = (request.mtime as i64, request.atime as i64);
        if self.config.access_time_precision == 0 && atime != -1 {
            return Err(Fault::io(
                "Access time for hdfs is not configured.  Please set \
                 dfs.namenode.accesstime.precision configuration parameter.",
            ));
        }
        self.check_safe_mode(format_args!("set times {src}"))?;
        let resolved = self.resolve(caller, src, Intent::Write)?;
        let Some(slot) = resolved.target() else {
            let message = format!("File/Directory {} does not exist.", resolved.path());
            return Err(not_found(message));
        };
        self.checker(caller).check(slot, WRITE)?;
        if mtime != -1 || atime != -1 {
            self.log(&EditOp::Times { path: resolved.into_path(), mtime, atime })?;
        }
        Ok(self.durable(SetTimesResponseProto {}))
    }

    /// `setReplication`: false for anything but a file.
    ///
    /// # Errors
    /// `IOException` outside the configured range; path, permission, quota and safe mode errors.
    pub fn set_replication(
        &mut self,
        caller: &Caller<'_>,
        request: &SetReplicationRequestProto,
    ) -> Result<Durable<SetReplicationResponseProto>, Fault> {
        self.begin(caller);
        let src = &request.src;
        self.check_safe_mode(format_args!("set replication for {src}"))?;
        self.check_replication(request.replication, src, "")?;
        let resolved = self.resolve(caller, src, Intent::Write)?;
        let is_plain_file = |slot: &Slot| {
            let inode = self.tree.get(*slot);
            inode.is_file() && !inode.has(Mark::Striped)
        };
        if let Some(slot) = resolved.target() {
            self.checker(caller).check(slot, WRITE)?;
        }
        let Some(slot) = resolved.target().filter(is_plain_file) else {
            return Ok(self.durable(SetReplicationResponseProto { result: false }));
        };
        let replication = request.replication as u16;
        self.check_more_copies(slot, replication)?;
        self.log(&EditOp::SetReplication { path: resolved.into_path(), replication })?;
        Ok(self.durable(SetReplicationResponseProto { result: true }))
    }

    fn check_more_copies(&self, slot: Slot, replication: u16) -> Result<(), Fault> {
        let old = i64::from(self.tree.get(slot).replication().max(1));
        let space = self.space_of(slot) / old * (i64::from(replication) - old);
        match self.tree.get(slot).parent() {
            Some(parent) if space > 0 => self.check_quota(parent, Usage { names: 0, space }, None),
            _ => Ok(()),
        }
    }
}

pub(super) fn check_not_reserved(src: &str) -> Result<(), Fault> {
    if path::components(src).eq([path::RESERVED]) {
        let message = format!("Invalid path name {src}");
        return Err(Fault::new(Exception::InvalidPath, message));
    }
    Ok(())
}
