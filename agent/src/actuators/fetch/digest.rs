//! What a download is, told by its digest.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;

use sha2::{Digest as _, Sha256, Sha512};

use crate::config::Checksum;

/// Read at once.
const PIECE: usize = 1 << 18;

/// A digest under way, of the kind that is expected.
pub(super) enum Hasher {
    Sha256(Sha256),
    Sha512(Sha512),
}

impl Hasher {
    pub(super) fn like(expected: &Checksum) -> Self {
        match expected {
            Checksum::Sha256(_) => Self::Sha256(Sha256::new()),
            Checksum::Sha512(_) => Self::Sha512(Sha512::new()),
        }
    }

    pub(super) fn eat(&mut self, bytes: &[u8]) {
        match self {
            Self::Sha256(hasher) => hasher.update(bytes),
            Self::Sha512(hasher) => hasher.update(bytes),
        }
    }

    pub(super) fn finish(self) -> Checksum {
        let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        match self {
            Self::Sha256(hasher) => Checksum::Sha256(hex(&hasher.finalize())),
            Self::Sha512(hasher) => Checksum::Sha512(hex(&hasher.finalize())),
        }
    }
}

/// Reads a file to its end and gives every piece to `take`.
pub(super) fn each_piece(
    path: &Path,
    mut take: impl FnMut(&[u8]) -> io::Result<()>,
) -> io::Result<()> {
    let mut file = File::open(path)?;
    let mut piece = vec![0; PIECE];
    loop {
        match file.read(&mut piece)? {
            0 => return Ok(()),
            length => take(&piece[..length])?,
        }
    }
}

/// The digest of a file.
pub(super) fn of_file(path: &Path, expected: &Checksum) -> io::Result<Checksum> {
    let mut hasher = Hasher::like(expected);
    each_piece(path, |bytes| {
        hasher.eat(bytes);
        Ok(())
    })?;
    Ok(hasher.finish())
}
