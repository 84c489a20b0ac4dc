//! The life of a file: which operations each step logs, leases, recovery, repeated calls.

use super::*;
use crate::namenode::lease::NAMENODE_HOLDER;

/// The names of operations, for comparison with what Java logs.
fn names(ops: &[(u64, EditOp)]) -> Vec<String> {
    ops.iter()
        .map(|(_, op)| {
            let text = format!("{op:?}");
            text.split([' ', '{']).next().unwrap_or("").to_owned()
        })
        .collect()
}

/// The operations a part of a test logs.
fn logged(lab: &mut Lab, act: impl FnOnce(&mut Lab)) -> Vec<String> {
    let before = lab.ops().len();
    act(lab);
    names(&lab.ops()[before..])
}

fn append(lab: &mut Lab, path: &str, client: &str) -> Result<AppendResponseProto, Fault> {
    let request = AppendRequestProto { src: path.into(), client_name: client.into(), flag: None };
    lab.durably(|node, caller| node.append(caller, &request))
}

fn recover(lab: &mut Lab, path: &str, client: &str) -> Result<bool, Fault> {
    let request = RecoverLeaseRequestProto { src: path.into(), client_name: client.into() };
    lab.durably(|node, caller| node.recover_lease(caller, &request)).map(|answer| answer.result)
}

fn commit_recovery(lab: &mut Lab, block: &ExtendedBlockProto, stamp: u64, length: u64) {
    let request = CommitBlockSynchronizationRequestProto {
        block: block.clone(),
        new_gen_stamp: stamp,
        new_length: length,
        close_file: true,
        delete_block: false,
        new_taragets: vec![registration().datanode_id],
        new_target_storages: vec!["DS-0".into()],
    };
    lab.durably(|node, caller| node.commit_block_synchronization(caller, &request)).unwrap();
}

#[test]
fn writing_logs_what_java_logs() {
    let mut lab = Lab::new();
    let ops = logged(&mut lab, |lab| {
        lab.file("/a/b/f", &[MIB, 100]);
    });
    let block = ["AllocateBlockId", "SetGenstampV2", "AddBlock"];
    let expected: Vec<_> =
        ["Mkdir", "Mkdir", "Add"].iter().chain(&block).chain(&block).chain(&["Close"]).collect();
    assert_eq!(ops, expected.iter().map(ToString::to_string).collect::<Vec<_>>());
    let (_, first) = &lab.ops()[3];
    assert_eq!(first, &EditOp::AllocateBlockId { block_id: 1_073_741_825 });
    let (_, stamp) = &lab.ops()[4];
    assert_eq!(stamp, &EditOp::SetGenstampV2 { stamp: 1001 });
    let status = lab.stat("/a/b/f").unwrap().unwrap();
    assert_eq!((status.length, status.file_id()), (MIB + 100, 16_388));
}

#[test]
fn appending_reopens_a_partial_block() {
    let mut lab = Lab::new();
    lab.file("/f", &[100]);
    let ops = logged(&mut lab, |lab| {
        let block = append(lab, "/f", "a").unwrap().block.unwrap();
        assert_eq!((block.b.num_bytes(), block.locs.len()), (100, 1));
        let request =
            UpdateBlockForPipelineRequestProto { block: block.b.clone(), client_name: "a".into() };
        let fresh = lab
            .durably(|node, caller| node.update_block_for_pipeline(caller, &request))
            .unwrap()
            .block;
        assert_eq!(fresh.b.generation_stamp, block.b.generation_stamp + 1);
        let new_block = ExtendedBlockProto { num_bytes: Some(100), ..fresh.b };
        let request = UpdatePipelineRequestProto {
            client_name: "a".into(),
            old_block: block.b,
            new_block: new_block.clone(),
            new_nodes: vec![registration().datanode_id],
            storage_i_ds: vec!["DS-0".into()],
        };
        lab.durably(|node, caller| node.update_pipeline(caller, &request)).unwrap();
        let last = ExtendedBlockProto { num_bytes: Some(300), ..new_block };
        lab.received(&last);
        assert!(lab.complete("/f", "a", Some(last)).unwrap());
    });
    assert_eq!(ops, ["Append", "SetGenstampV2", "UpdateBlocks", "Close"]);
    assert_eq!(lab.stat("/f").unwrap().unwrap().length, 300);
    assert_eq!(lab.replayed().digest(), lab.node.digest());
}

