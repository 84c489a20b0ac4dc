//! Planning: what a unit's files are to be, given everything the sources last said. Pure.
//!
//! `layers` puts values over each other, `helpers` are what templates may ask for, `schema` checks
//! Hadoop's files against the key table, `change` says what a difference asks for, `diff` shows it,
//! `quiet` says when a change counts. Nothing here reads a file, a clock or the network: the same
//! inputs give the same bytes, so "nothing changed" is a comparison.
//!
//! What a template asks for is recorded ([`Wants`]), so that the sources can watch it; what is not
//! there is listed by name ([`Rendered::missing`]), and a render with anything missing or wrong is
//! never used.

pub mod change;
mod content;
pub mod diff;
mod helpers;
pub mod layers;
mod memo;
pub mod quiet;
mod schema;

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;

use serde_json::json;

use crate::config::{AgentConfig, FileConfig, LayerSource, TemplateSource, UnitConfig};
use crate::render::{Format, Properties, Templates};
use crate::sources::{Entry, Kv, SecretRef, Secrets, ServiceQuery, Services};
pub use content::Content;
use helpers::{Asked, Read, has_blob};
use layers::{Layered, Setting};
pub use memo::Memo;
pub(crate) use schema::secret_name;

/// The flag of a key whose value is a template: flokkr's bit 2.
pub const FLAG_TEMPLATE: u64 = 2;

/// Everything the sources last said.
#[derive(Debug, Clone, Default)]
pub struct Inputs {
    /// The KV store at one index.
    pub kv: Arc<Kv>,
    /// The folders of file layers.
    pub folders: BTreeMap<PathBuf, Arc<Kv>>,
    /// Templates in local files, or why they cannot be read.
    pub templates: BTreeMap<PathBuf, Result<String, String>>,
    /// The environment.
    pub environment: BTreeMap<String, String>,
    /// Service instances.
    pub services: Arc<Services>,
    /// Secrets.
    pub secrets: Arc<Secrets>,
    /// This host's name.
    pub node: String,
    /// This host's metadata.
    pub meta: BTreeMap<String, String>,
}

/// One rendered file.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct File {
    /// What is in it.
    pub content: Content,
    /// Whether nobody may see it: configured so, or a secret went into it.
    pub secret: bool,
    /// Mode bits.
    pub mode: u32,
    /// Owner; the agent's unless set.
    pub user: Option<String>,
    /// Group; the agent's unless set.
    pub group: Option<String>,
}

impl File {
    /// A public file.
    pub fn plain(bytes: impl Into<Vec<u8>>) -> Self {
        Self { content: Content::new(bytes), mode: 0o644, ..Self::default() }
    }

    /// The text, if it is one.
    pub fn text(&self) -> Option<&str> {
        std::str::from_utf8(self.content.bytes()).ok()
    }
}

/// A unit's files by name.
pub type Files = BTreeMap<String, File>;

/// What templates asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Wants {
    /// Services.
    pub services: BTreeSet<ServiceQuery>,
    /// Secrets.
    pub secrets: BTreeSet<SecretRef>,
}

impl Wants {
    /// Adds what somebody else asks for.
    pub fn extend(&mut self, other: &Self) {
        self.services.extend(other.services.iter().cloned());
        self.secrets.extend(other.secrets.iter().cloned());
    }
}

/// What came of a unit's inputs.
#[derive(Debug, Clone, Default)]
pub struct Rendered {
    /// The index of the KV snapshot that all files come from.
    pub index: u64,
    /// Values that came from stores, not from templates or the environment.
    pub stored: usize,
    /// The files; of use only when [`Rendered::usable`].
    pub files: Arc<Files>,
    /// What was asked for, there or not.
    pub wants: Wants,
    /// What was asked for and is not there, by name.
    pub missing: BTreeSet<String>,
    /// What is wrong, one line each.
    pub errors: Vec<String>,
    /// What is strange, one line each.
    pub warnings: Vec<String>,
}

impl Rendered {
    /// Whether the files may be put in force.
    pub fn usable(&self) -> bool {
        self.errors.is_empty() && self.missing.is_empty()
    }

    /// Why they may not, in one line.
    pub fn refusal(&self) -> String {
        let missing = self.missing.iter().map(|name| format!("missing: {name}"));
        self.errors.iter().cloned().chain(missing).collect::<Vec<_>>().join("; ")
    }
}

