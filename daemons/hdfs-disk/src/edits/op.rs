//! One value per kind of edit log operation (layout -67), and nothing about their bytes.
//!
//! Times are milliseconds since 1970 as Java's signed longs; `-1` in [`EditOp::Times`] leaves a
//! time
//! unchanged. Paths are absolute.

use crate::types::{
    AclEntry, BlockRecord, DelegationKey, DelegationToken, ErasureCodingSchema, Permission,
    StorageType, XAttr,
};

/// Which call of which client caused an operation, so that a repeated call after a failover is
/// answered from the retry cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct RpcIds {
    /// The client's uuid; `None` when the call is not to be remembered.
    pub client_id: Option<[u8; 16]>,
    /// The client's number of the call; -2 together with no client id.
    pub call_id: i32,
}

impl RpcIds {
    /// What Java writes when a call is not to be remembered.
    pub const NONE: Self = Self { client_id: None, call_id: -2 };

    /// From the ids of a call; anything but 16 bytes means not to be remembered.
    pub fn new(client_id: &[u8], call_id: i32) -> Self {
        <[u8; 16]>::try_from(client_id)
            .map_or(Self::NONE, |client_id| Self { client_id: Some(client_id), call_id })
    }
}

impl Default for RpcIds {
    fn default() -> Self {
        Self::NONE
    }
}

/// One option of a rename.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum RenameOption {
    /// Nothing special.
    None = 0,
    /// An existing destination is replaced.
    Overwrite = 1,
    /// The client moves to the trash.
    ToTrash = 2,
}

/// A cache directive; fields that a modification leaves alone are `None`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct CacheDirective {
    /// Number of the directive.
    pub id: i64,
    /// What to cache.
    pub path: Option<String>,
    /// Copies in memory.
    pub replication: Option<u16>,
    /// Whose budget.
    pub pool: Option<String>,
    /// Milliseconds since 1970.
    pub expiration: Option<i64>,
}

/// A cache pool; fields that a modification leaves alone are `None`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct CachePool {
    /// Name of the pool.
    pub name: String,
    /// Owning user.
    pub owner: Option<String>,
    /// Owning group.
    pub group: Option<String>,
    /// Permission bits.
    pub mode: Option<u16>,
    /// Bytes in all.
    pub limit: Option<i64>,
    /// Milliseconds.
    pub max_relative_expiry: Option<i64>,
    /// Copies when a directive says nothing.
    pub default_replication: Option<u16>,
}

