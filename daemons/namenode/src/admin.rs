//! Methods the server answers without the namespace: roles, refreshes, groups, protocol lists.

use std::sync::Arc;

use hdfs_core::namenode::Caller;
use hdfs_wire::proto::common::*;
use hdfs_wire::proto::hdfs::namenode as checkpoint;
use hdfs_wire::proto::hdfs::*;
use hdfs_wire::{Exception, Fault};

use crate::routes;
use crate::server::Server;

type Answer<T> = Result<T, Fault>;
type This<'a> = &'a Arc<Server>;
type Who<'a, 'b> = &'a Caller<'b>;

fn stands_alone<T>() -> Answer<T> {
    Err(Fault::new(Exception::ServiceFailed, "HA for namenode is not enabled"))
}

/// `getServiceStatus`: a namenode that stands alone is active.
pub(crate) fn service_status(
    _: This<'_>,
    _: Who<'_, '_>,
    _: &GetServiceStatusRequestProto,
) -> Answer<GetServiceStatusResponseProto> {
    Ok(GetServiceStatusResponseProto {
        state: HaServiceStateProto::Active.into(),
        ready_to_become_active: Some(true),
        not_ready_reason: None,
    })
}

/// `monitorHealth`: it answers, so it is healthy.
pub(crate) fn monitor_health(
    _: This<'_>,
    _: Who<'_, '_>,
    _: &MonitorHealthRequestProto,
) -> Answer<MonitorHealthResponseProto> {
    Ok(MonitorHealthResponseProto {})
}

/// `transitionToActive`: refused.
pub(crate) fn transition_to_active(
    _: This<'_>,
    _: Who<'_, '_>,
    _: &TransitionToActiveRequestProto,
) -> Answer<TransitionToActiveResponseProto> {
    stands_alone()
}

/// `transitionToStandby`: refused.
pub(crate) fn transition_to_standby(
    _: This<'_>,
    _: Who<'_, '_>,
    _: &TransitionToStandbyRequestProto,
) -> Answer<TransitionToStandbyResponseProto> {
    stands_alone()
}

/// `transitionToObserver`: refused.
pub(crate) fn transition_to_observer(
    _: This<'_>,
    _: Who<'_, '_>,
    _: &TransitionToObserverRequestProto,
) -> Answer<TransitionToObserverResponseProto> {
    stands_alone()
}

/// `refreshUserToGroupsMappings`: groups are asked again.
pub(crate) fn refresh_groups(
    server: This<'_>,
    _: Who<'_, '_>,
    _: &RefreshUserToGroupsMappingsRequestProto,
) -> Answer<RefreshUserToGroupsMappingsResponseProto> {
    server.groups.refresh();
    Ok(RefreshUserToGroupsMappingsResponseProto {})
}

/// `refreshSuperUserGroupsConfiguration`: nobody may impersonate, so nothing is to be read again.
pub(crate) fn refresh_proxy_users(
    _: This<'_>,
    _: Who<'_, '_>,
    _: &RefreshSuperUserGroupsConfigurationRequestProto,
) -> Answer<RefreshSuperUserGroupsConfigurationResponseProto> {
    Ok(RefreshSuperUserGroupsConfigurationResponseProto {})
}

/// `refreshServiceAcl`: refused with Java's words, as service lists are off.
pub(crate) fn refresh_service_acl(
    _: This<'_>,
    _: Who<'_, '_>,
    _: &RefreshServiceAclRequestProto,
) -> Answer<RefreshServiceAclResponseProto> {
    let message = "Service Level Authorization not enabled!";
    Err(Fault::new(Exception::Authorization, message))
}

/// `refreshCallQueue`: there is no queue to exchange.
pub(crate) fn refresh_call_queue(
    _: This<'_>,
    _: Who<'_, '_>,
    _: &RefreshCallQueueRequestProto,
) -> Answer<RefreshCallQueueResponseProto> {
    Ok(RefreshCallQueueResponseProto {})
}

/// `refresh` of something by name: no name is known.
pub(crate) fn generic_refresh(
    _: This<'_>,
    _: Who<'_, '_>,
    request: &GenericRefreshRequestProto,
) -> Answer<GenericRefreshResponseCollectionProto> {
    let identifier = request.identifier();
    let message =
        format!("Identifier '{identifier}' does not exist in RefreshRegistry. Valid options are: ");
    Err(Fault::new(Exception::IllegalArgument, message))
}

/// `getGroupsForUser`.
pub(crate) fn groups_for_user(
    server: This<'_>,
    _: Who<'_, '_>,
    request: &GetGroupsForUserRequestProto,
) -> Answer<GetGroupsForUserResponseProto> {
    Ok(GetGroupsForUserResponseProto { groups: server.groups.of(&request.user).to_vec() })
}

