//! New blocks and changed pipelines: addBlock, getAdditionalDatanode, updateBlockForPipeline,
//! updatePipeline.

use hdfs_disk::edits::{EditOp, RpcIds};
use hdfs_disk::types::BlockRecord;
use hdfs_wire::proto::hdfs::{
    AddBlockFlagProto, AddBlockRequestProto, AddBlockResponseProto, DatanodeIdProto,
    DatanodeInfoProto, ExtendedBlockProto, GetAdditionalDatanodeRequestProto,
    GetAdditionalDatanodeResponseProto, LocatedBlockProto, UpdateBlockForPipelineRequestProto,
    UpdateBlockForPipelineResponseProto, UpdatePipelineRequestProto, UpdatePipelineResponseProto,
};
use hdfs_wire::{Exception, Fault};

use super::super::blocks::{Block, PlacementRequest, Target};
use super::super::tree::{Mark, Slot, Usage};
use super::super::{Caller, Durable, Namenode};
use super::write::block_of;

/// Where addBlock stands, before anything changes.
enum Place {
    /// A new block may follow.
    Next,
    /// The call was carried out before: this block was its answer.
    Again(i64),
}

impl Namenode {
    /// `addBlock`: the previous block is as the client says, and here is the next.
    ///
    /// # Errors
    /// `LeaseExpiredException`, `NotReplicatedYetException`, `DSQuotaExceededException`,
    /// `IOException` for a previous block that does not fit or when no datanode can take it; path
    /// and safe mode errors.
    pub fn add_block(
        &mut self,
        caller: &Caller<'_>,
        request: &AddBlockRequestProto,
    ) -> Result<Durable<AddBlockResponseProto>, Fault> {
        self.begin(caller);
        let (src, file_id) = (&request.src, request.file_id());
        self.check_safe_mode(format_args!("add block to {src}"))?;
        let resolved = self.resolve_open(caller, src, file_id)?;
        if let Some(previous) = &request.previous {
            self.check_pool(previous)?;
        }
        let slot = self.check_lease(&resolved, &request.client_name, file_id)?;
        let previous = request.previous.as_ref().map(block_of);
        if let Place::Again(id) = self.place_of(slot, resolved.path(), previous)? {
            let targets = self.blocks.locations(id);
            if !targets.is_empty() {
                return Ok(self.allocated(slot, id, &targets));
            }
        }
        self.check_next(slot, resolved.path())?;
        let targets = self.choose(caller, request, slot, resolved.path())?;
        let id = self.allocate(slot, previous)?;
        self.blocks.expect(id, &targets);
        Ok(self.allocated(slot, id, &targets))
    }

    fn allocated(&self, slot: Slot, id: i64, targets: &[Target]) -> Durable<AddBlockResponseProto> {
        let record = self.record(id);
        let block = Block { id, length: 0, stamp: record.stamp };
        let offset = self.file_length(slot) - record.length;
        let block = self.blocks.located_targets(block, offset, targets);
        self.durable(AddBlockResponseProto { block })
    }

    fn place_of(&self, slot: Slot, path: &str, previous: Option<Block>) -> Result<Place, Fault> {
        let ids = self.tree.blocks(slot);
        let matches = |id: Option<i64>| match (id, previous) {
            (None, None) => true,
            (Some(id), Some(told)) => id == told.id && self.record(id).stamp == told.stamp,
            _ => false,
        };
        let last = ids.last();
        if matches(last) {
            return Ok(Place::Next);
        }
        if let Some(last) = last {
            let is_full = self.block_length(last) >= self.tree.get(slot).block_size();
            if previous.is_none() && is_full && self.is_complete(last) {
                return Ok(Place::Next);
            }
            if matches(ids.penultimate()) {
                let length = self.block_length(last);
                if length != 0 || self.is_complete(last) {
                    return Err(Fault::io(format!(
                        "Request looked like a retry to allocate block blk_{last} but it already \
                         contains {length} bytes"
                    )));
                }
                return Ok(Place::Again(last));
            }
        }
        let show = |id: i64, stamp: u64| format!("blk_{id}_{stamp}");
        let told = previous.map_or("null".to_owned(), |block| show(block.id, block.stamp));
        let known = last.map_or("null".to_owned(), |id| show(id, self.record(id).stamp));
        Err(Fault::io(format!(
            "Cannot allocate block in {path}: passed 'previous' block {told} does not match actual \
             last block in file {known}"
        )))
    }

