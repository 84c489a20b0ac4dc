//! The agent: it turns wanted configuration into files and running daemons on one host.
//!
//! `core` decides and does no I/O; `config` is the agent's own configuration; `sources` read what
//! is wanted; `engine` plans files with the formats of `render`;
//! `actuators` perform what the core asked for; `driver` is the loop around them; `dev` makes a
//! one-host cluster of it, `run` an agent; `api` shows it;
//! `cli` is what a user types. Nothing outside `cli` speaks a Hadoop protocol.

pub mod actuators;
pub mod api;
pub mod cli;
pub mod config;
pub mod core;
pub mod dev;
pub mod driver;
pub mod engine;
pub mod http;
pub mod kv;
pub mod render;
pub mod run;
#[cfg(test)]
mod scripted;
pub mod sources;
