//! Located blocks: what writers and readers are told about where a block is.

use std::sync::atomic::Ordering;

use bytes::Bytes;
use hdfs_wire::proto::common::TokenProto;
use hdfs_wire::proto::hdfs::datanode_info_proto::AdminState;
use hdfs_wire::proto::hdfs::{ExtendedBlockProto, LocatedBlockProto};

use super::block_map::StorageId;
use super::random::mix;
use super::{Block, BlockManager, BlockState, Target};

impl BlockManager {
    /// The answer to addBlock and getAdditionalDatanode: the block with exactly these targets.
    pub fn located_targets(
        &self,
        block: Block,
        offset: u64,
        targets: &[Target],
    ) -> LocatedBlockProto {
        let storages: Vec<_> = targets.iter().filter_map(|each| self.storage_at(each)).collect();
        self.located_at(block, offset, &storages, false)
    }

    /// The answer to a reader: live locations, nearest to `reader` first. An unknown block has
    /// none.
    pub fn located(&self, id: i64, offset: u64, reader: &str) -> LocatedBlockProto {
        let Some(slot) = self.map.find(id) else {
            return self.located_at(Block { id, length: 0, stamp: 0 }, offset, &[], false);
        };
        let block = self.map.block(slot);
        if self.map.state(slot) != BlockState::Complete {
            let mut storages = self.where_to_look(slot);
            self.sort_for(reader, id, &mut storages);
            return self.located_at(block, offset, &storages, false);
        }
        let all: Vec<StorageId> = self.map.replicas(slot).collect();
        let mut good: Vec<StorageId> =
            all.iter().copied().filter(|each| !self.is_corrupt(slot, *each)).collect();
        let corrupt = good.is_empty() && !all.is_empty();
        if corrupt {
            good = all;
        }
        self.sort_for(reader, id, &mut good);
        self.located_at(block, offset, &good, corrupt)
    }

    /// Best first: nodes that are well before nodes that leave or are stale, then by distance, then
    /// shuffled, with another shuffle each time.
    fn sort_for(&self, reader: &str, id: i64, storages: &mut [StorageId]) {
        if storages.len() < 2 {
            return;
        }
        let turn = u64::from(self.turn.fetch_add(1, Ordering::Relaxed));
        let shuffle = mix(self.settings.seed ^ id.cast_unsigned()).wrapping_add(turn);
        let rack = self.nodes.rack_of(reader);
        storages.sort_by_cached_key(|storage| {
            let node = self.nodes.host(*storage);
            let trouble = match node.admin {
                AdminState::Decommissioned | AdminState::InMaintenance => 2,
                AdminState::Normal if self.avoided(*storage) => 1,
                AdminState::Normal => 0,
                AdminState::DecommissionInprogress | AdminState::EnteringMaintenance => 0,
            };
            let distance = match () {
                () if node.id.ip_addr == reader => 0,
                () if node.rack == rack => 2,
                () => 4,
            };
            (trouble, distance, mix(shuffle ^ (u64::from(*storage) << 32)))
        });
    }

    /// A stale node, when readers are to be kept away from those.
    fn avoided(&self, storage: StorageId) -> bool {
        let stale_ms = self.settings.stale_interval_ms;
        self.settings.avoid_stale_for_read && self.nodes.host(storage).silent(self.clock, stale_ms)
    }

    /// A located block with all that Java's clients insist on.
    pub(super) fn located_at(
        &self,
        block: Block,
        offset: u64,
        storages: &[StorageId],
        corrupt: bool,
    ) -> LocatedBlockProto {
        let known = storages.iter().map(|id| self.nodes.storage(*id));
        LocatedBlockProto {
            b: ExtendedBlockProto {
                pool_id: self.settings.identity.block_pool_id.clone(),
                block_id: block.id.cast_unsigned(),
                generation_stamp: block.stamp,
                num_bytes: Some(block.length),
            },
            offset,
            locs: known.clone().map(|each| self.nodes.info(each.node)).collect(),
            corrupt,
            block_token: no_token(),
            is_cached: vec![false; storages.len()],
            storage_types: known.clone().map(|each| each.kind).collect(),
            storage_i_ds: known.map(|each| each.uuid.clone()).collect(),
            block_indices: None,
            block_tokens: Vec::new(),
        }
    }
}

/// The token of a cluster without tokens: its four required fields, empty.
fn no_token() -> TokenProto {
    TokenProto {
        identifier: Bytes::new(),
        password: Bytes::new(),
        kind: String::new(),
        service: String::new(),
    }
}
