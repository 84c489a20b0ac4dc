//! Whether a unit is to be prepared, told by its folders and by a record of what was begun.
//!
//! The record is in the unit's own folder and durable before the command starts:
//!
//! | Record | Folders | Then |
//! |---|---|---|
//! | none | empty or missing | `begun` is recorded, the command runs |
//! | none | hold anything | `done` is recorded, start: they are somebody's |
//! | `begun` | empty or missing | the command runs: it had done nothing yet |
//! | `begun` | hold all of `made` | `done` is recorded, start: only the record was missing |
//! | `begun` | hold something else | with `made` the command runs again and decides itself |
//! | `begun` | the same, without `made` | refused: nobody knows whether it is whole |
//! | `done` | hold anything | start |
//! | `done` | empty or missing | refused: what was there is gone, as with a disk not mounted |
//!
//! `done` is recorded, too, when the command ended with 0 and a folder holds something. Nothing
//! here removes or changes anything in the folders. A record of other folders counts as none.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::durable;
use crate::config::Prepare;

/// What to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// Start the program.
    Start,
    /// Run the command.
    Run,
}

/// What is known of an earlier time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Stage {
    Begun,
    Done,
}

#[derive(Debug, Serialize, Deserialize)]
struct Record {
    folders: Vec<PathBuf>,
    stage: Stage,
    time: String,
}

/// What the folders hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Seen {
    Nothing,
    Something,
    /// All that the command makes.
    Made,
}

fn path(unit: &Path) -> PathBuf {
    unit.join("prepare.json")
}

/// Looks at record and folders. `unit` is the unit's folder below the state folder.
///
/// # Errors
/// One line: a folder that cannot be read, or a case that only an operator can decide.
pub fn next(prepare: &Prepare, unit: &Path) -> Result<Next, String> {
    let seen = look(prepare)?;
    let record = read(unit)?.filter(|record| record.folders == prepare.when_empty);
    let (remove, list) = (path(unit).display().to_string(), list(prepare));
    match (record.map(|record| (record.stage, record.time)), seen) {
        (None | Some((Stage::Begun, _)), Seen::Nothing) => Ok(Next::Run),
        (Some((Stage::Done, _)), Seen::Something | Seen::Made) => Ok(Next::Start),
        (None, _) | (Some((Stage::Begun, _)), Seen::Made) => {
            write(prepare, unit, Stage::Done).map(|()| Next::Start)
        }
        (Some((Stage::Begun, _)), Seen::Something) if !prepare.made.is_empty() => Ok(Next::Run),
        (Some((Stage::Begun, time)), Seen::Something) => Err(format!(
            "it was interrupted at {time} and left something in {list}; if that is whole, remove \
             {remove}, else empty the folder"
        )),
        (Some((Stage::Done, time)), Seen::Nothing) => Err(format!(
            "{list} held something at {time} and is empty now; is its disk mounted? to begin \
             anew, remove {remove}"
        )),
    }
}

/// The command is about to run.
///
/// # Errors
/// The disk refuses; the command must not run then.
pub fn begin(prepare: &Prepare, unit: &Path) -> Result<(), String> {
    write(prepare, unit, Stage::Begun)
}

/// The command ended well.
///
/// # Errors
/// It left nothing, or the disk refuses to remember.
pub fn finish(prepare: &Prepare, unit: &Path) -> Result<(), String> {
    if look(prepare)? == Seen::Nothing {
        let list = list(prepare);
        return Err(format!("it ended well, but {list} is still empty; does it make another one?"));
    }
    write(prepare, unit, Stage::Done)
}

fn list(prepare: &Prepare) -> String {
    let all: Vec<String> =
        prepare.when_empty.iter().map(|folder| folder.display().to_string()).collect();
    all.join(" and ")
}

fn look(prepare: &Prepare) -> Result<Seen, String> {
    let mut seen = Seen::Nothing;
    for folder in &prepare.when_empty {
        let failed = |error: io::Error| format!("cannot look into {}: {error}", folder.display());
        let empty = match fs::read_dir(folder) {
            Ok(mut entries) => entries.next().transpose().map_err(failed)?.is_none(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                if fs::symlink_metadata(folder).is_ok() {
                    return Err(format!("{} is a link that leads nowhere", folder.display()));
                }
                true
            }
            Err(error) => return Err(failed(error)),
        };
        let there = |made: &PathBuf| folder.join(made).try_exists();
        if empty {
            continue;
        }
        if seen == Seen::Nothing {
            seen = Seen::Something;
        }
        let mut all = !prepare.made.is_empty();
        for made in &prepare.made {
            all &= there(made).map_err(failed)?;
        }
        if all {
            seen = Seen::Made;
        }
    }
    Ok(seen)
}

