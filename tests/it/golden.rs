//! Bytes captured from real Hadoop 3.4.2, read and written again by our codecs.

use std::collections::BTreeMap;

use bytes::{Buf, Bytes, BytesMut};
use hdfs_disk::edits::{EditOp, SegmentKind, SegmentReader};
use hdfs_wire::checksum::{self, ChecksumKind};
use hdfs_wire::proto::hdfs as p;
use hdfs_wire::proto::hdfs::datanode as d;
use hdfs_wire::rpc::client::{self, Identity};
use hdfs_wire::rpc::server::{self, Incoming, Limits, Session};
use hdfs_wire::transfer::{
    Op, PACKET_LEN_MAX, PREFIX_LEN, PacketHeader, PacketPrefix, PipelineAck, Request, Status,
    decode_delimited, encode_op,
};
use prost::Message;
use tests::golden::{self, Side};

/// Every captured conversation with the namenode, and the methods called in it.
const CONVERSATIONS: [(&str, &[&str]); 8] = [
    ("fsshell-mkdir", &["getFileInfo", "getFileInfo", "mkdirs"]),
    (
        "fsshell-put",
        &[
            "getFileInfo",
            "getFileInfo",
            "getFileInfo",
            "create",
            "addBlock",
            "getServerDefaults",
            "complete",
            "complete",
            "getFileInfo",
            "rename",
        ],
    ),
    ("fsshell-ls", &["getFileInfo", "getListing"]),
    ("fsshell-cat", &["getFileInfo", "getBlockLocations", "getServerDefaults"]),
    ("fsshell-rm", &["getFileInfo", "delete"]),
    ("fsshell-rm-missing", &["getFileInfo"]),
    (
        "dfsadmin-report",
        &[
            "getFsStats",
            "getFsStats",
            "setSafeMode",
            "getFsReplicatedBlockStats",
            "getFsECBlockGroupStats",
            "getDatanodeReport",
            "getDatanodeReport",
            "getDatanodeReport",
            "getDatanodeReport",
            "getDatanodeReport",
            "getSlowDatanodeReport",
        ],
    ),
    (
        "datanode-to-namenode",
        &[
            "versionRequest",
            "registerDatanode",
            "sendHeartbeat",
            "blockReport",
            "sendHeartbeat",
            "blockReceivedAndDeleted",
            "sendHeartbeat",
            "sendHeartbeat",
        ],
    ),
];

/// Decodes a message and encodes it again; Java writes fields in the order of their numbers too.
fn again<M: Message + Default>(body: &Bytes) -> Vec<u8> {
    M::decode(body.clone()).expect("a message of Java decodes").encode_to_vec()
}

/// The request and the response of a method, decoded and encoded again.
fn both_again(method: &str, request: &Bytes, response: &Bytes) -> (Vec<u8>, Vec<u8>) {
    macro_rules! pair {
        ($request:ty, $response:ty) => {
            (again::<$request>(request), again::<$response>(response))
        };
    }
    match method {
        "getFileInfo" => pair!(p::GetFileInfoRequestProto, p::GetFileInfoResponseProto),
        "mkdirs" => pair!(p::MkdirsRequestProto, p::MkdirsResponseProto),
        "create" => pair!(p::CreateRequestProto, p::CreateResponseProto),
        "addBlock" => pair!(p::AddBlockRequestProto, p::AddBlockResponseProto),
        "getServerDefaults" => {
            pair!(p::GetServerDefaultsRequestProto, p::GetServerDefaultsResponseProto)
        }
        "complete" => pair!(p::CompleteRequestProto, p::CompleteResponseProto),
        "rename" => pair!(p::RenameRequestProto, p::RenameResponseProto),
        "delete" => pair!(p::DeleteRequestProto, p::DeleteResponseProto),
        "getListing" => pair!(p::GetListingRequestProto, p::GetListingResponseProto),
        "getBlockLocations" => {
            pair!(p::GetBlockLocationsRequestProto, p::GetBlockLocationsResponseProto)
        }
        "getFsStats" => pair!(p::GetFsStatusRequestProto, p::GetFsStatsResponseProto),
        "setSafeMode" => pair!(p::SetSafeModeRequestProto, p::SetSafeModeResponseProto),
        "getFsReplicatedBlockStats" => pair!(
            p::GetFsReplicatedBlockStatsRequestProto,
            p::GetFsReplicatedBlockStatsResponseProto
        ),
        "getFsECBlockGroupStats" => {
            pair!(p::GetFsEcBlockGroupStatsRequestProto, p::GetFsEcBlockGroupStatsResponseProto)
        }
        "getDatanodeReport" => {
            pair!(p::GetDatanodeReportRequestProto, p::GetDatanodeReportResponseProto)
        }
        "getSlowDatanodeReport" => {
            pair!(p::GetSlowDatanodeReportRequestProto, p::GetSlowDatanodeReportResponseProto)
        }
        "versionRequest" => pair!(p::VersionRequestProto, p::VersionResponseProto),
        "registerDatanode" => {
            pair!(d::RegisterDatanodeRequestProto, d::RegisterDatanodeResponseProto)
        }
        "sendHeartbeat" => pair!(d::HeartbeatRequestProto, d::HeartbeatResponseProto),
        "blockReport" => pair!(d::BlockReportRequestProto, d::BlockReportResponseProto),
        "blockReceivedAndDeleted" => {
            pair!(d::BlockReceivedAndDeletedRequestProto, d::BlockReceivedAndDeletedResponseProto)
        }
        other => panic!("{other} is not in the captures"),
    }
}

