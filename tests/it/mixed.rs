//! Clusters of both implementations: Java's DataNode on our namenode, ours on Java's NameNode, and
//! both in one pipeline.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tests::hadoop::{self, Hadoop};
use tests::judge::Judge;
use tests::ports::Offset;
use tests::{java, ours, wait};

use crate::common;

/// Who runs a role.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum By {
    Us,
    Java,
}

/// A running daemon of either.
enum Running {
    Us(ours::Daemon),
    Java(java::Daemon),
}

impl Running {
    fn kill(self) {
        match self {
            Self::Us(daemon) => tests::process::kill_hard(daemon.id()),
            Self::Java(daemon) => tests::process::kill_hard(daemon.id()),
        }
    }
}

struct Mixed<'a> {
    hadoop: &'a Hadoop,
    offset: Offset,
    folder: PathBuf,
}

impl Mixed<'_> {
    /// Writes the configuration of the namenode (`None`) or of a datanode.
    fn conf(&self, datanode: Option<u16>, replication: usize) -> PathBuf {
        let mut properties = java::namenode_properties(&self.offset, &self.folder.join("name"));
        // Dead nodes are noticed soon.
        for (key, value) in [
            ("dfs.heartbeat.interval", "1".to_owned()),
            ("dfs.replication", replication.to_string()),
        ] {
            properties.push((key.to_owned(), value));
        }
        let conf = match datanode {
            None => self.folder.join("conf-nn"),
            Some(index) => {
                let data = self.folder.join(format!("data-{index}"));
                properties.extend(java::datanode_properties(&self.offset, index, &data));
                self.folder.join(format!("conf-dn-{index}"))
            }
        };
        let uri = format!("hdfs://127.0.0.1:{}", self.offset.port(8020));
        java::write_conf(&conf, &uri, &properties);
        conf
    }

    fn namenode(&self, by: By, replication: usize) -> Running {
        let (conf, port) = (self.conf(None, replication), self.offset.port(8020));
        let fresh = !self.folder.join("name").exists();
        match by {
            By::Us => {
                if fresh {
                    ours::Daemon::format(&conf);
                }
                Running::Us(ours::Daemon::start("namenode", &conf, port))
            }
            By::Java => {
                if fresh {
                    java::Daemon::format(self.hadoop, &conf, "mixed");
                }
                Running::Java(java::Daemon::namenode(self.hadoop, &conf, port))
            }
        }
    }

    fn datanode(&self, by: By, index: u16) -> Running {
        let conf = self.conf(Some(index), 1);
        let port = self.offset.port(9866) + 10 * index;
        match by {
            By::Us => Running::Us(ours::Daemon::start("datanode", &conf, port)),
            By::Java => Running::Java(java::Daemon::datanode(self.hadoop, &conf, port)),
        }
    }

    fn judge(&self, datanodes: usize) -> Judge {
        let judge = Judge::start(self.hadoop, &self.folder.join("conf-nn"));
        wait_for_datanodes(&judge, datanodes);
        judge
    }
}

fn wait_for_datanodes(judge: &Judge, datanodes: usize) {
    let wanted = format!("Live datanodes ({datanodes})");
    wait::until("the datanodes to register", Duration::from_secs(60), || {
        let safe = judge.dfsadmin(&["-safemode", "get"]).out.contains("OFF");
        (safe && judge.dfsadmin(&["-report", "-live"]).out.contains(&wanted)).then_some(())
    });
}

/// Puts a file, appends to it, reads it, checks its checksum and reads it again after a restart
/// of the datanodes.
fn exercise(judge: &Judge, local: &Path, name: &str) {
    let (source, back) = (local.join("source"), local.join("back"));
    let bytes = common::bytes(3, 5_000_123);
    fs::write(&source, &bytes).expect("a file");
    let source = source.to_str().expect("UTF-8");
    judge.fs(&["-put", source, name]).ok();
    judge.fs(&["-appendToFile", source, name]).ok();
    let _ = fs::remove_file(&back);
    judge.fs(&["-get", name, back.to_str().expect("UTF-8")]).ok();
    let expected = [bytes.as_slice(), bytes.as_slice()].concat();
    assert!(fs::read(&back).expect("got") == expected, "{name}: other bytes came back");
    let sum = judge.fs(&["-checksum", name]).ok();
    assert!(sum.contains("CRC32C"), "{sum}");
}

