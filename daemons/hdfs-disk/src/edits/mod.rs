//! The edit log: operations as values, their bytes, and segments of them. Nothing here touches a
//! file or applies an operation.

mod op;

pub use self::op::{CacheDirective, CachePool, EditOp, RenameOption, RpcIds};
