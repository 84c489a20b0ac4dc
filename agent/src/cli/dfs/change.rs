//! Commands that change names and attributes: `-mkdir`, `-touchz`, `-rm`, `-rmdir`, `-mv`,
//! `-chmod`, `-chown`, `-chgrp`, `-setrep`.

use std::io::Write as _;
use std::time::Duration;

use hdfs_native::{HdfsError, WriteOptions};
use hdfs_wire::proto::hdfs::{GetBlockLocationsRequestProto, GetBlockLocationsResponseProto};

use super::copy::{destination, target};
use super::format::{Misuse, Options};
use super::mode::{self, Mode};
use super::path::{self, Item};
use super::shell::{
    self, Abort, EXISTS, FileSystem, INPUT_OUTPUT, IS_DIRECTORY, NOT_DIRECTORY, Problem, Shell,
    children,
};

/// Between two looks of `-setrep -w`. Replication work takes seconds.
const WAIT: Duration = Duration::from_secs(1);

/// The client's umask.
pub(super) fn umask(shell: &Shell<'_>) -> u32 {
    let text = shell.settings.value("fs.permissions.umask-mode").unwrap_or_default();
    u32::from_str_radix(text.trim(), 8).map_or(0o022, |mask| mask & 0o777)
}

pub(super) async fn mkdir(shell: &mut Shell<'_>, mut words: Vec<String>) -> Result<(), Abort> {
    let options = Options::take(&mut words, &["p"], &[], 1, usize::MAX)?;
    let parents = options.has("p");
    for (system, item) in shell.expand_all(&words).await? {
        let result = make_folder(shell, &system, &item, parents).await;
        shell.settle(result)?;
    }
    Ok(())
}

async fn make_folder(
    shell: &Shell<'_>,
    system: &FileSystem,
    item: &Item,
    parents: bool,
) -> Result<(), Problem> {
    match &item.status {
        Some(status) if !status.isdir => return Err(Problem::path(&item.shown, NOT_DIRECTORY)),
        Some(_) if parents => return Ok(()),
        Some(_) => return Err(Problem::path(&item.shown, EXISTS)),
        None => {}
    }
    let parent = path::parent(&item.path);
    if !parents && shell::stat(system, parent).await?.is_none() {
        // Hadoop shows this one path in full.
        return Err(Problem::path(format!("{}{parent}", system.uri), shell::NOT_FOUND));
    }
    Ok(system.client.mkdirs(&item.path, 0o777 & !umask(shell), true).await?)
}

pub(super) async fn touchz(shell: &mut Shell<'_>, mut words: Vec<String>) -> Result<(), Abort> {
    Options::take(&mut words, &[], &[], 1, usize::MAX)?;
    for (system, item) in shell.expand_all(&words).await? {
        let result = touch(shell, &system, &item).await;
        shell.settle(result)?;
    }
    Ok(())
}

async fn touch(shell: &Shell<'_>, system: &FileSystem, item: &Item) -> Result<(), Problem> {
    match &item.status {
        Some(status) if status.isdir => return Err(Problem::path(&item.shown, IS_DIRECTORY)),
        Some(status) if status.length > 0 => {
            return Err(Problem::path(&item.shown, "Not a zero-length file"));
        }
        Some(_) => {}
        None => {
            if shell::stat(system, path::parent(&item.path)).await?.is_none() {
                let whole = format!("{}{}", system.uri, item.path);
                return Err(Problem::no_parent(&item.shown, whole));
            }
        }
    }
    let options = WriteOptions::default().overwrite(true).permission(0o666 & !umask(shell));
    let mut writer = system.client.create(&item.path, options).await?;
    Ok(writer.close().await?)
}

pub(super) async fn rm(shell: &mut Shell<'_>, mut words: Vec<String>) -> Result<(), Abort> {
    let options = Options::take(&mut words, &["f", "r", "R", "skipTrash"], &[], 1, usize::MAX)?;
    let force = options.has("f");
    let recursive = options.has("r") || options.has("R");
    for argument in &words {
        let (system, items) = match shell.expand(argument).await {
            Ok(found) => found,
            Err(Problem::Path { .. }) if force => continue,
            Err(problem) => {
                shell.settle(Err(problem))?;
                continue;
            }
        };
        for item in items {
            let result = match &item.status {
                None if force => Ok(()),
                None => Err(Problem::path(&item.shown, shell::NOT_FOUND)),
                Some(_) => remove(shell, &system, &item, recursive, options.has("skipTrash")).await,
            };
            shell.settle(result)?;
        }
    }
    Ok(())
}

