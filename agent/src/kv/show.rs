//! The difference that an import makes, for people and as JSON, with secrets masked.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::plan::Change;
use crate::engine::{File, Files, diff, secret_name};
use crate::sources::Entry;

/// Whether signs are coloured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Paint {
    /// For a terminal.
    Colour,
    /// For everything else.
    Plain,
}

/// A unified diff of one key.
pub fn text(key: &str, old: Option<&Entry>, new: Option<&Entry>) -> String {
    let side = |entry: Option<&Entry>| {
        let mut files = Files::new();
        if let Some(entry) = entry {
            let secret = secret_name(key.rsplit('/').next().unwrap_or(key));
            let file = File { secret, ..File::plain(entry.value.clone()) };
            files.insert(key.to_owned(), file);
        }
        files
    };
    let flags = |entry: Option<&Entry>| entry.map_or(0, |entry| entry.flags);
    let mut text = masked(&diff::diff(&side(old), &side(new)));
    if flags(old) != flags(new) {
        if text.is_empty() {
            let _ = writeln!(text, "--- {key}\n+++ {key}");
        }
        let _ = writeln!(text, "-flags {}\n+flags {}", flags(old), flags(new));
    }
    text
}

/// Values that stand behind the name of a secret in a line (`a.password=x`) are not shown.
fn masked(diff: &str) -> String {
    let mut text = String::new();
    for line in diff.lines() {
        let sign = line.starts_with(['+', '-', ' ']) && !line.starts_with("+++ ");
        let at = line.find(['=', ':']).filter(|_| sign && !line.starts_with("--- "));
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
        "diff": text(&change.key, old, new),
    })
}
