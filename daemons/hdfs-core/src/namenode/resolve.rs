//! From a path to the inodes it names, with the traverse permission checked on the way.

use std::borrow::Cow;

use hdfs_wire::{Exception, Fault};

use super::path;
use super::permission::{Checker, EXECUTE};
use super::tree::{Kind, ROOT, Slot, Tree};
use super::{Caller, Namenode};

/// What a call means to do with a path; decides the errors and whether a final link is followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Intent {
    /// Look at what the path leads to.
    Read,
    /// Look at the path's own inode, link or not.
    ReadLink,
    /// Change what the path leads to.
    Write,
    /// Change or remove the path's own inode.
    WriteLink,
    /// Make the path.
    Create,
}

/// A path taken apart against the namespace.
#[derive(Debug, Clone)]
pub(crate) struct Resolved<'p> {
    path: Cow<'p, str>,
    /// The deepest inode on the path that exists.
    last: Slot,
    /// Where in `path` the first missing component begins; the path's length when all exist.
    rest: usize,
}

impl Resolved<'_> {
    /// Absolute, without empty components.
    pub(crate) fn path(&self) -> &str {
        &self.path
    }

    /// The inode the path names, if it exists.
    pub(crate) fn target(&self) -> Option<Slot> {
        (self.rest >= self.path.len()).then_some(self.last)
    }

    /// The deepest existing inode, the target itself included.
    pub(crate) fn deepest(&self) -> Slot {
        self.last
    }

    /// The components that do not exist.
    pub(crate) fn missing(&self) -> impl DoubleEndedIterator<Item = &str> {
        path::components(self.path.get(self.rest..).unwrap_or(""))
    }

    /// The inode of the component before the last, if it exists.
    pub(crate) fn parent(&self, tree: &Tree) -> Option<Slot> {
        match self.target() {
            Some(target) => tree.get(target).parent(),
            None => (self.missing().count() == 1).then_some(self.last),
        }
    }

    /// The last component; empty for the root.
    pub(crate) fn name(&self) -> &str {
        self.path.rsplit('/').next().unwrap_or("")
    }

    /// The path of the last component's directory.
    pub(crate) fn parent_path(&self) -> &str {
        path::parent(&self.path)
    }

    /// The same path without a borrow of the request.
    pub(crate) fn into_path(self) -> String {
        self.path.into_owned()
    }
}

/// Walks a clean path without any check. Stops at the first missing component or non-directory.
pub(crate) fn walk<'p>(tree: &Tree, path: Cow<'p, str>) -> Resolved<'p> {
    let mut last = ROOT;
    let mut rest = 1;
    while rest < path.len() {
        let end = path[rest..].find('/').map_or(path.len(), |length| rest + length);
        let Some(child) = tree.child(last, &path.as_bytes()[rest..end]) else { break };
        last = child;
        rest = end + 1;
    }
    Resolved { path, last, rest }
}

