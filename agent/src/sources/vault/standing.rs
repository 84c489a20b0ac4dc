//! How the agent stands with Vault: times and paths for people and metrics, never a value.

use std::collections::BTreeMap;
use std::time::SystemTime;

/// What is held of Vault, and until when.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Standing {
    /// Whether there is a token and Vault answered it last time.
    pub logged_in: bool,
    /// When the token ends; `None`: never, or there is none.
    pub token_expires: Option<SystemTime>,
    /// When credentials with a lease end, by path.
    pub leases: BTreeMap<String, SystemTime>,
    /// When certificates end, by path and common name; of several the first to end.
    pub certificates: BTreeMap<(String, String), SystemTime>,
}

impl Standing {
    /// Notes a certificate.
    pub(super) fn certificate(&mut self, path: &str, name: &str, end: SystemTime) {
        let known = self.certificates.entry((path.to_owned(), name.to_owned())).or_insert(end);
        *known = end.min(*known);
    }

    /// When the first certificate ends.
    pub fn first_certificate(&self) -> Option<SystemTime> {
        self.certificates.values().min().copied()
    }
}
