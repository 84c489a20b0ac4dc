//! Where the files of a replica lie and how they move: creation, change of state, deletion. All
//! over the `Disk` port of one data folder; nothing here knows who asks.
//!
//! A move renames the meta file first: that is the commit point (invariant 1 of the module). The
//! scan at start finishes what was cut.

use std::io;

use hdfs_disk::disk::{Disk, DiskFile, parent};
use hdfs_disk::replica::{
    META_HEADER_LENGTH, MetaChecksum, MetaHeader, PoolPaths, data_name, meta_name,
};
use hdfs_wire::checksum::ChecksumKind;

use super::replica::State;

/// Chunks larger than this are refused: one chunk is held in memory while it is partial, and no
/// packet has more.
pub const CHUNK_SIZE_MAX: u32 = 16 * 1024 * 1024;

/// How a replica is summed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Checksum {
    /// The kind of sum.
    pub kind: ChecksumKind,
    /// Bytes of a chunk, at least 1.
    pub chunk_size: u32,
}

impl Checksum {
    /// The header of a meta file.
    pub fn header(self) -> [u8; META_HEADER_LENGTH] {
        let checksum = match self.kind {
            ChecksumKind::Null => MetaChecksum::Null,
            ChecksumKind::Crc32 => MetaChecksum::Crc32,
            ChecksumKind::Crc32c => MetaChecksum::Crc32c,
        };
        MetaHeader { checksum, bytes_per_checksum: self.chunk_size }.encode()
    }

    /// Reads a header.
    ///
    /// # Errors
    /// `InvalidData` for another version, an unknown kind or an impossible chunk size.
    pub fn from_header(header: &[u8]) -> io::Result<Self> {
        let header = MetaHeader::decode(header).map_err(|error| invalid(error.to_string()))?;
        let kind = match header.checksum {
            MetaChecksum::Null => ChecksumKind::Null,
            MetaChecksum::Crc32 => ChecksumKind::Crc32,
            MetaChecksum::Crc32c => ChecksumKind::Crc32c,
        };
        Self { kind, chunk_size: header.bytes_per_checksum }.checked()
    }

    /// The same, if the chunk size is possible.
    ///
    /// # Errors
    /// `InvalidData` otherwise.
    pub fn checked(self) -> io::Result<Self> {
        if self.chunk_size == 0 || self.chunk_size > CHUNK_SIZE_MAX {
            return Err(invalid(format!("{} bytes per checksum", self.chunk_size)));
        }
        Ok(self)
    }

    /// Bytes of a meta file for so much data.
    pub fn meta_length(self, data: u64) -> u64 {
        self.meta_offset(data.div_ceil(u64::from(self.chunk_size)))
    }

    /// Where the checksum of a chunk is in the meta file.
    pub fn meta_offset(self, chunk: u64) -> u64 {
        META_HEADER_LENGTH as u64 + chunk.saturating_mul(self.kind.size() as u64)
    }
}

pub(super) fn invalid(message: impl Into<String>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, message.into())
}

/// Identity and place of a replica's files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// Decides the folder; RWR lies where RBW does. Never RUR: see `Replica::place`.
    pub state: State,
    /// The block id.
    pub id: i64,
    /// The stamp in the meta file's name.
    pub stamp: u64,
}

/// The paths of one block pool below a data folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout {
    paths: PoolPaths,
}

impl Layout {
    /// The layout of a pool; none for an id that could lead out of the folder.
    pub fn new(pool: &str) -> Option<Self> {
        Some(Self { paths: PoolPaths::new(pool)? })
    }

    /// The paths that do not depend on a replica.
    pub fn paths(&self) -> &PoolPaths {
        &self.paths
    }

    /// The folder of a replica.
    pub fn folder(&self, state: State, id: i64) -> String {
        match state {
            State::Finalized => self.paths.finalized_folder(id),
            State::Rbw | State::Rwr | State::Rur => self.paths.rbw.clone(),
            State::Temporary => self.paths.tmp.clone(),
        }
    }

    /// The path of the data file.
    pub fn data(&self, place: Place) -> String {
        format!("{}/{}", self.folder(place.state, place.id), data_name(place.id))
    }

    /// The path of the meta file.
    pub fn meta(&self, place: Place) -> String {
        let Place { state, id, stamp } = place;
        format!("{}/{}", self.folder(state, id), meta_name(id, stamp))
    }

    /// Creates the folders of the pool, durably: a synced replica must not lose its folder.
    ///
    /// # Errors
    /// The disk's.
    pub fn prepare(&self, disk: &dyn Disk) -> io::Result<()> {
        for folder in [&self.paths.finalized, &self.paths.rbw, &self.paths.tmp] {
            disk.create_folder(folder)?;
        }
        for folder in [parent(&self.paths.rbw), &self.paths.root, parent(&self.paths.root), ""] {
            disk.sync_folder(folder)?;
        }
        Ok(())
    }
}

