//! Archives as they should be, and as nobody should send them.

use std::os::unix::fs::PermissionsExt as _;

use flate2::Compression;
use flate2::write::GzEncoder;
use tar::{Builder, Header};

use super::*;

/// An entry: its kind, name, where it links to, and content.
struct Made(EntryType, &'static str, &'static str, &'static [u8]);

/// Writes names as they are: the library would refuse most of them.
fn archive(entries: &[Made]) -> tempfile::NamedTempFile {
    let file = tempfile::NamedTempFile::new().unwrap();
    let mut tar = Builder::new(GzEncoder::new(file.reopen().unwrap(), Compression::fast()));
    for Made(kind, name, link, content) in entries {
        let mut header = Header::new_gnu();
        header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
        header.as_old_mut().linkname[..link.len()].copy_from_slice(link.as_bytes());
        header.set_entry_type(*kind);
        header.set_mode(0o6777);
        header.set_size(content.len() as u64);
        header.set_cksum();
        tar.append(&header, *content).unwrap();
    }
    tar.into_inner().unwrap().finish().unwrap();
    file
}

fn unpacked(entries: &[Made], strip: u32) -> (tempfile::TempDir, Result<(), String>) {
    let outside = tempfile::tempdir().unwrap();
    let root = outside.path().join("root");
    fs::create_dir(&root).unwrap();
    let done = unpack(archive(entries).path(), &root, strip, &|| false);
    (outside, done)
}

const FILE: EntryType = EntryType::Regular;
const FOLDER: EntryType = EntryType::Directory;
const LINK: EntryType = EntryType::Symlink;
const HARD: EntryType = EntryType::Link;

#[test]
fn an_ordinary_one() {
    let entries = [
        Made(FOLDER, "h-1/", "", b""),
        Made(FILE, "h-1/bin/run", "", b"run"),
        Made(LINK, "h-1/lib/current", "../bin", b""),
        Made(HARD, "h-1/bin/again", "h-1/bin/run", b""),
        Made(LINK, "h-1/nowhere", "lib/none", b""),
        Made(FILE, "h-1/bin/run", "", b"the later one"),
    ];
    let (outside, done) = unpacked(&entries, 1);
    done.unwrap();
    let root = outside.path().join("root");
    assert_eq!(fs::read(root.join("lib/current/run")).unwrap(), b"the later one");
    assert_eq!(fs::read(root.join("bin/again")).unwrap(), b"run");
    let mode = fs::metadata(root.join("bin/run")).unwrap().permissions().mode();
    assert_eq!(mode & 0o7777, 0o755, "no set-id bits, nobody else writes");
    let (_, nothing) = unpacked(&entries, 9);
    assert_eq!(nothing.unwrap_err(), "the archive has no entry below 9 folders");
}

#[test]
fn nothing_leaves_the_folder() {
    let cases: &[(&[Made], &str)] = &[
        (&[Made(FILE, "../out", "", b"x")], "has .. in its name"),
        (&[Made(FILE, "a/../../out", "", b"x")], "has .. in its name"),
        (&[Made(FILE, "/tmp/out", "", b"x")], "has an absolute name"),
        (&[Made(LINK, "l", "../out", b"")], "leaves the folder"),
        (&[Made(LINK, "a/l", "../../out", b"")], "leaves the folder"),
        (&[Made(LINK, "l", "/etc/passwd", b"")], "leaves the folder"),
        (&[Made(LINK, "d", ".", b""), Made(LINK, "l", "d/..", b"")], "with .. inside"),
        (&[Made(LINK, "d", ".", b""), Made(FILE, "d/x", "", b"x")], "goes through d"),
        (&[Made(LINK, "d", "a", b""), Made(FOLDER, "d/", "", b"")], "goes through d"),
        (&[Made(HARD, "h", "../out", b"")], "has .. in its name"),
        (&[Made(HARD, "h", "/etc/passwd", b"")], "has an absolute name"),
        (&[Made(HARD, "h", "none", b"")], "link to no file"),
        (&[Made(LINK, "l", "x", b""), Made(HARD, "h", "l", b"")], "link to no file"),
        (&[Made(EntryType::Char, "c", "", b"")], "is a device"),
        (&[Made(EntryType::Block, "b", "", b"")], "is a device"),
        (&[Made(EntryType::Fifo, "p", "", b"")], "is a device"),
        (&[Made(FOLDER, "a/", "", b""), Made(FILE, "a", "", b"x")], "is a folder already"),
    ];
    for (entries, expected) in cases {
        let (outside, done) = unpacked(entries, 0);
        let told = done.expect_err(expected);
        assert!(told.contains(expected), "{told}\nexpected {expected}");
        assert!(told.starts_with("entry \""), "{told}");
        assert_eq!(fs::read_dir(outside.path()).unwrap().count(), 1, "{expected}: only root");
    }
}

/// A link over which a later file would be written is replaced, not followed.
#[test]
fn a_file_in_the_place_of_a_link() {
    let entries = [
        Made(FILE, "real", "", b"kept"),
        Made(LINK, "l", "real", b""),
        Made(FILE, "l", "", b"new"),
    ];
    let (outside, done) = unpacked(&entries, 0);
    done.unwrap();
    assert_eq!(fs::read(outside.path().join("root/real")).unwrap(), b"kept");
    assert_eq!(fs::read(outside.path().join("root/l")).unwrap(), b"new");
}

#[test]
fn bombs_and_ruins() {
    let zeros: &'static [u8] = Box::leak(vec![0; 80 << 20].into_boxed_slice());
    let (_, done) = unpacked(&[Made(FILE, "zeros", "", zeros)], 0);
    assert!(done.unwrap_err().contains("times as long as it is packed"));
    // A name that is read into memory may not be one.
    let (_, done) = unpacked(&[Made(EntryType::GNULongName, "x", "", &zeros[..1 << 20])], 0);
    assert!(done.unwrap_err().contains("longer than any name"));

    let whole = archive(&[Made(FILE, "a", "", b"abc")]);
    let bytes = fs::read(whole.path()).unwrap();
    let root = tempfile::tempdir().unwrap();
    let cut = tempfile::NamedTempFile::new().unwrap();
    fs::write(cut.path(), &bytes[..bytes.len() / 2]).unwrap();
    assert!(unpack(cut.path(), root.path(), 0, &|| false).is_err(), "cut off");
    fs::write(cut.path(), "no archive").unwrap();
    assert!(unpack(cut.path(), root.path(), 0, &|| false).unwrap_err().contains("broken"));
    let unwanted = unpack(whole.path(), root.path(), 0, &|| true).unwrap_err();
    assert!(unwanted.contains("nobody waits"), "{unwanted}");
}
