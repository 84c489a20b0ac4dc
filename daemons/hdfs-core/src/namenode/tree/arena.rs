//! Inodes in 48-byte records, addressed by 32-bit slots. Chunks never move, so growth never copies,
//! and a freed slot is the next to be used. Nothing here knows a name or an order.

/// Where an inode is in the arena. Reused after the inode is gone; ids are not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Slot(pub(crate) u32);

/// The root directory's slot: always the first.
pub(crate) const ROOT: Slot = Slot(0);

/// No slot: end of the free list, and the root's parent.
const NONE: u32 = u32::MAX;

/// Inodes per chunk: 192 KiB, small beside any heap and large enough to make chunks few.
const CHUNK: usize = 4096;

/// What an inode is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    File,
    Directory,
    Symlink,
}

/// Marks in an inode's header: "look into the side table too".
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mark {
    Acl = 1 << 2,
    XAttr = 1 << 3,
    Open = 1 << 4,
    Quota = 1 << 5,
    Striped = 1 << 6,
}

const KIND_BITS: u32 = 0b11;
const KIND_FREE: u32 = 0;
const BLOCKS_SHIFT: u32 = 7;
const POLICY_SHIFT: u32 = 9;
const REPLICATION_SHIFT: u32 = 16;

/// A signed 48-bit number: times to the year 6429, sizes to 128 TiB, ids to 10^14.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Short([u16; 3]);

impl Short {
    const LIMIT: i64 = (1 << 47) - 1;

    fn new(value: i64) -> Self {
        let value = value.clamp(-Self::LIMIT, Self::LIMIT);
        Self([value as u16, (value >> 16) as u16, (value >> 32) as u16])
    }

    fn value(self) -> i64 {
        let [low, middle, high] = self.0;
        i64::from(low) | (i64::from(middle) << 16) | (i64::from(high as i16) << 32)
    }
}

/// What the header's two block bits say about a file's `data` word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BlockShape {
    /// No blocks.
    None,
    /// `data` is the one block's id.
    One,
    /// `data` is an index into the table of block lists.
    Many,
}

/// One inode. Rare features are in side tables keyed by slot, and marked in the header.
#[derive(Clone, Copy)]
pub(crate) struct Inode {
    id: Short,
    mtime: Short,
    atime: Short,
    block_size: Short,
    parent: u32,
    name: u32,
    permission: u32,
    header: u32,
    data: [u32; 2],
}

impl std::fmt::Debug for Inode {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "Inode({})", self.id())
    }
}

const _: () = assert!(size_of::<Inode>() == 48);

impl Inode {
    pub(crate) fn new(kind: Kind, id: u64, permission: u32, mtime: u64) -> Self {
        let header = match kind {
            Kind::File => 1,
            Kind::Directory => 2,
            Kind::Symlink => 3,
        };
        let mut inode = Self {
            id: Short::new(i64::try_from(id).unwrap_or(i64::MAX)),
            mtime: Short::new(0),
            atime: Short::new(0),
            block_size: Short::new(0),
            parent: NONE,
            name: 0,
            permission,
            header,
            data: [NONE, NONE],
        };
        inode.set_mtime(mtime);
        inode
    }

    pub(crate) fn kind(&self) -> Kind {
        match self.header & KIND_BITS {
            1 => Kind::File,
            2 => Kind::Directory,
            _ => Kind::Symlink,
        }
    }

    pub(crate) fn is_file(&self) -> bool {
        self.kind() == Kind::File
    }

    pub(crate) fn is_directory(&self) -> bool {
        self.kind() == Kind::Directory
    }

    pub(crate) fn id(&self) -> u64 {
        self.id.value() as u64
    }

    pub(crate) fn mtime(&self) -> u64 {
        self.mtime.value() as u64
    }

    pub(crate) fn set_mtime(&mut self, time: u64) {
        self.mtime = Short::new(time as i64);
    }

    pub(crate) fn atime(&self) -> u64 {
        self.atime.value() as u64
    }

    pub(crate) fn set_atime(&mut self, time: u64) {
        self.atime = Short::new(time as i64);
    }

    pub(crate) fn block_size(&self) -> u64 {
        self.block_size.value() as u64
    }

    pub(crate) fn set_block_size(&mut self, bytes: u64) {
        self.block_size = Short::new(i64::try_from(bytes).unwrap_or(i64::MAX));
    }

    pub(crate) fn parent(&self) -> Option<Slot> {
        (self.parent != NONE).then_some(Slot(self.parent))
    }

    pub(crate) fn set_parent(&mut self, parent: Option<Slot>) {
        self.parent = parent.map_or(NONE, |slot| slot.0);
    }

    pub(crate) fn name(&self) -> u32 {
        self.name
    }

    pub(crate) fn set_name(&mut self, name: u32) {
        self.name = name;
    }

    /// Index into the table of owner, group and mode.
    pub(crate) fn permission(&self) -> u32 {
        self.permission
    }

    pub(crate) fn set_permission(&mut self, permission: u32) {
        self.permission = permission;
    }

    pub(crate) fn has(&self, mark: Mark) -> bool {
        self.header & mark as u32 != 0
    }

    pub(crate) fn set(&mut self, mark: Mark, on: bool) {
        if on {
            self.header |= mark as u32;
        } else {
            self.header &= !(mark as u32);
        }
    }

