//! Before a transaction's first records go into a partition, its coordinator says that the partition is part of it
//! (KIP-890), so that no transaction is left open that nobody will end.
//!
//! Invariant: a partition takes the first records of a transaction only with the guard that it gave out before the
//! coordinator was asked. Called by Produce and TxnOffsetCommit.

use std::collections::HashMap;
use std::time::Duration;

use ottla_coordinator::transaction::{AddPartitions, Answer};
use ottla_log::{Log, ProducerError, VerificationGuard};
use ottla_protocol::ids::TopicPartition;
use ottla_protocol::{ErrorCode, Str};
use tokio::time::Instant;

use crate::broker::Broker;

/// What a producer of `transaction.version` 2 implies.
const EPOCH_BUMP_VERSION: i16 = 2;

/// What the version of a request says about its client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Client {
    /// Knows nothing of TRANSACTION_ABORTABLE.
    Old,
    KnowsAbortable,
    /// Leaves it to the broker to add partitions to its transactions.
    AddsImplicitly,
}

impl Client {
    pub fn of_produce(version: i16) -> Self {
        match version {
            12.. => Self::AddsImplicitly,
            11 => Self::KnowsAbortable,
            _ => Self::Old,
        }
    }

    pub fn of_offset_commit(version: i16) -> Self {
        match version {
            5.. => Self::AddsImplicitly,
            4 => Self::KnowsAbortable,
            _ => Self::Old,
        }
    }
}

#[derive(Debug, Clone)]
pub struct Producer {
    pub transactional_id: Str,
    pub producer_id: i64,
    pub producer_epoch: i16,
    pub client: Client,
}

/// Asks a partition for its guard; `NONE` where nothing is to be asked.
pub fn start(
    log: &Log,
    producer: &Producer,
    sequence: i32,
    now_ms: i64,
) -> Result<VerificationGuard, ErrorCode> {
    let adds = producer.client == Client::AddsImplicitly;
    if !adds && !log.config().is_transaction_verified {
        return Ok(VerificationGuard::NONE);
    }
    let (id, epoch) = (producer.producer_id, producer.producer_epoch);
    let guard = log.start_verification(id, epoch, sequence, adds, now_ms);
    guard.map_err(|error| match error {
        ProducerError::InvalidEpoch { .. } => ErrorCode::InvalidProducerEpoch,
        _ => ErrorCode::InvalidTxnState,
    })
}

/// Has the coordinator confirm, or make, the partitions part of the transaction. Returns the errors of those that
/// are not, in the words of the coordinator but for what producers would not understand.
pub async fn confirm(
    broker: &Broker,
    producer: &Producer,
    partitions: Vec<TopicPartition>,
) -> HashMap<TopicPartition, ErrorCode> {
    let errors = if producer.client == Client::AddsImplicitly {
        let error = add(broker, producer, &partitions).await;
        vec![error; partitions.len()]
    } else {
        verify(broker, producer, &partitions)
    };
    let each = partitions.into_iter().zip(errors);
    each.filter(|(_, error)| *error != ErrorCode::None)
        .map(|(partition, error)| (partition, translate(error, producer.client)))
        .collect()
}

fn verify(broker: &Broker, producer: &Producer, partitions: &[TopicPartition]) -> Vec<ErrorCode> {
    let (id, epoch) = (producer.producer_id, producer.producer_epoch);
    let transactional_id = &producer.transactional_id;
    let verified = broker.transactions.look(transactional_id, |machine| {
        machine.verify_partitions(transactional_id, id, epoch, partitions)
    });
    verified.unwrap_or_else(|error| vec![error; partitions.len()])
}

async fn add(broker: &Broker, producer: &Producer, partitions: &[TopicPartition]) -> ErrorCode {
    let request = AddPartitions {
        transactional_id: producer.transactional_id.clone(),
        producer_id: producer.producer_id,
        producer_epoch: producer.producer_epoch,
        partitions: partitions.to_vec(),
        client_version: EPOCH_BUMP_VERSION,
    };
    let config = broker.config();
    let backoff = Duration::from_millis(config.transaction.add_partitions_retry_backoff_ms);
    let deadline =
        Instant::now() + Duration::from_millis(config.transaction.add_partitions_retry_ms_max);
    loop {
        let answer =
            broker
                .transactions
                .call(&request.transactional_id, |machine, now_ms, token| {
                    machine.handle_add_partitions(now_ms, token, &request);
                });
        let error = match answer.await {
            Ok(Answer::AddPartitions(error)) | Err(error) => error,
            Ok(_) => ErrorCode::UnknownServerError,
        };
        if error != ErrorCode::ConcurrentTransactions || Instant::now() >= deadline {
            return error;
        }
        tokio::time::sleep(backoff).await;
    }
}

fn translate(error: ErrorCode, client: Client) -> ErrorCode {
    match error {
        ErrorCode::ProducerFenced => ErrorCode::InvalidProducerEpoch,
        ErrorCode::TransactionAbortable if client == Client::Old => ErrorCode::InvalidTxnState,
        error => error,
    }
}

/// What a produce request's client is told: an error that makes it ask again, where it may.
pub fn produce_error(error: ErrorCode, client: Client) -> ErrorCode {
    match error {
        ErrorCode::NetworkException
        | ErrorCode::CoordinatorLoadInProgress
        | ErrorCode::CoordinatorNotAvailable
        | ErrorCode::NotCoordinator => ErrorCode::NotEnoughReplicas,
        ErrorCode::ConcurrentTransactions if client != Client::AddsImplicitly => {
            ErrorCode::NotEnoughReplicas
        }
        error => error,
    }
}
