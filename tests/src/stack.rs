//! Real Consul and Vault on loopback, and a proxy in front of them that breaks connections.
//!
//! The programs are built once from the Go modules in `tests/tools` into a cache, under a lock.
//! Servers run in temporary folders at ports of their own; guards end them by id.

mod agent;
mod consul;
mod proxy;
mod vault;

use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::time::Duration;

use nix::fcntl::{Flock, FlockArg};
use serde_json::Value;

use crate::process::Guard;
use crate::{binary, root};
pub use agent::Agent;
pub use consul::{Consul, Options as ConsulOptions};
pub use proxy::{Fault, Proxy};
pub use vault::{Storage, Vault};

/// The Consul that is tested against.
pub const CONSUL: &str = "1.21.0";

/// The Vault that is tested against.
pub const VAULT: &str = "1.21.0";

/// The peer of the agent's benchmark.
pub const CONSUL_TEMPLATE: &str = "0.41.1";

/// How long a server may take to start on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// The `consul` program.
///
/// # Errors
/// Go is missing, or the build fails.
pub fn consul_program() -> Result<PathBuf, String> {
    static PROGRAM: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    PROGRAM.get_or_init(|| build("consul", CONSUL)).clone()
}

/// The `vault` program.
///
/// # Errors
/// Go is missing, or the build fails.
pub fn vault_program() -> Result<PathBuf, String> {
    static PROGRAM: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    PROGRAM.get_or_init(|| build("vault", VAULT)).clone()
}

/// The `consul-template` program, which the agent is measured against.
///
/// # Errors
/// Go is missing, or the build fails.
pub fn consul_template_program() -> Result<PathBuf, String> {
    static PROGRAM: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    PROGRAM.get_or_init(|| build("consul-template", CONSUL_TEMPLATE)).clone()
}

fn cache() -> PathBuf {
    match std::env::var_os("HOWDAH_TEST_CACHE") {
        Some(folder) => folder.into(),
        None => binary::target_dir().join("tools"),
    }
}

fn build(name: &str, version: &str) -> Result<PathBuf, String> {
    let cache = cache();
    let say = |error: std::io::Error| format!("{}: {error}", cache.display());
    fs::create_dir_all(&cache).map_err(say)?;
    let lock = File::create(cache.join(format!("{name}.lock"))).map_err(say)?;
    let _lock = Flock::lock(lock, FlockArg::LockExclusive).map_err(|(_, e)| e.to_string())?;
    let program = cache.join(format!("{name}-{version}"));
    if program.exists() {
        return Ok(program);
    }
    eprintln!("building {name} {version} with Go, once; it takes some minutes");
    let part = program.with_extension("part");
    let output = Command::new("go")
        .args(["build", "-mod=mod", "-o"])
        .arg(&part)
        .arg(format!("github.com/hashicorp/{name}"))
        .current_dir(root().join("tests/tools").join(name))
        .output()
        .map_err(|error| format!("{name} is built with Go, and go does not run: {error}"))?;
    if !output.status.success() {
        let complaint = String::from_utf8_lossy(&output.stderr);
        return Err(format!("go build of {name} failed:\n{complaint}"));
    }
    fs::rename(&part, &program).map_err(say)?;
    Ok(program)
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
