//! The namenode as a secondary sees it: calls, and transfers over HTTP. Nothing is retried here,
//! and nothing of an answer is believed without a bound.

use std::fs::File;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::body::{Body, BodyDataStream, Bytes};
use axum::http::{Method, Request, Response, StatusCode, header};
use futures::StreamExt;
use hdfs_disk::storage::{NAMENODE_LAYOUT, NamenodeVersion, is_id};
use hdfs_edge::daemon::Failure;
use hdfs_edge::groups;
use hdfs_edge::rpc::{CallError, Client, Timeouts, User};
use hdfs_wire::proto::hdfs::namenode::*;
use hdfs_wire::proto::hdfs::{
    CheckpointSignatureProto, RemoteEditLogProto, StorageInfoProto, VersionRequestProto,
    VersionResponseProto,
};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use prost::Message;
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::settings::Settings;
use crate::names::{told, unhex};
use crate::transfer::chunks;

/// The protocol's name.
const PROTOCOL: &str = "org.apache.hadoop.hdfs.server.protocol.NamenodeProtocol";

/// A connection must stand within this time (`ipc.client.connect.timeout`).
const CONNECT_TIMEOUT: Duration = Duration::from_secs(20);

/// Bytes of the namenode's complaint that are repeated in ours.
const COMPLAINT_LENGTH_MAX: usize = 300;

pub(super) struct Link {
    client: Client,
    http: (String, u16),
    /// A transfer without progress fails after this long.
    timeout: Duration,
}

/// The first line of a remote exception, or what went wrong on the way.
fn failed(error: CallError) -> Failure {
    match error {
        CallError::Remote { class, message } => {
            Failure::failed(format!("{class}: {}", message.lines().next().unwrap_or_default()))
        }
        other => Failure::failed(told(&other)),
    }
}

impl Link {
    pub(super) fn new(settings: &Settings) -> Self {
        let (host, port) = &settings.rpc;
        let timeouts = Timeouts { connect: CONNECT_TIMEOUT, ..Timeouts::default() };
        let user = User::new(groups::own_user());
        let client = Client::new(format!("{host}:{port}"), user, PROTOCOL, timeouts);
        Self { client, http: settings.http.clone(), timeout: settings.transfer_timeout }
    }

    /// `host:port` of its calls.
    pub(super) fn address(&self) -> &str {
        self.client.address()
    }

    async fn call<A: Message + Default>(
        &self,
        method: &str,
        request: &impl Message,
    ) -> Result<A, Failure> {
        self.client.call(method, request).await.map_err(failed)
    }

    /// Whose the namenode is.
    pub(super) async fn version(&self) -> Result<NamenodeVersion, Failure> {
        let answer: VersionResponseProto =
            self.call("versionRequest", &VersionRequestProto {}).await?;
        self.version_of(&answer.info.storage_info, &answer.info.block_pool_id)
    }

    /// # Errors
    /// Exit code 2: another layout than ours, or ids that cannot be ones.
    pub(super) fn version_of(
        &self,
        info: &StorageInfoProto,
        block_pool_id: &str,
    ) -> Result<NamenodeVersion, Failure> {
        let (address, layout) = (self.address(), info.layout_version.cast_signed());
        if layout != NAMENODE_LAYOUT {
            return Err(Failure::user(format!(
                "the namenode {address} has layout {layout}, and this secondary knows \
                 {NAMENODE_LAYOUT}; use the release that belongs to the namenode"
            )));
        }
        if !is_id(block_pool_id) {
            return Err(Failure::user(format!(
                "the namenode {address} has the block pool {block_pool_id:?}, which is no id"
            )));
        }
        Ok(NamenodeVersion {
            namespace_id: info.namespce_id,
            block_pool_id: block_pool_id.to_owned(),
            cluster_id: info.cluster_id.clone(),
            creation_time: info.c_time,
            layout,
        })
    }

    /// Its last transaction on disk.
    pub(super) async fn transaction_id(&self) -> Result<u64, Failure> {
        let answer: GetTransactionIdResponseProto =
            self.call("getTransactionId", &GetTransactionIdRequestProto {}).await?;
        Ok(answer.tx_id)
    }

