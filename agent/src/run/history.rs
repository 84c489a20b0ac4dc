//! `history.jsonl`: what happened to the units, one JSON object a line, only ever appended.
//!
//! Differences come masked from the engine. A line is written with one call, so that lines never
//! mix; a torn last line after a power failure is skipped by readers.

use std::fs::{File, OpenOptions};
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::driver::Told;

/// Most lines shown.
const LINES_MAX: usize = 1_000;

/// The open history.
pub struct History {
    file: Option<File>,
}

/// What a line is about.
pub struct About<'a> {
    /// The unit.
    pub unit: &'a str,
    /// The index of the KV snapshot that its configuration comes from.
    pub index: u64,
    /// Who made the change, where that is told.
    pub author: Option<&'a str>,
}

/// Where it stands.
pub fn path(state_dir: &Path) -> PathBuf {
    state_dir.join("history.jsonl")
}

impl History {
    /// Opens it for appending; without it the agent works all the same, and says so.
    pub fn open(state_dir: &Path) -> Self {
        let path = path(state_dir);
        let file = OpenOptions::new().append(true).create(true).mode(0o600).open(&path);
        if let Err(error) = &file {
            tracing::error!("no history is kept: cannot open {}: {error}", path.display());
        }
        Self { file: file.ok() }
    }

    /// Appends what happened. Readiness and process ids are status, not history.
    pub fn write(&mut self, about: &About<'_>, told: &Told) {
        let mut line = match told {
            Told::Committed { number, action, diff } => json!({
                "event": "committed", "generation": number, "action": action, "diff": diff,
            }),
            Told::Refused(reason) => json!({ "event": "refused", "reason": reason }),
            Told::RolledBack(number) => json!({ "event": "rolled back", "generation": number }),
            Told::Ended(exit) => json!({ "event": "ended", "how": super::ended(*exit) }),
            Told::Restarting => json!({ "event": "restarting" }),
            Told::Reloaded(done) => json!({ "event": "reloaded", "done": done }),
            Told::Drift(drift) => json!({ "event": "drift", "reason": drift }),
            Told::Good | Told::Settled | Told::Started(_) | Told::Ready(_) | Told::State(_) => {
                return;
            }
        };
        line["time"] =
            chrono::Utc::now().to_rfc3339_opts(chrono::SecondsFormat::Millis, true).into();
        line["unit"] = about.unit.into();
        line["index"] = about.index.into();
        if let (Told::Committed { .. } | Told::Refused(_), Some(author)) = (told, about.author) {
            line["author"] = author.into();
        }
        self.append(&line);
    }

    /// Appends what was done before a unit's program could start.
    pub fn launched(&mut self, unit: &str, event: &str, reason: &str) {
        let time = chrono::Utc::now().to_rfc3339_opts(chrono::SecondsFormat::Millis, true);
        self.append(&json!({ "event": event, "reason": reason, "time": time, "unit": unit }));
    }

    fn append(&mut self, line: &Value) {
        let Some(file) = &mut self.file else { return };
        if let Err(error) = file.write_all(format!("{line}\n").as_bytes()) {
            tracing::error!("the history misses a line: {error}");
        }
    }
}

/// The last lines, oldest first; only those whose difference names `key`, where one is given.
///
/// # Errors
/// The file cannot be read.
pub fn read(state_dir: &Path, key: Option<&str>) -> std::io::Result<Vec<Value>> {
    let file = match File::open(path(state_dir)) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut lines = std::collections::VecDeque::new();
    for line in BufReader::new(file).lines() {
        let Ok(value) = serde_json::from_str::<Value>(&line?) else { continue };
        let names = |key: &str| value["diff"].as_str().is_some_and(|diff| diff.contains(key));
        if key.is_none_or(names) {
            lines.push_back(value);
            if lines.len() > LINES_MAX {
                lines.pop_front();
            }
        }
    }
    Ok(lines.into())
}
