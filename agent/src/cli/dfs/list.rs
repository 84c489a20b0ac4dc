//! Commands that look: `-ls`, `-du`, `-count`, `-stat`, `-test`.

use hdfs_native::client::{ContentSummary, FileStatus};
use hdfs_wire::proto::hdfs::{
    CheckAccessRequestProto, CheckAccessResponseProto, acl_entry_proto::FsActionProto,
};

use super::format::{self, Misuse, Options};
use super::path::Item;
use super::shell::{Abort, FileSystem, Problem, Shell, children};

/// Columns of a listing grow with what has been seen; they never shrink within one command.
struct Columns {
    replication: usize,
    owner: usize,
    group: usize,
    length: usize,
}

impl Default for Columns {
    fn default() -> Self {
        Self { replication: 3, owner: 0, group: 0, length: 10 }
    }
}

impl Columns {
    fn fit(&mut self, items: &[Item]) {
        for status in items.iter().filter_map(|item| item.status.as_ref()) {
            let digits = |number: usize| number.to_string().len();
            self.length = self.length.max(digits(status.length));
            self.replication = self.replication.max(digits(replication(status) as usize));
            self.owner = self.owner.max(status.owner.len());
            self.group = self.group.max(status.group.len());
        }
    }
}

fn replication(status: &FileStatus) -> u32 {
    status.replication.unwrap_or(0)
}

struct Listing {
    options: Options,
    columns: Columns,
}

pub(super) async fn ls(shell: &mut Shell<'_>, mut words: Vec<String>) -> Result<(), Abort> {
    let flags = ["C", "d", "h", "q", "R", "t", "S", "r", "u", "e"];
    let options = Options::take(&mut words, &flags, &[], 0, usize::MAX)?;
    if words.is_empty() {
        words.push(".".to_owned());
    }
    let mut listing = Listing { options, columns: Columns::default() };
    for (system, item) in shell.existing(&words).await? {
        let result = if item.is_directory() && !listing.options.has("d") {
            listing.folder(shell, &system, item).await
        } else {
            listing.columns.fit(std::slice::from_ref(&item));
            listing.line(shell, &item)
        };
        shell.settle(result)?;
    }
    Ok(())
}

impl Listing {
    /// A folder's children, and with `-R` theirs, each right behind its folder.
    async fn folder(
        &mut self,
        shell: &mut Shell<'_>,
        system: &FileSystem,
        item: Item,
    ) -> Result<(), Problem> {
        let recursive = self.options.has("R");
        // Folders to be opened, innermost last, each with what is left of it.
        let mut open = vec![self.read(shell, system, &item, recursive).await?];
        while let Some(rest) = open.last_mut() {
            let Some(item) = rest.next() else {
                open.pop();
                continue;
            };
            self.line(shell, &item)?;
            if recursive && item.is_directory() {
                match self.read(shell, system, &item, recursive).await {
                    Ok(items) => open.push(items),
                    Err(problem) => shell.settle(Err(problem))?,
                }
            }
        }
        Ok(())
    }

    async fn read(
        &mut self,
        shell: &mut Shell<'_>,
        system: &FileSystem,
        item: &Item,
        recursive: bool,
    ) -> Result<std::vec::IntoIter<Item>, Problem> {
        let mut items = children(system, item).await?;
        if !recursive && !items.is_empty() && !self.options.has("C") {
            shell.print(format_args!("Found {} items", items.len()))?;
        }
        if !recursive {
            self.sort(&mut items);
        }
        self.columns.fit(&items);
        Ok(items.into_iter())
    }

    fn sort(&self, items: &mut [Item]) {
        if self.options.has("t") {
            items.sort_by_key(|item| std::cmp::Reverse(self.time(item)));
        } else if self.options.has("S") {
            items.sort_by_key(|item| {
                std::cmp::Reverse(item.status.as_ref().map_or(0, |status| status.length))
            });
        } else {
            items.sort_by(|a, b| a.shown.cmp(&b.shown));
        }
        if self.options.has("r") {
            items.reverse();
        }
    }

    fn time(&self, item: &Item) -> u64 {
        let Some(status) = &item.status else { return 0 };
        if self.options.has("u") { status.access_time } else { status.modification_time }
    }

    fn line(&self, shell: &mut Shell<'_>, item: &Item) -> Result<(), Problem> {
        let Some(status) = &item.status else { return Ok(()) };
        let shown = if self.options.has("q") { printable(&item.shown) } else { item.shown.clone() };
        if self.options.has("C") {
            return shell.print(format_args!("{shown}"));
        }
        let copies = if status.isdir { "-".to_owned() } else { replication(status).to_string() };
        let Columns { replication, owner, group, length } = self.columns;
        let size =
            format::size(i64::try_from(status.length).unwrap_or(i64::MAX), self.options.has("h"));
        shell.print(format_args!(
            "{}{} {copies:>replication$} {:owner$} {:group$} {size:>length$} {} {shown}",
            if status.isdir { 'd' } else { '-' },
            format::permission(status.permission),
            status.owner,
            status.group,
            format::listing_date(self.time(item)),
        ))
    }
}

fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '?' } else { c }).collect()
}

pub(super) async fn du(shell: &mut Shell<'_>, mut words: Vec<String>) -> Result<(), Abort> {
    let options = Options::take(&mut words, &["h", "s", "v", "x"], &[], 0, usize::MAX)?;
    if words.is_empty() {
        words.push(".".to_owned());
    }
    let mut rows: Vec<[String; 3]> = Vec::new();
    if options.has("v") {
        let header = ["SIZE", "DISK_SPACE_CONSUMED_WITH_ALL_REPLICAS", "FULL_PATH_NAME"];
        rows.push(header.map(str::to_owned));
    }
    let header = rows.len();
    for (system, item) in shell.existing(&words).await? {
        let items = if item.is_directory() && !options.has("s") {
            children(&system, &item).await
        } else {
            Ok(vec![item])
        };
        let items = match items {
            Ok(items) => items,
            Err(problem) => {
                shell.settle(Err(problem))?;
                continue;
            }
        };
        for item in items {
            match system.client.get_content_summary(&item.path).await {
                Ok(summary) => rows.push([
                    size_of(summary.length, options.has("h")),
                    size_of(summary.space_consumed, options.has("h")),
                    item.shown,
                ]),
                Err(error) => shell.settle(Err(error.into()))?,
            }
        }
    }
    if rows.len() == header {
        return Ok(());
    }
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max();
    let (first, second) = (width(0).unwrap_or(0), width(1).unwrap_or(0));
    for [length, consumed, shown] in &rows {
        shell.print(format_args!("{length:first$}  {consumed:second$}  {shown}"))?;
    }
    Ok(())
}

fn size_of(bytes: u64, human: bool) -> String {
    format::size(i64::try_from(bytes).unwrap_or(i64::MAX), human)
}

pub(super) async fn count(shell: &mut Shell<'_>, mut words: Vec<String>) -> Result<(), Abort> {
    let options = Options::take(&mut words, &["q", "h", "v", "x"], &[], 1, usize::MAX)?;
    if options.has("v") {
        let mut header = String::new();
        if options.has("q") {
            header = format!(
                "{:>12} {:>15} {:>15} {:>15} ",
                "QUOTA", "REM_QUOTA", "SPACE_QUOTA", "REM_SPACE_QUOTA"
            );
        }
        let columns = format!("{:>12} {:>12} {:>18} ", "DIR_COUNT", "FILE_COUNT", "CONTENT_SIZE");
        shell.print(format_args!("{header}{columns}PATHNAME"))?;
    }
    for (system, item) in shell.existing(&words).await? {
        let result = match system.client.get_content_summary(&item.path).await {
            Ok(summary) => {
                let line = count_line(&summary, options.has("q"), options.has("h"));
                shell.print(format_args!("{line}{}", item.shown))
            }
            Err(error) => Err(error.into()),
        };
        shell.settle(result)?;
    }
    Ok(())
}

fn count_line(summary: &ContentSummary, quotas: bool, human: bool) -> String {
    let ContentSummary { length, file_count, directory_count, .. } = *summary;
    let number = |value: u64| size_of(value, human);
    let mut line = String::new();
    if quotas {
        let (quota, left) = quota_pair(summary.quota, file_count + directory_count, human);
        let (space, space_left) = quota_pair(summary.space_quota, summary.space_consumed, human);
        line = format!("{quota:>12} {left:>15} {space:>15} {space_left:>15} ");
    }
    let counts = (number(directory_count), number(file_count), number(length));
    line + &format!("{:>12} {:>12} {:>18} ", counts.0, counts.1, counts.2)
}

/// A quota and what is left of it; -1 on the wire means that there is none.
fn quota_pair(quota: u64, used: u64, human: bool) -> (String, String) {
    match i64::try_from(quota) {
        Ok(quota) => {
            let left = quota.saturating_sub(i64::try_from(used).unwrap_or(i64::MAX));
            (format::size(quota, human), format::size(left, human))
        }
        Err(_) => ("none".to_owned(), "inf".to_owned()),
    }
}

pub(super) async fn stat(shell: &mut Shell<'_>, mut words: Vec<String>) -> Result<(), Abort> {
    let options = Options::take(&mut words, &["R"], &[], 1, usize::MAX)?;
    let mut form = "%y".to_owned();
    if words[0].contains('%') {
        form = words.remove(0);
        Options::take(&mut words, &[], &[], 1, usize::MAX)?;
    }
    for (system, item) in shell.existing(&words).await? {
        let mut left = vec![item];
        while let Some(item) = left.pop() {
            let line = stat_line(&form, &item);
            shell.print(format_args!("{line}"))?;
            if options.has("R") && item.is_directory() {
                match children(&system, &item).await {
                    Ok(items) => left.extend(items.into_iter().rev()),
                    Err(problem) => shell.settle(Err(problem))?,
                }
            }
        }
    }
    Ok(())
}

