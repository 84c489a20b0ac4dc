//! Hadoop's wire formats as values: bytes in, values out, and back. Nothing here knows a socket, a
//! clock or a thread; every decoder is bounded by the bytes it was given.

pub mod block_list;
pub mod byte_str;
pub mod checksum;
pub mod exception;
pub mod hadoop_varint;
pub mod proto;
pub mod rpc;
pub mod transfer;

mod fields;

pub use byte_str::ByteStr;
pub use exception::{Exception, Fault};
