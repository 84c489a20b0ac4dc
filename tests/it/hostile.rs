//! Hostile peers: they get Hadoop's error or are closed, cost little memory, and do not keep others
//! from being served.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use hdfs_wire::proto::hdfs as p;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use tests::cluster::{Cluster, Options};
use tests::raw::{self, Raw};

use crate::common;

/// What the attack may cost a daemon.
const MEMORY_MAX: u64 = 64 << 20;

/// The longest an honest call may take meanwhile; the machine may be busy with other tests.
const PATIENCE: Duration = Duration::from_secs(5);

fn local(port: u16) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], port))
}

/// Memory of every daemon at its highest so far (VmHWM), in bytes.
fn peaks(cluster: &Cluster) -> Vec<(i32, u64)> {
    let mut ids = cluster.daemons("namenode");
    ids.extend(cluster.daemons("datanode"));
    ids.into_iter()
        .map(|id| {
            let text = std::fs::read_to_string(format!("/proc/{id}/status")).expect("it runs");
            let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
            let number = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
            (id, number.expect("a number") * 1024)
        })
        .collect()
}

/// Makes honest calls until told to stop; the slowest.
fn honest(address: SocketAddr, stop: &AtomicBool) -> Duration {
    let mut slowest = Duration::ZERO;
    let mut raw = Raw::connect(address, &raw::me()).expect("a connection");
    while !stop.load(Ordering::Relaxed) {
        let start = Instant::now();
        let request = p::GetFileInfoRequestProto { src: "/".to_owned() };
        let answer = raw.call::<p::GetFileInfoResponseProto>("getFileInfo", &request);
        assert!(answer.expect("a reply").expect("success").fs.is_some());
        slowest = slowest.max(start.elapsed());
        std::thread::sleep(Duration::from_millis(5));
    }
    slowest
}

/// Runs an attack beside honest calls, and checks memory and service.
fn attack(cluster: &Cluster, name: &str, attack: impl FnOnce()) {
    let before = peaks(cluster);
    let stop = AtomicBool::new(false);
    let address = local(cluster.offset().port(8020));
    std::thread::scope(|scope| {
        let honest = scope.spawn(|| honest(address, &stop));
        attack();
        stop.store(true, Ordering::Relaxed);
        let slowest = honest.join().expect("honest calls are served");
        assert!(slowest < PATIENCE, "{name}: an honest call took {slowest:?}");
    });
    let after = peaks(cluster);
    for ((id, before), (id_after, after)) in before.iter().zip(&after) {
        assert_eq!(id, id_after, "{name}: a daemon was restarted");
        let grown = after.saturating_sub(*before);
        assert!(grown <= MEMORY_MAX, "{name}: process {id} grew by {} MB", grown >> 20);
    }
}

fn ports(cluster: &Cluster) -> [u16; 5] {
    let offset = cluster.offset();
    [8020, 9870, 9866, 9867, 9864].map(|port| offset.port(port))
}

/// Connects, if the server's queue has room.
fn connect(port: u16) -> Option<TcpStream> {
    let stream = TcpStream::connect_timeout(&local(port), Duration::from_secs(5)).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(30))).ok()?;
    Some(stream)
}

fn raise_descriptors() {
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).expect("a limit");
    setrlimit(Resource::RLIMIT_NOFILE, hard.min(100_000), hard).expect("up to the hard limit");
}

#[test]
fn hostile_peers_change_nothing() {
    raise_descriptors();
    let cluster = Cluster::start(Options::default());
    // Warm: buffers that an honest client needs are no growth.
    attack(&cluster, "warm-up", || std::thread::sleep(Duration::from_millis(300)));
    attack(&cluster, "promises", || promises(&cluster));
    attack(&cluster, "noise", || noise(&cluster));
    attack(&cluster, "silence", || silence(&cluster));
    attack(&cluster, "bombs", || bombs(&cluster));
    attack(&cluster, "long path", || long_path(&cluster));
    attack(&cluster, "slow reader", || slow_reader(&cluster));
    still_works(&cluster);
}

/// 11 bytes that promise 128 MiB, a thousand times, all held open.
fn promises(cluster: &Cluster) {
    let mut held = Vec::new();
    for port in [ports(cluster)[0], ports(cluster)[3]] {
        for _ in 0..1000 {
            let Some(mut stream) = connect(port) else { continue };
            let _ = stream.write_all(b"hrpc\x09\x00\x00\x08\x00\x00\x00");
            held.push(stream);
        }
    }
    assert!(held.len() >= 1000, "only {} connections", held.len());
    std::thread::sleep(Duration::from_millis(500));
}

