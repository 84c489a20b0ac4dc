//! A replica being written: from admission to finalize, or to letting go. The value owns the
//! replica's files; dropping it unfinished leaves a valid prefix (RBW) or nothing (TEMPORARY).

use std::io;
use std::net::TcpStream;
use std::sync::Arc;

use hdfs_core::datanode::append::Appender;
use hdfs_core::datanode::files::{self, Checksum, Place};
use hdfs_core::datanode::incremental::{BlockStatus, Change};
use hdfs_core::datanode::replicas::Stopped;
use hdfs_core::datanode::stages::{Admission, Plan, Request};
use hdfs_core::datanode::{Block, Replica, State, WriterId};
use hdfs_disk::disk::parent;
use hdfs_wire::Fault;
use hdfs_wire::checksum::ChecksumKind;
use hdfs_wire::proto::hdfs::StorageTypeProto;
use hdfs_wire::proto::hdfs::op_write_block_proto::BlockConstructionStage as Stage;

use crate::stop::Stop;
use crate::store::{Store, meta_estimate};
use crate::volume::Volume;

/// Who wants to write what.
pub(crate) struct Order<'a> {
    /// The rules' part; its volume is chosen here.
    pub(crate) request: Request,
    pub(crate) storage_type: StorageTypeProto,
    pub(crate) storage_id: &'a str,
    /// How a new replica is summed.
    pub(crate) checksum: Checksum,
    /// What to cut when the writer must stop.
    pub(crate) socket: &'a Arc<TcpStream>,
}

/// What an admission gives.
pub(crate) enum Begun {
    /// Data follows.
    Open(Box<Writing>),
    /// A close recovery: the replica is finalized already.
    Closed,
}

/// A replica held by a writer.
pub(crate) struct Writing {
    store: Arc<Store>,
    volume: Arc<Volume>,
    place: Place,
    writer: WriterId,
    appender: Appender,
    /// What stops this writer.
    pub(crate) stop: Arc<Stop>,
    /// Room set aside that is not used yet.
    promised: u64,
    /// Bytes the replica had when the writer came.
    length_before: u64,
    /// Somebody asked for durability (hsync).
    synced: bool,
    /// The folder of the replica has been synced.
    folder_synced: bool,
    is_settled: bool,
}

/// Why bytes could not be taken.
pub(crate) enum WriteError {
    /// Somebody stopped the writer.
    Stopped,
    /// The disk, or bytes that do not continue the replica.
    Failed(Fault),
}

impl From<Stopped> for WriteError {
    fn from(_: Stopped) -> Self {
        Self::Stopped
    }
}

impl Store {
    /// Admits a writer and prepares the files.
    pub(crate) fn begin(self: &Arc<Self>, order: &Order<'_>) -> Result<Begun, Fault> {
        let mut request = order.request;
        let creates = matches!(
            request.stage,
            Stage::PipelineSetupCreate | Stage::TransferRbw | Stage::TransferFinalized
        );
        // A client names the block's full size when it creates; a copy its own.
        let promised = request.block.length;
        if creates {
            let volume = self.choose_volume(order.storage_type, order.storage_id, promised)?;
            request.volume = volume.index;
        }
        let stop = Arc::new(Stop::default());
        stop.attach(order.socket);
        let Admission { writer, plan } = self.claim(|map| {
            let admission = map.admit(&request)?;
            self.enlist(admission.writer, &stop);
            Ok(admission)
        })?;
        let id = request.block.id;
        let begun = self.carry_out(plan, &request, order.checksum, writer, stop);
        if begun.is_err() {
            let mut map = self.replicas.lock();
            if creates {
                map.dropped(id, writer);
            } else {
                map.release(id, writer);
            }
            drop(map);
            self.retire(writer);
        }
        begun
    }

