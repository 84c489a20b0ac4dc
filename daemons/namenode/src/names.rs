//! The name folders.
use crate::journal::Segment;
use crate::settings::Settings;
use hdfs_core::namenode::Namenode;
use hdfs_disk::disk::Disk;
use hdfs_edge::config::Config;
use hdfs_edge::daemon::Failure;
use std::path::{Path, PathBuf};
use std::sync::Arc;
/// Opens the disk of a folder.
pub type DiskFactory = dyn Fn(&Path) -> std::io::Result<Arc<dyn Disk>>;
/// The real one.
pub fn local_disk(_: &Path) -> std::io::Result<Arc<dyn Disk>> {
    todo!()
}
pub(crate) struct Names {}
pub(crate) struct OpenSegment {}
impl Segment for OpenSegment {
    fn append(&mut self, _: &[u8], _: u64) -> Result<(), String> {
        todo!()
    }
    fn roll(&mut self, _: u64) -> Result<(), String> {
        todo!()
    }
}
pub(crate) struct Upload {}
impl Upload {
    pub(crate) fn append(&mut self, _: &[u8]) -> Result<(), String> {
        todo!()
    }
}
impl Names {
    pub(crate) fn load(
        _: &Config,
        _: &Settings,
        _: &DiskFactory,
    ) -> Result<(Self, Namenode, OpenSegment), Failure> {
        todo!()
    }
    pub(crate) fn unlock(&self) {}
    pub(crate) fn image_txid(&self) -> u64 {
        0
    }
    pub(crate) fn image_time(&self) -> u64 {
        0
    }
    pub(crate) fn segment_txid(&self) -> u64 {
        0
    }
    pub(crate) fn segment_opened(&self, _: u64) {}
    pub(crate) fn closed_segments(&self, _: u64) -> Result<Vec<(u64, u64)>, String> {
        todo!()
    }
    pub(crate) fn save_image(&self, _: &Namenode, _: u64) -> Result<(), String> {
        todo!()
    }
    pub(crate) fn image_digest(&self, _: u64) -> Result<String, String> {
        todo!()
    }
    pub(crate) fn file(&self, _: &str) -> PathBuf {
        todo!()
    }
    pub(crate) fn storage_info(&self) -> String {
        todo!()
    }
    pub(crate) fn begin_upload(&self, _: u64, _: u64) -> Result<Upload, String> {
        todo!()
    }
    pub(crate) fn finish_upload(&self, _: Upload, _: Option<&str>) -> Result<(), String> {
        todo!()
    }
}
