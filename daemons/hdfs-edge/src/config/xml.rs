//! A Hadoop `*-site.xml` file as name and value pairs.
//!
//! No document type, no entities beyond XML's five and character numbers, no includes: a
//! configuration file pulls in nothing.

use std::io::Read;
use std::path::Path;

use quick_xml::Reader;
use quick_xml::escape::resolve_xml_entity;
use quick_xml::events::{BytesStart, Event};

use super::ConfigError;

/// Longest file; Hadoop's own defaults have 300 KB, and nobody writes a hundred times that.
const FILE_LENGTH_MAX: u64 = 16 << 20;

/// Deepest nesting: configuration, property, name.
const DEPTH_MAX: usize = 3;

/// Most properties of one file.
const PROPERTIES_MAX: usize = 100_000;

/// One `<property>`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Property {
    pub(super) name: String,
    pub(super) value: String,
    /// Marked `final`: later files may not change it.
    pub(super) last: bool,
}

/// The text of a file; `None` when there is no such file.
pub(super) fn read_bounded(file: &Path) -> Result<Option<String>, ConfigError> {
    let refuse = |source| ConfigError::Read { file: file.to_owned(), source };
    let handle = match std::fs::File::open(file) {
        Ok(handle) => handle,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(refuse(error)),
    };
    let mut text = String::new();
    handle.take(FILE_LENGTH_MAX + 1).read_to_string(&mut text).map_err(refuse)?;
    if text.len() as u64 > FILE_LENGTH_MAX {
        let message = format!("the file is longer than {FILE_LENGTH_MAX} bytes");
        return Err(ConfigError::Syntax { file: file.to_owned(), line: 1, message });
    }
    Ok(Some(text))
}

/// The properties of a file, in its order. A property without a value is dropped, as in Hadoop.
pub(super) fn parse(file: &Path, text: &str) -> Result<Vec<Property>, ConfigError> {
    let mut parser = Parser::default();
    let mut reader = Reader::from_str(text);
    reader.config_mut().check_end_names = true;
    let outcome = loop {
        match reader.read_event() {
            Ok(Event::Eof) => break parser.finish(),
            Ok(event) => {
                if let Err(message) = parser.step(&event) {
                    break Err(message);
                }
            }
            Err(error) => break Err(error.to_string()),
        }
    };
    outcome.map_err(|message| {
        let read = usize::try_from(reader.buffer_position()).unwrap_or(text.len()).min(text.len());
        let line = text.as_bytes()[..read].iter().filter(|byte| **byte == b'\n').count() + 1;
        ConfigError::Syntax { file: file.to_owned(), line, message }
    })
}

#[derive(Default)]
struct Parser {
    /// Names of the open elements.
    open: Vec<String>,
    text: String,
    name: Option<String>,
    value: Option<String>,
    last: bool,
    seen_root: bool,
    found: Vec<Property>,
}

impl Parser {
    fn step(&mut self, event: &Event<'_>) -> Result<(), String> {
        match event {
            Event::Start(element) => self.start(element),
            Event::Empty(element) => {
                self.start(element)?;
                self.end()
            }
            Event::End(_) => self.end(),
            Event::Text(text) => {
                let text = text.decode().map_err(|error| error.to_string())?;
                self.characters(&text)
            }
            Event::CData(data) => {
                let text = data.decode().map_err(|error| error.to_string())?;
                self.characters(&text)
            }
            Event::GeneralRef(reference) => {
                let character = reference.resolve_char_ref().map_err(|error| error.to_string())?;
                let name = reference.decode().map_err(|error| error.to_string())?;
                match (character, resolve_xml_entity(&name)) {
                    (Some(character), _) => self.characters(character.encode_utf8(&mut [0; 4])),
                    (None, Some(text)) => self.characters(text),
                    (None, None) => Err(format!(
                        "entity &{name}; is not accepted; write &amp; &lt; &gt; &quot; &apos; or \
                         the character itself"
                    )),
                }
            }
            Event::DocType(_) => {
                Err("a DOCTYPE is not accepted; remove it (entities are not read)".to_owned())
            }
            Event::Comment(_) | Event::Decl(_) | Event::PI(_) | Event::Eof => Ok(()),
        }
    }

    fn start(&mut self, element: &BytesStart<'_>) -> Result<(), String> {
        let name = String::from_utf8_lossy(element.local_name().as_ref()).into_owned();
        match (self.open.len(), name.as_str()) {
            (0, "configuration") if !self.seen_root => self.seen_root = true,
            (0, _) => return Err(format!("<configuration> is expected, not <{name}>")),
            (_, "include") => {
                return Err("an include is not accepted; copy the properties here".to_owned());
            }
            (1, "property") => {
                (self.name, self.value, self.last) = (None, None, false);
                self.attributes(element)?;
            }
            (1, _) => return Err(format!("<property> is expected, not <{name}>")),
            (depth, _) if depth >= DEPTH_MAX => {
                return Err(format!("<{name}> inside <{}> is not accepted", self.open[depth - 1]));
            }
            _ => {}
        }
        self.open.push(name);
        self.text.clear();
        Ok(())
    }

    /// Hadoop's short form: `<property name="..." value="..." final="true"/>`.
    fn attributes(&mut self, element: &BytesStart<'_>) -> Result<(), String> {
        for attribute in element.attributes() {
            let attribute = attribute.map_err(|error| error.to_string())?;
            let value = attribute.unescape_value().map_err(|error| error.to_string())?;
            match attribute.key.as_ref() {
                b"name" => self.name = Some(value.into_owned()),
                b"value" => self.value = Some(value.into_owned()),
                b"final" => self.last = value.trim() == "true",
                _ => {}
            }
        }
        Ok(())
    }

    fn characters(&mut self, text: &str) -> Result<(), String> {
        if self.open.len() < DEPTH_MAX && !text.trim().is_empty() {
            let text = text.trim().chars().take(40).collect::<String>();
            return Err(format!("text {text:?} outside of <name> and <value> is not accepted"));
        }
        self.text.push_str(text);
        Ok(())
    }

    fn end(&mut self) -> Result<(), String> {
        let name = self.open.pop().unwrap_or_default();
        match (self.open.len(), name.as_str()) {
            (1, _) => self.property()?,
            (2, "name") => self.name = Some(std::mem::take(&mut self.text)),
            (2, "value") => self.value = Some(std::mem::take(&mut self.text)),
            (2, "final") => self.last = self.text.trim() == "true",
            _ => {}
        }
        Ok(())
    }

    fn property(&mut self) -> Result<(), String> {
        let name = self.name.take().map(|name| name.trim().to_owned()).unwrap_or_default();
        if name.is_empty() {
            return Err("a <property> has no <name>".to_owned());
        }
        if self.found.len() == PROPERTIES_MAX {
            return Err(format!("more than {PROPERTIES_MAX} properties are not accepted"));
        }
        if let Some(value) = self.value.take() {
            self.found.push(Property { name, value, last: self.last });
        }
        Ok(())
    }

    fn finish(self) -> Result<Vec<Property>, String> {
        match self.open.last() {
            Some(name) => Err(format!("<{name}> is not closed")),
            None if !self.seen_root => Err("<configuration> is expected; the file is empty".into()),
            None => Ok(self.found),
        }
    }
}
