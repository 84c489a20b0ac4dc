//! A unit's rendered files, in numbered folders, with one link to the one in force.
//!
//! ```text
//! UNIT/generations/1/{core-site.xml,hdfs-site.xml}
//! UNIT/generations/1.json        what 1 is: index, reason, time, a hash per file
//! UNIT/generations/2/...
//! UNIT/conf -> generations/2     the one in force
//! UNIT/good                      the number of the last one its program was well with
//! ```
//! What is in force is read from the disk, never remembered. The order of a commit:
//!
//! 1. `N.staging/` is made, and every file written with owner and mode.
//! 2. `N.json` is written beside and renamed into place, `N.staging` renamed to `N`.
//! 3. The files, `N` and `generations/` are synced. With a journal the first sync waits for the
//!    disk and takes the names along.
//! 4. `conf` is replaced by one rename. Now the unit's program is told.
//! 5. `N.json` and the folder of `conf` are synced, and what is kept no longer is removed.
//!
//! What is shown is on the disk before it is shown. What describes it is so before it is called
//! good, which is all that a start without sources relies on. A power failure before 5 is over may
//! bring back the generation before, also a whole one. Killed before 2 is over, the
//! leftovers are no generation and the next commit removes them; later, `N` is whole and not in
//! force. After a power failure before 3 is over `N` may be torn; it is not in force and never was
//! good, and an operator who asks for it is refused ([`Generations::intact`]). So at every moment
//! `conf` shows all files of one generation. An old generation is renamed before it is removed,
//! for the same reason.
//!
//! In a unit of many files a change costs what changed, not what there is: generations share the
//! files that are the same in both, and one that is no longer kept becomes `spare`, of which the
//! next is made. Nothing here ever writes a file in place. Somebody else may, and changes it in all
//! generations that share it; so units of few files share none.

mod digests;
mod known;
mod write;

use std::collections::BTreeMap;
use std::fs::{self, File as Handle};
use std::io;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use digests::hash_is;
pub use digests::{digest_of_all, hash};
use known::{Known, Seen};
use serde::{Deserialize, Serialize};
pub(crate) use write::replace;
use write::{Owners, rename_into, sync_folder, write_file};

pub use crate::engine::Files;
use crate::engine::change::Marks;
use crate::engine::{Content, File};

/// Generations kept unless the unit says otherwise.
const KEPT: usize = 5;

/// Longest file read back; a render is shorter.
const FILE_BYTES_MAX: u64 = 64 << 20;

/// From so many files on generations share what is the same. A daemon has a handful.
const SHARED_MIN: usize = 32;

/// Files that are held open until they are synced together.
const UNSYNCED_MAX: usize = 256;

/// A generation that cannot be written or read.
#[derive(Debug, thiserror::Error)]
#[error("cannot {attempt} {path}: {source}")]
pub struct GenerationError {
    attempt: &'static str,
    path: PathBuf,
    source: io::Error,
}

fn failed(attempt: &'static str, path: &Path) -> impl FnOnce(io::Error) -> GenerationError {
    move |source| GenerationError { attempt, path: path.to_owned(), source }
}

/// What a generation is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Default)]
pub struct Meta {
    /// Its number.
    pub number: u64,
    /// The index of the KV snapshot it comes from.
    pub index: u64,
    /// Values that came from stores.
    #[serde(default)]
    pub stored: usize,
    /// Why it was made.
    pub reason: String,
    /// When, in seconds since 1970.
    pub time: u64,
    /// What a restart is needed for, see [`Marks`].
    pub restart: u64,
    /// What a reload is enough for.
    pub reload: u64,
    /// Its files.
    pub files: BTreeMap<String, FileMeta>,
}

/// What a file of a generation is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Default)]
pub struct FileMeta {
    /// SHA-256 of its bytes, in hex.
    pub sha256: String,
    /// Mode bits.
    pub mode: u32,
    /// Whether nobody may see it.
    pub secret: bool,
}

impl Meta {
    /// What a change from or to it asks for.
    pub fn marks(&self) -> Marks {
        Marks { restart: self.restart, reload: self.reload }
    }
}

