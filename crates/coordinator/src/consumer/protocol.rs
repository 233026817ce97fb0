//! What members of the classic protocol put into their opaque bytes: subscriptions and assignments of
//! consumers, each after a version of two bytes.
//!
//! Invariant: a newer version than we know is read as the newest that we do, since fields are only ever
//! added at the end.

use std::collections::BTreeSet;

use bytes::Bytes;
use ottla_protocol::messages::consumer_protocol_assignment::TopicPartition;
use ottla_protocol::messages::{ConsumerProtocolAssignment, ConsumerProtocolSubscription};
use ottla_protocol::{Message, Str};

use super::reconcile::Reported;
use crate::assignor::Assignment;
use crate::error::GroupError;
use crate::topics::TopicCatalog;

pub(super) struct Subscription {
    pub topics: BTreeSet<Str>,
    pub owned: Reported,
    pub rack_id: Option<Str>,
    /// In which its assignment is to be written.
    pub version: i16,
}

pub(super) fn read_subscription(
    topics: &dyn TopicCatalog,
    bytes: &[u8],
) -> Result<Subscription, GroupError> {
    let (version, subscription) =
        read::<ConsumerProtocolSubscription>(bytes).ok_or(GroupError::MalformedSubscription)?;
    let mut owned = Reported::new();
    for partition in subscription.owned_partitions {
        if let Some(topic) = topics.by_name(&partition.topic) {
            owned
                .entry(topic.id)
                .or_default()
                .extend(partition.partitions);
        }
    }
    Ok(Subscription {
        topics: subscription.topics.into_iter().collect(),
        owned,
        rack_id: subscription.rack_id.filter(|rack_id| !rack_id.is_empty()),
        version,
    })
}

/// The partitions of an assignment, of topics that exist. Bytes of a custom assignor would be lost, so
/// they are refused.
pub(super) fn read_assignment(
    topics: &dyn TopicCatalog,
    bytes: &[u8],
) -> Result<Assignment, GroupError> {
    if bytes.is_empty() {
        return Ok(Assignment::new());
    }
    let (_, assignment) =
        read::<ConsumerProtocolAssignment>(bytes).ok_or(GroupError::MalformedSubscription)?;
    if assignment
        .user_data
        .is_some_and(|user_data| !user_data.is_empty())
    {
        return Err(GroupError::CustomAssignor);
    }
    let mut partitions = Assignment::new();
    for assigned in assignment.assigned_partitions {
        if let Some(topic) = topics.by_name(&assigned.topic) {
            partitions
                .entry(topic.id)
                .or_default()
                .extend(assigned.partitions);
        }
    }
    Ok(partitions)
}

pub(super) fn write_assignment(
    topics: &dyn TopicCatalog,
    assignment: &Assignment,
    version: i16,
) -> Bytes {
    let assigned = assignment.iter().filter_map(|(id, partitions)| {
        let topic = topics.by_id(*id)?;
        Some(TopicPartition {
            topic: topic.name,
            partitions: partitions.iter().copied().collect(),
        })
    });
    let message = ConsumerProtocolAssignment {
        assigned_partitions: assigned.collect(),
        user_data: None,
    };
    let version = clamp::<ConsumerProtocolAssignment>(version);
    let body = message
        .to_bytes(version)
        .expect("names of topics fit into a message");
    [&version.to_be_bytes()[..], &body].concat().into()
}

fn read<M: Message>(bytes: &[u8]) -> Option<(i16, M)> {
    let (version, body) = bytes.split_first_chunk::<2>()?;
    let version = i16::from_be_bytes(*version);
    if version < 0 {
        return None;
    }
    let mut decoder = ottla_protocol::Decoder::copying(body);
    Some((version, M::decode(&mut decoder, clamp::<M>(version)).ok()?))
}

fn clamp<M: Message>(version: i16) -> i16 {
    version.clamp(*M::VALID_VERSIONS.start(), *M::VALID_VERSIONS.end())
}
