//! Consul: the KV store, the health of services, sessions, and the local agent's services.
//!
//! `client` makes single calls; `watch` keeps a snapshot of KV prefixes, `health` one of service
//! instances. Both go on for ever: an outage leaves the last value in place.

mod client;
mod config;
mod health;
mod poll;
mod session;
mod txn;
mod watch;

pub use client::{Consul, ConsulError, Listing, Put};
pub use config::ConsulConfig;
pub use health::HealthWatch;
pub use session::{Behavior, SessionSpec};
pub use txn::{OPERATIONS_MAX, TxnOp};
pub use watch::watch_kv;
