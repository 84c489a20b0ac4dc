//! A plain RPC client over a blocking socket, for bytes that no well-behaved client sends and for
//! load without the cost of one.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use hdfs_wire::rpc::client::{self, Identity, RemoteFault, Response};
use prost::Message;

/// The protocol of ordinary clients.
pub const CLIENT_PROTOCOL: &str = "org.apache.hadoop.hdfs.protocol.ClientProtocol";

/// Largest reply that is read.
const REPLY_MAX: usize = 128 << 20;

/// The name of the user who runs this, who is the superuser of what this starts.
pub fn me() -> String {
    let user = nix::unistd::User::from_uid(nix::unistd::geteuid()).ok().flatten();
    user.map_or_else(|| "root".to_owned(), |user| user.name)
}

/// One connection.
#[derive(Debug)]
pub struct Raw {
    stream: TcpStream,
    input: BytesMut,
    output: BytesMut,
    client_id: [u8; 16],
    next_call: i32,
}

impl Raw {
    /// Connects and sends the handshake.
    ///
    /// # Errors
    /// The socket's.
    pub fn connect(address: SocketAddr, user: &str) -> io::Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(Duration::from_secs(60)))?;
        stream.set_write_timeout(Some(Duration::from_secs(5)))?;
        let mut client_id = [0; 16];
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        let nanos = now.map_or(0, |now| now.as_nanos());
        let port = u128::from(stream.local_addr()?.port());
        client_id.copy_from_slice(&(nanos << 16 | port).to_be_bytes());
        let mut raw = Self {
            stream,
            input: BytesMut::new(),
            output: BytesMut::new(),
            client_id,
            next_call: 0,
        };
        client::encode_hello(&mut raw.output);
        let identity = raw.identity();
        client::encode_context(&identity, user, None, CLIENT_PROTOCOL, &mut raw.output);
        raw.flush()?;
        Ok(raw)
    }

    fn identity(&self) -> Identity<'static> {
        Identity { client_id: self.client_id, caller_context: None }
    }

    /// Puts a call into the buffer; its id.
    pub fn push(&mut self, method: &str, request: &impl Message) -> i32 {
        let call = self.next_call;
        self.next_call += 1;
        let identity = self.identity();
        let output = &mut self.output;
        client::encode_request(&identity, call, 0, CLIENT_PROTOCOL, method, request, output);
        call
    }

    /// Sends the buffer.
    ///
    /// # Errors
    /// The socket's.
    pub fn flush(&mut self) -> io::Result<()> {
        self.stream.write_all(&self.output)?;
        self.output.clear();
        Ok(())
    }

    /// Waits for one reply, of whichever call.
    ///
    /// # Errors
    /// The socket's, `UnexpectedEof` when the server closes.
    pub fn receive(&mut self) -> io::Result<Response> {
        loop {
            let reply = client::decode_response(&mut self.input, REPLY_MAX);
            let reply = reply.map_err(|bad| io::Error::new(io::ErrorKind::InvalidData, bad))?;
            if let Some(response) = reply {
                return Ok(response);
            }
            let mut piece = vec![0; 64 << 10];
            let length = self.stream.read(&mut piece)?;
            if length == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            self.input.extend_from_slice(&piece[..length]);
        }
    }

    /// One call and its answer.
    ///
    /// # Errors
    /// The socket's; the server's refusal is the inner result.
    pub fn call<M: Message + Default>(
        &mut self,
        method: &str,
        request: &impl Message,
    ) -> io::Result<Result<M, RemoteFault>> {
        self.push(method, request);
        self.flush()?;
        let answer: Result<Bytes, RemoteFault> = self.receive()?.result;
        match answer {
            Ok(body) => M::decode(body).map(Ok).map_err(io::Error::other),
            Err(fault) => Ok(Err(fault)),
        }
    }
}
