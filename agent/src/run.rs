//! `howdah agent`: one host's units, from the sources to running programs.
//!
//! `inputs` gathers what the sources last said; the engine plans; the driver acts. State, and who
//! owns it:
//!
//! - [`Agent`] (the driver's task) owns the configuration, the inputs last *taken* per unit, and a
//!   [`Quiet`] per unit. New inputs arm the quiet period of the units whose render differs; when it
//!   is over, or its commit mark changed, the unit takes the inputs.
//! - [`status::Board`] is shared with the API, which only reads it and queues [`Command`]s.
//!
//! Invariants: a unit's files all come from one KV index; a source that fails changes nothing; a
//! unit that cannot be rendered keeps what it has; while frozen nothing is taken.

pub mod history;
pub mod inputs;
mod last_good;
mod remote;
pub mod status;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use hdfs_edge::daemon::{self, Failure, LogFormat};
use tokio::sync::Notify;

use crate::actuators::generations::Generations;
use crate::actuators::lock;
use crate::actuators::process::Program;
use crate::api;
use crate::config::{self, AgentConfig, OnMissing, Scope, UnitConfig, expand};
use crate::core::{Event, Exit, Millis, Outcome, Policy, UnitId};
use crate::driver::{Driver, Told, Unit, Wanted, Wants};
use crate::engine::change;
use crate::engine::quiet::Quiet;
use crate::engine::{self, Inputs, Memo, Rendered};
use history::History;
use inputs::Sources;
use last_good::from_disk;
use status::{Board, Command};

/// How long a start waits for sources before it takes the last good generations.
const FIRST_ANSWER: Duration = Duration::from_secs(5);

/// How long a program without a ready check must run before its configuration counts as good.
const GOOD_AFTER_MS: Millis = 1_000;

/// What the command line says.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Configuration files and folders.
    pub config: Vec<PathBuf>,
    /// Only these units; all when empty.
    pub units: Vec<String>,
}

/// Loads the configuration and keeps the units asked for.
///
/// # Errors
/// All problems, one a line.
pub fn load(options: &Options) -> Result<AgentConfig, String> {
    let mut config = config::load(&options.config, &Scope::of_process()).map_err(|problems| {
        problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
    })?;
    for name in &options.units {
        if !config.units.iter().any(|unit| unit.name == *name) {
            let known: Vec<&str> = config.units.iter().map(|unit| unit.name.as_str()).collect();
            return Err(format!("there is no unit {name}; known are {}", known.join(", ")));
        }
    }
    if !options.units.is_empty() {
        config.units.retain(|unit| options.units.contains(&unit.name));
    }
    Ok(config)
}

/// Runs the agent until it is stopped. Must be called on the main thread.
///
/// # Errors
/// It could not start, or a unit's failure budget is used up.
pub fn run(options: &Options) -> Result<(), Failure> {
    let config = load(options).map_err(Failure::user)?;
    daemon::init_logging(if config.log_json { LogFormat::Json } else { LogFormat::Text });
    // Grandchildren whose parents die become ours, and are killed with their group.
    if let Err(error) = nix::sys::prctl::set_child_subreaper(true) {
        tracing::warn!(%error, "cannot become a subreaper");
    }
    std::fs::create_dir_all(&config.state_dir).map_err(|error| {
        Failure::user(format!("cannot create {}: {error}", config.state_dir.display()))
    })?;
    let _lock = lock::acquire(&config.state_dir.join("agent.lock")).map_err(Failure::user)?;
    let launcher = std::env::current_exe().map_err(Failure::failed)?;
    let units = units(&config).map_err(Failure::user)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(Failure::failed)?;
    let outcome = runtime.block_on(async {
        let changed = Arc::new(Notify::new());
        let board = Arc::new(Board::new(&config, changed.clone()));
        let _api = api::serve(&config, board.clone()).await.map_err(Failure::user)?;
        let mut agent = Agent::new(options.clone(), config, changed.clone(), board);
        agent.first_answer().await;
        let wanted = agent.read().map_err(Failure::user)?;
        status::sd_notify("READY=1");
        let driver = Driver::new(&units, agent, changed, launcher)
            .map_err(|error| Failure::failed(format!("cannot watch signals: {error}")))?;
        Ok::<_, Failure>(driver.run(wanted).await)
    })?;
    status::sd_notify("STOPPING=1");
    match outcome {
        Outcome::Stopped => Ok(()),
        Outcome::Refused(unit) => {
            Err(Failure::user(format!("{} refuses its configuration", units[unit].name)))
        }
        Outcome::GaveUp(unit) => Err(Failure::failed(format!(
            "{} failed too often and there is no good generation left to go back to",
            units[unit].name
        ))),
    }
}

