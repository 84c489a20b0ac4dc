//! `howdah dfs` and `howdah dfsadmin` beside Java's: the same words, the same output, the same
//! exit codes. And our own verbs where nobody reads what they print.

use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use nix::sys::signal::Signal;
use tests::binary::howdah;
use tests::cluster::{Cluster, Options};
use tests::hadoop;
use tests::judge::Judge;
use tests::ports::Offset;
use tests::process::Guard;
use tests::stack::call_text;
use tests::wait;

use crate::common;

fn ours(cluster: &Cluster, verb: &str, words: &[&str]) -> Output {
    let mut command = Command::new(howdah());
    command.arg(verb).args(words).env("HADOOP_CONF_DIR", cluster.conf());
    command.output().expect("howdah starts")
}

/// Runs the same words with both, `@` standing for a folder of its own for each.
#[track_caller]
fn same(cluster: &Cluster, judge: &Judge, words: &[&str]) {
    let with = |root: &str| words.iter().map(|word| word.replace('@', root)).collect::<Vec<_>>();
    let (for_us, for_java) = (with("/ours"), with("/java"));
    let us = ours(cluster, "dfs", &for_us.iter().map(String::as_str).collect::<Vec<_>>());
    let java = judge.fs(&for_java.iter().map(String::as_str).collect::<Vec<_>>());
    let (out, err) = (String::from_utf8_lossy(&us.stdout), String::from_utf8_lossy(&us.stderr));
    let neutral = |text: &str| text.replace("/java", "/ours").trim_end().to_owned();
    let code = us.status.code();
    assert_eq!(code, Some(java.code & 0xff), "{words:?}: ours {out}{err}, Java's {java:?}");
    assert_eq!(neutral(&out), neutral(&java.out), "{words:?}: standard output");
    assert_eq!(neutral(&err), neutral(&java.err), "{words:?}: standard error");
}

#[test]
fn the_words_of_dfs() {
    let Some(hadoop) = hadoop::for_test("the_words_of_dfs") else { return };
    let cluster = Cluster::start(Options::default());
    let judge = Judge::start(hadoop, &cluster.conf());
    let local = tempfile::tempdir().expect("a folder");
    let file = local.path().join("file");
    std::fs::write(&file, common::bytes(5, 100_000)).expect("a file");
    let text = local.path().join("text");
    std::fs::write(&text, "one\ntwo\nthree\n").expect("a file");
    let (file, text) = (file.to_str().expect("UTF-8"), text.to_str().expect("UTF-8"));
    let table: Vec<Vec<&str>> = vec![
        vec!["-mkdir", "@"],
        vec!["-mkdir", "@"],
        vec!["-mkdir", "@/no/parent"],
        vec!["-mkdir", "-p", "@/a/b/c"],
        vec!["-put", file, "@/file"],
        vec!["-put", file, "@/file"],
        vec!["-put", "-f", text, "@/text"],
        vec!["-put", "/nonexistent", "@/x"],
        vec!["-cat", "@/text"],
        vec!["-cat", "@/none"],
        vec!["-tail", "@/text"],
        vec!["-touchz", "@/zero"],
        vec!["-ls", "-C", "@"],
        vec!["-ls", "@/none"],
        vec!["-stat", "%a %b %F %n %o %r %u %g", "@/file"],
        vec!["-stat", "%n", "@/none"],
        vec!["-test", "-e", "@/file"],
        vec!["-test", "-d", "@/file"],
        vec!["-test", "-z", "@/zero"],
        vec!["-test", "-e", "@/none"],
        vec!["-chmod", "600", "@/text"],
        vec!["-chmod", "u+x,g=r", "@/text"],
        vec!["-chown", "alice:staff", "@/text"],
        vec!["-stat", "%a %u %g", "@/text"],
        vec!["-setrep", "2", "@/text"],
        vec!["-mv", "@/text", "@/a/text"],
        vec!["-mv", "@/none", "@/a/none"],
        vec!["-ls", "-R", "-C", "@"],
        vec!["-du", "@"],
        vec!["-du", "-s", "@"],
        vec!["-count", "@"],
        vec!["-rm", "@/a"],
        vec!["-rm", "@/none"],
        vec!["-rm", "-skipTrash", "@/zero"],
        vec!["-rm", "-r", "-skipTrash", "@"],
    ];
    for words in &table {
        same(&cluster, &judge, words);
    }
}

