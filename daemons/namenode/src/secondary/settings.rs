//! From Hadoop's keys to what the secondary namenode obeys.

use std::path::PathBuf;
use std::time::Duration;

use hdfs_disk::storage::Retention;
use hdfs_edge::config::{Config, ConfigError};
use hdfs_edge::keys;

use crate::settings::{folders_of, number, retention};

#[derive(Debug, Clone)]
pub(super) struct Settings {
    /// Where the namenode answers calls: host and port.
    pub(super) rpc: (String, u16),
    /// Where the namenode's web server is.
    pub(super) http: (String, u16),
    /// Where our own web server listens.
    pub(super) web: (String, u16),
    /// Folders with image and transactions.
    pub(super) folders: Vec<PathBuf>,
    /// Longest time between two checkpoints.
    pub(super) period: Duration,
    /// How often both limits are looked at.
    pub(super) check_period: Duration,
    /// Transactions after which a checkpoint is made.
    pub(super) transactions: u64,
    pub(super) retention: Retention,
    /// A transfer without progress fails after this long.
    pub(super) transfer_timeout: Duration,
}

impl Settings {
    /// # Errors
    /// A key that only this daemon can judge has a value it cannot use.
    pub(super) fn new(config: &Config) -> Result<Self, ConfigError> {
        let service = config.address(&keys::DFS_NAMENODE_SERVICERPC_ADDRESS, 8020);
        let rpc = match service {
            Some(address) => address,
            None => config.namenode_rpc()?,
        };
        let mut http = config
            .address(&keys::DFS_NAMENODE_HTTP_ADDRESS, 9870)
            .unwrap_or_else(|| ("0.0.0.0".to_owned(), 9870));
        if matches!(http.0.as_str(), "0.0.0.0" | "::" | "") {
            // The namenode listens everywhere; it is where its calls go.
            http.0.clone_from(&rpc.0);
        }
        Ok(Self {
            rpc,
            http,
            web: config
                .address(&keys::DFS_NAMENODE_SECONDARY_HTTP_ADDRESS, 9868)
                .unwrap_or_else(|| ("0.0.0.0".to_owned(), 9868)),
            folders: folders_of(
                config,
                &keys::DFS_NAMENODE_CHECKPOINT_DIR,
                &keys::DFS_NAMENODE_CHECKPOINT_EDITS_DIR,
            )?,
            period: config.time(&keys::DFS_NAMENODE_CHECKPOINT_PERIOD),
            check_period: config.time(&keys::DFS_NAMENODE_CHECKPOINT_CHECK_PERIOD),
            transactions: number(config, &keys::DFS_NAMENODE_CHECKPOINT_TXNS),
            retention: retention(config),
            transfer_timeout: config.time(&keys::DFS_IMAGE_TRANSFER_TIMEOUT),
        })
    }
}
