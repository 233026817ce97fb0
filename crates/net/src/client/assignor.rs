//! The range assignor, and the bytes in which members of a consumer group speak to each other.
//!
//! Invariant: deterministic, and the same division as every other client's `range`, for any member
//! of a mixed group may be the one that assigns. Called by `group.rs`.

use std::collections::{BTreeMap, BTreeSet};

use bytes::{BufMut, Bytes, BytesMut};
use ottla_protocol::messages::consumer_protocol_assignment::TopicPartition;
use ottla_protocol::messages::{ConsumerProtocolAssignment, ConsumerProtocolSubscription};
use ottla_protocol::{DecodeError, Decoder, EncodeError, Message, Str};

pub const RANGE: &str = "range";
pub const PROTOCOL_TYPE: &str = "consumer";

const SUBSCRIPTION_VERSION: i16 = 1;
const ASSIGNMENT_VERSION: i16 = 0;

/// A member and the topics that it wants.
pub struct Subscription {
    pub member: String,
    pub topics: BTreeSet<String>,
}

/// Partitions by topic.
pub type Assignment = BTreeMap<String, Vec<i32>>;

/// Gives each topic's partitions in contiguous ranges to the members that want it.
pub fn range(
    subscriptions: &[Subscription],
    partitions: &BTreeMap<String, Vec<i32>>,
) -> BTreeMap<String, Assignment> {
    let mut assignments: BTreeMap<String, Assignment> = subscriptions
        .iter()
        .map(|subscription| (subscription.member.clone(), Assignment::new()))
        .collect();
    for (topic, partitions) in partitions {
        let mut members: Vec<&str> = subscriptions
            .iter()
            .filter(|subscription| subscription.topics.contains(topic))
            .map(|subscription| subscription.member.as_str())
            .collect();
        members.sort_unstable();
        let mut rest = partitions.as_slice();
        let count = members.len();
        for (index, member) in members.into_iter().enumerate() {
            let share = partitions.len() / count + usize::from(index < partitions.len() % count);
            let (mine, others) = rest.split_at(share);
            rest = others;
            if !mine.is_empty()
                && let Some(assignment) = assignments.get_mut(member)
            {
                assignment.insert(topic.clone(), mine.to_vec());
            }
        }
    }
    assignments
}

pub fn encode_subscription(topics: &[String]) -> Result<Bytes, EncodeError> {
    let subscription = ConsumerProtocolSubscription {
        topics: topics.iter().map(Str::from).collect(),
        ..ConsumerProtocolSubscription::default()
    };
    versioned(&subscription, SUBSCRIPTION_VERSION)
}

pub fn decode_subscription(bytes: &[u8]) -> Result<BTreeSet<String>, DecodeError> {
    let subscription: ConsumerProtocolSubscription = decode_versioned(bytes)?;
    Ok(subscription.topics.iter().map(Str::to_string).collect())
}

pub fn encode_assignment(assignment: &Assignment) -> Result<Bytes, EncodeError> {
    let topics = assignment.iter().map(|(topic, partitions)| TopicPartition {
        topic: Str::from(topic),
        partitions: partitions.clone(),
    });
    let assignment = ConsumerProtocolAssignment {
        assigned_partitions: topics.collect(),
        ..ConsumerProtocolAssignment::default()
    };
    versioned(&assignment, ASSIGNMENT_VERSION)
}

/// Reads an assignment, which is empty for a member that got nothing.
pub fn decode_assignment(bytes: &[u8]) -> Result<Assignment, DecodeError> {
    if bytes.is_empty() {
        return Ok(Assignment::new());
    }
    let assignment: ConsumerProtocolAssignment = decode_versioned(bytes)?;
    let topics = assignment.assigned_partitions.into_iter();
    Ok(topics
        .map(|topic| (topic.topic.to_string(), topic.partitions))
        .collect())
}

/// The consumer protocol puts two bytes of version before each message.
fn versioned<M: Message>(message: &M, version: i16) -> Result<Bytes, EncodeError> {
    let body = message.to_bytes(version)?;
    let mut bytes = BytesMut::with_capacity(2 + body.len());
    bytes.put_i16(version);
    bytes.put(body);
    Ok(bytes.freeze())
}

/// Newer versions only append fields, so one that is not known is read as the newest that is.
fn decode_versioned<M: Message>(bytes: &[u8]) -> Result<M, DecodeError> {
    let mut decoder = Decoder::copying(bytes);
    let version = decoder.i16()?;
    M::decode(&mut decoder, version.min(*M::VALID_VERSIONS.end()))
}

#[cfg(test)]
mod tests;
