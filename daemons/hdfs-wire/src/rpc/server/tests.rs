//! Conversations with the server's half, byte for byte as Java clients hold them, and as nobody
//! does.

use bytes::{BufMut, Bytes, BytesMut};
use proptest::prelude::*;
use prost::Message;

use super::*;
use crate::proto::common::rpc_response_header_proto::{RpcErrorCodeProto, RpcStatusProto};
use crate::proto::common::rpc_sasl_proto::SaslState;
use crate::proto::common::{RpcRequestHeaderProto, RpcResponseHeaderProto, RpcSaslProto};
use crate::proto::hdfs::{GetFileInfoRequestProto, GetFileInfoResponseProto};
use crate::rpc::client::{self, Identity};
use crate::rpc::{CallHeader, call_id};
use crate::{Exception, Fault};

const PROTOCOL: &str = "org.apache.hadoop.hdfs.protocol.ClientProtocol";
const ID: [u8; 16] = *b"0123456789abcdef";
const IDENTITY: Identity<'static> = Identity { client_id: ID, caller_context: Some("CLI") };

/// What `hdfs dfs -mkdir /golden` sends first, in one flush.
fn java_client() -> BytesMut {
    let mut bytes = BytesMut::from(&b"hrpc\x09\0\0\0\0\0\x5b\x21"[..]);
    bytes.put_slice(&[8, 2, 0x10, 0, 0x18, 5, 0x22, 0x10]);
    bytes.put_slice(&ID);
    bytes.put_slice(b"\x28\x01\x3a\x05\x0a\x03CLI\x38\x12\x06\x0a\x04root\x1a\x2e");
    bytes.put_slice(PROTOCOL.as_bytes());
    bytes.put_slice(&[0, 0, 0, 0x6c, 0x21, 8, 2, 0x10, 0, 0x18, 0, 0x22, 0x10]);
    bytes.put_slice(&ID);
    bytes.put_slice(b"\x28\0\x3a\x05\x0a\x03CLI\x3f\x0a\x0bgetFileInfo\x12\x2e");
    bytes.put_slice(PROTOCOL.as_bytes());
    bytes.put_slice(b"\x18\x01\x09\x0a\x07/golden");
    bytes
}

fn hello_and_context(protocol: &str) -> BytesMut {
    let mut bytes = BytesMut::new();
    client::encode_hello(&mut bytes);
    client::encode_context(&IDENTITY, "root", None, protocol, &mut bytes);
    bytes
}

/// Everything a session makes of `input`.
fn receive_all(
    session: &mut Session,
    input: &mut BytesMut,
) -> (Vec<Incoming>, BytesMut, Option<Close>) {
    let (mut incoming, mut output) = (Vec::new(), BytesMut::new());
    loop {
        match session.receive(input, &mut output) {
            Ok(Some(next)) => incoming.push(next),
            Ok(None) => return (incoming, output, None),
            Err(close) => return (incoming, output, Some(close)),
        }
    }
}

fn response_header(output: &[u8]) -> RpcResponseHeaderProto {
    let len = u32::from_be_bytes(*output.first_chunk().unwrap()) as usize;
    assert_eq!(output.len(), 4 + len);
    RpcResponseHeaderProto::decode_length_delimited(&output[4..]).unwrap()
}

/// The fatal reply to `units` after a hello with `auth`.
fn fatal(auth: u8, units: &[u8]) -> RpcResponseHeaderProto {
    let mut input = BytesMut::from(&[b'h', b'r', b'p', b'c', 9, 0, auth][..]);
    input.put_slice(units);
    let mut session = Session::new(Limits::default());
    let (_, output, close) = receive_all(&mut session, &mut input);
    assert!(matches!(close, Some(Close::Fatal(_))), "{close:?}");
    let header = response_header(&output);
    assert_eq!(header.status(), RpcStatusProto::Fatal);
    assert_eq!(header.server_ipc_version_num, Some(9));
    header
}

fn unit(header: &RpcRequestHeaderProto, rest: &[u8]) -> Vec<u8> {
    let mut payload = header.encode_length_delimited_to_vec();
    payload.extend_from_slice(rest);
    let mut bytes = u32::to_be_bytes(payload.len() as u32).to_vec();
    bytes.extend(payload);
    bytes
}

fn header(id: i32) -> RpcRequestHeaderProto {
    RpcRequestHeaderProto {
        rpc_kind: Some(2),
        rpc_op: Some(0),
        call_id: id,
        client_id: Bytes::new(),
        retry_count: Some(-1),
        ..Default::default()
    }
}

