//! Tables: at this time this happens, and this is done about it.

use super::Action::{
    AllReady, Finish, Good, Kill, Note as Say, Probe, Reload, RollBack, Spawn, Terminate,
};
use super::Event::{Exited, Health, SpawnFailed, Started, Stop, Tick, Wanted};
use super::*;

/// Runs a script and compares each step's actions.
fn check(supervisor: &mut Supervisor, script: &[(Millis, Event, &[Action])]) {
    for (at, (now, event, expected)) in script.iter().enumerate() {
        let actions = supervisor.step(*now, event);
        assert_eq!(actions, *expected, "step {at}: {event:?} at {now}");
    }
}

fn policy() -> Policy {
    Policy {
        backoff_ms: 100,
        backoff_ms_max: 300,
        backoff_ms_step: None,
        reset_after_ms: 5_000,
        failures_max: 4,
        stop_timeout_ms: 1_000,
        ready_patience_ms: 2_000,
        stop_rank: 0,
        trial_failures: 0,
        goes_back: true,
        good_after_ms: 0,
        exhausts: false,
    }
}

fn running_one() -> Supervisor {
    let mut supervisor = Supervisor::new([policy()]);
    check(
        &mut supervisor,
        &[
            (0, Tick, &[]),
            (0, Wanted(0, 1), &[Spawn(0)]),
            (1, Started(0), &[Probe(0)]),
            (2, Health(0, false), &[]),
            (11, Tick, &[]),
            (12, Tick, &[Probe(0)]),
            (13, Tick, &[]),
            (14, Health(0, true), &[AllReady]),
        ],
    );
    supervisor
}

#[test]
fn starts_probes_and_announces_once() {
    let mut supervisor = running_one();
    check(
        &mut supervisor,
        &[
            (2_000, Tick, &[]),
            (2_014, Tick, &[Probe(0)]),
            (2_015, Health(0, false), &[]),
            (2_065, Tick, &[Probe(0)]),
            (2_066, Health(0, true), &[Say(0, Note::Ready)]),
        ],
    );
}

#[test]
fn the_dead_come_back_after_growing_pauses() {
    let mut supervisor = running_one();
    let died = |pause| Say(0, Note::Died(Exit::Signal(9), pause));
    check(
        &mut supervisor,
        &[
            (100, Exited(0, Exit::Signal(9)), &[died(100)]),
            (199, Tick, &[]),
            (200, Tick, &[Spawn(0)]),
            (201, Started(0), &[Probe(0)]),
            (202, Exited(0, Exit::Signal(9)), &[died(200)]),
            (402, Tick, &[Spawn(0)]),
            (403, SpawnFailed(0), &[Say(0, Note::Died(Exit::Code(127), 300))]),
            (703, Tick, &[Spawn(0)]),
            (704, Started(0), &[Probe(0)]),
            (705, Health(0, true), &[Say(0, Note::Ready)]),
            (5_704, Exited(0, Exit::Signal(9)), &[died(100)]),
        ],
    );
    assert_eq!(supervisor.deadline(), Some(5_804));
}

#[test]
fn a_refusal_before_the_first_ready_ends_everything() {
    let mut supervisor = Supervisor::new([policy(), policy()]);
    check(
        &mut supervisor,
        &[
            (0, Wanted(0, 1), &[Spawn(0)]),
            (0, Wanted(1, 1), &[Spawn(1)]),
            (1, Started(0), &[Probe(0)]),
            (1, Started(1), &[Probe(1)]),
            (5, Exited(1, Exit::Code(2)), &[Terminate(0)]),
            (6, Exited(0, Exit::Code(0)), &[Finish(Outcome::Refused(1))]),
            (7, Tick, &[]),
        ],
    );
}

#[test]
fn a_refusal_later_is_only_a_failure() {
    let mut supervisor = running_one();
    let died = Say(0, Note::Died(Exit::Code(2), 100));
    check(&mut supervisor, &[(20, Exited(0, Exit::Code(2)), &[died])]);
}

