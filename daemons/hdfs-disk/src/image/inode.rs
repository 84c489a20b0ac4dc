//! One inode's bytes. Reading borrows names and fills scratch lists that the next inode reuses;
//! writing appends to a buffer. Both go field by field without a message in between, since an image
//! has millions of them.
//!
//! ```text
//! permission (fixed64): mode bits 0-15, group id 16-39, user id 40-63
//! ACL entry (fixed32): permission 0-2, type 3-4, scope 5, name id 6-29
//! attribute (fixed32): reserved 0-4, namespace's third bit 5, name id 6-29, namespace 30-31
//! ```

use super::value::{
    AclWord, Directory, Features, File, Inode, InodeKind, Owner, Symlink, UnderConstruction,
    XAttrRef,
};
use crate::pb::{self, Fields, Malformed};
use crate::types::{AclKind, AclScope, BlockRecord, StorageType, XAttrNamespace};

/// What `InodeKind` is called on disk.
const FILE: u64 = 1;
const DIRECTORY: u64 = 2;
const SYMLINK: u64 = 3;
/// `BlockTypeProto`.
const CONTIGUOUS: u64 = 0;
const STRIPED: u64 = 1;
/// Ids in ACL and attribute words.
const ID_MASK: u32 = 0xff_ffff;

/// Lists of the inode read last.
#[derive(Debug, Default)]
pub(super) struct Scratch<'a> {
    blocks: Vec<BlockRecord>,
    acl: Vec<AclWord>,
    xattrs: Vec<XAttrRef<'a>>,
    type_quotas: Vec<(StorageType, i64)>,
}

fn owner(word: u64) -> Owner {
    Owner { user: (word >> 40) as u32, group: (word >> 16) as u32 & ID_MASK, mode: word as u16 }
}

fn owner_word(owner: Owner) -> u64 {
    u64::from(owner.user & ID_MASK) << 40
        | u64::from(owner.group & ID_MASK) << 16
        | u64::from(owner.mode)
}

/// A number that must fit a narrower type.
fn narrow<T: TryFrom<u64>>(value: u64) -> Result<T, Malformed> {
    T::try_from(value).map_err(|_| "a number is out of range")
}

/// Reads one inode.
pub(super) fn read<'s, 'a: 's>(
    bytes: &'a [u8],
    scratch: &'s mut Scratch<'a>,
) -> Result<Inode<'s>, Malformed> {
    let mut fields = Fields::new(bytes);
    let (mut id, mut kind, mut name) = (None, None, &[][..]);
    let mut bodies = [None; 3];
    while let Some((number, value)) = fields.next()? {
        match number {
            1 => kind = Some(value.integer()?),
            2 => id = Some(value.integer()?),
            3 => name = value.bytes()?,
            4..=6 => bodies[number as usize - 4] = Some(value.bytes()?),
            _ => {}
        }
    }
    let kind = match (kind, bodies) {
        (Some(FILE), [Some(body), None, None]) => InodeKind::File(file(body, scratch)?),
        (Some(DIRECTORY), [None, Some(body), None]) => {
            InodeKind::Directory(directory(body, scratch)?)
        }
        (Some(SYMLINK), [None, None, Some(body)]) => InodeKind::Symlink(symlink(body)?),
        _ => return Err("an inode's type and content disagree"),
    };
    Ok(Inode { id: id.ok_or("an inode has no id")?, name, kind })
}

