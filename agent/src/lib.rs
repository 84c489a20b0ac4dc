//! The agent: it turns wanted configuration into files and running daemons on one host.
//!
//! `core` decides and does no I/O; `sources` read what is wanted; `render` makes files of it;
//! `actuators` perform what the core asked for; `dev` puts them together as a one-host cluster;
//! `cli` is what a user types. Nothing outside `cli` speaks a Hadoop protocol.

pub mod actuators;
pub mod cli;
pub mod core;
pub mod dev;
pub mod render;
pub mod sources;
