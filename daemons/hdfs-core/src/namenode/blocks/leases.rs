//! Turns for full block reports, so that a restarted namenode is not buried by all of them at once.

use std::collections::BTreeMap;

use super::random::mix;
use super::registry::NodeId;
use super::settings::Settings;
use crate::Millis;

/// Who may report now.
#[derive(Debug)]
pub(super) struct ReportLeases {
    /// Node -> lease id and when it was given. Never more than `limit`.
    given: BTreeMap<NodeId, (u64, Millis)>,
    limit: usize,
    length: Millis,
    next: u64,
}

impl ReportLeases {
    pub(super) fn new(settings: &Settings) -> Self {
        Self {
            given: BTreeMap::new(),
            limit: settings.report_leases_max.max(1),
            length: settings.report_lease_ms,
            next: mix(settings.seed) | 1,
        }
    }

    /// A lease for a node that asks; `None` when all turns are taken. A node that asks again lost
    /// its old one.
    pub(super) fn request(&mut self, node: NodeId, now: Millis) -> Option<u64> {
        let length = self.length;
        self.given.retain(|_, (_, since)| now < since.saturating_add(length));
        self.given.remove(&node);
        if self.given.len() >= self.limit {
            return None;
        }
        let id = self.next;
        self.next = self.next.wrapping_add(1).max(1);
        self.given.insert(node, (id, now));
        Some(id)
    }

    /// May this report be read? Id 0 passes: the operator asked for that report.
    pub(super) fn check(&self, node: NodeId, id: u64, now: Millis) -> bool {
        let valid = |(given, since): &(u64, Millis)| {
            *given == id && now < since.saturating_add(self.length)
        };
        id == 0 || self.given.get(&node).is_some_and(valid)
    }

    /// The turn is over.
    pub(super) fn end(&mut self, node: NodeId) {
        self.given.remove(&node);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::namenode::Config;

    #[test]
    fn turns_are_limited_and_run_out() {
        let mut leases = ReportLeases::new(&Settings::from(&Config::default()));
        let ids: Vec<_> = (0..6).map(|node| leases.request(node, 0).unwrap()).collect();
        assert_eq!(leases.request(6, 1), None);
        assert!(leases.check(0, ids[0], 299_999));
        assert!(!leases.check(0, ids[0], 300_000));
        assert!(!leases.check(0, ids[1], 1));
        assert!(!leases.check(9, ids[1], 1));
        assert!(leases.check(9, 0, 1));
        leases.end(0);
        assert!(!leases.check(0, ids[0], 1));
        assert!(leases.request(6, 1).is_some());
        assert!(leases.request(7, 300_000).is_some());
    }

    #[test]
    fn asking_again_replaces_the_lease() {
        let mut leases = ReportLeases::new(&Settings::from(&Config::default()));
        let old = leases.request(1, 0).unwrap();
        let new = leases.request(1, 5).unwrap();
        assert!(!leases.check(1, old, 5) && leases.check(1, new, 5));
    }
}
