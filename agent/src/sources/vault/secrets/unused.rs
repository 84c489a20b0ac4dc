//! Secrets that nobody wants any more: kept for a while, since a daemon may still be stopping that
//! uses them or the wish may come back, then forgotten, and their leases given back to Vault.
//!
//! Best effort: a lease that cannot be given back ends by itself. Nothing is given back when the
//! process ends; its successor goes on with it.

use std::collections::BTreeSet;
use std::time::SystemTime;

use serde_json::json;

use super::{Held, Keeper};
use crate::sources::vault::VaultError;
use crate::sources::{Masked, SecretRef};

/// What is wanted of the store.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Wish {
    pub(super) refs: BTreeSet<SecretRef>,
    /// Whether that is all there is in use.
    pub(super) whole: bool,
}

/// A secret that nobody wants, and since when that is known.
#[derive(Debug)]
pub(super) struct Unused {
    pub(super) held: Held,
    pub(super) since: SystemTime,
}

impl Keeper {
    /// Takes up what is newly wanted. What is not wanted is put aside, if that is certain.
    pub(super) fn adopt(&mut self, wish: &Wish) {
        let now = SystemTime::now();
        if wish.whole && self.gives_back {
            let idle = self.held.keys().chain(self.left.keys());
            let idle: Vec<_> = idle.filter(|each| !wish.refs.contains(*each)).cloned().collect();
            for each in idle {
                let held = self.held.remove(&each).or_else(|| self.left.remove(&each));
                let Some(held) = held else { continue };
                self.unused.insert(each, Unused { held, since: now });
            }
        } else if !wish.whole {
            // What an earlier process left may be in use: it is kept alive with the rest.
            self.held.append(&mut self.left);
        }
        for wanted in &wish.refs {
            if !self.held.contains_key(wanted) {
                let unused = self.unused.remove(wanted).map(|unused| unused.held);
                let held = unused.or_else(|| self.left.remove(wanted)).unwrap_or_default();
                self.held.insert(wanted.clone(), held);
            }
        }
    }

    /// When the next unused secret is forgotten.
    pub(super) fn forgets_at(&self) -> Option<SystemTime> {
        let first = self.unused.values().map(|unused| unused.since).min();
        first.map(|since| since + self.vault.config.static_refresh)
    }

    /// Forgets what was unused for long, and gives its leases back; whether there was any.
    pub(super) async fn forget(&mut self, token: &Masked) -> Result<bool, VaultError> {
        let patience = self.vault.config.static_refresh;
        let now = SystemTime::now();
        let over = |unused: &Unused| unused.since + patience <= now;
        let due: Vec<_> =
            self.unused.iter().filter(|(_, u)| over(u)).map(|(each, _)| each.clone()).collect();
        for each in &due {
            let lease = self.unused.get(each).and_then(|unused| unused.held.lease.clone());
            if let (SecretRef::Read { path }, Some(lease)) = (each, lease) {
                let body = json!({"lease_id": lease.id});
                match self.vault.write("sys/leases/revoke", Some(token), &body).await {
                    Ok(_) => tracing::info!(path, "a lease that nobody uses is given back"),
                    Err(error) if error.is_outage() => return Err(error),
                    Err(error) => tracing::warn!(
                        path,
                        %error,
                        "a lease that nobody uses cannot be given back and ends by itself; a \
                         policy may allow update on sys/leases/revoke"
                    ),
                }
            }
            self.unused.remove(each);
        }
        Ok(!due.is_empty())
    }
}
