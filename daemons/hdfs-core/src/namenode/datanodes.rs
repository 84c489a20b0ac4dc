//! The facade's datanode side: registration, heartbeats, reports, and what operators ask about nodes.
//! None of these calls writes to the edit log, so their answers need no sync.

use hdfs_wire::Fault;
use hdfs_wire::proto::hdfs::datanode;
use hdfs_wire::proto::hdfs::*;

use super::{Caller, Namenode};

/// Declares calls on the block side that change nothing.
macro_rules! reads {
    ($($name:ident: $request:ty => $response:ty,)*) => {
        impl Namenode { $(
            /// The RPC of this name.
            ///
            /// # Errors
            /// As the fact sheets say.
            pub fn $name(&self, caller: &Caller<'_>, _: &$request) -> Result<$response, Fault> {
                Err(Fault::io(format!("{}: not served yet ({})", stringify!($name), caller.now)))
            }
        )* }
    };
}

/// Declares calls on the block side that change what is known of nodes and replicas.
macro_rules! reports {
    ($($name:ident: $request:ty => $response:ty,)*) => {
        impl Namenode { $(
            /// The RPC of this name.
            ///
            /// # Errors
            /// As the fact sheets say.
            pub fn $name(&mut self, caller: &Caller<'_>, _: &$request) -> Result<$response, Fault> {
                Err(Fault::io(format!("{}: not served yet ({})", stringify!($name), caller.now)))
            }
        )* }
    };
}

reads! {
    version_request: VersionRequestProto => VersionResponseProto,
    get_datanode_report: GetDatanodeReportRequestProto => GetDatanodeReportResponseProto,
    get_datanode_storage_report:
        GetDatanodeStorageReportRequestProto => GetDatanodeStorageReportResponseProto,
    get_fs_stats: GetFsStatusRequestProto => GetFsStatsResponseProto,
    get_fs_replicated_block_stats:
        GetFsReplicatedBlockStatsRequestProto => GetFsReplicatedBlockStatsResponseProto,
    get_fs_ec_block_group_stats:
        GetFsEcBlockGroupStatsRequestProto => GetFsEcBlockGroupStatsResponseProto,
    get_slow_datanode_report: GetSlowDatanodeReportRequestProto => GetSlowDatanodeReportResponseProto,
}

reports! {
    register_datanode:
        datanode::RegisterDatanodeRequestProto => datanode::RegisterDatanodeResponseProto,
    send_heartbeat: datanode::HeartbeatRequestProto => datanode::HeartbeatResponseProto,
    block_report: datanode::BlockReportRequestProto => datanode::BlockReportResponseProto,
    block_received_and_deleted: datanode::BlockReceivedAndDeletedRequestProto
        => datanode::BlockReceivedAndDeletedResponseProto,
    error_report: datanode::ErrorReportRequestProto => datanode::ErrorReportResponseProto,
    cache_report: datanode::CacheReportRequestProto => datanode::CacheReportResponseProto,
    report_bad_blocks_of_datanode:
        datanode::ReportBadBlocksRequestProto => datanode::ReportBadBlocksResponseProto,
    report_bad_blocks: ReportBadBlocksRequestProto => ReportBadBlocksResponseProto,
    set_safe_mode: SetSafeModeRequestProto => SetSafeModeResponseProto,
    refresh_nodes: RefreshNodesRequestProto => RefreshNodesResponseProto,
    set_balancer_bandwidth:
        SetBalancerBandwidthRequestProto => SetBalancerBandwidthResponseProto,
}
