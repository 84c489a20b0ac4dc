//! The map of all replicas and the moves between their states. A move that changes files comes in
//! two halves: the first takes hold of the replica and says what to do on disk, the second (after
//! the files moved) makes the new state visible. What a move may be asked for is in `stages` and
//! `recovery`.

use std::collections::HashMap;

use hdfs_wire::{Exception, Fault};

use super::replica::{Block, Replica, State, VolumeIndex, WriterId};

/// Why a replica cannot be had.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// Another writer holds it: stop that one, wait for it, ask again.
    Busy(WriterId),
    /// It is against the rules; the fault says which.
    Fault(Fault),
}

impl Refusal {
    pub(super) fn new(exception: Exception, message: impl Into<String>) -> Self {
        Self::Fault(Fault::new(exception, message))
    }
}

/// The writer lost its replica: somebody stopped it, or the replica is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stopped;

/// What a restart found twice and must delete: the block as on disk, where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Duplicate {
    /// The block id.
    pub id: i64,
    /// The replica that loses.
    pub replica: Replica,
}

/// All replicas of one block pool on this datanode.
#[derive(Debug)]
pub struct Replicas {
    pub(super) pool: String,
    pub(super) map: HashMap<i64, Replica>,
    last_writer: u64,
}

impl Replicas {
    /// No replicas yet of a block pool.
    pub fn new(pool: impl Into<String>) -> Self {
        Self { pool: pool.into(), map: HashMap::new(), last_writer: 0 }
    }

    /// The block pool's id.
    pub fn pool(&self) -> &str {
        &self.pool
    }

    /// How many replicas, those under construction included.
    pub fn len(&self) -> usize {
        self.map.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.map.is_empty()
    }

    /// A replica that is not being deleted.
    pub fn find(&self, id: i64) -> Option<&Replica> {
        self.map.get(&id).filter(|replica| !replica.live().is_some_and(|live| live.doomed))
    }

    /// All replicas that are not being deleted, in no order.
    pub fn iter(&self) -> impl Iterator<Item = (i64, &Replica)> {
        self.map
            .iter()
            .filter(|(_, replica)| !replica.live().is_some_and(|live| live.doomed))
            .map(|(id, replica)| (*id, replica))
    }

    /// A fault in the words of Hadoop's datanode for a replica that is not there.
    pub fn not_found(&self, block: Block) -> Fault {
        Fault::new(
            Exception::ReplicaNotFound,
            format!(
                "Replica not found for {}:{block}. The block may have been removed recently by \
                 the balancer or by intentionally reducing the replication factor.",
                self.pool
            ),
        )
    }

    /// Adds what a scan found. Of two replicas of one block the larger stamp stays, then the
    /// longer one, then the one on the earlier volume; the other is returned, to be deleted. One
    /// that something happens to always stays.
    pub fn load(&mut self, id: i64, found: Replica) -> Option<Duplicate> {
        let Some(known) = self.map.get_mut(&id) else {
            self.map.insert(id, found);
            return None;
        };
        let rank =
            |replica: &Replica| (replica.stamp, replica.length, std::cmp::Reverse(replica.volume));
        let is_idle = known.live.is_none();
        let loser = if is_idle && rank(&found) > rank(known) {
            std::mem::replace(known, found)
        } else {
            found
        };
        Some(Duplicate { id, replica: loser })
    }

    /// Who holds replicas of a volume.
    pub fn writers_on(&self, volume: VolumeIndex) -> Vec<WriterId> {
        let there = self.map.values().filter(|replica| replica.volume == volume);
        there.filter_map(Replica::writer).collect()
    }

    /// Forgets all replicas of a volume that is not used any more and says how many there were.
    pub fn forget_volume(&mut self, volume: VolumeIndex) -> usize {
        let before = self.map.len();
        self.map.retain(|_, replica| replica.volume != volume);
        before - self.map.len()
    }

    pub(super) fn next_writer(&mut self) -> WriterId {
        self.last_writer += 1;
        WriterId(self.last_writer)
    }

    /// The replica, if this writer still holds it.
    pub(super) fn held(&mut self, id: i64, writer: WriterId) -> Result<&mut Replica, Stopped> {
        self.map.get_mut(&id).filter(|replica| replica.writer() == Some(writer)).ok_or(Stopped)
    }

    /// Takes a replica away from its writer, which learns of it at its next step. To be called
    /// when the writer has been told to stop; the files are free when it has released them.
    pub fn is_held(&self, id: i64, writer: WriterId) -> bool {
        self.map.get(&id).is_some_and(|replica| replica.writer() == Some(writer))
    }

    /// A move to RBW or TEMPORARY is done on disk: the replica has this stamp and length, all of
    /// it acknowledged.
    ///
    /// # Errors
    /// The writer lost the replica.
    pub fn opened(
        &mut self,
        id: i64,
        writer: WriterId,
        stamp: u64,
        length: u64,
    ) -> Result<(), Stopped> {
        let replica = self.held(id, writer)?;
        if replica.state != State::Temporary {
            replica.state = State::Rbw;
        }
        replica.stamp = stamp;
        replica.length = length;
        replica.live_mut().acked = length;
        Ok(())
    }

