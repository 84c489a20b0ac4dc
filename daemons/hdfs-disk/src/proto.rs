//! The generated messages of `proto/*.proto`: image sections and the protobuf bodies of edits.
#![allow(missing_docs, clippy::all, clippy::pedantic, unreachable_pub, rustdoc::all)]

/// Types the disk formats share with the wire.
pub mod disk {
    include!(concat!(env!("OUT_DIR"), "/hadoop.hdfs.disk.rs"));
}
/// Bodies of edit log operations with ACLs or extended attributes.
pub mod edits {
    // Generated code names its neighbours relative to the package tree.
    use super::disk;
    include!(concat!(env!("OUT_DIR"), "/hadoop.hdfs.rs"));
}
/// Image sections.
pub mod image {
    include!(concat!(env!("OUT_DIR"), "/hadoop.hdfs.fsimage.rs"));
}