fn file<'s, 'a: 's>(body: &'a [u8], scratch: &'s mut Scratch<'a>) -> Result<File<'s>, Malformed> {
    let Scratch { blocks, acl: acl_list, xattrs: xattr_list, .. } = scratch;
    blocks.clear();
    let (mut has_acl, mut has_xattrs, mut striped) = (false, false, false);
    let mut policy = None;
    let mut file = File {
        replication: 0,
        mtime: 0,
        atime: 0,
        block_size: 0,
        owner: owner(0),
        blocks: &[],
        under_construction: None,
        storage_policy: 0,
        erasure_coding_policy: None,
        features: Features::default(),
    };
    let mut fields = Fields::new(body);
    while let Some((number, value)) = fields.next()? {
        match number {
            1 => file.replication = narrow(value.integer()?)?,
            2 => file.mtime = value.integer()? as i64,
            3 => file.atime = value.integer()? as i64,
            4 => file.block_size = value.integer()?,
            5 => file.owner = owner(value.fixed64()?),
            6 => blocks.push(block(value.bytes()?)?),
            7 => file.under_construction = Some(under_construction(value.bytes()?)?),
            8 => {
                acl(value.bytes()?, acl_list)?;
                has_acl = true;
            }
            9 => {
                xattrs(value.bytes()?, xattr_list)?;
                has_xattrs = true;
            }
            10 => file.storage_policy = narrow(value.integer()?)?,
            11 => {
                striped = match value.integer()? {
                    CONTIGUOUS => false,
                    STRIPED => true,
                    _ => return Err("a file has an unknown block type"),
                }
            }
            12 => policy = Some(narrow(value.integer()?)?),
            _ => {}
        }
    }
    if striped {
        file.erasure_coding_policy = Some(policy.ok_or("a striped file has no policy")?);
    }
    file.blocks = blocks;
    file.features.acl = has_acl.then_some(acl_list.as_slice());
    file.features.xattrs = has_xattrs.then_some(xattr_list.as_slice());
    Ok(file)
}

#[inline]
fn block(body: &[u8]) -> Result<BlockRecord, Malformed> {
    let mut fields = Fields::new(body);
    let (mut id, mut stamp, mut length) = (None, None, 0);
    while let Some((number, value)) = fields.next()? {
        match number {
            1 => id = Some(value.integer()? as i64),
            2 => stamp = Some(value.integer()?),
            3 => length = value.integer()?,
            _ => {}
        }
    }
    match (id, stamp) {
        (Some(id), Some(stamp)) => Ok(BlockRecord { id, length, stamp }),
        _ => Err("a block has no id or no generation stamp"),
    }
}

fn under_construction(body: &[u8]) -> Result<UnderConstruction<'_>, Malformed> {
    let mut writer = UnderConstruction { client_name: "", client_machine: "" };
    let mut fields = Fields::new(body);
    while let Some((number, value)) = fields.next()? {
        match number {
            1 => writer.client_name = value.text()?,
            2 => writer.client_machine = value.text()?,
            _ => {}
        }
    }
    Ok(writer)
}

fn acl(body: &[u8], list: &mut Vec<AclWord>) -> Result<(), Malformed> {
    list.clear();
    let mut fields = Fields::new(body);
    while let Some((number, value)) = fields.next()? {
        match (number, value) {
            (2, pb::Value::Fixed32(word)) => list.push(acl_word(word)),
            (2, value) => {
                let words = value.bytes()?.chunks(4);
                for word in words {
                    let word = word.try_into().map_err(|_| "an ACL ends inside an entry")?;
                    list.push(acl_word(u32::from_le_bytes(word)));
                }
            }
            _ => {}
        }
    }
    Ok(())
}

fn acl_word(word: u32) -> AclWord {
    AclWord {
        scope: if word >> 5 & 1 == 0 { AclScope::Access } else { AclScope::Default },
        kind: AclKind::from_number((word >> 3 & 3) as u8).expect("two bits name four kinds"),
        name: word >> 6 & ID_MASK,
        permission: word as u8 & 7,
    }
}

fn xattrs<'a>(body: &'a [u8], list: &mut Vec<XAttrRef<'a>>) -> Result<(), Malformed> {
    list.clear();
    let mut fields = Fields::new(body);
    while let Some((number, value)) = fields.next()? {
        if number == 1 {
            list.push(xattr(value.bytes()?)?);
        }
    }
    Ok(())
}

