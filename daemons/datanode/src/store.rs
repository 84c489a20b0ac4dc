//! The replicas of this datanode on its volumes: one lock around the map of the core, and the
//! files it decides about. Every change that the namenode must hear of goes into the report queue
//! here. Nothing here knows a socket's protocol.

use std::collections::HashMap;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use hdfs_core::datanode::files::{self, Layout, Place};
use hdfs_core::datanode::incremental::{Batch, BlockStatus, Change, Queue};
use hdfs_core::datanode::{Block, Refusal, Replica, Replicas, VolumeIndex, WriterId};
use hdfs_wire::proto::hdfs::StorageTypeProto;
use hdfs_wire::proto::hdfs::datanode::VolumeFailureSummaryProto;
use hdfs_wire::{Exception, Fault};
use parking_lot::{Mutex, RwLock};
use tokio::sync::Notify;

use crate::counters::Counters;
use crate::stop::Stop;
use crate::storage::{Storage, now_ms};
use crate::swap::Swapped;
use crate::volume::Volume;

/// How long somebody waits for a writer that was told to stop
/// (`dfs.datanode.xceiver.stop.timeout.millis`).
const WRITER_STOP_TIMEOUT: Duration = Duration::from_secs(60);

/// How often an admission that always finds another writer tries again.
const STOPS_MAX: usize = 8;

/// The replicas and their volumes.
pub(crate) struct Store {
    pub(crate) pool: String,
    pub(crate) layout: Layout,
    pub(super) volumes: RwLock<Vec<Arc<Volume>>>,
    pub(crate) replicas: Mutex<Replicas>,
    pub(crate) counters: Arc<Counters>,
    /// `dfs.datanode.synconclose`.
    pub(crate) sync_on_close: bool,
    changes: Mutex<Queue>,
    /// Wakes who reports changes.
    pub(crate) urgent: Notify,
    /// Those who hold replicas now. At most one for each transfer and recovery.
    pub(super) writers: Mutex<HashMap<WriterId, Arc<Stop>>>,
    next_volume: AtomicUsize,
    pub(super) failures: Mutex<Failures>,
    /// What has become of volumes since the start.
    pub(super) swapped: Swapped,
    failed_tolerated: i64,
    /// Set when more volumes failed than may.
    pub(crate) broken: Notify,
}

#[derive(Debug, Default)]
pub(super) struct Failures {
    pub(super) folders: Vec<String>,
    last_ms: u64,
    capacity_lost: u64,
    told: AtomicU64,
}

impl Store {
    pub(crate) fn new(
        storage: Storage,
        counters: Arc<Counters>,
        sync_on_close: bool,
        failed_tolerated: i64,
    ) -> Arc<Self> {
        let failures = Failures {
            last_ms: if storage.failed.is_empty() { 0 } else { now_ms() },
            folders: storage.failed,
            ..Failures::default()
        };
        Arc::new(Self {
            pool: storage.replicas.pool().to_owned(),
            layout: storage.layout,
            swapped: Swapped::after(&storage.volumes),
            volumes: RwLock::new(storage.volumes),
            replicas: Mutex::new(storage.replicas),
            counters,
            sync_on_close,
            changes: Mutex::new(Queue::new()),
            urgent: Notify::new(),
            writers: Mutex::new(HashMap::new()),
            next_volume: AtomicUsize::new(0),
            failures: Mutex::new(failures),
            failed_tolerated,
            broken: Notify::new(),
        })
    }

    /// The volumes that work.
    pub(crate) fn working(&self) -> Vec<Arc<Volume>> {
        let volumes = self.volumes.read();
        volumes.iter().filter(|volume| !volume.has_failed()).cloned().collect()
    }

    pub(crate) fn volume(&self, index: VolumeIndex) -> io::Result<Arc<Volume>> {
        self.known_volume(index)
            .filter(|volume| !volume.has_failed())
            .ok_or_else(|| io::Error::other(format!("data folder {index} is not used any more")))
    }

    /// A volume, whether it works or not.
    fn known_volume(&self, index: VolumeIndex) -> Option<Arc<Volume>> {
        self.volumes.read().iter().find(|volume| volume.index == index).cloned()
    }

