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

/// The datanodes' data that is there.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// Index and `VERSION` of each datanode with data, by index.
    datanodes: Vec<(usize, Version)>,
}

impl Found {
    /// Datanodes with data.
    pub(super) fn datanodes(&self) -> usize {
        self.datanodes.len()
    }

    #[cfg(test)]
    pub(super) fn with(count: usize) -> Self {
        let version =
            |index| (index, Version { path: PathBuf::new(), cluster: String::new(), layout: 0 });
        Self { datanodes: (0..count).map(version).collect() }
    }
}

/// Looks at a folder, which need not exist.
///
/// # Errors
/// A folder that must not be used, with the reason and the remedy.
pub(super) fn examine(root: &Path) -> Result<Found, String> {
    if root.exists() && !root.is_dir() {
        return Err(format!("{}: not a folder; pass another --data", root.display()));
    }
    let mut datanodes = Vec::new();
    for index in datanode_indexes(root)? {
        if let Some(version) = Version::read(&root.join(datanode_name(index)))? {
            version.check_layout(DATANODE_LAYOUT)?;
            datanodes.push((index, version));
        }
    }
    Ok(Found { datanodes })
}

/// Whether the namenode's folders hold a file system, and the one the datanodes belong to.
///
/// # Errors
/// Folders that must not be used together, or were written by a newer release.
pub(super) fn is_formatted(names: &[PathBuf], found: &Found) -> Result<bool, String> {
    let mut namenode: Option<Version> = None;
    for name in names {
        if let Some(version) = Version::read(name)? {
            version.check_layout(NAMENODE_LAYOUT)?;
            namenode = Some(version);
        }
    }
    for (_, datanode) in &found.datanodes {
        match &namenode {
            Some(namenode) if namenode.cluster == datanode.cluster => {}
            Some(namenode) => {
                return Err(format!(
                    "{}: belongs to cluster {}, the namenode is of cluster {}; move it away",
                    datanode.path.display(),
                    datanode.cluster,
                    namenode.cluster
                ));
            }
            None => {
                let names: Vec<_> = names.iter().map(|name| name.display().to_string()).collect();
                return Err(format!(
                    "{}: there is data, but {} is not formatted; bring the namenode's folder \
                     back, or pass another --data",
                    datanode.path.display(),
                    names.join(",")
                ));
            }
        }
    }
    Ok(namenode.is_some())
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

/// A file that stands from before the first format until it is done, and names its folders. A
/// format that was killed halfway leaves folders that are neither empty nor usable; with this mark
/// it is known that they were empty before and that no namenode has ever served them, so they may
/// be formatted again. Without it nothing is ever formatted by force.
#[derive(Debug)]
pub(super) struct FormatMark {
    path: PathBuf,
    text: String,
}

impl FormatMark {
    pub(super) fn new(root: &Path, names: &[PathBuf]) -> Self {
        let lines = names.iter().map(|name| format!("{}\n", name.display()));
        Self { path: root.join("run/format-pending"), text: lines.collect() }
    }

    /// Whether a format of exactly these folders was begun and not finished. Folders with edits
    /// were served, whatever the mark says.
    pub(super) fn stands(&self, names: &[PathBuf]) -> bool {
        fs::read_to_string(&self.path).is_ok_and(|text| text == self.text)
            && !names.iter().any(|name| has_edits(name))
    }

    /// Sets the mark, if the folders are untouched; says whether it did.
    pub(super) fn set(&self, names: &[PathBuf]) -> Result<bool, String> {
        if names.iter().any(|name| name.join("current").exists()) {
            return Ok(false);
        }
        let write = || {
            fs::write(&self.path, &self.text)?;
            fs::File::open(&self.path)?.sync_all()?;
            self.sync()
        };
        write().map(|()| true).map_err(|error: io::Error| self.failed(&error))
    }

    /// Must be on disk before a namenode serves: a mark that came back with a power failure would
    /// cost the namespace.
    pub(super) fn clear(&self) -> Result<(), String> {
        match fs::remove_file(&self.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            removed => removed.and_then(|()| self.sync()),
        }
        .map_err(|error| self.failed(&error))
    }

    fn sync(&self) -> io::Result<()> {
        fs::File::open(self.path.parent().unwrap_or(Path::new(".")))?.sync_all()
    }

    fn failed(&self, error: &io::Error) -> String {
        format!("{}: {error}", self.path.display())
    }
}

/// Whether a namenode has ever served the folder: its first act is to begin an edit log.
fn has_edits(name: &Path) -> bool {
    let is_edits = |entry: fs::DirEntry| entry.file_name().to_string_lossy().starts_with("edits");
    match fs::read_dir(name.join("current")) {
        Ok(mut entries) => entries.any(|entry| entry.map_or(true, is_edits)),
        // What cannot be looked into is taken for precious.
        Err(error) => error.kind() != io::ErrorKind::NotFound,
    }
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
#[derive(Debug)]
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

    /// What `dev` asks on a start.
    fn formatted(root: &Path) -> Result<(bool, usize), String> {
        let found = examine(root)?;
        Ok((is_formatted(&[root.join("namenode")], &found)?, found.datanodes()))
    }

    #[test]
    fn an_empty_folder_and_none() {
        let root = tempfile::tempdir().unwrap();
        assert_eq!(formatted(root.path()).unwrap(), (false, 0));
        assert_eq!(formatted(&root.path().join("no")).unwrap(), (false, 0));
        assert!(!root.path().join("no").exists());
    }

    #[test]
    fn a_cluster_that_belongs_together() {
        let root = tempfile::tempdir().unwrap();
        put(root.path(), "namenode", "CID-1", -67);
        for unit in ["datanode-0", "datanode-10", "datanode-2"] {
            put(root.path(), unit, "CID-1", -57);
        }
        assert_eq!(formatted(root.path()).unwrap(), (true, 3));
        let elsewhere = [root.path().join("nowhere")];
        assert!(is_formatted(&elsewhere, &examine(root.path()).unwrap()).is_err());
    }

    #[test]
    fn the_mark_of_an_unfinished_format() {
        let root = tempfile::tempdir().unwrap();
        create(root.path()).unwrap();
        let names = [root.path().join("namenode")];
        let mark = FormatMark::new(root.path(), &names);
        assert!(!mark.stands(&names));
        assert!(mark.set(&names).unwrap());
        assert!(FormatMark::new(root.path(), &names).stands(&names));
        fs::create_dir_all(names[0].join("current")).unwrap();
        assert!(mark.stands(&names));
        fs::write(names[0].join("current/edits_inprogress_1"), "").unwrap();
        assert!(!mark.stands(&names), "a namenode has served");
        let elsewhere = ["/elsewhere".into()];
        assert!(!FormatMark::new(root.path(), &elsewhere).stands(&elsewhere));
        mark.clear().unwrap();
        mark.clear().unwrap();
        assert!(!mark.stands(&names));
    }

    #[test]
    fn no_mark_on_folders_that_hold_something() {
        let root = tempfile::tempdir().unwrap();
        create(root.path()).unwrap();
        let names = [root.path().join("namenode")];
        fs::create_dir_all(names[0].join("current")).unwrap();
        let mark = FormatMark::new(root.path(), &names);
        assert!(!mark.set(&names).unwrap());
        assert!(!mark.stands(&names));
    }

    #[test]
    fn what_must_not_be_touched() {
        let root = tempfile::tempdir().unwrap();
        let refused = || formatted(root.path()).unwrap_err();
        put(root.path(), "datanode-0", "CID-1", -57);
        assert!(refused().contains("is not formatted"));
        put(root.path(), "namenode", "CID-2", -67);
        assert!(refused().contains("belongs to cluster CID-1"));
        put(root.path(), "datanode-0", "CID-2", -58);
        assert!(refused().contains("layoutVersion -58 is newer than -57"));
        put(root.path(), "datanode-0", "CID-2", -57);
        put(root.path(), "namenode", "CID-2", -68);
        assert!(refused().contains("layoutVersion -68 is newer than -67"));
    }
}
