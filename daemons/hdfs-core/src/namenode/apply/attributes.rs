//! Operations on attributes: mode, owner, times, replication, quotas, policies, ACLs, xattrs.

use hdfs_disk::edits::EditOp;
use hdfs_disk::types::{StorageType, XAttr, XAttrNamespace};
use hdfs_wire::Fault;

use super::super::Namenode;
use super::super::acl;
use super::super::retry::Answer;
use super::super::tree::{Quota, ROOT, Slot};

/// The attribute that holds a directory's storage policy.
pub(crate) const POLICY_XATTR: &str = "hsm.block.storage.policy.id";

/// "Leave it as it is" in quota operations.
pub(crate) const QUOTA_UNCHANGED: i64 = i64::MAX;

impl Namenode {
    pub(super) fn apply_attribute(&mut self, op: &EditOp) -> Result<(), Fault> {
        match op {
            EditOp::SetPermissions { path, mode } => {
                let slot = self.existing(path)?;
                self.tree.set_mode(slot, *mode);
            }
            EditOp::SetOwner { path, user, group } => {
                let slot = self.existing(path)?;
                self.tree.set_owner(slot, user.as_deref(), group.as_deref());
            }
            EditOp::Times { path, mtime, atime } => {
                let slot = self.existing(path)?;
                let inode = self.tree.get_mut(slot);
                if *mtime != -1 {
                    inode.set_mtime(*mtime as u64);
                }
                if *atime != -1 {
                    inode.set_atime(*atime as u64);
                }
            }
            EditOp::SetReplication { path, replication } => {
                let slot = self.existing_file(path)?;
                self.apply_replication(slot, *replication);
            }
            EditOp::SetQuota { path, namespace, space } => {
                let slot = self.existing(path)?;
                self.apply_quota(slot, *namespace, *space);
            }
            EditOp::SetNsQuota { path, namespace } => {
                let slot = self.existing(path)?;
                self.apply_quota(slot, *namespace, QUOTA_UNCHANGED);
            }
            EditOp::ClearNsQuota { path } => {
                let slot = self.existing(path)?;
                self.apply_quota(slot, -1, QUOTA_UNCHANGED);
            }
            EditOp::SetQuotaByStorageType { path, storage_type, quota } => {
                let slot = self.existing(path)?;
                self.apply_type_quota(slot, *storage_type, *quota);
            }
            EditOp::SetStoragePolicy { path, policy } => {
                let slot = self.existing(path)?;
                self.apply_policy(slot, *policy);
            }
            EditOp::SetAcl { path, entries } => {
                let slot = self.existing(path)?;
                acl::store(&mut self.tree, slot, entries);
            }
            EditOp::SetXAttr { path, xattrs, rpc } => {
                let slot = self.existing(path)?;
                self.put_xattrs(slot, xattrs);
                self.remember(rpc, Answer::Done);
            }
            EditOp::RemoveXAttr { path, xattrs, rpc } => {
                let slot = self.existing(path)?;
                let mut kept = self.tree.xattrs(slot).to_vec();
                kept.retain(|each| !xattrs.iter().any(|gone| same_name(each, gone)));
                self.tree.set_xattrs(slot, kept);
                self.remember(rpc, Answer::Done);
            }
            _ => return self.apply_other(op),
        }
        Ok(())
    }

    fn apply_replication(&mut self, slot: Slot, replication: u16) {
        self.with_space(slot, |node| {
            node.tree.get_mut(slot).set_replication(replication);
            let ids: Vec<_> = node.tree.blocks(slot).iter().collect();
            for id in ids {
                node.blocks.set_replication(id, replication);
            }
        });
    }

    fn apply_quota(&mut self, slot: Slot, namespace: i64, space: i64) {
        self.change_quota(slot, |quota| {
            if namespace != QUOTA_UNCHANGED {
                quota.namespace = namespace.max(-1);
            }
            if space != QUOTA_UNCHANGED {
                quota.space = space.max(-1);
            }
        });
    }

    fn apply_type_quota(&mut self, slot: Slot, storage_type: StorageType, limit: i64) {
        self.change_quota(slot, |quota| {
            quota.types[usize::from(storage_type.ordinal())] = limit.max(-1);
        });
    }

    fn change_quota(&mut self, slot: Slot, change: impl FnOnce(&mut Quota)) {
        let mut quota = self
            .tree
            .quota(slot)
            .cloned()
            .unwrap_or_else(|| Quota { used: self.usage_below(slot), ..Quota::default() });
        change(&mut quota);
        if slot == ROOT && quota.namespace < 0 {
            quota.namespace = i64::MAX;
        }
        let keep = quota.is_set() || slot == ROOT;
        self.tree.set_quota(slot, keep.then_some(quota));
    }

    /// A file's policy is in its header, a directory's in an attribute.
    fn apply_policy(&mut self, slot: Slot, policy: u8) {
        if !self.tree.get(slot).is_directory() {
            self.tree.get_mut(slot).set_policy(policy);
            return;
        }
        let mut xattrs = self.tree.xattrs(slot).to_vec();
        xattrs.retain(|each| !is_policy(each));
        if policy != 0 {
            xattrs.push(XAttr {
                namespace: XAttrNamespace::System,
                name: POLICY_XATTR.to_owned(),
                value: Some(vec![policy]),
            });
        }
        self.tree.set_xattrs(slot, xattrs);
    }

    /// Sets attributes, each in the place of an older one of its name.
    fn put_xattrs(&mut self, slot: Slot, changed: &[XAttr]) {
        let mut xattrs = self.tree.xattrs(slot).to_vec();
        for new in changed {
            match xattrs.iter_mut().find(|each| same_name(each, new)) {
                Some(old) => old.clone_from(new),
                None => xattrs.push(new.clone()),
            }
        }
        self.tree.set_xattrs(slot, xattrs);
    }

    /// Stores an ACL that an operation brings along for a new inode.
    pub(super) fn put_logical_acl(&mut self, slot: Slot, entries: &[hdfs_disk::types::AclEntry]) {
        if !entries.is_empty() {
            acl::store(&mut self.tree, slot, entries);
        }
    }

    /// Adds up every quota's counts anew, after an image brought the tree without them.
    pub(crate) fn recount(&mut self) {
        let slots: Vec<_> = self.tree.iter().map(|(slot, _)| slot).collect();
        self.tree.clear_usage();
        for slot in slots {
            let usage = self.usage_of(slot);
            // Its own quota counts a directory too; other inodes have none.
            self.tree.charge(Some(slot), usage);
        }
    }
}

pub(crate) fn same_name(left: &XAttr, right: &XAttr) -> bool {
    left.namespace == right.namespace && left.name == right.name
}

/// Is this the attribute that stands for a storage policy?
pub(crate) fn is_policy(xattr: &XAttr) -> bool {
    xattr.namespace == XAttrNamespace::System && xattr.name == POLICY_XATTR
}
