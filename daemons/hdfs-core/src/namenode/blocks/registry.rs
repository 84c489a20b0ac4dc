//! The datanodes and their storages: who is there, where, how full and how busy. Nothing here knows
//! a block's state; a storage only remembers which slots it may hold.
//!
//! A node is its uuid at one `ip:xferPort`. Several nodes on one host are common (and in `dev` the
//! rule), so a host or an IP alone never names a node.

use std::collections::{BTreeMap, HashMap, VecDeque};

use hdfs_wire::proto::hdfs::datanode_info_proto::AdminState;
use hdfs_wire::proto::hdfs::{DatanodeIdProto, DatanodeInfoProto, DatanodeStorageProto};
use hdfs_wire::proto::hdfs::{StorageReportProto, StorageTypeProto};

use super::block_map::{Slot, StorageId};
use super::replication::Transfer;
use crate::Millis;

/// Place of a node in the registry.
pub(super) type NodeId = u32;

/// Most nodes remembered, dead ones included: some times the largest cluster known (10,000). When
/// it is reached, the node that is dead for longest is forgotten.
pub(super) const NODES_MAX: usize = 1 << 16;
/// Most storages of a node: a server has some dozens of disks.
pub(super) const STORAGES_PER_NODE_MAX: usize = 1024;

/// Sums over a node's storages, from its last heartbeat. All in bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Space {
    pub(super) capacity: u64,
    pub(super) used: u64,
    pub(super) remaining: u64,
    pub(super) pool_used: u64,
    pub(super) non_dfs_used: u64,
}

/// One datanode.
#[derive(Debug)]
pub(super) struct Node {
    /// As registered, with the address the namenode sees.
    pub(super) id: DatanodeIdProto,
    /// Rack path such as `/default-rack`.
    pub(super) rack: String,
    pub(super) admin: AdminState,
    pub(super) alive: bool,
    /// Last heartbeat or registration.
    pub(super) heard: Millis,
    /// A heartbeat came since the last registration.
    pub(super) heartbeated: bool,
    pub(super) last_report: Millis,
    pub(super) space: Space,
    pub(super) xceivers: u32,
    /// Copies the node sends at present, by its own word.
    pub(super) transfers: u32,
    pub(super) cache_capacity: u64,
    pub(super) cache_used: u64,
    pub(super) failed_volumes: u32,
    pub(super) storages: Vec<StorageId>,
    /// Replicas to delete: id and stamp. No more than the node reported.
    pub(super) invalidate: BTreeMap<i64, u64>,
    /// Copies to send. Bounded by the streams limit, which the scheduler obeys.
    pub(super) transfer: VecDeque<Transfer>,
    /// Blocks whose recovery this node shall lead. Bounded by the files under recovery.
    pub(super) recover: VecDeque<i64>,
    /// `setBalancerBandwidth` not told yet.
    pub(super) bandwidth: Option<u64>,
}

impl Node {
    /// May new replicas go here?
    pub(super) fn in_service(&self) -> bool {
        self.alive && self.admin == AdminState::Normal
    }

    /// `ip:port` of the data port.
    pub(super) fn address(&self) -> String {
        format!("{}:{}", self.id.ip_addr, self.id.xfer_port)
    }

    /// Not heard of for the given time.
    pub(super) fn silent(&self, now: Millis, for_ms: Millis) -> bool {
        now.saturating_sub(self.heard) > for_ms
    }
}

/// One volume of a datanode.
#[derive(Debug)]
pub(super) struct Storage {
    pub(super) node: NodeId,
    pub(super) uuid: String,
    /// A `StorageTypeProto` number.
    pub(super) kind: i32,
    /// A `StorageState` number.
    pub(super) state: i32,
    pub(super) failed: bool,
    pub(super) space: Space,
    /// No full report since the registration: what is here may be different from what we think, so
    /// replicas here are no reason to delete others.
    pub(super) stale: bool,
    /// Slots added here: may name a slot twice or a block that left. The map decides; see `count`.
    pub(super) slots: Vec<Slot>,
    /// Replicas stored here, exactly.
    pub(super) count: usize,
    /// Replicas on their way here, this period and the one before.
    pub(super) scheduled: [u32; 2],
}

impl Storage {
    /// Replicas that will come and take room.
    pub(super) fn scheduled(&self) -> u64 {
        u64::from(self.scheduled[0]) + u64::from(self.scheduled[1])
    }

    /// One of the scheduled replicas arrived, or never will.
    pub(super) fn arrived(&mut self) {
        let period = usize::from(self.scheduled[1] > 0);
        self.scheduled[period] = self.scheduled[period].saturating_sub(1);
    }
}

