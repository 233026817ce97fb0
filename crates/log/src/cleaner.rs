//! Compaction: of each key the last record stays, and offsets stay as they are.
//!
//! ```text
//! dirty part ──▶ offset map (key → last offset)
//! all segments before its end, in groups ──▶ one `.cleaned` segment per group ──▶ `.swap` ──▶ in their place
//! ```
//!
//! | module | |
//! | --- | --- |
//! | `plan` | what is dirty, what may be cleaned, which segments become one |
//! | `offset_map` | the last offset of each key, in bounded memory |
//! | `transactions` | what of transactions may go |
//! | `filter` | what is left of a batch |
//! | `source` | reading batches |
//! | `swap` | putting a cleaned segment in place |
//! | `throttle` | how fast all of this may go |
//!
//! Invariant: memory is the offset map, two buffers and one batch. No lock that an append needs is held over I/O. A
//! clean that is overtaken by a truncation or a removal leaves the log as it was, and so does a crash at any point.
//! Called by the manager's cleaner threads ([`LogManager`](crate::LogManager)).

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, UNIX_EPOCH};

use crate::config::LogConfig;
use crate::error::{Context, Damage, DamageReason, ReadError, StorageError};
use crate::log::Log;
use crate::names::FileKind;
use crate::scan::ScannedBatch;
use crate::segment::Segment;

mod filter;
mod offset_map;
pub(crate) mod plan;
mod source;
mod swap;
pub(crate) mod throttle;
mod transactions;

use filter::{LastRecord, Left, Rules, Scratch, filter};
use offset_map::{Digest, OffsetMap};
use plan::{Cleanable, LogView, SegmentView};
use source::Source;
use transactions::CleanedTransactions;

/// The largest log file: positions are 32-bit numbers with a sign in Kafka's index.
const SEGMENT_BYTES_MAX: u64 = i32::MAX as u64;

/// The cleaner is to stop.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Stopped;

/// Lets the cleaner go on, or wait, or stop.
pub(crate) trait Pace {
    /// Notes that `bytes` were read or written.
    fn spend(&self, bytes: u64) -> Result<(), Stopped>;
}

/// Why a clean did not come to its end.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CleanError {
    #[error("the cleaner stops")]
    Stopped,
    #[error("the log was cut, closed or reconfigured meanwhile")]
    Overtaken,
    #[error(transparent)]
    Damaged(Damage),
    #[error(transparent)]
    Storage(#[from] StorageError),
    #[error("the batch at offset {offset} has more keys than the offset map has room for ({keys})")]
    MapTooSmall { offset: i64, keys: usize },
    #[error("the cleaner panicked: {message}")]
    Panicked { message: String },
    #[error("what the segment at {base_offset} is cleaned to is larger than a segment can be")]
    SegmentTooLarge { base_offset: i64 },
}

impl From<Stopped> for CleanError {
    fn from(Stopped: Stopped) -> Self {
        CleanError::Stopped
    }
}

impl From<ReadError> for CleanError {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Storage(error) => CleanError::Storage(error),
            ReadError::Damaged(damage) => CleanError::Damaged(damage),
            ReadError::OffsetOutOfRange { .. } => CleanError::Overtaken,
        }
    }
}

/// What one thread may use.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Means {
    pub map_bytes: usize,
    pub map_load_factor: f64,
    pub buffer_bytes: usize,
    /// Keys the digests of this clean.
    pub secret: u128,
}

/// What a clean did.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct CleanStats {
    pub end_offset: i64,
    pub map_bytes_read: u64,
    pub map_utilization: f64,
    pub keys: usize,
    pub bytes_read: u64,
    pub bytes_written: u64,
    pub records_read: u64,
    pub records_kept: u64,
    pub keyless: u64,
}

/// One clean of one log.
struct Clean<'a> {
    log: &'a Log,
    config: Arc<LogConfig>,
    pace: &'a dyn Pace,
    source: Source,
    out: Vec<u8>,
    /// As counted by the log's writer when the clean began.
    truncations: u64,
    first_uncleanable: i64,
    now_ms: i64,
    stats: CleanStats,
}

