//! OffsetDelete: forgets committed offsets of topics that the group no longer reads.

use ottla_coordinator::{Answer, OffsetDelete};
use ottla_protocol::messages::offset_delete_response::{OffsetDeleteResponsePartition, OffsetDeleteResponseTopic};
use ottla_protocol::messages::{OffsetDeleteRequest, OffsetDeleteResponse};
use ottla_protocol::{ErrorCode, Str};

use super::Context;

pub async fn handle(context: &Context, request: OffsetDeleteRequest) -> OffsetDeleteResponse {
    let mut response = OffsetDeleteResponse::default();
    let mut topics = Vec::with_capacity(request.topics.len());
    for topic in &request.topics {
        let count = context.broker.image().topic(&topic.name).map_or(0, |topic| topic.partitions.len()) as i32;
        let asked = topic.partitions.iter().map(|partition| partition.partition_index);
        let (known, unknown): (Vec<i32>, Vec<i32>) = asked.partition(|index| (0..count).contains(index));
        let unknown = unknown.into_iter().map(|index| (index, ErrorCode::UnknownTopicOrPartition)).collect();
        add(&mut response, topic.name.clone(), unknown);
        if !known.is_empty() {
            topics.push((topic.name.detached(), known));
        }
    }
    let delete = OffsetDelete { group_id: request.group_id.detached(), topics };
    let group_id = delete.group_id.clone();
    let answer = context.broker.groups.call(&group_id, |machine, _now_ms, token| {
        machine.handle_offset_delete(token, delete);
    });
    match answer.await {
        Ok(Answer::OffsetDelete(answer)) if answer.error == ErrorCode::None => {
            for (topic, partitions) in answer.topics {
                add(&mut response, topic, partitions);
            }
            response
        }
        Ok(Answer::OffsetDelete(answer)) => failed(answer.error),
        Ok(_) => failed(ErrorCode::UnknownServerError),
        Err(error) => failed(error),
    }
}

fn failed(error: ErrorCode) -> OffsetDeleteResponse {
    OffsetDeleteResponse { error_code: error.code(), ..Default::default() }
}

fn add(response: &mut OffsetDeleteResponse, name: Str, partitions: Vec<(i32, ErrorCode)>) {
    if partitions.is_empty() {
        return;
    }
    let partitions = partitions.into_iter().map(|(partition_index, error)| OffsetDeleteResponsePartition {
        partition_index,
        error_code: error.code(),
    });
    match response.topics.iter_mut().find(|topic| topic.name == name) {
        Some(topic) => topic.partitions.extend(partitions),
        None => response.topics.push(OffsetDeleteResponseTopic {
            name,
            partitions: partitions.collect(),
        }),
    }
}
