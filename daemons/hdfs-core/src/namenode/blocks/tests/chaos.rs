//! Random registrations, reports, deaths, writes and operators' orders against pretended datanodes
//! with disks of their own. After every step all counts are recounted; at all times: no orders in
//! safe mode, and no order deletes the last good replicas of a block that readers may ask for.

use std::collections::BTreeMap;

use hdfs_wire::proto::hdfs::datanode::block_command_proto::Action;
use proptest::prelude::*;

use super::*;

const NODES: u32 = 4;

#[derive(Debug, Clone)]
enum Step {
    Write {
        id: i64,
        replication: u16,
    },
    Append {
        id: i64,
    },
    Replication {
        id: i64,
        replication: u16,
    },
    Remove {
        id: i64,
    },
    /// A heartbeat whose orders the node carries out.
    Beat(u32),
    Report(u32),
    /// The node forgets what it was told and registers again.
    Restart(u32),
    /// The node gets its orders and crashes: none is carried out, or all but nothing is reported.
    Crash {
        node: u32,
        obeyed: bool,
    },
    /// A replica vanishes from a disk, unnoticed until a report.
    Lose {
        node: u32,
        id: i64,
    },
    /// A reader complains.
    Complain {
        node: u32,
        id: i64,
    },
    Silence(u32),
    Recover {
        id: i64,
    },
    Seconds(u64),
    Safe(bool),
    Exclude(Option<u32>),
}

fn step() -> impl Strategy<Value = Step> {
    let (id, node) = (1_i64..12, 0..NODES);
    prop_oneof![
        4 => (id.clone(), 1_u16..4).prop_map(|(id, replication)| Step::Write { id, replication }),
        1 => id.clone().prop_map(|id| Step::Append { id }),
        2 => (id.clone(), 1_u16..5)
            .prop_map(|(id, replication)| Step::Replication { id, replication }),
        1 => id.clone().prop_map(|id| Step::Remove { id }),
        6 => node.clone().prop_map(Step::Beat),
        3 => node.clone().prop_map(Step::Report),
        2 => node.clone().prop_map(Step::Restart),
        2 => (node.clone(), any::<bool>())
            .prop_map(|(node, obeyed)| Step::Crash { node, obeyed }),
        1 => (node.clone(), id.clone()).prop_map(|(node, id)| Step::Lose { node, id }),
        1 => (node.clone(), id.clone()).prop_map(|(node, id)| Step::Complain { node, id }),
        1 => node.clone().prop_map(Step::Silence),
        1 => id.prop_map(|id| Step::Recover { id }),
        3 => (1_u64..10).prop_map(Step::Seconds),
        1 => any::<bool>().prop_map(Step::Safe),
        1 => prop::option::of(node).prop_map(Step::Exclude),
    ]
}

/// The cluster: what the manager believes, and what really is on disks.
struct World {
    lab: Lab,
    disks: Vec<BTreeMap<i64, Block>>,
    stamp: u64,
}

impl World {
    fn new() -> Self {
        Self { lab: Lab::nodes(NODES), disks: vec![BTreeMap::new(); NODES as usize], stamp: 1001 }
    }

    fn next_stamp(&mut self) -> u64 {
        self.stamp += 1;
        self.stamp
    }

    fn run(&mut self, step: Step) {
        match step {
            Step::Write { id, replication } => self.write(id, replication),
            Step::Append { id } => self.append(id),
            Step::Replication { id, replication } => {
                self.lab.blocks.set_replication(id, replication);
            }
            Step::Remove { id } => self.lab.blocks.remove(id),
            Step::Beat(node) => self.beat(node),
            Step::Report(node) => self.report(node),
            Step::Restart(node) => self.lab.register(node),
            Step::Crash { node, obeyed } => self.crash(node, obeyed),
            Step::Lose { node, id } => {
                self.disks[node as usize].remove(&id);
            }
            Step::Complain { node, id } => {
                if let Some((block, _)) = self.lab.blocks.block(id) {
                    let located = self.lab.blocks.located_targets(block, 0, &[target(node)]);
                    self.lab.blocks.complain(&located);
                }
            }
            Step::Silence(node) => {
                if let Some(place) = self.lab.place_of(node) {
                    self.lab.blocks.give_up(place);
                }
            }
            Step::Recover { id } => self.recover(id),
            Step::Seconds(seconds) => self.lab.pass(seconds, &[]),
            Step::Safe(true) => self.lab.blocks.enter_safe_mode(),
            Step::Safe(false) => self.lab.blocks.leave_safe_mode(self.lab.now),
            Step::Exclude(node) => {
                let exclude = node.map(|node| format!("127.0.0.1:{}", 9866 + node * 10));
                let exclude = exclude.into_iter().collect();
                self.lab.blocks.set_hosts(self.lab.now, Hosts { include: vec![], exclude });
            }
        }
    }

