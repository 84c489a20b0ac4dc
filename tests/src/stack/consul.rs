//! One Consul server that is its own client agent, with fast elections, whose data stays over a
//! stop and a start.

use std::path::PathBuf;
use std::process::Command;

use nix::sys::signal::Signal;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::{PATIENCE, call, consul_program, spawn};
use crate::ports::Offset;
use crate::process::{Guard, tail};
use crate::wait;

/// The harness's ports, to which the offset is added.
const HTTP: u16 = 9870;
const DNS: u16 = 9866;
const SERVER: u16 = 8020;
const SERF: u16 = 9864;
const GRPC: u16 = 9867;

/// What differs from Consul's defaults.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// Whether it asks for tokens; `root` may do everything.
    pub acl: bool,
    /// Connections taken from one client address; Consul's own limit is 200.
    pub connections_max: u32,
}

impl Default for Options {
    fn default() -> Self {
        Self { acl: false, connections_max: 1_000 }
    }
}

/// The server.
#[derive(Debug)]
pub struct Consul {
    process: Option<Guard>,
    offset: Offset,
    folder: TempDir,
    options: Options,
}

impl Consul {
    /// Starts one, and waits until it has a leader.
    ///
    /// # Errors
    /// There is no program.
    pub fn start() -> Result<Self, String> {
        Self::start_with(Options::default())
    }

    /// One that asks for tokens; `root` may do everything.
    ///
    /// # Errors
    /// There is no program.
    pub fn start_with_acl() -> Result<Self, String> {
        Self::start_with(Options { acl: true, ..Options::default() })
    }

    /// One with options.
    ///
    /// # Errors
    /// There is no program.
    pub fn start_with(options: Options) -> Result<Self, String> {
        consul_program()?;
        let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
        let mut consul = Self { process: None, offset: Offset::take(), folder, options };
        consul.launch();
        Ok(consul)
    }

    /// Starts it again on its data.
    ///
    /// # Panics
    /// When it does not come up.
    pub fn launch(&mut self) {
        let config = self.folder.path().join("config.json");
        std::fs::write(&config, self.config().to_string()).expect("a config file");
        let mut command = Command::new(consul_program().expect("built before"));
        command.args(["agent", "-server", "-bootstrap-expect=1", "-ui"]);
        command.arg("-config-file").arg(&config).arg("-data-dir").arg(self.data());
        self.process = Some(spawn(&mut command, &self.log()));
        wait::until("a leader of Consul", PATIENCE, || {
            let status = self.process.as_mut().and_then(Guard::status);
            assert!(status.is_none(), "Consul ended: {}", tail(&self.log()));
            // A leader that cannot write yet answers reads.
            let put = self.call("PUT", "/v1/kv/harness/ready", Some(&json!("1")));
            put.ok().filter(|(status, _)| *status == 200)
        });
    }

    fn config(&self) -> Value {
        let offset = |port| self.offset.port(port);
        let mut config = json!({
            "bind_addr": "127.0.0.1",
            "client_addr": "127.0.0.1",
            "node_name": "harness",
            "log_level": "warn",
            "disable_update_check": true,
            "leave_on_terminate": false,
            "ports": {
                "http": offset(HTTP), "dns": offset(DNS), "server": offset(SERVER),
                "serf_lan": offset(SERF), "serf_wan": -1, "grpc": -1, "grpc_tls": offset(GRPC),
            },
            "performance": {"raft_multiplier": 1},
            "dns_config": {"allow_stale": false},
            "limits": {"http_max_conns_per_client": self.options.connections_max},
        });
        if self.options.acl {
            config["acl"] = json!({
                "enabled": true, "default_policy": "deny",
                "tokens": {"initial_management": "root", "agent": "root"},
            });
        }
        config
    }

    /// Stops it, or kills it; its data stays.
    pub fn stop(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.signal(Signal::SIGINT);
            process.wait(PATIENCE);
        }
    }

    /// Stops it, throws its data away, and starts it: another history, from a low index.
    ///
    /// # Panics
    /// When the disk refuses.
    pub fn start_over(&mut self) {
        self.stop();
        std::fs::remove_dir_all(self.data()).expect("the data folder goes");
        self.launch();
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// Where it logs.
    pub fn log(&self) -> PathBuf {
        self.folder.path().join("consul.log")
    }

    /// `HOST:PORT` of its HTTP API.
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.offset.port(HTTP))
    }

    /// `HOST:PORT` of its DNS, over UDP and TCP.
    pub fn dns(&self) -> String {
        format!("127.0.0.1:{}", self.offset.port(DNS))
    }

    /// Its process, if it runs.
    pub fn process(&self) -> Option<i32> {
        self.process.as_ref().map(Guard::id)
    }

    /// A call of its API as root.
    ///
    /// # Errors
    /// Nobody answers.
    pub fn call(
        &self,
        method: &str,
        path: &str,
        body: Option<&Value>,
    ) -> std::io::Result<(u16, Value)> {
        call(&self.address(), method, path, &[("X-Consul-Token", "root")], body)
    }

    /// A call that must succeed; what it answers.
    ///
    /// # Panics
    /// When it does not.
    pub fn must(&self, method: &str, path: &str, body: Option<&Value>) -> Value {
        let (status, value) = self.call(method, path, body).expect("Consul answers");
        assert!(status < 300, "{method} {path}: {status} {value}");
        value
    }

    /// Writes a key.
    ///
    /// # Panics
    /// When Consul refuses.
    pub fn put(&self, key: &str, value: &str) {
        self.must("PUT", &format!("/v1/kv/{key}"), Some(&json!(value)));
    }
}
