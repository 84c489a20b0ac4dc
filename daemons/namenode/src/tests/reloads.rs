//! Files that change under a running namenode: what it takes up at once, what it refuses, and that
//! the key table tells the truth about both.

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Instant;

use hdfs_edge::config::FILES;
use hdfs_edge::keys::{self, Change, Daemon};

use super::reports::Reporter;
use super::*;

/// Longer than any effect here takes.
const PATIENCE: Duration = Duration::from_secs(60);

/// A namenode with files of its own.
struct Filed {
    home: Home,
    running: Running,
}

impl Filed {
    fn start(entries: &[(&str, &str)]) -> Self {
        let home = Home::formatted();
        write(&home, entries);
        let config = Config::load(home.folder.path()).expect("valid");
        let running = Running::start(config).expect("starts");
        Self { home, running }
    }

    /// The file with these values besides those that every start needs.
    fn write(&self, entries: &[(&str, &str)]) {
        write(&self.home, entries);
    }

    fn page(&self, method: &str, path: &str) -> (u16, String) {
        page(self.running.http_address(), method, path)
    }

    fn reload(&self, entries: &[(&str, &str)]) -> (u16, String) {
        self.write(entries);
        self.page("POST", "/reload")
    }

    fn caller(&self) -> Caller {
        Caller::new(&self.running, routes::CLIENT)
    }
}

fn write(home: &Home, entries: &[(&str, &str)]) {
    std::fs::write(home.folder.path().join(FILES[1]), text(home, entries)).expect("written");
}

fn text(home: &Home, entries: &[(&str, &str)]) -> String {
    let folder = home.name_folder().display().to_string();
    let always = [
        ("fs.defaultFS", "hdfs://127.0.0.1:0"),
        ("dfs.namenode.http-address", "127.0.0.1:0"),
        ("dfs.namenode.resource.du.reserved", "0"),
        ("dfs.namenode.name.dir", &folder),
    ];
    let property = |(name, value): &(&str, &str)| {
        format!("<property><name>{name}</name><value>{value}</value></property>\n")
    };
    let all: String = always.iter().chain(entries).map(property).collect();
    format!("<configuration>\n{all}</configuration>\n")
}

