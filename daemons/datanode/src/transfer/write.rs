//! WRITE_BLOCK: the setup of a pipeline's node, then the stream. The rules of the stages are the
//! core's; here is who is told what.

use std::io::{self, BufReader, Write};
use std::net::TcpStream;
use std::sync::Arc;

use bytes::BytesMut;
use hdfs_core::datanode::State;
use hdfs_core::datanode::files::Checksum;
use hdfs_core::datanode::stages::Request;
use hdfs_wire::Fault;
use hdfs_wire::proto::hdfs::{BlockOpResponseProto, OpWriteBlockProto, StorageTypeProto};
use hdfs_wire::transfer::{Op, Stage, Status, encode_op, read_delimited, write_delimited};

use super::acks::{AckQueue, Responder};
use super::connect::{address_of, connect};
use super::packets::PacketReader;
use super::receive::{Acks, Outcome, Receiver};
use super::{Connection, Transfers};
use crate::writing::{Begun, Order, Writing};

/// Nodes of a pipeline at most; replication is at most 512 (`dfs.replication.max`), acks carry one
/// byte for each, and nobody builds a tenth of that.
const PIPELINE_MAX: usize = 64;

/// Bytes of the buffer for the one response of a mirror.
const RESPONSE_BUFFER_LEN: usize = 256;

/// What kind of write it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// A client writes.
    Client,
    /// A datanode copies, because the namenode said so.
    Copy,
    /// A datanode copies, because a client's pipeline needs it.
    Transfer(State),
}

impl Kind {
    fn of(op: &OpWriteBlockProto) -> Self {
        match op.stage() {
            Stage::TransferRbw => Self::Transfer(State::Rbw),
            Stage::TransferFinalized => Self::Transfer(State::Finalized),
            _ if op.header.client_name.is_empty() => Self::Copy,
            _ => Self::Client,
        }
    }
}

impl Transfers {
    /// Runs one WRITE_BLOCK.
    pub(super) fn write_block(&self, connection: Connection, op: &OpWriteBlockProto) {
        let kind = Kind::of(op);
        let own = format!("{}:{}", connection.local.ip(), self.port);
        let begun = match self.begin(op, &connection.socket) {
            Ok(begun) => begun,
            Err(fault) => {
                let block = op.header.base_header.block.block_id;
                tracing::warn!(block, %fault, "write refused");
                if kind == Kind::Client {
                    respond(&connection.socket, Status::Error, &own, Some(fault.to_string()));
                }
                return;
            }
        };
        let mirror = match self.open_mirror(op, kind) {
            Ok(mirror) => mirror,
            Err(bad) if kind == Kind::Client => {
                respond(&connection.socket, Status::Error, &bad, None);
                return;
            }
            // A copy goes on without the nodes behind; the namenode will see what is missing.
            Err(_) => None,
        };
        if kind == Kind::Client && !respond(&connection.socket, Status::Success, "", None) {
            return;
        }
        if let Begun::Open(writing) = begun {
            self.stream(connection, op, kind, mirror, writing);
        }
    }

    fn begin(&self, op: &OpWriteBlockProto, socket: &Arc<TcpStream>) -> Result<Begun, Fault> {
        let checksum = Checksum {
            kind: op.requested_checksum.r#type().into(),
            chunk_size: op.requested_checksum.bytes_per_checksum,
        };
        let checksum = checksum.checked().map_err(|error| Fault::io(error.to_string()))?;
        if op.targets.len() >= PIPELINE_MAX {
            return Err(Fault::io(format!("a pipeline of more than {PIPELINE_MAX} datanodes")));
        }
        self.store.begin(&Order {
            request: Request {
                block: self.block(&op.header.base_header.block)?,
                stage: op.stage(),
                is_copy: op.header.client_name.is_empty(),
                stamp_latest: op.latest_generation_stamp,
                acked_min: op.min_bytes_rcvd,
                sent_max: op.max_bytes_rcvd,
                volume: 0,
            },
            storage_type: op.storage_type(),
            storage_id: op.storage_id(),
            checksum,
            socket,
        })
    }

