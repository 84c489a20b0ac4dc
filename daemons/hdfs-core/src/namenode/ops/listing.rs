//! getListing: one page of a directory in the order of names.

use hdfs_wire::Fault;
use hdfs_wire::proto::hdfs::{
    DirectoryListingProto, GetListingRequestProto, GetListingResponseProto, HdfsFileStatusProto,
};

use super::super::path;
use super::super::permission::{EXECUTE, READ};
use super::super::resolve::Intent;
use super::super::tree::Slot;
use super::super::{Caller, Namenode};

impl Namenode {
    /// `getListing`: entries after a name; a file lists itself under an empty name; a missing path
    /// gives an empty answer.
    ///
    /// # Errors
    /// Path and permission errors.
    pub fn get_listing(
        &self,
        caller: &Caller<'_>,
        request: &GetListingRequestProto,
    ) -> Result<GetListingResponseProto, Fault> {
        if path::is_reserved(&request.src)
            && let Some(listing) = self.reserved_listing(&request.src)
        {
            return Ok(GetListingResponseProto { dir_list: Some(listing) });
        }
        let resolved = self.resolve(caller, &request.src, Intent::Read)?;
        let Some(slot) = resolved.target() else {
            // A directory that allows snapshots has a list of them, always empty here.
            let is_list =
                resolved.name() == path::SNAPSHOT && self.is_in_snapshots(resolved.path());
            let dir_list = is_list.then(DirectoryListingProto::default);
            return Ok(GetListingResponseProto { dir_list });
        };
        let listing = if self.tree.get(slot).is_directory() {
            self.checker(caller).check(slot, READ | EXECUTE)?;
            self.page(caller, slot, request)
        } else {
            let entry = self.listed(caller, slot, b"", request.need_location);
            DirectoryListingProto { partial_listing: vec![entry], remaining_entries: 0 }
        };
        Ok(GetListingResponseProto { dir_list: Some(listing) })
    }

    fn page(
        &self,
        caller: &Caller<'_>,
        directory: Slot,
        request: &GetListingRequestProto,
    ) -> DirectoryListingProto {
        let Some(children) = self.tree.children(directory) else {
            return DirectoryListingProto::default();
        };
        let start = &request.start_after[..];
        let (count, entries) = children.after(|slot| match start {
            b"" => std::cmp::Ordering::Greater,
            _ => self.tree.order(slot, start),
        });
        let limit = self.config.listing_limit.max(1);
        let mut page = Vec::with_capacity(count.min(limit));
        let mut locations = 0;
        for slot in entries.take(limit) {
            let entry = self.listed(caller, slot, self.tree.name(slot), request.need_location);
            if let Some(located) = &entry.locations {
                locations += located.blocks.len() * entry.block_replication() as usize;
            }
            page.push(entry);
            if locations >= limit {
                break;
            }
        }
        let remaining_entries = (count - page.len()) as u32;
        DirectoryListingProto { partial_listing: page, remaining_entries }
    }

    fn listed(
        &self,
        caller: &Caller<'_>,
        slot: Slot,
        name: &[u8],
        with_locations: bool,
    ) -> HdfsFileStatusProto {
        let mut status = self.status(slot, name);
        if with_locations && self.tree.get(slot).is_file() {
            status.locations = Some(self.located_blocks(slot, 0, u64::MAX, caller.address));
        }
        status
    }

    fn reserved_listing(&self, src: &str) -> Option<DirectoryListingProto> {
        let clean = path::normalize(src).ok()?;
        if &*clean != "/.reserved" {
            return None;
        }
        let names = [path::INODES, path::RAW];
        let entry = |name: &str| {
            let mut status = self.reserved_status(&path::join(&clean, name))?;
            status.path = name.as_bytes().to_vec().into();
            Some(status)
        };
        Some(DirectoryListingProto {
            partial_listing: names.into_iter().filter_map(entry).collect(),
            remaining_entries: 0,
        })
    }
}
