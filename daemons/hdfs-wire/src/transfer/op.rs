//! Operations on a datanode: version, opcode, delimited request message.

use std::io::{self, Read, Write};

use bytes::{Buf, BufMut, Bytes, BytesMut};
use prost::Message;

use super::VERSION;
use crate::fields::take_varint;
use crate::proto::hdfs::{
    OpBlockChecksumProto, OpBlockGroupChecksumProto, OpCopyBlockProto, OpReadBlockProto,
    OpReplaceBlockProto, OpRequestShortCircuitAccessProto, OpTransferBlockProto, OpWriteBlockProto,
    ReleaseShortCircuitAccessRequestProto, ShortCircuitShmRequestProto,
};

/// Bytes of version and opcode.
pub const OP_HEADER_LEN: usize = 3;

/// Largest request, response or ack message, in bytes. A write names its targets (some 300 bytes
/// each) and a token; 64 KiB is room for a pipeline of a hundred.
pub const OP_MESSAGE_LEN_MAX: usize = 64 * 1024;

/// The operations by their codes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Op {
    /// A block streams in.
    WriteBlock = 80,
    /// A block streams out.
    ReadBlock = 81,
    /// Unused.
    ReadMetadata = 82,
    /// The target side of a balancer's move.
    ReplaceBlock = 83,
    /// The source side of a balancer's move.
    CopyBlock = 84,
    /// Checksum of a block's checksums.
    BlockChecksum = 85,
    /// Copy a replica to other datanodes.
    TransferBlock = 86,
    /// Descriptors for short-circuit reads; UNIX sockets only.
    RequestShortCircuitFds = 87,
    /// Give back a shared memory slot.
    ReleaseShortCircuitFds = 88,
    /// A shared memory segment.
    RequestShortCircuitShm = 89,
    /// Checksum of a striped block group.
    BlockGroupChecksum = 90,
    /// Extensions.
    Custom = 127,
}

impl Op {
    /// The operation of that code, if there is one.
    pub const fn from_code(code: u8) -> Option<Self> {
        Some(match code {
            80 => Self::WriteBlock,
            81 => Self::ReadBlock,
            82 => Self::ReadMetadata,
            83 => Self::ReplaceBlock,
            84 => Self::CopyBlock,
            85 => Self::BlockChecksum,
            86 => Self::TransferBlock,
            87 => Self::RequestShortCircuitFds,
            88 => Self::ReleaseShortCircuitFds,
            89 => Self::RequestShortCircuitShm,
            90 => Self::BlockGroupChecksum,
            127 => Self::Custom,
            _ => return None,
        })
    }

    /// The code on the wire.
    pub const fn code(self) -> u8 {
        self as u8
    }
}

/// Bytes that begin no operation this side can serve.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadOp {
    /// Another protocol or version, or a client that wants encryption.
    #[error("data transfer version {0} where 28 is spoken")]
    Version(u16),
    /// An opcode outside the table.
    #[error("unknown data transfer operation {0}")]
    Unknown(u8),
    /// The message promises more than [`OP_MESSAGE_LEN_MAX`] bytes.
    #[error("a data transfer message of {0} bytes where 65536 are allowed")]
    Length(u64),
    /// The message cannot be decoded.
    #[error("a data transfer message cannot be decoded: {0}")]
    Message(#[from] prost::DecodeError),
    /// An operation of the table without a message here.
    #[error("data transfer operation {0:?} is not served")]
    Unserved(Op),
}

impl From<BadOp> for io::Error {
    fn from(bad: BadOp) -> Self {
        Self::new(io::ErrorKind::InvalidData, bad)
    }
}

/// Version and opcode.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OpHeader {
    /// What is asked for.
    pub op: Op,
}

impl OpHeader {
    /// Reads the first three bytes.
    ///
    /// # Errors
    /// Another version, or an unknown code.
    pub fn decode(bytes: [u8; OP_HEADER_LEN]) -> Result<Self, BadOp> {
        let version = u16::from_be_bytes([bytes[0], bytes[1]]);
        if version != VERSION {
            return Err(BadOp::Version(version));
        }
        let op = Op::from_code(bytes[2]).ok_or(BadOp::Unknown(bytes[2]))?;
        Ok(Self { op })
    }
}

