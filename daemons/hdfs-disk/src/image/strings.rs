//! The image's string table: users, groups and attribute names by number.
//!
//! On disk an id is `kind << 29 | n` with kind USER 1, GROUP 2, XATTR 3; words in inodes carry the
//! bare `n` (24 bits, from 1; 0 is none). Tables of older images have one kind for all.

use std::collections::BTreeMap;
use std::collections::HashMap;

/// Ids in inodes have this many bits.
const ID_BITS: u32 = 24;
/// Bits that say the kind, in tables we write.
pub(super) const MASK_BITS: u32 = 3;
const KIND_SHIFT: u32 = 32 - MASK_BITS;

/// One kind's names.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Names {
    by_id: BTreeMap<u32, String>,
    by_name: HashMap<String, u32>,
}

impl Names {
    fn insert(&mut self, id: u32, name: &str) {
        self.by_id.insert(id, name.to_owned());
        self.by_name.insert(name.to_owned(), id);
    }

    fn id(&mut self, name: &str) -> u32 {
        if let Some(id) = self.by_name.get(name) {
            return *id;
        }
        let id = self.by_id.last_key_value().map_or(1, |(id, _)| id + 1);
        self.insert(id, name);
        id
    }
}

/// Users, groups and attribute names by number.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StringTable {
    users: Names,
    groups: Names,
    xattrs: Names,
}

impl StringTable {
    /// The number of a user, given now if need be.
    pub fn user_id(&mut self, name: &str) -> u32 {
        self.users.id(name)
    }

    /// The number of a group, given now if need be.
    pub fn group_id(&mut self, name: &str) -> u32 {
        self.groups.id(name)
    }

    /// The number of an attribute's name (without its namespace), given now if need be.
    pub fn xattr_id(&mut self, name: &str) -> u32 {
        self.xattrs.id(name)
    }

    /// The user with this number.
    pub fn user(&self, id: u32) -> Option<&str> {
        self.users.by_id.get(&id).map(String::as_str)
    }

    /// The group with this number.
    pub fn group(&self, id: u32) -> Option<&str> {
        self.groups.by_id.get(&id).map(String::as_str)
    }

    /// The attribute name with this number.
    pub fn xattr(&self, id: u32) -> Option<&str> {
        self.xattrs.by_id.get(&id).map(String::as_str)
    }

    /// All users, by number.
    pub fn users(&self) -> impl Iterator<Item = (u32, &str)> {
        self.users.by_id.iter().map(|(id, name)| (*id, name.as_str()))
    }

    /// All groups, by number.
    pub fn groups(&self) -> impl Iterator<Item = (u32, &str)> {
        self.groups.by_id.iter().map(|(id, name)| (*id, name.as_str()))
    }

    /// All attribute names, by number.
    pub fn xattrs(&self) -> impl Iterator<Item = (u32, &str)> {
        self.xattrs.by_id.iter().map(|(id, name)| (*id, name.as_str()))
    }

    /// Takes an entry of a table on disk.
    pub(super) fn insert_stored(
        &mut self,
        id: u32,
        mask_bits: u32,
        name: &str,
    ) -> Result<(), String> {
        let (kind, number) = match mask_bits {
            0 => (None, id),
            MASK_BITS => (Some(id >> KIND_SHIFT), id & ((1 << KIND_SHIFT) - 1)),
            other => return Err(format!("{other} mask bits where 0 and {MASK_BITS} are known")),
        };
        if number == 0 || number >> ID_BITS != 0 {
            return Err(format!("string id {number} is out of range"));
        }
        match kind {
            None => {
                self.users.insert(number, name);
                self.groups.insert(number, name);
                self.xattrs.insert(number, name);
            }
            Some(1) => self.users.insert(number, name),
            Some(2) => self.groups.insert(number, name),
            Some(3) => self.xattrs.insert(number, name),
            // Strings of no kind are in nobody's use.
            Some(_) => {}
        }
        Ok(())
    }

    /// All entries with their ids on disk, users first.
    pub(super) fn stored(&self) -> impl Iterator<Item = (u32, &str)> {
        let kinds = [(1, &self.users), (2, &self.groups), (3, &self.xattrs)];
        kinds.into_iter().flat_map(|(kind, names)| {
            names.by_id.iter().map(move |(id, name)| (kind << KIND_SHIFT | id, name.as_str()))
        })
    }

    /// Whether all ids fit into their words.
    pub(super) fn fits(&self) -> bool {
        [&self.users, &self.groups, &self.xattrs]
            .into_iter()
            .all(|names| names.by_id.last_key_value().is_none_or(|(id, _)| id >> ID_BITS == 0))
    }
}
