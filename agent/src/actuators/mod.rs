//! What performs the core's decisions: folders of generations, processes, probes, locks, ports.
//!
//! Nothing here decides; every function does one thing and reports how it went.

pub mod durable;
pub mod fetch;
pub mod generations;
pub mod health;
pub mod links;
pub mod lock;
pub mod ports;
pub mod prepare;
pub mod process;
pub mod services;