/// The folder of generations of a unit.
pub fn generations(config: &AgentConfig, unit: &UnitConfig) -> Generations {
    let link = unit.conf_dir(&config.state_dir);
    Generations::new(&unit.folder(&config.state_dir), link).keeping(unit.keep)
}

/// The units for the driver, in its order: those with a program first.
fn units(config: &AgentConfig) -> Result<Vec<Unit>, String> {
    ordered(config).into_iter().map(|unit| driven(config, unit)).collect()
}

fn ordered(config: &AgentConfig) -> Vec<&UnitConfig> {
    let mut units: Vec<&UnitConfig> = config.units.iter().collect();
    units.sort_by_key(|unit| unit.command.is_none());
    units
}

fn driven(config: &AgentConfig, unit: &UnitConfig) -> Result<Unit, String> {
    let folder = unit.folder(&config.state_dir);
    std::fs::create_dir_all(&folder)
        .map_err(|error| format!("cannot create {}: {error}", folder.display()))?;
    let state = config.state_dir.display().to_string();
    let conf = unit.conf_dir(&config.state_dir).display().to_string();
    let late = [
        ("conf_dir", conf.as_str()),
        ("state_dir", state.as_str()),
        ("unit.name", unit.name.as_str()),
        ("unit.role", unit.role.as_str()),
    ];
    let mut words = unit.command.iter().flatten().map(|word| expand(word, &late));
    let program = words.next().map(|path| (path, words.map(Into::into).collect()));
    let user = unit.user.as_deref().map(user_of).transpose()?;
    let env = unit.env.iter().map(|(name, value)| (name.clone(), expand(value, &late))).collect();
    let millis = |time: Duration| Millis::try_from(time.as_millis()).unwrap_or(Millis::MAX);
    let patience = unit.ready.as_ref().map_or(Duration::from_secs(30), |ready| ready.timeout);
    Ok(Unit {
        name: unit.name.clone(),
        generations: generations(config, unit),
        program: program.map(|(path, arguments)| Program {
            path: path.into(),
            arguments,
            env,
            user,
            stop: unit.stop.signal,
            reload: unit.reload.clone(),
        }),
        policy: Policy {
            backoff_ms: millis(unit.restart.backoff),
            backoff_ms_max: millis(unit.restart.cap),
            reset_after_ms: millis(unit.restart.reset_after),
            failures_max: unit.restart.max_failures,
            stop_timeout_ms: millis(unit.stop.timeout),
            ready_patience_ms: millis(patience),
            stop_rank: u8::from(unit.role == "namenode"),
            trial_failures: unit.restart.max_failures.div_ceil(3),
            good_after_ms: if unit.ready.is_some() { 0 } else { GOOD_AFTER_MS },
            exhausts: true,
        },
    })
}

fn user_of(name: &str) -> Result<(u32, u32), String> {
    match nix::unistd::User::from_name(name) {
        Ok(Some(user)) => Ok((user.uid.as_raw(), user.gid.as_raw())),
        Ok(None) => Err(format!("there is no user {name}")),
        Err(error) => Err(format!("cannot look up the user {name}: {error}")),
    }
}

