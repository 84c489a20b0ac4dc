//! The datanode as a process: bind, open the folders, meet the namenode, serve, stop.

use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::{Duration, Instant};

use hdfs_edge::config::Config;
use hdfs_edge::daemon::{self, Failure};
use hdfs_edge::http::{self, About, Health, Pages};
use hdfs_edge::keys::Daemon;
use hdfs_edge::live::Live;
use hdfs_edge::metrics::Registry;
use hdfs_edge::reconfiguration::Reconfiguration;
use hdfs_edge::rpc::{self, Metrics};
use hdfs_edge::{groups, net};
use hdfs_wire::proto::hdfs::DatanodeIdProto;
use tokio::sync::{Notify, mpsc, watch};

use crate::actor::{self, Actor};
use crate::beans::{self, Shown};
use crate::counters::Counters;
use crate::ipc::{self, Ipc};
use crate::link::{self, Link};
use crate::orders::Orders;
use crate::recovery::Recoverer;
use crate::reload::{self, Reached};
use crate::settings::{Address, Settings, Timing};
use crate::storage::{Folders, Namespace};
use crate::store::Store;
use crate::transfer::{self, Transfers};

/// Async workers: requests, RPC and HTTP are small next to the streams, which have own threads.
const WORKERS: usize = 2;

/// The largest value of `dfs.datanode.max.transfer.threads`: it may change while threads run, and
/// it, not the pool, is what limits them.
const TRANSFERS_MAX: usize = 65_536;

/// Threads beyond the transfers: responders have one each, and a few wait for disks.
const EXTRA_THREADS: usize = 128;

/// Stack of a thread; the deepest streams need some 20 KB.
const STACK_LEN: usize = 512 * 1024;

/// Idle threads are kept this long, so that the next transfer starts at once.
const THREAD_KEPT: Duration = Duration::from_secs(5);

/// After cutting the streams, so long may they take to let go of their replicas.
const STOP_TIMEOUT: Duration = Duration::from_millis(1500);

/// Operators' wishes waiting at most.
const WISHES_MAX: usize = 8;

/// Largest IPC call: requests are a few hundred bytes.
const IPC_FRAME_LEN_MAX: usize = 1024 * 1024;

/// IPC connections at most: clients with open files and administrators.
const IPC_CONNECTIONS_MAX: usize = 4096;

/// Listening sockets.
struct Sockets {
    transfer: TcpListener,
    ipc: TcpListener,
    http: TcpListener,
}

fn bind(address: &Address) -> Result<TcpListener, Failure> {
    net::listen(&address.host, address.port, address.key)
}

fn port(listener: &TcpListener) -> u16 {
    listener.local_addr().map_or(0, |address| address.port())
}

/// The ports a datanode listens on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ports {
    /// Block data.
    pub transfer: u16,
    /// RPC.
    pub ipc: u16,
    /// Web pages.
    pub http: u16,
}

/// A datanode that has been started.
pub struct Running {
    runtime: tokio::runtime::Runtime,
    ended: tokio::task::JoinHandle<Result<(), Failure>>,
    stop: watch::Sender<bool>,
    health: Health,
    ports: Ports,
    #[cfg(test)]
    live: Live,
}

impl Running {
    /// Starts a datanode: opens its folders and ports, then meets the namenode in the background.
    ///
    /// # Errors
    /// A folder or port that cannot be used, as one line for the user.
    pub fn start(config: Config) -> Result<Self, Failure> {
        let settings = Arc::new(Settings::read(&config)?);
        let sockets = Sockets {
            transfer: bind(&settings.transfer)?,
            ipc: bind(&settings.ipc)?,
            http: bind(&settings.http)?,
        };
        let folders = Folders::open(&settings)?;
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(WORKERS)
            .max_blocking_threads(TRANSFERS_MAX * 2 + EXTRA_THREADS)
            .thread_stack_size(STACK_LEN)
            .thread_keep_alive(THREAD_KEPT)
            .thread_name("datanode")
            .enable_all()
            .build()
            .map_err(|error| Failure::failed(format!("cannot start threads: {error}")))?;
        let (stop, stopped) = watch::channel(false);
        let (health, live) = (Health::default(), Live::new(Daemon::Datanode, config));
        health.set_waiting("starting");
        let ports = Ports {
            transfer: port(&sockets.transfer),
            ipc: port(&sockets.ipc),
            http: port(&sockets.http),
        };
        let life = life(Life {
            settings,
            live: live.clone(),
            sockets,
            folders,
            ports,
            health: health.clone(),
            stopped,
        });
        let ended = runtime.spawn(life);
        Ok(Self {
            runtime,
            ended,
            stop,
            health,
            ports,
            #[cfg(test)]
            live,
        })
    }

