//! The loop: wait for an event, step the core, perform its actions.
//!
//! One task owns everything that changes; helpers only send events. It runs on the main thread,
//! which is also the thread that makes the children. What the units are and where their wanted
//! state comes from is somebody else's: see [`Unit`] and [`Wants`].

use std::collections::VecDeque;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use hdfs_edge::keys::Change;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{Notify, mpsc};

use crate::actuators::generations::{Files, Generations, Meta};
use crate::actuators::health;
use crate::actuators::process::{self, Group, Program};
use crate::config::Reload;
use crate::core::{Action, Event, Exit, Millis, Note, Outcome, Policy, Supervisor, Token, UnitId};
use crate::engine::change::Marks;
use crate::engine::diff;

/// Events in flight: an exit and a probe's answer for each of many units fit several times.
const EVENTS_MAX: usize = 1024;

/// An edit counts once the store was quiet for this long, so that an editor's dance of renames
/// or a script's dozen of keys is one change.
const QUIET_MS: Millis = 60;

/// ... or once this much time has passed since its first change.
const QUIET_MS_MAX: Millis = 1_000;

/// The store is also read without being told: a watch may lose events.
const RESCAN_MS: Millis = 30_000;

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
#[derive(Debug)]
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
    pub files: Files,
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

    /// SIGHUP came. Without an answer it means stop.
    fn hangup(&mut self) -> bool {
        false
    }
}

/// The running units.
pub struct Driver<'a, W> {
    units: &'a [Unit],
    wants: W,
    launcher: PathBuf,
    core: Supervisor,
    groups: Vec<Option<Group>>,
    wanted: Vec<Wanted>,
    /// Files that did a unit no good, or that its command refused; not tried again.
    refused: Vec<Option<Files>>,
    /// The last complaint about the wanted state, so that a rescan does not repeat it.
    complaint: Option<String>,
    clock: Instant,
    events: mpsc::Sender<Event>,
    inbox: mpsc::Receiver<Event>,
    changed: Arc<Notify>,
    signals: [Signal; 3],
}

