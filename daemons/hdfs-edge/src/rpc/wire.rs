//! One connection of a client: a task that writes what callers append and hands each reply to the
//! caller that waits for it.

use std::collections::HashMap;
use std::future::Future;
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use hdfs_wire::rpc::FRAME_LEN_MAX;
use hdfs_wire::rpc::client::{RemoteFault, Response, decode_response};
use parking_lot::Mutex;
use tokio::io::{AsyncReadExt, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::time::{Instant, Sleep};

/// Least room for a read; the buffer doubles with what arrives.
const READ_LEN: usize = 16 * 1024;

/// Larger buffers are not kept while nothing is under way.
const KEPT_LEN: usize = 64 * 1024;

/// A connection nobody calls over is closed after this (`ipc.client.connection.maxidletime`).
const IDLE_TIMEOUT: Duration = Duration::from_secs(10);

/// Why a call over this connection has no answer.
#[derive(Debug, Clone)]
pub(super) enum Failure {
    /// The server said so.
    Remote(RemoteFault),
    /// The connection broke.
    Io { kind: io::ErrorKind, message: String },
}

impl Failure {
    pub(super) fn closed(message: &str) -> Self {
        Self::Io { kind: io::ErrorKind::ConnectionAborted, message: message.to_owned() }
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Io { kind: error.kind(), message: error.to_string() }
    }
}

/// The part of the connection that callers share with its task.
#[derive(Debug)]
pub(super) struct Wire {
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    output: BytesMut,
    /// Bounded by the client's slots.
    waiting: HashMap<i32, oneshot::Sender<Result<Bytes, Failure>>>,
    waker: Option<Waker>,
    last_received: Instant,
    /// Set once; the connection takes no more calls.
    failed: bool,
}

impl Wire {
    /// Starts the task of a connection that begins with `hello`.
    pub(super) fn start(stream: TcpStream, hello: BytesMut) -> Arc<Self> {
        let now = Instant::now();
        let state = State {
            output: hello,
            waiting: HashMap::new(),
            waker: None,
            last_received: now,
            failed: false,
        };
        let wire = Arc::new(Self { state: Mutex::new(state) });
        let mut driver = Driver {
            stream,
            wire: Arc::clone(&wire),
            writing: BytesMut::new(),
            input: BytesMut::new(),
            idle_since: now,
            timer: Box::pin(tokio::time::sleep(IDLE_TIMEOUT)),
        };
        tokio::spawn(async move {
            let failure = std::future::poll_fn(|context| driver.poll(context)).await;
            driver.wire.fail(&failure);
        });
        wire
    }

    pub(super) fn is_open(&self) -> bool {
        !self.state.lock().failed
    }

    pub(super) fn last_received(&self) -> Instant {
        self.state.lock().last_received
    }

    /// Appends a call; what is returned waits for its answer. `None`: the connection has closed,
    /// and nothing was sent.
    pub(super) fn send(
        self: &Arc<Self>,
        id: i32,
        encode: impl FnOnce(&mut BytesMut),
    ) -> Option<Answer> {
        let (sender, receiver) = oneshot::channel();
        let waker = {
            let mut state = self.state.lock();
            if state.failed {
                return None;
            }
            encode(&mut state.output);
            state.waiting.insert(id, sender);
            state.waker.take()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
        Some(Answer { wire: Arc::clone(self), id, receiver })
    }

    /// Ends the connection; every caller that waits is told why.
    pub(super) fn fail(&self, failure: &Failure) {
        let (waiting, waker) = {
            let mut state = self.state.lock();
            state.failed = true;
            state.output = BytesMut::new();
            (std::mem::take(&mut state.waiting), state.waker.take())
        };
        for sender in waiting.into_values() {
            // A caller that gave up meanwhile does not mind.
            let _ = sender.send(Err(failure.clone()));
        }
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    fn deliver(&self, responses: &mut Vec<Response>) -> Option<Failure> {
        let mut state = self.state.lock();
        state.last_received = Instant::now();
        for Response { call_id, result } in responses.drain(..) {
            let result = result.map_err(Failure::Remote);
            let fatal = match &result {
                Err(Failure::Remote(fault)) if fault.fatal || call_id < 0 => result.clone().err(),
                _ => None,
            };
            if let Some(sender) = state.waiting.remove(&call_id) {
                let _ = sender.send(result);
            }
            if fatal.is_some() {
                return fatal;
            }
        }
        None
    }
}

/// The answer of one call, some time. Dropped before, the call is forgotten.
pub(super) struct Answer {
    wire: Arc<Wire>,
    id: i32,
    receiver: oneshot::Receiver<Result<Bytes, Failure>>,
}

impl Future for Answer {
    type Output = Result<Bytes, Failure>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.receiver).poll(context).map(|received| {
            received.unwrap_or_else(|_| Err(Failure::closed("the connection ended")))
        })
    }
}

impl Drop for Answer {
    fn drop(&mut self) {
        self.wire.state.lock().waiting.remove(&self.id);
    }
}

/// The task's own part.
struct Driver {
    stream: TcpStream,
    wire: Arc<Wire>,
    writing: BytesMut,
    input: BytesMut,
    idle_since: Instant,
    timer: Pin<Box<Sleep>>,
}

impl Driver {
    /// Ready when the connection has ended, with the reason.
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Failure> {
        loop {
            if let Err(failure) = self.write(context).and_then(|()| self.read(context)) {
                return Poll::Ready(failure);
            }
            match self.sleep(context) {
                Ok(true) => return Poll::Pending,
                Ok(false) => {}
                Err(failure) => return Poll::Ready(failure),
            }
        }
    }

    fn write(&mut self, context: &mut Context<'_>) -> Result<(), Failure> {
        loop {
            if self.writing.is_empty() {
                std::mem::swap(&mut self.wire.state.lock().output, &mut self.writing);
                if self.writing.is_empty() {
                    return Ok(());
                }
            }
            match pin!(&mut self.stream).poll_write(context, &self.writing)? {
                Poll::Ready(count) if count == self.writing.len() => self.writing.clear(),
                Poll::Ready(count) => self.writing.advance(count),
                Poll::Pending => return Ok(()),
            }
        }
    }

    fn read(&mut self, context: &mut Context<'_>) -> Result<(), Failure> {
        let mut responses = Vec::new();
        loop {
            if self.input.capacity() - self.input.len() < READ_LEN / 4 {
                self.input.reserve(READ_LEN);
            }
            let Poll::Ready(count) = pin!(self.stream.read_buf(&mut self.input)).poll(context)?
            else {
                return Ok(());
            };
            if count == 0 {
                return Err(Failure::closed("the server closed the connection"));
            }
            loop {
                match decode_response(&mut self.input, FRAME_LEN_MAX) {
                    Ok(Some(response)) => responses.push(response),
                    Ok(None) => break,
                    Err(bad) => {
                        let (kind, message) = (io::ErrorKind::InvalidData, bad.to_string());
                        return Err(Failure::Io { kind, message });
                    }
                }
            }
            if let Some(fatal) = self.wire.deliver(&mut responses) {
                return Err(fatal);
            }
        }
    }

    /// Prepares to wait; `false` when a call came meanwhile.
    fn sleep(&mut self, context: &mut Context<'_>) -> Result<bool, Failure> {
        let mut state = self.wire.state.lock();
        if state.failed {
            return Err(Failure::closed("the client ended"));
        }
        if self.writing.is_empty() && !state.output.is_empty() {
            return Ok(false);
        }
        let now = Instant::now();
        if state.waiting.is_empty() {
            for buffer in [&mut self.input, &mut self.writing, &mut state.output] {
                if buffer.is_empty() && buffer.capacity() > KEPT_LEN {
                    *buffer = BytesMut::new();
                }
            }
            if now >= self.idle_since + IDLE_TIMEOUT {
                state.failed = true;
                return Err(Failure::closed("idle"));
            }
        } else {
            self.idle_since = now;
        }
        state.waker = Some(context.waker().clone());
        drop(state);
        if self.timer.is_elapsed() {
            self.timer.as_mut().reset(self.idle_since + IDLE_TIMEOUT);
        }
        Ok(self.timer.as_mut().poll(context).is_pending())
    }
}
