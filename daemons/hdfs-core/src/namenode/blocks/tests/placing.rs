//! Placement tables, and the order in which readers see replicas.

use std::collections::{BTreeSet, HashMap};

use super::*;

/// Nodes at 10.0.<rack>.<number>, racks `/r<rack>`.
fn racks(sizes: &[u32]) -> Lab {
    let mut lab = Lab::new();
    let mut map = HashMap::new();
    let mut ips = Vec::new();
    for (rack, size) in sizes.iter().enumerate() {
        for number in 0..*size {
            let ip = format!("10.0.{rack}.{number}");
            map.insert(ip.clone(), format!("/r{rack}"));
            ips.push(ip);
        }
    }
    lab.blocks.set_racks(map);
    for (node, ip) in ips.iter().enumerate() {
        let mut registration = registration(node as u32);
        registration.datanode_id.xfer_port = 9866;
        lab.blocks.register(lab.now, ip, &registration).unwrap();
        let place = lab.blocks.nodes.by_uuid(&uuid(node as u32)).unwrap();
        lab.blocks.heartbeat(lab.now, place, &heartbeat(node as u32, 100 * GIB));
    }
    lab
}

fn rack_of(lab: &Lab, target: &Target) -> String {
    lab.blocks.datanode_info(&target.datanode_uuid).unwrap().location.unwrap()
}

fn choose(lab: &mut Lab, request: &PlacementRequest<'_>) -> Vec<Target> {
    let targets = lab.blocks.choose_targets(lab.now, request).unwrap();
    let nodes: BTreeSet<_> = targets.iter().map(|each| each.datanode_uuid.clone()).collect();
    assert_eq!(nodes.len(), targets.len(), "a node was chosen twice");
    targets
}

#[test]
fn one_host_with_several_nodes() {
    for count in 1..=3 {
        let mut lab = Lab::nodes(count as u32);
        for _ in 0..50 {
            assert_eq!(choose(&mut lab, &request(3)).len(), count);
        }
    }
}

#[test]
fn all_nodes_of_a_host_are_local_and_share_the_load() {
    let mut lab = Lab::nodes(3);
    let first: BTreeSet<_> =
        (0..100).map(|_| choose(&mut lab, &request(1))[0].datanode_uuid.clone()).collect();
    assert_eq!(first.len(), 3);
}

#[test]
fn local_then_another_rack_then_that_rack_again() {
    let mut lab = racks(&[3, 3, 3]);
    for _ in 0..100 {
        let mut request = request(3);
        request.writer = "10.0.1.1";
        let targets = choose(&mut lab, &request);
        assert_eq!(targets[0].datanode_uuid, uuid(4));
        let racks: Vec<_> = targets.iter().map(|each| rack_of(&lab, each)).collect();
        assert_ne!(racks[1], "/r1");
        assert_eq!(racks[1], racks[2]);
    }
}

#[test]
fn a_writer_elsewhere_gets_two_racks_as_well() {
    let mut lab = racks(&[4, 4]);
    for _ in 0..100 {
        let mut request = request(3);
        request.writer = "192.168.1.1";
        let targets = choose(&mut lab, &request);
        let racks: BTreeSet<_> = targets.iter().map(|each| rack_of(&lab, each)).collect();
        assert_eq!((targets.len(), racks.len()), (3, 2));
    }
}

#[test]
fn no_rack_gets_more_than_its_share() {
    let mut lab = racks(&[5, 5]);
    for _ in 0..100 {
        // (6 - 1) / 2 + 2 = 4
        let targets = choose(&mut lab, &request(6));
        let first = targets.iter().filter(|each| rack_of(&lab, each) == "/r0").count();
        assert!((2..=4).contains(&first), "{first} of 6 in one rack");
    }
}

#[test]
fn a_small_second_rack_does_not_cost_replicas() {
    let mut lab = racks(&[5, 1]);
    assert_eq!(choose(&mut lab, &request(6)).len(), 6);
}

#[test]
fn excluded_and_existing_nodes_are_left_out() {
    let mut lab = Lab::nodes(3);
    let (excluded, existing) = ([uuid(0)], [uuid(1)]);
    let mut request = request(3);
    request.excluded = &excluded;
    request.existing = &existing;
    assert_eq!(choose(&mut lab, &request), [target(2)]);
}

#[test]
fn the_error_is_java_s() {
    let mut lab = Lab::nodes(1);
    let excluded = [uuid(0)];
    let mut request = request(3);
    request.excluded = &excluded;
    let fault = lab.blocks.choose_targets(lab.now, &request).unwrap_err();
    assert_eq!(
        fault.message,
        "could only be written to 0 of the 1 minReplication nodes. There are 1 datanode(s) \
         running and 1 node(s) are excluded in this operation."
    );
    let fault = Lab::new().blocks.choose_targets(0, &super::request(1)).unwrap_err();
    assert!(fault.message.ends_with(
        "There are 0 datanode(s) running and no node(s) are excluded in this operation."
    ));
}

#[test]
fn favored_nodes_come_first() {
    let mut lab = racks(&[3, 3]);
    let favored = ["10.0.1.2:9866".to_owned(), "nowhere:1".to_owned()];
    let mut request = request(2);
    request.writer = "10.0.0.0";
    request.favored = &favored;
    let targets = choose(&mut lab, &request);
    assert!(targets.iter().any(|each| each.datanode_uuid == uuid(5)));
}

#[test]
fn avoiding_the_own_node_is_a_wish() {
    let mut lab = racks(&[2]);
    let mut request = request(1);
    request.writer = "10.0.0.1";
    request.avoid_local = true;
    (0..20).for_each(|_| assert_eq!(choose(&mut lab, &request), [target(0)]));
    let mut alone = Lab::nodes(1);
    request.writer = "127.0.0.1";
    assert_eq!(choose(&mut alone, &request), [target(0)]);
}

