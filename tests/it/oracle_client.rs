//! The edge cases of the client protocol: exact exception class and first line, as Java's
//! NameNode 3.4.2 answers them, and Hadoop's own contract tests.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use tests::cluster::{Cluster, Options};
use tests::java::{self, Daemon};
use tests::judge::Judge;
use tests::ports::Offset;
use tests::{golden, hadoop, root};

/// Case to answer, in the order they were asked.
fn cases(text: &str) -> Vec<(String, String)> {
    let split = |line: &str| {
        let (name, answer) = line.split_once('\t').unwrap_or((line, ""));
        (name.to_owned(), answer.to_owned())
    };
    text.lines().map(split).collect()
}

#[test]
fn edge_cases_answer_like_java() {
    let Some(hadoop) = hadoop::for_test("edge_cases_answer_like_java") else { return };
    if std::env::var_os("HOWDAH_BLESS").is_some() {
        return bless(hadoop);
    }
    let cluster = Cluster::start(Options::default());
    let answers = Judge::start(hadoop, &cluster.conf()).run(&["probe"]);
    fs::write(hadoop.classes.with_file_name("edge-cases-ours.txt"), &answers.out).expect("cache");
    let ours: BTreeMap<String, String> = cases(&answers.clone().ok()).into_iter().collect();
    let java = cases(&String::from_utf8(golden::file("edge-cases.txt")).expect("UTF-8"));
    let later = String::from_utf8(golden::file("edge-cases-later.txt")).expect("UTF-8");
    let later: BTreeSet<&str> = later.lines().filter(|line| !line.starts_with('#')).collect();
    let mut wrong = Vec::new();
    for (name, wanted) in &java {
        let answer = ours.get(name).map_or("(not asked)", String::as_str);
        match (answer == wanted, later.contains(name.as_str())) {
            (true, false) => {}
            (true, true) => wrong.push(format!("{name}: right now; take it off the list")),
            // What is not done yet is refused in words, not by a broken connection.
            (false, true) if !answer.starts_with("local ") => {}
            (false, _) => wrong.push(format!("{name}:\n    java {wanted}\n    ours {answer}")),
        }
    }
    assert!(wrong.is_empty(), "{} of {} cases:\n{}", wrong.len(), java.len(), wrong.join("\n"));
}

/// Asks a Java NameNode and keeps its answers as the golden file.
fn bless(hadoop: &hadoop::Hadoop) {
    let folder = tempfile::tempdir().expect("a folder");
    let offset = Offset::take();
    let conf = folder.path().join("conf");
    let mut properties = java::namenode_properties(&offset, &folder.path().join("name"));
    properties.extend(java::datanode_properties(&offset, 0, &folder.path().join("data")));
    java::write_conf(&conf, &format!("hdfs://127.0.0.1:{}", offset.port(8020)), &properties);
    Daemon::format(hadoop, &conf, "blessed");
    let _namenode = Daemon::namenode(hadoop, &conf, offset.port(8020));
    let _datanode = Daemon::datanode(hadoop, &conf, offset.port(9866));
    let judge = Judge::start(hadoop, &conf);
    tests::wait::until("a live datanode", std::time::Duration::from_secs(60), || {
        let report = judge.dfsadmin(&["-report", "-live"]).out;
        report.contains("Live datanodes (1)").then_some(())
    });
    let answers = judge.run(&["probe"]).ok();
    fs::write(root().join("tests/golden/edge-cases.txt"), answers).expect("a golden file");
}

/// Hadoop's contract tests that a cluster of this stage can pass, over the wire.
#[test]
fn contract_tests_of_hadoop() {
    let Some(hadoop) = hadoop::for_test("contract_tests_of_hadoop") else { return };
    let options = Options::default().set("dfs.namenode.fs-limits.min-block-size", "0");
    let cluster = Cluster::start(options);
    let judge = Judge::start(hadoop, &cluster.conf());
    let classes = [
        "RootDirectory",
        "Create",
        "Open",
        "Mkdir",
        "Delete",
        "Rename",
        "GetFileStatus",
        "Seek",
        "SetTimes",
        "Append",
        "Unbuffer",
    ];
    let names =
        classes.map(|name| format!("org.apache.hadoop.fs.contract.hdfs.TestHDFSContract{name}"));
    let uri = cluster.uri();
    let mut words = vec!["junit", &uri];
    words.extend(names.iter().map(String::as_str));
    let answer = judge.run(&words);
    assert_eq!(answer.code, 0, "{}\n{}", answer.out, answer.err);
}
