//! Datanodes come, move, fall silent and go: registration and death, and what each means for the
//! replicas there. A node that registers again keeps its replicas until its next full report says
//! otherwise.

use hdfs_wire::proto::hdfs::datanode::DatanodeRegistrationProto;
use hdfs_wire::proto::hdfs::{
    BlockKeyProto, DatanodeIdProto, DatanodeInfoProto, ExportedBlockKeysProto, StorageInfoProto,
};
use hdfs_wire::{Exception, Fault};

use super::block_map::{Slot, StorageId};
use super::registry::{NODES_MAX, NodeId};
use super::{BlockManager, Target};
use crate::Millis;

/// Oldest datanode software that may register (`dfs.namenode.min.supported.datanode.version`).
const VERSION_MIN: (u32, u32) = (2, 1);
/// Ticks come every second; a gap of this length means that nothing was heard meanwhile.
const PAUSE_MS: Millis = 10_000;
/// Longest uuid, host name or storage uuid taken from a datanode: names of files and hosts are 255.
pub(in crate::namenode) const NAME_BYTES_MAX: usize = 255;

impl BlockManager {
    /// A datanode registers: new, again, moved, or in the place of another one. The answer is its
    /// registration with the address the namenode sees and no block keys.
    ///
    /// # Errors
    /// `DisallowedDatanodeException` by the hosts files, `IncorrectVersionException` for software
    /// that is too old, `UnregisteredNodeException` for a node of another cluster.
    pub(in crate::namenode) fn register(
        &mut self,
        now: Millis,
        peer: &str,
        registration: &DatanodeRegistrationProto,
    ) -> Result<DatanodeRegistrationProto, Fault> {
        self.advance(now);
        self.check_registration(registration)?;
        let mut id = registration.datanode_id.clone();
        peer.clone_into(&mut id.ip_addr);
        if !self.hosts.allows(&id) {
            return Err(Fault::new(
                Exception::DisallowedDatanode,
                format!(
                    "Datanode denied communication with namenode because the host is not in the \
                     include-list: {}:{} ({})",
                    id.ip_addr, id.xfer_port, id.host_name
                ),
            ));
        }
        if let Some(other) = self.nodes.at_address(&id.ip_addr, id.xfer_port)
            && self.nodes.node(other).id.datanode_uuid != id.datanode_uuid
        {
            self.remove_node(other);
        }
        let node = match self.nodes.by_uuid(&id.datanode_uuid) {
            Some(node) => {
                self.nodes.relocate(node, id.clone());
                node
            }
            None => self.add_node(&id)?,
        };
        self.revive(node);
        Ok(DatanodeRegistrationProto {
            datanode_id: id,
            storage_info: registration.storage_info.clone(),
            keys: no_keys(),
            software_version: registration.software_version.clone(),
        })
    }

    fn check_registration(&self, registration: &DatanodeRegistrationProto) -> Result<(), Fault> {
        let id = &registration.datanode_id;
        if id.datanode_uuid.is_empty() {
            return Err(Fault::io(format!(
                "datanode {}:{} registers without a uuid",
                id.host_name, id.xfer_port
            )));
        }
        if id.datanode_uuid.len() > NAME_BYTES_MAX || id.host_name.len() > NAME_BYTES_MAX {
            return Err(Fault::io("a datanode's uuid and host name may have 255 bytes each"));
        }
        let version = &registration.software_version;
        if version_of(version) < VERSION_MIN {
            return Err(Fault::new(
                Exception::IncorrectVersion,
                format!(
                    "The reported DataNode version is too low to communicate with this NameNode. \
                     DataNode version: '{version}' Minimum DataNode version: '2.1.0-beta'"
                ),
            ));
        }
        self.check_cluster(id, &registration.storage_info)
    }

