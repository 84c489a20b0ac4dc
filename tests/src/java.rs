//! Java's NameNode and DataNode on folders and ports of our choice.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use nix::sys::signal::Signal;

use crate::hadoop::Hadoop;
use crate::ports::Offset;
use crate::process::{self, Guard};
use crate::wait;

/// How long a cold JVM may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(120);

/// The main classes.
const NAMENODE: &str = "org.apache.hadoop.hdfs.server.namenode.NameNode";
const DATANODE: &str = "org.apache.hadoop.hdfs.server.datanode.DataNode";
const SECONDARY: &str = "org.apache.hadoop.hdfs.server.namenode.SecondaryNameNode";

/// Properties in the order they are written.
pub type Properties = Vec<(String, String)>;

/// Writes a configuration folder.
///
/// # Panics
/// When the disk refuses.
pub fn write_conf(folder: &Path, default_fs: &str, hdfs: &[(String, String)]) {
    fs::create_dir_all(folder).expect("a conf folder");
    let core = [("fs.defaultFS".to_owned(), default_fs.to_owned())];
    for (name, properties) in [("core-site.xml", &core[..]), ("hdfs-site.xml", hdfs)] {
        let lines: String = properties
            .iter()
            .map(|(name, value)| {
                format!("<property><name>{name}</name><value>{value}</value></property>\n")
            })
            .collect();
        fs::write(folder.join(name), format!("<configuration>\n{lines}</configuration>\n"))
            .expect("a conf file");
    }
}

/// Settings of a NameNode at an offset.
pub fn namenode_properties(offset: &Offset, name_dir: &Path) -> Properties {
    [
        ("dfs.namenode.name.dir", name_dir.display().to_string()),
        ("dfs.namenode.rpc-address", format!("127.0.0.1:{}", offset.port(8020))),
        ("dfs.namenode.http-address", format!("127.0.0.1:{}", offset.port(9870))),
        ("dfs.namenode.safemode.extension", "0".to_owned()),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .into()
}

/// Settings of the i-th DataNode at an offset.
pub fn datanode_properties(offset: &Offset, index: u16, data_dir: &Path) -> Properties {
    let address = |port: u16| format!("127.0.0.1:{}", offset.port(port) + 10 * index);
    [
        ("dfs.datanode.data.dir", data_dir.display().to_string()),
        ("dfs.datanode.address", address(9866)),
        ("dfs.datanode.ipc.address", address(9867)),
        ("dfs.datanode.http.address", address(9864)),
        // Small test disks are not full because of what they reserve.
        ("dfs.datanode.du.reserved", "0".to_owned()),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .into()
}

/// A Java daemon.
#[derive(Debug)]
pub struct Daemon {
    guard: Guard,
    log: PathBuf,
}

impl Daemon {
    /// Formats a name folder.
    ///
    /// # Panics
    /// When the tool fails.
    pub fn format(hadoop: &Hadoop, conf: &Path, cluster: &str) {
        let output = command(hadoop, conf, "-Xmx256m", NAMENODE)
            .args(["-format", "-clusterId", cluster, "-force"])
            .output()
            .expect("java starts");
        let complaint = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "NameNode -format: {complaint}");
    }

    /// Starts a NameNode and waits until it answers and has left its start-up safe mode, which
    /// an empty or block-free namespace does at once; `wait_safe` says whether to wait for that.
    pub fn namenode(hadoop: &Hadoop, conf: &Path, rpc_port: u16) -> Self {
        let daemon = Self::spawn(hadoop, conf, NAMENODE, "namenode");
        daemon.wait_port(rpc_port)
    }

    /// Starts a DataNode and waits until its data port is open.
    pub fn datanode(hadoop: &Hadoop, conf: &Path, data_port: u16) -> Self {
        let daemon = Self::spawn(hadoop, conf, DATANODE, "datanode");
        daemon.wait_port(data_port)
    }

    fn spawn(hadoop: &Hadoop, conf: &Path, class: &str, name: &str) -> Self {
        let log = conf.join(format!("{name}.log"));
        let file = File::create(&log).expect("a log file");
        let child = command(hadoop, conf, "-Xmx1g", class)
            .stdin(Stdio::null())
            .stdout(file.try_clone().expect("a descriptor"))
            .stderr(file)
            .spawn()
            .expect("java starts");
        Self { guard: Guard::new(child), log }
    }

    fn wait_port(mut self, port: u16) -> Self {
        let what = format!("a Java daemon on port {port}");
        wait::until(&what, PATIENCE, || {
            if let Some(status) = self.guard.status() {
                panic!("the Java daemon ended with {status}:\n{}", process::tail(&self.log));
            }
            std::net::TcpStream::connect(("127.0.0.1", port)).ok()
        });
        self
    }

    /// The process id.
    pub fn id(&self) -> i32 {
        self.guard.id()
    }

    /// The last lines of its log.
    pub fn log(&self) -> String {
        process::tail(&self.log)
    }

    /// Asks it to stop, and waits.
    pub fn stop(mut self) {
        self.guard.signal(Signal::SIGTERM);
        let _ = self.guard.wait(Duration::from_secs(20));
    }
}

/// Runs a command of the SecondaryNameNode to its end; what it logged.
///
/// # Panics
/// When it fails.
pub fn secondary(hadoop: &Hadoop, conf: &Path, words: &[&str]) -> String {
    let output = command(hadoop, conf, "-Xmx256m", SECONDARY).args(words).output();
    let output = output.expect("java starts");
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said).into_owned();
    assert!(output.status.success(), "SecondaryNameNode {words:?}: {said}");
    said
}

fn command(hadoop: &Hadoop, conf: &Path, memory: &str, class: &str) -> Command {
    let mut command = Command::new("java");
    command.arg(memory).arg("-cp").arg(hadoop.class_path(conf)).arg(class);
    command
}
