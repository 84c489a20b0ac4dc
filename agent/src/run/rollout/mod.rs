//! Restarts for new configuration go over the hosts of a cluster one after another.
//!
//! One task per unit with a `rollout` block. It knows what the agent wishes ([`Ask`]) and shows how
//! it stands ([`Seen`]); [`crate::core::rollout`] decides, this performs. Its states:
//!
//! | State | Left by |
//! |---|---|
//! | idle | a wish |
//! | waiting: window, gates, slot, canaries | the wish is withdrawn; all is well: granted |
//! | halted | the wish is withdrawn or is for another revision |
//! | granted: the slot is held, the unit restarts | the agent's result, or the time is over |
//!
//! A grant is taken back only by the agent's result. The session is renewed as long as there is
//! one; when the agent dies, the slot is free once the session is over.

pub mod gates;
mod store;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::{Datelike as _, Local, Timelike as _};
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;

use crate::config::{AgentConfig, Rollout, UnitConfig};
use crate::core::UnitId;
use crate::core::rollout::{Halt, Turn, Wish};
use crate::sources::consul::{Consul, watch_kv};
use crate::sources::{Kv, Sourced};
use gates::Gate;
use store::Store;

/// Between two attempts, and two renewals of a session that lives three times as long.
const BEAT: Duration = Duration::from_secs(3);

/// Between two attempts of one who waits, when nobody tells of news.
const RETRY: Duration = Duration::from_secs(1);

/// What a restart takes beside getting ready, soaking and stopping.
const MARGIN: Duration = Duration::from_secs(60);

/// What the agent wants of a unit's task.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Ask {
    /// The revision that the host sees now.
    revision: String,
    /// Whether the unit says that it is the active one.
    active: bool,
    wish: Option<Wish>,
    /// What came of the change that was granted.
    result: Option<Result<(), String>>,
}

/// How far a unit's part is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) enum State {
    /// Nothing to do.
    #[default]
    Idle,
    /// Not yet.
    Waiting(String),
    /// No further.
    Halted(String),
    /// This revision is being put in force.
    Granted(String),
    /// This revision is over.
    Done(String),
}

/// What a task shows.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Seen {
    state: State,
    /// Why the rollout of other hosts was halted, where it was.
    halted: Option<String>,
}

struct Member {
    asks: watch::Sender<Ask>,
    seen: watch::Receiver<Seen>,
    task: JoinHandle<()>,
}

/// The tasks of all units.
pub(super) struct Rollouts(Vec<Option<Member>>);

impl Drop for Rollouts {
    fn drop(&mut self) {
        for member in self.0.iter().flatten() {
            member.task.abort();
        }
    }
}

impl Rollouts {
    /// For the units in the driver's order; without Consul there are none.
    pub(super) fn start(
        config: &AgentConfig,
        consul: Option<&Arc<Consul>>,
        node: &str,
        changed: &Arc<Notify>,
    ) -> Self {
        let units = super::ordered(config).into_iter();
        let member = |unit: &UnitConfig| {
            let (rollout, consul) = (unit.rollout.clone()?, consul?.clone());
            let (asks, inbox) = watch::channel(Ask::default());
            let (sender, seen) = watch::channel(Seen::default());
            let kv = watch_kv(consul.clone(), [rollout.lock.clone()]);
            let ready = unit.ready.as_ref().map_or(MARGIN, |ready| ready.timeout);
            let worker = Worker {
                store: Store::new(consul, rollout.lock.clone(), unit.name.clone(), node.to_owned()),
                gates: rollout.gates.iter().filter_map(|text| Gate::parse(text)).collect(),
                service: unit.services.first().map(|service| service.name.clone()),
                conf: unit.conf_dir(&config.state_dir),
                patience: ready + unit.stop.timeout + rollout.soak + MARGIN,
                rollout,
                seen: sender,
                changed: changed.clone(),
                granted: None,
            };
            let task = tokio::spawn(worker.run(inbox, kv));
            Some(Member { asks, seen, task })
        };
        Self(units.map(member).collect())
    }

