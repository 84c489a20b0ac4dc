//! concat: the blocks of some files go to the end of another.

use hdfs_disk::edits::EditOp;
use hdfs_wire::proto::hdfs::{ConcatRequestProto, ConcatResponseProto};
use hdfs_wire::{Exception, Fault};

use super::super::permission::{READ, WRITE};
use super::super::resolve::Intent;
use super::super::tree::{Mark, Slot};
use super::super::{Caller, Durable, Namenode};
use super::illegal;

impl Namenode {
    /// `concat`: moves all blocks of the sources behind those of the target and removes the
    /// sources.
    ///
    /// # Errors
    /// `IllegalArgumentException` without sources, `HadoopIllegalArgumentException` for files that
    /// cannot be joined, `FileNotFoundException`; path, permission and safe mode errors.
    pub fn concat(
        &mut self,
        caller: &Caller<'_>,
        request: &ConcatRequestProto,
    ) -> Result<Durable<ConcatResponseProto>, Fault> {
        self.begin(caller);
        if self.repeated(caller).is_some() {
            return Ok(self.durable(ConcatResponseProto {}));
        }
        let argument = |text: &str| Fault::new(Exception::IllegalArgument, text);
        if request.trg.is_empty() {
            return Err(argument("Target file name is empty"));
        }
        if request.srcs.is_empty() {
            return Err(argument("No sources given"));
        }
        self.check_safe_mode(format_args!("concat {}", request.trg))?;
        let resolved = self.resolve(caller, &request.trg, Intent::Write)?;
        if let Some(slot) = resolved.target() {
            self.checker(caller).check(slot, WRITE)?;
        }
        let target = self.file_at(resolved.target(), &request.trg)?;
        if self.tree.get(target).has(Mark::Open) {
            return Err(illegal(format!(
                "concat: target file {} is under construction",
                request.trg
            )));
        }
        let mut slots = Vec::with_capacity(request.srcs.len());
        let mut sources = Vec::with_capacity(request.srcs.len());
        for src in &request.srcs {
            let slot = self.concat_source(caller, src, target, resolved.path())?;
            slots.push(slot);
            sources.push(self.tree.path(slot));
        }
        slots.sort_unstable();
        slots.dedup();
        if slots.len() < sources.len() {
            return Err(illegal("concat: at least two of the source files are the same"));
        }
        let op = EditOp::ConcatDelete {
            target: resolved.into_path(),
            sources,
            timestamp: self.now as i64,
            rpc: Self::rpc_ids(caller),
        };
        self.log(&op)?;
        Ok(self.durable(ConcatResponseProto {}))
    }

    fn concat_source(
        &self,
        caller: &Caller<'_>,
        src: &str,
        target: Slot,
        target_path: &str,
    ) -> Result<Slot, Fault> {
        let resolved = self.resolve(caller, src, Intent::Write)?;
        if let Some(slot) = resolved.target() {
            let checker = self.checker(caller);
            checker.check(slot, READ)?;
            self.tree.get(slot).parent().map_or(Ok(()), |each| checker.check(each, WRITE))?;
        }
        let slot = self.file_at(resolved.target(), src)?;
        let (inode, other) = (self.tree.get(slot), self.tree.get(target));
        if inode.parent() != other.parent() {
            return Err(illegal(format!(
                "Source file {src} is not in the same directory with the target {target_path}"
            )));
        }
        if slot == target {
            return Err(illegal(format!(
                "concat: the src file {src} is the same with the target file {target_path}"
            )));
        }
        if inode.has(Mark::Open) || self.tree.blocks(slot).is_empty() {
            return Err(illegal(format!(
                "concat: source file {src} is invalid or empty or underConstruction"
            )));
        }
        if inode.block_size() > other.block_size() {
            return Err(illegal(format!(
                "concat: source file {src} has preferred block size {} which is greater than the \
                 target file's preferred block size {}",
                inode.block_size(),
                other.block_size()
            )));
        }
        if inode.has(Mark::Striped) != other.has(Mark::Striped) {
            return Err(illegal(format!(
                "Source file {src} and target file {target_path} have different erasure coding \
                 policy"
            )));
        }
        Ok(slot)
    }
}
