//! An agent that is killed at any moment leaves no process and no half generation behind, and the
//! next one starts what is needed once.

use std::fs;
use std::time::{Duration, Instant};

use crate::host::{Host, alive, until};

/// How often it is killed.
const ROUNDS: u64 = 200;

/// Leaves children behind that want to outlive it: in its group, and out of it.
const PROGRAM: &str = r#"
sleep 3600 &
echo $! >> $2/pids
setsid sleep 3600 &
echo $! >> $2/pids
value=$(cat $1/a.txt)
echo "$value" >> $2/starts
echo $$ >> $2/pids
trap 'exit 0' TERM
while true; do sleep 0.02; done
"#;

/// Both files of the generation in force, which are of one value.
fn in_force(host: &Host) -> Option<String> {
    // The folder is one generation; the link may be swapped between two looks through it.
    let folder = fs::canonicalize(host.path("state/units/app/conf")).ok()?;
    let read = |name: &str| fs::read_to_string(folder.join(name)).expect("a file in force");
    let (a, b) = (read("a.txt"), read("b.txt"));
    assert_eq!(a, b, "a half generation");
    Some(a)
}

fn all_gone(host: &Host) {
    until("no process is left", || host.lines("pids").iter().all(|pid| !alive(pid)).then_some(()));
}

#[test]
fn killed_two_hundred_times() {
    let mut host = Host::new();
    fs::write(host.path("app.sh"), PROGRAM).unwrap();
    host.put("conf/app/v", "0");
    let file =
        |name: &str| format!("file \"{name}\" {{ template = \"{{{{key \\\"conf/app/v\\\"}}}}\" }}");
    host.configure(&format!("{}\n{}", file("a.txt"), file("b.txt")));
    // A fixed sequence of moments: a failure can be had again.
    let mut seed = 7_u64;
    let mut moment = |most: u64| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33) % most
    };
    for round in 1..=ROUNDS {
        let before = host.lines("starts").len();
        host.start();
        let (kill_at, put_at) = (moment(250), moment(250));
        let start = Instant::now();
        let mut puts = 0;
        while start.elapsed() < Duration::from_millis(kill_at) {
            if puts == 0 && start.elapsed() >= Duration::from_millis(put_at) {
                host.put("conf/app/v", &round.to_string());
                puts = 1;
            }
            in_force(&host);
        }
        let mut agent = host.agent.take().unwrap();
        agent.kill().unwrap();
        agent.wait().unwrap();
        all_gone(&host);
        in_force(&host);
        let starts = host.lines("starts").len() - before;
        assert!(starts <= 1 + puts, "round {round}: {starts} starts, {puts} changes");
    }
    host.put("conf/app/v", "last");
    let before = host.lines("starts").len();
    host.start();
    until("the last value runs", || {
        host.lines("starts").last().is_some_and(|value| value == "last").then_some(())
    });
    assert_eq!(in_force(&host).as_deref(), Some("last"));
    let starts = host.lines("starts").len() - before;
    assert!(starts <= 2, "{starts} starts for one change");
    // The program starts before what is kept no longer is removed.
    until("nothing half done is left", || {
        let entries = fs::read_dir(host.path("state/units/app/generations")).unwrap();
        let mut names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        (!names.any(|name| name.ends_with(".staging") || name.ends_with(".tmp"))).then_some(())
    });
    assert_eq!(host.stop(), 0);
    all_gone(&host);
}
