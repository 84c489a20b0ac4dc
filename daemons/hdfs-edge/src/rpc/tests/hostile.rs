//! Peers that promise, stall, babble or do not read. Each must cost little and be gone in the end,
//! while others are served.

use bytes::{BufMut, BytesMut};
use hdfs_wire::rpc::client::{Identity, encode_context, encode_hello, encode_request};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::*;

const IDENTITY: Identity<'static> = Identity { client_id: [7; 16], caller_context: None };

fn greeting(protocol: &str) -> BytesMut {
    let mut output = BytesMut::new();
    encode_hello(&mut output);
    encode_context(&IDENTITY, "mallory", None, protocol, &mut output);
    output
}

fn request(method: &str, call_id: i32, output: &mut BytesMut) {
    encode_request(&IDENTITY, call_id, 0, PROTOCOL, method, &message("m"), output);
}

async fn connect(server: &Running, bytes: &[u8]) -> TcpStream {
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    stream.write_all(bytes).await.unwrap();
    stream
}

async fn read_all(stream: &mut TcpStream) -> Vec<u8> {
    let mut all = Vec::new();
    // A reset instead of an end is as good: the server is done with us.
    let _ = stream.read_to_end(&mut all).await;
    all
}

async fn is_served(server: &Running) {
    let reply: ConcatRequestProto = server.client().call("echo", &message("ok")).await.unwrap();
    assert_eq!(reply.trg, "ok");
}

#[tokio::test]
async fn eleven_bytes_that_promise_much_cost_nothing() {
    let bounds = Bounds { handshake_timeout: Duration::from_millis(300), ..Bounds::default() };
    let server = start(bounds).await;
    let mut bomb = b"hrpc\x09\x00\x00".to_vec();
    bomb.extend(i32::to_be_bytes(128 << 20));
    let mut streams = Vec::new();
    for _ in 0..40 {
        streams.push(connect(&server, &bomb).await);
    }
    is_served(&server).await;
    assert_eq!(server.metrics.buffered_bytes_open.load(Ordering::Relaxed), 0);
    for mut stream in streams {
        assert!(read_all(&mut stream).await.is_empty());
    }
    until(&server.metrics.connections_dropped, 40).await;
    server.stop().await;
}

#[tokio::test]
async fn silence_and_half_units_time_out() {
    let bounds = Bounds {
        handshake_timeout: Duration::from_millis(50),
        frame_timeout: Duration::from_millis(50),
        idle_timeout: Duration::from_millis(200),
        ..Bounds::default()
    };
    let server = start(bounds).await;
    let mut silent = connect(&server, b"").await;
    let mut half = greeting(PROTOCOL);
    half.put_slice(&[0, 0, 0, 9, 1]);
    let mut half = connect(&server, &half).await;
    let mut idle = connect(&server, &greeting(PROTOCOL)).await;
    for stream in [&mut silent, &mut half, &mut idle] {
        assert!(read_all(stream).await.is_empty());
    }
    until(&server.metrics.connections_dropped, 3).await;
    server.stop().await;
}

#[tokio::test]
async fn a_call_in_work_keeps_its_connection() {
    let bounds = Bounds { idle_timeout: Duration::from_millis(50), ..Bounds::default() };
    let server = start(bounds).await;
    let mut bytes = greeting(PROTOCOL);
    request("hold", 1, &mut bytes);
    let mut stream = connect(&server, &bytes).await;
    until(&server.metrics.calls, 1).await;
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(server.metrics.connections_dropped.load(Ordering::Relaxed), 0);
    let held = std::mem::take(&mut *server.service.held.lock());
    held.into_iter().for_each(|responder| responder.send(Ok(message("done"))));
    assert!(read_all(&mut stream).await.ends_with(b"done"));
    server.stop().await;
}

#[tokio::test]
async fn strangers_are_told_and_closed() {
    let server = start(Bounds::default()).await;
    let mut browser = connect(&server, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").await;
    assert!(read_all(&mut browser).await.starts_with(b"HTTP/1.1 404"));
    let mut old = connect(&server, b"hrpc\x0a\x00\x00").await;
    let told = read_all(&mut old).await;
    let text = "Server IPC version 9 cannot communicate with client version 10";
    assert!(told.windows(text.len()).any(|part| part == text.as_bytes()));
    let mut large = connect(&server, &greeting(PROTOCOL)).await;
    large.write_all(&i32::to_be_bytes(17 << 20)).await.unwrap();
    assert!(read_all(&mut large).await.is_empty());
    is_served(&server).await;
    server.stop().await;
}

#[tokio::test]
async fn large_slow_units_share_a_budget() {
    let bounds = Bounds {
        max_buffered: 1 << 20,
        frame_timeout: Duration::from_millis(100),
        ..Bounds::default()
    };
    let server = start(bounds).await;
    let mut bytes = greeting(PROTOCOL);
    bytes.put_i32(2 << 20);
    bytes.put_bytes(0, 500_000);
    let mut streams = Vec::new();
    for _ in 0..8 {
        let mut stream = TcpStream::connect(server.address).await.unwrap();
        // What the server does not read stays in the sockets; the rest is for it to refuse.
        let (bytes, mut write) = (bytes.clone(), stream.split().1);
        let _ = tokio::time::timeout(Duration::from_millis(20), write.write_all(&bytes)).await;
        streams.push(stream);
    }
    is_served(&server).await;
    assert!(server.metrics.buffered_bytes_open.load(Ordering::Relaxed) <= 1 << 20);
    until(&server.metrics.connections_dropped, 8).await;
    drop(streams);
    server.stop().await;
}

#[tokio::test]
async fn whoever_does_not_read_is_dropped() {
    let bounds = Bounds { write_timeout: Duration::from_millis(200), ..Bounds::default() };
    let server = start(bounds).await;
    let mut bytes = greeting(PROTOCOL);
    for number in 0..2000 {
        request("large", number, &mut bytes);
    }
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    let (_read, mut write) = stream.split();
    let _ = tokio::time::timeout(Duration::from_millis(100), write.write_all(&bytes)).await;
    is_served(&server).await;
    until(&server.metrics.connections_dropped, 1).await;
    // It was not made to hold 200 MB for one peer: what went out fits the sockets' buffers.
    assert!(server.metrics.calls.load(Ordering::Relaxed) < 300);
    server.stop().await;
}

#[tokio::test]
async fn too_many_connections_are_refused_and_the_others_served() {
    let bounds = Bounds { max_connections: 2, ..Bounds::default() };
    let server = start(bounds).await;
    let first = connect(&server, &greeting(PROTOCOL)).await;
    let second = connect(&server, &greeting(PROTOCOL)).await;
    let mut third = connect(&server, &greeting(PROTOCOL)).await;
    assert!(read_all(&mut third).await.is_empty());
    assert_eq!(server.metrics.connections_refused.load(Ordering::Relaxed), 1);
    drop((first, second));
    while server.metrics.connections_open.load(Ordering::Relaxed) > 0 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    is_served(&server).await;
    server.stop().await;
}
