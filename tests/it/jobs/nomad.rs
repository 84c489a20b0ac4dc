//! A real Nomad, where one is on the PATH, takes the jobs and runs them: a development agent with
//! `raw_exec`, a real Consul and Vault, and clients that reach the namenode by its name in Consul.
//!
//! The machine's resolver does not know Consul. So Nomad and the clients run with another
//! `/etc/resolv.conf`, in a mount namespace of their own, and a relay between it and Consul's DNS.

use std::fs;
use std::net::UdpSocket;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use nix::sys::signal::Signal;
use serde_json::{Value, json};
use tests::ports::Offset;
use tests::process::{Guard, tail};
use tests::stack::{Consul, Storage, Vault, call};
use tests::{binary, root, wait};

use super::{files, sites};

const PATIENCE: Duration = Duration::from_secs(180);

/// Where the relay listens: a loopback address that nobody else takes.
const RESOLVER: &str = "127.0.83.53";

/// The jobs whose programs are here, and the port of each one's agent.
const RUN: [(&str, u16); 5] = [
    ("agent", 9180),
    ("namenode", 9181),
    ("datanode", 9182),
    ("secondarynamenode", 9183),
    ("prometheus", 9184),
];

/// Nomad, or word that it is not here: the one thing that may be left out, since it is no part of
/// what the tests install.
fn program(test: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let nomad = std::env::split_paths(&path).map(|folder| folder.join("nomad"));
    let found = nomad.into_iter().find(|path: &PathBuf| path.is_file());
    if found.is_none() {
        eprintln!("SKIPPED {test}: there is no nomad on the PATH");
    }
    found
}

#[test]
fn nomad_itself_takes_the_jobs() {
    let Some(nomad) = program("nomad_itself_takes_the_jobs") else { return };
    for (site, _) in sites() {
        for (job, _) in files("jobs", "nomad") {
            let mut command = Command::new(&nomad);
            command.current_dir(root()).args(["job", "validate"]);
            if site != "defaults" {
                command.arg(format!("-var-file={site}"));
            }
            let output = command.arg(&job).output().expect("nomad runs");
            let complaint = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "{job} with {site}: {complaint}");
        }
    }
}

/// Passes questions on to Consul's DNS, one after another.
fn relay(consul: &Consul) {
    let inside = UdpSocket::bind((RESOLVER, 53)).expect("root may take port 53");
    let dns = consul.dns();
    std::thread::spawn(move || {
        let mut packet = [0; 4096];
        while let Ok((length, from)) = inside.recv_from(&mut packet) {
            let Ok(out) = UdpSocket::bind("127.0.0.1:0") else { return };
            let _ = out.set_read_timeout(Some(Duration::from_secs(2)));
            let _ = out.send_to(&packet[..length], &dns);
            if let Ok(length) = out.recv(&mut packet) {
                let _ = inside.send_to(&packet[..length], from);
            }
        }
    });
}

/// A command that resolves names by the relay.
fn resolving(folder: &Path, program: &Path) -> Command {
    let conf = folder.join("resolv.conf");
    fs::write(&conf, format!("nameserver {RESOLVER}\n")).expect("a file");
    let mut command = Command::new("unshare");
    let script = "mount --bind \"$0\" /etc/resolv.conf && exec \"$@\"";
    command.args(["--mount", "sh", "-c", script]).arg(conf).arg(program);
    command
}

/// Nomad's development agent.
struct Nomad {
    program: PathBuf,
    address: String,
    process: Guard,
    log: PathBuf,
}

impl Nomad {
    fn start(program: PathBuf, folder: &Path, consul: &Consul) -> Self {
        let offset = Offset::take();
        let [http, rpc, serf] = [9864, 9866, 9867].map(|port| offset.port(port));
        // The offset is Nomad's for as long as the test runs.
        std::mem::forget(offset);
        let config = format!(
            r#"bind_addr = "127.0.0.1"
disable_update_check = true
ports {{
  http = {http}
  rpc  = {rpc}
  serf = {serf}
}}
consul {{
  address             = "{}"
  client_auto_join    = false
  server_auto_join    = false
  auto_advertise      = false
}}
client {{
  max_kill_timeout = "3m"
  options          = {{ "fingerprint.denylist" = "env_aws,env_gce,env_azure,env_digitalocean" }}
}}
plugin "raw_exec" {{
  config {{
    enabled = true
  }}
}}
"#,
            consul.address()
        );
        let (path, log) = (folder.join("nomad.hcl"), folder.join("nomad.log"));
        fs::write(&path, config).expect("a configuration");
        let mut command = resolving(folder, &program);
        command.args(["agent", "-dev", "-config"]).arg(path);
        let out = fs::File::create(&log).expect("a log");
        command.stdin(Stdio::null()).stdout(out.try_clone().expect("twice")).stderr(out);
        let process = Guard::new(command.spawn().expect("nomad starts"));
        let address = format!("127.0.0.1:{http}");
        let nomad = Self { program, address, process, log };
        wait::until("a node that is ready", PATIENCE, || {
            let nodes = nomad.get("/v1/nodes");
            (nodes[0]["Status"] == "ready").then_some(())
        });
        nomad
    }

