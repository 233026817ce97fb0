//! Cutting the log: at its end (a follower that diverged), at its start (DeleteRecords), and as a whole.
//!
//! Invariant: after a cut at `offset` nothing remembers what came at or after it: not the indexes, the epochs, the
//! producers, the snapshots, the recovery point. Files are renamed to `.deleted` first and go later.
//! Called by followers and by DeleteRecords; retention uses the same removal of segments.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use crate::behind::{Checkpointed, List};
use crate::care::Care;
use crate::error::{AdvanceError, Context, ReadError, StorageError};
use crate::log::{Log, Writer};
use crate::names::{FileKind, FileState};
use crate::producer_state::ProducerState;
use crate::replay;
use crate::segment::Segment;

impl Log {
    /// Removes all records at `offset` and later. Returns whether there were any.
    pub fn truncate_to(&self, offset: i64, now_ms: i64) -> Result<bool, ReadError> {
        let offset = offset.max(0);
        let _reshaping = self.reshaping();
        let mut writer = self.writer();
        if offset >= self.log_end_offset() {
            // An epoch that began without a record may contradict the leader's.
            self.truncate_epochs_from_end(self.log_end_offset())?;
            return Ok(false);
        }
        if offset < self.high_watermark() {
            tracing::warn!(
                partition = %self.partition,
                offset,
                high_watermark = self.high_watermark(),
                "truncating below the high watermark"
            );
        }
        let result = if self.first_base_offset() > offset {
            self.restart_at(&mut writer, offset, offset, now_ms)
        } else {
            self.cut(&mut writer, offset, now_ms)
        };
        result.map_err(|error| match error {
            ReadError::Storage(error) => self.note(error).into(),
            other => other,
        })?;
        Ok(true)
    }

    /// Removes everything; the next record gets `offset`, and the log begins at `log_start_offset` (or there too).
    pub fn truncate_fully_and_start_at(
        &self,
        offset: i64,
        log_start_offset: Option<i64>,
        now_ms: i64,
    ) -> Result<(), ReadError> {
        let _reshaping = self.reshaping();
        let mut writer = self.writer();
        let log_start_offset = log_start_offset.unwrap_or(offset);
        self.restart_at(&mut writer, offset, log_start_offset, now_ms)
    }

    fn cut(&self, writer: &mut Writer, offset: i64, now_ms: i64) -> Result<(), ReadError> {
        let _pass = self.flush.enter();
        writer.truncations += 1;
        let segments = self.segments.load_full();
        let kept = segments
            .partition_point(|segment| segment.base_offset <= offset)
            .max(1);
        let active = &segments[kept - 1];
        let size = active.size();
        let position = active
            .locate(offset, size, None)?
            .map_or(size, |batch| batch.position);
        // Readers must not see the end that is about to go.
        self.high_watermark.fetch_min(offset, Ordering::AcqRel);
        self.lower_recovery_point(offset);
        self.lower_cleaned_until(offset);
        self.segments.store(Arc::new(segments[..kept].to_vec()));
        self.tail.reset(active.base_offset, offset, position);
        active.truncate_to_position(position, offset)?;
        writer.care = Care::new(position, now_ms);
        self.delete_segment_files(writer, &segments[kept..], now_ms)?;
        writer.since_index_entry = 0;
        self.truncate_epochs_from_end(offset)?;
        self.log_start_offset.fetch_min(offset, Ordering::AcqRel);
        self.note_behind(Checkpointed::HighWatermarks);
        self.note_behind(Checkpointed::LogStarts);
        self.rebuild_producers(writer, offset, now_ms)?;
        Ok(())
    }

    fn restart_at(
        &self,
        writer: &mut Writer,
        offset: i64,
        log_start_offset: i64,
        now_ms: i64,
    ) -> Result<(), ReadError> {
        let _pass = self.flush.enter();
        writer.truncations += 1;
        let old = self.segments.load_full();
        // The files go out of the way before the new segment, which may have the name of one of them, is made.
        self.delete_segment_files(writer, &old, now_ms)?;
        for snapshot in std::mem::take(&mut writer.snapshots) {
            self.mark_deleted(snapshot, FileKind::Snapshot, now_ms)?;
        }
        let (segment, care) = self.create_segment(offset, now_ms)?;
        segment.flush_indexes()?;
        self.high_watermark.store(offset, Ordering::Release);
        self.log_start_offset
            .store(log_start_offset, Ordering::Release);
        self.segments.store(Arc::new(vec![Arc::new(segment)]));
        self.tail.reset(offset, offset, 0);
        self.recovery_point.store(offset, Ordering::Release);
        self.lower_cleaned_until(offset);
        self.note_behind(Checkpointed::HighWatermarks);
        self.note_behind(Checkpointed::RecoveryPoints);
        self.note_behind(Checkpointed::LogStarts);
        self.list_in(List::Used);
        self.unflushed_bytes.store(0, Ordering::Relaxed);
        writer.since_index_entry = 0;
        writer.care = care;
        writer.producers = ProducerState::starting_at(offset);
        self.publish_first_unstable(writer);
        let mut epochs = self.epochs();
        if epochs.clear() {
            self.write_epochs(&epochs)?;
        }
        Ok(())
    }

