//! The agent against consul-template: both render the same keys of the same Consul, in turns.
//!
//! A change is timed from before its PUT until the file with the new value is visible, and until
//! the child heard of it. Waiting is by inotify, so that the one who waits takes no time from who
//! works. Neither has a quiet period.

mod contender;
mod layout;

use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use nix::sys::signal::{SigSet, Signal};
use serde_json::json;
use tests::stack::{self, Consul, ConsulOptions};

use crate::{Row, machine, report};
use contender::{Contender, Running};
use layout::{Hears, Layout};

/// Consul's own limit of connections from one address.
const CONNECTIONS_DEFAULT: u32 = 200;

/// Enough for a connection per key.
const CONNECTIONS_RAISED: u32 = 5_000;

/// What to measure.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Options {
    /// Changes of one key.
    #[arg(long, default_value_t = 200)]
    changes: usize,
    /// Pause between changes, in milliseconds.
    #[arg(long, default_value_t = 25)]
    gap: u64,
    /// Seconds after which a file or signal counts as never coming.
    #[arg(long, default_value_t = 20)]
    give_up: u64,
    /// Only layouts with this word in their name.
    #[arg(long, default_value = "")]
    only: String,
}

impl Options {
    fn patience(&self) -> Duration {
        Duration::from_secs(self.give_up)
    }
}

/// What one contender did with one layout. Times in milliseconds; infinite is never.
#[derive(Debug, Default)]
struct Figures {
    start: f64,
    file: Vec<f64>,
    child: Vec<f64>,
    cpu: f64,
    resident: f64,
    share: f64,
    descriptors: f64,
    connections: f64,
}

/// Runs all layouts.
pub(crate) fn run(options: &Options) {
    let peer = match (stack::consul_template_program(), stack::consul_program()) {
        (Ok(peer), Ok(_)) => peer,
        (Err(reason), _) | (_, Err(reason)) => {
            eprintln!("bench: {reason}");
            std::process::exit(2);
        }
    };
    let logs = machine::logs();
    let peer = peer.display().to_string();
    machine::describe(options, &[(&peer, &["-version"])], &logs);
    println!("consul: {}", program(stack::consul_program()));
    let mut rows = Vec::new();
    for layout in layout::all(options.changes) {
        if layout.name.contains(&options.only) {
            let [peer, ours] = [Contender::ConsulTemplate, Contender::Howdah]
                .map(|who| measure(who, &layout, options, &logs));
            rows.extend(compare(&layout, &peer, &ours));
        }
    }
    report(&rows, &program(stack::consul_template_program()), &logs);
}

/// Writes all keys of a layout.
fn seed(consul: &Consul, layout: &Layout) {
    let keys: Vec<String> = (0..layout.keys()).map(|key| layout.key(key)).collect();
    for some in keys.chunks(100) {
        // "0" in base64, as a transaction wants it.
        let set = |key: &String| json!({"KV": {"Verb": "set", "Key": key, "Value": "MA=="}});
        let all: Vec<serde_json::Value> = some.iter().map(set).collect();
        consul.must("PUT", "/v1/txn", Some(&json!(all)));
    }
}