impl<'a, W: Wants> Driver<'a, W> {
    /// A driver for these units, those with a program first. `changed` is notified when `wants`
    /// should be read again; `launcher` is the path of the howdah program.
    ///
    /// # Errors
    /// Signals cannot be received.
    pub fn new(
        units: &'a [Unit],
        wants: W,
        changed: Arc<Notify>,
        launcher: PathBuf,
    ) -> io::Result<Self> {
        let (events, inbox) = mpsc::channel(EVENTS_MAX);
        let running = units.iter().take_while(|unit| unit.program.is_some());
        let policies: Vec<Policy> = running.map(|unit| unit.policy.clone()).collect();
        Ok(Self {
            groups: vec![None; policies.len()],
            core: Supervisor::new(policies),
            units,
            wants,
            launcher,
            wanted: vec![Wanted::default(); units.len()],
            refused: vec![None; units.len()],
            complaint: None,
            clock: Instant::now(),
            events,
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

    /// Runs until everything has stopped.
    pub async fn run(mut self, wanted: Vec<Wanted>) -> Outcome {
        let mut pending: Option<Pending> = None;
        let mut rescan = self.now() + RESCAN_MS;
        self.recall();
        for event in self.wants.commands() {
            self.core.step(0, &event);
        }
        if let Some(outcome) = self.want(wanted).await {
            return outcome;
        }
        loop {
            let quiet = self.wants.quiet();
            let due = pending.map(|pending| pending.due(quiet));
            let deadline = [self.core.deadline(), due, Some(rescan)];
            let deadline = deadline.into_iter().flatten().min().unwrap_or(rescan);
            let wait = Duration::from_millis(deadline.saturating_sub(self.now()));
            let [interrupt, terminate, hangup] = &mut self.signals;
            let event = tokio::select! {
                // The channel never closes: we hold a sender ourselves.
                event = self.inbox.recv() => event.unwrap_or(Event::Tick),
                _ = interrupt.recv() => Event::Stop,
                _ = terminate.recv() => Event::Stop,
                _ = hangup.recv() => match self.wants.hangup() {
                    true => {
                        pending = Some(Pending { first: 0, last: 0 });
                        Event::Tick
                    }
                    false => Event::Stop,
                },
                () = self.changed.notified() => {
                    let now = self.now();
                    pending.get_or_insert(Pending { first: now, last: now }).last = now;
                    Event::Tick
                }
                () = tokio::time::sleep(wait) => Event::Tick,
            };
            let commands = self.wants.commands();
            for event in std::iter::once(event).chain(commands) {
                if let Some(outcome) = self.feed(event) {
                    return outcome;
                }
            }
            let now = self.now();
            if pending.is_some_and(|pending| pending.due(quiet) <= now) || rescan <= now {
                pending = None;
                rescan = now + RESCAN_MS;
                if let Some(outcome) = self.reread().await {
                    return outcome;
                }
            }
        }
    }

    /// Steps the core until it has nothing left to do; an outcome ends the loop.
    fn feed(&mut self, event: Event) -> Option<Outcome> {
        let mut queue = VecDeque::from([event]);
        while let Some(event) = queue.pop_front() {
            if let Event::Exited(unit, exit) = event {
                // Its process id may be another's from now on.
                self.groups[unit] = None;
                self.wants.told(unit, Told::Ended(exit));
            }
            let now = self.now();
            if let Event::Health(unit, healthy) = event
                && healthy != self.core.ready(unit)
            {
                self.wants.told(unit, Told::Ready(healthy));
            }
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
        match process::spawn(&self.launcher, program, &unit.name) {
            Ok(process) => {
                self.groups[id] = Some(process.group());
                self.wants.told(id, Told::Started(process.group().id()));
                let events = self.events.clone();
                tokio::spawn(async move {
                    let exit = process.wait().await;
                    let _ = events.send(Event::Exited(id, exit)).await;
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
        let events = self.events.clone();
        tokio::spawn(async move {
            let healthy = match address {
                Some(address) => health::probe(&address).await,
                None => true,
            };
            let _ = events.send(Event::Health(id, healthy)).await;
        });
    }

    /// What the disk knows of configurations that did good.
    fn recall(&mut self) {
        for id in 0..self.groups.len() {
            let generations = &self.units[id].generations;
            generations.clean();
            if let Some(meta) = generations.good().and_then(|number| generations.meta(number)) {
                let marks = meta.marks();
                self.core.step(0, &Event::Good(id, marks.restart, marks.reload));
            }
        }
    }

    fn reload(&self, id: UnitId) -> Done {
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
                let events = self.events.clone();
                tokio::spawn(async move {
                    let done = health::post(&address).await;
                    let _ = events.send(Event::Reloaded(id, done)).await;
                });
                Done::Quietly
            }
        }
    }

    fn good(&self, id: UnitId) {
        let generations = &self.units[id].generations;
        if let Some(number) = generations.current()
            && let Err(error) = generations.mark_good(number)
        {
            tracing::warn!(unit = self.units[id].name, "{error}");
        }
    }

    fn roll_back(&mut self, id: UnitId) {
        let (unit, generations) = (&self.units[id].name, &self.units[id].generations);
        let Some(number) = generations.good() else {
            tracing::error!(unit, "no good generation is left to go back to");
            return;
        };
        match generations.roll_back(number) {
            Ok(()) => {
                tracing::error!(
                    unit,
                    number,
                    "does no good with its new configuration; rolled back"
                );
                self.refused[id] = Some(std::mem::take(&mut self.wanted[id].files));
                self.wants.told(id, Told::RolledBack(number));
            }
            Err(error) => tracing::error!(unit, "{error}"),
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
            Note::Ready => tracing::info!(unit, "is ready again"),
            Note::Killed => tracing::warn!(unit, "did not stop in time and was killed"),
        }
    }

    /// Looks at the wanted state; what is wrong changes nothing and is told once.
    async fn reread(&mut self) -> Option<Outcome> {
        match self.wants.read() {
            Ok(wanted) => {
                self.complaint = None;
                self.want(wanted).await
            }
            Err(complaint) => {
                if self.complaint.as_ref() != Some(&complaint) {
                    tracing::error!(
                        "the new configuration is refused, nothing changes: {complaint}"
                    );
                }
                self.complaint = Some(complaint);
                None
            }
        }
    }

    /// Puts files in force and tells the core. A unit whose files cannot be written keeps all of
    /// its old state; the next rescan tries again.
    async fn want(&mut self, wanted: Vec<Wanted>) -> Option<Outcome> {
        for (id, wanted) in wanted.into_iter().enumerate() {
            if wanted.absent || self.refused[id].as_ref() == Some(&wanted.files) {
                continue;
            }
            self.refused[id] = None;
            if let Err(error) = self.commit(id, &wanted).await {
                let unit = &self.units[id].name;
                tracing::error!(unit, "{error}");
                self.wants.told(id, Told::Refused(error));
                continue;
            }
            let (token, reload) = (wanted.token, wanted.reload);
            self.wanted[id] = wanted;
            if self.units[id].program.is_none() {
                continue;
            }
            for event in [Event::Reloadable(id, reload), Event::Wanted(id, token)] {
                if let Some(outcome) = self.feed(event) {
                    return Some(outcome);
                }
            }
        }
        None
    }

    /// Stages, checks and swaps; nothing when these files are in force already.
    async fn commit(&mut self, id: UnitId, wanted: &Wanted) -> Result<(), String> {
        let unit = &self.units[id];
        let generations = &unit.generations;
        if generations.holds(&wanted.files) {
            return Ok(());
        }
        if wanted.report_drift && generations.put(&wanted.files) {
            let drift = generations.drift().join(", ");
            tracing::warn!(unit = unit.name, drift, "files were changed by somebody else");
            return Ok(());
        }
        let failed = |error: crate::actuators::generations::GenerationError| error.to_string();
        let staged = generations.stage(&wanted.files).map_err(failed)?;
        if let Some((command, patience)) = &wanted.validate
            && let Err(error) = process::check(command, staged.folder(), *patience).await
        {
            self.refused[id] = Some(wanted.files.clone());
            generations.clean();
            // What a command says about a secret file may quote it.
            let secret = wanted.files.values().any(|file| file.secret);
            let masked = format!("{} refuses the files (its reason is masked)", command[0]);
            return Err(if secret { masked } else { error });
        }
        let current = generations.current();
        let old = generations.in_force(&wanted.files);
        let before = current.and_then(|number| generations.meta(number)).map(|meta| meta.marks());
        let marks = Marks { restart: wanted.token, reload: wanted.reload };
        let action = match before.map(|before| before.to(marks)) {
            None => "start",
            Some(Change::None) => "none",
            Some(Change::Reload) => "reload",
            Some(Change::Restart) => "restart",
        };
        let meta = Meta {
            index: wanted.index,
            stored: wanted.stored,
            reason: action.to_owned(),
            restart: marks.restart,
            reload: marks.reload,
            ..Meta::default()
        };
        let good = generations.good().and_then(|good| generations.meta(good));
        let number = generations.publish(staged, &wanted.files, meta).map_err(failed)?;
        // What asks for nothing is as good as what it follows.
        if good.is_some_and(|good| good.marks() == marks) {
            generations.mark_good(number).map_err(failed)?;
        }
        tracing::info!(unit = unit.name, number, "has a new configuration");
        let diff = diff::diff(&old, &wanted.files);
        self.wants.told(id, Told::Committed { number, action, diff });
        Ok(())
    }
}

/// What came of an action.
enum Done {
    Quietly,
    With(Event),
    Forever(Outcome),
}