async fn remove(
    shell: &mut Shell<'_>,
    system: &FileSystem,
    item: &Item,
    recursive: bool,
    skip_trash: bool,
) -> Result<(), Problem> {
    if item.is_directory() && !recursive {
        return Err(Problem::path(&item.shown, IS_DIRECTORY));
    }
    if !skip_trash && item.path != "/" {
        match system.client.trash(&item.path).await {
            Ok(Some(place)) => {
                let uri = &system.uri;
                eprintln!("Moved: '{uri}{}' to trash at: {uri}{place}", item.path);
                return Ok(());
            }
            Ok(None) | Err(HdfsError::TrashNotEnabled) => {}
            Err(error) => {
                let problem = Problem::from(error);
                return Err(Problem::Text(format!("{problem}. Consider using -skipTrash option")));
            }
        }
    }
    if !system.client.delete(&item.path, recursive).await? {
        return Err(Problem::path(&item.shown, INPUT_OUTPUT));
    }
    shell.print(format_args!("Deleted {}", item.shown))
}

pub(super) async fn rmdir(shell: &mut Shell<'_>, mut words: Vec<String>) -> Result<(), Abort> {
    let lenient = "-ignore-fail-on-non-empty";
    let options = Options::take(&mut words, &[lenient], &[], 1, usize::MAX)?;
    for (system, item) in shell.existing(&words).await? {
        let result = remove_folder(&system, &item, options.has(lenient)).await;
        shell.settle(result)?;
    }
    Ok(())
}

async fn remove_folder(system: &FileSystem, item: &Item, lenient: bool) -> Result<(), Problem> {
    if !item.is_directory() {
        return Err(Problem::path(&item.shown, NOT_DIRECTORY));
    }
    if !children(system, item).await?.is_empty() {
        if lenient {
            return Ok(());
        }
        return Err(Problem::path(&item.shown, "Directory is not empty"));
    }
    if system.client.delete(&item.path, false).await? {
        return Ok(());
    }
    Err(Problem::path(&item.shown, INPUT_OUTPUT))
}

pub(super) async fn mv(shell: &mut Shell<'_>, mut words: Vec<String>) -> Result<(), Abort> {
    Options::take(&mut words, &[], &[], 2, usize::MAX)?;
    let last = words.pop().unwrap_or_default();
    let (to, destination) = destination(shell, &last, words.len() > 1, false).await?;
    for (system, item) in shell.existing(&words).await? {
        let result = rename(&system, &item, &to, &destination).await;
        shell.settle(result)?;
    }
    Ok(())
}

async fn rename(
    system: &FileSystem,
    item: &Item,
    to: &FileSystem,
    destination: &Item,
) -> Result<(), Problem> {
    if system.uri != to.uri {
        return Err(Problem::path(&item.shown, "Does not match target filesystem"));
    }
    let target = target(destination, item.name());
    let told = |text| Problem::Path {
        shown: item.shown.clone(),
        target: Some(target.shown.clone()),
        text,
        whole: None,
    };
    if item.is_directory() && target.path == item.path {
        return Err(told("are identical"));
    }
    if item.is_directory() && target.path.starts_with(&format!("{}/", item.path)) {
        return Err(told("is a subdirectory of itself"));
    }
    if shell::stat(to, &target.path).await?.is_some() {
        return Err(Problem::path(&target.shown, EXISTS));
    }
    Ok(system.client.rename(&item.path, &target.path, false).await?)
}

/// The item and, with `-R`, everything below it, folders before what they hold.
async fn walk(
    shell: &mut Shell<'_>,
    system: &FileSystem,
    item: Item,
    recursive: bool,
) -> Result<Vec<Item>, Problem> {
    let mut found = Vec::new();
    let mut left = vec![item];
    while let Some(item) = left.pop() {
        if recursive && item.is_directory() {
            match children(system, &item).await {
                Ok(items) => left.extend(items.into_iter().rev()),
                Err(problem) => shell.settle(Err(problem))?,
            }
        }
        found.push(item);
    }
    Ok(found)
}

pub(super) async fn chmod(shell: &mut Shell<'_>, mut words: Vec<String>) -> Result<(), Abort> {
    // A mode may look like an option (`-x`), so the only option is taken by hand.
    let recursive = words.first().is_some_and(|word| word == "-R");
    if recursive {
        words.remove(0);
    }
    enough(&words)?;
    let mode = Mode::parse(&words.remove(0))?;
    for (system, item) in shell.existing(&words).await? {
        for item in walk(shell, &system, item, recursive).await? {
            let Some(status) = &item.status else { continue };
            let bits = mode.apply(status.permission, status.isdir);
            if bits == status.permission {
                continue;
            }
            let result = system.client.set_permission(&item.path, bits.into()).await;
            let result = result.map_err(|error| {
                let problem = Problem::from(error);
                Problem::Text(format!("changing permissions of '{}': {problem}", item.shown))
            });
            shell.settle(result)?;
        }
    }
    Ok(())
}

