//! Operations on counters and on features that are kept without being served: cache pools and
//! directives, tokens, erasure coding policies, snapshottable directories.

use hdfs_disk::edits::EditOp;
use hdfs_wire::Fault;

use super::super::Namenode;
use super::super::retry::Answer;

impl Namenode {
    pub(super) fn apply_other(&mut self, op: &EditOp) -> Result<(), Fault> {
        match op {
            EditOp::AllocateBlockId { block_id } => {
                if *block_id >= 0 {
                    self.counters.block_id = *block_id;
                } else {
                    self.counters.striped_block_id = *block_id;
                }
            }
            EditOp::SetGenstampV2 { stamp } => self.counters.stamp = *stamp,
            EditOp::SetGenstampV1 { stamp } => self.counters.legacy_stamp = *stamp,
            EditOp::AllowSnapshot { root } => {
                let slot = self.existing(root)?;
                self.kept.snapshottable.insert(self.tree.get(slot).id());
            }
            EditOp::DisallowSnapshot { root } => {
                let slot = self.existing(root)?;
                self.kept.snapshottable.remove(&self.tree.get(slot).id());
            }
            EditOp::CreateSnapshot { root, .. }
            | EditOp::DeleteSnapshot { root, .. }
            | EditOp::RenameSnapshot { root, .. } => {
                return Err(Fault::io(format!(
                    "{root} has snapshots, which cannot be kept; delete them with Hadoop and save \
                     the namespace first"
                )));
            }
            EditOp::RollingUpgradeStart { time } => self.kept.rolling_upgrade = Some(*time as u64),
            EditOp::RollingUpgradeFinalize { .. } => self.kept.rolling_upgrade = None,
            EditOp::StartLogSegment | EditOp::EndLogSegment => {}
            _ => self.apply_kept(op)?,
        }
        Ok(())
    }

    fn apply_kept(&mut self, op: &EditOp) -> Result<(), Fault> {
        if let Some(rpc) = self.kept.apply(op).map_err(Fault::io)? {
            self.remember(&rpc, Answer::Done);
        }
        Ok(())
    }
}
