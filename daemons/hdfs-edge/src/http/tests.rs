//! The pages over a real socket on a free port.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

use super::*;
use crate::config::Config;
use crate::metrics::Bean;

fn pages() -> Pages {
    let pairs = [("dfs.replication", "2"), ("fs.s3a.secret.key", "hush"), ("a", "<&>")];
    let config = Config::from_pairs(pairs).expect("valid");
    let config = Live::new(crate::keys::Daemon::Namenode, config);
    let registry = Registry::default();
    registry.register(|| vec![Bean::new("NameNode", "FSNamesystem").with("FilesTotal", 3_u64)]);
    let about = About::new(|| Map::from_iter([("state".to_owned(), "active".into())]));
    Pages { config, health: Health::default(), registry, about }
}

fn start(pages: Pages, bounds: Bounds) -> (tokio::runtime::Runtime, SocketAddr) {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .expect("runtime");
    let listener = crate::net::listen("127.0.0.1", 0, "test").expect("free port");
    let address = listener.local_addr().expect("bound");
    let router = common_pages(pages);
    runtime.spawn(serve(listener, router, bounds, std::future::pending()));
    (runtime, address)
}

fn fetch(address: SocketAddr, path: &str) -> String {
    let mut stream = TcpStream::connect(address).expect("connects");
    write!(stream, "GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").expect("sends");
    let mut text = String::new();
    stream.read_to_string(&mut text).expect("answers");
    text
}

#[test]
fn every_common_page_answers() {
    let pages = pages();
    let (_runtime, address) = start(pages.clone(), Bounds::default());
    assert!(fetch(address, "/healthz").starts_with("HTTP/1.1 503"));
    pages.health.set_ready();
    let healthy = fetch(address, "/healthz");
    assert!(healthy.starts_with("HTTP/1.1 200") && healthy.contains(&pages.config.get().hash()));
    assert!(healthy.contains("\"state\":\"active\"") && healthy.contains("\"ready\":true"));
    assert!(fetch(address, "/jmx").contains("\"FilesTotal\": 3"));
    assert!(fetch(address, "/jmx?get=Hadoop:service=NameNode,name=X::Y").contains(" 404 "));
    assert!(fetch(address, "/prom").contains("fs_namesystem_files_total 3"));
    assert!(fetch(address, "/metrics").contains("hadoop_namenode_filestotal"));
    assert!(fetch(address, "/stacks").contains("tokio"));
    let xml = fetch(address, "/conf");
    assert!(xml.contains("<name>dfs.replication</name><value>2</value>"), "{xml}");
    assert!(xml.contains("&lt;&amp;&gt;") && !xml.contains("hush"), "{xml}");
    let one = fetch(address, "/conf?format=json&name=dfs.replication");
    assert!(one.contains("\"value\":\"2\""), "{one}");
    assert!(fetch(address, "/nothing").contains(" 404 "));
}

#[test]
fn a_silent_peer_is_closed_and_one_too_many_as_well() {
    let bounds = Bounds {
        connections_max: 1,
        request_time_max: std::time::Duration::from_millis(200),
        ..Bounds::default()
    };
    let (_runtime, address) = start(pages(), bounds);
    let mut silent = TcpStream::connect(address).expect("connects");
    silent.write_all(b"GET / HT").expect("sends");
    let mut one_too_many = TcpStream::connect(address).expect("connects");
    let mut buffer = [0; 64];
    assert_eq!(one_too_many.read(&mut buffer).unwrap_or(0), 0);
    assert_eq!(silent.read(&mut buffer).unwrap_or(0), 0);
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(10);
    loop {
        let mut stream = TcpStream::connect(address).expect("connects");
        let request = b"GET /prom HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
        let mut text = String::new();
        let sent = stream.write_all(request).is_ok();
        if sent && stream.read_to_string(&mut text).is_ok() && text.starts_with("HTTP/1.1 200") {
            break;
        }
        assert!(std::time::Instant::now() < deadline, "the slot never came free");
    }
}
