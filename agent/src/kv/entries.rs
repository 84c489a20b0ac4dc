//! Files into keys and values: profiles put together, `key: value` lines converted, flags set.
//!
//! With [`Layout::Keys`] a file of `key: value` lines becomes one key for each property, from which
//! a host writes the very bytes that [`Layout::Files`] would store.

use std::collections::BTreeMap;
use std::path::Path;

use hdfs_edge::config;

use super::expand::{Braces, Discovery, Expanded, Expander, Line, Part, Resource};
use super::read::Tree;
use super::rules::Rules;
use super::{Import, Mistake};
use crate::engine::FLAG_TEMPLATE;
use crate::render::{Format, Properties};
use crate::sources::{Entry, VALUE_BYTES_MAX};

/// flokkr's flag of a file that was to be executed.
const FLAG_EXECUTE: u64 = 1;

/// How files of properties are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layout {
    /// A key for each file.
    Files,
    /// A key for each property.
    Keys,
}

/// What a folder becomes below `prefix`.
///
/// # Errors
/// The first mistake in a file, by file and line.
pub fn entries(
    tree: &Tree,
    discovery: &Discovery,
    prefix: &str,
    layout: Layout,
) -> Result<Import, Mistake> {
    let mut import = Import::default();
    let mut maker = Maker { tree, discovery, layout, prefix, import: &mut import };
    for (name, resource) in &tree.resources {
        maker.file(name, resource)?;
    }
    import.warnings.dedup();
    Ok(import)
}

struct Maker<'a> {
    tree: &'a Tree,
    discovery: &'a Discovery,
    layout: Layout,
    prefix: &'a str,
    import: &'a mut Import,
}

impl Maker<'_> {
    fn rules(&self) -> &Rules {
        &self.tree.rules
    }

    fn file(&mut self, name: &str, resource: &Resource) -> Result<(), Mistake> {
        let flags = self.rules().flags_of(name);
        let parts = self.expand(name, resource, flags)?;
        let dynamic = parts.iter().any(|part| part.dynamic);
        let flags = if dynamic { flags | FLAG_TEMPLATE } else { flags };
        self.warn(name, resource, &parts, flags);
        let Some(format) = self.rules().format_of(name) else {
            let text = parts.iter().map(Expanded::text).collect::<Vec<_>>().join("\n");
            return self.put(name, own_line_break(name, text), flags);
        };
        if let [only] = parts.as_slice()
            && is_xml(format, only)
        {
            return self.put(name, only.text(), flags);
        }
        let mut properties = Properties::new();
        for part in &parts {
            match is_xml(format, part) {
                true => properties.extend(of_xml(part)?),
                false => of_lines(&part.lines, &mut properties)?,
            }
        }
        let text =
            format.render(&properties).map_err(|error| Mistake::new(name, error.to_string()))?;
        let keys = self.layout == Layout::Keys && Format::of_file(name) == Some(format);
        if !keys || properties.is_empty() || !properties.keys().all(|key| storable(key)) {
            return self.put(name, text, flags);
        }
        for (key, value) in properties {
            // Of a file with an expression only the properties that hold one are templates.
            let plain = dynamic && !value.contains("{{");
            let flags = if plain { flags & !FLAG_TEMPLATE } else { flags };
            self.put(&format!("{name}/{key}"), value, flags)?;
        }
        Ok(())
    }

    fn expand(
        &self,
        name: &str,
        resource: &Resource,
        flags: u64,
    ) -> Result<Vec<Expanded>, Mistake> {
        if !self.rules().is_template(name) {
            return Ok(resource.parts.iter().map(verbatim).collect());
        }
        let run = |braces| {
            let expander = Expander::new(&self.tree.resources, self.discovery, braces);
            let parts = resource.parts.iter().map(|part| expander.part(name, part));
            parts.collect::<Result<Vec<Expanded>, Mistake>>()
        };
        let parts = run(Braces::Keep)?;
        // The host's engine is to see our expressions only, where nobody asked for it otherwise.
        match flags & FLAG_TEMPLATE == 0 && parts.iter().any(|part| part.dynamic) {
            true => run(Braces::Escape),
            false => Ok(parts),
        }
    }

    fn warn(&mut self, name: &str, resource: &Resource, parts: &[Expanded], flags: u64) {
        let warnings = &mut self.import.warnings;
        for service in parts.iter().flat_map(|part| &part.unknown) {
            let Discovery::Static(_, host) = self.discovery else { continue };
            let what = format!("service {service:?} has no host in [hosts]; {host} is used");
            if !warnings.contains(&what) {
                warnings.push(what);
            }
        }
        if flags & FLAG_EXECUTE != 0 {
            warnings.push(format!("{name}: flag 1 is stored, but no agent executes a key"));
        }
        for part in &resource.parts {
            let line = part.text.lines().position(|line| line.contains("{% include"));
            if let Some(line) = line {
                let place = format!("{}:{}", part.file, line + 1);
                let what = "{% include %} stays as it is; [[ template \"FILE\" ]] is understood";
                warnings.push(format!("{place}: {what}"));
            }
        }
    }

    fn put(&mut self, path: &str, text: String, flags: u64) -> Result<(), Mistake> {
        if text.len() > VALUE_BYTES_MAX {
            let what = format!("{} bytes; Consul takes {VALUE_BYTES_MAX} in a value", text.len());
            return Err(Mistake::new(path, what));
        }
        let key = format!("{}{path}", self.prefix);
        let entry = Entry { value: text.into_bytes(), flags, modified: 0 };
        match self.import.entries.insert(key, entry) {
            Some(_) => Err(Mistake::new(path, "is a file and also a property of one; keep one")),
            None => Ok(()),
        }
    }
}