fn stat_line(form: &str, item: &Item) -> String {
    let Some(status) = &item.status else { return String::new() };
    let mut line = String::new();
    let mut chars = form.chars();
    while let Some(c) = chars.next() {
        if c != '%' {
            line.push(c);
            continue;
        }
        match chars.next() {
            None => {}
            Some('a') => line.push_str(&format!("{:o}", status.permission)),
            Some('A') => line.push_str(&format::permission(status.permission)),
            Some('b') => line.push_str(&status.length.to_string()),
            Some('F') => line.push_str(if status.isdir { "directory" } else { "regular file" }),
            Some('g') => line.push_str(&status.group),
            Some('n') => line.push_str(item.name()),
            Some('o') => line.push_str(&status.blocksize.unwrap_or(0).to_string()),
            Some('r') => line.push_str(&replication(status).to_string()),
            Some('u') => line.push_str(&status.owner),
            Some('x') => line.push_str(&format::stat_date(status.access_time)),
            Some('X') => line.push_str(&status.access_time.to_string()),
            Some('y') => line.push_str(&format::stat_date(status.modification_time)),
            Some('Y') => line.push_str(&status.modification_time.to_string()),
            Some(other) => line.push(other),
        }
    }
    line
}

/// Answers by exit code alone: 0 for yes.
pub(super) async fn test(shell: &mut Shell<'_>, mut words: Vec<String>) -> Result<(), Abort> {
    let flags = ["e", "d", "f", "s", "z", "w", "r"];
    let options = Options::take(&mut words, &flags, &[], 1, 1)?;
    let given: Vec<&str> = flags.into_iter().filter(|flag| options.has(flag)).collect();
    let flag = match given[..] {
        [flag] => flag,
        [] => return Err(Misuse("No test flag given".to_owned()).into()),
        _ => return Err(Misuse("Only one test flag is allowed".to_owned()).into()),
    };
    let found = match shell.expand(&words[0]).await {
        Ok(found) => found,
        Err(Problem::Path { .. }) => {
            shell.problems += 1;
            return Ok(());
        }
        Err(problem) => return Err(problem.into()),
    };
    let (system, items) = found;
    for item in &items {
        let Some(status) = &item.status else {
            shell.problems += 1;
            continue;
        };
        let yes = match flag {
            "d" => status.isdir,
            "f" => !status.isdir,
            "s" => status.length > 0,
            "z" => status.length == 0,
            "w" => may(&system, item, FsActionProto::Write).await?,
            "r" => may(&system, item, FsActionProto::Read).await?,
            _ => true,
        };
        shell.problems += usize::from(!yes);
    }
    Ok(())
}

async fn may(system: &FileSystem, item: &Item, mode: FsActionProto) -> Result<bool, Problem> {
    let request = CheckAccessRequestProto { path: item.path.clone(), mode: mode.into() };
    match system.rpc.call::<_, CheckAccessResponseProto>("checkAccess", &request).await {
        Ok(_) => Ok(true),
        Err(hdfs_edge::rpc::CallError::Remote { class, .. })
            if class.ends_with("AccessControlException") =>
        {
            Ok(false)
        }
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn summary(quota: u64) -> ContentSummary {
        ContentSummary {
            length: 3_000,
            file_count: 1,
            directory_count: 2,
            quota,
            space_consumed: 9_000,
            space_quota: u64::MAX,
        }
    }

    #[test]
    fn counts() {
        assert_eq!(
            count_line(&summary(u64::MAX), true, false),
            "        none             inf            none             inf            \
             2            1               3000 "
        );
        assert_eq!(
            count_line(&summary(10), true, true),
            "          10               7            none             inf            \
             2            1              2.9 K "
        );
        assert_eq!(
            count_line(&summary(10), false, false),
            "           2            1               3000 "
        );
    }

    #[test]
    fn stat_formats() {
        let status = FileStatus {
            path: "/d/f".into(),
            length: 3,
            isdir: false,
            permission: 0o644,
            owner: "me".into(),
            group: "us".into(),
            modification_time: 1_795_225_230_123,
            access_time: 0,
            replication: Some(3),
            blocksize: Some(134_217_728),
        };
        let item = Item { shown: "f".into(), path: "/d/f".into(), status: Some(status) };
        assert_eq!(
            stat_line("%n %o %F %a %A %b %r %u:%g %y %Y 100%%", &item),
            "f 134217728 regular file 644 rw-r--r-- 3 3 me:us 2026-11-21 01:40:30 \
             1795225230123 100%"
        );
    }
}
