//! Group commit: the one thread that puts transactions on disk, and the replies that wait for it.
//!
//! Calls append encoded operations under the namespace lock, so the queue has their order. The
//! thread takes everything that has gathered, writes and syncs it once in all name folders, and
//! releases the replies up to the last transaction that is on disk. A write or sync that fails is
//! final: nothing is acknowledged any more, and the process ends with the reason.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use hdfs_core::namenode::{Durable, Namenode};
use hdfs_edge::metrics::{Counter, Timing};
use hdfs_edge::rpc::Responder;
use parking_lot::{Condvar, Mutex};

/// The open segment on disk, in all name folders.
pub(crate) trait Segment: Send {
    /// Appends whole operations, the last of which is `last_txid`, and makes them durable.
    fn append(&mut self, operations: &[u8], last_txid: u64) -> Result<(), String>;
    /// Closes the segment, whose last transaction is `last_txid`, and opens the next one.
    fn roll(&mut self, last_txid: u64) -> Result<(), String>;
}

/// A sealed reply and the connection it goes to.
type Parked = (Durable<Bytes>, Responder);

/// Operations that go to one segment.
#[derive(Default)]
struct Chunk {
    /// Whether the segment before is closed first; its last transaction is then given.
    closes: Option<u64>,
    operations: Vec<u8>,
    last_txid: u64,
}

#[derive(Default)]
struct Queue {
    /// New operations go to the last chunk. Bounded by the calls that may be outstanding on all
    /// connections, each of which has logged a few operations and has one reply waiting.
    chunks: Vec<Chunk>,
    parked: Vec<Parked>,
    /// An empty buffer of the last round, so that a steady load allocates nothing.
    spare: Vec<u8>,
    /// The last transaction on disk.
    synced: u64,
    closing: bool,
    failure: Option<String>,
}

/// The queue between calls and the disk.
pub(crate) struct Journal {
    queue: Mutex<Queue>,
    /// Wakes the thread: something to write, or the end.
    work: Condvar,
    /// Wakes those who wait for `synced`, for the end or for a failure.
    progress: Condvar,
    /// Rounds of write and sync.
    pub(crate) syncs: Timing,
    pub(crate) transactions: Counter,
}

/// Memory a buffer keeps for the next round; a burst beyond it is given back.
const BUFFER_KEPT_MAX: usize = 1 << 20;

impl Journal {
    /// A journal whose segments on disk reach `synced`.
    pub(crate) fn new(synced: u64) -> Self {
        Self {
            queue: Mutex::new(Queue { synced, ..Queue::default() }),
            work: Condvar::new(),
            progress: Condvar::new(),
            syncs: Timing::default(),
            transactions: Counter::default(),
        }
    }

    /// Takes what the last call logged. To be called under the lock that the call ran under. Says
    /// whether there was something: then [`Journal::wake`] is to be called when the lock is free,
    /// as waking a thread takes longer than the change itself.
    pub(crate) fn collect(&self, state: &mut Namenode) -> bool {
        if !state.log_pending() {
            return false;
        }
        let mut queue = self.queue.lock();
        if queue.chunks.is_empty() {
            let operations = std::mem::take(&mut queue.spare);
            queue.chunks.push(Chunk { operations, ..Chunk::default() });
        }
        if let Some(chunk) = queue.chunks.last_mut() {
            chunk.last_txid = state.take_log(&mut chunk.operations);
        }
        true
    }

    /// Lets the thread look.
    pub(crate) fn wake(&self) {
        self.work.notify_one();
    }

    /// Lets what is logged from now on go to a new segment. To be called under the namespace lock,
    /// after the operation that closes the old one was collected.
    pub(crate) fn roll(&self, last_txid: u64) {
        self.queue.lock().chunks.push(Chunk {
            closes: Some(last_txid),
            operations: Vec::new(),
            last_txid,
        });
    }

    /// Sends a reply once its transaction is on disk: now, or when the thread gets there.
    pub(crate) fn park(&self, sealed: Durable<Bytes>, responder: Responder) {
        let mut queue = self.queue.lock();
        match sealed.release(queue.synced) {
            Ok(reply) => {
                drop(queue);
                responder.send_prepared(reply);
            }
            Err(_) if queue.failure.is_some() => abandon(responder),
            Err(sealed) => queue.parked.push((sealed, responder)),
        }
    }

