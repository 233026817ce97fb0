//! OffsetFetch: what groups have committed.

use ottla_coordinator::{Answer, FetchPartitionAnswer, FetchTopic, FetchTopicAnswer, OffsetFetch, OffsetFetchAnswer};
use ottla_protocol::messages::offset_fetch_request::OffsetFetchRequestGroup;
use ottla_protocol::messages::offset_fetch_response::{
    OffsetFetchResponseGroup, OffsetFetchResponsePartition, OffsetFetchResponsePartitions, OffsetFetchResponseTopic,
    OffsetFetchResponseTopics,
};
use ottla_protocol::messages::{OffsetFetchRequest, OffsetFetchResponse};
use ottla_protocol::{ErrorCode, Str, Uuid};

use super::Context;

/// First version that asks for several groups.
const GROUPS_VERSION: i16 = 8;
/// First version with an error that concerns the whole group.
const TOP_LEVEL_ERROR_VERSION: i16 = 2;
/// First version whose topics are named by id.
const TOPIC_ID_VERSION: i16 = 10;

pub async fn handle(context: &Context, request: OffsetFetchRequest) -> OffsetFetchResponse {
    if context.version < GROUPS_VERSION {
        return single(context, request).await;
    }
    let mut response = OffsetFetchResponse::default();
    for group in request.groups {
        let answer = group_answer(context, group, request.require_stable).await;
        response.groups.push(answer);
    }
    response
}

/// Versions that ask for one group, whose answer has another shape.
async fn single(context: &Context, request: OffsetFetchRequest) -> OffsetFetchResponse {
    let named = |topics: &[ottla_protocol::messages::offset_fetch_request::OffsetFetchRequestTopic]| {
        let topics = topics.iter().map(|topic| FetchTopic {
            name: topic.name.detached(),
            topic_id: Uuid::ZERO,
            partitions: topic.partition_indexes.clone(),
        });
        topics.collect::<Vec<_>>()
    };
    let topics = request.topics.as_deref().map(named);
    let asked = topics.clone().unwrap_or_default();
    let fetch = OffsetFetch {
        group_id: request.group_id,
        member_id: None,
        member_epoch: -1,
        topics,
        require_stable: request.require_stable,
    };
    let answer = fetch_offsets(context, fetch).await;
    let error = answer.error;
    let topics = if error == ErrorCode::None || context.version >= TOP_LEVEL_ERROR_VERSION {
        answer.topics
    } else {
        // Without a place for the group's error, each partition carries it.
        asked.into_iter().map(|topic| refused_topic(topic, error)).collect()
    };
    let topics = topics.into_iter().map(|topic| OffsetFetchResponseTopic {
        name: topic.name,
        partitions: topic.partitions.into_iter().map(|partition| OffsetFetchResponsePartition {
            partition_index: partition.partition,
            committed_offset: partition.offset,
            committed_leader_epoch: partition.leader_epoch,
            metadata: Some(partition.metadata),
            error_code: partition.error.code(),
            ..Default::default()
        }).collect(),
        ..Default::default()
    });
    OffsetFetchResponse { topics: topics.collect(), error_code: error.code(), ..Default::default() }
}

async fn group_answer(context: &Context, group: OffsetFetchRequestGroup, stable: bool) -> OffsetFetchResponseGroup {
    let by_id = context.version >= TOPIC_ID_VERSION;
    let mut unknown = Vec::new();
    let topics = group.topics.as_ref().map(|topics| {
        let mut known = Vec::with_capacity(topics.len());
        for topic in topics {
            let found = if by_id { context.broker.topics.by_id(&topic.topic_id) } else { None };
            let asked = FetchTopic {
                name: found.as_ref().map_or_else(|| topic.name.detached(), |found| found.name.clone()),
                topic_id: topic.topic_id,
                partitions: topic.partition_indexes.clone(),
            };
            if by_id && found.is_none() {
                unknown.push(refused_topic(asked, ErrorCode::UnknownTopicId));
            } else {
                known.push(asked);
            }
        }
        known
    });
    let all = topics.is_none();
    let fetch = OffsetFetch {
        group_id: group.group_id.clone(),
        member_id: group.member_id,
        member_epoch: group.member_epoch,
        topics,
        require_stable: stable,
    };
    let mut answer = fetch_offsets(context, fetch).await;
    if answer.error == ErrorCode::None {
        answer.topics.extend(unknown);
    }
    if all && by_id {
        // A topic that is gone has no id to name it by, so its offsets cannot be told.
        answer.topics.retain_mut(|topic| {
            topic.topic_id = context.broker.topics.by_name(&topic.name).map_or(Uuid::ZERO, |found| found.id);
            topic.topic_id != Uuid::ZERO
        });
    }
    let topics = answer.topics.into_iter().map(|topic| OffsetFetchResponseTopics {
        name: if by_id { Str::default() } else { topic.name },
        topic_id: topic.topic_id,
        partitions: topic.partitions.into_iter().map(|partition| OffsetFetchResponsePartitions {
            partition_index: partition.partition,
            committed_offset: partition.offset,
            committed_leader_epoch: partition.leader_epoch,
            metadata: Some(partition.metadata),
            error_code: partition.error.code(),
            ..Default::default()
        }).collect(),
        ..Default::default()
    });
    OffsetFetchResponseGroup {
        group_id: group.group_id,
        topics: topics.collect(),
        error_code: answer.error.code(),
        ..Default::default()
    }
}

async fn fetch_offsets(context: &Context, fetch: OffsetFetch) -> OffsetFetchAnswer {
    let group_id = fetch.group_id.clone();
    let failed = |error| OffsetFetchAnswer { error, group_id: group_id.clone(), topics: Vec::new() };
    let answer = context.broker.groups.call(&group_id, |machine, _now_ms, token| {
        machine.handle_offset_fetch(token, fetch);
    });
    match answer.await {
        Ok(Answer::OffsetFetch(answer)) => answer,
        Ok(_) => failed(ErrorCode::UnknownServerError),
        Err(error) => failed(error),
    }
}

fn refused_topic(topic: FetchTopic, error: ErrorCode) -> FetchTopicAnswer {
    let partitions = topic.partitions.into_iter().map(|partition| FetchPartitionAnswer {
        partition,
        error,
        offset: -1,
        leader_epoch: -1,
        metadata: Str::default(),
    });
    FetchTopicAnswer { name: topic.name, topic_id: topic.topic_id, partitions: partitions.collect() }
}
