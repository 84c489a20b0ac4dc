//! The named benchmark: howdah against Java's Hadoop on the same machine in the same run.
//!
//! `cargo bench-hdfs [-- --quick]`. It prints what ran where, every ratio (Java / howdah, so bigger
//! is better for us; below 1 we lose), and keeps the raw output under `target/bench`. It judges
//! nothing.

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
}

/// One line of the result.
#[derive(Debug, Clone)]
pub(crate) struct Row {
    pub(crate) what: String,
    pub(crate) unit: &'static str,
    pub(crate) java: f64,
    pub(crate) ours: f64,
    /// Whether a bigger number is the better one.
    pub(crate) bigger: bool,
}

impl Row {
    /// How many times better we are.
    fn ratio(&self) -> f64 {
        if self.bigger { self.ours / self.java } else { self.java / self.ours }
    }
}

fn main() {
    let mut options = Options::parse();
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
    let logs = tests::binary::target_dir().join("bench").join(machine::stamp());
    std::fs::create_dir_all(&logs).expect("the target folder is writable");
    machine::describe(&options, &logs);
    let mut rows = Vec::new();
    if !options.no_namenode {
        rows.extend(namenode::measure(hadoop, &options, &logs));
    }
    if !options.no_data {
        rows.extend(data::measure(hadoop, &options, &logs));
    }
    report(&rows, &logs);
}

fn report(rows: &[Row], logs: &Path) {
    println!("\n| what | Java {} | howdah | better by |", tests::hadoop::VERSION);
    println!("|---|---:|---:|---:|");
    for row in rows {
        let (java, ours, unit) = (row.java, row.ours, row.unit);
        println!("| {} | {java:.1} {unit} | {ours:.1} {unit} | {:.2}x |", row.what, row.ratio());
    }
    let lost: Vec<&Row> = rows.iter().filter(|row| row.ratio() < 1.0).collect();
    if lost.is_empty() {
        println!("\nNothing above is slower or bigger than Java's.");
    }
    for row in lost {
        println!("\nWe lose: {} ({:.2}x).", row.what, row.ratio());
    }
    println!("\nLoad after: {}", machine::load());
    println!("Raw output: {}", logs.display());
}
