//! A folder of the real file system as a [`Disk`]. Every path stays below the folder; nothing here
//! retries a sync or knows what the files mean.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, FileExt};
use std::path::{Path, PathBuf};

use hdfs_disk::disk::{Disk, DiskFile, DiskLock, Entry};
use nix::fcntl::{FcntlArg, fcntl};
use nix::libc;

/// The lock file's name; Hadoop's daemons take the same one.
const LOCK_NAME: &str = "in_use.lock";
/// Folders are the daemon's own: block and namespace bytes are not for other users.
const FOLDER_MODE: u32 = 0o700;
/// The longest text a lock file can have for us to quote it.
const LOCK_TEXT_LENGTH_MAX: u64 = 1024;

/// A folder of the real file system.
#[derive(Debug)]
pub struct LocalDisk {
    root: PathBuf,
    label: String,
}

impl LocalDisk {
    /// Opens a folder, creating it (and those above it) if need be.
    ///
    /// # Errors
    /// The file system's, with the folder's name.
    pub fn open(root: &Path) -> io::Result<Self> {
        let root = std::path::absolute(root)?;
        let label = root.display().to_string();
        create_folders(&root).map_err(|error| named(&error, "create folder", &root))?;
        Ok(Self { root, label })
    }

    /// The real path of a path of this disk. Paths come from our own code and from names that were
    /// checked; one that could leave the folder is refused all the same.
    fn path(&self, path: &str) -> io::Result<PathBuf> {
        let leaves = |part: &str| matches!(part, "" | "." | "..") || part.contains('\0');
        if !path.is_empty() && path.split('/').any(leaves) {
            let message = format!("{path:?} is not a path below {}", self.label);
            return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
        }
        Ok(self.root.join(path))
    }
}

/// The same error, with what was tried.
fn named(error: &io::Error, attempt: &str, path: &Path) -> io::Error {
    io::Error::new(error.kind(), format!("{attempt} {}: {error}", path.display()))
}

fn create_folders(path: &Path) -> io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(FOLDER_MODE).create(path)
}

impl Disk for LocalDisk {
    fn label(&self) -> &str {
        &self.label
    }

    fn create(&self, path: &str) -> io::Result<Box<dyn DiskFile>> {
        let path = self.path(path)?;
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(true);
        let file = options.open(&path).map_err(|error| named(&error, "create", &path))?;
        Ok(Box::new(LocalFile { file, path }))
    }

    fn open(&self, path: &str) -> io::Result<Box<dyn DiskFile>> {
        let path = self.path(path)?;
        let options = OpenOptions::new().read(true).write(true).open(&path);
        let file = options.map_err(|error| named(&error, "open", &path))?;
        Ok(Box::new(LocalFile { file, path }))
    }

    fn read(&self, path: &str, length_max: u64) -> io::Result<Vec<u8>> {
        let path = self.path(path)?;
        let file = File::open(&path).map_err(|error| named(&error, "open", &path))?;
        let mut bytes = Vec::new();
        let length = file.metadata()?.len();
        if length > length_max {
            let message = format!("{} has more than {length_max} bytes", path.display());
            return Err(io::Error::new(io::ErrorKind::InvalidData, message));
        }
        // The file system's own word on the length, bounded above; one byte more shows the end.
        bytes.try_reserve_exact(length as usize + 1)?;
        let read = file.take(length_max.saturating_add(1)).read_to_end(&mut bytes);
        read.map_err(|error| named(&error, "read", &path))?;
        Ok(bytes)
    }

