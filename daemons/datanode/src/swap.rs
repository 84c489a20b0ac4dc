//! Data folders that come and go while the datanode runs.
//!
//! A folder that comes is locked, checked and scanned before anything changes ([`prepare`]); then
//! its replicas join the map and it is used for new ones. A folder that goes is first marked, so
//! that nobody begins anything on it, then its writers are stopped and its replicas forgotten. Its
//! lock is let go of with the last stream that still uses it. The namenode hears of both by a full
//! report, in which a storage that went is empty: what is not in a report is not there.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use hdfs_core::datanode::{VolumeIndex, scan};
use hdfs_edge::config::Config;
use hdfs_edge::keys;
use hdfs_edge::live::Commit;
use hdfs_wire::proto::hdfs::DatanodeStorageProto;
use parking_lot::Mutex;

use crate::settings::{self, DataFolder};
use crate::storage::{self, Joining, Namespace};
use crate::store::Store;
use crate::volume::Volume;

/// What has become of volumes since the start.
#[derive(Debug)]
pub(crate) struct Swapped {
    /// Indices are never used twice: a late step of somebody who knew the old volume must not
    /// reach a new one. There are enough for a change every minute of a month.
    next_index: Mutex<VolumeIndex>,
    /// Volumes that went and that the namenode still believes in.
    departed: Mutex<Vec<(VolumeIndex, DatanodeStorageProto)>>,
    /// Something changed that only a full report tells.
    changed: AtomicBool,
}

impl Swapped {
    /// After a start with these.
    pub(crate) fn after(volumes: &[Arc<Volume>]) -> Self {
        let next = volumes.iter().map(|volume| volume.index.saturating_add(1)).max();
        Self {
            next_index: Mutex::new(next.unwrap_or(0)),
            departed: Mutex::default(),
            changed: AtomicBool::new(false),
        }
    }
}

/// Gets ready for another `dfs.datanode.data.dir`.
///
/// # Errors
/// One line that names the folder which cannot be used, or the change that needs a restart.
pub(crate) fn prepare(
    store: &Arc<Store>,
    (namespace, datanode_uuid): (&Namespace, &str),
    config: &Config,
) -> Result<Commit, String> {
    let key = keys::DFS_DATANODE_DATA_DIR.name;
    let wanted = settings::folders(config).map_err(|failure| failure.message)?;
    let fresh = fresh_folders(store, &wanted)?;
    let reserved = config.size(&keys::DFS_DATANODE_DU_RESERVED);
    let mut index = *store.swapped.next_index.lock();
    let mut joining = Vec::new();
    for folder in fresh {
        let next = index.checked_add(1);
        let next = next.ok_or_else(|| format!("{key}: changed too often; needs a restart"))?;
        let owner = (namespace, datanode_uuid);
        let joined = storage::join((index, folder), owner, &store.layout, reserved);
        joining.push(joined.map_err(|failure| failure.message)?);
        index = next;
    }
    let kept: HashSet<_> = wanted.iter().map(|folder| folder.path.clone()).collect();
    let volumes = store.volumes.read().clone();
    let (staying, leaving): (Vec<_>, Vec<_>) =
        volumes.into_iter().partition(|volume| kept.contains(&volume.root));
    if joining.is_empty() && staying.iter().all(|volume| volume.has_failed()) {
        return Err(format!("{key}: the last data folder that works cannot be taken away"));
    }
    let store = Arc::clone(store);
    Ok(Box::new(move || {
        *store.swapped.next_index.lock() = index;
        let gone = |folder: &String| !kept.iter().any(|path| *folder == path.display().to_string());
        store.failures.lock().folders.retain(|folder| !gone(folder));
        leaving.iter().for_each(|volume| store.dismiss(volume));
        joining.into_iter().for_each(|each| store.join(each));
        store.swapped.changed.store(true, Ordering::Release);
        store.urgent.notify_one();
    }))
}

/// The wanted folders that are not known. A folder that failed is known: it is tried again when it
/// was taken out of the list and comes back, or at the next start.
fn fresh_folders<'w>(
    store: &Store,
    wanted: &'w [DataFolder],
) -> Result<Vec<&'w DataFolder>, String> {
    let key = keys::DFS_DATANODE_DATA_DIR.name;
    let volumes = store.volumes.read().clone();
    let failed = store.failures.lock().folders.clone();
    let (mut fresh, mut seen) = (Vec::new(), HashSet::new());
    for folder in wanted {
        let path = folder.path.display().to_string();
        if !seen.insert(&folder.path) {
            return Err(format!("{key}: {path} stands there twice"));
        }
        match volumes.iter().find(|volume| volume.root == folder.path) {
            Some(volume) if volume.storage_type != folder.storage_type => {
                return Err(format!("{key}: {path}: its storage type changed; needs a restart"));
            }
            Some(_) => {}
            None if failed.contains(&path) => {}
            None => fresh.push(folder),
        }
    }
    Ok(fresh)
}

impl Store {
    /// Takes a volume out of use that works.
    fn dismiss(&self, volume: &Arc<Volume>) {
        let worked = volume.fail();
        let (writers, replicas) = {
            let mut map = self.replicas.lock();
            (map.writers_on(volume.index), map.forget_volume(volume.index))
        };
        let known = self.writers.lock();
        for stop in writers.iter().filter_map(|writer| known.get(writer)) {
            stop.stop();
        }
        drop(known);
        self.volumes.write().retain(|each| each.index != volume.index);
        if worked {
            self.swapped.departed.lock().push((volume.index, volume.storage()));
        }
        let root = volume.root.display();
        tracing::info!(volume = %root, replicas, "data folder is not used any more");
    }

    /// Uses a volume from now on.
    fn join(&self, joining: Joining) {
        let Joining { volume, replicas } = joining;
        let id = &volume.storage_id;
        self.swapped.departed.lock().retain(|(_, storage)| storage.storage_uuid != *id);
        self.volumes.write().push(Arc::clone(&volume));
        let count = replicas.len();
        let losers: Vec<_> = {
            let mut map = self.replicas.lock();
            replicas.into_iter().filter_map(|(id, found)| map.load(id, found)).collect()
        };
        for lost in losers {
            let Ok(owner) = self.volume(lost.replica.volume) else { continue };
            let root = owner.root.display();
            tracing::warn!(block = lost.id, volume = %root, "second replica, deleted");
            if let Err(error) = scan::discard(&*owner.disk, &self.layout, lost.id, &lost.replica) {
                tracing::warn!(block = lost.id, %error, "a second replica could not be deleted");
            }
        }
        tracing::info!(volume = %volume.root.display(), replicas = count, "data folder is used");
    }

    /// Whether volumes came or went since this was asked last: the namenode must hear of it.
    pub(crate) fn volumes_changed(&self) -> bool {
        self.swapped.changed.swap(false, Ordering::AcqRel)
    }

    /// Volumes that went and that the namenode still believes in; they are reported as empty.
    pub(crate) fn departed(&self) -> Vec<(VolumeIndex, DatanodeStorageProto)> {
        self.swapped.departed.lock().clone()
    }

    /// The namenode has heard that these are empty.
    pub(crate) fn told_of(&self, departed: &[(VolumeIndex, DatanodeStorageProto)]) {
        let told = |index: &VolumeIndex| departed.iter().any(|(each, _)| each == index);
        self.swapped.departed.lock().retain(|(index, _)| !told(index));
    }
}