    /// Bytes are on disk up to `length`; `tail` is the checksum of the last chunk if that is
    /// partial.
    ///
    /// # Errors
    /// The writer lost the replica and must not touch its files again.
    pub fn received(
        &mut self,
        id: i64,
        writer: WriterId,
        length: u64,
        tail: Option<[u8; 4]>,
    ) -> Result<(), Stopped> {
        let replica = self.held(id, writer)?;
        replica.length = length;
        replica.live_mut().tail = tail;
        Ok(())
    }

    /// This node and all after it have the bytes up to `length`. The map never believes more than
    /// is on disk here.
    ///
    /// # Errors
    /// The writer lost the replica.
    pub fn acked(&mut self, id: i64, writer: WriterId, length: u64) -> Result<(), Stopped> {
        let replica = self.held(id, writer)?;
        let acked = length.min(replica.length);
        let live = replica.live_mut();
        live.acked = live.acked.max(acked);
        Ok(())
    }

    /// The files are in their final folder: the replica is FINALIZED and nobody holds it.
    ///
    /// # Errors
    /// The writer lost the replica.
    pub fn finalized(&mut self, id: i64, writer: WriterId) -> Result<Block, Stopped> {
        let replica = self.held(id, writer)?;
        replica.state = State::Finalized;
        replica.live = None;
        Ok(replica.block(id))
    }

    /// A pipeline transfer is complete: the copy is a replica under construction, held by nobody,
    /// all of it acknowledged.
    ///
    /// # Errors
    /// The writer lost the replica.
    pub fn converted(&mut self, id: i64, writer: WriterId) -> Result<Block, Stopped> {
        let replica = self.held(id, writer)?;
        let length = replica.length;
        replica.state = State::Rbw;
        let live = replica.live_mut();
        live.acked = length;
        live.writer = None;
        Ok(replica.block(id))
    }

    /// The writer is done with the replica, whatever state it is in. Nothing happens if it has lost
    /// it already.
    pub fn release(&mut self, id: i64, writer: WriterId) {
        let Ok(replica) = self.held(id, writer) else { return };
        if replica.state == State::Rbw || replica.state == State::Rur {
            replica.live_mut().writer = None;
        } else {
            replica.live = None;
        }
    }

    /// The writer's replica is gone from disk, or never came to be.
    pub fn dropped(&mut self, id: i64, writer: WriterId) {
        if self.held(id, writer).is_ok() {
            self.map.remove(&id);
        }
    }

    /// Takes hold of a replica in order to delete it: the namenode's INVALIDATE. Says which files
    /// to remove; [`Replicas::dropped`] is the second half. None if there is no such replica.
    ///
    /// # Errors
    /// Busy; or the replica is newer than the order, which then is about an old one.
    pub fn doom(&mut self, block: Block) -> Result<Option<(WriterId, Replica)>, Refusal> {
        let writer = self.next_writer();
        let Some(replica) = self.map.get_mut(&block.id) else { return Ok(None) };
        if replica.live().is_some_and(|live| live.doomed) {
            return Ok(None);
        }
        if replica.stamp > block.stamp {
            return Err(Refusal::new(
                Exception::Io,
                format!(
                    "Failed to delete replica {block}: GenerationStamp not matched, existing \
                     replica is {}",
                    replica.block(block.id)
                ),
            ));
        }
        if let Some(holder) = replica.writer() {
            return Err(Refusal::Busy(holder));
        }
        let found = replica.clone();
        let live = replica.live_mut();
        live.writer = Some(writer);
        live.doomed = true;
        Ok(Some((writer, found)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_two_replicas_the_better_one_stays() {
        let mut map = Replicas::new("BP-1");
        assert_eq!(map.load(1, Replica::new(State::Finalized, 5, 10, 0)), None);
        let older = map.load(1, Replica::new(State::Finalized, 4, 99, 1)).expect("a duplicate");
        assert_eq!((older.replica.stamp, older.replica.volume), (4, 1));
        let shorter = map.load(1, Replica::new(State::Finalized, 5, 11, 1)).expect("a duplicate");
        assert_eq!(shorter.replica.volume, 0);
        let later = map.load(1, Replica::new(State::Finalized, 5, 11, 2)).expect("a duplicate");
        assert_eq!(later.replica.volume, 2);
        assert_eq!(map.find(1).map(|replica| replica.volume), Some(1));
    }

    #[test]
    fn a_doomed_replica_is_invisible_but_blocks_its_id() {
        let mut map = Replicas::new("BP-1");
        map.load(1, Replica::new(State::Finalized, 5, 10, 0));
        let block = Block { id: 1, stamp: 4, length: 0 };
        assert!(matches!(map.doom(block), Err(Refusal::Fault(_))), "an order about an older one");
        let (writer, found) =
            map.doom(Block { stamp: 5, ..block }).expect("allowed").expect("there");
        assert_eq!(found.state, State::Finalized);
        assert_eq!(map.find(1), None);
        assert_eq!(map.len(), 1);
        map.dropped(1, writer);
        assert!(map.is_empty());
    }
}
