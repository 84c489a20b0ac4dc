//! Bytes to operations: the body of one frame whose checksum is known to be good.

use super::code;
use super::op::{CacheDirective, CachePool, EditOp, RenameOption};
use super::source::Source;
use crate::pb::Malformed;
use crate::types::{DelegationKey, DelegationToken, ErasureCodingSchema, StorageType};

/// First layout whose snapshot operations carry a time.
const LAYOUT_SNAPSHOT_TIME: i32 = -66;

/// Reads the body of an operation.
///
/// # Errors
/// Says what does not fit; bytes that no field claims are an error too, since they would be lost
/// when the operation is written again.
pub(super) fn decode(opcode: u8, body: &[u8], layout: i32) -> Result<EditOp, Malformed> {
    let mut source = Source::new(body, layout);
    let op = file_op(opcode, &mut source)?;
    if source.is_empty() { Ok(op) } else { Err("the operation has bytes that no field claims") }
}

/// Files and their blocks; everything else goes on to the next group.
fn file_op(opcode: u8, from: &mut Source<'_>) -> Result<EditOp, Malformed> {
    Ok(match opcode {
        code::ADD => add(from)?,
        code::CLOSE => EditOp::Close {
            inode_id: from.u64()?,
            path: from.str()?,
            replication: from.u16()?,
            mtime: from.i64()?,
            atime: from.i64()?,
            block_size: from.u64()?,
            blocks: from.blocks()?,
            permission: from.permission()?,
        },
        code::APPEND => EditOp::Append {
            path: from.str()?,
            client_name: from.str()?,
            client_machine: from.str()?,
            new_block: from.bool()?,
            rpc: from.rpc()?,
        },
        code::ADD_BLOCK => add_block(from)?,
        code::UPDATE_BLOCKS => EditOp::UpdateBlocks {
            path: from.str()?,
            blocks: from.compact_blocks()?,
            rpc: from.rpc()?,
        },
        code::ALLOCATE_BLOCK_ID => EditOp::AllocateBlockId { block_id: from.i64()? },
        code::SET_GENSTAMP_V2 => EditOp::SetGenstampV2 { stamp: from.u64()? },
        code::SET_GENSTAMP_V1 => EditOp::SetGenstampV1 { stamp: from.u64()? },
        code::SET_REPLICATION => {
            EditOp::SetReplication { path: from.str()?, replication: from.u16()? }
        }
        code::TRUNCATE => EditOp::Truncate {
            path: from.str()?,
            client_name: from.str()?,
            client_machine: from.str()?,
            new_length: from.u64()?,
            timestamp: from.i64()?,
            block: match from.compact_blocks()?[..] {
                [] => None,
                [block] => Some(block),
                _ => return Err("a truncate has more than one block"),
            },
        },
        other => name_op(other, from)?,
    })
}

fn add(from: &mut Source<'_>) -> Result<EditOp, Malformed> {
    Ok(EditOp::Add {
        inode_id: from.u64()?,
        path: from.str()?,
        replication: from.u16()?,
        mtime: from.i64()?,
        atime: from.i64()?,
        block_size: from.u64()?,
        blocks: from.blocks()?,
        permission: from.permission()?,
        acl: from.acl()?,
        xattrs: from.xattrs()?.1,
        client_name: from.str()?,
        client_machine: from.str()?,
        overwrite: from.bool()?,
        storage_policy: from.u8()?,
        erasure_coding_policy: from.u8()?,
        rpc: from.rpc()?,
    })
}

fn add_block(from: &mut Source<'_>) -> Result<EditOp, Malformed> {
    let path = from.str()?;
    let (penultimate, last) = match from.compact_blocks()?[..] {
        [last] => (None, last),
        [penultimate, last] => (Some(penultimate), last),
        _ => return Err("an added block comes with neither one nor two blocks"),
    };
    Ok(EditOp::AddBlock { path, penultimate, last, rpc: from.rpc()? })
}

