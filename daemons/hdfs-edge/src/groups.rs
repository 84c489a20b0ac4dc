//! The groups of a user, as this host's operating system knows them. Never what a client claims.
//!
//! A look-up may ask LDAP and take seconds, so callers on a worker ask [`Groups::cached`] first and
//! hand the rest to a thread of their own. Groups are asked from the C library, never by a shell.

use std::collections::HashMap;
use std::ffi::CString;
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use nix::unistd::{Group, Uid, User, getgrouplist};
use parking_lot::Mutex;

use crate::config::Config;
use crate::keys;

/// Users remembered at once; each costs some hundred bytes, and names come from clients.
const USERS_MAX: usize = 10_000;

/// Longest user name that is looked up; the operating system's own limit is 32.
const NAME_LENGTH_MAX: usize = 256;

/// The groups of one user, the primary one first.
pub type GroupList = Arc<[String]>;

/// A bounded cache in front of the operating system.
#[derive(Debug)]
pub struct Groups {
    fresh_for: Duration,
    fresh_for_none: Duration,
    fixed: HashMap<String, GroupList>,
    known: Mutex<HashMap<String, (Instant, GroupList)>>,
}

impl Groups {
    /// Remembers groups for `fresh_for`, and that a user has none for `fresh_for_none`.
    pub fn new(fresh_for: Duration, fresh_for_none: Duration) -> Self {
        let known = Mutex::new(HashMap::new());
        Self { fresh_for, fresh_for_none, fixed: HashMap::new(), known }
    }

    /// As configured: cache times and the groups that are given instead of asked.
    pub fn from_config(config: &Config) -> Self {
        let mut groups = Self::new(
            config.time(&keys::HADOOP_SECURITY_GROUPS_CACHE_SECS),
            config.time(&keys::HADOOP_SECURITY_GROUPS_NEGATIVE_CACHE_SECS),
        );
        let fixed = config.text(&keys::HADOOP_USER_GROUP_STATIC_MAPPING_OVERRIDES);
        for (user, list) in fixed.split(';').filter_map(|entry| entry.split_once('=')) {
            let list = list.split(',').map(str::trim).filter(|name| !name.is_empty());
            groups.fixed.insert(user.trim().to_owned(), list.map(str::to_owned).collect());
        }
        groups
    }

    /// What is known and fresh, without asking anybody.
    pub fn cached(&self, user: &str) -> Option<GroupList> {
        if let Some(list) = self.fixed.get(user) {
            return Some(list.clone());
        }
        let known = self.known.lock();
        let (asked, list) = known.get(user)?;
        let fresh_for = if list.is_empty() { self.fresh_for_none } else { self.fresh_for };
        if asked.elapsed() < fresh_for { Some(list.clone()) } else { None }
    }

    /// Asks the operating system and remembers the answer. May block for long.
    pub fn resolve(&self, user: &str) -> GroupList {
        if let Some(list) = self.fixed.get(user) {
            return list.clone();
        }
        let list: GroupList = from_system(user).into();
        let mut known = self.known.lock();
        if known.len() >= USERS_MAX {
            // A flood of names: forget all, the honest ones are back with their next call.
            known.clear();
        }
        known.insert(user.to_owned(), (Instant::now(), list.clone()));
        list
    }

    /// [`Groups::cached`], else [`Groups::resolve`].
    pub fn of(&self, user: &str) -> GroupList {
        self.cached(user).unwrap_or_else(|| self.resolve(user))
    }

    /// Forgets everything; the next calls ask again.
    pub fn refresh(&self) {
        self.known.lock().clear();
    }
}

/// An unknown user, or a name that cannot be one, has no groups.
fn from_system(user: &str) -> Vec<String> {
    if user.len() > NAME_LENGTH_MAX {
        return Vec::new();
    }
    let (Ok(Some(entry)), Ok(name)) = (User::from_name(user), CString::new(user)) else {
        return Vec::new();
    };
    let mut ids = getgrouplist(&name, entry.gid).unwrap_or_else(|_| vec![entry.gid]);
    if let Some(primary) = ids.iter().position(|id| *id == entry.gid) {
        ids.swap(0, primary);
    }
    let mut names = Vec::with_capacity(ids.len());
    for id in ids {
        let name = match Group::from_gid(id) {
            Ok(Some(group)) => group.name,
            _ => id.to_string(),
        };
        if !names.contains(&name) {
            names.push(name);
        }
    }
    names
}

/// The user this process runs as, by name, or by number where the name is unknown.
pub fn own_user() -> &'static str {
    static NAME: LazyLock<String> = LazyLock::new(|| {
        let id = Uid::effective();
        match User::from_uid(id) {
            Ok(Some(user)) => user.name,
            _ => std::env::var("USER").unwrap_or_else(|_| id.to_string()),
        }
    });
    &NAME
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn root_has_its_primary_group_first_and_strangers_have_none() {
        let groups = Groups::new(Duration::from_secs(60), Duration::from_secs(60));
        assert!(groups.cached("root").is_none());
        assert_eq!(groups.of("root")[0], "root");
        assert!(groups.cached("root").is_some());
        assert!(groups.of("no such user \0").is_empty());
        assert!(groups.of(&"x".repeat(100_000)).is_empty());
        groups.refresh();
        assert!(groups.cached("root").is_none());
    }

    #[test]
    fn given_groups_win() {
        let key = "hadoop.user.group.static.mapping.overrides";
        let config = Config::from_pairs([(key, "dr.who=;ann=staff, ops")]).expect("valid");
        let groups = Groups::from_config(&config);
        assert_eq!(*groups.of("ann"), ["staff".to_owned(), "ops".to_owned()]);
        assert!(groups.cached("dr.who").expect("given").is_empty());
    }
}
