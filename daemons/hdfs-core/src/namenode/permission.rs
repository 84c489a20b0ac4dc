//! Who may do what: owner, group, other, ACL entries, the sticky bit, and the superuser. Texts are
//! Hadoop's, since tools print and tests compare them.

use std::fmt::Write;

use hdfs_disk::types::{AclKind, AclScope};
use hdfs_wire::{Exception, Fault};

use super::tree::{Children, Slot, Tree};
use super::{Caller, Config, Namenode};

/// READ 4, WRITE 2, EXECUTE 1.
pub(crate) type Access = u8;

pub(crate) const EXECUTE: Access = 1;
pub(crate) const WRITE: Access = 2;
pub(crate) const READ: Access = 4;
pub(crate) const ALL: Access = 7;

const STICKY: u16 = 0o1000;

/// Java's names of the eight actions.
const ACTIONS: [&str; 8] =
    ["NONE", "EXECUTE", "WRITE", "WRITE_EXECUTE", "READ", "READ_EXECUTE", "READ_WRITE", "ALL"];

/// One caller's rights in one tree.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Checker<'a> {
    tree: &'a Tree,
    user: &'a str,
    groups: &'a [String],
    is_superuser: bool,
    is_enabled: bool,
}

impl<'a> Checker<'a> {
    pub(crate) fn new(tree: &'a Tree, config: &Config, caller: &Caller<'a>) -> Self {
        let is_superuser =
            caller.user == config.superuser || caller.groups.contains(&config.supergroup);
        Self {
            tree,
            user: caller.user,
            groups: caller.groups,
            is_superuser,
            is_enabled: config.permissions_enabled,
        }
    }

    /// Superusers, and everybody when permissions are off.
    pub(crate) fn may_all(&self) -> bool {
        self.is_superuser || !self.is_enabled
    }

    pub(crate) fn is_superuser(&self) -> bool {
        self.is_superuser
    }

    /// Does the caller have this group?
    pub(crate) fn has_group(&self, group: &str) -> bool {
        self.groups.iter().any(|each| each == group)
    }

    /// Asks for superuser rights.
    ///
    /// # Errors
    /// `AccessControlException` naming the operation.
    pub(crate) fn superuser(&self, operation: &str) -> Result<(), Fault> {
        if self.may_all() {
            return Ok(());
        }
        Err(denied(format!(
            "Access denied for user {}. Superuser privilege is required for operation {operation}",
            self.user
        )))
    }

    /// Asks for access to one inode.
    ///
    /// # Errors
    /// `AccessControlException` naming user, access and inode.
    pub(crate) fn check(&self, slot: Slot, access: Access) -> Result<(), Fault> {
        if self.may_all() || self.is_allowed(slot, access) {
            return Ok(());
        }
        let mut message = format!(
            "Permission denied: user={}, access={}, inode=\"{}\":{}",
            self.user,
            ACTIONS[usize::from(access & ALL)],
            self.tree.path(slot),
            describe(self.tree, slot)
        );
        if self.has_access_acl(slot) {
            message.push('+');
        }
        Err(denied(message))
    }

    /// Asks the caller to own an inode.
    ///
    /// # Errors
    /// `AccessControlException`.
    pub(crate) fn owner(&self, slot: Slot) -> Result<(), Fault> {
        if self.may_all() || self.tree.owner(slot) == self.user {
            return Ok(());
        }
        Err(denied(format!(
            "Permission denied. user={} is not the owner of inode={}",
            self.user,
            self.tree.path(slot)
        )))
    }

    /// Asks for the right to take an entry out of its directory: WRITE, and with the sticky bit
    /// ownership of one of the two.
    ///
    /// # Errors
    /// `AccessControlException`.
    pub(crate) fn removal(&self, slot: Slot) -> Result<(), Fault> {
        let Some(parent) = self.tree.get(slot).parent() else { return Ok(()) };
        self.sticky(parent, slot)?;
        self.check(parent, WRITE)
    }

    fn sticky(&self, parent: Slot, slot: Slot) -> Result<(), Fault> {
        let mine = |slot| self.tree.owner(slot) == self.user;
        if self.may_all() || self.tree.mode(parent) & STICKY == 0 || mine(parent) || mine(slot) {
            return Ok(());
        }
        Err(denied(format!(
            "Permission denied by sticky bit: user={}, path=\"{}\":{}, parent=\"{}\":{}",
            self.user,
            self.tree.path(slot),
            describe(self.tree, slot),
            self.tree.path(parent),
            describe(self.tree, parent)
        )))
    }

