//! The datanode protocol on the facade, as a Java datanode speaks it.

use bytes::Bytes;
use hdfs_wire::block_list::{BufferWriter, ReplicaState, encode_legacy};
use hdfs_wire::proto::hdfs::datanode::datanode_command_proto::Type;
use hdfs_wire::proto::hdfs::datanode::{
    BlockReportContextProto, DatanodeRegistrationProto, ReceivedDeletedBlockInfoProto,
};
use proptest::prelude::*;

use super::super::blocks::{BlockState, Target};
use super::super::{Config, Identity};
use super::*;

fn namenode() -> Namenode {
    let identity = Identity {
        namespace_id: 7,
        cluster_id: "CID-1".into(),
        block_pool_id: "BP-1".into(),
        creation_time: 9,
    };
    let mut namenode = Namenode::new(Config { identity, ..Config::default() }, 1);
    namenode.blocks.loaded(1);
    namenode
}

fn caller(user: &str) -> Caller<'_> {
    Caller { user, groups: &[], address: "127.0.0.1", client_id: &[], call_id: 0, now: 1_000 }
}

/// What a datanode makes of the answer to its version request.
fn registration(namenode: &Namenode) -> DatanodeRegistrationProto {
    let info = namenode.version_request(&caller("hdfs"), &VersionRequestProto {}).unwrap().info;
    DatanodeRegistrationProto {
        datanode_id: DatanodeIdProto {
            ip_addr: "0.0.0.0".into(),
            host_name: "dn".into(),
            datanode_uuid: "uuid-1".into(),
            xfer_port: 9866,
            info_port: 9864,
            ipc_port: 9867,
            info_secure_port: None,
        },
        storage_info: StorageInfoProto {
            layout_version: (-57_i32).cast_unsigned(),
            ..info.storage_info
        },
        keys: ExportedBlockKeysProto::default(),
        software_version: "3.4.1".into(),
    }
}

fn heartbeat(registration: &DatanodeRegistrationProto) -> HeartbeatRequestProto {
    let storage =
        DatanodeStorageProto { storage_uuid: "DS-1".into(), state: Some(0), storage_type: Some(1) };
    HeartbeatRequestProto {
        registration: registration.clone(),
        reports: vec![StorageReportProto {
            storage_uuid: "DS-1".into(),
            capacity: Some(1 << 40),
            remaining: Some(1 << 39),
            storage: Some(storage),
            ..StorageReportProto::default()
        }],
        request_full_block_report_lease: Some(true),
        ..HeartbeatRequestProto::default()
    }
}

fn report(
    registration: &DatanodeRegistrationProto,
    replicas: &[ReportedReplica],
    lease: u64,
) -> BlockReportRequestProto {
    let mut buffers = BufferWriter::new();
    replicas.iter().for_each(|replica| buffers.push(replica));
    let (blocks_buffers, count) = buffers.finish();
    BlockReportRequestProto {
        registration: registration.clone(),
        block_pool_id: "BP-1".into(),
        reports: vec![StorageBlockReportProto {
            storage: DatanodeStorageProto {
                storage_uuid: "DS-1".into(),
                ..DatanodeStorageProto::default()
            },
            blocks: vec![],
            number_of_blocks: Some(count),
            blocks_buffers,
        }],
        context: Some(BlockReportContextProto {
            total_rpcs: 1,
            cur_rpc: 0,
            id: 5,
            lease_id: Some(lease),
        }),
    }
}

fn block(id: i64) -> Block {
    Block { id, length: 100, stamp: 1001 }
}

fn replica(id: i64) -> ReportedReplica {
    ReportedReplica { id, length: 100, stamp: 1001, state: ReplicaState::Finalized }
}

