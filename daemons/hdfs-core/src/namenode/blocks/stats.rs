//! Figures for operators: nodes, space and blocks in trouble.

use hdfs_wire::proto::hdfs::datanode_info_proto::AdminState;
use hdfs_wire::proto::hdfs::{
    DatanodeInfoProto, DatanodeReportTypeProto, DatanodeStorageProto, DatanodeStorageReportProto,
    GetFsReplicatedBlockStatsResponseProto, GetFsStatsResponseProto, StorageReportProto,
};

use super::BlockManager;
use super::queue::Priority;
use super::registry::{Node, NodeId, Space};

/// Everything the web pages and metrics show of the block side.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Sums over living nodes, in bytes.
    pub capacity: u64,
    /// Bytes used by HDFS.
    pub used: u64,
    /// Bytes left for HDFS.
    pub remaining: u64,
    /// Bytes used by others on the same volumes.
    pub non_dfs_used: u64,
    /// Bytes used by this block pool.
    pub pool_used: u64,
    /// Active transceivers of all living nodes.
    pub load: u64,
    /// Living nodes.
    pub live: usize,
    /// Nodes that fell silent.
    pub dead: usize,
    /// Living nodes that are silent for a while.
    pub stale: usize,
    /// Nodes that shall leave.
    pub decommissioning: usize,
    /// Living nodes that may go.
    pub decommissioned_live: usize,
    /// Dead nodes that had leave to go.
    pub decommissioned_dead: usize,
    /// Volumes that failed on living nodes.
    pub volume_failures: u64,
    /// All blocks.
    pub blocks: usize,
    /// Complete blocks.
    pub complete: u64,
    /// Blocks with fewer replicas than wanted.
    pub low_redundancy: usize,
    /// Of those, the ones about to be lost.
    pub highest_priority: usize,
    /// Blocks with corrupt replicas.
    pub corrupt: usize,
    /// Blocks without a good replica.
    pub missing: usize,
    /// Of those, the ones of files with replication 1.
    pub missing_replication_one: usize,
    /// Replicas ordered to be deleted and not told yet.
    pub pending_deletions: u64,
    /// Blocks with copies on their way.
    pub pending_copies: usize,
    /// Copies handed to nodes and not told yet.
    pub scheduled_copies: usize,
    /// Blocks whose excess replicas wait for a report.
    pub postponed: usize,
}

impl BlockManager {
    /// All figures, counted now. Walks the nodes, never the blocks.
    pub fn stats(&self) -> Stats {
        let lost = self.needed.at(Priority::Lost);
        let once = lost.iter().filter(|slot| self.map.replication(**slot) == 1).count();
        let mut stats = Stats {
            blocks: self.map.len(),
            complete: self.complete,
            low_redundancy: self.needed.low(),
            highest_priority: self.needed.at(Priority::Highest).len(),
            corrupt: self.damaged.len(),
            missing: lost.len(),
            missing_replication_one: once,
            pending_deletions: self.pending_deletions,
            pending_copies: self.pending.len(),
            postponed: self.postponed.len(),
            ..Stats::default()
        };
        for (_, node) in self.nodes.all() {
            self.count_node(node, &mut stats);
        }
        stats
    }

    fn count_node(&self, node: &Node, stats: &mut Stats) {
        let gone = node.admin == AdminState::Decommissioned;
        stats.decommissioning += usize::from(node.admin == AdminState::DecommissionInprogress);
        if !node.alive {
            stats.dead += 1;
            stats.decommissioned_dead += usize::from(gone);
            return;
        }
        let Space { capacity, used, remaining, pool_used, non_dfs_used } = node.space;
        // A node that left is no room for new replicas any more.
        let counted = u64::from(!gone);
        stats.capacity += capacity * counted;
        stats.remaining += remaining * counted;
        stats.used += used;
        stats.pool_used += pool_used;
        stats.non_dfs_used += non_dfs_used;
        stats.load += u64::from(node.xceivers);
        stats.live += 1;
        stats.stale += usize::from(node.silent(self.clock, self.settings.stale_interval_ms));
        stats.decommissioned_live += usize::from(gone);
        stats.volume_failures += u64::from(node.failed_volumes);
        stats.scheduled_copies += node.transfer.len();
    }

