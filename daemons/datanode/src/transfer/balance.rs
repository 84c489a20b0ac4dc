//! Moves of the balancer: COPY_BLOCK sends a whole replica from the datanode that has it,
//! REPLACE_BLOCK fetches one from there. Both are held to the balancer's speed limit and number.

use std::io::{self, BufReader, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use bytes::BytesMut;
use hdfs_core::datanode::Block;
use hdfs_core::datanode::files::Checksum;
use hdfs_core::datanode::stages::Request;
use hdfs_wire::Fault;
use hdfs_wire::proto::hdfs::{
    BaseHeaderProto, BlockOpResponseProto, OpCopyBlockProto, OpReplaceBlockProto,
};
use hdfs_wire::transfer::{
    Op, Stage, Status, encode_delimited, encode_op, read_delimited, write_delimited,
};

use super::connect::connect;
use super::gate::Pass;
use super::packets::PacketReader;
use super::receive::{Acks, Outcome, Receiver};
use super::send::{SendError, Sending};
use super::{After, Connection, Transfers, read};
use crate::writing::{Begun, Order};

/// What ends a COPY_BLOCK: the character `d` in Java's two-byte form.
const END_MARK: [u8; 2] = [0, b'd'];

/// The mover that waits for a REPLACE_BLOCK hears this often that it goes on; half of its timeout.
const PROGRESS_EVERY: Duration = Duration::from_secs(20);

/// Bytes of the buffer for the one response of the source.
const RESPONSE_BUFFER_LEN: usize = 256;

impl Transfers {
    fn slot(&self) -> Result<Pass, Fault> {
        self.moves.enter().ok_or_else(|| {
            Fault::io(format!(
                "threads quota is exceeded: {} moves run \
                 (dfs.datanode.balance.max.concurrent.moves)",
                self.moves.max()
            ))
        })
    }

    /// Runs one COPY_BLOCK.
    pub(super) fn copy_block(&self, connection: &Connection, op: &OpCopyBlockProto) -> After {
        let prepared = self.block(&op.header.block).and_then(|block| {
            let slot = self.slot()?;
            let reading = self.store.open(block, 0)?;
            let (volume, length) = (reading.volume, reading.length);
            Ok((slot, block, volume, Sending::new(reading, block, (0, length), true)?))
        });
        let (_slot, block, volume, sending) = match prepared {
            Ok(prepared) => prepared,
            Err(fault) => {
                let block = Block::from(&op.header.block);
                tracing::warn!(%block, %fault, "copy refused");
                return read::refuse(connection, "opCopyBlock", &self.store.pool, block, &fault);
            }
        };
        let mut out = Vec::new();
        encode_delimited(&read::response(&sending), &mut out);
        match sending.run(&mut &*connection.socket, &mut out, Some(&self.pace)) {
            Ok(bytes) => {
                self.store.counters.bytes_read.add(bytes);
                let _ = (&*connection.socket).write_all(&END_MARK);
            }
            Err(SendError::Disk(error)) => {
                self.store.io_fault(volume, "copy", block, &error);
            }
            Err(SendError::Peer(error)) => tracing::warn!(%block, %error, "move ended early"),
        }
        After::Close
    }

    /// Runs one REPLACE_BLOCK.
    pub(super) fn replace_block(&self, connection: &Connection, op: &OpReplaceBlockProto) {
        let finished = AtomicBool::new(false);
        let result = std::thread::scope(|scope| {
            let progress = scope.spawn(|| tell_progress(&connection.socket, &finished));
            let result = self.replace(op);
            finished.store(true, Ordering::Release);
            progress.thread().unpark();
            result
        });
        let (status, message) = match result {
            Ok(block) => {
                tracing::info!(%block, "moved here by the balancer");
                (Status::Success, None)
            }
            Err(fault) => {
                tracing::warn!(block = op.header.block.block_id, %fault, "not moved here");
                (Status::Error, Some(format!("opReplaceBlock received exception {fault}")))
            }
        };
        respond(&connection.socket, status, message);
    }

    fn replace(&self, op: &OpReplaceBlockProto) -> Result<Block, Fault> {
        let block = self.block(&op.header.block)?;
        let own = self.identity().map(|id| id.datanode_uuid);
        if own.is_some_and(|uuid| uuid == op.source.id.datanode_uuid) {
            return Err(Fault::io(format!(
                "{block}: moves between the storages of one datanode are not supported"
            )));
        }
        let _slot = self.slot()?;
        let network = |error: io::Error| Fault::io(format!("{block} from its source: {error}"));
        let source = connect(&op.source, 0, &self.settings).map_err(network)?;
        let _active = self.enter(&source);
        let mut bytes = BytesMut::new();
        let header = BaseHeaderProto {
            block: op.header.block.clone(),
            token: Some(op.header.token.clone().unwrap_or_default()),
            trace_info: None,
        };
        encode_op(Op::CopyBlock, &OpCopyBlockProto { header }, &mut bytes);
        (&*source).write_all(&bytes).map_err(network)?;
        let mut input = BufReader::with_capacity(RESPONSE_BUFFER_LEN, &*source);
        let response: BlockOpResponseProto = read_delimited(&mut input).map_err(network)?;
        let info = match (response.status(), response.read_op_checksum_info) {
            (Status::Success, Some(info)) => info,
            (status, _) => {
                return Err(Fault::io(format!(
                    "{block}: the source answered {}: {}",
                    status.as_str_name(),
                    response.message.unwrap_or_default()
                )));
            }
        };
        let sums = Checksum {
            kind: info.checksum.r#type().into(),
            chunk_size: info.checksum.bytes_per_checksum,
        };
        let sums = sums.checked().map_err(network)?;
        let rest = input.buffer().to_vec();
        self.fetch(op, block, &source, sums, &rest)
    }

    fn fetch(
        &self,
        op: &OpReplaceBlockProto,
        block: Block,
        source: &Arc<TcpStream>,
        sums: Checksum,
        rest: &[u8],
    ) -> Result<Block, Fault> {
        let begun = self.store.begin(&Order {
            request: Request {
                block,
                stage: Stage::PipelineSetupCreate,
                is_copy: true,
                stamp_latest: 0,
                acked_min: 0,
                sent_max: 0,
                volume: 0,
            },
            storage_type: op.storage_type(),
            storage_id: op.storage_id(),
            checksum: sums,
            socket: source,
        })?;
        let Begun::Open(writing) = begun else {
            return Err(Fault::io(format!("{block} is here already")));
        };
        let receiver = Receiver {
            store: Arc::clone(&self.store),
            upstream: Arc::clone(source),
            mirror: None,
            reader: PacketReader::new(rest),
            sums,
            acks: Acks::None,
            checks_all: true,
            pace: Some(&self.pace),
        };
        match receiver.run(writing) {
            Outcome::Complete(Some(writing)) => {
                // The source ends with its mark; the replica is whole without it.
                let _ = (&**source).read(&mut [0; END_MARK.len()]);
                writing.finalize(Some(op.del_hint.clone()))
            }
            Outcome::Complete(None) | Outcome::Broken => {
                Err(Fault::io(format!("{block}: the source stopped before the end")))
            }
        }
    }
}

fn respond(socket: &TcpStream, status: Status, message: Option<String>) {
    let response = BlockOpResponseProto { status: status as i32, message, ..Default::default() };
    if let Err(error) = write_delimited(&response, &mut &*socket) {
        tracing::debug!(%error, "the mover is gone");
    }
}

/// Tells the mover from time to time that the move goes on.
fn tell_progress(socket: &TcpStream, finished: &AtomicBool) {
    let mut next = Instant::now() + PROGRESS_EVERY;
    while !finished.load(Ordering::Acquire) {
        let pause = next.saturating_duration_since(Instant::now());
        if pause.is_zero() {
            respond(socket, Status::InProgress, None);
            next = Instant::now() + PROGRESS_EVERY;
        } else {
            std::thread::park_timeout(pause);
        }
    }
}
