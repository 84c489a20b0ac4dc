//! From block ids to slots: open addressing over bare 32-bit slots, about 7 bytes a block.
//!
//! The keys live in the block arena, so every call says how to read the id of a slot. The table is
//! cut into shards that grow one at a time: no growth step moves more than a small part of ten
//! million entries under the namespace lock.

use super::random::mix;

/// Marks an empty place.
const EMPTY: u32 = u32::MAX;
/// Shards: a growth step at ten million blocks then moves about 10,000 entries (below 1 ms).
const SHARDS: usize = 1024;
/// A shard grows when 7 of 8 places are taken; the hash spreads well enough for short walks.
const LOAD_NUMERATOR: usize = 7;
const LOAD_DENOMINATOR: usize = 8;
/// First size of a shard in places.
const SHARD_MIN: usize = 8;

#[derive(Debug, Default)]
struct Shard {
    /// Power of two places; empty before the first insertion.
    places: Vec<u32>,
    taken: usize,
}

/// The table.
#[derive(Debug)]
pub(super) struct Index {
    shards: Vec<Shard>,
}

impl Default for Index {
    fn default() -> Self {
        Self { shards: (0..SHARDS).map(|_| Shard::default()).collect() }
    }
}

/// Which shard, and where its walk starts.
fn home(id: i64) -> (usize, usize) {
    let hash = mix(id.cast_unsigned());
    ((hash >> 54) as usize % SHARDS, hash as u32 as usize)
}

impl Index {
    /// The slot of an id.
    pub(super) fn find(&self, id: i64, id_of: impl Fn(u32) -> i64) -> Option<u32> {
        let (shard, start) = home(id);
        let shard = &self.shards[shard];
        let place = shard.place(id, start, id_of)?;
        Some(shard.places[place])
    }

    /// Enters a slot whose id is not in the table yet.
    pub(super) fn insert(&mut self, id: i64, slot: u32, id_of: impl Fn(u32) -> i64) {
        let (shard, start) = home(id);
        let shard = &mut self.shards[shard];
        if (shard.taken + 1) * LOAD_DENOMINATOR > shard.places.len() * LOAD_NUMERATOR {
            shard.grow(id_of);
        }
        shard.put(slot, start);
    }

    /// Takes an id out.
    pub(super) fn remove(&mut self, id: i64, id_of: impl Fn(u32) -> i64) {
        let (shard, start) = home(id);
        let shard = &mut self.shards[shard];
        if let Some(place) = shard.place(id, start, &id_of) {
            shard.clear(place, id_of);
        }
    }

    /// Bytes in use, for the memory figures.
    pub(super) fn bytes(&self) -> usize {
        self.shards.iter().map(|shard| shard.places.capacity() * 4 + size_of::<Shard>()).sum()
    }
}

impl Shard {
    fn place(&self, id: i64, start: usize, id_of: impl Fn(u32) -> i64) -> Option<usize> {
        let mask = self.places.len().checked_sub(1)?;
        let mut place = start & mask;
        // A shard is never full, so every walk meets an empty place.
        loop {
            match self.places[place] {
                EMPTY => return None,
                slot if id_of(slot) == id => return Some(place),
                _ => place = (place + 1) & mask,
            }
        }
    }

    fn put(&mut self, slot: u32, start: usize) {
        let mask = self.places.len() - 1;
        let mut place = start & mask;
        while self.places[place] != EMPTY {
            place = (place + 1) & mask;
        }
        self.places[place] = slot;
        self.taken += 1;
    }

    fn grow(&mut self, id_of: impl Fn(u32) -> i64) {
        let size = (self.places.len() * 2).max(SHARD_MIN);
        let old = std::mem::replace(&mut self.places, vec![EMPTY; size]);
        self.taken = 0;
        for slot in old.into_iter().filter(|slot| *slot != EMPTY) {
            self.put(slot, home(id_of(slot)).1);
        }
    }

    /// Empties a place and moves later entries of the same walk up, so that no marker stays behind.
    fn clear(&mut self, mut hole: usize, id_of: impl Fn(u32) -> i64) {
        let mask = self.places.len() - 1;
        let mut place = hole;
        loop {
            place = (place + 1) & mask;
            let slot = self.places[place];
            if slot == EMPTY {
                break;
            }
            let start = home(id_of(slot)).1 & mask;
            // The entry may fill the hole unless its walk starts behind the hole.
            if place.wrapping_sub(start) & mask >= place.wrapping_sub(hole) & mask {
                self.places[hole] = slot;
                hole = place;
            }
        }
        self.places[hole] = EMPTY;
        self.taken -= 1;
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn it_behaves_like_a_map(
            steps in prop::collection::vec((any::<bool>(), 0_i64..200), 0..600),
        ) {
            let mut index = Index::default();
            let mut model: HashMap<i64, u32> = HashMap::new();
            // Slots are ids here, spread so that they collide in few shards.
            let id_of = |slot: u32| i64::from(slot);
            for (add, id) in steps {
                let known = model.contains_key(&id);
                prop_assert_eq!(index.find(id, id_of).is_some(), known);
                if add && !known {
                    index.insert(id, id as u32, id_of);
                    model.insert(id, id as u32);
                } else if !add {
                    index.remove(id, id_of);
                    model.remove(&id);
                }
            }
            for id in 0..200 {
                prop_assert_eq!(index.find(id, id_of), model.get(&id).copied());
            }
        }
    }

    #[test]
    fn sequential_ids_take_few_bytes_each() {
        let mut index = Index::default();
        let count = 300_000_u32;
        for slot in 0..count {
            index.insert(1_073_741_825 + i64::from(slot), slot, |slot| {
                1_073_741_825 + i64::from(slot)
            });
        }
        assert!(index.bytes() < count as usize * 10, "{} bytes", index.bytes());
    }
}
