//! Reading: which bytes of which file answer a fetch. The step between the broker's partition and `net/send`.
//!
//! Invariant: a range consists of whole batches, the first of which has the offset that was asked for, and ends before
//! the bound. No lock is taken that an append holds over I/O. A fetch at the tail reads no index and no header; one
//! from further back does, and whoever must not wait for the disk asks within [`cached_only`](crate::cached_only).
//! Called by the broker's fetch path, and by replay of coordinators and of the metadata log.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;

use crate::disk::DiskFile;
use crate::error::{Context, ReadError, StorageError};
use crate::log::Log;
use crate::names::FileKind;
use crate::scan::ScannedBatch;
use crate::segment::Segment;
use crate::tail::TailView;
use crate::txn_index::AbortedTxn;

/// How often a read begins again when files were removed under it.
const ATTEMPTS: usize = 3;

/// Batches where they lie.
#[derive(Debug, Clone)]
pub struct ReadRange {
    /// The file, or nothing if there is nothing to read.
    pub file: Option<Arc<DiskFile>>,
    pub position: u64,
    pub len: usize,
    /// Base offset of the first batch, which may lie before the offset that was asked for.
    pub first_offset: i64,
    /// All records in the range lie before this offset.
    pub end_offset: i64,
    pub log_start_offset: i64,
    pub log_end_offset: i64,
    /// There is a batch, but it is larger than `max_bytes` (and `min_one` was not asked for).
    pub is_first_too_large: bool,
}

impl ReadRange {
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Copies the range; for TLS, followers and replay.
    pub fn read(&self) -> io::Result<Bytes> {
        let Some(file) = &self.file else {
            return Ok(Bytes::new());
        };
        let mut buf = vec![0; self.len];
        file.read_exact_at(&mut buf, self.position)?;
        Ok(buf.into())
    }
}

/// What a search in one segment gave.
enum Found {
    Range(ReadRange),
    /// The offset lies behind the last batch of this segment.
    BehindSegment,
}

impl Log {
    /// The batches from the one that has `offset` on: at most `max_bytes` of them (but one, if `min_one`), all before
    /// `upper_bound` (high watermark or last stable offset).
    pub fn read(
        &self,
        offset: i64,
        max_bytes: usize,
        min_one: bool,
        upper_bound: i64,
    ) -> Result<ReadRange, ReadError> {
        self.retrying(|tail, segments| {
            self.try_read(tail, segments, offset, max_bytes, min_one, upper_bound)
        })
    }

    /// As [`Log::read`], with the transactions that were aborted and have records in the range.
    ///
    /// Both come from the same segments: the cleaner drops aborted records together with the word that they were.
    pub fn read_committed(
        &self,
        offset: i64,
        max_bytes: usize,
        min_one: bool,
        upper_bound: i64,
    ) -> Result<(ReadRange, Vec<AbortedTxn>), ReadError> {
        self.retrying(|tail, segments| {
            let range = self.try_read(tail, segments, offset, max_bytes, min_one, upper_bound)?;
            if range.is_empty() {
                return Ok((range, Vec::new()));
            }
            let aborted = aborted_in(segments, range.first_offset, range.end_offset)?;
            Ok((range, aborted))
        })
    }

    fn retrying<T>(
        &self,
        attempt_once: impl Fn(&TailView, &[Arc<Segment>]) -> Result<T, ReadError>,
    ) -> Result<T, ReadError> {
        if self.is_broken() {
            self.check_online()?;
        }
        let mut attempt = 1;
        loop {
            // The order matters: a list loaded after the tail has the tail's segment, unless that was truncated away.
            let tail = self.tail.load();
            let segments = self.segments.load();
            match attempt_once(&tail, &segments) {
                // Retention took the file between the look at the list and its opening; the list tells.
                Err(ReadError::Storage(error))
                    if error.source.kind() == io::ErrorKind::NotFound && attempt < ATTEMPTS =>
                {
                    attempt += 1;
                }
                // The segment was cut while it was read.
                Err(ReadError::Storage(error))
                    if error.source.kind() == io::ErrorKind::UnexpectedEof
                        && attempt < ATTEMPTS =>
                {
                    attempt += 1;
                }
                Err(ReadError::Storage(error)) => return Err(self.read_failed(error)),
                other => return other,
            }
        }
    }