fn read_back(judge: &Judge, local: &Path, name: &str) {
    let back = local.join("back");
    let _ = fs::remove_file(&back);
    wait::until("the file to be readable", Duration::from_secs(60), || {
        let _ = fs::remove_file(&back);
        (judge.fs(&["-get", name, back.to_str().expect("UTF-8")]).code == 0).then_some(())
    });
    let bytes = common::bytes(3, 5_000_123);
    assert!(fs::read(&back).expect("got") == [bytes.as_slice(), bytes.as_slice()].concat());
}

fn one_of_each(hadoop: &Hadoop, namenode: By, datanode: By) {
    let folder = tempfile::tempdir().expect("a folder");
    let mixed = Mixed { hadoop, offset: Offset::take(), folder: folder.path().to_owned() };
    let _namenode = mixed.namenode(namenode, 1);
    let running = mixed.datanode(datanode, 0);
    let judge = mixed.judge(1);
    exercise(&judge, folder.path(), "/file");
    assert_eq!(judge.fs(&["-rm", "-skipTrash", "/file"]).code, 0);
    exercise(&judge, folder.path(), "/file");
    running.kill();
    let _again = mixed.datanode(datanode, 0);
    read_back(&judge, folder.path(), "/file");
}

#[test]
fn a_datanode_of_java_on_our_namenode() {
    let Some(hadoop) = hadoop::for_test("a_datanode_of_java_on_our_namenode") else { return };
    one_of_each(hadoop, By::Us, By::Java);
}

#[test]
fn our_datanode_on_a_namenode_of_java() {
    let Some(hadoop) = hadoop::for_test("our_datanode_on_a_namenode_of_java") else { return };
    one_of_each(hadoop, By::Java, By::Us);
}

/// Our datanode goes on with the blocks of Java's, and Java's with ours.
#[test]
fn datanodes_take_turns_on_one_folder() {
    let Some(hadoop) = hadoop::for_test("datanodes_take_turns_on_one_folder") else { return };
    let folder = tempfile::tempdir().expect("a folder");
    let mixed = Mixed { hadoop, offset: Offset::take(), folder: folder.path().to_owned() };
    let _namenode = mixed.namenode(By::Us, 1);
    let mut names = Vec::<String>::new();
    for (round, by) in [By::Java, By::Us, By::Java, By::Us].into_iter().enumerate() {
        let running = mixed.datanode(by, 0);
        let judge = mixed.judge(1);
        for name in &names {
            read_back(&judge, folder.path(), name);
        }
        let name = format!("/round{round}");
        exercise(&judge, folder.path(), &name);
        names.push(name);
        running.kill();
    }
}

/// One datanode of each in the pipeline of every block; either alone still has every byte.
#[test]
fn both_datanodes_in_one_pipeline() {
    let Some(hadoop) = hadoop::for_test("both_datanodes_in_one_pipeline") else { return };
    let folder = tempfile::tempdir().expect("a folder");
    let mixed = Mixed { hadoop, offset: Offset::take(), folder: folder.path().to_owned() };
    let _namenode = mixed.namenode(By::Us, 2);
    let java = mixed.datanode(By::Java, 0);
    let us = mixed.datanode(By::Us, 1);
    let judge = mixed.judge(2);
    exercise(&judge, folder.path(), "/file");
    java.kill();
    read_back(&judge, folder.path(), "/file");
    let java = mixed.datanode(By::Java, 0);
    wait_for_datanodes(&judge, 2);
    us.kill();
    read_back(&judge, folder.path(), "/file");
    drop(java);
}
