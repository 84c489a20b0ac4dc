//! Getting one secret: reading, issuing, renewing.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use super::Keeper;
use super::mounts::Mount;
use crate::sources::jitter::between;
use crate::sources::vault::VaultError;
use crate::sources::vault::leases::{Lease, digest};
use crate::sources::{Masked, Secret, SecretRef};

/// A renewed lease that got less than this part of what it had first is at its end.
const RENEWED_PART_MIN: u64 = 3;

/// What one look brought.
struct Fetched {
    /// `None`: the one that is held is still right.
    secret: Option<Secret>,
    lease: Option<Lease>,
    act_at: SystemTime,
}

impl Keeper {
    /// Looks at, renews or replaces one secret; whether what must be remembered changed.
    pub(super) async fn refresh(
        &mut self,
        wanted: &SecretRef,
        token: &Masked,
    ) -> Result<bool, VaultError> {
        let fetched = match wanted {
            SecretRef::Kv { path } => self.look(wanted, path, token).await,
            SecretRef::Issue { path, params } => self.issue(path, &json!(params), token).await,
            SecretRef::Read { path } => self.lease(wanted, path, token).await,
        };
        if fetched.as_ref().is_err_and(|error| !error.is_outage()) {
            self.mounts.forget();
        }
        let fetched = fetched?;
        let Some(held) = self.held.get_mut(wanted) else { return Ok(false) };
        held.error = None;
        held.missing = false;
        held.jitter = None;
        held.act_at = Some(fetched.act_at);
        held.lease = fetched.lease;
        if let Some(secret) = fetched.secret
            && held.secret.as_deref() != Some(&secret)
        {
            held.secret = Some(Arc::new(secret));
        }
        Ok(!matches!(wanted, SecretRef::Kv { .. }))
    }

    /// A static secret: the version first, since most looks find nothing new.
    async fn look(
        &mut self,
        wanted: &SecretRef,
        path: &str,
        token: &Masked,
    ) -> Result<Fetched, VaultError> {
        let mount = self.mounts.of(&self.vault, path, token).await?;
        let refresh = self.vault.config.static_refresh;
        let act_at = SystemTime::now() + between(refresh * 9 / 10, refresh);
        if !mount.versioned {
            let answer = self.vault.read(path, token).await?;
            let answer = answer.ok_or_else(|| self.vault.missing(path, ""))?;
            let secret = Secret { fields: fields(&answer.0["data"]), version: None, expires: None };
            return Ok(Fetched { secret: Some(secret), lease: None, act_at });
        }
        let held = self.held.get(wanted);
        let held = held.filter(|held| !held.missing).and_then(|held| held.secret.as_ref());
        let known = held.and_then(|secret| secret.version);
        if known.is_some() && self.version(&mount, path, token).await? == known {
            return Ok(Fetched { secret: None, lease: None, act_at });
        }
        let answer = self.vault.read(&mount.within("data", path), token).await?;
        let answer = answer.filter(|answer| !answer.0["data"]["data"].is_null());
        let answer = answer.ok_or_else(|| {
            let hint = if known.is_some() { ": it was there and is deleted now" } else { "" };
            self.vault.missing(path, hint)
        })?;
        let version = answer.number("/data/metadata/version");
        let secret = Secret { fields: fields(&answer.0["data"]["data"]), version, expires: None };
        Ok(Fetched { secret: Some(secret), lease: None, act_at })
    }

    /// The current version, unless it is deleted or may not be asked for.
    async fn version(
        &self,
        mount: &Mount,
        path: &str,
        token: &Masked,
    ) -> Result<Option<u64>, VaultError> {
        let answer = match self.vault.read(&mount.within("metadata", path), token).await {
            // A policy may allow the data and not the metadata.
            Err(error) if error.status() == Some(403) => return Ok(None),
            answer => answer?,
        };
        let Some(answer) = answer else { return Ok(None) };
        let current = answer.number("/data/current_version");
        let deleted = current.is_some_and(|version| {
            let at = format!("/data/versions/{version}");
            answer.text(&format!("{at}/deletion_time")).is_some()
                || answer.truth(&format!("{at}/destroyed"))
        });
        Ok(current.filter(|_| !deleted))
    }

