//! One agent per folder: an advisory lock that the system drops with the process.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};

/// Why the lock is not ours.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Another process has it.
    #[error(
        "{} is in use by another howdah (process {holder}); stop it, or pass another folder",
        folder.display()
    )]
    Held {
        /// The folder it guards.
        folder: PathBuf,
        /// The process id the holder left, or `?`.
        holder: String,
    },
    /// The system refused.
    #[error("cannot lock {}: {source}", path.display())]
    Failed {
        /// The lock file.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
}

/// Holds the lock while it lives.
#[derive(Debug)]
pub struct Lock {
    _file: Flock<File>,
}

/// Says whether somebody holds the lock, writing nothing.
///
/// # Errors
/// `Held`. A lock file that does not exist or cannot be opened is nobody's.
pub fn check(path: &Path) -> Result<(), LockError> {
    match OpenOptions::new().read(true).open(path) {
        Ok(file) => take(path, file).map(drop),
        Err(_) => Ok(()),
    }
}

/// Takes the lock and leaves the process id in the file for people to read.
///
/// # Errors
/// Somebody holds it, or the file cannot be made.
pub fn acquire(path: &Path) -> Result<Lock, LockError> {
    let failed = |source| LockError::Failed { path: path.to_owned(), source };
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(path)
        .map_err(failed)?;
    let mut file = take(path, file)?;
    file.set_len(0).map_err(failed)?;
    writeln!(file, "{}", std::process::id()).map_err(failed)?;
    Ok(Lock { _file: file })
}

fn take(path: &Path, file: File) -> Result<Flock<File>, LockError> {
    Flock::lock(file, FlockArg::LockExclusiveNonblock).map_err(|(_, errno)| match errno {
        Errno::EWOULDBLOCK => LockError::Held {
            folder: path.parent().unwrap_or(path).to_owned(),
            holder: fs::read_to_string(path)
                .ok()
                .map(|text| text.trim().to_owned())
                .filter(|text| !text.is_empty())
                .unwrap_or_else(|| "?".to_owned()),
        },
        errno => LockError::Failed { path: path.to_owned(), source: errno.into() },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_holder_at_a_time() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("lock");
        check(&path).unwrap();
        assert!(!path.exists(), "a check writes nothing");
        let lock = acquire(&path).unwrap();
        let error = acquire(&path).unwrap_err().to_string();
        assert!(error.contains(&format!("process {}", std::process::id())), "{error}");
        assert!(check(&path).is_err());
        drop(lock);
        check(&path).unwrap();
        acquire(&path).unwrap();
    }
}
