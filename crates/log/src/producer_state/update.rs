//! Judging one producer's batches before they are written.
//!
//! Invariant: nothing here changes the state that the log keeps; an update that is dropped leaves no trace.
//! Called by append (as a client, a coordinator or a replica) and by replay.

use ottla_records::{NO_PRODUCER_EPOCH, NO_SEQUENCE};

use super::entry::{ProducerEntry, WrittenBatch};
use super::marker::EndTxnMarker;
use super::verification::Verification;
use crate::error::ProducerError;
use crate::scan::ScannedBatch;

/// The caller does not know which rules the transaction follows.
pub const TRANSACTION_VERSION_UNKNOWN: i16 = -1;
/// From this transaction version on, epochs are bumped after every transaction.
const TRANSACTION_VERSION_EPOCH_BUMP: i16 = 2;

/// Who appends, which decides what is checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AppendOrigin {
    /// A producer: sequences and epochs are checked.
    Client,
    /// A group or transaction coordinator: epochs are checked.
    Coordinator,
    /// A leader's batches, which were checked there.
    Replication,
}

/// A transaction whose marker is about to be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct CompletedTxn {
    pub producer_id: i64,
    pub first_offset: i64,
    /// The marker's offset.
    pub last_offset: i64,
    pub is_aborted: bool,
}

#[derive(Debug)]
pub(crate) struct ProducerUpdate {
    /// What was known before; its batches are not needed, only the last sequence.
    known_epoch: i16,
    known_last_sequence: i32,
    known_has_no_batches: bool,
    verification: Option<Verification>,
    origin: AppendOrigin,
    updated: ProducerEntry,
    started: Vec<i64>,
    touched_transaction: bool,
    last_was_marker: bool,
}

impl ProducerUpdate {
    pub fn new(
        producer_id: i64,
        known: Option<&ProducerEntry>,
        verification: Option<Verification>,
        origin: AppendOrigin,
    ) -> ProducerUpdate {
        let updated = known.map_or_else(
            || ProducerEntry::unknown(producer_id),
            ProducerEntry::without_batches,
        );
        ProducerUpdate {
            known_epoch: updated.producer_epoch,
            known_last_sequence: known.map_or(NO_SEQUENCE, ProducerEntry::last_sequence),
            known_has_no_batches: known.is_none_or(ProducerEntry::has_no_batches),
            verification,
            origin,
            updated,
            started: Vec::new(),
            touched_transaction: false,
            last_was_marker: false,
        }
    }

    pub fn producer_id(&self) -> i64 {
        self.updated.producer_id
    }

    pub fn producer_epoch(&self) -> i16 {
        self.updated.producer_epoch
    }

    /// First offsets of the transactions that began.
    pub fn started(&self) -> &[i64] {
        &self.started
    }

    pub fn touched_transaction(&self) -> bool {
        self.touched_transaction
    }

    pub fn last_was_marker(&self) -> bool {
        self.last_was_marker
    }

    pub fn into_entry(self) -> ProducerEntry {
        self.updated
    }

    /// Adds a batch; `marker` is what a control batch holds.
    ///
    /// A control batch without one had its records compacted away, and says nothing.
    pub fn append(
        &mut self,
        batch: &ScannedBatch,
        marker: Option<EndTxnMarker>,
        transaction_version: i16,
    ) -> Result<Option<CompletedTxn>, ProducerError> {
        self.touched_transaction |= batch.is_transactional;
        self.last_was_marker = batch.is_control;
        if !batch.is_control {
            self.append_data(batch)?;
            return Ok(None);
        }
        match marker {
            Some(marker) => self.append_marker(batch, marker, transaction_version),
            None => Ok(None),
        }
    }

