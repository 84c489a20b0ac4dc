//! Storage policies: which storage types a block's replicas want, and what will do instead. The
//! table of `hdfs/semantics` section 11, as data.

use hdfs_wire::proto::hdfs::StorageTypeProto::{
    self, Archive, Disk, Nvdimm, Provided, RamDisk, Ssd,
};

/// One policy: replica k wants `types[k]` (the last one goes on for ever).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Policy {
    id: u8,
    types: &'static [StorageTypeProto],
    /// Types for a new block when the wanted ones have no room.
    creation: &'static [StorageTypeProto],
    /// The same for copies of an existing block.
    replication: &'static [StorageTypeProto],
}

const fn policy(
    id: u8,
    types: &'static [StorageTypeProto],
    creation: &'static [StorageTypeProto],
    replication: &'static [StorageTypeProto],
) -> Policy {
    Policy { id, types, creation, replication }
}

/// All system policies; HOT first, as it stands for every unknown number.
const POLICIES: [Policy; 8] = [
    policy(7, &[Disk], &[], &[Archive]),
    policy(15, &[RamDisk, Disk], &[Disk], &[Disk]),
    policy(14, &[Nvdimm], &[Disk], &[Disk]),
    policy(12, &[Ssd], &[Disk], &[Disk]),
    policy(10, &[Ssd, Disk], &[Ssd, Disk], &[Ssd, Disk]),
    policy(5, &[Disk, Archive], &[Disk, Archive], &[Disk, Archive]),
    policy(2, &[Archive], &[], &[]),
    policy(1, &[Provided, Disk], &[Provided, Disk], &[Provided, Disk]),
];

/// New block or copy: decides what will do instead.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    Creation,
    Copy,
}

/// The policy of that number; 0 and unknown numbers are HOT.
pub(super) fn of(id: u8) -> &'static Policy {
    POLICIES.iter().find(|policy| policy.id == id).unwrap_or(&POLICIES[0])
}

impl Policy {
    /// Acceptable types of replica number `place` (0-based), best first. A copy of a block whose
    /// policy is not known takes any fallback last.
    pub(super) fn types(
        &self,
        place: usize,
        purpose: Purpose,
    ) -> impl Iterator<Item = StorageTypeProto> + '_ {
        let wanted = self.types[place.min(self.types.len() - 1)];
        let instead = match purpose {
            Purpose::Creation => self.creation,
            Purpose::Copy => self.replication,
        };
        let instead = instead.iter().copied().filter(move |each| *each != wanted);
        std::iter::once(wanted).chain(instead)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table() {
        let types = |id, place, purpose| of(id).types(place, purpose).collect::<Vec<_>>();
        assert_eq!(types(7, 2, Purpose::Creation), [Disk]);
        assert_eq!(types(7, 2, Purpose::Copy), [Disk, Archive]);
        assert_eq!(types(0, 0, Purpose::Creation), [Disk]);
        assert_eq!(types(99, 0, Purpose::Creation), [Disk]);
        assert_eq!(types(10, 0, Purpose::Creation), [Ssd, Disk]);
        assert_eq!(types(10, 1, Purpose::Creation), [Disk, Ssd]);
        assert_eq!(types(10, 5, Purpose::Creation), [Disk, Ssd]);
        assert_eq!(types(5, 0, Purpose::Creation), [Disk, Archive]);
        assert_eq!(types(5, 1, Purpose::Copy), [Archive, Disk]);
        assert_eq!(types(2, 1, Purpose::Creation), [Archive]);
        assert_eq!(types(15, 0, Purpose::Creation), [RamDisk, Disk]);
    }
}
