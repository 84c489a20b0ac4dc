//! From Hadoop's keys to what the namenode and its core obey.

use std::path::PathBuf;
use std::time::Duration;

use hdfs_core::namenode as core;
use hdfs_disk::storage::Retention;
use hdfs_edge::config::{Config, ConfigError};
use hdfs_edge::keys::{self, Key};
use hdfs_edge::{groups, net};

/// What the driver itself needs to know.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    /// Where clients reach the namenode: announced host and port.
    pub(crate) rpc: (String, u16),
    /// The host the RPC server listens on.
    pub(crate) rpc_bind: String,
    /// The key to name when the RPC address cannot be used.
    pub(crate) rpc_key: &'static str,
    pub(crate) http: (String, u16),
    pub(crate) http_bind: String,
    /// Folders with image and transactions.
    pub(crate) name_folders: Vec<PathBuf>,
    pub(crate) retention: Retention,
    /// Free bytes of a name folder below which the namenode accepts no changes.
    pub(crate) space_reserved: u64,
    pub(crate) space_check_interval: Duration,
    /// Transactions in the open segment after which it is closed.
    pub(crate) roll_after: u64,
    pub(crate) roll_check_interval: Duration,
    pub(crate) checkpoint_period: Duration,
    pub(crate) checkpoint_transactions: u64,
    pub(crate) frame_length_max: usize,
    pub(crate) connections_max: usize,
    pub(crate) format_allowed: bool,
    /// The program that knows racks.
    pub(crate) rack_script: Option<PathBuf>,
}

impl Settings {
    /// # Errors
    /// A key that only this daemon can judge has a value it cannot use.
    pub(crate) fn new(config: &Config) -> Result<Self, ConfigError> {
        let rpc = config.namenode_rpc()?;
        let rpc_key = if config.is_set(&keys::DFS_NAMENODE_RPC_ADDRESS) {
            keys::DFS_NAMENODE_RPC_ADDRESS.name
        } else {
            keys::FS_DEFAULT_FS.name
        };
        let http = config
            .address(&keys::DFS_NAMENODE_HTTP_ADDRESS, 9870)
            .unwrap_or_else(|| ("0.0.0.0".to_owned(), 9870));
        let name_folders = name_folders(config)?;
        let transactions = config.integer(&keys::DFS_NAMENODE_CHECKPOINT_TXNS);
        let share = config.float(&keys::DFS_NAMENODE_EDIT_LOG_AUTOROLL_MULTIPLIER_THRESHOLD);
        Ok(Self {
            rpc_bind: or_else(config.text(&keys::DFS_NAMENODE_RPC_BIND_HOST), &rpc.0),
            rpc,
            rpc_key,
            http_bind: or_else(config.text(&keys::DFS_NAMENODE_HTTP_BIND_HOST), &http.0),
            http,
            name_folders,
            retention: retention(config),
            space_reserved: config.size(&keys::DFS_NAMENODE_RESOURCE_DU_RESERVED),
            space_check_interval: config.time(&keys::DFS_NAMENODE_RESOURCE_CHECK_INTERVAL),
            roll_after: share_of(transactions, share),
            roll_check_interval: config
                .time(&keys::DFS_NAMENODE_EDIT_LOG_AUTOROLL_CHECK_INTERVAL_MS),
            checkpoint_period: config.time(&keys::DFS_NAMENODE_CHECKPOINT_PERIOD),
            checkpoint_transactions: number(config, &keys::DFS_NAMENODE_CHECKPOINT_TXNS),
            frame_length_max: number_of(config.size(&keys::IPC_MAXIMUM_DATA_LENGTH)),
            connections_max: match number(config, &keys::IPC_SERVER_MAX_CONNECTIONS) {
                0 => CONNECTIONS_MAX,
                given => given,
            },
            format_allowed: config.boolean(&keys::DFS_NAMENODE_SUPPORT_ALLOW_FORMAT),
            rack_script: config.path(&keys::NET_TOPOLOGY_SCRIPT_FILE_NAME),
        })
    }
}