    /// Count, the state of the block before the last, and quota.
    fn check_next(&self, slot: Slot, path: &str) -> Result<(), Fault> {
        let ids = self.tree.blocks(slot);
        let limit = self.config.blocks_per_file_max;
        if ids.len() >= limit {
            return Err(Fault::io(format!(
                "File has reached the limit on maximum number of blocks \
                 (dfs.namenode.fs-limits.max-blocks-per-file): {} >= {limit}",
                ids.len()
            )));
        }
        if ids.penultimate().is_some_and(|id| !self.is_complete(id)) {
            let message = format!("Not replicated yet: {path}");
            return Err(Fault::new(Exception::NotReplicatedYet, message));
        }
        let inode = self.tree.get(slot);
        let space = inode.block_size() as i64 * i64::from(inode.replication());
        let usage = Usage { names: 0, space };
        inode.parent().map_or(Ok(()), |parent| self.check_quota(parent, usage, None))
    }

    fn choose(
        &mut self,
        caller: &Caller<'_>,
        request: &AddBlockRequestProto,
        slot: Slot,
        path: &str,
    ) -> Result<Vec<Target>, Fault> {
        let flag = |flag: AddBlockFlagProto| request.flags.contains(&(flag as i32));
        let anywhere = flag(AddBlockFlagProto::IgnoreClientLocality);
        let inode = self.tree.get(slot);
        let (count, block_size) = (usize::from(inode.replication()), inode.block_size());
        let excluded = uuids(&request.exclude_nodes);
        let placement = PlacementRequest {
            count,
            block_size,
            writer: if anywhere { "" } else { caller.address },
            excluded: &excluded,
            existing: &[],
            favored: &request.favored_nodes,
            policy: self.policy_of(slot),
            avoid_local: flag(AddBlockFlagProto::NoLocalWrite),
        };
        self.blocks.choose_targets(self.now, &placement).map_err(|fault| for_file(fault, path))
    }

    /// Commits the previous block, gives out an id and a stamp, and adds the block.
    fn allocate(&mut self, slot: Slot, previous: Option<Block>) -> Result<i64, Fault> {
        self.commit_last(slot, previous)?;
        let id = self.counters.block_id + 1;
        self.log(&EditOp::AllocateBlockId { block_id: id })?;
        let stamp = self.next_stamp()?;
        let op = EditOp::AddBlock {
            path: self.tree.path(slot),
            penultimate: self.tree.blocks(slot).last().map(|id| self.record(id)),
            last: BlockRecord { id, length: 0, stamp },
            rpc: RpcIds::NONE,
        };
        self.log(&op)?;
        Ok(id)
    }

    /// A new generation stamp.
    pub(crate) fn next_stamp(&mut self) -> Result<u64, Fault> {
        let stamp = self.counters.stamp + 1;
        self.log(&EditOp::SetGenstampV2 { stamp })?;
        Ok(stamp)
    }

    /// `getAdditionalDatanode`: more nodes for a pipeline that lost some.
    ///
    /// # Errors
    /// `LeaseExpiredException`, `IOException` when no datanode can take it; path and safe mode
    /// errors.
    pub fn get_additional_datanode(
        &mut self,
        caller: &Caller<'_>,
        request: &GetAdditionalDatanodeRequestProto,
    ) -> Result<Durable<GetAdditionalDatanodeResponseProto>, Fault> {
        self.begin(caller);
        let (src, file_id) = (&request.src, request.file_id());
        let id = request.blk.block_id as i64;
        self.check_safe_mode(format_args!("add datanode; src={src}, blk=blk_{id}"))?;
        self.check_pool(&request.blk)?;
        let resolved = self.resolve_open(caller, src, file_id)?;
        let slot = self.check_lease(&resolved, &request.client_name, file_id)?;
        let (existing, excluded) = (uuids(&request.existings), uuids(&request.excludes));
        let placement = PlacementRequest {
            count: request.num_additional_nodes as usize,
            block_size: self.tree.get(slot).block_size(),
            writer: caller.address,
            excluded: &excluded,
            existing: &existing,
            favored: &[],
            policy: self.policy_of(slot),
            avoid_local: false,
        };
        let more = self
            .blocks
            .choose_targets(self.now, &placement)
            .map_err(|fault| for_file(fault, resolved.path()))?;
        let ids: Vec<_> = request.existings.iter().map(|node| &node.id).cloned().collect();
        let mut targets = self.targets(&ids, &request.existing_storage_uuids);
        targets.extend(more);
        // Java leaves the offset open here.
        let block = self.blocks.located_targets(block_of(&request.blk), u64::MAX, &targets);
        Ok(self.durable(GetAdditionalDatanodeResponseProto { block }))
    }

