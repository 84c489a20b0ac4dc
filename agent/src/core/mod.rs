//! The supervisor: what is wanted, what is observed, and what to do about the difference.
//!
//! A synchronous state machine: `step(now, event)` returns actions. It knows no process, file,
//! clock or thread; time comes in as milliseconds of any steady clock. It never acts from memory
//! alone: a unit counts as running only after the driver said so.
//!
//! Rules it keeps:
//! - A unit that dies is started again after a pause that doubles with every failure, and starts
//!   over once the unit has been well for a while.
//! - A unit that refuses its configuration (exit code 2) before the first "ready" ends everything:
//!   starting it again would change nothing.
//! - Units whose wanted configuration differs from the one they run with are restarted one at a
//!   time; the next waits until the last one is ready again (or its patience is over).
//! - A value that the daemon can read again is reloaded; a reload that fails becomes a restart.
//! - A unit is "good" with a configuration once a probe said so. One that dies or stays unready
//!   with a new configuration while a good one is known goes back to the good one, without blame.
//! - Where `exhausts` is set, failures in a row end everything at any time, so that whoever started
//!   the agent can act; only a long run starts the count over.
//! - A held unit (what it waits for is not there) is not started; its patience running out counts
//!   as a failure, but it waits on.
//! - A unit that is well and says that it runs with another configuration than the one in force is
//!   told to reload, then restarted, then left alone until something new is in force.
//! - Stopping goes rank by rank: a rank is asked to stop only after all lower ones are gone.
//!   What does not stop in time is killed.

mod backoff;
pub mod rollout;
pub mod window;
mod words;

pub use backoff::Backoff;
pub use words::{Action, EXIT_USAGE, Event, Exit, Millis, Note, Outcome, Policy, Token, UnitId};

/// Between two probes of a unit that is not ready: quick at first, so that a cluster that is up
/// in 200 ms is announced then, and slower for what takes long anyway.
fn probe_interval(age: Millis) -> Millis {
    match age {
        0..2_000 => 10,
        2_000..10_000 => 50,
        _ => 500,
    }
}

/// Between two probes of a unit that is ready.
const PROBE_READY_MS: Millis = 2_000;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// No process. Starts when the time has come.
    Waiting {
        until: Millis,
    },
    /// Asked for, not yet confirmed.
    Spawning {
        token: Token,
    },
    Running {
        since: Millis,
        token: Token,
        reload: Token,
        ready: bool,
        next_probe: Millis,
        probing: bool,
    },
    Stopping {
        deadline: Millis,
        killed: bool,
    },
}

/// What was done about a daemon that runs with another configuration than the one in force.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Healing {
    Nothing,
    Reload,
    Restart,
    GivenUp,
}

#[derive(Debug)]
struct Unit {
    policy: Policy,
    backoff: Backoff,
    failures: u32,
    wanted: Option<Token>,
    /// The reload part of what is wanted.
    reload: Token,
    /// What it was last well with: both parts.
    good: Option<(Token, Token)>,
    /// Deaths with the configuration on trial.
    trial_deaths: u32,
    /// Not to be started yet.
    held: bool,
    /// To be restarted although nothing changed.
    forced: bool,
    /// What was done about a configuration that is not the one in force.
    healing: Healing,
    state: State,
    /// Stopped by us for new configuration: comes back without a pause and without blame.
    restarting: bool,
}

impl Unit {
    fn alive(&self) -> bool {
        !matches!(self.state, State::Waiting { .. })
    }

    fn ready(&self) -> bool {
        matches!(self.state, State::Running { ready: true, .. })
    }

    /// Whether it could go back from what is wanted to something that did it good.
    fn on_trial(&self) -> bool {
        let wanted = self.wanted.map(|token| (token, self.reload));
        let tried = self.policy.trial_failures > 0 && self.policy.goes_back;
        tried && self.good.is_some() && self.good != wanted
    }

    /// Wants the last good configuration again.
    fn go_back(&mut self, id: UnitId, actions: &mut Vec<Action>) {
        let Some((token, reload)) = self.good else { return };
        (self.wanted, self.reload, self.trial_deaths) = (Some(token), reload, 0);
        actions.push(Action::RollBack(id));
    }
}

