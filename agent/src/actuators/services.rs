//! Services of this host in the local Consul agent, for DNS and health.
//!
//! Level-triggered: the wanted registrations are compared with what the agent tells, on every
//! change, every 30 seconds, and as soon as Consul answers again after an outage. Only ids with
//! the own prefix are ever touched. Nothing here decides which services there are.

mod registration;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use serde_json::Value;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::sources::Sourced;
use crate::sources::consul::{Consul, ConsulError};
use crate::sources::jitter::Jitter;
pub use registration::{Check, CheckKind, Registration, Status};

/// Between two comparisons when nothing happens.
const RECONCILE: Duration = Duration::from_secs(30);

/// Longest pause between attempts while Consul refuses or is away; the agent is on this host.
const RETRY_CAP: Duration = Duration::from_secs(5);

/// How long the end may take; Consul itself removes what stays critical.
const FAREWELL: Duration = Duration::from_secs(5);

/// The ids that stand as wanted.
pub type Registered = BTreeSet<String>;

/// What is wanted, whole.
#[derive(Debug, Clone, Default)]
struct Desired {
    /// By id, prefix included; `None` until the first word of the owner.
    wanted: Option<BTreeMap<String, Registration>>,
    ttl: BTreeMap<String, (Status, String)>,
    maintenance: BTreeMap<String, String>,
    over: bool,
}

/// Keeps registrations as wanted. When it is dropped without [`Registrar::finish`] they stay.
#[derive(Debug)]
pub struct Registrar {
    prefix: String,
    desired: watch::Sender<Desired>,
    receiver: watch::Receiver<Sourced<Registered>>,
    task: JoinHandle<()>,
}

impl Registrar {
    /// Starts with nothing wanted, and removes what stands under the prefix only after the first
    /// [`Registrar::want`]. Must be called inside the runtime.
    pub fn start(consul: Arc<Consul>, prefix: impl Into<String>) -> Self {
        let (desired, inbox) = watch::channel(Desired::default());
        let (sender, receiver) = watch::channel(Sourced::default());
        let prefix = prefix.into();
        let keeper = Keeper { consul, prefix: prefix.clone(), desired: Desired::default(), sender };
        let task = tokio::spawn(keeper.run(inbox));
        Self { prefix, desired, receiver, task }
    }

    fn id(&self, id: &str) -> String {
        format!("{}{id}", self.prefix)
    }

    /// Replaces the wanted registrations.
    pub fn want(&self, registrations: Vec<Registration>) {
        let named = registrations.into_iter().map(|each| (self.id(&each.id), each)).collect();
        self.desired.send_modify(|desired| desired.wanted = Some(named));
    }

    /// What the TTL checks of a service shall say; repeated until told otherwise.
    pub fn set_ttl(&self, id: &str, status: Status, note: &str) {
        let said = (status, note.to_owned());
        self.desired.send_if_modified(|desired| {
            desired.ttl.insert(self.id(id), said.clone()) != Some(said.clone())
        });
    }

    /// Takes a service out of the answers with a reason, or back into them with none.
    pub fn maintenance(&self, id: &str, reason: Option<&str>) {
        let (id, reason) = (self.id(id), reason.map(str::to_owned));
        self.desired.send_if_modified(|desired| match reason {
            Some(reason) => desired.maintenance.insert(id, reason.clone()) != Some(reason),
            None => desired.maintenance.remove(&id).is_some(),
        });
    }

    /// The ids that stand as wanted, and what is wrong while they do not.
    pub fn receiver(&self) -> watch::Receiver<Sourced<Registered>> {
        self.receiver.clone()
    }

    /// Deregisters everything of the prefix, within a few seconds or not at all.
    pub async fn finish(self) {
        self.desired.send_modify(|desired| desired.over = true);
        // A request that is under way is given its time first.
        let _ = tokio::time::timeout(FAREWELL * 2, self.task).await;
    }
}

struct Keeper {
    consul: Arc<Consul>,
    prefix: String,
    desired: Desired,
    sender: watch::Sender<Sourced<Registered>>,
}

