//! Acks of a write pipeline: one status for each datanode, nearest first.

use bytes::BufMut;
use prost::Message;

use super::Status;
use crate::proto::hdfs::PipelineAckProto;

/// The flag that says only `status`: no congestion or slowness is reported. Bits 0 to 3 are the
/// status; 5 and 6 congestion, 7 and 8 slowness, 0 meaning "not reported".
pub const fn ack_flag(status: Status) -> u32 {
    status as u32
}

/// The ack of one packet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PipelineAck {
    /// Of the packet, or a special one (heartbeat, out of turn).
    pub seqno: i64,
    /// One for each datanode, nearest first.
    pub replies: Vec<Status>,
}

impl PipelineAck {
    /// Takes a decoded message apart. Where flags came they count, not the plain replies, as in
    /// Java's clients. Unknown statuses count as errors.
    pub fn from_proto(message: &PipelineAckProto) -> Self {
        let flagged = message.flag.iter().map(|flag| (flag & 0xf) as i32);
        let plain = message.reply.iter().copied();
        let replies: Vec<i32> =
            if message.flag.is_empty() { plain.collect() } else { flagged.collect() };
        let status = |code| Status::try_from(code).unwrap_or(Status::Error);
        Self { seqno: message.seqno, replies: replies.into_iter().map(status).collect() }
    }

    /// The message to send.
    pub fn to_proto(&self) -> PipelineAckProto {
        PipelineAckProto {
            seqno: self.seqno,
            reply: self.replies.iter().map(|&status| status as i32).collect(),
            downstream_ack_time_nanos: Some(0),
            flag: self.replies.iter().map(|&status| ack_flag(status)).collect(),
        }
    }

    /// Appends the delimited message.
    pub fn encode(&self, out: &mut impl BufMut) {
        let message = self.to_proto();
        message.encode_length_delimited(out).expect("the buffer grows as needed");
    }

    /// Whether every datanode said success.
    pub fn is_success(&self) -> bool {
        self.replies.iter().all(|&status| status == Status::Success)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_of_a_java_datanode() {
        let ack = PipelineAck { seqno: 1, replies: vec![Status::Success] };
        let mut bytes = Vec::new();
        ack.encode(&mut bytes);
        assert_eq!(bytes, [9, 8, 2, 0x10, 0, 0x18, 0, 0x22, 1, 0]);
        let read = PipelineAckProto::decode_length_delimited(&bytes[..]).unwrap();
        assert_eq!(PipelineAck::from_proto(&read), ack);
    }

    #[test]
    fn flags_win_over_replies_and_nonsense_is_an_error() {
        let message = PipelineAckProto {
            seqno: -2,
            reply: vec![0, 0],
            flag: vec![0x28, 0x2f],
            ..Default::default()
        };
        let ack = PipelineAck::from_proto(&message);
        assert_eq!(ack.replies, [Status::OobRestart, Status::Error]);
        assert!(!ack.is_success());
        let plain = PipelineAckProto { reply: vec![99], ..Default::default() };
        assert_eq!(PipelineAck::from_proto(&plain).replies, [Status::Error]);
    }
}
