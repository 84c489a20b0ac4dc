//! Calls the facade promises and does not serve yet. Each leaves this list when its real body lands.

use hdfs_wire::proto::hdfs::*;
use hdfs_wire::{Exception, Fault};

use super::{Caller, Durable, Namenode};

/// What a call answers that is not there yet.
fn unfinished(method: &str) -> Fault {
    Fault::new(Exception::UnsupportedOperation, format!("{method} is not supported"))
}

/// Declares reads that answer [`unfinished`].
macro_rules! reads {
    ($($name:ident: $request:ident => $response:ident,)*) => {
        impl Namenode { $(
            /// The RPC of this name; not served yet.
            ///
            /// # Errors
            /// Always `UnsupportedOperationException`.
            pub fn $name(&self, _: &Caller<'_>, _: &$request) -> Result<$response, Fault> {
                Err(unfinished(stringify!($name)))
            }
        )* }
    };
}

/// Declares writes that answer [`unfinished`].
macro_rules! writes {
    ($($name:ident: $request:ident => $response:ident,)*) => {
        impl Namenode { $(
            /// The RPC of this name; not served yet.
            ///
            /// # Errors
            /// Always `UnsupportedOperationException`.
            pub fn $name(
                &mut self,
                _: &Caller<'_>,
                _: &$request,
            ) -> Result<Durable<$response>, Fault> {
                Err(unfinished(stringify!($name)))
            }
        )* }
    };
}

reads! {
    get_block_locations: GetBlockLocationsRequestProto => GetBlockLocationsResponseProto,
    get_file_info: GetFileInfoRequestProto => GetFileInfoResponseProto,
    get_file_link_info: GetFileLinkInfoRequestProto => GetFileLinkInfoResponseProto,
    get_located_file_info: GetLocatedFileInfoRequestProto => GetLocatedFileInfoResponseProto,
    is_file_closed: IsFileClosedRequestProto => IsFileClosedResponseProto,
    get_listing: GetListingRequestProto => GetListingResponseProto,
    get_content_summary: GetContentSummaryRequestProto => GetContentSummaryResponseProto,
    get_quota_usage: GetQuotaUsageRequestProto => GetQuotaUsageResponseProto,
    get_preferred_block_size: GetPreferredBlockSizeRequestProto => GetPreferredBlockSizeResponseProto,
    check_access: CheckAccessRequestProto => CheckAccessResponseProto,
    list_open_files: ListOpenFilesRequestProto => ListOpenFilesResponseProto,
    get_server_defaults: GetServerDefaultsRequestProto => GetServerDefaultsResponseProto,
    get_storage_policies: GetStoragePoliciesRequestProto => GetStoragePoliciesResponseProto,
    get_storage_policy: GetStoragePolicyRequestProto => GetStoragePolicyResponseProto,
    get_erasure_coding_policies: GetErasureCodingPoliciesRequestProto => GetErasureCodingPoliciesResponseProto,
    get_erasure_coding_policy: GetErasureCodingPolicyRequestProto => GetErasureCodingPolicyResponseProto,
    get_erasure_coding_codecs: GetErasureCodingCodecsRequestProto => GetErasureCodingCodecsResponseProto,
    get_ez_for_path: GetEzForPathRequestProto => GetEzForPathResponseProto,
    list_encryption_zones: ListEncryptionZonesRequestProto => ListEncryptionZonesResponseProto,
    get_enclosing_root: GetEnclosingRootRequestProto => GetEnclosingRootResponseProto,
    get_current_edit_log_txid: GetCurrentEditLogTxidRequestProto => GetCurrentEditLogTxidResponseProto,
    msync: MsyncRequestProto => MsyncResponseProto,
    get_data_encryption_key: GetDataEncryptionKeyRequestProto => GetDataEncryptionKeyResponseProto,
    get_acl_status: GetAclStatusRequestProto => GetAclStatusResponseProto,
    get_x_attrs: GetXAttrsRequestProto => GetXAttrsResponseProto,
    list_x_attrs: ListXAttrsRequestProto => ListXAttrsResponseProto,
    get_link_target: GetLinkTargetRequestProto => GetLinkTargetResponseProto,
    get_snapshottable_dir_listing: GetSnapshottableDirListingRequestProto => GetSnapshottableDirListingResponseProto,
    get_snapshot_listing: GetSnapshotListingRequestProto => GetSnapshotListingResponseProto,
    get_snapshot_diff_report: GetSnapshotDiffReportRequestProto => GetSnapshotDiffReportResponseProto,
    get_snapshot_diff_report_listing: GetSnapshotDiffReportListingRequestProto => GetSnapshotDiffReportListingResponseProto,
    get_batched_listing: GetBatchedListingRequestProto => GetBatchedListingResponseProto,
    list_corrupt_file_blocks: ListCorruptFileBlocksRequestProto => ListCorruptFileBlocksResponseProto,
    list_cache_directives: ListCacheDirectivesRequestProto => ListCacheDirectivesResponseProto,
    list_cache_pools: ListCachePoolsRequestProto => ListCachePoolsResponseProto,
    list_reencryption_status: ListReencryptionStatusRequestProto => ListReencryptionStatusResponseProto,
    get_edits_from_txid: GetEditsFromTxidRequestProto => GetEditsFromTxidResponseProto,
    get_ec_topology_result_for_policies: GetEcTopologyResultForPoliciesRequestProto => GetEcTopologyResultForPoliciesResponseProto,
    upgrade_status: UpgradeStatusRequestProto => UpgradeStatusResponseProto,
    rolling_upgrade: RollingUpgradeRequestProto => RollingUpgradeResponseProto,
}

