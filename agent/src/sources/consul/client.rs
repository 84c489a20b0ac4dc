//! Single calls to Consul's HTTP API.
//!
//! A call names its key or service in its error. Nothing here retries; what watches does.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hyper::Method;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::watch;

use super::config::ConsulConfig;
use crate::http::{Http, HttpError, Request, Response, encode_path, encode_query};
use crate::sources::token_file::TokenFile;
use crate::sources::{Entry, Instance, KEYS_MAX, Kv, Masked, ServiceQuery, VALUE_BYTES_MAX};

/// Why Consul does not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum ConsulError {
    /// The call failed.
    #[error(transparent)]
    Http(#[from] HttpError),
    /// The token file cannot be read.
    #[error("consul token: {0}")]
    Token(String),
    /// A key or the whole tree is too big.
    #[error("{what} (at {address})")]
    Bounds {
        /// The key or prefix, its size, and the bound.
        what: String,
        /// The server.
        address: String,
    },
    /// The transaction was refused.
    #[error("transaction at {address}: {what}")]
    Refused {
        /// The server.
        address: String,
        /// Its reason.
        what: String,
    },
}

impl ConsulError {
    /// The status, if the server gave one that is no success.
    pub fn status(&self) -> Option<u16> {
        match self {
            Self::Http(error) => error.status(),
            _ => None,
        }
    }

    /// Whether the server is ill, and not the question.
    pub fn is_outage(&self) -> bool {
        matches!(self, Self::Http(error) if error.is_outage())
    }
}

/// How a blocking query is asked.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Block {
    /// The index to wait beyond; 0 answers at once.
    pub(super) index: u64,
    /// How long to wait.
    pub(super) wait: Duration,
    /// Ask the leader to make sure that it still is.
    pub(super) consistent: bool,
}

/// A list and what Consul says about its age.
#[derive(Debug)]
pub struct Listing<T> {
    /// What was asked for.
    pub value: T,
    /// The index to wait beyond; 0 counts as 1.
    pub index: u64,
    /// Whether the servers have a leader.
    pub known_leader: bool,
}

/// Under which condition a key is written.
#[derive(Debug, Clone, Copy)]
pub enum Put<'a> {
    /// None.
    Always,
    /// The key still has this modification index; 0: it does not exist.
    Cas(u64),
    /// The session gets the key's lock.
    Acquire(&'a str),
    /// The session gives the key's lock back.
    Release(&'a str),
}

/// A client of one Consul agent. All parts of the process share one and its connections.
#[derive(Debug)]
pub struct Consul {
    http: Http,
    token: Option<Masked>,
    token_file: Option<TokenFile>,
    /// What goes with every question about keys and health: datacenter, consistency.
    datacenter: String,
    stale: bool,
    pub(super) wait: Duration,
    limit: Duration,
    failing: AtomicBool,
    recoveries: watch::Sender<u64>,
    pub(super) turns: super::poll::Turns,
}

/// A key as Consul spells it.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Pair {
    pub(super) key: String,
    #[serde(default)]
    flags: u64,
    value: Option<String>,
    modify_index: u64,
}

impl Consul {
    /// A client; nothing is sent yet.
    ///
    /// # Errors
    /// The address or a TLS file is unusable.
    pub fn new(config: ConsulConfig) -> Result<Arc<Self>, ConsulError> {
        Ok(Arc::new(Self {
            http: Http::new(&config.address, &config.tls)?,
            token: config.token,
            token_file: config.token_file.map(TokenFile::new),
            datacenter: config
                .datacenter
                .map(|name| format!("&dc={}", encode_query(&name)))
                .unwrap_or_default(),
            stale: config.stale,
            wait: config.wait,
            limit: config.limit,
            failing: AtomicBool::new(false),
            recoveries: watch::Sender::new(0),
            turns: super::poll::Turns::default(),
        }))
    }

    /// The server, as `http://HOST:PORT`.
    pub fn address(&self) -> &str {
        self.http.base()
    }

