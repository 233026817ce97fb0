//! The decision how a transaction ends: by its producer, by another one that fences it, or by its timeout.
//!
//! Invariant: a decision is never reversed. Called by the shell (EndTxn), by InitProducerId and by the timer.
//!
//! What a producer of `transaction.version` 2 is told outside of a transaction; the epoch it names tells whether it
//! repeats a request that was carried out (one below the current one) or asks anew (the current one):
//!
//! ```text
//!                  abort repeated    abort anew     commit repeated   commit anew
//! Empty            PRODUCER_FENCED   next epoch     PRODUCER_FENCED   INVALID_TXN_STATE
//! CompleteAbort    done              next epoch     INVALID_TXN_STATE INVALID_TXN_STATE
//! CompleteCommit   INVALID_TXN_STATE next epoch     done              INVALID_TXN_STATE
//! ```
//!
//! A producer of version 0 or 1 has the same epoch before and after: a complete transaction answers the outcome
//! that it had, anything else is INVALID_TXN_STATE.

use ottla_protocol::{ErrorCode, Str};

use super::answer::{Answer, ProducerAnswer};
use super::config::EPOCH_BUMP_VERSION;
use super::coordinator::{Transaction, TransactionCoordinator};
use super::error::TransactionError;
use super::in_flight::{Ender, Then};
use super::init::fresh_producer_id;
use super::metadata::{Metadata, NO_PRODUCER_EPOCH, NO_PRODUCER_ID, Prepare, TransactionState};
use super::request::{EndTransaction, ProducerIds};
use crate::request::Token;

/// What a request asks that may be carried out.
enum Decision {
    Prepare {
        is_without_partitions: bool,
    },
    /// It was carried out before.
    Done,
}

impl TransactionCoordinator {
    pub fn handle_end_transaction(
        &mut self,
        now_ms: i64,
        token: Token,
        request: &EndTransaction,
        ids: &mut dyn ProducerIds,
    ) {
        match self.end_transaction(now_ms, token, request, ids) {
            Ok(None) => {}
            Ok(Some(answer)) => self.respond(token, Answer::EndTransaction(answer)),
            Err(error) => {
                let answer = ProducerAnswer::error(error.code());
                self.respond(token, Answer::EndTransaction(answer));
            }
        }
    }

    fn end_transaction(
        &mut self,
        now_ms: i64,
        token: Token,
        request: &EndTransaction,
        ids: &mut dyn ProducerIds,
    ) -> Result<Option<ProducerAnswer>, TransactionError> {
        let (id, transaction) = self.known(&request.transactional_id)?;
        let bumps_epoch = request.client_version >= EPOCH_BUMP_VERSION;
        let decision = if bumps_epoch {
            decide_with_epoch_bump(transaction, request)?
        } else {
            decide(transaction, request)?
        };
        let metadata = &transaction.metadata;
        let is_without_partitions = match decision {
            Decision::Done if bumps_epoch => {
                let answer = ProducerAnswer::ok(metadata.producer_id, metadata.producer_epoch);
                return Ok(Some(answer));
            }
            Decision::Done => return Ok(Some(ProducerAnswer::error(ErrorCode::None))),
            Decision::Prepare {
                is_without_partitions,
            } => is_without_partitions,
        };
        let client_version = request.client_version;
        let prepare = Prepare {
            committed: request.committed,
            client_version,
            next_producer_id: next_producer_id(metadata, client_version, ids)?,
            is_without_partitions,
        };
        let next = metadata.prepared(prepare, now_ms);
        let ender = Ender::Producer {
            token,
            client_version,
        };
        self.append_step(&id, next, Then::WriteMarkers(ender));
        Ok(None)
    }

    /// Aborts the ongoing transaction on nobody's request but the coordinator's own, and bumps the epoch, so that its
    /// producer cannot go on.
    pub(crate) fn fence(
        &mut self,
        now_ms: i64,
        transactional_id: &Str,
        ender: Ender,
        ids: &mut dyn ProducerIds,
    ) -> Result<(), TransactionError> {
        let Some(transaction) = self.transactions.get_mut(transactional_id) else {
            return Err(TransactionError::InvalidProducerIdMapping);
        };
        let server_version = self.config.transaction_version;
        let metadata = &mut transaction.metadata;
        // Before anything changes: there may be none.
        let next_producer_id = next_producer_id(metadata, server_version, ids)?;
        let bumps_epoch = server_version >= EPOCH_BUMP_VERSION;
        if !bumps_epoch {
            // Ahead of the log, so that the producer is fenced even if the record does not get there.
            if !transaction.has_failed_fence {
                metadata.producer_epoch = metadata.producer_epoch.saturating_add(1);
            }
            metadata.last_producer_epoch = NO_PRODUCER_EPOCH;
            transaction.has_failed_fence = true;
        }
        let prepare = Prepare {
            committed: false,
            client_version: if bumps_epoch { server_version } else { 0 },
            next_producer_id,
            is_without_partitions: false,
        };
        let next = metadata.prepared(prepare, now_ms);
        self.append_step(transactional_id, next, Then::WriteMarkers(ender));
        Ok(())
    }

