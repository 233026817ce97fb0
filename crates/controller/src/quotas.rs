//! AlterClientQuotas and DescribeClientQuotas.
//!
//! Invariant: a quota is positive and finite, and its entity is a user, a client id, both, or an address.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use ottla_metadata::{QuotaEntity, Quotas};
use ottla_protocol::Str;
use ottla_protocol::metadata_records::MetadataRecord;

use crate::controller::{Answer, Controller, Outcome, RECORDS_PER_COMMAND_MAX};
use crate::error::ControlError;

const USER: &str = "user";
const CLIENT_ID: &str = "client-id";
const IP: &str = "ip";

/// How far a value may be from a whole number and still count as one.
const FRACTION_MAX: f64 = 1e-6;

#[derive(Debug, Clone, PartialEq)]
pub struct QuotaAlteration {
    /// Types and names as the client gave them, in which a type may stand twice.
    pub entity: Vec<(Str, Option<Str>)>,
    /// Values to set; nothing removes.
    pub ops: Vec<(Str, Option<f64>)>,
}

/// What a filter wants of one entity type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum QuotaMatch {
    Exact(Str),
    Default,
    /// Any name, the default too.
    Any,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QuotaFilter {
    pub entity_type: Str,
    pub wanted: QuotaMatch,
}

#[derive(Debug, Clone, Copy)]
enum Whole {
    Long,
    Int,
}

/// The keys that an entity may have, and which of them take whole numbers only.
const USER_KEYS: [(&str, Option<Whole>); 4] = [
    ("producer_byte_rate", Some(Whole::Long)),
    ("consumer_byte_rate", Some(Whole::Long)),
    ("request_percentage", None),
    ("controller_mutation_rate", None),
];
const IP_KEYS: [(&str, Option<Whole>); 1] = [("connection_creation_rate", Some(Whole::Int))];

impl Controller {
    /// Answers each alteration on its own, in the order of the request.
    pub fn alter_client_quotas(
        &self,
        alterations: &[QuotaAlteration],
        validate_only: bool,
    ) -> Result<Outcome<Vec<Answer<()>>>, ControlError> {
        let mut seen = BTreeSet::new();
        let mut records = Vec::new();
        let mut alter = |alteration: &QuotaAlteration| {
            let entity = parse_entity(&alteration.entity)?;
            if !seen.insert(entity.clone()) {
                return Err(ControlError::DuplicateQuotaEntity);
            }
            records.extend(self.quota_records(&entity, &alteration.ops)?);
            Ok(())
        };
        let answers = alterations.iter().map(&mut alter).collect();
        if records.len() > RECORDS_PER_COMMAND_MAX {
            return Err(ControlError::TooManyRecords(RECORDS_PER_COMMAND_MAX));
        }
        if validate_only {
            records.clear();
        }
        Ok(Outcome::atomic(records, answers))
    }

    fn quota_records(
        &self,
        entity: &QuotaEntity,
        ops: &[(Str, Option<f64>)],
    ) -> Answer<Vec<MetadataRecord>> {
        let current = self
            .image
            .client_quotas
            .get(entity)
            .cloned()
            .unwrap_or_default();
        let mut wanted = BTreeMap::new();
        for (key, value) in ops {
            if wanted.insert(key, *value).is_some() {
                return Err(ControlError::DuplicateQuotaKey(key.clone()));
            }
        }
        let mut records = Vec::new();
        for (key, value) in wanted {
            if let Some(value) = value {
                check_value(entity, key, value)?;
            }
            if current.get(key).copied() != value {
                records.push(entity.to_record(&key.detached(), value).into());
            }
        }
        Ok(records)
    }

