//! Block recovery: what one replica answers when a primary datanode asks, and what the primary
//! decides from all the answers (source: Hadoop's append design, section on block recovery).

use hdfs_wire::{Exception, Fault};

use super::replica::{Block, Recovery, Replica, State, WriterId};
use super::replicas::{Refusal, Replicas};

/// What a replica says about itself when a recovery begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Answer {
    /// The state it had before.
    pub state: State,
    /// Its stamp, and its length on disk.
    pub block: Block,
}

/// What to do on disk when the primary has decided: cut, give the stamp, finalize.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Update {
    /// Holds the replica; for [`Replicas::finalized`] or [`Replicas::release`].
    pub writer: WriterId,
    /// The replica as it is; [`Replica::place`] says where.
    pub old: Replica,
    /// The new stamp.
    pub stamp: u64,
    /// The new length, not more than the old one.
    pub length: u64,
}

impl Replicas {
    /// Puts a replica under recovery. None if there is none that could take part.
    ///
    /// # Errors
    /// Busy with a writer; another recovery with the same or a later id runs; or the replica is
    /// newer than the recovery.
    pub fn begin_recovery(
        &mut self,
        block: Block,
        recovery_id: u64,
    ) -> Result<Option<Answer>, Refusal> {
        let pool = self.pool.clone();
        let Some(replica) = self.map.get_mut(&block.id) else { return Ok(None) };
        if replica.state == State::Temporary || replica.live().is_some_and(|live| live.doomed) {
            return Ok(None);
        }
        if let Some(holder) = replica.writer() {
            return Err(Refusal::Busy(holder));
        }
        if replica.stamp >= recovery_id {
            return Err(Refusal::new(
                Exception::Io,
                format!(
                    "replica {pool}:{} is not older than the recovery {recovery_id} of {block}",
                    replica.block(block.id)
                ),
            ));
        }
        if replica.stamp < block.stamp {
            return Err(Refusal::new(
                Exception::Io,
                format!(
                    "replica {pool}:{} has an older generation stamp than {block}",
                    replica.block(block.id)
                ),
            ));
        }
        let was = replica.place();
        if let Some(Recovery { id, .. }) = replica.live().and_then(|live| live.recovery)
            && id >= recovery_id
        {
            return Err(Refusal::new(
                Exception::RecoveryInProgress,
                format!(
                    "rur.getRecoveryID() >= recoveryId = {recovery_id}: recovery {id} of \
                     {pool}:{block} is in progress"
                ),
            ));
        }
        let acked = replica.acked();
        let live = replica.live_mut();
        live.recovery = Some(Recovery { id: recovery_id, was });
        live.acked = acked;
        replica.state = State::Rur;
        Ok(Some(Answer { state: was, block: replica.block(block.id) }))
    }

    /// Takes hold of a replica under recovery for the primary's decision.
    ///
    /// # Errors
    /// Not under this recovery, or not the length the primary decided upon.
    pub fn update_recovery(
        &mut self,
        block: Block,
        recovery_id: u64,
        length: u64,
    ) -> Result<Update, Refusal> {
        let missing = || self.not_found(block);
        let old = self.find(block.id).cloned().ok_or_else(|| Refusal::Fault(missing()))?;
        if let Some(holder) = old.writer() {
            return Err(Refusal::Busy(holder));
        }
        let known = old.live().and_then(|live| live.recovery).map(|recovery| recovery.id);
        if old.state != State::Rur || known != Some(recovery_id) {
            return Err(Refusal::new(
                Exception::Io,
                format!(
                    "{}:{block} is not under recovery {recovery_id} but {} (recovery {known:?})",
                    self.pool,
                    old.state.as_str_name()
                ),
            ));
        }
        if length > old.length {
            return Err(Refusal::new(
                Exception::Io,
                format!(
                    "{}:{block}: the recovered length {length} is more than the {} bytes on disk",
                    self.pool, old.length
                ),
            ));
        }
        let writer = self.next_writer();
        if let Some(replica) = self.map.get_mut(&block.id) {
            replica.live_mut().writer = Some(writer);
        }
        Ok(Update { writer, old, stamp: recovery_id, length })
    }
}

/// What the primary does about a block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// No replica has data: the block is to be removed from its file.
    Delete,
    /// These answers (by index) take part and get this length.
    Synchronize {
        /// The length all of them get.
        length: u64,
        /// Indexes into the answers.
        participants: Vec<usize>,
    },
}