impl Keeper {
    async fn run(mut self, mut inbox: watch::Receiver<Desired>) {
        let mut recoveries = self.consul.recoveries();
        let mut jitter = Jitter::new(Duration::from_millis(250), RETRY_CAP);
        let mut pause = RECONCILE;
        loop {
            tokio::select! {
                news = inbox.changed() => if news.is_err() {
                    return;
                },
                _ = recoveries.changed() => {}
                () = tokio::time::sleep(pause) => {}
            }
            self.desired = inbox.borrow_and_update().clone();
            if self.desired.over {
                let _ = tokio::time::timeout(FAREWELL, self.remove_all()).await;
                return;
            }
            match self.reconcile().await {
                Ok(()) => {
                    jitter.reset();
                    pause = self.beat();
                }
                Err(error) => {
                    pause = jitter.pause();
                    let error = error.to_string();
                    let retry_ms = pause.as_millis();
                    tracing::warn!(%error, retry_ms, "services are not as wanted");
                    self.sender.send_modify(|sourced| sourced.error = Some(error));
                }
            }
            recoveries.borrow_and_update();
        }
    }

    /// Until the next comparison: a third of the shortest TTL, so that none runs out.
    fn beat(&self) -> Duration {
        let wanted = self.desired.wanted.iter().flat_map(BTreeMap::values);
        let ttls = wanted.flat_map(|registration| &registration.checks).filter_map(Check::ttl);
        ttls.map(|ttl| ttl / 3).chain([RECONCILE]).min().unwrap_or(RECONCILE)
    }

    async fn reconcile(&self) -> Result<(), ConsulError> {
        let Some(wanted) = &self.desired.wanted else { return Ok(()) };
        let services = self.consul.agent_services().await?;
        let checks = self.consul.agent_checks().await?;
        let own = services.keys().filter(|id| id.starts_with(&self.prefix));
        for id in own.filter(|id| !wanted.contains_key(*id)) {
            tracing::info!(id, "deregistering");
            self.consul.deregister(id).await?;
        }
        // One service that Consul refuses must not keep the others from their places.
        let mut refused = None;
        for (id, registration) in wanted {
            if let Err(error) = self.settle(id, registration, services.get(id), &checks).await {
                if error.is_outage() {
                    return Err(error);
                }
                refused = refused.or(Some(error));
            }
        }
        if let Some(error) = refused {
            return Err(error);
        }
        let registered: Registered = wanted.keys().cloned().collect();
        self.sender.send_modify(|sourced| {
            *sourced = Sourced {
                value: Some(Arc::new(registered)),
                at: Some(SystemTime::now()),
                error: None,
            };
        });
        Ok(())
    }

    async fn settle(
        &self,
        id: &str,
        registration: &Registration,
        found: Option<&Value>,
        checks: &BTreeMap<String, Value>,
    ) -> Result<(), ConsulError> {
        let maintained = format!("_service_maintenance:{id}");
        if !found.is_some_and(|found| registration.stands(id, found, checks)) {
            tracing::info!(id, "registering");
            self.consul.register(&registration.json(id)).await?;
        }
        // Off comes after on in the order of events, but each is only said when it differs.
        let reason = self.desired.maintenance.get(id);
        let standing = checks.get(&maintained).and_then(|check| check["Notes"].as_str());
        if reason.map(String::as_str) != standing {
            self.consul.maintenance(id, reason.map(String::as_str)).await?;
        }
        let (status, note) = match self.desired.ttl.get(id) {
            Some((status, note)) => (*status, note.as_str()),
            None => return Ok(()),
        };
        for check in registration.checks.iter().filter(|check| check.ttl().is_some()) {
            self.consul.check_update(&check.id(id), status.name(), note).await?;
        }
        Ok(())
    }

    async fn remove_all(&self) {
        let Ok(services) = self.consul.agent_services().await else { return };
        for id in services.keys().filter(|id| id.starts_with(&self.prefix)) {
            if let Err(error) = self.consul.deregister(id).await {
                tracing::warn!(%error, id, "a service stays registered");
            }
        }
    }
}

#[cfg(test)]
mod tests;
