//! Logging in, and staying so: tokens are renewed at two thirds of their life, and gotten anew
//! when they are revoked, expired, or cannot be renewed.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};
use serde_json::json;

use super::client::{Answer, Vault, VaultError};
use super::config::{Auth, Mode};
use super::leases::{Remembered, Saved, digest};
use crate::sources::Masked;
use crate::sources::jitter::between;
use crate::sources::token_file::TokenFile;

/// A token that lives for less has to be gotten anew rather than renewed.
const RENEWED_MIN: Duration = Duration::from_secs(2);

/// How long before its end a token is given up.
const MARGIN: Duration = Duration::from_secs(1);

/// A token, and what is known about its life.
#[derive(Debug, Clone)]
pub(super) struct Token {
    pub(super) value: Masked,
    /// When it ends; `None`: never.
    pub(super) expires: Option<SystemTime>,
    /// When to renew it.
    pub(super) renew_at: Option<SystemTime>,
    renewable: bool,
}

/// What of a token stands in the lease file.
#[derive(Serialize, Deserialize)]
pub(super) struct SavedToken {
    value: Saved,
    expires: Option<SystemTime>,
    renewable: bool,
}

/// Keeps one token.
#[derive(Debug)]
pub(super) struct Session {
    vault: Arc<Vault>,
    file: Option<TokenFile>,
    token: Option<Token>,
    /// The secret id that a wrapping token gave, and the digest of that token.
    unwrapped: Option<(String, Masked)>,
    mode: Mode,
}

impl Session {
    /// Nothing is sent yet; what an earlier process remembered is tried first.
    pub(super) fn new(vault: Arc<Vault>, remembered: &Remembered, mode: Mode) -> Self {
        let file = match &vault.config.auth {
            Some(Auth::TokenFile(path)) => Some(path),
            Some(Auth::AppRole { secret_id_file, .. }) => Some(secret_id_file),
            Some(Auth::Jwt { token_file, .. }) => Some(token_file),
            Some(Auth::Token(_)) | None => None,
        };
        let file = file.map(TokenFile::new);
        let logs_in = matches!(vault.config.auth, Some(Auth::AppRole { .. } | Auth::Jwt { .. }));
        let token = remembered.token.as_ref().filter(|_| logs_in).map(|saved| Token {
            value: saved.value.masked(),
            expires: saved.expires,
            // Looked at before its first use.
            renew_at: Some(SystemTime::now()),
            renewable: saved.renewable,
        });
        let unwrapped = remembered.secret_id.as_ref();
        let unwrapped = unwrapped.map(|(digest, saved)| (digest.clone(), saved.masked()));
        Self { vault, file, token, unwrapped, mode }
    }

    /// What a later process needs.
    pub(super) fn remember(&self, into: &mut Remembered) {
        into.token = self.token.as_ref().map(|token| SavedToken {
            value: Saved::new(&token.value),
            expires: token.expires,
            renewable: token.renewable,
        });
        let unwrapped = self.unwrapped.as_ref();
        into.secret_id = unwrapped.map(|(digest, id)| (digest.clone(), Saved::new(id)));
    }

    /// By what the token can be recognised; `None`: there is none.
    pub(super) fn digest(&self) -> Option<String> {
        self.token.as_ref().map(|token| digest(&token.value))
    }

    /// When the token ends, as far as is known.
    pub(super) fn expires(&self) -> Option<SystemTime> {
        self.token.as_ref()?.expires
    }

    /// When the token wants attention.
    pub(super) fn due(&self) -> Option<SystemTime> {
        self.token.as_ref()?.renew_at
    }

    /// A token that works as far as is known; renewed or gotten anew where needed.
    pub(super) async fn token(&mut self) -> Result<Masked, VaultError> {
        let now = SystemTime::now();
        if let (Some(Auth::TokenFile(_)), Some(file), Some(token)) =
            (&self.vault.config.auth, &self.file, &self.token)
            && file.read().is_ok_and(|fresh| fresh != token.value)
        {
            self.token = None;
        }
        if let Some(token) = self.token.take() {
            let alive = token.expires.is_none_or(|end| now + MARGIN < end);
            let due = token.renew_at.is_some_and(|at| at <= now);
            match (alive, due) {
                (true, false) => self.token = Some(token),
                (true, true) => self.token = self.renew(token).await?,
                (false, _) => tracing::warn!("the vault token has expired; logging in again"),
            }
        }
        if let Some(token) = &self.token {
            return Ok(token.value.clone());
        }
        let token = self.login().await?;
        let value = token.value.clone();
        self.token = Some(token);
        Ok(value)
    }

    /// After a 403: whether the token is the reason. Then the next `token` logs in again.
    pub(super) async fn is_dead(&mut self) -> bool {
        let Some(token) = &self.token else { return true };
        let looked = self.vault.read("auth/token/lookup-self", &token.value).await;
        let dead = looked.is_err_and(|error| error.status() == Some(403));
        if dead {
            tracing::warn!("vault no longer accepts the token; logging in again");
            self.token = None;
        }
        dead
    }