/// A replica's two files, open for writing.
pub struct Files {
    /// The bytes.
    pub data: Box<dyn DiskFile>,
    /// The header and checksums.
    pub meta: Box<dyn DiskFile>,
}

/// Creates an empty replica.
///
/// # Errors
/// The disk's; what was created is removed again.
pub fn create(
    disk: &dyn Disk,
    layout: &Layout,
    place: Place,
    checksum: Checksum,
) -> io::Result<Files> {
    let data = disk.create(&layout.data(place))?;
    let with_header = || {
        let mut meta = disk.create(&layout.meta(place))?;
        meta.write_at(0, &checksum.header())?;
        Ok(meta)
    };
    match with_header() {
        Ok(meta) => Ok(Files { data, meta }),
        Err(error) => {
            // The first error counts; what stays behind is wiped or cut at the next start.
            let _ = delete(disk, layout, place);
            Err(error)
        }
    }
}

/// Opens the files of a replica and reads how it is summed.
///
/// # Errors
/// The disk's, or a bad meta header.
pub fn open(disk: &dyn Disk, layout: &Layout, place: Place) -> io::Result<(Files, Checksum)> {
    let data = disk.open(&layout.data(place))?;
    let mut meta = disk.open(&layout.meta(place))?;
    let mut header = [0; META_HEADER_LENGTH];
    meta.read_at(0, &mut header)?;
    Ok((Files { data, meta }, Checksum::from_header(&header)?))
}

/// Moves a replica to another state, stamp, or both.
///
/// # Errors
/// The disk's. If only the data file could not move, the meta file is moved back; the replica is
/// then where it was.
pub fn relocate(disk: &dyn Disk, layout: &Layout, source: Place, target: Place) -> io::Result<()> {
    let (old, new) = (layout.meta(source), layout.meta(target));
    rename(disk, layout, &old, &new, target)?;
    let (old_data, new_data) = (layout.data(source), layout.data(target));
    if old_data != new_data
        && let Err(error) = rename(disk, layout, &old_data, &new_data, target)
    {
        // Should this fail too, the next start brings the data file after the meta file.
        let _ = disk.rename(&new, &old);
        return Err(error);
    }
    Ok(())
}

/// Renames, creating the folder of finalized replicas when it is missing.
fn rename(
    disk: &dyn Disk,
    layout: &Layout,
    source: &str,
    target: &str,
    place: Place,
) -> io::Result<()> {
    match disk.rename(source, target) {
        Err(error)
            if error.kind() == io::ErrorKind::NotFound && place.state == State::Finalized =>
        {
            disk.create_folder(&layout.folder(place.state, place.id))?;
            disk.rename(source, target)
        }
        result => result,
    }
}

/// Removes the files of a replica, the data first: a meta file alone is no replica.
///
/// # Errors
/// The disk's; files that are not there are no error.
pub fn delete(disk: &dyn Disk, layout: &Layout, place: Place) -> io::Result<()> {
    for path in [layout.data(place), layout.meta(place)] {
        match disk.remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_of_a_java_datanode() {
        let layout = Layout::new("BP-1").expect("an id");
        let place = Place { state: State::Finalized, id: 1_073_741_825, stamp: 1001 };
        assert_eq!(
            layout.meta(place),
            "current/BP-1/current/finalized/subdir0/subdir0/blk_1073741825_1001.meta"
        );
        let negative = Place { state: State::Finalized, id: -16, stamp: 1 };
        assert_eq!(
            layout.data(negative),
            "current/BP-1/current/finalized/subdir31/subdir31/blk_-16"
        );
        let copy = Place { state: State::Temporary, ..place };
        assert_eq!(layout.data(copy), "current/BP-1/tmp/blk_1073741825");
    }

    #[test]
    fn header_of_a_java_datanode() {
        let checksum = Checksum { kind: ChecksumKind::Crc32c, chunk_size: 512 };
        assert_eq!(checksum.header(), [0, 1, 2, 0, 0, 2, 0]);
        assert_eq!(Checksum::from_header(&checksum.header()).ok(), Some(checksum));
        assert_eq!(checksum.meta_length(700), 15);
        assert!(Checksum::from_header(&[0, 1, 2, 0, 0, 0, 0]).is_err());
        assert!(Checksum::from_header(&[0, 1, 2, 0xff, 0, 2, 0]).is_err());
        assert!(Checksum::from_header(&[0, 2, 2, 0, 0, 2, 0]).is_err());
        assert!(Checksum::from_header(&[0, 1, 3, 0, 0, 2, 0]).is_err());
    }
}
