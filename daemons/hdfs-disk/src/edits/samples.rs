//! Operations of every kind for tests, from a seed.

use super::code;
use super::op::{CacheDirective, CachePool, EditOp, RenameOption, RpcIds};
use crate::types::{
    AclEntry, AclKind, AclScope, BlockRecord, DelegationKey, DelegationToken, ErasureCodingSchema,
    Permission, StorageType, XAttr, XAttrNamespace,
};

/// How many kinds of operations there are.
pub(crate) const KINDS: usize = 51;

/// A generator of values: xorshift, so that a seed gives the same operations everywhere.
pub(crate) struct Seed(pub(crate) u64);

impl Seed {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    /// Small, large and negative numbers alike.
    fn long(&mut self) -> i64 {
        let shift = self.below(64);
        (self.next() as i64) >> shift
    }

    fn u16(&mut self) -> u16 {
        self.next() as u16
    }

    fn text(&mut self) -> String {
        const PIECES: [&str; 6] = ["/dir", "file", "é", "\u{1f418}", "日本", ""];
        (0..self.below(5)).map(|_| PIECES[self.below(6) as usize]).collect()
    }

    fn name(&mut self) -> Option<String> {
        let text = self.text();
        Some(text).filter(|text| !text.is_empty())
    }

    fn bytes(&mut self) -> Vec<u8> {
        (0..self.below(300)).map(|_| self.next() as u8).collect()
    }

    fn some<T>(&mut self, make: impl FnOnce(&mut Self) -> T) -> Option<T> {
        (self.below(2) == 0).then(|| make(self))
    }

    fn list<T>(&mut self, mut make: impl FnMut(&mut Self) -> T) -> Vec<T> {
        (0..self.below(4)).map(|_| make(self)).collect()
    }

    fn block(&mut self) -> BlockRecord {
        BlockRecord { id: self.long(), length: self.long() as u64, stamp: self.long() as u64 }
    }

    fn permission(&mut self) -> Permission {
        Permission { user: self.text(), group: self.text(), mode: self.u16() }
    }

    fn acl(&mut self) -> AclEntry {
        AclEntry {
            scope: if self.below(2) == 0 { AclScope::Access } else { AclScope::Default },
            kind: AclKind::from_number(self.below(4) as u8).expect("below four"),
            name: self.name(),
            permission: self.below(8) as u8,
        }
    }

    fn xattr(&mut self) -> XAttr {
        XAttr {
            namespace: XAttrNamespace::from_number(self.below(5) as u8).expect("below five"),
            name: self.text(),
            value: self.some(Self::bytes),
        }
    }

    fn rpc(&mut self) -> RpcIds {
        match self.some(|seed| [seed.next() as u8; 16]) {
            Some(id) => RpcIds { client_id: Some(id), call_id: self.next() as i32 },
            None => RpcIds::NONE,
        }
    }

    fn token(&mut self) -> DelegationToken {
        DelegationToken {
            owner: self.text(),
            renewer: self.text(),
            real_user: self.text(),
            issue_date: self.long(),
            max_date: self.long(),
            sequence: self.long() as i32,
            master_key_id: self.long() as i32,
        }
    }

    fn directive(&mut self) -> CacheDirective {
        CacheDirective {
            id: self.long(),
            path: self.some(Self::text),
            replication: self.some(Self::u16),
            pool: self.some(Self::text),
            expiration: self.some(Self::long),
        }
    }

    fn pool(&mut self) -> CachePool {
        CachePool {
            name: self.text(),
            owner: self.some(Self::text),
            group: self.some(Self::text),
            mode: self.some(Self::u16),
            limit: self.some(Self::long),
            max_relative_expiry: self.some(Self::long),
            default_replication: self.some(Self::u16),
        }
    }
}

/// An operation with this opcode, or `None` for opcodes that do not exist.
pub(crate) fn sample(opcode: u8, s: &mut Seed) -> Option<EditOp> {
    file_sample(opcode, s)
        .or_else(|| name_sample(opcode, s))
        .or_else(|| limit_sample(opcode, s))
        .or_else(|| cluster_sample(opcode, s))
}