fn enough(words: &[String]) -> Result<(), Misuse> {
    match words.len() {
        count @ 0..2 => Err(Misuse(format!("Not enough arguments: expected 2 but got {count}"))),
        _ => Ok(()),
    }
}

pub(super) async fn chown(shell: &mut Shell<'_>, mut words: Vec<String>) -> Result<(), Abort> {
    let options = Options::take(&mut words, &["R"], &[], 2, usize::MAX)?;
    let (owner, group) = mode::owner(&words.remove(0))?;
    change_owner(shell, &words, options.has("R"), owner.as_deref(), group.as_deref()).await
}

pub(super) async fn chgrp(shell: &mut Shell<'_>, mut words: Vec<String>) -> Result<(), Abort> {
    let options = Options::take(&mut words, &["R"], &[], 2, usize::MAX)?;
    let group = mode::group(&words.remove(0))?;
    change_owner(shell, &words, options.has("R"), None, Some(&group)).await
}

async fn change_owner(
    shell: &mut Shell<'_>,
    words: &[String],
    recursive: bool,
    owner: Option<&str>,
    group: Option<&str>,
) -> Result<(), Abort> {
    for (system, item) in shell.existing(words).await? {
        for item in walk(shell, &system, item, recursive).await? {
            let Some(status) = &item.status else { continue };
            let owner = owner.filter(|owner| *owner != status.owner);
            let group = group.filter(|group| *group != status.group);
            if owner.is_none() && group.is_none() {
                continue;
            }
            let result = system.client.set_owner(&item.path, owner, group).await;
            let result = result.map_err(|error| {
                let problem = Problem::from(error);
                Problem::Text(format!("changing ownership of '{}': {problem}", item.shown))
            });
            shell.settle(result)?;
        }
    }
    Ok(())
}

pub(super) async fn setrep(shell: &mut Shell<'_>, mut words: Vec<String>) -> Result<(), Abort> {
    let options = Options::take(&mut words, &["R", "w"], &[], 2, usize::MAX)?;
    let text = words.remove(0);
    let Ok(replicas) = text.parse::<i64>() else {
        shell.complain(&Problem::Text("Illegal replication, a positive integer expected".into()));
        return Err(Misuse(format!("For input string: \"{text}\"")).into());
    };
    let Some(replicas) = u32::try_from(replicas).ok().filter(|replicas| *replicas > 0) else {
        return Err(Misuse("replication must be >= 1".to_owned()).into());
    };
    let mut changed = Vec::new();
    for (system, item) in shell.existing(&words).await? {
        // A folder stands for its files, with or without -R.
        for item in walk(shell, &system, item, true).await? {
            if item.is_directory() {
                continue;
            }
            match system.client.set_replication(&item.path, replicas).await {
                Ok(true) => {
                    shell.print(format_args!("Replication {replicas} set: {}", item.shown))?;
                    changed.push((system.clone(), item));
                }
                Ok(false) => {
                    let text = format!("Could not set replication for: {}", item.shown);
                    shell.settle(Err(Problem::Text(text)))?;
                }
                Err(error) => shell.settle(Err(error.into()))?,
            }
        }
    }
    if options.has("w") {
        for (system, item) in changed {
            let result = wait_for_replicas(shell, &system, &item, replicas).await;
            shell.settle(result)?;
        }
    }
    Ok(())
}

async fn wait_for_replicas(
    shell: &mut Shell<'_>,
    system: &FileSystem,
    item: &Item,
    replicas: u32,
) -> Result<(), Problem> {
    write!(shell.out(), "Waiting for {} ...", item.shown)?;
    shell.flush()?;
    let length = item.status.as_ref().map_or(0, |status| status.length as u64);
    let request = GetBlockLocationsRequestProto { src: item.path.clone(), offset: 0, length };
    loop {
        let answer: GetBlockLocationsResponseProto =
            system.rpc.call("getBlockLocations", &request).await?;
        let blocks = answer.locations.map(|locations| locations.blocks).unwrap_or_default();
        if blocks.iter().all(|block| block.locs.len() == replicas as usize) {
            break;
        }
        write!(shell.out(), ".")?;
        shell.flush()?;
        tokio::time::sleep(WAIT).await;
    }
    shell.print(format_args!(" done"))
}
