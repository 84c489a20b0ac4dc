//! The secondary namenode: it makes images of a namenode's image and the transactions after it, so
//! that the namenode's log stays short and its starts quick.
//!
//! Nothing of the namespace stays in memory between two checkpoints; what a checkpoint needs is
//! fetched, or found in the own folders and compared with what the namenode offers. So an end at
//! any moment (`kill -9`) costs the checkpoint under way and nothing else.
//!
//! Two kinds of failure are told apart by their exit codes: a mistake of the user
//! ([`Failure::user`], another cluster's folder) ends the daemon, and anything else is tried again.

mod checkpoint;
mod link;
mod settings;
mod web;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use hdfs_edge::config::Config;
use hdfs_edge::daemon::{self, Failure, LogFormat};
use hdfs_edge::http::{self, Health, Pages};
use hdfs_edge::keys::{self, Daemon};
use hdfs_edge::live::Live;
use hdfs_edge::metrics::Registry;
use hdfs_edge::net;
use tokio::sync::oneshot;

use self::checkpoint::Secondary;
use self::link::Link;
use self::settings::Settings;
use crate::process::{GRACE, runtime};

/// What to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Make checkpoints when they are due, until told to stop.
    Serve,
    /// Make one checkpoint if the namenode has logged enough, or in any case, and end.
    Checkpoint {
        /// Even when there are few transactions.
        force: bool,
    },
    /// Print how many transactions are in no image, and end.
    EditLogSize,
}

/// How a secondary namenode is started.
#[derive(Debug, Clone)]
pub struct Options {
    /// The folder with `core-site.xml` and `hdfs-site.xml`.
    pub conf: PathBuf,
    /// What to do.
    pub action: Action,
    /// Empty the own folders before.
    pub format: bool,
    /// How log lines look.
    pub log: LogFormat,
}

/// Pause after a first failure; it doubles up to the time between two looks.
const BACKOFF_MIN: Duration = Duration::from_secs(1);

/// Stack of the thread that replays and saves: that of a process's main thread, where a namenode
/// does it.
const STACK_SIZE: usize = 8 << 20;

/// Runs a secondary namenode to its end, in the foreground.
///
/// # Errors
/// One line for the user, with the process's exit code.
pub fn run(options: Options) -> Result<(), Failure> {
    daemon::init_logging(options.log);
    daemon::abort_on_panic();
    let config = Config::load(&options.conf)?;
    daemon::log_as_configured(&config);
    let settings = Settings::new(&config)?;
    let Options { action, format, .. } = options;
    match action {
        Action::Serve => serve(config, settings, format),
        Action::EditLogSize => {
            let size = runtime()?.block_on(edit_log_size(&Link::new(&settings)))?;
            tell(&format!("NameNode has {size} uncheckpointed transactions"));
            Ok(())
        }
        Action::Checkpoint { force } => {
            let live = Live::new(Daemon::Secondary, config);
            let mut secondary = Secondary::open(live, settings, format)?;
            runtime()?.block_on(once(&mut secondary, force))
        }
    }
}

/// A line for whoever reads standard output; nobody may.
fn tell(line: &str) {
    use std::io::Write as _;
    let _ = writeln!(std::io::stdout(), "{line}");
}

/// Transactions of the namenode that are in no image.
async fn edit_log_size(link: &Link) -> Result<u64, Failure> {
    Ok(link.transaction_id().await?.saturating_sub(link.newest_image().await?))
}

async fn once(secondary: &mut Secondary, force: bool) -> Result<(), Failure> {
    let size = edit_log_size(&secondary.link).await?;
    let enough = secondary.settings.transactions;
    if force || size > enough {
        return secondary.checkpoint().await.map(drop);
    }
    tell(&format!(
        "EditLog size {size} transactions is smaller than configured checkpoint interval {enough} \
         transactions.\nSkipping checkpoint."
    ));
    Ok(())
}

