//! A datanode's files: where a replica lies, what its names say, and the head of its checksum file.
//! Nothing here reads a block's bytes or knows a replica's state beyond its folder.
//!
//! ```text
//! <volume>/current/VERSION
//! <volume>/current/<pool>/tmp/                               copies on their way; wiped at start
//! <volume>/current/<pool>/current/VERSION
//! <volume>/current/<pool>/current/rbw/blk_<id>               being written
//! <volume>/current/<pool>/current/finalized/subdir<A>/subdir<B>/blk_<id>
//!                                            beside each: blk_<id>_<stamp>.meta
//! ```
//!
//! Checksum file: version i16 = 1, kind u8, bytes per checksum i32 (seven bytes, big-endian), then
//! four bytes for each chunk of the data.

/// The one version of checksum files there is.
const META_VERSION: u16 = 1;
/// Bytes before the first checksum.
pub const META_HEADER_LENGTH: usize = 7;
/// Bytes of one checksum, unless there are none.
pub const CHECKSUM_LENGTH: u64 = 4;
/// More bytes in one chunk than any client asks for (512 is usual); bounds a reader's buffer.
pub const BYTES_PER_CHECKSUM_MAX: u32 = 64 << 20;

/// Which checksum guards each chunk. Numbers are Hadoop's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum MetaChecksum {
    /// None at all.
    Null = 0,
    /// CRC-32 as in gzip.
    Crc32 = 1,
    /// CRC-32C.
    Crc32c = 2,
}

/// The head of a checksum file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct MetaHeader {
    /// Which checksum.
    pub checksum: MetaChecksum,
    /// Bytes of data that one checksum covers; at least 1.
    pub bytes_per_checksum: u32,
}

/// A checksum file that does not begin as one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the checksum file is damaged: {reason}")]
pub struct MetaError {
    /// What does not fit.
    pub reason: String,
}

impl MetaHeader {
    /// The seven bytes.
    pub fn encode(self) -> [u8; META_HEADER_LENGTH] {
        let [version_high, version_low] = META_VERSION.to_be_bytes();
        let [a, b, c, d] = self.bytes_per_checksum.to_be_bytes();
        [version_high, version_low, self.checksum as u8, a, b, c, d]
    }

    /// Reads the first seven bytes of a file.
    ///
    /// # Errors
    /// Too few bytes, another version, an unknown checksum, or an impossible chunk.
    pub fn decode(bytes: &[u8]) -> Result<Self, MetaError> {
        let error = |reason: String| Err(MetaError { reason });
        let Some(&[high, low, kind, a, b, c, d]) = bytes.first_chunk::<META_HEADER_LENGTH>() else {
            return error(format!("{} bytes, and the head alone has 7", bytes.len()));
        };
        let version = u16::from_be_bytes([high, low]);
        if version != META_VERSION {
            return error(format!("version {version} where only 1 exists"));
        }
        let checksum = match kind {
            0 => MetaChecksum::Null,
            1 => MetaChecksum::Crc32,
            2 => MetaChecksum::Crc32c,
            _ => return error(format!("checksum type {kind} where 0 to 2 exist")),
        };
        let bytes_per_checksum = u32::from_be_bytes([a, b, c, d]);
        if !(1..=BYTES_PER_CHECKSUM_MAX).contains(&bytes_per_checksum) {
            return error(format!("{bytes_per_checksum} bytes per checksum"));
        }
        Ok(Self { checksum, bytes_per_checksum })
    }

    /// Bytes of the whole checksum file for so many bytes of data.
    pub fn meta_length(self, data_length: u64) -> u64 {
        META_HEADER_LENGTH as u64 + self.checksums_length(data_length)
    }

    /// Bytes of the checksums alone for so many bytes of data.
    pub fn checksums_length(self, data_length: u64) -> u64 {
        match self.checksum {
            MetaChecksum::Null => 0,
            _ => data_length.div_ceil(u64::from(self.bytes_per_checksum)) * CHECKSUM_LENGTH,
        }
    }

    /// The most bytes of data that a checksum file of this length can cover.
    pub fn covered_length(self, meta_length: u64) -> u64 {
        let checksums = meta_length.saturating_sub(META_HEADER_LENGTH as u64) / CHECKSUM_LENGTH;
        match self.checksum {
            MetaChecksum::Null => u64::MAX,
            _ => checksums.saturating_mul(u64::from(self.bytes_per_checksum)),
        }
    }
}

/// What the name of a file in a replica folder says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ReplicaName {
    /// The bytes of a block.
    Data {
        /// Block id.
        id: i64,
    },
    /// Its checksums, and the generation stamp.
    Meta {
        /// Block id.
        id: i64,
        /// Generation stamp.
        stamp: u64,
    },
}

impl ReplicaName {
    /// Reads a file's name; `None` for files that are none of ours (loaders skip them). Only the
    /// spelling that [`data_name`] and [`meta_name`] print is taken.
    pub fn parse(name: &str) -> Option<Self> {
        let rest = name.strip_prefix("blk_")?;
        let parsed = match rest.strip_suffix(".meta") {
            None => Self::Data { id: rest.parse().ok()? },
            Some(rest) => {
                let (id, stamp) = rest.rsplit_once('_')?;
                Self::Meta { id: id.parse().ok()?, stamp: stamp.parse().ok()? }
            }
        };
        (parsed.print() == name).then_some(parsed)
    }

