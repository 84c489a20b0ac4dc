//! The arena of blocks: one entry of 40 bytes a block, its first three replicas inside.
//!
//! An entry, little by little:
//!
//! ```text
//! id 8 | file 6 | length 6 | stamp 6 | meta 2 | replica 4 x 3
//! meta: bits 0-9 replication, 10-11 state, 12 RARE, 13 SAFE, 14 NEEDED, 15 VACANT
//! ```
//!
//! Numbers of 48 bits are enough: Hadoop cuts lengths to 48 bits itself, and stamps and inode ids
//! are counted up one by one. What few blocks have (more replicas, a pipeline, corrupt or excess
//! replicas, copies on their way) is in a side table; the RARE bit says when to look there. Nothing
//! here knows what a datanode is: a replica is the number of a storage.

use std::collections::HashMap;

use hdfs_wire::block_list::ReplicaState;

use super::index::Index;
use super::recovery::Recovery;
use super::{Block, BlockState};
use crate::Millis;

/// Place of a block in the arena.
pub(super) type Slot = u32;
/// Place of a storage in the registry.
pub(super) type StorageId = u32;

/// No storage, no slot.
const NONE: u32 = u32::MAX;
/// Replicas that fit into an entry: Hadoop's default replication.
const INLINE: usize = 3;
/// Largest value of the 48-bit fields.
const FIELD_MAX: u64 = (1 << 48) - 1;
/// Entries of one chunk: the arena grows by 640 KiB at a time and never copies a block.
const CHUNK: usize = 1 << 14;
/// Most blocks: slots are 32 bits and the last one is [`NONE`].
const BLOCKS_MAX: u32 = NONE - 1;

const REPLICATION_MASK: u16 = 0x03ff;
const STATE_SHIFT: u16 = 10;
const STATE_MASK: u16 = 0x0c00;
const RARE: u16 = 1 << 12;
/// The block counts as safe (complete, with enough replicas).
pub(super) const SAFE: u16 = 1 << 13;
/// The block is in the queue of blocks that need work.
pub(super) const NEEDED: u16 = 1 << 14;
const VACANT: u16 = 1 << 15;

#[derive(Debug, Clone, Copy)]
struct Entry {
    id: [u32; 2],
    file_low: u32,
    length_low: u32,
    stamp_low: u32,
    file_high: u16,
    length_high: u16,
    stamp_high: u16,
    meta: u16,
    /// Filled from the front; in a vacant entry the first one is the next vacant slot.
    replicas: [StorageId; INLINE],
}

const _: () = assert!(size_of::<Entry>() == 40);

fn join(low: u32, high: u16) -> u64 {
    u64::from(low) | (u64::from(high) << 32)
}

fn split(value: u64) -> (u32, u16) {
    let value = value.min(FIELD_MAX);
    (value as u32, (value >> 32) as u16)
}

impl Entry {
    fn id(&self) -> i64 {
        (u64::from(self.id[0]) | (u64::from(self.id[1]) << 32)).cast_signed()
    }
}

/// Why a replica counts as corrupt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Damage {
    /// Stamp, length or state do not fit; a later report that fits heals it.
    Mismatch,
    /// A reader or a scanner saw wrong bytes; only deletion heals it.
    Bytes,
}

/// A stored replica that is no good.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Corrupt {
    pub(super) storage: StorageId,
    pub(super) damage: Damage,
    /// The stamp its node knows it by: deletions must name it.
    pub(super) stamp: u64,
    /// Its deletion was ordered. It stays here until its node reports it gone.
    pub(super) ordered: bool,
}

/// A replica of a block that is being written, as last heard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Expected {
    pub(super) storage: StorageId,
    pub(super) stamp: u64,
    pub(super) length: u64,
    /// When finalized, it is among the stored replicas.
    pub(super) state: ReplicaState,
}

impl Expected {
    pub(super) fn finalized(&self) -> bool {
        self.state == ReplicaState::Finalized
    }
}

/// What only a block that is not complete has.
#[derive(Debug, Default)]
pub(super) struct Construction {
    pub(super) expected: Vec<Expected>,
    pub(super) recovery: Option<Recovery>,
}

/// Copies on their way.
#[derive(Debug)]
pub(super) struct Pending {
    pub(super) storages: Vec<StorageId>,
    pub(super) since: Millis,
}

