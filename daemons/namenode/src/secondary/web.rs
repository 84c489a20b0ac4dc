//! What a secondary namenode shows: one page, and the bean of Hadoop's name.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::Router;
use axum::extract::State;
use axum::routing::get;
use hdfs_edge::http::About;
use hdfs_edge::metrics::{Bean, Registry};

use super::checkpoint::Secondary;
use crate::beans::{self, SOFTWARE_VERSION};
use crate::server::now;

const SERVICE: &str = "SecondaryNameNode";

/// What the bean is made of.
pub(super) struct Shown {
    namenode: String,
    folders: Vec<String>,
    started: u64,
    ended: Arc<AtomicU64>,
}

impl Shown {
    pub(super) fn new(secondary: &Secondary) -> Self {
        let folders = secondary.settings.folders.iter();
        Self {
            namenode: secondary.link.address().to_owned(),
            folders: folders.map(|folder| format!("file://{}", folder.display())).collect(),
            started: now(),
            ended: Arc::clone(&secondary.ended),
        }
    }

    fn ended(&self) -> u64 {
        self.ended.load(Ordering::Relaxed)
    }

    fn info(&self) -> Bean {
        let since = i64::try_from(now().saturating_sub(self.ended())).unwrap_or(i64::MAX);
        Bean::new(SERVICE, "SecondaryNameNodeInfo")
            .with("HostAndPort", self.namenode.clone())
            .with("SecurityEnabled", false)
            .with("StartTime", self.started)
            .with("LastCheckpointTime", self.ended())
            // As in Hadoop, -1 before the first.
            .with("LastCheckpointDeltaMs", if self.ended() == 0 { -1 } else { since })
            .with("CheckpointDirectories", self.folders.clone())
            .with("CheckpointEditlogDirectories", self.folders.clone())
            .with("SoftwareVersion", SOFTWARE_VERSION)
            .with("CompileInfo", format!("howdah {}", env!("CARGO_PKG_VERSION")))
    }
}

/// Registers the beans.
pub(super) fn register(registry: &Registry, shown: &Arc<Shown>) {
    let shown = Arc::clone(shown);
    registry.register(move || vec![shown.info(), beans::memory(SERVICE)]);
}

/// What `/healthz` tells besides.
pub(super) fn about(shown: &Arc<Shown>) -> About {
    let shown = Arc::clone(shown);
    About::new(move || {
        let entry = ("lastCheckpointTime".to_owned(), shown.ended().into());
        [entry].into_iter().collect()
    })
}

/// The overview, as text.
pub(super) fn pages(shown: Arc<Shown>) -> Router {
    Router::new().route("/", get(overview)).with_state(shown)
}

async fn overview(State(shown): State<Arc<Shown>>) -> String {
    format!(
        "SecondaryNameNode\n\nNameNode address: {}\nLast checkpoint (ms since 1970): {}\n\
         Checkpoint directories: {}\n",
        shown.namenode,
        shown.ended(),
        shown.folders.join(", ")
    )
}
