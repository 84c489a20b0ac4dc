//! HDFS's disk formats as values: edit log, image, storage folders, replica files. Bytes in, values
//! out, and back; the only port to a disk is the [`disk::Disk`] trait.

pub mod disk;
pub mod edits;
pub mod image;
mod pb;
pub mod proto;
pub mod replica;
pub mod storage;
pub mod types;
