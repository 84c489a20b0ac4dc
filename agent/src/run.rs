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
mod launch;
mod metrics;
mod remote;
mod rollout;
mod services;
pub mod status;
mod turns;
mod units;
pub mod vault;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use hdfs_edge::daemon::{self, Failure, LogFormat};
use tokio::sync::Notify;

use crate::actuators::lock;
use crate::actuators::process;
use crate::api;
use crate::config::{self, AgentConfig, OnMissing, Scope, UnitConfig};
use crate::core::{Event, Exit, Millis, Outcome, UnitId};
use crate::driver::{Driver, Hangup, Told, Unit, Wanted, Wants};
use crate::engine::change;
use crate::engine::quiet::Quiet;
use crate::engine::{self, Inputs, Memo, Rendered};
use crate::sources::vault::Mode;
use history::{About, History};
use inputs::Sources;
use last_good::from_disk;
use launch::Launches;
pub use remote::consul_of;
use rollout::Rollouts;
pub use rollout::gates;
use services::Services;
use status::{Board, Command};
pub use units::generations;
use units::{millis, ordered, place_links, units};

/// How long a start waits for sources before it takes the last good generations.
const FIRST_ANSWER: Duration = Duration::from_secs(5);

/// How long one render waits for what its templates ask for.
const RENDER_PATIENCE: Duration = Duration::from_secs(30);

/// Longest name of an author.
const AUTHOR_CHARS_MAX: usize = 100;

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
    for note in &config.notes {
        tracing::warn!("{note}");
    }
    process::adopt_orphans();
    // Secrets are in memory: no core file, whatever the system does with those, and no debugger.
    if let Err(error) = nix::sys::prctl::set_dumpable(false) {
        tracing::warn!(%error, "a crash may leave secrets in a core file");
    }
    std::fs::create_dir_all(&config.state_dir).map_err(|error| {
        Failure::user(format!("cannot create {}: {error}", config.state_dir.display()))
    })?;
    let _lock = lock::acquire(&config.state_dir.join("agent.lock")).map_err(Failure::user)?;
    let launcher = std::env::current_exe().map_err(Failure::failed)?;
    let units = units(&config).map_err(Failure::user)?;
    place_links(&config).map_err(Failure::user)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(Failure::failed)?;
    let outcome = runtime.block_on(async {
        let changed = Arc::new(Notify::new());
        let board = Arc::new(Board::new(&config, changed.clone()));
        let _api = api::serve(&config, board.clone()).await.map_err(Failure::user)?;
        let agent = Agent::new(options.clone(), config, changed.clone(), board);
        let mut agent = agent.map_err(Failure::user)?;
        agent.first_answer().await;
        let wanted = agent.read().map_err(Failure::user)?;
        status::sd_notify("READY=1");
        status::watchdog();
        let driver = Driver::new(units.clone(), agent, changed, launcher)
            .map_err(|error| Failure::failed(format!("cannot watch signals: {error}")))?;
        let (outcome, mut agent) = driver.run(wanted).await;
        agent.rollouts.finish().await;
        agent.services.finish().await;
        Ok::<_, Failure>(outcome)
    })?;
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

/// What the agent knows of one unit.
struct Planned {
    quiet: Quiet,
    memo: Memo,
    /// The last render that was taken.
    wanted: Wanted,
    /// The render of the newest inputs, to see whether they differ from the one before.
    newest: Option<Arc<engine::Files>>,
    /// The commit mark last seen.
    mark: Option<u64>,
    /// Who made the change that was taken last, where that is told.
    author: Option<String>,
    /// What waits for its turn among the hosts.
    proposed: Option<turns::Proposal>,
    /// The change whose turn it is, and whether it has become the wanted state of the driver.
    rolling: Option<crate::core::rollout::Wish>,
    /// What the templates of the files in force ask for; `None` while that is not known.
    wants: Option<engine::Wants>,
}

