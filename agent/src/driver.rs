//! The loop: wait for an event, step the core, perform its actions.
//!
//! One task owns everything that changes; helpers only send events. It runs on the main thread,
//! which is also the thread that makes the children. `files` puts files in force, `agreement`
//! compares what a daemon says it runs with. What the units are and where their wanted state comes
//! from is somebody else's: see [`Unit`] and [`Wants`].

mod agreement;
mod files;

use std::collections::VecDeque;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{Notify, mpsc};

use crate::actuators::generations::{Files, GenerationError, Generations};
use crate::actuators::health::{self, Said};
use crate::actuators::process::{self, Group, Program};
use crate::config::Reload;
use crate::core::{Action, Event, Exit, Millis, Note, Outcome, Policy, Supervisor, Token, UnitId};
use agreement::Agreement;
use files::Checked;

/// Events in flight: an exit and a probe's answer for each of many units fit several times.
const EVENTS_MAX: usize = 1024;

/// An edit counts once the store was quiet for this long, so that an editor's dance of renames
/// or a script's dozen of keys is one change.
const QUIET_MS: Millis = 60;

/// ... or once this much time has passed since its first change.
const QUIET_MS_MAX: Millis = 1_000;

/// The store is also read without being told: a watch may lose events.
const RESCAN_MS: Millis = 30_000;

/// ... and sooner while files are not in force that should be: a full disk may have room again.
const RETRY_MS: Millis = 2_000;

/// A change of the store that waits for quiet.
#[derive(Debug, Clone, Copy)]
struct Pending {
    first: Millis,
    last: Millis,
}

impl Pending {
    fn due(self, (quiet, most): (Millis, Millis)) -> Millis {
        (self.last + quiet).min(self.first + most)
    }
}

/// Something that gets files, and runs a program where it has one.
#[derive(Debug, Clone)]
pub struct Unit {
    /// Its name in messages.
    pub name: String,
    /// Its files.
    pub generations: Generations,
    /// What it runs; `None` for a folder that others read.
    pub program: Option<Program>,
    /// How the core treats it.
    pub policy: Policy,
}

/// What a unit should be.
#[derive(Debug, Clone, Default)]
pub struct Wanted {
    /// The rendered files.
    pub files: Arc<Files>,
    /// Changes exactly when the program must be restarted.
    pub token: Token,
    /// Changes when a reload is enough.
    pub reload: Token,
    /// `host:port` of its `/healthz`; without one it counts as healthy while it runs.
    pub health: Option<String>,
    /// The index of the store it comes from.
    pub index: u64,
    /// Values that came from stores.
    pub stored: usize,
    /// Nothing is known yet: what is on the disk stays, and nothing is started.
    pub absent: bool,
    /// Where somebody changed the files in force they stay so, and it is said, until the unit is to
    /// have other files.
    pub report_drift: bool,
    /// A command that must accept the staged files, and its patience.
    pub validate: Option<(Vec<String>, Duration)>,
}

/// What happened, for whoever keeps a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Told {
    /// A generation is in force; the change it asks for, and a masked difference.
    Committed {
        /// Its number.
        number: u64,
        /// What it asks for.
        action: &'static str,
        /// What changed, secrets masked.
        diff: String,
    },
    /// The new files were refused; why.
    Refused(String),
    /// What is in force does it good: it was well for as long as that takes.
    Good,
    /// What is wanted is in force again; no refusal or rollback stands any more.
    Settled,
    /// The last good generation is back.
    RolledBack(u64),
    /// A process was started.
    Started(i32),
    /// The process ended.
    Ended(Exit),
    /// It is ready, or not any more.
    Ready(bool),
    /// It is restarted for its new configuration.
    Restarting,
    /// It read its files again.
    Reloaded(bool),
    /// It says that it is `active` or `standby`, or does not say any more.
    State(Option<String>),
    /// Files in force were changed by somebody else; which, and what was done about it.
    Drift(String),
}

/// What SIGHUP asks for.
#[derive(Debug)]
pub enum Hangup {
    /// The end, as any program's.
    Stop,
    /// A look at the wanted state.
    Look,
    /// These units in place of those with the same names, in the same order.
    Units(Vec<Unit>),
}

/// Where wanted states come from.
pub trait Wants {
    /// The latest wanted state of every unit, in the units' order; or, in one line, why there is
    /// none, in which case nothing changes.
    ///
    /// # Errors
    /// The source cannot be read, or holds something invalid.
    fn read(&mut self) -> Result<Vec<Wanted>, String>;

