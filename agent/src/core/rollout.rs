//! A change that goes over the hosts of a cluster: whose turn it is, and when it is over. Pure.
//!
//! Two documents in the store, both changed by check-and-set only:
//!
//! - the *semaphore*, laid out as `consul lock -n` does: `LOCK/.lock` holds the limit and the
//!   sessions that have a slot; `LOCK/SESSION` is a key of each contender, gone with its session.
//! - the *record*, `LOCK.rollout`: which revision of the configuration goes over the hosts, which
//!   hosts went first (the canaries), and why it was halted, if it was.
//!
//! A revision is the fingerprint of what the hosts of a role share; hosts with the same keys have
//! the same. Invariants:
//!
//! - A holder whose contender key is gone has no slot, whatever the semaphore says.
//! - There are never more live holders than the limit.
//! - Until as many canaries as wanted have passed, nobody else goes.
//! - A halted revision goes nowhere; a newer one starts afresh.
//! - Where standbys go first, an active one waits until as many hosts are done as there are
//!   standbys. Who is what may change meanwhile: whoever is done is not asked again.
//! - A host whose view is older than the record's waits.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

/// The flags by which Consul's own tools know a semaphore.
pub const SEMAPHORE_FLAGS: u64 = 0xe0f6_9a2b_aa41_4de0;

/// The semaphore's key below the lock.
pub const SEMAPHORE_KEY: &str = ".lock";

/// What is behind the lock in the record's key.
pub const RECORD_SUFFIX: &str = ".rollout";

/// The semaphore, with Consul's names.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Semaphore {
    /// Most holders.
    pub limit: u64,
    /// Sessions with a slot.
    #[serde(default)]
    pub holders: BTreeMap<String, bool>,
}

impl Semaphore {
    /// Without the holders that are gone.
    #[must_use]
    pub fn pruned(mut self, contenders: &BTreeSet<String>) -> Self {
        self.holders.retain(|session, _| contenders.contains(session));
        self
    }

    /// With a slot for the session, if there is one.
    pub fn with(mut self, session: &str, limit: u64) -> Option<Self> {
        self.limit = limit.max(1);
        let held = self.holders.contains_key(session);
        let room = (self.holders.len() as u64) < self.limit;
        (held || room).then(|| {
            self.holders.insert(session.to_owned(), true);
            self
        })
    }

    /// Without the session.
    #[must_use]
    pub fn without(mut self, session: &str) -> Self {
        self.holders.remove(session);
        self
    }
}

/// A host that went first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Canary {
    /// The session with which it did.
    pub session: String,
    /// Whether it was well long enough.
    pub passed: bool,
}

/// Why a rollout goes no further.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Halt {
    /// The host that was not well.
    pub node: String,
    /// What was wrong there.
    pub reason: String,
    /// When, as RFC 3339.
    pub time: String,
}

/// What goes over the hosts.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// The revision.
    pub revision: String,
    /// The index of the store at which it was seen first.
    pub index: u64,
    /// Those who went first, by host.
    #[serde(default)]
    pub canaries: BTreeMap<String, Canary>,
    /// Why it goes no further.
    #[serde(default)]
    pub halted: Option<Halt>,
    /// Those that have it, where the active one of a pair waits for its standbys.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub done: BTreeSet<String>,
}

/// A change that a host wants to make.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Wish {
    /// The revision of its configuration.
    pub revision: String,
    /// The index of the store at which it saw it.
    pub index: u64,
}

/// Whether a host may go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Turn {
    /// It may, with this record; as a canary or not.
    Go(Record, bool),
    /// Not yet; why.
    Wait(String),
    /// Not at all; why.
    Halted(String),
}

impl Record {
    /// Whether it is about another, older revision than a wish.
    fn outlived(&self, wish: &Wish) -> bool {
        self.revision != wish.revision && self.index <= wish.index
    }

    /// Whether the host `node` may make its change now. `live` are the sessions that exist.
    pub fn turn(
        &self,
        wish: &Wish,
        node: &str,
        session: &str,
        canaries: u64,
        live: &BTreeSet<String>,
    ) -> Turn {
        let mut record = match self.outlived(wish) {
            true => Self { revision: wish.revision.clone(), index: wish.index, ..Self::default() },
            false => self.clone(),
        };
        if record.revision != wish.revision {
            return Turn::Wait("another host has seen newer configuration".to_owned());
        }
        if let Some(halt) = &record.halted {
            return Turn::Halted(halt.to_string());
        }
        record.canaries.retain(|_, each| each.passed || live.contains(&each.session));
        let passed = record.canaries.values().filter(|each| each.passed).count() as u64;
        if passed >= canaries {
            return Turn::Go(record, false);
        }
        let others = record.canaries.iter().filter(|(name, _)| *name != node);
        let watched: Vec<&str> =
            others.filter(|(_, each)| !each.passed).map(|(name, _)| name.as_str()).collect();
        if passed + watched.len() as u64 >= canaries {
            return Turn::Wait(format!("{} goes first and is watched", watched.join(", ")));
        }
        let canary = Canary { session: session.to_owned(), passed: false };
        record.canaries.insert(node.to_owned(), canary);
        Turn::Go(record, true)
    }

