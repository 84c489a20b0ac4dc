//! hdfs-native in this process: big and many small files, many clients at once.

use std::fs::File;
use std::io::{BufReader, Read};
use std::sync::Arc;

use bytes::Bytes;
use futures::future::try_join_all;
use hdfs_native::{Client, HdfsError, WriteOptions};
use tests::cluster::{Cluster, Options};

use crate::common::{self, Sum};

const CLIENTS: usize = 16;
const FOLDERS: usize = 100;
const FILES: usize = 10_000;

#[test]
fn a_gibibyte_there_and_back() {
    let cluster = Cluster::start(Options::default());
    let local = tempfile::tempdir().expect("a folder");
    let source = local.path().join("source");
    let size = common::big_size();
    let sum = common::write_big(&source, size);
    let back = common::runtime().block_on(async {
        let client = common::native(&cluster.uri());
        let mut writer = client.create("/big", &WriteOptions::default()).await?;
        let mut file = BufReader::new(File::open(&source).expect("there"));
        let mut piece = vec![0; 1 << 20];
        while file.read_exact(&mut piece).is_ok() {
            writer.write_bytes(Bytes::copy_from_slice(&piece)).await?;
        }
        writer.close().await?;
        let status = client.get_file_info("/big").await?;
        assert_eq!((status.length as u64, status.replication), (size, Some(3)));
        let mut reader = client.read("/big").await?;
        let mut sum = Sum::default();
        while reader.remaining() > 0 {
            sum.add(&reader.read_bytes(1 << 20).await?);
        }
        Ok::<_, HdfsError>(sum.value)
    });
    assert_eq!(back.expect("put and get"), sum, "other bytes came back");
}

fn path_of(index: usize) -> String {
    format!("/many/{:03}/f{index:05}", index % FOLDERS)
}

fn content_of(index: usize) -> Vec<u8> {
    common::bytes(index as u64, 100 + index % 2000)
}

/// Writes or reads every n-th file.
async fn share(client: Arc<Client>, first: usize, read: bool) -> Result<(), HdfsError> {
    for index in (first..FILES).step_by(CLIENTS) {
        let path = path_of(index);
        if read {
            let mut reader = client.read(&path).await?;
            let length = reader.file_length();
            let bytes = reader.read_bytes(length).await?;
            assert!(bytes == content_of(index), "{path} came back with other bytes");
        } else {
            let mut writer = client.create(&path, &WriteOptions::default()).await?;
            writer.write_bytes(Bytes::from(content_of(index))).await?;
            writer.close().await?;
        }
    }
    Ok(())
}

#[test]
fn ten_thousand_small_files() {
    let cluster = Cluster::start(Options::default());
    common::runtime().block_on(async {
        let clients: Vec<_> = (0..CLIENTS).map(|_| common::native(&cluster.uri())).collect();
        for read in [false, true] {
            let tasks = clients.iter().enumerate().map(|(first, client)| {
                let task = tokio::spawn(share(client.clone(), first, read));
                async { task.await.expect("no panic") }
            });
            try_join_all(tasks).await.expect("every file");
        }
        let client = &clients[0];
        let folders = client.list_status("/many", false).await.expect("a listing");
        assert_eq!(folders.len(), FOLDERS);
        let files = client.list_status("/many", true).await.expect("a listing");
        let files: Vec<_> = files.iter().filter(|status| !status.isdir).collect();
        assert_eq!(files.len(), FILES);
        let summary = client.get_content_summary("/many").await.expect("a summary");
        let length: usize = (0..FILES).map(|index| content_of(index).len()).sum();
        assert_eq!((summary.length, summary.file_count), (length as u64, FILES as u64));
    });
}