    /// Waits until a transaction is on disk.
    ///
    /// # Errors
    /// The journal failed or was closed, or the time is over.
    pub(crate) fn wait(&self, txid: u64, longest: Duration) -> Result<(), String> {
        let deadline = Instant::now() + longest;
        let mut queue = self.queue.lock();
        while queue.synced < txid {
            if let Some(reason) = &queue.failure {
                return Err(reason.clone());
            }
            if self.progress.wait_until(&mut queue, deadline).timed_out() {
                return Err(format!("transaction {txid} did not reach the disk in time"));
            }
        }
        Ok(())
    }

    /// The last transaction on disk.
    pub(crate) fn synced(&self) -> u64 {
        self.queue.lock().synced
    }

    /// Writes what is left and ends the thread.
    pub(crate) fn close(&self) {
        self.queue.lock().closing = true;
        self.work.notify_one();
    }

    /// The thread's life: until [`Journal::close`], or the first failure, whose reason it returns.
    pub(crate) fn run(&self, mut segment: impl Segment) -> Result<(), String> {
        loop {
            let mut queue = self.queue.lock();
            while queue.chunks.is_empty() && !queue.closing {
                self.work.wait(&mut queue);
            }
            if queue.chunks.is_empty() {
                return Ok(());
            }
            let chunks = std::mem::take(&mut queue.chunks);
            drop(queue);
            let before = Instant::now();
            let synced = match write_all(&mut segment, &chunks) {
                Ok(synced) => synced,
                Err(reason) => return self.fail(reason),
            };
            self.syncs.record(before.elapsed());
            self.release(synced, chunks);
        }
    }

    fn release(&self, synced: u64, written: Vec<Chunk>) {
        let mut queue = self.queue.lock();
        let buffer = written.into_iter().next().map(|chunk| chunk.operations);
        if let Some(mut buffer) = buffer.filter(|buffer| buffer.capacity() <= BUFFER_KEPT_MAX) {
            buffer.clear();
            queue.spare = buffer;
        }
        self.transactions.add(synced.saturating_sub(queue.synced));
        queue.synced = synced;
        let parked = std::mem::take(&mut queue.parked);
        let mut ready = Vec::with_capacity(parked.len());
        for (sealed, responder) in parked {
            match sealed.release(synced) {
                Ok(reply) => ready.push((reply, responder)),
                Err(sealed) => queue.parked.push((sealed, responder)),
            }
        }
        drop(queue);
        self.progress.notify_all();
        Responder::send_all(ready);
    }

    fn fail(&self, reason: String) -> Result<(), String> {
        let mut queue = self.queue.lock();
        queue.failure = Some(reason.clone());
        queue.parked.drain(..).for_each(|(_, responder)| abandon(responder));
        drop(queue);
        self.progress.notify_all();
        Err(reason)
    }
}

fn write_all(segment: &mut impl Segment, chunks: &[Chunk]) -> Result<u64, String> {
    let mut last = 0;
    for chunk in chunks {
        if let Some(last_txid) = chunk.closes {
            segment.roll(last_txid)?;
        }
        if !chunk.operations.is_empty() {
            segment.append(&chunk.operations, chunk.last_txid)?;
        }
        last = chunk.last_txid;
    }
    Ok(last)
}

/// Leaves a call without any answer. Dropping a responder would answer an error, and an error after
/// a change that may or may not be on disk would say too much; the process ends, and the caller
/// sees
/// a lost connection.
fn abandon(responder: Responder) {
    std::mem::forget(responder);
}

/// Starts the thread; what it returns (the reason of a failure, or `Ok` after a close) is handed to
/// `ended`.
pub(crate) fn start(
    journal: &Arc<Journal>,
    segment: impl Segment + 'static,
    ended: impl FnOnce(Result<(), String>) + Send + 'static,
) -> std::io::Result<std::thread::JoinHandle<()>> {
    let journal = journal.clone();
    std::thread::Builder::new()
        .name("journal".to_owned())
        .stack_size(256 << 10)
        .spawn(move || ended(journal.run(segment)))
}
