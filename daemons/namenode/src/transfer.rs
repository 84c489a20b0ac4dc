//! `/imagetransfer`: images and closed segments for a secondary namenode, `dfsadmin -fetchImage`
//! and
//! a standby's bootstrap, and images that a secondary namenode sends back.
//!
//! File names are made from numbers only; nothing of a request becomes part of a path.

use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::extract::{Query, Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures::StreamExt;
use hdfs_edge::http::parameter;

use crate::names::Upload;
use crate::server::{Server, now};

/// Bytes read from disk at a time.
const CHUNK_LENGTH: usize = 256 << 10;

/// Why a transfer is refused: status and text.
type Refusal = (StatusCode, String);

fn gone(reason: impl std::fmt::Display) -> Refusal {
    (StatusCode::GONE, format!("{reason}\n"))
}

type Parameters = Query<Vec<(String, String)>>;

/// `GET`: an image (`getimage=1`) or a closed segment (`getedit=1`).
pub(crate) async fn download(
    State(server): State<Arc<Server>>,
    Query(query): Parameters,
) -> Result<Response, Refusal> {
    same_cluster(&server, &query)?;
    let (name, digest) = if parameter(&query, "getimage").is_some() {
        let txid = match parameter(&query, "txid") {
            Some("latest") => server.names.image_txid(),
            _ => number(&query, "txid")?,
        };
        let digest = server.names.image_digest(txid).map_err(gone)?;
        (format!("fsimage_{txid:019}"), Some(digest))
    } else if parameter(&query, "getedit").is_some() {
        let (first, last) = (number(&query, "startTxId")?, number(&query, "endTxId")?);
        (format!("edits_{first:019}-{last:019}"), None)
    } else {
        return Err(gone("getimage=1 or getedit=1 is expected"));
    };
    let path = server.names.file(&name);
    let opened = tokio::task::spawn_blocking(move || open(&path)).await.map_err(gone)?;
    let (file, length) = opened?;
    let mut headers = HeaderMap::new();
    let text = |value: String| HeaderValue::try_from(value).map_err(gone);
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
    let disposition = text(format!("attachment; filename={name}"))?;
    headers.insert(header::CONTENT_DISPOSITION, disposition);
    headers.insert("X-Image-Edits-Name", text(name)?);
    if let Some(digest) = digest {
        headers.insert("X-MD5-Digest", text(digest)?);
    }
    Ok((headers, Body::from_stream(chunks(file))).into_response())
}

/// Refuses a peer of another cluster; a peer that says nothing of itself may read.
fn same_cluster(server: &Server, query: &[(String, String)]) -> Result<(), Refusal> {
    let ours = server.names.storage_info();
    match parameter(query, "storageInfo") {
        Some(theirs) if theirs != ours => Err((
            StatusCode::FORBIDDEN,
            format!("This namenode has storage info {ours} but the secondary expected {theirs}\n"),
        )),
        _ => Ok(()),
    }
}

fn number(query: &[(String, String)], name: &str) -> Result<u64, Refusal> {
    let value = parameter(query, name).ok_or_else(|| gone(format!("{name} is missing")))?;
    value.parse().map_err(|_| gone(format!("{name}={value} is no transaction number")))
}

fn open(path: &Path) -> Result<(File, u64), Refusal> {
    let refuse = |error: std::io::Error| gone(format!("{}: {error}", path.display()));
    let file = File::open(path).map_err(refuse)?;
    let length = file.metadata().map_err(refuse)?.len();
    Ok((file, length))
}

/// A file as a stream, read on threads that may block.
pub(crate) fn chunks(file: File) -> impl futures::Stream<Item = std::io::Result<Bytes>> + Send {
    futures::stream::unfold(Some(file), |file| async {
        let mut file = file?;
        let read = tokio::task::spawn_blocking(move || {
            let mut chunk = vec![0; CHUNK_LENGTH];
            let length = file.read(&mut chunk)?;
            chunk.truncate(length);
            Ok((Bytes::from(chunk), file))
        });
        match read.await.unwrap_or_else(|error| Err(std::io::Error::other(error))) {
            Ok((chunk, _)) if chunk.is_empty() => None,
            Ok((chunk, file)) => Some((Ok(chunk), Some(file))),
            Err(error) => Some((Err(error), None)),
        }
    })
}

/// `PUT`: an image that a secondary namenode made of our image and segments.
pub(crate) async fn upload(
    State(server): State<Arc<Server>>,
    Query(query): Parameters,
    request: Request,
) -> Result<StatusCode, Refusal> {
    same_cluster(&server, &query)?;
    if parameter(&query, "imageFile").is_some_and(|kind| kind != "IMAGE") {
        return Err(gone("only imageFile=IMAGE is accepted"));
    }
    let txid = number(&query, "txid")?;
    let length = number(&query, "File-Length")?;
    refuse_needless(&server, txid)?;
    let digest = request.headers().get("X-MD5-Digest").and_then(|value| value.to_str().ok());
    let digest = digest.map(str::to_owned);
    let begun = server.names.begin_upload(txid, length);
    let mut upload = begun.map_err(|reason| (StatusCode::CONFLICT, format!("{reason}\n")))?;
    let mut body = request.into_body().into_data_stream();
    while let Some(chunk) = body.next().await {
        let chunk = chunk.map_err(gone)?;
        upload = blocking(move || upload.append(&chunk).map(|()| upload)).await?;
    }
    let names = server.clone();
    blocking(move || names.names.finish_upload(upload, digest.as_deref())).await?;
    tracing::info!(transaction = txid, length, "an image was uploaded");
    Ok(StatusCode::OK)
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, String> + Send + 'static,
) -> Result<T, Refusal> {
    let outcome = tokio::task::spawn_blocking(work).await.map_err(gone)?;
    outcome.map_err(|reason| (StatusCode::INTERNAL_SERVER_ERROR, format!("{reason}\n")))
}

/// An image that is not newer than ours, or that comes too soon after it, is not wanted.
fn refuse_needless(server: &Server, txid: u64) -> Result<(), Refusal> {
    let conflict = |text: String| Err((StatusCode::CONFLICT, text));
    let newest = server.names.image_txid();
    if txid <= newest {
        return conflict(format!("there is an image of transaction {newest} already\n"));
    }
    if txid > server.journal.synced() {
        return conflict(format!("transaction {txid} was never written here\n"));
    }
    let age = now().saturating_sub(server.names.image_time());
    let period = u64::try_from(server.settings.checkpoint_period.as_millis()).unwrap_or(u64::MAX);
    let recent = age < period / 4 * 3;
    if recent && txid - newest < server.settings.checkpoint_transactions && newest > 0 {
        let message = "the image comes too soon: fewer transactions and less time than \
                       dfs.namenode.checkpoint.txns and .period have passed\n";
        return conflict(message.to_owned());
    }
    Ok(())
}

/// Keeps the compiler honest: an upload moves between threads.
const _: fn() = || {
    fn moved<T: Send>() {}
    moved::<Upload>();
};
