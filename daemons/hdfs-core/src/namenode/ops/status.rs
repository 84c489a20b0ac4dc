//! File status: what `ls` shows of an inode.

use bytes::Bytes;
use hdfs_disk::types::XAttrNamespace;
use hdfs_wire::Fault;
use hdfs_wire::proto::hdfs::hdfs_file_status_proto::{FileType, Flags};
use hdfs_wire::proto::hdfs::{
    FsPermissionProto, GetFileInfoRequestProto, GetFileInfoResponseProto,
    GetFileLinkInfoRequestProto, GetFileLinkInfoResponseProto, GetLocatedFileInfoRequestProto,
    GetLocatedFileInfoResponseProto, GetPreferredBlockSizeRequestProto,
    GetPreferredBlockSizeResponseProto, HdfsFileStatusProto, IsFileClosedRequestProto,
    IsFileClosedResponseProto,
};

use super::super::apply::is_policy;
use super::super::path;
use super::super::permission::Access;
use super::super::resolve::Intent;
use super::super::tree::{Kind, Mark, Slot};
use super::super::{Caller, Namenode};
use super::not_found;

/// The attribute that holds a directory's erasure coding policy.
const ERASURE_CODING_XATTR: &str = "hdfs.erasurecoding.policy";

impl Namenode {
    /// `getFileInfo`: the status of what a path leads to; empty when it is not there.
    ///
    /// # Errors
    /// Path and permission errors; a file in the middle of the path is one for ordinary users only.
    pub fn get_file_info(
        &self,
        caller: &Caller<'_>,
        request: &GetFileInfoRequestProto,
    ) -> Result<GetFileInfoResponseProto, Fault> {
        let fs = self.status_at(caller, &request.src, Intent::Read)?;
        Ok(GetFileInfoResponseProto { fs })
    }

    /// `getFileLinkInfo`: the same without following a final link.
    ///
    /// # Errors
    /// As [`Self::get_file_info`].
    pub fn get_file_link_info(
        &self,
        caller: &Caller<'_>,
        request: &GetFileLinkInfoRequestProto,
    ) -> Result<GetFileLinkInfoResponseProto, Fault> {
        let fs = self.status_at(caller, &request.src, Intent::ReadLink)?;
        Ok(GetFileLinkInfoResponseProto { fs })
    }

    /// `getLocatedFileInfo`: status and block locations together.
    ///
    /// # Errors
    /// As [`Self::get_file_info`].
    pub fn get_located_file_info(
        &self,
        caller: &Caller<'_>,
        request: &GetLocatedFileInfoRequestProto,
    ) -> Result<GetLocatedFileInfoResponseProto, Fault> {
        let src = request.src.as_deref().unwrap_or("");
        let mut fs = self.status_at(caller, src, Intent::Read)?;
        if let Some(status) = &mut fs
            && let Some(slot) = self.tree.by_id(status.file_id())
            && self.tree.get(slot).is_file()
        {
            status.locations = Some(self.located_blocks(slot, 0, u64::MAX, caller.address));
        }
        Ok(GetLocatedFileInfoResponseProto { fs })
    }

    fn status_at(
        &self,
        caller: &Caller<'_>,
        src: &str,
        intent: Intent,
    ) -> Result<Option<HdfsFileStatusProto>, Fault> {
        if path::is_reserved(src)
            && let Some(status) = self.reserved_status(src)
        {
            return Ok(Some(status));
        }
        match self.resolve(caller, src, intent) {
            Ok(resolved) => Ok(resolved.target().map(|slot| self.status(slot, b""))),
            // A superuser is only ever refused for a file in the middle: to him nothing is there.
            Err(fault)
                if fault.exception == hdfs_wire::Exception::AccessControl
                    && self.checker(caller).is_superuser() =>
            {
                Ok(None)
            }
            Err(fault) => Err(fault),
        }
    }

    /// `/.reserved` and the two names below it are not in the tree.
    pub(super) fn reserved_status(&self, src: &str) -> Option<HdfsFileStatusProto> {
        let clean = path::normalize(src).ok()?;
        if !matches!(&*clean, "/.reserved" | "/.reserved/.inodes" | "/.reserved/raw") {
            return None;
        }
        let root = super::super::tree::ROOT;
        let mut status = self.status(root, b"");
        status.permission = FsPermissionProto { perm: 0o770 };
        status.children_num = Some(if &*clean == "/.reserved" { 2 } else { 0 });
        status.modification_time = self.config.identity.creation_time;
        status.file_id = Some(super::super::tree::ROOT_ID);
        Some(status)
    }