#[test]
fn a_java_datanode_comes_up() {
    let mut namenode = namenode();
    let info = namenode.version_request(&caller("hdfs"), &VersionRequestProto {}).unwrap().info;
    assert_eq!((info.capabilities, info.software_version.as_str()), (Some(1), "3.4.2"));
    assert_eq!((info.storage_info.layout_version, info.state), (0xffff_ffbd, Some(0)));
    let mine = registration(&namenode);
    // A heartbeat too early.
    let early = namenode.send_heartbeat(&caller("hdfs"), &heartbeat(&mine)).unwrap();
    assert_eq!(early.cmds[0].cmd_type, Type::RegisterCommand as i32);
    assert_eq!((early.ha_status.state, early.full_block_report_lease_id), (0, Some(0)));
    let request = RegisterDatanodeRequestProto { registration: mine };
    let mine = namenode.register_datanode(&caller("hdfs"), &request).unwrap().registration;
    assert_eq!(mine.datanode_id.ip_addr, "127.0.0.1");
    let answer = namenode.send_heartbeat(&caller("hdfs"), &heartbeat(&mine)).unwrap();
    assert!(answer.cmds.is_empty());
    let lease = answer.full_block_report_lease_id.unwrap();
    assert_ne!(lease, 0);
    let answer = namenode.block_report(&caller("hdfs"), &report(&mine, &[], lease)).unwrap();
    let command = answer.cmd.unwrap();
    assert_eq!(command.cmd_type, Type::FinalizeCommand as i32);
    assert_eq!(command.finalize_cmd.unwrap().block_pool_id, "BP-1");
    // The lease is used up: the same report again is out of turn, and asked for anew.
    let answer = namenode.block_report(&caller("hdfs"), &report(&mine, &[], lease)).unwrap();
    assert_eq!(answer.cmd.unwrap().cmd_type, Type::RegisterCommand as i32);
    // Id 0 was ordered by an operator.
    let answer = namenode.block_report(&caller("hdfs"), &report(&mine, &[], 0)).unwrap();
    assert_eq!(answer.cmd.unwrap().cmd_type, Type::FinalizeCommand as i32);
}

#[test]
fn received_completes_and_deleted_takes_away() {
    let mut namenode = namenode();
    let request = RegisterDatanodeRequestProto { registration: registration(&namenode) };
    let mine = namenode.register_datanode(&caller("hdfs"), &request).unwrap().registration;
    namenode.send_heartbeat(&caller("hdfs"), &heartbeat(&mine)).unwrap();
    namenode.blocks.insert(block(1), 1, 1, BlockState::UnderConstruction);
    let target = Target { datanode_uuid: "uuid-1".into(), storage_uuid: "DS-1".into() };
    namenode.blocks.expect(1, &[target]);
    let mut change = |status: BlockStatus, id: u64| {
        let blocks = vec![ReceivedDeletedBlockInfoProto {
            block: BlockProto { block_id: id, gen_stamp: 1001, num_bytes: Some(100) },
            status: status as i32,
            delete_hint: None,
        }];
        let request = BlockReceivedAndDeletedRequestProto {
            registration: mine.clone(),
            block_pool_id: "BP-1".into(),
            blocks: vec![StorageReceivedDeletedBlocksProto {
                storage_uuid: "DS-1".into(),
                blocks,
                storage: None,
            }],
        };
        namenode.block_received_and_deleted(&caller("hdfs"), &request).unwrap();
    };
    change(BlockStatus::Receiving, 1);
    change(BlockStatus::Received, 1);
    // Of a block nobody knows: it is deleted with the next heartbeat.
    change(BlockStatus::Received, 77);
    assert_eq!(namenode.blocks.commit(block(1)).unwrap(), BlockState::Complete);
    assert_eq!(namenode.take_completed(), [1]);
    let answer = namenode.send_heartbeat(&caller("hdfs"), &heartbeat(&mine)).unwrap();
    let command = answer.cmds[0].blk_cmd.as_ref().unwrap();
    assert_eq!((command.block_pool_id.as_str(), command.blocks[0].block_id), ("BP-1", 77));
    let located = namenode.blocks.located(1, 0, "127.0.0.1");
    assert_eq!(located.locs.len(), 1);
}

#[test]
fn reports_of_strangers_are_errors() {
    let mut namenode = namenode();
    let mine = registration(&namenode);
    let request = report(&mine, &[replica(1)], 0);
    assert!(namenode.block_report(&caller("hdfs"), &request).is_err());
    let request = BlockReceivedAndDeletedRequestProto {
        registration: mine.clone(),
        block_pool_id: "BP-1".into(),
        blocks: vec![],
    };
    let fault = namenode.block_received_and_deleted(&caller("hdfs"), &request).unwrap_err();
    assert!(fault.message.contains("dn:9866"), "{fault}");
    let mut other = mine;
    other.storage_info.namespce_id = 8;
    let fault = namenode.send_heartbeat(&caller("hdfs"), &heartbeat(&other)).unwrap_err();
    assert_eq!(fault.exception, Exception::UnregisteredNode);
}

