//! create: a new file, open for its creator.

use hdfs_disk::edits::EditOp;
use hdfs_wire::proto::hdfs::{CreateFlagProto, CreateRequestProto, CreateResponseProto};
use hdfs_wire::{Exception, Fault};

use super::super::lease_recovery::LeaseCall;
use super::super::permission::WRITE;
use super::super::resolve::{Intent, Resolved};
use super::super::retry::Answer;
use super::super::tree::{Slot, Usage};
use super::super::{Caller, Durable, Namenode, path};
use super::mkdirs::Modes;
use super::{illegal, not_found};

/// Is this flag among those the client sent?
pub(super) fn has_flag(flags: u32, flag: CreateFlagProto) -> bool {
    flags & flag as u32 != 0
}

impl Namenode {
    /// `create`: a new empty file under a lease of the client, replacing an old one if asked.
    ///
    /// # Errors
    /// `FileAlreadyExistsException`, `AlreadyBeingCreatedException`, `RecoveryInProgressException`,
    /// `FileNotFoundException`, `InvalidPathException`, `IOException` for replication and block
    /// size, and the name, quota, permission and safe mode errors.
    pub fn create(
        &mut self,
        caller: &Caller<'_>,
        request: &CreateRequestProto,
    ) -> Result<Durable<CreateResponseProto>, Fault> {
        self.begin(caller);
        let src = &request.src;
        path::check_length("create", src)?;
        if let Some(Answer::File(id)) = self.repeated(caller)
            && let Some(slot) = self.tree.by_id(id)
        {
            return Ok(self.created(slot));
        }
        let is_plain_reserved =
            path::is_reserved(src) && !path::is_raw(src) && !path::is_by_id(src);
        if !path::is_valid(src) || is_plain_reserved {
            let message = format!("Invalid path name {src}");
            return Err(Fault::new(Exception::InvalidPath, message));
        }
        self.check_safe_mode(format_args!("create file{src}"))?;
        let resolved = self.resolve_create(caller, request)?;
        self.check_create_sizes(caller, request)?;
        self.check_striping(request, resolved.deepest())?;
        let policy = self.policy_for_create(request, resolved.deepest())?;
        let overwrite = has_flag(request.create_flag, CreateFlagProto::Overwrite);
        if resolved.target().is_some() && !overwrite {
            self.recover_lease_for(
                LeaseCall::CreateFile,
                &resolved,
                &request.client_name,
                caller.address,
            )?;
            let message =
                format!("{} for client {} already exists", resolved.path(), caller.address);
            return Err(Fault::new(Exception::FileAlreadyExists, message));
        }
        let slot = self.start_file(caller, request, &resolved, policy)?;
        Ok(self.created(slot))
    }

    fn created(&self, slot: Slot) -> Durable<CreateResponseProto> {
        self.durable(CreateResponseProto { fs: Some(self.status(slot, b"")) })
    }

