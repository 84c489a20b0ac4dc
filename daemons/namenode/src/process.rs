//! The process: what is started in which order, and how it ends.
//!
//! Order of a start: sockets are bound (a port in use costs nothing yet), the name folders are
//! locked and loaded, a new segment is opened, and only then a call is answered. Order of an end:
//! no new calls, no more ticks, everything logged is put on disk, the folders are let go.

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use hdfs_edge::config::Config;
use hdfs_edge::daemon::{self, Failure};
use hdfs_edge::groups::Groups;
use hdfs_edge::http::{self, About, Health, Pages};
use hdfs_edge::keys::Daemon;
use hdfs_edge::live::Live;
use hdfs_edge::metrics::Registry;
use hdfs_edge::reconfiguration::Reconfiguration;
use hdfs_edge::{keys, net, rpc};
use parking_lot::{Mutex, RwLock};
use tokio::runtime::Runtime;
use tokio::sync::watch as signal;

use crate::datanodes::Maps;
use crate::journal::{self, Journal};
use crate::names::{DiskFactory, Names};
use crate::racks::Racks;
use crate::routes::{self, Routes};
use crate::server::{Server, now};
use crate::settings::Settings;
use crate::waiting::Waiting;
use crate::{beans, reload, watch, web};

/// Threads that read calls. Calls are short and never block, so two keep two cores busy; more would
/// only wait for the namespace lock.
const WORKERS_MAX: usize = 4;

/// Threads for what may block: group look-ups, images, long summaries.
const BLOCKING_THREADS_MAX: usize = 16;

/// Stack of each thread; protobuf decoding recurses 100 deep at most.
const STACK_SIZE: usize = 512 << 10;

/// How long open calls and pages are given at the end.
pub(crate) const GRACE: Duration = Duration::from_millis(200);

/// A namenode at work.
pub struct Running {
    server: Arc<Server>,
    runtime: Option<Runtime>,
    journal_thread: Option<JoinHandle<()>>,
    watch_thread: Option<JoinHandle<()>>,
    stop_watch: Arc<watch::Stop>,
    /// Tells the servers to end.
    stop_serving: signal::Sender<bool>,
    /// Becomes `Some` when the journal failed: the reason.
    failure: signal::Receiver<Option<String>>,
}

/// Sockets that are bound and not served yet.
struct Sockets {
    rpc: TcpListener,
    http: TcpListener,
}

impl Sockets {
    fn bind(settings: &Settings) -> Result<Self, Failure> {
        let rpc = net::listen(&settings.rpc_bind, settings.rpc.1, settings.rpc_key)?;
        let key = keys::DFS_NAMENODE_HTTP_ADDRESS.name;
        Ok(Self { rpc, http: net::listen(&settings.http_bind, settings.http.1, key)? })
    }
}

impl Running {
    /// Starts a namenode on the folders of the configuration and returns once it answers calls.
    ///
    /// # Errors
    /// Exit code 2 for what the user can put right (ports, folders, layouts), 1 for the rest.
    pub fn start(config: Config) -> Result<Self, Failure> {
        Self::start_on(config, &crate::names::local_disk)
    }

    /// As [`Running::start`], on disks of the caller's making.
    ///
    /// # Errors
    /// As [`Running::start`].
    pub fn start_on(config: Config, disks: &DiskFactory) -> Result<Self, Failure> {
        let began = Instant::now();
        let settings = Settings::new(&config)?;
        let sockets = Sockets::bind(&settings)?;
        let (names, state, segment) = Names::load(&config, &settings, disks)?;
        let journal = Arc::new(Journal::new(state.last_txid()));
        let address = |socket: &TcpListener| socket.local_addr().map_err(Failure::failed);
        let groups = Groups::from_config(&config);
        let live = Live::new(Daemon::Namenode, config);
        let server = Arc::new(Server {
            state: RwLock::new(state),
            journal: journal.clone(),
            groups,
            waiting: Waiting::default(),
            racks: Racks::new(settings.rack_script.clone()),
            names,
            health: Health::default(),
            started: now(),
            rpc_address: address(&sockets.rpc)?,
            http_address: address(&sockets.http)?,
            rpc_metrics: Arc::new(routes::metrics()),
            maps: Mutex::new(Maps::new(&live.get())),
            reconfiguration: Reconfiguration::new(live.clone()),
            live,
            settings,
        });
        reload::register(&server);
        let (tell_failure, failure) = signal::channel(None);
        let journal_thread = journal::start(&journal, segment, move |outcome| {
            if let Err(reason) = outcome {
                tracing::error!(reason, "nothing is acknowledged any more; the process ends");
                let _ = tell_failure.send(Some(reason));
            }
        })
        .map_err(Failure::failed)?;
        let (stop_serving, _) = signal::channel(false);
        let mut running = Self {
            server,
            runtime: Some(runtime()?),
            journal_thread: Some(journal_thread),
            watch_thread: None,
            stop_watch: Arc::default(),
            stop_serving,
            failure,
        };
        running.open(sockets, began)?;
        Ok(running)
    }

