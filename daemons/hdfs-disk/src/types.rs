//! Values that edit log operations and image entries share. Numbers are Hadoop's; the text of a
//! name never carries its namespace or type as a prefix.

/// A block as the namespace records it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct BlockRecord {
    /// Cluster-wide id; negative for erasure-coded block groups.
    pub id: i64,
    /// Bytes; 0 while nobody has told the length of a block being written.
    pub length: u64,
    /// Generation stamp.
    pub stamp: u64,
}

/// Who owns an inode and who may do what.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Permission {
    /// Owning user.
    pub user: String,
    /// Owning group.
    pub group: String,
    /// Nine permission bits and the sticky bit (0o1000).
    pub mode: u16,
}

/// Whether an ACL entry rules access to the inode itself or is inherited by new children.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum AclScope {
    /// Rules access.
    Access = 0,
    /// Inherited by children.
    Default = 1,
}

/// Whom an ACL entry is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum AclKind {
    /// A named user, or the owner when there is no name.
    User = 0,
    /// A named group, or the owning group when there is no name.
    Group = 1,
    /// The bound on all named entries and the owning group.
    Mask = 2,
    /// Everybody else.
    Other = 3,
}

impl AclKind {
    /// The kind with this number, if there is one.
    pub const fn from_number(number: u8) -> Option<Self> {
        match number {
            0 => Some(Self::User),
            1 => Some(Self::Group),
            2 => Some(Self::Mask),
            3 => Some(Self::Other),
            _ => None,
        }
    }
}

/// One line of an access control list.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct AclEntry {
    /// Access or default.
    pub scope: AclScope,
    /// User, group, mask or other.
    pub kind: AclKind,
    /// The user's or group's name; `None` for owner, owning group, mask and other.
    pub name: Option<String>,
    /// READ 4, WRITE 2, EXECUTE 1.
    pub permission: u8,
}

/// The first part of an extended attribute's full name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum XAttrNamespace {
    /// `user.`
    User = 0,
    /// `trusted.`: super users only.
    Trusted = 1,
    /// `security.`
    Security = 2,
    /// `system.`: never seen by clients.
    System = 3,
    /// `raw.`: only through `/.reserved/raw`.
    Raw = 4,
}

impl XAttrNamespace {
    /// The namespace with this number, if there is one.
    pub const fn from_number(number: u8) -> Option<Self> {
        match number {
            0 => Some(Self::User),
            1 => Some(Self::Trusted),
            2 => Some(Self::Security),
            3 => Some(Self::System),
            4 => Some(Self::Raw),
            _ => None,
        }
    }
}

/// An extended attribute.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct XAttr {
    /// Who may see it.
    pub namespace: XAttrNamespace,
    /// The name without its namespace.
    pub name: String,
    /// The value; `None` (no value) and empty are kept apart, as Java does.
    pub value: Option<Vec<u8>>,
}

/// What a volume is made of. The edit log uses [`StorageType::ordinal`], protobuf messages (image
/// and wire) use [`StorageType::proto`]; the two disagree.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum StorageType {
    /// Memory.
    RamDisk = 0,
    /// Flash.
    Ssd = 1,
    /// Spinning or unspecified; the default.
    Disk = 2,
    /// Dense and slow.
    Archive = 3,
    /// Remote storage behind an alias map.
    Provided = 4,
    /// Persistent memory.
    Nvdimm = 5,
}

impl StorageType {
    /// All types in ordinal order.
    pub const ALL: [Self; 6] =
        [Self::RamDisk, Self::Ssd, Self::Disk, Self::Archive, Self::Provided, Self::Nvdimm];

    /// Position in Java's enum, as the edit log has it.
    pub const fn ordinal(self) -> u8 {
        self as u8
    }

    /// The type at this position of Java's enum.
    pub fn from_ordinal(ordinal: i32) -> Option<Self> {
        usize::try_from(ordinal).ok().and_then(|at| Self::ALL.get(at)).copied()
    }

    /// Number in `StorageTypeProto`.
    pub const fn proto(self) -> i32 {
        match self {
            Self::Disk => 1,
            Self::Ssd => 2,
            Self::Archive => 3,
            Self::RamDisk => 4,
            Self::Provided => 5,
            Self::Nvdimm => 6,
        }
    }

    /// The type with this number in `StorageTypeProto`.
    pub fn from_proto(number: i32) -> Option<Self> {
        Self::ALL.into_iter().find(|each| each.proto() == number)
    }
}

/// An erasure coding policy in full.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ErasureCodingSchema {
    /// `rs`, `rs-legacy`, `xor`.
    pub codec: String,
    /// Data cells a stripe.
    pub data_units: u32,
    /// Parity cells a stripe.
    pub parity_units: u32,
    /// Codec options in file order.
    pub options: Vec<(String, String)>,
}

/// What a delegation token says.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct DelegationToken {
    /// Whom the token stands for.
    pub owner: String,
    /// Who may renew it.
    pub renewer: String,
    /// Who really asked, when acting for the owner.
    pub real_user: String,
    /// Milliseconds since 1970.
    pub issue_date: i64,
    /// Milliseconds since 1970; no renewal goes beyond.
    pub max_date: i64,
    /// Grows with every token.
    pub sequence: i32,
    /// The key that signed it.
    pub master_key_id: i32,
}

/// A key that signs delegation tokens.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct DelegationKey {
    /// Number of the key.
    pub id: i32,
    /// Milliseconds since 1970.
    pub expiry_date: i64,
    /// The secret; `None` when it was wiped.
    pub key: Option<Vec<u8>>,
}