#[test]
fn complete_waits_for_the_report() {
    let mut lab = Lab::new();
    lab.create("/f", "cl", CREATE).unwrap();
    let block = lab.add_block("/f", "cl", None).unwrap().b;
    let last = ExtendedBlockProto { num_bytes: Some(7), ..block };
    let request = CompleteRequestProto {
        src: "/f".into(),
        client_name: "cl".into(),
        last: Some(last.clone()),
        file_id: None,
    };
    assert!(!lab.complete("/f", "cl", Some(last.clone())).unwrap());
    assert_eq!(lab.node.awaited_block(&request), Some(last.block_id as i64));
    lab.received(&last);
    assert_eq!(lab.node.take_completed(), [last.block_id as i64]);
    assert!(lab.complete("/f", "cl", Some(last.clone())).unwrap());
    assert!(lab.complete("/f", "cl", Some(last)).unwrap());
    assert_eq!(lab.node.awaited_block(&request), None);
}

#[test]
fn a_repeated_add_block_gives_the_same_block() {
    let mut lab = Lab::new();
    lab.create("/f", "cl", CREATE).unwrap();
    let first = lab.add_block("/f", "cl", None).unwrap();
    let again = lab.add_block("/f", "cl", None).unwrap();
    assert_eq!(first.b, again.b);
    let full = ExtendedBlockProto { num_bytes: Some(MIB), ..first.b };
    lab.received(&full);
    let second = lab.add_block("/f", "cl", Some(full.clone())).unwrap();
    assert_eq!(lab.add_block("/f", "cl", Some(full)).unwrap().b, second.b);
    assert_eq!(second.offset, MIB);
    let stray = ExtendedBlockProto { block_id: 99, ..second.b };
    assert!(show(lab.add_block("/f", "cl", Some(stray))).contains("does not match actual last"));
}

#[test]
fn an_abandoned_block_is_gone() {
    let mut lab = Lab::new();
    lab.create("/f", "cl", CREATE).unwrap();
    let block = lab.add_block("/f", "cl", None).unwrap().b;
    let request =
        AbandonBlockRequestProto { b: block, src: "/f".into(), holder: "cl".into(), file_id: None };
    lab.durably(|node, caller| node.abandon_block(caller, &request)).unwrap();
    assert!(lab.complete("/f", "cl", None).unwrap());
    assert_eq!(lab.replayed().digest(), lab.node.digest());
}

#[test]
fn another_client_takes_over_after_the_soft_limit() {
    let mut lab = Lab::new();
    lab.create("/f", "cl", CREATE).unwrap();
    let block = lab.write_block("/f", "cl", None, 50).unwrap();
    let denied = show(append(&mut lab, "/f", "other"));
    assert!(denied.contains("currently owned by cl"), "{denied}");
    lab.pass(61);
    let busy = show(append(&mut lab, "/f", "other"));
    assert!(busy.starts_with("RecoveryInProgressException: Failed to APPEND_FILE /f"), "{busy}");
    assert!(busy.ends_with("lease recovery is in progress. Try again later."), "{busy}");
    let stamp = lab.node.blocks.recovery_stamp(block.block_id as i64).unwrap();
    commit_recovery(&mut lab, &block, stamp, 50);
    assert_eq!(lab.stat("/f").unwrap().unwrap().length, 50);
    assert_eq!(lab.replayed().digest(), lab.node.digest());
    append(&mut lab, "/f", "other").unwrap();
}

