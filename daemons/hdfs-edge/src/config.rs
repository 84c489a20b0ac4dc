//! `core-site.xml` and `hdfs-site.xml` of one folder, as checked values.
//!
//! Loading checks every key of the table ([`crate::keys`]), so the typed readers cannot fail later.
//! Keys the table does not know are kept as text. Nothing here watches files or writes them.

mod values;
mod xml;

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use thiserror::Error;

use crate::keys::{self, Key, Kind};

pub use values::{Folder, check};

/// The files of a configuration folder, in the order in which later ones win.
pub const FILES: [&str; 2] = ["core-site.xml", "hdfs-site.xml"];

/// Rounds of `${...}` in one value; Hadoop stops there too.
const SUBSTITUTIONS_MAX: usize = 20;

/// Characters a value may grow to by substitution.
const VALUE_LENGTH_MAX: usize = 1 << 16;

/// What is wrong with a configuration: one line that names file, key, value and what is accepted.
#[derive(Debug, Error)]
pub enum ConfigError {
    /// A file could not be read.
    #[error("cannot read {}: {source}", file.display())]
    Read {
        /// The file.
        file: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A file is not a Hadoop configuration.
    #[error("{}:{line}: {message}", file.display())]
    Syntax {
        /// The file.
        file: PathBuf,
        /// The line, from 1.
        line: usize,
        /// What is wrong and what is accepted.
        message: String,
    },
    /// A value is not what its key accepts.
    #[error("{origin}: {key} = {value:?}: {accepted}")]
    Value {
        /// The file, or "default".
        origin: String,
        /// The key.
        key: String,
        /// The value as written.
        value: String,
        /// What is accepted.
        accepted: String,
    },
}

/// Names and values of one `*-site.xml` text, in its order, unchecked. `file` is for messages.
///
/// # Errors
/// The text is no Hadoop configuration.
pub fn properties(file: &Path, text: &str) -> Result<Vec<(String, String)>, ConfigError> {
    let found = xml::parse(file, text)?;
    Ok(found.into_iter().map(|property| (property.name, property.value)).collect())
}

/// One value with its origin.
#[derive(Debug, Clone)]
struct Entry {
    /// As written.
    raw: String,
    /// After `${...}` was resolved.
    value: String,
    /// Index into [`FILES`].
    file: usize,
    /// Later files may not change it.
    last: bool,
}

/// A checked configuration.
#[derive(Debug, Clone)]
pub struct Config {
    folder: PathBuf,
    entries: BTreeMap<String, Entry>,
}

impl Config {
    /// Reads the two files of a folder; a file that is missing counts as empty, a folder that is
    /// missing is an error. Every value of a known key is checked.
    pub fn load(folder: &Path) -> Result<Self, ConfigError> {
        std::fs::read_dir(folder)
            .map_err(|source| ConfigError::Read { file: folder.to_owned(), source })?;
        let mut config = Self { folder: folder.to_owned(), entries: BTreeMap::new() };
        for (index, name) in FILES.iter().enumerate() {
            let file = folder.join(name);
            let Some(text) = xml::read_bounded(&file)? else { continue };
            for property in xml::parse(&file, &text)? {
                config.insert(index, property);
            }
        }
        config.resolve()?;
        Ok(config)
    }

    /// A configuration from the texts of files that are not on a disk (yet): each one's name and
    /// content, in the order in which later ones win. Names other than [`FILES`] are left out.
    pub fn from_texts<'a>(
        folder: &Path,
        texts: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Result<Self, ConfigError> {
        let mut config = Self { folder: folder.to_owned(), entries: BTreeMap::new() };
        for (name, text) in texts {
            let Some(index) = FILES.iter().position(|file| *file == name) else { continue };
            for property in xml::parse(&folder.join(name), text)? {
                config.insert(index, property);
            }
        }
        config.resolve()?;
        Ok(config)
    }

    /// A configuration from pairs instead of files, for tests and tools.
    pub fn from_pairs<'a>(
        pairs: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Result<Self, ConfigError> {
        let mut config = Self { folder: PathBuf::new(), entries: BTreeMap::new() };
        for (name, value) in pairs {
            let (name, value) = (name.to_owned(), value.to_owned());
            config.insert(1, xml::Property { name, value, last: false });
        }
        config.resolve()?;
        Ok(config)
    }

    /// Where the files were read from.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    fn insert(&mut self, file: usize, property: xml::Property) {
        let name = keys::current_name(&property.name).to_owned();
        if let Some(earlier) = self.entries.get(&name)
            && earlier.last
            && earlier.file != file
        {
            tracing::warn!(key = name, file = FILES[file], "final in an earlier file; ignored");
            return;
        }
        let xml::Property { value: raw, last, .. } = property;
        self.entries.insert(name, Entry { value: String::new(), raw, file, last });
    }

