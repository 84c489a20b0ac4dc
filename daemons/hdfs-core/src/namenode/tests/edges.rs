//! The answers of a real Java 3.4.1 namenode to odd calls, class and first line.

use super::*;

/// The namespace the live answers were taken from.
pub(super) fn pr() -> Lab {
    let mut lab = Lab::new();
    lab.mkdirs("/pr/d1", 0o755).unwrap();
    lab.mkdirs("/pr/d2", 0o755).unwrap();
    for path in ["/pr/f", "/pr/g", "/pr/d1/h"] {
        lab.file(path, &[5000]);
    }
    lab.file("/pr/empty", &[]);
    lab.file("/pr/empty2", &[]);
    lab
}

#[track_caller]
pub(super) fn same<T: std::fmt::Debug>(result: Result<T, Fault>, expected: &str) {
    assert_eq!(show(result), expected);
}

#[test]
fn looking() {
    let lab = pr();
    let found = |path: &str| lab.stat(path).map(|status| status.is_some());
    same(found("/nope"), "false");
    same(found("/pr/f/x"), "false");
    same(found("pr"), "AssertionError: Absolute path required, but got 'pr'");
    same(found(""), "AssertionError: Absolute path required, but got ''");
    same(found("//"), "true");
    same(found("/pr/"), "true");
    same(found("/pr/."), "false");
    same(found("/.reserved"), "true");
    let id = lab.stat("/pr/f").unwrap().unwrap().file_id();
    let by_id = lab.stat(&format!("/.reserved/.inodes/{id}")).unwrap().unwrap();
    assert_eq!(by_id.file_id(), id);
    let list = |path: &str| {
        let request = GetListingRequestProto { src: path.into(), ..Default::default() };
        let answer = lab.read(|node, caller| node.get_listing(caller, &request))?;
        Ok(answer.dir_list.map(|list| list.partial_listing.len()))
    };
    same(list("/nope"), "None");
    same(list("/pr/f"), "Some(1)");
    same(list("/pr"), "Some(6)");
    same(list("/pr/f/x"), "AccessControlException: /pr/f (is not a directory)");
    let blocks = |path: &str| {
        let request = GetBlockLocationsRequestProto { src: path.into(), offset: 0, length: 9999 };
        let answer = lab.read(|node, caller| node.get_block_locations(caller, &request))?;
        let located = answer.locations.unwrap();
        Ok((located.file_length, located.blocks.len()))
    };
    same(blocks("/nope"), "FileNotFoundException: File does not exist: /nope");
    same(blocks("/pr"), "FileNotFoundException: Path is not a file: /pr");
    same(blocks("/pr/empty"), "(0, 0)");
    same(blocks("/pr/f"), "(5000, 1)");
}

#[test]
fn making_directories() {
    let mut lab = pr();
    let mut make = |path: &str| lab.mkdirs(path, 0o755);
    same(make("/pr"), "true");
    same(make("/"), "true");
    same(make("/pr/f"), "FileAlreadyExistsException: Path is not a directory: /pr/f");
    same(make("/pr/f/x"), "ParentNotDirectoryException: /pr/f (is not a directory)");
    same(make("/pr/a:b"), "InvalidPathException: Invalid path name Invalid file name: /pr/a:b");
    same(make("/pr/../x"), "InvalidPathException: Invalid path name Invalid file name: /pr/../x");
    same(
        make("/pr/.snapshot"),
        "HadoopIllegalArgumentException: \".snapshot\" is a reserved name.",
    );
    let long = "x".repeat(256);
    same(
        make(&format!("/pr/{long}")),
        &format!(
            "FSLimitException$PathComponentTooLongException: The maximum path component name limit \
             of {long} in directory /pr is exceeded: limit=255 length=256"
        ),
    );
    same(
        make("/.reserved"),
        "HadoopIllegalArgumentException: File name \".reserved\" is reserved and cannot be \
         created. If this is during upgrade change the name of the existing file or directory to \
         another name before upgrading to the new release.",
    );
    let too_long = "IOException: mkdirs: Pathname too long.  Limit 8000 characters, 1000 levels.";
    same(make(&"/d".repeat(1001)), too_long);
    same(make(&format!("/{}", "x".repeat(8000))), too_long);
    let request = MkdirsRequestProto {
        src: "/pr/no/x".into(),
        masked: FsPermissionProto { perm: 0o755 },
        create_parent: false,
        unmasked: None,
    };
    same(
        lab.write(|node, caller| node.mkdirs(caller, &request)),
        "FileNotFoundException: Parent directory doesn't exist: /pr/no",
    );
}

