//! A whole namenode in this process, on free ports and a temporary folder, driven over its wire.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use hdfs_disk::disk::{Disk, MemoryDisk};
use hdfs_edge::rpc::{CallError, Client, Timeouts, User};
use hdfs_wire::proto::hdfs::*;
use prost::Message;

use super::*;

mod reloads;
mod reports;

/// A namenode's folder and configuration; it can be started again and again.
struct Home {
    folder: tempfile::TempDir,
}

impl Home {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().expect("a folder") }
    }

    fn formatted() -> Self {
        let home = Self::new();
        format::run(&home.config(), Some("CID-test".into()), false).expect("formats");
        home
    }

    fn name_folder(&self) -> PathBuf {
        self.folder.path().join("name")
    }

    fn config_with(&self, more: &[(&str, &str)]) -> Config {
        let folder = self.name_folder().display().to_string();
        let pairs = [
            ("fs.defaultFS", "hdfs://127.0.0.1:0"),
            ("dfs.namenode.http-address", "127.0.0.1:0"),
            ("dfs.namenode.resource.du.reserved", "0"),
            ("dfs.namenode.name.dir", &folder),
        ];
        Config::from_pairs(pairs.into_iter().chain(more.iter().copied())).expect("valid")
    }

    fn config(&self) -> Config {
        self.config_with(&[])
    }

    fn start(&self) -> Running {
        Running::start(self.config()).expect("starts")
    }
}

/// A client with a runtime of its own.
struct Caller {
    runtime: Arc<tokio::runtime::Runtime>,
    client: Client,
}

impl Caller {
    fn new(running: &Running, protocol: &'static str) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .expect("runtime");
        let user = User::new(hdfs_edge::groups::own_user());
        let address = running.rpc_address().to_string();
        let client = Client::new(address, user, protocol, Timeouts::default());
        Self { runtime: Arc::new(runtime), client }
    }

    /// A caller who waits for an answer for a moment only.
    fn impatient(running: &Running, protocol: &'static str) -> Self {
        let mut caller = Self::new(running, protocol);
        let timeouts = Timeouts { call: Duration::from_secs(1), ..Timeouts::default() };
        let user = User::new(hdfs_edge::groups::own_user());
        caller.client = Client::new(running.rpc_address().to_string(), user, protocol, timeouts);
        caller
    }

    fn call<Q: Message, R: Message + Default>(
        &self,
        method: &str,
        request: &Q,
    ) -> Result<R, CallError> {
        self.runtime.block_on(self.client.call(method, request))
    }

    fn class_of<Q: Message>(&self, method: &str, request: &Q) -> (String, String) {
        match self.call::<Q, ()>(method, request) {
            Err(CallError::Remote { class, message }) => (class, message),
            other => panic!("{method}: {other:?}"),
        }
    }
}

fn mkdirs(path: &str) -> MkdirsRequestProto {
    MkdirsRequestProto {
        src: path.to_owned(),
        masked: FsPermissionProto { perm: 0o755 },
        create_parent: true,
        unmasked: None,
    }
}

fn create(path: &str) -> CreateRequestProto {
    CreateRequestProto {
        src: path.to_owned(),
        masked: FsPermissionProto { perm: 0o644 },
        client_name: "DFSClient_test".to_owned(),
        create_flag: 1,
        create_parent: true,
        replication: 1,
        block_size: 128 << 20,
        ..CreateRequestProto::default()
    }
}

fn complete(path: &str) -> CompleteRequestProto {
    CompleteRequestProto {
        src: path.to_owned(),
        client_name: "DFSClient_test".to_owned(),
        ..CompleteRequestProto::default()
    }
}

fn names(caller: &Caller, path: &str) -> Vec<String> {
    let request = GetListingRequestProto { src: path.to_owned(), ..Default::default() };
    let listing: GetListingResponseProto = caller.call("getListing", &request).expect("lists");
    let entries = listing.dir_list.map(|list| list.partial_listing).unwrap_or_default();
    entries.iter().map(|entry| String::from_utf8_lossy(&entry.path).into_owned()).collect()
}

