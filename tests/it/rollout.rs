//! A change goes over five hosts: one at a time, stopped at the canary when it does harm, frozen,
//! within its window, and past an agent that dies with the lock in its hands.

use std::fs::{self, File};
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use hdfs_edge::keys::{self, Change, Daemon};
use nix::sys::signal::Signal;
use serde_json::Value;
use tests::judge::Judge;
use tests::ports::Offset;
use tests::process::{Guard, tail};
use tests::stack::{Agent, Consul, call, call_text};
use tests::{binary, hadoop};

/// How long anything may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(180);

const RPC: u16 = 8020;
const WEB: u16 = 9870;
const DATA: u16 = 9866;
const IPC: u16 = 9867;
const DATA_WEB: u16 = 9864;
const TELEMETRY: u16 = 9180;

/// Hosts with a datanode; the namenode's is one more.
const HOSTS: u16 = 5;

/// A key that a datanode takes up by a restart only.
const KEY: &str = "dfs.datanode.socket.write.timeout";

/// Agents on one machine, each a host of its own.
struct Lab {
    consul: Consul,
    root: tempfile::TempDir,
    offset: Offset,
    agents: Vec<Option<Guard>>,
}

impl Lab {
    fn start(rollout: &str) -> Self {
        assert_eq!(keys::change_of(KEY, Daemon::Datanode), Change::Restart);
        let consul = Consul::start().expect("a Consul");
        let root = tempfile::tempdir().expect("a folder");
        let agents = (0..=HOSTS).map(|_| None).collect();
        let mut lab = Self { consul, root, offset: Offset::take(), agents };
        lab.furnish();
        for host in 0..=HOSTS {
            lab.configure(host, rollout);
        }
        let to = lab.path("rendered");
        let rendered = lab.verb(HOSTS, &["render", "--to", &to.display().to_string()]);
        assert!(rendered.status.success(), "{}", String::from_utf8_lossy(&rendered.stderr));
        tests::ours::Daemon::format(&to.join("namenode/conf"));
        for host in (0..=HOSTS).rev() {
            lab.launch(host);
        }
        lab.until("every host is ready", |lab| {
            (0..=HOSTS).all(|host| lab.unit(host)["ready"] == true).then_some(())
        });
        lab
    }