/// Status and body.
fn page(address: SocketAddr, method: &str, path: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(address).expect("connects");
    let request = format!("{method} {path} HTTP/1.0\r\nHost: x\r\nContent-Length: 0\r\n\r\n");
    stream.write_all(request.as_bytes()).expect("sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("answered");
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
    let status = head.split_whitespace().nth(1).and_then(|word| word.parse().ok());
    (status.expect("a status"), body.to_owned())
}

fn wait(what: &str, mut look: impl FnMut() -> bool) {
    let until = Instant::now() + PATIENCE;
    while !look() {
        assert!(Instant::now() < until, "never seen: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn reported(caller: &Caller, kind: DatanodeReportTypeProto) -> Vec<DatanodeInfoProto> {
    let request = GetDatanodeReportRequestProto { r#type: kind.into() };
    let answer: GetDatanodeReportResponseProto =
        caller.call("getDatanodeReport", &request).expect("answered");
    answer.di
}

/// A key that is marked for a reload and that nobody takes would be refused for ever; one that is
/// taken and not marked would never be tried.
#[test]
fn the_key_table_marks_what_a_namenode_takes() {
    let filed = Filed::start(&[]);
    let marked: BTreeSet<&str> = keys::ALL
        .iter()
        .map(|key| key.name)
        .filter(|name| keys::change_of(name, Daemon::Namenode) == Change::Reload)
        .collect();
    assert_eq!(filed.running.live().taken(), marked);
}

#[test]
fn server_defaults_and_health_tell_what_is_in_force() {
    let filed = Filed::start(&[("dfs.replication", "3")]);
    let caller = filed.caller();
    let replication = || {
        let answer: GetServerDefaultsResponseProto =
            caller.call("getServerDefaults", &GetServerDefaultsRequestProto {}).expect("answered");
        answer.server_defaults.replication
    };
    assert_eq!(replication(), 3);
    let entries = [("dfs.replication", "2")];
    let (status, body) = filed.reload(&entries);
    assert_eq!((status, replication()), (200, 2), "{body}");

    // What the agent computes from what it rendered is what the daemon says it runs with.
    let text = text(&filed.home, &entries);
    let rendered = Config::from_texts(Path::new(""), [(FILES[1], text.as_str())]).expect("valid");
    let (status, body) = filed.page("GET", "/healthz");
    let health: serde_json::Value = serde_json::from_str(&body).expect("JSON");
    assert_eq!((status, &health["config"]), (200, &rendered.hash().into()), "{body}");
    assert_eq!((&health["state"], &health["safemode"]), (&"active".into(), &false.into()));

    // A value for which it must be restarted is refused, with everything else in the file.
    let (status, body) =
        filed.reload(&[("dfs.replication", "1"), ("dfs.namenode.checkpoint.period", "7")]);
    assert_eq!((status, replication()), (409, 2));
    assert!(body.contains("dfs.namenode.checkpoint.period"), "{body}");
    let (status, body) = filed.reload(&[("dfs.replication", "x")]);
    assert_eq!((status, replication()), (409, 2));
    assert!(body.contains("dfs.replication = \"x\""), "{body}");
}

#[test]
fn limits_of_names_and_files_count_at_once() {
    let filed = Filed::start(&[]);
    let caller = filed.caller();
    let _: MkdirsResponseProto = caller.call("mkdirs", &mkdirs("/longer")).expect("made");
    let (status, body) = filed.reload(&[
        ("dfs.namenode.fs-limits.max-component-length", "5"),
        ("dfs.replication.max", "2"),
    ]);
    assert_eq!(status, 200, "{body}");
    let (class, _) = caller.class_of("mkdirs", &mkdirs("/longest"));
    assert!(class.ends_with("PathComponentTooLongException"), "{class}");
    let three = CreateRequestProto { replication: 3, ..create("/f") };
    let (_, message) = caller.class_of("create", &three);
    assert!(message.contains("exceeds maximum of 2"), "{message}");
}

#[test]
fn a_silent_datanode_dies_by_the_new_intervals() {
    let filed = Filed::start(&[("dfs.heartbeat.interval", "1")]);
    let _datanode = Reporter::new(&filed.running);
    let caller = filed.caller();
    assert_eq!(reported(&caller, DatanodeReportTypeProto::Live).len(), 1);
    let began = Instant::now();
    let (status, body) = filed.reload(&[
        ("dfs.heartbeat.interval", "1"),
        ("dfs.namenode.heartbeat.recheck-interval", "1"),
    ]);
    assert_eq!(status, 200, "{body}");
    wait("a dead datanode", || !reported(&caller, DatanodeReportTypeProto::Dead).is_empty());
    // Ten heartbeats and twice the check, and not less.
    assert!(began.elapsed() > Duration::from_secs(8), "{:?}", began.elapsed());
}

#[test]
fn hosts_files_are_taken_only_when_they_can_be_read() {
    let filed = Filed::start(&[]);
    let _datanode = Reporter::new(&filed.running);
    let caller = filed.caller();
    let exclude = filed.home.folder.path().join("exclude");
    let name = exclude.display().to_string();
    let entries = [("dfs.hosts.exclude", name.as_str()), ("dfs.replication", "1")];
    let (status, body) = filed.reload(&entries);
    assert_eq!(status, 409);
    assert!(body.contains(&name) && body.contains("dfs.hosts.exclude"), "{body}");
    assert!(filed.page("GET", "/conf").1.contains("<name>dfs.replication</name><value>3</value>"));
    std::fs::write(&exclude, "127.0.0.1\n").expect("written");
    let (status, body) = filed.reload(&entries);
    assert_eq!(status, 200, "{body}");
    wait("a datanode that leaves", || {
        let all = reported(&caller, DatanodeReportTypeProto::All);
        all.iter().any(|node| node.admin_state() != datanode_info_proto::AdminState::Normal)
    });
}

/// `dfsadmin -reconfig namenode`: properties, start, status.
#[test]
fn an_operator_starts_a_reconfiguration() {
    let filed = Filed::start(&[]);
    let caller = Caller::new(&filed.running, hdfs_edge::reconfiguration::PROTOCOL);
    let status = || -> GetReconfigurationStatusResponseProto {
        caller.call("getReconfigurationStatus", &GetReconfigurationStatusRequestProto {}).unwrap()
    };
    assert_eq!(status().start_time, 0);
    let all: ListReconfigurablePropertiesResponseProto = caller
        .call("listReconfigurableProperties", &ListReconfigurablePropertiesRequestProto {})
        .expect("listed");
    assert!(all.name.iter().any(|name| name == "dfs.heartbeat.interval"), "{all:?}");
    let run = |entries: &[(&str, &str)]| {
        filed.write(entries);
        let _: StartReconfigurationResponseProto = caller
            .call("startReconfiguration", &StartReconfigurationRequestProto {})
            .expect("started");
        wait("the end", || status().end_time.is_some());
        status().changes
    };
    let changes = run(&[("dfs.replication", "2")]);
    assert_eq!(
        changes,
        [GetReconfigurationStatusConfigChangeProto {
            name: "dfs.replication".to_owned(),
            old_value: "3".to_owned(),
            new_value: Some("2".to_owned()),
            error_message: None,
        }]
    );
    let changes = run(&[("dfs.replication", "5"), ("dfs.namenode.checkpoint.txns", "7")]);
    assert_eq!(changes.len(), 2);
    for change in &changes {
        let reason = change.error_message.as_deref().expect("refused");
        assert!(reason.contains("dfs.namenode.checkpoint.txns"), "{reason}");
    }
}
