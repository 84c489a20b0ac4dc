//! A namespace from an image.

use std::collections::HashMap;

use hdfs_disk::image::{
    AclWord, Directory, Features, File, ImageError, ImageReader, Inode, InodeKind, Owner,
    StringTable, Symlink,
};
use hdfs_disk::types::{AclEntry, AclKind, StorageType, XAttr};

use super::super::blocks::{Block, BlockState};
use super::super::kept::Kept;
use super::super::tree::{Kind, Mark, Quota, ROOT, ROOT_ID, Slot};
use super::super::{Config, Counters, Namenode};

fn corrupt(section: &'static str, reason: String) -> ImageError {
    ImageError::Corrupt { section, offset: 0, reason }
}

/// Owner, group and mode are looked up by name once for each combination.
#[derive(Default)]
struct Permissions(HashMap<Owner, u32>);

impl Permissions {
    fn index(
        &mut self,
        node: &mut Namenode,
        strings: &StringTable,
        owner: Owner,
    ) -> Result<u32, ImageError> {
        if let Some(&index) = self.0.get(&owner) {
            return Ok(index);
        }
        let user = strings.user(owner.user);
        let group = strings.group(owner.group);
        let (Some(user), Some(group)) = (user, group) else {
            let reason = format!("no user {} or group {}", owner.user, owner.group);
            return Err(corrupt("STRING_TABLE", reason));
        };
        let index = node.tree.intern_permission(user, group, owner.mode);
        self.0.insert(owner, index);
        Ok(index)
    }
}

impl Namenode {
    /// The namespace of an image. Replay the log from the transaction after
    /// [`Self::last_txid`], then call [`Self::loaded`].
    ///
    /// # Errors
    /// Content that contradicts itself.
    pub fn load(config: Config, image: &ImageReader<'_>) -> Result<Self, ImageError> {
        let mut node = Self::new(config, 0);
        node.counters = Counters {
            stamp: image.name_system.genstamp_v2,
            legacy_stamp: image.name_system.genstamp_v1,
            legacy_stamp_limit: image.name_system.genstamp_v1_limit,
            block_id: image.name_system.last_block_id,
            striped_block_id: image.name_system.last_striped_block_id,
        };
        node.kept = Kept {
            snapshottable: image.snapshots.snapshottable.iter().copied().collect(),
            snapshot_counter: image.snapshots.counter,
            rolling_upgrade: image.name_system.rolling_upgrade_start,
            cache: image.cache.clone(),
            secrets: image.secrets.clone(),
            policies: image.erasure_coding.clone(),
        };
        node.log.set_last_txid(image.name_system.txid);
        let mut permissions = Permissions::default();
        let mut inodes = image.inodes();
        while let Some(inode) = inodes.next_inode()? {
            node.load_inode(&inode, &image.strings, &mut permissions)?;
        }
        node.load_directories(image)?;
        node.tree.last_id = node.tree.last_id.max(image.last_inode_id);
        node.recount();
        Ok(node)
    }

    fn load_inode(
        &mut self,
        inode: &Inode<'_>,
        strings: &StringTable,
        permissions: &mut Permissions,
    ) -> Result<(), ImageError> {
        let (kind, owner, mtime) = match &inode.kind {
            InodeKind::File(file) => (Kind::File, file.owner, file.mtime),
            InodeKind::Directory(directory) => (Kind::Directory, directory.owner, directory.mtime),
            InodeKind::Symlink(link) => (Kind::Symlink, link.owner, link.mtime),
        };
        let permission = permissions.index(self, strings, owner)?;
        let slot = if inode.id == ROOT_ID {
            let root = self.tree.get_mut(ROOT);
            root.set_permission(permission);
            root.set_mtime(mtime as u64);
            ROOT
        } else if self.tree.by_id(inode.id).is_some() || inode.id >= 1 << 47 {
            return Err(corrupt("INODE", format!("inode {} appears twice", inode.id)));
        } else {
            let slot = self.tree.create(kind, inode.id, permission, mtime as u64);
            self.tree.name_ahead(slot, inode.name);
            slot
        };
        match &inode.kind {
            InodeKind::File(file) => self.load_file(slot, file, strings),
            InodeKind::Directory(directory) => self.load_directory(slot, directory, strings),
            InodeKind::Symlink(link) => {
                self.load_symlink(slot, link);
                Ok(())
            }
        }
    }

