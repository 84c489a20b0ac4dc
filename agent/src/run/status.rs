//! What the agent shows of itself, and what an operator asks of it.
//!
//! The driver's task writes; the API reads, and queues commands. No value of a configuration is
//! ever held here: names, numbers, and lines that the engine has masked.

use std::collections::BTreeMap;
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use serde::Serialize;
use tokio::sync::{Notify, watch};

use super::inputs::{Health, Heard};
use super::metrics;
use super::vault;
use crate::actuators::process;
use crate::config::{AgentConfig, UnitConfig};
use crate::core::UnitId;
use crate::driver::Told;
use crate::engine::Rendered;
use crate::sources::vault::Standing;

/// What an operator asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Command {
    /// Restart a unit.
    Restart(UnitId),
    /// Go back to a generation, or to the one before.
    RollBack(UnitId, Option<u64>),
    /// Look again.
    Wake,
}

/// One unit, as shown.
#[derive(Debug, Clone, Default, Serialize)]
pub struct UnitStatus {
    /// Its name.
    pub name: String,
    /// Its role.
    pub role: String,
    /// Whether it runs a program; else it is a folder of files.
    pub program: bool,
    /// The generation in force.
    pub generation: Option<u64>,
    /// The KV index of the last render.
    pub index: u64,
    /// Whether it can do its work.
    pub ready: bool,
    /// Its process.
    pub pid: Option<i32>,
    /// How its process last ended.
    pub ended: Option<String>,
    /// Why its newest configuration is not in force.
    pub refused: Option<String>,
    /// What its templates miss.
    pub missing: Vec<String>,
    /// What is strange about its configuration.
    pub warnings: Vec<String>,
    /// The generation it was rolled back to, until the next one.
    pub rolled_back_to: Option<u64>,
    /// Whether it runs with its last good generation, since sources are down.
    pub last_good_in_use: bool,
    /// `active` or `standby`, where it says so.
    pub state: Option<String>,
    /// Files in force that somebody else changed, when that was seen last.
    pub drift: Option<String>,
    /// How often such changes were seen.
    pub drifts: u64,
    /// How far its part in a rollout over the hosts is, where that is not over.
    pub rollout: Option<String>,
    /// Why its program is not started yet.
    pub launch: Option<String>,
    /// Starts of its process.
    pub starts: u64,
    /// Renders that could be used, and that could not.
    pub renders: (u64, u64),
    #[serde(skip)]
    pub(super) figures: Figures,
}

/// How a unit stands with the lock of its rollout.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lock {
    /// It does not want it.
    Free,
    /// It waits for it.
    Awaited,
    /// It holds a slot.
    Held,
}

/// What is counted of one unit.
#[derive(Debug, Clone, Default)]
pub(super) struct Figures {
    pub(super) render: Duration,
    pub(super) render_last: Duration,
    /// Since when it stands so with the lock of its rollout, where it has one.
    pub(super) lock: Option<(Lock, Instant)>,
    /// When the generation in force came.
    pub(super) since: Option<Instant>,
    /// Configurations that were refused after they could be rendered.
    pub(super) validate_failures: u64,
    /// Why one that could be rendered is not in force.
    rejected: Option<String>,
    /// Restarts for new configuration or by an operator, and after a death.
    pub(super) restarts: (u64, u64),
    /// How often an action took effect, and how long that took in all.
    pub(super) applied: BTreeMap<&'static str, (u64, Duration)>,
    /// What is about to take effect.
    applying: Option<(&'static str, Instant)>,
    stopping: bool,
}

impl Figures {
    fn told(&mut self, told: &Told) {
        match told {
            Told::Committed { action, .. } => {
                self.since = Some(Instant::now());
                self.applying = Some((action, Instant::now()));
                self.rejected = None;
                if *action == "none" {
                    self.took_effect();
                }
            }
            Told::Refused(reason) => {
                self.validate_failures += 1;
                self.rejected = Some(reason.clone());
            }
            Told::Settled => self.rejected = None,
            Told::Restarting => {
                self.restarts.0 += 1;
                self.stopping = true;
            }
            Told::Ended(_) => {
                self.restarts.1 += u64::from(!std::mem::take(&mut self.stopping));
            }
            Told::Reloaded(true) | Told::Ready(true) => self.took_effect(),
            Told::RolledBack(_) => self.applying = None,
            _ => {}
        }
    }