/// All nodes and storages.
#[derive(Debug, Default)]
pub(super) struct Registry {
    nodes: Vec<Option<Node>>,
    storages: Vec<Option<Storage>>,
    vacant_nodes: Vec<NodeId>,
    vacant_storages: Vec<StorageId>,
    by_uuid: HashMap<String, NodeId>,
    by_ip: HashMap<String, Vec<NodeId>>,
    /// Address or host name -> rack, from the operator's topology.
    racks: HashMap<String, String>,
    default_rack: String,
    /// Living nodes, in no order.
    live: Vec<NodeId>,
    /// Racks with living nodes.
    rack_sizes: BTreeMap<String, usize>,
}

impl Registry {
    pub(super) fn new(default_rack: String) -> Self {
        Self { default_rack, ..Self::default() }
    }

    // ---- look-ups ----

    pub(super) fn node(&self, id: NodeId) -> &Node {
        self.nodes[id as usize].as_ref().expect("node ids in use belong to registered nodes")
    }

    pub(super) fn node_mut(&mut self, id: NodeId) -> &mut Node {
        self.nodes[id as usize].as_mut().expect("node ids in use belong to registered nodes")
    }

    pub(super) fn storage(&self, id: StorageId) -> &Storage {
        self.storages[id as usize].as_ref().expect("storage ids in use belong to known storages")
    }

    pub(super) fn storage_mut(&mut self, id: StorageId) -> &mut Storage {
        self.storages[id as usize].as_mut().expect("storage ids in use belong to known storages")
    }

    /// The node of a storage.
    pub(super) fn host(&self, storage: StorageId) -> &Node {
        self.node(self.storage(storage).node)
    }

    pub(super) fn by_uuid(&self, uuid: &str) -> Option<NodeId> {
        self.by_uuid.get(uuid).copied()
    }

    /// Nodes at an IP address.
    pub(super) fn at_ip(&self, ip: &str) -> &[NodeId] {
        self.by_ip.get(ip).map_or(&[], Vec::as_slice)
    }

    /// The node at `ip:xferPort`.
    pub(super) fn at_address(&self, ip: &str, port: u32) -> Option<NodeId> {
        self.at_ip(ip).iter().copied().find(|id| self.node(*id).id.xfer_port == port)
    }

    /// The node a client names by `ip:port` or `host:port`.
    pub(super) fn named(&self, address: &str) -> Option<NodeId> {
        let (host, port) = address.rsplit_once(':')?;
        let port = port.parse().ok()?;
        self.at_address(host, port).or_else(|| {
            let found = self.all().find(|(_, node)| {
                node.id.xfer_port == port && node.id.host_name.eq_ignore_ascii_case(host)
            });
            found.map(|(id, _)| id)
        })
    }

    /// A node's storage by its uuid.
    pub(super) fn storage_of(&self, node: NodeId, uuid: &str) -> Option<StorageId> {
        self.node(node).storages.iter().copied().find(|id| self.storage(*id).uuid == uuid)
    }

    pub(super) fn all(&self) -> impl Iterator<Item = (NodeId, &Node)> {
        let numbered = self.nodes.iter().enumerate();
        numbered.filter_map(|(id, node)| node.as_ref().map(|node| (id as NodeId, node)))
    }

    pub(super) fn all_mut(&mut self) -> impl Iterator<Item = (NodeId, &mut Node)> {
        let numbered = self.nodes.iter_mut().enumerate();
        numbered.filter_map(|(id, node)| node.as_mut().map(|node| (id as NodeId, node)))
    }

    pub(super) fn live(&self) -> &[NodeId] {
        &self.live
    }

    pub(super) fn rack_count(&self) -> usize {
        self.rack_sizes.len()
    }

    /// Rack of any address: a node's, a mapped one, or the default.
    pub(super) fn rack_of(&self, ip: &str) -> &str {
        if let Some(rack) = self.racks.get(ip) {
            return rack;
        }
        match self.at_ip(ip).first() {
            Some(node) => &self.node(*node).rack,
            None => &self.default_rack,
        }
    }

    // ---- changes ----

    /// Replaces the operator's topology; nodes move at once.
    pub(super) fn set_racks(&mut self, racks: HashMap<String, String>) {
        self.racks = racks;
        let ids: Vec<_> = self.all().map(|(id, _)| id).collect();
        for id in ids {
            let rack = self.mapped_rack(&self.node(id).id);
            let alive = self.node(id).alive;
            self.set_alive(id, false);
            self.node_mut(id).rack = rack;
            self.set_alive(id, alive);
        }
    }

    fn mapped_rack(&self, id: &DatanodeIdProto) -> String {
        let by_ip = self.racks.get(&id.ip_addr);
        let rack = by_ip.or_else(|| self.racks.get(&id.host_name));
        rack.unwrap_or(&self.default_rack).clone()
    }

