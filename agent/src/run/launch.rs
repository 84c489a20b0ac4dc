//! What a unit's program waits for: its components, what must be there, and its preparation.
//!
//! In this order, once per agent and unit: components are fetched; what must be there is waited
//! for; the preparation runs, if the folders ask for it and the unit's files are in force. The core
//! holds the unit until all is done. A step that fails is told, counts as a failure of the unit and
//! is tried again after a pause. Steps run as tasks of this thread, which alone may make children;
//! they only leave a result, and `look` acts on it.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio::task::JoinHandle;

use super::inputs::Sources;
use super::units::{millis, program};
use super::{Agent, generations, ordered};
use crate::actuators::fetch::{self, Fetched, Progress};
use crate::actuators::prepare::{self, Next};
use crate::actuators::process::{self, Program};
use crate::config::{AgentConfig, Awaited, Fetch, Prepare, UnitConfig, WaitFor, expand};
use crate::core::{Backoff, Event, Token, UnitId};
use crate::driver::Told;

/// Between two looks at an address, as flokkr's launcher does it.
const POLL: Duration = Duration::from_secs(1);

/// An address that does not answer a connect in this time is not there.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// How often the status learns how far a step is.
const TELL_EVERY: Duration = Duration::from_secs(2);

/// What there is to do for one unit.
#[derive(Debug, Clone, PartialEq)]
struct Plan {
    name: String,
    fetch: Vec<Fetch>,
    waits: Vec<WaitFor>,
    prepare: Option<(Prepare, Program)>,
    /// The unit's folder below the state folder.
    folder: PathBuf,
}

impl Plan {
    fn of(config: &AgentConfig, unit: &UnitConfig) -> Result<Self, String> {
        let state = config.state_dir.display().to_string();
        let late = [("state_dir", state.as_str()), ("unit.name", &unit.name)];
        let put = |path: &PathBuf| PathBuf::from(expand(&path.display().to_string(), &late));
        let fetch = unit.fetch.iter().map(|fetch| Fetch { to: put(&fetch.to), ..fetch.clone() });
        let prepare = unit.prepare.as_ref().map(|prepare| {
            let when_empty = prepare.when_empty.iter().map(put).collect();
            let program = program(config, unit, &prepare.command)?;
            Ok::<_, String>((Prepare { when_empty, ..prepare.clone() }, program))
        });
        Ok(Self {
            name: unit.name.clone(),
            fetch: fetch.collect(),
            waits: unit.wait_for.clone(),
            prepare: prepare.transpose()?,
            folder: unit.folder(&config.state_dir),
        })
    }
}

/// How far a unit is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Fetch,
    Prepare,
    Done,
}

/// What a step left: lines for the history, or why it failed.
type Outcome = Result<Vec<String>, String>;

/// A step under way; it ends with this.
struct Attempt {
    left: Arc<Mutex<Option<Outcome>>>,
    progress: Arc<Progress>,
    what: Arc<Mutex<String>>,
    task: JoinHandle<()>,
}

impl Drop for Attempt {
    fn drop(&mut self) {
        self.progress.stop();
        self.task.abort();
    }
}

/// One thing that is waited for.
#[derive(Default)]
struct Waiting {
    since: Option<Instant>,
    probe: Option<(Arc<AtomicBool>, JoinHandle<()>)>,
}

impl Waiting {
    fn over(&mut self) {
        self.since = None;
        if let Some((_, task)) = self.probe.take() {
            task.abort();
        }
    }
}

struct Launch {
    plan: Plan,
    stage: Stage,
    attempt: Option<Attempt>,
    backoff: Backoff,
    /// When a step that failed is tried again, and why it failed.
    again: Option<(Instant, String)>,
    waits: Vec<Waiting>,
    running: bool,
    /// The files that it is to have, where that is known.
    files: Option<Token>,
    /// The core knows that nothing holds it back any more.
    let_go: bool,
    /// It runs with components that were replaced meanwhile.
    restart: bool,
}

