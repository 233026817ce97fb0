//! Appending batches: the step between the broker's partition and the disk.
//!
//! Invariant: an append that fails leaves log, indexes and producer state as they were. What a failed write left behind
//! the end of the file is cut, or (if that fails too) lies beyond the segment's size, where nobody reads.
//! Called by the partition's append point (`broker/partition`), one step before `replica` hears of the new end.

use std::collections::HashMap;
use std::io::IoSlice;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use ottla_records::{HeaderPatch, RawBatch, TimestampType, batches};

use crate::behind::List;
use crate::config::LogConfig;
use crate::error::{AppendError, Context, ProducerError, StorageError};
use crate::log::{Log, Writer};
use crate::names::FileKind;
use crate::producer_state::{
    AppendOrigin, CompletedTxn, EndTxnMarker, MARKER_LEN_MAX, ProducerUpdate,
    TRANSACTION_VERSION_UNKNOWN, VerificationGuard,
};
use crate::scan::ScannedBatch;
use crate::segment::{NO_TIMESTAMP, Segment};
use crate::tail::Mark;
use crate::txn_index::AbortedTxn;

/// How a leader appends.
#[derive(Debug, Clone, Copy)]
pub struct LeaderAppend {
    pub leader_epoch: i32,
    pub origin: AppendOrigin,
    /// Set where the topic's timestamps are the broker's (`message.timestamp.type=LogAppendTime`).
    pub log_append_time_ms: Option<i64>,
    /// The rules that a transaction marker follows ([`TRANSACTION_VERSION_UNKNOWN`] for data).
    pub transaction_version: i16,
    /// What `start_verification` gave, if a transaction begins with this append.
    pub guard: VerificationGuard,
}

impl LeaderAppend {
    /// A produce request's append, without a transaction.
    pub fn client(leader_epoch: i32) -> LeaderAppend {
        LeaderAppend {
            leader_epoch,
            origin: AppendOrigin::Client,
            log_append_time_ms: None,
            transaction_version: TRANSACTION_VERSION_UNKNOWN,
            guard: VerificationGuard::NONE,
        }
    }

    /// A coordinator's append of its own records.
    pub fn coordinator(leader_epoch: i32) -> LeaderAppend {
        LeaderAppend {
            origin: AppendOrigin::Coordinator,
            ..LeaderAppend::client(leader_epoch)
        }
    }
}

/// What an append did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AppendInfo {
    pub first_offset: i64,
    pub last_offset: i64,
    /// The timestamp that the broker gave, or -1; for a duplicate the timestamp of the batch that is there.
    pub log_append_time_ms: i64,
    pub max_timestamp: i64,
    pub log_start_offset: i64,
    /// Nothing was written: the batch is one of the producer's last five.
    pub is_duplicate: bool,
    pub bytes: u64,
    /// So much is unflushed that [`Log::flush_to`] should follow (`flush.messages`, `log.flush.interval.bytes`).
    pub needs_flush: Option<FlushReason>,
}

/// Why an append asks for a flush.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FlushReason {
    /// `flush.messages`: the acknowledgement waits for it.
    Messages,
    /// `log.flush.interval.bytes`: in the background.
    Bytes,
}

/// Batches with offsets, ready to be written.
struct Prepared<'a> {
    patches: Vec<HeaderPatch>,
    payloads: Vec<&'a [u8]>,
    /// Positions count from the first batch.
    batches: Vec<ScannedBatch>,
    bytes: u64,
    max_timestamp: i64,
}

/// What the producer checks found.
#[derive(Default)]
struct Verdict {
    updates: HashMap<i64, ProducerUpdate>,
    completed: Vec<CompletedTxn>,
}

enum Judged {
    Duplicate(AppendInfo),
    New(Verdict),
}

