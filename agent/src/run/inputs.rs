//! What the sources last said, behind one type.
//!
//! A KV store (a folder, or Consul), folders of file layers, template files, the environment, and
//! secrets (a folder, or Vault). Every answer is kept until a better one comes: a source that fails
//! only says so in [`Sources::health`].

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use tokio::sync::{Notify, watch};

use super::remote::Remote;
use crate::config::{AgentConfig, Layer, LayerSource, Scope, TemplateSource};
use crate::engine::{Inputs, Wants};
use crate::sources::consul::Consul;
use crate::sources::files::{FileStore, Watch};
use crate::sources::vault::{Mode, Standing};
use crate::sources::{Kv, Masked, Secret, SecretRef, Secrets, ServiceQuery, environment};

/// Longest template or secret file.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// How a source does: its name, and what is wrong if anything is.
pub type Health = BTreeMap<String, Option<String>>;

/// When a source that is watched answered last, by its name.
pub type Heard = BTreeMap<&'static str, SystemTime>;

/// All sources of one configuration.
pub struct Sources {
    store: Option<FileStore>,
    /// Layers ask for a KV store, and none is connected.
    unconnected: bool,
    folders: Vec<(PathBuf, FileStore)>,
    templates: Vec<PathBuf>,
    secrets: Option<PathBuf>,
    scope: Scope,
    remote: Remote,
    wants: Wants,
    /// Services that units wait for.
    waits: BTreeSet<ServiceQuery>,
    last: Inputs,
    health: Health,
    answered: bool,
    _watches: Vec<Watch>,
}

impl Sources {
    /// Starts what watches. `changed` is told of news.
    pub fn start(config: &AgentConfig, changed: &Arc<Notify>, mode: Mode) -> Self {
        let store = config.store.as_ref().map(FileStore::new);
        let mut folders = Vec::new();
        for layer in &config.layers {
            if let LayerSource::Files(folder) = &layer.source {
                folders.push((folder.clone(), FileStore::new(folder)));
            }
        }
        let templates = config.units.iter().flat_map(|unit| &unit.files).filter_map(|file| {
            match &file.template {
                Some(TemplateSource::File(path)) => Some(path.clone()),
                _ => None,
            }
        });
        let watched = store.iter().chain(folders.iter().map(|(_, store)| store));
        let watches = watched.filter_map(|store| {
            let notified = changed.clone();
            let watch = store.watch(move || notified.notify_one());
            watch.inspect_err(|error| tracing::warn!("edits count late: {error}")).ok()
        });
        let scope = Scope::of_process();
        let remote = Remote::connect(config, &scope, changed, mode);
        Self {
            _watches: watches.collect(),
            templates: templates.collect(),
            secrets: config.secrets.clone(),
            last: Inputs {
                environment: environment::shared().collect(),
                node: scope.node.clone(),
                meta: scope.meta.clone(),
                ..Inputs::default()
            },
            unconnected: store.is_none() && !remote.has_kv() && config.layers.iter().any(is_kv),
            store,
            folders,
            scope,
            remote,
            wants: Wants::default(),
            waits: BTreeSet::new(),
            health: Health::new(),
            answered: false,
        }
    }

    /// Whether every source that a start needs has answered once.
    pub fn answered(&mut self) -> bool {
        self.answered || self.inputs().is_ok()
    }

    /// How the agent stands with Vault, where there is one.
    pub fn standing(&self) -> Option<watch::Receiver<Standing>> {
        self.remote.standing()
    }

    /// Watches what templates ask for; says whether that is news. `whole`: nothing else is in use,
    /// so leases of other secrets can be given back.
    pub fn want(&mut self, wants: Wants, whole: bool) -> bool {
        let mut wants = wants;
        wants.services.extend(self.waits.iter().cloned());
        let news = self.wants != wants;
        self.wants = wants;
        self.remote.want(&self.wants, whole);
        news
    }

    /// This host's name.
    pub fn node(&self) -> &str {
        &self.scope.node
    }

    /// The Consul that was connected.
    pub fn consul(&self) -> Option<Arc<Consul>> {
        self.remote.consul()
    }

    /// Whether something that was asked for has no answer yet, not even that it is not there.
    pub fn unanswered(&self) -> bool {
        let (services, secrets) = self.remote.asked();
        let service = |query| !self.last.services.contains_key(query);
        let secret = |secret| !self.last.secrets.contains_key(secret);
        services && self.wants.services.iter().any(service)
            || secrets && self.wants.secrets.iter().any(secret)
    }

    /// How the sources do.
    pub fn health(&self) -> Health {
        self.health.clone()
    }