    /// Resolves `${...}` everywhere and checks what the table knows.
    fn resolve(&mut self) -> Result<(), ConfigError> {
        let names: Vec<String> = self.entries.keys().cloned().collect();
        for name in names {
            let value = self.expand(&name, &self.entries[&name].raw)?;
            if let Some(key) = keys::find(&name)
                && let Err(accepted) = check(key, value.trim())
            {
                return Err(self.refused(&name, accepted));
            }
            self.entries.get_mut(&name).expect("the name comes from the map").value = value;
        }
        Ok(())
    }

    /// Replaces `${name}` by other keys, `${env.NAME}` by the environment, and `user.name` and
    /// `user.home` by the process's user; anything unknown stays as it is, as in Hadoop.
    fn expand(&self, key: &str, raw: &str) -> Result<String, ConfigError> {
        let mut text = raw.to_owned();
        let mut from = 0;
        for _ in 0..SUBSTITUTIONS_MAX {
            let Some((start, end)) = innermost_variable(&text, from) else { return Ok(text) };
            let name = &text[start + 2..end];
            match self.variable(name) {
                Some(value) => text.replace_range(start..=end, &value),
                None => from = end,
            }
            if text.len() > VALUE_LENGTH_MAX {
                break;
            }
        }
        match innermost_variable(&text, from) {
            None if text.len() <= VALUE_LENGTH_MAX => Ok(text),
            _ => Err(self.refused(
                key,
                format!("refers to other keys more than {SUBSTITUTIONS_MAX} times; is it a cycle?"),
            )),
        }
    }

    fn variable(&self, name: &str) -> Option<String> {
        if let Some(variable) = name.strip_prefix("env.") {
            let (variable, otherwise) = match variable.split_once('-') {
                Some((variable, value)) => (variable.trim_end_matches(':'), Some(value)),
                None => (variable, None),
            };
            return std::env::var(variable).ok().or_else(|| otherwise.map(str::to_owned));
        }
        match name {
            "user.name" => Some(crate::groups::own_user().to_owned()),
            "user.home" => std::env::var("HOME").ok(),
            "java.io.tmpdir" => Some("/tmp".to_owned()),
            _ => {
                let name = keys::current_name(name);
                let own = self.entries.get(name).map(|entry| entry.raw.clone());
                own.or_else(|| keys::find(name).map(|key| key.default.to_owned()))
            }
        }
    }

    /// The error for a value that only its user can judge (a folder that is missing, a port in
    /// use).
    pub fn refused(&self, name: &str, accepted: impl Into<String>) -> ConfigError {
        let name = keys::current_name(name);
        let entry = self.entries.get(name);
        let default = || keys::find(name).map_or("", |key| key.default).to_owned();
        ConfigError::Value {
            origin: self.origin(name),
            key: name.to_owned(),
            value: entry.map_or_else(default, |entry| entry.raw.clone()),
            accepted: accepted.into(),
        }
    }

    /// The file a value comes from, or "default".
    pub fn origin(&self, name: &str) -> String {
        match self.entries.get(keys::current_name(name)) {
            Some(entry) => self.folder.join(FILES[entry.file]).display().to_string(),
            None => "default".to_owned(),
        }
    }

    /// The text behind a name, known or not, substituted and trimmed; `None` when it is neither
    /// set nor has a default.
    pub fn raw(&self, name: &str) -> Option<String> {
        let name = keys::current_name(name);
        if let Some(entry) = self.entries.get(name) {
            return Some(entry.value.trim().to_owned());
        }
        let default = keys::find(name)?.default;
        if default.is_empty() { None } else { self.expand(name, default).ok() }
    }

    /// Whether a file sets the key.
    pub fn is_set(&self, key: &Key) -> bool {
        self.entries.contains_key(key.name)
    }

    /// The text of a key: empty when not set and without default.
    pub fn text(&self, key: &Key) -> String {
        self.raw(key.name).unwrap_or_default()
    }

    /// A [`Kind::Boolean`].
    pub fn boolean(&self, key: &Key) -> bool {
        values::boolean(&self.text(key)).unwrap_or_else(|_| misuse(key, "boolean"))
    }

    /// A [`Kind::Integer`].
    pub fn integer(&self, key: &Key) -> i64 {
        values::integer(&self.text(key)).unwrap_or_else(|_| misuse(key, "integer"))
    }

    /// A [`Kind::Float`].
    pub fn float(&self, key: &Key) -> f64 {
        values::float(&self.text(key)).unwrap_or_else(|_| misuse(key, "float"))
    }

    /// A [`Kind::Size`] in bytes; negative values (some keys mean "off" by them) become 0.
    pub fn size(&self, key: &Key) -> u64 {
        let bytes = values::size(&self.text(key)).unwrap_or_else(|_| misuse(key, "size"));
        u64::try_from(bytes).unwrap_or(0)
    }

