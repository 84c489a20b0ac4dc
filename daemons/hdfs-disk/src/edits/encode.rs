//! Operations to bytes.
//!
//! ```text
//! opcode u8 | length i32 = 4 + 8 + body | txid i64 | body | CRC32 of all before
//! ```
//!
//! Bodies are in the order of the pieces below; `namenode-disk.md` section 2 is the source.

use super::code;
use super::op::{CacheDirective, CachePool, EditOp};
use super::sink::{Sink, TooLong};
use crate::types::DelegationToken;

/// Longest operation that a reader accepts (`dfs.namenode.max.op.size`).
pub const OP_LENGTH_MAX: usize = 50 << 20;

/// Appends one operation. Allocates only when the buffer must grow.
///
/// # Errors
/// A text or list that the format cannot hold; the buffer is then as it was. Encode an operation
/// before applying it.
pub fn encode(op: &EditOp, txid: u64, into: &mut Vec<u8>) -> Result<(), TooLong> {
    let start = into.len();
    let mut sink = Sink { out: into, failure: None };
    sink.u8(code::of(op)).i32(0).u64(txid);
    file_body(op, &mut sink);
    let failure = sink.failure.take();
    let length = into.len() - start - 1;
    let too_long = (length > OP_LENGTH_MAX).then_some(TooLong {
        what: "the operation",
        length,
        length_max: OP_LENGTH_MAX,
    });
    if let Some(failure) = failure.or(too_long) {
        into.truncate(start);
        return Err(failure);
    }
    into[start + 1..start + 5].copy_from_slice(&(length as u32).to_be_bytes());
    let checksum = crc_fast::crc32_iso_hdlc(&into[start..]);
    into.extend_from_slice(&checksum.to_be_bytes());
    Ok(())
}

/// Files and their blocks; everything else goes on to the next group.
fn file_body(op: &EditOp, sink: &mut Sink<'_>) {
    match op {
        EditOp::Add { inode_id, path, replication, mtime, atime, block_size, blocks, .. }
        | EditOp::Close { inode_id, path, replication, mtime, atime, block_size, blocks, .. } => {
            sink.u64(*inode_id).str(path).u16(*replication).i64(*mtime).i64(*atime);
            sink.u64(*block_size).blocks(blocks);
            file_end(op, sink);
        }
        EditOp::Append { path, client_name, client_machine, new_block, rpc } => {
            sink.str(path).str(client_name).str(client_machine).bool(*new_block).rpc(rpc);
        }
        EditOp::AddBlock { path, penultimate, last, rpc } => {
            let count = 1 + usize::from(penultimate.is_some());
            sink.str(path).compact_blocks(count, penultimate.iter().chain([last])).rpc(rpc);
        }
        EditOp::UpdateBlocks { path, blocks, rpc } => {
            sink.str(path).compact_blocks(blocks.len(), blocks).rpc(rpc);
        }
        EditOp::AllocateBlockId { block_id } => {
            sink.i64(*block_id);
        }
        EditOp::SetGenstampV1 { stamp } | EditOp::SetGenstampV2 { stamp } => {
            sink.u64(*stamp);
        }
        EditOp::SetReplication { path, replication } => {
            sink.str(path).u16(*replication);
        }
        EditOp::Truncate { path, client_name, client_machine, new_length, timestamp, block } => {
            sink.str(path).str(client_name).str(client_machine).u64(*new_length).i64(*timestamp);
            sink.compact_blocks(usize::from(block.is_some()), block);
        }
        other => name_body(other, sink),
    }
}

/// The part of a file's operation after its blocks.
fn file_end(op: &EditOp, sink: &mut Sink<'_>) {
    match op {
        EditOp::Add {
            permission,
            acl,
            xattrs,
            client_name,
            client_machine,
            overwrite,
            storage_policy,
            erasure_coding_policy,
            rpc,
            ..
        } => {
            sink.permission(permission).acl(acl).xattrs(None, xattrs);
            sink.str(client_name).str(client_machine).bool(*overwrite);
            sink.u8(*storage_policy).u8(*erasure_coding_policy).rpc(rpc);
        }
        EditOp::Close { permission, .. } => {
            sink.permission(permission);
        }
        _ => {}
    }
}

