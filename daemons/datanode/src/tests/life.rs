//! A datanode and its namenode over time: reports, orders, restarts, recovery, refusals to start.

use std::time::Duration;

use hdfs_edge::rpc::{Client as RpcClient, Timeouts, User};
use hdfs_wire::block_list::ReplicaState;
use hdfs_wire::proto::hdfs::datanode::block_command_proto::Action;
use hdfs_wire::proto::hdfs::datanode::datanode_command_proto::Type;
use hdfs_wire::proto::hdfs::datanode::{
    BlockCommandProto, BlockRecoveryCommandProto, DatanodeCommandProto,
};
use hdfs_wire::proto::hdfs::{
    BlockProto, DatanodeInfosProto, GetReplicaVisibleLengthRequestProto,
    GetReplicaVisibleLengthResponseProto, LocatedBlockProto, RecoveringBlockProto,
    StorageTypesProto, TriggerBlockReportRequestProto, TriggerBlockReportResponseProto,
};

use super::Datanode;
use super::client::{Client, block, content, create};
use super::namenode::{Namenode, POOL};

fn block_order(action: Action, id: u64, stamp: u64, length: u64) -> BlockCommandProto {
    BlockCommandProto {
        action: action as i32,
        block_pool_id: POOL.to_owned(),
        blocks: vec![BlockProto { block_id: id, gen_stamp: stamp, num_bytes: Some(length) }],
        ..Default::default()
    }
}

fn order(command: BlockCommandProto) -> DatanodeCommandProto {
    DatanodeCommandProto {
        cmd_type: Type::BlockCommand as i32,
        blk_cmd: Some(command),
        ..Default::default()
    }
}

fn call<Q: prost::Message, R: prost::Message + Default>(
    datanode: &Datanode,
    method: &str,
    request: &Q,
) -> Result<R, String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let client = RpcClient::new(
        format!("127.0.0.1:{}", datanode.running().ports().ipc),
        User::new("somebody"),
        "org.apache.hadoop.hdfs.protocol.ClientDatanodeProtocol",
        Timeouts::default(),
    );
    runtime
        .expect("a runtime")
        .block_on(client.call(method, request))
        .map_err(|error| error.to_string())
}

#[test]
fn orders_to_copy_and_to_delete() {
    let folder = tempfile::tempdir().expect("a folder");
    let namenode = Namenode::start();
    let first = Datanode::start(&namenode, &folder.path().join("0"));
    let second = Datanode::start(&namenode, &folder.path().join("1"));
    let bytes = content(700_000);
    Client::write_all(first.port(), &create(1, 1001, vec![]), &bytes);
    let mut copy = block_order(Action::Transfer, 1, 1001, 700_000);
    copy.targets = vec![DatanodeInfosProto { datanodes: vec![second.info()] }];
    copy.target_storage_types = vec![StorageTypesProto { storage_types: vec![1] }];
    namenode.order(&first.uuid, order(copy));
    assert_eq!(namenode.wait_change(&second.uuid, 1, 2), (1001, 700_000));
    second.assert_finalized(1, 1001, &bytes);
    namenode.order(&first.uuid, order(block_order(Action::Invalidate, 1, 1001, 0)));
    namenode.wait_change(&first.uuid, 1, 3);
    assert!(first.finalized(1, 1001).is_none());
    second.assert_finalized(1, 1001, &bytes);
}

#[test]
fn a_restart_keeps_identity_and_replicas_and_recovers_the_open_one() {
    let folder = tempfile::tempdir().expect("a folder");
    let namenode = Namenode::start();
    let mut datanode = Datanode::start(&namenode, folder.path());
    let bytes = content(3000);
    Client::write_all(datanode.port(), &create(1, 1001, vec![]), &bytes);
    let mut writer = Client::write(datanode.port(), &create(2, 1002, vec![]));
    writer.data(0, 0, &bytes[..1700]);
    assert!(writer.ack().is_success());
    let uuid = datanode.uuid.clone();
    datanode.stop();
    drop(writer);
    namenode.known.lock().reports.clear();
    // A piece of a packet that never got its checksums.
    let rbw = folder.path().join("current").join(POOL).join("current/rbw/blk_2");
    let mut torn = std::fs::read(&rbw).expect("the open replica");
    torn.extend([7; 900]);
    std::fs::write(&rbw, torn).expect("written");

    let datanode = Datanode::start(&namenode, folder.path());
    assert_eq!(datanode.uuid, uuid);
    let mut report =
        namenode.wait("full report", |known| known.reports.get(&datanode.uuid).cloned());
    report.sort_by_key(|replica| replica.id);
    let seen: Vec<_> =
        report.iter().map(|each| (each.id, each.stamp, each.length, each.state)).collect();
    assert_eq!(
        seen,
        [
            (1, 1001, 3000, ReplicaState::Finalized),
            (2, 1002, 1700, ReplicaState::WaitingToBeRecovered)
        ]
    );
    let recovery = DatanodeCommandProto {
        cmd_type: Type::BlockRecoveryCommand as i32,
        recovery_cmd: Some(BlockRecoveryCommandProto {
            blocks: vec![RecoveringBlockProto {
                new_gen_stamp: 1003,
                block: LocatedBlockProto {
                    b: block(2, 1002, 0),
                    locs: vec![datanode.info()],
                    ..Default::default()
                },
                ..Default::default()
            }],
        }),
        ..Default::default()
    };
    namenode.order(&datanode.uuid, recovery);
    let commit = namenode.wait("commit", |known| known.commits.first().cloned());
    assert_eq!((commit.new_gen_stamp, commit.new_length), (1003, 1700));
    assert!(commit.close_file && !commit.delete_block);
    assert_eq!(commit.new_taragets[0].datanode_uuid, datanode.uuid);
    assert!(commit.new_target_storages[0].starts_with("DS-"));
    datanode.assert_finalized(2, 1003, &bytes[..1700]);
    datanode.assert_finalized(1, 1001, &bytes);
}

