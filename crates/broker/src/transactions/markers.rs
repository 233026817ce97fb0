//! Writes the markers that end a transaction to the partitions that this broker leads.
//!
//! Invariant: a marker is reported as written once every in-sync replica has it. Called for this broker's own
//! coordinators, and by WriteTxnMarkers.

use std::time::Duration;

use ottla_coordinator::transaction::{Marker, MarkerOutcome};
use ottla_coordinator::{Answer, EndTransaction};
use ottla_protocol::ErrorCode;
use ottla_records::{EndTxnMarker, TransactionResult};
use tokio::time::Instant;

use crate::broker::Broker;
use crate::partition::append::CoordinatorAppend;
use crate::topics::OFFSETS_TOPIC;

/// `acks` that waits for all in-sync replicas.
const ACKS_ALL: i16 = -1;

/// The end of one producer's transaction.
#[derive(Debug, Clone, Copy)]
pub struct Ending {
    pub producer_id: i64,
    pub producer_epoch: i16,
    pub coordinator_epoch: i32,
    pub committed: bool,
    pub transaction_version: i16,
}

/// Writes a coordinator's marker through the partition's leader.
pub async fn send(broker: &Broker, marker: &Marker, topic: &str, partition: i32) -> MarkerOutcome {
    let image = broker.image();
    match image.partition(topic, partition) {
        None => return MarkerOutcome::NoSuchPartition,
        Some(registration) if registration.leader != Some(broker.node_id) => {
            return MarkerOutcome::Unreachable;
        }
        Some(_) => {}
    }
    let ending = Ending {
        producer_id: marker.producer_id,
        producer_epoch: marker.producer_epoch,
        coordinator_epoch: marker.coordinator_epoch,
        committed: marker.committed,
        transaction_version: marker.transaction_version,
    };
    MarkerOutcome::Answered(write(broker, ending, topic, partition).await)
}

/// Writes a marker to a partition that this broker leads.
pub async fn write(broker: &Broker, ending: Ending, topic: &str, partition: i32) -> ErrorCode {
    if topic == OFFSETS_TOPIC {
        return end_offsets(broker, ending, partition).await;
    }
    let Some(replica) = broker.topics.partition(topic, partition) else {
        return ErrorCode::UnknownTopicOrPartition;
    };
    let result = if ending.committed {
        TransactionResult::Commit
    } else {
        TransactionResult::Abort
    };
    let marker = EndTxnMarker {
        result,
        coordinator_epoch: ending.coordinator_epoch,
    };
    let now_ms = broker.now_ms();
    let batch = marker.to_batch(ending.producer_id, ending.producer_epoch, now_ms);
    let how = CoordinatorAppend {
        transaction_version: ending.transaction_version,
        ..CoordinatorAppend::default()
    };
    let appended = match replica.append_from_coordinator(&batch, how, now_ms) {
        Ok(appended) => appended,
        Err(failure) => return failure.code,
    };
    let deadline =
        Instant::now() + Duration::from_millis(broker.config().replication.request_timeout_ms);
    match replica.acknowledged(&appended, ACKS_ALL, deadline).await {
        Ok(()) => ErrorCode::None,
        Err(error) => error,
    }
}

/// Offsets that the transaction committed take effect, or are dropped, with the marker: their coordinator writes it.
async fn end_offsets(broker: &Broker, ending: Ending, partition: i32) -> ErrorCode {
    let how = CoordinatorAppend {
        transaction_version: ending.transaction_version,
        ..CoordinatorAppend::default()
    };
    let end = EndTransaction {
        producer_id: ending.producer_id,
        producer_epoch: ending.producer_epoch,
        coordinator_epoch: ending.coordinator_epoch,
        committed: ending.committed,
    };
    let answer = broker
        .groups
        .call_partition(partition, how, |machine, _now_ms, token| {
            machine.handle_end_transaction(token, end);
        });
    match answer.await {
        Ok(Answer::EndTransaction(error)) | Err(error) => match error {
            // Transaction coordinators know these only as a leader that is not ready.
            ErrorCode::CoordinatorNotAvailable
            | ErrorCode::CoordinatorLoadInProgress
            | ErrorCode::NotCoordinator => ErrorCode::NotLeaderOrFollower,
            error => error,
        },
        Ok(_) => ErrorCode::UnknownServerError,
    }
}
