//! Tests of the namespace side as a whole: a namenode, one pretended datanode, and clients.

mod edges;
mod grants;
mod history;
mod life;
mod loading;
mod memory;
mod users;

use hdfs_disk::edits::{EditOp, SegmentKind, SegmentReader};
use hdfs_disk::image::ImageReader;
use hdfs_wire::Fault;
use hdfs_wire::proto::hdfs::datanode::received_deleted_block_info_proto::BlockStatus;
use hdfs_wire::proto::hdfs::datanode::*;
use hdfs_wire::proto::hdfs::*;

use super::{Caller, Config, Durable, Identity, Namenode};
use crate::Millis;

const START: Millis = 1_000_000;
const MIB: u64 = 1 << 20;

/// Flags of create.
const CREATE: u32 = 1;
const OVERWRITE: u32 = 2;

/// "No operation in this log begins with these ids."
const NO_CLIENT: [u8; 0] = [];

/// A namenode in service, its clock, its whole log so far, and who calls.
struct Lab {
    node: Namenode,
    log: Vec<u8>,
    now: Millis,
    user: String,
    groups: Vec<String>,
    client_id: Vec<u8>,
    call_id: i32,
}

fn config() -> Config {
    Config {
        identity: Identity {
            namespace_id: 7,
            cluster_id: "CID-1".into(),
            block_pool_id: "BP-1".into(),
            creation_time: 0,
        },
        superuser: "root".into(),
        replication: 1,
        ..Config::default()
    }
}

impl Lab {
    /// A fresh namespace and one datanode.
    fn new() -> Self {
        Self::around(Namenode::new(config(), START))
    }

    fn around(mut node: Namenode) -> Self {
        node.loaded(START);
        let client_id = NO_CLIENT.to_vec();
        let (user, groups) = ("root".to_owned(), vec!["root".to_owned()]);
        let mut lab =
            Self { node, log: Vec::new(), now: START, user, groups, client_id, call_id: 0 };
        lab.join();
        lab.node.blocks.leave_safe_mode(START);
        lab
    }

    fn join(&mut self) {
        let register = RegisterDatanodeRequestProto { registration: registration() };
        self.write(|node, caller| node.register_datanode(caller, &register)).unwrap();
        self.beat();
    }

    /// The datanode lives.
    fn beat(&mut self) {
        let storage = DatanodeStorageProto {
            storage_uuid: "DS-0".into(),
            state: Some(0),
            storage_type: Some(1),
        };
        let report = StorageReportProto {
            storage_uuid: "DS-0".into(),
            capacity: Some(1 << 50),
            remaining: Some(1 << 50),
            storage: Some(storage),
            ..StorageReportProto::default()
        };
        let heartbeat = HeartbeatRequestProto {
            registration: registration(),
            reports: vec![report],
            ..HeartbeatRequestProto::default()
        };
        self.write(|node, caller| node.send_heartbeat(caller, &heartbeat)).unwrap();
    }

    fn become_user(&mut self, user: &str, group: &str) {
        self.user = user.to_owned();
        self.groups = vec![group.to_owned()];
    }

