//! format
use hdfs_edge::config::Config;
use hdfs_edge::daemon::Failure;
pub(crate) fn run(_: &Config, _: Option<String>, _: bool) -> Result<(), Failure> {
    todo!()
}
