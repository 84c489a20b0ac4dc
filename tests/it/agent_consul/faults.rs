//! At least 200 faults between agents and a real Consul, and of that Consul, while values change.
//!
//! Three agents, each behind a proxy of its own. Each has a unit whose four keys always change
//! together, under two prefixes, and one whose key never changes. Held all the time: files that are
//! shown belong together; the program is started once per change at most, and never with an old
//! value; the other one is started once.

use std::fs;
use std::panic::AssertUnwindSafe;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use serde_json::json;
use tests::process;
use tests::stack::{Agent, Consul, Fault, Proxy};
use tests::wait;

use super::{PATIENCE, command, lines, shown, write};

/// Faults of each agent's connections.
const ROUNDS: usize = 63;

/// The agents.
const AGENTS: usize = 3;

/// Convergence after a repair: 5 s are promised; a busy machine gets more.
const HEALED_MAX: Duration = Duration::from_secs(15);

/// What connections meet, in turns.
const FAULTS: [Fault; 12] = [
    Fault::Refuse,
    Fault::Reset,
    Fault::Garbage,
    Fault::Status(429),
    Fault::Status(500),
    Fault::Status(403),
    Fault::HalfJson,
    Fault::Cut(40),
    Fault::Cut(260),
    Fault::Stall(120),
    Fault::BlackHole,
    Fault::Delay(Duration::from_millis(30)),
];

/// Secret id of the token of the agents, in its first and its second life.
const TOKENS: [&str; 2] =
    ["7a0c9f3e-0001-4000-8000-000000000001", "7a0c9f3e-0002-4000-8000-000000000002"];

/// An agent, its proxy, and what was last written for it.
struct Host {
    agent: Agent,
    proxy: Proxy,
    name: String,
    version: usize,
    healed: Vec<Duration>,
}

impl Host {
    fn start(consul: &Consul, name: &str) -> Self {
        let proxy = Proxy::start(&consul.address());
        let agent = super::agent(proxy.address(), "");
        let folder = agent.folder().to_owned();
        fs::write(folder.join("token"), TOKENS[0]).expect("a token file");
        agent.configure(&format!(
            "consul {{\n address = \"{}\"\n token_file = \"{}\"\n}}\n\
             layer \"a\" {{ kv = \"conf/{name}/${{unit.name}}/\" }}\n\
             layer \"b\" {{ kv = \"more/{name}/${{unit.name}}/\" }}\n\
             unit \"app\" {{\n command = {}\n quiesce = {{ min = \"5ms\", max = \"1s\" }}\n}}\n\
             unit \"steady\" {{\n command = {}\n quiesce = {{ min = \"5ms\", max = \"1s\" }}\n}}\n",
            proxy.address(),
            folder.join("token").display(),
            command(&folder, "starts"),
            command(&folder, "steady"),
        ));
        let mut host = Self { agent, proxy, name: name.to_owned(), version: 0, healed: Vec::new() };
        host.write(consul);
        host.agent.start();
        host.converge(Instant::now());
        host.healed.clear();
        host
    }

    /// The next version, all keys in one transaction.
    fn write(&mut self, consul: &Consul) {
        self.version += 1;
        self.write_again(consul);
    }

    fn write_again(&self, consul: &Consul) {
        let (name, value) = (&self.name, self.version.to_string());
        let keys = [
            format!("conf/{name}/app/app.env/k"),
            format!("conf/{name}/app/b.env/k"),
            format!("more/{name}/app/c.env/k"),
            format!("more/{name}/app/d.env/k"),
        ];
        let steady = format!("conf/{name}/steady/app.env/k");
        let mut all: Vec<_> = keys.iter().map(|key| (key.as_str(), value.as_bytes(), 0)).collect();
        all.push((&steady, b"always", 0));
        write(consul, &all);
    }

    /// Waits until the last version is shown and runs, and notes how long since the repair.
    fn converge(&mut self, repaired: Instant) {
        let (conf, starts) = (self.agent.conf("app"), self.agent.folder().join("starts"));
        let (wanted, version) = (format!("k={}\n", self.version), self.version.to_string());
        self.agent.until(&format!("version {version}"), |_| {
            let files = shown(&conf)?;
            (files.len() == 4 && files.values().all(|text| *text == wanted)).then_some(())
        });
        self.healed.push(repaired.elapsed());
        self.agent.until("a program with it", |_| {
            lines(&starts).last().is_some_and(|value| *value == version).then_some(())
        });
    }