    /// A new certificate: one answer, one object.
    async fn issue(
        &self,
        path: &str,
        params: &Value,
        token: &Masked,
    ) -> Result<Fetched, VaultError> {
        let answer = self.vault.write(path, Some(token), params).await?;
        if answer.text("/data/certificate").is_none() || answer.text("/data/private_key").is_none()
        {
            let what = format!("{path}: the answer has no certificate and key");
            return Err(self.vault.login_error(what));
        }
        let now = SystemTime::now();
        let end = answer.number("/data/expiration").unwrap_or(0);
        let expires = UNIX_EPOCH + Duration::from_secs(end);
        let life = expires.duration_since(now).unwrap_or_default();
        let mut fields = fields(&answer.0["data"]);
        // The chain, leaf's issuer first, as files want it.
        if let Some(chain) = answer.0["data"]["ca_chain"].as_array() {
            let chain: Vec<&str> = chain.iter().filter_map(Value::as_str).collect();
            fields.insert("ca_chain".to_owned(), Masked::new(chain.join("\n")));
        }
        let secret = Secret { fields, version: None, expires: Some(expires) };
        Ok(Fetched { secret: Some(secret), lease: None, act_at: now + two_thirds(life) })
    }

    /// Credentials with a lease: renewed while that works, read anew when it does not.
    async fn lease(
        &self,
        wanted: &SecretRef,
        path: &str,
        token: &Masked,
    ) -> Result<Fetched, VaultError> {
        let held = self.held.get(wanted);
        let current = held.and_then(|held| Some((held.secret.clone()?, held.lease.clone()?)));
        let owner = digest(token);
        if let Some((secret, lease)) = current
            && lease.token == owner
            && let Some(fetched) = self.renew(&secret, lease, token).await?
        {
            return Ok(fetched);
        }
        let answer = self.vault.read(path, token).await?;
        let answer = answer.ok_or_else(|| self.vault.missing(path, ""))?;
        let now = SystemTime::now();
        let fields = fields(&answer.0["data"]);
        let seconds = answer.number("/lease_duration").unwrap_or(0);
        let life = Duration::from_secs(seconds);
        let lease = answer.text("/lease_id").map(|id| Lease {
            id: id.to_owned(),
            renewable: answer.truth("/renewable"),
            seconds,
            token: owner,
        });
        let (expires, act_at) = match lease {
            Some(_) if seconds > 0 => (Some(now + life), now + two_thirds(life)),
            // Not leased after all: like a static secret.
            _ => (None, now + self.vault.config.static_refresh),
        };
        let secret = Secret { fields, version: None, expires };
        Ok(Fetched { secret: Some(secret), lease, act_at })
    }

    /// The same credentials for longer; `None` when they are at their end.
    async fn renew(
        &self,
        secret: &Secret,
        lease: Lease,
        token: &Masked,
    ) -> Result<Option<Fetched>, VaultError> {
        if !lease.renewable {
            return Ok(None);
        }
        let body = json!({"lease_id": lease.id, "increment": lease.seconds});
        let answer = match self.vault.write("sys/leases/renew", Some(token), &body).await {
            Ok(answer) => answer,
            Err(error) if error.is_outage() => return Err(error),
            // A dead token is found out by the read that follows.
            Err(error) => {
                tracing::warn!(%error, "a lease is lost; reading new credentials");
                return Ok(None);
            }
        };
        let seconds = answer.number("/lease_duration").unwrap_or(0);
        if seconds < lease.seconds / RENEWED_PART_MIN || seconds == 0 {
            return Ok(None);
        }
        let now = SystemTime::now();
        let life = Duration::from_secs(seconds);
        let renewed = Secret { expires: Some(now + life), ..secret.clone() };
        let lease = Some(lease);
        Ok(Some(Fetched { secret: Some(renewed), lease, act_at: now + two_thirds(life) }))
    }
}

/// About two thirds of a life; not all hosts at the same moment.
fn two_thirds(life: Duration) -> Duration {
    between(life * 60 / 100, life * 67 / 100)
}

/// The fields of an answer's data. What is no text is told as JSON.
fn fields(data: &Value) -> std::collections::BTreeMap<String, Masked> {
    let texts = data.as_object().into_iter().flatten().filter_map(|(name, value)| {
        let text = match value {
            Value::Null => return None,
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        Some((name.clone(), Masked::new(text)))
    });
    texts.collect()
}
