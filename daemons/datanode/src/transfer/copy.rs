//! Copying a replica to other datanodes: by order of the namenode, or for a client's pipeline.

use std::io::BufReader;

use bytes::BytesMut;
use hdfs_core::datanode::Block;
use hdfs_wire::Fault;
use hdfs_wire::proto::common::TokenProto;
use hdfs_wire::proto::hdfs::{
    BaseHeaderProto, CachingStrategyProto, ChecksumProto, ChecksumTypeProto,
    ClientOperationHeaderProto, DatanodeIdProto, DatanodeInfoProto, DnTransferAckProto,
    OpTransferBlockProto, OpWriteBlockProto, StorageTypeProto,
};
use hdfs_wire::transfer::{Op, Stage, Status, encode_op, read_delimited};

use super::connect::{address_of, connect};
use super::send::{SendError, Sending};
use super::{Connection, Transfers};
use crate::reading::Reading;

/// For whom a copy is made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The namenode wants more replicas.
    Replication,
    /// A client's pipeline gets a new node.
    Pipeline {
        /// The client's name.
        client: String,
    },
}

/// One copy to make.
#[derive(Debug, Clone)]
pub(crate) struct Copy {
    pub(crate) block: Block,
    pub(crate) targets: Vec<DatanodeInfoProto>,
    pub(crate) storage_types: Vec<i32>,
    pub(crate) storage_ids: Vec<String>,
    pub(crate) kind: Kind,
}

/// Bytes of the buffer for the one ack at the end.
const ACK_BUFFER_LEN: usize = 64;

impl Transfers {
    /// TRANSFER_BLOCK: a client asks this node to copy the replica it is writing.
    pub(super) fn transfer_block(
        &self,
        connection: &Connection,
        op: OpTransferBlockProto,
    ) -> Result<(), Fault> {
        let block = self.block(&op.header.base_header.block)?;
        tracing::info!(%block, "copy for the pipeline of {}", connection.peer);
        self.copy(
            &Copy {
                block,
                targets: op.targets,
                storage_types: op.target_storage_types,
                storage_ids: op.target_storage_ids,
                kind: Kind::Pipeline { client: op.header.client_name },
            },
            None,
        )
    }

    /// Copies a replica to the first target, which passes it on to the others. A replica shorter
    /// than the order says is a fault and nothing is sent.
    pub(crate) fn copy(&self, copy: &Copy, source: Option<DatanodeIdProto>) -> Result<(), Fault> {
        let Some((next, after)) = copy.targets.split_first() else {
            return Err(Fault::io("a copy without targets"));
        };
        let (stage, client) = match &copy.kind {
            Kind::Replication => (Stage::PipelineSetupCreate, String::new()),
            Kind::Pipeline { client } => (self.transfer_stage(copy.block)?, client.clone()),
        };
        let visible = self.store.visible_length(copy.block)?;
        let reading = self.store.open(copy.block, visible)?;
        let length = match stage {
            // What the whole pipeline has; the rest the client sends again.
            Stage::TransferRbw => visible,
            _ => reading.length,
        };
        if copy.kind == Kind::Replication && length < copy.block.length {
            return Err(Fault::io(format!(
                "{}: {length} bytes on disk where the namenode knows {}",
                copy.block, copy.block.length
            )));
        }
        let block = Block { stamp: reading.stamp, length, ..copy.block };
        let request = self.request(copy, block, &reading, stage, client, source);
        let network = |error: std::io::Error| {
            self.store.counters.network_errors.increment();
            Fault::io(format!("copy of {block} to {}: {error}", address_of(next)))
        };
        let socket = connect(next, after.len(), &self.settings).map_err(network)?;
        let _active = self.enter(&socket);
        let mut out = Vec::new();
        let mut bytes = BytesMut::new();
        encode_op(Op::WriteBlock, &request, &mut bytes);
        out.extend_from_slice(&bytes);
        let volume = reading.volume;
        let sending = Sending::new(reading, block, (0, length), true)?;
        sending.run(&mut &*socket, &mut out, None).map_err(|error| match error {
            SendError::Peer(error) => network(error),
            SendError::Disk(error) => self.store.io_fault(volume, "copy", block, &error),
        })?;
        if matches!(copy.kind, Kind::Pipeline { .. }) {
            let mut input = BufReader::with_capacity(ACK_BUFFER_LEN, &*socket);
            let ack: DnTransferAckProto = read_delimited(&mut input).map_err(network)?;
            if ack.status() != Status::Success {
                return Err(Fault::io(format!(
                    "copy of {block} to {}: answered {}",
                    address_of(next),
                    ack.status().as_str_name()
                )));
            }
        }
        self.store.counters.blocks_replicated.increment();
        tracing::info!(%block, "copied to {}", address_of(next));
        Ok(())
    }

    fn transfer_stage(&self, block: Block) -> Result<Stage, Fault> {
        use hdfs_core::datanode::State;
        let map = self.store.replicas.lock();
        let replica = map.find(block.id).ok_or_else(|| map.not_found(block))?;
        match replica.state {
            State::Finalized => Ok(Stage::TransferFinalized),
            State::Rbw => Ok(Stage::TransferRbw),
            other => Err(Fault::io(format!(
                "{block} is {} and cannot be copied for a pipeline",
                other.as_str_name()
            ))),
        }
    }

    fn request(
        &self,
        copy: &Copy,
        block: Block,
        reading: &Reading,
        stage: Stage,
        client_name: String,
        source: Option<DatanodeIdProto>,
    ) -> OpWriteBlockProto {
        let disk = StorageTypeProto::Disk as i32;
        OpWriteBlockProto {
            header: ClientOperationHeaderProto {
                base_header: BaseHeaderProto {
                    block: block.extended(&self.store.pool),
                    token: Some(TokenProto::default()),
                    trace_info: None,
                },
                client_name,
            },
            targets: copy.targets[1..].to_vec(),
            source: source.map(|id| DatanodeInfoProto { id, ..Default::default() }),
            stage: stage as i32,
            pipeline_size: 0,
            min_bytes_rcvd: 0,
            max_bytes_rcvd: 0,
            latest_generation_stamp: 0,
            requested_checksum: ChecksumProto {
                r#type: ChecksumTypeProto::from(reading.checksum.kind) as i32,
                bytes_per_checksum: reading.checksum.chunk_size,
            },
            caching_strategy: Some(CachingStrategyProto::default()),
            storage_type: Some(copy.storage_types.first().copied().unwrap_or(disk)),
            target_storage_types: copy.storage_types.get(1..).unwrap_or_default().to_vec(),
            allow_lazy_persist: Some(false),
            pinning: Some(false),
            target_pinnings: Vec::new(),
            storage_id: copy.storage_ids.first().cloned(),
            target_storage_ids: copy.storage_ids.get(1..).unwrap_or_default().to_vec(),
        }
    }
}
