//! Hadoop's own readers on our folders, and each implementation's namenode on the other's.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tests::cluster::{Cluster, Options};
use tests::hadoop::{self, Hadoop};
use tests::java::{self, Daemon};
use tests::judge::Judge;
use tests::ports::Offset;
use tests::{golden, ours, root, wait};

/// What `ls -R` says, without the replication column's dash and with one entry a line.
fn tree(judge: &Judge) -> Vec<String> {
    let listing = judge.fs(&["-ls", "-R", "/"]).ok();
    let words = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
    listing.lines().map(words).collect()
}

/// Copies a folder.
fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a folder");
    for entry in fs::read_dir(from).expect("a folder").flatten() {
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &target);
        } else if entry.file_name() != "in_use.lock" {
            fs::copy(entry.path(), target).expect("a copy");
        }
    }
}

/// Files of a name folder whose name begins so, in order.
fn files(folder: &Path, prefix: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder.join("current")).expect("a name folder").flatten();
    let paths = entries.map(|entry| entry.path());
    let mut paths: Vec<PathBuf> = paths
        .filter(|path| {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            name.starts_with(prefix) && !name.ends_with(".md5")
        })
        .collect();
    paths.sort();
    paths
}

/// Runs an offline viewer over a file.
fn view(judge: &Judge, tool: &str, processor: &str, input: &Path) -> String {
    let out = tempfile::NamedTempFile::new().expect("a file");
    let (input, output) = (input.display().to_string(), out.path().display().to_string());
    judge.run(&[tool, "-p", processor, "-i", &input, "-o", &output]).ok();
    fs::read_to_string(out.path()).expect("the viewer's text")
}

/// Saves the namespace.
fn save(judge: &Judge) {
    judge.dfsadmin(&["-safemode", "enter"]).ok();
    judge.dfsadmin(&["-saveNamespace"]).ok();
    judge.dfsadmin(&["-safemode", "leave"]).ok();
}

/// `Delimited` in the words of `ls -R`: mode, replication, owner, group, length, path.
fn delimited(judge: &Judge, image: &Path) -> BTreeSet<String> {
    let text = view(judge, "oiv", "Delimited", image);
    let rows = text.lines().skip(1).map(|line| line.split('\t').collect::<Vec<_>>());
    rows.filter(|row| row[0] != "/")
        .map(|row| {
            let directory = row[9].starts_with('d');
            let replication = if directory { "-" } else { row[1] };
            format!("{} {replication} {} {} {} {}", row[9], row[10], row[11], row[6], row[0])
        })
        .collect()
}

/// `ls -R` without the date.
fn without_dates(tree: &[String]) -> BTreeSet<String> {
    let cut = |line: &String| {
        let words: Vec<&str> = line.splitn(8, ' ').collect();
        [&words[..5], &words[7..]].concat().join(" ")
    };
    tree.iter().map(cut).collect()
}

#[test]
fn the_viewers_agree_with_the_listing() {
    let Some(hadoop) = hadoop::for_test("the_viewers_agree_with_the_listing") else { return };
    let cluster = Cluster::start(Options::default());
    let judge = Judge::start(hadoop, &cluster.conf());
    judge.run(&["churn", "/one", "1"]).ok();
    let listed = tree(&judge);
    save(&judge);
    let name = cluster.name_folder();
    let images = files(&name, "fsimage_");
    let image = images.last().expect("a saved image");
    assert_eq!(delimited(&judge, image), without_dates(&listed));
    let xml = view(&judge, "oiv", "XML", image);
    // 26 inodes below the root of this tree, and the root.
    assert_eq!(xml.matches("<inode>").count(), listed.len() + 1);
    let corruption = view(&judge, "oiv", "DetectCorruption", image);
    assert_eq!(corruption.lines().count(), 1, "only the heading: {corruption}");

    let edits = files(&name, "edits_");
    assert!(edits.len() >= 2, "a finalized segment and the open one: {edits:?}");
    let mut next = 1;
    for segment in &edits {
        let xml = view(&judge, "oev", "XML", segment);
        for piece in xml.split("<TXID>").skip(1) {
            let txid: u64 = piece.split('<').next().unwrap_or("").parse().expect("a number");
            assert_eq!(txid, next, "in {}", segment.display());
            next += 1;
        }
    }
    // Java logs the same for the same calls: compare the counts with its own segment.
    let java =
        root().join("tests/golden/java-name/current/edits_0000000000000000001-0000000000000000120");
    let (java, ours) = (opcodes(&judge, &java), opcodes(&judge, &edits[0]));
    assert_eq!(ours, java, "operations in the segment of the same calls");
}

/// How often each operation stands in a segment.
fn opcodes(judge: &Judge, segment: &Path) -> BTreeMap<String, usize> {
    let xml = view(judge, "oev", "XML", segment);
    let mut count = BTreeMap::new();
    for piece in xml.split("<OPCODE>").skip(1) {
        let name = piece.split('<').next().unwrap_or_default();
        *count.entry(name.to_owned()).or_default() += 1;
    }
    count
}

/// A namenode's folder, configuration and port.
struct Site {
    conf: PathBuf,
    name: PathBuf,
    offset: Offset,
}

