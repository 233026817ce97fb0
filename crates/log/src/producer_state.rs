//! What each producer last wrote to this partition: sequences, epochs, open transactions.
//!
//! Invariant: the state is the replay of the batches before `end_offset`. A batch is judged against it before it is
//! written ([`ProducerUpdate`]), and changes it only after ([`ProducerState::apply`]).
//! Called by append, recovery, truncation and the broker's DescribeProducers.
//!
//! A transaction on this partition:
//!
//! | state | first data batch | marker | high watermark passes the marker |
//! | --- | --- | --- | --- |
//! | none | ongoing | none (nothing to complete) | none |
//! | ongoing | ongoing | unreplicated | |
//! | unreplicated | | | forgotten |
//!
//! The first unstable offset is the least first offset of those ongoing or unreplicated.

use std::collections::{BTreeMap, HashMap};

use crate::error::ProducerError;
use crate::scan::ScannedBatch;

mod entry;
mod marker;
pub(crate) mod snapshot;
mod update;
mod verification;

pub use entry::{ProducerDescription, ProducerEntry};
pub(crate) use marker::{EndTxnMarker, MARKER_LEN_MAX};
pub use update::{AppendOrigin, TRANSACTION_VERSION_UNKNOWN};
pub(crate) use update::{CompletedTxn, ProducerUpdate};
use verification::Verification;
pub use verification::VerificationGuard;

/// Producers that one partition remembers. Kafka sets no limit; here the ones idle for longest go, so that clients that
/// make up producer ids cannot grow memory without bound.
pub const PRODUCERS_MAX: usize = 100_000;
/// How many go at once when there are too many, so that the search for them is rare.
const EVICTED_AT_ONCE: usize = PRODUCERS_MAX / 10;

#[derive(Debug, Default)]
pub(crate) struct ProducerState {
    producers: HashMap<i64, ProducerEntry>,
    verifications: HashMap<i64, Verification>,
    next_guard: u64,
    /// First offset → producer id.
    ongoing: BTreeMap<i64, i64>,
    /// First offset → offset of the marker, which is not below the high watermark yet.
    unreplicated: BTreeMap<i64, i64>,
    /// All batches before this offset are in the state.
    pub end_offset: i64,
}

impl ProducerState {
    /// An empty state of a log without batches before `end_offset`.
    pub fn starting_at(end_offset: i64) -> ProducerState {
        ProducerState {
            end_offset,
            ..ProducerState::default()
        }
    }

    /// The state that a snapshot at `end_offset` holds; producers that expired are left out.
    pub fn from_entries(
        entries: Vec<ProducerEntry>,
        end_offset: i64,
        now_ms: i64,
        expiration_ms: i64,
    ) -> ProducerState {
        let mut state = ProducerState::starting_at(end_offset);
        for entry in entries {
            if entry.is_expired(now_ms, expiration_ms) {
                continue;
            }
            if let Some(first_offset) = entry.txn_first_offset {
                state.ongoing.insert(first_offset, entry.producer_id);
            }
            state.producers.insert(entry.producer_id, entry);
        }
        state
    }

    pub fn len(&self) -> usize {
        self.producers.len()
    }

    pub fn get(&self, producer_id: i64) -> Option<&ProducerEntry> {
        self.producers.get(&producer_id)
    }

    /// The producers by id, so that a snapshot of the same state has the same bytes.
    pub fn entries(&self) -> Vec<&ProducerEntry> {
        let mut entries: Vec<_> = self.producers.values().collect();
        entries.sort_unstable_by_key(|entry| entry.producer_id);
        entries
    }

    /// Begins to judge batches of a producer.
    pub fn prepare(&self, producer_id: i64, origin: AppendOrigin) -> ProducerUpdate {
        ProducerUpdate::new(
            producer_id,
            self.producers.get(&producer_id),
            self.verifications.get(&producer_id).copied(),
            origin,
        )
    }

    /// Takes over what an update found, after its batches were written.
    pub fn apply(&mut self, update: ProducerUpdate) {
        let producer_id = update.producer_id();
        if update.touched_transaction() {
            self.settle_verification(&update);
        }
        for first_offset in update.started() {
            self.ongoing.insert(*first_offset, producer_id);
        }
        let entry = update.into_entry();
        match self.producers.get_mut(&producer_id) {
            Some(known) => known.merge(&entry),
            None => {
                self.make_room();
                self.producers.insert(producer_id, entry);
            }
        }
    }

    /// Notes that a transaction's marker was written.
    pub fn complete(&mut self, completed: &CompletedTxn) {
        self.ongoing.remove(&completed.first_offset);
        self.unreplicated
            .insert(completed.first_offset, completed.last_offset);
    }

    /// The last stable offset just after `completed`, which is still ongoing here.
    pub fn last_stable_offset_after(&self, completed: &CompletedTxn) -> i64 {
        self.ongoing
            .iter()
            .find(|(_, producer_id)| **producer_id != completed.producer_id)
            .map_or(completed.last_offset + 1, |(first_offset, _)| *first_offset)
    }

