//! Checksums of block data: which kinds there are, computing them chunk by chunk, checking them.
//!
//! A checksum is 4 big-endian bytes for each chunk of `bytes_per_checksum` bytes; the last chunk
//! may
//! be short. Nothing here decides what a mismatch means.

use crc_fast::{CrcAlgorithm, Digest};

use crate::proto::hdfs::ChecksumTypeProto;

/// Bytes of one stored checksum.
pub const CHECKSUM_LEN: usize = 4;

/// Up to this many bytes at a time x86's own CRC instruction beats wide vectors (crc-fast takes it
/// then), and up to [`SHORT_CHUNK_MAX`] so does a chunk fed in such pieces: 1.6 times for Hadoop's
/// 512 bytes.
const PIECE_LEN: usize = 256;

/// See [`PIECE_LEN`].
const SHORT_CHUNK_MAX: usize = 1024;

/// How data is summed. The numbers are those on the wire and in replica meta files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[repr(u8)]
pub enum ChecksumKind {
    /// No checksums at all.
    Null = 0,
    /// CRC-32 as in gzip (ISO-HDLC).
    Crc32 = 1,
    /// CRC-32C (Castagnoli, iSCSI); Hadoop's default.
    #[default]
    Crc32c = 2,
}

impl ChecksumKind {
    /// The kind of that number, if there is one.
    pub const fn from_code(code: u8) -> Option<Self> {
        match code {
            0 => Some(Self::Null),
            1 => Some(Self::Crc32),
            2 => Some(Self::Crc32c),
            _ => None,
        }
    }

    /// The number on the wire and on disk.
    pub const fn code(self) -> u8 {
        self as u8
    }

    /// Bytes of checksum for one chunk: 4, or 0 for [`Self::Null`].
    pub const fn size(self) -> usize {
        match self {
            Self::Null => 0,
            Self::Crc32 | Self::Crc32c => CHECKSUM_LEN,
        }
    }

    /// Bytes of checksums for `data_len` bytes of data in chunks of `bytes_per_checksum` (not 0).
    pub const fn size_for(self, bytes_per_checksum: usize, data_len: usize) -> usize {
        data_len.div_ceil(bytes_per_checksum) * self.size()
    }
}

impl From<ChecksumKind> for ChecksumTypeProto {
    fn from(kind: ChecksumKind) -> Self {
        match kind {
            ChecksumKind::Null => Self::ChecksumNull,
            ChecksumKind::Crc32 => Self::ChecksumCrc32,
            ChecksumKind::Crc32c => Self::ChecksumCrc32c,
        }
    }
}

impl From<ChecksumTypeProto> for ChecksumKind {
    fn from(kind: ChecksumTypeProto) -> Self {
        match kind {
            ChecksumTypeProto::ChecksumNull => Self::Null,
            ChecksumTypeProto::ChecksumCrc32 => Self::Crc32,
            ChecksumTypeProto::ChecksumCrc32c => Self::Crc32c,
        }
    }
}

/// A chunk whose bytes and checksum disagree, or sums that cannot belong to the data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadChunk {
    /// The sums disagree.
    #[error("chunk at byte {offset}: stored checksum {stored:#010x}, computed {computed:#010x}")]
    Mismatch {
        /// Where the chunk begins, in bytes from the start of the data.
        offset: usize,
        /// What came with the data.
        stored: u32,
        /// What the data has.
        computed: u32,
    },
    /// There are more or fewer checksums than the data has chunks.
    #[error("{data} bytes of data need {wanted} bytes of checksums, not {given}")]
    Count {
        /// Bytes of data.
        data: usize,
        /// Bytes of checksums that belong to so much data.
        wanted: usize,
        /// Bytes of checksums that came.
        given: usize,
    },
}

/// The checksum of `data` as one chunk; 0 for [`ChecksumKind::Null`].
#[inline]
pub fn crc(kind: ChecksumKind, data: &[u8]) -> u32 {
    match kind {
        ChecksumKind::Null => 0,
        ChecksumKind::Crc32 => crc_fast::crc32_iso_hdlc(data),
        ChecksumKind::Crc32c => crc_fast::crc32_iscsi(data),
    }
}

/// Appends the checksums of `data` to `out`, one for each chunk of `bytes_per_checksum` bytes.
///
/// # Panics
/// `bytes_per_checksum` is 0: whoever takes it from the wire or from a file refuses that.
pub fn compute(kind: ChecksumKind, bytes_per_checksum: usize, data: &[u8], out: &mut Vec<u8>) {
    if kind == ChecksumKind::Null {
        return;
    }
    out.reserve(kind.size_for(bytes_per_checksum, data.len()));
    let mut summer = Summer::new(kind, bytes_per_checksum);
    for chunk in data.chunks(bytes_per_checksum) {
        out.extend_from_slice(&summer.sum(chunk).to_be_bytes());
    }
}

