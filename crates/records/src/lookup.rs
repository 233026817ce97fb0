//! Finding records by time within a batch, and the max timestamp of a run of batches.
//!
//! Invariant: nothing is kept of the records on the way; a batch is decompressed only as far as the answer needs.
//! Called by the log for ListOffsets and for the time index.

use std::ops::ControlFlow;

use crate::batch::{BatchError, BatchHeader, Codec, NO_TIMESTAMP, RawBatch, TimestampType};
use crate::decompress::Decompressor;
use crate::record::RecordError;
use crate::wire::{RecordShape, SliceSource, Source, walk_record};

/// A record's place in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimestampOffset {
    pub timestamp: i64,
    pub offset: i64,
}

impl TimestampOffset {
    /// No record with a timestamp.
    pub const NONE: TimestampOffset = TimestampOffset {
        timestamp: NO_TIMESTAMP,
        offset: -1,
    };

    /// Takes a further batch into account, as the time index does: the entry is the last offset of the earliest batch
    /// that has the max timestamp, so that appends, replication and recovery agree without looking at records.
    pub fn observe(&mut self, header: BatchHeader<'_>) {
        if header.max_timestamp() > self.timestamp {
            *self = TimestampOffset {
                timestamp: header.max_timestamp(),
                offset: header.last_offset(),
            };
        }
    }
}

impl RawBatch<'_> {
    /// The first record that is not older than `timestamp` and not before `min_offset`.
    pub fn first_at_or_after(
        &self,
        timestamp: i64,
        min_offset: i64,
        decompressed_bytes_max: usize,
    ) -> Result<Option<TimestampOffset>, RecordError> {
        if self.max_timestamp() < timestamp {
            return Ok(None);
        }
        self.find(decompressed_bytes_max, |record| {
            record.timestamp >= timestamp && record.offset >= min_offset
        })
    }

    /// The first record that has the batch's max timestamp.
    pub fn offset_of_max_timestamp(
        &self,
        decompressed_bytes_max: usize,
    ) -> Result<Option<TimestampOffset>, RecordError> {
        let max_timestamp = self.max_timestamp();
        self.find(decompressed_bytes_max, |record| {
            record.timestamp == max_timestamp
        })
    }

    fn find(
        &self,
        decompressed_bytes_max: usize,
        mut is_wanted: impl FnMut(TimestampOffset) -> bool,
    ) -> Result<Option<TimestampOffset>, RecordError> {
        let base_timestamp = self.base_timestamp();
        let is_stamped_by_log = self.timestamp_type() == TimestampType::LogAppendTime;
        let log_append_time = is_stamped_by_log.then(|| self.max_timestamp());
        self.walk(decompressed_bytes_max, |shape| {
            let record = TimestampOffset {
                timestamp: log_append_time
                    .unwrap_or(base_timestamp.wrapping_add(shape.timestamp_delta)),
                offset: self
                    .base_offset()
                    .wrapping_add(i64::from(shape.offset_delta)),
            };
            if is_wanted(record) {
                ControlFlow::Break(record)
            } else {
                ControlFlow::Continue(())
            }
        })
    }

    fn walk<T>(
        &self,
        decompressed_bytes_max: usize,
        visit: impl FnMut(RecordShape) -> ControlFlow<T>,
    ) -> Result<Option<T>, RecordError> {
        let count = self.record_count();
        let count = u32::try_from(count).map_err(|_| BatchError::NegativeRecordCount(count))?;
        match self.codec()? {
            Codec::None => walk_records(&mut SliceSource::new(self.payload()), count, visit),
            // A batch that was compacted to nothing has not even a frame.
            _ if count == 0 => Ok(None),
            codec => {
                let mut source = Decompressor::new(codec, self.payload(), decompressed_bytes_max)?;
                walk_records(&mut source, count, visit)
            }
        }
    }
}

fn walk_records<T>(
    source: &mut impl Source,
    count: u32,
    mut visit: impl FnMut(RecordShape) -> ControlFlow<T>,
) -> Result<Option<T>, RecordError> {
    for _ in 0..count {
        if let ControlFlow::Break(found) = visit(walk_record(source)?) {
            return Ok(Some(found));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests;
