//! `getBlockLocations`, the one read that sometimes writes: it may be time for a new access time.

use std::sync::Arc;

use hdfs_edge::rpc::Responder;
use hdfs_wire::proto::hdfs::{GetBlockLocationsRequestProto, GetBlockLocationsResponseProto};

use crate::server::{Received, Server};

impl Server {
    /// The `getBlockLocations` method.
    pub(crate) fn get_block_locations(self: &Arc<Self>, received: &Received, responder: Responder) {
        let request: GetBlockLocationsRequestProto = match received.request() {
            Ok(request) => request,
            Err(fault) => return responder.send::<GetBlockLocationsResponseProto>(Err(fault)),
        };
        let caller = received.caller();
        let state = self.state.read();
        let outcome = state.get_block_locations(&caller, &request);
        let touch = outcome.is_ok() && state.access_time_due(&caller, &request.src);
        drop(state);
        if touch {
            // The reader does not wait for the disk: an access time that is lost is found again.
            let (touched, aftermath) =
                self.change(|state| state.touch_access_time(&caller, &request.src));
            if let Err(fault) = touched {
                tracing::debug!(path = request.src, %fault, "access time not kept");
            }
            self.wake(&aftermath);
        }
        responder.send(outcome);
    }
}