    fn get(&self, path: &str) -> Value {
        call(&self.address, "GET", path, &[], None).map_or(Value::Null, |(_, value)| value)
    }

    fn run(&self, job: &str, variables: &[(String, String)]) {
        let mut command = Command::new(&self.program);
        command.current_dir(root()).args(["job", "run", "-detach"]);
        command.arg(format!("-address=http://{}", self.address));
        for (name, value) in variables {
            command.args(["-var", &format!("{name}={value}")]);
        }
        let output = command.arg(format!("jobs/{job}.nomad")).output().expect("nomad runs");
        let told = [&output.stdout[..], &output.stderr].concat();
        let told = String::from_utf8_lossy(&told).into_owned();
        assert!(output.status.success() && !told.contains("Warning"), "{job}: {told}");
    }

    fn stop(&self, job: &str) -> Output {
        let mut command = Command::new(&self.program);
        command.args(["job", "stop", "-purge", "-yes"]);
        command.arg(format!("-address=http://{}", self.address)).arg(job);
        command.output().expect("nomad runs")
    }
}

/// Nomad's tasks outlive it, as they should; not a test that failed, though.
impl Drop for Nomad {
    fn drop(&mut self) {
        for (job, _) in RUN {
            let _ = self.stop(job);
        }
    }
}

/// Vault trusts the identities that Nomad gives to tasks: the commands of docs/nomad.md.
fn trust(vault: &Vault, nomad: &Nomad) {
    vault.must("POST", "/v1/sys/auth/jwt-nomad", Some(&json!({"type": "jwt"})));
    let keys = format!("http://{}/.well-known/jwks.json", nomad.address);
    vault.must("POST", "/v1/auth/jwt-nomad/config", Some(&json!({"jwks_url": keys})));
    let policy = "path \"secret/data/hdfs/*\" { capabilities = [\"read\"] }";
    vault.must("PUT", "/v1/sys/policies/acl/howdah", Some(&json!({"policy": policy})));
    let role = json!({
        "role_type": "jwt", "bound_audiences": ["vault.io"], "user_claim": "/nomad_job_id",
        "user_claim_json_pointer": true, "token_policies": ["howdah"], "token_period": "30m",
    });
    vault.must("POST", "/v1/auth/jwt-nomad/role/howdah", Some(&role));
}

/// A cluster of one datanode, one of whose values is in Vault.
fn seed(consul: &Consul, vault: &Vault) {
    for (name, value) in [("dfs.replication", "1"), ("dfs.namenode.safemode.extension", "0")] {
        consul.put(&format!("conf/hdfs/hdfs-site.xml/{name}"), value);
    }
    vault.furnish();
    let secret = json!({"data": {"value": "from-vault"}});
    vault.must("POST", "/v1/secret/data/hdfs/nomad", Some(&secret));
    let template = json!("{{secret \"secret/data/hdfs/nomad\" \"value\"}}");
    let key = "/v1/kv/conf/hdfs/@namenode/core-site.xml/test.of.vault?flags=2";
    consul.must("PUT", key, Some(&template));
}

/// What the jobs made.
struct Site<'a> {
    nomad: &'a Nomad,
    consul: &'a Consul,
    folder: &'a Path,
    offset: Offset,
}

