//! Saving images, and removing what no kept image needs.

use std::io::{self, Write};

use md5::{Digest, Md5};

use super::error::StorageError;
use super::folders::{NameFolders, failed};
use super::names::{CURRENT, FileName, parse_digest, print_digest, print_md5};
use crate::disk::{DiskFile, write_atomic};
use crate::image::{ImageDigest, ImageError};

/// More bytes than an image of a billion inodes has.
pub const IMAGE_LENGTH_MAX: u64 = 1 << 38;
/// Bytes of the text beside an image.
const DIGEST_LENGTH_MAX: u64 = 256;

/// An image being written to all folders at once. Dropped without [`ImageFile::finish`], it stays a
/// checkpoint file that nobody reads, until the next image is saved.
pub struct ImageFile {
    folders: NameFolders,
    files: Vec<Box<dyn DiskFile>>,
    txid: u64,
    position: u64,
    md5: Md5,
}

impl std::fmt::Debug for ImageFile {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "image of transaction {}, {} bytes", self.txid, self.position)
    }
}

impl Write for ImageFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.md5.update(bytes);
        for file in &mut self.files {
            file.write_at(self.position, bytes)?;
        }
        self.position += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl ImageFile {
    /// Makes the image durable and gives it its name. `expected` is the MD5 that the sender
    /// announced.
    ///
    /// # Errors
    /// Another MD5, and the disk's. The folders then keep the images they had.
    pub fn finish(mut self, expected: Option<[u8; 16]>) -> Result<ImageDigest, StorageError> {
        let (disks, txid) = (self.folders.disks(), self.txid);
        let source = FileName::Checkpoint(txid).path();
        let md5: [u8; 16] = self.md5.finalize().into();
        if let Some(expected) = expected.filter(|expected| *expected != md5) {
            drop(self.files);
            for disk in disks {
                disk.remove_file(&source).map_err(failed(&**disk, format!("remove {source}")))?;
            }
            let [expected, found] = [expected, md5].map(print_md5);
            return Err(StorageError::ImageDigest { txid, expected, found });
        }
        for (disk, file) in disks.iter().zip(&mut self.files) {
            file.sync().map_err(failed(&**disk, format!("sync {source}")))?;
        }
        drop(self.files);
        let target = FileName::Image(txid).path();
        let digest = print_digest(md5, txid);
        for disk in disks {
            let placed =
                write_atomic(&**disk, &FileName::ImageDigest(txid).path(), digest.as_bytes())
                    .and_then(|()| disk.rename(&source, &target))
                    .and_then(|()| disk.sync_folder(CURRENT));
            placed.map_err(failed(&**disk, format!("rename {source} to {target}")))?;
        }
        Ok(ImageDigest { length: self.position, md5 })
    }
}

impl NameFolders {
    /// Begins an image of the namespace after transaction `txid`.
    ///
    /// # Errors
    /// The disk's.
    pub fn begin_image(&self, txid: u64) -> Result<ImageFile, StorageError> {
        let path = FileName::Checkpoint(txid).path();
        let create = |disk: &std::sync::Arc<dyn crate::disk::Disk>| {
            disk.create(&path).map_err(failed(&**disk, format!("create {path}")))
        };
        let files = self.disks().iter().map(create).collect::<Result<_, _>>()?;
        Ok(ImageFile { folders: self.clone(), files, txid, position: 0, md5: Md5::new() })
    }

    /// Saves the image that `write` makes; nothing happens when all folders have a good image of
    /// that
    /// transaction.
    ///
    /// # Errors
    /// Those of `write`, and the disk's. The folders then keep the images they had.
    pub fn save_image(
        &self,
        txid: u64,
        write: impl FnOnce(&mut dyn Write) -> Result<ImageDigest, ImageError>,
    ) -> Result<(), StorageError> {
        // The text beside an image is replaced before the image; over a good one that would leave a
        // moment with neither.
        if (0..self.disks().len()).all(|folder| self.read_image(folder, txid).is_ok()) {
            return Ok(());
        }
        let mut file = self.begin_image(txid)?;
        let digest = write(&mut file).map_err(|source| StorageError::Image { txid, source })?;
        file.finish(Some(digest.md5)).map(drop)
    }

