//! Namenode operations: Hadoop's own NNThroughputBenchmark, and a native generator that keeps many
//! calls in flight so that the client is not the limit.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use hdfs_wire::proto::hdfs as p;
use tests::hadoop::Hadoop;
use tests::process;
use tests::raw::{self, Raw};

use crate::peers::{self, Peer, Servers};
use crate::{Options, Row};

const CLASS: &str = "org.apache.hadoop.hdfs.server.namenode.NNThroughputBenchmark";

/// Operations of the tool, and the name of its option for how many.
const OPERATIONS: [(&str, &str); 6] = [
    ("mkdirs", "-dirs"),
    ("create", "-files"),
    ("open", "-files"),
    ("fileStatus", "-files"),
    ("rename", "-files"),
    ("delete", "-files"),
];

/// Connections and calls in flight on each, of the native generator.
const CONNECTIONS: u64 = 8;
const IN_FLIGHT: u64 = 32;

/// Puts the call for a path into a connection's buffer.
type Push<'a> = &'a (dyn Fn(&mut Raw, String) + Sync);

/// One measured operation.
#[derive(Debug, Clone)]
struct Figure {
    what: String,
    per_second: f64,
    cpu_micros: f64,
    /// CPU time the tool itself took for an operation: what bounds its rate on few cores.
    tool_micros: Option<f64>,
}

/// Measures both peers and compares.
pub(crate) fn measure(hadoop: &Hadoop, options: &Options, logs: &Path) -> Vec<Row> {
    let both = Peer::BOTH.map(|peer| measure_one(hadoop, peer, options, logs));
    let [java, ours] = &both;
    let mut rows = Vec::new();
    for (java, ours) in java.figures.iter().zip(&ours.figures) {
        let what = &java.what;
        rows.push(Row {
            what: format!("{what}: operations per second"),
            unit: "/s",
            peer: java.per_second,
            ours: ours.per_second,
            bigger: true,
        });
        rows.push(Row {
            what: format!("{what}: server CPU per operation"),
            unit: "us",
            peer: java.cpu_micros,
            ours: ours.cpu_micros,
            bigger: false,
        });
    }
    for (index, what) in ["idle", "after the run"].iter().enumerate() {
        rows.push(Row {
            what: format!("namenode memory (PSS), {what}"),
            unit: "MB",
            peer: java.memory[index] as f64 / 1e6,
            ours: ours.memory[index] as f64 / 1e6,
            bigger: false,
        });
    }
    rows
}

struct Measured {
    figures: Vec<Figure>,
    memory: [u64; 2],
}

fn measure_one(hadoop: &Hadoop, peer: Peer, options: &Options, logs: &Path) -> Measured {
    let servers = Servers::start(hadoop, peer, 0);
    let idle = servers.memory().0;
    let pin = options.pin && peers::can_pin();
    // Warm both: a cold JVM is up to three times slower.
    for (operation, count) in OPERATIONS {
        let warm = Options { operations: options.operations / 2, ..options.clone() };
        run_tool(hadoop, &servers, &warm, operation, count, pin, &logs.join("warm.log"));
    }
    native(&servers, u64::from(options.operations) / 2);
    if pin {
        servers.pin(0);
    }
    let mut figures = Vec::new();
    for (operation, count) in OPERATIONS {
        let log = logs.join(format!("{}-{operation}.log", peer.name()));
        let figure = run_tool(hadoop, &servers, options, operation, count, pin, &log);
        print_figure(peer, &figure);
        figures.push(figure);
    }
    for figure in native(&servers, u64::from(options.operations)) {
        print_figure(peer, &figure);
        figures.push(figure);
    }
    Measured { figures, memory: [idle, servers.memory().0] }
}

fn print_figure(peer: Peer, figure: &Figure) {
    let (name, what) = (peer.name(), &figure.what);
    print!("{name} {what}: {:.0}/s, server {:.1} us", figure.per_second, figure.cpu_micros);
    match figure.tool_micros {
        Some(micros) => println!(", the tool itself {micros:.1} us"),
        None => println!(),
    }
}

