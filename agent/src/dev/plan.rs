//! Which units a dev cluster has, and what each is told before anybody configures anything.
//!
//! Pure apart from the host's name. Ports are Hadoop's, plus the offset; datanode `i` adds
//! `10 * i` to its own three.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};

use hdfs_edge::daemon::LogFormat;
use hdfs_edge::keys::Daemon;

use super::folder::Found;
use crate::actuators::generations::Generations;
use crate::actuators::process::Program;
use crate::core::Policy;
use crate::driver::Unit;
use crate::render::Properties;
use crate::sources::layers::Target;

/// The file that keeps a second agent away from the folder.
pub(super) const LOCK: &str = "dev.lock";

/// The namenode's place among the units.
pub(super) const NAMENODE: usize = 0;

/// Where the cluster's configuration stands in the store.
pub(super) const PREFIX: &str = "conf/hdfs/";

/// Datanodes when nothing says otherwise: enough for the default of three replicas.
const DATANODES: usize = 3;

/// Most datanodes on one host. More would not find ports (each needs ten from 9864 on).
const DATANODES_MAX: usize = 1000;

/// Replicas when there are datanodes enough: Hadoop's default.
const REPLICATION: usize = 3;

/// A log format as on the command line.
fn log_name(log: LogFormat) -> &'static str {
    match log {
        LogFormat::Text => "text",
        LogFormat::Json => "json",
    }
}

/// What the user asked for.
#[derive(Debug, Clone)]
pub struct Options {
    /// The folder that holds everything.
    pub data: PathBuf,
    /// Datanodes; `None` means as many as the folder has already, or three.
    pub datanodes: Option<usize>,
    /// Replicas of a file; `None` means three, or fewer where datanodes are fewer.
    pub replication: Option<usize>,
    /// Added to every port.
    pub port_offset: u16,
    /// The address everything listens on.
    pub bind: IpAddr,
    /// Log lines.
    pub log: LogFormat,
}

/// What a unit is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    Namenode,
    Datanode,
    /// No process: the configuration folder for clients.
    Client,
}

impl Role {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Namenode => "namenode",
            Self::Datanode => "datanode",
            Self::Client => "client",
        }
    }

    pub(super) fn daemon(self) -> Daemon {
        match self {
            Self::Namenode => Daemon::Namenode,
            Self::Datanode => Daemon::Datanode,
            Self::Client => Daemon::Client,
        }
    }

    /// The keys that say where the unit listens, the web address first.
    pub(super) fn listens(self) -> &'static [&'static str] {
        match self {
            Self::Namenode => &["dfs.namenode.http-address", "dfs.namenode.rpc-address"],
            Self::Datanode => {
                &["dfs.datanode.http.address", "dfs.datanode.address", "dfs.datanode.ipc.address"]
            }
            Self::Client => &[],
        }
    }
}

/// What makes the configuration of one unit.
#[derive(Debug)]
pub(super) struct Recipe {
    pub(super) name: String,
    pub(super) role: Role,
    pub(super) target: Target,
    pub(super) defaults: BTreeMap<String, Properties>,
}

/// The cluster: the namenode, the datanodes, and last the client's folder.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) root: PathBuf,
    pub(super) recipes: Vec<Recipe>,
    log: LogFormat,
}

