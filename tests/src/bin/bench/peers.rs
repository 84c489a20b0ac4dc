//! Clusters of either implementation with the same configuration, and what they use.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use tempfile::TempDir;
use tests::hadoop::Hadoop;
use tests::judge::Judge;
use tests::ports::Offset;
use tests::{java, ours, process, wait};

/// Whose servers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Peer {
    Java,
    Ours,
}

impl Peer {
    /// Java goes first, so that what it leaves in the page cache helps us as little as it.
    pub(crate) const BOTH: [Self; 2] = [Self::Java, Self::Ours];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Java => "java",
            Self::Ours => "howdah",
        }
    }
}

enum Daemon {
    Java(java::Daemon),
    Ours(ours::Daemon),
}

impl Daemon {
    fn id(&self) -> i32 {
        match self {
            Self::Java(daemon) => daemon.id(),
            Self::Ours(daemon) => daemon.id(),
        }
    }
}

/// A running cluster: a namenode and some datanodes.
pub(crate) struct Servers {
    daemons: Vec<Daemon>,
    pub(crate) conf: PathBuf,
    pub(crate) offset: Offset,
    _folder: TempDir,
}

impl Servers {
    /// Starts a namenode with so many datanodes, and waits until they serve.
    pub(crate) fn start(hadoop: &Hadoop, peer: Peer, datanodes: u16) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let offset = Offset::take();
        let uri = format!("hdfs://127.0.0.1:{}", offset.port(8020));
        let mut common = java::namenode_properties(&offset, &folder.path().join("name"));
        for (key, value) in [
            ("dfs.namenode.fs-limits.min-block-size", "0"),
            ("dfs.namenode.resource.du.reserved", "0"),
            ("dfs.heartbeat.interval", "1"),
        ] {
            common.push((key.to_owned(), value.to_owned()));
        }
        let conf = folder.path().join("conf");
        java::write_conf(&conf, &uri, &common);
        let rpc = offset.port(8020);
        let mut daemons = vec![match peer {
            Peer::Java => {
                java::Daemon::format(hadoop, &conf, "bench");
                Daemon::Java(java::Daemon::namenode(hadoop, &conf, rpc))
            }
            Peer::Ours => {
                ours::Daemon::format(&conf);
                Daemon::Ours(ours::Daemon::start("namenode", &conf, rpc))
            }
        }];
        for index in 0..datanodes {
            let conf = folder.path().join(format!("conf-{index}"));
            let data = folder.path().join(format!("data-{index}"));
            let mut properties = common.clone();
            properties.extend(java::datanode_properties(&offset, index, &data));
            java::write_conf(&conf, &uri, &properties);
            let port = offset.port(9866) + 10 * index;
            daemons.push(match peer {
                Peer::Java => Daemon::Java(java::Daemon::datanode(hadoop, &conf, port)),
                Peer::Ours => Daemon::Ours(ours::Daemon::start("datanode", &conf, port)),
            });
        }
        let servers = Self { daemons, conf, offset, _folder: folder };
        servers.wait(hadoop, datanodes);
        servers
    }

    fn wait(&self, hadoop: &Hadoop, datanodes: u16) {
        let judge = Judge::start(hadoop, &self.conf);
        let wanted = format!("Live datanodes ({datanodes})");
        wait::until("the cluster", Duration::from_secs(120), || {
            let safe = judge.dfsadmin(&["-safemode", "get"]).out.contains("OFF");
            let live =
                datanodes == 0 || judge.dfsadmin(&["-report", "-live"]).out.contains(&wanted);
            (safe && live).then_some(())
        });
    }

    /// CPU time of the namenode.
    pub(crate) fn namenode_cpu(&self) -> Duration {
        process::cpu(self.daemons[0].id())
    }

    /// CPU time of the datanodes.
    pub(crate) fn datanode_cpu(&self) -> Duration {
        self.daemons[1..].iter().map(|daemon| process::cpu(daemon.id())).sum()
    }

    /// Share of memory (PSS) of the namenode and of the datanodes, in bytes.
    pub(crate) fn memory(&self) -> (u64, u64) {
        let pss = |daemon: &Daemon| process::memory(daemon.id()).1;
        (pss(&self.daemons[0]), self.daemons[1..].iter().map(pss).sum())
    }

    /// Keeps the namenode on one core, if that can be done.
    pub(crate) fn pin(&self, core: u32) {
        let id = self.daemons[0].id().to_string();
        let _ = Command::new("taskset").args(["-a", "-p", "-c", &core.to_string(), &id]).output();
    }

    /// The address of the namenode.
    pub(crate) fn uri(&self) -> String {
        format!("hdfs://127.0.0.1:{}", self.offset.port(8020))
    }
}

/// Java with Hadoop's class path, on one core if there is one to spare.
pub(crate) fn java_client(hadoop: &Hadoop, conf: &Path, core: Option<u32>) -> Command {
    let mut command = match core {
        Some(core) => {
            let mut command = Command::new("taskset");
            command.args(["-c", &core.to_string(), "java"]);
            command
        }
        None => Command::new("java"),
    };
    command.arg("-Xmx1g").arg("-cp").arg(hadoop.class_path(conf));
    command
}

/// Whether servers and clients can have a core each.
pub(crate) fn can_pin() -> bool {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    cores > 1 && Command::new("taskset").arg("-V").output().is_ok()
}
