//! What is known of files on the disk, so that one that did not change is not read again.
//!
//! A file is known by its inode, size and time of change, as `make` and `git` know it. A file that
//! changed just before it was read may change again within the same tick of the clock and look the
//! same, so it is known only once some time has passed between the two. The disk stays the truth:
//! every question looks at every file's state.

use std::collections::{BTreeMap, HashMap};
use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use nix::unistd::{Gid, Uid};

use super::{Content, FILE_BYTES_MAX, File, GenerationError, Meta, failed};

/// Longer than a tick of any clock that stamps files.
const TICK: Duration = Duration::from_millis(50);

/// Most files known: the most keys of a store in several generations. Then all are forgotten.
const FILES_MAX: usize = 65_536;

/// Most descriptions of generations known.
const METAS_MAX: usize = 64;

/// A file on the disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) digest: [u8; 32],
    pub(super) mode: u32,
    user: u32,
    group: u32,
}

impl Seen {
    /// Whether it is what is wanted, byte for byte, and whose it should be.
    pub(super) fn is(&self, file: &File, user: Option<Uid>, group: Option<Gid>) -> bool {
        self.digest == *file.content.sha256()
            && self.mode == file.mode
            && self.user == user.unwrap_or_else(Uid::effective).as_raw()
            && group.is_none_or(|group| self.group == group.as_raw())
    }
}

/// How a file is recognised: device, inode, size, and time of change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Print(u64, u64, u64, i64, i64);

impl Print {
    fn of(meta: &Metadata) -> Self {
        Self(meta.dev(), meta.ino(), meta.size(), meta.mtime(), meta.mtime_nsec())
    }

    fn settled(meta: &Metadata, now: SystemTime) -> bool {
        meta.modified().is_ok_and(|changed| now.duration_since(changed).is_ok_and(|age| age > TICK))
    }
}

#[derive(Debug, Default)]
struct Facts {
    files: HashMap<u64, (Print, [u8; 32])>,
    metas: HashMap<u64, (Print, Arc<Meta>)>,
}

impl Facts {
    /// A file with this state.
    fn see(&mut self, path: &Path, meta: &Metadata) -> Result<Seen, GenerationError> {
        let print = Print::of(meta);
        let known = self.files.get(&meta.ino()).filter(|(before, _)| *before == print);
        let digest = match known {
            Some((_, digest)) => *digest,
            None => {
                let now = SystemTime::now();
                let digest = *read(path)?.sha256();
                if Print::settled(meta, now) {
                    if self.files.len() >= FILES_MAX {
                        self.files.clear();
                    }
                    self.files.insert(meta.ino(), (print, digest));
                }
                digest
            }
        };
        let mode = meta.permissions().mode() & 0o7777;
        Ok(Seen { digest, mode, user: meta.uid(), group: meta.gid() })
    }

    fn note(&mut self, stat: &Metadata, meta: Arc<Meta>) {
        if self.metas.len() >= METAS_MAX {
            self.metas.clear();
        }
        self.metas.insert(stat.ino(), (Print::of(stat), meta));
    }
}

/// What is known.
#[derive(Debug, Default)]
pub(super) struct Known(Mutex<Facts>);

impl Known {
    fn facts(&self) -> MutexGuard<'_, Facts> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The files of a folder, now.
    ///
    /// # Errors
    /// The disk refuses, or there is something that is no file.
    pub(super) fn look(&self, folder: &Path) -> Result<BTreeMap<String, Seen>, GenerationError> {
        let mut facts = self.facts();
        let files = list(folder)?.into_iter();
        let seen = files.map(|(name, meta)| {
            let seen = facts.see(&folder.join(&name), &meta)?;
            Ok((name, seen))
        });
        seen.collect()
    }

    /// One file, now.
    ///
    /// # Errors
    /// It is not there, or no file.
    pub(super) fn file(&self, path: &Path) -> Result<Seen, GenerationError> {
        let meta = fs::symlink_metadata(path).map_err(failed("read", path))?;
        if !ours(&meta) {
            return Err(odd(path));
        }
        self.facts().see(path, &meta)
    }

    /// What a generation's description says; these are replaced, never edited.
    pub(super) fn meta(&self, path: &Path) -> Option<Arc<Meta>> {
        let stat = fs::symlink_metadata(path).ok()?;
        let mut facts = self.facts();
        if let Some((before, meta)) = facts.metas.get(&stat.ino())
            && *before == Print::of(&stat)
        {
            return Some(meta.clone());
        }
        let meta: Arc<Meta> = Arc::new(serde_json::from_slice(read(path).ok()?.bytes()).ok()?);
        if Print::settled(&stat, SystemTime::now()) {
            facts.note(&stat, meta.clone());
        }
        Some(meta)
    }

    /// A description that this process has just written, so nobody need read it.
    pub(super) fn wrote(&self, path: &Path, meta: Meta) {
        if let Ok(stat) = fs::symlink_metadata(path) {
            self.facts().note(&stat, Arc::new(meta));
        }
    }
}

fn ours(meta: &Metadata) -> bool {
    meta.is_file() && meta.len() <= FILE_BYTES_MAX
}

fn odd(path: &Path) -> GenerationError {
    failed("read", path)(io::Error::other("it is not a file of ours"))
}

/// A file's bytes.
///
/// # Errors
/// It is not there, no file, or too long.
pub(super) fn read(path: &Path) -> Result<Content, GenerationError> {
    let meta = fs::symlink_metadata(path).map_err(failed("read", path))?;
    if !ours(&meta) {
        return Err(odd(path));
    }
    fs::read(path).map(Content::new).map_err(failed("read", path))
}

/// The names in a folder, with the state of each.
pub(super) fn list(folder: &Path) -> Result<Vec<(String, Metadata)>, GenerationError> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).map_err(failed("read", folder))? {
        let entry = entry.map_err(failed("read", folder))?;
        let name = entry.file_name().into_string().map_err(|_| odd(&entry.path()))?;
        // Of the entry itself: a link is no file of ours.
        let meta = entry.metadata().map_err(|error| failed("read", &entry.path())(error))?;
        if !ours(&meta) {
            return Err(odd(&entry.path()));
        }
        files.push((name, meta));
    }
    Ok(files)
}
