//! Commands that move bytes: `-put`, `-get`, `-cat`, `-tail`, and their other names.
//!
//! A file is written under its name plus `._COPYING_` and renamed when it is whole, here and there,
//! so that nobody ever reads half a file under its own name.

use std::fs;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt as _;
use hdfs_native::WriteOptions;
use tokio::sync::mpsc;

use super::change::umask;
use super::format::Options;
use super::path::{self, Item};
use super::progress::Progress;
use super::shell::{
    self, Abort, EXISTS, FileSystem, IS_DIRECTORY, NOT_DIRECTORY, NOT_FOUND, Problem, Shell,
    children,
};

/// Bytes read from a local file at once: large enough that the pipeline never waits for the disk's
/// latency, small enough that a few of them are no memory.
const CHUNK: usize = 1 << 20;

/// Chunks read ahead of the network.
const CHUNKS_AHEAD: usize = 4;

/// What `-tail` shows.
const TAIL_BYTES: usize = 1024;

/// What a file is called while it is being written.
const TEMPORARY: &str = "._COPYING_";

/// The last argument of a command that has a destination: it must be a folder for several
/// sources, and must not exist, or be overwritten, or be a folder, for one.
pub(super) async fn destination(
    shell: &mut Shell<'_>,
    text: &str,
    several: bool,
    overwrite: bool,
) -> Result<(FileSystem, Item), Abort> {
    let (system, item) = if path::is_glob(text) {
        let (system, mut items) = shell.expand(text).await?;
        if items.len() > 1 {
            return Err(Problem::path(text, "Too many matches").into());
        }
        (system, items.remove(0))
    } else {
        shell.item(text).await?
    };
    match &item.status {
        None if several => return Err(Problem::path(text, NOT_FOUND).into()),
        Some(status) if several && !status.isdir => {
            return Err(Problem::path(text, NOT_DIRECTORY).into());
        }
        Some(status) if !status.isdir && !overwrite => {
            return Err(Problem::path(text, EXISTS).into());
        }
        Some(_) => {}
        None => {
            if shell::stat(&system, path::parent(&item.path)).await?.is_none() {
                let whole = format!("{}{}", system.uri, item.path);
                return Err(Problem::no_parent(text, whole).into());
            }
        }
    }
    Ok((system, item))
}

/// Where a source of that name goes: into the destination if it is (or looks like) a folder.
pub(super) fn target(destination: &Item, name: &str) -> Item {
    let looks_like_folder = destination.shown.ends_with('/') && destination.status.is_none();
    if destination.is_directory() || looks_like_folder {
        return destination.child(name, None);
    }
    destination.clone()
}

struct Put {
    overwrite: bool,
    direct: bool,
    preserve: bool,
    delete_source: bool,
}

pub(super) async fn put(shell: &mut Shell<'_>, words: Vec<String>) -> Result<(), Abort> {
    put_with(shell, words, false).await
}

pub(super) async fn move_from_local(
    shell: &mut Shell<'_>,
    words: Vec<String>,
) -> Result<(), Abort> {
    put_with(shell, words, true).await
}

async fn put_with(
    shell: &mut Shell<'_>,
    mut words: Vec<String>,
    delete_source: bool,
) -> Result<(), Abort> {
    let options = Options::take(&mut words, &["f", "p", "l", "d"], &["t", "q"], 1, usize::MAX)?;
    let last = if words.len() < 2 { ".".to_owned() } else { words.pop().unwrap_or_default() };
    let put = Put {
        overwrite: options.has("f"),
        direct: options.has("d"),
        preserve: options.has("p"),
        delete_source,
    };
    let (system, destination) = destination(shell, &last, words.len() > 1, put.overwrite).await?;
    if words == ["-"] {
        let target = target(&destination, "-");
        let result = put.stream(shell, &system, &target, std::io::stdin(), None).await;
        return Ok(shell.settle(result)?);
    }
    for word in &words {
        let source = Local::new(word);
        let result = match source.metadata() {
            Ok(_) => put.tree(shell, &system, &source, &destination).await,
            Err(problem) => Err(problem),
        };
        shell.settle(result)?;
    }
    Ok(())
}

