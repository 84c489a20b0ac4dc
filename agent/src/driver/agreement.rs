//! Whether a daemon runs with the configuration that is in force.
//!
//! A daemon tells the hash of the configuration it runs with. What it was started with, or read
//! last, is known; later differences that ask it for nothing are as good. An answer counts only for
//! the phase in which it was asked: while files are read again, none does.

use std::collections::BTreeSet;
use std::path::Path;

use hdfs_edge::config::Config;

/// What one unit may say.
#[derive(Debug, Default)]
pub(super) struct Agreement {
    accepted: BTreeSet<String>,
    phase: u64,
    changing: bool,
    /// `active` or `standby`, as it said last.
    pub(super) state: Option<String>,
}

fn hash(folder: &Path) -> Option<String> {
    Config::load(folder).ok().map(|config| config.hash())
}

impl Agreement {
    /// The phase in which questions are asked now.
    pub(super) fn phase(&self) -> u64 {
        self.phase
    }

    /// The daemon is about to read again.
    pub(super) fn changes(&mut self) {
        self.phase += 1;
        self.changing = true;
    }

    /// The daemon has read, or is going to read, what is in this folder now.
    pub(super) fn reads(&mut self, folder: &Path) {
        self.phase += 1;
        self.changing = false;
        self.accepted = hash(folder).into_iter().collect();
    }

    /// What is in this folder now asks the daemon for nothing.
    pub(super) fn as_good(&mut self, folder: &Path) {
        self.phase += 1;
        self.accepted.extend(hash(folder));
    }

    /// Whether it runs with what is in force; `None` where that cannot be known.
    pub(super) fn judge(&self, phase: u64, told: Option<&str>) -> Option<bool> {
        let known = phase == self.phase && !self.changing && !self.accepted.is_empty();
        told.filter(|_| known).map(|told| self.accepted.contains(told))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_count_in_their_phase_only() {
        let root = tempfile::tempdir().unwrap();
        let write = |value: &str| {
            let text = format!(
                "<configuration><property><name>dfs.replication</name><value>{value}</value>\
                 </property></configuration>"
            );
            std::fs::write(root.path().join("hdfs-site.xml"), text).unwrap();
            hash(root.path()).unwrap()
        };
        let mut agreement = Agreement::default();
        assert_eq!(agreement.judge(agreement.phase(), Some("x")), None);
        let one = write("1");
        agreement.reads(root.path());
        assert_eq!(agreement.judge(agreement.phase(), Some(&one)), Some(true));
        assert_eq!(agreement.judge(agreement.phase(), Some("x")), Some(false));
        assert_eq!(agreement.judge(agreement.phase(), None), None);
        assert_eq!(agreement.judge(agreement.phase() - 1, Some("x")), None);
        let two = write("2");
        agreement.as_good(root.path());
        assert_eq!(agreement.judge(agreement.phase(), Some(&one)), Some(true));
        assert_eq!(agreement.judge(agreement.phase(), Some(&two)), Some(true));
        agreement.changes();
        assert_eq!(agreement.judge(agreement.phase(), Some("x")), None);
        agreement.reads(root.path());
        assert_eq!(agreement.judge(agreement.phase(), Some(&one)), Some(false));
    }
}