/// Renders and checks one unit.
pub fn render(config: &AgentConfig, unit: &UnitConfig, inputs: &Inputs) -> Rendered {
    render_again(config, unit, inputs, &mut Memo::default())
}

/// [`render`], with the files of the last time that would come out the same taken from `memo`.
pub fn render_again(
    config: &AgentConfig,
    unit: &UnitConfig,
    inputs: &Inputs,
    memo: &mut Memo,
) -> Rendered {
    let mut rendered = Rendered { index: inputs.kv.index, ..Rendered::default() };
    let layered = match layers::gather(config, unit, inputs) {
        Ok(layered) => layered,
        Err(error) => {
            rendered.errors.push(error);
            return rendered;
        }
    };
    rendered.stored = layered.stored();
    let asked = Arc::new(Asked::default());
    let mut templates = Templates::new();
    helpers::register(&mut templates, inputs, &asked);
    let mut renderer = Renderer { unit, inputs, layered, templates, asked };
    memo.begin(unit, inputs);
    let mut files = Files::new();
    for file in renderer.names() {
        let made = memo.file(&mut renderer, &file);
        match &made.file {
            Ok(content) => drop(files.insert(file.name.clone(), content.clone())),
            Err(error) => rendered.errors.push(error.clone()),
        }
        rendered.missing.extend(made.notes.missing.iter().cloned());
        rendered.wants.services.extend(made.notes.wants.services.iter().cloned());
        rendered.wants.secrets.extend(made.notes.wants.secrets.iter().cloned());
    }
    memo.finish(inputs);
    rendered.files = Arc::new(files);
    if unit.schema && rendered.usable() {
        let found = schema::check(unit, &rendered.files, &renderer.layered);
        rendered.errors = found.errors;
        rendered.warnings = found.warnings;
    }
    rendered
}

struct Renderer<'a> {
    unit: &'a UnitConfig,
    inputs: &'a Inputs,
    layered: Layered,
    templates: Templates,
    asked: Arc<Asked>,
}

impl<'a> Renderer<'a> {
    /// The files to make: those of the unit's blocks; with none, or one named `*`, all there are.
    fn names(&self) -> Vec<Cow<'a, FileConfig>> {
        let unit = self.unit;
        let named = unit.files.iter().filter(|file| file.name != "*");
        let mut files: Vec<Cow<'a, FileConfig>> = named.map(Cow::Borrowed).collect();
        if files.len() == self.unit.files.len() && !files.is_empty() {
            return files;
        }
        let found = self.layered.files.keys().chain(self.layered.whole.keys());
        for name in found.collect::<BTreeSet<_>>() {
            if !files.iter().any(|file| file.name == *name) {
                let found = FileConfig { name: name.clone(), ..FileConfig::default() };
                files.push(Cow::Owned(found));
            }
        }
        files
    }

    fn file(&mut self, file: &FileConfig) -> Result<File, String> {
        let bytes = self.bytes(file);
        let secret = file.secret || self.asked.used_secret();
        let mode = file.mode.unwrap_or(if secret { 0o600 } else { 0o644 });
        let (user, group) = (file.user.clone(), file.group.clone());
        // With something missing the template's own complaint is only an echo of it.
        match bytes {
            Err(_) if self.asked.misses() => Ok(File::default()),
            Err(error) => Err(error),
            Ok(bytes) => Ok(File { content: Content::new(bytes), secret, mode, user, group }),
        }
    }

    fn bytes(&mut self, file: &FileConfig) -> Result<Vec<u8>, String> {
        let name = &file.name;
        let mut settings = self.layered.files.get(name).cloned().unwrap_or_default();
        for setting in settings.values_mut() {
            if setting.template {
                let place = setting.origin.to_string();
                setting.value = self.template(&place, &setting.value, file)?;
                setting.secret = self.asked.used_secret();
                if has_blob(&setting.value) {
                    return Err(format!("{place}: a property's value must be UTF-8 text"));
                }
            }
        }
        self.layered.files.entry(name.clone()).and_modify(|all| all.clone_from(&settings));
        if let Some(source) = &file.template {
            let (place, text) = self.source(source, name)?;
            return self.template(&place, &text, file).map(|text| self.asked.bytes(&text));
        }
        if let Some(whole) = self.layered.whole.get(name) {
            if !whole.template {
                return Ok(whole.value.clone());
            }
            let place = whole.origin.to_string();
            let text = String::from_utf8(whole.value.clone())
                .map_err(|_| format!("{place}: a template must be UTF-8 text"))?;
            return self.template(&place, &text, file).map(|text| self.asked.bytes(&text));
        }
        if settings.is_empty() && !self.layered.files.contains_key(name) {
            // A Hadoop file without a single value is an empty one, not an error.
            if Format::of_file(name) != Some(Format::Xml) {
                self.asked.miss(format!("{}/{name}", self.unit.name));
            }
        }
        let format = file.format.or_else(|| Format::of_file(name)).ok_or_else(|| {
            format!("{name}: no format is known for this name; set format or template")
        })?;
        format
            .render(&plain(&settings))
            .map(String::into_bytes)
            .map_err(|error| format!("{name}: {error}"))
    }

    fn source(&self, source: &TemplateSource, file: &str) -> Result<(String, String), String> {
        match source {
            TemplateSource::Inline(text) => Ok((format!("the template of {file}"), text.clone())),
            TemplateSource::Kv(key) => match self.stored(key) {
                Some(entry) => String::from_utf8(entry.value.clone())
                    .map(|text| (key.clone(), text))
                    .map_err(|_| format!("{key}: a template must be UTF-8 text")),
                None => {
                    self.asked.miss(key.clone());
                    Err(format!("{key}: no such key"))
                }
            },
            TemplateSource::File(path) => {
                self.asked.read(Read::Template(path.clone()));
                match self.inputs.templates.get(path) {
                    Some(Ok(text)) => Ok((path.display().to_string(), text.clone())),
                    Some(Err(error)) => Err(format!("{}: {error}", path.display())),
                    None => Err(format!("{}: not read", path.display())),
                }
            }
        }
    }

    fn stored(&self, key: &str) -> Option<&Entry> {
        self.asked.read(Read::Key(key.to_owned()));
        self.inputs.kv.entries.get(key)
    }

    fn template(&self, place: &str, text: &str, file: &FileConfig) -> Result<String, String> {
        let properties = self.layered.files.get(&file.name).map(plain).unwrap_or_default();
        let context = json!({
            "unit": self.unit.name,
            "role": self.unit.role,
            "host": self.inputs.node,
            "file": file.name,
            "properties": properties,
        });
        self.templates.render(text, &context).map_err(|error| {
            // A message may quote values; with a secret in play none is let out.
            match self.asked.used_secret() {
                true => format!("{place}: the template failed (details masked: it uses a secret)"),
                false => format!("{place}: {error}"),
            }
        })
    }
}

