//! Writes an image as a stream, in the order and with the sections that Java has. At most one
//! buffer
//! of it is in memory; the MD5 is taken on the way.

use std::io::Write;

use md5::{Digest, Md5};

use super::inode;
use super::layout::{MAGIC, ONDISK_VERSION, Section};
use super::section;
use super::strings::{MASK_BITS, StringTable};
use super::value::{
    CacheManager, ErasureCodingPolicy, ImageError, Inode, NameSystem, Secrets, Snapshots,
};
use crate::edits::LAYOUT;
use crate::pb;
use crate::proto::image::{
    FileSummary, INodeSection, StringTableSection, file_summary, string_table_section,
};

/// The buffer goes out from this length on.
const BUFFER_LENGTH: usize = 256 << 10;

/// What comes before the inodes.
#[derive(Debug, Clone, Copy)]
pub struct ImageHead<'a> {
    /// Counters.
    pub name_system: NameSystem,
    /// All policies with their state; [`ErasureCodingPolicy::system`] for a new namespace.
    pub erasure_coding: &'a [ErasureCodingPolicy],
    /// Newest inode id.
    pub last_inode_id: u64,
    /// How many inodes will follow.
    pub inode_count: u64,
}

/// What comes after the files under construction.
#[derive(Debug, Clone, Copy)]
pub struct ImageTail<'a> {
    /// Directories that allow snapshots.
    pub snapshots: &'a Snapshots,
    /// Tokens and keys.
    pub secrets: &'a Secrets,
    /// Cache pools and directives.
    pub cache: &'a CacheManager,
    /// All names that inodes refer to.
    pub strings: &'a StringTable,
}

/// What was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ImageDigest {
    /// Bytes.
    pub length: u64,
    /// Of the whole file.
    pub md5: [u8; 16],
}

/// Writes an image: [`ImageWriter::begin`], then every inode, every directory with children, every
/// file under construction, then [`ImageWriter::finish`].
///
/// # Panics
/// All methods when called out of that order, or with another number of inodes than promised: the
/// image would be wrong.
#[derive(Debug)]
pub struct ImageWriter<W> {
    out: W,
    md5: Md5,
    buffer: Vec<u8>,
    /// Bytes that left the buffer.
    written: u64,
    /// Where the open section starts.
    start: u64,
    open: Section,
    inodes_left: u64,
    sections: Vec<file_summary::Section>,
}

impl<W: Write> ImageWriter<W> {
    /// Writes what comes before the inodes.
    ///
    /// # Errors
    /// The destination's.
    pub fn begin(out: W, head: &ImageHead<'_>) -> Result<Self, ImageError> {
        let mut writer = Self {
            out,
            md5: Md5::new(),
            buffer: Vec::with_capacity(BUFFER_LENGTH * 2),
            written: 0,
            start: MAGIC.len() as u64,
            open: Section::NameSystem,
            inodes_left: head.inode_count,
            sections: Vec::new(),
        };
        writer.buffer.extend_from_slice(MAGIC);
        head.name_system.write(&mut writer.buffer);
        writer.enter(Section::ErasureCoding);
        section::write_policies(&mut writer.buffer, head.erasure_coding);
        writer.enter(Section::Inode);
        let inodes = INodeSection {
            last_inode_id: Some(head.last_inode_id),
            num_inodes: Some(head.inode_count),
        };
        section::put(&mut writer.buffer, &inodes);
        Ok(writer)
    }

    /// Writes one inode, in any order.
    ///
    /// # Errors
    /// The destination's.
    pub fn inode(&mut self, inode: &Inode<'_>) -> Result<(), ImageError> {
        assert!(self.open == Section::Inode, "inodes come before {}", self.open.name());
        let left = self.inodes_left.checked_sub(1);
        self.inodes_left = left.expect("there are as many inodes as promised");
        inode::write(&mut self.buffer, inode);
        self.drain()
    }

