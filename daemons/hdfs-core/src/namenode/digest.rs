//! A fingerprint of the durable state: equal for two namenodes that would save the same image.

use std::hash::{DefaultHasher, Hash, Hasher};

use super::Namenode;
use super::tree::{ROOT, Slot};

impl Namenode {
    /// Hashes names, attributes, blocks, leases and counters, in an order that does not depend on
    /// history. For tests and checks; it visits everything.
    pub fn digest(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        let counters = &self.counters;
        (counters.stamp, counters.block_id, counters.striped_block_id).hash(&mut hasher);
        (self.tree.last_id, self.last_txid()).hash(&mut hasher);
        self.kept.snapshottable.hash(&mut hasher);
        self.kept.rolling_upgrade.hash(&mut hasher);
        let mut pending = vec![ROOT];
        while let Some(slot) = pending.pop() {
            self.hash_inode(slot, &mut hasher);
            if let Some(children) = self.tree.children(slot) {
                children.len().hash(&mut hasher);
                pending.extend(children.iter());
            }
        }
        hasher.finish()
    }

    fn hash_inode(&self, slot: Slot, hasher: &mut DefaultHasher) {
        let tree = &self.tree;
        let inode = tree.get(slot);
        (inode.id(), inode.kind() as u8, tree.name(slot), inode.mtime()).hash(hasher);
        (tree.owner(slot), tree.group(slot), tree.mode(slot)).hash(hasher);
        (tree.acl(slot), tree.xattrs(slot)).hash(hasher);
        if inode.is_directory() {
            let quota = tree.quota(slot);
            quota.map(|quota| (quota.namespace, quota.space, quota.types)).hash(hasher);
            quota.map(|quota| (quota.used.names, quota.used.space)).hash(hasher);
            return;
        }
        (inode.atime(), inode.block_size(), inode.replication(), inode.policy()).hash(hasher);
        tree.link_target(slot).hash(hasher);
        for record in self.records(slot) {
            record.hash(hasher);
        }
        if let Some(writer) = self.leases.writer(inode.id()) {
            (&*writer.holder, &*writer.machine).hash(hasher);
        }
    }
}
