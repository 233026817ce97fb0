//! Writes the markers that end a transaction to the partitions that this broker leads.
//!
//! A marker is written at once, under the coordinator's lock: where no replica and no disk is waited for, a
//! transaction is complete before the producer hears of its end, and its next one finds nothing under way. Locks are
//! taken in the order: transactions, groups, partition.
//!
//! Invariant: a marker is reported as written once every in-sync replica has it. Called for this broker's own
//! coordinators, and by WriteTxnMarkers.

use std::sync::{Arc, Weak};
use std::time::Duration;

use futures_util::future::join_all;
use ottla_coordinator::transaction::{Marker, MarkerOutcome, TransactionCoordinator};
use ottla_coordinator::{Answer, EndTransaction};
use ottla_protocol::{ErrorCode, Str};
use ottla_records::{EndTxnMarker, TransactionResult};
use tokio::sync::oneshot::{self, error::TryRecvError};
use tokio::time::Instant;

use crate::broker::Broker;
use crate::coordinators::shard::Shard;
use crate::partition::Partition;
use crate::partition::append::{Appended, CoordinatorAppend};
use crate::topics::OFFSETS_TOPIC;

/// `acks` that waits for all in-sync replicas.
const ACKS_ALL: i16 = -1;
/// Partitions whose markers are written under the coordinator's lock; those of a larger transaction are a task's
/// business, so that others do not wait for it.
const WRITTEN_AT_ONCE_MAX: usize = 64;

/// The end of one producer's transaction.
#[derive(Debug, Clone, Copy)]
pub struct Ending {
    pub producer_id: i64,
    pub producer_epoch: i16,
    pub coordinator_epoch: i32,
    pub committed: bool,
    pub transaction_version: i16,
}

/// How far the writing of a marker has come.
enum Written {
    Known(ErrorCode),
    /// In the log, but not acknowledged.
    InLog(Arc<Partition>, Appended),
    /// On its way through the coordinator of groups.
    Offsets(oneshot::Receiver<Answer>),
}

/// Writes a coordinator's marker through the leaders of its partitions, and reports what becomes of each.
pub fn send(
    machine: &mut TransactionCoordinator,
    marker: Marker,
    shard: &Shard<TransactionCoordinator>,
) {
    let Some(broker) = shard.outside().upgrade() else {
        return;
    };
    let mut later = Vec::new();
    for (index, (topic, partition)) in marker.partitions.iter().enumerate() {
        if index >= WRITTEN_AT_ONCE_MAX {
            later.push((topic.clone(), partition, None));
            continue;
        }
        let outcome = match begin_own(&broker, &marker, topic, partition) {
            Ok(Written::Known(error)) => MarkerOutcome::Answered(error),
            Ok(written) => {
                later.push((topic.clone(), partition, Some(written)));
                continue;
            }
            Err(outcome) => outcome,
        };
        let place = (&**topic, partition);
        report(machine, shard.now_ms(), &marker, place, outcome);
    }
    if !later.is_empty() {
        tokio::spawn(finish_later(broker, marker, shard.downgrade(), later));
    }
}

/// Waits for the markers that could not be reported at once, and writes those that were left.
async fn finish_later(
    broker: Arc<Broker>,
    marker: Marker,
    shard: Weak<Shard<TransactionCoordinator>>,
    later: Vec<(Str, i32, Option<Written>)>,
) {
    let (broker, marker, shard) = (&broker, &marker, &shard);
    let writes = later.into_iter().map(async |(topic, partition, written)| {
        let written = match written {
            Some(written) => Ok(written),
            None => begin_own(broker, marker, &topic, partition),
        };
        let outcome = match written {
            Ok(written) => MarkerOutcome::Answered(written.finish(broker).await),
            Err(outcome) => outcome,
        };
        if let Some(shard) = shard.upgrade() {
            let place = (&*topic, partition);
            shard.tell(|machine, now_ms| report(machine, now_ms, marker, place, outcome));
        }
    });
    join_all(writes).await;
}