impl Site {
    fn new(folder: &Path) -> Self {
        let (conf, name, offset) = (folder.join("conf"), folder.join("name"), Offset::take());
        let mut properties = java::namenode_properties(&offset, &name);
        // Nobody reports blocks here.
        properties.push(("dfs.namenode.safemode.threshold-pct".to_owned(), "0".to_owned()));
        let uri = format!("hdfs://127.0.0.1:{}", offset.port(8020));
        java::write_conf(&conf, &uri, &properties);
        Self { conf, name, offset }
    }

    fn rpc(&self) -> u16 {
        self.offset.port(8020)
    }

    fn judge(&self, hadoop: &Hadoop) -> Judge {
        let judge = Judge::start(hadoop, &self.conf);
        wait::until("safe mode to end", Duration::from_secs(60), || {
            judge.dfsadmin(&["-safemode", "get"]).out.contains("OFF").then_some(())
        });
        judge
    }
}

/// Five rounds of one implementation after the other on one folder, each adding to the tree.
#[test]
fn namenodes_take_turns_on_one_folder() {
    let Some(hadoop) = hadoop::for_test("namenodes_take_turns_on_one_folder") else { return };
    let folder = tempfile::tempdir().expect("a folder");
    let site = Site::new(folder.path());
    ours::Daemon::format(&site.conf);
    let mut expected = Vec::new();
    for round in 0..5 {
        let step = |judge: &Judge, expected: &mut Vec<String>| {
            assert_eq!(&tree(judge), expected, "round {round}");
            judge.fs(&["-mkdir", "-p", &format!("/round{round}/a/b")]).ok();
            judge.fs(&["-touchz", &format!("/round{round}/a/file")]).ok();
            judge.fs(&["-mv", &format!("/round{round}/a/b"), &format!("/round{round}/b")]).ok();
            judge.fs(&["-chmod", "750", &format!("/round{round}")]).ok();
            if round % 2 == 1 || round == 4 {
                save(judge);
            }
            *expected = tree(judge);
        };
        if round % 2 == 0 {
            let daemon = ours::Daemon::start("namenode", &site.conf, site.rpc());
            step(&site.judge(hadoop), &mut expected);
            daemon.stop();
        } else {
            let daemon = Daemon::namenode(hadoop, &site.conf, site.rpc());
            step(&site.judge(hadoop), &mut expected);
            daemon.stop();
        }
    }
    assert_eq!(expected.len(), 20);
}

/// The golden folder of Java (killed with `kill -9`): both namenodes list the same tree.
#[test]
fn a_folder_that_java_left_behind() {
    let Some(hadoop) = hadoop::for_test("a_folder_that_java_left_behind") else { return };
    let folder = tempfile::tempdir().expect("a folder");
    let mut trees = Vec::new();
    for kind in ["java", "ours"] {
        let site = Site::new(&folder.path().join(kind));
        copy(&root().join("tests/golden/java-name"), &site.name);
        let open = "current/edits_inprogress_0000000000000000121";
        let mut bytes = golden::file(&format!("java-name/{open}"));
        bytes.resize(1 << 20, 0xff);
        fs::write(site.name.join(open), bytes).expect("the open segment");
        let judge;
        if kind == "java" {
            let _daemon = Daemon::namenode(hadoop, &site.conf, site.rpc());
            judge = site.judge(hadoop);
            trees.push((tree(&judge), details(&judge)));
        } else {
            let daemon = ours::Daemon::start("namenode", &site.conf, site.rpc());
            judge = site.judge(hadoop);
            trees.push((tree(&judge), details(&judge)));
            save(&judge);
            let images = files(&site.name, "fsimage_");
            let image = images.last().expect("a saved image");
            assert_eq!(delimited(&judge, image), without_dates(&trees[1].0));
            daemon.stop();
        }
    }
    assert_eq!(trees[0].0.len(), 46);
    assert_eq!(trees[1], trees[0]);
}

/// What `ls -R` does not show.
fn details(judge: &Judge) -> String {
    let acl = judge.fs(&["-getfacl", "-R", "/two"]).ok();
    let attributes = judge.fs(&["-getfattr", "-R", "-d", "/two"]).ok();
    let counts = judge.fs(&["-count", "-q", "/one", "/two"]).ok();
    let stats = judge.fs(&["-stat", "%b %o %r %u %g %y %x %n", "/one/a/*", "/two/a/*"]).ok();
    [acl, attributes, counts, stats].concat()
}

/// A cluster of ours, then Java's namenode on a copy of its folder: the same tree.
#[test]
fn java_starts_on_our_folder() {
    let Some(hadoop) = hadoop::for_test("java_starts_on_our_folder") else { return };
    let mut cluster = Cluster::start(Options::default());
    let judge = Judge::start(hadoop, &cluster.conf());
    judge.run(&["churn", "/one", "1"]).ok();
    save(&judge);
    judge.run(&["churn", "/two", "1"]).ok();
    judge.fs(&["-setfacl", "-m", "user:bob:r-x", "/two/a"]).ok();
    judge.fs(&["-setfattr", "-n", "user.k", "-v", "v", "/two/a/f1"]).ok();
    let expected = (tree(&judge), details(&judge));
    // A crash leaves the segment open.
    cluster.kill_agent();
    cluster.assert_nothing_left();
    let folder = tempfile::tempdir().expect("a folder");
    let site = Site::new(folder.path());
    copy(&cluster.name_folder(), &site.name);
    let _daemon = Daemon::namenode(hadoop, &site.conf, site.rpc());
    let judge = site.judge(hadoop);
    assert_eq!((tree(&judge), details(&judge)), expected);
}