    /// Does the caller belong to this cluster?
    fn check_cluster(&self, id: &DatanodeIdProto, info: &StorageInfoProto) -> Result<(), Fault> {
        let identity = &self.settings.identity;
        let ours = (identity.namespace_id, identity.cluster_id.as_str(), identity.creation_time);
        let theirs = (info.namespce_id, info.cluster_id.as_str(), info.c_time);
        if ours == theirs {
            return Ok(());
        }
        Err(Fault::new(
            Exception::UnregisteredNode,
            format!(
                "Unregistered server: datanode {}:{} belongs to namespace NS-{}-{}-{}, this is \
                 NS-{}-{}-{}",
                id.host_name, id.xfer_port, theirs.0, theirs.1, theirs.2, ours.0, ours.1, ours.2
            ),
        ))
    }

    /// The registered node behind a datanode's call; `None` when it must register first (unknown,
    /// dead, or known at another address).
    ///
    /// # Errors
    /// `UnregisteredNodeException` for a node of another cluster.
    pub(in crate::namenode) fn caller_node(
        &self,
        peer: &str,
        registration: &DatanodeRegistrationProto,
    ) -> Result<Option<NodeId>, Fault> {
        let id = &registration.datanode_id;
        self.check_cluster(id, &registration.storage_info)?;
        Ok(self.nodes.by_uuid(&id.datanode_uuid).filter(|place| {
            let node = self.nodes.node(*place);
            let here = node.id.ip_addr == peer || node.id.ip_addr == id.ip_addr;
            node.alive && here && node.id.xfer_port == id.xfer_port
        }))
    }

    fn add_node(&mut self, id: &DatanodeIdProto) -> Result<NodeId, Fault> {
        if self.nodes.all().count() >= NODES_MAX {
            let dead = self.nodes.all().filter(|(_, node)| !node.alive);
            let oldest = dead.min_by_key(|(_, node)| node.heard).map(|(place, _)| place);
            let Some(oldest) = oldest else {
                return Err(Fault::io(format!(
                    "datanode {}:{} is one too many: {NODES_MAX} are alive already",
                    id.host_name, id.xfer_port
                )));
            };
            self.remove_node(oldest);
        }
        Ok(self.nodes.add(id.clone(), self.clock))
    }

    /// A node that just registered is alive. What it holds is to be confirmed by a full report.
    fn revive(&mut self, place: NodeId) {
        let clock = self.clock;
        let node = self.nodes.node_mut(place);
        node.heard = clock;
        node.heartbeated = false;
        node.transfers = 0;
        // It starts anew: what it was told to copy it has forgotten.
        node.transfer.clear();
        for storage in node.storages.clone() {
            self.nodes.storage_mut(storage).stale = true;
        }
        self.nodes.set_alive(place, true);
        self.leases.end(place);
        self.apply_hosts_to(place);
        self.check_safe_mode();
    }

    /// When ticks stopped for a while (the process was suspended, the machine slept), it was this
    /// namenode that did not listen: everybody gets time to be heard again.
    pub(super) fn notice_pause(&mut self) {
        let pause = self.clock.saturating_sub(self.last_tick);
        self.last_tick = self.clock;
        if pause > PAUSE_MS {
            let grace = self.clock.saturating_add(10 * self.settings.heartbeat_interval_ms);
            self.mourn_from = self.mourn_from.max(grace);
        }
    }

    /// Nodes that were silent for too long are dead: their replicas do not count any more.
    pub(super) fn bury_silent_nodes(&mut self) {
        if self.clock < self.mourn_from {
            return;
        }
        let limit = self.settings.dead_after_ms();
        let (nodes, clock) = (&self.nodes, self.clock);
        let silent = |place: &&NodeId| nodes.node(**place).silent(clock, limit);
        let dead: Vec<NodeId> = self.nodes.live().iter().filter(silent).copied().collect();
        for place in dead {
            self.bury(place);
        }
    }

    /// A node lost all its disks: dead until it registers again.
    pub(in crate::namenode) fn give_up(&mut self, place: NodeId) {
        self.bury(place);
    }

    /// A node is dead. Its description stays for reports; its replicas go.
    pub(super) fn bury(&mut self, place: NodeId) {
        self.nodes.set_alive(place, false);
        self.leases.end(place);
        let node = self.nodes.node_mut(place);
        self.pending_deletions -= node.invalidate.len() as u64;
        node.invalidate.clear();
        node.transfer.clear();
        node.recover.clear();
        let storages = node.storages.clone();
        self.drop_pending(&storages);
        for storage in storages {
            self.empty_storage(storage);
        }
        self.check_safe_mode();
    }

