//! Acks of a pipeline with nodes behind this one: a queue of packets this node has written, and the
//! responder that joins each with the ack from downstream and sends both upstream. Acks leave in
//! the order of the packets, and a packet's ack never before the packet is written here.

use std::collections::VecDeque;
use std::io::{self, BufReader, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;

use hdfs_wire::proto::hdfs::PipelineAckProto;
use hdfs_wire::transfer::{HEARTBEAT_SEQNO, OOB_SEQNO, PipelineAck, Status, read_delimited};
use parking_lot::{Condvar, Mutex};

use crate::store::Store;
use crate::writing::Writing;

/// Packets without an ack at most. Java's clients stop at 80
/// (`dfs.client.write.max-packets-in-flight`).
const PENDING_MAX: usize = 1024;

/// Bytes of the buffer that acks from downstream are read into; one has about 12.
const ACK_BUFFER_LEN: usize = 512;

/// A packet that this node is done with.
pub(super) struct Pending {
    pub(super) seqno: i64,
    /// Where the packet ends in the block.
    pub(super) end: u64,
    /// What this node says about it.
    pub(super) status: Status,
    /// With the last packet: the replica to finalize before the ack.
    pub(super) last: Option<Box<Writing>>,
}

#[derive(Default)]
struct State {
    pending: VecDeque<Pending>,
    /// Pushed, and its ack not sent yet.
    in_flight: usize,
    /// Nothing more will be pushed.
    ended: bool,
    /// The responder has ended.
    gone: bool,
    /// The mirror cannot be written to any more.
    mirror_failed: bool,
}

/// Between the receiver and the responder.
#[derive(Default)]
pub(super) struct AckQueue {
    state: Mutex<State>,
    changed: Condvar,
}

impl AckQueue {
    /// Adds a packet. Waits while too many are without an ack; false when the responder has ended.
    pub(super) fn push(&self, pending: Pending) -> bool {
        let mut state = self.state.lock();
        self.changed
            .wait_while(&mut state, |state| state.pending.len() >= PENDING_MAX && !state.gone);
        if state.gone {
            return false;
        }
        state.pending.push_back(pending);
        state.in_flight += 1;
        self.changed.notify_all();
        true
    }

    /// Whether all packets pushed so far are acknowledged, by all nodes.
    pub(super) fn is_idle(&self) -> bool {
        let state = self.state.lock();
        state.in_flight == 0 && !state.mirror_failed && !state.gone
    }

    pub(super) fn mirror_failed(&self) {
        self.state.lock().mirror_failed = true;
        self.changed.notify_all();
    }

    /// Nothing more comes; waits until the responder has sent what is pending.
    pub(super) fn finish(&self) {
        let mut state = self.state.lock();
        state.ended = true;
        self.changed.notify_all();
        self.changed.wait_while(&mut state, |state| !state.gone);
    }

    fn take(&self, is_blocking: bool) -> Option<Pending> {
        let mut state = self.state.lock();
        if is_blocking {
            self.changed.wait_while(&mut state, |state| state.pending.is_empty() && !state.ended);
        }
        let was_full = state.pending.len() >= PENDING_MAX;
        let taken = state.pending.pop_front();
        if was_full {
            self.changed.notify_all();
        }
        taken
    }

    fn acked(&self, count: usize) {
        self.state.lock().in_flight -= count;
    }

    fn is_mirror_failed(&self) -> bool {
        self.state.lock().mirror_failed
    }

    fn end(&self) {
        let mut state = self.state.lock();
        state.gone = true;
        state.pending.clear();
        self.changed.notify_all();
    }
}

/// Sends acks upstream until the queue ends.
pub(super) struct Responder {
    pub(super) queue: Arc<AckQueue>,
    pub(super) store: Arc<Store>,
    /// The replica and its writer.
    pub(super) held: (i64, hdfs_core::datanode::WriterId),
    pub(super) upstream: Arc<TcpStream>,
    pub(super) mirror: Arc<TcpStream>,
}

/// Why the responder ends before the queue does.
enum Ended {
    /// Downstream says that what this node sent was corrupt: it suspects itself.
    Suspect,
    Failed(io::Error),
}

impl From<io::Error> for Ended {
    fn from(error: io::Error) -> Self {
        Self::Failed(error)
    }
}

impl Responder {
    /// Runs on a thread of its own.
    pub(super) fn run(self) {
        match self.respond() {
            Ok(()) => {}
            Err(Ended::Suspect) => {
                tracing::warn!(block = self.held.0, "downstream says this node's data is corrupt");
                let _ = self.upstream.shutdown(Shutdown::Both);
            }
            Err(Ended::Failed(error)) => {
                tracing::debug!(block = self.held.0, %error, "no more acks");
                let _ = self.upstream.shutdown(Shutdown::Both);
            }
        }
        self.queue.end();
    }

    fn respond(&self) -> Result<(), Ended> {
        let mut mirror = BufReader::with_capacity(ACK_BUFFER_LEN, &*self.mirror);
        let mut mirror_failed = false;
        let mut replies = Vec::new();
        let (mut out, mut unsent) = (Vec::new(), 0);
        loop {
            let pending = match self.queue.take(false) {
                Some(pending) => pending,
                None => {
                    self.flush(&mut out, &mut unsent)?;
                    let Some(pending) = self.queue.take(true) else { return Ok(()) };
                    pending
                }
            };
            if mirror.buffer().is_empty() {
                self.flush(&mut out, &mut unsent)?;
            }
            replies.clear();
            mirror_failed |= self.queue.is_mirror_failed();
            if !mirror_failed {
                mirror_failed = !self.downstream(&mut mirror, pending.seqno, &mut replies);
            }
            if mirror_failed {
                replies.clear();
                replies.push(Status::Error);
            }
            if replies.contains(&Status::ErrorChecksum) {
                return Err(Ended::Suspect);
            }
            let status = self.settle(&pending, replies.iter().all(|each| *each == Status::Success));
            let status = match pending.last {
                Some(writing) if status == Status::Success => finalize(*writing),
                _ => status,
            };
            replies.insert(0, status);
            encode(pending.seqno, &replies, &mut out);
            unsent += 1;
            if status != Status::Success {
                self.flush(&mut out, &mut unsent)?;
                return Ok(());
            }
        }
    }

    /// Reads the ack of a packet from downstream; false when there is none to be had.
    fn downstream(
        &self,
        mirror: &mut BufReader<&TcpStream>,
        seqno: i64,
        replies: &mut Vec<Status>,
    ) -> bool {
        loop {
            let ack = match read_delimited::<PipelineAckProto>(mirror) {
                Ok(ack) => PipelineAck::from_proto(&ack),
                Err(error) => {
                    tracing::warn!(block = self.held.0, %error, "no ack from the next datanode");
                    return false;
                }
            };
            if ack.seqno == OOB_SEQNO {
                // The next node restarts and says so; the client must know, out of turn.
                let mut out = Vec::new();
                let mut relayed = vec![Status::Success];
                relayed.extend(ack.replies);
                encode(OOB_SEQNO, &relayed, &mut out);
                if (&*self.upstream).write_all(&out).is_err() {
                    return false;
                }
                continue;
            }
            if ack.seqno != seqno {
                tracing::warn!(block = self.held.0, expected = seqno, got = ack.seqno, "wrong ack");
                return false;
            }
            replies.extend(ack.replies);
            return true;
        }
    }

    fn settle(&self, pending: &Pending, is_success: bool) -> Status {
        let (id, writer) = self.held;
        if is_success && pending.status == Status::Success && pending.seqno != HEARTBEAT_SEQNO {
            // A writer that was stopped meanwhile only does not move the acknowledged length.
            let _ = self.store.replicas.lock().acked(id, writer, pending.end);
        }
        pending.status
    }

    fn flush(&self, out: &mut Vec<u8>, unsent: &mut usize) -> io::Result<()> {
        if !out.is_empty() {
            (&*self.upstream).write_all(out)?;
            out.clear();
            self.queue.acked(std::mem::take(unsent));
        }
        Ok(())
    }
}

/// Finalizes with the last packet.
pub(super) fn finalize(writing: Writing) -> Status {
    match writing.finalize(None) {
        Ok(_) => Status::Success,
        Err(fault) => {
            tracing::warn!(%fault, "cannot finalize");
            Status::Error
        }
    }
}

/// Appends a delimited ack: sequence number, replies, no times, flags that repeat the replies.
pub(super) fn encode(seqno: i64, replies: &[Status], out: &mut Vec<u8>) {
    let start = out.len();
    out.push(0);
    out.push(0x08);
    let mut zig_zag = ((seqno << 1) ^ (seqno >> 63)).cast_unsigned();
    while zig_zag >= 0x80 {
        out.push((zig_zag & 0x7f) as u8 | 0x80);
        zig_zag >>= 7;
    }
    out.push(zig_zag as u8);
    for reply in replies {
        out.extend([0x10, *reply as u8]);
    }
    // A pipeline has at most a few dozen nodes, so every length here is below 128.
    out.extend([0x18, 0, 0x22, replies.len() as u8]);
    out.extend(replies.iter().map(|reply| *reply as u8));
    out[start] = (out.len() - start - 1) as u8;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn acks_are_those_of_the_wire() {
        for seqno in [0, 1, -1, -2, 63, 64, 1 << 40, i64::MAX, i64::MIN] {
            for replies in [
                vec![Status::Success],
                vec![Status::Success, Status::Error],
                vec![Status::ErrorChecksum; 20],
            ] {
                let (mut fast, mut plain) = (Vec::new(), Vec::new());
                encode(seqno, &replies, &mut fast);
                PipelineAck { seqno, replies }.encode(&mut plain);
                assert_eq!(fast, plain);
            }
        }
    }
}