/// Names in the tree and who may use them.
fn name_op(opcode: u8, from: &mut Source<'_>) -> Result<EditOp, Malformed> {
    Ok(match opcode {
        code::MKDIR => mkdir(from)?,
        code::DELETE => {
            EditOp::Delete { path: from.str()?, timestamp: from.i64()?, rpc: from.rpc()? }
        }
        code::CONCAT_DELETE => EditOp::ConcatDelete {
            target: from.str()?,
            sources: {
                let count = from.count(2)?;
                (0..count).map(|_| from.str()).collect::<Result<_, _>>()?
            },
            timestamp: from.i64()?,
            rpc: from.rpc()?,
        },
        code::RENAME_OLD => EditOp::RenameOld {
            source: from.str()?,
            target: from.str()?,
            timestamp: from.i64()?,
            rpc: from.rpc()?,
        },
        code::RENAME => EditOp::Rename {
            source: from.str()?,
            target: from.str()?,
            timestamp: from.i64()?,
            options: {
                let count = from.count(1)?;
                (0..count).map(|_| rename_option(from)).collect::<Result<_, _>>()?
            },
            rpc: from.rpc()?,
        },
        code::SYMLINK => EditOp::Symlink {
            inode_id: from.u64()?,
            path: from.str()?,
            target: from.str()?,
            mtime: from.i64()?,
            atime: from.i64()?,
            permission: from.permission()?,
            rpc: from.rpc()?,
        },
        code::SET_PERMISSIONS => EditOp::SetPermissions { path: from.str()?, mode: from.u16()? },
        code::SET_OWNER => {
            EditOp::SetOwner { path: from.str()?, user: from.some_str()?, group: from.some_str()? }
        }
        code::TIMES => EditOp::Times { path: from.str()?, mtime: from.i64()?, atime: from.i64()? },
        code::SET_ACL => {
            let (path, entries) = from.acl_message()?;
            EditOp::SetAcl { path, entries }
        }
        code::SET_XATTR => {
            let (path, xattrs) = from.xattrs()?;
            EditOp::SetXAttr { path, xattrs, rpc: from.rpc()? }
        }
        code::REMOVE_XATTR => {
            let (path, xattrs) = from.xattrs()?;
            EditOp::RemoveXAttr { path, xattrs, rpc: from.rpc()? }
        }
        other => limit_op(other, from)?,
    })
}

fn mkdir(from: &mut Source<'_>) -> Result<EditOp, Malformed> {
    let (inode_id, path, timestamp) = (from.u64()?, from.str()?, from.i64()?);
    // The access time repeats the modification time; directories have none.
    from.i64()?;
    Ok(EditOp::Mkdir {
        inode_id,
        path,
        timestamp,
        permission: from.permission()?,
        acl: from.acl()?,
        xattrs: from.xattrs()?.1,
    })
}

fn rename_option(from: &mut Source<'_>) -> Result<RenameOption, Malformed> {
    match from.u8()? {
        0 => Ok(RenameOption::None),
        1 => Ok(RenameOption::Overwrite),
        2 => Ok(RenameOption::ToTrash),
        _ => Err("a rename has an unknown option"),
    }
}

/// Quotas, policies, leases and snapshots.
fn limit_op(opcode: u8, from: &mut Source<'_>) -> Result<EditOp, Malformed> {
    Ok(match opcode {
        code::SET_QUOTA => {
            EditOp::SetQuota { path: from.str()?, namespace: from.i64()?, space: from.i64()? }
        }
        code::SET_QUOTA_BY_STORAGE_TYPE => EditOp::SetQuotaByStorageType {
            path: from.str()?,
            storage_type: StorageType::from_ordinal(from.i32()?)
                .ok_or("a quota is for an unknown storage type")?,
            quota: from.i64()?,
        },
        code::SET_NS_QUOTA => EditOp::SetNsQuota { path: from.str()?, namespace: from.i64()? },
        code::CLEAR_NS_QUOTA => EditOp::ClearNsQuota { path: from.str()? },
        code::SET_STORAGE_POLICY => {
            EditOp::SetStoragePolicy { path: from.str()?, policy: from.u8()? }
        }
        code::REASSIGN_LEASE => EditOp::ReassignLease {
            holder: from.str()?,
            path: from.str()?,
            new_holder: from.str()?,
        },
        code::CREATE_SNAPSHOT => EditOp::CreateSnapshot {
            root: from.str()?,
            name: from.str()?,
            mtime: snapshot_time(from)?,
            rpc: from.rpc()?,
        },
        code::DELETE_SNAPSHOT => EditOp::DeleteSnapshot {
            root: from.str()?,
            name: from.str()?,
            mtime: snapshot_time(from)?,
            rpc: from.rpc()?,
        },
        code::RENAME_SNAPSHOT => EditOp::RenameSnapshot {
            root: from.str()?,
            old_name: from.str()?,
            new_name: from.str()?,
            mtime: snapshot_time(from)?,
            rpc: from.rpc()?,
        },
        code::ALLOW_SNAPSHOT => EditOp::AllowSnapshot { root: from.str()? },
        code::DISALLOW_SNAPSHOT => EditOp::DisallowSnapshot { root: from.str()? },
        other => cluster_op(other, from)?,
    })
}

fn snapshot_time(from: &mut Source<'_>) -> Result<i64, Malformed> {
    if from.layout <= LAYOUT_SNAPSHOT_TIME { from.i64() } else { Ok(0) }
}

