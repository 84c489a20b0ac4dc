//! The namenode's JMX beans, with Hadoop's names, from one look at the namespace.

use std::sync::Arc;

use hdfs_core::namenode::Figures;
use hdfs_edge::metrics::{Bean, Registry};
use hdfs_wire::proto::hdfs::{
    DatanodeInfoProto, DatanodeReportTypeProto, GetDatanodeReportRequestProto,
    GetFsStatsResponseProto, GetFsStatusRequestProto,
};
use serde_json::{Map, Value, json};

use crate::routes;
use crate::server::{Server, now};

/// What release of Hadoop the web pages and tools take us for.
pub(crate) const SOFTWARE_VERSION: &str = "3.4.1";

/// Registers everything the namenode shows.
pub(crate) fn register(registry: &Registry, server: &Arc<Server>) {
    let server = server.clone();
    registry.register(move || {
        let snapshot = Snapshot::take(&server);
        let [rpc, rpc_detailed] = server.rpc_metrics.beans("NameNode", server.rpc_address.port());
        vec![
            namesystem(&server, &snapshot),
            namesystem_state(&snapshot),
            info(&server, &snapshot),
            status(&server),
            activity(&server),
            rpc,
            rpc_detailed,
            memory("NameNode"),
        ]
    });
}

/// One consistent look.
pub(crate) struct Snapshot {
    pub(crate) figures: Figures,
    pub(crate) stats: GetFsStatsResponseProto,
    pub(crate) live: Vec<DatanodeInfoProto>,
    pub(crate) dead: Vec<DatanodeInfoProto>,
    pub(crate) safe_mode: Option<String>,
    pub(crate) now: u64,
}

impl Snapshot {
    pub(crate) fn take(server: &Server) -> Self {
        let caller = server.own_caller();
        let state = server.state.read();
        let nodes = |kind: DatanodeReportTypeProto| {
            let request = GetDatanodeReportRequestProto { r#type: kind.into() };
            state.get_datanode_report(&caller, &request).map(|report| report.di).unwrap_or_default()
        };
        Self {
            figures: state.figures(),
            stats: state.get_fs_stats(&caller, &GetFsStatusRequestProto {}).unwrap_or_default(),
            live: nodes(DatanodeReportTypeProto::Live),
            dead: nodes(DatanodeReportTypeProto::Dead),
            safe_mode: state.safe_mode_details(caller.now),
            now: caller.now,
        }
    }

    pub(crate) fn used_percent(&self) -> f64 {
        percent(self.stats.used, self.stats.capacity)
    }

    fn load(&self) -> u64 {
        self.live.iter().map(|node| u64::from(node.xceiver_count())).sum()
    }

    fn in_state(&self, state: i32) -> usize {
        self.live.iter().filter(|node| node.admin_state.unwrap_or(0) == state).count()
    }
}

#[allow(clippy::cast_precision_loss)] // for people
fn percent(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 * 100.0 / whole as f64 }
}

fn namesystem(server: &Server, snapshot: &Snapshot) -> Bean {
    const GIB: u64 = 1 << 30;
    let Snapshot { figures, stats, live, dead, .. } = snapshot;
    let last = server.journal.synced();
    let non_dfs: u64 = live.iter().map(DatanodeInfoProto::non_dfs_used).sum();
    Bean::new("NameNode", "FSNamesystem")
        .with("tag.Context", "dfs")
        .with("tag.HAState", "active")
        .with("tag.Hostname", hdfs_edge::net::host_name())
        .with("MissingBlocks", stats.missing_blocks)
        .with("MissingReplOneBlocks", stats.missing_repl_one_blocks())
        .with("ExpiredHeartbeats", dead.len())
        .with("TransactionsSinceLastCheckpoint", last.saturating_sub(server.names.image_txid()))
        .with(
            "TransactionsSinceLastLogRoll",
            (last + 1).saturating_sub(server.names.segment_txid()),
        )
        .with("LastWrittenTransactionId", last)
        .with("LastCheckpointTime", server.names.image_time())
        .with("CapacityTotal", stats.capacity)
        .with("CapacityTotalGB", stats.capacity / GIB)
        .with("CapacityUsed", stats.used)
        .with("CapacityUsedGB", stats.used / GIB)
        .with("CapacityRemaining", stats.remaining)
        .with("CapacityRemainingGB", stats.remaining / GIB)
        .with("CapacityUsedNonDFS", non_dfs)
        .with("TotalLoad", snapshot.load())
        .with("SnapshottableDirectories", 0_u64)
        .with("Snapshots", 0_u64)
        .with("LockQueueLength", 0_u64)
        .with("BlocksTotal", figures.blocks)
        .with("NumFilesUnderConstruction", figures.open_files)
        .with("NumActiveClients", figures.lease_holders)
        .with("FilesTotal", figures.inodes)
        .with("PendingReplicationBlocks", figures.pending_reconstruction)
        .with("PendingReconstructionBlocks", figures.pending_reconstruction)
        .with("UnderReplicatedBlocks", stats.under_replicated)
        .with("LowRedundancyBlocks", stats.under_replicated)
        .with("CorruptBlocks", stats.corrupt_blocks)
        .with("ScheduledReplicationBlocks", figures.pending_reconstruction)
        .with("PendingDeletionBlocks", stats.pending_deletion_blocks())
        .with("ExcessBlocks", 0_u64)
        .with("NumLiveDataNodes", live.len())
        .with("NumDeadDataNodes", dead.len())
        .with("NumDecomLiveDataNodes", snapshot.in_state(2))
        .with("NumDecomDeadDataNodes", 0_u64)
        .with("NumDecommissioningDataNodes", snapshot.in_state(1))
        .with("NumInServiceLiveDataNodes", snapshot.in_state(0))
        .with("NumInMaintenanceLiveDataNodes", snapshot.in_state(4))
        .with("NumEnteringMaintenanceDataNodes", snapshot.in_state(3))
        .with("StaleDataNodes", figures.stale_datanodes)
        .with("VolumeFailuresTotal", 0_u64)
        .with("TotalSyncCount", server.journal.syncs.count())
}

