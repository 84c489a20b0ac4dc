//! Hadoop's own variable-length integers (`VInt`, `VLong`), not protobuf's.
//!
//! ```text
//! first byte b (signed)      value
//! -112 ..= 127               b itself, one byte in all
//! -120 ..= -113              positive, -(b + 112) big-endian bytes follow
//! -128 ..= -121              negative, -(b + 120) big-endian bytes follow, value is their
//! complement
//! ```

/// The longest encoding: one length byte and eight bytes of value.
pub const ENCODED_LEN_MAX: usize = 9;

/// Why a number could not be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadVarint {
    /// More bytes are needed.
    #[error("a Hadoop VLong ends before its last byte")]
    Short,
    /// The number does not fit the 32 bits of a `VInt`.
    #[error("a Hadoop VInt holds {0}, which is outside 32 bits")]
    Wide(i64),
}

/// Appends `value` as a `VLong` (a `VInt` is the same bytes).
pub fn encode(value: i64, out: &mut Vec<u8>) {
    if (-112..=127).contains(&value) {
        out.push(value as u8);
        return;
    }
    let (magnitude, base) = if value < 0 { (!value, -120i8) } else { (value, -112i8) };
    let magnitude = magnitude.to_be_bytes();
    let zeros = magnitude.iter().take_while(|&&byte| byte == 0).count().min(7);
    let digits = &magnitude[zeros..];
    out.push((base - digits.len() as i8) as u8);
    out.extend_from_slice(digits);
}

/// Reads a `VLong` from the front of `input` and moves `input` behind it.
///
/// # Errors
/// [`BadVarint::Short`] when bytes are missing; `input` is unchanged then.
pub fn decode(input: &mut &[u8]) -> Result<i64, BadVarint> {
    let (&first, rest) = input.split_first().ok_or(BadVarint::Short)?;
    let first = first as i8;
    if first >= -112 {
        *input = rest;
        return Ok(i64::from(first));
    }
    let negative = first < -120;
    let base = if negative { -120i16 } else { -112 };
    let count = usize::try_from(base - i16::from(first)).expect("first is below base here");
    let digits = rest.get(..count).ok_or(BadVarint::Short)?;
    let value = digits.iter().fold(0u64, |value, &byte| value << 8 | u64::from(byte)) as i64;
    *input = &rest[count..];
    Ok(if negative { !value } else { value })
}

/// Reads a `VInt`.
///
/// # Errors
/// As [`decode`], and [`BadVarint::Wide`] for a number outside 32 bits.
pub fn decode_i32(input: &mut &[u8]) -> Result<i32, BadVarint> {
    let value = decode(input)?;
    i32::try_from(value).map_err(|_| BadVarint::Wide(value))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn encoded(value: i64) -> Vec<u8> {
        let mut out = Vec::new();
        encode(value, &mut out);
        out
    }

    #[test]
    fn borders_of_the_one_byte_range() {
        assert_eq!(encoded(127), [127]);
        assert_eq!(encoded(-112), [0x90]);
        assert_eq!(encoded(128), [0x8f, 0x80]);
        assert_eq!(encoded(-113), [0x87, 0x70]);
        assert_eq!(encoded(255), [0x8f, 0xff]);
        assert_eq!(encoded(256), [0x8e, 1, 0]);
        assert_eq!(encoded(i64::MIN).len(), ENCODED_LEN_MAX);
        assert_eq!(decode_i32(&mut &encoded(1 << 40)[..]), Err(BadVarint::Wide(1 << 40)));
    }

    proptest! {
        #[test]
        fn any_number_returns(value: i64, tail: Vec<u8>) {
            let mut bytes = encoded(value);
            let len = bytes.len();
            bytes.extend_from_slice(&tail);
            let mut input = &bytes[..];
            prop_assert_eq!(decode(&mut input), Ok(value));
            prop_assert_eq!(input, &tail[..]);
            for cut in 0..len {
                prop_assert_eq!(decode(&mut &bytes[..cut]), Err(BadVarint::Short));
            }
        }

        #[test]
        fn any_bytes_are_no_panic(bytes: Vec<u8>) {
            let _ = decode(&mut &bytes[..]);
            let _ = decode_i32(&mut &bytes[..]);
        }
    }
}