/// A part as it is.
fn verbatim(part: &Part) -> Expanded {
    let lines = part.text.split('\n').enumerate();
    let line = |(number, text): (usize, &str)| Line {
        file: part.file.clone(),
        number: number + 1,
        text: text.to_owned(),
    };
    Expanded { lines: lines.map(line).collect(), ..Expanded::default() }
}

/// A file that holds one property (`hdfs-site.xml/dfs.replication`) ends with a line break that
/// its editor made; it is not part of the value.
fn own_line_break(name: &str, mut text: String) -> String {
    let folder = name.rsplit_once('/').map(|(folder, _)| folder);
    if folder.is_some_and(|folder| Format::of_file(folder).is_some()) && text.ends_with('\n') {
        text.pop();
    }
    text
}

fn is_xml(format: Format, part: &Expanded) -> bool {
    let first = part.lines.iter().map(|line| line.text.trim_start()).find(|line| !line.is_empty());
    format == Format::Xml && first.is_some_and(|line| line.starts_with(['<', '\u{feff}']))
}

/// The properties of a part that is XML while another part of the file is not, or also is.
fn of_xml(part: &Expanded) -> Result<BTreeMap<String, String>, Mistake> {
    let file = part.lines.first().map_or("", |line| &*line.file);
    let properties = config::properties(Path::new(file), &part.text()).map_err(|error| {
        let reason = error.to_string();
        let reason = reason.strip_prefix(&format!("{file}: ")).unwrap_or(&reason);
        let what = format!("profiles can only be added to Hadoop's XML: {reason}");
        Mistake::new(file, what)
    })?;
    Ok(properties.into_iter().collect())
}

/// Adds `key: value` lines; a later one wins.
fn of_lines(lines: &[Line], properties: &mut Properties) -> Result<(), Mistake> {
    for line in lines {
        let text = line.text.trim();
        if text.is_empty() || text.starts_with('#') {
            continue;
        }
        let parts = text.split_once(':').map(|(key, value)| (key.trim(), value.trim()));
        let Some((key, value)) = parts.filter(|(key, _)| !key.is_empty()) else {
            let shown: String = text.chars().take(60).collect();
            let what = format!("{shown:?}: \"key: value\" is expected, or the whole file as XML");
            return Err(Mistake::new(format!("{}:{}", line.file, line.number), what));
        };
        properties.insert(key.to_owned(), value.to_owned());
    }
    Ok(())
}

/// Whether a property's name can be the end of a key that hosts read as this property.
fn storable(name: &str) -> bool {
    let parts = name.split('/').all(|part| !["", ".", ".."].contains(&part));
    parts && !name.starts_with('@') && !name.chars().any(char::is_control)
}
