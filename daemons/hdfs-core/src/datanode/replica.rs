//! One replica: its identity, its state, and what is known about the write or recovery under way.
//! Nothing here decides; `replicas`, `stages` and `recovery` do.

use std::fmt;

use hdfs_wire::proto::hdfs::{BlockProto, ExtendedBlockProto, ReplicaStateProto};

/// The states of Hadoop's wire: FINALIZED, RBW, RWR, RUR, TEMPORARY.
pub type State = ReplicaStateProto;

/// Which data folder a replica lies in: its place in `dfs.datanode.data.dir`.
pub type VolumeIndex = u16;

/// Who holds a replica. Never used twice in the life of a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct WriterId(pub u64);

/// A block as the wire names it, without its pool.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Block {
    /// The block id; negative for erasure coded groups.
    pub id: i64,
    /// The generation stamp.
    pub stamp: u64,
    /// The length in bytes; what it means depends on the call.
    pub length: u64,
}

impl From<&ExtendedBlockProto> for Block {
    fn from(block: &ExtendedBlockProto) -> Self {
        Self {
            id: block.block_id.cast_signed(),
            stamp: block.generation_stamp,
            length: block.num_bytes.unwrap_or(0),
        }
    }
}

impl From<&BlockProto> for Block {
    fn from(block: &BlockProto) -> Self {
        Self {
            id: block.block_id.cast_signed(),
            stamp: block.gen_stamp,
            length: block.num_bytes.unwrap_or(0),
        }
    }
}

impl From<Block> for BlockProto {
    fn from(block: Block) -> Self {
        Self {
            block_id: block.id.cast_unsigned(),
            gen_stamp: block.stamp,
            num_bytes: Some(block.length),
        }
    }
}

impl Block {
    /// The block as the wire's extended form.
    pub fn extended(self, pool: &str) -> ExtendedBlockProto {
        ExtendedBlockProto {
            pool_id: pool.to_owned(),
            block_id: self.id.cast_unsigned(),
            generation_stamp: self.stamp,
            num_bytes: Some(self.length),
        }
    }
}

impl fmt::Display for Block {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "blk_{}_{}", self.id, self.stamp)
    }
}

/// A recovery under way on a replica.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Recovery {
    /// The generation stamp that the recovery gives; a later attempt has a larger one.
    pub id: u64,
    /// The state the replica had, which it is still reported with.
    pub was: State,
}

/// What a replica needs only while something happens to it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Live {
    /// Bytes acknowledged by this node and all after it; what readers may see.
    pub acked: u64,
    /// The checksum of the last, partial chunk on disk, for readers while it still grows.
    pub tail: Option<[u8; 4]>,
    /// Who holds the replica.
    pub writer: Option<WriterId>,
    /// The recovery, in state RUR.
    pub recovery: Option<Recovery>,
    /// Being deleted: the files may be gone already.
    pub doomed: bool,
}

/// One replica on this datanode. 32 bytes while nothing happens to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replica {
    /// The generation stamp in the name of its meta file.
    pub stamp: u64,
    /// Bytes on disk that checksums cover.
    pub length: u64,
    /// The data folder it lies in.
    pub volume: VolumeIndex,
    /// Its state.
    pub state: State,
    pub(super) live: Option<Box<Live>>,
}

impl Replica {
    /// A replica that nothing happens to.
    pub fn new(state: State, stamp: u64, length: u64, volume: VolumeIndex) -> Self {
        Self { stamp, length, volume, state, live: None }
    }

    /// What is under way, if anything.
    pub fn live(&self) -> Option<&Live> {
        self.live.as_deref()
    }

    pub(super) fn live_mut(&mut self) -> &mut Live {
        self.live.get_or_insert_default()
    }

    /// Who holds it.
    pub fn writer(&self) -> Option<WriterId> {
        self.live.as_ref().and_then(|live| live.writer)
    }

    /// The state that decides where its files lie: a replica under recovery has not moved.
    pub fn place(&self) -> State {
        match (self.state, self.live()) {
            (State::Rur, Some(Live { recovery: Some(recovery), .. })) => recovery.was,
            (state, _) => state,
        }
    }

    /// Bytes acknowledged through the whole pipeline.
    pub fn acked(&self) -> u64 {
        match (self.place(), self.live()) {
            (State::Rbw, Some(live)) => live.acked,
            _ => self.length,
        }
    }

    /// Bytes a reader may see, or none while the replica cannot be read (a copy that is still
    /// coming in, or a rest of a write that nobody has recovered yet).
    pub fn visible(&self) -> Option<u64> {
        match self.place() {
            State::Finalized | State::Rbw => Some(self.acked()),
            State::Rwr | State::Rur | State::Temporary => None,
        }
    }

    /// The replica as a block of its own stamp and length.
    pub fn block(&self, id: i64) -> Block {
        Block { id, stamp: self.stamp, length: self.length }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn idle_replica_is_small() {
        assert!(size_of::<Replica>() <= 32);
    }

    #[test]
    fn visible_length_follows_the_acks_only_while_written() {
        let mut replica = Replica::new(State::Rbw, 7, 900, 0);
        replica.live_mut().acked = 600;
        assert_eq!(replica.visible(), Some(600));
        replica.live_mut().recovery = Some(Recovery { id: 9, was: State::Rbw });
        replica.state = State::Rur;
        assert_eq!(replica.visible(), Some(600));
        assert_eq!(Replica::new(State::Finalized, 7, 900, 0).visible(), Some(900));
        assert_eq!(Replica::new(State::Rwr, 7, 900, 0).visible(), None);
    }
}
