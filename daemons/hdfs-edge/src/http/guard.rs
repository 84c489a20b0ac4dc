//! A listener whose connections cannot be held for nothing: a bounded number of them, and a
//! deadline that moves only with bytes.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::extract::connect_info::Connected;
use axum::serve::{IncomingStream, Listener};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, Sleep, sleep_until};

/// Limits of a web server.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// Connections at once; one more is closed as soon as it is accepted. The web library may hold
    /// up to 400 KB for each.
    pub connections_max: usize,
    /// A request must arrive within this time, plus a second for each KiB.
    pub request_time_max: Duration,
    /// A peer must take some bytes of an answer within this time.
    pub write_stall_max: Duration,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            connections_max: 128,
            request_time_max: Duration::from_secs(60),
            write_stall_max: Duration::from_secs(60),
        }
    }
}

/// Least speed of a request's body.
const BYTES_PER_SECOND_MIN: u64 = 1024;

pub(super) struct GuardedListener {
    listener: TcpListener,
    bounds: Bounds,
    slots: Arc<Semaphore>,
}

impl GuardedListener {
    pub(super) fn new(listener: TcpListener, bounds: Bounds) -> Self {
        Self { listener, bounds, slots: Arc::new(Semaphore::new(bounds.connections_max)) }
    }
}

impl Listener for GuardedListener {
    type Io = GuardedStream;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (GuardedStream, SocketAddr) {
        loop {
            let (stream, peer) = Listener::accept(&mut self.listener).await;
            if let Ok(slot) = self.slots.clone().try_acquire_owned() {
                return (GuardedStream::new(stream, self.bounds, slot), peer);
            }
            tracing::debug!(%peer, "too many web connections; closed");
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

/// Who asks; pages take it as `ConnectInfo<Peer>`.
#[derive(Debug, Clone, Copy)]
pub struct Peer(pub SocketAddr);

impl Connected<IncomingStream<'_, GuardedListener>> for Peer {
    fn connect_info(stream: IncomingStream<'_, GuardedListener>) -> Self {
        Self(*stream.remote_addr())
    }
}

pub(super) struct GuardedStream {
    stream: TcpStream,
    bounds: Bounds,
    /// Fires when the peer is too slow; set only while something is awaited.
    alarm: Pin<Box<Sleep>>,
    /// When the present request began, and its bytes so far.
    began: Instant,
    received: u64,
    /// Whether bytes were sent since the last were received.
    answering: bool,
    wrote: Instant,
    _slot: OwnedSemaphorePermit,
}

impl GuardedStream {
    fn new(stream: TcpStream, bounds: Bounds, slot: OwnedSemaphorePermit) -> Self {
        let now = Instant::now();
        Self {
            stream,
            bounds,
            alarm: Box::pin(sleep_until(now)),
            began: now,
            received: 0,
            answering: false,
            wrote: now,
            _slot: slot,
        }
    }

    /// `Ready` with an error when the deadline has passed.
    fn await_until<T>(
        &mut self,
        deadline: Instant,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<T>> {
        if self.alarm.deadline() != deadline {
            self.alarm.as_mut().reset(deadline);
        }
        match self.alarm.as_mut().poll(context) {
            Poll::Ready(()) => Poll::Ready(Err(io::ErrorKind::TimedOut.into())),
            Poll::Pending => Poll::Pending,
        }
    }

    fn stalled<T>(&mut self, context: &mut Context<'_>) -> Poll<io::Result<T>> {
        self.await_until(self.wrote + self.bounds.write_stall_max, context)
    }

    fn written(&mut self, outcome: &io::Result<usize>) {
        if outcome.is_ok() {
            self.answering = true;
            self.wrote = Instant::now();
        }
    }
}

impl AsyncRead for GuardedStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        match Pin::new(&mut self.stream).poll_read(context, buffer) {
            Poll::Ready(outcome) => {
                if self.answering {
                    (self.answering, self.began, self.received) = (false, Instant::now(), 0);
                }
                self.received += (buffer.filled().len() - before) as u64;
                self.wrote = Instant::now();
                Poll::Ready(outcome)
            }
            Poll::Pending => {
                let start = if self.answering { self.wrote } else { self.began };
                let earned = Duration::from_secs(self.received / BYTES_PER_SECOND_MIN);
                let deadline = start + self.bounds.request_time_max + earned;
                self.await_until(deadline, context)
            }
        }
    }
}

impl AsyncWrite for GuardedStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match Pin::new(&mut self.stream).poll_write(context, bytes) {
            Poll::Ready(outcome) => {
                self.written(&outcome);
                Poll::Ready(outcome)
            }
            Poll::Pending => self.stalled(context),
        }
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match Pin::new(&mut self.stream).poll_write_vectored(context, parts) {
            Poll::Ready(outcome) => {
                self.written(&outcome);
                Poll::Ready(outcome)
            }
            Poll::Pending => self.stalled(context),
        }
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
