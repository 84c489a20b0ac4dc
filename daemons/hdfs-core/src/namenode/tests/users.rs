//! The answers of a real Java 3.4.1 namenode to users without rights, class and first line.

use super::edges::{pr, same};
use super::*;

#[test]
fn an_ordinary_user() {
    let mut lab = pr();
    lab.chmod("/pr/d1", 0o700).unwrap();
    lab.chmod("/pr/f", 0o600).unwrap();
    lab.become_user("bob", "bobg");
    let no_write = "AccessControlException: Permission denied: user=bob, access=WRITE, \
                    inode=\"/pr\":root:supergroup:drwxr-xr-x";
    same(lab.mkdirs("/pr/x", 0o755), no_write);
    same(lab.delete("/pr/f", true), no_write);
    same(lab.create("/pr/x", "b", CREATE), no_write);
    same(lab.rename("/pr/f", "/pr/y"), no_write);
    let not_owner =
        "AccessControlException: Permission denied. user=bob is not the owner of inode=/pr/f";
    same(lab.chmod("/pr/f", 0o777), not_owner);
    same(lab.chown("/pr/f", Some("bob"), None), not_owner);
    same(
        lab.set_quota("/pr", 1, 1),
        "AccessControlException: Access denied for user bob. Superuser privilege is required for \
         operation setSpaceQuota",
    );
    let list = GetListingRequestProto { src: "/pr/d1".into(), ..Default::default() };
    same(
        lab.read(|node, caller| node.get_listing(caller, &list)),
        "AccessControlException: Permission denied: user=bob, access=READ_EXECUTE, \
         inode=\"/pr/d1\":root:supergroup:drwx------",
    );
    same(
        lab.stat("/pr/d1/h"),
        "AccessControlException: Permission denied: user=bob, access=EXECUTE, \
         inode=\"/pr/d1\":root:supergroup:drwx------",
    );
    let no_read = "AccessControlException: Permission denied: user=bob, access=READ, \
                   inode=\"/pr/f\":root:supergroup:-rw-------";
    let blocks = GetBlockLocationsRequestProto { src: "/pr/f".into(), offset: 0, length: 1 };
    same(lab.read(|node, caller| node.get_block_locations(caller, &blocks)), no_read);
    let access = CheckAccessRequestProto { path: "/pr/f".into(), mode: 4 };
    same(lab.read(|node, caller| node.check_access(caller, &access)), no_read);
    let summary = GetContentSummaryRequestProto { path: "/pr".into() };
    same(
        lab.read(|node, caller| node.get_content_summary(caller, &summary)),
        "AccessControlException: Permission denied: user=bob, access=READ_EXECUTE, \
         inode=\"/pr/d1\":root:supergroup:drwx------",
    );
    let snapshot = AllowSnapshotRequestProto { snapshot_root: "/pr".into() };
    same(
        lab.write(|node, caller| node.allow_snapshot(caller, &snapshot)),
        "AccessControlException: Access denied for user bob. Superuser privilege is required for \
         operation allowSnapshot",
    );
}

#[test]
fn an_ordinary_user_in_his_own_place() {
    let mut lab = pr();
    lab.mkdirs("/tmp", 0o1777).unwrap();
    lab.chmod("/tmp", 0o1777).unwrap();
    lab.file("/tmp/roots", &[]);
    lab.become_user("bob", "bobg");
    lab.create("/tmp/bobs", "b", CREATE).unwrap();
    assert_eq!(lab.stat("/tmp/bobs").unwrap().unwrap().group, "supergroup");
    same(
        lab.chown("/tmp/bobs", None, Some("other")),
        "AccessControlException: User bob does not belong to other",
    );
    same(lab.delete("/tmp/gone", true), "false");
    same(
        lab.delete("/tmp/roots", true),
        "AccessControlException: Permission denied by sticky bit: user=bob, \
         path=\"/tmp/roots\":root:supergroup:-rw-r--r--, \
         parent=\"/tmp\":root:supergroup:drwxrwxrwt",
    );
    same(lab.delete("/tmp/bobs", true), "true");
}
