//! The agent's own configuration: what it reads, which units it runs, and how.
//!
//! HCL2 or JSON, one file or a folder of them in name order, all as if they were one file. `tree`
//! makes values of text, `fields` reads typed fields and complains about the rest, `read` knows the
//! blocks. Unknown and doubled names, wrong types and bad times are errors with file and line.
//! Nothing here connects to anything.

mod doubled;
pub mod fields;
mod flokkr;
mod launch;
mod read;
pub mod tree;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

pub use launch::{Awaited, Checksum, Fetch, Prepare, WaitFor};
pub use tree::{Place, Problem, Scope, expand};

use crate::render::Format;

/// Most files of a configuration folder.
const FILES_MAX: usize = 256;

/// The whole configuration.
#[derive(Debug, Clone, PartialEq)]
pub struct AgentConfig {
    /// The cluster's name.
    pub cluster: String,
    /// Where the agent keeps generations, leases and its history.
    pub state_dir: PathBuf,
    /// A folder that stands in for Consul KV, as in `dev`.
    pub store: Option<PathBuf>,
    /// A folder that stands in for Vault: one file per path, `{"field": "value"}` or plain text.
    pub secrets: Option<PathBuf>,
    /// Consul; `None` when the file has no such block.
    pub consul: Option<Consul>,
    /// Vault; `None` when the file has no such block.
    pub vault: Option<Vault>,
    /// Where values come from, lowest precedence first.
    pub layers: Vec<Layer>,
    /// What runs.
    pub units: Vec<UnitConfig>,
    /// Where metrics and status are served.
    pub listen: SocketAddr,
    /// Where the command line talks to the agent.
    pub socket: PathBuf,
    /// Whether log lines are JSON.
    pub log_json: bool,
    /// A key whose value names the author of a change, for the history.
    pub author_key: Option<String>,
    /// How old a last good generation may be when a host boots without its sources.
    pub last_good_max_age: Duration,
    /// What an operator should know about this configuration, one line each.
    pub notes: Vec<String>,
}

/// How Consul is reached.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Consul {
    /// `host:port` or an `http(s)://` URL; else `CONSUL_HTTP_ADDR`, else `127.0.0.1:8500`.
    pub address: Option<String>,
    /// A file with the token, read again when it changes.
    pub token_file: Option<PathBuf>,
    /// Certificate authority for TLS.
    pub ca_file: Option<PathBuf>,
    /// Client certificate.
    pub cert_file: Option<PathBuf>,
    /// Its key.
    pub key_file: Option<PathBuf>,
    /// Whether any server may answer, with its age shown in the status.
    pub stale: bool,
    /// The datacenter, if not the agent's own.
    pub datacenter: Option<String>,
}

/// How Vault is reached.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Vault {
    /// A URL; else `VAULT_ADDR`.
    pub address: Option<String>,
    /// How to log in.
    pub auth: VaultAuth,
    /// Sent as `X-Vault-Namespace`.
    pub namespace: Option<String>,
    /// How often static secrets are looked at.
    pub static_refresh: Option<Duration>,
    /// Certificate authority for TLS.
    pub ca_file: Option<PathBuf>,
    /// Client certificate.
    pub cert_file: Option<PathBuf>,
    /// Its key.
    pub key_file: Option<PathBuf>,
}

/// A way to log in at Vault.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum VaultAuth {
    /// The token of the environment.
    #[default]
    Environment,
    /// A token in a file.
    TokenFile(PathBuf),
    /// AppRole; the secret id may be wrapped.
    AppRole {
        /// The mount.
        path: String,
        /// The role id.
        role_id: String,
        /// The file with the secret id.
        secret_id_file: PathBuf,
        /// Whether that file holds a wrapping token.
        wrapped: bool,
    },
    /// A JSON web token in a file, such as a Nomad workload identity.
    Jwt {
        /// The mount.
        path: String,
        /// The role.
        role: String,
        /// The file with the token.
        token_file: PathBuf,
    },
}

/// One layer of values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layer {
    /// Its name in messages.
    pub name: String,
    /// Where it is.
    pub source: LayerSource,
}

/// Where a layer's values are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LayerSource {
    /// Below a prefix of the KV store; may hold `${unit.name}` and `${unit.role}`.
    Kv(String),
    /// A folder, one file a key.
    Files(PathBuf),
    /// Environment variables of the form `FILE.EXT_key`.
    Environment,
}

/// What to do when a key that a template needs is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnMissing {
    /// The new configuration is refused.
    Fail,
    /// The old one is kept, which is told but no error.
    Keep,
}

/// What to do about files that somebody changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Drift {
    /// Tell.
    Report,
    /// Tell, and write them again.
    Repair,
}

