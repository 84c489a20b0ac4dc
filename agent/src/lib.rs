//! The agent: it turns wanted configuration into files and running daemons on one host.
//!
//! `core` decides and does no I/O; `sources` read what is wanted; `render` makes files of it;
//! `actuators` perform what the core asked for; `driver` is the loop around them; `dev` makes a
//! one-host cluster of it;
//! `cli` is what a user types. Nothing outside `cli` speaks a Hadoop protocol.

pub mod actuators;
pub mod cli;
pub mod core;
pub mod dev;
pub mod driver;
pub mod http;
pub mod render;
#[cfg(test)]
mod scripted;
pub mod sources;