    /// All units are ready for the first time.
    fn ready(&mut self, wanted: &[Wanted]);

    /// How long the source must be quiet before it is read, and for how long at most.
    fn quiet(&self) -> (Millis, Millis) {
        (QUIET_MS, QUIET_MS_MAX)
    }

    /// Takes note of what happened to a unit.
    fn told(&mut self, _unit: UnitId, _told: Told) {}

    /// What an operator asked for since the last call. Asked whenever `changed` was notified.
    fn commands(&mut self) -> Vec<Event> {
        Vec::new()
    }

    /// The end begins: everything is going to be stopped.
    fn ending(&mut self) {}

    /// SIGHUP came.
    fn hangup(&mut self) -> Hangup {
        Hangup::Stop
    }
}

/// Whether the wanted state is to be read again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum News {
    None,
    /// Once the source is quiet.
    Soon,
    Now,
}

/// What helpers send to the loop.
#[derive(Debug)]
enum Message {
    /// For the core.
    Event(Event),
    /// The answer to a probe that was sent in this phase of the unit's [`Agreement`].
    Probed(UnitId, u64, Said),
    /// What the unit's command says of staged files.
    Checked(UnitId, Result<(), String>),
    /// The unit's generation with this number is in force durably, or why not.
    Synced(UnitId, u64, Result<(), GenerationError>),
}

/// The running units.
pub struct Driver<W> {
    units: Vec<Unit>,
    wants: W,
    launcher: PathBuf,
    core: Supervisor,
    groups: Vec<Option<Group>>,
    wanted: Vec<Wanted>,
    /// Which files did a unit no good, or were refused by its command; not tried again.
    refused: Vec<Option<String>>,
    /// Staged files and how far their check is.
    checks: Vec<Option<Checked>>,
    /// The last complaint about the unit's files and what was wanted then, while it stands.
    complained: Vec<Option<(Token, String)>>,
    /// What was told last of files that somebody else changed.
    drifts: Vec<Option<String>>,
    agreements: Vec<Agreement>,
    /// The last complaint about the wanted state, so that a rescan does not repeat it.
    complaint: Option<String>,
    clock: Instant,
    messages: mpsc::Sender<Message>,
    inbox: mpsc::Receiver<Message>,
    changed: Arc<Notify>,
    signals: [Signal; 3],
}

impl<W: Wants> Driver<W> {
    /// A driver for these units, those with a program first. `changed` is notified when `wants`
    /// should be read again; `launcher` is the path of the howdah program.
    ///
    /// # Errors
    /// Signals cannot be received.
    pub fn new(
        units: Vec<Unit>,
        wants: W,
        changed: Arc<Notify>,
        launcher: PathBuf,
    ) -> io::Result<Self> {
        let (messages, inbox) = mpsc::channel(EVENTS_MAX);
        let running = units.iter().take_while(|unit| unit.program.is_some());
        let policies: Vec<Policy> = running.map(|unit| unit.policy.clone()).collect();
        Ok(Self {
            groups: vec![None; policies.len()],
            core: Supervisor::new(policies),
            wants,
            launcher,
            wanted: vec![Wanted { absent: true, ..Wanted::default() }; units.len()],
            refused: vec![None; units.len()],
            checks: units.iter().map(|_| None).collect(),
            drifts: vec![None; units.len()],
            complained: vec![None; units.len()],
            agreements: units.iter().map(|_| Agreement::default()).collect(),
            units,
            complaint: None,
            clock: Instant::now(),
            messages,
            inbox,
            changed,
            signals: [
                signal(SignalKind::interrupt())?,
                signal(SignalKind::terminate())?,
                signal(SignalKind::hangup())?,
            ],
        })
    }

    fn now(&self) -> Millis {
        self.clock.elapsed().as_millis().try_into().unwrap_or(Millis::MAX)
    }

    /// Runs until everything has stopped; gives back where wanted states came from.
    pub async fn run(mut self, wanted: Vec<Wanted>) -> (Outcome, W) {
        let outcome = self.turn(wanted).await;
        (outcome, self.wants)
    }

