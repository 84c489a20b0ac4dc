//! Child processes: their own process group, dead when the agent is dead, their output tagged.
//!
//! A program that may start others gets a [`keeper`]. What processes leave behind all the same
//! falls to the agent, a subreaper, and [`orphans`] ends it.

mod keeper;
mod once;
mod orphans;

use std::ffi::OsString;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use tokio::io::{AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, BufReader};
use tokio::process::{Child, Command};
use tokio::task::JoinHandle;

use hdfs_edge::child::tie;

use crate::config::{Reload, expand};
use crate::core::Exit;
use crate::sources::environment;
pub use keeper::{KEEP_VERB, keep};
pub use once::run_once;
use orphans::Known;
pub use orphans::{adopt_orphans, end_orphans};

/// Longest piece of a child's output written at once; a longer line is cut into such pieces.
const LINE_BYTES_MAX: u64 = 16 * 1024;

/// A program to run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Program {
    /// Its path, or its name to look up.
    pub path: PathBuf,
    /// Its arguments.
    pub arguments: Vec<OsString>,
    /// Environment variables added to the agent's own.
    pub env: Vec<(String, String)>,
    /// Who it runs as, if not the agent's user: user id, group id.
    pub user: Option<(u32, u32)>,
    /// How it is asked to stop.
    pub stop: Signal,
    /// How it is told to read its files again; without a way it is restarted instead.
    pub reload: Option<Reload>,
}

impl Default for Program {
    fn default() -> Self {
        Self {
            path: PathBuf::new(),
            arguments: Vec::new(),
            env: Vec::new(),
            user: None,
            stop: Signal::SIGTERM,
            reload: None,
        }
    }
}

/// A child that was started. It is reaped by [`Process::wait`].
#[derive(Debug)]
pub struct Process {
    child: Child,
    group: Pid,
    output: Vec<JoinHandle<()>>,
    _known: Known,
}

/// What is needed to signal a child while something else waits for it. Signals after the child
/// was reaped go nowhere: the owner forgets the handle when it learns of the exit.
#[derive(Debug, Clone, Copy)]
pub struct Group(Pid);

impl Group {
    /// Sends the process a signal; a keeper passes it on to the program.
    pub fn signal(self, signal: Signal) {
        let _ = nix::sys::signal::kill(self.0, signal);
    }

    /// Kills the process and everything in its group.
    pub fn kill(self) {
        let _ = killpg(self.0, Signal::SIGKILL);
    }

    /// The process id of the child: the program's own, or its keeper's.
    pub fn id(self) -> i32 {
        self.0.as_raw()
    }
}

/// The program's process id, where `child` is its keeper and has started it; else `child`.
pub fn program_of(child: i32) -> i32 {
    match keeper::is_keeper(child) {
        true => orphans::children_of(child).first().copied().unwrap_or(child),
        false => child,
    }
}

/// Starts a program as a child that lives no longer than this process.
///
/// `launcher` is the path of the howdah program; `tag` goes in front of every line of output. Our
/// own daemons, which start nothing themselves, are direct children; any other program gets a
/// keeper.
///
/// # Errors
/// The program or the launcher is not there, or the system has no room for another process.
pub fn spawn(launcher: &Path, program: &Program, tag: &str) -> io::Result<Process> {
    let mut command = command(launcher, program);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let (mut child, known) = Known::spawn(&mut command)?;
    let group = known.id();
    let mut output = Vec::new();
    if let Some(stdout) = child.stdout.take() {
        output.push(tokio::spawn(forward(stdout, tag.to_owned())));
    }
    if let Some(stderr) = child.stderr.take() {
        output.push(tokio::spawn(forward(stderr, tag.to_owned())));
    }
    Ok(Process { child, group, output, _known: known })
}

/// The program, or its keeper, as the unit's user and in a group of its own.
fn command(launcher: &Path, program: &Program) -> Command {
    let (mut command, last) = match is_ours(launcher, &program.path) {
        true => (Command::new(&program.path), Signal::SIGKILL),
        false => {
            let mut command = Command::new(launcher);
            command.arg(KEEP_VERB).arg(&program.path);
            (command, keeper::LAST_SIGNAL)
        }
    };
    tie(command.as_std_mut(), last);
    command.args(&program.arguments).process_group(0);
    without_tokens(&mut command, &program.env);
    if let Some((user, group)) = program.user {
        command.gid(group).uid(user);
    }
    command
}

