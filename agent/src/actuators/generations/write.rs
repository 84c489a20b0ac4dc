//! Files as they are written: owner and mode before the first byte.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;

use nix::unistd::{Gid, Group, Uid, User};

use super::{GenerationError, failed};
use crate::engine::File;

/// Users and groups by name, each looked up once.
#[derive(Default)]
pub(super) struct Owners {
    users: BTreeMap<String, Uid>,
    groups: BTreeMap<String, Gid>,
}

impl Owners {
    /// Who a file is to be given to.
    pub(super) fn of(&mut self, file: &File) -> io::Result<(Option<Uid>, Option<Gid>)> {
        let unknown =
            |what: &str, name: &str| io::Error::other(format!("there is no {what} {name}"));
        if let Some(name) = file.user.as_ref().filter(|name| !self.users.contains_key(*name)) {
            let found = User::from_name(name)?.ok_or_else(|| unknown("user", name))?;
            self.users.insert(name.clone(), found.uid);
        }
        if let Some(name) = file.group.as_ref().filter(|name| !self.groups.contains_key(*name)) {
            let found = Group::from_name(name)?.ok_or_else(|| unknown("group", name))?;
            self.groups.insert(name.clone(), found.gid);
        }
        let user = file.user.as_ref().and_then(|name| self.users.get(name)).copied();
        let group = file.group.as_ref().and_then(|name| self.groups.get(name)).copied();
        Ok((user, group))
    }
}

/// Nobody sees a byte before owner and mode are right. The file is still to be synced.
pub(super) fn write_file(
    path: &Path,
    file: &File,
    user: Option<Uid>,
    group: Option<Gid>,
) -> Result<fs::File, GenerationError> {
    let mut handle = fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .map_err(failed("create", path))?;
    if user.is_some() || group.is_some() {
        let given = nix::unistd::fchown(&handle, user, group);
        given.map_err(|error| failed("give away", path)(error.into()))?;
    }
    handle.write_all(file.content.bytes()).map_err(failed("write", path))?;
    handle
        .set_permissions(fs::Permissions::from_mode(file.mode))
        .map_err(failed("set the mode of", path))?;
    Ok(handle)
}
