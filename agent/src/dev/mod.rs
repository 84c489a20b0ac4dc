//! `howdah dev`: a whole cluster on one host, with a folder as its config store.
//!
//! `plan` says which units there are and what they are told by default; `folder` looks at what is
//! on the disk already; `config` turns the store and the environment into files; `driver` is the
//! loop that feeds the core and performs its actions. Before anything is written everything that
//! can be known to fail has been tried.

mod config;
mod driver;
mod folder;
mod plan;

use std::ffi::OsString;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use crate::actuators::process::{self, Program};
use crate::actuators::{lock, ports};
use crate::core::{Exit, Outcome};
use crate::sources::environment;
use crate::sources::files::FileStore;

pub use plan::{LogFormat, Options};

use config::Wanted;
use plan::Plan;

/// Exit code for what the user can put right.
const EXIT_USER: i32 = 2;

/// Exit code for what went wrong on its own.
const EXIT_FAILED: i32 = 1;

/// Why the cluster did not run, and the exit code that says so.
struct Stop {
    message: String,
    code: i32,
}

impl Stop {
    fn user(message: impl std::fmt::Display) -> Self {
        Self { message: message.to_string(), code: EXIT_USER }
    }

    fn failed(message: impl std::fmt::Display) -> Self {
        Self { message: message.to_string(), code: EXIT_FAILED }
    }
}

/// Runs the cluster until it is stopped, and returns the process's exit code.
///
/// Must be called on the main thread: the children live as long as the thread that makes them.
pub fn run(options: &Options) -> i32 {
    match start(options) {
        Ok(code) => code,
        Err(stop) => {
            if !stop.message.is_empty() {
                eprintln!("howdah: {}", stop.message);
            }
            stop.code
        }
    }
}

fn start(options: &Options) -> Result<i32, Stop> {
    let found = folder::examine(&options.data).map_err(Stop::user)?;
    lock::check(&options.data.join(plan::LOCK)).map_err(Stop::user)?;
    let plan = Plan::new(options, &found).map_err(Stop::user)?;
    let store = FileStore::new(plan.root.join("kv"));
    let environment = environment::parse(environment::variables());
    let snapshot = store.read().map_err(Stop::user)?;
    let wanted = config::compute(&plan, &snapshot, &environment).map_err(Stop::user)?;
    let needed: Vec<_> = wanted.iter().flat_map(|wanted| wanted.ports.clone()).collect();
    ports::check(&needed).map_err(|error| {
        Stop::user(format!("{error}; stop what uses it, or pass another --port-offset"))
    })?;
    let launcher = std::env::current_exe().map_err(Stop::failed)?;

    folder::create(&plan.root).map_err(Stop::user)?;
    let _lock = lock::acquire(&plan.root.join(plan::LOCK)).map_err(Stop::user)?;
    for (unit, wanted) in plan.units.iter().zip(&wanted) {
        unit.generations.commit(&wanted.files).map_err(Stop::user)?;
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(Stop::failed)?;
    let outcome = runtime.block_on(async {
        if found.namenode.is_none() {
            format(&plan, &launcher).await?;
        }
        let driver = driver::Driver::new(&plan, store, environment, launcher)
            .map_err(|error| Stop::failed(format!("cannot watch signals: {error}")))?;
        Ok(driver.run(wanted).await)
    })?;
    Ok(exit_code(&plan, outcome))
}

/// Makes the namenode's folder, by a child, so that its memory is gone afterwards.
async fn format(plan: &Plan, launcher: &PathBuf) -> Result<(), Stop> {
    let unit = plan.namenode();
    let mut arguments = unit.arguments(plan.log);
    arguments.push(OsString::from("--format"));
    let program = Program { path: launcher.clone(), arguments };
    let child = process::spawn(launcher, &program, &unit.name)
        .map_err(|error| Stop::failed(format!("cannot start the namenode's format: {error}")))?;
    match child.wait().await {
        Exit::Code(0) => Ok(()),
        // The child has said why.
        Exit::Code(code) => Err(Stop { message: String::new(), code }),
        Exit::Signal(signal) => {
            Err(Stop::failed(format!("the namenode's format was ended by signal {signal}")))
        }
    }
}

fn exit_code(plan: &Plan, outcome: Outcome) -> i32 {
    match outcome {
        Outcome::Stopped => 0,
        // The unit has said why, in a line of its own.
        Outcome::Refused(_) => EXIT_USER,
        Outcome::GaveUp(unit) => {
            let name = &plan.units[unit].name;
            eprintln!("howdah: {name} does not come up; see its messages above");
            EXIT_FAILED
        }
    }
}

/// What is printed once every daemon can do its work.
fn announce(plan: &Plan, wanted: &[Wanted]) {
    let client = &wanted[plan.client()];
    let web = wanted[plan.namenode_id()].http.as_deref().unwrap_or_default();
    let conf = shorten(plan.units[plan.client()].generations.link());
    let mut text = format!("ready: {} http://{web}\n", client.default_fs);
    text.push_str(&format!(
        "  try:   HADOOP_CONF_DIR={conf} howdah dfs -put README.md /\n\
         \x20 try:   HADOOP_CONF_DIR={conf} howdah dfsadmin -report\n\
         \x20 any Hadoop client works with that folder as its HADOOP_CONF_DIR\n\
         \x20 config: one file a key below {}/conf/hdfs/ (try: echo 2 > .../hdfs-site.xml/dfs.replication)\n\
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