/// Whether a program is this one.
fn is_ours(launcher: &Path, program: &Path) -> bool {
    let same = |found: &Path| match (found.canonicalize(), launcher.canonicalize()) {
        (Ok(found), Ok(launcher)) => found == launcher,
        _ => false,
    };
    if program.components().count() > 1 {
        return same(program);
    }
    let folders = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&folders).map(|folder| folder.join(program));
    found.into_iter().find(|path| path.is_file()).is_some_and(|path| same(&path))
}

/// The unit's variables; the agent's own credentials only when it names them.
fn without_tokens(command: &mut Command, env: &[(String, String)]) {
    for name in environment::TOKENS {
        command.env_remove(name);
    }
    command.envs(env.iter().map(|(name, value)| (name, value)));
}

impl Process {
    /// A handle for signals.
    pub fn group(&self) -> Group {
        Group(self.group)
    }

    /// Waits for the end of the process, then until its last output is written, and kills what
    /// it left behind in its group.
    pub async fn wait(mut self) -> Exit {
        let status = self.child.wait().await;
        let _ = killpg(self.group, Signal::SIGKILL);
        end_orphans();
        for task in self.output {
            let _ = task.await;
        }
        match status {
            Ok(status) => exit_of(status),
            Err(_) => Exit::Code(-1),
        }
    }
}

/// Runs a command on staged files (`${staged_dir}` in its words) and says, in one line, why it
/// refuses them. It is killed with all it started when its time is over.
///
/// # Errors
/// It cannot be started, takes too long, or ends with another code than 0.
pub async fn check(command: &[String], staged: &Path, patience: Duration) -> Result<(), String> {
    let staged = staged.display().to_string();
    let words: Vec<String> =
        command.iter().map(|word| expand(word, &[("staged_dir", &staged)])).collect();
    let Some((program, arguments)) = words.split_first() else { return Ok(()) };
    let mut command = Command::new(program);
    without_tokens(&mut command, &[]);
    command
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .process_group(0)
        .kill_on_drop(true);
    let (child, known) = Known::spawn(&mut command)
        .map_err(|error| format!("cannot run {program} to check the files: {error}"))?;
    let ended = tokio::time::timeout(patience, child.wait_with_output()).await;
    let _ = killpg(known.id(), Signal::SIGKILL);
    end_orphans();
    match ended {
        Err(_) => Err(format!("{program} did not check the files within {patience:?}")),
        Ok(Err(error)) => Err(format!("cannot run {program} to check the files: {error}")),
        Ok(Ok(output)) if output.status.success() => Ok(()),
        Ok(Ok(output)) => {
            let said = String::from_utf8_lossy(&output.stderr);
            let line = said.lines().find(|line| !line.trim().is_empty()).unwrap_or("no reason");
            let line: String = line.chars().take(500).collect();
            Err(format!("{program} refuses the files: {line}"))
        }
    }
}

fn exit_of(status: std::process::ExitStatus) -> Exit {
    use std::os::unix::process::ExitStatusExt as _;
    match (status.code(), status.signal()) {
        (Some(code), _) => Exit::Code(code),
        (None, Some(signal)) => Exit::Signal(signal),
        (None, None) => Exit::Code(-1),
    }
}

/// Copies lines to our standard error, each with the unit's name: `[namenode] ...`, or as the
/// field `unit` where the line is a JSON object.
async fn forward(stream: impl AsyncRead + Unpin, tag: String) {
    let mut reader = BufReader::with_capacity(1024, stream);
    let mut line = Vec::new();
    loop {
        line.clear();
        match (&mut reader).take(LINE_BYTES_MAX).read_until(b'\n', &mut line).await {
            Ok(0) | Err(_) => return,
            Ok(_) => {
                let tagged = tag_line(&tag, &line);
                // One write per line keeps lines of different units apart.
                let _ = io::stderr().write_all(&tagged);
            }
        }
    }
}

fn tag_line(tag: &str, line: &[u8]) -> Vec<u8> {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    let mut tagged = Vec::with_capacity(line.len() + tag.len() + 16);
    match line.strip_prefix(b"{") {
        Some(rest) if rest.starts_with(b"\"") => {
            tagged.extend_from_slice(format!("{{\"unit\":\"{tag}\",").as_bytes());
            tagged.extend_from_slice(rest);
        }
        _ => {
            tagged.extend_from_slice(format!("[{tag}] ").as_bytes());
            tagged.extend_from_slice(line);
        }
    }
    tagged.push(b'\n');
    tagged
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_carry_the_unit() {
        assert_eq!(tag_line("namenode", b"hello\n"), b"[namenode] hello\n");
        assert_eq!(tag_line("nn", b"{\"a\":1}\n"), b"{\"unit\":\"nn\",\"a\":1}\n");
        assert_eq!(tag_line("nn", b"{}"), b"[nn] {}\n");
    }
}
