//! The data transfer protocol between clients and datanodes as values: operations, packets, acks.
//!
//! ```text
//! operation  00 1c | opcode | delimited request message        answered by a delimited response
//! packet     int32 PLEN | uint16 HLEN | header (HLEN) | checksums | data
//! ack        delimited PipelineAckProto
//! ```

mod ack;
mod op;
mod packet;

pub use ack::{PipelineAck, ack_flag};
pub use op::{
    BadOp, OP_HEADER_LEN, OP_MESSAGE_LEN_MAX, Op, OpHeader, Request, decode_delimited,
    encode_delimited, encode_op, read_delimited, write_delimited,
};
pub use packet::{
    BadPacket, HEARTBEAT_SEQNO, OOB_SEQNO, PACKET_HEADER_LEN_MAX, PACKET_LEN_MAX, PREFIX_LEN,
    PacketHeader, PacketPrefix,
};

pub use crate::proto::hdfs::Status;
pub use crate::proto::hdfs::op_write_block_proto::BlockConstructionStage as Stage;

/// Version of the protocol, before every operation.
pub const VERSION: u16 = 28;

/// What a client that wants encryption sends in the place of an operation
/// (`dfs.encrypt.data.transfer`).
pub const SASL_MAGIC: u32 = 0xdead_beef;
