//! The namenode as a state machine: namespace, leases, blocks and datanodes.
//!
//! One method of [`Namenode`] per RPC. Reads take `&self`; writes take `&mut self`, put their edit
//! log operations into a buffer ([`Namenode::take_log`]) and give their answer as a [`Durable`],
//! which opens only once that buffer is on disk. Nothing here reads a clock, waits, or logs.

pub mod blocks;
mod caller;
mod config;
pub mod datanodes;
mod driver;
mod durable;
mod figures;
mod log;
mod pending;

use blocks::BlockManager;

pub use caller::Caller;
pub use config::{Config, Identity};
pub use durable::Durable;
pub use figures::Figures;

/// The whole state of a namenode.
#[derive(Debug)]
pub struct Namenode {
    config: Config,
    log: log::Log,
    /// Where replicas are; the datanode side of the facade works on it.
    pub(crate) blocks: BlockManager,
}
