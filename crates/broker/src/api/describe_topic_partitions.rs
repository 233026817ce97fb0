//! DescribeTopicPartitions: Metadata in pages, with eligible leader replicas (KIP-966).

use ottla_metadata::{MetadataImage, Partition, Topic};
use ottla_protocol::messages::describe_topic_partitions_response::{
    Cursor, DescribeTopicPartitionsResponsePartition, DescribeTopicPartitionsResponseTopic,
};
use ottla_protocol::messages::{DescribeTopicPartitionsRequest, DescribeTopicPartitionsResponse};
use ottla_protocol::{ErrorCode, Str};

use super::metadata::offline_replicas;
use super::{Context, authorized_operations};
use crate::topics::is_internal;

pub async fn handle(
    context: &Context,
    request: DescribeTopicPartitionsRequest,
) -> DescribeTopicPartitionsResponse {
    let image = context.broker.image();
    let first = request.cursor.as_ref().map_or_else(Str::default, |cursor| cursor.topic_name.clone());
    let mut names: Vec<Str> = if request.topics.is_empty() {
        image.topics_from(&first).map(|topic| topic.name.clone()).collect()
    } else {
        request.topics.iter().map(|topic| topic.name.clone()).filter(|name| *name >= first).collect()
    };
    names.sort();
    names.dedup();

    let limit = context.broker.config().fetch.partitions_per_description_max;
    let mut page = Page {
        image: &image,
        room: limit.min(request.response_partition_limit.max(1) as usize),
        response: DescribeTopicPartitionsResponse::default(),
    };
    for name in names {
        let from = match &request.cursor {
            Some(cursor) if cursor.topic_name == name => cursor.partition_index.max(0),
            _ => 0,
        };
        if !page.add(name, from) {
            break;
        }
    }
    page.response
}

/// An answer that is being filled up to a number of partitions.
struct Page<'a> {
    image: &'a MetadataImage,
    room: usize,
    response: DescribeTopicPartitionsResponse,
}

impl Page<'_> {
    /// Adds a topic's partitions from `first` on; false when the page is full and says where to go on.
    fn add(&mut self, name: Str, first: i32) -> bool {
        let Some(topic) = self.image.topic(&name) else {
            self.response.topics.push(unknown(name));
            return true;
        };
        if self.room == 0 {
            self.stop(name, first);
            return false;
        }
        let mut rest = topic.partitions.range(first..);
        let partitions: Vec<_> =
            rest.by_ref().take(self.room).map(|(index, partition)| describe(self.image, *index, partition)).collect();
        self.room -= partitions.len();
        let next = rest.next().map(|(index, _)| *index);
        self.response.topics.push(entry(topic, partitions));
        match next {
            None => true,
            Some(next) => {
                self.stop(name, next);
                false
            }
        }
    }

    fn stop(&mut self, topic_name: Str, partition_index: i32) {
        self.response.next_cursor = Some(Cursor { topic_name, partition_index, ..Default::default() });
    }
}

fn entry(
    topic: &Topic,
    partitions: Vec<DescribeTopicPartitionsResponsePartition>,
) -> DescribeTopicPartitionsResponseTopic {
    DescribeTopicPartitionsResponseTopic {
        name: Some(topic.name.clone()),
        topic_id: topic.id,
        is_internal: is_internal(&topic.name),
        partitions,
        topic_authorized_operations: authorized_operations::TOPIC,
        ..Default::default()
    }
}

fn unknown(name: Str) -> DescribeTopicPartitionsResponseTopic {
    let is_internal = is_internal(&name);
    DescribeTopicPartitionsResponseTopic {
        error_code: ErrorCode::UnknownTopicOrPartition.code(),
        name: Some(name),
        is_internal,
        ..Default::default()
    }
}

fn describe(image: &MetadataImage, index: i32, partition: &Partition) -> DescribeTopicPartitionsResponsePartition {
    DescribeTopicPartitionsResponsePartition {
        error_code: partition.leader.map_or(ErrorCode::LeaderNotAvailable, |_| ErrorCode::None).code(),
        partition_index: index,
        leader_id: partition.leader.unwrap_or(-1),
        leader_epoch: partition.leader_epoch,
        replica_nodes: partition.replicas.clone(),
        isr_nodes: partition.isr.clone(),
        eligible_leader_replicas: Some(partition.eligible_leader_replicas.clone()),
        last_known_elr: Some(partition.last_known_elr.clone()),
        offline_replicas: offline_replicas(image, partition),
        ..Default::default()
    }
}
