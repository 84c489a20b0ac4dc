//! The tree of inodes: arena, names, directory entries, and side tables for what few inodes have.
//! It keeps itself consistent and knows no rule: whether a change is allowed is asked elsewhere.

mod arena;
mod blocks;
mod children;
mod ids;
mod names;
mod principals;
mod quota;
mod slab;

use std::cmp::Ordering;

use hdfs_disk::types::{AclEntry, XAttr};

pub(crate) use arena::{Inode, Kind, Mark, ROOT, Slot};
pub(crate) use children::Children;
pub(crate) use ids::NumberMap;
pub(crate) use names::NAME_BYTES_MAX;
pub(crate) use principals::{MODE_BITS, Permission};
pub(crate) use quota::{Exceeded, Quota, Usage};

/// The id of the root directory, in every HDFS.
pub(crate) const ROOT_ID: u64 = 16_385;

/// No table of entries: a directory that never had one.
const NO_CHILDREN: u64 = u64::MAX;

/// The order of names in a directory, the same as Java's on disk and in listings: byte by byte,
/// each byte as a signed number. Letters outside ASCII come first.
pub(crate) fn compare_names(left: &[u8], right: &[u8]) -> Ordering {
    match left.iter().zip(right).find(|(left, right)| left != right) {
        Some((left, right)) => left.cast_signed().cmp(&right.cast_signed()),
        None => left.len().cmp(&right.len()),
    }
}

/// The namespace as a data structure.
#[derive(Debug)]
pub(crate) struct Tree {
    arena: arena::Arena,
    names: names::Names,
    directories: slab::Slab<Children>,
    block_lists: slab::Slab<Vec<i64>>,
    ids: ids::Ids,
    principals: principals::Principals,
    acls: NumberMap<u32, Box<[AclEntry]>>,
    xattrs: NumberMap<u32, Box<[XAttr]>>,
    quotas: NumberMap<u32, Quota>,
    links: NumberMap<u32, Box<[u8]>>,
    /// Newest inode id given out.
    pub(crate) last_id: u64,
}

impl Tree {
    /// The root directory alone.
    pub(crate) fn new(owner: &str, group: &str, mtime: u64) -> Self {
        let mut tree = Self {
            arena: arena::Arena::default(),
            names: names::Names::default(),
            directories: slab::Slab::default(),
            block_lists: slab::Slab::default(),
            ids: ids::Ids::default(),
            principals: principals::Principals::default(),
            acls: NumberMap::default(),
            xattrs: NumberMap::default(),
            quotas: NumberMap::default(),
            links: NumberMap::default(),
            last_id: ROOT_ID,
        };
        let permission = tree.intern_permission(owner, group, 0o755);
        let root = tree.create(Kind::Directory, ROOT_ID, permission, mtime);
        debug_assert_eq!(root, ROOT, "the root takes the first slot");
        let name = tree.names.insert(b"");
        tree.arena.get_mut(root).set_name(name);
        let quota = Quota { namespace: i64::MAX, ..Quota::default() };
        tree.set_quota(root, Some(quota));
        tree.charge(Some(root), Usage { names: 1, space: 0 });
        tree
    }

    pub(crate) fn get(&self, slot: Slot) -> &Inode {
        self.arena.get(slot)
    }

    pub(crate) fn get_mut(&mut self, slot: Slot) -> &mut Inode {
        self.arena.get_mut(slot)
    }

    /// Files, directories and links.
    pub(crate) fn len(&self) -> usize {
        self.arena.len()
    }

    pub(crate) fn by_id(&self, id: u64) -> Option<Slot> {
        self.ids.get(id)
    }

