//! One replica's log: what it is made of, and the positions that others see.
//!
//! ```text
//! log start ≤ last stable ≤ high watermark ≤ log end          recovery point ≤ log end
//! ```
//!
//! Invariant: batches lie in offset order, each offset in one segment. One writer at a time (the lock in `writer`);
//! readers take no lock that is held over I/O: they load the segment list and the [`Tail`]. A segment list that names
//! a segment is published before the tail that ends in it. No lock is held while a file is synced. A panic under one of
//! the log's locks takes this log offline and no other.
//! Called by the broker's partitions. The operations live beside this file: `append`, `read`, `lookup`, `flush`,
//! `truncate`, `retention`, `open`.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, Weak};

use arc_swap::ArcSwap;
use ottla_protocol::Uuid;
use ottla_protocol::ids::TopicPartition;

use crate::behind::{Checkpointed, List, Marks};
use crate::care::Care;
use crate::config::LogConfig;
use crate::environment::{Environment, LogDir};
use crate::epoch_cache::{EpochCache, EpochEnd, EpochEntry};
use crate::error::{Context, StorageError};
use crate::file_cache::DirPath;
use crate::flush::FlushGate;
use crate::names::{LEADER_EPOCH_CHECKPOINT, PARTITION_METADATA};
use crate::producer_state::{ProducerDescription, ProducerState, VerificationGuard};
use crate::segment::Segment;
use crate::spare::Spare;
use crate::tail::Tail;
use crate::{ProducerError, checkpoint};

/// Stands for "no transaction is open".
const NO_UNSTABLE_OFFSET: i64 = i64::MAX;

/// One replica of one partition, on disk.
#[derive(Debug)]
pub struct Log {
    pub(crate) me: Weak<Log>,
    pub(crate) partition: TopicPartition,
    pub(crate) environment: Arc<Environment>,
    /// Changed by a move to another log directory, under `reshaping`, `writer`, the flush gate, `topic_id` and `epochs`.
    pub(crate) place: ArcSwap<Place>,
    pub(crate) config: ArcSwap<LogConfig>,
    pub(crate) topic_id: Mutex<Option<Uuid>>,
    /// By base offset; never empty.
    pub(crate) segments: ArcSwap<Vec<Arc<Segment>>>,
    /// The next segment's log file, perhaps.
    pub(crate) spare: Spare,
    pub(crate) tail: Tail,
    pub(crate) log_start_offset: AtomicI64,
    pub(crate) high_watermark: AtomicI64,
    pub(crate) first_unstable_offset: AtomicI64,
    /// Everything before this offset is durable.
    pub(crate) recovery_point: AtomicI64,
    /// Bytes appended since the last flush began.
    pub(crate) unflushed_bytes: AtomicU64,
    /// When the oldest of them was appended; 0 if there are none.
    pub(crate) unflushed_since_ms: AtomicI64,
    pub(crate) flush: FlushGate,
    pub(crate) writer: Mutex<Writer>,
    pub(crate) epochs: Mutex<EpochCache>,
    /// `epochs` has an epoch without batches that the file does not have; it is written before the first of them.
    pub(crate) has_unwritten_epoch: AtomicBool,
    /// The file of epochs lacks one that has batches: recovery found it.
    pub(crate) is_epoch_file_wrong: AtomicBool,
    /// The file of epochs was written and not synced; it is before the recovery point moves.
    pub(crate) has_unsynced_epochs: AtomicBool,
    pub(crate) is_closed: AtomicBool,
    /// Set by a panic that may have left the log half changed: it is not touched until it is opened again.
    pub(crate) is_broken: AtomicBool,
    /// Size of the active segment when the last producer snapshot was written.
    pub(crate) snapshot_position: AtomicU64,
    /// The lists of `behind` that the log is in.
    pub(crate) marks: Marks,
    /// In the environment's list of logs to flush.
    pub(crate) is_listed_dirty: AtomicBool,
    /// The offset before which the log was cleaned; -1 if that is not known.
    pub(crate) cleaned_until: AtomicI64,
    /// Held by whoever removes or replaces segments; taken before the writer's.
    pub(crate) reshaping: Mutex<()>,
}

/// Where a log lies. What was read of it may be of the past the moment after: files are reached through `dir`, which
/// goes where they go, and a failure belongs to the directory that its path is in ([`Log::note`]).
#[derive(Debug)]
pub(crate) struct Place {
    pub log_dir: Arc<LogDir>,
    /// The log's own directory, `topic-partition`.
    pub dir: Arc<DirPath>,
}