impl Log {
    /// What could be cleaned at this moment.
    pub(crate) fn cleanable(&self, now_ms: i64) -> Result<Cleanable, ReadError> {
        let config = self.config.load();
        let segments = self.segments.load();
        let checkpoint = self.cleaned_until.load(Ordering::Acquire);
        let first_dirty = checkpoint.max(self.log_start_offset());
        let is_dirty = |at: usize| {
            segments
                .get(at + 1)
                .is_some_and(|next| next.base_offset > first_dirty)
        };
        let mut views = Vec::with_capacity(segments.len());
        for (at, segment) in segments.iter().enumerate() {
            let mut view = view_of(segment);
            if is_dirty(at) && config.min_compaction_lag_ms > 0 {
                view.largest_timestamp = Some(segment.retention_timestamp()?);
            }
            if is_dirty(at) && config.max_compaction_lag_ms < i64::MAX {
                view.first_timestamp = segment.first_timestamp()?;
            }
            views.push(view);
        }
        let view = LogView {
            log_start_offset: self.log_start_offset(),
            log_end_offset: self.log_end_offset(),
            last_stable_offset: self.last_stable_offset(),
            checkpoint: (checkpoint >= 0).then_some(checkpoint),
            segments: views,
        };
        Ok(plan::cleanable(&view, &config, now_ms))
    }

    /// Cleans what `cleanable` says.
    pub(crate) fn clean(
        &self,
        cleanable: &Cleanable,
        means: &Means,
        pace: &dyn Pace,
        now_ms: i64,
    ) -> Result<CleanStats, CleanError> {
        let truncations = self.writer().truncations;
        let mut clean = Clean {
            log: self,
            config: self.config.load_full(),
            pace,
            source: Source::new(means.buffer_bytes),
            out: Vec::new(),
            truncations,
            first_uncleanable: cleanable.first_uncleanable,
            now_ms,
            stats: CleanStats::default(),
        };
        // What is dropped rests on what comes later: on the records of the same keys, and on markers, which may lie in
        // the active segment. A crash must not take those away.
        let flushed = self.flush().map_err(CleanError::from);
        let result = flushed.and_then(|()| clean.run(cleanable.first_dirty, means));
        // Where the log was cut, whatever was read there may have looked like damage.
        match result {
            Err(CleanError::Damaged(_) | CleanError::Storage(_)) if clean.is_overtaken() => {
                Err(CleanError::Overtaken)
            }
            Err(CleanError::Storage(error)) => Err(self.note(error).into()),
            other => other,
        }
    }

    fn last_records(&self) -> HashMap<i64, LastRecord> {
        let writer = self.writer();
        let entries = writer.producers.entries();
        entries
            .into_iter()
            .map(|entry| {
                let last = LastRecord {
                    data_offset: entry.last_batch().map(|batch| batch.last_offset),
                    producer_epoch: entry.producer_epoch,
                };
                (entry.producer_id, last)
            })
            .collect()
    }
}

fn view_of(segment: &Segment) -> SegmentView {
    SegmentView {
        base_offset: segment.base_offset,
        bytes: segment.size(),
        offset_index_bytes: segment.offset_index.bytes(),
        time_index_bytes: segment.time_index.bytes(),
        largest_timestamp: None,
        first_timestamp: None,
    }
}

