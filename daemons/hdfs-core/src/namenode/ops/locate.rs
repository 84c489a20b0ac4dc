//! getBlockLocations, and the access time that goes with opening a file.

use hdfs_disk::edits::EditOp;
use hdfs_wire::proto::hdfs::{
    CorruptFileBlocksProto, GetBlockLocationsRequestProto, GetBlockLocationsResponseProto,
    ListCorruptFileBlocksRequestProto, ListCorruptFileBlocksResponseProto, LocatedBlocksProto,
};
use hdfs_wire::{Exception, Fault};

use super::super::blocks::BlockState;
use super::super::path;
use super::super::permission::READ;
use super::super::resolve::Intent;
use super::super::tree::{Mark, Slot};
use super::super::{Caller, Namenode};

/// Blocks looked at for one page of corrupt files; as many as Java answers at most.
const CORRUPT_PAGE: usize = 100;

impl Namenode {
    /// `getBlockLocations`: where the bytes of a range of a file are.
    ///
    /// # Errors
    /// `FileNotFoundException`, `SafeModeException` when a block has no known location yet; path
    /// and permission errors.
    pub fn get_block_locations(
        &self,
        caller: &Caller<'_>,
        request: &GetBlockLocationsRequestProto,
    ) -> Result<GetBlockLocationsResponseProto, Fault> {
        let (src, offset, length) = (&request.src, request.offset, request.length);
        if offset > i64::MAX as u64 {
            let message = format!("Negative offset is not supported. File: {src}");
            return Err(Fault::new(Exception::IllegalArgument, message));
        }
        if length > i64::MAX as u64 {
            let message = format!("Negative length is not supported. File: {src}");
            return Err(Fault::new(Exception::IllegalArgument, message));
        }
        let resolved = self.resolve(caller, src, Intent::Read)?;
        let slot = self.file_at(resolved.target(), src)?;
        self.checker(caller).check(slot, READ)?;
        let located = self.located_blocks(slot, offset, length, caller.address);
        if self.blocks.in_safe_mode() && located.blocks.iter().any(|block| block.locs.is_empty()) {
            return Err(self.safe_mode_fault(&format_args!("Zero blocklocations for {src}")));
        }
        Ok(GetBlockLocationsResponseProto { locations: Some(located) })
    }

    /// The blocks that overlap a range, and what a reader must know of the last one.
    pub(crate) fn located_blocks(
        &self,
        file: Slot,
        offset: u64,
        length: u64,
        reader: &str,
    ) -> LocatedBlocksProto {
        let ids = self.tree.blocks(file);
        let mut located = LocatedBlocksProto {
            under_construction: self.tree.get(file).has(Mark::Open),
            ..LocatedBlocksProto::default()
        };
        let Some(last) = ids.last() else { return located };
        let is_complete = self.is_complete(last);
        let end = offset.saturating_add(length);
        let mut position = 0;
        for id in ids.iter() {
            let bytes = self.block_length(id);
            // A range of no bytes still asks for the block it is in.
            let overlaps = position + bytes > offset
                && (position < end || (length == 0 && position <= offset));
            if overlaps {
                located.blocks.push(self.blocks.located(id, position, reader));
            }
            if id == last {
                located.last_block = Some(self.blocks.located(id, position, reader));
            }
            if id != last || is_complete {
                position += bytes;
            }
        }
        located.file_length = position;
        located.is_last_block_complete = is_complete;
        located
    }

    pub(crate) fn is_complete(&self, id: i64) -> bool {
        self.blocks.block(id).is_some_and(|(_, state)| state == BlockState::Complete)
    }

    /// `listCorruptFileBlocks`: files below a path with a block nobody has a good replica of, a
    /// page at a time.
    ///
    /// # Errors
    /// `IOException` for a cookie that is not ours; path errors.
    pub fn list_corrupt_file_blocks(
        &self,
        _: &Caller<'_>,
        request: &ListCorruptFileBlocksRequestProto,
    ) -> Result<ListCorruptFileBlocksResponseProto, Fault> {
        let prefix = path::normalize(&request.path)?;
        let cookie = match request.cookie.as_deref() {
            None | Some("") => 0,
            Some(text) => text.parse().map_err(|_| {
                Fault::io(format!("Cookie {text} is not one of this call's answers"))
            })?,
        };
        let (missing, next) = self.blocks.missing_blocks(cookie, CORRUPT_PAGE);
        let files = missing.into_iter().filter_map(|(_, file)| {
            let path = self.tree.path(self.tree.by_id(file)?);
            path::is_below(&path, &prefix).then_some(path)
        });
        let corrupt = CorruptFileBlocksProto { files: files.collect(), cookie: next.to_string() };
        Ok(ListCorruptFileBlocksResponseProto { corrupt })
    }

    /// Whether a successful `get_block_locations` of this path asks for a new access time: then
    /// call [`Self::touch_access_time`].
    pub fn access_time_due(&self, caller: &Caller<'_>, src: &str) -> bool {
        let precision = self.config.access_time_precision;
        if precision == 0 || self.blocks.in_safe_mode() {
            return false;
        }
        let resolved = self.resolve(caller, src, Intent::Read);
        let target = resolved.ok().and_then(|resolved| resolved.target());
        target.is_some_and(|slot| caller.now > self.tree.get(slot).atime() + precision)
    }

    /// Sets the access time of a file that was opened for reading.
    ///
    /// # Errors
    /// None that matter to the reader; the file may be gone.
    pub fn touch_access_time(&mut self, caller: &Caller<'_>, src: &str) -> Result<(), Fault> {
        self.begin(caller);
        if !self.access_time_due(caller, src) {
            return Ok(());
        }
        let path = self.resolve(caller, src, Intent::Read)?.into_path();
        self.log(&EditOp::Times { path, mtime: -1, atime: self.now as i64 })
    }
}
