//! Packets of block data.
//!
//! ```text
//! int32  PLEN   4 + checksum bytes + data bytes (counts itself, not HLEN and header)
//! uint16 HLEN   25, or 27 with syncBlock
//! header        09 offsetInBlock(8) 11 seqno(8) 18 last(1) 25 dataLen(4) [28 01]; numbers
//! little-endian
//! checksums     PLEN - 4 - dataLen bytes
//! data          dataLen bytes
//! ```

use bytes::BufMut;

use crate::fields::{Malformed, walk};

/// Bytes of PLEN and HLEN.
pub const PREFIX_LEN: usize = 6;

/// PLEN and HLEN together at most (`dfs.data.transfer.max.packet.size`), in bytes.
pub const PACKET_LEN_MAX: usize = 16 * 1024 * 1024;

/// Bytes of the longest header a sender of this version writes.
pub const PACKET_HEADER_LEN_MAX: usize = 27;

/// Bytes of the shortest packet that any reader accepts as header: room for fields a later version
/// may add, small enough for a buffer on the stack.
const HEADER_ACCEPTED_MAX: usize = 256;

/// Sequence number of a packet that only keeps the connection alive.
pub const HEARTBEAT_SEQNO: i64 = -1;

/// Sequence number of an ack out of turn (restart of a datanode).
pub const OOB_SEQNO: i64 = -2;

/// A packet that no Hadoop peer sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadPacket {
    /// PLEN or HLEN outside what is allowed.
    #[error("packet with impossible lengths: PLEN {packet}, HLEN {header}")]
    Length {
        /// PLEN as it came.
        packet: i32,
        /// HLEN as it came.
        header: u16,
    },
    /// The header is not the protobuf it should be.
    #[error("packet header cannot be decoded")]
    Header,
    /// dataLen is negative or more than the packet holds.
    #[error("packet of PLEN {packet} claims {data} bytes of data")]
    DataLength {
        /// PLEN.
        packet: usize,
        /// dataLen as it came.
        data: i32,
    },
}

/// PLEN and HLEN, checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PacketPrefix {
    /// Bytes of the header that follows.
    pub header_len: usize,
    /// Bytes of checksums and data after the header.
    pub body_len: usize,
}

impl PacketPrefix {
    /// Reads and checks the first six bytes of a packet.
    ///
    /// # Errors
    /// The two lengths are impossible, or together larger than `max` ([`PACKET_LEN_MAX`] unless
    /// configured).
    pub fn decode(bytes: [u8; PREFIX_LEN], max: usize) -> Result<Self, BadPacket> {
        let [a, b, c, d, e, f] = bytes;
        let (packet, header) = (i32::from_be_bytes([a, b, c, d]), u16::from_be_bytes([e, f]));
        let bad = BadPacket::Length { packet, header };
        let header_len = usize::from(header);
        let packet_len = usize::try_from(packet).map_err(|_| bad)?;
        let fits = packet_len.saturating_add(header_len) <= max;
        if !fits || header_len > HEADER_ACCEPTED_MAX {
            return Err(bad);
        }
        Ok(Self { header_len, body_len: packet_len.checked_sub(4).ok_or(bad)? })
    }
}

/// The header of one packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PacketHeader {
    /// Where the data begins in the block, in bytes.
    pub offset_in_block: i64,
    /// 0, 1, 2, ..., or [`HEARTBEAT_SEQNO`].
    pub seqno: i64,
    /// The block ends with this packet, which has no data.
    pub last: bool,
    /// Bytes of data.
    pub data_len: usize,
    /// The data must be on disk before the ack (hsync).
    pub sync: bool,
}

impl PacketHeader {
    /// Bytes of PLEN, HLEN and the encoded header.
    pub const fn encoded_len(&self) -> usize {
        PREFIX_LEN + if self.sync { 27 } else { 25 }
    }

    /// Appends PLEN, HLEN and header of a packet with so many bytes of checksums.
    ///
    /// # Panics
    /// The packet would have 2 GiB or more; senders stay below [`PACKET_LEN_MAX`].
    pub fn encode(&self, checksums_len: usize, out: &mut impl BufMut) {
        let packet = 4 + checksums_len + self.data_len;
        out.put_i32(i32::try_from(packet).expect("a packet is at most 16 MiB"));
        out.put_u16((self.encoded_len() - PREFIX_LEN) as u16);
        out.put_u8(0x09);
        out.put_i64_le(self.offset_in_block);
        out.put_u8(0x11);
        out.put_i64_le(self.seqno);
        out.put_slice(&[0x18, u8::from(self.last), 0x25]);
        out.put_i32_le(self.data_len as i32);
        if self.sync {
            out.put_slice(&[0x28, 1]);
        }
    }

