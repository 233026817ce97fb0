//! Which part of a log is to be cleaned, how urgent that is, and which segments become one.
//!
//! ```text
//! log start ≤ first dirty ≤ first uncleanable ≤ last stable, active segment
//! |   clean   |   cleanable   |   uncleanable …
//! ```
//!
//! Invariant: nothing at or above the last stable offset, in the active segment, or younger than
//! `min.compaction.lag.ms` is cleaned.
//! Called by the cleaner with what it read from a log; decides without I/O and without a clock.

use crate::config::LogConfig;

/// What the choice needs to know of a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SegmentView {
    pub base_offset: i64,
    pub bytes: u64,
    pub offset_index_bytes: u64,
    pub time_index_bytes: u64,
    /// The largest timestamp; known where `min.compaction.lag.ms` is set.
    pub largest_timestamp: Option<i64>,
    /// The timestamp of the first batch; known where `max.compaction.lag.ms` is set.
    pub first_timestamp: Option<i64>,
}

/// What the choice needs to know of a log.
#[derive(Debug, Clone)]
pub(crate) struct LogView {
    pub log_start_offset: i64,
    pub log_end_offset: i64,
    pub last_stable_offset: i64,
    /// The offset before which the log was cleaned, if it ever was.
    pub checkpoint: Option<i64>,
    /// In order; the last is the active one.
    pub segments: Vec<SegmentView>,
}

/// What could be cleaned.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Cleanable {
    pub first_dirty: i64,
    /// Base offset of the first segment that stays as it is.
    pub first_uncleanable: i64,
    pub clean_bytes: u64,
    pub cleanable_bytes: u64,
    /// Something waits for longer than `max.compaction.lag.ms`.
    pub is_overdue: bool,
    /// The checkpoint was out of range; `first_dirty` is to be written in its place.
    pub resets_checkpoint: bool,
}

impl Cleanable {
    pub fn total_bytes(&self) -> u64 {
        self.clean_bytes + self.cleanable_bytes
    }

    /// The part of the log that is dirty, from 0 to 1.
    pub fn ratio(&self) -> f64 {
        match self.total_bytes() {
            0 => 0.0,
            total => self.cleanable_bytes as f64 / total as f64,
        }
    }

    /// Whether the log is to be cleaned.
    pub fn is_due(&self, config: &LogConfig) -> bool {
        self.cleanable_bytes > 0
            && (self.is_overdue || self.ratio() > config.min_cleanable_dirty_ratio)
    }
}

pub(crate) fn cleanable(log: &LogView, config: &LogConfig, now_ms: i64) -> Cleanable {
    let checkpoint = log.checkpoint.unwrap_or(log.log_start_offset);
    let is_in_range = (log.log_start_offset..=log.log_end_offset).contains(&checkpoint);
    let first_dirty = if is_in_range {
        checkpoint
    } else {
        log.log_start_offset
    };
    let Some((active, inactive)) = log.segments.split_last() else {
        unreachable!("a log has a segment")
    };
    let dirty = if first_dirty < active.base_offset {
        &inactive[floor(inactive, first_dirty)..]
    } else {
        &[]
    };
    let min_lag_ms = config.min_compaction_lag_ms;
    let young = dirty.iter().find(|segment| {
        min_lag_ms > 0
            && segment
                .largest_timestamp
                .is_some_and(|timestamp| timestamp > now_ms.saturating_sub(min_lag_ms))
    });
    let uncleanable = log
        .last_stable_offset
        .min(active.base_offset)
        .min(young.map_or(i64::MAX, |segment| segment.base_offset))
        .max(first_dirty);
    // The segment that the offset lies in stays as a whole.
    let first_uncleanable = if uncleanable > active.base_offset {
        active.base_offset
    } else {
        inactive
            .get(floor(inactive, uncleanable))
            .filter(|_| uncleanable < active.base_offset)
            .map_or(active.base_offset, |segment| segment.base_offset)
    };
    Cleanable {
        first_dirty,
        first_uncleanable,
        clean_bytes: inactive
            .iter()
            .chain([active])
            .take_while(|segment| segment.base_offset < first_dirty)
            .map(|segment| segment.bytes)
            .sum(),
        cleanable_bytes: dirty
            .iter()
            .take_while(|segment| segment.base_offset < first_uncleanable)
            .map(|segment| segment.bytes)
            .sum(),
        is_overdue: overdue_ms(dirty, config, now_ms) > 0,
        resets_checkpoint: !is_in_range,
    }
}

/// How long the oldest dirty segment waits beyond `max.compaction.lag.ms`.
fn overdue_ms(dirty: &[SegmentView], config: &LogConfig, now_ms: i64) -> i64 {
    let until_ms = now_ms.saturating_sub(config.max_compaction_lag_ms.max(0));
    let earliest = dirty
        .iter()
        .filter_map(|segment| segment.first_timestamp)
        .filter(|&timestamp| timestamp > 0)
        .min();
    earliest.map_or(0, |earliest| until_ms.saturating_sub(earliest).max(0))
}

/// The segment that `offset` lies in, or the first.
fn floor(segments: &[SegmentView], offset: i64) -> usize {
    segments
        .partition_point(|segment| segment.base_offset <= offset)
        .saturating_sub(1)
}

/// Puts neighbours together that one segment has room for. Returns how many segments each group has.
pub(crate) fn group(
    segments: &[SegmentView],
    config: &LogConfig,
    first_uncleanable: i64,
) -> Vec<usize> {
    let (bytes_max, index_bytes_max) = (
        u64::from(config.segment_bytes),
        u64::from(config.segment_index_bytes),
    );
    let mut groups = Vec::new();
    let mut at = 0;
    while let Some(first) = segments.get(at) {
        let mut sum = *first;
        let mut count = 1;
        while let Some(next) = segments.get(at + count) {
            let end = segments
                .get(at + count + 1)
                .map_or(first_uncleanable, |after| after.base_offset);
            let spans_too_far = next.bytes > 0 && end - 1 - first.base_offset > i64::from(i32::MAX);
            sum.bytes += next.bytes;
            sum.offset_index_bytes += next.offset_index_bytes;
            sum.time_index_bytes += next.time_index_bytes;
            if sum.bytes > bytes_max
                || sum.offset_index_bytes > index_bytes_max
                || sum.time_index_bytes > index_bytes_max
                || spans_too_far
            {
                break;
            }
            count += 1;
        }
        groups.push(count);
        at += count;
    }
    groups
}

#[cfg(test)]
mod tests;
