//! A unit's rendered files, in numbered folders, with one link to the one in force.
//!
//! ```text
//! UNIT/generations/1/{core-site.xml,hdfs-site.xml}
//! UNIT/generations/2/...
//! UNIT/conf -> generations/2
//! ```
//! A folder is written whole before the link is swapped by one rename, so a reader sees all files
//! of one generation or all of another. What is in force is read from the disk, never remembered.
//! Files are not synced: after a power failure the next start compares and writes them again.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, symlink};
use std::path::{Path, PathBuf};

/// File contents by name.
pub type Files = BTreeMap<String, String>;

/// Generations kept for a look back (and, later, for a way back).
const KEPT: usize = 5;

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

/// The generations of one unit.
#[derive(Debug, Clone)]
pub struct Generations {
    folder: PathBuf,
    link: PathBuf,
}

impl Generations {
    /// Generations below `unit/generations`, with `link` pointing at the one in force.
    pub fn new(unit: &Path, link: impl Into<PathBuf>) -> Self {
        Self { folder: unit.join("generations"), link: link.into() }
    }

    /// The path that always shows the generation in force.
    pub fn link(&self) -> &Path {
        &self.link
    }

    /// The number of the generation in force, if any.
    pub fn current(&self) -> Option<u64> {
        fs::read_link(&self.link).ok()?.file_name()?.to_str()?.parse().ok()
    }

    /// Whether exactly these files are in force, byte for byte.
    pub fn holds(&self, files: &Files) -> bool {
        self.current().is_some() && read_folder(&self.link).is_ok_and(|on_disk| on_disk == *files)
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
        let numbers = self.numbers();
        let number = numbers.last().copied().max(self.current()).unwrap_or(0) + 1;
        let folder = self.folder.join(number.to_string());
        fs::create_dir_all(&folder).map_err(failed("create", &folder))?;
        for (name, text) in files {
            write_file(&folder.join(name), text)?;
        }
        self.swap(&folder)?;
        self.prune(number);
        Ok(true)
    }

    fn swap(&self, folder: &Path) -> Result<(), GenerationError> {
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
    fn numbers(&self) -> Vec<u64> {
        let Ok(entries) = fs::read_dir(&self.folder) else { return Vec::new() };
        let mut numbers: Vec<u64> = entries
            .flatten()
            .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
            .collect();
        numbers.sort_unstable();
        numbers
    }

    fn prune(&self, newest: u64) {
        let numbers = self.numbers();
        let surplus = numbers.len().saturating_sub(KEPT);
        for number in numbers.into_iter().take(surplus).filter(|number| *number != newest) {
            // An old generation that stays is harmless; the next commit tries again.
            let _ = fs::remove_dir_all(self.folder.join(number.to_string()));
        }
    }
}

/// The target of a link beside or above `folder`, relative where that is simple, so that the
/// whole tree can be moved.
fn relative(link: &Path, folder: &Path) -> PathBuf {
    let base = link.parent().unwrap_or(Path::new(""));
    folder.strip_prefix(base).unwrap_or(folder).to_owned()
}

fn write_file(path: &Path, text: &str) -> Result<(), GenerationError> {
    let mut options = fs::OpenOptions::new();
    let mut file = options
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o644)
        .open(path)
        .map_err(failed("create", path))?;
    file.write_all(text.as_bytes()).map_err(failed("write", path))
}

fn read_folder(folder: &Path) -> io::Result<Files> {
    let mut files = Files::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name().into_string().map_err(|_| io::Error::other("odd name"))?;
        files.insert(name, fs::read_to_string(entry.path())?);
    }
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(entries: &[(&str, &str)]) -> Files {
        entries.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect()
    }

    #[test]
    fn one_swap_per_change() {
        let root = tempfile::tempdir().unwrap();
        let generations = Generations::new(root.path(), root.path().join("conf"));
        assert_eq!(generations.current(), None);
        assert!(generations.commit(&files(&[("a.xml", "1"), ("b.xml", "1")])).unwrap());
        assert_eq!(generations.current(), Some(1));
        assert!(!generations.commit(&files(&[("a.xml", "1"), ("b.xml", "1")])).unwrap());
        assert!(generations.commit(&files(&[("a.xml", "2")])).unwrap());
        assert_eq!(generations.current(), Some(2));
        let conf = root.path().join("conf");
        assert_eq!(fs::read_to_string(conf.join("a.xml")).unwrap(), "2");
        assert!(!conf.join("b.xml").exists(), "a file nobody wants any more is gone");
        assert_eq!(fs::read_link(&conf).unwrap(), Path::new("generations/2"));
    }

    #[test]
    fn a_hand_edit_is_seen_and_repaired() {
        let root = tempfile::tempdir().unwrap();
        let generations = Generations::new(root.path(), root.path().join("conf"));
        let wanted = files(&[("a.xml", "1")]);
        generations.commit(&wanted).unwrap();
        fs::write(root.path().join("conf/a.xml"), "edited").unwrap();
        assert!(!generations.holds(&wanted));
        assert!(generations.commit(&wanted).unwrap());
        assert!(generations.holds(&wanted));
    }

    #[test]
    fn old_generations_go() {
        let root = tempfile::tempdir().unwrap();
        let generations = Generations::new(root.path(), root.path().join("conf"));
        for number in 0..9 {
            generations.commit(&files(&[("a.xml", &number.to_string())])).unwrap();
        }
        assert_eq!(generations.numbers(), [5, 6, 7, 8, 9]);
    }

    #[test]
    fn never_replaces_a_folder_of_the_user() {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir(root.path().join("conf")).unwrap();
        let generations = Generations::new(root.path(), root.path().join("conf"));
        let error = generations.commit(&files(&[("a.xml", "1")])).unwrap_err().to_string();
        assert!(error.contains("move it away"), "{error}");
    }
}
