//! Transactions: several keys read or written at one moment, or not at all.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::{Value, json};

use super::client::{Consul, ConsulError, Pair};
use crate::sources::Entry;

/// Most operations of a transaction: Consul's own limit.
pub const OPERATIONS_MAX: usize = 128;

/// One step of a transaction.
#[derive(Debug, Clone)]
pub enum TxnOp {
    /// Write a key.
    Set {
        /// The key.
        key: String,
        /// Its value.
        value: Vec<u8>,
        /// Its flags.
        flags: u64,
    },
    /// Write a key if it still has this modification index; 0: it does not exist.
    Cas {
        /// The key.
        key: String,
        /// Its value.
        value: Vec<u8>,
        /// Its flags.
        flags: u64,
        /// The index.
        index: u64,
    },
    /// Delete a key.
    Delete {
        /// The key.
        key: String,
    },
    /// Delete a key if it still has this modification index.
    DeleteCas {
        /// The key.
        key: String,
        /// The index.
        index: u64,
    },
    /// Fail unless the session holds the key's lock.
    CheckSession {
        /// The key.
        key: String,
        /// The session.
        session: String,
    },
}

impl TxnOp {
    /// Bytes that it takes in a transaction's body.
    pub fn size(&self) -> usize {
        self.json().to_string().len()
    }

    fn json(&self) -> Value {
        let kv = match self {
            Self::Set { key, value, flags } => {
                json!({"Verb": "set", "Key": key, "Value": STANDARD.encode(value), "Flags": flags})
            }
            Self::Cas { key, value, flags, index } => {
                let value = STANDARD.encode(value);
                json!({"Verb": "cas", "Key": key, "Value": value, "Flags": flags, "Index": index})
            }
            Self::Delete { key } => json!({"Verb": "delete", "Key": key}),
            Self::DeleteCas { key, index } => {
                json!({"Verb": "delete-cas", "Key": key, "Index": index})
            }
            Self::CheckSession { key, session } => {
                json!({"Verb": "check-session", "Key": key, "Session": session})
            }
        };
        json!({ "KV": kv })
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Answer {
    results: Option<Vec<Item>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "UPPERCASE")]
struct Item {
    kv: Option<Pair>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Refusal {
    errors: Option<Vec<Complaint>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Complaint {
    what: String,
}

impl Consul {
    /// Performs all operations or none.
    ///
    /// # Errors
    /// `Refused` with Consul's reasons when a condition does not hold; or the call fails.
    pub async fn txn(&self, operations: &[TxnOp]) -> Result<(), ConsulError> {
        let operations: Vec<Value> = operations.iter().map(TxnOp::json).collect();
        self.transact(operations, false).await.map(drop)
    }

    /// Every key below several prefixes, at one moment.
    pub(super) async fn kv_trees(
        &self,
        prefixes: &[String],
        consistent: bool,
    ) -> Result<BTreeMap<String, Entry>, ConsulError> {
        let tree = |prefix| json!({"KV": {"Verb": "get-tree", "Key": prefix}});
        self.transact(prefixes.iter().map(tree).collect(), consistent).await
    }

    async fn transact(
        &self,
        operations: Vec<Value>,
        consistent: bool,
    ) -> Result<BTreeMap<String, Entry>, ConsulError> {
        let refused = |what| ConsulError::Refused { address: self.address().to_owned(), what };
        if operations.len() > OPERATIONS_MAX {
            let count = operations.len();
            return Err(refused(format!("{count} operations; at most {OPERATIONS_MAX}")));
        }
        let target = format!("/v1/txn?{}", self.mode(consistent).trim_start_matches('&'));
        let answer = self.put(target, Some(&Value::Array(operations)), &[409]).await?;
        if answer.status == 409 {
            let refusal: Refusal = answer.json()?;
            let reasons = refusal.errors.unwrap_or_default();
            let reasons: Vec<String> = reasons.into_iter().map(|reason| reason.what).collect();
            return Err(refused(reasons.join("; ")));
        }
        let items = answer.json::<Answer>()?.results.unwrap_or_default();
        self.entries(&answer, items.into_iter().filter_map(|item| item.kv).collect())
    }
}