/// Names in the tree and who may use them.
fn name_body(op: &EditOp, sink: &mut Sink<'_>) {
    match op {
        EditOp::Mkdir { inode_id, path, timestamp, permission, acl, xattrs } => {
            sink.u64(*inode_id).str(path).i64(*timestamp).i64(*timestamp);
            sink.permission(permission).acl(acl).xattrs(None, xattrs);
        }
        EditOp::Delete { path, timestamp, rpc } => {
            sink.str(path).i64(*timestamp).rpc(rpc);
        }
        EditOp::ConcatDelete { target, sources, timestamp, rpc } => {
            sink.str(target).count(sources.len());
            for source in sources {
                sink.str(source);
            }
            sink.i64(*timestamp).rpc(rpc);
        }
        EditOp::RenameOld { source, target, timestamp, rpc } => {
            sink.str(source).str(target).i64(*timestamp).rpc(rpc);
        }
        EditOp::Rename { source, target, timestamp, options, rpc } => {
            sink.str(source).str(target).i64(*timestamp).count(options.len());
            for option in options {
                sink.u8(*option as u8);
            }
            sink.rpc(rpc);
        }
        EditOp::Symlink { inode_id, path, target, mtime, atime, permission, rpc } => {
            sink.u64(*inode_id).str(path).str(target).i64(*mtime).i64(*atime);
            sink.permission(permission).rpc(rpc);
        }
        EditOp::SetPermissions { path, mode } => {
            sink.str(path).u16(*mode);
        }
        EditOp::SetOwner { path, user, group } => {
            let [user, group] = [user, group].map(|name| name.as_deref().unwrap_or_default());
            sink.str(path).str(user).str(group);
        }
        EditOp::Times { path, mtime, atime } => {
            sink.str(path).i64(*mtime).i64(*atime);
        }
        EditOp::SetAcl { path, entries } => {
            sink.acl_message(path, entries);
        }
        EditOp::SetXAttr { path, xattrs, rpc } | EditOp::RemoveXAttr { path, xattrs, rpc } => {
            sink.xattrs(Some(path), xattrs).rpc(rpc);
        }
        other => limit_body(other, sink),
    }
}

/// Quotas, policies, leases and snapshots.
fn limit_body(op: &EditOp, sink: &mut Sink<'_>) {
    match op {
        EditOp::SetQuota { path, namespace, space } => {
            sink.str(path).i64(*namespace).i64(*space);
        }
        EditOp::SetQuotaByStorageType { path, storage_type, quota } => {
            sink.str(path).i32(i32::from(storage_type.ordinal())).i64(*quota);
        }
        EditOp::SetNsQuota { path, namespace } => {
            sink.str(path).i64(*namespace);
        }
        EditOp::ClearNsQuota { path } => {
            sink.str(path);
        }
        EditOp::SetStoragePolicy { path, policy } => {
            sink.str(path).u8(*policy);
        }
        EditOp::ReassignLease { holder, path, new_holder } => {
            sink.str(holder).str(path).str(new_holder);
        }
        EditOp::CreateSnapshot { root, name, mtime, rpc }
        | EditOp::DeleteSnapshot { root, name, mtime, rpc } => {
            sink.str(root).str(name).i64(*mtime).rpc(rpc);
        }
        EditOp::RenameSnapshot { root, old_name, new_name, mtime, rpc } => {
            sink.str(root).str(old_name).str(new_name).i64(*mtime).rpc(rpc);
        }
        EditOp::AllowSnapshot { root } | EditOp::DisallowSnapshot { root } => {
            sink.str(root);
        }
        other => cluster_body(other, sink),
    }
}