    /// The status of an inode under the given name (empty where the client knows the path).
    pub(crate) fn status(&self, slot: Slot, name: &[u8]) -> HdfsFileStatusProto {
        let inode = self.tree.get(slot);
        let permission = self.tree.permission(slot);
        let kind = inode.kind();
        let mut status = HdfsFileStatusProto {
            file_type: match kind {
                Kind::File => FileType::IsFile,
                Kind::Directory => FileType::IsDir,
                Kind::Symlink => FileType::IsSymlink,
            } as i32,
            path: Bytes::copy_from_slice(name),
            permission: FsPermissionProto { perm: u32::from(permission.mode) },
            owner: self.tree.principal(permission.user).to_owned(),
            group: self.tree.principal(permission.group).to_owned(),
            modification_time: inode.mtime(),
            block_replication: Some(0),
            blocksize: Some(0),
            file_id: Some(inode.id()),
            children_num: Some(0),
            storage_policy: Some(u32::from(self.policy_of(slot))),
            ..HdfsFileStatusProto::default()
        };
        match kind {
            Kind::File => {
                status.length = self.file_length(slot);
                status.access_time = inode.atime();
                status.block_replication = Some(u32::from(self.copies_of(slot)));
                status.blocksize = Some(inode.block_size());
            }
            Kind::Directory => {
                status.children_num = Some(self.tree.children_count(slot) as i32);
            }
            Kind::Symlink => {
                status.symlink = Some(Bytes::copy_from_slice(self.tree.link_target(slot)));
                status.access_time = inode.atime();
            }
        }
        status.flags = Some(self.flags_of(slot));
        status
    }

    fn flags_of(&self, slot: Slot) -> u32 {
        let inode = self.tree.get(slot);
        let mut flags = 0;
        if inode.has(Mark::Acl) {
            flags |= Flags::HasAcl as u32;
        }
        if inode.has(Mark::Striped)
            || (inode.is_directory() && self.erasure_coding_of(slot).is_some())
        {
            flags |= Flags::HasEc as u32;
        }
        if !self.kept.snapshottable.is_empty() && self.kept.snapshottable.contains(&inode.id()) {
            flags |= Flags::SnapshotEnabled as u32;
        }
        flags
    }

    /// Replication as clients see it; striped files are stored once.
    pub(crate) fn copies_of(&self, file: Slot) -> u16 {
        let inode = self.tree.get(file);
        if inode.has(Mark::Striped) { 1 } else { inode.replication() }
    }

    /// Bytes of all blocks, the last one as far as the namenode was told.
    pub(crate) fn file_length(&self, file: Slot) -> u64 {
        self.tree.blocks(file).iter().map(|id| self.block_length(id)).sum()
    }

    /// The storage policy that rules an inode: its own, or the nearest above; 0 for none.
    pub(crate) fn policy_of(&self, slot: Slot) -> u8 {
        let mut at = Some(slot);
        while let Some(slot) = at {
            let inode = self.tree.get(slot);
            if inode.is_file() && inode.policy() != 0 {
                return inode.policy();
            }
            if inode.is_directory()
                && let Some(xattr) = self.tree.xattrs(slot).iter().find(|each| is_policy(each))
            {
                return xattr.value.as_deref().and_then(|value| value.first()).map_or(0, |id| *id);
            }
            at = inode.parent();
        }
        0
    }

    /// The name of the erasure coding policy that rules new files in a directory.
    pub(crate) fn erasure_coding_of(&self, slot: Slot) -> Option<&str> {
        let mut at = Some(slot);
        while let Some(slot) = at {
            let found = self.tree.xattrs(slot).iter().find(|each| {
                each.namespace == XAttrNamespace::System && each.name == ERASURE_CODING_XATTR
            });
            if let Some(xattr) = found {
                // A 4-byte length and the name.
                let name = xattr.value.as_deref().and_then(|value| value.get(4..))?;
                let name = std::str::from_utf8(name).ok()?;
                return (name != "replication").then_some(name);
            }
            at = self.tree.get(slot).parent();
        }
        None
    }

    /// `isFileClosed`.
    ///
    /// # Errors
    /// `FileNotFoundException`; path and permission errors.
    pub fn is_file_closed(
        &self,
        caller: &Caller<'_>,
        request: &IsFileClosedRequestProto,
    ) -> Result<IsFileClosedResponseProto, Fault> {
        let resolved = self.resolve(caller, &request.src, Intent::Read)?;
        let slot = self.file_at(resolved.target(), &request.src)?;
        Ok(IsFileClosedResponseProto { result: !self.tree.get(slot).has(Mark::Open) })
    }

    /// `getPreferredBlockSize`: what a full block of a file holds.
    ///
    /// # Errors
    /// `FileNotFoundException`; path and permission errors.
    pub fn get_preferred_block_size(
        &self,
        caller: &Caller<'_>,
        request: &GetPreferredBlockSizeRequestProto,
    ) -> Result<GetPreferredBlockSizeResponseProto, Fault> {
        let resolved = self.resolve(caller, &request.filename, Intent::ReadLink)?;
        let slot = self.file_at(resolved.target(), resolved.path())?;
        Ok(GetPreferredBlockSizeResponseProto { bsize: self.tree.get(slot).block_size() })
    }

    /// `checkAccess`: answers nothing, or refuses.
    ///
    /// # Errors
    /// `AccessControlException`, `FileNotFoundException`.
    pub fn check_access(
        &self,
        caller: &Caller<'_>,
        request: &hdfs_wire::proto::hdfs::CheckAccessRequestProto,
    ) -> Result<hdfs_wire::proto::hdfs::CheckAccessResponseProto, Fault> {
        let resolved = self.resolve(caller, &request.path, Intent::Read)?;
        let slot = resolved
            .target()
            .ok_or_else(|| not_found(format!("Path not found: {}", request.path)))?;
        self.checker(caller).check(slot, request.mode as Access)?;
        Ok(hdfs_wire::proto::hdfs::CheckAccessResponseProto {})
    }
}
