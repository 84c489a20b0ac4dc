//! The namenode's name folders: their files, and the order in which these are written, synced and
//! renamed. Nothing here knows what the namespace means.
//!
//! # The durability contract
//!
//! A name folder moves between these states; each arrow ends with a sync of the file and of the
//! folder, so a crash leaves either the state before or the one after.
//!
//! ```text
//! (empty) --format--> image 0, seen 0, VERSION last
//!      a folder without VERSION holds nothing
//! CLOSED(n) --open_segment(n+1)--> file with header and filler, synced   (no transaction in it)
//!           --first batch-------> operations synced, then seen = n+1
//! OPEN(a)   --append, sync------> operations up to b are durable; only now they are acknowledged
//!           --room runs out-----> 1 MiB more filler is synced before any operation is in it
//!           --close(b)----------> cut to b, synced, renamed edits_a-b
//!           --crash-------------> recover: cut to the last whole operation, renamed; with none:
//!           .empty
//! any       --save_image(n)-----> ckpt synced, md5 in place, ckpt renamed to fsimage_n
//!           --retain------------> what no kept image needs is removed, oldest first
//! ```
//!
//! Invariants:
//! 1. An image counts only with its good MD5. The newest such image and the closed segments after
//!    it
//!    hold every acknowledged transaction.
//! 2. `seen_txid` is never beyond a durable transaction, so fewer transactions than it says means
//!    loss, and the start is refused.
//! 3. An operation is written only into room whose filler is durable, so filler that shows through
//!    after a crash means "never synced" (the torn tail of [`crate::edits`]).
//! 4. A transaction is acknowledged when it is durable in **every** folder; so any folder's good
//!    copy
//!    is enough, and what only some folders have was never acknowledged (keeping it is allowed).
//! 5. A failed write or sync of the open segment is final: [`OpenSegment`] fences itself. No sync
//!    is
//!    ever tried again.

#[cfg(test)]
mod crash_tests;
mod error;
mod folders;
mod images;
mod names;
mod properties;
mod recover;
mod segment;
#[cfg(test)]
mod tests;
mod version;

pub use self::error::StorageError;
pub use self::folders::NameFolders;
pub use self::images::{IMAGE_LENGTH_MAX, ImageFile, Retention};
pub use self::names::{CURRENT, FileName, SEEN_TXID_PATH, VERSION_PATH, parse_md5, print_md5};
pub use self::properties::PROPERTIES_LENGTH_MAX;
pub use self::recover::{Recovered, ReplayError, SEGMENT_LENGTH_MAX, Segment};
pub use self::segment::OpenSegment;
pub use self::version::{
    DATANODE_LAYOUT, NAMENODE_LAYOUT, NamenodeVersion, PoolVersion, VersionError, VolumeVersion,
    is_id,
};
