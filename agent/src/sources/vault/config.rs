//! How to reach Vault, and who to be there.

use std::path::PathBuf;
use std::time::Duration;

use crate::http::Tls;
use crate::sources::Masked;

/// How to get a token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Auth {
    /// A fixed one (`VAULT_TOKEN`).
    Token(Masked),
    /// A file that somebody else keeps fresh; read again when it changes.
    TokenFile(PathBuf),
    /// `AppRole`.
    AppRole {
        /// Where the method is mounted, without `auth/`.
        mount: String,
        /// The role's id.
        role_id: String,
        /// A file with the secret id.
        secret_id_file: PathBuf,
        /// The file holds a token that wraps the secret id; it is unwrapped once.
        wrapped: bool,
    },
    /// A signed identity, such as Nomad gives its workloads.
    Jwt {
        /// Where the method is mounted, without `auth/`.
        mount: String,
        /// The role.
        role: String,
        /// A file with the JWT, read again when it changes.
        token_file: PathBuf,
    },
}

/// What a store may do beside reading.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// All: it renews, remembers, and gives leases back.
    Keep,
    /// It uses what another process remembers, and leaves that alone.
    Look,
}

/// The settings of a Vault client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VaultConfig {
    /// `HOST:PORT`, or with `http://` or `https://` in front.
    pub address: String,
    /// Who to be; without it nothing can be read.
    pub auth: Option<Auth>,
    /// The namespace of Vault Enterprise.
    pub namespace: Option<String>,
    /// Whom to trust and whom to be.
    pub tls: Tls,
    /// How often the version of a static secret is looked at.
    pub static_refresh: Duration,
    /// Deadline of a call.
    pub limit: Duration,
}

impl Default for VaultConfig {
    fn default() -> Self {
        Self {
            address: "https://127.0.0.1:8200".to_owned(),
            auth: None,
            namespace: None,
            tls: Tls::default(),
            static_refresh: Duration::from_secs(60),
            limit: Duration::from_secs(10),
        }
    }
}

impl VaultConfig {
    /// The defaults with the environment variables that HashiCorp's tools know on top:
    /// `VAULT_ADDR`, `VAULT_TOKEN`, `VAULT_NAMESPACE`, `VAULT_CACERT`, `VAULT_CLIENT_CERT`,
    /// `VAULT_CLIENT_KEY`.
    pub fn from_env(variable: impl Fn(&str) -> Option<String>) -> Self {
        let variable = |name: &str| variable(name).filter(|value| !value.is_empty());
        let file = |name: &str| variable(name).map(PathBuf::from);
        let mut config = Self::default();
        if let Some(address) = variable("VAULT_ADDR") {
            config.address = address;
        }
        config.auth = variable("VAULT_TOKEN").map(|token| Auth::Token(Masked::new(token)));
        config.namespace = variable("VAULT_NAMESPACE");
        config.tls = Tls {
            ca_file: file("VAULT_CACERT"),
            cert_file: file("VAULT_CLIENT_CERT"),
            key_file: file("VAULT_CLIENT_KEY"),
        };
        config
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn environment() {
        let config = VaultConfig::from_env(|name| match name {
            "VAULT_ADDR" => Some("http://vault:8200".to_owned()),
            "VAULT_TOKEN" => Some("hvs.secret".to_owned()),
            "VAULT_NAMESPACE" => Some("team".to_owned()),
            _ => None,
        });
        assert_eq!(config.address, "http://vault:8200");
        assert_eq!(config.namespace.as_deref(), Some("team"));
        assert_eq!(config.auth, Some(Auth::Token(Masked::new("hvs.secret"))));
        assert!(!format!("{config:?}").contains("hvs.secret"));
    }
}
