//! Who calls, from where, and when: everything a method may know about its caller.

use crate::Millis;

/// One call's origin, borrowed from the connection for the length of the call.
#[derive(Debug, Clone, Copy)]
pub struct Caller<'a> {
    /// Short user name.
    pub user: &'a str,
    /// The user's groups as the namenode's own host knows them.
    pub groups: &'a [String],
    /// The client's IP address as text, without a port.
    pub address: &'a str,
    /// The 16 bytes a client process keeps for its life; empty when the call is not retried.
    pub client_id: &'a [u8],
    /// The call's number within the client id.
    pub call_id: i32,
    /// The time at which the call is handled.
    pub now: Millis,
}