/// What the agent knows of one unit.
struct Planned {
    quiet: Quiet,
    memo: Memo,
    /// The last render that was taken.
    wanted: Wanted,
    /// The render of the newest inputs, to see whether they differ from the one before.
    newest: Option<engine::Files>,
    /// The commit mark last seen.
    mark: Option<u64>,
    /// When it began to wait for its service.
    waiting: Option<Instant>,
}

/// The source of wanted states for the driver.
struct Agent {
    options: Options,
    config: AgentConfig,
    sources: Sources,
    board: Arc<Board>,
    history: History,
    planned: Vec<Planned>,
    changed: Arc<Notify>,
    clock: Instant,
    first: bool,
    /// Whether units that could not be rendered were given their last good generation.
    fell_back: bool,
}

impl Agent {
    fn new(options: Options, config: AgentConfig, changed: Arc<Notify>, board: Arc<Board>) -> Self {
        let millis = |time: Duration| Millis::try_from(time.as_millis()).unwrap_or(Millis::MAX);
        let planned = ordered(&config)
            .into_iter()
            .map(|unit| Planned {
                quiet: Quiet::new(millis(unit.quiesce.min), millis(unit.quiesce.max)),
                memo: Memo::default(),
                wanted: Wanted { absent: true, ..Wanted::default() },
                newest: None,
                mark: None,
                waiting: None,
            })
            .collect();
        let sources = Sources::start(&config, &changed);
        let history = History::open(&config.state_dir);
        let clock = Instant::now();
        Self {
            options,
            config,
            sources,
            board,
            history,
            planned,
            changed,
            clock,
            first: true,
            fell_back: false,
        }
    }

    fn now(&self) -> Millis {
        Millis::try_from(self.clock.elapsed().as_millis()).unwrap_or(Millis::MAX)
    }

    /// Gives slow sources a moment, so that a normal start does not look like an outage.
    async fn first_answer(&mut self) {
        let deadline = tokio::time::Instant::now() + FIRST_ANSWER;
        while !self.sources.answered() {
            if tokio::time::timeout_at(deadline, self.changed.notified()).await.is_err() {
                return;
            }
        }
    }

    /// Renders what is new, and takes it where it counts.
    fn plan(&mut self, inputs: &Inputs) {
        let now = self.now();
        let frozen = self.board.frozen();
        let units: Vec<UnitConfig> = ordered(&self.config).into_iter().cloned().collect();
        let mut wants = engine::Wants::default();
        for (id, unit) in units.iter().enumerate() {
            let started = Instant::now();
            let memo = &mut self.planned[id].memo;
            let mut rendered = engine::render_again(&self.config, unit, inputs, memo);
            self.doubt_nothing(id, unit, &mut rendered);
            wants.services.extend(rendered.wants.services.iter().cloned());
            wants.secrets.extend(rendered.wants.secrets.iter().cloned());
            self.board.rendered(id, &rendered, started.elapsed());
            self.complain(unit, &rendered);
            let planned = &mut self.planned[id];
            let mark = unit.quiesce.commit.as_ref().and_then(|key| inputs.kv.entries.get(key));
            let mark = mark.map(|entry| entry.modified);
            let marked = mark.is_some() && planned.mark != mark;
            planned.mark = mark;
            if !rendered.usable() {
                continue;
            }
            if planned.newest.as_ref() != Some(&rendered.files) {
                planned.newest = Some(rendered.files.clone());
                planned.quiet.changed(now);
            }
            if planned.wanted.absent || (marked && planned.quiet.due().is_some()) {
                planned.quiet.commit(now);
            }
            if !frozen && planned.quiet.take(now) {
                planned.wanted = wanted(unit, rendered);
                self.board.last_good(id, false);
            } else if frozen && planned.wanted.absent {
                let generations = generations(&self.config, unit);
                let in_force = generations.current();
                if let Some(found) = in_force.and_then(|n| from_disk(&generations, unit, n).ok()) {
                    planned.wanted = found;
                }
            }
        }
        self.sources.want(wants);
        self.wake(now);
    }