/// What a look at a unit gives.
#[derive(Default)]
struct Look {
    events: Vec<Event>,
    /// For the history: the kind of event and the words.
    told: Vec<(&'static str, String)>,
    /// For the status: why the program is not started.
    status: Option<String>,
}

/// The launches of all units with a program, in the driver's order.
pub(super) struct Launches {
    launcher: PathBuf,
    changed: Arc<Notify>,
    units: Vec<Launch>,
}

impl Launches {
    pub(super) fn new(config: &AgentConfig, changed: &Arc<Notify>) -> Result<Self, String> {
        let launcher = std::env::current_exe().map_err(|error| error.to_string())?;
        let running = ordered(config).into_iter().filter(|unit| unit.command.is_some());
        let units = running.map(|unit| {
            let backoff = Backoff::new(millis(unit.restart.backoff), millis(unit.restart.cap));
            let plan = Plan::of(config, unit)?;
            Ok::<_, String>(Launch {
                waits: plan.waits.iter().map(|_| Waiting::default()).collect(),
                backoff: backoff.stepping(unit.restart.step.map(millis)),
                plan,
                stage: Stage::Fetch,
                attempt: None,
                again: None,
                running: false,
                files: None,
                let_go: false,
                restart: false,
            })
        });
        Ok(Self { launcher, changed: changed.clone(), units: units.collect::<Result<_, _>>()? })
    }

    /// Goes on with these launches: what is the same stays. A unit that runs is not prepared, and
    /// restarted once it has its other components.
    pub(super) fn follow(&mut self, next: Self) {
        for (before, mut after) in self.units.iter_mut().zip(next.units) {
            if before.plan == after.plan {
                continue;
            }
            after.running = before.running;
            after.restart = after.running && before.plan.fetch != after.plan.fetch;
            if after.running {
                after.plan.prepare = None;
            }
            before.waits.iter_mut().for_each(Waiting::over);
            *before = after;
        }
    }

    pub(super) fn told(&mut self, id: UnitId, told: &Told) {
        let Some(launch) = self.units.get_mut(id) else { return };
        match told {
            Told::Started(_) => launch.running = true,
            Told::Ended(_) => launch.running = false,
            Told::Committed { .. } if launch.stage != Stage::Done => {
                return self.changed.notify_one();
            }
            _ => return,
        }
        launch.waits.iter_mut().for_each(Waiting::over);
    }

    /// A unit is to have these files now: what waits for them looks again once they are in force.
    pub(super) fn wants(&mut self, id: UnitId, token: Option<Token>) {
        let Some(launch) = self.units.get_mut(id).filter(|launch| !launch.let_go) else { return };
        if std::mem::replace(&mut launch.files, token) != token {
            self.changed.notify_one();
        }
    }

    /// Whether there is nothing to look at: every unit may start whenever the core says so.
    fn quiet(&self) -> bool {
        self.units.iter().all(|launch| launch.let_go && launch.waits.is_empty())
    }

    /// Goes on with a unit. `in_force`: its files are.
    fn look(&mut self, id: UnitId, sources: &mut Sources, in_force: &dyn Fn() -> bool) -> Look {
        let mut look = Look::default();
        let Some(launch) = self.units.get_mut(id) else { return look };
        launch.take(id, &mut look);
        if launch.stage == Stage::Fetch && launch.ready_to_try() {
            match launch.plan.fetch.is_empty() {
                true => launch.stage = Stage::Prepare,
                false => launch.begin_fetch(&self.changed),
            }
        }
        let wait = launch.wait(id, sources, &self.changed, &mut look);
        if launch.stage == Stage::Prepare && wait.is_none() && launch.ready_to_try() {
            launch.begin_prepare(id, &self.launcher, &self.changed, in_force, &mut look);
        }
        if launch.stage == Stage::Done && std::mem::take(&mut launch.restart) && launch.running {
            look.events.push(Event::Restart(id));
        }
        let held = launch.stage != Stage::Done || wait.is_some();
        look.events.push(Event::Held(id, held));
        launch.let_go = !held;
        look.status = launch.status(wait).filter(|_| held && !launch.running);
        launch.wake(&self.changed);
        look
    }
}

impl Launch {
    fn ready_to_try(&self) -> bool {
        let due = |(at, _): &(Instant, String)| *at <= Instant::now();
        self.attempt.is_none() && self.again.as_ref().is_none_or(due)
    }

    /// Takes what a step left.
    fn take(&mut self, id: UnitId, look: &mut Look) {
        let left =
            |attempt: &Attempt| attempt.left.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(outcome) = self.attempt.as_ref().and_then(left) else { return };
        self.attempt = None;
        match outcome {
            Ok(lines) => {
                let event = if self.stage == Stage::Fetch { "fetched" } else { "prepared" };
                look.told.extend(lines.into_iter().map(|line| (event, line)));
                self.succeeded();
            }
            Err(reason) => self.failed(id, reason, look),
        }
    }

