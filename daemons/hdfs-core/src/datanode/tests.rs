//! Replica files over a disk in memory: appending agrees with a plain model, and after a crash at
//! any call the next start finds what was acknowledged.

use hdfs_disk::disk::{Disk, MemoryDisk};
use hdfs_wire::checksum::{self, ChecksumKind};
use proptest::prelude::*;

use super::append::{Appender, cut, proven_length};
use super::files::{self, Checksum, Layout, Place};
use super::replica::State;
use super::scan::{self, Found};

const SUM: Checksum = Checksum { kind: ChecksumKind::Crc32c, chunk_size: 512 };

fn layout() -> Layout {
    Layout::new("BP-1").expect("an id")
}

fn disk() -> MemoryDisk {
    let disk = MemoryDisk::new("/data");
    layout().prepare(&disk).expect("folders");
    disk
}

fn place(state: State, stamp: u64) -> Place {
    Place { state, id: 1, stamp }
}

fn content(length: usize) -> Vec<u8> {
    (0..length).map(|at| (at * 31 % 251) as u8).collect()
}

fn sums(bytes: &[u8]) -> Vec<u8> {
    let mut sums = Vec::new();
    checksum::compute(SUM.kind, SUM.chunk_size as usize, bytes, &mut sums);
    sums
}

/// Sends `bytes[start..end]` as a client's packet.
fn send(appender: &mut Appender, bytes: &[u8], start: usize, end: usize) -> std::io::Result<bool> {
    let part = &bytes[start..end];
    let sums = sums(part);
    let as_they_are = start.is_multiple_of(SUM.chunk_size as usize);
    appender.append(start as u64, part, as_they_are.then_some(&sums[..]))
}

/// What is on disk must be the model's bytes with exactly their checksums.
fn assert_whole(disk: &MemoryDisk, place: Place, bytes: &[u8]) {
    let layout = layout();
    let data = disk.read(&layout.data(place), u64::MAX).expect("data");
    let meta = disk.read(&layout.meta(place), u64::MAX).expect("meta");
    assert_eq!(data, bytes);
    assert_eq!(meta[7..], sums(bytes));
}

proptest! {
    /// Packets that overlap, repeat and begin anywhere, between reopenings.
    #[test]
    fn appending_agrees_with_the_plain_model(
        steps in prop::collection::vec((0usize..1500, 1usize..2000, any::<bool>()), 1..20)
    ) {
        let (disk, layout) = (disk(), layout());
        let bytes = content(60_000);
        let rbw = place(State::Rbw, 10);
        let files = files::create(&disk, &layout, rbw, SUM).expect("created");
        let mut appender = Appender::new(files, SUM);
        let mut length = 0;
        for (back, forth, reopens) in steps {
            let start = length - back.min(length);
            let end = (start + forth).min(bytes.len());
            let is_new = send(&mut appender, &bytes, start, end).expect("appended");
            prop_assert_eq!(is_new, end > length);
            length = length.max(end);
            prop_assert_eq!(appender.length(), length as u64);
            let tail = appender.tail();
            let partial = length % 512;
            let expected = (partial > 0).then(|| {
                checksum::crc(SUM.kind, &bytes[length - partial..length]).to_be_bytes()
            });
            prop_assert_eq!(tail, expected);
            if reopens {
                drop(appender);
                let (files, checksum) = files::open(&disk, &layout, rbw).expect("opened");
                appender = Appender::resume(files, checksum, length as u64).expect("resumed");
            }
        }
        assert_whole(&disk, rbw, &bytes[..length]);
    }

    #[test]
    fn cutting_leaves_the_right_checksums(length in 1usize..3000, keep in 0usize..3000) {
        let keep = keep.min(length);
        let (disk, layout) = (disk(), layout());
        let bytes = content(length);
        let rbw = place(State::Rbw, 10);
        let files = files::create(&disk, &layout, rbw, SUM).expect("created");
        let mut appender = Appender::new(files, SUM);
        send(&mut appender, &bytes, 0, length).expect("appended");
        drop(appender);
        let (mut files, checksum) = files::open(&disk, &layout, rbw).expect("opened");
        cut(&mut files, checksum, keep as u64).expect("cut");
        assert_whole(&disk, rbw, &bytes[..keep]);
    }

    /// One flipped bit anywhere: the proven prefix ends before it or the bytes are right.
    #[test]
    fn nothing_after_a_flipped_bit_is_proven(length in 1usize..3000, at: prop::sample::Index) {
        let (disk, layout) = (disk(), layout());
        let bytes = content(length);
        let rbw = place(State::Rbw, 10);
        let files = files::create(&disk, &layout, rbw, SUM).expect("created");
        let mut appender = Appender::new(files, SUM);
        send(&mut appender, &bytes, 0, length).expect("appended");
        drop(appender);
        let at = at.index(length);
        disk.corrupt(&layout.data(rbw), |data| data[at] ^= 4);
        let (mut files, _) = files::open(&disk, &layout, rbw).expect("opened");
        let (proven, _) = proven_length(&mut files).expect("read");
        prop_assert!(proven <= at as u64);
        prop_assert!(proven >= (at / 512 * 512) as u64);
    }
}

