//! Which units a dev cluster has, and what each is told before anybody configures anything.
//!
//! Pure apart from the host's name. Ports are Hadoop's, plus the offset; datanode `i` adds
//! `10 * i` to its own three.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};

use hdfs_edge::keys::Daemon;

use super::folder::Found;
use crate::actuators::generations::Generations;
use crate::core::Policy;
use crate::render::Properties;
use crate::sources::layers::Target;

/// The file that keeps a second agent away from the folder.
pub(super) const LOCK: &str = "dev.lock";

/// Where the cluster's configuration stands in the store.
pub(super) const PREFIX: &str = "conf/hdfs/";

/// Datanodes when nothing says otherwise: enough for the default of three replicas.
const DATANODES: usize = 3;

/// Most datanodes on one host. More would not find ports (each needs ten from 9864 on).
const DATANODES_MAX: usize = 1000;

/// Replicas when there are datanodes enough: Hadoop's default.
const REPLICATION: usize = 3;

/// How the daemons write their log lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

impl LogFormat {
    /// As on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Json => "json",
        }
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

/// One unit.
#[derive(Debug)]
pub(super) struct Unit {
    pub(super) name: String,
    pub(super) role: Role,
    pub(super) target: Target,
    pub(super) defaults: BTreeMap<String, Properties>,
    pub(super) generations: Generations,
}

impl Unit {
    /// The arguments of the howdah program that run this unit.
    pub(super) fn arguments(&self, log: LogFormat) -> Vec<OsString> {
        let conf = self.generations.link().as_os_str();
        let words = [self.role.name(), "--log", log.name(), "--conf"];
        words.into_iter().map(OsString::from).chain([conf.to_owned()]).collect()
    }

    /// How the core treats it. Datanodes stop before the namenode they report to.
    pub(super) fn policy(&self) -> Policy {
        let stop_rank = u8::from(self.role == Role::Namenode);
        Policy { stop_rank, ..Policy::default() }
    }
}

/// The cluster. Units with a process come first, the client's folder last.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) root: PathBuf,
    pub(super) units: Vec<Unit>,
    pub(super) log: LogFormat,
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
        let datanodes = options.datanodes.unwrap_or(match found.datanodes.len() {
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
        let mut units = vec![draft.namenode()];
        units.extend((0..datanodes).map(|index| draft.datanode(index)));
        units.push(draft.client());
        Ok(Self { root, units, log: options.log })
    }

    /// Units that run as a process.
    pub(super) fn running(&self) -> &[Unit] {
        &self.units[..self.client()]
    }

    pub(super) fn client(&self) -> usize {
        self.units.len() - 1
    }

    pub(super) fn namenode(&self) -> &Unit {
        &self.units[self.namenode_id()]
    }

    pub(super) fn namenode_id(&self) -> usize {
        0
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

    fn unit(&self, role: Role, name: String, site: Vec<(&str, String)>) -> Unit {
        let folder = self.root.join("run").join(&name);
        let link = match role {
            Role::Client => self.root.join("client-conf"),
            _ => folder.join("conf"),
        };
        let hdfs = site.into_iter().chain([("dfs.replication", self.replication.to_string())]);
        let default_fs = format!("hdfs://{}", self.reach(self.port(8020)));
        let core = Properties::from([("fs.defaultFS".to_owned(), default_fs)]);
        Unit {
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
            generations: Generations::new(&folder, link),
            name,
            role,
        }
    }

    fn namenode(&self) -> Unit {
        let site = vec![
            ("dfs.namenode.rpc-address", self.listen(self.port(8020))),
            ("dfs.namenode.http-address", self.listen(self.port(9870))),
            ("dfs.namenode.name.dir", self.root.join("namenode").display().to_string()),
            // Nobody waits for stragglers on one host.
            ("dfs.namenode.safemode.extension", "0".to_owned()),
        ];
        self.unit(Role::Namenode, "namenode".to_owned(), site)
    }

    fn datanode(&self, index: usize) -> Unit {
        // The plan has made sure that the sum fits.
        let port = |base: u16| self.listen(self.port(base) + 10 * index as u16);
        let name = datanode_name(index);
        let site = vec![
            ("dfs.datanode.address", port(9866)),
            ("dfs.datanode.ipc.address", port(9867)),
            ("dfs.datanode.http.address", port(9864)),
            ("dfs.datanode.data.dir", self.root.join(&name).display().to_string()),
        ];
        self.unit(Role::Datanode, name, site)
    }

    fn client(&self) -> Unit {
        let web = self.reach(self.port(9870));
        self.unit(Role::Client, "client".to_owned(), vec![("dfs.namenode.http-address", web)])
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
        &plan.units[unit].defaults["hdfs-site.xml"][key]
    }

    #[test]
    fn hadoops_ports_and_the_offset() {
        let options = Options { port_offset: 100, datanodes: Some(2), ..options() };
        let plan = Plan::new(&options, &Found::default()).unwrap();
        let names: Vec<_> = plan.units.iter().map(|unit| unit.name.as_str()).collect();
        assert_eq!(names, ["namenode", "datanode-0", "datanode-1", "client"]);
        assert_eq!(plan.units[3].defaults["core-site.xml"]["fs.defaultFS"], "hdfs://127.0.0.1:8120");
        assert_eq!(site(&plan, 0, "dfs.namenode.http-address"), "127.0.0.1:9970");
        assert_eq!(site(&plan, 2, "dfs.datanode.address"), "127.0.0.1:9976");
        assert_eq!(site(&plan, 2, "dfs.datanode.ipc.address"), "127.0.0.1:9977");
        assert_eq!(site(&plan, 2, "dfs.datanode.http.address"), "127.0.0.1:9974");
        assert_eq!(site(&plan, 1, "dfs.replication"), "2");
    }

    #[test]
    fn as_many_datanodes_as_there_were() {
        let found = Found { datanodes: vec![0, 1, 2, 3, 4], ..Found::default() };
        assert_eq!(Plan::new(&options(), &found).unwrap().running().len(), 6);
        assert_eq!(Plan::new(&options(), &Found::default()).unwrap().running().len(), 4);
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
