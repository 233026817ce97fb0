//! What an administrator asks: one transaction, or which there are.
//!
//! Invariant: nothing changes. Called by the shell.

use ottla_protocol::Str;

use super::answer::{DescribedTransaction, ListedTransaction};
use super::coordinator::TransactionCoordinator;
use super::error::TransactionError;
use super::metadata::{Metadata, TransactionState};

/// States that admin clients may name, though no transaction is ever found in them.
const PASSING_STATES: [&str; 2] = ["Dead", "PrepareEpochFence"];

/// Filters of ListTransactions; an empty list lets everything pass.
#[derive(Clone, Copy, Default)]
pub struct ListTransactions<'a> {
    pub producer_ids: &'a [i64],
    pub states: &'a [Str],
    /// Only transactions that began longer ago than this; negative for all.
    pub longer_than_ms: i64,
    /// The pattern of transactional ids, compiled by the shell.
    pub is_match: Option<&'a dyn Fn(&str) -> bool>,
}

impl ListTransactions<'_> {
    /// Names among the states that are none.
    pub fn unknown_states(&self) -> Vec<Str> {
        let is_known = |name: &str| {
            PASSING_STATES.contains(&name)
                || TransactionState::ALL
                    .iter()
                    .any(|state| state.name() == name)
        };
        let unknown = self.states.iter().filter(|name| !is_known(name));
        unknown.cloned().collect()
    }

    fn lets_pass(&self, now_ms: i64, transactional_id: &str, metadata: &Metadata) -> bool {
        let is_state = |name: &Str| **name == *metadata.state.name();
        (self.producer_ids.is_empty() || self.producer_ids.contains(&metadata.producer_id))
            && (self.states.is_empty() || self.states.iter().any(is_state))
            && (self.longer_than_ms < 0 || now_ms - metadata.start_ms > self.longer_than_ms)
            && self
                .is_match
                .is_none_or(|is_match| is_match(transactional_id))
    }
}

impl TransactionCoordinator {
    pub fn describe(
        &self,
        transactional_id: &str,
    ) -> Result<DescribedTransaction, TransactionError> {
        if transactional_id.is_empty() {
            return Err(TransactionError::EmptyTransactionalId);
        }
        let (transactional_id, transaction) = self
            .transactions
            .get_key_value(transactional_id)
            .ok_or(TransactionError::NotFound)?;
        let metadata = &transaction.metadata;
        Ok(DescribedTransaction {
            transactional_id: transactional_id.clone(),
            state: metadata.state.name(),
            timeout_ms: metadata.timeout_ms,
            start_ms: metadata.start_ms,
            producer_id: metadata.producer_id,
            producer_epoch: metadata.producer_epoch,
            partitions: metadata.partitions.clone(),
        })
    }

    pub fn list(&self, now_ms: i64, filter: ListTransactions<'_>) -> Vec<ListedTransaction> {
        let passing = self
            .transactions
            .iter()
            .filter(|(id, transaction)| filter.lets_pass(now_ms, id, &transaction.metadata));
        let listed = passing.map(|(transactional_id, transaction)| ListedTransaction {
            transactional_id: transactional_id.clone(),
            producer_id: transaction.metadata.producer_id,
            state: transaction.metadata.state.name(),
        });
        listed.collect()
    }
}