impl Log {
    /// Appends batches that `records::validate_produce` (or a coordinator) made, giving them the next offsets.
    pub fn append_as_leader(
        &self,
        records: &[Bytes],
        how: &LeaderAppend,
        now_ms: i64,
    ) -> Result<AppendInfo, AppendError> {
        let mut writer = self.writer();
        self.check_writable()?;
        if how.origin == AppendOrigin::Client
            && self.place.load().log_dir.is_short.load(Ordering::Relaxed)
        {
            return Err(AppendError::DiskFull {
                partition: self.partition.clone(),
            });
        }
        let config = self.config.load();
        let prepared = self.prepare_as_leader(records, how)?;
        self.check_fits(&prepared, &config)?;
        let verdict = match self.judge(&writer, &prepared, how, &config)? {
            Judged::Duplicate(info) => return Ok(info),
            Judged::New(verdict) => verdict,
        };
        let mut info = self.write(&mut writer, &prepared, verdict, &config, now_ms)?;
        info.log_append_time_ms = how.log_append_time_ms.unwrap_or(NO_TIMESTAMP);
        Ok(info)
    }

    /// Appends batches that a leader gave offsets to; `None` if there was nothing to append.
    ///
    /// Batches of an epoch later than `leader_epoch` are left out, and so is what follows them: their leader is not
    /// the one that is followed. Checksums are checked here.
    pub fn append_as_follower(
        &self,
        records: &Bytes,
        leader_epoch: i32,
        now_ms: i64,
    ) -> Result<Option<AppendInfo>, AppendError> {
        let mut writer = self.writer();
        self.check_writable()?;
        let config = self.config.load();
        let prepared = self.prepare_as_follower(records, leader_epoch)?;
        if prepared.batches.is_empty() {
            return Ok(None);
        }
        self.check_fits(&prepared, &config)?;
        let how = LeaderAppend {
            origin: AppendOrigin::Replication,
            ..LeaderAppend::client(leader_epoch)
        };
        let verdict = match self.judge(&writer, &prepared, &how, &config)? {
            Judged::Duplicate(info) => return Ok(Some(info)),
            Judged::New(verdict) => verdict,
        };
        self.write(&mut writer, &prepared, verdict, &config, now_ms)
            .map(Some)
    }

