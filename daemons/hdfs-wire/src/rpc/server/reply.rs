//! Replies: a length, a response header, and after success the message.
//!
//! ```text
//! int32 length | varint header length | 08 callId 10 status 18 09 [22 class 2a message 30 detail]
//!              |                      | 3a clientId 40 retry
//!              | varint message length | message                       (success only)
//! ```

use bytes::{BufMut, BytesMut};
use prost::Message;
use prost::encoding::{encode_varint, encoded_len_varint};

use crate::proto::common::rpc_response_header_proto::{RpcErrorCodeProto, RpcStatusProto};
use crate::rpc::{CallHeader, VERSION, call_id};
use crate::{Exception, Fault};

/// What follows the fixed part of a response header when a call failed.
pub(super) struct Failure<'a> {
    pub(super) status: RpcStatusProto,
    pub(super) class: &'a str,
    pub(super) message: &'a str,
    pub(super) detail: RpcErrorCodeProto,
}

/// Appends the reply of a call that succeeded.
pub fn encode_success(head: &CallHeader, message: &impl Message, output: &mut BytesMut) {
    let header_len = header_len(head, None);
    let message_len = message.encoded_len();
    let unit_len = delimited_len(header_len) + delimited_len(message_len);
    output.reserve(4 + unit_len);
    output.put_i32(i32::try_from(unit_len).expect("a reply is far below 2 GiB"));
    put_header(head, None, header_len, output);
    encode_varint(message_len as u64, output);
    message.encode(output).expect("BytesMut grows as needed");
}

/// Appends the reply of a call that failed; the connection goes on.
pub fn encode_fault(head: &CallHeader, fault: &Fault, output: &mut BytesMut) {
    let detail = match fault.exception {
        Exception::RpcNoSuchMethod => RpcErrorCodeProto::ErrorNoSuchMethod,
        Exception::RpcNoSuchProtocol => RpcErrorCodeProto::ErrorNoSuchProtocol,
        Exception::RpcVersionMismatch => RpcErrorCodeProto::ErrorRpcVersionMismatch,
        Exception::RpcServer => RpcErrorCodeProto::ErrorRpcServer,
        _ => RpcErrorCodeProto::ErrorApplication,
    };
    let failure = Failure {
        status: RpcStatusProto::Error,
        class: fault.exception.class_name(),
        message: &fault.message,
        detail,
    };
    encode_failure(head, &failure, output);
}

/// Appends the last reply to a peer that may not use this connection.
pub fn encode_unauthorized(fault: &Fault, output: &mut BytesMut) {
    let head = CallHeader { call_id: call_id::CONNECTION_CONTEXT, retry: -1, ..Default::default() };
    let failure = Failure {
        status: RpcStatusProto::Fatal,
        class: fault.exception.class_name(),
        message: &fault.message,
        detail: RpcErrorCodeProto::FatalUnauthorized,
    };
    encode_failure(&head, &failure, output);
}

/// Appends a reply without a message.
pub(super) fn encode_failure(head: &CallHeader, failure: &Failure<'_>, output: &mut BytesMut) {
    let header_len = header_len(head, Some(failure));
    let unit_len = delimited_len(header_len);
    output.reserve(4 + unit_len);
    output.put_i32(i32::try_from(unit_len).expect("a reply is far below 2 GiB"));
    put_header(head, Some(failure), header_len, output);
}

/// The method is not part of the protocol, or not served.
pub fn no_such_method(protocol: &str, method: &str) -> Fault {
    let message = format!("Unknown method {method} called on {protocol} protocol.");
    Fault::new(Exception::RpcNoSuchMethod, message)
}

/// The server does not speak the protocol.
pub fn no_such_protocol(protocol: &str) -> Fault {
    Fault::new(Exception::RpcNoSuchProtocol, format!("Unknown protocol: {protocol}"))
}

/// The server speaks another version of the protocol.
pub fn version_mismatch(protocol: &str, client: u64, server: u64) -> Fault {
    let message =
        format!("Protocol {protocol} version mismatch. (client = {client}, server = {server})");
    Fault::new(Exception::RpcVersionMismatch, message)
}

fn delimited_len(len: usize) -> usize {
    encoded_len_varint(len as u64) + len
}

fn text_len(text: &str) -> usize {
    1 + delimited_len(text.len())
}

fn header_len(head: &CallHeader, failure: Option<&Failure<'_>>) -> usize {
    let fixed = 1 + encoded_len_varint(wire_call_id(head)) + 2 + 2;
    let failed =
        failure.map_or(0, |failure| text_len(failure.class) + text_len(failure.message) + 2);
    let client_id = 1 + delimited_len(head.client_id.len());
    fixed + failed + client_id + 1 + encoded_len_varint(zig_zag(head.retry))
}

fn put_header(
    head: &CallHeader,
    failure: Option<&Failure<'_>>,
    header_len: usize,
    output: &mut BytesMut,
) {
    encode_varint(header_len as u64, output);
    output.put_u8(0x08);
    encode_varint(wire_call_id(head), output);
    let status = failure.map_or(RpcStatusProto::Success, |failure| failure.status);
    output.put_slice(&[0x10, status as u8, 0x18, VERSION]);
    if let Some(failure) = failure {
        put_bytes(0x22, failure.class.as_bytes(), output);
        put_bytes(0x2a, failure.message.as_bytes(), output);
        output.put_slice(&[0x30, failure.detail as u8]);
    }
    put_bytes(0x3a, &head.client_id, output);
    output.put_u8(0x40);
    encode_varint(zig_zag(head.retry), output);
}

fn put_bytes(key: u8, bytes: &[u8], output: &mut BytesMut) {
    output.put_u8(key);
    encode_varint(bytes.len() as u64, output);
    output.put_slice(bytes);
}

/// A response header holds the call id as `uint32`, unlike a request header.
fn wire_call_id(head: &CallHeader) -> u64 {
    u64::from(head.call_id as u32)
}

fn zig_zag(value: i32) -> u64 {
    u64::from(((value << 1) ^ (value >> 31)) as u32)
}