/// What only the writer needs.
#[derive(Debug)]
pub(crate) struct Writer {
    pub producers: ProducerState,
    /// Bytes since the last index entry.
    pub since_index_entry: u64,
    /// Offsets of the snapshot files, in order.
    pub snapshots: Vec<i64>,
    /// What was reserved ahead of the end, and handed to the disk behind it.
    pub care: Care,
    /// Counts cuts and moves to other directories, so that who began something before one can tell.
    pub truncations: u64,
    /// Logs of a topic need not roll at the same time.
    pub roll_jitter_ms: i64,
}

impl Log {
    pub fn partition(&self) -> &TopicPartition {
        &self.partition
    }

    pub fn topic_id(&self) -> Option<Uuid> {
        *self.locked(&self.topic_id)
    }

    /// Writes `partition.metadata`, if the topic id is not known yet. It is durable with the first flush; before that a
    /// crash loses it and the batches that it belongs to.
    pub fn assign_topic_id(&self, topic_id: Uuid) -> Result<(), StorageError> {
        let mut known = self.locked(&self.topic_id);
        if known.is_some() || topic_id.is_zero() {
            return Ok(());
        }
        let path = self.place.load().dir.path().join(PARTITION_METADATA);
        self.environment
            .disk()
            .replace_file_unsynced(
                &path,
                checkpoint::format_partition_metadata(topic_id).as_bytes(),
            )
            .context("write", &path)
            .map_err(|error| self.note(error))?;
        *known = Some(topic_id);
        Ok(())
    }

    /// The log's own directory, `topic-partition`.
    pub fn dir(&self) -> PathBuf {
        self.place.load().dir.path().to_path_buf()
    }

    /// The directory that the log's directory is in.
    pub fn log_dir(&self) -> Arc<LogDir> {
        Arc::clone(&self.place.load().log_dir)
    }

    /// Takes the log directory offline if the error says that the disk cannot be trusted, and is one of that directory.
    pub(crate) fn note(&self, error: StorageError) -> StorageError {
        let place = self.place.load();
        match !self.is_broken() && error.path.starts_with(place.log_dir.path()) {
            true => place.log_dir.note(error),
            // The log was moved away from there, or is broken alone.
            false => error,
        }
    }

    /// Refuses to touch a directory that failed, or a log that a panic left half changed.
    pub(crate) fn check_online(&self) -> Result<(), StorageError> {
        let offline =
            |what, path, kind: std::io::ErrorKind| Err(StorageError::new(what, path, kind.into()));
        let place = self.place.load();
        if place.log_dir.has_failed() {
            let kind = std::io::ErrorKind::NotConnected;
            return offline("use offline directory", place.log_dir.path(), kind);
        }
        if self.is_broken() {
            let path = place.dir.path();
            let kind = std::io::ErrorKind::Other;
            return offline("use, after a panic and before a restart,", &path, kind);
        }
        Ok(())
    }

    /// Whether nothing may be done with the log's files: it is closed or deleted, broken, or its directory has failed.
    pub(crate) fn is_out_of_use(&self) -> bool {
        self.is_closed() || self.is_broken() || self.place.load().log_dir.has_failed()
    }

    pub(crate) fn is_broken(&self) -> bool {
        self.is_broken.load(Ordering::Acquire)
    }

    fn break_off(&self) {
        if !self.is_broken.swap(true, Ordering::AcqRel) {
            tracing::error!(partition = %self.partition, "a panic left a log half changed: it is offline until the broker is started again; other logs are not touched");
        }
    }

    /// After a panic in work on the log: if that had one of its locks, the log is broken.
    pub(crate) fn look_for_damage(&self) {
        let _ = (self.reshaping(), self.writer(), self.epochs());
    }

