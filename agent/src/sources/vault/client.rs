//! Single calls to Vault's HTTP API. Answers hold secrets: they are never logged, and errors
//! repeat only Vault's own complaint.

use std::sync::Arc;

use hyper::Method;
use serde_json::Value;
use zeroize::Zeroize as _;

use super::config::VaultConfig;
use crate::http::{Http, HttpError, Request, encode_path};
use crate::sources::Masked;

/// Why Vault does not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum VaultError {
    /// The call failed.
    #[error(transparent)]
    Http(#[from] HttpError),
    /// There is nothing to log in with.
    #[error("vault at {address}: {what}")]
    Login {
        /// The server.
        address: String,
        /// What is missing.
        what: String,
    },
    /// There is no such secret.
    #[error("{path}: no such secret in vault at {address}{hint}")]
    Missing {
        /// The secret.
        path: String,
        /// The server.
        address: String,
        /// What is known about it, or nothing.
        hint: &'static str,
    },
}

impl VaultError {
    /// The status, if Vault gave one that is no success.
    pub fn status(&self) -> Option<u16> {
        match self {
            Self::Http(error) => error.status(),
            _ => None,
        }
    }

    /// Whether Vault is ill (or sealed), and not the question.
    pub fn is_outage(&self) -> bool {
        match self {
            Self::Http(error) => error.is_outage() || error.status() == Some(429),
            _ => false,
        }
    }
}

/// A JSON answer whose text is wiped when it is dropped.
pub struct Answer(pub(super) Value);

impl std::fmt::Debug for Answer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("***")
    }
}

impl Drop for Answer {
    fn drop(&mut self) {
        wipe(&mut self.0);
    }
}

fn wipe(value: &mut Value) {
    match value {
        Value::String(text) => text.zeroize(),
        Value::Array(list) => list.iter_mut().for_each(wipe),
        Value::Object(map) => map.values_mut().for_each(wipe),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

impl Answer {
    /// A text within the answer, masked.
    pub(super) fn secret(&self, pointer: &str) -> Option<Masked> {
        let text = self.0.pointer(pointer)?.as_str()?;
        (!text.is_empty()).then(|| Masked::new(text))
    }

    /// A text that is no secret.
    pub(super) fn text(&self, pointer: &str) -> Option<&str> {
        self.0.pointer(pointer)?.as_str().filter(|text| !text.is_empty())
    }

    /// A number.
    pub(super) fn number(&self, pointer: &str) -> Option<u64> {
        self.0.pointer(pointer)?.as_u64()
    }

    /// A truth; absent is `false`.
    pub(super) fn truth(&self, pointer: &str) -> bool {
        self.0.pointer(pointer).and_then(Value::as_bool).unwrap_or(false)
    }
}

/// A client of one Vault.
#[derive(Debug)]
pub struct Vault {
    http: Http,
    pub(super) config: VaultConfig,
}

impl Vault {
    /// A client; nothing is sent yet.
    ///
    /// # Errors
    /// The address or a TLS file is unusable.
    pub fn new(config: VaultConfig) -> Result<Arc<Self>, VaultError> {
        Ok(Arc::new(Self { http: Http::new(&config.address, &config.tls)?, config }))
    }

    /// The server, as `http://HOST:PORT`.
    pub fn address(&self) -> &str {
        self.http.base()
    }

    /// Reads a path; `None` when there is nothing (404), with the answer's body dropped.
    ///
    /// # Errors
    /// The call fails.
    pub async fn read(&self, path: &str, token: &Masked) -> Result<Option<Answer>, VaultError> {
        match self.call(Method::GET, path, Some(token), None).await {
            Ok(answer) => Ok(Some(answer)),
            Err(error) if error.status() == Some(404) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Writes to a path; what it answers.
    ///
    /// # Errors
    /// The call fails.
    pub async fn write(
        &self,
        path: &str,
        token: Option<&Masked>,
        body: &Value,
    ) -> Result<Answer, VaultError> {
        self.call(Method::POST, path, token, Some(body)).await
    }

    async fn call(
        &self,
        method: Method,
        path: &str,
        token: Option<&Masked>,
        body: Option<&Value>,
    ) -> Result<Answer, VaultError> {
        let target = format!("/v1/{}", encode_path(path));
        let mut request = Request::new(method, target, self.config.limit)
            .header("x-vault-request", Masked::new("true"));
        if let Some(token) = token {
            request = request.header("x-vault-token", token.clone());
        }
        if let Some(namespace) = &self.config.namespace {
            request = request.header("x-vault-namespace", Masked::new(namespace));
        }
        if let Some(body) = body {
            request = request.body(body.to_string());
        }
        let answer = self.http.send(request).await?.accept(&[])?;
        if answer.body.is_empty() {
            return Ok(Answer(Value::Null));
        }
        Ok(Answer(answer.json()?))
    }

    pub(super) fn login_error(&self, what: impl Into<String>) -> VaultError {
        VaultError::Login { address: self.address().to_owned(), what: what.into() }
    }

    pub(super) fn missing(&self, path: &str, hint: &'static str) -> VaultError {
        VaultError::Missing { path: path.to_owned(), address: self.address().to_owned(), hint }
    }
}
