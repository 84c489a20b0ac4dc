//! The command line's side of the socket: one request, one answer.

use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

/// The agent answers from memory.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Longest answer taken.
const ANSWER_BYTES_MAX: u64 = 16 << 20;

/// Asks the agent behind `socket`.
///
/// # Errors
/// Nobody is there, or the answer is not 200: one line for the user.
pub fn ask(socket: &Path, method: &str, target: &str) -> Result<String, String> {
    let nobody = |error: std::io::Error| {
        format!("no agent answers at {}: {error}; is it running?", socket.display())
    };
    let mut stream = UnixStream::connect(socket).map_err(nobody)?;
    stream.set_read_timeout(Some(TIMEOUT)).map_err(nobody)?;
    let request = format!(
        "{method} {target} HTTP/1.1\r\nHost: agent\r\nContent-Length: 0\r\n\
         Connection: close\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).map_err(nobody)?;
    let mut answer = String::new();
    stream.take(ANSWER_BYTES_MAX).read_to_string(&mut answer).map_err(nobody)?;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    match head.split(' ').nth(1) {
        Some("200") => Ok(body.to_owned()),
        _ => Err(body.trim().to_owned()),
    }
}
