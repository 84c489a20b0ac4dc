//! A server of the unit tests: answers every request on loopback as a closure says.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// What to answer.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    head: String,
    body: String,
    close: bool,
    after: Duration,
}

impl Answer {
    /// A status and a body.
    pub(crate) fn json(status: u16, body: &str) -> Self {
        let head = format!("HTTP/1.1 {status} Scripted\r\nContent-Length: {}\r\n", body.len());
        Self { head, body: body.to_owned(), close: false, after: Duration::ZERO }
    }

    /// Bytes as they are; the connection ends after them.
    pub(crate) fn raw(text: &str) -> Self {
        let (head, body) = (String::new(), text.to_owned());
        Self { head, body, close: true, after: Duration::ZERO }
    }

    /// With a header.
    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        self.head.push_str(&format!("{name}: {value}\r\n"));
        self
    }

    /// Only after a while.
    pub(crate) fn after(mut self, after: Duration) -> Self {
        self.after = after;
        self
    }
}

/// The running server; it ends with the runtime.
#[derive(Debug)]
pub(crate) struct Scripted {
    address: String,
    requests: Arc<Mutex<Vec<String>>>,
    connections: Arc<AtomicUsize>,
}

impl Scripted {
    /// Starts it; the closure sees head and body of each request.
    pub(crate) fn start(script: impl Fn(&str) -> Answer + Send + Sync + 'static) -> Self {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let listener = TcpListener::from_std(listener).unwrap();
        let requests: Arc<Mutex<Vec<String>>> = Arc::default();
        let connections: Arc<AtomicUsize> = Arc::default();
        let (seen, opened, script) = (requests.clone(), connections.clone(), Arc::new(script));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                opened.fetch_add(1, Ordering::SeqCst);
                tokio::spawn(serve(stream, script.clone(), seen.clone()));
            }
        });
        Self { address, requests, connections }
    }

    /// `HOST:PORT`.
    pub(crate) fn address(&self) -> String {
        self.address.clone()
    }

    /// All requests so far.
    pub(crate) fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }

    /// All connections so far.
    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}

async fn serve<F: Fn(&str) -> Answer>(
    mut stream: TcpStream,
    script: Arc<F>,
    seen: Arc<Mutex<Vec<String>>>,
) {
    let mut buffer = Vec::new();
    while let Some(request) = read(&mut stream, &mut buffer).await {
        seen.lock().unwrap().push(request.clone());
        let answer = script(&request);
        tokio::time::sleep(answer.after).await;
        let mut text = answer.head;
        if !answer.close {
            text.push_str("\r\n");
        }
        text.push_str(&answer.body);
        if stream.write_all(text.as_bytes()).await.is_err() || answer.close {
            return;
        }
    }
}

async fn read(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> Option<String> {
    loop {
        let text = String::from_utf8_lossy(buffer).into_owned();
        if let Some(end) = text.find("\r\n\r\n") {
            let length = text.lines().find_map(|line| {
                line.to_lowercase().strip_prefix("content-length:")?.trim().parse::<usize>().ok()
            });
            let whole = end + 4 + length.unwrap_or(0);
            if buffer.len() >= whole {
                return Some(
                    String::from_utf8_lossy(&buffer.drain(..whole).collect::<Vec<_>>())
                        .into_owned(),
                );
            }
        }
        let mut piece = [0; 4096];
        match stream.read(&mut piece).await {
            Ok(0) | Err(_) => return None,
            Ok(length) => buffer.extend_from_slice(&piece[..length]),
        }
    }
}
