//! Datanodes in this process, with a namenode that remembers and a client that does as told.

mod client;
mod life;
mod namenode;
mod pipelines;
mod reloads;
mod single;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use hdfs_edge::config::Config;
use hdfs_edge::daemon::Failure;
use hdfs_wire::proto::hdfs::{DatanodeIdProto, DatanodeInfoProto};

use self::namenode::Namenode;
use crate::Running;

/// A datanode of a test.
struct Datanode {
    running: Option<Running>,
    root: PathBuf,
    uuid: String,
}

/// What every datanode of a test is told.
fn pairs(namenode: &Namenode, root: &Path) -> Vec<(&'static str, String)> {
    vec![
        ("fs.defaultFS", format!("hdfs://{}", namenode.address)),
        ("dfs.datanode.data.dir", format!("[DISK]file://{}", root.display())),
        ("dfs.datanode.address", "127.0.0.1:0".to_owned()),
        ("dfs.datanode.ipc.address", "127.0.0.1:0".to_owned()),
        ("dfs.datanode.http.address", "127.0.0.1:0".to_owned()),
        ("dfs.datanode.hostname", "localhost".to_owned()),
        ("dfs.heartbeat.interval", "1".to_owned()),
        ("dfs.datanode.max.transfer.threads", "64".to_owned()),
    ]
}

fn config(namenode: &Namenode, root: &Path) -> Config {
    let pairs = pairs(namenode, root);
    Config::from_pairs(pairs.iter().map(|(name, value)| (*name, value.as_str())))
        .expect("a configuration")
}

impl Datanode {
    /// Starts and waits until it is registered.
    fn start(namenode: &Namenode, root: &Path) -> Self {
        Self::start_with(namenode, root, config(namenode, root))
    }

    /// As [`Datanode::start`], with a configuration of the test's own.
    fn start_with(namenode: &Namenode, root: &Path, config: Config) -> Self {
        let before = namenode.known.lock().registrations.len();
        let running = Running::start(config).expect("started");
        let port = u32::from(running.ports().transfer);
        let uuid = namenode.wait("registration", |known| {
            let new = known.registrations[before..].iter();
            new.map(|each| &each.datanode_id)
                .find(|id| id.xfer_port == port)
                .map(|id| id.datanode_uuid.clone())
        });
        let until = Instant::now() + Duration::from_secs(10);
        while !running.is_ready() {
            assert!(Instant::now() < until, "never ready");
            std::thread::sleep(Duration::from_millis(2));
        }
        Self { running: Some(running), root: root.to_owned(), uuid }
    }

    /// Tries to start and gives the reason why it ends.
    fn refused(namenode: &Namenode, root: &Path) -> Failure {
        match Running::start(config(namenode, root)) {
            Err(failure) => failure,
            Ok(mut running) => {
                let failure = running.wait().expect_err("refused");
                running.stop();
                failure
            }
        }
    }

    fn running(&self) -> &Running {
        self.running.as_ref().expect("running")
    }

    fn port(&self) -> u16 {
        self.running().ports().transfer
    }

    fn stop(&mut self) {
        if let Some(running) = self.running.take() {
            running.stop();
        }
    }

    fn info(&self) -> DatanodeInfoProto {
        DatanodeInfoProto {
            id: DatanodeIdProto {
                ip_addr: "127.0.0.1".to_owned(),
                host_name: "localhost".to_owned(),
                datanode_uuid: self.uuid.clone(),
                xfer_port: self.port().into(),
                info_port: self.running().ports().http.into(),
                ipc_port: self.running().ports().ipc.into(),
                info_secure_port: None,
            },
            ..Default::default()
        }
    }

    /// The bytes of a finalized replica and of its checksums.
    fn finalized(&self, id: u64, stamp: u64) -> Option<(Vec<u8>, Vec<u8>)> {
        let folder = self
            .root
            .join("current")
            .join(namenode::POOL)
            .join("current/finalized")
            .join(hdfs_disk::replica::subfolder(id.cast_signed()));
        let data = std::fs::read(folder.join(format!("blk_{id}"))).ok()?;
        let meta = std::fs::read(folder.join(format!("blk_{id}_{stamp}.meta"))).ok()?;
        Some((data, meta))
    }

    fn assert_finalized(&self, id: u64, stamp: u64, content: &[u8]) {
        let (data, meta) = self.finalized(id, stamp).expect("finalized files");
        assert!(data == content, "{} bytes instead of {}", data.len(), content.len());
        let mut sums = vec![0, 1, 2, 0, 0, 2, 0];
        hdfs_wire::checksum::compute(
            hdfs_wire::checksum::ChecksumKind::Crc32c,
            512,
            content,
            &mut sums,
        );
        assert!(meta == sums, "checksums differ");
    }
}

impl Drop for Datanode {
    fn drop(&mut self) {
        self.stop();
    }
}