    /// The renewed token; `None` when it is at its end.
    async fn renew(&mut self, token: Token) -> Result<Option<Token>, VaultError> {
        let path = "auth/token/renew-self";
        let renewed = match token.renewable {
            true => self.vault.write(path, Some(&token.value), &json!({})).await,
            false => {
                let looked = self.vault.read("auth/token/lookup-self", &token.value).await;
                looked.map(|answer| answer.unwrap_or(Answer(serde_json::Value::Null)))
            }
        };
        match renewed {
            Ok(answer) if token.renewable => {
                let fresh = Token::of(&answer, token.value.clone());
                let life = fresh.expires.and_then(|end| end.duration_since(SystemTime::now()).ok());
                let lives = fresh.expires.is_none() || life.is_some_and(|life| life > RENEWED_MIN);
                Ok(lives.then_some(fresh))
            }
            Ok(_) => Ok(Some(Token { renew_at: token.expires.map(before_end), ..token })),
            Err(error) if error.is_outage() => {
                self.token = Some(token);
                Err(error)
            }
            Err(error) => {
                tracing::warn!(%error, "the vault token cannot be renewed; logging in again");
                Ok(None)
            }
        }
    }

    async fn login(&mut self) -> Result<Token, VaultError> {
        let vault = self.vault.clone();
        let read = |file: &Option<TokenFile>| match file {
            Some(file) => file.read().map_err(|what| vault.login_error(what)),
            None => Err(vault.login_error("no file to log in with")),
        };
        let (mount, body) = match &vault.config.auth {
            None => {
                let what = "nothing to log in with; set auth in the vault block, or VAULT_TOKEN";
                return Err(vault.login_error(what));
            }
            Some(Auth::Token(token)) => return self.look_up(token.clone()).await,
            Some(Auth::TokenFile(path)) => {
                let token = read(&self.file)?;
                return self.look_up(token).await.map_err(|error| match error.status() {
                    Some(403) => vault.login_error(format!(
                        "the token in {} is revoked or expired; write a new one ({error})",
                        path.display()
                    )),
                    _ => error,
                });
            }
            Some(Auth::AppRole { mount, role_id, wrapped, .. }) => {
                let found = read(&self.file)?;
                let id = if *wrapped { self.unwrap(mount, found).await? } else { found };
                (mount, json!({"role_id": role_id, "secret_id": id.expose()}))
            }
            Some(Auth::Jwt { mount, role, .. }) => {
                let jwt = read(&self.file)?;
                (mount, json!({"role": role, "jwt": jwt.expose()}))
            }
        };
        let body = Answer(body);
        let answer = vault.write(&format!("auth/{mount}/login"), None, &body.0).await?;
        let value = answer.secret("/auth/client_token");
        let value = value.ok_or_else(|| vault.login_error("the login gave no token"))?;
        tracing::info!(mount, "logged in to vault");
        Ok(Token::of(&answer, value))
    }

    /// A token that was given: how long it lives.
    async fn look_up(&self, value: Masked) -> Result<Token, VaultError> {
        let answer = self.vault.read("auth/token/lookup-self", &value).await?;
        let answer = answer.ok_or_else(|| self.vault.login_error("the token is unknown"))?;
        let ttl = answer.number("/data/ttl").unwrap_or(0);
        Ok(Token::new(value, ttl, answer.truth("/data/renewable")))
    }

    /// The secret id behind a wrapping token, which can be asked for only once.
    async fn unwrap(&mut self, mount: &str, wrapping: Masked) -> Result<Masked, VaultError> {
        let digest = digest(&wrapping);
        if let Some((known, id)) = &self.unwrapped
            && *known == digest
        {
            return Ok(id.clone());
        }
        let vault = &self.vault;
        if self.mode == Mode::Look {
            let what = "the wrapped secret id is the agent's to unwrap, which works once; start it";
            return Err(vault.login_error(what));
        }
        let path = "sys/wrapping/lookup";
        let body = Answer(json!({"token": wrapping.expose()}));
        let taken = |error: VaultError| match error.status() {
            Some(400 | 403) => vault.login_error(format!(
                "the wrapped secret id was already unwrapped or has expired; if it was not by \
                 this host, somebody else has it: revoke it and deliver a new one ({error})"
            )),
            _ => error,
        };
        let looked = vault.write(path, None, &body.0).await.map_err(taken)?;
        let made_at = looked.text("/data/creation_path").unwrap_or_default();
        let expected = format!("auth/{mount}/role/");
        if !(made_at.starts_with(&expected) && made_at.ends_with("/secret-id")) {
            let what = format!(
                "the wrapping token was made at {made_at:?} and not at {expected}NAME/secret-id"
            );
            return Err(vault.login_error(what));
        }
        let empty = json!({});
        let answer = vault.write("sys/wrapping/unwrap", Some(&wrapping), &empty).await;
        let answer = answer.map_err(taken)?;
        let id = answer.secret("/data/secret_id");
        let id = id.ok_or_else(|| vault.login_error("the wrapping token holds no secret id"))?;
        self.unwrapped = Some((digest, id.clone()));
        Ok(id)
    }
}

impl Token {
    fn of(answer: &Answer, value: Masked) -> Self {
        let ttl = answer.number("/auth/lease_duration").unwrap_or(0);
        Self::new(value, ttl, answer.truth("/auth/renewable"))
    }

    /// A token with `ttl` seconds to live; 0 is for ever.
    fn new(value: Masked, ttl: u64, renewable: bool) -> Self {
        let ttl = Duration::from_secs(ttl);
        if ttl.is_zero() {
            return Self { value, expires: None, renew_at: None, renewable };
        }
        let now = SystemTime::now();
        let at = between(ttl * 60 / 100, ttl * 67 / 100);
        Self { value, expires: Some(now + ttl), renew_at: Some(now + at), renewable }
    }
}

/// Just before a token ends that cannot be renewed.
fn before_end(end: SystemTime) -> SystemTime {
    end.checked_sub(MARGIN).unwrap_or(end)
}

#[cfg(test)]
mod tests;
