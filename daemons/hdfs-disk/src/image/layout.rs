//! The frame of an image.
//!
//! ```text
//! "HDFSIMG1" | sections | FileSummary, delimited | i32 length of it with its prefix, big-endian
//! ```
//!
//! Every section is a sequence of delimited messages; the summary has each one's name, offset and
//! length.

/// First bytes of the file.
pub(super) const MAGIC: &[u8; 8] = b"HDFSIMG1";
/// Version of the frame.
pub(super) const ONDISK_VERSION: u32 = 1;

/// A part of an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Section {
    NameSystem,
    ErasureCoding,
    Inode,
    Directory,
    UnderConstruction,
    Snapshot,
    SnapshotDiff,
    Reference,
    SecretManager,
    CacheManager,
    StringTable,
}

impl Section {
    /// In the order in which they are written.
    pub(super) const ALL: [Self; 11] = [
        Self::NameSystem,
        Self::ErasureCoding,
        Self::Inode,
        Self::Directory,
        Self::UnderConstruction,
        Self::Snapshot,
        Self::SnapshotDiff,
        Self::Reference,
        Self::SecretManager,
        Self::CacheManager,
        Self::StringTable,
    ];

    /// The name in the summary.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::NameSystem => "NS_INFO",
            Self::ErasureCoding => "ERASURE_CODING",
            Self::Inode => "INODE",
            Self::Directory => "INODE_DIR",
            Self::UnderConstruction => "FILES_UNDERCONSTRUCTION",
            Self::Snapshot => "SNAPSHOT",
            Self::SnapshotDiff => "SNAPSHOT_DIFF",
            Self::Reference => "INODE_REFERENCE",
            Self::SecretManager => "SECRET_MANAGER",
            Self::CacheManager => "CACHE_MANAGER",
            Self::StringTable => "STRING_TABLE",
        }
    }

    /// Whether no image is without it.
    pub(super) const fn is_required(self) -> bool {
        !matches!(self, Self::SnapshotDiff | Self::Snapshot | Self::Reference)
    }
}
