//! One host of these tests: an agent of our own binary between a real Consul and a real Vault,
//! with one unit that is a small script.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use nix::sys::signal::Signal;
use serde_json::{Value, json};
use tests::ports::Offset;
use tests::process::{Guard, tail};
use tests::stack::{Consul, Storage, Vault, call, call_text};
use tests::{binary, wait};

use super::PATIENCE;

/// Notes its process id and the reloads it is told of.
const PROGRAM: &str = "echo $$ >> $1/starts\ntrap 'echo hup >> $1/reloads' HUP\n\
                       trap 'exit 0' TERM\nwhile true; do sleep 1000 & wait $!; done\n";

/// The harness's port of the agent's telemetry, to which the offset is added.
const TELEMETRY: u16 = 9180;

/// The host and its servers.
pub(super) struct Host {
    pub(super) consul: Consul,
    pub(super) vault: Vault,
    root: tempfile::TempDir,
    offset: Offset,
    agent: Option<Guard>,
    /// Variables of the agent's own environment.
    pub(super) env: BTreeMap<String, String>,
}

impl Host {
    /// Servers and an empty folder; a test without the programs fails.
    pub(super) fn new(acl: bool) -> Self {
        let consul = if acl { Consul::start_with_acl() } else { Consul::start() };
        let consul = consul.expect("a Consul");
        let vault = Vault::start(Storage::Files).expect("a Vault");
        vault.furnish();
        let root = tempfile::tempdir().expect("a folder");
        let (offset, env) = (Offset::take(), BTreeMap::new());
        let host = Self { consul, vault, root, offset, agent: None, env };
        host.write("app.sh", PROGRAM);
        host.write("consul-token", "root");
        host
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    pub(super) fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).expect("the folder is writable");
    }

    /// Writes the agent's configuration: an `auth` object in HCL, and the rest of the unit.
    pub(super) fn configure(&self, vault: &str, auth: &str, unit: &str) {
        let (root, consul) = (self.root.path().display(), self.consul.address());
        let auth = if auth.is_empty() { String::new() } else { format!("auth = {{ {auth} }}") };
        let text = format!(
            "state_dir = \"{root}/state\"\n\
             telemetry {{ listen = \"{}\" }}\n\
             consul {{\n address = \"{consul}\"\n token_file = \"{root}/consul-token\"\n}}\n\
             vault {{\n address = \"http://{vault}\"\n static_refresh = \"500ms\"\n {auth}\n}}\n\
             layer \"a\" {{ kv = \"conf/app/\" }}\n\
             unit \"app\" {{\n\
               command = [\"/bin/sh\", \"{root}/app.sh\", \"{root}\"]\n\
               quiesce = {{ min = \"20ms\", max = \"1s\" }}\n\
               restart = {{ backoff = \"20ms\", cap = \"50ms\", max_failures = 5 }}\n\
               reload = {{ signal = \"SIGHUP\" }}\n\
               keep = 50\n\
               {unit}\n}}\n",
            self.telemetry(),
        );
        self.write("agent.hcl", &text);
    }

    fn telemetry(&self) -> String {
        format!("127.0.0.1:{}", self.offset.port(TELEMETRY))
    }

    pub(super) fn start(&mut self) {
        let log = File::options().append(true).create(true).open(self.path("log"));
        let log = log.expect("a log file");
        let mut command = Command::new("/bin/sh");
        // Core files would be written, were the agent one to leave any.
        command.args(["-c", "ulimit -c unlimited; exec \"$0\" agent --config agent.hcl"]);
        command.arg(binary::howdah()).current_dir(self.root.path()).envs(&self.env);
        command.stdin(Stdio::null()).stdout(log.try_clone().expect("a handle")).stderr(log);
        self.agent = Some(Guard::new(command.spawn().expect("the agent starts")));
    }

    pub(super) fn agent(&mut self) -> &mut Guard {
        self.agent.as_mut().expect("the agent was started")
    }

    /// Stops it as an operator does.
    pub(super) fn stop(&mut self) {
        let mut agent = self.agent.take().expect("the agent was started");
        agent.signal(Signal::SIGTERM);
        let status = agent.wait(PATIENCE).expect("the agent stops");
        assert!(status.success(), "{status}: {}", self.log());
    }

    pub(super) fn kill(&mut self) {
        self.agent.take().expect("the agent was started").kill();
    }

    pub(super) fn log(&self) -> String {
        tail(&self.path("log"))
    }

    pub(super) fn verb(&self, words: &[&str]) -> Output {
        let mut command = Command::new(binary::howdah());
        command.args(words).arg("--config").arg(self.path("agent.hcl")).envs(&self.env);
        command.output().expect("howdah runs")
    }

    /// The text of a file in force.
    pub(super) fn rendered(&self, name: &str) -> Option<String> {
        fs::read_to_string(self.path("state/units/app/conf").join(name)).ok()
    }

    pub(super) fn until_rendered(&self, name: &str, text: &str, limit: std::time::Duration) {
        wait::until(&format!("{name} is {text:?}; {}", self.log()), limit, || {
            self.rendered(name).filter(|found| found == text)
        });
    }

    pub(super) fn lines(&self, name: &str) -> Vec<String> {
        let text = fs::read_to_string(self.path(name)).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }

    /// The unit's process, once it runs with a configuration that did it good.
    pub(super) fn running(&self) -> i64 {
        wait::until("a running unit", PATIENCE, || {
            let unit = &self.status()["units"][0];
            let good = fs::read_to_string(self.path("state/units/app/good")).ok()?;
            let good: u64 = good.trim().parse().ok()?;
            (unit["generation"] == good).then_some(unit["pid"].as_i64()?)
        })
    }

    pub(super) fn status(&self) -> Value {
        let answer = call(&self.telemetry(), "GET", "/v1/status", &[], None);
        answer.map_or(Value::Null, |(_, value)| value)
    }

    pub(super) fn metrics(&self) -> String {
        let text = call_text(&self.telemetry(), "GET", "/metrics", &[], None);
        text.expect("metrics").1
    }

    /// What the status says of Vault, once it complains.
    pub(super) fn until_complaint(&self, about: &str) -> String {
        let complaint = || self.status()["sources"]["vault"].as_str().map(str::to_owned);
        wait::until(&format!("a complaint about {about}"), PATIENCE, || {
            complaint().filter(|text| text.contains(about))
        })
    }

    /// Writes one field of a secret of the KV engine.
    pub(super) fn put_secret(&self, path: &str, field: &str, value: &str) {
        let body = json!({"data": {field: value}});
        // Just after an unseal the engine is not there yet.
        wait::until("a written secret", PATIENCE, || {
            let answer = self.vault.call("POST", &format!("/v1/secret/data/{path}"), Some(&body));
            answer.ok().filter(|(status, _)| *status == 200)
        });
    }

    /// Makes a role of `AppRole` with a secret id of our choice in the file `secret-id`; the
    /// `auth` object for it.
    pub(super) fn approle(&self, secret_id: &str) -> String {
        let vault = &self.vault;
        vault.must("POST", "/v1/sys/auth/approle", Some(&json!({"type": "approle"})));
        let role = json!({"token_policies": ["howdah"], "token_ttl": "1h"});
        vault.must("POST", "/v1/auth/approle/role/hdfs", Some(&role));
        let id = vault.must("GET", "/v1/auth/approle/role/hdfs/role-id", None);
        self.new_secret_id(secret_id);
        let role_id = id["data"]["role_id"].as_str().expect("a role id");
        format!(
            "method = \"approle\", role_id = \"{role_id}\", secret_id_file = \"{}\"",
            self.path("secret-id").display()
        )
    }

    /// Gives the role a secret id, and the agent too.
    pub(super) fn new_secret_id(&self, secret_id: &str) {
        let path = "/v1/auth/approle/role/hdfs/custom-secret-id";
        self.vault.must("POST", path, Some(&json!({"secret_id": secret_id})));
        self.write("secret-id", secret_id);
    }

    /// A token in the file `token`; the `auth` object for it.
    pub(super) fn token_file(&self, token: &str) -> String {
        self.write("token", token);
        format!("method = \"token_file\", token_file = \"{}\"", self.path("token").display())
    }

    /// The folders of all whole generations, by number.
    pub(super) fn generations(&self) -> BTreeMap<u64, PathBuf> {
        let folder = fs::read_dir(self.path("state/units/app/generations"));
        let entries = folder.into_iter().flatten().flatten();
        let numbered =
            entries.filter_map(|e| Some((e.file_name().to_str()?.parse().ok()?, e.path())));
        numbered.collect()
    }
}

/// Owner and mode bits of a file.
pub(super) fn owner_and_mode(path: &std::path::Path) -> (u32, u32) {
    let meta = fs::metadata(path).expect("the file is there");
    (meta.uid(), meta.mode() & 0o7777)
}
