//! Whether the ports a cluster needs are free, asked before anything is written.

use std::io;
use std::net::TcpListener;
use std::time::{Duration, Instant};

/// A port somebody will listen on, and the configuration key that says so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Port {
    /// The unit that will listen.
    pub unit: String,
    /// The configuration key.
    pub key: String,
    /// `host:port`.
    pub address: String,
}

/// A port that cannot be had.
#[derive(Debug, thiserror::Error)]
#[error("{} cannot listen on {} ({}): {source}", port.unit, port.address, port.key)]
pub struct PortError {
    /// Which.
    pub port: Port,
    /// The system's answer.
    pub source: io::Error,
}

impl PortError {
    /// What the user can do about it.
    pub fn remedy(&self) -> &'static str {
        match self.source.kind() {
            io::ErrorKind::AddrNotAvailable => "pass an address of this host as --bind",
            _ => "stop what uses it, or pass another --port-offset",
        }
    }
}

/// How long a port in use is asked again. Daemons that were killed with their agent let go of their
/// ports a little after they are gone from the process list.
const PATIENCE: Duration = Duration::from_secs(1);

/// Binds every port for a moment.
///
/// # Errors
/// The first port that is taken, or cannot be bound for another reason.
pub fn check(ports: &[Port]) -> Result<(), Box<PortError>> {
    let mut held = Vec::with_capacity(ports.len());
    let deadline = Instant::now() + PATIENCE;
    for port in ports {
        // Held until all are checked: two units on one port are a conflict too.
        match bind(&port.address, deadline) {
            Ok(listener) => held.push(listener),
            Err(source) => return Err(Box::new(PortError { port: port.clone(), source })),
        }
    }
    Ok(())
}

/// Binds, waiting for a port in use until `deadline`.
fn bind(address: &str, deadline: Instant) -> io::Result<TcpListener> {
    loop {
        match TcpListener::bind(address) {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse && Instant::now() < deadline => {
                std::thread::sleep(Duration::from_millis(20));
            }
            outcome => return outcome,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn port(address: String) -> Port {
        Port { unit: "namenode".into(), key: "dfs.namenode.http-address".into(), address }
    }

    #[test]
    fn names_the_port_in_use() {
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = taken.local_addr().unwrap().to_string();
        let error = check(&[port(address.clone())]).unwrap_err().to_string();
        let expected = format!("namenode cannot listen on {address} (dfs.namenode.http-address): ");
        assert!(error.starts_with(&expected), "{error}");
        drop(taken);
        check(&[port(address)]).unwrap();
    }

    /// Story: with `--bind` of an address that is not this host's, the advice was another port.
    #[test]
    fn the_remedy_fits_the_reason() {
        let error = check(&[port("192.0.2.1:0".into())]).unwrap_err();
        assert!(error.remedy().contains("--bind"), "{error}");
    }
}
