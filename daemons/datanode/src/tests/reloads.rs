//! Files that change under a running datanode: what it takes up at once, what it refuses, and that
//! the key table tells the truth about both.

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};

use hdfs_disk::disk::Disk;
use hdfs_edge::config::{Config, FILES};
use hdfs_edge::disk::LocalDisk;
use hdfs_edge::keys::{self, Change, Daemon};
use hdfs_edge::reconfiguration;
use hdfs_edge::rpc::{Client as RpcClient, Timeouts, User};
use hdfs_wire::proto::hdfs::datanode::HeartbeatRequestProto;
use hdfs_wire::proto::hdfs::{
    GetReconfigurationStatusRequestProto, GetReconfigurationStatusResponseProto,
    StartReconfigurationRequestProto, StartReconfigurationResponseProto,
};
use hdfs_wire::transfer::Op;

use super::client::{Client, content, create};
use super::namenode::{Known, Namenode};
use super::{Datanode, pairs};

/// A datanode with files of its own and some folders.
struct Filed {
    namenode: Namenode,
    root: tempfile::TempDir,
    /// None only while it starts.
    datanode: Option<Datanode>,
}

impl Filed {
    /// Uses folder `a`.
    fn start(more: &[(&'static str, &str)]) -> Self {
        let root = tempfile::tempdir().expect("a folder");
        let mut filed = Self { namenode: Namenode::start(), root, datanode: None };
        filed.write(more);
        let config = Config::load(filed.root.path()).expect("valid");
        let first = filed.folder("a");
        filed.datanode = Some(Datanode::start_with(&filed.namenode, &first, config));
        filed.namenode.wait("the first report", |known| (known.report_count > 0).then_some(()));
        filed
    }

    fn datanode(&self) -> &Datanode {
        self.datanode.as_ref().expect("started")
    }

    fn folder(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    /// Folders as the key's value.
    fn folders(&self, names: &[&str]) -> String {
        let paths = names.iter().map(|name| self.folder(name).display().to_string());
        paths.collect::<Vec<_>>().join(",")
    }

    /// The file with these values besides those that every start needs, or instead of them.
    fn write(&self, more: &[(&'static str, &str)]) {
        let mut all = pairs(&self.namenode, &self.folder("a"));
        all.retain(|(name, _)| !more.iter().any(|(other, _)| other == name));
        all.extend(more.iter().map(|(name, value)| (*name, (*value).to_owned())));
        let properties: String = all
            .iter()
            .map(|(name, value)| {
                format!("<property><name>{name}</name><value>{value}</value></property>\n")
            })
            .collect();
        let text = format!("<configuration>\n{properties}</configuration>\n");
        std::fs::write(self.root.path().join(FILES[1]), text).expect("written");
    }

    fn page(&self, method: &str, path: &str) -> (u16, String) {
        let port = self.datanode().running().ports().http;
        let mut stream = TcpStream::connect(("127.0.0.1", port)).expect("connects");
        let request = format!("{method} {path} HTTP/1.0\r\nHost: x\r\nContent-Length: 0\r\n\r\n");
        stream.write_all(request.as_bytes()).expect("sent");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("answered");
        let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
        let status = head.split_whitespace().nth(1).and_then(|word| word.parse().ok());
        (status.expect("a status"), body.to_owned())
    }

    #[track_caller]
    fn reload(&self, more: &[(&'static str, &str)]) {
        self.write(more);
        let (status, body) = self.page("POST", "/reload");
        assert_eq!(status, 200, "{body}");
    }

    /// A reload that must be refused; why.
    #[track_caller]
    fn refused(&self, more: &[(&'static str, &str)]) -> String {
        let before = self.page("GET", "/healthz").1;
        self.write(more);
        let (status, body) = self.page("POST", "/reload");
        assert_eq!(status, 409, "{body}");
        assert_eq!(self.page("GET", "/healthz").1, before);
        body
    }

    /// Writes a block and waits until the namenode knows it.
    fn put(&self, id: u64) {
        Client::write_all(self.datanode().port(), &create(id, 1000 + id, vec![]), &content(5000));
        self.namenode.wait_change(&self.datanode().uuid, id, 2);
    }

    /// The storage id of a folder.
    fn storage(&self, folder: &str) -> String {
        let version = self.folder(folder).join("current/VERSION");
        let text = std::fs::read_to_string(version).expect("formatted");
        let line = text.lines().find_map(|line| line.strip_prefix("storageID="));
        line.expect("a storage id").to_owned()
    }

    /// Whether somebody uses the folder.
    fn is_locked(&self, folder: &str) -> bool {
        LocalDisk::open(&self.folder(folder)).expect("there").lock().is_err()
    }

    /// Waits until the last heartbeat looks like that.
    fn beats(&self, what: &str, is_so: impl Fn(&HeartbeatRequestProto) -> bool) {
        self.namenode.wait(what, |known| known.heartbeats.last().filter(|b| is_so(b)).map(drop));
    }
}

fn ids(known: &Known, storage: &str) -> Option<BTreeSet<u64>> {
    known.storages.get(storage).map(|replicas| replicas.iter().map(|r| r.id as u64).collect())
}

#[test]
fn the_key_table_marks_what_a_datanode_takes() {
    let filed = Filed::start(&[]);
    let marked: BTreeSet<&str> = keys::ALL
        .iter()
        .map(|key| key.name)
        .filter(|name| keys::change_of(name, Daemon::Datanode) == Change::Reload)
        .collect();
    assert_eq!(filed.datanode().running().live().taken(), marked);
}

/// Heartbeats an hour apart become one a second, and full reports likewise, without waiting for
/// what was planned before.
#[test]
fn intervals_count_at_once() {
    let slow = ("dfs.heartbeat.interval", "3600");
    let filed = Filed::start(&[slow]);
    let counts = || {
        let known = filed.namenode.known.lock();
        (known.heartbeats.len(), known.report_count)
    };
    let (beats, reports) = counts();
    filed.reload(&[("dfs.heartbeat.interval", "1")]);
    filed.namenode.wait("heartbeats", |known| (known.heartbeats.len() > beats + 2).then_some(()));
    assert_eq!(counts().1, reports, "no report is due");
    let often = ("dfs.blockreport.intervalMsec", "1000");
    filed.reload(&[("dfs.heartbeat.interval", "1"), often]);
    filed.namenode.wait("reports", |known| (known.report_count > reports + 2).then_some(()));
}

#[test]
fn a_folder_comes_and_another_goes() {
    let key = "dfs.datanode.data.dir";
    let filed = Filed::start(&[]);
    (1..=3).for_each(|id| filed.put(id));
    let both = filed.folders(&["a", "b"]);
    // The bracket and the scheme of the start's value name the same folder.
    filed.reload(&[(key, &both)]);
    assert!(filed.is_locked("b"));
    let (first, second) = (filed.storage("a"), filed.storage("b"));
    filed.beats("both folders", |beat| beat.reports.len() == 2);
    (4..=9).for_each(|id| filed.put(id));
    // Both are used in turn.
    let of_second = || {
        let pool = filed.folder("b").join("current").join(super::namenode::POOL);
        let mut found = BTreeSet::new();
        collect(&pool.join("current/finalized"), &mut found);
        found
    };
    assert_eq!(of_second().len(), 3);

    filed.reload(&[(key, &filed.folders(&["b"]))]);
    filed.namenode.wait("the first folder as empty", |known| {
        (ids(known, &first)?.is_empty() && ids(known, &second)? == of_second()).then_some(())
    });
    filed.beats("one folder", |beat| beat.reports.len() == 1);
    assert!(!filed.is_locked("a"));
    filed.put(10);
    assert!(of_second().contains(&10));

    // What comes back is known with its replicas, and is not reported as empty any more.
    filed.reload(&[(key, &filed.folders(&["b", "a"]))]);
    let lost: BTreeSet<u64> = (1..=10).filter(|id| !of_second().contains(id)).collect();
    filed.namenode.wait("the first folder again", |known| {
        (ids(known, &first)? == lost && ids(known, &second)? == of_second()).then_some(())
    });
}

/// The block ids of all data files below a folder.
fn collect(folder: &Path, found: &mut BTreeSet<u64>) {
    for entry in std::fs::read_dir(folder).expect("a folder").flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if entry.path().is_dir() {
            collect(&entry.path(), found);
        } else if let Some(id) = name.strip_prefix("blk_").and_then(|id| id.parse().ok()) {
            found.insert(id);
        }
    }
}

#[test]
fn folders_that_cannot_be_used_change_nothing() {
    let key = "dfs.datanode.data.dir";
    let filed = Filed::start(&[]);
    std::fs::write(filed.folder("file"), "in the way").expect("written");
    let with = |names: &[&str]| filed.folders(names);
    // Also what the same files would have changed besides.
    let beat = ("dfs.heartbeat.interval", "7");
    for (value, word) in [
        (with(&["a", "b", "file"]), "file"),
        (with(&["a", "b", "b"]), "twice"),
        (" , ".to_owned(), "absolute paths"),
        (format!("[SSD]{}", with(&["a"])), "storage type"),
        (format!("[ARCHIVE]relative,{}", with(&["a"])), "absolute paths"),
    ] {
        let reason = filed.refused(&[(key, &value), beat]);
        assert!(reason.contains(key) && reason.contains(word), "{reason}");
    }
    assert!(filed.page("GET", "/conf").1.contains("<name>dfs.heartbeat.interval</name><value>1<"));
    // One that was looked at and not taken is free.
    assert!(!filed.is_locked("b"));

    // Another datanode's folder, in use and then not.
    let mut other = Datanode::start(&filed.namenode, &filed.folder("other"));
    let reason = filed.refused(&[(key, &with(&["a", "other"]))]);
    assert!(reason.contains("other"), "{reason}");
    other.stop();
    let reason = filed.refused(&[(key, &with(&["a", "other"]))]);
    assert!(reason.contains("belongs to datanode"), "{reason}");
}

/// A client that writes to a folder that goes is cut off, and its lock goes with it.
#[test]
fn a_writer_on_a_folder_that_goes_is_stopped() {
    let key = "dfs.datanode.data.dir";
    let filed = Filed::start(&[]);
    let mut writer = Client::write(filed.datanode().port(), &create(1, 1001, vec![]));
    writer.data(0, 0, &content(1700));
    assert!(writer.ack().is_success());
    filed.reload(&[(key, &filed.folders(&["b"]))]);
    let mut rest = Vec::new();
    // Cut, politely or not.
    let _ = writer.stream.read_to_end(&mut rest);
    filed.namenode.wait("a lock that is let go of", |_| (!filed.is_locked("a")).then_some(()));
    filed.namenode.wait("no replica", |known| {
        let reported = known.reports.get(&filed.datanode().uuid)?;
        reported.is_empty().then_some(())
    });
    // What it wrote is there when the folder comes back.
    filed.reload(&[(key, &filed.folders(&["a", "b"]))]);
    let first = filed.storage("a");
    filed.namenode.wait("the replica", |known| {
        let replicas = known.storages.get(&first)?;
        replicas.iter().any(|r| (r.id, r.stamp, r.length) == (1, 1001, 1700)).then_some(())
    });
}

#[test]
fn limits_count_at_once() {
    let filed = Filed::start(&[]);
    let capacity = |beat: &HeartbeatRequestProto| beat.reports[0].capacity();
    let whole = capacity(filed.namenode.known.lock().heartbeats.last().expect("a heartbeat"));
    filed.reload(&[("dfs.datanode.du.reserved", "1m"), ("dfs.datanode.max.transfer.threads", "1")]);
    filed.beats("less room", |beat| capacity(beat) == whole - (1 << 20));
    let port = filed.datanode().port();
    let _writer = Client::write(port, &create(1, 1001, vec![]));
    // The only thread is taken: the next one is closed without a word.
    let mut late = Client::connect(port);
    late.op(Op::WriteBlock, &create(2, 1002, vec![]));
    let mut answer = Vec::new();
    assert_eq!(late.stream.read_to_end(&mut answer).unwrap_or(0), 0);
    filed.reload(&[("dfs.datanode.max.transfer.threads", "2")]);
    let _second = Client::write(port, &create(3, 1003, vec![]));
}

/// `dfsadmin -reconfig datanode`, by either of the protocols that clients use.
#[test]
fn an_operator_starts_a_reconfiguration() {
    let filed = Filed::start(&[]);
    filed.write(&[("dfs.datanode.balance.max.concurrent.moves", "7")]);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let client = |protocol, user: &str| {
        let address = format!("127.0.0.1:{}", filed.datanode().running().ports().ipc);
        RpcClient::new(address, User::new(user), protocol, Timeouts::default())
    };
    let stranger = client(reconfiguration::PROTOCOL, "stranger");
    let request = StartReconfigurationRequestProto {};
    let refused = runtime.block_on(
        stranger.call::<_, StartReconfigurationResponseProto>("startReconfiguration", &request),
    );
    assert!(refused.unwrap_err().to_string().contains("stranger may not"));
    let owner = client(
        "org.apache.hadoop.hdfs.protocol.ClientDatanodeProtocol",
        hdfs_edge::groups::own_user(),
    );
    let _: StartReconfigurationResponseProto =
        runtime.block_on(owner.call("startReconfiguration", &request)).unwrap();
    let changes = filed.namenode.wait("the end", |_| {
        let request = GetReconfigurationStatusRequestProto {};
        let status: GetReconfigurationStatusResponseProto =
            runtime.block_on(owner.call("getReconfigurationStatus", &request)).unwrap();
        status.end_time.map(|_| status.changes)
    });
    assert_eq!(changes.len(), 1);
    assert_eq!((changes[0].old_value.as_str(), changes[0].new_value()), ("100", "7"));
}
