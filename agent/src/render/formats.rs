//! The built-in formats: xml, properties, yaml, conf, cfg, env, sh and ini.
//!
//! | format | one entry |
//! |---|---|
//! | `xml` | Hadoop's `<property><name>k</name><value>v</value></property>` |
//! | `properties` | `k: v`, escaped as `java.util.Properties` reads it |
//! | `cfg`, `env` | `k=v` |
//! | `conf`, `sh` | `export k=v`, quoted for a shell where needed |
//! | `yaml`, `yml` | dots nest; parts that are numbers make lists (1-based) |
//! | `ini` | `section.k` becomes `k=v` below `[section]` |

use std::collections::BTreeMap;
use std::fmt::{self, Write as _};

use super::{Properties, RenderError};

/// A way to write properties.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Format {
    /// Hadoop's XML.
    Xml,
    /// Java properties.
    Properties,
    /// Nested YAML.
    Yaml,
    /// Shell exports.
    Conf,
    /// Plain `k=v`.
    Cfg,
    /// Plain `k=v`.
    Env,
    /// Shell exports.
    Sh,
    /// Sections.
    Ini,
}

impl Format {
    /// The format of that name (`yml` is `yaml`), in any case.
    pub fn of(name: &str) -> Option<Self> {
        Some(match name.to_ascii_lowercase().as_str() {
            "xml" => Self::Xml,
            "properties" => Self::Properties,
            "yaml" | "yml" => Self::Yaml,
            "conf" => Self::Conf,
            "cfg" => Self::Cfg,
            "env" => Self::Env,
            "sh" => Self::Sh,
            "ini" => Self::Ini,
            _ => return None,
        })
    }

    /// The format that a file's extension asks for.
    pub fn of_file(name: &str) -> Option<Self> {
        name.rsplit_once('.').and_then(|(_, extension)| Self::of(extension))
    }

    /// The whole file.
    ///
    /// # Errors
    /// A name or value the format cannot hold. Nothing is ever dropped or changed silently.
    pub fn render(self, properties: &Properties) -> Result<String, RenderError> {
        match self {
            Self::Xml => self.xml(properties),
            Self::Properties => Ok(java_properties(properties)),
            Self::Yaml => yaml(properties),
            Self::Conf | Self::Sh => self.exports(properties),
            Self::Cfg | Self::Env => self.lines(properties),
            Self::Ini => self.ini(properties),
        }
    }

    fn xml(self, properties: &Properties) -> Result<String, RenderError> {
        let mut text =
            String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<configuration>\n");
        for (key, value) in properties {
            if let Some(what) = not_xml(key) {
                return Err(self.bad_name(key, what));
            }
            if let Some(what) = not_xml(value) {
                return Err(self.bad_value(key, what));
            }
            let _ = writeln!(
                text,
                "  <property>\n    <name>{}</name>\n    <value>{}</value>\n  </property>",
                xml_escape(key),
                xml_escape(value)
            );
        }
        text.push_str("</configuration>\n");
        Ok(text)
    }

    fn exports(self, properties: &Properties) -> Result<String, RenderError> {
        let mut text = String::new();
        for (key, value) in properties {
            if key.is_empty()
                || !key.chars().all(|c| c.is_ascii_alphanumeric() || "_.-".contains(c))
            {
                return Err(self.bad_name(key, "a character that a shell would interpret"));
            }
            if value.contains('\0') {
                return Err(self.bad_value(key, "a NUL character"));
            }
            let _ = writeln!(text, "export {key}={}", shell_quote(value));
        }
        Ok(text)
    }

    fn lines(self, properties: &Properties) -> Result<String, RenderError> {
        let mut text = String::new();
        for (key, value) in properties {
            self.check_line(key, value)?;
            let _ = writeln!(text, "{key}={value}");
        }
        Ok(text)
    }

