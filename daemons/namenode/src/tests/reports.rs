//! `complete` and the datanode's report of the last block: whichever comes first, the client is
//! told
//! the truth, and it does not have to ask twice.

use hdfs_wire::proto::hdfs::datanode::received_deleted_block_info_proto::BlockStatus;
use hdfs_wire::proto::hdfs::datanode::*;

use super::*;

const STORAGE: &str = "DS-1";

/// A datanode that stores nothing and reports what it is told to.
pub(super) struct Reporter {
    caller: Caller,
    registration: DatanodeRegistrationProto,
    pool: String,
}

impl Reporter {
    pub(super) fn new(running: &Running) -> Self {
        let caller = Caller::new(running, routes::DATANODE);
        let version: VersionResponseProto =
            caller.call("versionRequest", &VersionRequestProto {}).expect("answers");
        let mut storage_info = version.info.storage_info;
        storage_info.layout_version = (-57_i32).cast_unsigned();
        let registration = DatanodeRegistrationProto {
            datanode_id: DatanodeIdProto {
                ip_addr: "127.0.0.1".into(),
                host_name: "localhost".into(),
                datanode_uuid: "11111111-2222-4333-8444-555555555555".into(),
                xfer_port: 9866,
                info_port: 9864,
                ipc_port: 9867,
                info_secure_port: Some(0),
            },
            storage_info,
            keys: ExportedBlockKeysProto::default(),
            software_version: "3.4.1".into(),
        };
        let reporter = Self { caller, registration, pool: version.info.block_pool_id };
        let request = RegisterDatanodeRequestProto { registration: reporter.registration.clone() };
        let _: RegisterDatanodeResponseProto =
            reporter.caller.call("registerDatanode", &request).expect("registered");
        let report = StorageReportProto {
            storage_uuid: STORAGE.into(),
            capacity: Some(1 << 40),
            remaining: Some(1 << 40),
            storage: Some(DatanodeStorageProto {
                storage_uuid: STORAGE.into(),
                ..DatanodeStorageProto::default()
            }),
            ..StorageReportProto::default()
        };
        let request = HeartbeatRequestProto {
            registration: reporter.registration.clone(),
            reports: vec![report],
            ..HeartbeatRequestProto::default()
        };
        let _: HeartbeatResponseProto =
            reporter.caller.call("sendHeartbeat", &request).expect("heard");
        reporter
    }

    fn received(&self, block: &ExtendedBlockProto) {
        let info = ReceivedDeletedBlockInfoProto {
            block: BlockProto {
                block_id: block.block_id,
                gen_stamp: block.generation_stamp,
                num_bytes: Some(block.num_bytes()),
            },
            status: BlockStatus::Received.into(),
            delete_hint: None,
        };
        let request = BlockReceivedAndDeletedRequestProto {
            registration: self.registration.clone(),
            block_pool_id: self.pool.clone(),
            blocks: vec![StorageReceivedDeletedBlocksProto {
                storage_uuid: STORAGE.into(),
                blocks: vec![info],
                storage: None,
            }],
        };
        let _: BlockReceivedAndDeletedResponseProto =
            self.caller.call("blockReceivedAndDeleted", &request).expect("taken");
    }
}

/// A file with one block of 100 bytes that nobody has reported yet.
fn written(caller: &Caller, path: &str) -> (ExtendedBlockProto, CompleteRequestProto) {
    let created: CreateResponseProto = caller.call("create", &create(path)).expect("created");
    let file_id = created.fs.and_then(|status| status.file_id);
    let request = AddBlockRequestProto {
        src: path.to_owned(),
        client_name: "DFSClient_test".to_owned(),
        file_id,
        ..AddBlockRequestProto::default()
    };
    let added: AddBlockResponseProto = caller.call("addBlock", &request).expect("added");
    let block = ExtendedBlockProto { num_bytes: Some(100), ..added.block.b };
    let complete = CompleteRequestProto { last: Some(block.clone()), file_id, ..complete(path) };
    (block, complete)
}

#[test]
fn a_complete_that_beats_the_report_waits_for_it() {
    let home = Home::formatted();
    let running = home.start();
    let datanode = Reporter::new(&running);
    let caller = Caller::new(&running, routes::CLIENT);
    for number in 0..20 {
        let (block, request) = written(&caller, &format!("/f{number}"));
        std::thread::scope(|scope| {
            let early = scope.spawn(|| {
                caller.call::<_, CompleteResponseProto>("complete", &request).expect("answered")
            });
            datanode.received(&block);
            assert!(early.join().expect("no panic").result, "/f{number}");
        });
    }
    let (_, request) = written(&caller, "/never");
    let late: CompleteResponseProto = caller.call("complete", &request).expect("answered");
    assert!(!late.result);
}
