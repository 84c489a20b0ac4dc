//! Storage policies: the fixed suite, and which one rules a path.

use hdfs_disk::edits::EditOp;
use hdfs_wire::Fault;
use hdfs_wire::proto::hdfs::StorageTypeProto::{
    self, Archive, Disk, Nvdimm, Provided, RamDisk, Ssd,
};
use hdfs_wire::proto::hdfs::{
    BlockStoragePolicyProto, CreateFlagProto, CreateRequestProto, GetStoragePoliciesRequestProto,
    GetStoragePoliciesResponseProto, GetStoragePolicyRequestProto, GetStoragePolicyResponseProto,
    SetStoragePolicyRequestProto, SetStoragePolicyResponseProto, StorageTypesProto,
    UnsetStoragePolicyRequestProto, UnsetStoragePolicyResponseProto,
};

use super::super::permission::{READ, WRITE};
use super::super::resolve::Intent;
use super::super::tree::Slot;
use super::super::{Caller, Durable, Namenode};
use super::create::has_flag;
use super::{illegal, not_found};

/// The policy of everything that has none.
pub(super) const HOT: u8 = 7;
/// Only at creation.
const LAZY_PERSIST: u8 = 15;

/// One storage policy: where replicas go first, and where else.
struct Policy {
    id: u8,
    name: &'static str,
    storage: &'static [StorageTypeProto],
    creation_fallback: &'static [StorageTypeProto],
    replication_fallback: &'static [StorageTypeProto],
}

/// Hadoop's suite, in the order in which Java lists it.
const SUITE: [Policy; 8] = [
    Policy {
        id: 1,
        name: "PROVIDED",
        storage: &[Provided, Disk],
        creation_fallback: &[Provided, Disk],
        replication_fallback: &[Provided, Disk],
    },
    Policy {
        id: 2,
        name: "COLD",
        storage: &[Archive],
        creation_fallback: &[],
        replication_fallback: &[],
    },
    Policy {
        id: 5,
        name: "WARM",
        storage: &[Disk, Archive],
        creation_fallback: &[Disk, Archive],
        replication_fallback: &[Disk, Archive],
    },
    Policy {
        id: 7,
        name: "HOT",
        storage: &[Disk],
        creation_fallback: &[],
        replication_fallback: &[Archive],
    },
    Policy {
        id: 10,
        name: "ONE_SSD",
        storage: &[Ssd, Disk],
        creation_fallback: &[Ssd, Disk],
        replication_fallback: &[Ssd, Disk],
    },
    Policy {
        id: 12,
        name: "ALL_SSD",
        storage: &[Ssd],
        creation_fallback: &[Disk],
        replication_fallback: &[Disk],
    },
    Policy {
        id: 14,
        name: "ALL_NVDIMM",
        storage: &[Nvdimm],
        creation_fallback: &[Disk],
        replication_fallback: &[Disk],
    },
    Policy {
        id: LAZY_PERSIST,
        name: "LAZY_PERSIST",
        storage: &[RamDisk, Disk],
        creation_fallback: &[Disk],
        replication_fallback: &[Disk],
    },
];

impl Policy {
    fn to_proto(&self) -> BlockStoragePolicyProto {
        let types = |list: &[StorageTypeProto]| StorageTypesProto {
            storage_types: list.iter().map(|&each| each as i32).collect(),
        };
        BlockStoragePolicyProto {
            policy_id: u32::from(self.id),
            name: self.name.to_owned(),
            creation_policy: types(self.storage),
            creation_fallback_policy: Some(types(self.creation_fallback)),
            replication_fallback_policy: Some(types(self.replication_fallback)),
        }
    }
}

/// The policy of this name, in any case of letters.
fn by_name(name: &str) -> Result<&'static Policy, Fault> {
    SUITE
        .iter()
        .find(|policy| policy.name.eq_ignore_ascii_case(name))
        .ok_or_else(|| illegal(format!("Cannot find a block policy with the name {name}")))
}

