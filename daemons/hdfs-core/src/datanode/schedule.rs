//! When the datanode talks to its namenode: heartbeats, the lease for a full report, full reports.
//! Time is handed in; nothing here waits.

use crate::Millis;

/// The intervals, all in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Intervals {
    /// `dfs.heartbeat.interval`.
    pub heartbeat: Millis,
    /// `dfs.blockreport.intervalMsec`.
    pub full_report: Millis,
}

/// Decides what is due.
#[derive(Debug)]
pub struct Schedule {
    intervals: Intervals,
    next_heartbeat: Millis,
    next_report: Millis,
    lease: u64,
    forced: bool,
}

impl Schedule {
    /// Just registered: a heartbeat and a full report are due.
    pub fn new(intervals: Intervals, now: Millis) -> Self {
        Self { intervals, next_heartbeat: now, next_report: now, lease: 0, forced: false }
    }

    /// Registered again: the namenode may know nothing.
    pub fn registered(&mut self, now: Millis) {
        self.next_heartbeat = now;
        self.next_report = now;
        self.lease = 0;
    }

    /// Other intervals from now on: what was planned with longer ones comes sooner.
    pub fn adjust(&mut self, intervals: Intervals, now: Millis) {
        self.intervals = intervals;
        self.next_heartbeat = self.next_heartbeat.min(now.saturating_add(intervals.heartbeat));
        self.next_report = self.next_report.min(now.saturating_add(intervals.full_report));
    }

    /// Milliseconds until the next heartbeat.
    pub fn wait(&self, now: Millis) -> Millis {
        self.next_heartbeat.saturating_sub(now)
    }

    /// Whether a heartbeat is due.
    pub fn heartbeat_due(&self, now: Millis) -> bool {
        now >= self.next_heartbeat
    }

    /// Sends the next heartbeat at once, for an answer that changes what is due.
    pub fn hurry(&mut self, now: Millis) {
        self.next_heartbeat = now;
    }

    /// A heartbeat goes out; returns whether it asks for a lease for a full report.
    pub fn heartbeat(&mut self, now: Millis) -> bool {
        self.next_heartbeat = now + self.intervals.heartbeat;
        now >= self.next_report && self.lease == 0
    }

    /// The answer carried a lease (0: none).
    pub fn leased(&mut self, lease: u64) {
        if lease != 0 {
            self.lease = lease;
        }
    }

    /// An operator wants a full report now, lease or not.
    pub fn force_report(&mut self) {
        self.forced = true;
    }

    /// The lease id to send a full report with, if one is due: 0 is one without a lease.
    pub fn report_due(&self, now: Millis) -> Option<u64> {
        if self.forced {
            return Some(0);
        }
        (now >= self.next_report && self.lease != 0).then_some(self.lease)
    }

    /// The full report was accepted. The next one comes at a point of the interval that `random`
    /// picks the first time, so that datanodes which start together do not report together.
    pub fn reported(&mut self, now: Millis, random: u64) {
        let interval = self.intervals.full_report.max(1);
        let first = self.lease != 0 && !self.forced;
        self.next_report = now + if first { random % interval } else { interval };
        self.lease = 0;
        self.forced = false;
    }

    /// The full report failed: ask for a new lease with the next heartbeat.
    pub fn report_failed(&mut self) {
        self.lease = 0;
        self.forced = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_report_waits_for_its_lease() {
        let intervals = Intervals { heartbeat: 3000, full_report: 1_000_000 };
        let mut schedule = Schedule::new(intervals, 100);
        assert!(schedule.heartbeat_due(100));
        assert!(schedule.heartbeat(100), "asks");
        schedule.leased(0);
        assert_eq!(schedule.report_due(100), None);
        assert_eq!(schedule.wait(100), 3000);
        assert!(schedule.heartbeat(3100), "asks again");
        schedule.leased(77);
        assert_eq!(schedule.report_due(3100), Some(77));
        schedule.reported(3100, 5);
        assert_eq!(schedule.report_due(3104), None);
        assert!(!schedule.heartbeat(3104));
        assert!(schedule.heartbeat(3105));
        schedule.force_report();
        assert_eq!(schedule.report_due(3105), Some(0));
    }

    #[test]
    fn shorter_intervals_count_at_once() {
        let mut schedule = Schedule::new(Intervals { heartbeat: 9000, full_report: 90_000 }, 0);
        schedule.heartbeat(0);
        schedule.reported(0, 0);
        schedule.adjust(Intervals { heartbeat: 1000, full_report: 5000 }, 100);
        assert_eq!(schedule.wait(100), 1000);
        assert!(!schedule.heartbeat(1100), "no report is due yet");
        assert!(schedule.heartbeat(5100), "it is");
        schedule.adjust(Intervals { heartbeat: 9000, full_report: 90_000 }, 5100);
        assert_eq!(schedule.wait(5100), 1000, "what was promised is kept");
    }
}