#[test]
fn the_namenode_closes_files_of_silent_clients() {
    let mut lab = Lab::new();
    lab.create("/empty", "gone", CREATE).unwrap();
    lab.create("/full", "gone", CREATE).unwrap();
    lab.write_block("/full", "gone", None, 50).unwrap();
    lab.create("/live", "alive", CREATE).unwrap();
    let renew =
        RenewLeaseRequestProto { client_name: "alive".into(), ..RenewLeaseRequestProto::default() };
    let ops = logged(&mut lab, |lab| {
        lab.pass(1199);
        lab.durably(|node, caller| node.renew_lease(caller, &renew)).unwrap();
        lab.pass(10);
    });
    assert_eq!(ops, ["Close", "SetGenstampV2", "ReassignLease"]);
    let holder = |path: &str, lab: &Lab| {
        let id = lab.stat(path).unwrap().unwrap().file_id();
        lab.node.leases.writer(id).map(|writer| writer.holder.to_string())
    };
    assert_eq!(holder("/empty", &lab), None);
    assert!(holder("/full", &lab).unwrap().starts_with(NAMENODE_HOLDER));
    assert_eq!(holder("/live", &lab).unwrap(), "alive");
    assert_eq!(lab.replayed().digest(), lab.node.digest());
}

#[test]
fn a_lease_is_recovered_on_demand() {
    let mut lab = Lab::new();
    lab.create("/f", "cl", CREATE).unwrap();
    let block = lab.write_block("/f", "cl", None, 50).unwrap();
    assert!(!recover(&mut lab, "/f", "hbase").unwrap());
    assert!(!recover(&mut lab, "/f", "hbase").unwrap());
    let stamp = lab.node.blocks.recovery_stamp(block.block_id as i64).unwrap();
    let mut old = CommitBlockSynchronizationRequestProto {
        block: block.clone(),
        new_gen_stamp: stamp - 1,
        new_length: 50,
        close_file: true,
        ..CommitBlockSynchronizationRequestProto::default()
    };
    let wrong = lab.write(|node, caller| node.commit_block_synchronization(caller, &old));
    assert!(show(wrong.map(|_| ())).contains("does not match current recovery id"));
    commit_recovery(&mut lab, &block, stamp, 40);
    assert!(recover(&mut lab, "/f", "hbase").unwrap());
    assert_eq!(lab.stat("/f").unwrap().unwrap().length, 40);
    // Said again: nothing happens.
    old.new_gen_stamp = stamp;
    lab.durably(|node, caller| node.commit_block_synchronization(caller, &old)).unwrap();
    assert_eq!(lab.replayed().digest(), lab.node.digest());
}

#[test]
fn truncating_inside_a_block_goes_through_recovery() {
    let mut lab = Lab::new();
    lab.file("/f", &[MIB, 100]);
    let request =
        TruncateRequestProto { src: "/f".into(), new_length: 10, client_name: "cl".into() };
    let ops = logged(&mut lab, |lab| {
        let answer = lab.durably(|node, caller| node.truncate(caller, &request)).unwrap();
        assert!(!answer.result);
        let id = lab.ops()[1].1.clone();
        let EditOp::AllocateBlockId { block_id } = id else { panic!("{id:?}") };
        let stamp = lab.node.blocks.recovery_stamp(block_id).unwrap();
        let block = ExtendedBlockProto {
            pool_id: "BP-1".into(),
            block_id: block_id as u64,
            generation_stamp: 1001,
            num_bytes: Some(MIB),
        };
        commit_recovery(lab, &block, stamp, 10);
    });
    assert_eq!(ops, ["SetGenstampV2", "Truncate", "Close"]);
    assert_eq!(lab.stat("/f").unwrap().unwrap().length, 10);
    assert_eq!(lab.replayed().digest(), lab.node.digest());
}

#[test]
fn a_deleted_tree_leaves_nothing_behind() {
    let mut lab = Lab::new();
    lab.mkdirs("/keep", 0o755).unwrap();
    let empty = lab.node.tree.len();
    for index in 0..3000 {
        lab.create(&format!("/d/{}/f{index}", index % 7), "cl", CREATE).unwrap();
    }
    lab.file("/d/x/f", &[MIB, 3]);
    lab.set_quota("/d", 9999, -1).unwrap();
    lab.rename("/d", "/keep").unwrap();
    assert!(lab.delete("/keep/d", true).unwrap());
    assert_eq!((lab.node.tree.len(), lab.node.leases.len()), (empty, 0));
    assert_eq!(lab.node.figures().blocks, 0);
    let root = lab.node.tree.quota(crate::namenode::tree::ROOT).unwrap();
    assert_eq!((root.used.names, root.used.space), (empty as i64, 0));
    assert_eq!(lab.replayed().digest(), lab.node.digest());
}

