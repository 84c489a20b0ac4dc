//! Names of files in a name folder's `current`.

/// Digits of a transaction id in a name.
const DIGITS: usize = 19;

/// What a file is, by its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FileName {
    /// `fsimage_N`: the namespace after transaction N.
    Image(u64),
    /// `fsimage_N.md5`
    ImageDigest(u64),
    /// `fsimage.ckpt_N`: an image being written.
    Checkpoint(u64),
    /// `edits_A-B`: a closed segment.
    Finalized(u64, u64),
    /// `edits_inprogress_A`: an open segment.
    InProgress(u64),
}

fn txid(digits: &str) -> Option<u64> {
    let all = digits.len() == DIGITS && digits.bytes().all(|byte| byte.is_ascii_digit());
    all.then(|| digits.parse().ok()).flatten()
}

impl FileName {
    /// Reads a name; `None` for all others, which are left alone.
    pub fn parse(name: &str) -> Option<Self> {
        if let Some(rest) = name.strip_prefix("fsimage_") {
            return match rest.strip_suffix(".md5") {
                Some(digits) => txid(digits).map(Self::ImageDigest),
                None => txid(rest).map(Self::Image),
            };
        }
        if let Some(digits) = name.strip_prefix("fsimage.ckpt_") {
            return txid(digits).map(Self::Checkpoint);
        }
        if let Some(digits) = name.strip_prefix("edits_inprogress_") {
            return txid(digits).map(Self::InProgress);
        }
        let (first, last) = name.strip_prefix("edits_")?.split_once('-')?;
        let (first, last) = (txid(first)?, txid(last)?);
        (first <= last).then_some(Self::Finalized(first, last))
    }

    /// The name.
    pub fn print(self) -> String {
        match self {
            Self::Image(txid) => format!("fsimage_{txid:019}"),
            Self::ImageDigest(txid) => format!("fsimage_{txid:019}.md5"),
            Self::Checkpoint(txid) => format!("fsimage.ckpt_{txid:019}"),
            Self::Finalized(first, last) => format!("edits_{first:019}-{last:019}"),
            Self::InProgress(first) => format!("edits_inprogress_{first:019}"),
        }
    }

    /// The path in a name folder.
    pub fn path(self) -> String {
        format!("{CURRENT}/{}", self.print())
    }
}

/// The folder with all files.
pub const CURRENT: &str = "current";
/// Path of VERSION.
pub const VERSION_PATH: &str = "current/VERSION";
/// Path of the file with the first transaction of the newest segment known to have begun.
pub const SEEN_TXID_PATH: &str = "current/seen_txid";

/// The text beside an image: `<md5> *<name>`.
pub(super) fn print_digest(md5: [u8; 16], txid: u64) -> String {
    format!("{} *{}\n", print_md5(md5), FileName::Image(txid).print())
}

/// Lower-case digits of an MD5.
pub fn print_md5(md5: [u8; 16]) -> String {
    md5.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Reads the digits of an MD5, in either case.
pub fn parse_md5(digits: &str) -> Option<[u8; 16]> {
    if digits.len() != 32 || !digits.is_ascii() {
        return None;
    }
    let mut md5 = [0; 16];
    for (at, byte) in md5.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&digits[2 * at..2 * at + 2], 16).ok()?;
    }
    Some(md5)
}

/// The MD5 in the text beside an image, if the text is about that image.
pub(super) fn parse_digest(text: &[u8], txid: u64) -> Option<[u8; 16]> {
    let text = std::str::from_utf8(text).ok()?.trim_end();
    let (digits, name) = text.split_once(" *")?;
    (name == FileName::Image(txid).print()).then(|| parse_md5(digits)).flatten()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn names_are_hadoops() {
        for (name, text) in [
            (FileName::Image(0), "fsimage_0000000000000000000"),
            (FileName::ImageDigest(12), "fsimage_0000000000000000012.md5"),
            (FileName::Checkpoint(12), "fsimage.ckpt_0000000000000000012"),
            (FileName::Finalized(1, 20), "edits_0000000000000000001-0000000000000000020"),
            (FileName::InProgress(21), "edits_inprogress_0000000000000000021"),
        ] {
            assert_eq!(name.print(), text);
            assert_eq!(FileName::parse(text), Some(name));
        }
    }

    #[test]
    fn other_names_are_left_alone() {
        for name in [
            "fsimage_1",
            "fsimage_+000000000000000001",
            "fsimage_0000000000000000012.md5.tmp",
            "fsimage_rollback_0000000000000000012",
            "edits_inprogress_0000000000000000021.empty",
            "edits_0000000000000000020-0000000000000000001",
            "edits_0000000000000000020",
            "VERSION",
        ] {
            assert_eq!(FileName::parse(name), None, "{name}");
        }
    }

    #[test]
    fn a_digest_is_for_one_image() {
        let text = print_digest([0xab; 16], 7);
        assert_eq!(text, format!("{} *fsimage_0000000000000000007\n", "ab".repeat(16)));
        assert_eq!(parse_digest(text.as_bytes(), 7), Some([0xab; 16]));
        assert_eq!(parse_digest(text.as_bytes(), 8), None);
        assert_eq!(parse_digest(&text.as_bytes()[1..], 7), None);
    }

    proptest! {
        #[test]
        fn any_name_is_read_without_panic(name: String) {
            if let Some(parsed) = FileName::parse(&name) {
                prop_assert_eq!(parsed.print(), name);
            }
        }
    }
}