/// Random bytes at every port; each connection is answered or closed.
fn noise(cluster: &Cluster) {
    for port in ports(cluster) {
        for seed in 0..100 {
            let Some(mut stream) = connect(port) else { continue };
            let _ = stream.write_all(&common::bytes(seed, 1 + seed as usize * 40));
            let _ = stream.shutdown(std::net::Shutdown::Write);
            let mut answer = Vec::new();
            let end = stream.take(1 << 20).read_to_end(&mut answer);
            let timed_out =
                end.is_err_and(|problem| problem.kind() == std::io::ErrorKind::WouldBlock);
            assert!(!timed_out, "port {port} keeps noise {seed} open");
        }
    }
}

/// Connections that say nothing, or half of a handshake, and stay.
fn silence(cluster: &Cluster) {
    let mut held = Vec::new();
    for port in ports(cluster) {
        for index in 0..100 {
            let Some(mut stream) = connect(port) else { continue };
            let _ = stream.write_all(&b"hrpc\x09\x00\x00\x00\x00"[..index % 10]);
            held.push(stream);
        }
    }
    std::thread::sleep(Duration::from_millis(300));
}

/// Messages whose decoded form is far larger than their bytes, or very deep.
fn bombs(cluster: &Cluster) {
    let address = local(ports(cluster)[0]);
    // Two bytes each for an empty node or an empty string.
    let many = |field: u8| Bytes::from([field, 0].repeat(7 << 20));
    let deep = Bytes::from([0x1b].repeat(1 << 20));
    for (method, body) in [
        ("addBlock", many(0x22)),
        ("concat", many(0x12)),
        ("getBatchedListing", many(0x0a)),
        ("reportBadBlocks", many(0x0a)),
        ("getFileInfo", deep),
    ] {
        let mut raw = Raw::connect(address, &raw::me()).expect("a connection");
        raw.push(method, &Blob(body));
        // Refused with words, or closed: both are fine, an answer that is success is not.
        if raw.flush().is_ok() {
            let answer = raw.receive();
            assert!(answer.is_err() || answer.is_ok_and(|reply| reply.result.is_err()), "{method}");
        }
    }
}

/// Bytes that stand for a message.
#[derive(Debug, Default)]
struct Blob(Bytes);

impl prost::Message for Blob {
    fn encode_raw(&self, buffer: &mut impl bytes::BufMut) {
        buffer.put_slice(&self.0);
    }

    fn merge_field(
        &mut self,
        _: u32,
        _: prost::encoding::WireType,
        _: &mut impl bytes::Buf,
        _: prost::encoding::DecodeContext,
    ) -> Result<(), prost::DecodeError> {
        unreachable!("only encoded")
    }

    fn encoded_len(&self) -> usize {
        self.0.len()
    }

    fn clear(&mut self) {}
}

/// A path of 1 MB, flat and deep.
fn long_path(cluster: &Cluster) {
    let address = local(ports(cluster)[0]);
    for src in ["/".to_owned() + &"x".repeat(1 << 20), "/x".repeat(1 << 19)] {
        let mut raw = Raw::connect(address, &raw::me()).expect("a connection");
        let masked = p::FsPermissionProto { perm: 0o755 };
        let request =
            p::MkdirsRequestProto { src: src.clone(), masked, create_parent: true, unmasked: None };
        let answer = raw.call::<p::MkdirsResponseProto>("mkdirs", &request).expect("a reply");
        let fault = answer.expect_err("too long");
        assert_eq!(fault.class, "java.io.IOException");
        assert!(fault.message.starts_with("mkdirs: Pathname too long."), "{}", fault.message);
        let request = p::GetFileInfoRequestProto { src };
        let answer = raw.call::<p::GetFileInfoResponseProto>("getFileInfo", &request);
        let missing = answer.expect("a reply").is_ok_and(|reply| reply.fs.is_none());
        assert!(missing, "nothing has that name");
    }
}

/// A client that asks and asks and never reads an answer.
fn slow_reader(cluster: &Cluster) {
    let address = local(ports(cluster)[0]);
    let mut raw = Raw::connect(address, &raw::me()).expect("a connection");
    for _ in 0..200_000 {
        raw.push("getServerDefaults", &p::GetServerDefaultsRequestProto {});
    }
    // The server stops reading when it may not answer; then the write times out. Or it goes on
    // reading because the answers fit the kernel's buffers.
    let _ = raw.flush();
    std::thread::sleep(Duration::from_millis(300));
}

fn still_works(cluster: &Cluster) {
    common::runtime().block_on(async {
        let client = common::native(&cluster.uri());
        let options = hdfs_native::WriteOptions::default();
        let mut writer = client.create("/after", &options).await.expect("created");
        writer.write_bytes(Bytes::from(common::bytes(1, 1 << 20))).await.expect("written");
        writer.close().await.expect("closed");
        let mut reader = client.read("/after").await.expect("opened");
        assert!(reader.read_bytes(1 << 20).await.expect("read") == common::bytes(1, 1 << 20));
    });
}
