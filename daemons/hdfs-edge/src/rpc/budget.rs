//! A shared allowance of bytes: connections take from it before they buffer more of a large unit,
//! so that many large slow units cannot eat the memory.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::Metrics;

/// One allowance of a server. What is taken shows in [`Metrics::buffered_bytes_open`].
#[derive(Debug)]
pub(super) struct Budget {
    max: u64,
    used: AtomicU64,
    metrics: Arc<Metrics>,
}

/// Bytes taken from a budget, given back when dropped.
#[derive(Debug)]
pub(super) struct Held {
    budget: Arc<Budget>,
    bytes: u64,
}

impl Budget {
    pub(super) fn new(max: usize, metrics: Arc<Metrics>) -> Arc<Self> {
        Arc::new(Self { max: max as u64, used: AtomicU64::new(0), metrics })
    }

    /// Nothing held yet.
    pub(super) fn hold(self: &Arc<Self>) -> Held {
        Held { budget: Arc::clone(self), bytes: 0 }
    }
}

impl Held {
    /// Takes so much that `total` bytes are held; `false` when that is not to be had now.
    pub(super) fn grow_to(&mut self, total: usize) -> bool {
        let more = (total as u64).saturating_sub(self.bytes);
        let used = &self.budget.used;
        let taken = used.fetch_update(Ordering::AcqRel, Ordering::Acquire, |used| {
            used.checked_add(more).filter(|&used| used <= self.budget.max)
        });
        if taken.is_ok() {
            self.bytes += more;
            Metrics::add(&self.budget.metrics.buffered_bytes_open, more);
        }
        taken.is_ok()
    }

    /// Whether something is held.
    pub(super) fn is_some(&self) -> bool {
        self.bytes > 0
    }

    /// Moves what is held to the value returned.
    pub(super) fn take(&mut self) -> Self {
        Self { budget: Arc::clone(&self.budget), bytes: std::mem::take(&mut self.bytes) }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.budget.used.fetch_sub(self.bytes, Ordering::AcqRel);
        Metrics::sub(&self.budget.metrics.buffered_bytes_open, self.bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_dropped_can_be_taken_again() {
        let budget = Budget::new(100, Arc::default());
        let (mut first, mut second) = (budget.hold(), budget.hold());
        assert!(first.grow_to(60) && !second.grow_to(60) && second.grow_to(40));
        assert!(first.grow_to(60) && !first.grow_to(61));
        let moved = first.take();
        assert!(!first.is_some() && moved.is_some());
        drop(first);
        assert!(!second.grow_to(41));
        drop(moved);
        assert!(second.grow_to(100));
    }
}
