//! `howdah dev`: a whole cluster on one host, with a folder as its config store.
//!
//! `plan` says which units there are and what they are told by default; `folder` looks at what is
//! on the disk already; `config` turns the store and the environment into files; the rest is the
//! agent's own loop. Before anything is written everything that can be known to fail was tried.

mod config;
mod folder;
mod plan;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use hdfs_edge::daemon::{self, Failure};
use tokio::sync::Notify;

use crate::actuators::{lock, ports, process};
use crate::config::Reload;
use crate::core::{EXIT_USAGE, Exit, Outcome};
use crate::driver::{Driver, Unit, Wanted, Wants};
use crate::sources::environment::{self, EnvironmentFile};
use crate::sources::files::{FileStore, Watch};

pub use plan::Options;

use config::Computed;
use folder::FormatMark;
use plan::Plan;

/// Runs the cluster until it is stopped.
///
/// Must be called on the main thread: the children live as long as the thread that makes them.
///
/// # Errors
/// The cluster could not be started, or a daemon never came up. The message is empty when a
/// daemon has already said what is wrong.
pub fn run(options: &Options) -> Result<(), Failure> {
    daemon::init_logging(options.log);
    let found = folder::examine(&options.data).map_err(Failure::user)?;
    lock::check(&options.data.join(plan::LOCK)).map_err(Failure::user)?;
    let plan = Plan::new(options, &found).map_err(Failure::user)?;
    let mut cluster = Cluster {
        store: FileStore::new(plan.root.join("kv")),
        environment: environment::parse(environment::variables()),
        plan: &plan,
    };
    let computed = cluster.compute().map_err(Failure::user)?;
    let names = &computed[plan::NAMENODE].names;
    let formatted = folder::is_formatted(names, &found).map_err(Failure::user)?;
    let needed: Vec<_> = computed.iter().flat_map(|unit| unit.ports.clone()).collect();
    ports::check(&needed).map_err(|error| Failure::user(format!("{error}; {}", error.remedy())))?;
    let launcher = std::env::current_exe().map_err(Failure::failed)?;
    let mut units = plan.units(&launcher);
    for (unit, computed) in units.iter_mut().zip(&computed) {
        // Where its web page is now. Once that was moved, a reload fails and becomes a restart.
        if let (Some(program), Some(address)) = (&mut unit.program, &computed.wanted.health) {
            program.reload = Some(Reload::Http(address.clone()));
        }
    }

    folder::create(&plan.root).map_err(Failure::user)?;
    let _lock = lock::acquire(&plan.root.join(plan::LOCK)).map_err(Failure::user)?;
    for (unit, computed) in units.iter().zip(&computed) {
        unit.generations.commit(&computed.wanted.files).map_err(Failure::user)?;
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(Failure::failed)?;
    let outcome = runtime.block_on(async {
        format(&plan.root, names, formatted, &units[plan::NAMENODE], &launcher).await?;
        let changed = Arc::new(Notify::new());
        let _watch = cluster.watch(&changed);
        let wanted = cluster.read().map_err(Failure::user)?;
        let driver = Driver::new(units.clone(), cluster, changed, launcher)
            .map_err(|error| Failure::failed(format!("cannot watch signals: {error}")))?;
        Ok::<_, Failure>(driver.run(wanted).await.0)
    })?;
    judge(&units, outcome)
}

/// The source of the cluster's wanted state.
struct Cluster<'a> {
    plan: &'a Plan,
    store: FileStore,
    environment: BTreeMap<String, EnvironmentFile>,
}

impl Cluster<'_> {
    fn compute(&self) -> Result<Vec<Computed>, String> {
        let snapshot = self.store.read().map_err(|error| error.to_string())?;
        config::compute(self.plan, &snapshot, &self.environment)
    }

    /// Watches the store; without a watch the driver's rescan still sees every change.
    fn watch(&self, changed: &Arc<Notify>) -> Option<Watch> {
        let notified = changed.clone();
        let watch = self.store.watch(move || notified.notify_one());
        watch.inspect_err(|error| tracing::warn!("edits count late: {error}")).ok()
    }
}