    fn carry_out(
        self: &Arc<Self>,
        plan: Plan,
        request: &Request,
        checksum: Checksum,
        writer: WriterId,
        stop: Arc<Stop>,
    ) -> Result<Begun, Fault> {
        let block = request.block;
        let index = match &plan {
            Plan::Create { .. } => request.volume,
            Plan::Append { old, .. } | Plan::Resume { old, .. } | Plan::Close { old, .. } => {
                old.volume
            }
        };
        let fault = |error: io::Error| self.io_fault(index, "open", block, &error);
        let volume = self.volume(index).map_err(fault)?;
        let opened = match plan {
            Plan::Create { state, stamp, old } => {
                self.open_new(&volume, old, Place { state, id: block.id, stamp }, checksum)
            }
            Plan::Append { old, stamp } => self.reopen(&volume, block.id, &old, stamp, old.length),
            Plan::Resume { old, stamp, length } => {
                self.reopen(&volume, block.id, &old, stamp, length)
            }
            Plan::Close { old, stamp } => {
                self.close(&volume, block.id, &old, stamp, writer).map_err(fault)?;
                return Ok(Begun::Closed);
            }
        };
        let (place, appender) = opened.map_err(fault)?;
        let length = appender.length();
        let promised =
            if place.state == State::Temporary || length == 0 { block.length } else { 0 };
        let gone = |_| Fault::io(format!("{block}: the writer was stopped at once"));
        {
            let mut map = self.replicas.lock();
            map.opened(block.id, writer, place.stamp, length).map_err(gone)?;
            map.received(block.id, writer, length, appender.tail()).map_err(gone)?;
        }
        volume.promise(promised);
        if place.state == State::Rbw {
            let receiving = Block { id: block.id, stamp: place.stamp, length };
            self.notice(index, receiving, BlockStatus::Receiving);
        }
        Ok(Begun::Open(Box::new(Writing {
            store: Arc::clone(self),
            volume,
            place,
            writer,
            appender,
            stop,
            promised,
            length_before: length,
            synced: false,
            folder_synced: false,
            is_settled: false,
        })))
    }

    fn open_new(
        &self,
        volume: &Volume,
        old: Option<Replica>,
        place: Place,
        checksum: Checksum,
    ) -> io::Result<(Place, Appender)> {
        if let Some(old) = old {
            let old_volume = self.volume(old.volume)?;
            self.delete_files(&old_volume, Self::place(place.id, &old), old.length)?;
        }
        let files = files::create(&*volume.disk, &self.layout, place, checksum)?;
        Ok((place, Appender::new(files, checksum)))
    }

    /// Opens, checks and cuts first, where a failure changes nothing; then moves. The open files
    /// stay the same through the move.
    fn reopen(
        &self,
        volume: &Volume,
        id: i64,
        old: &Replica,
        stamp: u64,
        length: u64,
    ) -> io::Result<(Place, Appender)> {
        let source = Self::place(id, old);
        let (files, checksum) = files::open(&*volume.disk, &self.layout, source)?;
        let appender = Appender::resume(files, checksum, length)?;
        let target = Place { state: State::Rbw, id, stamp };
        files::relocate(&*volume.disk, &self.layout, source, target)?;
        Ok((target, appender))
    }

    fn close(
        &self,
        volume: &Volume,
        id: i64,
        old: &Replica,
        stamp: u64,
        writer: WriterId,
    ) -> io::Result<()> {
        let source = Self::place(id, old);
        if old.state != State::Finalized {
            let (files, checksum) = files::open(&*volume.disk, &self.layout, source)?;
            Appender::resume(files, checksum, old.length)?;
        }
        let target = Place { state: State::Finalized, id, stamp };
        files::relocate(&*volume.disk, &self.layout, source, target)?;
        let closed = {
            let mut map = self.replicas.lock();
            map.opened(id, writer, stamp, old.length).and_then(|()| map.finalized(id, writer))
        };
        self.retire(writer);
        if let Ok(block) = closed {
            self.notice(volume.index, block, BlockStatus::Received);
        }
        Ok(())
    }
}

impl Writing {
    /// Bytes on disk.
    pub(crate) fn length(&self) -> u64 {
        self.appender.length()
    }

    pub(crate) fn block_id(&self) -> i64 {
        self.place.id
    }

    pub(crate) fn writer(&self) -> WriterId {
        self.writer
    }

    /// Whether the packet's checksums can be stored as they are: same kind, same chunks, and it
    /// starts on one. Otherwise they must be checked before [`Writing::append`] computes new ones.
    pub(crate) fn takes_sums(&self, start: u64, sums: Checksum) -> bool {
        let own = self.appender.checksum();
        own.kind == ChecksumKind::Null
            || own == sums && start.is_multiple_of(u64::from(own.chunk_size))
    }

    fn block(&self) -> Block {
        Block { id: self.place.id, stamp: self.place.stamp, length: self.length() }
    }

    fn fault(&self, what: &str, error: &io::Error) -> WriteError {
        WriteError::Failed(self.store.io_fault(self.volume.index, what, self.block(), error))
    }

    /// Takes the bytes of a packet; `sums` only if they may be stored as they are.
    pub(crate) fn append(
        &mut self,
        start: u64,
        bytes: &[u8],
        sums: Option<&[u8]>,
    ) -> Result<(), WriteError> {
        if self.stop.is_stopped() {
            return Err(WriteError::Stopped);
        }
        let before = self.length();
        if !self.appender.append(start, bytes, sums).map_err(|error| self.fault("write", &error))? {
            return Ok(());
        }
        let (length, tail) = (self.length(), self.appender.tail());
        let written = length - before;
        self.store.replicas.lock().received(self.place.id, self.writer, length, tail)?;
        self.store.counters.bytes_written.add(written);
        let used_up = written.min(self.promised);
        self.promised -= used_up;
        self.volume.fulfil(used_up);
        Ok(())
    }