fn read(unit: &Path) -> Result<Option<Record>, String> {
    let path = path(unit);
    let failed = |error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
    match fs::read(&path) {
        Ok(bytes) => serde_json::from_slice(&bytes).map(Some).map_err(|error| failed(&error)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(failed(&error)),
    }
}

fn write(prepare: &Prepare, unit: &Path, stage: Stage) -> Result<(), String> {
    let time = chrono::Utc::now().to_rfc3339_opts(chrono::SecondsFormat::Millis, true);
    let record = Record { folders: prepare.when_empty.clone(), stage, time };
    let text = serde_json::to_vec(&record).map_err(|error| error.to_string())?;
    durable::write(&path(unit), &text, 0o644).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn prepare(folder: &Path, made: &[&str]) -> Prepare {
        Prepare {
            when_empty: vec![folder.to_owned()],
            command: vec!["x".to_owned()],
            made: made.iter().map(PathBuf::from).collect(),
            timeout: Duration::from_secs(1),
        }
    }

    /// Every row of the table, in both ways a folder can be empty.
    #[test]
    fn the_table() {
        for made in [&["v"][..], &[]] {
            let root = tempfile::tempdir().unwrap();
            let (unit, folder) = (root.path(), root.path().join("data"));
            let prepare = prepare(&folder, made);
            assert_eq!(next(&prepare, unit), Ok(Next::Run), "missing");
            fs::create_dir(&folder).unwrap();
            assert_eq!(next(&prepare, unit), Ok(Next::Run), "empty");
            fs::write(folder.join("x"), "").unwrap();
            assert_eq!(next(&prepare, unit), Ok(Next::Start), "somebody's");
            fs::remove_file(folder.join("x")).unwrap();
            assert!(next(&prepare, unit).unwrap_err().contains("held something"), "it was there");
            fs::remove_file(path(unit)).unwrap();

            begin(&prepare, unit).unwrap();
            assert_eq!(next(&prepare, unit), Ok(Next::Run), "begun, nothing done");
            assert!(finish(&prepare, unit).unwrap_err().contains("still empty"));
            fs::write(folder.join("x"), "").unwrap();
            match made {
                [] => assert!(next(&prepare, unit).unwrap_err().contains("was interrupted")),
                _ => assert_eq!(next(&prepare, unit), Ok(Next::Run), "it decides itself"),
            }
            fs::write(folder.join("v"), "").unwrap();
            match made {
                [] => finish(&prepare, unit).unwrap(),
                _ => assert_eq!(next(&prepare, unit), Ok(Next::Start), "only the record missed"),
            }
            fs::remove_file(folder.join("v")).unwrap();
            assert_eq!(next(&prepare, unit), Ok(Next::Start), "done stays done");

            fs::remove_dir_all(&folder).unwrap();
            assert!(next(&prepare, unit).unwrap_err().contains("is its disk mounted?"));
            let other = Prepare { when_empty: vec![root.path().join("other")], ..prepare.clone() };
            assert_eq!(next(&other, unit), Ok(Next::Run), "a record of other folders");
        }
    }

    /// With data in one of two folders the command does not run: the program fills the other.
    #[test]
    fn one_of_two_is_empty() {
        let root = tempfile::tempdir().unwrap();
        let (one, two) = (root.path().join("one"), root.path().join("two"));
        fs::create_dir_all(two.join("current")).unwrap();
        let both = Prepare { when_empty: vec![one.clone(), two], ..prepare(&one, &["v"]) };
        assert_eq!(next(&both, root.path()), Ok(Next::Start));
    }

    #[test]
    fn what_cannot_be_read_is_not_empty() {
        let root = tempfile::tempdir().unwrap();
        let file = root.path().join("file");
        fs::write(&file, "").unwrap();
        assert!(next(&prepare(&file, &[]), root.path()).unwrap_err().contains("cannot look into"));
        let link = root.path().join("link");
        std::os::unix::fs::symlink("nowhere", &link).unwrap();
        assert!(next(&prepare(&link, &[]), root.path()).unwrap_err().contains("leads nowhere"));
        fs::write(path(root.path()), "}{").unwrap();
        let gone = root.path().join("gone");
        assert!(next(&prepare(&gone, &[]), root.path()).unwrap_err().contains("prepare.json"));
    }
}
