//! Just enough protobuf for the hot messages (inodes, directory entries, ACL and attribute bodies):
//! fields are read in place, without building a message. Every read is bounded by its slice.

/// Why bytes are not the message they should be.
pub(crate) type Malformed = &'static str;

/// A varint of at most ten bytes at `at`, which moves behind it.
#[inline]
pub(crate) fn varint(bytes: &[u8], at: &mut usize) -> Result<u64, Malformed> {
    if let Some(&first) = bytes.get(*at)
        && first < 0x80
    {
        *at += 1;
        return Ok(u64::from(first));
    }
    varint_long(bytes, at)
}

fn varint_long(bytes: &[u8], at: &mut usize) -> Result<u64, Malformed> {
    let mut value = 0_u64;
    for shift in (0..70).step_by(7) {
        let byte = *bytes.get(*at).ok_or("a varint runs past the end")?;
        *at += 1;
        if shift == 63 && byte > 1 {
            break;
        }
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Ok(value);
        }
    }
    Err("a varint has more than 64 bits")
}

/// A varint length and that many bytes.
#[inline]
pub(crate) fn delimited<'a>(bytes: &'a [u8], at: &mut usize) -> Result<&'a [u8], Malformed> {
    let length = varint(bytes, at)?;
    let rest = bytes.get(*at..).unwrap_or_default();
    let length = usize::try_from(length).ok().filter(|length| *length <= rest.len());
    let length = length.ok_or("a length runs past the end")?;
    *at += length;
    Ok(&rest[..length])
}

/// What a field carries.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Value<'a> {
    /// Integers, booleans, enums.
    Varint(u64),
    /// Eight bytes, little-endian.
    Fixed64(u64),
    /// Strings, bytes, messages, packed lists.
    Bytes(&'a [u8]),
    /// Four bytes, little-endian.
    Fixed32(u32),
}

impl<'a> Value<'a> {
    /// The integer, if the field is one.
    #[inline]
    pub(crate) fn integer(self) -> Result<u64, Malformed> {
        match self {
            Self::Varint(value) => Ok(value),
            _ => Err("a field is not an integer"),
        }
    }

    /// The eight bytes, if the field has them.
    #[inline]
    pub(crate) fn fixed64(self) -> Result<u64, Malformed> {
        match self {
            Self::Fixed64(value) => Ok(value),
            _ => Err("a field is not eight bytes"),
        }
    }

    /// The four bytes, if the field has them.
    #[inline]
    pub(crate) fn fixed32(self) -> Result<u32, Malformed> {
        match self {
            Self::Fixed32(value) => Ok(value),
            _ => Err("a field is not four bytes"),
        }
    }

    /// The bytes, if the field has them.
    #[inline]
    pub(crate) fn bytes(self) -> Result<&'a [u8], Malformed> {
        match self {
            Self::Bytes(value) => Ok(value),
            _ => Err("a field is not bytes"),
        }
    }

    /// UTF-8 text.
    pub(crate) fn text(self) -> Result<&'a str, Malformed> {
        std::str::from_utf8(self.bytes()?).map_err(|_| "a string is not UTF-8")
    }
}

/// The fields of one message.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Fields<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Fields<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    /// The next field's number and value; unknown numbers are the caller's to skip.
    #[inline]
    pub(crate) fn next(&mut self) -> Result<Option<(u64, Value<'a>)>, Malformed> {
        if self.at >= self.bytes.len() {
            return Ok(None);
        }
        let tag = varint(self.bytes, &mut self.at)?;
        let value = match tag & 7 {
            0 => Value::Varint(varint(self.bytes, &mut self.at)?),
            1 => Value::Fixed64(u64::from_le_bytes(self.fixed()?)),
            2 => Value::Bytes(delimited(self.bytes, &mut self.at)?),
            5 => Value::Fixed32(u32::from_le_bytes(self.fixed()?)),
            _ => return Err("a field has a wire type that proto2 messages do not use"),
        };
        Ok(Some((tag >> 3, value)))
    }

    #[inline]
    fn fixed<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        let bytes = self.bytes.get(self.at..self.at + N).ok_or("a field runs past the end")?;
        self.at += N;
        Ok(bytes.try_into().expect("the range has N bytes"))
    }
}

/// Appends a varint.
#[inline]
pub(crate) fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// How many bytes [`put_varint`] appends.
pub(crate) fn varint_length(value: u64) -> usize {
    (70 - (value | 1).leading_zeros() as usize) / 7
}

/// Appends an integer field.
#[inline]
pub(crate) fn put_integer(out: &mut Vec<u8>, number: u8, value: u64) {
    out.push(number << 3);
    put_varint(out, value);
}

/// Appends an eight-byte field.
#[inline]
pub(crate) fn put_fixed64(out: &mut Vec<u8>, number: u8, value: u64) {
    out.push(number << 3 | 1);
    out.extend_from_slice(&value.to_le_bytes());
}

/// Appends a four-byte field.
#[inline]
pub(crate) fn put_fixed32(out: &mut Vec<u8>, number: u8, value: u32) {
    out.push(number << 3 | 5);
    out.extend_from_slice(&value.to_le_bytes());
}

/// Appends a bytes, string or message field.
#[inline]
pub(crate) fn put_bytes(out: &mut Vec<u8>, number: u8, bytes: &[u8]) {
    out.push(number << 3 | 2);
    put_varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// Appends a message field that `write` fills, without a second buffer: the length goes in front
/// afterwards.
#[inline]
pub(crate) fn put_message(out: &mut Vec<u8>, number: u8, write: impl FnOnce(&mut Vec<u8>)) {
    out.push(number << 3 | 2);
    put_delimited(out, write);
}

/// Appends a varint length and what `write` appends.
#[inline]
pub(crate) fn put_delimited(out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
    let at = out.len();
    out.push(0);
    write(out);
    let length = out.len() - at - 1;
    if length < 0x80 {
        out[at] = length as u8;
        return;
    }
    let prefix = varint_length(length as u64);
    out.extend_from_slice(&[0; 9][..prefix - 1]);
    out.copy_within(at + 1..at + 1 + length, at + prefix);
    let mut left = length as u64;
    for byte in &mut out[at..at + prefix] {
        *byte = left as u8 | 0x80;
        left >>= 7;
    }
    out[at + prefix - 1] &= 0x7f;
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn varints_come_back(value: u64) {
            let mut bytes = Vec::new();
            put_varint(&mut bytes, value);
            prop_assert_eq!(bytes.len(), varint_length(value));
            let mut at = 0;
            prop_assert_eq!(varint(&bytes, &mut at), Ok(value));
            prop_assert_eq!(at, bytes.len());
        }

        #[test]
        fn delimited_bytes_come_back(body in proptest::collection::vec(any::<u8>(), 0..20_000)) {
            let mut bytes = vec![7];
            put_delimited(&mut bytes, |out| out.extend_from_slice(&body));
            let mut at = 1;
            prop_assert_eq!(delimited(&bytes, &mut at), Ok(&body[..]));
            prop_assert_eq!(at, bytes.len());
        }

        #[test]
        fn any_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
            let mut fields = Fields::new(&bytes);
            while let Ok(Some(_)) = fields.next() {}
        }
    }
}
