//! Unpacks a `.tar.gz` into a new folder, and nothing outside of it.
//!
//! An archive is hostile until proven: names with `..` or a leading `/`, links that leave the
//! folder, entries that go through a link, devices and pipes are refused, and with one of them the
//! whole archive. Why no entry gets out: every folder on the way to it is a real one (looked at,
//! not remembered), and a symbolic link has its `..` in front only, not more of them than the real
//! folders above it, so wherever it leads is inside, whatever other links stand on the way.
//! Owners, times, set-id bits and what others may write are not taken over. Entries, bytes, names
//! and the ratio of what comes out to what went in are bounded.

use std::cell::Cell;
use std::fs::{self, File, Permissions};
use std::io::{self, Read, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _, symlink};
use std::path::{Component, Path, PathBuf};
use std::rc::Rc;

use flate2::read::MultiGzDecoder;
use tar::{Archive, Entry, EntryType};

/// Most entries; a Hadoop distribution with its documentation has some 30,000.
const ENTRIES_MAX: u64 = 500_000;

/// Most bytes that come out; a Hadoop distribution has 1.5 GB.
const BYTES_MAX: u64 = 32 << 30;

/// Most bytes out for one byte in. Programs are packed 2 to 5 times, gzip can do 1,000.
const RATIO_MAX: u64 = 200;

/// Below this the ratio says nothing.
const RATIO_COUNTS_FROM: u64 = 64 << 20;

/// Headers and names of one entry; the longest path of Linux has 4,096 bytes.
const HEAD_BYTES_MAX: u64 = 64 << 10;

/// Read at once.
const PIECE: usize = 1 << 18;

/// Counts what goes through, up to an allowance.
struct Counted<R> {
    inner: R,
    count: Rc<Cell<u64>>,
    most: Rc<Cell<u64>>,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.inner.read(buffer)?;
        self.count.set(self.count.get() + length as u64);
        if self.count.get() > self.most.get() {
            return Err(io::Error::other("an entry has a head longer than any name"));
        }
        Ok(length)
    }
}

/// An unpacking under way.
struct Unpacking<'a> {
    root: &'a Path,
    strip: usize,
    entries: u64,
    bytes: u64,
    read: Rc<Cell<u64>>,
    stop: &'a dyn Fn() -> bool,
}

/// Unpacks into `root`, a new and empty folder, without the first `strip` parts of every name.
/// `stop` is asked whether somebody still wants it.
///
/// # Errors
/// One line that names the entry and what is wrong with it; what is in `root` then is of no use.
pub(super) fn unpack(
    archive: &Path,
    root: &Path,
    strip: u32,
    stop: &dyn Fn() -> bool,
) -> Result<(), String> {
    let file = File::open(archive).map_err(|error| format!("{}: {error}", archive.display()))?;
    let read = Rc::new(Cell::new(0));
    let no_bound = Rc::new(Cell::new(u64::MAX));
    let packed = Counted { inner: file, count: read.clone(), most: no_bound };
    let (unpacked, most) = (Rc::new(Cell::new(0_u64)), Rc::new(Cell::new(u64::MAX)));
    let decoder =
        Counted { inner: MultiGzDecoder::new(packed), count: unpacked.clone(), most: most.clone() };
    let mut tar = Archive::new(decoder);
    let broken = |error: io::Error| format!("the archive is broken: {error}");
    let mut all = Unpacking { root, strip: strip as usize, entries: 0, bytes: 0, read, stop };
    let mut entries = tar.entries().map_err(broken)?;
    loop {
        // Names are read into memory here, contents are not.
        most.set(unpacked.get() + HEAD_BYTES_MAX);
        let Some(entry) = entries.next() else { break };
        most.set(u64::MAX);
        all.entry(&mut entry.map_err(broken)?)?;
    }
    match all.entries {
        0 => Err(format!("the archive has no entry below {strip} folders")),
        _ => Ok(()),
    }
}

