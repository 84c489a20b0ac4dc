//! Restart, stop order and the fate of children, seen from outside.
//!
//! Each test re-executes this test program as the agent (`helper`), so that the agent can be
//! signalled and killed like the real one. What children do they write into files.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use howdah::actuators::generations::Generations;
use howdah::actuators::process::Program;
use howdah::core::{Outcome, Policy};
use howdah::driver::{Driver, Unit, Wanted, Wants};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// Nothing here takes longer on a working system, however loaded.
const PATIENCE: Duration = Duration::from_secs(60);

/// Waits for a state.
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

fn alive(pid: i32) -> bool {
    // A zombie is dead; only its parent has not asked yet.
    fs::read_to_string(format!("/proc/{pid}/stat"))
        .is_ok_and(|stat| !stat.rsplit(')').next().unwrap_or("").trim_start().starts_with('Z'))
}

fn lines(path: &Path) -> Vec<String> {
    fs::read_to_string(path).unwrap_or_default().lines().map(str::to_owned).collect()
}

/// The agent's process and what it says.
struct Agent {
    child: Child,
    output: BufReader<std::process::ChildStdout>,
}

impl Agent {
    fn start(root: &Path, scripts: &[(&str, &str)]) -> Self {
        for (name, script) in scripts {
            fs::write(root.join(format!("{name}.sh")), script).unwrap();
        }
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "supervision::helper", "--nocapture", "--test-threads=1"])
            .env("HOWDAH_TEST_ROOT", root)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        Self { child, output }
    }

    fn pid(&self) -> Pid {
        Pid::from_raw(i32::try_from(self.child.id()).unwrap())
    }

    fn wait_ready(&mut self) {
        let mut line = String::new();
        while !line.contains("ready:") {
            line.clear();
            assert_ne!(self.output.read_line(&mut line).unwrap(), 0, "the agent ended early");
        }
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Not a test of its own: the agent's side of the tests below.
#[test]
fn helper() {
    let Some(root) = std::env::var_os("HOWDAH_TEST_ROOT").map(PathBuf::from) else { return };
    let mut names: Vec<String> = fs::read_dir(&root)
        .unwrap()
        .filter_map(|entry| Some(entry.ok()?.file_name().to_str()?.strip_suffix(".sh")?.to_owned()))
        .collect();
    names.sort();
    let units: Vec<Unit> = names.iter().map(|name| unit(&root, name)).collect();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let outcome = runtime.block_on(async {
        let launcher = PathBuf::from(env!("CARGO_BIN_EXE_howdah"));
        let changed = Arc::new(tokio::sync::Notify::new());
        let wanted = names.iter().map(|name| wanted(name)).collect();
        Driver::new(units, Static, changed, launcher).unwrap().run(wanted).await
    });
    std::process::exit(match outcome.0 {
        Outcome::Stopped => 0,
        Outcome::Refused(_) => 2,
        Outcome::GaveUp(_) => 1,
    });
}

/// A unit runs `ROOT/NAME.sh`; the number its name starts with is its rank.
fn unit(root: &Path, name: &str) -> Unit {
    let script = root.join(format!("{name}.sh"));
    Unit {
        name: name.to_owned(),
        generations: Generations::new(&root.join(name), root.join(name).join("conf")),
        program: Some(Program {
            path: "/bin/sh".into(),
            arguments: vec![script.into(), root.as_os_str().to_owned()],
            ..Program::default()
        }),
        policy: Policy {
            backoff_ms: 50,
            backoff_ms_max: 400,
            failures_max: 5,
            stop_timeout_ms: 500,
            stop_rank: name.as_bytes()[0] - b'0',
            ..Policy::default()
        },
    }
}

/// A unit whose name ends in `x` never becomes healthy: nobody answers on port 1.
fn wanted(name: &str) -> Wanted {
    let health = name.ends_with('x').then(|| "127.0.0.1:1".to_owned());
    Wanted { health, ..Wanted::default() }
}

struct Static;

impl Wants for Static {
    fn read(&mut self) -> Result<Vec<Wanted>, String> {
        Err("this never changes".to_owned())
    }

    fn ready(&mut self, _: &[Wanted]) {
        println!("ready:");
    }
}

/// Notes its process id and stays, until asked to stop.
const STAYS: &str = r#"
trap 'echo "$(basename $0 .sh)" >> $1/stopped; exit 0' TERM
echo $$ >> $1/$(basename $0 .sh).pids
while true; do sleep 0.02; done
"#;

/// Notes its process id and stays, whatever is asked, with a child of its own.
const STUBBORN: &str = r#"
trap '' TERM
sleep 1000 &
echo $$ $! >> $1/$(basename $0 .sh).pids
while true; do sleep 0.02; done
"#;

fn pids(root: &Path, name: &str) -> Vec<i32> {
    let text = fs::read_to_string(root.join(format!("{name}.pids"))).unwrap_or_default();
    text.split_whitespace().map(|word| word.parse().unwrap()).collect()
}

#[test]
fn the_dead_come_back() {
    let root = tempfile::tempdir().unwrap();
    let mut agent = Agent::start(root.path(), &[("0a", STAYS)]);
    agent.wait_ready();
    for round in 1..=3 {
        let pids = until("the child runs", || {
            let pids = pids(root.path(), "0a");
            (pids.len() == round).then_some(pids)
        });
        kill(Pid::from_raw(pids[round - 1]), Signal::SIGKILL).unwrap();
    }
    until("a fourth child runs", || (pids(root.path(), "0a").len() == 4).then_some(()));
}

#[test]
fn stops_in_order_and_leaves_with_0() {
    let root = tempfile::tempdir().unwrap();
    let scripts = [("1namenode", STAYS), ("0datanode", STAYS), ("0other", STUBBORN)];
    let mut agent = Agent::start(root.path(), &scripts);
    agent.wait_ready();
    let stubborn = until("all children run", || {
        let all = scripts.iter().all(|(name, _)| !pids(root.path(), name).is_empty());
        all.then(|| pids(root.path(), "0other"))
    });
    kill(agent.pid(), Signal::SIGTERM).unwrap();
    assert_eq!(agent.child.wait().unwrap().code(), Some(0));
    // The last rank was only asked after the stubborn one was killed.
    assert_eq!(lines(&root.path().join("stopped")), ["0datanode", "1namenode"]);
    until("the killed one's own child is gone", || {
        stubborn.iter().all(|pid| !alive(*pid)).then_some(())
    });
}

#[test]
fn no_orphans_when_the_agent_is_killed() {
    let root = tempfile::tempdir().unwrap();
    let mut agent = Agent::start(root.path(), &[("0a", STAYS), ("1b", STAYS)]);
    agent.wait_ready();
    let children = until("the children run", || {
        let all = [pids(root.path(), "0a"), pids(root.path(), "1b")].concat();
        (all.len() == 2).then_some(all)
    });
    kill(agent.pid(), Signal::SIGKILL).unwrap();
    until("the children are gone", || children.iter().all(|pid| !alive(*pid)).then_some(()));
    assert!(lines(&root.path().join("stopped")).is_empty(), "nobody asked them politely");
}

#[test]
fn a_refused_configuration_ends_the_start() {
    let root = tempfile::tempdir().unwrap();
    let scripts = [("0x", "exit 2\n"), ("1b", STAYS)];
    let mut agent = Agent::start(root.path(), &scripts);
    assert_eq!(agent.child.wait().unwrap().code(), Some(2));
    for pid in pids(root.path(), "1b") {
        assert!(!alive(pid));
    }
}
