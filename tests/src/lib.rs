//! The harness of the integration tests and benchmarks: clusters of our own binary, real Hadoop
//! as the judge, and guards that leave no process behind.
//!
//! Nothing here decides what is right; that is said in `it/`.

pub mod binary;
pub mod cluster;
pub mod golden;
pub mod hadoop;
pub mod java;
pub mod judge;
pub mod ours;
pub mod ports;
pub mod process;
pub mod raw;
pub mod stack;
pub mod wait;

use std::path::PathBuf;

/// The repository's root.
pub fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).parent().expect("tests lies below the root").into()
}

/// Whether the run must be complete: with `CI=true` nothing may pass by being skipped.
pub fn strict() -> bool {
    std::env::var("CI").is_ok_and(|value| value == "true")
}

/// Says loudly that a test cannot run here, and fails it when the run must be complete.
///
/// # Panics
/// With `CI=true`.
pub fn skip(test: &str, missing: &str) {
    assert!(!strict(), "{test}: {missing}; CI=true allows no skipping");
    eprintln!("SKIPPED {test}: {missing}");
}
