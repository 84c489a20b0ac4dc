//! The mission once, end to end: an agent with real Consul and Vault runs our namenode and
//! datanodes, registers them, and takes up edits the way the key table says.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use hdfs_edge::keys::{self, Change, Daemon};
use nix::sys::signal::Signal;
use serde_json::{Value, json};
use tests::ports::Offset;
use tests::process::{self, Guard, tail};
use tests::stack::{Consul, Storage, Vault, call, call_text};
use tests::{binary, wait};

use crate::consul::{A, SRV, dns};

/// How long anything may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(120);

/// Hadoop's ports, to which the offset is added; a datanode adds ten times its number more.
const RPC: u16 = 8020;
const WEB: u16 = 9870;
const DATA: u16 = 9866;
const IPC: u16 = 9867;
const DATA_WEB: u16 = 9864;
const TELEMETRY: u16 = 9180;
const PROMETHEUS: u16 = 9868;

/// One host: its servers, its agent, its cluster.
struct Host {
    consul: Consul,
    vault: Vault,
    root: tempfile::TempDir,
    offset: Offset,
    agent: Option<Guard>,
}

impl Host {
    fn new() -> Self {
        let consul = Consul::start().expect("a Consul");
        let vault = Vault::start(Storage::Memory).expect("a Vault");
        vault.furnish();
        let root = tempfile::tempdir().expect("a folder");
        let host = Self { consul, vault, root, offset: Offset::take(), agent: None };
        host.furnish();
        host.configure();
        host
    }

