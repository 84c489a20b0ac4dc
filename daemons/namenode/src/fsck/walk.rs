//! The walk of a check: page by page, directory by directory, without recursion.

use std::collections::VecDeque;
use std::fmt::Write;

use hdfs_wire::Fault;
use hdfs_wire::proto::hdfs::hdfs_file_status_proto::FileType;
use hdfs_wire::proto::hdfs::{
    GetBlockLocationsRequestProto, GetListingRequestProto, HdfsFileStatusProto, LocatedBlockProto,
    LocatedBlocksProto, StorageTypeProto,
};

use super::report::Report;
use super::{Check, ReaderGone};

/// A directory on the way down.
struct Open {
    path: String,
    /// Entries of the present page that are not checked yet.
    page: VecDeque<HdfsFileStatusProto>,
    /// Where the next page begins; `None` after the last one.
    next: Option<Vec<u8>>,
}

impl Check {
    /// Checks the path, whose status is given, and all below it.
    pub(super) fn walk(&mut self, status: &HdfsFileStatusProto) -> Result<Report, ReaderGone> {
        let mut report = Report::default();
        let path = self.path.clone();
        let mut open = Vec::new();
        self.visit(path, status, &mut report, &mut open)?;
        // At most one entry for each level of a path, which has 1,000 of them at most.
        while let Some(mut directory) = open.pop() {
            if directory.page.is_empty() && !self.turn_page(&mut directory)? {
                continue;
            }
            let Some(entry) = directory.page.pop_front() else { continue };
            let name = String::from_utf8_lossy(&entry.path);
            let path = match directory.path.as_str() {
                "/" => format!("/{name}"),
                parent => format!("{parent}/{name}"),
            };
            drop(name);
            open.push(directory);
            self.visit(path, &entry, &mut report, &mut open)?;
        }
        Ok(report)
    }

    /// Fetches the next page; false when there is none.
    fn turn_page(&mut self, directory: &mut Open) -> Result<bool, ReaderGone> {
        let Some(start_after) = directory.next.take() else { return Ok(false) };
        let request = GetListingRequestProto {
            src: directory.path.clone(),
            start_after: start_after.into(),
            need_location: true,
        };
        let listed = self.server.state.read().get_listing(&self.caller(), &request);
        match listed {
            Ok(answer) => {
                // Without a list the directory was removed meanwhile.
                let Some(list) = answer.dir_list else { return Ok(false) };
                directory.page = list.partial_listing.into();
                if list.remaining_entries > 0 {
                    directory.next = directory.page.back().map(|entry| entry.path.to_vec());
                }
                Ok(!directory.page.is_empty())
            }
            Err(fault) => {
                self.complain(&directory.path, &fault)?;
                Ok(false)
            }
        }
    }

    fn complain(&mut self, path: &str, fault: &Fault) -> Result<(), ReaderGone> {
        let first = fault.message.lines().next().unwrap_or_default();
        self.output.print(&format!("\nFsck on path '{path}' FAILED: {first}\n"))
    }

    fn visit(
        &mut self,
        path: String,
        status: &HdfsFileStatusProto,
        report: &mut Report,
        open: &mut Vec<Open>,
    ) -> Result<(), ReaderGone> {
        match status.file_type() {
            FileType::IsDir => {
                report.directories += 1;
                if self.show.files {
                    self.output.print(&format!("{path} <dir>\n"))?;
                }
                open.push(Open { path, page: VecDeque::new(), next: Some(Vec::new()) });
                Ok(())
            }
            FileType::IsSymlink => {
                report.symlinks += 1;
                if self.show.files {
                    self.output.print(&format!("{path} <symlink>\n"))?;
                }
                Ok(())
            }
            FileType::IsFile => match self.locations(&path, status) {
                Ok(Some(located)) => self.file(&path, status, &located, report),
                Ok(None) => Ok(()),
                Err(fault) => self.complain(&path, &fault),
            },
        }
    }

    /// The blocks of a file: from its page, or asked for.
    fn locations(
        &self,
        path: &str,
        status: &HdfsFileStatusProto,
    ) -> Result<Option<LocatedBlocksProto>, Fault> {
        if let Some(located) = &status.locations {
            return Ok(Some(located.clone()));
        }
        let request = GetBlockLocationsRequestProto {
            src: path.to_owned(),
            offset: 0,
            length: i64::MAX.unsigned_abs(),
        };
        let answer = self.server.state.read().get_block_locations(&self.caller(), &request)?;
        Ok(answer.locations)
    }

