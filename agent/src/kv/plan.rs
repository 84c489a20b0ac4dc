//! What an import changes, and the transactions that change it.

use std::collections::BTreeSet;

use super::{Entries, Mistake};
use crate::render::Format;
use crate::sources::Entry;
use crate::sources::consul::{OPERATIONS_MAX, TxnOp};

/// Longest body of a transaction in bytes: Consul's own limit.
pub const BODY_BYTES_MAX: usize = 512 * 1024;

/// One key that is to change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// The key.
    pub key: String,
    /// What is stored; `None` when nothing is.
    pub old: Option<Entry>,
    /// What is to be stored; `None` when the key goes.
    pub new: Option<Entry>,
}

/// What happens to keys that the folder does not have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Others {
    /// They stay.
    Keep,
    /// They go where the folder has something: a folder of the first level, a layer (`@...`).
    Delete,
}

/// Under which condition keys are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Guard {
    /// Each is still what was read.
    Unchanged,
    /// None.
    Force,
}

impl Change {
    /// The step of a transaction that performs it.
    pub fn operation(&self, guard: Guard) -> TxnOp {
        let key = self.key.clone();
        let index = self.old.as_ref().map_or(0, |old| old.modified);
        match (&self.new, guard) {
            (Some(Entry { value, flags, .. }), Guard::Unchanged) => {
                TxnOp::Cas { key, value: value.clone(), flags: *flags, index }
            }
            (Some(Entry { value, flags, .. }), Guard::Force) => {
                TxnOp::Set { key, value: value.clone(), flags: *flags }
            }
            (None, Guard::Unchanged) => TxnOp::DeleteCas { key, index },
            (None, Guard::Force) => TxnOp::Delete { key },
        }
    }
}

/// What differs between the store and what is wanted, by key.
pub fn changes(stored: &Entries, wanted: &Entries, prefix: &str, others: Others) -> Vec<Change> {
    let mut changes = Vec::new();
    for (key, entry) in wanted {
        let old = stored.get(key);
        if old.is_none_or(|old| old.value != entry.value || old.flags != entry.flags) {
            let (old, new) = (old.cloned(), Some(entry.clone()));
            changes.push(Change { key: key.clone(), old, new });
        }
    }
    if others == Others::Delete {
        let scopes: BTreeSet<&str> = wanted.keys().map(|key| scope(key, prefix)).collect();
        for (key, entry) in stored {
            if !wanted.contains_key(key) && scopes.contains(scope(key, prefix)) {
                changes.push(Change { key: key.clone(), old: Some(entry.clone()), new: None });
            }
        }
        changes.sort_by(|a, b| a.key.cmp(&b.key));
    }
    changes
}

/// Refuses to leave a file stored whole and by property, which no host would render.
///
/// # Errors
/// Names the file and both ways out.
pub fn one_form(stored: &Entries, wanted: &Entries, changes: &[Change]) -> Result<(), Mistake> {
    let gone: BTreeSet<&str> =
        changes.iter().filter(|change| change.new.is_none()).map(|c| c.key.as_str()).collect();
    let remains = |key: &str| stored.contains_key(key) && !gone.contains(key);
    for key in wanted.keys() {
        let whole = key.match_indices('/').map(|(at, _)| &key[..at]).find(|path| remains(path));
        if let Some(whole) = whole {
            let what = "is stored as a whole file, and hosts refuse properties beside it; \
                        --delete replaces it, --layout files keeps that form";
            return Err(Mistake::new(whole, what));
        }
        let below = format!("{key}/");
        let mut inner = stored.range(below.clone()..).map(|(key, _)| key.as_str());
        let inner = inner.find(|inner| *inner > below.as_str() && !gone.contains(inner));
        if let Some(inner) = inner.filter(|inner| inner.starts_with(&below)) {
            let what = "is stored as a property, and hosts refuse the whole file beside it; \
                        --delete replaces it, --layout keys keeps that form";
            return Err(Mistake::new(inner, what));
        }
    }
    Ok(())
}

/// The folder of the first level that a key belongs to, with its layer if it is of one.
fn scope<'k>(key: &'k str, prefix: &str) -> &'k str {
    let Some(rest) = key.strip_prefix(prefix) else { return "" };
    let mut parts = rest.split_inclusive('/');
    let mut length = 0;
    // A file is no folder, whether stored whole or by property.
    let folder =
        |part: &&str| part.ends_with('/') && Format::of_file(&part[..part.len() - 1]).is_none();
    let Some(first) = parts.next().filter(folder) else { return "" };
    length += first.len();
    if let Some(layer) = parts.next().filter(|part| part.starts_with('@') && part.ends_with('/')) {
        length += layer.len();
        if layer == "@host/" {
            length += parts.next().filter(|part| part.ends_with('/')).map_or(0, str::len);
        }
    }
    &rest[..length]
}

