//! A heartbeat and its answer: the node's figures come in, its orders go out.
//!
//! Orders in the order of their weight: register again (alone), recover blocks (alone), copy,
//! delete, change of balancer bandwidth. In safe mode no block is touched.

use hdfs_wire::proto::hdfs::datanode::block_command_proto::Action;
use hdfs_wire::proto::hdfs::datanode::datanode_command_proto::Type;
use hdfs_wire::proto::hdfs::datanode::{
    BalancerBandwidthCommandProto, BlockCommandProto, DatanodeCommandProto, FinalizeCommandProto,
    HeartbeatRequestProto, RegisterCommandProto,
};
use hdfs_wire::proto::hdfs::{
    BlockProto, DatanodeInfosProto, StorageReportProto, StorageTypesProto, StorageUuidsProto,
};

use super::nodes::NAME_BYTES_MAX;
use super::registry::{NodeId, STORAGES_PER_NODE_MAX};
use super::{Block, BlockManager};
use crate::Millis;

impl BlockManager {
    /// Takes a heartbeat in and gives the commands of its answer.
    pub(in crate::namenode) fn heartbeat(
        &mut self,
        now: Millis,
        node: NodeId,
        request: &HeartbeatRequestProto,
    ) -> Vec<DatanodeCommandProto> {
        self.advance(now);
        self.take_figures(node, request);
        self.check_safe_mode();
        self.commands(node)
    }

    /// A lifeline: the node lives, but is too busy for a heartbeat.
    pub(in crate::namenode) fn lifeline(
        &mut self,
        now: Millis,
        node: NodeId,
        request: &HeartbeatRequestProto,
    ) {
        self.advance(now);
        self.take_figures(node, request);
    }

    /// The turn for a full report that a heartbeat asked for; 0 for none.
    pub(in crate::namenode) fn grant_report(&mut self, node: NodeId) -> u64 {
        self.leases.request(node, self.clock).unwrap_or(0)
    }

    fn take_figures(&mut self, place: NodeId, request: &HeartbeatRequestProto) {
        let failed_volumes = request.failed_volumes.unwrap_or_default();
        let clock = self.clock;
        let node = self.nodes.node_mut(place);
        // Which volumes failed is judged only when something changed, as heartbeats may leave
        // volumes out that are just being added. One that is left out and empty is gone: its node
        // was told to do without it.
        let judge = failed_volumes > node.failed_volumes || !node.heartbeated;
        let fewer = request.reports.len() < node.storages.len();
        node.heard = clock;
        node.heartbeated = true;
        node.xceivers = request.xceiver_count.unwrap_or_default();
        node.transfers = request.xmits_in_progress.unwrap_or_default();
        node.cache_capacity = request.cache_capacity.unwrap_or_default();
        node.cache_used = request.cache_used.unwrap_or_default();
        node.failed_volumes = failed_volumes;
        for report in request.reports.iter().take(STORAGES_PER_NODE_MAX) {
            self.take_storage(place, report);
        }
        if (judge || fewer) && !request.reports.is_empty() {
            self.judge_volumes(place, &request.reports, judge);
        }
        self.nodes.sum_space(place);
    }

    fn take_storage(&mut self, place: NodeId, report: &StorageReportProto) {
        let uuid = match &report.storage {
            Some(storage) => &storage.storage_uuid,
            None => &report.storage_uuid,
        };
        if uuid.len() > NAME_BYTES_MAX {
            return;
        }
        let Some(id) = self.nodes.ensure_storage(place, uuid, report.storage.as_ref()) else {
            return;
        };
        let was_failed = self.nodes.storage(id).failed;
        self.nodes.update_storage(id, report);
        if self.nodes.storage(id).failed && !was_failed {
            self.empty_storage(id);
        }
    }

    /// Storages the heartbeat leaves out have failed, those with replicas only where `all` says so:
    /// their replicas are gone.
    fn judge_volumes(&mut self, place: NodeId, reports: &[StorageReportProto], all: bool) {
        let named = |uuid: &str| {
            reports.iter().any(|report| {
                let storage = report.storage.as_ref();
                storage.map_or(&report.storage_uuid, |storage| &storage.storage_uuid) == uuid
            })
        };
        for id in self.nodes.node(place).storages.clone() {
            let storage = self.nodes.storage(id);
            if !named(&storage.uuid) && !storage.failed && (all || storage.count == 0) {
                let storage = self.nodes.storage_mut(id);
                storage.failed = true;
                storage.space = super::registry::Space::default();
                self.empty_storage(id);
            }
        }
    }

