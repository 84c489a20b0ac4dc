//! A TCP proxy in front of a server that does to connections what networks and ill servers do.
//!
//! When the fault changes, all connections made under the old one end, as after a repair.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

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
}

#[derive(Debug)]
struct State {
    target: String,
    fault: Mutex<Fault>,
    connections: Mutex<Vec<TcpStream>>,
    accepted: AtomicUsize,
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
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("its address").to_string();
        let state = Arc::new(State {
            target: target.to_owned(),
            fault: Mutex::new(Fault::None),
            connections: Mutex::default(),
            accepted: AtomicUsize::new(0),
        });
        let shared = state.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                shared.accepted.fetch_add(1, Ordering::Relaxed);
                let shared = shared.clone();
                std::thread::spawn(move || shared.serve(stream));
            }
        });
        Self { address, state }
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
        let mut open = self.state.connections.lock().unwrap_or_else(PoisonError::into_inner);
        for stream in open.drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}

impl State {
    fn fault(&self) -> Fault {
        *self.fault.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn keep(&self, stream: &TcpStream) {
        if let Ok(copy) = stream.try_clone() {
            self.connections.lock().unwrap_or_else(PoisonError::into_inner).push(copy);
        }
    }

    /// Serves a connection and ends it: the copy that is kept would hold it open.
    fn serve(&self, mut client: TcpStream) {
        self.keep(&client);
        self.treat(&mut client);
        let _ = client.shutdown(Shutdown::Both);
    }

    fn treat(&self, client: &mut TcpStream) {
        match self.fault() {
            Fault::Reset => return,
            Fault::Garbage => return answer(client, &garbage()),
            Fault::Status(status) => {
                let text = format!(
                    "HTTP/1.1 {status} Injected\r\nContent-Length: 8\r\n\
                     Connection: close\r\n\r\ninjected"
                );
                return answer(client, text.as_bytes());
            }
            Fault::BlackHole => return drain(client),
            Fault::None | Fault::Delay(_) | Fault::Cut(_) => {}
        }
        let Ok(server) = TcpStream::connect(&self.target) else { return };
        self.keep(&server);
        let (Ok(from), Ok(mut to)) = (client.try_clone(), server.try_clone()) else { return };
        std::thread::spawn(move || {
            copy(from, &mut to, Fault::None);
            let _ = to.shutdown(Shutdown::Write);
        });
        copy(server, client, self.fault());
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
    let mut left = if let Fault::Cut(bytes) = fault { bytes } else { usize::MAX };
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

/// Bytes that are no HTTP.
fn garbage() -> Vec<u8> {
    (0..2048u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8).collect()
}