fn xattr(body: &[u8]) -> Result<XAttrRef<'_>, Malformed> {
    let mut fields = Fields::new(body);
    let (mut word, mut content) = (None, None);
    while let Some((number, value)) = fields.next()? {
        match number {
            1 => word = Some(value.fixed32()?),
            2 => content = Some(value.bytes()?),
            _ => {}
        }
    }
    let word = word.ok_or("an attribute has no name")?;
    let namespace = (word >> 30) as u8 | (word >> 3 & 4) as u8;
    Ok(XAttrRef {
        namespace: XAttrNamespace::from_number(namespace)
            .ok_or("an attribute has an unknown namespace")?,
        name: word >> 6 & ID_MASK,
        value: content,
    })
}

fn directory<'s, 'a: 's>(
    body: &'a [u8],
    scratch: &'s mut Scratch<'a>,
) -> Result<Directory<'s>, Malformed> {
    let Scratch { acl: acl_list, xattrs: xattr_list, type_quotas: quota_list, .. } = scratch;
    let (mut has_acl, mut has_xattrs, mut has_quotas) = (false, false, false);
    let mut directory = Directory {
        mtime: 0,
        namespace_quota: 0,
        space_quota: 0,
        owner: owner(0),
        type_quotas: None,
        features: Features::default(),
    };
    let mut fields = Fields::new(body);
    while let Some((number, value)) = fields.next()? {
        match number {
            1 => directory.mtime = value.integer()? as i64,
            2 => directory.namespace_quota = value.integer()? as i64,
            3 => directory.space_quota = value.integer()? as i64,
            4 => directory.owner = owner(value.fixed64()?),
            5 => {
                acl(value.bytes()?, acl_list)?;
                has_acl = true;
            }
            6 => {
                xattrs(value.bytes()?, xattr_list)?;
                has_xattrs = true;
            }
            7 => {
                type_quotas(value.bytes()?, quota_list)?;
                has_quotas = true;
            }
            _ => {}
        }
    }
    directory.features.acl = has_acl.then_some(acl_list.as_slice());
    directory.features.xattrs = has_xattrs.then_some(xattr_list.as_slice());
    directory.type_quotas = has_quotas.then_some(quota_list.as_slice());
    Ok(directory)
}

fn type_quotas(body: &[u8], list: &mut Vec<(StorageType, i64)>) -> Result<(), Malformed> {
    list.clear();
    let mut entries = Fields::new(body);
    while let Some((number, value)) = entries.next()? {
        if number != 1 {
            continue;
        }
        let mut fields = Fields::new(value.bytes()?);
        let (mut storage_type, mut quota) = (None, None);
        while let Some((number, value)) = fields.next()? {
            match number {
                1 => storage_type = StorageType::from_proto(narrow(value.integer()?)?),
                2 => quota = Some(value.integer()? as i64),
                _ => {}
            }
        }
        let storage_type = storage_type.ok_or("a quota is for an unknown storage type")?;
        list.push((storage_type, quota.ok_or("a quota has no limit")?));
    }
    Ok(())
}

fn symlink(body: &[u8]) -> Result<Symlink<'_>, Malformed> {
    let mut symlink = Symlink { owner: owner(0), target: &[], mtime: 0, atime: 0 };
    let mut fields = Fields::new(body);
    while let Some((number, value)) = fields.next()? {
        match number {
            1 => symlink.owner = owner(value.fixed64()?),
            2 => symlink.target = value.bytes()?,
            3 => symlink.mtime = value.integer()? as i64,
            4 => symlink.atime = value.integer()? as i64,
            _ => {}
        }
    }
    Ok(symlink)
}

