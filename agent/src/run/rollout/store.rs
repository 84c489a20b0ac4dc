//! The documents of a rollout in Consul KV: session, semaphore, record.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use crate::core::rollout::{
    Halt, RECORD_SUFFIX, Record, SEMAPHORE_FLAGS, SEMAPHORE_KEY, Semaphore, Turn, Wish, limit,
};
use crate::sources::consul::{Behavior, Consul, ConsulError, Put, SessionSpec};
use crate::sources::{Kv, ServiceQuery};

/// A session that nobody renews is over after this, or twice this.
const SESSION_TTL: Duration = Duration::from_secs(10);

/// The tag of instances that are not the active one.
const STANDBY: &str = "standby";

/// How often a check-and-set is tried before the next beat does.
const TRIES: usize = 8;

/// One unit's access to them.
pub(super) struct Store {
    consul: Arc<Consul>,
    lock: String,
    unit: String,
    node: String,
    session: Option<String>,
    /// Whether the semaphore may hold our session.
    slot: bool,
}

fn text(error: ConsulError) -> String {
    error.to_string()
}

impl Store {
    pub(super) fn new(consul: Arc<Consul>, lock: String, unit: String, node: String) -> Self {
        let lock = lock.trim_end_matches('/').to_owned();
        Self { consul, lock, unit, node, session: None, slot: false }
    }

    pub(super) fn consul(&self) -> &Arc<Consul> {
        &self.consul
    }

    pub(super) fn unit(&self) -> &str {
        &self.unit
    }

    /// The host and the unit: several agents may share a host.
    pub(super) fn node(&self) -> String {
        format!("{}/{}", self.node, self.unit)
    }

    fn record_key(&self) -> String {
        format!("{}{RECORD_SUFFIX}", self.lock)
    }

    /// Why the rollout of a revision was halted, as far as a snapshot of the store tells.
    pub(super) fn halted(&self, kv: &Kv, revision: &str) -> Option<String> {
        let entry = kv.entries.get(&self.record_key())?;
        let record: Record = serde_json::from_slice(&entry.value).ok()?;
        record.halted.filter(|_| record.revision == revision).map(|halt| halt.to_string())
    }

    /// Keeps the session, if there is one; one that is over is forgotten.
    pub(super) async fn renew(&mut self) -> Result<(), String> {
        let Some(session) = &self.session else { return Ok(()) };
        if !self.consul.session_renew(session).await.map_err(text)? {
            (self.session, self.slot) = (None, false);
            return Err("the session was lost".to_owned());
        }
        Ok(())
    }

    async fn session(&mut self) -> Result<String, String> {
        if let Some(session) = &self.session {
            return Ok(session.clone());
        }
        let spec = SessionSpec {
            name: format!("howdah rollout of {}", self.node()),
            ttl: SESSION_TTL,
            lock_delay: Duration::ZERO,
            behavior: Behavior::Delete,
        };
        let session = self.consul.session_create(&spec).await.map_err(text)?;
        self.session = Some(session.clone());
        Ok(session)
    }

    /// How many hosts at once.
    pub(super) async fn limit(&self, most: &str, service: Option<&str>) -> Result<u64, String> {
        let hosts = match service.filter(|_| most.ends_with('%')) {
            Some(name) => {
                let name = name.to_owned();
                let query = ServiceQuery { name, tag: None, passing_only: false };
                self.consul.health_service(&query).await.map_err(text)?.len() as u64
            }
            None => 1,
        };
        Ok(limit(most, hosts))
    }

    /// Takes a slot of the semaphore, or has one already.
    pub(super) async fn take_slot(&mut self, limit: u64) -> Result<(), String> {
        let session = self.session().await?;
        let contender = format!("{}/{session}", self.lock);
        let node = self.node();
        let acquire = Put::Acquire(&session);
        let acquired = self.consul.kv_put(&contender, node.as_bytes(), SEMAPHORE_FLAGS, acquire);
        if !acquired.await.map_err(text)? {
            return Err("the session cannot contend".to_owned());
        }
        for _ in 0..TRIES {
            let (semaphore, index, contenders) = self.semaphore().await?;
            let semaphore = semaphore.pruned(&contenders);
            let holders = semaphore.holders.len();
            let Some(with) = semaphore.clone().with(&session, limit) else {
                return Err(format!("{holders} of {limit} slots are taken"));
            };
            if self.write_semaphore(&with, index).await? {
                self.slot = true;
                return Ok(());
            }
        }
        Err("the semaphore is busy".to_owned())
    }