    fn path(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    /// Ten times its number apart, as `dev` has them.
    fn port(&self, port: u16, datanode: u16) -> u16 {
        self.offset.port(port) + 10 * datanode
    }

    fn set(&self, key: &str, value: &str) {
        self.consul.put(&format!("conf/hdfs/{key}"), value);
    }

    /// The cluster's configuration in Consul, and a keytab in Vault.
    fn furnish(&self) {
        let (root, address) = (self.root.path().display(), "127.0.0.1");
        let at = |port| format!("{address}:{}", self.port(port, 0));
        self.set("core-site.xml/fs.defaultFS", &format!("hdfs://{}", at(RPC)));
        self.set("hdfs-site.xml/dfs.namenode.rpc-address", &at(RPC));
        self.set("hdfs-site.xml/dfs.namenode.http-address", &at(WEB));
        self.set("hdfs-site.xml/dfs.namenode.name.dir", &format!("file://{root}/name"));
        self.set("hdfs-site.xml/dfs.replication", "1");
        self.set("hdfs-site.xml/dfs.namenode.safemode.extension", "0");
        for number in 0..2 {
            let at = |port| format!("{address}:{}", self.port(port, number));
            let set = |key: &str, value: &str| {
                self.set(&format!("@unit/datanode{number}/hdfs-site.xml/{key}"), value);
            };
            set("dfs.datanode.address", &at(DATA));
            set("dfs.datanode.ipc.address", &at(IPC));
            set("dfs.datanode.http.address", &at(DATA_WEB));
            set("dfs.datanode.data.dir", &format!("file://{root}/data{number}"));
        }
        let secret = json!({"data": {"keytab": "BQIAAABCAP/+gMMo"}});
        wait::until("a secret", PATIENCE, || {
            let put = self.vault.call("POST", "/v1/secret/data/hdfs/nn", Some(&secret));
            put.ok().filter(|(status, _)| *status == 200)
        });
        fs::write(self.path("token"), self.vault.token("1h")).expect("a token");
    }

    fn unit(&self, name: &str, role: &str, web: u16, service: u16, more: &str) -> String {
        let program = binary::howdah();
        format!(
            r#"unit "{name}" {{
  role       = "{role}"
  command    = ["{program}", "{role}", "--conf", "${{conf_dir}}"]
  ready      = {{ http = "http://127.0.0.1:{web}/healthz", timeout = "30s" }}
  reload     = {{ http = "http://127.0.0.1:{web}/reload" }}
  quiesce    = {{ min = "100ms", max = "1s" }}
  restart    = {{ backoff = "100ms", cap = "1s", max_failures = 6 }}
  file "core-site.xml" {{}}
  file "hdfs-site.xml" {{}}
  {more}
  service "{role}" {{
    address                = "127.0.0.1"
    port                   = {service}
    tags                   = ["hdfs"]
    meta                   = {{ generation = "${{generation}}" }}
    checks = {{
      http       = {{ url = "http://127.0.0.1:{web}/healthz", interval = "1s" }}
      supervisor = {{ ttl = "10s" }}
    }}
    maintenance_on_restart = true
  }}
}}
"#,
            program = program.display(),
        )
    }

    fn configure(&self) {
        let root = self.root.path().display();
        let keytab = "file \"nn.keytab\" {\n template = <<T\n\
                      {{base64Decode (secret \"secret/hdfs/nn\" \"keytab\")}}\nT\n}\n\
                      change = { noop = [\"nn.keytab\"] }\n";
        let mut text = format!(
            r#"cluster   = "it"
state_dir = "{root}/state"
telemetry {{ listen = "127.0.0.1:{telemetry}" }}
consul {{ address = "{consul}" }}
vault {{
  address = "http://{vault}"
  auth    = {{ method = "token_file", token_file = "{root}/token" }}
}}
layer "cluster" {{ kv = "conf/hdfs/" }}
layer "role" {{ kv = "conf/hdfs/@${{unit.role}}/" }}
layer "unit" {{ kv = "conf/hdfs/@unit/${{unit.name}}/" }}
"#,
            telemetry = self.offset.port(TELEMETRY),
            consul = self.consul.address(),
            vault = self.vault.address(),
        );
        let (web, rpc) = (self.port(WEB, 0), self.port(RPC, 0));
        text += &self.unit("namenode", "namenode", web, rpc, keytab);
        for number in 0..2 {
            let (web, data) = (self.port(DATA_WEB, number), self.port(DATA, number));
            let wait = "wait_for = { service = \"namenode\" }\n";
            text += &self.unit(&format!("datanode{number}"), "datanode", web, data, wait);
        }
        text += "unit \"client\" {\n quiesce = { min = \"100ms\", max = \"1s\" }\n \
                 file \"core-site.xml\" {}\n file \"hdfs-site.xml\" {}\n}\n";
        fs::write(self.path("agent.hcl"), text).expect("a configuration");
    }

    fn verb(&self, words: &[&str]) -> Output {
        let mut command = Command::new(binary::howdah());
        command.args(words).arg("--config").arg(self.path("agent.hcl"));
        command.output().expect("howdah runs")
    }

    /// Makes the namenode's folder with the configuration that the agent will render.
    fn format(&self) {
        let to = self.path("rendered");
        let rendered = self.verb(&["render", "--to", &to.display().to_string()]);
        assert!(rendered.status.success(), "{}", String::from_utf8_lossy(&rendered.stderr));
        tests::ours::Daemon::format(&to.join("namenode/conf"));
    }

    fn start(&mut self) {
        let log = File::options().create(true).append(true).open(self.path("log"));
        let mut command = Command::new(binary::howdah());
        command.args(["agent", "--config"]).arg(self.path("agent.hcl"));
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log.expect("a log"));
        self.agent = Some(Guard::new(command.spawn().expect("the agent starts")));
        self.until("every unit is ready", |status| {
            let units = status["units"].as_array()?;
            let mut running = units.iter().filter(|unit| unit["name"] != "client");
            running.all(|unit| unit["ready"] == true).then_some(())
        });
    }

    fn telemetry(&self) -> String {
        format!("127.0.0.1:{}", self.offset.port(TELEMETRY))
    }

    fn status(&self) -> Value {
        let answer = call(&self.telemetry(), "GET", "/v1/status", &[], None);
        answer.map_or(Value::Null, |(_, value)| value)
    }

    fn until<T>(&self, what: &str, look: impl Fn(&Value) -> Option<T>) -> T {
        let start = Instant::now();
        loop {
            let status = self.status();
            if let Some(found) = look(&status) {
                return found;
            }
            let log = || tail(&self.path("log"));
            assert!(start.elapsed() < PATIENCE, "in vain: {what}\n{status:#}\n{}", log());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn unit_status(&self, name: &str) -> Value {
        let status = self.status();
        let mut units = status["units"].as_array().into_iter().flatten();
        units.find(|unit| unit["name"] == name).cloned().unwrap_or_default()
    }

    /// How often each program was started.
    fn starts(&self) -> BTreeMap<String, u64> {
        let status = self.status();
        let units = status["units"].as_array().cloned().unwrap_or_default();
        let of = |unit: &Value| {
            let name = unit["name"].as_str().unwrap_or_default().to_owned();
            (name, unit["starts"].as_u64().unwrap_or_default())
        };
        units.iter().map(of).collect()
    }

    /// The last committed change of a unit and what it asked for.
    fn last_action(&self, unit: &str) -> String {
        let history = self.verb(&["history", "--json"]).stdout;
        let lines = String::from_utf8_lossy(&history).into_owned();
        let lines = lines.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let mut committed =
            lines.filter(|line| line["unit"] == unit && line["event"] == "committed");
        committed
            .next_back()
            .map(|line| line["action"].as_str().unwrap_or("").to_owned())
            .unwrap_or_default()
    }

    /// A file's way into the cluster and back, with the configuration of the unit `client`.
    fn round_trip(&self, name: &str) {
        let conf = self.path("state/units/client/conf");
        let local = self.path(name);
        fs::write(&local, crate::common::bytes(7, 1 << 20)).expect("a file");
        let dfs = |words: &[&str]| {
            let mut command = Command::new(binary::howdah());
            command.arg("dfs").args(words).env("HADOOP_CONF_DIR", &conf);
            let output = command.output().expect("howdah runs");
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        };
        let (local, remote) = (local.display().to_string(), format!("/{name}"));
        dfs(&["-put", "-f", &local, &remote]);
        dfs(&["-get", "-f", &remote, &format!("{local}.back")]);
        assert_eq!(fs::read(&local).ok(), fs::read(format!("{local}.back")).ok());
    }

    fn instances(&self, name: &str) -> u16 {
        dns(&self.consul.dns(), &format!("{name}.service.consul"), SRV).0
    }
}

/// What a change of a key must do to a daemon.
fn word(change: Change) -> &'static str {
    match change {
        Change::None => "none",
        Change::Reload => "reload",
        Change::Restart => "restart",
    }
}