    /// After a host was well long enough; `listed` if others wait for that.
    #[must_use]
    pub fn passed(mut self, wish: &Wish, node: &str, listed: bool) -> Self {
        if self.revision == wish.revision {
            if let Some(canary) = self.canaries.get_mut(node) {
                canary.passed = true;
            }
            if listed {
                self.done.insert(node.to_owned());
            }
        }
        self
    }

    /// How many hosts have what is wished for, where that is listed.
    pub fn done(&self, wish: &Wish) -> u64 {
        if self.revision == wish.revision { self.done.len() as u64 } else { 0 }
    }

    /// After a host was not.
    #[must_use]
    pub fn halt(mut self, wish: &Wish, halt: Halt) -> Self {
        if self.revision == wish.revision {
            self.halted.get_or_insert(halt);
        }
        self
    }
}

impl std::fmt::Display for Halt {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "halted by {} at {}: {}", self.node, self.time, self.reason)
    }
}

/// How many hosts at once `text` (`2` or `10%`) means for so many; never none.
pub fn limit(text: &str, hosts: u64) -> u64 {
    let count = match text.strip_suffix('%') {
        Some(share) => share.parse::<u64>().unwrap_or(0).saturating_mul(hosts) / 100,
        None => text.parse().unwrap_or(1),
    };
    count.max(1)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn set(names: &[&str]) -> BTreeSet<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    fn wish(revision: &str, index: u64) -> Wish {
        Wish { revision: revision.to_owned(), index }
    }

    #[test]
    fn reads_and_writes_as_consul_does() {
        let text = r#"{"Limit":2,"Holders":{"s1":true}}"#;
        let semaphore: Semaphore = serde_json::from_str(text).unwrap();
        assert_eq!(serde_json::to_string(&semaphore).unwrap(), text);
        let two = semaphore.with("s2", 2).unwrap();
        assert_eq!(two.clone().with("s3", 2), None);
        assert!(two.clone().with("s2", 1).is_some(), "who has a slot keeps it");
        assert!(two.pruned(&set(&["s2", "s3"])).with("s3", 2).is_some());
        assert_eq!([limit("2", 9), limit("10%", 5), limit("50%", 5), limit("0%", 0)], [2, 1, 2, 1]);
    }

    #[test]
    fn canaries_first_then_all_and_a_halt_stops_them() {
        let live = set(&["s1", "s2"]);
        let record = Record::default();
        let Turn::Go(record, true) = record.turn(&wish("a", 5), "n1", "s1", 1, &live) else {
            panic!("the first one goes first")
        };
        let waits = record.turn(&wish("a", 6), "n2", "s2", 1, &live);
        assert_eq!(waits, Turn::Wait("n1 goes first and is watched".to_owned()));
        // A canary that died does not hold the others up.
        let again = record.turn(&wish("a", 6), "n2", "s2", 1, &set(&["s2"]));
        assert!(matches!(again, Turn::Go(_, true)));
        let record = record.passed(&wish("a", 5), "n1", true);
        assert_eq!([record.done(&wish("a", 6)), record.done(&wish("b", 6))], [1, 0]);
        assert!(matches!(record.turn(&wish("a", 6), "n2", "s2", 1, &live), Turn::Go(_, false)));
        let time = "2026-01-01T00:00:00Z".to_owned();
        let halt = Halt { node: "n2".to_owned(), reason: "ended".to_owned(), time };
        let record = record.halt(&wish("a", 5), halt);
        let halted = record.turn(&wish("a", 9), "n3", "s3", 1, &live);
        assert!(matches!(halted, Turn::Halted(reason) if reason.contains("n2")));
        // What is newer starts afresh; what is older waits.
        assert!(matches!(record.turn(&wish("b", 9), "n3", "s3", 1, &live), Turn::Go(_, true)));
        assert!(matches!(record.turn(&wish("old", 4), "n3", "s3", 1, &live), Turn::Wait(_)));
    }

    proptest! {
        /// Whatever comes and goes, there are never more live holders than the limit.
        #[test]
        fn never_more_than_the_limit(
            limit in 1..4_u64,
            steps in prop::collection::vec((0..6_usize, 0..3_u8), 1..60),
        ) {
            let mut semaphore = Semaphore::default();
            let mut live = BTreeSet::new();
            for (who, what) in steps {
                let session = format!("s{who}");
                match what {
                    0 => {
                        live.insert(session.clone());
                        let tried = semaphore.clone().pruned(&live).with(&session, limit);
                        semaphore = tried.unwrap_or(semaphore);
                    }
                    1 => semaphore = semaphore.without(&session),
                    _ => drop(live.remove(&session)),
                }
                let holders = semaphore.holders.keys().filter(|each| live.contains(*each)).count();
                prop_assert!(holders as u64 <= limit);
            }
        }
    }
}