#[test]
fn what_was_acknowledged_is_there_after_a_restart() {
    let home = Home::formatted();
    let running = home.start();
    let caller = Caller::new(&running, routes::CLIENT);
    let made: MkdirsResponseProto = caller.call("mkdirs", &mkdirs("/a/b")).expect("made");
    assert!(made.result);
    let _: CreateResponseProto = caller.call("create", &create("/a/f")).expect("created");
    let closed: CompleteResponseProto = caller.call("complete", &complete("/a/f")).expect("closed");
    assert!(closed.result);
    assert_eq!(names(&caller, "/a"), ["b", "f"]);
    running.stop().expect("stops");

    let running = home.start();
    let caller = Caller::new(&running, routes::CLIENT);
    assert_eq!(names(&caller, "/a"), ["b", "f"]);
    let request = SetSafeModeRequestProto {
        action: SafeModeActionProto::SafemodeEnter.into(),
        checked: None,
    };
    let safe: SetSafeModeResponseProto = caller.call("setSafeMode", &request).expect("entered");
    assert!(safe.result);
    let saved: SaveNamespaceResponseProto =
        caller.call("saveNamespace", &SaveNamespaceRequestProto::default()).expect("saved");
    assert!(saved.saved());
    running.stop().expect("stops");

    let running = home.start();
    let caller = Caller::new(&running, routes::CLIENT);
    assert_eq!(names(&caller, "/a"), ["b", "f"]);
    let _: MkdirsResponseProto = caller.call("mkdirs", &mkdirs("/c")).expect("made");
    let rolled: RollEditsResponseProto =
        caller.call("rollEdits", &RollEditsRequestProto {}).expect("rolled");
    assert!(rolled.new_segment_tx_id > 1);
    // Not stopped: dropped as by a crash of the test, everything acknowledged is on disk anyway.
    drop(running);
    let running = home.start();
    let caller = Caller::new(&running, routes::CLIENT);
    assert_eq!(names(&caller, "/"), ["a", "c"]);
}

#[test]
fn many_clients_share_syncs() {
    const CLIENTS: usize = 8;
    const CALLS: usize = 50;
    let home = Home::formatted();
    let running = home.start();
    let caller = Arc::new(Caller::new(&running, routes::CLIENT));
    std::thread::scope(|scope| {
        for client in 0..CLIENTS {
            let caller = caller.clone();
            scope.spawn(move || {
                for call in 0..CALLS {
                    let path = format!("/d{client}/e{call}");
                    let made: MkdirsResponseProto =
                        caller.call("mkdirs", &mkdirs(&path)).expect("made");
                    assert!(made.result);
                }
            });
        }
    });
    for client in 0..CLIENTS {
        assert_eq!(names(&caller, &format!("/d{client}")).len(), CALLS);
    }
    let syncs = running.syncs();
    assert!(syncs < (CLIENTS * CALLS) as u64, "{syncs} syncs");
}

#[test]
fn the_unknown_is_refused_by_name() {
    let home = Home::formatted();
    let running = home.start();
    let caller = Caller::new(&running, routes::CLIENT);
    let (class, message) = caller.class_of("fly", &RollEditsRequestProto {});
    assert_eq!(class, "org.apache.hadoop.ipc.RpcNoSuchMethodException");
    assert_eq!(message, format!("Unknown method fly called on {} protocol.", routes::CLIENT));
    let caller = Caller::new(&running, "a.b.C");
    let (class, message) = caller.class_of("fly", &RollEditsRequestProto {});
    assert_eq!(class, "org.apache.hadoop.ipc.RpcNoSuchProtocolException");
    assert_eq!(message, "Unknown protocol: a.b.C");
}

