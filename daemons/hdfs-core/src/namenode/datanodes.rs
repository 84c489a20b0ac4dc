//! The facade's datanode side: registration, heartbeats, reports, and what operators ask about
//! nodes. None of these calls writes to the edit log, so their answers need no sync.

use std::collections::HashMap;

use hdfs_wire::block_list::{BadBlockList, BufferReader, LegacyReader, ReportedReplica};
use hdfs_wire::proto::hdfs::datanode::received_deleted_block_info_proto::BlockStatus;
use hdfs_wire::proto::hdfs::datanode::{
    self, BlockReceivedAndDeletedRequestProto, BlockReceivedAndDeletedResponseProto,
    BlockReportRequestProto, BlockReportResponseProto, CacheReportRequestProto,
    CacheReportResponseProto, ErrorReportRequestProto, ErrorReportResponseProto,
    HeartbeatRequestProto, HeartbeatResponseProto, RegisterDatanodeRequestProto,
    RegisterDatanodeResponseProto, StorageBlockReportProto, StorageReceivedDeletedBlocksProto,
};
use hdfs_wire::proto::hdfs::datanodelifeline::LifelineResponseProto;
use hdfs_wire::proto::hdfs::nnha_status_heartbeat_proto::State;
use hdfs_wire::proto::hdfs::*;
use hdfs_wire::{Exception, Fault};

use super::blocks::{Block, BlockManager, Hosts};
use super::{Caller, Namenode};
use crate::Millis;

/// The version told to datanodes, which compare it with their least supported one. Dotted numbers,
/// as Java insists: the Hadoop release whose protocols are spoken.
pub const SOFTWARE_VERSION: &str = "3.4.2";
/// Layout of the namenode's storage (-67), as the wire carries it.
const LAYOUT_VERSION: u32 = (-67_i32).cast_unsigned();
/// Capability bit 0: full reports come as buffers, not as lists of numbers.
const STORAGE_BLOCK_REPORT_BUFFERS: u64 = 1;
/// `ErrorReportRequestProto.errorCode`: all volumes are gone.
const FATAL_DISK_ERROR: u32 = 3;

/// Takes a full report's buffers apart. Needs no namenode: do it before taking the lock.
///
/// # Errors
/// `IOException` naming the storage when its list is cut short or malformed.
pub fn decode_block_report(
    request: &BlockReportRequestProto,
) -> Result<Vec<Vec<ReportedReplica>>, Fault> {
    request.reports.iter().map(decode_storage).collect()
}

fn decode_storage(report: &StorageBlockReportProto) -> Result<Vec<ReportedReplica>, Fault> {
    let bad = |error: BadBlockList| {
        Fault::io(format!("block report of storage {}: {error}", report.storage.storage_uuid))
    };
    // Collecting grows with what is there; the promised count allocates nothing.
    match report.number_of_blocks {
        Some(count) if report.blocks.is_empty() => {
            BufferReader::new(&report.blocks_buffers, count).collect::<Result<_, _>>().map_err(bad)
        }
        _ => {
            let list = LegacyReader::new(&report.blocks).map_err(bad)?;
            list.collect::<Result<_, _>>().map_err(bad)
        }
    }
}

impl Namenode {
    // ---- datanode protocol ----

    /// `versionRequest`: who this cluster is, and what may be sent to it.
    ///
    /// # Errors
    /// None.
    pub fn version_request(
        &self,
        _: &Caller<'_>,
        _: &VersionRequestProto,
    ) -> Result<VersionResponseProto, Fault> {
        let identity = &self.config().identity;
        let info = NamespaceInfoProto {
            build_version: format!("{SOFTWARE_VERSION}-howdah"),
            unused: 0,
            block_pool_id: identity.block_pool_id.clone(),
            storage_info: StorageInfoProto {
                layout_version: LAYOUT_VERSION,
                namespce_id: identity.namespace_id,
                cluster_id: identity.cluster_id.clone(),
                c_time: identity.creation_time,
            },
            software_version: SOFTWARE_VERSION.to_owned(),
            capabilities: Some(STORAGE_BLOCK_REPORT_BUFFERS),
            state: Some(State::Active as i32),
        };
        Ok(VersionResponseProto { info })
    }

    /// `registerDatanode`: the registration comes back with the address seen here.
    ///
    /// # Errors
    /// `DisallowedDatanodeException`, `IncorrectVersionException`, `UnregisteredNodeException`.
    pub fn register_datanode(
        &mut self,
        caller: &Caller<'_>,
        request: &RegisterDatanodeRequestProto,
    ) -> Result<RegisterDatanodeResponseProto, Fault> {
        let registration =
            self.blocks.register(caller.now, caller.address, &request.registration)?;
        Ok(RegisterDatanodeResponseProto { registration })
    }