#[test]
fn creating() {
    let mut lab = pr();
    let mut create = |change: &dyn Fn(&mut CreateRequestProto)| {
        let mut request = create_request("/pr/n1", "cl", CREATE);
        change(&mut request);
        lab.durably(|node, caller| node.create(caller, &request)).map(|_| ())
    };
    let at = |path: &'static str| move |request: &mut CreateRequestProto| request.src = path.into();
    same(create(&at("/pr/d1")), "FileAlreadyExistsException: /pr/d1 already exists as a directory");
    same(
        create(&at("/pr/f")),
        "FileAlreadyExistsException: /pr/f for client 127.0.0.1 already exists",
    );
    same(create(&at("/pr/f/x")), "ParentNotDirectoryException: /pr/f (is not a directory)");
    same(create(&at("/pr/a//b")), "InvalidPathException: Invalid path name /pr/a//b");
    same(
        create(&|request| {
            request.src = "/pr/no/x".into();
            request.create_parent = false;
        }),
        "FileNotFoundException: Parent directory doesn't exist: /pr/no",
    );
    same(
        create(&|request| request.replication = 0),
        "IOException: Requested replication factor of 0 is less than the required minimum of 1 for \
         /pr/n1, clientName=127.0.0.1",
    );
    same(
        create(&|request| request.replication = 600),
        "IOException: Requested replication factor of 600 exceeds maximum of 512 for /pr/n1, \
         clientName=127.0.0.1",
    );
    same(
        create(&|request| request.block_size = 512),
        "IOException: Specified block size 512 is less than configured minimum value \
         dfs.namenode.fs-limits.min-block-size=1048576",
    );
    same(
        create(&|request| {
            request.src = "/pr/n2".into();
            request.create_flag = OVERWRITE;
        }),
        "FileNotFoundException: Can't overwrite non-existent /pr/n2",
    );
}

#[test]
fn writing_under_leases() {
    let mut lab = pr();
    lab.create("/pr/open", "cl", CREATE).unwrap();
    same(
        lab.create("/pr/open", "cl", CREATE),
        "AlreadyBeingCreatedException: Failed to CREATE_FILE /pr/open for cl on 127.0.0.1 because \
         cl is already the current lease holder.",
    );
    let append = |lab: &mut Lab, path: &str, client: &str| {
        let request =
            AppendRequestProto { src: path.into(), client_name: client.into(), flag: None };
        lab.durably(|node, caller| node.append(caller, &request)).map(|_| ())
    };
    same(
        append(&mut lab, "/pr/open", "cl"),
        "AlreadyBeingCreatedException: Failed to APPEND_FILE /pr/open for cl on 127.0.0.1 because \
         cl is already the current lease holder.",
    );
    same(
        append(&mut lab, "/pr/open", "cl2"),
        "AlreadyBeingCreatedException: Failed to APPEND_FILE /pr/open for cl2 on 127.0.0.1 because \
         this file lease is currently owned by cl on 127.0.0.1",
    );
    lab.create("/pr/open", "cl2", CREATE | OVERWRITE).unwrap();
    let lost = "LeaseExpiredException: Client (=cl) is not the lease owner (=cl2: /pr/open (inode \
                0) Holder cl does not have any open files.";
    same(lab.add_block("/pr/open", "cl", None), lost);
    same(lab.complete("/pr/open", "cl", None), lost);
    same(
        lab.add_block("/pr/zz", "cl", None),
        "FileNotFoundException: File does not exist: /pr/zz (inode 0) Holder cl does not have any \
         open files.",
    );
    let closed = "LeaseExpiredException: File is not open for writing: /pr/f (inode 0) Holder cl \
                  does not have any open files.";
    same(lab.add_block("/pr/f", "cl", None), closed);
    same(lab.complete("/pr/f", "cl", None), closed);
    same(lab.complete("/pr/open", "cl2", None), "true");
    same(lab.complete("/pr/open", "cl2", None), "true");
    same(
        append(&mut lab, "/nope", "cl"),
        "FileNotFoundException: Failed to append to non-existent file /nope for client 127.0.0.1",
    );
    same(
        append(&mut lab, "/pr", "cl"),
        "FileAlreadyExistsException: Cannot append to directory /pr; already exists as a \
         directory.",
    );
}