/// The source of wanted states for the driver.
struct Agent {
    options: Options,
    config: Arc<AgentConfig>,
    sources: Sources,
    services: Services,
    rollouts: Rollouts,
    launches: Launches,
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
    fn new(
        options: Options,
        config: AgentConfig,
        changed: Arc<Notify>,
        board: Arc<Board>,
    ) -> Result<Self, String> {
        let launches = Launches::new(&config, &changed)?;
        let planned = ordered(&config)
            .into_iter()
            .map(|unit| Planned {
                quiet: Quiet::new(millis(unit.quiesce.min), millis(unit.quiesce.max)),
                memo: Memo::default(),
                wanted: Wanted { absent: true, ..Wanted::default() },
                newest: None,
                mark: None,
                author: None,
                proposed: None,
                rolling: None,
                wants: None,
            })
            .collect();
        let sources = Sources::start(&config, &changed, Mode::Keep);
        board.vault(sources.standing());
        let services = Services::start(&config, sources.consul());
        let rollouts = turns::rollouts(&config, &sources, &changed);
        let history = History::open(&config.state_dir);
        let (clock, first, fell_back) = (Instant::now(), true, false);
        Ok(Self {
            options,
            config: Arc::new(config),
            sources,
            services,
            rollouts,
            launches,
            board,
            history,
            planned,
            changed,
            clock,
            first,
            fell_back,
        })
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
        let frozen = self.board.frozen() || self.cluster_frozen(inputs);
        let config = self.config.clone();
        let units = ordered(&config);
        let mut wants = engine::Wants::default();
        for (id, unit) in units.iter().enumerate() {
            let started = Instant::now();
            let memo = &mut self.planned[id].memo;
            let mut rendered = engine::render_again(&config, unit, inputs, memo);
            self.doubt_nothing(id, unit, &mut rendered);
            wants.extend(&rendered.wants);
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
                let proposal = turns::Proposal {
                    author: author(&self.config, unit, inputs),
                    wants: rendered.wants.clone(),
                    wish: turns::wish(&self.config, unit, inputs),
                    wanted: wanted(unit, rendered),
                };
                self.propose(id, unit, proposal);
            } else if frozen && planned.wanted.absent {
                let generations = generations(&self.config, unit);
                let in_force = generations.current();
                if let Some(found) = in_force.and_then(|n| from_disk(&generations, unit, n).ok()) {
                    planned.wanted = found;
                }
            }
        }
        for (id, unit) in units.iter().enumerate() {
            self.take_turn(id, unit, inputs, frozen);
        }
        let whole = self.add_wants_in_force(&mut wants);
        if self.sources.want(wants, whole) {
            // A folder of secrets has the answer already, and tells nobody.
            self.changed.notify_one();
        }
        self.wake(now);
    }

    fn complain(&self, unit: &UnitConfig, rendered: &Rendered) {
        // What a template asks for is known, and so asked of the sources, only after a render.
        if self.clock.elapsed() < FIRST_ANSWER && rendered.errors.is_empty() && !rendered.usable() {
            return;
        }
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
        let found = number.ok_or_else(|| "there is none before".to_owned()).and_then(|number| {
            generations.intact(number).map_err(|error| error.to_string())?;
            from_disk(&generations, unit, number)
        });
        let wanted = match found {
            Ok(wanted) => wanted,
            Err(reason) => {
                tracing::error!(unit = unit.name, "no way back to that generation: {reason}");
                return;
            }
        };
        self.planned[id].wanted = wanted;
        self.planned[id].wants = None;
        self.changed.notify_one();
    }
}