    /// Transaction of its newest image.
    pub(super) async fn newest_image(&self) -> Result<u64, Failure> {
        let request = GetMostRecentCheckpointTxIdRequestProto {};
        let answer: GetMostRecentCheckpointTxIdResponseProto =
            self.call("getMostRecentCheckpointTxId", &request).await?;
        Ok(answer.tx_id)
    }

    /// Has it close its open segment.
    pub(super) async fn roll(&self) -> Result<CheckpointSignatureProto, Failure> {
        let answer: RollEditLogResponseProto =
            self.call("rollEditLog", &RollEditLogRequestProto {}).await?;
        Ok(answer.signature)
    }

    /// Its closed segments from a transaction on.
    pub(super) async fn segments(&self, since: u64) -> Result<Vec<RemoteEditLogProto>, Failure> {
        let request = GetEditLogManifestRequestProto { since_tx_id: since };
        let answer: GetEditLogManifestResponseProto =
            self.call("getEditLogManifest", &request).await?;
        let mut logs = answer.manifest.logs;
        logs.retain(|log| !log.is_in_progress());
        Ok(logs)
    }

    /// Begins to fetch an image.
    pub(super) async fn image(&self, info: &str, txid: u64) -> Result<Download, Failure> {
        let info = encode(info);
        self.get(&format!("getimage=1&txid={txid}&imageFile=IMAGE&storageInfo={info}")).await
    }

    /// Begins to fetch a closed segment.
    pub(super) async fn edits(&self, info: &str, log: (u64, u64)) -> Result<Download, Failure> {
        let ((first, last), info) = (log, encode(info));
        let query = format!("getedit=1&startTxId={first}&endTxId={last}&storageInfo={info}");
        self.get(&query).await
    }

    async fn get(&self, query: &str) -> Result<Download, Failure> {
        let request = self.request(Method::GET, query).body(Body::empty());
        let what = format!("{}: {query}", self.web());
        let answer = self.exchange(request.map_err(Failure::failed)?, &AtomicU64::new(0)).await?;
        if answer.status() != StatusCode::OK {
            return Err(self.refused(answer).await);
        }
        let header = |name: &str| answer.headers().get(name).and_then(|text| text.to_str().ok());
        let length = header("Content-Length").and_then(|text| text.parse().ok());
        let digest = header("X-MD5-Digest").and_then(unhex);
        let Some(length) = length else {
            return Err(Failure::failed(format!("{what}: the answer has no Content-Length")));
        };
        let (timeout, body) = (self.timeout, answer.into_body().into_data_stream());
        Ok(Download { length, digest, left: length, what, timeout, body })
    }

    /// Sends an image; `false` when the namenode wants none now.
    pub(super) async fn put(
        &self,
        info: &str,
        txid: u64,
        digest: &str,
        file: File,
    ) -> Result<bool, Failure> {
        let length = file.metadata().map_err(Failure::failed)?.len();
        let sent = Arc::new(AtomicU64::new(0));
        let counter = Arc::clone(&sent);
        let body = chunks(file).inspect(move |_| {
            counter.fetch_add(1, Ordering::Relaxed);
        });
        let info = encode(info);
        let query = format!("txid={txid}&imageFile=IMAGE&File-Length={length}&storageInfo={info}");
        let request = self
            .request(Method::PUT, &query)
            .header(header::CONTENT_TYPE, "application/octet-stream")
            .header(header::CONTENT_LENGTH, length)
            .header("File-Length", length)
            .header("X-MD5-Digest", digest)
            .body(Body::from_stream(body));
        let answer = self.exchange(request.map_err(Failure::failed)?, &sent).await?;
        match answer.status() {
            StatusCode::OK => Ok(true),
            StatusCode::CONFLICT => {
                let reason = self.refused(answer).await;
                tracing::info!(transaction = txid, "the image is not wanted: {reason}");
                Ok(false)
            }
            _ => Err(self.refused(answer).await),
        }
    }

