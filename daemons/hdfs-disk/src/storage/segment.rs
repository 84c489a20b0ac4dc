//! The open segment in all name folders: append, sync, close. A failure is final.

use super::error::StorageError;
use super::folders::{NameFolders, failed};
use super::names::{CURRENT, FileName};
use crate::disk::DiskFile;
use crate::edits::{FILLER, HEADER};

/// An open segment. Dropped without [`OpenSegment::close`], it is recovered at the next start.
pub struct OpenSegment {
    folders: NameFolders,
    files: Vec<Box<dyn DiskFile>>,
    first_txid: u64,
    /// Where the next operation goes.
    position: u64,
    /// Where durable filler ends.
    room_end: u64,
    /// Whether seen_txid names this segment.
    seen: bool,
    fenced: bool,
}

impl std::fmt::Debug for OpenSegment {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { first_txid, position, fenced, .. } = self;
        write!(formatter, "segment from {first_txid}, {position} bytes, fenced: {fenced}")
    }
}

impl NameFolders {
    /// Opens a segment: its header and room are durable when this returns.
    ///
    /// # Errors
    /// The disk's.
    pub fn open_segment(&self, first_txid: u64) -> Result<OpenSegment, StorageError> {
        let path = FileName::InProgress(first_txid).path();
        let mut files = Vec::new();
        for disk in self.disks() {
            let file = disk.create(&path).map_err(failed(&**disk, format!("create {path}")))?;
            files.push(file);
        }
        let mut segment = OpenSegment {
            folders: self.clone(),
            files,
            first_txid,
            position: 0,
            room_end: 0,
            seen: false,
            fenced: false,
        };
        segment.append(&HEADER)?;
        for disk in self.disks() {
            disk.sync_folder(CURRENT).map_err(failed(&**disk, format!("sync {CURRENT}")))?;
        }
        Ok(segment)
    }
}

impl OpenSegment {
    /// First transaction.
    pub fn first_txid(&self) -> u64 {
        self.first_txid
    }

    /// Bytes so far, the header's among them.
    pub fn length(&self) -> u64 {
        self.position
    }

    /// Writes whole operations, not yet durable.
    ///
    /// # Errors
    /// The disk's, and [`StorageError::Fenced`] ever after.
    pub fn append(&mut self, operations: &[u8]) -> Result<(), StorageError> {
        self.make_room(operations.len() as u64)?;
        let position = self.position;
        self.each("write", |file| file.write_at(position, operations))?;
        self.position += operations.len() as u64;
        Ok(())
    }

    /// Makes everything appended durable in every folder; only then it may be acknowledged. The
    /// first time it also notes that the segment has begun, so the first batch must not be empty.
    ///
    /// # Errors
    /// The disk's, and [`StorageError::Fenced`] ever after.
    pub fn sync(&mut self) -> Result<(), StorageError> {
        self.each("sync", |file| file.sync())?;
        if !self.seen && self.position > HEADER.len() as u64 {
            let outcome = self.folders.write_seen_txid(self.first_txid);
            self.fenced |= outcome.is_err();
            outcome?;
            self.seen = true;
        }
        Ok(())
    }

    /// Cuts the room that is left, makes everything durable and gives the segment its final name.
    ///
    /// # Errors
    /// The disk's; the segment is then recovered at the next start.
    ///
    /// # Panics
    /// When there are no operations up to `last_txid`: such a segment has no final name.
    pub fn close(mut self, last_txid: u64) -> Result<(), StorageError> {
        assert!(last_txid >= self.first_txid, "a closed segment has transactions");
        assert!(self.position > HEADER.len() as u64, "a closed segment has transactions");
        let position = self.position;
        self.each("cut", |file| file.set_length(position))?;
        self.sync()?;
        let source = FileName::InProgress(self.first_txid).path();
        let target = FileName::Finalized(self.first_txid, last_txid).path();
        for disk in self.folders.disks() {
            let renamed = disk.rename(&source, &target);
            renamed
                .and_then(|()| disk.sync_folder(CURRENT))
                .map_err(failed(&**disk, format!("rename {source} to {target}")))?;
        }
        Ok(())
    }

    /// Durable filler for so many more bytes.
    fn make_room(&mut self, length: u64) -> Result<(), StorageError> {
        let needed = self.position + length;
        if needed <= self.room_end {
            return Ok(());
        }
        let room = self.folders.room;
        let end = needed.next_multiple_of(room);
        let filler = vec![FILLER; room as usize];
        for start in (self.room_end..end).step_by(room as usize) {
            self.each("make room", |file| file.write_at(start, &filler))?;
        }
        self.each("sync room", |file| file.sync())?;
        self.room_end = end;
        Ok(())
    }

    /// Does one thing in every folder; the first failure fences.
    fn each(
        &mut self,
        attempt: &str,
        mut act: impl FnMut(&mut dyn DiskFile) -> std::io::Result<()>,
    ) -> Result<(), StorageError> {
        if self.fenced {
            return Err(StorageError::Fenced);
        }
        for (disk, file) in self.folders.disks().iter().zip(&mut self.files) {
            if let Err(source) = act(&mut **file) {
                self.fenced = true;
                let path = FileName::InProgress(self.first_txid).print();
                return Err(failed(&**disk, format!("{attempt} {path}"))(source));
            }
        }
        Ok(())
    }
}
