//! What a start finds: recovers open segments, chooses an image, and replays what came after it.

use std::collections::BTreeSet;

use super::error::StorageError;
use super::folders::{NameFolders, failed};
use super::names::{CURRENT, FileName};
use super::version::NamenodeVersion;
use crate::disk::{Disk, write_atomic};
use crate::edits::{EditOp, SegmentError, SegmentKind, SegmentReader};

/// More bytes than a segment ever has: rolling happens every few million transactions.
pub const SEGMENT_LENGTH_MAX: u64 = 1 << 36;

/// A closed segment in one folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Segment {
    /// First transaction.
    pub first: u64,
    /// Last transaction.
    pub last: u64,
    /// Index of the folder.
    pub folder: usize,
}

impl Segment {
    fn name(&self) -> FileName {
        FileName::Finalized(self.first, self.last)
    }
}

/// A namespace that can be loaded.
#[derive(Debug)]
pub struct Recovered {
    /// Whose it is.
    pub version: NamenodeVersion,
    /// Transaction of the image.
    pub image_txid: u64,
    /// The image; its MD5 is good.
    pub image: Vec<u8>,
    /// Index of the folder it came from.
    pub image_folder: usize,
    /// All closed segments of all folders.
    pub segments: Vec<Segment>,
    /// Last transaction there is.
    pub end_txid: u64,
    /// What an operator should read: repairs, damaged copies.
    pub notes: Vec<String>,
}

/// A replay that did not reach the end.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError<E> {
    /// A segment cannot be read.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// An operation cannot be applied.
    #[error("transaction {txid} cannot be applied")]
    Apply {
        /// Its number.
        txid: u64,
        /// Why not.
        source: E,
    },
}

/// A copy of a segment whose last operation is not known from its name.
struct Copy {
    folder: usize,
    is_open: bool,
    bytes: Vec<u8>,
    /// `first - 1` when there are no operations.
    last: u64,
    good_length: usize,
}

impl NameFolders {
    /// Finds the namespace and makes it loadable: segments that were open are cut to their last
    /// whole
    /// operation and closed, in every folder alike. Take the locks before. `now_ms` (since 1970) is
    /// the date in VERSION of folders that were empty.
    ///
    /// # Errors
    /// Folders of different namespaces, other layouts, no good image, missing transactions, damage.
    pub fn recover(&self, now_ms: u64) -> Result<Recovered, StorageError> {
        let mut notes = Vec::new();
        let version = self.version(now_ms, &mut notes)?;
        self.close_open_segments(&mut notes)?;
        let (image_txid, image_folder, image) = self.newest_image(&mut notes)?;
        let segments = self.segments()?;
        let end_txid = chain_end(&segments, image_txid, self.seen_txid(&mut notes))?;
        Ok(Recovered { version, image_txid, image, image_folder, segments, end_txid, notes })
    }

    /// Gives the operations after the image one after the other to `apply`, and the last
    /// transaction
    /// back. A damaged copy of a segment is made up for by another folder's.
    ///
    /// # Errors
    /// Damage in all copies, and those of `apply`.
    pub fn replay<E>(
        &self,
        recovered: &Recovered,
        mut apply: impl FnMut(u64, EditOp) -> Result<(), E>,
    ) -> Result<u64, ReplayError<E>> {
        let mut next = recovered.image_txid + 1;
        while next <= recovered.end_txid {
            let mut copies: Vec<_> = recovered
                .segments
                .iter()
                .filter(|each| each.first <= next && next <= each.last)
                .collect();
            copies.sort_by_key(|copy| std::cmp::Reverse(copy.last));
            let mut problem = StorageError::Gap { first: next, last: recovered.end_txid };
            let mut done = false;
            for copy in copies {
                match self.replay_copy(copy, &mut next, &mut apply) {
                    Ok(()) => {
                        done = true;
                        break;
                    }
                    Err(ReplayError::Storage(error)) => problem = error,
                    Err(error) => return Err(error),
                }
            }
            if !done {
                return Err(problem.into());
            }
        }
        Ok(next - 1)
    }

