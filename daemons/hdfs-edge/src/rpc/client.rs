//! An RPC client: one connection to one server, shared by all who call, opened again by the next
//! call after it broke. It retries nothing that may have been carried out.

use std::collections::hash_map::RandomState;
use std::fmt;
use std::hash::{BuildHasher, Hasher};
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use hdfs_wire::rpc::client::{Identity, RemoteFault, encode_context, encode_hello, encode_request};
use prost::Message;
use tokio::net::TcpStream;
use tokio::sync::{Mutex, Semaphore};
use tokio::time::{Instant, timeout};

use super::User;
use super::wire::{Failure, Wire};

/// Calls of one client without an answer; more wait their turn.
const OUTSTANDING_MAX: usize = 1024;

/// How long a client waits.
#[derive(Debug, Clone, Copy)]
pub struct Timeouts {
    /// For a connection.
    pub connect: Duration,
    /// For the answer of a call, the connection included.
    pub call: Duration,
}

impl Default for Timeouts {
    /// Hadoop's: 20 s (`ipc.client.connect.timeout`), 120 s (`ipc.client.rpc-timeout.ms`).
    fn default() -> Self {
        Self { connect: Duration::from_secs(20), call: Duration::from_secs(120) }
    }
}

/// Why a call has no result.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// The server answered with an exception.
    #[error("{class}: {message}")]
    Remote {
        /// Java class.
        class: String,
        /// Its message; a stack trace may follow the first line.
        message: String,
    },
    /// The connection could not be made, broke, or carried nonsense. Whether the call was carried
    /// out is not known.
    #[error("{method} at {address}")]
    Io {
        /// What was called.
        method: String,
        /// Where.
        address: String,
        /// What happened.
        #[source]
        source: io::Error,
    },
    /// No answer came in time. Whether the call was carried out is not known.
    #[error("{method} at {address}: no answer within {after:?}")]
    Timeout {
        /// What was called.
        method: String,
        /// Where.
        address: String,
        /// The time it was given.
        after: Duration,
    },
}

/// A client of one protocol at one server. Cheap to clone; clones share the connection.
#[derive(Clone)]
pub struct Client {
    inner: Arc<Inner>,
}

struct Inner {
    address: String,
    user: User,
    protocol: &'static str,
    timeouts: Timeouts,
    client_id: [u8; 16],
    caller_context: Option<String>,
    next_call: AtomicU32,
    slots: Semaphore,
    wire: Mutex<Option<Arc<Wire>>>,
}

impl Client {
    /// A client of `protocol` at `address` (`host:port`, resolved anew for each connection),
    /// calling
    /// as `user`. Connects with the first call.
    pub fn new(
        address: impl Into<String>,
        user: User,
        protocol: &'static str,
        timeouts: Timeouts,
    ) -> Self {
        let inner = Inner {
            address: address.into(),
            user,
            protocol,
            timeouts,
            client_id: random_id(),
            caller_context: None,
            next_call: AtomicU32::new(0),
            slots: Semaphore::new(OUTSTANDING_MAX),
            wire: Mutex::new(None),
        };
        Self { inner: Arc::new(inner) }
    }

    /// The text that callers give to the server's audit log (`CLI`, say). To be set before the
    /// first call and the first clone; later it has no effect.
    #[must_use]
    pub fn with_caller_context(mut self, context: impl Into<String>) -> Self {
        if let Some(inner) = Arc::get_mut(&mut self.inner) {
            inner.caller_context = Some(context.into());
        }
        self
    }

    /// Where the server is, as it was given.
    pub fn address(&self) -> &str {
        &self.inner.address
    }

