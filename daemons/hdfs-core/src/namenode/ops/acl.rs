//! The ACL calls: rules as POSIX has them, with masks computed unless they are given.

use std::collections::BTreeSet;

use hdfs_disk::edits::EditOp;
use hdfs_disk::types::{AclEntry, AclKind, AclScope};
use hdfs_wire::proto::hdfs::{
    AclEntryProto, AclStatusProto, FsPermissionProto, GetAclStatusRequestProto,
    GetAclStatusResponseProto, ModifyAclEntriesRequestProto, ModifyAclEntriesResponseProto,
    RemoveAclEntriesRequestProto, RemoveAclEntriesResponseProto, RemoveAclRequestProto,
    RemoveAclResponseProto, RemoveDefaultAclRequestProto, RemoveDefaultAclResponseProto,
    SetAclRequestProto, SetAclResponseProto,
};
use hdfs_wire::{Exception, Fault};

use super::super::acl::{logical, rank};
use super::super::resolve::{Intent, Resolved};
use super::super::tree::Slot;
use super::super::{Caller, Durable, Namenode};
use super::not_found;

/// Most entries of each scope; fixed in Hadoop.
const ENTRIES_MAX: usize = 32;

const SCOPES: [AclScope; 2] = [AclScope::Access, AclScope::Default];

type List = Vec<AclEntry>;

fn invalid(text: impl std::fmt::Display) -> Fault {
    Fault::new(Exception::Acl, format!("Invalid ACL: {text}"))
}

