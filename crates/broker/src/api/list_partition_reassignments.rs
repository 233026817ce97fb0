//! ListPartitionReassignments: moves of replicas that are under way.

use std::sync::Arc;

use ottla_metadata::Topic;
use ottla_protocol::messages::list_partition_reassignments_response::{
    OngoingPartitionReassignment, OngoingTopicReassignment,
};
use ottla_protocol::messages::{ListPartitionReassignmentsRequest, ListPartitionReassignmentsResponse};

use super::Context;

pub async fn handle(
    context: &Context,
    request: ListPartitionReassignmentsRequest,
) -> ListPartitionReassignmentsResponse {
    let image = context.broker.image();
    let topics = match &request.topics {
        None => image.topics().filter_map(|topic| ongoing(topic, None)).collect(),
        Some(topics) => topics
            .iter()
            .filter_map(|asked| ongoing(image.topic(&asked.name)?, Some(&asked.partition_indexes)))
            .collect(),
    };
    ListPartitionReassignmentsResponse { error_message: None, topics, ..Default::default() }
}

/// The partitions of `topic`, all or those named, whose replicas move.
fn ongoing(topic: &Arc<Topic>, named: Option<&[i32]>) -> Option<OngoingTopicReassignment> {
    let partition = |index: i32| {
        let partition = topic.partition(index).filter(|partition| partition.is_reassigning())?;
        Some(OngoingPartitionReassignment {
            partition_index: index,
            replicas: partition.replicas.clone(),
            adding_replicas: partition.adding_replicas.clone(),
            removing_replicas: partition.removing_replicas.clone(),
            ..Default::default()
        })
    };
    let partitions: Vec<OngoingPartitionReassignment> = match named {
        Some(named) => named.iter().filter_map(|index| partition(*index)).collect(),
        None => topic.partitions.keys().filter_map(|index| partition(*index)).collect(),
    };
    (!partitions.is_empty())
        .then(|| OngoingTopicReassignment { name: topic.name.clone(), partitions, ..Default::default() })
}
