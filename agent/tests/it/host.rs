//! A host under test: a folder as the store, and a small script as the unit's program.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// Nothing here takes longer on a working system, however loaded.
const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
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
pub(crate) struct Host {
    pub(crate) root: tempfile::TempDir,
    pub(crate) agent: Option<Child>,
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
while true; do sleep 1000 & wait $!; done
"#;

impl Host {
    pub(crate) fn new() -> Self {
        let host = Self { root: tempfile::tempdir().unwrap(), agent: None };
        fs::write(host.path("app.sh"), PROGRAM).unwrap();
        host.put("conf/app/app.env/k", "1");
        host.configure("");
        host
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    pub(crate) fn put(&self, key: &str, value: &str) {
        let path = self.path("kv").join(key);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, value).unwrap();
    }

    pub(crate) fn configure(&self, more: &str) {
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

    pub(crate) fn start(&mut self) {
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

    pub(crate) fn verb(&self, words: &[&str]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_howdah"))
            .args(words)
            .arg("--config")
            .arg(self.path("agent.hcl"))
            .output()
            .unwrap()
    }

    pub(crate) fn lines(&self, name: &str) -> Vec<String> {
        let text = fs::read_to_string(self.path(name)).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }

    pub(crate) fn wait_starts(&self, expected: &[&str]) {
        until(&format!("starts {expected:?}; log:\n{:?}", self.lines("log")), || {
            (self.lines("starts") == expected).then_some(())
        });
    }

    pub(crate) fn status(&self) -> serde_json::Value {
        serde_json::from_slice(&self.verb(&["status", "--json"]).stdout).unwrap_or_default()
    }

    pub(crate) fn wait_good(&self, number: &str) {
        until("a good generation", || {
            let good = fs::read_to_string(self.path("state/units/app/good")).unwrap_or_default();
            (good.trim() == number).then_some(())
        });
    }

    pub(crate) fn stop(&mut self) -> i32 {
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

pub(crate) fn alive(pid: &str) -> bool {
    fs::read_to_string(Path::new("/proc").join(pid).join("stat"))
        .is_ok_and(|stat| !stat.rsplit(')').next().unwrap_or("").trim_start().starts_with('Z'))
}
