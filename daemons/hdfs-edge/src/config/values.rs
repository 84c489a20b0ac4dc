//! Hadoop's value syntax: text to numbers, sizes, times, addresses and folders. Each reader says
//! what it accepts when it refuses.

use std::path::PathBuf;

use crate::keys::{Key, Kind, Unit};

/// A folder of a list like `dfs.datanode.data.dir`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Folder {
    /// The storage type in brackets before the path, upper case; `DISK` when none is given.
    pub storage_type: String,
    /// The path on this host.
    pub path: PathBuf,
}

/// Storage types a folder may be marked with.
const STORAGE_TYPES: &[&str] = &["DISK", "SSD", "ARCHIVE", "RAM_DISK", "NVDIMM", "PROVIDED"];

/// Checks a value against its key; the error says what is accepted.
pub fn check(key: &Key, value: &str) -> Result<(), String> {
    match key.kind {
        Kind::Boolean => boolean(value).map(drop),
        Kind::Integer(min, max) => integer(value).and_then(|number| range(number, min, max)),
        Kind::Float(min, max) => float(value).and_then(|number| {
            let message = || format!("a number from {min} to {max} is accepted");
            if (min..=max).contains(&number) { Ok(()) } else { Err(message()) }
        }),
        Kind::Size(min, max) => size(value).and_then(|number| range(number, min, max)),
        Kind::Time(unit, min, max) => {
            let millis = time_millis(value, unit)?;
            // A time of less than one unit is fine where the smallest is one unit or less.
            let number = if millis % unit.millis() == 0 || min > 1 {
                millis / unit.millis()
            } else {
                millis / unit.millis() + 1
            };
            range(number, min, max).map_err(|text| format!("{text} (in {})", unit.suffix()))
        }
        Kind::Text | Kind::List | Kind::Path => Ok(()),
        Kind::Choice(words) => {
            if words.iter().any(|word| word.eq_ignore_ascii_case(value)) {
                Ok(())
            } else {
                Err(format!("one of {} is accepted", words.join(", ")))
            }
        }
        Kind::Address => address(value, 1).map(drop),
        Kind::Folders => folders(value).map(drop),
        Kind::Uri => match value.split_once("://") {
            Some((scheme, _)) if !scheme.is_empty() => Ok(()),
            _ => Err("scheme://host:port is accepted".to_owned()),
        },
        Kind::LogLevel => log_level(value),
    }
}

/// What a log line may be asked to weigh at least.
const LOG_LEVELS: &[&str] = &["off", "error", "warn", "info", "debug", "trace"];

fn log_level(text: &str) -> Result<(), String> {
    let is_level = |word: &str| LOG_LEVELS.iter().any(|level| level.eq_ignore_ascii_case(word));
    let is_target = |word: &str| {
        !word.is_empty() && word.chars().all(|c| c.is_ascii_alphanumeric() || "_:".contains(c))
    };
    let is_known = |part: &str| match part.split_once('=') {
        Some((target, level)) => is_target(target) && is_level(level),
        None => is_level(part),
    };
    if text.is_empty() || text.split(',').all(is_known) {
        return Ok(());
    }
    let levels = LOG_LEVELS.join(", ");
    Err(format!("one of {levels} is accepted, or target=level, separated by commas"))
}

fn range(number: i64, min: i64, max: i64) -> Result<(), String> {
    if (min..=max).contains(&number) {
        Ok(())
    } else if max == i64::MAX {
        Err(format!("a number from {min} up is accepted"))
    } else {
        Err(format!("a number from {min} to {max} is accepted"))
    }
}

pub(super) fn boolean(text: &str) -> Result<bool, String> {
    match text.to_ascii_lowercase().as_str() {
        "true" => Ok(true),
        "false" => Ok(false),
        _ => Err("true or false is accepted".to_owned()),
    }
}

pub(super) fn integer(text: &str) -> Result<i64, String> {
    let parsed = match text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        Some(digits) => i64::from_str_radix(digits, 16),
        None => text.parse(),
    };
    parsed.map_err(|_| "a whole number is accepted".to_owned())
}

