//! What the commands share: the file system, the walk over arguments, and errors in Hadoop's words.

use std::collections::HashMap;
use std::io::Write;

use hdfs_edge::rpc;
use hdfs_native::HdfsError;
use hdfs_native::client::FileStatus;

use super::format::Misuse;
use super::path::{self, Item, Written};
use crate::cli::client::{Settings, first_line};

/// Why one path could not be worked on. The command goes on with the next.
#[derive(Debug)]
pub(super) enum Problem {
    /// `` `PATH': TEXT ``, with the whole path behind it where Hadoop adds it.
    Path { shown: String, target: Option<String>, text: &'static str, whole: Option<String> },
    /// A sentence of its own.
    Text(String),
    /// The reader of our output is gone: end quietly.
    Closed,
}

pub(super) const NOT_FOUND: &str = "No such file or directory";
pub(super) const IS_DIRECTORY: &str = "Is a directory";
pub(super) const NOT_DIRECTORY: &str = "Is not a directory";
pub(super) const EXISTS: &str = "File exists";
pub(super) const INPUT_OUTPUT: &str = "Input/output error";

impl Problem {
    pub(super) fn path(shown: impl Into<String>, text: &'static str) -> Self {
        Self::Path { shown: shown.into(), target: None, text, whole: None }
    }

    /// Nothing at a destination's parent; Hadoop adds the whole path.
    pub(super) fn no_parent(shown: impl Into<String>, whole: String) -> Self {
        Self::Path { shown: shown.into(), target: None, text: NOT_FOUND, whole: Some(whole) }
    }
}

impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Path { shown, target, text, whole } => {
                write!(f, "`{shown}'")?;
                if let Some(target) = target {
                    write!(f, " to `{target}'")?;
                }
                write!(f, ": {text}")?;
                match whole {
                    Some(whole) if whole != shown => write!(f, ": `{whole}'"),
                    _ => Ok(()),
                }
            }
            Self::Text(text) => f.write_str(text),
            Self::Closed => Ok(()),
        }
    }
}

impl From<HdfsError> for Problem {
    fn from(error: HdfsError) -> Self {
        Self::Text(match error {
            HdfsError::RPCError(_, message) | HdfsError::FatalRPCError(_, message) => {
                first_line(&message).to_owned()
            }
            HdfsError::FileNotFound(path) => format!("File does not exist: {path}"),
            other => first_line(&other.to_string()).to_owned(),
        })
    }
}

impl From<rpc::CallError> for Problem {
    fn from(error: rpc::CallError) -> Self {
        Self::Text(match error {
            rpc::CallError::Remote { message, .. } => first_line(&message).to_owned(),
            rpc::CallError::Io { ref source, .. } => format!("{error}: {source}"),
            rpc::CallError::Timeout { .. } => error.to_string(),
        })
    }
}

/// Of our own output.
impl From<std::io::Error> for Problem {
    fn from(error: std::io::Error) -> Self {
        match error.kind() {
            std::io::ErrorKind::BrokenPipe => Self::Closed,
            _ => Self::Text(error.to_string()),
        }
    }
}

/// Why a command ended before its arguments did.
#[derive(Debug)]
pub(super) enum Abort {
    /// Wrong words: usage, exit code 255.
    Misuse(Misuse),
    /// One message, exit code 1.
    Problem(Problem),
}

impl From<Misuse> for Abort {
    fn from(misuse: Misuse) -> Self {
        Self::Misuse(misuse)
    }
}

impl<P: Into<Problem>> From<P> for Abort {
    fn from(problem: P) -> Self {
        Self::Problem(problem.into())
    }
}

/// One file system.
#[derive(Clone)]
pub(super) struct FileSystem {
    pub(super) client: hdfs_native::Client,
    pub(super) rpc: rpc::Client,
    /// `hdfs://authority`.
    pub(super) uri: String,
}

/// The context of one command.
pub(super) struct Shell<'a> {
    /// The command's name without its dash.
    pub(super) name: &'static str,
    pub(super) settings: &'a Settings,
    /// The working directory.
    pub(super) home: String,
    /// Problems so far; the exit code is 1 if there were any.
    pub(super) problems: usize,
    default_fs: String,
    systems: HashMap<String, FileSystem>,
    out: std::io::BufWriter<std::io::Stdout>,
}

impl<'a> Shell<'a> {
    pub(super) fn new(name: &'static str, settings: &'a Settings) -> Result<Self, String> {
        let default_fs = settings.default_fs()?;
        let prefix = settings.value("dfs.user.home.dir.prefix");
        let prefix = prefix.unwrap_or_else(|| "/user".to_owned());
        let home = format!("{}/{}", prefix.trim_end_matches('/'), Settings::user());
        let out = std::io::BufWriter::with_capacity(64 * 1024, std::io::stdout());
        Ok(Self { name, settings, home, problems: 0, default_fs, systems: HashMap::new(), out })
    }

    /// Notes a problem and goes on.
    pub(super) fn complain(&mut self, problem: &Problem) {
        self.problems += 1;
        // What was printed before comes before.
        let _ = self.out.flush();
        if !matches!(problem, Problem::Closed) {
            eprintln!("{}: {problem}", self.name);
        }
    }

    /// Notes a path's problem, if there was one, and goes on; ends when nobody reads any more.
    pub(super) fn settle(&mut self, result: Result<(), Problem>) -> Result<(), Problem> {
        match result {
            Err(Problem::Closed) => Err(Problem::Closed),
            Err(problem) => {
                self.complain(&problem);
                Ok(())
            }
            Ok(()) => Ok(()),
        }
    }

