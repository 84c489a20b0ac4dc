//! The name folders while the namenode lives: loading them, the open segment, images.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Instant, UNIX_EPOCH};

use hdfs_core::namenode::{Identity, Namenode};
use hdfs_disk::disk::{Disk, DiskLock, TEMPORARY_SUFFIX};
use hdfs_disk::image::ImageReader;
use hdfs_disk::storage::{
    FileName, ImageFile, NAMENODE_LAYOUT, NameFolders, NamenodeVersion, OpenSegment, Recovered,
    Retention,
};
use hdfs_edge::config::Config;
use hdfs_edge::daemon::Failure;
use hdfs_edge::disk::LocalDisk;
use hdfs_edge::keys;
use parking_lot::Mutex;

use crate::format;
use crate::journal::Segment;
use crate::server::now;
use crate::settings::{self, Settings};

/// What a folder is opened for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// To be served: it must be there.
    Serve,
    /// To be formatted: it is created.
    Format,
}

/// Opens the disk of a name folder.
pub type DiskFactory = dyn Fn(&Path, Purpose) -> std::io::Result<Arc<dyn Disk>>;

/// Folders of this host.
///
/// # Errors
/// The file system's.
pub fn local_disk(folder: &Path, purpose: Purpose) -> std::io::Result<Arc<dyn Disk>> {
    if purpose == Purpose::Serve && !folder.try_exists()? {
        return Err(std::io::ErrorKind::NotFound.into());
    }
    Ok(Arc::new(LocalDisk::open(folder)?))
}

/// An error with all its causes in one line.
pub(crate) fn told(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}

fn user(error: impl std::error::Error + 'static) -> Failure {
    Failure::user(told(&error))
}

fn open_all(
    settings: &Settings,
    disks: &DiskFactory,
    purpose: Purpose,
) -> Result<NameFolders, Failure> {
    let key = keys::DFS_NAMENODE_NAME_DIR.name;
    let open = |folder: &PathBuf| {
        disks(folder, purpose).map_err(|error| {
            let folder = folder.display();
            Failure::user(match error.kind() {
                std::io::ErrorKind::NotFound => format!(
                    "name folder {folder} ({key}) does not exist; mount it, or make a new file \
                     system with namenode --format"
                ),
                _ => format!("name folder {folder} ({key}) cannot be used: {error}"),
            })
        })
    };
    let disks = settings.name_folders.iter().map(open).collect::<Result<Vec<_>, _>>()?;
    Ok(NameFolders::new(disks))
}

/// The name folders of a namenode at work.
pub(crate) struct Names {
    folders: NameFolders,
    version: NamenodeVersion,
    /// Let go at the very end.
    locks: Mutex<Vec<Box<dyn DiskLock>>>,
    /// The first folder, from which files are served.
    first: PathBuf,
    retention: Retention,
    /// Transaction of the newest image, and when it was made.
    image: Mutex<(u64, u64)>,
    /// First transaction of the open segment.
    segment: AtomicU64,
    /// One image is written at a time.
    saving: Arc<AtomicBool>,
}

impl Names {
    /// Locks and recovers the folders, loads the newest image, replays what came after, and opens
    /// a segment for what will come.
    ///
    /// # Errors
    /// Exit code 2: folders that are missing, locked, damaged, or of another layout.
    pub(crate) fn load(
        config: &Config,
        settings: &Settings,
        disks: &DiskFactory,
    ) -> Result<(Self, Namenode, OpenLog), Failure> {
        let began = Instant::now();
        let folders = open_all(settings, disks, Purpose::Serve)?;
        if !folders.is_formatted().map_err(user)? {
            let key = keys::DFS_NAMENODE_NAME_DIR.name;
            let message = "holds no file system; make one with namenode --format";
            return Err(Failure::user(format!("{key} {folders:?} {message}")));
        }
        let locks = folders.lock().map_err(user)?;
        let recovered = folders.recover(now()).map_err(user)?;
        for note in &recovered.notes {
            tracing::warn!("{note}");
        }
        let state = replay(config, &folders, &recovered)?;
        let first_txid = state.last_txid() + 1;
        let segment = folders.open_segment(first_txid).map_err(user)?;
        tracing::info!(
            image = recovered.image_txid,
            transactions = first_txid - 1,
            inodes = state.figures().inodes,
            millis = began.elapsed().as_millis(),
            "the namespace is loaded"
        );
        let first = settings.name_folders[0].join("current");
        let made = modified(&first.join(image_name(recovered.image_txid)));
        let names = Self {
            version: recovered.version.clone(),
            locks: Mutex::new(locks),
            first,
            retention: settings.retention,
            image: Mutex::new((recovered.image_txid, made)),
            segment: AtomicU64::new(first_txid),
            saving: Arc::default(),
            folders: folders.clone(),
        };
        Ok((names, state, OpenLog { folders, segment: Some(segment) }))
    }

