//! Carrying out what the namenode orders, away from the conversation with it. Every kind has its
//! bound: what does not fit is dropped, and the namenode orders it again when it times out.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use hdfs_core::datanode::Block;
use hdfs_core::datanode::commands::{Action, Transfer};
use hdfs_wire::proto::hdfs::{LocatedBlockProto, RecoveringBlockProto};
use parking_lot::Mutex;
use tokio::sync::{Semaphore, mpsc};

use crate::actor::{Wish, chain};
use crate::link::Link;
use crate::recovery::Recoverer;
use crate::store::Store;
use crate::transfer::{Copy, CopyKind, Transfers};

/// Deletion orders waiting at most; one has up to 1000 blocks (`dfs.block.invalidate.limit`).
const DELETIONS_MAX: usize = 10_000;

/// Copies running at once. Namenodes hold back at 2 (`dfs.namenode.replication.max-streams`), 4
/// when urgent, and more for decommissioning.
const COPIES_MAX: usize = 16;

/// Copies waiting at most.
const COPIES_WAITING_MAX: usize = 4096;

/// Recoveries running at once; each waits for other datanodes most of the time.
const RECOVERIES_MAX: usize = 64;

/// Wishes waiting at most: two of a kind say nothing new.
const WISHES_MAX: usize = 8;

/// Takes orders.
pub(crate) struct Orders {
    deletions: mpsc::Sender<Vec<Block>>,
    copies: mpsc::Sender<Transfer>,
    recoveries: Arc<Semaphore>,
    recoverer: Arc<Recoverer>,
    transfers: Arc<Transfers>,
    wishes: Mutex<Vec<Wish>>,
}

impl Orders {
    /// Starts the workers.
    pub(crate) fn start(
        store: &Arc<Store>,
        transfers: &Arc<Transfers>,
        recoverer: Arc<Recoverer>,
        link: &Link,
    ) -> Arc<Self> {
        let (deletions, taken) = mpsc::channel(DELETIONS_MAX);
        let deleting = Arc::clone(store);
        tokio::task::spawn_blocking(move || delete_all(&deleting, taken));
        let (copies, queued) = mpsc::channel(COPIES_WAITING_MAX);
        tokio::spawn(copy_all(Arc::clone(store), Arc::clone(transfers), link.clone(), queued));
        Arc::new(Self {
            deletions,
            copies,
            recoveries: Arc::new(Semaphore::new(RECOVERIES_MAX)),
            recoverer,
            transfers: Arc::clone(transfers),
            wishes: Mutex::new(Vec::new()),
        })
    }

    /// Takes an order; returns at once.
    pub(crate) fn give(&self, action: Action) {
        match action {
            Action::Invalidate(blocks) => {
                if self.deletions.try_send(blocks).is_err() {
                    tracing::warn!("too many deletions are waiting, an order is dropped");
                }
            }
            Action::Transfer(transfers) => {
                for transfer in transfers {
                    if self.copies.try_send(transfer).is_err() {
                        tracing::warn!("too many copies are waiting, an order is dropped");
                    }
                }
            }
            Action::Recover(blocks) => blocks.into_iter().for_each(|block| self.recover(block)),
            Action::BalancerBandwidth(bytes) if bytes > 0 => {
                tracing::info!(bytes, "balancer bandwidth set by the namenode");
                self.transfers.pace.set(bytes);
            }
            Action::Ignored(name) => tracing::debug!(name, "order without effect here"),
            Action::Register
            | Action::Finalize
            | Action::Keys(_)
            | Action::BalancerBandwidth(_) => {}
        }
    }

    fn recover(&self, block: RecoveringBlockProto) {
        let Ok(permit) = Arc::clone(&self.recoveries).try_acquire_owned() else {
            tracing::warn!("too many recoveries run, an order is dropped");
            return;
        };
        let recoverer = Arc::clone(&self.recoverer);
        tokio::spawn(async move {
            recoverer.run(block).await;
            drop(permit);
        });
    }

    /// Keeps an operator's wish for the next round.
    pub(crate) fn remember(&self, wish: Wish) {
        let mut wishes = self.wishes.lock();
        if wishes.len() < WISHES_MAX {
            wishes.push(wish);
        }
    }

    /// Takes a wish out.
    pub(crate) fn recall(&self) -> Option<Wish> {
        self.wishes.lock().pop()
    }
}

fn delete_all(store: &Store, mut orders: mpsc::Receiver<Vec<Block>>) {
    while let Some(blocks) = orders.blocking_recv() {
        let count = blocks.len();
        for block in blocks {
            if let Err(fault) = store.invalidate(block) {
                tracing::warn!(%block, %fault, "not deleted");
            }
        }
        tracing::info!(count, "deleted replicas by order of the namenode");
    }
}

async fn copy_all(
    store: Arc<Store>,
    transfers: Arc<Transfers>,
    link: Link,
    mut orders: mpsc::Receiver<Transfer>,
) {
    let slots = Arc::new(Semaphore::new(COPIES_MAX));
    while let Some(order) = orders.recv().await {
        let Ok(permit) = Arc::clone(&slots).acquire_owned().await else { return };
        let (store, transfers, link) = (Arc::clone(&store), Arc::clone(&transfers), link.clone());
        tokio::spawn(async move {
            copy_one(&store, transfers, &link, order).await;
            drop(permit);
        });
    }
}

async fn copy_one(store: &Arc<Store>, transfers: Arc<Transfers>, link: &Link, order: Transfer) {
    let block = order.block;
    store.counters.copies.fetch_add(1, Ordering::Relaxed);
    let copy = Copy {
        block,
        targets: order.targets,
        storage_types: order.storage_types,
        storage_ids: order.storage_ids,
        kind: CopyKind::Replication,
    };
    let source = transfers.identity();
    let own = source.clone();
    let result = tokio::task::spawn_blocking(move || transfers.copy(&copy, source)).await;
    store.counters.copies.fetch_sub(1, Ordering::Relaxed);
    let Ok(Err(fault)) = result else { return };
    tracing::warn!(%block, %fault, "copy failed");
    let is_short = {
        let map = store.replicas.lock();
        map.find(block.id)
            .is_some_and(|replica| replica.length < block.length && replica.writer().is_none())
    };
    if let (true, Some(id)) = (is_short, own) {
        let bad = LocatedBlockProto {
            b: block.extended(&store.pool),
            locs: vec![hdfs_wire::proto::hdfs::DatanodeInfoProto { id, ..Default::default() }],
            corrupt: true,
            ..Default::default()
        };
        if let Err(error) = link.report_bad(vec![bad]).await {
            tracing::warn!(%block, error = chain(&error), "bad replica not reported");
        }
    }
}