#[test]
fn gives_up_on_what_never_comes_up() {
    let mut supervisor = Supervisor::new([policy()]);
    let mut now = 0;
    check(&mut supervisor, &[(0, Wanted(0, 1), &[Spawn(0)])]);
    for pause in [100, 200, 300] {
        let died = Say(0, Note::Died(Exit::Code(1), pause));
        check(
            &mut supervisor,
            &[
                (now, Started(0), &[Probe(0)]),
                (now, Exited(0, Exit::Code(1)), &[died]),
                (now + pause, Tick, &[Spawn(0)]),
            ],
        );
        now += pause;
    }
    check(
        &mut supervisor,
        &[
            (now, Started(0), &[Probe(0)]),
            (now, Exited(0, Exit::Code(1)), &[Finish(Outcome::GaveUp(0))]),
        ],
    );
}

/// Three running units, where the last stops only after the others.
fn running_three() -> Supervisor {
    let last = Policy { stop_rank: 1, ..policy() };
    let mut supervisor = Supervisor::new([last, policy(), policy()]);
    for id in 0..3 {
        supervisor.step(0, &Wanted(id, 1));
        supervisor.step(0, &Started(id));
        supervisor.step(0, &Health(id, true));
    }
    supervisor
}

#[test]
fn stops_rank_by_rank_and_kills_the_slow() {
    let mut supervisor = running_three();
    check(
        &mut supervisor,
        &[
            (10, Stop, &[Terminate(1), Terminate(2)]),
            (20, Exited(2, Exit::Code(0)), &[]),
            (1_009, Tick, &[]),
            (1_010, Tick, &[Kill(1), Say(1, Note::Killed)]),
            (1_011, Tick, &[]),
            (1_012, Exited(1, Exit::Signal(9)), &[Terminate(0)]),
            (1_020, Exited(0, Exit::Code(0)), &[Finish(Outcome::Stopped)]),
        ],
    );
}

#[test]
fn a_second_stop_is_in_a_hurry() {
    let mut supervisor = running_three();
    check(
        &mut supervisor,
        &[
            (10, Stop, &[Terminate(1), Terminate(2)]),
            (
                11,
                Stop,
                &[
                    Terminate(0),
                    Kill(0),
                    Say(0, Note::Killed),
                    Kill(1),
                    Say(1, Note::Killed),
                    Kill(2),
                    Say(2, Note::Killed),
                ],
            ),
        ],
    );
}

#[test]
fn stopping_waits_for_a_process_that_is_just_being_made() {
    let mut supervisor = Supervisor::new([policy()]);
    check(
        &mut supervisor,
        &[
            (0, Wanted(0, 1), &[Spawn(0)]),
            (1, Stop, &[]),
            (2, Started(0), &[Terminate(0)]),
            (3, Exited(0, Exit::Code(0)), &[Finish(Outcome::Stopped)]),
        ],
    );
}

#[test]
fn new_configuration_restarts_one_unit_at_a_time() {
    let mut supervisor = running_three();
    check(
        &mut supervisor,
        &[
            (10, Wanted(1, 2), &[Say(1, Note::Restarting), Terminate(1)]),
            (10, Wanted(2, 2), &[]),
            (20, Exited(1, Exit::Code(0)), &[Spawn(1)]),
            (21, Started(1), &[Probe(1)]),
            (22, Health(1, false), &[]),
            (32, Tick, &[Probe(1)]),
            (33, Health(1, true), &[Say(1, Note::Ready), Say(2, Note::Restarting), Terminate(2)]),
            (40, Exited(2, Exit::Code(0)), &[Spawn(2)]),
        ],
    );
}

#[test]
fn the_same_configuration_restarts_nothing() {
    let mut supervisor = running_three();
    check(&mut supervisor, &[(10, Wanted(1, 1), &[]), (10, Wanted(0, 1), &[])]);
}

