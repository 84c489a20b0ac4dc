//! Tests of the block side as a whole: a lab of pretended datanodes around one block manager.

use hdfs_wire::block_list::{ReplicaState, ReportedReplica};
use hdfs_wire::proto::hdfs::datanode::{
    DatanodeCommandProto, DatanodeRegistrationProto, HeartbeatRequestProto,
};
use hdfs_wire::proto::hdfs::{
    BlockKeyProto, DatanodeIdProto, DatanodeStorageProto, ExportedBlockKeysProto, StorageInfoProto,
    StorageReportProto,
};

use super::block_map::{NEEDED, SAFE};
use super::queue::Priority;
use super::*;
use crate::namenode::{Config, Identity};

mod chaos;
mod life;
mod nodes;
mod placing;
mod repair;

const GIB: u64 = 1 << 30;
const MIB: u64 = 1 << 20;

fn identity() -> Identity {
    Identity {
        namespace_id: 7,
        cluster_id: "CID-1".into(),
        block_pool_id: "BP-1".into(),
        creation_time: 0,
    }
}

fn config() -> Config {
    Config { identity: identity(), hostname: "h".into(), ..Config::default() }
}

/// A block manager out of safe mode, its clock, and datanodes made of numbers.
struct Lab {
    blocks: BlockManager,
    now: Millis,
}

impl Lab {
    /// No nodes, no blocks, no safe mode.
    fn new() -> Self {
        Self::with(&config())
    }

    fn with(config: &Config) -> Self {
        let mut blocks = BlockManager::new(config);
        blocks.loaded(1_000_000);
        Self { blocks, now: 1_000_000 }
    }

    /// `count` nodes on one host with one storage each, registered, reported and heard of.
    fn nodes(count: u32) -> Self {
        let mut lab = Self::new();
        (0..count).for_each(|node| lab.join(node));
        lab
    }

    /// Registers a node, reports nothing from it, and lets it heartbeat.
    fn join(&mut self, node: u32) {
        self.register(node);
        self.beat(node);
        self.report(node, &[]);
    }

    fn register(&mut self, node: u32) {
        let registration = registration(node);
        self.blocks.register(self.now, "127.0.0.1", &registration).unwrap();
    }

    fn place_of(&self, node: u32) -> Option<registry::NodeId> {
        self.blocks.caller_node("127.0.0.1", &registration(node)).unwrap()
    }

    /// A heartbeat; the commands of its answer.
    fn beat(&mut self, node: u32) -> Vec<DatanodeCommandProto> {
        let Some(place) = self.place_of(node) else {
            return vec![BlockManager::register_command()];
        };
        self.blocks.heartbeat(self.now, place, &heartbeat(node, 100 * GIB))
    }

    fn storage(&mut self, node: u32) -> StorageId {
        let place = self.place_of(node).unwrap();
        self.blocks.known_storage(place, &storage_uuid(node), None).unwrap()
    }

    /// A full report of a node's only storage.
    fn report(&mut self, node: u32, replicas: &[ReportedReplica]) {
        let storage = self.storage(node);
        self.blocks.full_report(storage, replicas.iter().copied());
    }

    fn received(&mut self, node: u32, block: Block) {
        let storage = self.storage(node);
        self.blocks.received(storage, block, None);
    }

    fn deleted(&mut self, node: u32, block: Block) {
        let storage = self.storage(node);
        self.blocks.deleted(storage, block);
    }

    /// Time passes second by second; the nodes of `alive` heartbeat every three.
    fn pass(&mut self, seconds: u64, alive: &[u32]) {
        for second in 0..seconds {
            self.now += 1_000;
            self.blocks.tick(self.now);
            if second % 3 == 0 {
                for node in alive {
                    self.keep_alive(*node);
                }
            }
        }
    }

    /// A heartbeat whose orders are put back, so that a test can look at them later.
    fn keep_alive(&mut self, node: u32) {
        if let Some(place) = self.place_of(node) {
            self.blocks.lifeline(self.now, place, &heartbeat(node, 100 * GIB));
        }
    }

    /// A complete block of that many replicas on nodes 0, 1, ...
    fn written(&mut self, id: i64, replication: u16) -> Block {
        let block = block(id);
        self.blocks.insert(block, 1, replication, BlockState::UnderConstruction);
        let targets: Vec<_> = (0..u32::from(replication)).map(target).collect();
        self.blocks.expect(id, &targets);
        (0..u32::from(replication)).for_each(|node| self.received(node, block));
        assert_eq!(self.blocks.commit(block).unwrap(), BlockState::Complete);
        block
    }

    fn numbers(&self, id: i64) -> replication::Numbers {
        self.blocks.numbers(self.blocks.map.find(id).unwrap())
    }

    /// Ids a node was ordered to delete and has not been told yet.
    fn doomed(&self, node: u32) -> Vec<i64> {
        let place = self.blocks.nodes.by_uuid(&uuid(node)).unwrap();
        self.blocks.nodes.node(place).invalidate.keys().copied().collect()
    }

