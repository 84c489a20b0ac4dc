//! `consync.ini`: which files are what.
//!
//! Sections: `[common] sourcedir`, `[template] pattern`, `[format] FORMAT = PATTERN`,
//! `[flags] NUMBER = PATTERN`, `[profiles] dir`, and ours, `[hosts] SERVICE = HOST`. Values may
//! stand in quotes. A pattern with a sign of regular expressions is one, found anywhere in the
//! file's path as flokkr did; any other is a glob over the path's last parts.

use std::collections::BTreeMap;

use regex::Regex;

use super::Mistake;
use crate::config::fields::nearest;
use crate::render::Format;

/// The file's name.
pub const FILE: &str = "consync.ini";

/// What a pattern must have one of to be a regular expression.
const SIGNS: [&str; 8] = [".*", "(", "[", "|", "^", "$", "+", "\\"];

/// The formats that have a name of their own.
const FORMATS: [&str; 8] = ["xml", "properties", "yaml", "conf", "sh", "cfg", "env", "ini"];

/// The sections, and the keys of those that have fixed ones.
const SECTIONS: [(&str, Option<&str>); 6] = [
    ("common", Some("sourcedir")),
    ("template", Some("pattern")),
    ("format", None),
    ("flags", None),
    ("profiles", Some("dir")),
    ("hosts", None),
];

/// Which paths are meant.
#[derive(Debug, Clone)]
pub struct Pattern(Regex);

impl Pattern {
    /// # Errors
    /// Why the text is no pattern.
    pub fn new(text: &str) -> Result<Self, String> {
        let expression = if SIGNS.iter().any(|sign| text.contains(sign)) {
            text.to_owned()
        } else {
            let inner = regex::escape(text).replace(r"\*", ".*").replace(r"\?", ".");
            format!("(^|/){inner}$")
        };
        Regex::new(&expression).map(Self).map_err(|error| {
            let reason = error.to_string();
            let reason = reason.lines().last().unwrap_or_default();
            format!("{text:?} is no pattern: {}", reason.trim_start_matches("error: "))
        })
    }

    /// Whether a path is meant.
    pub fn fits(&self, path: &str) -> bool {
        self.0.is_match(path)
    }
}

/// What `consync.ini` says.
#[derive(Debug, Clone)]
pub struct Rules {
    /// The folder of the files, below the root; empty: the root.
    pub source: String,
    /// The folder of the profiles; `None`: there are none.
    pub profiles: Option<String>,
    /// Which files are preprocessed; all unless set.
    pub templates: Option<Pattern>,
    /// Files that are written as `key: value`, and what they become.
    pub formats: Vec<(Format, Pattern)>,
    /// Flags of files.
    pub flags: Vec<(u64, Pattern)>,
    /// Where services are, for static discovery.
    pub hosts: BTreeMap<String, String>,
}

impl Rules {
    /// Those of flokkr's layout without a file.
    pub fn flokkr() -> Self {
        Self {
            source: "configuration".to_owned(),
            profiles: Some("profiles".to_owned()),
            ..Self::plain()
        }
    }

    /// Those of a folder whose files are the keys.
    pub fn plain() -> Self {
        let xml = Pattern::new("*.xml").into_iter().map(|pattern| (Format::Xml, pattern));
        Self {
            source: String::new(),
            profiles: None,
            templates: None,
            formats: xml.collect(),
            flags: Vec::new(),
            hosts: BTreeMap::new(),
        }
    }

    /// Those of a text.
    ///
    /// # Errors
    /// The first line that is wrong, as `FILE:LINE`.
    pub fn parse(file: &str, text: &str) -> Result<Self, Mistake> {
        let mut rules = Self { formats: Vec::new(), ..Self::flokkr() };
        let mut section = None;
        for (number, line) in text.lines().enumerate() {
            let mistake = |what: String| Mistake::new(format!("{file}:{}", number + 1), what);
            let line = line.trim();
            if line.is_empty() || line.starts_with(['#', ';']) {
                continue;
            }
            if let Some(name) = line.strip_prefix('[') {
                let name = name.strip_suffix(']').map(str::trim).unwrap_or_default();
                let names = SECTIONS.iter().map(|(name, _)| *name);
                let known = SECTIONS.iter().find(|(known, _)| *known == name);
                let known = known.ok_or_else(|| mistake(unknown("section", name, names)))?;
                section = Some(known.0);
                continue;
            }
            let (key, value) =
                pair(line).ok_or_else(|| mistake(format!("{line:?}: NAME = VALUE is expected")))?;
            let section =
                section.ok_or_else(|| mistake(format!("{key} stands before any [section]")))?;
            rules.set(section, &key, value).map_err(mistake)?;
        }
        Ok(rules)
    }