/// Files on the disk that are not in force yet.
#[derive(Debug)]
pub struct Staged {
    number: u64,
    folder: PathBuf,
    /// The files that are not on the disk yet.
    written: Vec<(PathBuf, Handle)>,
}

impl Staged {
    /// Where they are.
    pub fn folder(&self) -> &Path {
        &self.folder
    }
}

/// The generations of one unit.
#[derive(Debug, Clone)]
pub struct Generations {
    folder: PathBuf,
    link: PathBuf,
    good: PathBuf,
    refused: PathBuf,
    keep: usize,
    known: Arc<Known>,
}

impl Generations {
    /// Generations below `unit/generations`, with `link` pointing at the one in force.
    pub fn new(unit: &Path, link: impl Into<PathBuf>) -> Self {
        let folder = unit.join("generations");
        Self {
            folder,
            link: link.into(),
            good: unit.join("good"),
            refused: unit.join("refused"),
            keep: KEPT,
            known: Arc::new(Known::default()),
        }
    }

    /// Keeps that many.
    #[must_use]
    pub fn keeping(mut self, keep: usize) -> Self {
        self.keep = keep.max(2);
        self
    }

    /// The path that always shows the generation in force.
    pub fn link(&self) -> &Path {
        &self.link
    }

    /// The number of the generation in force, if any.
    pub fn current(&self) -> Option<u64> {
        fs::read_link(&self.link).ok()?.file_name()?.to_str()?.parse().ok()
    }

    /// The last generation that its program was well with, if it is still there.
    pub fn good(&self) -> Option<u64> {
        let number = fs::read_to_string(&self.good).ok()?.trim().parse().ok()?;
        self.folder.join(u64::to_string(&number)).is_dir().then_some(number)
    }

    /// Notes that the program is well with a generation.
    ///
    /// # Errors
    /// The disk refuses.
    pub fn mark_good(&self, number: u64) -> Result<(), GenerationError> {
        if self.good() == Some(number) {
            return Ok(());
        }
        self.sync(number)?;
        replace(&self.good, format!("{number}\n").as_bytes(), 0o644)
    }

    /// The [`digest_of_all`] of files that did their program no good.
    pub fn refused(&self) -> Option<String> {
        let text = fs::read_to_string(&self.refused).ok()?;
        Some(text.trim().to_owned()).filter(|digest| !digest.is_empty())
    }

    /// Notes which files did their program no good, or that none are known to.
    ///
    /// # Errors
    /// The disk refuses.
    pub fn mark_refused(&self, digest: Option<&str>) -> Result<(), GenerationError> {
        if self.refused().as_deref() == digest {
            return Ok(());
        }
        replace(&self.refused, format!("{}\n", digest.unwrap_or_default()).as_bytes(), 0o644)
    }

    /// Whether exactly these files are in force, byte for byte and mode for mode.
    pub fn holds(&self, files: &Files) -> bool {
        let Some(number) = self.current() else { return false };
        let meta = self.meta(number);
        let folder = self.folder.join(number.to_string());
        self.known.look(&folder).is_ok_and(|on_disk| {
            on_disk.len() == files.len()
                && files.iter().all(|(name, file)| {
                    let secret = meta.as_ref().and_then(|meta| meta.files.get(name));
                    on_disk.get(name).is_some_and(|there| {
                        there.mode == file.mode
                            && there.digest == *file.content.sha256()
                            && secret.is_none_or(|meta| meta.secret == file.secret)
                    })
                })
        })
    }

    /// What new files would replace of those in force, and with what.
    pub fn replaced_by(&self, new: &Files) -> (Files, Files) {
        let current = self.current();
        let meta = current.and_then(|number| self.meta(number)).unwrap_or_default();
        let folder = self.folder.join(current.unwrap_or(0).to_string());
        let same = |name: &String, file: &File| {
            meta.files.get(name).is_some_and(|put| hash_is(&put.sha256, &file.content))
        };
        let (mut before, mut after) = (Files::new(), Files::new());
        for (name, put) in &meta.files {
            if new.get(name).is_some_and(|file| same(name, file)) {
                continue;
            }
            if let Ok(content) = known::read(&folder.join(name)) {
                let (mode, secret) = (put.mode, put.secret);
                before.insert(name.clone(), File { content, mode, secret, ..File::default() });
            }
        }
        for (name, file) in new.iter().filter(|(name, file)| !same(name, file)) {
            after.insert(name.clone(), file.clone());
        }
        (before, after)
    }

