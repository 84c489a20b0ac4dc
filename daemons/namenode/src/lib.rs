//! namenode