    /// Every inode in slot order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (Slot, &Inode)> {
        self.arena.iter()
    }

    // ---- names and places ----

    pub(crate) fn name(&self, slot: Slot) -> &[u8] {
        self.names.get(self.get(slot).name())
    }

    pub(crate) fn child(&self, directory: Slot, name: &[u8]) -> Option<Slot> {
        self.children(directory)?.find(|slot| self.order(slot, name))
    }

    /// A directory's entries; `None` for other inodes and for directories without any.
    pub(crate) fn children(&self, directory: Slot) -> Option<&Children> {
        let inode = self.get(directory);
        if !inode.is_directory() || inode.data() == NO_CHILDREN {
            return None;
        }
        Some(self.directories.get(inode.data()))
    }

    pub(crate) fn children_count(&self, directory: Slot) -> usize {
        self.children(directory).map_or(0, Children::len)
    }

    /// Order of an entry against a name.
    pub(crate) fn order(&self, slot: Slot, name: &[u8]) -> Ordering {
        compare_names(self.name(slot), name)
    }

    /// The absolute path of an inode.
    pub(crate) fn path(&self, slot: Slot) -> String {
        let mut chain = Vec::new();
        let mut bytes = 0;
        let mut at = slot;
        while let Some(parent) = self.get(at).parent() {
            chain.push(at);
            bytes += self.name(at).len() + 1;
            at = parent;
        }
        if chain.is_empty() {
            return "/".to_owned();
        }
        let mut path = Vec::with_capacity(bytes);
        for &slot in chain.iter().rev() {
            path.push(b'/');
            path.extend_from_slice(self.name(slot));
        }
        String::from_utf8(path).unwrap_or_else(|bad| {
            // Java accepts any bytes as a name; it shows them like this too.
            String::from_utf8_lossy(bad.as_bytes()).into_owned()
        })
    }

    /// Is `ancestor` on the way from the root to `slot`, or `slot` itself?
    pub(crate) fn is_at_or_below(&self, slot: Slot, ancestor: Slot) -> bool {
        let mut at = Some(slot);
        while let Some(slot) = at {
            if slot == ancestor {
                return true;
            }
            at = self.get(slot).parent();
        }
        false
    }

    // ---- coming and going ----

    /// A new inode, not yet in any directory.
    pub(crate) fn create(&mut self, kind: Kind, id: u64, permission: u32, mtime: u64) -> Slot {
        let mut inode = Inode::new(kind, id, permission, mtime);
        if kind == Kind::Directory {
            inode.set_data(NO_CHILDREN);
        }
        let slot = self.arena.insert(inode);
        self.ids.insert(id, slot);
        self.last_id = self.last_id.max(id);
        slot
    }

    /// Puts an inode into a directory. False (and no change) when the name is taken.
    pub(crate) fn link(&mut self, parent: Slot, name: &[u8], slot: Slot) -> bool {
        if self.child(parent, name).is_some() {
            return false;
        }
        let name_offset = self.names.insert(name);
        self.get_mut(slot).set_name(name_offset);
        self.get_mut(slot).set_parent(Some(parent));
        let index = self.entries_of(parent);
        let (arena, names) = (&self.arena, &self.names);
        let order = |other: Slot| compare_names(names.get(arena.get(other).name()), name);
        self.directories.get_mut(index).insert(slot, order)
    }

    /// Gives an inode its name before its place is known, as an image does.
    pub(crate) fn name_ahead(&mut self, slot: Slot, name: &[u8]) {
        let name_offset = self.names.insert(name);
        self.get_mut(slot).set_name(name_offset);
    }

    /// Puts a named inode behind all others of a directory. False (and no change) when it has a
    /// place already or does not come last.
    pub(crate) fn adopt(&mut self, parent: Slot, slot: Slot) -> bool {
        let last = self.children(parent).and_then(Children::last);
        let is_sorted = last.is_none_or(|last| self.order(last, self.name(slot)).is_lt());
        if !is_sorted || self.get(slot).parent().is_some() || slot == ROOT {
            return false;
        }
        self.get_mut(slot).set_parent(Some(parent));
        let index = self.entries_of(parent);
        self.directories.get_mut(index).push(slot);
        true
    }

    /// Takes an inode out of its directory; it lives on without a place.
    pub(crate) fn unlink(&mut self, slot: Slot) {
        let Some(parent) = self.get(slot).parent() else { return };
        let index = self.get(parent).data();
        let name_offset = self.get(slot).name();
        let (arena, names) = (&self.arena, &self.names);
        let name = names.get(name_offset);
        let order = |other: Slot| compare_names(names.get(arena.get(other).name()), name);
        let children = self.directories.get_mut(index);
        let taken = children.remove(order);
        debug_assert_eq!(taken, Some(slot), "an inode is in its parent's directory");
        if children.is_empty() {
            self.directories.remove(index);
            self.get_mut(parent).set_data(NO_CHILDREN);
        }
        self.names.remove(name_offset);
        self.get_mut(slot).set_parent(None);
    }

    /// Takes all entries out of a directory at once; they live on without a place.
    pub(crate) fn unlink_all(&mut self, directory: Slot) -> Vec<Slot> {
        let index = self.get(directory).data();
        if !self.get(directory).is_directory() || index == NO_CHILDREN {
            return Vec::new();
        }
        self.get_mut(directory).set_data(NO_CHILDREN);
        let children: Vec<_> = self.directories.remove(index).iter().collect();
        for &child in &children {
            let name_offset = self.get(child).name();
            self.names.remove(name_offset);
            self.get_mut(child).set_parent(None);
        }
        children
    }

    /// Forgets an unlinked inode without entries, and everything in the side tables.
    pub(crate) fn free(&mut self, slot: Slot) {
        let inode = *self.get(slot);
        if inode.is_file() {
            self.set_blocks(slot, Vec::new());
        }
        self.ids.remove(inode.id());
        self.acls.remove(&slot.0);
        self.xattrs.remove(&slot.0);
        self.quotas.remove(&slot.0);
        self.links.remove(&slot.0);
        self.arena.remove(slot);
    }

    fn entries_of(&mut self, directory: Slot) -> u64 {
        let index = self.get(directory).data();
        if index != NO_CHILDREN {
            return index;
        }
        let index = self.directories.insert(Children::default());
        self.get_mut(directory).set_data(index);
        index
    }

    // ---- owner, group, mode ----

    pub(crate) fn permission(&self, slot: Slot) -> Permission {
        self.principals.permission(self.get(slot).permission())
    }

    pub(crate) fn principal(&self, index: u32) -> &str {
        self.principals.name(index)
    }

    pub(crate) fn owner(&self, slot: Slot) -> &str {
        self.principal(self.permission(slot).user)
    }

    pub(crate) fn group(&self, slot: Slot) -> &str {
        self.principal(self.permission(slot).group)
    }

    pub(crate) fn mode(&self, slot: Slot) -> u16 {
        self.permission(slot).mode
    }

    pub(crate) fn intern_permission(&mut self, user: &str, group: &str, mode: u16) -> u32 {
        let user = self.principals.intern_name(user);
        let group = self.principals.intern_name(group);
        self.principals.intern(Permission { user, group, mode: mode & MODE_BITS })
    }

    pub(crate) fn set_mode(&mut self, slot: Slot, mode: u16) {
        let permission = Permission { mode: mode & MODE_BITS, ..self.permission(slot) };
        let index = self.principals.intern(permission);
        self.get_mut(slot).set_permission(index);
    }

    pub(crate) fn set_owner(&mut self, slot: Slot, user: Option<&str>, group: Option<&str>) {
        let mut permission = self.permission(slot);
        if let Some(user) = user {
            permission.user = self.principals.intern_name(user);
        }
        if let Some(group) = group {
            permission.group = self.principals.intern_name(group);
        }
        let index = self.principals.intern(permission);
        self.get_mut(slot).set_permission(index);
    }

    // ---- rare features ----

    /// Extended ACL entries: access entries first, then defaults. Empty for most inodes.
    pub(crate) fn acl(&self, slot: Slot) -> &[AclEntry] {
        if !self.get(slot).has(Mark::Acl) {
            return &[];
        }
        self.acls.get(&slot.0).map_or(&[], |entries| entries)
    }

    pub(crate) fn set_acl(&mut self, slot: Slot, entries: Vec<AclEntry>) {
        self.get_mut(slot).set(Mark::Acl, !entries.is_empty());
        if entries.is_empty() {
            self.acls.remove(&slot.0);
        } else {
            self.acls.insert(slot.0, entries.into_boxed_slice());
        }
    }

    pub(crate) fn xattrs(&self, slot: Slot) -> &[XAttr] {
        if !self.get(slot).has(Mark::XAttr) {
            return &[];
        }
        self.xattrs.get(&slot.0).map_or(&[], |entries| entries)
    }

    pub(crate) fn set_xattrs(&mut self, slot: Slot, entries: Vec<XAttr>) {
        self.get_mut(slot).set(Mark::XAttr, !entries.is_empty());
        if entries.is_empty() {
            self.xattrs.remove(&slot.0);
        } else {
            self.xattrs.insert(slot.0, entries.into_boxed_slice());
        }
    }

    /// Where a symbolic link points.
    pub(crate) fn link_target(&self, slot: Slot) -> &[u8] {
        self.links.get(&slot.0).map_or(&[], |target| target)
    }

    pub(crate) fn set_link_target(&mut self, slot: Slot, target: &[u8]) {
        self.links.insert(slot.0, target.into());
    }

    /// Bytes held: inodes and ids, directory entries, names, block lists.
    pub(crate) fn memory(&self) -> [usize; 4] {
        let entries: usize = self.directories.iter().map(Children::memory).sum();
        let lists: usize = self.block_lists.iter().map(|list| list.capacity() * 8).sum();
        [
            self.arena.memory() + self.ids.memory(),
            entries + self.directories.memory(),
            self.names.memory(),
            lists + self.block_lists.memory(),
        ]
    }
}