    /// Whether exactly these files were put in force, whatever somebody made of them since.
    pub fn put(&self, files: &Files) -> bool {
        let Some(meta) = self.current().and_then(|number| self.meta(number)) else { return false };
        meta.files.len() == files.len()
            && files.iter().all(|(name, file)| {
                meta.files.get(name).is_some_and(|put| {
                    hash_is(&put.sha256, &file.content)
                        && put.mode == file.mode
                        && put.secret == file.secret
                })
            })
    }

    /// The files of a generation, as they are on the disk.
    ///
    /// # Errors
    /// The disk refuses, or there is something that is no file.
    pub fn files(&self, number: u64) -> Result<Files, GenerationError> {
        let folder = self.folder.join(number.to_string());
        let meta = self.meta(number).unwrap_or_default();
        let mut files = read_folder(&folder)?;
        for (name, file) in &mut files {
            file.secret = meta.files.get(name).is_some_and(|meta| meta.secret);
        }
        Ok(files)
    }

    /// What a generation is; `None` when nobody knows.
    pub fn meta(&self, number: u64) -> Option<Arc<Meta>> {
        self.known.meta(&self.meta_path(number))
    }

    fn meta_path(&self, number: u64) -> PathBuf {
        self.folder.join(format!("{number}.json"))
    }

    /// What differs from what was put in force: files changed, missing or added by somebody.
    pub fn drift(&self) -> Vec<String> {
        self.current().map(|number| self.difference(number)).unwrap_or_default()
    }

    fn difference(&self, number: u64) -> Vec<String> {
        let Some(meta) = self.meta(number) else { return Vec::new() };
        let on_disk = match self.files(number) {
            Ok(files) => files,
            Err(error) => return vec![error.to_string()],
        };
        let mut told = Vec::new();
        for (name, wanted) in &meta.files {
            match on_disk.get(name) {
                None => told.push(format!("{name} is gone")),
                Some(file) if hash(&file.content) != wanted.sha256 => {
                    told.push(format!("{name} was changed"));
                }
                Some(file) if file.mode != wanted.mode => {
                    told.push(format!("{name} has mode {:04o}", file.mode));
                }
                Some(_) => {}
            }
        }
        let added = on_disk.keys().filter(|name| !meta.files.contains_key(*name));
        told.extend(added.map(|name| format!("{name} was added")));
        told
    }

    /// Puts the files in force as a new generation, unless they already are. Says whether it
    /// wrote anything.
    ///
    /// # Errors
    /// The disk refuses; what was in force stays in force.
    pub fn commit(&self, files: &Files) -> Result<bool, GenerationError> {
        if self.holds(files) {
            return Ok(false);
        }
        let staged = self.stage(files)?;
        let number = self.publish(staged, files, Meta::default())?;
        self.sync(number)?;
        self.prune(number);
        Ok(true)
    }

