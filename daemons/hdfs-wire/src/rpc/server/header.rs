//! The two headers of a request, decoded by hand because every call pays for them: names and ids
//! stay slices of the frame.

use bytes::Bytes;

use crate::ByteStr;
use crate::fields::{Malformed, Value, sint32, walk};
use crate::rpc::{CallHeader, CallerContext};

/// `RpcRequestHeaderProto`, as far as a server reads it.
#[derive(Debug, Default)]
pub(super) struct RequestHeader {
    pub(super) kind: Option<u64>,
    pub(super) operation: Option<u64>,
    pub(super) head: CallHeader,
}

/// `RequestHeaderProto`: what is called.
#[derive(Debug, Default)]
pub(super) struct MethodHeader {
    pub(super) method: ByteStr,
    pub(super) protocol: ByteStr,
    pub(super) version: u64,
}

impl RequestHeader {
    pub(super) fn decode(frame: &Bytes, part: &[u8]) -> Result<Self, Malformed> {
        let mut header = Self::default();
        header.head.retry = -1;
        let (mut call_id, mut client_id) = (None, None);
        walk(part, |number, value| {
            match number {
                1 => header.kind = Some(value.varint()?),
                2 => header.operation = Some(value.varint()?),
                3 => call_id = Some(sint32(value.varint()?)),
                4 => client_id = Some(value.bytes()?),
                5 => header.head.retry = sint32(value.varint()?),
                7 => header.head.caller_context = Some(caller_context(frame, value)?),
                8 => header.head.state_id = Some(value.varint()? as i64),
                _ => {}
            }
            Ok(())
        })?;
        header.head.call_id = call_id.ok_or(Malformed)?;
        header.head.client_id = frame.slice_ref(client_id.ok_or(Malformed)?);
        Ok(header)
    }
}

impl MethodHeader {
    pub(super) fn decode(frame: &Bytes, part: &[u8]) -> Result<Self, Malformed> {
        let (mut method, mut protocol, mut version) = (None, None, None);
        walk(part, |number, value| {
            match number {
                1 => method = Some(text(frame, value)?),
                2 => protocol = Some(text(frame, value)?),
                3 => version = Some(value.varint()?),
                _ => {}
            }
            Ok(())
        })?;
        Ok(Self {
            method: method.ok_or(Malformed)?,
            protocol: protocol.ok_or(Malformed)?,
            version: version.ok_or(Malformed)?,
        })
    }
}

fn caller_context(frame: &Bytes, value: Value<'_>) -> Result<CallerContext, Malformed> {
    let mut caller = CallerContext::default();
    walk(value.bytes()?, |number, value| {
        match number {
            1 => caller.context = text(frame, value)?,
            2 => caller.signature = frame.slice_ref(value.bytes()?),
            _ => {}
        }
        Ok(())
    })?;
    Ok(caller)
}

fn text(frame: &Bytes, value: Value<'_>) -> Result<ByteStr, Malformed> {
    ByteStr::new(frame.slice_ref(value.bytes()?)).map_err(|_| Malformed)
}