    /// Replays a batch that is in the log; what it says is taken as it is.
    pub fn replay(
        &mut self,
        batch: &ScannedBatch,
        marker: Option<EndTxnMarker>,
    ) -> Option<(CompletedTxn, i64)> {
        let mut result = None;
        if batch.producer_id >= 0 {
            let mut update = self.prepare(batch.producer_id, AppendOrigin::Replication);
            let completed = update
                .append(batch, marker, TRANSACTION_VERSION_UNKNOWN)
                .unwrap_or(None);
            self.apply(update);
            if let Some(completed) = completed {
                let stable = self.last_stable_offset_after(&completed);
                self.complete(&completed);
                result = Some((completed, stable));
            }
        }
        self.end_offset = batch.next_offset();
        result
    }

    /// The first offset of a transaction that is undecided, or decided above the high watermark.
    pub fn first_unstable_offset(&self) -> Option<i64> {
        let ongoing = self.ongoing.keys().next();
        let unreplicated = self.unreplicated.keys().next();
        ongoing.into_iter().chain(unreplicated).min().copied()
    }

    /// When the producer of the oldest open transaction last wrote; a transaction that hangs shows here.
    pub fn oldest_txn_timestamp(&self) -> Option<i64> {
        let producer_id = self.ongoing.values().next()?;
        Some(self.producers.get(producer_id)?.last_timestamp)
    }

    pub fn on_high_watermark(&mut self, high_watermark: i64) {
        self.unreplicated
            .retain(|_, marker_offset| *marker_offset >= high_watermark);
    }

    pub fn on_log_start(&mut self, log_start_offset: i64) {
        self.on_high_watermark(log_start_offset);
        self.end_offset = self.end_offset.max(log_start_offset);
    }

    pub fn remove_expired(&mut self, now_ms: i64, expiration_ms: i64) {
        self.producers
            .retain(|_, entry| !entry.is_expired(now_ms, expiration_ms));
        self.verifications
            .retain(|_, verification| now_ms - verification.created_ms < expiration_ms);
    }

    pub fn has_ongoing_transaction(&self, producer_id: i64, producer_epoch: i16) -> bool {
        self.producers.get(&producer_id).is_some_and(|entry| {
            entry.txn_first_offset.is_some() && entry.producer_epoch == producer_epoch
        })
    }

    /// The batch among the producer's last five that has this very sequence range: a retry whose answer was lost.
    pub fn find_duplicate(&self, batch: &ScannedBatch) -> Option<entry::WrittenBatch> {
        let entry = self.producers.get(&batch.producer_id)?;
        entry.find_duplicate(
            batch.producer_epoch,
            batch.base_sequence,
            batch.last_sequence,
        )
    }

    /// Begins to ask the transaction coordinator whether this partition is in the producer's transaction.
    ///
    /// The answer is [`VerificationGuard::NONE`] where nothing needs to be asked.
    pub fn start_verification(
        &mut self,
        producer_id: i64,
        producer_epoch: i16,
        sequence: i32,
        supports_epoch_bump: bool,
        now_ms: i64,
    ) -> Result<VerificationGuard, ProducerError> {
        if let Some(known) = self.producers.get(&producer_id)
            && producer_epoch < known.producer_epoch
        {
            return Err(ProducerError::InvalidEpoch {
                producer_id,
                producer_epoch,
                current: known.producer_epoch,
            });
        }
        if self.has_ongoing_transaction(producer_id, producer_epoch) {
            return Ok(VerificationGuard::NONE);
        }
        let next_guard = &mut self.next_guard;
        let verification = self.verifications.entry(producer_id).or_insert_with(|| {
            *next_guard += 1;
            Verification::new(
                *next_guard,
                sequence,
                producer_epoch,
                supports_epoch_bump,
                now_ms,
            )
        });
        verification.note(sequence, producer_epoch);
        Ok(verification.guard)
    }

    pub fn is_verified(&self, producer_id: i64, guard: VerificationGuard) -> bool {
        self.verifications
            .get(&producer_id)
            .is_some_and(|verification| verification.guard == guard)
    }

    fn settle_verification(&mut self, update: &ProducerUpdate) {
        let producer_id = update.producer_id();
        // With epochs that are bumped after each transaction, a marker of this epoch says nothing about the
        // transaction that is being verified, which comes after it.
        let is_of_next = self
            .verifications
            .get(&producer_id)
            .is_some_and(|verification| {
                verification.supports_epoch_bump
                    && update.last_was_marker()
                    && update.producer_epoch() == verification.producer_epoch
            });
        if !is_of_next {
            self.verifications.remove(&producer_id);
        }
    }

    fn make_room(&mut self) {
        if self.producers.len() < PRODUCERS_MAX {
            return;
        }
        let mut idle: Vec<(i64, i64)> = self
            .producers
            .values()
            .filter(|entry| entry.txn_first_offset.is_none())
            .map(|entry| (entry.last_timestamp, entry.producer_id))
            .collect();
        idle.sort_unstable();
        tracing::warn!(
            producers = self.producers.len(),
            limit = PRODUCERS_MAX,
            "too many producers on one partition: those idle for longest are forgotten"
        );
        for (_, producer_id) in idle.into_iter().take(EVICTED_AT_ONCE) {
            self.producers.remove(&producer_id);
        }
    }
}

#[cfg(test)]
mod tests;