/// Java's client speaks to our session, whole or byte by byte, and every reply that Java's server
/// gave is what our encoder makes of the same message.
#[test]
fn conversations_with_the_namenode() {
    for (name, methods) in CONVERSATIONS {
        let requests = golden::stream(name, Side::Client);
        let mut replies = BytesMut::from(&golden::stream(name, Side::Server)[..]);
        for step in [1, 7, 1000, usize::MAX] {
            let calls = receive_in_pieces(&requests, step);
            let names: Vec<&str> = calls.iter().map(|(_, method, _)| method.as_str()).collect();
            assert_eq!(names, methods, "{name}");
        }
        for (head, method, body) in receive_in_pieces(&requests, usize::MAX) {
            let before = replies.clone();
            let reply = client::decode_response(&mut replies, 1 << 20).expect("a reply");
            let reply = reply.expect("a whole reply");
            assert_eq!(reply.call_id, head.call_id, "{name} {method}");
            let body_of_reply = reply.result.expect("success");
            let (request, response) = both_again(&method, &body, &body_of_reply);
            assert_eq!(request, body, "{name} {method}: the request");
            assert_eq!(response, body_of_reply, "{name} {method}: the reply");
            let mut ours = BytesMut::new();
            server::encode_success(&head, &Encoded(&response), &mut ours);
            assert_eq!(ours, before[..before.len() - replies.len()], "{name} {method}: framing");
        }
        assert!(replies.is_empty(), "{name}: every reply belongs to a call");
    }
}

type Calls = Vec<(hdfs_wire::rpc::CallHeader, String, Bytes)>;

fn receive_in_pieces(requests: &[u8], step: usize) -> Calls {
    let mut session = Session::new(Limits::default());
    let (mut input, mut output) = (BytesMut::new(), BytesMut::new());
    let (mut calls, mut established) = (Vec::new(), 0);
    for piece in requests.chunks(step.min(requests.len())) {
        input.extend_from_slice(piece);
        while let Some(incoming) = session.receive(&mut input, &mut output).expect("no fault") {
            match incoming {
                Incoming::Established { user, .. } => {
                    assert_eq!(user, "root");
                    established += 1;
                }
                Incoming::Call { head, method, body, version, .. } => {
                    assert_eq!(version, 1);
                    calls.push((head, method.to_string(), body));
                }
            }
        }
    }
    assert_eq!(established, 1);
    assert!(input.is_empty() && output.is_empty());
    calls
}

/// Bytes that are a message already.
#[derive(Debug, Default)]
struct Encoded<'a>(&'a [u8]);

impl Message for Encoded<'_> {
    fn encode_raw(&self, buffer: &mut impl bytes::BufMut) {
        buffer.put_slice(self.0);
    }

    fn merge_field(
        &mut self,
        _: u32,
        _: prost::encoding::WireType,
        _: &mut impl Buf,
        _: prost::encoding::DecodeContext,
    ) -> Result<(), prost::DecodeError> {
        unreachable!("only encoded")
    }

    fn encoded_len(&self) -> usize {
        self.0.len()
    }

    fn clear(&mut self) {}
}

