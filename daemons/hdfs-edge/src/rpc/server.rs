//! The listener of an RPC server: takes connections up to a bound, and at the end lets them finish.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use socket2::{SockRef, TcpKeepalive};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, watch};

use super::budget::Budget;
use super::connection::{Connection, End, Shared};
use super::link::Link;
use super::{Bounds, Metrics, Service};

/// Pause after an accept that failed (out of descriptors): trying at once would only spin.
const ACCEPT_RETRY: Duration = Duration::from_millis(50);

/// Calls in work when the server stops get so long to be answered.
const STOP_GRACE: Duration = Duration::from_secs(10);

/// A silent peer is asked for life after this, so that one that is gone is noticed.
const KEEPALIVE_TIME: Duration = Duration::from_secs(60);

/// Serves RPC on `listener` until `shutdown` turns true (or its sender is gone); then answers what
/// was taken, and returns.
pub async fn serve(
    listener: TcpListener,
    service: Arc<dyn Service>,
    bounds: Bounds,
    metrics: Arc<Metrics>,
    mut shutdown: watch::Receiver<bool>,
) {
    let budget = Budget::new(bounds.max_buffered, Arc::clone(&metrics));
    let reports = Budget::new(bounds.max_buffered_reports, Arc::clone(&metrics));
    let registry = Arc::new(Registry::default());
    let shared = Arc::new(Shared { service, bounds, budget, reports, metrics });
    let mut stopped = pin!(async move {
        // An error says that the sender is gone, which means the same.
        let _ = shutdown.wait_for(|stop| *stop).await;
    });
    loop {
        tokio::select! {
            () = &mut stopped => break,
            accepted = listener.accept() => match accepted {
                Ok((stream, peer)) => take(stream, peer, &shared, &registry),
                Err(error) => {
                    tracing::warn!(%error, "cannot accept an RPC connection");
                    tokio::time::sleep(ACCEPT_RETRY).await;
                }
            },
        }
    }
    drop(listener);
    registry.stop().await;
}

/// Starts a connection, or closes it at once when there are too many.
fn take(stream: TcpStream, peer: SocketAddr, shared: &Arc<Shared>, registry: &Arc<Registry>) {
    let metrics = &shared.metrics;
    if registry.links.lock().by_number.len() >= shared.bounds.max_connections {
        Metrics::add(&metrics.connections_refused, 1);
        tracing::debug!(%peer, max = shared.bounds.max_connections, "too many RPC connections");
        return;
    }
    if let Err(error) = prepare(&stream) {
        tracing::debug!(%peer, %error, "the RPC connection was gone at once");
        return;
    }
    Metrics::add(&metrics.connections_accepted, 1);
    Metrics::add(&metrics.connections_open, 1);
    let peer = SocketAddr::new(peer.ip().to_canonical(), peer.port());
    let connection = Connection::new(stream, peer, Arc::clone(shared));
    let number = registry.add(Arc::clone(connection.link()));
    let entry = Entry { registry: Arc::clone(registry), number, shared: Arc::clone(shared) };
    tokio::spawn(async move {
        let end = connection.run().await;
        entry.ended(peer, &end);
    });
}

fn prepare(stream: &TcpStream) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let keepalive = TcpKeepalive::new().with_time(KEEPALIVE_TIME);
    SockRef::from(stream).set_tcp_keepalive(&keepalive)
}

/// The open connections, so that they can be told to stop.
#[derive(Default)]
struct Registry {
    links: Mutex<Links>,
    emptied: Notify,
}

#[derive(Default)]
struct Links {
    by_number: HashMap<u64, Arc<Link>>,
    last: u64,
}

impl Registry {
    fn add(&self, link: Arc<Link>) -> u64 {
        let mut links = self.links.lock();
        links.last += 1;
        let number = links.last;
        links.by_number.insert(number, link);
        number
    }

    fn remove(&self, number: u64) {
        let mut links = self.links.lock();
        links.by_number.remove(&number);
        if links.by_number.is_empty() {
            self.emptied.notify_one();
        }
    }

    /// Tells every connection to finish, and waits until they have.
    async fn stop(&self) {
        let links: Vec<_> = self.links.lock().by_number.values().cloned().collect();
        links.iter().for_each(|link| link.stop());
        let all_ended = async {
            while !self.links.lock().by_number.is_empty() {
                self.emptied.notified().await;
            }
        };
        if tokio::time::timeout(STOP_GRACE, all_ended).await.is_err() {
            let open = self.links.lock().by_number.len();
            tracing::warn!(open, "RPC connections were still busy when the server stopped");
        }
    }
}

/// A connection's place in the registry; leaves it when dropped, however its task ends.
struct Entry {
    registry: Arc<Registry>,
    number: u64,
    shared: Arc<Shared>,
}

impl Entry {
    fn ended(&self, peer: SocketAddr, end: &End) {
        match end {
            End::Closed | End::Io(_) => tracing::trace!(%peer, %end, "RPC connection ended"),
            _ => {
                Metrics::add(&self.shared.metrics.connections_dropped, 1);
                tracing::debug!(%peer, reason = %end, "RPC connection dropped");
            }
        }
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        Metrics::sub(&self.shared.metrics.connections_open, 1);
        self.registry.remove(self.number);
    }
}
