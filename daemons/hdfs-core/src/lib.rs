//! HDFS as pure state machines: an event and a time go in, values and effects come out. No async
//! runtime, socket, file, clock, thread, lock or random source in here; a test keeps it so.

pub mod datanode;
pub mod namenode;

/// Milliseconds since the Unix epoch, as the edge read them.
pub type Millis = u64;
