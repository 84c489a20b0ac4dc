//! A small HTTP/1.1 client for the APIs of Consul and Vault.
//!
//! It sends one request and reads one bounded answer before a deadline, over at most
//! [`CONNECTIONS_MAX`] connections that it keeps. It never retries, follows no redirect, and its
//! errors are one line that names method, address and path, never a header, query or body: those
//! may hold secrets.

pub mod download;
mod tls;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body_util::{BodyExt as _, Full};
use hyper::header::{HeaderMap, HeaderName, HeaderValue};
use hyper::{Method, Request as HyperRequest, StatusCode, Uri};
use hyper_rustls::HttpsConnector;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use tokio::sync::Semaphore;

use crate::sources::Masked;
pub use tls::Tls;

/// Most connections to one server. Consul allows 200 per client address; a host has one agent for
/// each unit.
pub const CONNECTIONS_MAX: usize = 4;

/// Longest answer taken: 10,000 keys of ordinary size, or 100 of the largest, in base64.
pub const BODY_BYTES_MAX: usize = 64 << 20;

/// A server on the same host or network answers a connect at once, or is not there.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Characters of a server's own complaint that are repeated in an error.
const COMPLAINT_CHARS_MAX: usize = 300;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    /// The address is none.
    #[error("{address:?} is no address: {what}; accepted is http://HOST:PORT or https://HOST:PORT")]
    Address {
        /// As configured.
        address: String,
        /// What is wrong with it.
        what: String,
    },
    /// A TLS file cannot be used.
    #[error("{what}")]
    Tls {
        /// The file and what is wrong with it.
        what: String,
    },
    /// Nobody answered, or not to the end.
    #[error("{request}: {what}")]
    Unreachable {
        /// Method, address and path.
        request: String,
        /// What happened.
        what: String,
    },
    /// Not before the deadline.
    #[error("{request}: no answer within {} s", limit.as_secs())]
    Late {
        /// Method, address and path.
        request: String,
        /// How long it was waited.
        limit: Duration,
    },
    /// A status that is no success.
    #[error("{request}: {status}{}{complaint}", if complaint.is_empty() { "" } else { ": " })]
    Status {
        /// Method, address and path.
        request: String,
        /// The status.
        status: StatusCode,
        /// The beginning of the answer, in one line.
        complaint: String,
    },
    /// An answer that makes no sense.
    #[error("{request}: {what}")]
    Garbage {
        /// Method, address and path.
        request: String,
        /// What is wrong with it.
        what: String,
    },
}

impl HttpError {
    /// The status, if the server gave one that is no success.
    pub fn status(&self) -> Option<u16> {
        match self {
            Self::Status { status, .. } => Some(status.as_u16()),
            _ => None,
        }
    }

    /// Whether the request may be as good as ever and only the server is not.
    pub fn is_outage(&self) -> bool {
        match self {
            Self::Status { status, .. } => status.is_server_error(),
            Self::Unreachable { .. } | Self::Late { .. } | Self::Garbage { .. } => true,
            Self::Address { .. } | Self::Tls { .. } => false,
        }
    }
}

/// What to send.
#[derive(Debug)]
pub struct Request {
    method: Method,
    target: String,
    headers: Vec<(&'static str, Masked)>,
    body: Bytes,
    limit: Duration,
}

impl Request {
    /// A request without a body; `target` is the path and query, already encoded.
    pub fn new(method: Method, target: impl Into<String>, limit: Duration) -> Self {
        let target = target.into();
        Self { method, target, headers: Vec::new(), body: Bytes::new(), limit }
    }

    /// With a header, whose value is never shown.
    #[must_use]
    pub fn header(mut self, name: &'static str, value: Masked) -> Self {
        self.headers.push((name, value));
        self
    }

    /// With a body.
    #[must_use]
    pub fn body(mut self, body: impl Into<Bytes>) -> Self {
        self.body = body.into();
        self
    }
}

/// A whole answer.
pub struct Response {
    /// The status; a success, or one that the caller accepts.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// All of the body.
    pub body: Bytes,
    request: String,
}

impl fmt::Debug for Response {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} ({} bytes)", self.request, self.status, self.body.len())
    }
}

