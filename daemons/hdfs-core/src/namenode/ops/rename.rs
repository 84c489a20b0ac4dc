//! The two renames: the old one answers false, the new one says why.

use hdfs_disk::edits::{EditOp, RenameOption};
use hdfs_wire::proto::hdfs::{
    Rename2RequestProto, Rename2ResponseProto, RenameRequestProto, RenameResponseProto,
};
use hdfs_wire::{Exception, Fault};

use super::super::permission::{ALL, WRITE};
use super::super::resolve::{Intent, Resolved};
use super::super::tree::{ROOT, Slot, Usage};
use super::super::{Caller, Durable, Namenode, path};
use super::not_found;

impl Namenode {
    /// `rename` with the old rules: into an existing directory, and false instead of most errors.
    ///
    /// # Errors
    /// `IOException` for an impossible name; path, permission, quota and safe mode errors.
    pub fn rename(
        &mut self,
        caller: &Caller<'_>,
        request: &RenameRequestProto,
    ) -> Result<Durable<RenameResponseProto>, Fault> {
        self.begin(caller);
        let (src, dst) = (&request.src, &request.dst);
        path::check_length("rename", dst)?;
        if self.repeated(caller).is_some() {
            return Ok(self.durable(RenameResponseProto { result: true }));
        }
        self.check_safe_mode(format_args!("rename {src}"))?;
        if !path::is_valid(dst) {
            return Err(Fault::io(format!("Invalid name: {dst}")));
        }
        let source = self.resolve(caller, src, Intent::WriteLink)?;
        let target = self.resolve(caller, dst, Intent::Create)?;
        self.check_rename_rights(caller, &source, &target, false)?;
        let result = self.rename_old(caller, &source, target)?;
        Ok(self.durable(RenameResponseProto { result }))
    }

    fn rename_old(
        &mut self,
        caller: &Caller<'_>,
        source: &Resolved<'_>,
        target: Resolved<'_>,
    ) -> Result<bool, Fault> {
        let Some(slot) = source.target().filter(|&slot| slot != ROOT) else { return Ok(false) };
        // Into an existing directory: the final path has the source's name.
        let (parent, name, final_path, existing) = match target.target() {
            Some(found) if self.tree.get(found).is_directory() => {
                let name = source.name().to_owned();
                let existing = self.tree.child(found, name.as_bytes());
                (Some(found), name.clone(), path::join(target.path(), &name), existing)
            }
            found => {
                let parent = target.parent(&self.tree);
                (parent, target.name().to_owned(), target.into_path(), found)
            }
        };
        if final_path != source.path() {
            let Some(parent) = parent else { return Ok(false) };
            if self.tree.is_at_or_below(parent, slot) || existing.is_some() {
                return Ok(false);
            }
            self.check_move(slot, parent, &name, None)?;
        }
        let op = EditOp::RenameOld {
            source: source.path().to_owned(),
            target: final_path,
            timestamp: self.now as i64,
            rpc: Self::rpc_ids(caller),
        };
        self.log(&op)?;
        Ok(true)
    }

    /// `rename2`: to exactly the target, replacing it if asked.
    ///
    /// # Errors
    /// `FileNotFoundException`, `FileAlreadyExistsException`, `ParentNotDirectoryException`,
    /// `IOException` for kinds that do not match; path, permission, quota and safe mode errors.
    pub fn rename2(
        &mut self,
        caller: &Caller<'_>,
        request: &Rename2RequestProto,
    ) -> Result<Durable<Rename2ResponseProto>, Fault> {
        self.begin(caller);
        let (src, dst) = (&request.src, &request.dst);
        path::check_length("rename", dst)?;
        if self.repeated(caller).is_some() {
            return Ok(self.durable(Rename2ResponseProto {}));
        }
        self.check_safe_mode(format_args!("rename {src}"))?;
        if !path::is_valid(dst) {
            let message = format!("Invalid path name Invalid name: {dst}");
            return Err(Fault::new(Exception::InvalidPath, message));
        }
        let source = self.resolve(caller, src, Intent::WriteLink)?;
        let target = self.resolve(caller, dst, Intent::Create)?;
        let to_trash = request.move_to_trash.unwrap_or(false);
        self.check_rename_rights(caller, &source, &target, to_trash)?;
        self.check_rename2(&source, &target, request.overwrite_dest)?;
        let mut options = Vec::new();
        if request.overwrite_dest {
            options.push(RenameOption::Overwrite);
        }
        if to_trash {
            options.push(RenameOption::ToTrash);
        }
        if options.is_empty() {
            options.push(RenameOption::None);
        }
        let op = EditOp::Rename {
            source: source.into_path(),
            target: target.into_path(),
            timestamp: self.now as i64,
            options,
            rpc: Self::rpc_ids(caller),
        };
        self.log(&op)?;
        Ok(self.durable(Rename2ResponseProto {}))
    }

