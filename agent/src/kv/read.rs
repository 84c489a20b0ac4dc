//! A folder into memory: every file checked before anything is made of it.
//!
//! Names that start with a dot and what editors leave behind (`x~`, `#x#`) are passed over. Links
//! are followed inside the folder only.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use super::Mistake;
use super::entries::Layout;
use super::expand::{Part, Resources};
use super::rules::{FILE, Rules};
use crate::config::fields::nearest;
use crate::sources::{KEYS_MAX, VALUE_BYTES_MAX};

/// Deepest nesting of folders; a link that points upwards ends here.
const DEPTH_MAX: usize = 16;

/// Longest file of JSON: what the most keys of some use take.
const JSON_BYTES_MAX: u64 = 256 << 20;

/// A folder with its active profiles.
#[derive(Debug, Clone)]
pub struct Tree {
    /// Its `consync.ini`, or what stands for it.
    pub rules: Rules,
    /// Its files.
    pub resources: Resources,
    /// How its files of properties are stored unless somebody says otherwise.
    pub layout: Layout,
}

/// Reads a folder; a later profile is added behind an earlier one.
///
/// # Errors
/// The first thing that is no configuration, by its path.
pub fn tree(folder: &Path, profiles: &[String]) -> Result<Tree, Mistake> {
    let root = fs::canonicalize(folder).map_err(|error| failed(folder, &error))?;
    if !root.is_dir() {
        return Err(Mistake::new(folder.display(), "a folder is expected"));
    }
    let walk = Walk { root, shown: folder.to_owned() };
    let ini = folder.join(FILE);
    let (rules, layout) = match fs::symlink_metadata(&ini) {
        Ok(_) => {
            let text = walk.text(FILE, &ini)?;
            (Rules::parse(&ini.display().to_string(), &text)?, Layout::Files)
        }
        Err(_) if folder.join(Rules::flokkr().source).is_dir() => (Rules::flokkr(), Layout::Keys),
        Err(_) => (Rules::plain(), Layout::Keys),
    };
    let source = match rules.source.as_str() {
        "" => folder.to_owned(),
        below => folder.join(below),
    };
    let mut resources = Resources::new();
    if !source.is_dir() {
        let what = format!("there is no such folder; {FILE} may name another one as sourcedir");
        return Err(Mistake::new(source.display(), what));
    }
    let mut add = |files: BTreeMap<String, Part>| {
        for (name, part) in files {
            resources.entry(name).or_default().parts.push(part);
        }
    };
    let mut own = walk.files(&source)?;
    own.retain(|name, _| !rules.source.is_empty() || name != FILE);
    add(own);
    for profile in profiles {
        add(walk.files(&profile_folder(folder, &rules, profile)?)?);
    }
    Ok(Tree { rules, resources, layout })
}

fn profile_folder(folder: &Path, rules: &Rules, profile: &str) -> Result<PathBuf, Mistake> {
    let Some(below) = &rules.profiles else {
        let what = format!("has neither {FILE} nor configuration/, so it has no profiles");
        return Err(Mistake::new(folder.display(), what));
    };
    let all = folder.join(below);
    let mut names = Vec::new();
    for entry in fs::read_dir(&all).map_err(|error| failed(&all, &error))? {
        let entry = entry.map_err(|error| failed(&all, &error))?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if entry.path().is_dir() && !name.starts_with('.') {
            names.push(name);
        }
    }
    names.sort();
    if names.iter().any(|name| name == profile) {
        return Ok(all.join(profile));
    }
    let known = match nearest(profile, names.iter().map(String::as_str)) {
        Some(near) => format!("did you mean {near}?"),
        None => format!("there are: {}", names.join(", ")),
    };
    Err(Mistake::new(all.display(), format!("there is no profile {profile:?}; {known}")))
}

struct Walk {
    root: PathBuf,
    shown: PathBuf,
}

impl Walk {
    fn files(&self, folder: &Path) -> Result<BTreeMap<String, Part>, Mistake> {
        let mut files = BTreeMap::new();
        self.folder(folder, "", 0, &mut files)?;
        Ok(files)
    }

