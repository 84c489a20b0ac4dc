//! Random ids. Nothing here is a secret; the system's source is used so that ids never collide.

use std::fs::File;
use std::io::{self, Read};

fn bytes() -> io::Result<[u8; 16]> {
    let mut bytes = [0; 16];
    File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(bytes)
}

/// A random UUID (version 4) in its usual text form.
pub(crate) fn uuid() -> io::Result<String> {
    let mut value = u128::from_be_bytes(bytes()?);
    value = value & !(0xf << 76) | (0x4 << 76);
    value = value & !(0x3 << 62) | (0x2 << 62);
    let text = format!("{value:032x}");
    Ok(format!(
        "{}-{}-{}-{}-{}",
        &text[..8],
        &text[8..12],
        &text[12..16],
        &text[16..20],
        &text[20..]
    ))
}

/// A random number, never 0.
pub(crate) fn number() -> u64 {
    let [a, b, c, d, e, f, g, h, ..] = bytes().unwrap_or([1; 16]);
    u64::from_be_bytes([a, b, c, d, e, f, g, h]).max(1)
}

#[cfg(test)]
mod tests {
    #[test]
    fn uuids_have_their_form() {
        let text = super::uuid().expect("random bytes");
        let parts: Vec<usize> = text.split('-').map(str::len).collect();
        assert_eq!(parts, [8, 4, 4, 4, 12]);
        assert_eq!(text.as_bytes()[14], b'4');
        assert_ne!(text, super::uuid().expect("random bytes"));
    }
}
