//! Where new replicas go: the rules of Hadoop's default placement policy.
//!
//! First replica on the writer's node, second on another rack, third on the second's rack, the rest
//! anywhere within the limit per rack. A rule that cannot be kept is given up before a replica is:
//! fewer replicas than wanted is an answer, none at all an error.

use std::collections::BTreeSet;

use hdfs_wire::Fault;
use hdfs_wire::proto::hdfs::StorageTypeProto;

use super::block_map::StorageId;
use super::policy::{self, Policy, Purpose};
use super::registry::{Node, NodeId};
use super::{BlockManager, PlacementRequest, Target};
use crate::Millis;

/// Random picks before the nodes are walked one by one: in a cluster with room nearly always one
/// hit.
const PICKS: usize = 8;

/// What is wanted, in the registry's numbers.
#[derive(Debug, Clone)]
pub(super) struct Wish<'a> {
    pub(super) count: usize,
    block_size: u64,
    writer: Option<&'a str>,
    avoid_local: bool,
    /// Nodes that have the block: they count for racks and are not chosen again.
    existing: Vec<NodeId>,
    excluded: BTreeSet<NodeId>,
    favored: Vec<NodeId>,
    policy: &'static Policy,
    purpose: Purpose,
}

impl Wish<'_> {
    /// Copies of a block that some nodes have.
    pub(super) fn copies(count: usize, length: u64, existing: Vec<NodeId>) -> Self {
        Self {
            count,
            block_size: length,
            writer: None,
            avoid_local: false,
            existing,
            excluded: BTreeSet::new(),
            favored: Vec::new(),
            policy: policy::of(0),
            purpose: Purpose::Copy,
        }
    }
}

/// Which racks will do.
#[derive(Debug, Clone, Copy)]
enum Scope<'a> {
    Anywhere,
    On(&'a str),
    NotOn(&'a str),
}

/// How strictly nodes are judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Rigour {
    /// Not stale, not busy.
    Picky,
    /// Whatever has room.
    Modest,
}

/// The choice as it grows.
struct Choice<'a> {
    wish: &'a Wish<'a>,
    chosen: Vec<(NodeId, StorageId)>,
    per_rack_max: usize,
    rigour: Rigour,
    load_max: f64,
}

impl Choice<'_> {
    fn taken(&self, node: NodeId) -> bool {
        self.wish.existing.contains(&node) || self.chosen.iter().any(|(each, _)| *each == node)
    }

    fn nodes(&self) -> impl Iterator<Item = NodeId> + '_ {
        self.wish.existing.iter().copied().chain(self.chosen.iter().map(|(node, _)| *node))
    }
}

impl BlockManager {
    /// Chooses storages for new replicas.
    ///
    /// # Errors
    /// `IOException` when there are fewer than the minimum, existing ones counted. The text lacks
    /// only Java's leading `File P `, which the caller puts in front.
    pub fn choose_targets(
        &mut self,
        now: Millis,
        request: &PlacementRequest<'_>,
    ) -> Result<Vec<Target>, Fault> {
        self.advance(now);
        let known = |uuids: &[String]| -> Vec<NodeId> {
            uuids.iter().filter_map(|uuid| self.nodes.by_uuid(uuid)).collect()
        };
        let wish = Wish {
            count: request.count,
            block_size: request.block_size,
            writer: Some(request.writer),
            avoid_local: request.avoid_local,
            existing: known(request.existing),
            excluded: known(request.excluded).into_iter().collect(),
            favored: request.favored.iter().filter_map(|name| self.nodes.named(name)).collect(),
            policy: policy::of(request.policy),
            purpose: Purpose::Creation,
        };
        let found = self.place(&wish);
        let least = usize::from(self.settings.replication_min);
        if found.len() + request.existing.len() < least {
            let excluded = match request.excluded.len() {
                0 => "no".to_owned(),
                count => count.to_string(),
            };
            return Err(Fault::io(format!(
                "could only be written to {} of the {least} minReplication nodes. There are {} \
                 datanode(s) running and {excluded} node(s) are excluded in this operation.",
                found.len(),
                self.nodes.live().len()
            )));
        }
        Ok(found.into_iter().map(|storage| self.target_at(storage)).collect())
    }