fn report(
    machine: &mut TransactionCoordinator,
    now_ms: i64,
    marker: &Marker,
    place: (&str, i32),
    outcome: MarkerOutcome,
) {
    machine.handle_marker_outcome(now_ms, marker.id, &marker.transactional_id, place, outcome);
}

/// Begins to write a coordinator's marker, if this broker leads the partition.
fn begin_own(
    broker: &Broker,
    marker: &Marker,
    topic: &str,
    partition: i32,
) -> Result<Written, MarkerOutcome> {
    match broker.image().partition(topic, partition) {
        None => return Err(MarkerOutcome::NoSuchPartition),
        Some(registration) if registration.leader != Some(broker.node_id) => {
            return Err(MarkerOutcome::Unreachable);
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
    Ok(begin(broker, ending, topic, partition))
}

/// Writes a marker to a partition that this broker leads.
pub async fn write(broker: &Broker, ending: Ending, topic: &str, partition: i32) -> ErrorCode {
    begin(broker, ending, topic, partition).finish(broker).await
}

fn begin(broker: &Broker, ending: Ending, topic: &str, partition: i32) -> Written {
    if ending.producer_id < 0 {
        return Written::Known(ErrorCode::InvalidProducerIdMapping);
    }
    // No batch is of such an epoch, so there is nothing that it could end.
    if ending.producer_epoch < 0 {
        return Written::Known(ErrorCode::InvalidProducerEpoch);
    }
    if topic == OFFSETS_TOPIC {
        return begin_offsets(broker, ending, partition);
    }
    let Some(replica) = broker.topics.partition(topic, partition) else {
        return Written::Known(ErrorCode::UnknownTopicOrPartition);
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
    match replica.append_from_coordinator(&batch, how(ending), now_ms) {
        Ok(appended) if replica.must_wait(&appended, ACKS_ALL) => Written::InLog(replica, appended),
        Ok(_) => Written::Known(ErrorCode::None),
        Err(failure) => Written::Known(failure.code),
    }
}

/// Offsets that the transaction committed take effect, or are dropped, with the marker: their coordinator writes it.
fn begin_offsets(broker: &Broker, ending: Ending, partition: i32) -> Written {
    let end = EndTransaction {
        producer_id: ending.producer_id,
        producer_epoch: ending.producer_epoch,
        coordinator_epoch: ending.coordinator_epoch,
        committed: ending.committed,
    };
    let called = broker
        .groups
        .call_partition(partition, how(ending), |machine, _now_ms, token| {
            machine.handle_end_transaction(token, end);
        });
    match called {
        Ok(mut answer) => match answer.try_recv() {
            Ok(answer) => Written::Known(offsets_error(Ok(answer))),
            Err(TryRecvError::Empty) => Written::Offsets(answer),
            Err(TryRecvError::Closed) => {
                Written::Known(offsets_error(Err(ErrorCode::NotCoordinator)))
            }
        },
        Err(error) => Written::Known(offsets_error(Err(error))),
    }
}

fn how(ending: Ending) -> CoordinatorAppend {
    CoordinatorAppend {
        transaction_version: ending.transaction_version,
        ..CoordinatorAppend::default()
    }
}

impl Written {
    async fn finish(self, broker: &Broker) -> ErrorCode {
        match self {
            Self::Known(error) => error,
            Self::InLog(replica, appended) => {
                let timeout_ms = broker.config().replication.request_timeout_ms;
                let deadline = Instant::now() + Duration::from_millis(timeout_ms);
                let acknowledged = replica.acknowledged(&appended, ACKS_ALL, deadline).await;
                acknowledged.err().unwrap_or(ErrorCode::None)
            }
            Self::Offsets(answer) => {
                offsets_error(answer.await.map_err(|_| ErrorCode::NotCoordinator))
            }
        }
    }
}

fn offsets_error(answer: Result<Answer, ErrorCode>) -> ErrorCode {
    match answer {
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
