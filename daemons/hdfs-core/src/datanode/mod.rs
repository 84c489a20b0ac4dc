//! The datanode as a state machine: replicas and their states, the rules of a write pipeline, what
//! is reported to the namenode, what its commands mean, and the decisions of block recovery. Block
//! bytes never come in here, and nothing here knows a file, a socket, a thread or a clock.
//!
//! # The states of a replica, and what is on disk in each
//!
//! | state | files | leaves by |
//! |---|---|---|
//! | TEMPORARY | `tmp/blk_N`, `tmp/blk_N_G.meta`: a copy from another datanode, never reported | the last packet (FINALIZED), a pipeline transfer (RBW), an error (deleted), a restart (deleted) |
//! | RBW | `rbw/blk_N`, `rbw/blk_N_G.meta`: a client writes it | the last packet (FINALIZED), recovery (RUR), a restart (RWR) |
//! | RWR | as RBW, cut to the longest prefix its checksums prove | recovery (RUR), deletion |
//! | RUR | as the state before; only in memory | the end of recovery (FINALIZED), a restart (state before) |
//! | FINALIZED | `finalized/subdirA/subdirB/blk_N` with its meta: whole, never changed in place | append (RBW), recovery (RUR), deletion |
//!
//! Invariants the edge keeps and a restart relies on:
//!
//! 1. **The meta file decides.** Its folder is the replica's state and its name the generation
//!    stamp. Every change of state renames the meta file first, which is the commit point, and the
//!    data file after it; a restart finishes a move that was cut in the middle.
//! 2. **Data before checksum.** Appending writes the data, then its checksums; cutting writes the
//!    checksum of the new last chunk first, then cuts. So at any moment the checksums prove a
//!    prefix that is at least as long as what was acknowledged.
//! 3. **One holder.** Only the writer that holds a replica ([`WriterId`]) touches its files. Who
//!    wants it otherwise stops that writer first ([`Refusal::Busy`]), waits for it, and asks again.

pub mod append;
pub mod commands;
pub mod files;
pub mod full_report;
pub mod incremental;
pub mod packets;
pub mod recovery;
pub mod replica;
pub mod replicas;
pub mod scan;
pub mod schedule;
pub mod stages;

pub use replica::{Block, Replica, State, VolumeIndex, WriterId};
pub use replicas::{Refusal, Replicas};

#[cfg(test)]
mod tests;