    fn write(&mut self, id: i64, replication: u16) {
        if self.lab.blocks.block(id).is_some() {
            return;
        }
        let wanted = request(usize::from(replication));
        let Ok(targets) = self.lab.blocks.choose_targets(self.lab.now, &wanted) else { return };
        let block = Block { id, length: 100, stamp: self.next_stamp() };
        let start = Block { length: 0, ..block };
        self.lab.blocks.insert(start, 1, replication, BlockState::UnderConstruction);
        self.lab.blocks.expect(id, &targets);
        self.close(block, &targets);
    }

    fn append(&mut self, id: i64) {
        let Some((old, BlockState::Complete)) = self.lab.blocks.block(id) else { return };
        let targets = self.lab.blocks.locations(id);
        // Only nodes whose disk really has it can go on writing.
        let held = |target: &Target| {
            let node: usize = target.datanode_uuid[5..].parse().unwrap();
            self.disks[node].get(&id) == Some(&old)
        };
        let targets: Vec<_> = targets.into_iter().filter(held).collect();
        if targets.is_empty() {
            return;
        }
        self.lab.blocks.reopen(id);
        let block = Block { length: old.length + 1, stamp: self.next_stamp(), ..old };
        self.lab.blocks.restamp(Block { length: old.length, ..block });
        self.lab.blocks.expect(id, &targets);
        self.close(block, &targets);
    }

    /// The pipeline finalizes and reports, the client commits.
    fn close(&mut self, block: Block, targets: &[Target]) {
        for target in targets {
            let node: u32 = target.datanode_uuid[5..].parse().unwrap();
            self.disks[node as usize].insert(block.id, block);
            if self.lab.place_of(node).is_some() {
                self.lab.received(node, block);
            }
        }
        self.lab.blocks.commit(block).unwrap();
    }

    fn recover(&mut self, id: i64) {
        let Some((old, BlockState::Complete)) = self.lab.blocks.block(id) else { return };
        self.lab.blocks.reopen(id);
        let stamp = self.next_stamp();
        assert!(self.lab.blocks.start_recovery(self.lab.now, id, stamp));
        let targets = self.lab.blocks.locations(id);
        let block = Block { stamp, ..old };
        for target in &targets {
            let node: usize = target.datanode_uuid[5..].parse().unwrap();
            self.disks[node].insert(id, block);
        }
        self.lab.blocks.finish_recovery(block, &targets);
        self.lab.blocks.commit(block).unwrap();
    }

    fn report(&mut self, node: u32) {
        if self.lab.place_of(node).is_some() {
            let replicas: Vec<_> =
                self.disks[node as usize].values().map(|each| whole(*each)).collect();
            self.lab.report(node, &replicas);
        }
    }

    fn beat(&mut self, node: u32) {
        for command in self.lab.beat(node) {
            assert!(
                !self.lab.blocks.in_safe_mode() || command.blk_cmd.is_none(),
                "an order in safe mode"
            );
            let Some(command) = command.blk_cmd else { continue };
            if command.action == Action::Transfer as i32 {
                for (block, targets) in command.blocks.iter().zip(&command.targets) {
                    let id = block.block_id.cast_signed();
                    for target in &targets.datanodes {
                        self.copy(node, id, &target.id.datanode_uuid);
                    }
                }
                continue;
            }
            for block in command.blocks {
                let id = block.block_id.cast_signed();
                self.obey_deletion(node, id, block.gen_stamp);
            }
        }
        if self.lab.place_of(node).is_none() {
            self.lab.register(node);
        }
    }

