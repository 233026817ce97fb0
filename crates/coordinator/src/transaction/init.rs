//! InitProducerId of a transactional id: a producer takes it over, or comes back to it.
//!
//! Invariant: whoever is answered with an epoch is the only one who has it. Called by the shell.

use ottla_protocol::{ErrorCode, Str};

use super::answer::{Answer, ProducerAnswer};
use super::coordinator::{Transaction, TransactionCoordinator};
use super::error::TransactionError;
use super::in_flight::{Ender, Then};
use super::metadata::{
    Metadata, NO_PRODUCER_EPOCH, NO_TIMEOUT_MS, TransactionState, is_epoch_exhausted,
};
use super::request::{InitProducerId, ProducerIds};
use crate::request::Token;

impl TransactionCoordinator {
    pub fn handle_init_producer_id(
        &mut self,
        now_ms: i64,
        token: Token,
        request: &InitProducerId,
        ids: &mut dyn ProducerIds,
    ) {
        if let Err(error) = self.init_producer_id(now_ms, token, request, ids) {
            let answer = ProducerAnswer::error(error.code());
            self.respond(token, Answer::InitProducerId(answer));
        }
    }

    fn init_producer_id(
        &mut self,
        now_ms: i64,
        token: Token,
        request: &InitProducerId,
        ids: &mut dyn ProducerIds,
    ) -> Result<(), TransactionError> {
        let timeout_ms = self.allowed_timeout_ms(request)?;
        let id = &request.transactional_id;
        let Some(transaction) = self.transactions.get(id) else {
            return self.create(now_ms, token, id, timeout_ms, ids);
        };
        let metadata = &transaction.metadata;
        if transaction.is_changing {
            return Err(TransactionError::Concurrent);
        }
        if request
            .current
            .is_some_and(|current| !is_known_producer(metadata, current))
        {
            return Err(TransactionError::ProducerFenced);
        }
        let id = id.clone();
        match metadata.state {
            TransactionState::PrepareCommit | TransactionState::PrepareAbort => {
                Err(TransactionError::Concurrent)
            }
            TransactionState::Ongoing => self.fence(now_ms, &id, Ender::Init(token), ids),
            TransactionState::Empty
            | TransactionState::CompleteCommit
            | TransactionState::CompleteAbort => {
                let current_epoch = request.current.map(|(_, epoch)| epoch);
                let next = next_producer(metadata, timeout_ms, current_epoch, now_ms, ids)?;
                self.append_step(&id, next, Then::AnswerInit(token));
                Ok(())
            }
        }
    }

    fn allowed_timeout_ms(&self, request: &InitProducerId) -> Result<i32, TransactionError> {
        if request.transactional_id.is_empty() {
            return Err(TransactionError::EmptyTransactionalId);
        }
        if request.enable_two_phase_commit && !self.config.two_phase_commit_enabled {
            return Err(TransactionError::TwoPhaseCommitDisabled);
        }
        if request.keep_prepared {
            return Err(TransactionError::KeepPreparedUnsupported);
        }
        if request.enable_two_phase_commit {
            return Ok(NO_TIMEOUT_MS);
        }
        if !(1..=self.config.max_timeout_ms).contains(&request.timeout_ms) {
            return Err(TransactionError::InvalidTimeout);
        }
        Ok(request.timeout_ms)
    }

    fn create(
        &mut self,
        now_ms: i64,
        token: Token,
        transactional_id: &Str,
        timeout_ms: i32,
        ids: &mut dyn ProducerIds,
    ) -> Result<(), TransactionError> {
        if self.transactions.len() >= self.config.max_transactional_ids {
            return Err(TransactionError::TooManyTransactionalIds);
        }
        let producer_id = fresh_producer_id(ids)?;
        let born = Metadata::born(producer_id, timeout_ms, now_ms);
        let next = born.with_next_epoch(timeout_ms, None, now_ms)?;
        // Copied: the request's frame should not live as long as the id.
        let transactional_id = Str::from(&**transactional_id);
        self.transactions
            .insert(transactional_id.clone(), Transaction::new(born));
        self.append_step(&transactional_id, next, Then::AnswerInit(token));
        Ok(())
    }
}

pub(crate) fn fresh_producer_id(ids: &mut dyn ProducerIds) -> Result<i64, TransactionError> {
    let id: Result<i64, ErrorCode> = ids.next_producer_id();
    id.map_err(TransactionError::NoProducerId)
}

/// Whether a producer that says who it is has not been replaced since. Its epoch is compared later, save where the
/// id was exhausted and replaced, and the producer did not hear of it.
fn is_known_producer(metadata: &Metadata, (producer_id, epoch): (i64, i16)) -> bool {
    metadata.producer_epoch == NO_PRODUCER_EPOCH
        || producer_id == metadata.producer_id
        || (producer_id == metadata.previous_producer_id && is_epoch_exhausted(epoch))
}

fn next_producer(
    metadata: &Metadata,
    timeout_ms: i32,
    current_epoch: Option<i16>,
    now_ms: i64,
    ids: &mut dyn ProducerIds,
) -> Result<Metadata, TransactionError> {
    let is_current = current_epoch.is_none_or(|epoch| epoch == metadata.producer_epoch);
    if metadata.is_epoch_exhausted() && is_current {
        let producer_id = fresh_producer_id(ids)?;
        let is_recovery = current_epoch.is_some();
        return Ok(metadata.with_producer_id(producer_id, timeout_ms, is_recovery, now_ms));
    }
    metadata.with_next_epoch(timeout_ms, current_epoch, now_ms)
}
