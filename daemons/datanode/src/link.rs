//! The calls to one namenode, as this datanode makes them. Nothing here decides when.

use std::sync::Arc;
use std::time::Duration;

use hdfs_core::datanode::incremental::Batch;
use hdfs_edge::rpc::{CallError, Client, Timeouts, User};
use hdfs_wire::proto::hdfs::datanode::{
    BlockReceivedAndDeletedRequestProto, BlockReceivedAndDeletedResponseProto,
    BlockReportContextProto, BlockReportRequestProto, BlockReportResponseProto,
    CommitBlockSynchronizationRequestProto, CommitBlockSynchronizationResponseProto,
    DatanodeCommandProto, DatanodeRegistrationProto, HeartbeatRequestProto, HeartbeatResponseProto,
    RegisterDatanodeRequestProto, RegisterDatanodeResponseProto, ReportBadBlocksRequestProto,
    ReportBadBlocksResponseProto, StorageBlockReportProto, StorageReceivedDeletedBlocksProto,
};
use hdfs_wire::proto::hdfs::{
    BlockKeyProto, DatanodeIdProto, ExportedBlockKeysProto, LocatedBlockProto, NamespaceInfoProto,
    StorageInfoProto, VersionRequestProto, VersionResponseProto,
};

use crate::random;
use crate::settings::SOFTWARE_VERSION;
use crate::storage::Namespace;
use crate::store::Store;

/// The protocol's name.
const PROTOCOL: &str = "org.apache.hadoop.hdfs.server.protocol.DatanodeProtocol";

/// An answer must come within this time (`ipc.client.rpc-timeout` of Java's datanodes: 60 s).
const CALL_TIMEOUT: Duration = Duration::from_secs(60);

/// A connection must stand within this time (`ipc.client.connect.timeout`).
const CONNECT_TIMEOUT: Duration = Duration::from_secs(20);

/// Layout version of datanodes on the wire: -57 as an unsigned number.
const LAYOUT: u32 = hdfs_disk::storage::DATANODE_LAYOUT.cast_unsigned();

/// One namenode.
#[derive(Debug, Clone)]
pub(crate) struct Link {
    client: Client,
    pub(crate) address: String,
}

/// No block tokens: an empty key.
pub(crate) fn no_keys() -> ExportedBlockKeysProto {
    ExportedBlockKeysProto {
        is_block_token_enabled: false,
        key_update_interval: 0,
        token_life_time: 0,
        current_key: BlockKeyProto { key_id: 0, expiry_date: 0, key_bytes: None },
        all_keys: Vec::new(),
    }
}

/// This datanode as it registers.
pub(crate) fn registration(
    id: DatanodeIdProto,
    namespace: &Namespace,
) -> DatanodeRegistrationProto {
    DatanodeRegistrationProto {
        datanode_id: id,
        storage_info: StorageInfoProto {
            layout_version: LAYOUT,
            namespce_id: namespace.namespace_id,
            cluster_id: namespace.cluster_id.clone(),
            c_time: namespace.creation_time,
        },
        keys: no_keys(),
        software_version: SOFTWARE_VERSION.to_owned(),
    }
}

impl Link {
    pub(crate) fn new(address: &str, user: &str) -> Self {
        let timeouts = Timeouts { connect: CONNECT_TIMEOUT, call: CALL_TIMEOUT };
        let client = Client::new(address, User::new(user), PROTOCOL, timeouts);
        Self { client, address: address.to_owned() }
    }

    pub(crate) async fn version(&self) -> Result<NamespaceInfoProto, CallError> {
        let response: VersionResponseProto =
            self.client.call("versionRequest", &VersionRequestProto {}).await?;
        Ok(response.info)
    }

    pub(crate) async fn register(
        &self,
        registration: DatanodeRegistrationProto,
    ) -> Result<DatanodeRegistrationProto, CallError> {
        let request = RegisterDatanodeRequestProto { registration };
        let response: RegisterDatanodeResponseProto =
            self.client.call("registerDatanode", &request).await?;
        Ok(response.registration)
    }

    pub(crate) async fn heartbeat(
        &self,
        request: &HeartbeatRequestProto,
    ) -> Result<HeartbeatResponseProto, CallError> {
        self.client.call("sendHeartbeat", request).await
    }

    /// Sends changes; a batch that could not be sent is given back.
    pub(crate) async fn changes(
        &self,
        registration: &DatanodeRegistrationProto,
        store: &Arc<Store>,
        batch: Batch,
    ) -> Result<(), (CallError, Batch)> {
        let blocks: Vec<_> = batch
            .iter()
            .filter_map(|(index, changes)| {
                let volume = store.volume(*index).ok()?;
                Some(StorageReceivedDeletedBlocksProto {
                    storage_uuid: volume.storage_id.clone(),
                    blocks: changes.iter().cloned().map(Into::into).collect(),
                    storage: Some(volume.storage()),
                })
            })
            .collect();
        if blocks.is_empty() {
            return Ok(());
        }
        let request = BlockReceivedAndDeletedRequestProto {
            registration: registration.clone(),
            block_pool_id: store.pool.clone(),
            blocks,
        };
        self.client
            .call::<_, BlockReceivedAndDeletedResponseProto>("blockReceivedAndDeleted", &request)
            .await
            .map(drop)
            .map_err(|error| (error, batch))
    }

    /// Sends a full report, in one call or one for each storage.
    pub(crate) async fn full_report(
        &self,
        registration: &DatanodeRegistrationProto,
        pool: &str,
        reports: Vec<StorageBlockReportProto>,
        lease_id: u64,
        split_threshold: u64,
    ) -> Result<Vec<DatanodeCommandProto>, CallError> {
        let total: u64 = reports.iter().filter_map(|report| report.number_of_blocks).sum();
        let parts: Vec<Vec<_>> = if total < split_threshold {
            vec![reports]
        } else {
            reports.into_iter().map(|report| vec![report]).collect()
        };
        let id = random::number().cast_signed();
        let count = i32::try_from(parts.len()).unwrap_or(i32::MAX);
        let mut commands = Vec::new();
        for (index, reports) in (0..count).zip(parts) {
            let request = BlockReportRequestProto {
                registration: registration.clone(),
                block_pool_id: pool.to_owned(),
                reports,
                context: Some(BlockReportContextProto {
                    total_rpcs: count,
                    cur_rpc: index,
                    id,
                    lease_id: Some(lease_id),
                }),
            };
            let response: BlockReportResponseProto =
                self.client.call("blockReport", &request).await?;
            commands.extend(response.cmd);
        }
        Ok(commands)
    }

    pub(crate) async fn report_bad(&self, blocks: Vec<LocatedBlockProto>) -> Result<(), CallError> {
        let request = ReportBadBlocksRequestProto { blocks };
        self.client
            .call::<_, ReportBadBlocksResponseProto>("reportBadBlocks", &request)
            .await
            .map(drop)
    }

    pub(crate) async fn commit_recovery(
        &self,
        request: &CommitBlockSynchronizationRequestProto,
    ) -> Result<(), CallError> {
        self.client
            .call::<_, CommitBlockSynchronizationResponseProto>(
                "commitBlockSynchronization",
                request,
            )
            .await
            .map(drop)
    }
}
