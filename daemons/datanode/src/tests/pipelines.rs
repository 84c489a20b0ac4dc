//! Several datanodes in a row.

use hdfs_wire::proto::hdfs::{
    ClientOperationHeaderProto, DatanodeIdProto, DatanodeInfoProto, OpReplaceBlockProto,
    OpTransferBlockProto,
};
use hdfs_wire::transfer::{Op, PacketHeader, Stage, Status};

use super::Datanode;
use super::client::{Client, block, content, create, header, recover};
use super::namenode::Namenode;

struct Row {
    namenode: Namenode,
    nodes: Vec<Datanode>,
    _folder: tempfile::TempDir,
}

fn row(count: usize) -> Row {
    let folder = tempfile::tempdir().expect("a folder");
    let namenode = Namenode::start();
    let nodes = (0..count)
        .map(|index| Datanode::start(&namenode, &folder.path().join(index.to_string())))
        .collect();
    Row { namenode, nodes, _folder: folder }
}

impl Row {
    fn after(&self, first: usize) -> Vec<DatanodeInfoProto> {
        self.nodes[first..].iter().map(Datanode::info).collect()
    }
}

#[test]
fn three_nodes_get_the_same() {
    let row = row(3);
    for (id, length) in [(1, 0), (2, 1), (3, 64512), (4, 1_000_001)] {
        let bytes = content(length);
        Client::write_all(row.nodes[0].port(), &create(id, 1001, row.after(1)), &bytes);
        for node in &row.nodes {
            node.assert_finalized(id, 1001, &bytes);
            let reported = row.namenode.wait_change(&node.uuid, id, 2);
            assert_eq!(reported, (1001, length as u64));
        }
    }
}

#[test]
fn a_node_that_is_not_there_is_named() {
    let mut row = row(3);
    let targets = row.after(1);
    let gone = format!("127.0.0.1:{}", row.nodes[2].port());
    row.nodes[2].stop();
    let mut client = Client::connect(row.nodes[0].port());
    client.op(Op::WriteBlock, &create(1, 1001, targets));
    let response = client.response();
    assert_eq!((response.status(), response.first_bad_link()), (Status::Error, &*gone));
}

/// The last node finds the corruption; the one before suspects itself and goes, so that the client
/// blames it, as Hadoop's datanodes do.
#[test]
fn corruption_is_found_by_the_last_node() {
    let row = row(2);
    let bytes = content(2000);
    let mut client = Client::write(row.nodes[0].port(), &create(1, 1001, row.after(1)));
    client.data(0, 0, &bytes[..1024]);
    assert!(client.ack().is_success());
    let header = PacketHeader { offset_in_block: 1024, seqno: 1, ..PacketHeader::default() };
    let mut packet = Client::packet(header, &bytes[1024..]);
    let end = packet.len() - 1;
    packet[end] ^= 1;
    client.send(&packet);
    assert!(client.try_ack().is_none_or(|ack| !ack.is_success()));
    for node in &row.nodes {
        assert!(node.finalized(1, 1001).is_none());
    }
}

#[test]
fn the_death_of_a_mirror_is_told_and_the_rest_goes_on() {
    let mut row = row(3);
    let bytes = content(300_000);
    let first = row.nodes[0].port();
    let mut client = Client::write(first, &create(1, 1001, row.after(1)));
    client.data(0, 0, &bytes[..64512]);
    assert!(client.ack().is_success());
    row.nodes[2].stop();
    let mut seqno = 1;
    let blamed = loop {
        client.data(64512, seqno, &bytes[64512..129_024]);
        let ack = client.ack();
        assert_eq!(ack.seqno, seqno);
        if !ack.is_success() {
            break ack.replies;
        }
        seqno += 1;
        assert!(seqno < 1000);
    };
    assert_eq!(blamed, [Status::Success, Status::Success, Status::Error]);
    drop(client);
    let targets = vec![row.nodes[1].info()];
    let op =
        recover((1, 1001, 1002), Stage::PipelineSetupStreamingRecovery, (64512, 129_024), targets);
    let mut client = Client::write(first, &op);
    client.data(64512, 0, &bytes[64512..129_024]);
    client.data(129_024, 1, &bytes[129_024..]);
    client.last(bytes.len(), 2);
    for _ in 0..3 {
        assert!(client.ack().is_success());
    }
    row.nodes[0].assert_finalized(1, 1002, &bytes);
    row.nodes[1].assert_finalized(1, 1002, &bytes);
}

/// A client's pipeline gets a new node: the replica so far is copied, then both go on.
#[test]
fn a_new_node_gets_the_replica_so_far() {
    let row = row(2);
    let bytes = content(100_000);
    let first = row.nodes[0].port();
    let mut client = Client::write(first, &create(1, 1001, vec![]));
    client.data(0, 0, &bytes[..64_000]);
    assert!(client.ack().is_success());
    drop(client);
    let mut client = Client::connect(first);
    client.op(
        Op::TransferBlock,
        &OpTransferBlockProto {
            header: ClientOperationHeaderProto {
                base_header: header(block(1, 1001, 0)),
                client_name: "DFSClient_NONMAPREDUCE_1".to_owned(),
            },
            targets: row.after(1),
            target_storage_types: vec![1],
            target_storage_ids: vec![],
        },
    );
    let response = client.response();
    assert_eq!(response.status(), Status::Success, "{response:?}");
    let range = (64_000, 64_000);
    let op = recover((1, 1001, 1002), Stage::PipelineSetupStreamingRecovery, range, row.after(1));
    let mut client = Client::write(first, &op);
    client.data(64_000, 0, &bytes[64_000..]);
    client.last(bytes.len(), 1);
    assert!(client.ack().is_success());
    assert!(client.ack().is_success());
    for node in &row.nodes {
        node.assert_finalized(1, 1002, &bytes);
    }
}

#[test]
fn the_balancer_moves_a_replica() {
    let row = row(2);
    let bytes = content(500_001);
    Client::write_all(row.nodes[0].port(), &create(1, 1001, vec![]), &bytes);
    let op = OpReplaceBlockProto {
        header: header(block(1, 1001, bytes.len() as u64)),
        del_hint: row.nodes[0].uuid.clone(),
        source: row.nodes[0].info(),
        storage_type: Some(1),
        storage_id: None,
    };
    let mut client = Client::connect(row.nodes[1].port());
    client.op(Op::ReplaceBlock, &op);
    let response = client.response();
    assert_eq!(response.status(), Status::Success, "{response:?}");
    row.nodes[1].assert_finalized(1, 1001, &bytes);
    row.namenode.wait_change(&row.nodes[1].uuid, 1, 2);
    let mut client = Client::connect(row.nodes[1].port());
    client.op(Op::ReplaceBlock, &op);
    assert!(client.response().message().contains("ReplicaAlreadyExistsException"));
}

#[test]
fn an_address_that_is_none_is_blamed() {
    let row = row(1);
    let nowhere = DatanodeInfoProto {
        id: DatanodeIdProto { ip_addr: "nowhere".to_owned(), xfer_port: 1, ..Default::default() },
        ..Default::default()
    };
    let mut client = Client::connect(row.nodes[0].port());
    client.op(Op::WriteBlock, &create(1, 1001, vec![nowhere]));
    assert_eq!(client.response().first_bad_link(), "nowhere:1");
}
