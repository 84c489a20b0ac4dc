//! Where a connection stands: header, SASL, context, calls.
//!
//! ```text
//! header (7 bytes) -> [NEGOTIATE -> SUCCESS] -> connection context -> calls and pings
//! ```

use bytes::{Buf, BufMut, Bytes, BytesMut};
use prost::Message;

use super::header::{MethodHeader, RequestHeader};
use super::reply::{Failure, encode_failure, encode_success};
use crate::ByteStr;
use crate::fields::take_delimited;
use crate::proto::common::rpc_response_header_proto::{RpcErrorCodeProto, RpcStatusProto};
use crate::proto::common::rpc_sasl_proto::SaslState;
use crate::proto::common::{IpcConnectionContextProto, RpcSaslProto};
use crate::rpc::{CallHeader, FRAME_LEN_MAX, MAGIC, VERSION, call_id};

/// Magic, version, service class, auth protocol.
const HEADER_LEN: usize = 7;

/// Until the caller is known a unit holds names and SASL messages; 64 KiB is room for both.
const HANDSHAKE_LEN_MAX: usize = 64 * 1024;

/// SASL units before a connection context. A simple server answers the first with success, so a
/// peer that sends more than a few is not a Hadoop client.
const SASL_UNITS_MAX: u32 = 8;

/// Largest unit on a connection whose protocol sends no reports, in bytes. The largest client call
/// is a concat of some ten thousand long paths.
const CALL_LEN_MAX: usize = 16 * 1024 * 1024;

/// Protocols that send whole reports or batches of edits in one unit.
const REPORTING_PROTOCOLS: [&str; 3] = [
    "org.apache.hadoop.hdfs.server.protocol.DatanodeProtocol",
    "org.apache.hadoop.hdfs.server.protocol.NamenodeProtocol",
    "org.apache.hadoop.hdfs.qjournal.protocol.QJournalProtocol",
];

const AUTH_NONE: u8 = 0;
const AUTH_SASL: u8 = 0xdf;
const KIND_PROTOBUF: u64 = 2;
const OPERATION_FINAL: u64 = 0;

const CLASS_FATAL: &str = "org.apache.hadoop.ipc.Server$FatalRpcServerException";
const CLASS_VERSION: &str = "org.apache.hadoop.ipc.RPC$VersionMismatch";
const CLASS_SASL: &str = "javax.security.sasl.SaslException";
const CLASS_IPC: &str = "org.apache.hadoop.ipc.IpcException";

/// Sent to a browser that found the wrong port.
const HTTP_ANSWER: &[u8] = b"HTTP/1.1 404 Not Found\r\nContent-type: text/plain\r\n\r\n\
    This port speaks Hadoop RPC, not HTTP. The web pages of this daemon are on another port.\r\n";

/// What a peer may make a session hold.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Largest unit of a protocol that sends reports (`ipc.maximum.data.length`), in bytes. Other
    /// protocols are held to 16 MiB, or to this if it is smaller.
    pub max_frame: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { max_frame: FRAME_LEN_MAX }
    }
}

/// What one unit meant.
#[derive(Debug)]
pub enum Incoming {
    /// The peer has said who it is; calls may follow. The owner of the session decides whether this
    /// caller is welcome.
    Established {
        /// For whom the calls are made.
        user: String,
        /// Who makes them, if that is somebody else.
        real_user: Option<String>,
        /// The protocol the connection was opened for.
        protocol: String,
    },
    /// A call, to be answered under the same head.
    Call {
        /// Who calls, and what the reply must repeat.
        head: CallHeader,
        /// Name of the protocol.
        protocol: ByteStr,
        /// Name of the method.
        method: ByteStr,
        /// Version of the protocol; 1 in every Hadoop 2 and 3.
        version: u64,
        /// The request message, without its length.
        body: Bytes,
    },
}

/// Why the connection must end, once what is in the output has been sent.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Close {
    /// The first bytes are those of an HTTP request.
    #[error("the peer speaks HTTP on the RPC port")]
    Http,
    /// The first bytes are not Hadoop's, or of another version.
    #[error("the peer speaks version {0} of RPC or something else")]
    Version(i8),
    /// A unit is larger than allowed or has a negative length.
    #[error("a unit of {len} bytes is promised where {max} are allowed")]
    FrameLength {
        /// The promised length.
        len: i32,
        /// The bound that applies at this point.
        max: usize,
    },
    /// The peer broke a rule and was told so.
    #[error("{0}")]
    Fatal(String),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Header,
    /// SASL was asked for and not finished.
    Sasl,
    Context,
    Established,
}

/// The server's side of one connection.
#[derive(Debug)]
pub struct Session {
    limits: Limits,
    phase: Phase,
    frame_max: usize,
    sasl_units: u32,
}

/// A unit that ends the connection with a reply.
struct Fatal {
    class: &'static str,
    detail: RpcErrorCodeProto,
    message: String,
}

impl Session {
    /// A connection that has sent nothing yet.
    pub fn new(limits: Limits) -> Self {
        let frame_max = HANDSHAKE_LEN_MAX.min(limits.max_frame);
        Self { limits, phase: Phase::Header, frame_max, sasl_units: 0 }
    }