/// The one restart for new configuration that is under way.
#[derive(Debug, Clone, Copy)]
struct Turn {
    unit: UnitId,
    until: Millis,
}

/// The state machine.
#[derive(Debug)]
pub struct Supervisor {
    units: Vec<Unit>,
    turn: Option<Turn>,
    announced: bool,
    ending: Option<Outcome>,
    hurry: bool,
    finished: bool,
}

impl Supervisor {
    /// Units in the order in which they are restarted. Nothing starts before its `Wanted`.
    pub fn new(policies: impl IntoIterator<Item = Policy>) -> Self {
        let unit = |policy: Policy| Unit {
            backoff: policy.backoff(),
            policy,
            failures: 0,
            wanted: None,
            reload: 0,
            good: None,
            trial_deaths: 0,
            held: false,
            forced: false,
            healing: Healing::Nothing,
            state: State::Waiting { until: 0 },
            restarting: false,
        };
        Self {
            units: policies.into_iter().map(unit).collect(),
            turn: None,
            announced: false,
            ending: None,
            hurry: false,
            finished: false,
        }
    }

    /// From now on a unit is treated like this.
    pub fn treat(&mut self, unit: UnitId, policy: Policy) {
        let unit = &mut self.units[unit];
        unit.backoff = policy.backoff();
        unit.policy = policy;
    }

    /// Whether the unit's last probe was good.
    pub fn ready(&self, unit: UnitId) -> bool {
        self.units[unit].ready()
    }

    /// Takes one event in and answers with what is to be done now.
    pub fn step(&mut self, now: Millis, event: &Event) -> Vec<Action> {
        let mut actions = Vec::new();
        self.observe(now, event, &mut actions);
        self.reconcile(now, &mut actions);
        actions
    }

    /// When `step` wants to be called next if nothing happens.
    pub fn deadline(&self) -> Option<Millis> {
        let of_unit = |unit: &Unit| match unit.state {
            State::Waiting { until }
                if self.ending.is_none() && unit.wanted.is_some() && !unit.held =>
            {
                Some(until)
            }
            State::Waiting { .. } | State::Spawning { .. } => None,
            State::Running { since, ready: false, probing: true, .. } if unit.on_trial() => {
                Some(since + unit.policy.ready_patience_ms)
            }
            State::Running { probing: true, .. } => None,
            State::Running { next_probe, .. } => Some(next_probe),
            State::Stopping { killed: true, .. } => None,
            State::Stopping { deadline, .. } => Some(deadline),
        };
        let turn = self.turn.map(|turn| turn.until);
        self.units.iter().filter_map(of_unit).chain(turn).min()
    }

    fn observe(&mut self, now: Millis, event: &Event, actions: &mut Vec<Action>) {
        match *event {
            Event::Tick => {}
            Event::Wanted(id, token) => {
                let unit = &mut self.units[id];
                if unit.wanted.replace(token) != Some(token) {
                    unit.healing = Healing::Nothing;
                }
            }
            Event::Reloadable(id, token) => {
                let unit = &mut self.units[id];
                if std::mem::replace(&mut unit.reload, token) != token {
                    unit.healing = Healing::Nothing;
                }
            }
            Event::Good(id, token, reload) => self.units[id].good = Some((token, reload)),
            Event::Held(id, held) => self.units[id].held = held,
            Event::Late(id) => {
                self.units[id].failures += 1;
                self.count(id);
            }
            Event::Agrees(id, true) => self.units[id].healing = Healing::Nothing,
            Event::Agrees(id, false) => self.heal(id, actions),
            Event::Restart(id) => self.units[id].forced = true,
            Event::Reloaded(id, done) => {
                if !done {
                    self.units[id].forced = true;
                    actions.push(Action::Note(id, Note::ReloadFailed));
                }
            }
            Event::Started(id) => {
                let unit = &mut self.units[id];
                if let State::Spawning { token } = unit.state {
                    unit.state = State::Running {
                        since: now,
                        token,
                        reload: unit.reload,
                        ready: false,
                        next_probe: now,
                        probing: false,
                    };
                }
            }
            Event::SpawnFailed(id) => self.failed(now, id, Exit::Code(127), actions),
            Event::Exited(id, exit) => self.exited(now, id, exit, actions),
            Event::Health(id, healthy) => self.health(now, id, healthy, actions),
            Event::Stop => {
                self.hurry = self.ending.is_some();
                self.ending.get_or_insert(Outcome::Stopped);
            }
        }
    }