    fn path(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    fn port(&self, port: u16, host: u16) -> u16 {
        self.offset.port(port) + 10 * host
    }

    fn set(&self, key: &str, value: &str) {
        self.consul.put(&format!("conf/hdfs/{key}"), value);
    }

    fn furnish(&self) {
        let at = |port| format!("127.0.0.1:{}", self.offset.port(port));
        let name = format!("file://{}", self.path("name").display());
        self.set("core-site.xml/fs.defaultFS", &format!("hdfs://{}", at(RPC)));
        for (key, value) in [
            ("dfs.namenode.rpc-address", at(RPC)),
            ("dfs.namenode.http-address", at(WEB)),
            ("dfs.namenode.name.dir", name),
            ("dfs.replication", "2".to_owned()),
            ("dfs.heartbeat.interval", "1".to_owned()),
            ("dfs.namenode.safemode.extension", "0".to_owned()),
        ] {
            self.set(&format!("hdfs-site.xml/{key}"), &value);
        }
        for host in 0..HOSTS {
            let at = |port| format!("127.0.0.1:{}", self.port(port, host));
            let data = format!("file://{}", self.path(&format!("data{host}")).display());
            for (key, value) in [
                ("dfs.datanode.address", at(DATA)),
                ("dfs.datanode.ipc.address", at(IPC)),
                ("dfs.datanode.http.address", at(DATA_WEB)),
                ("dfs.datanode.data.dir", data),
            ] {
                self.set(&format!("@host/host{host}/hdfs-site.xml/{key}"), &value);
            }
        }
    }

    fn configure(&self, host: u16, rollout: &str) {
        let role = if host == HOSTS { "namenode" } else { "datanode" };
        let (web, service) = match host {
            HOSTS => (self.offset.port(WEB), self.offset.port(RPC)),
            _ => (self.port(DATA_WEB, host), self.port(DATA, host)),
        };
        let rollout = if host == HOSTS { "" } else { rollout };
        let text = format!(
            r#"cluster   = "it"
state_dir = "{state}"
telemetry {{ listen = "127.0.0.1:{telemetry}" }}
consul {{ address = "{consul}" }}
unit "{role}" {{
  command = ["{program}", "{role}", "--conf", "${{conf_dir}}"]
  ready   = {{ http = "http://127.0.0.1:{web}/healthz", timeout = "8s" }}
  reload  = {{ http = "http://127.0.0.1:{web}/reload" }}
  quiesce = {{ min = "100ms", max = "1s" }}
  restart = {{ backoff = "100ms", cap = "1s", max_failures = 6 }}
  file "core-site.xml" {{}}
  file "hdfs-site.xml" {{}}
  service "{role}" {{
    address = "127.0.0.1"
    port    = {service}
    checks = {{
      http = {{ url = "http://127.0.0.1:{web}/healthz", interval = "1s" }}
    }}
    maintenance_on_restart = true
  }}
  {rollout}
}}
"#,
            state = self.path(&format!("state{host}")).display(),
            telemetry = self.port(TELEMETRY, host),
            consul = self.consul.address(),
            program = binary::howdah().display(),
        );
        fs::write(self.path(&format!("agent{host}.hcl")), text).expect("a configuration");
    }

    fn command(&self, host: u16, words: &[&str]) -> Command {
        let mut command = Command::new(binary::howdah());
        command.args(words).arg("--config").arg(self.path(&format!("agent{host}.hcl")));
        command.env("HOWDAH_NODE", format!("host{host}"));
        command
    }

    fn verb(&self, host: u16, words: &[&str]) -> Output {
        self.command(host, words).output().expect("howdah runs")
    }

    fn launch(&mut self, host: u16) {
        let log = File::options().create(true).append(true).open(self.log(host));
        let mut command = self.command(host, &["agent"]);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log.expect("a log"));
        self.agents[usize::from(host)] = Some(Guard::new(command.spawn().expect("an agent")));
    }

    fn log(&self, host: u16) -> PathBuf {
        self.path(&format!("log{host}"))
    }

    fn status(&self, host: u16) -> Value {
        let address = format!("127.0.0.1:{}", self.port(TELEMETRY, host));
        call(&address, "GET", "/v1/status", &[], None).map_or(Value::Null, |(_, value)| value)
    }

