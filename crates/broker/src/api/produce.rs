//! Produce: appends each partition's batch, and answers when the replicas that `acks` asks for have it.
//!
//! Step 3 of the produce path; `partition/append.rs` is next. Every append happens before the first await, so
//! the requests of one connection reach the log in the order in which they were sent.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use ottla_net::Outcome;
use ottla_protocol::messages::produce_request::PartitionProduceData;
use ottla_protocol::messages::produce_response::{
    BatchIndexAndErrorMessage, PartitionProduceResponse, TopicProduceResponse,
};
use ottla_protocol::messages::{ProduceRequest, ProduceResponse};
use ottla_protocol::{ApiKey, ErrorCode, Records, Str};
use tokio::time::Instant;

use super::{Context, reply};
use crate::partition::Partition;
use crate::partition::append::{AppendFailure, Appended};
use crate::topics::Topic;

/// The client id with which Kafka's admin tools may write to internal topics.
const ADMIN_CLIENT_ID: &str = "__admin_client";
/// First version whose topics are named by id.
const TOPIC_ID_VERSION: i16 = 13;

/// An append that is in the log but may not be acknowledged yet.
struct Pending {
    topic: usize,
    partition: usize,
    replica: Arc<Partition>,
    appended: Appended,
}

pub async fn handle(context: &Context, request: ProduceRequest) -> Outcome {
    let acks = request.acks;
    let deadline = Instant::now() + Duration::from_millis(request.timeout_ms.max(0) as u64);
    let mut pending = Vec::new();
    let mut response = append_all(context, request, &mut pending);
    for Pending {
        topic,
        partition,
        replica,
        appended,
    } in pending
    {
        if let Err(error) = replica.acknowledged(&appended, acks, deadline).await {
            let answer = &mut response.responses[topic].partition_responses[partition];
            *answer = failed(answer.index, error.into());
        }
    }
    if acks != 0 {
        return reply(context, ApiKey::Produce, &response);
    }
    // A producer that wants no answers learns of an error by losing its connection.
    let mut answers = response
        .responses
        .iter()
        .flat_map(|topic| &topic.partition_responses);
    match answers.find(|answer| answer.error_code != ErrorCode::None.code()) {
        None => Outcome::NoReply,
        Some(answer) => {
            let error = ErrorCode::from_code(answer.error_code);
            Outcome::Close(format!("a produce with acks=0 failed: {}", error.message()).into())
        }
    }
}

/// Appends what can be appended; lists in `pending` what must wait for more than the page cache.
fn append_all(
    context: &Context,
    request: ProduceRequest,
    pending: &mut Vec<Pending>,
) -> ProduceResponse {
    let acks = request.acks;
    let refusal = (!(-1..=1).contains(&acks)).then_some(ErrorCode::InvalidRequiredAcks);
    let mut responses = Vec::with_capacity(request.topic_data.len());
    for topic in request.topic_data {
        let found = match refusal {
            Some(error) => Err(error),
            None if context.version >= TOPIC_ID_VERSION => context
                .broker
                .topics
                .by_id(&topic.topic_id)
                .ok_or(ErrorCode::UnknownTopicId),
            None => context
                .broker
                .topics
                .by_name(&topic.name)
                .ok_or(ErrorCode::UnknownTopicOrPartition),
        };
        let mut answers = Vec::with_capacity(topic.partition_data.len());
        for data in topic.partition_data {
            let index = data.index;
            let outcome = match &found {
                Ok(topic) => append(context, topic, data, acks),
                Err(error) => Err((*error).into()),
            };
            answers.push(match outcome {
                Err(failure) => failed(index, failure),
                Ok((replica, appended)) => {
                    let answer = succeeded(index, &appended);
                    if replica.must_wait(&appended, acks) {
                        let place = (responses.len(), answers.len());
                        pending.push(Pending {
                            topic: place.0,
                            partition: place.1,
                            replica,
                            appended,
                        });
                    }
                    answer
                }
            });
        }
        responses.push(TopicProduceResponse {
            name: topic.name,
            topic_id: topic.topic_id,
            partition_responses: answers,
            ..Default::default()
        });
    }
    ProduceResponse {
        responses,
        ..Default::default()
    }
}

fn append(
    context: &Context,
    topic: &Arc<Topic>,
    data: PartitionProduceData,
    acks: i16,
) -> Result<(Arc<Partition>, Appended), AppendFailure> {
    if topic.is_internal() && context.client_id.as_deref() != Some(ADMIN_CLIENT_ID) {
        return Err(ErrorCode::InvalidTopicException.into());
    }
    let replica = topic
        .partition(data.index)
        .ok_or(ErrorCode::UnknownTopicOrPartition)?;
    let records = match data.records {
        Some(Records::Bytes(bytes)) => bytes,
        // Only an answer holds records that are elsewhere; an absent set is refused as an empty one is.
        Some(Records::External { .. }) | None => Bytes::new(),
    };
    let appended =
        replica.append_from_client(&records, acks, context.version, context.broker.now_ms())?;
    Ok((replica, appended))
}

fn succeeded(index: i32, appended: &Appended) -> PartitionProduceResponse {
    PartitionProduceResponse {
        index,
        base_offset: appended.base_offset,
        log_append_time_ms: appended.log_append_time_ms,
        log_start_offset: appended.log_start_offset,
        ..Default::default()
    }
}

fn failed(index: i32, failure: AppendFailure) -> PartitionProduceResponse {
    let record_errors = failure
        .record_errors
        .into_iter()
        .map(|(batch_index, message)| BatchIndexAndErrorMessage {
            batch_index,
            batch_index_error_message: message.map(Str::from),
            ..Default::default()
        });
    PartitionProduceResponse {
        index,
        error_code: failure.code.code(),
        base_offset: -1,
        log_append_time_ms: -1,
        log_start_offset: failure.log_start_offset,
        record_errors: record_errors.collect(),
        error_message: failure.message.map(Str::from),
        ..Default::default()
    }
}