#[test]
fn a_corrupt_last_chunk_is_not_appended_to() {
    let (disk, layout) = (disk(), layout());
    let bytes = content(700);
    let rbw = place(State::Rbw, 10);
    let files = files::create(&disk, &layout, rbw, SUM).expect("created");
    send(&mut Appender::new(files, SUM), &bytes, 0, 700).expect("appended");
    disk.corrupt(&layout.data(rbw), |data| data[600] ^= 1);
    let (files, checksum) = files::open(&disk, &layout, rbw).expect("opened");
    assert!(Appender::resume(files, checksum, 700).is_err());
}

/// The life of a replica: written in packets with partial chunks, cut by a pipeline recovery,
/// finalized, appended to, finalized again. `acked` is moved on after each step that a client would
/// be told of; the function returns at the first call the disk refuses.
fn live(disk: &MemoryDisk, bytes: &[u8], acked: &mut u64) -> std::io::Result<()> {
    let layout = layout();
    let rbw = place(State::Rbw, 10);
    let mut appender = Appender::new(files::create(disk, &layout, rbw, SUM)?, SUM);
    for (start, end) in [(0, 600), (512, 700), (512, 1400), (1024, 2000)] {
        send(&mut appender, bytes, start, end)?;
        // The last packet is never acknowledged: the pipeline breaks.
        if end < 2000 {
            *acked = end as u64;
        }
    }
    drop(appender);
    let resumed = place(State::Rbw, 11);
    let (files, checksum) = files::open(disk, &layout, rbw)?;
    let mut appender = Appender::resume(files, checksum, 1400)?;
    files::relocate(disk, &layout, rbw, resumed)?;
    send(&mut appender, bytes, 1024, 2100)?;
    *acked = 2100;
    drop(appender);
    let whole = place(State::Finalized, 11);
    files::relocate(disk, &layout, resumed, whole)?;
    let (files, checksum) = files::open(disk, &layout, whole)?;
    let mut appender = Appender::resume(files, checksum, 2100)?;
    let again = place(State::Rbw, 12);
    files::relocate(disk, &layout, whole, again)?;
    send(&mut appender, bytes, 2100, 2560)?;
    *acked = 2560;
    drop(appender);
    files::relocate(disk, &layout, again, place(State::Finalized, 12))
}

fn check_found(disk: &MemoryDisk, found: &Found, bytes: &[u8], acked: u64) {
    let Some((_, replica)) = found.replicas.first() else {
        assert_eq!(acked, 0, "the replica is gone: {:?}", disk.paths());
        return;
    };
    assert_eq!(found.replicas.len(), 1, "{:?}", disk.paths());
    assert!(replica.length >= acked, "{} bytes of {acked}", replica.length);
    let place = Place { state: replica.state, id: 1, stamp: replica.stamp };
    let length = usize::try_from(replica.length).expect("small");
    if replica.state == State::Finalized || acked > 0 {
        assert_whole(disk, place, &bytes[..length]);
    }
}