    fn ini(self, properties: &Properties) -> Result<String, RenderError> {
        let mut sections: BTreeMap<&str, BTreeMap<&str, &str>> = BTreeMap::new();
        for (key, value) in properties {
            self.check_line(key, value)?;
            // A name without a section belongs before the first header; "" sorts first.
            let (section, name) = key.split_once('.').unwrap_or(("", key));
            if section.contains(']') {
                return Err(self.bad_name(key, "a closing bracket in its section"));
            }
            sections.entry(section).or_default().insert(name, value);
        }
        let mut text = String::new();
        for (section, entries) in sections {
            if !section.is_empty() {
                let _ = writeln!(text, "[{section}]");
            }
            for (name, value) in entries {
                let _ = writeln!(text, "{name}={value}");
            }
            text.push('\n');
        }
        Ok(text)
    }

    fn check_line(self, key: &str, value: &str) -> Result<(), RenderError> {
        let broken = |text: &str| text.contains(['\n', '\r', '\0']);
        if key.is_empty() || broken(key) || key.contains('=') || key.starts_with(['#', '[', ';']) {
            return Err(self.bad_name(key, "a character with a meaning of its own"));
        }
        if broken(value) {
            return Err(self.bad_value(key, "a line break"));
        }
        Ok(())
    }

    fn bad_name(self, key: &str, what: &'static str) -> RenderError {
        RenderError::Name { key: key.to_owned(), what, format: self }
    }

    fn bad_value(self, key: &str, what: &'static str) -> RenderError {
        RenderError::Value { key: key.to_owned(), what, format: self }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Xml => "xml",
            Self::Properties => "properties",
            Self::Yaml => "yaml",
            Self::Conf => "conf",
            Self::Cfg => "cfg",
            Self::Env => "env",
            Self::Sh => "sh",
            Self::Ini => "ini",
        })
    }
}

/// What XML 1.0 has no spelling for, not even as a character reference.
fn not_xml(text: &str) -> Option<&'static str> {
    let allowed = |c: char| match c {
        '\t' | '\n' | '\r' => true,
        '\u{fffe}' | '\u{ffff}' => false,
        c => c >= ' ',
    };
    (!text.chars().all(allowed)).then_some("a control character")
}

/// Text safe between tags. Carriage returns are written as references, since a reader would
/// turn them into line feeds; so are blanks at the ends, which readers trim.
pub(super) fn xml_escape(text: &str) -> String {
    let blank = |c: char| c.is_ascii_whitespace();
    let inner_start = text.len() - text.trim_start_matches(blank).len();
    let inner_end = text.trim_end_matches(blank).len();
    let mut escaped = String::with_capacity(text.len());
    for (at, c) in text.char_indices() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '\r' => escaped.push_str("&#13;"),
            c if blank(c) && (at < inner_start || at >= inner_end) => {
                let _ = write!(escaped, "&#{};", c as u32);
            }
            c => escaped.push(c),
        }
    }
    escaped
}

/// Quotes for a POSIX shell, only where the shell would read something else.
fn shell_quote(value: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-./:@%+=,".contains(c);
    if !value.is_empty() && value.chars().all(plain) {
        return value.to_owned();
    }
    format!("'{}'", value.replace('\'', r"'\''"))
}

fn java_properties(properties: &Properties) -> String {
    let mut text = String::new();
    for (key, value) in properties {
        let _ = writeln!(text, "{}: {}", java_escape(key, true), java_escape(value, false));
    }
    text
}

/// Escapes of `java.util.Properties`, which reads ISO 8859-1 and `\uXXXX`.
fn java_escape(text: &str, is_key: bool) -> String {
    let mut escaped = String::with_capacity(text.len());
    for (at, c) in text.chars().enumerate() {
        match c {
            '\\' => escaped.push_str(r"\\"),
            '\n' => escaped.push_str(r"\n"),
            '\r' => escaped.push_str(r"\r"),
            '\t' => escaped.push_str(r"\t"),
            ' ' if is_key || at == 0 => escaped.push_str(r"\ "),
            ':' | '=' | '#' | '!' if is_key => {
                escaped.push('\\');
                escaped.push(c);
            }
            ' '..='~' => escaped.push(c),
            c => {
                for unit in c.encode_utf16(&mut [0; 2]) {
                    let _ = write!(escaped, "\\u{unit:04X}");
                }
            }
        }
    }
    escaped
}

