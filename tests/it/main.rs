//! The integration tests: one binary, one module for each judge.
//!
//! Real Hadoop is fetched once into a cache (`tests::hadoop`). With `CI=true` nothing is skipped.

mod agent_consul;
mod agent_vault;
mod bad_input;
mod cli;
mod common;
mod config;
mod consul;
mod crash;
mod full_disk;
mod golden;
mod hostile;
mod jobs;
mod kv;
mod launcher;
mod mixed;
mod native;
mod oracle_client;
mod oracle_disk;
mod oracle_shell;
mod rollout;
mod secondary;
mod stack;
mod tidy;
mod vault;