    fn complain(&self, unit: &UnitConfig, rendered: &Rendered) {
        if !self.board.news(&unit.name, rendered) {
            return;
        }
        for warning in &rendered.warnings {
            tracing::warn!("{warning}");
        }
        if rendered.errors.is_empty() && !rendered.missing.is_empty() {
            let (unit_name, missing) = (&unit.name, rendered.refusal());
            match unit.on_missing {
                OnMissing::Fail => {
                    tracing::error!(unit = unit_name, "the old configuration stays: {missing}");
                }
                OnMissing::Keep => {
                    tracing::warn!(unit = unit_name, "the old configuration is kept: {missing}");
                }
            }
        } else if !rendered.usable() {
            let refusal = rendered.refusal();
            tracing::error!(unit = unit.name, "the new configuration is refused: {refusal}");
        }
    }

    /// Has the driver look again when the next quiet period is over.
    fn wake(&self, now: Millis) {
        let due = self.planned.iter().filter_map(|planned| planned.quiet.due()).min();
        if let Some(due) = due.filter(|_| !self.board.frozen()) {
            let (changed, wait) = (self.changed.clone(), due.saturating_sub(now).max(1));
            tokio::spawn(async move {
                tokio::time::sleep(Duration::from_millis(wait)).await;
                changed.notify_one();
            });
        }
    }

    /// Wants the files of an older generation until the sources say something new.
    fn operator_rollback(&mut self, id: UnitId, number: Option<u64>) {
        let Some(unit) = ordered(&self.config).get(id).copied() else { return };
        let generations = generations(&self.config, unit);
        let number = number.or_else(|| generations.previous());
        let found = number.and_then(|number| from_disk(&generations, unit, number).ok());
        let Some(wanted) = found else {
            tracing::error!(unit = unit.name, "there is no such generation to go back to");
            return;
        };
        self.planned[id].wanted = wanted;
        self.changed.notify_one();
    }

    /// Holds back units whose service is not there.
    fn holds(&mut self) -> Vec<Event> {
        if self.config.units.iter().all(|unit| unit.wait_for.is_none()) {
            return Vec::new();
        }
        let units: Vec<UnitConfig> = ordered(&self.config).into_iter().cloned().collect();
        let mut events = Vec::new();
        for (id, unit) in units.iter().enumerate() {
            let Some(wait) = &unit.wait_for else { continue };
            if unit.command.is_none() {
                continue;
            }
            let passing = self.sources.passing(&wait.service);
            let held = passing < wait.passing as usize;
            let planned = &mut self.planned[id];
            if held {
                let since = *planned.waiting.get_or_insert_with(Instant::now);
                if since.elapsed() > wait.timeout {
                    planned.waiting = Some(Instant::now());
                    tracing::error!(
                        unit = unit.name,
                        "{} of {} instances of {} pass after {:?}; waiting on",
                        passing,
                        wait.passing,
                        wait.service,
                        wait.timeout
                    );
                }
            } else {
                planned.waiting = None;
            }
            events.push(Event::Held(id, held));
        }
        events
    }
}

/// The state that a usable render asks for.
fn wanted(unit: &UnitConfig, rendered: Rendered) -> Wanted {
    let marks = change::marks(unit, &rendered.files);
    let validate = unit.validate.as_ref().map(|each| (each.command.clone(), each.timeout));
    Wanted {
        files: rendered.files,
        token: marks.restart,
        reload: marks.reload,
        health: unit.ready.as_ref().map(|ready| ready.http.clone()),
        index: rendered.index,
        stored: rendered.stored,
        absent: false,
        report_drift: matches!(unit.drift, config::Drift::Report),
        validate,
    }
}

