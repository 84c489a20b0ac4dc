//! What the namenode does not know yet: replicas received and deleted since the last report.
//! RECEIVED wants out at once (a client's `complete` waits for it); RECEIVING and DELETED may wait
//! for the next heartbeat.

use std::collections::BTreeMap;

use hdfs_wire::proto::hdfs::datanode::ReceivedDeletedBlockInfoProto;
pub use hdfs_wire::proto::hdfs::datanode::received_deleted_block_info_proto::BlockStatus;

use super::replica::{Block, VolumeIndex};

/// Beyond this many entries a full report is cheaper for both sides, and the memory is bounded
/// while no namenode answers.
const ENTRIES_MAX: usize = 100_000;

/// One change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// The replica with its stamp and length.
    pub block: Block,
    /// What happened.
    pub status: BlockStatus,
    /// After a move: the datanode whose replica is to go.
    pub delete_hint: Option<String>,
}

impl From<Change> for ReceivedDeletedBlockInfoProto {
    fn from(change: Change) -> Self {
        Self {
            block: change.block.into(),
            status: change.status as i32,
            delete_hint: change.delete_hint,
        }
    }
}

/// Changes of one report, by volume.
pub type Batch = BTreeMap<VolumeIndex, Vec<Change>>;

/// The changes to report. Newer ones about a block replace older ones.
#[derive(Debug, Default)]
pub struct Queue {
    waiting: BTreeMap<(VolumeIndex, i64), Change>,
    urgent: bool,
    overflown: bool,
}

impl Queue {
    /// Nothing to report.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a change. Returns whether it should be sent at once.
    pub fn push(&mut self, volume: VolumeIndex, change: Change) -> bool {
        let urgent = change.status == BlockStatus::Received;
        if self.waiting.len() >= ENTRIES_MAX {
            self.waiting.clear();
            self.overflown = true;
        }
        self.waiting.insert((volume, change.block.id), change);
        self.urgent |= urgent;
        urgent
    }

    /// Whether something waits that should be sent at once.
    pub fn is_urgent(&self) -> bool {
        self.urgent
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Whether changes were thrown away, so that only a full report tells all. Asking resets it.
    pub fn take_overflow(&mut self) -> bool {
        std::mem::take(&mut self.overflown)
    }

    /// Takes all changes out, for one report.
    pub fn take(&mut self) -> Batch {
        self.urgent = false;
        let mut batch = Batch::new();
        for ((volume, _), change) in std::mem::take(&mut self.waiting) {
            batch.entry(volume).or_default().push(change);
        }
        batch
    }

    /// Puts a batch back that could not be sent; what is newer stays.
    pub fn put_back(&mut self, batch: Batch) {
        for (volume, changes) in batch {
            for change in changes {
                self.urgent |= change.status == BlockStatus::Received;
                self.waiting.entry((volume, change.block.id)).or_insert(change);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(id: i64, stamp: u64, status: BlockStatus) -> Change {
        Change { block: Block { id, stamp, length: 1 }, status, delete_hint: None }
    }

    #[test]
    fn newer_replaces_older_also_after_a_failure() {
        let mut queue = Queue::new();
        assert!(!queue.push(0, change(1, 10, BlockStatus::Receiving)));
        assert!(queue.push(0, change(1, 10, BlockStatus::Received)));
        queue.push(1, change(2, 10, BlockStatus::Deleted));
        let batch = queue.take();
        assert_eq!(batch.values().map(Vec::len).collect::<Vec<_>>(), [1, 1]);
        assert!(queue.is_empty() && !queue.is_urgent());
        queue.push(0, change(1, 11, BlockStatus::Deleted));
        queue.put_back(batch);
        assert!(queue.is_urgent());
        let again = queue.take();
        assert_eq!(again[&0], [change(1, 11, BlockStatus::Deleted)]);
        assert_eq!(again[&1].len(), 1);
    }

    #[test]
    fn too_many_changes_become_a_full_report() {
        let mut queue = Queue::new();
        for id in 0..=ENTRIES_MAX as i64 {
            queue.push(0, change(id, 1, BlockStatus::Deleted));
        }
        assert!(queue.take_overflow());
        assert!(!queue.take_overflow());
        assert_eq!(queue.take()[&0].len(), 1);
    }
}
