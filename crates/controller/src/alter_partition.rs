//! AlterPartition: the leader of a partition asks for another in-sync set.
//!
//! Invariant: only the leader of the current epoch is heard, and no replica enters the in-sync set
//! that is fenced, shutting down, or another incarnation than the one that caught up.

use ottla_config::TopicConfigs;
use ottla_metadata::{LeaderRecoveryState, NO_LEADER_CHANGE, Partition, Topic};
use ottla_protocol::metadata_records::MetadataRecord;
use ottla_protocol::{ErrorCode, Uuid};

use crate::change::Election;
use crate::controller::{Answer, Controller, Outcome};
use crate::error::ControlError;

/// What a leader asks for one of its partitions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IsrChange {
    pub topic_id: Uuid,
    pub partition: i32,
    pub leader_epoch: i32,
    pub partition_epoch: i32,
    /// Brokers and their epochs; -1 leaves the epoch unchecked.
    pub isr: Vec<(i32, i64)>,
    pub leader_recovery_state: LeaderRecoveryState,
}

/// The partition as it is after the change, for the leader to take over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IsrState {
    pub leader: i32,
    pub leader_epoch: i32,
    pub partition_epoch: i32,
    pub isr: Vec<i32>,
    pub leader_recovery_state: LeaderRecoveryState,
}

impl Controller {
    /// Answers each change on its own, in the order of the request.
    pub fn alter_partition(
        &self,
        broker_id: i32,
        broker_epoch: i64,
        changes: &[IsrChange],
    ) -> Result<Outcome<Vec<Answer<IsrState>>>, ControlError> {
        self.check_broker_epoch(broker_id, broker_epoch)?;
        let mut records = Vec::new();
        let answers = changes
            .iter()
            .map(|change| self.alter_isr(broker_id, change, &mut records))
            .collect();
        Ok(Outcome::stepwise(records, answers))
    }

    fn alter_isr(
        &self,
        broker_id: i32,
        wanted: &IsrChange,
        records: &mut Vec<MetadataRecord>,
    ) -> Answer<IsrState> {
        let refuse = ControlError::AlterPartition;
        let topic = self
            .image
            .topic_by_id(wanted.topic_id)
            .ok_or(refuse(ErrorCode::UnknownTopicId))?;
        let partition = topic
            .partition(wanted.partition)
            .ok_or(refuse(ErrorCode::UnknownTopicOrPartition))?;
        self.check_isr_change(broker_id, wanted, partition)
            .map_err(refuse)?;
        let configs = self.topic_configs(&topic.name);
        let Some(record) = self.isr_record(topic, &configs, wanted, partition) else {
            return Ok(state_of(broker_id, partition));
        };
        let MetadataRecord::PartitionChange(change) = &record else {
            return Err(refuse(ErrorCode::UnknownServerError));
        };
        let after = partition
            .merged(change)
            .map_err(|_| refuse(ErrorCode::UnknownServerError))?;
        let moved = change.leader != NO_LEADER_CHANGE && change.leader != broker_id;
        records.push(record);
        if moved {
            // The change completed a reassignment that the leader is not part of anymore.
            return Err(refuse(ErrorCode::NewLeaderElected));
        }
        Ok(state_of(broker_id, &after))
    }

    fn isr_record(
        &self,
        topic: &Topic,
        configs: &TopicConfigs,
        wanted: &IsrChange,
        partition: &Partition,
    ) -> Option<MetadataRecord> {
        self.change_partition(
            topic,
            configs,
            wanted.partition,
            partition,
            &|b| self.is_active(b),
            |change| {
                if configs.unclean_leader_election_enable {
                    change.election = Election::Unclean;
                }
                change.isr = wanted.isr.iter().map(|(id, _)| *id).collect();
                change.recovery_state = wanted.leader_recovery_state;
            },
        )
    }

    fn check_isr_change(
        &self,
        broker_id: i32,
        wanted: &IsrChange,
        partition: &Partition,
    ) -> Result<(), ErrorCode> {
        // Who knows more than we do has heard from a newer controller.
        if wanted.leader_epoch > partition.leader_epoch
            || wanted.partition_epoch > partition.partition_epoch
        {
            return Err(ErrorCode::NotController);
        }
        if wanted.leader_epoch < partition.leader_epoch {
            return Err(ErrorCode::FencedLeaderEpoch);
        }
        if partition.leader != Some(broker_id) {
            return Err(ErrorCode::InvalidRequest);
        }
        if wanted.partition_epoch < partition.partition_epoch {
            return Err(ErrorCode::InvalidUpdateVersion);
        }
        let mut isr: Vec<i32> = wanted.isr.iter().map(|(id, _)| *id).collect();
        let all_replicas = isr.iter().all(|id| partition.replicas.contains(id));
        let has_leader = isr.contains(&broker_id);
        let count = isr.len();
        isr.sort_unstable();
        isr.dedup();
        let recovering = wanted.leader_recovery_state == LeaderRecoveryState::Recovering;
        let recovered = partition.leader_recovery_state == LeaderRecoveryState::Recovered;
        if !all_replicas
            || !has_leader
            || isr.len() != count
            || (recovering && (count > 1 || recovered))
        {
            return Err(ErrorCode::InvalidRequest);
        }
        let eligible = |(id, epoch): &(i32, i64)| {
            self.image
                .broker(*id)
                .is_some_and(|b| b.is_active() && (*epoch == -1 || *epoch == b.epoch))
        };
        if wanted.isr.iter().all(eligible) {
            Ok(())
        } else {
            Err(ErrorCode::IneligibleReplica)
        }
    }
}

fn state_of(leader: i32, partition: &Partition) -> IsrState {
    IsrState {
        leader,
        leader_epoch: partition.leader_epoch,
        partition_epoch: partition.partition_epoch,
        isr: partition.isr.clone(),
        leader_recovery_state: partition.leader_recovery_state,
    }
}