/// A path of this host.
#[derive(Debug, Clone)]
struct Local {
    shown: String,
    path: PathBuf,
}

impl Local {
    fn new(text: &str) -> Self {
        let plain = text.strip_prefix("file://").or_else(|| text.strip_prefix("file:"));
        Self { shown: text.to_owned(), path: PathBuf::from(plain.unwrap_or(text)) }
    }

    fn metadata(&self) -> Result<fs::Metadata, Problem> {
        fs::metadata(&self.path).map_err(|error| self.problem(&error))
    }

    fn name(&self) -> String {
        // `.` and `..` have names too.
        let whole = fs::canonicalize(&self.path).unwrap_or_else(|_| self.path.clone());
        let named = if self.path.file_name().is_some() { &self.path } else { &whole };
        named.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned())
    }

    fn child(&self, name: &str) -> Self {
        let separator = if self.shown.ends_with('/') { "" } else { "/" };
        Self { shown: format!("{}{separator}{name}", self.shown), path: self.path.join(name) }
    }

    fn problem(&self, error: &std::io::Error) -> Problem {
        match error.kind() {
            std::io::ErrorKind::NotFound => Problem::path(&self.shown, NOT_FOUND),
            std::io::ErrorKind::NotADirectory => Problem::path(&self.shown, NOT_DIRECTORY),
            _ => Problem::Text(format!("{}: {error}", self.shown)),
        }
    }

    /// The names in this folder, sorted.
    fn names(&self) -> Result<Vec<String>, Problem> {
        let entries = fs::read_dir(&self.path).map_err(|error| self.problem(&error))?;
        let mut names = Vec::new();
        for entry in entries {
            let entry = entry.map_err(|error| self.problem(&error))?;
            names.push(entry.file_name().into_string().map_err(|name| {
                Problem::Text(format!("{}: the name {name:?} is not UTF-8", self.shown))
            })?);
        }
        names.sort();
        Ok(names)
    }
}

impl Put {
    /// A file, or a folder with all it holds.
    async fn tree(
        &self,
        shell: &mut Shell<'_>,
        system: &FileSystem,
        source: &Local,
        destination: &Item,
    ) -> Result<(), Problem> {
        let mut left = vec![(source.clone(), target(destination, &source.name()))];
        let mut folders = Vec::new();
        let problems = shell.problems;
        while let Some((source, mut target)) = left.pop() {
            if target.status.is_none() {
                target.status = shell::stat(system, &target.path).await?;
            }
            let metadata = source.metadata()?;
            if !metadata.is_dir() {
                let result = self.file(shell, system, &source, &metadata, &target).await;
                shell.settle(result)?;
                continue;
            }
            match &target.status {
                Some(status) if !status.isdir => {
                    return Err(Problem::path(&target.shown, NOT_DIRECTORY));
                }
                Some(_) => {}
                None => system.client.mkdirs(&target.path, 0o777 & !umask(shell), true).await?,
            }
            folders.push(source.clone());
            let names = source.names()?;
            left.extend(
                names.iter().rev().map(|name| (source.child(name), target.child(name, None))),
            );
        }
        if self.delete_source && shell.problems == problems {
            for folder in folders.iter().rev() {
                fs::remove_dir(&folder.path).map_err(|error| folder.problem(&error))?;
            }
        }
        Ok(())
    }

    async fn file(
        &self,
        shell: &mut Shell<'_>,
        system: &FileSystem,
        source: &Local,
        metadata: &fs::Metadata,
        target: &Item,
    ) -> Result<(), Problem> {
        let file = fs::File::open(&source.path).map_err(|error| source.problem(&error))?;
        self.stream(shell, system, target, file, Some(metadata.len())).await?;
        if self.preserve {
            preserve_remote(system, metadata, &target.path).await?;
        }
        if self.delete_source {
            fs::remove_file(&source.path).map_err(|error| source.problem(&error))?;
        }
        Ok(())
    }