#[test]
fn the_first_flush_of_a_java_client() {
    let mut session = Session::new(Limits::default());
    let (incoming, output, close) = receive_all(&mut session, &mut java_client());
    assert_eq!((close, output.len()), (None, 0));
    let [Incoming::Established { user, real_user, protocol: of }, Incoming::Call { .. }] =
        &incoming[..]
    else {
        panic!("{incoming:?}")
    };
    assert_eq!((user.as_str(), real_user, of.as_str()), ("root", &None, PROTOCOL));
    let Incoming::Call { head, protocol, method, version, body } = &incoming[1] else {
        unreachable!()
    };
    assert_eq!((head.call_id, head.retry, &head.client_id[..]), (0, 0, &ID[..]));
    assert_eq!(head.caller_context.as_ref().unwrap().context.as_str(), "CLI");
    assert_eq!((protocol.as_str(), method.as_str(), *version), (PROTOCOL, "getFileInfo", 1));
    let request = GetFileInfoRequestProto::decode(body.clone()).unwrap();
    assert_eq!(request.src, "/golden");
}

#[test]
fn our_client_sends_what_a_java_client_sends() {
    let mut bytes = hello_and_context(PROTOCOL);
    let request = GetFileInfoRequestProto { src: "/golden".to_owned() };
    client::encode_request(&IDENTITY, 0, 0, PROTOCOL, "getFileInfo", &request, &mut bytes);
    assert_eq!(bytes, java_client());
}

#[test]
fn the_reply_for_a_missing_file_is_javas() {
    let head = CallHeader { client_id: Bytes::from_static(&ID), ..Default::default() };
    let mut output = BytesMut::new();
    encode_success(&head, &GetFileInfoResponseProto::default(), &mut output);
    let mut expected = vec![0, 0, 0, 0x1c, 0x1a, 8, 0, 0x10, 0, 0x18, 9, 0x3a, 0x10];
    expected.extend(ID);
    expected.extend([0x40, 0, 0]);
    assert_eq!(output, expected);
    let response = client::decode_response(&mut output, 1 << 20).unwrap().unwrap();
    assert_eq!(response, client::Response { call_id: 0, result: Ok(Bytes::new()) });
}

#[test]
fn pings_say_nothing_and_change_nothing() {
    let mut input = hello_and_context(PROTOCOL);
    client::encode_ping(&IDENTITY, &mut input);
    client::encode_ping(&IDENTITY, &mut input);
    let mut session = Session::new(Limits::default());
    let (incoming, output, close) = receive_all(&mut session, &mut input);
    assert_eq!((incoming.len(), output.len(), close), (1, 0, None));
    assert!(session.is_established() && input.is_empty());
}

#[test]
fn sasl_is_answered_with_go_on_without() {
    let negotiate = RpcSaslProto { state: SaslState::Negotiate as i32, ..Default::default() };
    let mut input = BytesMut::from(&b"hrpc\x09\0\xdf"[..]);
    input.put_slice(&unit(&header(call_id::SASL), &negotiate.encode_length_delimited_to_vec()));
    let mut session = Session::new(Limits::default());
    let (_, mut output, close) = receive_all(&mut session, &mut input);
    assert_eq!(close, None);
    // The call id -33 takes five bytes as uint32.
    assert_eq!(output[5..11], [8, 0xdf, 0xff, 0xff, 0xff, 0x0f]);
    let response = client::decode_response(&mut output, 1 << 20).unwrap().unwrap();
    assert_eq!(response.call_id, call_id::SASL);
    let answer = RpcSaslProto::decode(response.result.unwrap()).unwrap();
    assert_eq!(answer.state(), SaslState::Success);
    let mut input = hello_and_context(PROTOCOL).split_off(7);
    let (incoming, _, close) = receive_all(&mut session, &mut input);
    assert!(matches!(incoming[..], [Incoming::Established { .. }]) && close.is_none());
}

#[test]
fn units_out_of_turn_are_fatal() {
    let invalid = RpcErrorCodeProto::FatalInvalidRpcHeader;
    let early = fatal(0, &unit(&header(0), &[]));
    assert_eq!(early.error_detail(), invalid);
    assert_eq!(early.error_msg(), "Connection context not established");
    let strange = fatal(0, &unit(&header(-7), &[]));
    assert_eq!((strange.error_detail(), strange.call_id), (invalid, -7i32 as u32));
    assert_eq!(strange.error_msg(), "Unknown out of band call #-7");
    let unasked = fatal(0, &unit(&header(call_id::SASL), &[]));
    assert_eq!(unasked.error_msg(), "SASL protocol not requested by client");
    let before_sasl = fatal(0xdf, &hello_and_context(PROTOCOL)[7..]);
    assert_eq!(before_sasl.error_msg(), "Connection header sent during SASL negotiation");
    let twice = [&hello_and_context(PROTOCOL)[7..], &hello_and_context(PROTOCOL)[7..]].concat();
    assert_eq!(fatal(0, &twice).error_msg(), "Connection context already processed");
    let auth = fatal(9, &[]);
    assert_eq!(auth.error_detail(), RpcErrorCodeProto::FatalUnauthorized);
}

