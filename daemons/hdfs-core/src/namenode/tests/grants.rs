//! The permission matrix: owner, group, other and ACL entries against every mode, by a second,
//! plainer evaluation.

use super::*;
use crate::namenode::resolve::Intent;
use hdfs_disk::types::{AclEntry, AclKind, AclScope};

/// What POSIX says, written down once more from the rules.
fn expected(user: &str, group: &str, mode: u16, acl: &[(AclKind, &str, u8)], access: u8) -> bool {
    let bits = |shift: u16| (mode >> shift) as u8 & 7;
    let grants = |bits: u8| bits & access == access;
    if user == "own" {
        return grants(bits(6));
    }
    if acl.is_empty() {
        return grants(if group == "grp" { bits(3) } else { bits(0) });
    }
    let mask = bits(3);
    if let Some((.., permission)) =
        acl.iter().find(|(kind, name, _)| *kind == AclKind::User && *name == user)
    {
        return grants(permission & mask);
    }
    let mut matching = acl
        .iter()
        .filter(|(kind, name, _)| {
            *kind == AclKind::Group && (*name == group || (name.is_empty() && group == "grp"))
        })
        .peekable();
    if matching.peek().is_some() {
        return matching.any(|(.., permission)| grants(permission & mask));
    }
    grants(bits(0))
}

#[test]
fn every_mode_and_list_is_judged_as_posix_does() {
    let mut lab = Lab::new();
    lab.mkdirs("/d", 0o777).unwrap();
    lab.chown("/d", Some("own"), Some("grp")).unwrap();
    let slot = lab.node.resolve(&lab.caller(), "/d", Intent::Read).unwrap().target().unwrap();
    let lists: [&[(AclKind, &str, u8)]; 4] = [
        &[],
        &[(AclKind::User, "named", 6), (AclKind::Group, "", 5)],
        &[(AclKind::Group, "", 4), (AclKind::Group, "team", 3)],
        &[(AclKind::User, "named", 0), (AclKind::Group, "", 0), (AclKind::Group, "team", 7)],
    ];
    let people = [
        ("own", "x"),
        ("named", "grp"),
        ("named", "team"),
        ("a", "grp"),
        ("b", "team"),
        ("c", "x"),
    ];
    let mut checked = 0;
    for acl in lists {
        let entries = acl.iter().map(|&(kind, name, permission)| AclEntry {
            scope: AclScope::Access,
            kind,
            name: Some(name.to_owned()).filter(|name| !name.is_empty()),
            permission,
        });
        lab.node.tree.set_acl(slot, entries.collect());
        for mode in 0..0o1000 {
            lab.node.tree.set_mode(slot, mode);
            for (user, group) in people {
                lab.become_user(user, group);
                let caller = lab.caller();
                let checker = lab.node.checker(&caller);
                for access in 0..8 {
                    let granted = checker.check(slot, access).is_ok();
                    assert_eq!(
                        granted,
                        expected(user, group, mode, acl, access),
                        "{user}:{group} {mode:o} {acl:?} {access}"
                    );
                    checked += 1;
                }
            }
        }
    }
    assert_eq!(checked, 4 * 512 * 6 * 8);
}

#[test]
fn superusers_and_switched_off_permissions_pass() {
    let mut lab = Lab::new();
    lab.mkdirs("/d/e", 0o700).unwrap();
    lab.chmod("/d", 0).unwrap();
    lab.become_user("admin", "supergroup");
    assert!(lab.mkdirs("/d/f", 0o700).unwrap());
    lab.become_user("bob", "bobg");
    assert!(lab.mkdirs("/d/g", 0o700).is_err());
    let open = Config { permissions_enabled: false, ..config() };
    let mut lab = Lab::around(Namenode::new(open, START));
    lab.become_user("bob", "bobg");
    assert!(lab.mkdirs("/d/g", 0o700).unwrap());
}
