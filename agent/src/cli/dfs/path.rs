//! Paths as a user writes them, and as messages repeat them.
//!
//! A path is shown in the form in which it was given: with the scheme, absolute, or relative to the
//! user's home. Children take over the form of their parent.

use hdfs_native::client::FileStatus;

/// A path the user named, or something below it.
#[derive(Debug, Clone)]
pub(super) struct Item {
    /// As the user sees it.
    pub(super) shown: String,
    /// In the file system: absolute, without `.`, `..` or double slashes.
    pub(super) path: String,
    /// What is there; `None` for nothing.
    pub(super) status: Option<FileStatus>,
}

impl Item {
    /// The last component.
    pub(super) fn name(&self) -> &str {
        self.path.rsplit('/').next().unwrap_or("")
    }

    /// Whether it is a folder that exists.
    pub(super) fn is_directory(&self) -> bool {
        self.status.as_ref().is_some_and(|status| status.isdir)
    }

    /// Something inside this folder.
    pub(super) fn child(&self, name: &str, status: Option<FileStatus>) -> Self {
        let shown = if self.shown == "." {
            name.to_owned()
        } else {
            let separator = if self.shown.ends_with('/') { "" } else { "/" };
            format!("{}{separator}{name}", self.shown)
        };
        Self { shown, path: join(&self.path, name), status }
    }
}

/// What a written path says.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Written {
    /// `scheme://authority` in front, as it was written (`hdfs://` for `hdfs:///x`).
    pub(super) prefix: String,
    /// The authority, if there is one.
    pub(super) authority: Option<String>,
    /// The rest, as it was written.
    pub(super) rest: String,
}

/// Splits a written path.
///
/// # Errors
/// A scheme that is not `hdfs`, in Hadoop's words.
pub(super) fn split(text: &str) -> Result<Written, String> {
    let Some((scheme, rest)) = text.split_once("://") else {
        return match text.strip_prefix("hdfs:/") {
            Some(rest) => Ok(Written {
                prefix: "hdfs:".to_owned(),
                authority: None,
                rest: format!("/{rest}"),
            }),
            None => Ok(Written { prefix: String::new(), authority: None, rest: text.to_owned() }),
        };
    };
    if scheme.contains('/') {
        return Ok(Written { prefix: String::new(), authority: None, rest: text.to_owned() });
    }
    if scheme != "hdfs" {
        return Err(format!("No FileSystem for scheme \"{scheme}\""));
    }
    let (authority, path) = match rest.find('/') {
        Some(at) => rest.split_at(at),
        None => (rest, "/"),
    };
    Ok(Written {
        prefix: format!("hdfs://{authority}"),
        authority: (!authority.is_empty()).then(|| authority.to_owned()),
        rest: path.to_owned(),
    })
}

/// An absolute path without `.`, `..` and surplus slashes; relative ones start at `home`.
pub(super) fn absolute(home: &str, text: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    let base = if text.starts_with('/') { "" } else { home };
    for part in base.split('/').chain(text.split('/')) {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    format!("/{}", parts.join("/"))
}

/// A path in the form in which the user wrote its pattern.
pub(super) fn shown(written: &Written, home: &str, path: &str) -> String {
    if !written.prefix.is_empty() || written.rest.starts_with('/') {
        return format!("{}{path}", written.prefix);
    }
    if path == home {
        return ".".to_owned();
    }
    let below = path.strip_prefix(home).and_then(|rest| rest.strip_prefix('/'));
    below.unwrap_or(path).to_owned()
}

/// The parent of an absolute path; the root is its own.
pub(super) fn parent(path: &str) -> &str {
    match path.rfind('/') {
        Some(0) | None => "/",
        Some(at) => &path[..at],
    }
}

/// A path below another.
pub(super) fn join(folder: &str, name: &str) -> String {
    format!("{}/{name}", folder.trim_end_matches('/'))
}

/// Whether the text is a pattern.
pub(super) fn is_glob(text: &str) -> bool {
    let mut escaped = false;
    for c in text.chars() {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '*' | '?' | '[' | '{' => return true,
            _ => {}
        }
    }
    false
}

/// The text without the backslashes that take a character's special meaning away.
pub(super) fn unescape(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => plain.extend(chars.next()),
            c => plain.push(c),
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn absolute_paths() {
        let table = [
            ("/a//b/", "/a/b"),
            ("/", "/"),
            ("x", "/user/me/x"),
            (".", "/user/me"),
            ("../you/./x", "/user/you/x"),
            ("/../..", "/"),
        ];
        for (text, path) in table {
            assert_eq!(absolute("/user/me", text), path, "{text}");
        }
    }

    #[test]
    fn shown_as_written() {
        let table = [
            ("hdfs://nn:1/a", "/a", "hdfs://nn:1/a"),
            ("hdfs:///a", "/a", "hdfs:///a"),
            ("hdfs:/a", "/a", "hdfs:/a"),
            ("/a/", "/a", "/a"),
            ("d/*", "/user/me/d/x", "d/x"),
            (".", "/user/me", "."),
            ("../you", "/user/you", "/user/you"),
        ];
        for (text, path, expected) in table {
            assert_eq!(shown(&split(text).unwrap(), "/user/me", path), expected, "{text}");
        }
    }

    #[test]
    fn other_schemes() {
        assert_eq!(split("s3a://b/x").unwrap_err(), "No FileSystem for scheme \"s3a\"");
        assert_eq!(split("/a://b").unwrap().rest, "/a://b");
        assert_eq!(split("hdfs://nn").unwrap().rest, "/");
    }

    #[test]
    fn children_take_the_form_of_their_parent() {
        let item = |shown: &str, path: &str| Item {
            shown: shown.to_owned(),
            path: path.to_owned(),
            status: None,
        };
        assert_eq!(item(".", "/user/me").child("x", None).shown, "x");
        assert_eq!(item("/", "/").child("x", None).path, "/x");
        assert_eq!(item("hdfs:///d", "/d").child("x", None).shown, "hdfs:///d/x");
    }

    #[test]
    fn patterns() {
        assert!(is_glob("/a/*") && is_glob("{a,b}") && !is_glob("/a/\\*"));
        assert_eq!(unescape("/a/\\*"), "/a/*");
    }
}
