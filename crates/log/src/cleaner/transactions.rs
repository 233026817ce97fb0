//! Which transactions a cleaner has met on its way through a log, and so which batches and markers may go.
//!
//! | batch | transaction | verdict |
//! | --- | --- | --- |
//! | data | aborted | goes |
//! | data | committed, or none | its records are judged by key |
//! | marker | a data batch of the transaction was met | stays (an aborted one keeps its entry in the index) |
//! | marker | none was met | may go, once its delete horizon has passed |
//!
//! Invariant: a marker is let go only when no batch of its transaction was met, so that what is left of a transaction
//! reads as it did before.
//! Called by the cleaner for each batch, in offset order.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, HashSet};

use ottla_records::{ControlType, RawBatch, RecordError, RecordViews};

use crate::txn_index::AbortedTxn;

/// Records of a control batch, decompressed, at most: a marker takes a few dozen bytes.
const CONTROL_BYTES_MAX: usize = 64 << 10;

#[derive(Debug, Default)]
pub(crate) struct CleanedTransactions {
    /// By first offset; those that were reached are in `aborted`.
    ahead: BinaryHeap<Reverse<Ahead>>,
    aborted: HashMap<i64, Aborted>,
    /// Producers with data batches of a transaction that is not an aborted one.
    committed: HashSet<i64>,
}

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Ahead {
    first_offset: i64,
    last_offset: i64,
    last_stable_offset: i64,
    producer_id: i64,
}

#[derive(Debug)]
struct Aborted {
    txn: AbortedTxn,
    /// A data batch of it was met.
    has_data: bool,
}

/// What becomes of a control batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum MarkerVerdict {
    Keep,
    /// It stays, and its entry goes into the cleaned segment's transaction index.
    KeepAborted(AbortedTxn),
    /// Nothing needs it.
    MayGo,
}

impl CleanedTransactions {
    pub fn add_aborted(&mut self, aborted: &[AbortedTxn]) {
        self.ahead.extend(aborted.iter().map(|txn| {
            Reverse(Ahead {
                first_offset: txn.first_offset,
                last_offset: txn.last_offset,
                last_stable_offset: txn.last_stable_offset,
                producer_id: txn.producer_id,
            })
        }));
    }

    /// Takes note of a data batch. Returns whether it is part of an aborted transaction.
    pub fn on_data(&mut self, batch: &RawBatch<'_>) -> bool {
        self.reach(batch.last_offset());
        if !batch.is_transactional() {
            return false;
        }
        match self.aborted.get_mut(&batch.producer_id()) {
            Some(aborted) => {
                aborted.has_data = true;
                true
            }
            None => {
                self.committed.insert(batch.producer_id());
                false
            }
        }
    }

    /// Takes note of a control batch.
    pub fn on_control(&mut self, batch: &RawBatch<'_>) -> Result<MarkerVerdict, RecordError> {
        self.reach(batch.last_offset());
        let payload = batch.decompress(CONTROL_BYTES_MAX)?;
        let Some(record) = RecordViews::new(batch.header(), &payload)?.next() else {
            // Its record was cleaned away before.
            return Ok(MarkerVerdict::MayGo);
        };
        let control = record?
            .key
            .and_then(|key| ControlType::parse(key).ok())
            .flatten();
        Ok(match control {
            Some(ControlType::Abort) => match self.aborted.remove(&batch.producer_id()) {
                Some(aborted) if aborted.has_data => MarkerVerdict::KeepAborted(aborted.txn),
                _ => MarkerVerdict::MayGo,
            },
            Some(ControlType::Commit) if !self.committed.remove(&batch.producer_id()) => {
                MarkerVerdict::MayGo
            }
            _ => MarkerVerdict::Keep,
        })
    }

    fn reach(&mut self, offset: i64) {
        while let Some(Reverse(ahead)) = self.ahead.peek()
            && ahead.first_offset <= offset
        {
            let txn = AbortedTxn {
                producer_id: ahead.producer_id,
                first_offset: ahead.first_offset,
                last_offset: ahead.last_offset,
                last_stable_offset: ahead.last_stable_offset,
            };
            self.ahead.pop();
            // One that spans segments is added with each of them.
            self.aborted.entry(txn.producer_id).or_insert(Aborted {
                txn,
                has_data: false,
            });
        }
    }
}

#[cfg(test)]
mod tests;
