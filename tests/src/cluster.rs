//! A `howdah dev` cluster in a temporary folder at a port offset of its own.
//!
//! Dropping it stops it; whatever still runs from its folder is killed by id.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use tempfile::TempDir;

use crate::ports::Offset;
use crate::process::{self, Guard};
use crate::{binary, wait};

/// How long a start may take on a busy machine with a debug build.
const PATIENCE: Duration = Duration::from_secs(60);

/// How a cluster is made.
#[derive(Debug, Clone)]
pub struct Options {
    /// Datanodes.
    pub datanodes: usize,
    /// Keys of `hdfs-site.xml`, put into the store before the start.
    pub settings: Vec<(&'static str, String)>,
    /// Environment variables.
    pub environment: Vec<(String, String)>,
    /// The folder, in place of a temporary one.
    pub data: Option<PathBuf>,
}

impl Default for Options {
    fn default() -> Self {
        Self { datanodes: 3, settings: Vec::new(), environment: Vec::new(), data: None }
    }
}

impl Options {
    /// With this many datanodes.
    pub fn datanodes(datanodes: usize) -> Self {
        Self { datanodes, ..Self::default() }
    }

    /// With a key set.
    #[must_use]
    pub fn set(mut self, key: &'static str, value: impl Into<String>) -> Self {
        self.settings.push((key, value.into()));
        self
    }
}

/// The cluster.
#[derive(Debug)]
pub struct Cluster {
    agent: Option<Guard>,
    offset: Offset,
    data: PathBuf,
    options: Options,
    /// From the start of the agent until `ready:`.
    pub ready_after: Duration,
    /// The line beginning with `ready:`.
    pub ready_line: String,
    _folder: Option<TempDir>,
}

impl Cluster {
    /// Starts a cluster and waits until it is ready.
    ///
    /// # Panics
    /// When it does not become ready.
    pub fn start(options: Options) -> Self {
        let mut cluster = Self::prepare(options);
        cluster.launch();
        cluster
    }

    /// Everything but the start.
    ///
    /// # Panics
    /// When the disk refuses.
    pub fn prepare(options: Options) -> Self {
        let folder = options.data.is_none().then(|| tempfile::tempdir().expect("a folder"));
        let data = match (&options.data, &folder) {
            (Some(data), _) => data.clone(),
            (None, Some(folder)) => folder.path().join("cluster"),
            (None, None) => unreachable!("one of the two is made above"),
        };
        let cluster = Self {
            agent: None,
            offset: Offset::take(),
            data,
            options,
            ready_after: Duration::ZERO,
            ready_line: String::new(),
            _folder: folder,
        };
        for (key, value) in &cluster.options.settings {
            cluster.set(&format!("conf/hdfs/hdfs-site.xml/{key}"), value);
        }
        cluster
    }