    /// Reads the header that came behind `prefix`, and checks it against the packet's length.
    ///
    /// # Errors
    /// The header is malformed, or its data does not fit the packet.
    pub fn decode(prefix: PacketPrefix, bytes: &[u8]) -> Result<Self, BadPacket> {
        let (mut header, mut seen, mut data) = (Self::default(), 0u32, 0i32);
        let walked = walk(bytes, |number, value| {
            match number {
                1 => header.offset_in_block = value.fixed64()? as i64,
                2 => header.seqno = value.fixed64()? as i64,
                3 => header.last = value.varint()? != 0,
                4 => data = value.fixed32()? as i32,
                5 => header.sync = value.varint()? != 0,
                _ => return Ok(()),
            }
            seen |= 1 << number;
            Ok(())
        });
        const REQUIRED: u32 = 0b1_1110;
        if walked == Err(Malformed) || seen & REQUIRED != REQUIRED {
            return Err(BadPacket::Header);
        }
        let fits = usize::try_from(data).ok().filter(|&data| data <= prefix.body_len);
        let bad = BadPacket::DataLength { packet: prefix.body_len + 4, data };
        header.data_len = fits.ok_or(bad)?;
        Ok(header)
    }

    /// Bytes of checksums in a packet with this header.
    pub const fn checksums_len(&self, prefix: PacketPrefix) -> usize {
        prefix.body_len - self.data_len
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn prefix_of(bytes: &[u8]) -> PacketPrefix {
        PacketPrefix::decode(*bytes.first_chunk().unwrap(), PACKET_LEN_MAX).unwrap()
    }

    /// The two packets of a Java client that wrote 700 bytes.
    #[test]
    fn bytes_of_a_java_client() {
        let data = PacketHeader { data_len: 700, ..Default::default() };
        let mut bytes = Vec::new();
        data.encode(8, &mut bytes);
        let mut expected = vec![0, 0, 2, 0xc8, 0, 0x19, 9, 0, 0, 0, 0, 0, 0, 0, 0, 0x11];
        expected.extend([0, 0, 0, 0, 0, 0, 0, 0, 0x18, 0, 0x25, 0xbc, 2, 0, 0]);
        assert_eq!(bytes, expected);
        let prefix = prefix_of(&bytes);
        assert_eq!(prefix, PacketPrefix { header_len: 25, body_len: 708 });
        let header = PacketHeader::decode(prefix, &bytes[PREFIX_LEN..]).unwrap();
        assert_eq!((header, header.checksums_len(prefix)), (data, 8));

        let last = PacketHeader { offset_in_block: 700, seqno: 1, last: true, ..data };
        let mut bytes = Vec::new();
        PacketHeader { data_len: 0, ..last }.encode(0, &mut bytes);
        assert_eq!(bytes[..9], [0, 0, 0, 4, 0, 0x19, 9, 0xbc, 2]);
        assert_eq!(bytes[25..], [1, 0x25, 0, 0, 0, 0]);
    }

    #[test]
    fn impossible_lengths_are_refused() {
        for (packet, header) in [(3, 25), (-1, 25), (4, 257), (i32::MAX, 25), (16 << 20, 25)] {
            let mut bytes = [0; PREFIX_LEN];
            bytes[..4].copy_from_slice(&i32::to_be_bytes(packet));
            bytes[4..].copy_from_slice(&u16::to_be_bytes(header));
            let bad = PacketPrefix::decode(bytes, PACKET_LEN_MAX);
            assert_eq!(bad, Err(BadPacket::Length { packet, header }));
        }
        let mut bytes = Vec::new();
        PacketHeader { data_len: 9, ..Default::default() }.encode(0, &mut bytes);
        let small = PacketPrefix { header_len: 25, body_len: 8 };
        let bad = PacketHeader::decode(small, &bytes[PREFIX_LEN..]);
        assert_eq!(bad, Err(BadPacket::DataLength { packet: 12, data: 9 }));
        assert_eq!(PacketHeader::decode(small, &[]), Err(BadPacket::Header));
    }

    proptest! {
        #[test]
        fn headers_return(
            offset_in_block: i64, seqno: i64, last: bool, sync: bool,
            data_len in 0usize..1 << 20, sums in 0usize..1 << 13,
        ) {
            let header = PacketHeader { offset_in_block, seqno, last, data_len, sync };
            let mut bytes = Vec::new();
            header.encode(sums, &mut bytes);
            prop_assert_eq!(bytes.len(), header.encoded_len());
            let prefix = prefix_of(&bytes);
            let read = PacketHeader::decode(prefix, &bytes[PREFIX_LEN..]).unwrap();
            prop_assert_eq!((read, read.checksums_len(prefix)), (header, sums));
        }

        #[test]
        fn any_bytes_are_no_panic(start: [u8; PREFIX_LEN], header: Vec<u8>) {
            let prefix = PacketPrefix::decode(start, PACKET_LEN_MAX);
            let read = prefix.and_then(|prefix| {
                Ok(PacketHeader::decode(prefix, &header)?.checksums_len(prefix))
            });
            prop_assert!(read.unwrap_or_default() <= PACKET_LEN_MAX);
        }
    }
}