/// Runs the tool for one operation. CPU is counted from its line "Starting N op(s)", so that what
/// it prepares does not count.
fn run_tool(
    hadoop: &Hadoop,
    servers: &Servers,
    options: &Options,
    operation: &str,
    count: &str,
    pin: bool,
    log: &Path,
) -> Figure {
    let mut command = peers::java_client(hadoop, &servers.conf, pin.then_some(1));
    command.arg(CLASS).args(["-fs", &servers.uri(), "-op", operation]);
    command.args(["-threads", &options.threads.to_string()]);
    command.args([count, &options.operations.to_string()]);
    let mut child =
        command.stderr(Stdio::piped()).stdout(Stdio::null()).spawn().expect("java starts");
    let stderr = child.stderr.take().expect("piped");
    let mut log = fs::File::create(log).expect("a log file");
    let start = format!("Starting {} {operation}(s)", options.operations);
    let end = format!("--- {operation} inputs");
    let tool = i32::try_from(child.id()).expect("a process id");
    let cpu = || (servers.namenode_cpu(), process::cpu(tool));
    let (mut before, mut after) = (cpu(), cpu());
    let mut per_second = 0.0;
    for line in BufReader::new(stderr).lines().map_while(Result::ok) {
        if line.contains(&start) {
            before = cpu();
        } else if line.contains(&end) {
            after = cpu();
        } else if let Some((_, number)) = line.split_once("Ops per sec:") {
            per_second = number.trim().parse().unwrap_or(0.0);
        }
        let _ = writeln!(log, "{line}");
    }
    let status = child.wait().expect("java ends");
    assert!(status.success(), "NNThroughputBenchmark -op {operation}: {status}");
    let each = |before: Duration, after: Duration| {
        after.saturating_sub(before).as_secs_f64() * 1e6 / f64::from(options.operations)
    };
    Figure {
        what: format!("{operation} (Hadoop's tool)"),
        per_second,
        cpu_micros: each(before.0, after.0),
        tool_micros: Some(each(before.1, after.1)),
    }
}

/// The native generator over getFileInfo, mkdirs, create + complete and delete.
fn native(servers: &Servers, operations: u64) -> Vec<Figure> {
    let address = SocketAddr::from(([127, 0, 0, 1], servers.offset.port(8020)));
    let root = format!("/native{}", crate::machine::stamp());
    let permission = |perm| p::FsPermissionProto { perm };
    let stat = |raw: &mut Raw, path: String| {
        raw.push("getFileInfo", &p::GetFileInfoRequestProto { src: path });
    };
    let mkdirs = |raw: &mut Raw, path: String| {
        let masked = permission(0o755);
        let request =
            p::MkdirsRequestProto { src: path, masked, create_parent: true, unmasked: None };
        raw.push("mkdirs", &request);
    };
    let create = |raw: &mut Raw, path: String| {
        let request = p::CreateRequestProto {
            src: path + "f",
            masked: permission(0o644),
            client_name: "bench".to_owned(),
            create_flag: 1,
            create_parent: true,
            replication: 3,
            block_size: 128 << 20,
            ..Default::default()
        };
        raw.push("create", &request);
    };
    let delete = |raw: &mut Raw, path: String| {
        raw.push("delete", &p::DeleteRequestProto { src: path + "f", recursive: false });
    };
    let calls: [(&str, Push<'_>); 4] =
        [("mkdirs", &mkdirs), ("getFileInfo", &stat), ("create", &create), ("delete", &delete)];
    let run = |(name, call): &(&str, Push<'_>)| {
        let (cpu, start) = (servers.namenode_cpu(), Instant::now());
        std::thread::scope(|scope| {
            for connection in 0..CONNECTIONS {
                let root = &root;
                scope.spawn(move || {
                    pipeline(address, operations / CONNECTIONS, |raw, index| {
                        call(raw, format!("{root}/{connection}/{}/{index}", index % 100));
                    });
                });
            }
        });
        let elapsed = start.elapsed().as_secs_f64();
        let used = (servers.namenode_cpu().saturating_sub(cpu)).as_secs_f64();
        Figure {
            what: format!("{name} (native, {} in flight)", CONNECTIONS * IN_FLIGHT),
            per_second: operations as f64 / elapsed,
            cpu_micros: used * 1e6 / operations as f64,
            tool_micros: None,
        }
    };
    calls.iter().map(run).collect()
}

/// Keeps calls in flight on one connection until all are answered.
fn pipeline(address: SocketAddr, operations: u64, mut push: impl FnMut(&mut Raw, u64)) {
    let mut raw = Raw::connect(address, &raw::me()).expect("the namenode listens");
    let (mut sent, mut received) = (0, 0);
    while received < operations {
        while sent < operations && sent - received < IN_FLIGHT {
            push(&mut raw, sent);
            sent += 1;
        }
        raw.flush().expect("the namenode reads");
        let reply = raw.receive().expect("the namenode answers");
        if let Err(fault) = reply.result {
            panic!("the namenode refuses: {fault}");
        }
        received += 1;
    }
}
