//! The environment names of flokkr's launcher: what each means for this agent.
//!
//! All of them are in [`NAMES`]. What an old name asks for goes only where the configuration says
//! nothing of its own. A name that means nothing any more gets one line in the log with what to use
//! instead; one whose silent loss would do harm is refused. Pure: an environment in, changes out.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use super::launch::{self, Awaited, Checksum, Fetch, Prepare, WaitFor};
use super::{
    AgentConfig, Consul, FileConfig, Layer, LayerSource, Problem, Restart, TemplateSource,
    UnitConfig,
};

/// Where components go, one folder each.
const INSTALLER_DIR: &str = "/opt";

/// How much longer each pause before a restart is than the one before.
const RETRY_STEP: Duration = Duration::from_secs(10);

/// A run this long starts the pauses over.
const RETRY_NORMAL_RUN: Duration = Duration::from_secs(60);

/// How long something is waited for.
const WAITFOR_TIMEOUT: Duration = Duration::from_secs(60);

/// How long a format may take.
const FORMAT_TIMEOUT: Duration = Duration::from_secs(300);

/// What a whole format has left, howdah's and Java's, which write the two in another order.
const FORMATTED: [&str; 2] = ["current/VERSION", "current/fsimage_0000000000000000000.md5"];

/// What becomes of an old name.
enum Meaning {
    /// It does what it did; [`Old::read`] knows how.
    Kept,
    /// It means nothing; what to use instead.
    Dropped(&'static str),
    /// It is refused; why, and what to do.
    Refused(&'static str),
}

const LATER: &str = "there is no high availability yet; unset it, and format one namenode with \
                     ENSURE_NAMENODE_DIR or the unit's prepare";
const PREPARE: &str = "use the unit's prepare = { when_empty, command }";
const ISSUER: &str = "keytabs come from Vault (docs/flokkr.md)";
const JVM: &str = "pass it in the env of the unit of a Java program";
const DEPLOYED: &str = "howdah is one file; Nomad's artifact brings another version";

/// Every name; `*` stands for the rest of one.
const NAMES: &[(&str, Meaning)] = {
    use Meaning::{Dropped, Kept, Refused};
    &[
        ("CONFIG_TYPE", Kept),
        ("CONSUL_PATH", Kept),
        ("CONSUL_KEY", Kept),
        ("CONSUL_ENABLED", Kept),
        ("CONF_DIR", Kept),
        ("ENSURE_NAMENODE_DIR", Kept),
        ("ENSURE_NAMENODE_CLUSTERID", Kept),
        ("INSTALLER_*", Kept),
        ("KERBEROS_KEYTABS", Kept),
        ("KERBEROS_KEYSTORES", Kept),
        ("KEYTAB_DIR", Kept),
        ("RETRY_NUMBER", Kept),
        ("RETRY_NORMAL_RUN_DURATION", Kept),
        ("WAITFOR", Kept),
        ("WAITFOR_TIMEOUT", Kept),
        ("ENSURE_STANDBY_NAMENODE_DIR", Refused(LATER)),
        ("NAMENODE_INIT", Refused("nothing is run inside a new namenode; use howdah dfs once")),
        ("ENSURE_SCM_INITIALIZED", Refused(PREPARE)),
        ("ENSURE_OM_INITIALIZED", Refused(PREPARE)),
        ("KUBERNETES_ENABLED", Refused("there is no source for Kubernetes; use Consul KV")),
        ("BTRACE_*", Dropped(JVM)),
        ("BYTEMAN_*", Dropped(JVM)),
        ("ENVTOCONF_ENABLED", Dropped("the environment is the last layer anyway")),
        ("FLOKKR_DEBUG", Dropped("use RUST_LOG=debug")),
        ("GIT_CLONE", Dropped("use Nomad's artifact, or a fetch block")),
        ("ISSUER_SERVER", Dropped(ISSUER)),
        ("JAVA_OPTS_VAR", Dropped(JVM)),
        ("KERBEROS_ENABLED", Dropped(ISSUER)),
        ("KERBEROS_SERVER", Dropped(ISSUER)),
        ("LAUNCHER_*", Dropped(DEPLOYED)),
        ("PERMISSION_FIX", Dropped("give the folders to the unit's user once, on the host")),
        (
            "PROMETHEUSJMX_*",
            Dropped("daemons of howdah serve /prom; else pass a Java agent in env"),
        ),
        ("SLEEP_AFTER_SECONDS", Dropped("read a program's end with howdah history")),
        ("SLEEP_SECONDS", Dropped("use wait_for, which ends as soon as it can")),
        ("SSHD_*", Dropped("the host has its own sshd; nomad alloc exec reaches a task")),
    ]
};

/// What the environment asks for by old names.
#[derive(Debug, Default)]
pub(super) struct Old {
    restart: Option<Restart>,
    wait_for: Vec<WaitFor>,
    fetch: Vec<Fetch>,
    format: Option<Format>,
    layers: Option<OldLayers>,
    links: Vec<(&'static str, PathBuf)>,
    files: Vec<FileConfig>,
    notes: Vec<String>,
    problems: Vec<String>,
}

/// A namenode's folders that are formatted when they are empty.
#[derive(Debug)]
struct Format {
    folders: Vec<PathBuf>,
    cluster_id: Option<String>,
}

#[derive(Debug)]
enum OldLayers {
    /// Below this prefix of Consul KV.
    Kv(String),
    /// `CONFIG_TYPE=simple`.
    Environment,
}

impl Old {
    /// Reads an environment on the host of that name.
    pub(super) fn read(env: &BTreeMap<String, String>, node: &str) -> Self {
        let mut old = Self::default();
        for name in env.keys().filter(|name| !env[*name].is_empty()) {
            match meaning(name) {
                Some(Meaning::Dropped(instead)) => {
                    old.notes.push(format!("{name} has no effect: {instead}"));
                }
                Some(Meaning::Refused(why)) => old.problems.push(format!("{name}: {why}")),
                Some(Meaning::Kept) | None => {}
            }
        }
        let set =
            |name: &str| env.get(name).map(|text| text.trim()).filter(|text| !text.is_empty());
        old.read_layers(&set);
        old.read_waits(&set);
        old.read_retry(&set);
        old.read_format(&set);
        old.read_secrets(&set, node);
        old.read_components(env);
        for name in ["CONF_DIR", "KEYTAB_DIR"] {
            let Some(folder) = set(name) else { continue };
            match folder.starts_with('/') {
                true => old.links.push((name, folder.trim_end_matches('/').into())),
                false => old.problems.push(format!("{name}={folder} is not absolute")),
            }
        }
        old
    }

    fn read_layers<'e>(&mut self, set: &impl Fn(&str) -> Option<&'e str>) {
        let path = set("CONSUL_PATH").unwrap_or("conf").trim_matches('/');
        let key = set("CONSUL_KEY").unwrap_or("hdfs").trim_matches('/');
        let kv = || Some(OldLayers::Kv(format!("{path}/{key}/")));
        let named = ["CONSUL_PATH", "CONSUL_KEY", "CONSUL_ENABLED"]
            .iter()
            .any(|name| set(name).is_some_and(|text| *name != "CONSUL_ENABLED" || text == "true"));
        self.layers = match set("CONFIG_TYPE") {
            Some("simple") => Some(OldLayers::Environment),
            Some("consul") => kv(),
            None if named => kv(),
            None => None,
            Some(other) => {
                let accepted = "simple (the environment) and consul are accepted";
                self.problems.push(format!("CONFIG_TYPE={other}: {accepted}"));
                None
            }
        };
    }

    fn read_waits<'e>(&mut self, set: &impl Fn(&str) -> Option<&'e str>) {
        let timeout = self.seconds("WAITFOR_TIMEOUT", set).unwrap_or(WAITFOR_TIMEOUT);
        for address in set("WAITFOR").unwrap_or_default().split([',', ' ']) {
            if launch::is_address(address) {
                let what = Awaited::Address(address.to_owned());
                self.wait_for.push(WaitFor { what, timeout });
            } else if !address.is_empty() {
                self.problems.push(format!("WAITFOR={address}: HOST:PORT is accepted"));
            }
        }
    }

    fn read_retry<'e>(&mut self, set: &impl Fn(&str) -> Option<&'e str>) {
        let normal = self.seconds("RETRY_NORMAL_RUN_DURATION", set);
        let number = set("RETRY_NUMBER").map(|text| text.parse::<u32>().unwrap_or(0));
        if number == Some(0) {
            self.problems.push("RETRY_NUMBER: a number from 1 on is accepted".to_owned());
        }
        if number.is_none() && normal.is_none() {
            return;
        }
        let max_failures = number.unwrap_or(1).max(1);
        self.restart = Some(Restart {
            backoff: RETRY_STEP,
            step: Some(RETRY_STEP),
            cap: RETRY_STEP.saturating_mul(max_failures),
            reset_after: normal.unwrap_or(RETRY_NORMAL_RUN),
            max_failures,
        });
    }