    fn took_effect(&mut self) {
        let Some((action, since)) = self.applying.take() else { return };
        let (count, time) = self.applied.entry(action).or_default();
        *count += 1;
        *time += since.elapsed();
    }
}

#[derive(Debug, Default)]
struct State {
    units: Vec<UnitStatus>,
    commands: Vec<Command>,
    sources: Health,
    heard: Heard,
    frozen: bool,
    cluster_frozen: Option<String>,
    complaints: BTreeMap<String, String>,
    /// Pages for Prometheus of the units themselves.
    pages: Vec<(String, String)>,
    vault: Option<watch::Receiver<Standing>>,
}

/// The shared board.
#[derive(Debug)]
pub struct Board {
    cluster: String,
    frozen_file: PathBuf,
    changed: Arc<Notify>,
    state: Mutex<State>,
}

impl Board {
    /// A board for these units. Whether the agent is frozen survives its restart.
    pub fn new(config: &AgentConfig, changed: Arc<Notify>) -> Self {
        let frozen_file = config.state_dir.join("frozen");
        let units = super::ordered(config)
            .into_iter()
            .map(|unit| UnitStatus {
                name: unit.name.clone(),
                role: unit.role.clone(),
                program: unit.command.is_some(),
                generation: super::generations(config, unit).current(),
                ..UnitStatus::default()
            })
            .collect();
        let state = State { units, frozen: frozen_file.exists(), ..State::default() };
        let cluster = config.cluster.clone();
        let board = Self { cluster, frozen_file, changed, state: Mutex::new(state) };
        board.configured(config);
        board
    }

    /// What the configuration says about what is shown.
    pub fn configured(&self, config: &AgentConfig) {
        let page = |unit: &UnitConfig| Some((unit.name.clone(), unit.metrics.clone()?));
        self.state().pages = config.units.iter().filter_map(page).collect();
    }

