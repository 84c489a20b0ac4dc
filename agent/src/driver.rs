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

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{Notify, mpsc};

use crate::actuators::generations::{Files, Generations};
use crate::actuators::health;
use crate::actuators::process::{self, Group, Program};
use crate::core::{Action, Event, Exit, Millis, Note, Outcome, Policy, Supervisor, Token, UnitId};

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
    fn due(self) -> Millis {
        (self.last + QUIET_MS).min(self.first + QUIET_MS_MAX)
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
    /// `host:port` of its `/healthz`; without one it counts as healthy while it runs.
    pub health: Option<String>,
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
}

/// The running units.
pub struct Driver<'a, W> {
    units: &'a [Unit],
    wants: W,
    launcher: PathBuf,
    core: Supervisor,
    groups: Vec<Option<Group>>,
    wanted: Vec<Wanted>,
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
        if let Some(outcome) = self.want(wanted) {
            return outcome;
        }
        loop {
            let deadline = [self.core.deadline(), pending.map(Pending::due), Some(rescan)];
            let deadline = deadline.into_iter().flatten().min().unwrap_or(rescan);
            let wait = Duration::from_millis(deadline.saturating_sub(self.now()));
            let [interrupt, terminate, hangup] = &mut self.signals;
            let event = tokio::select! {
                // The channel never closes: we hold a sender ourselves.
                event = self.inbox.recv() => event.unwrap_or(Event::Tick),
                _ = interrupt.recv() => Event::Stop,
                _ = terminate.recv() => Event::Stop,
                _ = hangup.recv() => Event::Stop,
                () = self.changed.notified() => {
                    let now = self.now();
                    pending.get_or_insert(Pending { first: now, last: now }).last = now;
                    Event::Tick
                }
                () = tokio::time::sleep(wait) => Event::Tick,
            };
            if let Some(outcome) = self.feed(event) {
                return outcome;
            }
            let now = self.now();
            if pending.is_some_and(|pending| pending.due() <= now) || rescan <= now {
                pending = None;
                rescan = now + RESCAN_MS;
                if let Some(outcome) = self.reread() {
                    return outcome;
                }
            }
        }
    }

    /// Steps the core until it has nothing left to do; an outcome ends the loop.
    fn feed(&mut self, event: Event) -> Option<Outcome> {
        let mut queue = VecDeque::from([event]);
        while let Some(event) = queue.pop_front() {
            if let Event::Exited(unit, _) = event {
                // Its process id may be another's from now on.
                self.groups[unit] = None;
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
                if let Some(group) = self.groups[unit] {
                    group.terminate();
                }
            }
            Action::Kill(unit) => {
                if let Some(group) = self.groups[unit] {
                    group.kill();
                }
            }
            Action::Probe(unit) => self.probe(unit),
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

    fn note(&self, id: UnitId, note: Note) {
        let unit = &self.units[id].name;
        match note {
            Note::Died(Exit::Code(code), pause_ms) => {
                tracing::warn!(unit, code, pause_ms, "ended; starts again after a pause");
            }
            Note::Died(Exit::Signal(signal), pause_ms) => {
                tracing::warn!(unit, signal, pause_ms, "was killed; starts again after a pause");
            }
            Note::Restarting => tracing::info!(unit, "restarts for its new configuration"),
            Note::Ready => tracing::info!(unit, "is ready again"),
            Note::Killed => tracing::warn!(unit, "did not stop in time and was killed"),
        }
    }

    /// Looks at the wanted state; what is wrong changes nothing and is told once.
    fn reread(&mut self) -> Option<Outcome> {
        match self.wants.read() {
            Ok(wanted) => {
                self.complaint = None;
                self.want(wanted)
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
    fn want(&mut self, wanted: Vec<Wanted>) -> Option<Outcome> {
        for (id, wanted) in wanted.into_iter().enumerate() {
            let unit = &self.units[id];
            match unit.generations.commit(&wanted.files) {
                Ok(written) => {
                    if written {
                        let number = unit.generations.current().unwrap_or_default();
                        tracing::info!(unit = unit.name, number, "has a new configuration");
                    }
                    let token = wanted.token;
                    self.wanted[id] = wanted;
                    if unit.program.is_some()
                        && let Some(outcome) = self.feed(Event::Wanted(id, token))
                    {
                        return Some(outcome);
                    }
                }
                Err(error) => tracing::error!(unit = unit.name, "{error}; trying again"),
            }
        }
        None
    }
}

/// What came of an action.
enum Done {
    Quietly,
    With(Event),
    Forever(Outcome),
}
