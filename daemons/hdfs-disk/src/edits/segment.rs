//! A segment of the edit log: one file's worth of operations with consecutive transaction ids.
//!
//! ```text
//! layout i32 = -67 | layout flags i32 = 0 | operations... | filler (0xFF, or 0x00) to the end
//! ```
//!
//! The reader tells three things apart: the clean end, the torn tail of a file that was being
//! written when the power went (cut; only in [`SegmentKind::InProgress`]), and damage (an error).

use super::op::EditOp;
use super::{code, decode, encode, tail};

/// The layout this crate writes: that of Hadoop 3.4.
pub const LAYOUT: i32 = -67;
/// The oldest layout it reads: that of Hadoop 3.2.
pub const LAYOUT_OLDEST: i32 = -65;
/// What preallocated room holds; as an opcode it means the end.
pub const FILLER: u8 = 0xff;
/// The first bytes of every segment we write.
pub const HEADER: [u8; HEADER_LENGTH] = [0xff, 0xff, 0xff, 0xbd, 0, 0, 0, 0];
/// Bytes before the first operation.
pub const HEADER_LENGTH: usize = 8;

/// Opcode, length, txid and checksum.
pub(super) const FRAME_LENGTH_MIN: usize = 17;

/// Whether a segment has been closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SegmentKind {
    /// Closed: whatever does not fit is damage.
    Finalized,
    /// Was open when its writer stopped: the last bytes may be missing.
    InProgress,
}

/// A segment that must not be replayed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SegmentError {
    /// The header is of no layout we know.
    #[error(
        "edit log segment has layout version {layout}, and versions {LAYOUT} to {LAYOUT_OLDEST} \
         can be read; use the release that wrote it"
    )]
    Layout {
        /// What the header says.
        layout: i32,
    },
    /// The bytes are not what was written.
    #[error(
        "edit log segment is damaged at byte {offset}, where transaction {txid} should be: \
         {reason}; put back a good copy of the file from another name folder, journal or backup"
    )]
    Corrupt {
        /// Where the first bad operation starts.
        offset: u64,
        /// The transaction expected there.
        txid: u64,
        /// What does not fit.
        reason: String,
    },
}

/// One operation's bytes, its checksum known to be good.
pub(super) struct Frame<'a> {
    pub(super) opcode: u8,
    pub(super) txid: u64,
    pub(super) body: &'a [u8],
    /// Bytes from opcode to checksum.
    pub(super) length: usize,
}

/// The length field of a frame, if it is all there and plausible: bytes from itself to the end of
/// the body.
pub(super) fn frame_length(bytes: &[u8]) -> Result<usize, &'static str> {
    let field = bytes.get(1..5).ok_or("the file ends inside an operation")?;
    let length = u32::from_be_bytes(field.try_into().expect("four bytes")) as usize;
    if !(FRAME_LENGTH_MIN - 5..=encode::OP_LENGTH_MAX).contains(&length) {
        return Err("the length of an operation is impossible");
    }
    Ok(length)
}

/// The frame at the start of the bytes.
pub(super) fn frame(bytes: &[u8]) -> Result<Frame<'_>, &'static str> {
    let length = frame_length(bytes)?;
    if bytes[0] > code::LAST {
        return Err("the opcode is unknown");
    }
    let checked = bytes.get(..1 + length).ok_or("the file ends inside an operation")?;
    let checksum = bytes.get(1 + length..5 + length).ok_or("the file ends inside an operation")?;
    if checksum != crc_fast::crc32_iso_hdlc(checked).to_be_bytes() {
        return Err("the checksum of an operation is wrong");
    }
    let txid = u64::from_be_bytes(checked[5..13].try_into().expect("eight bytes"));
    Ok(Frame { opcode: bytes[0], txid, body: &checked[13..], length: length + 5 })
}

/// Whether the bytes are nothing but filler.
fn is_filler(bytes: &[u8]) -> bool {
    bytes.iter().all(|byte| *byte == FILLER) || bytes.iter().all(|byte| matches!(byte, 0xff | 0))
}

/// Whether there is no more than a part of the header, and filler after it.
fn is_unbegun(bytes: &[u8]) -> bool {
    let written = bytes.iter().zip(HEADER).take_while(|(byte, expected)| *byte == expected);
    let written = written.count();
    is_filler(bytes) || (written < HEADER_LENGTH && is_filler(&bytes[written..]))
}

