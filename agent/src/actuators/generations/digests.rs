//! SHA-256 of files, one by one and together.

use sha2::{Digest as _, Sha256};

use super::Files;
use crate::engine::Content;

pub(super) type Digest = [u8; 32];

pub(super) fn digest(content: &Content) -> Digest {
    Sha256::digest(&content.0).into()
}

/// SHA-256 in hex.
pub fn hash(content: &Content) -> String {
    hex(&digest(content))
}

/// SHA-256 in hex of all files: their names, bytes and modes.
pub fn digest_of_all(files: &Files) -> String {
    let mut all = Sha256::new();
    for (name, file) in files {
        all.update(format!("{name}\n{}\n{:o}\n", hash(&file.content), file.mode));
    }
    hex(&all.finalize())
}

pub(super) fn hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(2 * bytes.len());
    for byte in bytes {
        for nibble in [byte >> 4, byte & 15] {
            text.push(char::from_digit(u32::from(nibble), 16).unwrap_or('0'));
        }
    }
    text
}