    async fn stream(
        &self,
        shell: &mut Shell<'_>,
        system: &FileSystem,
        target: &Item,
        source: impl Read + Send + 'static,
        length: Option<u64>,
    ) -> Result<(), Problem> {
        let exists = match &target.status {
            Some(status) => Some(status.clone()),
            None => shell::stat(system, &target.path).await?,
        };
        if exists.is_some_and(|status| status.isdir || !self.overwrite) {
            return Err(Problem::path(&target.shown, EXISTS));
        }
        let suffix = if self.direct { "" } else { TEMPORARY };
        let written = format!("{}{suffix}", target.path);
        let options = WriteOptions::default()
            .overwrite(self.overwrite || !self.direct)
            .permission(0o666 & !umask(shell));
        let progress = Progress::new(&target.shown, length);
        let result = send(system, &written, options, source, &progress).await;
        if let Err(problem) = result {
            // Best effort: the first problem is the one to tell.
            let _ = system.client.delete(&written, false).await;
            return Err(problem);
        }
        if !self.direct {
            system.client.rename(&written, &target.path, self.overwrite).await?;
        }
        Ok(())
    }
}

/// Reads on a thread of its own, so that the disk and the network work at the same time.
async fn send(
    system: &FileSystem,
    path: &str,
    options: WriteOptions,
    mut source: impl Read + Send + 'static,
    progress: &Progress,
) -> Result<(), Problem> {
    let mut writer = system.client.create(path, options).await?;
    let (sender, mut chunks) = mpsc::channel::<std::io::Result<Bytes>>(CHUNKS_AHEAD);
    std::thread::spawn(move || {
        loop {
            let chunk = read_chunk(&mut source);
            let last = !matches!(&chunk, Ok(bytes) if !bytes.is_empty());
            // A closed channel means that the writer failed; its error is told there.
            if sender.blocking_send(chunk).is_err() || last {
                return;
            }
        }
    });
    while let Some(chunk) = chunks.recv().await {
        let chunk = chunk.map_err(|error| Problem::Text(format!("reading: {error}")))?;
        if chunk.is_empty() {
            break;
        }
        progress.add(chunk.len());
        writer.write_bytes(chunk).await?;
    }
    Ok(writer.close().await?)
}

/// The next bytes; none at the end.
fn read_chunk(source: &mut impl Read) -> std::io::Result<Bytes> {
    let mut chunk = Vec::with_capacity(CHUNK);
    Read::by_ref(source).take(CHUNK as u64).read_to_end(&mut chunk)?;
    Ok(chunk.into())
}

async fn preserve_remote(
    system: &FileSystem,
    metadata: &fs::Metadata,
    path: &str,
) -> Result<(), Problem> {
    use std::os::unix::fs::MetadataExt as _;
    let millis =
        |seconds: i64, nanos: i64| u64::try_from(seconds * 1000 + nanos / 1_000_000).unwrap_or(0);
    let modified = millis(metadata.mtime(), metadata.mtime_nsec());
    let accessed = millis(metadata.atime(), metadata.atime_nsec());
    system.client.set_times(path, modified, accessed).await?;
    let user = nix::unistd::User::from_uid(metadata.uid().into()).ok().flatten();
    let group = nix::unistd::Group::from_gid(metadata.gid().into()).ok().flatten();
    let (user, group) = (user.map(|user| user.name), group.map(|group| group.name));
    system.client.set_owner(path, user.as_deref(), group.as_deref()).await?;
    Ok(system.client.set_permission(path, metadata.mode() & 0o777).await?)
}

