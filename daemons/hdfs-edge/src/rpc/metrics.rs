//! What an RPC server counts. Plain atomics, read by whoever publishes them; counts only, the
//! meaning of calls is the service's.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;

use super::trace::{Course, Trace};
use crate::metrics::{Bean, Counter, Timing};

/// Counters of one server. Those that end in `_open` go up and down, the others only up.
#[derive(Debug, Default)]
pub struct Metrics {
    /// Connections at present.
    pub connections_open: AtomicU64,
    /// Connections taken.
    pub connections_accepted: AtomicU64,
    /// Connections closed at once because there were too many.
    pub connections_refused: AtomicU64,
    /// Connections ended because the peer broke a rule or was too slow.
    pub connections_dropped: AtomicU64,
    /// Peers turned away at their connection context.
    pub authorization_failures: AtomicU64,
    /// Calls handed to the service.
    pub calls: AtomicU64,
    /// Calls answered with a fault.
    pub faults: AtomicU64,
    /// Bytes read.
    pub received_bytes: AtomicU64,
    /// Bytes written.
    pub sent_bytes: AtomicU64,
    /// Bytes of large units held at present.
    pub buffered_bytes_open: AtomicU64,
    /// Which calls are logged.
    pub(super) trace: Trace,
    methods: Vec<Method>,
    /// Calls that failed, by the class of their exception.
    failures: Mutex<BTreeMap<&'static str, Timing>>,
}

/// What is counted of one method.
#[derive(Debug, Default)]
struct Method {
    name: &'static str,
    /// From the hand-over to the answer, a wait for the disk included.
    processing: Timing,
    /// From the arrival to the hand-over.
    queue: Timing,
    received_bytes: Counter,
    sent_bytes: Counter,
    failures: Counter,
}

impl Metrics {
    /// Counters of a server with these methods, whose places in the list responders are told
    /// ([`super::Responder::counts_as`]). A name that stands twice (in two protocols) is shown
    /// once.
    pub fn of_methods(names: impl IntoIterator<Item = &'static str>) -> Self {
        let method = |name| Method { name, ..Method::default() };
        Self { methods: names.into_iter().map(method).collect(), ..Self::default() }
    }

    /// How often the method at a place was answered.
    pub fn calls_at(&self, place: usize) -> u64 {
        self.methods.get(place).map_or(0, |method| method.processing.count())
    }

    pub(super) fn answered(&self, place: Option<usize>, course: Course) {
        if let Some(method) = place.and_then(|place| self.methods.get(place)) {
            method.processing.record(course.processed);
            method.queue.record(course.queued);
            method.received_bytes.add(course.received);
            method.sent_bytes.add(course.sent);
            if course.failure.is_some() {
                method.failures.increment();
            }
        }
        if let Some(class) = course.failure {
            self.failures.lock().entry(class).or_default().record(course.processed);
        }
    }

    /// Hadoop's beans of an RPC server: its sums, and each method that was called. As in Hadoop
    /// exceptions are counted by their simple names there; what Hadoop does not have (bytes, queue
    /// time and failures of a method) has names of the same kind.
    pub fn beans(&self, service: &'static str, port: u16) -> [Bean; 2] {
        let mut by_name: BTreeMap<&str, Vec<&Method>> = BTreeMap::new();
        for method in self.methods.iter().filter(|method| method.processing.count() > 0) {
            by_name.entry(method.name).or_default().push(method);
        }
        let mut detailed = Bean::new(service, format!("RpcDetailedActivityForPort{port}"))
            .with("tag.port", port.to_string());
        for (name, methods) in &by_name {
            let mut name = (*name).to_owned();
            name[..1].make_ascii_uppercase();
            let sum = |of: fn(&Method) -> u64| methods.iter().map(|method| of(method)).sum::<u64>();
            detailed = detailed
                .with(format!("{name}NumOps"), sum(|method| method.processing.count()))
                .with(format!("{name}AvgTime"), mean(methods, |method| &method.processing))
                .with(format!("{name}QueueAvgTime"), mean(methods, |method| &method.queue))
                .with(format!("{name}ReceivedBytes"), sum(|method| method.received_bytes.value()))
                .with(format!("{name}SentBytes"), sum(|method| method.sent_bytes.value()))
                .with(format!("{name}Failures"), sum(|method| method.failures.value()));
        }
        for (class, timing) in &*self.failures.lock() {
            let name = class.rsplit(['.', '$']).next().unwrap_or(class);
            detailed = detailed
                .with(format!("{name}NumOps"), timing.count())
                .with(format!("{name}AvgTime"), timing.mean_millis());
        }
        [self.sums(service, port), detailed]
    }

    fn sums(&self, service: &'static str, port: u16) -> Bean {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let all: Vec<&Method> = self.methods.iter().collect();
        let answered = all.iter().map(|method| method.processing.count()).sum::<u64>();
        Bean::new(service, format!("RpcActivityForPort{port}"))
            .with("tag.port", port.to_string())
            .with("ReceivedBytes", read(&self.received_bytes))
            .with("SentBytes", read(&self.sent_bytes))
            .with("TotalRequests", read(&self.calls))
            .with("RpcQueueTimeNumOps", answered)
            .with("RpcQueueTimeAvgTime", mean(&all, |method| &method.queue))
            .with("RpcProcessingTimeNumOps", answered)
            .with("RpcProcessingTimeAvgTime", mean(&all, |method| &method.processing))
            .with("RpcAuthorizationFailures", read(&self.authorization_failures))
            .with("RpcFailures", read(&self.faults))
            .with("NumOpenConnections", read(&self.connections_open))
            .with("NumDroppedConnections", read(&self.connections_dropped))
            .with("CallQueueLength", 0_u64)
    }

    pub(super) fn add(counter: &AtomicU64, amount: u64) {
        counter.fetch_add(amount, Ordering::Relaxed);
    }

    pub(super) fn sub(counter: &AtomicU64, amount: u64) {
        counter.fetch_sub(amount, Ordering::Relaxed);
    }
}

/// Mean length in milliseconds over several methods, 0 without calls.
#[allow(clippy::cast_precision_loss)] // a mean for people
fn mean(methods: &[&Method], of: fn(&Method) -> &Timing) -> f64 {
    let all = || methods.iter().map(|method| of(method));
    let total: f64 = all().map(|timing| timing.mean_millis() * timing.count() as f64).sum();
    total / all().map(Timing::count).sum::<u64>().max(1) as f64
}