    /// `sendHeartbeat`: figures in, orders out. A node that is not registered is told to.
    ///
    /// # Errors
    /// `UnregisteredNodeException` for a node of another cluster.
    pub fn send_heartbeat(
        &mut self,
        caller: &Caller<'_>,
        request: &HeartbeatRequestProto,
    ) -> Result<HeartbeatResponseProto, Fault> {
        let node = self.blocks.caller_node(caller.address, &request.registration)?;
        let (cmds, lease) = match node {
            None => (vec![BlockManager::register_command()], 0),
            Some(node) => {
                let commands = self.blocks.heartbeat(caller.now, node, request);
                let wanted = request.request_full_block_report_lease.unwrap_or_default();
                (commands, if wanted { self.blocks.grant_report(node) } else { 0 })
            }
        };
        Ok(HeartbeatResponseProto {
            cmds,
            ha_status: NnhaStatusHeartbeatProto {
                state: State::Active as i32,
                txid: self.last_txid(),
            },
            rolling_upgrade_status: None,
            rolling_upgrade_status_v2: None,
            full_block_report_lease_id: Some(lease),
            is_slownode: Some(false),
        })
    }

    /// `sendLifeline`: only keeps the node alive.
    ///
    /// # Errors
    /// `UnregisteredNodeException` for a node of another cluster.
    pub fn send_lifeline(
        &mut self,
        caller: &Caller<'_>,
        request: &HeartbeatRequestProto,
    ) -> Result<LifelineResponseProto, Fault> {
        if let Some(node) = self.blocks.caller_node(caller.address, &request.registration)? {
            self.blocks.lifeline(caller.now, node, request);
        }
        Ok(LifelineResponseProto {})
    }

    /// `blockReport`, taken apart here; [`decode_block_report`] and [`Self::block_report_decoded`]
    /// do it in two steps.
    ///
    /// # Errors
    /// As both steps.
    pub fn block_report(
        &mut self,
        caller: &Caller<'_>,
        request: &BlockReportRequestProto,
    ) -> Result<BlockReportResponseProto, Fault> {
        let replicas = decode_block_report(request)?;
        self.block_report_decoded(caller, request, &replicas)
    }

    /// A full report whose buffers are decoded: one list of replicas per storage of the request. A
    /// report out of turn is not read; its node is told to register again, and reports anew then.
    ///
    /// # Errors
    /// `IOException` for a node that is dead or not registered.
    pub fn block_report_decoded(
        &mut self,
        caller: &Caller<'_>,
        request: &BlockReportRequestProto,
        replicas: &[Vec<ReportedReplica>],
    ) -> Result<BlockReportResponseProto, Fault> {
        let registration = &request.registration;
        let node = self.blocks.caller_node(caller.address, registration)?;
        let node = node.ok_or_else(|| unregistered("block report", registration))?;
        let context = request.context.unwrap_or_default();
        let lease = context.lease_id.unwrap_or_default();
        if !self.blocks.report_allowed(caller.now, node, lease) {
            let cmd = Some(BlockManager::register_command());
            return Ok(BlockReportResponseProto { cmd });
        }
        for (report, replicas) in request.reports.iter().zip(replicas) {
            self.blocks.storage_report(node, &report.storage, replicas);
        }
        if context.cur_rpc + 1 >= context.total_rpcs {
            self.blocks.end_report(node);
        }
        Ok(BlockReportResponseProto { cmd: self.blocks.finalize_command(node) })
    }

    /// `blockReceivedAndDeleted`: what changed since the last word. A replica that is received
    /// makes its block complete, and waiting `complete` calls succeed.
    ///
    /// # Errors
    /// `IOException` for a node that is dead or not registered: it registers and reports in full.
    pub fn block_received_and_deleted(
        &mut self,
        caller: &Caller<'_>,
        request: &BlockReceivedAndDeletedRequestProto,
    ) -> Result<BlockReceivedAndDeletedResponseProto, Fault> {
        let registration = &request.registration;
        let node = self.blocks.caller_node(caller.address, registration)?;
        let node = node.ok_or_else(|| unregistered("incremental block report", registration))?;
        for storage in &request.blocks {
            self.increment(node, storage);
        }
        self.blocks.settled(caller.now);
        Ok(BlockReceivedAndDeletedResponseProto {})
    }

