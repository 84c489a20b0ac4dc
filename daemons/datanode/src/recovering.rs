//! Block recovery on this datanode's own replicas: what InterDatanodeProtocol asks for. The
//! decisions are the core's and the primary's.

use std::io;

use hdfs_core::datanode::files::{self, Place};
use hdfs_core::datanode::incremental::BlockStatus;
use hdfs_core::datanode::recovery::{Answer, Update};
use hdfs_core::datanode::{Block, State};
use hdfs_wire::Fault;

use crate::store::{Store, meta_estimate};

impl Store {
    /// Puts a replica under recovery, stopping its writer.
    pub(crate) fn begin_recovery(
        &self,
        block: Block,
        recovery_id: u64,
    ) -> Result<Option<Answer>, Fault> {
        self.claim(|map| map.begin_recovery(block, recovery_id))
    }

    /// Cuts the replica to the decided length, gives it the recovery's stamp and finalizes it.
    /// Returns the storage it lies on.
    pub(crate) fn update_recovery(
        &self,
        block: Block,
        recovery_id: u64,
        length: u64,
    ) -> Result<String, Fault> {
        let update = self.claim(|map| map.update_recovery(block, recovery_id, length))?;
        let (index, writer) = (update.old.volume, update.writer);
        let moved = self.carry_out_update(block.id, &update);
        let mut map = self.replicas.lock();
        let storage_id = match moved {
            Ok(storage_id) => storage_id,
            Err(error) => {
                map.release(block.id, writer);
                drop(map);
                return Err(self.io_fault(index, "recover", block, &error));
            }
        };
        let finalized = map
            .opened(block.id, writer, update.stamp, length)
            .and_then(|()| map.finalized(block.id, writer))
            .map_err(|_| Fault::io(format!("{block}: the recovery was stopped")))?;
        drop(map);
        self.notice(index, finalized, BlockStatus::Received);
        Ok(storage_id)
    }

    fn carry_out_update(&self, id: i64, update: &Update) -> io::Result<String> {
        let volume = self.volume(update.old.volume)?;
        let disk = &*volume.disk;
        let source = Self::place(id, &update.old);
        let (mut opened, checksum) = files::open(disk, &self.layout, source)?;
        hdfs_core::datanode::append::cut(&mut opened, checksum, update.length)?;
        drop(opened);
        let target = Place { state: State::Finalized, id, stamp: update.stamp };
        files::relocate(disk, &self.layout, source, target)?;
        let (before, now) = (update.old.length, update.length);
        volume.shrink((before - now) + (meta_estimate(before) - meta_estimate(now)));
        Ok(volume.storage_id.clone())
    }
}
