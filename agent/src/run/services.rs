//! What the units' services say in Consul, by what happens to the units.
//!
//! A unit's services are wanted from its first start on until the agent ends; what they say:
//!
//! | The unit | TTL checks | maintenance (where configured) |
//! |---|---|---|
//! | runs and is ready | passing | off |
//! | runs, not ready (yet) | critical | as before |
//! | is restarted for new configuration, or stopped for good | critical | on |
//! | ended by itself | critical | as before |
//!
//! `active` and `standby` come as tags from what the daemon says of itself; `${generation}` in tags
//! and metadata is the generation in force.

use std::collections::BTreeMap;
use std::sync::Arc;

use sha2::{Digest as _, Sha256};
use tokio::sync::watch;

use crate::actuators::services::{Check, CheckKind, Registered, Registrar, Registration, Status};
use crate::config::{self, AgentConfig, ServiceConfig, UnitConfig, expand};
use crate::core::UnitId;
use crate::driver::Told;
use crate::sources::Sourced;
use crate::sources::consul::Consul;

/// What is known of one unit.
#[derive(Debug, Default)]
struct UnitState {
    started: bool,
    ready: bool,
    generation: u64,
    state: Option<String>,
}

/// Tells Consul of the units' services. Without Consul, or without services, it does nothing.
pub(super) struct Services {
    registrar: Option<Registrar>,
    units: Vec<(UnitConfig, UnitState)>,
}

/// The prefix of this agent's ids: agents that share a Consul client have one each.
pub(super) fn prefix(config: &AgentConfig) -> String {
    let folder = config.state_dir.canonicalize().unwrap_or_else(|_| config.state_dir.clone());
    let digest = Sha256::digest(folder.as_os_str().as_encoded_bytes());
    let short: String = digest.iter().take(4).map(|byte| format!("{byte:02x}")).collect();
    format!("howdah-{}-{short}-", config.cluster)
}

impl Services {
    /// For the units in the driver's order; a `generation` in force is taken from the disk.
    pub(super) fn start(config: &AgentConfig, consul: Option<Arc<Consul>>) -> Self {
        let units: Vec<(UnitConfig, UnitState)> = super::ordered(config)
            .into_iter()
            .map(|unit| {
                let generation = super::generations(config, unit).current().unwrap_or_default();
                (unit.clone(), UnitState { generation, ..UnitState::default() })
            })
            .collect();
        let needed = units.iter().any(|(unit, _)| !unit.services.is_empty());
        let registrar =
            consul.filter(|_| needed).map(|consul| Registrar::start(consul, prefix(config)));
        Self { registrar, units }
    }

    /// What a new configuration makes of it: what is known of the units stays.
    #[must_use]
    pub(super) fn followed_by(&mut self, mut next: Self) -> Self {
        for ((_, old), (_, new)) in self.units.iter_mut().zip(&mut next.units) {
            *new = std::mem::take(old);
        }
        for id in 0..next.units.len() {
            next.say_ready(id);
        }
        next.want();
        next
    }

    /// How it goes.
    pub(super) fn receiver(&self) -> Option<watch::Receiver<Sourced<Registered>>> {
        self.registrar.as_ref().map(Registrar::receiver)
    }

    /// Takes in what happened to a unit.
    pub(super) fn told(&mut self, id: UnitId, told: &Told) {
        let Some((_, state)) = self.units.get_mut(id) else { return };
        match told {
            Told::Started(_) => {
                state.started = true;
                self.say(id, Status::Critical, "starting", None);
            }
            Told::Committed { number, .. } | Told::RolledBack(number) => state.generation = *number,
            Told::State(said) => state.state.clone_from(said),
            Told::Ready(ready) => {
                state.ready = *ready;
                self.say_ready(id);
            }
            Told::Restarting => {
                state.ready = false;
                let reason = format!("restarting for generation {}", state.generation);
                self.say(id, Status::Critical, &reason, Some(Some(&reason)));
            }
            Told::Ended(exit) => {
                state.ready = false;
                self.say(id, Status::Critical, &format!("ended: {}", super::ended(*exit)), None);
            }
            Told::Good | Told::Refused(_) | Told::Settled | Told::Reloaded(_) | Told::Drift(_) => {
                return;
            }
        }
        self.want();
    }

