//! Reads typed fields out of a table and complains about the rest.
//!
//! Every question adds its name to the list of the known; [`Fields::finish`] then names what nobody
//! asked for, with the nearest known name. Problems are collected, so that a user sees all of them
//! at once; a question whose answer is wrong counts as not answered.

use std::cell::RefCell;
use std::time::Duration;

use super::tree::{Item, Place, Problem, Value};

/// Longest time accepted: a year is a typing mistake or means "for ever".
const DURATION_MAX: Duration = Duration::from_secs(366 * 86_400);

/// Problems found so far. Shared by all tables of one reading.
pub type Problems = RefCell<Vec<Problem>>;

/// One table while it is read.
pub struct Fields<'a> {
    what: String,
    items: Vec<Item>,
    place: Option<Place>,
    asked: Vec<&'static str>,
    problems: &'a Problems,
}

impl<'a> Fields<'a> {
    /// `what` names the table in messages (`unit "datanode"`).
    pub fn new(
        what: impl Into<String>,
        items: Vec<Item>,
        place: Option<Place>,
        problems: &'a Problems,
    ) -> Self {
        Self { what: what.into(), items, place, asked: Vec::new(), problems }
    }

    /// Notes a problem at a place.
    pub fn complain(&self, place: Option<Place>, message: impl Into<String>) {
        self.problems.borrow_mut().push(Problem { place, message: message.into() });
    }

    /// Where the table starts.
    pub fn place(&self) -> Option<Place> {
        self.place.clone()
    }

    /// The one value of that name.
    fn one(&mut self, name: &'static str) -> Option<Item> {
        self.asked.push(name);
        let mut found: Vec<Item> = Vec::new();
        self.items.retain(|item| {
            let ours = item.name == name;
            if ours {
                found.push(item.clone());
            }
            !ours
        });
        for item in found.iter().skip(1) {
            let first = &found[0].place;
            self.complain(
                Some(item.place.clone()),
                format!("{name} stands twice in {}; first at {first}", self.what),
            );
        }
        let item = found.into_iter().next()?;
        (item.value != Value::Null).then_some(item)
    }

    fn typed<T>(
        &mut self,
        name: &'static str,
        accepted: &str,
        read: impl FnOnce(&Value) -> Option<T>,
    ) -> Option<T> {
        let item = self.one(name)?;
        let value = read(&item.value);
        if value.is_none() || !item.labels.is_empty() {
            let found = match &item.value {
                Value::Text(text) => format!("{text:?}"),
                Value::Number(number) => number.to_string(),
                other => other.kind().to_owned(),
            };
            self.complain(Some(item.place), format!("{name} is {found}; {accepted} is accepted"));
            return None;
        }
        value
    }

    /// A text.
    pub fn text(&mut self, name: &'static str) -> Option<String> {
        self.typed(name, "text", as_text)
    }

    /// One of some words.
    pub fn word<T: Copy>(&mut self, name: &'static str, words: &[(&str, T)]) -> Option<T> {
        let accepted =
            words.iter().map(|(word, _)| format!("{word:?}")).collect::<Vec<_>>().join(" or ");
        self.typed(name, &accepted, |value| {
            let text = as_text(value)?;
            words.iter().find(|(word, _)| *word == text).map(|(_, value)| *value)
        })
    }

    /// A whole number or a text, as text.
    pub fn amount(
        &mut self,
        name: &'static str,
        accepted: &str,
        fits: impl FnOnce(&str) -> bool,
    ) -> Option<String> {
        self.typed(name, accepted, |value| {
            let text = match value {
                Value::Number(number) if number.fract() == 0.0 => format!("{number}"),
                other => as_text(other)?,
            };
            fits(&text).then_some(text)
        })
    }

    /// A truth value.
    pub fn flag(&mut self, name: &'static str) -> Option<bool> {
        self.typed(name, "true or false", |value| match value {
            Value::Bool(flag) => Some(*flag),
            _ => None,
        })
    }

    /// Whether somebody wrote that name, right or wrong.
    pub fn has(&self, name: &str) -> bool {
        self.items.iter().any(|item| item.name == name)
    }

    /// A whole number within bounds, or a text of one, as `"${env.NAME}"` gives it.
    pub fn number(&mut self, name: &'static str, least: u64, most: u64) -> Option<u64> {
        self.typed(name, &format!("a whole number from {least} to {most}"), |value| {
            let number = match value {
                // Checked here: whole, and the bounds fit an f64 where they matter.
                Value::Number(number) if number.fract() == 0.0 && *number >= 0.0 => *number as u64,
                Value::Text(text) => text.trim().parse().ok()?,
                _ => return None,
            };
            (least..=most).contains(&number).then_some(number)
        })
    }

    /// A time such as `250ms`, `10s`, `5m`, `1h`.
    pub fn time(&mut self, name: &'static str) -> Option<Duration> {
        self.typed(name, "a time such as \"250ms\", \"10s\", \"5m\" or \"1h\"", |value| {
            duration(&as_text(value)?)
        })
    }

    /// Texts in order; a single text is a list of one.
    pub fn texts(&mut self, name: &'static str) -> Option<Vec<String>> {
        self.typed(name, "a list of texts", |value| match value {
            Value::List(values) => values.iter().map(|(value, _)| as_text(value)).collect(),
            Value::Text(text) => Some(vec![text.clone()]),
            _ => None,
        })
    }

