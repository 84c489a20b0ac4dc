//! Snapshots of KV prefixes, kept up to date.
//!
//! A prefix within another shares its query. Each outermost prefix (root) has one recursive
//! blocking query. With one root its answer is the snapshot; with several the queries only say
//! that something changed, and the snapshot is read by one read-only transaction. So every
//! snapshot is of one moment.
//!
//! Just after an outage a server can answer with nothing although there is something, or with an
//! older state while it replays its log. A root that was not empty is taken as empty then, and an
//! index that went back at any time, only after the leader confirmed it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use tokio::sync::{mpsc, watch};

use super::client::{Block, Consul, ConsulError};
use super::poll::{Poll, Round};
use crate::sources::{Entry, Kv, Sourced};

/// For so long after an outage an emptied tree must be confirmed.
const DOUBT: Duration = Duration::from_secs(10);

/// Reports that wait for the combining task; each query has at most one under way.
const REPORTS_MAX: usize = 16;

/// Watches prefixes until every receiver is gone. `""` is all keys; no prefix is an empty snapshot.
pub fn watch_kv(
    consul: Arc<Consul>,
    prefixes: impl IntoIterator<Item = String>,
) -> watch::Receiver<Sourced<Kv>> {
    let (sender, receiver) = watch::channel(Sourced::default());
    let roots = roots(prefixes);
    if roots.is_empty() {
        publish(&sender, Kv::default());
        return receiver;
    }
    tokio::spawn(combine(consul, roots, sender));
    receiver
}

/// The prefixes that lie within no other one.
fn roots(prefixes: impl IntoIterator<Item = String>) -> Vec<String> {
    let mut sorted: Vec<String> = prefixes.into_iter().collect();
    sorted.sort();
    let mut roots: Vec<String> = Vec::new();
    for prefix in sorted {
        if !roots.last().is_some_and(|root| prefix.starts_with(root.as_str())) {
            roots.push(prefix);
        }
    }
    roots
}

/// What the query of one root tells.
struct Report {
    root: usize,
    what: Result<Option<Tree>, String>,
}

/// All of one root.
struct Tree {
    index: u64,
    entries: BTreeMap<String, Entry>,
    /// Whether an empty tree must be confirmed.
    doubtful: bool,
}

async fn poll(consul: Arc<Consul>, root: usize, prefix: String, sender: mpsc::Sender<Report>) {
    let mut poll = Poll::default();
    loop {
        let ask = async |block| consul.kv_block(&prefix, block).await;
        let wait = consul.wait;
        let answer = tokio::select! {
            answer = poll.round(&consul.turns.kv, wait, ask) => answer,
            () = sender.closed() => return,
        };
        let recent = poll.recovered.is_some_and(|at| at.elapsed() < DOUBT);
        let (what, failure) = match answer {
            Ok(Round::Same) => (Ok(None), None),
            Ok(Round::Changed(listing)) => {
                let doubtful = recent || !listing.known_leader;
                let tree = Tree { index: listing.index, entries: listing.value, doubtful };
                (Ok(Some(tree)), None)
            }
            Err(error) => (Err(error.to_string()), Some(error)),
        };
        if sender.send(Report { root, what }).await.is_err() {
            return;
        }
        if let Some(error) = failure {
            tokio::select! {
                () = poll.pause(&consul, &error) => {}
                () = sender.closed() => return,
            }
        }
    }
}

/// The state of the combining task.
struct Combiner {
    consul: Arc<Consul>,
    roots: Vec<String>,
    /// Index of each root's last answer.
    indexes: Vec<Option<u64>>,
    errors: Vec<Option<String>>,
    doubt_until: Option<Instant>,
    last: Option<Arc<Kv>>,
    /// The snapshot is behind what the roots told.
    stale: bool,
    /// A root's index went back, and nobody has confirmed it.
    back: bool,
    /// The last attempt to confirm an emptied root failed.
    unconfirmed: bool,
}

