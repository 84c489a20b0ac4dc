//! Pauses that double up to a cap.

use super::Millis;

/// The next pause to take.
#[derive(Debug, Clone)]
pub struct Backoff {
    base: Millis,
    cap: Millis,
    upcoming: Millis,
}

impl Backoff {
    /// Pauses from `base` to `cap`, in milliseconds.
    pub fn new(base: Millis, cap: Millis) -> Self {
        Self { base, cap, upcoming: base.min(cap) }
    }

    /// The pause to take now; the following one is twice as long.
    pub fn pause(&mut self) -> Millis {
        let pause = self.upcoming;
        self.upcoming = pause.saturating_mul(2).clamp(self.base.min(self.cap), self.cap);
        pause
    }

    /// Starts over.
    pub fn reset(&mut self) {
        self.upcoming = self.base.min(self.cap);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doubles_to_the_cap_and_starts_over() {
        let mut backoff = Backoff::new(200, 1000);
        let pauses: Vec<_> = (0..5).map(|_| backoff.pause()).collect();
        assert_eq!(pauses, [200, 400, 800, 1000, 1000]);
        backoff.reset();
        assert_eq!(backoff.pause(), 200);
    }
}
