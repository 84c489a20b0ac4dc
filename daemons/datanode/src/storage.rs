//! Opening the data folders: lock, VERSION files, the folders of the block pool. Every refusal is
//! one line that names the folder and the remedy.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use hdfs_core::datanode::files::Layout;
use hdfs_core::datanode::scan;
use hdfs_core::datanode::{Replica, Replicas, VolumeIndex};
use hdfs_disk::disk::{Disk, DiskLock, write_atomic};
use hdfs_disk::replica::VOLUME_VERSION;
use hdfs_disk::storage::{DATANODE_LAYOUT, PROPERTIES_LENGTH_MAX, PoolVersion, VolumeVersion};
use hdfs_edge::daemon::Failure;
use hdfs_edge::disk::LocalDisk;
use hdfs_wire::proto::hdfs::NamespaceInfoProto;

use crate::random;
use crate::settings::{DataFolder, Settings};
use crate::volume::{Parts, Volume};

/// Whose blocks a datanode holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Namespace {
    pub(crate) pool: String,
    pub(crate) cluster_id: String,
    pub(crate) namespace_id: u32,
    pub(crate) creation_time: u64,
}

impl From<&NamespaceInfoProto> for Namespace {
    fn from(info: &NamespaceInfoProto) -> Self {
        Self {
            pool: info.block_pool_id.clone(),
            cluster_id: info.storage_info.cluster_id.clone(),
            namespace_id: info.storage_info.namespce_id,
            creation_time: info.storage_info.c_time,
        }
    }
}

/// A locked data folder whose cluster is not checked yet.
struct Opened {
    index: VolumeIndex,
    folder: DataFolder,
    disk: Arc<dyn Disk>,
    lock: Box<dyn DiskLock>,
    version: Option<VolumeVersion>,
}

/// All data folders of this datanode, locked.
pub(crate) struct Folders {
    opened: Vec<Opened>,
    /// Folders that could not be opened, of those that may fail.
    failed: Vec<String>,
    /// The datanode's own id, the same in all folders.
    pub(crate) datanode_uuid: String,
}

/// The datanode's storage, ready for use.
pub(crate) struct Storage {
    pub(crate) volumes: Vec<Arc<Volume>>,
    pub(crate) replicas: Replicas,
    pub(crate) layout: Layout,
    pub(crate) failed: Vec<String>,
}

pub(crate) fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

impl Folders {
    /// Opens and locks all folders.
    pub(crate) fn open(settings: &Settings) -> Result<Self, Failure> {
        let (mut opened, mut failed) = (Vec::new(), Vec::new());
        let mut first_failure = None;
        for (index, folder) in settings.folders.iter().enumerate() {
            let index = VolumeIndex::try_from(index)
                .map_err(|_| Failure::user("dfs.datanode.data.dir: more than 65535 folders"))?;
            match open_one(index, folder) {
                Ok(one) => opened.push(one),
                Err(failure) => {
                    failed.push(folder.path.display().to_string());
                    first_failure.get_or_insert(failure);
                }
            }
        }
        check_failed(settings, opened.len(), failed.len(), first_failure)?;
        let mut known: Vec<_> = opened
            .iter()
            .filter_map(|one| Some((one, one.version.as_ref()?.datanode_uuid.clone())))
            .collect();
        known.dedup_by(|a, b| a.1 == b.1);
        if let [(first, uuid), (second, other), ..] = &known[..] {
            return Err(Failure::user(format!(
                "dfs.datanode.data.dir: {} belongs to datanode {uuid} and {} to {other}; use \
                 folders of one datanode",
                first.folder.path.display(),
                second.folder.path.display()
            )));
        }
        let datanode_uuid = match known.pop() {
            Some((_, uuid)) => uuid,
            None => new_uuid()?,
        };
        Ok(Self { opened, failed, datanode_uuid })
    }

