//! Who may write to a replica, and from which state: the rules of WRITE_BLOCK's stages (source:
//! Hadoop 3.4's datanode, facts in the table of tests below).
//!
//! An admission takes hold of the replica for a new writer and says what to do on disk. After that
//! the edge calls [`Replicas::opened`] and streams, or [`Replicas::release`] /
//! [`Replicas::dropped`] when the disk refused.

use hdfs_wire::Exception;
use hdfs_wire::proto::hdfs::op_write_block_proto::BlockConstructionStage as Stage;

use super::replica::{Block, Live, Replica, State, VolumeIndex, WriterId};
use super::replicas::{Refusal, Replicas};

/// A request to write, as far as the rules look at it.
#[derive(Debug, Clone, Copy)]
pub struct Request {
    /// The block with the stamp the writer knows.
    pub block: Block,
    /// The stage of the operation.
    pub stage: Stage,
    /// No client behind it: a copy that a datanode or the balancer sends.
    pub is_copy: bool,
    /// The stamp the replica gets; 0 on the first attempt to create.
    pub stamp_latest: u64,
    /// Bytes the client has seen acknowledged.
    pub acked_min: u64,
    /// Bytes the client has sent.
    pub sent_max: u64,
    /// Where a new replica goes.
    pub volume: VolumeIndex,
}

/// What to do on disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Plan {
    /// Delete the old files if any, then create data and meta in the folder of `state` (RBW or
    /// TEMPORARY) with this stamp.
    Create {
        /// RBW or TEMPORARY.
        state: State,
        /// The stamp of the new replica.
        stamp: u64,
        /// What a failed attempt left.
        old: Option<Replica>,
    },
    /// Move a finalized replica to `rbw` under the new stamp.
    Append {
        /// The replica as it is.
        old: Replica,
        /// The new stamp.
        stamp: u64,
    },
    /// Cut a replica in `rbw` to `length` if it is longer, and give it the new stamp.
    Resume {
        /// The replica as it is.
        old: Replica,
        /// The new stamp.
        stamp: u64,
        /// Bytes that are certain: all that was acknowledged.
        length: u64,
    },
    /// Give the replica the new stamp and finalize it if it is not; no data follows.
    Close {
        /// The replica as it is.
        old: Replica,
        /// The new stamp.
        stamp: u64,
    },
}

/// A writer is admitted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Admission {
    /// The new holder.
    pub writer: WriterId,
    /// What it does first.
    pub plan: Plan,
}

impl Replicas {
    /// Applies the rules of a stage.
    ///
    /// # Errors
    /// [`Refusal::Busy`] names a writer to stop first; a fault is final.
    pub fn admit(&mut self, request: &Request) -> Result<Admission, Refusal> {
        match request.stage {
            Stage::PipelineSetupCreate | Stage::TransferRbw | Stage::TransferFinalized => {
                self.admit_create(request)
            }
            Stage::PipelineSetupAppend => self.admit_append(request),
            Stage::PipelineSetupAppendRecovery => {
                let old = self.check_same_length(request)?;
                let stamp = request.stamp_latest;
                let plan = match old.state {
                    State::Finalized => Plan::Append { old, stamp },
                    _ => Plan::Resume { length: old.length, old, stamp },
                };
                Ok(self.hold(request.block.id, plan))
            }
            Stage::PipelineSetupStreamingRecovery => self.admit_resume(request),
            Stage::PipelineCloseRecovery => {
                let old = self.check_same_length(request)?;
                let plan = Plan::Close { old, stamp: request.stamp_latest };
                Ok(self.hold(request.block.id, plan))
            }
            Stage::DataStreaming | Stage::PipelineClose => Err(Refusal::new(
                Exception::Io,
                format!("stage {} is a client's own and never asked for", request.stage as i32),
            )),
        }
    }

    fn hold(&mut self, id: i64, plan: Plan) -> Admission {
        let writer = self.next_writer();
        if let Some(replica) = self.map.get_mut(&id) {
            let acked = replica.acked();
            let live = replica.live_mut();
            live.writer = Some(writer);
            live.acked = acked;
        }
        Admission { writer, plan }
    }