    fn replay_copy<E>(
        &self,
        segment: &Segment,
        next: &mut u64,
        apply: &mut impl FnMut(u64, EditOp) -> Result<(), E>,
    ) -> Result<(), ReplayError<E>> {
        let bytes = self.read_segment(segment)?;
        let damaged = |source| self.damaged(segment.folder, segment.name(), source);
        let mut reader =
            SegmentReader::open(&bytes, SegmentKind::Finalized, segment.first).map_err(damaged)?;
        while let Some((txid, op)) = reader.next_op().map_err(damaged)? {
            if txid == *next {
                apply(txid, op).map_err(|source| ReplayError::Apply { txid, source })?;
                *next += 1;
            }
        }
        check_end(&reader, segment.last).map_err(damaged)?;
        Ok(())
    }

    /// The bytes of a closed segment.
    ///
    /// # Errors
    /// The disk's.
    pub fn read_segment(&self, segment: &Segment) -> Result<Vec<u8>, StorageError> {
        self.read_edits(segment.folder, segment.name())
    }

    fn read_edits(&self, folder: usize, name: FileName) -> Result<Vec<u8>, StorageError> {
        let (disk, path) = (&self.disks()[folder], name.path());
        disk.read(&path, SEGMENT_LENGTH_MAX).map_err(failed(&**disk, format!("read {path}")))
    }

    fn damaged(&self, folder: usize, name: FileName, source: SegmentError) -> StorageError {
        let folder = self.disks()[folder].label().to_owned();
        StorageError::Segment { folder, file: name.print(), source }
    }

    fn segments(&self) -> Result<Vec<Segment>, StorageError> {
        let mut segments = Vec::new();
        for folder in 0..self.disks().len() {
            for name in self.files(folder)? {
                if let FileName::Finalized(first, last) = name {
                    segments.push(Segment { first, last, folder });
                }
            }
        }
        segments.sort_unstable();
        Ok(segments)
    }

    /// The newest image whose MD5 is good.
    fn newest_image(&self, notes: &mut Vec<String>) -> Result<(u64, usize, Vec<u8>), StorageError> {
        let mut problems = Vec::new();
        for txid in self.images()?.into_iter().rev() {
            for folder in 0..self.disks().len() {
                if !self.files(folder)?.contains(&FileName::Image(txid)) {
                    continue;
                }
                match self.read_image(folder, txid) {
                    Ok(image) => {
                        notes.append(&mut problems);
                        return Ok((txid, folder, image));
                    }
                    Err(problem) => problems.push(problem),
                }
            }
        }
        let tried = problems.iter().map(|problem| format!("; {problem}")).collect();
        Err(StorageError::NoImage { folders: self.labels(), tried })
    }

    /// Closes every segment that was open when its writer stopped.
    fn close_open_segments(&self, notes: &mut Vec<String>) -> Result<(), StorageError> {
        let mut open = BTreeSet::new();
        for folder in 0..self.disks().len() {
            open.extend(self.files(folder)?.into_iter().filter_map(|name| match name {
                FileName::InProgress(first) => Some(first),
                _ => None,
            }));
        }
        for first in open {
            self.close_open_segment(first, notes)?;
        }
        Ok(())
    }

    fn close_open_segment(&self, first: u64, notes: &mut Vec<String>) -> Result<(), StorageError> {
        let mut copies = Vec::new();
        let mut damage = Vec::new();
        for folder in 0..self.disks().len() {
            for name in self.files(folder)? {
                match name {
                    FileName::InProgress(open) if open == first => {}
                    FileName::Finalized(closed, _) if closed == first => {}
                    _ => continue,
                }
                let bytes = self.read_edits(folder, name)?;
                match scan(name, first, &bytes) {
                    Ok((last, good_length)) => {
                        let is_open = matches!(name, FileName::InProgress(_));
                        copies.push(Copy { folder, is_open, bytes, last, good_length });
                    }
                    Err(source) => damage.push((folder, name, source)),
                }
            }
        }
        let Some(best) = copies.iter().max_by_key(|copy| copy.last) else {
            return self.set_aside(first, damage, notes);
        };
        let good = &best.bytes[..best.good_length];
        for copy in copies.iter().filter(|copy| copy.is_open) {
            let disk = &*self.disks()[copy.folder];
            let whole = copy.bytes.get(..copy.good_length) == Some(good);
            let source = if whole { Source::Own(good.len() as u64) } else { Source::Other(good) };
            close_copy(disk, first, best.last, source)?;
            if !whole {
                notes.push(format!(
                    "{}: the segment from {first} was completed to transaction {} from another \
                     folder",
                    disk.label(),
                    best.last
                ));
            }
        }
        for (folder, name, source) in damage {
            if matches!(name, FileName::InProgress(_)) {
                close_copy(&*self.disks()[folder], first, best.last, Source::Other(good))?;
            }
            notes.push(format!("repaired: {}: {source}", self.damaged_label(folder, name)));
        }
        Ok(())
    }

