//! One checkpoint: fetch, merge, save, send.
//!
//! The folders are laid out as a namenode's. Files are fetched beside their names, synced and
//! renamed; an image counts only with its good MD5; nothing is removed before a newer image stands.
//! What is there already is used again only if it is what the namenode has: an image of the same
//! MD5, a segment of the same length after such an image.

use std::fs::File;
use std::io::{BufWriter, ErrorKind, Write};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use hdfs_disk::disk::{DiskLock, TEMPORARY_SUFFIX};
use hdfs_disk::storage::{
    CURRENT, FileName, IMAGE_LENGTH_MAX, NameFolders, NamenodeVersion, Recovered, SEEN_TXID_PATH,
    SEGMENT_LENGTH_MAX, Segment, StorageError,
};
use hdfs_edge::daemon::Failure;
use hdfs_edge::keys;
use hdfs_edge::live::Live;

use super::link::{Download, Link};
use super::settings::Settings;
use crate::names::{IMAGE_BUFFER_LENGTH, Purpose, hex, local_disk, replay, told};
use crate::server::now;

/// The folders, and the namenode they follow.
pub(super) struct Secondary {
    pub(super) settings: Settings,
    pub(super) link: Link,
    /// When the last checkpoint ended, in milliseconds since the epoch; 0 before the first.
    pub(super) ended: Arc<AtomicU64>,
    live: Live,
    folders: NameFolders,
    _locks: Vec<Box<dyn DiskLock>>,
}

fn storage(error: StorageError) -> Failure {
    Failure::failed(told(&error))
}

fn disk(error: std::io::Error) -> Failure {
    Failure::failed(error)
}

impl Secondary {
    /// Opens and locks the folders, which are made where they are not there.
    ///
    /// # Errors
    /// Exit code 2: folders that cannot be used, or that another process holds.
    pub(super) fn open(live: Live, settings: Settings, format: bool) -> Result<Self, Failure> {
        let key = keys::DFS_NAMENODE_CHECKPOINT_DIR.name;
        let open = |folder: &std::path::PathBuf| {
            local_disk(folder, Purpose::Format).map_err(|error| {
                Failure::user(format!("{} ({key}) cannot be used: {error}", folder.display()))
            })
        };
        let disks = settings.folders.iter().map(open).collect::<Result<Vec<_>, _>>()?;
        let folders = NameFolders::new(disks);
        let locks = folders.lock().map_err(|error| Failure::user(told(&error)))?;
        for each in folders.disks() {
            // Only those who log write it, and no secondary logs.
            if each.exists(SEEN_TXID_PATH).map_err(disk)? {
                return Err(Failure::user(format!(
                    "{} ({key}) is the name folder of a namenode; name another one",
                    each.label()
                )));
            }
        }
        if format {
            for each in folders.disks() {
                each.remove_folder(CURRENT)
                    .and_then(|()| each.sync_folder(""))
                    .map_err(|error| Failure::user(format!("{key}: {error}")))?;
            }
            tracing::info!(?folders, "emptied");
        }
        let link = Link::new(&settings);
        Ok(Self { settings, link, ended: Arc::default(), live, folders, _locks: locks })
    }

    /// Asks the namenode who it is.
    ///
    /// # Errors
    /// Exit code 2: it is of another cluster than the folders.
    pub(super) async fn meet(&self) -> Result<(), Failure> {
        let version = self.link.version().await?;
        self.compare(&version).map(drop)
    }

    /// Whether the folders hold anything; what they hold must be this namenode's.
    fn compare(&self, theirs: &NamenodeVersion) -> Result<bool, Failure> {
        if !self.folders.is_formatted().map_err(storage)? {
            return self.refuse_strangers().map(|()| false);
        }
        let mut notes = Vec::new();
        let version = self.folders.version(now(), &mut notes);
        let ours = version.map_err(|error| Failure::user(told(&error)))?;
        for note in notes {
            tracing::info!("{note}");
        }
        if ours == *theirs {
            return Ok(true);
        }
        Err(Failure::user(format!(
            "{} {:?} belongs to the namespace {} {}, and the namenode {} has {} {}; name another \
             folder, or empty this one with secondarynamenode -format",
            keys::DFS_NAMENODE_CHECKPOINT_DIR.name,
            self.folders,
            ours.storage_info(),
            ours.block_pool_id,
            self.link.address(),
            theirs.storage_info(),
            theirs.block_pool_id,
        )))
    }