    fn succeeded(&mut self) {
        self.backoff.reset();
        self.again = None;
        self.stage = match self.stage {
            Stage::Fetch => Stage::Prepare,
            Stage::Prepare | Stage::Done => Stage::Done,
        };
    }

    fn failed(&mut self, id: UnitId, reason: String, look: &mut Look) {
        let (unit, pause) = (&self.plan.name, Duration::from_millis(self.backoff.pause()));
        let step = if self.stage == Stage::Fetch { "fetch" } else { "prepare" };
        tracing::error!(unit, "{step} failed, again after {pause:?}: {reason}");
        look.told.push(("launch failed", format!("{step}: {reason}")));
        if !self.running {
            look.events.push(Event::Late(id));
        }
        self.again = Some((Instant::now() + pause, format!("{step} failed: {reason}")));
    }

    /// Has the loop look again when a pause is over.
    fn wake(&self, changed: &Arc<Notify>) {
        let Some((at, _)) = self.again.as_ref().filter(|_| self.attempt.is_none()) else { return };
        let (at, changed) = (*at, changed.clone());
        tokio::spawn(async move {
            tokio::time::sleep_until(at.into()).await;
            changed.notify_one();
        });
    }

    fn attempt<F>(
        &mut self,
        changed: &Arc<Notify>,
        first: String,
        step: impl FnOnce(Arc<Progress>, Arc<Mutex<String>>) -> F,
    ) where
        F: Future<Output = Outcome> + 'static + Send,
    {
        let (left, progress) = (Arc::new(Mutex::new(None)), Arc::new(Progress::default()));
        let what = Arc::new(Mutex::new(first));
        let work = step(progress.clone(), Arc::clone(&what));
        let (leave, changed) = (left.clone(), changed.clone());
        let task = tokio::spawn(async move {
            let mut work = std::pin::pin!(work);
            let outcome = loop {
                match tokio::time::timeout(TELL_EVERY, &mut work).await {
                    Ok(outcome) => break outcome,
                    // The status is to show how far it is.
                    Err(_) => changed.notify_one(),
                }
            };
            *leave.lock().unwrap_or_else(PoisonError::into_inner) = Some(outcome);
            changed.notify_one();
        });
        self.again = None;
        self.attempt = Some(Attempt { left, progress, what, task });
    }

    fn begin_fetch(&mut self, changed: &Arc<Notify>) {
        let (all, unit) = (self.plan.fetch.clone(), self.plan.name.clone());
        let first = all.first().map_or(String::new(), |each| format!("fetches {}", each.name));
        self.attempt(changed, first, |progress, what| async move {
            let mut told = Vec::new();
            for each in all {
                let name = &each.name;
                *what.lock().unwrap_or_else(PoisonError::into_inner) = format!("fetches {name}");
                match fetch::fetch(&each, &progress).await {
                    Ok(Fetched::Kept) => {}
                    Ok(Fetched::Placed) => {
                        let (from, to) = (fetch::public(&each.url), each.to.display());
                        tracing::info!(unit, component = name, "fetched from {from} to {to}");
                        told.push(format!("{name}: {} from {from} to {to}", each.checksum));
                    }
                    Err(error) => return Err(format!("{name}: {error}")),
                }
            }
            Ok(told)
        });
    }

    fn begin_prepare(
        &mut self,
        id: UnitId,
        launcher: &std::path::Path,
        changed: &Arc<Notify>,
        in_force: &dyn Fn() -> bool,
        look: &mut Look,
    ) {
        let Some((prepare, program)) = self.plan.prepare.clone() else { return self.succeeded() };
        match prepare::next(&prepare, &self.plan.folder) {
            Ok(Next::Start) => return self.succeeded(),
            Err(reason) => return self.failed(id, reason, look),
            Ok(Next::Run) if !in_force() => return,
            Ok(Next::Run) => {}
        }
        let (unit, folder) = (self.plan.name.clone(), self.plan.folder.clone());
        let launcher = launcher.to_owned();
        let words = words(&program);
        let what = format!("is prepared by {words}");
        tracing::info!(unit, "{what}");
        self.attempt(changed, what, |_, _| async move {
            prepare::begin(&prepare, &folder)?;
            process::run_once(&launcher, &program, &unit, prepare.timeout).await?;
            prepare::finish(&prepare, &folder)?;
            tracing::info!(unit, "is prepared");
            Ok(vec![words])
        });
    }

