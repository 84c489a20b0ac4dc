//! Decommissioning: which nodes the operator lets in, which shall leave, and when one may go.

use hdfs_wire::proto::hdfs::DatanodeIdProto;
use hdfs_wire::proto::hdfs::datanode_info_proto::AdminState;

use super::BlockManager;
use super::registry::NodeId;
use crate::Millis;

/// The hosts files: lines of `host`, `ip`, `host:port` or `ip:port`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Hosts {
    /// `dfs.hosts`; empty lets every node in.
    pub include: Vec<String>,
    /// `dfs.hosts.exclude`.
    pub exclude: Vec<String>,
}

impl Hosts {
    /// May this node register?
    pub(super) fn allows(&self, id: &DatanodeIdProto) -> bool {
        self.include.is_empty() || names(&self.include, id)
    }

    fn expels(&self, id: &DatanodeIdProto) -> bool {
        names(&self.exclude, id)
    }
}

/// Does one of the lines mean this node?
fn names(lines: &[String], id: &DatanodeIdProto) -> bool {
    lines.iter().any(|line| {
        let line = line.trim();
        let port = id.xfer_port;
        line == id.ip_addr
            || line.eq_ignore_ascii_case(&id.host_name)
            || line.rsplit_once(':').is_some_and(|(host, after)| {
                after.parse() == Ok(port)
                    && (host == id.ip_addr || host.eq_ignore_ascii_case(&id.host_name))
            })
    })
}

impl BlockManager {
    /// New hosts files. They take effect at once: nodes start to leave, come back, or are let go.
    pub fn set_hosts(&mut self, now: Millis, hosts: Hosts) {
        self.advance(now);
        self.hosts = hosts;
        let places: Vec<NodeId> = self.nodes.all().map(|(place, _)| place).collect();
        for place in places {
            if self.hosts.allows(&self.nodes.node(place).id) {
                self.apply_hosts_to(place);
            } else if self.nodes.node(place).alive {
                self.bury(place);
            }
        }
    }

    /// The topology: address or host name to rack path.
    pub fn set_racks(&mut self, racks: std::collections::HashMap<String, String>) {
        self.nodes.set_racks(racks);
    }

    pub(super) fn apply_hosts_to(&mut self, place: NodeId) {
        let node = self.nodes.node(place);
        let leave = self.hosts.expels(&node.id);
        let admin = match (leave, node.admin) {
            (true, AdminState::Normal) => AdminState::DecommissionInprogress,
            (false, AdminState::DecommissionInprogress | AdminState::Decommissioned) => {
                AdminState::Normal
            }
            _ => return,
        };
        self.nodes.node_mut(place).admin = admin;
        self.reassess_node(place);
        self.next_decommission = self.clock;
    }

    /// Every block of a node again, as its replicas count differently now.
    fn reassess_node(&mut self, place: NodeId) {
        for storage in self.nodes.node(place).storages.clone() {
            for slot in self.slots_of(storage) {
                self.reassess(slot);
            }
        }
    }

    /// Nodes whose blocks all have enough replicas elsewhere may go.
    pub(super) fn decommission_round(&mut self) {
        if self.clock < self.next_decommission {
            return;
        }
        self.next_decommission = self.clock.saturating_add(self.settings.decommission_interval_ms);
        let leaving: Vec<NodeId> = self
            .nodes
            .all()
            .filter(|(_, node)| node.admin == AdminState::DecommissionInprogress)
            .map(|(place, _)| place)
            .collect();
        for place in leaving {
            if self.may_go(place) {
                self.nodes.node_mut(place).admin = AdminState::Decommissioned;
            }
        }
    }

    /// A node that is not heard of must not go as long as it might hold the only replica.
    fn may_go(&self, place: NodeId) -> bool {
        let node = self.nodes.node(place);
        if !node.alive {
            return self.needed.low() == 0;
        }
        let known = node.heartbeated && !node.storages.is_empty();
        known
            && node.storages.iter().all(|storage| {
                !self.nodes.storage(*storage).stale
                    && self
                        .slots_of(*storage)
                        .into_iter()
                        .all(|slot| self.numbers(slot).live >= self.map.replication(slot))
            })
    }
}

#[cfg(test)]
mod unit {
    use super::*;

    #[test]
    fn lines_name_nodes_by_host_address_and_port() {
        let id = DatanodeIdProto {
            ip_addr: "10.0.0.1".into(),
            host_name: "Node1".into(),
            datanode_uuid: "u".into(),
            xfer_port: 9866,
            info_port: 0,
            ipc_port: 0,
            info_secure_port: None,
        };
        let hit = |line: &str| names(&[line.to_owned()], &id);
        assert!(hit("10.0.0.1") && hit("node1") && hit("node1:9866") && hit(" 10.0.0.1:9866 "));
        assert!(!hit("10.0.0.10") && !hit("node1:9867") && !hit("node") && !hit(""));
    }
}
