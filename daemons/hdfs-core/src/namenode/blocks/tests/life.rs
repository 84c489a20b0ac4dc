//! A block's life: written, committed, complete, reopened, recovered, removed.

use super::*;

#[test]
fn a_block_completes_with_the_first_report_after_commit() {
    let mut lab = Lab::nodes(3);
    let block = block(1);
    lab.blocks.insert(Block { length: 0, ..block }, 9, 3, BlockState::UnderConstruction);
    lab.blocks.expect(1, &[target(0), target(1), target(2)]);
    assert_eq!(lab.blocks.commit(block).unwrap(), BlockState::Committed);
    assert!(lab.blocks.take_completed().is_empty());
    lab.received(2, block);
    assert_eq!(lab.blocks.block(1), Some((block, BlockState::Complete)));
    assert_eq!(lab.blocks.take_completed(), [1]);
    // The two others are on their way: nothing is to be copied.
    assert_eq!(lab.blocks.stats().low_redundancy, 0);
    assert_eq!(lab.blocks.stats().pending_copies, 1);
    lab.received(0, block);
    lab.received(1, block);
    assert_eq!((lab.blocks.live_replicas(1), lab.blocks.stats().pending_copies), (3, 0));
    assert_eq!(lab.blocks.file_of(1), Some(9));
    lab.check();
}

#[test]
fn reports_before_the_commit_count() {
    let mut lab = Lab::nodes(2);
    let block = block(1);
    lab.blocks.insert(Block { length: 0, ..block }, 1, 2, BlockState::UnderConstruction);
    lab.blocks.expect(1, &[target(0), target(1)]);
    lab.received(0, block);
    assert_eq!(lab.blocks.block(1).unwrap().1, BlockState::UnderConstruction);
    assert_eq!(lab.blocks.commit(block).unwrap(), BlockState::Complete);
    // Saying it again changes nothing.
    assert_eq!(lab.blocks.commit(block).unwrap(), BlockState::Complete);
    lab.check();
}

#[test]
fn a_commit_must_fit() {
    let mut lab = Lab::nodes(1);
    lab.blocks.insert(block(1), 1, 1, BlockState::UnderConstruction);
    assert!(lab.blocks.commit(block(2)).unwrap_err().message.contains("blk_2"));
    let other = Block { stamp: 1002, ..block(1) };
    assert!(lab.blocks.commit(other).unwrap_err().message.contains("mismatching GS"));
    let short = Block { length: 99, ..block(1) };
    assert!(lab.blocks.commit(short).unwrap_err().message.contains("less than the stored"));
}

#[test]
fn a_replica_of_another_length_is_corrupt() {
    let mut lab = Lab::nodes(2);
    let block = block(1);
    lab.blocks.insert(Block { length: 0, ..block }, 1, 2, BlockState::UnderConstruction);
    lab.blocks.expect(1, &[target(0), target(1)]);
    lab.received(0, Block { length: 7, ..block });
    assert_eq!(lab.blocks.commit(block).unwrap(), BlockState::Committed);
    assert_eq!(lab.numbers(1).corrupt, 1);
    lab.received(1, block);
    assert_eq!(lab.blocks.block(1).unwrap().1, BlockState::Complete);
    lab.check();
}

#[test]
fn a_pipeline_change_leaves_the_old_replicas_behind() {
    let mut lab = Lab::nodes(3);
    let old = block(1);
    lab.blocks.insert(Block { length: 0, ..old }, 1, 3, BlockState::UnderConstruction);
    lab.blocks.expect(1, &[target(0), target(1), target(2)]);
    lab.received(0, old);
    let new = Block { stamp: 1002, ..old };
    lab.blocks.restamp(Block { length: 0, ..new });
    lab.blocks.expect(1, &[target(1), target(2)]);
    assert_eq!(lab.blocks.commit(new).unwrap(), BlockState::Committed);
    lab.received(1, new);
    lab.received(2, new);
    assert_eq!(lab.blocks.live_replicas(1), 2);
    // Node 0 comes with its old replica: corrupt, and no other node could take a copy.
    lab.report(0, &[whole(old)]);
    assert_eq!(lab.numbers(1).corrupt, 1);
    assert_eq!(lab.doomed(0), [1]);
    lab.beat(0);
    lab.deleted(0, old);
    assert_eq!(lab.numbers(1).corrupt, 0);
    assert_eq!(lab.blocks.stats().low_redundancy, 1);
    lab.check();
}

