//! Hadoop's reconfiguration calls (`hdfs dfsadmin -reconfig`), on top of a reload: start one, ask
//! what became of it, list what can change. Who may ask is the caller's to check.
//!
//! Java's daemons take up each property by itself. Here all are taken or none, so after a refusal
//! every property that would have changed carries the reason.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use hdfs_wire::Fault;
use hdfs_wire::proto::hdfs::{
    GetReconfigurationStatusConfigChangeProto, GetReconfigurationStatusResponseProto,
    ListReconfigurablePropertiesResponseProto, StartReconfigurationResponseProto,
};
use parking_lot::Mutex;

use crate::live::{Changed, Live, Refused};

/// The protocol's name.
pub const PROTOCOL: &str = "org.apache.hadoop.hdfs.protocol.ReconfigurationProtocol";

/// Answers the calls for one daemon. Clones share one.
#[derive(Debug, Clone)]
pub struct Reconfiguration {
    live: Live,
    last: Arc<Mutex<GetReconfigurationStatusResponseProto>>,
}

impl Reconfiguration {
    /// For what is in force there.
    pub fn new(live: Live) -> Self {
        Self { live, last: Arc::default() }
    }

    /// `startReconfiguration`: reads the files again, on a thread of its own.
    ///
    /// # Errors
    /// One runs already.
    pub fn start(&self) -> Result<StartReconfigurationResponseProto, Fault> {
        let mut last = self.last.lock();
        if last.start_time > 0 && last.end_time.is_none() {
            return Err(Fault::io("Another reconfiguration task is running."));
        }
        let before = last.clone();
        *last = GetReconfigurationStatusResponseProto { start_time: now(), ..Default::default() };
        let own = self.clone();
        let work = move || {
            let outcome = own.live.reload();
            let mut last = own.last.lock();
            last.changes = changes(outcome);
            last.end_time = Some(now());
        };
        let thread = std::thread::Builder::new().name("reconfigure".to_owned()).spawn(work);
        if let Err(error) = thread {
            *last = before;
            return Err(Fault::io(format!("cannot start a thread: {error}")));
        }
        Ok(StartReconfigurationResponseProto {})
    }

    /// `getReconfigurationStatus`: the one under way or the last one; a start time of 0 means that
    /// there was none.
    pub fn status(&self) -> GetReconfigurationStatusResponseProto {
        self.last.lock().clone()
    }

    /// `listReconfigurableProperties`.
    pub fn properties(&self) -> ListReconfigurablePropertiesResponseProto {
        let name = self.live.taken().into_iter().map(str::to_owned).collect();
        ListReconfigurablePropertiesResponseProto { name }
    }
}

fn changes(
    outcome: Result<Vec<Changed>, Refused>,
) -> Vec<GetReconfigurationStatusConfigChangeProto> {
    let (changed, reason) = match outcome {
        Ok(changed) => (changed, None),
        Err(Refused { changed, reason, .. }) if changed.is_empty() => {
            let files = Changed { name: "files".to_owned(), old: None, new: None };
            (vec![files], Some(reason))
        }
        Err(Refused { changed, reason, .. }) => (changed, Some(reason)),
    };
    let row = |change: Changed| GetReconfigurationStatusConfigChangeProto {
        name: change.name,
        old_value: change.old.unwrap_or_default(),
        new_value: change.new,
        error_message: reason.clone(),
    };
    changed.into_iter().map(row).collect()
}

/// Milliseconds since the epoch; never 0, which means "never".
fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX).max(1)
}
