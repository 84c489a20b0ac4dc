//! The sums of a check, printed in Hadoop's lines: scripts read them.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::time::Duration;

use hdfs_wire::proto::hdfs::DatanodeInfoProto;

use crate::beans::Snapshot;
use crate::dates;
use crate::server::{Server, now};

/// What was counted.
#[derive(Debug, Default)]
pub(super) struct Report {
    pub(super) directories: u64,
    pub(super) symlinks: u64,
    pub(super) files: u64,
    pub(super) open_files: u64,
    pub(super) bytes: u64,
    pub(super) blocks: u64,
    pub(super) open_bytes: u64,
    pub(super) open_blocks: u64,
    pub(super) minimal: u64,
    pub(super) over: u64,
    pub(super) under: u64,
    pub(super) replicas: u64,
    pub(super) replicas_expected: u64,
    pub(super) replicas_missing: u64,
    pub(super) missing: u64,
    pub(super) missing_bytes: u64,
    pub(super) corrupt: u64,
    pub(super) corrupt_files: u64,
}

#[allow(clippy::cast_precision_loss)] // shares for people
fn share(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 * 100.0 / whole as f64 }
}

/// A number as Java prints a float: at least one digit after the point.
fn float(number: f64) -> String {
    let text = format!("{number:.7}");
    let text = text.trim_end_matches('0');
    if text.ends_with('.') { format!("{text}0") } else { text.to_owned() }
}

impl Report {
    fn is_healthy(&self) -> bool {
        self.missing == 0 && self.corrupt == 0
    }

    /// The end of the page; its last line decides the exit code of `hdfs fsck`.
    pub(super) fn print(&self, server: &Server, path: &str, elapsed: Duration) -> String {
        let snapshot = Snapshot::take(server);
        let racks: BTreeSet<&str> = snapshot.live.iter().map(DatanodeInfoProto::location).collect();
        let status = if self.is_healthy() { "HEALTHY" } else { "CORRUPT" };
        let mut text = format!(
            "\nStatus: {status}\n Number of data-nodes:\t{}\n Number of racks:\t\t{}\n \
             Total dirs:\t\t\t{}\n Total symlinks:\t\t{}\n",
            snapshot.live.len(),
            racks.len(),
            self.directories,
            self.symlinks
        );
        self.print_replicated(server, &mut text);
        text.push_str(STRIPED);
        let millis = elapsed.as_millis();
        // Writing to a String cannot fail.
        let _ = writeln!(
            text,
            "FSCK ended at {} in {millis} milliseconds\n\n",
            dates::java_date(now())
        );
        let _ = writeln!(text, "The filesystem under path '{path}' is {status}");
        text
    }

    #[allow(clippy::cast_precision_loss)] // means for people
    fn print_replicated(&self, server: &Server, text: &mut String) {
        let mean = |sum: u64| if self.blocks == 0 { 0.0 } else { sum as f64 / self.blocks as f64 };
        let of_blocks = |part: u64| float(share(part, self.blocks));
        let open = |number: u64, what: &str| match number {
            0 => String::new(),
            number => format!(" ({what}: {number})"),
        };
        let mut line = |line: String| {
            text.push_str(&line);
            text.push('\n');
        };
        line("\nReplicated Blocks:".to_owned());
        let bytes = self.bytes;
        line(format!(" Total size:\t{bytes} B{}", open(self.open_bytes, "Total open files size")));
        let files = self.files;
        line(format!(
            " Total files:\t{files}{}",
            open(self.open_files, "Files currently being written")
        ));
        let average = match self.blocks {
            0 => String::new(),
            blocks => format!(" (avg. block size {} B)", bytes / blocks),
        };
        line(format!(
            " Total blocks (validated):\t{}{average}{}",
            self.blocks,
            open(self.open_blocks, "Total open file blocks (not validated)")
        ));
        if !self.is_healthy() {
            line("  ********************************".to_owned());
            line(format!(
                "  UNRECOVERABLE BLOCKS:\t{} ({} %)",
                self.missing,
                of_blocks(self.missing)
            ));
            line(format!("  CORRUPT FILES:\t{}", self.corrupt_files));
            line(format!("  MISSING BLOCKS:\t{}", self.missing));
            line(format!("  MISSING SIZE:\t\t{} B", self.missing_bytes));
            line(format!("  CORRUPT BLOCKS: \t{}", self.corrupt));
            line("  ********************************".to_owned());
        }
        let counts = [
            (" Minimally replicated blocks:\t", self.minimal),
            (" Over-replicated blocks:\t", self.over),
            (" Under-replicated blocks:\t", self.under),
            (" Mis-replicated blocks:\t\t", 0),
        ];
        for (name, count) in counts {
            line(format!("{name}{count} ({} %)", of_blocks(count)));
        }
        let default = server.state.read().config().replication;
        line(format!(" Default replication factor:\t{default}"));
        line(format!(" Average block replication:\t{}", float(mean(self.replicas))));
        line(format!(" Missing blocks:\t\t{}", self.missing));
        line(format!(" Corrupt blocks:\t\t{}", self.corrupt));
        let missing = self.replicas_missing;
        line(format!(
            " Missing replicas:\t\t{missing} ({} %)",
            float(share(missing, self.replicas_expected))
        ));
        line(" Blocks queued for replication:\t0".to_owned());
    }
}

/// There are no striped files, and scripts expect the lines.
const STRIPED: &str = "\nErasure Coded Block Groups:\n Total size:\t0 B\n Total files:\t0\n \
Total block groups (validated):\t0\n Minimally erasure-coded block groups:\t0\n \
Over-erasure-coded block groups:\t0\n Under-erasure-coded block groups:\t0\n \
Unsatisfactory placement block groups:\t0\n Average block group size:\t0.0\n \
Missing block groups:\t\t0\n Corrupt block groups:\t\t0\n Missing internal blocks:\t0\n \
Blocks queued for replication:\t0\n";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_look_as_java_prints_them() {
        assert_eq!(float(100.0), "100.0");
        assert_eq!(float(0.0), "0.0");
        assert_eq!(float(1.5), "1.5");
        assert_eq!(float(share(1, 3)), "33.3333333");
    }
}
