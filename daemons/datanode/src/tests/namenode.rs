//! A namenode that remembers what datanodes tell it and orders what a test wants.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use hdfs_edge::rpc::{Bounds, Call, Metrics, Responder, Service, serve};
use hdfs_wire::Fault;
use hdfs_wire::block_list::{BufferReader, ReportedReplica};
use hdfs_wire::proto::hdfs::datanode::datanode_command_proto::Type;
use hdfs_wire::proto::hdfs::datanode::{
    BlockReceivedAndDeletedRequestProto, BlockReceivedAndDeletedResponseProto,
    BlockReportRequestProto, BlockReportResponseProto, CommitBlockSynchronizationRequestProto,
    CommitBlockSynchronizationResponseProto, DatanodeCommandProto, DatanodeRegistrationProto,
    HeartbeatRequestProto, HeartbeatResponseProto, RegisterCommandProto,
    RegisterDatanodeRequestProto, RegisterDatanodeResponseProto,
};
use hdfs_wire::proto::hdfs::{
    NamespaceInfoProto, NnhaStatusHeartbeatProto, StorageInfoProto, VersionResponseProto,
};
use parking_lot::Mutex;
use tokio::sync::watch;

use crate::random;

/// The block pool of all tests.
pub(super) const POOL: &str = "BP-1-127.0.0.1-1";

/// What the namenode knows.
#[derive(Default)]
pub(super) struct Known {
    pub(super) registrations: Vec<DatanodeRegistrationProto>,
    /// (datanode uuid, block id, stamp, length, status 1 to 3), in order.
    pub(super) changes: Vec<(String, u64, u64, u64, i32)>,
    pub(super) reports: HashMap<String, Vec<ReportedReplica>>,
    /// The last report of each storage, and how many full reports there were.
    pub(super) storages: HashMap<String, Vec<ReportedReplica>>,
    pub(super) report_count: usize,
    pub(super) commits: Vec<CommitBlockSynchronizationRequestProto>,
    pub(super) heartbeats: Vec<HeartbeatRequestProto>,
    /// Orders for a datanode, given out with its next heartbeat.
    pub(super) orders: HashMap<String, Vec<DatanodeCommandProto>>,
    /// Calls are refused, as if another process had the port.
    pub(super) is_away: bool,
    cluster: String,
}

/// A running namenode.
pub(super) struct Namenode {
    pub(super) known: Arc<Mutex<Known>>,
    pub(super) address: SocketAddr,
    _stop: watch::Sender<bool>,
    _runtime: tokio::runtime::Runtime,
}

struct Answering(Arc<Mutex<Known>>);

impl Namenode {
    pub(super) fn start() -> Self {
        Self::start_with("CID-1")
    }