    fn health(&mut self, now: Millis, id: UnitId, healthy: bool, actions: &mut Vec<Action>) {
        let announced = self.announced;
        let unit = &mut self.units[id];
        let State::Running { since, token, reload, ready, next_probe, probing } = &mut unit.state
        else {
            return;
        };
        *probing = false;
        let came_up = healthy && !*ready;
        *ready = healthy;
        *next_probe = now + if healthy { PROBE_READY_MS } else { probe_interval(now - *since) };
        let runs_with = Some((*token, *reload));
        let long_enough = now - *since >= unit.policy.good_after_ms;
        if healthy && long_enough && unit.policy.trial_failures > 0 && unit.good != runs_with {
            unit.good = runs_with;
            unit.trial_deaths = 0;
            actions.push(Action::Good(id));
        }
        if came_up {
            if !unit.policy.exhausts {
                unit.failures = 0;
            }
            if announced {
                actions.push(Action::Note(id, Note::Ready));
            }
        }
    }

    fn exited(&mut self, now: Millis, id: UnitId, exit: Exit, actions: &mut Vec<Action>) {
        let unit = &mut self.units[id];
        if matches!(unit.state, State::Stopping { .. }) {
            unit.state = State::Waiting { until: now };
            return;
        }
        if let State::Running { since, .. } = unit.state
            && now - since >= unit.policy.reset_after_ms
        {
            unit.backoff.reset();
            if unit.policy.exhausts {
                unit.failures = 0;
            }
        }
        self.failed(now, id, exit, actions);
    }

    fn failed(&mut self, now: Millis, id: UnitId, exit: Exit, actions: &mut Vec<Action>) {
        let ending = self.ending.is_some();
        let unit = &mut self.units[id];
        if !ending && unit.on_trial() {
            unit.trial_deaths += 1;
            if exit == Exit::Code(EXIT_USAGE) || unit.trial_deaths >= unit.policy.trial_failures {
                unit.state = State::Waiting { until: now };
                unit.go_back(id, actions);
                return;
            }
        }
        unit.failures += 1;
        let pause = unit.backoff.pause();
        unit.state = State::Waiting { until: now + pause };
        if self.ending.is_some() {
            return;
        }
        if !self.announced && exit == Exit::Code(EXIT_USAGE) {
            self.ending = Some(Outcome::Refused(id));
        } else {
            self.count(id);
        }
        if self.ending.is_none() {
            actions.push(Action::Note(id, Note::Died(exit, pause)));
        }
    }

    /// Ends everything when a unit's budget of failures is used up.
    fn count(&mut self, id: UnitId) {
        let unit = &self.units[id];
        let counts = !self.announced || unit.policy.exhausts;
        if counts && unit.failures >= unit.policy.failures_max {
            self.ending.get_or_insert(Outcome::GaveUp(id));
        }
    }

    /// Does the next thing about a unit that runs with another configuration.
    fn heal(&mut self, id: UnitId, actions: &mut Vec<Action>) {
        let unit = &mut self.units[id];
        let settled = match unit.state {
            State::Running { token, reload, ready: true, .. } => {
                unit.wanted == Some(token) && reload == unit.reload && !unit.forced
            }
            _ => false,
        };
        if !settled || self.ending.is_some() {
            return;
        }
        unit.healing = match unit.healing {
            Healing::Nothing => {
                actions.push(Action::Note(id, Note::Differs));
                actions.push(Action::Reload(id));
                Healing::Reload
            }
            Healing::Reload => {
                unit.forced = true;
                Healing::Restart
            }
            Healing::Restart => {
                actions.push(Action::Note(id, Note::Stubborn));
                Healing::GivenUp
            }
            Healing::GivenUp => Healing::GivenUp,
        };
    }