pub(super) fn float(text: &str) -> Result<f64, String> {
    // Hadoop's own defaults carry Java's float suffix.
    let digits = text.strip_suffix(['f', 'F', 'd', 'D']).unwrap_or(text);
    match digits.parse::<f64>() {
        Ok(number) if number.is_finite() => Ok(number),
        _ => Err("a decimal number is accepted".to_owned()),
    }
}

pub(super) fn size(text: &str) -> Result<i64, String> {
    const SUFFIXES: &[u8] = b"kmgtpe";
    let refuse = || "bytes with an optional suffix k, m, g, t, p or e are accepted".to_owned();
    let last = text.as_bytes().last().map(u8::to_ascii_lowercase).ok_or_else(refuse)?;
    match SUFFIXES.iter().position(|suffix| *suffix == last) {
        None => integer(text).map_err(|_| refuse()),
        Some(power) => {
            let number = integer(text[..text.len() - 1].trim()).map_err(|_| refuse())?;
            let factor = 1_i64 << (10 * (power + 1));
            number.checked_mul(factor).ok_or_else(|| "less than 8 exabytes is accepted".to_owned())
        }
    }
}

pub(super) fn time_millis(text: &str, unit: Unit) -> Result<i64, String> {
    // Nanoseconds per suffix; the two-letter ones come first, because "ms" ends in "s".
    const SUFFIXES: &[(&str, i128)] = &[
        ("ns", 1),
        ("us", 1_000),
        ("ms", 1_000_000),
        ("s", 1_000_000_000),
        ("m", 60_000_000_000),
        ("h", 3_600_000_000_000),
        ("d", 86_400_000_000_000),
    ];
    let refuse = || {
        let unit = unit.suffix();
        format!("a time like 30s is accepted (suffix ns, us, ms, s, m, h or d; none means {unit})")
    };
    let text = text.to_ascii_lowercase();
    let found = SUFFIXES.iter().find(|(suffix, _)| text.ends_with(suffix));
    let (digits, nanos) = match found {
        Some((suffix, nanos)) => (text[..text.len() - suffix.len()].trim(), *nanos),
        None => (text.as_str(), i128::from(unit.millis()) * 1_000_000),
    };
    let number = integer(digits).map_err(|_| refuse())?;
    i64::try_from(i128::from(number) * nanos / 1_000_000)
        .map_err(|_| "a time under 290 million years is accepted".to_owned())
}

/// An empty text is no address.
pub(super) fn address(text: &str, default_port: u16) -> Result<Option<(String, u16)>, String> {
    let refuse = || "host:port with a port from 0 to 65535 is accepted".to_owned();
    if text.is_empty() {
        return Ok(None);
    }
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port))
            if !host.ends_with(':') && (!host.contains(':') || host.ends_with(']')) =>
        {
            (host, port.parse().map_err(|_| refuse())?)
        }
        _ => (text, default_port),
    };
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._:%".contains(&byte);
    if host.is_empty() || !host.bytes().all(plain) {
        return Err(refuse());
    }
    Ok(Some((host.to_owned(), port)))
}

pub(super) fn folders(text: &str) -> Result<Vec<Folder>, String> {
    let mut folders = Vec::new();
    for word in text.split(',').map(str::trim).filter(|word| !word.is_empty()) {
        let (storage_type, place) =
            match word.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
                Some((kind, place)) => (kind.trim().to_ascii_uppercase(), place.trim()),
                None => ("DISK".to_owned(), word),
            };
        if !STORAGE_TYPES.contains(&storage_type.as_str()) {
            return Err(format!("a storage type of {} is accepted", STORAGE_TYPES.join(", ")));
        }
        let path = match place.split_once(':') {
            Some(("file", rest)) => rest.strip_prefix("//").unwrap_or(rest),
            Some((scheme, _)) if !scheme.contains('/') => {
                return Err("paths and file: URIs, separated by commas, are accepted".to_owned());
            }
            _ => place,
        };
        if path.is_empty() {
            return Err("paths and file: URIs, separated by commas, are accepted".to_owned());
        }
        folders.push(Folder { storage_type, path: PathBuf::from(path) });
    }
    Ok(folders)
}