    /// Folders without a VERSION are taken over, and so must be empty but for half a VERSION.
    fn refuse_strangers(&self) -> Result<(), Failure> {
        for each in self.folders.disks() {
            let entries = match each.list(CURRENT) {
                Err(error) if error.kind() == ErrorKind::NotFound => continue,
                entries => entries.map_err(disk)?,
            };
            if entries.iter().any(|entry| !entry.name.ends_with(TEMPORARY_SUFFIX)) {
                return Err(Failure::user(format!(
                    "{}/{CURRENT} ({}) holds files and no VERSION; name another folder, or empty \
                     this one with secondarynamenode -format",
                    each.label(),
                    keys::DFS_NAMENODE_CHECKPOINT_DIR.name
                )));
            }
        }
        Ok(())
    }

    /// Makes one checkpoint and gives its transaction. That the namenode does not want the image
    /// now (it has a newer one, or one that is new enough) is no failure.
    ///
    /// # Errors
    /// Exit code 2: another cluster. All others may be tried again.
    pub(super) async fn checkpoint(&mut self) -> Result<u64, Failure> {
        let began = Instant::now();
        let signature = self.link.roll().await?;
        let info = &signature.storage_info;
        let version = self.link.version_of(info, &signature.block_pool_id)?;
        if !self.compare(&version)? {
            self.folders.adopt(&version, now()).map_err(storage)?;
        }
        self.sweep()?;
        let base = signature.most_recent_checkpoint_tx_id;
        let info = version.storage_info();
        let fetched = self.fetch_image(&info, base).await?;
        let segments = self.fetch_segments(&info, base).await?;
        let end = chain(base, &segments)?;
        if end + 1 < signature.cur_segment_tx_id {
            let first = signature.cur_segment_tx_id;
            let message = format!("the namenode has no segments from {} to {first}", end + 1);
            return Err(Failure::failed(message));
        }
        let digest = self.merge(version, base, &segments, end)?;
        let path = self.settings.folders[0].join(FileName::Image(end).path());
        let file = open(&path)?;
        let length = file.metadata().map_err(disk)?.len();
        let taken = self.link.put(&info, end, &digest, file).await?;
        self.folders.retain(&self.settings.retention).map_err(storage)?;
        self.ended.store(now(), Ordering::Relaxed);
        tracing::info!(
            transaction = end,
            base,
            fetched,
            taken,
            length,
            millis = began.elapsed().as_millis(),
            "checkpoint"
        );
        Ok(end)
    }

    /// Removes what was on its way when a process before this one ended.
    fn sweep(&self) -> Result<(), Failure> {
        for each in self.folders.disks() {
            for entry in each.list(CURRENT).map_err(disk)? {
                let is_image =
                    matches!(FileName::parse(&entry.name), Some(FileName::Checkpoint(_)));
                if is_image || entry.name.ends_with(TEMPORARY_SUFFIX) {
                    each.remove_file(&format!("{CURRENT}/{}", entry.name)).map_err(disk)?;
                }
            }
        }
        Ok(())
    }

    /// Brings the namenode's image, unless all folders have it; says whether it was fetched.
    async fn fetch_image(&self, info: &str, txid: u64) -> Result<bool, Failure> {
        let mut download = self.link.image(info, txid).await?;
        let Some(digest) = download.digest else {
            return Err(download.failed("the answer has no X-MD5-Digest"));
        };
        bounded(&download, IMAGE_LENGTH_MAX)?;
        let has_it = |folder: usize| {
            self.folders.image_digest(folder, txid).is_ok_and(|ours| ours == digest)
                && self.folders.read_image(folder, txid).is_ok()
        };
        if (0..self.folders.disks().len()).all(has_it) {
            return Ok(false);
        }
        let mut file = self.folders.begin_image(txid).map_err(storage)?;
        while let Some(chunk) = download.next().await? {
            file.write_all(&chunk).map_err(disk)?;
        }
        file.finish(Some(digest)).map_err(storage)?;
        Ok(true)
    }

    /// Brings the closed segments after an image.
    async fn fetch_segments(&self, info: &str, base: u64) -> Result<Vec<Segment>, Failure> {
        let mut segments = Vec::new();
        for log in self.link.segments(base + 1).await? {
            let (first, last) = (log.start_tx_id, log.end_tx_id);
            if first > last {
                let message = format!("the namenode has a segment from {first} to {last}");
                return Err(Failure::failed(message));
            }
            self.fetch_segment(info, first, last).await?;
            segments.push(Segment { first, last, folder: 0 });
        }
        Ok(segments)
    }

