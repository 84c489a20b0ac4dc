//! What a running datanode takes up when it reads its files again.

use std::sync::Arc;

use hdfs_edge::keys;
use hdfs_edge::live::Live;
use tokio::sync::watch;

use crate::settings::{self, Timing};
use crate::storage::Namespace;
use crate::store::Store;
use crate::swap;
use crate::transfer::Transfers;

/// What the new values reach.
pub(crate) struct Reached {
    pub(crate) store: Arc<Store>,
    pub(crate) transfers: Arc<Transfers>,
    pub(crate) timing: watch::Sender<Timing>,
    pub(crate) namespace: Namespace,
    pub(crate) datanode_uuid: String,
}

/// Registers what the datanode takes.
pub(crate) fn register(live: &Live, reached: Reached) {
    let Reached { store, transfers, timing, namespace, datanode_uuid } = reached;
    let times = [
        &keys::DFS_HEARTBEAT_INTERVAL,
        &keys::DFS_BLOCKREPORT_INTERVAL_MSEC,
        &keys::DFS_BLOCKREPORT_SPLIT_THRESHOLD,
    ];
    let timing = Arc::new(timing);
    live.on_reload_of(times, move |config| {
        let (timing, new) = (Arc::clone(&timing), Timing::read(config));
        Ok(Box::new(move || {
            timing.send_replace(new);
        }))
    });
    let paced = Arc::clone(&transfers);
    live.on_reload(&keys::DFS_DATANODE_BALANCE_BANDWIDTH_PER_SEC, move |config| {
        paced.pace.set(config.size(&keys::DFS_DATANODE_BALANCE_BANDWIDTH_PER_SEC));
    });
    let moving = Arc::clone(&transfers);
    live.on_reload(&keys::DFS_DATANODE_BALANCE_MAX_CONCURRENT_MOVES, move |config| {
        let max = settings::count(config, &keys::DFS_DATANODE_BALANCE_MAX_CONCURRENT_MOVES);
        moving.moves.set_max(max);
    });
    live.on_reload(&keys::DFS_DATANODE_MAX_TRANSFER_THREADS, move |config| {
        transfers
            .set_threads_max(settings::count(config, &keys::DFS_DATANODE_MAX_TRANSFER_THREADS));
    });
    let reserving = Arc::clone(&store);
    live.on_reload(&keys::DFS_DATANODE_DU_RESERVED, move |config| {
        let reserved = config.size(&keys::DFS_DATANODE_DU_RESERVED);
        reserving.working().iter().for_each(|volume| volume.reserve(reserved));
    });
    live.on_reload_of([&keys::DFS_DATANODE_DATA_DIR], move |config| {
        swap::prepare(&store, (&namespace, &datanode_uuid), config)
    });
}
