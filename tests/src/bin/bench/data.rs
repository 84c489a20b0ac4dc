//! Put and get of a big file through three datanodes with Java's client, and the memory of idle
//! clusters.

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::Path;
use std::time::{Duration, Instant};

use tests::cluster::{self, Cluster};
use tests::hadoop::Hadoop;
use tests::judge::Judge;
use tests::process;

use crate::peers::{Peer, Servers};
use crate::{Options, Row};

/// What one peer did.
#[derive(Debug, Default)]
struct Figures {
    put: f64,
    get: f64,
    put_cpu: f64,
    get_cpu: f64,
    idle: f64,
}

/// Measures both peers and compares.
pub(crate) fn measure(hadoop: &Hadoop, options: &Options, logs: &Path) -> Vec<Row> {
    let source = logs.join("source");
    write(&source, options.size);
    let [java, ours] = Peer::BOTH.map(|peer| measure_one(hadoop, peer, options, &source));
    let _ = fs::remove_file(&source);
    let row = |what: &str, unit, bigger, value: fn(&Figures) -> f64| Row {
        what: what.to_owned(),
        unit,
        peer: value(&java),
        ours: value(&ours),
        bigger,
    };
    let mut rows = vec![
        row("put, three replicas, Java's client", "MB/s", true, |f| f.put),
        row("get, Java's client", "MB/s", true, |f| f.get),
        row("put: datanodes' CPU per GB stored (three replicas)", "s", false, |f| f.put_cpu),
        row("get: datanodes' CPU per GB", "s", false, |f| f.get_cpu),
        row("namenode and three datanodes idle (PSS)", "MB", false, |f| f.idle),
    ];
    rows.push(dev(java.idle));
    rows
}

fn measure_one(hadoop: &Hadoop, peer: Peer, options: &Options, source: &Path) -> Figures {
    let servers = Servers::start(hadoop, peer, 3);
    std::thread::sleep(Duration::from_secs(3));
    let (namenode, datanodes) = servers.memory();
    let judge = Judge::start(hadoop, &servers.conf);
    let (text, back) = (source.display().to_string(), source.with_extension("back"));
    let back_text = back.display().to_string();
    let megabytes = (options.size << 20) as f64 / 1e6;
    let mut best = Figures { idle: (namenode + datanodes) as f64 / 1e6, ..Figures::default() };
    // The first round warms; the better of the others counts for both peers.
    for round in 0..3 {
        judge.fs(&["-rm", "-f", "-skipTrash", "/big"]).ok();
        let (put, put_cpu) = timed(&servers, || judge.fs(&["-put", &text, "/big"]).ok());
        let _ = fs::remove_file(&back);
        let (get, get_cpu) = timed(&servers, || judge.fs(&["-get", "/big", &back_text]).ok());
        let name = peer.name();
        println!("{name} put {:.0} MB/s, get {:.0} MB/s", megabytes / put, megabytes / get);
        let gigabytes = megabytes / 1e3;
        if round > 0 && best.put < megabytes / put {
            best.put = megabytes / put;
            best.put_cpu = put_cpu / gigabytes / 3.0;
        }
        if round > 0 && best.get < megabytes / get {
            best.get = megabytes / get;
            best.get_cpu = get_cpu / gigabytes;
        }
    }
    let equal = fs::read(source).expect("there") == fs::read(&back).expect("there");
    assert!(equal, "{}: other bytes came back", peer.name());
    let _ = fs::remove_file(&back);
    best
}

/// Seconds that a command took, and seconds of CPU of the datanodes meanwhile.
fn timed(servers: &Servers, command: impl FnOnce() -> String) -> (f64, f64) {
    let (cpu, start) = (servers.datanode_cpu(), Instant::now());
    command();
    let elapsed = start.elapsed().as_secs_f64();
    (elapsed, servers.datanode_cpu().saturating_sub(cpu).as_secs_f64())
}

/// The dev cluster: how soon it is ready, and what it holds when idle, beside Java's four daemons.
fn dev(java: f64) -> Row {
    let cluster = Cluster::start(cluster::Options::default());
    let ready = cluster.ready_after;
    std::thread::sleep(Duration::from_secs(5));
    let ids = cluster.processes().into_iter().map(|(id, _)| id);
    let memory: Vec<(u64, u64)> = ids.map(process::memory).collect();
    let resident: u64 = memory.iter().map(|(resident, _)| resident).sum();
    let share: u64 = memory.iter().map(|(_, share)| share).sum();
    println!(
        "howdah dev: ready after {} ms; {} processes, RSS {} MB in all, PSS {} MB",
        ready.as_millis(),
        memory.len(),
        resident / 1_000_000,
        share / 1_000_000
    );
    Row {
        what: "the dev cluster idle, agent included (PSS)".to_owned(),
        unit: "MB",
        peer: java,
        ours: share as f64 / 1e6,
        bigger: false,
    }
}

fn write(path: &Path, mebibytes: u64) {
    let mut file = BufWriter::new(File::create(path).expect("a file"));
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    for _ in 0..mebibytes << 17 {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        file.write_all(&state.to_le_bytes()).expect("room");
    }
    file.flush().expect("room");
}
