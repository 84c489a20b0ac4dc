//! Waiting for a state, never for a time: a deadline only bounds how long a failure takes.

use std::fmt::Debug;
use std::time::{Duration, Instant};

/// Between two looks.
const PAUSE: Duration = Duration::from_millis(20);

/// Looks until `look` gives a value.
///
/// # Panics
/// After `limit`, naming what was waited for.
pub fn until<T>(what: &str, limit: Duration, mut look: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(value) = look() {
            return value;
        }
        assert!(start.elapsed() < limit, "waited {limit:?} in vain for {what}");
        std::thread::sleep(PAUSE);
    }
}

/// Tries until `attempt` succeeds.
///
/// # Panics
/// After `limit`, with the last error.
pub fn success<T, E: Debug>(
    what: &str,
    limit: Duration,
    mut attempt: impl FnMut() -> Result<T, E>,
) -> T {
    let start = Instant::now();
    loop {
        match attempt() {
            Ok(value) => return value,
            Err(error) if start.elapsed() < limit => {
                let _ = error;
                std::thread::sleep(PAUSE);
            }
            Err(error) => panic!("tried {limit:?} in vain: {what}: {error:?}"),
        }
    }
}
