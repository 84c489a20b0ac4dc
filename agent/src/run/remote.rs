//! Consul and Vault as sources of one agent: what is asked of them, and what they last said.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;

use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;

use super::inputs::{Health, Heard};
use crate::config::{self, AgentConfig, LayerSource, Scope, VaultAuth};
use crate::engine::{self, Inputs, Wants, layers};
use crate::http::Tls;
use crate::sources::consul::{Consul, ConsulConfig, HealthWatch, watch_kv};
use crate::sources::vault::{Auth, Mode, SecretStore, Standing, VaultConfig};
use crate::sources::{Kv, Secrets, Services, Sourced};

/// The remote sources; watching ends when this is dropped.
#[derive(Default)]
pub(super) struct Remote {
    consul: Option<Arc<Consul>>,
    kv: Option<watch::Receiver<Sourced<Kv>>>,
    services: Option<(HealthWatch, watch::Receiver<Sourced<Services>>)>,
    secrets: Option<(SecretStore, watch::Receiver<Sourced<Secrets>>)>,
    /// What could not even be started, by source.
    broken: Vec<(&'static str, String)>,
    tasks: Vec<JoinHandle<()>>,
}

impl Drop for Remote {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

impl Remote {
    /// Connects to what the configuration names. `changed` is told of news.
    pub(super) fn connect(
        config: &AgentConfig,
        scope: &Scope,
        changed: &Arc<Notify>,
        mode: Mode,
    ) -> Self {
        let mut remote = Self::default();
        if let Some(block) = &config.consul {
            match Consul::new(consul(block, scope)) {
                Ok(client) => {
                    if config.store.is_none() {
                        let kv = watch_kv(client.clone(), prefixes(config));
                        remote.forward(kv.clone(), changed);
                        remote.kv = Some(kv);
                    }
                    remote.consul = Some(client.clone());
                    let health = HealthWatch::start(client);
                    let receiver = health.receiver();
                    remote.forward(receiver.clone(), changed);
                    remote.services = Some((health, receiver));
                }
                Err(error) => remote.broken.push(("consul", error.to_string())),
            }
        }
        if let Some(block) = &config.vault {
            match SecretStore::start(vault(block, scope), &config.state_dir, mode) {
                Ok(store) => {
                    let receiver = store.receiver();
                    remote.forward(receiver.clone(), changed);
                    remote.secrets = Some((store, receiver));
                }
                Err(error) => remote.broken.push(("vault", error.to_string())),
            }
        }
        remote
    }

    fn forward<T>(&mut self, mut news: watch::Receiver<T>, changed: &Arc<Notify>)
    where
        T: Send + Sync + 'static,
    {
        let changed = changed.clone();
        self.tasks.push(tokio::spawn(async move {
            while news.changed().await.is_ok() {
                changed.notify_one();
            }
        }));
    }

    /// Whether keys come from here.
    pub(super) fn has_kv(&self) -> bool {
        self.kv.is_some()
    }

    /// Whether services, and whether secrets, come from here.
    pub(super) fn asked(&self) -> (bool, bool) {
        (self.services.is_some(), self.secrets.is_some())
    }

    /// The Consul that was connected.
    pub(super) fn consul(&self) -> Option<Arc<Consul>> {
        self.consul.clone()
    }

    /// How the agent stands with Vault, where there is one.
    pub(super) fn standing(&self) -> Option<watch::Receiver<Standing>> {
        self.secrets.as_ref().map(|(store, _)| store.standing())
    }

    /// Asks for what templates need; `whole`: nothing else is in use.
    pub(super) fn want(&self, wants: &Wants, whole: bool) {
        if let Some((health, _)) = &self.services {
            health.want(wants.services.clone());
        }
        if let Some((store, _)) = &self.secrets {
            match whole {
                true => store.want(wants.secrets.clone()),
                false => store.want_also(wants.secrets.clone()),
            }
        }
    }

