//! Reads an image: the summary at the end says where each section is, the small sections are read
//! at
//! once, and the large ones give their values one after the other.

use super::inode::{self, Scratch};
use super::section;
use super::strings::StringTable;
use super::value::{
    CacheManager, ErasureCodingPolicy, ImageError, Inode, NameSystem, Secrets, Snapshots,
};
use super::{Section, layout::MAGIC, layout::ONDISK_VERSION};
use crate::edits::{LAYOUT, LAYOUT_OLDEST};
use crate::pb::{self, Fields, Malformed};
use crate::proto::image::{FileSummary, INodeSection, StringTableSection, string_table_section};

/// Sections that only repeat where parts of others begin, for parallel loading.
const INDEX_SECTIONS: [&str; 3] = ["INODE_SUB", "INODE_DIR_SUB", "SNAPSHOT_DIFF_SUB"];

const NO_SNAPSHOTS: &str = "delete all snapshots with the release that wrote the image, let it \
    save \
                            its namespace, and start again";

/// Bytes of one section that are left to read, and where they are in the file.
#[derive(Debug, Clone, Copy)]
struct Cursor<'a> {
    section: Section,
    bytes: &'a [u8],
    start: u64,
    at: usize,
}

impl<'a> Cursor<'a> {
    fn corrupt(&self, reason: impl Into<String>) -> ImageError {
        ImageError::Corrupt {
            section: self.section.name(),
            offset: self.start + self.at as u64,
            reason: reason.into(),
        }
    }

    /// Reads one thing; errors say where.
    fn read<T>(
        &mut self,
        read: impl FnOnce(&'a [u8], &mut usize) -> Result<T, Malformed>,
    ) -> Result<T, ImageError> {
        let mut at = self.at;
        let value = read(self.bytes, &mut at).map_err(|reason| self.corrupt(reason))?;
        self.at = at;
        Ok(value)
    }

    fn message<M: prost::Message + Default>(&mut self) -> Result<M, ImageError> {
        self.read(section::message)
    }

    fn is_empty(&self) -> bool {
        self.at >= self.bytes.len()
    }

    fn end(&self) -> Result<(), ImageError> {
        if self.is_empty() {
            return Ok(());
        }
        Err(self.corrupt("there are bytes after the section's content"))
    }
}

/// An image whose small sections are read. Its checksum is not looked at here.
#[derive(Debug)]
pub struct ImageReader<'a> {
    /// Counters.
    pub name_system: NameSystem,
    /// Users, groups and attribute names.
    pub strings: StringTable,
    /// Policies and their state.
    pub erasure_coding: Vec<ErasureCodingPolicy>,
    /// Directories that allow snapshots.
    pub snapshots: Snapshots,
    /// Tokens and keys.
    pub secrets: Secrets,
    /// Cache pools and directives.
    pub cache: CacheManager,
    /// Newest inode id.
    pub last_inode_id: u64,
    /// How many inodes follow.
    pub inode_count: u64,
    /// Layout version of the image.
    pub layout: i32,
    inodes: Cursor<'a>,
    directories: Cursor<'a>,
    under_construction: Cursor<'a>,
}

impl<'a> ImageReader<'a> {
    /// Reads the summary and all small sections.
    ///
    /// # Errors
    /// Bytes that are not an image, another layout or compression, and content that could not be
    /// kept: snapshots, references to inodes in snapshots, unknown sections.
    pub fn open(bytes: &'a [u8]) -> Result<Self, ImageError> {
        let (summary, end) = summary(bytes)?;
        let layout = summary.layout_version as i32;
        let find = |section| find(bytes, &summary, end, section);
        let mut name_system = find(Section::NameSystem)?;
        let mut policies = find(Section::ErasureCoding)?;
        let mut inodes = find(Section::Inode)?;
        let head: INodeSection = inodes.message()?;
        let mut secrets = find(Section::SecretManager)?;
        let mut cache = find(Section::CacheManager)?;
        let reader = Self {
            name_system: name_system.read(NameSystem::read)?,
            strings: strings(find(Section::StringTable)?)?,
            erasure_coding: policies.read(section::read_policies)?,
            snapshots: snapshots(find(Section::Snapshot)?)?,
            secrets: secrets.read(Secrets::read)?,
            cache: cache.read(CacheManager::read)?,
            last_inode_id: head.last_inode_id(),
            inode_count: head.num_inodes(),
            layout,
            inodes,
            directories: find(Section::Directory)?,
            under_construction: find(Section::UnderConstruction)?,
        };
        for cursor in [name_system, policies, secrets, cache] {
            cursor.end()?;
        }
        refuse_content(find(Section::Reference)?, "references to inodes of snapshots")?;
        Ok(reader)
    }