#[test]
fn stack_runs_a_cluster_and_takes_up_edits() {
    let mut host = Host::new();
    host.format();
    host.start();
    let root = host.path("state/units/namenode/conf");
    assert_eq!(fs::read(root.join("nn.keytab")).expect("a keytab")[..2], [5, 2]);
    wait::until("the services", PATIENCE, || {
        (host.instances("namenode") == 1 && host.instances("datanode") == 2).then_some(())
    });
    let (count, answer) = dns(&host.consul.dns(), "namenode.service.consul", A);
    assert!(count == 1 && answer.ends_with(&[127, 0, 0, 1]));
    let (_, answer) = dns(&host.consul.dns(), "datanode.service.consul", SRV);
    for number in 0..2 {
        let port = host.port(DATA, number).to_be_bytes();
        assert!(answer.windows(2).any(|bytes| bytes == port), "the port of datanode {number}");
    }
    host.round_trip("one");

    exactly_what_the_table_says(&host);
    a_bad_value_changes_nothing(&host);
    what_makes_a_daemon_unhealthy_is_rolled_back(&host);
    a_killed_daemon_leaves_the_dns_and_comes_back(&host);
    wait::until("a namenode out of safe mode", PATIENCE, || {
        let page = format!("127.0.0.1:{}", host.port(WEB, 0));
        let query = "/jmx?get=Hadoop:service=NameNode,name=NameNodeInfo::Safemode";
        let (_, answer) = call(&page, "GET", query, &[], None).ok()?;
        (answer["beans"][0]["Safemode"] == "").then_some(())
    });
    host.round_trip("two");

    let mut agent = host.agent.take().expect("it runs");
    agent.signal(Signal::SIGTERM);
    let status = agent.wait(PATIENCE).expect("it stops");
    assert!(status.success(), "{}", tail(&host.path("log")));
    let left = host.consul.must("GET", "/v1/agent/services", None);
    assert_eq!(left, json!({}), "every service is deregistered");
}

/// Keys of each kind: what the table says happens, to the daemons it concerns, once.
fn exactly_what_the_table_says(host: &Host) {
    for (key, value) in [
        ("dfs.replication", "2"),
        ("dfs.datanode.balance.bandwidthPerSec", "50m"),
        ("dfs.datanode.max.transfer.threads", "512"),
        ("dfs.client.block.write.retries", "4"),
    ] {
        let before = host.starts();
        host.set(&format!("hdfs-site.xml/{key}"), value);
        for (unit, daemon) in [
            ("namenode", Daemon::Namenode),
            ("datanode0", Daemon::Datanode),
            ("datanode1", Daemon::Datanode),
        ] {
            let change = keys::change_of(key, daemon);
            let more = u64::from(change == Change::Restart);
            let file = host.path(&format!("state/units/{unit}/conf/hdfs-site.xml"));
            host.until(&format!("{key} in {unit}"), |_| {
                let text = fs::read_to_string(&file).ok()?;
                let there = text.contains(&format!("<name>{key}</name>"))
                    && text.contains(&format!("<value>{value}</value>"));
                let status = host.unit_status(unit);
                let settled = status["ready"] == true
                    && status["starts"].as_u64() == Some(before[unit] + more);
                (there && settled).then_some(())
            });
            assert_eq!(host.last_action(unit), word(change), "{key} in {unit}");
        }
    }
}