    /// Writes the files beside those in force.
    ///
    /// # Errors
    /// The disk refuses, or there is no such user or group.
    pub fn stage(&self, files: &Files) -> Result<Staged, GenerationError> {
        fs::create_dir_all(&self.folder).map_err(failed("create", &self.folder))?;
        self.clean();
        let number = self.numbers().last().copied().max(self.current()).unwrap_or(0) + 1;
        let folder = self.folder.join(format!("{number}.staging"));
        let mut there = self.unpack_spare(&folder)?;
        let in_force = self.current().filter(|_| files.len() >= SHARED_MIN);
        let in_force = in_force.map(|number| self.folder.join(number.to_string()));
        let (mut owners, mut written) = (Owners::default(), Vec::new());
        for (name, file) in files {
            let path = folder.join(name);
            let (user, group) = owners.of(file).map_err(failed("give away", &path))?;
            let fits = |seen: &Seen| seen.is(file, user, group);
            if let Some(old) = there.remove(name) {
                if fits(&old) {
                    continue;
                }
                fs::remove_file(&path).map_err(failed("remove", &path))?;
            }
            let linked = in_force.as_ref().is_some_and(|folder| {
                let from = folder.join(name);
                self.known.file(&from).is_ok_and(|seen| fits(&seen))
                    && fs::hard_link(from, &path).is_ok()
            });
            if !linked {
                let handle = write_file(&path, file, user, group)?;
                if written.len() < UNSYNCED_MAX {
                    written.push((path, handle));
                } else {
                    handle.sync_all().map_err(failed("sync", &path))?;
                }
            }
        }
        for name in there.keys() {
            let path = folder.join(name);
            fs::remove_file(&path).map_err(failed("remove", &path))?;
        }
        Ok(Staged { number, folder, written })
    }

    /// The folder to stage in: the spare one with what is in it, else an empty one.
    fn unpack_spare(&self, folder: &Path) -> Result<BTreeMap<String, Seen>, GenerationError> {
        if fs::rename(self.spare(), folder).is_ok() {
            if let Ok(there) = self.known.look(folder) {
                return Ok(there);
            }
            // Somebody put something there that is no file of ours.
            fs::remove_dir_all(folder).map_err(failed("remove", folder))?;
        }
        fs::create_dir(folder).map_err(failed("create", folder))?;
        Ok(BTreeMap::new())
    }

    fn spare(&self) -> PathBuf {
        self.folder.join("spare")
    }

    /// Puts staged files in force. `meta` needs index, reason and marks only. [`Self::sync`] and
    /// [`Self::prune`] are still to be called.
    ///
    /// # Errors
    /// The disk refuses; what was in force stays in force.
    pub fn publish(
        &self,
        staged: Staged,
        files: &Files,
        meta: Meta,
    ) -> Result<u64, GenerationError> {
        let number = staged.number;
        let of_file = |file: &File| FileMeta {
            sha256: hash(&file.content),
            mode: file.mode,
            secret: file.secret,
        };
        let time = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let files = files.iter().map(|(name, file)| (name.clone(), of_file(file))).collect();
        let meta = Meta { number, time, files, ..meta };
        let path = self.meta_path(number);
        let text = serde_json::to_vec_pretty(&meta)
            .map_err(|error| failed("write", &path)(io::Error::other(error)))?;
        rename_into(&path, &text, 0o600)?;
        self.known.wrote(&path, meta);
        let folder = self.folder.join(number.to_string());
        fs::rename(&staged.folder, &folder).map_err(failed("finish", &folder))?;
        for (path, written) in &staged.written {
            written.sync_all().map_err(failed("sync", path))?;
        }
        sync_folder(&folder)?;
        sync_folder(&self.folder)?;
        self.show(&folder)?;
        Ok(number)
    }

    /// Waits until what describes a generation, and that it is in force, is on the disk.
    ///
    /// # Errors
    /// The disk refuses; after a power failure another whole generation may be in force.
    pub fn sync(&self, number: u64) -> Result<(), GenerationError> {
        let path = self.meta_path(number);
        // This order waits for the disk once: the first sync takes what the second is for along.
        Handle::open(&path).and_then(|file| file.sync_all()).map_err(failed("sync", &path))?;
        self.sync_link()
    }

    /// Puts an older generation back in force.
    ///
    /// # Errors
    /// It is not there any more, or the disk refuses.
    pub fn roll_back(&self, number: u64) -> Result<(), GenerationError> {
        let folder = self.folder.join(number.to_string());
        fs::metadata(&folder).map_err(failed("roll back to", &folder))?;
        self.show(&folder)?;
        self.sync_link()
    }