    /// The rest of a start: the first segment is on disk, then everything is served.
    fn open(&mut self, sockets: Sockets, began: Instant) -> Result<(), Failure> {
        let server = &self.server;
        crate::checkpoint::open_first_segment(server).map_err(Failure::failed)?;
        crate::datanodes::read_maps(server).map_err(Failure::user)?;
        watch::guard_space(server);
        self.serve(sockets)?;
        let server = self.server.clone();
        let stop = self.stop_watch.clone();
        let thread = std::thread::Builder::new()
            .name("clock".to_owned())
            .stack_size(STACK_SIZE)
            .spawn(move || watch::run(&server, &stop))
            .map_err(Failure::failed)?;
        self.watch_thread = Some(thread);
        self.server.health.set_ready();
        tracing::info!(
            rpc = %self.server.rpc_address,
            http = %self.server.http_address,
            transactions = self.server.journal.synced(),
            millis = began.elapsed().as_millis(),
            "namenode is up"
        );
        Ok(())
    }

    fn serve(&self, sockets: Sockets) -> Result<(), Failure> {
        let Some(runtime) = &self.runtime else { return Ok(()) };
        let _inside = runtime.enter();
        let server = &self.server;
        let registry = Registry::default();
        beans::register(&registry, server);
        let health = server.health.clone();
        let pages = Pages { config: server.live.clone(), health, registry, about: about(server) };
        let router = http::common_pages(pages).merge(web::pages(server.clone()));
        let pages = http::serve(sockets.http, router, http::Bounds::default(), self.stopped());
        runtime.spawn(async move {
            if let Err(error) = pages.await {
                tracing::error!(%error, "the web server ended");
            }
        });
        let bounds = rpc::Bounds {
            max_frame: server.settings.frame_length_max,
            max_connections: server.settings.connections_max,
            ..rpc::Bounds::default()
        };
        let listener = tokio::net::TcpListener::from_std(sockets.rpc).map_err(Failure::failed)?;
        let routes = Arc::new(Routes(server.clone()));
        let metrics = server.rpc_metrics.clone();
        let stop = self.stop_serving.subscribe();
        runtime.spawn(rpc::serve(listener, routes, bounds, metrics, stop));
        Ok(())
    }

    /// Resolves when it is time to end.
    fn stopped(&self) -> impl Future<Output = ()> + Send + use<> {
        let mut stop = self.stop_serving.subscribe();
        async move {
            // An error means that the sender is gone, which is the end as well.
            let _ = stop.wait_for(|stop| *stop).await;
        }
    }

    /// Where clients and datanodes reach it.
    pub fn rpc_address(&self) -> SocketAddr {
        self.server.rpc_address
    }

    /// Where its web pages are.
    pub fn http_address(&self) -> SocketAddr {
        self.server.http_address
    }

    /// The configuration in force.
    #[cfg(test)]
    pub(crate) fn live(&self) -> &Live {
        &self.server.live
    }

    /// Rounds of write and sync so far.
    #[cfg(test)]
    pub(crate) fn syncs(&self) -> u64 {
        self.server.journal.syncs.count()
    }

    /// Waits for a stop signal or the journal's failure.
    ///
    /// # Errors
    /// The journal failed: the reason.
    pub fn wait(&self) -> Result<(), Failure> {
        let Some(runtime) = &self.runtime else { return Ok(()) };
        let mut failure = self.failure.clone();
        runtime.block_on(async move {
            tokio::select! {
                name = daemon::shutdown_signal() => {
                    tracing::info!(signal = name.map_err(Failure::failed)?, "stopping");
                    Ok(())
                }
                reason = failed(&mut failure) => Err(Failure::failed(reason)),
            }
        })
    }

    /// Ends in order; everything that was acknowledged, and all that was logged, is on disk.
    ///
    /// # Errors
    /// The journal failed, now or before: the reason.
    pub fn stop(mut self) -> Result<(), Failure> {
        self.end();
        let reason = self.failure.borrow().clone();
        reason.map_or(Ok(()), |reason| Err(Failure::failed(reason)))
    }

    fn end(&mut self) {
        self.server.health.set_waiting("stopping");
        let _ = self.stop_serving.send(true);
        self.stop_watch.stop();
        self.server.journal.close();
        for thread in [self.watch_thread.take(), self.journal_thread.take()].into_iter().flatten() {
            // A panic there has ended the process already.
            let _ = thread.join();
        }
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_timeout(GRACE);
        }
        self.server.names.unlock();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if self.runtime.is_some() {
            self.end();
        }
    }
}

/// What `/healthz` tells of a namenode: one that stands alone is active.
fn about(server: &Arc<Server>) -> About {
    let server = server.clone();
    About::new(move || {
        let is_safe = server.state.read().safe_mode_details(now()).is_some();
        let entries = [("state", "active".into()), ("safemode", is_safe.into())];
        entries.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
    })
}

async fn failed(failure: &mut signal::Receiver<Option<String>>) -> String {
    match failure.wait_for(Option::is_some).await {
        Ok(reason) => reason.clone().unwrap_or_default(),
        // The journal ended without a failure, which only a stop makes it do.
        Err(_) => std::future::pending().await,
    }
}

/// Threads for sockets and timers.
pub(crate) fn runtime() -> Result<Runtime, Failure> {
    let cores = std::thread::available_parallelism().map_or(2, usize::from);
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(cores.clamp(2, WORKERS_MAX))
        .max_blocking_threads(BLOCKING_THREADS_MAX)
        .thread_stack_size(STACK_SIZE)
        .thread_name("worker")
        .enable_all()
        .build()
        .map_err(Failure::failed)
}

/// Keeps the compiler honest about what threads share.
const _: fn() = || {
    fn shared<T: Send + Sync>() {}
    shared::<Mutex<Running>>();
    shared::<Server>();
};
