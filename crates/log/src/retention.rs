//! Removing what the configuration no longer keeps.
//!
//! Invariant: segments go from the front only, never one with offsets at or above the high watermark, and the log keeps
//! at least one segment: if all expire, the active one rolls first.
//! Called by the manager every `log.retention.check.interval.ms`.

use std::sync::Arc;

use crate::config::LogConfig;
use crate::error::StorageError;
use crate::log::{Log, Writer};
use crate::segment::Segment;

impl Log {
    /// Removes segments by log start offset and, where the policy is `delete`, by size and time. Returns how many.
    pub fn run_retention(&self, now_ms: i64) -> Result<usize, StorageError> {
        if self.is_out_of_use() {
            return Ok(0);
        }
        let config = self.config.load_full();
        let _reshaping = self.reshaping();
        let mut writer = self.writer();
        if self.is_broken() {
            return Ok(0);
        }
        self.apply_retention(&mut writer, &config, now_ms)
            .map_err(|error| self.note(error))
    }

    fn apply_retention(
        &self,
        writer: &mut Writer,
        config: &LogConfig,
        now_ms: i64,
    ) -> Result<usize, StorageError> {
        let mut removed = self.remove_before_log_start(writer, now_ms)?;
        if config.is_delete {
            removed += self.remove_by_size(writer, config, now_ms)?;
            removed += self.remove_by_time(writer, config, now_ms)?;
        }
        Ok(removed)
    }

    fn remove_before_log_start(
        &self,
        writer: &mut Writer,
        now_ms: i64,
    ) -> Result<usize, StorageError> {
        let log_start_offset = self.log_start_offset();
        self.remove_while(writer, now_ms, "before the log start", |_, next| {
            Ok(next.is_some_and(|next| next.base_offset <= log_start_offset))
        })
    }

    fn remove_by_size(
        &self,
        writer: &mut Writer,
        config: &LogConfig,
        now_ms: i64,
    ) -> Result<usize, StorageError> {
        let Ok(retention_bytes) = u64::try_from(config.retention_bytes) else {
            return Ok(0);
        };
        let mut excess = self.size().saturating_sub(retention_bytes);
        self.remove_while(writer, now_ms, "over retention.bytes", |segment, _| {
            let goes = excess >= segment.size() && excess > 0;
            if goes {
                excess -= segment.size();
            }
            Ok(goes)
        })
    }

    fn remove_by_time(
        &self,
        writer: &mut Writer,
        config: &LogConfig,
        now_ms: i64,
    ) -> Result<usize, StorageError> {
        if config.retention_ms < 0 {
            return Ok(0);
        }
        self.remove_while(writer, now_ms, "over retention.ms", |segment, _| {
            let age_ms = now_ms.saturating_sub(segment.retention_timestamp()?);
            Ok(age_ms > config.retention_ms)
        })
    }

    fn remove_while(
        &self,
        writer: &mut Writer,
        now_ms: i64,
        reason: &'static str,
        mut goes: impl FnMut(&Segment, Option<&Segment>) -> Result<bool, StorageError>,
    ) -> Result<usize, StorageError> {
        let segments = self.segments.load_full();
        let mut count = 0;
        for (at, segment) in segments.iter().enumerate() {
            let next = segments.get(at + 1).map(Arc::as_ref);
            let end = next.map_or(self.log_end_offset(), |next| next.base_offset);
            let is_empty_active = next.is_none() && segment.size() == 0;
            if is_empty_active || self.high_watermark() < end || !goes(segment, next)? {
                break;
            }
            count += 1;
        }
        if count == 0 {
            return Ok(0);
        }
        if count == segments.len() {
            self.roll_to(writer, self.log_end_offset(), now_ms)?;
        }
        let segments = self.segments.load_full();
        let (gone, kept) = segments.split_at(count);
        let new_start = kept.first().expect("a log keeps a segment").base_offset;
        tracing::info!(
            partition = %self.partition,
            segments = count,
            new_start,
            reason,
            "removing segments"
        );
        self.move_log_start(writer, new_start)?;
        self.segments.store(Arc::new(kept.to_vec()));
        self.delete_segment_files(writer, gone, now_ms)?;
        Ok(count)
    }
}