    /// The targets a client names, as far as they are known.
    pub(crate) fn targets(&self, nodes: &[DatanodeIdProto], storages: &[String]) -> Vec<Target> {
        let storages = storages.iter().map(String::as_str).chain(std::iter::repeat(""));
        nodes
            .iter()
            .zip(storages)
            .filter_map(|(node, storage)| self.blocks.target_of(node, storage))
            .collect()
    }

    /// `updateBlockForPipeline`: a new generation stamp for a pipeline about to change.
    ///
    /// # Errors
    /// `LeaseExpiredException` for anybody but the writer, `IOException` for an unknown block; safe
    /// mode errors.
    pub fn update_block_for_pipeline(
        &mut self,
        caller: &Caller<'_>,
        request: &UpdateBlockForPipelineRequestProto,
    ) -> Result<Durable<UpdateBlockForPipelineResponseProto>, Fault> {
        self.begin(caller);
        let block = &request.block;
        self.check_written(block, &request.client_name)?;
        let stamp = self.next_stamp()?;
        let block = LocatedBlockProto {
            b: ExtendedBlockProto { generation_stamp: stamp, ..block.clone() },
            // No position: the client knows it.
            offset: u64::MAX,
            ..LocatedBlockProto::default()
        };
        Ok(self.durable(UpdateBlockForPipelineResponseProto { block }))
    }

    /// The file of a block that this client writes at present.
    fn check_written(&self, block: &ExtendedBlockProto, client: &str) -> Result<Slot, Fault> {
        let shown = show(block);
        self.check_safe_mode(format_args!(
            "get a new generation stamp and an access token for block {shown}"
        ))?;
        self.check_pool(block)?;
        let id = block.block_id as i64;
        if self.blocks.block(id).is_none() {
            return Err(Fault::io(format!("{shown} does not exist")));
        }
        let file = self.blocks.file_of(id).and_then(|file| self.tree.by_id(file));
        let slot = file.filter(|&slot| self.tree.get(slot).has(Mark::Open)).ok_or_else(|| {
            Fault::io(format!(
                "The file {shown} belonged to does not exist or it is not under construction."
            ))
        })?;
        let writer = self.leases.writer(self.tree.get(slot).id());
        if writer.is_none_or(|writer| &*writer.holder != client) {
            let message =
                format!("Lease mismatch: {shown} is accessed by a non lease holder {client}");
            return Err(Fault::new(Exception::LeaseExpired, message));
        }
        Ok(slot)
    }

    /// `updatePipeline`: the pipeline has changed to these nodes, stamp and length.
    ///
    /// # Errors
    /// As [`Self::update_block_for_pipeline`], and `IOException` for an older state.
    pub fn update_pipeline(
        &mut self,
        caller: &Caller<'_>,
        request: &UpdatePipelineRequestProto,
    ) -> Result<Durable<UpdatePipelineResponseProto>, Fault> {
        self.begin(caller);
        if self.repeated(caller).is_some() {
            return Ok(self.durable(UpdatePipelineResponseProto {}));
        }
        let (old, new) = (&request.old_block, &request.new_block);
        let slot = self.check_written(old, &request.client_name)?;
        let mut blocks = self.records(slot);
        let last = blocks.last_mut().filter(|last| last.id == new.block_id as i64);
        let last = last
            .ok_or_else(|| Fault::io(format!("{} is not the last block of its file", show(new))))?;
        if new.generation_stamp <= last.stamp || new.num_bytes() < last.length {
            return Err(Fault::io(format!(
                "Update {} (len = {}) to an older state: {} (len = {})",
                show(old),
                last.length,
                show(new),
                new.num_bytes()
            )));
        }
        last.stamp = new.generation_stamp;
        last.length = new.num_bytes();
        let id = last.id;
        let path = self.tree.path(slot);
        self.log(&EditOp::UpdateBlocks { path, blocks, rpc: Self::rpc_ids(caller) })?;
        let targets = self.targets(&request.new_nodes, &request.storage_i_ds);
        self.blocks.expect(id, &targets);
        Ok(self.durable(UpdatePipelineResponseProto {}))
    }
}

fn uuids(nodes: &[DatanodeInfoProto]) -> Vec<String> {
    nodes.iter().map(|node| node.id.datanode_uuid.clone()).collect()
}

/// A block as messages show it.
pub(super) fn show(block: &ExtendedBlockProto) -> String {
    format!("{}:blk_{}_{}", block.pool_id, block.block_id as i64, block.generation_stamp)
}

/// Placement does not know whom it places for.
fn for_file(fault: Fault, path: &str) -> Fault {
    if fault.message.starts_with("could only be written") {
        return Fault::new(fault.exception, format!("File {path} {}", fault.message));
    }
    fault
}
