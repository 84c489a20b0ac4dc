//! Opcodes of layout -67, from the table of operations; the numbers are Hadoop's.

use super::op::EditOp;

macro_rules! codes {
    ($($name:ident = $code:literal, $word:literal;)*) => {
        $(pub(super) const $name: u8 = $code;)*

        /// The word that Hadoop's tools print for an opcode, without `OP_`.
        pub(super) const fn word(code: u8) -> &'static str {
            match code {
                $($code => $word,)*
                _ => "unknown opcode",
            }
        }
    };
}

codes! {
    ADD = 0, "ADD";
    RENAME_OLD = 1, "RENAME_OLD";
    DELETE = 2, "DELETE";
    MKDIR = 3, "MKDIR";
    SET_REPLICATION = 4, "SET_REPLICATION";
    SET_PERMISSIONS = 7, "SET_PERMISSIONS";
    SET_OWNER = 8, "SET_OWNER";
    CLOSE = 9, "CLOSE";
    SET_GENSTAMP_V1 = 10, "SET_GENSTAMP_V1";
    SET_NS_QUOTA = 11, "SET_NS_QUOTA";
    CLEAR_NS_QUOTA = 12, "CLEAR_NS_QUOTA";
    TIMES = 13, "TIMES";
    SET_QUOTA = 14, "SET_QUOTA";
    RENAME = 15, "RENAME";
    CONCAT_DELETE = 16, "CONCAT_DELETE";
    SYMLINK = 17, "SYMLINK";
    ISSUE_DELEGATION_TOKEN = 18, "GET_DELEGATION_TOKEN";
    RENEW_DELEGATION_TOKEN = 19, "RENEW_DELEGATION_TOKEN";
    CANCEL_DELEGATION_TOKEN = 20, "CANCEL_DELEGATION_TOKEN";
    UPDATE_MASTER_KEY = 21, "UPDATE_MASTER_KEY";
    REASSIGN_LEASE = 22, "REASSIGN_LEASE";
    END_LOG_SEGMENT = 23, "END_LOG_SEGMENT";
    START_LOG_SEGMENT = 24, "START_LOG_SEGMENT";
    UPDATE_BLOCKS = 25, "UPDATE_BLOCKS";
    CREATE_SNAPSHOT = 26, "CREATE_SNAPSHOT";
    DELETE_SNAPSHOT = 27, "DELETE_SNAPSHOT";
    RENAME_SNAPSHOT = 28, "RENAME_SNAPSHOT";
    ALLOW_SNAPSHOT = 29, "ALLOW_SNAPSHOT";
    DISALLOW_SNAPSHOT = 30, "DISALLOW_SNAPSHOT";
    SET_GENSTAMP_V2 = 31, "SET_GENSTAMP_V2";
    ALLOCATE_BLOCK_ID = 32, "ALLOCATE_BLOCK_ID";
    ADD_BLOCK = 33, "ADD_BLOCK";
    ADD_CACHE_DIRECTIVE = 34, "ADD_CACHE_DIRECTIVE";
    REMOVE_CACHE_DIRECTIVE = 35, "REMOVE_CACHE_DIRECTIVE";
    ADD_CACHE_POOL = 36, "ADD_CACHE_POOL";
    MODIFY_CACHE_POOL = 37, "MODIFY_CACHE_POOL";
    REMOVE_CACHE_POOL = 38, "REMOVE_CACHE_POOL";
    MODIFY_CACHE_DIRECTIVE = 39, "MODIFY_CACHE_DIRECTIVE";
    SET_ACL = 40, "SET_ACL";
    ROLLING_UPGRADE_START = 41, "ROLLING_UPGRADE_START";
    ROLLING_UPGRADE_FINALIZE = 42, "ROLLING_UPGRADE_FINALIZE";
    SET_XATTR = 43, "SET_XATTR";
    REMOVE_XATTR = 44, "REMOVE_XATTR";
    SET_STORAGE_POLICY = 45, "SET_STORAGE_POLICY";
    TRUNCATE = 46, "TRUNCATE";
    APPEND = 47, "APPEND";
    SET_QUOTA_BY_STORAGE_TYPE = 48, "SET_QUOTA_BY_STORAGETYPE";
    ADD_EC_POLICY = 49, "ADD_ERASURE_CODING_POLICY";
    ENABLE_EC_POLICY = 50, "ENABLE_ERASURE_CODING_POLICY";
    DISABLE_EC_POLICY = 51, "DISABLE_ERASURE_CODING_POLICY";
    REMOVE_EC_POLICY = 52, "REMOVE_ERASURE_CODING_POLICY";
}