    /// Pages for Prometheus that units have themselves: name and address.
    pub fn pages(&self) -> Vec<(String, String)> {
        self.state().pages.clone()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether all agents of the cluster are frozen, and why.
    pub fn cluster_frozen(&self, reason: Option<String>) {
        self.state().cluster_frozen = reason;
    }

    /// Whether a unit was asked to stop, and has not ended yet.
    pub fn stopping(&self, id: UnitId) -> bool {
        self.state().units[id].figures.stopping
    }

    /// Whether a unit says that it is the active one of several.
    pub fn active(&self, id: UnitId) -> bool {
        self.state().units[id].state.as_deref() == Some("active")
    }

    /// Whether nothing new is taken.
    pub fn frozen(&self) -> bool {
        self.state().frozen
    }

    /// Stops or resumes taking what is new.
    ///
    /// # Errors
    /// The disk refuses to remember it.
    pub fn freeze(&self, frozen: bool) -> std::io::Result<()> {
        if frozen {
            std::fs::write(&self.frozen_file, b"")?;
        } else if self.frozen_file.exists() {
            std::fs::remove_file(&self.frozen_file)?;
        }
        self.state().frozen = frozen;
        self.ask(Command::Wake);
        Ok(())
    }

    /// The unit of that name.
    pub fn unit(&self, name: &str) -> Option<UnitId> {
        self.state().units.iter().position(|unit| unit.name == name)
    }

    /// Queues a command and wakes the agent.
    pub fn ask(&self, command: Command) {
        self.state().commands.push(command);
        self.changed.notify_one();
    }

    /// The commands queued.
    pub fn commands(&self) -> Vec<Command> {
        std::mem::take(&mut self.state().commands)
    }

    /// How the sources do, and when each answered last.
    pub fn sources(&self, health: Health, heard: Heard) {
        let mut state = self.state();
        (state.sources, state.heard) = (health, heard);
    }

    /// Where to look how the agent stands with Vault.
    pub fn vault(&self, standing: Option<watch::Receiver<Standing>>) {
        self.state().vault = standing;
    }

    /// Whether this render's complaint differs from the unit's last one.
    pub fn news(&self, unit: &str, rendered: &Rendered) -> bool {
        let told = format!("{} {:?}", rendered.refusal(), rendered.warnings);
        self.state().complaints.insert(unit.to_owned(), told.clone()) != Some(told)
    }

    /// A unit was rendered.
    pub fn rendered(&self, id: UnitId, rendered: &Rendered, took: Duration) {
        let mut state = self.state();
        let unit = &mut state.units[id];
        unit.index = rendered.index;
        unit.missing = rendered.missing.iter().cloned().collect();
        unit.warnings.clone_from(&rendered.warnings);
        unit.figures.render += took;
        unit.figures.render_last = took;
        if rendered.usable() {
            unit.renders.0 += 1;
            unit.refused.clone_from(&unit.figures.rejected);
        } else {
            unit.renders.1 += 1;
            unit.refused = Some(rendered.refusal());
        }
    }

    /// How far a unit's part in a rollout is.
    pub fn rollout(&self, id: UnitId, told: Option<String>, lock: Lock) {
        let mut state = self.state();
        let unit = &mut state.units[id];
        unit.rollout = told;
        if unit.figures.lock.is_none_or(|(before, _)| before != lock) {
            unit.figures.lock = Some((lock, Instant::now()));
        }
    }

    /// Why a unit's program is not started yet, if anything holds it back.
    pub fn launch(&self, id: UnitId, told: Option<String>) {
        self.state().units[id].launch = told;
    }

    /// A unit starts from its last good generation.
    pub fn last_good(&self, id: UnitId, used: bool) {
        self.state().units[id].last_good_in_use = used;
    }

    /// Something happened to a unit.
    pub fn told(&self, id: UnitId, told: &Told) {
        let mut state = self.state();
        let Some(unit) = state.units.get_mut(id) else { return };
        unit.figures.told(told);
        match told {
            Told::Committed { number, .. } => {
                unit.generation = Some(*number);
                unit.rolled_back_to = None;
                unit.last_good_in_use = false;
                unit.drift = None;
            }
            Told::Refused(reason) => unit.refused = Some(reason.clone()),
            Told::Settled => (unit.refused, unit.rolled_back_to) = (None, None),
            Told::RolledBack(number) => {
                unit.generation = Some(*number);
                unit.rolled_back_to = Some(*number);
            }
            Told::Started(pid) => {
                unit.pid = Some(*pid);
                unit.starts += 1;
            }
            Told::Ended(exit) => {
                (unit.pid, unit.ready) = (None, false);
                unit.ended = Some(super::ended(*exit));
            }
            Told::Ready(ready) => unit.ready = *ready,
            Told::State(state) => unit.state.clone_from(state),
            Told::Drift(drift) => {
                unit.drift = Some(drift.clone());
                unit.drifts += 1;
            }
            Told::Good | Told::Restarting | Told::Reloaded(_) => {}
        }
    }

    /// Whether every unit is ready and runs what is wanted.
    pub fn healthy(&self) -> bool {
        self.state().units.iter().all(|unit| unit.ready || unit.pid.is_none() && unit.starts == 0)
    }

    /// Everything, for `/v1/status`.
    pub fn json(&self) -> serde_json::Value {
        let mut state = self.state();
        for unit in &mut state.units {
            // A keeper starts its program a moment after it was started itself.
            unit.pid = unit.pid.map(process::program_of);
        }
        let standing = state.vault.as_ref().map(|vault| vault.borrow().clone());
        serde_json::json!({
            "cluster": self.cluster,
            "frozen": state.frozen,
            "cluster_frozen": state.cluster_frozen,
            "vault": standing.map(|standing| vault::json(&standing, SystemTime::now())),
            "sources": state.sources,
            "units": state.units,
            "version": env!("CARGO_PKG_VERSION"),
        })
    }

    /// Everything, for Prometheus.
    pub fn metrics(&self) -> String {
        let state = self.state();
        let standing = state.vault.as_ref().map(|vault| vault.borrow().clone());
        let standing = standing.map(|standing| vault::metrics(&standing, SystemTime::now()));
        let sources = (&state.sources, &state.heard);
        metrics::text(&state.units, sources, standing.as_ref().map_or(&[], |all| all))
    }
}

/// Feeds systemd's watchdog, where it set one, from the thread that the driver runs on.
pub fn watchdog() {
    let of_env = |name: &str| std::env::var(name).ok()?.parse::<u64>().ok();
    let Some(every) = of_env("WATCHDOG_USEC").filter(|every| *every > 0) else { return };
    if of_env("WATCHDOG_PID").is_some_and(|pid| pid != u64::from(std::process::id())) {
        return;
    }
    tokio::spawn(async move {
        let mut beat = tokio::time::interval(Duration::from_micros(every / 2));
        loop {
            beat.tick().await;
            sd_notify("WATCHDOG=1");
        }
    });
}

/// Tells systemd (or whoever set `NOTIFY_SOCKET`) how it goes; nobody listening is fine.
pub fn sd_notify(state: &str) {
    use std::os::linux::net::SocketAddrExt as _;
    let Some(path) = std::env::var_os("NOTIFY_SOCKET") else { return };
    let Ok(socket) = UnixDatagram::unbound() else { return };
    let text = path.to_string_lossy();
    let _ = match text.strip_prefix('@') {
        Some(name) => std::os::unix::net::SocketAddr::from_abstract_name(name)
            .and_then(|address| socket.send_to_addr(state.as_bytes(), &address)),
        None => socket.send_to(state.as_bytes(), path),
    };
}