/// An operation with its message.
#[derive(Debug, Clone, PartialEq)]
pub enum Request {
    /// [`Op::WriteBlock`].
    Write(Box<OpWriteBlockProto>),
    /// [`Op::ReadBlock`].
    Read(Box<OpReadBlockProto>),
    /// [`Op::ReplaceBlock`].
    Replace(Box<OpReplaceBlockProto>),
    /// [`Op::CopyBlock`].
    Copy(Box<OpCopyBlockProto>),
    /// [`Op::BlockChecksum`].
    Checksum(Box<OpBlockChecksumProto>),
    /// [`Op::TransferBlock`].
    Transfer(Box<OpTransferBlockProto>),
    /// [`Op::RequestShortCircuitFds`].
    ShortCircuit(Box<OpRequestShortCircuitAccessProto>),
    /// [`Op::ReleaseShortCircuitFds`].
    Release(Box<ReleaseShortCircuitAccessRequestProto>),
    /// [`Op::RequestShortCircuitShm`].
    SharedMemory(Box<ShortCircuitShmRequestProto>),
    /// [`Op::BlockGroupChecksum`].
    GroupChecksum(Box<OpBlockGroupChecksumProto>),
}

impl Request {
    /// Decodes the message of an operation (without its length).
    ///
    /// # Errors
    /// The message is malformed, or the operation has none here.
    pub fn decode(op: Op, message: Bytes) -> Result<Self, BadOp> {
        fn message_of<M: Message + Default>(message: Bytes) -> Result<Box<M>, BadOp> {
            Ok(Box::new(M::decode(message)?))
        }
        Ok(match op {
            Op::WriteBlock => Self::Write(message_of(message)?),
            Op::ReadBlock => Self::Read(message_of(message)?),
            Op::ReplaceBlock => Self::Replace(message_of(message)?),
            Op::CopyBlock => Self::Copy(message_of(message)?),
            Op::BlockChecksum => Self::Checksum(message_of(message)?),
            Op::TransferBlock => Self::Transfer(message_of(message)?),
            Op::RequestShortCircuitFds => Self::ShortCircuit(message_of(message)?),
            Op::ReleaseShortCircuitFds => Self::Release(message_of(message)?),
            Op::RequestShortCircuitShm => Self::SharedMemory(message_of(message)?),
            Op::BlockGroupChecksum => Self::GroupChecksum(message_of(message)?),
            Op::ReadMetadata | Op::Custom => return Err(BadOp::Unserved(op)),
        })
    }

    /// Cuts one whole operation off the front of `input`; `None` when more bytes are needed.
    ///
    /// # Errors
    /// As soon as the bytes can no longer become an operation.
    pub fn receive(input: &mut BytesMut) -> Result<Option<Self>, BadOp> {
        let Some(header) = input.first_chunk::<OP_HEADER_LEN>() else { return Ok(None) };
        let OpHeader { op } = OpHeader::decode(*header)?;
        let Some((prefix, len)) = delimiter(&input[OP_HEADER_LEN..])? else { return Ok(None) };
        let start = OP_HEADER_LEN + prefix;
        if input.len() < start + len {
            return Ok(None);
        }
        input.advance(start);
        Self::decode(op, input.split_to(len).freeze()).map(Some)
    }
}

/// Appends an operation: version, opcode, delimited message.
pub fn encode_op(op: Op, message: &impl Message, out: &mut impl BufMut) {
    out.put_u16(VERSION);
    out.put_u8(op.code());
    encode_delimited(message, out);
}

/// Appends a delimited message.
pub fn encode_delimited(message: &impl Message, out: &mut impl BufMut) {
    message.encode_length_delimited(out).expect("the buffer grows as needed");
}

/// Cuts one delimited message off the front of `input`; `None` when more bytes are needed.
///
/// # Errors
/// The message is longer than [`OP_MESSAGE_LEN_MAX`] or malformed.
pub fn decode_delimited<M: Message + Default>(input: &mut BytesMut) -> Result<Option<M>, BadOp> {
    let Some((prefix, len)) = delimiter(input)? else { return Ok(None) };
    if input.len() < prefix + len {
        return Ok(None);
    }
    input.advance(prefix);
    Ok(Some(M::decode(input.split_to(len).freeze())?))
}

