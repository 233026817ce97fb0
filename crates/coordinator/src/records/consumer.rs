//! Records of consumer groups.
//!
//! | key | record                                   |
//! |-----|------------------------------------------|
//! | 3   | the group's epoch and metadata hash      |
//! | 4   | topic metadata, of versions before 4.1: only its removal is written |
//! | 5   | what a member says about itself          |
//! | 6   | the target's epoch                       |
//! | 7   | a member's target                        |
//! | 8   | what a member owns                       |
//! | 16  | the topics of a regular expression       |
//!
//! Invariant: as in `records`. All values have version 0.

use std::collections::BTreeMap;

use ottla_protocol::Str;
use ottla_protocol::group_records::consumer_group_current_member_assignment_value::TopicPartitions;
use ottla_protocol::group_records::consumer_group_member_metadata_value::{
    ClassicMemberMetadata, ClassicProtocol,
};
use ottla_protocol::group_records::consumer_group_target_assignment_member_value::TopicPartition;
use ottla_protocol::group_records::{
    ConsumerGroupCurrentMemberAssignmentKey as ProgressKey,
    ConsumerGroupCurrentMemberAssignmentValue as ProgressValue,
    ConsumerGroupMemberMetadataKey as MemberKey, ConsumerGroupMemberMetadataValue as MemberValue,
    ConsumerGroupMetadataKey as EpochKey, ConsumerGroupMetadataValue as EpochValue,
    ConsumerGroupPartitionMetadataKey as TopicMetadataKey,
    ConsumerGroupPartitionMetadataValue as TopicMetadataValue,
    ConsumerGroupRegularExpressionKey as RegexKey,
    ConsumerGroupRegularExpressionValue as RegexValue,
    ConsumerGroupTargetAssignmentMemberKey as TargetKey,
    ConsumerGroupTargetAssignmentMemberValue as TargetValue,
    ConsumerGroupTargetAssignmentMetadataKey as TargetEpochKey,
    ConsumerGroupTargetAssignmentMetadataValue as TargetEpochValue, GroupRecord,
};

use crate::assignor::Assignment;
use crate::consumer::group::{Change, GroupEpoch, ResolvedRegex, TargetEpoch};
use crate::consumer::member::{ClassicTerms, MemberMetadata, MemberState, Owned, Progress};
use crate::request::Protocol;

pub(super) fn write(group_id: &Str, change: &Change) -> GroupRecord {
    let group_id = group_id.clone();
    match change {
        Change::Member { member_id, value } => {
            let key = MemberKey {
                group_id,
                member_id: member_id.clone(),
            };
            GroupRecord::ConsumerGroupMemberMetadata(key, value.as_ref().map(write_member))
        }
        Change::Epoch(value) => {
            let value = value.map(|value| EpochValue {
                epoch: value.epoch,
                metadata_hash: value.metadata_hash,
                ..Default::default()
            });
            GroupRecord::ConsumerGroupMetadata(EpochKey { group_id }, value)
        }
        Change::TopicMetadata { is_present } => {
            let value = is_present.then(TopicMetadataValue::default);
            GroupRecord::ConsumerGroupPartitionMetadata(TopicMetadataKey { group_id }, value)
        }
        Change::TargetMember { member_id, value } => {
            let key = TargetKey {
                group_id,
                member_id: member_id.clone(),
            };
            GroupRecord::ConsumerGroupTargetAssignmentMember(key, value.as_ref().map(write_target))
        }
        Change::TargetEpoch(value) => {
            let value = value.map(|value| TargetEpochValue {
                assignment_epoch: value.epoch,
                assignment_timestamp: value.computed_at_ms,
                ..Default::default()
            });
            GroupRecord::ConsumerGroupTargetAssignmentMetadata(TargetEpochKey { group_id }, value)
        }
        Change::Progress { member_id, value } => {
            let key = ProgressKey {
                group_id,
                member_id: member_id.clone(),
            };
            GroupRecord::ConsumerGroupCurrentMemberAssignment(
                key,
                value.as_ref().map(write_progress),
            )
        }
        Change::Regex { regex, value } => {
            let key = RegexKey {
                group_id,
                regular_expression: regex.clone(),
            };
            let value = value.as_ref().map(|value| RegexValue {
                topics: value.topics.iter().cloned().collect(),
                version: value.version,
                timestamp: value.resolved_at_ms,
                ..Default::default()
            });
            GroupRecord::ConsumerGroupRegularExpression(key, value)
        }
    }
}