    /// Makes everything taken so far durable.
    pub(crate) fn sync(&mut self) -> Result<(), WriteError> {
        self.synced = true;
        self.store.counters.fsyncs.increment();
        let folder = self.store.layout.folder(self.place.state, self.place.id);
        let synced = self.appender.sync().and_then(|()| match self.folder_synced {
            true => Ok(()),
            false => self.volume.disk.sync_folder(&folder),
        });
        if let Err(error) = synced {
            // What the disk has now is not known, and asking again proves nothing.
            self.store.fail_volume(self.volume.index, &error);
            return Err(self.fault("sync", &error));
        }
        self.folder_synced = true;
        Ok(())
    }

    /// Ends the write: the replica is FINALIZED and the report queued when this returns.
    /// `delete_hint` names the datanode whose replica is to go after a move.
    pub(crate) fn finalize(mut self, delete_hint: Option<String>) -> Result<Block, Fault> {
        let durable = self.synced || self.store.sync_on_close;
        let target = Place { state: State::Finalized, ..self.place };
        let finished = self.finish(durable, target);
        let block = match finished {
            Ok(()) => self.store.replicas.lock().finalized(self.place.id, self.writer),
            Err(error) => {
                return Err(self.store.io_fault(
                    self.volume.index,
                    "finalize",
                    self.block(),
                    &error,
                ));
            }
        };
        self.settle();
        let block = block
            .map_err(|Stopped| Fault::io(format!("{}: the writer was stopped", self.block())))?;
        self.store.counters.blocks_written.increment();
        let change = Change { block, status: BlockStatus::Received, delete_hint };
        self.store.changed(self.volume.index, change);
        Ok(block)
    }

    /// Ends a pipeline transfer: the copy becomes RBW, or FINALIZED without a report (the pipeline
    /// that goes on with it reports it).
    pub(crate) fn convert(mut self, state: State) -> Result<Block, Fault> {
        let target = Place { state, ..self.place };
        if let Err(error) = self.finish(self.store.sync_on_close, target) {
            return Err(self.store.io_fault(self.volume.index, "convert", self.block(), &error));
        }
        let converted = {
            let mut map = self.store.replicas.lock();
            if state == State::Rbw {
                map.converted(self.place.id, self.writer)
            } else {
                map.finalized(self.place.id, self.writer)
            }
        };
        self.settle();
        converted.map_err(|Stopped| Fault::io(format!("{}: the writer was stopped", self.block())))
    }

    fn finish(&mut self, durable: bool, target: Place) -> io::Result<()> {
        let disk = &*self.volume.disk;
        if durable {
            self.store.counters.fsyncs.increment();
            if let Err(error) = self.appender.sync() {
                self.store.fail_volume(self.volume.index, &error);
                return Err(error);
            }
        }
        files::relocate(disk, &self.store.layout, self.place, target)?;
        if durable {
            let folder = self.store.layout.folder(target.state, target.id);
            let above = parent(&folder).to_owned();
            let synced = disk.sync_folder(&folder).and_then(|()| disk.sync_folder(&above));
            if let Err(error) = synced {
                self.store.fail_volume(self.volume.index, &error);
                return Err(error);
            }
        }
        self.place = target;
        Ok(())
    }

    fn settle(&mut self) {
        self.is_settled = true;
        self.volume.fulfil(std::mem::take(&mut self.promised));
        let (before, now) = (self.length_before, self.length());
        let meta =
            meta_estimate(now).saturating_sub(if before == 0 { 0 } else { meta_estimate(before) });
        self.volume.grow(now.saturating_sub(before) + meta);
        self.store.retire(self.writer);
    }
}

impl Drop for Writing {
    fn drop(&mut self) {
        if self.is_settled {
            return;
        }
        let id = self.place.id;
        if self.place.state == State::Temporary {
            let deleted = files::delete(&*self.volume.disk, &self.store.layout, self.place);
            if let Err(error) = deleted {
                tracing::warn!(%error, "cannot delete the unfinished copy {}", self.block());
            }
            self.store.replicas.lock().dropped(id, self.writer);
            self.length_before = 0;
            self.is_settled = true;
            self.volume.fulfil(std::mem::take(&mut self.promised));
            self.store.retire(self.writer);
            return;
        }
        // What a failed write left behind the last checksum; if even this fails, the next writer
        // or the next start cuts it.
        if let Err(error) = self.appender.trim() {
            tracing::debug!(%error, "cannot trim {}", self.block());
        }
        self.store.replicas.lock().release(id, self.writer);
        self.settle();
    }
}
