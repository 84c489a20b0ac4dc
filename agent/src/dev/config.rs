//! Store and environment into the files of every unit, and marks of what a change asks for.
//!
//! Pure: nothing is written here, and a snapshot is taken whole or not at all. What is checked is
//! the very text that will be written.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use hdfs_edge::config::{Config, ConfigError, FILES};
use hdfs_edge::keys::{self, Change};
use serde_json::json;

use super::plan::{PREFIX, Plan, Recipe, Role};
use crate::actuators::ports::Port;
use crate::driver::Wanted;
use crate::engine::change::{Fingerprint, Marks};
use crate::engine::{File, Files};
use crate::render::{Format, Templates};
use crate::sources::Snapshot;
use crate::sources::environment::EnvironmentFile;
use crate::sources::layers::{self, Effective};

/// One unit's wanted state, and what the start needs to know besides.
#[derive(Debug)]
pub(super) struct Computed {
    /// For the driver.
    pub(super) wanted: Wanted,
    /// Where the unit listens, web server first.
    pub(super) ports: Vec<Port>,
    /// The address of the file system.
    pub(super) default_fs: String,
    /// The folders of the namespace.
    pub(super) names: Vec<PathBuf>,
}

/// Everything of every unit, or the first thing that is wrong, in one line that names the key,
/// where it was set, and why it does not do.
pub(super) fn compute(
    plan: &Plan,
    snapshot: &Snapshot,
    environment: &BTreeMap<String, EnvironmentFile>,
) -> Result<Vec<Computed>, String> {
    let templates = Templates::new();
    let compute = |recipe| compute_one(recipe, snapshot, environment, &templates);
    plan.recipes.iter().map(compute).collect()
}

fn compute_one(
    unit: &Recipe,
    snapshot: &Snapshot,
    environment: &BTreeMap<String, EnvironmentFile>,
    templates: &Templates,
) -> Result<Computed, String> {
    let effective = layers::effective(&unit.target, &unit.defaults, PREFIX, snapshot, environment)
        .map_err(|error| error.to_string())?;
    let files = render(unit, &effective, snapshot, templates)?;
    let texts = FILES.iter().filter_map(|name| Some((*name, files.get(*name)?.text()?)));
    let config = Config::from_texts(Path::new(""), texts)
        .map_err(|error| blame(unit, &effective, &error))?;
    let ports: Vec<Port> = unit
        .role
        .listens()
        .iter()
        .filter_map(|key| {
            let address = config.raw(key)?;
            Some(Port { unit: unit.name.clone(), key: (*key).to_owned(), address })
        })
        .collect();
    let health = ports.first().map(|port| reachable(&port.address));
    let Marks { restart: token, reload } = marks(unit.role, &config);
    Ok(Computed {
        wanted: Wanted { files: files.into(), token, reload, health, ..Wanted::default() },
        ports,
        default_fs: config.raw("fs.defaultFS").unwrap_or_default(),
        names: config
            .folders(&keys::DFS_NAMENODE_NAME_DIR)
            .into_iter()
            .map(|folder| folder.path)
            .collect(),
    })
}

fn render(
    unit: &Recipe,
    effective: &Effective,
    snapshot: &Snapshot,
    templates: &Templates,
) -> Result<Files, String> {
    let verbatim = effective.verbatim.iter();
    let mut files: Files =
        verbatim.map(|(name, text)| (name.clone(), File::plain(text.as_str()))).collect();
    for name in effective.files.keys() {
        let properties = effective.properties(name);
        let template = format!("templates/{name}.hbs");
        let rendered = match (snapshot.get(&template), Format::of_file(name)) {
            (Some(text), _) => {
                let context = json!({
                    "unit": unit.name,
                    "role": unit.target.role,
                    "host": unit.target.hosts.first(),
                    "file": name,
                    "properties": properties,
                });
                templates.render(text, &context).map_err(|error| format!("{template}: {error}"))
            }
            (None, Some(format)) => {
                format.render(&properties).map_err(|error| format!("{PREFIX}{name}: {error}"))
            }
            (None, None) => Err(format!(
                "{PREFIX}{name}: no format is known for this name; add {template}, or store the \
                 file whole"
            )),
        };
        files.insert(name.clone(), File::plain(rendered?));
    }
    Ok(files)
}

