//! The small sections: counters, policies, snapshots, tokens, caches. They are read and written as
//! whole messages, since there is one of each.

use prost::Message;

use super::value::{
    CacheManager, ErasureCodingPolicy, NameSystem, PolicyState, Secrets, Snapshots,
};
use crate::pb::{self, Malformed};
use crate::proto::disk::{
    EcSchemaOptionEntryProto, EcSchemaProto, ErasureCodingPolicyProto, ErasureCodingPolicyState,
};
use crate::proto::image::{
    CacheManagerSection, ErasureCodingSection, NameSystemSection, SecretManagerSection,
    SnapshotSection, secret_manager_section as secret,
};
use crate::types::{DelegationKey, DelegationToken, ErasureCodingSchema};

/// Reads the next delimited message of a section.
pub(super) fn message<M: Message + Default>(bytes: &[u8], at: &mut usize) -> Result<M, Malformed> {
    let body = pb::delimited(bytes, at)?;
    M::decode(body).map_err(|_| "a message cannot be decoded")
}

/// Appends a delimited message.
pub(super) fn put(out: &mut Vec<u8>, message: &impl Message) {
    message.encode_length_delimited(out).expect("a vector has room for any message");
}

impl NameSystem {
    pub(super) fn read(bytes: &[u8], at: &mut usize) -> Result<Self, Malformed> {
        let section: NameSystemSection = message(bytes, at)?;
        Ok(Self {
            namespace_id: section.namespace_id(),
            genstamp_v1: section.genstamp_v1(),
            genstamp_v2: section.genstamp_v2(),
            genstamp_v1_limit: section.genstamp_v1_limit(),
            last_block_id: section.last_allocated_block_id() as i64,
            last_striped_block_id: section
                .last_allocated_striped_block_id
                .map_or(i64::MIN, |id| id as i64),
            txid: section.transaction_id(),
            rolling_upgrade_start: section.rolling_upgrade_start_time,
        })
    }

    pub(super) fn write(&self, out: &mut Vec<u8>) {
        let section = NameSystemSection {
            namespace_id: Some(self.namespace_id),
            genstamp_v1: Some(self.genstamp_v1),
            genstamp_v2: Some(self.genstamp_v2),
            genstamp_v1_limit: Some(self.genstamp_v1_limit),
            last_allocated_block_id: Some(self.last_block_id as u64),
            transaction_id: Some(self.txid),
            rolling_upgrade_start_time: self.rolling_upgrade_start,
            last_allocated_striped_block_id: Some(self.last_striped_block_id as u64),
        };
        put(out, &section);
    }
}

pub(super) fn read_policies(
    bytes: &[u8],
    at: &mut usize,
) -> Result<Vec<ErasureCodingPolicy>, Malformed> {
    let section: ErasureCodingSection = message(bytes, at)?;
    section.policies.iter().map(read_policy).collect()
}

fn read_policy(policy: &ErasureCodingPolicyProto) -> Result<ErasureCodingPolicy, Malformed> {
    let state = match policy.state() {
        ErasureCodingPolicyState::Disabled => PolicyState::Disabled,
        ErasureCodingPolicyState::Enabled => PolicyState::Enabled,
        ErasureCodingPolicyState::Removed => PolicyState::Removed,
    };
    let custom = match (&policy.name, &policy.schema) {
        (Some(name), Some(schema)) => {
            let options =
                schema.options.iter().map(|entry| (entry.key.clone(), entry.value.clone()));
            let schema = ErasureCodingSchema {
                codec: schema.codec_name.clone(),
                data_units: schema.data_units,
                parity_units: schema.parity_units,
                options: options.collect(),
            };
            Some((name.clone(), schema, policy.cell_size()))
        }
        (None, None) => None,
        _ => return Err("an erasure coding policy has half of its description"),
    };
    let id =
        u8::try_from(policy.id).map_err(|_| "an erasure coding policy's id is out of range")?;
    Ok(ErasureCodingPolicy { id, state, custom })
}

pub(super) fn write_policies(out: &mut Vec<u8>, policies: &[ErasureCodingPolicy]) {
    let policies = policies.iter().map(|policy| {
        let custom = policy.custom.as_ref();
        ErasureCodingPolicyProto {
            name: custom.map(|(name, ..)| name.clone()),
            schema: custom.map(|(_, schema, _)| EcSchemaProto {
                codec_name: schema.codec.clone(),
                data_units: schema.data_units,
                parity_units: schema.parity_units,
                options: schema
                    .options
                    .iter()
                    .cloned()
                    .map(|(key, value)| EcSchemaOptionEntryProto { key, value })
                    .collect(),
            }),
            cell_size: custom.map(|(.., cell_size)| *cell_size),
            id: u32::from(policy.id),
            state: Some(policy.state as i32),
        }
    });
    put(out, &ErasureCodingSection { policies: policies.collect() });
}