    fn crash(&mut self, node: u32, obeyed: bool) {
        let orders = self.lab.beat(node);
        let orders = orders.into_iter().filter(|_| obeyed).filter_map(|each| each.blk_cmd);
        for command in orders.filter(|each| each.action == Action::Invalidate as i32) {
            for block in command.blocks {
                self.delete(node, block.block_id.cast_signed(), block.gen_stamp);
            }
        }
        self.lab.register(node);
    }

    fn copy(&mut self, from: u32, id: i64, to: &str) {
        let to: u32 = to[5..].parse().unwrap();
        let Some(block) = self.disks[from as usize].get(&id).copied() else { return };
        // A node refuses what it has already.
        if self.disks[to as usize].contains_key(&id) {
            return;
        }
        self.disks[to as usize].insert(id, block);
        if self.lab.place_of(to).is_some() {
            self.lab.received(to, block);
        }
    }

    fn obey_deletion(&mut self, node: u32, id: i64, stamp: u64) {
        let deleted = self.delete(node, id, stamp);
        if let Some(block) = deleted.filter(|_| self.lab.place_of(node).is_some()) {
            self.lab.deleted(node, block);
        }
    }

    /// A node deletes only the replica with that very stamp. It must not be the last good one the
    /// manager counts on.
    fn delete(&mut self, node: u32, id: i64, stamp: u64) -> Option<Block> {
        let on_disk = self.disks[node as usize].get(&id).copied();
        let block = on_disk.filter(|each| each.stamp == stamp)?;
        if self.lab.blocks.block(id) == Some((block, BlockState::Complete)) {
            let slot = self.lab.blocks.map.find(id).unwrap();
            let place = self.lab.place_of(node);
            let live: Vec<_> = self.lab.blocks.live_storages(slot).collect();
            let others = live
                .iter()
                .filter(|each| Some(self.lab.blocks.nodes.storage(**each).node) != place);
            let bad = self.lab.blocks.numbers(slot).corrupt > 0;
            assert!(
                others.count() >= 1 || bad,
                "block {id}: node {node} is told to delete the last good replica"
            );
        }
        self.disks[node as usize].remove(&id)
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn whatever_happens_the_books_agree(steps in prop::collection::vec(step(), 1..80)) {
        let mut world = World::new();
        for step in steps {
            world.run(step);
            world.lab.check();
        }
    }

    /// No replica vanishes by itself here: then every complete block stays readable from some disk,
    /// and once everybody has reported and copied, every block has what it wants.
    #[test]
    fn orders_alone_never_lose_a_block(steps in prop::collection::vec(step(), 1..80)) {
        let mut world = World::new();
        for step in steps {
            if matches!(step, Step::Lose { .. } | Step::Complain { .. } | Step::Recover { .. }) {
                continue;
            }
            world.run(step);
            world.lab.check();
            for id in 1..12 {
                if let Some((block, BlockState::Complete)) = world.lab.blocks.block(id) {
                    prop_assert!(
                        world.disks.iter().any(|disk| disk.get(&id) == Some(&block)),
                        "block {} is on no disk any more", id
                    );
                }
            }
        }
        world.lab.blocks.leave_safe_mode(world.lab.now);
        world.lab.blocks.set_hosts(world.lab.now, Hosts::default());
        for _ in 0..150 {
            for node in 0..NODES {
                world.beat(node);
                world.report(node);
                // Pending copies time out while time passes; nobody may die of it.
                world.lab.keep_alive(node);
            }
            world.lab.pass(6, &[0, 1, 2, 3]);
            world.lab.check();
        }
        for id in 1..12 {
            if let Some((_, BlockState::Complete)) = world.lab.blocks.block(id) {
                let slot = world.lab.blocks.map.find(id).unwrap();
                let numbers = world.lab.blocks.numbers(slot);
                let wanted = world.lab.blocks.map.replication(slot);
                prop_assert_eq!(numbers.live, wanted, "block {}", id);
                prop_assert_eq!((numbers.corrupt, numbers.excess), (0, 0), "block {}", id);
            }
        }
    }
}
