//! Name folders in ordinary life, and with one thing wrong.

use std::io::Write;
use std::sync::Arc;

use md5::{Digest, Md5};

use super::*;
use crate::disk::{Disk, MemoryDisk};
use crate::edits::{self, EditOp};
use crate::image::{ImageDigest, ImageError};
use crate::types::Permission;

/// Small steps make tests cross them.
const ROOM: u64 = 256;

/// Folders of a disk.
pub(super) fn folders(disk: &MemoryDisk, names: &[&str]) -> NameFolders {
    let disks = names.iter().map(|name| Arc::new(disk.folder(name)) as Arc<dyn Disk>);
    let mut folders = NameFolders::new(disks.collect());
    folders.room = ROOM;
    folders
}

pub(super) fn version() -> NamenodeVersion {
    NamenodeVersion {
        namespace_id: 7,
        block_pool_id: "BP-1-127.0.0.1-2".into(),
        cluster_id: "CID-1".into(),
        creation_time: 2,
        layout: NAMENODE_LAYOUT,
    }
}

/// Stands for the image after a transaction: it says which, and takes some sectors.
fn image(txid: u64) -> Vec<u8> {
    format!("image {txid:5}").repeat(100).into_bytes()
}

pub(super) fn write_image(
    txid: u64,
) -> impl FnOnce(&mut dyn Write) -> Result<ImageDigest, ImageError> {
    move |out| {
        let bytes = image(txid);
        for part in bytes.chunks(700) {
            out.write_all(part)?;
        }
        Ok(ImageDigest { length: bytes.len() as u64, md5: Md5::digest(&bytes).into() })
    }
}

/// The operation that every history has at a transaction between segment marks.
pub(super) fn op(txid: u64) -> EditOp {
    EditOp::Mkdir {
        inode_id: txid,
        path: format!("/{}", "directory-".repeat(txid as usize % 13)),
        timestamp: 1_795_216_824_900,
        permission: Permission { user: "root".into(), group: "supergroup".into(), mode: 0o755 },
        acl: vec![],
        xattrs: vec![],
    }
}

pub(super) fn append(
    segment: &mut OpenSegment,
    txid: u64,
    op: &EditOp,
) -> Result<(), StorageError> {
    let mut bytes = Vec::new();
    edits::encode(op, txid, &mut bytes).expect("fits");
    segment.append(&bytes)
}

/// Loads everything, checks that it is one history, and gives the last transaction.
pub(super) fn load(folders: &NameFolders) -> Result<u64, String> {
    fn told(error: &dyn std::error::Error) -> String {
        let cause = error.source().map(|cause| format!(": {}", told(cause)));
        format!("{error}{}", cause.unwrap_or_default())
    }
    let recovered = folders.recover(0).map_err(|error| told(&error))?;
    assert_eq!(recovered.image, image(recovered.image_txid));
    assert_eq!(recovered.version, version());
    let mut next = recovered.image_txid + 1;
    let replayed = folders.replay(&recovered, |txid, found| {
        assert_eq!(txid, next);
        next += 1;
        let is_mark = matches!(found, EditOp::StartLogSegment | EditOp::EndLogSegment);
        assert!(is_mark || found == op(txid), "transaction {txid} is another");
        Ok::<(), StorageError>(())
    });
    let last = replayed.map_err(|error| told(&error))?;
    assert_eq!((last, next - 1), (recovered.end_txid, recovered.end_txid));
    Ok(last)
}

/// A namespace with some closed segments and images, and an open segment: 1-5, 6-10, 11-15, 16-18,
/// images at 0, 10 and 15.
pub(super) fn lived_in(names: &[&str]) -> (MemoryDisk, NameFolders) {
    let disk = MemoryDisk::new("memory");
    let folders = folders(&disk, names);
    folders.format(&version(), 0, write_image(0)).expect("formatted");
    for first in [1, 6, 11, 16] {
        let mut segment = folders.open_segment(first).expect("opened");
        append(&mut segment, first, &EditOp::StartLogSegment).expect("written");
        segment.sync().expect("synced");
        for txid in first + 1..first + if first == 16 { 3 } else { 4 } {
            append(&mut segment, txid, &op(txid)).expect("written");
            segment.sync().expect("synced");
        }
        if first < 16 {
            append(&mut segment, first + 4, &EditOp::EndLogSegment).expect("written");
            segment.close(first + 4).expect("closed");
        }
        if matches!(first, 6 | 11) {
            folders.save_image(first + 4, write_image(first + 4)).expect("saved");
        }
    }
    (disk, folders)
}

