//! All name folders of a namenode at once: formatting, identity, and what lies in them.

use std::collections::BTreeSet;
use std::io::{self, Write};
use std::sync::Arc;

use super::error::StorageError;
use super::names::{CURRENT, FileName, SEEN_TXID_PATH, VERSION_PATH};
use super::properties::PROPERTIES_LENGTH_MAX;
use super::version::NamenodeVersion;
use crate::disk::{Disk, DiskLock, write_atomic};
use crate::image::{ImageDigest, ImageError};

/// Bytes of a seen_txid file: digits and a line end.
const SEEN_TXID_LENGTH_MAX: u64 = 64;

/// Room for operations is made in steps of this many bytes, so that a sync of operations need not
/// write the file's length as well.
const ROOM: u64 = 1 << 20;

/// The name folders, all with the same content. Cloning is cheap.
#[derive(Clone)]
pub struct NameFolders {
    disks: Vec<Arc<dyn Disk>>,
    /// Bytes by which open segments grow.
    pub(super) room: u64,
}

impl std::fmt::Debug for NameFolders {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(&self.labels())
    }
}

/// An error of one folder.
pub(super) fn failed<'d, A: Into<String>>(
    disk: &'d dyn Disk,
    attempt: A,
) -> impl FnOnce(io::Error) -> StorageError + use<'d, A> {
    let attempt = attempt.into();
    move |source| StorageError::Io { attempt, folder: disk.label().to_owned(), source }
}

impl NameFolders {
    /// These folders.
    ///
    /// # Panics
    /// Without any: a namenode has at least one.
    pub fn new(disks: Vec<Arc<dyn Disk>>) -> Self {
        assert!(!disks.is_empty(), "a namenode has at least one name folder");
        Self { disks, room: ROOM }
    }

    /// The folders themselves.
    pub fn disks(&self) -> &[Arc<dyn Disk>] {
        &self.disks
    }

    pub(super) fn labels(&self) -> String {
        let labels: Vec<_> = self.disks.iter().map(|disk| disk.label()).collect();
        labels.join(", ")
    }

    /// Takes the lock of every folder; keep them for as long as the folders are used.
    ///
    /// # Errors
    /// A folder that another process holds.
    pub fn lock(&self) -> Result<Vec<Box<dyn DiskLock>>, StorageError> {
        let lock = |disk: &Arc<dyn Disk>| disk.lock().map_err(failed(&**disk, "take the lock"));
        self.disks.iter().map(lock).collect()
    }

