//! The generated messages of `proto/*.proto`, one module per protobuf package.
//!
//! All of Hadoop's messages are proto2. Names and numbers are Hadoop's; they are documented in the
//! `.proto` texts, so the generated items carry no docs of their own.
#![allow(missing_docs, clippy::all, clippy::pedantic, unreachable_pub, rustdoc::all)]

/// `hadoop.common`: RPC headers, SASL, tokens, admin protocols.
pub mod common {
    include!(concat!(env!("OUT_DIR"), "/hadoop.common.rs"));
}
/// `hadoop.fs`: types shared with other Hadoop file systems.
pub mod fs {
    include!(concat!(env!("OUT_DIR"), "/hadoop.fs.rs"));
}
/// `hadoop.hdfs` and the packages below it.
pub mod hdfs {
    include!(concat!(env!("OUT_DIR"), "/hadoop.hdfs.rs"));

    /// `hadoop.hdfs.datanode`: datanode to namenode.
    pub mod datanode {
        include!(concat!(env!("OUT_DIR"), "/hadoop.hdfs.datanode.rs"));
    }
    /// `hadoop.hdfs.datanodelifeline`: the lifeline port.
    pub mod datanodelifeline {
        include!(concat!(env!("OUT_DIR"), "/hadoop.hdfs.datanodelifeline.rs"));
    }
    /// `hadoop.hdfs.namenode`: balancer and checkpoint helpers.
    pub mod namenode {
        include!(concat!(env!("OUT_DIR"), "/hadoop.hdfs.namenode.rs"));
    }
}