    /// Where a new replica of `size` bytes goes: the storage the namenode named if it has room,
    /// else the next one of that type.
    pub(crate) fn choose_volume(
        &self,
        storage_type: StorageTypeProto,
        storage_id: &str,
        size: u64,
    ) -> Result<Arc<Volume>, Fault> {
        let has_room =
            |volume: &Arc<Volume>| volume.space().is_some_and(|space| space.remaining > size);
        let working = self.working();
        let named = working.iter().find(|volume| volume.storage_id == storage_id);
        if let Some(volume) = named.filter(|volume| has_room(volume)) {
            return Ok(Arc::clone(volume));
        }
        let fitting: Vec<_> =
            working.iter().filter(|volume| volume.storage_type == storage_type).collect();
        let start = self.next_volume.fetch_add(1, Ordering::Relaxed);
        (0..fitting.len())
            .map(|step| fitting[(start + step) % fitting.len()])
            .find(|volume| has_room(volume))
            .map(Arc::clone)
            .ok_or_else(|| {
                Fault::new(
                    Exception::DiskOutOfSpace,
                    format!(
                        "Out of space: none of {} {} volumes has {size} bytes left",
                        fitting.len(),
                        storage_type.as_str_name()
                    ),
                )
            })
    }

    /// Queues a change for the namenode.
    pub(crate) fn changed(&self, volume: VolumeIndex, change: Change) {
        if self.changes.lock().push(volume, change) {
            self.urgent.notify_one();
        }
    }

    pub(crate) fn notice(&self, volume: VolumeIndex, block: Block, status: BlockStatus) {
        self.changed(volume, Change { block, status, delete_hint: None });
    }

    /// Takes the changes to report.
    pub(crate) fn take_changes(&self) -> Batch {
        self.changes.lock().take()
    }

    /// Puts changes back that could not be reported.
    pub(crate) fn put_back(&self, batch: Batch) {
        self.changes.lock().put_back(batch);
    }

    pub(crate) fn has_urgent(&self) -> bool {
        self.changes.lock().is_urgent()
    }

    pub(crate) fn take_overflow(&self) -> bool {
        self.changes.lock().take_overflow()
    }

    /// Asks the core until no other writer is in the way, stopping those that are.
    pub(crate) fn claim<T>(
        &self,
        mut ask: impl FnMut(&mut Replicas) -> Result<T, Refusal>,
    ) -> Result<T, Fault> {
        for _ in 0..STOPS_MAX {
            let answer = ask(&mut self.replicas.lock());
            match answer {
                Ok(granted) => return Ok(granted),
                Err(Refusal::Fault(fault)) => return Err(fault),
                Err(Refusal::Busy(writer)) => self.stop_writer(writer)?,
            }
        }
        Err(Fault::io(format!("{STOPS_MAX} writers in a row held the replica")))
    }

    fn stop_writer(&self, writer: WriterId) -> Result<(), Fault> {
        let Some(stop) = self.writers.lock().get(&writer).cloned() else {
            // It is between its last step and its release: a moment.
            std::thread::sleep(Duration::from_millis(1));
            return Ok(());
        };
        if stop.stop_and_wait(WRITER_STOP_TIMEOUT) {
            return Ok(());
        }
        Err(Fault::io(format!("the writer of the replica did not stop in {WRITER_STOP_TIMEOUT:?}")))
    }

    /// A writer exists from now on and can be stopped.
    pub(crate) fn enlist(&self, writer: WriterId, stop: &Arc<Stop>) {
        self.writers.lock().insert(writer, Arc::clone(stop));
    }

    /// A writer has let go of its replica.
    pub(crate) fn retire(&self, writer: WriterId) {
        if let Some(stop) = self.writers.lock().remove(&writer) {
            stop.done();
        }
    }

    /// Deletes a replica as the namenode ordered.
    pub(crate) fn invalidate(&self, block: Block) -> Result<(), Fault> {
        let Some((writer, replica)) = self.claim(|map| map.doom(block))? else { return Ok(()) };
        let place = Place { state: replica.place(), id: block.id, stamp: replica.stamp };
        let removed = self
            .volume(replica.volume)
            .and_then(|volume| self.delete_files(&volume, place, replica.length));
        self.replicas.lock().dropped(block.id, writer);
        removed.map_err(|error| self.io_fault(replica.volume, "delete", block, &error))?;
        self.counters.blocks_removed.increment();
        self.notice(replica.volume, replica.block(block.id), BlockStatus::Deleted);
        Ok(())
    }