impl Site<'_> {
    fn run(&self, vault: &Vault) {
        let pair = |name: &str, value: String| (name.to_owned(), value);
        let variables = [
            pair("bind", "127.0.0.1".to_owned()),
            pair("port_offset", self.offset.value().to_string()),
            pair("data_path", self.folder.join("data").display().to_string()),
            pair("howdah", binary::howdah().display().to_string()),
            pair("consul_address", self.consul.address()),
            pair("vault_address", format!("http://{}", vault.address())),
        ];
        RUN.iter().for_each(|(job, _)| self.nomad.run(job, &variables));
    }

    fn status(&self, port: u16) -> Value {
        let address = format!("127.0.0.1:{}", self.offset.port(port));
        call(&address, "GET", "/v1/status", &[], None).map_or(Value::Null, |(_, value)| value)
    }

    fn until_well(&self, job: &str, port: u16) {
        let well = || {
            let unit = &self.status(port)["units"][0];
            let ready = unit["ready"] == true || unit["program"] == false;
            (ready && unit["generation"].is_u64()).then_some(())
        };
        if std::panic::catch_unwind(|| wait::until(job, PATIENCE, well)).is_err() {
            let allocations = self.nomad.get(&format!("/v1/job/{job}/allocations"));
            let id = allocations[0]["ID"].as_str().unwrap_or_default();
            let log = format!("/v1/client/fs/logs/{id}?task={job}&type=stderr&plain=true");
            let log = tests::stack::call_text(&self.nomad.address, "GET", &log, &[], None);
            let (states, nomad) = (&allocations[0]["TaskStates"], tail(&self.nomad.log));
            panic!("{job}: {:#}\n{states:#}\n{log:?}\n{nomad}", self.status(port));
        }
    }

    /// The configuration that an agent keeps for a unit.
    fn conf(&self, agent: &str, unit: &str) -> PathBuf {
        self.folder.join("data/default/agent").join(agent).join("units").join(unit).join("conf")
    }

    fn dfs(&self, words: &[&str]) -> Output {
        let mut command = resolving(self.folder, &binary::howdah());
        command.arg("dfs").args(words).env("HADOOP_CONF_DIR", self.conf("host", "client"));
        command.output().expect("howdah runs")
    }
}

#[test]
fn nomad_runs_the_jobs() {
    let Some(program) = program("nomad_runs_the_jobs") else { return };
    let consul = Consul::start().expect("a Consul");
    let vault = Vault::start(Storage::Memory).expect("a Vault");
    let folder = tempfile::tempdir().expect("a folder");
    relay(&consul);
    seed(&consul, &vault);
    let mut nomad = Nomad::start(program, folder.path(), &consul);
    trust(&vault, &nomad);
    let (folder, offset) = (folder.path(), Offset::take());
    let site = Site { nomad: &nomad, consul: &consul, folder, offset };
    site.run(&vault);
    RUN.iter().for_each(|(job, port)| site.until_well(job, *port));
    // The namenode's identity opened Vault.
    let core = |conf: PathBuf| fs::read_to_string(conf.join("core-site.xml")).expect("a file");
    assert_eq!(site.status(9181)["vault"]["logged_in"], true, "{:#}", site.status(9181));
    assert!(core(site.conf("namenode", "namenode")).contains("<value>from-vault</value>"));
    // By its name, from the configuration that the job `agent` keeps for clients.
    assert!(core(site.conf("host", "client")).contains("hdfs://namenode.service.consul:"));
    let local = folder.join("local.txt");
    fs::write(&local, "by Nomad").expect("a file");
    let put = site.dfs(&["-put", &local.display().to_string(), "/f"]);
    assert!(put.status.success(), "{}", String::from_utf8_lossy(&put.stderr));
    assert_eq!(site.dfs(&["-cat", "/f"]).stdout, b"by Nomad");
    // An edit restarts the datanode, and Nomad has no part in it.
    let before = nomad.get("/v1/job/datanode/allocations");
    consul.put("conf/hdfs/@datanode/hdfs-site.xml/dfs.datanode.socket.write.timeout", "480001");
    wait::until("the datanode is restarted", PATIENCE, || {
        let unit = site.status(9182)["units"][0].clone();
        (unit["starts"] == 2 && unit["ready"] == true).then_some(())
    });
    let after = nomad.get("/v1/job/datanode/allocations");
    assert_eq!(before[0]["ID"], after[0]["ID"]);
    assert_eq!(after[0]["TaskStates"]["datanode"]["Restarts"], 0, "{after:#}");
    assert_eq!(site.dfs(&["-cat", "/f"]).stdout, b"by Nomad");
    for (job, _) in RUN.iter().rev() {
        let stopped = nomad.stop(job);
        assert!(stopped.status.success(), "{}", String::from_utf8_lossy(&stopped.stderr));
    }
    wait::until("every service is deregistered", PATIENCE, || {
        (consul.must("GET", "/v1/agent/services", None) == json!({})).then_some(())
    });
    wait::until("every task has ended", PATIENCE, || {
        let allocations = nomad.get("/v1/allocations");
        let ended = |each: &Value| each["ClientStatus"] == "complete";
        allocations.as_array()?.iter().all(ended).then_some(())
    });
    nomad.process.signal(Signal::SIGINT);
    nomad.process.wait(PATIENCE);
}