    /// A node nobody knew.
    pub(super) fn add(&mut self, id: DatanodeIdProto, now: Millis) -> NodeId {
        let node = Node {
            rack: self.mapped_rack(&id),
            id,
            admin: AdminState::Normal,
            alive: false,
            heard: now,
            heartbeated: false,
            last_report: 0,
            space: Space::default(),
            xceivers: 0,
            transfers: 0,
            cache_capacity: 0,
            cache_used: 0,
            failed_volumes: 0,
            storages: Vec::new(),
            invalidate: BTreeMap::new(),
            transfer: VecDeque::new(),
            recover: VecDeque::new(),
            bandwidth: None,
        };
        let place = self.vacant_nodes.pop().unwrap_or(self.nodes.len() as NodeId);
        if place as usize == self.nodes.len() {
            self.nodes.push(None);
        }
        self.by_uuid.insert(node.id.datanode_uuid.clone(), place);
        self.by_ip.entry(node.id.ip_addr.clone()).or_default().push(place);
        self.nodes[place as usize] = Some(node);
        place
    }

    /// The same node under another address, port or host name.
    pub(super) fn relocate(&mut self, place: NodeId, id: DatanodeIdProto) {
        let alive = self.node(place).alive;
        self.set_alive(place, false);
        self.leave_ip(place);
        self.by_ip.entry(id.ip_addr.clone()).or_default().push(place);
        let rack = self.mapped_rack(&id);
        let node = self.node_mut(place);
        node.id = id;
        node.rack = rack;
        self.set_alive(place, alive);
    }

    fn leave_ip(&mut self, place: NodeId) {
        let ip = self.node(place).id.ip_addr.clone();
        if let Some(nodes) = self.by_ip.get_mut(&ip) {
            nodes.retain(|each| *each != place);
            if nodes.is_empty() {
                self.by_ip.remove(&ip);
            }
        }
    }

    /// Forgets a node and its storages. No block may name them any more.
    pub(super) fn remove(&mut self, place: NodeId) {
        self.set_alive(place, false);
        self.leave_ip(place);
        if let Some(node) = self.nodes[place as usize].take() {
            self.by_uuid.remove(&node.id.datanode_uuid);
            for storage in node.storages {
                self.storages[storage as usize] = None;
                self.vacant_storages.push(storage);
            }
            self.vacant_nodes.push(place);
        }
    }

    /// Enters a node among the living, or takes it out.
    pub(super) fn set_alive(&mut self, place: NodeId, alive: bool) {
        let node = self.node_mut(place);
        if node.alive == alive {
            return;
        }
        node.alive = alive;
        let rack = node.rack.clone();
        if alive {
            self.live.push(place);
            *self.rack_sizes.entry(rack).or_default() += 1;
            return;
        }
        self.live.retain(|each| *each != place);
        if let Some(size) = self.rack_sizes.get_mut(&rack) {
            *size -= 1;
            if *size == 0 {
                self.rack_sizes.remove(&rack);
            }
        }
    }

    /// The storage of that uuid, made if it is new; `None` when the node has too many.
    pub(super) fn ensure_storage(
        &mut self,
        node: NodeId,
        uuid: &str,
        described: Option<&DatanodeStorageProto>,
    ) -> Option<StorageId> {
        let found = self.storage_of(node, uuid);
        let id = match found {
            Some(id) => id,
            None if self.node(node).storages.len() >= STORAGES_PER_NODE_MAX => return None,
            None => self.add_storage(node, uuid),
        };
        if let Some(described) = described {
            let storage = self.storage_mut(id);
            storage.kind = described.storage_type.unwrap_or(StorageTypeProto::Disk as i32);
            storage.state = described.state.unwrap_or_default();
        }
        Some(id)
    }

    fn add_storage(&mut self, node: NodeId, uuid: &str) -> StorageId {
        let storage = Storage {
            node,
            uuid: uuid.to_owned(),
            kind: StorageTypeProto::Disk as i32,
            state: 0,
            failed: false,
            space: Space::default(),
            stale: true,
            slots: Vec::new(),
            count: 0,
            scheduled: [0; 2],
        };
        let place = self.vacant_storages.pop().unwrap_or(self.storages.len() as StorageId);
        if place as usize == self.storages.len() {
            self.storages.push(None);
        }
        self.storages[place as usize] = Some(storage);
        self.node_mut(node).storages.push(place);
        place
    }

