//! Short questions to a daemon: `GET /healthz`, `POST /reload`. Yes means status 200, nothing else.

use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// A daemon that needs longer for a constant answer is not healthy.
const TIMEOUT: Duration = Duration::from_secs(2);

/// The first bytes of an answer hold its status; the rest is not ours to read.
const STATUS_BYTES: usize = 12;

/// Whether the daemon at `address` (`host:port`, or that and a path) says it can do its work.
pub async fn probe(address: &str) -> bool {
    matches!(tokio::time::timeout(TIMEOUT, ask("GET", address, "/healthz")).await, Ok(Ok(true)))
}

/// Tells a daemon to do what stands behind `address` (`host:port/path`).
pub async fn post(address: &str) -> bool {
    matches!(tokio::time::timeout(TIMEOUT, ask("POST", address, "/reload")).await, Ok(Ok(true)))
}

async fn ask(method: &str, address: &str, otherwise: &str) -> std::io::Result<bool> {
    let at = address.find('/').unwrap_or(address.len());
    let (address, path) = address.split_at(at);
    let path = if path.is_empty() { otherwise } else { path };
    let mut stream = TcpStream::connect(address).await?;
    let request = format!(
        "{method} {path} HTTP/1.1\r\nHost: {address}\r\nContent-Length: 0\r\n\
         Connection: close\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await?;
    let mut status = [0; STATUS_BYTES];
    stream.read_exact(&mut status).await?;
    Ok(status.starts_with(b"HTTP/1.") && status.ends_with(b" 200"))
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn answering(answer: &'static str) -> String {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let _ = stream.read(&mut [0; 1024]).await;
            let _ = stream.write_all(answer.as_bytes()).await;
        });
        address
    }

    #[tokio::test]
    async fn only_200_is_healthy() {
        assert!(probe(&answering("HTTP/1.1 200 OK\r\n\r\n{}").await).await);
        assert!(!probe(&answering("HTTP/1.1 503 Service Unavailable\r\n\r\n").await).await);
        assert!(!probe(&answering("garbage").await).await);
    }

    #[tokio::test]
    async fn nobody_there_is_not_healthy() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        drop(listener);
        assert!(!probe(&address).await);
    }
}
