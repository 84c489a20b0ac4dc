//! A walk over the fields of one protobuf message that borrows from it: for the few headers that
//! every call carries, where a generated struct would allocate its strings.

/// One field's value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Value<'a> {
    /// Wire type 0.
    Varint(u64),
    /// Wire type 1.
    Fixed64(u64),
    /// Wire type 2.
    Bytes(&'a [u8]),
    /// Wire type 5.
    Fixed32(u32),
}

impl<'a> Value<'a> {
    pub(crate) fn varint(self) -> Result<u64, Malformed> {
        match self {
            Self::Varint(value) => Ok(value),
            _ => Err(Malformed),
        }
    }

    pub(crate) fn bytes(self) -> Result<&'a [u8], Malformed> {
        match self {
            Self::Bytes(value) => Ok(value),
            _ => Err(Malformed),
        }
    }

    pub(crate) fn fixed64(self) -> Result<u64, Malformed> {
        match self {
            Self::Fixed64(value) => Ok(value),
            _ => Err(Malformed),
        }
    }

    pub(crate) fn fixed32(self) -> Result<u32, Malformed> {
        match self {
            Self::Fixed32(value) => Ok(value),
            _ => Err(Malformed),
        }
    }
}

/// The bytes are not a protobuf message, or a field has another type than it should.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("malformed protobuf message")]
pub(crate) struct Malformed;

/// Takes one varint from the front.
#[inline]
pub(crate) fn take_varint(input: &mut &[u8]) -> Result<u64, Malformed> {
    let mut value = 0u64;
    for (index, &byte) in input.iter().take(10).enumerate() {
        value |= u64::from(byte & 0x7f) << (7 * index);
        if byte < 0x80 {
            *input = &input[index + 1..];
            return Ok(value);
        }
    }
    Err(Malformed)
}

/// Takes a varint length and so many bytes from the front.
#[inline]
pub(crate) fn take_delimited<'a>(input: &mut &'a [u8]) -> Result<&'a [u8], Malformed> {
    let len = usize::try_from(take_varint(input)?).map_err(|_| Malformed)?;
    let (taken, rest) = input.split_at_checked(len).ok_or(Malformed)?;
    *input = rest;
    Ok(taken)
}

/// Calls `each` with the number and value of every field of `message`, in order.
#[inline]
pub(crate) fn walk<'a>(
    mut message: &'a [u8],
    mut each: impl FnMut(u32, Value<'a>) -> Result<(), Malformed>,
) -> Result<(), Malformed> {
    while !message.is_empty() {
        let key = u32::try_from(take_varint(&mut message)?).map_err(|_| Malformed)?;
        let value = match key & 7 {
            0 => Value::Varint(take_varint(&mut message)?),
            1 => Value::Fixed64(u64::from_le_bytes(take(&mut message)?)),
            2 => Value::Bytes(take_delimited(&mut message)?),
            5 => Value::Fixed32(u32::from_le_bytes(take(&mut message)?)),
            _ => return Err(Malformed),
        };
        match key >> 3 {
            0 => return Err(Malformed),
            number => each(number, value)?,
        }
    }
    Ok(())
}

/// Undoes zig-zag for a `sint32`.
pub(crate) const fn sint32(value: u64) -> i32 {
    let value = value as u32;
    (value >> 1) as i32 ^ -((value & 1) as i32)
}

fn take<const N: usize>(input: &mut &[u8]) -> Result<[u8; N], Malformed> {
    let (taken, rest) = input.split_first_chunk::<N>().ok_or(Malformed)?;
    *input = rest;
    Ok(*taken)
}