impl Wants for Agent {
    fn read(&mut self) -> Result<Vec<Wanted>, String> {
        match self.sources.inputs() {
            Ok(inputs) => {
                self.plan(&inputs);
                self.start_refused();
            }
            Err(error) if self.first => self.fall_back(&error),
            Err(_) => {}
        }
        self.first = false;
        self.board.sources(self.sources.health());
        Ok(self.planned.iter().map(|planned| planned.wanted.clone()).collect())
    }

    fn ready(&mut self, _: &[Wanted]) {
        tracing::info!("every unit is ready");
    }

    fn quiet(&self) -> (Millis, Millis) {
        // Each unit has a quiet period of its own.
        (0, 0)
    }

    fn told(&mut self, id: UnitId, told: Told) {
        let index = self.planned.get(id).map_or(0, |planned| planned.wanted.index);
        let unit = ordered(&self.config).get(id).map(|unit| unit.name.clone());
        self.history.write(unit.as_deref().unwrap_or_default(), index, &told);
        self.board.told(id, &told);
    }

    fn commands(&mut self) -> Vec<Event> {
        let mut events = self.holds();
        for command in self.board.commands() {
            match command {
                Command::Restart(id) => events.push(Event::Restart(id)),
                Command::Wake => self.changed.notify_one(),
                Command::RollBack(id, number) => self.operator_rollback(id, number),
            }
        }
        events
    }

    fn hangup(&mut self) -> bool {
        status::sd_notify("RELOADING=1");
        match load(&self.options) {
            Err(problems) => {
                tracing::error!(
                    "the new agent configuration is refused, nothing changes:\n{problems}"
                );
            }
            Ok(config) => {
                let names = |config: &AgentConfig| -> Vec<(String, Option<Vec<String>>)> {
                    let units = ordered(config).into_iter();
                    units.map(|unit| (unit.name.clone(), unit.command.clone())).collect()
                };
                if names(&config) != names(&self.config)
                    || config.state_dir != self.config.state_dir
                {
                    tracing::error!(
                        "units, commands and state_dir change with a restart of the agent only; \
                         nothing changes"
                    );
                } else if config != self.config {
                    tracing::info!("the agent's own configuration is new");
                    self.sources = Sources::start(&config, &self.changed);
                    self.config = config;
                }
            }
        }
        status::sd_notify("READY=1");
        true
    }
}

/// How a program ended, in words.
pub(crate) fn ended(exit: Exit) -> String {
    match exit {
        Exit::Code(code) => format!("exit code {code}"),
        Exit::Signal(signal) => format!("signal {signal}"),
    }
}

/// Renders every unit from what the sources say now; for `render` and `diff`.
///
/// # Errors
/// A source cannot be read.
pub async fn render_once(config: &AgentConfig) -> Result<Vec<(UnitConfig, Rendered)>, String> {
    let changed = Arc::new(Notify::new());
    let mut sources = Sources::start(config, &changed);
    let deadline = tokio::time::Instant::now() + FIRST_ANSWER;
    loop {
        let last = tokio::time::timeout_at(deadline, async {
            while !sources.answered() {
                changed.notified().await;
            }
        });
        let late = last.await.is_err();
        let inputs = sources.inputs()?;
        let rendered: Vec<_> = config
            .units
            .iter()
            .map(|unit| (unit.clone(), engine::render(config, unit, &inputs)))
            .collect();
        // What templates ask for is known only after a first round.
        let mut wants = engine::Wants::default();
        for (_, each) in &rendered {
            wants.services.extend(each.wants.services.iter().cloned());
            wants.secrets.extend(each.wants.secrets.iter().cloned());
        }
        let complete = rendered.iter().all(|(_, each)| each.missing.is_empty());
        if late || complete || !sources.want(wants) {
            return Ok(rendered);
        }
        if tokio::time::timeout_at(deadline, changed.notified()).await.is_err() {
            return Ok(rendered);
        }
    }
}
