//! The configuration in force, and how a running daemon takes up a new one.
//!
//! A part of the daemon that can change a value while it runs says so ([`Live::on_reload`]). A
//! reload reads the files again and takes them up whole or not at all: when a value changed that
//! this daemon reads and nobody takes, or somebody cannot take it, nothing changes and the answer
//! names it, so that whoever asked can restart the daemon instead. `/healthz` therefore always
//! tells the hash of what runs.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::Path;
use std::sync::Arc;

use parking_lot::{Mutex, RwLock};

use crate::config::Config;
use crate::daemon;
use crate::keys::{self, Change, Daemon, Key};

/// What a taker does once everybody has agreed to the new configuration. It cannot fail.
pub type Commit = Box<dyn FnOnce() + Send>;

type Prepare = Box<dyn Fn(&Arc<Config>) -> Result<Commit, String> + Send + Sync>;

/// A part of the daemon, and the keys it takes up.
struct Taker {
    keys: Vec<&'static Key>,
    prepare: Prepare,
}

struct State {
    config: RwLock<Arc<Config>>,
    takers: RwLock<Vec<Arc<Taker>>>,
    /// One reload at a time. Not a part of the rest: who only looks never waits for a reload.
    turn: Mutex<()>,
}

/// The configuration in force. Clones share one.
#[derive(Clone)]
pub struct Live {
    daemon: Daemon,
    state: Arc<State>,
}

/// A value in force that differs in the files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Changed {
    /// The key.
    pub name: String,
    /// The value in force; none when there is none.
    pub old: Option<String>,
    /// The value in the files; none when there is none.
    pub new: Option<String>,
}

/// Why a reload changed nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// What would have changed; empty when the files could not even be read.
    pub changed: Vec<Changed>,
    /// The key that stands in the way, if one does.
    pub key: Option<String>,
    /// One line that names file or key.
    pub reason: String,
}

impl Refused {
    fn files(reason: impl fmt::Display) -> Self {
        Self { changed: Vec::new(), key: None, reason: reason.to_string() }
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.reason)
    }
}

impl std::error::Error for Refused {}

impl fmt::Debug for Live {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:?} with {}", self.daemon, self.get())
    }
}

impl Live {
    /// What a daemon was started with. The log level is taken up already; the daemon's own parts
    /// come on top ([`Live::on_reload`]).
    pub fn new(daemon: Daemon, config: impl Into<Arc<Config>>) -> Self {
        let state = State {
            config: RwLock::new(config.into()),
            takers: RwLock::default(),
            turn: Mutex::default(),
        };
        let live = Self { daemon, state: Arc::new(state) };
        live.on_reload(&keys::HOWDAH_LOG_LEVEL, daemon::log_as_configured);
        live
    }

    /// The configuration in force.
    pub fn get(&self) -> Arc<Config> {
        Arc::clone(&self.state.config.read())
    }

    /// Calls `take` with a new configuration in which this key has changed.
    pub fn on_reload(&self, key: &'static Key, take: impl Fn(&Config) + Send + Sync + 'static) {
        let take = Arc::new(take);
        self.on_reload_of([key], move |config| {
            let (take, config) = (Arc::clone(&take), Arc::clone(config));
            Ok(Box::new(move || take(&config)))
        });
    }

    /// Calls `prepare` with a new configuration in which at least one of these keys has changed.
    /// It checks and gets ready what it needs, and changes nothing that others see; what it returns
    /// is called when all takers have agreed, and dropped when one has not. Its error is one line
    /// that names the key.
    pub fn on_reload_of(
        &self,
        keys: impl IntoIterator<Item = &'static Key>,
        prepare: impl Fn(&Arc<Config>) -> Result<Commit, String> + Send + Sync + 'static,
    ) {
        let taker = Taker { keys: keys.into_iter().collect(), prepare: Box::new(prepare) };
        self.state.takers.write().push(Arc::new(taker));
    }

    /// Names of the keys that can change while the daemon runs, sorted.
    pub fn taken(&self) -> BTreeSet<&'static str> {
        let takers = self.state.takers.read();
        takers.iter().flat_map(|taker| &taker.keys).map(|key| key.name).collect()
    }

    /// Reads the files again and takes them up; says what changed.
    ///
    /// # Errors
    /// The files are wrong, a changed value needs a restart, or a taker cannot take it. Nothing
    /// changed then.
    pub fn reload(&self) -> Result<Vec<Changed>, Refused> {
        let _turn = self.state.turn.lock();
        let folder = self.get().folder().to_owned();
        if folder == Path::new("") {
            return Err(Refused::files("the configuration does not come from files"));
        }
        let new = Arc::new(Config::load(&folder).map_err(Refused::files)?);
        let changed = changed(self.daemon, &self.get(), &new);
        let taken = self.taken();
        if let Some(alien) = changed.iter().find(|change| !taken.contains(change.name.as_str())) {
            let key = Some(alien.name.clone());
            let reason = format!("{} changed, which needs a restart", alien.name);
            return Err(Refused { changed, key, reason });
        }
        let mut commits = Vec::new();
        for taker in self.state.takers.read().clone() {
            let concerns = |change: &&Changed| taker.keys.iter().any(|key| key.name == change.name);
            let Some(first) = changed.iter().find(concerns) else { continue };
            match (taker.prepare)(&new) {
                Ok(commit) => commits.push(commit),
                Err(reason) => {
                    let key = Some(first.name.clone());
                    return Err(Refused { changed, key, reason });
                }
            }
        }
        for commit in commits {
            commit();
        }
        *self.state.config.write() = new;
        Ok(changed)
    }
}