/// The reader's complaint, told by where the value was set instead of by the rendered file.
fn blame(unit: &Recipe, effective: &Effective, error: &ConfigError) -> String {
    let ConfigError::Value { key, value, accepted, .. } = error else {
        return format!("{}: {error}", unit.name);
    };
    // The later file wins, so it is the one to blame. The user may have used an older name.
    let named = |name: &str| keys::current_name(name) == key.as_str();
    let setting = effective
        .files
        .values()
        .rev()
        .find_map(|settings| settings.iter().find(|(name, _)| named(name)).map(|(_, s)| s));
    match setting {
        Some(setting) => format!("{}: {key} = {value:?}: {accepted}", setting.origin),
        None => format!("{}: {error}", unit.name),
    }
}

/// Fingerprints of the values this role would have to be restarted for, and of those it can read
/// again.
fn marks(role: Role, config: &Config) -> Marks {
    let (mut restart, mut reload) = (Fingerprint::default(), Fingerprint::default());
    for (name, value, _) in config.effective() {
        let print = match keys::change_of(&name, role.daemon()) {
            Change::None => continue,
            Change::Reload => &mut reload,
            Change::Restart => &mut restart,
        };
        print.eat(name.as_bytes());
        print.eat(value.as_bytes());
    }
    Marks { restart: restart.value(), reload: reload.value() }
}

