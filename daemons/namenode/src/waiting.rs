//! `complete` calls that beat the datanodes' reports.
//!
//! Java answers them "false" at once, and the client sleeps 400 ms before it asks again. Here such
//! a
//! call waits, without a thread, until the reports are in or a moment has passed.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use hdfs_core::namenode::Durable;
use hdfs_edge::rpc::Responder;
use hdfs_wire::Fault;
use hdfs_wire::proto::hdfs::{CompleteRequestProto, CompleteResponseProto};
use parking_lot::Mutex;

use crate::server::{Aftermath, Received, Server};

/// How long a call waits for reports: longer than they take, shorter than a client's patience.
const PATIENCE: Duration = Duration::from_millis(300);

/// Calls that wait at once; further ones are answered "false" at once, as in Java.
const CALLS_MAX: usize = 10_000;

struct Call {
    number: u64,
    received: Received,
    responder: Responder,
}

/// The waiting calls, by the block they wait for.
#[derive(Default)]
pub(crate) struct Waiting {
    calls: Mutex<Calls>,
}

#[derive(Default)]
struct Calls {
    by_block: HashMap<i64, Vec<Call>>,
    count: usize,
    next: u64,
}

impl Waiting {
    /// Keeps a call and says its number.
    fn add(&self, block: i64, received: Received, responder: Responder) -> u64 {
        let mut calls = self.calls.lock();
        calls.count += 1;
        calls.next += 1;
        let number = calls.next;
        calls.by_block.entry(block).or_default().push(Call { number, received, responder });
        number
    }

    /// Whether no more calls may wait. Calls are added under the namespace lock only, so there is
    /// room until then.
    fn is_full(&self) -> bool {
        self.calls.lock().count >= CALLS_MAX
    }

    fn take_block(&self, block: i64) -> Vec<Call> {
        let mut calls = self.calls.lock();
        let taken = calls.by_block.remove(&block).unwrap_or_default();
        calls.count -= taken.len();
        taken
    }

    fn take_one(&self, block: i64, number: u64) -> Option<Call> {
        let mut calls = self.calls.lock();
        let waiting = calls.by_block.get_mut(&block)?;
        let index = waiting.iter().position(|call| call.number == number)?;
        let call = waiting.swap_remove(index);
        if waiting.is_empty() {
            calls.by_block.remove(&block);
        }
        calls.count -= 1;
        Some(call)
    }

    fn is_empty(&self) -> bool {
        self.calls.lock().count == 0
    }
}

/// Whether a call may still wait.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Turn {
    First,
    Last,
}

/// What became of a call under the lock.
enum Step {
    Answer(Result<Durable<CompleteResponseProto>, Fault>, Responder),
    Wait { block: i64, number: u64 },
}

impl Server {
    /// The `complete` method.
    pub(crate) fn complete(self: &Arc<Self>, received: Received, responder: Responder) {
        self.try_complete(received, responder, Turn::First);
    }

    /// Calls whose blocks became complete are tried again. Not to be called under the lock.
    pub(crate) fn wake(self: &Arc<Self>, aftermath: &Aftermath) {
        if aftermath.completed.is_empty() || self.waiting.is_empty() {
            return;
        }
        for block in &aftermath.completed {
            for call in self.waiting.take_block(*block) {
                self.try_complete(call.received, call.responder, Turn::Last);
            }
        }
    }

    fn try_complete(self: &Arc<Self>, received: Received, responder: Responder, turn: Turn) {
        let request: CompleteRequestProto = match received.request() {
            Ok(request) => request,
            Err(fault) => return responder.send::<CompleteResponseProto>(Err(fault)),
        };
        // The call joins the waiting ones under the lock: reports cannot slip in between.
        let (step, aftermath) = self.change(|state| {
            let outcome = state.complete(&received.caller(), &request);
            let may_wait = turn == Turn::First && outcome.is_ok() && !self.waiting.is_full();
            match state.awaited_block(&request).filter(|_| may_wait) {
                Some(block) => {
                    Step::Wait { block, number: self.waiting.add(block, received, responder) }
                }
                None => Step::Answer(outcome, responder),
            }
        });
        match step {
            Step::Answer(outcome, responder) => self.answer(outcome, responder),
            Step::Wait { block, number } => self.expire_later(block, number),
        }
        self.wake(&aftermath);
    }

    fn expire_later(self: &Arc<Self>, block: i64, number: u64) {
        let server = self.clone();
        tokio::spawn(async move {
            tokio::time::sleep(PATIENCE).await;
            if let Some(call) = server.waiting.take_one(block, number) {
                server.try_complete(call.received, call.responder, Turn::Last);
            }
        });
    }
}
