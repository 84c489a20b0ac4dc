//! The IPC port: what clients, administrators and other datanodes ask for by RPC. Calls that may
//! wait for a writer or a disk run on threads of their own.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use hdfs_core::datanode::Block;
use hdfs_edge::groups;
use hdfs_edge::reconfiguration::{self, Reconfiguration};
use hdfs_edge::rpc::{Call, Metrics, Responder, Service};
use hdfs_wire::proto::hdfs::{
    DatanodeLocalInfoProto, DatanodeVolumeInfoProto, ExtendedBlockProto,
    GetBalancerBandwidthResponseProto, GetDatanodeInfoResponseProto,
    GetReplicaVisibleLengthRequestProto, GetReplicaVisibleLengthResponseProto,
    GetVolumeReportResponseProto, InitReplicaRecoveryRequestProto,
    InitReplicaRecoveryResponseProto, ShutdownDatanodeResponseProto,
    TriggerBlockReportRequestProto, TriggerBlockReportResponseProto,
    UpdateReplicaUnderRecoveryRequestProto, UpdateReplicaUnderRecoveryResponseProto,
};
use hdfs_wire::{Exception, Fault};
use tokio::sync::{Notify, mpsc};

use crate::actor::Wish;
use crate::recovery::{PROTOCOL as INTER_DATANODE, blocking};
use crate::settings::SOFTWARE_VERSION;
use crate::store::Store;
use crate::transfer::Transfers;

/// Clients' and administrators' protocol.
const CLIENT_DATANODE: &str = "org.apache.hadoop.hdfs.protocol.ClientDatanodeProtocol";

/// Calls of other datanodes that may run at once; each holds a thread while it waits.
const RECOVERY_CALLS_MAX: usize = 64;

/// Answers IPC calls.
pub(crate) struct Ipc {
    pub(crate) store: Arc<Store>,
    pub(crate) transfers: Arc<Transfers>,
    pub(crate) wishes: mpsc::Sender<Wish>,
    /// Told when an administrator stops the datanode.
    pub(crate) shutdown: Arc<Notify>,
    pub(crate) started: Instant,
    pub(crate) runtime: tokio::runtime::Handle,
    pub(crate) recovery_calls: Arc<AtomicUsize>,
    pub(crate) reconfiguration: Reconfiguration,
    /// Who may stop or change the datanode: its own user.
    pub(crate) owner: String,
}

/// The methods, for their counters.
const METHODS: [&str; 11] = [
    "getReplicaVisibleLength",
    "getDatanodeInfo",
    "getVolumeReport",
    "getBalancerBandwidth",
    "triggerBlockReport",
    "shutdownDatanode",
    "startReconfiguration",
    "getReconfigurationStatus",
    "listReconfigurableProperties",
    "initReplicaRecovery",
    "updateReplicaUnderRecovery",
];

/// Counters of the IPC port.
pub(crate) fn metrics() -> Metrics {
    Metrics::of_methods(METHODS)
}

impl Service for Ipc {
    fn call(&self, call: Call, mut responder: Responder) {
        if let Some(place) = METHODS.iter().position(|name| *name == &*call.method) {
            responder.counts_as(place);
        }
        match (&*call.protocol, &*call.method) {
            (CLIENT_DATANODE, _) => self.client_call(&call, responder),
            (reconfiguration::PROTOCOL, _) => self.reconfigure(&call, responder),
            (INTER_DATANODE, "initReplicaRecovery") => self.init_recovery(&call, responder),
            (INTER_DATANODE, "updateReplicaUnderRecovery") => {
                self.update_recovery(&call, responder);
            }
            (INTER_DATANODE, _) => no_such_method(&call, responder),
            (protocol, _) => responder.send::<()>(Err(Fault::new(
                Exception::RpcNoSuchProtocol,
                format!("Unknown protocol: {protocol}"),
            ))),
        }
    }
}

fn no_such_method(call: &Call, responder: Responder) {
    responder.send::<()>(Err(Fault::new(
        Exception::RpcNoSuchMethod,
        format!("Unknown method {} called on {} protocol.", &*call.method, &*call.protocol),
    )));
}

impl Ipc {
    fn client_call(&self, call: &Call, responder: Responder) {
        match &*call.method {
            "getReplicaVisibleLength" => responder.send(self.visible_length(call)),
            "getDatanodeInfo" => responder.send(Ok(self.local_info())),
            "getVolumeReport" => responder.send(Ok(self.volumes())),
            "getBalancerBandwidth" => responder.send(Ok(GetBalancerBandwidthResponseProto {
                bandwidth: self.transfers.pace.bytes_per_second(),
            })),
            "triggerBlockReport" => responder.send(self.trigger(call)),
            "shutdownDatanode" => responder.send(self.shut_down(call)),
            _ => self.reconfigure(call, responder),
        }
    }

    /// The calls of Hadoop's reconfiguration, which clients send by either of two protocols.
    fn reconfigure(&self, call: &Call, responder: Responder) {
        let allowed = self.check_owner(call, "change its configuration");
        let own = &self.reconfiguration;
        match &*call.method {
            "startReconfiguration" => responder.send(allowed.and_then(|()| own.start())),
            "getReconfigurationStatus" => responder.send(allowed.map(|()| own.status())),
            "listReconfigurableProperties" => responder.send(allowed.map(|()| own.properties())),
            _ => no_such_method(call, responder),
        }
    }

