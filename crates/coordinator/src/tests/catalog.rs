//! Topics of a script. A topic's id is its name, so that both read the same.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use ottla_protocol::messages::consumer_protocol_assignment::TopicPartition as AssignedPartition;
use ottla_protocol::messages::consumer_protocol_subscription::TopicPartition as OwnedPartition;
use ottla_protocol::messages::{ConsumerProtocolAssignment, ConsumerProtocolSubscription};
use ottla_protocol::{Decoder, Message, Str, Uuid};

use crate::{TopicCatalog, TopicInfo, TopicsChange};

/// Version of the consumer's own protocol that classic members of scripts speak.
const CONSUMER_PROTOCOL_VERSION: i16 = 3;

#[derive(Debug, Clone, Default)]
pub struct Catalog {
    version: i64,
    topics: BTreeMap<Str, i32>,
}

impl Catalog {
    /// The next catalog, of these topics and their partitions, and what became different.
    pub fn next(&self, topics: BTreeMap<Str, i32>) -> (Arc<Self>, TopicsChange) {
        let is_changed = |name: &&Str| self.topics.get(*name) != topics.get(*name);
        let names = self.topics.keys().chain(topics.keys());
        let change = TopicsChange {
            changed: names.filter(is_changed).cloned().collect(),
            has_new_topics: topics.keys().any(|name| !self.topics.contains_key(name)),
        };
        (
            Arc::new(Self {
                version: self.version + 1,
                topics,
            }),
            change,
        )
    }
}

impl TopicCatalog for Catalog {
    fn version(&self) -> i64 {
        self.version
    }

    fn by_name(&self, name: &str) -> Option<TopicInfo> {
        let (name, &partitions) = self.topics.get_key_value(name)?;
        Some(TopicInfo {
            id: topic_id(name),
            name: name.clone(),
            partitions,
        })
    }

    fn by_id(&self, id: Uuid) -> Option<TopicInfo> {
        self.by_name(&topic_name(id))
    }

    fn for_each_name(&self, visit: &mut dyn FnMut(&Str)) {
        self.topics.keys().for_each(visit);
    }
}

pub fn topic_id(name: &str) -> Uuid {
    Uuid::from_u128(name.bytes().fold(0, |id, byte| id << 8 | u128::from(byte)))
}

pub fn topic_name(id: Uuid) -> String {
    id.as_bytes()
        .iter()
        .filter(|byte| **byte != 0)
        .map(|byte| char::from(*byte))
        .collect()
}

/// `a/0.1+b/2`: partitions 0 and 1 of topic a, 2 of b.
pub fn partitions(text: &str) -> Vec<(Str, Vec<i32>)> {
    let topics = text
        .split('+')
        .filter(|topic| !topic.is_empty())
        .map(|topic| {
            let (name, partitions) = topic.split_once('/').expect("topic/partitions");
            (
                name.into(),
                partitions
                    .split('.')
                    .map(|partition| partition.parse().expect("a partition"))
                    .collect(),
            )
        });
    topics.collect()
}

pub fn shown_partitions<'a>(topics: impl Iterator<Item = (Uuid, Vec<i32>)> + 'a) -> String {
    let shown = topics.map(|(id, partitions)| {
        let partitions: Vec<String> = partitions.iter().map(i32::to_string).collect();
        format!("{}/{}", topic_name(id), partitions.join("."))
    });
    shown.collect::<Vec<_>>().join("+")
}

pub fn subscription(topics: &str, owned: &str) -> Bytes {
    let owned = partitions(owned);
    let message = ConsumerProtocolSubscription {
        topics: topics
            .split(',')
            .filter(|topic| !topic.is_empty())
            .map(Str::from)
            .collect(),
        owned_partitions: owned
            .into_iter()
            .map(|(topic, partitions)| OwnedPartition { topic, partitions })
            .collect(),
        ..Default::default()
    };
    versioned(
        &message
            .to_bytes(CONSUMER_PROTOCOL_VERSION)
            .expect("encodable"),
    )
}

pub fn assignment(text: &str) -> Bytes {
    let assigned = partitions(text).into_iter();
    let message = ConsumerProtocolAssignment {
        assigned_partitions: assigned
            .map(|(topic, partitions)| AssignedPartition { topic, partitions })
            .collect(),
        user_data: None,
    };
    versioned(
        &message
            .to_bytes(CONSUMER_PROTOCOL_VERSION)
            .expect("encodable"),
    )
}

/// The assignment of a consumer as text; `None` for other bytes.
pub fn shown_assignment(bytes: &Bytes) -> Option<String> {
    let (version, body) = bytes.split_first_chunk::<2>()?;
    let version = i16::from_be_bytes(*version);
    let mut decoder = Decoder::copying(body);
    let message = ConsumerProtocolAssignment::decode(&mut decoder, version).ok()?;
    let topics = message.assigned_partitions.into_iter();
    Some(shown_partitions(topics.map(|assigned| {
        (topic_id(&assigned.topic), assigned.partitions)
    })))
}

fn versioned(body: &[u8]) -> Bytes {
    [&CONSUMER_PROTOCOL_VERSION.to_be_bytes()[..], body]
        .concat()
        .into()
}