/// Reads a segment's operations in order.
#[derive(Debug)]
pub struct SegmentReader<'a> {
    bytes: &'a [u8],
    kind: SegmentKind,
    layout: i32,
    at: usize,
    next_txid: u64,
    ended: bool,
    torn: bool,
}

impl<'a> SegmentReader<'a> {
    /// Reads the header. `first_txid` is the one in the file's name. A segment in progress that was
    /// never given its header has no operations.
    ///
    /// # Errors
    /// A layout that cannot be read, or a damaged header.
    pub fn open(bytes: &'a [u8], kind: SegmentKind, first_txid: u64) -> Result<Self, SegmentError> {
        let mut reader = Self {
            bytes,
            kind,
            layout: LAYOUT,
            at: 0,
            next_txid: first_txid,
            ended: false,
            torn: false,
        };
        let Some(header) = bytes.first_chunk::<HEADER_LENGTH>() else {
            return reader.end_at_header();
        };
        if kind == SegmentKind::InProgress && is_unbegun(bytes) {
            return reader.end_at_header();
        }
        let [layout, flags] = [&header[..4], &header[4..]]
            .map(|word| i32::from_be_bytes(word.try_into().expect("four bytes")));
        if !(LAYOUT..=LAYOUT_OLDEST).contains(&layout) {
            return Err(SegmentError::Layout { layout });
        }
        if flags != 0 {
            return Err(reader.corrupt("the header has layout flags, which no layout defines"));
        }
        reader.layout = layout;
        reader.at = HEADER_LENGTH;
        Ok(reader)
    }

    fn end_at_header(mut self) -> Result<Self, SegmentError> {
        if self.kind == SegmentKind::Finalized {
            return Err(self.corrupt("the file ends inside its header"));
        }
        self.ended = true;
        self.torn = !self.bytes.is_empty();
        Ok(self)
    }

    fn corrupt(&self, reason: impl Into<String>) -> SegmentError {
        SegmentError::Corrupt {
            offset: self.at as u64,
            txid: self.next_txid,
            reason: reason.into(),
        }
    }

    /// The next operation with its transaction id, or `None` at the end.
    ///
    /// # Errors
    /// Damage; the reader then stays where it is.
    pub fn next_op(&mut self) -> Result<Option<(u64, EditOp)>, SegmentError> {
        let Some(frame) = self.peek()? else { return Ok(None) };
        let op = decode::decode(frame.opcode, frame.body, self.layout)
            .map_err(|reason| self.corrupt(format!("OP_{}: {reason}", code::word(frame.opcode))))?;
        self.advance(&frame);
        Ok(Some((frame.txid, op)))
    }

    /// Goes over the next operation by its checksum alone; `None` at the end.
    ///
    /// # Errors
    /// Damage; the reader then stays where it is.
    pub fn skip_op(&mut self) -> Result<Option<u64>, SegmentError> {
        let Some(frame) = self.peek()? else { return Ok(None) };
        self.advance(&frame);
        Ok(Some(frame.txid))
    }

    fn advance(&mut self, frame: &Frame<'_>) {
        self.at += frame.length;
        self.next_txid = self.next_txid.saturating_add(1);
    }

    #[inline]
    fn peek(&mut self) -> Result<Option<Frame<'a>>, SegmentError> {
        if self.ended {
            return Ok(None);
        }
        let rest = &self.bytes[self.at..];
        match frame(rest) {
            Ok(frame) if frame.txid == self.next_txid => Ok(Some(frame)),
            Ok(frame) => Err(self.corrupt(format!("it is transaction {}", frame.txid))),
            Err(reason) => self.end(rest, reason),
        }
    }

    /// Not an operation: clean end, torn tail or damage.
    fn end(
        &mut self,
        rest: &[u8],
        reason: &'static str,
    ) -> Result<Option<Frame<'a>>, SegmentError> {
        if !is_filler(rest) {
            if self.kind == SegmentKind::Finalized {
                return Err(self.corrupt(reason));
            }
            tail::torn(self.bytes, self.at, self.next_txid)
                .map_err(|damage| self.corrupt(damage.unwrap_or(reason)))?;
            self.torn = true;
        }
        self.ended = true;
        Ok(None)
    }

    /// Layout version of the segment.
    pub fn layout(&self) -> i32 {
        self.layout
    }

    /// Bytes up to and with the last operation read.
    pub fn good_length(&self) -> u64 {
        self.at as u64
    }

    /// The transaction that would come next.
    pub fn next_txid(&self) -> u64 {
        self.next_txid
    }

    /// Whether a torn tail was found and cut.
    pub fn is_torn(&self) -> bool {
        self.torn
    }
}