fn names(disk: &MemoryDisk, folder: &str) -> Vec<String> {
    let prefix = format!("{folder}/current/");
    disk.paths().iter().filter_map(|path| path.strip_prefix(&prefix)).map(str::to_owned).collect()
}

#[test]
fn a_namespace_is_found_again() {
    let (disk, folders) = lived_in(&["a", "b"]);
    assert!(folders.is_formatted().expect("looked"));
    assert_eq!(folders.images().expect("listed"), [0, 10, 15]);
    assert_eq!(folders.closed_segments().expect("listed"), [(1, 5), (6, 10), (11, 15)]);
    assert_eq!(load(&folders), Ok(18));
    let expected = [
        "VERSION",
        "edits_0000000000000000001-0000000000000000005",
        "edits_0000000000000000006-0000000000000000010",
        "edits_0000000000000000011-0000000000000000015",
        "edits_0000000000000000016-0000000000000000018",
        "fsimage_0000000000000000000",
        "fsimage_0000000000000000000.md5",
        "fsimage_0000000000000000010",
        "fsimage_0000000000000000010.md5",
        "fsimage_0000000000000000015",
        "fsimage_0000000000000000015.md5",
        "seen_txid",
    ];
    assert_eq!(names(&disk, "a"), expected);
    assert_eq!(names(&disk, "b"), expected);
}

#[test]
fn retention_keeps_what_kept_images_need() {
    let (disk, folders) = lived_in(&["a"]);
    folders.retain(&Retention::default()).expect("retained");
    assert_eq!(folders.images().expect("listed"), [10, 15]);
    assert_eq!(folders.closed_segments().expect("listed").len(), 3);
    let few = Retention { images: 2, extra_transactions: 5, extra_segments_max: 10 };
    folders.retain(&few).expect("retained");
    assert_eq!(folders.closed_segments().expect("listed"), [(6, 10), (11, 15)]);
    let fewer = Retention { extra_segments_max: 0, ..few };
    folders.retain(&fewer).expect("retained");
    assert_eq!(folders.closed_segments().expect("listed"), [(11, 15)]);
    disk.corrupt("a/current/fsimage_0000000000000000015", |bytes| bytes[50] ^= 1);
    assert_eq!(load(&folders), Ok(18), "the older image still works");
}

#[test]
fn an_empty_folder_joins() {
    let (disk, _) = lived_in(&["a"]);
    let both = folders(&disk, &["a", "b"]);
    assert_eq!(load(&both), Ok(18));
    assert!(names(&disk, "b").contains(&"VERSION".to_owned()));
    both.save_image(18, write_image(18)).expect("saved");
    assert_eq!(load(&folders(&disk, &["b"])), Ok(18));
}

#[test]
fn wrong_folders_are_refused_by_name() {
    let disk = MemoryDisk::new("memory");
    let none = folders(&disk, &["a", "b"]);
    assert!(load(&none).expect_err("not formatted").contains("no name folder is formatted (a, b)"));

    let (disk, _) = lived_in(&["a"]);
    let other = folders(&disk, &["c"]);
    let another = NamenodeVersion { namespace_id: 8, ..version() };
    other.format(&another, 0, write_image(0)).expect("formatted");
    let mixed = load(&folders(&disk, &["a", "c"])).expect_err("two namespaces");
    assert!(mixed.contains("name folders a and c are of different namespaces"), "{mixed}");

    disk.folder("a").remove_file(VERSION_PATH).expect("removed");
    let error = load(&folders(&disk, &["a"])).expect_err("no VERSION");
    assert!(error.contains("has images or edits but no VERSION"), "{error}");
}

#[test]
fn missing_transactions_are_refused_by_number() {
    let (disk, folders) = lived_in(&["a"]);
    disk.folder("a").remove_file(&FileName::InProgress(16).path()).expect("removed");
    let error = load(&folders).expect_err("seen_txid knows of 16");
    assert!(error.contains("transactions 16 to 16 are in no name folder"), "{error}");

    let (disk, folders) = lived_in(&["a"]);
    for name in [FileName::ImageDigest(15), FileName::ImageDigest(10), FileName::Finalized(6, 10)] {
        disk.folder("a").remove_file(&name.path()).expect("removed");
    }
    let error = load(&folders).expect_err("a hole");
    assert!(error.contains("transactions 6 to 10 are in no name folder"), "{error}");
}