    /// Storage policy id, 0 to inherit.
    pub(crate) fn policy(&self) -> u8 {
        (self.header >> POLICY_SHIFT) as u8 & 0xf
    }

    pub(crate) fn set_policy(&mut self, policy: u8) {
        self.header &= !(0xf << POLICY_SHIFT);
        self.header |= u32::from(policy & 0xf) << POLICY_SHIFT;
    }

    /// Replication of a file, or the erasure coding policy of a striped one.
    pub(crate) fn replication(&self) -> u16 {
        (self.header >> REPLICATION_SHIFT) as u16
    }

    pub(crate) fn set_replication(&mut self, replication: u16) {
        self.header &= (1 << REPLICATION_SHIFT) - 1;
        self.header |= u32::from(replication) << REPLICATION_SHIFT;
    }

    pub(crate) fn block_shape(&self) -> BlockShape {
        match (self.header >> BLOCKS_SHIFT) & 0b11 {
            0 => BlockShape::None,
            1 => BlockShape::One,
            _ => BlockShape::Many,
        }
    }

    pub(crate) fn set_block_shape(&mut self, shape: BlockShape) {
        self.header &= !(0b11 << BLOCKS_SHIFT);
        self.header |= (shape as u32) << BLOCKS_SHIFT;
    }

    /// The word whose meaning depends on kind and shape.
    pub(crate) fn data(&self) -> u64 {
        u64::from(self.data[0]) | (u64::from(self.data[1]) << 32)
    }

    pub(crate) fn set_data(&mut self, data: u64) {
        self.data = [data as u32, (data >> 32) as u32];
    }
}

/// All inodes.
#[derive(Debug, Default)]
pub(crate) struct Arena {
    chunks: Vec<Vec<Inode>>,
    free: Option<Slot>,
    used: usize,
}

impl Arena {
    pub(crate) fn get(&self, slot: Slot) -> &Inode {
        &self.chunks[slot.0 as usize / CHUNK][slot.0 as usize % CHUNK]
    }

    pub(crate) fn get_mut(&mut self, slot: Slot) -> &mut Inode {
        &mut self.chunks[slot.0 as usize / CHUNK][slot.0 as usize % CHUNK]
    }

    /// Inodes in use.
    pub(crate) fn len(&self) -> usize {
        self.used
    }

    pub(crate) fn insert(&mut self, inode: Inode) -> Slot {
        self.used += 1;
        if let Some(slot) = self.free {
            self.free = self.get(slot).parent();
            *self.get_mut(slot) = inode;
            return slot;
        }
        if self.chunks.last().is_none_or(|chunk| chunk.len() == CHUNK) {
            self.chunks.push(Vec::with_capacity(CHUNK));
        }
        let chunk_index = self.chunks.len() - 1;
        let chunk = &mut self.chunks[chunk_index];
        chunk.push(inode);
        Slot((chunk_index * CHUNK + chunk.len() - 1) as u32)
    }

    pub(crate) fn remove(&mut self, slot: Slot) {
        self.used -= 1;
        let free = self.free;
        let inode = self.get_mut(slot);
        inode.header = KIND_FREE;
        inode.set_parent(free);
        self.free = Some(slot);
    }

    /// Every inode in slot order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (Slot, &Inode)> {
        let all = self.chunks.iter().flatten().enumerate();
        all.filter(|(_, inode)| inode.header & KIND_BITS != KIND_FREE)
            .map(|(index, inode)| (Slot(index as u32), inode))
    }

    /// Bytes held.
    pub(crate) fn memory(&self) -> usize {
        self.chunks.iter().map(|chunk| chunk.capacity() * size_of::<Inode>()).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_numbers_keep_their_sign() {
        for value in [0, 1, -1, 65_535, 65_536, 1_795_216_823_686, Short::LIMIT, -Short::LIMIT] {
            assert_eq!(Short::new(value).value(), value);
        }
        assert_eq!(Short::new(i64::MAX).value(), Short::LIMIT);
    }

    #[test]
    fn header_fields_do_not_touch_each_other() {
        let mut inode = Inode::new(Kind::File, 16_386, 7, 12);
        inode.set_replication(512);
        inode.set_policy(15);
        inode.set_block_shape(BlockShape::Many);
        inode.set(Mark::Open, true);
        inode.set(Mark::Striped, true);
        inode.set(Mark::Striped, false);
        inode.set_data(u64::MAX - 1);
        assert_eq!(inode.kind(), Kind::File);
        assert_eq!((inode.replication(), inode.policy()), (512, 15));
        assert_eq!(inode.block_shape(), BlockShape::Many);
        assert!(inode.has(Mark::Open) && !inode.has(Mark::Striped));
        assert_eq!(inode.data(), u64::MAX - 1);
    }

    #[test]
    fn freed_slots_are_used_again() {
        let mut arena = Arena::default();
        let slots: Vec<_> =
            (0..3).map(|id| arena.insert(Inode::new(Kind::File, id, 0, 0))).collect();
        arena.remove(slots[1]);
        arena.remove(slots[0]);
        assert_eq!(arena.iter().count(), 1);
        assert_eq!(arena.insert(Inode::new(Kind::File, 9, 0, 0)), slots[0]);
        assert_eq!(arena.insert(Inode::new(Kind::File, 9, 0, 0)), slots[1]);
        assert_eq!(arena.insert(Inode::new(Kind::File, 9, 0, 0)), Slot(3));
    }
}
