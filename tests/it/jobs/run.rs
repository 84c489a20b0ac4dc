//! The jobs, run: what Nomad does with a task of `raw_exec` is done here, so the very files that
//! are run by `nomad job run` make two clusters side by side on one host and one Consul.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use hcl::Value;
use nix::sys::signal::Signal;
use tests::ports::Offset;
use tests::process::{Guard, tail};
use tests::stack::{Consul, call};
use tests::{binary, root, wait};

use super::spec::{self, Node, RUNTIME, Spec};
use super::{Values, files};

/// How long anything may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(180);

/// In the order in which an operator might type them; nothing depends on it.
const JOBS: [&str; 4] = ["datanode", "secondarynamenode", "agent", "namenode"];

/// The telemetry port of each, before the offset.
const TELEMETRY: [u16; 4] = [9182, 9183, 9180, 9181];

/// A task as its client would start it: files written, names put in.
struct Task {
    folder: PathBuf,
    command: Vec<String>,
    env: BTreeMap<String, String>,
    process: Option<Guard>,
}

impl Task {
    fn new(task: &Node, folder: &Path) -> Self {
        let within = |name: &str| folder.join(name).display().to_string();
        let known: BTreeMap<&str, String> = RUNTIME
            .into_iter()
            .zip([within("local"), within("alloc"), within("secrets")])
            .collect();
        let put_in = |text: &str| {
            known.iter().fold(text.to_owned(), |text, (name, value)| {
                text.replace(&format!("${{{name}}}"), value)
            })
        };
        for template in task.named("template") {
            let path = folder.join(template.text("destination").expect("a destination"));
            fs::create_dir_all(path.parent().expect("a folder")).expect("made");
            fs::write(path, template.text("data").expect("its text")).expect("written");
        }
        let config = task.named("config").next().expect("a config block");
        let words = config.values["args"].0.as_array().expect("a list").iter();
        let words = words.map(|word| put_in(word.as_str().expect("a text")));
        let command = put_in(config.text("command").expect("a program"));
        let mut env: BTreeMap<String, String> =
            known.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
        let block = task.named("env").next().expect("an env block");
        for (name, (value, _)) in &block.values {
            env.insert(name.clone(), put_in(value.as_str().expect("a text")));
        }
        let folder = folder.to_owned();
        Self {
            folder,
            command: std::iter::once(command).chain(words).collect(),
            env,
            process: None,
        }
    }

    fn log(&self) -> PathBuf {
        self.folder.join("log")
    }

    fn start(&mut self) {
        let log = fs::File::options().create(true).append(true).open(self.log()).expect("a log");
        let mut command = Command::new(&self.command[0]);
        command.args(&self.command[1..]).envs(&self.env);
        for name in ["CONSUL_HTTP_ADDR", "CONSUL_HTTP_TOKEN", "VAULT_ADDR", "VAULT_TOKEN"] {
            command.env_remove(name);
        }
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        self.process = Some(Guard::new(command.spawn().expect("a task")));
    }

    /// As Nomad stops it; its exit code.
    fn stop(&mut self) -> Option<i32> {
        let mut process = self.process.take()?;
        process.signal(Signal::SIGTERM);
        process.wait(PATIENCE)?.code()
    }
}

/// The jobs of one cluster.
struct Site {
    offset: Offset,
    conf: PathBuf,
    tasks: Vec<Task>,
}

impl Site {
    fn start(consul: &Consul, folder: &Path, mut values: Values, cluster: &str) -> Self {
        let offset = Offset::take();
        let data = folder.join("data");
        let mut set = |name: &str, value: Value| drop(values.insert(name.to_owned(), (value, 0)));
        set("port_offset", Value::from(offset.value()));
        set("bind", Value::from("127.0.0.1"));
        set("namenode_host", Value::from("127.0.0.1"));
        set("data_path", Value::from(data.display().to_string()));
        set("howdah", Value::from(binary::howdah().display().to_string()));
        set("consul_address", Value::from(consul.address()));
        let mut tasks = Vec::new();
        for (file, text) in files("jobs", "nomad") {
            let name = file.trim_start_matches("jobs/").trim_end_matches(".nomad");
            if !JOBS.contains(&name) {
                continue;
            }
            let job =
                Spec::read(&file, &text, &values).unwrap_or_else(|problem| panic!("{problem}"));
            let task = job.job.all().into_iter().find(|node| node.name == "task").expect("a task");
            tasks.push((name.to_owned(), Task::new(task, &folder.join(cluster).join(name))));
        }
        let place = |name: &String| JOBS.iter().position(|job| job == name);
        tasks.sort_by_key(|(name, _)| place(name));
        let mut tasks: Vec<Task> = tasks.into_iter().map(|(_, task)| task).collect();
        tasks.iter_mut().for_each(Task::start);
        let conf = data.join(cluster).join("agent/host/units/client/conf");
        Self { offset, conf, tasks }
    }

