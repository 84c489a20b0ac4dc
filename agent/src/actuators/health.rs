//! Short questions to a daemon: `GET /healthz`, `POST /reload`. Yes means status 200, nothing else.

use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// A daemon that needs longer for a constant answer is not healthy.
const TIMEOUT: Duration = Duration::from_secs(2);

/// A daemon that takes a data folder in looks through it first.
const RELOAD_TIMEOUT: Duration = Duration::from_secs(60);

/// What of an answer is read; a status page is shorter.
const ANSWER_BYTES_MAX: u64 = 16 * 1024;

/// What a daemon said of itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Said {
    /// Whether it can do its work.
    pub well: bool,
    /// The hash of the configuration it runs with, where it tells.
    pub config: Option<String>,
    /// `active` or `standby`, where it tells.
    pub state: Option<String>,
}

/// Asks the daemon at `address` (`host:port`, or that and a path) how it is.
pub async fn probe(address: &str) -> Said {
    let answer = tokio::time::timeout(TIMEOUT, ask("GET", address, "/healthz")).await;
    let Ok(Ok((well, body))) = answer else { return Said::default() };
    // Whoever serves something else than JSON tells only whether it is well.
    let told: serde_json::Value = serde_json::from_str(&body).unwrap_or_default();
    let text = |field: &str| told[field].as_str().map(str::to_owned);
    Said { well, config: text("config"), state: text("state") }
}

/// Tells a daemon to do what stands behind `address` (`host:port/path`).
pub async fn post(address: &str) -> bool {
    let answer = tokio::time::timeout(RELOAD_TIMEOUT, ask("POST", address, "/reload")).await;
    matches!(answer, Ok(Ok((true, _))))
}

/// Whether the answer was 200, and its body.
async fn ask(method: &str, address: &str, otherwise: &str) -> std::io::Result<(bool, String)> {
    let at = address.find('/').unwrap_or(address.len());
    let (address, path) = address.split_at(at);
    let path = if path.is_empty() { otherwise } else { path };
    let mut stream = TcpStream::connect(address).await?;
    let request = format!(
        "{method} {path} HTTP/1.0\r\nHost: {address}\r\nContent-Length: 0\r\n\
         Connection: close\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await?;
    let mut answer = Vec::new();
    stream.take(ANSWER_BYTES_MAX).read_to_end(&mut answer).await?;
    let answer = String::from_utf8_lossy(&answer);
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    let status = head.lines().next().unwrap_or_default();
    let fine = status.starts_with("HTTP/1.") && status.split(' ').nth(1) == Some("200");
    Ok((fine, body.to_owned()))
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
        assert!(probe(&answering("HTTP/1.1 200 OK\r\n\r\n{}").await).await.well);
        assert!(!probe(&answering("HTTP/1.1 503 Service Unavailable\r\n\r\n").await).await.well);
        assert!(!probe(&answering("garbage").await).await.well);
    }

    #[tokio::test]
    async fn what_it_tells_of_itself() {
        let answer = "HTTP/1.1 503 no\r\n\r\n{\"config\":\"ab\",\"state\":\"standby\"}";
        let (config, state) = (Some("ab".to_owned()), Some("standby".to_owned()));
        assert_eq!(probe(&answering(answer).await).await, Said { well: false, config, state });
    }

    #[tokio::test]
    async fn nobody_there_is_not_healthy() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        drop(listener);
        assert_eq!(probe(&address).await, Said::default());
    }
}
