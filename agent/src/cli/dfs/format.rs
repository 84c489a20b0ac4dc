//! Hadoop's way to take a command's words apart, and its way to write sizes and dates.

use chrono::{DateTime, Local, Utc};

/// A mistake in the words of a command; shown with the command's usage, exit code 255.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Misuse(pub(super) String);

/// The options found in front of a command's arguments.
#[derive(Debug, Default)]
pub(super) struct Options {
    flags: Vec<String>,
    values: Vec<(String, String)>,
}

impl Options {
    /// Takes options off the front of `words`: single words behind one dash, never combined.
    /// `--` ends them, and a lone `-` is an argument. `least` and `most` bound the arguments left.
    pub(super) fn take(
        words: &mut Vec<String>,
        flags: &[&str],
        valued: &[&str],
        least: usize,
        most: usize,
    ) -> Result<Self, Misuse> {
        let mut options = Self::default();
        while let Some(option) = words.first().and_then(|word| word.strip_prefix('-')) {
            if option.is_empty() {
                break;
            }
            if option == "-" {
                words.remove(0);
                break;
            }
            let option = option.to_owned();
            if flags.contains(&option.as_str()) {
                words.remove(0);
                options.flags.push(option);
            } else if valued.contains(&option.as_str()) {
                words.remove(0);
                let value = if words.is_empty() { String::new() } else { words.remove(0) };
                options.values.push((option, value));
            } else {
                return Err(Misuse(format!("Illegal option -{option}")));
            }
        }
        let count = words.len();
        if count < least {
            return Err(Misuse(format!("Not enough arguments: expected {least} but got {count}")));
        }
        if count > most {
            return Err(Misuse(format!("Too many arguments: expected {most} but got {count}")));
        }
        Ok(options)
    }

    pub(super) fn has(&self, flag: &str) -> bool {
        self.flags.iter().any(|found| found == flag)
    }

    pub(super) fn value(&self, option: &str) -> Option<&str> {
        self.values.iter().rev().find(|(name, _)| name == option).map(|(_, value)| value.as_str())
    }
}

/// A number of bytes, as it is or with a binary prefix (`1.5 K`, `64 M`).
pub(super) fn size(bytes: i64, human: bool) -> String {
    if human { human_size(bytes) } else { bytes.to_string() }
}

fn human_size(bytes: i64) -> String {
    const PREFIXES: &[char] = &['K', 'M', 'G', 'T', 'P', 'E'];
    let sign = if bytes < 0 { "-" } else { "" };
    let count = bytes.unsigned_abs();
    if count < 1024 {
        return bytes.to_string();
    }
    let mut power = (63 - count.leading_zeros()) as usize / 10;
    let unit = |power: usize| 1_u64 << (10 * power);
    if count.is_multiple_of(unit(power)) {
        return format!("{sign}{} {}", count / unit(power), PREFIXES[power - 1]);
    }
    let mut text = format!("{:.1}", count as f64 / unit(power) as f64);
    if text.starts_with("1024") && power < PREFIXES.len() {
        power += 1;
        text = format!("{:.1}", count as f64 / unit(power) as f64);
    }
    format!("{sign}{text} {}", PREFIXES[power - 1])
}

/// A time of a listing, in this host's zone.
pub(super) fn listing_date(millis: u64) -> String {
    date(&Local, millis, "%Y-%m-%d %H:%M")
}

/// A time of `-stat`, in UTC.
pub(super) fn stat_date(millis: u64) -> String {
    date(&Utc, millis, "%Y-%m-%d %H:%M:%S")
}

/// A time of a report: `Sat Nov 21 02:00:00 UTC 2026`.
pub(in crate::cli) fn report_date(millis: u64) -> String {
    // chrono knows offsets, not the names of zones; the one everybody expects is put in by hand.
    date(&Local, millis, "%a %b %d %H:%M:%S %Z %Y").replace("+00:00", "UTC")
}

fn date<Z: chrono::TimeZone>(zone: &Z, millis: u64, format: &str) -> String
where
    Z::Offset: std::fmt::Display,
{
    let millis = i64::try_from(millis).unwrap_or(i64::MAX);
    let time = DateTime::<Utc>::from_timestamp_millis(millis).unwrap_or_default();
    zone.from_utc_datetime(&time.naive_utc()).format(format).to_string()
}

/// `rwxr-xr-x`, with the sticky bit as Hadoop shows it.
pub(super) fn permission(mode: u16) -> String {
    let mut text = String::with_capacity(9);
    for at in (0..9).rev() {
        let letter = ['x', 'w', 'r'][at % 3];
        text.push(if mode & (1 << at) != 0 { letter } else { '-' });
    }
    if mode & 0o1000 != 0 {
        text.pop();
        text.push(if mode & 1 != 0 { 't' } else { 'T' });
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        text.split_whitespace().map(str::to_owned).collect()
    }

    #[test]
    fn options_and_arguments() {
        let mut input = words("-R -h /a -d");
        let options = Options::take(&mut input, &["R", "h", "d"], &[], 0, 9).unwrap();
        assert!(options.has("R") && options.has("h") && !options.has("d"));
        assert_eq!(input, ["/a", "-d"]);
        let mut input = words("-s 3 - x");
        let options = Options::take(&mut input, &[], &["s"], 0, 9).unwrap();
        assert_eq!(options.value("s"), Some("3"));
        assert_eq!(input, ["-", "x"]);
        let mut input = words("-- -x");
        Options::take(&mut input, &[], &[], 1, 1).unwrap();
        assert_eq!(input, ["-x"]);
    }

    #[test]
    fn misuse_in_hadoops_words() {
        let take = |text: &str, least, most| {
            Options::take(&mut words(text), &["p"], &[], least, most).unwrap_err().0
        };
        assert_eq!(take("-rf x", 1, 9), "Illegal option -rf");
        assert_eq!(take("-p", 1, 9), "Not enough arguments: expected 1 but got 0");
        assert_eq!(take("a b", 1, 1), "Too many arguments: expected 1 but got 2");
    }

    #[test]
    fn sizes() {
        let table = [
            (0, "0"),
            (1023, "1023"),
            (1024, "1 K"),
            (1536, "1.5 K"),
            (1024 * 1024 - 1, "1.0 M"),
            (1 << 30, "1 G"),
            (134_217_729, "128.0 M"),
            (-2048, "-2 K"),
            (i64::MAX, "8.0 E"),
        ];
        for (bytes, text) in table {
            assert_eq!(size(bytes, true), text);
        }
        assert_eq!(size(1536, false), "1536");
    }

    #[test]
    fn permissions_and_dates() {
        assert_eq!(permission(0o755), "rwxr-xr-x");
        assert_eq!(permission(0o1777), "rwxrwxrwt");
        assert_eq!(permission(0o1770), "rwxrwx--T");
        assert_eq!(stat_date(1_795_225_230_123), "2026-11-21 01:40:30");
    }
}
