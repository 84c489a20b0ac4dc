//! Where wanted configuration comes from.
//!
//! A source answers with a whole snapshot: every key of its prefix at one moment, so that a
//! render never mixes old with new. The store of `dev` is a folder (`files`); Consul and Vault
//! take the same place. Environment variables (`environment`) are a layer of their own, on top.

pub mod consul;
pub mod environment;
pub mod files;
pub mod jitter;
pub mod layers;
pub mod secret;
pub mod token_file;
pub mod vault;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::SystemTime;

pub use secret::{Masked, Secret, SecretRef, Secrets};

/// All keys of a store and their values at one moment. Keys are `/`-separated, as in Consul KV
/// (`conf/hdfs/hdfs-site.xml/dfs.replication`).
pub type Snapshot = BTreeMap<String, String>;

/// Longest value taken, in bytes: Consul KV's own limit.
pub const VALUE_BYTES_MAX: usize = 512 * 1024;

/// Most keys taken from one store. A cluster has a few hundred; more is a wrong folder.
pub const KEYS_MAX: usize = 10_000;

/// One key of a KV store.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Entry {
    /// The bytes stored.
    pub value: Vec<u8>,
    /// The store's flags; flokkr's bit 2 marks a template.
    pub flags: u64,
    /// The store's index when the key was last changed.
    pub modified: u64,
}

/// All watched keys at one moment: one index, never a mix.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Kv {
    /// The store's index of this snapshot.
    pub index: u64,
    /// Every key below the watched prefixes.
    pub entries: BTreeMap<String, Entry>,
}

/// What a source last said, and how it does now.
#[derive(Debug, Clone)]
pub struct Sourced<T> {
    /// The last good answer, kept through any outage; `None` before the first.
    pub value: Option<Arc<T>>,
    /// When the source last answered well, be it "nothing new".
    pub at: Option<SystemTime>,
    /// What is wrong while it fails: one line that names the address.
    pub error: Option<String>,
}

impl<T> Default for Sourced<T> {
    fn default() -> Self {
        Self { value: None, at: None, error: None }
    }
}

/// One instance of a service, as Consul's health endpoint tells it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Instance {
    /// The node it runs on.
    pub node: String,
    /// The address to reach it: the service's own, else its node's.
    pub address: String,
    /// The port.
    pub port: u16,
    /// The service id, unique on its node.
    pub id: String,
    /// Tags, sorted.
    pub tags: Vec<String>,
    /// Metadata of the service.
    pub meta: BTreeMap<String, String>,
    /// Whether every check passes.
    pub passing: bool,
}

/// Which instances are asked for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ServiceQuery {
    /// The service's name.
    pub name: String,
    /// Only instances with this tag.
    pub tag: Option<String>,
    /// Only instances that pass all checks.
    pub passing_only: bool,
}

/// The answers, each sorted by node and id.
pub type Services = BTreeMap<ServiceQuery, Vec<Instance>>;
