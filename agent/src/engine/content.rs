//! The bytes of a file, and their digest.

use std::sync::{Arc, OnceLock};

use sha2::{Digest as _, Sha256};

/// Bytes that show themselves to nobody but who asks for them. Copies share them, and their digest
/// is worked out once.
#[derive(Clone, Default)]
pub struct Content(Arc<Held>);

#[derive(Default)]
struct Held {
    bytes: Vec<u8>,
    sha256: OnceLock<[u8; 32]>,
}

impl Content {
    /// These bytes.
    pub fn new(bytes: impl Into<Vec<u8>>) -> Self {
        Self(Arc::new(Held { bytes: bytes.into(), sha256: OnceLock::new() }))
    }

    /// The bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.0.bytes
    }

    /// Their SHA-256.
    pub fn sha256(&self) -> &[u8; 32] {
        self.0.sha256.get_or_init(|| Sha256::digest(&self.0.bytes).into())
    }
}

impl PartialEq for Content {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0) || self.0.bytes == other.0.bytes
    }
}

impl Eq for Content {}

impl std::fmt::Debug for Content {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} bytes", self.0.bytes.len())
    }
}
