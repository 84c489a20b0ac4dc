//! The tail of the edit log that is not on disk yet: encoded operations and the last transaction id.
//! The core only appends; who writes the bytes, and when, is the driver's business.

/// Operations encoded and not yet taken by the driver.
#[derive(Debug, Default)]
pub(crate) struct Log {
    /// Whole operation frames, oldest first. Bounded by the driver, which takes it after every call.
    pending: Vec<u8>,
    /// Transaction id of the newest operation, encoded or replayed.
    last_txid: u64,
}

impl Log {
    pub(crate) fn last_txid(&self) -> u64 {
        self.last_txid
    }

    pub(crate) fn is_pending(&self) -> bool {
        !self.pending.is_empty()
    }

    /// Moves the pending bytes behind those in `into`.
    pub(crate) fn take(&mut self, into: &mut Vec<u8>) -> u64 {
        into.append(&mut self.pending);
        self.last_txid
    }
}
