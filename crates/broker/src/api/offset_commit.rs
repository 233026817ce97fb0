//! OffsetCommit: how far a group has come in each partition.

use ottla_coordinator::{Answer, CommitPartition, CommitTopic, CommitTopicAnswer, OffsetCommit};
use ottla_protocol::messages::offset_commit_request::OffsetCommitRequestTopic;
use ottla_protocol::messages::offset_commit_response::{OffsetCommitResponsePartition, OffsetCommitResponseTopic};
use ottla_protocol::messages::{OffsetCommitRequest, OffsetCommitResponse};
use ottla_protocol::{ErrorCode, Str, Uuid};

use super::Context;

/// First version whose topics are named by id.
const TOPIC_ID_VERSION: i16 = 10;

pub async fn handle(context: &Context, request: OffsetCommitRequest) -> OffsetCommitResponse {
    let mut response = OffsetCommitResponse::default();
    let mut topics = Vec::with_capacity(request.topics.len());
    for topic in &request.topics {
        match resolve(context, topic) {
            Ok((name, topic_id)) => topics.extend(existing(context, topic, name, topic_id, &mut response)),
            Err(error) => {
                let partitions = topic.partitions.iter().map(|partition| (partition.partition_index, error));
                add(&mut response, topic.name.clone(), topic.topic_id, partitions);
            }
        }
    }
    if topics.is_empty() {
        return response;
    }
    let asked = topics.clone();
    let commit = OffsetCommit {
        api_version: context.version,
        group_id: request.group_id.detached(),
        generation_id: request.generation_id_or_member_epoch,
        member_id: request.member_id.detached(),
        group_instance_id: request.group_instance_id.as_ref().map(Str::detached),
        retention_ms: (request.retention_time_ms >= 0).then_some(request.retention_time_ms),
        topics,
    };
    let group_id = commit.group_id.clone();
    let answer = context.broker.groups.call(&group_id, |machine, now_ms, token| {
        machine.handle_offset_commit(now_ms, token, commit);
    });
    let answers = match answer.await {
        Ok(Answer::OffsetCommit(answers)) => answers,
        Ok(_) => all(asked, ErrorCode::UnknownServerError),
        Err(error) => all(asked, error),
    };
    for topic in answers {
        add(&mut response, topic.name, topic.topic_id, topic.partitions);
    }
    if context.version >= TOPIC_ID_VERSION {
        response.topics.iter_mut().for_each(|topic| topic.name = Str::default());
    }
    response
}

/// Name and id of a topic that exists.
fn resolve(context: &Context, topic: &OffsetCommitRequestTopic) -> Result<(Str, Uuid), ErrorCode> {
    let topics = &context.broker.topics;
    let found = if context.version >= TOPIC_ID_VERSION {
        topics.by_id(&topic.topic_id).ok_or(ErrorCode::UnknownTopicId)?
    } else {
        topics.by_name(&topic.name).ok_or(ErrorCode::UnknownTopicOrPartition)?
    };
    Ok((found.name.clone(), found.id))
}

/// The partitions of the topic that exist; the others are answered at once.
fn existing(
    context: &Context,
    topic: &OffsetCommitRequestTopic,
    name: Str,
    topic_id: Uuid,
    response: &mut OffsetCommitResponse,
) -> Option<CommitTopic> {
    let count = context.broker.image().topic(&name).map_or(0, |topic| topic.partitions.len()) as i32;
    let (known, unknown): (Vec<_>, Vec<_>) =
        topic.partitions.iter().partition(|partition| (0..count).contains(&partition.partition_index));
    let unknown = unknown.iter().map(|p| (p.partition_index, ErrorCode::UnknownTopicOrPartition));
    add(response, name.clone(), topic_id, unknown);
    let partitions: Vec<_> = known
        .into_iter()
        .map(|partition| CommitPartition {
            partition: partition.partition_index,
            offset: partition.committed_offset,
            leader_epoch: partition.committed_leader_epoch,
            metadata: partition.committed_metadata.as_ref().map(Str::detached),
        })
        .collect();
    (!partitions.is_empty()).then_some(CommitTopic { name, topic_id, partitions })
}

fn all(topics: Vec<CommitTopic>, error: ErrorCode) -> Vec<CommitTopicAnswer> {
    let answers = topics.into_iter().map(|topic| CommitTopicAnswer {
        name: topic.name,
        topic_id: topic.topic_id,
        partitions: topic.partitions.iter().map(|partition| (partition.partition, error)).collect(),
    });
    answers.collect()
}

/// Adds partitions to the topic's entry, which may have some already.
fn add(
    response: &mut OffsetCommitResponse,
    name: Str,
    topic_id: Uuid,
    partitions: impl IntoIterator<Item = (i32, ErrorCode)>,
) {
    let mut partitions = partitions
        .into_iter()
        .map(|(partition_index, error)| OffsetCommitResponsePartition {
            partition_index,
            error_code: error.code(),
            ..Default::default()
        })
        .peekable();
    if partitions.peek().is_none() {
        return;
    }
    match response.topics.iter_mut().find(|topic| topic.topic_id == topic_id && topic.name == name) {
        Some(topic) => topic.partitions.extend(partitions),
        None => response.topics.push(OffsetCommitResponseTopic {
            name,
            topic_id,
            partitions: partitions.collect(),
            ..Default::default()
        }),
    }
}
