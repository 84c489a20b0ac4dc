//! How many of something may run at once; the number may change while some run.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Counts who is inside, and lets no more in than may.
#[derive(Debug)]
pub(crate) struct Gate {
    inside: AtomicUsize,
    max: AtomicUsize,
}

/// Somebody inside, until it is dropped.
#[derive(Debug)]
pub(crate) struct Pass(Arc<Gate>);

impl Gate {
    pub(crate) fn new(max: usize) -> Arc<Self> {
        Arc::new(Self { inside: AtomicUsize::new(0), max: AtomicUsize::new(max) })
    }

    /// How many may be inside.
    pub(crate) fn max(&self) -> usize {
        self.max.load(Ordering::Relaxed)
    }

    /// So many may be inside from now on; those who are stay.
    pub(crate) fn set_max(&self, max: usize) {
        self.max.store(max, Ordering::Relaxed);
    }

    /// None when it is full.
    pub(crate) fn enter(self: &Arc<Self>) -> Option<Pass> {
        let max = self.max();
        let one_more = |inside: usize| (inside < max).then_some(inside + 1);
        let entered = self.inside.fetch_update(Ordering::AcqRel, Ordering::Acquire, one_more);
        entered.ok().map(|_| Pass(Arc::clone(self)))
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        self.0.inside.fetch_sub(1, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_moves_while_some_are_inside() {
        let gate = Gate::new(2);
        let (first, second) = (gate.enter().unwrap(), gate.enter().unwrap());
        assert!(gate.enter().is_none());
        gate.set_max(1);
        drop(first);
        assert!(gate.enter().is_none(), "one is still inside");
        drop(second);
        let _third = gate.enter().unwrap();
        gate.set_max(2);
        assert!(gate.enter().is_some());
    }
}
