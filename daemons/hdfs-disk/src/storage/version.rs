//! VERSION files: to which cluster a folder belongs, and in which layout its files are.

use super::properties::{self, Properties};

/// Layout version of datanode folders: that of Hadoop 3.
pub const DATANODE_LAYOUT: i32 = -57;
/// Layout version of namenode folders, written and read without an upgrade: that of Hadoop 3.4.
pub const NAMENODE_LAYOUT: i32 = crate::edits::LAYOUT;

/// Longest id that becomes part of a path; Hadoop's have about 50 bytes.
const ID_LENGTH_MAX: usize = 255;

/// A VERSION file that says something else than it should.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum VersionError {
    /// A key is not there.
    #[error("VERSION has no {key}; put back the file from another copy of the folder")]
    Missing {
        /// The key.
        key: &'static str,
    },
    /// A value is not of its kind.
    #[error("VERSION has {key}={value}, which is not {expected}")]
    Malformed {
        /// The key.
        key: &'static str,
        /// The value.
        value: String,
        /// What would be accepted.
        expected: &'static str,
    },
    /// The folder belongs to another kind of daemon.
    #[error(
        "VERSION has storageType={found}, and this is a {expected}; point it at its own folder"
    )]
    StorageType {
        /// The value.
        found: String,
        /// What this daemon keeps.
        expected: &'static str,
    },
    /// The folder was written by a newer release.
    #[error(
        "VERSION has layoutVersion={found}, newer than {ours}, the newest known here; use the \
         release that wrote it"
    )]
    TooNew {
        /// The value.
        found: i32,
        /// Ours.
        ours: i32,
    },
    /// The folder was written by an older release.
    #[error(
        "VERSION has layoutVersion={found}, older than {ours}; upgrade it first with the release \
         that layout {ours} belongs to"
    )]
    TooOld {
        /// The value.
        found: i32,
        /// Ours.
        ours: i32,
    },
}

/// VERSION of a namenode's name folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamenodeVersion {
    /// Random positive number of the namespace.
    pub namespace_id: u32,
    /// `BP-<random>-<ip>-<millis>`.
    pub block_pool_id: String,
    /// `CID-<uuid>`, or what the operator chose.
    pub cluster_id: String,
    /// Milliseconds since 1970 when the namespace was formatted or last upgraded.
    pub creation_time: u64,
    /// Layout of the files beside it.
    pub layout: i32,
}

/// VERSION of a datanode's volume.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VolumeVersion {
    /// `DS-<uuid>`, one for each volume.
    pub storage_id: String,
    /// Which cluster.
    pub cluster_id: String,
    /// The same in all volumes of a datanode.
    pub datanode_uuid: String,
    /// Layout of the files below it.
    pub layout: i32,
}

/// VERSION of a block pool on a datanode's volume.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PoolVersion {
    /// The namenode's.
    pub namespace_id: u32,
    /// The namenode's.
    pub block_pool_id: String,
    /// The namenode's.
    pub creation_time: u64,
    /// Layout of the files beside it.
    pub layout: i32,
}

fn text(from: &Properties, key: &'static str) -> Result<String, VersionError> {
    from.get(key).cloned().ok_or(VersionError::Missing { key })
}

fn number<T: std::str::FromStr>(from: &Properties, key: &'static str) -> Result<T, VersionError> {
    let value = text(from, key)?;
    let expected = "a number in range";
    value.parse().map_err(|_| VersionError::Malformed { key, value, expected })
}

/// Ids become file names, so they must be able to be one.
fn id(from: &Properties, key: &'static str) -> Result<String, VersionError> {
    let value = text(from, key)?;
    if is_id(&value) {
        return Ok(value);
    }
    let expected = "an id (letters, digits, and . _ : -)";
    Err(VersionError::Malformed { key, value, expected })
}

/// Whether a text can be an id of a cluster, block pool, datanode or storage: it can stand in a
/// path
/// without leading out of its folder.
pub fn is_id(text: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._:-".contains(&byte);
    (1..=ID_LENGTH_MAX).contains(&text.len()) && !text.starts_with('.') && text.bytes().all(allowed)
}

fn storage_type(from: &Properties, expected: &'static str) -> Result<(), VersionError> {
    let found = text(from, "storageType")?;
    if found == expected { Ok(()) } else { Err(VersionError::StorageType { found, expected }) }
}

fn layout(from: &Properties, ours: i32) -> Result<i32, VersionError> {
    let found = number(from, "layoutVersion")?;
    match found {
        _ if found < ours => Err(VersionError::TooNew { found, ours }),
        _ if found > ours => Err(VersionError::TooOld { found, ours }),
        _ => Ok(found),
    }
}

impl NamenodeVersion {
    /// Reads the file.
    ///
    /// # Errors
    /// Missing or malformed values, another kind of folder, another layout.
    pub fn parse(bytes: &[u8]) -> Result<Self, VersionError> {
        let from = properties::parse(bytes);
        storage_type(&from, "NAME_NODE")?;
        Ok(Self {
            layout: layout(&from, NAMENODE_LAYOUT)?,
            namespace_id: number(&from, "namespaceID")?,
            block_pool_id: id(&from, "blockpoolID")?,
            cluster_id: text(&from, "clusterID")?,
            creation_time: number(&from, "cTime")?,
        })
    }