    /// Every count and list, against a slow recount.
    fn check(&self) {
        let manager = &self.blocks;
        let (mut complete, mut safe, mut needed) = (0, 0, 0);
        for slot in (0..manager.map.top()).filter(|slot| manager.map.is_block(*slot)) {
            let numbers = manager.numbers(slot);
            let state = manager.map.state(slot);
            let least = usize::from(manager.settings.replication_min);
            complete += u64::from(state == BlockState::Complete);
            let is_safe =
                state == BlockState::Complete && numbers.usable() + numbers.excess >= least;
            assert_eq!(manager.map.has(slot, SAFE), is_safe, "safe bit of slot {slot}");
            safe += u64::from(is_safe);
            needed += usize::from(manager.map.has(slot, NEEDED));
            for storage in manager.map.replicas(slot) {
                let list = manager.nodes.storage(storage);
                assert!(list.slots.contains(&slot), "slot {slot} missing in its storage's list");
                assert!(manager.nodes.host(storage).alive, "replica on a dead node");
            }
            let rare = manager.map.rare(slot);
            let marked = rare.is_some_and(|rare| !rare.corrupt.is_empty());
            assert_eq!(manager.damaged.contains(&slot), marked, "damaged set of slot {slot}");
            let pending = rare.is_some_and(|rare| rare.pending.is_some());
            assert_eq!(manager.pending.contains(&slot), pending, "pending set of slot {slot}");
        }
        assert_eq!(manager.complete, complete);
        assert_eq!(manager.safe_blocks, safe);
        let queued = manager.needed.low() + manager.needed.at(Priority::Lost).len();
        assert_eq!(queued, needed);
        let mut doomed = 0;
        for (_, node) in manager.nodes.all() {
            doomed += node.invalidate.len() as u64;
            for storage in &node.storages {
                let list = manager.nodes.storage(*storage);
                assert_eq!(list.count, manager.slots_of(*storage).len(), "count of {}", list.uuid);
                assert!(list.slots.len() <= 2 * list.count + 128, "list of {} grows", list.uuid);
            }
        }
        assert_eq!(manager.pending_deletions, doomed);
    }
}

fn uuid(node: u32) -> String {
    format!("uuid-{node}")
}

fn storage_uuid(node: u32) -> String {
    format!("DS-{node}")
}

fn target(node: u32) -> Target {
    Target { datanode_uuid: uuid(node), storage_uuid: storage_uuid(node) }
}

fn block(id: i64) -> Block {
    Block { id, length: 100, stamp: 1001 }
}

fn replica(block: Block, state: ReplicaState) -> ReportedReplica {
    ReportedReplica { id: block.id, length: block.length, stamp: block.stamp, state }
}

fn whole(block: Block) -> ReportedReplica {
    replica(block, ReplicaState::Finalized)
}

fn registration(node: u32) -> DatanodeRegistrationProto {
    let identity = identity();
    DatanodeRegistrationProto {
        datanode_id: DatanodeIdProto {
            ip_addr: "127.0.0.1".into(),
            host_name: "localhost".into(),
            datanode_uuid: uuid(node),
            xfer_port: 9866 + node * 10,
            info_port: 9864 + node * 10,
            ipc_port: 9867 + node * 10,
            info_secure_port: Some(0),
        },
        storage_info: StorageInfoProto {
            layout_version: (-57_i32).cast_unsigned(),
            namespce_id: identity.namespace_id,
            cluster_id: identity.cluster_id,
            c_time: identity.creation_time,
        },
        keys: ExportedBlockKeysProto {
            is_block_token_enabled: false,
            key_update_interval: 0,
            token_life_time: 0,
            current_key: BlockKeyProto { key_id: 0, expiry_date: 0, key_bytes: None },
            all_keys: vec![],
        },
        software_version: "3.4.1".into(),
    }
}

fn heartbeat(node: u32, remaining: u64) -> HeartbeatRequestProto {
    let storage_uuid = storage_uuid(node);
    HeartbeatRequestProto {
        registration: registration(node),
        reports: vec![StorageReportProto {
            storage_uuid: storage_uuid.clone(),
            capacity: Some(200 * GIB),
            dfs_used: Some(1),
            remaining: Some(remaining),
            block_pool_used: Some(1),
            storage: Some(DatanodeStorageProto {
                storage_uuid,
                state: Some(0),
                storage_type: Some(1),
            }),
            ..StorageReportProto::default()
        }],
        ..HeartbeatRequestProto::default()
    }
}

fn request(count: usize) -> PlacementRequest<'static> {
    PlacementRequest {
        count,
        block_size: 128 * MIB,
        writer: "127.0.0.1",
        excluded: &[],
        existing: &[],
        favored: &[],
        policy: 7,
        avoid_local: false,
    }
}