#[test]
fn headers_without_their_fields_are_fatal() {
    let invalid = RpcErrorCodeProto::FatalInvalidRpcHeader;
    for broken in [
        RpcRequestHeaderProto { rpc_op: None, ..header(0) },
        RpcRequestHeaderProto { rpc_op: Some(1), ..header(0) },
        RpcRequestHeaderProto { rpc_kind: None, ..header(0) },
    ] {
        assert_eq!(fatal(0, &unit(&broken, &[])).error_detail(), invalid);
    }
    let undecodable = fatal(0, &[0, 0, 0, 2, 9, 9]);
    assert_eq!(undecodable.error_detail(), RpcErrorCodeProto::FatalDeserializingRequest);
    assert_eq!(undecodable.call_id, u32::MAX);
    let established = hello_and_context(PROTOCOL).split_off(7);
    let writable = RpcRequestHeaderProto { rpc_kind: Some(1), ..header(3) };
    let units = [&established[..], &unit(&writable, &[])].concat();
    assert_eq!(fatal(0, &units).error_detail(), invalid);
    let units = [&established[..], &unit(&header(3), &[1])].concat();
    let broken = fatal(0, &units);
    assert_eq!(broken.error_detail(), RpcErrorCodeProto::FatalDeserializingRequest);
    assert_eq!(broken.call_id, 3);
}

#[test]
fn other_versions_are_told_in_their_own_words() {
    let told = |hello: &[u8]| {
        let mut session = Session::new(Limits::default());
        let (_, output, close) = receive_all(&mut session, &mut BytesMut::from(hello));
        (output, close.unwrap())
    };
    let (output, close) = told(b"hrpc\x0a\0\0");
    assert_eq!(close, Close::Version(10));
    let header = response_header(&output);
    assert_eq!(header.call_id, u32::MAX);
    assert_eq!(header.error_detail(), RpcErrorCodeProto::FatalVersionMismatch);
    assert_eq!(header.exception_class_name(), "org.apache.hadoop.ipc.RPC$VersionMismatch");
    let text = "Server IPC version 9 cannot communicate with client version 10";
    assert_eq!(header.error_msg(), text);
    let (output, _) = told(b"hrpc\x04\0\0");
    assert!(output.starts_with(&[0xff; 8]) && output.ends_with(b"client version 4"));
    assert!(told(b"hrpc\xfe\0\0").0.is_empty());
    assert!(told(b"GET / HTTP").0.starts_with(b"HTTP/1.1 404"));
}

#[test]
fn a_unit_may_be_as_large_as_its_sender_needs() {
    let refused = |protocol: &str, len: i32| {
        let mut input = hello_and_context(protocol);
        input.put_i32(len);
        let mut session = Session::new(Limits::default());
        receive_all(&mut session, &mut input).2.is_some()
    };
    assert!(refused(PROTOCOL, -1) && refused(PROTOCOL, 17 << 20) && !refused(PROTOCOL, 16 << 20));
    let reporter = "org.apache.hadoop.hdfs.server.protocol.DatanodeProtocol";
    assert!(!refused(reporter, 128 << 20) && refused(reporter, (128 << 20) + 1));
    let mut early = BytesMut::from(&b"hrpc\x09\0\0\0\x01\0\x01"[..]);
    let mut session = Session::new(Limits::default());
    let (_, output, close) = receive_all(&mut session, &mut early);
    assert!(matches!(close, Some(Close::FrameLength { .. })) && output.is_empty());
}