writes! {
    create: CreateRequestProto => CreateResponseProto,
    append: AppendRequestProto => AppendResponseProto,
    add_block: AddBlockRequestProto => AddBlockResponseProto,
    complete: CompleteRequestProto => CompleteResponseProto,
    get_additional_datanode: GetAdditionalDatanodeRequestProto => GetAdditionalDatanodeResponseProto,
    abandon_block: AbandonBlockRequestProto => AbandonBlockResponseProto,
    update_block_for_pipeline: UpdateBlockForPipelineRequestProto => UpdateBlockForPipelineResponseProto,
    update_pipeline: UpdatePipelineRequestProto => UpdatePipelineResponseProto,
    fsync: FsyncRequestProto => FsyncResponseProto,
    mkdirs: MkdirsRequestProto => MkdirsResponseProto,
    rename: RenameRequestProto => RenameResponseProto,
    rename2: Rename2RequestProto => Rename2ResponseProto,
    delete: DeleteRequestProto => DeleteResponseProto,
    set_permission: SetPermissionRequestProto => SetPermissionResponseProto,
    set_owner: SetOwnerRequestProto => SetOwnerResponseProto,
    set_times: SetTimesRequestProto => SetTimesResponseProto,
    set_replication: SetReplicationRequestProto => SetReplicationResponseProto,
    truncate: TruncateRequestProto => TruncateResponseProto,
    concat: ConcatRequestProto => ConcatResponseProto,
    set_quota: SetQuotaRequestProto => SetQuotaResponseProto,
    renew_lease: RenewLeaseRequestProto => RenewLeaseResponseProto,
    recover_lease: RecoverLeaseRequestProto => RecoverLeaseResponseProto,
    set_storage_policy: SetStoragePolicyRequestProto => SetStoragePolicyResponseProto,
    unset_storage_policy: UnsetStoragePolicyRequestProto => UnsetStoragePolicyResponseProto,
    create_symlink: CreateSymlinkRequestProto => CreateSymlinkResponseProto,
    modify_acl_entries: ModifyAclEntriesRequestProto => ModifyAclEntriesResponseProto,
    remove_acl_entries: RemoveAclEntriesRequestProto => RemoveAclEntriesResponseProto,
    remove_default_acl: RemoveDefaultAclRequestProto => RemoveDefaultAclResponseProto,
    remove_acl: RemoveAclRequestProto => RemoveAclResponseProto,
    set_acl: SetAclRequestProto => SetAclResponseProto,
    set_x_attr: SetXAttrRequestProto => SetXAttrResponseProto,
    remove_x_attr: RemoveXAttrRequestProto => RemoveXAttrResponseProto,
    create_snapshot: CreateSnapshotRequestProto => CreateSnapshotResponseProto,
    delete_snapshot: DeleteSnapshotRequestProto => DeleteSnapshotResponseProto,
    rename_snapshot: RenameSnapshotRequestProto => RenameSnapshotResponseProto,
    allow_snapshot: AllowSnapshotRequestProto => AllowSnapshotResponseProto,
    disallow_snapshot: DisallowSnapshotRequestProto => DisallowSnapshotResponseProto,
    set_erasure_coding_policy: SetErasureCodingPolicyRequestProto => SetErasureCodingPolicyResponseProto,
    unset_erasure_coding_policy: UnsetErasureCodingPolicyRequestProto => UnsetErasureCodingPolicyResponseProto,
    add_erasure_coding_policies: AddErasureCodingPoliciesRequestProto => AddErasureCodingPoliciesResponseProto,
    remove_erasure_coding_policy: RemoveErasureCodingPolicyRequestProto => RemoveErasureCodingPolicyResponseProto,
    enable_erasure_coding_policy: EnableErasureCodingPolicyRequestProto => EnableErasureCodingPolicyResponseProto,
    disable_erasure_coding_policy: DisableErasureCodingPolicyRequestProto => DisableErasureCodingPolicyResponseProto,
    create_encryption_zone: CreateEncryptionZoneRequestProto => CreateEncryptionZoneResponseProto,
    reencrypt_encryption_zone: ReencryptEncryptionZoneRequestProto => ReencryptEncryptionZoneResponseProto,
    add_cache_directive: AddCacheDirectiveRequestProto => AddCacheDirectiveResponseProto,
    modify_cache_directive: ModifyCacheDirectiveRequestProto => ModifyCacheDirectiveResponseProto,
    remove_cache_directive: RemoveCacheDirectiveRequestProto => RemoveCacheDirectiveResponseProto,
    add_cache_pool: AddCachePoolRequestProto => AddCachePoolResponseProto,
    modify_cache_pool: ModifyCachePoolRequestProto => ModifyCachePoolResponseProto,
    remove_cache_pool: RemoveCachePoolRequestProto => RemoveCachePoolResponseProto,
    satisfy_storage_policy: SatisfyStoragePolicyRequestProto => SatisfyStoragePolicyResponseProto,
    finalize_upgrade: FinalizeUpgradeRequestProto => FinalizeUpgradeResponseProto,
    save_namespace: SaveNamespaceRequestProto => SaveNamespaceResponseProto,
    roll_edits: RollEditsRequestProto => RollEditsResponseProto,
    meta_save: MetaSaveRequestProto => MetaSaveResponseProto,
    restore_failed_storage: RestoreFailedStorageRequestProto => RestoreFailedStorageResponseProto,
}