    /// Whether changes of a unit go over the hosts.
    pub(super) fn has(&self, id: UnitId) -> bool {
        self.0.get(id).is_some_and(Option::is_some)
    }

    /// The revision that the host sees now, and whether the unit is the active one.
    pub(super) fn sees(&self, id: UnitId, revision: &str, active: bool) {
        let Some(Some(member)) = self.0.get(id) else { return };
        member.asks.send_if_modified(|ask| {
            let news = ask.revision != revision || ask.active != active;
            if news {
                revision.clone_into(&mut ask.revision);
                ask.active = active;
            }
            news
        });
    }

    /// What a unit wishes to change to now; `None` takes the wish back.
    pub(super) fn wish(&self, id: UnitId, wish: Option<Wish>) {
        let Some(Some(member)) = self.0.get(id) else { return };
        member.asks.send_if_modified(|ask| {
            let news = ask.wish != wish;
            if news {
                (ask.wish, ask.result) = (wish, None);
            }
            news
        });
    }

    /// What came of a granted change.
    pub(super) fn report(&self, id: UnitId, result: Result<(), String>) {
        let Some(Some(member)) = self.0.get(id) else { return };
        member.asks.send_if_modified(|ask| {
            let first = ask.result.is_none();
            if first {
                ask.result = Some(result);
            }
            first
        });
    }

    /// How far a unit is.
    pub(super) fn state(&self, id: UnitId) -> State {
        let Some(Some(member)) = self.0.get(id) else { return State::Idle };
        member.seen.borrow().state.clone()
    }

    /// The same for people, with what other hosts say.
    pub(super) fn told(&self, id: UnitId) -> Option<String> {
        let member = self.0.get(id)?.as_ref()?;
        let seen = member.seen.borrow();
        match (&seen.state, &seen.halted) {
            (State::Waiting(reason), _) => Some(format!("waiting: {reason}")),
            (State::Halted(reason), _) => Some(reason.clone()),
            (State::Granted(_), _) => {
                Some("its turn: the new configuration is on trial".to_owned())
            }
            (State::Idle | State::Done(_), halted) => halted.clone(),
        }
    }

    /// Gives slots back.
    pub(super) async fn finish(&mut self) {
        for member in self.0.iter_mut().filter_map(Option::take) {
            drop(member.asks);
            let _ = tokio::time::timeout(BEAT, member.task).await;
        }
    }
}

struct Worker {
    store: Store,
    rollout: Rollout,
    gates: Vec<Gate>,
    service: Option<String>,
    conf: PathBuf,
    /// How long a granted change may take.
    patience: Duration,
    seen: watch::Sender<Seen>,
    changed: Arc<Notify>,
    granted: Option<(Wish, Instant)>,
}

