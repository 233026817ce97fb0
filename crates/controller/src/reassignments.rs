//! Moving partitions to other brokers, and to other directories of a broker.
//!
//! A reassignment first adds the new replicas to the old ones; it ends by itself with the in-sync
//! set in which all new ones are, when the old ones are taken out (see `change.rs`).

use std::collections::{BTreeMap, BTreeSet};

use ottla_metadata::{Partition, Topic};
use ottla_protocol::metadata_records::MetadataRecord;
use ottla_protocol::{ErrorCode, Str, Uuid};

use crate::change::Election;
use crate::controller::{Answer, Controller, Outcome, RECORDS_PER_COMMAND_MAX};
use crate::elections::Leaving;
use crate::error::ControlError;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reassignment {
    pub topic: Str,
    pub partition: i32,
    /// The replicas to end with; nothing takes a reassignment back.
    pub replicas: Option<Vec<i32>>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct ReassignmentAnswer {
    pub topic: Str,
    pub partition: i32,
    pub result: Answer<()>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OngoingReassignment {
    pub topic: Str,
    pub partition: i32,
    pub replicas: Vec<i32>,
    pub adding_replicas: Vec<i32>,
    pub removing_replicas: Vec<i32>,
}

/// A replica that its broker has put into a directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DirectoryAssignment {
    pub directory: Uuid,
    pub topic_id: Uuid,
    pub partition: i32,
}

impl Controller {
    pub fn alter_partition_reassignments(
        &self,
        wanted: &[Reassignment],
        allow_replication_factor_change: bool,
    ) -> Result<Outcome<Vec<ReassignmentAnswer>>, ControlError> {
        let mut records = Vec::new();
        let answer = |one: &Reassignment| {
            let result = self
                .reassign(one, allow_replication_factor_change)
                .map(|record| records.extend(record));
            ReassignmentAnswer {
                topic: one.topic.clone(),
                partition: one.partition,
                result,
            }
        };
        let answers = wanted.iter().map(answer).collect();
        if records.len() > RECORDS_PER_COMMAND_MAX {
            return Err(ControlError::TooManyRecords(RECORDS_PER_COMMAND_MAX));
        }
        Ok(Outcome::atomic(records, answers))
    }

    fn reassign(
        &self,
        wanted: &Reassignment,
        allow_factor_change: bool,
    ) -> Answer<Option<MetadataRecord>> {
        let name = &wanted.topic;
        let topic = self
            .image
            .topic(name)
            .ok_or_else(|| ControlError::ReassignedTopic(name.clone()))?;
        let partition =
            topic
                .partition(wanted.partition)
                .ok_or_else(|| ControlError::ReassignedPartition {
                    topic: name.clone(),
                    partition: wanted.partition,
                })?;
        match &wanted.replicas {
            None => self.cancel_reassignment(topic, wanted.partition, partition),
            Some(target) => {
                self.check_assignment(target, None)?;
                let (from, to) = (settled_replicas(partition), target.len());
                if !allow_factor_change && from != to {
                    return Err(ControlError::ReplicationFactorChange { from, to });
                }
                Ok(self.begin_reassignment(topic, wanted.partition, partition, target))
            }
        }
    }

    fn begin_reassignment(
        &self,
        topic: &Topic,
        index: i32,
        partition: &Partition,
        target: &[i32],
    ) -> Option<MetadataRecord> {
        let without = |list: &[i32], other: &[i32]| -> Vec<i32> {
            let left: BTreeSet<i32> = list
                .iter()
                .copied()
                .filter(|r| !other.contains(r))
                .collect();
            left.into_iter().collect()
        };
        let removing = without(&partition.replicas, target);
        let adding = without(target, &partition.replicas);
        let configs = self.topic_configs(&topic.name);
        self.change_partition(
            topic,
            &configs,
            index,
            partition,
            &|b| self.is_active(b),
            |change| {
                change.replicas = target.iter().chain(&removing).copied().collect();
                if !removing.is_empty() {
                    change.removing = removing;
                }
                if !adding.is_empty() {
                    change.adding = adding;
                }
            },
        )
    }

    fn cancel_reassignment(
        &self,
        topic: &Topic,
        index: i32,
        partition: &Partition,
    ) -> Answer<Option<MetadataRecord>> {
        if !partition.is_reassigning() {
            return Err(ControlError::NoReassignmentInProgress);
        }
        let stays = |list: &[i32]| -> Vec<i32> {
            list.iter()
                .copied()
                .filter(|r| !partition.adding_replicas.contains(r))
                .collect()
        };
        let replicas = stays(&partition.replicas);
        let mut isr = stays(&partition.isr);
        let configs = self.topic_configs(&topic.name);
        if isr.is_empty() {
            // Nobody who stays is in sync: going back may lose records.
            if !configs.unclean_leader_election_enable {
                return Err(ControlError::UncleanRevert {
                    topic: topic.name.clone(),
                    partition: index,
                });
            }
            isr.extend(replicas.first());
        }
        Ok(self.change_partition(
            topic,
            &configs,
            index,
            partition,
            &|b| self.is_active(b),
            |change| {
                if configs.unclean_leader_election_enable {
                    change.election = Election::Unclean;
                }
                change.isr = isr;
                change.replicas = replicas;
                change.removing.clear();
                change.adding.clear();
            },
        ))
    }

    /// Reassignments under way: of the named partitions, or all of them.
    pub fn list_partition_reassignments(
        &self,
        partitions: Option<&[(Str, Vec<i32>)]>,
    ) -> Vec<OngoingReassignment> {
        let ongoing = |topic: &Topic, index: i32| {
            let partition = topic.partition(index).filter(|p| p.is_reassigning())?;
            Some(OngoingReassignment {
                topic: topic.name.clone(),
                partition: index,
                replicas: partition.replicas.clone(),
                adding_replicas: partition.adding_replicas.clone(),
                removing_replicas: partition.removing_replicas.clone(),
            })
        };
        match partitions {
            None => self
                .image
                .topics()
                .flat_map(|t| t.partitions.keys().filter_map(|p| ongoing(t, *p)))
                .collect(),
            Some(named) => {
                let known = named
                    .iter()
                    .filter_map(|(name, list)| Some((self.image.topic(name)?, list)));
                known
                    .flat_map(|(topic, list)| list.iter().filter_map(|p| ongoing(topic, *p)))
                    .collect()
            }
        }
    }

    /// Notes into which directories a broker has put its replicas (AssignReplicasToDirs).
    pub fn assign_replicas_to_directories(
        &self,
        broker_id: i32,
        broker_epoch: i64,
        assignments: &[DirectoryAssignment],
    ) -> Result<Outcome<Vec<Result<(), ErrorCode>>>, ControlError> {
        self.check_broker_epoch(broker_id, broker_epoch)?;
        let broker = self
            .image
            .broker(broker_id)
            .ok_or(ControlError::BrokerNotRegistered(broker_id))?;
        let mut records = Vec::new();
        let mut offline: BTreeMap<Uuid, BTreeSet<i32>> = BTreeMap::new();
        let assign = |one: &DirectoryAssignment| {
            let topic = self
                .image
                .topic_by_id(one.topic_id)
                .ok_or(ErrorCode::UnknownTopicId)?;
            let partition = topic
                .partition(one.partition)
                .ok_or(ErrorCode::UnknownTopicOrPartition)?;
            if !partition.replicas.contains(&broker_id) {
                return Err(ErrorCode::NotLeaderOrFollower);
            }
            let configs = self.topic_configs(&topic.name);
            records.extend(self.change_partition(
                topic,
                &configs,
                one.partition,
                partition,
                &|b| self.is_active(b),
                |change| {
                    change.directory = Some((broker_id, one.directory));
                },
            ));
            if !broker.has_online_dir(one.directory) {
                offline
                    .entry(one.topic_id)
                    .or_default()
                    .insert(one.partition);
            }
            Ok(())
        };
        let answers = assignments.iter().map(assign).collect();
        for (topic_id, partitions) in offline {
            let Some(topic) = self.image.topic_by_id(topic_id) else {
                continue;
            };
            records.extend(
                self.topic_updates(topic, Leaving::fenced(broker_id), |index, _| {
                    partitions.contains(&index)
                }),
            );
        }
        Ok(Outcome::stepwise(records, answers))
    }
}

/// How many replicas a partition has when no reassignment is under way, or will have after it.
fn settled_replicas(partition: &Partition) -> usize {
    let all: BTreeSet<i32> = partition
        .replicas
        .iter()
        .chain(&partition.adding_replicas)
        .copied()
        .collect();
    all.iter()
        .filter(|r| !partition.removing_replicas.contains(r))
        .count()
}