/// Who made a change: the first line of the author's key, else of the commit mark.
fn author(config: &AgentConfig, unit: &UnitConfig, inputs: &Inputs) -> Option<String> {
    let key = config.author_key.as_ref().or(unit.quiesce.commit.as_ref())?;
    let text = String::from_utf8_lossy(&inputs.kv.entries.get(key)?.value).into_owned();
    let line = text.lines().next().unwrap_or_default().trim();
    (!line.is_empty()).then(|| line.chars().take(AUTHOR_CHARS_MAX).collect())
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
        let mut health = self.sources.health();
        if let Some(said) = self.services.receiver() {
            health.insert("consul-services".to_owned(), said.borrow().error.clone());
        }
        self.board.sources(health, self.sources.heard());
        for (id, planned) in self.planned.iter().enumerate() {
            let wanted = &planned.wanted;
            self.launches.wants(id, (!wanted.absent).then_some(wanted.token));
        }
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
        let planned = self.planned.get(id);
        let about = About {
            unit: ordered(&self.config).get(id).map_or("", |unit| unit.name.as_str()),
            index: planned.map_or(0, |planned| planned.wanted.index),
            author: planned.and_then(|planned| planned.author.as_deref()),
        };
        self.history.write(&about, &told);
        self.services.told(id, &told);
        self.launches.told(id, &told);
        self.judge_turn(id, &told);
        if let (Told::RolledBack(_), Some(planned)) = (&told, self.planned.get_mut(id)) {
            planned.wants = None;
        }
        self.board.told(id, &told);
    }

    fn ending(&mut self) {
        status::sd_notify("STOPPING=1");
        self.services.ending();
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

    fn hangup(&mut self) -> Hangup {
        status::sd_notify("RELOADING=1");
        let answer = match load(&self.options).and_then(|config| self.take_over(config)) {
            Ok(units) => Hangup::Units(units),
            Err(problems) => {
                tracing::error!(
                    "the new agent configuration is refused, nothing changes:\n{problems}"
                );
                Hangup::Look
            }
        };
        status::sd_notify("READY=1");
        answer
    }
}

impl Agent {
    /// Goes on with a new configuration of the agent itself.
    fn take_over(&mut self, config: AgentConfig) -> Result<Vec<Unit>, String> {
        let names = |config: &AgentConfig| -> Vec<(String, bool)> {
            let units = ordered(config).into_iter();
            units.map(|unit| (unit.name.clone(), unit.command.is_some())).collect()
        };
        if names(&config) != names(&self.config) || config.state_dir != self.config.state_dir {
            return Err("other units and another state_dir need a restart of the agent".to_owned());
        }
        let fixed = |config: &AgentConfig| (config.listen, config.socket.clone(), config.log_json);
        if fixed(&config) != fixed(&self.config) {
            tracing::warn!("telemetry, api and log change with a restart of the agent");
        }
        let units = units(&config)?;
        let launches = Launches::new(&config, &self.changed)?;
        place_links(&config)?;
        if config != *self.config {
            tracing::info!("the agent's own configuration is new");
            self.sources = Sources::start(&config, &self.changed, Mode::Keep);
            self.board.vault(self.sources.standing());
            self.config = Arc::new(config);
            self.board.configured(&self.config);
            let again = Services::start(&self.config, self.sources.consul());
            self.services = self.services.followed_by(again);
            self.rollouts = turns::rollouts(&self.config, &self.sources, &self.changed);
            self.launches.follow(launches);
            for (planned, unit) in self.planned.iter_mut().zip(ordered(&self.config)) {
                planned.quiet = Quiet::new(millis(unit.quiesce.min), millis(unit.quiesce.max));
                // What is configured may ask for other files of the same inputs.
                planned.newest = None;
                (planned.proposed, planned.rolling) = (None, None);
            }
        }
        Ok(units)
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
    let mut sources = Sources::start(config, &changed, Mode::Look);
    let deadline = tokio::time::Instant::now() + RENDER_PATIENCE;
    loop {
        let inputs = tokio::time::timeout_at(deadline, async {
            while !sources.answered() {
                changed.notified().await;
            }
        });
        let mut late = inputs.await.is_err();
        let inputs = sources.inputs()?;
        let rendered: Vec<_> = config
            .units
            .iter()
            .map(|unit| (unit.clone(), engine::render(config, unit, &inputs)))
            .collect();
        // What templates ask for is known only after a first round.
        let mut wants = engine::Wants::default();
        for (_, each) in &rendered {
            wants.extend(&each.wants);
        }
        let complete = rendered.iter().all(|(_, each)| each.missing.is_empty());
        let news = sources.want(wants, false);
        if complete || !news && !sources.unanswered() {
            return Ok(rendered);
        }
        late |= tokio::time::timeout_at(deadline, changed.notified()).await.is_err();
        if late {
            let said = sources.health();
            let said = said.iter().filter_map(|(name, said)| Some((name, said.as_ref()?)));
            let said: Vec<String> = said.map(|(name, said)| format!("{name}: {said}")).collect();
            let what = format!("no answer within {RENDER_PATIENCE:?}");
            return Err([&[what][..], &said].concat().join("; "));
        }
    }
}