#[test]
fn deleting() {
    let mut lab = pr();
    same(lab.delete("/nope", true), "false");
    same(
        lab.delete("/pr", false),
        "PathIsNotEmptyDirectoryException: `/pr is non empty': Directory is not empty",
    );
    same(lab.delete("/", true), "false");
    same(lab.delete("/.reserved", true), "InvalidPathException: Invalid path name /.reserved");
    same(lab.delete("/pr/f/x", true), "AccessControlException: /pr/f (is not a directory)");
    same(lab.delete("/pr/d2", false), "true");
}

#[test]
fn renaming_by_the_old_rules() {
    let mut lab = pr();
    same(lab.rename("/nope", "/pr/x"), "false");
    same(lab.rename("/pr/f", "/pr/g"), "false");
    same(lab.rename("/pr/f", "/pr/f"), "true");
    same(lab.rename("/pr/d1", "/pr/d1"), "false");
    same(lab.rename("/pr/d1", "/pr/d1/x"), "false");
    same(lab.rename("/pr/f", "/pr/none/x"), "false");
    same(lab.rename("/pr/f", "/pr/g/x"), "ParentNotDirectoryException: /pr/g (is not a directory)");
    same(lab.rename("/", "/pr/x"), "false");
    same(lab.rename("/pr/f", "/"), "true");
    same(lab.rename("/f", "/pr"), "true");
    same(lab.rename("/pr/f", "/pr/d1"), "true");
    same(lab.rename("/pr/d1/f", "/pr/f"), "true");
}

#[test]
fn renaming_by_the_new_rules() {
    let mut lab = pr();
    let mut to = |src: &str, dst: &str, overwrite| lab.rename2(src, dst, overwrite);
    let cases = [
        ("/nope", "/pr/x", false, "FileNotFoundException: rename source /nope is not found."),
        (
            "/pr/f",
            "/pr/g",
            false,
            "FileAlreadyExistsException: rename destination /pr/g already exists",
        ),
        (
            "/pr/f",
            "/pr/f",
            false,
            "FileAlreadyExistsException: The source /pr/f and destination /pr/f are the same",
        ),
        (
            "/pr/f",
            "/pr/d1",
            true,
            "IOException: Source /pr/f and destination /pr/d1 must both be directories",
        ),
        (
            "/pr/d1",
            "/pr/f",
            true,
            "IOException: Source /pr/d1 and destination /pr/f must both be directories",
        ),
        (
            "/pr/f",
            "/pr/none/x",
            false,
            "FileNotFoundException: rename destination parent /pr/none/x not found.",
        ),
        ("/pr/f", "/pr/g/x", false, "ParentNotDirectoryException: /pr/g (is not a directory)"),
        (
            "/pr/d1",
            "/pr/d1/x",
            false,
            "IOException: Rename destination /pr/d1/x is a directory or file under source /pr/d1",
        ),
        (
            "/pr/d2",
            "/pr/d1",
            true,
            "IOException: rename destination directory is not empty: /pr/d1",
        ),
        ("/pr/f", "/", true, "IOException: rename destination cannot be the root"),
        ("/", "/pr/x", false, "IOException: rename source cannot be the root"),
        ("/pr/f", "/pr/g", true, "()"),
    ];
    for (src, dst, overwrite, expected) in cases {
        same(to(src, dst, overwrite), expected);
    }
}

