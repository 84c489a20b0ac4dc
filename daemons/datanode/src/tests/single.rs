//! One datanode: the byte vectors of Hadoop's wire, partial chunks, refusals, garbage.

use std::io::Write;
use std::time::{Duration, Instant};

use hdfs_wire::proto::hdfs::{
    BlockChecksumOptionsProto, OpBlockChecksumProto, OpCopyBlockProto,
    OpRequestShortCircuitAccessProto,
};
use hdfs_wire::transfer::{Op, PacketHeader, Stage, Status};
use md5::{Digest, Md5};

use super::Datanode;
use super::client::{Client, block, content, create, header, recover};
use super::namenode::Namenode;

struct Scene {
    namenode: Namenode,
    datanode: Datanode,
    _folder: tempfile::TempDir,
}

fn scene() -> Scene {
    let folder = tempfile::tempdir().expect("a folder");
    let namenode = Namenode::start();
    let datanode = Datanode::start(&namenode, folder.path());
    Scene { namenode, datanode, _folder: folder }
}

/// The conversation of a Java client that writes 700 times `A`, and reads a range of 3000 bytes.
#[test]
fn the_bytes_of_a_java_client() {
    let scene = scene();
    let port = scene.datanode.port();
    let mut client = Client::connect(port);
    client.op(Op::WriteBlock, &create(1, 1001, vec![]));
    assert_eq!(client.bytes(5), [4, 8, 0, 0x12, 0]);
    let mut packet = vec![0, 0, 2, 0xc8, 0, 0x19, 9, 0, 0, 0, 0, 0, 0, 0, 0, 0x11];
    packet.extend([0, 0, 0, 0, 0, 0, 0, 0, 0x18, 0, 0x25, 0xbc, 2, 0, 0]);
    packet.extend([0xe3, 0x91, 0x86, 0xd6, 0xdb, 0x93, 0xce, 0xa7]);
    packet.extend([b'A'; 700]);
    client.send(&packet);
    assert_eq!(client.bytes(10), [9, 8, 0, 0x10, 0, 0x18, 0, 0x22, 1, 0]);
    let mut last = vec![0, 0, 0, 4, 0, 0x19, 9, 0xbc, 2, 0, 0, 0, 0, 0, 0, 0x11];
    last.extend([1, 0, 0, 0, 0, 0, 0, 0, 0x18, 1, 0x25, 0, 0, 0, 0]);
    client.send(&last);
    assert_eq!(client.bytes(10), [9, 8, 2, 0x10, 0, 0x18, 0, 0x22, 1, 0]);
    scene.datanode.assert_finalized(1, 1001, &[b'A'; 700]);
    assert_eq!(scene.namenode.wait_change(&scene.datanode.uuid, 1, 2), (1001, 700));

    Client::write_all(port, &create(2, 1002, vec![]), &content(3000));
    let mut client = Client::connect(port);
    client.read(block(2, 1002, 3000), 600, 100);
    assert_eq!(client.bytes(15), [14, 8, 0, 0x22, 10, 10, 5, 8, 2, 0x10, 0x80, 4, 0x10, 0x80, 4]);
    let first = client.bytes(6 + 25 + 4 + 512);
    assert_eq!(first[..6], [0, 0, 2, 8, 0, 25]);
    assert_eq!(first[6..15], [9, 0, 2, 0, 0, 0, 0, 0, 0]);
    assert_eq!(first[35..], content(3000)[512..1024]);
    let end = client.bytes(6 + 25);
    assert_eq!(end[..6], [0, 0, 0, 4, 0, 25]);
    assert_eq!(end[6..15], [9, 0, 4, 0, 0, 0, 0, 0, 0]);
    assert_eq!(end[24..], [0x18, 1, 0x25, 0, 0, 0, 0][..]);
}

#[test]
fn reads_of_any_range_on_one_connection() {
    let scene = scene();
    let bytes = content(300_000);
    Client::write_all(scene.datanode.port(), &create(1, 1001, vec![]), &bytes);
    let mut client = Client::connect(scene.datanode.port());
    for (offset, len) in [(0, 300_000), (0, 1), (511, 2), (65535, 65537), (299_999, 1), (7, 0)] {
        let read = client.read_all(block(1, 1001, 300_000), offset, len).expect("read");
        assert!(read == bytes[offset as usize..(offset + len) as usize], "{offset} {len}");
    }
    let beyond = client.read_all(block(1, 1001, 300_000), 300_000, 1).expect_err("beyond");
    assert!(beyond.contains("don't match block"), "{beyond}");
    let missing = client.read_all(block(9, 1001, 1), 0, 1).expect_err("missing");
    assert!(
        missing.starts_with("opReadBlock BP-1-127.0.0.1-1:blk_9_1001 received exception ")
            && missing.contains("server.datanode.ReplicaNotFoundException: Replica not found for"),
        "{missing}"
    );
    let newer = client.read_all(block(1, 1002, 1), 0, 1).expect_err("newer");
    assert!(newer.contains("gen stamp"), "{newer}");
}

