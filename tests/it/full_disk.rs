//! Full disks, on small file systems mounted for the test (as root; else the test cannot run).

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use bytes::Bytes;
use hdfs_native::{Client, HdfsError, WriteOptions};
use tests::cluster::{Cluster, Options};
use tests::stack::Agent;
use tests::{process, wait};

use crate::common;

/// A small file system that is unmounted with its guard.
pub(crate) struct Mount {
    path: PathBuf,
}

impl Mount {
    /// Mounts so many MiB, or says why not.
    pub(crate) fn new(path: &Path, mebibytes: u32, more: &str) -> Result<Self, String> {
        fs::create_dir_all(path).map_err(|error| error.to_string())?;
        let output = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={mebibytes}m{more}"), "howdah-test"])
            .arg(path)
            .output()
            .map_err(|error| format!("mount: {error}"))?;
        if output.status.success() {
            return Ok(Self { path: path.to_owned() });
        }
        Err(format!("mount: {}", String::from_utf8_lossy(&output.stderr).trim()))
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        // Lazy: a daemon of the test may not be quite gone.
        let _ = Command::new("umount").arg("-l").arg(&self.path).output();
    }
}

fn options() -> WriteOptions {
    WriteOptions::default().replication(1).block_size(1 << 20)
}

async fn write(client: &Client, path: &str, length: usize) -> Result<(), HdfsError> {
    let mut writer = client.create(path, &options()).await?;
    writer.write_bytes(Bytes::from(common::bytes(length as u64, length))).await?;
    writer.close().await
}

async fn intact(client: &Client, path: &str, length: usize) {
    let mut reader = client.read(path).await.expect("opened");
    let bytes = reader.read_bytes(length).await.expect("read");
    assert!(bytes == common::bytes(length as u64, length), "{path}: other bytes");
}

#[test]
fn a_full_disk_under_a_datanode() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("cluster");
    let _mount = match Mount::new(&data.join("datanode-0"), 24, "") {
        Ok(mount) => mount,
        Err(reason) => return tests::skip("a_full_disk_under_a_datanode", &reason),
    };
    let options = Options { data: Some(data), ..Options::datanodes(1) };
    let options = options.set("dfs.datanode.du.reserved", "0").set("dfs.heartbeat.interval", "1");
    let cluster = Cluster::start(options);
    common::runtime().block_on(async {
        let client = common::native(&cluster.uri());
        let mut kept = Vec::new();
        let problem = loop {
            let path = format!("/f{}", kept.len());
            match write(&client, &path, (1 << 20) - kept.len()).await {
                Ok(()) => kept.push(path),
                Err(problem) => break problem.to_string(),
            }
            assert!(kept.len() < 24, "more than the disk holds");
        };
        eprintln!("after {} files: {problem}", kept.len());
        assert!(kept.len() > 15, "there was room for more than {}: {problem}", kept.len());
        // What the client says depends on when it noticed; the datanode names disk and reason.
        let told = || {
            let log = fs::read_to_string(cluster.log_path()).expect("a log");
            log.contains("No space left on device").then_some(())
        };
        if !problem.contains("could only be written to 0") {
            wait::until("the datanode's reason in the log", Duration::from_secs(10), told);
        }
        for (index, path) in kept.iter().enumerate() {
            intact(&client, path, (1 << 20) - index).await;
        }
        // Room again: service resumes by itself.
        for path in kept.drain(..10) {
            client.delete(&path, false).await.expect("deleted");
        }
        let start = std::time::Instant::now();
        let mut attempt = 0;
        while let Err(problem) = write(&client, &format!("/again{attempt}"), 500_000).await {
            assert!(start.elapsed() < Duration::from_secs(60), "{problem}");
            tokio::time::sleep(Duration::from_millis(300)).await;
            attempt += 1;
        }
        intact(&client, &format!("/again{attempt}"), 500_000).await;
    });
}

