//! AddOffsetsToTxn: a producer is going to commit a group's offsets as part of its transaction, so that the group's
//! partition of `__consumer_offsets` belongs to it.

use ottla_coordinator::partition_for;
use ottla_coordinator::transaction::{AddPartitions, Answer};
use ottla_protocol::ErrorCode;
use ottla_protocol::ids::TopicPartition;
use ottla_protocol::messages::{AddOffsetsToTxnRequest, AddOffsetsToTxnResponse};

use super::Context;
use crate::coordinators::{CoordinatorKind, make_topic};
use crate::topics::OFFSETS_TOPIC;

/// First version whose clients know PRODUCER_FENCED.
const PRODUCER_FENCED_VERSION: i16 = 2;

pub async fn handle(context: &Context, request: AddOffsetsToTxnRequest) -> AddOffsetsToTxnResponse {
    let error = match add(context, request).await {
        ErrorCode::ProducerFenced if context.version < PRODUCER_FENCED_VERSION => ErrorCode::InvalidProducerEpoch,
        error => error,
    };
    AddOffsetsToTxnResponse { error_code: error.code(), ..Default::default() }
}

async fn add(context: &Context, request: AddOffsetsToTxnRequest) -> ErrorCode {
    let broker = &context.broker;
    // A consumer that assigns its partitions itself may not have looked for the group's coordinator, which its producer
    // does after this.
    make_topic(broker, CoordinatorKind::Group).await;
    let image = broker.image();
    let Some(offsets) = image.topic(OFFSETS_TOPIC) else {
        return ErrorCode::CoordinatorNotAvailable;
    };
    if request.transactional_id.is_empty() {
        return ErrorCode::InvalidRequest;
    }
    let partition = partition_for(&request.group_id, offsets.partitions.len() as i32);
    let request = AddPartitions {
        transactional_id: request.transactional_id,
        producer_id: request.producer_id,
        producer_epoch: request.producer_epoch,
        partitions: vec![TopicPartition::new(OFFSETS_TOPIC, partition)],
        // Clients of version 2 do not send this request.
        client_version: 0,
    };
    let answer = broker.transactions.call(&request.transactional_id, |machine, now_ms, token| {
        machine.handle_add_partitions(now_ms, token, &request);
    });
    match answer.await {
        Ok(Answer::AddPartitions(error)) | Err(error) => error,
        Ok(_) => ErrorCode::UnknownServerError,
    }
}