    /// All are taken out of the answers: the end begins.
    pub(super) fn ending(&self) {
        for id in 0..self.units.len() {
            self.say(id, Status::Critical, "the agent stops", Some(Some("the agent stops")));
        }
    }

    /// Deregisters everything.
    pub(super) async fn finish(&mut self) {
        if let Some(registrar) = self.registrar.take() {
            registrar.finish().await;
        }
    }

    fn say_ready(&self, id: UnitId) {
        match self.units[id].1.ready {
            true => self.say(id, Status::Passing, "ready", Some(None)),
            false => self.say(id, Status::Critical, "not ready", None),
        }
    }

    fn say(&self, id: UnitId, status: Status, note: &str, maintenance: Option<Option<&str>>) {
        let Some(registrar) = &self.registrar else { return };
        let (unit, _) = &self.units[id];
        for service in &unit.services {
            let id = service_id(unit, service);
            registrar.set_ttl(&id, status, note);
            if let Some(reason) = maintenance.filter(|_| service.maintenance_on_restart) {
                registrar.maintenance(&id, reason);
            }
        }
    }

    fn want(&self) {
        let Some(registrar) = &self.registrar else { return };
        let started = self.units.iter().filter(|(_, state)| state.started);
        let all = started.flat_map(|(unit, state)| {
            unit.services.iter().map(|service| registration(unit, service, state))
        });
        registrar.want(all.collect());
    }
}

fn service_id(unit: &UnitConfig, service: &ServiceConfig) -> String {
    format!("{}-{}", unit.name, service.name)
}

fn registration(unit: &UnitConfig, service: &ServiceConfig, state: &UnitState) -> Registration {
    let generation = state.generation.to_string();
    let late = [("generation", generation.as_str())];
    let mut tags: Vec<String> = service.tags.iter().map(|tag| expand(tag, &late)).collect();
    let dynamic = state.state.as_deref().filter(|said| ["active", "standby"].contains(said));
    tags.extend(dynamic.map(str::to_owned));
    let meta: BTreeMap<String, String> =
        service.meta.iter().map(|(name, value)| (name.clone(), expand(value, &late))).collect();
    Registration {
        id: service_id(unit, service),
        name: service.name.clone(),
        address: service.address.clone(),
        port: service.port,
        tags,
        meta,
        checks: service.checks.iter().map(check).collect(),
        deregister_critical_after: service.deregister_critical_after,
    }
}

/// How long an answer may take where nothing is said.
const CHECK_TIMEOUT: std::time::Duration = std::time::Duration::from_secs(5);

fn check(check: &config::Check) -> Check {
    let kind = match &check.kind {
        config::CheckKind::Http(url) => CheckKind::Http { url: url.clone() },
        config::CheckKind::Tcp(address) => CheckKind::Tcp { address: address.clone() },
        config::CheckKind::Ttl => CheckKind::Ttl { ttl: check.interval },
    };
    let timeout = check.timeout.unwrap_or_else(|| CHECK_TIMEOUT.min(check.interval));
    Check { name: check.name.clone(), kind, interval: check.interval, timeout }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unit(text: &str) -> UnitConfig {
        let text = format!("consul {{}}\nunit \"nn\" {{\n command = [\"x\"]\n {text}\n}}");
        let config = config::load_text("t.hcl", &text, &config::Scope::default()).unwrap();
        config.units[0].clone()
    }

    #[test]
    fn tags_and_metadata_follow_the_unit() {
        let unit = unit(
            "service \"namenode\" {\n port = 8020\n tags = [\"rpc\", \"g${generation}\"]\n\
             meta = { generation = \"${generation}\" }\n\
             checks = { supervisor = { ttl = \"30s\" } }\n}",
        );
        let state = UnitState {
            started: true,
            ready: true,
            generation: 7,
            state: Some("active".to_owned()),
        };
        let made = registration(&unit, &unit.services[0], &state);
        assert_eq!(made.id, "nn-namenode");
        assert_eq!(made.tags, ["rpc", "g7", "active"]);
        assert_eq!(made.meta["generation"], "7");
        assert_eq!(made.checks[0].ttl(), Some(std::time::Duration::from_secs(30)));
        let odd = UnitState { state: Some("odd".to_owned()), ..state };
        assert_eq!(registration(&unit, &unit.services[0], &odd).tags, ["rpc", "g7"]);
    }
}
