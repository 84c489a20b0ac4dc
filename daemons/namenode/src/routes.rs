//! One row per RPC method: protocol, method, and the core call behind it.
//!
//! A row's kind says how the call passes through the server: `read` under the shared lock, `write`
//! with an answer that waits for the disk, `report` for what is never on disk, `own` for what the
//! server answers by itself, `slow` for what may block, `direct` and `special` for the few with a
//! rule of
//! their own.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock};

use hdfs_core::namenode::Namenode as Core;
use hdfs_edge::rpc::{Call, Metrics, Responder, Service};
use hdfs_wire::{Exception, Fault};

use crate::server::{Received, Server};
use crate::{admin, checkpoint, datanodes};

/// `ClientProtocol`.
pub(crate) const CLIENT: &str = "org.apache.hadoop.hdfs.protocol.ClientProtocol";
/// `DatanodeProtocol`.
pub(crate) const DATANODE: &str = "org.apache.hadoop.hdfs.server.protocol.DatanodeProtocol";
const NAMENODE: &str = "org.apache.hadoop.hdfs.server.protocol.NamenodeProtocol";
const HA_SERVICE: &str = "org.apache.hadoop.ha.HAServiceProtocol";
const USER_MAPPINGS: &str = "org.apache.hadoop.security.RefreshUserMappingsProtocol";
const AUTHORIZATION: &str =
    "org.apache.hadoop.security.authorize.RefreshAuthorizationPolicyProtocol";
const CALL_QUEUE: &str = "org.apache.hadoop.ipc.RefreshCallQueueProtocol";
const GENERIC_REFRESH: &str = "org.apache.hadoop.ipc.GenericRefreshProtocol";
const GROUPS: &str = "org.apache.hadoop.tools.GetUserMappingsProtocol";
const RECONFIGURATION: &str = hdfs_edge::reconfiguration::PROTOCOL;
/// `ProtocolMetaInfoPB`.
pub(crate) const META_INFO: &str = "org.apache.hadoop.ipc.ProtocolMetaInfoPB";

type Run = fn(&Arc<Server>, Received, Responder);

struct Row {
    method: &'static str,
    run: Run,
}

/// Rows from lines of `kind "method" function`.
macro_rules! rows {
    ($($kind:ident $method:literal $function:expr;)*) => {
        &[$(Row {
            method: $method,
            run: |server, received, responder| rows!(@$kind server, received, responder, $function),
        },)*]
    };
    (@slow $server:ident, $received:ident, $responder:ident, $function:expr) => {
        $server.slow($received, $responder, $function)
    };
    (@direct $server:ident, $received:ident, $responder:ident, $function:expr) => {
        $function($server, &$received, $responder)
    };
    (@special $server:ident, $received:ident, $responder:ident, $function:expr) => {
        $function($server, $received, $responder)
    };
    (@$kind:ident $server:ident, $received:ident, $responder:ident, $function:expr) => {
        $server.$kind(&$received, $responder, $function)
    };
}

/// Every protocol of the namenode's RPC port with its methods.
const PROTOCOLS: &[(&str, &[Row])] = &[
    (CLIENT, CLIENT_ROWS),
    (DATANODE, DATANODE_ROWS),
    (NAMENODE, NAMENODE_ROWS),
    (
        HA_SERVICE,
        rows! {
            own "getServiceStatus" admin::service_status;
            own "monitorHealth" admin::monitor_health;
            own "transitionToActive" admin::transition_to_active;
            own "transitionToStandby" admin::transition_to_standby;
            own "transitionToObserver" admin::transition_to_observer;
        },
    ),
    (
        USER_MAPPINGS,
        rows! {
            own "refreshUserToGroupsMappings" admin::refresh_groups;
            own "refreshSuperUserGroupsConfiguration" admin::refresh_proxy_users;
        },
    ),
    (AUTHORIZATION, rows! { own "refreshServiceAcl" admin::refresh_service_acl; }),
    (CALL_QUEUE, rows! { own "refreshCallQueue" admin::refresh_call_queue; }),
    (GENERIC_REFRESH, rows! { own "refresh" admin::generic_refresh; }),
    (GROUPS, rows! { slow "getGroupsForUser" admin::groups_for_user; }),
    (
        RECONFIGURATION,
        rows! {
            own "listReconfigurableProperties" admin::reconfigurable_properties;
            own "getReconfigurationStatus" admin::reconfiguration_status;
            own "startReconfiguration" admin::start_reconfiguration;
        },
    ),
    (
        META_INFO,
        rows! {
            own "getProtocolVersions" admin::protocol_versions;
            own "getProtocolSignature" admin::protocol_signature;
        },
    ),
];