    /// A figure of the datanode of a host.
    fn metric(&self, host: u16, name: &str) -> f64 {
        let address = format!("127.0.0.1:{}", self.port(TELEMETRY, host));
        let page = call_text(&address, "GET", "/metrics", &[], None).expect("metrics").1;
        let line = page
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix("{unit=\"datanode\"} "));
        line.and_then(|value| value.parse().ok()).unwrap_or_else(|| panic!("no {name}:\n{page}"))
    }

    fn unit(&self, host: u16) -> Value {
        self.status(host)["units"][0].clone()
    }

    fn until<T>(&self, what: &str, look: impl Fn(&Self) -> Option<T>) -> T {
        let start = Instant::now();
        loop {
            if let Some(found) = look(self) {
                return found;
            }
            if start.elapsed() > PATIENCE {
                for host in 0..=HOSTS {
                    eprintln!("host{host}: {:#}\n{}", self.unit(host), tail(&self.log(host)));
                }
                panic!("in vain: {what}");
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Whether a datanode has a value in the file that is in force.
    fn has(&self, host: u16, value: &str) -> bool {
        let file = self.path(&format!("state{host}/units/datanode/conf/hdfs-site.xml"));
        let text = fs::read_to_string(file).unwrap_or_default();
        text.contains(&format!("<value>{value}</value>"))
    }

    fn starts(&self, host: u16) -> u64 {
        self.unit(host)["starts"].as_u64().unwrap_or_default()
    }

    /// Hosts that have a value and are ready with it.
    fn done(&self, value: &str) -> usize {
        let done = |host: &u16| self.has(*host, value) && self.unit(*host)["ready"] == true;
        (0..HOSTS).filter(done).count()
    }

    /// Hosts whose datanode does not answer on its web port: those that restart.
    fn down(&self) -> usize {
        let gone = |host: &u16| {
            let address = format!("127.0.0.1:{}", self.port(DATA_WEB, *host));
            std::net::TcpStream::connect(address).is_err()
        };
        (0..HOSTS).filter(gone).count()
    }

    /// Sets the key and waits until all have it; the most that were down at once.
    fn roll(&self, value: &str) -> usize {
        self.set(&format!("@datanode/hdfs-site.xml/{KEY}"), value);
        let most = std::cell::Cell::new(0);
        self.until(&format!("{KEY} = {value} everywhere"), |lab| {
            most.set(most.get().max(lab.down()));
            (lab.done(value) == usize::from(HOSTS)).then_some(())
        });
        most.get()
    }
}

const ONE_BY_ONE: &str = r#"rollout {
    lock         = "agent/locks/hdfs/datanode"
    max_parallel = 1
    canary       = 1
    soak         = "1s"
    gates        = ["hdfs:safemode-off", "hdfs:no-missing-blocks", "consul:namenode passing"]
  }"#;

#[test]
fn rollout_one_at_a_time_under_a_java_client() {
    let hadoop = match hadoop::get() {
        Ok(hadoop) => hadoop,
        Err(reason) => return tests::skip("rollout_one_at_a_time_under_a_java_client", &reason),
    };
    let mut lab = Lab::start(ONE_BY_ONE);
    let before: Vec<u64> = (0..HOSTS).map(|host| lab.starts(host)).collect();
    let conf = lab.path(&format!("state{HOSTS}/units/namenode/conf"));
    let judge = Judge::start(hadoop, &conf);
    let local = lab.path("local");
    fs::write(&local, crate::common::bytes(3, 4 << 20)).expect("a file");
    let local = local.display().to_string();
    let stop = AtomicBool::new(false);
    let (most, rounds) = std::thread::scope(|scope| {
        let client = scope.spawn(|| {
            let mut rounds = 0;
            while !stop.load(Ordering::Relaxed) {
                let (remote, back) = (format!("/load{rounds}"), format!("{local}.back"));
                judge.fs(&["-put", &local, &remote]).ok();
                judge.fs(&["-get", "-f", &remote, &back]).ok();
                assert_eq!(fs::read(&local).ok(), fs::read(&back).ok(), "round {rounds}");
                rounds += 1;
            }
            rounds
        });
        let most = lab.roll("480001");
        stop.store(true, Ordering::Relaxed);
        (most, client.join().expect("a client without errors"))
    });
    assert!(rounds > 0, "the client worked meanwhile");
    assert_eq!(most, 1, "at most one at a time, and one at least");
    for host in 0..HOSTS {
        assert_eq!(lab.starts(host), before[usize::from(host)] + 1, "host{host} restarted once");
    }
    a_bad_one_stops_at_the_canary(&lab);
    a_dead_holder_blocks_nobody(&mut lab);
    frozen_and_thawed(&lab);
}

/// A namenode that is not there makes every datanode useless, which no check can know.
fn a_bad_one_stops_at_the_canary(lab: &Lab) {
    let before: Vec<u64> = (0..HOSTS).map(|host| lab.starts(host)).collect();
    let key = "@datanode/hdfs-site.xml/dfs.namenode.rpc-address";
    lab.set(key, "127.0.0.1:1");
    lab.until("every status says that it is halted", |lab| {
        let halted = |host: u16| {
            lab.unit(host)["rollout"].as_str().is_some_and(|text| text.contains("halted by"))
        };
        (0..HOSTS).all(halted).then_some(())
    });
    let touched = (0..HOSTS).filter(|host| lab.starts(*host) != before[usize::from(*host)]);
    let touched: Vec<u16> = touched.collect();
    assert_eq!(touched.len(), 1, "the canary alone: {touched:?}");
    assert!(lab.unit(touched[0])["rolled_back_to"].is_u64());
    lab.until("the canary is well again", |lab| {
        (lab.unit(touched[0])["ready"] == true).then_some(())
    });
    let told = lab.verb((touched[0] + 1) % HOSTS, &["status"]).stdout;
    let told = String::from_utf8_lossy(&told).into_owned();
    assert!(told.contains(&format!("halted by host{}/datanode", touched[0])), "{told}");
    // The way back asks for nothing: nobody restarts, and nothing is halted any more.
    let before: Vec<u64> = (0..HOSTS).map(|host| lab.starts(host)).collect();
    lab.set(key, &format!("127.0.0.1:{}", lab.offset.port(RPC)));
    lab.until("nothing is halted", |lab| {
        (0..HOSTS).all(|host| lab.unit(host)["rollout"].is_null()).then_some(())
    });
    let after: Vec<u64> = (0..HOSTS).map(|host| lab.starts(host)).collect();
    assert_eq!(after, before);
}

/// The holder is killed while the others wait: the slot is free when its session is over.
fn a_dead_holder_blocks_nobody(lab: &mut Lab) {
    lab.set(&format!("@datanode/hdfs-site.xml/{KEY}"), "480002");
    let holder = lab.until("a host whose turn it is", |lab| {
        (0..HOSTS).find(|host| {
            lab.unit(*host)["rollout"].as_str().is_some_and(|text| text.contains("its turn"))
        })
    });
    let waited = |host: u16| lab.metric(host, "agent_lock_wait_seconds") > 0.0;
    assert_eq!(lab.metric(holder, "agent_lock_held"), 1.0);
    lab.until("the others wait", |_| {
        (0..HOSTS).filter(|host| *host != holder).all(waited).then_some(())
    });
    lab.agents[usize::from(holder)].take().expect("it runs").kill();
    lab.until("the others go on", |lab| {
        let others = (0..HOSTS).filter(|host| *host != holder);
        let done = |host: u16| lab.has(host, "480002") && lab.unit(host)["ready"] == true;
        others.into_iter().all(done).then_some(())
    });
    lab.launch(holder);
    lab.until("the holder has it too", |lab| {
        (lab.done("480002") == usize::from(HOSTS)).then_some(())
    });
}

fn frozen_and_thawed(lab: &Lab) {
    let before: Vec<u64> = (0..HOSTS).map(|host| lab.starts(host)).collect();
    let frozen = lab.verb(0, &["freeze", "--cluster", "--reason", "migration"]);
    assert!(frozen.status.success(), "{}", String::from_utf8_lossy(&frozen.stderr));
    lab.until("every host knows", |lab| {
        (0..HOSTS).all(|host| lab.status(host)["cluster_frozen"] == "migration").then_some(())
    });
    lab.set(&format!("@datanode/hdfs-site.xml/{KEY}"), "480003");
    lab.until("the difference is seen", |lab| {
        let index = lab.unit(3)["index"].as_u64()?;
        (lab.verb(3, &["diff"]).status.code() == Some(2)).then_some(index)
    });
    assert_eq!((0..HOSTS).map(|host| lab.starts(host)).collect::<Vec<_>>(), before);
    assert!(lab.verb(4, &["thaw", "--cluster"]).status.success());
    lab.until("it goes on", |lab| (lab.done("480003") == usize::from(HOSTS)).then_some(()));
}

#[test]
fn rollout_two_at_once_within_the_window() {
    // A window that is closed today: it opened and closed in the minute before this one.
    let closed =
        "rollout {\n lock = \"agent/locks/dn\"\n max_parallel = 2\n window = \"WINDOW\"\n }";
    let now = chrono::Local::now();
    let at = |minutes: i64| (now + chrono::Duration::minutes(minutes)).format("%H:%M").to_string();
    let window = format!("{}-{}", at(180), at(240));
    let lab = Lab::start(&closed.replace("WINDOW", &window));
    lab.set(&format!("@datanode/hdfs-site.xml/{KEY}"), "480004");
    lab.until("every host waits for the window", |lab| {
        let waits = |host: u16| {
            let told = lab.unit(host)["rollout"].as_str().map(str::to_owned).unwrap_or_default();
            told.contains(&format!("the change window is {window}"))
        };
        (0..HOSTS).all(waits).then_some(())
    });
    assert_eq!(lab.done("480004"), 0);
    for host in 0..HOSTS {
        lab.configure(host, &closed.replace("WINDOW", "00:00-24:00"));
        lab.agents[usize::from(host)].as_ref().expect("it runs");
        tests::process::signal(
            lab.agents[usize::from(host)].as_ref().map(Guard::id).expect("it runs"),
            Signal::SIGHUP,
        );
    }
    let most = lab.roll("480005");
    assert!((1..=2).contains(&most), "{most} at once");
}

/// Answers every request as a daemon that is ready; says `active` to the path `/active`, else
/// `standby`.
fn pair() -> std::net::SocketAddr {
    use std::io::{Read as _, Write as _};
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("its address");
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut request = [0; 1024];
            let length = stream.read(&mut request).unwrap_or_default();
            let active = request[..length].starts_with(b"GET /active");
            let state = if active { "active" } else { "standby" };
            let body = format!("{{\"state\":\"{state}\"}}");
            let _ = write!(
                stream,
                "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}",
                body.len()
            );
        }
    });
    address
}

