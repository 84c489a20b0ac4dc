//! A credential in a file that somebody else rewrites (Nomad, Vault, an operator): read again when
//! it changed. A file that vanishes leaves the last credential in use.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::SystemTime;

use super::Masked;

/// Longest credential taken; a JWT has a few kilobytes.
const TOKEN_BYTES_MAX: u64 = 64 * 1024;

/// The file, and what was last read of it.
#[derive(Debug)]
pub struct TokenFile {
    path: PathBuf,
    last: Mutex<Option<(Stamp, Masked)>>,
}

/// What changes when a file is rewritten or replaced.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Stamp {
    modified: Option<SystemTime>,
    length: u64,
    inode: u64,
}

impl TokenFile {
    /// Nothing is read yet.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), last: Mutex::new(None) }
    }

    /// The path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The credential as it is now, without white space around it.
    ///
    /// # Errors
    /// One line that names the file, if it cannot be read and never could be.
    pub fn read(&self) -> Result<Masked, String> {
        let mut last = self.last.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        match (self.look(last.as_ref()), &*last) {
            (Ok(Some(fresh)), _) => {
                let token = fresh.1.clone();
                *last = Some(fresh);
                Ok(token)
            }
            (Ok(None) | Err(_), Some((_, token))) => Ok(token.clone()),
            (Err(error), None) => Err(error),
            (Ok(None), None) => Err(format!("{}: nothing was read", self.path.display())),
        }
    }

    /// What is in it if it changed since.
    fn look(&self, last: Option<&(Stamp, Masked)>) -> Result<Option<(Stamp, Masked)>, String> {
        use std::os::unix::fs::MetadataExt as _;
        let say = |what: String| format!("{}: {what}", self.path.display());
        let meta = fs::metadata(&self.path).map_err(|error| say(error.to_string()))?;
        let stamp = Stamp { modified: meta.modified().ok(), length: meta.len(), inode: meta.ino() };
        if last.is_some_and(|(known, _)| *known == stamp) {
            return Ok(None);
        }
        if meta.len() > TOKEN_BYTES_MAX {
            return Err(say(format!("{} bytes are too long for a token", meta.len())));
        }
        let text = fs::read_to_string(&self.path).map_err(|error| say(error.to_string()))?;
        let text = zeroize::Zeroizing::new(text);
        // A file being rewritten is empty for a moment.
        if text.trim().is_empty() {
            return Err(say("empty".to_owned()));
        }
        Ok(Some((stamp, Masked::new(text.trim()))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn read_again_on_change_and_kept_when_gone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        let file = TokenFile::new(&path);
        assert!(file.read().unwrap_err().contains("token: No such file"));
        fs::write(&path, "one\n").unwrap();
        assert_eq!(file.read().unwrap().expose(), "one");
        fs::write(&path, "second").unwrap();
        assert_eq!(file.read().unwrap().expose(), "second");
        fs::write(&path, "").unwrap();
        assert_eq!(file.read().unwrap().expose(), "second");
        fs::remove_file(&path).unwrap();
        assert_eq!(file.read().unwrap().expose(), "second");
    }
}
