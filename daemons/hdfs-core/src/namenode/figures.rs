//! What the driver asks for besides calls: segment borders, figures for pages, and who may steer.

use hdfs_disk::edits::EditOp;
use hdfs_wire::Fault;

use super::{Caller, Namenode};
use crate::Millis;

/// Sums over the namespace and the blocks, for pages and metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Figures {
    /// Files, directories and links, the root included.
    pub inodes: u64,
    /// Blocks of all files.
    pub blocks: u64,
    /// Files that are being written.
    pub open_files: u64,
    /// Clients that write them.
    pub lease_holders: u64,
    /// Copies that were ordered and are not reported yet.
    pub pending_reconstruction: u64,
    /// Live datanodes that are late with their heartbeat.
    pub stale_datanodes: u64,
}

impl Namenode {
    /// Logs the operation that opens a segment. The driver begins a new file with it.
    ///
    /// # Errors
    /// The operation cannot be logged; nothing changed.
    pub fn start_segment(&mut self) -> Result<(), Fault> {
        self.log(&EditOp::StartLogSegment)
    }

    /// Logs the operation that closes a segment. The driver ends the file after it.
    ///
    /// # Errors
    /// The operation cannot be logged; nothing changed.
    pub fn end_segment(&mut self) -> Result<(), Fault> {
        self.log(&EditOp::EndLogSegment)
    }

    /// Blocks that became complete since the last call; see [`Self::awaited_block`].
    pub fn take_completed(&mut self) -> Vec<i64> {
        self.blocks.take_completed()
    }

    /// The lines after "Name node is in safe mode.\n"; `None` when safe mode is off.
    pub fn safe_mode_details(&self, now: Millis) -> Option<String> {
        self.blocks.safe_mode_details(now)
    }

    /// Asks for the right to steer the whole cluster.
    ///
    /// # Errors
    /// `AccessControlException` that names the operation.
    pub fn check_superuser(&self, caller: &Caller<'_>, operation: &str) -> Result<(), Fault> {
        self.check_operator(caller, operation)
    }

    /// Sums for pages and metrics.
    pub fn figures(&self) -> Figures {
        let stats = self.blocks.stats();
        Figures {
            inodes: self.tree.len() as u64,
            blocks: stats.blocks as u64,
            open_files: self.leases.len() as u64,
            lease_holders: self.leases.holders() as u64,
            pending_reconstruction: stats.pending_copies as u64,
            stale_datanodes: stats.stale as u64,
        }
    }
}
