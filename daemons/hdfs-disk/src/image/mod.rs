//! The namenode image: the whole namespace at one transaction, as values. Nothing here knows how
//! the namespace keeps them, or touches a file.

mod value;

pub use self::value::{
    AclWord, Directory, ErasureCodingPolicy, Features, File, ImageError, Inode, InodeKind,
    NameSystem, Owner, PolicyState, Snapshots, Symlink, UnderConstruction, XAttrRef,
};