    /// The inodes, in file order.
    pub fn inodes(&self) -> Inodes<'a> {
        Inodes { cursor: self.inodes, left: self.inode_count, scratch: Scratch::default() }
    }

    /// The directories that have children.
    pub fn directories(&self) -> Directories<'a> {
        Directories { cursor: self.directories, children: Vec::new() }
    }

    /// The files that clients write.
    pub fn files_under_construction(&self) -> FilesUnderConstruction<'a> {
        FilesUnderConstruction { cursor: self.under_construction }
    }
}

fn corrupt_file(offset: usize, reason: impl Into<String>) -> ImageError {
    ImageError::Corrupt { section: "the file", offset: offset as u64, reason: reason.into() }
}

/// The summary, and where it starts.
fn summary(bytes: &[u8]) -> Result<(FileSummary, usize), ImageError> {
    if !bytes.starts_with(MAGIC) {
        return Err(corrupt_file(0, "it does not begin with HDFSIMG1"));
    }
    let Some((content, length)) = bytes[MAGIC.len()..].split_last_chunk::<4>() else {
        return Err(corrupt_file(bytes.len(), "it ends before its summary"));
    };
    let length = u32::from_be_bytes(*length) as usize;
    let Some(start) = content.len().checked_sub(length) else {
        return Err(corrupt_file(bytes.len() - 4, "the summary is longer than the file"));
    };
    let mut at = 0;
    let start_in_file = start + MAGIC.len();
    let summary: FileSummary = section::message(&content[start..], &mut at)
        .map_err(|reason| corrupt_file(start_in_file, format!("the summary: {reason}")))?;
    if at != length {
        return Err(corrupt_file(start_in_file, "the summary has another length than it says"));
    }
    check_summary(&summary, start_in_file)?;
    Ok((summary, start_in_file))
}

fn check_summary(summary: &FileSummary, start: usize) -> Result<(), ImageError> {
    if summary.ondisk_version != ONDISK_VERSION {
        let reason = format!("image format {} where 1 is known", summary.ondisk_version);
        return Err(corrupt_file(start, reason));
    }
    let layout = summary.layout_version as i32;
    if !(LAYOUT..=LAYOUT_OLDEST).contains(&layout) {
        return Err(ImageError::Unsupported {
            what: format!("layout version {layout} ({LAYOUT} to {LAYOUT_OLDEST} can be read)"),
            remedy: "use the release that wrote it",
        });
    }
    if let Some(codec) = summary.codec.as_deref().filter(|codec| !codec.is_empty()) {
        return Err(ImageError::Unsupported {
            what: format!("sections compressed with {codec}"),
            remedy: "set dfs.image.compress to false where it was written, and save the namespace \
                     there once more",
        });
    }
    for section in &summary.sections {
        let name = section.name();
        let known = Section::ALL.iter().any(|each| each.name() == name);
        if name == Section::SnapshotDiff.name() && section.length() > 0 {
            return Err(ImageError::Unsupported {
                what: "differences of snapshots (section SNAPSHOT_DIFF)".to_owned(),
                remedy: NO_SNAPSHOTS,
            });
        }
        if !known && !INDEX_SECTIONS.contains(&name) {
            return Err(ImageError::Unsupported {
                what: format!("a section {name}"),
                remedy: "use the release that wrote it",
            });
        }
    }
    Ok(())
}

/// A section's bytes; none when there is no such section.
fn find<'a>(
    bytes: &'a [u8],
    summary: &FileSummary,
    end: usize,
    section: Section,
) -> Result<Cursor<'a>, ImageError> {
    let mut entries = summary.sections.iter().filter(|entry| entry.name() == section.name());
    let (entry, second) = (entries.next(), entries.next());
    let Some(entry) = entry else {
        if section.is_required() {
            let reason = format!("there is no section {}", section.name());
            return Err(corrupt_file(end, reason));
        }
        return Ok(Cursor { section, bytes: &[], start: end as u64, at: 0 });
    };
    if second.is_some() {
        return Err(corrupt_file(end, format!("there are two sections {}", section.name())));
    }
    let range = usize::try_from(entry.offset()).ok().zip(usize::try_from(entry.length()).ok());
    let part = range
        .filter(|(offset, _)| *offset >= MAGIC.len())
        .and_then(|(offset, length)| bytes[..end].get(offset..)?.get(..length));
    let Some(part) = part else {
        let reason = format!("section {} is outside of the file", section.name());
        return Err(corrupt_file(end, reason));
    };
    Ok(Cursor { section, bytes: part, start: entry.offset(), at: 0 })
}

