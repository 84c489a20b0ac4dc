//! Nodes come, move, restart, fall silent and leave.

use hdfs_wire::Exception;
use hdfs_wire::proto::hdfs::DatanodeReportTypeProto as Kind;
use hdfs_wire::proto::hdfs::datanode::datanode_command_proto::Type;
use hdfs_wire::proto::hdfs::datanode_info_proto::AdminState;

use super::*;

/// Ten minutes and a half: Hadoop's 630 s, and one more.
const DEATH_S: u64 = 631;

#[test]
fn a_registration_comes_back_with_the_address_seen_here() {
    let mut lab = Lab::new();
    let mut registration = registration(0);
    registration.datanode_id.ip_addr = "0.0.0.0".into();
    let echo = lab.blocks.register(lab.now, "10.0.0.5", &registration).unwrap();
    assert_eq!(echo.datanode_id.ip_addr, "10.0.0.5");
    assert_eq!(echo.datanode_id.host_name, "localhost");
    assert!(!echo.keys.is_block_token_enabled);
    assert_eq!(echo.storage_info, registration.storage_info);
}

#[test]
fn strangers_and_the_old_are_refused() {
    let mut lab = Lab::new();
    let mut other = registration(0);
    other.storage_info.cluster_id = "CID-2".into();
    let fault = lab.blocks.register(lab.now, "127.0.0.1", &other).unwrap_err();
    assert_eq!(fault.exception, Exception::UnregisteredNode);
    assert!(lab.blocks.caller_node("127.0.0.1", &other).is_err());
    let mut old = registration(0);
    old.software_version = "2.0.5".into();
    let fault = lab.blocks.register(lab.now, "127.0.0.1", &old).unwrap_err();
    assert_eq!(fault.exception, Exception::IncorrectVersion);
    let mut nameless = registration(0);
    nameless.datanode_id.datanode_uuid.clear();
    assert!(lab.blocks.register(lab.now, "127.0.0.1", &nameless).is_err());
}

#[test]
fn an_unknown_node_is_told_to_register() {
    let mut lab = Lab::new();
    let commands = lab.beat(3);
    assert_eq!(commands.len(), 1);
    assert_eq!(commands[0].cmd_type, Type::RegisterCommand as i32);
}

#[test]
fn the_same_uuid_elsewhere_is_the_same_node_moved() {
    let mut lab = Lab::nodes(1);
    let block = lab.written(1, 1);
    let mut moved = registration(0);
    moved.datanode_id.xfer_port = 5000;
    lab.blocks.register(lab.now, "10.0.0.9", &moved).unwrap();
    assert_eq!(lab.blocks.live_replicas(1), 1);
    let located = lab.blocks.located(1, 0, "");
    assert_eq!(located.locs[0].id.ip_addr, "10.0.0.9");
    assert_eq!(located.locs[0].id.xfer_port, 5000);
    // The old address is nobody now.
    assert_eq!(lab.place_of(0), None);
    assert_eq!(lab.blocks.block(1), Some((block, BlockState::Complete)));
    lab.check();
}

#[test]
fn another_uuid_at_the_same_address_replaces_the_node() {
    let mut lab = Lab::nodes(2);
    lab.written(1, 2);
    lab.blocks.insert(block(2), 1, 1, BlockState::UnderConstruction);
    lab.blocks.expect(2, &[target(0)]);
    let mut fresh = registration(0);
    fresh.datanode_id.datanode_uuid = "fresh".into();
    lab.blocks.register(lab.now, "127.0.0.1", &fresh).unwrap();
    assert_eq!(lab.blocks.datanode_info(&uuid(0)), None);
    assert!(lab.blocks.datanode_info("fresh").is_some());
    assert_eq!(lab.blocks.live_replicas(1), 1);
    assert!(lab.blocks.locations(2).is_empty());
    assert_eq!(lab.blocks.datanodes(Kind::Live).len(), 2);
    lab.check();
}

#[test]
fn a_restart_loses_nothing_that_was_acknowledged() {
    let mut lab = Lab::nodes(1);
    let block = lab.written(1, 1);
    lab.register(0);
    assert_eq!(lab.blocks.live_replicas(1), 1);
    lab.beat(0);
    lab.report(0, &[whole(block)]);
    assert_eq!(lab.blocks.live_replicas(1), 1);
    assert!(lab.doomed(0).is_empty());
    lab.check();
}

#[test]
fn a_restart_in_the_middle_of_a_write_keeps_the_replica_expected() {
    let mut lab = Lab::nodes(1);
    lab.blocks.insert(block(1), 1, 1, BlockState::UnderConstruction);
    lab.blocks.expect(1, &[target(0)]);
    lab.register(0);
    lab.report(0, &[replica(block(1), ReplicaState::WaitingToBeRecovered)]);
    assert!(lab.doomed(0).is_empty());
    assert_eq!(lab.blocks.locations(1), [target(0)]);
    lab.check();
}

