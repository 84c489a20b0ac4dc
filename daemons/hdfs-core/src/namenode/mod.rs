//! The namenode as a state machine: namespace, leases, blocks and datanodes.

pub mod blocks;