    /// Checks that the folders are of this cluster, creates what is missing, and scans them.
    pub(crate) fn attach(
        self,
        namespace: &Namespace,
        settings: &Settings,
    ) -> Result<Storage, Failure> {
        let layout = Layout::new(&namespace.pool).ok_or_else(|| {
            Failure::failed(format!("the namenode's block pool id {:?} is none", namespace.pool))
        })?;
        let mut versions = Vec::new();
        for one in &self.opened {
            versions.push(attach_one(one, namespace, &layout, &self.datanode_uuid)?);
        }
        let scans = scan_all(&self.opened, &layout);
        let mut replicas = Replicas::new(&namespace.pool);
        let mut losers: Vec<(i64, Replica)> = Vec::new();
        let mut volumes = Vec::new();
        for ((one, version), found) in self.opened.into_iter().zip(versions).zip(scans) {
            let path = one.folder.path.display().to_string();
            let found = found.map_err(|error| {
                Failure::user(format!(
                    "dfs.datanode.data.dir: {path} cannot be scanned: {error}; repair the disk \
                     or remove the folder from the list"
                ))
            })?;
            for note in &found.notes {
                tracing::warn!(volume = path, "{note}");
            }
            tracing::info!(volume = path, replicas = found.replicas.len(), "scanned");
            for (id, replica) in found.replicas {
                losers.extend(replicas.load(id, replica).map(|lost| (lost.id, lost.replica)));
            }
            let volume = one.into_volume(version.storage_id, settings.reserved, found.used);
            volumes.push(Arc::new(volume));
        }
        for (id, loser) in losers {
            let Some(volume) = volumes.iter().find(|each| each.index == loser.volume) else {
                continue;
            };
            tracing::warn!(block = id, volume = %volume.root.display(), "second replica, deleted");
            if let Err(error) = scan::discard(&*volume.disk, &layout, id, &loser) {
                tracing::warn!(block = id, %error, "a second replica could not be deleted");
            }
        }
        Ok(Storage { volumes, replicas, layout, failed: self.failed })
    }
}

/// A data folder that a running datanode is about to use: locked, checked and scanned.
pub(crate) struct Joining {
    pub(crate) volume: Arc<Volume>,
    pub(crate) replicas: Vec<(i64, Replica)>,
}

/// Gets a further data folder ready. What it lacks is created in it; should the folder not be used
/// after all, it stays as an empty one of this datanode.
///
/// # Errors
/// It cannot be used, or belongs to another datanode or cluster.
pub(crate) fn join(
    (index, folder): (VolumeIndex, &DataFolder),
    (namespace, datanode_uuid): (&Namespace, &str),
    layout: &Layout,
    reserved: u64,
) -> Result<Joining, Failure> {
    let refuse = |reason: String| {
        Failure::user(format!("dfs.datanode.data.dir: {}: {reason}", folder.path.display()))
    };
    let one = open_one(index, folder)?;
    if let Some(version) = &one.version
        && version.datanode_uuid != datanode_uuid
    {
        let other = &version.datanode_uuid;
        return Err(refuse(format!("belongs to datanode {other}; use folders of one datanode")));
    }
    let version = attach_one(&one, namespace, layout, datanode_uuid)?;
    let found = scan::scan(&*one.disk, layout, index)
        .map_err(|error| refuse(format!("cannot be scanned: {error}; repair the disk")))?;
    let path = folder.path.display().to_string();
    for note in &found.notes {
        tracing::warn!(volume = path, "{note}");
    }
    tracing::info!(volume = path, replicas = found.replicas.len(), "scanned");
    let volume = Arc::new(one.into_volume(version.storage_id, reserved, found.used));
    Ok(Joining { volume, replicas: found.replicas })
}

impl Opened {
    fn into_volume(self, storage_id: String, reserved: u64, used: u64) -> Volume {
        Volume::new(Parts {
            index: self.index,
            storage_id,
            storage_type: self.folder.storage_type,
            root: self.folder.path,
            disk: self.disk,
            reserved,
            used,
            lock: self.lock,
        })
    }
}

/// One thread for each folder: they are usually different disks.
fn scan_all(opened: &[Opened], layout: &Layout) -> Vec<io::Result<scan::Found>> {
    std::thread::scope(|scope| {
        let threads: Vec<_> = opened
            .iter()
            .map(|one| scope.spawn(|| scan::scan(&*one.disk, layout, one.index)))
            .collect();
        let lost = || io::Error::other("the scanning thread ended early");
        threads.into_iter().map(|thread| thread.join().unwrap_or_else(|_| Err(lost()))).collect()
    })
}

fn new_uuid() -> Result<String, Failure> {
    random::uuid().map_err(|error| Failure::failed(format!("no random id: {error}")))
}

fn check_failed(
    settings: &Settings,
    good: usize,
    failed: usize,
    first: Option<Failure>,
) -> Result<(), Failure> {
    let tolerated = settings.failed_volumes_tolerated;
    let too_many = match tolerated {
        -1 => good == 0,
        _ => failed > usize::try_from(tolerated).unwrap_or(0),
    };
    match first {
        Some(failure) if too_many || good == 0 => Err(failure),
        Some(failure) => {
            tracing::error!("{failure}; going on without it");
            Ok(())
        }
        None => Ok(()),
    }
}

