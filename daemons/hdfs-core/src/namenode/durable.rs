//! The durability order as a type: what a write answers cannot be read before it is on disk.

/// A value together with the transaction that must be synced before anyone may see the value.
#[must_use = "the answer to a write is released after its transaction is synced"]
#[derive(Debug)]
pub struct Durable<T> {
    value: T,
    txid: u64,
}

impl<T> Durable<T> {
    /// A value that needs everything up to `txid` on disk.
    pub(crate) fn new(value: T, txid: u64) -> Self {
        Self { value, txid }
    }

    /// The transaction id that must be synced first.
    pub fn txid(&self) -> u64 {
        self.txid
    }

    /// The value, when `synced` (the last transaction on disk) reaches far enough.
    ///
    /// # Errors
    /// Gives itself back when it is too early.
    pub fn release(self, synced: u64) -> Result<T, Self> {
        if synced >= self.txid { Ok(self.value) } else { Err(self) }
    }

    /// Another value under the same condition.
    pub fn map<U>(self, change: impl FnOnce(T) -> U) -> Durable<U> {
        Durable { value: change(self.value), txid: self.txid }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_waits_for_its_transaction() {
        let early = Durable::new("answer", 7).release(6).unwrap_err();
        assert_eq!(early.txid(), 7);
        assert_eq!(early.release(7).unwrap(), "answer");
    }
}
