//! A program that is run to its end: what prepares a unit.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use tokio::io::{AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, BufReader};

use super::orphans::Known;
use super::{LINE_BYTES_MAX, Program, command, end_orphans, exit_of, tag_line};
use crate::core::Exit;

/// Characters of a program's last line that are repeated as its reason.
const REASON_CHARS_MAX: usize = 500;

/// Kills a group when it is dropped: nobody waits for the program any more.
struct Ends(Pid);

impl Drop for Ends {
    fn drop(&mut self) {
        let _ = killpg(self.0, Signal::SIGKILL);
        end_orphans();
    }
}

/// Runs a program to its end, its output tagged as a unit's, and says in one line why it failed.
/// With the future dropped, the time over or the agent dead, the program is killed with all that
/// it started.
///
/// # Errors
/// It cannot be started, takes too long, or ends with another code than 0.
pub async fn run_once(
    launcher: &Path,
    program: &Program,
    tag: &str,
    patience: Duration,
) -> Result<(), String> {
    let name = program.path.display();
    let mut command = command(launcher, program);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let (mut child, known) =
        Known::spawn(&mut command).map_err(|error| format!("cannot start {name}: {error}"))?;
    let ends = Ends(known.id());
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let all = async {
        let (_, said, status) =
            tokio::join!(pass_on(stdout, tag), pass_on(stderr, tag), child.wait());
        (said, status)
    };
    let ended = tokio::time::timeout(patience, all).await;
    drop(ends);
    let Ok((said, status)) = ended else {
        // Reaped, so that its id is nobody else's while it is known.
        let _ = child.wait().await;
        return Err(format!("{name} did not end within {patience:?} and was killed"));
    };
    let how = match status.map(exit_of) {
        Ok(Exit::Code(0)) => return Ok(()),
        Ok(Exit::Code(code)) => format!("exit code {code}"),
        Ok(Exit::Signal(signal)) => format!("signal {signal}"),
        Err(error) => error.to_string(),
    };
    let reason = if said.is_empty() { String::new() } else { format!(": {said}") };
    Err(format!("{name} failed ({how}){reason}"))
}

/// Passes lines on; the last one that says something.
async fn pass_on(stream: Option<impl AsyncRead + Unpin>, tag: &str) -> String {
    let mut last = String::new();
    let Some(stream) = stream else { return last };
    let mut reader = BufReader::with_capacity(1024, stream);
    let mut line = Vec::new();
    loop {
        line.clear();
        match (&mut reader).take(LINE_BYTES_MAX).read_until(b'\n', &mut line).await {
            Ok(0) | Err(_) => return last,
            Ok(_) => {}
        }
        let _ = std::io::Write::write_all(&mut std::io::stderr(), &tag_line(tag, &line));
        let text = String::from_utf8_lossy(&line);
        if !text.trim().is_empty() {
            last = text.trim().chars().take(REASON_CHARS_MAX).collect();
        }
    }
}
