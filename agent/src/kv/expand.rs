//! The preprocessor: `[[ template "FILE" ]]` puts another file's text in, `[[ service "NAME" ]]`
//! the place of a service. Pure: files come from memory, so no name can lead out of the folder.
//!
//! Only what looks like an action is one: a word and a quoted name. A shell's own `[[ -f x ]]`
//! stays as it is. Names of files are those of the source folder; one that starts with a dot is
//! relative to the file it stands in.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use super::Mistake;
use crate::config::fields::nearest;
use crate::sources::VALUE_BYTES_MAX;

/// Deepest chain of files that include one another; people use two.
const DEPTH_MAX: usize = 8;

/// Most includes of one file, nested ones counted: they could be empty and still take for ever.
const INCLUDES_MAX: usize = 1_000;

/// What makes a file: its own text, and that of each active profile.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Resource {
    /// In the order in which they are put together.
    pub parts: Vec<Part>,
}

/// One text of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// Where it was read, for messages.
    pub file: Rc<str>,
    /// What it holds.
    pub text: String,
}

/// Files by their path below the source folder.
pub type Resources = BTreeMap<String, Resource>;

/// How `[[ service "NAME" ]]` is answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Discovery {
    /// By a table, else by the last host.
    Static(BTreeMap<String, String>, String),
    /// By Consul's DNS name, `NAME.service.consul`.
    Dns,
    /// By the host that renders the file: a template's expression.
    Consul,
}

/// One line, and where it was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// The file.
    pub file: Rc<str>,
    /// Its number there, from 1.
    pub number: usize,
    /// Its text, without a line break.
    pub text: String,
}

/// What became of a part.
#[derive(Debug, Clone, Default)]
pub struct Expanded {
    /// Its lines.
    pub lines: Vec<Line>,
    /// Whether an expression for the host stands in it.
    pub dynamic: bool,
    /// Services that no table knows.
    pub unknown: BTreeSet<String>,
}

impl Expanded {
    /// The lines as one text.
    pub fn text(&self) -> String {
        let lines: Vec<&str> = self.lines.iter().map(|line| line.text.as_str()).collect();
        lines.join("\n")
    }
}

/// Whether `{{` of the files themselves is kept from the host's engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Braces {
    /// It is the host's.
    Keep,
    /// It is text.
    Escape,
}

/// One file's preprocessing.
pub struct Expander<'a> {
    resources: &'a Resources,
    discovery: &'a Discovery,
    braces: Braces,
    includes: Cell<usize>,
    bytes: Cell<usize>,
}

