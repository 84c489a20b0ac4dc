//! Accepting connections and reading requests. A connection costs a small task until a whole
//! request is there; then it costs a thread until the operation ends.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use hdfs_wire::proto::hdfs::{BlockOpResponseProto, ClientReadStatusProto};
use hdfs_wire::transfer::{BadOp, Request, Status, decode_delimited, write_delimited};
use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

use super::{After, Connection, Transfers};

/// The first request of a connection must be whole within this time (Java: socket timeout, 60 s).
const FIRST_REQUEST_TIMEOUT: Duration = Duration::from_secs(60);

/// Bytes read at once while a request is incomplete; a usual one has about 300.
const REQUEST_READ_LEN: usize = 1024;

/// A pause after the system refused a connection, so that a lack of descriptors is no busy loop.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Accepts until the task is dropped.
pub(crate) async fn listen(listener: TcpListener, transfers: Arc<Transfers>) {
    loop {
        let (stream, peer) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let Some(pass) = transfers.connections.enter() else {
            transfers.store.counters.refused_connections.increment();
            tracing::warn!(%peer, "too many connections, closed");
            continue;
        };
        let transfers = Arc::clone(&transfers);
        tokio::spawn(async move {
            if let Err(error) = serve(stream, &transfers).await {
                tracing::debug!(%peer, %error, "connection closed");
            }
            drop(pass);
        });
    }
}

/// Runs the operations of one connection, one after the other.
async fn serve(mut stream: TcpStream, transfers: &Arc<Transfers>) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let (peer, local) = (stream.peer_addr()?, stream.local_addr()?);
    let mut input = BytesMut::new();
    let (mut limit, mut owes_status) = (FIRST_REQUEST_TIMEOUT, false);
    loop {
        let read = read_request(&mut stream, &mut input, owes_status);
        let Ok(request) = timeout(limit, read).await else {
            return Err(io::ErrorKind::TimedOut.into());
        };
        let Some(request) = request? else { return Ok(()) };
        let Some(pass) = transfers.threads.enter() else {
            transfers.store.counters.refused_connections.increment();
            tracing::warn!(
                %peer,
                threads = transfers.threads.max(),
                "dfs.datanode.max.transfer.threads are all busy, connection closed"
            );
            return Ok(());
        };
        let socket = stream.into_std()?;
        socket.set_nonblocking(false)?;
        socket.set_read_timeout(Some(transfers.settings.read_timeout))?;
        socket.set_write_timeout(Some(transfers.settings.write_timeout))?;
        let socket = Arc::new(socket);
        let connection = Connection {
            socket: Arc::clone(&socket),
            rest: std::mem::take(&mut input),
            peer,
            local,
        };
        let shared = Arc::clone(transfers);
        let run = tokio::task::spawn_blocking(move || {
            let active = shared.enter(&connection.socket);
            let after = shared.run(connection, request);
            drop(active);
            drop(pass);
            after
        });
        match run.await.map_err(io::Error::other)? {
            After::Close => return Ok(()),
            After::Reuse { status } => owes_status = status,
        }
        // The thread is done, so this is the last owner.
        let Some(socket) = Arc::into_inner(socket) else { return Ok(()) };
        socket.set_nonblocking(true)?;
        stream = TcpStream::from_std(socket)?;
        limit = transfers.settings.keepalive;
    }
}

/// Reads until a whole request is there; none when the peer closed. The buffer grows by what comes.
async fn read_request(
    stream: &mut TcpStream,
    input: &mut BytesMut,
    mut owes_status: bool,
) -> Result<Option<Request>, io::Error> {
    loop {
        if owes_status && decode_delimited::<ClientReadStatusProto>(input)?.is_some() {
            owes_status = false;
        }
        if !owes_status {
            match Request::receive(input) {
                Ok(None) => {}
                Ok(Some(request)) => return Ok(Some(request)),
                Err(BadOp::Unserved(op)) => {
                    tracing::info!(?op, "operation is not served");
                    return Ok(None);
                }
                Err(error) => return Err(error.into()),
            }
        }
        if input.is_empty() {
            // No buffer while nothing comes.
            stream.readable().await?;
        }
        input.reserve(REQUEST_READ_LEN);
        if stream.read_buf(input).await? == 0 {
            return Ok(None);
        }
    }
}

impl Transfers {
    /// Runs one operation on this thread.
    fn run(&self, connection: Connection, request: Request) -> After {
        match request {
            Request::Write(op) => {
                let started = std::time::Instant::now();
                self.write_block(connection, &op);
                self.store.counters.writes.record(started.elapsed());
                After::Close
            }
            Request::Read(op) => self.read_block(&connection, &op),
            Request::Checksum(op) => self.block_checksum(&connection, &op),
            Request::Transfer(op) => {
                let done = self.transfer_block(&connection, *op);
                let (status, message) = match done {
                    Ok(()) => (Status::Success, None),
                    Err(fault) => {
                        tracing::warn!(%fault, "transfer failed");
                        (Status::Error, Some(fault.to_string()))
                    }
                };
                answer(&connection, status, message)
            }
            Request::Copy(op) => self.copy_block(&connection, &op),
            Request::Replace(op) => {
                self.replace_block(&connection, &op);
                After::Close
            }
            Request::ShortCircuit(_)
            | Request::Release(_)
            | Request::SharedMemory(_)
            | Request::GroupChecksum(_) => {
                let message = "this datanode does not serve the operation".to_owned();
                answer(&connection, Status::ErrorUnsupported, Some(message));
                After::Close
            }
        }
    }
}

fn answer(connection: &Connection, status: Status, message: Option<String>) -> After {
    let response = BlockOpResponseProto { status: status as i32, message, ..Default::default() };
    match write_delimited(&response, &mut &*connection.socket) {
        Ok(()) => After::Reuse { status: false },
        Err(_) => After::Close,
    }
}
