//! The store of `dev`: a folder, one file per key.
//!
//! `DIR/kv/conf/hdfs/hdfs-site.xml/dfs.replication` holds the value of the key of that path. A
//! line break at the end of a file is not part of the value, since editors add one. Names that
//! editors use while saving (`.x.swp`, `x~`, `#x#`) are not keys. Nothing here writes.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::{fs, io};

use notify::Watcher as _;

use super::{Entry, KEYS_MAX, Snapshot, VALUE_BYTES_MAX};

/// Deepest nesting of folders below the root; a link that points upwards ends here.
const DEPTH_MAX: usize = 16;

/// Why the store cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The system refused.
    #[error("cannot read the config store at {path}: {source}")]
    Read {
        /// The file or folder.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// Something that is not a text value.
    #[error("{path}: {what}")]
    Value {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        what: String,
    },
}

/// A folder of keys.
#[derive(Debug, Clone)]
pub struct FileStore {
    root: PathBuf,
}

impl FileStore {
    /// The store below `root`, which need not exist yet: no folder, no keys.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// Where the value of a key stands.
    pub fn path_of(&self, key: &str) -> PathBuf {
        self.root.join(key)
    }

    /// Every key and value.
    ///
    /// # Errors
    /// A file that cannot be read or is no text within the bounds. A file that vanishes while
    /// reading is simply absent.
    pub fn read(&self) -> Result<Snapshot, StoreError> {
        let mut bytes = BTreeMap::new();
        self.read_folder(&self.root, "", 0, &mut bytes)?;
        let text = |(key, value): (String, Vec<u8>)| match String::from_utf8(value) {
            Ok(value) => Ok((key, value)),
            Err(_) => Err(StoreError::Value {
                path: self.path_of(&key),
                what: "the value is not UTF-8 text".to_owned(),
            }),
        };
        bytes.into_iter().map(text).collect()
    }

    /// Every key, with values of any bytes, as entries of the store's index `modified`.
    ///
    /// # Errors
    /// As [`FileStore::read`], but for the text.
    pub fn entries(&self, modified: u64) -> Result<BTreeMap<String, Entry>, StoreError> {
        let mut bytes = BTreeMap::new();
        self.read_folder(&self.root, "", 0, &mut bytes)?;
        let entry = |(key, value)| (key, Entry { value, flags: 0, modified });
        Ok(bytes.into_iter().map(entry).collect())
    }

    fn read_folder(
        &self,
        folder: &Path,
        prefix: &str,
        depth: usize,
        snapshot: &mut BTreeMap<String, Vec<u8>>,
    ) -> Result<(), StoreError> {
        if depth > DEPTH_MAX {
            return Err(StoreError::Value {
                path: folder.to_owned(),
                what: format!("folders nest deeper than {DEPTH_MAX}; is a link pointing upwards?"),
            });
        }
        let entries = match fs::read_dir(folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(source) => return Err(StoreError::Read { path: folder.to_owned(), source }),
        };
        for entry in entries {
            let entry =
                entry.map_err(|source| StoreError::Read { path: folder.to_owned(), source })?;
            let path = entry.path();
            let Some(name) = entry.file_name().to_str().map(str::to_owned) else {
                let what = "the name is not UTF-8; rename or remove it".to_owned();
                return Err(StoreError::Value { path, what });
            };
            if is_scratch(&name) {
                continue;
            }
            let key = if prefix.is_empty() { name } else { format!("{prefix}/{name}") };
            // Follows links: a Kubernetes-style mounted folder is full of them.
            match fs::metadata(&path) {
                Ok(metadata) if metadata.is_dir() => {
                    self.read_folder(&path, &key, depth + 1, snapshot)?;
                }
                Ok(_) => {
                    if let Some(value) = read_value(&path)? {
                        snapshot.insert(key, value);
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(source) => return Err(StoreError::Read { path, source }),
            }
            if snapshot.len() > KEYS_MAX {
                let what = format!("more than {KEYS_MAX} keys; is this the right folder?");
                return Err(StoreError::Value { path: self.root.clone(), what });
            }
        }
        Ok(())
    }

    /// Calls `changed` after anything below the root changed, from a thread of its own, until
    /// the returned guard is dropped. Calls may be spurious, and a few edits may share one.
    ///
    /// # Errors
    /// The system's watches are used up, or the root does not exist.
    pub fn watch(&self, changed: impl Fn() + Send + 'static) -> Result<Watch, notify::Error> {
        let mut watcher =
            notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
                // Reading the store is an access too; only changes count, or every read would
                // cause the next one. An error may have swallowed a change.
                if event.map_or(true, |event| !matches!(event.kind, notify::EventKind::Access(_))) {
                    changed();
                }
            })?;
        watcher.watch(&self.root, notify::RecursiveMode::Recursive)?;
        Ok(Watch { _watcher: watcher })
    }
}

