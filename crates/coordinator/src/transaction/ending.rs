//! The way from a decision to its completion: markers for every partition, then the last record.
//!
//! Invariant: the last record is appended once no partition waits for its marker. A marker that fails for a passing
//! reason is written again; one that is refused because the producer or the coordinator has been replaced ends the
//! attempt, and whoever loads the partition next begins anew. Called by the coordinator when a decision is committed,
//! and by the shell with what became of the markers.

use ottla_protocol::{ErrorCode, Str};

use super::answer::{Answer, ProducerAnswer};
use super::config::{EPOCH_BUMP_VERSION, RETRY_BACKOFF_MS};
use super::coordinator::TransactionCoordinator;
use super::effect::{Effect, Marker, MarkerId, MarkerOutcome};
use super::in_flight::{Ender, Then};
use super::metadata::{Metadata, Partitions, TransactionState};

/// A transaction whose outcome is decided. The partitions that wait for their marker are those of its metadata.
#[derive(Debug)]
pub(crate) struct Ending {
    id: MarkerId,
    /// What the transaction is when all markers are written.
    completed: Metadata,
    /// Those that are to be written again at the next retry.
    again: Partitions,
    completion: Completion,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Completion {
    WaitsForMarkers,
    InFlight,
    Again,
    GivenUp,
}

impl Ending {
    pub fn completion_failed(&mut self) {
        self.completion = Completion::Again;
    }
}

impl TransactionCoordinator {
    /// The decision is committed: tells who waits for it, and writes the markers.
    pub(crate) fn start_ending(&mut self, now_ms: i64, transactional_id: &Str, ender: Ender) {
        let Some(completed) = self.note_ending(now_ms, transactional_id) else {
            return;
        };
        let answer = match ender {
            Ender::Producer {
                token,
                client_version,
            } => {
                let answer = if client_version >= EPOCH_BUMP_VERSION {
                    ProducerAnswer::ok(completed.0, completed.1)
                } else {
                    ProducerAnswer::error(ErrorCode::None)
                };
                Some((token, Answer::EndTransaction(answer)))
            }
            Ender::Init(token) => {
                let answer = ProducerAnswer::error(ErrorCode::ConcurrentTransactions);
                Some((token, Answer::InitProducerId(answer)))
            }
            Ender::Timeout => None,
        };
        if let Some((token, answer)) = answer {
            self.respond(token, answer);
        }
        self.continue_ending(transactional_id);
    }

    /// The decision was found in the log: writes the markers, again or for the first time.
    pub(crate) fn resume_ending(&mut self, now_ms: i64, transactional_id: &Str) {
        self.note_ending(now_ms, transactional_id);
        self.continue_ending(transactional_id);
    }

    /// Every partition waits for its marker; returns the producer id and epoch of the time after.
    fn note_ending(&mut self, now_ms: i64, transactional_id: &Str) -> Option<(i64, i16)> {
        let id = self.next_marker_id();
        let transaction = self.transactions.get_mut(transactional_id)?;
        transaction.has_failed_fence = false;
        transaction.is_changing = true;
        let completed = transaction.metadata.completed(now_ms);
        let producer = (completed.producer_id, completed.producer_epoch);
        transaction.ending = Some(Ending {
            id,
            completed,
            again: transaction.metadata.partitions.clone(),
            completion: Completion::WaitsForMarkers,
        });
        Some(producer)
    }

    /// What became of the marker in one partition.
    pub fn handle_marker_outcome(
        &mut self,
        now_ms: i64,
        id: MarkerId,
        transactional_id: &str,
        (topic, partition): (&str, i32),
        outcome: MarkerOutcome,
    ) {
        let Some((transactional_id, transaction)) =
            self.transactions.get_key_value(transactional_id)
        else {
            return;
        };
        let transactional_id = transactional_id.clone();
        let is_awaited = transaction.ending.as_ref().is_some_and(|ending| {
            ending.id == id && ending.completion == Completion::WaitsForMarkers
        });
        if !is_awaited || !transaction.metadata.partitions.contains(topic, partition) {
            return;
        }
        let verdict = Verdict::of(outcome);
        if !matches!(outcome, MarkerOutcome::Answered(ErrorCode::None)) {
            tracing::info!(%transactional_id, topic, partition, ?outcome, ?verdict, "marker not written");
        }
        let Some(transaction) = self.transactions.get_mut(&transactional_id) else {
            return;
        };
        let Some(ending) = &mut transaction.ending else {
            return;
        };
        match verdict {
            Verdict::Written => {
                transaction.metadata.partitions.remove(topic, partition);
                if transaction.metadata.partitions.is_empty() {
                    self.continue_ending(&transactional_id);
                }
            }
            Verdict::Again => {
                ending.again.insert(topic, partition);
                self.schedule_retry(now_ms, &transactional_id);
            }
            Verdict::GiveUp => {
                ending.completion = Completion::GivenUp;
                ending.again = Partitions::default();
            }
        }
    }

    pub(crate) fn retry_endings(&mut self, now_ms: i64) {
        while self
            .retries
            .first()
            .is_some_and(|(at_ms, _)| *at_ms <= now_ms)
        {
            if let Some((_, transactional_id)) = self.retries.pop_first() {
                self.continue_ending(&transactional_id);
            }
        }
    }

    pub(crate) fn schedule_retry(&mut self, now_ms: i64, transactional_id: &Str) {
        let at_ms = now_ms.saturating_add(RETRY_BACKOFF_MS);
        self.retries.insert((at_ms, transactional_id.clone()));
    }

    /// Writes the markers that are to be written, or the last record when all are.
    fn continue_ending(&mut self, transactional_id: &Str) {
        let Some(transaction) = self.transactions.get_mut(transactional_id) else {
            return;
        };
        let metadata = &transaction.metadata;
        let Some(ending) = &mut transaction.ending else {
            return;
        };
        match ending.completion {
            Completion::InFlight | Completion::GivenUp => return,
            Completion::WaitsForMarkers | Completion::Again => {}
        }
        if metadata.partitions.is_empty() {
            ending.completion = Completion::InFlight;
            let completed = ending.completed.clone();
            return self.append_step(transactional_id, completed, Then::Nothing);
        }
        let partitions = std::mem::take(&mut ending.again);
        if partitions.is_empty() {
            return;
        }
        let marker = Marker {
            id: ending.id,
            transactional_id: transactional_id.clone(),
            producer_id: metadata.producer_id,
            producer_epoch: metadata.producer_epoch,
            coordinator_epoch: self.coordinator_epoch,
            committed: metadata.state == TransactionState::PrepareCommit,
            transaction_version: metadata.client_version,
            partitions,
        };
        self.effects.push_back(Effect::WriteMarkers(marker));
    }
}

/// What an outcome means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Written,
    Again,
    GiveUp,
}

impl Verdict {
    fn of(outcome: MarkerOutcome) -> Self {
        match outcome {
            MarkerOutcome::NoSuchPartition => Self::Written,
            MarkerOutcome::Unreachable => Self::Again,
            MarkerOutcome::Answered(error) => match error {
                // The partition cannot hold transactions, so nothing of this one is in it.
                ErrorCode::None
                | ErrorCode::UnsupportedForMessageFormat
                | ErrorCode::UnsupportedVersion => Self::Written,
                ErrorCode::InvalidProducerEpoch | ErrorCode::TransactionCoordinatorFenced => {
                    Self::GiveUp
                }
                _ => Self::Again,
            },
        }
    }
}