    /// The same in the registry's numbers; possibly fewer than wished, possibly none. Strict first;
    /// what is missing then is looked for among busy and stale nodes too.
    pub(super) fn place(&mut self, wish: &Wish<'_>) -> Vec<StorageId> {
        let nodes = self.nodes.live().len();
        let before = wish.existing.len();
        let count = wish.count.min(nodes.saturating_sub(before.min(nodes)));
        let mut choice = Choice {
            wish,
            chosen: Vec::new(),
            per_rack_max: self.per_rack_max(before + count),
            rigour: Rigour::Picky,
            load_max: self.load_max(),
        };
        for rigour in [Rigour::Picky, Rigour::Modest] {
            choice.rigour = rigour;
            while choice.chosen.len() < count {
                if !self.choose_next(&mut choice) {
                    break;
                }
            }
        }
        if choice.chosen.len() < count {
            // Rather too many in one rack than too few replicas.
            choice.per_rack_max = usize::MAX;
            while choice.chosen.len() < count && self.choose_next(&mut choice) {}
        }
        self.as_pipeline(wish, choice.chosen)
    }

    /// Most replicas in one rack: Hadoop's formula.
    fn per_rack_max(&self, total: usize) -> usize {
        let racks = self.nodes.rack_count();
        if racks <= 1 || total <= 1 {
            return total.max(1);
        }
        let most = (total - 1) / racks + 2;
        if most == total { most - 1 } else { most }
    }

    /// Transceivers above which a node is too busy.
    fn load_max(&self) -> f64 {
        if !self.settings.consider_load {
            return f64::INFINITY;
        }
        let serving = self.nodes.live().iter().map(|id| self.nodes.node(*id));
        let (sum, count) = serving
            .filter(|node| node.in_service())
            .fold((0_u64, 0_u64), |(sum, count), node| (sum + u64::from(node.xceivers), count + 1));
        if sum == 0 {
            return f64::INFINITY;
        }
        sum as f64 / count as f64 * self.settings.consider_load_factor
    }

    /// One more replica by the rule for its place; false when no node is left.
    fn choose_next(&mut self, choice: &mut Choice<'_>) -> bool {
        for node in choice.wish.favored.clone() {
            if self.try_node(choice, node, Scope::Anywhere) {
                return true;
            }
        }
        let racks: Vec<String> =
            choice.nodes().take(2).map(|node| self.nodes.node(node).rack.clone()).collect();
        match (racks.as_slice(), choice.nodes().count()) {
            ([], _) => self.choose_local(choice),
            ([first], _) => self.choose_in(choice, &[Scope::NotOn(first)]),
            ([first, second], 2) if first == second => {
                self.choose_in(choice, &[Scope::NotOn(first)])
            }
            ([_, second], 2) => self.choose_in(choice, &[Scope::On(second)]),
            _ => self.choose_in(choice, &[]),
        }
    }

    /// The writer's own node, else one on its rack, else any.
    fn choose_local(&mut self, choice: &mut Choice<'_>) -> bool {
        let Some(writer) = choice.wish.writer else { return self.choose_in(choice, &[]) };
        let here = self.nodes.at_ip(writer).to_vec();
        if choice.wish.avoid_local {
            let avoided: Vec<NodeId> =
                self.nodes.live().iter().copied().filter(|node| !here.contains(node)).collect();
            return self.try_some(choice, &avoided, Scope::Anywhere) || self.choose_in(choice, &[]);
        }
        if self.try_some(choice, &here, Scope::Anywhere) {
            return true;
        }
        let rack = here.first().map(|node| self.nodes.node(*node).rack.clone());
        match rack {
            Some(rack) => self.choose_in(choice, &[Scope::On(&rack)]),
            None => self.choose_in(choice, &[]),
        }
    }

