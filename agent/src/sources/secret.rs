//! Secret values and what asks for them. A value is printed nowhere: [`Masked::expose`] is the only
//! way out, so that every use can be found.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;

/// Text that must not be seen. It is wiped from memory when dropped.
#[derive(Clone, PartialEq, Eq)]
pub struct Masked(zeroize::Zeroizing<String>);

impl Masked {
    /// Takes a value in.
    pub fn new(value: impl Into<String>) -> Self {
        Self(zeroize::Zeroizing::new(value.into()))
    }

    /// The value itself.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Masked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl fmt::Display for Masked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// What a template asks Vault for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SecretRef {
    /// A static secret of a KV engine, version 1 or 2 (`secret/hdfs/db`).
    Kv {
        /// Mount and path, without the `data/` of version 2.
        path: String,
    },
    /// A certificate (`pki/issue/ROLE`); key, certificate and chain are one object.
    Issue {
        /// Mount, `issue`, role.
        path: String,
        /// `common_name`, `alt_names`, `ip_sans`, `ttl`.
        params: BTreeMap<String, String>,
    },
    /// Credentials with a lease (`database/creds/ROLE`).
    Read {
        /// The path.
        path: String,
    },
}

/// One secret as one object: its fields never come from two answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Secret {
    /// Values by name. A certificate has `certificate`, `private_key`, `ca_chain`, `issuing_ca`
    /// and `serial_number`.
    pub fields: BTreeMap<String, Masked>,
    /// The version, where the engine counts them.
    pub version: Option<u64>,
    /// When it is no longer valid.
    pub expires: Option<SystemTime>,
}

/// Every secret asked for, or, in one line, why it cannot be had.
pub type Secrets = BTreeMap<SecretRef, Result<Arc<Secret>, String>>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_printed_nowhere() {
        let fields = BTreeMap::from([("password".to_owned(), Masked::new("hunter2"))]);
        let secret = Secret { fields, version: None, expires: None };
        assert!(!format!("{secret:?}").contains("hunter2"));
        assert_eq!(secret.fields["password"].to_string(), "***");
        assert_eq!(secret.fields["password"].expose(), "hunter2");
    }
}
