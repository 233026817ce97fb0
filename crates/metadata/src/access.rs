//! Who may do what, and how much of it: ACLs, SCRAM credentials, delegation tokens, client quotas.
//!
//! Invariant: what is stored is what the records said; deciding on it is the work of others.

use std::collections::BTreeMap;

use bytes::Bytes;
use ottla_protocol::metadata_records::client_quota_record::EntityData;
use ottla_protocol::metadata_records::{
    AccessControlEntryRecord, ClientQuotaRecord, DelegationTokenRecord, UserScramCredentialRecord,
};
use ottla_protocol::{Str, Uuid};

use crate::error::ReplayError;

/// One access control entry, its enumerations as Kafka numbers them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Acl {
    pub resource_type: i8,
    pub resource_name: Str,
    pub pattern_type: i8,
    pub principal: Str,
    pub host: Str,
    pub operation: i8,
    pub permission_type: i8,
}

impl Acl {
    pub(crate) fn from_record(record: &AccessControlEntryRecord) -> Acl {
        Acl {
            resource_type: record.resource_type,
            resource_name: record.resource_name.detached(),
            pattern_type: record.pattern_type,
            principal: record.principal.detached(),
            host: record.host.detached(),
            operation: record.operation,
            permission_type: record.permission_type,
        }
    }

    pub fn to_record(&self, id: Uuid) -> AccessControlEntryRecord {
        AccessControlEntryRecord {
            id,
            resource_type: self.resource_type,
            resource_name: self.resource_name.clone(),
            pattern_type: self.pattern_type,
            principal: self.principal.clone(),
            host: self.host.clone(),
            operation: self.operation,
            permission_type: self.permission_type,
            ..Default::default()
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ScramMechanism {
    Sha256,
    Sha512,
}

impl ScramMechanism {
    pub fn from_code(code: i8) -> Option<ScramMechanism> {
        match code {
            1 => Some(ScramMechanism::Sha256),
            2 => Some(ScramMechanism::Sha512),
            _ => None,
        }
    }

    pub fn code(self) -> i8 {
        match self {
            ScramMechanism::Sha256 => 1,
            ScramMechanism::Sha512 => 2,
        }
    }

    pub(crate) fn parse(code: i8) -> Result<ScramMechanism, ReplayError> {
        Self::from_code(code).ok_or(ReplayError::UnknownScramMechanism(code))
    }
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ScramUser {
    pub mechanism: ScramMechanism,
    pub name: Str,
}

#[derive(Clone, PartialEq, Eq)]
pub struct ScramCredential {
    pub salt: Bytes,
    pub stored_key: Bytes,
    pub server_key: Bytes,
    pub iterations: i32,
}

impl std::fmt::Debug for ScramCredential {
    /// Keys never reach a log.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ScramCredential")
            .field("iterations", &self.iterations)
            .finish_non_exhaustive()
    }
}

impl ScramCredential {
    pub(crate) fn from_record(record: &UserScramCredentialRecord) -> ScramCredential {
        ScramCredential {
            salt: Bytes::copy_from_slice(&record.salt),
            stored_key: Bytes::copy_from_slice(&record.stored_key),
            server_key: Bytes::copy_from_slice(&record.server_key),
            iterations: record.iterations,
        }
    }

    pub fn to_record(&self, user: &ScramUser) -> UserScramCredentialRecord {
        UserScramCredentialRecord {
            name: user.name.clone(),
            mechanism: user.mechanism.code(),
            salt: self.salt.clone(),
            stored_key: self.stored_key.clone(),
            server_key: self.server_key.clone(),
            iterations: self.iterations,
            ..Default::default()
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DelegationToken {
    pub owner: Str,
    pub requester: Str,
    pub renewers: Vec<Str>,
    pub issue_timestamp_ms: i64,
    pub max_timestamp_ms: i64,
    pub expiration_timestamp_ms: i64,
}

impl DelegationToken {
    pub(crate) fn from_record(record: &DelegationTokenRecord) -> DelegationToken {
        DelegationToken {
            owner: record.owner.detached(),
            requester: record.requester.detached(),
            renewers: record.renewers.iter().map(Str::detached).collect(),
            issue_timestamp_ms: record.issue_timestamp,
            max_timestamp_ms: record.max_timestamp,
            expiration_timestamp_ms: record.expiration_timestamp,
        }
    }

    pub fn to_record(&self, token_id: &Str) -> DelegationTokenRecord {
        DelegationTokenRecord {
            owner: self.owner.clone(),
            requester: self.requester.clone(),
            renewers: self.renewers.clone(),
            issue_timestamp: self.issue_timestamp_ms,
            max_timestamp: self.max_timestamp_ms,
            expiration_timestamp: self.expiration_timestamp_ms,
            token_id: token_id.clone(),
            ..Default::default()
        }
    }
}

/// Whom a quota is for: for each type (`user`, `client-id`, `ip`) a name, or the default of the type.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct QuotaEntity(pub BTreeMap<Str, Option<Str>>);

impl QuotaEntity {
    pub(crate) fn from_record(record: &ClientQuotaRecord) -> QuotaEntity {
        let part = |e: &EntityData| {
            (
                e.entity_type.detached(),
                e.entity_name.as_ref().map(Str::detached),
            )
        };
        QuotaEntity(record.entity.iter().map(part).collect())
    }

    /// Sets the quota `key`, or removes it.
    pub fn to_record(&self, key: &Str, value: Option<f64>) -> ClientQuotaRecord {
        let part = |(kind, name): (&Str, &Option<Str>)| EntityData {
            entity_type: kind.clone(),
            entity_name: name.clone(),
            ..Default::default()
        };
        ClientQuotaRecord {
            entity: self.0.iter().map(part).collect(),
            key: key.clone(),
            value: value.unwrap_or_default(),
            remove: value.is_none(),
            ..Default::default()
        }
    }
}

/// The quotas of one entity.
pub type Quotas = BTreeMap<Str, f64>;
