//! Reads the primitive pieces of edit log operations. Nothing is allocated by a promised count: a
//! list's room is bounded by the bytes that are left.

use super::op::RpcIds;
use super::text;
use crate::pb::{self, Fields, Malformed};
use crate::types::{AclEntry, AclKind, AclScope, BlockRecord, Permission, XAttr, XAttrNamespace};

/// The body of one operation.
pub(super) struct Source<'a> {
    bytes: &'a [u8],
    /// Layout version of the segment.
    pub(super) layout: i32,
}

impl<'a> Source<'a> {
    pub(super) fn new(bytes: &'a [u8], layout: i32) -> Self {
        Self { bytes, layout }
    }

    /// Whether all bytes were read.
    pub(super) fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    #[inline]
    fn take(&mut self, length: usize) -> Result<&'a [u8], Malformed> {
        let (head, rest) =
            self.bytes.split_at_checked(length).ok_or("a field runs past the operation")?;
        self.bytes = rest;
        Ok(head)
    }

    #[inline]
    fn array<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        let (head, rest) =
            self.bytes.split_first_chunk().ok_or("a field runs past the operation")?;
        self.bytes = rest;
        Ok(*head)
    }

    #[inline]
    pub(super) fn u8(&mut self) -> Result<u8, Malformed> {
        self.array::<1>().map(|[byte]| byte)
    }

    pub(super) fn bool(&mut self) -> Result<bool, Malformed> {
        self.u8().map(|byte| byte != 0)
    }

    #[inline]
    pub(super) fn u16(&mut self) -> Result<u16, Malformed> {
        self.array().map(u16::from_be_bytes)
    }

    #[inline]
    pub(super) fn i32(&mut self) -> Result<i32, Malformed> {
        self.array().map(i32::from_be_bytes)
    }

    #[inline]
    pub(super) fn i64(&mut self) -> Result<i64, Malformed> {
        self.array().map(i64::from_be_bytes)
    }

    #[inline]
    pub(super) fn u64(&mut self) -> Result<u64, Malformed> {
        self.array().map(u64::from_be_bytes)
    }

    /// An int32 count of things of at least `size` bytes each.
    pub(super) fn count(&mut self, size: usize) -> Result<usize, Malformed> {
        let count = self.i32()?;
        self.bounded(i64::from(count), size)
    }

    fn bounded(&self, count: i64, size: usize) -> Result<usize, Malformed> {
        usize::try_from(count)
            .ok()
            .filter(|count| *count <= self.bytes.len() / size)
            .ok_or("a list is longer than the operation")
    }

    #[inline]
    pub(super) fn str(&mut self) -> Result<String, Malformed> {
        let length = self.u16()?;
        text::read(self.take(usize::from(length))?)
    }

    /// A text of which empty means none.
    pub(super) fn some_str(&mut self) -> Result<Option<String>, Malformed> {
        self.str().map(|text| Some(text).filter(|text| !text.is_empty()))
    }

    #[inline]
    pub(super) fn vlong(&mut self) -> Result<i64, Malformed> {
        let first = i32::from(self.u8()? as i8);
        if first >= -112 {
            return Ok(i64::from(first));
        }
        let (length, mask) = if first >= -120 { (-112 - first, 0) } else { (-120 - first, !0) };
        let bytes = self.take(length as usize)?;
        let value = bytes.iter().fold(0_u64, |value, byte| value << 8 | u64::from(*byte));
        Ok((value ^ mask) as i64)
    }

    pub(super) fn vint(&mut self) -> Result<i32, Malformed> {
        i32::try_from(self.vlong()?).map_err(|_| "a variable int has more than 32 bits")
    }

    #[inline]
    pub(super) fn text(&mut self) -> Result<String, Malformed> {
        let length = self.vlong()?;
        let length = self.bounded(length, 1)?;
        let text = std::str::from_utf8(self.take(length)?);
        text.map(str::to_owned).map_err(|_| "a string is not UTF-8")
    }

    /// Bytes behind a variable int; -1 means none.
    pub(super) fn some_bytes(&mut self) -> Result<Option<Vec<u8>>, Malformed> {
        let length = self.vlong()?;
        if length == -1 {
            return Ok(None);
        }
        let length = self.bounded(length, 1)?;
        Ok(Some(self.take(length)?.to_vec()))
    }

    #[inline]
    pub(super) fn permission(&mut self) -> Result<Permission, Malformed> {
        Ok(Permission { user: self.text()?, group: self.text()?, mode: self.u16()? })
    }

    pub(super) fn blocks(&mut self) -> Result<Vec<BlockRecord>, Malformed> {
        let count = self.count(24)?;
        let mut block =
            || Ok(BlockRecord { id: self.i64()?, length: self.u64()?, stamp: self.u64()? });
        (0..count).map(|_| block()).collect()
    }

    pub(super) fn compact_blocks(&mut self) -> Result<Vec<BlockRecord>, Malformed> {
        let count = self.vlong()?;
        let count = self.bounded(count, 10)?;
        let mut last = BlockRecord::default();
        let mut block = || {
            let id = self.i64()?;
            let length = last.length.wrapping_add(self.vlong()? as u64);
            let stamp = last.stamp.wrapping_add(self.vlong()? as u64);
            last = BlockRecord { id, length, stamp };
            Ok(last)
        };
        (0..count).map(|_| block()).collect()
    }

    pub(super) fn acl(&mut self) -> Result<Vec<AclEntry>, Malformed> {
        let count = self.count(1)?;
        (0..count).map(|_| self.acl_entry()).collect()
    }

    fn acl_entry(&mut self) -> Result<AclEntry, Malformed> {
        let word = self.u8()?;
        if word >> 7 != 0 {
            return Err("an ACL entry has bits that mean nothing");
        }
        Ok(AclEntry {
            scope: if word >> 5 & 1 == 0 { AclScope::Access } else { AclScope::Default },
            kind: AclKind::from_number(word >> 3 & 3).expect("two bits name four kinds"),
            name: if word >> 6 & 1 == 0 { None } else { Some(self.str()?) },
            permission: word & 7,
        })
    }

    fn message(&mut self) -> Result<Fields<'a>, Malformed> {
        let mut at = 0;
        let body = pb::delimited(self.bytes, &mut at)?;
        self.bytes = &self.bytes[at..];
        Ok(Fields::new(body))
    }

    /// A delimited `XAttrEditLogProto`: path and attributes.
    pub(super) fn xattrs(&mut self) -> Result<(String, Vec<XAttr>), Malformed> {
        let mut fields = self.message()?;
        let (mut path, mut xattrs) = (String::new(), Vec::new());
        while let Some((number, value)) = fields.next()? {
            match number {
                1 => path = value.text()?.to_owned(),
                2 => xattrs.push(xattr(value.bytes()?)?),
                _ => {}
            }
        }
        Ok((path, xattrs))
    }

    /// A delimited `AclEditLogProto`: path and entries.
    pub(super) fn acl_message(&mut self) -> Result<(String, Vec<AclEntry>), Malformed> {
        let mut fields = self.message()?;
        let (mut path, mut entries) = (None, Vec::new());
        while let Some((number, value)) = fields.next()? {
            match number {
                1 => path = Some(value.text()?.to_owned()),
                2 => entries.push(acl_entry(value.bytes()?)?),
                _ => {}
            }
        }
        Ok((path.ok_or("an ACL operation has no path")?, entries))
    }

    #[inline]
    pub(super) fn rpc(&mut self) -> Result<RpcIds, Malformed> {
        let client_id = match self.u16()? {
            0 => None,
            16 => Some(self.array()?),
            _ => return Err("a client id has neither 0 nor 16 bytes"),
        };
        Ok(RpcIds { client_id, call_id: self.i32()? })
    }
}

