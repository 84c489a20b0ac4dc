//! What a datanode reports about its replicas, in the two forms Hadoop knows.
//!
//! ```text
//! buffers:  repeated numberOfBlocks times, all protobuf varints
//!           block id (zig-zag), bytes on disk (low 48 bits), generation stamp, state (low 4 bits)
//! legacy:   finalized count, under construction count,
//!           (id, length, stamp) per finalized, then -1 -1 -1,
//!           (id, length, stamp, state) per replica under construction; all 64-bit numbers
//! ```
//!
//! Buffers are cut into pieces at arbitrary bytes; the reader walks over the pieces as they are and
//! joins nothing. Nothing here holds more than one replica at a time.

use bytes::Bytes;

/// Bytes of one piece of a buffer report, as Java cuts it.
pub const PIECE_LEN: usize = 64 * 1024;

/// Only the low 48 bits of a reported length count.
const LENGTH_MASK: u64 = (1 << 48) - 1;

/// Only the low 4 bits of a reported state count.
const STATE_MASK: u64 = 0xf;

/// A varint has at most so many bytes.
const VARINT_LEN_MAX: usize = 10;

/// What a datanode says about the completeness of a replica.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum ReplicaState {
    /// Complete; length and stamp will not change.
    Finalized = 0,
    /// Being written (RBW).
    BeingWritten = 1,
    /// Was being written when the datanode stopped (RWR).
    WaitingToBeRecovered = 2,
    /// Under recovery (RUR).
    UnderRecovery = 3,
    /// A copy in the making; never reported.
    Temporary = 4,
}

impl ReplicaState {
    /// The state of that number, if there is one.
    pub const fn from_code(code: u64) -> Option<Self> {
        match code {
            0 => Some(Self::Finalized),
            1 => Some(Self::BeingWritten),
            2 => Some(Self::WaitingToBeRecovered),
            3 => Some(Self::UnderRecovery),
            4 => Some(Self::Temporary),
            _ => None,
        }
    }

    /// The number on the wire.
    pub const fn code(self) -> u8 {
        self as u8
    }
}

/// One replica of a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReportedReplica {
    /// Block id.
    pub id: i64,
    /// Bytes on disk.
    pub length: u64,
    /// Generation stamp.
    pub stamp: u64,
    /// How complete it is.
    pub state: ReplicaState,
}

/// A report that cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadBlockList {
    /// The bytes or numbers end inside a replica, or before the promised count.
    #[error("block list ends at replica {read} of {promised}")]
    Short {
        /// Replicas read so far.
        read: u64,
        /// Replicas the report promised.
        promised: u64,
    },
    /// A varint with more than ten bytes.
    #[error("block list has a number of more than 64 bits in replica {0}")]
    Varint(u64),
    /// A state outside the table.
    #[error("block list has the unknown replica state {state} in replica {read}")]
    State {
        /// The number that stands for no state.
        state: u64,
        /// Replicas read before it.
        read: u64,
    },
    /// The legacy list's separator is missing or its counts are negative.
    #[error("block list in the old form has no separator behind its {0} finalized replicas")]
    Separator(u64),
}

/// Reads the `blocksBuffers` of a report without joining the pieces.
#[derive(Debug, Clone)]
pub struct BufferReader<'a> {
    pieces: std::slice::Iter<'a, Bytes>,
    piece: &'a [u8],
    promised: u64,
    read: u64,
}

impl<'a> BufferReader<'a> {
    /// Reads `promised` (`numberOfBlocks`) replicas out of `pieces`. The count is never trusted for
    /// an allocation.
    pub fn new(pieces: &'a [Bytes], promised: u64) -> Self {
        Self { pieces: pieces.iter(), piece: &[], promised, read: 0 }
    }

    fn replica(&mut self) -> Result<ReportedReplica, BadBlockList> {
        let id = zig_zag(self.varint()?);
        let length = self.varint()? & LENGTH_MASK;
        let stamp = self.varint()?;
        let code = self.varint()? & STATE_MASK;
        let state = ReplicaState::from_code(code)
            .ok_or(BadBlockList::State { state: code, read: self.read })?;
        Ok(ReportedReplica { id, length, stamp, state })
    }