    pub(super) fn start_with(cluster: &str) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .expect("a runtime");
        let listener =
            runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).expect("a port");
        let address = listener.local_addr().expect("bound");
        let known = Arc::new(Mutex::new(Known { cluster: cluster.to_owned(), ..Known::default() }));
        let service = Arc::new(Answering(Arc::clone(&known)));
        let (stop, stopped) = watch::channel(false);
        let metrics = Arc::new(Metrics::default());
        runtime.spawn(serve(listener, service, Bounds::default(), metrics, stopped));
        Self { known, address, _stop: stop, _runtime: runtime }
    }

    /// Waits for a state.
    pub(super) fn wait<T>(&self, what: &str, look: impl Fn(&Known) -> Option<T>) -> T {
        let until = Instant::now() + Duration::from_secs(30);
        loop {
            if let Some(seen) = look(&self.known.lock()) {
                return seen;
            }
            assert!(Instant::now() < until, "never seen: {what}");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Waits for a change about a block and returns its stamp and length.
    pub(super) fn wait_change(&self, uuid: &str, block: u64, status: i32) -> (u64, u64) {
        self.wait(&format!("status {status} of {block} from {uuid}"), |known| {
            let is_it = |change: &&(String, u64, u64, u64, i32)| {
                change.0 == uuid && change.1 == block && change.4 == status
            };
            known.changes.iter().rfind(is_it).map(|change| (change.2, change.3))
        })
    }

    pub(super) fn order(&self, uuid: &str, command: DatanodeCommandProto) {
        self.known.lock().orders.entry(uuid.to_owned()).or_default().push(command);
    }
}

impl Service for Answering {
    fn call(&self, call: Call, responder: Responder) {
        if self.0.lock().is_away {
            return responder.send::<()>(Err(Fault::io("away")));
        }
        match &*call.method {
            "versionRequest" => responder.send(Ok(self.version())),
            "registerDatanode" => responder.send(self.register(&call)),
            "sendHeartbeat" => responder.send(self.heartbeat(&call)),
            "blockReceivedAndDeleted" => responder.send(self.changes(&call)),
            "blockReport" => responder.send(self.report(&call)),
            "commitBlockSynchronization" => responder.send(self.commit(&call)),
            other => responder.send::<()>(Err(Fault::io(format!("no {other} here")))),
        }
    }
}

impl Answering {
    fn version(&self) -> VersionResponseProto {
        VersionResponseProto {
            info: NamespaceInfoProto {
                build_version: "test".to_owned(),
                unused: 0,
                block_pool_id: POOL.to_owned(),
                storage_info: StorageInfoProto {
                    layout_version: (-67i32).cast_unsigned(),
                    namespce_id: 7,
                    cluster_id: self.0.lock().cluster.clone(),
                    c_time: 0,
                },
                software_version: "3.4.1".to_owned(),
                capabilities: Some(1),
                state: Some(0),
            },
        }
    }

    fn register(&self, call: &Call) -> Result<RegisterDatanodeResponseProto, Fault> {
        let request: RegisterDatanodeRequestProto = call.decode()?;
        let mut registration = request.registration;
        registration.datanode_id.ip_addr = "127.0.0.1".to_owned();
        self.0.lock().registrations.push(registration.clone());
        Ok(RegisterDatanodeResponseProto { registration })
    }

    fn heartbeat(&self, call: &Call) -> Result<HeartbeatResponseProto, Fault> {
        let request: HeartbeatRequestProto = call.decode()?;
        let uuid = request.registration.datanode_id.datanode_uuid.clone();
        let mut known = self.0.lock();
        let is_known = known
            .registrations
            .iter()
            .any(|registration| registration.datanode_id.datanode_uuid == uuid);
        let mut cmds = known.orders.remove(&uuid).unwrap_or_default();
        if !is_known {
            cmds = vec![DatanodeCommandProto {
                cmd_type: Type::RegisterCommand as i32,
                register_cmd: Some(RegisterCommandProto {}),
                ..Default::default()
            }];
        }
        let wants = request.request_full_block_report_lease();
        known.heartbeats.push(request);
        Ok(HeartbeatResponseProto {
            cmds,
            ha_status: NnhaStatusHeartbeatProto { state: 0, txid: 1 },
            full_block_report_lease_id: Some(if wants && is_known { random::number() } else { 0 }),
            ..Default::default()
        })
    }

    fn changes(&self, call: &Call) -> Result<BlockReceivedAndDeletedResponseProto, Fault> {
        let request: BlockReceivedAndDeletedRequestProto = call.decode()?;
        let uuid = request.registration.datanode_id.datanode_uuid;
        let mut known = self.0.lock();
        for change in request.blocks.iter().flat_map(|storage| &storage.blocks) {
            let block = &change.block;
            known.changes.push((
                uuid.clone(),
                block.block_id,
                block.gen_stamp,
                block.num_bytes(),
                change.status,
            ));
        }
        Ok(BlockReceivedAndDeletedResponseProto {})
    }

    fn report(&self, call: &Call) -> Result<BlockReportResponseProto, Fault> {
        let request: BlockReportRequestProto = call.decode()?;
        let lease = request.context.and_then(|context| context.lease_id);
        assert_ne!(lease, None, "a report has its lease");
        let mut known = self.0.lock();
        let mut all = Vec::new();
        for report in &request.reports {
            assert!(report.blocks.is_empty());
            let replicas: Vec<_> =
                BufferReader::new(&report.blocks_buffers, report.number_of_blocks())
                    .map(|replica| replica.expect("readable"))
                    .collect();
            all.extend_from_slice(&replicas);
            known.storages.insert(report.storage.storage_uuid.clone(), replicas);
        }
        let uuid = request.registration.datanode_id.datanode_uuid.clone();
        known.reports.insert(uuid, all);
        known.report_count += 1;
        Ok(BlockReportResponseProto { cmd: None })
    }

    fn commit(&self, call: &Call) -> Result<CommitBlockSynchronizationResponseProto, Fault> {
        self.0.lock().commits.push(call.decode()?);
        Ok(CommitBlockSynchronizationResponseProto {})
    }
}
