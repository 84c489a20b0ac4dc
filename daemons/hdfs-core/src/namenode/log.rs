//! The tail of the edit log that is not on disk yet: encoded operations and the last transaction
//! id. The core only appends; who writes the bytes, and when, is the driver's business.

use hdfs_disk::edits::{self, EditOp};
use hdfs_wire::Fault;

use super::Namenode;
use super::apply::Source;

/// Operations encoded and not yet taken by the driver.
#[derive(Debug, Default)]
pub(crate) struct Log {
    /// Whole operation frames, oldest first. Bounded by the driver, which takes it after every
    /// call.
    pending: Vec<u8>,
    /// Transaction id of the newest operation, encoded or replayed.
    last_txid: u64,
}

impl Log {
    pub(crate) fn last_txid(&self) -> u64 {
        self.last_txid
    }

    pub(crate) fn set_last_txid(&mut self, txid: u64) {
        self.last_txid = txid;
    }

    pub(crate) fn is_pending(&self) -> bool {
        !self.pending.is_empty()
    }

    /// Moves the pending bytes behind those in `into`.
    pub(crate) fn take(&mut self, into: &mut Vec<u8>) -> u64 {
        into.append(&mut self.pending);
        self.last_txid
    }

    /// Encodes an operation under the next transaction id.
    fn append(&mut self, op: &EditOp) -> Result<(), Fault> {
        let length = self.pending.len();
        edits::encode(op, self.last_txid + 1, &mut self.pending).map_err(|error| {
            self.pending.truncate(length);
            Fault::io(format!("The change cannot be logged: {error}"))
        })?;
        self.last_txid += 1;
        Ok(())
    }

    /// Takes the newest operation back.
    fn retract(&mut self, length: usize) {
        self.pending.truncate(length);
        self.last_txid -= 1;
    }
}

impl Namenode {
    /// Logs a change that has been found allowed, and carries it out. All live changes of durable
    /// state go through here, so that a replay of the log does the same.
    pub(crate) fn log(&mut self, op: &EditOp) -> Result<(), Fault> {
        let length = self.log.pending.len();
        self.log.append(op)?;
        self.apply(op, Source::Live).inspect_err(|_| self.log.retract(length))
    }
}