/// Keeps a watch alive.
pub struct Watch {
    _watcher: notify::RecommendedWatcher,
}

fn is_scratch(name: &str) -> bool {
    name.starts_with(['.', '#']) || name.ends_with('~') || name.ends_with(".tmp")
}

/// The value, or nothing when the file vanished.
fn read_value(path: &Path) -> Result<Option<Vec<u8>>, StoreError> {
    let failed = |source| StoreError::Read { path: path.to_owned(), source };
    let mut file = match fs::File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(failed(source)),
    };
    let mut bytes = Vec::new();
    let limit = VALUE_BYTES_MAX as u64 + 1;
    io::Read::by_ref(&mut file).take(limit).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() > VALUE_BYTES_MAX {
        let what = format!("the value is longer than {VALUE_BYTES_MAX} bytes");
        return Err(StoreError::Value { path: path.to_owned(), what });
    }
    if bytes.ends_with(b"\n") && std::str::from_utf8(&bytes).is_ok() {
        bytes.pop();
        if bytes.ends_with(b"\r") {
            bytes.pop();
        }
    }
    Ok(Some(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(root: &Path, key: &str, value: &[u8]) {
        let path = root.join(key);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, value).unwrap();
    }

    #[test]
    fn one_file_per_key() {
        let root = tempfile::tempdir().unwrap();
        put(root.path(), "conf/hdfs/hdfs-site.xml/dfs.replication", b"2\n");
        put(root.path(), "conf/hdfs/@datanode/hdfs-site.xml/a", b" b \r\n");
        put(root.path(), "conf/hdfs/hdfs-site.xml/.dfs.replication.swp", b"junk");
        put(root.path(), "conf/hdfs/hdfs-site.xml/dfs.replication~", b"3");
        let snapshot = FileStore::new(root.path()).read().unwrap();
        let expected: Snapshot = [
            ("conf/hdfs/hdfs-site.xml/dfs.replication", "2"),
            ("conf/hdfs/@datanode/hdfs-site.xml/a", " b "),
        ]
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .into();
        assert_eq!(snapshot, expected);
    }

    #[test]
    fn no_folder_no_keys() {
        assert!(FileStore::new("/nonexistent/howdah").read().unwrap().is_empty());
    }

    #[test]
    fn refuses_what_is_no_text_and_names_the_file() {
        let root = tempfile::tempdir().unwrap();
        put(root.path(), "conf/k", &[0xff, 0xfe]);
        let error = FileStore::new(root.path()).read().unwrap_err().to_string();
        assert!(error.contains("conf/k") && error.contains("UTF-8"), "{error}");
        put(root.path(), "conf/k", &vec![b'x'; VALUE_BYTES_MAX + 1]);
        let error = FileStore::new(root.path()).read().unwrap_err().to_string();
        assert!(error.contains("longer than 524288"), "{error}");
    }

    #[test]
    fn a_link_upwards_ends() {
        let root = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink(root.path(), root.path().join("up")).unwrap();
        let error = FileStore::new(root.path()).read().unwrap_err().to_string();
        assert!(error.contains("deeper"), "{error}");
    }

    #[test]
    fn tells_of_a_change_in_a_new_folder() {
        let root = tempfile::tempdir().unwrap();
        let store = FileStore::new(root.path());
        let (sender, receiver) = std::sync::mpsc::sync_channel(64);
        let watch = store.watch(move || sender.try_send(()).unwrap_or(())).unwrap();
        put(root.path(), "a/b/c", b"1");
        loop {
            receiver.recv_timeout(std::time::Duration::from_secs(20)).expect("no change was told");
            if store.read().unwrap().contains_key("a/b/c") {
                break;
            }
        }
        drop(watch);
    }
}