    fn prepare_as_leader<'a>(
        &self,
        records: &'a [Bytes],
        how: &LeaderAppend,
    ) -> Result<Prepared<'a>, AppendError> {
        let mut prepared = Prepared::new();
        let mut next_offset = self.log_end_offset();
        for bytes in records {
            let mut found = batches(bytes);
            for batch in found.by_ref() {
                let batch = batch?;
                batch.check_ranges()?;
                let mut patch = HeaderPatch::new(batch)
                    .base_offset(next_offset)
                    .partition_leader_epoch(how.leader_epoch);
                if let Some(timestamp) = how.log_append_time_ms {
                    patch = patch.timestamps(TimestampType::LogAppendTime, timestamp);
                }
                next_offset = patch.header().next_offset();
                prepared.push(patch, batch);
            }
            self.check_complete(found.consumed(), bytes)?;
        }
        if prepared.batches.is_empty() {
            return Err(AppendError::Incomplete {
                partition: self.partition.clone(),
                bytes: 0,
            });
        }
        Ok(prepared)
    }

    fn check_complete(&self, consumed: usize, bytes: &Bytes) -> Result<(), AppendError> {
        if consumed == bytes.len() {
            return Ok(());
        }
        Err(AppendError::Incomplete {
            partition: self.partition.clone(),
            bytes: bytes.len() - consumed,
        })
    }

    fn prepare_as_follower<'a>(
        &self,
        records: &'a Bytes,
        leader_epoch: i32,
    ) -> Result<Prepared<'a>, AppendError> {
        let mut prepared = Prepared::new();
        let log_end_offset = self.log_end_offset();
        let mut next_offset = log_end_offset;
        for batch in batches(records) {
            let batch = batch?;
            if batch.partition_leader_epoch() > leader_epoch {
                tracing::info!(
                    partition = %self.partition,
                    batch_epoch = batch.partition_leader_epoch(),
                    leader_epoch,
                    "batches of a later leader epoch are left out"
                );
                break;
            }
            batch.verify()?;
            if batch.base_offset() < next_offset {
                return Err(if prepared.batches.is_empty() {
                    AppendError::UnexpectedOffset {
                        partition: self.partition.clone(),
                        first_offset: batch.base_offset(),
                        last_offset: batch.last_offset(),
                        log_end_offset,
                    }
                } else {
                    AppendError::OffsetsOutOfOrder {
                        partition: self.partition.clone(),
                        previous: next_offset - 1,
                        next: batch.base_offset(),
                    }
                });
            }
            next_offset = batch.next_offset();
            prepared.push(HeaderPatch::new(batch), batch);
        }
        Ok(prepared)
    }

    fn check_writable(&self) -> Result<(), AppendError> {
        if self.is_closed() {
            return Err(AppendError::Closed(self.partition.clone()));
        }
        self.check_online().map_err(AppendError::Storage)
    }

    fn check_fits(&self, prepared: &Prepared<'_>, config: &LogConfig) -> Result<(), AppendError> {
        if prepared.bytes > u64::from(config.segment_bytes) {
            return Err(AppendError::LargerThanSegment {
                partition: self.partition.clone(),
                bytes: prepared.bytes,
                segment_bytes: u64::from(config.segment_bytes),
            });
        }
        Ok(())
    }

    /// Checks epochs, sequences and transactions of all batches, before anything is written.
    fn judge(
        &self,
        writer: &Writer,
        prepared: &Prepared<'_>,
        how: &LeaderAppend,
        config: &LogConfig,
    ) -> Result<Judged, AppendError> {
        let mut verdict = Verdict::default();
        for (batch, payload) in prepared.batches.iter().zip(&prepared.payloads) {
            if batch.producer_id < 0 {
                continue;
            }
            if how.origin == AppendOrigin::Client
                && let Some(found) = writer.producers.find_duplicate(batch)
            {
                return Ok(Judged::Duplicate(AppendInfo {
                    first_offset: found.first_offset(),
                    last_offset: found.last_offset,
                    log_append_time_ms: found.timestamp,
                    max_timestamp: found.timestamp,
                    log_start_offset: self.log_start_offset(),
                    is_duplicate: true,
                    bytes: 0,
                    needs_flush: None,
                }));
            }
            self.judge_batch(writer, batch, payload, how, config, &mut verdict)
                .map_err(|source| AppendError::Producer {
                    partition: self.partition.clone(),
                    source,
                })?;
        }
        Ok(Judged::New(verdict))
    }

    fn judge_batch(
        &self,
        writer: &Writer,
        batch: &ScannedBatch,
        payload: &[u8],
        how: &LeaderAppend,
        config: &LogConfig,
        verdict: &mut Verdict,
    ) -> Result<(), ProducerError> {
        let producer_id = batch.producer_id;
        let begins_unverified = how.origin != AppendOrigin::Replication
            && batch.is_transactional
            && !batch.is_control
            && config.is_transaction_verified
            && !writer
                .producers
                .has_ongoing_transaction(producer_id, batch.producer_epoch)
            && !verdict.updates.contains_key(&producer_id);
        if begins_unverified {
            let current = writer
                .producers
                .get(producer_id)
                .map_or(i16::MIN, |entry| entry.producer_epoch);
            if batch.producer_epoch < current {
                return Err(ProducerError::InvalidEpoch {
                    producer_id,
                    producer_epoch: batch.producer_epoch,
                    current,
                });
            }
            if !writer.producers.is_verified(producer_id, how.guard) {
                return Err(ProducerError::InvalidTxnState { producer_id });
            }
        }
        let marker = marker_of(batch, payload);
        if marker.is_none() && batch.is_control && how.origin != AppendOrigin::Replication {
            return Err(ProducerError::MalformedMarker { producer_id });
        }
        let update = verdict
            .updates
            .entry(producer_id)
            .or_insert_with(|| writer.producers.prepare(producer_id, how.origin));
        if let Some(completed) = update.append(batch, marker, how.transaction_version)? {
            verdict.completed.push(completed);
        }
        Ok(())
    }

    /// Writes, then makes all that follows from it visible.
    fn write(
        &self,
        writer: &mut Writer,
        prepared: &Prepared<'_>,
        verdict: Verdict,
        config: &LogConfig,
        now_ms: i64,
    ) -> Result<AppendInfo, AppendError> {
        let segment = self.segment_for(writer, prepared, config, now_ms)?;
        self.note_epochs(prepared)?;
        let start = segment.size();
        self.write_bytes(&segment, prepared, start)?;
        for batch in &prepared.batches {
            let batch = batch.moved_by(start);
            segment
                .note_batch(
                    &batch,
                    config.index_interval_bytes,
                    &mut writer.since_index_entry,
                )
                .map_err(|error| self.storage_error(error))?;
        }
        for (_, update) in verdict.updates {
            writer.producers.apply(update);
        }
        for completed in &verdict.completed {
            self.complete_txn(writer, &segment, completed)?;
        }
        let first_offset = prepared.first().base_offset;
        let last_offset = prepared.last().last_offset;
        writer.producers.end_offset = last_offset + 1;
        let has_unstable = self.first_unstable_offset().is_some();
        if has_unstable || writer.producers.first_unstable_offset().is_some() {
            self.publish_first_unstable(writer);
        }
        let end = start + prepared.bytes;
        segment.set_size(end);
        let marks = prepared.batches.iter().map(|batch| Mark {
            offset: batch.base_offset,
            position: start + batch.position,
        });
        self.tail.extend(marks, last_offset + 1, end);
        self.care_for_tail(writer, &segment, end, config, now_ms);
        Ok(AppendInfo {
            first_offset,
            last_offset,
            log_append_time_ms: NO_TIMESTAMP,
            max_timestamp: prepared.max_timestamp,
            log_start_offset: self.log_start_offset(),
            is_duplicate: false,
            bytes: prepared.bytes,
            needs_flush: self.note_unflushed(prepared.bytes, last_offset + 1, config, now_ms),
        })
    }

    /// Has blocks reserved ahead of the end, and written ones handed to the disk, where the rate is worth it.
    fn care_for_tail(
        &self,
        writer: &mut Writer,
        segment: &Arc<Segment>,
        end: u64,
        config: &LogConfig,
        now_ms: i64,
    ) {
        let Some(plan) = writer
            .care
            .plan(end, u64::from(config.segment_bytes), now_ms)
        else {
            return;
        };
        if plan.reserve.is_some() || plan.spare.is_some() {
            let (segment, me) = (Arc::clone(segment), self.me.clone());
            self.environment.reserves.run_or_forget(Box::new(move || {
                if let Some((position, len)) = plan.reserve {
                    segment.reserve(position, len);
                }
                if let Some((len, log)) = plan.spare.zip(me.upgrade()) {
                    log.make_spare(len);
                }
            }));
        }
        if let Some((position, len)) = plan.write_back {
            let (segment, log_dir) = (Arc::clone(segment), self.log_dir());
            let environment = Arc::downgrade(&self.environment);
            self.environment.writebacks.run_or_forget(Box::new(move || {
                segment.start_writeback(position, len);
                if let Some(environment) = environment.upgrade() {
                    environment.pressure().after_writeback(len, &log_dir);
                }
            }));
        }
    }

    fn complete_txn(
        &self,
        writer: &mut Writer,
        segment: &Segment,
        completed: &CompletedTxn,
    ) -> Result<(), AppendError> {
        let last_stable_offset = writer.producers.last_stable_offset_after(completed);
        writer.producers.complete(completed);
        if !completed.is_aborted {
            return Ok(());
        }
        segment
            .txn_index
            .append(AbortedTxn {
                producer_id: completed.producer_id,
                first_offset: completed.first_offset,
                last_offset: completed.last_offset,
                last_stable_offset,
            })
            .context_with("write", || segment.path(FileKind::TxnIndex))
            .map_err(|error| self.storage_error(error))
    }

    /// The active segment, or the next one if the batches do not belong into it any more.
    fn segment_for(
        &self,
        writer: &mut Writer,
        prepared: &Prepared<'_>,
        config: &LogConfig,
        now_ms: i64,
    ) -> Result<Arc<Segment>, AppendError> {
        let segment = self.active_segment();
        let size = segment.size();
        let waited_ms = match segment.waited_for_roll(now_ms, prepared.max_timestamp) {
            Ok(waited_ms) => waited_ms,
            Err(error) => {
                // Damage in the first header must not keep the log from growing.
                tracing::error!(partition = %self.partition, %error, "cannot tell the segment's age");
                0
            }
        };
        let is_due = size > 0 && waited_ms > config.segment_ms - writer.roll_jitter_ms;
        let is_full = size + prepared.bytes > u64::from(config.segment_bytes)
            || segment.are_indexes_full(config.segment_index_bytes);
        if is_due || is_full || !segment.can_hold(prepared.last().last_offset) {
            self.roll_to(writer, prepared.first().base_offset, now_ms)
                .map_err(|error| self.storage_error(error))?;
            return Ok(self.active_segment());
        }
        Ok(segment)
    }

    fn note_epochs(&self, prepared: &Prepared<'_>) -> Result<(), AppendError> {
        let mut epochs = self.epochs();
        let mut has_changed = self.has_unwritten_epoch.load(Ordering::Acquire);
        for batch in &prepared.batches {
            let is_known = epochs
                .latest()
                .is_some_and(|latest| latest.epoch == batch.leader_epoch);
            if !is_known {
                has_changed |= epochs.assign(batch.leader_epoch, batch.base_offset);
            }
        }
        if has_changed {
            self.write_epochs_unsynced(&epochs)?;
        }
        Ok(())
    }

    fn write_bytes(
        &self,
        segment: &Segment,
        prepared: &Prepared<'_>,
        position: u64,
    ) -> Result<(), AppendError> {
        let path = || segment.path(FileKind::Log);
        let file = segment
            .file_or_create()
            .map_err(|error| self.storage_error(error))?;
        let mut slices: Vec<IoSlice<'_>> = prepared
            .patches
            .iter()
            .zip(&prepared.payloads)
            .flat_map(|(patch, payload)| [IoSlice::new(patch.as_bytes()), IoSlice::new(payload)])
            .collect();
        file.write_vectored_at(&mut slices, position)
            .context_with("append to", path)
            .map_err(|error| {
                // Best effort: readers and recovery do not need it, but it gives blocks of a full disk back.
                if let Err(error) = file.set_len(position) {
                    tracing::warn!(partition = %self.partition, %error, "cannot cut a failed append");
                }
                self.storage_error(error)
            })
    }

    fn storage_error(&self, error: StorageError) -> AppendError {
        if error.is_full() {
            return AppendError::DiskFull {
                partition: self.partition.clone(),
            };
        }
        AppendError::Storage(self.note(error))
    }

    fn note_unflushed(
        &self,
        bytes: u64,
        end_offset: i64,
        config: &LogConfig,
        now_ms: i64,
    ) -> Option<FlushReason> {
        let before = self.unflushed_bytes.fetch_add(bytes, Ordering::Relaxed);
        if before == 0 {
            self.unflushed_since_ms.store(now_ms, Ordering::Relaxed);
            self.list_as_dirty();
        }
        self.list_in(List::Used);
        if end_offset - self.recovery_point() >= config.flush_messages {
            return Some(FlushReason::Messages);
        }
        (before + bytes >= config.flush_bytes).then_some(FlushReason::Bytes)
    }
}

impl<'a> Prepared<'a> {
    fn new() -> Prepared<'a> {
        Prepared {
            patches: Vec::with_capacity(1),
            payloads: Vec::with_capacity(1),
            batches: Vec::with_capacity(1),
            bytes: 0,
            max_timestamp: NO_TIMESTAMP,
        }
    }

    fn push(&mut self, patch: HeaderPatch, batch: RawBatch<'a>) {
        let scanned = ScannedBatch::of(patch.header(), self.bytes);
        self.bytes += scanned.size;
        self.max_timestamp = self.max_timestamp.max(scanned.max_timestamp);
        self.batches.push(scanned);
        self.patches.push(patch);
        self.payloads.push(batch.payload());
    }

    fn first(&self) -> &ScannedBatch {
        self.batches.first().expect("an append has a batch")
    }

    fn last(&self) -> &ScannedBatch {
        self.batches.last().expect("an append has a batch")
    }
}

fn marker_of(batch: &ScannedBatch, payload: &[u8]) -> Option<EndTxnMarker> {
    if !batch.is_control || payload.len() > MARKER_LEN_MAX {
        return None;
    }
    EndTxnMarker::parse(payload)
}
