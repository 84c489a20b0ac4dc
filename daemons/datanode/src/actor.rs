//! The conversation with the namenode: register, heartbeat, report, take orders. One task, one call
//! at a time, so that a full report never overtakes the changes around it. It survives a namenode
//! that is away or starts again.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use hdfs_core::datanode::commands::{Action, Claim, actions};
use hdfs_core::datanode::schedule::Schedule;
use hdfs_edge::daemon::Failure;
use hdfs_edge::http::Health;
use hdfs_edge::rpc::CallError;
use hdfs_wire::proto::hdfs::NamespaceInfoProto;
use hdfs_wire::proto::hdfs::datanode::{
    DatanodeCommandProto, DatanodeRegistrationProto, HeartbeatRequestProto,
};
use tokio::sync::{mpsc, watch};

use crate::link::Link;
use crate::orders::Orders;
use crate::random;
use crate::settings::Timing;
use crate::storage::now_ms;
use crate::store::Store;
use crate::transfer::Transfers;

/// Pauses between attempts to reach a namenode: from the first to the last, doubling.
const RETRY_FIRST: Duration = Duration::from_millis(100);
/// See [`RETRY_FIRST`]. Java's datanodes wait 5 s; a shorter pause costs a namenode nothing.
const RETRY_LAST: Duration = Duration::from_secs(2);

/// The oldest namenode that is spoken to (`dfs.datanode.min.supported.namenode.version`).
const NAMENODE_VERSION_MIN: (u32, u32) = (2, 1);

/// What an operator may ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wish {
    /// Report all replicas now.
    FullReport,
    /// Report the changes now.
    Changes,
}

/// Waits with growing pauses.
struct Backoff(Duration);

impl Backoff {
    fn new() -> Self {
        Self(RETRY_FIRST)
    }

    async fn pause(&mut self) {
        tokio::time::sleep(self.0).await;
        self.0 = (self.0 * 2).min(RETRY_LAST);
    }
}

/// Asks the namenode who it is, until it answers.
pub(crate) async fn handshake(link: &Link, health: &Health) -> Result<NamespaceInfoProto, Failure> {
    let mut backoff = Backoff::new();
    let mut is_told = false;
    loop {
        match link.version().await {
            Ok(info) => {
                check_version(&info.software_version)?;
                return Ok(info);
            }
            Err(error) => {
                if !std::mem::replace(&mut is_told, true) {
                    tracing::warn!(
                        namenode = link.address,
                        error = chain(&error),
                        "waiting for it"
                    );
                }
                health.set_waiting(format!("namenode {}: {error}", link.address));
                backoff.pause().await;
            }
        }
    }
}

fn check_version(version: &str) -> Result<(), Failure> {
    let mut numbers = version.split(['.', '-']).map_while(|part| part.parse::<u32>().ok());
    let found = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
    if found >= NAMENODE_VERSION_MIN {
        return Ok(());
    }
    Err(Failure::failed(format!(
        "the namenode's software version {version:?} is older than 2.1.0; upgrade it"
    )))
}

/// An error with its causes, for the log.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}

/// Everything the conversation needs.
pub(crate) struct Actor {
    pub(crate) link: Link,
    pub(crate) store: Arc<Store>,
    pub(crate) transfers: Arc<Transfers>,
    /// When to talk; watched, as it may change.
    pub(crate) timing: watch::Receiver<Timing>,
    pub(crate) orders: Arc<Orders>,
    pub(crate) health: Health,
    /// This datanode as it wants to be registered.
    pub(crate) registration: DatanodeRegistrationProto,
    pub(crate) wishes: mpsc::Receiver<Wish>,
}

/// What the conversation knows while it runs.
struct Course {
    schedule: Schedule,
    claim: Claim,
    is_registered: bool,
    is_lost: bool,
}

impl Actor {
    /// Runs until the namenode turns this datanode away for good.
    pub(crate) async fn run(mut self) -> Failure {
        let intervals = self.timing.borrow_and_update().intervals;
        let mut course = Course {
            schedule: Schedule::new(intervals, now_ms()),
            claim: Claim::default(),
            is_registered: false,
            is_lost: false,
        };
        let mut backoff = Backoff::new();
        loop {
            let round = self.round(&mut course).await;
            match round {
                Ok(()) => {
                    if std::mem::take(&mut course.is_lost) {
                        tracing::info!(namenode = self.link.address, "reached again");
                    }
                    backoff = Backoff::new();
                    self.wait(&course.schedule).await;
                }
                Err(error) => {
                    if let Some(failure) = turned_away(&error) {
                        return failure;
                    }
                    if !std::mem::replace(&mut course.is_lost, true) {
                        let error = chain(&error);
                        tracing::warn!(namenode = self.link.address, error, "call failed");
                    }
                    backoff.pause().await;
                }
            }
            while let Ok(wish) = self.wishes.try_recv() {
                self.grant(&mut course, wish);
            }
        }
    }

    fn grant(&self, course: &mut Course, wish: Wish) {
        match wish {
            Wish::FullReport => course.schedule.force_report(),
            Wish::Changes => course.schedule.hurry(now_ms()),
        }
    }