    pub(crate) fn abort_timed_out(&mut self, now_ms: i64, ids: &mut dyn ProducerIds) {
        let late = self.transactions.iter().filter(|(_, transaction)| {
            !transaction.is_changing && transaction.metadata.is_timed_out(now_ms)
        });
        let late: Vec<Str> = late.map(|(id, _)| id.clone()).collect();
        for transactional_id in late {
            match self.fence(now_ms, &transactional_id, Ender::Timeout, ids) {
                Ok(()) => {
                    tracing::info!(%transactional_id, "the transaction took too long and is aborted");
                }
                // The next look finds it again.
                Err(error) => {
                    tracing::warn!(%transactional_id, %error, "a transaction that took too long is not aborted yet");
                }
            }
        }
    }
}

/// A producer id that takes over after this transaction, if it uses up the last epoch.
fn next_producer_id(
    metadata: &Metadata,
    client_version: i16,
    ids: &mut dyn ProducerIds,
) -> Result<i64, TransactionError> {
    match client_version >= EPOCH_BUMP_VERSION && metadata.is_epoch_exhausted() {
        true => fresh_producer_id(ids),
        false => Ok(NO_PRODUCER_ID),
    }
}

fn decide(
    transaction: &Transaction,
    request: &EndTransaction,
) -> Result<Decision, TransactionError> {
    let metadata = &transaction.metadata;
    if metadata.producer_id != request.producer_id {
        return Err(TransactionError::InvalidProducerIdMapping);
    }
    if metadata.producer_epoch != request.producer_epoch {
        return Err(TransactionError::ProducerFenced);
    }
    if transaction.is_changing {
        return Err(TransactionError::Concurrent);
    }
    match (metadata.state, request.committed) {
        (TransactionState::Ongoing, _) => Ok(Decision::Prepare {
            is_without_partitions: false,
        }),
        (TransactionState::CompleteCommit, true) | (TransactionState::CompleteAbort, false) => {
            Ok(Decision::Done)
        }
        (TransactionState::PrepareCommit, true) | (TransactionState::PrepareAbort, false) => {
            Err(TransactionError::Concurrent)
        }
        _ => Err(invalid_state(metadata, request)),
    }
}

fn decide_with_epoch_bump(
    transaction: &Transaction,
    request: &EndTransaction,
) -> Result<Decision, TransactionError> {
    let metadata = &transaction.metadata;
    // The first question: the change may be to a new producer id, which is not in force yet.
    if transaction.is_changing {
        return Err(TransactionError::Concurrent);
    }
    let repeats_across_ids = metadata.previous_producer_id == request.producer_id
        && request.producer_epoch == i16::MAX - 1
        && metadata.producer_epoch == 0;
    let is_repeated_epoch = request.producer_epoch.checked_add(1) == Some(metadata.producer_epoch);
    if metadata.producer_id != request.producer_id && !repeats_across_ids {
        return Err(TransactionError::InvalidProducerIdMapping);
    }
    let is_current_epoch = metadata.producer_epoch == request.producer_epoch;
    let is_allowed_epoch = match metadata.state {
        TransactionState::Ongoing | TransactionState::Empty => is_current_epoch,
        TransactionState::PrepareCommit | TransactionState::PrepareAbort => is_repeated_epoch,
        TransactionState::CompleteCommit | TransactionState::CompleteAbort => {
            is_repeated_epoch || repeats_across_ids || is_current_epoch
        }
    };
    if !is_allowed_epoch {
        return Err(TransactionError::ProducerFenced);
    }
    let is_repeated = is_repeated_epoch || repeats_across_ids;
    match (metadata.state, request.committed) {
        (TransactionState::Ongoing, _) => Ok(Decision::Prepare {
            is_without_partitions: false,
        }),
        (TransactionState::CompleteCommit, true) | (TransactionState::CompleteAbort, false)
            if is_repeated =>
        {
            Ok(Decision::Done)
        }
        (TransactionState::CompleteCommit | TransactionState::CompleteAbort, false)
            if !is_repeated =>
        {
            Ok(Decision::Prepare {
                is_without_partitions: true,
            })
        }
        (TransactionState::Empty, false) => Ok(Decision::Prepare {
            is_without_partitions: true,
        }),
        (TransactionState::PrepareCommit, true) | (TransactionState::PrepareAbort, false) => {
            Err(TransactionError::Concurrent)
        }
        _ => Err(invalid_state(metadata, request)),
    }
}

fn invalid_state(metadata: &Metadata, request: &EndTransaction) -> TransactionError {
    tracing::info!(
        transactional_id = %request.transactional_id,
        state = metadata.state.name(),
        committed = request.committed,
        "a producer ends a transaction that is not in a state for it"
    );
    TransactionError::InvalidState
}
