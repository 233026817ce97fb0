//! TxnOffsetCommit: how far a group has come, as part of a producer's transaction.

use ottla_coordinator::{Answer, CommitTopic, CommitTopicAnswer, TxnOffsetCommit};
use ottla_protocol::ids::TopicPartition;
use ottla_protocol::messages::txn_offset_commit_response::{
    TxnOffsetCommitResponsePartition, TxnOffsetCommitResponseTopic,
};
use ottla_protocol::messages::{TxnOffsetCommitRequest, TxnOffsetCommitResponse};
use ottla_protocol::{ErrorCode, Str};
use ottla_records::NO_SEQUENCE;

use super::Context;
use super::commit_topics::{TopicName, all, existing, partitions};
use crate::partition::append::CoordinatorAppend;
use crate::topics::OFFSETS_TOPIC;
use crate::transactions::verification::{Client, Producer, confirm, start};

/// First version whose clients know that a coordinator may be loading.
const LOAD_IN_PROGRESS_VERSION: i16 = 2;

pub async fn handle(context: &Context, request: TxnOffsetCommitRequest) -> TxnOffsetCommitResponse {
    let mut answers = Vec::new();
    let topics: Vec<_> = request
        .topics
        .iter()
        .filter_map(|topic| existing(context, TopicName::Name(&topic.name), partitions(&topic.partitions), &mut answers))
        .collect();
    if !topics.is_empty() {
        let committed = commit(context, &request, topics.clone()).await;
        answers.extend(committed.unwrap_or_else(|error| all(topics, error)));
    }
    respond(context, answers)
}

async fn commit(
    context: &Context,
    request: &TxnOffsetCommitRequest,
    topics: Vec<CommitTopic>,
) -> Result<Vec<CommitTopicAnswer>, ErrorCode> {
    let broker = &context.broker;
    if request.group_id.is_empty() {
        return Err(ErrorCode::InvalidGroupId);
    }
    let partition = broker.groups.partition_of(&request.group_id)?;
    let how = verified(context, request, partition).await?;
    // Where nothing was asked (`transaction.partition.verification.enable`), this may be nobody.
    if request.producer_id < 0 {
        return Err(ErrorCode::InvalidProducerIdMapping);
    }
    if request.producer_epoch < 0 {
        return Err(ErrorCode::InvalidProducerEpoch);
    }
    let commit = TxnOffsetCommit {
        api_version: context.version,
        group_id: request.group_id.detached(),
        producer_id: request.producer_id,
        producer_epoch: request.producer_epoch,
        generation_id: request.generation_id,
        member_id: request.member_id.detached(),
        group_instance_id: request.group_instance_id.as_ref().map(Str::detached),
        topics,
    };
    let answer = broker.groups.call_partition(partition, how, |machine, now_ms, token| {
        machine.handle_txn_offset_commit(now_ms, token, commit);
    })?;
    match answer.await {
        Ok(Answer::TxnOffsetCommit(answers)) => Ok(answers),
        Ok(_) => Err(ErrorCode::UnknownServerError),
        // The machine has moved to another broker.
        Err(_) => Err(ErrorCode::NotCoordinator),
    }
}

/// The group's partition must be part of the transaction before the first offsets go into it.
async fn verified(
    context: &Context,
    request: &TxnOffsetCommitRequest,
    partition: i32,
) -> Result<CoordinatorAppend, ErrorCode> {
    let broker = &context.broker;
    let replica = broker.topics.partition(OFFSETS_TOPIC, partition).ok_or(ErrorCode::NotCoordinator)?;
    let producer = Producer {
        transactional_id: request.transactional_id.clone(),
        producer_id: request.producer_id,
        producer_epoch: request.producer_epoch,
        client: Client::of_offset_commit(context.version),
    };
    let guard = start(&replica.log, &producer, NO_SEQUENCE, broker.now_ms())?;
    if guard != ottla_log::VerificationGuard::NONE {
        let partitions = vec![TopicPartition::new(OFFSETS_TOPIC, partition)];
        let errors = confirm(broker, &producer, partitions).await;
        if let Some(error) = errors.into_values().next() {
            return Err(match error {
                // What the clients of this API ask again after.
                ErrorCode::NetworkException | ErrorCode::NotEnoughReplicas => {
                    ErrorCode::CoordinatorLoadInProgress
                }
                error => error,
            });
        }
    }
    Ok(CoordinatorAppend { guard, ..CoordinatorAppend::default() })
}

fn respond(context: &Context, answers: Vec<CommitTopicAnswer>) -> TxnOffsetCommitResponse {
    let mut response = TxnOffsetCommitResponse::default();
    for answer in answers {
        let partitions = answer.partitions.into_iter().map(|(partition_index, error)| {
            let error = match error {
                ErrorCode::CoordinatorLoadInProgress if context.version < LOAD_IN_PROGRESS_VERSION => {
                    ErrorCode::CoordinatorNotAvailable
                }
                error => error,
            };
            TxnOffsetCommitResponsePartition { partition_index, error_code: error.code(), ..Default::default() }
        });
        match response.topics.iter_mut().find(|topic| topic.name == answer.name) {
            Some(topic) => topic.partitions.extend(partitions),
            None => response.topics.push(TxnOffsetCommitResponseTopic {
                name: answer.name,
                partitions: partitions.collect(),
                ..Default::default()
            }),
        }
    }
    response
}
