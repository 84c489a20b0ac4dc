//! Pauses that double, or grow by a step, up to a cap.

use super::Millis;

/// The next pause to take.
#[derive(Debug, Clone)]
pub struct Backoff {
    base: Millis,
    cap: Millis,
    step: Option<Millis>,
    upcoming: Millis,
}

impl Backoff {
    /// Pauses from `base` to `cap`, in milliseconds.
    pub fn new(base: Millis, cap: Millis) -> Self {
        Self { base, cap, step: None, upcoming: base.min(cap) }
    }

    /// Growing by so much each time, where that is given.
    #[must_use]
    pub fn stepping(mut self, step: Option<Millis>) -> Self {
        self.step = step;
        self
    }

    /// The pause to take now; the following one is longer, unless the cap is reached.
    pub fn pause(&mut self) -> Millis {
        let pause = self.upcoming;
        let longer = match self.step {
            Some(step) => pause.saturating_add(step),
            None => pause.saturating_mul(2),
        };
        self.upcoming = longer.clamp(self.base.min(self.cap), self.cap);
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

    #[test]
    fn grows_by_a_step() {
        let mut backoff = Backoff::new(10_000, 35_000).stepping(Some(10_000));
        let pauses: Vec<_> = (0..5).map(|_| backoff.pause()).collect();
        assert_eq!(pauses, [10_000, 20_000, 30_000, 35_000, 35_000]);
    }
}
