//! The values of an image. Names and bytes are borrowed: from the image when reading, from the
//! namespace when writing. Users, groups and attribute names are numbers of the string table.

use crate::types::{
    AclKind, AclScope, BlockRecord, DelegationKey, DelegationToken, ErasureCodingSchema,
    StorageType, XAttrNamespace,
};

/// Why an image cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum ImageError {
    /// The bytes are not what was written.
    #[error("image is damaged in {section} at byte {offset}: {reason}")]
    Corrupt {
        /// Section name, or `file`.
        section: &'static str,
        /// Offset in the file.
        offset: u64,
        /// What does not fit.
        reason: String,
    },
    /// The image holds something this program cannot keep.
    #[error("image has {what}, which cannot be kept; {remedy}")]
    Unsupported {
        /// The section and what is in it.
        what: String,
        /// What the operator can do.
        remedy: &'static str,
    },
    /// The destination refused the bytes.
    #[error("image could not be written")]
    Write(#[from] std::io::Error),
}

/// NS_INFO: counters of the whole namespace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NameSystem {
    /// Must equal the one in VERSION.
    pub namespace_id: u32,
    /// Legacy generation stamp (1000).
    pub genstamp_v1: u64,
    /// Newest generation stamp.
    pub genstamp_v2: u64,
    /// Where legacy stamps end (0).
    pub genstamp_v1_limit: u64,
    /// Newest block id; 1073741824 before the first.
    pub last_block_id: i64,
    /// Newest id of a striped block group; `i64::MIN` before the first.
    pub last_striped_block_id: i64,
    /// Last transaction in the image.
    pub txid: u64,
    /// Milliseconds since 1970 when a rolling upgrade is under way.
    pub rolling_upgrade_start: Option<u64>,
}

/// Owner, group and mode; the ids are those of the string table's user and group kinds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Owner {
    /// 24 bits.
    pub user: u32,
    /// 24 bits.
    pub group: u32,
    /// Nine permission bits and the sticky bit.
    pub mode: u16,
}

/// An extended ACL entry; `name` is an id of the user or group kind, 0 for none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct AclWord {
    /// Access or default.
    pub scope: AclScope,
    /// User, group, mask or other.
    pub kind: AclKind,
    /// String table id; 0 for none.
    pub name: u32,
    /// READ 4, WRITE 2, EXECUTE 1.
    pub permission: u8,
}

/// An extended attribute; `name` is an id of the string table's attribute kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct XAttrRef<'a> {
    /// Who may see it.
    pub namespace: XAttrNamespace,
    /// String table id.
    pub name: u32,
    /// `None` and empty are kept apart.
    pub value: Option<&'a [u8]>,
}

/// What few inodes have. Access entries are the extended ones only (named users, the owning group,
/// named groups; the mask is in the mode's group bits), then all default entries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Features<'a> {
    /// `None` is no ACL at all.
    pub acl: Option<&'a [AclWord]>,
    /// `None` is no attributes at all.
    pub xattrs: Option<&'a [XAttrRef<'a>]>,
}

/// One inode.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Inode<'a> {
    /// The root is 16385.
    pub id: u64,
    /// UTF-8 bytes of the last path component; empty for the root.
    pub name: &'a [u8],
    /// Everything else.
    pub kind: InodeKind<'a>,
}

/// What an inode is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InodeKind<'a> {
    /// A file.
    File(File<'a>),
    /// A directory.
    Directory(Directory<'a>),
    /// A symbolic link.
    Symlink(Symlink<'a>),
}

/// A file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct File<'a> {
    /// Copies wanted; 0 for striped files.
    pub replication: u16,
    /// Milliseconds since 1970.
    pub mtime: i64,
    /// Milliseconds since 1970.
    pub atime: i64,
    /// Bytes a full block has.
    pub block_size: u64,
    /// Owner and mode.
    pub owner: Owner,
    /// In file order.
    pub blocks: &'a [BlockRecord],
    /// Present while a client writes.
    pub under_construction: Option<UnderConstruction<'a>>,
    /// 0 inherits.
    pub storage_policy: u8,
    /// `Some` for striped files.
    pub erasure_coding_policy: Option<u8>,
    /// ACL and attributes.
    pub features: Features<'a>,
}

/// Who writes a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UnderConstruction<'a> {
    /// Lease holder.
    pub client_name: &'a str,
    /// Its host.
    pub client_machine: &'a str,
}

/// A directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Directory<'a> {
    /// Milliseconds since 1970.
    pub mtime: i64,
    /// -1 for none.
    pub namespace_quota: i64,
    /// Bytes; -1 for none.
    pub space_quota: i64,
    /// Owner and mode.
    pub owner: Owner,
    /// Bytes per storage type; `None` is no such quota at all.
    pub type_quotas: Option<&'a [(StorageType, i64)]>,
    /// ACL and attributes. The storage policy of a directory is an attribute.
    pub features: Features<'a>,
}

/// A symbolic link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Symlink<'a> {
    /// Owner and mode.
    pub owner: Owner,
    /// UTF-8 bytes.
    pub target: &'a [u8],
    /// Milliseconds since 1970.
    pub mtime: i64,
    /// Milliseconds since 1970.
    pub atime: i64,
}

/// SNAPSHOT, as far as it can be kept: directories that allow snapshots, but no snapshots.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Snapshots {
    /// Snapshots ever made.
    pub counter: u32,
    /// Inode ids.
    pub snapshottable: Vec<u64>,
}

/// Whether new files may use an erasure coding policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum PolicyState {
    /// No.
    Disabled = 1,
    /// Yes.
    Enabled = 2,
    /// No, and it will not come back.
    Removed = 3,
}

/// An erasure coding policy of the cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ErasureCodingPolicy {
    /// 1 to 5 are the system's, 64 and up the users'.
    pub id: u8,
    /// May it be used.
    pub state: PolicyState,
    /// Name, schema and cell size; `None` for the system's policies, which every version knows.
    pub custom: Option<(String, ErasureCodingSchema, u32)>,
}

impl ErasureCodingPolicy {
    /// The five policies of the system as a new namespace has them: known, not enabled.
    pub fn system() -> Vec<Self> {
        (1..=5).map(|id| Self { id, state: PolicyState::Disabled, custom: None }).collect()
    }
}

/// SECRET_MANAGER: delegation tokens and the keys that sign them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Secrets {
    /// Newest key.
    pub current_key_id: i32,
    /// Newest token.
    pub sequence: i32,
    /// In file order.
    pub keys: Vec<DelegationKey>,
    /// In file order, with the time (milliseconds since 1970) until which each is renewed.
    pub tokens: Vec<(DelegationToken, i64)>,
}

/// CACHE_MANAGER. Pools and directives are kept as they are, unread.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CacheManager {
    /// From 1.
    pub next_directive_id: u64,
    /// Number of pools.
    pub pools: u32,
    /// Number of directives.
    pub directives: u32,
    /// The pools' and directives' messages, delimited.
    pub(super) raw: Vec<u8>,
}

impl Default for CacheManager {
    fn default() -> Self {
        Self { next_directive_id: 1, pools: 0, directives: 0, raw: Vec::new() }
    }
}
