//! How to reach Consul.

use std::path::PathBuf;
use std::time::Duration;

use crate::http::Tls;
use crate::sources::Masked;

/// The settings of a Consul client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConsulConfig {
    /// `HOST:PORT`, or with `http://` or `https://` in front.
    pub address: String,
    /// The ACL token; `token_file` wins.
    pub token: Option<Masked>,
    /// A file with the ACL token, read again when it changes.
    pub token_file: Option<PathBuf>,
    /// Whom to trust and whom to be.
    pub tls: Tls,
    /// The datacenter of keys and services; the agent's own when absent.
    pub datacenter: Option<String>,
    /// Take answers of any server, possibly old ones. The default is Consul's own: the leader's.
    pub stale: bool,
    /// How long one blocking query waits for a change.
    pub wait: Duration,
    /// Deadline of every other call.
    pub limit: Duration,
}

impl Default for ConsulConfig {
    fn default() -> Self {
        Self {
            address: "127.0.0.1:8500".to_owned(),
            token: None,
            token_file: None,
            tls: Tls::default(),
            datacenter: None,
            stale: false,
            wait: Duration::from_secs(60),
            limit: Duration::from_secs(10),
        }
    }
}

impl ConsulConfig {
    /// The defaults with the environment variables that HashiCorp's tools know on top:
    /// `CONSUL_HTTP_ADDR`, `CONSUL_HTTP_SSL`, `CONSUL_HTTP_TOKEN`, `CONSUL_HTTP_TOKEN_FILE`,
    /// `CONSUL_CACERT`, `CONSUL_CLIENT_CERT`, `CONSUL_CLIENT_KEY`.
    pub fn from_env(variable: impl Fn(&str) -> Option<String>) -> Self {
        let variable = |name: &str| variable(name).filter(|value| !value.is_empty());
        let file = |name: &str| variable(name).map(PathBuf::from);
        let mut config = Self::default();
        if let Some(address) = variable("CONSUL_HTTP_ADDR") {
            config.address = address;
        }
        let ssl = variable("CONSUL_HTTP_SSL").is_some_and(|value| value == "true" || value == "1");
        if ssl && !config.address.contains("://") {
            config.address = format!("https://{}", config.address);
        }
        config.token = variable("CONSUL_HTTP_TOKEN").map(Masked::new);
        config.token_file = file("CONSUL_HTTP_TOKEN_FILE");
        config.tls = Tls {
            ca_file: file("CONSUL_CACERT"),
            cert_file: file("CONSUL_CLIENT_CERT"),
            key_file: file("CONSUL_CLIENT_KEY"),
        };
        config
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn environment() {
        let config = ConsulConfig::from_env(|name| match name {
            "CONSUL_HTTP_ADDR" => Some("consul:8501".to_owned()),
            "CONSUL_HTTP_SSL" => Some("true".to_owned()),
            "CONSUL_HTTP_TOKEN" => Some("secret-token".to_owned()),
            "CONSUL_CACERT" => Some("/ca.pem".to_owned()),
            _ => None,
        });
        assert_eq!(config.address, "https://consul:8501");
        assert_eq!(config.tls.ca_file, Some("/ca.pem".into()));
        assert!(!format!("{config:?}").contains("secret-token"));
        assert_eq!(ConsulConfig::from_env(|_| Some(String::new())), ConsulConfig::default());
    }
}