    /// Whether the files of a generation are what its description says.
    ///
    /// # Errors
    /// They are not: a power failure or a hand changed them.
    pub fn intact(&self, number: u64) -> Result<(), GenerationError> {
        let folder = self.folder.join(number.to_string());
        let told = self.difference(number).join(", ");
        match told.is_empty() {
            true => Ok(()),
            false => Err(failed("use", &folder)(io::Error::other(told))),
        }
    }

    /// The generation before the one in force.
    pub fn previous(&self) -> Option<u64> {
        let current = self.current()?;
        self.numbers().into_iter().rfind(|number| *number < current)
    }

    /// Removes what an interrupted commit left.
    pub fn clean(&self) {
        for entry in fs::read_dir(&self.folder).into_iter().flatten().flatten() {
            let name = entry.file_name();
            let Some(name) = name.to_str() else { continue };
            let path = entry.path();
            if name.ends_with(".staging") {
                let _ = fs::remove_dir_all(&path);
            } else if let Some(number) = name.strip_suffix(".json")
                && !self.folder.join(number).is_dir()
            {
                let _ = fs::remove_file(&path);
            } else if name.ends_with(".tmp") {
                let _ = fs::remove_file(&path);
            }
        }
    }

    fn sync_link(&self) -> Result<(), GenerationError> {
        sync_folder(self.link.parent().unwrap_or(Path::new(".")))
    }

    /// Replaces the link; its folder is still to be synced.
    fn show(&self, folder: &Path) -> Result<(), GenerationError> {
        if self.link.is_dir() && !self.link.is_symlink() {
            let error = io::Error::other("it is a folder; move it away");
            return Err(failed("replace", &self.link)(error));
        }
        let mut staged = self.link.clone().into_os_string();
        staged.push(".next");
        let staged = PathBuf::from(staged);
        let _ = fs::remove_file(&staged);
        let target = relative(&self.link, folder);
        symlink(&target, &staged).map_err(failed("link", &staged))?;
        fs::rename(&staged, &self.link).map_err(failed("replace", &self.link))
    }

    /// Generation numbers on disk, ascending.
    pub fn numbers(&self) -> Vec<u64> {
        let Ok(entries) = fs::read_dir(&self.folder) else { return Vec::new() };
        let mut numbers: Vec<u64> = entries
            .flatten()
            .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
            .collect();
        numbers.sort_unstable();
        numbers
    }

    /// Removes generations that are kept no longer, and not those in force, good, or newest.
    pub fn prune(&self, newest: u64) {
        let (numbers, kept) = (self.numbers(), [Some(newest), self.good(), self.current()]);
        let surplus = numbers.len().saturating_sub(self.keep);
        let needed = |number: &u64| kept.contains(&Some(*number));
        for number in numbers.into_iter().take(surplus).filter(|number| !needed(number)) {
            // Old secrets are not kept for their folder's sake.
            let meta = self.meta(number);
            let useful = meta.is_some_and(|meta| {
                meta.files.len() >= SHARED_MIN && meta.files.values().all(|file| !file.secret)
            });
            let reused = useful && !self.spare().exists();
            let garbage = self.folder.join(format!("{number}.staging"));
            let aside = if reused { self.spare() } else { garbage };
            // An old generation that stays is harmless; the next commit tries again.
            if fs::rename(self.folder.join(number.to_string()), &aside).is_ok() {
                if !reused {
                    let _ = fs::remove_dir_all(aside);
                }
                let _ = fs::remove_file(self.meta_path(number));
            }
        }
    }
}

/// The target of a link beside or above `folder`, relative where that is simple, so that the
/// whole tree can be moved.
fn relative(link: &Path, folder: &Path) -> PathBuf {
    let base = link.parent().unwrap_or(Path::new(""));
    folder.strip_prefix(base).unwrap_or(folder).to_owned()
}

fn read_folder(folder: &Path) -> Result<Files, GenerationError> {
    let mut files = Files::new();
    for (name, meta) in known::list(folder)? {
        let path = folder.join(&name);
        let content = known::read(&path)?;
        let mode = meta.permissions().mode() & 0o7777;
        files.insert(name, File { content, mode, ..File::default() });
    }
    Ok(files)
}

#[cfg(test)]
mod tests;