    /// Counts how often Consul answered again after it had not.
    pub fn recoveries(&self) -> watch::Receiver<u64> {
        self.recoveries.subscribe()
    }

    pub(super) async fn send(
        &self,
        method: Method,
        target: String,
        body: Option<&Value>,
        accepted: &[u16],
        limit: Duration,
    ) -> Result<Response, ConsulError> {
        let mut request = Request::new(method, target, limit);
        if let Some(token) = self.current_token()? {
            request = request.header("x-consul-token", token);
        }
        if let Some(body) = body {
            request = request.body(body.to_string());
        }
        let answer = self.http.send(request).await.and_then(|answer| answer.accept(accepted));
        let outage = answer.as_ref().is_err_and(HttpError::is_outage);
        if self.failing.swap(outage, Ordering::Relaxed) && !outage {
            self.recoveries.send_modify(|count| *count += 1);
        }
        Ok(answer?)
    }

    fn current_token(&self) -> Result<Option<Masked>, ConsulError> {
        match &self.token_file {
            Some(file) => file.read().map(Some).map_err(ConsulError::Token),
            None => Ok(self.token.clone()),
        }
    }

    pub(super) async fn get(
        &self,
        target: String,
        accepted: &[u16],
    ) -> Result<Response, ConsulError> {
        self.send(Method::GET, target, None, accepted, self.limit).await
    }

    pub(super) async fn put(
        &self,
        target: String,
        body: Option<&Value>,
        accepted: &[u16],
    ) -> Result<Response, ConsulError> {
        self.send(Method::PUT, target, body, accepted, self.limit).await
    }

    /// A blocking query. Its deadline is the wait, the sixteenth that Consul adds, and a margin.
    async fn block(&self, target: &str, block: Block) -> Result<Response, ConsulError> {
        let mut target = target.to_owned();
        if block.index > 0 {
            let wait = block.wait.as_millis();
            target.push_str(&format!("&index={}&wait={wait}ms", block.index));
        }
        target.push_str(&self.mode(block.consistent));
        let limit =
            self.limit + if block.index > 0 { block.wait * 17 / 16 } else { Duration::ZERO };
        self.send(Method::GET, target, None, &[404], limit).await
    }

    /// What a question ends with: consistency and datacenter.
    pub(super) fn mode(&self, consistent: bool) -> String {
        let mode = match (consistent, self.stale) {
            (true, _) => "&consistent",
            (false, true) => "&stale",
            (false, false) => "",
        };
        format!("{mode}{}", self.datacenter)
    }

    /// Whether the servers have a leader.
    ///
    /// # Errors
    /// The agent does not answer.
    pub async fn has_leader(&self) -> Result<bool, ConsulError> {
        let answer = self.get("/v1/status/leader".to_owned(), &[]).await?;
        Ok(!answer.json::<String>()?.is_empty())
    }

    /// The name of the local agent's node.
    ///
    /// # Errors
    /// The agent does not answer, or denies it.
    pub async fn node_name(&self) -> Result<String, ConsulError> {
        let answer = self.get("/v1/agent/self".to_owned(), &[]).await?;
        let value: Value = answer.json()?;
        let name = value["Config"]["NodeName"].as_str();
        Ok(name.ok_or_else(|| answer.garbage("the answer has no Config.NodeName"))?.to_owned())
    }

    /// One key, if it exists.
    ///
    /// # Errors
    /// The call fails.
    pub async fn kv_get(&self, key: &str) -> Result<Option<Entry>, ConsulError> {
        let target =
            format!("/v1/kv/{}?{}", encode_path(key), self.mode(false).trim_start_matches('&'));
        let answer = self.get(target, &[404]).await?;
        if answer.status == 404 {
            return Ok(None);
        }
        let pairs: Vec<Pair> = answer.json()?;
        Ok(self.entries(&answer, pairs)?.into_values().next())
    }