    /// Writes one directory's children, **sorted by the bytes of their names**; a directory without
    /// children may be left out.
    ///
    /// # Errors
    /// The destination's.
    pub fn directory(
        &mut self,
        parent: u64,
        children: impl IntoIterator<Item = u64>,
    ) -> Result<(), ImageError> {
        self.enter(Section::Directory);
        let mut children = children.into_iter().peekable();
        if children.peek().is_none() {
            return Ok(());
        }
        pb::put_delimited(&mut self.buffer, |out| {
            pb::put_integer(out, 1, parent);
            pb::put_message(out, 2, |out| {
                for child in children {
                    pb::put_varint(out, child);
                }
            });
        });
        self.drain()
    }

    /// Writes one file that a client writes.
    ///
    /// # Errors
    /// The destination's.
    pub fn file_under_construction(&mut self, inode: u64, path: &str) -> Result<(), ImageError> {
        self.enter(Section::UnderConstruction);
        pb::put_delimited(&mut self.buffer, |out| {
            pb::put_integer(out, 1, inode);
            pb::put_bytes(out, 2, path.as_bytes());
        });
        self.drain()
    }

    /// Writes the rest and gives the destination back, not synced.
    ///
    /// # Errors
    /// The destination's, and a string table that has more names than ids.
    pub fn finish(mut self, tail: &ImageTail<'_>) -> Result<(W, ImageDigest), ImageError> {
        if !tail.strings.fits() {
            return Err(ImageError::Unsupported {
                what: "more than 16777215 users, groups or attribute names".to_owned(),
                remedy: "remove some; the format has no ids for more",
            });
        }
        self.enter(Section::Snapshot);
        tail.snapshots.write(&mut self.buffer);
        self.enter(Section::Reference);
        self.enter(Section::SecretManager);
        tail.secrets.write(&mut self.buffer);
        self.enter(Section::CacheManager);
        tail.cache.write(&mut self.buffer);
        self.enter(Section::StringTable);
        self.strings(tail.strings)?;
        self.close_section();
        self.summary();
        self.flush()?;
        self.out.flush()?;
        let digest = ImageDigest { length: self.written, md5: self.md5.finalize().into() };
        Ok((self.out, digest))
    }

    fn strings(&mut self, strings: &StringTable) -> Result<(), ImageError> {
        let head = StringTableSection {
            num_entry: Some(strings.stored().count() as u32),
            mask_bits: Some(MASK_BITS),
        };
        section::put(&mut self.buffer, &head);
        for (id, text) in strings.stored() {
            let entry = string_table_section::Entry { id: Some(id), str: Some(text.to_owned()) };
            section::put(&mut self.buffer, &entry);
            self.drain()?;
        }
        Ok(())
    }

    fn summary(&mut self) {
        let summary = FileSummary {
            ondisk_version: ONDISK_VERSION,
            layout_version: LAYOUT as u32,
            codec: None,
            sections: std::mem::take(&mut self.sections),
        };
        let start = self.buffer.len();
        section::put(&mut self.buffer, &summary);
        let length = (self.buffer.len() - start) as u32;
        self.buffer.extend_from_slice(&length.to_be_bytes());
    }

    fn position(&self) -> u64 {
        self.written + self.buffer.len() as u64
    }

    fn close_section(&mut self) {
        let end = self.position();
        self.sections.push(file_summary::Section {
            name: Some(self.open.name().to_owned()),
            length: Some(end - self.start),
            offset: Some(self.start),
        });
        self.start = end;
    }

    /// Closes sections until this one is open; those in between are empty.
    fn enter(&mut self, section: Section) {
        assert!(self.open <= section, "{} comes after {}", self.open.name(), section.name());
        while self.open != section {
            assert!(self.open != Section::Inode || self.inodes_left == 0, "all inodes are written");
            if self.open != Section::SnapshotDiff {
                self.close_section();
            }
            let next = Section::ALL.iter().find(|each| **each > self.open);
            self.open = *next.expect("the section is one of all");
        }
    }

    fn drain(&mut self) -> Result<(), ImageError> {
        if self.buffer.len() >= BUFFER_LENGTH { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> Result<(), ImageError> {
        self.md5.update(&self.buffer);
        self.out.write_all(&self.buffer)?;
        self.written += self.buffer.len() as u64;
        self.buffer.clear();
        Ok(())
    }
}