#[test]
fn patience_with_a_unit_that_stays_down_ends() {
    let mut supervisor = running_three();
    check(
        &mut supervisor,
        &[
            (10, Wanted(1, 2), &[Say(1, Note::Restarting), Terminate(1)]),
            (10, Wanted(2, 2), &[]),
            (20, Exited(1, Exit::Code(0)), &[Spawn(1)]),
            (21, SpawnFailed(1), &[Say(1, Note::Died(Exit::Code(127), 100))]),
            (121, Tick, &[Spawn(1)]),
        ],
    );
    assert_eq!(
        supervisor.step(2_010, &Tick)[..2],
        [Say(2, Note::Restarting), Terminate(2)],
        "the next unit gets its turn"
    );
}

#[test]
fn a_change_during_the_start_is_taken_up_after_it() {
    let mut supervisor = Supervisor::new([policy()]);
    check(
        &mut supervisor,
        &[
            (0, Wanted(0, 1), &[Spawn(0)]),
            (0, Wanted(0, 2), &[]),
            (1, Started(0), &[Say(0, Note::Restarting), Terminate(0)]),
            (2, Exited(0, Exit::Code(0)), &[Spawn(0)]),
        ],
    );
}

fn careful() -> Supervisor {
    let policy = Policy { trial_failures: 2, exhausts: true, ..policy() };
    let mut supervisor = Supervisor::new([policy]);
    check(
        &mut supervisor,
        &[
            (0, Wanted(0, 1), &[Spawn(0)]),
            (1, Started(0), &[Probe(0)]),
            (2, Health(0, true), &[Good(0), AllReady]),
        ],
    );
    supervisor
}

#[test]
fn a_bad_configuration_goes_back() {
    let mut supervisor = careful();
    let died = Say(0, Note::Died(Exit::Code(1), 100));
    check(
        &mut supervisor,
        &[
            (10, Wanted(0, 2), &[Say(0, Note::Restarting), Terminate(0)]),
            (11, Exited(0, Exit::Code(0)), &[Spawn(0)]),
            (12, Started(0), &[Probe(0)]),
            (13, Exited(0, Exit::Code(1)), &[died]),
            (113, Tick, &[Spawn(0)]),
            (114, Started(0), &[Probe(0)]),
            (115, Exited(0, Exit::Code(1)), &[RollBack(0), Spawn(0)]),
            (116, Started(0), &[Probe(0)]),
            (117, Health(0, true), &[Say(0, Note::Ready)]),
        ],
    );
}

#[test]
fn a_refused_configuration_goes_back_at_once() {
    let mut supervisor = careful();
    check(
        &mut supervisor,
        &[
            (10, Wanted(0, 2), &[Say(0, Note::Restarting), Terminate(0)]),
            (11, Exited(0, Exit::Code(0)), &[Spawn(0)]),
            (12, Started(0), &[Probe(0)]),
            (13, Exited(0, Exit::Code(2)), &[RollBack(0), Spawn(0)]),
        ],
    );
    // Also before anything was ready, where the disk knows a good one.
    let policy = Policy { trial_failures: 2, ..policy() };
    let mut supervisor = Supervisor::new([policy]);
    check(
        &mut supervisor,
        &[
            (0, Event::Good(0, 1, 0), &[]),
            (0, Wanted(0, 2), &[Spawn(0)]),
            (1, Started(0), &[Probe(0)]),
            (2, Exited(0, Exit::Code(2)), &[RollBack(0), Spawn(0)]),
            (3, Started(0), &[Probe(0)]),
            (4, Exited(0, Exit::Code(2)), &[Finish(Outcome::Refused(0))]),
        ],
    );
}

#[test]
fn never_ready_with_the_new_configuration_goes_back() {
    let mut supervisor = careful();
    check(
        &mut supervisor,
        &[
            (10, Wanted(0, 2), &[Say(0, Note::Restarting), Terminate(0)]),
            (11, Exited(0, Exit::Code(0)), &[Spawn(0)]),
            (12, Started(0), &[Probe(0)]),
            (2_000, Tick, &[]),
        ],
    );
    assert_eq!(supervisor.deadline(), Some(2_010));
    let actions = supervisor.step(2_012, &Tick);
    assert_eq!(actions, [RollBack(0), Say(0, Note::Restarting), Terminate(0)]);
}

