//! The client's half of a connection: what to send, and what a reply means. It never waits and
//! matches nothing: replies may come in any order, their call id tells whose they are.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use prost::Message;
use prost::encoding::{encode_varint, encoded_len_varint};

use super::{MAGIC, VERSION, call_id};
use crate::fields::{take_delimited, walk};
use crate::proto::common::rpc_response_header_proto::RpcStatusProto;
use crate::proto::common::{
    IpcConnectionContextProto, RequestHeaderProto, RpcKindProto, RpcRequestHeaderProto,
    UserInformationProto, rpc_request_header_proto::OperationProto,
};

/// What every unit of one client has in common.
#[derive(Debug, Clone, Copy)]
pub struct Identity<'a> {
    /// 16 random bytes, the same for all connections of the client.
    pub client_id: [u8; 16],
    /// Free text for the server's audit log, if any.
    pub caller_context: Option<&'a str>,
}

/// What the other side said about a call that failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{class}: {message}")]
pub struct RemoteFault {
    /// Java class of the exception.
    pub class: String,
    /// Its message; the first line is for people, a stack trace may follow.
    pub message: String,
    /// The server closes the connection; every outstanding call failed.
    pub fatal: bool,
}

/// One reply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Response {
    /// Of the call it answers; negative when it answers the connection as a whole.
    pub call_id: i32,
    /// The message without its length, or why there is none.
    pub result: Result<Bytes, RemoteFault>,
}

/// A reply that cannot be read; the connection is of no more use.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadResponse {
    /// Negative, or larger than `ipc.maximum.response.length`.
    #[error("the server promises a reply of {len} bytes where {max} are allowed")]
    Length {
        /// The promised length.
        len: i32,
        /// The bound.
        max: usize,
    },
    /// Not a response header, or the message does not end where the reply does.
    #[error("the server's reply cannot be decoded: is this a Hadoop RPC port?")]
    Malformed,
}

/// Appends the seven bytes that open a connection with simple authentication.
pub fn encode_hello(output: &mut BytesMut) {
    output.put_slice(&MAGIC);
    output.put_slice(&[VERSION, 0, 0]);
}

/// Appends the connection context: who calls (for whom, and as whom), and which protocol.
pub fn encode_context(
    identity: &Identity<'_>,
    user: &str,
    real_user: Option<&str>,
    protocol: &str,
    output: &mut BytesMut,
) {
    let context = IpcConnectionContextProto {
        user_info: Some(UserInformationProto {
            effective_user: Some(user.to_owned()),
            real_user: real_user.map(str::to_owned),
        }),
        protocol: Some(protocol.to_owned()),
    };
    let header = request_header(identity, call_id::CONNECTION_CONTEXT, -1);
    put_unit(&[&header, &context], output);
}

/// Appends a ping.
pub fn encode_ping(identity: &Identity<'_>, output: &mut BytesMut) {
    put_unit(&[&request_header(identity, call_id::PING, -1)], output);
}

/// Appends a call of `method` (protocol version 1, as everywhere in Hadoop 2 and 3).
pub fn encode_request(
    identity: &Identity<'_>,
    call_id: i32,
    retry: i32,
    protocol: &str,
    method: &str,
    request: &impl Message,
    output: &mut BytesMut,
) {
    let header = request_header(identity, call_id, retry);
    let method = RequestHeaderProto {
        method_name: method.to_owned(),
        declaring_class_protocol_name: protocol.to_owned(),
        client_protocol_version: 1,
    };
    let len = delimited_len(&header) + delimited_len(&method) + delimited_len(request);
    output.reserve(4 + len);
    output.put_i32(i32::try_from(len).expect("a request is far below 2 GiB"));
    put_delimited(&header, output);
    put_delimited(&method, output);
    put_delimited(request, output);
}

/// Cuts one reply off the front of `input`; `None` when more bytes are needed.
///
/// # Errors
/// The bytes are no reply, or the reply is larger than `max` bytes.
pub fn decode_response(input: &mut BytesMut, max: usize) -> Result<Option<Response>, BadResponse> {
    let Some(prefix) = input.first_chunk::<4>() else { return Ok(None) };
    let promised = i32::from_be_bytes(*prefix);
    let len = usize::try_from(promised).ok().filter(|&len| len <= max);
    let len = len.ok_or(BadResponse::Length { len: promised, max })?;
    if input.len() < 4 + len {
        return Ok(None);
    }
    let mut unit = input.split_to(4 + len);
    unit.advance(4);
    response(&unit.freeze()).map(Some)
}

fn response(unit: &Bytes) -> Result<Response, BadResponse> {
    let malformed = |_| BadResponse::Malformed;
    let mut rest = &unit[..];
    let header = take_delimited(&mut rest).map_err(malformed)?;
    let (mut call_id, mut status) = (None, None);
    let (mut class, mut message) = (String::new(), String::new());
    walk(header, |number, value| {
        match number {
            1 => call_id = Some(value.varint()? as u32 as i32),
            2 => status = Some(value.varint()?),
            4 => class = String::from_utf8_lossy(value.bytes()?).into_owned(),
            5 => message = String::from_utf8_lossy(value.bytes()?).into_owned(),
            _ => {}
        }
        Ok(())
    })
    .map_err(malformed)?;
    let (Some(call_id), Some(status)) = (call_id, status) else {
        return Err(BadResponse::Malformed);
    };
    if status == RpcStatusProto::Success as u64 {
        let body = take_delimited(&mut rest).map_err(malformed)?;
        if !rest.is_empty() {
            return Err(BadResponse::Malformed);
        }
        return Ok(Response { call_id, result: Ok(unit.slice_ref(body)) });
    }
    let fatal = status != RpcStatusProto::Error as u64;
    Ok(Response { call_id, result: Err(RemoteFault { class, message, fatal }) })
}

fn request_header(identity: &Identity<'_>, call_id: i32, retry: i32) -> RpcRequestHeaderProto {
    let caller_context = identity.caller_context.map(|context| {
        crate::proto::common::RpcCallerContextProto { context: context.to_owned(), signature: None }
    });
    RpcRequestHeaderProto {
        rpc_kind: Some(RpcKindProto::RpcProtocolBuffer as i32),
        rpc_op: Some(OperationProto::RpcFinalPacket as i32),
        call_id,
        client_id: Bytes::copy_from_slice(&identity.client_id),
        retry_count: Some(retry),
        caller_context,
        ..Default::default()
    }
}

/// A message of any type, so that parts of a unit fit one list.
trait Part {
    fn len(&self) -> usize;
    fn put(&self, output: &mut BytesMut);
}

impl<M: Message> Part for M {
    fn len(&self) -> usize {
        delimited_len(self)
    }

    fn put(&self, output: &mut BytesMut) {
        put_delimited(self, output);
    }
}

fn put_unit(parts: &[&dyn Part], output: &mut BytesMut) {
    let len: usize = parts.iter().map(|part| part.len()).sum();
    output.put_i32(i32::try_from(len).expect("a handshake unit is short"));
    parts.iter().for_each(|part| part.put(output));
}

fn delimited_len(message: &impl Message) -> usize {
    let len = message.encoded_len();
    encoded_len_varint(len as u64) + len
}

fn put_delimited(message: &impl Message, output: &mut BytesMut) {
    encode_varint(message.encoded_len() as u64, output);
    message.encode(output).expect("BytesMut grows as needed");
}
