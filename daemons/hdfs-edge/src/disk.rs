//! [`Disk`] on the real file system: one folder, its files, and its exclusive lock.
//!
//! It adds nothing to what the kernel does: no cache, no retry. A failed sync is reported once and
//! never asked again, because a second answer would prove nothing.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, FileExt};
use std::path::{Component, Path, PathBuf};

use hdfs_disk::disk::{Disk, DiskFile, DiskLock, Entry};
use nix::fcntl::{FcntlArg, fcntl};

use crate::net;

/// Name of the lock file, the same as Java's: the two must not share a folder.
const LOCK_NAME: &str = "in_use.lock";

/// What a lock file may say of its holder; `pid@host` is far shorter.
const HOLDER_LENGTH_MAX: u64 = 1024;

/// Folders are the daemon's own: neither names nor block bytes are for other users.
const FOLDER_MODE: u32 = 0o700;

/// A folder of this host.
#[derive(Debug)]
pub struct LocalDisk {
    folder: PathBuf,
    label: String,
}

impl LocalDisk {
    /// The disk of a folder, which need not exist yet.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        let folder = folder.into();
        let label = folder.display().to_string();
        Self { folder, label }
    }

    /// The place of a relative path.
    fn place(&self, path: &str) -> io::Result<PathBuf> {
        let inside = |part| matches!(part, Component::Normal(_));
        if Path::new(path).components().all(inside) {
            return Ok(self.folder.join(path));
        }
        Err(io::Error::new(io::ErrorKind::InvalidInput, format!("{path} leads out of the folder")))
    }
}

impl Disk for LocalDisk {
    fn label(&self) -> &str {
        &self.label
    }

    fn create(&self, path: &str) -> io::Result<Box<dyn DiskFile>> {
        let mut options = OpenOptions::new();
        let file =
            options.read(true).write(true).create(true).truncate(true).open(self.place(path)?)?;
        Ok(Box::new(LocalFile { file }))
    }

    fn open(&self, path: &str) -> io::Result<Box<dyn DiskFile>> {
        let file = OpenOptions::new().read(true).write(true).open(self.place(path)?)?;
        Ok(Box::new(LocalFile { file }))
    }

    fn read(&self, path: &str, length_max: u64) -> io::Result<Vec<u8>> {
        let file = File::open(self.place(path)?)?;
        let length = file.metadata()?.len();
        let too_long = || {
            let message = format!("{path} has more than {length_max} bytes");
            io::Error::new(io::ErrorKind::InvalidData, message)
        };
        if length > length_max {
            return Err(too_long());
        }
        // The file exists and has this length, so this is no promise of a stranger.
        let mut bytes = Vec::with_capacity(usize::try_from(length).map_err(|_| too_long())?);
        file.take(length_max.saturating_add(1)).read_to_end(&mut bytes)?;
        if bytes.len() as u64 > length_max { Err(too_long()) } else { Ok(bytes) }
    }

    fn list(&self, folder: &str) -> io::Result<Vec<Entry>> {
        let mut entries = Vec::new();
        for entry in std::fs::read_dir(self.place(folder)?)? {
            let entry = entry?;
            let about = match entry.metadata() {
                Ok(about) => about,
                // Removed since the folder was read.
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(error),
            };
            // Our names are ASCII; a name that is no text is nobody's we know.
            let Ok(name) = entry.file_name().into_string() else { continue };
            let length = if about.is_dir() { 0 } else { about.len() };
            entries.push(Entry { name, length, is_folder: about.is_dir() });
        }
        Ok(entries)
    }

    fn exists(&self, path: &str) -> io::Result<bool> {
        self.place(path)?.try_exists()
    }

    fn rename(&self, source: &str, target: &str) -> io::Result<()> {
        std::fs::rename(self.place(source)?, self.place(target)?)
    }

    fn remove_file(&self, path: &str) -> io::Result<()> {
        std::fs::remove_file(self.place(path)?)
    }

