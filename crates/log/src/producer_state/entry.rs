//! What is known of one producer.
//!
//! Invariant: the remembered batches are of the current epoch, oldest first, and at most five: as many as an idempotent
//! producer has in flight.
//! Called by [`ProducerState`](super::ProducerState) and [`ProducerUpdate`](super::ProducerUpdate).

use ottla_records::{NO_PRODUCER_EPOCH, NO_SEQUENCE, NO_TIMESTAMP, decrement_sequence};

/// Batches that a duplicate is looked for in.
pub(crate) const BATCHES_RETAINED: usize = 5;

/// A batch that was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct WrittenBatch {
    pub last_sequence: i32,
    pub last_offset: i64,
    pub offset_delta: i32,
    pub timestamp: i64,
}

impl WrittenBatch {
    pub fn first_sequence(&self) -> i32 {
        decrement_sequence(self.last_sequence, self.offset_delta)
    }

    pub fn first_offset(&self) -> i64 {
        self.last_offset - i64::from(self.offset_delta)
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProducerEntry {
    pub producer_id: i64,
    pub producer_epoch: i16,
    pub coordinator_epoch: i32,
    pub last_timestamp: i64,
    pub txn_first_offset: Option<i64>,
    batches: Vec<WrittenBatch>,
}

impl ProducerEntry {
    /// A producer of whom nothing is known.
    pub fn unknown(producer_id: i64) -> ProducerEntry {
        ProducerEntry {
            producer_id,
            producer_epoch: NO_PRODUCER_EPOCH,
            coordinator_epoch: -1,
            last_timestamp: NO_TIMESTAMP,
            txn_first_offset: None,
            batches: Vec::new(),
        }
    }

    /// The same producer without its batches.
    pub(crate) fn without_batches(&self) -> ProducerEntry {
        ProducerEntry {
            batches: Vec::new(),
            ..*self
        }
    }

    pub fn has_no_batches(&self) -> bool {
        self.batches.is_empty()
    }

    pub(crate) fn last_batch(&self) -> Option<WrittenBatch> {
        self.batches.last().copied()
    }

    pub fn last_sequence(&self) -> i32 {
        self.last_batch()
            .map_or(NO_SEQUENCE, |batch| batch.last_sequence)
    }

    pub(crate) fn add_batch(&mut self, producer_epoch: i16, batch: WrittenBatch) {
        self.set_epoch(producer_epoch);
        if self.batches.len() == BATCHES_RETAINED {
            self.batches.remove(0);
        }
        self.batches.push(batch);
        self.last_timestamp = batch.timestamp;
    }

    /// A new epoch begins without batches.
    pub(crate) fn set_epoch(&mut self, producer_epoch: i16) {
        if self.producer_epoch != producer_epoch {
            self.batches.clear();
            self.producer_epoch = producer_epoch;
        }
    }

    /// Takes over what came after: `next` holds only the batches that are not here.
    pub(crate) fn merge(&mut self, next: &ProducerEntry) {
        self.set_epoch(next.producer_epoch);
        for batch in &next.batches {
            self.add_batch(next.producer_epoch, *batch);
        }
        self.coordinator_epoch = next.coordinator_epoch;
        self.txn_first_offset = next.txn_first_offset;
        self.last_timestamp = next.last_timestamp;
    }

    pub(crate) fn find_duplicate(
        &self,
        producer_epoch: i16,
        first_sequence: i32,
        last_sequence: i32,
    ) -> Option<WrittenBatch> {
        if producer_epoch != self.producer_epoch {
            return None;
        }
        self.batches
            .iter()
            .find(|batch| {
                batch.first_sequence() == first_sequence && batch.last_sequence == last_sequence
            })
            .copied()
    }

    pub(crate) fn is_expired(&self, now_ms: i64, expiration_ms: i64) -> bool {
        self.txn_first_offset.is_none()
            && now_ms.saturating_sub(self.last_timestamp) >= expiration_ms
    }

    pub fn describe(&self) -> ProducerDescription {
        ProducerDescription {
            producer_id: self.producer_id,
            producer_epoch: self.producer_epoch,
            last_sequence: self.last_sequence(),
            last_timestamp: self.last_timestamp,
            coordinator_epoch: self.coordinator_epoch,
            txn_first_offset: self.txn_first_offset,
        }
    }
}

/// What DescribeProducers shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProducerDescription {
    pub producer_id: i64,
    pub producer_epoch: i16,
    pub last_sequence: i32,
    pub last_timestamp: i64,
    pub coordinator_epoch: i32,
    pub txn_first_offset: Option<i64>,
}
