//! A directory's entries: slots in the order of their names, in runs short enough that an
//! insertion moves at most one page. A million entries cost no more than 4 bytes each and slack.
//!
//! The names are elsewhere; every search is given a way to look at one.

use std::cmp::Ordering;

use super::arena::Slot;

/// Longest run: 2 KiB of slots, what one insertion moves at worst.
const RUN_MAX: usize = 512;

/// Entries of one directory.
#[derive(Debug, Default, Clone)]
pub(crate) struct Children {
    /// Non-empty runs in order.
    runs: Vec<Vec<Slot>>,
    length: usize,
}

/// Where an entry is, or would be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Place {
    run: usize,
    index: usize,
}

impl Children {
    pub(crate) fn len(&self) -> usize {
        self.length
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// The entry for which `order` (entry compared with the wanted name) says equal.
    pub(crate) fn find(&self, order: impl FnMut(Slot) -> Ordering) -> Option<Slot> {
        self.search(order).ok().map(|place| self.runs[place.run][place.index])
    }

    /// Puts an entry in its place. False (and no change) when the name is taken.
    pub(crate) fn insert(&mut self, slot: Slot, order: impl FnMut(Slot) -> Ordering) -> bool {
        let Err(place) = self.search(order) else { return false };
        self.length += 1;
        if self.runs.is_empty() {
            self.runs.push(vec![slot]);
            return true;
        }
        let run = &mut self.runs[place.run];
        run.insert(place.index, slot);
        if run.len() > RUN_MAX {
            // Names often arrive in order: then leave the left run full instead of half empty.
            let at_end = place.index + 1 == run.len() && place.run + 1 == self.runs.len();
            let middle = if at_end { RUN_MAX - 1 } else { RUN_MAX / 2 };
            let run = &mut self.runs[place.run];
            let right = run.split_off(middle);
            run.shrink_to_fit();
            self.runs.insert(place.run + 1, right);
        }
        true
    }

    /// Takes the entry out for which `order` says equal.
    pub(crate) fn remove(&mut self, order: impl FnMut(Slot) -> Ordering) -> Option<Slot> {
        let place = self.search(order).ok()?;
        let run = &mut self.runs[place.run];
        let slot = run.remove(place.index);
        if run.is_empty() {
            self.runs.remove(place.run);
        }
        self.length -= 1;
        Some(slot)
    }

    /// Entries in order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = Slot> {
        self.runs.iter().flatten().copied()
    }

    /// The entries that come after a name (`order`: entry compared with that name), and how many
    /// there are.
    pub(crate) fn after(
        &self,
        order: impl FnMut(Slot) -> Ordering,
    ) -> (usize, impl Iterator<Item = Slot>) {
        let mut place = match self.search(order) {
            Ok(place) => Place { index: place.index + 1, ..place },
            Err(place) => place,
        };
        if self.runs.is_empty() {
            place = Place { run: 0, index: 0 };
        }
        let before: usize =
            self.runs[..place.run].iter().map(Vec::len).sum::<usize>() + place.index;
        let rest = self.runs[place.run.min(self.runs.len())..].iter();
        let skip = place.index;
        (self.length - before, rest.flatten().copied().skip(skip))
    }

    pub(crate) fn last(&self) -> Option<Slot> {
        self.runs.last()?.last().copied()
    }

    /// Adds an entry that comes after all others, as an image lists them.
    pub(crate) fn push(&mut self, slot: Slot) {
        match self.runs.last_mut() {
            Some(run) if run.len() < RUN_MAX => run.push(slot),
            _ => self.runs.push(vec![slot]),
        }
        self.length += 1;
    }

    fn search(&self, mut order: impl FnMut(Slot) -> Ordering) -> Result<Place, Place> {
        // The last run whose first entry is not behind the wanted name.
        let run =
            self.runs.partition_point(|run| order(run[0]) != Ordering::Greater).saturating_sub(1);
        let Some(entries) = self.runs.get(run) else {
            return Err(Place { run: 0, index: 0 });
        };
        match entries.binary_search_by(|&slot| order(slot)) {
            Ok(index) => Ok(Place { run, index }),
            Err(index) => Err(Place { run, index }),
        }
    }

    /// Bytes held.
    pub(crate) fn memory(&self) -> usize {
        let entries: usize = self.runs.iter().map(|run| run.capacity() * 4).sum();
        entries + self.runs.capacity() * size_of::<Vec<Slot>>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    proptest! {
        #[test]
        fn behaves_like_an_ordered_set(
            steps in proptest::collection::vec((0u32..3000, 0u8..4), 0..4000),
        ) {
            let mut children = Children::default();
            let mut model = BTreeSet::new();
            for (key, action) in steps {
                if action == 0 {
                    let taken = children.remove(|slot| slot.0.cmp(&key));
                    prop_assert_eq!(taken.is_some(), model.remove(&key));
                } else {
                    let is_new = children.insert(Slot(key), |slot| slot.0.cmp(&key));
                    prop_assert_eq!(is_new, model.insert(key));
                }
            }
            prop_assert_eq!(children.len(), model.len());
            prop_assert!(children.iter().map(|slot| slot.0).eq(model.iter().copied()));
            for key in [0, 1, 777, 1500, 2999, 4000] {
                let found = children.find(|slot| slot.0.cmp(&key));
                prop_assert_eq!(found.is_some(), model.contains(&key));
                let (count, rest) = children.after(|slot| slot.0.cmp(&key));
                let wanted: Vec<_> = model.range(key + 1..).copied().collect();
                prop_assert_eq!(count, wanted.len());
                prop_assert!(rest.map(|slot| slot.0).eq(wanted));
            }
        }
    }

    #[test]
    fn ascending_inserts_fill_the_runs() {
        let mut children = Children::default();
        for key in 0..10_000 {
            children.insert(Slot(key), |slot| slot.0.cmp(&key));
        }
        assert!(children.runs.len() < 22, "{}", children.runs.len());
    }
}
