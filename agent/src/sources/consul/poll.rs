//! One blocking query, asked for ever: Consul's index rules, pauses after failures, and turns
//! where there are more queries than connections.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::{Notify, Semaphore};

use super::client::{Block, Consul, ConsulError};
use crate::sources::jitter::{Jitter, between};

/// KV prefixes that wait at the same time. With the one of health and one for short calls these
/// are all connections.
const KV_WAITING_MAX: usize = 2;

/// Health queries that wait at the same time.
const HEALTH_WAITING_MAX: usize = 1;

/// How long one query waits when others want their turn.
const TURN: Duration = Duration::from_secs(2);

/// While it pauses, a poll asks this often whether Consul has a leader again, which costs less
/// than the query itself. Then it need not wait for the end of a long pause.
const PROBE: Duration = Duration::from_secs(2);

/// Longest pause when Consul is well but refuses: rate limited, or the token is not accepted.
const REFUSED_CAP: Duration = Duration::from_secs(5);

/// Changes in a row that are fetched without a pause; then one each [`CHANGE_EVERY`].
const BURST: f64 = 100.0;

/// Pause between changes of a tree that never rests.
const CHANGE_EVERY: Duration = Duration::from_millis(20);

/// Who waits for changes, of KV and of health.
#[derive(Debug)]
pub(super) struct Turns {
    pub(super) kv: Turn,
    pub(super) health: Turn,
}

impl Default for Turns {
    fn default() -> Self {
        Self { kv: Turn::new(KV_WAITING_MAX), health: Turn::new(HEALTH_WAITING_MAX) }
    }
}

/// A number of connections and those who want one.
#[derive(Debug)]
pub(super) struct Turn {
    places: Semaphore,
    places_max: usize,
    wanted_by: AtomicUsize,
    /// Told of everybody who comes.
    came: Notify,
}

impl Turn {
    fn new(places_max: usize) -> Self {
        let (places, wanted_by) = (Semaphore::new(places_max), AtomicUsize::new(0));
        Self { places, places_max, wanted_by, came: Notify::new() }
    }

    fn crowded(&self) -> bool {
        self.wanted_by.load(Ordering::Relaxed) > self.places_max
    }

    /// Ends a turn after others came who want one too.
    async fn over(&self) {
        loop {
            let came = self.came.notified();
            if self.crowded() {
                return tokio::time::sleep(TURN).await;
            }
            came.await;
        }
    }

    /// How long a query may wait: whole, or for a turn.
    fn wait(&self, whole: Duration) -> Duration {
        if self.crowded() { whole.min(TURN) } else { whole }
    }
}

/// Counts one who waits.
#[derive(Debug)]
struct Waiting<'a>(&'a Turn);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.wanted_by.fetch_sub(1, Ordering::Relaxed);
    }
}

/// What one round brought.
#[derive(Debug)]
pub(super) enum Round<T> {
    /// A value that may be new.
    Changed(T),
    /// The index is the same.
    Same,
}

/// The state of one query between its rounds.
#[derive(Debug)]
pub(super) struct Poll {
    /// The index of the last good answer; 0 asks for an answer at once.
    pub(super) index: u64,
    /// When it last worked again after a failure, or for the first time.
    pub(super) recovered: Option<Instant>,
    jitter: Jitter,
    failing: bool,
    budget: f64,
    refilled: Instant,
}

impl Default for Poll {
    fn default() -> Self {
        Self {
            index: 0,
            recovered: None,
            jitter: Jitter::default(),
            failing: true,
            budget: BURST,
            refilled: Instant::now(),
        }
    }
}

impl Poll {
    /// The query for this round, once there is a connection for it; `ask` makes it.
    pub(super) async fn round<T>(
        &mut self,
        turn: &Turn,
        wait: Duration,
        ask: impl AsyncFnOnce(Block) -> Result<super::Listing<T>, ConsulError>,
    ) -> Result<Round<super::Listing<T>>, ConsulError> {
        turn.wanted_by.fetch_add(1, Ordering::Relaxed);
        let waiting = Waiting(turn);
        turn.came.notify_waiters();
        let place = turn.places.acquire().await;
        let started = Instant::now();
        let block = Block { index: self.index, wait: turn.wait(wait), consistent: false };
        // A long wait that began before others came is cut short; nothing was new so far.
        let patient = block.index > 0 && block.wait > TURN;
        let answer = tokio::select! {
            answer = ask(block) => answer,
            () = turn.over(), if patient => return Ok(Round::Same),
        };
        drop(place);
        drop(waiting);
        let listing = answer?;
        self.jitter.reset();
        if std::mem::replace(&mut self.failing, false) {
            self.recovered = Some(Instant::now());
        }
        if listing.index == self.index {
            // A server that does not wait must not be asked without a rest. One that stops answers
            // early too, and may be back with another history before we notice: start over.
            if started.elapsed() < block.wait / 4 {
                self.index = 0;
                tokio::time::sleep(self.jitter.pause()).await;
                self.jitter.reset();
            }
            return Ok(Round::Same);
        }
        // A lower index is of another history: the next question starts from nothing. What this
        // answer holds is the new history's present all the same.
        self.index = if listing.index < self.index { 0 } else { listing.index };
        self.spend().await;
        Ok(Round::Changed(listing))
    }

    /// Rests when changes come faster than anybody could use them.
    async fn spend(&mut self) {
        let refill = self.refilled.elapsed().as_secs_f64() / CHANGE_EVERY.as_secs_f64();
        self.refilled = Instant::now();
        self.budget = (self.budget + refill).min(BURST) - 1.0;
        if self.budget < 0.0 {
            tokio::time::sleep(CHANGE_EVERY).await;
        }
    }

    /// Pauses after a failure.
    pub(super) async fn pause(&mut self, consul: &Consul, error: &ConsulError) {
        self.failing = true;
        // The server may be back with another history, whose index our old one is far beyond.
        self.index = 0;
        let pause = self.jitter.pause();
        if !error.is_outage() {
            tokio::time::sleep(pause.min(between(REFUSED_CAP / 2, REFUSED_CAP))).await;
            return;
        }
        let until = Instant::now() + pause;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            let probe = between(PROBE * 3 / 4, PROBE);
            if left <= probe {
                return tokio::time::sleep(left).await;
            }
            tokio::time::sleep(probe).await;
            if matches!(consul.has_leader().await, Ok(true)) {
                return;
            }
        }
    }
}