    /// Whether the peer has said who it is.
    pub fn is_established(&self) -> bool {
        self.phase == Phase::Established
    }

    /// Bytes of the unit that `input` begins with, as far as that is known. A promise of the peer:
    /// for accounting, never for an allocation.
    pub fn promised(&self, input: &[u8]) -> usize {
        match input.first_chunk::<4>() {
            _ if self.phase == Phase::Header => HEADER_LEN,
            Some(prefix) => 4 + usize::try_from(i32::from_be_bytes(*prefix)).unwrap_or(0),
            None => 4,
        }
    }

    /// Takes units off the front of `input` until one means something to the owner. Pings and the
    /// handshake are dealt with here, their replies appended to `output`. `None`: more bytes are
    /// needed.
    ///
    /// # Errors
    /// The connection must end; what the peer is told is in `output` already.
    pub fn receive(
        &mut self,
        input: &mut BytesMut,
        output: &mut BytesMut,
    ) -> Result<Option<Incoming>, Close> {
        if self.phase == Phase::Header {
            if input.len() < HEADER_LEN {
                return Ok(None);
            }
            self.header(input, output)?;
        }
        while let Some(unit) = self.cut(input)? {
            if let Some(incoming) = self.unit(&unit, output)? {
                return Ok(Some(incoming));
            }
        }
        Ok(None)
    }

    fn header(&mut self, input: &mut BytesMut, output: &mut BytesMut) -> Result<(), Close> {
        let (version, auth) = (input[4] as i8, input[6]);
        if input.starts_with(b"GET ") {
            output.put_slice(HTTP_ANSWER);
            return Err(Close::Http);
        }
        if !input.starts_with(&MAGIC) || version != VERSION as i8 {
            encode_version_mismatch(version, output);
            return Err(Close::Version(version));
        }
        input.advance(HEADER_LEN);
        self.phase = match auth {
            AUTH_NONE => Phase::Context,
            AUTH_SASL => Phase::Sasl,
            other => {
                let message = format!("Unknown auth protocol:{}", other as i8);
                let fatal = Fatal {
                    class: CLASS_IPC,
                    detail: RpcErrorCodeProto::FatalUnauthorized,
                    message,
                };
                return Err(fatal.reply(call_id::AUTHORIZATION_FAILED, -1, output));
            }
        };
        Ok(())
    }

    /// Cuts one whole unit off the front.
    fn cut(&self, input: &mut BytesMut) -> Result<Option<Bytes>, Close> {
        let Some(prefix) = input.first_chunk::<4>() else { return Ok(None) };
        let promised = i32::from_be_bytes(*prefix);
        let len = usize::try_from(promised).ok().filter(|&len| len <= self.frame_max);
        let Some(len) = len else {
            return Err(Close::FrameLength { len: promised, max: self.frame_max });
        };
        if input.len() < 4 + len {
            return Ok(None);
        }
        let mut unit = input.split_to(4 + len);
        unit.advance(4);
        Ok(Some(unit.freeze()))
    }

    fn unit(&mut self, unit: &Bytes, output: &mut BytesMut) -> Result<Option<Incoming>, Close> {
        let mut rest = &unit[..];
        let header = take_delimited(&mut rest).and_then(|part| RequestHeader::decode(unit, part));
        let Ok(header) = header else {
            let fatal = Fatal::undecodable("the RPC request header cannot be decoded");
            return Err(fatal.reply(call_id::AUTHORIZATION_FAILED, -1, output));
        };
        let (id, retry) = (header.head.call_id, header.head.retry);
        let result = check(&header).and_then(|()| match id {
            call_id::CONNECTION_CONTEXT => self.context(rest).map(Some),
            call_id::SASL => self.sasl(rest, &header.head, output).map(|()| None),
            call_id::PING => Ok(None),
            ..0 => Err(Fatal::header(format!("Unknown out of band call #{id}"))),
            _ if self.phase != Phase::Established => {
                Err(Fatal::header("Connection context not established"))
            }
            _ => call(header, unit, rest).map(Some),
        });
        result.map_err(|fatal| fatal.reply(id, retry, output))
    }

    fn context(&mut self, mut unit: &[u8]) -> Result<Incoming, Fatal> {
        match self.phase {
            Phase::Context => {}
            Phase::Established => {
                return Err(Fatal::header("Connection context already processed"));
            }
            Phase::Header | Phase::Sasl => {
                return Err(Fatal::header("Connection header sent during SASL negotiation"));
            }
        }
        let context = take_delimited(&mut unit).ok();
        let context = context.and_then(|part| IpcConnectionContextProto::decode(part).ok());
        let context = context
            .ok_or_else(|| Fatal::undecodable("the connection context cannot be decoded"))?;
        let info = context.user_info.unwrap_or_default();
        let user = info.effective_user.filter(|user| !user.is_empty()).ok_or_else(|| Fatal {
            class: "org.apache.hadoop.security.AccessControlException",
            detail: RpcErrorCodeProto::FatalUnauthorized,
            message: "The connection context names no user".to_owned(),
        })?;
        let protocol = context.protocol.unwrap_or_default();
        self.phase = Phase::Established;
        let reports = REPORTING_PROTOCOLS.contains(&&*protocol);
        let bound = if reports { self.limits.max_frame } else { CALL_LEN_MAX };
        self.frame_max = bound.min(self.limits.max_frame);
        Ok(Incoming::Established { user, real_user: info.real_user, protocol })
    }