/// RPC connections when no key says otherwise; at 8 KB each they cost 160 MB at most.
const CONNECTIONS_MAX: usize = 20_000;

fn name_folders(config: &Config) -> Result<Vec<PathBuf>, ConfigError> {
    let folders = folders_of(config, &keys::DFS_NAMENODE_NAME_DIR, &keys::DFS_NAMENODE_EDITS_DIR)?;
    if config.is_set(&keys::DFS_NAMENODE_SHARED_EDITS_DIR) {
        let key = keys::DFS_NAMENODE_SHARED_EDITS_DIR.name;
        return Err(
            config.refused(key, "shared transactions are not supported yet; remove the key")
        );
    }
    Ok(folders)
}

/// Folders that hold images and transactions alike: both keys must name the same.
pub(crate) fn folders_of(
    config: &Config,
    images: &Key,
    edits: &Key,
) -> Result<Vec<PathBuf>, ConfigError> {
    let paths = |key: &Key| -> Vec<PathBuf> {
        config.folders(key).into_iter().map(|folder| folder.path).collect()
    };
    let folders = paths(images);
    if folders.is_empty() {
        return Err(config.refused(images.name, "at least one folder is needed"));
    }
    if let Some(relative) = folders.iter().find(|folder| !folder.is_absolute()) {
        let message = format!("an absolute path is accepted, not {}", relative.display());
        return Err(config.refused(images.name, message));
    }
    if paths(edits) != folders {
        let message = format!("only the folders of {} are accepted", images.name);
        return Err(config.refused(edits.name, message));
    }
    Ok(folders)
}

fn or_else(text: String, other: &str) -> String {
    if text.is_empty() { other.to_owned() } else { text }
}

/// Which images and segments are kept.
pub(crate) fn retention(config: &Config) -> Retention {
    Retention {
        images: number(config, &keys::DFS_NAMENODE_NUM_CHECKPOINTS_RETAINED),
        extra_transactions: number(config, &keys::DFS_NAMENODE_NUM_EXTRA_EDITS_RETAINED),
        extra_segments_max: number(config, &keys::DFS_NAMENODE_MAX_EXTRA_EDITS_SEGMENTS_RETAINED),
    }
}

/// A number of the table, whose range fits the type it is read as; larger ones mean "no limit".
pub(crate) fn number<T: TryFrom<i64> + Bounded>(config: &Config, key: &Key) -> T {
    T::try_from(config.integer(key)).unwrap_or(T::MOST)
}

fn number_of(size: u64) -> usize {
    usize::try_from(size).unwrap_or(usize::MAX)
}

/// Types with a largest value.
pub(crate) trait Bounded {
    const MOST: Self;
}
macro_rules! bounded {
    ($($kind:ty),*) => { $(impl Bounded for $kind { const MOST: Self = <$kind>::MAX; })* };
}
bounded!(u16, u32, u64, usize);

#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss)]
fn share_of(transactions: i64, share: f64) -> u64 {
    ((transactions as f64) * share) as u64
}