impl Clean<'_> {
    fn run(&mut self, first_dirty: i64, means: &Means) -> Result<CleanStats, CleanError> {
        let segments: Vec<Arc<Segment>> = self.log.segments.load().as_ref().clone();
        let cleanable =
            segments.partition_point(|segment| segment.base_offset < self.first_uncleanable);
        let segments = &segments[..cleanable];
        let map = self.build_map(segments, first_dirty, means)?;
        self.stats.end_offset = map.latest_offset() + 1;
        self.stats.map_utilization = map.utilization();
        self.stats.keys = map.len();
        let mapped =
            segments.partition_point(|segment| segment.base_offset < self.stats.end_offset);
        let views: Vec<SegmentView> = segments[..mapped].iter().map(|s| view_of(s)).collect();
        let mut transactions = CleanedTransactions::default();
        let mut at = 0;
        for count in plan::group(&views, &self.config, self.first_uncleanable) {
            let next_base = segments
                .get(at + count)
                .map_or(self.first_uncleanable, |segment| segment.base_offset);
            self.clean_group(
                &segments[at..at + count],
                next_base,
                &map,
                &mut transactions,
            )?;
            at += count;
        }
        self.finish()?;
        Ok(self.stats)
    }

    fn is_overtaken(&self) -> bool {
        check_current(self.log).is_err() || self.log.writer().truncations != self.truncations
    }

    /// Notes the last offset of each key in the dirty part, as far as the map has room.
    fn build_map(
        &mut self,
        segments: &[Arc<Segment>],
        first_dirty: i64,
        means: &Means,
    ) -> Result<OffsetMap, CleanError> {
        let first = segments
            .partition_point(|segment| segment.base_offset <= first_dirty)
            .saturating_sub(1);
        let dirty = &segments[first..];
        let mut map = OffsetMap::new(means.map_bytes, means.map_load_factor, means.secret);
        let mut transactions = CleanedTransactions::default();
        let aborted = self
            .log
            .aborted_transactions(first_dirty, self.first_uncleanable)?;
        transactions.add_aborted(&aborted);
        for (at, segment) in dirty.iter().enumerate() {
            let is_full = self.map_segment(segment, first_dirty, &mut map, &mut transactions)?;
            if is_full {
                break;
            }
            let next_base = dirty
                .get(at + 1)
                .map_or(self.first_uncleanable, |next| next.base_offset);
            map.set_latest_offset(next_base - 1);
        }
        if map.latest_offset() < first_dirty {
            return Err(CleanError::MapTooSmall {
                offset: first_dirty,
                keys: map.len(),
            });
        }
        Ok(map)
    }

    /// Returns whether the map became full before the segment's end.
    fn map_segment(
        &mut self,
        segment: &Segment,
        first_dirty: i64,
        map: &mut OffsetMap,
        transactions: &mut CleanedTransactions,
    ) -> Result<bool, CleanError> {
        let Some(first) = segment.locate(first_dirty, segment.size(), None)? else {
            return Ok(false);
        };
        let mut is_full = false;
        let mut keys = Vec::new();
        let (pace, log) = (self.pace, self.log);
        let stats = &mut self.stats;
        let mut on_read = |bytes| spend(log, pace, bytes, &mut stats.map_bytes_read);
        self.source.read(
            segment,
            first.position,
            &mut on_read,
            &mut |position, batch| {
                let damaged =
                    |reason: DamageReason| CleanError::Damaged(segment.damage(position, reason));
                if batch.is_control() {
                    transactions
                        .on_control(&batch)
                        .map_err(|error| damaged(error.into()))?;
                } else if !transactions.on_data(&batch) {
                    is_full = map_batch(&batch, first_dirty, map, &mut keys).map_err(damaged)?;
                }
                if !is_full && batch.last_offset() >= first_dirty {
                    map.set_latest_offset(batch.last_offset());
                }
                Ok(!is_full)
            },
        )?;
        Ok(is_full)
    }

    /// Writes what is left of `group` to one segment, and puts that in their place.
    fn clean_group(
        &mut self,
        group: &[Arc<Segment>],
        next_base: i64,
        map: &OffsetMap,
        transactions: &mut CleanedTransactions,
    ) -> Result<(), CleanError> {
        let base_offset = group[0].base_offset;
        let log = self.log;
        log.remove_cleaned(base_offset)?;
        let cleaned = Arc::new(Segment::cleaned(
            &log.environment.files,
            &log.place.load().dir,
            base_offset,
        ));
        let written = self
            .write_group(group, next_base, map, transactions, &cleaned)
            .and_then(|()| log.swap_in(&cleaned, group, self.truncations, self.now_ms));
        if written.is_err() {
            // What stays behind is removed at the next clean or start.
            cleaned.close_files();
            let _ = log.remove_cleaned(base_offset);
        }
        written
    }

    fn write_group(
        &mut self,
        group: &[Arc<Segment>],
        next_base: i64,
        map: &OffsetMap,
        transactions: &mut CleanedTransactions,
        cleaned: &Arc<Segment>,
    ) -> Result<(), CleanError> {
        cleaned.file_or_create()?;
        let last_records = self.log.last_records();
        let rules = Rules {
            map,
            now_ms: self.now_ms,
            delete_retention_ms: self.config.delete_retention_ms,
            upper_bound: self.first_uncleanable,
            last_records: &last_records,
        };
        let mut since_index_entry = 0;
        for (at, segment) in group.iter().enumerate() {
            let end = group.get(at + 1).map_or(next_base, |next| next.base_offset);
            let aborted = self.log.aborted_transactions(segment.base_offset, end)?;
            transactions.add_aborted(&aborted);
            self.clean_segment(
                segment,
                cleaned,
                &rules,
                transactions,
                &mut since_index_entry,
            )?;
        }
        self.write_out(cleaned)?;
        let last = group.last().expect("a group has a segment");
        self.make_durable(cleaned, last)
    }

    fn clean_segment(
        &mut self,
        segment: &Segment,
        cleaned: &Segment,
        rules: &Rules<'_>,
        transactions: &mut CleanedTransactions,
        since_index_entry: &mut u64,
    ) -> Result<(), CleanError> {
        let mut scratch = Scratch::default();
        let mut source = std::mem::replace(&mut self.source, Source::new(0));
        let (pace, log) = (self.pace, self.log);
        let mut bytes_read = 0;
        let mut on_read = |bytes| spend(log, pace, bytes, &mut bytes_read);
        let read = source.read(segment, 0, &mut on_read, &mut |position, batch| {
            let filtered = filter(&batch, transactions, rules, &mut scratch)
                .map_err(|reason| CleanError::Damaged(segment.damage(position, reason)))?;
            self.stats.records_read += filtered.records_read;
            self.stats.records_kept += filtered.records_kept;
            self.stats.keyless += filtered.keyless;
            if let Some(aborted) = filtered.aborted {
                cleaned
                    .txn_index
                    .append(aborted)
                    .context("write", cleaned.path(FileKind::TxnIndex))?;
            }
            match filtered.left {
                Left::Nothing => {}
                Left::AsItIs => self.push(cleaned, batch.as_bytes(), since_index_entry)?,
                Left::Batch(bytes) => self.push(cleaned, &bytes, since_index_entry)?,
            }
            Ok(true)
        });
        self.stats.bytes_read += bytes_read;
        self.source = source;
        read
    }

    /// Adds a batch to what waits to be written, and to the indexes.
    fn push(
        &mut self,
        cleaned: &Segment,
        bytes: &[u8],
        since_index_entry: &mut u64,
    ) -> Result<(), CleanError> {
        let position = cleaned.size() + self.out.len() as u64;
        if position + bytes.len() as u64 > SEGMENT_BYTES_MAX {
            return Err(CleanError::SegmentTooLarge {
                base_offset: cleaned.base_offset,
            });
        }
        let header = ottla_records::BatchHeader::parse(bytes)
            .ok()
            .flatten()
            .expect("what is kept is a batch");
        let batch = ScannedBatch::of(header, position);
        cleaned.note_batch(&batch, self.config.index_interval_bytes, since_index_entry)?;
        self.out.extend_from_slice(bytes);
        if self.out.len() >= self.source.buffer_bytes() {
            self.write_out(cleaned)?;
        }
        Ok(())
    }

    fn write_out(&mut self, cleaned: &Segment) -> Result<(), CleanError> {
        if self.out.is_empty() {
            return Ok(());
        }
        let position = cleaned.size();
        let bytes = self.out.len() as u64;
        cleaned
            .file_or_create()?
            .write_all_at(&self.out, position)
            .context("write", cleaned.path(FileKind::Log))?;
        cleaned.set_size(position + bytes);
        cleaned.start_writeback(position, bytes);
        self.out.clear();
        self.out.shrink_to(self.source.buffer_bytes());
        self.stats.bytes_written += bytes;
        self.pace.spend(bytes)?;
        Ok(())
    }

    /// The cleaned segment is as old as the last of those that it stands for.
    fn make_durable(&self, cleaned: &Segment, last: &Segment) -> Result<(), CleanError> {
        let modified_ms = last.modified_ms()?;
        let path = || cleaned.path(FileKind::Log);
        cleaned.seal()?;
        let file = cleaned.file_or_create()?;
        file.sync_data().context("sync", path())?;
        // The directory is synced in any case.
        let _ = cleaned.sync_indexes()?;
        let modified = UNIX_EPOCH + Duration::from_millis(modified_ms.max(0) as u64);
        file.file()
            .set_modified(modified)
            .context("set the time of", path())?;
        self.log
            .place
            .load()
            .dir
            .sync(self.log.environment.disk())?;
        Ok(())
    }

    /// Notes how far the log is clean, unless it was cut meanwhile.
    fn finish(&self) -> Result<(), CleanError> {
        let writer = self.log.writer();
        if writer.truncations != self.truncations {
            return Err(CleanError::Overtaken);
        }
        self.log.set_cleaned_until(self.stats.end_offset);
        Ok(())
    }
}

