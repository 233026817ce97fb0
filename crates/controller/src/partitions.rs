//! CreatePartitions, and what new partitions have in common wherever they come from.
//!
//! Invariant: a new partition has a leader that is active, and its in-sync set is what is active.

use ottla_metadata::{LeaderRecoveryState, Partition, Topic};
use ottla_protocol::metadata_records::MetadataRecord;
use ottla_protocol::{Str, Uuid};

use crate::controller::{
    Answer, Context, Controller, Outcome, RECORDS_PER_COMMAND_MAX, TopicAnswers,
};
use crate::error::{ControlError, PlacementError};
use crate::placement::{UsableBroker, place};
use crate::topics::duplicates;

/// Partitions to add to a topic, until there are `count`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MorePartitions {
    pub topic: Str,
    pub count: i32,
    /// The replicas of each added partition, where they are assigned by hand.
    pub assignments: Option<Vec<Vec<i32>>>,
}

/// Replicas of a partition that is about to be, at least one of them active.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct NewPartition {
    pub(crate) replicas: Vec<i32>,
    isr: Vec<i32>,
    leader: i32,
}

impl Controller {
    /// Adds partitions to topics; each topic has its own answer.
    pub fn create_partitions(
        &self,
        context: &mut Context<'_>,
        topics: &[MorePartitions],
        validate_only: bool,
    ) -> Result<Outcome<TopicAnswers<()>>, ControlError> {
        let duplicates = duplicates(topics.iter().map(|t| &t.topic));
        let (mut records, mut answers) = (Vec::new(), Vec::new());
        for wanted in topics.iter().filter(|t| !duplicates.contains(&t.topic)) {
            let answer = self
                .add_partitions(context, wanted)
                .map(|added| records.extend(added));
            answers.push((wanted.topic.clone(), answer));
            if records.len() > RECORDS_PER_COMMAND_MAX {
                return Err(ControlError::TooManyRecords(RECORDS_PER_COMMAND_MAX));
            }
        }
        answers.extend(
            duplicates
                .into_iter()
                .map(|name| (name, Err(ControlError::DuplicateTopicName))),
        );
        if validate_only {
            records.clear();
        }
        Ok(Outcome::atomic(records, answers))
    }

    fn add_partitions(
        &self,
        context: &mut Context<'_>,
        wanted: &MorePartitions,
    ) -> Answer<Vec<MetadataRecord>> {
        let topic = self
            .image
            .topic(&wanted.topic)
            .ok_or(ControlError::UnknownTopic)?;
        let additional = additional(topic, wanted)?;
        // Bounded before anything is placed, so that a wild count costs nothing.
        if additional > RECORDS_PER_COMMAND_MAX {
            return Err(ControlError::TooManyRecords(RECORDS_PER_COMMAND_MAX));
        }
        let first_index = i32::try_from(topic.partitions.len()).unwrap_or(i32::MAX);
        let replication_factor = topic.replication_factor();
        let partitions = match &wanted.assignments {
            Some(assignments) => {
                let assign = |(replicas, index): (&Vec<i32>, i32)| {
                    self.check_assignment(replicas, Some(replication_factor))?;
                    self.new_partition(replicas.clone())
                        .ok_or(ControlError::AssignedBrokersInactive(index))
                };
                assignments
                    .iter()
                    .zip(first_index..)
                    .map(assign)
                    .collect::<Answer<Vec<_>>>()?
            }
            None => {
                let replication_factor = i32::try_from(replication_factor).unwrap_or(i32::MAX);
                let inactive = || ControlError::CannotReplicate {
                    replication_factor,
                    reason: PlacementError::NoActiveBroker,
                };
                let placed = self
                    .place(context, additional, replication_factor)
                    .map_err(ControlError::Placement)?;
                placed
                    .into_iter()
                    .map(|r| self.new_partition(r).ok_or_else(inactive))
                    .collect::<Answer<Vec<_>>>()?
            }
        };
        let records = partitions.into_iter().zip(first_index..);
        Ok(records
            .map(|(partition, index)| self.partition_record(topic.id, index, partition))
            .collect())
    }