impl Plan {
    /// # Errors
    /// Numbers that do not fit together, in words for the user.
    pub(super) fn new(options: &Options, found: &Found) -> Result<Self, String> {
        let root = std::path::absolute(&options.data)
            .map_err(|error| format!("{}: {error}", options.data.display()))?;
        if root.to_str().is_none_or(|path| path.contains(',')) {
            let path = root.display();
            return Err(format!("{path}: a data folder's path must be UTF-8 without commas"));
        }
        let datanodes = options.datanodes.unwrap_or(match found.datanodes() {
            0 => DATANODES,
            count => count,
        });
        if !(1..=DATANODES_MAX).contains(&datanodes) {
            return Err(format!("--datanodes {datanodes}: 1 to {DATANODES_MAX} are possible"));
        }
        let replication = options.replication.unwrap_or(REPLICATION.min(datanodes));
        if !(1..=512).contains(&replication) {
            return Err(format!("--replication {replication}: 1 to 512 are possible"));
        }
        let last = 9867 + u64::from(options.port_offset) + 10 * (datanodes as u64 - 1);
        if last > u64::from(u16::MAX) {
            let offset = options.port_offset;
            return Err(format!(
                "--port-offset {offset}: the last datanode would need port {last}, \
                 and ports end at 65535"
            ));
        }
        let draft = Draft { root: &root, options, replication };
        let mut recipes = vec![draft.namenode()];
        recipes.extend((0..datanodes).map(|index| draft.datanode(index)));
        recipes.push(draft.client());
        Ok(Self { root, recipes, log: options.log })
    }

    /// The units for the driver, in the order of the recipes. `launcher` is the howdah program.
    pub(super) fn units(&self, launcher: &Path) -> Vec<Unit> {
        self.recipes.iter().map(|recipe| self.unit(recipe, launcher)).collect()
    }

    fn unit(&self, recipe: &Recipe, launcher: &Path) -> Unit {
        let folder = self.root.join("run").join(&recipe.name);
        let (link, runs) = match recipe.role {
            Role::Client => (self.client_conf(), false),
            _ => (folder.join("conf"), true),
        };
        let words = [recipe.role.name(), "--log", log_name(self.log), "--conf"];
        let arguments =
            words.into_iter().map(OsString::from).chain([link.clone().into_os_string()]);
        let program = Program {
            path: launcher.to_owned(),
            arguments: arguments.collect(),
            ..Program::default()
        };
        // Datanodes stop before the namenode they report to.
        let stop_rank = u8::from(recipe.role == Role::Namenode);
        Unit {
            name: recipe.name.clone(),
            generations: Generations::new(&folder, link),
            program: runs.then_some(program),
            policy: Policy { stop_rank, ..Policy::default() },
        }
    }

    /// The configuration folder for clients.
    pub(super) fn client_conf(&self) -> PathBuf {
        self.root.join("client-conf")
    }
}

/// The name of the i-th datanode and of its data folder.
pub(super) fn datanode_name(index: usize) -> String {
    format!("datanode-{index}")
}

/// What the defaults are made of.
struct Draft<'a> {
    root: &'a Path,
    options: &'a Options,
    replication: usize,
}

impl Draft<'_> {
    fn port(&self, port: u16) -> u16 {
        port + self.options.port_offset
    }

    /// An address to listen on.
    fn listen(&self, port: u16) -> String {
        std::net::SocketAddr::new(self.options.bind, port).to_string()
    }

    /// An address others can reach: a host's name where it listens on all of its addresses.
    fn reach(&self, port: u16) -> String {
        if self.options.bind.is_unspecified() {
            return format!("{}:{port}", reachable_host());
        }
        self.listen(port)
    }

    fn recipe(&self, role: Role, name: String, site: Vec<(&str, String)>) -> Recipe {
        let hdfs = site.into_iter().chain([("dfs.replication", self.replication.to_string())]);
        let default_fs = format!("hdfs://{}", self.reach(self.port(8020)));
        let core = Properties::from([("fs.defaultFS".to_owned(), default_fs)]);
        Recipe {
            target: Target {
                role: role.name().to_owned(),
                // In dev each unit also counts as a host of its own name.
                hosts: vec![host_name(), name.clone()],
            },
            defaults: [
                ("core-site.xml".to_owned(), core),
                ("hdfs-site.xml".to_owned(), hdfs.map(|(k, v)| (k.to_owned(), v)).collect()),
            ]
            .into(),
            name,
            role,
        }
    }

    fn namenode(&self) -> Recipe {
        let site = vec![
            ("dfs.namenode.rpc-address", self.listen(self.port(8020))),
            ("dfs.namenode.http-address", self.listen(self.port(9870))),
            ("dfs.namenode.name.dir", self.root.join("namenode").display().to_string()),
            // Nobody waits for stragglers on one host.
            ("dfs.namenode.safemode.extension", "0".to_owned()),
        ];
        self.recipe(Role::Namenode, "namenode".to_owned(), site)
    }

    fn datanode(&self, index: usize) -> Recipe {
        // The plan has made sure that the sum fits.
        let port = |base: u16| self.listen(self.port(base) + 10 * index as u16);
        let name = datanode_name(index);
        let site = vec![
            ("dfs.datanode.address", port(9866)),
            ("dfs.datanode.ipc.address", port(9867)),
            ("dfs.datanode.http.address", port(9864)),
            ("dfs.datanode.data.dir", self.root.join(&name).display().to_string()),
        ];
        self.recipe(Role::Datanode, name, site)
    }

    fn client(&self) -> Recipe {
        let web = self.reach(self.port(9870));
        self.recipe(Role::Client, "client".to_owned(), vec![("dfs.namenode.http-address", web)])
    }
}