    fn reconcile(&mut self, now: Millis, actions: &mut Vec<Action>) {
        if self.finished {
            return;
        }
        if let Some(outcome) = self.ending {
            self.wind_down(now, outcome, actions);
        } else {
            self.judge_trials(now, actions);
            self.take_turns(now, actions);
            self.start_and_probe(now, actions);
            if !self.announced && !self.units.is_empty() && self.units.iter().all(Unit::ready) {
                self.announced = true;
                actions.push(Action::AllReady);
            }
        }
        self.kill_overdue(now, actions);
    }

    /// Sends units back that did not get ready with a new configuration in time.
    fn judge_trials(&mut self, now: Millis, actions: &mut Vec<Action>) {
        for (id, unit) in self.units.iter_mut().enumerate() {
            let State::Running { since, ready: false, .. } = unit.state else { continue };
            if unit.on_trial() && now - since >= unit.policy.ready_patience_ms {
                unit.go_back(id, actions);
                // Also where only its reload part differs: it must come up afresh.
                unit.forced = true;
            }
        }
    }

    /// Lets one unit at a time stop for new configuration.
    fn take_turns(&mut self, now: Millis, actions: &mut Vec<Action>) {
        if let Some(turn) = self.turn {
            let unit = &self.units[turn.unit];
            let done = !unit.restarting && unit.ready();
            if !done && now < turn.until {
                return;
            }
            self.turn = None;
        }
        let stale = |unit: &Unit| match unit.state {
            State::Running { token, .. } => {
                unit.forced || unit.wanted.is_some_and(|wanted| wanted != token)
            }
            _ => false,
        };
        let Some(id) = self.units.iter().position(stale) else { return };
        let patience = self.units[id].policy.ready_patience_ms;
        self.turn = Some(Turn { unit: id, until: now + patience });
        self.units[id].restarting = true;
        self.units[id].forced = false;
        actions.push(Action::Note(id, Note::Restarting));
        self.terminate(now, id, actions);
    }

    fn start_and_probe(&mut self, now: Millis, actions: &mut Vec<Action>) {
        for (id, unit) in self.units.iter_mut().enumerate() {
            match (&mut unit.state, unit.wanted) {
                (State::Waiting { until }, Some(token)) if *until <= now && !unit.held => {
                    unit.restarting = false;
                    unit.forced = false;
                    unit.state = State::Spawning { token };
                    actions.push(Action::Spawn(id));
                }
                (State::Running { token, reload, ready: true, .. }, Some(wanted))
                    if *token == wanted && *reload != unit.reload && !unit.forced =>
                {
                    *reload = unit.reload;
                    actions.push(Action::Reload(id));
                }
                (State::Running { next_probe, probing, .. }, _)
                    if *next_probe <= now && !*probing =>
                {
                    *probing = true;
                    actions.push(Action::Probe(id));
                }
                _ => {}
            }
        }
    }

    fn wind_down(&mut self, now: Millis, outcome: Outcome, actions: &mut Vec<Action>) {
        let Some(rank) =
            self.units.iter().filter(|unit| unit.alive()).map(|unit| unit.policy.stop_rank).min()
        else {
            self.finished = true;
            actions.push(Action::Finish(outcome));
            return;
        };
        for id in 0..self.units.len() {
            let unit = &mut self.units[id];
            let due = self.hurry || unit.policy.stop_rank == rank;
            if due && matches!(unit.state, State::Running { .. }) {
                self.terminate(now, id, actions);
            }
            if let State::Stopping { deadline, .. } = &mut self.units[id].state
                && self.hurry
            {
                *deadline = now;
            }
        }
    }

    fn terminate(&mut self, now: Millis, id: UnitId, actions: &mut Vec<Action>) {
        let unit = &mut self.units[id];
        let deadline = now + unit.policy.stop_timeout_ms;
        unit.state = State::Stopping { deadline, killed: false };
        actions.push(Action::Terminate(id));
    }

    fn kill_overdue(&mut self, now: Millis, actions: &mut Vec<Action>) {
        for (id, unit) in self.units.iter_mut().enumerate() {
            if let State::Stopping { deadline, killed } = &mut unit.state
                && !*killed
                && *deadline <= now
            {
                *killed = true;
                actions.push(Action::Kill(id));
                actions.push(Action::Note(id, Note::Killed));
            }
        }
    }
}

#[cfg(test)]
mod tests;
