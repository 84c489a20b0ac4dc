//! What a data folder holds, looked at before anything is written into it.
//!
//! Only `VERSION` files are read, and only to refuse what must not be touched: folders of
//! different clusters mixed, or written by a newer release. The daemons check the rest.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::plan::datanode_name;

/// Layout of the newest namenode folder we write (Hadoop 3.4). Layouts count downwards.
const NAMENODE_LAYOUT: i64 = -67;

/// Layout of the newest datanode folder we write (Hadoop 3.4).
const DATANODE_LAYOUT: i64 = -57;

/// What is there.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Found {
    /// The cluster id of the namenode's folder; `None` before the first format.
    pub(super) namenode: Option<String>,
    /// Indexes of the datanodes with data, ascending.
    pub(super) datanodes: Vec<usize>,
}

/// Looks at a folder, which need not exist.
///
/// # Errors
/// A folder that must not be used, with the reason and the remedy.
pub(super) fn examine(root: &Path) -> Result<Found, String> {
    if root.exists() && !root.is_dir() {
        return Err(format!("{}: not a folder; pass another --data", root.display()));
    }
    let namenode = Version::read(&root.join("namenode"))?;
    if let Some(version) = &namenode {
        version.check_layout(NAMENODE_LAYOUT)?;
    }
    let mut datanodes = Vec::new();
    for index in datanode_indexes(root)? {
        let folder = root.join(datanode_name(index));
        let Some(version) = Version::read(&folder)? else { continue };
        version.check_layout(DATANODE_LAYOUT)?;
        match &namenode {
            None => {
                return Err(format!(
                    "{} holds data but {} is not formatted; bring the namenode's folder back, or \
                     pass another --data",
                    folder.display(),
                    root.join("namenode").display()
                ));
            }
            Some(namenode) if namenode.cluster != version.cluster => {
                return Err(format!(
                    "{}: belongs to cluster {}, the namenode is of cluster {}; move it away",
                    version.path.display(),
                    version.cluster,
                    namenode.cluster
                ));
            }
            Some(_) => datanodes.push(index),
        }
    }
    Ok(Found { namenode: namenode.map(|version| version.cluster), datanodes })
}

/// Makes the folders that are there for the user.
///
/// # Errors
/// The disk refuses.
pub(super) fn create(root: &Path) -> Result<(), String> {
    for name in ["kv/conf/hdfs/core-site.xml", "kv/conf/hdfs/hdfs-site.xml", "secrets", "run"] {
        let path = root.join(name);
        fs::create_dir_all(&path).map_err(|error| {
            format!("cannot create {}: {error}; pass another --data", path.display())
        })?;
    }
    // Secrets are for their owner.
    use std::os::unix::fs::PermissionsExt as _;
    let secrets = root.join("secrets");
    fs::set_permissions(&secrets, fs::Permissions::from_mode(0o700))
        .map_err(|error| format!("cannot protect {}: {error}", secrets.display()))
}

fn datanode_indexes(root: &Path) -> Result<Vec<usize>, String> {
    let entries = match fs::read_dir(root) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(format!("cannot read {}: {error}", root.display())),
    };
    let mut indexes: Vec<usize> = entries
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.strip_prefix("datanode-")?.parse().ok())
        .collect();
    indexes.sort_unstable();
    Ok(indexes)
}

/// The two entries of a `VERSION` file that matter here.
struct Version {
    path: PathBuf,
    cluster: String,
    layout: i64,
}

impl Version {
    fn read(folder: &Path) -> Result<Option<Self>, String> {
        let path = folder.join("current/VERSION");
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
                ) =>
            {
                return Ok(None);
            }
            Err(error) => return Err(format!("cannot read {}: {error}", path.display())),
        };
        let value = |name: &str| {
            text.lines()
                .filter_map(|line| line.split_once('='))
                .find(|(key, _)| key.trim() == name)
                .map(|(_, value)| value.trim().to_owned())
        };
        let layout = value("layoutVersion").and_then(|text| text.parse().ok());
        match (value("clusterID"), layout) {
            (Some(cluster), Some(layout)) => Ok(Some(Self { path, cluster, layout })),
            _ => Err(format!(
                "{}: clusterID or layoutVersion is missing; restore the file from a copy",
                path.display()
            )),
        }
    }

    fn check_layout(&self, newest: i64) -> Result<(), String> {
        if self.layout < newest {
            return Err(format!(
                "{}: layoutVersion {} is newer than {newest}, the newest this release knows; use \
                 the release that wrote it",
                self.path.display(),
                self.layout
            ));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(root: &Path, unit: &str, cluster: &str, layout: i64) {
        let folder = root.join(unit).join("current");
        fs::create_dir_all(&folder).unwrap();
        let text = format!("#Sat Nov 21\nclusterID={cluster}\nlayoutVersion={layout}\n");
        fs::write(folder.join("VERSION"), text).unwrap();
    }

    #[test]
    fn an_empty_folder_and_none() {
        let root = tempfile::tempdir().unwrap();
        assert_eq!(examine(root.path()).unwrap(), Found::default());
        assert_eq!(examine(&root.path().join("no")).unwrap(), Found::default());
        assert!(!root.path().join("no").exists());
    }

    #[test]
    fn a_cluster_that_belongs_together() {
        let root = tempfile::tempdir().unwrap();
        put(root.path(), "namenode", "CID-1", -67);
        for unit in ["datanode-0", "datanode-10", "datanode-2"] {
            put(root.path(), unit, "CID-1", -57);
        }
        let found = examine(root.path()).unwrap();
        assert_eq!(found, Found { namenode: Some("CID-1".into()), datanodes: vec![0, 2, 10] });
    }

    #[test]
    fn what_must_not_be_touched() {
        let root = tempfile::tempdir().unwrap();
        put(root.path(), "datanode-0", "CID-1", -57);
        assert!(examine(root.path()).unwrap_err().contains("is not formatted"));
        put(root.path(), "namenode", "CID-2", -67);
        let error = examine(root.path()).unwrap_err();
        assert!(error.contains("belongs to cluster CID-1"), "{error}");
        put(root.path(), "datanode-0", "CID-2", -58);
        let error = examine(root.path()).unwrap_err();
        assert!(error.contains("layoutVersion -58 is newer than -57"), "{error}");
        put(root.path(), "namenode", "CID-2", -68);
        let error = examine(root.path()).unwrap_err();
        assert!(error.contains("layoutVersion -68 is newer than -67"), "{error}");
    }
}