    async fn turn(&mut self, wanted: Vec<Wanted>) -> Outcome {
        let mut pending: Option<Pending> = None;
        let mut rescan = self.now() + RESCAN_MS;
        self.recall();
        for event in self.wants.commands() {
            self.core.step(0, &event);
        }
        if let Some(outcome) = self.want(wanted) {
            return outcome;
        }
        loop {
            let quiet = self.wants.quiet();
            let due = pending.map(|pending| pending.due(quiet));
            let deadline = [self.core.deadline(), due, Some(rescan)];
            let deadline = deadline.into_iter().flatten().min().unwrap_or(rescan);
            let (event, news) = self.hear(deadline).await;
            let mut again = news == News::Now;
            if news == News::Soon {
                let now = self.now();
                pending.get_or_insert(Pending { first: now, last: now }).last = now;
            }
            if event == Event::Stop {
                self.wants.ending();
            }
            let commands = self.wants.commands();
            for event in std::iter::once(event).chain(commands) {
                if let Event::Restart(unit) = event {
                    again |= self.forgive(unit);
                }
                if let Some(outcome) = self.feed(event) {
                    return outcome;
                }
            }
            let now = self.now();
            let due = pending.is_some_and(|pending| pending.due(quiet) <= now);
            if again || due || rescan <= now {
                pending = None;
                rescan = now + RESCAN_MS;
                process::end_orphans();
                if let Some(outcome) = self.reread() {
                    return outcome;
                }
                if self.complained.iter().any(Option::is_some) {
                    rescan = now + RETRY_MS;
                }
            }
        }
    }

    /// Waits for what happens next, until the deadline at most.
    async fn hear(&mut self, deadline: Millis) -> (Event, News) {
        let wait = Duration::from_millis(deadline.saturating_sub(self.now()));
        let [interrupt, terminate, hangup] = &mut self.signals;
        tokio::select! {
            // The channel never closes: we hold a sender ourselves.
            message = self.inbox.recv() => match message {
                Some(Message::Event(event)) => (event, News::None),
                Some(Message::Probed(unit, phase, said)) => {
                    (self.probed(unit, phase, said), News::None)
                }
                Some(Message::Checked(unit, verdict)) => {
                    let again = self.checked(unit, verdict);
                    (Event::Tick, if again { News::Now } else { News::None })
                }
                Some(Message::Synced(unit, number, done)) => {
                    self.synced(unit, number, done);
                    (Event::Tick, News::None)
                }
                None => (Event::Tick, News::None),
            },
            _ = interrupt.recv() => (Event::Stop, News::None),
            _ = terminate.recv() => (Event::Stop, News::None),
            _ = hangup.recv() => match self.wants.hangup() {
                Hangup::Stop => (Event::Stop, News::None),
                Hangup::Look => (Event::Tick, News::Now),
                Hangup::Units(units) => {
                    self.replace(units);
                    (Event::Tick, News::Now)
                }
            },
            () = self.changed.notified() => (Event::Tick, News::Soon),
            () = tokio::time::sleep(wait) => (Event::Tick, News::None),
        }
    }

    /// Takes over how units are run. A program that is another one now is restarted.
    fn replace(&mut self, units: Vec<Unit>) {
        let same = |(old, new): (&Unit, &Unit)| old.name == new.name;
        if units.len() != self.units.len() || !self.units.iter().zip(&units).all(same) {
            tracing::error!("other units need a restart of the agent");
            return;
        }
        let before = std::mem::replace(&mut self.units, units);
        for (id, old) in before.iter().enumerate().take(self.groups.len()) {
            self.core.treat(id, self.units[id].policy.clone());
            if old.program != self.units[id].program {
                let _ = self.messages.try_send(Message::Event(Event::Restart(id)));
            }
        }
    }

    /// Steps the core until it has nothing left to do; an outcome ends the loop.
    fn feed(&mut self, event: Event) -> Option<Outcome> {
        let mut queue = VecDeque::from([event]);
        while let Some(event) = queue.pop_front() {
            match event {
                Event::Exited(unit, exit) => {
                    // Its process id may be another's from now on.
                    self.groups[unit] = None;
                    self.wants.told(unit, Told::Ended(exit));
                }
                Event::Health(unit, healthy) if healthy != self.core.ready(unit) => {
                    self.wants.told(unit, Told::Ready(healthy));
                }
                Event::Reloaded(unit, true) => {
                    self.agreements[unit].reads(self.units[unit].generations.link());
                    self.wants.told(unit, Told::Reloaded(true));
                }
                _ => {}
            }
            let now = self.now();
            for action in self.core.step(now, &event) {
                match self.perform(&action) {
                    Done::Quietly => {}
                    Done::With(event) => queue.push_back(event),
                    Done::Forever(outcome) => return Some(outcome),
                }
            }
        }
        None
    }