    /// Asks for access to every directory at and below `slot`; with `skip_empty` those without
    /// entries do not count.
    ///
    /// # Errors
    /// `AccessControlException` for the first directory that refuses.
    pub(crate) fn subtree(
        &self,
        slot: Slot,
        access: Access,
        skip_empty: bool,
    ) -> Result<(), Fault> {
        if self.may_all() || !self.tree.get(slot).is_directory() {
            return Ok(());
        }
        let mut pending = vec![slot];
        while let Some(directory) = pending.pop() {
            let children = self.tree.children(directory);
            if !(skip_empty && children.is_none()) {
                self.check(directory, access)?;
            }
            let is_sticky = self.tree.mode(directory) & STICKY != 0;
            for child in children.into_iter().flat_map(Children::iter) {
                if is_sticky && skip_empty {
                    self.sticky(directory, child)?;
                }
                if self.tree.get(child).is_directory() {
                    pending.push(child);
                }
            }
        }
        Ok(())
    }

    /// Whether the evaluation of owner, ACL, group and other grants every bit of `access`.
    pub(crate) fn is_allowed(&self, slot: Slot, access: Access) -> bool {
        let permission = self.tree.permission(slot);
        let grants = |bits: u16| bits as u8 & access == access;
        let (owner, group, other) = (permission.mode >> 6, permission.mode >> 3, permission.mode);
        if self.tree.principal(permission.user) == self.user {
            return grants(owner);
        }
        if self.has_access_acl(slot) {
            return self.is_allowed_by_acl(slot, access);
        }
        if self.has_group(self.tree.principal(permission.group)) {
            return grants(group);
        }
        grants(other)
    }

    /// Named user; then any matching group; then other. The mode's group bits are the mask.
    fn is_allowed_by_acl(&self, slot: Slot, access: Access) -> bool {
        let mode = self.tree.mode(slot);
        let mask = (mode >> 3) as u8 & ALL;
        let mut is_member = false;
        for entry in self.tree.acl(slot).iter().take_while(|each| each.scope == AclScope::Access) {
            let granted = entry.permission & mask & access == access;
            match (entry.kind, entry.name.as_deref()) {
                (AclKind::User, Some(name)) if name == self.user => return granted,
                (AclKind::Group, name) => {
                    let group = name.unwrap_or_else(|| self.tree.group(slot));
                    if self.has_group(group) {
                        if granted {
                            return true;
                        }
                        is_member = true;
                    }
                }
                _ => {}
            }
        }
        !is_member && mode as u8 & access == access
    }

    fn has_access_acl(&self, slot: Slot) -> bool {
        self.tree.acl(slot).first().is_some_and(|entry| entry.scope == AclScope::Access)
    }
}

fn denied(message: String) -> Fault {
    Fault::new(Exception::AccessControl, message)
}

/// `owner:group:drwxr-xr-x`
fn describe(tree: &Tree, slot: Slot) -> String {
    let kind = if tree.get(slot).is_directory() { 'd' } else { '-' };
    let mut text = format!("{}:{}:{kind}", tree.owner(slot), tree.group(slot));
    let _ = write!(text, "{}", Symbolic(tree.mode(slot)));
    text
}

/// A mode as `ls` prints it, sticky bit as `t` or `T`.
pub(crate) struct Symbolic(pub(crate) u16);

impl std::fmt::Display for Symbolic {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for shift in (0..9).rev() {
            let is_set = self.0 >> shift & 1 == 1;
            let letter = match (shift, is_set) {
                (0, true) if self.0 & STICKY != 0 => 't',
                (0, false) if self.0 & STICKY != 0 => 'T',
                (_, false) => '-',
                (_, true) => ['x', 'w', 'r'][shift % 3],
            };
            formatter.write_char(letter)?;
        }
        Ok(())
    }
}

impl Namenode {
    /// The caller's rights in the namespace.
    pub(crate) fn checker<'a>(&'a self, caller: &Caller<'a>) -> Checker<'a> {
        Checker::new(&self.tree, &self.config, caller)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modes_print_as_in_ls() {
        for (mode, text) in [
            (0o755, "rwxr-xr-x"),
            (0o1777, "rwxrwxrwt"),
            (0o1776, "rwxrwxrwT"),
            (0o640, "rw-r-----"),
            (0, "---------"),
        ] {
            assert_eq!(Symbolic(mode).to_string(), text);
        }
    }
}