#[test]
fn a_silent_node_dies_and_its_blocks_are_copied_elsewhere() {
    let mut lab = Lab::nodes(4);
    let block = lab.written(1, 3);
    lab.pass(DEATH_S, &[0, 1, 3]);
    assert_eq!(lab.blocks.datanodes(Kind::Dead).len(), 1);
    assert_eq!(lab.blocks.live_replicas(1), 2);
    lab.check();
    lab.pass(4, &[0, 1, 3]);
    let transfers: Vec<_> = [0, 1, 3].map(|node| lab.beat(node)).into_iter().flatten().collect();
    assert_eq!(transfers.len(), 1);
    let command = transfers[0].blk_cmd.as_ref().unwrap();
    assert_eq!((command.action, command.blocks[0].block_id), (1, 1));
    assert_eq!(command.targets[0].datanodes[0].id.datanode_uuid, uuid(3));
    assert_eq!(command.target_storage_uuids[0].storage_uuids, [storage_uuid(3)]);
    assert_eq!(command.target_storage_types[0].storage_types, [1]);
    lab.received(3, block);
    assert_eq!((lab.blocks.live_replicas(1), lab.blocks.stats().low_redundancy), (3, 0));
    // The dead one comes back with its replica: one is too many, but only after its report.
    assert_eq!(lab.beat(2)[0].cmd_type, Type::RegisterCommand as i32);
    lab.register(2);
    lab.beat(2);
    lab.report(2, &[whole(block)]);
    assert_eq!(lab.numbers(1).excess, 1);
    assert_eq!(lab.blocks.live_replicas(1), 3);
    lab.check();
}

#[test]
fn a_paused_namenode_does_not_bury_everybody() {
    let mut lab = Lab::nodes(2);
    lab.now += 3_600_000;
    lab.blocks.tick(lab.now);
    assert_eq!(lab.blocks.datanodes(Kind::Live).len(), 2);
    lab.pass(60, &[0]);
    assert_eq!(lab.blocks.datanodes(Kind::Dead).len(), 1);
}

#[test]
fn a_node_without_disks_is_dead() {
    let mut lab = Lab::nodes(2);
    lab.written(1, 2);
    let place = lab.place_of(0).unwrap();
    lab.blocks.give_up(place);
    assert_eq!(lab.blocks.live_replicas(1), 1);
    assert_eq!(lab.beat(0)[0].cmd_type, Type::RegisterCommand as i32);
    lab.check();
}

#[test]
fn a_failed_volume_loses_its_replicas_only() {
    let mut lab = Lab::nodes(2);
    lab.written(1, 2);
    let place = lab.place_of(0).unwrap();
    let mut heartbeat = heartbeat(0, GIB);
    heartbeat.reports[0].failed = Some(true);
    lab.blocks.heartbeat(lab.now, place, &heartbeat);
    assert_eq!(lab.blocks.live_replicas(1), 1);
    lab.check();
    // Left out of a heartbeat that counts one more failure: the same.
    let place = lab.place_of(1).unwrap();
    let mut heartbeat = super::heartbeat(1, GIB);
    heartbeat.failed_volumes = Some(1);
    heartbeat.reports[0].storage_uuid = "DS-new".into();
    heartbeat.reports[0].storage.as_mut().unwrap().storage_uuid = "DS-new".into();
    lab.blocks.heartbeat(lab.now, place, &heartbeat);
    assert_eq!(lab.blocks.live_replicas(1), 0);
    lab.check();
}

#[test]
fn include_and_exclude() {
    let mut lab = Lab::nodes(3);
    let block = lab.written(1, 2);
    let exclude = vec!["127.0.0.1:9866".to_owned()];
    lab.blocks.set_hosts(lab.now, Hosts { include: vec![], exclude });
    let info = lab.blocks.datanode_info(&uuid(0)).unwrap();
    assert_eq!(info.admin_state(), AdminState::DecommissionInprogress);
    assert_eq!((lab.blocks.live_replicas(1), lab.numbers(1).leaving), (1, 1));
    lab.pass(40, &[0, 1, 2]);
    let info = lab.blocks.datanode_info(&uuid(0)).unwrap();
    assert_eq!(info.admin_state(), AdminState::DecommissionInprogress);
    // The leaving node is the source of the copy.
    assert_eq!(lab.beat(0).len(), 1);
    lab.received(2, block);
    lab.pass(40, &[0, 1, 2]);
    let info = lab.blocks.datanode_info(&uuid(0)).unwrap();
    assert_eq!(info.admin_state(), AdminState::Decommissioned);
    assert_eq!(lab.blocks.located(1, 0, "127.0.0.1").locs.len(), 3);
    assert_eq!(lab.blocks.located(1, 0, "127.0.0.1").locs[2].id.datanode_uuid, uuid(0));
    // Back in service: one replica too many.
    lab.blocks.set_hosts(lab.now, Hosts::default());
    assert_eq!((lab.numbers(1).live, lab.numbers(1).excess), (2, 1));
    lab.check();
    let include = vec!["10.0.0.1".to_owned()];
    lab.blocks.set_hosts(lab.now, Hosts { include, exclude: vec![] });
    assert!(lab.blocks.datanodes(Kind::Live).is_empty());
    let fault = lab.blocks.register(lab.now, "127.0.0.1", &registration(0)).unwrap_err();
    assert_eq!(fault.exception, Exception::DisallowedDatanode);
    lab.check();
}