    fn remove_folder(&self, path: &str) -> io::Result<()> {
        match std::fs::remove_dir_all(self.place(path)?) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            other => other,
        }
    }

    fn create_folder(&self, path: &str) -> io::Result<()> {
        let mut builder = std::fs::DirBuilder::new();
        builder.recursive(true).mode(FOLDER_MODE).create(self.place(path)?)
    }

    fn sync_folder(&self, folder: &str) -> io::Result<()> {
        File::open(self.place(folder)?)?.sync_all()
    }

    /// The lock is one of POSIX kind, which Java's and ours both see; it belongs to the open file,
    /// so a second one in this process is refused as well. The file stays when the lock is let go:
    /// removing it would let two others lock two files of that name.
    fn lock(&self) -> io::Result<Box<dyn DiskLock>> {
        let mut options = OpenOptions::new();
        let path = self.folder.join(LOCK_NAME);
        let mut file = options.read(true).write(true).create(true).truncate(false).open(path)?;
        // All of the file: from 0, with length 0 for "to the end, however far".
        let whole = nix::libc::flock {
            l_type: nix::libc::F_WRLCK as nix::libc::c_short,
            l_whence: nix::libc::SEEK_SET as nix::libc::c_short,
            l_start: 0,
            l_len: 0,
            l_pid: 0,
        };
        match fcntl(&file, FcntlArg::F_OFD_SETLK(&whole)) {
            Ok(_) => {}
            Err(nix::Error::EAGAIN | nix::Error::EACCES) => {
                let mut holder = String::new();
                let _ = file.take(HOLDER_LENGTH_MAX).read_to_string(&mut holder);
                let message = format!("in use by {}", holder.trim());
                return Err(io::Error::new(io::ErrorKind::WouldBlock, message));
            }
            Err(error) => return Err(error.into()),
        }
        file.set_len(0)?;
        write!(file, "{}@{}", std::process::id(), net::host_name())?;
        Ok(Box::new(LocalLock { _file: file }))
    }
}

/// An open file.
#[derive(Debug)]
struct LocalFile {
    file: File,
}

impl DiskFile for LocalFile {
    fn length(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.len())
    }

    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all_at(bytes, offset)
    }

    fn read_at(&mut self, offset: u64, into: &mut [u8]) -> io::Result<()> {
        self.file.read_exact_at(into, offset)
    }

    fn set_length(&mut self, length: u64) -> io::Result<()> {
        self.file.set_len(length)
    }

    fn sync(&mut self) -> io::Result<()> {
        // The length is part of what fdatasync keeps; only times are not.
        self.file.sync_data()
    }
}

/// The open lock file; closing it lets the folder go.
#[derive(Debug)]
struct LocalLock {
    _file: File,
}

impl DiskLock for LocalLock {}

#[cfg(test)]
mod tests {
    use hdfs_disk::disk::write_atomic;

    use super::*;

    fn disk() -> (tempfile::TempDir, LocalDisk) {
        let folder = tempfile::tempdir().expect("a folder");
        let disk = LocalDisk::new(folder.path());
        (folder, disk)
    }

    #[test]
    fn files_are_written_read_listed_and_moved() {
        let (_folder, disk) = disk();
        disk.create_folder("current").expect("made");
        write_atomic(&disk, "current/a", b"one").expect("written");
        write_atomic(&disk, "current/a", b"two").expect("written again");
        assert_eq!(disk.read("current/a", 3).expect("read"), b"two");
        let error = disk.read("current/a", 2).expect_err("longer");
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
        let mut file = disk.open("current/a").expect("opened");
        file.write_at(5, b"!").expect("written");
        file.sync().expect("synced");
        assert_eq!(file.length().expect("known"), 6);
        let mut bytes = [9; 6];
        file.read_at(0, &mut bytes).expect("read");
        assert_eq!(&bytes, b"two\0\0!");
        assert_eq!(
            file.read_at(4, &mut bytes).expect_err("short").kind(),
            io::ErrorKind::UnexpectedEof
        );
        file.set_length(1).expect("cut");
        disk.rename("current/a", "current/b").expect("moved");
        let entry = Entry { name: "b".into(), length: 1, is_folder: false };
        assert_eq!(disk.list("current").expect("listed"), [entry]);
        disk.remove_folder("current").expect("removed");
        disk.remove_folder("current").expect("removed already");
        assert!(!disk.exists("current").expect("asked"));
        assert!(disk.create("../x").is_err() && disk.create("/x").is_err());
    }

    #[test]
    fn a_folder_has_one_holder() {
        let (folder, disk) = disk();
        let lock = disk.lock().expect("free");
        let error = LocalDisk::new(folder.path()).lock().expect_err("held");
        assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
        assert!(error.to_string().contains(&format!("{}@", std::process::id())), "{error}");
        drop(lock);
        disk.lock().expect("free again");
    }
}