    /// When each source that is watched answered last.
    pub(super) fn heard(&self) -> Heard {
        let kv = self.kv.as_ref().and_then(|said| said.borrow().at);
        let services = self.services.as_ref().and_then(|(_, said)| said.borrow().at);
        let secrets = self.secrets.as_ref().and_then(|(_, said)| said.borrow().at);
        let all = [("consul-kv", kv), ("consul-health", services), ("vault", secrets)];
        all.into_iter().filter_map(|(name, at)| Some((name, at?))).collect()
    }

    /// Puts what was last said into the inputs. An error is a store that never answered.
    pub(super) fn take(&mut self, inputs: &mut Inputs, health: &mut Health) -> Result<(), String> {
        for (name, error) in &self.broken {
            health.insert((*name).to_owned(), Some(error.clone()));
        }
        if let Some((_, receiver)) = &self.services {
            let said = receiver.borrow().clone();
            health.insert("consul-health".to_owned(), said.error);
            if let Some(value) = said.value {
                inputs.services = value;
            }
        }
        if let Some((_, receiver)) = &self.secrets {
            let said = receiver.borrow().clone();
            health.insert("vault".to_owned(), said.error);
            if let Some(value) = said.value {
                inputs.secrets = value;
            }
        }
        let Some(receiver) = &self.kv else { return Ok(()) };
        let said = receiver.borrow().clone();
        health.insert("consul-kv".to_owned(), said.error.clone());
        match said.value {
            Some(value) => {
                inputs.kv = value;
                Ok(())
            }
            None => Err(said.error.unwrap_or_else(|| "Consul has not answered yet".to_owned())),
        }
    }
}

/// A client of the Consul that a configuration names.
///
/// # Errors
/// It names none, or what it says of it is wrong.
pub fn consul_of(config: &AgentConfig) -> Result<Arc<Consul>, String> {
    let block = config.consul.as_ref().ok_or("the configuration has no consul block")?;
    Consul::new(consul(block, &Scope::of_process())).map_err(|error| error.to_string())
}

/// Every prefix that a layer of a unit reads, and the keys that units name themselves.
fn prefixes(config: &AgentConfig) -> BTreeSet<String> {
    let mut prefixes = engine::extra_keys(config);
    for layer in &config.layers {
        if let LayerSource::Kv(prefix) = &layer.source {
            let of_unit = |unit| layers::prefix_for(prefix, unit);
            prefixes.extend(config.units.iter().map(of_unit));
        }
    }
    prefixes
}

fn tls(own: Tls, files: [&Option<PathBuf>; 3]) -> Tls {
    let [ca, cert, key] = files.map(Clone::clone);
    Tls {
        ca_file: ca.or(own.ca_file),
        cert_file: cert.or(own.cert_file),
        key_file: key.or(own.key_file),
    }
}

fn consul(block: &config::Consul, scope: &Scope) -> ConsulConfig {
    let own = ConsulConfig::from_env(|name| scope.env.get(name).cloned());
    ConsulConfig {
        address: block.address.clone().unwrap_or(own.address),
        token_file: block.token_file.clone().or(own.token_file),
        tls: tls(own.tls, [&block.ca_file, &block.cert_file, &block.key_file]),
        datacenter: block.datacenter.clone().or(own.datacenter),
        stale: block.stale,
        ..own
    }
}

fn vault(block: &config::Vault, scope: &Scope) -> VaultConfig {
    let own = VaultConfig::from_env(|name| scope.env.get(name).cloned());
    let auth = match block.auth.clone() {
        VaultAuth::Environment => own.auth,
        VaultAuth::TokenFile(file) => Some(Auth::TokenFile(file)),
        VaultAuth::AppRole { path, role_id, secret_id_file, wrapped } => {
            Some(Auth::AppRole { mount: path, role_id, secret_id_file, wrapped })
        }
        VaultAuth::Jwt { path, role, token_file } => {
            Some(Auth::Jwt { mount: path, role, token_file })
        }
    };
    VaultConfig {
        address: block.address.clone().unwrap_or(own.address),
        auth,
        namespace: block.namespace.clone().or(own.namespace),
        tls: tls(own.tls, [&block.ca_file, &block.cert_file, &block.key_file]),
        static_refresh: block.static_refresh.unwrap_or(own.static_refresh),
        limit: own.limit,
    }
}