impl Namenode {
    /// Resolves a path for a caller.
    ///
    /// # Errors
    /// Java's: `InvalidPathException` (create), `AssertionError` (relative),
    /// `AccessControlException` or `ParentNotDirectoryException` (a file in the middle),
    /// `UnresolvedPathException` (a link on the way).
    pub(crate) fn resolve<'p>(
        &self,
        caller: &Caller<'_>,
        path: &'p str,
        intent: Intent,
    ) -> Result<Resolved<'p>, Fault> {
        if intent == Intent::Create && !path::is_valid(path) {
            let message = format!("Invalid path name Invalid file name: {path}");
            return Err(Fault::new(Exception::InvalidPath, message));
        }
        let checker = self.checker(caller);
        let mut clean = path::normalize(path)?;
        if clean.starts_with("/.reserved/") {
            if path::is_raw(&clean) && matches!(intent, Intent::Write | Intent::WriteLink) {
                checker.superuser(&clean)?;
            }
            clean = Cow::Owned(self.without_reserved(&clean)?);
        }
        if !matches!(intent, Intent::Read | Intent::ReadLink) && self.is_in_snapshots(&clean) {
            let message = "Modification on a read-only snapshot is disallowed";
            return Err(Fault::new(Exception::SnapshotAccessControl, message));
        }
        let resolved = walk(&self.tree, clean);
        check_way(&self.tree, &checker, &resolved, intent)?;
        Ok(resolved)
    }

    /// Does this clean path lead into the snapshots of a directory that allows them?
    pub(crate) fn is_in_snapshots(&self, path: &str) -> bool {
        if self.kept.snapshottable.is_empty() {
            return false;
        }
        let Some(root) = path::snapshot_root(path) else { return false };
        let target = walk(&self.tree, Cow::Borrowed(root)).target();
        target.is_some_and(|slot| self.kept.snapshottable.contains(&self.tree.get(slot).id()))
    }

    /// The same by inode id when the client gave one: a rename since then does not matter.
    pub(crate) fn resolve_open<'p>(
        &self,
        caller: &Caller<'_>,
        path: &'p str,
        id: u64,
    ) -> Result<Resolved<'p>, Fault> {
        // Java's "grandfather" id means: no id given.
        if id == 0 {
            return self.resolve(caller, path, Intent::Write);
        }
        match self.tree.by_id(id) {
            Some(last) => {
                let path = self.tree.path(last);
                let rest = path.len() + 1;
                Ok(Resolved { path: Cow::Owned(path), last, rest })
            }
            None => {
                // The file is gone; the path is for the message.
                let path = path::normalize(path)?;
                Ok(Resolved { path, last: ROOT, rest: 1 })
            }
        }
    }

    /// `/.reserved/.inodes/ID/x` and `/.reserved/raw/x` as ordinary paths.
    fn without_reserved(&self, path: &str) -> Result<String, Fault> {
        let mut components = path::components(path).skip(1);
        match components.next() {
            Some(path::RAW) => {
                let rest: Vec<_> = components.collect();
                Ok(format!("/{}", rest.join("/")))
            }
            Some(path::INODES) => {
                let Some(id) = components.next() else { return Ok(path.to_owned()) };
                let slot = id.parse().ok().and_then(|id| self.tree.by_id(id));
                let slot = slot.ok_or_else(|| {
                    let message = format!("File for given inode path does not exist: {path}");
                    Fault::new(Exception::FileNotFound, message)
                })?;
                let mut full = self.tree.path(slot);
                for (index, component) in components.enumerate() {
                    full = match component {
                        ".." if index == 0 => path::parent(&full).to_owned(),
                        _ => path::join(&full, component),
                    };
                }
                Ok(full)
            }
            _ => Ok(path.to_owned()),
        }
    }
}

/// Every ancestor must be a directory that the caller may traverse.
fn check_way(
    tree: &Tree,
    checker: &Checker<'_>,
    resolved: &Resolved<'_>,
    intent: Intent,
) -> Result<(), Fault> {
    let last = resolved.deepest();
    let target = resolved.target();
    let first = if target.is_some() { tree.get(last).parent() } else { Some(last) };
    if !checker.may_all()
        && let Some(first) = first
    {
        check_traverse(tree, checker, first)?;
    }
    let follows = !matches!(intent, Intent::ReadLink | Intent::WriteLink);
    match tree.get(last).kind() {
        Kind::Symlink if target.is_none() || follows => {
            Err(Fault::new(Exception::UnresolvedPath, tree.path(last)))
        }
        Kind::File if target.is_none() => {
            let message = format!("{} (is not a directory)", tree.path(last));
            Err(match intent {
                Intent::Create => Fault::new(Exception::ParentNotDirectory, message),
                _ => Fault::new(Exception::AccessControl, message),
            })
        }
        _ => Ok(()),
    }
}

/// EXECUTE on every directory from the root down to `deepest`; the first refusal from above counts.
fn check_traverse(tree: &Tree, checker: &Checker<'_>, deepest: Slot) -> Result<(), Fault> {
    let mut refused = None;
    let mut at = Some(deepest);
    while let Some(slot) = at {
        if tree.get(slot).is_directory() && !checker.is_allowed(slot, EXECUTE) {
            refused = Some(slot);
        }
        at = tree.get(slot).parent();
    }
    refused.map_or(Ok(()), |slot| checker.check(slot, EXECUTE))
}
