//! Images: there and back, and damaged.

use proptest::prelude::*;

use super::*;
use crate::types::{
    AclKind, AclScope, BlockRecord, DelegationKey, DelegationToken, ErasureCodingSchema,
    StorageType, XAttrNamespace,
};

/// Reads everything and writes it again.
fn rewrite(bytes: &[u8]) -> Result<Vec<u8>, ImageError> {
    let reader = ImageReader::open(bytes)?;
    let head = ImageHead {
        name_system: reader.name_system,
        erasure_coding: &reader.erasure_coding,
        last_inode_id: reader.last_inode_id,
        inode_count: reader.inode_count.min(1000),
    };
    let mut writer = ImageWriter::begin(Vec::new(), &head)?;
    let mut inodes = reader.inodes();
    while let Some(inode) = inodes.next_inode()? {
        writer.inode(&inode)?;
    }
    let mut directories = reader.directories();
    while let Some((parent, children)) = directories.next_directory()? {
        writer.directory(parent, children.iter().copied())?;
    }
    let mut files = reader.files_under_construction();
    while let Some((inode, path)) = files.next_file()? {
        writer.file_under_construction(inode, path)?;
    }
    let tail = ImageTail {
        snapshots: &reader.snapshots,
        secrets: &reader.secrets,
        cache: &reader.cache,
        strings: &reader.strings,
    };
    Ok(writer.finish(&tail)?.0)
}

fn name_system() -> NameSystem {
    NameSystem {
        namespace_id: 24_369_757,
        genstamp_v1: 1000,
        genstamp_v2: 1000,
        genstamp_v1_limit: 0,
        last_block_id: 1_073_741_824,
        last_striped_block_id: i64::MIN,
        txid: 0,
        rolling_upgrade_start: None,
    }
}

fn directory(owner: Owner) -> Directory<'static> {
    Directory {
        mtime: 0,
        namespace_quota: i64::MAX,
        space_quota: -1,
        owner,
        type_quotas: None,
        features: Features::default(),
    }
}

/// The image of a namespace with nothing but its root.
fn fresh() -> (Vec<u8>, ImageDigest) {
    let policies = ErasureCodingPolicy::system();
    let head = ImageHead {
        name_system: name_system(),
        erasure_coding: &policies,
        last_inode_id: 16385,
        inode_count: 1,
    };
    let mut strings = StringTable::default();
    let owner =
        Owner { user: strings.user_id("root"), group: strings.group_id("supergroup"), mode: 0o755 };
    let mut writer = ImageWriter::begin(Vec::new(), &head).expect("vectors take all");
    let kind = InodeKind::Directory(directory(owner));
    writer.inode(&Inode { id: 16385, name: b"", kind }).expect("vectors take all");
    let tail = ImageTail {
        snapshots: &Snapshots::default(),
        secrets: &Secrets::default(),
        cache: &CacheManager::default(),
        strings: &strings,
    };
    writer.finish(&tail).expect("vectors take all")
}

#[test]
fn a_fresh_image_is_javas_to_the_byte() {
    let (bytes, digest) = fresh();
    let md5: String = digest.md5.iter().map(|byte| format!("{byte:02x}")).collect();
    // Formatted by Hadoop 3.4.2 with this namespace id.
    assert_eq!((digest.length, bytes.len()), (396, 396));
    assert_eq!(md5, "2f28107a68e0f6fa4a70d27fe83cba3e");
}

