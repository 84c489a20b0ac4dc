//! The edit log: operations as values, their bytes, and segments of them. Nothing here touches a
//! file or applies an operation.

mod code;
mod decode;
mod encode;
mod op;
#[cfg(test)]
pub(crate) mod samples;
mod segment;
mod sink;
mod source;
mod tail;
#[cfg(test)]
mod tests;
mod text;

pub use self::encode::{OP_LENGTH_MAX, encode};
pub use self::op::{CacheDirective, CachePool, EditOp, RenameOption, RpcIds};
pub use self::segment::{
    FILLER, HEADER, HEADER_LENGTH, LAYOUT, LAYOUT_OLDEST, SegmentError, SegmentKind, SegmentReader,
};
pub use self::sink::TooLong;
