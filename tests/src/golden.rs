//! The captured conversations under `golden/rpc`.

use std::fs;

use crate::root;

/// Who sent a piece.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// The side that connected.
    Client,
    /// The side that accepted.
    Server,
}

/// Reads a conversation: pieces in order, neighbours from different sides.
///
/// # Panics
/// When the file is not as `golden/README.md` says.
pub fn conversation(name: &str) -> Vec<(Side, Vec<u8>)> {
    let path = root().join("tests/golden/rpc").join(name).with_extension("txt");
    let text = fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let mut pieces: Vec<(Side, String)> = Vec::new();
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let (mark, digits) = line.split_at(2);
        match mark {
            "> " => pieces.push((Side::Client, digits.to_owned())),
            "< " => pieces.push((Side::Server, digits.to_owned())),
            _ => pieces.last_mut().expect("a first piece").1.push_str(digits),
        }
    }
    pieces.into_iter().map(|(side, digits)| (side, unhex(&digits))).collect()
}

/// All bytes of one side.
pub fn stream(name: &str, side: Side) -> Vec<u8> {
    let pieces = conversation(name).into_iter().filter(|(from, _)| *from == side);
    pieces.flat_map(|(_, bytes)| bytes).collect()
}

fn unhex(digits: &str) -> Vec<u8> {
    let digit = |byte: u8| (byte as char).to_digit(16).expect("a hexadecimal digit") as u8;
    digits.as_bytes().chunks(2).map(|pair| digit(pair[0]) << 4 | digit(pair[1])).collect()
}

/// A file of the golden folder.
///
/// # Panics
/// When it is missing.
pub fn file(name: &str) -> Vec<u8> {
    let path = root().join("tests/golden").join(name);
    fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}
