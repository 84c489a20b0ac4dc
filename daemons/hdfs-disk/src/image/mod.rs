//! The namenode image: the whole namespace at one transaction, as values. Nothing here knows how
//! the namespace keeps them, or touches a file.

mod inode;
mod layout;
mod reader;
mod section;
mod strings;
#[cfg(test)]
mod tests;
mod value;
mod writer;

use self::layout::Section;
pub use self::reader::{Directories, FilesUnderConstruction, ImageReader, Inodes};
pub use self::strings::StringTable;
pub use self::value::{
    AclWord, CacheManager, Directory, ErasureCodingPolicy, Features, File, ImageError, Inode,
    InodeKind, NameSystem, Owner, PolicyState, Secrets, Snapshots, Symlink, UnderConstruction,
    XAttrRef,
};
pub use self::writer::{ImageDigest, ImageHead, ImageTail, ImageWriter};