async fn combine(consul: Arc<Consul>, roots: Vec<String>, sender: watch::Sender<Sourced<Kv>>) {
    let (reports, mut inbox) = mpsc::channel(REPORTS_MAX);
    for (root, prefix) in roots.iter().enumerate() {
        tokio::spawn(poll(consul.clone(), root, prefix.clone(), reports.clone()));
    }
    drop(reports);
    let mut combiner = Combiner {
        consul,
        indexes: vec![None; roots.len()],
        errors: vec![None; roots.len()],
        roots,
        doubt_until: None,
        last: None,
        stale: false,
        back: false,
        unconfirmed: false,
    };
    loop {
        let report = tokio::select! {
            report = inbox.recv() => report,
            () = sender.closed() => return,
        };
        let Some(report) = report else { return };
        let mut tree = combiner.take(report);
        // What the roots told meanwhile is part of the same change.
        while let Ok(report) = inbox.try_recv() {
            tree = combiner.take(report).or(tree);
        }
        let mut retry = Poll::default();
        loop {
            match combiner.snapshot(tree.take()).await {
                Ok(fresh) => break combiner.tell(&sender, fresh),
                Err(error) => {
                    fail(&sender, error.to_string());
                    tokio::select! {
                        () = retry.pause(&combiner.consul, &error) => {}
                        () = sender.closed() => return,
                    }
                }
            }
        }
    }
}

impl Combiner {
    /// Takes a report in; the tree if it may serve as the snapshot.
    fn take(&mut self, report: Report) -> Option<Tree> {
        match report.what {
            Ok(None) => {
                self.errors[report.root] = None;
                None
            }
            Ok(Some(tree)) => {
                self.errors[report.root] = None;
                let before = self.indexes[report.root].replace(tree.index);
                self.back |= before.is_some_and(|before| tree.index < before);
                self.stale = true;
                if tree.doubtful {
                    self.doubt_until = Some(Instant::now() + DOUBT);
                }
                Some(tree)
            }
            Err(error) => {
                self.errors[report.root] = Some(error);
                None
            }
        }
    }

    /// A new snapshot, if there is reason for one and every root has answered.
    async fn snapshot(&mut self, tree: Option<Tree>) -> Result<Option<Kv>, ConsulError> {
        if !self.stale || self.indexes.iter().any(Option::is_none) {
            return Ok(None);
        }
        let mut kv = match (tree, self.roots.len()) {
            (Some(tree), 1) => Kv { index: tree.index, entries: tree.entries },
            _ => self.read(false).await?,
        };
        let doubt = self.doubt_until.is_some_and(|until| Instant::now() < until);
        if self.back || ((doubt || self.unconfirmed) && self.emptied(&kv)) {
            self.unconfirmed = true;
            kv = self.read(true).await?;
        }
        (self.unconfirmed, self.back) = (false, false);
        self.stale = false;
        Ok(Some(kv))
    }

    async fn read(&self, consistent: bool) -> Result<Kv, ConsulError> {
        if let [root] = self.roots.as_slice() {
            let block = Block { consistent, ..Block::default() };
            let listing = self.consul.kv_block(root, block).await?;
            return Ok(Kv { index: listing.index, entries: listing.value });
        }
        let entries = self.consul.kv_trees(&self.roots, consistent).await?;
        // A transaction's answer has no index of its own.
        let told = self.indexes.iter().flatten().copied();
        let index = told.chain(entries.values().map(|entry| entry.modified)).max();
        Ok(Kv { index: index.unwrap_or(1), entries })
    }

    /// Whether a root that had keys has none now.
    fn emptied(&self, kv: &Kv) -> bool {
        let Some(last) = &self.last else { return false };
        let has = |kv: &Kv, root: &String| {
            kv.entries.range(root.clone()..).next().is_some_and(|(key, _)| key.starts_with(root))
        };
        self.roots.iter().any(|root| has(last, root) && !has(kv, root))
    }

    fn tell(&mut self, sender: &watch::Sender<Sourced<Kv>>, fresh: Option<Kv>) {
        if let Some(kv) = fresh.filter(|kv| self.last.as_deref() != Some(kv)) {
            self.last = Some(Arc::new(kv));
        }
        let error = self.errors.iter().flatten().next().cloned();
        sender.send_modify(|sourced| {
            sourced.value.clone_from(&self.last);
            if error.is_none() {
                sourced.at = Some(SystemTime::now());
            }
            sourced.error = error;
        });
    }
}

fn publish(sender: &watch::Sender<Sourced<Kv>>, kv: Kv) {
    sender.send_modify(|sourced| {
        *sourced = Sourced { value: Some(Arc::new(kv)), at: Some(SystemTime::now()), error: None };
    });
}

fn fail(sender: &watch::Sender<Sourced<Kv>>, error: String) {
    sender.send_modify(|sourced| sourced.error = Some(error));
}

#[cfg(test)]
mod tests;