    /// A random node in the first scope that has one; anywhere at last.
    fn choose_in(&mut self, choice: &mut Choice<'_>, scopes: &[Scope<'_>]) -> bool {
        for scope in scopes.iter().copied().chain([Scope::Anywhere]) {
            for _ in 0..PICKS {
                let pick = self.random.below(self.nodes.live().len());
                let Some(node) = self.nodes.live().get(pick).copied() else { return false };
                if self.try_node(choice, node, scope) {
                    return true;
                }
            }
            let all = self.nodes.live().to_vec();
            if self.try_some(choice, &all, scope) {
                return true;
            }
        }
        false
    }

    /// The first good one of these nodes, from a random start.
    fn try_some(&mut self, choice: &mut Choice<'_>, nodes: &[NodeId], scope: Scope<'_>) -> bool {
        let start = self.random.below(nodes.len());
        let (head, tail) = nodes.split_at(start);
        tail.iter().chain(head).any(|node| self.try_node(choice, *node, scope))
    }

    /// Takes a node if it is good.
    fn try_node(&mut self, choice: &mut Choice<'_>, place: NodeId, scope: Scope<'_>) -> bool {
        let node = self.nodes.node(place);
        let in_scope = match scope {
            Scope::Anywhere => true,
            Scope::On(rack) => node.rack == rack,
            Scope::NotOn(rack) => node.rack != rack,
        };
        if !in_scope
            || choice.wish.excluded.contains(&place)
            || choice.taken(place)
            || !self.is_good(choice, node)
        {
            return false;
        }
        match self.storage_with_room(choice, node) {
            Some(storage) => {
                choice.chosen.push((place, storage));
                true
            }
            None => false,
        }
    }

    fn is_good(&self, choice: &Choice<'_>, node: &Node) -> bool {
        if !node.in_service() {
            return false;
        }
        if choice.rigour == Rigour::Picky {
            let stale = self.settings.avoid_stale_for_write
                && node.silent(self.clock, self.settings.stale_interval_ms);
            if stale || f64::from(node.xceivers) > choice.load_max {
                return false;
            }
        }
        if choice.per_rack_max == usize::MAX {
            return true;
        }
        let on_rack = choice.nodes().filter(|id| self.nodes.node(*id).rack == node.rack).count();
        on_rack < choice.per_rack_max
    }

    /// A storage of the node with a fitting type and room for one more block.
    fn storage_with_room(&self, choice: &Choice<'_>, node: &Node) -> Option<StorageId> {
        let place = choice.nodes().count();
        let mut types = choice.wish.policy.types(place, choice.wish.purpose);
        types.find_map(|kind| self.roomy(node, kind, choice.wish.block_size))
    }

    /// Of several fitting storages the one with most room, what is on its way taken off.
    fn roomy(&self, node: &Node, kind: StorageTypeProto, block_size: u64) -> Option<StorageId> {
        let room = |id: &StorageId| {
            let storage = self.nodes.storage(*id);
            let coming = storage.scheduled().saturating_mul(block_size);
            storage.space.remaining.saturating_sub(coming)
        };
        let fits = |id: &&StorageId| {
            let storage = self.nodes.storage(**id);
            storage.kind == kind as i32 && storage.state == 0 && !storage.failed
        };
        let best = node.storages.iter().filter(fits).max_by_key(|id| room(id))?;
        (room(best) >= block_size.max(1)).then_some(*best)
    }

    /// The shortest chain from the writer: each next node is the nearest of those left.
    fn as_pipeline(&self, wish: &Wish<'_>, mut chosen: Vec<(NodeId, StorageId)>) -> Vec<StorageId> {
        let Some(first) = chosen.first() else { return Vec::new() };
        let first = self.nodes.node(first.0);
        let mut ip = wish.writer.unwrap_or(&first.id.ip_addr).to_owned();
        let mut rack = match self.nodes.at_ip(&ip) {
            [] => first.rack.clone(),
            _ => self.nodes.rack_of(&ip).to_owned(),
        };
        let mut pipeline = Vec::with_capacity(chosen.len());
        while !chosen.is_empty() {
            let distance = |(_, (node, _)): &(usize, &(NodeId, StorageId))| {
                let node = self.nodes.node(*node);
                if node.id.ip_addr == ip { 0 } else { 2 + 2 * usize::from(node.rack != rack) }
            };
            let nearest = chosen.iter().enumerate().min_by_key(distance);
            let place = nearest.map(|(place, _)| place).expect("the loop runs while some are left");
            let (node, storage) = chosen.remove(place);
            let node = self.nodes.node(node);
            ip.clone_from(&node.id.ip_addr);
            rack.clone_from(&node.rack);
            pipeline.push(storage);
        }
        pipeline
    }
}
