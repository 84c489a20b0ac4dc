//! What performs the core's decisions: folders of generations, processes, probes, locks, ports.
//!
//! Nothing here decides; every function does one thing and reports how it went.

pub mod durable;
pub mod generations;
pub mod health;
pub mod lock;
pub mod ports;
pub mod process;
pub mod services;