    /// Starts the agent on the folder, which may hold data, and waits for `ready:`.
    ///
    /// # Panics
    /// When it does not become ready.
    pub fn launch(&mut self) {
        // The program may have to be built first, which is not the start's time.
        let mut command = self.command();
        let start = Instant::now();
        let log = File::options().create(true).append(true).open(self.log_path());
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log.expect("a log file"))
            .spawn()
            .expect("howdah starts");
        let stdout = child.stdout.take().expect("piped");
        let (sender, lines) = mpsc::sync_channel(1000);
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                // A test that no longer listens has its answer already.
                let _ = sender.try_send(line);
            }
        });
        self.agent = Some(Guard::new(child));
        loop {
            let left = PATIENCE.saturating_sub(start.elapsed());
            match lines.recv_timeout(left) {
                Ok(line) if line.starts_with("ready:") => {
                    self.ready_line = line;
                    break;
                }
                Ok(_) => {}
                Err(problem) => {
                    panic!("no ready line ({problem}):\n{}", process::tail(&self.log_path()))
                }
            }
        }
        self.ready_after = start.elapsed();
    }

    /// The command of `howdah dev` on this folder.
    pub fn command(&self) -> Command {
        let mut command = Command::new(binary::howdah());
        command.arg("dev").arg("--data").arg(&self.data);
        command.arg("--datanodes").arg(self.options.datanodes.to_string());
        command.arg("--port-offset").arg(self.offset.value().to_string());
        command.envs(self.options.environment.iter().cloned());
        command
    }

    /// The data folder.
    pub fn data(&self) -> &Path {
        &self.data
    }

    /// The log of the agent and its daemons.
    pub fn log_path(&self) -> PathBuf {
        self.data.with_extension("log")
    }

    /// The folder that makes a Hadoop client reach this cluster.
    pub fn conf(&self) -> PathBuf {
        self.data.join("client-conf")
    }

    /// The port offset.
    pub fn offset(&self) -> &Offset {
        &self.offset
    }

    /// The `hdfs://` address.
    pub fn uri(&self) -> String {
        format!("hdfs://127.0.0.1:{}", self.offset.port(8020))
    }

    /// The name folder.
    pub fn name_folder(&self) -> PathBuf {
        self.data.join("namenode")
    }

    /// The i-th datanode's folder.
    pub fn data_folder(&self, index: usize) -> PathBuf {
        self.data.join(format!("datanode-{index}"))
    }

    /// Sets a key of the store, as an editor would.
    ///
    /// # Panics
    /// When the disk refuses.
    pub fn set(&self, key: &str, value: &str) {
        let path = self.data.join("kv").join(key);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        std::fs::write(path, value).expect("the store is writable");
    }

    /// The agent's process id.
    ///
    /// # Panics
    /// When it is not started.
    pub fn agent(&self) -> i32 {
        self.agent.as_ref().expect("started").id()
    }

    /// Every process of the howdah program that names this folder, with its arguments.
    pub fn processes(&self) -> Vec<(i32, Vec<String>)> {
        let mut found = process::with_argument(&self.data.display().to_string());
        found.retain(|(_, arguments)| arguments[0].ends_with("howdah"));
        found
    }

    /// The process ids of the daemons in a role (`namenode`, `datanode`).
    pub fn daemons(&self, role: &str) -> Vec<i32> {
        let found = self.processes().into_iter();
        let of_role = found.filter(|(_, arguments)| arguments.get(1).is_some_and(|v| v == role));
        of_role.map(|(id, _)| id).collect()
    }

    /// The process id of the namenode.
    pub fn namenode(&self) -> i32 {
        wait::until("the namenode's process", PATIENCE, || self.daemons("namenode").pop())
    }

    /// The process id of the i-th datanode.
    pub fn datanode(&self, index: usize) -> i32 {
        let conf = format!("/run/datanode-{index}/conf");
        wait::until("the datanode's process", PATIENCE, || {
            let mut of_index = self.processes().into_iter().filter(|(_, arguments)| {
                arguments.get(1).is_some_and(|verb| verb == "datanode")
                    && arguments.iter().any(|argument| argument.ends_with(&conf))
            });
            of_index.next().map(|(id, _)| id)
        })
    }

    /// Kills the agent at once, as a crash would.
    pub fn kill_agent(&mut self) {
        if let Some(mut agent) = self.agent.take() {
            agent.kill();
        }
    }

    /// Stops the cluster as `^C` does; how the agent ended.
    pub fn stop(&mut self) -> Option<ExitStatus> {
        let mut agent = self.agent.take()?;
        agent.signal(Signal::SIGINT);
        agent.wait(Duration::from_secs(30))
    }

    /// Waits until nothing runs from the folder any more.
    ///
    /// # Panics
    /// When something is left behind.
    pub fn assert_nothing_left(&self) {
        wait::until("the last process of the cluster to end", Duration::from_secs(10), || {
            self.processes().is_empty().then_some(())
        });
    }

    /// The last lines of the log.
    pub fn log(&self) -> String {
        process::tail(&self.log_path())
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the cluster's last words:\n{}", self.log());
        }
        if let Some(mut agent) = self.agent.take() {
            agent.signal(Signal::SIGTERM);
            let _ = agent.wait(Duration::from_secs(5));
        }
        for (id, _) in self.processes() {
            process::kill_hard(id);
        }
    }
}
