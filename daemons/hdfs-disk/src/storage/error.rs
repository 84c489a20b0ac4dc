//! What can be wrong with name folders, and what the operator can do.

use std::io;

use super::version::VersionError;
use crate::edits::SegmentError;
use crate::image::ImageError;

/// A procedure on name folders that did not come to its end.
#[derive(Debug, thiserror::Error)]
pub enum StorageError {
    /// The disk refused.
    #[error("cannot {attempt} in name folder {folder}")]
    Io {
        /// What was tried, with the file's name.
        attempt: String,
        /// The folder.
        folder: String,
        /// Why not.
        source: io::Error,
    },
    /// No folder has a namespace.
    #[error("no name folder is formatted ({folders}); format one with namenode --format")]
    NotFormatted {
        /// All of them.
        folders: String,
    },
    /// A namespace is there already.
    #[error("name folder {folder} holds a namespace already; use --force to destroy it")]
    AlreadyFormatted {
        /// The folder.
        folder: String,
    },
    /// VERSION is not as it should be.
    #[error("name folder {folder} cannot be used")]
    Version {
        /// The folder.
        folder: String,
        /// What is wrong.
        source: VersionError,
    },
    /// A folder has files but does not say of which namespace.
    #[error(
        "name folder {folder} has images or edits but no VERSION; put VERSION back from another \
         name folder, or move the folder's content away"
    )]
    NoVersion {
        /// The folder.
        folder: String,
    },
    /// Two folders are of different namespaces.
    #[error(
        "name folders {first} and {second} are of different namespaces ({first_is} and \
         {second_is}); remove the wrong one from dfs.namenode.name.dir"
    )]
    Inconsistent {
        /// A folder.
        first: String,
        /// Its identity.
        first_is: String,
        /// Another folder.
        second: String,
        /// Its identity.
        second_is: String,
    },
    /// No image can be loaded.
    #[error(
        "no image in {folders} can be loaded{tried}; put back an image with its .md5 from a \
         checkpoint or backup"
    )]
    NoImage {
        /// All folders.
        folders: String,
        /// What was wrong with each.
        tried: String,
    },
    /// Transactions are missing between what is there.
    #[error(
        "transactions {first} to {last} are in no name folder; put back the edits files that hold \
         them from another name folder, journal or backup"
    )]
    Gap {
        /// First one missing.
        first: u64,
        /// Last one known to have been there.
        last: u64,
    },
    /// A segment is damaged in every folder that has it.
    #[error("cannot use {file} of name folder {folder}")]
    Segment {
        /// The folder.
        folder: String,
        /// The file.
        file: String,
        /// What is wrong.
        source: SegmentError,
    },
    /// An image could not be made or taken.
    #[error("the image of transaction {txid} was not saved")]
    Image {
        /// Its transaction.
        txid: u64,
        /// Why not.
        source: ImageError,
    },
    /// A received image is not what was sent.
    #[error("the image of transaction {txid} arrived damaged: its MD5 is {found}, not {expected}")]
    ImageDigest {
        /// Its transaction.
        txid: u64,
        /// As announced.
        expected: String,
        /// As received.
        found: String,
    },
    /// A write or sync failed before; nothing may be acknowledged any more.
    #[error("the edit log is fenced since a write or sync of it failed")]
    Fenced,
}