fn file_sample(opcode: u8, s: &mut Seed) -> Option<EditOp> {
    Some(match opcode {
        code::ADD => EditOp::Add {
            inode_id: s.next(),
            path: s.text(),
            replication: s.u16(),
            mtime: s.long(),
            atime: s.long(),
            block_size: s.next(),
            blocks: s.list(Seed::block),
            permission: s.permission(),
            acl: s.list(Seed::acl),
            xattrs: s.list(Seed::xattr),
            client_name: s.text(),
            client_machine: s.text(),
            overwrite: s.below(2) == 0,
            storage_policy: s.next() as u8,
            erasure_coding_policy: s.next() as u8,
            rpc: s.rpc(),
        },
        code::CLOSE => EditOp::Close {
            inode_id: s.next(),
            path: s.text(),
            replication: s.u16(),
            mtime: s.long(),
            atime: s.long(),
            block_size: s.next(),
            blocks: s.list(Seed::block),
            permission: s.permission(),
        },
        code::APPEND => EditOp::Append {
            path: s.text(),
            client_name: s.text(),
            client_machine: s.text(),
            new_block: s.below(2) == 0,
            rpc: s.rpc(),
        },
        code::ADD_BLOCK => EditOp::AddBlock {
            path: s.text(),
            penultimate: s.some(Seed::block),
            last: s.block(),
            rpc: s.rpc(),
        },
        code::UPDATE_BLOCKS => {
            EditOp::UpdateBlocks { path: s.text(), blocks: s.list(Seed::block), rpc: s.rpc() }
        }
        code::ALLOCATE_BLOCK_ID => EditOp::AllocateBlockId { block_id: s.long() },
        code::SET_GENSTAMP_V2 => EditOp::SetGenstampV2 { stamp: s.next() },
        code::SET_GENSTAMP_V1 => EditOp::SetGenstampV1 { stamp: s.next() },
        code::SET_REPLICATION => EditOp::SetReplication { path: s.text(), replication: s.u16() },
        code::TRUNCATE => EditOp::Truncate {
            path: s.text(),
            client_name: s.text(),
            client_machine: s.text(),
            new_length: s.next(),
            timestamp: s.long(),
            block: s.some(Seed::block),
        },
        _ => return None,
    })
}

fn name_sample(opcode: u8, s: &mut Seed) -> Option<EditOp> {
    let options = [RenameOption::None, RenameOption::Overwrite, RenameOption::ToTrash];
    Some(match opcode {
        code::MKDIR => EditOp::Mkdir {
            inode_id: s.next(),
            path: s.text(),
            timestamp: s.long(),
            permission: s.permission(),
            acl: s.list(Seed::acl),
            xattrs: s.list(Seed::xattr),
        },
        code::DELETE => EditOp::Delete { path: s.text(), timestamp: s.long(), rpc: s.rpc() },
        code::CONCAT_DELETE => EditOp::ConcatDelete {
            target: s.text(),
            sources: s.list(Seed::text),
            timestamp: s.long(),
            rpc: s.rpc(),
        },
        code::RENAME_OLD => EditOp::RenameOld {
            source: s.text(),
            target: s.text(),
            timestamp: s.long(),
            rpc: s.rpc(),
        },
        code::RENAME => EditOp::Rename {
            source: s.text(),
            target: s.text(),
            timestamp: s.long(),
            options: s.list(|s| options[s.below(3) as usize]),
            rpc: s.rpc(),
        },
        code::SYMLINK => EditOp::Symlink {
            inode_id: s.next(),
            path: s.text(),
            target: s.text(),
            mtime: s.long(),
            atime: s.long(),
            permission: s.permission(),
            rpc: s.rpc(),
        },
        code::SET_PERMISSIONS => EditOp::SetPermissions { path: s.text(), mode: s.u16() },
        code::SET_OWNER => EditOp::SetOwner { path: s.text(), user: s.name(), group: s.name() },
        code::TIMES => EditOp::Times { path: s.text(), mtime: s.long(), atime: s.long() },
        code::SET_ACL => EditOp::SetAcl { path: s.text(), entries: s.list(Seed::acl) },
        code::SET_XATTR => {
            EditOp::SetXAttr { path: s.text(), xattrs: s.list(Seed::xattr), rpc: s.rpc() }
        }
        code::REMOVE_XATTR => {
            EditOp::RemoveXAttr { path: s.text(), xattrs: s.list(Seed::xattr), rpc: s.rpc() }
        }
        _ => return None,
    })
}

