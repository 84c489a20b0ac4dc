//! What comes before a unit's program: what is fetched, waited for, and prepared.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::fields::Fields;

/// Longest name of a component: it becomes part of file names.
const NAME_CHARS_MAX: usize = 64;

/// What must be there before a unit is started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WaitFor {
    /// What.
    pub what: Awaited,
    /// How long to wait before that counts as a failure; the wait goes on.
    pub timeout: Duration,
}

/// Something to wait for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Awaited {
    /// A service in Consul with so many passing instances.
    Service {
        /// Its name.
        name: String,
        /// How many.
        passing: u32,
    },
    /// `HOST:PORT` that takes a connection.
    Address(String),
}

/// A command that is run once, before the first start, when folders are empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prepare {
    /// The folders; with anything in one of them the command is not run.
    pub when_empty: Vec<PathBuf>,
    /// The command.
    pub command: Vec<String>,
    /// Files below a folder that are all there when the command did its whole work; without any
    /// nobody knows what an interrupted one has left.
    pub made: Vec<PathBuf>,
    /// Until it is killed, which counts as a failure.
    pub timeout: Duration,
}

/// A component that is downloaded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fetch {
    /// Its name in messages.
    pub name: String,
    /// `http://`, `https://` or `file://`.
    pub url: String,
    /// What the download must be.
    pub checksum: Checksum,
    /// The folder of an unpacked archive, or the file.
    pub to: PathBuf,
    /// Leading parts of an archive's names that are left out.
    pub strip: u32,
    /// Whether it is unpacked.
    pub unpack: bool,
    /// Mode bits of a file that is not unpacked.
    pub mode: u32,
    /// Certificate authority for https, if not the system's.
    pub ca_file: Option<PathBuf>,
}

/// A digest of known kind, in small hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Checksum {
    /// SHA-256.
    Sha256(String),
    /// SHA-512.
    Sha512(String),
}

/// What is accepted as a checksum.
const CHECKSUMS: &str = "\"sha256:HEX\" or \"sha512:HEX\"";

impl Checksum {
    /// `sha256:HEX` or `sha512:HEX`; `None` for anything else.
    pub fn parse(text: &str) -> Option<Self> {
        let (kind, digits) = text.split_once(':')?;
        if !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return None;
        }
        let digits = digits.to_ascii_lowercase();
        match (kind, digits.len()) {
            ("sha256", 64) => Some(Self::Sha256(digits)),
            ("sha512", 128) => Some(Self::Sha512(digits)),
            _ => None,
        }
    }
}

impl fmt::Display for Checksum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sha256(digits) => write!(f, "sha256:{digits}"),
            Self::Sha512(digits) => write!(f, "sha512:{digits}"),
        }
    }
}

/// Whether a name says that it is an archive that can be unpacked.
pub(super) fn is_archive(url: &str) -> bool {
    let path = url.split(['?', '#']).next().unwrap_or_default();
    path.ends_with(".tar.gz") || path.ends_with(".tgz")
}

/// Whether a text is `HOST:PORT`.
pub(super) fn is_address(text: &str) -> bool {
    text.rsplit_once(':').is_some_and(|(host, port)| {
        let sane = |c: char| !c.is_whitespace() && !"/@?#".contains(c);
        !host.is_empty() && host.chars().all(sane) && port.parse::<u16>().is_ok_and(|n| n > 0)
    })
}

/// The scheme of a URL that can be fetched; `None` for any other.
pub(super) fn fetchable(url: &str) -> Option<&str> {
    let (scheme, rest) = url.split_once("://")?;
    let fits = match scheme {
        "http" | "https" => !rest.is_empty() && !rest.starts_with('/'),
        "file" => rest.starts_with('/'),
        _ => false,
    };
    fits.then_some(scheme)
}

/// Whether a name can be a component's.
pub(super) fn is_component(name: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-.".contains(c);
    !name.is_empty()
        && name.len() <= NAME_CHARS_MAX
        && !name.starts_with('.')
        && name.chars().all(plain)
}

pub(super) fn wait_for(fields: &mut Fields<'_>) -> Vec<WaitFor> {
    let mut all = Vec::new();
    for mut table in fields.tables("wait_for") {
        let service = table.text("service");
        let address = table
            .parsed("address", "\"HOST:PORT\"", |text| is_address(text).then(|| text.to_owned()));
        let passing = table.number("passing", 1, 10_000).map(|count| count as u32);
        let timeout = table.time("timeout").unwrap_or(Duration::from_secs(300));
        let what = match (service, address) {
            (Some(name), None) => Some(Awaited::Service { name, passing: passing.unwrap_or(1) }),
            (None, Some(address)) if passing.is_none() => Some(Awaited::Address(address)),
            (None, Some(_)) => {
                table.complain(table.place(), "passing goes with service only");
                None
            }
            _ => {
                let message = "wait_for has one of service = \"NAME\" and address = \"HOST:PORT\"";
                table.complain(table.place(), message);
                None
            }
        };
        table.finish();
        all.extend(what.map(|what| WaitFor { what, timeout }));
    }
    all
}

