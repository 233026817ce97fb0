//! Produce: appends each partition's batch, and answers when the replicas that `acks` asks for have it.
//!
//! Step 3 of the produce path; `partition/append.rs` is next. Every append happens before the first await, so
//! the requests of one connection reach the log in the order in which they were sent.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::join_all;
use ottla_log::VerificationGuard;
use ottla_net::Outcome;
use ottla_protocol::ids::TopicPartition;
use ottla_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use ottla_protocol::messages::produce_response::{
    BatchIndexAndErrorMessage, PartitionProduceResponse, TopicProduceResponse,
};
use ottla_protocol::messages::{ProduceRequest, ProduceResponse};
use ottla_protocol::{ApiKey, ErrorCode, Records, Str};
use ottla_records::{RawBatch, batches};
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::{Context, reply};
use crate::partition::Partition;
use crate::partition::append::{AppendFailure, Appended};
use crate::topics::{Maps, Topic};
use crate::transactions::verification::{Client, Producer, confirm, produce_error, start};

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
    let timeout_ms = request.timeout_ms.max(0) as u64;
    let mut pending = Vec::new();
    let mut response = if request.transactional_id.is_some() {
        let _turn = context.connection.transactional_produce.lock().await;
        match verify(context, &request).await {
            Ok(verified) => append_all(context, request, &verified, &mut pending),
            Err(error) => refuse_all(request, error),
        }
    } else if has_transactional_records(&request) {
        // To whom they belong is not said, so nobody may have allowed it.
        refuse_all(request, ErrorCode::TransactionalIdAuthorizationFailed)
    } else {
        append_all(context, request, &Verified::default(), &mut pending)
    };
    if !pending.is_empty() {
        let deadline = Instant::now() + Duration::from_millis(timeout_ms);
        let waits = pending
            .iter()
            .map(|wait| wait.replica.acknowledged(&wait.appended, acks, deadline));
        // All at once, so that their logs are synced side by side.
        for (wait, result) in pending.iter().zip(join_all(waits).await) {
            if let Err(error) = result {
                let answer =
                    &mut response.responses[wait.topic].partition_responses[wait.partition];
                *answer = failed(answer.index, error.into());
            }
        }
    }
    if context.broker.logs.pressure().is_held() {
        released(context).await;
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

/// Completes when the disk has caught up with what was written: an answer that comes later slows its producer down.
async fn released(context: &Context) {
    let (sender, receiver) = oneshot::channel();
    context.broker.logs.pressure().when_released(move || {
        // The receiver may be gone with its connection.
        let _ = sender.send(());
    });
    // A sender that is dropped unsent belongs to a broker that stops.
    let _ = receiver.await;
}

/// What stands between a transaction's batches and their partitions, by index of topic and partition in the request.
#[derive(Default)]
struct Verified(HashMap<(usize, usize), Result<VerificationGuard, ErrorCode>>);

impl Verified {
    fn guard(&self, topic: usize, partition: usize) -> Result<VerificationGuard, ErrorCode> {
        self.0
            .get(&(topic, partition))
            .copied()
            .unwrap_or(Ok(VerificationGuard::NONE))
    }
}

fn has_transactional_records(request: &ProduceRequest) -> bool {
    let mut all = request
        .topic_data
        .iter()
        .flat_map(|topic| &topic.partition_data);
    all.any(|data| first_batch(data).is_some_and(|batch| batch.is_transactional()))
}

fn first_batch(data: &PartitionProduceData) -> Option<RawBatch<'_>> {
    match &data.records {
        Some(Records::Bytes(bytes)) => batches(bytes).next()?.ok(),
        Some(Records::External { .. }) | None => None,
    }
}