impl Response {
    /// The body as JSON.
    ///
    /// # Errors
    /// It is none, or of another shape. The body is not repeated.
    pub fn json<T: serde::de::DeserializeOwned>(&self) -> Result<T, HttpError> {
        serde_json::from_slice(&self.body).map_err(|error| {
            self.garbage(format!(
                "the answer is no JSON of the shape expected ({:?} at line {} column {})",
                error.classify(),
                error.line(),
                error.column()
            ))
        })
    }

    /// A header as a number.
    pub fn number(&self, name: &str) -> Option<u64> {
        self.headers.get(name)?.to_str().ok()?.trim().parse().ok()
    }

    /// A header as a truth.
    pub fn truth(&self, name: &str) -> Option<bool> {
        self.headers.get(name)?.to_str().ok()?.trim().parse().ok()
    }

    /// This answer as an error that says what is wrong with it.
    pub fn garbage(&self, what: impl Into<String>) -> HttpError {
        HttpError::Garbage { request: self.request.clone(), what: what.into() }
    }

    /// Itself if the status is a success or one of `accepted`.
    ///
    /// # Errors
    /// Any other status, with the beginning of the server's complaint.
    pub fn accept(self, accepted: &[u16]) -> Result<Self, HttpError> {
        if self.status.is_success() || accepted.contains(&self.status.as_u16()) {
            return Ok(self);
        }
        let complaint = complaint(&self.body);
        Err(HttpError::Status { request: self.request, status: self.status, complaint })
    }
}

/// The client of one server.
pub struct Http {
    base: String,
    /// What to add when a TLS connection breaks before any answer.
    suspicion: &'static str,
    client: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
    connections: Arc<Semaphore>,
}

impl fmt::Debug for Http {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Http").field("base", &self.base).finish_non_exhaustive()
    }
}

impl Http {
    /// A client of the server at `address`: `HOST:PORT`, `http://HOST:PORT`, `https://HOST:PORT`.
    ///
    /// # Errors
    /// The address or a TLS file is unusable.
    pub fn new(address: &str, tls: &Tls) -> Result<Self, HttpError> {
        let base = base(address)?;
        let mut connector = HttpConnector::new();
        connector.enforce_http(false);
        connector.set_nodelay(true);
        connector.set_connect_timeout(Some(CONNECT_TIMEOUT));
        let config =
            tls::config(tls, base.starts_with("https:")).map_err(|what| HttpError::Tls { what })?;
        let connector = hyper_rustls::HttpsConnectorBuilder::new()
            .with_tls_config(config)
            .https_or_http()
            .enable_http1()
            .wrap_connector(connector);
        let client = Client::builder(TokioExecutor::new())
            .pool_max_idle_per_host(CONNECTIONS_MAX)
            .build(connector);
        let suspicion = if base.starts_with("https:") { tls::suspicion(tls) } else { "" };
        let connections = Arc::new(Semaphore::new(CONNECTIONS_MAX));
        Ok(Self { base, suspicion, client, connections })
    }

    /// The server, as `http://HOST:PORT`.
    pub fn base(&self) -> &str {
        &self.base
    }

    /// Sends and waits for the whole answer, whatever its status.
    ///
    /// # Errors
    /// No connection, no answer before the limit, an answer that is cut or too long.
    pub async fn send(&self, request: Request) -> Result<Response, HttpError> {
        let path = request.target.split('?').next().unwrap_or_default();
        let name = format!("{} {}{path}", request.method, self.base);
        let limit = request.limit;
        match tokio::time::timeout(limit, self.exchange(request, name.clone())).await {
            Ok(answer) => answer,
            Err(_) => Err(HttpError::Late { request: name, limit }),
        }
    }

