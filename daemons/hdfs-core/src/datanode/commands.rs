//! What the namenode's answers ask for. Orders count only from the namenode that is active; the
//! edge executes, nothing here does.

use hdfs_wire::proto::hdfs::datanode::block_command_proto::Action as BlockAction;
use hdfs_wire::proto::hdfs::datanode::datanode_command_proto::Type;
use hdfs_wire::proto::hdfs::datanode::{BlockCommandProto, DatanodeCommandProto};
use hdfs_wire::proto::hdfs::nnha_status_heartbeat_proto::State as HaState;
use hdfs_wire::proto::hdfs::{
    DatanodeInfoProto, ExportedBlockKeysProto, NnhaStatusHeartbeatProto, RecoveringBlockProto,
};

use super::replica::Block;

/// One copy to make.
#[derive(Debug, Clone, PartialEq)]
pub struct Transfer {
    /// The replica to copy.
    pub block: Block,
    /// The pipeline of the copy, nearest first.
    pub targets: Vec<DatanodeInfoProto>,
    /// Storage type per target, as on the wire.
    pub storage_types: Vec<i32>,
    /// Storage id per target.
    pub storage_ids: Vec<String>,
}

/// One thing to do.
#[derive(Debug, Clone, PartialEq)]
pub enum Action {
    /// Register again, then report all replicas.
    Register,
    /// Copy replicas to other datanodes.
    Transfer(Vec<Transfer>),
    /// Delete replicas.
    Invalidate(Vec<Block>),
    /// Be the primary of these recoveries.
    Recover(Vec<RecoveringBlockProto>),
    /// An upgrade is final: what was kept for a way back can go.
    Finalize,
    /// Bytes per second for the balancer's moves.
    BalancerBandwidth(u64),
    /// New keys for block tokens.
    Keys(ExportedBlockKeysProto),
    /// An order that this datanode does not know or need, by name.
    Ignored(String),
}

/// Reads the commands of an answer for one block pool. From a standby only registration and keys
/// are taken.
pub fn actions(commands: Vec<DatanodeCommandProto>, pool: &str, is_active: bool) -> Vec<Action> {
    commands
        .into_iter()
        .map(|command| action(command, pool))
        .filter(|action| is_active || matches!(action, Action::Register | Action::Keys(_)))
        .collect()
}

fn action(command: DatanodeCommandProto, pool: &str) -> Action {
    let name = command.cmd_type().as_str_name();
    let taken = match command.cmd_type() {
        Type::RegisterCommand => Some(Action::Register),
        Type::FinalizeCommand => Some(Action::Finalize),
        Type::KeyUpdateCommand => command.key_update_cmd.map(|each| Action::Keys(each.keys)),
        Type::BalancerBandwidthCommand => {
            command.balancer_cmd.map(|each| Action::BalancerBandwidth(each.bandwidth))
        }
        Type::BlockRecoveryCommand => command.recovery_cmd.map(|each| Action::Recover(each.blocks)),
        Type::BlockCommand => command.blk_cmd.and_then(|each| block_action(each, pool)),
        Type::UnusedUpgradeCommand
        | Type::NullDatanodeCommand
        | Type::BlockIdCommand
        | Type::BlockEcReconstructionCommand => None,
    };
    taken.unwrap_or_else(|| Action::Ignored(name.to_owned()))
}

fn block_action(command: BlockCommandProto, pool: &str) -> Option<Action> {
    if command.block_pool_id != pool {
        return None;
    }
    match command.action() {
        BlockAction::Invalidate => {
            Some(Action::Invalidate(command.blocks.iter().map(Block::from).collect()))
        }
        BlockAction::Transfer => {
            let mut ids = command.target_storage_uuids.into_iter();
            let mut types = command.target_storage_types.into_iter();
            let transfers = command
                .blocks
                .iter()
                .zip(command.targets)
                .map(|(block, targets)| Transfer {
                    block: Block::from(block),
                    targets: targets.datanodes,
                    storage_types: types.next().unwrap_or_default().storage_types,
                    storage_ids: ids.next().unwrap_or_default().storage_uuids,
                })
                .filter(|transfer| !transfer.targets.is_empty())
                .collect();
            Some(Action::Transfer(transfers))
        }
        BlockAction::Shutdown => None,
    }
}

/// Which of several namenodes is believed to be the active one: the one that claims it with the
/// highest transaction id.
#[derive(Debug, Default)]
pub struct Claim {
    active: Option<(usize, u64)>,
}

impl Claim {
    /// Takes the status of a heartbeat's answer from the namenode with this index and says whether
    /// that one is active.
    pub fn heard(&mut self, namenode: usize, status: &NnhaStatusHeartbeatProto) -> bool {
        let claims = status.state() == HaState::Active;
        match self.active {
            Some((known, _)) if known == namenode => {
                self.active = claims.then_some((namenode, status.txid));
            }
            Some((_, txid)) if !claims || status.txid <= txid => {}
            _ if claims => self.active = Some((namenode, status.txid)),
            _ => {}
        }
        self.active.is_some_and(|(known, _)| known == namenode)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hdfs_wire::proto::hdfs::BlockProto;
    use hdfs_wire::proto::hdfs::datanode::RegisterCommandProto;

    fn status(state: HaState, txid: u64) -> NnhaStatusHeartbeatProto {
        NnhaStatusHeartbeatProto { state: state as i32, txid }
    }

    #[test]
    fn the_highest_claim_wins() {
        let mut claim = Claim::default();
        assert!(!claim.heard(0, &status(HaState::Standby, 5)));
        assert!(claim.heard(0, &status(HaState::Active, 5)));
        assert!(!claim.heard(1, &status(HaState::Active, 5)), "not newer");
        assert!(claim.heard(1, &status(HaState::Active, 6)));
        assert!(!claim.heard(0, &status(HaState::Active, 6)), "fenced");
        assert!(!claim.heard(1, &status(HaState::Standby, 6)));
        assert!(claim.heard(0, &status(HaState::Active, 6)));
    }

    #[test]
    fn a_standby_may_only_ask_for_registration() {
        let register = DatanodeCommandProto {
            cmd_type: Type::RegisterCommand as i32,
            register_cmd: Some(RegisterCommandProto {}),
            ..Default::default()
        };
        let invalidate = |pool: &str| DatanodeCommandProto {
            cmd_type: Type::BlockCommand as i32,
            blk_cmd: Some(BlockCommandProto {
                action: BlockAction::Invalidate as i32,
                block_pool_id: pool.to_owned(),
                blocks: vec![BlockProto { block_id: 1, gen_stamp: 2, num_bytes: Some(3) }],
                ..Default::default()
            }),
            ..Default::default()
        };
        let all = vec![register, invalidate("BP-1"), invalidate("BP-2")];
        assert_eq!(actions(all.clone(), "BP-1", false), [Action::Register]);
        assert_eq!(
            actions(all, "BP-1", true),
            [
                Action::Register,
                Action::Invalidate(vec![Block { id: 1, stamp: 2, length: 3 }]),
                Action::Ignored("BlockCommand".to_owned()),
            ]
        );
    }
}
