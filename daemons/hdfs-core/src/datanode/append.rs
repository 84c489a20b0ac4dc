//! Appending to a replica's files, cutting them, and finding how much of them is proven. The order
//! of writes is invariant 2 of the module: the checksums always prove a prefix that is at least as
//! long as what was acknowledged before.

use std::io;

use hdfs_disk::disk::DiskFile;
use hdfs_disk::replica::META_HEADER_LENGTH;
use hdfs_wire::checksum::{self, CHECKSUM_LEN, ChecksumKind};

use super::files::{Checksum, Files, invalid};
use super::packets::{Placement, place};

/// Bytes read at once while a replica is checked; a multiple of all usual chunk sizes.
const CHECK_READ_LEN: usize = 1024 * 1024;

/// A replica open for appending.
pub struct Appender {
    files: Files,
    checksum: Checksum,
    length: u64,
    /// The bytes of the last chunk on disk while that is partial.
    partial: Vec<u8>,
    /// Reused for checksums that are computed here.
    sums: Vec<u8>,
}

impl Appender {
    /// A new, empty replica.
    pub fn new(files: Files, checksum: Checksum) -> Self {
        Self { files, checksum, length: 0, partial: Vec::new(), sums: Vec::new() }
    }

    /// A replica with `length` bytes, cut to that if it has more. Its last chunk is checked before
    /// anything is computed from it.
    ///
    /// # Errors
    /// The disk's; `InvalidData` if the last, partial chunk does not match its checksum at all.
    pub fn resume(mut files: Files, checksum: Checksum, length: u64) -> io::Result<Self> {
        let on_disk = files.data.length()?;
        if on_disk < length {
            return Err(invalid(format!("{on_disk} bytes on disk where {length} should be")));
        }
        let partial = partial_chunk(&mut *files.data, checksum, length)?;
        let mut appender = Self { files, checksum, length, partial, sums: Vec::new() };
        if !appender.partial.is_empty() {
            appender.check_last_chunk(on_disk)?;
        }
        appender.trim()?;
        Ok(appender)
    }

    /// Bytes on disk.
    pub fn length(&self) -> u64 {
        self.length
    }

    /// How the replica is summed.
    pub fn checksum(&self) -> Checksum {
        self.checksum
    }

    /// The checksum of the last chunk if that is partial.
    pub fn tail(&self) -> Option<[u8; CHECKSUM_LEN]> {
        (!self.partial.is_empty())
            .then(|| checksum::crc(self.checksum.kind, &self.partial).to_be_bytes())
    }

    /// Writes the new bytes of a packet that starts at `start` in the block. `sums` are the
    /// packet's checksums if they are of this replica's kind and chunk size; without them, or when
    /// the packet does not start on a chunk, they are computed from the bytes, which the caller
    /// has then checked. Returns whether anything was written.
    ///
    /// # Errors
    /// The disk's; `InvalidData` when bytes before the packet are missing. The replica is as long
    /// as before.
    pub fn append(&mut self, start: u64, bytes: &[u8], sums: Option<&[u8]>) -> io::Result<bool> {
        let chunk_size = if self.has_sums() { self.checksum.chunk_size } else { 0 };
        let write = match place(start, bytes.len(), self.length, chunk_size) {
            Placement::Known => return Ok(false),
            Placement::Gap => {
                return Err(invalid(format!(
                    "a packet at offset {start} where the replica has {} bytes",
                    self.length
                )));
            }
            Placement::Write(write) => write,
        };
        let fresh = &bytes[write.skip..];
        self.files.data.write_at(self.length, fresh)?;
        if self.has_sums() {
            let given = sums.zip(write.checksums_skip);
            let given = given.and_then(|(sums, skip)| sums.get(skip * CHECKSUM_LEN..));
            let offset = self.checksum.meta_offset(write.chunk);
            if let Some(given) = given {
                self.files.meta.write_at(offset, given)?;
            } else {
                self.compute(fresh);
                self.files.meta.write_at(offset, &self.sums)?;
            }
            self.remember_partial(fresh);
        }
        self.length += fresh.len() as u64;
        Ok(true)
    }

    /// Makes data and checksums durable, the data first.
    ///
    /// # Errors
    /// The disk's; the volume must not be trusted any more.
    pub fn sync(&mut self) -> io::Result<()> {
        self.files.data.sync()?;
        self.files.meta.sync()
    }

    /// Cuts what a failed write may have left behind the end.
    ///
    /// # Errors
    /// The disk's.
    pub fn trim(&mut self) -> io::Result<()> {
        cut_to(&mut self.files, self.checksum, self.length)
    }

    fn has_sums(&self) -> bool {
        self.checksum.kind != ChecksumKind::Null
    }

    /// Fills `sums` with the checksums from the last chunk on, over old and new bytes.
    fn compute(&mut self, fresh: &[u8]) {
        let chunk_size = self.checksum.chunk_size as usize;
        self.sums.clear();
        let mut rest = fresh;
        if !self.partial.is_empty() {
            let missing = (chunk_size - self.partial.len()).min(fresh.len());
            let old = self.partial.len();
            self.partial.extend_from_slice(&fresh[..missing]);
            let sum = checksum::crc(self.checksum.kind, &self.partial);
            self.partial.truncate(old);
            self.sums.extend_from_slice(&sum.to_be_bytes());
            rest = &fresh[missing..];
        }
        checksum::compute(self.checksum.kind, chunk_size, rest, &mut self.sums);
    }

