//! What users get wrong: one line that names the thing and the remedy, exit code 2, nothing
//! written.

use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use tests::binary::howdah;
use tests::cluster::{Cluster, Options};
use tests::ports::Offset;

use crate::full_disk::Mount;

fn run(words: &[&str]) -> Output {
    let command = &mut Command::new(howdah());
    command.args(words).stdin(Stdio::null()).env_remove("RUST_BACKTRACE");
    command.output().expect("howdah starts")
}

/// Exit code 2 and one line that contains every word; clap's usage help may follow for syntax.
#[track_caller]
fn refused(words: &[&str], names: &[&str]) -> String {
    let output = run(words);
    let complaint = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2), "{words:?}: {complaint}");
    for name in names {
        assert!(complaint.contains(name), "{words:?}: {name} is not named: {complaint}");
    }
    for sign in ["panicked", "stack backtrace", "RUST_BACKTRACE"] {
        assert!(!complaint.contains(sign), "{words:?}: {complaint}");
    }
    complaint
}

#[track_caller]
fn one_line(words: &[&str], names: &[&str]) {
    let complaint = refused(words, names);
    assert_eq!(complaint.trim_end().lines().count(), 1, "{words:?}: {complaint}");
}

#[test]
fn unknown_words() {
    refused(&["frobnicate"], &["frobnicate"]);
    refused(&["dev", "--frobnicate"], &["--frobnicate"]);
    refused(&["dev", "--port-offset", "many"], &["many", "--port-offset"]);
    refused(&["dev", "--datanodes", "-1"], &["--datanodes"]);
    one_line(&["dev", "--data", "/tmp/x", "--port-offset", "60000"], &["60000"]);
}

/// `dev` on a folder prepared by `prepare`, at free ports.
fn dev(data: &Path, offset: u16) -> Vec<String> {
    ["dev", "--data", data.to_str().expect("UTF-8"), "--port-offset", &offset.to_string()]
        .map(str::to_owned)
        .into()
}

fn words(words: &[String]) -> Vec<&str> {
    words.iter().map(String::as_str).collect()
}

#[test]
fn values_of_the_wrong_kind() {
    let folder = tempfile::tempdir().expect("a folder");
    let (data, offset) = (folder.path().join("data"), Offset::take());
    for (key, value) in [
        ("dfs.replication", "many"),
        ("dfs.namenode.handler.count", "-3"),
        ("dfs.heartbeat.interval", "soon"),
        ("dfs.permissions.enabled", "perhaps"),
    ] {
        let store = data.join("kv/conf/hdfs/hdfs-site.xml");
        let _ = fs::remove_dir_all(&store);
        fs::create_dir_all(&store).expect("a folder");
        fs::write(store.join(key), value).expect("a key");
        one_line(&words(&dev(&data, offset.value())), &[key, value]);
        assert!(!data.join("namenode").exists(), "{key}: nothing is formatted");
    }
}

#[test]
fn a_port_in_use() {
    let folder = tempfile::tempdir().expect("a folder");
    let (data, offset) = (folder.path().join("data"), Offset::take());
    for port in [8020, 9870, 9866] {
        let port = offset.port(port);
        let _taken = TcpListener::bind(("127.0.0.1", port)).expect("a free port");
        one_line(&words(&dev(&data, offset.value())), &[&port.to_string()]);
        assert!(!data.join("namenode/current").exists(), "nothing is formatted");
    }
}

/// Replaces a line of a VERSION file.
fn forge(path: &Path, key: &str, value: &str) {
    let text = fs::read_to_string(path).expect("a VERSION file");
    let line = |line: &str| {
        let own = line.split_once('=').is_some_and(|(name, _)| name == key);
        if own { format!("{key}={value}\n") } else { format!("{line}\n") }
    };
    fs::write(path, text.lines().map(line).collect::<String>()).expect("writable");
}

#[test]
fn folders_that_must_not_be_used() {
    let mut cluster = Cluster::start(Options::datanodes(1));
    cluster.stop();
    let data = cluster.data().to_owned();
    let words_of_dev = dev(&data, cluster.offset().value());
    let of_datanode = cluster.data_folder(0).join("current/VERSION");
    let original = fs::read(&of_datanode).expect("a VERSION file");
    forge(&of_datanode, "clusterID", "CID-of-another");
    one_line(&words(&words_of_dev), &["CID-of-another"]);
    fs::write(&of_datanode, original).expect("writable");

    let of_namenode = cluster.name_folder().join("current/VERSION");
    let original = fs::read(&of_namenode).expect("a VERSION file");
    forge(&of_namenode, "layoutVersion", "-99");
    one_line(&words(&words_of_dev), &["-99"]);
    let conf = data.join("run/namenode/conf");
    one_line(&["namenode", "--conf", conf.to_str().expect("UTF-8")], &["-99"]);
    fs::write(&of_namenode, original).expect("writable");
    cluster.launch();
    // A running cluster's folder belongs to it.
    one_line(&words(&words_of_dev), &[data.to_str().expect("UTF-8")]);
}

#[test]
fn a_read_only_disk() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("mount");
    let _mount = match Mount::new(&path, 4, ",ro") {
        Ok(mount) => mount,
        Err(reason) => return tests::skip("a_read_only_disk", &reason),
    };
    let offset = Offset::take();
    let data = path.join("data");
    one_line(&words(&dev(&data, offset.value())), &[data.to_str().expect("UTF-8")]);
}

#[test]
fn daemons_without_what_they_need() {
    let folder = tempfile::tempdir().expect("a folder");
    let conf = folder.path().join("conf");
    for role in ["namenode", "datanode"] {
        one_line(&[role, "--conf", "/nonexistent"], &["/nonexistent"]);
        fs::create_dir_all(&conf).expect("a folder");
        fs::write(conf.join("hdfs-site.xml"), "<configuration><property>").expect("a file");
        one_line(&[role, "--conf", conf.to_str().expect("UTF-8")], &["hdfs-site.xml"]);
    }
    let offset = Offset::take();
    let properties = tests::java::namenode_properties(&offset, &folder.path().join("name"));
    tests::java::write_conf(&conf, "hdfs://127.0.0.1:1", &properties);
    // Not formatted.
    one_line(&["namenode", "--conf", conf.to_str().expect("UTF-8")], &["name", "format"]);
    assert!(!folder.path().join("name/current").exists());
}