/// The file that a key belongs to, stored whole or by property.
fn file<'k>(key: &'k str, prefix: &str) -> &'k str {
    let rest = &key[prefix.len().min(key.len())..];
    let mut length = 0;
    for part in rest.split_inclusive('/') {
        length += part.len();
        if Format::of_file(part.trim_end_matches('/')).is_some() {
            break;
        }
    }
    rest[..length].trim_end_matches('/')
}

/// What is written at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    /// Folders or files that are whole in it.
    pub names: Vec<String>,
    /// Its changes.
    pub changes: Vec<Change>,
    /// Bytes of its body.
    bytes: usize,
}

impl Batch {
    fn of(name: String, changes: Vec<Change>) -> Self {
        // The value's base64 and the words around it; the longest form is the guarded one.
        let size = |change: &Change| change.operation(Guard::Unchanged).size() + 1;
        let bytes = 2 + changes.iter().map(size).sum::<usize>();
        Self { names: vec![name], changes, bytes }
    }

    /// One key needs no transaction, and a plain write takes the longest values.
    fn fits(&self) -> bool {
        self.changes.len() == 1
            || self.changes.len() <= OPERATIONS_MAX && self.bytes <= BODY_BYTES_MAX
    }

    fn join(&mut self, other: Self) -> Option<Self> {
        let fits = self.changes.len() + other.changes.len() <= OPERATIONS_MAX
            && self.bytes + other.bytes <= BODY_BYTES_MAX;
        if !fits {
            return Some(other);
        }
        self.names.extend(other.names);
        self.changes.extend(other.changes);
        self.bytes += other.bytes;
        None
    }
}

/// Cuts changes into what Consul takes at one moment: one batch unless `split`; then folders stay
/// whole where they fit, and files always.
///
/// # Errors
/// There is too much for one batch, or for one file.
pub fn batches(changes: &[Change], prefix: &str, split: bool) -> Result<Vec<Batch>, Mistake> {
    if changes.is_empty() {
        return Ok(Vec::new());
    }
    let whole = Batch::of(prefix.to_owned(), changes.to_vec());
    if whole.fits() {
        return Ok(vec![whole]);
    }
    let mut batches: Vec<Batch> = Vec::new();
    let mut add = |batch: Batch| match batches.last_mut().map(|last| last.join(batch.clone())) {
        Some(None) => {}
        _ => batches.push(batch),
    };
    for (name, changes) in groups(changes, |key| scope(key, prefix)) {
        let folder = Batch::of(format!("{prefix}{name}"), changes);
        if folder.fits() {
            add(folder);
            continue;
        }
        for (name, changes) in groups(&folder.changes, |key| file(key, prefix)) {
            let one = Batch::of(format!("{prefix}{name}"), changes);
            if !one.fits() {
                return Err(Mistake::new(&one.names[0], limits(&one)));
            }
            add(one);
        }
    }
    match split {
        true => Ok(batches),
        false => {
            let what = format!(
                "{}; --split writes {} transactions, each with whole files",
                limits(&whole),
                batches.len()
            );
            Err(Mistake::new(if prefix.is_empty() { "import" } else { prefix }, what))
        }
    }
}

fn limits(batch: &Batch) -> String {
    let (count, bytes) = (batch.changes.len(), batch.bytes);
    format!(
        "{count} changed keys in {bytes} bytes do not fit one transaction of Consul, which takes \
         {OPERATIONS_MAX} keys and {BODY_BYTES_MAX} bytes"
    )
}

/// Changes by what `name` says of their keys, in the order of first sight.
fn groups<'c>(
    changes: &'c [Change],
    name: impl Fn(&'c str) -> &'c str,
) -> Vec<(String, Vec<Change>)> {
    let mut groups: Vec<(String, Vec<Change>)> = Vec::new();
    for change in changes {
        let name = name(&change.key);
        match groups.iter_mut().find(|(known, _)| known == name) {
            Some((_, members)) => members.push(change.clone()),
            None => groups.push((name.to_owned(), vec![change.clone()])),
        }
    }
    groups
}
