//! Finding offsets by timestamp.
//!
//! Invariant: the answer is a record that exists: inside a compressed batch the very record, not the batch.
//! Called by ListOffsets. Look-ups may read and decompress a batch, so they belong on a disk thread.

use bytes::Bytes;
use ottla_records::{MAX_DECOMPRESSED_BYTES, RawBatch, RecordViews};

use crate::error::{Context, ReadError};
use crate::log::Log;
use crate::names::FileKind;
use crate::scan::{SMALL_WINDOW, Scan, ScannedBatch};
use crate::segment::Segment;

/// A record found by its timestamp.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimestampedOffset {
    pub timestamp: i64,
    pub offset: i64,
    pub leader_epoch: Option<i32>,
}

impl Log {
    /// The first record (at or after the log start) whose timestamp is `timestamp` or later.
    pub fn offset_for_timestamp(
        &self,
        timestamp: i64,
    ) -> Result<Option<TimestampedOffset>, ReadError> {
        let log_start_offset = self.log_start_offset();
        for segment in self.segments.load().iter() {
            if segment.max_timestamp().timestamp < timestamp || segment.size() == 0 {
                continue;
            }
            let found = find_in_segment(segment, timestamp, log_start_offset)?;
            if found.is_some() {
                return Ok(found);
            }
        }
        Ok(None)
    }

    /// The record with the largest timestamp (the first of those), if any record has one.
    pub fn max_timestamp_offset(&self) -> Result<Option<TimestampedOffset>, ReadError> {
        let segments = self.segments.load();
        let mut latest: Option<(&Segment, i64)> = None;
        for segment in segments.iter() {
            let timestamp = segment.max_timestamp().timestamp;
            if latest.is_none_or(|(_, largest)| timestamp > largest) {
                latest = Some((segment, timestamp));
            }
        }
        match latest {
            Some((segment, timestamp)) if timestamp >= 0 => {
                find_in_segment(segment, timestamp, self.log_start_offset())
            }
            _ => Ok(None),
        }
    }
}

fn find_in_segment(
    segment: &Segment,
    timestamp: i64,
    starting_offset: i64,
) -> Result<Option<TimestampedOffset>, ReadError> {
    // All records up to this offset are earlier (or it is the first with this timestamp).
    let from_offset = segment
        .time_index
        .floor(|entry| entry.timestamp <= timestamp)
        .context_with("read", || segment.path(FileKind::TimeIndex))?
        .map_or(segment.base_offset, |entry| entry.offset)
        .max(starting_offset);
    let end = segment.size();
    let Some(first) = segment.locate(from_offset, end, None)? else {
        return Ok(None);
    };
    let file = segment.file()?;
    let mut scan = Scan::new(&file, first.position, end, SMALL_WINDOW);
    while let Some(batch) = scan
        .next_header()
        .map_err(|error| segment.scan_error(error))?
    {
        if batch.max_timestamp < timestamp || batch.last_offset < starting_offset {
            continue;
        }
        let found = find_in_batch(segment, &batch, timestamp, starting_offset)?;
        if found.is_some() {
            return Ok(found);
        }
    }
    Ok(None)
}

fn find_in_batch(
    segment: &Segment,
    batch: &ScannedBatch,
    timestamp: i64,
    starting_offset: i64,
) -> Result<Option<TimestampedOffset>, ReadError> {
    let mut bytes = vec![0; batch.size as usize];
    segment
        .file()?
        .read_exact_at(&mut bytes, batch.position)
        .context_with("read", || segment.path(FileKind::Log))?;
    let bytes = Bytes::from(bytes);
    let damaged = |reason: crate::DamageReason| segment.damage(batch.position, reason);
    let raw = RawBatch::first(&bytes)
        .map_err(|error| damaged(error.into()))?
        .expect("the whole batch was read");
    raw.check_crc().map_err(|error| damaged(error.into()))?;
    let payload = raw
        .decompress(MAX_DECOMPRESSED_BYTES)
        .map_err(|error| damaged(error.into()))?;
    let records =
        RecordViews::new(raw.header(), &payload).map_err(|error| damaged(error.into()))?;
    for record in records {
        let record = record.map_err(|error| damaged(error.into()))?;
        if record.timestamp >= timestamp && record.offset >= starting_offset {
            return Ok(Some(TimestampedOffset {
                timestamp: record.timestamp,
                offset: record.offset,
                leader_epoch: Some(batch.leader_epoch).filter(|&epoch| epoch >= 0),
            }));
        }
    }
    Ok(None)
}