    fn file(
        &mut self,
        path: &str,
        status: &HdfsFileStatusProto,
        located: &LocatedBlocksProto,
        report: &mut Report,
    ) -> Result<(), ReaderGone> {
        if located.under_construction {
            report.open_files += 1;
            report.open_bytes += located.file_length;
            report.open_blocks += located.blocks.len() as u64;
            if !self.show.open_files {
                return Ok(());
            }
        }
        let wanted = u64::from(status.block_replication());
        report.files += 1;
        report.bytes += located.file_length;
        let mut lines = String::new();
        let mut trouble = String::new();
        let (mut missing, mut missing_bytes, mut corrupt) = (0, 0, 0);
        for (index, block) in located.blocks.iter().enumerate() {
            let live = if block.corrupt { 0 } else { block.locs.len() as u64 };
            report.blocks += 1;
            report.replicas += live;
            report.replicas_expected += wanted;
            report.minimal += u64::from(live > 0);
            report.over += u64::from(live > wanted);
            if block.corrupt {
                corrupt += 1;
                // Writing to a String cannot fail.
                let _ =
                    writeln!(trouble, "\n{path}: CORRUPT blockpool {}", block_pool_and_name(block));
            }
            if live == 0 && !block.corrupt {
                missing += 1;
                missing_bytes += block.b.num_bytes();
            } else if live < wanted && !located.under_construction {
                report.under += 1;
                let _ = writeln!(
                    trouble,
                    "\n{path}:  Under replicated {}. Target Replicas is {wanted} but found {live} \
                     live replica(s), 0 decommissioned replica(s), 0 decommissioning replica(s).",
                    block_name(block)
                );
            }
            report.replicas_missing += wanted.saturating_sub(live);
            self.block_line(index, block, live, &mut lines);
        }
        if missing > 0 {
            let _ = writeln!(
                trouble,
                "\n{path}: MISSING {missing} blocks of total size {missing_bytes} B."
            );
        }
        report.missing += missing;
        report.missing_bytes += missing_bytes;
        report.corrupt += corrupt;
        report.corrupt_files += u64::from(missing + corrupt > 0);
        self.file_lines(path, status, located, &trouble, &lines)
    }

    fn file_lines(
        &mut self,
        path: &str,
        status: &HdfsFileStatusProto,
        located: &LocatedBlocksProto,
        trouble: &str,
        lines: &str,
    ) -> Result<(), ReaderGone> {
        if self.show.files {
            let open = if located.under_construction { ", OPENFORWRITE" } else { "" };
            self.output.print(&format!(
                "{path} {} bytes, replicated: replication={}, {} block(s){open}: {}\n",
                located.file_length,
                status.block_replication(),
                located.blocks.len(),
                if trouble.is_empty() { " OK" } else { "" }
            ))?;
        }
        self.output.print(trouble)?;
        if self.show.files && self.show.blocks {
            self.output.print(lines)?;
            self.output.print("\n")?;
        }
        Ok(())
    }

    fn block_line(&self, index: usize, block: &LocatedBlockProto, live: u64, lines: &mut String) {
        if !self.show.blocks {
            return;
        }
        // Writing to a String cannot fail.
        let _ = write!(lines, "{index}. {} len={}", block_name(block), block.b.num_bytes());
        let _ = match live {
            0 => write!(lines, " MISSING!"),
            live => write!(lines, " Live_repl={live}"),
        };
        if self.show.locations || self.show.racks {
            let places: Vec<String> =
                (0..block.locs.len()).map(|place| self.place(block, place)).collect();
            let _ = write!(lines, "  [{}]", places.join(", "));
        }
        lines.push('\n');
    }

    fn place(&self, block: &LocatedBlockProto, index: usize) -> String {
        let node = &block.locs[index];
        let address = format!("{}:{}", node.id.ip_addr, node.id.xfer_port);
        if self.show.racks {
            return format!("{}/{address}", node.location());
        }
        let storage = block.storage_i_ds.get(index).map_or("", String::as_str);
        let kind = block.storage_types.get(index).copied().unwrap_or(1);
        let kind = StorageTypeProto::try_from(kind).unwrap_or(StorageTypeProto::Disk);
        format!("DatanodeInfoWithStorage[{address},{storage},{}]", kind.as_str_name())
    }
}

fn block_name(block: &LocatedBlockProto) -> String {
    let id = block.b.block_id.cast_signed();
    format!("{}:blk_{id}_{}", block.b.pool_id, block.b.generation_stamp)
}

fn block_pool_and_name(block: &LocatedBlockProto) -> String {
    format!("{} block blk_{}", block.b.pool_id, block.b.block_id.cast_signed())
}