impl Snapshots {
    /// The directories and the number of snapshots.
    pub(super) fn read(bytes: &[u8], at: &mut usize) -> Result<(Self, u32), Malformed> {
        let section: SnapshotSection = message(bytes, at)?;
        let count = section.num_snapshots();
        let counter = section.snapshot_counter();
        Ok((Self { counter, snapshottable: section.snapshottable_dir }, count))
    }

    pub(super) fn write(&self, out: &mut Vec<u8>) {
        let section = SnapshotSection {
            snapshot_counter: Some(self.counter),
            snapshottable_dir: self.snapshottable.clone(),
            num_snapshots: Some(0),
        };
        put(out, &section);
    }
}

impl Secrets {
    pub(super) fn read(bytes: &[u8], at: &mut usize) -> Result<Self, Malformed> {
        let section: SecretManagerSection = message(bytes, at)?;
        let key = |key: secret::DelegationKey| DelegationKey {
            id: key.id() as i32,
            expiry_date: key.expiry_date() as i64,
            key: key.key,
        };
        let token = |token: secret::PersistToken| {
            let expiry = token.expiry_date() as i64;
            let issue_date = token.issue_date() as i64;
            let max_date = token.max_date() as i64;
            let sequence = token.sequence_number() as i32;
            let master_key_id = token.master_key_id() as i32;
            let identifier = DelegationToken {
                owner: token.owner.unwrap_or_default(),
                renewer: token.renewer.unwrap_or_default(),
                real_user: token.real_user.unwrap_or_default(),
                issue_date,
                max_date,
                sequence,
                master_key_id,
            };
            (identifier, expiry)
        };
        let keys = (0..section.num_keys())
            .map(|_| message(bytes, at).map(key))
            .collect::<Result<_, _>>()?;
        let tokens = (0..section.num_tokens())
            .map(|_| message(bytes, at).map(token))
            .collect::<Result<_, _>>()?;
        Ok(Self {
            current_key_id: section.current_id() as i32,
            sequence: section.token_sequence_number() as i32,
            keys,
            tokens,
        })
    }

    pub(super) fn write(&self, out: &mut Vec<u8>) {
        let section = SecretManagerSection {
            current_id: Some(self.current_key_id as u32),
            token_sequence_number: Some(self.sequence as u32),
            num_keys: Some(self.keys.len() as u32),
            num_tokens: Some(self.tokens.len() as u32),
        };
        put(out, &section);
        for key in &self.keys {
            let key = secret::DelegationKey {
                id: Some(key.id as u32),
                expiry_date: Some(key.expiry_date as u64),
                key: key.key.clone(),
            };
            put(out, &key);
        }
        for (token, expiry) in &self.tokens {
            let token = secret::PersistToken {
                version: Some(0),
                owner: Some(token.owner.clone()),
                renewer: Some(token.renewer.clone()),
                real_user: Some(token.real_user.clone()),
                issue_date: Some(token.issue_date as u64),
                max_date: Some(token.max_date as u64),
                sequence_number: Some(token.sequence as u32),
                master_key_id: Some(token.master_key_id as u32),
                expiry_date: Some(*expiry as u64),
            };
            put(out, &token);
        }
    }
}

impl CacheManager {
    pub(super) fn read(bytes: &[u8], at: &mut usize) -> Result<Self, Malformed> {
        let section: CacheManagerSection = message(bytes, at)?;
        let start = *at;
        let messages = u64::from(section.num_pools) + u64::from(section.num_directives);
        for _ in 0..messages {
            pb::delimited(bytes, at)?;
        }
        Ok(Self {
            next_directive_id: section.next_directive_id,
            pools: section.num_pools,
            directives: section.num_directives,
            raw: bytes[start..*at].to_vec(),
        })
    }

    pub(super) fn write(&self, out: &mut Vec<u8>) {
        let section = CacheManagerSection {
            next_directive_id: self.next_directive_id,
            num_pools: self.pools,
            num_directives: self.directives,
        };
        put(out, &section);
        out.extend_from_slice(&self.raw);
    }
}
