//! Java's shell (`hdfs dfs`, `hdfs dfsadmin`) against a dev cluster: what a user types, what it
//! prints, and how it exits.

use std::fs;
use std::time::Duration;

use tests::cluster::{Cluster, Options};
use tests::hadoop;
use tests::judge::Judge;
use tests::wait;

use crate::common;

#[test]
fn the_shell_of_java() {
    let Some(hadoop) = hadoop::for_test("the_shell_of_java") else { return };
    let cluster = Cluster::start(Options::default());
    let judge = Judge::start(hadoop, &cluster.conf());
    let local = tempfile::tempdir().expect("a folder");
    let file = local.path().join("small");
    fs::write(&file, common::bytes(1, 3_000_000)).expect("a file");
    let file = file.to_str().expect("UTF-8");

    names_and_listings(&judge, file);
    contents(&judge, file, local.path());
    attributes(&judge);
    removal(&judge);
    administration(&judge);
}

fn names_and_listings(judge: &Judge, file: &str) {
    assert_eq!(judge.fs(&["-mkdir", "/d"]).ok(), "");
    assert_eq!(judge.fs(&["-mkdir", "/d"]).code, 1, "it exists");
    judge.fs(&["-mkdir", "-p", "/d/e/f", "/d/g"]).ok();
    judge.fs(&["-put", file, "/d/small"]).ok();
    let again = judge.fs(&["-put", file, "/d/small"]);
    assert_eq!((again.code, again.err.contains("File exists")), (1, true), "{again:?}");
    judge.fs(&["-put", "-f", file, "/d/small"]).ok();
    judge.fs(&["-touchz", "/d/zero"]).ok();
    let listing = judge.fs(&["-ls", "/d"]).ok();
    assert!(listing.starts_with("Found 4 items\n"), "{listing}");
    let line = listing.lines().find(|line| line.ends_with("/d/small")).expect("listed");
    let words: Vec<&str> = line.split_whitespace().collect();
    assert_eq!((words[0], words[1], words[4]), ("-rw-r--r--", "3", "3000000"), "{line}");
    let deep = judge.fs(&["-ls", "-R", "-C", "/d"]).ok();
    assert_eq!(deep, "/d/e\n/d/e/f\n/d/g\n/d/small\n/d/zero\n");
    judge.fs(&["-mv", "/d/zero", "/d/e/zero2"]).ok();
    judge.fs(&["-cp", "/d/small", "/d/copy"]).ok();
    let found = judge.fs(&["-find", "/d", "-name", "zero*"]).ok();
    assert_eq!(found, "/d/e/zero2\n");
    let missing = judge.fs(&["-ls", "/nope"]);
    assert_eq!(missing.code, 1);
    assert_eq!(missing.err.trim(), "ls: `/nope': No such file or directory");
}

fn contents(judge: &Judge, file: &str, local: &std::path::Path) {
    let back = local.join("back");
    judge.fs(&["-get", "/d/small", back.to_str().expect("UTF-8")]).ok();
    assert!(fs::read(&back).expect("got") == fs::read(file).expect("put"), "other bytes came back");
    let text = local.join("text");
    fs::write(&text, "one\ntwo\nthree\n").expect("a file");
    let text = text.to_str().expect("UTF-8");
    judge.fs(&["-put", text, "/d/text"]).ok();
    assert_eq!(judge.fs(&["-cat", "/d/text"]).ok(), "one\ntwo\nthree\n");
    assert_eq!(judge.fs(&["-tail", "/d/text"]).ok(), "one\ntwo\nthree\n");
    assert_eq!(judge.fs(&["-head", "/d/text"]).ok(), "one\ntwo\nthree\n");
    judge.fs(&["-appendToFile", text, "/d/text"]).ok();
    assert_eq!(judge.fs(&["-cat", "/d/text"]).ok(), "one\ntwo\nthree\none\ntwo\nthree\n");
    let sum = judge.fs(&["-checksum", "/d/small"]).ok();
    let sum_of_copy = judge.fs(&["-checksum", "/d/copy"]).ok();
    let digest = |line: &str| line.split_whitespace().nth(2).map(str::to_owned);
    assert!(sum.contains("MD5-of-0MD5-of-512CRC32C"), "{sum}");
    assert_eq!(digest(&sum), digest(&sum_of_copy));
    let merged = local.join("merged");
    judge.fs(&["-getmerge", "/d/text", merged.to_str().expect("UTF-8")]).ok();
    assert_eq!(fs::read(merged).expect("merged").len(), 28);
}