    /// Every key below a prefix.
    ///
    /// # Errors
    /// The call fails, or what is there is beyond the bounds.
    pub async fn kv_list(&self, prefix: &str) -> Result<Kv, ConsulError> {
        let listing = self.kv_block(prefix, Block::default()).await?;
        Ok(Kv { index: listing.index, entries: listing.value })
    }

    pub(super) async fn kv_block(
        &self,
        prefix: &str,
        block: Block,
    ) -> Result<Listing<BTreeMap<String, Entry>>, ConsulError> {
        let target = format!("/v1/kv/{}?recurse", encode_path(prefix));
        let answer = self.block(&target, block).await?;
        if answer.truth("x-consul-results-filtered-by-acls") == Some(true) {
            let what = format!("the token may not read all of {prefix:?}");
            return Err(answer.garbage(what).into());
        }
        // No key below the prefix is a 404, but so is a proxy that knows no such page.
        let index = header_index(&answer)?;
        let pairs = if answer.status == 404 { Vec::new() } else { answer.json()? };
        let value = self.entries(&answer, pairs)?;
        Ok(Listing { value, index, known_leader: known_leader(&answer) })
    }

    pub(super) fn entries(
        &self,
        answer: &Response,
        pairs: Vec<Pair>,
    ) -> Result<BTreeMap<String, Entry>, ConsulError> {
        let bounds = |what| ConsulError::Bounds { what, address: self.address().to_owned() };
        if pairs.len() > KEYS_MAX {
            let first = &pairs[0].key;
            let what = format!("{} keys from {first:?} on; at most {KEYS_MAX}", pairs.len());
            return Err(bounds(what));
        }
        let mut entries = BTreeMap::new();
        for pair in pairs {
            let coded = pair.value.unwrap_or_default();
            let value = STANDARD
                .decode(coded)
                .map_err(|_| answer.garbage(format!("the value of {:?} is no base64", pair.key)))?;
            if value.len() > VALUE_BYTES_MAX {
                let (key, length) = (&pair.key, value.len());
                let what = format!("{key:?} has {length} bytes; at most {VALUE_BYTES_MAX}");
                return Err(bounds(what));
            }
            let entry = Entry { value, flags: pair.flags, modified: pair.modify_index };
            entries.insert(pair.key, entry);
        }
        Ok(entries)
    }

    /// Writes a key; `false` when the condition does not hold.
    ///
    /// # Errors
    /// The call fails.
    pub async fn kv_put(
        &self,
        key: &str,
        value: &[u8],
        flags: u64,
        put: Put<'_>,
    ) -> Result<bool, ConsulError> {
        let condition = match put {
            Put::Always => String::new(),
            Put::Cas(index) => format!("&cas={index}"),
            Put::Acquire(session) => format!("&acquire={}", encode_query(session)),
            Put::Release(session) => format!("&release={}", encode_query(session)),
        };
        let key = encode_path(key);
        let target = format!("/v1/kv/{key}?flags={flags}{condition}{}", self.datacenter);
        let mut request = Request::new(Method::PUT, target, self.limit).body(value.to_vec());
        if let Some(token) = self.current_token()? {
            request = request.header("x-consul-token", token);
        }
        Ok(self.http.send(request).await?.accept(&[])?.json()?)
    }

    /// Deletes a key; with an index only if it was not changed since.
    ///
    /// # Errors
    /// The call fails.
    pub async fn kv_delete(&self, key: &str, cas: Option<u64>) -> Result<bool, ConsulError> {
        let condition = cas.map_or_else(String::new, |index| format!("cas={index}"));
        let target = format!("/v1/kv/{}?{condition}{}", encode_path(key), self.datacenter);
        let answer = self.send(Method::DELETE, target, None, &[], self.limit).await?;
        Ok(answer.json()?)
    }

    /// Deletes every key below a prefix.
    ///
    /// # Errors
    /// The call fails.
    pub async fn kv_delete_tree(&self, prefix: &str) -> Result<(), ConsulError> {
        let target = format!("/v1/kv/{}?recurse{}", encode_path(prefix), self.datacenter);
        self.send(Method::DELETE, target, None, &[], self.limit).await.map(drop)
    }

