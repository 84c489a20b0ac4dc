//! The namenode's spine: the namespace behind one lock, and how a call passes through it.
//!
//! Reads run in parallel under the shared lock, on the worker that received them. Writes take it
//! alone, run the core, hand their operations to the journal, and leave; their reply waits for the
//! disk with the journal, never with a worker. Nothing sleeps, syncs or asks the operating system
//! while the lock is held.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use hdfs_core::Millis;
use hdfs_core::namenode::{Caller, Durable, Namenode};
use hdfs_edge::groups::{GroupList, Groups};
use hdfs_edge::http::Health;
use hdfs_edge::live::Live;
use hdfs_edge::reconfiguration::Reconfiguration;
use hdfs_edge::rpc::{Call, Responder};
use hdfs_wire::Fault;
use parking_lot::{Mutex, RwLock};
use prost::Message;

use crate::datanodes::Maps;
use crate::journal::Journal;
use crate::names::Names;
use crate::racks::Racks;
use crate::settings::Settings;
use crate::waiting::Waiting;

/// Everything the parts of the process share.
pub(crate) struct Server {
    pub(crate) state: RwLock<Namenode>,
    pub(crate) journal: Arc<Journal>,
    pub(crate) groups: Groups,
    pub(crate) waiting: Waiting,
    pub(crate) racks: Racks,
    pub(crate) names: Names,
    pub(crate) settings: Settings,
    /// Files about datanodes; their places may change while it runs.
    pub(crate) maps: Mutex<Maps>,
    /// The configuration in force.
    pub(crate) live: Live,
    pub(crate) reconfiguration: Reconfiguration,
    pub(crate) health: Health,
    pub(crate) rpc_metrics: Arc<hdfs_edge::rpc::Metrics>,
    /// When the process started.
    pub(crate) started: Millis,
    /// Where the RPC server really listens (the port may have been 0).
    pub(crate) rpc_address: SocketAddr,
    /// Where the web server really listens.
    pub(crate) http_address: SocketAddr,
}

/// A call whose user's groups are known.
pub(crate) struct Received {
    pub(crate) call: Call,
    pub(crate) groups: GroupList,
    /// The peer's address as text, as log and messages show it.
    pub(crate) address: String,
}

impl Received {
    pub(crate) fn new(call: Call, groups: GroupList) -> Self {
        let address = call.peer.ip().to_canonical().to_string();
        Self { call, groups, address }
    }

    pub(crate) fn caller(&self) -> Caller<'_> {
        Caller {
            user: &self.call.user.name,
            groups: &self.groups,
            address: &self.address,
            client_id: &self.call.head.client_id,
            call_id: self.call.head.call_id,
            now: now(),
        }
    }

    /// # Errors
    /// The body is not the method's message.
    pub(crate) fn request<Q: Message + Default>(&self) -> Result<Q, Fault> {
        self.call.decode()
    }
}

/// What a write left besides its answer.
#[derive(Default)]
pub(crate) struct Aftermath {
    /// Blocks that became complete: calls may wait for them.
    pub(crate) completed: Vec<i64>,
}

impl Server {
    /// Runs something under the exclusive lock and hands what it logged to the journal.
    pub(crate) fn change<T>(&self, apply: impl FnOnce(&mut Namenode) -> T) -> (T, Aftermath) {
        let mut state = self.state.write();
        let outcome = apply(&mut state);
        let collected = self.journal.collect(&mut state);
        let aftermath = Aftermath { completed: state.take_completed() };
        drop(state);
        if collected {
            self.journal.wake();
        }
        (outcome, aftermath)
    }

    /// A method that changes nothing.
    pub(crate) fn read<Q: Message + Default, R: Message>(
        self: &Arc<Self>,
        received: &Received,
        responder: Responder,
        answer: impl FnOnce(&Namenode, &Caller<'_>, &Q) -> Result<R, Fault>,
    ) {
        let result = received.request().and_then(|request| {
            let state = self.state.read();
            answer(&state, &received.caller(), &request)
        });
        responder.send(result);
    }

    /// A method that may change the namespace: its answer waits for the disk.
    pub(crate) fn write<Q: Message + Default, R: Message>(
        self: &Arc<Self>,
        received: &Received,
        responder: Responder,
        apply: impl FnOnce(&mut Namenode, &Caller<'_>, &Q) -> Result<Durable<R>, Fault>,
    ) {
        let request = match received.request() {
            Ok(request) => request,
            Err(fault) => return responder.send::<R>(Err(fault)),
        };
        let caller = received.caller();
        let (outcome, aftermath) = self.change(|state| apply(state, &caller, &request));
        self.answer(outcome, responder);
        self.wake(&aftermath);
    }

    /// A method that changes only what is never on disk (reports of datanodes, safe mode).
    pub(crate) fn report<Q: Message + Default, R: Message>(
        self: &Arc<Self>,
        received: &Received,
        responder: Responder,
        apply: impl FnOnce(&mut Namenode, &Caller<'_>, &Q) -> Result<R, Fault>,
    ) {
        let request = match received.request() {
            Ok(request) => request,
            Err(fault) => return responder.send::<R>(Err(fault)),
        };
        let caller = received.caller();
        let (outcome, aftermath) = self.change(|state| apply(state, &caller, &request));
        responder.send(outcome);
        self.wake(&aftermath);
    }

    /// A method the server answers by itself.
    pub(crate) fn own<Q: Message + Default, R: Message>(
        self: &Arc<Self>,
        received: &Received,
        responder: Responder,
        answer: impl FnOnce(&Arc<Self>, &Caller<'_>, &Q) -> Result<R, Fault>,
    ) {
        let result = received.request().and_then(|request| {
            let caller = received.caller();
            answer(self, &caller, &request)
        });
        responder.send(result);
    }

    /// As [`Server::own`], on a thread that may block.
    pub(crate) fn slow<Q: Message + Default, R: Message>(
        self: &Arc<Self>,
        received: Received,
        responder: Responder,
        answer: impl FnOnce(&Arc<Self>, &Caller<'_>, &Q) -> Result<R, Fault> + Send + 'static,
    ) {
        let server = self.clone();
        tokio::task::spawn_blocking(move || server.own(&received, responder, answer));
    }

    /// Encodes the answer to a write now and sends it when its transaction is on disk.
    pub(crate) fn answer<R: Message>(
        &self,
        outcome: Result<Durable<R>, Fault>,
        responder: Responder,
    ) {
        match outcome {
            Ok(durable) => {
                let sealed = durable.map(|value| responder.prepare(&value));
                self.journal.park(sealed, responder);
            }
            Err(fault) => responder.send::<R>(Err(fault)),
        }
    }

    /// A caller that stands for the namenode itself.
    pub(crate) fn own_caller(&self) -> Caller<'static> {
        Caller {
            user: hdfs_edge::groups::own_user(),
            groups: &[],
            address: "127.0.0.1",
            client_id: &[],
            call_id: -2,
            now: now(),
        }
    }
}

/// Milliseconds since the epoch.
pub(crate) fn now() -> Millis {
    let elapsed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX)
}