#[test]
fn faults_carry_class_message_and_detail() {
    let head =
        CallHeader { call_id: 300, client_id: Bytes::from_static(&ID), ..Default::default() };
    let detail_of = |fault: &Fault| {
        let mut output = BytesMut::new();
        encode_fault(&head, fault, &mut output);
        let header = response_header(&output);
        assert_eq!((header.call_id, header.status()), (300, RpcStatusProto::Error));
        assert_eq!(header.client_id(), ID);
        assert_eq!(header.exception_class_name(), fault.exception.class_name());
        assert_eq!(header.error_msg(), fault.message);
        header.error_detail()
    };
    let missing = Fault::new(Exception::FileNotFound, "File does not exist: /a");
    assert_eq!(detail_of(&missing), RpcErrorCodeProto::ErrorApplication);
    let method = no_such_method("P", "m");
    assert_eq!(method.message, "Unknown method m called on P protocol.");
    assert_eq!(detail_of(&method), RpcErrorCodeProto::ErrorNoSuchMethod);
    assert_eq!(detail_of(&no_such_protocol("P")), RpcErrorCodeProto::ErrorNoSuchProtocol);
    let version = version_mismatch("P", 2, 1);
    assert_eq!(detail_of(&version), RpcErrorCodeProto::ErrorRpcVersionMismatch);
    let mut output = BytesMut::new();
    encode_unauthorized(&Fault::new(Exception::Authorization, "no"), &mut output);
    let header = response_header(&output);
    assert_eq!(header.status(), RpcStatusProto::Fatal);
    assert_eq!(header.error_detail(), RpcErrorCodeProto::FatalUnauthorized);
    let response = client::decode_response(&mut output, 1 << 20).unwrap().unwrap();
    assert!(response.result.unwrap_err().fatal);
}

proptest! {
    /// However the bytes are cut, the session says the same.
    #[test]
    fn cuts_do_not_matter(cuts in prop::collection::vec(1usize..40, 1..40)) {
        let whole = java_client();
        let mut session = Session::new(Limits::default());
        let (mut input, mut rest) = (BytesMut::new(), &whole[..]);
        let mut count = 0;
        for cut in cuts.iter().cycle() {
            let (part, later) = rest.split_at((*cut).min(rest.len()));
            input.put_slice(part);
            let (incoming, output, close) = receive_all(&mut session, &mut input);
            count += incoming.len();
            prop_assert!(output.is_empty() && close.is_none());
            rest = later;
            if rest.is_empty() {
                break;
            }
        }
        prop_assert_eq!(count, 2);
    }

    #[test]
    fn any_bytes_are_no_panic(bytes: Vec<u8>, start in 0usize..3) {
        let starts = [&b""[..], b"hrpc\x09\0\0", b"hrpc\x09\0\xdf"];
        let mut input = BytesMut::from(starts[start]);
        input.put_slice(&bytes);
        receive_all(&mut Session::new(Limits::default()), &mut input);
        // As the payload of a unit, behind a handshake.
        let mut input = hello_and_context(PROTOCOL);
        input.put_u32(bytes.len() as u32);
        input.put_slice(&bytes);
        receive_all(&mut Session::new(Limits::default()), &mut input);
        let mut input = BytesMut::new();
        input.put_u32(bytes.len() as u32);
        input.put_slice(&bytes);
        let _ = client::decode_response(&mut input, 1 << 20);
        let _ = client::decode_response(&mut BytesMut::from(&bytes[..]), 1 << 20);
    }

    /// The borrowed walk reads what prost reads, and refuses what prost refuses.
    #[test]
    fn a_flipped_byte_is_read_as_prost_reads_it(position in 0usize..60, value: u8) {
        let mut bytes = header(77).encode_to_vec();
        let position = position % bytes.len();
        bytes[position] = value;
        let frame = Bytes::from(bytes);
        let ours = header::RequestHeader::decode(&frame, &frame);
        let theirs = RpcRequestHeaderProto::decode(frame.clone());
        if let (Ok(ours), Ok(theirs)) = (ours, theirs) {
            prop_assert_eq!(ours.head.call_id, theirs.call_id);
            prop_assert_eq!(&ours.head.client_id, &theirs.client_id);
            prop_assert_eq!(ours.head.retry, theirs.retry_count());
        }
    }

    #[test]
    fn any_head_returns(call_id: i32, retry: i32, id: Vec<u8>, text: String) {
        let client_id = id.clone().into();
        let head = CallHeader { call_id, retry, client_id, ..Default::default() };
        let mut output = BytesMut::new();
        let reply = GetFileInfoRequestProto { src: text.clone() };
        encode_success(&head, &reply, &mut output);
        let header = RpcResponseHeaderProto::decode_length_delimited(&output[4..]).unwrap();
        prop_assert_eq!((header.call_id as i32, header.retry_count()), (call_id, retry));
        prop_assert_eq!(header.client_id(), &id[..]);
        let response = client::decode_response(&mut output, 1 << 24).unwrap().unwrap();
        prop_assert_eq!(response.call_id, call_id);
        let body = GetFileInfoRequestProto::decode(response.result.unwrap()).unwrap();
        prop_assert_eq!(body.src, text);
        prop_assert!(output.is_empty());
    }
}
