//! A replica opened for reading: its two files, and how much of them is consistent. A replica that
//! is being written may be read up to what is on disk; the checksum of its partial last chunk then
//! comes from memory, because the one on disk may already be of more bytes.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use hdfs_core::datanode::files::{Checksum, Place};
use hdfs_core::datanode::{Block, Replica, VolumeIndex};
use hdfs_disk::replica::META_HEADER_LENGTH;
use hdfs_wire::checksum::{CHECKSUM_LEN, ChecksumKind};
use hdfs_wire::{Exception, Fault};

use crate::store::Store;

/// How long a reader waits for bytes that a client has seen acknowledged elsewhere.
const WAIT_FOR_BYTES: Duration = Duration::from_secs(3);

/// How often it looks.
const WAIT_STEP: Duration = Duration::from_millis(2);

/// A replica may move (to another folder or stamp) between the look at the map and the opening.
const OPEN_ATTEMPTS: usize = 4;

/// A replica open for reading.
pub(crate) struct Reading {
    pub(crate) data: File,
    pub(crate) meta: File,
    pub(crate) checksum: Checksum,
    /// Bytes that are consistent with the checksums.
    pub(crate) length: u64,
    /// The checksum of the last, partial chunk at `length`, where the file's is not to be trusted.
    pub(crate) tail: Option<[u8; CHECKSUM_LEN]>,
    /// The replica's own stamp.
    pub(crate) stamp: u64,
    pub(crate) volume: VolumeIndex,
}

impl Store {
    /// Opens a replica of which `wanted` bytes should be there.
    pub(crate) fn open(&self, block: Block, wanted: u64) -> Result<Reading, Fault> {
        let mut last = None;
        for _ in 0..OPEN_ATTEMPTS {
            let replica = self.wait_for(block, wanted)?;
            match self.open_files(block, &replica) {
                Ok(reading) => return Ok(reading),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    last = Some((replica.volume, error));
                }
                Err(error) => return Err(self.io_fault(replica.volume, "read", block, &error)),
            }
        }
        Err(match last {
            Some((volume, error)) => self.io_fault(volume, "read", block, &error),
            None => self.replicas.lock().not_found(block),
        })
    }

    fn wait_for(&self, block: Block, wanted: u64) -> Result<Replica, Fault> {
        let until = Instant::now() + WAIT_FOR_BYTES;
        loop {
            let replica = self.readable(block)?;
            // A finished replica is as long as it will be: the caller sees what is there.
            if replica.length >= wanted || replica.writer().is_none() || Instant::now() >= until {
                return Ok(replica);
            }
            std::thread::sleep(WAIT_STEP);
        }
    }

    fn readable(&self, block: Block) -> Result<Replica, Fault> {
        let map = self.replicas.lock();
        let replica = map.find(block.id).cloned().ok_or_else(|| map.not_found(block))?;
        if replica.stamp < block.stamp {
            return Err(Fault::new(
                Exception::Io,
                format!(
                    "Replica gen stamp < block genstamp, block={}:{block}, replica={}",
                    self.pool,
                    replica.block(block.id)
                ),
            ));
        }
        if replica.visible().is_none() {
            return Err(Fault::new(
                Exception::Io,
                format!(
                    "Replica is not readable, block={}:{block}, replica={} in state {}",
                    self.pool,
                    replica.block(block.id),
                    replica.state.as_str_name()
                ),
            ));
        }
        Ok(replica)
    }

    fn open_files(&self, block: Block, replica: &Replica) -> io::Result<Reading> {
        let place = Self::place(block.id, replica);
        let meta = File::open(self.path(replica.volume, &self.layout.meta(place))?)?;
        let data = File::open(self.data_path(replica.volume, place)?)?;
        let mut header = [0; META_HEADER_LENGTH];
        meta.read_exact_at(&mut header, 0)?;
        let checksum = Checksum::from_header(&header)?;
        Ok(Reading {
            data,
            meta,
            checksum,
            length: replica.length,
            tail: replica.live().and_then(|live| live.tail),
            stamp: replica.stamp,
            volume: replica.volume,
        })
    }

    /// The path of a replica's data file.
    pub(crate) fn data_path(&self, volume: VolumeIndex, place: Place) -> io::Result<PathBuf> {
        self.path(volume, &self.layout.data(place))
    }

    fn path(&self, volume: VolumeIndex, relative: &str) -> io::Result<PathBuf> {
        Ok(self.volume(volume)?.root.join(relative))
    }

    /// Bytes of a replica that readers may see.
    pub(crate) fn visible_length(&self, block: Block) -> Result<u64, Fault> {
        let map = self.replicas.lock();
        let replica = map.find(block.id).ok_or_else(|| map.not_found(block))?;
        if replica.stamp < block.stamp {
            return Err(Fault::io(format!(
                "Replica gen stamp < block genstamp, block={}:{block}, replica={}",
                self.pool,
                replica.block(block.id)
            )));
        }
        // Java's -1: there is a replica, and nothing of it can be read yet.
        Ok(replica.visible().unwrap_or(u64::MAX))
    }
}

impl Reading {
    /// Reads the checksums of the chunks from `first` on that cover the bytes up to `end`, where
    /// `end` is a chunk's end or the replica's.
    pub(crate) fn sums(&self, first: u64, end: u64, into: &mut Vec<u8>) -> io::Result<()> {
        into.clear();
        if self.checksum.kind == ChecksumKind::Null {
            return Ok(());
        }
        let size = u64::from(self.checksum.chunk_size);
        let chunks = end.div_ceil(size).saturating_sub(first);
        into.resize(usize::try_from(chunks).unwrap_or(usize::MAX) * CHECKSUM_LEN, 0);
        self.meta.read_exact_at(into, self.checksum.meta_offset(first))?;
        if end == self.length
            && let (Some(tail), Some(last)) = (self.tail, into.last_chunk_mut::<CHECKSUM_LEN>())
        {
            *last = tail;
        }
        Ok(())
    }
}
