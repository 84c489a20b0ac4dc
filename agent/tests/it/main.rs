//! The agent with real child processes: shells that do as they are told, no Hadoop.

mod agent;
mod host;
mod killed;
mod supervision;