    fn admit_create(&mut self, request: &Request) -> Result<Admission, Refusal> {
        let Block { id, stamp, .. } = request.block;
        let is_client_write = request.stage == Stage::PipelineSetupCreate && !request.is_copy;
        let (state, stamp) = if is_client_write {
            (State::Rbw, if request.stamp_latest == 0 { stamp } else { request.stamp_latest })
        } else {
            (State::Temporary, stamp)
        };
        let old = self.map.get(&id).cloned();
        if let Some(old) = &old {
            let may_replace = match state {
                State::Rbw => request.stamp_latest != 0 && old.stamp < request.stamp_latest,
                _ => old.stamp < stamp && matches!(old.state, State::Temporary | State::Rbw),
            };
            if !may_replace {
                return Err(Refusal::new(
                    Exception::ReplicaAlreadyExists,
                    format!(
                        "Block {}:{} already exists in state {} and thus cannot be created.",
                        self.pool,
                        request.block,
                        old.state.as_str_name()
                    ),
                ));
            }
            if let Some(holder) = old.writer() {
                return Err(Refusal::Busy(holder));
            }
        }
        let writer = self.next_writer();
        let mut replica = Replica::new(state, stamp, 0, request.volume);
        replica.live = Some(Box::new(Live { writer: Some(writer), ..Live::default() }));
        self.map.insert(id, replica);
        Ok(Admission { writer, plan: Plan::Create { state, stamp, old } })
    }

    fn admit_append(&mut self, request: &Request) -> Result<Admission, Refusal> {
        let block = request.block;
        if request.stamp_latest < block.stamp {
            return Err(Refusal::new(
                Exception::Io,
                format!(
                    "The new generation stamp {} should be greater than the replica {block}'s \
                     generation stamp",
                    request.stamp_latest
                ),
            ));
        }
        let old = self.find(block.id).cloned();
        let old = old.ok_or_else(|| Refusal::Fault(self.not_found(block)))?;
        if old.state != State::Finalized {
            return Err(Refusal::new(
                Exception::ReplicaNotFound,
                format!(
                    "Cannot append to an unfinalized replica {}:{block} in state {}",
                    self.pool,
                    old.state.as_str_name()
                ),
            ));
        }
        if let Some(holder) = old.writer() {
            return Err(Refusal::Busy(holder));
        }
        self.check_stamp(request, &old)?;
        self.check_length(request, &old)?;
        Ok(self.hold(block.id, Plan::Append { old, stamp: request.stamp_latest }))
    }

    /// The rules of append and close recovery: FINALIZED or RBW, nobody writes, and exactly as
    /// long as the client saw acknowledged.
    fn check_same_length(&self, request: &Request) -> Result<Replica, Refusal> {
        let block = request.block;
        let old = self.find(block.id).cloned();
        let old = old.ok_or_else(|| Refusal::Fault(self.not_found(block)))?;
        if !matches!(old.state, State::Finalized | State::Rbw) {
            return Err(Refusal::new(
                Exception::ReplicaNotFound,
                format!(
                    "Cannot recover append/close to a replica that's not FINALIZED and not RBW: \
                     {}:{block} is {}",
                    self.pool,
                    old.state.as_str_name()
                ),
            ));
        }
        self.check_stamp(request, &old)?;
        if let Some(holder) = old.writer() {
            return Err(Refusal::Busy(holder));
        }
        if old.state == State::Rbw && old.acked() != old.length {
            return Err(Refusal::new(
                Exception::ReplicaAlreadyExists,
                format!(
                    "RBW replica {}:{block}: bytes on disk ({}) and bytes acknowledged ({}) \
                     should be the same.",
                    self.pool,
                    old.length,
                    old.acked()
                ),
            ));
        }
        self.check_length(request, &old)?;
        Ok(old)
    }

    fn admit_resume(&mut self, request: &Request) -> Result<Admission, Refusal> {
        let block = request.block;
        let old = self.find(block.id).cloned();
        let old = old.ok_or_else(|| Refusal::Fault(self.not_found(block)))?;
        if old.state != State::Rbw {
            return Err(Refusal::new(
                Exception::ReplicaNotFound,
                format!(
                    "Cannot recover a non-RBW replica {}:{block} in state {}",
                    self.pool,
                    old.state.as_str_name()
                ),
            ));
        }
        self.check_stamp(request, &old)?;
        if let Some(holder) = old.writer() {
            return Err(Refusal::Busy(holder));
        }
        let acked = old.acked();
        if acked < request.acked_min || old.length > request.sent_max {
            return Err(Refusal::new(
                Exception::ReplicaNotFound,
                format!(
                    "Unmatched length replica {}:{block}: BytesAcked = {acked} BytesRcvd = {} \
                     are not in the range of [{}, {}].",
                    self.pool, old.length, request.acked_min, request.sent_max
                ),
            ));
        }
        let plan = Plan::Resume { old, stamp: request.stamp_latest, length: acked };
        Ok(self.hold(block.id, plan))
    }