/// Entries as a client sends them; `with_permissions` is false where only names count.
fn entries_of(entries: &[AclEntryProto]) -> Result<List, Fault> {
    entries
        .iter()
        .map(|each| {
            let kind = u8::try_from(each.r#type).ok().and_then(AclKind::from_number);
            let kind = kind.ok_or_else(|| invalid(format!("entry type {}", each.r#type)))?;
            let scope = if each.scope == 0 { AclScope::Access } else { AclScope::Default };
            let name = each.name.clone().filter(|name| !name.is_empty());
            Ok(AclEntry { scope, kind, name, permission: each.permissions as u8 & 7 })
        })
        .collect()
}

fn to_proto(entry: &AclEntry) -> AclEntryProto {
    AclEntryProto {
        r#type: entry.kind as i32,
        scope: entry.scope as i32,
        permissions: i32::from(entry.permission),
        name: entry.name.clone(),
    }
}

/// A list under change: entries without masks, the masks, and what was touched.
#[derive(Default)]
struct Draft {
    entries: List,
    masks: List,
    touched: BTreeSet<AclScope>,
    touched_masks: BTreeSet<AclScope>,
}

impl Draft {
    fn keep(&mut self, entry: AclEntry) {
        match entry.kind {
            AclKind::Mask => self.masks.push(entry),
            _ => self.entries.push(entry),
        }
    }

    fn touch(&mut self, entry: &AclEntry) {
        self.touched.insert(entry.scope);
        if entry.kind == AclKind::Mask {
            self.touched_masks.insert(entry.scope);
        }
    }

    /// Completes defaults and masks, sorts, and checks the result.
    fn finish(mut self) -> Result<List, Fault> {
        self.complete_defaults();
        for scope in SCOPES {
            self.add_mask(scope)?;
        }
        self.entries.sort_by(|left, right| rank(left).cmp(&rank(right)));
        check(&self.entries)?;
        Ok(self.entries)
    }

    /// A default list needs the three unnamed entries; missing ones come from the access list.
    fn complete_defaults(&mut self) {
        if !self.entries.iter().chain(&self.masks).any(|each| each.scope == AclScope::Default) {
            return;
        }
        for kind in [AclKind::User, AclKind::Group, AclKind::Other] {
            let unnamed = |scope| {
                move |each: &&AclEntry| {
                    each.scope == scope && each.kind == kind && each.name.is_none()
                }
            };
            if self.entries.iter().find(unnamed(AclScope::Default)).is_some() {
                continue;
            }
            if let Some(entry) = self.entries.iter().find(unnamed(AclScope::Access)).cloned() {
                self.entries.push(AclEntry { scope: AclScope::Default, ..entry });
            }
        }
    }

    fn add_mask(&mut self, scope: AclScope) -> Result<(), Fault> {
        let of_scope = || self.entries.iter().filter(|each| each.scope == scope);
        if of_scope().next().is_none() {
            return Ok(());
        }
        let is_needed = of_scope().any(|each| each.name.is_some());
        let union = of_scope()
            .filter(|each| each.kind == AclKind::Group || each.name.is_some())
            .fold(0, |union, each| union | each.permission);
        let given = self.masks.iter().find(|mask| mask.scope == scope).cloned();
        let is_touched = self.touched_masks.contains(&scope);
        match given {
            None if is_needed && is_touched => {
                Err(invalid("mask is required and cannot be deleted."))
            }
            Some(mask) if is_touched || !self.touched.contains(&scope) => {
                self.entries.push(mask);
                Ok(())
            }
            given => {
                if is_needed || given.is_some() {
                    let kind = AclKind::Mask;
                    self.entries.push(AclEntry { scope, kind, name: None, permission: union });
                }
                Ok(())
            }
        }
    }
}

/// Checks a sorted list.
fn check(entries: &[AclEntry]) -> Result<(), Fault> {
    for (scope, title) in SCOPES.into_iter().zip(["access", "default"]) {
        let count = entries.iter().filter(|each| each.scope == scope).count();
        if count > ENTRIES_MAX {
            return Err(invalid(format!(
                "ACL has {count} {title} entries, which exceeds maximum of {ENTRIES_MAX}."
            )));
        }
    }
    for pair in entries.windows(2) {
        if rank(&pair[0]) == rank(&pair[1]) {
            return Err(invalid("multiple entries with same scope, type and name."));
        }
    }
    let bare = [AclKind::Mask, AclKind::Other];
    if entries.iter().any(|each| each.name.is_some() && bare.contains(&each.kind)) {
        return Err(invalid("this entry type must not have a name."));
    }
    for scope in SCOPES {
        let of_scope: Vec<_> = entries.iter().filter(|each| each.scope == scope).collect();
        let is_complete = [AclKind::User, AclKind::Group, AclKind::Other]
            .into_iter()
            .all(|kind| of_scope.iter().any(|each| each.kind == kind && each.name.is_none()));
        if !is_complete && (scope == AclScope::Access || !of_scope.is_empty()) {
            return Err(invalid("the user, group and other entries are required."));
        }
    }
    Ok(())
}

fn merge(existing: List, changes: List) -> Result<List, Fault> {
    let mut draft = Draft::default();
    for old in existing {
        if !changes.iter().any(|new| rank(new) == rank(&old)) {
            draft.keep(old);
        }
    }
    for new in changes {
        draft.touch(&new);
        draft.keep(new);
    }
    draft.finish()
}

fn replace(existing: List, new: List) -> Result<List, Fault> {
    let mut draft = Draft::default();
    for entry in new {
        draft.touch(&entry);
        draft.keep(entry);
    }
    for old in existing {
        if !draft.touched.contains(&old.scope) {
            draft.keep(old);
        }
    }
    draft.finish()
}

fn remove(existing: List, gone: &[AclEntry]) -> Result<List, Fault> {
    let mut draft = Draft::default();
    for old in existing {
        if gone.iter().any(|each| rank(each) == rank(&old)) {
            draft.touch(&old);
        } else {
            draft.keep(old);
        }
    }
    draft.finish()
}

impl Namenode {
    /// Logs what `change` makes of an inode's logical list.
    fn change_acl(
        &mut self,
        caller: &Caller<'_>,
        src: &str,
        what: &str,
        change: impl FnOnce(List) -> Result<List, Fault>,
    ) -> Result<(), Fault> {
        self.begin(caller);
        self.check_acls_enabled()?;
        self.check_safe_mode(format_args!("{what} {src}"))?;
        let resolved = self.resolve(caller, src, Intent::Write)?;
        let slot = found(&resolved)?;
        self.checker(caller).owner(slot)?;
        let located =
            |fault: Fault| Fault::new(fault.exception, format!("{} Path: {src}", fault.message));
        let existing = logical(self.tree.acl(slot), self.tree.mode(slot));
        let entries = change(existing).map_err(located)?;
        let has_defaults = entries.iter().any(|each| each.scope == AclScope::Default);
        if has_defaults && !self.tree.get(slot).is_directory() {
            let text = format!("only directories may have a default ACL. Path: {src}");
            return Err(located(invalid(text)));
        }
        self.log(&EditOp::SetAcl { path: resolved.into_path(), entries })
    }

    fn check_acls_enabled(&self) -> Result<(), Fault> {
        if self.config.acls_enabled {
            return Ok(());
        }
        let message = "The ACL operation has been rejected.  Support for ACLs has been disabled by \
                       setting dfs.namenode.acls.enabled to false.";
        Err(Fault::new(Exception::Acl, message))
    }

    /// `modifyAclEntries`: adds and replaces entries.
    ///
    /// # Errors
    /// `AclException`, `FileNotFoundException`; path, permission and safe mode errors.
    pub fn modify_acl_entries(
        &mut self,
        caller: &Caller<'_>,
        request: &ModifyAclEntriesRequestProto,
    ) -> Result<Durable<ModifyAclEntriesResponseProto>, Fault> {
        let changes = entries_of(&request.acl_spec)?;
        let change = |existing| merge(existing, changes);
        self.change_acl(caller, &request.src, "modify ACL entries on", change)?;
        Ok(self.durable(ModifyAclEntriesResponseProto {}))
    }

    /// `removeAclEntries`: removes entries, whatever their permissions.
    ///
    /// # Errors
    /// As [`Self::modify_acl_entries`].
    pub fn remove_acl_entries(
        &mut self,
        caller: &Caller<'_>,
        request: &RemoveAclEntriesRequestProto,
    ) -> Result<Durable<RemoveAclEntriesResponseProto>, Fault> {
        let gone = entries_of(&request.acl_spec)?;
        let change = |existing| remove(existing, &gone);
        self.change_acl(caller, &request.src, "remove ACL entries on", change)?;
        Ok(self.durable(RemoveAclEntriesResponseProto {}))
    }

    /// `removeDefaultAcl`.
    ///
    /// # Errors
    /// As [`Self::modify_acl_entries`].
    pub fn remove_default_acl(
        &mut self,
        caller: &Caller<'_>,
        request: &RemoveDefaultAclRequestProto,
    ) -> Result<Durable<RemoveDefaultAclResponseProto>, Fault> {
        let change = |existing: List| {
            Ok(existing.into_iter().filter(|each| each.scope == AclScope::Access).collect())
        };
        self.change_acl(caller, &request.src, "remove default ACL entries on", change)?;
        Ok(self.durable(RemoveDefaultAclResponseProto {}))
    }

    /// `removeAcl`: back to a mode alone.
    ///
    /// # Errors
    /// As [`Self::modify_acl_entries`].
    pub fn remove_acl(
        &mut self,
        caller: &Caller<'_>,
        request: &RemoveAclRequestProto,
    ) -> Result<Durable<RemoveAclResponseProto>, Fault> {
        self.change_acl(caller, &request.src, "remove ACL on", |_| Ok(Vec::new()))?;
        Ok(self.durable(RemoveAclResponseProto {}))
    }

    /// `setAcl`: replaces the lists of the scopes that are mentioned.
    ///
    /// # Errors
    /// As [`Self::modify_acl_entries`].
    pub fn set_acl(
        &mut self,
        caller: &Caller<'_>,
        request: &SetAclRequestProto,
    ) -> Result<Durable<SetAclResponseProto>, Fault> {
        let new = entries_of(&request.acl_spec)?;
        let change = |existing| replace(existing, new);
        self.change_acl(caller, &request.src, "set ACL on", change)?;
        Ok(self.durable(SetAclResponseProto {}))
    }

    /// `getAclStatus`: what the mode does not say.
    ///
    /// # Errors
    /// `AclException` when ACLs are off, `FileNotFoundException`; path and permission errors.
    pub fn get_acl_status(
        &self,
        caller: &Caller<'_>,
        request: &GetAclStatusRequestProto,
    ) -> Result<GetAclStatusResponseProto, Fault> {
        self.check_acls_enabled()?;
        let resolved = self.resolve(caller, &request.src, Intent::Read)?;
        let slot = found(&resolved)?;
        let mode = self.tree.mode(slot);
        let result = AclStatusProto {
            owner: self.tree.owner(slot).to_owned(),
            group: self.tree.group(slot).to_owned(),
            sticky: mode & 0o1000 != 0,
            entries: self.tree.acl(slot).iter().map(to_proto).collect(),
            permission: Some(FsPermissionProto { perm: u32::from(mode) }),
        };
        Ok(GetAclStatusResponseProto { result })
    }
}

fn found(resolved: &Resolved<'_>) -> Result<Slot, Fault> {
    resolved.target().ok_or_else(|| not_found(format!("cannot find {}", resolved.path())))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> List {
        text.split(',')
            .map(|each| {
                let (scope, each) = match each.strip_prefix("d:") {
                    Some(rest) => (AclScope::Default, rest),
                    None => (AclScope::Access, each),
                };
                let parts: Vec<_> = each.split(':').collect();
                let kind = match parts[0] {
                    "u" => AclKind::User,
                    "g" => AclKind::Group,
                    "m" => AclKind::Mask,
                    _ => AclKind::Other,
                };
                let name = Some(parts[1].to_owned()).filter(|name| !name.is_empty());
                AclEntry { scope, kind, name, permission: parts[2].parse().unwrap() }
            })
            .collect()
    }

    #[test]
    fn masks_are_computed_unless_given() {
        let minimal = parse("u::6,g::4,o::4");
        assert_eq!(
            merge(minimal.clone(), parse("u:al:7")).unwrap(),
            parse("u::6,u:al:7,g::4,m::7,o::4")
        );
        assert_eq!(
            merge(minimal.clone(), parse("u:al:7,m::1")).unwrap(),
            parse("u::6,u:al:7,g::4,m::1,o::4")
        );
        let extended = parse("u::6,u:al:7,g::4,m::7,o::4");
        assert_eq!(
            remove(extended.clone(), &parse("u:al:0")).unwrap(),
            parse("u::6,g::4,m::4,o::4")
        );
        assert!(remove(extended, &parse("m::0")).unwrap_err().message.contains("mask is required"));
        assert_eq!(replace(minimal, parse("u::7,g::7,o::0")).unwrap(), parse("u::7,g::7,o::0"));
    }

    #[test]
    fn default_lists_are_completed() {
        assert_eq!(
            merge(parse("u::7,g::5,o::5"), parse("d:u:al:6")).unwrap(),
            parse("u::7,g::5,o::5,d:u::7,d:u:al:6,d:g::5,d:m::7,d:o::5")
        );
    }

    #[test]
    fn bad_lists_are_refused() {
        let minimal = parse("u::7,g::5,o::5");
        let bad = replace(minimal.clone(), parse("u::7")).unwrap_err();
        assert_eq!(bad.message, "Invalid ACL: the user, group and other entries are required.");
        assert!(replace(minimal.clone(), parse("u::7,u::7,g::5,o::5")).is_err());
        assert!(merge(minimal, parse("o:al:7")).is_err());
    }
}
