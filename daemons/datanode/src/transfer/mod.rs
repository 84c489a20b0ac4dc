//! The transfer port: blocks in and out. Requests are read on the async side, where a silent
//! connection costs no thread; each accepted one then streams on a thread of its own, of which
//! there are `dfs.datanode.max.transfer.threads` at most. What a request may do is the core's
//! decision.

mod acks;
mod balance;
mod checksum;
mod connect;
mod copy;
mod gate;
mod listener;
mod pace;
mod packets;
mod read;
mod receive;
mod send;
mod write;

use std::collections::HashMap;
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use bytes::BytesMut;
use hdfs_core::datanode::Block;
use hdfs_wire::Fault;
use hdfs_wire::proto::hdfs::{DatanodeIdProto, ExtendedBlockProto};
use parking_lot::Mutex;

use crate::settings::Settings;
use crate::store::Store;

pub(crate) use copy::{Copy, Kind as CopyKind};
use gate::Gate;
pub(crate) use listener::listen;
use pace::Pace;

/// Connections for each thread that may run: clients keep some open between reads.
const CONNECTIONS_PER_THREAD: usize = 2;

/// What all transfers share.
pub(crate) struct Transfers {
    pub(crate) store: Arc<Store>,
    pub(crate) settings: Arc<Settings>,
    /// The port of this datanode, as registered.
    pub(crate) port: u16,
    /// Connections with an operation running, to be cut at the end.
    active: Mutex<HashMap<u64, Arc<TcpStream>>>,
    next: AtomicU64,
    stopping: AtomicBool,
    /// This datanode as the namenode knows it, once registered.
    identity: Mutex<Option<DatanodeIdProto>>,
    /// The balancer's speed limit.
    pub(crate) pace: Pace,
    /// Moves of the balancer (`dfs.datanode.balance.max.concurrent.moves`).
    pub(crate) moves: Arc<Gate>,
    /// Operations that run on threads (`dfs.datanode.max.transfer.threads`).
    threads: Arc<Gate>,
    /// Connections, busy or not.
    connections: Arc<Gate>,
    /// Threads, shared with copies that the namenode ordered.
    pub(crate) runtime: tokio::runtime::Handle,
}

impl Transfers {
    pub(crate) fn new(
        store: Arc<Store>,
        settings: Arc<Settings>,
        port: u16,
        runtime: tokio::runtime::Handle,
    ) -> Arc<Self> {
        let pace = Pace::new(settings.balance_bandwidth);
        let moves = Gate::new(settings.balance_moves_max);
        let threads = Gate::new(settings.transfers_max);
        let connections = Gate::new(settings.transfers_max * CONNECTIONS_PER_THREAD);
        Arc::new(Self {
            store,
            settings,
            port,
            active: Mutex::default(),
            next: AtomicU64::new(0),
            stopping: AtomicBool::new(false),
            identity: Mutex::default(),
            pace,
            moves,
            threads,
            connections,
            runtime,
        })
    }

    /// So many operations may run from now on; those that do go on.
    pub(crate) fn set_threads_max(&self, max: usize) {
        self.threads.set_max(max);
        self.connections.set_max(max * CONNECTIONS_PER_THREAD);
    }

    /// A connection is in use until the guard is dropped.
    fn enter(&self, socket: &Arc<TcpStream>) -> Active<'_> {
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        self.active.lock().insert(id, Arc::clone(socket));
        // Whoever sets the flag cuts what is in the map after that.
        if self.stopping.load(Ordering::Acquire) {
            let _ = socket.shutdown(Shutdown::Both);
        }
        Active { transfers: self, id }
    }

    /// This datanode as the namenode knows it; none before the first registration.
    pub(crate) fn identity(&self) -> Option<DatanodeIdProto> {
        self.identity.lock().clone()
    }

    pub(crate) fn set_identity(&self, id: DatanodeIdProto) {
        *self.identity.lock() = Some(id);
    }

    /// How many transfers run.
    pub(crate) fn count(&self) -> usize {
        self.active.lock().len()
    }

    /// Cuts all transfers; replicas under construction stay as valid prefixes.
    pub(crate) fn cut_all(&self) {
        self.stopping.store(true, Ordering::Release);
        for socket in self.active.lock().values() {
            let _ = socket.shutdown(Shutdown::Both);
        }
    }

    /// The block of a request, if it is of this datanode's pool.
    fn block(&self, block: &ExtendedBlockProto) -> Result<Block, Fault> {
        if block.pool_id == self.store.pool {
            return Ok(Block::from(block));
        }
        Err(Fault::io(format!(
            "block pool {} is not served here, only {}",
            block.pool_id, self.store.pool
        )))
    }
}

/// A running transfer.
struct Active<'a> {
    transfers: &'a Transfers,
    id: u64,
}

impl Drop for Active<'_> {
    fn drop(&mut self) {
        self.transfers.active.lock().remove(&self.id);
    }
}

/// One client connection while its operation runs.
struct Connection {
    socket: Arc<TcpStream>,
    /// Bytes that came behind the request.
    rest: BytesMut,
    peer: SocketAddr,
    /// This side's address as the peer knows it, for `firstBadLink`.
    local: SocketAddr,
}

/// What becomes of a connection after an operation.
enum After {
    /// It is closed.
    Close,
    /// It may carry another operation; `status` first, if the client owes the result of a read.
    Reuse {
        /// The client sends ClientReadStatusProto before anything else.
        status: bool,
    },
}
