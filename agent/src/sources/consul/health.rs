//! Instances of services, kept up to date: one blocking query for each question, one snapshot of
//! all answers. As with keys, a service that is suddenly without instances just after an outage
//! is believed only when the leader confirmed it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use serde::Deserialize;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

use super::client::{Block, Consul};
use super::poll::{Poll, Round};
use crate::sources::{Instance, ServiceQuery, Services, Sourced};

/// For so long after an outage an emptied service must be confirmed.
const DOUBT: Duration = Duration::from_secs(10);

/// Reports that wait for the combining task.
const REPORTS_MAX: usize = 16;

/// An instance as Consul spells it.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Item {
    node: Node,
    service: Service,
    #[serde(default)]
    checks: Vec<Check>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Node {
    node: String,
    address: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Service {
    #[serde(rename = "ID")]
    id: String,
    address: String,
    port: u16,
    tags: Option<Vec<String>>,
    meta: Option<BTreeMap<String, String>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Check {
    status: String,
}

impl From<Item> for Instance {
    fn from(item: Item) -> Self {
        let own = item.service.address;
        let mut tags = item.service.tags.unwrap_or_default();
        tags.sort();
        Self {
            node: item.node.node,
            address: if own.is_empty() { item.node.address } else { own },
            port: item.service.port,
            id: item.service.id,
            tags,
            meta: item.service.meta.unwrap_or_default(),
            passing: item.checks.iter().all(|check| check.status == "passing"),
        }
    }
}

/// The watch; it ends when this is dropped.
#[derive(Debug)]
pub struct HealthWatch {
    wanted: watch::Sender<BTreeSet<ServiceQuery>>,
    receiver: watch::Receiver<Sourced<Services>>,
}

impl HealthWatch {
    /// Starts with no question.
    pub fn start(consul: Arc<Consul>) -> Self {
        let (wanted, questions) = watch::channel(BTreeSet::new());
        let (sender, receiver) = watch::channel(Sourced::default());
        tokio::spawn(combine(consul, questions, sender));
        Self { wanted, receiver }
    }

    /// Replaces the questions. Answers to those that stay are kept.
    pub fn want(&self, queries: BTreeSet<ServiceQuery>) {
        self.wanted.send_if_modified(|wanted| {
            let new = *wanted != queries;
            *wanted = queries;
            new
        });
    }

    /// The answers. A question without an answer yet is not in the map.
    pub fn receiver(&self) -> watch::Receiver<Sourced<Services>> {
        self.receiver.clone()
    }
}

struct Report {
    query: ServiceQuery,
    what: Result<Option<Vec<Instance>>, String>,
}

/// One question, asked until its task is aborted.
async fn poll(consul: Arc<Consul>, query: ServiceQuery, sender: mpsc::Sender<Report>) {
    let mut poll = Poll::default();
    let mut had_any = false;
    loop {
        let ask = async |block| consul.health_block(&query, block).await;
        let answer = match poll.round(&consul.turns.health, consul.wait, ask).await {
            Ok(Round::Same) => Ok(None),
            Ok(Round::Changed(listing)) => {
                let recent = poll.recovered.is_some_and(|at| at.elapsed() < DOUBT);
                let doubtful = recent || !listing.known_leader;
                if had_any && doubtful && listing.value.is_empty() {
                    let confirm = Block { consistent: true, ..Block::default() };
                    consul.health_block(&query, confirm).await.map(|listing| Some(listing.value))
                } else {
                    Ok(Some(listing.value))
                }
            }
            Err(error) => Err(error),
        };
        if let Ok(Some(instances)) = &answer {
            had_any = !instances.is_empty();
        }
        let (what, failure) = match answer {
            Ok(instances) => (Ok(instances), None),
            Err(error) => (Err(error.to_string()), Some(error)),
        };
        if sender.send(Report { query: query.clone(), what }).await.is_err() {
            return;
        }
        if let Some(error) = failure {
            poll.pause(&consul, &error).await;
        }
    }
}

/// What the combining task knows of one question.
struct Asked {
    task: JoinHandle<()>,
    answer: Option<Vec<Instance>>,
    error: Option<String>,
}

impl Drop for Asked {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn combine(
    consul: Arc<Consul>,
    mut wanted: watch::Receiver<BTreeSet<ServiceQuery>>,
    sender: watch::Sender<Sourced<Services>>,
) {
    let (reports, mut inbox) = mpsc::channel::<Report>(REPORTS_MAX);
    let mut asked: BTreeMap<ServiceQuery, Asked> = BTreeMap::new();
    loop {
        tokio::select! {
            changed = wanted.changed() => {
                if changed.is_err() {
                    return;
                }
                let queries = wanted.borrow_and_update().clone();
                asked.retain(|query, _| queries.contains(query));
                for query in queries {
                    asked.entry(query.clone()).or_insert_with(|| {
                        let task = poll(consul.clone(), query, reports.clone());
                        Asked { task: tokio::spawn(task), answer: None, error: None }
                    });
                }
            }
            report = inbox.recv() => {
                let Some(report) = report else { return };
                let Some(asked) = asked.get_mut(&report.query) else { continue };
                asked.error = report.what.as_ref().err().cloned();
                if let Ok(Some(instances)) = report.what {
                    asked.answer = Some(instances);
                }
            }
        }
        tell(&sender, &asked);
    }
}

fn tell(sender: &watch::Sender<Sourced<Services>>, asked: &BTreeMap<ServiceQuery, Asked>) {
    let answered = asked.iter().filter_map(|(query, a)| Some((query.clone(), a.answer.clone()?)));
    let services: Services = answered.collect();
    let error = asked.values().find_map(|asked| asked.error.clone());
    sender.send_modify(|sourced| {
        if sourced.value.as_deref() != Some(&services) {
            sourced.value = Some(Arc::new(services));
        }
        if error.is_none() {
            sourced.at = Some(SystemTime::now());
        }
        sourced.error = error;
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scripted::{Answer, Scripted};
    use crate::sources::consul::ConsulConfig;

    const NAMENODE: &str = r#"[{"Node":{"Node":"b","Address":"10.0.0.2"},"Service":{"ID":"nn-1",
        "Address":"","Port":8020,"Tags":["z","a"],"Meta":{"rack":"r1"}},
        "Checks":[{"Status":"passing"}]},{"Node":{"Node":"a","Address":"10.0.0.1"},
        "Service":{"ID":"nn-0","Address":"h","Port":8020,"Tags":null,"Meta":null},
        "Checks":[{"Status":"critical"}]}]"#;

    #[tokio::test]
    async fn instances_are_sorted_and_an_outage_keeps_them() {
        let server = Scripted::start(|request| match request {
            r if r.contains("/v1/health/service/namenode?&index=") => {
                Answer::json(500, "no leader")
            }
            r if r.contains("/v1/health/service/namenode?") => {
                Answer::json(200, NAMENODE).header("X-Consul-Index", "5")
            }
            _ => Answer::json(500, "no"),
        });
        let config = ConsulConfig { address: server.address(), ..ConsulConfig::default() };
        let watch = HealthWatch::start(Consul::new(config).unwrap());
        let query = ServiceQuery { name: "namenode".into(), tag: None, passing_only: false };
        watch.want(BTreeSet::from([query.clone()]));
        let mut receiver = watch.receiver();
        let failing = |sourced: &Sourced<Services>| sourced.error.is_some();
        let sourced = receiver.wait_for(failing).await.unwrap().clone();
        let instances = &sourced.value.unwrap()[&query];
        let seen: Vec<_> = instances.iter().map(|i| (&i.address[..], i.passing)).collect();
        assert_eq!(seen, [("h", false), ("10.0.0.2", true)]);
        assert_eq!(instances[1].tags, ["a", "z"]);
        assert!(sourced.error.unwrap().contains("/v1/health/service/namenode: 500"));
        watch.want(BTreeSet::new());
        let gone = |sourced: &Sourced<Services>| sourced.value.as_ref().unwrap().is_empty();
        assert!(receiver.wait_for(gone).await.unwrap().error.is_none());
    }
}
