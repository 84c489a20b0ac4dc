//! Receiving a block: packet by packet, forward first, then check, write, acknowledge.
//!
//! Who acknowledges how: the last node of a client's pipeline answers itself, at once; a node with
//! others behind it leaves that to the responder; a copy between datanodes has no acks at all.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;

use hdfs_core::datanode::files::Checksum;
use hdfs_wire::checksum;
use hdfs_wire::transfer::{HEARTBEAT_SEQNO, PacketHeader, Status};

use super::acks::{self, AckQueue, Pending};
use super::pace::Pace;
use super::packets::{Packet, PacketReader};
use crate::store::Store;
use crate::writing::{WriteError, Writing};

/// After saying that data was bad, the connection stays open so long for the ack to be read.
const LINGER: Duration = Duration::from_secs(3);

/// What a client sends meanwhile is thrown away; more than a window of packets is no client.
const LINGER_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// How packets are acknowledged.
pub(super) enum Acks {
    /// Not at all.
    None,
    /// By this node alone; bytes that are not sent yet.
    Own(Vec<u8>),
    /// Together with the nodes behind this one.
    Joint(Arc<AckQueue>),
}

/// What a block's stream needs.
pub(super) struct Receiver<'a> {
    pub(super) store: Arc<Store>,
    pub(super) upstream: Arc<TcpStream>,
    pub(super) mirror: Option<Arc<TcpStream>>,
    pub(super) reader: PacketReader,
    pub(super) sums: Checksum,
    pub(super) acks: Acks,
    /// Every node checks, not only the last one.
    pub(super) checks_all: bool,
    /// A speed limit, if there is one.
    pub(super) pace: Option<&'a Pace>,
}

/// How a stream ended.
pub(super) enum Outcome {
    /// The last packet came. The replica is finalized, or will be by the responder; without acks
    /// it is handed back.
    Complete(Option<Box<Writing>>),
    /// It ended early; the replica was let go of.
    Broken,
}

/// The end of one packet.
enum Step {
    Continue,
    Last,
    /// This node has to say so and stop.
    Fail(Status),
}