    /// A node left for good: not even its name stays.
    pub(super) fn remove_node(&mut self, place: NodeId) {
        self.bury(place);
        let storages = self.nodes.node(place).storages.clone();
        for slot in self.map.rare_slots() {
            self.map.change_rare(slot, |rare| {
                if let Some(construction) = &mut rare.construction {
                    construction.expected.retain(|each| !storages.contains(&each.storage));
                    if let Some(recovery) = &mut construction.recovery {
                        recovery.forget(place);
                    }
                }
            });
        }
        for (_, node) in self.nodes.all_mut() {
            for transfer in &mut node.transfer {
                transfer.targets.retain(|each| !storages.contains(each));
            }
            node.transfer.retain(|transfer| !transfer.targets.is_empty());
        }
        self.nodes.remove(place);
    }

    /// Nothing is on this storage any more (its node died, or the volume failed).
    pub(super) fn empty_storage(&mut self, storage: StorageId) {
        for slot in self.slots_of(storage) {
            self.detach(slot, storage);
            self.reassess(slot);
        }
        let list = self.nodes.storage_mut(storage);
        debug_assert_eq!(list.count, 0);
        list.slots = Vec::new();
        list.scheduled = [0; 2];
        list.stale = true;
    }

    /// Copies on their way to these storages will not arrive.
    fn drop_pending(&mut self, storages: &[StorageId]) {
        let slots: Vec<Slot> = self.pending.iter().copied().collect();
        for slot in slots {
            let hit = self.map.rare(slot).and_then(|rare| rare.pending.as_ref());
            if !hit.is_some_and(|each| each.storages.iter().any(|one| storages.contains(one))) {
                continue;
            }
            let done = self.map.change_rare(slot, |rare| {
                if let Some(pending) = &mut rare.pending {
                    pending.storages.retain(|each| !storages.contains(each));
                    if pending.storages.is_empty() {
                        rare.pending = None;
                    }
                }
                rare.pending.is_none()
            });
            if done {
                self.pending.remove(&slot);
            }
            self.reassess(slot);
        }
    }

    /// Maps what a client sent back (uuid, or address when the uuid is unknown) to a target.
    pub fn target_of(&self, node: &DatanodeIdProto, storage_uuid: &str) -> Option<Target> {
        let place = self
            .nodes
            .by_uuid(&node.datanode_uuid)
            .or_else(|| self.nodes.at_address(&node.ip_addr, node.xfer_port))?;
        let storage = self.nodes.storage_of(place, storage_uuid)?;
        Some(self.target_at(storage))
    }

    /// Fills in a target's full description.
    pub fn datanode_info(&self, uuid: &str) -> Option<DatanodeInfoProto> {
        self.nodes.by_uuid(uuid).map(|place| self.nodes.info(place))
    }
}

/// Keys for a cluster without block tokens.
fn no_keys() -> ExportedBlockKeysProto {
    ExportedBlockKeysProto {
        is_block_token_enabled: false,
        key_update_interval: 0,
        token_life_time: 0,
        current_key: BlockKeyProto { key_id: 0, expiry_date: 0, key_bytes: None },
        all_keys: Vec::new(),
    }
}

/// The first two numbers of a version such as `3.4.1` or `2.1.0-beta`.
fn version_of(text: &str) -> (u32, u32) {
    let mut parts = text.split(['.', '-']).map(|part| part.parse().unwrap_or(0));
    (parts.next().unwrap_or(0), parts.next().unwrap_or(0))
}

#[cfg(test)]
mod unit {
    use super::*;

    #[test]
    fn versions_compare_by_number() {
        assert!(version_of("3.4.1") >= VERSION_MIN);
        assert!(version_of("2.10.0") >= VERSION_MIN);
        assert!(version_of("2.1.0-beta") >= VERSION_MIN);
        assert!(version_of("2.0.6-alpha") < VERSION_MIN);
        assert!(version_of("") < VERSION_MIN);
    }
}
