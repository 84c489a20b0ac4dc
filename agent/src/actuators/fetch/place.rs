//! Where a component goes: `TO` itself, and beside it `.NAME.fetch/`, in which it is made ready.
//!
//! `.NAME.fetch/` holds `lock` (one agent at a time), `part` (the download), `tree` (what was
//! unpacked, later what was replaced). Only what howdah put there is ever replaced: a folder has
//! the marker `.howdah-fetch` inside, a file has `.NAME.howdah-fetch` beside it. A marker's text is
//! the checksum and the number of stripped parts.

use std::fs::{self, File, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{CWD, RenameFlags, renameat_with};

use super::digest;
use crate::actuators::durable;
use crate::actuators::lock::{self, Lock, LockError};
use crate::config::Fetch;

/// Between two looks whether another agent is ready with the same component.
const LOCK_POLL: Duration = Duration::from_millis(200);

/// The marker inside a folder.
const MARKER: &str = ".howdah-fetch";

/// Longest marker.
const MARKER_BYTES_MAX: u64 = 1024;

/// The paths of one component.
#[derive(Debug, Clone)]
pub(super) struct Place {
    to: PathBuf,
    work: PathBuf,
    marker: PathBuf,
    mark: String,
    unpack: bool,
}

/// What is at the place now.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum There {
    /// What is wanted.
    Wanted,
    /// Nothing, or something of howdah's that can be replaced.
    Free,
}

impl Place {
    pub(super) fn new(fetch: &Fetch) -> Result<Self, String> {
        let name = fetch.to.file_name().and_then(|name| name.to_str());
        let (Some(name), Some(parent)) = (name, fetch.to.parent()) else {
            return Err(format!("{} is no place for a component", fetch.to.display()));
        };
        let marker = match fetch.unpack {
            true => fetch.to.join(MARKER),
            false => parent.join(format!(".{name}{MARKER}")),
        };
        Ok(Self {
            work: parent.join(format!(".{name}.fetch")),
            marker,
            mark: format!("{} strip {}\n", fetch.checksum, fetch.strip),
            to: fetch.to.clone(),
            unpack: fetch.unpack,
        })
    }

    pub(super) fn part(&self) -> PathBuf {
        self.work.join("part")
    }

    pub(super) fn tree(&self) -> PathBuf {
        self.work.join("tree")
    }

    /// Looks at what is there; what is not howdah's is refused.
    pub(super) fn look(&self, fetch: &Fetch) -> Result<There, String> {
        let failed = |error: io::Error| format!("{}: {error}", self.to.display());
        let about = match fs::symlink_metadata(&self.to) {
            Ok(about) => about,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(There::Free),
            Err(error) => return Err(failed(error)),
        };
        let foreign = || {
            let to = self.to.display();
            format!("{to} is there and was not put there by howdah; remove it, or fetch elsewhere")
        };
        let marked = self.marked().map_err(failed)?;
        match (self.unpack, about.is_dir(), about.is_file()) {
            (true, true, _) => match marked {
                Some(mark) if mark == self.mark => Ok(There::Wanted),
                Some(_) => Ok(There::Free),
                None if is_empty(&self.to).map_err(failed)? => Ok(There::Free),
                None => Err(foreign()),
            },
            (false, _, true) => {
                let found = digest::of_file(&self.to, &fetch.checksum).map_err(failed)?;
                match (found == fetch.checksum, marked) {
                    (true, _) => Ok(There::Wanted),
                    (false, Some(_)) => Ok(There::Free),
                    (false, None) => Err(foreign()),
                }
            }
            _ => Err(foreign()),
        }
    }

    fn marked(&self) -> io::Result<Option<String>> {
        match fs::metadata(&self.marker) {
            Ok(about) if about.len() > MARKER_BYTES_MAX => Ok(Some(String::new())),
            Ok(_) => fs::read_to_string(&self.marker).map(Some),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Makes the folder beside it and waits until nobody else works in it.
    pub(super) fn lock(&self, stop: &dyn Fn() -> bool) -> Result<Lock, String> {
        fs::create_dir_all(&self.work)
            .map_err(|error| format!("cannot create {}: {error}", self.work.display()))?;
        loop {
            match lock::acquire(&self.work.join("lock")) {
                Err(LockError::Held { .. }) if !stop() => std::thread::sleep(LOCK_POLL),
                taken => return taken.map_err(|error| error.to_string()),
            }
        }
    }

    /// Removes what an interrupted try left.
    pub(super) fn clean(&self) -> Result<(), String> {
        let failed = |error: io::Error| format!("cannot clean {}: {error}", self.work.display());
        remove(&self.part()).map_err(failed)?;
        remove(&self.tree()).map_err(failed)
    }

    /// Puts the unpacked folder in its place at once.
    pub(super) fn put_folder(&self) -> io::Result<()> {
        let tree = self.tree();
        durable::write(&tree.join(MARKER), self.mark.as_bytes(), 0o644)?;
        sync_all(&tree)?;
        if let Err(error) = fs::rename(&tree, &self.to) {
            if !self.to.is_dir() {
                return Err(error);
            }
            // Both names change at once, so that there is always a whole one.
            renameat_with(CWD, &tree, CWD, &self.to, RenameFlags::EXCHANGE)?;
        }
        sync_folder(&self.to)
    }

    /// Puts the download itself in its place at once.
    pub(super) fn put_file(&self, mode: u32) -> io::Result<()> {
        let part = self.part();
        let file = File::open(&part)?;
        file.set_permissions(Permissions::from_mode(mode))?;
        file.sync_all()?;
        durable::write(&self.marker, self.mark.as_bytes(), 0o644)?;
        fs::rename(&part, &self.to)?;
        sync_folder(&self.to)
    }
}

/// Syncs the folder that a path stands in.
fn sync_folder(path: &Path) -> io::Result<()> {
    File::open(path.parent().unwrap_or(Path::new("/")))?.sync_all()
}

/// Syncs the file system at once: one wait instead of one for each of thousands of files.
fn sync_all(path: &Path) -> io::Result<()> {
    Ok(rustix::fs::syncfs(File::open(path)?)?)
}

fn is_empty(folder: &Path) -> io::Result<bool> {
    Ok(fs::read_dir(folder)?.next().is_none())
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::symlink_metadata(path) {
        Ok(about) if about.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}
