//! DescribeProducers: who has written to a partition lately, and which transactions are open there.

use ottla_controller::validate_topic_name;
use ottla_log::ProducerDescription;
use ottla_protocol::messages::describe_producers_response::{PartitionResponse, ProducerState, TopicResponse};
use ottla_protocol::messages::{DescribeProducersRequest, DescribeProducersResponse};
use ottla_protocol::{ErrorCode, Str};

use super::Context;
use super::failure::Failure;

/// "No transaction is open."
const NO_TRANSACTION: i64 = -1;

pub async fn handle(context: &Context, request: DescribeProducersRequest) -> DescribeProducersResponse {
    let mut response = DescribeProducersResponse::default();
    for topic in request.topics {
        let partition = |index: &i32| match describe(context, &topic.name, *index) {
            Ok(producers) => PartitionResponse {
                partition_index: *index,
                active_producers: producers.iter().map(state).collect(),
                ..Default::default()
            },
            Err(failure) => PartitionResponse {
                partition_index: *index,
                error_code: failure.code.code(),
                error_message: failure.message,
                ..Default::default()
            },
        };
        let partitions = topic.partition_indexes.iter().map(partition).collect();
        response.topics.push(TopicResponse { name: topic.name, partitions, ..Default::default() });
    }
    response
}

fn describe(context: &Context, topic: &Str, index: i32) -> Result<Vec<ProducerDescription>, Failure> {
    validate_topic_name(topic)?;
    let broker = &context.broker;
    match broker.topics.partition(topic, index) {
        Some(partition) => Ok(partition.log.active_producers()),
        // Of a topic that there is not Kafka says so in words.
        None if broker.image().topic(topic).is_none() => {
            let code = ErrorCode::UnknownTopicOrPartition;
            Err(Failure { code, message: Some(Str::from_static(code.message())) })
        }
        None => Err(broker.why_missing(topic, index).into()),
    }
}

fn state(producer: &ProducerDescription) -> ProducerState {
    ProducerState {
        producer_id: producer.producer_id,
        producer_epoch: i32::from(producer.producer_epoch),
        last_sequence: producer.last_sequence,
        last_timestamp: producer.last_timestamp,
        coordinator_epoch: producer.coordinator_epoch,
        current_txn_start_offset: producer.txn_first_offset.unwrap_or(NO_TRANSACTION),
        ..Default::default()
    }
}
