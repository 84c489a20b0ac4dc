//! The namenode as a state machine: namespace, leases, blocks and datanodes.
//!
//! One method of [`Namenode`] per RPC. Reads take `&self`; writes take `&mut self`, put their edit
//! log operations into a buffer ([`Namenode::take_log`]) and give their answer as a [`Durable`],
//! which opens only once that buffer is on disk. Nothing here reads a clock, waits, or logs.

mod acl;
mod apply;
pub mod blocks;
mod caller;
mod config;
pub mod datanodes;
mod digest;
mod driver;
mod durable;
mod figures;
mod image;
mod kept;
mod lease;
mod lease_recovery;
mod log;
mod ops;
mod path;
mod pending;
mod permission;
mod resolve;
mod retry;
#[cfg(test)]
mod tests;
mod tree;

use blocks::BlockManager;

pub use caller::Caller;
pub use config::{Config, Identity};
pub use driver::ReplayError;
pub use durable::Durable;
pub use figures::Figures;

use crate::Millis;

/// The whole state of a namenode.
#[derive(Debug)]
pub struct Namenode {
    config: Config,
    tree: tree::Tree,
    leases: lease::Leases,
    log: log::Log,
    retry: retry::RetryCache,
    counters: Counters,
    kept: kept::Kept,
    /// The newest time anybody told.
    now: Millis,
    /// When leases were looked at.
    lease_check: Millis,
    /// Where replicas are; the datanode side of the facade works on it.
    pub(crate) blocks: BlockManager,
}

/// Numbers that are given out once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Counters {
    /// Newest generation stamp.
    stamp: u64,
    /// Newest stamp of blocks from before stamps were counted.
    legacy_stamp: u64,
    /// Where those end.
    legacy_stamp_limit: u64,
    /// Newest block id.
    block_id: i64,
    /// Newest id of a striped block group.
    striped_block_id: i64,
}

impl Default for Counters {
    /// As after a format.
    fn default() -> Self {
        Self {
            stamp: 1000,
            legacy_stamp: 1000,
            legacy_stamp_limit: 0,
            block_id: 1 << 30,
            striped_block_id: i64::MIN,
        }
    }
}