/// The paths of a list, which must be absolute.
fn absolute(table: &mut Fields<'_>, name: &'static str) -> Vec<PathBuf> {
    let paths: Vec<PathBuf> =
        table.texts(name).unwrap_or_default().into_iter().map(PathBuf::from).collect();
    for path in &paths {
        if !path.is_absolute() && !path.starts_with("${state_dir}") {
            let message = format!("{name} {:?} is not absolute", path.display().to_string());
            table.complain(table.place(), message);
        }
    }
    paths
}

pub(super) fn prepare(fields: &mut Fields<'_>) -> Option<Prepare> {
    let mut table = fields.table("prepare")?;
    let when_empty = absolute(&mut table, "when_empty");
    let command = table.texts("command").unwrap_or_default();
    if when_empty.is_empty() || command.is_empty() {
        let message = "prepare needs when_empty = \"FOLDER\" and command = [\"PROGRAM\", ...]";
        table.complain(table.place(), message);
    }
    let made: Vec<PathBuf> =
        table.texts("made").unwrap_or_default().into_iter().map(PathBuf::from).collect();
    if made.iter().any(|path| !stays_inside(path)) {
        table.complain(table.place(), "made names files below the folder, without ..");
    }
    let timeout = table.time("timeout").unwrap_or(Duration::from_secs(300));
    table.finish();
    Some(Prepare { when_empty, command, made, timeout })
}

fn stays_inside(path: &Path) -> bool {
    path.components().all(|part| matches!(part, std::path::Component::Normal(_)))
}

pub(super) fn links(fields: &mut Fields<'_>) -> Vec<PathBuf> {
    absolute(fields, "link")
}

pub(super) fn fetch(name: String, mut table: Fields<'_>) -> Option<Fetch> {
    if !is_component(&name) {
        table.complain(table.place(), "a component's name has letters, digits, - _ and . only");
    }
    let url = table.parsed("url", "a URL that begins with http://, https:// or file:///", |url| {
        fetchable(url).map(|_| url.to_owned())
    });
    let asked = table.text("checksum");
    let checksum = asked.as_deref().and_then(Checksum::parse);
    match (&asked, &checksum) {
        (None, _) => {
            let message = format!("fetch {name:?} needs checksum = {CHECKSUMS}");
            table.complain(table.place(), message);
        }
        (Some(asked), None) => {
            let message = format!("checksum is {asked:?}; {CHECKSUMS} is accepted");
            table.complain(table.place(), message);
        }
        _ => {}
    }
    let to = absolute(&mut table, "to");
    if to.len() != 1 {
        table.complain(table.place(), format!("fetch {name:?} needs to = \"PATH\""));
    }
    let archive = url.as_deref().is_some_and(is_archive);
    let strip = table.number("strip", 0, 16);
    let unpack = table.flag("unpack").unwrap_or(archive);
    let mode = table.parsed("mode", "mode bits such as \"0755\"", |text| {
        u32::from_str_radix(text, 8).ok().filter(|mode| *mode <= 0o777)
    });
    if strip.is_some() && !unpack {
        table.complain(table.place(), "strip is for archives that are unpacked");
    }
    if mode.is_some() && unpack {
        table.complain(table.place(), "mode is for a file that is not unpacked");
    }
    let ca_file = table.text("ca_file").map(PathBuf::from);
    table.finish();
    Some(Fetch {
        name,
        url: url?,
        checksum: checksum?,
        to: to.into_iter().next()?,
        strip: strip.map_or(0, |strip| strip as u32),
        unpack,
        mode: mode.unwrap_or(0o644),
        ca_file,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checksums() {
        let digits = "A".repeat(64);
        let found = Checksum::parse(&format!("sha256:{digits}")).unwrap();
        assert_eq!(found.to_string(), format!("sha256:{}", "a".repeat(64)));
        assert!(Checksum::parse(&format!("sha512:{}", "0".repeat(128))).is_some());
        for bad in ["", "sha256:", "md5:00", "sha256:zz", &digits, &format!("sha512:{digits}")] {
            assert_eq!(Checksum::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn addresses_and_archives() {
        for good in ["a:1", "127.0.0.1:8020", "[::1]:65535", "nn.service.consul:80"] {
            assert!(is_address(good), "{good}");
        }
        for bad in ["a", ":1", "a:", "a:0", "a:65536", "http://a:1", "a b:1", "u@a:1"] {
            assert!(!is_address(bad), "{bad}");
        }
        assert!(is_archive("http://x/a.tar.gz?x=1") && is_archive("file:///a.tgz"));
        assert!(!is_archive("http://x/a.tar") && !is_archive("http://x/a?b=.tgz"));
        assert!(fetchable("ftp://x/a").is_none() && fetchable("file://host/a").is_none());
    }
}