    fn append_data(&mut self, batch: &ScannedBatch) -> Result<(), ProducerError> {
        self.check_epoch(batch, TRANSACTION_VERSION_UNKNOWN)?;
        if self.origin == AppendOrigin::Client {
            self.check_sequence(batch)?;
        }
        self.updated.add_batch(
            batch.producer_epoch,
            WrittenBatch {
                last_sequence: batch.last_sequence,
                last_offset: batch.last_offset,
                offset_delta: (batch.last_offset - batch.base_offset) as i32,
                timestamp: batch.max_timestamp,
            },
        );
        match (self.updated.txn_first_offset, batch.is_transactional) {
            (Some(_), false) => Err(ProducerError::InvalidTxnState {
                producer_id: batch.producer_id,
            }),
            (None, true) => {
                self.updated.txn_first_offset = Some(batch.base_offset);
                self.started.push(batch.base_offset);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn append_marker(
        &mut self,
        batch: &ScannedBatch,
        marker: EndTxnMarker,
        transaction_version: i16,
    ) -> Result<Option<CompletedTxn>, ProducerError> {
        self.check_epoch(batch, transaction_version)?;
        let current = self.updated.coordinator_epoch;
        if current > marker.coordinator_epoch && self.origin != AppendOrigin::Replication {
            return Err(ProducerError::CoordinatorFenced {
                producer_id: batch.producer_id,
                coordinator_epoch: marker.coordinator_epoch,
                current,
            });
        }
        // A marker of a transaction without data here completes nothing.
        let completed = self
            .updated
            .txn_first_offset
            .take()
            .map(|first_offset| CompletedTxn {
                producer_id: batch.producer_id,
                first_offset,
                last_offset: batch.base_offset,
                is_aborted: marker.is_abort,
            });
        self.updated.set_epoch(batch.producer_epoch);
        self.updated.coordinator_epoch = marker.coordinator_epoch;
        self.updated.last_timestamp = batch.max_timestamp;
        Ok(completed)
    }

    fn check_epoch(
        &self,
        batch: &ScannedBatch,
        transaction_version: i16,
    ) -> Result<(), ProducerError> {
        let current = self.updated.producer_epoch;
        let bumps = transaction_version >= TRANSACTION_VERSION_EPOCH_BUMP;
        let is_stale = if bumps {
            batch.producer_epoch <= current
        } else {
            batch.producer_epoch < current
        };
        if !is_stale || self.origin == AppendOrigin::Replication {
            return Ok(());
        }
        // A coordinator that did not see its marker written writes it again. Transactions may also have begun with the
        // last epoch there is, and must be able to end.
        let is_repeated = bumps
            && batch.producer_epoch == current
            && (self.updated.txn_first_offset.is_none() || batch.producer_epoch == i16::MAX);
        if is_repeated {
            return Ok(());
        }
        Err(ProducerError::InvalidEpoch {
            producer_id: batch.producer_id,
            producer_epoch: batch.producer_epoch,
            current,
        })
    }

    fn check_sequence(&self, batch: &ScannedBatch) -> Result<(), ProducerError> {
        let sequence = batch.base_sequence;
        let out_of_order = |expected| ProducerError::OutOfOrderSequence {
            producer_id: batch.producer_id,
            producer_epoch: batch.producer_epoch,
            sequence,
            expected,
        };
        if let Some(verification) = &self.verification {
            if verification.supports_epoch_bump && sequence != 0 && self.known_has_no_batches {
                return Err(out_of_order(0));
            }
            if sequence > verification.lowest_sequence() {
                return Err(out_of_order(verification.lowest_sequence()));
            }
        }
        if batch.producer_epoch != self.updated.producer_epoch {
            // An epoch begins at 0, unless nothing is known of the producer: retention may have taken its batches.
            let is_known = self.updated.producer_epoch != NO_PRODUCER_EPOCH;
            return if sequence != 0 && is_known {
                Err(out_of_order(0))
            } else {
                Ok(())
            };
        }
        if self.known_epoch == NO_PRODUCER_EPOCH && self.updated.has_no_batches() {
            return Ok(());
        }
        let last = if !self.updated.has_no_batches() {
            self.updated.last_sequence()
        } else if batch.producer_epoch == self.known_epoch {
            self.known_last_sequence
        } else {
            NO_SEQUENCE
        };
        let expected = if last == i32::MAX { 0 } else { last + 1 };
        if sequence == expected {
            Ok(())
        } else {
            Err(out_of_order(expected))
        }
    }
}