    fn list(&self, folder: &str) -> io::Result<Vec<Entry>> {
        let path = self.path(folder)?;
        let entries = fs::read_dir(&path).map_err(|error| named(&error, "list", &path))?;
        let mut list = Vec::new();
        for entry in entries {
            let entry = entry.map_err(|error| named(&error, "list", &path))?;
            // Names that are not UTF-8 are none of ours.
            let Ok(name) = entry.file_name().into_string() else { continue };
            let metadata = match entry.metadata() {
                Ok(metadata) => metadata,
                // Removed since the folder was opened.
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(named(&error, "look at", &entry.path())),
            };
            let is_folder = metadata.is_dir();
            list.push(Entry {
                name,
                length: if is_folder { 0 } else { metadata.len() },
                is_folder,
            });
        }
        Ok(list)
    }

    fn exists(&self, path: &str) -> io::Result<bool> {
        let path = self.path(path)?;
        path.try_exists().map_err(|error| named(&error, "look at", &path))
    }

    fn rename(&self, source: &str, target: &str) -> io::Result<()> {
        let (source, target) = (self.path(source)?, self.path(target)?);
        fs::rename(&source, &target).map_err(|error| named(&error, "rename", &source))
    }

    fn remove_file(&self, path: &str) -> io::Result<()> {
        let path = self.path(path)?;
        fs::remove_file(&path).map_err(|error| named(&error, "remove", &path))
    }

    fn remove_folder(&self, path: &str) -> io::Result<()> {
        let path = self.path(path)?;
        match fs::remove_dir_all(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(named(&error, "remove", &path))
            }
            _ => Ok(()),
        }
    }

    fn create_folder(&self, path: &str) -> io::Result<()> {
        let path = self.path(path)?;
        create_folders(&path).map_err(|error| named(&error, "create folder", &path))
    }

    fn sync_folder(&self, folder: &str) -> io::Result<()> {
        let path = self.path(folder)?;
        let folder = File::open(&path).map_err(|error| named(&error, "open", &path))?;
        folder.sync_all().map_err(|error| named(&error, "sync folder", &path))
    }

    fn lock(&self) -> io::Result<Box<dyn DiskLock>> {
        let path = self.path(LOCK_NAME)?;
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        let mut file = options.open(&path).map_err(|error| named(&error, "open", &path))?;
        take_lock(&file).map_err(|error| held(&file, error, &path))?;
        let host = nix::unistd::gethostname()?;
        file.set_len(0)?;
        write!(file, "{}@{}", std::process::id(), host.to_string_lossy())?;
        Ok(Box::new(LocalLock { _file: file }))
    }
}

/// Takes an exclusive lock of the kind that belongs to the open file: it keeps out Hadoop's daemons
/// too (the JVM takes record locks, `flock` would not see them), and it survives that another part
/// of this process opens and closes the file.
fn take_lock(file: &File) -> io::Result<()> {
    let lock = libc::flock {
        l_type: libc::F_WRLCK as libc::c_short,
        l_whence: libc::SEEK_SET as libc::c_short,
        l_start: 0,
        l_len: 0,
        l_pid: 0,
    };
    fcntl(file, FcntlArg::F_OFD_SETLK(&lock))?;
    Ok(())
}

/// The error of a lock that somebody holds, naming them.
fn held(file: &File, error: io::Error, path: &Path) -> io::Error {
    let taken = matches!(
        error.kind(),
        io::ErrorKind::WouldBlock | io::ErrorKind::PermissionDenied | io::ErrorKind::ResourceBusy
    );
    if !taken {
        return named(&error, "lock", path);
    }
    let mut owner = String::new();
    let _ = file.take(LOCK_TEXT_LENGTH_MAX).read_to_string(&mut owner);
    let owner = if owner.is_empty() { "another process".to_owned() } else { owner };
    let path = path.display();
    let message = format!("{path} is locked by {owner}; stop that process, or use another folder");
    io::Error::new(io::ErrorKind::WouldBlock, message)
}

/// Releases when dropped; the file stays, as Hadoop's does until a clean end.
#[derive(Debug)]
struct LocalLock {
    _file: File,
}

impl DiskLock for LocalLock {}

/// A real file; its path is for messages.
#[derive(Debug)]
struct LocalFile {
    file: File,
    path: PathBuf,
}