    /// The file's name.
    pub fn print(self) -> String {
        match self {
            Self::Data { id } => data_name(id),
            Self::Meta { id, stamp } => meta_name(id, stamp),
        }
    }
}

/// Name of the file with a block's bytes.
pub fn data_name(id: i64) -> String {
    format!("blk_{id}")
}

/// Name of the file with a block's checksums.
pub fn meta_name(id: i64, stamp: u64) -> String {
    format!("blk_{id}_{stamp}.meta")
}

/// `subdir<A>/subdir<B>`: the folder below `finalized` where a block belongs (layout -57).
pub fn subfolder(id: i64) -> String {
    format!("subdir{}/subdir{}", id >> 16 & 0x1f, id >> 8 & 0x1f)
}

/// Path of the volume's own VERSION file.
pub const VOLUME_VERSION: &str = "current/VERSION";

/// Paths of one block pool, relative to the volume.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PoolPaths {
    /// `current/<pool>`.
    pub root: String,
    /// `current/<pool>/current/VERSION`.
    pub version: String,
    /// Complete replicas, in subfolders.
    pub finalized: String,
    /// Replicas being written, and those that were when the process died.
    pub rbw: String,
    /// Copies on their way; wiped at start.
    pub tmp: String,
    /// `<bytes> <millis>`: the space used, remembered over a restart.
    pub dfs_used: String,
}

impl PoolPaths {
    /// The paths of this pool. The id comes from a namenode: one that could lead out of the folder
    /// gives `None`.
    pub fn new(block_pool_id: &str) -> Option<Self> {
        crate::storage::is_id(block_pool_id).then(|| Self {
            root: format!("current/{block_pool_id}"),
            version: format!("current/{block_pool_id}/current/VERSION"),
            finalized: format!("current/{block_pool_id}/current/finalized"),
            rbw: format!("current/{block_pool_id}/current/rbw"),
            tmp: format!("current/{block_pool_id}/tmp"),
            dfs_used: format!("current/{block_pool_id}/current/dfsUsed"),
        })
    }

    /// The folder of a finalized block.
    pub fn finalized_folder(&self, id: i64) -> String {
        format!("{}/{}", self.finalized, subfolder(id))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_datanodes_header_is_ours() {
        let header = MetaHeader { checksum: MetaChecksum::Crc32c, bytes_per_checksum: 512 };
        assert_eq!(header.encode(), [0, 1, 2, 0, 0, 2, 0]);
        assert_eq!(MetaHeader::decode(&[0, 1, 2, 0, 0, 2, 0, 9]), Ok(header));
        let lengths = [0, 1, 512, 513].map(|length| header.meta_length(length));
        assert_eq!(lengths, [7, 11, 11, 15]);
        assert_eq!(header.covered_length(14), 512);
    }

    #[test]
    fn a_flipped_byte_of_the_header_is_seen_or_another_header() {
        let header = MetaHeader { checksum: MetaChecksum::Crc32c, bytes_per_checksum: 512 };
        for at in 0..META_HEADER_LENGTH {
            for mask in 1..=u8::MAX {
                let mut bytes = header.encode();
                bytes[at] ^= mask;
                assert_ne!(MetaHeader::decode(&bytes), Ok(header));
            }
        }
    }

    #[test]
    fn blocks_lie_where_java_puts_them() {
        assert_eq!(subfolder(1_073_741_825), "subdir0/subdir0");
        assert_eq!(subfolder(0x4012_3456), "subdir18/subdir20");
        assert_eq!(subfolder(-1), "subdir31/subdir31");
        let paths = PoolPaths::new("BP-1-127.0.0.1-2").expect("an id");
        assert_eq!(
            paths.finalized_folder(1_073_741_825),
            "current/BP-1-127.0.0.1-2/current/finalized/subdir0/subdir0"
        );
        assert_eq!(PoolPaths::new("../other"), None);
        assert_eq!(PoolPaths::new(".."), None);
    }

    #[test]
    fn foreign_names_are_skipped() {
        for name in ["blk_", "blk_x", "blk_+1", "blk_01", "blk_1_2", "blk_1_.meta", "blk_1_2.tmp"] {
            assert_eq!(ReplicaName::parse(name), None, "{name}");
        }
        assert_eq!(ReplicaName::parse("blk_-7"), Some(ReplicaName::Data { id: -7 }));
    }

    proptest! {
        #[test]
        fn names_come_back(id: i64, stamp: u64) {
            for name in [ReplicaName::Data { id }, ReplicaName::Meta { id, stamp }] {
                prop_assert_eq!(ReplicaName::parse(&name.print()), Some(name));
            }
        }

        #[test]
        fn any_name_is_read_without_panic(name: String) {
            ReplicaName::parse(&name);
        }
    }
}