    /// An image whose MD5 is good.
    ///
    /// # Errors
    /// What is wrong with it, for people.
    pub fn read_image(&self, folder: usize, txid: u64) -> Result<Vec<u8>, String> {
        let disk = &self.disks()[folder];
        let path = FileName::Image(txid).path();
        let told = |problem: String| format!("{}/{path}: {problem}", disk.label());
        let expected = self.image_digest(folder, txid).map_err(told)?;
        let bytes = disk.read(&path, IMAGE_LENGTH_MAX).map_err(|error| told(error.to_string()))?;
        let found: [u8; 16] = Md5::digest(&bytes).into();
        if found != expected {
            let [found, expected] = [found, expected].map(print_md5);
            return Err(told(format!("its MD5 is {found}, and its .md5 says {expected}")));
        }
        Ok(bytes)
    }

    /// What the text beside an image says.
    ///
    /// # Errors
    /// What is wrong with it, for people.
    pub fn image_digest(&self, folder: usize, txid: u64) -> Result<[u8; 16], String> {
        let path = FileName::ImageDigest(txid).path();
        let text = self.disks()[folder]
            .read(&path, DIGEST_LENGTH_MAX)
            .map_err(|error| format!("its .md5 cannot be read: {error}"))?;
        parse_digest(&text, txid).ok_or_else(|| "its .md5 is damaged".to_owned())
    }
}

/// How much is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    /// Newest images (`dfs.namenode.num.checkpoints.retained`); at least 1.
    pub images: usize,
    /// Transactions before the oldest kept image (`dfs.namenode.num.extra.edits.retained`).
    pub extra_transactions: u64,
    /// Closed segments before the oldest kept image
    /// (`dfs.namenode.max.extra.edits.segments.retained`).
    pub extra_segments_max: usize,
}

impl Default for Retention {
    fn default() -> Self {
        Self { images: 2, extra_transactions: 1_000_000, extra_segments_max: 10_000 }
    }
}

impl NameFolders {
    /// Removes images and closed segments that are not to be kept, and what is left of images that
    /// were never finished. Call it after an image was saved; only images whose MD5 text is good
    /// count as kept.
    ///
    /// # Errors
    /// The disk's.
    pub fn retain(&self, retention: &Retention) -> Result<(), StorageError> {
        for folder in 0..self.disks().len() {
            self.retain_in(folder, retention)?;
        }
        Ok(())
    }

    fn retain_in(&self, folder: usize, retention: &Retention) -> Result<(), StorageError> {
        let files = self.files(folder)?;
        let mut images: Vec<u64> = files
            .iter()
            .filter_map(|name| match name {
                FileName::Image(txid) => Some(*txid),
                _ => None,
            })
            .filter(|txid| self.image_digest(folder, *txid).is_ok())
            .collect();
        images.sort_unstable_by(|left, right| right.cmp(left));
        let (Some(newest), true) = (images.first(), images.len() >= retention.images.max(1)) else {
            return Ok(());
        };
        let oldest = images[retention.images.max(1) - 1];
        let mut extra: Vec<u64> = files
            .iter()
            .filter_map(|name| match name {
                FileName::Finalized(first, last) if *last <= oldest => Some(*first),
                _ => None,
            })
            .collect();
        extra.sort_unstable_by(|left, right| right.cmp(left));
        // A segment goes when it ends too early, or when too many come after it.
        let end_min = (oldest + 1).saturating_sub(retention.extra_transactions);
        let start_min = extra.get(retention.extra_segments_max).map_or(0, |first| first + 1);
        let unneeded = |name: &&FileName| match **name {
            FileName::Image(txid) | FileName::ImageDigest(txid) => txid < oldest,
            FileName::Checkpoint(txid) => txid < *newest,
            FileName::Finalized(first, last) => {
                last <= oldest && (last < end_min || first < start_min)
            }
            FileName::InProgress(_) => false,
        };
        let disk = &self.disks()[folder];
        for name in files.iter().filter(unneeded) {
            let path = name.path();
            disk.remove_file(&path).map_err(failed(&**disk, format!("remove {path}")))?;
        }
        Ok(())
    }
}