/// One of everything.
fn rich() -> Vec<u8> {
    let mut policies = ErasureCodingPolicy::system();
    let schema = ErasureCodingSchema {
        codec: "rs".into(),
        data_units: 4,
        parity_units: 2,
        options: vec![("k".into(), "v".into())],
    };
    policies.push(ErasureCodingPolicy {
        id: 64,
        state: PolicyState::Enabled,
        custom: Some(("RS-4-2-1024k".into(), schema, 1 << 20)),
    });
    let head = ImageHead {
        name_system: NameSystem { rolling_upgrade_start: Some(5), txid: 77, ..name_system() },
        erasure_coding: &policies,
        last_inode_id: 16400,
        inode_count: 4,
    };
    let mut strings = StringTable::default();
    let owner = Owner {
        user: strings.user_id("root"),
        group: strings.group_id("supergroup"),
        mode: 0o1777,
    };
    let acl = [
        AclWord {
            scope: AclScope::Access,
            kind: AclKind::User,
            name: strings.user_id("bruce"),
            permission: 5,
        },
        AclWord { scope: AclScope::Access, kind: AclKind::Group, name: 0, permission: 4 },
        AclWord { scope: AclScope::Default, kind: AclKind::Other, name: 0, permission: 7 },
    ];
    let xattrs = [
        XAttrRef {
            namespace: XAttrNamespace::Raw,
            name: strings.xattr_id("hdfs.erasurecoding.policy"),
            value: Some(b"\0\x01"),
        },
        XAttrRef {
            namespace: XAttrNamespace::Security,
            name: strings.xattr_id("hdfs.unreadable.by.superuser"),
            value: None,
        },
    ];
    let features = Features { acl: Some(&acl), xattrs: Some(&xattrs) };
    let quotas = [(StorageType::Ssd, 100), (StorageType::Nvdimm, i64::MAX)];
    let root = Directory { type_quotas: Some(&quotas), features, mtime: -1, ..directory(owner) };
    let blocks = [
        BlockRecord { id: 1_073_741_825, length: 128 << 20, stamp: 1001 },
        BlockRecord { id: 1_073_741_826, length: 0, stamp: 1002 },
    ];
    let file = File {
        replication: 3,
        mtime: 1_795_216_823_686,
        atime: 1,
        block_size: 128 << 20,
        owner,
        blocks: &blocks,
        under_construction: Some(UnderConstruction {
            client_name: "DFSClient_1",
            client_machine: "127.0.0.1",
        }),
        storage_policy: 7,
        erasure_coding_policy: None,
        features,
    };
    let striped = File {
        replication: 0,
        blocks: &[BlockRecord { id: i64::MIN, length: 9, stamp: 1003 }],
        under_construction: None,
        erasure_coding_policy: Some(1),
        features: Features { acl: Some(&[]), xattrs: Some(&[]) },
        ..file
    };
    let link = Symlink { owner, target: "/é".as_bytes(), mtime: 2, atime: 3 };
    let mut writer = ImageWriter::begin(Vec::new(), &head).expect("vectors take all");
    for (id, name, kind) in [
        (16385, "", InodeKind::Directory(root)),
        (16386, "file", InodeKind::File(file)),
        (16387, "striped", InodeKind::File(striped)),
        (16388, "link", InodeKind::Symlink(link)),
    ] {
        writer.inode(&Inode { id, name: name.as_bytes(), kind }).expect("vectors take all");
    }
    writer.directory(16385, [16386, 16388, 16387]).expect("vectors take all");
    writer.directory(16400, []).expect("vectors take all");
    writer.file_under_construction(16386, "/file").expect("vectors take all");
    let token = DelegationToken {
        owner: "o".into(),
        renewer: "r".into(),
        real_user: String::new(),
        issue_date: 1,
        max_date: 2,
        sequence: 3,
        master_key_id: 4,
    };
    let secrets = Secrets {
        current_key_id: 4,
        sequence: 3,
        keys: vec![
            DelegationKey { id: 4, expiry_date: 9, key: Some(vec![1, 2]) },
            DelegationKey { id: 5, expiry_date: 9, key: None },
        ],
        tokens: vec![(token, 8)],
    };
    let cache = CacheManager { next_directive_id: 9, pools: 1, directives: 1, raw: vec![1, 7, 0] };
    let snapshots = Snapshots { counter: 3, snapshottable: vec![16385, 16400] };
    let tail =
        ImageTail { snapshots: &snapshots, secrets: &secrets, cache: &cache, strings: &strings };
    writer.finish(&tail).expect("vectors take all").0
}

