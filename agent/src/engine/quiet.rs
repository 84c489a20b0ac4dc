//! When a change counts: the quiet period of one unit.
//!
//! States: nothing pending; pending since `first`, last touched at `last`. A change counts once
//! `min` has passed since the last one, or `max` since the first, or at once by a commit mark. Half
//! an edit, made key by key in a user interface, is thus never put in force as long as its author
//! pauses for less than `min`. Invariant: a pending change counts at `first + max` at the latest.

use crate::core::Millis;

/// The quiet period of one unit.
#[derive(Debug, Clone)]
pub struct Quiet {
    min: Millis,
    max: Millis,
    pending: Option<(Millis, Millis)>,
}

impl Quiet {
    /// `max` counts as at least `min`.
    pub fn new(min: Millis, max: Millis) -> Self {
        Self { min, max: max.max(min), pending: None }
    }

    /// Something changed.
    pub fn changed(&mut self, now: Millis) {
        let first = self.pending.map_or(now, |(first, _)| first);
        self.pending = Some((first, now));
    }

    /// What is pending counts now.
    pub fn commit(&mut self, now: Millis) {
        let early = now.saturating_sub(self.max);
        self.pending = Some((early, early));
    }

    /// When the pending change counts.
    pub fn due(&self) -> Option<Millis> {
        self.pending.map(|(first, last)| (last + self.min).min(first + self.max))
    }

    /// Whether a change counts now; if so, nothing is pending any more.
    pub fn take(&mut self, now: Millis) -> bool {
        let due = self.due().is_some_and(|due| due <= now);
        if due {
            self.pending = None;
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_for_quiet_but_not_for_ever() {
        let mut quiet = Quiet::new(1_000, 10_000);
        assert!(!quiet.take(0) && quiet.due().is_none());
        quiet.changed(0);
        quiet.changed(900);
        assert_eq!(quiet.due(), Some(1_900));
        assert!(!quiet.take(1_899));
        assert!(quiet.take(1_900) && !quiet.take(5_000));
        for now in (0..20_000).step_by(900) {
            quiet.changed(now);
            if quiet.take(now) {
                assert!(now >= 10_000, "{now}");
                return;
            }
        }
        panic!("never counted");
    }

    #[test]
    fn a_commit_counts_at_once() {
        let mut quiet = Quiet::new(1_000, 10_000);
        quiet.changed(50_000);
        quiet.commit(50_100);
        assert!(quiet.take(50_100));
    }
}
