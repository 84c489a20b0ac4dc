//! Calls whose answers follow from the configuration, or that always answer the same here.

use hdfs_disk::image::PolicyState;
use hdfs_wire::proto::common::{GetDelegationTokenRequestProto, GetDelegationTokenResponseProto};
use hdfs_wire::proto::hdfs::{
    CreateEncryptionZoneRequestProto, CreateEncryptionZoneResponseProto, CreateSymlinkRequestProto,
    CreateSymlinkResponseProto, EcSchemaProto, ErasureCodingPolicyProto,
    FinalizeUpgradeRequestProto, FinalizeUpgradeResponseProto, FsServerDefaultsProto,
    GetCurrentEditLogTxidRequestProto, GetCurrentEditLogTxidResponseProto,
    GetDataEncryptionKeyRequestProto, GetDataEncryptionKeyResponseProto,
    GetEnclosingRootRequestProto, GetEnclosingRootResponseProto,
    GetErasureCodingCodecsRequestProto, GetErasureCodingCodecsResponseProto,
    GetErasureCodingPoliciesRequestProto, GetErasureCodingPoliciesResponseProto,
    GetErasureCodingPolicyRequestProto, GetErasureCodingPolicyResponseProto,
    GetEzForPathRequestProto, GetEzForPathResponseProto, GetLinkTargetRequestProto,
    GetLinkTargetResponseProto, GetServerDefaultsRequestProto, GetServerDefaultsResponseProto,
    HaServiceStateRequestProto, HaServiceStateResponseProto, ListCacheDirectivesRequestProto,
    ListCacheDirectivesResponseProto, ListCachePoolsRequestProto, ListCachePoolsResponseProto,
    ListEncryptionZonesRequestProto, ListEncryptionZonesResponseProto, MsyncRequestProto,
    MsyncResponseProto, RollingUpgradeRequestProto, RollingUpgradeResponseProto,
    UpgradeStatusRequestProto, UpgradeStatusResponseProto,
};
use hdfs_wire::{Exception, Fault};

use super::super::kept::{SYSTEM_POLICIES, policy_name};
use super::super::resolve::Intent;
use super::super::tree::Kind;
use super::super::{Caller, Durable, Namenode};
use super::not_found;
use super::policies::HOT;

/// Codec, data and parity units of the system's erasure coding policies, by id.
const SYSTEM_SCHEMAS: [(&str, u32, u32); SYSTEM_POLICIES.len()] =
    [("rs", 6, 3), ("rs", 3, 2), ("rs-legacy", 6, 3), ("xor", 2, 1), ("rs", 10, 4)];

/// Bytes of a cell in all system policies.
const SYSTEM_CELL: u32 = 1 << 20;

impl Namenode {
    /// `getServerDefaults`.
    ///
    /// # Errors
    /// None.
    pub fn get_server_defaults(
        &self,
        _: &Caller<'_>,
        _: &GetServerDefaultsRequestProto,
    ) -> Result<GetServerDefaultsResponseProto, Fault> {
        let config = &self.config;
        let server_defaults = FsServerDefaultsProto {
            block_size: config.block_size,
            bytes_per_checksum: config.bytes_per_checksum,
            write_packet_size: config.write_packet_size,
            replication: u32::from(config.replication),
            file_buffer_size: config.file_buffer_size,
            encrypt_data_transfer: Some(false),
            trash_interval: Some(config.trash_interval),
            checksum_type: Some(config.checksum_type),
            // Present and empty: the client knows that there is no key server.
            key_provider_uri: Some(String::new()),
            policy_id: Some(u32::from(HOT)),
            snapshot_trash_root_enabled: Some(false),
        };
        Ok(GetServerDefaultsResponseProto { server_defaults })
    }

    /// `getErasureCodingPolicies`: the system's and the kept ones, with their states.
    ///
    /// # Errors
    /// None.
    pub fn get_erasure_coding_policies(
        &self,
        _: &Caller<'_>,
        _: &GetErasureCodingPoliciesRequestProto,
    ) -> Result<GetErasureCodingPoliciesResponseProto, Fault> {
        let all = 0..self.kept.policies.len();
        let ec_policies = all.map(|index| self.coding_policy(index)).collect();
        Ok(GetErasureCodingPoliciesResponseProto { ec_policies })
    }

    fn coding_policy(&self, index: usize) -> ErasureCodingPolicyProto {
        let policy = &self.kept.policies[index];
        let (schema, cell) = match &policy.custom {
            Some((_, schema, cell)) => {
                let codec_name = schema.codec.clone();
                let (data_units, parity_units) = (schema.data_units, schema.parity_units);
                let options = Vec::new();
                (EcSchemaProto { codec_name, data_units, parity_units, options }, *cell)
            }
            None => {
                let index = usize::from(policy.id).saturating_sub(1);
                let (codec, data_units, parity_units) =
                    SYSTEM_SCHEMAS.get(index).copied().unwrap_or(("", 0, 0));
                let (codec_name, options) = (codec.to_owned(), Vec::new());
                (EcSchemaProto { codec_name, data_units, parity_units, options }, SYSTEM_CELL)
            }
        };
        ErasureCodingPolicyProto {
            name: Some(policy_name(policy).to_owned()),
            schema: Some(schema),
            cell_size: Some(cell),
            id: u32::from(policy.id),
            state: Some(match policy.state {
                // The default policy is on unless somebody removed it.
                PolicyState::Disabled if policy.id == 1 => 2,
                PolicyState::Disabled => 1,
                PolicyState::Enabled => 2,
                PolicyState::Removed => 3,
            }),
        }
    }