    /// A [`Kind::Time`]; negative values (some keys mean "off" by them) become zero.
    pub fn time(&self, key: &Key) -> Duration {
        Duration::from_millis(u64::try_from(self.millis(key)).unwrap_or(0))
    }

    /// A [`Kind::Time`] in milliseconds, negative values included.
    pub fn millis(&self, key: &Key) -> i64 {
        let Kind::Time(unit, ..) = key.kind else { misuse(key, "time") };
        values::time_millis(&self.text(key), unit).unwrap_or_else(|_| misuse(key, "time"))
    }

    /// The words of a [`Kind::List`], trimmed, empty ones dropped.
    pub fn list(&self, key: &Key) -> Vec<String> {
        let text = self.text(key);
        text.split([',', '\n'])
            .map(str::trim)
            .filter(|word| !word.is_empty())
            .map(Into::into)
            .collect()
    }

    /// The host and port of a [`Kind::Address`]; `None` when not set. A missing port is the given
    /// one.
    pub fn address(&self, key: &Key, port: u16) -> Option<(String, u16)> {
        values::address(&self.text(key), port).unwrap_or_else(|_| misuse(key, "address"))
    }

    /// The folders of a [`Kind::Folders`].
    pub fn folders(&self, key: &Key) -> Vec<Folder> {
        values::folders(&self.text(key)).unwrap_or_else(|_| misuse(key, "folders"))
    }

    /// The path of a [`Kind::Path`]; `None` when not set.
    pub fn path(&self, key: &Key) -> Option<PathBuf> {
        let text = self.text(key);
        if text.is_empty() { None } else { Some(PathBuf::from(text)) }
    }

    /// Where clients and datanodes reach the namenode: `dfs.namenode.rpc-address`, else the host
    /// and port of `fs.defaultFS`.
    pub fn namenode_rpc(&self) -> Result<(String, u16), ConfigError> {
        const PORT: u16 = 8020;
        if let Some(address) = self.address(&keys::DFS_NAMENODE_RPC_ADDRESS, PORT) {
            return Ok(address);
        }
        let uri = self.text(&keys::FS_DEFAULT_FS);
        let authority =
            uri.strip_prefix("hdfs://").map(|rest| rest.split('/').next().unwrap_or(""));
        match authority.map(|authority| values::address(authority, PORT)) {
            Some(Ok(Some(address))) => Ok(address),
            _ => Err(self.refused(
                keys::FS_DEFAULT_FS.name,
                "hdfs://host:port is accepted (or set dfs.namenode.rpc-address)",
            )),
        }
    }

    /// Every value in force: what the files set and the table's other defaults, sorted by key, each
    /// with its origin ("default" or the file).
    pub fn effective(&self) -> Vec<(String, String, String)> {
        let mut all: BTreeMap<String, (String, String)> = BTreeMap::new();
        for key in keys::ALL {
            let origin = if key.name.starts_with("dfs.") { "hdfs" } else { "core" };
            all.insert(key.name.to_owned(), (self.text(key), format!("{origin}-default.xml")));
        }
        for (name, entry) in &self.entries {
            all.insert(name.clone(), (entry.value.clone(), FILES[entry.file].to_owned()));
        }
        all.into_iter().map(|(name, (value, origin))| (name, value, origin)).collect()
    }

    /// A fingerprint of what the files set, the same for every order and layout of the files: 16
    /// hex digits. It tells equal from changed; it is no protection against a forger.
    pub fn hash(&self) -> String {
        // FNV-1a, 64 bits.
        let mut state: u64 = 0xcbf2_9ce4_8422_2325;
        let mut eat = |text: &str| {
            for byte in text.bytes().chain([0xff]) {
                state = (state ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
            }
        };
        for (name, entry) in &self.entries {
            eat(name);
            eat(entry.raw.trim());
        }
        format!("{state:016x}")
    }
}

impl fmt::Display for Config {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} ({} keys)", self.folder.display(), self.entries.len())
    }
}

/// Start and closing brace of the first variable at or after `from` that holds no other variable.
fn innermost_variable(text: &str, from: usize) -> Option<(usize, usize)> {
    let mut start = None;
    let bytes = text.as_bytes();
    for index in from..bytes.len() {
        match bytes[index] {
            b'$' if bytes.get(index + 1) == Some(&b'{') => start = Some(index),
            b'}' => {
                if let Some(start) = start {
                    return Some((start, index));
                }
            }
            _ => {}
        }
    }
    None
}

fn misuse(key: &Key, asked: &str) -> ! {
    // Loading checked the value against the key's kind, so only our own code can get here.
    panic!("{} is a {:?}, read as {asked}", key.name, key.kind)
}

#[cfg(test)]
mod tests;