    /// The file's text; `now_ms` since 1970 is the date in its first line.
    pub fn print(&self, now_ms: u64) -> String {
        let lines = [
            ("namespaceID", self.namespace_id.to_string()),
            ("blockpoolID", self.block_pool_id.clone()),
            ("storageType", "NAME_NODE".to_owned()),
            ("cTime", self.creation_time.to_string()),
            ("clusterID", self.cluster_id.clone()),
            ("layoutVersion", self.layout.to_string()),
        ];
        properties::print(&lines, now_ms)
    }

    /// `layoutVersion:namespaceID:cTime:clusterID`, as HTTP transfers carry it.
    pub fn storage_info(&self) -> String {
        let Self { layout, namespace_id, creation_time, cluster_id, .. } = self;
        format!("{layout}:{namespace_id}:{creation_time}:{cluster_id}")
    }
}

impl VolumeVersion {
    /// Reads the file.
    ///
    /// # Errors
    /// Missing or malformed values, another kind of folder, another layout.
    pub fn parse(bytes: &[u8]) -> Result<Self, VersionError> {
        let from = properties::parse(bytes);
        storage_type(&from, "DATA_NODE")?;
        Ok(Self {
            layout: layout(&from, DATANODE_LAYOUT)?,
            storage_id: id(&from, "storageID")?,
            cluster_id: text(&from, "clusterID")?,
            datanode_uuid: id(&from, "datanodeUuid")?,
        })
    }

    /// The file's text; `now_ms` since 1970 is the date in its first line.
    pub fn print(&self, now_ms: u64) -> String {
        let lines = [
            ("storageID", self.storage_id.clone()),
            ("clusterID", self.cluster_id.clone()),
            ("cTime", "0".to_owned()),
            ("datanodeUuid", self.datanode_uuid.clone()),
            ("storageType", "DATA_NODE".to_owned()),
            ("layoutVersion", self.layout.to_string()),
        ];
        properties::print(&lines, now_ms)
    }
}

impl PoolVersion {
    /// Reads the file.
    ///
    /// # Errors
    /// Missing or malformed values, another layout.
    pub fn parse(bytes: &[u8]) -> Result<Self, VersionError> {
        let from = properties::parse(bytes);
        Ok(Self {
            layout: layout(&from, DATANODE_LAYOUT)?,
            namespace_id: number(&from, "namespaceID")?,
            block_pool_id: id(&from, "blockpoolID")?,
            creation_time: number(&from, "cTime")?,
        })
    }

    /// The file's text; `now_ms` since 1970 is the date in its first line.
    pub fn print(&self, now_ms: u64) -> String {
        let lines = [
            ("namespaceID", self.namespace_id.to_string()),
            ("cTime", self.creation_time.to_string()),
            ("blockpoolID", self.block_pool_id.clone()),
            ("layoutVersion", self.layout.to_string()),
        ];
        properties::print(&lines, now_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const JAVAS: &str = "#Fri Nov 20 23:20:23 UTC 2026\nnamespaceID=1482520938\n\
        blockpoolID=BP-742246203-127.0.0.1-1795216823686\nstorageType=NAME_NODE\n\
        cTime=1795216823686\nclusterID=CID-1\nlayoutVersion=-67\n";

    #[test]
    fn a_namenodes_file_is_read_and_written_as_java_does() {
        let version = NamenodeVersion::parse(JAVAS.as_bytes()).expect("Java's own");
        assert_eq!(version.namespace_id, 1_482_520_938);
        assert_eq!(version.storage_info(), "-67:1482520938:1795216823686:CID-1");
        assert_eq!(version.print(1_795_216_823_686), JAVAS);
    }

    #[test]
    fn a_datanodes_files_come_back() {
        let volume = VolumeVersion {
            storage_id: "DS-1".into(),
            cluster_id: "CID-1".into(),
            datanode_uuid: "aa-bb".into(),
            layout: DATANODE_LAYOUT,
        };
        assert_eq!(VolumeVersion::parse(volume.print(0).as_bytes()), Ok(volume.clone()));
        let pool = PoolVersion {
            namespace_id: 5,
            block_pool_id: "BP-1-127.0.0.1-2".into(),
            creation_time: 9,
            layout: DATANODE_LAYOUT,
        };
        assert_eq!(PoolVersion::parse(pool.print(0).as_bytes()), Ok(pool));
        let error = NamenodeVersion::parse(volume.print(0).as_bytes()).expect_err("a datanode's");
        let told = "VERSION has storageType=DATA_NODE, and this is a NAME_NODE; point it at its \
            own \
                    folder";
        assert_eq!(error.to_string(), told);
    }

    #[test]
    fn other_layouts_and_bad_values_are_refused_by_name() {
        let told = |from: &str, to: &str| {
            let text = JAVAS.replace(from, to);
            NamenodeVersion::parse(text.as_bytes()).expect_err("changed").to_string()
        };
        assert!(told("-67", "-68").contains("layoutVersion=-68, newer than -67"));
        assert!(told("-67", "-66").contains("layoutVersion=-66, older than -67"));
        assert!(told("=1482520938", "=x").contains("namespaceID=x"));
        assert!(told("BP-742246203", "../x").contains("blockpoolID=../x"));
        assert!(told("clusterID", "cluster").contains("no clusterID"));
    }
}