    /// Only the datanode's own user may steer it.
    fn check_owner(&self, call: &Call, what: &str) -> Result<(), Fault> {
        let user = &call.user.name;
        if *user == self.owner || user == groups::own_user() {
            return Ok(());
        }
        let message = format!("{user} may not {what}; only {} may", self.owner);
        Err(Fault::new(Exception::AccessControl, message))
    }

    fn block(&self, block: &ExtendedBlockProto) -> Result<Block, Fault> {
        if block.pool_id == self.store.pool {
            return Ok(Block::from(block));
        }
        Err(Fault::io(format!("block pool {} is not served here", block.pool_id)))
    }

    fn visible_length(&self, call: &Call) -> Result<GetReplicaVisibleLengthResponseProto, Fault> {
        let request: GetReplicaVisibleLengthRequestProto = call.decode()?;
        let length = self.store.visible_length(self.block(&request.block)?)?;
        Ok(GetReplicaVisibleLengthResponseProto { length })
    }

    fn local_info(&self) -> GetDatanodeInfoResponseProto {
        GetDatanodeInfoResponseProto {
            local_info: DatanodeLocalInfoProto {
                software_version: SOFTWARE_VERSION.to_owned(),
                config_version: "core-3.0.0,hdfs-1".to_owned(),
                uptime: self.started.elapsed().as_secs(),
            },
        }
    }

    fn volumes(&self) -> GetVolumeReportResponseProto {
        let counts = self.store.counts();
        let volume_info = self
            .store
            .working()
            .iter()
            .map(|volume| {
                let space = volume.space().unwrap_or_default();
                DatanodeVolumeInfoProto {
                    path: volume.root.display().to_string(),
                    storage_type: volume.storage_type as i32,
                    used_space: space.used,
                    free_space: space.remaining,
                    reserved_space: volume.reserved(),
                    reserved_space_for_replicas: volume.promised(),
                    num_blocks: counts.get(&volume.index).copied().unwrap_or(0),
                }
            })
            .collect();
        GetVolumeReportResponseProto { volume_info }
    }

    fn trigger(&self, call: &Call) -> Result<TriggerBlockReportResponseProto, Fault> {
        let request: TriggerBlockReportRequestProto = call.decode()?;
        let wish = if request.incremental { Wish::Changes } else { Wish::FullReport };
        self.wishes
            .try_send(wish)
            .map_err(|_| Fault::io("a block report has been asked for already"))?;
        Ok(TriggerBlockReportResponseProto {})
    }

    fn shut_down(&self, call: &Call) -> Result<ShutdownDatanodeResponseProto, Fault> {
        self.check_owner(call, "stop the datanode")?;
        tracing::info!(user = call.user.name, "stopped by an administrator");
        self.shutdown.notify_one();
        Ok(ShutdownDatanodeResponseProto {})
    }

    fn init_recovery(&self, call: &Call, responder: Responder) {
        let decoded = call.decode::<InitReplicaRecoveryRequestProto>().and_then(|request| {
            Ok((self.block(&request.block.block.b)?, request.block.new_gen_stamp))
        });
        let store = Arc::clone(&self.store);
        self.on_thread(decoded, responder, move |(block, id)| {
            Ok(match store.begin_recovery(block, id)? {
                None => {
                    InitReplicaRecoveryResponseProto { replica_found: false, ..Default::default() }
                }
                Some(answer) => InitReplicaRecoveryResponseProto {
                    replica_found: true,
                    state: Some(answer.state as i32),
                    block: Some(answer.block.into()),
                },
            })
        });
    }

    fn update_recovery(&self, call: &Call, responder: Responder) {
        let decoded = call.decode::<UpdateReplicaUnderRecoveryRequestProto>().and_then(|request| {
            if request.new_block_id() != 0 {
                return Err(Fault::io("truncation into a new block is not supported"));
            }
            Ok((self.block(&request.block)?, request.recovery_id, request.new_length))
        });
        let store = Arc::clone(&self.store);
        self.on_thread(decoded, responder, move |(block, id, length)| {
            let storage_uuid = Some(store.update_recovery(block, id, length)?);
            Ok(UpdateReplicaUnderRecoveryResponseProto { storage_uuid })
        });
    }

    fn on_thread<Q: Send + 'static, R: prost::Message + 'static>(
        &self,
        request: Result<Q, Fault>,
        responder: Responder,
        work: impl FnOnce(Q) -> Result<R, Fault> + Send + 'static,
    ) {
        let request = match request {
            Ok(request) => request,
            Err(fault) => return responder.send::<()>(Err(fault)),
        };
        let running = Arc::clone(&self.recovery_calls);
        if running.fetch_add(1, Ordering::AcqRel) >= RECOVERY_CALLS_MAX {
            running.fetch_sub(1, Ordering::AcqRel);
            let busy = "too many recoveries run on this datanode";
            return responder.send::<()>(Err(Fault::new(Exception::Retriable, busy)));
        }
        self.runtime.spawn(async move {
            let answer = blocking(move || work(request)).await;
            running.fetch_sub(1, Ordering::AcqRel);
            responder.send(answer);
        });
    }
}
