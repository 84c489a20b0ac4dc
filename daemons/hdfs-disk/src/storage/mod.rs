//! The namenode's name folders: their files' names and order of writes. Nothing here knows what the
//! namespace means.

mod properties;
mod version;

pub use self::properties::PROPERTIES_LENGTH_MAX;
pub use self::version::{
    DATANODE_LAYOUT, NAMENODE_LAYOUT, NamenodeVersion, PoolVersion, VersionError, VolumeVersion,
    is_id,
};