fn a_bad_value_changes_nothing(host: &Host) {
    let (before, generation) = (host.starts(), host.unit_status("namenode")["generation"].clone());
    host.set("hdfs-site.xml/dfs.replication", "x");
    host.until("the status says why", |_| {
        let refused = host.unit_status("namenode")["refused"].as_str().map(str::to_owned)?;
        (refused.contains("dfs.replication") && refused.contains("\"x\"")).then_some(())
    });
    assert_eq!(host.unit_status("namenode")["generation"], generation);
    assert_eq!(host.starts(), before);
    host.set("hdfs-site.xml/dfs.replication", "2");
    host.until("nothing is refused", |_| {
        host.unit_status("namenode")["refused"].is_null().then_some(())
    });
    assert_eq!(host.starts(), before);
}

/// A port that is taken: a value that no check can know to be bad.
fn what_makes_a_daemon_unhealthy_is_rolled_back(host: &Host) {
    let key = "@unit/datanode1/hdfs-site.xml/dfs.datanode.ipc.address";
    let good = format!("127.0.0.1:{}", host.port(IPC, 1));
    let before = host.unit_status("datanode0")["starts"].clone();
    host.set(key, &format!("127.0.0.1:{}", host.port(IPC, 0)));
    host.until("the last good generation is back", |_| {
        let status = host.unit_status("datanode1");
        (status["rolled_back_to"].is_u64() && status["ready"] == true).then_some(())
    });
    let told = String::from_utf8(host.verb(&["status"]).stdout).expect("text");
    assert!(told.contains("rolled back to generation"), "{told}");
    assert_eq!(host.unit_status("datanode0")["starts"], before, "the others are left alone");
    host.set(key, &good);
    host.until("the rollback is over", |_| {
        host.unit_status("datanode1")["rolled_back_to"].is_null().then_some(())
    });
    wait::until("both datanodes in the DNS", PATIENCE, || {
        (host.instances("datanode") == 2).then_some(())
    });
}

fn a_killed_daemon_leaves_the_dns_and_comes_back(host: &Host) {
    let starts = host.unit_status("datanode0")["starts"].as_u64().expect("a number");
    let pid = host.unit_status("datanode0")["pid"].as_i64().expect("a process");
    process::kill_hard(i32::try_from(pid).expect("a process id"));
    host.until("it comes back", |_| {
        let status = host.unit_status("datanode0");
        (status["starts"].as_u64() == Some(starts + 1) && status["ready"] == true).then_some(())
    });
    wait::until("it is in the DNS again", PATIENCE, || {
        (host.instances("datanode") == 2).then_some(())
    });
    // Prometheus, too, reads what the agent tells.
    prometheus_reads_the_agent(host);
}

fn prometheus_reads_the_agent(host: &Host) {
    let metrics = call_text(&host.telemetry(), "GET", "/metrics", &[], None).expect("metrics").1;
    let age = metrics.lines().find_map(|line| {
        line.strip_prefix("agent_watch_age_seconds{source=\"consul-kv\"} ")?.parse::<f64>().ok()
    });
    assert!(age.is_some_and(|age| age < 90.0), "{metrics}");
    let page = host.path("metrics");
    fs::write(&page, &metrics).expect("a file");
    let checked = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(File::open(&page).expect("a file"))
        .output()
        .expect("promtool, of the package prometheus");
    let complaint = String::from_utf8_lossy(&checked.stderr);
    assert!(checked.status.success(), "{complaint}");
    let config = format!(
        "global:\n  scrape_interval: 1s\nscrape_configs:\n- job_name: agent\n  \
         static_configs:\n  - targets: ['{}']\n",
        host.telemetry()
    );
    fs::write(host.path("prometheus.yml"), config).expect("a file");
    let address = format!("127.0.0.1:{}", host.offset.port(PROMETHEUS));
    let log = File::create(host.path("prometheus.log")).expect("a log");
    let mut command = Command::new("prometheus");
    command.arg(format!("--config.file={}", host.path("prometheus.yml").display()));
    command.arg(format!("--storage.tsdb.path={}", host.path("tsdb").display()));
    command.arg(format!("--web.listen-address={address}"));
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
    let _server = Guard::new(command.spawn().expect("prometheus, of the package of that name"));
    wait::until("four units in Prometheus", PATIENCE, || {
        let query = "/api/v1/query?query=sum(agent_child_up)";
        let (_, answer) = call(&address, "GET", query, &[], None).ok()?;
        (answer["data"]["result"][0]["value"][1] == "3").then_some(())
    });
}
