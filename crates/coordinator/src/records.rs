//! Records of `__consumer_offsets` between the machine's words and their bytes.
//!
//! Invariant: written exactly as Kafka 4.3 writes them; whatever an older or newer version wrote under
//! a known key and value version is read.
//!
//! | key | record       | value version written                                            |
//! |-----|--------------|------------------------------------------------------------------|
//! | 0   | offset       | none: read only, from brokers of old                             |
//! | 1   | offset       | 4, or 1 where the commit brings its own expiry                   |
//! | 2   | group        | 3                                                                |
//! | 3-8, 16 | of consumer groups | 0, see `records/consumer.rs`                           |

use std::collections::BTreeMap;

use bytes::Bytes;
use ottla_protocol::group_records::group_metadata_value::MemberMetadata;
use ottla_protocol::group_records::{
    GroupMetadataKey, GroupMetadataValue, GroupRecord, LegacyOffsetCommitKey,
    LegacyOffsetCommitValue, OffsetCommitKey, OffsetCommitValue,
};
use ottla_protocol::{DecodeError, Str, Uuid};

use crate::classic::group::ClassicGroup;
use crate::consumer::group::Change;
use crate::effect::KeyValue;
use crate::offsets::{CommittedOffset, OffsetKey};

mod consumer;

const GROUP_VALUE_VERSION: i16 = 3;
const CONSUMER_VALUE_VERSION: i16 = 0;
const OFFSET_VALUE_VERSION: i16 = 4;
/// The one version that has a place for the expiry of a single offset.
const OFFSET_VALUE_VERSION_WITH_EXPIRY: i16 = 1;
/// Stands for an unknown timestamp, epoch or timeout.
const UNKNOWN: i32 = -1;

/// What the machine stores; no value is a tombstone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Record {
    Offset {
        key: OffsetKey,
        value: Option<CommittedOffset>,
    },
    Group {
        group_id: Str,
        value: Option<GroupValue>,
    },
    Consumer {
        group_id: Str,
        change: Change,
    },
}

/// What survives of a classic group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct GroupValue {
    pub protocol_type: Str,
    pub generation_id: i32,
    pub protocol_name: Option<Str>,
    pub leader_id: Option<Str>,
    pub state_since_ms: Option<i64>,
    pub members: Vec<MemberValue>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct MemberValue {
    pub member_id: Str,
    pub group_instance_id: Option<Str>,
    pub client_id: Str,
    pub client_host: Str,
    pub rebalance_timeout_ms: i32,
    pub session_timeout_ms: i32,
    pub subscription: Bytes,
    pub assignment: Bytes,
}

impl Record {
    /// The group with these assignments.
    pub fn group(group: &ClassicGroup, assignments: &BTreeMap<Str, Bytes>) -> Self {
        let protocol = group.protocol_name.as_deref().unwrap_or_default();
        let members = group.members().map(|member| MemberValue {
            member_id: member.member_id.clone(),
            group_instance_id: member.group_instance_id.clone(),
            client_id: member.client_id.clone(),
            client_host: member.client_host.clone(),
            rebalance_timeout_ms: member.rebalance_timeout_ms,
            session_timeout_ms: member.session_timeout_ms,
            subscription: member.metadata(protocol),
            assignment: assignments
                .get(&member.member_id)
                .cloned()
                .unwrap_or_default(),
        });
        let value = GroupValue {
            protocol_type: group.protocol_type.clone().unwrap_or_default(),
            generation_id: group.generation_id,
            protocol_name: group.protocol_name.clone(),
            leader_id: group.leader_id.clone(),
            state_since_ms: group.state_since_ms,
            members: members.collect(),
        };
        Self::Group {
            group_id: group.group_id.clone(),
            value: Some(value),
        }
    }

    /// The group as it is born: nobody in it, whoever may have joined since.
    pub fn born_group(group: &ClassicGroup) -> Self {
        let value = GroupValue {
            protocol_type: Str::default(),
            generation_id: 0,
            protocol_name: None,
            leader_id: None,
            state_since_ms: group.state_since_ms,
            members: Vec::new(),
        };
        Self::Group {
            group_id: group.group_id.clone(),
            value: Some(value),
        }
    }

    /// Key and value for the log.
    pub fn encode(&self) -> KeyValue {
        let (record, version) = match self {
            Self::Offset { key, value } => offset_record(key, value.as_ref()),
            Self::Group { group_id, value } => {
                let key = GroupMetadataKey {
                    group: group_id.clone(),
                };
                (
                    GroupRecord::GroupMetadata(key, value.as_ref().map(group_value)),
                    GROUP_VALUE_VERSION,
                )
            }
            Self::Consumer { group_id, change } => {
                (consumer::write(group_id, change), CONSUMER_VALUE_VERSION)
            }
        };
        let encoded = record
            .encode_key()
            .and_then(|key| Ok((key, record.encode_value(version)?)));
        // Every part came in a request of at most two thousand million bytes, in versions of ours.
        encoded.expect("a record made of decoded requests is encodable")
    }