fn plain(settings: &BTreeMap<String, Setting>) -> Properties {
    settings.iter().map(|(name, setting)| (name.clone(), setting.value.clone())).collect()
}

/// The keys outside the layers' prefixes: templates, commit marks, the author, the freeze.
pub fn extra_keys(config: &AgentConfig) -> BTreeSet<String> {
    let templates =
        config.units.iter().flat_map(|unit| &unit.files).filter_map(|file| match &file.template {
            Some(TemplateSource::Kv(key)) => Some(key.clone()),
            _ => None,
        });
    let commits = config.units.iter().filter_map(|unit| unit.quiesce.commit.clone());
    templates.chain(commits).chain(config.author_key.clone()).chain([config.freeze_key()]).collect()
}

/// The fingerprint of what the hosts of a unit's role share: its layers of the KV store without
/// those of one host or one unit, and its templates. Hosts with the same keys have the same.
pub fn revision(config: &AgentConfig, unit: &UnitConfig, inputs: &Inputs) -> String {
    let own = |prefix: &str| {
        prefix.contains("${unit.name}") || prefix.split('/').any(|part| part == inputs.node)
    };
    let mut print = change::Fingerprint::default();
    let mut eat = |key: &str, value: &[u8]| {
        print.eat(key.as_bytes());
        print.eat(value);
    };
    for layer in &config.layers {
        let LayerSource::Kv(prefix) = &layer.source else { continue };
        if own(prefix) {
            continue;
        }
        let prefix = layers::prefix_for(prefix, unit);
        for (key, entry) in inputs.kv.entries.range(prefix.clone()..) {
            let Some(rest) = key.strip_prefix(&prefix) else { break };
            // What starts with @ belongs to other layers.
            if !rest.starts_with('@') {
                eat(key, &entry.value);
            }
        }
    }
    for file in &unit.files {
        if let Some(TemplateSource::Kv(key)) = &file.template
            && let Some(entry) = inputs.kv.entries.get(key)
        {
            eat(key, &entry.value);
        }
    }
    format!("{:016x}", print.value())
}

#[cfg(test)]
mod tests;