/// What few blocks have.
#[derive(Debug, Default)]
pub(super) struct Rare {
    /// Replicas beyond the inline ones.
    extra: Vec<StorageId>,
    pub(super) construction: Option<Construction>,
    /// Stored replicas that are no good.
    pub(super) corrupt: Vec<Corrupt>,
    /// Stored replicas that were chosen for deletion.
    pub(super) excess: Vec<StorageId>,
    pub(super) pending: Option<Pending>,
}

impl Rare {
    fn is_empty(&self) -> bool {
        self.extra.is_empty()
            && self.construction.is_none()
            && self.corrupt.is_empty()
            && self.excess.is_empty()
            && self.pending.is_none()
    }
}

/// All blocks of the namespace.
#[derive(Debug)]
pub(super) struct BlockMap {
    chunks: Vec<Vec<Entry>>,
    /// Slots handed out so far, vacant ones included.
    top: u32,
    vacant: Slot,
    len: usize,
    index: Index,
    rare: HashMap<Slot, Box<Rare>>,
}

impl Default for BlockMap {
    fn default() -> Self {
        Self {
            chunks: Vec::new(),
            top: 0,
            vacant: NONE,
            len: 0,
            index: Index::default(),
            rare: HashMap::new(),
        }
    }
}

impl BlockMap {
    // ---- whole blocks ----

    /// Blocks in the map.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// One past the last slot ever used.
    pub(super) fn top(&self) -> Slot {
        self.top
    }

    /// Where a block is.
    pub(super) fn find(&self, id: i64) -> Option<Slot> {
        self.index.find(id, |slot| self.entry(slot).id())
    }

    /// Enters a block; `None` when the id is there already or the arena is full.
    pub(super) fn insert(
        &mut self,
        block: Block,
        file: u64,
        replication: u16,
        state: BlockState,
    ) -> Option<Slot> {
        if self.find(block.id).is_some() {
            return None;
        }
        let slot = self.take_slot()?;
        let id = block.id.cast_unsigned();
        let entry = self.entry_mut(slot);
        entry.id = [id as u32, (id >> 32) as u32];
        entry.replicas = [NONE; INLINE];
        entry.meta = 0;
        self.set_block(slot, block);
        self.set_file(slot, file);
        self.set_replication(slot, replication);
        self.set_state(slot, state);
        let chunks = &self.chunks;
        self.index.insert(block.id, slot, |slot| entry_of(chunks, slot).id());
        self.len += 1;
        Some(slot)
    }

    /// Takes a block out. Its replicas must be gone, or forgotten by the caller.
    pub(super) fn remove(&mut self, slot: Slot) {
        let chunks = &self.chunks;
        let id = entry_of(chunks, slot).id();
        self.index.remove(id, |slot| entry_of(chunks, slot).id());
        self.rare.remove(&slot);
        let vacant = self.vacant;
        let entry = self.entry_mut(slot);
        entry.meta = VACANT;
        entry.replicas = [vacant, NONE, NONE];
        self.vacant = slot;
        self.len -= 1;
    }

    fn take_slot(&mut self) -> Option<Slot> {
        if self.vacant != NONE {
            let slot = self.vacant;
            self.vacant = self.entry(slot).replicas[0];
            return Some(slot);
        }
        if self.top >= BLOCKS_MAX {
            return None;
        }
        if self.top as usize == self.chunks.len() * CHUNK {
            self.chunks.push(Vec::with_capacity(if self.top == 0 { 64 } else { CHUNK }));
        }
        let chunk = self.chunks.last_mut().expect("a chunk was pushed when the last one was full");
        chunk.push(Entry {
            id: [0; 2],
            file_low: 0,
            length_low: 0,
            stamp_low: 0,
            file_high: 0,
            length_high: 0,
            stamp_high: 0,
            meta: 0,
            replicas: [NONE; INLINE],
        });
        self.top += 1;
        Some(self.top - 1)
    }

    fn entry(&self, slot: Slot) -> &Entry {
        entry_of(&self.chunks, slot)
    }

    fn entry_mut(&mut self, slot: Slot) -> &mut Entry {
        &mut self.chunks[slot as usize / CHUNK][slot as usize % CHUNK]
    }

    // ---- fields ----

    /// Is this slot a block at all?
    pub(super) fn is_block(&self, slot: Slot) -> bool {
        slot < self.top && self.entry(slot).meta & VACANT == 0
    }

    pub(super) fn block(&self, slot: Slot) -> Block {
        let entry = self.entry(slot);
        Block {
            id: entry.id(),
            length: join(entry.length_low, entry.length_high),
            stamp: join(entry.stamp_low, entry.stamp_high),
        }
    }