#[test]
fn a_full_disk_under_the_namenode() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("cluster");
    let _mount = match Mount::new(&data.join("namenode"), 16, "") {
        Ok(mount) => mount,
        Err(reason) => return tests::skip("a_full_disk_under_the_namenode", &reason),
    };
    let options = Options { data: Some(data), ..Options::datanodes(1) };
    // Java would go into safe mode below 100 MiB; here the disk itself must say no.
    let options = options.set("dfs.namenode.resource.du.reserved", "0");
    let mut cluster = Cluster::start(options);
    let namenode = cluster.namenode();
    let ballast = cluster.name_folder().join("ballast");
    fill(&ballast);
    let acknowledged = common::runtime().block_on(async {
        let client = common::native(&cluster.uri());
        let mut acknowledged = Vec::new();
        // The open segment has a mebibyte set aside; long names use it up.
        for index in 0..20_000 {
            let path = format!("/{index}{}", "n".repeat(200));
            let call = client.mkdirs(&path, 0o755, false);
            match tokio::time::timeout(Duration::from_secs(10), call).await {
                Ok(Ok(())) => acknowledged.push(path),
                _ => return acknowledged,
            }
        }
        panic!("the namenode goes on with a full disk");
    });
    assert!(!acknowledged.is_empty());
    wait::until("the namenode to give up", Duration::from_secs(20), || {
        (!process::alive(namenode)).then_some(())
    });
    let log = fs::read_to_string(cluster.log_path()).expect("a log");
    assert!(log.contains("No space left on device"), "the reason is told: {}", cluster.log());
    cluster.kill_agent();
    cluster.assert_nothing_left();
    fs::remove_file(ballast).expect("it is there");
    cluster.launch();
    common::runtime().block_on(async {
        let client = common::native(&cluster.uri());
        for path in &acknowledged {
            let status = client.get_file_info(path).await;
            assert!(status.is_ok(), "acknowledged and lost: {path}: {status:?}");
        }
        client.mkdirs("/after", 0o755, false).await.expect("service resumes");
    });
}

/// Writes until the file system is full.
fn fill(path: &Path) {
    let mut file = fs::File::create(path).expect("a file");
    for size in [1 << 20, 1 << 12, 1] {
        while file.write_all(&vec![0; size]).is_ok() {}
    }
}

/// The agent's own disk: what is in force stays so and runs on, the reason is shown, and once there
/// is room the new configuration is taken without anybody's help.
#[test]
fn a_full_disk_under_an_agent() {
    let mut agent = Agent::new();
    let _mount = match Mount::new(&agent.folder().join("state"), 4, "") {
        Ok(mount) => mount,
        Err(reason) => return tests::skip("a_full_disk_under_an_agent", &reason),
    };
    let store = agent.folder().join("kv");
    let put = |value: &str| {
        let folder = store.join("conf/hdfs/app.env");
        fs::create_dir_all(&folder).expect("a folder");
        fs::write(folder.join("k"), value).expect("a key");
    };
    put("0");
    let starts = agent.folder().join("starts");
    let script = format!("cat $0/app.env >> {}; while sleep 1; do :; done", starts.display());
    agent.configure(&format!(
        "store {{ files = \"{}\" }}\nunit \"app\" {{\n  quiesce = {{ min = \"10ms\" }}\n  \
         command = [\"/bin/sh\", \"-c\", \"{script}\", \"${{conf_dir}}\"]\n  \
         restart = {{ backoff = \"10ms\" }}\n  stop = {{ timeout = \"1s\" }}\n}}\n",
        store.display()
    ));
    agent.start();
    let runs = |value: String| {
        let starts = starts.clone();
        move |_: &Agent| {
            let last = fs::read_to_string(&starts).ok()?;
            (last.lines().last()? == format!("k={value}")).then_some(())
        }
    };
    agent.until("it runs", runs("0".to_owned()));
    let filler = agent.folder().join("state/filler");
    for round in 1..=8_usize {
        // Each round leaves a little more room, so that another step of the commit finds none.
        let mut hog = fs::File::create(&filler).expect("a file");
        while hog.write_all(&[0; 4096]).is_ok() {}
        let taken = hog.metadata().expect("its size").len();
        hog.set_len(taken - taken.min(4096 * (round as u64 - 1))).expect("some room");
        put(&format!("{round}"));
        let in_force = agent.until("it is refused, or there was room", |agent| {
            let refused = agent.unit("app")["refused"].as_str().map(str::to_owned);
            let refused = refused.filter(|reason| reason.contains("No space left"));
            refused.map(Some).or_else(|| runs(format!("{round}"))(agent).map(|()| None))
        });
        let shown = fs::read_to_string(agent.conf("app").join("app.env")).expect("in force");
        let expected = round - usize::from(in_force.is_some());
        assert_eq!(shown, format!("k={expected}\n"), "round {round}: whole, old or new");
        drop(hog);
        fs::remove_file(&filler).expect("room");
        agent.until("it is taken", runs(format!("{round}")));
        assert!(agent.unit("app")["refused"].is_null(), "{}", agent.unit("app"));
    }
    assert_eq!(agent.stop(), Some(0));
    let text = fs::read_to_string(&starts).expect("starts");
    let told: Vec<String> = (0..=8).map(|round| format!("k={round}")).collect();
    assert_eq!(text.lines().collect::<Vec<_>>(), told, "each once, nothing in between");
}