/// Story: a datanode was killed in a pipeline and came back while the client still wrote to the
/// others. Its half replica counted as on its way when the block completed, so no copy was made for
/// minutes, and none could be taken later, because the half replica was in the way.
#[test]
fn a_replica_left_half_written_is_replaced_at_once() {
    let mut lab = Lab::nodes(3);
    let old = block(1);
    lab.blocks.insert(Block { length: 0, ..old }, 1, 3, BlockState::UnderConstruction);
    lab.blocks.expect(1, &[target(0), target(1), target(2)]);
    let new = Block { stamp: 1002, ..old };
    lab.blocks.restamp(Block { length: 0, ..new });
    lab.blocks.expect(1, &[target(1), target(2)]);
    let half = Block { length: 40, ..old };
    lab.report(0, &[replica(half, ReplicaState::WaitingToBeRecovered)]);
    lab.received(1, new);
    assert_eq!(lab.blocks.commit(new).unwrap(), BlockState::Complete);
    lab.received(2, new);
    assert_eq!((lab.blocks.stats().pending_copies, lab.numbers(1).corrupt), (0, 1));
    assert_eq!(lab.doomed(0), [1]);
    lab.check();
    lab.beat(0);
    lab.deleted(0, half);
    lab.pass(4, &[0, 1, 2]);
    assert_eq!(lab.blocks.stats().pending_copies, 1);
    lab.received(0, new);
    assert_eq!((lab.blocks.live_replicas(1), lab.numbers(1).corrupt), (3, 0));
    lab.check();
}

#[test]
fn a_restarted_node_that_the_client_takes_back_is_on_its_way() {
    let mut lab = Lab::nodes(2);
    let old = block(1);
    lab.blocks.insert(Block { length: 0, ..old }, 1, 2, BlockState::UnderConstruction);
    lab.blocks.expect(1, &[target(0), target(1)]);
    lab.report(0, &[replica(old, ReplicaState::WaitingToBeRecovered)]);
    let new = Block { stamp: 1002, ..old };
    lab.blocks.restamp(Block { length: 0, ..new });
    lab.blocks.expect(1, &[target(0), target(1)]);
    lab.received(1, new);
    assert_eq!(lab.blocks.commit(new).unwrap(), BlockState::Complete);
    assert_eq!((lab.blocks.stats().pending_copies, lab.numbers(1).corrupt), (1, 0));
    lab.received(0, new);
    assert_eq!(lab.blocks.live_replicas(1), 2);
    lab.check();
}

#[test]
fn an_append_keeps_the_pipeline_and_takes_new_stamps() {
    let mut lab = Lab::nodes(2);
    let old = lab.written(1, 2);
    lab.blocks.reopen(1);
    assert_eq!(lab.blocks.locations(1).len(), 2);
    assert_eq!(lab.blocks.stats().complete, 0);
    let new = Block { stamp: 1002, length: 150, ..old };
    let storage = lab.storage(0);
    lab.blocks.receiving(storage, Block { length: 100, ..new });
    lab.blocks.restamp(Block { length: 100, ..new });
    lab.blocks.expect(1, &[target(0), target(1)]);
    lab.received(0, new);
    lab.received(1, new);
    assert_eq!(lab.blocks.commit(new).unwrap(), BlockState::Complete);
    assert_eq!(lab.blocks.live_replicas(1), 2);
    lab.check();
}

#[test]
fn an_append_that_writes_nothing_completes_again() {
    let mut lab = Lab::nodes(2);
    let block = lab.written(1, 2);
    lab.blocks.reopen(1);
    assert_eq!(lab.blocks.commit(block).unwrap(), BlockState::Complete);
    assert_eq!(lab.blocks.live_replicas(1), 2);
    lab.check();
}

