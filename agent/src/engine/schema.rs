//! Hadoop's files against the key table, and against each other.
//!
//! What is checked is the very text that will be written. A value that its key does not accept is
//! an error told by the place where it was set; a name nobody knows is a warning with the nearest
//! known one. Values of secret settings are never quoted.

use std::path::Path;

use hdfs_edge::config::{self, Config, ConfigError, FILES};
use hdfs_edge::keys;

use super::layers::{Layered, Setting};
use super::{File, Files};
use crate::config::UnitConfig;
use crate::config::fields::nearest;

/// What was found.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) errors: Vec<String>,
    pub(super) warnings: Vec<String>,
}

pub(super) fn check(unit: &UnitConfig, files: &Files, layered: &Layered) -> Found {
    let mut found = Found::default();
    let ours: Vec<(&str, &File)> =
        FILES.iter().filter_map(|name| Some((*name, files.get(*name)?))).collect();
    if ours.is_empty() {
        return found;
    }
    let mut texts = Vec::new();
    let services = nameservices_of(&ours);
    for (name, file) in &ours {
        let Some(text) = file.text() else {
            found.errors.push(format!("{name}: Hadoop's configuration must be UTF-8 text"));
            return found;
        };
        texts.push((*name, text));
        match config::properties(Path::new(name), text) {
            Ok(properties) => {
                for (key, value) in properties {
                    let of = (key.as_str(), stands_for(&key, &services));
                    property(unit, (name, file), of, &value, layered, &mut found);
                }
            }
            Err(_) if file.secret => found.errors.push(format!(
                "{name}: is no Hadoop configuration (details masked: it uses a secret)"
            )),
            Err(error) => found.errors.push(error.to_string()),
        }
    }
    if found.errors.is_empty() {
        match Config::from_texts(Path::new(""), texts) {
            Ok(config) => rules(unit, &config, layered, &mut found),
            Err(_) if ours.iter().any(|(_, file)| file.secret) => {
                let what = "a value is not accepted (details masked: a file uses a secret)";
                found.errors.push(what.to_owned());
            }
            Err(error) => found.errors.push(blame(layered, &error)),
        }
    }
    found
}

fn property(
    unit: &UnitConfig,
    (file, whole): (&str, &File),
    (name, key): (&str, &str),
    value: &str,
    layered: &Layered,
    found: &mut Found,
) {
    let setting = layered.files.get(file).and_then(|settings| settings.get(name));
    let place = setting.map_or_else(|| file.to_owned(), |setting| setting.origin.to_string());
    match keys::find(key) {
        // References to other keys are resolved later, over all files.
        Some(key) if !value.contains("${") => {
            if let Err(accepted) = config::check(key, value.trim()) {
                // Of a file that is a template nobody knows which values are secrets.
                let secret = setting.is_none() && whole.secret;
                let value = if secret { "***".to_owned() } else { shown(name, value, setting) };
                found.errors.push(format!("{place}: {name} = {value}: {accepted}"));
            }
        }
        Some(_) => {}
        None if key == NAMENODES => {}
        None => {
            let near = nearest(name, keys::ALL.iter().map(|key| key.name));
            // A daemon of ours knows all it reads; others (YARN, clients) have keys of their own.
            let hint = match near {
                Some(near) => format!("; did you mean {near}?"),
                None if keys_of_ours(name) => "; it has no effect on howdah's daemons".to_owned(),
                None => return,
            };
            found.warnings.push(format!("{}: {place}: {name} is unknown{hint}", unit.name));
        }
    }
}

/// The namenodes of a nameservice, whose name follows.
const NAMENODES: &str = "dfs.ha.namenodes";

/// The nameservices that the files name.
fn nameservices_of(files: &[(&str, &File)]) -> Vec<String> {
    let mut services = Vec::new();
    for (name, file) in files {
        let properties = file.text().map(|text| config::properties(Path::new(name), text));
        for (key, value) in properties.into_iter().flatten().flatten() {
            if key == "dfs.nameservices" {
                services = value.split(',').map(|each| each.trim().to_owned()).collect();
            }
        }
    }
    services.retain(|name| !name.is_empty());
    services
}

/// The key that a name with `.SERVICE` or `.SERVICE.NAMENODE` behind it stands for; else the name.
fn stands_for<'n>(name: &'n str, services: &[String]) -> &'n str {
    let base = |service: &String| {
        if let Some(base) = name.strip_suffix(service) {
            return base.strip_suffix('.');
        }
        let (base, namenode) = name.split_once(&format!(".{service}."))?;
        (!namenode.is_empty() && !namenode.contains('.')).then_some(base)
    };
    services.iter().find_map(base).unwrap_or(name)
}

fn keys_of_ours(name: &str) -> bool {
    ["dfs.namenode.", "dfs.datanode.", "dfs.journalnode."]
        .iter()
        .any(|prefix| name.starts_with(prefix))
}

