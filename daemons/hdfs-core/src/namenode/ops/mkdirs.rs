//! mkdirs, and the directories that a create makes on its way.

use hdfs_disk::edits::EditOp;
use hdfs_disk::types::Permission;
use hdfs_wire::proto::hdfs::{MkdirsRequestProto, MkdirsResponseProto};
use hdfs_wire::{Exception, Fault};

use super::super::permission::WRITE;
use super::super::resolve::{Intent, Resolved};
use super::super::tree::{MODE_BITS, Slot, Usage};
use super::super::{Caller, Durable, Namenode, acl, path};
use super::not_found;

/// Write and search for the owner: without them nobody could make the next directory.
const OWNER_WX: u16 = 0o300;
const NINE_BITS: u16 = 0o777;

/// The two modes a client sends: after its umask, and before.
#[derive(Debug, Clone, Copy)]
pub(super) struct Modes {
    pub(super) masked: u16,
    pub(super) unmasked: Option<u16>,
}

impl Modes {
    /// From the wire's numbers.
    pub(super) fn new(masked: u32, unmasked: Option<u32>) -> Self {
        let keep = |mode: u32| mode as u16 & MODE_BITS;
        Self { masked: keep(masked), unmasked: unmasked.map(keep) }
    }

    /// For a directory that is only made for the sake of what is below.
    fn for_ancestor(self) -> Self {
        let widen = |mode: u16| mode & NINE_BITS | OWNER_WX;
        Self { masked: widen(self.masked), unmasked: self.unmasked.map(widen) }
    }
}

impl Namenode {
    /// `mkdirs`: makes a directory and, if asked, those above it.
    ///
    /// # Errors
    /// `FileAlreadyExistsException` over a file, `FileNotFoundException` without a parent, name,
    /// quota, permission and safe mode errors.
    pub fn mkdirs(
        &mut self,
        caller: &Caller<'_>,
        request: &MkdirsRequestProto,
    ) -> Result<Durable<MkdirsResponseProto>, Fault> {
        self.begin(caller);
        let src = &request.src;
        path::check_length("mkdirs", src)?;
        self.check_safe_mode(format_args!("create directory {src}"))?;
        let resolved = self.resolve(caller, src, Intent::Create)?;
        if let Some(slot) = resolved.target() {
            if self.tree.get(slot).is_file() {
                let message = format!("Path is not a directory: {src}");
                return Err(Fault::new(Exception::FileAlreadyExists, message));
            }
            return Ok(self.durable(MkdirsResponseProto { result: true }));
        }
        self.checker(caller).check(resolved.deepest(), WRITE)?;
        if !request.create_parent {
            self.check_parent(&resolved)?;
        }
        let modes = Modes::new(request.masked.perm, request.unmasked.map(|each| each.perm));
        let missing: Vec<_> = resolved.missing().collect();
        let mut directory = resolved.deepest();
        for (index, name) in missing.iter().enumerate() {
            let is_last = index + 1 == missing.len();
            let modes = if is_last { modes } else { modes.for_ancestor() };
            directory = self.make_directory(caller, directory, name, modes)?;
        }
        Ok(self.durable(MkdirsResponseProto { result: true }))
    }

    /// The directory of a path that is to be made must be there.
    pub(super) fn check_parent(&self, resolved: &Resolved<'_>) -> Result<(), Fault> {
        if resolved.missing().count() < 2 {
            return Ok(());
        }
        let message = format!("Parent directory doesn't exist: {}", resolved.parent_path());
        Err(not_found(message))
    }

    /// Makes the missing directories above a new file, with the mode of the directory they are in.
    pub(super) fn make_ancestors(
        &mut self,
        caller: &Caller<'_>,
        resolved: &Resolved<'_>,
    ) -> Result<Slot, Fault> {
        let mut directory = resolved.deepest();
        let mut missing: Vec<_> = resolved.missing().collect();
        missing.pop();
        let modes = Modes { masked: self.tree.mode(directory), unmasked: None }.for_ancestor();
        for name in missing {
            directory = self.make_directory(caller, directory, name, modes)?;
        }
        Ok(directory)
    }

    fn make_directory(
        &mut self,
        caller: &Caller<'_>,
        parent: Slot,
        name: &str,
        modes: Modes,
    ) -> Result<Slot, Fault> {
        self.check_new(parent, name, Usage { names: 1, space: 0 })?;
        let (mode, acl) = self.inherited(parent, modes, true);
        let path = path::join(&self.tree.path(parent), name);
        let op = EditOp::Mkdir {
            inode_id: self.tree.last_id + 1,
            path,
            timestamp: self.now as i64,
            permission: self.new_permission(caller, parent, mode),
            acl,
            xattrs: Vec::new(),
        };
        self.log(&op)?;
        self.tree.child(parent, name.as_bytes()).ok_or_else(|| {
            Fault::io(format!("Failed to create directory: {}", path::join("", name)))
        })
    }

    /// Name, room and quota for one new entry.
    pub(super) fn check_new(&self, parent: Slot, name: &str, usage: Usage) -> Result<(), Fault> {
        self.check_name(parent, name)?;
        self.check_room(parent)?;
        self.check_quota(parent, usage, None)
    }

    /// Owner is who asks, group is the directory's.
    pub(super) fn new_permission(
        &self,
        caller: &Caller<'_>,
        parent: Slot,
        mode: u16,
    ) -> Permission {
        Permission { user: caller.user.to_owned(), group: self.tree.group(parent).to_owned(), mode }
    }

    /// Mode and ACL of a new entry of this directory.
    pub(super) fn inherited(
        &self,
        parent: Slot,
        modes: Modes,
        is_directory: bool,
    ) -> (u16, Vec<hdfs_disk::types::AclEntry>) {
        let unmasked = modes.unmasked.filter(|_| self.config.posix_acl_inheritance);
        acl::inherit(self.tree.acl(parent), modes.masked, unmasked, is_directory)
    }
}
