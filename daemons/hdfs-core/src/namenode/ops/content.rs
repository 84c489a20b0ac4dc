//! getContentSummary and getQuotaUsage: what is below a path.

use hdfs_disk::types::StorageType;
use hdfs_wire::Fault;
use hdfs_wire::proto::hdfs::{
    ContentSummaryProto, GetContentSummaryRequestProto, GetContentSummaryResponseProto,
    GetQuotaUsageRequestProto, GetQuotaUsageResponseProto, QuotaUsageProto,
    StorageTypeQuotaInfoProto, StorageTypeQuotaInfosProto,
};

use super::super::permission::{EXECUTE, READ};
use super::super::resolve::Intent;
use super::super::tree::{Kind, Mark, Quota, Slot};
use super::super::{Caller, Namenode};
use super::not_found;

/// No quota, as the wire's unsigned fields carry it.
const NONE: u64 = u64::MAX;

/// Sums over a subtree.
#[derive(Debug, Default)]
struct Content {
    length: u64,
    files: u64,
    directories: u64,
    space: i64,
}

impl Namenode {
    /// `getContentSummary`: sizes, counts and quotas.
    ///
    /// # Errors
    /// `FileNotFoundException`; `AccessControlException` when any directory below refuses.
    pub fn get_content_summary(
        &self,
        caller: &Caller<'_>,
        request: &GetContentSummaryRequestProto,
    ) -> Result<GetContentSummaryResponseProto, Fault> {
        let slot = self.readable(caller, &request.path)?;
        Ok(GetContentSummaryResponseProto { summary: self.summary(slot) })
    }

    /// `getQuotaUsage`: the counts a quota keeps, or sums where there is no quota.
    ///
    /// # Errors
    /// As [`Self::get_content_summary`].
    pub fn get_quota_usage(
        &self,
        caller: &Caller<'_>,
        request: &GetQuotaUsageRequestProto,
    ) -> Result<GetQuotaUsageResponseProto, Fault> {
        let resolved = self.resolve(caller, &request.path, Intent::ReadLink)?;
        let quota = resolved.target().and_then(|slot| Some((slot, self.tree.quota(slot)?)));
        let usage = if let Some((slot, quota)) = quota {
            self.checker(caller).check(slot, READ | EXECUTE)?;
            QuotaUsageProto {
                file_and_directory_count: quota.used.names as u64,
                quota: quota.namespace as u64,
                space_consumed: quota.used.space as u64,
                space_quota: quota.space as u64,
                type_quota_infos: type_infos(quota),
            }
        } else {
            let summary = self.summary(self.readable(caller, &request.path)?);
            QuotaUsageProto {
                file_and_directory_count: summary.file_count + summary.directory_count,
                quota: NONE,
                space_consumed: summary.space_consumed,
                space_quota: NONE,
                type_quota_infos: None,
            }
        };
        Ok(GetQuotaUsageResponseProto { usage })
    }

    fn readable(&self, caller: &Caller<'_>, path: &str) -> Result<Slot, Fault> {
        let resolved = self.resolve(caller, path, Intent::ReadLink)?;
        let slot =
            resolved.target().ok_or_else(|| not_found(format!("File does not exist: {path}")))?;
        self.checker(caller).subtree(slot, READ | EXECUTE, false)?;
        Ok(slot)
    }

    fn summary(&self, slot: Slot) -> ContentSummaryProto {
        let content = self.content_below(slot);
        let quota = self.tree.quota(slot);
        let inode = self.tree.get(slot);
        let coding = match inode.kind() {
            Kind::File if inode.has(Mark::Striped) => self.erasure_coding_of(slot).unwrap_or(""),
            Kind::File => "Replicated",
            _ => self.erasure_coding_of(slot).unwrap_or(""),
        };
        ContentSummaryProto {
            length: content.length,
            file_count: content.files,
            directory_count: content.directories,
            quota: quota.map_or(NONE, |quota| quota.namespace as u64),
            space_consumed: content.space as u64,
            space_quota: quota.map_or(NONE, |quota| quota.space as u64),
            type_quota_infos: quota.and_then(type_infos),
            snapshot_length: Some(0),
            snapshot_file_count: Some(0),
            snapshot_directory_count: Some(0),
            snapshot_space_consumed: Some(0),
            erasure_coding_policy: Some(coding.to_owned()),
        }
    }

    fn content_below(&self, slot: Slot) -> Content {
        let mut content = Content::default();
        let mut pending = vec![slot];
        while let Some(slot) = pending.pop() {
            match self.tree.get(slot).kind() {
                Kind::File => {
                    content.files += 1;
                    content.length += self.file_length(slot);
                    content.space += self.space_of(slot);
                }
                Kind::Directory => content.directories += 1,
                Kind::Symlink => content.files += 1,
            }
            if let Some(children) = self.tree.children(slot) {
                pending.extend(children.iter());
            }
        }
        content
    }
}

/// Limits by storage type, if any is set.
fn type_infos(quota: &Quota) -> Option<StorageTypeQuotaInfosProto> {
    quota.types.iter().any(|&limit| limit >= 0).then(|| StorageTypeQuotaInfosProto {
        type_quota_info: StorageType::ALL
            .into_iter()
            .filter(|each| *each != StorageType::RamDisk)
            .map(|each| StorageTypeQuotaInfoProto {
                r#type: Some(each.proto()),
                quota: quota.types[usize::from(each.ordinal())] as u64,
                consumed: 0,
            })
            .collect(),
    })
}