#[test]
fn a_start_that_cannot_be_says_why_and_writes_nothing() {
    let home = Home::new();
    let failure = Running::start(home.config()).err().expect("not formatted");
    assert_eq!(failure.exit_code, 2);
    assert!(failure.message.contains("format"), "{failure}");
    assert!(!home.name_folder().exists());

    let home = Home::formatted();
    let again = format::run(&home.config(), None, false).expect_err("formatted already");
    assert_eq!(again.exit_code, 2);
    assert!(again.message.contains("--force"), "{again}");

    let running = home.start();
    let second = Running::start(home.config()).err().expect("locked");
    assert_eq!(second.exit_code, 2);
    assert!(second.message.contains("in use") || second.message.contains("lock"), "{second}");
    let formatted = format::run(&home.config(), None, true).expect_err("locked");
    assert_eq!(formatted.exit_code, 2);
    drop(running);

    let version = home.name_folder().join("current/VERSION");
    let text = std::fs::read_to_string(&version).expect("there");
    std::fs::write(&version, text.replace("-67", "-99")).expect("written");
    let before = tree(home.folder.path());
    let newer = Running::start(home.config()).err().expect("a newer layout");
    assert_eq!(newer.exit_code, 2);
    assert!(newer.message.contains("-99"), "{newer}");
    assert_eq!(tree(home.folder.path()), before);
}

/// A formatted namenode whose only name folder is in memory.
fn in_memory() -> (Home, MemoryDisk) {
    let home = Home::new();
    let disk = MemoryDisk::new("memory");
    let given = disk.clone();
    let disks = move |_: &Path, _: Purpose| Ok(Arc::new(given.clone()) as Arc<dyn Disk>);
    format::run_on(&home.config(), Some("CID-test".into()), false, &disks).expect("formats");
    (home, disk)
}

/// A format that was cut off was begun again with `--force` only, so a supervisor that formats an
/// empty folder was stuck after a crash. Now what it left counts as nothing until VERSION is there,
/// which comes last; from then on it is a file system, and is refused.
#[test]
fn a_format_can_be_cut_off_anywhere() {
    const SEEDS: u64 = 3;
    let (home, disk) = in_memory();
    let (mut again, mut whole) = (0, 0);
    for events in 0..=disk.event_count() {
        for seed in 1..=SEEDS {
            let left = disk.crash(events, seed);
            let given = left.clone();
            let disks = move |_: &Path, _: Purpose| Ok(Arc::new(given.clone()) as Arc<dyn Disk>);
            match format::run_on(&home.config(), Some("CID-2".into()), false, &disks) {
                Ok(()) => again += 1,
                Err(refused) => {
                    assert!(refused.message.contains("holds a file system already"), "{refused}");
                    whole += 1;
                }
            }
            let started = start_on(&home, &left);
            drop(started.unwrap_or_else(|failure| panic!("after {events} events: {failure}")));
        }
    }
    assert!(again > 0 && whole > 0, "{again} formatted again, {whole} were whole");
}

fn start_on(home: &Home, disk: &MemoryDisk) -> Result<Running, Failure> {
    let given = disk.clone();
    let disks = move |_: &Path, _: Purpose| Ok(Arc::new(given.clone()) as Arc<dyn Disk>);
    Running::start_on(home.config(), &disks)
}

