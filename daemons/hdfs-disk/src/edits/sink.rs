//! Writes the primitive pieces of edit log operations, big-endian. Appends to the caller's buffer
//! and allocates nothing of its own.

use super::op::RpcIds;
use super::text;
use crate::pb;
use crate::types::{AclEntry, BlockRecord, Permission, XAttr};

/// A text or list is longer than the format can say. Nothing was written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what} is too long for the edit log: {length} bytes, at most {length_max}")]
pub struct TooLong {
    /// Which part of the operation.
    pub what: &'static str,
    /// Its bytes.
    pub length: usize,
    /// What fits.
    pub length_max: usize,
}

/// Appends pieces; the first one that does not fit is remembered.
pub(super) struct Sink<'a> {
    pub(super) out: &'a mut Vec<u8>,
    pub(super) failure: Option<TooLong>,
}

impl Sink<'_> {
    fn fail(&mut self, what: &'static str, length: usize, length_max: usize) {
        self.failure.get_or_insert(TooLong { what, length, length_max });
    }

    #[inline]
    pub(super) fn u8(&mut self, value: u8) -> &mut Self {
        self.out.push(value);
        self
    }

    #[inline]
    pub(super) fn bool(&mut self, value: bool) -> &mut Self {
        self.u8(u8::from(value))
    }

    #[inline]
    pub(super) fn u16(&mut self, value: u16) -> &mut Self {
        self.out.extend_from_slice(&value.to_be_bytes());
        self
    }

    #[inline]
    pub(super) fn i32(&mut self, value: i32) -> &mut Self {
        self.out.extend_from_slice(&value.to_be_bytes());
        self
    }

    #[inline]
    pub(super) fn i64(&mut self, value: i64) -> &mut Self {
        self.out.extend_from_slice(&value.to_be_bytes());
        self
    }

    #[inline]
    pub(super) fn u64(&mut self, value: u64) -> &mut Self {
        self.out.extend_from_slice(&value.to_be_bytes());
        self
    }

    /// A list's or text's length as an int32.
    pub(super) fn count(&mut self, value: usize) -> &mut Self {
        if i32::try_from(value).is_err() {
            self.fail("a list", value, i32::MAX as usize);
        }
        self.i32(value as i32)
    }

    /// A text behind its length in two bytes.
    #[inline]
    pub(super) fn str(&mut self, value: &str) -> &mut Self {
        let at = self.out.len();
        self.out.extend_from_slice(&[0, 0]);
        text::put(self.out, value);
        let length = self.out.len() - at - 2;
        match u16::try_from(length) {
            Ok(length) => self.out[at..at + 2].copy_from_slice(&length.to_be_bytes()),
            Err(_) => self.fail("a text", length, u16::MAX as usize),
        }
        self
    }

    /// Hadoop's variable int, of one to nine bytes.
    #[inline]
    pub(super) fn vlong(&mut self, value: i64) -> &mut Self {
        if (-112..=127).contains(&value) {
            return self.u8(value as u8);
        }
        let (base, magnitude) =
            if value < 0 { (-120_i32, !value as u64) } else { (-112, value as u64) };
        let length = 8 - magnitude.leading_zeros() as usize / 8;
        self.u8((base - length as i32) as u8);
        self.out.extend_from_slice(&magnitude.to_be_bytes()[8 - length..]);
        self
    }

    /// Hadoop's `Text`: UTF-8 behind a variable int.
    #[inline]
    pub(super) fn text(&mut self, value: &str) -> &mut Self {
        self.vlong(value.len() as i64);
        self.out.extend_from_slice(value.as_bytes());
        self
    }

    #[inline]
    pub(super) fn permission(&mut self, value: &Permission) -> &mut Self {
        self.text(&value.user).text(&value.group).u16(value.mode)
    }

    pub(super) fn blocks(&mut self, blocks: &[BlockRecord]) -> &mut Self {
        self.count(blocks.len());
        for block in blocks {
            self.i64(block.id).u64(block.length).u64(block.stamp);
        }
        self
    }

    /// Lengths and stamps as differences to the block before.
    pub(super) fn compact_blocks<'b>(
        &mut self,
        count: usize,
        blocks: impl IntoIterator<Item = &'b BlockRecord>,
    ) -> &mut Self {
        self.vlong(count as i64);
        let (mut length, mut stamp) = (0_u64, 0_u64);
        for block in blocks {
            self.i64(block.id)
                .vlong(block.length.wrapping_sub(length) as i64)
                .vlong(block.stamp.wrapping_sub(stamp) as i64);
            (length, stamp) = (block.length, block.stamp);
        }
        self
    }

    pub(super) fn acl(&mut self, entries: &[AclEntry]) -> &mut Self {
        self.count(entries.len());
        for entry in entries {
            let word = (entry.scope as u8) << 5 | (entry.kind as u8) << 3 | entry.permission & 7;
            match &entry.name {
                Some(name) => self.u8(word | 1 << 6).str(name),
                None => self.u8(word),
            };
        }
        self
    }

    /// A delimited `XAttrEditLogProto`.
    pub(super) fn xattrs(&mut self, path: Option<&str>, xattrs: &[XAttr]) -> &mut Self {
        pb::put_delimited(self.out, |out| {
            if let Some(path) = path {
                pb::put_bytes(out, 1, path.as_bytes());
            }
            for xattr in xattrs {
                pb::put_message(out, 2, |out| {
                    pb::put_integer(out, 1, xattr.namespace as u64);
                    pb::put_bytes(out, 2, xattr.name.as_bytes());
                    if let Some(value) = &xattr.value {
                        pb::put_bytes(out, 3, value);
                    }
                });
            }
        });
        self
    }

    /// A delimited `AclEditLogProto`.
    pub(super) fn acl_message(&mut self, path: &str, entries: &[AclEntry]) -> &mut Self {
        pb::put_delimited(self.out, |out| {
            pb::put_bytes(out, 1, path.as_bytes());
            for entry in entries {
                pb::put_message(out, 2, |out| {
                    pb::put_integer(out, 1, entry.kind as u64);
                    pb::put_integer(out, 2, entry.scope as u64);
                    pb::put_integer(out, 3, u64::from(entry.permission & 7));
                    if let Some(name) = &entry.name {
                        pb::put_bytes(out, 4, name.as_bytes());
                    }
                });
            }
        });
        self
    }

    #[inline]
    pub(super) fn rpc(&mut self, ids: &RpcIds) -> &mut Self {
        match &ids.client_id {
            Some(client_id) => {
                self.u16(16);
                self.out.extend_from_slice(client_id);
            }
            None => {
                self.u16(0);
            }
        }
        self.i32(ids.call_id)
    }
}