    async fn fetch_segment(&self, info: &str, first: u64, last: u64) -> Result<(), Failure> {
        let name = FileName::Finalized(first, last);
        let (path, temporary) = (name.path(), format!("{}{TEMPORARY_SUFFIX}", name.path()));
        let mut download = self.link.edits(info, (first, last)).await?;
        bounded(&download, SEGMENT_LENGTH_MAX)?;
        let disks = self.folders.disks();
        let has_it = |each: &Arc<dyn hdfs_disk::disk::Disk>| {
            each.open(&path)
                .and_then(|file| file.length())
                .is_ok_and(|ours| ours == download.length)
        };
        if disks.iter().all(has_it) {
            return Ok(());
        }
        let files = disks.iter().map(|each| each.create(&temporary)).collect::<Result<Vec<_>, _>>();
        let (mut files, mut position) = (files.map_err(disk)?, 0);
        while let Some(chunk) = download.next().await? {
            for file in &mut files {
                file.write_at(position, &chunk).map_err(disk)?;
            }
            position += chunk.len() as u64;
        }
        for (each, mut file) in disks.iter().zip(files) {
            let placed = file.sync().and_then(|()| each.rename(&temporary, &path));
            placed.and_then(|()| each.sync_folder(CURRENT)).map_err(disk)?;
        }
        Ok(())
    }

    /// Replays the segments over the image and saves what comes out; gives the new image's MD5.
    /// When that fails, the segments are fetched anew the next time: their only check is the
    /// replay.
    fn merge(
        &self,
        version: NamenodeVersion,
        base: u64,
        segments: &[Segment],
        end: u64,
    ) -> Result<String, Failure> {
        let image = self.folders.read_image(0, base).map_err(Failure::failed)?;
        let recovered = Recovered {
            version,
            image_txid: base,
            image,
            image_folder: 0,
            segments: segments.to_vec(),
            end_txid: end,
            notes: Vec::new(),
        };
        let replayed = replay(&self.live.get(), &self.folders, &recovered);
        let state = replayed.map_err(|failure| {
            for segment in segments {
                let path = FileName::Finalized(segment.first, segment.last).path();
                for each in self.folders.disks() {
                    let _ = each.remove_file(&path);
                }
            }
            Failure::failed(failure.message)
        })?;
        drop(recovered);
        // Never an image that is there already: only this one is known to be made of what the
        // namenode has now.
        let file = self.folders.begin_image(end).map_err(storage)?;
        let out = BufWriter::with_capacity(IMAGE_BUFFER_LENGTH, file);
        let (out, digest) = state.save(end, out).map_err(|error| Failure::failed(told(&error)))?;
        let file = out.into_inner().map_err(|error| Failure::failed(error.error()))?;
        file.finish(Some(digest.md5)).map_err(storage)?;
        Ok(hex(digest.md5))
    }
}

fn open(path: &Path) -> Result<File, Failure> {
    File::open(path).map_err(|error| Failure::failed(format!("{}: {error}", path.display())))
}

fn bounded(download: &Download, length_max: u64) -> Result<(), Failure> {
    if download.length > length_max {
        return Err(download.failed(&format!("it has more than {length_max} bytes")));
    }
    Ok(())
}

/// The last transaction that follows the image without a gap.
fn chain(base: u64, segments: &[Segment]) -> Result<u64, Failure> {
    let mut end = base;
    for segment in segments {
        if segment.first > end + 1 {
            let (first, last) = (end + 1, segment.first - 1);
            let message = format!("the namenode has no segment from {first} to {last}");
            return Err(Failure::failed(message));
        }
        end = end.max(segment.last);
    }
    Ok(end)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn segments(of: &[(u64, u64)]) -> Vec<Segment> {
        of.iter().map(|&(first, last)| Segment { first, last, folder: 0 }).collect()
    }

    #[test]
    fn a_gap_is_named() {
        assert_eq!(chain(4, &segments(&[(5, 9), (10, 12)])).expect("a chain"), 12);
        assert_eq!(chain(7, &segments(&[(5, 9)])).expect("it begins before the image"), 9);
        assert_eq!(chain(4, &[]).expect("nothing new"), 4);
        let gap = chain(4, &segments(&[(5, 9), (12, 13)])).expect_err("a gap");
        assert!(gap.message.contains("from 10 to 11"), "{gap}");
        assert_eq!(gap.exit_code, 1, "it is tried again");
    }
}
