//! `kill -9` at random moments during writes, over and over: nothing acknowledged is lost, no
//! process is left behind.
//!
//! Writers keep a ledger of what was acknowledged. What was under way when the kill came may or
//! may not have happened; everything else must be as the ledger says.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bytes::Bytes;
use hdfs_native::{Client, HdfsError, WriteOptions};
use tests::cluster::{Cluster, Options};
use tests::process;

use crate::common;

/// Rounds in all, over the three kinds of crash.
const ROUNDS: u64 = 51;

/// Writers at once.
const WRITERS: u64 = 4;

/// How long a cluster may take to serve again; generous, the machine may be busy.
const PATIENCE: Duration = Duration::from_secs(60);

/// What was acknowledged.
#[derive(Debug, Default)]
struct Ledger {
    /// Closed files, and the seed and length of their bytes.
    files: BTreeMap<String, (u64, usize)>,
    /// Acknowledged directories.
    folders: BTreeSet<String>,
    /// Paths that are acknowledged to be gone.
    gone: BTreeSet<String>,
}

type Shared = Arc<Mutex<Ledger>>;

fn change(ledger: &Shared, change: impl FnOnce(&mut Ledger)) {
    change(&mut ledger.lock().expect("no writer panics with the ledger"));
}

/// One writer: files, directories, renames and deletes under names of its own, until the first
/// error, which is the crash.
async fn writer(client: Arc<Client>, ledger: Shared, name: String, stop: Arc<AtomicBool>) {
    for step in 0.. {
        if stop.load(Ordering::Relaxed) {
            return;
        }
        if one_step(&client, &ledger, &name, step).await.is_err() {
            return;
        }
    }
}

async fn one_step(
    client: &Client,
    ledger: &Shared,
    name: &str,
    step: u64,
) -> Result<(), HdfsError> {
    let folder = format!("{name}/{step}");
    client.mkdirs(&folder, 0o755, true).await?;
    change(ledger, |ledger| {
        ledger.folders.insert(folder.clone());
    });
    let path = format!("{folder}/file");
    let seed = step * 1_000_003 + name.len() as u64;
    let length = (seed * 7919 % 300_000) as usize;
    let mut writer = client.create(&path, &WriteOptions::default()).await?;
    writer.write_bytes(Bytes::from(common::bytes(seed, length))).await?;
    writer.close().await?;
    change(ledger, |ledger| {
        ledger.files.insert(path.clone(), (seed, length));
    });
    match step % 4 {
        1 => {
            let target = format!("{folder}/renamed");
            change(ledger, |ledger| {
                ledger.files.remove(&path);
            });
            client.rename(&path, &target, false).await?;
            change(ledger, |ledger| {
                ledger.files.insert(target, (seed, length));
                ledger.gone.insert(path);
            });
        }
        2 => {
            change(ledger, |ledger| {
                ledger.files.remove(&path);
            });
            client.delete(&path, false).await?;
            change(ledger, |ledger| {
                ledger.gone.insert(path);
            });
        }
        _ => {}
    }
    Ok(())
}

/// Reads a file, again and again until the cluster serves it.
async fn read(uri: &str, client: &mut Arc<Client>, path: &str, start: Instant) -> Vec<u8> {
    loop {
        let attempt = async {
            let mut reader = client.read(path).await?;
            let length = reader.file_length();
            reader.read_bytes(length).await
        };
        // A client may hang on a connection that died with its server.
        let limit = Duration::from_secs(10);
        let problem = match tokio::time::timeout(limit, attempt).await {
            Ok(Ok(bytes)) => return bytes.to_vec(),
            Ok(Err(HdfsError::FileNotFound(what))) => panic!("acknowledged and lost: {what}"),
            Ok(Err(problem)) => problem.to_string(),
            Err(_) => "no answer in 10 s".to_owned(),
        };
        assert!(start.elapsed() < PATIENCE, "{path} cannot be read: {problem}");
        tokio::time::sleep(Duration::from_millis(100)).await;
        *client = common::native(uri);
    }
}

/// Compares the cluster with the ledger.
async fn check(uri: &str, ledger: &Ledger) {
    let start = Instant::now();
    let mut client = common::native(uri);
    for (path, (seed, length)) in &ledger.files {
        let bytes = read(uri, &mut client, path, start).await;
        assert!(bytes == common::bytes(*seed, *length), "{path}: {} bytes differ", bytes.len());
    }
    for path in &ledger.folders {
        let status = client.get_file_info(path).await;
        assert!(status.as_ref().is_ok_and(|status| status.isdir), "{path}: {status:?}");
    }
    for path in &ledger.gone {
        let status = client.get_file_info(path).await;
        assert!(matches!(status, Err(HdfsError::FileNotFound(_))), "{path}: {status:?}");
    }
}

/// Who is killed.
#[derive(Debug, Clone, Copy)]
enum Victim {
    Namenode,
    Datanodes,
    Agent,
}

fn strike(cluster: &mut Cluster, victim: Victim) {
    match victim {
        Victim::Namenode => process::kill_hard(cluster.namenode()),
        Victim::Datanodes => cluster.daemons("datanode").into_iter().for_each(process::kill_hard),
        Victim::Agent => {
            cluster.kill_agent();
            cluster.assert_nothing_left();
            cluster.launch();
        }
    }
}

#[test]
fn nothing_acknowledged_is_lost() {
    // Datanodes find the new namenode soon.
    let options = Options::default().set("dfs.heartbeat.interval", "1");
    let mut cluster = Cluster::start(options);
    let runtime = common::runtime();
    let mut all = Ledger::default();
    for round in 0..ROUNDS {
        let victim = [Victim::Namenode, Victim::Datanodes, Victim::Agent][(round % 3) as usize];
        let ledger = Shared::default();
        let stop = Arc::new(AtomicBool::new(false));
        let uri = cluster.uri();
        let tasks: Vec<_> = (0..WRITERS)
            .map(|index| {
                let (ledger, stop) = (ledger.clone(), stop.clone());
                let name = format!("/crash/{round}/{index}");
                let client = runtime.block_on(async { common::native(&uri) });
                runtime.spawn(writer(client, ledger, name, stop))
            })
            .collect();
        // Spread over the life of the writers, also into their very first calls.
        let moment = Duration::from_millis(5 + round * 7919 % 600);
        std::thread::sleep(moment);
        strike(&mut cluster, victim);
        stop.store(true, Ordering::Relaxed);
        // A writer may hang on what died; its operation stays unacknowledged.
        tasks.into_iter().for_each(|task| task.abort());
        let ledger = std::mem::take(&mut *ledger.lock().expect("no writer panics"));
        eprintln!("round {round}: {victim:?} after {moment:?}, {} files", ledger.files.len());
        runtime.block_on(check(&uri, &ledger));
        all.files.extend(ledger.files);
        all.folders.extend(ledger.folders);
        all.gone.extend(ledger.gone);
    }
    assert!(all.files.len() as u64 > ROUNDS, "the writers got something done");
    cluster.stop();
    cluster.assert_nothing_left();
    cluster.launch();
    runtime.block_on(check(&cluster.uri(), &all));
}