pub(super) async fn get(shell: &mut Shell<'_>, mut words: Vec<String>) -> Result<(), Abort> {
    let flags = ["f", "p", "crc", "ignoreCrc"];
    let options = Options::take(&mut words, &flags, &["t", "q"], 1, usize::MAX)?;
    let last = if words.len() < 2 { ".".to_owned() } else { words.pop().unwrap_or_default() };
    let (overwrite, preserve) = (options.has("f"), options.has("p"));
    if last == "-" {
        return cat_all(shell, &words).await;
    }
    let destination = Local::new(&last);
    let present = fs::metadata(&destination.path).ok();
    let is_folder = present.as_ref().is_some_and(fs::Metadata::is_dir);
    match &present {
        None if words.len() > 1 => return Err(Problem::path(last, NOT_FOUND).into()),
        Some(_) if words.len() > 1 && !is_folder => {
            return Err(Problem::path(last, NOT_DIRECTORY).into());
        }
        Some(_) if !is_folder && !overwrite => return Err(Problem::path(last, EXISTS).into()),
        None if !parent_exists(&destination.path) => {
            let whole = std::path::absolute(&destination.path).unwrap_or_default();
            let whole = format!("file:{}", whole.display());
            return Err(Problem::no_parent(last, whole).into());
        }
        _ => {}
    }
    let into = is_folder || last.ends_with('/');
    for (system, item) in shell.existing(&words).await? {
        let target = if into { destination.child(item.name()) } else { destination.clone() };
        let result = fetch_tree(shell, &system, item, target, overwrite, preserve).await;
        shell.settle(result)?;
    }
    Ok(())
}

fn parent_exists(path: &Path) -> bool {
    match path.parent() {
        Some(parent) if parent.as_os_str().is_empty() => true,
        Some(parent) => parent.is_dir(),
        None => true,
    }
}

async fn fetch_tree(
    shell: &mut Shell<'_>,
    system: &FileSystem,
    item: Item,
    target: Local,
    overwrite: bool,
    preserve: bool,
) -> Result<(), Problem> {
    let mut left = vec![(item, target)];
    while let Some((item, target)) = left.pop() {
        if !item.is_directory() {
            let result = fetch(system, &item, &target, overwrite, preserve).await;
            shell.settle(result)?;
            continue;
        }
        match fs::metadata(&target.path) {
            Ok(metadata) if !metadata.is_dir() => {
                return Err(Problem::path(&target.shown, NOT_DIRECTORY));
            }
            Ok(_) => {}
            Err(_) => fs::create_dir(&target.path).map_err(|error| target.problem(&error))?,
        }
        let items = children(system, &item).await?;
        left.extend(items.into_iter().rev().map(|item| {
            let target = target.child(item.name());
            (item, target)
        }));
    }
    Ok(())
}

async fn fetch(
    system: &FileSystem,
    item: &Item,
    target: &Local,
    overwrite: bool,
    preserve: bool,
) -> Result<(), Problem> {
    if fs::metadata(&target.path).is_ok_and(|metadata| metadata.is_dir() || !overwrite) {
        return Err(Problem::path(&target.shown, EXISTS));
    }
    let failed = |error: std::io::Error| target.problem(&error);
    let mut temporary = target.path.clone().into_os_string();
    temporary.push(TEMPORARY);
    let temporary = PathBuf::from(temporary);
    let mut file = fs::File::create(&temporary).map_err(failed)?;
    let result = receive(system, item, &mut file, &target.shown).await.and_then(|()| {
        if preserve {
            preserve_local(&file, item).map_err(failed)?;
        }
        // A plain file of the user's; whether it reaches the disk is the system's business.
        nix::fcntl::renameat(nix::fcntl::AT_FDCWD, &temporary, nix::fcntl::AT_FDCWD, &target.path)
            .map_err(|errno| failed(errno.into()))
    });
    if result.is_err() {
        let _ = fs::remove_file(&temporary);
    }
    result
}

fn preserve_local(file: &fs::File, item: &Item) -> std::io::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    let Some(status) = &item.status else { return Ok(()) };
    let time = |millis| std::time::UNIX_EPOCH + Duration::from_millis(millis);
    let times = fs::FileTimes::new()
        .set_modified(time(status.modification_time))
        .set_accessed(time(status.access_time));
    file.set_times(times)?;
    file.set_permissions(fs::Permissions::from_mode(u32::from(status.permission)))
}

