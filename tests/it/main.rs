//! The integration tests: one binary, one module for each judge.
//!
//! Real Hadoop is fetched once into a cache (`tests::hadoop`). With `CI=true` nothing is skipped.

mod golden;
mod tidy;
