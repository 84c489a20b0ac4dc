//! What a user types, and the exit code that answers.
//!
//! `howdah`'s own verbs are parsed by clap. Hadoop's verbs keep Hadoop's single-dash words:
//! the daemons through a small shim, `dfs`, `dfsadmin` and `getconf` by their own
//! parsers, since their words are not options but a language. Called as `hdfs`, the same verbs.

mod agent;
mod client;
mod daemons;
mod dfs;
mod dfsadmin;
mod envtoconf;
mod getconf;
mod kv;

use std::ffi::OsString;
use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use hdfs_edge::daemon::{Failure, LogFormat};

use crate::actuators::process;
use crate::dev;

/// Exit code for what the user can put right.
pub(crate) const EXIT_USER: i32 = 2;

/// HDFS on the HashiCorp stack: one agent per host, and the daemons it runs.
#[derive(Debug, Parser)]
#[command(name = "howdah", version, subcommand_required = true, arg_required_else_help = false)]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Run a whole cluster on this host: a namenode, datanodes and a folder as config store
    Dev(DevArguments),
    /// Run this host's agent: render, supervise, reload or restart on change
    Agent(agent::Common),
    /// Check the agent's configuration without connecting anywhere
    Validate(agent::Common),
    /// Render every unit's files from what the sources say now
    Render(agent::RenderArguments),
    /// Show what a render would change: exit code 0 nothing, 2 changes, 1 error
    Diff(agent::Common),
    /// Show how the agent and its units do
    Status(agent::Common),
    /// List the generations on this host
    Generations(agent::Common),
    /// Put an older generation back
    Rollback(agent::UnitArguments),
    /// Restart units, at once or one after another
    Restart(agent::RestartArguments),
    /// Take nothing new until `thaw`
    Freeze(agent::FreezeArguments),
    /// Take what is new again
    Thaw(agent::FreezeArguments),
    /// Show what happened on this host
    History(agent::HistoryArguments),
    /// Move a folder of configuration into Consul KV, and back
    #[command(subcommand)]
    Kv(kv::Verb),
    /// Run a namenode in the foreground, or format its folders
    Namenode(daemons::NamenodeArguments),
    /// Run a datanode in the foreground
    Datanode(daemons::DatanodeArguments),
    /// Run a secondary namenode in the foreground, or make one checkpoint
    #[command(name = "secondarynamenode")]
    Secondary(daemons::SecondaryArguments),
    /// Write configuration files from environment variables (FILE.EXT_key=value)
    Envtoconf(envtoconf::Arguments),
    /// Work with files, as `hdfs dfs` does (see `howdah dfs -help`)
    #[command(disable_help_flag = true)]
    Dfs(Words),
    /// Look after a cluster, as `hdfs dfsadmin` does (see `howdah dfsadmin -help`)
    #[command(disable_help_flag = true)]
    Dfsadmin(Words),
    /// Print values of the configuration, as `hdfs getconf` does
    #[command(disable_help_flag = true)]
    Getconf(Words),
    /// Print the version
    Version,
}

/// Everything behind a verb that parses its own words.
#[derive(Debug, Args)]
struct Words {
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, hide = true)]
    words: Vec<OsString>,
}

impl Words {
    /// Runs a verb on its words, which must be text.
    fn run(self, verb: impl FnOnce(Vec<String>) -> i32) -> i32 {
        let words: Result<Vec<String>, OsString> =
            self.words.into_iter().map(OsString::into_string).collect();
        match words {
            Ok(words) => verb(words),
            Err(word) => {
                eprintln!("howdah: {} is not UTF-8, as every path in HDFS is", word.display());
                EXIT_USER
            }
        }
    }
}

/// How log lines look.
#[derive(Debug, Clone, Copy, Default, ValueEnum)]
pub(crate) enum Log {
    /// For people
    #[default]
    Text,
    /// One JSON object a line
    Json,
}

impl From<Log> for LogFormat {
    fn from(log: Log) -> Self {
        match log {
            Log::Text => Self::Text,
            Log::Json => Self::Json,
        }
    }
}

#[derive(Debug, Args)]
struct DevArguments {
    /// Folder that holds the cluster: its config store, its data, its logs' context
    #[arg(long, value_name = "DIR", default_value = "howdah-data")]
    data: PathBuf,
    /// Datanodes to run [default: as many as DIR has data of, else 3]
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    datanodes: Option<usize>,
    /// Replicas of a file [default: 3, or fewer where datanodes are fewer]
    #[arg(long, value_name = "R", allow_negative_numbers = true)]
    replication: Option<usize>,
    /// Added to every port, so that several clusters fit one host
    #[arg(long, value_name = "K", default_value_t = 0, allow_negative_numbers = true)]
    port_offset: u16,
    /// Address everything listens on
    #[arg(long, value_name = "ADDR", default_value_t = IpAddr::V4(Ipv4Addr::LOCALHOST))]
    bind: IpAddr,
    /// How the daemons write their log lines
    #[arg(long, value_enum, default_value_t)]
    log: Log,
}

