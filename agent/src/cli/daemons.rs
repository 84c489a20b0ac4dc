//! The verbs that run one daemon in the foreground.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::Args;
use hdfs_edge::daemon::Failure;
use namenode::secondary::Action;

use super::Log;

/// Words of Hadoop's daemons that have a single dash there.
const SINGLE_DASH: &[&str] =
    &["format", "force", "nonInteractive", "checkpoint", "geteditsize", "conf", "log", "help"];

#[derive(Debug, Args)]
pub(super) struct Common {
    /// Folder with core-site.xml and hdfs-site.xml
    #[arg(long, value_name = "DIR", env = "HADOOP_CONF_DIR")]
    conf: Option<PathBuf>,
    /// How log lines look
    #[arg(long, value_enum, default_value_t)]
    log: Log,
}

impl Common {
    fn conf(&self, verb: &str) -> Result<PathBuf, Failure> {
        self.conf.clone().ok_or_else(|| {
            Failure::user(format!(
                "{verb}: no configuration; pass --conf DIR or set HADOOP_CONF_DIR"
            ))
        })
    }
}

#[derive(Debug, Args)]
pub(super) struct NamenodeArguments {
    #[command(flatten)]
    common: Common,
    /// Make new, empty name folders and end
    #[arg(long)]
    format: bool,
    /// With --format: replace folders that are formatted already
    #[arg(long, requires = "format")]
    force: bool,
    /// With --format: the new cluster's id [default: a random one]
    #[arg(long, alias = "clusterid", alias = "clusterId", value_name = "ID", requires = "format")]
    cluster_id: Option<String>,
    /// Never asks; taken for Hadoop's sake
    #[arg(long = "nonInteractive", hide = true)]
    non_interactive: bool,
}

#[derive(Debug, Args)]
pub(super) struct DatanodeArguments {
    #[command(flatten)]
    common: Common,
}

#[derive(Debug, Args)]
pub(super) struct SecondaryArguments {
    #[command(flatten)]
    common: Common,
    /// Make a checkpoint if there are enough transactions, or in any case, and end
    #[arg(long, value_name = "force", num_args = 0..=1, default_missing_value = "due",
          hide_possible_values = true, conflicts_with = "geteditsize")]
    checkpoint: Option<When>,
    /// Print how many transactions are in no image, and end
    #[arg(long)]
    geteditsize: bool,
    /// Empty the checkpoint folders before
    #[arg(long, conflicts_with = "geteditsize")]
    format: bool,
}

/// When `-checkpoint` makes one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum When {
    Due,
    Force,
}

/// Turns `-format` and its like behind a daemon's verb into `--format`.
pub(super) fn undash(words: &mut [OsString]) {
    let Some(verb) = words.get(1).and_then(|word| word.to_str()) else { return };
    if !matches!(verb, "namenode" | "datanode" | "secondarynamenode") {
        return;
    }
    for word in &mut words[2..] {
        let Some(name) = word.to_str().and_then(|text| text.strip_prefix('-')) else { continue };
        if SINGLE_DASH.contains(&name) || name.eq_ignore_ascii_case("clusterid") {
            let name = if name.eq_ignore_ascii_case("clusterid") { "cluster-id" } else { name };
            *word = OsString::from(format!("--{name}"));
        }
    }
}

pub(super) fn namenode(arguments: NamenodeArguments) -> Result<(), Failure> {
    let conf = arguments.common.conf("namenode")?;
    let NamenodeArguments { common, cluster_id, force, .. } = arguments;
    let action = if arguments.format {
        namenode::Action::Format { cluster_id, force }
    } else {
        namenode::Action::Start
    };
    namenode::run(namenode::Options { conf, action, log: common.log.into() })
}

pub(super) fn datanode(arguments: &DatanodeArguments) -> Result<(), Failure> {
    let conf = arguments.common.conf("datanode")?;
    datanode::run(datanode::Options { conf, log: arguments.common.log.into() })
}

pub(super) fn secondary(arguments: &SecondaryArguments) -> Result<(), Failure> {
    let conf = arguments.common.conf("secondarynamenode")?;
    let action = match arguments.checkpoint {
        Some(when) => Action::Checkpoint { force: when == When::Force },
        None if arguments.geteditsize => Action::EditLogSize,
        None => Action::Serve,
    };
    let (format, log) = (arguments.format, arguments.common.log.into());
    namenode::secondary::run(namenode::secondary::Options { conf, action, format, log })
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;

    use super::*;

    #[test]
    fn hadoops_single_dashes() {
        let mut words: Vec<OsString> =
            ["hdfs", "namenode", "-format", "-clusterId", "CID-1", "-x", "--conf", "-force"]
                .map(OsString::from)
                .into();
        undash(&mut words);
        let expected =
            ["hdfs", "namenode", "--format", "--cluster-id", "CID-1", "-x", "--conf", "--force"];
        assert_eq!(words, expected.map(OsStr::new));
        let mut words: Vec<OsString> = ["howdah", "dfs", "-format"].map(OsString::from).into();
        undash(&mut words);
        assert_eq!(words[2], "-format");
    }
}