    /// Takes over what a heartbeat says of one storage.
    pub(super) fn update_storage(&mut self, id: StorageId, report: &StorageReportProto) {
        let capacity = report.capacity.unwrap_or_default();
        let used = report.dfs_used.unwrap_or_default();
        let remaining = report.remaining.unwrap_or_default();
        let space = Space {
            capacity,
            used,
            remaining,
            pool_used: report.block_pool_used.unwrap_or_default(),
            non_dfs_used: report
                .non_dfs_used
                .unwrap_or_else(|| capacity.saturating_sub(used).saturating_sub(remaining)),
        };
        let storage = self.storage_mut(id);
        storage.space = space;
        storage.failed = report.failed.unwrap_or_default();
    }

    /// Adds up the storages of a node.
    pub(super) fn sum_space(&mut self, place: NodeId) {
        let mut sum = Space::default();
        for id in &self.node(place).storages {
            let space = self.storage(*id).space;
            sum.capacity = sum.capacity.saturating_add(space.capacity);
            sum.used = sum.used.saturating_add(space.used);
            sum.remaining = sum.remaining.saturating_add(space.remaining);
            sum.pool_used = sum.pool_used.saturating_add(space.pool_used);
            sum.non_dfs_used = sum.non_dfs_used.saturating_add(space.non_dfs_used);
        }
        self.node_mut(place).space = sum;
    }

    /// Starts a new period of scheduled replicas: what did not arrive for two periods never will.
    pub(super) fn roll_scheduled(&mut self) {
        for storage in self.storages.iter_mut().flatten() {
            storage.scheduled = [0, storage.scheduled[0]];
        }
    }

    /// The full description of a node.
    pub(super) fn info(&self, place: NodeId) -> DatanodeInfoProto {
        let node = self.node(place);
        let blocks: usize = node.storages.iter().map(|id| self.storage(*id).count).sum();
        DatanodeInfoProto {
            id: node.id.clone(),
            capacity: Some(node.space.capacity),
            dfs_used: Some(node.space.used),
            remaining: Some(node.space.remaining),
            block_pool_used: Some(node.space.pool_used),
            last_update: Some(node.heard),
            xceiver_count: Some(node.xceivers),
            location: Some(node.rack.clone()),
            non_dfs_used: Some(node.space.non_dfs_used),
            admin_state: Some(node.admin as i32),
            cache_capacity: Some(node.cache_capacity),
            cache_used: Some(node.cache_used),
            last_update_monotonic: Some(node.heard),
            upgrade_domain: None,
            last_block_report_time: Some(node.last_report),
            last_block_report_monotonic: Some(node.last_report),
            num_blocks: Some(u32::try_from(blocks).unwrap_or(u32::MAX)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(uuid: &str, ip: &str, port: u32) -> DatanodeIdProto {
        DatanodeIdProto {
            ip_addr: ip.into(),
            host_name: format!("host-{port}"),
            datanode_uuid: uuid.into(),
            xfer_port: port,
            info_port: 1,
            ipc_port: 2,
            info_secure_port: None,
        }
    }

    #[test]
    fn nodes_on_one_host_are_told_apart_by_port() {
        let mut registry = Registry::new("/default-rack".into());
        let one = registry.add(id("a", "127.0.0.1", 1), 0);
        let two = registry.add(id("b", "127.0.0.1", 2), 0);
        assert_eq!(registry.at_address("127.0.0.1", 1), Some(one));
        assert_eq!(registry.named("127.0.0.1:2"), Some(two));
        assert_eq!(registry.named("HOST-2:2"), Some(two));
        assert_eq!(registry.named("host-2:1"), None);
        assert_eq!(registry.at_ip("127.0.0.1").len(), 2);
    }

    #[test]
    fn a_moved_node_keeps_its_storages() {
        let mut registry = Registry::new("/default-rack".into());
        registry.set_racks(HashMap::from([("10.0.0.2".into(), "/r2".into())]));
        let node = registry.add(id("a", "10.0.0.1", 1), 0);
        registry.set_alive(node, true);
        let storage = registry.ensure_storage(node, "DS-1", None).unwrap();
        registry.relocate(node, id("a", "10.0.0.2", 1));
        assert_eq!(registry.at_ip("10.0.0.1"), &[] as &[NodeId]);
        assert_eq!(registry.storage_of(node, "DS-1"), Some(storage));
        assert_eq!(registry.node(node).rack, "/r2");
        assert_eq!(registry.rack_count(), 1);
    }

    #[test]
    fn places_are_used_again() {
        let mut registry = Registry::new("/default-rack".into());
        let node = registry.add(id("a", "10.0.0.1", 1), 0);
        let storage = registry.ensure_storage(node, "DS-1", None).unwrap();
        registry.remove(node);
        assert_eq!(registry.by_uuid("a"), None);
        let other = registry.add(id("b", "10.0.0.1", 1), 0);
        assert_eq!((other, registry.ensure_storage(other, "DS-9", None)), (node, Some(storage)));
    }
}