    fn read_format<'e>(&mut self, set: &impl Fn(&str) -> Option<&'e str>) {
        let Some(folders) = set("ENSURE_NAMENODE_DIR") else { return };
        let folders: Vec<PathBuf> =
            folders.split(',').map(|each| each.trim_start_matches("file://").into()).collect();
        if folders.iter().any(|folder| !folder.is_absolute()) {
            self.problems.push("ENSURE_NAMENODE_DIR: absolute folders are accepted".to_owned());
        }
        let cluster_id = set("ENSURE_NAMENODE_CLUSTERID").map(str::to_owned);
        self.format = Some(Format { folders, cluster_id });
    }

    /// A keytab is a base64 field of a secret, a rendered file, and in no other place.
    fn read_secrets<'e>(&mut self, set: &impl Fn(&str) -> Option<&'e str>, node: &str) {
        let kinds = [("KERBEROS_KEYTABS", "keytab"), ("KERBEROS_KEYSTORES", "keystore")];
        for (variable, kind) in kinds {
            for name in set(variable).unwrap_or_default().split([',', ' ']) {
                if name.is_empty() {
                    continue;
                }
                if !launch::is_component(name) {
                    self.problems.push(format!("{variable}: {name:?} is no name of a {kind}"));
                    continue;
                }
                let path = format!("secret/hdfs/{kind}s/{node}/{name}");
                let text = format!("{{{{base64Decode (secret \"{path}\" \"{kind}\")}}}}");
                self.files.push(FileConfig {
                    name: format!("{name}.{kind}"),
                    template: Some(TemplateSource::Inline(text)),
                    secret: true,
                    ..FileConfig::default()
                });
            }
        }
    }

    fn read_components(&mut self, env: &BTreeMap<String, String>) {
        let folder = env.get("INSTALLER_DIR").map_or(INSTALLER_DIR, String::as_str);
        if !folder.starts_with('/') {
            self.problems.push(format!("INSTALLER_DIR={folder} is not absolute"));
        }
        for (variable, value) in env {
            let Some(name) = variable.strip_prefix("INSTALLER_") else { continue };
            if name == "DIR" || value.trim().is_empty() {
                continue;
            }
            match component(name, value.trim(), folder) {
                Ok(fetch) => self.fetch.push(fetch),
                Err(why) => self.problems.push(format!("{variable}: {why}")),
            }
        }
    }

    fn seconds<'e>(
        &mut self,
        name: &str,
        set: &impl Fn(&str) -> Option<&'e str>,
    ) -> Option<Duration> {
        let text = set(name)?;
        let seconds = text.parse().ok().filter(|seconds| (1..=86_400).contains(seconds));
        if seconds.is_none() {
            self.problems.push(format!("{name}={text}: seconds from 1 to 86400 are accepted"));
        }
        seconds.map(Duration::from_secs)
    }

    /// How programs are started again where a unit does not say.
    pub(super) fn restart(&self) -> Option<&Restart> {
        self.restart.as_ref()
    }

    /// The layers in place of the usual ones; `None` where nothing asks for others.
    pub(super) fn layers(&self, node: &str) -> Option<Vec<Layer>> {
        match self.layers.as_ref()? {
            OldLayers::Kv(prefix) => Some(standard_layers(prefix, node)),
            OldLayers::Environment => Some(vec![environment()]),
        }
    }

    /// Puts what was asked for where the configuration says nothing itself. `own_layers`: it has
    /// layer blocks.
    pub(super) fn furnish(mut self, config: &mut AgentConfig, own_layers: bool) -> Vec<Problem> {
        match &self.layers {
            Some(_) if own_layers => {
                let note = "CONFIG_TYPE, CONSUL_PATH and CONSUL_KEY have no effect: the \
                            configuration has layer blocks";
                self.notes.push(note.to_owned());
            }
            Some(OldLayers::Kv(_)) if config.store.is_none() => {
                config.consul.get_or_insert_with(Consul::default);
            }
            _ => {}
        }
        if !self.files.is_empty() && config.vault.is_none() && config.secrets.is_none() {
            let why = "KERBEROS_KEYTABS and KERBEROS_KEYSTORES: keytabs come from Vault; add a \
                       vault block, or secrets { files = \"DIR\" }";
            self.problems.push(why.to_owned());
        }
        for unit in config.units.iter_mut().filter(|unit| unit.command.is_some()) {
            self.furnish_unit(unit);
        }
        config.notes.append(&mut self.notes);
        let problem = |message| Problem { place: None, message };
        self.problems.into_iter().map(problem).collect()
    }

    fn furnish_unit(&mut self, unit: &mut UnitConfig) {
        if unit.wait_for.is_empty() {
            unit.wait_for.clone_from(&self.wait_for);
        }
        for fetch in &self.fetch {
            if !unit.fetch.iter().any(|own| own.name == fetch.name) {
                unit.fetch.push(fetch.clone());
            }
        }
        for (_, link) in &self.links {
            if !unit.links.contains(link) {
                unit.links.push(link.clone());
            }
        }
        if !self.files.is_empty() && unit.files.is_empty() {
            unit.files.push(FileConfig { name: "*".to_owned(), ..FileConfig::default() });
        }
        for file in &self.files {
            if !unit.files.iter().any(|own| own.name == file.name) {
                unit.files.push(file.clone());
            }
        }
        if let Some(format) = self.format.as_ref().filter(|_| unit.role == "namenode")
            && unit.prepare.is_none()
        {
            match format.of(unit) {
                Some(prepare) => unit.prepare = Some(prepare),
                None => self.problems.push(format!(
                    "ENSURE_NAMENODE_DIR: the command of unit {:?} has no word namenode to put \
                     -format behind; give the unit a prepare block",
                    unit.name
                )),
            }
        }
    }
}