    /// `getErasureCodingCodecs`: none, since nothing is striped here.
    ///
    /// # Errors
    /// None.
    pub fn get_erasure_coding_codecs(
        &self,
        _: &Caller<'_>,
        _: &GetErasureCodingCodecsRequestProto,
    ) -> Result<GetErasureCodingCodecsResponseProto, Fault> {
        Ok(GetErasureCodingCodecsResponseProto::default())
    }

    /// `getErasureCodingPolicy`: empty for replication.
    ///
    /// # Errors
    /// `FileNotFoundException`; path and permission errors.
    pub fn get_erasure_coding_policy(
        &self,
        caller: &Caller<'_>,
        request: &GetErasureCodingPolicyRequestProto,
    ) -> Result<GetErasureCodingPolicyResponseProto, Fault> {
        let resolved = self.resolve(caller, &request.src, Intent::Read)?;
        let slot = resolved
            .target()
            .ok_or_else(|| not_found(format!("Path not found: {}", resolved.path())))?;
        let index = self.erasure_coding_of(slot).and_then(|name| {
            self.kept.policies.iter().position(|policy| policy_name(policy) == name)
        });
        let ec_policy = index.map(|index| self.coding_policy(index));
        Ok(GetErasureCodingPolicyResponseProto { ec_policy })
    }

    /// `getEZForPath`: never in an encryption zone.
    ///
    /// # Errors
    /// Path and permission errors.
    pub fn get_ez_for_path(
        &self,
        caller: &Caller<'_>,
        request: &GetEzForPathRequestProto,
    ) -> Result<GetEzForPathResponseProto, Fault> {
        self.resolve(caller, &request.src, Intent::Read)?;
        Ok(GetEzForPathResponseProto { zone: None })
    }

    /// `listEncryptionZones`: none.
    ///
    /// # Errors
    /// `AccessControlException` for all but superusers.
    pub fn list_encryption_zones(
        &self,
        caller: &Caller<'_>,
        _: &ListEncryptionZonesRequestProto,
    ) -> Result<ListEncryptionZonesResponseProto, Fault> {
        self.checker(caller).superuser("listEncryptionZones")?;
        Ok(ListEncryptionZonesResponseProto { zones: Vec::new(), has_more: false })
    }

    /// `createEncryptionZone`: there is no key server.
    ///
    /// # Errors
    /// Always `IOException`; path and permission errors before that.
    pub fn create_encryption_zone(
        &mut self,
        caller: &Caller<'_>,
        request: &CreateEncryptionZoneRequestProto,
    ) -> Result<Durable<CreateEncryptionZoneResponseProto>, Fault> {
        let src = &request.src;
        self.checker(caller).superuser("createEncryptionZone")?;
        self.check_safe_mode(format_args!("create encryption zone on {src}"))?;
        Err(Fault::io(format!(
            "Can't create an encryption zone for {src} since no key provider is available."
        )))
    }

    /// `listCacheDirectives`: none that this namenode could read.
    ///
    /// # Errors
    /// `UnsupportedOperationException` when an image brought some.
    pub fn list_cache_directives(
        &self,
        _: &Caller<'_>,
        _: &ListCacheDirectivesRequestProto,
    ) -> Result<ListCacheDirectivesResponseProto, Fault> {
        self.check_no_cache()?;
        Ok(ListCacheDirectivesResponseProto { elements: Vec::new(), has_more: false })
    }

    /// `listCachePools`: none that this namenode could read.
    ///
    /// # Errors
    /// `UnsupportedOperationException` when an image brought some.
    pub fn list_cache_pools(
        &self,
        _: &Caller<'_>,
        _: &ListCachePoolsRequestProto,
    ) -> Result<ListCachePoolsResponseProto, Fault> {
        self.check_no_cache()?;
        Ok(ListCachePoolsResponseProto { entries: Vec::new(), has_more: false })
    }

    fn check_no_cache(&self) -> Result<(), Fault> {
        if self.kept.cache.pools == 0 && self.kept.cache.directives == 0 {
            return Ok(());
        }
        let message = "the cache pools of this namespace are kept, but not served";
        Err(Fault::new(Exception::UnsupportedOperation, message))
    }

    /// `finalizeUpgrade`: nothing waits to be finalized.
    ///
    /// # Errors
    /// `AccessControlException` for all but superusers.
    pub fn finalize_upgrade(
        &mut self,
        caller: &Caller<'_>,
        _: &FinalizeUpgradeRequestProto,
    ) -> Result<Durable<FinalizeUpgradeResponseProto>, Fault> {
        self.checker(caller).superuser("finalizeUpgrade")?;
        Ok(self.durable(FinalizeUpgradeResponseProto {}))
    }

