//! Snapshots: there are none, and calls that need them say so clearly.

use std::collections::BTreeSet;

use hdfs_disk::edits::EditOp;
use hdfs_wire::proto::hdfs::{
    AllowSnapshotRequestProto, AllowSnapshotResponseProto, CreateSnapshotRequestProto,
    CreateSnapshotResponseProto, DeleteSnapshotRequestProto, DeleteSnapshotResponseProto,
    DisallowSnapshotRequestProto, DisallowSnapshotResponseProto, GetSnapshotListingRequestProto,
    GetSnapshotListingResponseProto, GetSnapshottableDirListingRequestProto,
    GetSnapshottableDirListingResponseProto, RenameSnapshotRequestProto,
    RenameSnapshotResponseProto,
};
use hdfs_wire::{Exception, Fault};

use super::super::resolve::Intent;
use super::super::tree::Slot;
use super::super::{Caller, Durable, Namenode};
use super::not_found;

fn snapshot(message: impl Into<String>) -> Fault {
    Fault::new(Exception::Snapshot, message)
}

impl Namenode {
    /// `createSnapshot`.
    ///
    /// # Errors
    /// `SnapshotException` always: where snapshots are not allowed as Java says it, elsewhere
    /// because they cannot be made.
    pub fn create_snapshot(
        &mut self,
        caller: &Caller<'_>,
        request: &CreateSnapshotRequestProto,
    ) -> Result<Durable<CreateSnapshotResponseProto>, Fault> {
        self.begin(caller);
        self.check_safe_mode(format_args!("create snapshot for {}", request.snapshot_root))?;
        let slot = self.snapshottable(caller, &request.snapshot_root)?;
        Err(snapshot(format!(
            "Failed to add snapshot: snapshots of {} are not supported by this namenode",
            self.tree.path(slot)
        )))
    }

    /// `deleteSnapshot`.
    ///
    /// # Errors
    /// `SnapshotException` always: there is no such snapshot.
    pub fn delete_snapshot(
        &mut self,
        caller: &Caller<'_>,
        request: &DeleteSnapshotRequestProto,
    ) -> Result<Durable<DeleteSnapshotResponseProto>, Fault> {
        self.begin(caller);
        let slot = self.snapshottable(caller, &request.snapshot_root)?;
        Err(snapshot(format!(
            "Cannot delete snapshot {} from path {}: the snapshot does not exist.",
            request.snapshot_name,
            self.tree.path(slot)
        )))
    }

    /// `renameSnapshot`.
    ///
    /// # Errors
    /// `SnapshotException` always: there is no such snapshot.
    pub fn rename_snapshot(
        &mut self,
        caller: &Caller<'_>,
        request: &RenameSnapshotRequestProto,
    ) -> Result<Durable<RenameSnapshotResponseProto>, Fault> {
        self.begin(caller);
        let slot = self.snapshottable(caller, &request.snapshot_root)?;
        Err(snapshot(format!(
            "The snapshot {} does not exist for directory {}",
            request.snapshot_old_name,
            self.tree.path(slot)
        )))
    }

    /// `allowSnapshot`: the mark is kept, so that the namespace can go back to Hadoop with it.
    ///
    /// # Errors
    /// `SnapshotException` below or above another such directory, `AccessControlException` for all
    /// but superusers.
    pub fn allow_snapshot(
        &mut self,
        caller: &Caller<'_>,
        request: &AllowSnapshotRequestProto,
    ) -> Result<Durable<AllowSnapshotResponseProto>, Fault> {
        self.begin(caller);
        self.checker(caller).superuser("allowSnapshot")?;
        self.check_safe_mode(format_args!("allow snapshot for {}", request.snapshot_root))?;
        let (slot, root) = self.snapshot_root(caller, &request.snapshot_root)?;
        self.check_nesting(slot, &root)?;
        self.log(&EditOp::AllowSnapshot { root })?;
        Ok(self.durable(AllowSnapshotResponseProto {}))
    }

    /// `disallowSnapshot`.
    ///
    /// # Errors
    /// As [`Self::allow_snapshot`].
    pub fn disallow_snapshot(
        &mut self,
        caller: &Caller<'_>,
        request: &DisallowSnapshotRequestProto,
    ) -> Result<Durable<DisallowSnapshotResponseProto>, Fault> {
        self.begin(caller);
        self.checker(caller).superuser("disallowSnapshot")?;
        self.check_safe_mode(format_args!("disallow snapshot for {}", request.snapshot_root))?;
        let (_, root) = self.snapshot_root(caller, &request.snapshot_root)?;
        self.log(&EditOp::DisallowSnapshot { root })?;
        Ok(self.durable(DisallowSnapshotResponseProto {}))
    }

    /// `getSnapshottableDirListing`: absent, since there is nothing to see in any of them.
    ///
    /// # Errors
    /// None.
    pub fn get_snapshottable_dir_listing(
        &self,
        _: &Caller<'_>,
        _: &GetSnapshottableDirListingRequestProto,
    ) -> Result<GetSnapshottableDirListingResponseProto, Fault> {
        Ok(GetSnapshottableDirListingResponseProto { snapshottable_dir_list: None })
    }

    /// `getSnapshotListing`: absent for a directory that allows snapshots.
    ///
    /// # Errors
    /// `SnapshotException` for other directories.
    pub fn get_snapshot_listing(
        &self,
        caller: &Caller<'_>,
        request: &GetSnapshotListingRequestProto,
    ) -> Result<GetSnapshotListingResponseProto, Fault> {
        self.snapshottable(caller, &request.snapshot_root)?;
        Ok(GetSnapshotListingResponseProto { snapshot_list: None })
    }

    fn snapshot_root(&self, caller: &Caller<'_>, src: &str) -> Result<(Slot, String), Fault> {
        let resolved = self.resolve(caller, src, Intent::Write)?;
        let slot = resolved
            .target()
            .ok_or_else(|| not_found(format!("Directory does not exist: {}", resolved.path())))?;
        if !self.tree.get(slot).is_directory() {
            let message = format!("`{}': Is not a directory", resolved.path());
            return Err(Fault::new(Exception::PathIsNotDirectory, message));
        }
        Ok((slot, resolved.into_path()))
    }

    fn snapshottable(&self, caller: &Caller<'_>, src: &str) -> Result<Slot, Fault> {
        let (slot, root) = self.snapshot_root(caller, src)?;
        self.checker(caller).owner(slot)?;
        if self.kept.snapshottable.contains(&self.tree.get(slot).id()) {
            return Ok(slot);
        }
        Err(snapshot(format!("Directory is not a snapshottable directory: {root}")))
    }

    fn check_nesting(&self, slot: Slot, path: &str) -> Result<(), Fault> {
        let marked: BTreeSet<_> =
            self.kept.snapshottable.iter().filter_map(|&id| self.tree.by_id(id)).collect();
        for &other in marked.iter().filter(|&&other| other != slot) {
            let relation = if self.tree.is_at_or_below(slot, other) {
                "ancestor"
            } else if self.tree.is_at_or_below(other, slot) {
                "subdirectory"
            } else {
                continue;
            };
            return Err(snapshot(format!(
                "Nested snapshottable directories not allowed: path={path}, the {relation} {} is \
                 already a snapshottable directory.",
                self.tree.path(other)
            )));
        }
        Ok(())
    }
}