fn serve(config: Config, settings: Settings, format: bool) -> Result<(), Failure> {
    let key = keys::DFS_NAMENODE_SECONDARY_HTTP_ADDRESS.name;
    let socket = net::listen(&settings.web.0, settings.web.1, key)?;
    let address = socket.local_addr().map_err(Failure::failed)?;
    let live = Live::new(Daemon::Secondary, config);
    let mut secondary = Secondary::open(live.clone(), settings, format)?;
    let health = Health::default();
    health.set_waiting(format!("waiting for the namenode {}", secondary.link.address()));
    let registry = Registry::default();
    let shown = Arc::new(web::Shown::new(&secondary));
    web::register(&registry, &shown);
    let pages = Pages { config: live, health: health.clone(), registry, about: web::about(&shown) };
    let router = http::common_pages(pages).merge(web::pages(shown));
    let runtime = runtime()?;
    let (_serving, stopped) = oneshot::channel::<()>();
    runtime.spawn(async move {
        let until = async { drop(stopped.await) };
        if let Err(error) = http::serve(socket, router, http::Bounds::default(), until).await {
            tracing::error!(%error, "the web server ended");
        }
    });
    let namenode = secondary.link.address();
    tracing::info!(http = %address, namenode, "secondary namenode is up");
    let (give_up, given_up) = oneshot::channel();
    let (handle, working) = (runtime.handle().clone(), health.clone());
    std::thread::Builder::new()
        .name("checkpoint".to_owned())
        .stack_size(STACK_SIZE)
        .spawn(move || give_up.send(handle.block_on(work(&mut secondary, &working))))
        .map_err(Failure::failed)?;
    let outcome = runtime.block_on(async {
        tokio::select! {
            name = daemon::shutdown_signal() => {
                tracing::info!(signal = name.map_err(Failure::failed)?, "stopping");
                Ok(())
            }
            failure = given_up => Err(failure.unwrap_or_else(Failure::failed)),
        }
    });
    // A checkpoint under way needs no end: what it leaves is never taken for an image.
    health.set_waiting("stopping");
    runtime.shutdown_timeout(GRACE);
    outcome
}

/// Looks and makes checkpoints until there is a mistake that only the user can put right.
async fn work(secondary: &mut Secondary, health: &Health) -> Failure {
    let mut due = Due::default();
    let pause = secondary.settings.check_period.min(secondary.settings.period);
    let mut backoff = BACKOFF_MIN.min(pause);
    loop {
        let pause = match look(secondary, health, &mut due).await {
            Ok(()) => {
                backoff = BACKOFF_MIN.min(pause);
                pause
            }
            Err(failure) if failure.exit_code == daemon::EXIT_USER => return failure,
            Err(failure) => {
                tracing::warn!(seconds = backoff.as_secs(), "tried again soon: {failure}");
                let now = backoff;
                backoff = (backoff * 2).min(pause);
                now
            }
        };
        tokio::time::sleep(pause).await;
    }
}

/// When the next checkpoint is due.
#[derive(Default)]
struct Due {
    /// Transaction of the namenode's newest image.
    image: u64,
    /// Since when it is the newest, as far as known here. The first checkpoint is made at once, as
    /// Hadoop does.
    since: Option<Instant>,
}

/// One look at the namenode, and a checkpoint when it is due. An image that somebody else made (an
/// operator, another secondary) counts as ours.
async fn look(secondary: &mut Secondary, health: &Health, due: &mut Due) -> Result<(), Failure> {
    let meet = secondary.meet().await;
    meet.inspect_err(|failure| health.set_waiting(failure.to_string()))?;
    health.set_ready();
    let last = secondary.link.transaction_id().await?;
    let image = secondary.link.newest_image().await?;
    if image != due.image && due.since.is_some() {
        due.since = Some(Instant::now());
    }
    due.image = image;
    let settings = &secondary.settings;
    let is_late = due.since.is_none_or(|since| since.elapsed() >= settings.period);
    if !is_late && last.saturating_sub(image) < settings.transactions {
        return Ok(());
    }
    due.image = secondary.checkpoint().await?;
    due.since = Some(Instant::now());
    Ok(())
}
