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
use tokio::sync::{mpsc, oneshot, watch};

use crate::sources::Sourced;
use crate::sources::consul::{Consul, ConsulError};
use crate::sources::jitter::Jitter;
pub use registration::{Check, CheckKind, Registration, Status};

/// Between two comparisons when nothing happens.
const RECONCILE: Duration = Duration::from_secs(30);

/// Longest pause between attempts while Consul refuses or is away; the agent is on this host.
const RETRY_CAP: Duration = Duration::from_secs(5);

/// Orders that wait for the task; it takes them at once unless Consul hangs.
const ORDERS_MAX: usize = 64;

/// How long the end may take; Consul itself removes what stays critical.
const FAREWELL: Duration = Duration::from_secs(5);

/// What the registrar last did.
pub type Registered = BTreeSet<String>;

enum Order {
    Want(Vec<Registration>),
    Ttl(String, Status, String),
    Maintenance(String, Option<String>),
    Finish(oneshot::Sender<()>),
}

/// Keeps registrations as wanted. When it is dropped without [`Registrar::finish`] they stay.
#[derive(Debug)]
pub struct Registrar {
    orders: mpsc::Sender<Order>,
    receiver: watch::Receiver<Sourced<Registered>>,
}

impl Registrar {
    /// Starts with nothing wanted, and removes what stands under the prefix only after the first
    /// [`Registrar::want`].
    pub fn start(consul: Arc<Consul>, prefix: impl Into<String>) -> Self {
        let (orders, inbox) = mpsc::channel(ORDERS_MAX);
        let (sender, receiver) = watch::channel(Sourced::default());
        let keeper = Keeper {
            consul,
            prefix: prefix.into(),
            wanted: None,
            ttl: BTreeMap::new(),
            maintenance: BTreeMap::new(),
            sender,
        };
        tokio::spawn(keeper.run(inbox));
        Self { orders, receiver }
    }

    /// Replaces the wanted registrations.
    pub async fn want(&self, registrations: Vec<Registration>) {
        self.order(Order::Want(registrations)).await;
    }

    /// What the TTL checks of a service shall say; repeated until told otherwise.
    pub async fn set_ttl(&self, id: &str, status: Status, note: &str) {
        self.order(Order::Ttl(id.to_owned(), status, note.to_owned())).await;
    }

    /// Takes a service out of the answers with a reason, or back into them with none.
    pub async fn maintenance(&self, id: &str, reason: Option<&str>) {
        self.order(Order::Maintenance(id.to_owned(), reason.map(str::to_owned))).await;
    }

    /// The ids that stand as wanted, and what is wrong while they do not.
    pub fn receiver(&self) -> watch::Receiver<Sourced<Registered>> {
        self.receiver.clone()
    }

    /// Deregisters everything of the prefix, within a few seconds or not at all.
    pub async fn finish(self) {
        let (done, wait) = oneshot::channel();
        self.order(Order::Finish(done)).await;
        let _ = tokio::time::timeout(FAREWELL + RECONCILE / 10, wait).await;
    }

    async fn order(&self, order: Order) {
        // The task lives as long as this handle.
        let _ = self.orders.send(order).await;
    }
}

struct Keeper {
    consul: Arc<Consul>,
    prefix: String,
    wanted: Option<BTreeMap<String, Registration>>,
    ttl: BTreeMap<String, (Status, String)>,
    maintenance: BTreeMap<String, String>,
    sender: watch::Sender<Sourced<Registered>>,
}

impl Keeper {
    async fn run(mut self, mut inbox: mpsc::Receiver<Order>) {
        let mut recoveries = self.consul.recoveries();
        let mut jitter = Jitter::new(Duration::from_millis(250), RETRY_CAP);
        let mut pause = RECONCILE;
        loop {
            let order = tokio::select! {
                order = inbox.recv() => match order {
                    Some(order) => Some(order),
                    None => return,
                },
                _ = recoveries.changed() => None,
                () = tokio::time::sleep(pause) => None,
            };
            let mut next = order;
            while let Some(order) = next {
                if let Order::Finish(done) = order {
                    let _ = tokio::time::timeout(FAREWELL, self.remove_all()).await;
                    let _ = done.send(());
                    return;
                }
                self.take(order);
                next = inbox.try_recv().ok();
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

    fn take(&mut self, order: Order) {
        match order {
            Order::Want(list) => {
                let named = list.into_iter().map(|registration| {
                    (format!("{}{}", self.prefix, registration.id), registration)
                });
                self.wanted = Some(named.collect());
            }
            Order::Ttl(id, status, note) => {
                self.ttl.insert(format!("{}{id}", self.prefix), (status, note));
            }
            Order::Maintenance(id, Some(reason)) => {
                self.maintenance.insert(format!("{}{id}", self.prefix), reason);
            }
            Order::Maintenance(id, None) => {
                self.maintenance.remove(&format!("{}{id}", self.prefix));
            }
            Order::Finish(_) => {}
        }
    }

    /// Until the next comparison: a third of the shortest TTL, so that none runs out.
    fn beat(&self) -> Duration {
        let wanted = self.wanted.iter().flat_map(BTreeMap::values);
        let ttls = wanted.flat_map(|registration| &registration.checks).filter_map(Check::ttl);
        ttls.map(|ttl| ttl / 3).chain([RECONCILE]).min().unwrap_or(RECONCILE)
    }

    async fn reconcile(&self) -> Result<(), ConsulError> {
        let Some(wanted) = &self.wanted else { return Ok(()) };
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
        let reason = self.maintenance.get(id);
        let standing = checks.get(&maintained).and_then(|check| check["Notes"].as_str());
        if reason.map(String::as_str) != standing {
            self.consul.maintenance(id, reason.map(String::as_str)).await?;
        }
        let (status, note) = match self.ttl.get(id) {
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
