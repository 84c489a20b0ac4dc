//! Pauses between attempts: decorrelated, so that hosts that lost the same server do not come
//! back as one wave; unlimited, since an outage ends whenever it ends.

use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::time::Duration;

/// First pause after a failure.
pub const RETRY_BASE: Duration = Duration::from_millis(250);

/// Longest pause.
pub const RETRY_CAP: Duration = Duration::from_secs(30);

/// The next pause to take: between the base and three times the last one, at most the cap.
#[derive(Debug, Clone)]
pub struct Jitter {
    base: Duration,
    cap: Duration,
    last: Duration,
}

impl Jitter {
    /// Pauses from `base` to `cap`.
    pub fn new(base: Duration, cap: Duration) -> Self {
        Self { base, cap, last: base }
    }

    /// The pause to take now.
    pub fn pause(&mut self) -> Duration {
        self.last = between(self.base, self.last * 3).min(self.cap);
        self.last
    }

    /// Starts over after a success.
    pub fn reset(&mut self) {
        self.last = self.base;
    }
}

impl Default for Jitter {
    fn default() -> Self {
        Self::new(RETRY_BASE, RETRY_CAP)
    }
}

/// A random duration of at least `low` and less than `high`.
pub fn between(low: Duration, high: Duration) -> Duration {
    let room = high.saturating_sub(low);
    low + room.mul_f64(fraction())
}

/// A random number of at least 0 and less than 1. Nothing secret depends on it.
fn fraction() -> f64 {
    // Every `RandomState` is keyed anew from the system's randomness.
    let bits = RandomState::new().build_hasher().finish() >> 11;
    bits as f64 / (1u64 << 53) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_stay_between_base_and_cap_and_start_over() {
        let (base, cap) = (Duration::from_millis(10), Duration::from_millis(500));
        let mut jitter = Jitter::new(base, cap);
        let pauses: Vec<_> = (0..200).map(|_| jitter.pause()).collect();
        assert!(pauses.iter().all(|pause| (base..=cap).contains(pause)), "{pauses:?}");
        assert!(pauses.iter().any(|pause| *pause > base * 9), "they grow");
        assert_ne!(pauses[0], pauses[1], "they differ");
        jitter.reset();
        assert!(jitter.pause() <= base * 3);
    }
}
