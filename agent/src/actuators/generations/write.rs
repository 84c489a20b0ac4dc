//! Files as they are written: owner and mode before the first byte, and small ones replaced whole.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use nix::unistd::{Gid, Group, Uid, User};

use super::{GenerationError, failed};
use crate::engine::{Content, File};

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

/// Replaces a small file as a whole, durably.
pub(crate) fn replace(path: &Path, bytes: &[u8], mode: u32) -> Result<(), GenerationError> {
    let staged = beside(path);
    stage_beside(&staged, bytes, mode)?.sync_all().map_err(failed("sync", &staged))?;
    fs::rename(&staged, path).map_err(failed("replace", path))?;
    sync_folder(path.parent().unwrap_or(Path::new(".")))
}

/// Replaces a small file as a whole; it and its folder are still to be synced.
pub(super) fn rename_into(path: &Path, bytes: &[u8], mode: u32) -> Result<(), GenerationError> {
    let staged = beside(path);
    stage_beside(&staged, bytes, mode)?;
    fs::rename(&staged, path).map_err(failed("replace", path))
}

fn beside(path: &Path) -> PathBuf {
    let mut staged = path.to_owned().into_os_string();
    staged.push(".tmp");
    staged.into()
}

fn stage_beside(staged: &Path, bytes: &[u8], mode: u32) -> Result<fs::File, GenerationError> {
    let _ = fs::remove_file(staged);
    let file = File { content: Content::new(bytes), mode, ..File::default() };
    write_file(staged, &file, None, None)
}

pub(super) fn sync_folder(path: &Path) -> Result<(), GenerationError> {
    let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
    fs::File::open(path).and_then(|folder| folder.sync_all()).map_err(failed("sync", path))
}