/// Our client's bytes are Java's.
#[test]
fn requests_are_written_like_java() {
    let requests = golden::stream("fsshell-mkdir", Side::Client);
    let calls = receive_in_pieces(&requests, usize::MAX);
    let client_id = <[u8; 16]>::try_from(&calls[0].0.client_id[..]).expect("16 bytes");
    let identity = Identity { client_id, caller_context: Some("CLI") };
    let mut ours = BytesMut::new();
    let protocol = tests::raw::CLIENT_PROTOCOL;
    client::encode_hello(&mut ours);
    client::encode_context(&identity, "root", None, protocol, &mut ours);
    for (head, method, body) in &calls {
        let body = Encoded(body);
        client::encode_request(&identity, head.call_id, 0, protocol, method, &body, &mut ours);
    }
    assert_eq!(ours, requests);
}

/// The bytes of `small`, the file that was put and read.
fn small() -> Vec<u8> {
    (0..1000u32).map(|i| (i * 31 + 7) as u8).collect()
}

/// Takes one packet off the front: header, checksums and data.
fn packet(input: &mut BytesMut) -> (PacketHeader, Vec<u8>, Vec<u8>) {
    let prefix = input.split_to(PREFIX_LEN);
    let prefix = PacketPrefix::decode(prefix[..].try_into().expect("6 bytes"), PACKET_LEN_MAX);
    let prefix = prefix.expect("a packet");
    let header = input.split_to(prefix.header_len);
    let header = PacketHeader::decode(prefix, &header).expect("a header");
    let sums = input.split_to(prefix.body_len - header.data_len).to_vec();
    let data = input.split_to(header.data_len).to_vec();
    let mut ours = BytesMut::new();
    header.encode(sums.len(), &mut ours);
    assert_eq!(ours.len(), PREFIX_LEN + prefix.header_len);
    (header, sums, data)
}

#[test]
fn a_block_written_by_java() {
    let sent = golden::stream("transfer-write", Side::Client);
    let mut sent_left = BytesMut::from(&sent[..]);
    let request = Request::receive(&mut sent_left).expect("an operation").expect("whole");
    let Request::Write(write) = request else { panic!("not a write") };
    let mut ours = BytesMut::new();
    encode_op(Op::WriteBlock, &*write, &mut ours);
    assert_eq!(ours, sent[..ours.len()], "the operation, encoded again");
    let (first, sums, data) = packet(&mut sent_left);
    assert_eq!((first.seqno, first.last, data.as_slice()), (0, false, &small()[..]));
    checksum::verify(ChecksumKind::Crc32c, 512, &data, &sums).expect("Java's checksums");
    let (last, sums, data) = packet(&mut sent_left);
    let expected = PacketHeader { offset_in_block: 1000, seqno: 1, last: true, ..last };
    assert_eq!((last, sums.len() + data.len()), (expected, 0));
    assert!(sent_left.is_empty());

    let received = golden::stream("transfer-write", Side::Server);
    let mut left = BytesMut::from(&received[..]);
    let setup: p::BlockOpResponseProto = decode_delimited(&mut left).expect("ok").expect("whole");
    assert_eq!(setup.status, Status::Success as i32);
    assert_eq!(setup.first_bad_link.as_deref(), Some(""));
    for seqno in 0..2 {
        let before = left.clone();
        let ack: p::PipelineAckProto = decode_delimited(&mut left).expect("ok").expect("whole");
        let value = PipelineAck::from_proto(&ack);
        assert_eq!(value, PipelineAck { seqno, replies: vec![Status::Success] });
        let mut ours = BytesMut::new();
        hdfs_wire::transfer::encode_delimited(&ack, &mut ours);
        assert_eq!(ours, before[..ours.len()], "the ack, encoded again");
    }
    assert!(left.is_empty());
}

#[test]
fn a_block_read_by_java() {
    let mut sent = BytesMut::from(&golden::stream("transfer-read", Side::Client)[..]);
    let request = Request::receive(&mut sent).expect("an operation").expect("whole");
    assert!(matches!(request, Request::Read(read) if read.len == 1000 && read.offset == 0));
    let status: p::ClientReadStatusProto = decode_delimited(&mut sent).expect("ok").expect("whole");
    assert_eq!(status.status, Status::ChecksumOk as i32);
    let mut received = BytesMut::from(&golden::stream("transfer-read", Side::Server)[..]);
    let reply: p::BlockOpResponseProto = decode_delimited(&mut received).expect("ok").expect("all");
    let info = reply.read_op_checksum_info.expect("a read has it");
    assert_eq!((info.chunk_offset, info.checksum.bytes_per_checksum), (0, 512));
    let (_, sums, data) = packet(&mut received);
    assert_eq!(data, small());
    checksum::verify(ChecksumKind::Crc32c, 512, &data, &sums).expect("Java's checksums");
    let (last, _, _) = packet(&mut received);
    assert!(last.last && received.is_empty());
}