/// Sees to it that the partitions belong to the producer's transaction; records of two producers are refused whole.
async fn verify(context: &Context, request: &ProduceRequest) -> Result<Verified, ErrorCode> {
    let broker = &context.broker;
    let mut verified = Verified::default();
    let Some(transactional_id) = &request.transactional_id else {
        return Ok(verified);
    };
    let client = Client::of_produce(context.version);
    let mut first_producer: Option<Producer> = None;
    let mut asked = Vec::new();
    let topics = broker.topics.view();
    for (topic_at, topic) in request.topic_data.iter().enumerate() {
        let found = find(&topics, context.version, topic);
        for (partition_at, data) in topic.partition_data.iter().enumerate() {
            let Ok(Some(replica)) = found.as_ref().map(|topic| topic.partition(data.index)) else {
                continue;
            };
            let Some(batch) = first_batch(data) else {
                continue;
            };
            if !batch.is_transactional() || !batch.has_producer_id() {
                continue;
            }
            let producer = first_producer.get_or_insert_with(|| Producer {
                transactional_id: transactional_id.clone(),
                producer_id: batch.producer_id(),
                producer_epoch: batch.producer_epoch(),
                client,
            });
            let place = (topic_at, partition_at);
            if (producer.producer_id, producer.producer_epoch)
                != (batch.producer_id(), batch.producer_epoch())
            {
                return Err(ErrorCode::InvalidProducerIdMapping);
            }
            let guard = start(
                &replica.log,
                producer,
                batch.base_sequence(),
                broker.now_ms(),
            );
            if guard.is_ok_and(|guard| guard != VerificationGuard::NONE) {
                asked.push((
                    place,
                    TopicPartition::new(replica.topic.clone(), data.index),
                ));
            }
            verified.0.insert(place, guard);
        }
    }
    drop(topics);
    if let Some(producer) = first_producer.filter(|_| !asked.is_empty()) {
        let partitions = asked
            .iter()
            .map(|(_, partition)| partition.clone())
            .collect();
        let errors = confirm(broker, &producer, partitions).await;
        for (place, partition) in asked {
            if let Some(error) = errors.get(&partition) {
                verified.0.insert(place, Err(produce_error(*error, client)));
            }
        }
    }
    Ok(verified)
}

fn find<'a>(
    topics: &'a Maps,
    version: i16,
    topic: &TopicProduceData,
) -> Result<&'a Arc<Topic>, ErrorCode> {
    if version >= TOPIC_ID_VERSION {
        topics
            .by_id(&topic.topic_id)
            .ok_or(ErrorCode::UnknownTopicId)
    } else {
        topics
            .by_name(&topic.name)
            .ok_or(ErrorCode::UnknownTopicOrPartition)
    }
}

/// The same error for every partition.
fn refuse_all(request: ProduceRequest, error: ErrorCode) -> ProduceResponse {
    let responses = request
        .topic_data
        .into_iter()
        .map(|topic| TopicProduceResponse {
            partition_responses: topic
                .partition_data
                .iter()
                .map(|data| failed(data.index, error.into()))
                .collect(),
            name: topic.name,
            topic_id: topic.topic_id,
            ..Default::default()
        });
    ProduceResponse {
        responses: responses.collect(),
        ..Default::default()
    }
}

/// Appends what can be appended; lists in `pending` what must wait for more than the page cache.
fn append_all(
    context: &Context,
    request: ProduceRequest,
    verified: &Verified,
    pending: &mut Vec<Pending>,
) -> ProduceResponse {
    let acks = request.acks;
    let refusal = (!(-1..=1).contains(&acks)).then_some(ErrorCode::InvalidRequiredAcks);
    let mut responses = Vec::with_capacity(request.topic_data.len());
    let topics = context.broker.topics.view();
    for topic in request.topic_data {
        let found = match refusal {
            Some(error) => Err(error),
            None => find(&topics, context.version, &topic),
        };
        let mut answers = Vec::with_capacity(topic.partition_data.len());
        for data in topic.partition_data {
            let index = data.index;
            let outcome = match &found {
                Ok(topic) => match verified.guard(responses.len(), answers.len()) {
                    Ok(guard) => append(context, topic, data, acks, guard),
                    Err(error) => Err(error.into()),
                },
                Err(error) => Err((*error).into()),
            };
            answers.push(match outcome {
                Err(failure) => failed(index, failure),
                Ok((appended, waits_for)) => {
                    pending.extend(waits_for.map(|replica| Pending {
                        topic: responses.len(),
                        partition: answers.len(),
                        replica,
                        appended,
                    }));
                    succeeded(index, &appended)
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

/// Appends one partition's batch; returns the partition, too, if the answer has to wait for it.
fn append(
    context: &Context,
    topic: &Topic,
    data: PartitionProduceData,
    acks: i16,
    guard: VerificationGuard,
) -> Result<(Appended, Option<Arc<Partition>>), AppendFailure> {
    if topic.is_internal() && context.client_id.as_deref() != Some(ADMIN_CLIENT_ID) {
        return Err(ErrorCode::InvalidTopicException.into());
    }
    let partitions = topic.view();
    let replica = usize::try_from(data.index)
        .ok()
        .and_then(|index| partitions.get(index)?.as_ref())
        .ok_or_else(|| context.broker.why_missing(&topic.name, data.index))?;
    let records = match data.records {
        Some(Records::Bytes(bytes)) => bytes,
        // Only an answer holds records that are elsewhere; an absent set is refused as an empty one is.
        Some(Records::External { .. }) | None => Bytes::new(),
    };
    let appended = replica.append_from_client(
        &records,
        acks,
        context.version,
        guard,
        context.broker.now_ms(),
    )?;
    let waits_for = replica
        .must_wait(&appended, acks)
        .then(|| Arc::clone(replica));
    Ok((appended, waits_for))
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