    fn read_failed(&self, error: StorageError) -> ReadError {
        let is_harmless = matches!(
            error.source.kind(),
            io::ErrorKind::NotFound | io::ErrorKind::UnexpectedEof | io::ErrorKind::WouldBlock
        );
        // A file that somebody took away, or that is not in the page cache, is not a disk that fails.
        if is_harmless {
            return error.into();
        }
        self.note(error).into()
    }

    fn try_read(
        &self,
        tail: &TailView,
        segments: &[Arc<Segment>],
        offset: i64,
        max_bytes: usize,
        min_one: bool,
        upper_bound: i64,
    ) -> Result<ReadRange, ReadError> {
        let log_start_offset = self.log_start_offset();
        if offset < log_start_offset || offset > tail.end_offset {
            return Err(ReadError::OffsetOutOfRange {
                partition: self.partition.clone(),
                offset,
                log_start_offset,
                log_end_offset: tail.end_offset,
            });
        }
        let bound = upper_bound.min(tail.end_offset);
        if offset >= bound || (max_bytes == 0 && !min_one) {
            return Ok(self.empty_range(offset, tail));
        }
        let mut at = segments
            .partition_point(|segment| segment.base_offset <= offset)
            .saturating_sub(1);
        while let Some(segment) = segments.get(at) {
            if segment.base_offset > tail.segment || segment.base_offset >= bound {
                break;
            }
            let next_base = segments.get(at + 1).map(|next| next.base_offset);
            let request = Request {
                offset,
                max_bytes: max_bytes as u64,
                min_one,
                bound,
                next_base,
            };
            let found = self.read_segment(segment, tail, &request);
            if segment.is_index_suspect() && segment.base_offset < tail.segment {
                self.repair_index(segment);
            }
            match found? {
                Found::Range(range) => return Ok(range),
                Found::BehindSegment => at += 1,
            }
        }
        Ok(self.empty_range(offset, tail))
    }

    /// Builds a sealed segment's index again, in the background. A read that comes meanwhile scans the log. Where too
    /// much else waits to be done, a later read begins it: this one may be of a thread that must not wait for the disk.
    fn repair_index(&self, segment: &Arc<Segment>) {
        if !segment.begin_repair() {
            return;
        }
        let suspect = Arc::clone(segment);
        let interval = self.config.load().index_interval_bytes;
        let is_queued = self.environment.background.run_or_forget(Box::new(move || {
            if let Err(error) = suspect.repair_index(interval) {
                tracing::warn!(%error, "cannot build an offset index again");
            }
        }));
        if !is_queued {
            segment.put_off_repair();
        }
    }

    fn read_segment(
        &self,
        segment: &Segment,
        tail: &TailView,
        request: &Request,
    ) -> Result<Found, ReadError> {
        let is_tail = segment.base_offset == tail.segment;
        let segment_end = if is_tail {
            tail.end_position
        } else {
            segment.size()
        };
        let bound = self.bound_position(segment, tail, request, segment_end)?;
        let hint = |offset| if is_tail { tail.floor(offset) } else { None };

        let start = hint(request.offset);
        let known_start = start.filter(|mark| mark.offset == request.offset);
        let first = match known_start {
            Some(_) => None,
            None => {
                let hint = start.map(|mark| mark.position);
                match segment.locate(request.offset, segment_end, hint)? {
                    Some(batch) => Some(batch),
                    None => return Ok(Found::BehindSegment),
                }
            }
        };
        let (position, first_offset) = match (known_start, &first) {
            (Some(mark), _) => (mark.position, mark.offset),
            (None, Some(batch)) => (batch.position, batch.base_offset),
            (None, None) => return Ok(Found::BehindSegment),
        };
        if position >= bound.position {
            return Ok(Found::Range(self.empty_range(request.offset, tail)));
        }
        let available = bound.position - position;
        let (len, end_offset) = if available <= request.max_bytes {
            (available, bound.offset)
        } else {
            let limit = position + request.max_bytes;
            let known_end = is_tail
                .then(|| tail.floor_position(limit))
                .flatten()
                .filter(|mark| mark.position > position);
            match known_end {
                Some(mark) => (mark.position - position, mark.offset),
                None => {
                    self.whole_batches(segment, position, limit, bound.position, request, first)?
                }
            }
        };
        if len == 0 {
            let mut range = self.empty_range(request.offset, tail);
            range.is_first_too_large = true;
            return Ok(Found::Range(range));
        }
        Ok(Found::Range(ReadRange {
            file: Some(segment.file()?),
            position,
            len: len as usize,
            first_offset,
            end_offset,
            log_start_offset: self.log_start_offset(),
            log_end_offset: tail.end_offset,
            is_first_too_large: false,
        }))
    }

