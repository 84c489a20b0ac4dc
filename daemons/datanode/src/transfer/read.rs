//! READ_BLOCK: the response, then the packets. What the client made of them it says afterwards,
//! which the listener reads.

use hdfs_core::datanode::Block;
use hdfs_wire::Fault;
use hdfs_wire::proto::hdfs::{
    BlockOpResponseProto, ChecksumProto, ChecksumTypeProto, OpReadBlockProto,
    ReadOpChecksumInfoProto,
};
use hdfs_wire::transfer::{Status, encode_delimited, write_delimited};

use super::send::{SendError, Sending};
use super::{After, Connection, Transfers};

impl Transfers {
    /// Runs one READ_BLOCK.
    pub(super) fn read_block(&self, connection: &Connection, op: &OpReadBlockProto) -> After {
        let started = std::time::Instant::now();
        let prepared = self.block(&op.header.base_header.block).and_then(|block| {
            let wanted = op.offset.saturating_add(op.len);
            let reading = self.store.open(block, wanted)?;
            let volume = reading.volume;
            let range = (op.offset, op.len);
            let sending = Sending::new(reading, block, range, op.send_checksums())?;
            Ok((block, volume, sending))
        });
        let (block, volume, sending) = match prepared {
            Ok(prepared) => prepared,
            Err(fault) => {
                let block = Block::from(&op.header.base_header.block);
                tracing::info!(%block, %fault, "read refused");
                return refuse(connection, "opReadBlock", &self.store.pool, block, &fault);
            }
        };
        let mut out = Vec::new();
        encode_delimited(&response(&sending), &mut out);
        match sending.run(&mut &*connection.socket, &mut out, None) {
            Ok(bytes) => {
                self.store.counters.bytes_read.add(bytes);
                self.store.counters.blocks_read.increment();
                self.store.counters.reads.record(started.elapsed());
                After::Reuse { status: true }
            }
            Err(SendError::Disk(error)) => {
                self.store.io_fault(volume, "read", block, &error);
                After::Close
            }
            // A client that has what it wanted closes the connection.
            Err(SendError::Peer(_)) => After::Close,
        }
    }
}

/// The response before the packets.
pub(super) fn response(sending: &Sending) -> BlockOpResponseProto {
    BlockOpResponseProto {
        status: Status::Success as i32,
        read_op_checksum_info: Some(ReadOpChecksumInfoProto {
            checksum: ChecksumProto {
                r#type: ChecksumTypeProto::from(sending.sums.kind) as i32,
                bytes_per_checksum: sending.sums.chunk_size,
            },
            chunk_offset: sending.start,
        }),
        ..Default::default()
    }
}

/// Tells the client why in the words of Hadoop's datanode; the connection can be used again, as
/// nothing of a block was sent.
pub(super) fn refuse(
    connection: &Connection,
    operation: &str,
    pool: &str,
    block: Block,
    fault: &Fault,
) -> After {
    let response = BlockOpResponseProto {
        status: Status::Error as i32,
        message: Some(format!("{operation} {pool}:{block} received exception {fault}")),
        ..Default::default()
    };
    match write_delimited(&response, &mut &*connection.socket) {
        Ok(()) => After::Reuse { status: false },
        Err(_) => After::Close,
    }
}