fn strings(mut cursor: Cursor<'_>) -> Result<StringTable, ImageError> {
    let head: StringTableSection = cursor.message()?;
    let mut strings = StringTable::default();
    for _ in 0..head.num_entry() {
        let entry: string_table_section::Entry = cursor.message()?;
        strings
            .insert_stored(entry.id(), head.mask_bits(), entry.str())
            .map_err(|reason| cursor.corrupt(reason))?;
    }
    cursor.end()?;
    Ok(strings)
}

fn snapshots(mut cursor: Cursor<'_>) -> Result<Snapshots, ImageError> {
    if cursor.is_empty() {
        return Ok(Snapshots::default());
    }
    let (snapshots, count) = cursor.read(Snapshots::read)?;
    if count > 0 {
        return Err(ImageError::Unsupported {
            what: format!("{count} snapshots (section SNAPSHOT)"),
            remedy: NO_SNAPSHOTS,
        });
    }
    cursor.end()?;
    Ok(snapshots)
}

fn refuse_content(cursor: Cursor<'_>, what: &str) -> Result<(), ImageError> {
    if cursor.is_empty() {
        return Ok(());
    }
    let what = format!("{what} (section {})", cursor.section.name());
    Err(ImageError::Unsupported { what, remedy: NO_SNAPSHOTS })
}

/// Inodes one after the other; each is valid until the next.
#[derive(Debug)]
pub struct Inodes<'a> {
    cursor: Cursor<'a>,
    left: u64,
    scratch: Scratch<'a>,
}

impl<'a> Inodes<'a> {
    /// The next inode, or `None` after the last.
    ///
    /// # Errors
    /// A damaged inode, or another number of them than promised.
    pub fn next_inode(&mut self) -> Result<Option<Inode<'_>>, ImageError> {
        if self.left == 0 {
            return self.cursor.end().map(|()| None);
        }
        let body: &'a [u8] = self.cursor.read(pb::delimited)?;
        self.left -= 1;
        let cursor = &self.cursor;
        inode::read(body, &mut self.scratch).map(Some).map_err(|reason| cursor.corrupt(reason))
    }
}

/// Directories with their children, one after the other; each is valid until the next.
#[derive(Debug)]
pub struct Directories<'a> {
    cursor: Cursor<'a>,
    children: Vec<u64>,
}

impl Directories<'_> {
    /// The next directory's id and its children's ids by name, or `None` after the last.
    ///
    /// # Errors
    /// A damaged entry, or one with children that only snapshots have.
    pub fn next_directory(&mut self) -> Result<Option<(u64, &[u64])>, ImageError> {
        if self.cursor.is_empty() {
            return Ok(None);
        }
        let children = &mut self.children;
        let entry = self.cursor.read(|bytes, at| directory(pb::delimited(bytes, at)?, children))?;
        let Some(parent) = entry else {
            return Err(ImageError::Unsupported {
                what: "children that are references into snapshots (section INODE_DIR)".to_owned(),
                remedy: NO_SNAPSHOTS,
            });
        };
        Ok(Some((parent, children)))
    }
}

/// The parent; `None` when there are references.
fn directory(body: &[u8], children: &mut Vec<u64>) -> Result<Option<u64>, Malformed> {
    children.clear();
    let (mut parent, mut references) = (None, false);
    let mut fields = Fields::new(body);
    while let Some((number, value)) = fields.next()? {
        match (number, value) {
            (1, value) => parent = Some(value.integer()?),
            (2, pb::Value::Bytes(packed)) => {
                let mut at = 0;
                while at < packed.len() {
                    children.push(pb::varint(packed, &mut at)?);
                }
            }
            (2, value) => children.push(value.integer()?),
            (3, pb::Value::Bytes(packed)) => references |= !packed.is_empty(),
            (3, _) => references = true,
            _ => {}
        }
    }
    let parent = parent.ok_or("a directory entry has no parent")?;
    Ok((!references).then_some(parent))
}

/// Files that clients write, one after the other.
#[derive(Debug)]
pub struct FilesUnderConstruction<'a> {
    cursor: Cursor<'a>,
}

impl<'a> FilesUnderConstruction<'a> {
    /// The next file's inode id and full path, or `None` after the last.
    ///
    /// # Errors
    /// A damaged entry.
    pub fn next_file(&mut self) -> Result<Option<(u64, &'a str)>, ImageError> {
        if self.cursor.is_empty() {
            return Ok(None);
        }
        self.cursor.read(|bytes, at| {
            let mut fields = Fields::new(pb::delimited(bytes, at)?);
            let (mut id, mut path) = (None, None);
            while let Some((number, value)) = fields.next()? {
                match number {
                    1 => id = Some(value.integer()?),
                    2 => path = Some(value.text()?),
                    _ => {}
                }
            }
            Ok(Some((id.ok_or("an entry has no inode id")?, path.ok_or("an entry has no path")?)))
        })
    }
}
