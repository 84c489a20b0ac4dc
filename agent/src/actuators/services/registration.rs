//! A service as it is wanted, and whether what Consul holds is the same.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};

/// The metadata key under which the digest of a registration stands. Consul does not tell all of
/// a check's definition, so it cannot be compared part by part.
const DIGEST: &str = "howdah-digest";

/// A check's or service's state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// Well.
    Passing,
    /// Well enough to be found.
    Warning,
    /// Not to be used.
    Critical,
}

impl Status {
    /// Consul's word.
    pub fn name(self) -> &'static str {
        match self {
            Self::Passing => "passing",
            Self::Warning => "warning",
            Self::Critical => "critical",
        }
    }
}

/// How a service is checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CheckKind {
    /// Consul asks this URL; 2xx passes, 429 warns.
    Http {
        /// The URL.
        url: String,
    },
    /// Consul connects to this `HOST:PORT`.
    Tcp {
        /// The address.
        address: String,
    },
    /// The agent reports; without a report for so long the check is critical.
    Ttl {
        /// The time.
        ttl: Duration,
    },
}

/// One check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Check {
    /// A name, unique within the service.
    pub name: String,
    /// How.
    pub kind: CheckKind,
    /// How often, where Consul asks.
    pub interval: Duration,
    /// How long an answer may take.
    pub timeout: Duration,
}

impl Check {
    /// The id in Consul.
    pub fn id(&self, service: &str) -> String {
        format!("{service}:{}", self.name)
    }

    /// The time to live, of a check that the agent reports.
    pub fn ttl(&self) -> Option<Duration> {
        match self.kind {
            CheckKind::Ttl { ttl } => Some(ttl),
            _ => None,
        }
    }

    fn json(&self, service: &str, deregister: Option<Duration>) -> Value {
        let milliseconds = |time: Duration| format!("{}ms", time.as_millis());
        let mut check = Map::new();
        let mut set = |key: &str, value: String| check.insert(key.to_owned(), value.into());
        set("CheckID", self.id(service));
        set("Name", self.name.clone());
        match &self.kind {
            CheckKind::Http { url } => set("HTTP", url.clone()),
            CheckKind::Tcp { address } => set("TCP", address.clone()),
            CheckKind::Ttl { ttl } => set("TTL", milliseconds(*ttl)),
        };
        if self.ttl().is_none() {
            set("Interval", milliseconds(self.interval));
            set("Timeout", milliseconds(self.timeout));
        }
        if let Some(time) = deregister {
            set("DeregisterCriticalServiceAfter", milliseconds(time));
        }
        Value::Object(check)
    }
}

/// A wanted service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Registration {
    /// Unique on this host; the registrar puts its prefix in front.
    pub id: String,
    /// The service's name, a DNS label.
    pub name: String,
    /// Where it is reached; the node's own address when absent.
    pub address: Option<String>,
    /// The port.
    pub port: u16,
    /// Tags such as `active`; they may change any time.
    pub tags: Vec<String>,
    /// Metadata such as rack and generation.
    pub meta: BTreeMap<String, String>,
    /// Checks.
    pub checks: Vec<Check>,
    /// Consul removes the service when a check was critical for so long.
    pub deregister_critical_after: Option<Duration>,
}

impl Registration {
    /// What Consul is told.
    pub(super) fn json(&self, id: &str) -> Value {
        let mut service = self.plain(id);
        service["Meta"][DIGEST] = self.digest(id).into();
        service
    }

    fn plain(&self, id: &str) -> Value {
        let after = self.deregister_critical_after;
        let checks: Vec<Value> = self.checks.iter().map(|check| check.json(id, after)).collect();
        json!({
            "ID": id,
            "Name": self.name,
            "Address": self.address.clone().unwrap_or_default(),
            "Port": self.port,
            "Tags": self.tags,
            "Meta": self.meta,
            "Checks": checks,
            "EnableTagOverride": false,
        })
    }

    fn digest(&self, id: &str) -> String {
        let digest = Sha256::digest(self.plain(id).to_string());
        digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect()
    }

    /// Whether Consul holds exactly this.
    pub(super) fn stands(&self, id: &str, found: &Value, checks: &BTreeMap<String, Value>) -> bool {
        let wanted = self.json(id);
        let same = |ours: &str, theirs: &str| wanted[ours] == found[theirs];
        let empty = |value: &Value| value.as_array().is_none_or(Vec::is_empty);
        let tags =
            wanted["Tags"] == found["Tags"] || empty(&wanted["Tags"]) && empty(&found["Tags"]);
        let there = |check: &Check| checks.contains_key(&check.id(id));
        tags && same("Name", "Service")
            && same("Address", "Address")
            && same("Port", "Port")
            && same("Meta", "Meta")
            && self.checks.iter().all(there)
    }
}
