//! What a configuration key is: its kind, default, meaning and what a change of it asks for.
//!
//! `keys/table.rs` is the one table. The reader checks values against it, daemons read through it,
//! and the agent decides from it whether a change needs a restart. Nothing here reads a file.

mod table;

pub use table::*;

/// One key of Hadoop's configuration.
#[derive(Debug)]
pub struct Key {
    /// As Hadoop spells it.
    pub name: &'static str,
    /// What a value may look like.
    pub kind: Kind,
    /// Hadoop 3.4's default in the file's syntax; empty means "not set".
    pub default: &'static str,
    /// What it takes for a new value to count.
    pub change: Change,
    /// Who reads it.
    pub daemons: &'static [Daemon],
    /// Meaning, in one or two sentences.
    pub doc: &'static str,
}

/// The shape and range of a value.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Kind {
    /// `true` or `false`.
    Boolean,
    /// A whole number in a closed range.
    Integer(i64, i64),
    /// A decimal number in a closed range.
    Float(f64, f64),
    /// Bytes in a closed range, with an optional suffix k, m, g, t, p or e (powers of 1024).
    Size(i64, i64),
    /// A time with an optional suffix ns, us, ms, s, m, h or d. A bare number counts in the unit;
    /// the closed range is in the unit too.
    Time(Unit, i64, i64),
    /// Anything.
    Text,
    /// Words separated by commas.
    List,
    /// One of the words.
    Choice(&'static [&'static str]),
    /// `host:port`, `host` where a port is implied, or empty.
    Address,
    /// Local folders separated by commas, as paths or `file:` URIs, each with an optional storage
    /// type in brackets before it.
    Folders,
    /// A path on this host, or empty.
    Path,
    /// `scheme://authority/path`.
    Uri,
    /// A log level, or `target=level`, or several of them separated by commas; or empty.
    LogLevel,
}

/// The unit of a time without a suffix.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// Milliseconds.
    Millis,
    /// Seconds.
    Seconds,
    /// Minutes.
    Minutes,
}

impl Unit {
    /// Length of one unit in milliseconds.
    pub const fn millis(self) -> i64 {
        match self {
            Self::Millis => 1,
            Self::Seconds => 1_000,
            Self::Minutes => 60_000,
        }
    }

    /// The suffix that names the unit.
    pub const fn suffix(self) -> &'static str {
        match self {
            Self::Millis => "ms",
            Self::Seconds => "s",
            Self::Minutes => "m",
        }
    }
}

/// What makes a changed value take effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Change {
    /// Nothing to do: no running daemon reads it (clients do, or tools on their next start).
    None,
    /// The daemon reads it again when told to.
    Reload,
    /// The daemon must be restarted.
    Restart,
}

/// Who reads a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Daemon {
    /// The namenode.
    Namenode,
    /// The datanode.
    Datanode,
    /// The journalnode.
    Journalnode,
    /// The secondary namenode.
    Secondary,
    /// The failover controller.
    Failover,
    /// Clients and tools.
    Client,
}

/// Finds a key by its name, or by an older name that Hadoop still accepts.
pub fn find(name: &str) -> Option<&'static Key> {
    let name = current_name(name);
    ALL.binary_search_by(|key| key.name.cmp(name)).ok().map(|index| ALL[index])
}

/// The present name of a key that Hadoop once called otherwise; any other name unchanged.
pub fn current_name(name: &str) -> &str {
    RENAMED.iter().find(|(old, _)| *old == name).map_or(name, |(_, new)| new)
}

/// What a changed value asks of a daemon. A key the table does not know asks for a restart of the
/// daemon its prefix names, or of all: the cautious answer.
pub fn change_of(name: &str, daemon: Daemon) -> Change {
    match find(name) {
        Some(key) if key.daemons.contains(&daemon) => key.change,
        Some(_) => Change::None,
        None if foreign(name, daemon) => Change::None,
        None => Change::Restart,
    }
}

/// Whether an unknown key's prefix says that only another daemon or a client reads it.
fn foreign(name: &str, daemon: Daemon) -> bool {
    const OWNERS: &[(&str, Daemon)] = &[
        ("dfs.namenode.", Daemon::Namenode),
        ("dfs.datanode.", Daemon::Datanode),
        ("dfs.journalnode.", Daemon::Journalnode),
        ("dfs.client.", Daemon::Client),
    ];
    OWNERS.iter().any(|(prefix, owner)| name.starts_with(prefix) && *owner != daemon)
}