/// Two replicas of different lengths, one of them with a writer that still hangs on.
#[test]
fn a_recovery_over_two_datanodes_takes_the_shorter_length() {
    let folder = tempfile::tempdir().expect("a folder");
    let namenode = Namenode::start();
    let first = Datanode::start(&namenode, &folder.path().join("0"));
    let second = Datanode::start(&namenode, &folder.path().join("1"));
    let bytes = content(3000);
    let mut writers = Vec::new();
    for (node, length) in [(&first, 3000), (&second, 1100)] {
        let mut writer = Client::write(node.port(), &create(2, 1002, vec![]));
        writer.data(0, 0, &bytes[..length]);
        assert!(writer.ack().is_success());
        writers.push(writer);
    }
    let recovery = RecoveringBlockProto {
        new_gen_stamp: 1003,
        block: LocatedBlockProto {
            b: block(2, 1002, 0),
            locs: vec![first.info(), second.info()],
            ..Default::default()
        },
        ..Default::default()
    };
    namenode.order(
        &first.uuid,
        DatanodeCommandProto {
            cmd_type: Type::BlockRecoveryCommand as i32,
            recovery_cmd: Some(BlockRecoveryCommandProto { blocks: vec![recovery] }),
            ..Default::default()
        },
    );
    let commit = namenode.wait("commit", |known| known.commits.first().cloned());
    assert_eq!((commit.new_length, commit.new_taragets.len()), (1100, 2));
    first.assert_finalized(2, 1003, &bytes[..1100]);
    second.assert_finalized(2, 1003, &bytes[..1100]);
    assert!(writers.iter_mut().all(Client::is_closed));
}

#[test]
fn a_namenode_that_was_away_is_registered_with_again() {
    let folder = tempfile::tempdir().expect("a folder");
    let namenode = Namenode::start();
    let datanode = Datanode::start(&namenode, folder.path());
    namenode.known.lock().is_away = true;
    // What happens meanwhile is not lost.
    Client::write_all(datanode.port(), &create(1, 1001, vec![]), &content(10));
    std::thread::sleep(Duration::from_millis(300));
    let mut known = namenode.known.lock();
    known.registrations.clear();
    known.reports.clear();
    known.is_away = false;
    drop(known);
    namenode.wait("registration", |known| known.registrations.first().map(|_| ()));
    assert_eq!(namenode.wait_change(&datanode.uuid, 1, 2), (1001, 10));
    let report = namenode.wait("report", |known| known.reports.get(&datanode.uuid).cloned());
    assert_eq!(report.len(), 1);
}

#[test]
fn what_the_ipc_port_answers() {
    let folder = tempfile::tempdir().expect("a folder");
    let namenode = Namenode::start();
    let datanode = Datanode::start(&namenode, folder.path());
    let mut writer = Client::write(datanode.port(), &create(1, 1001, vec![]));
    writer.data(0, 0, &content(600));
    assert!(writer.ack().is_success());
    let request = GetReplicaVisibleLengthRequestProto { block: block(1, 1001, 0) };
    let length: GetReplicaVisibleLengthResponseProto =
        call(&datanode, "getReplicaVisibleLength", &request).expect("a length");
    assert_eq!(length.length, 600);
    namenode.wait("report", |known| known.reports.get(&datanode.uuid).map(|_| ()));
    namenode.known.lock().reports.clear();
    let request = TriggerBlockReportRequestProto { incremental: false, nn_address: None };
    let _: TriggerBlockReportResponseProto =
        call(&datanode, "triggerBlockReport", &request).expect("triggered");
    let report = namenode.wait("report", |known| known.reports.get(&datanode.uuid).cloned());
    assert_eq!(report[0].state, ReplicaState::BeingWritten);
    let unknown = call::<_, TriggerBlockReportResponseProto>(&datanode, "evictWriters", &());
    assert!(unknown.expect_err("refused").contains("RpcNoSuchMethodException"));
}

#[test]
fn folders_that_do_not_fit_are_refused_in_one_line() {
    let folder = tempfile::tempdir().expect("a folder");
    let namenode = Namenode::start();
    let mut datanode = Datanode::start(&namenode, folder.path());
    let in_use = Datanode::refused(&namenode, folder.path());
    assert!(in_use.message.contains("in use"), "{in_use}");
    datanode.stop();
    let other = Namenode::start_with("CID-2");
    let stranger = Datanode::refused(&other, folder.path());
    assert!(
        stranger.message.contains("belongs to cluster CID-1 and the namenode is of CID-2"),
        "{stranger}"
    );
    assert_eq!((in_use.exit_code, stranger.exit_code), (2, 2));
    assert!(!in_use.message.contains('\n') && !stranger.message.contains('\n'));
    let version = folder.path().join("current/VERSION");
    let text = std::fs::read_to_string(&version).expect("a VERSION file");
    assert!(text.contains("layoutVersion=-57") && text.contains("storageType=DATA_NODE"));
    std::fs::write(&version, text.replace("layoutVersion=-57", "layoutVersion=-58")).expect("ok");
    let newer = Datanode::refused(&namenode, folder.path());
    assert!(newer.message.contains("VERSION"), "{newer}");
}
