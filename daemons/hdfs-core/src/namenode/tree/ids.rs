//! From inode ids to slots. Ids are given out in order and never again, so pages of neighbours are
//! dense: 4 bytes an inode, and a page goes when its last inode goes.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use super::arena::Slot;

/// Ids per page: 4 KiB of slots, the price of one lonely inode.
const PAGE: u64 = 1024;
const NONE: u32 = u32::MAX;

/// Mixes numbers that the namenode itself gives out; keys from outside need the default hasher.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct NumberHasher(u64);

impl Hasher for NumberHasher {
    fn finish(&self) -> u64 {
        self.0
    }
    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.write_u64(u64::from(byte));
        }
    }
    fn write_u32(&mut self, number: u32) {
        self.write_u64(u64::from(number));
    }
    fn write_u64(&mut self, number: u64) {
        let mixed = (self.0 ^ number).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        self.0 = mixed ^ (mixed >> 32);
    }
}

/// A map keyed by numbers of our own.
pub(crate) type NumberMap<K, V> = HashMap<K, V, BuildHasherDefault<NumberHasher>>;

#[derive(Debug)]
struct Page {
    slots: Box<[u32; PAGE as usize]>,
    live: u32,
}

/// Slots by inode id.
#[derive(Debug, Default)]
pub(crate) struct Ids {
    pages: NumberMap<u64, Page>,
}

impl Ids {
    pub(crate) fn get(&self, id: u64) -> Option<Slot> {
        let slot = self.pages.get(&(id / PAGE))?.slots[(id % PAGE) as usize];
        (slot != NONE).then_some(Slot(slot))
    }

    pub(crate) fn insert(&mut self, id: u64, slot: Slot) {
        let page = self
            .pages
            .entry(id / PAGE)
            .or_insert_with(|| Page { slots: Box::new([NONE; PAGE as usize]), live: 0 });
        let place = &mut page.slots[(id % PAGE) as usize];
        page.live += u32::from(*place == NONE);
        *place = slot.0;
    }

    pub(crate) fn remove(&mut self, id: u64) {
        let Some(page) = self.pages.get_mut(&(id / PAGE)) else { return };
        let place = &mut page.slots[(id % PAGE) as usize];
        page.live -= u32::from(*place != NONE);
        *place = NONE;
        if page.live == 0 {
            self.pages.remove(&(id / PAGE));
        }
    }

    /// Bytes held, the map's own table estimated.
    pub(crate) fn memory(&self) -> usize {
        self.pages.len() * (PAGE as usize * 4) + self.pages.capacity() * (size_of::<Page>() + 9)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_come_and_go_with_their_inodes() {
        let mut ids = Ids::default();
        ids.insert(16_385, Slot(0));
        ids.insert(16_386, Slot(1));
        ids.insert(1 << 40, Slot(2));
        assert_eq!(ids.get(16_386), Some(Slot(1)));
        assert_eq!(ids.get(16_387), None);
        assert_eq!(ids.get(1 << 40), Some(Slot(2)));
        ids.remove(1 << 40);
        ids.remove(77);
        assert_eq!(ids.get(1 << 40), None);
        assert_eq!(ids.pages.len(), 1);
    }
}
