//! Users, groups and the few combinations of owner, group and mode a cluster really has, each
//! stored once.

use std::collections::HashMap;
use std::sync::Arc;

/// Owner, group and mode of an inode.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Permission {
    /// Index of the owner's name.
    pub(crate) user: u32,
    /// Index of the group's name.
    pub(crate) group: u32,
    /// Nine permission bits and the sticky bit (01000).
    pub(crate) mode: u16,
}

/// Bits of a mode the namenode keeps; setuid and setgid are dropped.
pub(crate) const MODE_BITS: u16 = 0o1777;

/// The interned names and combinations. Entries stay for the life of the process: their number is
/// bounded by real users times modes.
#[derive(Debug, Default)]
pub(crate) struct Principals {
    names: Vec<Arc<str>>,
    name_index: HashMap<Arc<str>, u32>,
    permissions: Vec<Permission>,
    permission_index: HashMap<Permission, u32>,
}

impl Principals {
    pub(crate) fn name(&self, index: u32) -> &str {
        &self.names[index as usize]
    }

    pub(crate) fn intern_name(&mut self, name: &str) -> u32 {
        if let Some(&index) = self.name_index.get(name) {
            return index;
        }
        let index = self.names.len() as u32;
        let name: Arc<str> = name.into();
        self.names.push(Arc::clone(&name));
        self.name_index.insert(name, index);
        index
    }

    pub(crate) fn permission(&self, index: u32) -> Permission {
        self.permissions[index as usize]
    }

    pub(crate) fn intern(&mut self, permission: Permission) -> u32 {
        if let Some(&index) = self.permission_index.get(&permission) {
            return index;
        }
        let index = self.permissions.len() as u32;
        self.permissions.push(permission);
        self.permission_index.insert(permission, index);
        index
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_things_are_stored_once() {
        let mut principals = Principals::default();
        let root = principals.intern_name("root");
        assert_eq!(principals.intern_name("root"), root);
        let permission = Permission { user: root, group: root, mode: 0o755 };
        let index = principals.intern(permission);
        assert_eq!(principals.intern(permission), index);
        assert_eq!(principals.permission(index), permission);
        assert_eq!(principals.name(root), "root");
    }
}
