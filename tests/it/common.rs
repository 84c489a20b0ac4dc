//! What several modules need: bytes that can be told again, and their sums.

use std::fs::File;
use std::io::{BufReader, BufWriter, Read, Write};
use std::path::Path;
use std::sync::Arc;

use hdfs_native::{Client, ClientBuilder};

/// Bytes that only depend on the seed: a small generator (xorshift), not random to anybody else.
pub(crate) fn bytes(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut out = Vec::with_capacity(length + 8);
    while out.len() < length {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        out.extend_from_slice(&state.to_le_bytes());
    }
    out.truncate(length);
    out
}

/// Size of the big file: 1 GiB, or what `HOWDAH_TEST_BIG` says in MiB.
pub(crate) fn big_size() -> u64 {
    let mebibytes = std::env::var("HOWDAH_TEST_BIG").ok().and_then(|text| text.parse().ok());
    mebibytes.unwrap_or(1024) << 20
}

/// Writes a big file piece by piece; its sum.
pub(crate) fn write_big(path: &Path, size: u64) -> u64 {
    let mut file = BufWriter::new(File::create(path).expect("a file"));
    let mut sum = Sum::default();
    for index in 0..size >> 20 {
        let piece = bytes(index + 1, 1 << 20);
        sum.add(&piece);
        file.write_all(&piece).expect("room for the file");
    }
    file.flush().expect("room for the file");
    sum.value
}

/// The sum of a file.
pub(crate) fn sum_of(path: &Path) -> u64 {
    let mut file = BufReader::with_capacity(1 << 20, File::open(path).expect("a file"));
    let mut piece = vec![0; 1 << 20];
    let mut sum = Sum::default();
    loop {
        let length = file.read(&mut piece).expect("readable");
        if length == 0 {
            return sum.value;
        }
        sum.add(&piece[..length]);
    }
}

/// A running sum of words; enough to tell other bytes, not to resist an enemy.
#[derive(Debug, Default)]
pub(crate) struct Sum {
    /// The sum so far.
    pub(crate) value: u64,
}

impl Sum {
    /// Adds bytes.
    pub(crate) fn add(&mut self, bytes: &[u8]) {
        // Every piece but the last is a multiple of eight bytes, so the cut does not matter.
        for word in bytes.chunks(8) {
            let mut padded = [0; 8];
            padded[..word.len()].copy_from_slice(word);
            let word = u64::from_le_bytes(padded) ^ word.len() as u64;
            self.value = (self.value.rotate_left(5) ^ word).wrapping_mul(0x517c_c1b7_2722_0a95);
        }
    }
}

/// A native client of a cluster.
pub(crate) fn native(uri: &str) -> Arc<Client> {
    Arc::new(ClientBuilder::new().with_url(uri).build().expect("a client"))
}

/// A runtime for native clients.
pub(crate) fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime")
}
