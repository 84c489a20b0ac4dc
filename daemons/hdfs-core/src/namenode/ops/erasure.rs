//! Erasure coding policies of directories: the attribute is kept and answered for. Files are not
//! striped here, so nothing can be created below such a directory.

use hdfs_disk::edits::EditOp;
use hdfs_disk::image::PolicyState;
use hdfs_disk::types::{XAttr, XAttrNamespace};
use hdfs_wire::proto::hdfs::{
    SetErasureCodingPolicyRequestProto, SetErasureCodingPolicyResponseProto,
    UnsetErasureCodingPolicyRequestProto, UnsetErasureCodingPolicyResponseProto,
};
use hdfs_wire::{Exception, Fault};

use super::super::apply::same_name;
use super::super::kept::{SYSTEM_POLICIES, policy_name};
use super::super::permission::WRITE;
use super::super::resolve::{Intent, Resolved};
use super::super::tree::Slot;
use super::super::{Caller, Durable, Namenode};
use super::{illegal, not_found};

/// The attribute that holds a directory's erasure coding policy.
const POLICY_XATTR: &str = "hdfs.erasurecoding.policy";

/// The policy that stands for plain replication.
const REPLICATION: &str = "replication";

/// The attribute with this policy: a 4-byte length and the name.
fn policy_xattr(name: &str) -> XAttr {
    let mut value = (name.len() as u32).to_be_bytes().to_vec();
    value.extend_from_slice(name.as_bytes());
    XAttr { namespace: XAttrNamespace::System, name: POLICY_XATTR.to_owned(), value: Some(value) }
}

impl Namenode {
    /// `setErasureCodingPolicy`.
    ///
    /// # Errors
    /// `HadoopIllegalArgumentException` for a policy that is not enabled, `FileNotFoundException`,
    /// `IOException` for a file; path, permission and safe mode errors.
    pub fn set_erasure_coding_policy(
        &mut self,
        caller: &Caller<'_>,
        request: &SetErasureCodingPolicyRequestProto,
    ) -> Result<Durable<SetErasureCodingPolicyResponseProto>, Fault> {
        self.begin(caller);
        let src = &request.src;
        if self.repeated(caller).is_some() {
            return Ok(self.durable(SetErasureCodingPolicyResponseProto {}));
        }
        self.check_safe_mode(format_args!("set erasure coding policy on {src}"))?;
        let name = request.ec_policy_name.as_deref().unwrap_or(SYSTEM_POLICIES[0]);
        self.check_policy_enabled(name)?;
        let (_, resolved) = self.coded_directory(caller, src, "set")?;
        let op = EditOp::SetXAttr {
            path: resolved.into_path(),
            xattrs: vec![policy_xattr(name)],
            rpc: Self::rpc_ids(caller),
        };
        self.log(&op)?;
        Ok(self.durable(SetErasureCodingPolicyResponseProto {}))
    }

    /// `unsetErasureCodingPolicy`.
    ///
    /// # Errors
    /// `NoECPolicySetException` when there is none, and those of
    /// [`Self::set_erasure_coding_policy`].
    pub fn unset_erasure_coding_policy(
        &mut self,
        caller: &Caller<'_>,
        request: &UnsetErasureCodingPolicyRequestProto,
    ) -> Result<Durable<UnsetErasureCodingPolicyResponseProto>, Fault> {
        self.begin(caller);
        let src = &request.src;
        if self.repeated(caller).is_some() {
            return Ok(self.durable(UnsetErasureCodingPolicyResponseProto {}));
        }
        self.check_safe_mode(format_args!("unset erasure coding policy on {src}"))?;
        let (slot, resolved) = self.coded_directory(caller, src, "unset")?;
        let wanted = policy_xattr("");
        let known = self.tree.xattrs(slot).iter().find(|each| same_name(each, &wanted)).cloned();
        let known = known.ok_or_else(|| {
            let message = format!("No erasure coding policy explicitly set on {}", resolved.path());
            Fault::new(Exception::NoEcPolicySet, message)
        })?;
        let op = EditOp::RemoveXAttr {
            path: resolved.into_path(),
            xattrs: vec![known],
            rpc: Self::rpc_ids(caller),
        };
        self.log(&op)?;
        Ok(self.durable(UnsetErasureCodingPolicyResponseProto {}))
    }

    fn coded_directory<'p>(
        &self,
        caller: &Caller<'_>,
        src: &'p str,
        what: &str,
    ) -> Result<(Slot, Resolved<'p>), Fault> {
        let resolved = self.resolve(caller, src, Intent::WriteLink)?;
        let slot = resolved
            .target()
            .ok_or_else(|| not_found(format!("Path not found: {}", resolved.path())))?;
        self.checker(caller).check(slot, WRITE)?;
        if self.tree.get(slot).is_directory() {
            return Ok((slot, resolved));
        }
        Err(Fault::io(format!("Attempt to {what} an erasure coding policy for a file {src}")))
    }

    fn check_policy_enabled(&self, name: &str) -> Result<(), Fault> {
        let enabled: Vec<_> = self
            .kept
            .policies
            .iter()
            // The default policy is on unless somebody removed it.
            .filter(|each| match each.state {
                PolicyState::Enabled => true,
                PolicyState::Disabled => each.id == 1,
                PolicyState::Removed => false,
            })
            .map(policy_name)
            .collect();
        if name == REPLICATION || enabled.contains(&name) {
            return Ok(());
        }
        Err(illegal(format!(
            "Policy '{name}' does not match any enabled erasure coding policies: [{}]. An erasure \
             coding policy can be enabled by enableErasureCodingPolicy API.",
            enabled.join(", ")
        )))
    }
}
