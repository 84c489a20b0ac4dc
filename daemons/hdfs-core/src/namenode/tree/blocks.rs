//! The block ids of files: none and one live inside the inode, more in a list.

use super::Tree;
use super::arena::{BlockShape, Slot};

/// A file's block ids in order.
#[derive(Debug, Clone, Copy)]
pub(crate) enum BlockIds<'a> {
    /// At most one.
    Short(Option<i64>),
    /// Two or more.
    Long(&'a [i64]),
}

impl<'a> BlockIds<'a> {
    pub(crate) fn len(self) -> usize {
        match self {
            Self::Short(id) => usize::from(id.is_some()),
            Self::Long(ids) => ids.len(),
        }
    }

    pub(crate) fn is_empty(self) -> bool {
        matches!(self, Self::Short(None))
    }

    pub(crate) fn last(self) -> Option<i64> {
        match self {
            Self::Short(id) => id,
            Self::Long(ids) => ids.last().copied(),
        }
    }

    /// The one before the last.
    pub(crate) fn penultimate(self) -> Option<i64> {
        match self {
            Self::Short(_) => None,
            Self::Long(ids) => ids.len().checked_sub(2).map(|index| ids[index]),
        }
    }

    pub(crate) fn iter(self) -> impl DoubleEndedIterator<Item = i64> + 'a {
        let (short, long) = match self {
            Self::Short(id) => (id, [].as_slice()),
            Self::Long(ids) => (None, ids),
        };
        short.into_iter().chain(long.iter().copied())
    }
}

impl Tree {
    pub(crate) fn blocks(&self, file: Slot) -> BlockIds<'_> {
        let inode = self.get(file);
        if !inode.is_file() {
            return BlockIds::Short(None);
        }
        match inode.block_shape() {
            BlockShape::None => BlockIds::Short(None),
            BlockShape::One => BlockIds::Short(Some(inode.data() as i64)),
            BlockShape::Many => BlockIds::Long(self.block_lists.get(inode.data())),
        }
    }

    pub(crate) fn set_blocks(&mut self, file: Slot, mut ids: Vec<i64>) {
        let inode = *self.get(file);
        if inode.block_shape() == BlockShape::Many {
            self.block_lists.remove(inode.data());
        }
        let (shape, data) = match ids[..] {
            [] => (BlockShape::None, 0),
            [id] => (BlockShape::One, id as u64),
            _ => {
                ids.shrink_to_fit();
                (BlockShape::Many, self.block_lists.insert(ids))
            }
        };
        let inode = self.get_mut(file);
        inode.set_block_shape(shape);
        inode.set_data(data);
    }

    pub(crate) fn push_block(&mut self, file: Slot, id: i64) {
        let inode = *self.get(file);
        if inode.block_shape() == BlockShape::Many {
            self.block_lists.get_mut(inode.data()).push(id);
        } else {
            let ids = self.blocks(file).iter().chain([id]).collect();
            self.set_blocks(file, ids);
        }
    }

    pub(crate) fn pop_block(&mut self, file: Slot) -> Option<i64> {
        let mut ids: Vec<_> = self.blocks(file).iter().collect();
        let last = ids.pop()?;
        self.set_blocks(file, ids);
        Some(last)
    }
}
