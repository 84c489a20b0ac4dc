//! Where wanted configuration comes from.
//!
//! A source answers with a whole snapshot: every key of its prefix at one moment, so that a
//! render never mixes old with new. The store of `dev` is a folder (`files`); Consul and Vault
//! take the same place. Environment variables (`environment`) are a layer of their own, on top.

pub mod environment;
pub mod files;
pub mod layers;

use std::collections::BTreeMap;

/// All keys of a store and their values at one moment. Keys are `/`-separated, as in Consul KV
/// (`conf/hdfs/hdfs-site.xml/dfs.replication`).
pub type Snapshot = BTreeMap<String, String>;

/// Longest value taken, in bytes: Consul KV's own limit.
pub const VALUE_BYTES_MAX: usize = 512 * 1024;

/// Most keys taken from one store. A cluster has a few hundred; more is a wrong folder.
pub const KEYS_MAX: usize = 10_000;
