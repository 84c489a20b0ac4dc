//! `howdah kv` against a real Consul: what a folder becomes on hosts, atomic writes, round trips
//! with Consul's own tool, and who wins an edit.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::{Command, Output};
use std::thread;

use tempfile::TempDir;
use tests::binary::howdah;
use tests::stack::{Consul, consul_program};

/// A tree as flokkr's configuration repository has it, made smaller.
const TREE: &[(&str, &str)] = &[
    (
        "consync.ini",
        "[common]\nsourcedir = \"configuration\" \n\n[template]\n\
         pattern = \".*.(cfg|init|xml|yaml|sh|conf|properties)\"\n\n[format]\nxml = \".*.xml\"\n\n\
         [flags]\n1 = \".*.exec\"\n2 = \".*.(cfg|init|xml|yaml|sh|conf|properties)\"\n\n\
         [profiles]\n",
    ),
    ("configuration/core-site.xml", "fs.defaultFS: hdfs://[[service \"namenode\"]]:9000\n"),
    ("configuration/log4j.properties", "log4j.rootLogger: INFO, stdout\n"),
    ("configuration/hdfs/core-site.xml", "[[ template \"core-site.xml\" ]]\n"),
    ("configuration/hdfs/log4j.properties", "[[ template \"log4j.properties\" ]]\n"),
    (
        "configuration/hdfs/hdfs-site.xml",
        "dfs.namenode.rpc-address: [[ service \"namenode\"]]:9000\ndfs.replication: 3\n\
         dfs.namenode.name.dir: /data/namenode\n",
    ),
    ("configuration/zookeeper/myid.exec", "#!/bin/bash\necho 1\n"),
    ("profiles/ha/core-site.xml", "fs.defaultFS: hdfs://sh\n"),
    (
        "profiles/ha/hdfs/hdfs-site.xml",
        "dfs.nameservices: sh\ndfs.ha.namenodes.sh: nn1,nn2\n\
         dfs.namenode.rpc-address.sh.nn1: a:8021\ndfs.namenode.rpc-address.sh.nn2: b:8022\n",
    ),
    ("profiles/metrics/hadoop-metrics2.properties", "*.period=30\n"),
    (
        "profiles/metrics/hdfs/hadoop-metrics2.properties",
        "[[ template \"hadoop-metrics2.properties\" ]]\n",
    ),
];

struct Case {
    consul: Consul,
    folder: TempDir,
}

impl Case {
    fn new() -> Self {
        let case = Self {
            consul: Consul::start().expect("a Consul"),
            folder: tempfile::tempdir().expect("a folder"),
        };
        for (name, text) in TREE {
            case.write(name, text);
        }
        case
    }

    fn write(&self, name: &str, text: &str) {
        let path = self.folder.path().join(name);
        fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
        fs::write(path, text).expect("a file");
    }

    fn run_at(&self, address: &str, words: &[&str]) -> Output {
        Command::new(howdah())
            .args(words)
            .current_dir(self.folder.path())
            .env("CONSUL_HTTP_ADDR", address)
            .env_remove("GATEWAY_HOST")
            .output()
            .expect("howdah runs")
    }

    /// Runs a verb that ends with `code`; both its outputs.
    fn run(&self, code: i32, words: &[&str]) -> String {
        told(code, words, &self.run_at(&self.consul.address(), words))
    }

    fn consul(&self, words: &[&str]) -> String {
        let mut command = Command::new(consul_program().expect("a Consul"));
        command.args(words).current_dir(self.folder.path());
        let output = command.env("CONSUL_HTTP_ADDR", self.consul.address()).output();
        told(0, words, &output.expect("consul runs"))
    }

    fn get(&self, key: &str) -> String {
        self.consul(&["kv", "get", key]).trim_end_matches('\n').to_owned()
    }

    /// The files that a host renders from the layer of HDFS.
    fn rendered(&self, name: &str) -> String {
        let address = self.consul.address();
        self.write(
            "agent/a.hcl",
            &format!(
                "state_dir = \"state\"\nconsul {{ address = \"{address}\" }}\n\
                 layer \"hdfs\" {{ kv = \"conf/hdfs/\" }}\nunit \"client\" {{}}\n"
            ),
        );
        let _ = fs::remove_dir_all(self.folder.path().join("out"));
        self.run(0, &["render", "--config", "agent", "--to", "out"]);
        let path = self.folder.path().join("out/client/conf").join(name);
        fs::read_to_string(path).expect("a rendered file")
    }
}

fn told(code: i32, words: &[&str], output: &Output) -> String {
    let text = [&output.stdout[..], &output.stderr[..]].concat();
    let text = String::from_utf8_lossy(&text).into_owned();
    assert_eq!(output.status.code(), Some(code), "{words:?}: {text}");
    text
}

fn xml(properties: &[(&str, &str)]) -> String {
    let property = |(name, value): &(&str, &str)| {
        format!(
            "  <property>\n    <name>{name}</name>\n    <value>{value}</value>\n  </property>\n"
        )
    };
    let inner: String = properties.iter().map(property).collect();
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<configuration>\n{inner}</configuration>\n"
    )
}