/// The core's limits and defaults.
pub(crate) fn core_config(config: &Config, identity: core::Identity, seed: u64) -> core::Config {
    let millis = |key: &Key| u64::try_from(config.millis(key)).unwrap_or(0);
    core::Config {
        identity,
        superuser: groups::own_user().to_owned(),
        supergroup: config.text(&keys::DFS_PERMISSIONS_SUPERUSERGROUP),
        permissions_enabled: config.boolean(&keys::DFS_PERMISSIONS_ENABLED),
        acls_enabled: config.boolean(&keys::DFS_NAMENODE_ACLS_ENABLED),
        posix_acl_inheritance: config.boolean(&keys::DFS_NAMENODE_POSIX_ACL_INHERITANCE_ENABLED),
        xattrs_enabled: config.boolean(&keys::DFS_NAMENODE_XATTRS_ENABLED),
        replication: number(config, &keys::DFS_REPLICATION),
        replication_min: number(config, &keys::DFS_NAMENODE_REPLICATION_MIN),
        replication_max: number(config, &keys::DFS_REPLICATION_MAX),
        block_size: config.size(&keys::DFS_BLOCKSIZE),
        block_size_min: config.size(&keys::DFS_NAMENODE_FS_LIMITS_MIN_BLOCK_SIZE),
        blocks_per_file_max: number(config, &keys::DFS_NAMENODE_FS_LIMITS_MAX_BLOCKS_PER_FILE),
        component_length_max: number(config, &keys::DFS_NAMENODE_FS_LIMITS_MAX_COMPONENT_LENGTH),
        directory_items_max: number(config, &keys::DFS_NAMENODE_FS_LIMITS_MAX_DIRECTORY_ITEMS),
        xattrs_per_inode_max: number(config, &keys::DFS_NAMENODE_FS_LIMITS_MAX_XATTRS_PER_INODE),
        xattr_size_max: number_of(config.size(&keys::DFS_NAMENODE_FS_LIMITS_MAX_XATTR_SIZE)),
        access_time_precision: millis(&keys::DFS_NAMENODE_ACCESSTIME_PRECISION),
        listing_limit: number(config, &keys::DFS_LS_LIMIT),
        open_files_limit: number(config, &keys::DFS_NAMENODE_LIST_OPENFILES_NUM_RESPONSES),
        lease_hard_limit: millis(&keys::DFS_NAMENODE_LEASE_HARD_LIMIT_SEC),
        lease_recheck_interval: millis(&keys::DFS_NAMENODE_LEASE_RECHECK_INTERVAL_MS),
        retry_cache_expiry: millis(&keys::DFS_NAMENODE_RETRYCACHE_EXPIRYTIME_MILLIS),
        bytes_per_checksum: number(config, &keys::DFS_BYTES_PER_CHECKSUM),
        write_packet_size: number(config, &keys::DFS_CLIENT_WRITE_PACKET_SIZE),
        file_buffer_size: number(config, &keys::IO_FILE_BUFFER_SIZE),
        trash_interval: millis(&keys::FS_TRASH_INTERVAL) / 60_000,
        checksum_type: match config.text(&keys::DFS_CHECKSUM_TYPE).to_ascii_uppercase().as_str() {
            "NULL" => 0,
            "CRC32" => 1,
            _ => 2,
        },
        heartbeat_interval: millis(&keys::DFS_HEARTBEAT_INTERVAL),
        heartbeat_recheck_interval: millis(&keys::DFS_NAMENODE_HEARTBEAT_RECHECK_INTERVAL),
        stale_interval: millis(&keys::DFS_NAMENODE_STALE_DATANODE_INTERVAL),
        redundancy_interval: millis(&keys::DFS_NAMENODE_REDUNDANCY_INTERVAL_SECONDS),
        replication_work_multiplier: number(
            config,
            &keys::DFS_NAMENODE_REPLICATION_WORK_MULTIPLIER_PER_ITERATION,
        ),
        replication_streams_max: number(config, &keys::DFS_NAMENODE_REPLICATION_MAX_STREAMS),
        replication_streams_hard_limit: number(
            config,
            &keys::DFS_NAMENODE_REPLICATION_MAX_STREAMS_HARD_LIMIT,
        ),
        reconstruction_timeout: millis(&keys::DFS_NAMENODE_RECONSTRUCTION_PENDING_TIMEOUT_SEC),
        invalidate_limit: number(config, &keys::DFS_BLOCK_INVALIDATE_LIMIT),
        safemode_threshold: config.float(&keys::DFS_NAMENODE_SAFEMODE_THRESHOLD_PCT),
        safemode_extension: millis(&keys::DFS_NAMENODE_SAFEMODE_EXTENSION),
        safemode_datanodes_min: number(config, &keys::DFS_NAMENODE_SAFEMODE_MIN_DATANODES),
        hostname: net::host_name(),
        seed,
        ..core::Config::default()
    }
}