    fn check_stamp(&self, request: &Request, old: &Replica) -> Result<(), Refusal> {
        if (request.block.stamp..=request.stamp_latest).contains(&old.stamp) {
            return Ok(());
        }
        Err(Refusal::new(
            Exception::ReplicaNotFound,
            format!(
                "Cannot append to a replica with unexpected generation stamp {}: expected {} to \
                 {} for {}:{}",
                old.stamp, request.block.stamp, request.stamp_latest, self.pool, request.block
            ),
        ))
    }

    fn check_length(&self, request: &Request, old: &Replica) -> Result<(), Refusal> {
        if old.length == request.acked_min {
            return Ok(());
        }
        Err(Refusal::new(
            Exception::Io,
            format!(
                "Corrupted replica {}:{} with a length of {} expected length is {}",
                self.pool, request.block, old.length, request.acked_min
            ),
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the map knows of block 1 before the request.
    fn map(state: Option<State>, stamp: u64, length: u64, acked: u64) -> Replicas {
        let mut map = Replicas::new("BP-1");
        if let Some(state) = state {
            let mut replica = Replica::new(state, stamp, length, 3);
            if state == State::Rbw {
                replica.live_mut().acked = acked;
            }
            map.load(1, replica);
        }
        map
    }

    fn request(stage: Stage, stamp_latest: u64, acked_min: u64, sent_max: u64) -> Request {
        Request {
            block: Block { id: 1, stamp: 10, length: 0 },
            stage,
            is_copy: false,
            stamp_latest,
            acked_min,
            sent_max,
            volume: 0,
        }
    }

    fn outcome(map: &mut Replicas, request: &Request) -> String {
        match map.admit(request) {
            Ok(Admission { plan: Plan::Create { state, stamp, old }, .. }) => {
                format!("create {} {stamp} over {}", state.as_str_name(), old.is_some())
            }
            Ok(Admission { plan: Plan::Append { stamp, .. }, .. }) => format!("append {stamp}"),
            Ok(Admission { plan: Plan::Resume { stamp, length, .. }, .. }) => {
                format!("resume {stamp} at {length}")
            }
            Ok(Admission { plan: Plan::Close { stamp, .. }, .. }) => format!("close {stamp}"),
            Err(Refusal::Busy(_)) => "busy".to_owned(),
            Err(Refusal::Fault(fault)) => {
                fault.exception.class_name().rsplit('.').next().unwrap_or_default().to_owned()
            }
        }
    }

    /// (state, stamp, length, acked) of the replica, (stage, latest, min, max) of the request.
    type Row = (Option<State>, u64, u64, u64, Stage, u64, u64, u64, &'static str);

    const TABLE: &[Row] = &[
        (None, 0, 0, 0, Stage::PipelineSetupCreate, 0, 0, 0, "create RBW 10 over false"),
        (None, 0, 0, 0, Stage::PipelineSetupCreate, 12, 0, 0, "create RBW 12 over false"),
        (
            Some(State::Rbw),
            10,
            5,
            5,
            Stage::PipelineSetupCreate,
            0,
            0,
            0,
            "ReplicaAlreadyExistsException",
        ),
        (
            Some(State::Rbw),
            10,
            5,
            5,
            Stage::PipelineSetupCreate,
            11,
            0,
            0,
            "create RBW 11 over true",
        ),
        (
            Some(State::Finalized),
            11,
            5,
            5,
            Stage::PipelineSetupCreate,
            11,
            0,
            0,
            "ReplicaAlreadyExistsException",
        ),
        (None, 0, 0, 0, Stage::TransferRbw, 0, 0, 0, "create TEMPORARY 10 over false"),
        (None, 0, 0, 0, Stage::TransferFinalized, 0, 0, 0, "create TEMPORARY 10 over false"),
        (Some(State::Rbw), 9, 5, 5, Stage::TransferRbw, 0, 0, 0, "create TEMPORARY 10 over true"),
        (
            Some(State::Finalized),
            9,
            5,
            5,
            Stage::TransferRbw,
            0,
            0,
            0,
            "ReplicaAlreadyExistsException",
        ),
        (None, 0, 0, 0, Stage::PipelineSetupAppend, 11, 5, 0, "ReplicaNotFoundException"),
        (Some(State::Finalized), 10, 5, 5, Stage::PipelineSetupAppend, 11, 5, 0, "append 11"),
        (Some(State::Finalized), 10, 6, 6, Stage::PipelineSetupAppend, 11, 5, 0, "IOException"),
        (Some(State::Finalized), 10, 5, 5, Stage::PipelineSetupAppend, 9, 5, 0, "IOException"),
        (
            Some(State::Rbw),
            10,
            5,
            5,
            Stage::PipelineSetupAppend,
            11,
            5,
            0,
            "ReplicaNotFoundException",
        ),
        (
            Some(State::Finalized),
            10,
            5,
            5,
            Stage::PipelineSetupAppendRecovery,
            11,
            5,
            0,
            "append 11",
        ),
        (
            Some(State::Rbw),
            11,
            5,
            5,
            Stage::PipelineSetupAppendRecovery,
            12,
            5,
            0,
            "resume 12 at 5",
        ),
        (
            Some(State::Rbw),
            11,
            5,
            4,
            Stage::PipelineSetupAppendRecovery,
            12,
            5,
            0,
            "ReplicaAlreadyExistsException",
        ),
        (
            Some(State::Rwr),
            10,
            5,
            5,
            Stage::PipelineSetupAppendRecovery,
            12,
            5,
            0,
            "ReplicaNotFoundException",
        ),
        (
            Some(State::Rbw),
            13,
            5,
            5,
            Stage::PipelineSetupAppendRecovery,
            12,
            5,
            0,
            "ReplicaNotFoundException",
        ),
        (
            Some(State::Rbw),
            10,
            900,
            600,
            Stage::PipelineSetupStreamingRecovery,
            11,
            600,
            1000,
            "resume 11 at 600",
        ),
        (
            Some(State::Rbw),
            10,
            900,
            600,
            Stage::PipelineSetupStreamingRecovery,
            11,
            601,
            1000,
            "ReplicaNotFoundException",
        ),
        (
            Some(State::Rbw),
            10,
            900,
            600,
            Stage::PipelineSetupStreamingRecovery,
            11,
            600,
            899,
            "ReplicaNotFoundException",
        ),
        (
            Some(State::Finalized),
            10,
            9,
            9,
            Stage::PipelineSetupStreamingRecovery,
            11,
            0,
            100,
            "ReplicaNotFoundException",
        ),
        (
            Some(State::Rbw),
            9,
            9,
            9,
            Stage::PipelineSetupStreamingRecovery,
            11,
            0,
            100,
            "ReplicaNotFoundException",
        ),
        (Some(State::Rbw), 10, 9, 9, Stage::PipelineCloseRecovery, 11, 9, 9, "close 11"),
        (Some(State::Finalized), 10, 9, 9, Stage::PipelineCloseRecovery, 11, 9, 9, "close 11"),
        (Some(State::Finalized), 10, 9, 9, Stage::PipelineCloseRecovery, 11, 8, 9, "IOException"),
        (Some(State::Rbw), 10, 9, 9, Stage::DataStreaming, 11, 0, 100, "IOException"),
        (Some(State::Rbw), 10, 9, 9, Stage::PipelineClose, 11, 0, 100, "IOException"),
    ];

    #[test]
    fn the_table_of_stages() {
        for (state, stamp, length, acked, stage, latest, min, max, want) in TABLE {
            let mut map = map(*state, *stamp, *length, *acked);
            let request = request(*stage, *latest, *min, *max);
            assert_eq!(&outcome(&mut map, &request), want, "{state:?} {stamp} for {request:?}");
        }
    }

    #[test]
    fn a_copy_without_a_client_is_temporary() {
        let mut map = map(None, 0, 0, 0);
        let request = Request { is_copy: true, ..request(Stage::PipelineSetupCreate, 0, 0, 0) };
        assert_eq!(outcome(&mut map, &request), "create TEMPORARY 10 over false");
        assert_eq!(outcome(&mut map, &request), "ReplicaAlreadyExistsException");
    }

    #[test]
    fn a_recovery_first_stops_the_writer_that_is_there() {
        let mut map = map(None, 0, 0, 0);
        let first = map.admit(&request(Stage::PipelineSetupCreate, 0, 0, 0)).expect("admitted");
        map.opened(1, first.writer, 10, 0).expect("held");
        map.received(1, first.writer, 900, None).expect("held");
        map.acked(1, first.writer, 600).expect("held");
        let again = request(Stage::PipelineSetupStreamingRecovery, 11, 600, 1000);
        assert_eq!(map.admit(&again), Err(Refusal::Busy(first.writer)));
        map.release(1, first.writer);
        assert_eq!(outcome(&mut map, &again), "resume 11 at 600");
        assert!(map.received(1, first.writer, 901, None).is_err(), "the old writer is out");
    }
}