impl Worker {
    async fn run(mut self, mut asks: watch::Receiver<Ask>, mut kv: watch::Receiver<Sourced<Kv>>) {
        loop {
            let ask = asks.borrow_and_update().clone();
            let pause = match self.step(&ask).await {
                State::Waiting(_) | State::Halted(_) => RETRY,
                _ => BEAT,
            };
            if let Some(value) = kv.borrow_and_update().value.clone() {
                let halted = self.store.halted(&value, &ask.revision);
                let news = self.seen.send_if_modified(|seen| {
                    let news = seen.halted != halted;
                    seen.halted = halted;
                    news
                });
                if news {
                    self.changed.notify_one();
                }
            }
            tokio::select! {
                news = asks.changed() => if news.is_err() {
                    self.store.leave().await;
                    return;
                },
                // The watch ends only with this task.
                _ = kv.changed() => {}
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    async fn step(&mut self, ask: &Ask) -> State {
        if let Err(error) = self.store.renew().await {
            tracing::warn!(unit = self.store.unit(), "the lock of the rollout: {error}");
        }
        let same = |granted: &(Wish, Instant)| {
            ask.wish.as_ref().is_some_and(|wish| wish.revision == granted.0.revision)
        };
        // A grant that the agent does not want any more is over.
        let state = match (self.granted.take().filter(same), &ask.wish) {
            (Some((wish, since)), _) => {
                let result = match &ask.result {
                    None if since.elapsed() > self.patience => {
                        Some(Err(format!("not good within {:?}", self.patience)))
                    }
                    other => other.clone(),
                };
                match result {
                    Some(result) => self.over(&wish, result).await,
                    None => {
                        let state = State::Granted(wish.revision.clone());
                        self.granted = Some((wish, since));
                        state
                    }
                }
            }
            (None, None) => {
                self.store.leave().await;
                State::Idle
            }
            (None, Some(wish)) if self.state() == State::Done(wish.revision.clone()) => {
                self.state()
            }
            (None, Some(wish)) => {
                self.attempt(wish, ask.active).await.unwrap_or_else(State::Waiting)
            }
        };
        self.show(state.clone());
        state
    }

    fn state(&self) -> State {
        self.seen.borrow().state.clone()
    }

    fn show(&self, state: State) {
        let before = self.state();
        if before == state {
            return;
        }
        let unit = self.store.unit();
        match &state {
            State::Waiting(reason) => tracing::info!(unit, "waits for its turn: {reason}"),
            State::Halted(reason) => tracing::error!(unit, "the rollout is {reason}"),
            State::Granted(_) => tracing::info!(unit, "it is its turn in the rollout"),
            State::Idle | State::Done(_) => {}
        }
        self.seen.send_modify(|seen| seen.state = state);
        self.changed.notify_one();
    }

    /// Tries to get the turn. An error is a reason to wait.
    async fn attempt(&mut self, wish: &Wish, active: bool) -> Result<State, String> {
        // What is halted stays so, whatever the window and the gates say.
        if let Some(reason) = self.store.halted_for(wish).await? {
            self.store.give_back().await?;
            return Ok(State::Halted(reason));
        }
        if !self.window_open() {
            let window = self.rollout.window.as_deref().unwrap_or_default();
            self.store.give_back().await?;
            return Err(format!("the change window is {window}"));
        }
        for gate in &self.gates {
            let held = match (gate, &self.service) {
                (Gate::StandbyFirst, Some(service)) if active => {
                    self.store.standbys_done(wish, service).await
                }
                _ => gate.check(self.store.consul(), &self.conf).await,
            };
            if let Err(reason) = held {
                self.store.give_back().await?;
                return Err(reason);
            }
        }
        let limit = self.store.limit(&self.rollout.max_parallel, self.service.as_deref()).await?;
        self.store.take_slot(limit).await?;
        match self.store.turn(wish, self.rollout.canary).await? {
            Turn::Go(..) => {
                self.granted = Some((wish.clone(), Instant::now()));
                Ok(State::Granted(wish.revision.clone()))
            }
            Turn::Halted(reason) => {
                self.store.give_back().await?;
                Ok(State::Halted(reason))
            }
            Turn::Wait(reason) => {
                self.store.give_back().await?;
                Err(reason)
            }
        }
    }

    async fn over(&mut self, wish: &Wish, result: Result<(), String>) -> State {
        let time = chrono::Utc::now().to_rfc3339_opts(chrono::SecondsFormat::Millis, true);
        let halt = result.err().map(|reason| Halt { node: self.store.node(), reason, time });
        if let Some(halt) = &halt {
            tracing::error!(unit = self.store.unit(), "the rollout is {halt}");
        }
        let listed = self.gates.contains(&Gate::StandbyFirst);
        // Without Consul nobody else goes on either; the next beat tries again.
        if let Err(error) = self.store.note(wish, halt.clone(), listed).await {
            tracing::warn!(unit = self.store.unit(), "the record of the rollout: {error}");
            self.granted = Some((wish.clone(), Instant::now()));
            return State::Granted(wish.revision.clone());
        }
        self.store.leave().await;
        State::Done(wish.revision.clone())
    }

    fn window_open(&self) -> bool {
        let Some(text) = &self.rollout.window else { return true };
        let now = Local::now();
        let minute = now.hour() * 60 + now.minute();
        crate::core::window::Window::parse(text)
            .is_none_or(|window| window.open(now.weekday().num_days_from_monday(), minute))
    }
}