    /// The quotas of the entities that fit the filter; a strict one wants no other types.
    pub fn describe_client_quotas(
        &self,
        filter: &[QuotaFilter],
        strict: bool,
    ) -> Result<Vec<(QuotaEntity, Quotas)>, ControlError> {
        check_filter(filter)?;
        let fits = |entity: &QuotaEntity| {
            (!strict || entity.0.len() == filter.len())
                && filter
                    .iter()
                    .all(|f| match (entity.0.get(&f.entity_type), &f.wanted) {
                        (Some(Some(name)), QuotaMatch::Exact(wanted)) => name == wanted,
                        (Some(None), QuotaMatch::Default) => true,
                        (Some(_), QuotaMatch::Any) => true,
                        _ => false,
                    })
        };
        let found = self
            .image
            .client_quotas
            .iter()
            .filter(|(entity, _)| fits(entity));
        Ok(found
            .map(|(entity, quotas)| (entity.clone(), Quotas::clone(quotas)))
            .collect())
    }
}

fn parse_entity(parts: &[(Str, Option<Str>)]) -> Result<QuotaEntity, ControlError> {
    let mut entity = BTreeMap::new();
    for (kind, name) in parts {
        if ![USER, CLIENT_ID, IP].contains(&kind.as_str()) {
            return Err(ControlError::UnknownQuotaEntityType(kind.clone()));
        }
        if name.as_ref().is_some_and(|n| n.is_empty()) {
            return Err(ControlError::EmptyQuotaEntityName(kind.clone()));
        }
        if entity
            .insert(kind.detached(), name.as_ref().map(Str::detached))
            .is_some()
        {
            return Err(ControlError::DuplicateQuotaEntityType(kind.clone()));
        }
    }
    if entity.is_empty() {
        return Err(ControlError::EmptyQuotaEntity);
    }
    if let Some(address) = entity.get(IP) {
        if entity.len() > 1 {
            return Err(ControlError::MixedQuotaEntity);
        }
        // Host names are not resolved here: that would be I/O, and mean something else tomorrow.
        if let Some(address) = address.as_ref().filter(|a| a.parse::<IpAddr>().is_err()) {
            return Err(ControlError::InvalidIp(address.clone()));
        }
    }
    Ok(QuotaEntity(entity))
}

fn check_value(entity: &QuotaEntity, key: &Str, value: f64) -> Result<(), ControlError> {
    let keys: &[(&str, Option<Whole>)] = if entity.0.contains_key(IP) {
        &IP_KEYS
    } else {
        &USER_KEYS
    };
    let (_, whole) = keys
        .iter()
        .find(|(name, _)| *key == **name)
        .ok_or(ControlError::UnknownQuotaKey(key.clone()))?;
    if value.is_nan() || value <= 0.0 {
        return Err(ControlError::QuotaNotPositive(key.clone()));
    }
    let (max, kind) = match whole {
        None => (f64::MAX, "DOUBLE"),
        Some(Whole::Long) => (i64::MAX as f64, "LONG"),
        Some(Whole::Int) => (f64::from(i32::MAX), "INT"),
    };
    if value > max {
        return Err(ControlError::QuotaTooLarge {
            key: key.clone(),
            kind,
        });
    }
    if whole.is_some() && value.fract() > FRACTION_MAX {
        return Err(ControlError::QuotaFraction(key.clone()));
    }
    Ok(())
}

fn check_filter(filter: &[QuotaFilter]) -> Result<(), ControlError> {
    let mut kinds = BTreeSet::new();
    for QuotaFilter { entity_type, .. } in filter {
        if entity_type.is_empty() {
            return Err(ControlError::EmptyEntityType);
        }
        if !kinds.insert(entity_type) {
            return Err(ControlError::DuplicateFilter(entity_type.clone()));
        }
        if ![USER, CLIENT_ID, IP].contains(&entity_type.as_str()) {
            return Err(ControlError::UnsupportedEntityType(entity_type.clone()));
        }
    }
    if kinds.len() > 1 && kinds.contains(&Str::from_static(IP)) {
        return Err(ControlError::MixedFilter);
    }
    Ok(())
}
