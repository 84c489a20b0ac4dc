//! `howdah agent` from outside, on a folder as its store: a unit is a small script that says what
//! configuration it runs with, or that it does not like it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// Nothing here takes longer on a working system, however loaded.
const PATIENCE: Duration = Duration::from_secs(60);

fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(start.elapsed() < PATIENCE, "never happened: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// A host: its store, its configuration, its state.
struct Host {
    root: tempfile::TempDir,
    agent: Option<Child>,
}

/// Notes the value it starts with; the value `bad` makes it end, `refused` in Hadoop's way.
const PROGRAM: &str = r#"
value=$(cat $1/app.env | sed -n 's/^k=//p')
echo "$value" >> $2/starts
echo $$ >> $2/pids
if [ "$value" = bad ]; then exit 1; fi
if [ "$value" = refused ]; then exit 2; fi
trap 'echo hup >> $2/reloads' HUP
trap 'exit 0' TERM
while true; do sleep 0.02; done
"#;

impl Host {
    fn new() -> Self {
        let host = Self { root: tempfile::tempdir().unwrap(), agent: None };
        fs::write(host.path("app.sh"), PROGRAM).unwrap();
        host.put("conf/app/app.env/k", "1");
        host.configure("");
        host
    }

    fn path(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    fn put(&self, key: &str, value: &str) {
        let path = self.path("kv").join(key);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, value).unwrap();
    }

    fn configure(&self, more: &str) {
        let root = self.root.path().display();
        // A port of its own per test would have to be found; the kernel finds one.
        let text = format!(
            "state_dir = \"{root}/state\"\nstore {{ files = \"{root}/kv\" }}\n\
             secrets {{ files = \"{root}/secrets\" }}\n\
             telemetry {{ listen = \"127.0.0.1:0\" }}\n\
             layer \"a\" {{ kv = \"conf/app/\" }}\n\
             unit \"app\" {{\n\
               command = [\"/bin/sh\", \"{root}/app.sh\", \"${{conf_dir}}\", \"{root}\"]\n\
               quiesce = {{ min = \"20ms\", max = \"1s\" }}\n\
               restart = {{ backoff = \"20ms\", cap = \"50ms\", max_failures = 5 }}\n\
               reload = {{ signal = \"SIGHUP\" }}\n\
               change = {{ reload = [\"live.*\"] }}\n\
               {more}\n}}\n"
        );
        fs::write(self.path("agent.hcl"), text).unwrap();
    }

    fn start(&mut self) {
        let child = Command::new(env!("CARGO_BIN_EXE_howdah"))
            .args(["agent", "--config"])
            .arg(self.path("agent.hcl"))
            .stderr(
                fs::OpenOptions::new().append(true).create(true).open(self.path("log")).unwrap(),
            )
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        self.agent = Some(child);
    }

    fn verb(&self, words: &[&str]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_howdah"))
            .args(words)
            .arg("--config")
            .arg(self.path("agent.hcl"))
            .output()
            .unwrap()
    }

    fn lines(&self, name: &str) -> Vec<String> {
        let text = fs::read_to_string(self.path(name)).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }

    fn wait_starts(&self, expected: &[&str]) {
        until(&format!("starts {expected:?}; log:\n{:?}", self.lines("log")), || {
            (self.lines("starts") == expected).then_some(())
        });
    }

    fn status(&self) -> serde_json::Value {
        serde_json::from_slice(&self.verb(&["status", "--json"]).stdout).unwrap_or_default()
    }

    fn wait_good(&self, number: &str) {
        until("a good generation", || {
            let good = fs::read_to_string(self.path("state/units/app/good")).unwrap_or_default();
            (good.trim() == number).then_some(())
        });
    }

    fn stop(&mut self) -> i32 {
        let mut child = self.agent.take().unwrap();
        let pid = Pid::from_raw(i32::try_from(child.id()).unwrap());
        kill(pid, Signal::SIGTERM).unwrap();
        child.wait().unwrap().code().unwrap()
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        if let Some(mut child) = self.agent.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

fn alive(pid: &str) -> bool {
    fs::read_to_string(Path::new("/proc").join(pid).join("stat"))
        .is_ok_and(|stat| !stat.rsplit(')').next().unwrap_or("").trim_start().starts_with('Z'))
}

#[test]
fn a_change_restarts_and_a_bad_one_changes_nothing() {
    let mut host = Host::new();
    host.start();
    host.wait_starts(&["1"]);
    host.put("conf/app/app.env/k", "2");
    host.wait_starts(&["1", "2"]);
    host.put("conf/app/app.env/k", "two\nlines");
    until("the status says why", || {
        let refused = host.status()["units"][0]["refused"].as_str().map(str::to_owned);
        refused.filter(|reason| reason.contains("line break")).map(drop)
    });
    assert_eq!(host.lines("starts"), ["1", "2"]);
    let told = String::from_utf8(host.verb(&["status"]).stdout).unwrap();
    assert!(told.contains("refused: app.env"), "{told}");
    assert_eq!(host.verb(&["diff"]).status.code(), Some(1));
    host.put("conf/app/app.env/k", "2");
    until("nothing is wrong any more", || {
        (host.verb(&["diff"]).status.code() == Some(0)).then_some(())
    });
    assert_eq!(host.stop(), 0);
}

#[test]
fn what_does_no_good_is_rolled_back() {
    for bad in ["bad", "refused"] {
        let mut host = Host::new();
        host.start();
        host.wait_starts(&["1"]);
        host.wait_good("1");
        host.put("conf/app/app.env/k", bad);
        until("it is rolled back", || {
            (host.status()["units"][0]["rolled_back_to"] == 1).then_some(())
        });
        until("the old value runs again", || {
            let starts = host.lines("starts");
            (starts.len() > 2 && starts.last().is_some_and(|value| value == "1")).then_some(())
        });
        let history = String::from_utf8(host.verb(&["history"]).stdout).unwrap();
        assert!(history.contains("rolled back") && history.contains("+k="), "{history}");
        // A better value is taken as always.
        host.put("conf/app/app.env/k", "3");
        until("the next one runs", || {
            host.lines("starts").last().is_some_and(|value| value == "3").then_some(())
        });
    }
}

#[test]
fn a_unit_that_never_gets_well_ends_the_agent() {
    let mut host = Host::new();
    host.put("conf/app/app.env/k", "bad");
    host.start();
    let code = host.agent.take().unwrap().wait().unwrap().code();
    assert_eq!(code, Some(1), "{:?}", host.lines("log"));
}

#[test]
fn reload_restart_freeze_and_back() {
    let mut host = Host::new();
    host.put("conf/app/live.txt", "a");
    host.start();
    host.wait_starts(&["1"]);
    host.wait_good("1");
    host.put("conf/app/live.txt", "b");
    until("it reloads", || (host.lines("reloads").len() == 1).then_some(()));
    assert_eq!(host.lines("starts"), ["1"]);
    assert!(host.verb(&["freeze"]).status.success());
    host.put("conf/app/app.env/k", "2");
    until("the difference shows", || (host.verb(&["diff"]).status.code() == Some(2)).then_some(()));
    assert!(host.verb(&["restart", "app"]).status.success());
    host.wait_starts(&["1", "1"]);
    assert!(host.verb(&["thaw"]).status.success());
    host.wait_starts(&["1", "1", "2"]);
    assert!(host.verb(&["rollback", "app"]).status.success());
    host.wait_starts(&["1", "1", "2", "1"]);
    let listed = String::from_utf8(host.verb(&["generations"]).stdout).unwrap();
    assert!(listed.contains("in force"), "{listed}");
}

#[test]
fn a_killed_agent_leaves_no_orphan_and_comes_back() {
    let mut host = Host::new();
    host.start();
    host.wait_starts(&["1"]);
    host.wait_good("1");
    let mut agent = host.agent.take().unwrap();
    agent.kill().unwrap();
    agent.wait().unwrap();
    until("the child is gone", || host.lines("pids").iter().all(|pid| !alive(pid)).then_some(()));
    // The store is gone too: the last good generation is enough.
    fs::remove_dir_all(host.path("kv")).unwrap();
    fs::write(host.path("kv"), "no folder").unwrap();
    host.start();
    host.wait_starts(&["1", "1"]);
    until("the status says so", || {
        (host.status()["units"][0]["last_good_in_use"] == true).then_some(())
    });
}

#[test]
fn sighup_takes_a_good_file_and_refuses_a_broken_one() {
    let mut host = Host::new();
    host.start();
    host.wait_starts(&["1"]);
    let pid = Pid::from_raw(i32::try_from(host.agent.as_ref().unwrap().id()).unwrap());
    fs::write(host.path("agent.hcl"), "clutser = 1\n").unwrap();
    kill(pid, Signal::SIGHUP).unwrap();
    until("the complaint", || {
        let told = host.lines("log").iter().any(|line| line.contains("did you mean cluster?"));
        told.then_some(())
    });
    host.configure("file \"*\" {}\n file \"extra.env\" { template = \"x={{node}}\" }");
    kill(pid, Signal::SIGHUP).unwrap();
    until("the new file", || host.path("state/units/app/conf/extra.env").exists().then_some(()));
}

#[test]
fn secrets_are_shown_nowhere() {
    let mut host = Host::new();
    fs::create_dir_all(host.path("secrets/app")).unwrap();
    fs::write(host.path("secrets/app/db"), "{\"password\": \"hunter2-canary\"}").unwrap();
    host.configure(
        "file \"*\" {}\n\
         file \"db.txt\" { template = \"{{secret \\\"app/db\\\" \\\"password\\\"}}\" }",
    );
    host.start();
    let file = host.path("state/units/app/conf/db.txt");
    until("the secret is there", || {
        (fs::read_to_string(&file).ok()? == "hunter2-canary").then_some(())
    });
    use std::os::unix::fs::PermissionsExt as _;
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    fs::write(host.path("secrets/app/db"), "{\"password\": \"hunter3-canary\"}").unwrap();
    for verb in ["status", "diff", "history", "generations", "render"] {
        for json in [&[][..], &["--json"]] {
            let output = host.verb(&[&[verb], json].concat());
            let all = [output.stdout, output.stderr].concat();
            assert!(!String::from_utf8_lossy(&all).contains("canary"), "{verb}");
        }
    }
    assert!(!host.lines("log").join("\n").contains("canary"));
    assert!(!host.lines("state/history.jsonl").join("\n").contains("canary"));
}
