//! `namenode --format`: an empty file system in the name folders.
//!
//! Nothing is written before every folder was found fit; a folder with a file system in it is
//! refused unless it may be lost.

use std::io::Read;

use hdfs_core::namenode::Identity;
use hdfs_disk::storage::is_id;
use hdfs_edge::config::Config;
use hdfs_edge::daemon::Failure;
use hdfs_edge::net;

use crate::names::{DiskFactory, Names, local_disk};
use crate::server::now;
use crate::settings::Settings;

/// Formats the configured folders.
///
/// # Errors
/// Exit code 2 for what the user can put right: nothing was written then.
pub(crate) fn run(config: &Config, cluster_id: Option<String>, force: bool) -> Result<(), Failure> {
    run_on(config, cluster_id, force, &local_disk)
}

pub(crate) fn run_on(
    config: &Config,
    cluster_id: Option<String>,
    force: bool,
    disks: &DiskFactory,
) -> Result<(), Failure> {
    let settings = Settings::new(config)?;
    if !settings.format_allowed {
        return Err(Failure::user(
            "dfs.namenode.support.allow.format is false; set it to true to format",
        ));
    }
    let identity = new_identity(cluster_id)?;
    Names::format(config, &settings, &identity, force, disks)?;
    tracing::info!(
        cluster = identity.cluster_id,
        pool = identity.block_pool_id,
        folders = ?settings.name_folders,
        "formatted"
    );
    Ok(())
}

/// A new cluster, as Java makes one.
fn new_identity(cluster_id: Option<String>) -> Result<Identity, Failure> {
    let random = random()?;
    let cluster_id = match cluster_id {
        Some(given) if is_id(&given) => given,
        Some(given) => {
            let accepted = "letters, digits, and . _ : - (not a leading .), 255 at most";
            return Err(Failure::user(format!("cluster id {given:?}: {accepted} are accepted")));
        }
        None => format!("CID-{}", uuid(&random)),
    };
    let creation_time = now();
    let word = |at: usize| {
        u32::from_le_bytes([random[at], random[at + 1], random[at + 2], random[at + 3]])
    };
    // Both are positive 31-bit numbers.
    let namespace_id = (word(16) >> 1).max(1);
    let pool = (word(20) >> 1).max(1);
    let block_pool_id = format!("BP-{pool}-{}-{creation_time}", net::host_address());
    Ok(Identity { namespace_id, cluster_id, block_pool_id, creation_time })
}

/// Random bytes of the kernel.
pub(crate) fn random() -> Result<[u8; 24], Failure> {
    let mut bytes = [0; 24];
    let source = "/dev/urandom";
    std::fs::File::open(source)
        .and_then(|mut file| file.read_exact(&mut bytes))
        .map_err(|error| Failure::failed(format!("{source}: {error}")))?;
    Ok(bytes)
}

/// A version 4 UUID of the first 16 bytes.
fn uuid(random: &[u8]) -> String {
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&random[..16]);
    bytes[6] = bytes[6] & 0x0f | 0x40;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let mut text = String::with_capacity(36);
    for (index, byte) in bytes.iter().enumerate() {
        if [4, 6, 8, 10].contains(&index) {
            text.push('-');
        }
        text.push_str(&format!("{byte:02x}"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_cluster_has_ids_of_hadoops_form() {
        let one = new_identity(None).expect("random");
        assert_eq!(one.cluster_id.len(), "CID-".len() + 36);
        assert_eq!(&one.cluster_id[18..19], "4");
        assert!(one.namespace_id > 0 && one.namespace_id <= i32::MAX.unsigned_abs());
        let parts: Vec<_> = one.block_pool_id.splitn(3, '-').collect();
        assert_eq!(parts[0], "BP");
        assert!(one.block_pool_id.ends_with(&one.creation_time.to_string()));
        assert_ne!(one.cluster_id, new_identity(None).expect("random").cluster_id);
        assert_eq!(new_identity(Some("CID-x".into())).expect("given").cluster_id, "CID-x");
        assert_eq!(new_identity(Some("../x".into())).expect_err("no id").exit_code, 2);
    }
}