/// An address to connect to where one listens on all.
fn reachable(address: &str) -> String {
    match address.parse::<std::net::SocketAddr>() {
        Ok(address) if address.ip().is_unspecified() => {
            let host = if address.is_ipv4() { "127.0.0.1" } else { "[::1]" };
            format!("{host}:{}", address.port())
        }
        _ => address.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};

    use super::super::folder::Found;
    use hdfs_edge::daemon::LogFormat;

    use super::super::plan::Options;
    use super::*;
    use crate::sources::environment;

    fn plan() -> Plan {
        let options = Options {
            data: "/data".into(),
            datanodes: Some(2),
            replication: None,
            port_offset: 0,
            bind: IpAddr::V4(Ipv4Addr::LOCALHOST),
            log: LogFormat::Text,
        };
        Plan::new(&options, &Found::default()).unwrap()
    }

    fn compute_with(
        stored: &[(&str, &str)],
        variables: &[(&str, &str)],
    ) -> Result<Vec<Computed>, String> {
        let owned = |entries: &[(&str, &str)]| -> Snapshot {
            entries.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
        };
        compute(&plan(), &owned(stored), &environment::parse(owned(variables)))
    }

    fn text_of<'w>(wanted: &'w Wanted, name: &str) -> &'w str {
        wanted.files[name].text().unwrap()
    }

    /// Names of the units that these settings concern, with what each has to do.
    fn concerned(stored: &[(&str, &str)], variables: &[(&str, &str)]) -> Vec<(String, Change)> {
        let before = compute_with(&[], &[]).unwrap();
        let after = compute_with(stored, variables).unwrap();
        let recipes = plan().recipes;
        let marks =
            |unit: &Computed| Marks { restart: unit.wanted.token, reload: unit.wanted.reload };
        let all = before.iter().zip(&after).zip(&recipes);
        all.map(|((old, new), recipe)| (recipe, marks(old).to(marks(new))))
            .filter(|(recipe, change)| *change != Change::None && recipe.role != Role::Client)
            .map(|(recipe, change)| (recipe.name.clone(), change))
            .collect()
    }

    #[test]
    fn a_change_concerns_exactly_its_readers() {
        const ALL: [&str; 3] = ["namenode", "datanode-0", "datanode-1"];
        let [nobody, namenode, datanodes]: [&[&str]; 3] = [&[], &ALL[..1], &ALL[1..]];
        let second = &datanodes[1..];
        let site = "conf/hdfs/hdfs-site.xml";
        let of_second = "conf/hdfs/@host/datanode-1/hdfs-site.xml";
        let of_namenode = "conf/hdfs/@namenode/hdfs-site.xml";
        let table: &[(&str, &str, &str, Change, &[&str])] = &[
            (site, "dfs.replication", "1", Change::Reload, namenode),
            (site, "dfs.replication", "2", Change::None, nobody),
            (site, "dfs.heartbeat.interval", "1", Change::Reload, &ALL),
            (site, "howdah.log.level", "debug", Change::Reload, &ALL),
            (site, "dfs.datanode.max.transfer.threads", "300", Change::Reload, datanodes),
            (of_second, "dfs.datanode.max.transfer.threads", "300", Change::Reload, second),
            (of_namenode, "dfs.datanode.max.transfer.threads", "300", Change::None, nobody),
            (site, "dfs.datanode.synconclose", "true", Change::Restart, datanodes),
            (site, "dfs.namenode.checkpoint.txns", "7", Change::Restart, namenode),
            (site, "dfs.client.use.datanode.hostname", "true", Change::None, nobody),
            ("conf/yarn/hdfs-site.xml", "dfs.replication", "1", Change::None, nobody),
        ];
        for (file, key, value, change, names) in table {
            let key = format!("{file}/{key}");
            let expected: Vec<_> = names.iter().map(|name| ((*name).to_owned(), *change)).collect();
            assert_eq!(concerned(&[(&key, value)], &[]), expected, "{key}");
        }
        let variable = ("HDFS-SITE.XML_dfs.replication", "1");
        let expected = [("namenode".to_owned(), Change::Reload)];
        assert_eq!(concerned(&[], &[variable]), expected);
    }

    #[test]
    fn every_unit_gets_every_file_and_its_own_values() {
        let wanted =
            compute_with(&[("conf/hdfs/hdfs-site.xml/dfs.replication", "1")], &[]).unwrap();
        for unit in &wanted {
            assert!(text_of(&unit.wanted, "core-site.xml").contains("hdfs://127.0.0.1:8020"));
            assert!(text_of(&unit.wanted, "hdfs-site.xml").contains("<value>1</value>"));
        }
        assert_eq!(wanted[0].wanted.health.as_deref(), Some("127.0.0.1:9870"));
        assert_eq!(wanted[2].ports[1].address, "127.0.0.1:9876");
    }

    #[test]
    fn a_bad_value_is_told_by_its_place() {
        let key = "conf/hdfs/@datanode/hdfs-site.xml/dfs.replication";
        let error = compute_with(&[(key, "many")], &[]).unwrap_err();
        assert!(error.starts_with(&format!("{key}: dfs.replication = \"many\": ")), "{error}");
        let error = compute_with(&[], &[("HDFS-SITE.XML_dfs.replication", "0")]).unwrap_err();
        assert!(
            error.starts_with("environment variable HDFS-SITE.XML_dfs.replication: "),
            "{error}"
        );
    }

    #[test]
    fn a_template_takes_the_place_of_the_format() {
        let text = "<configuration>{{#each properties}}<property><name>{{@key}}</name>\
                    <value>{{xml this}}</value></property>{{/each}}</configuration>";
        let wanted = compute_with(&[("templates/hdfs-site.xml.hbs", text)], &[]).unwrap();
        assert!(
            text_of(&wanted[0].wanted, "hdfs-site.xml").starts_with("<configuration><property>")
        );
        let plain = compute_with(&[], &[]).unwrap();
        assert_eq!(
            wanted[0].wanted.token, plain[0].wanted.token,
            "the same values, another spelling"
        );
        let error =
            compute_with(&[("templates/hdfs-site.xml.hbs", "{{nobody}}")], &[]).unwrap_err();
        assert!(error.starts_with("templates/hdfs-site.xml.hbs: "), "{error}");
    }
}