/// Pads a segment with the filler that is left out of the repository.
fn padded(name: &str) -> Vec<u8> {
    let mut bytes = golden::file(name);
    bytes.resize(1 << 20, 0xff);
    bytes
}

fn operations(bytes: &[u8], kind: SegmentKind, first: u64) -> Vec<(u64, EditOp)> {
    let mut reader = SegmentReader::open(bytes, kind, first).expect("a segment");
    let mut all = Vec::new();
    while let Some(operation) = reader.next_op().expect("a good operation") {
        all.push(operation);
    }
    all
}

/// The variant's name.
fn kind(operation: &EditOp) -> String {
    let text = format!("{operation:?}");
    text.split([' ', '(', '{']).next().unwrap_or_default().to_owned()
}

#[test]
fn edits_written_by_java() {
    let folder = "java-name/current";
    let closed = golden::file(&format!("{folder}/edits_0000000000000000001-0000000000000000120"));
    let open = padded(&format!("{folder}/edits_inprogress_0000000000000000121"));
    let segments = [(closed, SegmentKind::Finalized, 1), (open, SegmentKind::InProgress, 121)];
    for (bytes, segment, first) in segments {
        let all = operations(&bytes, segment, first);
        let txids: Vec<u64> = all.iter().map(|(txid, _)| *txid).collect();
        assert!(txids.iter().copied().eq(first..first + all.len() as u64), "{txids:?}");
        let mut count = BTreeMap::<String, usize>::new();
        for (_, operation) in &all {
            *count.entry(kind(operation)).or_default() += 1;
        }
        assert_eq!(count.get("Mkdir"), Some(&5), "{count:?}");
        assert_eq!(count.get("Add"), Some(&21), "{count:?}");
        assert_eq!(count.get("Append"), Some(&1), "{count:?}");
        // Every operation is written again byte for byte.
        let mut ours = bytes[..8].to_vec();
        for (txid, operation) in &all {
            hdfs_disk::edits::encode(operation, *txid, &mut ours).expect("it fits");
        }
        let differs = ours.iter().zip(&bytes).position(|(a, b)| a != b);
        assert_eq!(differs, None, "byte {differs:?} of the segment from {first}");
    }
}

/// Hadoop's own sample of (almost) every operation, from its test sources.
#[test]
fn edits_stored_by_hadoop() {
    let Some(hadoop) = tests::hadoop::for_test("edits_stored_by_hadoop") else { return };
    let bytes = std::fs::read(hadoop.classes.join("editsStored")).expect("in the test sources");
    let xml = std::fs::read_to_string(hadoop.classes.join("editsStored.xml")).expect("xml");
    let all = operations(&bytes, SegmentKind::Finalized, 1);
    assert_eq!(all.len(), xml.matches("<RECORD>").count());
    let names = xml.split("<OPCODE>OP_").skip(1).map(|rest| rest.split('<').next().unwrap_or(""));
    for ((txid, operation), name) in all.iter().zip(names) {
        let ours = kind(operation).to_lowercase();
        let theirs = name.replace('_', "").to_lowercase();
        let alias = matches!(theirs.as_str(), "rename" | "renameold" | "times" | "symlink");
        assert!(
            alias || ours.starts_with(&theirs[..theirs.len().min(6)]),
            "{txid}: {ours} {theirs}"
        );
    }
    let mut ours = bytes[..8].to_vec();
    for (txid, operation) in &all {
        hdfs_disk::edits::encode(operation, *txid, &mut ours).expect("it fits");
    }
    let differs = ours.iter().zip(&bytes).position(|(a, b)| a != b);
    assert_eq!(differs, None, "the first byte that we would write otherwise");
}

/// A replica that Java appended to: its checksums are of its bytes.
#[test]
fn a_replica_of_java() {
    let data = golden::file("java-blocks/blk_1073741827");
    let meta = golden::file("java-blocks/blk_1073741827_1020.meta");
    assert_eq!(&meta[..7], [0, 1, 2, 0, 0, 2, 0], "version 1, CRC32C, 512");
    checksum::verify(ChecksumKind::Crc32c, 512, &data, &meta[7..]).expect("Java's checksums");
}
