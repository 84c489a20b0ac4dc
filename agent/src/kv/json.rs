//! The JSON of `consul kv export`: `[{"key": ..., "flags": ..., "value": BASE64}]`.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

use super::{Entries, Mistake};
use crate::sources::{Entry, KEYS_MAX, VALUE_BYTES_MAX};

#[derive(Serialize, Deserialize)]
struct Item {
    key: String,
    #[serde(default)]
    flags: u64,
    value: String,
}

/// Keys out of JSON, with `prefix` in front.
///
/// # Errors
/// What is no such JSON, by line or key.
pub fn parse(file: &str, bytes: &[u8], prefix: &str) -> Result<Entries, Mistake> {
    let items: Vec<Item> = serde_json::from_slice(bytes).map_err(|error| {
        let place = format!("{file}:{}", error.line().max(1));
        Mistake::new(place, format!("is no JSON as consul kv export writes it: {error}"))
    })?;
    if items.len() > KEYS_MAX {
        return Err(Mistake::new(file, format!("{} keys; at most {KEYS_MAX}", items.len())));
    }
    let mut entries = Entries::new();
    for item in items {
        let key = format!("{prefix}{}", item.key);
        let mistake = |what: String| Mistake::new(format!("{file}: {key}"), what);
        if item.key.is_empty() {
            return Err(Mistake::new(file, "a key is empty"));
        }
        let value = STANDARD
            .decode(&item.value)
            .map_err(|_| mistake("the value is no base64".to_owned()))?;
        if value.len() > VALUE_BYTES_MAX {
            let what = format!("{} bytes; Consul takes {VALUE_BYTES_MAX} in a value", value.len());
            return Err(mistake(what));
        }
        if entries.contains_key(&key) {
            return Err(mistake("the key stands there twice".to_owned()));
        }
        entries.insert(key.clone(), Entry { value, flags: item.flags, modified: 0 });
    }
    Ok(entries)
}

/// The JSON of keys, as `consul kv import` reads it, with a line break at its end.
///
/// # Errors
/// Never in practice: strings and numbers have a JSON form.
pub fn write(entries: &Entries) -> Result<String, serde_json::Error> {
    let item = |(key, entry): (&String, &Entry)| Item {
        key: key.clone(),
        flags: entry.flags,
        value: STANDARD.encode(&entry.value),
    };
    let items: Vec<Item> = entries.iter().map(item).collect();
    // A tab a level, as Consul writes it: the same keys give the same bytes.
    let mut bytes = Vec::new();
    let formatter = serde_json::ser::PrettyFormatter::with_indent(b"\t");
    items.serialize(&mut serde_json::Serializer::with_formatter(&mut bytes, formatter))?;
    Ok(String::from_utf8_lossy(&bytes).into_owned() + "\n")
}