    /// Opens the rest of the pipeline; the error is the address of the first node that failed.
    fn open_mirror(
        &self,
        op: &OpWriteBlockProto,
        kind: Kind,
    ) -> Result<Option<Arc<TcpStream>>, String> {
        let Some((next, after)) = op.targets.split_first() else { return Ok(None) };
        let blame = |error: io::Error| {
            tracing::warn!(target = address_of(next), %error, "next datanode of the pipeline");
            self.store.counters.network_errors.increment();
            address_of(next)
        };
        let socket = connect(next, after.len(), &self.settings).map_err(blame)?;
        let mut forwarded = op.clone();
        forwarded.targets = after.to_vec();
        let types = &op.target_storage_types;
        forwarded.storage_type =
            Some(types.first().copied().unwrap_or(StorageTypeProto::Disk as i32));
        forwarded.target_storage_types = types.get(1..).unwrap_or_default().to_vec();
        forwarded.storage_id = op.target_storage_ids.first().cloned();
        forwarded.target_storage_ids = op.target_storage_ids.get(1..).unwrap_or_default().to_vec();
        forwarded.pinning = op.target_pinnings.first().copied().or(op.pinning);
        forwarded.target_pinnings = op.target_pinnings.get(1..).unwrap_or_default().to_vec();
        let mut bytes = BytesMut::new();
        encode_op(Op::WriteBlock, &forwarded, &mut bytes);
        (&*socket).write_all(&bytes).map_err(blame)?;
        if kind != Kind::Client {
            return Ok(Some(socket));
        }
        let mut input = BufReader::with_capacity(RESPONSE_BUFFER_LEN, &*socket);
        let response: BlockOpResponseProto = read_delimited(&mut input).map_err(blame)?;
        if response.status() != Status::Success {
            let bad = response.first_bad_link().to_owned();
            tracing::warn!(
                target = address_of(next),
                message = response.message(),
                "the pipeline was refused"
            );
            return Err(if bad.is_empty() { address_of(next) } else { bad });
        }
        Ok(Some(socket))
    }

    fn stream(
        &self,
        connection: Connection,
        op: &OpWriteBlockProto,
        kind: Kind,
        mirror: Option<Arc<TcpStream>>,
        writing: Box<Writing>,
    ) {
        if let Some(mirror) = &mirror {
            writing.stop.attach(mirror);
        }
        let acks = match (&mirror, kind) {
            (Some(mirror), Kind::Client) => {
                let queue = Arc::new(AckQueue::default());
                let responder = Responder {
                    queue: Arc::clone(&queue),
                    store: Arc::clone(&self.store),
                    held: (writing.block_id(), writing.writer()),
                    upstream: Arc::clone(&connection.socket),
                    mirror: Arc::clone(mirror),
                };
                self.runtime.spawn_blocking(move || responder.run());
                Acks::Joint(queue)
            }
            (None, Kind::Client) => Acks::Own(Vec::new()),
            (_, Kind::Copy | Kind::Transfer(_)) => Acks::None,
        };
        let receiver = Receiver {
            store: Arc::clone(&self.store),
            upstream: Arc::clone(&connection.socket),
            mirror,
            reader: PacketReader::new(&connection.rest),
            sums: Checksum {
                kind: op.requested_checksum.r#type().into(),
                chunk_size: op.requested_checksum.bytes_per_checksum,
            },
            acks,
            checks_all: kind == Kind::Copy,
            pace: None,
        };
        let Outcome::Complete(Some(writing)) = receiver.run(writing) else { return };
        let ended = match kind {
            Kind::Transfer(state) => writing.convert(state),
            Kind::Client | Kind::Copy => writing.finalize(None),
        };
        match ended {
            Ok(block) => {
                tracing::info!(%block, "copy received from {}", connection.peer);
                if matches!(kind, Kind::Transfer(_)) {
                    respond(&connection.socket, Status::Success, "", None);
                }
            }
            Err(fault) => tracing::warn!(%fault, "copy not kept"),
        }
    }
}

/// Sends the response to the setup; false when the peer is gone.
fn respond(socket: &TcpStream, status: Status, bad_link: &str, message: Option<String>) -> bool {
    let response = BlockOpResponseProto {
        status: status as i32,
        first_bad_link: Some(bad_link.to_owned()),
        message,
        ..Default::default()
    };
    write_delimited(&response, &mut &*socket).is_ok()
}