/// `None` for records of other kinds of groups.
pub(super) fn read(record: GroupRecord) -> Option<(Str, Change)> {
    Some(match record {
        GroupRecord::ConsumerGroupMemberMetadata(key, value) => {
            let value = value.map(read_member);
            (
                key.group_id,
                Change::Member {
                    member_id: key.member_id,
                    value,
                },
            )
        }
        GroupRecord::ConsumerGroupMetadata(key, value) => {
            let value = value.map(|value| GroupEpoch {
                epoch: value.epoch,
                metadata_hash: value.metadata_hash,
            });
            (key.group_id, Change::Epoch(value))
        }
        GroupRecord::ConsumerGroupPartitionMetadata(key, value) => (
            key.group_id,
            Change::TopicMetadata {
                is_present: value.is_some(),
            },
        ),
        GroupRecord::ConsumerGroupTargetAssignmentMember(key, value) => {
            let value = value.map(read_target);
            (
                key.group_id,
                Change::TargetMember {
                    member_id: key.member_id,
                    value,
                },
            )
        }
        GroupRecord::ConsumerGroupTargetAssignmentMetadata(key, value) => {
            let value = value.map(|value| TargetEpoch {
                epoch: value.assignment_epoch,
                computed_at_ms: value.assignment_timestamp,
            });
            (key.group_id, Change::TargetEpoch(value))
        }
        GroupRecord::ConsumerGroupCurrentMemberAssignment(key, value) => {
            let value = value.map(read_progress);
            (
                key.group_id,
                Change::Progress {
                    member_id: key.member_id,
                    value,
                },
            )
        }
        GroupRecord::ConsumerGroupRegularExpression(key, value) => {
            let value = value.map(|value| ResolvedRegex {
                topics: value.topics.into_iter().collect(),
                version: value.version,
                resolved_at_ms: value.timestamp,
            });
            (
                key.group_id,
                Change::Regex {
                    regex: key.regular_expression,
                    value,
                },
            )
        }
        _ => return None,
    })
}

fn write_member(member: &MemberMetadata) -> MemberValue {
    let classic = member
        .classic
        .as_ref()
        .map(|classic| ClassicMemberMetadata {
            session_timeout_ms: classic.session_timeout_ms,
            supported_protocols: classic
                .protocols
                .iter()
                .map(|protocol| ClassicProtocol {
                    name: protocol.name.clone(),
                    metadata: protocol.metadata.clone(),
                    ..Default::default()
                })
                .collect(),
            ..Default::default()
        });
    MemberValue {
        instance_id: member.instance_id.clone(),
        rack_id: member.rack_id.clone(),
        client_id: member.client_id.clone(),
        client_host: member.client_host.clone(),
        subscribed_topic_names: member.topics.iter().cloned().collect(),
        subscribed_topic_regex: Some(member.regex.clone()),
        rebalance_timeout_ms: member.rebalance_timeout_ms,
        server_assignor: member.assignor.clone(),
        classic_member_metadata: classic,
        ..Default::default()
    }
}

fn read_member(value: MemberValue) -> MemberMetadata {
    MemberMetadata {
        instance_id: value.instance_id,
        rack_id: value.rack_id,
        client_id: value.client_id,
        client_host: value.client_host,
        topics: value.subscribed_topic_names.into_iter().collect(),
        regex: value.subscribed_topic_regex.unwrap_or_default(),
        rebalance_timeout_ms: value.rebalance_timeout_ms,
        assignor: value.server_assignor,
        classic: value.classic_member_metadata.map(|classic| ClassicTerms {
            session_timeout_ms: classic.session_timeout_ms,
            protocols: classic
                .supported_protocols
                .into_iter()
                .map(|protocol| Protocol {
                    name: protocol.name,
                    metadata: protocol.metadata,
                })
                .collect(),
        }),
    }
}

fn write_target(target: &Assignment) -> TargetValue {
    let topic_partitions = target.iter().map(|(topic_id, partitions)| TopicPartition {
        topic_id: *topic_id,
        partitions: partitions.iter().copied().collect(),
        ..Default::default()
    });
    TargetValue {
        topic_partitions: topic_partitions.collect(),
        ..Default::default()
    }
}

fn read_target(value: TargetValue) -> Assignment {
    let topics = value.topic_partitions.into_iter();
    topics
        .map(|topic| (topic.topic_id, topic.partitions.into_iter().collect()))
        .collect()
}

fn write_progress(progress: &Progress) -> ProgressValue {
    ProgressValue {
        member_epoch: progress.epoch,
        previous_member_epoch: progress.previous_epoch,
        state: progress.state.code(),
        assigned_partitions: write_owned(&progress.assigned),
        partitions_pending_revocation: write_owned(&progress.pending_revocation),
        ..Default::default()
    }
}

fn read_progress(value: ProgressValue) -> Progress {
    let epoch = value.member_epoch;
    Progress {
        epoch,
        previous_epoch: value.previous_member_epoch,
        state: MemberState::of_code(value.state),
        assigned: read_owned(value.assigned_partitions, epoch),
        pending_revocation: read_owned(value.partitions_pending_revocation, epoch),
    }
}

fn write_owned(owned: &Owned) -> Vec<TopicPartitions> {
    let topics = owned.iter().map(|(topic_id, partitions)| TopicPartitions {
        topic_id: *topic_id,
        partitions: partitions.keys().copied().collect(),
        assignment_epochs: Some(partitions.values().copied().collect()),
        ..Default::default()
    });
    topics.collect()
}

/// Versions that did not write since when a member has each partition had it since the member's epoch.
fn read_owned(topics: Vec<TopicPartitions>, member_epoch: i32) -> Owned {
    let since = |topic: TopicPartitions| -> BTreeMap<i32, i32> {
        let epochs = topic.assignment_epochs.unwrap_or_default();
        if epochs.len() == topic.partitions.len() {
            topic.partitions.into_iter().zip(epochs).collect()
        } else {
            let since = member_epoch.max(0);
            topic
                .partitions
                .into_iter()
                .map(|partition| (partition, since))
                .collect()
        }
    };
    topics
        .into_iter()
        .map(|topic| (topic.topic_id, since(topic)))
        .collect()
}
