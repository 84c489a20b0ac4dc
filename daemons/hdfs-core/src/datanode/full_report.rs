//! The full block report: every replica that is not a copy in the making, by storage.

use bytes::Bytes;
use hdfs_wire::block_list::{BufferWriter, ReplicaState, ReportedReplica};
use hdfs_wire::proto::hdfs::DatanodeStorageProto;
use hdfs_wire::proto::hdfs::datanode::StorageBlockReportProto;

use super::replica::{Replica, State, VolumeIndex};
use super::replicas::Replicas;

impl Replicas {
    /// The report of some storages, each with the index of its volume. A storage without replicas
    /// is reported too: the namenode forgets what is not in the report.
    pub fn full_report(
        &self,
        storages: impl IntoIterator<Item = (VolumeIndex, DatanodeStorageProto)>,
    ) -> Vec<StorageBlockReportProto> {
        let mut parts: Vec<_> = storages
            .into_iter()
            .map(|(volume, storage)| (volume, storage, BufferWriter::new()))
            .collect();
        for (id, replica) in self.iter() {
            let Some(entry) = reported(id, replica) else { continue };
            if let Some((_, _, writer)) = parts.iter_mut().find(|part| part.0 == replica.volume) {
                writer.push(&entry);
            }
        }
        parts.into_iter().map(|(_, storage, writer)| part(storage, writer.finish())).collect()
    }
}

/// A replica as it is reported; one under recovery with the state it had.
fn reported(id: i64, replica: &Replica) -> Option<ReportedReplica> {
    let state = match replica.place() {
        State::Finalized => ReplicaState::Finalized,
        State::Rbw => ReplicaState::BeingWritten,
        State::Rwr => ReplicaState::WaitingToBeRecovered,
        State::Rur | State::Temporary => return None,
    };
    Some(ReportedReplica { id, length: replica.length, stamp: replica.stamp, state })
}

fn part(storage: DatanodeStorageProto, blocks: (Vec<Bytes>, u64)) -> StorageBlockReportProto {
    let (blocks_buffers, count) = blocks;
    StorageBlockReportProto {
        storage,
        blocks: Vec::new(),
        number_of_blocks: Some(count),
        blocks_buffers,
    }
}

#[cfg(test)]
mod tests {
    use hdfs_wire::block_list::BufferReader;

    use super::*;

    #[test]
    fn all_but_copies_are_reported_each_under_its_storage() {
        let mut map = Replicas::new("BP-1");
        map.load(1, Replica::new(State::Finalized, 10, 100, 0));
        map.load(2, Replica::new(State::Rwr, 11, 200, 1));
        map.load(3, Replica::new(State::Temporary, 12, 300, 1));
        let storage = |name: &str| DatanodeStorageProto {
            storage_uuid: name.to_owned(),
            ..Default::default()
        };
        let report =
            map.full_report([(0, storage("DS-0")), (1, storage("DS-1")), (2, storage("DS-2"))]);
        let read = |part: &StorageBlockReportProto| {
            BufferReader::new(&part.blocks_buffers, part.number_of_blocks.unwrap_or(0))
                .collect::<Result<Vec<_>, _>>()
                .expect("readable")
        };
        assert_eq!(read(&report[0])[0].id, 1);
        let second = read(&report[1]);
        assert_eq!(
            second,
            [ReportedReplica {
                id: 2,
                length: 200,
                stamp: 11,
                state: ReplicaState::WaitingToBeRecovered
            }]
        );
        assert!(read(&report[2]).is_empty());
    }
}
