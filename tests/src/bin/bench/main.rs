//! The named benchmarks: howdah against Java's Hadoop, and its agent against consul-template, on
//! the same machine in the same run.
//!
//! `cargo bench-hdfs [--quick]`, `cargo bench-hdfs agent`. They print what ran where, every ratio
//! (peer / howdah, so bigger is better for us; below 1 we lose), and keep the raw output under
//! `target/bench`. They judge nothing.

mod agent;
mod data;
mod machine;
mod namenode;
mod peers;

use std::path::Path;

use clap::Parser;

/// What to measure.
#[derive(Debug, Clone, Parser)]
#[command(about = "howdah against Java's Hadoop on this machine")]
pub(crate) struct Options {
    /// Threads of NNThroughputBenchmark.
    #[arg(long, default_value_t = 32)]
    threads: u32,
    /// Operations of each kind.
    #[arg(long, default_value_t = 40_000)]
    operations: u32,
    /// Size of the file that is put and got, in MiB.
    #[arg(long, default_value_t = 1024)]
    size: u64,
    /// A tenth of everything.
    #[arg(long)]
    quick: bool,
    /// Leave the namenode operations out.
    #[arg(long)]
    no_namenode: bool,
    /// Leave put and get out.
    #[arg(long)]
    no_data: bool,
    /// Keep the server on one core and Java's client on another. The client is the limit then: the
    /// tool tells less about the servers' speed, and more about their CPU time.
    #[arg(long)]
    pin: bool,
    /// Another benchmark in the place of all this.
    #[command(subcommand)]
    other: Option<Other>,
}

/// The benchmarks beside the one of HDFS.
#[derive(Debug, Clone, clap::Subcommand)]
enum Other {
    /// The agent against consul-template on one Consul.
    Agent(agent::Options),
    /// The program that the agents of the benchmark run.
    #[command(hide = true)]
    Child {
        /// The socket that hears of starts and signals.
        socket: std::path::PathBuf,
    },
}

/// One line of the result.
#[derive(Debug, Clone)]
pub(crate) struct Row {
    pub(crate) what: String,
    pub(crate) unit: &'static str,
    pub(crate) peer: f64,
    pub(crate) ours: f64,
    /// Whether a bigger number is the better one.
    pub(crate) bigger: bool,
}

impl Row {
    /// How many times better we are.
    fn ratio(&self) -> f64 {
        if self.bigger { self.ours / self.peer } else { self.peer / self.ours }
    }
}

fn main() {
    let mut options = Options::parse();
    match options.other.take() {
        Some(Other::Child { socket }) => return agent::child(&socket),
        Some(Other::Agent(own)) => return agent::run(&own),
        None => {}
    }
    if options.quick {
        options.operations /= 10;
        options.size /= 10;
    }
    let hadoop = match tests::hadoop::get() {
        Ok(hadoop) => hadoop,
        Err(reason) => {
            eprintln!("bench: {reason}");
            std::process::exit(2);
        }
    };
    let logs = machine::logs();
    machine::describe(&options, &[("java", &["-version"])], &logs);
    let mut rows = Vec::new();
    if !options.no_namenode {
        rows.extend(namenode::measure(hadoop, &options, &logs));
    }
    if !options.no_data {
        rows.extend(data::measure(hadoop, &options, &logs));
    }
    report(&rows, &format!("Java {}", tests::hadoop::VERSION), &logs);
}

/// A number; what never came is infinite.
fn number(value: f64) -> String {
    if value.is_infinite() { "never".to_owned() } else { format!("{value:.1}") }
}

/// Prints the rows, and what is lost.
pub(crate) fn report(rows: &[Row], peer: &str, logs: &Path) {
    println!("\n| what | {peer} | howdah | better by |");
    println!("|---|---:|---:|---:|");
    for row in rows {
        let (peer, ours, unit) = (number(row.peer), number(row.ours), row.unit);
        println!("| {} | {peer} {unit} | {ours} {unit} | {:.2}x |", row.what, row.ratio());
    }
    let lost: Vec<&Row> = rows.iter().filter(|row| row.ratio() < 1.0).collect();
    if lost.is_empty() {
        println!("\nNothing above is slower or bigger than {peer}'s.");
    }
    for row in lost {
        println!("\nWe lose: {} ({:.2}x).", row.what, row.ratio());
    }
    println!("\nLoad after: {}", machine::load());
    println!("Raw output: {}", logs.display());
}