    fn perform(&mut self, action: &Action) -> Done {
        match *action {
            Action::Spawn(unit) => return Done::With(self.spawn(unit)),
            Action::Terminate(unit) => {
                if let (Some(group), Some(program)) = (self.groups[unit], &self.units[unit].program)
                {
                    group.signal(program.stop);
                }
            }
            Action::Kill(unit) => {
                if let Some(group) = self.groups[unit] {
                    group.kill();
                }
            }
            Action::Probe(unit) => self.probe(unit),
            Action::Reload(unit) => return self.reload(unit),
            Action::Good(unit) => self.good(unit),
            Action::RollBack(unit) => self.roll_back(unit),
            Action::AllReady => self.wants.ready(&self.wanted),
            Action::Note(unit, note) => self.note(unit, note),
            Action::Finish(outcome) => return Done::Forever(outcome),
        }
        Done::Quietly
    }

    fn spawn(&mut self, id: UnitId) -> Event {
        let unit = &self.units[id];
        let Some(program) = &unit.program else { return Event::SpawnFailed(id) };
        self.agreements[id].reads(unit.generations.link());
        match process::spawn(&self.launcher, program, &unit.name) {
            Ok(process) => {
                self.groups[id] = Some(process.group());
                self.wants.told(id, Told::Started(process.group().id()));
                let messages = self.messages.clone();
                tokio::spawn(async move {
                    let exit = process.wait().await;
                    let _ = messages.send(Message::Event(Event::Exited(id, exit))).await;
                });
                Event::Started(id)
            }
            Err(error) => {
                tracing::error!(unit = unit.name, %error, "cannot be started");
                Event::SpawnFailed(id)
            }
        }
    }

    fn probe(&self, id: UnitId) {
        let address = self.wanted[id].health.clone();
        let phase = self.agreements[id].phase();
        let messages = self.messages.clone();
        tokio::spawn(async move {
            let said = match address {
                Some(address) => health::probe(&address).await,
                None => Said { well: true, ..Said::default() },
            };
            let _ = messages.send(Message::Probed(id, phase, said)).await;
        });
    }

    fn probed(&mut self, id: UnitId, phase: u64, said: Said) -> Event {
        if self.agreements[id].state != said.state {
            self.agreements[id].state.clone_from(&said.state);
            self.wants.told(id, Told::State(said.state));
        }
        if let Some(agrees) = self.agreements[id].judge(phase, said.config.as_deref()) {
            // A thing for the core beside the probe's own answer.
            let _ = self.messages.try_send(Message::Event(Event::Agrees(id, agrees)));
        }
        Event::Health(id, said.well)
    }

    fn reload(&mut self, id: UnitId) -> Done {
        self.agreements[id].changes();
        let way = self.units[id].program.as_ref().and_then(|program| program.reload.clone());
        match way {
            None => Done::With(Event::Reloaded(id, false)),
            Some(Reload::Signal(signal)) => {
                if let Some(group) = self.groups[id] {
                    group.signal(signal);
                }
                Done::With(Event::Reloaded(id, true))
            }
            Some(Reload::Http(address)) => {
                let messages = self.messages.clone();
                tokio::spawn(async move {
                    let done = health::post(&address).await;
                    let _ = messages.send(Message::Event(Event::Reloaded(id, done))).await;
                });
                Done::Quietly
            }
        }
    }

    fn note(&mut self, id: UnitId, note: Note) {
        let unit = &self.units[id].name;
        match note {
            Note::Died(Exit::Code(code), pause_ms) => {
                tracing::warn!(unit, code, pause_ms, "ended; starts again after a pause");
            }
            Note::Died(Exit::Signal(signal), pause_ms) => {
                tracing::warn!(unit, signal, pause_ms, "was killed; starts again after a pause");
            }
            Note::Restarting => {
                tracing::info!(unit, "restarts for its new configuration");
                self.wants.told(id, Told::Restarting);
            }
            Note::ReloadFailed => {
                tracing::warn!(unit, "cannot reload its configuration; restarts instead");
                self.wants.told(id, Told::Reloaded(false));
            }
            Note::Differs => {
                tracing::warn!(unit, "runs with another configuration; it is told to reload");
            }
            Note::Stubborn => {
                tracing::error!(unit, "runs with another configuration even after a restart");
            }
            Note::Ready => tracing::info!(unit, "is ready again"),
            Note::Killed => tracing::warn!(unit, "did not stop in time and was killed"),
        }
    }
}

/// What came of an action.
enum Done {
    Quietly,
    With(Event),
    Forever(Outcome),
}