    /// Makes an empty file system.
    ///
    /// # Errors
    /// Exit code 2: a file system that may not be lost, or folders that cannot be written.
    pub(crate) fn format(
        config: &Config,
        settings: &Settings,
        identity: &Identity,
        force: bool,
        disks: &DiskFactory,
    ) -> Result<(), Failure> {
        let folders = open_all(settings, disks, Purpose::Format)?;
        if !force && holds_something(&folders)? {
            return Err(Failure::user(format!(
                "{} {folders:?} holds a file system already; it is lost with --force",
                keys::DFS_NAMENODE_NAME_DIR.name
            )));
        }
        for disk in folders.disks() {
            disk.create_folder("").map_err(|error| {
                Failure::user(format!("name folder {} cannot be made: {error}", disk.label()))
            })?;
        }
        let _locks = folders.lock().map_err(user)?;
        let core = settings::core_config(config, identity.clone(), 0);
        let state = Namenode::new(core, identity.creation_time);
        let version = NamenodeVersion {
            namespace_id: identity.namespace_id,
            block_pool_id: identity.block_pool_id.clone(),
            cluster_id: identity.cluster_id.clone(),
            creation_time: identity.creation_time,
            layout: NAMENODE_LAYOUT,
        };
        let write = |out: &mut dyn Write| state.save(0, out).map(|(_, digest)| digest);
        folders.format(&version, identity.creation_time, write).map_err(user)
    }

    /// Lets the folders go.
    pub(crate) fn unlock(&self) {
        self.locks.lock().clear();
    }

    /// Transaction of the newest image.
    pub(crate) fn image_txid(&self) -> u64 {
        self.image.lock().0
    }

    /// When the newest image was made, in milliseconds since the epoch.
    pub(crate) fn image_time(&self) -> u64 {
        self.image.lock().1
    }

    /// First transaction of the open segment.
    pub(crate) fn segment_txid(&self) -> u64 {
        self.segment.load(Ordering::Relaxed)
    }

    /// A new segment is on disk.
    pub(crate) fn segment_opened(&self, first_txid: u64) {
        self.segment.store(first_txid, Ordering::Relaxed);
    }

    /// `layoutVersion:namespaceID:cTime:clusterID`.
    pub(crate) fn storage_info(&self) -> String {
        self.version.storage_info()
    }

    /// A file of the first folder.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.first.join(name)
    }

    /// The closed segments from a transaction on, as far as they follow each other.
    ///
    /// # Errors
    /// The disk's.
    pub(crate) fn closed_segments(&self, since: u64) -> Result<Vec<(u64, u64)>, String> {
        let all = self.folders.closed_segments().map_err(|error| told(&error))?;
        let mut found: Vec<(u64, u64)> = Vec::new();
        for (first, last) in all.into_iter().filter(|(first, _)| *first >= since) {
            if found.last().is_none_or(|(_, before)| before + 1 == first) {
                found.push((first, last));
            }
        }
        Ok(found)
    }

    /// The MD5 of an image, in hex.
    ///
    /// # Errors
    /// There is no such image.
    pub(crate) fn image_digest(&self, txid: u64) -> Result<String, String> {
        let digest = self.folders.image_digest(0, txid);
        let digest = digest.map_err(|reason| format!("image of transaction {txid}: {reason}"))?;
        Ok(hex(digest))
    }

    /// Writes an image of the namespace into every folder and removes what is not needed any more.
    ///
    /// # Errors
    /// The disk's, or that another image is being written.
    pub(crate) fn save_image(&self, state: &Namenode, txid: u64) -> Result<(), String> {
        let _turn = self.take_turn()?;
        self.folders
            .save_image(txid, |out| {
                let out = std::io::BufWriter::with_capacity(IMAGE_BUFFER_LENGTH, out);
                let (mut out, digest) = state.save(txid, out)?;
                out.flush()?;
                Ok(digest)
            })
            .map_err(|error| told(&error))?;
        self.image_saved(txid);
        Ok(())
    }

    fn image_saved(&self, txid: u64) {
        *self.image.lock() = (txid, now());
        // What could not be removed now is removed after the next image.
        if let Err(error) = self.folders.retain(&self.retention) {
            tracing::warn!(error = told(&error), "old images and segments were not removed");
        }
    }

    fn take_turn(&self) -> Result<Turn, String> {
        if self.saving.swap(true, Ordering::AcqRel) {
            return Err("another image is being written; try again later".to_owned());
        }
        Ok(Turn(self.saving.clone()))
    }

    /// Begins to take an image of a secondary namenode.
    ///
    /// # Errors
    /// The disk's, or that another image is being written.
    pub(crate) fn begin_upload(&self, txid: u64, length: u64) -> Result<Upload, String> {
        let turn = self.take_turn()?;
        let file = self.folders.begin_image(txid).map_err(|error| told(&error))?;
        Ok(Upload { file, txid, left: length, _turn: turn })
    }

    /// Ends what [`Names::begin_upload`] began.
    ///
    /// # Errors
    /// It is not what was announced, or the disk's.
    pub(crate) fn finish_upload(&self, upload: Upload, digest: Option<&str>) -> Result<(), String> {
        let Upload { file, txid, left, _turn } = upload;
        if left != 0 {
            return Err(format!("{left} bytes of the image of transaction {txid} are missing"));
        }
        let digest = match digest {
            None => None,
            Some(text) => Some(unhex(text).ok_or_else(|| format!("{text:?} is no MD5"))?),
        };
        file.finish(digest).map_err(|error| told(&error))?;
        self.image_saved(txid);
        Ok(())
    }
}

