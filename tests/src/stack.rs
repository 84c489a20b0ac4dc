//! Real Consul and Vault on loopback, and a proxy in front of them that breaks connections.
//!
//! The programs are built once from the Go modules in `tests/tools` into a cache. A test without
//! them fails: these suites are never skipped.
//! Servers run in temporary folders at ports of their own; guards end them by id.

mod agent;
mod consul;
mod proxy;
mod vault;

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::time::Duration;

use serde_json::Value;

use crate::process::Guard;
use crate::{binary, root};
pub use agent::Agent;
pub use consul::{Consul, Options as ConsulOptions};
pub use proxy::{Fault, Proxy};
pub use vault::{Storage, Vault};

/// How long a server may take to start on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// The `consul` program.
///
/// # Errors
/// Go is missing, or the build fails.
pub fn consul_program() -> Result<PathBuf, String> {
    static PROGRAM: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    PROGRAM.get_or_init(|| build("consul")).clone()
}

/// The `vault` program.
///
/// # Errors
/// Go is missing, or the build fails.
pub fn vault_program() -> Result<PathBuf, String> {
    static PROGRAM: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    PROGRAM.get_or_init(|| build("vault")).clone()
}

/// The `consul-template` program, which the agent is measured against.
///
/// # Errors
/// Go is missing, or the build fails.
pub fn consul_template_program() -> Result<PathBuf, String> {
    static PROGRAM: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    PROGRAM.get_or_init(|| build("consul-template")).clone()
}

/// Has `tests/tools/build` make it, where it is not there already.
fn build(name: &str) -> Result<PathBuf, String> {
    let cache = std::env::var_os("HOWDAH_TEST_CACHE").map(PathBuf::from);
    let cache = cache.unwrap_or_else(|| binary::target_dir().join("tools"));
    let output = Command::new(root().join("tests/tools/build"))
        .arg(name)
        .env("HOWDAH_TEST_CACHE", cache)
        .output()
        .map_err(|error| format!("tests/tools/build: {error}"))?;
    if !output.status.success() {
        let complaint = String::from_utf8_lossy(&output.stderr);
        return Err(format!("tests/tools/build {name} failed:\n{complaint}"));
    }
    let path = String::from_utf8_lossy(&output.stdout);
    Ok(path.trim().into())
}

/// Starts a server with its output in a log file.
pub(crate) fn spawn(command: &mut Command, log: &Path) -> Guard {
    let log = File::options().create(true).append(true).open(log).expect("a log file");
    let copy = log.try_clone().expect("a second handle");
    let child = command.stdin(Stdio::null()).stdout(log).stderr(copy).spawn();
    Guard::new(child.expect("the server starts"))
}

/// One HTTP call of the harness itself: status and JSON body (`null` when it is none).
///
/// # Errors
/// Nobody answers.
pub fn call(
    address: &str,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: Option<&Value>,
) -> std::io::Result<(u16, Value)> {
    let (status, text) = call_text(address, method, path, headers, body)?;
    Ok((status, serde_json::from_str(&text).unwrap_or(Value::Null)))
}

/// The same with the body as it is.
///
/// # Errors
/// Nobody answers.
pub fn call_text(
    address: &str,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: Option<&Value>,
) -> std::io::Result<(u16, String)> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let body = match body {
        // KV values are sent as they are.
        Some(Value::String(text)) => text.clone(),
        Some(value) => value.to_string(),
        None => String::new(),
    };
    let mut request = format!("{method} {path} HTTP/1.0\r\nHost: {address}\r\n");
    for (name, value) in headers {
        request.push_str(&format!("{name}: {value}\r\n"));
    }
    request.push_str(&format!("Content-Length: {}\r\n\r\n{body}", body.len()));
    stream.write_all(request.as_bytes())?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    let answer = String::from_utf8_lossy(&answer);
    let (head, text) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    let status = head.split_whitespace().nth(1).and_then(|word| word.parse().ok());
    let status = status.ok_or_else(|| std::io::Error::other("no status line"))?;
    Ok((status, text.to_owned()))
}