/// Decides from what each location said: an answer, no replica (`Ok(None)`), or a failure.
/// `truncate_to` is the length of a truncation under way.
///
/// # Errors
/// No location answered at all, or none is long enough for the truncation: try again later.
pub fn decide<E>(
    block: Block,
    answers: &[Result<Option<Answer>, E>],
    truncate_to: Option<u64>,
) -> Result<Verdict, Fault> {
    if answers.iter().all(Result::is_err) {
        return Err(Fault::io(format!(
            "All datanodes failed: block={block}, {} locations asked",
            answers.len()
        )));
    }
    let candidates: Vec<(usize, Answer)> = answers
        .iter()
        .enumerate()
        .filter_map(|(index, answer)| Some((index, (*answer.as_ref().ok()?)?)))
        .filter(|(_, answer)| {
            answer.block.stamp >= block.stamp
                && answer.block.length > 0
                && matches!(answer.state, State::Finalized | State::Rbw | State::Rwr)
        })
        .collect();
    let Some(best) = candidates.iter().map(|(_, answer)| answer.state as i32).min() else {
        return Ok(Verdict::Delete);
    };
    let finalized = candidates.iter().find(|(_, answer)| answer.state == State::Finalized);
    let takes_part = |answer: &Answer| match finalized {
        Some((_, whole)) => {
            matches!(answer.state, State::Finalized | State::Rbw)
                && answer.block.length == whole.block.length
        }
        None => answer.state as i32 == best,
    };
    let group: Vec<_> = candidates
        .iter()
        .filter(|(_, answer)| {
            takes_part(answer) && truncate_to.is_none_or(|length| answer.block.length >= length)
        })
        .collect();
    let shortest = group.iter().map(|(_, answer)| answer.block.length).min();
    let Some(length) = shortest.map(|shortest| truncate_to.unwrap_or(shortest)) else {
        return Err(Fault::io(format!(
            "no replica of {block} has the {} bytes that a truncation keeps",
            truncate_to.unwrap_or(0)
        )));
    };
    let participants = group.iter().map(|(index, _)| *index).collect();
    Ok(Verdict::Synchronize { length, participants })
}

#[cfg(test)]
mod tests {
    use hdfs_wire::proto::hdfs::ReplicaStateProto;

    use super::*;

    fn answer(state: State, stamp: u64, length: u64) -> Result<Option<Answer>, ()> {
        Ok(Some(Answer { state, block: Block { id: 1, stamp, length } }))
    }

    fn verdict(answers: &[Result<Option<Answer>, ()>], truncate_to: Option<u64>) -> String {
        let block = Block { id: 1, stamp: 10, length: 0 };
        match decide(block, answers, truncate_to) {
            Ok(Verdict::Delete) => "delete".to_owned(),
            Ok(Verdict::Synchronize { length, participants }) => {
                format!("{length} on {participants:?}")
            }
            Err(_) => "again".to_owned(),
        }
    }

    #[test]
    fn the_table_of_decisions() {
        use ReplicaStateProto::{Finalized, Rbw, Rwr};
        let down = Err(());
        let none = Ok(None);
        let table: &[(&[_], Option<u64>, &str)] = &[
            (&[down, down], None, "again"),
            (&[down, none], None, "delete"),
            (&[none, none], None, "delete"),
            (&[answer(Rbw, 10, 0)], None, "delete"),
            (&[answer(Rbw, 9, 5)], None, "delete"),
            (&[answer(Rbw, 10, 7), answer(Rbw, 10, 5), down], None, "5 on [0, 1]"),
            (&[answer(Rbw, 10, 7), answer(Rwr, 10, 5)], None, "7 on [0]"),
            (&[answer(Rwr, 10, 7), answer(Rwr, 11, 5)], None, "5 on [0, 1]"),
            (&[answer(Rbw, 10, 9), answer(Finalized, 10, 7)], None, "7 on [1]"),
            (
                &[answer(Rbw, 10, 7), answer(Finalized, 10, 7), answer(Rwr, 10, 7)],
                None,
                "7 on [0, 1]",
            ),
            (&[answer(Finalized, 10, 9), answer(Finalized, 10, 9)], Some(4), "4 on [0, 1]"),
            (&[answer(Finalized, 10, 3)], Some(4), "again"),
        ];
        for (answers, truncate_to, want) in table {
            assert_eq!(&verdict(answers, *truncate_to), want, "{answers:?} {truncate_to:?}");
        }
    }

    #[test]
    fn a_later_recovery_takes_over_and_an_earlier_one_is_refused() {
        let mut map = Replicas::new("BP-1");
        map.load(1, Replica::new(State::Rwr, 10, 700, 0));
        let block = Block { id: 1, stamp: 10, length: 0 };
        let found = map.begin_recovery(block, 12).expect("allowed").expect("there");
        assert_eq!((found.state, found.block.length), (State::Rwr, 700));
        assert!(matches!(
            map.begin_recovery(block, 12),
            Err(Refusal::Fault(Fault { exception: Exception::RecoveryInProgress, .. }))
        ));
        let found = map.begin_recovery(block, 13).expect("allowed").expect("there");
        assert_eq!(found.state, State::Rwr, "the first state, not RUR");
        assert!(map.update_recovery(block, 12, 600).is_err());
        assert!(map.update_recovery(block, 13, 701).is_err());
        let update = map.update_recovery(block, 13, 600).expect("allowed");
        assert_eq!(update.old.place(), State::Rwr);
        map.opened(1, update.writer, 13, 600).expect("held");
        assert_eq!(map.finalized(1, update.writer).expect("held").stamp, 13);
        assert!(map.begin_recovery(block, 13).is_err(), "not newer than the replica");
    }
}