    /// Calls `method` once.
    ///
    /// # Errors
    /// The server's exception, or that there is no answer. Nothing is retried.
    pub async fn call<Q: Message, R: Message + Default>(
        &self,
        method: &str,
        request: &Q,
    ) -> Result<R, CallError> {
        let inner = &*self.inner;
        let began = Instant::now();
        let after = inner.timeouts.call;
        let Ok(result) = timeout(after, inner.attempt(method, request)).await else {
            inner.suspect(began).await;
            let (method, address) = (method.to_owned(), inner.address.clone());
            return Err(CallError::Timeout { method, address, after });
        };
        let result = result.and_then(|body| {
            R::decode(body).map_err(|error| Failure::Io {
                kind: io::ErrorKind::InvalidData,
                message: format!("the answer cannot be decoded: {error}"),
            })
        });
        result.map_err(|failure| inner.error(method, failure))
    }
}

impl Inner {
    async fn attempt(&self, method: &str, request: &impl Message) -> Result<Bytes, Failure> {
        let _slot = self.slots.acquire().await.map_err(|_| Failure::closed("the client ended"))?;
        loop {
            let wire = self.connected().await?;
            let id = (self.next_call.fetch_add(1, Ordering::Relaxed) & i32::MAX as u32) as i32;
            let encode = |output: &mut BytesMut| {
                let identity = self.identity();
                encode_request(&identity, id, 0, self.protocol, method, request, output);
            };
            // A connection that closed before it took the call: no harm is done by another.
            let Some(answer) = wire.send(id, encode) else { continue };
            return answer.await;
        }
    }

    /// The open connection, or a new one. Callers wait here for each other, not for each a
    /// connection of its own.
    async fn connected(&self) -> Result<Arc<Wire>, Failure> {
        let mut slot = self.wire.lock().await;
        if let Some(wire) = slot.as_ref().filter(|wire| wire.is_open()) {
            return Ok(Arc::clone(wire));
        }
        let connect = timeout(self.timeouts.connect, TcpStream::connect(&self.address));
        let stream = match connect.await {
            Ok(connected) => connected?,
            Err(_) => {
                let message = format!("no connection within {:?}", self.timeouts.connect);
                return Err(Failure::Io { kind: io::ErrorKind::TimedOut, message });
            }
        };
        stream.set_nodelay(true)?;
        let mut hello = BytesMut::new();
        encode_hello(&mut hello);
        let User { name, real } = &self.user;
        encode_context(&self.identity(), name, real.as_deref(), self.protocol, &mut hello);
        let wire = Wire::start(stream, hello);
        *slot = Some(Arc::clone(&wire));
        Ok(wire)
    }

    /// After a timeout: a connection that brought nothing since then is given up, so that the next
    /// call makes a new one.
    async fn suspect(&self, began: Instant) {
        let slot = self.wire.lock().await;
        if let Some(wire) = slot.as_ref().filter(|wire| wire.last_received() < began) {
            wire.fail(&Failure::Io {
                kind: io::ErrorKind::TimedOut,
                message: "the connection gave no sign of life".to_owned(),
            });
        }
    }

    fn identity(&self) -> Identity<'_> {
        Identity { client_id: self.client_id, caller_context: self.caller_context.as_deref() }
    }

    fn error(&self, method: &str, failure: Failure) -> CallError {
        match failure {
            Failure::Remote(RemoteFault { class, message, .. }) => {
                CallError::Remote { class, message }
            }
            Failure::Io { kind, message } => CallError::Io {
                method: method.to_owned(),
                address: self.address.clone(),
                source: io::Error::new(kind, message),
            },
        }
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        if let Some(wire) = self.wire.get_mut() {
            wire.fail(&Failure::closed("the client ended"));
        }
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Inner { address, protocol, .. } = &*self.inner;
        write!(formatter, "Client({protocol} at {address})")
    }
}

/// 16 bytes that no other client has; they need not be secret.
fn random_id() -> [u8; 16] {
    let half = || RandomState::new().build_hasher().finish().to_le_bytes();
    let mut id = [0; 16];
    id[..8].copy_from_slice(&half());
    id[8..].copy_from_slice(&half());
    id
}