/// Reads one delimited message. The reader should be buffered: the length comes byte by byte.
///
/// # Errors
/// The reader's, `UnexpectedEof` inside a message, `InvalidData` for one that is too long or
/// malformed.
pub fn read_delimited<M: Message + Default>(input: &mut impl Read) -> io::Result<M> {
    let mut prefix = [0u8; 10];
    for index in 0..prefix.len() {
        input.read_exact(&mut prefix[index..=index])?;
        let Some((_, len)) = delimiter(&prefix[..=index])? else { continue };
        let mut message = Vec::new();
        input.take(len as u64).read_to_end(&mut message)?;
        if message.len() < len {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        return Ok(M::decode(Bytes::from(message)).map_err(BadOp::Message)?);
    }
    Err(BadOp::Length(u64::MAX).into())
}

/// Writes one delimited message with one call to the writer.
///
/// # Errors
/// The writer's.
pub fn write_delimited(message: &impl Message, output: &mut impl Write) -> io::Result<()> {
    output.write_all(&message.encode_length_delimited_to_vec())
}

/// Bytes of the length prefix and of the message behind it.
fn delimiter(input: &[u8]) -> Result<Option<(usize, usize)>, BadOp> {
    let mut rest = input;
    match take_varint(&mut rest) {
        Ok(len) if len <= OP_MESSAGE_LEN_MAX as u64 => {
            Ok(Some((input.len() - rest.len(), len as usize)))
        }
        Ok(len) => Err(BadOp::Length(len)),
        Err(_) if input.len() >= 10 => Err(BadOp::Length(u64::MAX)),
        Err(_) => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::proto::hdfs::{
        BaseHeaderProto, BlockOpResponseProto, ClientOperationHeaderProto, ExtendedBlockProto,
    };

    fn read_request() -> OpReadBlockProto {
        OpReadBlockProto {
            header: ClientOperationHeaderProto {
                base_header: BaseHeaderProto {
                    block: ExtendedBlockProto {
                        pool_id: "BP-1".to_owned(),
                        block_id: 7,
                        generation_stamp: 1001,
                        ..Default::default()
                    },
                    ..Default::default()
                },
                client_name: "DFSClient".to_owned(),
            },
            offset: 600,
            len: 100,
            ..Default::default()
        }
    }

    #[test]
    fn an_operation_comes_whole_or_not_at_all() {
        let mut bytes = Vec::new();
        encode_op(Op::ReadBlock, &read_request(), &mut bytes);
        assert_eq!(bytes[..3], [0, 28, 81]);
        let mut input = BytesMut::new();
        for &byte in &bytes {
            assert_eq!(Request::receive(&mut input), Ok(None));
            input.put_u8(byte);
        }
        let request = Request::receive(&mut input);
        assert_eq!(request, Ok(Some(Request::Read(Box::new(read_request())))));
        assert!(input.is_empty());
    }

    /// The answer of a Java datanode to a read of bytes 600 to 699.
    #[test]
    fn the_response_of_a_java_datanode() {
        let bytes = [14, 8, 0, 0x22, 10, 10, 5, 8, 2, 0x10, 0x80, 4, 0x10, 0x80, 4];
        let response: BlockOpResponseProto = read_delimited(&mut &bytes[..]).unwrap();
        let info = response.read_op_checksum_info.unwrap();
        assert_eq!((info.checksum.bytes_per_checksum, info.chunk_offset), (512, 512));
        let mut again = Vec::new();
        encode_delimited(
            &BlockOpResponseProto { read_op_checksum_info: Some(info), ..Default::default() },
            &mut again,
        );
        assert_eq!(again, bytes);
    }

    #[test]
    fn strangers_are_refused_at_their_first_bytes() {
        let refused = |bytes: &[u8]| Request::receive(&mut BytesMut::from(bytes)).unwrap_err();
        assert_eq!(refused(&[0xde, 0xad, 0xbe]), BadOp::Version(0xdead));
        assert_eq!(refused(&[0, 28, 79]), BadOp::Unknown(79));
        assert_eq!(refused(&[0, 28, 80, 0xff, 0xff, 0xff, 0xff, 7]), BadOp::Length(0x7fff_ffff));
        assert_eq!(refused(&[0, 28, 127, 0]), BadOp::Unserved(Op::Custom));
        for op in (0..=255).filter_map(Op::from_code) {
            assert_eq!(Op::from_code(op.code()), Some(op));
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_no_panic(bytes: Vec<u8>, code in 80u8..91) {
            let _ = Request::receive(&mut BytesMut::from(&bytes[..]));
            let op = Op::from_code(code).unwrap();
            let _ = Request::decode(op, Bytes::from(bytes.clone()));
            let mut input = BytesMut::from(&[&[0, 28, code], &bytes[..]].concat()[..]);
            let _ = Request::receive(&mut input);
            let _ = read_delimited::<BlockOpResponseProto>(&mut &bytes[..]);
        }
    }
}