impl Namenode {
    /// `getStoragePolicies`: the suite.
    ///
    /// # Errors
    /// None.
    pub fn get_storage_policies(
        &self,
        _: &Caller<'_>,
        _: &GetStoragePoliciesRequestProto,
    ) -> Result<GetStoragePoliciesResponseProto, Fault> {
        Ok(GetStoragePoliciesResponseProto {
            policies: SUITE.iter().map(Policy::to_proto).collect(),
        })
    }

    /// `getStoragePolicy`: the one that rules a path.
    ///
    /// # Errors
    /// `FileNotFoundException`; path and permission errors.
    pub fn get_storage_policy(
        &self,
        caller: &Caller<'_>,
        request: &GetStoragePolicyRequestProto,
    ) -> Result<GetStoragePolicyResponseProto, Fault> {
        let resolved = self.resolve(caller, &request.path, Intent::ReadLink)?;
        if let Some(slot) = resolved.target() {
            self.checker(caller).check(slot, READ)?;
        }
        let slot = resolved.target().ok_or_else(|| {
            not_found(format!("File/Directory does not exist: {}", resolved.path()))
        })?;
        let id = Some(self.policy_of(slot)).filter(|&id| id != 0).unwrap_or(HOT);
        let policy = SUITE.iter().find(|policy| policy.id == id);
        let policy = policy.ok_or_else(|| Fault::io(format!("Unknown storage policy id {id}")))?;
        Ok(GetStoragePolicyResponseProto { storage_policy: policy.to_proto() })
    }

    /// `setStoragePolicy`.
    ///
    /// # Errors
    /// `HadoopIllegalArgumentException` for unknown names, `FileNotFoundException`; path,
    /// permission and safe mode errors.
    pub fn set_storage_policy(
        &mut self,
        caller: &Caller<'_>,
        request: &SetStoragePolicyRequestProto,
    ) -> Result<Durable<SetStoragePolicyResponseProto>, Fault> {
        self.begin(caller);
        self.check_safe_mode(format_args!("set storage policy for {}", request.src))?;
        let policy = by_name(&request.policy_name)?;
        self.change_policy(caller, &request.src, policy.id)?;
        Ok(self.durable(SetStoragePolicyResponseProto {}))
    }

    /// `unsetStoragePolicy`: back to what is inherited.
    ///
    /// # Errors
    /// As [`Self::set_storage_policy`].
    pub fn unset_storage_policy(
        &mut self,
        caller: &Caller<'_>,
        request: &UnsetStoragePolicyRequestProto,
    ) -> Result<Durable<UnsetStoragePolicyResponseProto>, Fault> {
        self.begin(caller);
        self.check_safe_mode(format_args!("unset storage policy for {}", request.src))?;
        self.change_policy(caller, &request.src, 0)?;
        Ok(self.durable(UnsetStoragePolicyResponseProto {}))
    }

    fn change_policy(&mut self, caller: &Caller<'_>, src: &str, policy: u8) -> Result<(), Fault> {
        let resolved = self.resolve(caller, src, Intent::Write)?;
        let slot = resolved.target().ok_or_else(|| {
            not_found(format!("File/Directory does not exist: {}", resolved.path()))
        })?;
        self.checker(caller).check(slot, WRITE)?;
        let inode = self.tree.get(slot);
        if inode.is_file() && policy == LAZY_PERSIST {
            return Err(illegal(
                "Policy LAZY_PERSIST cannot be set after file creation.".to_owned(),
            ));
        }
        self.log(&EditOp::SetStoragePolicy { path: resolved.into_path(), policy })
    }

    /// The policy a new file carries itself; 0 to inherit.
    pub(super) fn policy_for_create(
        &self,
        request: &CreateRequestProto,
        near: Slot,
    ) -> Result<u8, Fault> {
        if has_flag(request.create_flag, CreateFlagProto::LazyPersist) {
            return Ok(LAZY_PERSIST);
        }
        match request.storage_policy.as_deref().filter(|name| !name.is_empty()) {
            Some(name) => Ok(by_name(name)?.id),
            None if self.policy_of(near) == LAZY_PERSIST => Ok(LAZY_PERSIST),
            None => Ok(0),
        }
    }
}