#[test]
fn full_nodes_and_leaving_nodes_are_no_targets() {
    let mut lab = Lab::nodes(3);
    let place = lab.place_of(0).unwrap();
    lab.blocks.heartbeat(lab.now, place, &heartbeat(0, 128 * MIB - 1));
    let exclude = vec!["127.0.0.1:9876".to_owned()];
    lab.blocks.set_hosts(lab.now, Hosts { include: vec![], exclude });
    assert_eq!(choose(&mut lab, &request(3)), [target(2)]);
}

#[test]
fn what_is_on_its_way_takes_room() {
    let mut lab = Lab::nodes(1);
    let place = lab.place_of(0).unwrap();
    lab.blocks.heartbeat(lab.now, place, &heartbeat(0, 256 * MIB));
    for id in 1..=2 {
        choose(&mut lab, &request(1));
        lab.blocks.insert(Block { length: 0, ..block(id) }, 1, 1, BlockState::UnderConstruction);
        lab.blocks.expect(id, &[target(0)]);
    }
    assert!(lab.blocks.choose_targets(lab.now, &request(1)).is_err());
    lab.received(0, block(1));
    assert_eq!(choose(&mut lab, &request(1)).len(), 1);
}

#[test]
fn busy_nodes_are_the_last_resort() {
    let mut lab = Lab::nodes(3);
    let place = lab.place_of(0).unwrap();
    let mut heartbeat = heartbeat(0, 100 * GIB);
    heartbeat.xceiver_count = Some(100);
    lab.blocks.heartbeat(lab.now, place, &heartbeat);
    (0..50).for_each(|_| assert_ne!(choose(&mut lab, &request(1)), [target(0)]));
    assert_eq!(choose(&mut lab, &request(3)).len(), 3);
}

#[test]
fn storage_types_follow_the_policy() {
    let mut lab = Lab::nodes(2);
    let place = lab.place_of(1).unwrap();
    let mut heartbeat = heartbeat(1, 100 * GIB);
    heartbeat.reports[0].storage.as_mut().unwrap().storage_type = Some(2);
    lab.blocks.heartbeat(lab.now, place, &heartbeat);
    let mut request = request(2);
    // HOT: disks only. ONE_SSD: both, the SSD first in line. ALL_SSD falls back to disk.
    assert_eq!(choose(&mut lab, &request), [target(0)]);
    request.policy = 10;
    assert_eq!(choose(&mut lab, &request).len(), 2);
    request.policy = 2;
    assert!(lab.blocks.choose_targets(lab.now, &request).is_err());
}

#[test]
fn readers_see_their_own_node_first_then_their_rack() {
    let mut lab = racks(&[3, 3]);
    let block = block(1);
    lab.blocks.insert(block, 1, 5, BlockState::Complete);
    for node in 0..5 {
        let place = lab.blocks.nodes.by_uuid(&uuid(node)).unwrap();
        let storage = lab.blocks.known_storage(place, &storage_uuid(node), None).unwrap();
        lab.blocks.received(storage, block, None);
    }
    let mut seconds = BTreeSet::new();
    for _ in 0..50 {
        let located = lab.blocks.located(1, 70, "10.0.1.0");
        let order: Vec<_> = located.locs.iter().map(|each| each.id.ip_addr.clone()).collect();
        assert_eq!(order[0], "10.0.1.0");
        assert_eq!(order[1], "10.0.1.1");
        assert!(order[2..].iter().all(|ip| ip.starts_with("10.0.0.")));
        seconds.insert(order[2].clone());
        assert_eq!(located.offset, 70);
        assert_eq!(located.storage_i_ds.len(), 5);
        assert_eq!(located.storage_types, [1; 5]);
        assert_eq!(located.is_cached, [false; 5]);
        assert!(!located.corrupt);
    }
    assert_eq!(seconds.len(), 3, "equal nodes are shuffled");
}

#[test]
fn a_located_block_carries_an_empty_token() {
    use prost::Message;
    let lab = Lab::nodes(1);
    let located = lab.blocks.located_targets(block(1), 0, &[target(0)]);
    assert_eq!(located.block_token.encode_to_vec(), [0x0a, 0, 0x12, 0, 0x1a, 0, 0x22, 0]);
    assert_eq!(located.b.pool_id, "BP-1");
    assert!(lab.blocks.located(99, 0, "").locs.is_empty());
}

/// Story: each try on a full disk was abandoned, but its room stayed counted for ten minutes and
/// more, so that after there was room again new blocks were refused all the same. So was the room
/// of a pipeline's every change.
#[test]
fn what_was_abandoned_takes_no_room() {
    let mut lab = Lab::nodes(1);
    let storage = lab.storage(0);
    let scheduled = |lab: &Lab| lab.blocks.nodes.storage(storage).scheduled();
    for id in 1..=1000 {
        assert_eq!(choose(&mut lab, &request(1)).len(), 1, "try {id}");
        let open = Block { length: 0, ..block(id) };
        lab.blocks.insert(open, 9, 1, BlockState::UnderConstruction);
        lab.blocks.expect(id, &[target(0)]);
        assert_eq!(scheduled(&lab), 1);
        lab.blocks.remove(id);
        assert_eq!(scheduled(&lab), 0);
    }
    let open = Block { length: 0, ..block(2000) };
    lab.blocks.insert(open, 9, 1, BlockState::UnderConstruction);
    (0..5).for_each(|_| lab.blocks.expect(2000, &[target(0)]));
    assert_eq!(scheduled(&lab), 1);
    lab.received(0, block(2000));
    assert_eq!(scheduled(&lab), 0);
    lab.blocks.commit(block(2000)).unwrap();
    lab.check();
}