#[test]
fn concatenating() {
    let mut lab = pr();
    let mut concat = |target: &str, sources: &[&str]| {
        let srcs = sources.iter().map(|&path| path.into()).collect();
        let request = ConcatRequestProto { trg: target.into(), srcs };
        lab.durably(|node, caller| node.concat(caller, &request)).map(|_| ())
    };
    same(
        concat("/pr/f", &["/pr/empty2"]),
        "HadoopIllegalArgumentException: concat: source file /pr/empty2 is invalid or empty or \
         underConstruction",
    );
    same(
        concat("/pr/f", &["/pr/d1/h"]),
        "HadoopIllegalArgumentException: Source file /pr/d1/h is not in the same directory with \
         the target /pr/f",
    );
    same(
        concat("/pr/f", &["/pr/f"]),
        "HadoopIllegalArgumentException: concat: the src file /pr/f is the same with the target \
         file /pr/f",
    );
    same(concat("/pr/f", &[]), "IllegalArgumentException: No sources given");
    same(concat("/pr/f", &["/pr/none"]), "FileNotFoundException: File does not exist: /pr/none");
    same(concat("/pr/empty", &["/pr/g"]), "()");
}

#[test]
fn truncating() {
    let mut lab = pr();
    let mut truncate = |path: &str, length: i64| {
        let request = TruncateRequestProto {
            src: path.into(),
            new_length: length as u64,
            client_name: "cl".into(),
        };
        lab.durably(|node, caller| node.truncate(caller, &request)).map(|answer| answer.result)
    };
    same(
        truncate("/pr/f", 99_999),
        "HadoopIllegalArgumentException: Cannot truncate to a larger file size. Current size: \
         5000, truncate size: 99999.",
    );
    same(truncate("/pr/f", 5000), "true");
    same(truncate("/nope", 0), "FileNotFoundException: File does not exist: /nope");
    same(
        truncate("/pr/f", -1),
        "HadoopIllegalArgumentException: Cannot truncate to a negative file size: -1.",
    );
    same(truncate("/pr", 0), "FileNotFoundException: Path is not a file: /pr");
    same(truncate("/pr/f", 100), "false");
    same(truncate("/pr/f", 100), "false");
    same(truncate("/pr/g", 0), "true");
}

#[test]
fn attributes() {
    let mut lab = pr();
    let times = |lab: &mut Lab, path: &str| {
        let request = SetTimesRequestProto { src: path.into(), mtime: 1, atime: 1 };
        lab.durably(|node, caller| node.set_times(caller, &request)).map(|_| ())
    };
    same(times(&mut lab, "/nope"), "FileNotFoundException: File/Directory /nope does not exist.");
    let missing = "FileNotFoundException: Directory/File does not exist /nope";
    same(lab.chmod("/nope", 0o700), missing);
    same(lab.chown("/nope", Some("a"), None), missing);
    let mut replicate = |path: &str, replication| {
        let request = SetReplicationRequestProto { src: path.into(), replication };
        lab.durably(|node, caller| node.set_replication(caller, &request))
            .map(|answer| answer.result)
    };
    same(replicate("/pr", 2), "false");
    same(replicate("/nope", 2), "false");
    same(
        replicate("/pr/f", 0),
        "IOException: Requested replication factor of 0 is less than the required minimum of 1 for \
         /pr/f",
    );
    same(replicate("/pr/f", 2), "true");
}

#[test]
fn quotas() {
    let mut lab = pr();
    const SAME: i64 = i64::MAX;
    let summary = GetContentSummaryRequestProto { path: "/nope".into() };
    same(
        lab.read(|node, caller| node.get_content_summary(caller, &summary)),
        "FileNotFoundException: File does not exist: /nope",
    );
    same(lab.set_quota("/nope", 1, SAME), "FileNotFoundException: Directory does not exist: /nope");
    same(
        lab.set_quota("/pr/f", 1, SAME),
        "PathIsNotDirectoryException: `/pr/f': Is not a directory",
    );
    same(lab.set_quota("/pr/d2", 0, -1), "()");
    same(lab.set_quota("/", -1, -1), "()");
    same(lab.set_quota("/pr/d1", 1, SAME), "()");
    same(
        lab.mkdirs("/pr/d1/x", 0o755),
        "NSQuotaExceededException: The NameSpace quota (directories and files) of directory /pr/d1 \
         is exceeded: quota=1 file count=3",
    );
    lab.set_quota("/pr/d1", -1, 100).unwrap();
    lab.create("/pr/d1/s", "cl", CREATE).unwrap();
    same(
        lab.add_block("/pr/d1/s", "cl", None),
        "DSQuotaExceededException: The DiskSpace quota of /pr/d1 is exceeded: quota = 100 B = 100 \
         B but diskspace consumed = 1053576 B = 1.00 MB",
    );
}

