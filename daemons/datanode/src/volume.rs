//! One data folder in use: its disk, its identity, and how much room it has. It knows no replica.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use hdfs_core::datanode::VolumeIndex;
use hdfs_disk::disk::{Disk, DiskLock};
use hdfs_wire::proto::hdfs::{DatanodeStorageProto, StorageReportProto, StorageTypeProto};

/// A data folder of this datanode.
pub(crate) struct Volume {
    /// Its place in `dfs.datanode.data.dir`.
    pub(crate) index: VolumeIndex,
    /// `DS-...`, from its VERSION file.
    pub(crate) storage_id: String,
    pub(crate) storage_type: StorageTypeProto,
    pub(crate) root: PathBuf,
    pub(crate) disk: Arc<dyn Disk>,
    /// `dfs.datanode.du.reserved`, in bytes. May change while it is used.
    reserved: AtomicU64,
    /// Bytes of replica files.
    used: AtomicU64,
    /// Bytes that writers under way may still need.
    promised: AtomicU64,
    failed: AtomicBool,
    /// Held as long as the folder is in use.
    _lock: Box<dyn DiskLock>,
}

/// Room on a volume, in bytes.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Space {
    pub(crate) capacity: u64,
    pub(crate) used: u64,
    pub(crate) remaining: u64,
    pub(crate) other: u64,
}

/// What a volume is made of.
pub(crate) struct Parts {
    pub(crate) index: VolumeIndex,
    pub(crate) storage_id: String,
    pub(crate) storage_type: StorageTypeProto,
    pub(crate) root: PathBuf,
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) reserved: u64,
    pub(crate) used: u64,
    pub(crate) lock: Box<dyn DiskLock>,
}

impl Volume {
    pub(crate) fn new(parts: Parts) -> Self {
        Self {
            index: parts.index,
            storage_id: parts.storage_id,
            storage_type: parts.storage_type,
            root: parts.root,
            disk: parts.disk,
            reserved: AtomicU64::new(parts.reserved),
            used: AtomicU64::new(parts.used),
            promised: AtomicU64::new(0),
            failed: AtomicBool::new(false),
            _lock: parts.lock,
        }
    }

    /// Bytes of the disk left for others.
    pub(crate) fn reserved(&self) -> u64 {
        self.reserved.load(Ordering::Relaxed)
    }

    /// Leaves so many bytes of the disk for others from now on.
    pub(crate) fn reserve(&self, bytes: u64) {
        self.reserved.store(bytes, Ordering::Relaxed);
    }

    /// Whether it is not used any more: its disk failed, or it was taken out of the list.
    pub(crate) fn has_failed(&self) -> bool {
        self.failed.load(Ordering::Acquire)
    }

    /// Marks the volume as failed; returns whether it was not before.
    pub(crate) fn fail(&self) -> bool {
        !self.failed.swap(true, Ordering::AcqRel)
    }

    /// Counts bytes that came on disk.
    pub(crate) fn grow(&self, bytes: u64) {
        self.used.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Counts bytes that left the disk.
    pub(crate) fn shrink(&self, bytes: u64) {
        let less = |used: u64| Some(used.saturating_sub(bytes));
        let _ = self.used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less);
    }

    /// Sets room aside for a writer; [`Volume::fulfil`] gives it back.
    pub(crate) fn promise(&self, bytes: u64) {
        self.promised.fetch_add(bytes, Ordering::Relaxed);
    }

    /// A promise is used up or no longer needed.
    pub(crate) fn fulfil(&self, bytes: u64) {
        let less = |promised: u64| Some(promised.saturating_sub(bytes));
        let _ = self.promised.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less);
    }

    pub(crate) fn promised(&self) -> u64 {
        self.promised.load(Ordering::Relaxed)
    }

    /// Asks the file system. None when it does not answer.
    pub(crate) fn space(&self) -> Option<Space> {
        let stat = rustix::fs::statvfs(&self.root).ok()?;
        let total = stat.f_blocks.saturating_mul(stat.f_frsize);
        let free = stat.f_bavail.saturating_mul(stat.f_frsize);
        let taken = total.saturating_sub(stat.f_bfree.saturating_mul(stat.f_frsize));
        let used = self.used.load(Ordering::Relaxed);
        let reserved = self.reserved();
        let capacity = total.saturating_sub(reserved);
        let other = taken.saturating_sub(used);
        // What others use counts against the reserve first, as in Hadoop.
        let reserve = reserved.saturating_sub(other);
        let remaining = free.saturating_sub(reserve).saturating_sub(self.promised());
        Some(Space {
            capacity,
            used,
            remaining: remaining.min(capacity),
            other: other.saturating_sub(reserved),
        })
    }

    /// The volume as reports name it.
    pub(crate) fn storage(&self) -> DatanodeStorageProto {
        DatanodeStorageProto {
            storage_uuid: self.storage_id.clone(),
            state: None,
            storage_type: Some(self.storage_type as i32),
        }
    }

    /// The volume's part of a heartbeat.
    pub(crate) fn report(&self) -> StorageReportProto {
        let space = self.space().unwrap_or_default();
        StorageReportProto {
            storage_uuid: self.storage_id.clone(),
            failed: Some(false),
            capacity: Some(space.capacity),
            dfs_used: Some(space.used),
            remaining: Some(space.remaining),
            block_pool_used: Some(space.used),
            storage: Some(self.storage()),
            non_dfs_used: Some(space.other),
            mount: None,
        }
    }
}
