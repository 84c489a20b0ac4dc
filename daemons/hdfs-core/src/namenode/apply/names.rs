//! Operations on the tree: mkdir, symlink, delete, rename.

use std::borrow::Cow;

use hdfs_disk::edits::EditOp;
use hdfs_wire::Fault;

use super::super::Namenode;
use super::super::path;
use super::super::resolve::walk;
use super::super::retry::Answer;
use super::super::tree::{Kind, Mark, ROOT, Slot, Usage};

impl Namenode {
    pub(super) fn apply_mkdir(&mut self, op: &EditOp) -> Result<(), Fault> {
        let EditOp::Mkdir { inode_id, path, timestamp, permission, acl, xattrs } = op else {
            return Err(Fault::io(format!("unexpected operation {op:?}")));
        };
        let (resolved, parent) = self.vacant(path)?;
        let id = if *inode_id == 0 { self.tree.last_id + 1 } else { *inode_id };
        let permission = self.intern(permission);
        let slot = self.tree.create(Kind::Directory, id, permission, *timestamp as u64);
        self.attach(parent, resolved.name(), slot, Usage { names: 1, space: 0 });
        self.put_logical_acl(slot, acl);
        if !xattrs.is_empty() {
            self.tree.set_xattrs(slot, xattrs.clone());
        }
        Ok(())
    }

    pub(super) fn apply_symlink(&mut self, op: &EditOp) -> Result<(), Fault> {
        let EditOp::Symlink { inode_id, path, target, mtime, atime, permission, rpc } = op else {
            return Err(Fault::io(format!("unexpected operation {op:?}")));
        };
        let (resolved, parent) = self.vacant(path)?;
        let id = if *inode_id == 0 { self.tree.last_id + 1 } else { *inode_id };
        let permission = self.intern(permission);
        let slot = self.tree.create(Kind::Symlink, id, permission, *mtime as u64);
        self.tree.get_mut(slot).set_atime(*atime as u64);
        self.tree.set_link_target(slot, target.as_bytes());
        self.attach(parent, resolved.name(), slot, Usage { names: 1, space: 0 });
        self.remember(rpc, Answer::Done);
        Ok(())
    }

    /// Removes a path and everything below it. Nothing happens when it is not there, as in Java.
    pub(super) fn apply_delete(&mut self, path: &str, timestamp: i64) {
        let Some(slot) = walk(&self.tree, Cow::Borrowed(path)).target() else { return };
        if slot == ROOT {
            return;
        }
        let parent = self.tree.get(slot).parent();
        self.tree.unlink(slot);
        let mut usage = Usage::default();
        let mut pending = vec![slot];
        while let Some(slot) = pending.pop() {
            usage += self.usage_of(slot);
            pending.append(&mut self.tree.unlink_all(slot));
            self.forget(slot);
        }
        self.tree.charge(parent, -usage);
        if let Some(parent) = parent {
            self.advance_mtime(parent, timestamp);
        }
    }

    /// The end of one inode without entries: its blocks, its lease, its slot.
    pub(super) fn forget(&mut self, slot: Slot) {
        let inode = *self.tree.get(slot);
        let blocks: Vec<_> = self.tree.blocks(slot).iter().collect();
        for id in blocks {
            self.blocks.remove(id);
        }
        if inode.has(Mark::Open) {
            self.leases.close(inode.id());
        }
        self.kept.snapshottable.remove(&inode.id());
        self.tree.free(slot);
    }

    /// Moves an inode. With the old rules an existing target directory is moved into (the log names
    /// the final path, so that only happens with logs of old releases); with the new ones an
    /// existing target is replaced.
    pub(super) fn apply_rename(
        &mut self,
        source: &str,
        target: &str,
        timestamp: i64,
        old_rules: bool,
    ) -> Result<(), Fault> {
        let slot = self.existing(source)?;
        let mut target = Cow::Borrowed(target);
        if let Some(found) = walk(&self.tree, target.clone()).target() {
            if found == slot {
                return Ok(());
            }
            if old_rules && self.tree.get(found).is_directory() {
                let name = source.rsplit('/').next().unwrap_or("");
                target = Cow::Owned(path::join(&target, name));
            } else if !old_rules {
                self.apply_delete(&target, timestamp);
            }
        }
        let (resolved, parent) = self.vacant(&target)?;
        if slot == ROOT || self.tree.is_at_or_below(parent, slot) {
            return Err(Fault::io(format!("{source} cannot move to {target}")));
        }
        let old_parent = self.tree.get(slot).parent().unwrap_or(ROOT);
        let usage = self.moved_usage(slot, old_parent, parent);
        self.tree.unlink(slot);
        self.tree.charge(Some(old_parent), -usage);
        let linked = self.tree.link(parent, resolved.name().as_bytes(), slot);
        debug_assert!(linked, "the target was found free");
        self.tree.charge(Some(parent), usage);
        self.advance_mtime(old_parent, timestamp);
        self.advance_mtime(parent, timestamp);
        Ok(())
    }

    /// What moves between two directories' counts; not worth a walk when no quota lies between.
    fn moved_usage(&self, slot: Slot, source: Slot, target: Slot) -> Usage {
        let border = self.common_ancestor(source, target);
        let counts = |from: Slot| {
            let mut at = Some(from);
            while let Some(slot) = at.filter(|&slot| slot != border) {
                if self.tree.quota(slot).is_some() {
                    return true;
                }
                at = self.tree.get(slot).parent();
            }
            false
        };
        if counts(source) || counts(target) { self.usage_below(slot) } else { Usage::default() }
    }

    /// The deepest directory above (or equal to) both.
    pub(crate) fn common_ancestor(&self, left: Slot, right: Slot) -> Slot {
        let mut at = left;
        while !self.tree.is_at_or_below(right, at) {
            at = self.tree.get(at).parent().unwrap_or(ROOT);
        }
        at
    }
}