/// Caches, tokens, erasure coding, upgrades and segment marks.
fn cluster_body(op: &EditOp, sink: &mut Sink<'_>) {
    match op {
        EditOp::AddCacheDirective { directive, rpc }
        | EditOp::ModifyCacheDirective { directive, rpc } => {
            cache_directive(directive, sink);
            sink.rpc(rpc);
        }
        EditOp::RemoveCacheDirective { id, rpc } => {
            sink.i64(*id).rpc(rpc);
        }
        EditOp::AddCachePool { pool, rpc } | EditOp::ModifyCachePool { pool, rpc } => {
            cache_pool(pool, sink);
            sink.rpc(rpc);
        }
        EditOp::IssueDelegationToken { token, expiry }
        | EditOp::RenewDelegationToken { token, expiry } => {
            delegation_token(token, sink);
            sink.i64(*expiry);
        }
        EditOp::CancelDelegationToken { token } => delegation_token(token, sink),
        EditOp::UpdateMasterKey { key } => {
            sink.vlong(i64::from(key.id)).vlong(key.expiry_date);
            let bytes = key.key.as_deref();
            sink.vlong(bytes.map_or(-1, |bytes| bytes.len() as i64));
            sink.out.extend_from_slice(bytes.unwrap_or_default());
        }
        EditOp::RollingUpgradeStart { time } | EditOp::RollingUpgradeFinalize { time } => {
            sink.i64(*time);
        }
        EditOp::AddErasureCodingPolicy { schema, cell_size, rpc } => {
            sink.str(&schema.codec).i32(schema.data_units as i32);
            sink.i32(schema.parity_units as i32).i32(*cell_size as i32).count(schema.options.len());
            for (key, value) in &schema.options {
                sink.str(key).str(value);
            }
            sink.rpc(rpc);
        }
        EditOp::RemoveCachePool { name, rpc }
        | EditOp::EnableErasureCodingPolicy { name, rpc }
        | EditOp::DisableErasureCodingPolicy { name, rpc }
        | EditOp::RemoveErasureCodingPolicy { name, rpc } => {
            sink.str(name).rpc(rpc);
        }
        // The two segment marks have no body; a test encodes every other operation.
        _ => {}
    }
}

/// Bits that say which fields follow.
fn flags(present: &[bool]) -> i32 {
    present.iter().enumerate().fold(0, |flags, (bit, present)| flags | i32::from(*present) << bit)
}

fn cache_directive(directive: &CacheDirective, sink: &mut Sink<'_>) {
    let CacheDirective { id, path, replication, pool, expiration } = directive;
    sink.i64(*id).i32(flags(&[
        path.is_some(),
        replication.is_some(),
        pool.is_some(),
        expiration.is_some(),
    ]));
    if let Some(path) = path {
        sink.str(path);
    }
    if let Some(replication) = replication {
        sink.u16(*replication);
    }
    if let Some(pool) = pool {
        sink.str(pool);
    }
    if let Some(expiration) = expiration {
        sink.i64(*expiration);
    }
}

fn cache_pool(pool: &CachePool, sink: &mut Sink<'_>) {
    sink.str(&pool.name).i32(flags(&[
        pool.owner.is_some(),
        pool.group.is_some(),
        pool.mode.is_some(),
        pool.limit.is_some(),
        pool.max_relative_expiry.is_some(),
        pool.default_replication.is_some(),
    ]));
    for name in [&pool.owner, &pool.group].into_iter().flatten() {
        sink.str(name);
    }
    if let Some(mode) = pool.mode {
        sink.u16(mode);
    }
    for number in [pool.limit, pool.max_relative_expiry].into_iter().flatten() {
        sink.i64(number);
    }
    if let Some(replication) = pool.default_replication {
        sink.u16(replication);
    }
}

fn delegation_token(token: &DelegationToken, sink: &mut Sink<'_>) {
    sink.u8(0).text(&token.owner).text(&token.renewer).text(&token.real_user);
    sink.vlong(token.issue_date).vlong(token.max_date);
    sink.vlong(i64::from(token.sequence)).vlong(i64::from(token.master_key_id));
}
