//! Values of all layers over each other, each with the place where it was set.
//!
//! A later layer wins per property, and per whole file. Below a KV prefix, `FILE/NAME` is a
//! property and `FILE` a whole file; names that start with `@` belong to other layers, and empty
//! keys that end with `/` are folders that a user interface made.

use std::collections::BTreeMap;

use crate::config::{AgentConfig, LayerSource, UnitConfig, expand};
use crate::sources::layers::Origin;
use crate::sources::{Kv, environment};

use super::{FLAG_TEMPLATE, Inputs};

/// One property.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting {
    /// Its value.
    pub value: String,
    /// Where it was set.
    pub origin: Origin,
    /// Whether the value is a template.
    pub template: bool,
    /// Whether a secret went into it.
    pub secret: bool,
}

/// One whole file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Whole {
    /// Its bytes.
    pub value: Vec<u8>,
    /// Where it was set.
    pub origin: Origin,
    /// Whether it is a template.
    pub template: bool,
}

/// All values of a unit.
#[derive(Debug, Clone, Default)]
pub struct Layered {
    /// Files made of properties.
    pub files: BTreeMap<String, BTreeMap<String, Setting>>,
    /// Files stored whole.
    pub whole: BTreeMap<String, Whole>,
}

/// The prefix of a KV layer for one unit.
pub fn prefix_for(prefix: &str, unit: &UnitConfig) -> String {
    expand(prefix, &[("unit.name", &unit.name), ("unit.role", &unit.role)])
}

/// Puts the layers over each other.
///
/// # Errors
/// A key that is no place for a value, in one line that names it.
pub(super) fn gather(
    config: &AgentConfig,
    unit: &UnitConfig,
    inputs: &Inputs,
) -> Result<Layered, String> {
    let mut layered = Layered::default();
    for layer in &config.layers {
        match &layer.source {
            LayerSource::Kv(prefix) => layered.add(&inputs.kv, &prefix_for(prefix, unit))?,
            LayerSource::Files(folder) => {
                if let Some(kv) = inputs.folders.get(folder) {
                    layered.add(kv, "")?;
                }
            }
            LayerSource::Environment => layered.add_environment(unit, inputs),
        }
    }
    if let Some((file, whole)) =
        layered.whole.iter().find(|(file, _)| layered.files.contains_key(*file))
    {
        let origin = &whole.origin;
        return Err(format!(
            "{origin} holds the whole of {file}, and properties of it are stored too; keep one"
        ));
    }
    Ok(layered)
}

impl Layered {
    /// How many values come from stores.
    pub(super) fn stored(&self) -> usize {
        let of_store = |origin: &Origin| matches!(origin, Origin::Store(_));
        let settings = self.files.values().flat_map(BTreeMap::values);
        let settings = settings.filter(|setting| of_store(&setting.origin)).count();
        settings + self.whole.values().filter(|whole| of_store(&whole.origin)).count()
    }

    fn add(&mut self, kv: &Kv, prefix: &str) -> Result<(), String> {
        for (key, entry) in kv.entries.range(prefix.to_owned()..) {
            let Some(rest) = key.strip_prefix(prefix) else { break };
            if rest.starts_with('@') || (rest.is_empty() && entry.value.is_empty()) {
                continue;
            }
            if rest.ends_with('/') && entry.value.is_empty() {
                continue;
            }
            let template = entry.flags & FLAG_TEMPLATE != 0;
            let origin = Origin::Store(key.clone());
            match rest.split_once('/') {
                Some((file, name)) if plain_name(file) && !name.is_empty() && sane(name) => {
                    let value = String::from_utf8(entry.value.clone())
                        .map_err(|_| format!("{key}: a property's value must be UTF-8 text"))?;
                    let setting = Setting { value, origin, template, secret: false };
                    self.files.entry(file.to_owned()).or_default().insert(name.to_owned(), setting);
                }
                None if plain_name(rest) => {
                    let whole = Whole { value: entry.value.clone(), origin, template };
                    self.whole.insert(rest.to_owned(), whole);
                }
                _ => {
                    return Err(format!(
                        "{key} is no place for a value; {prefix}FILE and {prefix}FILE/NAME are"
                    ));
                }
            }
        }
        Ok(())
    }

    /// Only of files that somebody else named: an environment holds much that looks alike.
    fn add_environment(&mut self, unit: &UnitConfig, inputs: &Inputs) {
        for (file, content) in environment::parse(inputs.environment.clone()) {
            let known = self.files.contains_key(&file)
                || unit.files.iter().any(|each| each.name == file)
                || hdfs_edge::config::FILES.contains(&file.as_str());
            if !known || self.whole.contains_key(&file) {
                continue;
            }
            for (name, value) in content.properties {
                let variable = format!("{}_{name}", file.to_uppercase());
                let origin = Origin::Environment(variable);
                let setting = Setting { value, origin, template: false, secret: false };
                self.files.entry(file.clone()).or_default().insert(name, setting);
            }
        }
    }
}

/// A name that can only be a file inside the folder.
fn plain_name(name: &str) -> bool {
    !name.is_empty() && !name.starts_with('.') && !name.contains(['/', '\0']) && name.len() < 256
}

fn sane(name: &str) -> bool {
    !name.starts_with('@') && !name.split('/').any(|part| part == ".." || part == ".")
}
