//! State of features that are not served yet but must survive a load and a save: cache pools and
//! directives, delegation tokens, erasure coding policies, snapshottable directories.

use std::collections::BTreeSet;

use hdfs_disk::edits::{EditOp, RpcIds};
use hdfs_disk::image::{CacheManager, ErasureCodingPolicy, PolicyState, Secrets};

/// First id of erasure coding policies that users add.
const USER_POLICY_MIN: u8 = 64;

/// Names of the system's erasure coding policies; the index plus one is the id.
pub(crate) const SYSTEM_POLICIES: [&str; 5] =
    ["RS-6-3-1024k", "RS-3-2-1024k", "RS-LEGACY-6-3-1024k", "XOR-2-1-1024k", "RS-10-4-1024k"];

/// What is only carried along.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Kept {
    /// Inode ids of directories that allow snapshots.
    pub(crate) snapshottable: BTreeSet<u64>,
    /// Snapshots ever made.
    pub(crate) snapshot_counter: u32,
    /// When a rolling upgrade began.
    pub(crate) rolling_upgrade: Option<u64>,
    /// Cache pools and directives, unread.
    pub(crate) cache: CacheManager,
    /// Delegation tokens and keys.
    pub(crate) secrets: Secrets,
    /// Erasure coding policies.
    pub(crate) policies: Vec<ErasureCodingPolicy>,
}

impl Default for Kept {
    fn default() -> Self {
        Self {
            snapshottable: BTreeSet::new(),
            snapshot_counter: 0,
            rolling_upgrade: None,
            cache: CacheManager::default(),
            secrets: Secrets::default(),
            policies: ErasureCodingPolicy::system(),
        }
    }
}

impl Kept {
    /// Carries an operation out, and says which call it remembers.
    ///
    /// # Errors
    /// An operation on something that is not there, or that nobody keeps.
    pub(crate) fn apply(&mut self, op: &EditOp) -> Result<Option<RpcIds>, String> {
        match op {
            EditOp::IssueDelegationToken { token, expiry }
            | EditOp::RenewDelegationToken { token, expiry } => {
                self.secrets.sequence = self.secrets.sequence.max(token.sequence);
                let tokens = &mut self.secrets.tokens;
                tokens.retain(|(each, _)| each.sequence != token.sequence);
                tokens.push((token.clone(), *expiry));
            }
            EditOp::CancelDelegationToken { token } => {
                self.secrets.tokens.retain(|(each, _)| each.sequence != token.sequence);
            }
            EditOp::UpdateMasterKey { key } => {
                self.secrets.current_key_id = self.secrets.current_key_id.max(key.id);
                self.secrets.keys.retain(|each| each.id != key.id);
                self.secrets.keys.push(key.clone());
            }
            EditOp::AddCacheDirective { .. }
            | EditOp::ModifyCacheDirective { .. }
            | EditOp::RemoveCacheDirective { .. }
            | EditOp::AddCachePool { .. }
            | EditOp::ModifyCachePool { .. }
            | EditOp::RemoveCachePool { .. } => {
                return Err(
                    "cache pools changed since the last image; let the release that wrote \
                            the log save its namespace, and start again"
                        .to_owned(),
                );
            }
            _ => return self.apply_erasure_coding(op),
        }
        Ok(None)
    }

    fn apply_erasure_coding(&mut self, op: &EditOp) -> Result<Option<RpcIds>, String> {
        let (name, state, rpc) = match op {
            EditOp::AddErasureCodingPolicy { schema, cell_size, rpc } => {
                let newest = self.policies.iter().map(|policy| policy.id).max().unwrap_or(0);
                let id = newest.saturating_add(1).max(USER_POLICY_MIN);
                let name = format!(
                    "{}-{}-{}-{}k",
                    schema.codec.to_uppercase(),
                    schema.data_units,
                    schema.parity_units,
                    cell_size / 1024
                );
                let custom = Some((name, schema.clone(), *cell_size));
                let state = PolicyState::Disabled;
                self.policies.push(ErasureCodingPolicy { id, state, custom });
                return Ok(Some(*rpc));
            }
            EditOp::EnableErasureCodingPolicy { name, rpc } => (name, PolicyState::Enabled, rpc),
            EditOp::DisableErasureCodingPolicy { name, rpc } => (name, PolicyState::Disabled, rpc),
            EditOp::RemoveErasureCodingPolicy { name, rpc } => (name, PolicyState::Removed, rpc),
            _ => return Err(format!("unexpected operation {op:?}")),
        };
        let policy = self.policies.iter_mut().find(|policy| policy_name(policy) == name);
        policy.ok_or("unknown erasure coding policy")?.state = state;
        Ok(Some(*rpc))
    }
}

/// The name of a policy, the system's or a user's.
pub(crate) fn policy_name(policy: &ErasureCodingPolicy) -> &str {
    match &policy.custom {
        Some((name, ..)) => name,
        None => usize::from(policy.id)
            .checked_sub(1)
            .and_then(|index| SYSTEM_POLICIES.get(index))
            .copied()
            .unwrap_or(""),
    }
}