    /// Whether the datanode is registered and serves.
    pub fn is_ready(&self) -> bool {
        self.health.is_ready()
    }

    /// Where it listens.
    pub fn ports(&self) -> Ports {
        self.ports
    }

    /// The configuration in force.
    #[cfg(test)]
    pub(crate) fn live(&self) -> &Live {
        &self.live
    }

    /// Waits for a stop signal, or for the datanode to end on its own.
    ///
    /// # Errors
    /// Why it ended on its own.
    pub fn wait(&mut self) -> Result<(), Failure> {
        let ended = &mut self.ended;
        self.runtime.block_on(async {
            tokio::select! {
                signal = daemon::shutdown_signal() => {
                    tracing::info!(signal = signal.unwrap_or("no signals"), "stopping");
                    Ok(())
                }
                result = ended => result.unwrap_or_else(|error| {
                    Err(Failure::failed(format!("the datanode ended: {error}")))
                }),
            }
        })
    }

    /// Stops: no new connections, streams cut, replicas left as valid prefixes.
    pub fn stop(self) {
        let _ = self.stop.send(true);
        if !self.ended.is_finished() {
            let _ = self
                .runtime
                .block_on(async { tokio::time::timeout(STOP_TIMEOUT, self.ended).await });
        }
        self.runtime.shutdown_timeout(STOP_TIMEOUT);
        tracing::info!("stopped");
    }
}

/// What a life begins with.
struct Life {
    settings: Arc<Settings>,
    live: Live,
    sockets: Sockets,
    folders: Folders,
    ports: Ports,
    health: Health,
    stopped: watch::Receiver<bool>,
}

fn listener(socket: TcpListener) -> Result<tokio::net::TcpListener, Failure> {
    tokio::net::TcpListener::from_std(socket)
        .map_err(|error| Failure::failed(format!("cannot listen: {error}")))
}

async fn until_stopped(mut stopped: watch::Receiver<bool>) {
    // A sender that is gone means the same.
    let _ = stopped.wait_for(|stop| *stop).await;
}

async fn life(life: Life) -> Result<(), Failure> {
    let Life { settings, live, sockets, folders, ports, health, stopped } = life;
    let registry = Registry::default();
    let about = About::default();
    let pages = Pages { config: live.clone(), health: health.clone(), registry, about };
    let registry = pages.registry.clone();
    let web = http::serve(
        sockets.http,
        http::common_pages(pages),
        http::Bounds::default(),
        until_stopped(stopped.clone()),
    );
    tokio::spawn(async move {
        if let Err(error) = web.await {
            tracing::error!(%error, "the web server ended");
        }
    });
    let user = groups::own_user().to_owned();
    let link = Link::new(&settings.namenode, &user);
    let info = tokio::select! {
        info = actor::handshake(&link, &health) => info?,
        () = until_stopped(stopped.clone()) => return Ok(()),
    };
    let namespace = Namespace::from(&info);
    let uuid = folders.datanode_uuid.clone();
    health.set_waiting("scanning the data folders");
    let (at, of) = (Arc::clone(&settings), namespace.clone());
    let storage = tokio::task::spawn_blocking(move || folders.attach(&of, &at))
        .await
        .map_err(|error| Failure::failed(format!("scanning ended: {error}")))??;
    let store = Store::new(
        storage,
        Arc::new(Counters::default()),
        settings.sync_on_close,
        settings.failed_volumes_tolerated,
    );
    let serving =
        Serving { settings, link, user, namespace, ports, health, stopped, registry, live };
    serving.run(store, sockets.transfer, sockets.ipc, uuid).await
}

/// A datanode whose folders are open.
struct Serving {
    settings: Arc<Settings>,
    link: Link,
    user: String,
    namespace: Namespace,
    ports: Ports,
    health: Health,
    stopped: watch::Receiver<bool>,
    registry: Registry,
    live: Live,
}

