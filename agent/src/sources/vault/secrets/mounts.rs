//! Which engine serves a path: its mount, and whether its KV counts versions.

use std::collections::BTreeMap;

use crate::sources::Masked;
use crate::sources::vault::{Vault, VaultError};

/// The engine below a KV path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Mount {
    /// With a `/` at its end.
    pub(super) prefix: String,
    /// Version 2 of the KV engine: `data/` and `metadata/` stand between mount and path.
    pub(super) versioned: bool,
}

impl Mount {
    /// A path of version 2: `data` or `metadata` within the mount. People write `data/` themselves
    /// or not, as Vault's own command line and consul-template allow.
    pub(super) fn within(&self, part: &str, path: &str) -> String {
        let rest = path.strip_prefix(&self.prefix).unwrap_or(path);
        let rest = rest.strip_prefix("data/").unwrap_or(rest);
        format!("{}{part}/{rest}", self.prefix)
    }
}

/// The mounts met so far.
#[derive(Debug, Default)]
pub(super) struct Mounts(BTreeMap<String, Mount>);

impl Mounts {
    /// The mount of a path; Vault tells it to everybody who may do anything below it.
    pub(super) async fn of(
        &mut self,
        vault: &Vault,
        path: &str,
        token: &Masked,
    ) -> Result<Mount, VaultError> {
        let known = self.0.iter().find(|(prefix, _)| path.starts_with(prefix.as_str()));
        if let Some((_, mount)) = known {
            return Ok(mount.clone());
        }
        let answer = vault.read(&format!("sys/internal/ui/mounts/{path}"), token).await?;
        let answer = answer.ok_or_else(|| vault.missing(path, ": no engine is mounted there"))?;
        let prefix = answer.text("/data/path").unwrap_or_default().to_owned();
        if prefix.is_empty() {
            return Err(vault.missing(path, ": no engine is mounted there"));
        }
        let versioned = answer.text("/data/options/version") == Some("2");
        let mount = Mount { prefix: prefix.clone(), versioned };
        self.0.insert(prefix, mount.clone());
        Ok(mount)
    }

    /// Forgets all: an engine may have been mounted anew.
    pub(super) fn forget(&mut self) {
        self.0.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_is_written_or_not() {
        let mount = Mount { prefix: "secret/".to_owned(), versioned: true };
        for path in ["secret/hdfs/nn", "secret/data/hdfs/nn"] {
            assert_eq!(mount.within("data", path), "secret/data/hdfs/nn");
            assert_eq!(mount.within("metadata", path), "secret/metadata/hdfs/nn");
        }
    }
}
