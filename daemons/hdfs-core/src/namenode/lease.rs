//! Who writes which file, and when that client was last heard of. Holders and files are durable
//! (they follow from the log); the times are not, and start anew with the process.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use super::tree::NumberMap;
use crate::Millis;

/// Prefix of the names under which the namenode itself holds leases during recovery.
pub(crate) const NAMENODE_HOLDER: &str = "HDFS_NameNode";

/// One client's claim on its open files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Lease {
    /// When the client last showed itself.
    pub(crate) renewed: Millis,
    /// Inode ids.
    pub(crate) files: BTreeSet<u64>,
}

/// Who writes one file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Writer {
    /// The client's name; the lease's key.
    pub(crate) holder: Arc<str>,
    /// The client's host, for messages.
    pub(crate) machine: Arc<str>,
}

/// All leases.
#[derive(Debug, Default)]
pub(crate) struct Leases {
    by_holder: HashMap<Arc<str>, Lease>,
    writers: NumberMap<u64, Writer>,
}

impl Leases {
    /// A file is open for write by `holder`; an earlier writer loses it.
    pub(crate) fn open(&mut self, file: u64, holder: &str, machine: &str, now: Millis) {
        self.close(file);
        let (holder, lease) = self.lease_of(holder, now);
        lease.files.insert(file);
        lease.renewed = lease.renewed.max(now);
        self.writers.insert(file, Writer { holder, machine: machine.into() });
    }

    /// A file is no longer written.
    pub(crate) fn close(&mut self, file: u64) {
        let Some(writer) = self.writers.remove(&file) else { return };
        if let Some(lease) = self.by_holder.get_mut(&writer.holder) {
            lease.files.remove(&file);
            if lease.files.is_empty() {
                self.by_holder.remove(&writer.holder);
            }
        }
    }

    /// Another holder takes a file over; the client's machine stays for messages.
    pub(crate) fn reassign(&mut self, file: u64, holder: &str, now: Millis) {
        if let Some(writer) = self.writers.get(&file) {
            let machine = Arc::clone(&writer.machine);
            self.open(file, holder, &machine, now);
        }
    }

    /// The client showed itself. Unknown holders are nothing special.
    pub(crate) fn renew(&mut self, holder: &str, now: Millis) {
        if let Some(lease) = self.by_holder.get_mut(holder) {
            lease.renewed = lease.renewed.max(now);
        }
    }

    /// Every clock starts anew: after a start nobody is late.
    pub(crate) fn renew_all(&mut self, now: Millis) {
        for lease in self.by_holder.values_mut() {
            lease.renewed = now;
        }
    }

    pub(crate) fn writer(&self, file: u64) -> Option<&Writer> {
        self.writers.get(&file)
    }

    pub(crate) fn lease(&self, holder: &str) -> Option<&Lease> {
        self.by_holder.get(holder)
    }

    /// Holders and files whose holder was silent for longer than `limit`.
    pub(crate) fn expired(&self, now: Millis, limit: Millis) -> Vec<(Arc<str>, u64)> {
        let silent = self.by_holder.iter().filter(|(_, lease)| lease.renewed + limit < now);
        let mut files: Vec<_> = silent
            .flat_map(|(holder, lease)| lease.files.iter().map(|&id| (Arc::clone(holder), id)))
            .collect();
        files.sort_unstable();
        files
    }

    /// Files being written, by inode id.
    pub(crate) fn files(&self) -> impl Iterator<Item = (u64, &Writer)> {
        self.writers.iter().map(|(&id, writer)| (id, writer))
    }

    /// Number of clients with open files.
    pub(crate) fn holders(&self) -> usize {
        self.by_holder.len()
    }

    /// Number of files being written.
    pub(crate) fn len(&self) -> usize {
        self.writers.len()
    }

    fn lease_of(&mut self, holder: &str, now: Millis) -> (Arc<str>, &mut Lease) {
        let key: Arc<str> = match self.by_holder.get_key_value(holder) {
            Some((key, _)) => Arc::clone(key),
            None => holder.into(),
        };
        let lease = self
            .by_holder
            .entry(Arc::clone(&key))
            .or_insert_with(|| Lease { renewed: now, files: BTreeSet::new() });
        (key, lease)
    }
}

/// Java's text for a lease in messages.
pub(crate) fn describe(holder: &str, lease: Option<&Lease>) -> String {
    match lease {
        Some(lease) => {
            format!("[Lease.  Holder: {holder}, pending creates: {}]", lease.files.len())
        }
        None => format!("Holder {holder} does not have any open files."),
    }
}

/// The name under which the namenode takes files over, e.g.
/// `HDFS_NameNode-2026-11-21 01:40:08,123+0000`.
pub(crate) fn namenode_holder(now: Millis) -> String {
    let (days, in_day) = (now / 86_400_000, now % 86_400_000);
    let (year, month, day) = civil(days);
    let (seconds, millis) = (in_day / 1000, in_day % 1000);
    format!(
        "{NAMENODE_HOLDER}-{year:04}-{month:02}-{day:02} {:02}:{:02}:{:02},{millis:03}+0000",
        seconds / 3600,
        seconds / 60 % 60,
        seconds % 60
    )
}

/// Year, month and day of a day counted from 1970-01-01 (proleptic Gregorian).
fn civil(days: u64) -> (u64, u64, u64) {
    // Years begin in March here, so that the leap day is a year's last.
    let days = days + 719_468;
    let (era, in_era) = (days / 146_097, days % 146_097);
    let year = (in_era - in_era / 1460 + in_era / 36_524 - in_era / 146_096) / 365;
    let in_year = in_era - (365 * year + year / 4 - year / 100);
    let month = (5 * in_year + 2) / 153;
    let day = in_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (era * 400 + year + u64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lease_lives_as_long_as_its_files() {
        let mut leases = Leases::default();
        leases.open(1, "a", "host", 10);
        leases.open(2, "a", "host", 20);
        leases.open(1, "b", "other", 30);
        assert_eq!(leases.lease("a").unwrap().files.len(), 1);
        assert_eq!(&*leases.writer(1).unwrap().holder, "b");
        leases.close(2);
        assert!(leases.lease("a").is_none());
        leases.reassign(1, "nn", 40);
        assert_eq!(&*leases.writer(1).unwrap().machine, "other");
        assert!(leases.lease("b").is_none());
        assert_eq!(leases.expired(100, 60), []);
        assert_eq!(leases.expired(101, 60), [("nn".into(), 1)]);
    }

    #[test]
    fn days_become_dates() {
        assert_eq!(civil(0), (1970, 1, 1));
        assert_eq!(civil(11_016), (2000, 2, 29));
        assert_eq!(civil(11_017), (2000, 3, 1));
        assert_eq!(
            namenode_holder(1_795_216_823_686),
            "HDFS_NameNode-2026-11-20 23:20:23,686+0000"
        );
    }
}
