//! Partitions that join a transaction, and the question whether they have.
//!
//! Invariant: a partition is part of a transaction once the record that says so is committed, so that the markers
//! reach it whoever coordinates. Called by the shell, for clients and for the brokers that lead the partitions.

use ottla_protocol::ErrorCode;
use ottla_protocol::ids::TopicPartition;

use super::answer::Answer;
use super::coordinator::{Transaction, TransactionCoordinator};
use super::error::TransactionError;
use super::in_flight::Then;
use super::metadata::TransactionState;
use super::request::AddPartitions;
use crate::request::Token;

impl TransactionCoordinator {
    pub fn handle_add_partitions(&mut self, now_ms: i64, token: Token, request: &AddPartitions) {
        match self.add_partitions(now_ms, token, request) {
            Ok(Added::OnTheWay) => {}
            Ok(Added::Before) => self.respond(token, Answer::AddPartitions(ErrorCode::None)),
            Err(error) => self.respond(token, Answer::AddPartitions(error.code())),
        }
    }

    fn add_partitions(
        &mut self,
        now_ms: i64,
        token: Token,
        request: &AddPartitions,
    ) -> Result<Added, TransactionError> {
        let (id, transaction) = self.known(&request.transactional_id)?;
        // The first question: a change under way may be to the producer id that the caller has already.
        if transaction.is_changing {
            return Err(TransactionError::Concurrent);
        }
        check_producer(transaction, request.producer_id, request.producer_epoch)?;
        let metadata = &transaction.metadata;
        if metadata.state.is_prepare() {
            return Err(TransactionError::Concurrent);
        }
        let mut partitions = request.partitions.iter();
        if metadata.state == TransactionState::Ongoing
            && partitions.all(|added| metadata.partitions.contains(&added.topic, added.partition))
        {
            return Ok(Added::Before);
        }
        let next = metadata.with_partitions(&request.partitions, request.client_version, now_ms);
        self.append_step(&id, next, Then::AnswerAdd(token));
        Ok(Added::OnTheWay)
    }

    /// Whether the partitions belong to the producer's transaction; an error for each that does not.
    ///
    /// Asked by the leader of a partition before it takes a transaction's first records, so that none is ever
    /// left open without a coordinator that knows of it.
    pub fn verify_partitions(
        &self,
        transactional_id: &str,
        producer_id: i64,
        producer_epoch: i16,
        partitions: &[TopicPartition],
    ) -> Vec<ErrorCode> {
        let transaction = match self.verified(transactional_id, producer_id, producer_epoch) {
            Ok(transaction) => transaction,
            Err(error) => return vec![error.code(); partitions.len()],
        };
        let each = partitions
            .iter()
            .map(|TopicPartition { topic, partition }| {
                match transaction.metadata.partitions.contains(topic, *partition) {
                    true => ErrorCode::None,
                    false => ErrorCode::TransactionAbortable,
                }
            });
        each.collect()
    }

    /// What is under way does not count: the partition checks again when it appends.
    fn verified(
        &self,
        transactional_id: &str,
        producer_id: i64,
        producer_epoch: i16,
    ) -> Result<&Transaction, TransactionError> {
        let (_, transaction) = self.known(transactional_id)?;
        check_producer(transaction, producer_id, producer_epoch)?;
        match transaction.metadata.state.is_prepare() {
            true => Err(TransactionError::Concurrent),
            false => Ok(transaction),
        }
    }

    pub(crate) fn known(
        &self,
        transactional_id: &str,
    ) -> Result<(ottla_protocol::Str, &Transaction), TransactionError> {
        if transactional_id.is_empty() {
            return Err(TransactionError::EmptyTransactionalId);
        }
        match self.transactions.get_key_value(transactional_id) {
            Some((id, transaction)) => Ok((id.clone(), transaction)),
            None => Err(TransactionError::InvalidProducerIdMapping),
        }
    }
}

enum Added {
    Before,
    OnTheWay,
}

fn check_producer(
    transaction: &Transaction,
    producer_id: i64,
    producer_epoch: i16,
) -> Result<(), TransactionError> {
    if transaction.metadata.producer_id != producer_id {
        Err(TransactionError::InvalidProducerIdMapping)
    } else if transaction.metadata.producer_epoch != producer_epoch {
        Err(TransactionError::ProducerFenced)
    } else {
        Ok(())
    }
}