    /// Whether the caller's protocol sends reports, whose units may be large.
    pub fn reports(&self) -> bool {
        self.frame_max > CALL_LEN_MAX
    }

    /// This server knows simple authentication only: whoever asks is told to go on without SASL.
    fn sasl(
        &mut self,
        mut unit: &[u8],
        head: &CallHeader,
        output: &mut BytesMut,
    ) -> Result<(), Fatal> {
        if self.phase != Phase::Sasl {
            return Err(Fatal::header("SASL protocol not requested by client"));
        }
        self.sasl_units += 1;
        if self.sasl_units > SASL_UNITS_MAX {
            return Err(Fatal::sasl("too many SASL messages before a connection context"));
        }
        let message = take_delimited(&mut unit).ok();
        let message = message.and_then(|part| RpcSaslProto::decode(part).ok());
        let message =
            message.ok_or_else(|| Fatal::undecodable("the SASL message cannot be decoded"))?;
        match message.state() {
            // Both ask which method; a simple server has one answer.
            SaslState::Negotiate | SaslState::Initiate => {
                let success =
                    RpcSaslProto { state: SaslState::Success as i32, ..Default::default() };
                let head = CallHeader { retry: -1, ..head.clone() };
                encode_success(&head, &success, output);
            }
            state => {
                let text = format!("Client sent unsupported state {}", state.as_str_name());
                return Err(Fatal::sasl(text));
            }
        }
        self.phase = Phase::Context;
        Ok(())
    }
}

/// Rules for every unit, whatever it is.
fn check(header: &RequestHeader) -> Result<(), Fatal> {
    match header.operation {
        None => return Err(Fatal::header(" IPC Server: No rpc op in rpcRequestHeader")),
        Some(OPERATION_FINAL) => {}
        Some(other) => {
            let text = format!("IPC Server does not implement rpc header operation {other}");
            return Err(Fatal::header(text));
        }
    }
    match header.kind {
        None => Err(Fatal::header(" IPC Server: No rpc kind in rpcRequestHeader")),
        Some(_) => Ok(()),
    }
}

/// The rest of a unit whose header is that of a call.
fn call(header: RequestHeader, unit: &Bytes, mut rest: &[u8]) -> Result<Incoming, Fatal> {
    if header.kind != Some(KIND_PROTOBUF) {
        let kind = header.kind.unwrap_or_default();
        return Err(Fatal::header(format!("Unknown rpc kind in rpc header{kind}")));
    }
    let method = take_delimited(&mut rest).and_then(|part| MethodHeader::decode(unit, part));
    let body = take_delimited(&mut rest);
    let (Ok(MethodHeader { method, protocol, version }), Ok(body)) = (method, body) else {
        return Err(Fatal::undecodable("IPC server unable to read call parameters"));
    };
    let body = unit.slice_ref(body);
    Ok(Incoming::Call { head: header.head, protocol, method, version, body })
}

impl Fatal {
    fn header(message: impl Into<String>) -> Self {
        let detail = RpcErrorCodeProto::FatalInvalidRpcHeader;
        Self { class: CLASS_FATAL, detail, message: message.into() }
    }

    fn undecodable(message: &str) -> Self {
        let detail = RpcErrorCodeProto::FatalDeserializingRequest;
        Self { class: CLASS_FATAL, detail, message: message.to_owned() }
    }

    fn sasl(message: impl Into<String>) -> Self {
        let detail = RpcErrorCodeProto::FatalUnauthorized;
        Self { class: CLASS_SASL, detail, message: message.into() }
    }

    fn reply(self, call_id: i32, retry: i32, output: &mut BytesMut) -> Close {
        let head = CallHeader { call_id, retry, ..Default::default() };
        let failure = Failure {
            status: RpcStatusProto::Fatal,
            class: self.class,
            message: &self.message,
            detail: self.detail,
        };
        encode_failure(&head, &failure, output);
        Close::Fatal(self.message)
    }
}

/// Tells a client of another version what this server speaks, in words that version understands.
fn encode_version_mismatch(client: i8, output: &mut BytesMut) {
    let message =
        format!("Server IPC version {VERSION} cannot communicate with client version {client}");
    if client >= VERSION as i8 {
        let head = CallHeader { call_id: -1, retry: -1, ..Default::default() };
        let failure = Failure {
            status: RpcStatusProto::Fatal,
            class: CLASS_VERSION,
            message: &message,
            detail: RpcErrorCodeProto::FatalVersionMismatch,
        };
        encode_failure(&head, &failure, output);
    } else if client >= 3 {
        output.put_i32(-1);
        output.put_i32(-1);
        for text in [CLASS_VERSION, &message] {
            output.put_i32(i32::try_from(text.len()).expect("both texts are short"));
            output.put_slice(text.as_bytes());
        }
    }
}