    /// Whether any folder holds a namespace.
    ///
    /// # Errors
    /// The disk's.
    pub fn is_formatted(&self) -> Result<bool, StorageError> {
        for disk in &self.disks {
            if disk.exists(VERSION_PATH).map_err(failed(&**disk, "look for VERSION"))? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Destroys whatever is there and begins a namespace. `write` gives the image of transaction 0;
    /// `now_ms` (since 1970) is the date in VERSION.
    ///
    /// # Errors
    /// The disk's, and those of writing the image.
    pub fn format(
        &self,
        version: &NamenodeVersion,
        now_ms: u64,
        write: impl FnOnce(&mut dyn Write) -> Result<ImageDigest, ImageError>,
    ) -> Result<(), StorageError> {
        for disk in &self.disks {
            clear(&**disk)?;
        }
        self.save_image(0, write)?;
        self.write_seen_txid(0)?;
        for disk in &self.disks {
            identify(&**disk, version, now_ms)?;
        }
        Ok(())
    }

    /// Destroys whatever is there and makes the folders those of a namespace whose image and
    /// segments come from elsewhere.
    ///
    /// # Errors
    /// The disk's.
    pub fn adopt(&self, version: &NamenodeVersion, now_ms: u64) -> Result<(), StorageError> {
        for disk in &self.disks {
            clear(&**disk)?;
        }
        self.disks.iter().try_for_each(|disk| identify(&**disk, version, now_ms))
    }

    /// Says in every folder that a segment from `txid` on has begun.
    pub(super) fn write_seen_txid(&self, txid: u64) -> Result<(), StorageError> {
        let text = format!("{txid}\n");
        for disk in &self.disks {
            write_atomic(&**disk, SEEN_TXID_PATH, text.as_bytes())
                .map_err(failed(&**disk, "write seen_txid"))?;
        }
        Ok(())
    }

    /// The largest seen_txid of all folders. A folder whose file is missing or damaged says
    /// nothing.
    pub(super) fn seen_txid(&self, notes: &mut Vec<String>) -> u64 {
        let mut seen = 0;
        for disk in &self.disks {
            let text = disk.read(SEEN_TXID_PATH, SEEN_TXID_LENGTH_MAX).ok();
            let text = text.and_then(|bytes| String::from_utf8(bytes).ok());
            match text.and_then(|text| text.trim_end().parse().ok()) {
                Some(txid) => seen = seen.max(txid),
                None => notes.push(format!("name folder {} has no good seen_txid", disk.label())),
            }
        }
        seen
    }

    /// What lies in one folder's `current`.
    pub(super) fn files(&self, folder: usize) -> Result<Vec<FileName>, StorageError> {
        files(&*self.disks[folder])
    }

    /// Transactions of all images, oldest first, whether good or not.
    ///
    /// # Errors
    /// The disk's.
    pub fn images(&self) -> Result<Vec<u64>, StorageError> {
        let mut images = BTreeSet::new();
        for disk in &self.disks {
            images.extend(files(&**disk)?.into_iter().filter_map(|name| match name {
                FileName::Image(txid) => Some(txid),
                _ => None,
            }));
        }
        Ok(images.into_iter().collect())
    }

    /// First and last transactions of all closed segments, oldest first.
    ///
    /// # Errors
    /// The disk's.
    pub fn closed_segments(&self) -> Result<Vec<(u64, u64)>, StorageError> {
        let mut segments = BTreeSet::new();
        for disk in &self.disks {
            segments.extend(files(&**disk)?.into_iter().filter_map(|name| match name {
                FileName::Finalized(first, last) => Some((first, last)),
                _ => None,
            }));
        }
        Ok(segments.into_iter().collect())
    }

    /// The identity that all formatted folders share. Folders that hold nothing are given it, which
    /// is noted.
    ///
    /// # Errors
    /// No folder is formatted, or they differ; and the disk's.
    pub fn version(
        &self,
        now_ms: u64,
        notes: &mut Vec<String>,
    ) -> Result<NamenodeVersion, StorageError> {
        let mut found: Option<(&Arc<dyn Disk>, NamenodeVersion)> = None;
        let mut fresh = Vec::new();
        for disk in &self.disks {
            let Some(version) = read_version(&**disk)? else {
                fresh.push(disk);
                continue;
            };
            match &found {
                None => found = Some((disk, version)),
                Some((_, first)) if *first == version => {}
                Some((first_disk, first)) => {
                    return Err(StorageError::Inconsistent {
                        first: first_disk.label().to_owned(),
                        first_is: first.storage_info(),
                        second: disk.label().to_owned(),
                        second_is: version.storage_info(),
                    });
                }
            }
        }
        let Some((_, version)) = found else {
            return Err(StorageError::NotFormatted { folders: self.labels() });
        };
        for disk in fresh {
            clear(&**disk)?;
            identify(&**disk, &version, now_ms)?;
            notes.push(format!("name folder {} was empty and joins the others", disk.label()));
        }
        Ok(version)
    }
}

fn files(disk: &dyn Disk) -> Result<Vec<FileName>, StorageError> {
    match disk.list(CURRENT) {
        Ok(entries) => {
            Ok(entries.iter().filter_map(|entry| FileName::parse(&entry.name)).collect())
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(failed(disk, "list current")(error)),
    }
}

/// Empties a folder: VERSION first, so that half of a namespace is never taken for one.
fn clear(disk: &dyn Disk) -> Result<(), StorageError> {
    let cleared = || {
        if disk.exists(VERSION_PATH)? {
            disk.remove_file(VERSION_PATH)?;
            disk.sync_folder(CURRENT)?;
        }
        disk.remove_folder(CURRENT)?;
        disk.sync_folder("")?;
        disk.create_folder(CURRENT)?;
        disk.sync_folder("")
    };
    cleared().map_err(failed(disk, "clear current"))
}

fn identify(disk: &dyn Disk, version: &NamenodeVersion, now_ms: u64) -> Result<(), StorageError> {
    write_atomic(disk, VERSION_PATH, version.print(now_ms).as_bytes())
        .map_err(failed(disk, "write VERSION"))
}

/// A folder's identity; `None` when it holds nothing. The image of an unfinished format is nothing.
fn read_version(disk: &dyn Disk) -> Result<Option<NamenodeVersion>, StorageError> {
    let folder = || disk.label().to_owned();
    match disk.read(VERSION_PATH, PROPERTIES_LENGTH_MAX) {
        Ok(bytes) => NamenodeVersion::parse(&bytes)
            .map(Some)
            .map_err(|source| StorageError::Version { folder: folder(), source }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let holds = |name: &FileName| {
                !matches!(
                    name,
                    FileName::Image(0) | FileName::ImageDigest(0) | FileName::Checkpoint(0)
                )
            };
            if files(disk)?.iter().any(holds) {
                return Err(StorageError::NoVersion { folder: folder() });
            }
            Ok(None)
        }
        Err(error) => Err(failed(disk, "read VERSION")(error)),
    }
}
