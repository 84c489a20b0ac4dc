//! Vault: static secrets of KV engines, certificates, and credentials with leases.
//!
//! `secrets` keeps all that is asked for fresh and goes on for ever; an outage, a sealed Vault or
//! a revoked token leaves the last values in place. `auth` logs in, `leases` remembers over a
//! restart, `client` makes single calls.

mod auth;
mod client;
mod config;
mod leases;
mod secrets;
mod standing;

pub use client::{Vault, VaultError};
pub use config::{Auth, Mode, VaultConfig};
pub use secrets::SecretStore;
pub use standing::Standing;
