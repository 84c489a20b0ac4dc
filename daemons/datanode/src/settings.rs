//! The datanode's part of the configuration as plain values. Reads keys once; nothing here acts.

use std::path::PathBuf;
use std::time::Duration;

use hdfs_core::datanode::schedule::Intervals;
use hdfs_edge::config::Config;
use hdfs_edge::daemon::Failure;
use hdfs_edge::{keys, net};
use hdfs_wire::proto::hdfs::StorageTypeProto;

/// What this datanode says it is; Java's namenodes compare it with the oldest version they accept.
pub(crate) const SOFTWARE_VERSION: &str = "3.4.1";

/// Reading from another datanode may take this much longer for each one after it.
const READ_TIMEOUT_PER_NODE: Duration = Duration::from_secs(5);

/// Writing to another datanode may take this much longer for each one after it.
const WRITE_TIMEOUT_PER_NODE: Duration = Duration::from_secs(5);

/// A data folder.
#[derive(Debug, Clone)]
pub(crate) struct DataFolder {
    pub(crate) path: PathBuf,
    pub(crate) storage_type: StorageTypeProto,
}

/// A `host:port` to listen on, and the key that set it.
#[derive(Debug, Clone)]
pub(crate) struct Address {
    pub(crate) host: String,
    pub(crate) port: u16,
    pub(crate) key: &'static str,
}

/// When the datanode talks to its namenode. May change while it runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Timing {
    /// The intervals.
    pub(crate) intervals: Intervals,
    /// A full report of more replicas goes in one call for each storage.
    pub(crate) split_threshold: u64,
}

impl Timing {
    pub(crate) fn read(config: &Config) -> Self {
        let millis = |key| u64::try_from(config.millis(key)).unwrap_or(0);
        let threshold = config.integer(&keys::DFS_BLOCKREPORT_SPLIT_THRESHOLD);
        Self {
            intervals: Intervals {
                heartbeat: millis(&keys::DFS_HEARTBEAT_INTERVAL),
                full_report: millis(&keys::DFS_BLOCKREPORT_INTERVAL_MSEC),
            },
            split_threshold: u64::try_from(threshold).unwrap_or(0),
        }
    }
}

/// A number of the table as a count of things.
pub(crate) fn count(config: &Config, key: &keys::Key) -> usize {
    usize::try_from(config.integer(key)).unwrap_or(usize::MAX)
}

/// Everything the datanode reads from its configuration at its start.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    pub(crate) folders: Vec<DataFolder>,
    pub(crate) failed_volumes_tolerated: i64,
    pub(crate) reserved: u64,
    pub(crate) namenode: String,
    pub(crate) host_name: String,
    pub(crate) transfer: Address,
    pub(crate) ipc: Address,
    pub(crate) http: Address,
    pub(crate) timing: Timing,
    pub(crate) transfers_max: usize,
    pub(crate) keepalive: Duration,
    pub(crate) read_timeout: Duration,
    pub(crate) write_timeout: Duration,
    pub(crate) sync_on_close: bool,
    pub(crate) balance_bandwidth: u64,
    pub(crate) balance_moves_max: usize,
}

impl Settings {
    pub(crate) fn read(config: &Config) -> Result<Self, Failure> {
        let address = |key: &'static keys::Key, port: u16| {
            let (host, port) =
                config.address(key, port).unwrap_or_else(|| ("0.0.0.0".to_owned(), port));
            Address { host, port, key: key.name }
        };
        let (host, port) = match config.address(&keys::DFS_NAMENODE_SERVICERPC_ADDRESS, 8020) {
            Some(service) => service,
            None => config.namenode_rpc()?,
        };
        let named = config.text(&keys::DFS_DATANODE_HOSTNAME);
        Ok(Self {
            folders: folders(config)?,
            failed_volumes_tolerated: config.integer(&keys::DFS_DATANODE_FAILED_VOLUMES_TOLERATED),
            reserved: config.size(&keys::DFS_DATANODE_DU_RESERVED),
            namenode: format!("{host}:{port}"),
            host_name: if named.is_empty() { net::host_name() } else { named },
            transfer: address(&keys::DFS_DATANODE_ADDRESS, 9866),
            ipc: address(&keys::DFS_DATANODE_IPC_ADDRESS, 9867),
            http: address(&keys::DFS_DATANODE_HTTP_ADDRESS, 9864),
            timing: Timing::read(config),
            transfers_max: count(config, &keys::DFS_DATANODE_MAX_TRANSFER_THREADS),
            keepalive: config.time(&keys::DFS_DATANODE_SOCKET_REUSE_KEEPALIVE),
            read_timeout: config.time(&keys::DFS_CLIENT_SOCKET_TIMEOUT),
            write_timeout: config.time(&keys::DFS_DATANODE_SOCKET_WRITE_TIMEOUT),
            sync_on_close: config.boolean(&keys::DFS_DATANODE_SYNCONCLOSE),
            balance_bandwidth: config.size(&keys::DFS_DATANODE_BALANCE_BANDWIDTH_PER_SEC),
            balance_moves_max: count(config, &keys::DFS_DATANODE_BALANCE_MAX_CONCURRENT_MOVES),
        })
    }

    /// How long an answer of a pipeline with so many nodes after this one may take.
    pub(crate) fn read_timeout_for(&self, nodes: usize) -> Duration {
        self.read_timeout + READ_TIMEOUT_PER_NODE * u32::try_from(nodes).unwrap_or(u32::MAX)
    }

    /// How long such a pipeline may take no bytes.
    pub(crate) fn write_timeout_for(&self, nodes: usize) -> Duration {
        self.write_timeout + WRITE_TIMEOUT_PER_NODE * u32::try_from(nodes).unwrap_or(u32::MAX)
    }
}

/// The folders of `dfs.datanode.data.dir`.
///
/// # Errors
/// There are none, or one has no absolute path.
pub(crate) fn folders(config: &Config) -> Result<Vec<DataFolder>, Failure> {
    let key = &keys::DFS_DATANODE_DATA_DIR;
    let found: Vec<_> = config
        .folders(key)
        .into_iter()
        .map(|folder| DataFolder {
            storage_type: StorageTypeProto::from_str_name(&folder.storage_type)
                .unwrap_or(StorageTypeProto::Disk),
            path: folder.path,
        })
        .collect();
    let relative = found.iter().find(|folder| !folder.path.is_absolute());
    if found.is_empty() || relative.is_some() {
        return Err(config
            .refused(key.name, "absolute paths, separated by commas, are accepted")
            .into());
    }
    Ok(found)
}
