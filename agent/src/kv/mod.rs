//! A folder of configuration into keys of Consul KV, as flokkr's consync did it, and back.
//!
//! `read` takes a folder or a file of JSON into memory; `rules` are its `consync.ini`; `expand`
//! resolves `[[ template "x" ]]` and `[[ service "x" ]]`; `entries` makes keys and values; `plan`
//! compares them with what is stored and cuts transactions; `show` prints the difference; `json` is
//! the format of `consul kv export`. Only `read` touches files, and nothing here a network.

pub mod entries;
pub mod expand;
pub mod json;
pub mod plan;
pub mod read;
pub mod rules;
pub mod show;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use crate::sources::Entry;

/// Keys with their values and flags; `modified` is 0 for what was not read from a store.
pub type Entries = BTreeMap<String, Entry>;

/// What the user can put right, in one line: where it is, what is wrong, what would be right.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{place}: {what}")]
pub struct Mistake {
    /// A file, `FILE:LINE`, or a key.
    pub place: String,
    /// What is wrong with it, and the remedy.
    pub what: String,
}

impl Mistake {
    /// A mistake at a place.
    pub fn new(place: impl ToString, what: impl Into<String>) -> Self {
        Self { place: place.to_string(), what: what.into() }
    }
}

/// What became of a folder.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Import {
    /// What is to be stored.
    pub entries: Entries,
    /// What is strange, one line each.
    pub warnings: Vec<String>,
}