/// An edit log operation.
///
/// `rpc` is the call that caused it. Every variant names its opcode.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "fields are the words of the format; see the module's text")]
pub enum EditOp {
    /// 0: a file is created and open for write (with `overwrite`, an existing file goes first).
    Add {
        inode_id: u64,
        path: String,
        replication: u16,
        mtime: i64,
        atime: i64,
        block_size: u64,
        blocks: Vec<BlockRecord>,
        permission: Permission,
        acl: Vec<AclEntry>,
        xattrs: Vec<XAttr>,
        client_name: String,
        client_machine: String,
        overwrite: bool,
        storage_policy: u8,
        /// 0 for replicated files.
        erasure_coding_policy: u8,
        rpc: RpcIds,
    },
    /// 9: a file is complete. Java writes inode id 0.
    Close {
        inode_id: u64,
        path: String,
        replication: u16,
        mtime: i64,
        atime: i64,
        block_size: u64,
        blocks: Vec<BlockRecord>,
        permission: Permission,
    },
    /// 47: a file is open again for write.
    Append {
        path: String,
        client_name: String,
        client_machine: String,
        new_block: bool,
        rpc: RpcIds,
    },
    /// 33: a file's last block (and the final state of the one before it, if any).
    AddBlock { path: String, penultimate: Option<BlockRecord>, last: BlockRecord, rpc: RpcIds },
    /// 25: all blocks of an open file.
    UpdateBlocks { path: String, blocks: Vec<BlockRecord>, rpc: RpcIds },
    /// 32: a block id is given away.
    AllocateBlockId { block_id: i64 },
    /// 31: the newest generation stamp.
    SetGenstampV2 { stamp: u64 },
    /// 10: the newest legacy generation stamp.
    SetGenstampV1 { stamp: u64 },
    /// 4
    SetReplication { path: String, replication: u16 },
    /// 16: the sources' blocks move to the end of the target.
    ConcatDelete { target: String, sources: Vec<String>, timestamp: i64, rpc: RpcIds },
    /// 1: rename with the old rules; `target` is the full final path.
    RenameOld { source: String, target: String, timestamp: i64, rpc: RpcIds },
    /// 15
    Rename {
        source: String,
        target: String,
        timestamp: i64,
        options: Vec<RenameOption>,
        rpc: RpcIds,
    },
    /// 2
    Delete { path: String, timestamp: i64, rpc: RpcIds },
    /// 3: one directory; both times are the same.
    Mkdir {
        inode_id: u64,
        path: String,
        timestamp: i64,
        permission: Permission,
        acl: Vec<AclEntry>,
        xattrs: Vec<XAttr>,
    },
    /// 7
    SetPermissions { path: String, mode: u16 },
    /// 8: `None` leaves it unchanged.
    SetOwner { path: String, user: Option<String>, group: Option<String> },
    /// 13
    Times { path: String, mtime: i64, atime: i64 },
    /// 14: names and bytes; -1 resets, `i64::MAX` leaves it unchanged.
    SetQuota { path: String, namespace: i64, space: i64 },
    /// 48
    SetQuotaByStorageType { path: String, storage_type: StorageType, quota: i64 },
    /// 11: obsolete.
    SetNsQuota { path: String, namespace: i64 },
    /// 12: obsolete.
    ClearNsQuota { path: String },
    /// 17
    Symlink {
        inode_id: u64,
        path: String,
        target: String,
        mtime: i64,
        atime: i64,
        permission: Permission,
        rpc: RpcIds,
    },
    /// 46: `block` is the last block when the cut is inside it. Java keeps no call ids here.
    Truncate {
        path: String,
        client_name: String,
        client_machine: String,
        new_length: u64,
        timestamp: i64,
        block: Option<BlockRecord>,
    },
    /// 22
    ReassignLease { holder: String, path: String, new_holder: String },
    /// 26; `mtime` is 0 when read from layout -65.
    CreateSnapshot { root: String, name: String, mtime: i64, rpc: RpcIds },
    /// 27; `mtime` is 0 when read from layout -65.
    DeleteSnapshot { root: String, name: String, mtime: i64, rpc: RpcIds },
    /// 28; `mtime` is 0 when read from layout -65.
    RenameSnapshot { root: String, old_name: String, new_name: String, mtime: i64, rpc: RpcIds },
    /// 29
    AllowSnapshot { root: String },
    /// 30
    DisallowSnapshot { root: String },
    /// 40: the whole new list; empty removes it.
    SetAcl { path: String, entries: Vec<AclEntry> },
    /// 43
    SetXAttr { path: String, xattrs: Vec<XAttr>, rpc: RpcIds },
    /// 44
    RemoveXAttr { path: String, xattrs: Vec<XAttr>, rpc: RpcIds },
    /// 45
    SetStoragePolicy { path: String, policy: u8 },
    /// 34
    AddCacheDirective { directive: CacheDirective, rpc: RpcIds },
    /// 39
    ModifyCacheDirective { directive: CacheDirective, rpc: RpcIds },
    /// 35
    RemoveCacheDirective { id: i64, rpc: RpcIds },
    /// 36
    AddCachePool { pool: CachePool, rpc: RpcIds },
    /// 37
    ModifyCachePool { pool: CachePool, rpc: RpcIds },
    /// 38
    RemoveCachePool { name: String, rpc: RpcIds },
    /// 18
    IssueDelegationToken { token: DelegationToken, expiry: i64 },
    /// 19
    RenewDelegationToken { token: DelegationToken, expiry: i64 },
    /// 20
    CancelDelegationToken { token: DelegationToken },
    /// 21
    UpdateMasterKey { key: DelegationKey },
    /// 41
    RollingUpgradeStart { time: i64 },
    /// 42
    RollingUpgradeFinalize { time: i64 },
    /// 49
    AddErasureCodingPolicy { schema: ErasureCodingSchema, cell_size: u32, rpc: RpcIds },
    /// 50
    EnableErasureCodingPolicy { name: String, rpc: RpcIds },
    /// 51
    DisableErasureCodingPolicy { name: String, rpc: RpcIds },
    /// 52
    RemoveErasureCodingPolicy { name: String, rpc: RpcIds },
    /// 23: last of a segment.
    EndLogSegment,
    /// 24: first of a segment.
    StartLogSegment,
}
