//! What one unit's configuration is, once all layers are put over each other.
//!
//! Lowest first: the unit's defaults, `PREFIX/FILE/KEY`, `PREFIX/@ROLE/FILE/KEY`,
//! `PREFIX/@host/NAME/FILE/KEY`, the environment. A key set in a higher layer wins; where it came
//! from is kept, so that a complaint can name the place to mend. Pure: a snapshot in, values out.

use std::collections::BTreeMap;
use std::fmt;

use super::Snapshot;
use super::environment::EnvironmentFile;
use crate::render::Properties;

/// Who the configuration is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// The role whose `@ROLE/` layer applies.
    pub role: String,
    /// The names whose `@host/NAME/` layers apply, the last one winning.
    pub hosts: Vec<String>,
}

/// Where a value was set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// The unit's own defaults (or the command line).
    Default,
    /// A key of the store.
    Store(String),
    /// An environment variable of the flokkr form, for this file and key.
    Environment(String),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("the defaults"),
            Self::Store(key) => f.write_str(key),
            Self::Environment(name) => write!(f, "environment variable {name}"),
        }
    }
}

/// A value and where it was set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting {
    /// The value.
    pub value: String,
    /// The place.
    pub origin: Origin,
}

/// One file's settings by property name.
pub type Settings = BTreeMap<String, Setting>;

/// One unit's configuration.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Effective {
    /// Files made of properties, by name.
    pub files: BTreeMap<String, Settings>,
    /// Files stored whole in one key, by name.
    pub verbatim: BTreeMap<String, String>,
}

impl Effective {
    /// The bare properties of one file.
    pub fn properties(&self, file: &str) -> Properties {
        self.files
            .get(file)
            .into_iter()
            .flatten()
            .map(|(k, s)| (k.clone(), s.value.clone()))
            .collect()
    }

    /// All properties of all files, as a daemon that reads them one after the other sees them.
    pub fn all(&self) -> Properties {
        self.files.keys().flat_map(|file| self.properties(file)).collect()
    }
}

/// Why layers cannot be put together.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum LayerError {
    /// A whole file and single properties of it are both stored.
    #[error("{key} holds a whole file; store each property as {key}/NAME instead")]
    WholeFile {
        /// The key that holds the file.
        key: String,
    },
    /// A name that is no file's, or a layer where a property is expected.
    #[error(
        "{key} is no place for a value; FILE/NAME, @ROLE/FILE/NAME and @host/HOST/FILE/NAME are"
    )]
    Name {
        /// The key.
        key: String,
    },
}

/// The rank of a layer and what stands behind its prefix; `None` if it is for somebody else.
fn layer_of<'a>(target: &Target, rest: &'a str) -> Option<(usize, &'a str)> {
    let Some(named) = rest.strip_prefix('@') else { return Some((0, rest)) };
    let (name, rest) = named.split_once('/')?;
    if name != "host" {
        return (name == target.role).then_some((1, rest));
    }
    let (host, rest) = rest.split_once('/')?;
    let rank = target.hosts.iter().position(|name| name == host)?;
    Some((2 + rank, rest))
}