#[test]
fn a_removed_block_is_deleted_everywhere() {
    let mut lab = Lab::nodes(3);
    lab.written(1, 3);
    lab.blocks.insert(block(2), 1, 3, BlockState::UnderConstruction);
    lab.blocks.expect(2, &[target(0)]);
    lab.blocks.remove(1);
    lab.blocks.remove(2);
    assert_eq!(lab.doomed(0), [1, 2]);
    assert_eq!(lab.doomed(2), [1]);
    assert_eq!(lab.blocks.block(1), None);
    lab.check();
    let commands = lab.beat(0);
    let command = commands[0].blk_cmd.as_ref().unwrap();
    assert_eq!((command.action, command.blocks.len()), (2, 2));
    assert_eq!(command.blocks[0].gen_stamp, 1001);
    assert!(lab.beat(0).is_empty());
    lab.check();
}

#[test]
fn a_recovery_goes_alone_to_the_node_heard_last() {
    let mut lab = Lab::nodes(3);
    lab.blocks.insert(block(1), 1, 3, BlockState::UnderConstruction);
    lab.blocks.expect(1, &[target(0), target(1), target(2)]);
    lab.blocks.remove(99);
    lab.now += 5_000;
    lab.keep_alive(1);
    assert!(lab.blocks.start_recovery(lab.now, 1, 2001));
    assert!(!lab.blocks.recovery_due(lab.now + 89_999, 1));
    assert!(!lab.blocks.start_recovery(lab.now + 1, 1, 2002));
    assert_eq!(lab.blocks.recovery_stamp(1), Some(2001));
    assert!(lab.beat(0).is_empty());
    let commands = lab.beat(1);
    assert_eq!(commands.len(), 1);
    let recovering = &commands[0].recovery_cmd.as_ref().unwrap().blocks[0];
    assert_eq!((recovering.new_gen_stamp, recovering.block.locs.len()), (2001, 3));
    assert_eq!(recovering.block.b.generation_stamp, 1001);
    assert!(lab.beat(1).is_empty());
    // Nobody answers: after its time another node leads.
    lab.now += 90_000;
    lab.keep_alive(1);
    assert!(lab.blocks.start_recovery(lab.now, 1, 2002));
    assert!(lab.beat(1).is_empty());
    let (zero, two) = (lab.beat(0), lab.beat(2));
    assert_eq!(zero.len() + two.len(), 1);
    let done = Block { id: 1, length: 60, stamp: 2002 };
    lab.blocks.finish_recovery(done, &[target(0), target(2)]);
    assert_eq!(lab.blocks.commit(done).unwrap(), BlockState::Complete);
    assert_eq!((lab.blocks.live_replicas(1), lab.blocks.recovery_stamp(1)), (2, None));
    lab.check();
}

#[test]
fn a_truncate_names_the_new_length() {
    let mut lab = Lab::nodes(1);
    lab.written(1, 1);
    lab.blocks.reopen(1);
    assert!(lab.blocks.start_truncate(lab.now, 1, 1005, 40));
    assert_eq!(lab.blocks.truncate_length(1), Some(40));
    let commands = lab.beat(0);
    let recovering = &commands[0].recovery_cmd.as_ref().unwrap().blocks[0];
    let cut = recovering.truncate_block.as_ref().unwrap();
    assert_eq!((cut.num_bytes, cut.gen_stamp), (Some(40), 1005));
    let done = Block { id: 1, length: 40, stamp: 1005 };
    lab.blocks.finish_recovery(done, &[target(0)]);
    assert_eq!(lab.blocks.commit(done).unwrap(), BlockState::Complete);
    lab.check();
}

/// Story: a datanode that did not take part in a recovery kept its old replica and refused the copy
/// that was to replace it, until its next full report hours later. It is told to delete it now.
#[test]
fn a_recovery_clears_away_what_took_no_part() {
    let mut lab = Lab::nodes(3);
    lab.blocks.insert(block(1), 1, 3, BlockState::UnderConstruction);
    lab.blocks.expect(1, &[target(0), target(1), target(2)]);
    assert!(lab.blocks.start_recovery(lab.now, 1, 1002));
    let done = Block { id: 1, length: 60, stamp: 1002 };
    lab.blocks.finish_recovery(done, &[target(0), target(2)]);
    lab.blocks.commit(done).unwrap();
    assert_eq!((lab.doomed(0), lab.doomed(1), lab.doomed(2)), (vec![], vec![1], vec![]));
    // It did take part after all, only its answer was lost: then its replica is as good as others.
    lab.received(1, done);
    assert!(lab.doomed(1).is_empty());
    assert_eq!(lab.blocks.live_replicas(1), 3);
    lab.check();
}