    /// Blocks without a good replica, with the file each belongs to, in slot order from a cookie
    /// on. Gives the cookie for the rest.
    pub fn missing_blocks(&self, cookie: u32, limit: usize) -> (Vec<(i64, u64)>, u32) {
        let slots = self.needed.at(Priority::Lost).range(cookie..).take(limit);
        let mut next = cookie;
        let found = slots.map(|slot| {
            next = slot + 1;
            (self.map.block(*slot).id, self.map.file(*slot))
        });
        let found = found.collect();
        (found, next)
    }

    pub(in crate::namenode) fn fs_stats(&self) -> GetFsStatsResponseProto {
        let stats = self.stats();
        GetFsStatsResponseProto {
            capacity: stats.capacity,
            used: stats.used,
            remaining: stats.remaining,
            under_replicated: stats.low_redundancy as u64,
            corrupt_blocks: stats.corrupt as u64,
            missing_blocks: stats.missing as u64,
            missing_repl_one_blocks: Some(stats.missing_replication_one as u64),
            blocks_in_future: Some(0),
            pending_deletion_blocks: Some(stats.pending_deletions),
        }
    }

    pub(in crate::namenode) fn replicated_stats(&self) -> GetFsReplicatedBlockStatsResponseProto {
        let stats = self.stats();
        GetFsReplicatedBlockStatsResponseProto {
            low_redundancy: stats.low_redundancy as u64,
            corrupt_blocks: stats.corrupt as u64,
            missing_blocks: stats.missing as u64,
            missing_repl_one_blocks: stats.missing_replication_one as u64,
            blocks_in_future: 0,
            pending_deletion_blocks: stats.pending_deletions,
            highest_prio_low_redundancy_blocks: Some(stats.highest_priority as u64),
        }
    }

    /// Nodes of one kind, by address.
    fn nodes_of(&self, kind: DatanodeReportTypeProto) -> Vec<NodeId> {
        let wanted = |node: &Node| match kind {
            DatanodeReportTypeProto::All => true,
            DatanodeReportTypeProto::Live => node.alive,
            DatanodeReportTypeProto::Dead => !node.alive,
            DatanodeReportTypeProto::Decommissioning => {
                node.alive && node.admin == AdminState::DecommissionInprogress
            }
            DatanodeReportTypeProto::EnteringMaintenance => {
                node.alive && node.admin == AdminState::EnteringMaintenance
            }
            DatanodeReportTypeProto::InMaintenance => {
                node.alive && node.admin == AdminState::InMaintenance
            }
        };
        let found = self.nodes.all().filter(|(_, node)| wanted(node));
        let mut found: Vec<NodeId> = found.map(|(place, _)| place).collect();
        found.sort_by_cached_key(|place| self.nodes.node(*place).address());
        found
    }

    /// Descriptions of all nodes of one kind.
    pub fn datanodes(&self, kind: DatanodeReportTypeProto) -> Vec<DatanodeInfoProto> {
        self.nodes_of(kind).into_iter().map(|place| self.nodes.info(place)).collect()
    }

    /// The same, volume by volume.
    pub fn datanode_storages(
        &self,
        kind: DatanodeReportTypeProto,
    ) -> Vec<DatanodeStorageReportProto> {
        let report = |place: NodeId| DatanodeStorageReportProto {
            datanode_info: self.nodes.info(place),
            storage_reports: self.storage_reports(place),
        };
        self.nodes_of(kind).into_iter().map(report).collect()
    }

    fn storage_reports(&self, place: NodeId) -> Vec<StorageReportProto> {
        let storages = self.nodes.node(place).storages.iter().map(|id| self.nodes.storage(*id));
        storages
            .map(|storage| StorageReportProto {
                storage_uuid: storage.uuid.clone(),
                failed: Some(storage.failed),
                capacity: Some(storage.space.capacity),
                dfs_used: Some(storage.space.used),
                remaining: Some(storage.space.remaining),
                block_pool_used: Some(storage.space.pool_used),
                storage: Some(DatanodeStorageProto {
                    storage_uuid: storage.uuid.clone(),
                    state: Some(storage.state),
                    storage_type: Some(storage.kind),
                }),
                non_dfs_used: Some(storage.space.non_dfs_used),
                mount: None,
            })
            .collect()
    }
}