const DATANODE_ROWS: &[Row] = rows! {
    read "versionRequest" Core::version_request;
    special "registerDatanode" Server::register_datanode;
    report "sendHeartbeat" Core::send_heartbeat;
    direct "blockReport" Server::block_report;
    report "blockReceivedAndDeleted" Core::block_received_and_deleted;
    report "cacheReport" Core::cache_report;
    report "errorReport" Core::error_report;
    report "reportBadBlocks" Core::report_bad_blocks_of_datanode;
    write "commitBlockSynchronization" Core::commit_block_synchronization;
};

const NAMENODE_ROWS: &[Row] = rows! {
    read "versionRequest" Core::version_request;
    own "getTransactionId" admin::transaction_id;
    slow "getMostRecentCheckpointTxId" checkpoint::most_recent;
    slow "rollEditLog" checkpoint::roll_edit_log;
    slow "getEditLogManifest" checkpoint::edit_log_manifest;
    own "isUpgradeFinalized" admin::is_upgrade_finalized;
    own "isRollingUpgrade" admin::is_rolling_upgrade;
    own "errorReport" admin::error_report;
    own "getBlockKeys" admin::block_keys;
};

const CLIENT_ROWS: &[Row] = rows! {
    direct "getBlockLocations" Server::get_block_locations;
    read "getServerDefaults" Core::get_server_defaults;
    report "reportBadBlocks" Core::report_bad_blocks;
    write "rename" Core::rename;
    write "rename2" Core::rename2;
    write "delete" Core::delete;
    write "mkdirs" Core::mkdirs;
    read "getListing" Core::get_listing;
    read "getBatchedListing" Core::get_batched_listing;
    read "getPreferredBlockSize" Core::get_preferred_block_size;
    read "getFileInfo" Core::get_file_info;
    read "getLocatedFileInfo" Core::get_located_file_info;
    read "getFileLinkInfo" Core::get_file_link_info;
    read "isFileClosed" Core::is_file_closed;
    read "checkAccess" Core::check_access;
    read "getEnclosingRoot" Core::get_enclosing_root;
    write "create" Core::create;
    write "append" Core::append;
    write "abandonBlock" Core::abandon_block;
    write "addBlock" Core::add_block;
    write "getAdditionalDatanode" Core::get_additional_datanode;
    special "complete" Server::complete;
    write "concat" Core::concat;
    write "truncate" Core::truncate;
    write "fsync" Core::fsync;
    write "updateBlockForPipeline" Core::update_block_for_pipeline;
    write "updatePipeline" Core::update_pipeline;
    write "renewLease" Core::renew_lease;
    write "recoverLease" Core::recover_lease;
    read "listOpenFiles" Core::list_open_files;
    write "setReplication" Core::set_replication;
    write "setPermission" Core::set_permission;
    write "setOwner" Core::set_owner;
    write "setTimes" Core::set_times;
    write "createSnapshot" Core::create_snapshot;
    write "renameSnapshot" Core::rename_snapshot;
    write "allowSnapshot" Core::allow_snapshot;
    write "disallowSnapshot" Core::disallow_snapshot;
    read "getSnapshottableDirListing" Core::get_snapshottable_dir_listing;
    read "getSnapshotListing" Core::get_snapshot_listing;
    write "deleteSnapshot" Core::delete_snapshot;
    read "getSnapshotDiffReport" Core::get_snapshot_diff_report;
    read "getSnapshotDiffReportListing" Core::get_snapshot_diff_report_listing;
    write "modifyAclEntries" Core::modify_acl_entries;
    write "removeAclEntries" Core::remove_acl_entries;
    write "removeDefaultAcl" Core::remove_default_acl;
    write "removeAcl" Core::remove_acl;
    write "setAcl" Core::set_acl;
    read "getAclStatus" Core::get_acl_status;
    write "setXAttr" Core::set_x_attr;
    read "getXAttrs" Core::get_x_attrs;
    read "listXAttrs" Core::list_x_attrs;
    write "removeXAttr" Core::remove_x_attr;
    slow "getContentSummary" |server, caller, request| {
        server.state.read().get_content_summary(caller, request)
    };
    write "setQuota" Core::set_quota;
    read "getQuotaUsage" Core::get_quota_usage;
    write "setStoragePolicy" Core::set_storage_policy;
    write "unsetStoragePolicy" Core::unset_storage_policy;
    read "getStoragePolicy" Core::get_storage_policy;
    read "getStoragePolicies" Core::get_storage_policies;
    write "satisfyStoragePolicy" Core::satisfy_storage_policy;
    write "setErasureCodingPolicy" Core::set_erasure_coding_policy;
    write "unsetErasureCodingPolicy" Core::unset_erasure_coding_policy;
    read "getECTopologyResultForPolicies" Core::get_ec_topology_result_for_policies;
    read "getErasureCodingPolicies" Core::get_erasure_coding_policies;
    write "addErasureCodingPolicies" Core::add_erasure_coding_policies;
    write "removeErasureCodingPolicy" Core::remove_erasure_coding_policy;
    write "enableErasureCodingPolicy" Core::enable_erasure_coding_policy;
    write "disableErasureCodingPolicy" Core::disable_erasure_coding_policy;
    read "getErasureCodingPolicy" Core::get_erasure_coding_policy;
    read "getErasureCodingCodecs" Core::get_erasure_coding_codecs;
    write "createEncryptionZone" Core::create_encryption_zone;
    read "listEncryptionZones" Core::list_encryption_zones;
    write "reencryptEncryptionZone" Core::reencrypt_encryption_zone;
    read "listReencryptionStatus" Core::list_reencryption_status;
    read "getEZForPath" Core::get_ez_for_path;
    write "addCacheDirective" Core::add_cache_directive;
    write "modifyCacheDirective" Core::modify_cache_directive;
    write "removeCacheDirective" Core::remove_cache_directive;
    read "listCacheDirectives" Core::list_cache_directives;
    write "addCachePool" Core::add_cache_pool;
    write "modifyCachePool" Core::modify_cache_pool;
    write "removeCachePool" Core::remove_cache_pool;
    read "listCachePools" Core::list_cache_pools;
    read "getFsStats" Core::get_fs_stats;
    read "getFsReplicatedBlockStats" Core::get_fs_replicated_block_stats;
    read "getFsECBlockGroupStats" Core::get_fs_ec_block_group_stats;
    read "getDatanodeReport" Core::get_datanode_report;
    read "getDatanodeStorageReport" Core::get_datanode_storage_report;
    report "setSafeMode" Core::set_safe_mode;
    slow "saveNamespace" checkpoint::save_namespace;
    slow "rollEdits" checkpoint::roll_edits;
    write "restoreFailedStorage" Core::restore_failed_storage;
    slow "refreshNodes" datanodes::refresh_nodes;
    write "finalizeUpgrade" Core::finalize_upgrade;
    read "upgradeStatus" Core::upgrade_status;
    read "rollingUpgrade" Core::rolling_upgrade;
    read "listCorruptFileBlocks" Core::list_corrupt_file_blocks;
    write "metaSave" Core::meta_save;
    report "setBalancerBandwidth" Core::set_balancer_bandwidth;
    read "getDataEncryptionKey" Core::get_data_encryption_key;
    read "getSlowDatanodeReport" Core::get_slow_datanode_report;
    read "getDelegationToken" Core::get_delegation_token;
    write "createSymlink" Core::create_symlink;
    read "getLinkTarget" Core::get_link_target;
    read "getCurrentEditLogTxid" Core::get_current_edit_log_txid;
    read "getEditsFromTxid" Core::get_edits_from_txid;
    read "msync" Core::msync;
    read "getHAServiceState" Core::get_ha_service_state;
};