/// Bytes gathered before they are written to an image.
pub(crate) const IMAGE_BUFFER_LENGTH: usize = 1 << 20;

/// Whether a folder holds anything a format would destroy. What a format that was killed has left
/// is nothing: VERSION comes last, and before it there is an image of an empty namespace at most.
fn holds_something(folders: &NameFolders) -> Result<bool, Failure> {
    for disk in folders.disks() {
        match disk.list("current") {
            Ok(entries) if entries.iter().all(|entry| is_unfinished(&entry.name)) => {}
            Ok(_) => return Ok(true),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(user(error)),
        }
    }
    Ok(false)
}

fn is_unfinished(name: &str) -> bool {
    let written = name.strip_suffix(TEMPORARY_SUFFIX).unwrap_or(name);
    let of_empty_namespace = matches!(
        FileName::parse(written),
        Some(FileName::Image(0) | FileName::ImageDigest(0) | FileName::Checkpoint(0))
    );
    // A VERSION that is not written whole is none.
    of_empty_namespace || written == "seen_txid" || (written == "VERSION" && name != written)
}

/// The namespace of an image and the segments after it.
///
/// # Errors
/// Exit code 2: damage, or an operation that cannot be applied.
pub(crate) fn replay(
    config: &Config,
    folders: &NameFolders,
    recovered: &Recovered,
) -> Result<Namenode, Failure> {
    let version = &recovered.version;
    let identity = Identity {
        namespace_id: version.namespace_id,
        cluster_id: version.cluster_id.clone(),
        block_pool_id: version.block_pool_id.clone(),
        creation_time: version.creation_time,
    };
    let mut seed = [0; 8];
    seed.copy_from_slice(&format::random()?[..8]);
    let core = settings::core_config(config, identity, u64::from_le_bytes(seed));
    let image = ImageReader::open(&recovered.image).map_err(user)?;
    let mut state = Namenode::load(core, &image).map_err(user)?;
    folders.replay(recovered, |txid, op| state.replay(txid, &op)).map_err(user)?;
    state.loaded(now());
    Ok(state)
}

fn image_name(txid: u64) -> String {
    format!("fsimage_{txid:019}")
}

/// When a file was written; now, when nobody knows.
fn modified(path: &Path) -> u64 {
    let modified = std::fs::metadata(path).and_then(|about| about.modified()).ok();
    let since = modified.and_then(|time| time.duration_since(UNIX_EPOCH).ok());
    since.map_or_else(now, |since| u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

pub(crate) fn hex(digest: [u8; 16]) -> String {
    format!("{:032x}", u128::from_be_bytes(digest))
}

pub(crate) fn unhex(text: &str) -> Option<[u8; 16]> {
    let digits = text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    if !digits {
        return None;
    }
    u128::from_str_radix(text, 16).ok().map(u128::to_be_bytes)
}

/// The right to write an image.
struct Turn(Arc<AtomicBool>);

impl Drop for Turn {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Release);
    }
}

/// An image on its way in.
pub(crate) struct Upload {
    file: ImageFile,
    txid: u64,
    left: u64,
    _turn: Turn,
}

impl Upload {
    /// # Errors
    /// More bytes than announced, or the disk's.
    pub(crate) fn append(&mut self, bytes: &[u8]) -> Result<(), String> {
        let left = self.left.checked_sub(bytes.len() as u64);
        self.left = left.ok_or("the image is longer than announced")?;
        self.file.write_all(bytes).map_err(|error| error.to_string())
    }
}

/// The open segment in all folders, as the journal drives it.
pub(crate) struct OpenLog {
    folders: NameFolders,
    /// `None` only after a failure.
    segment: Option<OpenSegment>,
}

impl Segment for OpenLog {
    fn append(&mut self, operations: &[u8], _: u64) -> Result<(), String> {
        let segment = self.segment.as_mut().ok_or("no segment is open")?;
        segment
            .append(operations)
            .and_then(|()| segment.sync())
            .map_err(|error| format!("transactions cannot be kept: {}", told(&error)))
    }

    fn roll(&mut self, last_txid: u64) -> Result<(), String> {
        let segment = self.segment.take().ok_or("no segment is open")?;
        let opened = segment
            .close(last_txid)
            .and_then(|()| self.folders.open_segment(last_txid + 1))
            .map_err(|error| format!("the next segment cannot be opened: {}", told(&error)))?;
        self.segment = Some(opened);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digests_are_read_as_they_are_printed() {
        let digest = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 255];
        assert_eq!(unhex(&hex(digest)), Some(digest));
        assert_eq!(unhex("+0102030405060708090a0b0c0d0e0ff"), None);
        assert_eq!(unhex("00"), None);
    }
}