    fn commands(&mut self, node: NodeId) -> Vec<DatanodeCommandProto> {
        if self.safe.is_on() {
            return Vec::new();
        }
        if let Some(recovery) = self.recovery_command(node) {
            return vec![recovery];
        }
        let mut commands = Vec::new();
        commands.extend(self.transfer_command(node));
        commands.extend(self.invalidate_command(node));
        if let Some(bandwidth) = self.nodes.node_mut(node).bandwidth.take() {
            commands.push(DatanodeCommandProto {
                cmd_type: Type::BalancerBandwidthCommand as i32,
                balancer_cmd: Some(BalancerBandwidthCommandProto { bandwidth }),
                ..DatanodeCommandProto::default()
            });
        }
        commands
    }

    /// Copies the node shall send now: no more than it may send at once.
    fn transfer_command(&mut self, place: NodeId) -> Option<DatanodeCommandProto> {
        let busy = self.nodes.node(place).transfers as usize;
        let room = self.settings.streams_max.saturating_sub(busy);
        let mut command = self.block_command(Action::Transfer);
        while command.blocks.len() < room {
            let Some(transfer) = self.nodes.node_mut(place).transfer.pop_front() else { break };
            // Deleted or opened again since: the copy would be of something else.
            let Some(block) = self.complete_block(transfer.id) else { continue };
            let targets: Vec<_> = transfer
                .targets
                .into_iter()
                .filter(|target| self.nodes.host(*target).alive)
                .collect();
            if targets.is_empty() {
                continue;
            }
            let infos = targets.iter().map(|each| self.nodes.info(self.nodes.storage(*each).node));
            let storages = targets.iter().map(|each| self.nodes.storage(*each));
            command.blocks.push(block_proto(block));
            command.targets.push(DatanodeInfosProto { datanodes: infos.collect() });
            command.target_storage_uuids.push(StorageUuidsProto {
                storage_uuids: storages.clone().map(|each| each.uuid.clone()).collect(),
            });
            command.target_storage_types.push(StorageTypesProto {
                storage_types: storages.map(|each| each.kind).collect(),
            });
        }
        wrap(command)
    }

    fn complete_block(&self, id: i64) -> Option<Block> {
        let slot = self.map.find(id)?;
        let complete = self.map.state(slot) == super::BlockState::Complete;
        complete.then(|| self.map.block(slot))
    }

    /// Deletions, up to the limit of one answer.
    fn invalidate_command(&mut self, place: NodeId) -> Option<DatanodeCommandProto> {
        let mut command = self.block_command(Action::Invalidate);
        while command.blocks.len() < self.settings.invalidate_limit {
            let Some((id, stamp)) = self.nodes.node_mut(place).invalidate.pop_first() else {
                break;
            };
            self.pending_deletions -= 1;
            command.blocks.push(block_proto(Block { id, length: 0, stamp }));
        }
        wrap(command)
    }

    fn block_command(&self, action: Action) -> BlockCommandProto {
        BlockCommandProto {
            action: action as i32,
            block_pool_id: self.settings.identity.block_pool_id.clone(),
            ..BlockCommandProto::default()
        }
    }

    /// The answer to a node that must register (again).
    pub(in crate::namenode) fn register_command() -> DatanodeCommandProto {
        DatanodeCommandProto {
            cmd_type: Type::RegisterCommand as i32,
            register_cmd: Some(RegisterCommandProto {}),
            ..DatanodeCommandProto::default()
        }
    }

    /// The answer to a full report, once all of the node's storages are known.
    pub(in crate::namenode) fn finalize_command(
        &self,
        node: NodeId,
    ) -> Option<DatanodeCommandProto> {
        let storages = &self.nodes.node(node).storages;
        let stale = storages.iter().any(|id| {
            let storage = self.nodes.storage(*id);
            storage.stale && !storage.failed
        });
        (!stale).then(|| DatanodeCommandProto {
            cmd_type: Type::FinalizeCommand as i32,
            finalize_cmd: Some(FinalizeCommandProto {
                block_pool_id: self.settings.identity.block_pool_id.clone(),
            }),
            ..DatanodeCommandProto::default()
        })
    }

    /// `setBalancerBandwidth`: every living node hears of it with its next heartbeat.
    pub(in crate::namenode) fn set_bandwidth(&mut self, bandwidth: u64) {
        for (_, node) in self.nodes.all_mut() {
            node.bandwidth = Some(bandwidth);
        }
    }
}

fn block_proto(block: Block) -> BlockProto {
    BlockProto {
        block_id: block.id.cast_unsigned(),
        gen_stamp: block.stamp,
        num_bytes: Some(block.length),
    }
}

/// A command with something in it.
fn wrap(command: BlockCommandProto) -> Option<DatanodeCommandProto> {
    (!command.blocks.is_empty()).then(|| DatanodeCommandProto {
        cmd_type: Type::BlockCommand as i32,
        blk_cmd: Some(command),
        ..DatanodeCommandProto::default()
    })
}
