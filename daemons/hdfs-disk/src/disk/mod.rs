//! The one port to a disk. A [`Disk`] is one folder (one of the namenode's name folders, one volume
//! of a datanode); every path is relative to it, uses `/`, and never leaves it.
//!
//! What an implementation promises: after [`DiskFile::sync`] the file's bytes and length survive a
//! crash; after [`Disk::sync_folder`] the folder's entries (creations, renames, removals) do.
//! Without
//! them anything between old and new may be found afterwards. A failed sync is final: the bytes may
//! be gone and asking again proves nothing, so nobody does.

mod memory;

use std::io;

pub use self::memory::MemoryDisk;

/// What a folder holds.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Entry {
    /// Last component of the path.
    pub name: String,
    /// Bytes; 0 for folders.
    pub length: u64,
    /// Whether it is a folder.
    pub is_folder: bool,
}

/// One folder on a disk.
pub trait Disk: Send + Sync {
    /// How people know the folder, for messages: its absolute path.
    fn label(&self) -> &str;
    /// Creates a file, or empties an existing one, for reading and writing.
    fn create(&self, path: &str) -> io::Result<Box<dyn DiskFile>>;
    /// Opens an existing file for reading and writing.
    fn open(&self, path: &str) -> io::Result<Box<dyn DiskFile>>;
    /// All bytes of a file; `InvalidData` when it has more than `length_max`.
    fn read(&self, path: &str, length_max: u64) -> io::Result<Vec<u8>>;
    /// The entries of a folder in no order; `NotFound` when there is no such folder. `""` is the
    /// disk's own folder.
    fn list(&self, folder: &str) -> io::Result<Vec<Entry>>;
    /// Whether a file or folder is there.
    fn exists(&self, path: &str) -> io::Result<bool>;
    /// Moves a file or folder over whatever file has the new path.
    fn rename(&self, source: &str, target: &str) -> io::Result<()>;
    /// Removes a file.
    fn remove_file(&self, path: &str) -> io::Result<()>;
    /// Removes a folder and all in it; nothing happens when it is not there.
    fn remove_folder(&self, path: &str) -> io::Result<()>;
    /// Creates a folder and those above it; nothing happens to those that are there.
    fn create_folder(&self, path: &str) -> io::Result<()>;
    /// Makes the entries of a folder durable.
    fn sync_folder(&self, folder: &str) -> io::Result<()>;
    /// Takes the exclusive lock of the whole folder (`in_use.lock`), held until the value is
    /// dropped; `WouldBlock` when another process holds it, naming it.
    fn lock(&self) -> io::Result<Box<dyn DiskLock>>;
}

/// An open file.
pub trait DiskFile: Send {
    /// Bytes.
    fn length(&self) -> io::Result<u64>;
    /// Writes all bytes at an offset, growing the file as needed.
    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()>;
    /// Fills the buffer from an offset; `UnexpectedEof` when the file ends before.
    fn read_at(&mut self, offset: u64, into: &mut [u8]) -> io::Result<()>;
    /// Cuts or grows (with zeros) the file.
    fn set_length(&mut self, length: u64) -> io::Result<()>;
    /// Makes bytes and length durable.
    fn sync(&mut self) -> io::Result<()>;
}

/// Holds a folder for this process until dropped.
pub trait DiskLock: Send + Sync + std::fmt::Debug {}

/// Suffix of files that are being written by [`write_atomic`].
pub const TEMPORARY_SUFFIX: &str = ".tmp";

/// The folder part of a path; `""` at the top.
pub fn parent(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(folder, _)| folder)
}

/// Replaces a file as a whole: write a temporary, sync it, rename it, sync the folder. After a
/// crash
/// at any point the path has either all of the old bytes or all of the new.
///
/// # Errors
/// Whatever the disk says; the old file is then still there, or (when only the last step failed)
/// either of the two.
pub fn write_atomic(disk: &dyn Disk, path: &str, bytes: &[u8]) -> io::Result<()> {
    let temporary = format!("{path}{TEMPORARY_SUFFIX}");
    let mut file = disk.create(&temporary)?;
    file.write_at(0, bytes)?;
    file.sync()?;
    drop(file);
    disk.rename(&temporary, path)?;
    disk.sync_folder(parent(path))
}