    /// Sets length and stamp; the id stays.
    pub(super) fn set_block(&mut self, slot: Slot, block: Block) {
        let (length, stamp) = (split(block.length), split(block.stamp));
        let entry = self.entry_mut(slot);
        (entry.length_low, entry.length_high) = length;
        (entry.stamp_low, entry.stamp_high) = stamp;
    }

    pub(super) fn file(&self, slot: Slot) -> u64 {
        let entry = self.entry(slot);
        join(entry.file_low, entry.file_high)
    }

    pub(super) fn set_file(&mut self, slot: Slot, file: u64) {
        let file = split(file);
        let entry = self.entry_mut(slot);
        (entry.file_low, entry.file_high) = file;
    }

    pub(super) fn replication(&self, slot: Slot) -> usize {
        usize::from(self.entry(slot).meta & REPLICATION_MASK)
    }

    pub(super) fn set_replication(&mut self, slot: Slot, replication: u16) {
        let entry = self.entry_mut(slot);
        entry.meta = (entry.meta & !REPLICATION_MASK) | replication.min(REPLICATION_MASK);
    }

    pub(super) fn state(&self, slot: Slot) -> BlockState {
        match (self.entry(slot).meta & STATE_MASK) >> STATE_SHIFT {
            0 => BlockState::UnderConstruction,
            1 => BlockState::Committed,
            2 => BlockState::Complete,
            _ => BlockState::UnderRecovery,
        }
    }

    pub(super) fn set_state(&mut self, slot: Slot, state: BlockState) {
        let number = match state {
            BlockState::UnderConstruction => 0,
            BlockState::Committed => 1,
            BlockState::Complete => 2,
            BlockState::UnderRecovery => 3_u16,
        };
        let entry = self.entry_mut(slot);
        entry.meta = (entry.meta & !STATE_MASK) | (number << STATE_SHIFT);
    }

    /// [`SAFE`] or [`NEEDED`].
    pub(super) fn has(&self, slot: Slot, flag: u16) -> bool {
        self.entry(slot).meta & flag != 0
    }

    pub(super) fn set_flag(&mut self, slot: Slot, flag: u16, on: bool) {
        let entry = self.entry_mut(slot);
        entry.meta = if on { entry.meta | flag } else { entry.meta & !flag };
    }

    // ---- what few blocks have ----

    pub(super) fn rare(&self, slot: Slot) -> Option<&Rare> {
        if self.has(slot, RARE) { self.rare.get(&slot).map(AsRef::as_ref) } else { None }
    }

    /// Changes the side table's entry, made for it if need be and dropped when nothing is left in
    /// it.
    pub(super) fn change_rare<R>(&mut self, slot: Slot, change: impl FnOnce(&mut Rare) -> R) -> R {
        let rare = self.rare.entry(slot).or_default();
        let result = change(rare);
        let keep = !rare.is_empty();
        if !keep {
            self.rare.remove(&slot);
        }
        self.set_flag(slot, RARE, keep);
        result
    }

    /// The mark of a corrupt replica.
    pub(super) fn corrupt(&self, slot: Slot, storage: StorageId) -> Option<Corrupt> {
        self.rare(slot)?.corrupt.iter().copied().find(|each| each.storage == storage)
    }

    pub(super) fn construction(&self, slot: Slot) -> Option<&Construction> {
        self.rare(slot)?.construction.as_ref()
    }

    /// Slots that have a side table entry.
    pub(super) fn rare_slots(&self) -> Vec<Slot> {
        let mut slots: Vec<_> = self.rare.keys().copied().collect();
        // Hash order differs from run to run; a simulation must not.
        slots.sort_unstable();
        slots
    }

    // ---- replicas ----