enum Action<'t> {
    Template(&'t str),
    Service(&'t str),
}

impl<'a> Expander<'a> {
    /// For one file; its bounds are counted over all its parts.
    pub fn new(resources: &'a Resources, discovery: &'a Discovery, braces: Braces) -> Self {
        Self { resources, discovery, braces, includes: Cell::new(0), bytes: Cell::new(0) }
    }

    /// The lines of a part of the file `name`.
    ///
    /// # Errors
    /// A broken or endless action, with its file and line.
    pub fn part(&self, name: &str, part: &Part) -> Result<Expanded, Mistake> {
        let mut expanded = Expanded::default();
        self.lines(part, &mut vec![name.to_owned()], &mut expanded)?;
        Ok(expanded)
    }

    fn lines(
        &self,
        part: &Part,
        chain: &mut Vec<String>,
        expanded: &mut Expanded,
    ) -> Result<(), Mistake> {
        for (number, text) in part.text.split('\n').enumerate() {
            let mut line =
                Line { file: part.file.clone(), number: number + 1, text: String::new() };
            let place = format!("{}:{}", line.file, line.number);
            let mut rest = text;
            while let Some(at) = rest.find("[[") {
                let action = action(&rest[at..]).map_err(|what| Mistake::new(&place, what))?;
                let Some((length, action)) = action else {
                    self.literal(&mut line.text, &rest[..at + 2]);
                    rest = &rest[at + 2..];
                    continue;
                };
                self.literal(&mut line.text, &rest[..at]);
                rest = &rest[at + length..];
                match action {
                    Action::Service(name) => self.service(name, &mut line.text, expanded),
                    Action::Template(name) => {
                        self.include(name, &place, chain, &mut line, expanded)?;
                    }
                }
            }
            self.literal(&mut line.text, rest);
            self.bytes.set(self.bytes.get() + line.text.len() + 1);
            if self.bytes.get() > 2 * VALUE_BYTES_MAX {
                let what = format!("more than {VALUE_BYTES_MAX} bytes with all its includes");
                return Err(Mistake::new(place, what));
            }
            expanded.lines.push(line);
        }
        Ok(())
    }

    fn literal(&self, line: &mut String, text: &str) {
        match self.braces {
            Braces::Keep => line.push_str(text),
            Braces::Escape => line.push_str(&text.replace("{{", "\\{{")),
        }
    }

    fn service(&self, name: &str, line: &mut String, expanded: &mut Expanded) {
        match self.discovery {
            Discovery::Static(hosts, otherwise) => {
                let known = hosts.get(name);
                if known.is_none() {
                    expanded.unknown.insert(name.to_owned());
                }
                line.push_str(known.unwrap_or(otherwise));
            }
            Discovery::Dns => {
                line.push_str(name);
                line.push_str(".service.consul");
            }
            Discovery::Consul => {
                line.push_str(&format!("{{{{hosts \"{name}\" port=\"false\"}}}}"));
                expanded.dynamic = true;
            }
        }
    }

    /// Puts a file's lines in: the first behind what stands on the line, the last before its rest.
    fn include(
        &self,
        name: &str,
        place: &str,
        chain: &mut Vec<String>,
        line: &mut Line,
        expanded: &mut Expanded,
    ) -> Result<(), Mistake> {
        let mistake = |what: String| Mistake::new(place, what);
        let within = chain.last().map(String::as_str).unwrap_or_default();
        let path = resolve(within, name)
            .ok_or_else(|| mistake(format!("template {name:?} leads out of the folder")))?;
        let Some(resource) = self.resources.get(&path) else {
            let near = nearest(&path, self.resources.keys().map(String::as_str));
            let hint = near.map(|near| format!("; did you mean {near}?")).unwrap_or_default();
            return Err(mistake(format!("template {name:?}: there is no such file{hint}")));
        };
        if chain.contains(&path) {
            let chain = chain.join(" -> ");
            return Err(mistake(format!("files include one another: {chain} -> {path}")));
        }
        self.includes.set(self.includes.get() + 1);
        if chain.len() > DEPTH_MAX || self.includes.get() > INCLUDES_MAX {
            let what = format!("templates nest deeper than {DEPTH_MAX} or are over {INCLUDES_MAX}");
            return Err(mistake(what));
        }
        chain.push(path);
        let mut inner = Expanded::default();
        for part in &resource.parts {
            self.lines(part, chain, &mut inner)?;
        }
        chain.pop();
        expanded.dynamic |= inner.dynamic;
        expanded.unknown.extend(inner.unknown);
        for (nth, included) in inner.lines.into_iter().enumerate() {
            if nth > 0 {
                let next = Line { text: String::new(), ..included.clone() };
                expanded.lines.push(std::mem::replace(line, next));
            } else if line.text.trim().is_empty() {
                (line.file, line.number) = (included.file.clone(), included.number);
            }
            line.text.push_str(&included.text);
        }
        Ok(())
    }
}

/// The path that a name means in the file `within`; `None` when it leads out.
fn resolve(within: &str, name: &str) -> Option<String> {
    let mut parts: Vec<&str> = match (name.starts_with('.'), within.rsplit_once('/')) {
        (true, Some((folder, _))) => folder.split('/').collect(),
        _ => Vec::new(),
    };
    for part in name.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()?),
            part => parts.push(part),
        }
    }
    (!name.starts_with('/')).then(|| parts.join("/"))
}

/// The action at the start of `text`, and its length; `None` when these brackets are text.
fn action(text: &str) -> Result<Option<(usize, Action<'_>)>, String> {
    let body = &text[2..];
    let inner = body.strip_prefix("- ").unwrap_or(body).trim_start();
    let end = inner.find(|c: char| !c.is_ascii_alphabetic() && c != '_').unwrap_or(inner.len());
    let (word, after) = inner.split_at(end);
    let after = after.trim_start();
    let quote = after.chars().next().filter(|c| ['"', '`'].contains(c));
    let ours = ["template", "service"].contains(&word);
    let Some(quote) = quote.filter(|_| !word.is_empty()) else {
        return match ours {
            true => Err(format!("[[ {word} ]]: a name in quotes is expected")),
            false => Ok(None),
        };
    };
    if !ours {
        let near = nearest(word, ["template", "service"].into_iter());
        let hint = near.map(|near| format!("; did you mean {near}?")).unwrap_or_default();
        let what = "template \"FILE\" and service \"NAME\" are accepted";
        return Err(format!("[[ {word} ]] is unknown: {what}{hint}"));
    }
    let broken = || format!("[[ {word} ... is not closed: [[ {word} \"NAME\" ]] is expected");
    let (name, rest) = after[1..].split_once(quote).ok_or_else(broken)?;
    let rest = rest.trim_start().trim_start_matches('-');
    let rest = rest.strip_prefix("]]").ok_or_else(broken)?;
    let length = text.len() - rest.len();
    if word == "template" {
        return Ok(Some((length, Action::Template(name))));
    }
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    match !name.is_empty() && name.chars().all(plain) {
        true => Ok(Some((length, Action::Service(name)))),
        false => Err(format!("service {name:?}: letters, digits, '-', '_' and '.' are accepted")),
    }
}