impl DiskFile for LocalFile {
    fn length(&self) -> io::Result<u64> {
        let metadata = self.file.metadata();
        metadata
            .map(|metadata| metadata.len())
            .map_err(|error| named(&error, "look at", &self.path))
    }

    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let written = self.file.write_all_at(bytes, offset);
        written.map_err(|error| named(&error, "write", &self.path))
    }

    fn read_at(&mut self, offset: u64, into: &mut [u8]) -> io::Result<()> {
        let read = self.file.read_exact_at(into, offset);
        read.map_err(|error| named(&error, "read", &self.path))
    }

    fn set_length(&mut self, length: u64) -> io::Result<()> {
        let set = self.file.set_len(length);
        set.map_err(|error| named(&error, "set the length of", &self.path))
    }

    fn sync(&mut self) -> io::Result<()> {
        // Length changes are part of what fdatasync keeps; times are not, and nobody reads them.
        self.file.sync_data().map_err(|error| named(&error, "sync", &self.path))
    }
}

#[cfg(test)]
mod tests {
    use hdfs_disk::disk::write_atomic;

    use super::*;

    fn disk() -> (tempfile::TempDir, LocalDisk) {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let disk = LocalDisk::open(&folder.path().join("a/b")).expect("a new folder");
        (folder, disk)
    }

    #[test]
    fn files_are_written_read_cut_and_renamed() {
        let (_folder, disk) = disk();
        disk.create_folder("current/x").expect("created");
        write_atomic(&disk, "current/VERSION", b"one").expect("written");
        write_atomic(&disk, "current/VERSION", b"two!").expect("replaced");
        assert_eq!(disk.read("current/VERSION", 4).expect("read"), b"two!");
        let error = disk.read("current/VERSION", 3).expect_err("too long");
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
        let mut file = disk.open("current/VERSION").expect("opened");
        file.write_at(6, b"end").expect("written");
        assert_eq!(file.length().expect("looked at"), 9);
        file.set_length(7).expect("cut");
        file.sync().expect("synced");
        let mut bytes = [0; 3];
        file.read_at(4, &mut bytes).expect("read");
        assert_eq!(&bytes, b"\0\0e");
        assert_eq!(
            file.read_at(5, &mut bytes).expect_err("end").kind(),
            io::ErrorKind::UnexpectedEof
        );
        let mut names = disk.list("current").expect("listed");
        names.sort();
        let found: Vec<_> =
            names.iter().map(|entry| (entry.name.as_str(), entry.is_folder)).collect();
        assert_eq!(found, [("VERSION", false), ("x", true)]);
        disk.remove_folder("current").expect("removed");
        disk.remove_folder("current").expect("gone already");
        assert!(!disk.exists("current").expect("looked at"));
    }

    #[test]
    fn paths_never_leave_the_folder() {
        let (_folder, disk) = disk();
        for path in ["../x", "/etc/passwd", "a/../../x", "a//b", "./a"] {
            assert_eq!(disk.exists(path).expect_err(path).kind(), io::ErrorKind::InvalidInput);
        }
    }

    #[test]
    fn a_folder_is_held_by_one_and_names_its_holder() {
        let (_folder, disk) = disk();
        let lock = disk.lock().expect("free");
        let text = fs::read_to_string(disk.root.join(LOCK_NAME)).expect("the lock's text");
        assert!(text.starts_with(&format!("{}@", std::process::id())), "{text}");
        let error = disk.lock().expect_err("held");
        assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
        assert!(error.to_string().contains(&text), "{error}");
        drop(lock);
        disk.lock().expect("free again");
    }

    #[test]
    fn errors_name_the_file() {
        let (_folder, disk) = disk();
        let error = disk.read("current/none", 1).expect_err("no such file");
        assert!(error.to_string().contains("a/b/current/none"), "{error}");
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
    }
}