    /// When those that are watched answered last.
    pub fn heard(&self) -> Heard {
        self.remote.heard()
    }

    /// Passing instances of a service.
    pub fn passing(&mut self, service: &str) -> usize {
        let query = ServiceQuery { name: service.to_owned(), tag: None, passing_only: true };
        let found = self.last.services.get(&query).map(Vec::len);
        self.waits.insert(query);
        found.unwrap_or(0)
    }

    /// Everything, as last said.
    ///
    /// # Errors
    /// A source that never answered does not answer now.
    pub fn inputs(&mut self) -> Result<Inputs, String> {
        let mut refused = None;
        if self.unconnected {
            let error = "layers read a KV store, but none is connected; set store { files = DIR }";
            self.health.insert("consul".to_owned(), Some(error.to_owned()));
            refused = Some(error.to_owned());
        }
        if let Err(error) = self.remote.take(&mut self.last, &mut self.health) {
            refused = Some(error);
        }
        if let Some(store) = &self.store {
            match read(store, self.last.kv.as_ref()) {
                Ok(kv) => {
                    self.last.kv = kv;
                    self.health.insert("store".to_owned(), None);
                }
                Err(error) => {
                    self.health.insert("store".to_owned(), Some(error.clone()));
                    refused = Some(error);
                }
            }
        }
        for (folder, store) in &self.folders {
            let name = folder.display().to_string();
            let before = self.last.folders.get(folder).cloned().unwrap_or_default();
            match read(store, before.as_ref()) {
                Ok(kv) => {
                    self.last.folders.insert(folder.clone(), kv);
                    self.health.insert(name, None);
                }
                Err(error) => {
                    self.health.insert(name, Some(error.clone()));
                    refused = Some(error);
                }
            }
        }
        for path in &self.templates {
            self.last.templates.insert(path.clone(), read_text(path));
        }
        if let Some(folder) = &self.secrets {
            self.last.secrets = Arc::new(read_secrets(folder, &self.wants.secrets));
        }
        self.last.node.clone_from(&self.scope.node);
        match refused {
            Some(error) if !self.answered => Err(error),
            _ => {
                self.answered = true;
                Ok(self.last.clone())
            }
        }
    }
}

fn is_kv(layer: &Layer) -> bool {
    matches!(layer.source, LayerSource::Kv(_))
}

/// The store as a snapshot. Its index grows by one with every difference, as a real store's does.
fn read(store: &FileStore, before: &Kv) -> Result<Arc<Kv>, String> {
    let index = before.index + 1;
    let entries = store.entries(index).map_err(|error| error.to_string())?;
    let same = before.index > 0
        && before.entries.len() == entries.len()
        && before.entries.iter().zip(&entries).all(|((key, old), (name, new))| {
            key == name && old.value == new.value && old.flags == new.flags
        });
    if same {
        return Ok(Arc::new(before.clone()));
    }
    let mut entries = entries;
    for (key, entry) in &mut entries {
        if let Some(old) = before.entries.get(key).filter(|old| old.value == entry.value) {
            entry.modified = old.modified;
        }
    }
    Ok(Arc::new(Kv { index, entries }))
}

fn read_text(path: &Path) -> Result<String, String> {
    let meta = std::fs::metadata(path).map_err(|error| error.to_string())?;
    if meta.len() > FILE_BYTES_MAX {
        return Err(format!("longer than {FILE_BYTES_MAX} bytes"));
    }
    std::fs::read_to_string(path).map_err(|error| error.to_string())
}

/// Secrets of a folder: `DIR/PATH` holds an object of texts, or one text that is the field `value`.
fn read_secrets(folder: &Path, wanted: &BTreeSet<SecretRef>) -> Secrets {
    let read = |path: &str| -> Result<Arc<Secret>, String> {
        if path.split('/').any(|part| part == ".." || part.is_empty()) {
            return Err("no such path".to_owned());
        }
        let text = read_text(&folder.join(path))?;
        let object: Option<BTreeMap<String, String>> = serde_json::from_str(&text).ok();
        let fields = match object {
            Some(object) => {
                object.into_iter().map(|(name, value)| (name, Masked::new(value))).collect()
            }
            None => [("value".to_owned(), Masked::new(text.trim_end()))].into(),
        };
        Ok(Arc::new(Secret { fields, version: None, expires: None }))
    };
    let path_of = |secret: &SecretRef| match secret {
        SecretRef::Kv { path } | SecretRef::Issue { path, .. } | SecretRef::Read { path } => {
            path.clone()
        }
    };
    wanted.iter().map(|secret| (secret.clone(), read(&path_of(secret)))).collect()
}