/// hflush in the middle of chunks: a client sends the partial chunk again with more bytes; a reader
/// sees what was acknowledged, with checksums that fit.
#[test]
fn partial_chunks_are_readable_while_written() {
    let scene = scene();
    let bytes = content(5000);
    let mut writer = Client::write(scene.datanode.port(), &create(1, 1001, vec![]));
    let mut reader = Client::connect(scene.datanode.port());
    for (seqno, (start, end)) in
        [(0, 100), (0, 600), (512, 700), (512, 2048), (2048, 2049)].into_iter().enumerate()
    {
        writer.data(start, seqno as i64, &bytes[start..end]);
        assert!(writer.ack().is_success());
        let read = reader.read_all(block(1, 1001, 0), 0, end as u64).expect("read");
        assert!(read == bytes[..end], "{end}");
    }
    let header =
        PacketHeader { offset_in_block: 2048, seqno: 5, sync: true, ..PacketHeader::default() };
    let synced = Client::packet(header, &bytes[2048..5000]);
    writer.send(&synced);
    assert!(writer.ack().is_success());
    writer.last(5000, 6);
    assert!(writer.ack().is_success());
    scene.datanode.assert_finalized(1, 1001, &bytes);
}

/// Heartbeat packets are acknowledged and leave no trace; packets sent again neither.
#[test]
fn heartbeats_and_repeated_packets() {
    let scene = scene();
    let bytes = content(2000);
    let mut client = Client::write(scene.datanode.port(), &create(1, 1001, vec![]));
    client.data(0, 0, &bytes[..1000]);
    client.data(0, 1, &bytes[..512]);
    let header = PacketHeader { seqno: -1, ..PacketHeader::default() };
    client.send(&Client::packet(header, &[]));
    client.data(512, 2, &bytes[512..]);
    client.last(2000, 3);
    for seqno in [0, 1, -1, 2, 3] {
        let ack = client.ack();
        assert_eq!((ack.seqno, ack.is_success()), (seqno, true));
    }
    scene.datanode.assert_finalized(1, 1001, &bytes);
}

#[test]
fn a_corrupt_packet_is_refused_and_nothing_of_it_kept() {
    let scene = scene();
    let bytes = content(3000);
    let mut client = Client::write(scene.datanode.port(), &create(1, 1001, vec![]));
    client.data(0, 0, &bytes[..1024]);
    let header = PacketHeader { offset_in_block: 1024, seqno: 1, ..PacketHeader::default() };
    let mut packet = Client::packet(header, &bytes[1024..]);
    let end = packet.len() - 1;
    packet[end] ^= 1;
    client.send(&packet);
    assert!(client.ack().is_success());
    assert_eq!(client.ack().replies, [Status::ErrorChecksum]);
    // The client goes on with a new stamp where it was.
    let op = recover((1, 1001, 1002), Stage::PipelineSetupStreamingRecovery, (1024, 3000), vec![]);
    let mut client = Client::write(scene.datanode.port(), &op);
    client.data(1024, 1, &bytes[1024..]);
    client.last(3000, 2);
    assert!(client.ack().is_success());
    assert!(client.ack().is_success());
    scene.datanode.assert_finalized(1, 1002, &bytes);
}

#[test]
fn append_and_close_recovery() {
    let scene = scene();
    let port = scene.datanode.port();
    let bytes = content(3000);
    Client::write_all(port, &create(1, 1001, vec![]), &bytes[..700]);
    let append = recover((1, 1001, 1002), Stage::PipelineSetupAppend, (700, 700), vec![]);
    let mut client = Client::write(port, &append);
    // A client fills the last chunk first, with a packet that starts inside it.
    client.data(700, 0, &bytes[700..1024]);
    client.data(1024, 1, &bytes[1024..3000]);
    assert!(client.ack().is_success());
    assert!(client.ack().is_success());
    drop(client);
    // The last packet never came; the client only wants the block closed.
    let close = recover((1, 1002, 1003), Stage::PipelineCloseRecovery, (3000, 3000), vec![]);
    let mut client = Client::write(port, &close);
    assert!(client.is_closed());
    scene.datanode.assert_finalized(1, 1003, &bytes);
    scene.namenode.wait("the new stamp", |known| {
        known.changes.iter().find(|change| (change.2, change.3, change.4) == (1003, 3000, 2))?;
        Some(())
    });
    // The same again on a finalized replica only changes the stamp.
    let close = recover((1, 1003, 1004), Stage::PipelineCloseRecovery, (3000, 3000), vec![]);
    Client::write(port, &close);
    scene.datanode.assert_finalized(1, 1004, &bytes);
}

