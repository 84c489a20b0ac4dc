//! Paths as clients write them: what is a path at all, and which names nobody may use. Nothing here
//! looks into the namespace.

use std::borrow::Cow;

use hdfs_wire::{Exception, Fault};

/// Most UTF-16 units of a path; fixed in Hadoop.
const PATH_LENGTH_MAX: usize = 8000;
/// Most components of a path; fixed in Hadoop.
const PATH_DEPTH_MAX: usize = 1000;

/// Names below the root that stand for something else.
pub(crate) const RESERVED: &str = ".reserved";
/// Below [`RESERVED`]: inodes by id.
pub(crate) const INODES: &str = ".inodes";
/// Below [`RESERVED`]: the same tree without decryption.
pub(crate) const RAW: &str = "raw";
/// Where a directory's snapshots would be.
pub(crate) const SNAPSHOT: &str = ".snapshot";

/// The path without empty components and without a slash at its end.
///
/// # Errors
/// `AssertionError`, as Java, when it is not absolute.
pub(crate) fn normalize(path: &str) -> Result<Cow<'_, str>, Fault> {
    if !path.starts_with('/') {
        let message = format!("Absolute path required, but got '{path}'");
        return Err(Fault::new(Exception::Assertion, message));
    }
    if path == "/" || (!path.ends_with('/') && !path.contains("//")) {
        return Ok(Cow::Borrowed(path));
    }
    let mut clean = String::with_capacity(path.len());
    for component in components(path) {
        clean.push('/');
        clean.push_str(component);
    }
    if clean.is_empty() {
        clean.push('/');
    }
    Ok(Cow::Owned(clean))
}

/// The non-empty components of a path.
pub(crate) fn components(path: &str) -> impl DoubleEndedIterator<Item = &str> {
    path.split('/').filter(|component| !component.is_empty())
}

/// May this path be created? No `.`, `..`, colons or empty components in the middle.
pub(crate) fn is_valid(path: &str) -> bool {
    let Some(inner) = path.strip_prefix('/') else { return false };
    let inner = inner.strip_suffix('/').unwrap_or(inner);
    if inner.is_empty() {
        return true;
    }
    let by_id = is_by_id(path);
    inner.split('/').all(|component| match component {
        "" | "." => false,
        ".." => by_id,
        _ => !component.contains(':'),
    })
}

/// `/.reserved/.inodes/...`
pub(crate) fn is_by_id(path: &str) -> bool {
    let mut components = components(path);
    components.next() == Some(RESERVED) && components.next() == Some(INODES)
}

/// `/.reserved/raw/...`
pub(crate) fn is_raw(path: &str) -> bool {
    let mut components = components(path);
    components.next() == Some(RESERVED) && components.next() == Some(RAW)
}

/// `/.reserved` itself or anything below it.
pub(crate) fn is_reserved(path: &str) -> bool {
    components(path).next() == Some(RESERVED)
}

/// Checks the fixed limits on whole paths for calls that make names.
///
/// # Errors
/// `IOException` naming the call.
pub(crate) fn check_length(call: &str, path: &str) -> Result<(), Fault> {
    // UTF-16 is never longer than UTF-8: most paths need no counting.
    let too_long = path.len() > PATH_LENGTH_MAX && path.encode_utf16().count() > PATH_LENGTH_MAX;
    if too_long || components(path).count() > PATH_DEPTH_MAX {
        return Err(Fault::io(format!(
            "{call}: Pathname too long.  Limit {PATH_LENGTH_MAX} characters, {PATH_DEPTH_MAX} \
             levels."
        )));
    }
    Ok(())
}

/// Is a clean path a clean directory's path, or below it?
pub(crate) fn is_below(path: &str, directory: &str) -> bool {
    directory == "/"
        || path.strip_prefix(directory).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// The directory of a path into snapshots: what comes before the first `.snapshot`.
pub(crate) fn snapshot_root(path: &str) -> Option<&str> {
    let at = path.find("/.snapshot")?;
    let rest = &path[at + 1 + SNAPSHOT.len()..];
    (rest.is_empty() || rest.starts_with('/')).then_some(if at == 0 { "/" } else { &path[..at] })
}

/// The path of the directory that holds this path's last component.
pub(crate) fn parent(path: &str) -> &str {
    match path.rfind('/') {
        None | Some(0) => "/",
        Some(end) => &path[..end],
    }
}

/// A component of a path, appended to its directory's path.
pub(crate) fn join(directory: &str, name: &str) -> String {
    if directory == "/" { format!("/{name}") } else { format!("{directory}/{name}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn extra_slashes_do_not_matter() {
        for (path, clean) in
            [("/", "/"), ("//", "/"), ("/a/", "/a"), ("/a//b", "/a/b"), ("//a///b//", "/a/b")]
        {
            assert_eq!(normalize(path).unwrap(), clean);
        }
        assert_eq!(
            normalize("pr").unwrap_err().to_string(),
            "java.lang.AssertionError: Absolute path required, but got 'pr'"
        );
    }

    #[test]
    fn names_that_cannot_be_made() {
        for path in ["/a//b", "/a/./b", "/a/..", "/a:b", "a", ""] {
            assert!(!is_valid(path), "{path}");
        }
        for path in ["/", "/a", "/a/", "/a b/ü", "/.reserved/.inodes/1/.."] {
            assert!(is_valid(path), "{path}");
        }
    }

    #[test]
    fn length_counts_utf16_units() {
        assert!(check_length("mkdirs", &format!("/{}", "ü".repeat(7000))).is_ok());
        assert!(check_length("mkdirs", &format!("/{}", "x".repeat(8000))).is_err());
        assert!(check_length("mkdirs", &"/d".repeat(1001)).is_err());
        assert!(check_length("mkdirs", &"/d".repeat(1000)).is_ok());
    }

    #[test]
    fn parents_and_joins() {
        assert_eq!(parent("/a"), "/");
        assert_eq!(parent("/a/b"), "/a");
        assert_eq!(join("/", "a"), "/a");
        assert_eq!(join("/a", "b"), "/a/b");
    }
}
