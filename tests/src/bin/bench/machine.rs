//! The machine a number belongs to.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

use crate::Options;

/// A name for this run's folder: seconds since 1970.
pub(crate) fn stamp() -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970");
    now.as_secs().to_string()
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

/// Prints and keeps machine, versions and flags.
pub(crate) fn describe(options: &Options, logs: &Path) {
    let cpu = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpu.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or("unknown");
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let memory = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let memory = memory.lines().next().unwrap_or_default().to_owned();
    let text = format!(
        "machine: {} ({cores} cores), {memory}\nkernel: {}\njava: {}\nhowdah: {}\n\
         profile: {}\noptions: {options:?}\nload before: {}\n",
        model.trim_start_matches([' ', '\t', ':']),
        first_line("uname", &["-sr"]),
        first_line("java", &["-version"]),
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