    /// One fault of the connections, with a change under it, and the repair.
    fn suffer(&mut self, consul: &Consul, fault: Fault) {
        let met = self.proxy.accepted();
        self.proxy.set(fault);
        self.write(consul);
        if fault != Fault::Refuse {
            wait::until("a connection that meets the fault", PATIENCE, || {
                (self.proxy.accepted() > met).then_some(())
            });
        }
        self.proxy.set(Fault::None);
        self.converge(Instant::now());
    }

    /// What must be so at the end.
    fn judge(&mut self) {
        let folder = self.agent.folder().to_owned();
        assert_eq!(lines(&folder.join("steady")), ["always"], "it was restarted for nothing");
        let starts: Vec<usize> =
            lines(&folder.join("starts")).iter().map(|n| n.parse().expect("a number")).collect();
        let rising = starts.windows(2).all(|pair| pair[0] < pair[1]);
        assert!(rising, "started with an old value, or twice with one: {starts:?}");
        assert_eq!(starts.last(), Some(&self.version));
        assert_eq!(self.agent.unit("app")["refused"], json!(null));
        assert_eq!(self.agent.stop(), Some(0));
    }
}

/// Looks at the files all the time; how often it could.
fn watch(confs: &[PathBuf], done: &AtomicBool) -> usize {
    let mut looks = 0;
    while !done.load(Ordering::Relaxed) {
        for conf in confs {
            let Some(files) = shown(conf) else { continue };
            // Removed while it was read: of an older generation, and no use to anybody.
            if files.len() < 4 && shown(conf).as_ref() != Some(&files) {
                continue;
            }
            let values: Vec<&String> = files.values().collect();
            assert!(values.len() == 4 && values.iter().all(|v| *v == values[0]), "{files:?}");
            looks += 1;
        }
        std::thread::yield_now();
    }
    looks
}

/// The policy and token of the agents, as a fresh Consul needs them.
fn admit(consul: &Consul, secret: &str) -> String {
    let rules = "key_prefix \"\" { policy = \"read\" } node_prefix \"\" { policy = \"read\" } \
                 service_prefix \"\" { policy = \"read\" }";
    let policy = json!({"Name": format!("p-{secret}"), "Rules": rules});
    let policy = consul.must("PUT", "/v1/acl/policy", Some(&policy));
    let body = json!({"SecretID": secret, "Policies": [{"ID": policy["ID"]}]});
    let token = consul.must("PUT", "/v1/acl/token", Some(&body));
    token["AccessorID"].as_str().expect("an accessor").to_owned()
}

fn everyone(hosts: &mut [Host], repaired: Instant) {
    hosts.iter_mut().for_each(|host| host.converge(repaired));
}

/// Faults of Consul itself, which all agents meet.
fn faults_of_consul(consul: &mut Consul, hosts: &mut [Host]) -> usize {
    let refused = |host: &Host| {
        let error = host.agent.status()["sources"]["consul-kv"].as_str().map(str::to_owned);
        error.filter(|error| !error.is_empty())
    };
    let all_refused = |hosts: &[Host]| {
        wait::until("every agent to say what is wrong", PATIENCE, || {
            hosts.iter().all(|host| refused(host).is_some()).then_some(())
        });
    };
    let mut faults = 0;
    // Stopped and started; killed, so that it has no leader while it comes back.
    for hard in [false, true] {
        if let (true, Some(id)) = (hard, consul.process()) {
            process::kill_hard(id);
        }
        consul.stop();
        all_refused(hosts);
        consul.launch();
        hosts.iter_mut().for_each(|host| host.write(consul));
        everyone(hosts, Instant::now());
        faults += hosts.len();
    }
    // Frozen: it accepts and never answers.
    let id = consul.process().expect("it runs");
    let met: Vec<usize> = hosts.iter().map(|host| host.proxy.accepted()).collect();
    process::signal(id, Signal::SIGSTOP);
    hosts.iter().for_each(|host| host.proxy.set(Fault::None));
    wait::until("questions to a frozen Consul", PATIENCE, || {
        let asked = hosts.iter().zip(&met).all(|(host, met)| host.proxy.accepted() > *met);
        asked.then_some(())
    });
    process::signal(id, Signal::SIGCONT);
    hosts.iter_mut().for_each(|host| host.write(consul));
    everyone(hosts, Instant::now());
    faults += hosts.len();
    // Emptied, then restored.
    for _ in 0..3 {
        // At once: half of the keys is a configuration, if a strange one.
        let tree = |key| json!({"KV": {"Verb": "delete-tree", "Key": key}});
        consul.must("PUT", "/v1/txn", Some(&json!([tree("conf/"), tree("more/")])));
        wait::until("every agent to refuse an empty store", PATIENCE, || {
            let refuses = |host: &Host| host.agent.unit("app")["refused"].is_string();
            hosts.iter().all(refuses).then_some(())
        });
        hosts.iter_mut().for_each(|host| host.write(consul));
        everyone(hosts, Instant::now());
        faults += hosts.len();
    }
    // Another history from a low index: without a token, then empty, then as it was.
    consul.start_over();
    all_refused(hosts);
    admit(consul, TOKENS[0]);
    hosts.iter_mut().for_each(|host| host.write(consul));
    everyone(hosts, Instant::now());
    faults + hosts.len() + revoked(consul, hosts)
}

