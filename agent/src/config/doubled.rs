//! Keys that stand twice in an HCL object, which the parser lets through.

use std::collections::HashSet;

/// The first key of an object's own that stands twice. `text` is the object with its braces, known
/// to be well-formed.
pub(super) fn doubled(text: &str) -> Option<String> {
    let mut seen = HashSet::new();
    let mut depth = 0;
    // Where the key under way starts; none while a value is read.
    let mut key = None;
    let mut at = 0;
    while let Some(symbol) = text[at..].chars().next() {
        let step = match symbol {
            '"' => quoted(&text[at..]),
            '#' => line(&text[at..]),
            '/' if text[at..].starts_with("//") => line(&text[at..]),
            '/' if text[at..].starts_with("/*") => {
                text[at..].find("*/").map_or(text.len() - at, |end| end + 2)
            }
            _ => symbol.len_utf8(),
        };
        match symbol {
            '{' | '[' | '(' => depth += 1,
            '}' | ']' | ')' => depth -= 1,
            _ => {}
        }
        let opens = depth == 1 && matches!(symbol, '{' | ',' | '\n');
        if opens {
            key = Some(at + step);
        } else if depth == 1
            && matches!(symbol, '=' | ':')
            && let Some(start) = key.take()
        {
            let name = text[start..at].trim().trim_matches('"').to_owned();
            if !name.is_empty() && !seen.insert(name.clone()) {
                return Some(name);
            }
        } else if step > 1 && matches!(symbol, '#' | '/') {
            // A comment in front of a key is no part of it.
            key = key.map(|_| at + step);
        }
        at += step;
    }
    None
}

/// The length of a quoted text, interpolations included.
fn quoted(text: &str) -> usize {
    let mut escaped = false;
    for (at, symbol) in text.char_indices().skip(1) {
        match symbol {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return at + 1,
            _ => {}
        }
    }
    text.len()
}

fn line(text: &str) -> usize {
    text.find('\n').unwrap_or(text.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_its_own_keys_count() {
        assert_eq!(doubled("{ a = 1, b = 2 }"), None);
        assert_eq!(doubled("{ a = 1, a = 2 }").as_deref(), Some("a"));
        assert_eq!(doubled("{\n a = 1\n \"a\" : 2\n}").as_deref(), Some("a"));
        assert_eq!(doubled("{ a = { b = 1 }, c = { b = 1 } }"), None);
        assert_eq!(doubled("{ a = \"x, b = 1, b = 2\", c = [1,\n 2] }"), None);
        assert_eq!(doubled("{ a = 1 # a = 1\n /* , a = 2 */ b = 3\n}"), None);
        assert_eq!(doubled("{ a = 1\n # note\n a = 2 }").as_deref(), Some("a"));
        assert_eq!(doubled("{ http = \"http://h:1/p?a=1&a=2\", ttl = \"1s\" }"), None);
    }
}