fn namesystem_state(snapshot: &Snapshot) -> Bean {
    let Snapshot { figures, stats, live, dead, .. } = snapshot;
    let state = if snapshot.safe_mode.is_some() { "safeMode" } else { "Operational" };
    Bean::new("NameNode", "FSNamesystemState")
        .with("FSState", state)
        .with("CapacityTotal", stats.capacity)
        .with("CapacityUsed", stats.used)
        .with("CapacityRemaining", stats.remaining)
        .with("TotalLoad", snapshot.load())
        .with("BlocksTotal", figures.blocks)
        .with("FilesTotal", figures.inodes)
        .with("UnderReplicatedBlocks", stats.under_replicated)
        .with("PendingDeletionBlocks", stats.pending_deletion_blocks())
        .with("MaxObjects", 0_u64)
        .with("NumLiveDataNodes", live.len())
        .with("NumDeadDataNodes", dead.len())
        .with("NumStaleDataNodes", figures.stale_datanodes)
        .with("NumDecommissioningDataNodes", snapshot.in_state(1))
        .with("VolumeFailuresTotal", 0_u64)
        .with("SnapshotStats", json!({ "SnapshottableDirectories": 0, "Snapshots": 0 }).to_string())
        .with("TopUserOpCounts", json!({ "windows": [] }).to_string())
}

fn info(server: &Server, snapshot: &Snapshot) -> Bean {
    let Snapshot { figures, stats, live, dead, .. } = snapshot;
    let identity = server.state.read().config().identity.clone();
    let safe_mode = snapshot
        .safe_mode
        .clone()
        .map_or_else(String::new, |text| format!("Safe mode is ON. {}", text.trim()));
    let folders: Map<String, Value> = server
        .settings
        .name_folders
        .iter()
        .map(|folder| (folder.display().to_string(), json!("IMAGE_AND_EDITS")))
        .collect();
    let used: u64 = live.iter().map(DatanodeInfoProto::non_dfs_used).sum();
    let transactions = json!({
        "LastAppliedOrWrittenTxId": server.journal.synced().to_string(),
        "MostRecentCheckpointTxId": server.names.image_txid().to_string(),
    });
    Bean::new("NameNode", "NameNodeInfo")
        .with("Version", format!("{SOFTWARE_VERSION}, howdah {}", env!("CARGO_PKG_VERSION")))
        .with("SoftwareVersion", SOFTWARE_VERSION)
        .with("ClusterId", identity.cluster_id)
        .with("BlockPoolId", identity.block_pool_id)
        .with("Total", stats.capacity)
        .with("Used", stats.used)
        .with("Free", stats.remaining)
        .with("NonDfsUsedSpace", used)
        .with("PercentUsed", snapshot.used_percent())
        .with("PercentRemaining", percent(stats.remaining, stats.capacity))
        .with("BlockPoolUsedSpace", stats.used)
        .with("PercentBlockPoolUsed", snapshot.used_percent())
        .with("CacheUsed", 0_u64)
        .with("CacheCapacity", 0_u64)
        .with("Safemode", safe_mode)
        .with("LiveNodes", nodes_json(live, snapshot.now))
        .with("DeadNodes", nodes_json(dead, snapshot.now))
        .with("DecomNodes", "{}")
        .with("EnteringMaintenanceNodes", "{}")
        .with("NameDirStatuses", json!({ "active": folders, "failed": {} }).to_string())
        .with("JournalTransactionInfo", transactions.to_string())
        .with("NNStartedTimeInMillis", server.started)
        .with("CorruptFiles", "[]")
        .with("NumberOfMissingBlocks", stats.missing_blocks)
        .with("TotalBlocks", figures.blocks)
        .with("TotalFiles", figures.inodes)
        .with("Threads", threads())
        .with("UpgradeFinalized", true)
        .with("DistinctVersionCount", 1_u64)
}

