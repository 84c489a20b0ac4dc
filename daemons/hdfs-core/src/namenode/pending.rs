//! Calls the facade promises and does not serve yet. Each leaves this list when its real body
//! lands.

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
    get_snapshot_diff_report:
        GetSnapshotDiffReportRequestProto => GetSnapshotDiffReportResponseProto,
    get_snapshot_diff_report_listing:
        GetSnapshotDiffReportListingRequestProto => GetSnapshotDiffReportListingResponseProto,
    get_batched_listing: GetBatchedListingRequestProto => GetBatchedListingResponseProto,
    list_reencryption_status:
        ListReencryptionStatusRequestProto => ListReencryptionStatusResponseProto,
    get_edits_from_txid: GetEditsFromTxidRequestProto => GetEditsFromTxidResponseProto,
    get_ec_topology_result_for_policies:
        GetEcTopologyResultForPoliciesRequestProto => GetEcTopologyResultForPoliciesResponseProto,
}

writes! {
    add_erasure_coding_policies:
        AddErasureCodingPoliciesRequestProto => AddErasureCodingPoliciesResponseProto,
    remove_erasure_coding_policy:
        RemoveErasureCodingPolicyRequestProto => RemoveErasureCodingPolicyResponseProto,
    enable_erasure_coding_policy:
        EnableErasureCodingPolicyRequestProto => EnableErasureCodingPolicyResponseProto,
    disable_erasure_coding_policy:
        DisableErasureCodingPolicyRequestProto => DisableErasureCodingPolicyResponseProto,
    reencrypt_encryption_zone:
        ReencryptEncryptionZoneRequestProto => ReencryptEncryptionZoneResponseProto,
    add_cache_directive: AddCacheDirectiveRequestProto => AddCacheDirectiveResponseProto,
    modify_cache_directive: ModifyCacheDirectiveRequestProto => ModifyCacheDirectiveResponseProto,
    remove_cache_directive: RemoveCacheDirectiveRequestProto => RemoveCacheDirectiveResponseProto,
    add_cache_pool: AddCachePoolRequestProto => AddCachePoolResponseProto,
    modify_cache_pool: ModifyCachePoolRequestProto => ModifyCachePoolResponseProto,
    remove_cache_pool: RemoveCachePoolRequestProto => RemoveCachePoolResponseProto,
    satisfy_storage_policy: SatisfyStoragePolicyRequestProto => SatisfyStoragePolicyResponseProto,
    meta_save: MetaSaveRequestProto => MetaSaveResponseProto,
    restore_failed_storage: RestoreFailedStorageRequestProto => RestoreFailedStorageResponseProto,
}
