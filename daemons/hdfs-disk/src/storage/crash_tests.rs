//! Goals S3 and S5: whatever happens up to a crash at any point, exactly the acknowledged
//! transactions are found (and perhaps some that were on their way); after a failed write or sync
//! nothing is acknowledged.

use super::tests::{append, folders, load, op, version, write_image};
use super::*;
use crate::disk::MemoryDisk;
use crate::edits::EditOp;

/// What a namenode does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    /// Two operations, one sync.
    Batch,
    /// The open segment is closed, the next begins.
    Roll,
    /// A roll, an image of the closed end, and the removal of what it makes needless.
    Save,
}

const STEPS: [Step; 3] = [Step::Batch, Step::Roll, Step::Save];

/// A namenode's life on some folders.
struct Life<'a> {
    disk: &'a MemoryDisk,
    folders: NameFolders,
    segment: Option<OpenSegment>,
    last: u64,
    /// After so many events, transactions up to there were acknowledged.
    acknowledged: Vec<(usize, u64)>,
}

impl<'a> Life<'a> {
    fn begin(disk: &'a MemoryDisk, names: &[&str]) -> Self {
        let folders = folders(disk, names);
        folders.format(&version(), 0, write_image(0)).expect("formatted");
        let acknowledged = vec![(disk.event_count(), 0)];
        Self { disk, folders, segment: None, last: 0, acknowledged }
    }

    /// A start on what is there.
    fn resume(disk: &'a MemoryDisk, names: &[&str]) -> Self {
        let folders = folders(disk, names);
        let last = load(&folders).expect("the namespace is whole");
        Self { disk, folders, segment: None, last, acknowledged: vec![(disk.event_count(), last)] }
    }

    fn acknowledge(&mut self) {
        self.acknowledged.push((self.disk.event_count(), self.last));
    }

    fn segment(&mut self) -> &mut OpenSegment {
        self.segment.as_mut().expect("a segment is open")
    }

    fn log(&mut self, op: &EditOp) -> Result<(), StorageError> {
        let txid = self.last + 1;
        append(self.segment(), txid, op)?;
        self.last = txid;
        Ok(())
    }

    fn open(&mut self) -> Result<(), StorageError> {
        self.segment = Some(self.folders.open_segment(self.last + 1)?);
        self.log(&EditOp::StartLogSegment)?;
        self.segment().sync()?;
        self.acknowledge();
        Ok(())
    }

    fn close(&mut self) -> Result<(), StorageError> {
        self.log(&EditOp::EndLogSegment)?;
        self.segment().sync()?;
        self.acknowledge();
        self.segment.take().expect("a segment is open").close(self.last)
    }

    fn step(&mut self, step: Step) -> Result<(), StorageError> {
        match step {
            Step::Batch => {
                for _ in 0..2 {
                    let operation = op(self.last + 1);
                    self.log(&operation)?;
                }
                self.segment().sync()?;
                self.acknowledge();
            }
            Step::Roll => {
                self.close()?;
                self.open()?;
            }
            Step::Save => {
                self.close()?;
                let txid = self.last;
                self.open()?;
                self.folders.save_image(txid, write_image(txid))?;
                let little = Retention { images: 1, extra_transactions: 0, extra_segments_max: 0 };
                self.folders.retain(&little)?;
            }
        }
        Ok(())
    }

    fn run(&mut self, steps: &[Step]) -> Result<(), StorageError> {
        self.open()?;
        steps.iter().try_for_each(|step| self.step(*step))
    }

    /// The last transaction that was acknowledged before a crash after so many events.
    fn acknowledged(&self, events: usize) -> u64 {
        let before = self.acknowledged.iter().rev().find(|(count, _)| *count <= events);
        before.map_or(0, |(_, last)| *last)
    }
}

/// All histories of up to three steps.
fn histories() -> Vec<Vec<Step>> {
    let mut all = vec![vec![]];
    for length in 0..3 {
        for history in all.clone().into_iter().filter(|history: &Vec<_>| history.len() == length) {
            all.extend(STEPS.iter().map(|step| [&history[..], &[*step]].concat()));
        }
    }
    all
}