/// `listReconfigurableProperties`: what a reload takes up.
pub(crate) fn reconfigurable_properties(
    server: This<'_>,
    caller: Who<'_, '_>,
    _: &ListReconfigurablePropertiesRequestProto,
) -> Answer<ListReconfigurablePropertiesResponseProto> {
    server.state.read().check_superuser(caller, "listNamenodeReconfigurableProperties")?;
    Ok(server.reconfiguration.properties())
}

/// `getReconfigurationStatus`.
pub(crate) fn reconfiguration_status(
    server: This<'_>,
    caller: Who<'_, '_>,
    _: &GetReconfigurationStatusRequestProto,
) -> Answer<GetReconfigurationStatusResponseProto> {
    server.state.read().check_superuser(caller, "getNamenodeReconfigurationStatus")?;
    Ok(server.reconfiguration.status())
}

/// `startReconfiguration`: the files are read again.
pub(crate) fn start_reconfiguration(
    server: This<'_>,
    caller: Who<'_, '_>,
    _: &StartReconfigurationRequestProto,
) -> Answer<StartReconfigurationResponseProto> {
    server.state.read().check_superuser(caller, "startNamenodeReconfiguration")?;
    server.reconfiguration.start()
}

const RPC_KIND: &str = "RPC_PROTOCOL_BUFFER";

/// `getProtocolVersions`: 1 for every protocol the server speaks.
pub(crate) fn protocol_versions(
    _: This<'_>,
    _: Who<'_, '_>,
    request: &GetProtocolVersionsRequestProto,
) -> Answer<GetProtocolVersionsResponseProto> {
    let versions = if routes::speaks(&request.protocol) { vec![1] } else { Vec::new() };
    let kind = ProtocolVersionProto { rpc_kind: RPC_KIND.to_owned(), versions };
    Ok(GetProtocolVersionsResponseProto { protocol_versions: vec![kind] })
}

/// `getProtocolSignature`: the version, without Java's fingerprints of methods.
pub(crate) fn protocol_signature(
    _: This<'_>,
    _: Who<'_, '_>,
    request: &GetProtocolSignatureRequestProto,
) -> Answer<GetProtocolSignatureResponseProto> {
    let known = routes::speaks(&request.protocol) && request.rpc_kind == RPC_KIND;
    let signature = ProtocolSignatureProto { version: 1, methods: Vec::new() };
    Ok(GetProtocolSignatureResponseProto {
        protocol_signature: if known { vec![signature] } else { Vec::new() },
    })
}

/// `getTransactionId`: the last one that is on disk.
pub(crate) fn transaction_id(
    server: This<'_>,
    _: Who<'_, '_>,
    _: &checkpoint::GetTransactionIdRequestProto,
) -> Answer<checkpoint::GetTransactionIdResponseProto> {
    Ok(checkpoint::GetTransactionIdResponseProto { tx_id: server.journal.synced() })
}

/// `isUpgradeFinalized`: there is never an upgrade under way.
pub(crate) fn is_upgrade_finalized(
    _: This<'_>,
    _: Who<'_, '_>,
    _: &checkpoint::IsUpgradeFinalizedRequestProto,
) -> Answer<checkpoint::IsUpgradeFinalizedResponseProto> {
    Ok(checkpoint::IsUpgradeFinalizedResponseProto { is_upgrade_finalized: true })
}

/// `isRollingUpgrade`: never.
pub(crate) fn is_rolling_upgrade(
    _: This<'_>,
    _: Who<'_, '_>,
    _: &checkpoint::IsRollingUpgradeRequestProto,
) -> Answer<checkpoint::IsRollingUpgradeResponseProto> {
    Ok(checkpoint::IsRollingUpgradeResponseProto { is_rolling_upgrade: false })
}

/// `errorReport` of a secondary namenode: logged.
pub(crate) fn error_report(
    _: This<'_>,
    caller: Who<'_, '_>,
    request: &checkpoint::ErrorReportRequestProto,
) -> Answer<checkpoint::ErrorReportResponseProto> {
    let message: String = request.msg.chars().take(1000).collect();
    tracing::warn!(from = caller.address, code = request.error_code, message, "error report");
    Ok(checkpoint::ErrorReportResponseProto {})
}

/// `getBlockKeys`: none, block tokens are off.
pub(crate) fn block_keys(
    _: This<'_>,
    _: Who<'_, '_>,
    _: &checkpoint::GetBlockKeysRequestProto,
) -> Answer<checkpoint::GetBlockKeysResponseProto> {
    Ok(checkpoint::GetBlockKeysResponseProto { keys: None })
}