    fn set(&mut self, section: &str, key: &str, value: String) -> Result<(), String> {
        let fixed = SECTIONS.iter().find(|(name, _)| *name == section).and_then(|(_, key)| *key);
        if let Some(fixed) = fixed.filter(|fixed| *fixed != key) {
            return Err(unknown("name", key, [fixed].into_iter()));
        }
        match section {
            "common" => self.source = folder(&value)?,
            "profiles" => self.profiles = Some(folder(&value)?),
            "template" => self.templates = Some(Pattern::new(&value)?),
            "format" => {
                let format = Format::of(key).ok_or_else(|| {
                    format!("format {key} is unknown; accepted: {}", FORMATS.join(", "))
                })?;
                self.formats.push((format, Pattern::new(&value)?));
            }
            "flags" => {
                let flag = key.parse().map_err(|_| format!("a flag is a number, not {key:?}"))?;
                self.flags.push((flag, Pattern::new(&value)?));
            }
            _ => drop(self.hosts.insert(key.to_owned(), value)),
        }
        Ok(())
    }

    /// The flags of a file.
    pub fn flags_of(&self, path: &str) -> u64 {
        let fitting = self.flags.iter().filter(|(_, pattern)| pattern.fits(path));
        fitting.fold(0, |flags, (flag, _)| flags | flag)
    }

    /// What a file that is written as `key: value` becomes.
    pub fn format_of(&self, path: &str) -> Option<Format> {
        self.formats.iter().find(|(_, pattern)| pattern.fits(path)).map(|(format, _)| *format)
    }

    /// Whether a file is preprocessed.
    pub fn is_template(&self, path: &str) -> bool {
        self.templates.as_ref().is_none_or(|pattern| pattern.fits(path))
    }
}

/// Where services are, from a file of `SERVICE = HOST` lines.
///
/// # Errors
/// The first line that is none.
pub fn hosts(file: &str, text: &str) -> Result<BTreeMap<String, String>, Mistake> {
    let mut hosts = BTreeMap::new();
    for (number, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with(['#', ';']) {
            continue;
        }
        let (name, host) = pair(line).ok_or_else(|| {
            Mistake::new(
                format!("{file}:{}", number + 1),
                format!("{line:?}: SERVICE = HOST is expected"),
            )
        })?;
        hosts.insert(name, host);
    }
    Ok(hosts)
}

/// `name = value`, each with or without quotes.
fn pair(line: &str) -> Option<(String, String)> {
    let (name, value) = line.split_once('=')?;
    let name = name.trim().trim_matches('"');
    let value = value.trim();
    let value = match value.strip_prefix('"') {
        Some(quoted) => {
            let (value, rest) = quoted.split_once('"')?;
            let rest = rest.trim();
            (rest.is_empty() || rest.starts_with('#')).then_some(value)?
        }
        None => value,
    };
    (!name.is_empty() && !value.is_empty()).then(|| (name.to_owned(), value.to_owned()))
}

/// A folder below the root.
fn folder(value: &str) -> Result<String, String> {
    let value = value.trim_end_matches('/');
    let inside = !value.starts_with('/') && !value.split('/').any(|part| part == "..");
    match value {
        "." => Ok(String::new()),
        _ if inside => Ok(value.to_owned()),
        _ => Err(format!("{value:?}: a folder below that of {FILE} is accepted")),
    }
}

/// A complaint about a name, with the nearest or all that would do.
fn unknown<'n>(kind: &str, name: &str, known: impl Iterator<Item = &'n str> + Clone) -> String {
    match nearest(name, known.clone()) {
        Some(near) => format!("{kind} {name:?} is unknown; did you mean {near}?"),
        None => {
            let all: Vec<&str> = known.collect();
            format!("{kind} {name:?} is unknown; accepted: {}", all.join(", "))
        }
    }
}
