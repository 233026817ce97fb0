//! DescribeQuorum: who keeps the metadata log, and how far each has come.

use ottla_protocol::messages::describe_quorum_request::TopicData as AskedTopic;
use ottla_protocol::messages::describe_quorum_response::{Listener, Node, PartitionData, ReplicaState, TopicData};
use ottla_protocol::messages::{DescribeQuorumRequest, DescribeQuorumResponse};
use ottla_protocol::{ErrorCode, Str};

use super::Context;
use crate::quorum::local::METADATA_TOPIC;
use crate::quorum::QuorumState;

/// The only partition of the metadata log.
const METADATA_PARTITION: i32 = 0;
/// First version that says where the voters can be reached.
const NODES_VERSION: i16 = 2;

pub async fn handle(context: &Context, request: DescribeQuorumRequest) -> DescribeQuorumResponse {
    if !asks_for_metadata(&request.topics) {
        return unknown_partitions(request.topics);
    }
    let state = match context.broker.controller() {
        Ok(controller) => controller.quorum_state().await,
        Err(error) => Err(error),
    };
    let partition = match state {
        Ok(state) => described(context, state),
        Err(_) => PartitionData {
            partition_index: METADATA_PARTITION,
            error_code: ErrorCode::NotLeaderOrFollower.code(),
            ..Default::default()
        },
    };
    let nodes = if context.version >= NODES_VERSION && state.is_ok() { vec![node(context)] } else { Vec::new() };
    let topic = TopicData {
        topic_name: Str::from_static(METADATA_TOPIC),
        partitions: vec![partition],
        ..Default::default()
    };
    DescribeQuorumResponse { topics: vec![topic], nodes, ..Default::default() }
}

fn asks_for_metadata(topics: &[AskedTopic]) -> bool {
    let [topic] = topics else { return false };
    let [partition] = &topic.partitions[..] else { return false };
    *topic.topic_name == *METADATA_TOPIC && partition.partition_index == METADATA_PARTITION
}

fn unknown_partitions(topics: Vec<AskedTopic>) -> DescribeQuorumResponse {
    let error = ErrorCode::UnknownTopicOrPartition;
    let topics = topics.into_iter().map(|topic| TopicData {
        topic_name: topic.topic_name,
        partitions: topic
            .partitions
            .iter()
            .map(|partition| PartitionData {
                partition_index: partition.partition_index,
                error_code: error.code(),
                error_message: Some(Str::from_static(error.message())),
                ..Default::default()
            })
            .collect(),
        ..Default::default()
    });
    DescribeQuorumResponse { topics: topics.collect(), ..Default::default() }
}

fn described(context: &Context, state: QuorumState) -> PartitionData {
    let now_ms = context.broker.now_ms();
    // The leader's own log is by definition caught up. It names no directory: the voters are fixed (`kraft.version` 0).
    let leader = ReplicaState {
        replica_id: context.broker.node_id,
        log_end_offset: state.log_end_offset,
        last_fetch_timestamp: now_ms,
        last_caught_up_timestamp: now_ms,
        ..Default::default()
    };
    PartitionData {
        partition_index: METADATA_PARTITION,
        leader_id: context.broker.node_id,
        leader_epoch: state.leader_epoch,
        high_watermark: state.high_watermark,
        current_voters: vec![leader],
        ..Default::default()
    }
}

fn node(context: &Context) -> Node {
    let config = context.broker.config();
    let listeners = config.listeners.advertised_controller.iter().map(|endpoint| Listener {
        name: Str::from(endpoint.name.as_str()),
        host: Str::from(endpoint.host.as_deref().unwrap_or("localhost")),
        port: endpoint.port,
        ..Default::default()
    });
    Node { node_id: context.broker.node_id, listeners: listeners.collect(), ..Default::default() }
}

#[cfg(test)]
mod tests;
