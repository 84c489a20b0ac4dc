//! What every daemon shares around its core: configuration, listeners, RPC, disks, HTTP, metrics,
//! logging. It knows sockets, files and clocks, and no rule of the namespace.

pub mod child;
pub mod config;
pub mod daemon;
pub mod disk;
pub mod groups;
pub mod http;
pub mod keys;
pub mod live;
pub mod metrics;
pub mod net;
pub mod reconfiguration;
pub mod rpc;