/// Appends one inode with its length in front.
pub(super) fn write(out: &mut Vec<u8>, inode: &Inode<'_>) {
    pb::put_delimited(out, |out| {
        let (kind, number) = match inode.kind {
            InodeKind::File(_) => (FILE, 4),
            InodeKind::Directory(_) => (DIRECTORY, 5),
            InodeKind::Symlink(_) => (SYMLINK, 6),
        };
        pb::put_integer(out, 1, kind);
        pb::put_integer(out, 2, inode.id);
        pb::put_bytes(out, 3, inode.name);
        pb::put_message(out, number, |out| match &inode.kind {
            InodeKind::File(file) => write_file(out, file),
            InodeKind::Directory(directory) => write_directory(out, directory),
            InodeKind::Symlink(symlink) => {
                pb::put_fixed64(out, 1, owner_word(symlink.owner));
                pb::put_bytes(out, 2, symlink.target);
                pb::put_integer(out, 3, symlink.mtime as u64);
                pb::put_integer(out, 4, symlink.atime as u64);
            }
        });
    });
}

fn write_file(out: &mut Vec<u8>, file: &File<'_>) {
    if file.erasure_coding_policy.is_none() {
        pb::put_integer(out, 1, u64::from(file.replication));
    }
    pb::put_integer(out, 2, file.mtime as u64);
    pb::put_integer(out, 3, file.atime as u64);
    pb::put_integer(out, 4, file.block_size);
    pb::put_fixed64(out, 5, owner_word(file.owner));
    for block in file.blocks {
        pb::put_message(out, 6, |out| {
            pb::put_integer(out, 1, block.id as u64);
            pb::put_integer(out, 2, block.stamp);
            pb::put_integer(out, 3, block.length);
        });
    }
    if let Some(writer) = file.under_construction {
        pb::put_message(out, 7, |out| {
            pb::put_bytes(out, 1, writer.client_name.as_bytes());
            pb::put_bytes(out, 2, writer.client_machine.as_bytes());
        });
    }
    write_features(out, 8, &file.features);
    pb::put_integer(out, 10, u64::from(file.storage_policy));
    let striped = file.erasure_coding_policy.is_some();
    pb::put_integer(out, 11, if striped { STRIPED } else { CONTIGUOUS });
    if let Some(policy) = file.erasure_coding_policy {
        pb::put_integer(out, 12, u64::from(policy));
    }
}

fn write_directory(out: &mut Vec<u8>, directory: &Directory<'_>) {
    pb::put_integer(out, 1, directory.mtime as u64);
    pb::put_integer(out, 2, directory.namespace_quota as u64);
    pb::put_integer(out, 3, directory.space_quota as u64);
    pb::put_fixed64(out, 4, owner_word(directory.owner));
    write_features(out, 5, &directory.features);
    if let Some(quotas) = directory.type_quotas {
        pb::put_message(out, 7, |out| {
            for (storage_type, quota) in quotas {
                pb::put_message(out, 1, |out| {
                    pb::put_integer(out, 1, storage_type.proto() as u64);
                    pb::put_integer(out, 2, *quota as u64);
                });
            }
        });
    }
}

/// ACL at `number`, attributes at the next.
fn write_features(out: &mut Vec<u8>, number: u8, features: &Features<'_>) {
    if let Some(acl) = features.acl {
        pb::put_message(out, number, |out| {
            // A packed list without elements is not written at all.
            if !acl.is_empty() {
                pb::put_message(out, 2, |out| {
                    for word in acl {
                        let bits = u32::from(word.permission & 7)
                            | (word.kind as u32) << 3
                            | (word.scope as u32) << 5
                            | (word.name & ID_MASK) << 6;
                        out.extend_from_slice(&bits.to_le_bytes());
                    }
                });
            }
        });
    }
    if let Some(xattrs) = features.xattrs {
        pb::put_message(out, number + 1, |out| {
            for xattr in xattrs {
                pb::put_message(out, 1, |out| {
                    let namespace = xattr.namespace as u32;
                    let bits = (namespace & 3) << 30
                        | (namespace >> 2 & 1) << 5
                        | (xattr.name & ID_MASK) << 6;
                    pb::put_fixed32(out, 1, bits);
                    if let Some(value) = xattr.value {
                        pb::put_bytes(out, 2, value);
                    }
                });
            }
        });
    }
}
