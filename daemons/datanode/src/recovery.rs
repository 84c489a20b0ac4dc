//! The primary's side of block recovery: ask all locations, let the core decide, update those that
//! take part, tell the namenode.

use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use hdfs_core::datanode::Block;
use hdfs_core::datanode::recovery::{Answer, Verdict, decide};
use hdfs_edge::rpc::{Client, Timeouts, User};
use hdfs_wire::Fault;
use hdfs_wire::proto::hdfs::datanode::CommitBlockSynchronizationRequestProto;
use hdfs_wire::proto::hdfs::{
    DatanodeIdProto, DatanodeInfoProto, InitReplicaRecoveryRequestProto,
    InitReplicaRecoveryResponseProto, LocatedBlockProto, RecoveringBlockProto,
    UpdateReplicaUnderRecoveryRequestProto, UpdateReplicaUnderRecoveryResponseProto,
};

use crate::actor::chain;
use crate::link::Link;
use crate::store::Store;
use crate::transfer::Transfers;

/// The protocol's name.
pub(crate) const PROTOCOL: &str = "org.apache.hadoop.hdfs.server.protocol.InterDatanodeProtocol";

/// A location that does not answer within this time does not take part.
const TIMEOUTS: Timeouts =
    Timeouts { connect: Duration::from_secs(10), call: Duration::from_secs(70) };

/// Runs recoveries.
pub(crate) struct Recoverer {
    pub(crate) store: Arc<Store>,
    pub(crate) transfers: Arc<Transfers>,
    pub(crate) link: Link,
    pub(crate) user: String,
}

/// A location that has updated its replica.
struct Updated {
    node: DatanodeIdProto,
    storage_id: String,
}

impl Recoverer {
    /// Runs one recovery to its end; a failure is only logged, the namenode tries again.
    pub(crate) async fn run(&self, order: RecoveringBlockProto) {
        let block = Block::from(&order.block.b);
        tracing::info!(%block, id = order.new_gen_stamp, "recovery begins");
        match self.recover(&order, block).await {
            Ok(()) => tracing::info!(%block, "recovered"),
            Err(fault) => tracing::warn!(%block, %fault, "not recovered"),
        }
    }

    async fn recover(&self, order: &RecoveringBlockProto, block: Block) -> Result<(), Fault> {
        if order.block.b.pool_id != self.store.pool {
            return Err(Fault::io(format!("block pool {} is not served", order.block.b.pool_id)));
        }
        let locations = &order.block.locs;
        let answers = join_all(locations.iter().map(|node| self.ask(node, order, block))).await;
        for (node, answer) in locations.iter().zip(&answers) {
            if let Err(fault) = answer {
                tracing::warn!(%block, node = node.id.host_name, %fault, "does not take part");
            }
        }
        let truncate_to = order.truncate_block.as_ref().and_then(|cut| cut.num_bytes);
        let new =
            order.truncate_block.as_ref().filter(|cut| cut.block_id != order.block.b.block_id);
        if new.is_some() {
            return Err(Fault::io("truncation into a new block is not supported"));
        }
        let verdict = decide(block, &answers, truncate_to)?;
        let (length, updated) = match verdict {
            Verdict::Delete => (0, Vec::new()),
            Verdict::Synchronize { length, participants } => {
                let updates = participants
                    .iter()
                    .filter_map(|index| {
                        // A Java node insists on the stamp and length it has told.
                        let told = answers.get(*index)?.as_ref().ok()?.as_ref()?.block;
                        Some((locations.get(*index)?, told))
                    })
                    .map(|(node, told)| self.update(node, order, told, length));
                let updated: Vec<Updated> =
                    join_all(updates).await.into_iter().filter_map(Result::ok).collect();
                if updated.is_empty() {
                    return Err(Fault::io("no replica could be updated"));
                }
                (length, updated)
            }
        };
        let commit = CommitBlockSynchronizationRequestProto {
            block: order.block.b.clone(),
            new_gen_stamp: order.new_gen_stamp,
            new_length: length,
            close_file: true,
            delete_block: updated.is_empty(),
            new_taragets: updated.iter().map(|each| each.node.clone()).collect(),
            new_target_storages: updated.into_iter().map(|each| each.storage_id).collect(),
        };
        self.link.commit_recovery(&commit).await.map_err(|error| Fault::io(chain(&error)))
    }

    fn is_own(&self, node: &DatanodeInfoProto) -> bool {
        self.transfers.identity().is_some_and(|id| id.datanode_uuid == node.id.datanode_uuid)
    }

    fn client(&self, node: &DatanodeInfoProto) -> Client {
        let address = format!("{}:{}", node.id.ip_addr, node.id.ipc_port);
        Client::new(address, User::new(&self.user), PROTOCOL, TIMEOUTS)
    }

    async fn ask(
        &self,
        node: &DatanodeInfoProto,
        order: &RecoveringBlockProto,
        block: Block,
    ) -> Result<Option<Answer>, Fault> {
        let id = order.new_gen_stamp;
        if self.is_own(node) {
            let store = Arc::clone(&self.store);
            return blocking(move || store.begin_recovery(block, id)).await;
        }
        let request = InitReplicaRecoveryRequestProto {
            block: RecoveringBlockProto {
                new_gen_stamp: id,
                block: LocatedBlockProto {
                    b: order.block.b.clone(),
                    locs: order.block.locs.clone(),
                    ..Default::default()
                },
                ..Default::default()
            },
        };
        let response: InitReplicaRecoveryResponseProto = self
            .client(node)
            .call("initReplicaRecovery", &request)
            .await
            .map_err(|error| Fault::io(chain(&error)))?;
        Ok(response
            .block
            .filter(|_| response.replica_found)
            .map(|found| Answer { state: response.state(), block: Block::from(&found) }))
    }

    async fn update(
        &self,
        node: &DatanodeInfoProto,
        order: &RecoveringBlockProto,
        block: Block,
        length: u64,
    ) -> Result<Updated, Fault> {
        let id = order.new_gen_stamp;
        let updated = if self.is_own(node) {
            let store = Arc::clone(&self.store);
            blocking(move || store.update_recovery(block, id, length)).await
        } else {
            let request = UpdateReplicaUnderRecoveryRequestProto {
                block: block.extended(&order.block.b.pool_id),
                recovery_id: id,
                new_length: length,
                new_block_id: Some(0),
            };
            self.client(node)
                .call::<_, UpdateReplicaUnderRecoveryResponseProto>(
                    "updateReplicaUnderRecovery",
                    &request,
                )
                .await
                .map(|response| response.storage_uuid.unwrap_or_default())
                .map_err(|error| Fault::io(chain(&error)))
        };
        updated.map(|storage_id| Updated { node: node.id.clone(), storage_id }).inspect_err(
            |fault| {
                tracing::warn!(%block, node = node.id.host_name, %fault, "not updated");
            },
        )
    }
}

/// Work that may wait for a writer to stop runs on a thread of its own.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Fault> + Send + 'static,
) -> Result<T, Fault> {
    tokio::task::spawn_blocking(work)
        .await
        .unwrap_or_else(|_| Err(Fault::io("the datanode is stopping")))
}