#[test]
fn both_forms_of_a_report_are_read() {
    let namenode = namenode();
    let replicas = [replica(3), replica(1)];
    let mut request = report(&registration(&namenode), &replicas, 0);
    assert_eq!(decode_block_report(&request).unwrap(), [replicas.to_vec()]);
    request.reports[0].blocks_buffers.clear();
    request.reports[0].blocks = encode_legacy(&replicas);
    request.reports[0].number_of_blocks = None;
    assert_eq!(decode_block_report(&request).unwrap(), [replicas.to_vec()]);
    request.reports[0].blocks.truncate(4);
    let fault = decode_block_report(&request).unwrap_err();
    assert!(fault.message.starts_with("block report of storage DS-1: "), "{fault}");
}

#[test]
fn only_operators_change_safe_mode() {
    let mut namenode = namenode();
    let action = |action: SafeModeActionProto| SetSafeModeRequestProto {
        action: action as i32,
        checked: None,
    };
    let fault = namenode
        .set_safe_mode(&caller("bob"), &action(SafeModeActionProto::SafemodeEnter))
        .unwrap_err();
    assert_eq!(
        fault.message,
        "Access denied for user bob. Superuser privilege is required for operation safemode_enter"
    );
    let mut ask = |user: &str, what| namenode.set_safe_mode(&caller(user), &action(what)).unwrap();
    assert!(!ask("bob", SafeModeActionProto::SafemodeGet).result);
    assert!(ask("hdfs", SafeModeActionProto::SafemodeEnter).result);
    assert!(ask("bob", SafeModeActionProto::SafemodeGet).result);
    assert!(!ask("hdfs", SafeModeActionProto::SafemodeLeave).result);
}

#[test]
fn figures_and_reports_for_operators() {
    let mut namenode = namenode();
    let request = RegisterDatanodeRequestProto { registration: registration(&namenode) };
    let mine = namenode.register_datanode(&caller("hdfs"), &request).unwrap().registration;
    namenode.send_heartbeat(&caller("hdfs"), &heartbeat(&mine)).unwrap();
    let stats = namenode.get_fs_stats(&caller("bob"), &GetFsStatusRequestProto {}).unwrap();
    assert_eq!((stats.capacity, stats.remaining), (1 << 40, 1 << 39));
    let request = GetDatanodeReportRequestProto { r#type: DatanodeReportTypeProto::Live as i32 };
    assert!(namenode.get_datanode_report(&caller("bob"), &request).is_err());
    assert_eq!(namenode.get_datanode_report(&caller("hdfs"), &request).unwrap().di.len(), 1);
    let request = SetBalancerBandwidthRequestProto { bandwidth: 1 << 20 };
    namenode.set_balancer_bandwidth(&caller("hdfs"), &request).unwrap();
    let answer = namenode.send_heartbeat(&caller("hdfs"), &heartbeat(&mine)).unwrap();
    assert_eq!(answer.cmds[0].balancer_cmd.unwrap().bandwidth, 1 << 20);
    let answer = namenode.send_heartbeat(&caller("hdfs"), &heartbeat(&mine)).unwrap();
    assert!(answer.cmds.is_empty());
    let request = ErrorReportRequestProto {
        registartion: mine.clone(),
        error_code: FATAL_DISK_ERROR,
        msg: "all volumes failed".into(),
    };
    namenode.error_report(&caller("hdfs"), &request).unwrap();
    let answer = namenode.send_heartbeat(&caller("hdfs"), &heartbeat(&mine)).unwrap();
    assert_eq!(answer.cmds[0].cmd_type, Type::RegisterCommand as i32);
}

proptest! {
    /// Whatever bytes a report carries, it is read or refused; nothing is allocated by its promise.
    #[test]
    fn any_report_is_read_or_refused(
        pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 0..4),
        promised in prop::option::of(any::<u64>()),
        numbers in prop::collection::vec(any::<u64>(), 0..20),
    ) {
        let mut namenode = namenode();
        let request = RegisterDatanodeRequestProto { registration: registration(&namenode) };
        let mine = namenode.register_datanode(&caller("hdfs"), &request).unwrap().registration;
        let mut request = report(&mine, &[], 0);
        request.reports[0].blocks_buffers = pieces.into_iter().map(Bytes::from).collect();
        request.reports[0].number_of_blocks = promised;
        request.reports[0].blocks = numbers;
        let _ = namenode.block_report(&caller("hdfs"), &request);
    }
}
