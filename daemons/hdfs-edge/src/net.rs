//! Listening sockets, with errors that name the key to change.

use std::net::{SocketAddr, TcpListener, ToSocketAddrs};

use socket2::{Domain, Protocol, Socket, Type};

use crate::daemon::Failure;

/// Connections the kernel holds until they are accepted, unless a key says otherwise.
pub const BACKLOG: i32 = 1024;

/// Opens a listening socket for a daemon; `key` is what the user would change.
///
/// # Errors
/// The name does not resolve, or the address is in use or not of this host: exit code 2.
pub fn listen(host: &str, port: u16, key: &str) -> Result<TcpListener, Failure> {
    let refuse = |reason: String| Failure::user(format!("{key}: {host}:{port}: {reason}"));
    let address = resolve(host, port).map_err(&refuse)?;
    bind(address).map_err(|error| {
        refuse(match error.kind() {
            std::io::ErrorKind::AddrInUse => {
                "the port is in use; stop the other process or change the key".to_owned()
            }
            std::io::ErrorKind::AddrNotAvailable => {
                "no address of this host; use one of its own or 0.0.0.0".to_owned()
            }
            std::io::ErrorKind::PermissionDenied => {
                "ports below 1024 need privileges; use a higher one".to_owned()
            }
            _ => format!("cannot listen: {error}"),
        })
    })
}

/// The first address of a name, IPv4 before IPv6, as Hadoop's servers prefer.
///
/// # Errors
/// Says that the name has no address.
pub fn resolve(host: &str, port: u16) -> Result<SocketAddr, String> {
    let mut found: Vec<_> = (host, port)
        .to_socket_addrs()
        .map_err(|error| format!("the host name has no address: {error}"))?
        .collect();
    found.sort_by_key(SocketAddr::is_ipv6);
    found.first().copied().ok_or_else(|| "the host name has no address".to_owned())
}

fn bind(address: SocketAddr) -> std::io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    // A restart must not wait for connections of the process before it to be forgotten.
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// This host's name as Hadoop shows it, or `localhost`.
pub fn host_name() -> String {
    let name = nix::unistd::gethostname().ok().and_then(|name| name.into_string().ok());
    name.unwrap_or_else(|| "localhost".to_owned())
}

/// The address this host is known by: that of its name, else 127.0.0.1.
pub fn host_address() -> String {
    let found = resolve(&host_name(), 0).map(|address| address.ip().to_string());
    found.unwrap_or_else(|_| "127.0.0.1".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_used_port_is_the_users_mistake_and_names_the_key() {
        let first = listen("127.0.0.1", 0, "dfs.a").expect("a free port");
        let port = first.local_addr().expect("bound").port();
        let failure = listen("127.0.0.1", port, "dfs.namenode.http-address").expect_err("in use");
        assert_eq!(failure.exit_code, 2);
        let start = format!("dfs.namenode.http-address: 127.0.0.1:{port}: the port is in use");
        assert!(failure.message.starts_with(&start), "{failure}");
    }

    #[test]
    fn a_name_without_address_is_the_users_mistake() {
        let failure = listen("no-such-host.invalid", 1, "dfs.a").expect_err("no address");
        assert!(failure.message.contains("no address"), "{failure}");
    }
}