    fn damaged_label(&self, folder: usize, name: FileName) -> String {
        format!("{}/{}", self.disks()[folder].label(), name.path())
    }

    /// No copy of an open segment is good. If segments after it were begun, it was left over long
    /// ago and goes out of the way (a gap is then found by the chain); otherwise it is needed.
    fn set_aside(
        &self,
        first: u64,
        damage: Vec<(usize, FileName, SegmentError)>,
        notes: &mut Vec<String>,
    ) -> Result<(), StorageError> {
        let is_old = self.segments()?.iter().any(|segment| segment.first > first);
        for (folder, name, source) in damage {
            if !is_old || !matches!(name, FileName::InProgress(_)) {
                return Err(self.damaged(folder, name, source));
            }
            let disk = &*self.disks()[folder];
            move_aside(disk, name, "corrupt")?;
            notes.push(format!("set aside: {}: {source}", self.damaged_label(folder, name)));
        }
        Ok(())
    }
}

/// Where the good bytes of a folder's copy come from.
#[derive(Clone, Copy)]
enum Source<'a> {
    /// The copy itself, cut to so many bytes.
    Own(u64),
    /// Another folder's.
    Other(&'a [u8]),
}

/// Last transaction and good bytes of a copy.
fn scan(name: FileName, first: u64, bytes: &[u8]) -> Result<(u64, usize), SegmentError> {
    let kind = match name {
        FileName::InProgress(_) => SegmentKind::InProgress,
        _ => SegmentKind::Finalized,
    };
    let mut reader = SegmentReader::open(bytes, kind, first)?;
    while reader.skip_op()?.is_some() {}
    if let FileName::Finalized(_, last) = name {
        check_end(&reader, last)?;
    }
    Ok((reader.next_txid() - 1, reader.good_length() as usize))
}

/// A closed segment must end with the transaction in its name.
fn check_end(reader: &SegmentReader<'_>, last: u64) -> Result<(), SegmentError> {
    let found = reader.next_txid() - 1;
    if found == last {
        return Ok(());
    }
    let reason = format!("it ends with transaction {found}, and its name says {last}");
    let (offset, txid) = (reader.good_length(), reader.next_txid());
    Err(SegmentError::Corrupt { offset, txid, reason })
}

/// Gives a folder's copy of an open segment its final form and name.
fn close_copy(
    disk: &dyn Disk,
    first: u64,
    last: u64,
    source: Source<'_>,
) -> Result<(), StorageError> {
    let name = FileName::InProgress(first);
    if last < first {
        return move_aside(disk, name, "empty");
    }
    let (open, closed) = (name.path(), FileName::Finalized(first, last).path());
    let closing = || match source {
        Source::Own(length) => {
            let mut file = disk.open(&open)?;
            file.set_length(length)?;
            file.sync()?;
            drop(file);
            disk.rename(&open, &closed)?;
            disk.sync_folder(CURRENT)
        }
        Source::Other(good) => {
            write_atomic(disk, &closed, good)?;
            disk.remove_file(&open)?;
            disk.sync_folder(CURRENT)
        }
    };
    closing().map_err(failed(disk, format!("close {open}")))
}

fn move_aside(disk: &dyn Disk, name: FileName, suffix: &str) -> Result<(), StorageError> {
    let path = name.path();
    let moved = disk.rename(&path, &format!("{path}.{suffix}"));
    moved
        .and_then(|()| disk.sync_folder(CURRENT))
        .map_err(failed(disk, format!("rename {path} to .{suffix}")))
}

/// The last transaction that follows the image without a gap.
fn chain_end(segments: &[Segment], image_txid: u64, seen_txid: u64) -> Result<u64, StorageError> {
    let mut next = image_txid + 1;
    while let Some(last) = segments
        .iter()
        .filter(|segment| segment.first <= next && next <= segment.last)
        .map(|segment| segment.last)
        .max()
    {
        next = last + 1;
    }
    let later = segments.iter().map(|segment| segment.first).filter(|first| *first > next).min();
    if let Some(later) = later {
        return Err(StorageError::Gap { first: next, last: later - 1 });
    }
    if seen_txid >= next {
        return Err(StorageError::Gap { first: next, last: seen_txid });
    }
    Ok(next - 1)
}