/// A row's place in the server's counters, and what it does.
#[derive(Clone, Copy)]
struct Route {
    index: usize,
    run: Run,
}

/// The rows by protocol and method.
static TABLE: LazyLock<HashMap<&str, HashMap<&str, Route>>> = LazyLock::new(|| {
    let mut table: HashMap<&str, HashMap<&str, Route>> = HashMap::new();
    for (index, (protocol, row)) in all_rows().enumerate() {
        table.entry(protocol).or_default().insert(row.method, Route { index, run: row.run });
    }
    table
});

fn all_rows() -> impl Iterator<Item = (&'static str, &'static Row)> {
    PROTOCOLS.iter().flat_map(|(protocol, rows)| rows.iter().map(move |row| (*protocol, row)))
}

/// Whether the server speaks a protocol.
pub(crate) fn speaks(protocol: &str) -> bool {
    TABLE.contains_key(protocol)
}

fn find(protocol: &str, method: &str) -> Result<Route, Fault> {
    let Some(methods) = TABLE.get(protocol) else {
        let message = format!("Unknown protocol: {protocol}");
        return Err(Fault::new(Exception::RpcNoSuchProtocol, message));
    };
    methods.get(method).copied().ok_or_else(|| {
        let message = format!("Unknown method {method} called on {protocol} protocol.");
        Fault::new(Exception::RpcNoSuchMethod, message)
    })
}

