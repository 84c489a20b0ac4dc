//! An image of the namespace.

use std::collections::HashMap;
use std::io::Write;

use hdfs_disk::image::{
    AclWord, Directory, Features, File, ImageDigest, ImageError, ImageHead, ImageTail, ImageWriter,
    Inode, InodeKind, NameSystem, Owner, Snapshots, StringTable, Symlink, UnderConstruction,
    XAttrRef,
};
use hdfs_disk::types::{AclKind, StorageType};

use super::super::Namenode;
use super::super::tree::{Kind, Mark, Permission, ROOT, Slot};

/// Numbers of the names that were met so far.
#[derive(Default)]
struct Strings {
    table: StringTable,
    owners: HashMap<u32, Owner>,
}

impl Strings {
    fn owner(&mut self, node: &Namenode, slot: Slot) -> Owner {
        let index = node.tree.get(slot).permission();
        *self.owners.entry(index).or_insert_with(|| {
            let Permission { user, group, mode } = node.tree.permission(slot);
            Owner {
                user: self.table.user_id(node.tree.principal(user)),
                group: self.table.group_id(node.tree.principal(group)),
                mode,
            }
        })
    }

    fn acl(&mut self, node: &Namenode, slot: Slot) -> Vec<AclWord> {
        let entries = node.tree.acl(slot).iter();
        entries
            .map(|entry| AclWord {
                scope: entry.scope,
                kind: entry.kind,
                name: match (&entry.name, entry.kind) {
                    (None, _) => 0,
                    (Some(name), AclKind::User) => self.table.user_id(name),
                    (Some(name), _) => self.table.group_id(name),
                },
                permission: entry.permission,
            })
            .collect()
    }

    fn xattrs<'n>(&mut self, node: &'n Namenode, slot: Slot) -> Vec<XAttrRef<'n>> {
        let xattrs = node.tree.xattrs(slot).iter();
        xattrs
            .map(|xattr| XAttrRef {
                namespace: xattr.namespace,
                name: self.table.xattr_id(&xattr.name),
                value: xattr.value.as_deref(),
            })
            .collect()
    }
}

impl Namenode {
    /// Writes an image of the namespace as of transaction `txid`: the newest one, unless only
    /// operations without effect (segment borders) came after it. Gives the destination back with
    /// the image's length and checksum.
    ///
    /// # Errors
    /// The destination's, and content the format has no room for.
    pub fn save<W: Write>(&self, txid: u64, out: W) -> Result<(W, ImageDigest), ImageError> {
        let head = ImageHead {
            name_system: NameSystem {
                namespace_id: self.config.identity.namespace_id,
                genstamp_v1: self.counters.legacy_stamp,
                genstamp_v2: self.counters.stamp,
                genstamp_v1_limit: self.counters.legacy_stamp_limit,
                last_block_id: self.counters.block_id,
                last_striped_block_id: self.counters.striped_block_id,
                txid,
                rolling_upgrade_start: self.kept.rolling_upgrade,
            },
            erasure_coding: &self.kept.policies,
            last_inode_id: self.tree.last_id,
            inode_count: self.tree.len() as u64,
        };
        let mut writer = ImageWriter::begin(out, &head)?;
        let mut strings = Strings::default();
        for (slot, _) in self.tree.iter() {
            self.save_inode(&mut writer, &mut strings, slot)?;
        }
        for (slot, inode) in self.tree.iter() {
            if let Some(children) = self.tree.children(slot) {
                let ids = children.iter().map(|child| self.tree.get(child).id());
                writer.directory(inode.id(), ids)?;
            }
        }
        let mut open: Vec<_> = self.leases.files().map(|(id, _)| id).collect();
        open.sort_unstable();
        for id in open {
            if let Some(slot) = self.tree.by_id(id) {
                writer.file_under_construction(id, &self.tree.path(slot))?;
            }
        }
        let snapshots = Snapshots {
            counter: self.kept.snapshot_counter,
            snapshottable: self.kept.snapshottable.iter().copied().collect(),
        };
        writer.finish(&ImageTail {
            snapshots: &snapshots,
            secrets: &self.kept.secrets,
            cache: &self.kept.cache,
            strings: &strings.table,
        })
    }

    fn save_inode<W: Write>(
        &self,
        writer: &mut ImageWriter<W>,
        strings: &mut Strings,
        slot: Slot,
    ) -> Result<(), ImageError> {
        let inode = self.tree.get(slot);
        let owner = strings.owner(self, slot);
        let (acl, xattrs) = (strings.acl(self, slot), strings.xattrs(self, slot));
        let features = Features {
            acl: Some(&acl[..]).filter(|acl| !acl.is_empty()),
            xattrs: Some(&xattrs[..]).filter(|xattrs| !xattrs.is_empty()),
        };
        let name = if slot == ROOT { b"" } else { self.tree.name(slot) };
        let id = inode.id();
        match inode.kind() {
            Kind::File => self.save_file(writer, slot, owner, features),
            Kind::Directory => {
                let types = self.type_quotas(slot);
                let quota = self.tree.quota(slot);
                let kind = InodeKind::Directory(Directory {
                    mtime: inode.mtime() as i64,
                    namespace_quota: quota.map_or(-1, |quota| quota.namespace),
                    space_quota: quota.map_or(-1, |quota| quota.space),
                    owner,
                    type_quotas: Some(&types[..]).filter(|types| !types.is_empty()),
                    features,
                });
                writer.inode(&Inode { id, name, kind })
            }
            Kind::Symlink => {
                let kind = InodeKind::Symlink(Symlink {
                    owner,
                    target: self.tree.link_target(slot),
                    mtime: inode.mtime() as i64,
                    atime: inode.atime() as i64,
                });
                writer.inode(&Inode { id, name, kind })
            }
        }
    }

    fn save_file<W: Write>(
        &self,
        writer: &mut ImageWriter<W>,
        slot: Slot,
        owner: Owner,
        features: Features<'_>,
    ) -> Result<(), ImageError> {
        let inode = self.tree.get(slot);
        let is_striped = inode.has(Mark::Striped);
        let blocks = self.records(slot);
        let client = self.leases.writer(inode.id()).filter(|_| inode.has(Mark::Open));
        let kind = InodeKind::File(File {
            replication: if is_striped { 0 } else { inode.replication() },
            mtime: inode.mtime() as i64,
            atime: inode.atime() as i64,
            block_size: inode.block_size(),
            owner,
            blocks: &blocks,
            under_construction: client.map(|client| UnderConstruction {
                client_name: &client.holder,
                client_machine: &client.machine,
            }),
            storage_policy: inode.policy(),
            erasure_coding_policy: is_striped.then_some(inode.replication() as u8),
            features,
        });
        writer.inode(&Inode { id: inode.id(), name: self.tree.name(slot), kind })
    }

    fn type_quotas(&self, slot: Slot) -> Vec<(StorageType, i64)> {
        let Some(quota) = self.tree.quota(slot) else { return Vec::new() };
        let all = StorageType::ALL.into_iter();
        all.map(|each| (each, quota.types[usize::from(each.ordinal())]))
            .filter(|&(_, limit)| limit >= 0)
            .collect()
    }
}
