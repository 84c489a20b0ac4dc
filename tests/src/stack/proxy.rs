//! A TCP proxy in front of a server that does to connections what networks and ill servers do.
//!
//! When the fault changes, all connections made under the old one end, as after a repair.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::ports::Offset;

/// The harness's port, to which the offset is added.
const PORT: u16 = 9868;

/// What happens to connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Nothing.
    None,
    /// Every piece of an answer is late.
    Delay(Duration),
    /// They end as soon as they are made.
    Reset,
    /// Random bytes in the place of an answer.
    Garbage,
    /// A whole HTTP answer with this status.
    Status(u16),
    /// The answer ends after so many bytes.
    Cut(usize),
    /// Nothing is ever answered.
    BlackHole,
    /// The answer stops after so many bytes, and the connection stays.
    Stall(usize),
    /// A whole HTTP answer with the first half of a list of keys.
    HalfJson,
    /// Nobody listens.
    Refuse,
}

#[derive(Debug)]
struct State {
    target: String,
    fault: Mutex<Fault>,
    connections: Mutex<Vec<TcpStream>>,
    accepted: AtomicUsize,
    /// Where connections come in; nowhere while they are refused.
    listener: Mutex<Option<TcpListener>>,
    listens_at: SocketAddr,
    _offset: Offset,
}

/// The proxy; its thread ends with the process.
#[derive(Debug)]
pub struct Proxy {
    address: String,
    state: Arc<State>,
}

impl Proxy {
    /// In front of `HOST:PORT`.
    ///
    /// # Panics
    /// When loopback has no port left.
    pub fn start(target: &str) -> Self {
        // A port of our own: nobody takes it while connections are refused.
        let offset = Offset::take();
        let listener = TcpListener::bind(("127.0.0.1", offset.port(PORT))).expect("a port");
        listener.set_nonblocking(true).expect("a socket option");
        let listens_at = listener.local_addr().expect("its address");
        let state = Arc::new(State {
            target: target.to_owned(),
            fault: Mutex::new(Fault::None),
            connections: Mutex::default(),
            accepted: AtomicUsize::new(0),
            listener: Mutex::new(Some(listener)),
            listens_at,
            _offset: offset,
        });
        let shared = state.clone();
        std::thread::spawn(move || {
            loop {
                while let Some(stream) = shared.accept() {
                    shared.accepted.fetch_add(1, Ordering::Relaxed);
                    let shared = shared.clone();
                    std::thread::spawn(move || shared.serve(stream));
                }
                std::thread::sleep(Duration::from_millis(1));
            }
        });
        Self { address: listens_at.to_string(), state }
    }

    /// `HOST:PORT` to connect to.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Connections made through it so far.
    pub fn accepted(&self) -> usize {
        self.state.accepted.load(Ordering::Relaxed)
    }

    /// Sets the fault, and ends all connections.
    pub fn set(&self, fault: Fault) {
        *self.state.fault.lock().unwrap_or_else(PoisonError::into_inner) = fault;
        self.state.listen(fault != Fault::Refuse);
        let mut open = self.state.connections.lock().unwrap_or_else(PoisonError::into_inner);
        for stream in open.drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}

impl State {
    /// Listens, or does not.
    fn listen(&self, wanted: bool) {
        let mut listener = self.listener.lock().unwrap_or_else(PoisonError::into_inner);
        if !wanted {
            *listener = None;
        } else if listener.is_none() {
            let again = TcpListener::bind(self.listens_at).expect("the port is ours");
            again.set_nonblocking(true).expect("a socket option");
            *listener = Some(again);
        }
    }

    fn accept(&self) -> Option<TcpStream> {
        let listener = self.listener.lock().unwrap_or_else(PoisonError::into_inner);
        let (stream, _) = listener.as_ref()?.accept().ok()?;
        stream.set_nonblocking(false).ok()?;
        Some(stream)
    }

    fn fault(&self) -> Fault {
        *self.fault.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn keep(&self, stream: &TcpStream) {
        if let Ok(copy) = stream.try_clone() {
            self.connections.lock().unwrap_or_else(PoisonError::into_inner).push(copy);
        }
    }

    fn serve(&self, client: TcpStream) {
        self.keep(&client);
        let mut client = client;
        self.handle(&mut client);
        // A copy is kept for `set`, so the end of this one alone would close nothing.
        let _ = client.shutdown(Shutdown::Both);
    }

    fn handle(&self, client: &mut TcpStream) {
        let fault = self.fault();
        match fault {
            Fault::Reset | Fault::Refuse => return,
            Fault::Garbage => return answer(client, &garbage()),
            Fault::Status(status) => {
                let text = format!(
                    "HTTP/1.1 {status} Injected\r\nContent-Length: 8\r\n\
                     Connection: close\r\n\r\ninjected"
                );
                return answer(client, text.as_bytes());
            }
            Fault::HalfJson => return answer(client, half_json().as_bytes()),
            Fault::BlackHole => return drain(client),
            Fault::None | Fault::Delay(_) | Fault::Cut(_) | Fault::Stall(_) => {}
        }
        let Ok(server) = TcpStream::connect(&self.target) else { return };
        self.keep(&server);
        let (Ok(from), Ok(mut to)) = (client.try_clone(), server.try_clone()) else { return };
        std::thread::spawn(move || {
            copy(from, &mut to, Fault::None);
            let _ = to.shutdown(Shutdown::Write);
        });
        copy(server, client, fault);
        if matches!(fault, Fault::Stall(_)) {
            drain(client);
        }
    }
}

/// Waits for a request, then answers it and ends the connection.
fn answer(client: &mut TcpStream, bytes: &[u8]) {
    if matches!(client.read(&mut [0; 4096]), Ok(1..)) {
        let _ = client.write_all(bytes);
    }
}

fn drain(client: &mut TcpStream) {
    let mut piece = [0; 4096];
    while matches!(client.read(&mut piece), Ok(1..)) {}
}

fn copy(mut from: TcpStream, to: &mut TcpStream, fault: Fault) {
    let mut piece = [0; 16 * 1024];
    let mut left = match fault {
        Fault::Cut(bytes) | Fault::Stall(bytes) => bytes,
        _ => usize::MAX,
    };
    while let Ok(length @ 1..) = from.read(&mut piece) {
        if let Fault::Delay(time) = fault {
            // The fault itself, not a way to wait for something.
            std::thread::sleep(time);
        }
        let length = length.min(left);
        left -= length;
        if to.write_all(&piece[..length]).is_err() || left == 0 {
            return;
        }
    }
}

/// What a server that broke off within its own answer says.
fn half_json() -> String {
    let body = r#"[{"LockIndex":0,"Key":"conf/x","Flags":0,"Value":"MQ==","ModifyIndex":7},{"Lo"#;
    let length = body.len();
    format!(
        "HTTP/1.1 200 OK\r\nX-Consul-Index: 7\r\nX-Consul-Knownleader: true\r\n\
         Content-Length: {length}\r\nConnection: close\r\n\r\n{body}"
    )
}

/// Bytes that are no HTTP.
fn garbage() -> Vec<u8> {
    (0..2048u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8).collect()
}
