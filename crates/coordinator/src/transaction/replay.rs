//! State from records, when a partition is loaded.
//!
//! Invariant: the last record of a transactional id is all that is known of it; a transaction whose outcome was
//! decided goes on to its end. Called by the broker's shell.

use std::collections::BTreeMap;

use super::config::TransactionConfig;
use super::coordinator::{Transaction, TransactionCoordinator};
use super::records::{self, Record, RecordError};
use ottla_protocol::Str;

/// A machine that is being built from its partition's log; it serves nobody yet.
///
/// Until it is done the shell answers COORDINATOR_LOAD_IN_PROGRESS.
#[derive(Debug)]
pub struct TransactionLoader {
    config: TransactionConfig,
    transactions: BTreeMap<Str, Transaction>,
    unknown_records: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the transaction record at offset {offset} cannot be read: {source}")]
pub struct TransactionReplayError {
    pub offset: i64,
    pub source: RecordError,
}

impl TransactionLoader {
    pub fn new(config: TransactionConfig) -> Self {
        Self {
            config,
            transactions: BTreeMap::new(),
            unknown_records: 0,
        }
    }

    /// Takes the next record. After an error the record is left out, and loading may go on.
    pub fn replay(
        &mut self,
        offset: i64,
        key: &[u8],
        value: Option<&[u8]>,
    ) -> Result<(), TransactionReplayError> {
        let record = records::decode(key, value)
            .map_err(|source| TransactionReplayError { offset, source })?;
        match record {
            None => self.unknown_records += 1,
            Some(Record {
                transactional_id,
                metadata: Some(metadata),
            }) => {
                let transaction = Transaction::new(metadata);
                self.transactions.insert(transactional_id, transaction);
            }
            Some(Record {
                transactional_id,
                metadata: None,
            }) => {
                self.transactions.remove(&transactional_id);
            }
        }
        Ok(())
    }

    /// Records of kinds or versions that this version does not know, which were passed over.
    pub fn unknown_records(&self) -> u64 {
        self.unknown_records
    }

    /// The whole log is read; `coordinator_epoch` is the leader epoch of the partition.
    ///
    /// The machine has effects from the start if transactions wait for their markers.
    pub fn finish(self, now_ms: i64, coordinator_epoch: i32) -> TransactionCoordinator {
        let (config, transactions) = (self.config, self.transactions);
        TransactionCoordinator::start(config, transactions, now_ms, coordinator_epoch)
    }
}