/// An fsync that fails may have lost anything: what was acknowledged before must be there, nothing
/// may be acknowledged after, and the process must end with the reason.
#[test]
fn after_a_failed_write_or_sync_nothing_is_acknowledged() {
    const CALLS_CHECKED: usize = 12;
    for failing in 0..CALLS_CHECKED {
        let (home, disk) = in_memory();
        let running = start_on(&home, &disk).expect("starts");
        let caller = Caller::impatient(&running, routes::CLIENT);
        let _: MkdirsResponseProto = caller.call("mkdirs", &mkdirs("/before")).expect("made");
        disk.fail_from(disk.call_count() + failing);
        let mut acknowledged = Vec::new();
        for number in 0..CALLS_CHECKED {
            let path = format!("/d{number:02}");
            match caller.call::<_, MkdirsResponseProto>("mkdirs", &mkdirs(&path)) {
                Ok(made) => {
                    assert!(made.result);
                    acknowledged.push(path[1..].to_owned());
                }
                Err(CallError::Remote { class, message }) => panic!("{class}: {message}"),
                Err(_) => break,
            }
        }
        // Two changes of the disk for each acknowledged call: a write and its sync.
        assert!(acknowledged.len() <= failing, "{acknowledged:?} after {failing} calls");
        let failure = running.wait().expect_err("the journal failed");
        assert_eq!(failure.exit_code, 1);
        assert!(failure.message.contains("the test's disk fails here"), "{failure}");
        assert!(failure.message.contains("memory"), "{failure}");
        assert!(running.stop().is_err());

        for seed in 0..4 {
            let found = disk.crash(disk.event_count(), seed);
            let running = start_on(&home, &found).expect("starts after the crash");
            let caller = Caller::new(&running, routes::CLIENT);
            let names = names(&caller, "/");
            assert!(names.contains(&"before".to_owned()), "{names:?}");
            assert!(acknowledged.iter().all(|name| names.contains(name)), "{names:?}");
        }
    }
}

/// Power may go at any moment: whatever was acknowledged by then is there afterwards, through
/// changes, a new segment and an image.
#[test]
fn a_crash_at_any_point_keeps_what_was_acknowledged() {
    let (home, disk) = in_memory();
    let running = start_on(&home, &disk).expect("starts");
    let caller = Caller::new(&running, routes::CLIENT);
    let safe_mode = |action: SafeModeActionProto| SetSafeModeRequestProto {
        action: action.into(),
        checked: None,
    };
    // After so many events of the disk, so many directories were acknowledged.
    let mut marks = vec![(disk.event_count(), 0)];
    for number in 0..9 {
        let path = format!("/d{number}");
        let _: MkdirsResponseProto = caller.call("mkdirs", &mkdirs(&path)).expect("made");
        marks.push((disk.event_count(), number + 1));
        if number == 2 {
            let _: RollEditsResponseProto =
                caller.call("rollEdits", &RollEditsRequestProto {}).expect("rolled");
        }
        if number == 5 {
            let enter = safe_mode(SafeModeActionProto::SafemodeEnter);
            let _: SetSafeModeResponseProto = caller.call("setSafeMode", &enter).expect("safe");
            let _: SaveNamespaceResponseProto =
                caller.call("saveNamespace", &SaveNamespaceRequestProto::default()).expect("saved");
            let leave = safe_mode(SafeModeActionProto::SafemodeLeave);
            let _: SetSafeModeResponseProto = caller.call("setSafeMode", &leave).expect("left");
        }
    }
    running.stop().expect("stops");
    let first = marks[0].0;
    for events in first..=disk.event_count() {
        let acknowledged =
            marks.iter().rev().find(|(at, _)| *at <= events).map_or(0, |(_, count)| *count);
        let found = disk.crash(events, events as u64);
        let running = start_on(&home, &found).expect("starts after the crash");
        let caller = Caller::new(&running, routes::CLIENT);
        let there = names(&caller, "/");
        assert!(there.len() >= acknowledged, "{there:?} of {acknowledged} after {events} events");
        let expected: Vec<String> = (0..there.len()).map(|number| format!("d{number}")).collect();
        assert_eq!(there, expected, "after {events} events");
    }
}

/// Every file below a folder with its bytes, locks apart.
fn tree(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).expect("a folder").flatten() {
        let path = entry.path();
        if path.is_dir() {
            found.extend(tree(&path));
        } else if !path.ends_with("in_use.lock") {
            found.push((path.clone(), std::fs::read(&path).expect("readable")));
        }
    }
    found.sort();
    found
}
