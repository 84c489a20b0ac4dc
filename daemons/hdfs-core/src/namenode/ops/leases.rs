//! renewLease and recoverLease.

use hdfs_wire::Fault;
use hdfs_wire::proto::hdfs::{
    RecoverLeaseRequestProto, RecoverLeaseResponseProto, RenewLeaseRequestProto,
    RenewLeaseResponseProto,
};

use super::super::lease_recovery::LeaseCall;
use super::super::permission::WRITE;
use super::super::resolve::Intent;
use super::super::tree::Mark;
use super::super::{Caller, Durable, Namenode, path};

impl Namenode {
    /// `renewLease`: the client lives. Unknown clients are welcome.
    ///
    /// # Errors
    /// Safe mode errors.
    pub fn renew_lease(
        &mut self,
        caller: &Caller<'_>,
        request: &RenewLeaseRequestProto,
    ) -> Result<Durable<RenewLeaseResponseProto>, Fault> {
        self.begin(caller);
        self.check_safe_mode(format_args!("renew lease for {}", request.client_name))?;
        self.leases.renew(&request.client_name, self.now);
        // Nothing is logged, so there is nothing to wait for.
        Ok(Durable::new(RenewLeaseResponseProto {}, 0))
    }

    /// `recoverLease`: takes a file from its writer. True when it is closed.
    ///
    /// # Errors
    /// `FileNotFoundException`, `AlreadyBeingCreatedException` while committed blocks wait for
    /// replicas; path, permission and safe mode errors.
    pub fn recover_lease(
        &mut self,
        caller: &Caller<'_>,
        request: &RecoverLeaseRequestProto,
    ) -> Result<Durable<RecoverLeaseResponseProto>, Fault> {
        self.begin(caller);
        let src = &request.src;
        self.check_safe_mode(format_args!("recover the lease of {src}"))?;
        if !path::is_valid(src) {
            return Err(Fault::io(format!("Invalid file name: {src}")));
        }
        let resolved = self.resolve(caller, src, Intent::Write)?;
        let slot = self.file_at(resolved.target(), src)?;
        if !self.tree.get(slot).has(Mark::Open) {
            return Ok(self.durable(RecoverLeaseResponseProto { result: true }));
        }
        self.checker(caller).check(slot, WRITE)?;
        let result = self.recover_lease_for(
            LeaseCall::RecoverLease,
            &resolved,
            &request.client_name,
            caller.address,
        )?;
        Ok(self.durable(RecoverLeaseResponseProto { result }))
    }
}
