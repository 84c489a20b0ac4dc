//! Port offsets for clusters that run at the same time, in this process and in others.
//!
//! An offset is held by a locked file in the system's temporary folder as long as the value lives.

use std::fs::File;
use std::net::TcpListener;

use nix::fcntl::{Flock, FlockArg};

/// Offsets apart from each other: room for the ports of ten datanodes.
const STEP: u16 = 100;

/// The first offset. Higher than what people use by hand.
const FIRST: u16 = 2_000;

/// The last offset: all ports stay below 32768, where the kernel's ephemeral ports begin.
const LAST: u16 = 22_000;

/// Hadoop's ports that a cluster with ten datanodes adds its offset to.
const PORTS: [u16; 8] = [8020, 9180, 9864, 9866, 9867, 9868, 9870, 8485];

/// An offset that nobody else uses.
#[derive(Debug)]
pub struct Offset {
    value: u16,
    _lock: Flock<File>,
}

impl Offset {
    /// Takes a free offset.
    ///
    /// # Panics
    /// When all are taken.
    pub fn take() -> Self {
        let folder = std::env::temp_dir().join("howdah-test-ports");
        std::fs::create_dir_all(&folder).expect("the temporary folder is writable");
        // Start anywhere, so that a port in TIME_WAIT is not met again at once.
        let start = std::process::id() as u16 % 200;
        for k in 0..200 {
            let value = FIRST + (start + k) % 200 * STEP;
            assert!(value <= LAST, "the range holds 200 offsets");
            let Ok(file) = File::create(folder.join(value.to_string())) else { continue };
            let Ok(lock) = Flock::lock(file, FlockArg::LockExclusiveNonblock) else { continue };
            if free(value) {
                return Self { value, _lock: lock };
            }
        }
        panic!("no port offset from {FIRST} to {LAST} is free");
    }

    /// The number to add to every port.
    pub fn value(&self) -> u16 {
        self.value
    }

    /// One of Hadoop's ports with the offset added.
    pub fn port(&self, port: u16) -> u16 {
        port + self.value
    }
}

fn free(offset: u16) -> bool {
    let datanodes = (0..10).flat_map(|i| [9864, 9866, 9867].map(|port| port + 10 * i));
    PORTS
        .into_iter()
        .chain(datanodes)
        .all(|port| TcpListener::bind(("127.0.0.1", port + offset)).is_ok())
}
