//! Java's properties text, as VERSION files use it: a `#` line with the date, then `key=value`
//! lines
//! in any order, ISO 8859-1 with `\` escapes. Small: VERSION files have about six lines.

use std::collections::BTreeMap;
use std::fmt::Write as _;

/// Bytes a properties file may have; VERSION files have about 200.
pub const PROPERTIES_LENGTH_MAX: u64 = 64 << 10;

/// Keys and values.
pub(super) type Properties = BTreeMap<String, String>;

/// Reads a properties text. Later lines win over earlier ones with the same key, as in Java.
pub(super) fn parse(bytes: &[u8]) -> Properties {
    // ISO 8859-1: each byte is the character with its number.
    let text: String = bytes.iter().map(|byte| char::from(*byte)).collect();
    let mut properties = Properties::new();
    let mut lines = text.split(['\n', '\r']);
    while let Some(line) = lines.next() {
        let mut line = line.trim_start().to_owned();
        if line.starts_with(['#', '!']) || line.is_empty() {
            continue;
        }
        // An odd number of backslashes at the end continues the line.
        while (line.len() - line.trim_end_matches('\\').len()) % 2 == 1 {
            line.pop();
            let Some(next) = lines.next() else { break };
            line.push_str(next.trim_start());
        }
        let (key, value) = split(&line);
        properties.insert(unescape(key), unescape(value));
    }
    properties
}

/// Key and value as written; the first unescaped `=`, `:` or white space is between them.
fn split(line: &str) -> (&str, &str) {
    let mut escaped = false;
    let end = line.find(|character: char| {
        let ends = !escaped && (matches!(character, '=' | ':') || character.is_whitespace());
        escaped = !escaped && character == '\\';
        ends
    });
    let Some(end) = end else { return (line, "") };
    let (key, rest) = line.split_at(end);
    let rest = rest.trim_start();
    (key, rest.strip_prefix(['=', ':']).map_or(rest, str::trim_start))
}

fn unescape(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        if character != '\\' {
            plain.push(character);
            continue;
        }
        match characters.next() {
            Some('u') => {
                let digits: String = characters.by_ref().take(4).collect();
                let number = u32::from_str_radix(&digits, 16).ok();
                plain.push(number.and_then(char::from_u32).unwrap_or(char::REPLACEMENT_CHARACTER));
            }
            Some('t') => plain.push('\t'),
            Some('n') => plain.push('\n'),
            Some('r') => plain.push('\r'),
            Some('f') => plain.push('\x0c'),
            Some(other) => plain.push(other),
            None => {}
        }
    }
    plain
}

/// Writes a properties text, `now_ms` (since 1970) as the date in its first line.
pub(super) fn print(lines: &[(&str, String)], now_ms: u64) -> String {
    let mut text = format!("#{}\n", date(now_ms));
    for (key, value) in lines {
        text.push_str(key);
        text.push('=');
        for (at, character) in value.chars().enumerate() {
            match character {
                '\n' => text.push_str("\\n"),
                '\r' => text.push_str("\\r"),
                '\t' => text.push_str("\\t"),
                '\\' | ':' | '=' | '#' | '!' => {
                    text.push('\\');
                    text.push(character);
                }
                ' ' if at == 0 => text.push_str("\\ "),
                ' '..='~' => text.push(character),
                other => {
                    let mut units = [0; 2];
                    for unit in other.encode_utf16(&mut units) {
                        let _ = write!(text, "\\u{unit:04X}");
                    }
                }
            }
        }
        text.push('\n');
    }
    text
}

/// `Sat Nov 21 02:04:17 UTC 2026`, as Java prints dates.
fn date(now_ms: u64) -> String {
    const DAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let seconds = now_ms / 1000;
    let days = seconds / 86_400;
    // Years of 365.2425 days that begin in March, from the year 0 on.
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let march_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * march_month + 2) / 5 + 1;
    let month = (march_month + 2) % 12;
    let year = era * 400 + year_of_era + u64::from(month < 2);
    format!(
        "{} {} {day:02} {:02}:{:02}:{:02} UTC {year}",
        DAYS[(days % 7) as usize],
        MONTHS[month as usize],
        seconds / 3600 % 24,
        seconds / 60 % 60,
        seconds % 60,
    )
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn dates_are_javas() {
        assert_eq!(date(0), "Thu Jan 01 00:00:00 UTC 1970");
        assert_eq!(date(951_782_400_000), "Tue Feb 29 00:00:00 UTC 2000");
        assert_eq!(date(1_795_216_823_686), "Fri Nov 20 23:20:23 UTC 2026");
    }

    #[test]
    fn javas_spellings_are_read() {
        let text = "#Fri\n! note\n a = b\nc:d\\:e\ne f\\u0041\ng\\=h=i\\\n  j\nk\r\n";
        let properties = parse(text.as_bytes());
        let expected = [("a", "b"), ("c", "d:e"), ("e", "fA"), ("g=h", "ij"), ("k", "")];
        let found: Vec<_> = properties.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
        assert_eq!(found, expected);
    }

    proptest! {
        #[test]
        fn values_come_back(value in "[ -~\\t\\n\\r]*") {
            let text = print(&[("key", value.clone())], 0);
            prop_assert_eq!(parse(text.as_bytes()).remove("key"), Some(value));
        }

        #[test]
        fn any_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..99)) {
            parse(&bytes);
        }
    }
}