    fn web(&self) -> String {
        format!("{}:{}", self.http.0, self.http.1)
    }

    fn request(&self, method: Method, query: &str) -> axum::http::request::Builder {
        let target = format!("/imagetransfer?{query}");
        Request::builder().method(method).uri(target).header(header::HOST, self.web())
    }

    /// One request on a connection of its own. `progress` tells whether the body moves.
    async fn exchange(
        &self,
        request: Request<Body>,
        progress: &AtomicU64,
    ) -> Result<Response<Body>, Failure> {
        let web = self.web();
        let failed = |reason: &str| Failure::failed(format!("{web}: {reason}"));
        let connect = TcpStream::connect((self.http.0.as_str(), self.http.1));
        let stream = match timeout(CONNECT_TIMEOUT, connect).await {
            Ok(stream) => stream.map_err(|error| failed(&error.to_string()))?,
            Err(_) => return Err(failed("no connection in time")),
        };
        let handshake = http1::handshake(TokioIo::new(stream)).await;
        let (mut sender, connection) = handshake.map_err(|error| failed(&told(&error)))?;
        // Ends with the answer's body, or when that is dropped.
        tokio::spawn(connection);
        let mut answer = std::pin::pin!(sender.send_request(request));
        let mut before = 0;
        loop {
            match timeout(self.timeout, answer.as_mut()).await {
                Ok(answer) => {
                    let answer = answer.map_err(|error| failed(&told(&error)))?;
                    return Ok(answer.map(Body::new));
                }
                Err(_) if progress.load(Ordering::Relaxed) > before => {
                    before = progress.load(Ordering::Relaxed);
                }
                Err(_) => return Err(failed(&format!("nothing moves for {:?}", self.timeout))),
            }
        }
    }

    /// The namenode's complaint as a failure.
    async fn refused(&self, answer: Response<Body>) -> Failure {
        let status = answer.status();
        let mut text = Vec::new();
        let mut body = answer.into_body().into_data_stream();
        while let Ok(Some(Ok(chunk))) = timeout(self.timeout, body.next()).await {
            let room = COMPLAINT_LENGTH_MAX - text.len();
            text.extend_from_slice(&chunk[..chunk.len().min(room)]);
            if text.len() == COMPLAINT_LENGTH_MAX {
                break;
            }
        }
        let text = String::from_utf8_lossy(&text);
        Failure::failed(format!(
            "{}: {status}: {}",
            self.web(),
            text.lines().next().unwrap_or_default()
        ))
    }
}

/// A file on its way in.
pub(super) struct Download {
    /// Bytes, as announced.
    pub(super) length: u64,
    /// MD5, as announced.
    pub(super) digest: Option<[u8; 16]>,
    left: u64,
    what: String,
    timeout: Duration,
    body: BodyDataStream,
}

impl Download {
    /// The next bytes; `None` when all that were announced have come.
    ///
    /// # Errors
    /// Fewer or more bytes, or none in time.
    pub(super) async fn next(&mut self) -> Result<Option<Bytes>, Failure> {
        let failed = |reason: &str| Failure::failed(format!("{}: {reason}", self.what));
        match timeout(self.timeout, self.body.next()).await {
            Err(_) => Err(failed("no bytes come")),
            Ok(Some(Err(error))) => Err(failed(&told(&error))),
            Ok(None) if self.left > 0 => Err(failed("it ended too early")),
            Ok(None) => Ok(None),
            Ok(Some(Ok(chunk))) => match self.left.checked_sub(chunk.len() as u64) {
                Some(left) => {
                    self.left = left;
                    Ok(Some(chunk))
                }
                None => Err(failed("it is longer than announced")),
            },
        }
    }

    /// A failure that names this file.
    pub(super) fn failed(&self, reason: &str) -> Failure {
        Failure::failed(format!("{}: {reason}", self.what))
    }
}

/// Percent-encodes a value of a query; cluster ids may be any text.
fn encode(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~:".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_cluster_id_of_any_text_fits_a_query() {
        assert_eq!(super::encode("-67:1:2:CID a&b"), "-67:1:2:CID%20a%26b");
    }
}