    /// The instances of a service.
    ///
    /// # Errors
    /// The call fails.
    pub async fn health_service(&self, query: &ServiceQuery) -> Result<Vec<Instance>, ConsulError> {
        Ok(self.health_block(query, Block::default()).await?.value)
    }

    pub(super) async fn health_block(
        &self,
        query: &ServiceQuery,
        block: Block,
    ) -> Result<Listing<Vec<Instance>>, ConsulError> {
        let mut target = format!("/v1/health/service/{}?", encode_path(&query.name));
        if query.passing_only {
            target.push_str("passing=true");
        }
        if let Some(tag) = &query.tag {
            target.push_str(&format!("&tag={}", encode_query(tag)));
        }
        let answer = self.block(&target, block).await?.accept(&[])?;
        let index = header_index(&answer)?;
        let items: Vec<super::health::Item> = answer.json()?;
        let mut value: Vec<Instance> = items.into_iter().map(Into::into).collect();
        value.sort_by(|a, b| (&a.node, &a.id).cmp(&(&b.node, &b.id)));
        Ok(Listing { value, index, known_leader: known_leader(&answer) })
    }

    /// The services of the local agent, as Consul tells them, by id.
    ///
    /// # Errors
    /// The call fails.
    pub async fn agent_services(&self) -> Result<BTreeMap<String, Value>, ConsulError> {
        Ok(self.get("/v1/agent/services".to_owned(), &[]).await?.json()?)
    }

    /// The checks of the local agent, as Consul tells them, by id.
    ///
    /// # Errors
    /// The call fails.
    pub async fn agent_checks(&self) -> Result<BTreeMap<String, Value>, ConsulError> {
        Ok(self.get("/v1/agent/checks".to_owned(), &[]).await?.json()?)
    }

    /// Registers a service with the local agent; checks that it no longer has go.
    ///
    /// # Errors
    /// The call fails.
    pub async fn register(&self, service: &Value) -> Result<(), ConsulError> {
        let target = "/v1/agent/service/register?replace-existing-checks=true".to_owned();
        self.put(target, Some(service), &[]).await.map(drop)
    }

    /// Takes a service out of the local agent. One that is not there is fine.
    ///
    /// # Errors
    /// The call fails.
    pub async fn deregister(&self, id: &str) -> Result<(), ConsulError> {
        let target = format!("/v1/agent/service/deregister/{}", encode_path(id));
        self.put(target, None, &[404]).await.map(drop)
    }

    /// Takes a service of the local agent out of the answers, or back into them.
    ///
    /// # Errors
    /// The call fails, or there is no such service.
    pub async fn maintenance(&self, id: &str, on: Option<&str>) -> Result<(), ConsulError> {
        let mode = match on {
            Some(reason) => format!("enable=true&reason={}", encode_query(reason)),
            None => "enable=false".to_owned(),
        };
        let target = format!("/v1/agent/service/maintenance/{}?{mode}", encode_path(id));
        self.put(target, None, &[]).await.map(drop)
    }

    /// Reports on a TTL check: `passing`, `warning` or `critical`.
    ///
    /// # Errors
    /// The call fails, or there is no such check.
    pub async fn check_update(
        &self,
        check: &str,
        status: &str,
        note: &str,
    ) -> Result<(), ConsulError> {
        let target = format!("/v1/agent/check/update/{}", encode_path(check));
        self.put(target, Some(&json!({"Status": status, "Output": note})), &[]).await.map(drop)
    }
}

/// The index of an answer. 0 would never block, so it counts as 1.
fn header_index(answer: &Response) -> Result<u64, HttpError> {
    let index = answer.number("x-consul-index");
    Ok(index.ok_or_else(|| answer.garbage("the answer has no X-Consul-Index"))?.max(1))
}

fn known_leader(answer: &Response) -> bool {
    answer.truth("x-consul-knownleader").unwrap_or(true)
}
