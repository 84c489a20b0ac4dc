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
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use nix::unistd::{Gid, Uid};

use super::{Content, Digest, FILE_BYTES_MAX, File, GenerationError, Meta, digest, failed};

/// Longer than a tick of any clock that stamps files.
const TICK: Duration = Duration::from_millis(50);

/// A change takes no longer from its first look to its last on a working system.
const RECENT: Duration = Duration::from_secs(1);

/// Most files known: the most keys of a store in several generations. Then all are forgotten.
const FILES_MAX: usize = 65_536;

/// Most descriptions of generations known.
const METAS_MAX: usize = 64;

/// A file on the disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) digest: Digest,
    pub(super) mode: u32,
    user: u32,
    group: u32,
}

impl Seen {
    /// Whether it is what is wanted, byte for byte, and whose it should be.
    pub(super) fn is(
        &self,
        file: &File,
        digest: &Digest,
        user: Option<Uid>,
        group: Option<Gid>,
    ) -> bool {
        self.digest == *digest
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

/// What a folder held, and when.
type Look = (PathBuf, Instant, Arc<BTreeMap<String, Seen>>);

#[derive(Debug, Default)]
struct Facts {
    last: Option<Look>,
    files: HashMap<u64, (Print, Digest)>,
    metas: HashMap<u64, (Print, Meta)>,
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
    pub(super) fn look(
        &self,
        folder: &Path,
    ) -> Result<Arc<BTreeMap<String, Seen>>, GenerationError> {
        let found = Arc::new(self.look_once(folder)?);
        self.facts().last = Some((folder.to_owned(), Instant::now(), found.clone()));
        Ok(found)
    }

    /// The files of a folder as the same change just saw them. What somebody did meanwhile is found
    /// by the next look, as it would be a moment later.
    ///
    /// # Errors
    /// The disk refuses, or there is something that is no file.
    pub(super) fn recent(
        &self,
        folder: &Path,
    ) -> Result<Arc<BTreeMap<String, Seen>>, GenerationError> {
        if let Some((last, at, found)) = &self.facts().last
            && last == folder
            && at.elapsed() < RECENT
        {
            return Ok(found.clone());
        }
        self.look(folder)
    }

    /// As [`Known::look`], of a folder that is not asked for again.
    ///
    /// # Errors
    /// The disk refuses, or there is something that is no file.
    pub(super) fn look_once(
        &self,
        folder: &Path,
    ) -> Result<BTreeMap<String, Seen>, GenerationError> {
        let mut facts = self.facts();
        let mut found = BTreeMap::new();
        for (name, meta) in list(folder)? {
            let print = Print::of(&meta);
            let known = facts.files.get(&meta.ino()).filter(|(before, _)| *before == print);
            let digest = match known {
                Some((_, digest)) => *digest,
                None => {
                    let (path, now) = (folder.join(&name), SystemTime::now());
                    let content = fs::read(&path).map_err(failed("read", &path))?;
                    let digest = digest(&Content(content));
                    if Print::settled(&meta, now) {
                        facts.files.insert(meta.ino(), (print, digest));
                    }
                    digest
                }
            };
            let mode = meta.permissions().mode() & 0o7777;
            found.insert(name, Seen { digest, mode, user: meta.uid(), group: meta.gid() });
        }
        if facts.files.len() > FILES_MAX {
            facts.files.clear();
        }
        Ok(found)
    }

    /// What a generation's description says; these are replaced, never edited.
    pub(super) fn meta(&self, path: &Path) -> Option<Meta> {
        let stat = fs::symlink_metadata(path).ok()?;
        let print = Print::of(&stat);
        let mut facts = self.facts();
        if let Some((before, meta)) = facts.metas.get(&stat.ino())
            && *before == print
        {
            return Some(meta.clone());
        }
        let meta: Meta = serde_json::from_str(&fs::read_to_string(path).ok()?).ok()?;
        if facts.metas.len() >= METAS_MAX {
            facts.metas.clear();
        }
        if Print::settled(&stat, SystemTime::now()) {
            facts.metas.insert(stat.ino(), (print, meta.clone()));
        }
        Some(meta)
    }
}

/// The names in a folder, with the state of each.
pub(super) fn list(folder: &Path) -> Result<Vec<(String, Metadata)>, GenerationError> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).map_err(failed("read", folder))? {
        let entry = entry.map_err(failed("read", folder))?;
        let odd = |what: &str| failed("read", &entry.path())(io::Error::other(what.to_owned()));
        let name = entry.file_name().into_string().map_err(|_| odd("odd name"))?;
        // Of the entry itself: a link is no file of ours.
        let meta = entry.metadata().map_err(|error| failed("read", &entry.path())(error))?;
        if !meta.is_file() || meta.len() > FILE_BYTES_MAX {
            return Err(odd("it is not a file of ours"));
        }
        files.push((name, meta));
    }
    Ok(files)
}
