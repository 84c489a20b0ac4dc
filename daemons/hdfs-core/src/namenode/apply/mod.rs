//! What each edit log operation does to the state. Live calls and replay share this; nothing here
//! asks whether a change is allowed, and nothing here logs.

mod attributes;
mod blocks;
mod files;
mod names;
mod other;

use std::borrow::Cow;

use hdfs_disk::edits::{EditOp, RpcIds};
use hdfs_disk::types::Permission;
use hdfs_wire::Fault;

pub(crate) use attributes::{is_policy, same_name};

use super::Namenode;
use super::resolve::{Resolved, walk};
use super::retry::Answer;
use super::tree::{Mark, Slot, Usage};

/// Where an operation comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Source {
    /// A call; blocks become complete by reports.
    Live,
    /// The log of an earlier life; closed files' blocks are complete because they were.
    Replay,
}

impl Namenode {
    /// Carries out one operation.
    ///
    /// # Errors
    /// `IOException` when the operation does not fit the state: a damaged log on replay, our own
    /// mistake live. The state is as before then.
    pub(crate) fn apply(&mut self, op: &EditOp, source: Source) -> Result<(), Fault> {
        match op {
            EditOp::Add { .. } => self.apply_add(op, source),
            EditOp::Close { .. } => self.apply_close(op, source),
            EditOp::Append { .. } => self.apply_append(op),
            EditOp::AddBlock { path, penultimate, last, .. } => {
                self.apply_add_block(path, *penultimate, *last, source)
            }
            EditOp::UpdateBlocks { path, blocks, rpc } => {
                self.apply_update_blocks(path, blocks, source)?;
                self.remember(rpc, Answer::Done);
                Ok(())
            }
            EditOp::Truncate { .. } => self.apply_truncate(op),
            EditOp::ConcatDelete { target, sources, timestamp, rpc } => {
                self.apply_concat(target, sources, *timestamp)?;
                self.remember(rpc, Answer::Done);
                Ok(())
            }
            EditOp::ReassignLease { path, new_holder, .. } => self.apply_reassign(path, new_holder),
            EditOp::Mkdir { .. } => self.apply_mkdir(op),
            EditOp::Symlink { .. } => self.apply_symlink(op),
            EditOp::Delete { path, timestamp, rpc } => {
                self.apply_delete(path, *timestamp);
                self.remember(rpc, Answer::Done);
                Ok(())
            }
            EditOp::RenameOld { source, target, timestamp, rpc }
            | EditOp::Rename { source, target, timestamp, rpc, .. } => {
                let old = matches!(op, EditOp::RenameOld { .. });
                self.apply_rename(source, target, *timestamp, old)?;
                self.remember(rpc, Answer::Done);
                Ok(())
            }
            _ => self.apply_attribute(op),
        }
    }

    /// Remembers the call behind an operation.
    fn remember(&mut self, rpc: &RpcIds, answer: Answer) {
        let limit = self.config.retry_cache_entries_max;
        self.retry.insert(rpc, answer, self.now, limit);
    }

    /// The inode an operation's path names.
    fn existing(&self, path: &str) -> Result<Slot, Fault> {
        let resolved = walk(&self.tree, Cow::Borrowed(path));
        resolved.target().ok_or_else(|| Fault::io(format!("{path} does not exist")))
    }

    fn existing_file(&self, path: &str) -> Result<Slot, Fault> {
        let slot = self.existing(path)?;
        if self.tree.get(slot).is_file() {
            return Ok(slot);
        }
        Err(Fault::io(format!("{path} is not a file")))
    }

    /// A path about to be made, and its existing directory.
    fn vacant<'p>(&self, path: &'p str) -> Result<(Resolved<'p>, Slot), Fault> {
        let resolved = walk(&self.tree, Cow::Borrowed(path));
        match resolved.parent(&self.tree) {
            Some(_) if resolved.target().is_some() => {
                Err(Fault::io(format!("{path} already exists")))
            }
            Some(parent) if self.tree.get(parent).is_directory() => Ok((resolved, parent)),
            _ => Err(Fault::io(format!("the directory of {path} does not exist"))),
        }
    }

    fn intern(&mut self, permission: &Permission) -> u32 {
        self.tree.intern_permission(&permission.user, &permission.group, permission.mode)
    }

    /// Puts a new inode into its directory, with counts and the directory's time.
    fn attach(&mut self, parent: Slot, name: &str, slot: Slot, usage: Usage) {
        let linked = self.tree.link(parent, name.as_bytes(), slot);
        debug_assert!(linked, "the name was found free");
        self.tree.charge(Some(parent), usage);
        let time = self.tree.get(slot).mtime();
        self.advance_mtime(parent, time as i64);
    }

    /// A directory's time only goes forward.
    fn advance_mtime(&mut self, directory: Slot, time: i64) {
        let inode = self.tree.get_mut(directory);
        if time > inode.mtime() as i64 {
            inode.set_mtime(time as u64);
        }
    }

    /// What one inode takes up by itself, without entries.
    pub(crate) fn usage_of(&self, slot: Slot) -> Usage {
        Usage { names: 1, space: self.space_of(slot) }
    }

    /// Bytes times replication. The last block of an open file counts in full, since nobody knows
    /// how far it will grow.
    pub(crate) fn space_of(&self, file: Slot) -> i64 {
        let inode = self.tree.get(file);
        if !inode.is_file() {
            return 0;
        }
        let ids = self.tree.blocks(file);
        let open_last = if inode.has(Mark::Open) { ids.last() } else { None };
        let bytes: u64 = ids
            .iter()
            .map(|id| match open_last {
                Some(last) if last == id => inode.block_size(),
                _ => self.block_length(id),
            })
            .sum();
        let copies = if inode.has(Mark::Striped) { 1 } else { inode.replication() };
        (bytes as i64).saturating_mul(i64::from(copies))
    }

    /// What an inode and everything below it takes up.
    pub(crate) fn usage_below(&self, slot: Slot) -> Usage {
        let mut usage = Usage::default();
        let mut pending = vec![slot];
        while let Some(slot) = pending.pop() {
            usage += self.usage_of(slot);
            if let Some(children) = self.tree.children(slot) {
                pending.extend(children.iter());
            }
        }
        usage
    }

    /// The length of a block as far as anybody told.
    pub(crate) fn block_length(&self, id: i64) -> u64 {
        self.blocks.block(id).map_or(0, |(block, _)| block.length)
    }

    /// Runs a change of one file's blocks or replication, and books the difference in space.
    fn with_space<T>(&mut self, file: Slot, change: impl FnOnce(&mut Self) -> T) -> T {
        let before = self.space_of(file);
        let result = change(self);
        let more = Usage { names: 0, space: self.space_of(file) - before };
        let parent = self.tree.get(file).parent();
        self.tree.charge(parent, more);
        result
    }
}