/// A file's bytes into a writer.
async fn receive(
    system: &FileSystem,
    item: &Item,
    out: &mut impl Write,
    shown: &str,
) -> Result<(), Problem> {
    let reader = system.client.read(&item.path).await?;
    let length = reader.file_length();
    let progress = Progress::new(shown, Some(length as u64));
    let mut stream = reader.read_range_stream(0, length).boxed();
    while let Some(bytes) = stream.next().await {
        let bytes = bytes?;
        out.write_all(&bytes)?;
        progress.add(bytes.len());
    }
    Ok(())
}

pub(super) async fn cat(shell: &mut Shell<'_>, mut words: Vec<String>) -> Result<(), Abort> {
    Options::take(&mut words, &["ignoreCrc"], &[], 1, usize::MAX)?;
    cat_all(shell, &words).await
}

async fn cat_all(shell: &mut Shell<'_>, words: &[String]) -> Result<(), Abort> {
    for (system, item) in shell.existing(words).await? {
        let result = print_file(shell, &system, &item).await;
        shell.settle(result)?;
    }
    Ok(())
}

async fn print_file(
    shell: &mut Shell<'_>,
    system: &FileSystem,
    item: &Item,
) -> Result<(), Problem> {
    if item.is_directory() {
        return Err(Problem::path(&item.shown, IS_DIRECTORY));
    }
    let reader = system.client.read(&item.path).await?;
    let mut stream = reader.read_range_stream(0, reader.file_length()).boxed();
    while let Some(bytes) = stream.next().await {
        shell.out().write_all(&bytes?)?;
    }
    shell.flush()
}

pub(super) async fn tail(shell: &mut Shell<'_>, mut words: Vec<String>) -> Result<(), Abort> {
    let options = Options::take(&mut words, &["f"], &["s"], 1, 1)?;
    let pause = options.value("s").and_then(|text| text.parse().ok()).unwrap_or(5000);
    let Some((system, item)) = shell.existing(&words).await?.into_iter().next() else {
        return Ok(());
    };
    if item.is_directory() {
        return Err(Problem::path(&item.shown, IS_DIRECTORY).into());
    }
    let mut from: Option<usize> = None;
    loop {
        let reader = system.client.read(&item.path).await?;
        let length = reader.file_length();
        let start = from.unwrap_or(length.saturating_sub(TAIL_BYTES));
        if start < length {
            let mut stream = reader.read_range_stream(start, length - start).boxed();
            while let Some(bytes) = stream.next().await {
                shell.out().write_all(&bytes?)?;
            }
            shell.flush()?;
        }
        if !options.has("f") {
            return Ok(());
        }
        // A file that got shorter was written anew.
        from = Some(length.min(start.max(length)));
        tokio::time::sleep(Duration::from_millis(pause)).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn local_paths() {
        assert_eq!(Local::new("file:///a/b").path, Path::new("/a/b"));
        assert_eq!(Local::new("file:/a/b").path, Path::new("/a/b"));
        assert_eq!(Local::new("a/b").name(), "b");
        assert_eq!(Local::new("/").name(), "");
        assert_eq!(Local::new("d/").child("x").shown, "d/x");
    }

    #[test]
    fn chunks_end_with_an_empty_one() {
        let mut source = std::io::Cursor::new(vec![7; CHUNK + 1]);
        assert_eq!(read_chunk(&mut source).unwrap().len(), CHUNK);
        assert_eq!(read_chunk(&mut source).unwrap().len(), 1);
        assert!(read_chunk(&mut source).unwrap().is_empty());
    }

    #[test]
    fn targets() {
        let item = |shown: &str| Item {
            shown: shown.to_owned(),
            path: path::absolute("/user/me", shown),
            status: None,
        };
        assert_eq!(target(&item("/d/"), "x").path, "/d/x");
        assert_eq!(target(&item("/d"), "x").path, "/d");
    }
}
