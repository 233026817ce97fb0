//! OffsetCommit: how far a group has come in each partition.

use ottla_coordinator::{Answer, CommitTopic, CommitTopicAnswer, OffsetCommit};
use ottla_protocol::messages::offset_commit_response::{OffsetCommitResponsePartition, OffsetCommitResponseTopic};
use ottla_protocol::messages::{OffsetCommitRequest, OffsetCommitResponse};
use ottla_protocol::{ErrorCode, Str, Uuid};

use super::Context;
use super::commit_topics::{TopicName, all, existing, partitions};

/// First version whose topics are named by id.
const TOPIC_ID_VERSION: i16 = 10;

pub async fn handle(context: &Context, request: OffsetCommitRequest) -> OffsetCommitResponse {
    let mut response = OffsetCommitResponse::default();
    let mut answers = Vec::new();
    let topics: Vec<_> = request
        .topics
        .iter()
        .filter_map(|topic| {
            let name = match context.version {
                TOPIC_ID_VERSION.. => TopicName::Id(topic.topic_id),
                _ => TopicName::Name(&topic.name),
            };
            existing(context, name, partitions(&topic.partitions), &mut answers)
        })
        .collect();
    if !topics.is_empty() {
        answers.extend(commit(context, request, topics).await);
    }
    for topic in answers {
        add(&mut response, topic.name, topic.topic_id, topic.partitions);
    }
    if context.version >= TOPIC_ID_VERSION {
        response.topics.iter_mut().for_each(|topic| topic.name = Str::default());
    }
    response
}

async fn commit(
    context: &Context,
    request: OffsetCommitRequest,
    topics: Vec<CommitTopic>,
) -> Vec<CommitTopicAnswer> {
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
    match answer.await {
        Ok(Answer::OffsetCommit(answers)) => answers,
        Ok(_) => all(asked, ErrorCode::UnknownServerError),
        Err(error) => all(asked, error),
    }
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
