//! Two generations side by side, with secrets masked: per property for Hadoop's XML, else a unified
//! diff of lines.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::Path;

use hdfs_edge::config;

use super::schema::secret_name;
use super::{File, Files};

/// Lines of context around a change.
const CONTEXT: usize = 3;

/// Longer files are only named as changed: the comparison takes time by the square.
const LINES_MAX: usize = 3_000;

/// What changed, for people; empty when nothing did.
pub fn diff(old: &Files, new: &Files) -> String {
    let mut text = String::new();
    for name in old.keys().chain(new.keys()).collect::<BTreeSet<_>>() {
        let (before, after) = (old.get(name), new.get(name));
        if before.map(|file| &file.content) == after.map(|file| &file.content) {
            continue;
        }
        let sides = match (before, after) {
            (None, _) => format!("--- /dev/null\n+++ {name}\n"),
            (_, None) => format!("--- {name}\n+++ /dev/null\n"),
            _ => format!("--- {name}\n+++ {name}\n"),
        };
        text.push_str(&sides);
        text.push_str(&body(name, before, after));
    }
    text
}

fn body(name: &str, before: Option<&File>, after: Option<&File>) -> String {
    let secret = [before, after].into_iter().flatten().any(|file| file.secret);
    let old = before.map_or(Some(""), File::text);
    let new = after.map_or(Some(""), File::text);
    let (Some(old), Some(new)) = (old, new) else { return "(binary)\n".to_owned() };
    if name.ends_with(".xml")
        && let (Some(old), Some(new)) = (properties(name, old), properties(name, new))
    {
        return of_properties(&old, &new, secret);
    }
    if secret {
        return "(changed; masked)\n".to_owned();
    }
    lines(old, new)
}

fn properties(name: &str, text: &str) -> Option<BTreeMap<String, String>> {
    if text.is_empty() {
        return Some(BTreeMap::new());
    }
    Some(config::properties(Path::new(name), text).ok()?.into_iter().collect())
}

fn of_properties(
    old: &BTreeMap<String, String>,
    new: &BTreeMap<String, String>,
    secret: bool,
) -> String {
    let mut text = String::new();
    for name in old.keys().chain(new.keys()).collect::<BTreeSet<_>>() {
        let (before, after) = (old.get(name), new.get(name));
        if before == after {
            continue;
        }
        for (sign, value) in [('-', before), ('+', after)] {
            let Some(value) = value else { continue };
            let shown = if secret || secret_name(name) { "***" } else { value.as_str() };
            let _ = writeln!(text, "{sign}{name} = {}", shown.escape_debug());
        }
    }
    text
}

/// One step of an edit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Keep,
    Remove,
    Add,
}

fn lines(old: &str, new: &str) -> String {
    let (old, new): (Vec<&str>, Vec<&str>) = (old.lines().collect(), new.lines().collect());
    if old.len() > LINES_MAX || new.len() > LINES_MAX {
        return format!("({} lines, now {})\n", old.len(), new.len());
    }
    let steps = script(&old, &new);
    let near = |at: usize| {
        let range = at.saturating_sub(CONTEXT)..(at + CONTEXT + 1).min(steps.len());
        steps[range].iter().any(|step| *step != Step::Keep)
    };
    let (mut text, mut gap) = (String::new(), true);
    let (mut i, mut j) = (0, 0);
    for (at, step) in steps.iter().enumerate() {
        if near(at) {
            if std::mem::take(&mut gap) {
                let _ = writeln!(text, "@@ -{} +{} @@", i + 1, j + 1);
            }
            let (sign, line) = match step {
                Step::Keep => (' ', old[i]),
                Step::Remove => ('-', old[i]),
                Step::Add => ('+', new[j]),
            };
            let _ = writeln!(text, "{sign}{line}");
        } else {
            gap = true;
        }
        i += usize::from(*step != Step::Add);
        j += usize::from(*step != Step::Remove);
    }
    text
}

/// A shortest edit, by the longest common subsequence.
fn script(old: &[&str], new: &[&str]) -> Vec<Step> {
    let width = new.len() + 1;
    let mut longest = vec![0_u32; (old.len() + 1) * width];
    for i in (0..old.len()).rev() {
        for j in (0..new.len()).rev() {
            longest[i * width + j] = match old[i] == new[j] {
                true => longest[(i + 1) * width + j + 1] + 1,
                false => longest[(i + 1) * width + j].max(longest[i * width + j + 1]),
            };
        }
    }
    let (mut i, mut j, mut steps) = (0, 0, Vec::new());
    while i < old.len() || j < new.len() {
        if i < old.len() && j < new.len() && old[i] == new[j] {
            steps.push(Step::Keep);
            (i, j) = (i + 1, j + 1);
        } else if j == new.len()
            || (i < old.len() && longest[(i + 1) * width + j] >= longest[i * width + j + 1])
        {
            steps.push(Step::Remove);
            i += 1;
        } else {
            steps.push(Step::Add);
            j += 1;
        }
    }
    steps
}
