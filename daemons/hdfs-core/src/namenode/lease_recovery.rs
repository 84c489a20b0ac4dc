//! Taking a file over from a writer that went away: when it may be done, and how far it gets at
//! once. Used by create, append, truncate and recoverLease of other clients, and by the clock.

use std::sync::Arc;

use hdfs_disk::edits::EditOp;
use hdfs_wire::{Exception, Fault};

use super::Namenode;
use super::blocks::BlockState;
use super::lease::{NAMENODE_HOLDER, namenode_holder};
use super::resolve::Resolved;
use super::tree::{Mark, Slot};

/// The call that asks for the file, as messages name it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LeaseCall {
    CreateFile,
    AppendFile,
    TruncateFile,
    RecoverLease,
}

impl LeaseCall {
    fn name(self) -> &'static str {
        match self {
            Self::CreateFile => "CREATE_FILE",
            Self::AppendFile => "APPEND_FILE",
            Self::TruncateFile => "TRUNCATE_FILE",
            Self::RecoverLease => "RECOVER_LEASE",
        }
    }
}

impl Namenode {
    /// Makes sure nobody writes the file that a call wants, taking it over from a writer whose
    /// lease has passed the soft limit (or from anybody, for recoverLease).
    ///
    /// True when the file is closed now; false when its recovery has begun (recoverLease only).
    ///
    /// # Errors
    /// `AlreadyBeingCreatedException` when the writer is alive or is the caller itself;
    /// `RecoveryInProgressException` when the file is on its way.
    pub(crate) fn recover_lease_for(
        &mut self,
        call: LeaseCall,
        resolved: &Resolved<'_>,
        holder: &str,
        machine: &str,
    ) -> Result<bool, Fault> {
        let Some(slot) = resolved.target().filter(|&slot| self.tree.get(slot).has(Mark::Open))
        else {
            return Ok(true);
        };
        let src = resolved.path();
        let failed = |exception, reason: &str| {
            let call = call.name();
            let message =
                format!("Failed to {call} {src} for {holder} on {machine} because {reason}");
            Fault::new(exception, message)
        };
        let Some(writer) = self.leases.writer(self.tree.get(slot).id()).cloned() else {
            let reason = "the file is under construction but no leases found.";
            return Err(failed(Exception::AlreadyBeingCreated, reason));
        };
        if call == LeaseCall::RecoverLease {
            return self.release(slot, &writer.holder, Some(holder));
        }
        if &*writer.holder == holder {
            let reason = format!("{holder} is already the current lease holder.");
            return Err(failed(Exception::AlreadyBeingCreated, &reason));
        }
        let renewed = self.leases.lease(&writer.holder).map_or(0, |lease| lease.renewed);
        if renewed + self.config.lease_soft_limit < self.now {
            if self.release(slot, &writer.holder, None)? {
                return Ok(true);
            }
            let reason = "lease recovery is in progress. Try again later.";
            return Err(failed(Exception::RecoveryInProgress, reason));
        }
        let last = self.tree.blocks(slot).last().and_then(|id| self.blocks.block(id));
        let (owner, host) = (&writer.holder, &writer.machine);
        if last.is_some_and(|(_, state)| state == BlockState::UnderRecovery) {
            let reason = format!("another recovery is in progress by {owner} on {host}");
            return Err(failed(Exception::RecoveryInProgress, &reason));
        }
        let reason = format!("this file lease is currently owned by {owner} on {host}");
        Err(failed(Exception::AlreadyBeingCreated, &reason))
    }

    /// Closes a file without its writer, or starts the recovery of its last block. True when
    /// closed.
    fn release(
        &mut self,
        slot: Slot,
        holder: &str,
        new_holder: Option<&str>,
    ) -> Result<bool, Fault> {
        let ids = self.tree.blocks(slot);
        let open = ids.iter().filter(|&id| !self.is_complete(id)).collect::<Vec<_>>();
        let (last, penultimate) = (ids.last(), ids.penultimate());
        let Some(last) = last.filter(|_| !open.is_empty()) else {
            return self.close_file(slot).map(|()| true);
        };
        let state = |id| self.blocks.block(id).map(|(_, state)| state);
        let odd = open.iter().find(|&&id| {
            id != last && (Some(id) != penultimate || state(id) != Some(BlockState::Committed))
        });
        if let Some(id) = odd {
            return Err(Fault::io(format!(
                "DIR* NameSystem.internalReleaseLease: attempt to release a create lock on {} but \
                 its block blk_{id} is in a state in which it cannot be closed",
                self.tree.path(slot)
            )));
        }
        let least = usize::from(self.config.replication_min);
        let is_stored = |id| self.blocks.live_replicas(id) >= least;
        match state(last) {
            Some(BlockState::Complete | BlockState::Committed) => {
                if is_stored(last) && penultimate.is_none_or(is_stored) {
                    for id in open {
                        self.blocks.mark_complete(id);
                    }
                    return self.close_file(slot).map(|()| true);
                }
                let message = format!(
                    "DIR* NameSystem.internalReleaseLease: Failed to release lease for file {}. \
                     Committed blocks are waiting to be minimally replicated.",
                    self.tree.path(slot)
                );
                Err(Fault::new(Exception::AlreadyBeingCreated, message))
            }
            _ => self.recover_last(slot, last, holder, new_holder),
        }
    }

    /// The last block was being written when its writer went away.
    fn recover_last(
        &mut self,
        slot: Slot,
        last: i64,
        holder: &str,
        new_holder: Option<&str>,
    ) -> Result<bool, Fault> {
        if self.block_length(last) == 0 && !self.blocks.was_placed(last) {
            // The writer never reached a datanode.
            self.drop_last(slot)?;
            return self.close_file(slot).map(|()| true);
        }
        if self.blocks.recovery_due(self.now, last) {
            let stamp = self.next_stamp()?;
            self.blocks.start_recovery(self.now, last, stamp);
        }
        let new_holder = new_holder.unwrap_or(holder);
        if new_holder != holder {
            let op = EditOp::ReassignLease {
                holder: holder.to_owned(),
                path: self.tree.path(slot),
                new_holder: new_holder.to_owned(),
            };
            self.log(&op)?;
        }
        self.leases.renew(new_holder, self.now);
        Ok(false)
    }

    /// Takes an abandoned last block away. The close that follows says so in the log.
    fn drop_last(&mut self, slot: Slot) -> Result<(), Fault> {
        let mut blocks = self.records(slot);
        blocks.pop();
        let path = self.tree.path(slot);
        let rpc = hdfs_disk::edits::RpcIds::NONE;
        self.log(&EditOp::UpdateBlocks { path, blocks, rpc })
    }

    /// Files whose writers passed the hard limit are taken over by the namenode itself.
    pub(crate) fn release_expired_leases(&mut self) {
        if self.blocks.in_safe_mode() {
            return;
        }
        let expired = self.leases.expired(self.now, self.config.lease_hard_limit);
        if expired.is_empty() {
            return;
        }
        let new_holder = namenode_holder(self.now);
        for (holder, id) in expired {
            self.release_expired(&holder, id, &new_holder);
        }
    }

    fn release_expired(&mut self, holder: &Arc<str>, id: u64, new_holder: &str) {
        let Some(slot) = self.tree.by_id(id) else {
            self.leases.close(id);
            return;
        };
        // The namenode's own leases stay its own.
        let new_holder = (!holder.starts_with(NAMENODE_HOLDER)).then_some(new_holder);
        // Refused while committed blocks wait for replicas: the next look may find them.
        let _ = self.release(slot, holder, new_holder);
    }
}