/// The active one of a service waits until both standbys have the change.
#[test]
fn rollout_standbys_first() {
    let consul = Consul::start().expect("a Consul");
    let health = pair();
    let key = "conf/hdfs/app.env/k";
    consul.put(key, "1");
    let agent = |state: &str, port: u16| {
        let mut agent = Agent::new();
        agent.configure(&format!(
            r#"consul {{ address = "{}" }}
unit "app{port}" {{
  command = ["/bin/sleep", "1000"]
  ready   = {{ http = "http://{health}/{state}" }}
  quiesce = {{ min = "10ms" }}
  service "app" {{
    port = {port}
  }}
  rollout {{
    lock  = "agent/locks/app"
    soak  = "300ms"
    gates = ["hdfs:standby-first"]
  }}
}}
"#,
            consul.address()
        ));
        agent.start();
        agent
    };
    let mut agents = [agent("active", 1), agent("standby", 2), agent("standby", 3)];
    // Agents of one host are told apart by their units.
    let unit = |agent: &Agent, number: usize| agent.unit(&format!("app{}", number + 1));
    for (number, agent) in agents.iter_mut().enumerate() {
        agent.until("it is ready", |agent| {
            let unit = unit(agent, number);
            (unit["ready"] == true && !unit["state"].is_null()).then_some(())
        });
    }
    tests::wait::until("two standbys in Consul", PATIENCE, || {
        let path = "/v1/health/service/app?tag=standby";
        let found = consul.must("GET", path, None).as_array().map(Vec::len);
        (found == Some(2)).then_some(())
    });
    consul.put(key, "2");
    let mut order = Vec::new();
    tests::wait::until("all three have it", PATIENCE, || {
        for (number, agent) in agents.iter().enumerate() {
            if unit(agent, number)["starts"] == 2 && !order.contains(&number) {
                order.push(number);
            }
        }
        (order.len() == agents.len()).then_some(())
    });
    assert_eq!(order.last(), Some(&0), "the active one last: {order:?}");
    let record = consul.must("GET", "/v1/kv/agent/locks/app.rollout?raw", None);
    let done = record["done"].as_array().expect("a list").len();
    assert!(done >= 2, "the standbys were well before the active one went: {record}");
}