impl Receiver<'_> {
    /// Streams until the last packet.
    pub(super) fn run(mut self, mut writing: Box<Writing>) -> Outcome {
        let mut input = &*Arc::clone(&self.upstream);
        let mut reader = std::mem::replace(&mut self.reader, PacketReader::new(&[]));
        loop {
            let packet = match reader.next(&mut input) {
                Ok(packet) => packet,
                Err(error) => return self.broken(&error),
            };
            let header = packet.header;
            let step = match self.take(&packet, &mut writing) {
                Ok(step) => step,
                Err(WriteError::Stopped) => {
                    let stopped = io::Error::other("the writer was stopped");
                    return self.broken(&stopped);
                }
                Err(WriteError::Failed(fault)) => {
                    tracing::warn!(%fault, "write failed");
                    Step::Fail(Status::Error)
                }
            };
            let end = header.offset_in_block.cast_unsigned() + header.data_len as u64;
            match step {
                Step::Last => return self.complete(&header, writing),
                Step::Fail(status) => {
                    drop(writing);
                    self.acknowledge(header.seqno, end, status, true);
                    let _ = self.upstream.set_read_timeout(Some(LINGER));
                    let _ = io::copy(&mut input.take(LINGER_BYTES_MAX), &mut io::sink());
                    return self.broken(&io::Error::other("the packet was refused"));
                }
                Step::Continue => {
                    // Readers may see the bytes before the client knows that they may.
                    if matches!(self.acks, Acks::Own(_)) && header.data_len > 0 {
                        let (id, writer) = (writing.block_id(), writing.writer());
                        let _ = self.store.replicas.lock().acked(id, writer, end);
                    }
                    if !self.acknowledge(header.seqno, end, Status::Success, !reader.has_packet()) {
                        return self.broken(&io::ErrorKind::BrokenPipe.into());
                    }
                }
            }
        }
    }

    /// Forwards, checks, writes.
    fn take(&mut self, packet: &Packet<'_>, writing: &mut Writing) -> Result<Step, WriteError> {
        self.forward(packet.whole);
        let header = &packet.header;
        if header.seqno == HEARTBEAT_SEQNO {
            return Ok(Step::Continue);
        }
        let Ok(start) = u64::try_from(header.offset_in_block) else {
            return Ok(Step::Fail(Status::Error));
        };
        if header.data_len > 0 {
            let as_they_are = writing.takes_sums(start, self.sums);
            if self.mirror.is_none() || self.checks_all || !as_they_are {
                let size = self.sums.chunk_size as usize;
                if let Err(bad) = checksum::verify(self.sums.kind, size, packet.data, packet.sums) {
                    tracing::warn!(block = writing.block_id(), offset = start, %bad, "bad packet");
                    self.store.counters.checksum_failures.increment();
                    return Ok(Step::Fail(Status::ErrorChecksum));
                }
            } else if packet.sums.len()
                != self.sums.kind.size_for(self.sums.chunk_size as usize, packet.data.len())
            {
                return Ok(Step::Fail(Status::ErrorChecksum));
            }
            writing.append(start, packet.data, as_they_are.then_some(packet.sums))?;
            if let Some(pace) = self.pace {
                pace.spend(packet.data.len());
            }
        }
        if header.last && start != writing.length() {
            tracing::warn!(
                block = writing.block_id(),
                end = start,
                length = writing.length(),
                "the last packet does not end the replica"
            );
            return Ok(Step::Fail(Status::Error));
        }
        if header.sync {
            writing.sync()?;
        }
        Ok(if header.last { Step::Last } else { Step::Continue })
    }

    /// A mirror that fails is given up; the acks say so.
    fn forward(&mut self, packet: &[u8]) {
        let Some(mirror) = &self.mirror else { return };
        if let Err(error) = (&**mirror).write_all(packet) {
            tracing::warn!(%error, "cannot send to the next datanode");
            self.store.counters.network_errors.increment();
            match &self.acks {
                Acks::Joint(queue) => queue.mirror_failed(),
                Acks::None | Acks::Own(_) => self.mirror = None,
            }
        }
    }

    fn complete(&mut self, header: &PacketHeader, writing: Box<Writing>) -> Outcome {
        let end = header.offset_in_block.cast_unsigned();
        match &mut self.acks {
            Acks::None => return Outcome::Complete(Some(writing)),
            Acks::Own(_) => {
                let status = acks::finalize(*writing);
                self.acknowledge(header.seqno, end, status, true);
            }
            Acks::Joint(queue) => {
                let queue = Arc::clone(queue);
                let mut last = None;
                let mut status = Status::Success;
                // All data is acknowledged by all nodes, so nothing can speak against it any more;
                // otherwise the responder finalizes when the last ack has come.
                if queue.is_idle() {
                    status = acks::finalize(*writing);
                } else {
                    last = Some(writing);
                }
                queue.push(Pending { seqno: header.seqno, end, status, last });
                queue.finish();
            }
        }
        Outcome::Complete(None)
    }

    /// Queues or sends the ack of a packet; false when nobody takes acks any more.
    fn acknowledge(&mut self, seqno: i64, end: u64, status: Status, is_flushed: bool) -> bool {
        match &mut self.acks {
            Acks::None => true,
            Acks::Own(unsent) => {
                acks::encode(seqno, &[status], unsent);
                if !is_flushed {
                    return true;
                }
                let sent = (&*self.upstream).write_all(unsent);
                unsent.clear();
                sent.is_ok()
            }
            Acks::Joint(queue) => {
                let pending = Pending { seqno, end, status, last: None };
                queue.push(pending)
            }
        }
    }

    fn broken(&mut self, error: &io::Error) -> Outcome {
        tracing::info!(%error, "write ended early");
        if let Acks::Joint(queue) = &self.acks {
            if let Some(mirror) = &self.mirror {
                let _ = mirror.shutdown(std::net::Shutdown::Both);
            }
            queue.mirror_failed();
            queue.finish();
        }
        Outcome::Broken
    }
}
