//! The topics and partitions that a commit of offsets names, and which of them exist.
//!
//! Invariant: what goes to the group's coordinator exists, under names that do not hold on to the request's frame;
//! what does not exist is answered at once. Called by OffsetCommit and TxnOffsetCommit.

use ottla_coordinator::{CommitPartition, CommitTopic, CommitTopicAnswer};
use ottla_protocol::messages::offset_commit_request::OffsetCommitRequestPartition;
use ottla_protocol::messages::txn_offset_commit_request::TxnOffsetCommitRequestPartition;
use ottla_protocol::{ErrorCode, Str, Uuid};

use super::Context;

/// How a request names a topic.
pub enum TopicName<'a> {
    Name(&'a Str),
    Id(Uuid),
}

/// What either request says of one partition.
pub trait Committed {
    fn committed(&self) -> CommitPartition;
}

macro_rules! committed {
    ($($partition:ty),*) => {$(
        impl Committed for $partition {
            fn committed(&self) -> CommitPartition {
                CommitPartition {
                    partition: self.partition_index,
                    offset: self.committed_offset,
                    leader_epoch: self.committed_leader_epoch,
                    metadata: self.committed_metadata.as_ref().map(Str::detached),
                }
            }
        }
    )*};
}

committed!(
    OffsetCommitRequestPartition,
    TxnOffsetCommitRequestPartition
);

/// The partitions of a topic, as the coordinator is told of them.
pub fn partitions<P: Committed>(asked: &[P]) -> Vec<CommitPartition> {
    asked.iter().map(P::committed).collect()
}

/// The partitions that exist; the others are added to `answers`.
pub fn existing(
    context: &Context,
    topic: TopicName<'_>,
    partitions: Vec<CommitPartition>,
    answers: &mut Vec<CommitTopicAnswer>,
) -> Option<CommitTopic> {
    let image = context.broker.image();
    let (found, name, topic_id, missing) = match topic {
        TopicName::Name(name) => {
            let found = image.topic(name);
            (
                found,
                name.clone(),
                Uuid::default(),
                ErrorCode::UnknownTopicOrPartition,
            )
        }
        TopicName::Id(id) => (
            image.topic_by_id(id),
            Str::default(),
            id,
            ErrorCode::UnknownTopicId,
        ),
    };
    let Some(found) = found else {
        let partitions = partitions
            .iter()
            .map(|partition| (partition.partition, missing))
            .collect();
        answers.push(CommitTopicAnswer {
            name,
            topic_id,
            partitions,
        });
        return None;
    };
    let (name, topic_id) = (found.name.clone(), found.id);
    let (partitions, unknown): (Vec<_>, Vec<_>) = partitions
        .into_iter()
        .partition(|partition| found.partition(partition.partition).is_some());
    if !unknown.is_empty() {
        let error = ErrorCode::UnknownTopicOrPartition;
        let partitions = unknown
            .iter()
            .map(|partition| (partition.partition, error))
            .collect();
        answers.push(CommitTopicAnswer {
            name: name.clone(),
            topic_id,
            partitions,
        });
    }
    (!partitions.is_empty()).then_some(CommitTopic {
        name,
        topic_id,
        partitions,
    })
}

/// The same error for every partition.
pub fn all(topics: Vec<CommitTopic>, error: ErrorCode) -> Vec<CommitTopicAnswer> {
    let answers = topics.into_iter().map(|topic| CommitTopicAnswer {
        name: topic.name,
        topic_id: topic.topic_id,
        partitions: topic
            .partitions
            .iter()
            .map(|partition| (partition.partition, error))
            .collect(),
    });
    answers.collect()
}