#[test]
fn the_words_of_dfsadmin() {
    let Some(hadoop) = hadoop::for_test("the_words_of_dfsadmin") else { return };
    let cluster = Cluster::start(Options::default());
    let judge = Judge::start(hadoop, &cluster.conf());
    for words in [["-safemode", "get"], ["-safemode", "enter"], ["-safemode", "leave"]] {
        let us = ours(&cluster, "dfsadmin", &words);
        let java = judge.dfsadmin(&words);
        assert_eq!(String::from_utf8_lossy(&us.stdout), java.out, "{words:?}");
        assert_eq!(us.status.code(), Some(java.code));
    }
    let us = ours(&cluster, "dfsadmin", &["-report"]);
    let java = judge.dfsadmin(&["-report"]).ok();
    // Times and free space move between the two calls.
    let steady = |text: &str| {
        let moving =
            ["Last contact", "Last Block Report", "Remaining", "Non DFS", "Used", "Xceivers"];
        let lines = text.lines().filter(|line| !moving.iter().any(|word| line.contains(word)));
        lines.map(str::trim_end).collect::<Vec<_>>().join("\n").trim().to_owned()
    };
    assert_eq!(steady(&String::from_utf8_lossy(&us.stdout)), steady(&java));
}

/// An agent's configuration that needs no server: a folder of files.
fn configure(folder: &Path, telemetry: &str) {
    let text = format!(
        "state_dir = \"{0}/state\"\n{telemetry}\nlayer \"x\" {{ files = \"{0}/layer\" }}\n\
         unit \"u\" {{\n  file \"a.conf\" {{ template = \"some = text\" }}\n}}\n",
        folder.display()
    );
    std::fs::create_dir_all(folder.join("layer")).expect("a folder");
    std::fs::write(folder.join("agent.hcl"), text).expect("a file");
    std::fs::write(folder.join("core-site.xml"), "<configuration/>").expect("a file");
}

/// `howdah VERB | head` used to die of a panic, with a message and the exit code 101, when the
/// reader went away. It ends like other tools: without a word, and as by SIGPIPE for a shell.
#[test]
fn a_reader_that_goes_away_is_no_trouble() {
    let folder = tempfile::tempdir().expect("a folder");
    configure(folder.path(), "");
    let config = folder.path().join("agent.hcl").display().to_string();
    for words in [
        &["version"][..],
        &["validate", "--json", "--config", &config],
        &["render", "--config", &config],
        &["diff", "--config", &config],
        &["generations", "--json", "--config", &config],
        &["getconf", "-confKey", "dfs.replication"],
        &["dfsadmin", "-help"],
    ] {
        let (reader, writer) = std::io::pipe().expect("a pipe");
        drop(reader);
        let mut command = Command::new(howdah());
        command.args(words).env("HADOOP_CONF_DIR", folder.path()).stdout(writer);
        let unread = command.stderr(Stdio::piped()).output().expect("howdah starts");
        let said = String::from_utf8_lossy(&unread.stderr);
        // `generations` has none yet to print.
        let quiet = words[0] == "generations" && unread.status.code() == Some(0);
        assert!(quiet || unread.status.code() == Some(141), "{words:?}: {:?}", unread.status);
        assert!(!said.contains("panic") && !said.contains("Broken"), "{words:?}: {said}");
    }
}

/// An address beyond loopback is taken where it is asked for, and only shows. (This one is the
/// mapped form of loopback: no test listens to the network.)
#[test]
fn an_agent_seen_from_other_hosts_only_shows() {
    let (folder, offset) = (tempfile::tempdir().expect("a folder"), Offset::take());
    let port = offset.port(9180);
    configure(folder.path(), &format!("telemetry {{ listen = \"[::ffff:127.0.0.1]:{port}\" }}"));
    let config = folder.path().join("agent.hcl");
    let mut command = Command::new(howdah());
    command.args(["agent", "--config"]).arg(&config).stderr(Stdio::null());
    let mut agent = Guard::new(command.spawn().expect("howdah starts"));
    let call = |method: &str, path: &str| {
        call_text(&format!("127.0.0.1:{port}"), method, path, &[], None).ok()
    };
    let (_, metrics) = wait::until("the agent's metrics", Duration::from_secs(60), || {
        assert!(agent.status().is_none(), "it ended");
        call("GET", "/metrics")
            .filter(|(status, text)| *status == 200 && text.contains("agent_generation{"))
    });
    assert!(metrics.contains("unit=\"u\""), "{metrics}");
    for path in ["/healthz", "/v1/status"] {
        assert_eq!(call("GET", path).map(|(status, _)| status), Some(200), "{path}");
    }
    for path in ["/v1/restart?unit=u", "/v1/rollback?unit=u", "/v1/freeze", "/v1/thaw"] {
        assert_eq!(call("POST", path).map(|(status, _)| status), Some(404), "{path}");
        assert_eq!(call("GET", path).map(|(status, _)| status), Some(404), "{path}");
    }
    for path in ["/healthz", "/metrics", "/v1/status"] {
        assert_eq!(call("POST", path).map(|(status, _)| status), Some(405), "{path}");
    }
    agent.signal(Signal::SIGTERM);
    assert_eq!(agent.wait(Duration::from_secs(20)).and_then(|status| status.code()), Some(0));
}
