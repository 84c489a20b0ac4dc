//! The integration tests: one binary, one module for each judge.
//!
//! Real Hadoop is fetched once into a cache (`tests::hadoop`). With `CI=true` nothing is skipped.

// Suites that wait for their first run against a quiet machine are wired in one by one.
#[allow(dead_code)]
mod common;
mod config;
mod golden;
mod mixed;
mod oracle_client;
mod tidy;