/// The token revoked, and another one in its place.
fn revoked(consul: &Consul, hosts: &mut [Host]) -> usize {
    let tokens = consul.must("GET", "/v1/acl/tokens", None);
    let tokens = tokens.as_array().cloned().unwrap_or_default();
    let root = "initial_management";
    for token in tokens {
        let (id, about) = (token["AccessorID"].as_str(), token["Description"].to_string());
        let ours = token["SecretID"] == TOKENS[0] || token["SecretID"] == TOKENS[1];
        if let (Some(id), true) = (id, ours && !about.contains(root)) {
            consul.must("DELETE", &format!("/v1/acl/token/{id}"), None);
        }
    }
    wait::until("every agent to be refused", PATIENCE, || {
        let refused = |host: &Host| {
            let error = host.agent.status()["sources"]["consul-kv"].to_string();
            error.contains("403")
        };
        // A question that waits was allowed when it was asked.
        hosts.iter().for_each(|host| host.proxy.set(Fault::None));
        hosts.iter().all(refused).then_some(())
    });
    admit(consul, TOKENS[1]);
    for host in hosts.iter_mut() {
        host.write(consul);
        fs::write(host.agent.folder().join("token"), TOKENS[1]).expect("a token file");
    }
    everyone(hosts, Instant::now());
    hosts.len()
}

#[test]
fn agent_consul_two_hundred_faults() {
    let test = "agent_consul_two_hundred_faults";
    let mut consul = match Consul::start_with_acl() {
        Ok(consul) => consul,
        Err(reason) => return tests::skip(test, &reason),
    };
    admit(&consul, TOKENS[0]);
    let mut hosts: Vec<Host> =
        (0..AGENTS).map(|n| Host::start(&consul, &format!("h{n}"))).collect();
    let confs: Vec<PathBuf> = hosts.iter().map(|host| host.agent.conf("app")).collect();
    let (done, faults) = (AtomicBool::new(false), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        let watcher = scope.spawn(|| watch(&confs, &done));
        let survived = std::thread::scope(|scope| {
            let suffer = |(n, host): (usize, &mut Host)| {
                for round in 0..ROUNDS {
                    host.suffer(&consul, FAULTS[(round + 4 * n) % FAULTS.len()]);
                    faults.fetch_add(1, Ordering::Relaxed);
                }
            };
            let hosts = hosts.iter_mut().enumerate();
            let threads: Vec<_> = hosts.map(|each| scope.spawn(move || suffer(each))).collect();
            // All are joined: one that is left would end this scope with the watcher at work.
            let failed = threads.into_iter().filter_map(|thread| thread.join().err()).count();
            failed == 0
        });
        let more = survived.then(|| {
            let more = AssertUnwindSafe(|| faults_of_consul(&mut consul, &mut hosts));
            std::panic::catch_unwind(more).ok()
        });
        done.store(true, Ordering::Relaxed);
        let looks = watcher.join().expect("files that are shown belong together");
        let more = more.flatten().expect("every fault is survived");
        let faults = faults.load(Ordering::Relaxed) + more;
        assert!(faults >= 200, "{faults} faults");
        println!("{faults} faults; {looks} looks at files that belong together");
    });
    let mut healed: Vec<Duration> =
        hosts.iter().flat_map(|host| host.healed.iter().copied()).collect();
    healed.sort();
    let (half, most) = (healed[healed.len() / 2], healed[healed.len() - 1]);
    let ninth = healed[healed.len() * 99 / 100];
    println!("repaired to converged: p50 {half:?}, p99 {ninth:?}, longest {most:?}");
    hosts.iter_mut().for_each(Host::judge);
    assert!(most < HEALED_MAX, "converged {most:?} after a repair");
}