impl Serving {
    async fn run(
        self,
        store: Arc<Store>,
        transfer_socket: TcpListener,
        ipc_socket: TcpListener,
        datanode_uuid: String,
    ) -> Result<(), Failure> {
        let runtime = tokio::runtime::Handle::current();
        let transfers = Transfers::new(
            Arc::clone(&store),
            Arc::clone(&self.settings),
            self.ports.transfer,
            runtime.clone(),
        );
        let timing = self.follow(&store, &transfers, &datanode_uuid);
        let (wishes, wished) = mpsc::channel(WISHES_MAX);
        let (admin_stop, rpc) = (Arc::new(Notify::new()), Arc::new(ipc::metrics()));
        rpc::follow_trace(&rpc, &self.live);
        let ipc = Ipc {
            store: Arc::clone(&store),
            transfers: Arc::clone(&transfers),
            wishes,
            shutdown: Arc::clone(&admin_stop),
            started: Instant::now(),
            runtime,
            reconfiguration: Reconfiguration::new(self.live.clone()),
            recovery_calls: Arc::new(AtomicUsize::new(0)),
            owner: self.user.clone(),
        };
        self.serve_ipc(ipc_socket, ipc, &rpc)?;
        let listening =
            tokio::spawn(transfer::listen(listener(transfer_socket)?, Arc::clone(&transfers)));
        beans::register(&self.registry, self.shown(&store, &transfers, rpc));
        let recoverer = self.recoverer(&store, &transfers);
        let orders = Orders::start(&store, &transfers, recoverer, &self.link);
        let actor = Actor {
            link: self.link.clone(),
            store: Arc::clone(&store),
            transfers: Arc::clone(&transfers),
            timing,
            orders,
            health: self.health.clone(),
            registration: link::registration(self.identity(datanode_uuid), &self.namespace),
            wishes: wished,
        };
        let result = tokio::select! {
            failure = actor.run() => Err(failure),
            () = until_stopped(self.stopped.clone()) => Ok(()),
            () = admin_stop.notified() => Ok(()),
            () = store.broken.notified() => Err(Failure::failed(
                "more data folders failed than dfs.datanode.failed.volumes.tolerated; replace \
                 the disks and start again",
            )),
        };
        self.health.set_waiting("stopping");
        listening.abort();
        transfers.cut_all();
        wait_for_streams(&transfers).await;
        result
    }

    fn recoverer(&self, store: &Arc<Store>, transfers: &Arc<Transfers>) -> Arc<Recoverer> {
        Arc::new(Recoverer {
            store: Arc::clone(store),
            transfers: Arc::clone(transfers),
            link: self.link.clone(),
            user: self.user.clone(),
        })
    }

    /// Takes up what can change while it runs; the conversation's times come by a channel.
    fn follow(
        &self,
        store: &Arc<Store>,
        transfers: &Arc<Transfers>,
        datanode_uuid: &str,
    ) -> watch::Receiver<Timing> {
        let (timing, watched) = watch::channel(self.settings.timing);
        let reached = Reached {
            store: Arc::clone(store),
            transfers: Arc::clone(transfers),
            timing,
            namespace: self.namespace.clone(),
            datanode_uuid: datanode_uuid.to_owned(),
        };
        reload::register(&self.live, reached);
        watched
    }

    fn serve_ipc(&self, socket: TcpListener, ipc: Ipc, rpc: &Arc<Metrics>) -> Result<(), Failure> {
        let bounds = rpc::Bounds {
            max_frame: IPC_FRAME_LEN_MAX,
            max_connections: IPC_CONNECTIONS_MAX,
            ..rpc::Bounds::default()
        };
        tokio::spawn(rpc::serve(
            listener(socket)?,
            Arc::new(ipc),
            bounds,
            Arc::clone(rpc),
            self.stopped.clone(),
        ));
        Ok(())
    }

    fn identity(&self, datanode_uuid: String) -> DatanodeIdProto {
        DatanodeIdProto {
            ip_addr: net::host_address(),
            host_name: self.settings.host_name.clone(),
            datanode_uuid,
            xfer_port: self.ports.transfer.into(),
            info_port: self.ports.http.into(),
            ipc_port: self.ports.ipc.into(),
            info_secure_port: Some(0),
        }
    }

    fn shown(&self, store: &Arc<Store>, transfers: &Arc<Transfers>, rpc: Arc<Metrics>) -> Shown {
        Shown {
            store: Arc::clone(store),
            transfers: Arc::clone(transfers),
            rpc,
            cluster_id: self.namespace.cluster_id.clone(),
            namenode: self.settings.namenode.clone(),
            host_name: self.settings.host_name.clone(),
            transfer_port: self.ports.transfer,
            ipc_port: self.ports.ipc,
            http_port: self.ports.http,
        }
    }
}

/// Until all streams have let go, or the time for that is over.
async fn wait_for_streams(transfers: &Transfers) {
    const STEP: Duration = Duration::from_millis(5);
    let until = Instant::now() + STOP_TIMEOUT / 2;
    while transfers.count() > 0 && Instant::now() < until {
        tokio::time::sleep(STEP).await;
    }
}