    /// The one unit of each job's agent.
    fn units(&self) -> Vec<serde_json::Value> {
        let unit = |port: u16| {
            let address = format!("127.0.0.1:{}", self.offset.port(port));
            let told = call(&address, "GET", "/v1/status", &[], None);
            told.map_or(serde_json::Value::Null, |(_, status)| status["units"][0].clone())
        };
        TELEMETRY.into_iter().map(unit).collect()
    }

    fn until_ready(&self, consul: &Consul, services: &[&str]) {
        let well = || {
            let units = self.units();
            let ready = |unit: &serde_json::Value| {
                let files_only = unit["name"] == "client";
                unit["generation"].is_u64() && (files_only || unit["ready"] == true)
            };
            units.iter().all(ready).then_some(())
        };
        let told = std::panic::catch_unwind(|| wait::until("every job is well", PATIENCE, well));
        if told.is_err() {
            self.tasks
                .iter()
                .for_each(|task| eprintln!("{:#?}\n{}", task.command, tail(&task.log())));
            panic!("in vain: every job is well; {:#?}", self.units());
        }
        for service in services {
            wait::until(service, PATIENCE, || {
                let path = format!("/v1/health/service/{service}?passing");
                let found = consul.must("GET", &path, None).as_array().map(Vec::len);
                (found == Some(1)).then_some(())
            });
        }
    }

    fn dfs(&self, words: &[&str]) -> Output {
        let mut command = Command::new(binary::howdah());
        command.arg("dfs").args(words).env("HADOOP_CONF_DIR", &self.conf);
        command.output().expect("howdah runs")
    }

    fn text(&self, words: &[&str]) -> String {
        let output = self.dfs(words);
        assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).expect("a text")
    }
}

/// What a restart or a reload of any unit would change.
fn marks(units: &[serde_json::Value]) -> Vec<serde_json::Value> {
    let mark = |unit: &serde_json::Value| {
        serde_json::json!([unit["name"], unit["pid"], unit["starts"], unit["generation"]])
    };
    units.iter().map(mark).collect()
}

#[test]
fn jobs_make_two_clusters_on_one_host() {
    let consul = Consul::start().expect("a Consul");
    let folder = tempfile::tempdir().expect("a folder");
    let second = fs::read_to_string(root().join("vars/second.hcl")).expect("the variables");
    let second = spec::values("vars/second.hcl", &second).unwrap_or_else(|why| panic!("{why}"));
    // Clusters of one datanode, whose namenode need not wait for more.
    for prefix in ["conf", "second/conf"] {
        let put =
            |name: &str, value| consul.put(&format!("{prefix}/hdfs/hdfs-site.xml/{name}"), value);
        put("dfs.replication", "1");
        put("dfs.namenode.safemode.extension", "0");
    }
    let mut one = Site::start(&consul, folder.path(), Values::new(), "default");
    let two = Site::start(&consul, folder.path(), second, "second");
    one.until_ready(&consul, &["namenode", "namenode-web", "datanode", "secondarynamenode"]);
    two.until_ready(&consul, &["second-namenode", "second-datanode", "second-secondarynamenode"]);
    // Nobody formatted anything by hand; each has files of its own.
    for (site, text) in [(&one, "first"), (&two, "second")] {
        let local = folder.path().join(format!("{text}.txt"));
        fs::write(&local, text).expect("a file");
        site.text(&["-put", &local.display().to_string(), "/which"]);
        assert_eq!(site.text(&["-cat", "/which"]), text);
    }
    // A restart of the one's datanode is none of the other's business.
    let (before, untouched) = (marks(&two.units()), marks(&one.units()));
    let key = "hdfs/@datanode/hdfs-site.xml/dfs.datanode.socket.write.timeout";
    consul.put(&format!("second/conf/{key}"), "480001");
    wait::until("the second cluster's datanode is another process", PATIENCE, || {
        let units = two.units();
        (units[0]["starts"] == 2 && units[0]["ready"] == true).then_some(())
    });
    assert_eq!(marks(&two.units())[1..], before[1..], "only the datanode, by its role's layer");
    assert_eq!(marks(&one.units()), untouched);
    assert_eq!(two.text(&["-cat", "/which"]), "second");
    // Stopped and run again the namenode has what it had: it formats an empty folder only.
    let namenode = JOBS.iter().position(|job| *job == "namenode").expect("there is one");
    assert_eq!(one.tasks[namenode].stop(), Some(0), "{}", tail(&one.tasks[namenode].log()));
    let gone = consul.must("GET", "/v1/catalog/service/namenode", None);
    assert_eq!(gone.as_array().map(Vec::len), Some(0), "deregistered: {gone}");
    one.tasks[namenode].start();
    one.until_ready(&consul, &["namenode"]);
    wait::until("the first cluster's file is there", PATIENCE, || {
        (one.dfs(&["-cat", "/which"]).stdout == b"first").then_some(())
    });
    for mut site in [one, two] {
        for task in &mut site.tasks {
            assert_eq!(task.stop(), Some(0), "{}", tail(&task.log()));
        }
    }
    let left = consul.must("GET", "/v1/agent/services", None);
    assert_eq!(left, serde_json::json!({}), "every service is deregistered");
}