#[test]
fn everything_comes_back() {
    for bytes in [fresh().0, rich()] {
        assert_eq!(rewrite(&bytes).expect("our own image"), bytes);
    }
    let bytes = rich();
    let reader = ImageReader::open(&bytes).expect("our own image");
    assert_eq!(reader.name_system.rolling_upgrade_start, Some(5));
    assert_eq!(reader.strings.user(2), Some("bruce"));
    assert_eq!(reader.secrets.tokens.len(), 1);
    let mut inodes = reader.inodes();
    inodes.next_inode().expect("the root");
    let Ok(Some(Inode { name, kind: InodeKind::File(file), .. })) = inodes.next_inode() else {
        panic!("the second inode is a file");
    };
    assert_eq!((name, file.blocks.len(), file.owner.mode), (&b"file"[..], 2, 0o1777));
    assert_eq!(file.features.acl.map(<[_]>::len), Some(3));
    let raw = file.features.xattrs.expect("attributes")[0];
    assert_eq!((raw.namespace, raw.value), (XAttrNamespace::Raw, Some(&b"\0\x01"[..])));
}

/// An image with one more section before the summary's others.
fn with_section(name: &str, content: &[u8]) -> Vec<u8> {
    use prost::Message;

    use crate::proto::image::{FileSummary, file_summary};

    let (mut bytes, _) = fresh();
    let length = u32::from_be_bytes(*bytes.last_chunk().expect("the summary's length")) as usize;
    let start = bytes.len() - 4 - length;
    let mut summary = FileSummary::decode_length_delimited(&bytes[start..]).expect("our own");
    bytes.truncate(start);
    summary.sections.retain(|section| section.name() != name);
    summary.sections.push(file_summary::Section {
        name: Some(name.to_owned()),
        length: Some(content.len() as u64),
        offset: Some(bytes.len() as u64),
    });
    bytes.extend_from_slice(content);
    let summary = summary.encode_length_delimited_to_vec();
    bytes.extend_from_slice(&summary);
    bytes.extend_from_slice(&(summary.len() as u32).to_be_bytes());
    bytes
}

#[test]
fn what_cannot_be_kept_is_refused_by_name() {
    for (name, content) in [
        ("SNAPSHOT", &[4, 8, 1, 0x18, 2][..]),
        ("SNAPSHOT_DIFF", &[1, 0]),
        ("INODE_REFERENCE", &[2, 8, 1]),
        ("SOMETHING_NEW", &[]),
    ] {
        match ImageReader::open(&with_section(name, content)) {
            Err(error @ ImageError::Unsupported { .. }) => {
                assert!(error.to_string().contains(name), "{error}");
            }
            other => panic!("{name}: {other:?}"),
        }
    }
    let bytes = with_section("INODE_DIR", &[5, 8, 1, 0x1a, 1, 0]);
    let reader = ImageReader::open(&bytes).expect("references are seen when read");
    let error = reader.directories().next_directory().expect_err("a reference");
    assert!(error.to_string().contains("INODE_DIR"), "{error}");
    assert!(ImageReader::open(&with_section("INODE_SUB", &[1, 2, 3])).is_ok());
}

#[test]
fn inodes_beyond_the_promised_number_are_damage() {
    let content = [4, 8, 1, 0x10, 0, 0];
    let bytes = with_section("INODE", &content);
    let reader = ImageReader::open(&bytes).expect("inodes are read later");
    assert!(reader.inodes().next_inode().is_err());
}

#[test]
fn truncated_images_are_refused() {
    let bytes = rich();
    for length in 0..bytes.len() {
        assert!(ImageReader::open(&bytes[..length]).is_err(), "{length}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]
    #[test]
    fn damaged_images_are_read_without_panic(
        at: prop::sample::Index,
        replacement in proptest::collection::vec(any::<u8>(), 1..4),
    ) {
        let mut bytes = rich();
        let at = at.index(bytes.len() - 4);
        bytes[at..at + replacement.len()].copy_from_slice(&replacement);
        if let Ok(reader) = ImageReader::open(&bytes) {
            let mut inodes = reader.inodes();
            while let Ok(Some(_)) = inodes.next_inode() {}
            let mut directories = reader.directories();
            while let Ok(Some(_)) = directories.next_directory() {}
            let mut files = reader.files_under_construction();
            while let Ok(Some(_)) = files.next_file() {}
        }
    }

    #[test]
    fn any_bytes_are_read_without_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = ImageReader::open(&[&b"HDFSIMG1"[..], &bytes].concat());
    }
}