/// A unit: files, and the program that reads them.
#[derive(Debug, Clone, PartialEq)]
pub struct UnitConfig {
    /// Its name.
    pub name: String,
    /// Its role: which layers apply, and which daemon's keys count. The name unless set.
    pub role: String,
    /// The program and its arguments; `None` for a folder that others read.
    pub command: Option<Vec<String>>,
    /// Environment variables added for the program.
    pub env: BTreeMap<String, String>,
    /// Who it runs as.
    pub user: Option<String>,
    /// How it is stopped.
    pub stop: Stop,
    /// How it is started again.
    pub restart: Restart,
    /// How it is known to be ready.
    pub ready: Option<Ready>,
    /// What is downloaded first.
    pub fetch: Vec<Fetch>,
    /// What must be there first.
    pub wait_for: Vec<WaitFor>,
    /// What is run once before the first start.
    pub prepare: Option<Prepare>,
    /// `host:port` and path of a page for Prometheus that the agent's own page passes on.
    pub metrics: Option<String>,
    /// Where links to the unit's folder of files are put.
    pub links: Vec<PathBuf>,
    /// How long its inputs must be quiet.
    pub quiesce: Quiesce,
    /// What to do when a key is missing.
    pub on_missing: OnMissing,
    /// What to do about drift.
    pub drift: Drift,
    /// Generations kept.
    pub keep: usize,
    /// Its files; with none, every file the layers name.
    pub files: Vec<FileConfig>,
    /// Whether Hadoop's files are checked against the key table.
    pub schema: bool,
    /// A command that checks the staged files.
    pub validate: Option<Validate>,
    /// What a change asks for, before the key table's own opinion.
    pub change: ChangeRules,
    /// How the daemon is told to read again.
    pub reload: Option<Reload>,
    /// How a change goes over the hosts; for the rollout of a cluster.
    pub rollout: Option<Rollout>,
    /// What is registered in Consul.
    pub services: Vec<ServiceConfig>,
}

/// How a unit is stopped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stop {
    /// The polite signal.
    pub signal: nix::sys::signal::Signal,
    /// Until the hard one.
    pub timeout: Duration,
}

/// How a unit is started again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Restart {
    /// First pause.
    pub backoff: Duration,
    /// How much longer each following pause is; twice as long unless set.
    pub step: Option<Duration>,
    /// Longest pause.
    pub cap: Duration,
    /// A run this long counts as well.
    pub reset_after: Duration,
    /// Failures in a row before the agent gives up.
    pub max_failures: u32,
}

/// How a unit is known to be ready.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ready {
    /// `host:port` and path of a page that answers 200.
    pub http: String,
    /// How long a new configuration may take to get there.
    pub timeout: Duration,
}

/// How long inputs must be quiet before they count.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quiesce {
    /// Since the last change.
    pub min: Duration,
    /// Since the first change, whatever follows.
    pub max: Duration,
    /// A key whose change ends the wait.
    pub commit: Option<String>,
}

/// A file of a unit.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct FileConfig {
    /// Its name below the unit's folder.
    pub name: String,
    /// How properties are written; by the extension unless set.
    pub format: Option<Format>,
    /// A template in place of the format.
    pub template: Option<TemplateSource>,
    /// Whether nobody may see what is inside.
    pub secret: bool,
    /// Mode bits; 0600 for secrets, else 0644.
    pub mode: Option<u32>,
    /// Owner.
    pub user: Option<String>,
    /// Group.
    pub group: Option<String>,
}

/// Where a template's text is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TemplateSource {
    /// `kv:KEY`.
    Kv(String),
    /// `file:PATH`.
    File(PathBuf),
    /// The text itself.
    Inline(String),
}

/// A command that checks staged files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Validate {
    /// The command; `${staged_dir}` is the folder to look at.
    pub command: Vec<String>,
    /// Until it is killed, which counts as a refusal.
    pub timeout: Duration,
}

/// Patterns of properties (`dfs.client.*`) or files, by what a change of them asks for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ChangeRules {
    /// Nothing.
    pub noop: Vec<String>,
    /// The daemon reads again.
    pub reload: Vec<String>,
    /// The daemon is restarted.
    pub restart: Vec<String>,
}

/// How a daemon is told to read its files again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reload {
    /// A POST to a URL.
    Http(String),
    /// A signal.
    Signal(nix::sys::signal::Signal),
}

/// How a change goes over the hosts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rollout {
    /// The semaphore's prefix.
    pub lock: String,
    /// How many hosts at once: `2` or `10%`.
    pub max_parallel: String,
    /// Hosts that go first.
    pub canary: u64,
    /// How long those are watched.
    pub soak: Duration,
    /// What must hold before each step.
    pub gates: Vec<String>,
    /// Whether a failure puts the old generation back, or only stops.
    pub rollback: bool,
    /// When changes are let through.
    pub window: Option<String>,
}

/// A service in Consul.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceConfig {
    /// Its name.
    pub name: String,
    /// Its port.
    pub port: u16,
    /// Its address, if not the node's.
    pub address: Option<String>,
    /// Tags.
    pub tags: Vec<String>,
    /// Metadata.
    pub meta: BTreeMap<String, String>,
    /// Checks by name.
    pub checks: Vec<Check>,
    /// A service critical for this long is removed by Consul.
    pub deregister_critical_after: Option<Duration>,
    /// Whether it is in maintenance around restarts.
    pub maintenance_on_restart: bool,
}