    async fn semaphore(&self) -> Result<(Semaphore, u64, BTreeSet<String>), String> {
        let listing = self.consul.kv_list(&format!("{}/", self.lock)).await.map_err(text)?;
        let own = format!("{}/{SEMAPHORE_KEY}", self.lock);
        let (mut semaphore, mut index) = (Semaphore::default(), 0);
        let mut contenders = BTreeSet::new();
        for (key, entry) in &listing.entries {
            if *key == own {
                index = entry.modified;
                semaphore = serde_json::from_slice(&entry.value)
                    .map_err(|error| format!("{key} is no semaphore: {error}"))?;
            } else if let Some((_, name)) = key.rsplit_once('/') {
                contenders.insert(name.to_owned());
            }
        }
        Ok((semaphore, index, contenders))
    }

    async fn write_semaphore(&self, semaphore: &Semaphore, index: u64) -> Result<bool, String> {
        let key = format!("{}/{SEMAPHORE_KEY}", self.lock);
        let value = serde_json::to_vec(semaphore).map_err(|error| error.to_string())?;
        let put = self.consul.kv_put(&key, &value, SEMAPHORE_FLAGS, Put::Cas(index));
        put.await.map_err(text)
    }

    /// Gives the slot back; the session stays for the next attempt.
    pub(super) async fn give_back(&mut self) -> Result<(), String> {
        let Some(session) = self.session.clone().filter(|_| self.slot) else { return Ok(()) };
        for _ in 0..TRIES {
            let (semaphore, index, contenders) = self.semaphore().await?;
            let without = semaphore.pruned(&contenders).without(&session);
            if self.write_semaphore(&without, index).await? {
                self.slot = false;
                return Ok(());
            }
        }
        Err("the semaphore is busy".to_owned())
    }

    /// Gives everything back. What fails is over with the session's life.
    pub(super) async fn leave(&mut self) {
        let _ = self.give_back().await;
        if let Some(session) = self.session.take() {
            let _ = self.consul.session_destroy(&session).await;
        }
        self.slot = false;
    }

    async fn record(&self) -> Result<(Record, u64), String> {
        let key = self.record_key();
        let Some(entry) = self.consul.kv_get(&key).await.map_err(text)? else {
            return Ok((Record::default(), 0));
        };
        let record = serde_json::from_slice(&entry.value)
            .map_err(|error| format!("{key} is no record of a rollout: {error}"))?;
        Ok((record, entry.modified))
    }

    async fn write_record(&self, record: &Record, index: u64) -> Result<bool, String> {
        let value = serde_json::to_vec(record).map_err(|error| error.to_string())?;
        let key = self.record_key();
        let put = self.consul.kv_put(&key, &value, 0, Put::Cas(index));
        put.await.map_err(text)
    }

    /// Why the revision of a wish goes no further, if it does not.
    pub(super) async fn halted_for(&self, wish: &Wish) -> Result<Option<String>, String> {
        let (record, _) = self.record().await?;
        let ours = record.revision == wish.revision;
        Ok(record.halted.filter(|_| ours).map(|halt| halt.to_string()))
    }

    /// Whether it is this host's turn; if so, the record says it.
    pub(super) async fn turn(&self, wish: &Wish, canaries: u64) -> Result<Turn, String> {
        let session = self.session.clone().ok_or("the session was lost")?;
        for _ in 0..TRIES {
            let (_, _, contenders) = self.semaphore().await?;
            let (record, index) = self.record().await?;
            let turn = record.turn(wish, &self.node(), &session, canaries, &contenders);
            let Turn::Go(next, _) = &turn else { return Ok(turn) };
            if *next == record || self.write_record(next, index).await? {
                return Ok(turn);
            }
        }
        Err("the record of the rollout is busy".to_owned())
    }

    /// Why an active one has to wait for the standbys of its service.
    ///
    /// # Errors
    /// It has to, or nobody can tell.
    pub(super) async fn standbys_done(&self, wish: &Wish, service: &str) -> Result<(), String> {
        let (name, tag) = (service.to_owned(), Some(STANDBY.to_owned()));
        let query = ServiceQuery { name, tag, passing_only: false };
        let standbys = self.consul.health_service(&query).await.map_err(text)?.len() as u64;
        let done = self.record().await?.0.done(wish);
        match done >= standbys {
            true => Ok(()),
            false => Err(format!("active; {done} of {standbys} standbys have it, which go first")),
        }
    }

    /// Notes what came of this host's change; in a list of those done where others wait for it.
    pub(super) async fn note(
        &self,
        wish: &Wish,
        halt: Option<Halt>,
        listed: bool,
    ) -> Result<(), String> {
        for _ in 0..TRIES {
            let (record, index) = self.record().await?;
            let next = match &halt {
                Some(halt) => record.clone().halt(wish, halt.clone()),
                None => record.clone().passed(wish, &self.node(), listed),
            };
            if next == record || self.write_record(&next, index).await? {
                return Ok(());
            }
        }
        Err("it is busy".to_owned())
    }
}