    /// `getEnclosingRoot`: no borders of encryption zones in the way.
    ///
    /// # Errors
    /// Path and permission errors.
    pub fn get_enclosing_root(
        &self,
        caller: &Caller<'_>,
        request: &GetEnclosingRootRequestProto,
    ) -> Result<GetEnclosingRootResponseProto, Fault> {
        self.resolve(caller, request.filename.as_deref().unwrap_or("/"), Intent::Read)?;
        Ok(GetEnclosingRootResponseProto { enclosing_root_path: Some("/".to_owned()) })
    }

    /// `getCurrentEditLogTxid`.
    ///
    /// # Errors
    /// `AccessControlException` for all but superusers.
    pub fn get_current_edit_log_txid(
        &self,
        caller: &Caller<'_>,
        _: &GetCurrentEditLogTxidRequestProto,
    ) -> Result<GetCurrentEditLogTxidResponseProto, Fault> {
        self.checker(caller).superuser("getCurrentEditLogTxid")?;
        Ok(GetCurrentEditLogTxidResponseProto { txid: self.last_txid() as i64 })
    }

    /// `msync`: the active namenode is always in step with itself.
    ///
    /// # Errors
    /// None.
    pub fn msync(
        &self,
        _: &Caller<'_>,
        _: &MsyncRequestProto,
    ) -> Result<MsyncResponseProto, Fault> {
        Ok(MsyncResponseProto {})
    }

    /// `getDataEncryptionKey`: none, since transfers are not encrypted.
    ///
    /// # Errors
    /// None.
    pub fn get_data_encryption_key(
        &self,
        _: &Caller<'_>,
        _: &GetDataEncryptionKeyRequestProto,
    ) -> Result<GetDataEncryptionKeyResponseProto, Fault> {
        Ok(GetDataEncryptionKeyResponseProto::default())
    }

    /// `getHAServiceState`: this namenode stands alone.
    ///
    /// # Errors
    /// Always `ServiceFailedException`, as Java without high availability.
    pub fn get_ha_service_state(
        &self,
        _: &Caller<'_>,
        _: &HaServiceStateRequestProto,
    ) -> Result<HaServiceStateResponseProto, Fault> {
        Err(Fault::new(Exception::ServiceFailed, "HA for namenode is not enabled"))
    }

    /// `getDelegationToken`: none, since security is off.
    ///
    /// # Errors
    /// None.
    pub fn get_delegation_token(
        &self,
        _: &Caller<'_>,
        _: &GetDelegationTokenRequestProto,
    ) -> Result<GetDelegationTokenResponseProto, Fault> {
        Ok(GetDelegationTokenResponseProto::default())
    }

    /// `createSymlink`: off, as in Java.
    ///
    /// # Errors
    /// Always `UnsupportedOperationException`.
    pub fn create_symlink(
        &mut self,
        _: &Caller<'_>,
        _: &CreateSymlinkRequestProto,
    ) -> Result<Durable<CreateSymlinkResponseProto>, Fault> {
        Err(Fault::new(Exception::UnsupportedOperation, "Symlinks not supported"))
    }

    /// `getLinkTarget`: links of old namespaces are still there.
    ///
    /// # Errors
    /// `FileNotFoundException`, `IOException` for anything but a link; path and permission errors.
    pub fn get_link_target(
        &self,
        caller: &Caller<'_>,
        request: &GetLinkTargetRequestProto,
    ) -> Result<GetLinkTargetResponseProto, Fault> {
        let src = &request.path;
        let resolved = self.resolve(caller, src, Intent::ReadLink)?;
        let slot =
            resolved.target().ok_or_else(|| not_found(format!("File does not exist: {src}")))?;
        if self.tree.get(slot).kind() != Kind::Symlink {
            return Err(Fault::io(format!("Path {src} is not a symbolic link")));
        }
        let target = String::from_utf8_lossy(self.tree.link_target(slot)).into_owned();
        Ok(GetLinkTargetResponseProto { target_path: Some(target) })
    }

    /// `upgradeStatus`: nothing waits to be finalized.
    ///
    /// # Errors
    /// None.
    pub fn upgrade_status(
        &self,
        _: &Caller<'_>,
        _: &UpgradeStatusRequestProto,
    ) -> Result<UpgradeStatusResponseProto, Fault> {
        Ok(UpgradeStatusResponseProto { upgrade_finalized: true })
    }

    /// `rollingUpgrade`: only the question is answered.
    ///
    /// # Errors
    /// `AccessControlException` for all but superusers; `UnsupportedOperationException` for
    /// anything but a query.
    pub fn rolling_upgrade(
        &self,
        caller: &Caller<'_>,
        request: &RollingUpgradeRequestProto,
    ) -> Result<RollingUpgradeResponseProto, Fault> {
        const QUERY: i32 = 1;
        self.checker(caller).superuser("queryRollingUpgrade")?;
        if request.action != QUERY {
            let message = "rolling upgrades are not supported";
            return Err(Fault::new(Exception::UnsupportedOperation, message));
        }
        Ok(RollingUpgradeResponseProto { rolling_upgrade_info: None })
    }
}