fn measure(who: Contender, layout: &Layout, options: &Options, logs: &Path) -> Figures {
    // A Consul of its own: one that is gone leaves its connections there for a minute.
    let connections_max = if layout.raised { CONNECTIONS_RAISED } else { CONNECTIONS_DEFAULT };
    let limits = ConsulOptions { connections_max, ..ConsulOptions::default() };
    let consul = &Consul::start_with(limits).expect("there is a program");
    seed(consul, layout);
    println!("{}, {}: load {}", layout.name, who.name(), machine::load());
    let folder = tempfile::tempdir().expect("a folder");
    let socket = folder.path().join("child.sock");
    let hears = UnixDatagram::bind(&socket).expect("a socket");
    hears.set_read_timeout(Some(options.patience())).expect("a timeout");
    let began = Instant::now();
    let mut running = who.start(layout, consul, &socket, logs);
    let mut figures = Figures { start: f64::INFINITY, ..Figures::default() };
    if running.all_right(layout, options.patience()) {
        figures.start = millis(began.elapsed());
        if layout.hears != Hears::Nothing {
            let _ = hears.recv(&mut [0; 16]);
        }
        change(&mut running, layout, consul, options, &hears, &mut figures);
    } else {
        running.must_run();
        figures.file.push(f64::INFINITY);
        figures.cpu = f64::INFINITY;
    }
    let (resident, share) = tests::process::memory(running.id());
    (figures.resident, figures.share) = (resident as f64 / 1e6, share as f64 / 1e6);
    figures.descriptors = tests::process::descriptors(running.id()) as f64;
    figures.connections = tests::process::connections(running.id(), &consul.address()) as f64;
    figures
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

/// Changes keys one after the other.
fn change(
    running: &mut Running,
    layout: &Layout,
    consul: &Consul,
    options: &Options,
    hears: &UnixDatagram,
    figures: &mut Figures,
) {
    let (sender, orders) = mpsc::channel::<(String, String)>();
    std::thread::scope(|scope| {
        // A file may be there before its PUT is answered.
        scope.spawn(move || orders.iter().for_each(|(key, value)| consul.put(&key, &value)));
        let before = tests::process::cpu(running.id());
        for change in 0..layout.changes {
            std::thread::sleep(Duration::from_millis(options.gap));
            let key = change * 7_919 % layout.keys();
            let value = format!("change-{change}.");
            running.drain();
            drain(hears);
            let began = Instant::now();
            let order = (layout.key(key), value.clone());
            sender.send(order).expect("the writer lives as long as the channel");
            let seen = running.until_holds(&layout.file_of(key), &value, options.patience());
            figures.file.push(if seen { millis(began.elapsed()) } else { f64::INFINITY });
            if layout.hears != Hears::Nothing {
                let heard = hears.recv(&mut [0; 16]).is_ok();
                figures.child.push(if heard { millis(began.elapsed()) } else { f64::INFINITY });
            }
        }
        // What is cleaned up after the last change belongs to it.
        std::thread::sleep(Duration::from_millis(options.gap.max(200)));
        let used = tests::process::cpu(running.id()).saturating_sub(before);
        figures.cpu = millis(used) / layout.changes as f64;
        drop(sender);
    });
}

fn drain(hears: &UnixDatagram) {
    hears.set_nonblocking(true).expect("a socket option");
    while hears.recv(&mut [0; 16]).is_ok() {}
    hears.set_nonblocking(false).expect("a socket option");
}

/// The value below which so many per cent of the times lie.
fn percentile(times: &[f64], percent: usize) -> f64 {
    let mut sorted = times.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted
        .get((sorted.len() * percent / 100).min(sorted.len().saturating_sub(1)))
        .copied()
        .unwrap_or(0.0)
}

fn compare(layout: &Layout, peer: &Figures, ours: &Figures) -> Vec<Row> {
    let row = |what: &str, unit, value: &dyn Fn(&Figures) -> f64| Row {
        what: format!("{}: {what}", layout.name),
        unit,
        peer: value(peer),
        ours: value(ours),
        bigger: false,
    };
    let mut rows = vec![row("start to all files right", "ms", &|f| f.start)];
    if peer.file.len() + ours.file.len() > 2 {
        rows.push(row("PUT to file, p50", "ms", &|f| percentile(&f.file, 50)));
        rows.push(row("PUT to file, p99", "ms", &|f| percentile(&f.file, 99)));
        rows.push(row("CPU per change", "ms", &|f| f.cpu));
    }
    if layout.hears != Hears::Nothing {
        let what = layout.hears.name();
        rows.push(row(&format!("PUT to {what}, p50"), "ms", &|f| percentile(&f.child, 50)));
        rows.push(row(&format!("PUT to {what}, p99"), "ms", &|f| percentile(&f.child, 99)));
    }
    rows.push(row("resident memory", "MB", &|f| f.resident));
    rows.push(row("share of memory (PSS)", "MB", &|f| f.share));
    rows.push(row("descriptors", "", &|f| f.descriptors));
    rows.push(row("connections to Consul", "", &|f| f.connections));
    rows
}

/// The program that contenders run: tells the socket that it started, and of every SIGHUP.
pub(crate) fn child(socket: &Path) {
    let mut signals = SigSet::empty();
    signals.add(Signal::SIGHUP);
    signals.thread_block().expect("signals can be blocked");
    let out = UnixDatagram::unbound().expect("a socket");
    out.connect(socket).expect("the benchmark listens");
    let _ = out.send(b"start");
    while signals.wait().is_ok() {
        let _ = out.send(b"hup");
    }
}

/// A program's name, which holds its version.
fn program(path: Result<std::path::PathBuf, String>) -> String {
    let path = path.unwrap_or_default();
    path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}