impl Format {
    /// The unit's own command, with `-format` behind the word `namenode`: howdah's and Hadoop's
    /// programs take the same words.
    fn of(&self, unit: &UnitConfig) -> Option<Prepare> {
        let mut command = unit.command.clone()?;
        let verb = command.iter().skip(1).position(|word| word == "namenode")? + 1;
        let mut words = vec!["-format".to_owned(), "-nonInteractive".to_owned()];
        if let Some(id) = &self.cluster_id {
            words.extend(["-clusterId".to_owned(), id.clone()]);
        }
        command.splice(verb + 1..verb + 1, words);
        Some(Prepare {
            when_empty: self.folders.clone(),
            command,
            made: FORMATTED.iter().map(PathBuf::from).collect(),
            timeout: FORMAT_TIMEOUT,
        })
    }
}

/// `URL?checksum=sha256:HEX`, the form of Nomad's artifact.
fn component(name: &str, value: &str, folder: &str) -> Result<Fetch, String> {
    let name = name.to_lowercase();
    if !launch::is_component(&name) {
        return Err("the name is no folder's".to_owned());
    }
    let (address, query) = value.split_once('?').unwrap_or((value, ""));
    if launch::fetchable(address).is_none() {
        return Err("a URL that begins with http://, https:// or file:/// is accepted".to_owned());
    }
    let (given, rest): (Vec<&str>, Vec<&str>) =
        query.split('&').filter(|each| !each.is_empty()).partition(|each| is_checksum(each));
    let checksum = match given.as_slice() {
        [one] => one.split_once('=').and_then(|(_, text)| Checksum::parse(text)),
        _ => None,
    };
    let checksum = checksum.ok_or_else(|| {
        format!("a checksum is required; write {address}?checksum=sha256:HEX (of sha256sum)")
    })?;
    let url =
        if rest.is_empty() { address.to_owned() } else { format!("{address}?{}", rest.join("&")) };
    let unpack = launch::is_archive(address);
    Ok(Fetch {
        to: PathBuf::from(folder).join(&name),
        name,
        url,
        checksum,
        // The archives of Apache's projects have one folder with the version in its name.
        strip: u32::from(unpack),
        unpack,
        mode: 0o755,
        ca_file: None,
    })
}

fn is_checksum(part: &str) -> bool {
    part.starts_with("checksum=")
}

fn meaning(name: &str) -> Option<&'static Meaning> {
    let fits = |pattern: &str| match pattern.strip_suffix('*') {
        Some(begin) => name.starts_with(begin),
        None => name == pattern,
    };
    NAMES.iter().find(|(pattern, _)| fits(pattern)).map(|(_, meaning)| meaning)
}

fn environment() -> Layer {
    Layer { name: "env".to_owned(), source: LayerSource::Environment }
}

/// Those of a cluster, a role, a host, and the environment.
pub(super) fn standard_layers(prefix: &str, node: &str) -> Vec<Layer> {
    let kv = |name: &str, prefix: String| Layer {
        name: name.to_owned(),
        source: LayerSource::Kv(prefix),
    };
    vec![
        kv("cluster", prefix.to_owned()),
        kv("role", format!("{prefix}@${{unit.role}}/")),
        kv("host", format!("{prefix}@host/{node}/")),
        environment(),
    ]
}

#[cfg(test)]
mod tests;
