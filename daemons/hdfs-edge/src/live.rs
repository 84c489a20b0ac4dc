//! The configuration in force, and how a running daemon takes up a new one.
//!
//! A part of the daemon that can change a value while it runs says so ([`Live::on_reload`]). A
//! reload reads the files again and takes them up whole or not at all: when a value changed that
//! this daemon reads and nobody takes, nothing changes and the answer names it, so that whoever
//! asked can restart the daemon instead. `/healthz` therefore always tells the hash of what runs.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use parking_lot::RwLock;

use crate::config::Config;
use crate::keys::{self, Change, Daemon, Key};

type Take = Box<dyn Fn(&Config) + Send + Sync>;

struct State {
    config: Arc<Config>,
    takers: Vec<(&'static Key, Take)>,
}

/// The configuration in force. Clones share one.
#[derive(Clone)]
pub struct Live {
    daemon: Daemon,
    state: Arc<RwLock<State>>,
}

impl fmt::Debug for Live {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:?} with {}", self.daemon, self.get())
    }
}

impl Live {
    /// What a daemon was started with.
    pub fn new(daemon: Daemon, config: impl Into<Arc<Config>>) -> Self {
        let state = State { config: config.into(), takers: Vec::new() };
        Self { daemon, state: Arc::new(RwLock::new(state)) }
    }

    /// The configuration in force.
    pub fn get(&self) -> Arc<Config> {
        Arc::clone(&self.state.read().config)
    }

    /// Calls `take` with a new configuration in which this key may have changed.
    pub fn on_reload(&self, key: &'static Key, take: impl Fn(&Config) + Send + Sync + 'static) {
        self.state.write().takers.push((key, Box::new(take)));
    }

    /// Reads the files again and takes them up; names the keys that changed.
    ///
    /// # Errors
    /// The files are wrong, or a changed value needs a restart. Nothing changed then.
    pub fn reload(&self) -> Result<Vec<String>, String> {
        let folder = self.get().folder().to_owned();
        if folder == Path::new("") {
            return Err("the configuration does not come from files".to_owned());
        }
        let new = Arc::new(Config::load(&folder).map_err(|error| error.to_string())?);
        let mut state = self.state.write();
        let changed = changed(self.daemon, &state.config, &new);
        let taken = |name: &str| state.takers.iter().any(|(key, _)| key.name == name);
        if let Some(name) = changed.iter().find(|name| !taken(name)) {
            return Err(format!("{name} changed, which needs a restart"));
        }
        for (key, take) in &state.takers {
            if changed.iter().any(|name| name == key.name) {
                take(&new);
            }
        }
        state.config = new;
        Ok(changed)
    }
}

/// Keys that this daemon reads and whose value in force differs.
fn changed(daemon: Daemon, old: &Config, new: &Config) -> Vec<String> {
    let values = |config: &Config| -> std::collections::BTreeMap<String, String> {
        config.effective().into_iter().map(|(name, value, _)| (name, value)).collect()
    };
    let (old, new) = (values(old), values(new));
    let names: std::collections::BTreeSet<&String> = old.keys().chain(new.keys()).collect();
    names
        .into_iter()
        .filter(|name| old.get(*name) != new.get(*name))
        .filter(|name| keys::change_of(name, daemon) != Change::None)
        .cloned()
        .collect()
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;

    fn write(folder: &Path, entries: &[(&str, &str)]) {
        let properties: String = entries
            .iter()
            .map(|(name, value)| {
                format!("<property><name>{name}</name><value>{value}</value></property>")
            })
            .collect();
        let text = format!("<configuration>{properties}</configuration>");
        std::fs::write(folder.join("hdfs-site.xml"), text).unwrap();
    }

    #[test]
    fn taken_whole_or_not_at_all() {
        let root = tempfile::tempdir().unwrap();
        let bandwidth = keys::DFS_DATANODE_BALANCE_BANDWIDTH_PER_SEC.name;
        write(root.path(), &[(bandwidth, "10m")]);
        let live = Live::new(Daemon::Datanode, Config::load(root.path()).unwrap());
        let first = live.get().hash();
        let seen = Arc::new(AtomicU64::new(0));
        let taker = Arc::clone(&seen);
        live.on_reload(&keys::DFS_DATANODE_BALANCE_BANDWIDTH_PER_SEC, move |config| {
            let bytes = config.size(&keys::DFS_DATANODE_BALANCE_BANDWIDTH_PER_SEC);
            taker.store(bytes, Ordering::Relaxed);
        });
        write(root.path(), &[(bandwidth, "20m"), ("dfs.namenode.handler.count", "5")]);
        assert_eq!(live.reload().unwrap(), [bandwidth]);
        assert_eq!(seen.load(Ordering::Relaxed), 20 << 20);
        let second = live.get().hash();
        assert_ne!(first, second);

        write(root.path(), &[(bandwidth, "30m"), ("dfs.datanode.max.transfer.threads", "5")]);
        let error = live.reload().unwrap_err();
        assert!(error.contains("dfs.datanode.max.transfer.threads"), "{error}");
        write(root.path(), &[(bandwidth, "much")]);
        assert!(live.reload().unwrap_err().contains("much"));
        assert_eq!(seen.load(Ordering::Relaxed), 20 << 20);
        assert_eq!(live.get().hash(), second);
    }
}
