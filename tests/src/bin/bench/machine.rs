//! The machine a number belongs to.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

/// A name for this run's things: seconds since 1970.
pub(crate) fn stamp() -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970");
    now.as_secs().to_string()
}

/// A folder for this run's raw output.
pub(crate) fn logs() -> PathBuf {
    let logs = tests::binary::target_dir().join("bench").join(stamp());
    fs::create_dir_all(&logs).expect("the target folder is writable");
    logs
}

/// The load averages.
pub(crate) fn load() -> String {
    fs::read_to_string("/proc/loadavg").unwrap_or_default().trim().to_owned()
}

fn first_line(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output();
    let Ok(output) = output else { return format!("{program}: not there") };
    let text = [output.stdout, output.stderr].concat();
    String::from_utf8_lossy(&text).lines().next().unwrap_or_default().to_owned()
}

/// Prints and keeps machine, versions and flags. Peers tell their version when asked so.
pub(crate) fn describe(options: &impl std::fmt::Debug, peers: &[(&str, &[&str])], logs: &Path) {
    let told = |(program, arguments): &(&str, &[&str])| {
        let name = Path::new(program).file_name().unwrap_or_default().to_string_lossy();
        format!("{name}: {}\n", first_line(program, arguments))
    };
    let peers: String = peers.iter().map(told).collect();
    let cpu = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpu.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or("unknown");
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let memory = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let memory = memory.lines().next().unwrap_or_default().to_owned();
    let text = format!(
        "machine: {} ({cores} cores), {memory}\nkernel: {}\n{peers}howdah: {}\n\
         profile: {}\noptions: {options:?}\nload before: {}\n",
        model.trim_start_matches([' ', '\t', ':']),
        first_line("uname", &["-sr"]),
        first_line("git", &["describe", "--always", "--dirty"]),
        if cfg!(debug_assertions) {
            "debug (numbers of this build mean little)"
        } else {
            "release"
        },
        load(),
    );
    print!("{text}");
    fs::write(logs.join("machine.txt"), text).expect("the log folder is writable");
}
