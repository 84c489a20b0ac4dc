//! The server's half of a connection: bytes received in, calls and replies out. It never waits,
//! never writes to a socket, and holds nothing but where the conversation stands.

mod header;
mod reply;
mod session;
#[cfg(test)]
mod tests;

pub use reply::{
    encode_fault, encode_success, encode_unauthorized, no_such_method, no_such_protocol,
    version_mismatch,
};
pub use session::{Close, Incoming, Limits, Session};