#[test]
fn what_can_be_reloaded_is() {
    let mut supervisor = careful();
    check(
        &mut supervisor,
        &[
            (10, Event::Reloadable(0, 5), &[Reload(0)]),
            (11, Wanted(0, 1), &[]),
            (12, Event::Reloaded(0, true), &[]),
            (2_002, Tick, &[Probe(0)]),
            (2_003, Health(0, true), &[Good(0)]),
            (2_010, Event::Reloadable(0, 6), &[Reload(0)]),
            (
                2_011,
                Event::Reloaded(0, false),
                &[Say(0, Note::ReloadFailed), Say(0, Note::Restarting), Terminate(0)],
            ),
            (2_012, Exited(0, Exit::Code(0)), &[Spawn(0)]),
        ],
    );
}

#[test]
fn the_budget_ends_everything() {
    let mut supervisor = careful();
    let mut now = 10;
    for pause in [100, 200, 300] {
        let died = Say(0, Note::Died(Exit::Code(1), pause));
        check(
            &mut supervisor,
            &[
                (now, Exited(0, Exit::Code(1)), &[died]),
                (now + pause, Tick, &[Spawn(0)]),
                (now + pause, Started(0), &[Probe(0)]),
                (now + pause, Health(0, true), &[Say(0, Note::Ready)]),
            ],
        );
        now += pause + 1;
    }
    check(&mut supervisor, &[(now, Exited(0, Exit::Code(1)), &[Finish(Outcome::GaveUp(0))])]);
}

#[test]
fn a_held_unit_waits_and_an_operator_restarts() {
    let mut supervisor = Supervisor::new([policy()]);
    check(
        &mut supervisor,
        &[
            (0, Event::Held(0, true), &[]),
            (0, Wanted(0, 1), &[]),
            (5_000, Tick, &[]),
            (6_000, Event::Held(0, false), &[Spawn(0)]),
            (6_001, Started(0), &[Probe(0)]),
            (6_002, Health(0, true), &[AllReady]),
            (6_003, Event::Restart(0), &[Say(0, Note::Restarting), Terminate(0)]),
            (6_004, Exited(0, Exit::Code(0)), &[Spawn(0)]),
        ],
    );
}

#[test]
fn a_unit_that_runs_with_something_else_is_told_restarted_and_then_left() {
    use super::Event::{Agrees, Reloaded};
    let mut supervisor = running_one();
    check(
        &mut supervisor,
        &[
            (20, Agrees(0, false), &[Say(0, Note::Differs), Reload(0)]),
            (21, Reloaded(0, true), &[]),
            (22, Agrees(0, false), &[Say(0, Note::Restarting), Terminate(0)]),
            (23, Agrees(0, false), &[]),
            (30, Exited(0, Exit::Code(0)), &[Spawn(0)]),
            (31, Started(0), &[Probe(0)]),
            (32, Agrees(0, false), &[]),
            (33, Health(0, true), &[Say(0, Note::Ready)]),
            (34, Agrees(0, false), &[Say(0, Note::Stubborn)]),
            (35, Agrees(0, false), &[]),
            (36, Agrees(0, true), &[]),
            (37, Agrees(0, false), &[Say(0, Note::Differs), Reload(0)]),
        ],
    );
}

#[test]
fn waiting_too_long_uses_the_budget_up() {
    use super::Event::{Held, Late};
    let mut supervisor = Supervisor::new([Policy { exhausts: true, ..policy() }]);
    check(
        &mut supervisor,
        &[
            (0, Held(0, true), &[]),
            (0, Wanted(0, 1), &[]),
            (1, Late(0), &[]),
            (2, Late(0), &[]),
            (3, Late(0), &[]),
            (4, Late(0), &[Finish(Outcome::GaveUp(0))]),
        ],
    );
}
