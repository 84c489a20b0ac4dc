//! `howdah agent` from outside, on a folder as its store: a unit is a small script that says what
//! configuration it runs with, or that it does not like it.

use std::fs;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::host::{Host, alive, until};

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
        // Another agent knows that, too: it starts with what did good, and tries nothing.
        assert_eq!(host.stop(), 0);
        let before = host.lines("starts").len();
        host.start();
        until("the status says so again", || {
            (host.status()["units"][0]["rolled_back_to"] == 1).then_some(())
        });
        until("it runs", || (host.lines("starts").len() > before).then_some(()));
        assert_eq!(host.lines("starts")[before..], ["1"]);
        // An operator's restart is another try.
        assert!(host.verb(&["restart", "app"]).status.success());
        until("it was tried", || {
            host.lines("starts")[before..].contains(&bad.to_owned()).then_some(())
        });
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

#[test]
fn a_slow_check_holds_up_nothing_else() {
    let mut host = Host::new();
    // Refuses the value 2, slowly: as long as the file `wait` is there.
    let check = "while [ -e $2/wait ]; do sleep 0.02; done; ! grep -q k=2 $1/app.env || exit 1";
    fs::write(host.path("check.sh"), check).unwrap();
    let root = host.root.path().display().to_string();
    host.configure(&format!(
        "validate = {{ command = [\"/bin/sh\", \"{root}/check.sh\", \"${{staged_dir}}\", \
         \"{root}\"], timeout = \"60s\" }}"
    ));
    host.start();
    host.wait_starts(&["1"]);
    host.wait_good("1");
    fs::write(host.path("wait"), "").unwrap();
    host.put("conf/app/app.env/k", "2");
    // While the check runs the child is looked after, and orders are taken.
    assert!(host.verb(&["restart", "app"]).status.success());
    host.wait_starts(&["1", "1"]);
    fs::remove_file(host.path("wait")).unwrap();
    until("the refusal", || {
        let status = host.status();
        let refused = status["units"][0]["refused"].as_str().map(str::to_owned);
        refused.filter(|reason| reason.contains("refuses the files")).map(drop)
    });
    host.put("conf/app/app.env/k", "3");
    host.wait_starts(&["1", "1", "3"]);
}

#[test]
fn sighup_changes_how_units_are_run() {
    let mut host = Host::new();
    host.start();
    host.wait_starts(&["1"]);
    host.configure("env = { NEW = \"1\" }");
    let pid = Pid::from_raw(i32::try_from(host.agent.as_ref().unwrap().id()).unwrap());
    kill(pid, Signal::SIGHUP).unwrap();
    host.wait_starts(&["1", "1"]);
    let environment = fs::read(format!("/proc/{}/environ", host.lines("pids")[1])).unwrap();
    assert!(String::from_utf8_lossy(&environment).contains("NEW=1"));
    // Nothing new, nothing done.
    kill(pid, Signal::SIGHUP).unwrap();
    assert!(host.verb(&["restart", "--rolling"]).status.success());
    host.wait_starts(&["1", "1", "1"]);
}

#[test]
fn drift_is_seen_and_repaired() {
    let mut host = Host::new();
    host.start();
    host.wait_starts(&["1"]);
    host.wait_good("1");
    let file = host.path("state/units/app/conf/app.env");
    fs::write(&file, "k=by hand\n").unwrap();
    // Any news makes the agent look; by itself it looks every half a minute.
    host.put("conf/other/x", "1");
    until("it is written again", || {
        (fs::read_to_string(&file).ok()?.contains("k=1")).then_some(())
    });
    let history = String::from_utf8(host.verb(&["history"]).stdout).unwrap();
    assert!(history.contains("drift app.env was changed; they are written again"), "{history}");
    assert_eq!(host.lines("starts"), ["1"]);
}