    async fn exchange(&self, request: Request, name: String) -> Result<Response, HttpError> {
        let unreachable = |what: String| HttpError::Unreachable { request: name.clone(), what };
        let _connection =
            self.connections.acquire().await.map_err(|error| unreachable(error.to_string()))?;
        let message = self.message(request).map_err(|what| unreachable(what.to_owned()))?;
        let answer = self.client.request(message).await;
        let answer = answer.map_err(|error| unreachable(self.explain(&error)))?;
        let (head, mut stream) = answer.into_parts();
        let mut body = BytesMut::new();
        while let Some(frame) = stream.frame().await {
            let frame = frame.map_err(|error| unreachable(whole(&error)))?;
            let Some(data) = frame.data_ref() else { continue };
            if body.len() + data.len() > BODY_BYTES_MAX {
                return Err(HttpError::Garbage {
                    request: name,
                    what: format!("the answer is longer than {BODY_BYTES_MAX} bytes"),
                });
            }
            body.extend_from_slice(data);
        }
        Ok(Response {
            status: head.status,
            headers: head.headers,
            body: body.freeze(),
            request: name,
        })
    }

    fn explain(&self, error: &hyper_util::client::legacy::Error) -> String {
        match tls::told(error) {
            Some(what) => what,
            None if error.is_connect() => whole(error),
            None => whole(error) + self.suspicion,
        }
    }

    fn message(&self, request: Request) -> Result<HyperRequest<Full<Bytes>>, &'static str> {
        let uri: Uri = format!("{}{}", self.base, request.target)
            .parse()
            .map_err(|_| "the path is no path")?;
        let mut message = HyperRequest::new(Full::new(request.body));
        *message.method_mut() = request.method;
        *message.uri_mut() = uri;
        for (name, value) in &request.headers {
            let mut value = HeaderValue::from_str(value.expose())
                .map_err(|_| "a token or header has characters that cannot be sent")?;
            value.set_sensitive(true);
            message.headers_mut().insert(HeaderName::from_static(name), value);
        }
        Ok(message)
    }
}

/// Percent-encodes what may not stand in a path; `/` stays.
pub fn encode_path(text: &str) -> String {
    encode(text, b"/-._~@:!$&'()*+,;=")
}

/// Percent-encodes what may not stand in the value of a query.
pub fn encode_query(text: &str) -> String {
    encode(text, b"-._~")
}

fn encode(text: &str, plain: &[u8]) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || plain.contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

fn base(address: &str) -> Result<String, HttpError> {
    let wrong =
        |what: &str| HttpError::Address { address: address.to_owned(), what: what.to_owned() };
    let text = address.trim().trim_end_matches('/');
    let text = if text.contains("://") { text.to_owned() } else { format!("http://{text}") };
    let uri: Uri = text.parse().map_err(|_| wrong("it cannot be read"))?;
    if !matches!(uri.scheme_str(), Some("http" | "https")) {
        return Err(wrong("its scheme is neither http nor https"));
    }
    if uri.path() != "/" && !uri.path().is_empty() || uri.query().is_some() {
        return Err(wrong("it has a path"));
    }
    if uri.authority().is_some_and(|authority| authority.as_str().contains('@')) {
        return Err(HttpError::Address {
            address: "(hidden)".to_owned(),
            what: "it holds a password".to_owned(),
        });
    }
    Ok(text)
}

/// An error and its causes in one line.
fn whole(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let part = error.to_string();
        if !text.contains(&part) {
            text = format!("{text}: {part}");
        }
        cause = error.source();
    }
    text
}

/// The beginning of a server's complaint, in one line. Vault and Consul say what is missing there.
fn complaint(body: &[u8]) -> String {
    #[derive(serde::Deserialize)]
    struct Errors {
        errors: Vec<String>,
    }
    let text = match serde_json::from_slice::<Errors>(body) {
        Ok(said) => said.errors.join("; "),
        Err(_) => String::from_utf8_lossy(&body[..body.len().min(4096)]).into_owned(),
    };
    let words: Vec<&str> = text.split_whitespace().collect();
    words.join(" ").chars().take(COMPLAINT_CHARS_MAX).collect()
}

#[cfg(test)]
mod tests;
