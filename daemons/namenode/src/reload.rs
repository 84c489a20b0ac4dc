//! What a running namenode takes up when it reads its files again.
//!
//! Most keys are numbers of the core, which looks at them with each call: they are exchanged under
//! the exclusive lock, all at once. The hosts files are read before anything changes, so that one
//! that cannot be read is refused.

use std::sync::{Arc, Weak};

use hdfs_edge::config::Config;
use hdfs_edge::keys::{self, Key};
use hdfs_edge::live::Commit;

use crate::datanodes::{self, Maps};
use crate::server::Server;
use crate::settings::core_config;

/// The keys that only the core obeys, each time it is asked.
static OF_THE_CORE: &[&Key] = &[
    &keys::DFS_BLOCK_INVALIDATE_LIMIT,
    &keys::DFS_BLOCKSIZE,
    &keys::DFS_BYTES_PER_CHECKSUM,
    &keys::DFS_CHECKSUM_TYPE,
    &keys::DFS_CLIENT_WRITE_PACKET_SIZE,
    &keys::DFS_HEARTBEAT_INTERVAL,
    &keys::DFS_LS_LIMIT,
    &keys::DFS_NAMENODE_ACCESSTIME_PRECISION,
    &keys::DFS_NAMENODE_ACLS_ENABLED,
    &keys::DFS_NAMENODE_FS_LIMITS_MAX_BLOCKS_PER_FILE,
    &keys::DFS_NAMENODE_FS_LIMITS_MAX_COMPONENT_LENGTH,
    &keys::DFS_NAMENODE_FS_LIMITS_MAX_DIRECTORY_ITEMS,
    &keys::DFS_NAMENODE_FS_LIMITS_MAX_XATTR_SIZE,
    &keys::DFS_NAMENODE_FS_LIMITS_MAX_XATTRS_PER_INODE,
    &keys::DFS_NAMENODE_FS_LIMITS_MIN_BLOCK_SIZE,
    &keys::DFS_NAMENODE_HEARTBEAT_RECHECK_INTERVAL,
    &keys::DFS_NAMENODE_LEASE_HARD_LIMIT_SEC,
    &keys::DFS_NAMENODE_LEASE_RECHECK_INTERVAL_MS,
    &keys::DFS_NAMENODE_LIST_OPENFILES_NUM_RESPONSES,
    &keys::DFS_NAMENODE_POSIX_ACL_INHERITANCE_ENABLED,
    &keys::DFS_NAMENODE_RECONSTRUCTION_PENDING_TIMEOUT_SEC,
    &keys::DFS_NAMENODE_REDUNDANCY_INTERVAL_SECONDS,
    &keys::DFS_NAMENODE_REPLICATION_MAX_STREAMS,
    &keys::DFS_NAMENODE_REPLICATION_MAX_STREAMS_HARD_LIMIT,
    &keys::DFS_NAMENODE_REPLICATION_WORK_MULTIPLIER_PER_ITERATION,
    &keys::DFS_NAMENODE_RETRYCACHE_EXPIRYTIME_MILLIS,
    &keys::DFS_NAMENODE_STALE_DATANODE_INTERVAL,
    &keys::DFS_NAMENODE_XATTRS_ENABLED,
    &keys::DFS_PERMISSIONS_ENABLED,
    &keys::DFS_REPLICATION,
    &keys::DFS_REPLICATION_MAX,
    &keys::FS_TRASH_INTERVAL,
    &keys::IO_FILE_BUFFER_SIZE,
];

/// Registers what the namenode takes. The server owns its takers, so they must not own it.
pub(crate) fn register(server: &Arc<Server>) {
    let of_core = Arc::downgrade(server);
    server.live.on_reload_of(OF_THE_CORE.iter().copied(), move |config| {
        let (server, config) = (of_core.clone(), Arc::clone(config));
        Ok(Box::new(move || take_limits(&server, &config)))
    });
    hdfs_edge::rpc::follow_trace(&server.rpc_metrics, &server.live);
    let of_hosts = Arc::downgrade(server);
    let hosts = [&keys::DFS_HOSTS, &keys::DFS_HOSTS_EXCLUDE];
    server.live.on_reload_of(hosts, move |config| prepare_hosts(&of_hosts, config));
}

fn take_limits(server: &Weak<Server>, config: &Config) {
    let Some(server) = server.upgrade() else { return };
    let ((), aftermath) = server.change(|state| {
        let old = state.config();
        let new = core_config(config, old.identity.clone(), old.seed);
        state.reconfigure(new);
    });
    server.wake(&aftermath);
}

fn prepare_hosts(server: &Weak<Server>, config: &Config) -> Result<Commit, String> {
    let maps = Maps::new(config);
    let hosts = maps.hosts().map_err(|error| {
        format!("{} or {}: {error}", keys::DFS_HOSTS.name, keys::DFS_HOSTS_EXCLUDE.name)
    })?;
    let server = server.clone();
    Ok(Box::new(move || {
        let Some(server) = server.upgrade() else { return };
        *server.maps.lock() = maps;
        datanodes::take_hosts(&server, hosts);
    }))
}
