//! Segments and images while the namenode serves: rolling, saving, and what a secondary namenode
//! asks for.

use std::sync::Arc;
use std::time::Duration;

use hdfs_core::namenode::{Caller, Namenode};
use hdfs_wire::proto::hdfs::namenode::*;
use hdfs_wire::proto::hdfs::{
    CheckpointSignatureProto, RemoteEditLogManifestProto, RemoteEditLogProto,
    RollEditsRequestProto, RollEditsResponseProto, SaveNamespaceRequestProto,
    SaveNamespaceResponseProto, StorageInfoProto,
};
use hdfs_wire::{Exception, Fault};
use parking_lot::RwLockWriteGuard;

use crate::server::{Server, now};

type Answer<T> = Result<T, Fault>;
type This<'a> = &'a Arc<Server>;
type Who<'a, 'b> = &'a Caller<'b>;

/// Longest wait for the disk by those who roll. A disk that needs longer is as good as broken.
const SYNC_TIME_MAX: Duration = Duration::from_secs(60);

/// Two segments' border.
struct Border {
    /// Last transaction of the closed segment.
    last: u64,
    /// First transaction of the new one.
    first: u64,
}

/// Logs the first operation of the segment that was opened at the start, and waits for it.
///
/// # Errors
/// The journal's reason.
pub(crate) fn open_first_segment(server: &Arc<Server>) -> Result<(), String> {
    let (outcome, _) = server.change(|state| {
        state.start_segment()?;
        Ok::<u64, Fault>(state.last_txid())
    });
    let first = outcome.map_err(|fault| fault.message)?;
    server.journal.wait(first, SYNC_TIME_MAX)
}

/// Closes the open segment and begins the next, under the exclusive lock: no operation slips in
/// between.
fn cross(server: &Server, state: &mut Namenode) -> Answer<Border> {
    state.end_segment()?;
    server.journal.collect(state);
    let last = state.last_txid();
    server.journal.roll(last);
    state.start_segment()?;
    server.journal.collect(state);
    Ok(Border { last, first: state.last_txid() })
}

fn wait(server: &Server, border: &Border) -> Answer<()> {
    server.journal.wait(border.first, SYNC_TIME_MAX).map_err(Fault::io)?;
    server.names.segment_opened(border.first);
    Ok(())
}

fn roll(server: &Arc<Server>) -> Answer<Border> {
    let (border, aftermath) = server.change(|state| cross(server, state));
    server.journal.wake();
    server.wake(&aftermath);
    let border = border?;
    wait(server, &border)?;
    tracing::info!(last = border.last, first = border.first, "a new segment of transactions");
    Ok(border)
}

/// Closes the open segment when it has grown long, so that a start never replays one huge file.
pub(crate) fn roll_when_long(server: &Arc<Server>) {
    let length = server.journal.synced().saturating_sub(server.names.segment_txid());
    let is_safe = || server.state.read().safe_mode_details(now()).is_some();
    if length <= server.settings.roll_after || is_safe() {
        return;
    }
    if let Err(fault) = roll(server) {
        tracing::error!(%fault, "the segment was not closed");
    }
}

fn refuse_in_safe_mode(state: &Namenode) -> Answer<()> {
    match state.safe_mode_details(now()) {
        Some(details) => {
            let message = format!("Log not rolled. Name node is in safe mode.\n{details}");
            Err(Fault::new(Exception::SafeMode, message))
        }
        None => Ok(()),
    }
}

/// `rollEdits` of an operator.
pub(crate) fn roll_edits(
    server: This<'_>,
    caller: Who<'_, '_>,
    _: &RollEditsRequestProto,
) -> Answer<RollEditsResponseProto> {
    server.state.read().check_superuser(caller, "rollEdits")?;
    refuse_in_safe_mode(&server.state.read())?;
    Ok(RollEditsResponseProto { new_segment_tx_id: roll(server)?.first })
}