    /// A value that `read` makes of a text.
    pub fn parsed<T>(
        &mut self,
        name: &'static str,
        accepted: &str,
        read: impl FnOnce(&str) -> Option<T>,
    ) -> Option<T> {
        self.typed(name, accepted, |value| read(&as_text(value)?))
    }

    /// Names and texts of a table with free names.
    pub fn map(&mut self, name: &'static str) -> Option<Vec<(String, String)>> {
        self.typed(name, "a block of texts", |value| match value {
            Value::Table(items) => {
                items.iter().map(|item| Some((item.name.clone(), as_text(&item.value)?))).collect()
            }
            _ => None,
        })
    }

    /// An inner table, written as a block or as an object.
    pub fn table(&mut self, name: &'static str) -> Option<Fields<'a>> {
        let item = self.one(name)?;
        self.inner(item, name)
    }

    fn inner(&self, item: Item, what: impl Into<String>) -> Option<Fields<'a>> {
        match item.value {
            Value::Table(items) => Some(Fields::new(what, items, Some(item.place), self.problems)),
            other => {
                let message = format!("{} is {}; a block is accepted", item.name, other.kind());
                self.complain(Some(item.place), message);
                None
            }
        }
    }

    /// One inner table, or a list of several.
    pub fn tables(&mut self, name: &'static str) -> Vec<Fields<'a>> {
        let Some(item) = self.one(name) else { return Vec::new() };
        let Value::List(values) = item.value else {
            return self.inner(item, name).into_iter().collect();
        };
        let each = |(value, place): (Value, Place)| {
            self.inner(Item { name: name.to_owned(), labels: Vec::new(), value, place }, name)
        };
        values.into_iter().filter_map(each).collect()
    }

    /// Blocks with one label each (`unit "datanode" { ... }`), in order. In JSON the label is a key
    /// of the object. A label may stand once.
    pub fn labelled(&mut self, name: &'static str) -> Vec<(String, Fields<'a>)> {
        self.asked.push(name);
        let (ours, rest) = std::mem::take(&mut self.items)
            .into_iter()
            .partition::<Vec<Item>, _>(|item| item.name == name);
        self.items = rest;
        let mut found: Vec<(String, Fields<'a>)> = Vec::new();
        for item in ours {
            let mut blocks = Vec::new();
            match (item.labels.as_slice(), item.value) {
                ([label], Value::Table(items)) => blocks.push((label.clone(), items, item.place)),
                ([], Value::Table(items)) if !items.is_empty() && items.iter().all(is_table) => {
                    for item in items {
                        let Value::Table(items) = item.value else { continue };
                        blocks.push((item.name, items, item.place));
                    }
                }
                _ => {
                    let message = format!("{name} takes one label: {name} \"NAME\" {{ ... }}");
                    self.complain(Some(item.place), message);
                }
            }
            for (label, items, place) in blocks {
                if found.iter().any(|(other, _)| *other == label) {
                    let message = format!("{name} {label:?} stands twice");
                    self.complain(Some(place), message);
                    continue;
                }
                let what = format!("{name} {label:?}");
                found.push((label, Fields::new(what, items, Some(place), self.problems)));
            }
        }
        found
    }

    /// Complains about everything nobody asked for.
    pub fn finish(self) {
        for item in &self.items {
            let near = nearest(&item.name, self.asked.iter().copied());
            let hint = near.map_or_else(
                || format!("known are {}", self.asked.join(", ")),
                |near| format!("did you mean {near}?"),
            );
            let message = format!("{} is unknown in {}; {hint}", item.name, self.what);
            self.complain(Some(item.place.clone()), message);
        }
    }
}

fn is_table(item: &Item) -> bool {
    item.labels.is_empty() && matches!(item.value, Value::Table(_))
}

fn as_text(value: &Value) -> Option<String> {
    match value {
        Value::Text(text) => Some(text.clone()),
        _ => None,
    }
}

/// The known name a mistyped one was likely meant to be.
pub fn nearest<'n>(name: &str, known: impl Iterator<Item = &'n str>) -> Option<&'n str> {
    // A third of the letters may be wrong; more is another word.
    let most = (name.chars().count() / 3).max(1);
    known
        .map(|known| (strsim::damerau_levenshtein(name, known), known))
        .filter(|(distance, _)| *distance <= most)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, known)| known)
}

/// `1h30m`, `10s`, `250ms`; a bare number is refused, since nobody knows its unit.
pub fn duration(text: &str) -> Option<Duration> {
    let mut total = Duration::ZERO;
    let mut rest = text.trim();
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit())?;
        let number: u64 = rest[..digits].parse().ok()?;
        rest = &rest[digits..];
        let end = rest.find(|c: char| c.is_ascii_digit()).unwrap_or(rest.len());
        let millis = match &rest[..end] {
            "ms" => 1,
            "s" => 1_000,
            "m" => 60_000,
            "h" => 3_600_000,
            "d" => 86_400_000,
            _ => return None,
        };
        rest = &rest[end..];
        total = total.checked_add(Duration::from_millis(number.checked_mul(millis)?))?;
    }
    (total <= DURATION_MAX).then_some(total)
}
