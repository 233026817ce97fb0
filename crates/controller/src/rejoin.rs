//! The broker of a node that is the whole cluster comes back.
//!
//! In a cluster of several a broker that restarts loses its leads first, is registered as fenced, and gets them back once
//! it has caught up: three changes of each partition. A broker that alone holds every partition leaves nothing for an
//! election to decide, so that one decision says all:
//!
//! | the last stop | record of a partition |
//! | --- | --- |
//! | clean | none |
//! | unclean | the same leader in the next epoch, for the tail of the log may be lost |
//! | either, directory offline | no leader |
//! | either, leader or in-sync set missing, or recovering | the broker leads, has recovered, and is in sync |
//!
//! Invariant: partitions are changed here only if each has this one replica.
//! Called by the broker's start, before [`Controller::register_broker`], which it spares.

use ottla_metadata::{LeaderRecoveryState, NO_LEADER, NO_LEADER_CHANGE, Partition, directory};
use ottla_protocol::Uuid;
use ottla_protocol::metadata_records::{MetadataRecord, PartitionChangeRecord};

use crate::brokers::Registration;
use crate::controller::{Context, Controller, Outcome};
use crate::error::ControlError;

/// "As before" where a change record carries a recovery state.
const NO_RECOVERY_STATE_CHANGE: i8 = -1;

impl Controller {
    /// Registers the broker and lets it in at once; answers its epoch, or nothing if other brokers have a say.
    pub fn rejoin(
        &mut self,
        context: &Context<'_>,
        request: &Registration,
    ) -> Result<Outcome<Option<i64>>, ControlError> {
        let id = request.broker_id;
        if self.image.brokers.keys().any(|other| *other != id) || !self.is_alone_everywhere(id) {
            return Ok(Outcome::dry(None));
        }
        self.check_registration(request)?;
        let previous_epoch = self.image.broker(id).map(|b| b.epoch);
        let was_clean = previous_epoch.is_some_and(|epoch| epoch == request.previous_broker_epoch);
        let mut records = Vec::new();
        for topic in self.image.topics() {
            records.extend(topic.partitions.iter().filter_map(|(index, partition)| {
                let change = change_of(partition, request, was_clean)?;
                Some(MetadataRecord::from(PartitionChangeRecord {
                    topic_id: topic.id,
                    partition_id: *index,
                    ..change
                }))
            }));
        }
        let mut record = self.registration_record(request);
        record.broker_epoch = context.next_offset;
        record.fenced = false;
        let epoch = record.broker_epoch;
        // Last, so that a broker whose return was cut short returns once more.
        records.push(record.into());
        let end_offset = context.next_offset + i64::try_from(records.len()).unwrap_or_default();
        self.sessions
            .contact(id, epoch, end_offset - 1, context.now_ms);
        Ok(Outcome::stepwise(records, Some(epoch)))
    }

    fn is_alone_everywhere(&self, broker: i32) -> bool {
        self.image
            .topics()
            .all(|topic| topic.partitions.values().all(|p| p.replicas == [broker]))
    }
}

/// The change of a partition whose only replica is back, but for its name; none if all is as it should be.
fn change_of(
    partition: &Partition,
    request: &Registration,
    was_clean: bool,
) -> Option<PartitionChangeRecord> {
    let id = request.broker_id;
    let is_online = partition
        .directory_of(id)
        .is_some_and(|dir| is_online(dir, &request.log_dirs));
    let unchanged = PartitionChangeRecord {
        leader: NO_LEADER_CHANGE,
        leader_recovery_state: NO_RECOVERY_STATE_CHANGE,
        ..Default::default()
    };
    if !is_online {
        return partition.leader.map(|_| PartitionChangeRecord {
            leader: NO_LEADER,
            ..unchanged
        });
    }
    let mut change = unchanged.clone();
    if partition.leader != Some(id) || !was_clean {
        change.leader = id;
    }
    if partition.isr != [id] {
        change.isr = Some(vec![id]);
    }
    if !partition.eligible_leader_replicas.is_empty() {
        change.eligible_leader_replicas = Some(Vec::new());
    }
    if !partition.last_known_elr.is_empty() {
        change.last_known_elr = Some(Vec::new());
    }
    if partition.leader_recovery_state != LeaderRecoveryState::Recovered {
        change.leader_recovery_state = LeaderRecoveryState::Recovered.code();
    }
    (change != unchanged).then_some(change)
}

fn is_online(dir: Uuid, online: &[Uuid]) -> bool {
    match dir {
        directory::UNASSIGNED | directory::MIGRATING => true,
        directory::LOST => false,
        // A broker of a version before directories had ids tells of none.
        _ => online.is_empty() || online.contains(&dir),
    }
}