#[test]
fn acls_and_xattrs() {
    let mut lab = pr();
    let status = GetAclStatusRequestProto { src: "/nope".into() };
    same(
        lab.read(|node, caller| node.get_acl_status(caller, &status)),
        "FileNotFoundException: cannot find /nope",
    );
    let entry = |scope| AclEntryProto { r#type: 0, scope, permissions: 7, name: None };
    let mut set = |acl_spec: Vec<AclEntryProto>| {
        let request = SetAclRequestProto { src: "/pr/f".into(), acl_spec };
        lab.durably(|node, caller| node.set_acl(caller, &request)).map(|_| ())
    };
    same(
        set(vec![entry(0)]),
        "AclException: Invalid ACL: the user, group and other entries are required. Path: /pr/f",
    );
    same(
        set(vec![entry(1)]),
        "AclException: Invalid ACL: only directories may have a default ACL. Path: /pr/f Path: \
         /pr/f",
    );
    let xattr = |namespace, name: &str, size: usize| XAttrProto {
        namespace,
        name: name.into(),
        value: Some(vec![0; size].into()),
    };
    let wanted = GetXAttrsRequestProto { src: "/pr/f".into(), x_attrs: vec![xattr(0, "n", 0)] };
    same(
        lab.read(|node, caller| node.get_x_attrs(caller, &wanted)),
        "XAttrNotFoundException: At least one of the attributes provided was not found.",
    );
    let gone = RemoveXAttrRequestProto { src: "/pr/f".into(), x_attr: Some(xattr(0, "n", 0)) };
    same(
        lab.write(|node, caller| node.remove_x_attr(caller, &gone)),
        "IOException: No matching attributes found for remove operation",
    );
    let mut set = |x_attr, flag| {
        let request =
            SetXAttrRequestProto { src: "/pr/f".into(), x_attr: Some(x_attr), flag: Some(flag) };
        lab.durably(|node, caller| node.set_x_attr(caller, &request)).map(|_| ())
    };
    same(
        set(xattr(0, "n", 1), 2),
        "IOException: XAttr: n does not exist. The CREATE flag must be specified.",
    );
    same(set(xattr(0, "n", 1), 1), "()");
    same(
        set(xattr(0, "n", 1), 1),
        "IOException: XAttr: n already exists. The REPLACE flag must be specified.",
    );
    list_carries_values(&lab);
    let mut set = |x_attr, flag| {
        let request =
            SetXAttrRequestProto { src: "/pr/f".into(), x_attr: Some(x_attr), flag: Some(flag) };
        lab.durably(|node, caller| node.set_x_attr(caller, &request)).map(|_| ())
    };
    same(
        set(xattr(0, "b", 20_000), 1),
        "HadoopIllegalArgumentException: The XAttr is too big. The maximum combined size of the \
         name and value is 16384, but the total size is 20001",
    );
    same(
        set(xattr(3, "b", 1), 1),
        "AccessControlException: User doesn't have permission for xattr: system.b",
    );
}

/// Story: the Go client reads values from `listXAttrs`, and ours had names only.
fn list_carries_values(lab: &Lab) {
    let request = ListXAttrsRequestProto { src: "/pr/f".into() };
    let listed = lab.read(|node, caller| node.list_x_attrs(caller, &request)).unwrap().x_attrs;
    assert_eq!(listed.len(), 1);
    assert_eq!((&*listed[0].name, listed[0].value.as_deref()), ("n", Some(&[0][..])));
}

#[test]
fn leases_and_other_questions() {
    let mut lab = pr();
    let recover = |lab: &mut Lab, path: &str| {
        let request = RecoverLeaseRequestProto { src: path.into(), client_name: "other".into() };
        lab.durably(|node, caller| node.recover_lease(caller, &request)).map(|answer| answer.result)
    };
    same(recover(&mut lab, "/nope"), "FileNotFoundException: File does not exist: /nope");
    same(recover(&mut lab, "/pr/f"), "true");
    let closed = |path: &str| {
        let request = IsFileClosedRequestProto { src: path.into() };
        lab.read(|node, caller| node.is_file_closed(caller, &request)).map(|answer| answer.result)
    };
    same(closed("/pr/f"), "true");
    same(closed("/nope"), "FileNotFoundException: File does not exist: /nope");
    same(closed("/pr"), "FileNotFoundException: Path is not a file: /pr");
    let link = GetLinkTargetRequestProto { path: "/pr/f".into() };
    same(
        lab.read(|node, caller| node.get_link_target(caller, &link)),
        "IOException: Path /pr/f is not a symbolic link",
    );
    let snapshot = CreateSnapshotRequestProto { snapshot_root: "/pr".into(), snapshot_name: None };
    same(
        lab.write(|node, caller| node.create_snapshot(caller, &snapshot)),
        "SnapshotException: Directory is not a snapshottable directory: /pr",
    );
    let save = SaveNamespaceRequestProto::default();
    same(
        lab.write(|node, caller| node.save_namespace(caller, &save)),
        "IOException: Safe mode should be turned ON in order to create namespace image.",
    );
    let policy = SetStoragePolicyRequestProto { src: "/pr/f".into(), policy_name: "zz".into() };
    same(
        lab.write(|node, caller| node.set_storage_policy(caller, &policy)),
        "HadoopIllegalArgumentException: Cannot find a block policy with the name zz",
    );
}

#[test]
fn erasure_coding_and_snapshots() {
    let mut lab = pr();
    let mut set = |path: &str, name: Option<&str>| {
        let request = SetErasureCodingPolicyRequestProto {
            src: path.into(),
            ec_policy_name: name.map(Into::into),
        };
        lab.durably(|node, caller| node.set_erasure_coding_policy(caller, &request)).map(|_| ())
    };
    same(set("/pr/d2", None), "()");
    same(
        set("/pr/d2", Some("RS-10-4-1024k")),
        "HadoopIllegalArgumentException: Policy 'RS-10-4-1024k' does not match any enabled erasure \
         coding policies: [RS-6-3-1024k]. An erasure coding policy can be enabled by \
         enableErasureCodingPolicy API.",
    );
    let unset = UnsetErasureCodingPolicyRequestProto { src: "/pr/d1".into() };
    same(
        lab.write(|node, caller| node.unset_erasure_coding_policy(caller, &unset)),
        "NoECPolicySetException: No erasure coding policy explicitly set on /pr/d1",
    );
    let get = GetErasureCodingPolicyRequestProto { src: "/pr/d2".into() };
    let policy = lab.read(|node, caller| node.get_erasure_coding_policy(caller, &get)).unwrap();
    assert_eq!(policy.ec_policy.unwrap().name(), "RS-6-3-1024k");
    let allow = |path: &str| AllowSnapshotRequestProto { snapshot_root: path.into() };
    let (outer, inner) = (allow("/pr"), allow("/pr/d1"));
    lab.durably(|node, caller| node.allow_snapshot(caller, &outer)).unwrap();
    same(
        lab.write(|node, caller| node.allow_snapshot(caller, &inner)),
        "SnapshotException: Nested snapshottable directories not allowed: path=/pr/d1, the \
         ancestor /pr is already a snapshottable directory.",
    );
    same(
        lab.mkdirs("/pr/.snapshot/x/y", 0o755),
        "SnapshotAccessControlException: Modification on a read-only snapshot is disallowed",
    );
    let list = GetListingRequestProto { src: "/pr/.snapshot".into(), ..Default::default() };
    let listing = lab.read(|node, caller| node.get_listing(caller, &list)).unwrap();
    assert_eq!(listing.dir_list, Some(DirectoryListingProto::default()));
}