/// Opcodes above this one do not exist in layout -67.
pub(super) const LAST: u8 = REMOVE_EC_POLICY;

/// The opcode of an operation.
pub(super) const fn of(op: &EditOp) -> u8 {
    match op {
        EditOp::Add { .. } => ADD,
        EditOp::Close { .. } => CLOSE,
        EditOp::Append { .. } => APPEND,
        EditOp::AddBlock { .. } => ADD_BLOCK,
        EditOp::UpdateBlocks { .. } => UPDATE_BLOCKS,
        EditOp::AllocateBlockId { .. } => ALLOCATE_BLOCK_ID,
        EditOp::SetGenstampV2 { .. } => SET_GENSTAMP_V2,
        EditOp::SetGenstampV1 { .. } => SET_GENSTAMP_V1,
        EditOp::SetReplication { .. } => SET_REPLICATION,
        EditOp::ConcatDelete { .. } => CONCAT_DELETE,
        EditOp::RenameOld { .. } => RENAME_OLD,
        EditOp::Rename { .. } => RENAME,
        EditOp::Delete { .. } => DELETE,
        EditOp::Mkdir { .. } => MKDIR,
        EditOp::SetPermissions { .. } => SET_PERMISSIONS,
        EditOp::SetOwner { .. } => SET_OWNER,
        EditOp::Times { .. } => TIMES,
        EditOp::SetQuota { .. } => SET_QUOTA,
        EditOp::SetQuotaByStorageType { .. } => SET_QUOTA_BY_STORAGE_TYPE,
        EditOp::SetNsQuota { .. } => SET_NS_QUOTA,
        EditOp::ClearNsQuota { .. } => CLEAR_NS_QUOTA,
        EditOp::Symlink { .. } => SYMLINK,
        EditOp::Truncate { .. } => TRUNCATE,
        EditOp::ReassignLease { .. } => REASSIGN_LEASE,
        EditOp::CreateSnapshot { .. } => CREATE_SNAPSHOT,
        EditOp::DeleteSnapshot { .. } => DELETE_SNAPSHOT,
        EditOp::RenameSnapshot { .. } => RENAME_SNAPSHOT,
        EditOp::AllowSnapshot { .. } => ALLOW_SNAPSHOT,
        EditOp::DisallowSnapshot { .. } => DISALLOW_SNAPSHOT,
        EditOp::SetAcl { .. } => SET_ACL,
        EditOp::SetXAttr { .. } => SET_XATTR,
        EditOp::RemoveXAttr { .. } => REMOVE_XATTR,
        EditOp::SetStoragePolicy { .. } => SET_STORAGE_POLICY,
        EditOp::AddCacheDirective { .. } => ADD_CACHE_DIRECTIVE,
        EditOp::ModifyCacheDirective { .. } => MODIFY_CACHE_DIRECTIVE,
        EditOp::RemoveCacheDirective { .. } => REMOVE_CACHE_DIRECTIVE,
        EditOp::AddCachePool { .. } => ADD_CACHE_POOL,
        EditOp::ModifyCachePool { .. } => MODIFY_CACHE_POOL,
        EditOp::RemoveCachePool { .. } => REMOVE_CACHE_POOL,
        EditOp::IssueDelegationToken { .. } => ISSUE_DELEGATION_TOKEN,
        EditOp::RenewDelegationToken { .. } => RENEW_DELEGATION_TOKEN,
        EditOp::CancelDelegationToken { .. } => CANCEL_DELEGATION_TOKEN,
        EditOp::UpdateMasterKey { .. } => UPDATE_MASTER_KEY,
        EditOp::RollingUpgradeStart { .. } => ROLLING_UPGRADE_START,
        EditOp::RollingUpgradeFinalize { .. } => ROLLING_UPGRADE_FINALIZE,
        EditOp::AddErasureCodingPolicy { .. } => ADD_EC_POLICY,
        EditOp::EnableErasureCodingPolicy { .. } => ENABLE_EC_POLICY,
        EditOp::DisableErasureCodingPolicy { .. } => DISABLE_EC_POLICY,
        EditOp::RemoveErasureCodingPolicy { .. } => REMOVE_EC_POLICY,
        EditOp::EndLogSegment => END_LOG_SEGMENT,
        EditOp::StartLogSegment => START_LOG_SEGMENT,
    }
}