    fn folder(
        &self,
        folder: &Path,
        prefix: &str,
        depth: usize,
        files: &mut BTreeMap<String, Part>,
    ) -> Result<(), Mistake> {
        if depth > DEPTH_MAX {
            let what = format!("folders nest deeper than {DEPTH_MAX}; is a link pointing upwards?");
            return Err(Mistake::new(folder.display(), what));
        }
        for entry in fs::read_dir(folder).map_err(|error| failed(folder, &error))? {
            let path = entry.map_err(|error| failed(folder, &error))?.path();
            let name = path.file_name().unwrap_or_default();
            let Some(name) = name.to_str().filter(|name| !name.chars().any(char::is_control))
            else {
                let what = "the name is no plain UTF-8 text; rename or remove it";
                return Err(Mistake::new(path.display(), what));
            };
            if name.starts_with('.') || name.ends_with('~') || name.starts_with('#') {
                continue;
            }
            let key = format!("{prefix}{name}");
            self.inside(&path)?;
            if path.is_dir() {
                self.folder(&path, &format!("{key}/"), depth + 1, files)?;
                continue;
            }
            let text = self.text(&key, &path)?;
            files.insert(key, Part { file: self.name(&path).into(), text });
            if files.len() > KEYS_MAX {
                let what = format!("more than {KEYS_MAX} files; is it the right folder?");
                return Err(Mistake::new(self.shown.display(), what));
            }
        }
        Ok(())
    }

    /// A path as messages name it: below the folder that was given.
    fn name(&self, path: &Path) -> String {
        path.strip_prefix(&self.shown).unwrap_or(path).display().to_string()
    }

    fn inside(&self, path: &Path) -> Result<(), Mistake> {
        let target = fs::canonicalize(path).map_err(|error| failed(path, &error))?;
        if target.starts_with(&self.root) {
            return Ok(());
        }
        let what = format!("is a link out of {}; put a copy in its place", self.shown.display());
        Err(Mistake::new(path.display(), what))
    }

    fn text(&self, key: &str, path: &Path) -> Result<String, Mistake> {
        self.inside(path)?;
        let mistake = |what: String| Mistake::new(path.display(), what);
        let meta = fs::metadata(path).map_err(|error| failed(path, &error))?;
        if !meta.is_file() {
            return Err(mistake("is no regular file; remove it".to_owned()));
        }
        let mut bytes = Vec::new();
        let file = fs::File::open(path).map_err(|error| failed(path, &error))?;
        file.take(VALUE_BYTES_MAX as u64 + 1)
            .read_to_end(&mut bytes)
            .map_err(|error| failed(path, &error))?;
        if bytes.len() > VALUE_BYTES_MAX {
            let length = meta.len();
            let what = format!("{length} bytes; Consul takes {VALUE_BYTES_MAX} in a value");
            return Err(mistake(what));
        }
        let text = String::from_utf8(bytes).ok().filter(|text| !text.contains('\0'));
        text.ok_or_else(|| {
            mistake(format!("{key} is no UTF-8 text; keep binary files such as keytabs in Vault"))
        })
    }
}

/// Reads a whole file of JSON, or standard input for `-`.
///
/// # Errors
/// It cannot be read, or is too long.
pub fn json(path: &Path) -> Result<Vec<u8>, Mistake> {
    let mut bytes = Vec::new();
    let read = |reader: &mut dyn io::Read, bytes: &mut Vec<u8>| {
        reader.take(JSON_BYTES_MAX + 1).read_to_end(bytes)
    };
    let result = match path.to_str() {
        Some("-") => read(&mut io::stdin().lock(), &mut bytes),
        _ => fs::File::open(path).and_then(|mut file| read(&mut file, &mut bytes)),
    };
    result.map_err(|error| failed(path, &error))?;
    match bytes.len() as u64 > JSON_BYTES_MAX {
        true => Err(Mistake::new(path.display(), format!("more than {JSON_BYTES_MAX} bytes"))),
        false => Ok(bytes),
    }
}

fn failed(path: &Path, error: &io::Error) -> Mistake {
    Mistake::new(path.display(), format!("cannot be read: {error}"))
}