/// Hadoop's map from node to its figures, as text inside the bean.
fn nodes_json(nodes: &[DatanodeInfoProto], now: u64) -> String {
    let map: Map<String, Value> = nodes
        .iter()
        .map(|node| {
            let id = &node.id;
            let since = now.saturating_sub(node.last_update()) / 1000;
            let figures = json!({
                "infoAddr": format!("{}:{}", id.ip_addr, id.info_port),
                "infoSecureAddr": format!("{}:{}", id.ip_addr, id.info_secure_port()),
                "xferaddr": format!("{}:{}", id.ip_addr, id.xfer_port),
                "location": node.location(),
                "lastContact": since,
                "usedSpace": node.dfs_used(),
                "nonDfsUsedSpace": node.non_dfs_used(),
                "capacity": node.capacity(),
                "remaining": node.remaining(),
                "used": node.dfs_used(),
                "numBlocks": node.num_blocks(),
                "adminState": admin_state(node.admin_state.unwrap_or(0)),
                "version": SOFTWARE_VERSION,
                "blockPoolUsed": node.block_pool_used(),
                "blockPoolUsedPercent": percent(node.block_pool_used(), node.capacity()),
                "volfails": 0,
            });
            (format!("{}:{}", id.host_name, id.xfer_port), figures)
        })
        .collect();
    Value::Object(map).to_string()
}

/// Hadoop's words for a node's administrative state.
pub(crate) fn admin_state(state: i32) -> &'static str {
    match state {
        1 => "Decommission In Progress",
        2 => "Decommissioned",
        3 => "Entering Maintenance",
        4 => "In Maintenance",
        _ => "In Service",
    }
}

fn status(server: &Server) -> Bean {
    Bean::new("NameNode", "NameNodeStatus")
        .with("NNRole", "NameNode")
        .with("HostAndPort", format!("{}:{}", server.settings.rpc.0, server.rpc_address.port()))
        .with("SecurityEnabled", false)
        .with("LastHATransitionTime", 0_u64)
        .with("BytesWithFutureGenerationStamps", 0_u64)
        .with("State", "active")
}

fn activity(server: &Server) -> Bean {
    let count = |method| routes::calls(&server.rpc_metrics, method);
    let deletes = count("delete");
    Bean::new("NameNode", "NameNodeActivity")
        .with("CreateFileOps", count("create"))
        .with("FilesCreated", count("create") + count("mkdirs"))
        .with("FilesAppended", count("append"))
        .with("GetBlockLocations", count("getBlockLocations"))
        .with("FilesRenamed", count("rename") + count("rename2"))
        .with("FilesTruncated", count("truncate"))
        .with("GetListingOps", count("getListing"))
        .with("DeleteFileOps", deletes)
        .with("FilesDeleted", deletes)
        .with("FileInfoOps", count("getFileInfo") + count("getFileLinkInfo"))
        .with("AddBlockOps", count("addBlock"))
        .with("GetAdditionalDatanodeOps", count("getAdditionalDatanode"))
        .with("CreateSymlinkOps", count("createSymlink"))
        .with("TransactionsNumOps", server.journal.transactions.value())
        .with("SyncsNumOps", server.journal.syncs.count())
        .with("SyncsAvgTime", server.journal.syncs.mean_millis())
        .with("TotalFileOps", routes::client_calls(&server.rpc_metrics))
}

/// What a Java process would show of its heap: here the resident memory.
pub(crate) fn memory(service: &'static str) -> Bean {
    Bean::new(service, "JvmMetrics")
        .with("MemHeapUsedM", resident_bytes() / (1 << 20))
        .with("ThreadsRunnable", threads())
}

fn process_status(field: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(field));
    let number = line.and_then(|rest| rest.trim_start_matches(':').split_whitespace().next());
    number.and_then(|number| number.parse().ok()).unwrap_or(0)
}

/// Resident memory of the process in bytes.
pub(crate) fn resident_bytes() -> u64 {
    process_status("VmRSS") * 1024
}

fn threads() -> u64 {
    process_status("Threads")
}

/// Seconds since the process started.
pub(crate) fn uptime_seconds(server: &Server) -> u64 {
    now().saturating_sub(server.started) / 1000
}