    fn increment(&mut self, node: u32, report: &StorageReceivedDeletedBlocksProto) {
        let uuid = match &report.storage {
            Some(storage) => &storage.storage_uuid,
            None => &report.storage_uuid,
        };
        let Some(storage) = self.blocks.known_storage(node, uuid, report.storage.as_ref()) else {
            return;
        };
        for info in &report.blocks {
            let block = Block {
                id: info.block.block_id.cast_signed(),
                length: info.block.num_bytes.unwrap_or_default(),
                stamp: info.block.gen_stamp,
            };
            match BlockStatus::try_from(info.status) {
                Ok(BlockStatus::Receiving) => self.blocks.receiving(storage, block),
                Ok(BlockStatus::Received) => {
                    self.blocks.received(storage, block, info.delete_hint.as_deref());
                }
                Ok(BlockStatus::Deleted) => self.blocks.deleted(storage, block),
                // A status of a later release: nothing to learn from it here.
                Err(_) => {}
            }
        }
    }

    /// `errorReport`: a node that lost all its disks is as good as dead.
    ///
    /// # Errors
    /// `UnregisteredNodeException` for a node of another cluster.
    pub fn error_report(
        &mut self,
        caller: &Caller<'_>,
        request: &ErrorReportRequestProto,
    ) -> Result<ErrorReportResponseProto, Fault> {
        let node = self.blocks.caller_node(caller.address, &request.registartion)?;
        if let Some(node) = node.filter(|_| request.error_code == FATAL_DISK_ERROR) {
            self.blocks.give_up(node);
        }
        Ok(ErrorReportResponseProto {})
    }

    /// `cacheReport`: nothing is cached.
    ///
    /// # Errors
    /// None.
    pub fn cache_report(
        &mut self,
        _: &Caller<'_>,
        _: &CacheReportRequestProto,
    ) -> Result<CacheReportResponseProto, Fault> {
        Ok(CacheReportResponseProto { cmd: None })
    }

    /// `reportBadBlocks` of a datanode: its scanner, or a copy, found wrong bytes.
    ///
    /// # Errors
    /// None.
    pub fn report_bad_blocks_of_datanode(
        &mut self,
        _: &Caller<'_>,
        request: &datanode::ReportBadBlocksRequestProto,
    ) -> Result<datanode::ReportBadBlocksResponseProto, Fault> {
        request.blocks.iter().for_each(|located| self.blocks.complain(located));
        Ok(datanode::ReportBadBlocksResponseProto {})
    }

    /// `reportBadBlocks` of a client that read wrong bytes.
    ///
    /// # Errors
    /// None.
    pub fn report_bad_blocks(
        &mut self,
        _: &Caller<'_>,
        request: &ReportBadBlocksRequestProto,
    ) -> Result<ReportBadBlocksResponseProto, Fault> {
        request.blocks.iter().for_each(|located| self.blocks.complain(located));
        Ok(ReportBadBlocksResponseProto {})
    }

    // ---- operators ----

    /// `setSafeMode`: on, off, or only asked. True when it is on afterwards.
    ///
    /// # Errors
    /// `AccessControlException` for a change by anyone but a superuser.
    pub fn set_safe_mode(
        &mut self,
        caller: &Caller<'_>,
        request: &SetSafeModeRequestProto,
    ) -> Result<SetSafeModeResponseProto, Fault> {
        let action = SafeModeActionProto::try_from(request.action)
            .map_err(|_| Fault::io(format!("Unexpected safe mode action {}", request.action)))?;
        match action {
            SafeModeActionProto::SafemodeGet => {}
            SafeModeActionProto::SafemodeEnter => {
                self.check_operator(caller, "safemode_enter")?;
                self.blocks.enter_safe_mode();
            }
            SafeModeActionProto::SafemodeLeave => {
                self.check_operator(caller, "safemode_leave")?;
                self.blocks.leave_safe_mode(caller.now);
            }
            SafeModeActionProto::SafemodeForceExit => {
                self.check_operator(caller, "safemode_force_exit")?;
                self.blocks.leave_safe_mode(caller.now);
            }
        }
        Ok(SetSafeModeResponseProto { result: self.blocks.in_safe_mode() })
    }

    /// `refreshNodes`: the driver reads the hosts files and calls [`Self::set_hosts`] first.
    ///
    /// # Errors
    /// `AccessControlException` for anyone but a superuser.
    pub fn refresh_nodes(
        &mut self,
        caller: &Caller<'_>,
        _: &RefreshNodesRequestProto,
    ) -> Result<RefreshNodesResponseProto, Fault> {
        self.check_operator(caller, "refreshNodes")?;
        Ok(RefreshNodesResponseProto {})
    }

    /// New hosts files (`dfs.hosts`, `dfs.hosts.exclude`).
    pub fn set_hosts(&mut self, now: Millis, hosts: Hosts) {
        self.blocks.set_hosts(now, hosts);
    }

