//! What a difference between two generations asks for: nothing, a reload or a restart.
//!
//! Stateless: from the bytes of a generation come two fingerprints, one of everything a restart is
//! needed for and one of everything a reload is enough for. Equal fingerprints, nothing to do. So
//! the answer does not depend on what the agent remembers, and defaults that are written out are no
//! change.

use std::path::Path;

use hdfs_edge::config::{self, Config, FILES};
use hdfs_edge::keys::{self, Change, Daemon};

use super::Files;
use crate::config::{ChangeRules, UnitConfig};

/// Fingerprints of one generation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
pub struct Marks {
    /// Of what a restart is needed for.
    pub restart: u64,
    /// Of what a reload is enough for.
    pub reload: u64,
}

impl Marks {
    /// What it takes to come from one generation to another.
    pub fn to(self, other: Self) -> Change {
        if self.restart != other.restart {
            Change::Restart
        } else if self.reload != other.reload {
            Change::Reload
        } else {
            Change::None
        }
    }
}

/// FNV-1a, 64 bits: stable over builds, since marks are compared after an upgrade of the agent.
#[derive(Debug, Clone, Copy)]
pub struct Fingerprint(u64);

impl Default for Fingerprint {
    fn default() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }
}

impl Fingerprint {
    /// Takes bytes in; where one text ends and the next begins counts.
    pub fn eat(&mut self, bytes: &[u8]) {
        let length = (bytes.len() as u64).to_le_bytes();
        for byte in length.iter().chain(bytes) {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }

    /// The fingerprint.
    pub fn value(self) -> u64 {
        self.0
    }
}

/// The marks of a unit's files.
pub fn marks(unit: &UnitConfig, files: &Files) -> Marks {
    let (mut restart, mut reload) = (Fingerprint::default(), Fingerprint::default());
    let mut note = |change: Change, name: &str, value: &[u8]| {
        let print = match change {
            Change::None => return,
            Change::Reload => &mut reload,
            Change::Restart => &mut restart,
        };
        print.eat(name.as_bytes());
        print.eat(value);
    };
    // Hadoop's two files are one set of values, defaults included.
    let texts: Vec<(&str, &str)> =
        FILES.iter().filter_map(|name| Some((*name, files.get(*name)?.text()?))).collect();
    let hadoop = Config::from_texts(Path::new(""), texts).ok().filter(|_| unit.schema);
    if let Some(config) = &hadoop {
        for (name, value, _) in config.effective() {
            note(class(unit, &name), &name, value.as_bytes());
        }
    }
    for (name, file) in files {
        if hadoop.is_some() && FILES.contains(&name.as_str()) {
            continue;
        }
        let properties = name.ends_with(".xml").then(|| file.text()).flatten();
        let properties = properties.and_then(|text| config::properties(Path::new(name), text).ok());
        match properties {
            Some(properties) => {
                for (key, value) in properties {
                    note(class(unit, &key), &format!("{name}/{key}"), value.as_bytes());
                }
            }
            None => note(class_of_file(unit, name), name, file.content.bytes()),
        }
    }
    Marks { restart: restart.value(), reload: reload.value() }
}

/// What a property's change asks for: the unit's own rules, else the key table.
pub fn class(unit: &UnitConfig, name: &str) -> Change {
    ruled(&unit.change, name).unwrap_or_else(|| {
        daemon_of(&unit.role).map_or(Change::Restart, |daemon| keys::change_of(name, daemon))
    })
}

/// What a whole file's change asks for: the unit's own rules, else a restart.
pub fn class_of_file(unit: &UnitConfig, name: &str) -> Change {
    ruled(&unit.change, name).unwrap_or(Change::Restart)
}

fn ruled(rules: &ChangeRules, name: &str) -> Option<Change> {
    let any = |patterns: &[String]| patterns.iter().any(|pattern| fits(pattern, name));
    if any(&rules.noop) {
        Some(Change::None)
    } else if any(&rules.reload) {
        Some(Change::Reload)
    } else if any(&rules.restart) {
        Some(Change::Restart)
    } else {
        None
    }
}

/// `*` stands for any text.
fn fits(pattern: &str, name: &str) -> bool {
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = name.strip_prefix(first) else { return false };
    let mut parts: Vec<&str> = parts.collect();
    let Some(last) = parts.pop() else { return rest.is_empty() };
    for part in parts {
        let Some(at) = rest.find(part) else { return false };
        rest = &rest[at + part.len()..];
    }
    rest.ends_with(last)
}

/// The daemon whose keys count for a role.
pub fn daemon_of(role: &str) -> Option<Daemon> {
    Some(match role {
        "namenode" => Daemon::Namenode,
        "datanode" => Daemon::Datanode,
        "journalnode" => Daemon::Journalnode,
        "secondarynamenode" => Daemon::Secondary,
        "client" => Daemon::Client,
        _ => return None,
    })
}
