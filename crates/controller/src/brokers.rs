//! Brokers come, stay in touch, fall silent and go; the leaders they leave behind are replaced.
//!
//! | state | asks to stay | asks to be fenced | asks to shut down |
//! | --- | --- | --- | --- |
//! | fenced | unfenced once it has applied its registration | fenced | goes at once |
//! | active | active | fenced; with shutdown, goes at once | controlled shutdown while it leads, else goes at once |
//! | controlled shutdown | | | goes when it leads nothing and all active brokers know |
//!
//! Invariant: a broker acts only under the epoch of its registration; a fenced broker leads nothing.

use std::collections::{BTreeMap, BTreeSet};

use ottla_metadata::{
    Broker, Endpoint, LevelRange, METADATA_VERSION_FEATURE, MetadataVersion, directory,
};
use ottla_protocol::metadata_records::register_broker_record::{BrokerEndpoint, BrokerFeature};
use ottla_protocol::metadata_records::{
    BrokerRegistrationChangeRecord, MetadataRecord, RegisterBrokerRecord, UnregisterBrokerRecord,
};
use ottla_protocol::{Str, Uuid};

use crate::controller::{Context, Controller, Outcome};
use crate::elections::Leaving;
use crate::error::ControlError;

/// What a change record says of fencing.
const FENCE: i8 = 1;
const UNFENCE: i8 = -1;
const ENTER_CONTROLLED_SHUTDOWN: i8 = 1;