    /// The topology: address or host name to rack path. Others are in the default rack.
    pub fn set_racks(&mut self, racks: HashMap<String, String>) {
        self.blocks.set_racks(racks);
    }

    /// `setBalancerBandwidth`, in bytes per second; told with the next heartbeats.
    ///
    /// # Errors
    /// `AccessControlException` for anyone but a superuser; `IllegalArgumentException` below 0.
    pub fn set_balancer_bandwidth(
        &mut self,
        caller: &Caller<'_>,
        request: &SetBalancerBandwidthRequestProto,
    ) -> Result<SetBalancerBandwidthResponseProto, Fault> {
        self.check_operator(caller, "setBalancerBandwidth")?;
        let bandwidth = u64::try_from(request.bandwidth).map_err(|_| {
            Fault::new(Exception::IllegalArgument, "Bandwidth should not be negative")
        })?;
        self.blocks.set_bandwidth(bandwidth);
        Ok(SetBalancerBandwidthResponseProto {})
    }

    /// `getDatanodeReport`.
    ///
    /// # Errors
    /// `AccessControlException` for anyone but a superuser.
    pub fn get_datanode_report(
        &self,
        caller: &Caller<'_>,
        request: &GetDatanodeReportRequestProto,
    ) -> Result<GetDatanodeReportResponseProto, Fault> {
        self.check_operator(caller, "datanodeReport")?;
        Ok(GetDatanodeReportResponseProto { di: self.blocks.datanodes(request.r#type()) })
    }

    /// `getDatanodeStorageReport`.
    ///
    /// # Errors
    /// `AccessControlException` for anyone but a superuser.
    pub fn get_datanode_storage_report(
        &self,
        caller: &Caller<'_>,
        request: &GetDatanodeStorageReportRequestProto,
    ) -> Result<GetDatanodeStorageReportResponseProto, Fault> {
        self.check_operator(caller, "getDatanodeStorageReport")?;
        let datanode_storage_reports = self.blocks.datanode_storages(request.r#type());
        Ok(GetDatanodeStorageReportResponseProto { datanode_storage_reports })
    }

    /// `getFsStats`.
    ///
    /// # Errors
    /// None.
    pub fn get_fs_stats(
        &self,
        _: &Caller<'_>,
        _: &GetFsStatusRequestProto,
    ) -> Result<GetFsStatsResponseProto, Fault> {
        Ok(self.blocks.fs_stats())
    }

    /// `getFsReplicatedBlockStats`.
    ///
    /// # Errors
    /// None.
    pub fn get_fs_replicated_block_stats(
        &self,
        _: &Caller<'_>,
        _: &GetFsReplicatedBlockStatsRequestProto,
    ) -> Result<GetFsReplicatedBlockStatsResponseProto, Fault> {
        Ok(self.blocks.replicated_stats())
    }

    /// `getFsECBlockGroupStats`: there are no block groups.
    ///
    /// # Errors
    /// None.
    pub fn get_fs_ec_block_group_stats(
        &self,
        _: &Caller<'_>,
        _: &GetFsEcBlockGroupStatsRequestProto,
    ) -> Result<GetFsEcBlockGroupStatsResponseProto, Fault> {
        Ok(GetFsEcBlockGroupStatsResponseProto {
            highest_prio_low_redundancy_blocks: Some(0),
            ..GetFsEcBlockGroupStatsResponseProto::default()
        })
    }

    /// `getSlowDatanodeReport`: peers are not compared.
    ///
    /// # Errors
    /// None.
    pub fn get_slow_datanode_report(
        &self,
        _: &Caller<'_>,
        _: &GetSlowDatanodeReportRequestProto,
    ) -> Result<GetSlowDatanodeReportResponseProto, Fault> {
        Ok(GetSlowDatanodeReportResponseProto::default())
    }

    /// Only the namenode's own user and the supergroup may operate the cluster.
    pub(super) fn check_operator(&self, caller: &Caller<'_>, operation: &str) -> Result<(), Fault> {
        let config = self.config();
        let member = caller.groups.contains(&config.supergroup);
        if member || caller.user == config.superuser || !config.permissions_enabled {
            return Ok(());
        }
        Err(Fault::new(
            Exception::AccessControl,
            format!(
                "Access denied for user {}. Superuser privilege is required for operation \
                 {operation}",
                caller.user
            ),
        ))
    }
}

fn unregistered(what: &str, registration: &datanode::DatanodeRegistrationProto) -> Fault {
    let id = &registration.datanode_id;
    Fault::io(format!(
        "{what} from the dead or unregistered datanode {}:{} ({})",
        id.host_name, id.xfer_port, id.datanode_uuid
    ))
}

#[cfg(test)]
mod tests;