/// Puts the layers over each other.
///
/// Variables of files that neither the defaults nor the store know are left out: an environment
/// holds many things that only look like configuration.
///
/// # Errors
/// A key that is no place for a property or a file.
pub fn effective(
    target: &Target,
    defaults: &BTreeMap<String, Properties>,
    prefix: &str,
    snapshot: &Snapshot,
    environment: &BTreeMap<String, EnvironmentFile>,
) -> Result<Effective, LayerError> {
    let mut ranked: Vec<(usize, &str, &str, &str)> = Vec::new();
    for (key, value) in snapshot {
        let Some((rank, rest)) = key.strip_prefix(prefix).and_then(|rest| layer_of(target, rest))
        else {
            continue;
        };
        ranked.push((rank, key, rest, value));
    }
    ranked.sort_by_key(|(rank, ..)| *rank);

    let mut result = Effective::default();
    for (file, properties) in defaults {
        let settings = result.files.entry(file.clone()).or_default();
        for (name, value) in properties {
            let setting = Setting { value: value.clone(), origin: Origin::Default };
            settings.insert(name.clone(), setting);
        }
    }
    for (_, key, rest, value) in ranked {
        let origin = Origin::Store(key.to_owned());
        match rest.split_once('/') {
            Some(("" | "." | "..", _) | (_, "")) => {
                return Err(LayerError::Name { key: key.to_owned() });
            }
            // A layer's name stands before the file's.
            Some((_, name)) if name.starts_with('@') => {
                return Err(LayerError::Name { key: key.to_owned() });
            }
            Some((file, name)) => {
                let setting = Setting { value: value.to_owned(), origin };
                result.files.entry(file.to_owned()).or_default().insert(name.to_owned(), setting);
            }
            None if rest.is_empty() => return Err(LayerError::Name { key: key.to_owned() }),
            None => drop(result.verbatim.insert(rest.to_owned(), value.to_owned())),
        }
    }
    if let Some(file) = result.verbatim.keys().find(|file| result.files.contains_key(*file)) {
        return Err(LayerError::WholeFile { key: format!("{prefix}{file}") });
    }
    for (file, settings) in &mut result.files {
        for (name, value) in environment.get(file).into_iter().flat_map(|file| &file.properties) {
            let origin = Origin::Environment(format!("{}_{name}", file.to_uppercase()));
            settings.insert(name.clone(), Setting { value: value.clone(), origin });
        }
    }
    Ok(result)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sources::environment;

    fn snapshot(entries: &[(&str, &str)]) -> Snapshot {
        entries.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    fn target() -> Target {
        Target { role: "datanode".into(), hosts: vec!["box".into(), "datanode-1".into()] }
    }

    fn value(entries: &[(&str, &str)], variables: &[(&str, &str)]) -> (String, Origin) {
        let defaults =
            [("hdfs-site.xml".to_owned(), Properties::from([("k".into(), "default".into())]))]
                .into();
        let environment = environment::parse(
            variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())),
        );
        let effective =
            effective(&target(), &defaults, "conf/hdfs/", &snapshot(entries), &environment)
                .unwrap();
        let setting = effective.files["hdfs-site.xml"]["k"].clone();
        (setting.value, setting.origin)
    }

    #[test]
    fn higher_layers_win() {
        let layers = [
            ("conf/hdfs/hdfs-site.xml/k", "cluster"),
            ("conf/hdfs/@datanode/hdfs-site.xml/k", "role"),
            ("conf/hdfs/@host/box/hdfs-site.xml/k", "host"),
            ("conf/hdfs/@host/datanode-1/hdfs-site.xml/k", "unit"),
        ];
        assert_eq!(value(&[], &[]).0, "default");
        for (count, (key, wins)) in layers.iter().enumerate() {
            let expected = ((*wins).to_owned(), Origin::Store((*key).to_owned()));
            assert_eq!(value(&layers[..=count], &[]), expected);
        }
        let (won, origin) = value(&layers, &[("HDFS-SITE.XML_k", "env")]);
        assert_eq!(won, "env");
        assert_eq!(origin.to_string(), "environment variable HDFS-SITE.XML_k");
    }

    #[test]
    fn the_layers_of_others_do_not_count() {
        let others = [
            ("conf/hdfs/@namenode/hdfs-site.xml/k", "1"),
            ("conf/hdfs/@host/other/hdfs-site.xml/k", "2"),
            ("conf/yarn/hdfs-site.xml/k", "3"),
        ];
        assert_eq!(value(&others, &[("YARN-SITE.XML_k", "4")]).0, "default");
    }

    #[test]
    fn whole_files() {
        let stored = snapshot(&[("conf/hdfs/log4j.properties", "a=b")]);
        let files = effective(&target(), &BTreeMap::new(), "conf/hdfs/", &stored, &BTreeMap::new());
        assert_eq!(files.unwrap().verbatim["log4j.properties"], "a=b");

        let defaults = [("hdfs-site.xml".to_owned(), Properties::new())].into();
        let stored = snapshot(&[("conf/hdfs/hdfs-site.xml", "<configuration/>")]);
        let error = effective(&target(), &defaults, "conf/hdfs/", &stored, &BTreeMap::new());
        assert_eq!(
            error.unwrap_err().to_string(),
            "conf/hdfs/hdfs-site.xml holds a whole file; \
             store each property as conf/hdfs/hdfs-site.xml/NAME instead"
        );
    }

    #[test]
    fn no_file_outside_the_folder() {
        for key in ["conf/hdfs/../passwd", "conf/hdfs/hdfs-site.xml/@datanode/k"] {
            let stored = snapshot(&[(key, "x")]);
            let result =
                effective(&target(), &BTreeMap::new(), "conf/hdfs/", &stored, &BTreeMap::new());
            assert!(result.is_err(), "{key}");
        }
    }
}