    /// Resolution with everything Java checks before it looks at sizes.
    fn resolve_create<'p>(
        &self,
        caller: &Caller<'_>,
        request: &'p CreateRequestProto,
    ) -> Result<Resolved<'p>, Fault> {
        let resolved = self.resolve(caller, &request.src, Intent::Create)?;
        let checker = self.checker(caller);
        let Some(slot) = resolved.target() else {
            checker.check(resolved.deepest(), WRITE)?;
            if !request.create_parent {
                self.check_parent(&resolved)?;
            }
            if !has_flag(request.create_flag, CreateFlagProto::Create) {
                return Err(not_found(format!("Can't overwrite non-existent {}", request.src)));
            }
            return Ok(resolved);
        };
        if let Some(parent) = self.tree.get(slot).parent() {
            checker.check(parent, WRITE)?;
        }
        if self.tree.get(slot).is_directory() {
            let message = format!("{} already exists as a directory", resolved.path());
            return Err(Fault::new(Exception::FileAlreadyExists, message));
        }
        self.file_at(Some(slot), resolved.path())?;
        if has_flag(request.create_flag, CreateFlagProto::Overwrite) {
            checker.check(slot, WRITE)?;
        }
        Ok(resolved)
    }

    fn check_create_sizes(
        &self,
        caller: &Caller<'_>,
        request: &CreateRequestProto,
    ) -> Result<(), Fault> {
        let (size, least) = (request.block_size, self.config.block_size_min);
        if size < least || size > i64::MAX as u64 {
            return Err(Fault::io(format!(
                "Specified block size {} is less than configured minimum value \
                 dfs.namenode.fs-limits.min-block-size={least}",
                size as i64
            )));
        }
        let client = format!(", clientName={}", caller.address);
        self.check_replication(request.replication, &request.src, &client)
    }

    /// `suffix` is what Java appends for calls that know the client.
    pub(super) fn check_replication(
        &self,
        replication: u32,
        src: &str,
        suffix: &str,
    ) -> Result<(), Fault> {
        // The wire has 32 bits, Java keeps 16.
        let wanted = replication as i16;
        let (least, most) = (self.config.replication_min, self.config.replication_max);
        let reason = if i32::from(wanted) > i32::from(most) {
            format!("exceeds maximum of {most}")
        } else if i32::from(wanted) < i32::from(least) {
            format!("is less than the required minimum of {least}")
        } else {
            return Ok(());
        };
        Err(Fault::io(format!(
            "Requested replication factor of {wanted} {reason} for {src}{suffix}"
        )))
    }

    /// New striped files cannot be written here.
    fn check_striping(&self, request: &CreateRequestProto, near: Slot) -> Result<(), Fault> {
        let named = request.ec_policy_name.as_deref().filter(|name| !name.is_empty());
        let replicate = has_flag(request.create_flag, CreateFlagProto::ShouldReplicate);
        if replicate && named.is_some() {
            return Err(illegal(
                "SHOULD_REPLICATE flag and ecPolicyName are exclusive parameters. Set both is not \
                 allowed!",
            ));
        }
        if replicate || (named.is_none() && self.erasure_coding_of(near).is_none()) {
            return Ok(());
        }
        let message = format!("Cannot create {}: erasure coding is not supported", request.src);
        Err(Fault::new(Exception::UnsupportedOperation, message))
    }

    fn start_file(
        &mut self,
        caller: &Caller<'_>,
        request: &CreateRequestProto,
        resolved: &Resolved<'_>,
        storage_policy: u8,
    ) -> Result<Slot, Fault> {
        let parent = match resolved.target() {
            Some(old) => self.tree.get(old).parent().unwrap_or(old),
            None => self.make_ancestors(caller, resolved)?,
        };
        if resolved.target().is_none() {
            self.check_new(parent, resolved.name(), Usage { names: 1, space: 0 })?;
        }
        let modes = Modes::new(request.masked.perm, request.unmasked.map(|each| each.perm));
        let (mode, acl) = self.inherited(parent, modes, false);
        let op = EditOp::Add {
            inode_id: self.tree.last_id + 1,
            path: resolved.path().to_owned(),
            replication: request.replication as u16,
            mtime: self.now as i64,
            atime: self.now as i64,
            block_size: request.block_size,
            blocks: Vec::new(),
            permission: self.new_permission(caller, parent, mode),
            acl,
            xattrs: Vec::new(),
            client_name: request.client_name.clone(),
            client_machine: caller.address.to_owned(),
            overwrite: has_flag(request.create_flag, CreateFlagProto::Overwrite),
            storage_policy,
            erasure_coding_policy: 0,
            rpc: Self::rpc_ids(caller),
        };
        self.log(&op)?;
        self.tree
            .child(parent, resolved.name().as_bytes())
            .ok_or_else(|| Fault::io(format!("Unable to add {} to namespace", request.src)))
    }
}
