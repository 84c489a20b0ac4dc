//! ACLs between two shapes. Logical: every entry, as clients and the log see it. Stored: what the
//! mode cannot say, that is named users, the owning group and named groups (the mask is in the
//! mode's group bits), then all default entries.

use hdfs_disk::types::{AclEntry, AclKind, AclScope};

use super::tree::{MODE_BITS, Slot, Tree};

const BITS: u16 = 0o7;
const STICKY: u16 = 0o1000;

/// Entries of a list that says no more than a mode.
const MINIMAL: usize = 3;

fn entry(scope: AclScope, kind: AclKind, permission: u16) -> AclEntry {
    AclEntry { scope, kind, name: None, permission: (permission & BITS) as u8 }
}

fn of_scope(entries: &[AclEntry], scope: AclScope) -> impl Iterator<Item = &AclEntry> {
    entries.iter().filter(move |each| each.scope == scope)
}

/// Permission of the unnamed entry of this kind.
fn unnamed(entries: &[AclEntry], scope: AclScope, kind: AclKind) -> Option<u16> {
    of_scope(entries, scope)
        .find(|each| each.kind == kind && each.name.is_none())
        .map(|each| u16::from(each.permission) & BITS)
}

/// Where an entry stands in a list: access first; user, group, mask, other; unnamed first.
pub(crate) fn rank(entry: &AclEntry) -> (AclScope, AclKind, Option<&str>) {
    (entry.scope, entry.kind, entry.name.as_deref())
}

/// The stored shape of a logical list, and the mode that goes with it. `mode` is the one so far.
pub(crate) fn split(entries: &[AclEntry], mode: u16) -> (Vec<AclEntry>, u16) {
    let mut sorted = entries.to_vec();
    sorted.sort_by(|left, right| rank(left).cmp(&rank(right)));
    let bits =
        |kind, shift: u16| unnamed(&sorted, AclScope::Access, kind).unwrap_or(mode >> shift & BITS);
    let is_extended = of_scope(&sorted, AclScope::Access).count() > MINIMAL;
    let group = if is_extended { bits(AclKind::Mask, 3) } else { bits(AclKind::Group, 3) };
    let mode = mode & STICKY | bits(AclKind::User, 6) << 6 | group << 3 | bits(AclKind::Other, 0);
    sorted.retain(|each| match (each.scope, each.kind) {
        (AclScope::Default, _) => true,
        (AclScope::Access, AclKind::User) => is_extended && each.name.is_some(),
        (AclScope::Access, AclKind::Group) => is_extended,
        (AclScope::Access, AclKind::Mask | AclKind::Other) => false,
    });
    (sorted, mode & MODE_BITS)
}

/// Gives an inode a logical list; an empty one takes its ACL away.
pub(crate) fn store(tree: &mut Tree, slot: Slot, entries: &[AclEntry]) {
    let mode = tree.mode(slot);
    let (stored, mode) = if entries.is_empty() {
        (Vec::new(), without_acl(tree.acl(slot), mode))
    } else {
        split(entries, mode)
    };
    tree.set_acl(slot, stored);
    tree.set_mode(slot, mode);
}

/// The mode when the ACL goes: the owning group's entry takes the mask's place.
fn without_acl(stored: &[AclEntry], mode: u16) -> u16 {
    match unnamed(stored, AclScope::Access, AclKind::Group) {
        Some(group) => mode & !(BITS << 3) | group << 3,
        None => mode,
    }
}

/// The logical list of a stored one.
pub(crate) fn logical(stored: &[AclEntry], mode: u16) -> Vec<AclEntry> {
    let access: Vec<_> = of_scope(stored, AclScope::Access).cloned().collect();
    let mut entries = vec![entry(AclScope::Access, AclKind::User, mode >> 6)];
    if access.is_empty() {
        entries.push(entry(AclScope::Access, AclKind::Group, mode >> 3));
    } else {
        entries.extend(access);
        entries.push(entry(AclScope::Access, AclKind::Mask, mode >> 3));
    }
    entries.push(entry(AclScope::Access, AclKind::Other, mode));
    entries.extend(of_scope(stored, AclScope::Default).cloned());
    entries
}

/// What a new child of a directory gets: the mode, and the logical list (empty for none).
///
/// `masked` is the mode after the client's umask; `unmasked` counts instead where the directory has
/// a default list.
pub(crate) fn inherit(
    parent: &[AclEntry],
    masked: u16,
    unmasked: Option<u16>,
    is_directory: bool,
) -> (u16, Vec<AclEntry>) {
    let defaults: Vec<_> = of_scope(parent, AclScope::Default).cloned().collect();
    if defaults.is_empty() {
        return (masked, Vec::new());
    }
    let mode = unmasked.unwrap_or(masked);
    let is_minimal = defaults.len() == MINIMAL;
    let mut entries: Vec<_> = defaults
        .iter()
        .map(|each| {
            let filter = match (each.kind, each.name.is_some()) {
                (AclKind::User, false) => mode >> 6,
                (AclKind::Group, _) if is_minimal => mode >> 3,
                (AclKind::Mask, _) => mode >> 3,
                (AclKind::Other, _) => mode,
                _ => BITS,
            };
            let permission = each.permission & (filter & BITS) as u8;
            AclEntry { scope: AclScope::Access, permission, ..each.clone() }
        })
        .collect();
    let is_extended = entries.len() > MINIMAL || is_directory;
    if is_directory {
        entries.extend(defaults);
    }
    let (_, mode) = split(&entries, mode);
    (mode, if is_extended { entries } else { Vec::new() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(scope: AclScope, kind: AclKind, name: &str, permission: u8) -> AclEntry {
        AclEntry { scope, kind, name: Some(name.to_owned()), permission }
    }

    fn extended() -> Vec<AclEntry> {
        vec![
            entry(AclScope::Access, AclKind::User, 7),
            named(AclScope::Access, AclKind::User, "al", 4),
            entry(AclScope::Access, AclKind::Group, 5),
            entry(AclScope::Access, AclKind::Mask, 6),
            entry(AclScope::Access, AclKind::Other, 0),
        ]
    }

    #[test]
    fn the_mask_lives_in_the_mode() {
        let (stored, mode) = split(&extended(), 0o1755);
        assert_eq!(mode, 0o1760);
        assert_eq!(stored, extended()[1..3]);
        assert_eq!(logical(&stored, mode), extended());
        assert_eq!(without_acl(&stored, mode), 0o1750);
    }

    #[test]
    fn a_minimal_list_is_just_a_mode() {
        let (stored, mode) = split(&logical(&[], 0o640), 0o777);
        assert_eq!((stored, mode), (Vec::new(), 0o640));
    }

    #[test]
    fn children_inherit_the_default_list() {
        let parent: Vec<_> = extended()
            .into_iter()
            .map(|each| AclEntry { scope: AclScope::Default, ..each })
            .collect();
        let (mode, entries) = inherit(&parent, 0o644, Some(0o666), false);
        assert_eq!(mode, 0o660);
        assert_eq!(entries.len(), 5);
        let (mode, entries) = inherit(&parent, 0o755, Some(0o777), true);
        assert_eq!(mode, 0o760);
        assert_eq!(entries.len(), 10);
        assert_eq!(inherit(&extended(), 0o644, None, false), (0o644, Vec::new()));
    }
}