    fn check_rename_rights(
        &self,
        caller: &Caller<'_>,
        source: &Resolved<'_>,
        target: &Resolved<'_>,
        to_trash: bool,
    ) -> Result<(), Fault> {
        let checker = self.checker(caller);
        if let Some(slot) = source.target() {
            checker.removal(slot)?;
            if to_trash {
                checker.subtree(slot, ALL, true)?;
            }
        } else if source.missing().count() == 1 {
            checker.check(source.deepest(), WRITE)?;
        }
        match target.target() {
            Some(slot) => {
                self.tree.get(slot).parent().map_or(Ok(()), |each| checker.check(each, WRITE))
            }
            None => checker.check(target.deepest(), WRITE),
        }
    }

    fn check_rename2(
        &self,
        source: &Resolved<'_>,
        target: &Resolved<'_>,
        overwrite: bool,
    ) -> Result<(), Fault> {
        let (src, dst) = (source.path(), target.path());
        let Some(slot) = source.target() else {
            return Err(not_found(format!("rename source {src} is not found.")));
        };
        if slot == ROOT {
            return Err(Fault::io("rename source cannot be the root"));
        }
        if src == dst {
            let message = format!("The source {src} and destination {dst} are the same");
            return Err(Fault::new(Exception::FileAlreadyExists, message));
        }
        if dst.strip_prefix(src).is_some_and(|rest| rest.starts_with('/')) {
            return Err(Fault::io(format!(
                "Rename destination {dst} is a directory or file under source {src}"
            )));
        }
        if dst == "/" {
            return Err(Fault::io("rename destination cannot be the root"));
        }
        let replaced = target.target();
        if let Some(old) = replaced {
            self.check_replace(slot, old, src, dst, overwrite)?;
        }
        let Some(parent) = target.parent(&self.tree) else {
            return Err(not_found(format!("rename destination parent {dst} not found.")));
        };
        self.check_move(slot, parent, target.name(), replaced)
    }

    fn check_replace(
        &self,
        slot: Slot,
        old: Slot,
        src: &str,
        dst: &str,
        overwrite: bool,
    ) -> Result<(), Fault> {
        let is_directory = |slot| self.tree.get(slot).is_directory();
        if is_directory(slot) != is_directory(old) {
            return Err(Fault::io(format!(
                "Source {src} and destination {dst} must both be directories"
            )));
        }
        if !overwrite {
            let message = format!("rename destination {dst} already exists");
            return Err(Fault::new(Exception::FileAlreadyExists, message));
        }
        if self.tree.children(old).is_some() {
            return Err(Fault::io(format!("rename destination directory is not empty: {dst}")));
        }
        Ok(())
    }

    /// Name, room and quota where something moves to.
    fn check_move(
        &self,
        slot: Slot,
        parent: Slot,
        name: &str,
        replaced: Option<Slot>,
    ) -> Result<(), Fault> {
        let old_parent = self.tree.get(slot).parent().unwrap_or(ROOT);
        self.check_name(parent, name)?;
        if old_parent != parent {
            self.check_room(parent)?;
            let border = self.common_ancestor(old_parent, parent);
            if self
                .tree
                .exceeded(parent, Usage { names: i64::MAX, space: i64::MAX }, Some(border))
                .is_some()
            {
                let mut more = self.usage_below(slot);
                if let Some(old) = replaced {
                    more += -self.usage_of(old);
                }
                self.check_quota(parent, more, Some(border))?;
            }
        }
        Ok(())
    }
}
