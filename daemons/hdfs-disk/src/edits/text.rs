//! Strings as Java's edit log has them: UTF-8, but a supplementary character is written as its two
//! surrogates, three bytes each (CESU-8). NUL is one zero byte. Readers take four-byte UTF-8 too.

use crate::pb::Malformed;

/// Whether [`put`] writes exactly the text's own bytes.
#[inline]
pub(super) fn is_plain(text: &str) -> bool {
    text.bytes().all(|byte| byte < 0xf0)
}

/// Appends a text with supplementary characters as surrogate pairs.
pub(super) fn put(out: &mut Vec<u8>, text: &str) {
    if is_plain(text) {
        out.extend_from_slice(text.as_bytes());
        return;
    }
    for character in text.chars() {
        if u32::from(character) < 0x1_0000 {
            let mut bytes = [0; 4];
            out.extend_from_slice(character.encode_utf8(&mut bytes).as_bytes());
            continue;
        }
        let mut units = [0; 2];
        for unit in character.encode_utf16(&mut units) {
            let [high, low] = [(*unit >> 6) as u8 & 0x3f, *unit as u8 & 0x3f];
            out.extend_from_slice(&[0xe0 | (*unit >> 12) as u8, 0x80 | high, 0x80 | low]);
        }
    }
}

/// Reads a text with or without surrogate pairs.
///
/// # Errors
/// Bytes that are neither form, and surrogates that are not in pairs.
pub(super) fn read(bytes: &[u8]) -> Result<String, Malformed> {
    match std::str::from_utf8(bytes) {
        Ok(text) => Ok(text.to_owned()),
        Err(_) => read_pairs(bytes),
    }
}

/// The three bytes of one surrogate at the start, if they are one.
fn surrogate(bytes: &[u8]) -> Option<u16> {
    match bytes {
        [0xed, high @ 0xa0..=0xbf, low @ 0x80..=0xbf, ..] => {
            Some(0xd000 | u16::from(high & 0x3f) << 6 | u16::from(low & 0x3f))
        }
        _ => None,
    }
}

fn read_pairs(bytes: &[u8]) -> Result<String, Malformed> {
    const BAD: Malformed = "a string is not UTF-8";
    let mut text = String::with_capacity(bytes.len());
    let mut rest = bytes;
    while !rest.is_empty() {
        let valid = match std::str::from_utf8(rest) {
            Ok(valid) => valid,
            Err(error) => {
                std::str::from_utf8(&rest[..error.valid_up_to()]).expect("checked as valid")
            }
        };
        text.push_str(valid);
        rest = &rest[valid.len()..];
        if rest.is_empty() {
            break;
        }
        let pair = [surrogate(rest).ok_or(BAD)?, surrogate(&rest[3..]).ok_or(BAD)?];
        let character = char::decode_utf16(pair).next().and_then(Result::ok).ok_or(BAD)?;
        text.push(character);
        rest = &rest[6..];
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn supplementary_characters_are_surrogate_pairs() {
        let mut bytes = Vec::new();
        put(&mut bytes, "/a\u{1f418}\0é");
        assert_eq!(bytes, b"/a\xed\xa0\xbd\xed\xb0\x98\0\xc3\xa9");
        assert_eq!(read(&bytes).as_deref(), Ok("/a\u{1f418}\0é"));
        assert_eq!(read("/a\u{1f418}".as_bytes()).as_deref(), Ok("/a\u{1f418}"));
    }

    #[test]
    fn lone_surrogates_are_refused() {
        for bytes in [&b"\xed\xa0\xbd"[..], b"\xed\xb0\x98\xed\xa0\xbd", b"a\xed\xa0\xbdb", b"\xff"]
        {
            assert!(read(bytes).is_err(), "{bytes:x?}");
        }
    }

    proptest! {
        #[test]
        fn texts_come_back(text: String) {
            let mut bytes = Vec::new();
            put(&mut bytes, &text);
            prop_assert_eq!(read(&bytes), Ok(text));
        }

        #[test]
        fn any_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..40)) {
            let _ = read(&bytes);
        }
    }
}
