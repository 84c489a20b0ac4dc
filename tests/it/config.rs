//! Configuration at run time: an edited key is taken up by exactly the daemons it concerns, without
//! a restart where the key table says so; clusters side by side.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use hdfs_native::WriteOptions;
use tests::cluster::{Cluster, Options};
use tests::wait;

use crate::common;

const PATIENCE: Duration = Duration::from_secs(20);

/// The body of a page.
fn page(port: u16, path: &str) -> Option<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
    write!(stream, "GET {path} HTTP/1.0\r\nHost: localhost\r\n\r\n").ok()?;
    let mut text = String::new();
    stream.read_to_string(&mut text).ok()?;
    let (head, body) = text.split_once("\r\n\r\n")?;
    head.contains(" 200 ").then(|| body.to_owned())
}

/// The value of a key that a daemon says it runs with.
fn value(port: u16, key: &str) -> Option<String> {
    let conf = page(port, "/conf")?;
    let (_, rest) = conf.split_once(&format!("<name>{key}</name><value>"))?;
    Some(rest.split('<').next()?.to_owned())
}

/// The process ids of the namenode and of the datanodes.
fn ids(cluster: &Cluster) -> (i32, Vec<i32>) {
    (cluster.namenode(), (0..3).map(|index| cluster.datanode(index)).collect())
}

#[test]
fn an_edited_key_restarts_the_daemons_it_concerns() {
    let cluster = Cluster::start(Options::default());
    let (namenode, datanodes) = ids(&cluster);
    let web = cluster.offset().port(9870);

    cluster.set("conf/hdfs/hdfs-site.xml/dfs.namenode.checkpoint.txns", "777");
    wait::until("the namenode with the new value", PATIENCE, || {
        value(web, "dfs.namenode.checkpoint.txns")?.eq("777").then_some(())
    });
    let (namenode_2, datanodes_2) = ids(&cluster);
    assert_ne!(namenode, namenode_2, "the namenode was restarted");
    assert_eq!(datanodes, datanodes_2, "no datanode was");

    cluster.set("conf/hdfs/@host/datanode-1/hdfs-site.xml/dfs.datanode.synconclose", "true");
    let of_datanode = cluster.offset().port(9864) + 10;
    wait::until("the datanode with the new value", PATIENCE, || {
        value(of_datanode, "dfs.datanode.synconclose")?.eq("true").then_some(())
    });
    let (namenode_3, datanodes_3) = ids(&cluster);
    assert_eq!(namenode_2, namenode_3);
    assert_ne!(datanodes_2[1], datanodes_3[1]);
    assert_eq!((datanodes_2[0], datanodes_2[2]), (datanodes_3[0], datanodes_3[2]));

    // A value that cannot be is refused, and nothing is restarted for it.
    cluster.set("conf/hdfs/hdfs-site.xml/dfs.replication", "many");
    wait::until("the complaint", PATIENCE, || {
        cluster.log().contains("dfs.replication").then_some(())
    });
    assert_eq!(ids(&cluster), (namenode_3, datanodes_3));
}

/// A replica more or less, a heartbeat, a folder: nobody is restarted for it.
#[test]
fn an_edited_key_is_taken_up_without_a_restart() {
    let cluster = Cluster::start(Options::default());
    let before = ids(&cluster);
    let (web, of_datanode) = (cluster.offset().port(9870), cluster.offset().port(9864) + 10);
    cluster.set("conf/hdfs/hdfs-site.xml/dfs.replication", "2");
    cluster.set("conf/hdfs/hdfs-site.xml/dfs.heartbeat.interval", "1");
    cluster.set("conf/hdfs/hdfs-site.xml/howdah.log.level", "debug");
    wait::until("the namenode with the new values", PATIENCE, || {
        let all = (value(web, "dfs.replication")?, value(web, "dfs.heartbeat.interval")?);
        let level = page(web, "/logLevel")?;
        (all == ("2".to_owned(), "1".to_owned()) && level.contains("debug")).then_some(())
    });

    cluster.set("conf/hdfs/hdfs-site.xml/howdah.rpc.trace", "getFileInfo");
    wait::until("a call in the log", PATIENCE, || {
        common::runtime().block_on(common::native(&cluster.uri()).get_file_info("/")).ok()?;
        let log = std::fs::read_to_string(cluster.log_path()).expect("a log");
        let line = log.lines().find(|line| line.contains("rpc_trace"))?;
        assert!(line.contains("getFileInfo") && line.contains("outcome=\"ok\""), "{line}");
        Some(())
    });

    let folder = |name: &str| cluster.data().join(name);
    let both = format!("{},{}", folder("datanode-1").display(), folder("more").display());
    cluster.set("conf/hdfs/@host/datanode-1/hdfs-site.xml/dfs.datanode.data.dir", &both);
    wait::until("the datanode with both folders", PATIENCE, || {
        let info = page(of_datanode, "/jmx?qry=Hadoop:service=DataNode,name=DataNodeInfo")?;
        info.contains(&folder("more").display().to_string()).then_some(())
    });
    wait::until("the datanode with the new interval", PATIENCE, || {
        value(of_datanode, "dfs.heartbeat.interval")?.eq("1").then_some(())
    });
    assert_eq!(ids(&cluster), before);
}

#[test]
fn the_environment_wins_over_the_store() {
    let mut options =
        Options::datanodes(1).set("dfs.namenode.fs-limits.max-component-length", "50");
    let variable = "HDFS-SITE.XML_dfs.namenode.fs-limits.max-component-length";
    options.environment.push((variable.to_owned(), "60".to_owned()));
    let cluster = Cluster::start(options);
    let key = "dfs.namenode.fs-limits.max-component-length";
    assert_eq!(value(cluster.offset().port(9870), key).as_deref(), Some("60"));
}

#[test]
fn two_clusters_side_by_side() {
    let clusters = [0, 1].map(|_| Cluster::start(Options::datanodes(1)));
    common::runtime().block_on(async {
        let clients = clusters.each_ref().map(|cluster| common::native(&cluster.uri()));
        for (name, client) in ["/first", "/second"].iter().zip(&clients) {
            let mut writer = client.create(name, &WriteOptions::default()).await.expect("a file");
            writer.close().await.expect("closed");
        }
        assert!(clients[0].get_file_info("/second").await.is_err(), "another cluster's file");
        assert!(clients[1].get_file_info("/first").await.is_err(), "another cluster's file");
    });
}

/// `^C` ends it with 0, leaves nothing behind, and the next start finds everything.
#[test]
fn stop_and_start_again() {
    let mut cluster = Cluster::start(Options::default());
    let write = async |cluster: &Cluster, path: &str| {
        let client = common::native(&cluster.uri());
        let mut writer = client.create(path, &WriteOptions::default()).await.expect("a file");
        writer.write_bytes(common::bytes(7, 100_000).into()).await.expect("written");
        writer.close().await.expect("closed");
    };
    common::runtime().block_on(write(&cluster, "/kept"));
    let status = cluster.stop().expect("it ends in time");
    assert_eq!(status.code(), Some(0), "{}", cluster.log());
    cluster.assert_nothing_left();
    cluster.launch();
    common::runtime().block_on(async {
        let client = common::native(&cluster.uri());
        let mut reader = client.read("/kept").await.expect("it is there");
        let bytes = reader.read_bytes(100_000).await.expect("readable");
        assert!(bytes == common::bytes(7, 100_000));
    });
}
