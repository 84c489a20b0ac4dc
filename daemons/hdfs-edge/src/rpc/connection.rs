//! One connection of the server: read what is there, hand over every whole call, write all replies
//! at once. One task with one poll function; asleep it keeps a few KiB.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Buf, BytesMut};
use hdfs_wire::rpc::server::{Close, Incoming, Limits, Session, encode_unauthorized};
use tokio::io::{AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::Instant;

use super::budget::{Budget, Held};
use super::clock::Clock;
use super::link::{Answered, KEPT_OUTPUT_LEN, Link, Look, Taken};
use super::{Bounds, Call, Metrics, Responder, Service, User};

/// First read after sleep, and what a connection keeps between calls: most fit.
const READ_LEN_MIN: usize = 4 * 1024;

/// Largest read: more does not save system calls that matter.
const READ_LEN_MAX: usize = 64 * 1024;

/// A unit up to this size is buffered without asking the budget, so that small calls never wait for
/// large ones. With every connection hostile it is 8 KiB each.
const UNACCOUNTED_MAX: usize = 8 * 1024;

/// Replies waiting for the peer at which no further call is handled, in bytes: what one write
/// takes.
/// A peer that reads nothing makes us hold so much and one reply more.
const OUTPUT_PAUSE: usize = 64 * 1024;

/// Calls handled before their replies are written: a deep pipeline must not delay its own start.
const CALLS_PER_WRITE: usize = 128;

/// Rounds of reading and writing before other connections of the worker get their turn.
const ROUNDS_MAX: usize = 16;

/// Whoever waits for the budget looks again after this.
const BUDGET_RETRY: Duration = Duration::from_millis(20);

/// After so long without a byte a connection keeps no input buffer either.
const KEEP_TIME: Duration = Duration::from_secs(5);

/// A connection that ends gets so long to take its last reply.
const LAST_WRITE_TIMEOUT: Duration = Duration::from_secs(5);

/// A peer that was told off gets so long to read it; what it still sends is thrown away, up to
/// [`LINGER_LEN`] bytes, for a close with unread bytes would take our last reply back.
const LINGER_TIMEOUT: Duration = Duration::from_secs(1);

/// See [`LINGER_TIMEOUT`].
const LINGER_LEN: usize = 256 * 1024;

/// Why a connection ended.
#[derive(Debug, thiserror::Error)]
pub(super) enum End {
    /// The peer closed, or the server goes down.
    #[error("closed")]
    Closed,
    /// The socket failed.
    #[error("the socket failed: {0}")]
    Io(#[from] io::Error),
    /// The peer broke a rule of the protocol.
    #[error("{0}")]
    Protocol(#[from] Close),
    /// The peer may not use the server.
    #[error("{0}")]
    Unauthorized(String),
    /// Something took longer than the bounds allow.
    #[error("{0} took too long")]
    Timeout(&'static str),
    /// The peer does not take its replies.
    #[error("too many replies wait for the peer")]
    Overflow,
}

/// What all connections of a server share.
pub(super) struct Shared {
    pub(super) service: Arc<dyn Service>,
    pub(super) bounds: Bounds,
    pub(super) budget: Arc<Budget>,
    pub(super) reports: Arc<Budget>,
    pub(super) metrics: Arc<Metrics>,
}

/// One connection.
pub(super) struct Connection {
    stream: TcpStream,
    peer: SocketAddr,
    shared: Arc<Shared>,
    link: Arc<Link>,
    session: Session,
    user: Option<Arc<User>>,
    input: BytesMut,
    held: Held,
    writing: BytesMut,
    read_len: usize,
    dispatched: Answered,
    look: Look,
    /// Set once the connection ends as soon as its output is written.
    end: Option<End>,
    clock: Clock,
}

/// What a round found.
enum Step {
    /// Something was done; look again.
    Progress,
    /// Nothing to do before the peer, a reply or the clock moves.
    Wait,
}

impl Connection {
    pub(super) fn new(stream: TcpStream, peer: SocketAddr, shared: Arc<Shared>) -> Self {
        Self {
            stream,
            peer,
            link: Link::new(shared.bounds.max_output, Arc::clone(&shared.metrics)),
            session: Session::new(Limits { max_frame: shared.bounds.max_frame }),
            user: None,
            input: BytesMut::new(),
            held: shared.budget.hold(),
            writing: BytesMut::new(),
            read_len: READ_LEN_MIN,
            dispatched: Answered::default(),
            look: Look::default(),
            end: None,
            clock: Clock::new(shared.bounds.handshake_timeout),
            shared,
        }
    }

    /// Where replies go, and where the server says that it stops.
    pub(super) fn link(&self) -> &Arc<Link> {
        &self.link
    }

    /// Runs until the connection ends.
    pub(super) async fn run(mut self) -> End {
        let end = std::future::poll_fn(|context| self.poll(context)).await;
        self.link.close();
        if matches!(end, End::Protocol(_) | End::Unauthorized(_)) {
            // Boxed: a rare buffer must not make every connection larger.
            Box::pin(linger(self.stream)).await;
        }
        end
    }

    fn poll(&mut self, context: &mut Context<'_>) -> Poll<End> {
        let now = Instant::now();
        for _ in 0..ROUNDS_MAX {
            match self.round(context, now) {
                Ok(Step::Progress) => {}
                Ok(Step::Wait) => match self.sleep(context, now) {
                    Ok(true) => return Poll::Pending,
                    Ok(false) => {}
                    Err(end) => return Poll::Ready(end),
                },
                Err(end) => return Poll::Ready(end),
            }
        }
        context.waker().wake_by_ref();
        Poll::Pending
    }

    /// Writes, handles calls, reads: one of each at most.
    fn round(&mut self, context: &mut Context<'_>, now: Instant) -> Result<Step, End> {
        self.flush(context, now)?;
        if self.look.overflow {
            return Err(End::Overflow);
        }
        if self.end.is_some() || self.look.stopping {
            return self.wind_down();
        }
        if self.handle_calls() {
            return Ok(Step::Progress);
        }
        if !self.may_handle() {
            return Ok(Step::Wait);
        }
        self.read(context, now)
    }

    /// Ends once the last reply is written; at the server's end that of every call taken.
    fn wind_down(&mut self) -> Result<Step, End> {
        let answered = self.look.answered.calls == self.dispatched.calls;
        if !self.writing.is_empty() || (self.end.is_none() && !answered) {
            return Ok(Step::Wait);
        }
        Err(self.end.take().unwrap_or(End::Closed))
    }

    /// Writes what waits, as far as the peer takes it.
    fn flush(&mut self, context: &mut Context<'_>, now: Instant) -> Result<(), End> {
        loop {
            if self.writing.is_empty() {
                self.look = self.link.take_output(&mut self.writing);
                self.look.waiting = 0;
                self.clock.blocked_since = None;
                if self.writing.is_empty() {
                    return Ok(());
                }
            }
            match pin!(&mut self.stream).poll_write(context, &self.writing)? {
                Poll::Ready(0) => return Err(io::Error::from(io::ErrorKind::WriteZero).into()),
                Poll::Ready(count) => {
                    Metrics::add(&self.shared.metrics.sent_bytes, count as u64);
                    if count == self.writing.len() {
                        self.writing.clear();
                    } else {
                        self.writing.advance(count);
                    }
                }
                Poll::Pending => {
                    self.clock.blocked_since.get_or_insert(now);
                    self.look = self.link.look();
                    return Ok(());
                }
            }
        }
    }

    /// Hands over the whole calls that were read; whether anything was done.
    fn handle_calls(&mut self) -> bool {
        let mut output = BytesMut::new();
        let (before, mut handled) = (self.input.len(), 0);
        while handled < CALLS_PER_WRITE && self.may_handle() {
            let unread = self.input.len();
            match self.session.receive(&mut self.input, &mut output) {
                Ok(None) => break,
                Ok(Some(incoming)) => {
                    handled += 1;
                    self.handle(incoming, unread - self.input.len());
                }
                Err(close) => self.end = Some(close.into()),
            }
        }
        if !output.is_empty() {
            self.link.append(|waiting| waiting.extend_from_slice(&output));
        }
        if before != self.input.len() {
            self.clock.unit_since = None;
            if self.held.is_some() {
                self.held = self.budget().hold();
            }
        }
        handled > 0 || self.end.is_some() || !output.is_empty()
    }

    /// The allowance this connection's large units count against.
    fn budget(&self) -> &Arc<Budget> {
        if self.session.reports() { &self.shared.reports } else { &self.shared.budget }
    }

    fn handle(&mut self, incoming: Incoming, unit_len: usize) {
        match incoming {
            Incoming::Call { head, protocol, method, version, body } => {
                let Some(user) = self.user.clone() else {
                    unreachable!("a session yields calls only after the user was admitted")
                };
                let held = self.held.is_some().then(|| self.held.take());
                let cost = unit_len as u64;
                self.dispatched.calls += 1;
                self.dispatched.bytes += cost;
                Metrics::add(&self.shared.metrics.calls, 1);
                let (peer, began) = (self.peer, Instant::now().into_std());
                let queued = began.saturating_duration_since(self.clock.active.into_std());
                let call = Call { user, peer, head, protocol, method, version, body };
                let traced = self.shared.metrics.trace.begin(&call);
                let queued_us = u32::try_from(queued.as_micros()).unwrap_or(u32::MAX);
                let taken = Taken { began, queued_us, place: None, traced };
                let responder =
                    Responder::new(Arc::clone(&self.link), &call.head, cost, held, taken);
                self.shared.service.call(call, responder);
                self.look = self.link.look();
            }
            Incoming::Established { user, real_user, protocol } => {
                let user = User { name: user, real: real_user };
                match self.shared.service.admit(&user, &protocol, self.peer) {
                    Ok(()) => {
                        self.user = Some(Arc::new(user));
                        self.held = self.budget().hold();
                    }
                    Err(fault) => {
                        Metrics::add(&self.shared.metrics.authorization_failures, 1);
                        self.link.append(|output| encode_unauthorized(&fault, output));
                        self.end = Some(End::Unauthorized(fault.message));
                    }
                }
            }
        }
    }

    /// Whether another call may be taken: neither too many answers nor too many calls wait.
    fn may_handle(&self) -> bool {
        let output = self.writing.len() + self.look.waiting;
        self.end.is_none() && output <= OUTPUT_PAUSE && !self.is_throttled()
    }

    /// Whether as many calls wait for their answers as one connection may have.
    fn is_throttled(&self) -> bool {
        let bounds = &self.shared.bounds;
        let calls = self.dispatched.calls - self.look.answered.calls;
        let bytes = self.dispatched.bytes - self.look.answered.bytes;
        calls >= bounds.max_outstanding_calls as u64 || bytes >= bounds.max_outstanding_bytes as u64
    }

    fn read(&mut self, context: &mut Context<'_>, now: Instant) -> Result<Step, End> {
        if self.stream.poll_read_ready(context)?.is_pending() {
            return Ok(Step::Wait);
        }
        if !self.make_room() {
            self.clock.wait_for_budget(now + BUDGET_RETRY);
            return Ok(Step::Wait);
        }
        let room = self.input.capacity() - self.input.len();
        let Poll::Ready(count) = pin!(self.stream.read_buf(&mut self.input)).poll(context)? else {
            return Ok(Step::Wait);
        };
        if count == 0 {
            self.end = Some(End::Closed);
        }
        if count == room {
            self.read_len = (self.read_len * 2).min(READ_LEN_MAX);
        }
        Metrics::add(&self.shared.metrics.received_bytes, count as u64);
        self.clock.active = now;
        Ok(Step::Progress)
    }

    /// Makes room in the input for what may be read now: it doubles with what has arrived and never
    /// follows a promise. `false` when the budget has no room for more of a large unit.
    fn make_room(&mut self) -> bool {
        let (len, promised) = (self.input.len(), self.session.promised(&self.input));
        let missing = promised.saturating_sub(len);
        if promised <= UNACCOUNTED_MAX {
            let room = self.input.capacity() - len;
            if room < READ_LEN_MIN / 4 || room < missing {
                self.input.reserve(self.read_len.max(missing));
            }
            return true;
        }
        let total = promised.min((2 * len).max(2 * UNACCOUNTED_MAX));
        if !self.held.grow_to(total) {
            return false;
        }
        if self.input.capacity() - len < missing.min(READ_LEN_MIN) {
            self.input.reserve(total - len);
        }
        true
    }

    /// Prepares to wait: small buffers, a waker for late replies, a timer for the next deadline.
    /// `false`: a reply came meanwhile.
    fn sleep(&mut self, context: &mut Context<'_>, now: Instant) -> Result<bool, End> {
        if !self.link.sleep(context.waker(), self.look) {
            return Ok(false);
        }
        let keep_until = self.clock.active + KEEP_TIME;
        self.shrink(now < keep_until);
        let (mut deadline, what) = self.deadline(now);
        if now >= deadline {
            return Err(End::Timeout(what));
        }
        if self.input.capacity() > self.input.len() && now < keep_until {
            deadline = deadline.min(keep_until);
        }
        self.clock.arm(context, now, deadline);
        Ok(true)
    }

    /// Lets go of memory that sleeping does not need.
    fn shrink(&mut self, keep: bool) {
        if self.writing.is_empty() && self.writing.capacity() > KEPT_OUTPUT_LEN {
            self.writing = BytesMut::new();
        }
        let (len, capacity) = (self.input.len(), self.input.capacity());
        let kept = if keep { READ_LEN_MIN } else { 0 };
        if capacity > kept && capacity > 2 * len && !self.held.is_some() {
            // A bare copy of what is there; `from` of nothing allocates nothing.
            self.input = BytesMut::from(&self.input[..]);
            self.read_len = (self.read_len / 2).max(READ_LEN_MIN);
        }
    }

    /// Until when something must happen, and what.
    fn deadline(&mut self, now: Instant) -> (Instant, &'static str) {
        let (bounds, clock) = (&self.shared.bounds, &mut self.clock);
        if self.end.is_some() || self.look.stopping {
            let since = *clock.ending_since.get_or_insert(now);
            return (since + LAST_WRITE_TIMEOUT, "the last reply");
        }
        if let Some(since) = clock.blocked_since {
            return (since + bounds.write_timeout, "reading replies");
        }
        if !self.session.is_established() {
            return (clock.accepted + bounds.handshake_timeout, "the handshake");
        }
        if clock.is_waiting_for_budget() && !self.held.is_some() {
            // Not the peer's fault; its time for the unit begins anew. Whoever holds something
            // gets no more time, or all could wait for each other for ever.
            clock.unit_since = None;
        } else if !self.input.is_empty() && !self.is_throttled() {
            let since = *self.clock.unit_since.get_or_insert(now);
            let mib = self.session.promised(&self.input) >> 20;
            let allowed = self.shared.bounds.frame_timeout + Duration::from_secs(mib as u64);
            return (since + allowed, "a unit");
        }
        if self.dispatched.calls != self.look.answered.calls {
            self.clock.active = now;
        }
        (self.clock.active + self.shared.bounds.idle_timeout, "the next call")
    }
}

/// Lets the peer read its last reply before the socket is closed.
async fn linger(mut stream: TcpStream) {
    let drain = async {
        let mut discarded = 0;
        let mut scrap = [0u8; 4096];
        if stream.shutdown().await.is_err() {
            return;
        }
        while let Ok(count @ 1..) = stream.read(&mut scrap).await {
            discarded += count;
            if discarded > LINGER_LEN {
                return;
            }
        }
    };
    // Either the peer is done or it had its time: nothing depends on which.
    let _ = tokio::time::timeout(LINGER_TIMEOUT, drain).await;
}