    /// A read by the present user.
    fn read<T>(
        &self,
        call: impl FnOnce(&Namenode, &Caller<'_>) -> Result<T, Fault>,
    ) -> Result<T, Fault> {
        call(&self.node, &self.caller())
    }

    /// A write by the present user; what it logs goes to the log.
    fn write<T>(
        &mut self,
        call: impl FnOnce(&mut Namenode, &Caller<'_>) -> Result<T, Fault>,
    ) -> Result<T, Fault> {
        self.now += 1;
        let (user, groups) = (self.user.clone(), self.groups.clone());
        let client_id = self.client_id.clone();
        let caller = Caller {
            user: &user,
            groups: &groups,
            address: "127.0.0.1",
            client_id: &client_id,
            call_id: self.call_id,
            now: self.now,
        };
        let result = call(&mut self.node, &caller);
        self.node.take_log(&mut self.log);
        result
    }

    /// A write whose answer is released at once.
    fn durably<T: std::fmt::Debug>(
        &mut self,
        call: impl FnOnce(&mut Namenode, &Caller<'_>) -> Result<Durable<T>, Fault>,
    ) -> Result<T, Fault> {
        let answer = self.write(call)?;
        let synced = self.node.last_txid();
        Ok(answer.release(synced).expect("everything logged so far is synced"))
    }

    fn caller(&self) -> Caller<'_> {
        Caller {
            user: &self.user,
            groups: &self.groups,
            address: "127.0.0.1",
            client_id: &self.client_id,
            call_id: self.call_id,
            now: self.now,
        }
    }

    // ---- common calls ----

    fn mkdirs(&mut self, path: &str, mode: u32) -> Result<bool, Fault> {
        let request = MkdirsRequestProto {
            src: path.into(),
            masked: FsPermissionProto { perm: mode },
            create_parent: true,
            unmasked: None,
        };
        self.durably(|node, caller| node.mkdirs(caller, &request)).map(|answer| answer.result)
    }

    fn create(&mut self, path: &str, client: &str, flags: u32) -> Result<u64, Fault> {
        let request = create_request(path, client, flags);
        let answer = self.durably(|node, caller| node.create(caller, &request))?;
        Ok(answer.fs.unwrap().file_id())
    }

    fn add_block(
        &mut self,
        path: &str,
        client: &str,
        previous: Option<ExtendedBlockProto>,
    ) -> Result<LocatedBlockProto, Fault> {
        let request = AddBlockRequestProto {
            src: path.into(),
            client_name: client.into(),
            previous,
            ..AddBlockRequestProto::default()
        };
        self.durably(|node, caller| node.add_block(caller, &request)).map(|answer| answer.block)
    }

    fn complete(
        &mut self,
        path: &str,
        client: &str,
        last: Option<ExtendedBlockProto>,
    ) -> Result<bool, Fault> {
        let request = CompleteRequestProto {
            src: path.into(),
            client_name: client.into(),
            last,
            file_id: None,
        };
        self.durably(|node, caller| node.complete(caller, &request)).map(|answer| answer.result)
    }

    /// The datanode has received a block whole.
    fn received(&mut self, block: &ExtendedBlockProto) {
        let info = ReceivedDeletedBlockInfoProto {
            block: BlockProto {
                block_id: block.block_id,
                gen_stamp: block.generation_stamp,
                num_bytes: block.num_bytes,
            },
            status: BlockStatus::Received as i32,
            delete_hint: None,
        };
        let request = BlockReceivedAndDeletedRequestProto {
            registration: registration(),
            block_pool_id: "BP-1".into(),
            blocks: vec![StorageReceivedDeletedBlocksProto {
                storage_uuid: "DS-0".into(),
                blocks: vec![info],
                storage: None,
            }],
        };
        self.write(|node, caller| node.block_received_and_deleted(caller, &request)).unwrap();
    }

    /// A block of so many bytes at the end of an open file.
    fn write_block(
        &mut self,
        path: &str,
        client: &str,
        previous: Option<ExtendedBlockProto>,
        bytes: u64,
    ) -> Result<ExtendedBlockProto, Fault> {
        let located = self.add_block(path, client, previous)?;
        let block = ExtendedBlockProto { num_bytes: Some(bytes), ..located.b };
        self.received(&block);
        Ok(block)
    }

    /// A closed file with blocks of these lengths.
    fn file(&mut self, path: &str, lengths: &[u64]) {
        self.create(path, "cl", CREATE).unwrap();
        let mut last = None;
        for &length in lengths {
            last = Some(self.write_block(path, "cl", last, length).unwrap());
        }
        assert!(self.complete(path, "cl", last).unwrap());
    }

    fn delete(&mut self, path: &str, recursive: bool) -> Result<bool, Fault> {
        let request = DeleteRequestProto { src: path.into(), recursive };
        self.durably(|node, caller| node.delete(caller, &request)).map(|answer| answer.result)
    }

    fn rename(&mut self, src: &str, dst: &str) -> Result<bool, Fault> {
        let request = RenameRequestProto { src: src.into(), dst: dst.into() };
        self.durably(|node, caller| node.rename(caller, &request)).map(|answer| answer.result)
    }

    fn rename2(&mut self, src: &str, dst: &str, overwrite_dest: bool) -> Result<(), Fault> {
        let request = Rename2RequestProto {
            src: src.into(),
            dst: dst.into(),
            overwrite_dest,
            move_to_trash: None,
        };
        self.durably(|node, caller| node.rename2(caller, &request)).map(|_| ())
    }

    fn chmod(&mut self, path: &str, mode: u32) -> Result<(), Fault> {
        let request = SetPermissionRequestProto {
            src: path.into(),
            permission: FsPermissionProto { perm: mode },
        };
        self.durably(|node, caller| node.set_permission(caller, &request)).map(|_| ())
    }

    fn chown(&mut self, path: &str, user: Option<&str>, group: Option<&str>) -> Result<(), Fault> {
        let request = SetOwnerRequestProto {
            src: path.into(),
            username: user.map(Into::into),
            groupname: group.map(Into::into),
        };
        self.durably(|node, caller| node.set_owner(caller, &request)).map(|_| ())
    }

    fn stat(&self, path: &str) -> Result<Option<HdfsFileStatusProto>, Fault> {
        let request = GetFileInfoRequestProto { src: path.into() };
        self.read(|node, caller| node.get_file_info(caller, &request)).map(|answer| answer.fs)
    }

    fn set_quota(&mut self, path: &str, names: i64, space: i64) -> Result<(), Fault> {
        let request = SetQuotaRequestProto {
            path: path.into(),
            namespace_quota: names as u64,
            storagespace_quota: space as u64,
            storage_type: None,
        };
        self.durably(|node, caller| node.set_quota(caller, &request)).map(|_| ())
    }

    /// Lets seconds pass, with a heartbeat and a tick in each.
    fn pass(&mut self, seconds: u64) {
        for _ in 0..seconds {
            self.now += 1000;
            self.beat();
            self.node.tick(self.now);
            self.node.take_log(&mut self.log);
        }
    }

    // ---- the log and images ----

    /// The operations logged so far.
    fn ops(&self) -> Vec<(u64, EditOp)> {
        let mut bytes = hdfs_disk::edits::HEADER.to_vec();
        bytes.extend_from_slice(&self.log);
        let mut reader = SegmentReader::open(&bytes, SegmentKind::Finalized, 1).unwrap();
        let mut ops = Vec::new();
        while let Some(op) = reader.next_op().unwrap() {
            ops.push(op);
        }
        ops
    }

    /// A second namenode that replayed the whole log.
    fn replayed(&self) -> Namenode {
        let mut node = Namenode::new(config(), START);
        for (txid, op) in self.ops() {
            node.replay(txid, &op).unwrap_or_else(|error| panic!("{error}: {op:?}"));
        }
        node
    }

    /// A third one, through an image.
    fn reloaded(&self) -> Namenode {
        let (image, _) = self.node.save(self.node.last_txid(), Vec::new()).unwrap();
        Namenode::load(config(), &ImageReader::open(&image).unwrap()).unwrap()
    }
}

fn create_request(path: &str, client: &str, flags: u32) -> CreateRequestProto {
    CreateRequestProto {
        src: path.into(),
        masked: FsPermissionProto { perm: 0o644 },
        client_name: client.into(),
        create_flag: flags,
        create_parent: true,
        replication: 1,
        block_size: MIB,
        ..CreateRequestProto::default()
    }
}

fn registration() -> DatanodeRegistrationProto {
    DatanodeRegistrationProto {
        datanode_id: DatanodeIdProto {
            ip_addr: "127.0.0.1".into(),
            host_name: "localhost".into(),
            datanode_uuid: "uuid-0".into(),
            xfer_port: 9866,
            info_port: 9864,
            ipc_port: 9867,
            info_secure_port: Some(0),
        },
        storage_info: StorageInfoProto {
            layout_version: (-57_i32).cast_unsigned(),
            namespce_id: 7,
            cluster_id: "CID-1".into(),
            c_time: 0,
        },
        keys: ExportedBlockKeysProto::default(),
        software_version: "3.4.1".into(),
    }
}

/// Success as its value, failure as a client prints it: class and first line.
fn show<T: std::fmt::Debug>(result: Result<T, Fault>) -> String {
    match result {
        Ok(value) => format!("{value:?}"),
        Err(fault) => {
            let class = fault.exception.class_name().rsplit('.').next().unwrap_or("");
            format!("{class}: {}", fault.message.lines().next().unwrap_or(""))
        }
    }
}
