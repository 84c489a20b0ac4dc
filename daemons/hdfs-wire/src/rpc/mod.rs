//! Hadoop RPC version 9: headers, sessions and replies as values. Nothing here reads a socket.
//!
//! ```text
//! client   'h' 'r' 'p' 'c'  version 9  service class  auth protocol (00 simple, df SASL)
//! unit     int32 length (without itself), then length bytes
//! request  delimited RpcRequestHeaderProto, delimited RequestHeaderProto, delimited message
//! reply    delimited RpcResponseHeaderProto, and after success a delimited message
//! ```

pub mod client;
pub mod server;

use bytes::Bytes;

use crate::ByteStr;

/// First four bytes of a connection.
pub const MAGIC: [u8; 4] = *b"hrpc";

/// The version both sides speak.
pub const VERSION: u8 = 9;

/// Largest unit a server accepts unless configured (`ipc.maximum.data.length`), in bytes.
pub const FRAME_LEN_MAX: usize = 128 * 1024 * 1024;

/// Fixed call ids of units that are no calls.
pub mod call_id {
    /// A reply to a peer that could not be authorised or understood.
    pub const AUTHORIZATION_FAILED: i32 = -1;
    /// No call.
    pub const INVALID: i32 = -2;
    /// The connection context.
    pub const CONNECTION_CONTEXT: i32 = -3;
    /// A ping; never answered.
    pub const PING: i32 = -4;
    /// A SASL message.
    pub const SASL: i32 = -33;
}

/// What the first header of a call says. The byte fields are slices of the frame: copy them before
/// they are kept for longer than the call.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CallHeader {
    /// Number of the call, unique for the client id.
    pub call_id: i32,
    /// 0 for the first attempt.
    pub retry: i32,
    /// 16 random bytes of the client process, or nothing.
    pub client_id: Bytes,
    /// What the client says it works for, if it says so.
    pub caller_context: Option<CallerContext>,
    /// Last transaction the client has seen, from clients that read from observers.
    pub state_id: Option<i64>,
}

/// What a client says it works for (`hadoop.caller.context.enabled`); goes to the audit log.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CallerContext {
    /// Free text, `CLI` from the shell.
    pub context: ByteStr,
    /// Free bytes, empty if none came.
    pub signature: Bytes,
}