fn open_one(index: VolumeIndex, folder: &DataFolder) -> Result<Opened, Failure> {
    let path = &folder.path;
    let refuse = |reason: String| {
        Failure::user(format!("dfs.datanode.data.dir: {}: {reason}", path.display()))
    };
    let unusable = |error: io::Error| {
        refuse(match error.kind() {
            io::ErrorKind::ReadOnlyFilesystem => {
                "the file system is read-only; remount it or remove the folder from the list"
                    .to_owned()
            }
            io::ErrorKind::PermissionDenied => {
                "no permission; a folder that this user owns is needed".to_owned()
            }
            io::ErrorKind::WouldBlock => format!("in use: {error}; stop the other process"),
            _ => format!("cannot be used: {error}"),
        })
    };
    prepare(path).map_err(unusable)?;
    let disk: Arc<dyn Disk> = Arc::new(LocalDisk::open(path).map_err(unusable)?);
    let lock = disk.lock().map_err(unusable)?;
    let version = match disk.read(VOLUME_VERSION, PROPERTIES_LENGTH_MAX) {
        Ok(bytes) => Some(
            VolumeVersion::parse(&bytes)
                .map_err(|error| refuse(format!("{VOLUME_VERSION}: {error}")))?,
        ),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => return Err(unusable(error)),
    };
    Ok(Opened { index, folder: folder.clone(), disk, lock, version })
}

fn prepare(path: &Path) -> io::Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    fs::create_dir_all(path)?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o700))
}

fn attach_one(
    one: &Opened,
    namespace: &Namespace,
    layout: &Layout,
    datanode_uuid: &str,
) -> Result<VolumeVersion, Failure> {
    let refuse = |reason: String| {
        Failure::user(format!("dfs.datanode.data.dir: {}: {reason}", one.folder.path.display()))
    };
    let version = match &one.version {
        Some(version) if version.cluster_id == namespace.cluster_id => version.clone(),
        Some(version) => {
            return Err(refuse(format!(
                "belongs to cluster {} and the namenode is of {}; use that cluster's namenode or \
                 an empty folder",
                version.cluster_id, namespace.cluster_id
            )));
        }
        None => VolumeVersion {
            storage_id: format!("DS-{}", new_uuid()?),
            cluster_id: namespace.cluster_id.clone(),
            datanode_uuid: datanode_uuid.to_owned(),
            layout: DATANODE_LAYOUT,
        },
    };
    let failed = |error: io::Error| refuse(format!("cannot be written: {error}"));
    if one.version.is_none() {
        one.disk.create_folder("current").map_err(failed)?;
        write_atomic(&*one.disk, VOLUME_VERSION, version.print(now_ms()).as_bytes())
            .map_err(failed)?;
    }
    layout.prepare(&*one.disk).map_err(failed)?;
    let path = &layout.paths().version;
    match one.disk.read(path, PROPERTIES_LENGTH_MAX) {
        Ok(bytes) => {
            check_pool(&bytes, namespace).map_err(|reason| refuse(format!("{path}: {reason}")))?;
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let pool = PoolVersion {
                namespace_id: namespace.namespace_id,
                block_pool_id: namespace.pool.clone(),
                creation_time: namespace.creation_time,
                layout: DATANODE_LAYOUT,
            };
            write_atomic(&*one.disk, path, pool.print(now_ms()).as_bytes()).map_err(failed)?;
        }
        Err(error) => return Err(failed(error)),
    }
    Ok(version)
}

fn check_pool(bytes: &[u8], namespace: &Namespace) -> Result<(), String> {
    let pool = PoolVersion::parse(bytes).map_err(|error| error.to_string())?;
    if pool.block_pool_id != namespace.pool || pool.namespace_id != namespace.namespace_id {
        return Err(format!(
            "belongs to namespace {} and the namenode's is {}; use that namenode or an empty \
             folder",
            pool.namespace_id, namespace.namespace_id
        ));
    }
    if pool.creation_time > namespace.creation_time {
        return Err(format!(
            "was upgraded at {}, after the namenode's namespace ({}); use the upgraded namenode",
            pool.creation_time, namespace.creation_time
        ));
    }
    Ok(())
}
