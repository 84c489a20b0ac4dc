//! Cutting packets out of a stream, from one buffer that is reused for all of them. The buffer
//! grows only with bytes that have arrived.

use std::io::{self, Read};

use hdfs_wire::transfer::{BadPacket, PACKET_LEN_MAX, PREFIX_LEN, PacketHeader, PacketPrefix};

/// First size: the two packets of a small block fit.
const BUFFER_LEN_FIRST: usize = 16 * 1024;

/// The size at which growing pays no more, unless a single packet is larger: a few packets of the
/// usual 64 KiB come with one read.
const BUFFER_LEN_USUAL: usize = 256 * 1024;

/// One packet inside the reader's buffer.
pub(super) struct Packet<'a> {
    pub(super) header: PacketHeader,
    /// All bytes as they came.
    pub(super) whole: &'a [u8],
    pub(super) sums: &'a [u8],
    pub(super) data: &'a [u8],
}

/// Reads packets from a stream.
pub(super) struct PacketReader {
    buffer: Vec<u8>,
    start: usize,
    end: usize,
}

impl PacketReader {
    /// A reader that begins with bytes already read.
    pub(super) fn new(rest: &[u8]) -> Self {
        let mut buffer = vec![0; BUFFER_LEN_FIRST.max(rest.len())];
        buffer[..rest.len()].copy_from_slice(rest);
        Self { buffer, start: 0, end: rest.len() }
    }

    /// Whether a whole packet has already been read.
    pub(super) fn has_packet(&self) -> bool {
        let held = &self.buffer[self.start..self.end];
        let Some(prefix) = held.first_chunk::<PREFIX_LEN>() else { return false };
        PacketPrefix::decode(*prefix, PACKET_LEN_MAX)
            .is_ok_and(|prefix| held.len() >= PREFIX_LEN + prefix.header_len + prefix.body_len)
    }

    /// The next packet. `UnexpectedEof` also when the stream ends between packets: a block ends
    /// with its last packet, never with the stream.
    pub(super) fn next(&mut self, input: &mut impl Read) -> io::Result<Packet<'_>> {
        self.fill(input, PREFIX_LEN)?;
        let mut prefix = [0; PREFIX_LEN];
        prefix.copy_from_slice(&self.buffer[self.start..self.start + PREFIX_LEN]);
        let prefix = PacketPrefix::decode(prefix, PACKET_LEN_MAX).map_err(bad)?;
        let length = PREFIX_LEN + prefix.header_len + prefix.body_len;
        self.fill(input, length)?;
        let whole = &self.buffer[self.start..self.start + length];
        self.start += length;
        let (head, body) = whole.split_at(PREFIX_LEN + prefix.header_len);
        let header = PacketHeader::decode(prefix, &head[PREFIX_LEN..]).map_err(bad)?;
        let (sums, data) = body.split_at(header.checksums_len(prefix));
        Ok(Packet { header, whole, sums, data })
    }

    /// Reads until so many bytes are held.
    fn fill(&mut self, input: &mut impl Read, wanted: usize) -> io::Result<()> {
        while self.end - self.start < wanted {
            self.make_room(wanted);
            match input.read(&mut self.buffer[self.end..]) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(count) => self.end += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Makes room behind the bytes that are held: moves them to the front when the packet does not
    /// fit behind them, and doubles the buffer when it is full.
    fn make_room(&mut self, wanted: usize) {
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
        }
        let is_full = self.end == self.buffer.len();
        if self.start > 0 && (is_full || self.start + wanted > self.buffer.len()) {
            self.buffer.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.end - self.start);
            return;
        }
        // A stream that fills half of a small buffer goes on; a promise alone never counts.
        let is_busy = self.buffer.len() < BUFFER_LEN_USUAL && self.end > self.buffer.len() / 2;
        if is_full || wanted > PREFIX_LEN && is_busy {
            self.buffer.resize(self.buffer.len() * 2, 0);
        }
    }
}

fn bad(error: BadPacket) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A stream that gives a few bytes at a time.
    struct Drip<'a>(&'a [u8], usize);

    impl Read for Drip<'_> {
        fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
            let count = self.1.min(into.len()).min(self.0.len());
            into[..count].copy_from_slice(&self.0[..count]);
            self.0 = &self.0[count..];
            Ok(count)
        }
    }

    fn stream(sizes: &[usize]) -> Vec<u8> {
        let mut bytes = Vec::new();
        for (seqno, &data_len) in sizes.iter().enumerate() {
            let header = PacketHeader { seqno: seqno as i64, data_len, ..Default::default() };
            header.encode(4, &mut bytes);
            bytes.extend([9; 4]);
            bytes.extend(vec![seqno as u8; data_len]);
        }
        bytes
    }

    #[test]
    fn packets_of_all_sizes_come_out_of_any_pieces() {
        let sizes = [0, 1, 700, 64512, 64512, 64512, 64512, 1_000_000, 5, 64512];
        let bytes = stream(&sizes);
        for step in [1, 7, 4096, 65536, usize::MAX] {
            let mut input = Drip(&bytes, step);
            let mut reader = PacketReader::new(&[]);
            for (seqno, size) in sizes.iter().enumerate() {
                let packet = reader.next(&mut input).expect("a packet");
                assert_eq!((packet.header.seqno, packet.data.len()), (seqno as i64, *size));
                assert!(packet.data.iter().all(|byte| *byte == seqno as u8));
                assert_eq!(packet.sums, [9; 4]);
            }
            let end = reader.next(&mut input).map(|_| ()).expect_err("the end");
            assert_eq!(end.kind(), io::ErrorKind::UnexpectedEof);
        }
    }

    #[test]
    fn a_promise_of_much_costs_little() {
        let mut promise = stream(&[15_000_000]);
        promise.truncate(1000);
        let mut reader = PacketReader::new(&promise);
        assert!(!reader.has_packet());
        assert!(reader.next(&mut io::empty()).is_err());
        assert!(reader.buffer.len() <= BUFFER_LEN_FIRST * 2);
    }
}
