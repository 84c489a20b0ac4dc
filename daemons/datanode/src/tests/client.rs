//! A client of the transfer port that does what a test says, byte by byte if need be.

use std::io::{BufReader, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use bytes::BytesMut;
use hdfs_wire::checksum::{self, ChecksumKind};
use hdfs_wire::proto::common::TokenProto;
use hdfs_wire::proto::hdfs::{
    BaseHeaderProto, BlockOpResponseProto, ChecksumProto, ClientOperationHeaderProto,
    ClientReadStatusProto, DatanodeInfoProto, ExtendedBlockProto, OpReadBlockProto,
    OpWriteBlockProto, PipelineAckProto,
};
use hdfs_wire::transfer::{
    Op, PACKET_LEN_MAX, PREFIX_LEN, PacketHeader, PacketPrefix, PipelineAck, Stage, Status,
    encode_op, read_delimited, write_delimited,
};
use prost::Message;

use super::namenode::POOL;

/// A connection to a datanode.
pub(super) struct Client {
    pub(super) stream: TcpStream,
    input: BufReader<TcpStream>,
}

pub(super) fn block(id: u64, stamp: u64, length: u64) -> ExtendedBlockProto {
    ExtendedBlockProto {
        pool_id: POOL.to_owned(),
        block_id: id,
        generation_stamp: stamp,
        num_bytes: Some(length),
    }
}

pub(super) fn header(block: ExtendedBlockProto) -> BaseHeaderProto {
    BaseHeaderProto { block, token: Some(TokenProto::default()), trace_info: None }
}

/// A client's request to create a block.
pub(super) fn create(id: u64, stamp: u64, targets: Vec<DatanodeInfoProto>) -> OpWriteBlockProto {
    OpWriteBlockProto {
        header: ClientOperationHeaderProto {
            base_header: header(block(id, stamp, 1 << 20)),
            client_name: "DFSClient_NONMAPREDUCE_1".to_owned(),
        },
        pipeline_size: 1 + targets.len() as u32,
        target_storage_types: vec![1; targets.len()],
        targets,
        stage: Stage::PipelineSetupCreate as i32,
        requested_checksum: ChecksumProto { r#type: 2, bytes_per_checksum: 512 },
        storage_type: Some(1),
        ..Default::default()
    }
}

/// A client's request to go on with a block after a failure.
pub(super) fn recover(
    (id, stamp, latest): (u64, u64, u64),
    stage: Stage,
    (min, max): (u64, u64),
    targets: Vec<DatanodeInfoProto>,
) -> OpWriteBlockProto {
    OpWriteBlockProto {
        stage: stage as i32,
        min_bytes_rcvd: min,
        max_bytes_rcvd: max,
        latest_generation_stamp: latest,
        ..create(id, stamp, targets)
    }
}

pub(super) fn content(length: usize) -> Vec<u8> {
    (0..length).map(|at| (at * 31 % 251) as u8).collect()
}

impl Client {
    pub(super) fn connect(port: u16) -> Self {
        let stream = TcpStream::connect(("127.0.0.1", port)).expect("connected");
        stream.set_read_timeout(Some(Duration::from_secs(20))).expect("set");
        stream.set_nodelay(true).expect("set");
        let input = BufReader::new(stream.try_clone().expect("cloned"));
        Self { stream, input }
    }

    pub(super) fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).expect("sent");
    }

    /// Sends what may go to somebody who is gone.
    pub(super) fn try_send(&mut self, bytes: &[u8]) {
        let _ = self.stream.write_all(bytes);
    }

    pub(super) fn op(&mut self, op: Op, message: &impl Message) {
        let mut bytes = BytesMut::new();
        encode_op(op, message, &mut bytes);
        self.send(&bytes);
    }

    pub(super) fn response(&mut self) -> BlockOpResponseProto {
        read_delimited(&mut self.input).expect("a response")
    }

    /// Starts a write that must be accepted.
    pub(super) fn write(port: u16, op: &OpWriteBlockProto) -> Self {
        let mut client = Self::connect(port);
        client.op(Op::WriteBlock, op);
        let response = client.response();
        assert_eq!(response.status(), Status::Success, "{response:?}");
        assert_eq!(response.first_bad_link(), "");
        client
    }

    /// A packet's bytes.
    pub(super) fn packet(header: PacketHeader, data: &[u8]) -> Vec<u8> {
        let (mut sums, mut bytes) = (Vec::new(), Vec::new());
        checksum::compute(ChecksumKind::Crc32c, 512, data, &mut sums);
        PacketHeader { data_len: data.len(), ..header }.encode(sums.len(), &mut bytes);
        bytes.extend(sums);
        bytes.extend(data);
        bytes
    }

    pub(super) fn data(&mut self, offset: usize, seqno: i64, data: &[u8]) {
        let header =
            PacketHeader { offset_in_block: offset as i64, seqno, ..PacketHeader::default() };
        self.send(&Self::packet(header, data));
    }

    pub(super) fn last(&mut self, offset: usize, seqno: i64) {
        let header = PacketHeader {
            offset_in_block: offset as i64,
            seqno,
            last: true,
            ..PacketHeader::default()
        };
        self.send(&Self::packet(header, &[]));
    }

    pub(super) fn ack(&mut self) -> PipelineAck {
        self.try_ack().expect("an ack")
    }

    /// An ack, or none when the datanode closed the connection.
    pub(super) fn try_ack(&mut self) -> Option<PipelineAck> {
        let ack: PipelineAckProto = read_delimited(&mut self.input).ok()?;
        Some(PipelineAck::from_proto(&ack))
    }

    /// Whether the datanode closes the connection without another byte.
    pub(super) fn is_closed(&mut self) -> bool {
        matches!(self.input.read(&mut [0; 16]), Ok(0) | Err(_))
    }

    pub(super) fn bytes(&mut self, count: usize) -> Vec<u8> {
        let mut bytes = vec![0; count];
        self.input.read_exact(&mut bytes).expect("bytes");
        bytes
    }

    /// Writes a whole block in packets of 64512 bytes.
    pub(super) fn write_all(port: u16, op: &OpWriteBlockProto, content: &[u8]) {
        let mut client = Self::write(port, op);
        let mut seqno = 0;
        for (at, packet) in content.chunks(64512).enumerate() {
            client.data(at * 64512, seqno, packet);
            seqno += 1;
        }
        client.last(content.len(), seqno);
        for expected in 0..=seqno {
            let ack = client.ack();
            assert_eq!(ack.seqno, expected);
            assert!(ack.is_success(), "{ack:?}");
            assert_eq!(ack.replies.len(), 1 + op.targets.len());
        }
        assert!(client.is_closed());
    }

    /// Starts a read; the response comes next.
    pub(super) fn read(&mut self, block: ExtendedBlockProto, offset: u64, len: u64) {
        let op = OpReadBlockProto {
            header: ClientOperationHeaderProto {
                base_header: header(block),
                client_name: "DFSClient_NONMAPREDUCE_1".to_owned(),
            },
            offset,
            len,
            send_checksums: Some(true),
            caching_strategy: None,
        };
        self.op(Op::ReadBlock, &op);
    }

    /// Reads a range, checks it, and says that it was right.
    pub(super) fn read_all(
        &mut self,
        block: ExtendedBlockProto,
        offset: u64,
        len: u64,
    ) -> Result<Vec<u8>, String> {
        self.read(block, offset, len);
        let response = self.response();
        if response.status() != Status::Success {
            return Err(response.message().to_owned());
        }
        let start = response.read_op_checksum_info.expect("info").chunk_offset;
        let mut data = Vec::new();
        loop {
            let prefix = self.bytes(PREFIX_LEN);
            let prefix = PacketPrefix::decode(*prefix.first_chunk().expect("6"), PACKET_LEN_MAX)
                .expect("a packet");
            let head = self.bytes(prefix.header_len);
            let header = PacketHeader::decode(prefix, &head).expect("a header");
            assert_eq!(header.offset_in_block as u64, start + data.len() as u64);
            let sums = self.bytes(header.checksums_len(prefix));
            let part = self.bytes(header.data_len);
            checksum::verify(ChecksumKind::Crc32c, 512, &part, &sums).expect("right sums");
            data.extend(part);
            if header.last {
                break;
            }
        }
        write_delimited(
            &ClientReadStatusProto { status: Status::ChecksumOk as i32 },
            &mut self.stream,
        )
        .expect("sent");
        let skip = (offset - start) as usize;
        Ok(data[skip..skip + len as usize].to_vec())
    }
}