/// Runs what the command line asks for and returns the exit code.
///
/// Must be called on the main thread (see [`process::spawn`]).
pub fn main() -> i32 {
    let mut words: Vec<OsString> = std::env::args_os().collect();
    if words.get(1).is_some_and(|word| word == process::KEEP_VERB) {
        return process::keep(&words[2..]);
    }
    end_when_nobody_reads();
    daemons::undash(&mut words);
    match Cli::try_parse_from(&words) {
        Ok(cli) => run(cli.verb),
        Err(error) => complain(&error),
    }
}

/// What a shell calls the end by SIGPIPE: 128 and the signal's number.
const EXIT_NOBODY_READS: i32 = 141;

/// Ends a verb quietly whose reader has gone (`howdah diff | head -1`), as other tools end. The
/// standard library panics there; to let SIGPIPE through would end daemons that lose a peer.
fn end_when_nobody_reads() {
    let report = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        let payload = panic.payload();
        let text = payload.downcast_ref::<String>().map(String::as_str);
        if text.is_some_and(|text| text.starts_with("failed printing to") && is_broken(text)) {
            std::process::exit(EXIT_NOBODY_READS);
        }
        report(panic);
    }));
}

fn is_broken(text: &str) -> bool {
    text.contains(&std::io::Error::from_raw_os_error(nix::libc::EPIPE).to_string())
}

fn run(verb: Verb) -> i32 {
    match verb {
        Verb::Dev(arguments) => report(dev::run(&arguments.into())),
        Verb::Agent(common) => report(agent::agent(&common)),
        Verb::Validate(common) => agent::validate(&common),
        Verb::Render(arguments) => report(agent::render(&arguments)),
        Verb::Diff(common) => agent::diff(&common),
        Verb::Status(common) => report(agent::status(&common)),
        Verb::Generations(common) => report(agent::generations(&common)),
        Verb::Rollback(arguments) => report(agent::rollback(&arguments)),
        Verb::Restart(arguments) => report(agent::restart(&arguments)),
        Verb::Freeze(arguments) => report(agent::freeze(&arguments, true)),
        Verb::Thaw(arguments) => report(agent::freeze(&arguments, false)),
        Verb::History(arguments) => report(agent::history(&arguments)),
        Verb::Kv(verb) => kv::run(&verb),
        Verb::Namenode(arguments) => report(daemons::namenode(arguments)),
        Verb::Datanode(arguments) => report(daemons::datanode(&arguments)),
        Verb::Secondary(arguments) => report(daemons::secondary(&arguments)),
        Verb::Envtoconf(arguments) => report(envtoconf::run(&arguments)),
        Verb::Dfs(words) => words.run(dfs::run),
        Verb::Dfsadmin(words) => words.run(dfsadmin::run),
        Verb::Getconf(words) => words.run(getconf::run),
        Verb::Version => {
            println!("howdah {}", env!("CARGO_PKG_VERSION"));
            0
        }
    }
}

impl From<DevArguments> for dev::Options {
    fn from(arguments: DevArguments) -> Self {
        Self {
            data: arguments.data,
            datanodes: arguments.datanodes,
            replication: arguments.replication,
            port_offset: arguments.port_offset,
            bind: arguments.bind,
            log: arguments.log.into(),
        }
    }
}

/// One line for a failure; an empty message was told by somebody else already.
fn report(result: Result<(), Failure>) -> i32 {
    match result {
        Ok(()) => 0,
        Err(failure) => {
            if !failure.message.is_empty() {
                eprintln!("howdah: {}", failure.message);
            }
            failure.exit_code.into()
        }
    }
}

/// Help and version go out as they are; a mistake becomes one line.
fn complain(error: &clap::Error) -> i32 {
    use clap::error::ErrorKind::{DisplayHelp, DisplayVersion};
    if matches!(error.kind(), DisplayHelp | DisplayVersion) {
        let _ = error.print();
        return 0;
    }
    let text = error.render().to_string();
    let line = text.lines().next().unwrap_or("unknown mistake");
    let line = line.strip_prefix("error: ").unwrap_or(line);
    eprintln!("howdah: {line}; see howdah --help");
    EXIT_USER
}