/// This host's name, for its `@host/NAME/` layer.
fn host_name() -> String {
    nix::unistd::gethostname()
        .ok()
        .and_then(|name| name.into_string().ok())
        .unwrap_or_else(|| "localhost".to_owned())
}

/// The host's name if it can be resolved, else the loopback address.
fn reachable_host() -> String {
    use std::net::ToSocketAddrs as _;
    let name = host_name();
    let resolves = (name.as_str(), 0).to_socket_addrs().is_ok_and(|mut all| all.next().is_some());
    if resolves { name } else { Ipv4Addr::LOCALHOST.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options() -> Options {
        Options {
            data: PathBuf::from("/data"),
            datanodes: None,
            replication: None,
            port_offset: 0,
            bind: IpAddr::V4(Ipv4Addr::LOCALHOST),
            log: LogFormat::Text,
        }
    }

    fn site<'a>(plan: &'a Plan, unit: usize, key: &str) -> &'a str {
        &plan.recipes[unit].defaults["hdfs-site.xml"][key]
    }

    #[test]
    fn hadoops_ports_and_the_offset() {
        let options = Options { port_offset: 100, datanodes: Some(2), ..options() };
        let plan = Plan::new(&options, &Found::default()).unwrap();
        let names: Vec<_> = plan.recipes.iter().map(|unit| unit.name.as_str()).collect();
        assert_eq!(names, ["namenode", "datanode-0", "datanode-1", "client"]);
        assert_eq!(
            plan.recipes[3].defaults["core-site.xml"]["fs.defaultFS"],
            "hdfs://127.0.0.1:8120"
        );
        assert_eq!(site(&plan, 0, "dfs.namenode.http-address"), "127.0.0.1:9970");
        assert_eq!(site(&plan, 2, "dfs.datanode.address"), "127.0.0.1:9976");
        assert_eq!(site(&plan, 2, "dfs.datanode.ipc.address"), "127.0.0.1:9977");
        assert_eq!(site(&plan, 2, "dfs.datanode.http.address"), "127.0.0.1:9974");
        assert_eq!(site(&plan, 1, "dfs.replication"), "2");
    }

    #[test]
    fn as_many_datanodes_as_there_were() {
        let found = Found::with(5);
        assert_eq!(Plan::new(&options(), &found).unwrap().recipes.len(), 7);
        assert_eq!(Plan::new(&options(), &Found::default()).unwrap().recipes.len(), 5);
    }

    #[test]
    fn numbers_that_do_not_fit() {
        for (options, word) in [
            (Options { datanodes: Some(0), ..options() }, "--datanodes 0"),
            (Options { replication: Some(0), ..options() }, "--replication 0"),
            (Options { port_offset: 60_000, ..options() }, "--port-offset 60000"),
            (Options { data: "/a,b".into(), ..options() }, "/a,b"),
        ] {
            let error = Plan::new(&options, &Found::default()).unwrap_err();
            assert!(error.contains(word), "{error}");
        }
    }
}