    /// Takes one of the log's locks. A panic under it breaks this log, and is no reason for others to panic that only
    /// look at all logs: they find the log out of use.
    pub(crate) fn locked<'a, T>(&self, lock: &'a Mutex<T>) -> MutexGuard<'a, T> {
        lock.lock().unwrap_or_else(|poisoned| {
            self.break_off();
            poisoned.into_inner()
        })
    }

    pub fn config(&self) -> Arc<LogConfig> {
        self.config.load_full()
    }

    pub fn set_config(&self, config: Arc<LogConfig>) {
        let is_compact = config.is_compact;
        self.config.store(config);
        if is_compact {
            self.list_in(List::Compacted);
        }
    }

    pub fn log_start_offset(&self) -> i64 {
        self.log_start_offset.load(Ordering::Acquire)
    }

    /// The offset that the next record gets.
    pub fn log_end_offset(&self) -> i64 {
        self.tail.end_offset()
    }

    pub fn high_watermark(&self) -> i64 {
        self.high_watermark.load(Ordering::Acquire)
    }

    /// Everything before it survives a crash of the machine.
    pub fn recovery_point(&self) -> i64 {
        self.recovery_point.load(Ordering::Acquire)
    }

    /// What read_committed consumers may read up to: the high watermark, or the first open transaction before it.
    pub fn last_stable_offset(&self) -> i64 {
        self.first_unstable_offset
            .load(Ordering::Acquire)
            .min(self.high_watermark())
    }

    /// The first offset of a transaction that is undecided, or decided above the high watermark.
    pub fn first_unstable_offset(&self) -> Option<i64> {
        let offset = self.first_unstable_offset.load(Ordering::Acquire);
        (offset != NO_UNSTABLE_OFFSET).then_some(offset)
    }

    /// Moves the high watermark (within log start and log end), and returns it. It may move back after a truncation.
    pub fn set_high_watermark(&self, high_watermark: i64) -> i64 {
        let bounded = high_watermark
            .min(self.log_end_offset())
            .max(self.log_start_offset());
        if self.high_watermark.swap(bounded, Ordering::AcqRel) != bounded {
            self.note_behind(Checkpointed::HighWatermarks);
        }
        if self.first_unstable_offset().is_some() {
            let mut writer = self.writer();
            writer.producers.on_high_watermark(bounded);
            self.publish_first_unstable(&writer);
        }
        bounded
    }

    /// Bytes of all segments.
    pub fn size(&self) -> u64 {
        self.segments
            .load()
            .iter()
            .map(|segment| segment.size())
            .sum()
    }

    pub fn segment_count(&self) -> usize {
        self.segments.load().len()
    }

    pub fn is_closed(&self) -> bool {
        self.is_closed.load(Ordering::Acquire)
    }

    pub fn latest_epoch(&self) -> Option<i32> {
        self.epochs().latest().map(|entry| entry.epoch)
    }

    pub fn earliest_epoch(&self) -> Option<EpochEntry> {
        self.epochs().earliest()
    }

    pub fn epoch_entries(&self) -> Vec<EpochEntry> {
        self.epochs().entries().to_vec()
    }

    pub fn epoch_for_offset(&self, offset: i64) -> Option<i32> {
        self.epochs().epoch_for_offset(offset)
    }

    /// The largest epoch not greater than `epoch`, and where it ended.
    pub fn end_offset_for_epoch(&self, epoch: i32) -> Option<EpochEnd> {
        self.epochs().end_offset_for(epoch, self.log_end_offset())
    }

    /// Notes the start of a leader epoch: what a new leader does before it appends.
    ///
    /// An epoch of which no batch is durable may be lost in a crash: the next start leads in a later one. So the file is
    /// written when the first batch comes (at once where there is none yet), and synced with the batches.
    pub fn assign_epoch_start_offset(
        &self,
        epoch: i32,
        start_offset: i64,
    ) -> Result<(), StorageError> {
        let mut epochs = self.epochs();
        let is_first =
            epochs.latest().is_none() && !self.has_unwritten_epoch.load(Ordering::Acquire);
        if !epochs.assign(epoch, start_offset) {
            return Ok(());
        }
        if !is_first {
            self.has_unwritten_epoch.store(true, Ordering::Release);
            return Ok(());
        }
        // There is no file, and nothing that a crash could spoil.
        let path = self.place.load().dir.path().join(LEADER_EPOCH_CHECKPOINT);
        let text = checkpoint::format_epochs(epochs.entries());
        self.environment
            .disk()
            .write_file(&path, text.as_bytes(), false)
            .context("write", &path)
            .map_err(|error| {
                // It is written before the first batch then.
                self.has_unwritten_epoch.store(true, Ordering::Release);
                self.note(error)
            })?;
        self.has_unsynced_epochs.store(true, Ordering::Release);
        Ok(())
    }

    /// Writes the file of epochs, durably.
    pub(crate) fn write_epochs(&self, epochs: &EpochCache) -> Result<(), StorageError> {
        let path = self.place.load().dir.path().join(LEADER_EPOCH_CHECKPOINT);
        checkpoint::write_epochs(self.environment.disk(), &path, epochs.entries())
            .context("write", &path)
            .map_err(|error| self.note(error))?;
        self.has_unwritten_epoch.store(false, Ordering::Release);
        self.is_epoch_file_wrong.store(false, Ordering::Release);
        Ok(())
    }

    /// Writes the file of epochs; it is durable with the next flush of batches.
    pub(crate) fn write_epochs_unsynced(&self, epochs: &EpochCache) -> Result<(), StorageError> {
        let path = self.place.load().dir.path().join(LEADER_EPOCH_CHECKPOINT);
        checkpoint::write_epochs_unsynced(self.environment.disk(), &path, epochs.entries())
            .context("write", &path)
            .map_err(|error| self.note(error))?;
        self.has_unsynced_epochs.store(true, Ordering::Release);
        self.has_unwritten_epoch.store(false, Ordering::Release);
        self.is_epoch_file_wrong.store(false, Ordering::Release);
        Ok(())
    }

    /// What DescribeProducers shows.
    pub fn active_producers(&self) -> Vec<ProducerDescription> {
        self.writer()
            .producers
            .entries()
            .into_iter()
            .map(|entry| entry.describe())
            .collect()
    }

    pub fn producer_count(&self) -> usize {
        self.writer().producers.len()
    }

    pub fn has_ongoing_transaction(&self, producer_id: i64, producer_epoch: i16) -> bool {
        self.writer()
            .producers
            .has_ongoing_transaction(producer_id, producer_epoch)
    }

    /// When the producer of the oldest open transaction last wrote.
    pub fn oldest_txn_timestamp(&self) -> Option<i64> {
        self.writer().producers.oldest_txn_timestamp()
    }

    /// Gives out the guard that a transaction's first append must show, after its coordinator confirmed it.
    pub fn start_verification(
        &self,
        producer_id: i64,
        producer_epoch: i16,
        sequence: i32,
        supports_epoch_bump: bool,
        now_ms: i64,
    ) -> Result<VerificationGuard, ProducerError> {
        self.writer().producers.start_verification(
            producer_id,
            producer_epoch,
            sequence,
            supports_epoch_bump,
            now_ms,
        )
    }

    /// Forgets producers that wrote nothing for `producer.id.expiration.ms`.
    pub fn remove_expired_producers(&self, now_ms: i64) {
        let expiration_ms = self.config.load().producer_id_expiration_ms;
        self.writer()
            .producers
            .remove_expired(now_ms, expiration_ms);
    }

    pub(crate) fn writer(&self) -> MutexGuard<'_, Writer> {
        self.locked(&self.writer)
    }

    pub(crate) fn reshaping(&self) -> MutexGuard<'_, ()> {
        self.locked(&self.reshaping)
    }

    pub(crate) fn epochs(&self) -> MutexGuard<'_, EpochCache> {
        self.locked(&self.epochs)
    }

    pub(crate) fn active_segment(&self) -> Arc<Segment> {
        let segments = self.segments.load();
        Arc::clone(segments.last().expect("a log has a segment"))
    }

    /// Has the manager flush the log when its time comes.
    pub(crate) fn list_as_dirty(&self) {
        if !self.is_listed_dirty.swap(true, Ordering::AcqRel) {
            self.environment.note_dirty(self.me.clone());
        }
    }

    pub(crate) fn unlist_as_dirty(&self) {
        self.is_listed_dirty.store(false, Ordering::Release);
    }

    /// Whether there is anything that retention, or the time, could take away.
    pub(crate) fn is_used(&self) -> bool {
        let has_something = {
            let segments = self.segments.load();
            let first = segments.first().expect("a log has a segment");
            segments.len() > 1 || first.size() > 0 || self.log_start_offset() > first.base_offset
        };
        has_something || self.producer_count() > 0
    }

    pub(crate) fn first_base_offset(&self) -> i64 {
        let segments = self.segments.load();
        segments.first().expect("a log has a segment").base_offset
    }

    pub(crate) fn lower_recovery_point(&self, offset: i64) {
        self.recovery_point.fetch_min(offset, Ordering::AcqRel);
        self.note_behind(Checkpointed::RecoveryPoints);
    }

    pub(crate) fn raise_recovery_point(&self, offset: i64) {
        self.recovery_point.fetch_max(offset, Ordering::AcqRel);
        self.note_behind(Checkpointed::RecoveryPoints);
    }

    /// Tells readers what the producers' open transactions hold back.
    pub(crate) fn publish_first_unstable(&self, writer: &Writer) {
        let offset = writer
            .producers
            .first_unstable_offset()
            .map_or(NO_UNSTABLE_OFFSET, |offset| {
                offset.max(self.log_start_offset())
            });
        self.first_unstable_offset.store(offset, Ordering::Release);
    }
}

#[cfg(test)]
mod tests;