    /// Chooses brokers for new partitions.
    pub(crate) fn place(
        &self,
        context: &mut Context<'_>,
        partitions: usize,
        replication_factor: i32,
    ) -> Result<Vec<Vec<i32>>, PlacementError> {
        let usable = self
            .image
            .brokers
            .values()
            .filter(|b| !b.in_controlled_shutdown && b.has_uncordoned_dirs());
        let brokers: Vec<UsableBroker> = usable
            .map(|b| UsableBroker {
                id: b.id,
                rack: b.rack.clone(),
                fenced: b.fenced,
            })
            .collect();
        place(&brokers, partitions, replication_factor, context.random)
    }

    /// Checks replicas that were chosen by hand.
    pub(crate) fn check_assignment(
        &self,
        replicas: &[i32],
        replication_factor: Option<usize>,
    ) -> Result<(), ControlError> {
        if replicas.is_empty() {
            return Err(ControlError::EmptyReplicaList);
        }
        let mut sorted = replicas.to_vec();
        sorted.sort_unstable();
        for (at, id) in sorted.iter().enumerate() {
            let broker = self
                .image
                .broker(*id)
                .ok_or(ControlError::AssignedBrokerUnknown(*id))?;
            if !broker.has_uncordoned_dirs() {
                return Err(ControlError::AssignedBrokerCordoned(*id));
            }
            if at > 0 && sorted[at - 1] == *id {
                return Err(ControlError::AssignedBrokerTwice(*id));
            }
        }
        match replication_factor {
            Some(expected) if expected != replicas.len() => {
                Err(ControlError::InconsistentReplicationFactor {
                    found: replicas.len(),
                    expected,
                })
            }
            _ => Ok(()),
        }
    }

    /// A partition on these replicas, unless none of them is active.
    pub(crate) fn new_partition(&self, replicas: Vec<i32>) -> Option<NewPartition> {
        let isr: Vec<i32> = replicas
            .iter()
            .copied()
            .filter(|r| self.is_active(*r))
            .collect();
        let leader = *isr.first()?;
        Some(NewPartition {
            replicas,
            isr,
            leader,
        })
    }

    pub(crate) fn partition_record(
        &self,
        topic_id: Uuid,
        index: i32,
        new: NewPartition,
    ) -> MetadataRecord {
        let partition = Partition {
            directories: new
                .replicas
                .iter()
                .map(|r| self.default_directory(*r))
                .collect(),
            replicas: new.replicas,
            isr: new.isr,
            removing_replicas: Vec::new(),
            adding_replicas: Vec::new(),
            eligible_leader_replicas: Vec::new(),
            last_known_elr: Vec::new(),
            leader: Some(new.leader),
            leader_recovery_state: LeaderRecoveryState::Recovered,
            leader_epoch: 0,
            partition_epoch: 0,
        };
        partition
            .to_record(topic_id, index, self.metadata_version())
            .into()
    }
}

fn additional(topic: &Topic, wanted: &MorePartitions) -> Result<usize, ControlError> {
    let current = topic.partitions.len();
    let count = usize::try_from(wanted.count).unwrap_or_default();
    if count == current {
        return Err(ControlError::PartitionCountUnchanged(current));
    }
    let additional =
        count
            .checked_sub(current)
            .ok_or_else(|| ControlError::PartitionCountDecreased {
                topic: wanted.topic.clone(),
                current,
                requested: wanted.count,
            })?;
    match &wanted.assignments {
        Some(assignments) if assignments.len() != additional => {
            Err(ControlError::AssignmentCount {
                additional,
                assignments: assignments.len(),
            })
        }
        _ => Ok(additional),
    }
}