/// What stops a clean before its end.
fn check_current(log: &Log) -> Result<(), CleanError> {
    if log.is_out_of_use() || !log.config.load().is_compact {
        return Err(CleanError::Overtaken);
    }
    Ok(())
}

fn spend(log: &Log, pace: &dyn Pace, bytes: u64, count: &mut u64) -> Result<(), CleanError> {
    check_current(log)?;
    *count += bytes;
    Ok(pace.spend(bytes)?)
}

/// Puts the keys of a batch into the map. Returns whether it is full.
fn map_batch(
    batch: &ottla_records::RawBatch<'_>,
    first_dirty: i64,
    map: &mut OffsetMap,
    keys: &mut Vec<(Digest, i64)>,
) -> Result<bool, DamageReason> {
    let payload = batch.decompress(ottla_records::MAX_DECOMPRESSED_BYTES)?;
    keys.clear();
    for record in ottla_records::RecordViews::new(batch.header(), &payload)? {
        let record = record?;
        if let Some(key) = record.key
            && record.offset >= first_dirty
        {
            keys.push((map.digest(key), record.offset));
        }
    }
    map.fetch(keys.iter().map(|(digest, _)| *digest));
    for (digest, offset) in keys.iter() {
        if map.put(*digest, *offset).is_err() {
            return Ok(true);
        }
    }
    Ok(false)
}

#[cfg(test)]
mod tests;
