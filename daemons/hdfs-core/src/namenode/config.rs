//! Every limit and default the namenode core obeys. The edge fills it from `hdfs-site.xml`; the
//! defaults are Hadoop's own.

use crate::Millis;

/// Which cluster this namenode is the namenode of; from the `VERSION` file.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Identity {
    /// Random positive number chosen at format.
    pub namespace_id: u32,
    /// `CID-...`.
    pub cluster_id: String,
    /// `BP-...`; every block travels under it.
    pub block_pool_id: String,
    /// Milliseconds since the epoch at which the namespace was made.
    pub creation_time: u64,
}

/// Limits and defaults, named after what they bound; the Hadoop key is in each line.
#[derive(Debug, Clone)]
pub struct Config {
    /// Which cluster this is.
    pub identity: Identity,
    /// The user the namenode runs as; the superuser.
    pub superuser: String,
    /// `dfs.permissions.superusergroup`: its members are superusers too.
    pub supergroup: String,
    /// `dfs.permissions.enabled`.
    pub permissions_enabled: bool,
    /// `dfs.namenode.acls.enabled`.
    pub acls_enabled: bool,
    /// `dfs.namenode.posix.acl.inheritance.enabled`.
    pub posix_acl_inheritance: bool,
    /// `dfs.namenode.xattrs.enabled`.
    pub xattrs_enabled: bool,
    /// `dfs.replication`, told to clients that ask for server defaults.
    pub replication: u16,
    /// `dfs.namenode.replication.min`.
    pub replication_min: u16,
    /// `dfs.replication.max`.
    pub replication_max: u16,
    /// `dfs.blocksize` in bytes.
    pub block_size: u64,
    /// `dfs.namenode.fs-limits.min-block-size` in bytes.
    pub block_size_min: u64,
    /// `dfs.namenode.fs-limits.max-blocks-per-file`.
    pub blocks_per_file_max: usize,
    /// `dfs.namenode.fs-limits.max-component-length` in bytes; 0 is no limit.
    pub component_length_max: usize,
    /// `dfs.namenode.fs-limits.max-directory-items`.
    pub directory_items_max: usize,
    /// `dfs.namenode.fs-limits.max-xattrs-per-inode`.
    pub xattrs_per_inode_max: usize,
    /// `dfs.namenode.fs-limits.max-xattr-size`: bytes of name and value together.
    pub xattr_size_max: usize,
    /// `dfs.namenode.accesstime.precision`; 0 turns access times off.
    pub access_time_precision: Millis,
    /// `dfs.ls.limit`: entries (or locations) per listing page.
    pub listing_limit: usize,
    /// `dfs.namenode.list.openfiles.num.responses`.
    pub open_files_limit: usize,
    /// Fixed in Hadoop: after this another client may take the file over.
    pub lease_soft_limit: Millis,
    /// `dfs.namenode.lease-hard-limit-sec`: after this the namenode closes the file itself.
    pub lease_hard_limit: Millis,
    /// `dfs.namenode.lease-recheck-interval-ms`.
    pub lease_recheck_interval: Millis,
    /// `dfs.namenode.retrycache.expirytime.millis`.
    pub retry_cache_expiry: Millis,
    /// Most answers the retry cache remembers at a time: 0.03 % of heap in Java, here a plain
    /// number, about 10 minutes of 400 at-most-once calls a second.
    pub retry_cache_entries_max: usize,
    /// `dfs.bytes-per-checksum`.
    pub bytes_per_checksum: u32,
    /// `dfs.client-write-packet-size` in bytes.
    pub write_packet_size: u32,
    /// `io.file.buffer.size` in bytes.
    pub file_buffer_size: u32,
    /// `fs.trash.interval` in minutes; 0 is off.
    pub trash_interval: u64,
    /// `dfs.checksum.type`: 0 NULL, 1 CRC32, 2 CRC32C.
    pub checksum_type: i32,
    /// `dfs.heartbeat.interval`.
    pub heartbeat_interval: Millis,
    /// `dfs.namenode.heartbeat.recheck-interval`.
    pub heartbeat_recheck_interval: Millis,
    /// `dfs.namenode.stale.datanode.interval`.
    pub stale_interval: Millis,
    /// `dfs.namenode.redundancy.interval.seconds`.
    pub redundancy_interval: Millis,
    /// `dfs.namenode.replication.work.multiplier.per.iteration`.
    pub replication_work_multiplier: usize,
    /// `dfs.namenode.replication.max-streams`.
    pub replication_streams_max: usize,
    /// `dfs.namenode.replication.max-streams-hard-limit`.
    pub replication_streams_hard_limit: usize,
    /// `dfs.namenode.reconstruction.pending.timeout-sec`.
    pub reconstruction_timeout: Millis,
    /// `dfs.block.invalidate.limit`: deletions per heartbeat answer.
    pub invalidate_limit: usize,
    /// `dfs.namenode.safemode.threshold-pct`.
    pub safemode_threshold: f64,
    /// `dfs.namenode.safemode.extension`.
    pub safemode_extension: Millis,
    /// `dfs.namenode.safemode.min.datanodes`.
    pub safemode_datanodes_min: usize,
    /// `dfs.namenode.datanode.registration.ip-hostname-check` is off here; this is the rack of a
    /// datanode without a mapping.
    pub default_rack: String,
    /// This host's name, as safe mode messages show it.
    pub hostname: String,
    /// Seed of the only source of randomness in the core.
    pub seed: u64,
}

/// Seconds as milliseconds.
const fn seconds(count: u64) -> Millis {
    count * 1000
}

impl Default for Config {
    fn default() -> Self {
        Self {
            identity: Identity::default(),
            superuser: "hdfs".to_owned(),
            supergroup: "supergroup".to_owned(),
            permissions_enabled: true,
            acls_enabled: true,
            posix_acl_inheritance: true,
            xattrs_enabled: true,
            replication: 3,
            replication_min: 1,
            replication_max: 512,
            block_size: 128 << 20,
            block_size_min: 1 << 20,
            blocks_per_file_max: 10_000,
            component_length_max: 255,
            directory_items_max: 1 << 20,
            xattrs_per_inode_max: 32,
            xattr_size_max: 16_384,
            access_time_precision: seconds(3600),
            listing_limit: 1000,
            open_files_limit: 1000,
            lease_soft_limit: seconds(60),
            lease_hard_limit: seconds(1200),
            lease_recheck_interval: seconds(2),
            retry_cache_expiry: seconds(600),
            retry_cache_entries_max: 262_144,
            bytes_per_checksum: 512,
            write_packet_size: 65_536,
            file_buffer_size: 4096,
            trash_interval: 0,
            checksum_type: 2,
            heartbeat_interval: seconds(3),
            heartbeat_recheck_interval: seconds(300),
            stale_interval: seconds(30),
            redundancy_interval: seconds(3),
            replication_work_multiplier: 2,
            replication_streams_max: 2,
            replication_streams_hard_limit: 4,
            reconstruction_timeout: seconds(300),
            invalidate_limit: 1000,
            safemode_threshold: 0.999,
            safemode_extension: seconds(30),
            safemode_datanodes_min: 0,
            default_rack: "/default-rack".to_owned(),
            hostname: "localhost".to_owned(),
            seed: 0,
        }
    }
}