/// A client whose connection broke sends the same call again: it must get the first answer, and the
/// second call must not run. Without the cache a repeated delete would answer false and a repeated
/// rename would fail.
#[test]
fn repeated_calls_get_the_first_answer() {
    let mut lab = Lab::new();
    lab.client_id = vec![5; 16];
    lab.call_id = 1;
    let id = lab.create("/f", "cl", CREATE).unwrap();
    assert_eq!(lab.create("/f", "cl", CREATE).unwrap(), id);
    lab.call_id = 2;
    lab.rename2("/f", "/g", false).unwrap();
    lab.rename2("/f", "/g", false).unwrap();
    lab.call_id = 3;
    assert!(lab.delete("/g", false).unwrap());
    assert!(lab.delete("/g", false).unwrap());
    assert_eq!(names(&lab.ops()), ["Add", "Rename", "Delete"]);
    // A restarted namenode knows them from the log.
    let mut other = Lab::around(lab.replayed());
    other.client_id = vec![5; 16];
    other.call_id = 3;
    assert!(other.delete("/g", false).unwrap());
    other.pass(601);
    assert!(!other.delete("/g", false).unwrap());
}

#[test]
fn safe_mode_refuses_changes() {
    let mut lab = Lab::new();
    lab.node.blocks.enter_safe_mode();
    let refused = show(lab.mkdirs("/d", 0o755));
    assert_eq!(
        refused,
        "SafeModeException: Cannot create directory /d. Name node is in safe mode."
    );
    assert!(lab.stat("/").unwrap().is_some());
    assert!(!lab.node.log_pending());
}

#[test]
fn the_access_time_follows_reads() {
    let mut lab = Lab::new();
    lab.file("/f", &[1]);
    assert!(!lab.read(|node, caller| Ok(node.access_time_due(caller, "/f"))).unwrap());
    lab.now += 3_600_001;
    assert!(lab.read(|node, caller| Ok(node.access_time_due(caller, "/f"))).unwrap());
    let ops = logged(&mut lab, |lab| {
        lab.write(|node, caller| node.touch_access_time(caller, "/f")).unwrap();
        lab.write(|node, caller| node.touch_access_time(caller, "/f")).unwrap();
    });
    assert_eq!(ops, ["Times"]);
}

#[test]
fn listings_come_in_pages() {
    let mut lab = Lab::new();
    for index in 0..2500 {
        lab.create(&format!("/d/f{index:05}"), "cl", CREATE).unwrap();
    }
    let mut names: Vec<Vec<u8>> = Vec::new();
    loop {
        let request = GetListingRequestProto {
            src: "/d".into(),
            start_after: names.last().cloned().unwrap_or_default().into(),
            need_location: false,
        };
        let page = lab.read(|node, caller| node.get_listing(caller, &request)).unwrap();
        let page = page.dir_list.unwrap();
        names.extend(page.partial_listing.iter().map(|status| status.path.to_vec()));
        assert_eq!(page.remaining_entries as usize, 2500 - names.len());
        if page.remaining_entries == 0 {
            break;
        }
    }
    // Java compares bytes as signed numbers: letters outside ASCII come first.
    lab.mkdirs("/e/a", 0o755).unwrap();
    lab.mkdirs("/e/é", 0o755).unwrap();
    let request = GetListingRequestProto { src: "/e".into(), ..Default::default() };
    let page = lab.read(|node, caller| node.get_listing(caller, &request)).unwrap();
    assert_eq!(page.dir_list.unwrap().partial_listing[0].path, "é".as_bytes());
    assert_eq!(names.len(), 2500);
    assert!(names.is_sorted());
}