impl Wants for Cluster<'_> {
    fn read(&mut self) -> Result<Vec<Wanted>, String> {
        Ok(self.compute()?.into_iter().map(|unit| unit.wanted).collect())
    }

    fn ready(&mut self, wanted: &[Wanted]) {
        let fs = self.compute().ok().and_then(|units| Some(units.last()?.default_fs.clone()));
        let web = wanted.first().and_then(|namenode| namenode.health.clone());
        announce(self.plan, &fs.unwrap_or_default(), &web.unwrap_or_default());
    }
}

/// Makes the namenode's folders on the first start.
async fn format(
    root: &Path,
    names: &[PathBuf],
    formatted: bool,
    namenode: &Unit,
    launcher: &Path,
) -> Result<(), Failure> {
    let mark = FormatMark::new(root, names);
    let unfinished = mark.stands(names);
    if formatted && !unfinished {
        return Ok(());
    }
    if !unfinished {
        mark.set(names).map_err(Failure::user)?;
    }
    let result = run_format(namenode, launcher, unfinished).await;
    // A format that ended by itself is finished, one way or the other.
    mark.clear().map_err(Failure::user)?;
    result
}

/// By a child, so that its memory is gone afterwards. `again` replaces what is there.
async fn run_format(namenode: &Unit, launcher: &Path, again: bool) -> Result<(), Failure> {
    let mut program = namenode.program.clone().expect("the namenode is a unit with a program");
    program.arguments.push(OsString::from("--format"));
    if again {
        program.arguments.push(OsString::from("--force"));
    }
    let child = process::spawn(launcher, &program, &namenode.name)
        .map_err(|error| Failure::failed(format!("cannot start the namenode's format: {error}")))?;
    match child.wait().await {
        Exit::Code(0) => Ok(()),
        // The child has said why.
        Exit::Code(code) if code == EXIT_USAGE => Err(Failure::user("")),
        Exit::Code(_) => Err(Failure::failed("")),
        Exit::Signal(signal) => {
            Err(Failure::failed(format!("the namenode's format was ended by signal {signal}")))
        }
    }
}

fn judge(units: &[Unit], outcome: Outcome) -> Result<(), Failure> {
    match outcome {
        Outcome::Stopped => Ok(()),
        // The unit has said why, in a line of its own.
        Outcome::Refused(_) => Err(Failure::user("")),
        Outcome::GaveUp(unit) => {
            let name = &units[unit].name;
            Err(Failure::failed(format!("{name} does not come up; see its messages above")))
        }
    }
}

/// What is printed once every daemon can do its work.
fn announce(plan: &Plan, default_fs: &str, web: &str) {
    let conf = shorten(&plan.client_conf());
    let mut text = format!("ready: {default_fs} http://{web}\n");
    text.push_str(&format!(
        "  try:   HADOOP_CONF_DIR={conf} howdah dfs -put README.md /\n\
         \x20 try:   HADOOP_CONF_DIR={conf} howdah dfsadmin -report\n\
         \x20 any Hadoop client works with that folder as its HADOOP_CONF_DIR\n\
         \x20 config: one file a key below {}/conf/hdfs/, say hdfs-site.xml/dfs.replication\n\
         \x20 stop:  Ctrl-C\n",
        shorten(&plan.root.join("kv"))
    ));
    let mut out = std::io::stdout().lock();
    // Nobody may be reading; the cluster is up all the same.
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

/// A path as short as it can be typed from here.
fn shorten(path: &Path) -> String {
    let here = std::env::current_dir().ok();
    let short = here.and_then(|here| path.strip_prefix(here).ok());
    short.unwrap_or(path).display().to_string()
}