/// Caches, tokens, erasure coding, upgrades and segment marks.
fn cluster_op(opcode: u8, from: &mut Source<'_>) -> Result<EditOp, Malformed> {
    Ok(match opcode {
        code::ADD_CACHE_DIRECTIVE => {
            EditOp::AddCacheDirective { directive: cache_directive(from)?, rpc: from.rpc()? }
        }
        code::MODIFY_CACHE_DIRECTIVE => {
            EditOp::ModifyCacheDirective { directive: cache_directive(from)?, rpc: from.rpc()? }
        }
        code::REMOVE_CACHE_DIRECTIVE => {
            EditOp::RemoveCacheDirective { id: from.i64()?, rpc: from.rpc()? }
        }
        code::ADD_CACHE_POOL => EditOp::AddCachePool { pool: cache_pool(from)?, rpc: from.rpc()? },
        code::MODIFY_CACHE_POOL => {
            EditOp::ModifyCachePool { pool: cache_pool(from)?, rpc: from.rpc()? }
        }
        code::REMOVE_CACHE_POOL => EditOp::RemoveCachePool { name: from.str()?, rpc: from.rpc()? },
        code::ISSUE_DELEGATION_TOKEN => {
            EditOp::IssueDelegationToken { token: delegation_token(from)?, expiry: from.i64()? }
        }
        code::RENEW_DELEGATION_TOKEN => {
            EditOp::RenewDelegationToken { token: delegation_token(from)?, expiry: from.i64()? }
        }
        code::CANCEL_DELEGATION_TOKEN => {
            EditOp::CancelDelegationToken { token: delegation_token(from)? }
        }
        code::UPDATE_MASTER_KEY => EditOp::UpdateMasterKey {
            key: DelegationKey {
                id: from.vint()?,
                expiry_date: from.vlong()?,
                key: from.some_bytes()?,
            },
        },
        code::ROLLING_UPGRADE_START => EditOp::RollingUpgradeStart { time: from.i64()? },
        code::ROLLING_UPGRADE_FINALIZE => EditOp::RollingUpgradeFinalize { time: from.i64()? },
        code::ADD_EC_POLICY => add_erasure_coding_policy(from)?,
        code::ENABLE_EC_POLICY => {
            EditOp::EnableErasureCodingPolicy { name: from.str()?, rpc: from.rpc()? }
        }
        code::DISABLE_EC_POLICY => {
            EditOp::DisableErasureCodingPolicy { name: from.str()?, rpc: from.rpc()? }
        }
        code::REMOVE_EC_POLICY => {
            EditOp::RemoveErasureCodingPolicy { name: from.str()?, rpc: from.rpc()? }
        }
        code::END_LOG_SEGMENT => EditOp::EndLogSegment,
        code::START_LOG_SEGMENT => EditOp::StartLogSegment,
        _ => return Err("the opcode is unknown"),
    })
}

fn add_erasure_coding_policy(from: &mut Source<'_>) -> Result<EditOp, Malformed> {
    let codec = from.str()?;
    let data_units = from.i32()? as u32;
    let parity_units = from.i32()? as u32;
    let cell_size = from.i32()? as u32;
    let count = from.count(4)?;
    let options =
        (0..count).map(|_| Ok((from.str()?, from.str()?))).collect::<Result<_, Malformed>>()?;
    let schema = ErasureCodingSchema { codec, data_units, parity_units, options };
    Ok(EditOp::AddErasureCodingPolicy { schema, cell_size, rpc: from.rpc()? })
}

/// Runs a reader when a flag is set.
fn flagged<T>(
    flags: i32,
    bit: i32,
    read: impl FnOnce() -> Result<T, Malformed>,
) -> Result<Option<T>, Malformed> {
    (flags & bit != 0).then(read).transpose()
}

fn known_flags(flags: i32, known: i32) -> Result<i32, Malformed> {
    if flags & !known == 0 { Ok(flags) } else { Err("a cache operation has unknown flags") }
}

fn cache_directive(from: &mut Source<'_>) -> Result<CacheDirective, Malformed> {
    let id = from.i64()?;
    let flags = known_flags(from.i32()?, 0xf)?;
    Ok(CacheDirective {
        id,
        path: flagged(flags, 1, || from.str())?,
        replication: flagged(flags, 2, || from.u16())?,
        pool: flagged(flags, 4, || from.str())?,
        expiration: flagged(flags, 8, || from.i64())?,
    })
}

fn cache_pool(from: &mut Source<'_>) -> Result<CachePool, Malformed> {
    let name = from.str()?;
    let flags = known_flags(from.i32()?, 0x3f)?;
    Ok(CachePool {
        name,
        owner: flagged(flags, 1, || from.str())?,
        group: flagged(flags, 2, || from.str())?,
        mode: flagged(flags, 4, || from.u16())?,
        limit: flagged(flags, 8, || from.i64())?,
        max_relative_expiry: flagged(flags, 0x10, || from.i64())?,
        default_replication: flagged(flags, 0x20, || from.u16())?,
    })
}

fn delegation_token(from: &mut Source<'_>) -> Result<DelegationToken, Malformed> {
    if from.u8()? != 0 {
        return Err("a delegation token has an unknown version");
    }
    Ok(DelegationToken {
        owner: from.text()?,
        renewer: from.text()?,
        real_user: from.text()?,
        issue_date: from.vlong()?,
        max_date: from.vlong()?,
        sequence: from.vint()?,
        master_key_id: from.vint()?,
    })
}
