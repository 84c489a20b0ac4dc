//! Server and client over loopback. Tests wait for states; every port is 0.

mod calls;
mod hostile;
mod told;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::time::Duration;

use hdfs_wire::proto::hdfs::ConcatRequestProto;
use parking_lot::Mutex;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::*;

const PROTOCOL: &str = "org.apache.hadoop.hdfs.protocol.ClientProtocol";

/// The methods that are counted one by one.
const METHODS: [&str; 3] = ["echo", "late", "drop"];

/// Answers by the name of the method, with what came.
struct Echo {
    late: Mutex<SyncSender<(Bytes, Responder)>>,
    held: Mutex<Vec<Responder>>,
    users: Mutex<Vec<Arc<User>>>,
}

impl Echo {
    fn new() -> Arc<Self> {
        let (late, queue) = sync_channel::<(Bytes, Responder)>(10_000);
        std::thread::spawn(move || {
            // As a sync thread does it: all that waited, released together.
            while let Ok(first) = queue.recv() {
                let mut batch = vec![first];
                batch.extend(queue.try_iter());
                Responder::send_all(batch);
            }
        });
        Arc::new(Self { late: Mutex::new(late), held: Mutex::default(), users: Mutex::default() })
    }
}

impl Service for Echo {
    fn call(&self, call: Call, mut responder: Responder) {
        if let Some(place) = METHODS.iter().position(|name| *name == call.method.as_str()) {
            responder.counts_as(place);
        }
        let request = call.decode::<ConcatRequestProto>();
        match call.method.as_str() {
            "echo" => responder.send(request),
            "late" => {
                let prepared = responder.prepare(&request.unwrap());
                self.late.lock().send((prepared, responder)).unwrap();
            }
            "drop" => drop(responder),
            "hold" => self.held.lock().push(responder),
            "user" => {
                self.users.lock().push(Arc::clone(&call.user));
                responder.send(request);
            }
            "large" => {
                let reply = ConcatRequestProto { trg: "x".repeat(100_000), ..Default::default() };
                responder.send(Ok(reply));
            }
            name => {
                let fault = hdfs_wire::rpc::server::no_such_method(&call.protocol, name);
                responder.send::<ConcatRequestProto>(Err(fault));
            }
        }
    }
}

/// A running server.
struct Running {
    address: SocketAddr,
    service: Arc<Echo>,
    metrics: Arc<Metrics>,
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

async fn start(bounds: Bounds) -> Running {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = watch::channel(false);
    let (service, metrics) = (Echo::new(), Arc::new(Metrics::of_methods(METHODS)));
    let serving = serve(listener, service.clone(), bounds, Arc::clone(&metrics), stopped);
    Running { address, service, metrics, stop, task: tokio::spawn(serving) }
}

impl Running {
    fn client(&self) -> Client {
        self.client_as(User::new("alice"))
    }

    fn client_as(&self, user: User) -> Client {
        Client::new(self.address.to_string(), user, PROTOCOL, Timeouts::default())
    }

    async fn stop(self) {
        self.stop.send(true).unwrap();
        self.task.await.unwrap();
        assert_eq!(self.metrics.connections_open.load(Ordering::Relaxed), 0);
        assert_eq!(self.metrics.buffered_bytes_open.load(Ordering::Relaxed), 0);
    }
}

/// Waits until a counter has reached a value.
async fn until(counter: &AtomicU64, value: u64) {
    while counter.load(Ordering::Relaxed) < value {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

fn message(text: &str) -> ConcatRequestProto {
    ConcatRequestProto { trg: text.to_owned(), srcs: Vec::new() }
}