/// `rollEditLog` of a secondary namenode.
pub(crate) fn roll_edit_log(
    server: This<'_>,
    caller: Who<'_, '_>,
    _: &RollEditLogRequestProto,
) -> Answer<RollEditLogResponseProto> {
    server.state.read().check_superuser(caller, "rollEditLog")?;
    refuse_in_safe_mode(&server.state.read())?;
    let border = roll(server)?;
    let identity = server.state.read().config().identity.clone();
    Ok(RollEditLogResponseProto {
        signature: CheckpointSignatureProto {
            block_pool_id: identity.block_pool_id,
            most_recent_checkpoint_tx_id: server.names.image_txid(),
            cur_segment_tx_id: border.first,
            storage_info: StorageInfoProto {
                // Negative on disk; the wire carries the 32 bits.
                layout_version: hdfs_disk::edits::LAYOUT.cast_unsigned(),
                namespce_id: identity.namespace_id,
                cluster_id: identity.cluster_id,
                c_time: identity.creation_time,
            },
        },
    })
}

/// `getMostRecentCheckpointTxId`.
pub(crate) fn most_recent(
    server: This<'_>,
    caller: Who<'_, '_>,
    _: &GetMostRecentCheckpointTxIdRequestProto,
) -> Answer<GetMostRecentCheckpointTxIdResponseProto> {
    server.state.read().check_superuser(caller, "getMostRecentCheckpointTxId")?;
    Ok(GetMostRecentCheckpointTxIdResponseProto { tx_id: server.names.image_txid() })
}

/// `getEditLogManifest`: the closed segments from a transaction on.
pub(crate) fn edit_log_manifest(
    server: This<'_>,
    caller: Who<'_, '_>,
    request: &GetEditLogManifestRequestProto,
) -> Answer<GetEditLogManifestResponseProto> {
    server.state.read().check_superuser(caller, "getEditLogManifest")?;
    let segments = server.names.closed_segments(request.since_tx_id).map_err(Fault::io)?;
    let logs = segments
        .into_iter()
        .map(|(start_tx_id, end_tx_id)| RemoteEditLogProto {
            start_tx_id,
            end_tx_id,
            is_in_progress: Some(false),
        })
        .collect();
    let manifest = RemoteEditLogManifestProto { logs, committed_txn_id: None };
    Ok(GetEditLogManifestResponseProto { manifest })
}

/// `saveNamespace`: an image of everything, in safe mode only.
pub(crate) fn save_namespace(
    server: This<'_>,
    caller: Who<'_, '_>,
    request: &SaveNamespaceRequestProto,
) -> Answer<SaveNamespaceResponseProto> {
    let state = server.state.read();
    state.check_superuser(caller, "saveNamespace")?;
    if state.safe_mode_details(caller.now).is_none() {
        let message = "Safe mode should be turned ON in order to create namespace image.";
        return Err(Fault::io(message));
    }
    drop(state);
    if is_recent(server, request) {
        return Ok(SaveNamespaceResponseProto { saved: Some(false) });
    }
    save(server)?;
    Ok(SaveNamespaceResponseProto { saved: Some(true) })
}

/// Whether there is an image within both limits the caller gave (0 and 0: never).
fn is_recent(server: &Server, request: &SaveNamespaceRequestProto) -> bool {
    let (window, gap) = (request.time_window(), request.tx_gap());
    if window == 0 && gap == 0 {
        return false;
    }
    let age = now().saturating_sub(server.names.image_time()) / 1000;
    let since = server.journal.synced().saturating_sub(server.names.image_txid());
    age <= window && since <= gap
}

/// Writes an image of the namespace as it is at a segment's end. Changes wait meanwhile; reads go
/// on.
pub(crate) fn save(server: &Arc<Server>) -> Answer<u64> {
    let mut state = server.state.write();
    let border = cross(server, &mut state)?;
    let state = RwLockWriteGuard::downgrade(state);
    server.journal.wake();
    wait(server, &border)?;
    let outcome = server.names.save_image(&state, border.last);
    drop(state);
    outcome.map_err(|reason| {
        tracing::error!(reason, "the image was not saved");
        Fault::io(reason)
    })?;
    tracing::info!(transaction = border.last, "the namespace is saved");
    Ok(border.last)
}