fn limit_sample(opcode: u8, s: &mut Seed) -> Option<EditOp> {
    let (root, name, mtime) = (s.text(), s.text(), s.long());
    Some(match opcode {
        code::SET_QUOTA => {
            EditOp::SetQuota { path: s.text(), namespace: s.long(), space: s.long() }
        }
        code::SET_QUOTA_BY_STORAGE_TYPE => EditOp::SetQuotaByStorageType {
            path: s.text(),
            storage_type: StorageType::ALL[s.below(6) as usize],
            quota: s.long(),
        },
        code::SET_NS_QUOTA => EditOp::SetNsQuota { path: s.text(), namespace: s.long() },
        code::CLEAR_NS_QUOTA => EditOp::ClearNsQuota { path: s.text() },
        code::SET_STORAGE_POLICY => {
            EditOp::SetStoragePolicy { path: s.text(), policy: s.next() as u8 }
        }
        code::REASSIGN_LEASE => {
            EditOp::ReassignLease { holder: s.text(), path: s.text(), new_holder: s.text() }
        }
        code::CREATE_SNAPSHOT => EditOp::CreateSnapshot { root, name, mtime, rpc: s.rpc() },
        code::DELETE_SNAPSHOT => EditOp::DeleteSnapshot { root, name, mtime, rpc: s.rpc() },
        code::RENAME_SNAPSHOT => {
            EditOp::RenameSnapshot { root, old_name: name, new_name: s.text(), mtime, rpc: s.rpc() }
        }
        code::ALLOW_SNAPSHOT => EditOp::AllowSnapshot { root },
        code::DISALLOW_SNAPSHOT => EditOp::DisallowSnapshot { root },
        _ => return None,
    })
}

fn cluster_sample(opcode: u8, s: &mut Seed) -> Option<EditOp> {
    let (name, time) = (s.text(), s.long());
    Some(match opcode {
        code::ADD_CACHE_DIRECTIVE => {
            EditOp::AddCacheDirective { directive: s.directive(), rpc: s.rpc() }
        }
        code::MODIFY_CACHE_DIRECTIVE => {
            EditOp::ModifyCacheDirective { directive: s.directive(), rpc: s.rpc() }
        }
        code::REMOVE_CACHE_DIRECTIVE => EditOp::RemoveCacheDirective { id: time, rpc: s.rpc() },
        code::ADD_CACHE_POOL => EditOp::AddCachePool { pool: s.pool(), rpc: s.rpc() },
        code::MODIFY_CACHE_POOL => EditOp::ModifyCachePool { pool: s.pool(), rpc: s.rpc() },
        code::REMOVE_CACHE_POOL => EditOp::RemoveCachePool { name, rpc: s.rpc() },
        code::ISSUE_DELEGATION_TOKEN => {
            EditOp::IssueDelegationToken { token: s.token(), expiry: time }
        }
        code::RENEW_DELEGATION_TOKEN => {
            EditOp::RenewDelegationToken { token: s.token(), expiry: time }
        }
        code::CANCEL_DELEGATION_TOKEN => EditOp::CancelDelegationToken { token: s.token() },
        code::UPDATE_MASTER_KEY => EditOp::UpdateMasterKey {
            key: DelegationKey { id: s.long() as i32, expiry_date: time, key: s.some(Seed::bytes) },
        },
        code::ROLLING_UPGRADE_START => EditOp::RollingUpgradeStart { time },
        code::ROLLING_UPGRADE_FINALIZE => EditOp::RollingUpgradeFinalize { time },
        code::ADD_EC_POLICY => EditOp::AddErasureCodingPolicy {
            schema: ErasureCodingSchema {
                codec: s.text(),
                data_units: s.next() as u32,
                parity_units: s.next() as u32,
                options: s.list(|s| (s.text(), s.text())),
            },
            cell_size: s.next() as u32,
            rpc: s.rpc(),
        },
        code::ENABLE_EC_POLICY => EditOp::EnableErasureCodingPolicy { name, rpc: s.rpc() },
        code::DISABLE_EC_POLICY => EditOp::DisableErasureCodingPolicy { name, rpc: s.rpc() },
        code::REMOVE_EC_POLICY => EditOp::RemoveErasureCodingPolicy { name, rpc: s.rpc() },
        code::END_LOG_SEGMENT => EditOp::EndLogSegment,
        code::START_LOG_SEGMENT => EditOp::StartLogSegment,
        _ => return None,
    })
}
