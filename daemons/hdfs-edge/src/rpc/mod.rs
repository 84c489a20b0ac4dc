//! Hadoop RPC over TCP: a server that handles calls on the worker that read them, and a client
//! that shares one connection among its callers. Neither knows what a call means.

mod budget;
mod client;
mod clock;
mod connection;
mod decode;
mod link;
mod metrics;
mod server;
mod trace;
mod wire;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use hdfs_wire::rpc::CallHeader;
use hdfs_wire::{ByteStr, Exception, Fault};
use prost::Message;

pub use client::{CallError, Client, Timeouts};
pub use link::Responder;
pub use metrics::Metrics;
pub use server::serve;
pub use trace::follow as follow_trace;

/// Who calls.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct User {
    /// For whom the call is made.
    pub name: String,
    /// Who makes it, if that is somebody else.
    pub real: Option<String>,
}

impl User {
    /// A user who calls for himself.
    pub fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), real: None }
    }
}

/// One call. Its byte fields are slices of the frame it came in: what is kept for longer than the
/// call must be copied, or it keeps the frame alive.
#[derive(Debug, Clone)]
pub struct Call {
    /// Who calls; one value for all calls of a connection.
    pub user: Arc<User>,
    /// From where.
    pub peer: SocketAddr,
    /// Call id, retry count, client id, contexts.
    pub head: CallHeader,
    /// Name of the protocol, as the call says it (not the connection).
    pub protocol: ByteStr,
    /// Name of the method.
    pub method: ByteStr,
    /// Version of the protocol; 1 in all of Hadoop 2 and 3.
    pub version: u64,
    /// The request message.
    pub body: Bytes,
}

impl Call {
    /// Decodes the request.
    ///
    /// # Errors
    /// The message is malformed, or has more parts than any honest call (a bound on the memory that
    /// a decoded message takes).
    pub fn decode<M: Message + Default>(&self) -> Result<M, Fault> {
        decode::bounded(self)
    }
}

/// What a server does with calls. Both methods run on the worker that reads the connection and must
/// not block.
pub trait Service: Send + Sync + 'static {
    /// Whether this caller may use the server at all. By default everybody may, but only in his own
    /// name.
    ///
    /// # Errors
    /// The caller is told so, and the connection ends.
    fn admit(&self, user: &User, protocol: &str, peer: SocketAddr) -> Result<(), Fault> {
        let _ = (protocol, peer);
        match &user.real {
            Some(real) if *real != user.name => {
                let message = format!("User: {real} is not allowed to impersonate {}", user.name);
                Err(Fault::new(Exception::Authorization, message))
            }
            _ => Ok(()),
        }
    }

    /// Handles one call, and answers it through `responder` now or later, from any thread.
    fn call(&self, call: Call, responder: Responder);
}

/// What peers may make a server hold.
#[derive(Debug, Clone)]
pub struct Bounds {
    /// Largest unit of a protocol that sends reports, in bytes (`ipc.maximum.data.length`); clients
    /// are held to 16 MiB.
    pub max_frame: usize,
    /// Connections at once; more are closed as they come.
    pub max_connections: usize,
    /// From accept to the connection context.
    pub handshake_timeout: Duration,
    /// A connection without a call for so long is closed. Java's clients close theirs after 10 s.
    pub idle_timeout: Duration,
    /// A unit that has begun must be there after so long, and a second more for each of its MiB.
    pub frame_timeout: Duration,
    /// A peer that needs longer to take a batch of its replies is dropped.
    pub write_timeout: Duration,
    /// Calls of one connection without an answer; reading pauses at the bound.
    pub max_outstanding_calls: usize,
    /// Request bytes of one connection without an answer; reading pauses at the bound.
    pub max_outstanding_bytes: usize,
    /// Replies of one connection waiting for the peer, in bytes; it is dropped beyond.
    pub max_output: usize,
    /// Request bytes of all clients together, small units apart. Whoever needs more waits.
    pub max_buffered: usize,
    /// The same for the connections that send reports.
    pub max_buffered_reports: usize,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            max_frame: hdfs_wire::rpc::FRAME_LEN_MAX,
            // Above the 10,000 idle clients a busy namenode sees, below usual descriptor limits.
            max_connections: 20_000,
            handshake_timeout: Duration::from_secs(20),
            idle_timeout: Duration::from_secs(600),
            frame_timeout: Duration::from_secs(30),
            write_timeout: Duration::from_secs(60),
            // A Java client has one call per thread in flight; benchmarks use a few hundred.
            max_outstanding_calls: 4096,
            max_outstanding_bytes: 128 * 1024 * 1024,
            // A listing of the largest directory page is below 1 MiB.
            max_output: 64 * 1024 * 1024,
            // Two units of the largest size; an honest one is far below a mebibyte.
            max_buffered: 32 * 1024 * 1024,
            // One unit of the largest size and a few reports beside it.
            max_buffered_reports: 192 * 1024 * 1024,
        }
    }
}

#[cfg(test)]
mod tests;