/// Older names Hadoop still accepts, and what they became.
pub const RENAMED: &[(&str, &str)] = &[
    ("fs.default.name", "fs.defaultFS"),
    ("dfs.name.dir", "dfs.namenode.name.dir"),
    ("dfs.name.edits.dir", "dfs.namenode.edits.dir"),
    ("dfs.data.dir", "dfs.datanode.data.dir"),
    ("dfs.block.size", "dfs.blocksize"),
    ("dfs.http.address", "dfs.namenode.http-address"),
    ("dfs.https.address", "dfs.namenode.https-address"),
    ("dfs.secondary.http.address", "dfs.namenode.secondary.http-address"),
    ("dfs.permissions", "dfs.permissions.enabled"),
    ("dfs.permissions.supergroup", "dfs.permissions.superusergroup"),
    ("dfs.replication.min", "dfs.namenode.replication.min"),
    ("dfs.safemode.threshold.pct", "dfs.namenode.safemode.threshold-pct"),
    ("dfs.safemode.extension", "dfs.namenode.safemode.extension"),
    ("dfs.access.time.precision", "dfs.namenode.accesstime.precision"),
    ("dfs.datanode.max.xcievers", "dfs.datanode.max.transfer.threads"),
    ("dfs.balance.bandwidthPerSec", "dfs.datanode.balance.bandwidthPerSec"),
    ("fs.checkpoint.dir", "dfs.namenode.checkpoint.dir"),
    ("fs.checkpoint.period", "dfs.namenode.checkpoint.period"),
    ("dfs.umaskmode", "fs.permissions.umask-mode"),
    ("heartbeat.recheck.interval", "dfs.namenode.heartbeat.recheck-interval"),
    ("topology.script.file.name", "net.topology.script.file.name"),
    ("dfs.federation.nameservices", "dfs.nameservices"),
    ("io.bytes.per.checksum", "dfs.bytes-per-checksum"),
    ("dfs.max.objects", "dfs.namenode.max.objects"),
    ("dfs.replication.interval", "dfs.namenode.redundancy.interval.seconds"),
    ("dfs.namenode.replication.interval", "dfs.namenode.redundancy.interval.seconds"),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config;

    #[test]
    fn the_table_is_sorted_and_each_name_stands_once() {
        for pair in ALL.windows(2) {
            assert!(
                pair[0].name < pair[1].name,
                "{} must stand after {}",
                pair[0].name,
                pair[1].name
            );
        }
    }

    #[test]
    fn every_default_is_a_value_the_table_accepts() {
        for key in ALL {
            if let Err(accepted) = config::check(key, key.default) {
                panic!("default of {} is not {accepted}: {:?}", key.name, key.default);
            }
            assert!(!key.doc.is_empty() && !key.daemons.is_empty(), "{}", key.name);
        }
    }

    /// The list at the end of the page, in the table's order.
    fn reloadable() -> String {
        let rows = ALL.iter().filter(|key| key.change == Change::Reload).map(|key| {
            let daemons = key.daemons.iter().filter(|daemon| **daemon != Daemon::Client);
            let names: Vec<_> =
                daemons.map(|daemon| format!("{daemon:?}").to_lowercase()).collect();
            format!("| `{}` | {} |\n", key.name, names.join(", "))
        });
        format!("| Key | Taken up by |\n|---|---|\n{}", rows.collect::<String>())
    }

    /// The page is as the table. With `HOWDAH_REWRITE=1` it is made so.
    #[test]
    fn the_page_lists_what_can_be_reloaded() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/reload.md");
        let page = std::fs::read_to_string(path).unwrap();
        let head = page.find("| Key |").unwrap_or(page.len());
        let wanted = format!("{}{}", &page[..head], reloadable());
        if std::env::var_os("HOWDAH_REWRITE").is_some() {
            std::fs::write(path, &wanted).unwrap();
        }
        let is_same = std::fs::read_to_string(path).unwrap() == wanted;
        assert!(is_same, "docs/reload.md is stale; run this test with HOWDAH_REWRITE=1");
    }

    #[test]
    fn old_names_lead_to_keys_of_the_table() {
        for (old, _) in RENAMED {
            assert!(find(old).is_some(), "{old}");
        }
    }

    #[test]
    fn an_unknown_key_restarts_its_owner_only() {
        assert_eq!(change_of("dfs.datanode.made.up", Daemon::Datanode), Change::Restart);
        assert_eq!(change_of("dfs.datanode.made.up", Daemon::Namenode), Change::None);
        assert_eq!(change_of("made.up", Daemon::Namenode), Change::Restart);
        assert_eq!(change_of("dfs.client.made.up", Daemon::Namenode), Change::None);
    }
}
