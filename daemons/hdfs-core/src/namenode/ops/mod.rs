//! The RPCs, one concept a file: each checks what Java checks, in Java's order and with Java's
//! words, then logs what Java logs.

mod acl;
mod append;
mod attributes;
mod blocks;
mod concat;
mod content;
mod create;
mod delete;
mod erasure;
mod fixed;
mod leases;
mod listing;
mod locate;
mod mkdirs;
mod open_files;
mod policies;
mod quota;
mod recovery;
mod rename;
mod snapshots;
mod status;
mod truncate;
mod write;
mod xattrs;

use std::fmt::Display;

use hdfs_wire::{Exception, Fault};

use super::path;
use super::tree::{Exceeded, NAME_BYTES_MAX, ROOT, Slot, Usage};
use super::{Caller, Durable, Namenode};

pub(crate) fn not_found(message: impl Into<String>) -> Fault {
    Fault::new(Exception::FileNotFound, message)
}

pub(crate) fn illegal(message: impl Into<String>) -> Fault {
    Fault::new(Exception::HadoopIllegalArgument, message)
}

impl Namenode {
    /// Notes the time of a write. The core's clock never goes back.
    pub(crate) fn begin(&mut self, caller: &Caller<'_>) {
        self.now = self.now.max(caller.now);
    }

    /// An answer that waits for everything logged so far.
    pub(crate) fn durable<T>(&self, value: T) -> Durable<T> {
        Durable::new(value, self.last_txid())
    }

    /// Refuses a change while safe mode is on.
    pub(crate) fn check_safe_mode(&self, what: impl Display) -> Result<(), Fault> {
        if !self.blocks.in_safe_mode() {
            return Ok(());
        }
        Err(self.safe_mode_fault(&format_args!("Cannot {what}")))
    }

    pub(crate) fn safe_mode_fault(&self, what: &dyn Display) -> Fault {
        let details = self.blocks.safe_mode_details(self.now).unwrap_or_default();
        let message = format!("{what}. Name node is in safe mode.\n{details}");
        Fault::new(Exception::SafeMode, message)
    }

    /// The inode a path names, which must be a file. `src` is for the message.
    pub(crate) fn file_at(&self, target: Option<Slot>, src: &str) -> Result<Slot, Fault> {
        let slot = target.ok_or_else(|| not_found(format!("File does not exist: {src}")))?;
        if self.tree.get(slot).is_file() {
            return Ok(slot);
        }
        Err(not_found(format!("Path is not a file: {src}")))
    }

    /// May this name be made in this directory?
    pub(crate) fn check_name(&self, directory: Slot, name: &str) -> Result<(), Fault> {
        if directory == ROOT && name == path::RESERVED {
            return Err(illegal(
                "File name \".reserved\" is reserved and cannot be created. If this is during \
                 upgrade change the name of the existing file or directory to another name before \
                 upgrading to the new release.",
            ));
        }
        let limit = self.config.component_length_max;
        if (limit != 0 && name.len() > limit) || name.len() > NAME_BYTES_MAX {
            let message = format!(
                "The maximum path component name limit of {name} in directory {} is exceeded: \
                 limit={limit} length={}",
                self.tree.path(directory),
                name.len()
            );
            return Err(Fault::new(Exception::PathComponentTooLong, message));
        }
        if name == path::SNAPSHOT {
            return Err(illegal("\".snapshot\" is a reserved name."));
        }
        Ok(())
    }

    /// Has this directory room for one more entry?
    pub(crate) fn check_room(&self, directory: Slot) -> Result<(), Fault> {
        let (limit, count) = (self.config.directory_items_max, self.tree.children_count(directory));
        if count < limit {
            return Ok(());
        }
        let message = format!(
            "The directory item limit of {} is exceeded: limit={limit} items={count}",
            self.tree.path(directory)
        );
        Err(Fault::new(Exception::MaxDirectoryItemsExceeded, message))
    }

    /// Would so much more in this directory exceed a quota (below `border`)?
    pub(crate) fn check_quota(
        &self,
        directory: Slot,
        more: Usage,
        border: Option<Slot>,
    ) -> Result<(), Fault> {
        match self.tree.exceeded(directory, more, border) {
            None => Ok(()),
            Some(Exceeded::Names(slot, limit, count)) => Err(Fault::new(
                Exception::NsQuotaExceeded,
                format!(
                    "The NameSpace quota (directories and files) of directory {} is exceeded: \
                     quota={limit} file count={count}",
                    self.tree.path(slot)
                ),
            )),
            Some(Exceeded::Space(slot, limit, count)) => Err(Fault::new(
                Exception::DsQuotaExceeded,
                format!(
                    "The DiskSpace quota of {} is exceeded: quota = {limit} B = {} but diskspace \
                     consumed = {count} B = {}",
                    self.tree.path(slot),
                    binary_bytes(limit),
                    binary_bytes(count)
                ),
            )),
        }
    }
}

/// Bytes with a binary prefix and two decimals, as Java prints quotas.
fn binary_bytes(bytes: i64) -> String {
    const PREFIXES: [char; 6] = ['K', 'M', 'G', 'T', 'P', 'E'];
    let magnitude = bytes.unsigned_abs();
    if magnitude < 1024 {
        return format!("{bytes} B");
    }
    let mut index = (magnitude.ilog2() / 10).min(6) as usize;
    let sign = if bytes < 0 { "-" } else { "" };
    if magnitude.is_multiple_of(1 << (10 * index)) {
        let whole = magnitude >> (10 * index);
        return format!("{sign}{whole} {}B", PREFIXES[index - 1]);
    }
    let scaled = |index: usize| format!("{:.2}", magnitude as f64 / (1u64 << (10 * index)) as f64);
    let mut text = scaled(index);
    if text.starts_with("1024") && index < PREFIXES.len() {
        index += 1;
        text = scaled(index);
    }
    format!("{sign}{text} {}B", PREFIXES[index - 1])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_read_as_java_writes_them() {
        for (bytes, text) in [
            (100, "100 B"),
            (1_053_576, "1.00 MB"),
            (1 << 20, "1 MB"),
            (1536, "1.50 KB"),
            ((1 << 30) - 1, "1.00 GB"),
            (-2048, "-2 KB"),
        ] {
            assert_eq!(binary_bytes(bytes), text);
        }
    }
}
