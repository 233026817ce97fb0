//! AddPartitionsToTxn: partitions join a producer's transaction (from clients, one transaction each), or are asked
//! after (from brokers, many at once).

use ottla_coordinator::transaction::{AddPartitions, Answer};
use ottla_protocol::ErrorCode;
use ottla_protocol::ids::TopicPartition;
use ottla_protocol::messages::add_partitions_to_txn_request::{
    AddPartitionsToTxnTopic, AddPartitionsToTxnTransaction,
};
use ottla_protocol::messages::add_partitions_to_txn_response::{
    AddPartitionsToTxnPartitionResult, AddPartitionsToTxnResult, AddPartitionsToTxnTopicResult,
};
use ottla_protocol::messages::{AddPartitionsToTxnRequest, AddPartitionsToTxnResponse};

use super::Context;

/// First version whose clients know PRODUCER_FENCED.
const PRODUCER_FENCED_VERSION: i16 = 2;
/// First version that names several transactions.
const BATCHED_VERSION: i16 = 4;

pub async fn handle(context: &Context, request: AddPartitionsToTxnRequest) -> AddPartitionsToTxnResponse {
    if context.version >= BATCHED_VERSION {
        let mut response = AddPartitionsToTxnResponse::default();
        for transaction in request.transactions {
            let transactional_id = transaction.transactional_id.clone();
            let topic_results = add(context, transaction).await;
            let result = AddPartitionsToTxnResult { transactional_id, topic_results, ..Default::default() };
            response.results_by_transaction.push(result);
        }
        return response;
    }
    let transaction = AddPartitionsToTxnTransaction {
        transactional_id: request.v3_and_below_transactional_id,
        producer_id: request.v3_and_below_producer_id,
        producer_epoch: request.v3_and_below_producer_epoch,
        verify_only: false,
        topics: request.v3_and_below_topics,
        ..Default::default()
    };
    AddPartitionsToTxnResponse {
        results_by_topic_v3_and_below: add(context, transaction).await,
        ..Default::default()
    }
}

async fn add(
    context: &Context,
    transaction: AddPartitionsToTxnTransaction,
) -> Vec<AddPartitionsToTxnTopicResult> {
    let image = context.broker.image();
    let topics = &transaction.topics;
    let is_known = |topic: &str, partition: i32| image.partition(topic, partition).is_some();
    let all_known =
        topics.iter().all(|topic| topic.partitions.iter().all(|&partition| is_known(&topic.name, partition)));
    if !all_known {
        // All or none are added.
        return results(topics, |topic, partition| match is_known(topic, partition) {
            true => ErrorCode::OperationNotAttempted,
            false => ErrorCode::UnknownTopicOrPartition,
        });
    }
    let partitions = topics.iter().flat_map(|topic| {
        let each = topic.partitions.iter();
        each.map(|&partition| TopicPartition::new(topic.name.clone(), partition))
    });
    let partitions: Vec<TopicPartition> = partitions.collect();
    if transaction.verify_only {
        let errors = verify(context, &transaction, &partitions);
        let mut errors = errors.into_iter();
        return results(topics, |_, _| errors.next().unwrap_or(ErrorCode::UnknownServerError));
    }
    let error = match join(context, &transaction, partitions).await {
        ErrorCode::ProducerFenced if context.version < PRODUCER_FENCED_VERSION => ErrorCode::InvalidProducerEpoch,
        error => error,
    };
    results(topics, |_, _| error)
}

fn verify(
    context: &Context,
    transaction: &AddPartitionsToTxnTransaction,
    partitions: &[TopicPartition],
) -> Vec<ErrorCode> {
    let AddPartitionsToTxnTransaction { transactional_id, producer_id, producer_epoch, .. } = transaction;
    let verified = context.broker.transactions.look(transactional_id, |machine| {
        machine.verify_partitions(transactional_id, *producer_id, *producer_epoch, partitions)
    });
    verified.unwrap_or_else(|error| vec![error; partitions.len()])
}

async fn join(
    context: &Context,
    transaction: &AddPartitionsToTxnTransaction,
    partitions: Vec<TopicPartition>,
) -> ErrorCode {
    if transaction.transactional_id.is_empty() {
        return ErrorCode::InvalidRequest;
    }
    let request = AddPartitions {
        transactional_id: transaction.transactional_id.clone(),
        producer_id: transaction.producer_id,
        producer_epoch: transaction.producer_epoch,
        partitions,
        client_version: if context.version >= BATCHED_VERSION { 2 } else { 0 },
    };
    let transactions = &context.broker.transactions;
    let answer = transactions.call(&request.transactional_id, |machine, now_ms, token| {
        machine.handle_add_partitions(now_ms, token, &request);
    });
    match answer.await {
        Ok(Answer::AddPartitions(error)) | Err(error) => error,
        Ok(_) => ErrorCode::UnknownServerError,
    }
}

fn results(
    topics: &[AddPartitionsToTxnTopic],
    mut error: impl FnMut(&str, i32) -> ErrorCode,
) -> Vec<AddPartitionsToTxnTopicResult> {
    let each = topics.iter().map(|topic| {
        let partitions = topic.partitions.iter().map(|&partition_index| AddPartitionsToTxnPartitionResult {
            partition_index,
            partition_error_code: error(&topic.name, partition_index).code(),
            ..Default::default()
        });
        AddPartitionsToTxnTopicResult {
            name: topic.name.clone(),
            results_by_partition: partitions.collect(),
            ..Default::default()
        }
    });
    each.collect()
}