#[test]
fn kv_import_gives_hosts_the_files_of_flokkr() {
    let case = Case::new();
    let profiles = ["--profile", "ha", "--profile", "metrics", "--discovery", "dns"];
    let words = |verb: &[&'static str]| [verb, &profiles[..]].concat();
    let shown = case.run(2, &words(&["kv", "diff", "."]));
    assert!(shown.contains("+++ conf/hdfs/hdfs-site.xml"), "{shown}");
    assert!(!shown.contains('\u{1b}'), "no colours in a pipe: {shown}");
    let dry = case.run(0, &words(&["kv", "import", ".", "--dry-run"]));
    assert!(dry.contains("nothing written"), "{dry}");
    assert_eq!(case.consul(&["kv", "get", "-keys", "conf/"]).trim(), "", "a dry run wrote");

    case.run(0, &words(&["kv", "import", "."]));
    case.run(0, &words(&["kv", "diff", "."]));
    let hdfs = xml(&[
        ("dfs.ha.namenodes.sh", "nn1,nn2"),
        ("dfs.namenode.name.dir", "/data/namenode"),
        ("dfs.namenode.rpc-address", "namenode.service.consul:9000"),
        ("dfs.namenode.rpc-address.sh.nn1", "a:8021"),
        ("dfs.namenode.rpc-address.sh.nn2", "b:8022"),
        ("dfs.nameservices", "sh"),
        ("dfs.replication", "3"),
    ]);
    let core = xml(&[("fs.defaultFS", "hdfs://sh")]);
    // consync's own keys hold these very texts; hosts see the same in the other layout.
    assert_eq!(case.get("conf/hdfs/hdfs-site.xml"), hdfs.trim_end());
    for _ in 0..2 {
        assert_eq!(case.rendered("hdfs-site.xml"), hdfs);
        assert_eq!(case.rendered("core-site.xml"), core);
        assert_eq!(case.rendered("hadoop-metrics2.properties"), "*.period=30\n\n");
        assert_eq!(case.rendered("log4j.properties"), "log4j.rootLogger: INFO, stdout\n\n");
        let other = words(&["kv", "import", ".", "--layout", "keys"]);
        let refusal = case.run_at(&case.consul.address(), &other);
        if refusal.status.code() == Some(2) {
            let refusal = told(2, &other, &refusal);
            assert!(refusal.contains("is stored as a whole file"), "{refusal}");
            case.run(0, &[&other[..], &["--delete"]].concat());
        }
    }
    assert_eq!(case.get("conf/hdfs/hdfs-site.xml/dfs.replication"), "3");

    case.run(0, &["kv", "export", "--client", "--to", "bundle"]);
    let bundle = |name: &str| fs::read_to_string(case.folder.path().join("bundle").join(name));
    assert_eq!(bundle("core-site.xml").expect("a file"), core);
    assert_eq!(bundle("hdfs-site.xml").expect("a file"), hdfs);
}

#[test]
fn kv_import_with_services_of_consul_and_a_plain_folder() {
    let case = Case::new();
    case.run(0, &["kv", "import", ".", "--discovery", "consul"]);
    let service = serde_json::json!({"Name": "namenode", "Address": "10.1.2.3", "Port": 9000});
    case.consul.must("PUT", "/v1/agent/service/register", Some(&service));
    assert_eq!(case.rendered("core-site.xml"), xml(&[("fs.defaultFS", "hdfs://10.1.2.3:9000")]));

    case.write("plain/hdfs/hdfs-site.xml", "dfs.replication: 2\n");
    case.run(0, &["kv", "import", "plain", "--prefix", "two/conf/"]);
    assert_eq!(case.get("two/conf/hdfs/hdfs-site.xml/dfs.replication"), "2");
    case.run(2, &["kv", "import", ".", "--profile", "metric"]);
    assert!(case.run(1, &["kv", "diff", ".", "--profile", "metric"]).contains("did you mean"));
}

#[test]
fn kv_round_trip_with_consuls_own_tool() {
    let case = Case::new();
    case.run(0, &["kv", "import", ".", "--profile", "ha"]);
    case.run(0, &["kv", "export", "-o", "ours.json"]);
    let file = |name: &str| fs::read_to_string(case.folder.path().join(name)).expect("a file");
    let theirs = case.consul(&["kv", "export", "conf/"]);
    assert_eq!(file("ours.json").trim_end(), theirs.trim_end(), "the same bytes as Consul's tool");

    case.consul(&["kv", "delete", "-recurse", "conf/"]);
    case.consul(&["kv", "import", "@ours.json"]);
    case.run(0, &["kv", "diff", ".", "--profile", "ha"]);
    case.consul(&["kv", "delete", "-recurse", "conf/"]);
    case.write("theirs.json", &theirs);
    case.run(0, &["kv", "import", "theirs.json"]);
    case.run(0, &["kv", "diff", ".", "--profile", "ha"]);
    assert_eq!(case.consul(&["kv", "export", "conf/"]), theirs);
}

/// Stands before Consul and edits a key in the moment before the first transaction passes.
fn meddler(consul: &str, edit: impl Fn() + Send + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address").to_string();
    let consul = consul.to_owned();
    thread::spawn(move || {
        let mut edited = false;
        for client in listener.incoming() {
            let Ok(mut client) = client else { return };
            let mut server = TcpStream::connect(&consul).expect("Consul");
            let (mut back, mut to) =
                (server.try_clone().expect("a handle"), client.try_clone().expect("a handle"));
            thread::spawn(move || std::io::copy(&mut back, &mut to));
            let mut buffer = vec![0; 65536];
            while let Ok(length @ 1..) = client.read(&mut buffer) {
                let bytes = &buffer[..length];
                if !edited && bytes.starts_with(b"PUT /v1/txn") {
                    edited = true;
                    edit();
                }
                if server.write_all(bytes).is_err() {
                    break;
                }
            }
        }
    });
    address
}

#[test]
fn kv_import_refuses_when_somebody_edited_meanwhile() {
    let case = Case::new();
    case.run(0, &["kv", "import", "."]);
    case.write("configuration/hdfs/hdfs-site.xml", "dfs.replication: 5\n");
    case.write("configuration/hdfs/new.conf", "a=b\n");
    let dry = case.run(0, &["kv", "import", ".", "--dry-run"]);
    let index = dry.trim_end().rsplit(' ').find(|word| word.parse::<u64>().is_ok());
    let index = index.expect("an index").to_owned();
    let edited = |value: &str| xml(&[("dfs.replication", value)]);
    let key = "conf/hdfs/hdfs-site.xml";
    let address = case.consul.address();
    let theirs = edited("4");
    let consul = address.clone();
    let proxy = meddler(&consul, move || {
        let body = serde_json::json!(theirs);
        let path = format!("/v1/kv/{key}");
        tests::stack::call(&address, "PUT", &path, &[], Some(&body)).expect("an edit");
    });
    let words = ["kv", "import", "."];
    let told = told(1, &words, &case.run_at(&proxy, &words));
    for expected in [
        "nothing was written",
        "conf/hdfs/hdfs-site.xml: ModifyIndex ",
        ", now Mod",
        "-dfs.replication = 4",
        "+dfs.replication = 5",
    ] {
        assert!(told.contains(expected), "{expected}: {told}");
    }
    assert_eq!(case.get(key), edited("4").trim_end());
    assert_eq!(case.consul(&["kv", "get", "-keys", "conf/hdfs/new"]).trim(), "", "half done");

    // What a dry run saw is no more: the same refusal without a race.
    let told = case.run(1, &["kv", "import", ".", &format!("--cas={index}")]);
    assert!(told.contains(&format!("changed after index {index}")), "{told}");
    assert_eq!(case.get(key), edited("4").trim_end());
    case.run(0, &["kv", "import", ".", "--force"]);
    assert_eq!(case.get(key), edited("5").trim_end());
}

#[test]
fn kv_import_is_bounded_by_one_transaction() {
    let case = Case::new();
    let lines = |count: usize| -> String { (0..count).map(|n| format!("k{n}: v\n")).collect() };
    case.write("big/hdfs/hdfs-site.xml", &lines(100));
    case.write("big/yarn/yarn-site.xml", &lines(29));
    let told = case.run(2, &["kv", "import", "big"]);
    assert!(told.contains("129 changed keys") && told.contains("--split"), "{told}");
    assert_eq!(case.consul(&["kv", "get", "-keys", "conf/"]).trim(), "");
    let told = case.run(0, &["kv", "import", "big", "--split"]);
    assert!(told.contains("transaction 2 of 2: 29 keys of conf/yarn/"), "{told}");
    case.run(0, &["kv", "diff", "big"]);

    // Exactly the bound, with deletes among the changes.
    case.write("big/hdfs/hdfs-site.xml", &lines(1));
    let told = case.run(0, &["kv", "import", "big", "--delete"]);
    assert!(told.contains("99 deleted"), "{told}");
    case.write("limit/hdfs/hdfs-site.xml", &lines(128));
    case.run(0, &["kv", "import", "limit", "--prefix", "limit/"]);
    // Near the bound of bytes: the body of the transaction counts, not the values.
    case.write("fat/a", &"x".repeat(200_000));
    case.write("fat/b", &"x".repeat(190_000));
    case.run(0, &["kv", "import", "fat", "--prefix", "fat/"]);
    case.write("fat/c", &"x".repeat(512 * 1024));
    case.run(0, &["kv", "import", "fat", "--prefix", "fat/"]);
    case.write("fat/c", &"y".repeat(512 * 1024 + 1));
    assert!(case.run(2, &["kv", "import", "fat", "--prefix", "fat/"]).contains("fat/c: 524289"));
}