fn crash_everywhere(names: &[&str], seeds: std::ops::Range<u64>) {
    for history in histories() {
        let disk = MemoryDisk::new("memory");
        let mut life = Life::begin(&disk, names);
        let formatted = disk.event_count();
        life.run(&history).expect("nothing fails");
        for events in formatted..=disk.event_count() {
            for seed in seeds.clone() {
                let acknowledged = life.acknowledged(events);
                let seed = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
                let after = disk.crash(events, seed);
                let found = load(&folders(&after, names));
                let found = found.unwrap_or_else(|error| {
                    panic!("{history:?} after {events} with seed {seed}: {error}")
                });
                let made = life.last;
                assert!(
                    acknowledged <= found && found <= made,
                    "{history:?} after {events} with seed {seed}: {found} of {acknowledged}"
                );
            }
        }
    }
}

#[test]
fn a_crash_anywhere_loses_nothing_acknowledged() {
    crash_everywhere(&["a"], 1..9);
}

#[test]
fn a_crash_anywhere_with_two_folders_loses_nothing_acknowledged() {
    crash_everywhere(&["a", "b"], 1..4);
}

#[test]
fn a_long_batch_torn_anywhere_loses_nothing_acknowledged() {
    let disk = MemoryDisk::new("memory");
    let mut life = Life::begin(&disk, &["a"]);
    life.run(&[Step::Batch]).expect("nothing fails");
    let begin = disk.event_count();
    for _ in 0..25 {
        let operation = op(life.last + 1);
        life.log(&operation).expect("nothing fails");
    }
    for events in begin..=disk.event_count() {
        for seed in 1..30 {
            let found = load(&folders(&disk.crash(events, seed * 0x9e37_79b9), &["a"]));
            let found = found.unwrap_or_else(|error| panic!("after {events}: {error}"));
            assert!(life.acknowledged(events) <= found && found <= life.last);
        }
    }
}

#[test]
fn a_crash_during_recovery_and_after_it_loses_nothing() {
    let history = [Step::Batch, Step::Save, Step::Batch];
    let disk = MemoryDisk::new("memory");
    let mut life = Life::begin(&disk, &["a", "b"]);
    life.run(&history).expect("nothing fails");
    let all = disk.event_count();
    for events in (all - 12..=all).chain([all / 2, all / 3]) {
        let after = disk.crash(events, 77);
        let mut second = Life::resume(&after, &["a", "b"]);
        let found = second.last;
        assert!(found >= life.acknowledged(events));
        second.run(&[Step::Batch]).expect("nothing fails");
        for events in 0..=after.event_count() {
            let last = load(&folders(&after.crash(events, events as u64 * 31 + 7), &["a", "b"]));
            assert!(last.expect("whole") >= second.acknowledged(events).max(found.min(1)));
        }
    }
}

#[test]
fn an_unfinished_format_is_no_namespace_and_can_be_done_again() {
    let disk = MemoryDisk::new("memory");
    Life::begin(&disk, &["a", "b"]);
    for events in 0..=disk.event_count() {
        for seed in 1..20 {
            let after = disk.crash(events, seed * 99);
            let folders = folders(&after, &["a", "b"]);
            if folders.is_formatted().expect("looked") {
                assert_eq!(load(&folders), Ok(0), "after {events} with seed {seed}");
            } else {
                folders.format(&version(), 0, write_image(0)).expect("formatted");
                assert_eq!(load(&folders), Ok(0));
            }
        }
    }
}

#[test]
fn after_a_failure_nothing_is_acknowledged() {
    let history = [Step::Batch, Step::Save, Step::Batch, Step::Roll, Step::Batch];
    let calls = {
        let disk = MemoryDisk::new("memory");
        let mut life = Life::begin(&disk, &["a", "b"]);
        let before = disk.call_count();
        life.run(&history).expect("nothing fails");
        before..disk.call_count()
    };
    for call in calls {
        let disk = MemoryDisk::new("memory");
        let mut life = Life::begin(&disk, &["a", "b"]);
        disk.fail_at(call);
        let error = life.run(&history).expect_err("one call fails");
        assert!(matches!(error, StorageError::Io { .. } | StorageError::Image { .. }), "{error}");
        if let (Some(segment), true) = (&mut life.segment, matches!(error, StorageError::Io { .. }))
        {
            // Failures of images do not fence; those of the segment do, for good.
            let is_fenced = format!("{segment:?}").contains("fenced: true");
            let again = segment.append(b"x").and_then(|()| segment.sync());
            assert_eq!(matches!(again, Err(StorageError::Fenced)), is_fenced, "call {call}");
        }
        let events = disk.event_count();
        for seed in 1..6 {
            let found = load(&folders(&disk.crash(events, seed * 1234), &["a", "b"]));
            let found = found.unwrap_or_else(|error| panic!("call {call}: {error}"));
            assert!(found >= life.acknowledged(events), "call {call}");
        }
    }
}