/// A YAML tree while it is being built from dotted names.
enum Node<'a> {
    Leaf(&'a str),
    Map(BTreeMap<&'a str, Node<'a>>),
}

fn yaml(properties: &Properties) -> Result<String, RenderError> {
    let mut root = BTreeMap::new();
    for (key, value) in properties {
        insert(&mut root, key, key, value)?;
    }
    let mut text = String::new();
    if root.is_empty() {
        text.push_str("{}\n");
    } else {
        write_map(&mut text, &root, 0, false);
    }
    Ok(text)
}

fn insert<'a>(
    map: &mut BTreeMap<&'a str, Node<'a>>,
    key: &'a str,
    rest: &'a str,
    value: &'a str,
) -> Result<(), RenderError> {
    let shadowed = || RenderError::Shadowed { key: key.to_owned() };
    match rest.split_once('.') {
        None => match map.insert(rest, Node::Leaf(value)) {
            None => Ok(()),
            Some(_) => Err(shadowed()),
        },
        Some((head, rest)) => match map.entry(head).or_insert_with(|| Node::Map(BTreeMap::new())) {
            Node::Map(inner) => insert(inner, key, rest, value),
            Node::Leaf(_) => Err(shadowed()),
        },
    }
}

/// The entries in list order when all names are numbers; `None` for a map.
fn as_list<'a, 'b>(map: &'b BTreeMap<&'a str, Node<'a>>) -> Option<Vec<&'b Node<'a>>> {
    let mut entries: Vec<(u32, &Node<'_>)> = map
        .iter()
        .map(|(name, node)| name.parse().ok().map(|at| (at, node)))
        .collect::<Option<_>>()?;
    entries.sort_by_key(|(at, _)| *at);
    Some(entries.into_iter().map(|(_, node)| node).collect())
}

fn write_map(text: &mut String, map: &BTreeMap<&str, Node<'_>>, depth: usize, mut inline: bool) {
    for (name, node) in map {
        // The first entry of a list item stands right behind its dash.
        let indent = if std::mem::take(&mut inline) { 0 } else { depth * 2 };
        let _ = write!(text, "{:indent$}{}:", "", yaml_scalar(name));
        write_node(text, node, depth);
    }
}

fn write_node(text: &mut String, node: &Node<'_>, depth: usize) {
    match node {
        Node::Leaf(value) => {
            let _ = writeln!(text, " {}", yaml_scalar(value));
        }
        Node::Map(inner) => {
            text.push('\n');
            match as_list(inner) {
                Some(items) => write_list(text, &items, depth),
                None => write_map(text, inner, depth + 1, false),
            }
        }
    }
}

fn write_list(text: &mut String, items: &[&Node<'_>], depth: usize) {
    let indent = depth * 2;
    for item in items {
        let _ = write!(text, "{:indent$}-", "");
        match item {
            Node::Leaf(value) => {
                let _ = writeln!(text, " {}", yaml_scalar(value));
            }
            Node::Map(inner) => match as_list(inner) {
                Some(items) => {
                    text.push('\n');
                    write_list(text, &items, depth + 1);
                }
                None => {
                    text.push(' ');
                    write_map(text, inner, depth + 1, true);
                }
            },
        }
    }
}

/// Plain where no YAML reader could see anything but this very string or the number it spells
/// (flokkr wrote numbers and booleans bare, and files rely on it); else in double quotes.
fn yaml_scalar(value: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-./+@%,".contains(c);
    let starts_plain = value.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '/');
    let special =
        matches!(value.to_ascii_lowercase().as_str(), "null" | "yes" | "no" | "on" | "off");
    if starts_plain && !special && value.chars().all(plain) {
        return value.to_owned();
    }
    // JSON strings are YAML's double-quoted strings.
    serde_json::Value::from(value).to_string()
}

#[cfg(test)]
mod tests;
