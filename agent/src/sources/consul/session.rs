//! Sessions: what holds locks in KV, and loses them when their holder is gone.

use std::time::Duration;

use serde::Deserialize;
use serde_json::json;

use super::client::{Consul, ConsulError};
use crate::http::encode_path;

/// What happens to the keys of a session that ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Behavior {
    /// Their locks are released.
    Release,
    /// They are deleted.
    Delete,
}

/// How a session is made.
#[derive(Debug, Clone)]
pub struct SessionSpec {
    /// A name for people.
    pub name: String,
    /// It ends when it was not renewed for so long; Consul takes 10 s to 24 h.
    pub ttl: Duration,
    /// After it was lost, nobody gets its locks for so long.
    pub lock_delay: Duration,
    /// What happens to its keys.
    pub behavior: Behavior,
}

#[derive(Deserialize)]
#[serde(rename_all = "UPPERCASE")]
struct Id {
    id: String,
}

impl Consul {
    /// Makes a session on the local node; its id.
    ///
    /// # Errors
    /// The call fails.
    pub async fn session_create(&self, spec: &SessionSpec) -> Result<String, ConsulError> {
        let behavior = match spec.behavior {
            Behavior::Release => "release",
            Behavior::Delete => "delete",
        };
        let body = json!({
            "Name": spec.name,
            "TTL": format!("{}s", spec.ttl.as_secs()),
            "LockDelay": format!("{}ms", spec.lock_delay.as_millis()),
            "Behavior": behavior,
        });
        let answer = self.put("/v1/session/create".to_owned(), Some(&body), &[]).await?;
        Ok(answer.json::<Id>()?.id)
    }

    /// Renews a session; `false` when there is none of this id any more.
    ///
    /// # Errors
    /// The call fails.
    pub async fn session_renew(&self, id: &str) -> Result<bool, ConsulError> {
        let target = format!("/v1/session/renew/{}", encode_path(id));
        Ok(self.put(target, None, &[404]).await?.status != 404)
    }

    /// Ends a session.
    ///
    /// # Errors
    /// The call fails.
    pub async fn session_destroy(&self, id: &str) -> Result<(), ConsulError> {
        let target = format!("/v1/session/destroy/{}", encode_path(id));
        self.put(target, None, &[]).await.map(drop)
    }

    /// Whether a session exists.
    ///
    /// # Errors
    /// The call fails.
    pub async fn session_exists(&self, id: &str) -> Result<bool, ConsulError> {
        let target = format!("/v1/session/info/{}", encode_path(id));
        let answer = self.get(target, &[]).await?;
        Ok(!answer.json::<Vec<Id>>()?.is_empty())
    }
}