    fn remember_partial(&mut self, fresh: &[u8]) {
        let size = u64::from(self.checksum.chunk_size);
        let partial = usize::try_from((self.length + fresh.len() as u64) % size).unwrap_or(0);
        if partial > fresh.len() {
            self.partial.extend_from_slice(fresh);
        } else {
            self.partial.clear();
            self.partial.extend_from_slice(&fresh[fresh.len() - partial..]);
        }
    }

    /// The last chunk, which goes on beyond `length` on disk, must match its checksum at some
    /// length from `length` on; then its bytes are right and a shorter sum may be computed.
    fn check_last_chunk(&mut self, on_disk: u64) -> io::Result<()> {
        let size = u64::from(self.checksum.chunk_size);
        if !self.has_sums() {
            return Ok(());
        }
        let chunk = self.length / size;
        let end = on_disk.min((chunk + 1) * size);
        let mut bytes = vec![0; usize::try_from(end - chunk * size).unwrap_or(0)];
        self.files.data.read_at(chunk * size, &mut bytes)?;
        let mut stored = [0; CHECKSUM_LEN];
        self.files.meta.read_at(self.checksum.meta_offset(chunk), &mut stored)?;
        if proven(self.checksum.kind, &bytes, stored) < self.partial.len() {
            return Err(invalid(format!(
                "the last chunk, at byte {}, does not match its checksum",
                chunk * size
            )));
        }
        Ok(())
    }
}

/// Cuts a replica to `length` bytes.
///
/// # Errors
/// The disk's.
pub fn cut(files: &mut Files, checksum: Checksum, length: u64) -> io::Result<()> {
    cut_to(files, checksum, length)
}

/// The new last chunk's checksum first, then the lengths: a crash in between leaves more bytes than
/// are proven, never fewer.
fn cut_to(files: &mut Files, checksum: Checksum, length: u64) -> io::Result<()> {
    if files.data.length()? > length {
        let partial = partial_chunk(&mut *files.data, checksum, length)?;
        if !partial.is_empty() && checksum.kind != ChecksumKind::Null {
            let sum = checksum::crc(checksum.kind, &partial).to_be_bytes();
            let chunk = length / u64::from(checksum.chunk_size);
            files.meta.write_at(checksum.meta_offset(chunk), &sum)?;
        }
        files.data.set_length(length)?;
    }
    let meta_length = checksum.meta_length(length);
    if files.meta.length()? > meta_length {
        files.meta.set_length(meta_length)?;
    }
    Ok(())
}

fn partial_chunk(data: &mut dyn DiskFile, checksum: Checksum, length: u64) -> io::Result<Vec<u8>> {
    let size = u64::from(checksum.chunk_size);
    let mut partial = vec![0; usize::try_from(length % size).unwrap_or(0)];
    data.read_at(length - length % size, &mut partial)?;
    Ok(partial)
}

/// The longest prefix of a chunk that its stored checksum proves; 0 if none.
fn proven(kind: ChecksumKind, chunk: &[u8], stored: [u8; CHECKSUM_LEN]) -> usize {
    let matches = |bytes: &[u8]| checksum::crc(kind, bytes).to_be_bytes() == stored;
    (1..=chunk.len()).rev().find(|&length| matches(&chunk[..length])).unwrap_or(0)
}

/// The longest prefix of a replica that its checksums prove, in bytes. Without checksums nothing
/// can be proven and all of it counts.
///
/// # Errors
/// The disk's, or a meta file without a readable header.
pub fn proven_length(files: &mut Files) -> io::Result<(u64, Checksum)> {
    let mut header = [0; META_HEADER_LENGTH];
    files.meta.read_at(0, &mut header)?;
    let checksum = Checksum::from_header(&header)?;
    let on_disk = files.data.length()?;
    if checksum.kind == ChecksumKind::Null {
        return Ok((on_disk, checksum));
    }
    let size = checksum.chunk_size as usize;
    let sums_len =
        files.meta.length()?.saturating_sub(META_HEADER_LENGTH as u64) / CHECKSUM_LEN as u64;
    let end = on_disk.min(sums_len.saturating_mul(size as u64));
    let piece = (CHECK_READ_LEN / size).max(1) * size;
    let (mut data, mut sums) = (Vec::new(), Vec::new());
    let mut length = 0;
    while length < end {
        let count = usize::try_from((end - length).min(piece as u64)).unwrap_or(piece);
        data.resize(count, 0);
        files.data.read_at(length, &mut data)?;
        sums.resize(count.div_ceil(size) * CHECKSUM_LEN, 0);
        files.meta.read_at(checksum.meta_offset(length / size as u64), &mut sums)?;
        let (stored, _) = sums.as_chunks::<CHECKSUM_LEN>();
        for (chunk, stored) in data.chunks(size).zip(stored) {
            if checksum::crc(checksum.kind, chunk).to_be_bytes() != *stored {
                return Ok((length + proven(checksum.kind, chunk, *stored) as u64, checksum));
            }
            length += chunk.len() as u64;
        }
    }
    Ok((length, checksum))
}