    fn truncate_epochs_from_end(&self, offset: i64) -> Result<(), StorageError> {
        let mut epochs = self.epochs();
        if epochs.truncate_from_end(offset) {
            self.write_epochs(&epochs)?;
        }
        Ok(())
    }

    /// Loads the producers as of `end`.
    fn rebuild_producers(
        &self,
        writer: &mut Writer,
        end: i64,
        now_ms: i64,
    ) -> Result<(), StorageError> {
        let log_start_offset = self.log_start_offset();
        let (kept, gone) = std::mem::take(&mut writer.snapshots)
            .into_iter()
            .partition(|&offset| offset <= end && offset > log_start_offset);
        writer.snapshots = kept;
        let gone: Vec<i64> = gone;
        for offset in gone {
            let path = self.snapshot_path(offset);
            self.environment
                .disk()
                .remove_file_if_exists(&path)
                .context("remove", &path)?;
        }
        let expiration_ms = self.config.load().producer_id_expiration_ms;
        let mut state = replay::load_snapshot(
            self.environment.disk(),
            &self.place.load().dir,
            &mut writer.snapshots,
            (log_start_offset, end),
            (now_ms, expiration_ms),
            |path, fault| {
                tracing::warn!(path = %path.display(), %fault, "a producer snapshot is ignored");
            },
        )?;
        let segments = self.segments.load_full();
        replay::replay(&segments, &mut state, end, |damage| {
            tracing::error!(partition = %self.partition, %damage, "producer state is incomplete");
        })?;
        writer.producers = state;
        writer.producers.on_high_watermark(self.high_watermark());
        self.publish_first_unstable(writer);
        Ok(())
    }

    /// Moves the log start offset forward: DeleteRecords, or a leader that did so. Returns whether it moved.
    pub fn advance_log_start_offset(&self, offset: i64) -> Result<bool, AdvanceError> {
        let high_watermark = self.high_watermark();
        if offset > high_watermark {
            return Err(AdvanceError::BeyondHighWatermark {
                partition: self.partition.clone(),
                offset,
                high_watermark,
            });
        }
        let mut writer = self.writer();
        Ok(self.move_log_start(&mut writer, offset)?)
    }

    pub(crate) fn move_log_start(
        &self,
        writer: &mut Writer,
        offset: i64,
    ) -> Result<bool, StorageError> {
        if offset <= self.log_start_offset() {
            return Ok(false);
        }
        self.log_start_offset.store(offset, Ordering::Release);
        self.high_watermark.fetch_max(offset, Ordering::AcqRel);
        self.raise_recovery_point(offset);
        self.note_behind(Checkpointed::HighWatermarks);
        self.note_behind(Checkpointed::LogStarts);
        self.list_in(List::Used);
        writer.producers.on_log_start(offset);
        self.publish_first_unstable(writer);
        let mut epochs = self.epochs();
        if epochs.truncate_from_start(offset) {
            self.write_epochs(&epochs)?;
        }
        Ok(true)
    }

    /// Renames the files of segments to `.deleted`, to be removed after `file.delete.delay.ms`.
    pub(crate) fn delete_segment_files(
        &self,
        writer: &mut Writer,
        segments: &[Arc<Segment>],
        now_ms: i64,
    ) -> Result<(), StorageError> {
        for segment in segments {
            self.retire_segment(segment, now_ms)?;
            if let Ok(at) = writer.snapshots.binary_search(&segment.base_offset) {
                writer.snapshots.remove(at);
                self.mark_deleted(segment.base_offset, FileKind::Snapshot, now_ms)?;
            }
        }
        Ok(())
    }

    /// Renames a segment's files to `.deleted`. Readers that hold the segment go on with them.
    pub(crate) fn retire_segment(
        &self,
        segment: &Segment,
        now_ms: i64,
    ) -> Result<(), StorageError> {
        let due_ms = now_ms.saturating_add(self.config.load().file_delete_delay_ms);
        let paths = segment.rename(FileState::Deleted)?;
        segment.close_files();
        for path in paths {
            self.environment.deletes.add_file(path, due_ms);
        }
        Ok(())
    }

    pub(crate) fn mark_deleted(
        &self,
        base_offset: i64,
        kind: FileKind,
        now_ms: i64,
    ) -> Result<(), StorageError> {
        let place = self.place.load();
        let path = place.dir.file(base_offset, kind);
        let deleted = place.dir.file_in(base_offset, kind, FileState::Deleted);
        match self.environment.disk().rename(&path, &deleted) {
            Ok(()) => {
                let delay_ms = self.config.load().file_delete_delay_ms;
                self.environment
                    .deletes
                    .add_file(deleted, now_ms.saturating_add(delay_ms));
                Ok(())
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(StorageError::new("rename", &path, error)),
        }
    }
}
