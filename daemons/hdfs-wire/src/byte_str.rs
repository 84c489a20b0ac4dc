//! Text that is a slice of the buffer it arrived in. It is checked once, when it is made, and never
//! copied.

use std::fmt;
use std::ops::Deref;
use std::str::Utf8Error;

use bytes::Bytes;

/// UTF-8 text in shared bytes. Keeping one keeps the whole frame it came from alive: copy it
/// (`to_owned`) before it is stored for longer than a call.
#[derive(Clone, Default, PartialEq, Eq, Hash)]
pub struct ByteStr(Bytes);

impl ByteStr {
    /// Takes `bytes` as text.
    ///
    /// # Errors
    /// The bytes are not UTF-8.
    pub fn new(bytes: Bytes) -> Result<Self, Utf8Error> {
        std::str::from_utf8(&bytes)?;
        Ok(Self(bytes))
    }

    /// Text that lives as long as the program.
    pub const fn from_static(text: &'static str) -> Self {
        Self(Bytes::from_static(text.as_bytes()))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).expect("checked to be UTF-8 when it was made")
    }
}

impl Deref for ByteStr {
    type Target = str;

    fn deref(&self) -> &str {
        self.as_str()
    }
}

impl From<String> for ByteStr {
    fn from(text: String) -> Self {
        Self(Bytes::from(text))
    }
}

impl fmt::Debug for ByteStr {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), formatter)
    }
}

impl fmt::Display for ByteStr {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_text_is_text() {
        assert_eq!(&*ByteStr::new(Bytes::from_static(b"mkdirs")).unwrap(), "mkdirs");
        assert!(ByteStr::new(Bytes::from_static(b"\xff")).is_err());
        assert_eq!(format!("{} {:?}", ByteStr::from_static("a"), ByteStr::default()), "a \"\"");
    }
}
