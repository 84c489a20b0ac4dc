//! SHA-256 of files, one by one and together.

use sha2::{Digest as _, Sha256};

use super::Files;
use crate::engine::Content;

/// SHA-256 in hex.
pub fn hash(content: &Content) -> String {
    hex(content.sha256())
}

/// Whether a SHA-256 in hex is that of these bytes.
pub(super) fn hash_is(hash: &str, content: &Content) -> bool {
    let nibble = |byte: u8| char::from(byte).to_digit(16);
    let byte = |pair: &[u8]| Some(nibble(pair[0])? << 4 | nibble(pair[1])?);
    let sha256 = content.sha256();
    hash.len() == 2 * sha256.len()
        && std::iter::zip(hash.as_bytes().chunks_exact(2), sha256)
            .all(|(pair, wanted)| byte(pair) == Some(u32::from(*wanted)))
}

/// SHA-256 in hex of all files: their names, bytes and modes.
pub fn digest_of_all(files: &Files) -> String {
    let mut all = Sha256::new();
    for (name, file) in files {
        all.update(format!("{name}\n{}\n{:o}\n", hash(&file.content), file.mode));
    }
    hex(&all.finalize())
}

fn hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(2 * bytes.len());
    for byte in bytes {
        for nibble in [byte >> 4, byte & 15] {
            text.push(char::from_digit(u32::from(nibble), 16).unwrap_or('0'));
        }
    }
    text
}
