//! `/fsck`: what `hdfs fsck` prints, streamed while the tree is walked.
//!
//! The walk takes one page of a directory at a time under the shared lock, so it holds up nobody;
//! the report is therefore of a moving tree, as Java's is. It repairs and moves nothing.

mod report;
mod walk;

use std::sync::Arc;
use std::time::Instant;

use axum::body::{Body, Bytes};
use axum::extract::{ConnectInfo, Query, State};
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use hdfs_core::namenode::Caller;
use hdfs_edge::groups::GroupList;
use hdfs_edge::http::{Peer, parameter};
use hdfs_wire::proto::hdfs::{GetFileInfoRequestProto, ListCorruptFileBlocksRequestProto};
use tokio::sync::mpsc;

use crate::dates;
use crate::server::{Server, now};

/// Pieces of text that may wait for a slow reader.
const PIECES_MAX: usize = 16;

/// A piece is sent when it is this long.
const PIECE_LENGTH: usize = 8 << 10;

/// What the query asks to be shown besides the sums.
#[derive(Debug, Clone, Copy, Default)]
struct Show {
    files: bool,
    blocks: bool,
    locations: bool,
    racks: bool,
    open_files: bool,
}

/// A check of one path for one user.
struct Check {
    server: Arc<Server>,
    user: String,
    groups: GroupList,
    address: String,
    path: String,
    show: Show,
    output: Output,
}

/// Text on its way to the reader; it stops the walk when the reader is gone.
struct Output {
    text: String,
    sender: mpsc::Sender<std::io::Result<Bytes>>,
}

/// The reader went away.
struct ReaderGone;

impl Output {
    fn print(&mut self, text: &str) -> Result<(), ReaderGone> {
        self.text.push_str(text);
        if self.text.len() >= PIECE_LENGTH { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> Result<(), ReaderGone> {
        let piece = Bytes::from(std::mem::take(&mut self.text));
        self.sender.blocking_send(Ok(piece)).map_err(|_| ReaderGone)
    }
}

/// The page.
pub(crate) async fn page(
    State(server): State<Arc<Server>>,
    ConnectInfo(Peer(peer)): ConnectInfo<Peer>,
    Query(query): Query<Vec<(String, String)>>,
) -> Response {
    let (sender, mut receiver) = mpsc::channel(PIECES_MAX);
    let flag = |name: &str| parameter(&query, name).is_some();
    let show = Show {
        files: flag("files"),
        blocks: flag("blocks"),
        locations: flag("locations"),
        racks: flag("racks"),
        open_files: flag("openforwrite"),
    };
    let corrupt_only = flag("listcorruptfileblocks");
    let user = parameter(&query, "ugi").unwrap_or("dr.who").to_owned();
    let path = parameter(&query, "path").unwrap_or("/").to_owned();
    tokio::task::spawn_blocking(move || {
        let groups = server.groups.of(&user);
        let output = Output { text: String::new(), sender };
        let address = peer.ip().to_canonical().to_string();
        let mut check = Check { server, user, groups, address, path, show, output };
        // A reader that went away is no error of ours.
        let done = if corrupt_only { check.list_corrupt() } else { check.run() };
        let _ = done.and_then(|()| check.output.flush());
    });
    let pieces = futures::stream::poll_fn(move |context| receiver.poll_recv(context));
    let plain = HeaderValue::from_static("text/plain; charset=utf-8");
    ([(header::CONTENT_TYPE, plain)], Body::from_stream(pieces)).into_response()
}

impl Check {
    fn caller(&self) -> Caller<'_> {
        Caller {
            user: &self.user,
            groups: &self.groups,
            address: &self.address,
            client_id: &[],
            call_id: -2,
            now: now(),
        }
    }

    fn run(&mut self) -> Result<(), ReaderGone> {
        let began = Instant::now();
        let Self { user, address, path, .. } = self;
        let start = format!(
            "FSCK started by {user} (auth:SIMPLE) from /{address} for path {path} at {}\n",
            dates::java_date(now())
        );
        self.output.print(&start)?;
        let request = GetFileInfoRequestProto { src: self.path.clone() };
        let found = self.server.state.read().get_file_info(&self.caller(), &request);
        let report = match found {
            Err(fault) => {
                let text = format!("\n\nFsck on path '{}' FAILED: {}\n", self.path, fault.message);
                return self.output.print(&text);
            }
            Ok(found) => match found.fs {
                None => {
                    let text =
                        format!("\n\nFilesystem under path '{}' does not exist\n", self.path);
                    return self.output.print(&text);
                }
                Some(status) => self.walk(&status)?,
            },
        };
        let text = report.print(&self.server, &self.path, began.elapsed());
        self.output.print(&text)
    }

    /// `-list-corruptfileblocks`.
    fn list_corrupt(&mut self) -> Result<(), ReaderGone> {
        let request = ListCorruptFileBlocksRequestProto { path: self.path.clone(), cookie: None };
        let found = self.server.state.read().list_corrupt_file_blocks(&self.caller(), &request);
        let files = found.map(|found| found.corrupt.files).unwrap_or_default();
        if files.is_empty() {
            let text = format!("The filesystem under path '{}' has no CORRUPT files\n", self.path);
            return self.output.print(&text);
        }
        let mut text = format!("The list of corrupt blocks under path '{}' are:\n", self.path);
        for file in &files {
            text.push_str(file);
            text.push('\n');
        }
        text.push_str(&format!(
            "The filesystem under path '{}' has {} CORRUPT files\n",
            self.path,
            files.len()
        ));
        self.output.print(&text)
    }
}
