//! `howdah dfs` and `howdah dfsadmin` beside Java's: the same words, the same output, the same
//! exit codes.

use std::process::{Command, Output};

use tests::binary::howdah;
use tests::cluster::{Cluster, Options};
use tests::hadoop;
use tests::judge::Judge;

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