/// A check of a service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Check {
    /// Its name.
    pub name: String,
    /// What is done.
    pub kind: CheckKind,
    /// How often; for `ttl`, how long without word.
    pub interval: Duration,
    /// Until it counts as failed.
    pub timeout: Option<Duration>,
}

/// What a check does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CheckKind {
    /// Consul asks for a page.
    Http(String),
    /// Consul connects.
    Tcp(String),
    /// The agent tells.
    Ttl,
}

/// What a load found: the configuration, unless problems are there.
pub type Loaded = Result<AgentConfig, Vec<Problem>>;

/// Loads files and folders in the order given, as if they were one file.
///
/// # Errors
/// Everything that is wrong, each with file and line.
pub fn load(paths: &[PathBuf], scope: &Scope) -> Loaded {
    let mut items = Vec::new();
    let mut problems = Vec::new();
    for file in files_of(paths).map_err(|problem| vec![problem])? {
        let text = match std::fs::read_to_string(&file) {
            Ok(text) => text,
            Err(error) => {
                let message = format!("cannot read {}: {error}", file.display());
                problems.push(Problem { place: None, message });
                continue;
            }
        };
        match tree::parse(&file.display().to_string(), &text, scope) {
            Ok(more) => items.extend(more),
            Err(problem) => problems.push(problem),
        }
    }
    if !problems.is_empty() {
        return Err(problems);
    }
    read::agent(items, scope)
}

/// The configuration of one text, as [`load`] reads a file of that name.
///
/// # Errors
/// Everything that is wrong, each with file and line.
pub fn load_text(file: &str, text: &str, scope: &Scope) -> Loaded {
    let items = tree::parse(file, text, scope).map_err(|problem| vec![problem])?;
    read::agent(items, scope)
}

fn files_of(paths: &[PathBuf]) -> Result<Vec<PathBuf>, Problem> {
    let mut files = Vec::new();
    for path in paths {
        if !path.is_dir() {
            files.push(path.clone());
            continue;
        }
        let failed = |error: std::io::Error| Problem {
            place: None,
            message: format!("cannot read {}: {error}", path.display()),
        };
        let mut inside = Vec::new();
        for entry in std::fs::read_dir(path).map_err(failed)? {
            let file = entry.map_err(failed)?.path();
            if file.extension().is_some_and(|kind| kind == "hcl" || kind == "json") {
                inside.push(file);
            }
        }
        inside.sort();
        files.extend(inside);
    }
    if files.is_empty() || files.len() > FILES_MAX {
        let message = match files.len() {
            0 => "no configuration: pass --config FILE or DIR with .hcl or .json files".to_owned(),
            _ => format!("more than {FILES_MAX} files; is this the right folder?"),
        };
        return Err(Problem { place: None, message });
    }
    Ok(files)
}

impl Scope {
    /// This process's environment, this host's name (`HOWDAH_NODE`, else the system's) and its
    /// metadata (`HOWDAH_META_rack`, else Nomad's `NOMAD_META_rack`).
    pub fn of_process() -> Self {
        let env: BTreeMap<String, String> = crate::sources::environment::variables().collect();
        let host = || {
            let name = nix::unistd::gethostname().ok();
            name.and_then(|name| name.into_string().ok()).unwrap_or_else(|| "localhost".to_owned())
        };
        let node = env.get("HOWDAH_NODE").cloned().unwrap_or_else(host);
        let named = |prefix: &'static str| {
            let all = env.iter();
            all.filter_map(move |(name, value)| Some((name.strip_prefix(prefix)?, value)))
        };
        // Nomad hands its own on in capitals and small letters.
        let meta = named("NOMAD_META_").chain(named("HOWDAH_META_"));
        let meta = meta.map(|(name, value)| (name.to_owned(), value.clone())).collect();
        Self { env, node, meta }
    }
}

impl AgentConfig {
    /// The key that freezes all agents of the cluster while it is there: `@freeze` below the first
    /// layer that they share, so that it is read in one snapshot with what it holds back.
    pub fn freeze_key(&self) -> String {
        let shared = self.layers.iter().find_map(|layer| match &layer.source {
            LayerSource::Kv(prefix) if !prefix.contains("${") => Some(prefix),
            _ => None,
        });
        match shared {
            Some(prefix) => format!("{prefix}@freeze"),
            None => format!("agent/{}/freeze", self.cluster),
        }
    }
}

impl UnitConfig {
    /// The unit's folder below the state folder.
    pub fn folder(&self, state_dir: &Path) -> PathBuf {
        state_dir.join("units").join(&self.name)
    }

    /// The link that shows the generation in force.
    pub fn conf_dir(&self, state_dir: &Path) -> PathBuf {
        self.folder(state_dir).join("conf")
    }
}

#[cfg(test)]
mod tests;