#[test]
fn a_recovery_takes_over_from_a_writer_that_hangs() {
    let scene = scene();
    let port = scene.datanode.port();
    let bytes = content(2000);
    let mut hanging = Client::write(port, &create(1, 1001, vec![]));
    hanging.data(0, 0, &bytes[..1000]);
    assert!(hanging.ack().is_success());
    let op = recover((1, 1001, 1002), Stage::PipelineSetupStreamingRecovery, (1000, 1000), vec![]);
    let mut client = Client::write(port, &op);
    assert!(hanging.is_closed(), "the first writer is out");
    client.data(512, 1, &bytes[512..]);
    client.last(2000, 2);
    assert!(client.ack().is_success());
    assert!(client.ack().is_success());
    scene.datanode.assert_finalized(1, 1002, &bytes);
}

#[test]
fn refusals_name_this_node() {
    let scene = scene();
    let port = scene.datanode.port();
    Client::write_all(port, &create(1, 1001, vec![]), &content(10));
    let mut client = Client::connect(port);
    client.op(Op::WriteBlock, &create(1, 1001, vec![]));
    let response = client.response();
    assert_eq!(response.status(), Status::Error);
    assert_eq!(response.first_bad_link(), format!("127.0.0.1:{port}"));
    assert!(response.message().contains("ReplicaAlreadyExistsException"));
    let mut huge = create(2, 1001, vec![]);
    huge.header.base_header.block.num_bytes = Some(1 << 60);
    let mut client = Client::connect(port);
    client.op(Op::WriteBlock, &huge);
    assert!(client.response().message().contains("DiskOutOfSpaceException"));
}

#[test]
fn checksums_of_a_block() {
    let scene = scene();
    let bytes = content(3000);
    Client::write_all(scene.datanode.port(), &create(1, 1001, vec![]), &bytes);
    let mut client = Client::connect(scene.datanode.port());
    for length in [3000, 1024, 700] {
        let mut sums = Vec::new();
        let kind = hdfs_wire::checksum::ChecksumKind::Crc32c;
        hdfs_wire::checksum::compute(kind, 512, &bytes[..length], &mut sums);
        let whole = hdfs_wire::checksum::crc(kind, &bytes[..length]);
        for (kind, expected) in
            [(1, Md5::digest(&sums).to_vec()), (2, whole.to_be_bytes().to_vec())]
        {
            let op = OpBlockChecksumProto {
                header: header(block(1, 1001, length as u64)),
                block_checksum_options: Some(BlockChecksumOptionsProto {
                    block_checksum_type: Some(kind),
                    stripe_length: None,
                }),
            };
            client.op(Op::BlockChecksum, &op);
            let answer = client.response().checksum_response.expect("a checksum");
            assert_eq!(answer.block_checksum, expected, "{length} {kind}");
            assert_eq!((answer.bytes_per_crc, answer.crc_type()), (512, 2.try_into().unwrap()));
        }
    }
}

#[test]
fn what_is_not_served_is_said_so() {
    let scene = scene();
    let mut client = Client::connect(scene.datanode.port());
    let op = OpRequestShortCircuitAccessProto {
        header: header(block(1, 1001, 1)),
        max_version: 1,
        ..Default::default()
    };
    client.op(Op::RequestShortCircuitFds, &op);
    assert_eq!(client.response().status(), Status::ErrorUnsupported);
    let mut client = Client::connect(scene.datanode.port());
    client.op(Op::CopyBlock, &OpCopyBlockProto { header: header(block(1, 1001, 1)) });
    assert_eq!(client.response().status(), Status::Error);
}

#[test]
fn garbage_closes_the_connection_and_nothing_else() {
    let scene = scene();
    let port = scene.datanode.port();
    for garbage in [&b"GET / HTTP/1.1\r\n\r\n"[..], &[0xde, 0xad, 0xbe, 0xef], &[0, 28, 79, 0]] {
        let mut client = Client::connect(port);
        client.send(garbage);
        assert!(client.is_closed());
    }
    // A packet that promises 2 GiB after a good beginning.
    let mut client = Client::write(port, &create(1, 1001, vec![]));
    client.send(&[0x7f, 0xff, 0xff, 0xff, 0, 25]);
    assert!(client.is_closed());
    // Random bytes behind a version and an opcode.
    for code in 80..=90 {
        let mut client = Client::connect(port);
        client.send(&[0, 28, code, 20]);
        client.try_send(&[0xaa; 20]);
        assert!(client.is_closed());
    }
    Client::write_all(port, &create(2, 1001, vec![]), &content(100));
}

#[test]
fn silent_connections_cost_no_thread() {
    let scene = scene();
    // More than the 64 threads the datanode may have.
    let silent: Vec<_> = (0..100)
        .map(|_| {
            let mut client = Client::connect(scene.datanode.port());
            client.stream.write_all(&[0, 28]).expect("sent");
            client
        })
        .collect();
    let started = Instant::now();
    Client::write_all(scene.datanode.port(), &create(1, 1001, vec![]), &content(100));
    assert!(started.elapsed() < Duration::from_secs(5));
    drop(silent);
}
