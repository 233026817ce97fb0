//! Registrations of brokers and controllers.
//!
//! Invariant: the epoch of a broker is the offset of the record that registered its incarnation, so
//! a later incarnation always has a higher one.
//! Read by Metadata and DescribeCluster, by placement, and by every check of a broker's epoch.

use std::collections::BTreeMap;

use ottla_protocol::metadata_records::register_broker_record::{BrokerEndpoint, BrokerFeature};
use ottla_protocol::metadata_records::register_controller_record::{
    ControllerEndpoint, ControllerFeature,
};
use ottla_protocol::metadata_records::{
    BrokerRegistrationChangeRecord, RegisterBrokerRecord, RegisterControllerRecord,
};
use ottla_protocol::{Str, Uuid};

use crate::error::ReplayError;
use crate::topic::directory;
use crate::version::MetadataVersion;

/// One listener of a node, as others reach it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    pub listener: Str,
    pub host: Str,
    pub port: u16,
    /// Kafka's number of the protocol: 0 plain, 1 TLS, 2 SASL, 3 SASL over TLS.
    pub security_protocol: i16,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LevelRange {
    pub min: i16,
    pub max: i16,
}

impl LevelRange {
    pub fn contains(self, level: i16) -> bool {
        (self.min..=self.max).contains(&level)
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Broker {
    pub id: i32,
    pub epoch: i64,
    pub incarnation_id: Uuid,
    pub endpoints: Vec<Endpoint>,
    pub features: BTreeMap<Str, LevelRange>,
    pub rack: Option<Str>,
    pub fenced: bool,
    pub in_controlled_shutdown: bool,
    pub is_migrating_zk_broker: bool,
    /// The directories that are online, sorted.
    pub log_dirs: Vec<Uuid>,
    /// Directories that take no new replicas; nothing until the broker has said.
    pub cordoned_log_dirs: Option<Vec<Uuid>>,
}

impl Broker {
    /// Whether it may lead partitions.
    pub fn is_active(&self) -> bool {
        !self.fenced && !self.in_controlled_shutdown
    }

    pub fn endpoint(&self, listener: &str) -> Option<&Endpoint> {
        self.endpoints.iter().find(|e| e.listener == *listener)
    }

    pub fn has_online_dir(&self, dir: Uuid) -> bool {
        match dir {
            directory::UNASSIGNED | directory::MIGRATING => true,
            directory::LOST => false,
            // A broker that registered before directories had ids has told of none.
            _ => self.log_dirs.is_empty() || self.log_dirs.binary_search(&dir).is_ok(),
        }
    }

    /// Whether a new replica can be placed on it.
    pub fn has_uncordoned_dirs(&self) -> bool {
        match &self.cordoned_log_dirs {
            Some(cordoned) if !self.log_dirs.is_empty() => {
                self.log_dirs.iter().any(|d| !cordoned.contains(d))
            }
            _ => true,
        }
    }

    pub(crate) fn from_record(record: &RegisterBrokerRecord) -> Broker {
        let endpoint = |e: &BrokerEndpoint| Endpoint {
            listener: e.name.detached(),
            host: e.host.detached(),
            port: e.port,
            security_protocol: e.security_protocol,
        };
        let feature = |f: &BrokerFeature| {
            (
                f.name.detached(),
                LevelRange {
                    min: f.min_supported_version,
                    max: f.max_supported_version,
                },
            )
        };
        let mut log_dirs = record.log_dirs.clone();
        log_dirs.sort_unstable();
        Broker {
            id: record.broker_id,
            epoch: record.broker_epoch,
            incarnation_id: record.incarnation_id,
            endpoints: record.end_points.iter().map(endpoint).collect(),
            features: record.features.iter().map(feature).collect(),
            rack: record.rack.as_ref().map(Str::detached),
            fenced: record.fenced,
            in_controlled_shutdown: record.in_controlled_shutdown,
            is_migrating_zk_broker: record.is_migrating_zk_broker,
            log_dirs,
            cordoned_log_dirs: record.cordoned_log_dirs.clone(),
        }
    }

    pub(crate) fn changed(
        &self,
        change: &BrokerRegistrationChangeRecord,
    ) -> Result<Broker, ReplayError> {
        let fenced = match change.fenced {
            0 => self.fenced,
            1 => true,
            -1 => false,
            value => {
                return Err(ReplayError::UnknownBrokerChange {
                    broker: self.id,
                    value,
                });
            }
        };
        let in_controlled_shutdown = match change.in_controlled_shutdown {
            0 => self.in_controlled_shutdown,
            1 => true,
            value => {
                return Err(ReplayError::UnknownBrokerChange {
                    broker: self.id,
                    value,
                });
            }
        };
        let mut log_dirs = if change.log_dirs.is_empty() {
            self.log_dirs.clone()
        } else {
            change.log_dirs.clone()
        };
        log_dirs.sort_unstable();
        let cordoned_log_dirs = change
            .cordoned_log_dirs
            .clone()
            .or_else(|| self.cordoned_log_dirs.clone());
        Ok(Broker {
            fenced,
            in_controlled_shutdown,
            log_dirs,
            cordoned_log_dirs,
            ..self.clone()
        })
    }

    pub(crate) fn to_record(&self, version: MetadataVersion) -> RegisterBrokerRecord {
        let endpoint = |e: &Endpoint| BrokerEndpoint {
            name: e.listener.clone(),
            host: e.host.clone(),
            port: e.port,
            security_protocol: e.security_protocol,
            ..Default::default()
        };
        let feature = |(name, range): (&Str, &LevelRange)| BrokerFeature {
            name: name.clone(),
            min_supported_version: range.min,
            max_supported_version: range.max,
            ..Default::default()
        };
        RegisterBrokerRecord {
            broker_id: self.id,
            is_migrating_zk_broker: self.is_migrating_zk_broker
                && version > MetadataVersion::MINIMUM,
            incarnation_id: self.incarnation_id,
            broker_epoch: self.epoch,
            end_points: self.endpoints.iter().map(endpoint).collect(),
            features: self.features.iter().map(feature).collect(),
            rack: self.rack.clone(),
            fenced: self.fenced,
            in_controlled_shutdown: self.in_controlled_shutdown,
            log_dirs: if version >= MetadataVersion::DIRECTORIES {
                self.log_dirs.clone()
            } else {
                Vec::new()
            },
            cordoned_log_dirs: self
                .cordoned_log_dirs
                .clone()
                .filter(|_| version >= MetadataVersion::CORDONED_DIRECTORIES),
            ..Default::default()
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ControllerNode {
    pub id: i32,
    pub incarnation_id: Uuid,
    pub zk_migration_ready: bool,
    pub endpoints: Vec<Endpoint>,
    pub features: BTreeMap<Str, LevelRange>,
}

impl ControllerNode {
    pub(crate) fn from_record(record: &RegisterControllerRecord) -> ControllerNode {
        let endpoint = |e: &ControllerEndpoint| Endpoint {
            listener: e.name.detached(),
            host: e.host.detached(),
            port: e.port,
            security_protocol: e.security_protocol,
        };
        let feature = |f: &ControllerFeature| {
            (
                f.name.detached(),
                LevelRange {
                    min: f.min_supported_version,
                    max: f.max_supported_version,
                },
            )
        };
        ControllerNode {
            id: record.controller_id,
            incarnation_id: record.incarnation_id,
            zk_migration_ready: record.zk_migration_ready,
            endpoints: record.end_points.iter().map(endpoint).collect(),
            features: record.features.iter().map(feature).collect(),
        }
    }

    pub fn to_record(&self) -> RegisterControllerRecord {
        let endpoint = |e: &Endpoint| ControllerEndpoint {
            name: e.listener.clone(),
            host: e.host.clone(),
            port: e.port,
            security_protocol: e.security_protocol,
            ..Default::default()
        };
        let feature = |(name, range): (&Str, &LevelRange)| ControllerFeature {
            name: name.clone(),
            min_supported_version: range.min,
            max_supported_version: range.max,
            ..Default::default()
        };
        RegisterControllerRecord {
            controller_id: self.id,
            incarnation_id: self.incarnation_id,
            zk_migration_ready: self.zk_migration_ready,
            end_points: self.endpoints.iter().map(endpoint).collect(),
            features: self.features.iter().map(feature).collect(),
            ..Default::default()
        }
    }
}