/// Keys that this daemon reads and whose value in force differs.
fn changed(daemon: Daemon, old: &Config, new: &Config) -> Vec<Changed> {
    let values = |config: &Config| -> BTreeMap<String, String> {
        config.effective().into_iter().map(|(name, value, _)| (name, value)).collect()
    };
    let (old, new) = (values(old), values(new));
    let names: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
    names
        .into_iter()
        .filter(|name| old.get(*name) != new.get(*name))
        .filter(|name| keys::change_of(name, daemon) != Change::None)
        .map(|name| Changed {
            name: name.clone(),
            old: old.get(name).cloned(),
            new: new.get(name).cloned(),
        })
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

    fn names(changed: &[Changed]) -> Vec<&str> {
        changed.iter().map(|change| change.name.as_str()).collect()
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
        assert_eq!(names(&live.reload().unwrap()), [bandwidth]);
        assert_eq!(seen.load(Ordering::Relaxed), 20 << 20);
        let second = live.get().hash();
        assert_ne!(first, second);

        write(root.path(), &[(bandwidth, "30m"), ("dfs.datanode.hostname", "other")]);
        let refused = live.reload().unwrap_err();
        assert_eq!(refused.key.as_deref(), Some("dfs.datanode.hostname"), "{refused}");
        assert!(refused.reason.contains("dfs.datanode.hostname"), "{refused}");
        write(root.path(), &[(bandwidth, "much")]);
        assert!(live.reload().unwrap_err().reason.contains("much"));
        assert_eq!(seen.load(Ordering::Relaxed), 20 << 20);
        assert_eq!(live.get().hash(), second);
    }
    /// What a first taker got ready is dropped when a second one cannot follow.
    #[test]
    fn one_that_cannot_stops_all() {
        let root = tempfile::tempdir().unwrap();
        let (beat, folders) = (&keys::DFS_HEARTBEAT_INTERVAL, &keys::DFS_DATANODE_DATA_DIR);
        write(root.path(), &[(beat.name, "3"), (folders.name, "/a")]);
        let live = Live::new(Daemon::Datanode, Config::load(root.path()).unwrap());
        let hash = live.get().hash();
        let seen = Arc::new(AtomicU64::new(0));
        let taker = Arc::clone(&seen);
        live.on_reload(beat, move |config| {
            taker.store(config.time(&keys::DFS_HEARTBEAT_INTERVAL).as_secs(), Ordering::Relaxed);
        });
        live.on_reload_of([folders], |config| {
            let text = config.text(&keys::DFS_DATANODE_DATA_DIR);
            if text == "/b" { Ok(Box::new(|| {})) } else { Err(format!("{text} cannot be used")) }
        });
        write(root.path(), &[(beat.name, "7"), (folders.name, "/c")]);
        let refused = live.reload().unwrap_err();
        assert_eq!(refused.reason, "/c cannot be used");
        assert_eq!(refused.key.as_deref(), Some(folders.name));
        assert_eq!(names(&refused.changed), [folders.name, beat.name]);
        assert_eq!(seen.load(Ordering::Relaxed), 0);
        assert_eq!(live.get().hash(), hash);
        write(root.path(), &[(beat.name, "7"), (folders.name, "/b")]);
        let changed = live.reload().unwrap();
        assert_eq!(names(&changed), [folders.name, beat.name]);
        assert_eq!((changed[1].old.as_deref(), changed[1].new.as_deref()), (Some("3"), Some("7")));
        assert_eq!(seen.load(Ordering::Relaxed), 7);
    }

    #[test]
    fn the_log_level_follows() {
        daemon::init_logging(daemon::LogFormat::Text);
        let before = daemon::log_filter();
        let root = tempfile::tempdir().unwrap();
        write(root.path(), &[]);
        let live = Live::new(Daemon::Namenode, Config::load(root.path()).unwrap());
        write(root.path(), &[(keys::HOWDAH_LOG_LEVEL.name, "warn,hdfs_edge::live=trace")]);
        live.reload().unwrap();
        assert_eq!(daemon::log_filter(), "hdfs_edge::live=trace,warn");
        write(root.path(), &[(keys::HOWDAH_LOG_LEVEL.name, "loud")]);
        assert!(live.reload().unwrap_err().reason.contains("howdah.log.level"));
        write(root.path(), &[]);
        live.reload().unwrap();
        assert_eq!(daemon::log_filter(), before);
    }
}