fn shown(name: &str, value: &str, setting: Option<&Setting>) -> String {
    let secret = setting.is_some_and(|setting| setting.secret) || secret_name(name);
    if secret { "***".to_owned() } else { format!("{value:?}") }
}

/// Names whose values are secrets wherever they come from.
pub(crate) fn secret_name(name: &str) -> bool {
    const PARTS: &[&str] = &["password", "secret", "credential", "keystore.pass", "token"];
    let name = name.to_ascii_lowercase();
    let switch = [".enable", ".enabled", ".interval", ".lifetime", ".max-lifetime"];
    PARTS.iter().any(|part| name.contains(part)) && !switch.iter().any(|end| name.ends_with(end))
}

/// The reader's complaint, told by where the value was set.
fn blame(layered: &Layered, error: &ConfigError) -> String {
    let ConfigError::Value { key, value, accepted, .. } = error else { return error.to_string() };
    // The later file wins, so it is the one to blame. The user may have used an older name.
    let named = |name: &str| keys::current_name(name) == key.as_str();
    let setting = layered
        .files
        .values()
        .rev()
        .find_map(|settings| settings.iter().find(|(name, _)| named(name)).map(|(_, s)| s));
    let place = setting.map_or_else(|| "default".to_owned(), |each| each.origin.to_string());
    format!("{place}: {key} = {}: {accepted}", shown(key, value, setting))
}

/// Rules over more than one value.
fn rules(unit: &UnitConfig, config: &Config, layered: &Layered, found: &mut Found) {
    let place = |name: &str| {
        let setting = layered.files.values().rev().find_map(|settings| settings.get(name));
        setting.map_or_else(|| "default".to_owned(), |setting| setting.origin.to_string())
    };
    let (replication, least, most) = (
        config.integer(&keys::DFS_REPLICATION),
        config.integer(&keys::DFS_NAMENODE_REPLICATION_MIN),
        config.integer(&keys::DFS_REPLICATION_MAX),
    );
    if replication < least || replication > most {
        found.errors.push(format!(
            "{}: dfs.replication = {replication}: from dfs.namenode.replication.min ({least}) to \
             dfs.replication.max ({most}) is accepted",
            place("dfs.replication")
        ));
    }
    let block = config.size(&keys::DFS_BLOCKSIZE);
    let chunk = config.integer(&keys::DFS_BYTES_PER_CHECKSUM).max(1).unsigned_abs();
    if !block.is_multiple_of(chunk) {
        found.errors.push(format!(
            "{}: dfs.blocksize = {block}: a multiple of dfs.bytes-per-checksum ({chunk}) is \
             accepted",
            place("dfs.blocksize")
        ));
    }
    if let Some(services) = config.raw("dfs.nameservices").filter(|text| !text.is_empty()) {
        nameservices(&services, config, &place, found);
    }
    if unit.role == "namenode" || unit.role == "datanode" {
        ports(&unit.role, config, &place, found);
    }
    for pair in [["core-site.xml", "hdfs-site.xml"]] {
        let [core, hdfs] = pair.map(|name| layered.files.get(name).cloned().unwrap_or_default());
        for (name, setting) in &core {
            if hdfs.get(name).is_some_and(|other| other.value != setting.value) {
                let origin = &hdfs[name].origin;
                found.warnings.push(format!(
                    "{}: {name} is set in core-site.xml and otherwise in hdfs-site.xml; {origin} \
                     wins",
                    unit.name
                ));
            }
        }
    }
}

fn nameservices(
    services: &str,
    config: &Config,
    place: &dyn Fn(&str) -> String,
    found: &mut Found,
) {
    for service in services.split(',').map(str::trim).filter(|name| !name.is_empty()) {
        let list = format!("dfs.ha.namenodes.{service}");
        let Some(names) = config.raw(&list) else { continue };
        for name in names.split(',').map(str::trim).filter(|name| !name.is_empty()) {
            let key = format!("dfs.namenode.rpc-address.{service}.{name}");
            if config.raw(&key).is_none_or(|value| value.is_empty()) {
                let place = place(&list);
                found.errors.push(format!("{place}: {list} names {name}, but {key} is not set"));
            }
        }
    }
}

/// Two servers of one daemon on one port.
fn ports(role: &str, config: &Config, place: &dyn Fn(&str) -> String, found: &mut Found) {
    let listens: &[&str] = match role {
        "namenode" => &["dfs.namenode.http-address", "dfs.namenode.rpc-address"],
        _ => &["dfs.datanode.http.address", "dfs.datanode.address", "dfs.datanode.ipc.address"],
    };
    let mut seen: Vec<(String, &str)> = Vec::new();
    for key in listens {
        let Some(address) = config.raw(key).filter(|text| !text.is_empty()) else { continue };
        let port = address.rsplit(':').next().unwrap_or_default().to_owned();
        if port == "0" {
            continue;
        }
        if let Some((_, other)) = seen.iter().find(|(taken, _)| *taken == port) {
            let place = place(key);
            found.errors.push(format!("{place}: {key} = {address:?}: {other} has the same port"));
        }
        seen.push((port, key));
    }
}