/// A broker that wants to be part of the cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Registration {
    pub broker_id: i32,
    pub cluster_id: Str,
    /// Drawn at each start of the broker.
    pub incarnation_id: Uuid,
    pub endpoints: Vec<Endpoint>,
    pub features: BTreeMap<Str, LevelRange>,
    pub rack: Option<Str>,
    pub is_migrating_zk_broker: bool,
    pub log_dirs: Vec<Uuid>,
    /// The epoch that a clean shutdown left behind, or -1.
    pub previous_broker_epoch: i64,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Heartbeat {
    pub broker_id: i32,
    pub broker_epoch: i64,
    /// The last offset of the metadata log that the broker has applied.
    pub metadata_offset: i64,
    pub want_fence: bool,
    pub want_shutdown: bool,
    pub offline_log_dirs: Vec<Uuid>,
    pub cordoned_log_dirs: Option<Vec<Uuid>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HeartbeatAnswer {
    pub is_caught_up: bool,
    pub is_fenced: bool,
    pub in_controlled_shutdown: bool,
    pub should_shut_down: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Fenced,
    Active,
    ControlledShutdown,
    ShutDownNow,
}

impl Controller {
    /// Registers a broker and answers its epoch.
    pub fn register_broker(
        &mut self,
        context: &Context<'_>,
        request: &Registration,
    ) -> Result<Outcome<i64>, ControlError> {
        self.check_cluster_id(request)?;
        let id = request.broker_id;
        let existing = self.image.broker(id).cloned();
        let same_incarnation = existing
            .as_ref()
            .is_some_and(|b| b.incarnation_id == request.incarnation_id);
        if let Some(existing) = existing.as_ref().filter(|_| !same_incarnation)
            && self.sessions.is_valid(id, existing.epoch, context.now_ms)
        {
            return Err(ControlError::DuplicateBroker);
        }
        self.check_contents(request)?;
        let mut records = Vec::new();
        let mut record = self.registration_record(request);
        match existing.filter(|_| same_incarnation) {
            Some(existing) => {
                record.fenced = existing.fenced;
                record.in_controlled_shutdown = existing.in_controlled_shutdown;
                record.broker_epoch = existing.epoch;
            }
            None => {
                let previous_epoch = self.image.broker(id).map(|b| b.epoch);
                let clean =
                    previous_epoch.is_some_and(|epoch| epoch == request.previous_broker_epoch);
                records = self.shutdown_records(id, clean);
                record.broker_epoch = context.next_offset;
                self.sessions.forget_contact(id);
            }
        }
        let epoch = record.broker_epoch;
        // Last, so that a broker whose cleaning up was cut short registers again.
        records.push(record.into());
        Ok(Outcome::stepwise(records, epoch))
    }

    /// What a broker that comes back as another incarnation left behind.
    fn shutdown_records(&self, broker: i32, clean: bool) -> Vec<MetadataRecord> {
        if self.image.features.eligible_leader_replicas() && !clean {
            self.leader_and_isr_updates(Leaving::uncleanly(broker), |p| {
                p.isr.contains(&broker) || p.eligible_leader_replicas.contains(&broker)
            })
        } else {
            self.leader_and_isr_updates(Leaving::fenced(broker), |p| p.isr.contains(&broker))
        }
    }

    /// Everything about a registration that has nothing to do with an earlier one.
    pub(crate) fn check_registration(&self, request: &Registration) -> Result<(), ControlError> {
        self.check_cluster_id(request)?;
        self.check_contents(request)
    }

    fn check_cluster_id(&self, request: &Registration) -> Result<(), ControlError> {
        if request.cluster_id == self.cluster_id {
            return Ok(());
        }
        Err(ControlError::ClusterId {
            expected: self.cluster_id.clone(),
            found: request.cluster_id.clone(),
        })
    }

    fn check_contents(&self, request: &Registration) -> Result<(), ControlError> {
        if request.is_migrating_zk_broker {
            return Err(ControlError::ZkBroker);
        }
        self.check_directories(request)?;
        self.check_features(request)?;
        if request.endpoints.iter().any(|e| e.listener.is_empty()) {
            return Err(ControlError::UnnamedListener);
        }
        Ok(())
    }

    fn check_directories(&self, request: &Registration) -> Result<(), ControlError> {
        if self.metadata_version() < MetadataVersion::DIRECTORIES {
            return Ok(());
        }
        if request.log_dirs.is_empty() {
            return Err(ControlError::NoDirectories);
        }
        if request.log_dirs.iter().any(|d| directory::is_reserved(*d)) {
            return Err(ControlError::ReservedDirectory);
        }
        let distinct: BTreeSet<&Uuid> = request.log_dirs.iter().collect();
        if distinct.len() != request.log_dirs.len() {
            return Err(ControlError::DuplicateDirectory);
        }
        for other in self
            .image
            .brokers
            .values()
            .filter(|b| b.id != request.broker_id)
        {
            if let Some(taken) = other.log_dirs.iter().find(|d| distinct.contains(d)) {
                return Err(ControlError::DirectoryTaken {
                    broker: other.id,
                    directory: *taken,
                });
            }
        }
        Ok(())
    }

    /// The broker must support every feature at the level that is in force.
    fn check_features(&self, request: &Registration) -> Result<(), ControlError> {
        let check = |name: &Str, range: LevelRange, level: i16| {
            if range.contains(level) {
                return Ok(());
            }
            Err(ControlError::BrokerFeature {
                feature: name.clone(),
                level,
                min: range.min,
                max: range.max,
            })
        };
        for (name, range) in &request.features {
            check(name, *range, self.image.features.level(name))?;
        }
        if !request.features.contains_key(METADATA_VERSION_FEATURE) {
            return Err(ControlError::NoMetadataVersion);
        }
        for (name, level) in self.image.features.finalized() {
            if !request.features.contains_key(&name) {
                check(&name, LevelRange { min: 0, max: 0 }, level)?;
            }
        }
        Ok(())
    }

    pub(crate) fn registration_record(&self, request: &Registration) -> RegisterBrokerRecord {
        let endpoint = |e: &Endpoint| BrokerEndpoint {
            name: e.listener.detached(),
            host: e.host.detached(),
            port: e.port,
            security_protocol: e.security_protocol,
            ..Default::default()
        };
        let feature = |(name, range): (&Str, &LevelRange)| BrokerFeature {
            name: name.detached(),
            min_supported_version: range.min,
            max_supported_version: range.max,
            ..Default::default()
        };
        let has_directories = self.metadata_version() >= MetadataVersion::DIRECTORIES;
        RegisterBrokerRecord {
            broker_id: request.broker_id,
            incarnation_id: request.incarnation_id,
            end_points: request.endpoints.iter().map(endpoint).collect(),
            features: request.features.iter().map(feature).collect(),
            rack: request.rack.as_ref().map(Str::detached),
            fenced: true,
            log_dirs: if has_directories {
                request.log_dirs.clone()
            } else {
                Vec::new()
            },
            ..Default::default()
        }
    }

    /// Hears from a broker: keeps its session, and lets it in, out or go as it asks.
    pub fn heartbeat(
        &mut self,
        context: &Context<'_>,
        request: &Heartbeat,
    ) -> Result<Outcome<HeartbeatAnswer>, ControlError> {
        let (id, epoch) = (request.broker_id, request.broker_epoch);
        self.check_broker_epoch(id, epoch)?;
        let broker = self
            .image
            .broker(id)
            .cloned()
            .ok_or(ControlError::BrokerNotFound(id))?;
        let is_caught_up = request.metadata_offset >= self.sessions.registration_offset(id);
        let (current, next) = self.next_state(&broker, request, is_caught_up);
        let mut records = Vec::new();
        if current != next {
            match next {
                State::Fenced | State::ShutDownNow => records = self.fence_records(&broker),
                State::Active => records = self.unfence_records(&broker),
                State::ControlledShutdown => records = self.controlled_shutdown_records(&broker),
            }
        }
        records.extend(self.offline_directory_records(&broker, &request.offline_log_dirs));
        records
            .extend(self.cordoned_directory_record(&broker, request.cordoned_log_dirs.as_deref()));
        self.sessions
            .contact(id, epoch, request.metadata_offset, context.now_ms);
        if next == State::ControlledShutdown {
            let count = i64::try_from(records.len()).unwrap_or_default();
            self.sessions
                .enter_shutdown(id, context.next_offset + count - 1);
        }
        let answer = HeartbeatAnswer {
            is_caught_up,
            is_fenced: matches!(next, State::Fenced | State::ShutDownNow),
            in_controlled_shutdown: next == State::ControlledShutdown,
            should_shut_down: next == State::ShutDownNow,
        };
        Ok(Outcome::stepwise(records, answer))
    }

    fn next_state(
        &self,
        broker: &Broker,
        request: &Heartbeat,
        is_caught_up: bool,
    ) -> (State, State) {
        let leads = || {
            self.image
                .topics()
                .any(|t| t.partitions.values().any(|p| p.leader == Some(broker.id)))
        };
        if broker.in_controlled_shutdown && !broker.fenced {
            let others = |id: i32| id != broker.id && self.is_active(id);
            let may_go = !leads() && self.sessions.shutdown_is_known(broker.id, others);
            return (
                State::ControlledShutdown,
                if may_go {
                    State::ShutDownNow
                } else {
                    State::ControlledShutdown
                },
            );
        }
        if broker.fenced {
            let next = match (request.want_shutdown, request.want_fence) {
                (true, _) => State::ShutDownNow,
                (false, false) if is_caught_up => State::Active,
                _ => State::Fenced,
            };
            return (State::Fenced, next);
        }
        let next = match (request.want_fence, request.want_shutdown) {
            (true, true) => State::ShutDownNow,
            (true, false) => State::Fenced,
            (false, true) if leads() => State::ControlledShutdown,
            (false, true) => State::ShutDownNow,
            (false, false) => State::Active,
        };
        (State::Active, next)
    }

    fn fence_records(&self, broker: &Broker) -> Vec<MetadataRecord> {
        let mut records =
            self.leader_and_isr_updates(Leaving::fenced(broker.id), |p| p.isr.contains(&broker.id));
        records.push(
            BrokerRegistrationChangeRecord {
                fenced: FENCE,
                ..change_of(broker)
            }
            .into(),
        );
        records
    }

    fn unfence_records(&self, broker: &Broker) -> Vec<MetadataRecord> {
        let mut records = vec![
            BrokerRegistrationChangeRecord {
                fenced: UNFENCE,
                ..change_of(broker)
            }
            .into(),
        ];
        records.extend(
            self.leader_and_isr_updates(Leaving::nobody_but_joins(broker.id), |p| {
                p.leader.is_none()
            }),
        );
        records
    }

    fn controlled_shutdown_records(&self, broker: &Broker) -> Vec<MetadataRecord> {
        let mut records = Vec::new();
        if !broker.in_controlled_shutdown {
            let change = BrokerRegistrationChangeRecord {
                in_controlled_shutdown: ENTER_CONTROLLED_SHUTDOWN,
                ..change_of(broker)
            };
            records.push(change.into());
        }
        records.extend(
            self.leader_and_isr_updates(Leaving::fenced(broker.id), |p| p.isr.contains(&broker.id)),
        );
        records
    }

    fn offline_directory_records(&self, broker: &Broker, offline: &[Uuid]) -> Vec<MetadataRecord> {
        let (gone, left): (Vec<Uuid>, Vec<Uuid>) =
            broker.log_dirs.iter().partition(|d| offline.contains(d));
        if gone.is_empty() {
            return Vec::new();
        }
        let mut records = self.leader_and_isr_updates(Leaving::fenced(broker.id), |p| {
            p.isr.contains(&broker.id)
                && p.directory_of(broker.id).is_some_and(|d| gone.contains(&d))
        });
        records.push(
            BrokerRegistrationChangeRecord {
                log_dirs: left,
                ..change_of(broker)
            }
            .into(),
        );
        records
    }

    fn cordoned_directory_record(
        &self,
        broker: &Broker,
        cordoned: Option<&[Uuid]>,
    ) -> Option<MetadataRecord> {
        // A broker that has not caught up with the log does not know yet.
        let cordoned = cordoned
            .filter(|_| self.metadata_version() >= MetadataVersion::CORDONED_DIRECTORIES)?;
        let as_set = |dirs: &[Uuid]| dirs.iter().copied().collect::<BTreeSet<Uuid>>();
        if broker
            .cordoned_log_dirs
            .as_deref()
            .is_some_and(|known| as_set(known) == as_set(cordoned))
        {
            return None;
        }
        Some(
            BrokerRegistrationChangeRecord {
                cordoned_log_dirs: Some(cordoned.to_vec()),
                ..change_of(broker)
            }
            .into(),
        )
    }

    pub fn unregister_broker(&self, broker_id: i32) -> Result<Outcome<()>, ControlError> {
        let broker = self
            .image
            .broker(broker_id)
            .ok_or(ControlError::BrokerNotRegistered(broker_id))?;
        let mut records = self.leader_and_isr_updates(Leaving::fenced(broker_id), |p| {
            p.isr.contains(&broker_id) || p.eligible_leader_replicas.contains(&broker_id)
        });
        let record = UnregisterBrokerRecord {
            broker_id,
            broker_epoch: broker.epoch,
            ..Default::default()
        };
        records.push(record.into());
        Ok(Outcome::stepwise(records, ()))
    }

    /// Fences one broker whose session has ended, and answers which. Called until there is none:
    /// the effect of each must be seen before the next.
    pub fn handle_timeout(&mut self, now_ms: i64) -> Option<Outcome<i32>> {
        let watched = |id: i32| self.image.broker(id).is_some_and(|b| !b.fenced);
        let id = self.sessions.expired(now_ms, watched)?;
        let broker = self.image.broker(id)?.clone();
        Some(Outcome::stepwise(self.fence_records(&broker), id))
    }

    /// Ends a broker's session at once, for a caller that knows its process to be gone: the node that
    /// restarts with its own broker need not wait for its former self to time out.
    pub fn end_session(&mut self, broker_id: i32) {
        self.sessions.forget_contact(broker_id);
    }

    /// When [`Controller::handle_timeout`] has something to do next.
    pub fn poll_timeout(&self) -> Option<i64> {
        self.sessions
            .next_deadline(|id| self.image.broker(id).is_some_and(|b| !b.fenced))
    }
}

fn change_of(broker: &Broker) -> BrokerRegistrationChangeRecord {
    BrokerRegistrationChangeRecord {
        broker_id: broker.id,
        broker_epoch: broker.epoch,
        ..Default::default()
    }
}
