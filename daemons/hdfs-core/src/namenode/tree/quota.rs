//! Quotas and the running counts they are compared with. Only directories with a quota keep counts;
//! the root always does.

use hdfs_disk::types::StorageType;

use super::Tree;
use super::arena::{Mark, Slot};

/// What something takes up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Usage {
    /// Files, directories and links.
    pub(crate) names: i64,
    /// Bytes times replication.
    pub(crate) space: i64,
}

impl std::ops::Neg for Usage {
    type Output = Self;
    fn neg(self) -> Self {
        Self { names: -self.names, space: -self.space }
    }
}

impl std::ops::AddAssign for Usage {
    fn add_assign(&mut self, other: Self) {
        self.names += other.names;
        self.space += other.space;
    }
}

/// A directory's limits (-1 is none) and what is used below it, itself included.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Quota {
    pub(crate) namespace: i64,
    pub(crate) space: i64,
    /// By [`StorageType::ordinal`].
    pub(crate) types: [i64; StorageType::ALL.len()],
    pub(crate) used: Usage,
}

impl Default for Quota {
    fn default() -> Self {
        Self { namespace: -1, space: -1, types: [-1; 6], used: Usage::default() }
    }
}

impl Quota {
    /// Does it limit anything?
    pub(crate) fn is_set(&self) -> bool {
        self.namespace >= 0 || self.space >= 0 || self.types.iter().any(|&limit| limit >= 0)
    }
}

/// A quota that a change would exceed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exceeded {
    /// Of this directory: the limit and what it would come to.
    Names(Slot, i64, i64),
    /// The same in bytes.
    Space(Slot, i64, i64),
}

fn is_violated(limit: i64, used: i64, more: i64) -> bool {
    limit >= 0 && more > 0 && used > limit.saturating_sub(more)
}

impl Tree {
    pub(crate) fn quota(&self, directory: Slot) -> Option<&Quota> {
        if !self.get(directory).has(Mark::Quota) {
            return None;
        }
        self.quotas.get(&directory.0)
    }

    pub(crate) fn set_quota(&mut self, directory: Slot, quota: Option<Quota>) {
        self.get_mut(directory).set(Mark::Quota, quota.is_some());
        match quota {
            Some(quota) => self.quotas.insert(directory.0, quota),
            None => self.quotas.remove(&directory.0),
        };
    }

    /// Sets all counts to nothing.
    pub(crate) fn clear_usage(&mut self) {
        for quota in self.quotas.values_mut() {
            quota.used = Usage::default();
        }
    }

    /// Adds to the counts of a directory and everything above it.
    pub(crate) fn charge(&mut self, directory: Option<Slot>, more: Usage) {
        let mut at = directory;
        while let Some(slot) = at {
            let inode = self.get(slot);
            at = inode.parent();
            if inode.has(Mark::Quota)
                && let Some(quota) = self.quotas.get_mut(&slot.0)
            {
                quota.used += more;
            }
        }
    }

    /// The nearest quota that so much more in `directory` would exceed, up to and without
    /// `border` (the common ancestor of a rename).
    pub(crate) fn exceeded(
        &self,
        directory: Slot,
        more: Usage,
        border: Option<Slot>,
    ) -> Option<Exceeded> {
        let mut at = Some(directory);
        while let Some(slot) = at.filter(|_| at != border) {
            if let Some(quota) = self.quota(slot) {
                let Quota { namespace, space, used, .. } = quota;
                if is_violated(*namespace, used.names, more.names) {
                    let count = used.names.saturating_add(more.names);
                    return Some(Exceeded::Names(slot, *namespace, count));
                }
                if is_violated(*space, used.space, more.space) {
                    let count = used.space.saturating_add(more.space);
                    return Some(Exceeded::Space(slot, *space, count));
                }
            }
            at = self.get(slot).parent();
        }
        None
    }
}