    /// `Ok(None)` for records of kinds that this machine does not know.
    pub fn decode(key: &[u8], value: Option<&[u8]>) -> Result<Option<Self>, DecodeError> {
        let record = match GroupRecord::decode_from(key, value) {
            Ok(record) => record,
            Err(DecodeError::UnknownRecordType(_)) => return Ok(None),
            Err(error) => return Err(error),
        };
        Ok(match record {
            GroupRecord::LegacyOffsetCommit(key, value) => Some(legacy_offset(key, value)),
            GroupRecord::OffsetCommit(key, value) => {
                let OffsetCommitKey {
                    group,
                    topic,
                    partition,
                    ..
                } = key;
                let key = OffsetKey {
                    group_id: group,
                    topic,
                    partition,
                };
                Some(Self::Offset {
                    key,
                    value: value.map(read_offset),
                })
            }
            GroupRecord::GroupMetadata(key, value) => Some(Self::Group {
                group_id: key.group,
                value: value.map(read_group),
            }),
            other => {
                consumer::read(other).map(|(group_id, change)| Self::Consumer { group_id, change })
            }
        })
    }
}

fn offset_record(key: &OffsetKey, value: Option<&CommittedOffset>) -> (GroupRecord, i16) {
    let has_expiry = value.is_some_and(|value| value.expire_timestamp_ms.is_some());
    let version = if has_expiry {
        OFFSET_VALUE_VERSION_WITH_EXPIRY
    } else {
        OFFSET_VALUE_VERSION
    };
    let key = OffsetCommitKey {
        group: key.group_id.clone(),
        topic: key.topic.clone(),
        partition: key.partition,
    };
    let value = value.map(|value| OffsetCommitValue {
        offset: value.offset,
        leader_epoch: value.leader_epoch.unwrap_or(UNKNOWN),
        metadata: value.metadata.clone(),
        commit_timestamp: value.commit_timestamp_ms,
        expire_timestamp: value.expire_timestamp_ms.unwrap_or(UNKNOWN.into()),
        topic_id: value.topic_id,
        ..Default::default()
    });
    (GroupRecord::OffsetCommit(key, value), version)
}

fn group_value(value: &GroupValue) -> GroupMetadataValue {
    let members = value.members.iter().map(|member| MemberMetadata {
        member_id: member.member_id.clone(),
        group_instance_id: member.group_instance_id.clone(),
        client_id: member.client_id.clone(),
        client_host: member.client_host.clone(),
        rebalance_timeout: member.rebalance_timeout_ms,
        session_timeout: member.session_timeout_ms,
        subscription: member.subscription.clone(),
        assignment: member.assignment.clone(),
        ..Default::default()
    });
    GroupMetadataValue {
        protocol_type: value.protocol_type.clone(),
        generation: value.generation_id,
        protocol: value.protocol_name.clone(),
        leader: value.leader_id.clone(),
        current_state_timestamp: value.state_since_ms.unwrap_or(UNKNOWN.into()),
        members: members.collect(),
        ..Default::default()
    }
}

fn legacy_offset(key: LegacyOffsetCommitKey, value: Option<LegacyOffsetCommitValue>) -> Record {
    let value = value.map(|value| CommittedOffset {
        offset: value.offset,
        leader_epoch: None,
        metadata: value.metadata,
        commit_timestamp_ms: value.commit_timestamp,
        expire_timestamp_ms: None,
        topic_id: Uuid::ZERO,
        position: 0,
    });
    Record::Offset {
        key: OffsetKey {
            group_id: key.group,
            topic: key.topic,
            partition: key.partition,
        },
        value,
    }
}

fn read_offset(value: OffsetCommitValue) -> CommittedOffset {
    CommittedOffset {
        offset: value.offset,
        leader_epoch: (value.leader_epoch != UNKNOWN).then_some(value.leader_epoch),
        metadata: value.metadata,
        commit_timestamp_ms: value.commit_timestamp,
        expire_timestamp_ms: (value.expire_timestamp != i64::from(UNKNOWN))
            .then_some(value.expire_timestamp),
        topic_id: value.topic_id,
        position: 0,
    }
}

fn read_group(value: GroupMetadataValue) -> GroupValue {
    let members = value.members.into_iter().map(|member| MemberValue {
        member_id: member.member_id,
        group_instance_id: member.group_instance_id,
        client_id: member.client_id,
        client_host: member.client_host,
        rebalance_timeout_ms: match member.rebalance_timeout {
            UNKNOWN => member.session_timeout,
            timeout_ms => timeout_ms,
        },
        session_timeout_ms: member.session_timeout,
        subscription: member.subscription,
        assignment: member.assignment,
    });
    GroupValue {
        protocol_type: value.protocol_type,
        generation_id: value.generation,
        protocol_name: value.protocol,
        leader_id: value.leader,
        state_since_ms: (value.current_state_timestamp != i64::from(UNKNOWN))
            .then_some(value.current_state_timestamp),
        members: members.collect(),
    }
}

#[cfg(test)]
mod tests;