impl Unpacking<'_> {
    fn entry(&mut self, entry: &mut Entry<'_, impl Read>) -> Result<(), String> {
        if (self.stop)() {
            return Err("nobody waits for it any more".to_owned());
        }
        let name = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        let refused = |what: &str| format!("entry {name:?} {what}; nothing is unpacked");
        let kind = entry.header().entry_type();
        if kind == EntryType::XGlobalHeader {
            return self.drain(entry).map_err(|what| refused(&what));
        }
        let path = self.inside(&name).map_err(|what| refused(&what))?;
        let made = match path {
            None => self.drain(entry),
            Some(path) => {
                self.entries += 1;
                if self.entries > ENTRIES_MAX {
                    return Err(format!("the archive has more than {ENTRIES_MAX} entries"));
                }
                self.make(entry, kind, &path)
            }
        };
        made.map_err(|what| refused(&what))
    }

    /// The name below the folder; `None` for what is stripped.
    fn inside(&self, name: &str) -> Result<Option<PathBuf>, String> {
        if name.contains('\0') {
            return Err("has a zero byte in its name".to_owned());
        }
        let mut parts = Vec::new();
        for part in Path::new(name).components() {
            match part {
                Component::Normal(part) => parts.push(part),
                Component::CurDir => {}
                Component::ParentDir => return Err("has .. in its name".to_owned()),
                _ => return Err("has an absolute name".to_owned()),
            }
        }
        let path: PathBuf = parts.iter().skip(self.strip).collect();
        Ok((parts.len() > self.strip).then_some(path))
    }

    fn make(
        &mut self,
        entry: &mut Entry<'_, impl Read>,
        kind: EntryType,
        path: &Path,
    ) -> Result<(), String> {
        let mode = entry.header().mode().map_err(text)?;
        self.real_folders(path.parent().unwrap_or(Path::new("")))?;
        let target = self.root.join(path);
        match kind {
            EntryType::Directory => {
                self.real_folders(path)?;
                let mode = Permissions::from_mode(mode & 0o755 | 0o700);
                fs::set_permissions(&target, mode).map_err(text)?;
                self.drain(entry)
            }
            EntryType::Regular | EntryType::Continuous | EntryType::GNUSparse => {
                make_room(&target)?;
                let file = File::options().write(true).create_new(true).mode(0o600).open(&target);
                let mut file = file.map_err(text)?;
                self.copy(entry, |bytes| file.write_all(bytes))?;
                file.set_permissions(Permissions::from_mode(mode & 0o755 | 0o400)).map_err(text)
            }
            EntryType::Symlink => {
                let to = entry.link_name().map_err(text)?.ok_or("is a link to nothing")?;
                let depth = path.components().count() - 1;
                stays_inside(&to, depth)?;
                make_room(&target)?;
                symlink(&to, &target).map_err(text)
            }
            EntryType::Link => {
                let to = entry.link_name().map_err(text)?.ok_or("is a link to nothing")?;
                let to = self.inside(&to.to_string_lossy())?;
                let to = to.ok_or("is a link to something that is left out")?;
                self.real_folders(to.parent().unwrap_or(Path::new("")))?;
                let source = self.root.join(&to);
                match fs::symlink_metadata(&source) {
                    Ok(about) if about.is_file() => {}
                    _ => return Err("is a link to no file that came before it".to_owned()),
                }
                if source == target {
                    return Ok(());
                }
                make_room(&target)?;
                fs::hard_link(&source, &target).map_err(text)
            }
            _ => Err("is a device, a pipe or of an unknown kind".to_owned()),
        }
    }

    /// Makes the folders that are not there; refuses a way through anything else than a folder.
    fn real_folders(&self, path: &Path) -> Result<(), String> {
        let mut folder = self.root.to_owned();
        for part in path.components() {
            folder.push(part);
            match fs::symlink_metadata(&folder) {
                Ok(about) if about.is_dir() => {}
                Ok(_) => {
                    let inner = folder.strip_prefix(self.root).unwrap_or(&folder);
                    return Err(format!("goes through {}, which is no folder", inner.display()));
                }
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    fs::create_dir(&folder).map_err(text)?;
                }
                Err(error) => return Err(text(error)),
            }
        }
        Ok(())
    }

    fn drain(&mut self, entry: &mut Entry<'_, impl Read>) -> Result<(), String> {
        self.copy(entry, |_| Ok(()))
    }

    fn copy(
        &mut self,
        entry: &mut Entry<'_, impl Read>,
        mut take: impl FnMut(&[u8]) -> io::Result<()>,
    ) -> Result<(), String> {
        let mut piece = vec![0; PIECE.min(entry.size().max(1) as usize)];
        loop {
            let length = entry.read(&mut piece).map_err(text)?;
            if length == 0 {
                return Ok(());
            }
            self.bytes += length as u64;
            let packed_most = self.read.get().saturating_mul(RATIO_MAX);
            if self.bytes > BYTES_MAX {
                return Err(format!("is more than the {BYTES_MAX} bytes that are let out"));
            }
            if self.bytes > RATIO_COUNTS_FROM && self.bytes > packed_most {
                return Err(format!("is more than {RATIO_MAX} times as long as it is packed"));
            }
            if (self.stop)() {
                return Err("is not waited for any more".to_owned());
            }
            take(&piece[..length]).map_err(text)?;
        }
    }
}

/// A later entry of the same name wins, as `tar` has it; a folder stays.
fn make_room(target: &Path) -> Result<(), String> {
    match fs::symlink_metadata(target) {
        Ok(about) if about.is_dir() => Err("is a folder already".to_owned()),
        Ok(_) => fs::remove_file(target).map_err(text),
        Err(_) => Ok(()),
    }
}

/// See the head of the file. `depth`: real folders between the link and the root.
fn stays_inside(to: &Path, depth: usize) -> Result<(), String> {
    let leaves = || format!("is a link to {}, which leaves the folder", to.display());
    let (mut up, mut down) = (0, false);
    for part in to.components() {
        match part {
            Component::ParentDir if down => {
                return Err(format!("is a link to {}, with .. inside", to.display()));
            }
            Component::ParentDir => up += 1,
            Component::Normal(_) => down = true,
            Component::CurDir => {}
            _ => return Err(leaves()),
        }
    }
    if up > depth { Err(leaves()) } else { Ok(()) }
}

fn text(error: io::Error) -> String {
    error.to_string()
}

#[cfg(test)]
mod tests;