    fn varint(&mut self) -> Result<u64, BadBlockList> {
        let mut value = 0u64;
        for index in 0..VARINT_LEN_MAX {
            let byte = self.byte()?;
            value |= u64::from(byte & 0x7f) << (7 * index);
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(BadBlockList::Varint(self.read))
    }

    #[inline]
    fn byte(&mut self) -> Result<u8, BadBlockList> {
        loop {
            if let Some((&byte, rest)) = self.piece.split_first() {
                self.piece = rest;
                return Ok(byte);
            }
            let Some(piece) = self.pieces.next() else {
                return Err(BadBlockList::Short { read: self.read, promised: self.promised });
            };
            self.piece = piece;
        }
    }
}

impl Iterator for BufferReader<'_> {
    type Item = Result<ReportedReplica, BadBlockList>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.read >= self.promised {
            return None;
        }
        let replica = self.replica();
        self.read = if replica.is_ok() { self.read + 1 } else { self.promised };
        Some(replica)
    }
}

/// Writes a report in the buffer form, cut into pieces of [`PIECE_LEN`] bytes.
#[derive(Debug, Default)]
pub struct BufferWriter {
    pieces: Vec<Bytes>,
    piece: Vec<u8>,
    count: u64,
}

impl BufferWriter {
    /// An empty report.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds one replica.
    pub fn push(&mut self, replica: &ReportedReplica) {
        let zig_zagged = ((replica.id << 1) ^ (replica.id >> 63)) as u64;
        for mut value in
            [zig_zagged, replica.length & LENGTH_MASK, replica.stamp, replica.state.code().into()]
        {
            while value >= 0x80 {
                self.byte(value as u8 | 0x80);
                value >>= 7;
            }
            self.byte(value as u8);
        }
        self.count += 1;
    }

    /// The pieces (`blocksBuffers`) and the count (`numberOfBlocks`).
    pub fn finish(mut self) -> (Vec<Bytes>, u64) {
        if !self.piece.is_empty() {
            self.pieces.push(Bytes::from(self.piece));
        }
        (self.pieces, self.count)
    }

    #[inline]
    fn byte(&mut self, byte: u8) {
        self.piece.push(byte);
        if self.piece.len() == PIECE_LEN {
            self.pieces.push(Bytes::from(std::mem::take(&mut self.piece)));
        }
    }
}

/// Reads the legacy list of numbers.
#[derive(Debug, Clone)]
pub struct LegacyReader<'a> {
    numbers: &'a [u64],
    finalized: u64,
    promised: u64,
    read: u64,
}

impl<'a> LegacyReader<'a> {
    /// Reads `numbers`; an empty list is a report of nothing.
    ///
    /// # Errors
    /// The two counts are missing.
    pub fn new(numbers: &'a [u64]) -> Result<Self, BadBlockList> {
        match *numbers {
            [] => Ok(Self { numbers, finalized: 0, promised: 0, read: 0 }),
            [finalized, unfinished, ref rest @ ..] => {
                let promised = finalized
                    .checked_add(unfinished)
                    .ok_or(BadBlockList::Short { read: 0, promised: u64::MAX })?;
                Ok(Self { numbers: rest, finalized, promised, read: 0 })
            }
            [_] => Err(BadBlockList::Short { read: 0, promised: 0 }),
        }
    }

    fn replica(&mut self) -> Result<ReportedReplica, BadBlockList> {
        let short = BadBlockList::Short { read: self.read, promised: self.promised };
        if self.read < self.finalized {
            let [id, length, stamp] = self.take().ok_or(short)?;
            let state = ReplicaState::Finalized;
            return Ok(ReportedReplica { id: id as i64, length, stamp, state });
        }
        if self.read == self.finalized && self.take() != Some([u64::MAX; 3]) {
            return Err(BadBlockList::Separator(self.finalized));
        }
        let [id, length, stamp, code] = self.take().ok_or(short)?;
        let state = ReplicaState::from_code(code)
            .ok_or(BadBlockList::State { state: code, read: self.read })?;
        Ok(ReportedReplica { id: id as i64, length, stamp, state })
    }

    fn take<const N: usize>(&mut self) -> Option<[u64; N]> {
        let (taken, rest) = self.numbers.split_first_chunk::<N>()?;
        self.numbers = rest;
        Some(*taken)
    }
}

impl Iterator for LegacyReader<'_> {
    type Item = Result<ReportedReplica, BadBlockList>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.read >= self.promised {
            return None;
        }
        let replica = self.replica();
        self.read = if replica.is_ok() { self.read + 1 } else { self.promised };
        Some(replica)
    }
}