    /// What is still waited for, in words.
    fn wait(
        &mut self,
        id: UnitId,
        sources: &mut Sources,
        changed: &Arc<Notify>,
        look: &mut Look,
    ) -> Option<String> {
        let mut first = None;
        for (wait, waiting) in self.plan.waits.iter().zip(&mut self.waits) {
            let missing = match &wait.what {
                Awaited::Service { name, passing } => {
                    // Asked also while it runs, so that the answer is there when it ends.
                    let there = sources.passing(name);
                    let told = format!("{there} of {passing} passing instances of {name}");
                    (there < *passing as usize).then_some(told)
                }
                Awaited::Address(_) if self.running => None,
                Awaited::Address(address) => {
                    let reached =
                        waiting.probe.get_or_insert_with(|| probe(address, wait, changed));
                    (!reached.0.load(Ordering::Relaxed)).then(|| address.clone())
                }
            };
            let Some(missing) = missing else {
                waiting.since = None;
                continue;
            };
            let since = *waiting.since.get_or_insert_with(Instant::now);
            if since.elapsed() >= wait.timeout && !self.running && self.stage != Stage::Fetch {
                waiting.since = Some(Instant::now());
                look.events.push(Event::Late(id));
                let (unit, timeout) = (&self.plan.name, wait.timeout);
                tracing::error!(unit, "waited {timeout:?} in vain for {missing}; waits on");
            }
            first.get_or_insert(missing);
        }
        first
    }

    fn status(&self, wait: Option<String>) -> Option<String> {
        if let Some(attempt) = &self.attempt {
            let what = attempt.what.lock().unwrap_or_else(PoisonError::into_inner).clone();
            let far = attempt.progress.text();
            return Some(if far.is_empty() { what } else { format!("{what}: {far}") });
        }
        let failed = self.again.as_ref().map(|(_, reason)| reason.clone());
        failed.or_else(|| wait.map(|what| format!("waits for {what}")))
    }
}

/// Tries an address until it takes a connection; wakes the loop then, and when time is over.
fn probe(
    address: &str,
    wait: &WaitFor,
    changed: &Arc<Notify>,
) -> (Arc<AtomicBool>, JoinHandle<()>) {
    let reached = Arc::new(AtomicBool::new(false));
    let (tell, changed) = (reached.clone(), changed.clone());
    let (address, timeout) = (address.to_owned(), wait.timeout);
    let task = tokio::spawn(async move {
        let mut since = Instant::now();
        loop {
            let connect = TcpStream::connect(&address);
            if let Ok(Ok(_)) = tokio::time::timeout(CONNECT_TIMEOUT, connect).await {
                tell.store(true, Ordering::Relaxed);
                changed.notify_one();
                return;
            }
            if since.elapsed() >= timeout {
                since = Instant::now();
                changed.notify_one();
            }
            tokio::time::sleep(POLL.min(timeout)).await;
        }
    });
    (reached, task)
}

fn words(program: &Program) -> String {
    let mut words = vec![program.path.display().to_string()];
    words.extend(program.arguments.iter().map(|word| word.to_string_lossy().into_owned()));
    words.join(" ")
}

impl Agent {
    /// Holds back units that are not to be started yet.
    pub(super) fn holds(&mut self) -> Vec<Event> {
        if self.launches.quiet() {
            return Vec::new();
        }
        let units: BTreeMap<UnitId, UnitConfig> =
            ordered(&self.config).into_iter().cloned().enumerate().collect();
        let mut events = Vec::new();
        for (id, unit) in &units {
            if unit.command.is_none() {
                continue;
            }
            let generations = generations(&self.config, unit);
            let wanted = &self.planned[*id].wanted;
            let in_force = || {
                let meta = generations.current().and_then(|number| generations.meta(number));
                let same = meta.is_some_and(|meta| meta.restart == wanted.token);
                !wanted.absent && (same || generations.refused().is_some())
            };
            let look = self.launches.look(*id, &mut self.sources, &in_force);
            for (event, text) in look.told {
                self.history.launched(&unit.name, event, &text);
            }
            self.board.launch(*id, look.status);
            events.extend(look.events);
        }
        events
    }
}
