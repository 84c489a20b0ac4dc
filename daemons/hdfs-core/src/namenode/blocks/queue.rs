//! The queue of blocks with too few good replicas, by how close they are to being lost.

use std::collections::BTreeSet;

use super::block_map::Slot;

/// Levels of the queue, most urgent first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Priority {
    /// One replica left, or only ones on nodes that leave.
    Highest,
    /// Less than a third of what is wanted.
    VeryLow,
    /// Less than wanted.
    Low,
    /// Enough, but all in one rack.
    Misplaced,
    /// No good replica at all: nothing can be copied until one comes back.
    Lost,
}

/// All levels in order.
const LEVELS: [Priority; 5] =
    [Priority::Highest, Priority::VeryLow, Priority::Low, Priority::Misplaced, Priority::Lost];

/// The queue. Whether a block is in it is known from its NEEDED bit; the sets hold 4 to 6 bytes a
/// block.
#[derive(Debug, Default)]
pub(super) struct Needed {
    levels: [BTreeSet<Slot>; 5],
    /// Where the last round stopped, per level, so that blocks that cannot be helped do not hide
    /// others behind them.
    marks: [Slot; 5],
}

impl Needed {
    /// Blocks in all levels but [`Priority::Lost`].
    pub(super) fn low(&self) -> usize {
        self.levels[..4].iter().map(BTreeSet::len).sum()
    }

    /// Blocks of one level.
    pub(super) fn at(&self, priority: Priority) -> &BTreeSet<Slot> {
        &self.levels[priority as usize]
    }

    /// Puts a block into its level; `queued` says whether it was in another one.
    pub(super) fn put(&mut self, slot: Slot, priority: Priority, queued: bool) {
        if queued && !self.levels[priority as usize].contains(&slot) {
            self.take(slot);
        }
        self.levels[priority as usize].insert(slot);
    }

    /// Takes a block out of whatever level it is in.
    pub(super) fn take(&mut self, slot: Slot) -> bool {
        self.levels.iter_mut().any(|level| level.remove(&slot))
    }

    /// The next `count` blocks that copying can help, most urgent first, round robin in each level.
    pub(super) fn next(&mut self, count: usize) -> Vec<(Slot, Priority)> {
        let mut found = Vec::new();
        for priority in LEVELS.into_iter().filter(|each| *each != Priority::Lost) {
            let level = &self.levels[priority as usize];
            let mark = self.marks[priority as usize];
            let round = level.range(mark..).chain(level.range(..mark)).copied();
            let before = found.len();
            found.extend(round.take(count - before).map(|slot| (slot, priority)));
            if let Some((last, _)) = found[before..].last() {
                self.marks[priority as usize] = last + 1;
            }
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urgent_blocks_come_first_and_rounds_go_on() {
        let mut needed = Needed::default();
        needed.put(1, Priority::Low, false);
        needed.put(2, Priority::Low, false);
        needed.put(3, Priority::Low, false);
        needed.put(9, Priority::Highest, false);
        needed.put(4, Priority::Lost, false);
        let slots = |found: Vec<(Slot, Priority)>| {
            found.into_iter().map(|(slot, _)| slot).collect::<Vec<_>>()
        };
        assert_eq!(slots(needed.next(2)), [9, 1]);
        assert_eq!(slots(needed.next(2)), [9, 2]);
        assert_eq!(slots(needed.next(3)), [9, 3, 1]);
        assert_eq!(slots(needed.next(100)), [9, 2, 3, 1]);
        assert_eq!((needed.low(), needed.at(Priority::Lost).len()), (4, 1));
    }

    #[test]
    fn a_block_is_in_one_level_only() {
        let mut needed = Needed::default();
        needed.put(1, Priority::Low, false);
        needed.put(1, Priority::Highest, true);
        assert_eq!(needed.low(), 1);
        assert!(needed.at(Priority::Highest).contains(&1));
        assert!(needed.take(1));
        assert!(!needed.take(1));
    }
}