/// The legacy list of `replicas`: finalized ones first, as the form demands.
pub fn encode_legacy(replicas: &[ReportedReplica]) -> Vec<u64> {
    let finalized = |each: &&ReportedReplica| each.state == ReplicaState::Finalized;
    let count = replicas.iter().filter(finalized).count();
    let mut numbers = vec![count as u64, (replicas.len() - count) as u64];
    for each in replicas.iter().filter(finalized) {
        numbers.extend([each.id as u64, each.length, each.stamp]);
    }
    numbers.extend([u64::MAX; 3]);
    for each in replicas.iter().filter(|each| !finalized(each)) {
        numbers.extend([each.id as u64, each.length, each.stamp, each.state.code().into()]);
    }
    numbers
}

const fn zig_zag(value: u64) -> i64 {
    (value >> 1) as i64 ^ -((value & 1) as i64)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn replica() -> impl Strategy<Value = ReportedReplica> {
        (any::<i64>(), 0..=LENGTH_MASK, any::<u64>(), 0u64..5).prop_map(
            |(id, length, stamp, state)| ReportedReplica {
                id,
                length,
                stamp,
                state: ReplicaState::from_code(state).unwrap(),
            },
        )
    }

    #[test]
    fn bytes_of_one_replica() {
        let mut writer = BufferWriter::new();
        let state = ReplicaState::BeingWritten;
        writer.push(&ReportedReplica { id: 1_073_741_825, length: 700, stamp: 1001, state });
        let (pieces, count) = writer.finish();
        assert_eq!(count, 1);
        assert_eq!(pieces[0], [0x82, 0x80, 0x80, 0x80, 0x08, 0xbc, 5, 0xe9, 7, 1][..]);
    }

    #[test]
    fn a_promised_count_allocates_nothing_and_ends_with_the_bytes() {
        let pieces = [Bytes::from_static(&[2, 1, 1, 0])];
        let read: Vec<_> = BufferReader::new(&pieces, u64::MAX).collect();
        assert_eq!(read.len(), 2);
        assert_eq!(read[1], Err(BadBlockList::Short { read: 1, promised: u64::MAX }));
        assert_eq!(LegacyReader::new(&[u64::MAX, 0]).unwrap().count(), 1);
        assert!(LegacyReader::new(&[u64::MAX, 1]).is_err());
    }

    #[test]
    fn the_legacy_list_needs_its_separator() {
        let read: Vec<_> = LegacyReader::new(&[0, 1, 1, 2, 3, 4]).unwrap().collect();
        assert_eq!(read, [Err(BadBlockList::Separator(0))]);
        let read: Vec<_> = LegacyReader::new(&[1, 0, 1, 2, 3]).unwrap().collect();
        assert!(read[0].is_ok());
    }

    proptest! {
        #[test]
        fn buffers_return_what_was_written(
            replicas in prop::collection::vec(replica(), 0..50), cut in 1usize..20,
        ) {
            let mut writer = BufferWriter::new();
            replicas.iter().for_each(|each| writer.push(each));
            let (pieces, count) = writer.finish();
            let joined = Bytes::from(pieces.concat());
            let pieces: Vec<_> = joined.chunks(cut).map(|part| joined.slice_ref(part)).collect();
            let read: Result<Vec<_>, _> = BufferReader::new(&pieces, count).collect();
            prop_assert_eq!(read, Ok(replicas));
        }

        #[test]
        fn legacy_returns_what_was_written(replicas in prop::collection::vec(replica(), 0..50)) {
            let numbers = encode_legacy(&replicas);
            let read: Vec<_> =
                LegacyReader::new(&numbers).unwrap().collect::<Result<_, _>>().unwrap();
            prop_assert_eq!(read.len(), replicas.len());
            prop_assert!(replicas.iter().all(|each| read.contains(each)));
        }

        #[test]
        fn any_bytes_are_no_panic(pieces: Vec<Vec<u8>>, promised: u64) {
            let pieces: Vec<_> = pieces.into_iter().map(Bytes::from).collect();
            let bytes: usize = pieces.iter().map(Bytes::len).sum();
            prop_assert!(BufferReader::new(&pieces, promised).count() <= bytes / 4 + 1);
        }

        #[test]
        fn any_numbers_are_no_panic(numbers: Vec<u64>) {
            if let Ok(reader) = LegacyReader::new(&numbers) {
                prop_assert!(reader.count() <= numbers.len());
            }
        }
    }
}