/// Counters of the RPC port, a place for each row.
pub(crate) fn metrics() -> Metrics {
    Metrics::of_methods(all_rows().map(|(_, row)| row.method))
}

/// How often a client's method was called.
pub(crate) fn calls(metrics: &Metrics, method: &str) -> u64 {
    find(CLIENT, method).map_or(0, |route| metrics.calls_at(route.index))
}

/// How often any method of clients was called.
pub(crate) fn client_calls(metrics: &Metrics) -> u64 {
    let rows = all_rows().enumerate().filter(|(_, (protocol, _))| *protocol == CLIENT);
    rows.map(|(index, _)| metrics.calls_at(index)).sum()
}

/// The RPC port's service.
pub(crate) struct Routes(pub(crate) Arc<Server>);

impl Service for Routes {
    fn call(&self, call: Call, mut responder: Responder) {
        let route = match find(&call.protocol, &call.method) {
            Ok(route) => route,
            Err(fault) => return responder.send::<()>(Err(fault)),
        };
        responder.counts_as(route.index);
        let server = &self.0;
        match server.groups.cached(&call.user.name) {
            Some(groups) => (route.run)(server, Received::new(call, groups), responder),
            // The operating system may ask a directory service: never on a worker.
            None => {
                let server = server.clone();
                tokio::task::spawn_blocking(move || {
                    let groups = server.groups.resolve(&call.user.name);
                    (route.run)(&server, Received::new(call, groups), responder);
                });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_method_stands_once_in_its_protocol() {
        for (protocol, rows) in PROTOCOLS {
            assert_eq!(TABLE[protocol].len(), rows.len(), "{protocol}");
        }
    }

    #[test]
    fn the_unknown_is_refused_as_java_refuses_it() {
        let fault = find(CLIENT, "fly").err().expect("unknown");
        assert_eq!(fault.exception, Exception::RpcNoSuchMethod);
        assert_eq!(fault.message, format!("Unknown method fly called on {CLIENT} protocol."));
        let fault = find("a.b.C", "fly").err().expect("unknown");
        assert_eq!(fault.exception, Exception::RpcNoSuchProtocol);
        assert_eq!(fault.message, "Unknown protocol: a.b.C");
    }
}