    pub(crate) fn delete_files(
        &self,
        volume: &Volume,
        place: Place,
        length: u64,
    ) -> io::Result<()> {
        files::delete(&*volume.disk, &self.layout, place)?;
        volume.shrink(length + meta_estimate(length));
        Ok(())
    }

    /// Turns a disk's error into a fault, and looks whether the volume still works.
    pub(crate) fn io_fault(
        &self,
        volume: VolumeIndex,
        what: &str,
        block: Block,
        error: &io::Error,
    ) -> Fault {
        let root = self.known_volume(volume);
        let root = root.map(|each| each.root.display().to_string()).unwrap_or_default();
        tracing::warn!(volume = root, %error, "cannot {what} {block}");
        self.suspect(volume, error);
        let exception = match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Exception::DiskOutOfSpace,
            _ => Exception::Io,
        };
        Fault::new(exception, format!("cannot {what} {}:{block} in {root}: {error}", self.pool))
    }

    /// After an error: a full disk is no failure, everything else is checked with a small write.
    pub(crate) fn suspect(&self, index: VolumeIndex, error: &io::Error) {
        use io::ErrorKind::{
            InvalidData, NotFound, QuotaExceeded, StorageFull, TimedOut, UnexpectedEof,
        };
        let harmless = [InvalidData, NotFound, QuotaExceeded, StorageFull, TimedOut, UnexpectedEof];
        if harmless.contains(&error.kind()) {
            return;
        }
        let Ok(volume) = self.volume(index) else { return };
        if let Err(error) = self.probe(&volume)
            && error.kind() != StorageFull
        {
            self.fail_volume(index, &error);
        }
    }

    fn probe(&self, volume: &Volume) -> io::Result<()> {
        let path = format!("{}/probe", self.layout.paths().tmp);
        let mut file = volume.disk.create(&path)?;
        file.write_at(0, b"probe")?;
        file.sync()?;
        volume.disk.remove_file(&path)
    }

    /// Takes a volume out of use. A failed fsync comes here directly: it is never tried again.
    pub(crate) fn fail_volume(&self, index: VolumeIndex, error: &io::Error) {
        let Some(volume) = self.known_volume(index) else { return };
        if !volume.fail() {
            return;
        }
        let lost = self.replicas.lock().forget_volume(index);
        let root = volume.root.display().to_string();
        tracing::error!(volume = root, replicas = lost, %error, "data folder failed, not used");
        let working = self.working().len();
        let mut failures = self.failures.lock();
        failures.folders.push(root);
        failures.last_ms = now_ms();
        failures.capacity_lost += volume.space().map_or(0, |space| space.capacity);
        let failed = failures.folders.len();
        drop(failures);
        let tolerated = usize::try_from(self.failed_tolerated).unwrap_or(usize::MAX);
        if working == 0 || failed > tolerated {
            self.broken.notify_one();
        }
    }

    /// What heartbeats say about failed volumes; none as long as there are none.
    pub(crate) fn failure_summary(&self) -> Option<VolumeFailureSummaryProto> {
        let failures = self.failures.lock();
        (!failures.folders.is_empty()).then(|| VolumeFailureSummaryProto {
            failed_storage_locations: failures.folders.clone(),
            last_volume_failure_date: failures.last_ms,
            estimated_capacity_lost_total: failures.capacity_lost,
        })
    }

    /// Whether volumes failed since this was asked last: the namenode must hear of the replicas.
    pub(crate) fn newly_failed(&self) -> bool {
        let failures = self.failures.lock();
        let count = failures.folders.len() as u64;
        failures.told.swap(count, Ordering::Relaxed) < count
    }

    /// How many replicas each volume has.
    pub(crate) fn counts(&self) -> HashMap<VolumeIndex, u64> {
        let mut counts = HashMap::new();
        for (_, replica) in self.replicas.lock().iter() {
            *counts.entry(replica.volume).or_default() += 1;
        }
        counts
    }

    /// Where a replica's files are.
    pub(crate) fn place(id: i64, replica: &Replica) -> Place {
        Place { state: replica.place(), id, stamp: replica.stamp }
    }
}

/// About the bytes of a meta file, for the count of used bytes only.
pub(crate) fn meta_estimate(length: u64) -> u64 {
    7 + length.div_ceil(512) * 4
}