    /// Length and end of the batches that end at `limit` or before; or of the first alone, if one is wanted anyway.
    fn whole_batches(
        &self,
        segment: &Segment,
        position: u64,
        limit: u64,
        end: u64,
        request: &Request,
        first: Option<ScannedBatch>,
    ) -> Result<(u64, i64), ReadError> {
        if let Some((end, next_offset)) = segment.last_end_before(position, limit, end)? {
            return Ok((end - position, next_offset));
        }
        if !request.min_one {
            return Ok((0, request.offset));
        }
        let first = match first {
            Some(first) => Some(first),
            None => segment.batch_at(position)?,
        };
        Ok(first.map_or((0, request.offset), |first| {
            (first.size, first.next_offset())
        }))
    }

    /// Where the bound lies in the segment.
    fn bound_position(
        &self,
        segment: &Segment,
        tail: &TailView,
        request: &Request,
        segment_end: u64,
    ) -> Result<Bound, ReadError> {
        let is_tail = segment.base_offset == tail.segment;
        if is_tail && request.bound == tail.end_offset {
            return Ok(Bound {
                position: segment_end,
                offset: request.bound,
            });
        }
        if let Some(next_base) = request.next_base
            && next_base <= request.bound
            && !is_tail
        {
            return Ok(Bound {
                position: segment_end,
                offset: next_base,
            });
        }
        let hint = if is_tail {
            tail.floor(request.bound)
        } else {
            None
        };
        if let Some(mark) = hint
            && mark.offset == request.bound
        {
            return Ok(Bound {
                position: mark.position,
                offset: mark.offset,
            });
        }
        let batch = segment.locate(request.bound, segment_end, hint.map(|mark| mark.position))?;
        Ok(Bound {
            position: batch.map_or(segment_end, |batch| batch.position),
            offset: request.bound,
        })
    }

    fn empty_range(&self, offset: i64, tail: &TailView) -> ReadRange {
        ReadRange {
            file: None,
            position: 0,
            len: 0,
            first_offset: offset,
            end_offset: offset,
            log_start_offset: self.log_start_offset.load(Ordering::Acquire),
            log_end_offset: tail.end_offset,
            is_first_too_large: false,
        }
    }

    /// The transactions that were aborted and have records in `[from, upper)`: what read_committed consumers filter.
    pub fn aborted_transactions(
        &self,
        from: i64,
        upper: i64,
    ) -> Result<Vec<AbortedTxn>, ReadError> {
        aborted_in(&self.segments.load(), from, upper)
    }
}

fn aborted_in(
    segments: &[Arc<Segment>],
    from: i64,
    upper: i64,
) -> Result<Vec<AbortedTxn>, ReadError> {
    let first = segments
        .partition_point(|segment| segment.base_offset <= from)
        .saturating_sub(1);
    let mut aborted = Vec::new();
    for segment in &segments[first..] {
        let found = segment
            .txn_index
            .search(from, upper)
            .context_with("read", || segment.path(FileKind::TxnIndex))?;
        aborted.extend(found.aborted);
        if found.is_complete {
            break;
        }
    }
    Ok(aborted)
}

struct Request {
    offset: i64,
    max_bytes: u64,
    min_one: bool,
    bound: i64,
    /// Base offset of the segment that follows.
    next_base: Option<i64>,
}

struct Bound {
    position: u64,
    offset: i64,
}
