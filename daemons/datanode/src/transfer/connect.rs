//! Connections to other datanodes.

use std::io;
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::sync::Arc;

use hdfs_wire::proto::hdfs::DatanodeInfoProto;

use crate::settings::Settings;

/// The transfer address of a datanode, as `firstBadLink` names it.
pub(super) fn address_of(node: &DatanodeInfoProto) -> String {
    format!("{}:{}", node.id.ip_addr, node.id.xfer_port)
}

/// Connects to a datanode with `after` more nodes behind it, with the timeouts of a pipeline.
pub(super) fn connect(
    node: &DatanodeInfoProto,
    after: usize,
    settings: &Settings,
) -> io::Result<Arc<TcpStream>> {
    let invalid = || {
        io::Error::new(
            io::ErrorKind::InvalidInput,
            format!("{} is no address of a datanode", address_of(node)),
        )
    };
    let ip: IpAddr = node.id.ip_addr.parse().map_err(|_| invalid())?;
    let port = u16::try_from(node.id.xfer_port).map_err(|_| invalid())?;
    let timeout = settings.read_timeout_for(after + 1);
    let socket = TcpStream::connect_timeout(&SocketAddr::new(ip, port), timeout)?;
    socket.set_nodelay(true)?;
    socket.set_read_timeout(Some(timeout))?;
    socket.set_write_timeout(Some(settings.write_timeout_for(after + 1)))?;
    Ok(Arc::new(socket))
}