    /// The stored replicas: finalized ones and corrupt ones alike.
    pub(super) fn replicas(&self, slot: Slot) -> impl Iterator<Item = StorageId> + '_ {
        let extra = self.rare(slot).map_or(&[][..], |rare| &rare.extra);
        let inline = self.entry(slot).replicas.iter().take_while(|storage| **storage != NONE);
        inline.chain(extra).copied()
    }

    /// Is a replica stored there?
    pub(super) fn holds(&self, slot: Slot, storage: StorageId) -> bool {
        self.is_block(slot) && self.replicas(slot).any(|each| each == storage)
    }

    /// Enters a replica that is not there yet.
    pub(super) fn add_replica(&mut self, slot: Slot, storage: StorageId) {
        let entry = self.entry_mut(slot);
        match entry.replicas.iter_mut().find(|place| **place == NONE) {
            Some(place) => *place = storage,
            None => self.change_rare(slot, |rare| rare.extra.push(storage)),
        }
    }

    /// Takes a replica out, with its marks as corrupt or excess; false when it is not there.
    pub(super) fn remove_replica(&mut self, slot: Slot, storage: StorageId) -> bool {
        let inline = self.entry(slot).replicas;
        let found = if let Some(place) = inline.iter().position(|each| *each == storage) {
            let extra = self.rare(slot).and_then(|rare| rare.extra.last().copied());
            if extra.is_some() {
                self.change_rare(slot, |rare| rare.extra.pop());
            }
            let entry = self.entry_mut(slot);
            entry.replicas.copy_within(place + 1.., place);
            entry.replicas[INLINE - 1] = extra.unwrap_or(NONE);
            true
        } else if self.has(slot, RARE) {
            self.change_rare(slot, |rare| {
                let place = rare.extra.iter().position(|each| *each == storage);
                place.map(|place| rare.extra.remove(place)).is_some()
            })
        } else {
            false
        };
        if self.has(slot, RARE) {
            self.change_rare(slot, |rare| {
                rare.corrupt.retain(|each| each.storage != storage);
                rare.excess.retain(|each| *each != storage);
            });
        }
        found
    }

    /// Bytes the structure takes, side table apart.
    pub(super) fn bytes(&self) -> usize {
        let arena: usize =
            self.chunks.iter().map(|chunk| chunk.capacity() * size_of::<Entry>()).sum();
        arena + self.index.bytes()
    }
}

fn entry_of(chunks: &[Vec<Entry>], slot: Slot) -> &Entry {
    &chunks[slot as usize / CHUNK][slot as usize % CHUNK]
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn block(id: i64) -> Block {
        Block { id, length: 5, stamp: 1001 }
    }

    #[test]
    fn fields_keep_what_they_are_given() {
        let mut map = BlockMap::default();
        let whole = Block { id: i64::MIN + 3, length: FIELD_MAX, stamp: FIELD_MAX - 1 };
        let slot = map.insert(whole, FIELD_MAX - 2, 512, BlockState::Complete).unwrap();
        assert_eq!(map.block(slot), whole);
        assert_eq!(map.file(slot), FIELD_MAX - 2);
        assert_eq!(map.replication(slot), 512);
        for state in [
            BlockState::UnderConstruction,
            BlockState::Committed,
            BlockState::UnderRecovery,
            BlockState::Complete,
        ] {
            map.set_state(slot, state);
            assert_eq!(map.state(slot), state);
            assert_eq!(map.replication(slot), 512);
        }
        assert_eq!(map.insert(whole, 1, 1, BlockState::Complete), None);
    }

    #[test]
    fn slots_are_used_again() {
        let mut map = BlockMap::default();
        let first = map.insert(block(1), 1, 3, BlockState::Complete).unwrap();
        map.insert(block(2), 1, 3, BlockState::Complete).unwrap();
        map.remove(first);
        assert!(!map.is_block(first));
        assert_eq!(map.insert(block(3), 1, 3, BlockState::Complete), Some(first));
        assert_eq!((map.find(1), map.find(3), map.len()), (None, Some(first), 2));
    }

    #[test]
    fn a_block_with_three_replicas_takes_few_bytes() {
        let mut map = BlockMap::default();
        let count = 100_000;
        for id in 0..count {
            let slot = map.insert(block(id), 1, 3, BlockState::Complete).unwrap();
            (0..3).for_each(|storage| map.add_replica(slot, storage));
        }
        assert!(map.rare.is_empty());
        // 40 for the entry, up to 9 for the index; the lists of the storages add 4 a replica.
        assert!(map.bytes() < count as usize * 52, "{}", map.bytes());
    }

    proptest! {
        #[test]
        fn replicas_behave_like_a_set(
            steps in prop::collection::vec((any::<bool>(), 0_u32..8), 0..80),
        ) {
            let mut map = BlockMap::default();
            let slot = map.insert(block(9), 1, 3, BlockState::Complete).unwrap();
            let mut model = std::collections::BTreeSet::new();
            for (add, storage) in steps {
                if add && model.insert(storage) {
                    map.add_replica(slot, storage);
                } else if !add {
                    prop_assert_eq!(map.remove_replica(slot, storage), model.remove(&storage));
                }
                let mut now: Vec<_> = map.replicas(slot).collect();
                now.sort_unstable();
                prop_assert_eq!(now, model.iter().copied().collect::<Vec<_>>());
                prop_assert_eq!(map.has(slot, RARE), model.len() > 3);
            }
        }
    }
}