#[test]
fn reports_name_every_field() {
    let mut lab = Lab::nodes(2);
    lab.written(1, 2);
    lab.now += 5;
    lab.keep_alive(0);
    let infos = lab.blocks.datanodes(Kind::Live);
    let info = infos.iter().find(|info| info.id.datanode_uuid == uuid(0)).unwrap();
    assert_eq!(info.capacity, Some(200 * GIB));
    assert_eq!(info.remaining, Some(100 * GIB));
    assert_eq!(info.non_dfs_used, Some(100 * GIB - 1));
    assert_eq!(info.last_update, Some(lab.now));
    assert_eq!(info.location.as_deref(), Some("/default-rack"));
    assert_eq!(info.num_blocks, Some(1));
    assert_eq!(info.last_block_report_time, Some(1_000_000));
    let storages = lab.blocks.datanode_storages(Kind::All);
    assert_eq!(storages[0].storage_reports[0].storage_uuid, storage_uuid(0));
    assert_eq!(lab.blocks.fs_stats().capacity, 400 * GIB);
    assert!(lab.blocks.datanodes(Kind::Dead).is_empty());
    assert!(lab.blocks.datanodes(Kind::Decommissioning).is_empty());
}

/// New limits while it runs: the next answers obey them, and nobody dies of a shorter patience
/// before it could hear of the new pace.
#[test]
fn new_limits_count_at_once() {
    let mut lab = Lab::nodes(2);
    let blocks: Vec<Block> = (1..=3).map(|id| lab.written(id, 1)).collect();
    for block in &blocks {
        lab.blocks.remove(block.id);
    }
    let limits = |invalidate_limit, heartbeat_interval, heartbeat_recheck_interval| Config {
        identity: identity(),
        invalidate_limit,
        heartbeat_interval,
        heartbeat_recheck_interval,
        ..Config::default()
    };
    lab.blocks.reconfigure(&limits(1, 1_000, 500));
    let ordered = |commands: Vec<DatanodeCommandProto>| -> usize {
        commands.iter().filter_map(|each| each.blk_cmd.as_ref()).map(|each| each.blocks.len()).sum()
    };
    assert_eq!(ordered(lab.beat(0)), 1);
    lab.blocks.reconfigure(&limits(1_000, 1_000, 500));
    assert_eq!(ordered(lab.beat(0)), 2);
    // Ten of the old heartbeats are 30 s; the new limit alone would be 11 s.
    lab.pass(20, &[0]);
    assert_eq!(lab.blocks.datanodes(Kind::Dead).len(), 0);
    lab.pass(12, &[0]);
    assert_eq!(lab.blocks.datanodes(Kind::Dead).len(), 1);
    lab.check();
}

/// A datanode whose folder was taken out of its list reports that storage as empty once and leaves
/// it out of its heartbeats: its room must not count any more. While it still has replicas here,
/// leaving it out means nothing.
#[test]
fn a_storage_that_is_left_out_and_empty_is_gone() {
    let mut lab = Lab::nodes(1);
    let place = lab.place_of(0).unwrap();
    let mut both = heartbeat(0, 100 * GIB);
    let mut second = both.reports[0].clone();
    second.storage_uuid = "DS-second".into();
    second.storage.as_mut().unwrap().storage_uuid = "DS-second".into();
    both.reports.push(second);
    lab.blocks.heartbeat(lab.now, place, &both);
    assert_eq!(lab.blocks.stats().capacity, 400 * GIB);
    let storage = lab.blocks.known_storage(place, "DS-second", None).unwrap();
    lab.blocks.insert(block(1), 1, 1, BlockState::UnderConstruction);
    lab.blocks.commit(block(1)).unwrap();
    lab.blocks.full_report(storage, [whole(block(1))].into_iter());
    assert_eq!(lab.blocks.live_replicas(1), 1);
    lab.beat(0);
    assert_eq!((lab.blocks.live_replicas(1), lab.blocks.stats().capacity), (1, 400 * GIB));
    lab.blocks.full_report(storage, std::iter::empty());
    lab.beat(0);
    assert_eq!((lab.blocks.live_replicas(1), lab.blocks.stats().capacity), (0, 200 * GIB));
    // It comes back.
    lab.blocks.heartbeat(lab.now, place, &both);
    lab.blocks.full_report(storage, [whole(block(1))].into_iter());
    assert_eq!((lab.blocks.live_replicas(1), lab.blocks.stats().capacity), (1, 400 * GIB));
    lab.check();
}