    pub(super) fn print(&mut self, text: std::fmt::Arguments<'_>) -> Result<(), Problem> {
        self.out.write_fmt(text)?;
        Ok(self.out.write_all(b"\n")?)
    }

    /// The place for a file's bytes.
    pub(super) fn out(&mut self) -> &mut impl Write {
        &mut self.out
    }

    pub(super) fn flush(&mut self) -> Result<(), Problem> {
        Ok(self.out.flush()?)
    }

    /// The file system of a written path.
    pub(super) fn system(&mut self, written: &Written) -> Result<FileSystem, Problem> {
        let uri = match &written.authority {
            Some(authority) => format!("hdfs://{authority}"),
            None => self.default_fs.clone(),
        };
        if let Some(system) = self.systems.get(&uri) {
            return Ok(system.clone());
        }
        let client = self.settings.file_system(&uri).map_err(Problem::Text)?;
        let system = FileSystem { client, rpc: self.settings.rpc(&uri), uri: uri.clone() };
        self.systems.insert(uri, system.clone());
        Ok(system)
    }

    /// One path, there or not, without patterns.
    pub(super) async fn item(&mut self, text: &str) -> Result<(FileSystem, Item), Problem> {
        let written = path::split(text).map_err(Problem::Text)?;
        let system = self.system(&written)?;
        let path = path::absolute(&self.home, &written.rest);
        let status = stat(&system, &path).await?;
        Ok((system, Item { shown: text.to_owned(), path, status }))
    }

    /// What an argument stands for: every match of a pattern, or the one path, there or not.
    pub(super) async fn expand(&mut self, text: &str) -> Result<(FileSystem, Vec<Item>), Problem> {
        let written = path::split(text).map_err(Problem::Text)?;
        let system = self.system(&written)?;
        let pattern = path::absolute(&self.home, &written.rest);
        if !path::is_glob(&pattern) {
            let path = path::unescape(&pattern);
            let status = stat(&system, &path).await?;
            let shown = match &status {
                Some(_) => path::shown(&written, &self.home, &path),
                None => path::unescape(text),
            };
            return Ok((system, vec![Item { shown, path, status }]));
        }
        let found = system.client.glob_status(&pattern).await?;
        if found.is_empty() {
            return Err(Problem::path(text, NOT_FOUND));
        }
        let mut items: Vec<Item> = found
            .into_iter()
            .map(|status| Item {
                shown: path::shown(&written, &self.home, &status.path),
                path: status.path.clone(),
                status: Some(status),
            })
            .collect();
        items.sort_by(|a, b| a.shown.cmp(&b.shown));
        Ok((system, items))
    }

    /// Every item the arguments stand for. Arguments that match nothing are noted at once; paths
    /// that are not there are items without a status.
    pub(super) async fn expand_all(
        &mut self,
        arguments: &[String],
    ) -> Result<Vec<(FileSystem, Item)>, Problem> {
        let mut all = Vec::new();
        for argument in arguments {
            match self.expand(argument).await {
                Ok((system, items)) => {
                    all.extend(items.into_iter().map(|item| (system.clone(), item)));
                }
                Err(problem) => self.settle(Err(problem))?,
            }
        }
        Ok(all)
    }

    /// Like `expand_all`, but only what is there; the rest is noted.
    pub(super) async fn existing(
        &mut self,
        arguments: &[String],
    ) -> Result<Vec<(FileSystem, Item)>, Problem> {
        let mut present = Vec::new();
        for (system, item) in self.expand_all(arguments).await? {
            if item.status.is_some() {
                present.push((system, item));
            } else {
                self.complain(&Problem::path(item.shown, NOT_FOUND));
            }
        }
        Ok(present)
    }
}

/// What is at a path; `None` for nothing.
pub(super) async fn stat(system: &FileSystem, path: &str) -> Result<Option<FileStatus>, Problem> {
    match system.client.get_file_info(path).await {
        Ok(status) => Ok(Some(status)),
        Err(HdfsError::FileNotFound(_)) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// A folder's children, in the order of the server.
pub(super) async fn children(system: &FileSystem, item: &Item) -> Result<Vec<Item>, Problem> {
    let listing = system.client.list_status(&item.path, false).await?;
    let child = |status: FileStatus| {
        let name = status.path.rsplit('/').next().unwrap_or("").to_owned();
        item.child(&name, Some(status))
    };
    Ok(listing.into_iter().map(child).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_in_hadoops_words() {
        assert_eq!(Problem::path("/x", NOT_FOUND).to_string(), "`/x': No such file or directory");
        assert_eq!(
            Problem::no_parent("q/w", "hdfs://nn:1/user/me/q/w".into()).to_string(),
            "`q/w': No such file or directory: `hdfs://nn:1/user/me/q/w'"
        );
        assert_eq!(
            Problem::no_parent("hdfs://nn:1/q", "hdfs://nn:1/q".into()).to_string(),
            "`hdfs://nn:1/q': No such file or directory"
        );
        let denied = HdfsError::RPCError(
            "org.apache.hadoop.security.AccessControlException".into(),
            "Permission denied: user=me\n\tat java...".into(),
        );
        assert_eq!(Problem::from(denied).to_string(), "Permission denied: user=me");
    }
}