/// Checks every chunk of `data` against `sums`. Data without checksums is always right.
///
/// # Errors
/// The first chunk that is wrong, or a count of checksums that does not fit.
///
/// # Panics
/// `bytes_per_checksum` is 0: whoever takes it from the wire or from a file refuses that.
pub fn verify(
    kind: ChecksumKind,
    bytes_per_checksum: usize,
    data: &[u8],
    sums: &[u8],
) -> Result<(), BadChunk> {
    let wanted = kind.size_for(bytes_per_checksum, data.len());
    if sums.len() != wanted {
        return Err(BadChunk::Count { data: data.len(), wanted, given: sums.len() });
    }
    let (sums, _) = sums.as_chunks::<CHECKSUM_LEN>();
    let mut summer = Summer::new(kind, bytes_per_checksum);
    for (index, (chunk, sum)) in data.chunks(bytes_per_checksum).zip(sums).enumerate() {
        let (stored, computed) = (u32::from_be_bytes(*sum), summer.sum(chunk));
        if stored != computed {
            let offset = index * bytes_per_checksum;
            return Err(BadChunk::Mismatch { offset, stored, computed });
        }
    }
    Ok(())
}

/// Sums one chunk after another, the fastest way for their length.
struct Summer {
    kind: ChecksumKind,
    pieces: Option<Digest>,
}

impl Summer {
    fn new(kind: ChecksumKind, bytes_per_checksum: usize) -> Self {
        let short = (PIECE_LEN + 1..=SHORT_CHUNK_MAX).contains(&bytes_per_checksum);
        let pieces = short && kind == ChecksumKind::Crc32c && cfg!(target_arch = "x86_64");
        Self { kind, pieces: pieces.then(|| Digest::new(CrcAlgorithm::Crc32Iscsi)) }
    }

    #[inline]
    fn sum(&mut self, chunk: &[u8]) -> u32 {
        let Some(digest) = &mut self.pieces else { return crc(self.kind, chunk) };
        digest.reset();
        chunk.chunks(PIECE_LEN).for_each(|piece| digest.update(piece));
        digest.finalize() as u32
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn known_sums() {
        assert_eq!(crc(ChecksumKind::Crc32, b"123456789"), 0xcbf4_3926);
        assert_eq!(crc(ChecksumKind::Crc32c, b"123456789"), 0xe306_9283);
        assert_eq!(crc(ChecksumKind::Null, b"123456789"), 0);
    }

    /// The packet a Java client sent for a file of 700 times `A`.
    #[test]
    fn sums_of_a_java_client() {
        let mut sums = Vec::new();
        compute(ChecksumKind::Crc32c, 512, &[b'A'; 700], &mut sums);
        assert_eq!(sums, [0xe3, 0x91, 0x86, 0xd6, 0xdb, 0x93, 0xce, 0xa7]);
    }

    #[test]
    fn a_flipped_bit_is_found_in_its_chunk() {
        let mut data = vec![7u8; 1500];
        let mut sums = Vec::new();
        compute(ChecksumKind::Crc32c, 512, &data, &mut sums);
        assert_eq!(verify(ChecksumKind::Crc32c, 512, &data, &sums), Ok(()));
        data[1030] ^= 1;
        let bad = verify(ChecksumKind::Crc32c, 512, &data, &sums).unwrap_err();
        assert!(matches!(bad, BadChunk::Mismatch { offset: 1024, .. }));
        let short = verify(ChecksumKind::Crc32c, 512, &data, &sums[..8]).unwrap_err();
        assert_eq!(short, BadChunk::Count { data: 1500, wanted: 12, given: 8 });
    }

    /// Every width must take the same path as the plain definition, table and vector alike.
    fn bit_by_bit(polynomial: u32, data: &[u8]) -> u32 {
        !data.iter().fold(u32::MAX, |state, &byte| {
            (0..8).fold(state ^ u32::from(byte), |state, _| {
                (state >> 1) ^ (polynomial & 0u32.wrapping_sub(state & 1))
            })
        })
    }

    proptest! {
        #[test]
        fn lengths_agree_with_the_definition(data in prop::collection::vec(any::<u8>(), 0..1500)) {
            prop_assert_eq!(crc(ChecksumKind::Crc32c, &data), bit_by_bit(0x82f6_3b78, &data));
            prop_assert_eq!(crc(ChecksumKind::Crc32, &data), bit_by_bit(0xedb8_8320, &data));
        }

        #[test]
        fn what_was_computed_is_right(
            data in prop::collection::vec(any::<u8>(), 0..3000), chunk in 1usize..1200,
        ) {
            for kind in [ChecksumKind::Null, ChecksumKind::Crc32, ChecksumKind::Crc32c] {
                let mut sums = Vec::new();
                compute(kind, chunk, &data, &mut sums);
                let one_by_one = data.chunks(chunk).map(|part| crc(kind, part).to_be_bytes());
                let one_by_one: Vec<u8> = one_by_one.flatten().collect();
                prop_assert!(kind == ChecksumKind::Null || sums == one_by_one);
                prop_assert_eq!(sums.len(), kind.size_for(chunk, data.len()));
                prop_assert_eq!(verify(kind, chunk, &data, &sums), Ok(()));
            }
        }

        #[test]
        fn any_sums_are_no_panic(data: Vec<u8>, sums: Vec<u8>, chunk in 1usize..600) {
            let _ = verify(ChecksumKind::Crc32, chunk, &data, &sums);
        }
    }
}