fn small(value: u64) -> u8 {
    u8::try_from(value).unwrap_or(u8::MAX)
}

fn xattr(bytes: &[u8]) -> Result<XAttr, Malformed> {
    let mut fields = Fields::new(bytes);
    let (mut namespace, mut name, mut content) = (None, None, None);
    while let Some((number, value)) = fields.next()? {
        match number {
            1 => namespace = XAttrNamespace::from_number(small(value.integer()?)),
            2 => name = Some(value.text()?.to_owned()),
            3 => content = Some(value.bytes()?.to_vec()),
            _ => {}
        }
    }
    Ok(XAttr {
        namespace: namespace.ok_or("an attribute has no known namespace")?,
        name: name.ok_or("an attribute has no name")?,
        value: content,
    })
}

fn acl_entry(bytes: &[u8]) -> Result<AclEntry, Malformed> {
    let mut fields = Fields::new(bytes);
    let (mut kind, mut scope, mut permission, mut name) = (None, None, None, None);
    while let Some((number, value)) = fields.next()? {
        match number {
            1 => kind = AclKind::from_number(small(value.integer()?)),
            2 => {
                scope = match value.integer()? {
                    0 => Some(AclScope::Access),
                    1 => Some(AclScope::Default),
                    _ => None,
                }
            }
            3 => permission = Some(small(value.integer()?)).filter(|bits| *bits < 8),
            4 => name = Some(value.text()?.to_owned()),
            _ => {}
        }
    }
    Ok(AclEntry {
        scope: scope.ok_or("an ACL entry has no known scope")?,
        kind: kind.ok_or("an ACL entry has no known type")?,
        name,
        permission: permission.ok_or("an ACL entry has no known permission")?,
    })
}