#[test]
fn folders_that_fell_behind_are_completed() {
    let (disk, folders) = lived_in(&["a", "b"]);
    // b lost the end of its open segment, as when only a's sync was done.
    disk.corrupt("b/current/edits_inprogress_0000000000000000016", |bytes| bytes[60..].fill(0xff));
    let recovered = folders.recover(0).expect("recovered");
    assert_eq!(recovered.end_txid, 18);
    assert!(recovered.notes.iter().any(|note| note.contains("completed")), "{:?}", recovered.notes);
    assert_eq!(names(&disk, "a"), names(&disk, "b"));
}

#[test]
fn an_open_segment_without_transactions_is_out_of_the_way() {
    let disk = MemoryDisk::new("memory");
    let folders = folders(&disk, &["a"]);
    folders.format(&version(), 0, write_image(0)).expect("formatted");
    drop(folders.open_segment(1).expect("opened"));
    assert_eq!(load(&folders), Ok(0));
    assert!(names(&disk, "a").contains(&"edits_inprogress_0000000000000000001.empty".to_owned()));
}

#[test]
fn an_image_that_arrives_damaged_changes_nothing() {
    let (disk, folders) = lived_in(&["a"]);
    let before = disk.paths();
    let mut file = folders.begin_image(18).expect("begun");
    file.write_all(&image(18)).expect("written");
    let error = file.finish(Some([0; 16])).expect_err("another MD5");
    assert!(error.to_string().contains("arrived damaged"), "{error}");
    assert_eq!(disk.paths(), before);
}

#[test]
fn locks_are_exclusive() {
    let (_, folders) = lived_in(&["a", "b"]);
    let locks = folders.lock().expect("free");
    assert!(folders.lock().is_err());
    drop(locks);
    folders.lock().expect("free again");
}

/// Flips every byte of every file in turn (goal S4): nothing else than all 18 transactions, or an
/// error.
fn flip_everything(names: &[&str], skip: &[&str]) {
    let (disk, _) = lived_in(names);
    let count = disk.event_count();
    for path in disk.paths() {
        if !path.starts_with("a/") || skip.iter().any(|name| path.ends_with(name)) {
            continue;
        }
        let length = disk.read(&path, u64::MAX).expect("read").len();
        for at in 0..length {
            for mask in [0x01, 0x80] {
                let disk = disk.crash(count, 2);
                disk.corrupt(&path, |bytes| bytes[at] ^= mask);
                if let Ok(last) = load(&folders(&disk, names)) {
                    assert_eq!(last, 18, "{path} byte {at} mask {mask:x}");
                }
            }
        }
    }
}

#[test]
fn a_flipped_byte_is_seen_or_repaired() {
    // VERSION has no checksum; see the next test, and the namespace id in the image.
    flip_everything(&["a"], &["VERSION"]);
}

#[test]
fn a_flipped_byte_of_one_folder_is_seen_or_repaired() {
    let (disk, _) = lived_in(&["a", "b"]);
    let count = disk.event_count();
    let length = disk.read("a/current/VERSION", 1000).expect("read").len();
    let comment = NamenodeVersion::print(&version(), 0).find('\n').expect("a first line");
    for at in comment + 1..length {
        let disk = disk.crash(count, 2);
        disk.corrupt("a/current/VERSION", |bytes| bytes[at] ^= 1);
        assert!(load(&folders(&disk, &["a", "b"])).is_err(), "byte {at}");
    }
    for name in [
        FileName::Finalized(11, 15),
        FileName::Image(15),
        FileName::ImageDigest(15),
        FileName::InProgress(16),
    ] {
        let path = format!("a/{}", name.path());
        let length = disk.read(&path, u64::MAX).expect("read").len();
        for at in (0..length).step_by(3) {
            let disk = disk.crash(count, 2);
            disk.corrupt(&path, |bytes| bytes[at] ^= 0x10);
            assert_eq!(load(&folders(&disk, &["a", "b"])), Ok(18), "{path} byte {at}");
        }
    }
}
