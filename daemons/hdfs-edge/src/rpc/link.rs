//! What a connection shares with those who answer its calls: one output buffer, and the waker of
//! the task that empties it. Hundreds of late replies cost one wake.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::task::Waker;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use hdfs_wire::Fault;
use hdfs_wire::rpc::CallHeader;
use hdfs_wire::rpc::server::{encode_fault, encode_success};
use parking_lot::Mutex;
use prost::Message;

use super::Metrics;
use super::budget::Held;
use super::trace::{Course, Traced};

/// Output buffer that a sleeping connection keeps, in bytes: room for a reply or two.
pub(super) const KEPT_OUTPUT_LEN: usize = 512;

/// The shared part of one connection.
#[derive(Debug)]
pub(super) struct Link {
    state: Mutex<State>,
    output_max: usize,
    metrics: Arc<Metrics>,
}

#[derive(Debug, Default)]
struct State {
    output: BytesMut,
    /// Set only while the task sleeps.
    waker: Option<Waker>,
    answered: Answered,
    /// Nobody will send what is appended.
    closed: bool,
    /// The server goes down: no more calls are read.
    stopping: bool,
    /// More output waits than the peer may make us hold.
    overflow: bool,
}

/// How many calls, of how many bytes, were answered since the connection began.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct Answered {
    pub(super) calls: u64,
    pub(super) bytes: u64,
}

/// What the task finds when it looks.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct Look {
    pub(super) answered: Answered,
    /// The server goes down: no more calls are read.
    pub(super) stopping: bool,
    /// More output waits than the peer may make us hold.
    pub(super) overflow: bool,
    /// Bytes of output that wait and were not taken.
    pub(super) waiting: usize,
}

impl Link {
    pub(super) fn new(output_max: usize, metrics: Arc<Metrics>) -> Arc<Self> {
        Arc::new(Self { state: Mutex::default(), output_max, metrics })
    }

    /// Swaps `drained` (which is empty) for the output that waits.
    pub(super) fn take_output(&self, drained: &mut BytesMut) -> Look {
        debug_assert!(drained.is_empty());
        let mut state = self.state.lock();
        if !state.output.is_empty() {
            std::mem::swap(&mut state.output, drained);
        }
        state.look()
    }

    /// Looks without taking.
    pub(super) fn look(&self) -> Look {
        self.state.lock().look()
    }

    /// Lets `append` write to the output from within the task.
    pub(super) fn append(&self, append: impl FnOnce(&mut BytesMut)) {
        append(&mut self.state.lock().output);
    }

    /// Leaves `waker` for the next reply; `false`, and nothing left, when something has changed
    /// since `seen`.
    pub(super) fn sleep(&self, waker: &Waker, seen: Look) -> bool {
        let mut state = self.state.lock();
        if state.look() != seen {
            return false;
        }
        if state.output.is_empty() && state.output.capacity() > KEPT_OUTPUT_LEN {
            state.output = BytesMut::new();
        }
        match &state.waker {
            Some(held) if held.will_wake(waker) => {}
            _ => state.waker = Some(waker.clone()),
        }
        true
    }

    /// Tells the task to answer what it has and end.
    pub(super) fn stop(&self) {
        let waker = {
            let mut state = self.state.lock();
            state.stopping = true;
            state.waker.take()
        };
        wake(waker);
    }

    /// The connection is gone; later replies are thrown away.
    pub(super) fn close(&self) {
        let mut state = self.state.lock();
        state.closed = true;
        state.output = BytesMut::new();
        state.waker = None;
    }

    /// Appends a reply and gives its bytes; the waker that is returned must be woken.
    #[must_use]
    fn finish(&self, cost: u64, append: impl FnOnce(&mut BytesMut)) -> (Option<Waker>, usize) {
        let mut state = self.state.lock();
        if state.closed {
            return (None, 0);
        }
        let before = state.output.len();
        state.overflow |= before > self.output_max;
        if !state.overflow {
            append(&mut state.output);
        }
        state.answered.calls += 1;
        state.answered.bytes += cost;
        (state.waker.take(), state.output.len() - before)
    }
}

impl State {
    fn look(&self) -> Look {
        let Self { answered, stopping, overflow, .. } = *self;
        Look { answered, stopping, overflow, waiting: self.output.len() }
    }
}

