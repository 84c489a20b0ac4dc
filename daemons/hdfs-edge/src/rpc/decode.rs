//! Decoding a request with a bound on its parts: a frame of many tiny repeated messages would
//! otherwise take a hundred times its size in memory.

use bytes::{Buf, Bytes};
use hdfs_wire::{Exception, Fault};
use prost::Message;

use super::Call;

/// Keys, lengths and numbers in a request, each counted once. An honest call has some dozens; the
/// largest (a concat of 20,000 files) 60,000. A repeated message takes two parts and at most some
/// 300 bytes, twice that while its list grows: 20 MB for a call that uses every part.
const PARTS_MAX: usize = 65_536;

/// The same for reports, where a million entries are honest and small.
const REPORT_PARTS_MAX: usize = 6_000_000;

const REPORTS: [&str; 3] = ["blockReport", "blockReceivedAndDeleted", "cacheReport"];

/// Decodes the body of a call.
pub(super) fn bounded<M: Message + Default>(call: &Call) -> Result<M, Fault> {
    // Small bodies cannot hold that many parts whatever the method; most calls end here.
    let report = call.body.len() > PARTS_MAX && REPORTS.contains(&call.method.as_str());
    let parts = if report { REPORT_PARTS_MAX } else { PARTS_MAX };
    let mut counted = Counted { bytes: call.body.clone(), parts };
    let result = M::decode(&mut counted);
    let fault = |why: &dyn std::fmt::Display| {
        let message = format!("cannot decode the request of {}: {why}", call.method);
        Fault::new(Exception::RpcServer, message)
    };
    if counted.parts == 0 {
        return Err(fault(&format_args!("it has more than {parts} parts")));
    }
    result.map_err(|error| fault(&error))
}

/// Bytes that seem to end once too many steps were taken over them.
struct Counted {
    bytes: Bytes,
    parts: usize,
}

impl Buf for Counted {
    #[inline]
    fn remaining(&self) -> usize {
        if self.parts == 0 { 0 } else { self.bytes.len() }
    }

    #[inline]
    fn chunk(&self) -> &[u8] {
        if self.parts == 0 { &[] } else { &self.bytes }
    }

    #[inline]
    fn advance(&mut self, count: usize) {
        self.parts = self.parts.saturating_sub(1);
        self.bytes.advance(count);
    }

    #[inline]
    fn copy_to_bytes(&mut self, len: usize) -> Bytes {
        self.parts = self.parts.saturating_sub(1);
        self.bytes.split_to(len)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use hdfs_wire::ByteStr;
    use hdfs_wire::proto::hdfs::{AddBlockRequestProto, ConcatRequestProto};

    use super::*;
    use crate::rpc::User;

    fn call(body: Vec<u8>) -> Call {
        Call {
            user: Arc::new(User::new("alice")),
            peer: ([127, 0, 0, 1], 1).into(),
            head: hdfs_wire::rpc::CallHeader::default(),
            protocol: ByteStr::from_static("P"),
            method: ByteStr::from_static("m"),
            version: 1,
            body: body.into(),
        }
    }

    #[test]
    fn an_honest_request_is_what_it_was() {
        let request =
            ConcatRequestProto { trg: "/a".to_owned(), srcs: vec!["/b".to_owned(); 20_000] };
        assert_eq!(call(request.encode_to_vec()).decode(), Ok(request));
    }

    #[test]
    fn a_million_empty_parts_are_refused() {
        // Field 4 (excludeNodes) with an empty message, again and again: 2 bytes for 300.
        let body = [0x22u8, 0].repeat(1_000_000);
        let fault = call(body).decode::<AddBlockRequestProto>().unwrap_err();
        assert_eq!(fault.exception, Exception::RpcServer);
        assert!(fault.message.contains("parts"), "{fault}");
        let fault = call(vec![0x0a, 9]).decode::<AddBlockRequestProto>().unwrap_err();
        assert_eq!(fault.exception, Exception::RpcServer);
    }
}
