//! What the datanode shows on `/jmx` and `/prom`, under the names of Hadoop's beans.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use hdfs_edge::metrics::{Bean, Registry};
use hdfs_edge::rpc::Metrics;
use serde_json::json;

use crate::counters::Counters;
use crate::settings::SOFTWARE_VERSION;
use crate::store::Store;
use crate::transfer::Transfers;
use crate::volume::Space;

/// What the beans are made of.
pub(crate) struct Shown {
    pub(crate) store: Arc<Store>,
    pub(crate) transfers: Arc<Transfers>,
    pub(crate) rpc: Arc<Metrics>,
    pub(crate) cluster_id: String,
    pub(crate) namenode: String,
    pub(crate) host_name: String,
    pub(crate) transfer_port: u16,
    pub(crate) ipc_port: u16,
    pub(crate) http_port: u16,
}

const SERVICE: &str = "DataNode";

/// Registers all beans.
pub(crate) fn register(registry: &Registry, shown: Shown) {
    registry.register(move || {
        let [rpc, rpc_detailed] = shown.rpc.beans(SERVICE, shown.ipc_port);
        vec![shown.info(), shown.dataset(), shown.activity(), rpc, rpc_detailed]
    });
}

impl Shown {
    fn info(&self) -> Bean {
        let namenode = self.namenode.rsplit_once(':').map_or(&*self.namenode, |(host, _)| host);
        let mut volumes = serde_json::Map::new();
        let counts = self.store.counts();
        for volume in self.store.working() {
            let space = volume.space().unwrap_or_default();
            volumes.insert(
                volume.root.display().to_string(),
                json!({
                    "freeSpace": space.remaining,
                    "usedSpace": space.used,
                    "reservedSpace": volume.reserved(),
                    "reservedSpaceForReplicas": volume.promised(),
                    "storageType": volume.storage_type.as_str_name(),
                    "numBlocks": counts.get(&volume.index).copied().unwrap_or(0),
                }),
            );
        }
        let actor = json!([{
            "NamenodeAddress": self.namenode,
            "NamenodeHaState": "active",
            "BlockPoolID": self.store.pool,
            "ActorState": "RUNNING",
        }]);
        let namenodes = json!({ namenode: self.store.pool });
        Bean::new(SERVICE, "DataNodeInfo")
            .with("Version", SOFTWARE_VERSION)
            .with("SoftwareVersion", SOFTWARE_VERSION)
            .with("ClusterId", self.cluster_id.clone())
            .with("DatanodeHostname", self.host_name.clone())
            .with("NamenodeAddresses", namenodes.to_string())
            .with("BPServiceActorInfo", actor.to_string())
            .with("VolumeInfo", serde_json::Value::Object(volumes).to_string())
            .with("XceiverCount", self.transfers.count())
            .with("XmitsInProgress", self.store.counters.copies.load(Ordering::Relaxed))
            .with("DataPort", self.transfer_port.to_string())
            .with("RpcPort", self.ipc_port.to_string())
            .with("HttpPort", self.http_port.to_string())
    }

    fn dataset(&self) -> Bean {
        let total = self.store.working().iter().filter_map(|volume| volume.space()).fold(
            Space::default(),
            |sum, each| Space {
                capacity: sum.capacity + each.capacity,
                used: sum.used + each.used,
                remaining: sum.remaining + each.remaining,
                other: sum.other + each.other,
            },
        );
        let summary = self.store.failure_summary().unwrap_or_default();
        Bean::new(SERVICE, "FSDatasetState")
            .with("Capacity", total.capacity)
            .with("DfsUsed", total.used)
            .with("Remaining", total.remaining)
            .with("NumFailedVolumes", summary.failed_storage_locations.len())
            .with("LastVolumeFailureDate", summary.last_volume_failure_date)
            .with("EstimatedCapacityLostTotal", summary.estimated_capacity_lost_total)
            .with("NumBlocks", self.store.replicas.lock().len())
            .with("CacheCapacity", 0)
            .with("CacheUsed", 0)
    }

    fn activity(&self) -> Bean {
        let counters: &Counters = &self.store.counters;
        let name = format!("DataNodeActivity-{}-{}", self.host_name, self.transfer_port);
        Bean::new(SERVICE, name)
            .with("tag.Hostname", self.host_name.clone())
            .with("BytesRead", counters.bytes_read.value())
            .with("BytesWritten", counters.bytes_written.value())
            .with("BlocksRead", counters.blocks_read.value())
            .with("BlocksWritten", counters.blocks_written.value())
            .with("BlocksReplicated", counters.blocks_replicated.value())
            .with("BlocksRemoved", counters.blocks_removed.value())
            .with("BlocksVerified", counters.blocks_verified.value())
            .with("BlockVerificationFailures", counters.checksum_failures.value())
            .with("FsyncCount", counters.fsyncs.value())
            .with("DatanodeNetworkErrors", counters.network_errors.value())
            .with("RefusedConnections", counters.refused_connections.value())
            .with("HeartbeatsNumOps", counters.heartbeats.count())
            .with("HeartbeatsAvgTime", counters.heartbeats.mean_millis())
            .with("BlockReportsNumOps", counters.block_reports.count())
            .with("BlockReportsAvgTime", counters.block_reports.mean_millis())
            .with("IncrementalBlockReportsNumOps", counters.incremental_reports.count())
            .with("IncrementalBlockReportsAvgTime", counters.incremental_reports.mean_millis())
            .with("ReadBlockOpNumOps", counters.reads.count())
            .with("ReadBlockOpAvgTime", counters.reads.mean_millis())
            .with("WriteBlockOpNumOps", counters.writes.count())
            .with("WriteBlockOpAvgTime", counters.writes.mean_millis())
            .with("DataNodeActiveXceiversCount", self.transfers.count())
    }
}
