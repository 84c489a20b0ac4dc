//! Sending a block: packets of data with its stored checksums, several of them built in one reused
//! buffer and sent with one call. The data is not checked here; whoever receives it does.

use std::io::{self, IoSliceMut, Write};

use hdfs_core::datanode::Block;
use hdfs_core::datanode::files::Checksum;
use hdfs_wire::Fault;
use hdfs_wire::checksum::{CHECKSUM_LEN, ChecksumKind};
use hdfs_wire::transfer::{PACKET_HEADER_LEN_MAX, PREFIX_LEN, PacketHeader};

use super::pace::Pace;
use crate::reading::Reading;

/// Bytes of data in a full packet, as Java's datanodes send.
const PACKET_DATA_LEN: usize = 64 * 1024;

/// Packets that are built before they are sent: enough to make calls cheap, small enough for the
/// processor's cache.
const PACKETS_AT_ONCE: usize = 4;

/// Chunk size that is announced when no checksums are sent.
const CHUNK_SIZE_WITHOUT_SUMS: u32 = 512;

/// A part of a replica, rounded to chunks.
pub(super) struct Sending {
    reading: Reading,
    /// What is announced; kind NULL when no checksums are sent.
    pub(super) sums: Checksum,
    /// Where the first packet begins.
    pub(super) start: u64,
    end: u64,
}

impl Sending {
    /// Rounds the range outwards to chunks.
    pub(super) fn new(
        reading: Reading,
        block: Block,
        (offset, length): (u64, u64),
        with_sums: bool,
    ) -> Result<Self, Fault> {
        let sums = if with_sums {
            reading.checksum
        } else {
            Checksum { kind: ChecksumKind::Null, chunk_size: CHUNK_SIZE_WITHOUT_SUMS }
        };
        let whole = reading.length;
        let wanted = offset.checked_add(length).filter(|wanted| *wanted <= whole);
        let Some(wanted) = wanted else {
            return Err(Fault::io(format!(
                " Offset {offset} and length {length} don't match block {block} \
                 ( blockLen {whole} )"
            )));
        };
        let size = u64::from(sums.chunk_size);
        let end = wanted.div_ceil(size).saturating_mul(size).min(whole);
        Ok(Self { reading, sums, start: offset - offset % size, end })
    }

    /// Sends all packets and the empty last one. `out` may begin with bytes to be sent first.
    /// Returns the bytes of data sent.
    ///
    /// # Errors
    /// The peer's or the disk's; the stream is then of no use.
    pub(super) fn run(
        &self,
        output: &mut impl Write,
        out: &mut Vec<u8>,
        pace: Option<&Pace>,
    ) -> Result<u64, SendError> {
        let size = self.sums.chunk_size as usize;
        let full = (PACKET_DATA_LEN / size).max(1) * size;
        let (mut offset, mut seqno) = (self.start, 0);
        let mut stored = Vec::new();
        while offset < self.end {
            let batch = (self.end - offset).min((full * PACKETS_AT_ONCE) as u64);
            let batch = usize::try_from(batch).unwrap_or(full);
            if self.sums.kind != ChecksumKind::Null {
                let first = offset / size as u64;
                let end = offset + batch as u64;
                self.reading.sums(first, end, &mut stored).map_err(SendError::Disk)?;
            }
            self.build(out, (offset, batch), full, &mut seqno, &stored)?;
            offset += batch as u64;
            if offset < self.end {
                output.write_all(out).map_err(SendError::Peer)?;
                out.clear();
            }
            if let Some(pace) = pace {
                pace.spend(batch);
            }
        }
        let last = PacketHeader {
            offset_in_block: offset.cast_signed(),
            seqno,
            last: true,
            ..Default::default()
        };
        last.encode(0, out);
        output.write_all(out).map_err(SendError::Peer)?;
        out.clear();
        Ok(self.end - self.start)
    }

    /// Appends the packets of one batch: first all headers and checksums with gaps, then the data
    /// with one read into the gaps.
    fn build(
        &self,
        out: &mut Vec<u8>,
        (offset, batch): (u64, usize),
        full: usize,
        seqno: &mut i64,
        stored: &[u8],
    ) -> Result<(), SendError> {
        let per_packet = full / self.sums.chunk_size as usize * CHECKSUM_LEN;
        let packets = batch.div_ceil(full);
        out.reserve(batch + stored.len() + packets * (PREFIX_LEN + PACKET_HEADER_LEN_MAX));
        let mut stored = stored.chunks(per_packet);
        let (mut gaps, mut sent) = ([0; PACKETS_AT_ONCE], 0);
        let begin = out.len();
        for gap in gaps.iter_mut().take(packets) {
            let data_len = full.min(batch - sent);
            let sums = stored.next().unwrap_or_default();
            let header = PacketHeader {
                offset_in_block: (offset + sent as u64).cast_signed(),
                seqno: *seqno,
                data_len,
                ..Default::default()
            };
            header.encode(sums.len(), out);
            out.extend_from_slice(sums);
            *gap = out.len() - begin;
            out.resize(out.len() + data_len, 0);
            sent += data_len;
            *seqno += 1;
        }
        let mut slices: [IoSliceMut<'_>; PACKETS_AT_ONCE] =
            std::array::from_fn(|_| IoSliceMut::new(&mut []));
        let (mut rest, mut at, mut left) = (&mut out[begin..], 0, batch);
        for (slice, gap) in slices.iter_mut().zip(gaps).take(packets) {
            let (_, tail) = std::mem::take(&mut rest).split_at_mut(gap - at);
            let data_len = full.min(left);
            let (data, tail) = tail.split_at_mut(data_len);
            *slice = IoSliceMut::new(data);
            (rest, at, left) = (tail, gap + data_len, left - data_len);
        }
        self.fill(&mut slices[..packets], offset, batch).map_err(SendError::Disk)
    }

    fn fill(
        &self,
        mut slices: &mut [IoSliceMut<'_>],
        mut offset: u64,
        mut left: usize,
    ) -> io::Result<()> {
        while left > 0 {
            match rustix::io::preadv(&self.reading.data, slices, offset) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(count) => {
                    IoSliceMut::advance_slices(&mut slices, count);
                    offset += count as u64;
                    left -= count;
                }
                Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }
}

/// Whose fault it is that sending stopped.
#[derive(Debug, thiserror::Error)]
pub(super) enum SendError {
    /// The replica cannot be read.
    #[error("reading the replica: {0}")]
    Disk(#[source] io::Error),
    /// The peer took no more: for a reader that has enough, the normal end.
    #[error("sending to the peer: {0}")]
    Peer(#[source] io::Error),
}
