//! File modes as `-chmod` takes them, and owners as `-chown` and `-chgrp` take them.

use super::format::Misuse;

/// What a mode's text does to a file's bits.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Mode {
    /// These bits; the sticky bit only if it was spelled.
    Octal { bits: u16, sticky: Option<bool> },
    /// Step by step.
    Symbolic(Vec<Clause>),
}

/// One step: whose bits, how, which.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Clause {
    /// The bits of those concerned.
    who: u16,
    operator: char,
    bits: u16,
    /// `X`: execute only where somebody may execute, or for folders.
    conditional: bool,
    sticky: bool,
}

impl Mode {
    /// Octal (3 or 4 digits) or symbolic (`u+rwx,go-w`).
    pub(super) fn parse(text: &str) -> Result<Self, Misuse> {
        octal(text).or_else(|| symbolic(text)).ok_or_else(|| {
            Misuse(format!("chmod : mode '{text}' does not match the expected pattern."))
        })
    }

    /// The bits of a file that had `current`.
    pub(super) fn apply(&self, current: u16, is_directory: bool) -> u16 {
        let clauses = match self {
            Self::Octal { bits, sticky } => {
                let sticky = sticky.unwrap_or(current & 0o1000 != 0);
                return bits | u16::from(sticky) << 9;
            }
            Self::Symbolic(clauses) => clauses,
        };
        clauses.iter().fold(current, |current, clause| clause.apply(current, is_directory))
    }
}

impl Clause {
    fn apply(&self, current: u16, is_directory: bool) -> u16 {
        let mut bits = self.bits;
        if self.conditional && (is_directory || current & 0o111 != 0) {
            bits |= 0o111;
        }
        bits &= self.who;
        let sticky = if self.sticky { 0o1000 } else { 0 };
        match self.operator {
            '+' => current | bits | sticky,
            '-' => current & !(bits | sticky),
            _ => (current & !self.who) | bits | sticky,
        }
    }
}

fn octal(text: &str) -> Option<Mode> {
    let digits = text.strip_prefix('+').unwrap_or(text);
    if !digits.bytes().all(|digit| (b'0'..=b'7').contains(&digit)) {
        return None;
    }
    let value = u16::from_str_radix(digits, 8).ok()?;
    match digits.len() {
        3 => Some(Mode::Octal { bits: value, sticky: None }),
        4 if value < 0o2000 => {
            Some(Mode::Octal { bits: value & 0o777, sticky: Some(value & 0o1000 != 0) })
        }
        _ => None,
    }
}

fn symbolic(text: &str) -> Option<Mode> {
    text.split(',').map(clause).collect::<Option<Vec<_>>>().map(Mode::Symbolic)
}

fn clause(text: &str) -> Option<Clause> {
    let text = text.trim();
    let at = text.find(['+', '-', '='])?;
    let (who, rest) = text.split_at(at);
    let operator = rest.chars().next()?;
    let letters = &rest[1..];
    if letters.is_empty() && operator != '=' {
        return None;
    }
    let mut clause = Clause { who: 0, operator, bits: 0, conditional: false, sticky: false };
    for letter in who.chars() {
        clause.who |= match letter {
            'u' => 0o700,
            'g' => 0o070,
            'o' => 0o007,
            'a' => 0o777,
            _ => return None,
        };
    }
    if who.is_empty() {
        clause.who = 0o777;
    }
    for letter in letters.chars() {
        match letter {
            'r' => clause.bits |= 0o444,
            'w' => clause.bits |= 0o222,
            'x' => clause.bits |= 0o111,
            'X' => clause.conditional = true,
            't' => clause.sticky = true,
            _ => return None,
        }
    }
    Some(clause)
}

/// `[OWNER][:[GROUP]]`.
pub(super) fn owner(text: &str) -> Result<(Option<String>, Option<String>), Misuse> {
    let refused =
        || Misuse(format!("'{text}' does not match expected pattern for [owner][:group]."));
    let (owner, group) = match text.split_once(':') {
        Some((owner, group)) => (owner, group),
        None => (text, ""),
    };
    if !name(owner) || !name(group) {
        return Err(refused());
    }
    let given = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    match (given(owner), given(group)) {
        (None, None) => Err(Misuse(format!("'{text}' does not specify owner or group."))),
        pair => Ok(pair),
    }
}

/// `GROUP`.
pub(super) fn group(text: &str) -> Result<String, Misuse> {
    if text.is_empty() || !name(text) {
        return Err(Misuse(format!("'{text}' does not match expected pattern for group")));
    }
    Ok(text.to_owned())
}

/// The characters Hadoop's shell takes in names.
fn name(text: &str) -> bool {
    text.chars().all(|c| c.is_ascii_alphanumeric() || "-_./@ ".contains(c))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modes() {
        let table = [
            ("755", 0o644, false, 0o755),
            ("755", 0o1644, false, 0o1755),
            ("1777", 0o755, true, 0o1777),
            ("0777", 0o1755, true, 0o777),
            ("u+x", 0o644, false, 0o744),
            ("+x", 0o644, false, 0o755),
            ("go-rwx", 0o755, true, 0o700),
            ("u=rwx,g=rx,o=r", 0o000, false, 0o754),
            ("a+X", 0o644, false, 0o644),
            ("a+X", 0o644, true, 0o755),
            ("a+X", 0o744, false, 0o755),
            ("+t", 0o777, true, 0o1777),
            ("-t", 0o1777, true, 0o777),
            ("o=", 0o777, false, 0o770),
        ];
        for (text, before, is_directory, after) in table {
            let mode = Mode::parse(text).unwrap();
            assert_eq!(mode.apply(before, is_directory), after, "{text} on {before:o}");
        }
    }

    #[test]
    fn no_modes() {
        for text in ["999", "rdef", "r+def", "", "77", "07777", "u+", "2777"] {
            let Misuse(message) = Mode::parse(text).unwrap_err();
            let expected = format!("chmod : mode '{text}' does not match the expected pattern.");
            assert_eq!(message, expected);
        }
    }

    #[test]
    fn owners() {
        let pair = |o: Option<&str>, g: Option<&str>| (o.map(str::to_owned), g.map(str::to_owned));
        assert_eq!(owner("me").unwrap(), pair(Some("me"), None));
        assert_eq!(owner("me:").unwrap(), pair(Some("me"), None));
        assert_eq!(owner(":us").unwrap(), pair(None, Some("us")));
        assert_eq!(owner("me:us").unwrap(), pair(Some("me"), Some("us")));
        for text in ["%:us", "me:%", ":", ""] {
            assert!(owner(text).is_err(), "{text}");
        }
        assert!(group("%").is_err() && group("").is_err() && group("us").is_ok());
    }
}
