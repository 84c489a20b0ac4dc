//! The difference that an import makes, for people and as JSON, with secrets masked.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::plan::Change;
use crate::engine::{File, Files, diff, secret_name};
use crate::render::Format;
use crate::sources::Entry;

/// Whether signs are coloured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Paint {
    /// For a terminal.
    Colour,
    /// For everything else.
    Plain,
}

/// All changes as a unified diff; properties of one file stand below one head.
pub fn all<'c>(changes: impl Iterator<Item = &'c Change>) -> String {
    let (mut text, mut head) = (String::new(), None);
    for change in changes {
        let (old, new) = (change.old.as_ref(), change.new.as_ref());
        match property(&change.key) {
            Some((file, name)) => {
                if head != Some(file) {
                    let _ = writeln!(text, "--- {file}\n+++ {file}");
                }
                head = Some(file);
                text.push_str(&of_property(name, old, new));
            }
            None => {
                head = None;
                text.push_str(&of_file(&change.key, old, new));
            }
        }
    }
    text
}

/// The file and the name of a key that holds one property.
fn property(key: &str) -> Option<(&str, &str)> {
    let at = key.match_indices('/').map(|(at, _)| at).find(|at| {
        let name = key[..*at].rsplit('/').next().unwrap_or_default();
        Format::of_file(name).is_some()
    })?;
    Some((&key[..at], &key[at + 1..])).filter(|(_, name)| !name.is_empty())
}

fn of_property(name: &str, old: Option<&Entry>, new: Option<&Entry>) -> String {
    let mut text = String::new();
    for (sign, entry) in [('-', old), ('+', new)] {
        let Some(entry) = entry else { continue };
        let value = match std::str::from_utf8(&entry.value) {
            _ if secret_name(name) => "***".to_owned(),
            Ok(value) => value.escape_debug().to_string(),
            Err(_) => "(binary)".to_owned(),
        };
        let flags = match entry.flags {
            0 => String::new(),
            flags => format!(" (flags {flags})"),
        };
        let _ = writeln!(text, "{sign}{name} = {value}{flags}");
    }
    text
}

fn of_file(key: &str, old: Option<&Entry>, new: Option<&Entry>) -> String {
    let side = |entry: Option<&Entry>| {
        let secret = secret_name(key.rsplit('/').next().unwrap_or(key));
        let file = |entry: &Entry| File { secret, ..File::plain(entry.value.clone()) };
        entry.map(|entry| (key.to_owned(), file(entry))).into_iter().collect::<Files>()
    };
    let mut text = masked(&diff::diff(&side(old), &side(new)));
    let [before, after] = [old, new].map(|entry| entry.map_or(0, |entry| entry.flags));
    if before != after {
        if text.is_empty() {
            let _ = writeln!(text, "--- {key}\n+++ {key}");
        }
        for (sign, flags) in [('-', before), ('+', after)] {
            if flags != 0 {
                let _ = writeln!(text, "{sign}(flags {flags})");
            }
        }
    }
    text
}

/// Values that stand behind the name of a secret in a line (`a.password=x`) are not shown.
fn masked(diff: &str) -> String {
    let mut text = String::new();
    for line in diff.lines() {
        let of_text = line.starts_with(['+', '-', ' '])
            && !["+++ ", "--- "].iter().any(|head| line.starts_with(head));
        let at = line.find(['=', ':', '>']).filter(|at| of_text && *at > 0);
        let name = at.map(|at| line[1..at].trim().trim_start_matches("export "));
        match (at, name) {
            (Some(at), Some(name)) if !name.contains(' ') && secret_name(name) => {
                let _ = writeln!(text, "{} ***", &line[..=at]);
            }
            _ => {
                let _ = writeln!(text, "{line}");
            }
        }
    }
    text
}

/// A diff with colours where they are wanted.
pub fn painted(diff: &str, paint: Paint) -> String {
    if paint == Paint::Plain {
        return diff.to_owned();
    }
    let mut text = String::new();
    for line in diff.lines() {
        let colour = match line {
            _ if line.starts_with("--- ") || line.starts_with("+++ ") => "1",
            _ if line.starts_with('+') => "32",
            _ if line.starts_with('-') => "31",
            _ if line.starts_with("@@") => "36",
            _ => "0",
        };
        let _ = writeln!(text, "\u{1b}[{colour}m{line}\u{1b}[0m");
    }
    text
}

/// One change as JSON.
pub fn json(change: &Change) -> Value {
    let (old, new) = (change.old.as_ref(), change.new.as_ref());
    let kind = match (old, new) {
        (None, _) => "add",
        (_, None) => "delete",
        _ => "change",
    };
    json!({
        "key": change.key,
        "change": kind,
        "flags": new.or(old).map(|entry| entry.flags),
        "modify_index": old.map(|entry| entry.modified),
        "diff": all(std::iter::once(change)),
    })
}