fn wake(waker: Option<Waker>) {
    if let Some(waker) = waker {
        waker.wake();
    }
}

/// The right, and the duty, to answer one call. Dropped without an answer it answers with an
/// `IOException`, so that no client waits for ever.
#[derive(Debug)]
pub struct Responder {
    /// Taken by the answer.
    link: Option<Arc<Link>>,
    head: CallHeader,
    cost: u64,
    /// The call's bytes stay on the account until it is answered.
    _held: Option<Held>,
    taken: Taken,
}

/// How a call came.
#[derive(Debug)]
pub(super) struct Taken {
    /// When it was handed over.
    pub(super) began: Instant,
    /// How long it had waited then, in microseconds.
    pub(super) queued_us: u32,
    /// The method's place in the server's counters, from 1: responders wait by the thousand.
    pub(super) place: Option<NonZeroU32>,
    /// Whether its answer is logged.
    pub(super) traced: Option<Box<Traced>>,
}

impl Responder {
    pub(super) fn new(
        link: Arc<Link>,
        head: &CallHeader,
        cost: u64,
        held: Option<Held>,
        taken: Taken,
    ) -> Self {
        let head = CallHeader {
            call_id: head.call_id,
            retry: head.retry,
            client_id: head.client_id.clone(),
            ..CallHeader::default()
        };
        Self { link: Some(link), head, cost, _held: held, taken }
    }

    /// Tells which of the server's methods it is ([`Metrics::of_methods`]).
    pub fn counts_as(&mut self, place: usize) {
        self.taken.place = u32::try_from(place + 1).ok().and_then(NonZeroU32::new);
    }

    /// Answers the call.
    pub fn send<M: Message>(mut self, result: Result<M, Fault>) {
        match result {
            Ok(message) => {
                wake(self.finish(None, |head, output| encode_success(head, &message, output)));
            }
            Err(fault) => self.fail(&fault),
        }
    }

    /// Encodes an answer now that may be sent only later (after a sync, say).
    pub fn prepare<M: Message>(&self, message: &M) -> Bytes {
        let mut output = BytesMut::new();
        encode_success(&self.head, message, &mut output);
        output.freeze()
    }

    /// Answers with what [`Self::prepare`] of this very responder returned.
    pub fn send_prepared(self, prepared: Bytes) {
        Self::send_all([(prepared, self)]);
    }

    /// As [`Self::send_prepared`] for many at once. Every connection is woken once, behind the last
    /// of its replies, and so writes them together.
    pub fn send_all(replies: impl IntoIterator<Item = (Bytes, Self)>) {
        let mut wakers = Vec::new();
        for (prepared, mut responder) in replies {
            let append = |_: &CallHeader, output: &mut BytesMut| {
                output.extend_from_slice(&prepared);
            };
            wakers.extend(responder.finish(None, append));
        }
        wakers.into_iter().for_each(Waker::wake);
    }

    fn fail(&mut self, fault: &Fault) {
        if let Some(link) = &self.link {
            Metrics::add(&link.metrics.faults, 1);
        }
        let class = Some(fault.exception.class_name());
        wake(self.finish(class, |head, output| encode_fault(head, fault, output)));
    }

    /// Answers; `failure` is the class of the exception, if it is one.
    fn finish(
        &mut self,
        failure: Option<&'static str>,
        append: impl FnOnce(&CallHeader, &mut BytesMut),
    ) -> Option<Waker> {
        let link = self.link.take()?;
        let (waker, sent) = link.finish(self.cost, |output| append(&self.head, output));
        let course = Course {
            queued: Duration::from_micros(self.taken.queued_us.into()),
            processed: self.taken.began.elapsed(),
            received: self.cost,
            sent: sent as u64,
            failure,
        };
        let place = self.taken.place.map(|place| place.get() as usize - 1);
        link.metrics.answered(place, course);
        if let Some(traced) = &self.taken.traced {
            traced.end(&self.head, course);
        }
        waker
    }
}

impl Drop for Responder {
    fn drop(&mut self) {
        if self.link.is_some() {
            self.fail(&Fault::io("the server dropped the call without an answer; see its log"));
        }
    }
}
