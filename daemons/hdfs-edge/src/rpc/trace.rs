//! The opt-in log of calls: one line for each, bounded in number so that it cannot fill a disk.
//!
//! A line says who called what, how large it was, how long it took and how it ended. It never shows
//! what is in a call or an answer, which may be a token. Switched off, it costs one look at a flag.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use hdfs_wire::rpc::CallHeader;
use parking_lot::Mutex;

use super::{Call, Metrics, User};
use crate::config::Config;
use crate::keys;
use crate::live::Live;

/// The words that mean "no method" and "every method".
const OFF: &str = "off";
const ALL: &str = "*";

/// Letters of a name that is shown: unknown methods and users have the names that a peer made up.
const NAME_LENGTH_MAX: usize = 100;

/// Which calls are logged. A server has one.
#[derive(Debug, Default)]
pub(super) struct Trace {
    is_on: AtomicBool,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    methods: BTreeSet<String>,
    /// Lines in one second.
    rate: u64,
    /// The present second, the lines in it, and the calls that it had no room for.
    second: Option<Instant>,
    lines: u64,
    skipped: u64,
}

/// A call that is logged when it is answered.
#[derive(Debug)]
pub(super) struct Traced {
    user: Arc<User>,
    peer: SocketAddr,
    protocol: String,
    method: String,
}

/// How a call went.
#[derive(Debug, Clone, Copy)]
pub(super) struct Course {
    /// From its arrival until it was handed over.
    pub(super) queued: Duration,
    /// From there to its answer.
    pub(super) processed: Duration,
    /// Bytes of the call and of its answer.
    pub(super) received: u64,
    pub(super) sent: u64,
    /// The class of the exception it was answered with.
    pub(super) failure: Option<&'static str>,
}

/// Has a server's trace follow `howdah.rpc.trace` and its bound.
pub fn follow(metrics: &Arc<Metrics>, live: &Live) {
    metrics.trace.configure(&live.get());
    let metrics = Arc::clone(metrics);
    live.on_reload_of([&keys::HOWDAH_RPC_TRACE, &keys::HOWDAH_RPC_TRACE_RATE], move |config| {
        let (metrics, config) = (Arc::clone(&metrics), Arc::clone(config));
        Ok(Box::new(move || metrics.trace.configure(&config)))
    });
}

impl Trace {
    /// Takes up a configuration.
    pub(super) fn configure(&self, config: &Config) {
        let mut methods: BTreeSet<String> =
            config.list(&keys::HOWDAH_RPC_TRACE).into_iter().collect();
        methods.remove(OFF);
        let rate = config.integer(&keys::HOWDAH_RPC_TRACE_RATE);
        let mut state = self.state.lock();
        self.is_on.store(!methods.is_empty(), Ordering::Relaxed);
        *state = State { methods, rate: u64::try_from(rate).unwrap_or(1), ..State::default() };
    }

    /// Whether a call is to be logged, decided as it comes: then the bound holds for those under
    /// way, too.
    pub(super) fn begin(&self, call: &Call) -> Option<Box<Traced>> {
        if !self.is_on.load(Ordering::Relaxed) {
            return None;
        }
        if !self.state.lock().admits(&call.method) {
            return None;
        }
        let protocol = call.protocol.rsplit('.').next().unwrap_or_default();
        Some(Box::new(Traced {
            user: Arc::clone(&call.user),
            peer: call.peer,
            protocol: shortened(protocol),
            method: shortened(&call.method),
        }))
    }
}

impl State {
    fn admits(&mut self, method: &str) -> bool {
        if !self.methods.contains(ALL) && !self.methods.contains(method) {
            return false;
        }
        let now = Instant::now();
        if self.second.is_none_or(|second| now - second >= Duration::from_secs(1)) {
            if self.skipped > 0 {
                let (calls, limit) = (self.skipped, self.rate);
                tracing::info!(target: "rpc_trace", calls, limit, "were not shown");
            }
            (self.second, self.lines, self.skipped) = (Some(now), 0, 0);
        }
        if self.lines < self.rate {
            self.lines += 1;
            return true;
        }
        self.skipped += 1;
        false
    }
}

impl Traced {
    pub(super) fn end(&self, head: &CallHeader, course: Course) {
        // Texts are recorded as such, so that a line end in a name stays within its quotes.
        tracing::info!(
            target: "rpc_trace",
            user = shortened(&self.user.name),
            peer = %self.peer,
            protocol = self.protocol,
            method = self.method,
            call = head.call_id,
            retry = head.retry,
            received = course.received,
            sent = course.sent,
            queued_us = micros(course.queued),
            processed_us = micros(course.processed),
            outcome = course.failure.unwrap_or("ok"),
        );
    }
}

fn shortened(name: &str) -> String {
    name.chars().take(NAME_LENGTH_MAX).collect()
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}
