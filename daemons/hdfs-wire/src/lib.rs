//! Hadoop's wire formats as values: bytes in, values out, and back. Nothing here knows a socket, a
//! clock or a thread; every decoder is bounded by the bytes it was given.

pub mod exception;
pub mod proto;

pub use exception::{Exception, Fault};