fn attributes(judge: &Judge) {
    judge.fs(&["-chmod", "640", "/d/text"]).ok();
    judge.fs(&["-chown", "alice:staff", "/d/text"]).ok();
    let stat = judge.fs(&["-stat", "%a %u %g %b %r %o %n %F", "/d/text"]).ok();
    assert_eq!(stat, "640 alice staff 28 3 134217728 text regular file\n");
    judge.fs(&["-setrep", "-w", "2", "/d/text"]).ok();
    assert_eq!(judge.fs(&["-stat", "%r", "/d/text"]).ok(), "2\n");
    judge.fs(&["-touch", "-t", "20200102:030405", "/d/text"]).ok();
    assert!(judge.fs(&["-stat", "/d/text"]).ok().starts_with("2020-01-02 "));
    let usage = judge.fs(&["-du", "-s", "/d"]).ok();
    let numbers: Vec<u64> = usage.split_whitespace().filter_map(|word| word.parse().ok()).collect();
    assert_eq!(numbers, [6_000_028, 6_000_000 * 3 + 28 * 2], "{usage}");
    let count = judge.fs(&["-count", "/d"]).ok();
    let numbers: Vec<&str> = count.split_whitespace().collect();
    assert_eq!(numbers, ["4", "4", "6000028", "/d"]);
    for (flag, path, code) in [
        ("-e", "/d/text", 0),
        ("-e", "/nope", 1),
        ("-d", "/d", 0),
        ("-d", "/d/text", 1),
        ("-z", "/d/e/zero2", 0),
        ("-f", "/d/text", 0),
    ] {
        assert_eq!(judge.fs(&["-test", flag, path]).code, code, "-test {flag} {path}");
    }
}

fn removal(judge: &Judge) {
    assert_eq!(judge.fs(&["-rm", "-skipTrash", "/d/text"]).ok(), "Deleted /d/text\n");
    let directory = judge.fs(&["-rm", "/d"]);
    assert_eq!(directory.err.trim(), "rm: `/d': Is a directory");
    let full = judge.fs(&["-rmdir", "/d"]);
    assert_eq!(full.err.trim(), "rmdir: `/d': Directory is not empty");
    judge.fs(&["-rmdir", "/d/g"]).ok();
    assert_eq!(judge.fs(&["-rm", "-r", "-skipTrash", "/d"]).ok(), "Deleted /d\n");
    let gone = judge.fs(&["-rm", "/d"]);
    assert_eq!((gone.code, gone.err.trim()), (1, "rm: `/d': No such file or directory"));
}

fn administration(judge: &Judge) {
    let report = judge.dfsadmin(&["-report"]).ok();
    assert!(report.contains("Live datanodes (3):"), "{report}");
    assert!(report.contains("Under replicated blocks: 0"), "{report}");
    assert_eq!(judge.dfsadmin(&["-safemode", "get"]).ok(), "Safe mode is OFF\n");
    assert_eq!(judge.dfsadmin(&["-safemode", "enter"]).ok(), "Safe mode is ON\n");
    let refused = judge.fs(&["-mkdir", "/in-safe-mode"]);
    assert!(refused.err.contains("Name node is in safe mode"), "{refused:?}");
    assert_eq!(judge.dfsadmin(&["-saveNamespace"]).ok(), "Save namespace successful\n");
    assert_eq!(judge.dfsadmin(&["-safemode", "leave"]).ok(), "Safe mode is OFF\n");
    judge.dfsadmin(&["-rollEdits"]).ok();
    let topology = judge.dfsadmin(&["-printTopology"]).ok();
    assert!(topology.contains("/default-rack"), "{topology}");
    let free = judge.fs(&["-df", "/"]).ok();
    assert!(free.starts_with("Filesystem"), "{free}");
}

/// `-reconfig`: properties, start and status, for a namenode and a datanode. In dev the agent has
/// told them already what changed, so there is nothing left to change.
#[test]
fn java_starts_a_reconfiguration() {
    let Some(hadoop) = hadoop::for_test("java_starts_a_reconfiguration") else { return };
    let cluster = Cluster::start(Options::datanodes(1));
    let judge = Judge::start(hadoop, &cluster.conf());
    let nodes = [
        ("namenode", 8020, "dfs.namenode.replication.max-streams"),
        ("datanode", 9867, "dfs.datanode.data.dir"),
    ];
    for (role, port, key) in nodes {
        let address = format!("127.0.0.1:{}", cluster.offset().port(port));
        let ask = |what: &str| judge.dfsadmin(&["-reconfig", role, &address, what]).ok();
        let properties = ask("properties");
        assert!(properties.contains("Reconfigurable properties:"), "{properties}");
        assert!(properties.lines().any(|line| line == key), "{properties}");
        let none = ask("status");
        assert!(none.contains("no task was found."), "{none}");
        let started = ask("start");
        assert!(started.contains("Started reconfiguration task on node"), "{started}");
        wait::until("the end of a reconfiguration", Duration::from_secs(20), || {
            ask("status").contains("and finished at").then_some(())
        });
    }
}

/// A file of 1 GiB through Java's client and back, three replicas.
#[test]
fn a_gibibyte_through_java() {
    let Some(hadoop) = hadoop::for_test("a_gibibyte_through_java") else { return };
    let cluster = Cluster::start(Options::default());
    let judge = Judge::start(hadoop, &cluster.conf());
    let local = tempfile::tempdir().expect("a folder");
    let (source, back) = (local.path().join("source"), local.path().join("back"));
    let sum = common::write_big(&source, common::big_size());
    judge.fs(&["-put", source.to_str().expect("UTF-8"), "/big"]).ok();
    assert_eq!(judge.fs(&["-stat", "%r", "/big"]).ok(), "3\n");
    fs::remove_file(&source).expect("there");
    judge.fs(&["-get", "/big", back.to_str().expect("UTF-8")]).ok();
    assert_eq!(common::sum_of(&back), sum, "other bytes came back");
}