    /// Until the next heartbeat, an urgent change, an operator's wish, or other intervals.
    async fn wait(&mut self, schedule: &Schedule) {
        if self.store.has_urgent() {
            return;
        }
        let pause = Duration::from_millis(schedule.wait(now_ms()));
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = self.store.urgent.notified() => {}
            Ok(()) = self.timing.changed() => self.timing.mark_changed(),
            wish = self.wishes.recv() => if let Some(wish) = wish {
                // Taken up by the round that follows.
                self.orders.remember(wish);
            },
        }
    }

    async fn round(&mut self, course: &mut Course) -> Result<(), CallError> {
        if !course.is_registered {
            self.register(course).await?;
        }
        while let Some(wish) = self.orders.recall() {
            self.grant(course, wish);
        }
        if self.timing.has_changed().unwrap_or(false) {
            let intervals = self.timing.borrow_and_update().intervals;
            course.schedule.adjust(intervals, now_ms());
        }
        if self.store.take_overflow() || self.store.newly_failed() || self.store.volumes_changed() {
            course.schedule.registered(now_ms());
        }
        let is_due = course.schedule.heartbeat_due(now_ms());
        // First: a namenode that started anew refuses changes, and says why only here.
        if is_due {
            self.heartbeat(course).await?;
        }
        if is_due || self.store.has_urgent() {
            self.send_changes().await?;
        }
        if let Some(lease) = course.schedule.report_due(now_ms()) {
            self.send_changes().await?;
            if let Err(error) = self.full_report(course, lease).await {
                course.schedule.report_failed();
                return Err(error);
            }
        }
        Ok(())
    }

    async fn register(&mut self, course: &mut Course) -> Result<(), CallError> {
        let answer = self.link.register(self.registration.clone()).await?;
        // The namenode knows by which address it is reached.
        self.registration.datanode_id.ip_addr = answer.datanode_id.ip_addr;
        self.transfers.set_identity(self.registration.datanode_id.clone());
        course.is_registered = true;
        course.schedule.registered(now_ms());
        tracing::info!(
            namenode = self.link.address,
            uuid = self.registration.datanode_id.datanode_uuid,
            "registered"
        );
        self.health.set_ready();
        Ok(())
    }

    async fn send_changes(&self) -> Result<(), CallError> {
        let batch = self.store.take_changes();
        if batch.is_empty() {
            return Ok(());
        }
        let started = Instant::now();
        match self.link.changes(&self.registration, &self.store, batch).await {
            Ok(()) => {
                self.store.counters.incremental_reports.record(started.elapsed());
                Ok(())
            }
            Err((error, batch)) => {
                self.store.put_back(batch);
                Err(error)
            }
        }
    }

    async fn heartbeat(&self, course: &mut Course) -> Result<(), CallError> {
        let wants_lease = course.schedule.heartbeat(now_ms());
        let request = self.heartbeat_request(wants_lease);
        let started = Instant::now();
        let response = match self.link.heartbeat(&request).await {
            Ok(response) => response,
            Err(error) => {
                course.schedule.hurry(now_ms());
                return Err(error);
            }
        };
        self.store.counters.heartbeats.record(started.elapsed());
        course.schedule.leased(response.full_block_report_lease_id());
        let is_active = course.claim.heard(0, &response.ha_status);
        self.obey(course, response.cmds, is_active);
        Ok(())
    }

    fn heartbeat_request(&self, wants_lease: bool) -> HeartbeatRequestProto {
        let counters = &self.store.counters;
        let count = |value: usize| u32::try_from(value).unwrap_or(u32::MAX);
        let summary = self.store.failure_summary();
        let failed = summary.as_ref().map_or(0, |each| each.failed_storage_locations.len());
        HeartbeatRequestProto {
            registration: self.registration.clone(),
            reports: self.store.working().iter().map(|volume| volume.report()).collect(),
            xmits_in_progress: Some(count(counters.copies.load(Ordering::Relaxed))),
            xceiver_count: Some(count(self.transfers.count())),
            failed_volumes: Some(count(failed)),
            cache_capacity: Some(0),
            cache_used: Some(0),
            volume_failure_summary: summary,
            request_full_block_report_lease: Some(wants_lease),
            slow_peers: Vec::new(),
            slow_disks: Vec::new(),
        }
    }

    async fn full_report(&self, course: &mut Course, lease: u64) -> Result<(), CallError> {
        let departed = self.store.departed();
        let working = self.store.working();
        let storages = working.iter().map(|volume| (volume.index, volume.storage()));
        let storages: Vec<_> = storages.chain(departed.iter().cloned()).collect();
        let reports = self.store.replicas.lock().full_report(storages);
        let blocks: u64 = reports.iter().filter_map(|report| report.number_of_blocks).sum();
        let started = Instant::now();
        let threshold = self.timing.borrow().split_threshold;
        let commands = self
            .link
            .full_report(&self.registration, &self.store.pool, reports, lease, threshold)
            .await?;
        self.store.told_of(&departed);
        self.store.counters.block_reports.record(started.elapsed());
        tracing::info!(blocks, millis = started.elapsed().as_millis(), "full block report sent");
        course.schedule.reported(now_ms(), random::number());
        self.obey(course, commands, true);
        Ok(())
    }

    fn obey(&self, course: &mut Course, commands: Vec<DatanodeCommandProto>, is_active: bool) {
        for action in actions(commands, &self.store.pool, is_active) {
            match action {
                Action::Register => {
                    tracing::info!(namenode = self.link.address, "asks to register again");
                    course.is_registered = false;
                    course.schedule.hurry(now_ms());
                }
                other => self.orders.give(other),
            }
        }
    }
}

/// Answers that no retry changes.
fn turned_away(error: &CallError) -> Option<Failure> {
    let CallError::Remote { class, message } = error else { return None };
    let name = class.rsplit(['.', '$']).next().unwrap_or(class);
    let first = message.lines().next().unwrap_or_default();
    let is_final = matches!(name, "DisallowedDatanodeException" | "IncorrectVersionException");
    is_final.then(|| Failure::failed(format!("the namenode turned this datanode away: {first}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn old_namenodes_are_refused() {
        assert!(check_version("3.4.1").is_ok());
        assert!(check_version("2.1.0-beta").is_ok());
        assert!(check_version("2.0.6").is_err());
        assert!(check_version("").is_err());
    }
}
