//! hdfs-edge
