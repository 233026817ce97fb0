//! ConsumerGroupHeartbeat: a member of a consumer group (KIP-848) joins, stays, follows its assignment, leaves.

use std::collections::{BTreeMap, BTreeSet};

use ottla_coordinator::{Answer, ConsumerHeartbeat, ConsumerHeartbeatAnswer, FreshId};
use ottla_protocol::messages::consumer_group_heartbeat_response::{Assignment, TopicPartitions};
use ottla_protocol::messages::{ConsumerGroupHeartbeatRequest, ConsumerGroupHeartbeatResponse};
use ottla_protocol::{ErrorCode, Uuid};

use super::Context;

pub async fn handle(context: &Context, request: ConsumerGroupHeartbeatRequest) -> ConsumerGroupHeartbeatResponse {
    if !context.broker.has_consumer_groups() {
        return failed(ErrorCode::UnsupportedVersion);
    }
    let owned = request.topic_partitions.map(|topics| {
        let mut owned: BTreeMap<Uuid, BTreeSet<i32>> = BTreeMap::new();
        for topic in topics {
            owned.entry(topic.topic_id).or_default().extend(topic.partitions);
        }
        owned
    });
    let heartbeat = ConsumerHeartbeat {
        api_version: context.version,
        client_id: context.client_id.clone().unwrap_or_default(),
        client_host: context.connection.client_host(),
        group_id: request.group_id,
        member_id: request.member_id,
        member_epoch: request.member_epoch,
        instance_id: request.instance_id,
        rack_id: request.rack_id,
        rebalance_timeout_ms: request.rebalance_timeout_ms,
        topics: request.subscribed_topic_names,
        regex: request.subscribed_topic_regex,
        assignor: request.server_assignor,
        owned,
    };
    let fresh = FreshId(fastrand::u128(..));
    let group_id = heartbeat.group_id.clone();
    let answer = context.broker.groups.call(&group_id, |machine, now_ms, token| {
        machine.handle_consumer_heartbeat(now_ms, token, heartbeat, fresh);
    });
    match answer.await {
        Ok(Answer::ConsumerHeartbeat(answer)) => response(answer),
        Ok(_) => failed(ErrorCode::UnknownServerError),
        Err(error) => failed(error),
    }
}

fn response(answer: ConsumerHeartbeatAnswer) -> ConsumerGroupHeartbeatResponse {
    let assignment = answer.assignment.map(|topics| Assignment {
        topic_partitions: topics
            .into_iter()
            .map(|(topic_id, partitions)| TopicPartitions { topic_id, partitions, ..Default::default() })
            .collect(),
        ..Default::default()
    });
    ConsumerGroupHeartbeatResponse {
        error_code: answer.error.code(),
        error_message: answer.error_message,
        member_id: answer.member_id,
        member_epoch: answer.member_epoch,
        heartbeat_interval_ms: answer.heartbeat_interval_ms,
        assignment,
        ..Default::default()
    }
}

fn failed(error: ErrorCode) -> ConsumerGroupHeartbeatResponse {
    ConsumerGroupHeartbeatResponse { error_code: error.code(), ..Default::default() }
}