/// kill -9: the disk has everything up to some call and nothing after it.
#[test]
fn killed_at_any_call_the_next_start_has_what_was_acknowledged() {
    let bytes = content(2560);
    let whole = disk();
    let begin = whole.call_count();
    live(&whole, &bytes, &mut 0).expect("no failure");
    let end = whole.call_count();
    assert!(end - begin > 20);
    for call in begin..=end {
        let (disk, layout) = (disk(), layout());
        let mut acked = 0;
        disk.fail_from(call);
        assert_eq!(live(&disk, &bytes, &mut acked).is_ok(), call == end);
        disk.fail_from(usize::MAX);
        let found = scan::scan(&disk, &layout, 0).expect("scanned");
        check_found(&disk, &found, &bytes, acked);
        let again = scan::scan(&disk, &layout, 0).expect("scanned");
        assert_eq!(again.replicas, found.replicas, "a scan changes nothing the second time");
    }
}

/// One failing call: what a full disk does. The writer gives up; what is left is a valid prefix.
#[test]
fn one_refused_call_leaves_a_valid_prefix() {
    let bytes = content(2560);
    let whole = disk();
    let begin = whole.call_count();
    live(&whole, &bytes, &mut 0).expect("no failure");
    for call in begin..whole.call_count() {
        let (disk, layout) = (disk(), layout());
        let mut acked = 0;
        disk.fail_at(call);
        live(&disk, &bytes, &mut acked).expect_err("one call fails");
        let found = scan::scan(&disk, &layout, 0).expect("scanned");
        check_found(&disk, &found, &bytes, acked);
    }
}

/// The power goes: what was synced (hsync, its folder too) is there.
#[test]
fn synced_bytes_survive_the_power() {
    let bytes = content(1400);
    let (disk, layout) = (disk(), layout());
    let rbw = place(State::Rbw, 10);
    let files = files::create(&disk, &layout, rbw, SUM).expect("created");
    let mut appender = Appender::new(files, SUM);
    send(&mut appender, &bytes, 0, 700).expect("appended");
    appender.sync().expect("synced");
    disk.sync_folder(&layout.paths().rbw).expect("synced");
    let synced = disk.event_count();
    for seed in 1..200 {
        let after = disk.crash(synced, seed);
        let found = scan::scan(&after, &layout, 0).expect("scanned");
        let (_, replica) = found.replicas.first().expect("there");
        assert_eq!((replica.state, replica.length), (State::Rwr, 700));
        assert_whole(&after, Place { state: State::Rwr, ..rbw }, &bytes[..700]);
    }
}

#[test]
fn a_restart_sorts_out_what_it_finds() {
    let (disk, layout) = (disk(), layout());
    let finalized = layout.folder(State::Finalized, 1);
    disk.create_folder(&finalized).expect("folder");
    let write = |path: String, bytes: &[u8]| {
        disk.create(&path).and_then(|mut file| file.write_at(0, bytes)).expect("written");
    };
    write(format!("{}/blk_9", layout.paths().tmp), b"half a copy");
    write(format!("{}/blk_9_1.meta", layout.paths().tmp), &SUM.header());
    write(format!("{finalized}/blk_2"), b"no meta");
    write(format!("{finalized}/blk_3_1.meta"), &SUM.header());
    write(format!("{finalized}/notes.txt"), b"not ours");
    write(format!("{}/blk_4", layout.paths().rbw), b"bytes");
    write(format!("{}/blk_4_7.meta", layout.paths().rbw), b"\0");
    let found = scan::scan(&disk, &layout, 3).expect("scanned");
    let [(4, replica)] = &found.replicas[..] else { panic!("{found:?}") };
    assert_eq!((replica.state, replica.length, replica.volume), (State::Rwr, 0, 3));
    let left: Vec<_> = disk.paths().into_iter().filter(|path| !path.contains("rbw")).collect();
    assert_eq!(left, [format!("{finalized}/blk_2"), format!("{finalized}/notes.txt")]);
}