    fn load_file(
        &mut self,
        slot: Slot,
        file: &File<'_>,
        strings: &StringTable,
    ) -> Result<(), ImageError> {
        let inode = self.tree.get_mut(slot);
        inode.set_atime(file.atime as u64);
        inode.set_block_size(file.block_size);
        inode.set_policy(file.storage_policy);
        inode.set_replication(file.replication);
        if let Some(policy) = file.erasure_coding_policy {
            inode.set(Mark::Striped, true);
            inode.set_replication(u16::from(policy));
        }
        let id = inode.id();
        let copies = self.copies_of(slot);
        let last = file.blocks.len().wrapping_sub(1);
        for (index, record) in file.blocks.iter().enumerate() {
            let is_open = file.under_construction.is_some() && index == last;
            let state = if is_open { BlockState::UnderConstruction } else { BlockState::Complete };
            let block = Block { id: record.id, length: record.length, stamp: record.stamp };
            self.blocks.insert(block, id, copies, state);
        }
        self.tree.set_blocks(slot, file.blocks.iter().map(|record| record.id).collect());
        if let Some(writer) = file.under_construction {
            self.tree.get_mut(slot).set(Mark::Open, true);
            self.leases.open(id, writer.client_name, writer.client_machine, 0);
        }
        self.load_features(slot, &file.features, strings)
    }

    fn load_directory(
        &mut self,
        slot: Slot,
        directory: &Directory<'_>,
        strings: &StringTable,
    ) -> Result<(), ImageError> {
        let mut quota = Quota {
            namespace: directory.namespace_quota,
            space: directory.space_quota,
            ..Quota::default()
        };
        for &(storage_type, limit) in directory.type_quotas.unwrap_or(&[]) {
            quota.types[usize::from(StorageType::ordinal(storage_type))] = limit;
        }
        if quota.is_set() || slot == ROOT {
            self.tree.set_quota(slot, Some(quota));
        }
        self.load_features(slot, &directory.features, strings)
    }

    fn load_symlink(&mut self, slot: Slot, link: &Symlink<'_>) {
        self.tree.get_mut(slot).set_atime(link.atime as u64);
        self.tree.set_link_target(slot, link.target);
    }

    fn load_features(
        &mut self,
        slot: Slot,
        features: &Features<'_>,
        strings: &StringTable,
    ) -> Result<(), ImageError> {
        if let Some(words) = features.acl {
            let entries: Result<Vec<_>, _> =
                words.iter().map(|word| acl_entry(word, strings)).collect();
            self.tree.set_acl(slot, entries?);
        }
        if let Some(refs) = features.xattrs {
            let mut xattrs = Vec::with_capacity(refs.len());
            for each in refs {
                let name = strings.xattr(each.name).ok_or_else(|| {
                    corrupt("STRING_TABLE", format!("no attribute name {}", each.name))
                })?;
                xattrs.push(XAttr {
                    namespace: each.namespace,
                    name: name.to_owned(),
                    value: each.value.map(<[u8]>::to_vec),
                });
            }
            self.tree.set_xattrs(slot, xattrs);
        }
        Ok(())
    }

    fn load_directories(&mut self, image: &ImageReader<'_>) -> Result<(), ImageError> {
        let unknown = |id: u64| corrupt("INODE_DIR", format!("inode {id} does not exist"));
        let mut placed = 1;
        let mut directories = image.directories();
        while let Some((parent, children)) = directories.next_directory()? {
            let slot = self.tree.by_id(parent).ok_or_else(|| unknown(parent))?;
            if !self.tree.get(slot).is_directory() {
                return Err(corrupt("INODE_DIR", format!("inode {parent} is not a directory")));
            }
            for &child in children {
                let child_slot = self.tree.by_id(child).ok_or_else(|| unknown(child))?;
                if !self.tree.adopt(slot, child_slot) {
                    let reason = format!("inode {child} is twice, or out of order, in {parent}");
                    return Err(corrupt("INODE_DIR", reason));
                }
                placed += 1;
            }
        }
        if placed != self.tree.len() {
            let reason = format!("{} inodes are in no directory", self.tree.len() - placed);
            return Err(corrupt("INODE_DIR", reason));
        }
        self.check_rooted()
    }

    /// Every inode has a parent; none may be its own ancestor.
    fn check_rooted(&self) -> Result<(), ImageError> {
        let mut reached = 0;
        let mut pending = vec![ROOT];
        while let Some(slot) = pending.pop() {
            reached += 1;
            if let Some(children) = self.tree.children(slot) {
                pending.extend(children.iter());
            }
        }
        if reached == self.tree.len() {
            return Ok(());
        }
        Err(corrupt("INODE_DIR", "some directories contain each other".to_owned()))
    }
}

fn acl_entry(word: &AclWord, strings: &StringTable) -> Result<AclEntry, ImageError> {
    let name = match (word.name, word.kind) {
        (0, _) => None,
        (id, AclKind::User) => strings.user(id),
        (id, _) => strings.group(id),
    };
    if word.name != 0 && name.is_none() {
        let reason = format!("no user or group {} of an ACL", word.name);
        return Err(corrupt("STRING_TABLE", reason));
    }
    Ok(AclEntry {
        scope: word.scope,
        kind: word.kind,
        name: name.map(str::to_owned),
        permission: word.permission,
    })
}
