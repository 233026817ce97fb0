//! One segment: its `.log`, its indexes, and look-ups in them.
//!
//! Invariant: `size` counts complete batches that readers may see; bytes of the file beyond it (a write under way, what
//! a failed write left) belong to nobody. Everything but `size`, the indexes and the stamps is fixed at creation, and
//! only the log's single writer changes those.
//! Called by the log's append, read, look-ups, recovery and retention.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use crate::disk::{DiskFile, Space};
use crate::error::{Context, Damage, DamageReason, ReadError, StorageError};
use crate::file_cache::{DirPath, FileCache, FileSlot};
use crate::index::{OffsetEntry, SparseIndex, TimeEntry};
use crate::names::{FileKind, FileState};
use crate::scan::{LARGE_WINDOW, SMALL_WINDOW, Scan, ScanError, ScannedBatch};
use crate::txn_index::TxnIndex;

/// Marks a segment or log without a timestamp.
pub const NO_TIMESTAMP: i64 = -1;

/// A timestamp and the last offset of the batch that has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TimestampOffset {
    pub timestamp: i64,
    pub offset: i64,
}

#[derive(Debug)]
pub(crate) struct Segment {
    pub base_offset: i64,
    dir: Arc<DirPath>,
    log: Arc<FileSlot>,
    pub offset_index: SparseIndex<OffsetEntry>,
    pub time_index: SparseIndex<TimeEntry>,
    pub txn_index: TxnIndex,
    size: AtomicU64,
    /// Blocks behind the end are reserved.
    has_reserve: AtomicBool,
    /// The offset index was found to lie.
    is_index_suspect: AtomicBool,
    /// Somebody builds it again, or could not.
    is_being_repaired: AtomicBool,
    stamps: Mutex<Stamps>,
}

#[derive(Debug, Clone, Copy)]
struct Stamps {
    /// The largest timestamp, once known.
    max: Option<TimestampOffset>,
    /// The max timestamp of the first batch, once known; time-based rolling counts from it.
    first_batch: Option<i64>,
    created_ms: i64,
}

impl Segment {
    /// A segment whose file may or may not exist; nothing is read or created here.
    pub fn new(
        cache: &Arc<FileCache>,
        dir: &Arc<DirPath>,
        base_offset: i64,
        size: u64,
        created_ms: i64,
    ) -> Segment {
        Segment::in_state(cache, dir, base_offset, size, created_ms, FileState::Live)
    }

    /// A segment that the cleaner is about to write.
    pub fn cleaned(cache: &Arc<FileCache>, dir: &Arc<DirPath>, base_offset: i64) -> Segment {
        Segment::in_state(cache, dir, base_offset, 0, 0, FileState::Cleaned)
    }

    fn in_state(
        cache: &Arc<FileCache>,
        dir: &Arc<DirPath>,
        base_offset: i64,
        size: u64,
        created_ms: i64,
        state: FileState,
    ) -> Segment {
        let slot = |kind| FileSlot::new(cache, dir, base_offset, kind, state);
        Segment {
            base_offset,
            dir: Arc::clone(dir),
            log: slot(FileKind::Log),
            offset_index: SparseIndex::new(slot(FileKind::OffsetIndex), base_offset),
            time_index: SparseIndex::new(slot(FileKind::TimeIndex), base_offset),
            txn_index: TxnIndex::new(cache, dir, base_offset, state),
            size: AtomicU64::new(size),
            has_reserve: AtomicBool::new(false),
            is_index_suspect: AtomicBool::new(false),
            is_being_repaired: AtomicBool::new(false),
            stamps: Mutex::new(Stamps {
                max: None,
                first_batch: None,
                created_ms,
            }),
        }
    }

    pub fn path(&self, kind: FileKind) -> PathBuf {
        self.dir.file(self.base_offset, kind)
    }

    /// Keeps the files open for whoever holds the segment: others are about to take their names.
    pub fn hold_files(&self) -> Result<(), StorageError> {
        let held = [
            (FileKind::Log, self.log.hold()),
            (FileKind::OffsetIndex, self.offset_index.hold()),
            (FileKind::TimeIndex, self.time_index.hold()),
            (FileKind::TxnIndex, self.txn_index.hold()),
        ];
        for (kind, held) in held {
            held.context("open", self.path(kind))?;
        }
        Ok(())
    }

    /// Gives the files the names that they have in `state`, the log first; returns the paths of those that exist.
    ///
    /// Who holds the segment goes on with these files, and never takes another's for them.
    pub fn rename(&self, state: FileState) -> Result<Vec<PathBuf>, StorageError> {
        let renamed = [
            (FileKind::Log, self.log.rename(state)),
            (FileKind::OffsetIndex, self.offset_index.rename(state)),
            (FileKind::TimeIndex, self.time_index.rename(state)),
            (FileKind::TxnIndex, self.txn_index.rename(state)),
        ];
        let mut paths = Vec::with_capacity(renamed.len());
        for (kind, renamed) in renamed {
            paths.extend(renamed.context("rename", self.path(kind))?);
        }
        Ok(paths)
    }

    pub fn size(&self) -> u64 {
        self.size.load(Ordering::Acquire)
    }

    pub fn set_size(&self, size: u64) {
        self.size.store(size, Ordering::Release);
    }

    /// The `.log` file.
    pub fn file(&self) -> Result<Arc<DiskFile>, StorageError> {
        self.log
            .get()
            .context_with("open", || self.path(FileKind::Log))
    }

    /// The `.log` file, created if need be.
    pub fn file_or_create(&self) -> Result<Arc<DiskFile>, StorageError> {
        self.log
            .get_or_create()
            .context_with("open", || self.path(FileKind::Log))
    }

    /// Whether an offset can be written relative to the base, as the indexes do.
    pub fn can_hold(&self, offset: i64) -> bool {
        offset
            .checked_sub(self.base_offset)
            .is_some_and(|relative| (0..=i64::from(i32::MAX)).contains(&relative))
    }

    /// Notes a batch that was written at `position`: indexes and timestamps.
    ///
    /// `since_entry` counts the bytes since the last index entry, and is the writer's.
    pub fn note_batch(
        &self,
        batch: &ScannedBatch,
        index_interval_bytes: u32,
        since_entry: &mut u64,
    ) -> Result<(), StorageError> {
        let max = {
            let mut stamps = self.stamps();
            if stamps.first_batch.is_none() && batch.position == 0 {
                stamps.first_batch = Some(batch.max_timestamp);
            }
            let known = self.known_max(&stamps);
            let max = if batch.max_timestamp > known.timestamp {
                TimestampOffset {
                    timestamp: batch.max_timestamp,
                    offset: batch.last_offset,
                }
            } else {
                known
            };
            stamps.max = Some(max);
            max
        };
        if *since_entry > u64::from(index_interval_bytes) {
            self.offset_index
                .append(OffsetEntry {
                    offset: batch.last_offset,
                    position: batch.position as u32,
                })
                .context_with("write", || self.path(FileKind::OffsetIndex))?;
            self.append_time_entry(max)?;
            *since_entry = 0;
        }
        *since_entry += batch.size;
        Ok(())
    }

    fn append_time_entry(&self, max: TimestampOffset) -> Result<(), StorageError> {
        if max.timestamp < 0 {
            return Ok(());
        }
        self.time_index
            .append(TimeEntry {
                timestamp: max.timestamp,
                offset: max.offset,
            })
            .context_with("write", || self.path(FileKind::TimeIndex))
    }

    /// What Kafka does to a segment that is no longer appended to: the largest timestamp goes to the time index.
    pub fn seal(&self) -> Result<(), StorageError> {
        self.add_last_timestamp()?;
        self.flush_indexes()
    }

    /// The part of [`Segment::seal`] that needs no file.
    pub fn add_last_timestamp(&self) -> Result<(), StorageError> {
        let max = self.stamps().max;
        match max {
            Some(max) => self.append_time_entry(max),
            None => Ok(()),
        }
    }

    /// Reserves blocks for the bytes from `position` on, fewer where there is little room. Failing at that does no harm.
    pub fn reserve(&self, position: u64, len: u64) {
        let Ok(file) = self.file() else {
            return;
        };
        self.note_reserve();
        let path = self.path(FileKind::Log);
        let reserved = Space::of(&path)
            .and_then(|space| file.reserve(position, len.min(space.for_reserve()).max(1)));
        if let Err(error) = reserved {
            tracing::debug!(path = %path.display(), %error, "cannot reserve blocks");
        }
    }

    /// Notes that blocks are reserved behind the end.
    pub fn note_reserve(&self) {
        self.has_reserve.store(true, Ordering::Release);
    }

    /// Gives back the blocks that were reserved and not needed.
    pub fn give_back_reserve(&self) -> Result<(), StorageError> {
        if !self.has_reserve.swap(false, Ordering::AcqRel) {
            return Ok(());
        }
        self.file()?
            .set_len(self.size())
            .context_with("trim", || self.path(FileKind::Log))
    }

    /// Has the kernel begin to write what was appended. Failing at that does no harm either.
    pub fn start_writeback(&self, position: u64, len: u64) {
        if let Ok(file) = self.file()
            && let Err(error) = file.start_writeback(position, len)
        {
            tracing::debug!(path = %self.path(FileKind::Log).display(), %error, "cannot start writeback");
        }
    }

    /// Whether sealing would write something.
    pub fn needs_seal(&self) -> bool {
        let max = self.stamps().max;
        let is_known = max.is_none_or(|max| {
            let last = self.time_index.last();
            max.timestamp < 0 || last.is_some_and(|last| last.timestamp >= max.timestamp)
        });
        !is_known || self.has_pending_entries()
    }

    /// Whether index entries wait in memory.
    pub fn has_pending_entries(&self) -> bool {
        self.offset_index.has_pending() || self.time_index.has_pending()
    }

    pub fn has_index_files(&self) -> bool {
        [FileKind::OffsetIndex, FileKind::TimeIndex]
            .iter()
            .all(|&kind| self.path(kind).exists())
    }

    /// Writes index entries that wait in memory.
    pub fn flush_indexes(&self) -> Result<(), StorageError> {
        self.offset_index
            .flush()
            .context_with("write", || self.path(FileKind::OffsetIndex))?;
        self.time_index
            .flush()
            .context_with("write", || self.path(FileKind::TimeIndex))
    }

    /// Makes indexes durable; the log file is synced by the log's flush. Returns whether the directory must be synced.
    #[must_use = "the directory may have to be synced"]
    pub fn sync_indexes(&self) -> Result<bool, StorageError> {
        self.offset_index
            .sync()
            .context_with("sync", || self.path(FileKind::OffsetIndex))?;
        self.time_index
            .sync()
            .context_with("sync", || self.path(FileKind::TimeIndex))?;
        self.sync_txn_index()
    }

    /// The part of [`Segment::sync_indexes`] that cannot be built again from the batches behind the recovery point.
    #[must_use = "the directory may have to be synced"]
    pub fn sync_txn_index(&self) -> Result<bool, StorageError> {
        self.txn_index
            .sync()
            .context_with("sync", || self.path(FileKind::TxnIndex))
    }

    /// Gives `copy`, which has the same batches in another directory, the indexes and the timestamps of this segment.
    pub fn copy_derived_to(&self, copy: &Segment) -> Result<(), StorageError> {
        let offsets = self.offset_index.export();
        let offsets = offsets.context_with("read", || self.path(FileKind::OffsetIndex))?;
        let times = self.time_index.export();
        let times = times.context_with("read", || self.path(FileKind::TimeIndex))?;
        self.copy_txn_index_to(copy)?;
        copy.offset_index
            .import(&offsets)
            .context_with("write", || copy.path(FileKind::OffsetIndex))?;
        copy.time_index
            .import(&times)
            .context_with("write", || copy.path(FileKind::TimeIndex))?;
        let stamps = *self.stamps();
        *copy.stamps() = stamps;
        Ok(())
    }

    /// The part of [`Segment::copy_derived_to`] that cannot be built again.
    pub fn copy_txn_index_to(&self, copy: &Segment) -> Result<(), StorageError> {
        let aborted = self.txn_index.export();
        let aborted = aborted.context_with("read", || self.path(FileKind::TxnIndex))?;
        copy.txn_index
            .import(&aborted)
            .context_with("write", || copy.path(FileKind::TxnIndex))
    }

    /// Whether an index has no room left, so that the log must roll.
    pub fn are_indexes_full(&self, index_bytes_max: u32) -> bool {
        self.offset_index.is_full(index_bytes_max, 0) || self.time_index.is_full(index_bytes_max, 1)
    }

    /// The largest timestamp, or -1 and the base offset if there is none.
    pub fn max_timestamp(&self) -> TimestampOffset {
        let mut stamps = self.stamps();
        let max = self.known_max(&stamps);
        stamps.max = Some(max);
        max
    }

    /// The largest timestamp as far as it is known: of a segment that was just opened the time index tells it.
    fn known_max(&self, stamps: &Stamps) -> TimestampOffset {
        stamps.max.unwrap_or_else(|| self.last_indexed_timestamp())
    }

    fn last_indexed_timestamp(&self) -> TimestampOffset {
        match self.time_index.last() {
            Some(entry) => TimestampOffset {
                timestamp: entry.timestamp,
                offset: entry.offset,
            },
            None => TimestampOffset {
                timestamp: NO_TIMESTAMP,
                offset: self.base_offset,
            },
        }
    }

    /// The largest timestamp, or else when the file was last written: what retention by time counts from.
    pub fn retention_timestamp(&self) -> Result<i64, StorageError> {
        let max = self.max_timestamp();
        if max.timestamp >= 0 {
            return Ok(max.timestamp);
        }
        self.modified_ms()
    }

    /// When the log file was last written.
    pub fn modified_ms(&self) -> Result<i64, StorageError> {
        let file = self.file()?;
        let modified = file
            .file()
            .metadata()
            .and_then(|metadata| metadata.modified())
            .context("look at", self.path(FileKind::Log))?;
        Ok(modified
            .duration_since(std::time::UNIX_EPOCH)
            .map_or(0, |since| since.as_millis() as i64))
    }

    /// The timestamp of the first batch, if there is one.
    pub fn first_timestamp(&self) -> Result<Option<i64>, ReadError> {
        let known = self.stamps().first_batch;
        if known.is_some() || self.size() == 0 {
            return Ok(known);
        }
        let first = self.batch_at(0)?.map(|batch| batch.max_timestamp);
        self.stamps().first_batch = first;
        Ok(first)
    }

    /// How long the segment has been open, by the time that its records tell (as Kafka counts).
    pub fn waited_for_roll(&self, now_ms: i64, batch_timestamp: i64) -> Result<i64, ReadError> {
        Ok(match self.first_timestamp()? {
            Some(first) if first >= 0 => batch_timestamp - first,
            _ => now_ms - self.stamps().created_ms,
        })
    }

    /// The batch that begins at `position`.
    pub fn batch_at(&self, position: u64) -> Result<Option<ScannedBatch>, ReadError> {
        let file = self.file()?;
        let mut scan = Scan::new(&file, position, self.size(), SMALL_WINDOW);
        scan.next_header().map_err(|error| self.scan_error(error))
    }

    /// The first batch of those before `end` whose last offset is `offset` or more.
    ///
    /// `hint` is the beginning of a batch that is known to lie at or before the one that is looked for.
    pub fn locate(
        &self,
        offset: i64,
        end: u64,
        hint: Option<u64>,
    ) -> Result<Option<ScannedBatch>, ReadError> {
        if let Some(hint) = hint {
            return self.scan_for(offset, hint, end, None);
        }
        let indexed = self
            .offset_index
            .floor(|entry| entry.offset <= offset)
            .context_with("read", || self.path(FileKind::OffsetIndex))?
            .filter(|entry| u64::from(entry.position) < end);
        let Some(entry) = indexed else {
            return self.scan_for(offset, 0, end, None);
        };
        match self.scan_for(offset, u64::from(entry.position), end, Some(entry.offset)) {
            // The index may lead astray: the log is asked instead, from its beginning.
            Err(ReadError::Damaged(damage)) => {
                self.suspect_index(&damage);
                self.scan_for(offset, 0, end, None)
            }
            other => other,
        }
    }

    fn suspect_index(&self, damage: &Damage) {
        if !self.is_index_suspect.swap(true, Ordering::AcqRel) {
            tracing::error!(%damage, "met by way of the offset index");
        }
    }

    pub fn is_index_suspect(&self) -> bool {
        self.is_index_suspect.load(Ordering::Relaxed)
    }

    /// Whether the caller is the first to repair the index. It is tried once: where the log itself is damaged, no index
    /// can be true.
    pub fn begin_repair(&self) -> bool {
        !self.is_being_repaired.swap(true, Ordering::AcqRel)
    }

    /// Lets another caller begin the repair, which this one could not.
    pub fn put_off_repair(&self) {
        self.is_being_repaired.store(false, Ordering::Release);
    }

    /// Builds the offset index of a segment that is not appended to again, as far as its batches can be followed.
    pub fn repair_index(&self, index_interval_bytes: u32) -> Result<(), ReadError> {
        let file = self.file()?;
        let mut scan = Scan::new(&file, 0, self.size(), LARGE_WINDOW).expecting(self.base_offset);
        let mut entries = Vec::new();
        let mut since_entry = 0;
        loop {
            let batch = match scan.next_header() {
                Ok(Some(batch)) => batch,
                Ok(None) | Err(ScanError::Damaged { .. }) => break,
                Err(error) => return Err(self.scan_error(error)),
            };
            if since_entry > u64::from(index_interval_bytes) {
                entries.push(OffsetEntry {
                    offset: batch.last_offset,
                    position: batch.position as u32,
                });
                since_entry = 0;
            }
            since_entry += batch.size;
        }
        self.offset_index
            .replace(entries)
            .context_with("write", || self.path(FileKind::OffsetIndex))?;
        self.is_index_suspect.store(false, Ordering::Release);
        Ok(())
    }

    fn scan_for(
        &self,
        offset: i64,
        from: u64,
        end: u64,
        mut first_ends_with: Option<i64>,
    ) -> Result<Option<ScannedBatch>, ReadError> {
        if from >= end {
            return Ok(None);
        }
        let file = self.file()?;
        let mut scan = Scan::new(&file, from, end, SMALL_WINDOW).expecting(self.base_offset);
        loop {
            match scan.next_header() {
                Ok(Some(batch))
                    if first_ends_with
                        .take()
                        .is_some_and(|expected| batch.last_offset != expected) =>
                {
                    let reason = DamageReason::MisleadingIndex {
                        offset: batch.last_offset,
                    };
                    return Err(self.damage(from, reason).into());
                }
                Ok(Some(batch)) if batch.last_offset >= offset => return Ok(Some(batch)),
                Ok(Some(_)) => {}
                Ok(None) => return Ok(None),
                Err(error) => return Err(self.scan_error(error)),
            }
        }
    }

    /// The end of the last batch that ends at `limit` or before, for batches from `from` (a beginning of one) on, and
    /// the offset after it; `None` if the first batch is larger than that.
    pub fn last_end_before(
        &self,
        from: u64,
        limit: u64,
        end: u64,
    ) -> Result<Option<(u64, i64)>, ReadError> {
        let indexed = self
            .offset_index
            .floor(|entry| u64::from(entry.position) <= limit)
            .context_with("read", || self.path(FileKind::OffsetIndex))?
            .filter(|entry| u64::from(entry.position) > from);
        let Some(entry) = indexed else {
            return self.scan_ends(from, limit, end, None);
        };
        match self.scan_ends(u64::from(entry.position), limit, end, Some(entry.offset)) {
            Err(ReadError::Damaged(damage)) => {
                self.suspect_index(&damage);
                self.scan_ends(from, limit, end, None)
            }
            other => other,
        }
    }

    /// `known` is the last offset of the batch at `from`, which is then known to follow another.
    fn scan_ends(
        &self,
        from: u64,
        limit: u64,
        end: u64,
        known: Option<i64>,
    ) -> Result<Option<(u64, i64)>, ReadError> {
        let file = self.file()?;
        let mut scan = Scan::new(&file, from, end, SMALL_WINDOW).expecting(self.base_offset);
        let mut last = None;
        let mut expected = known;
        loop {
            let batch = match scan.next_header() {
                Ok(Some(batch)) => batch,
                Ok(None) => return Ok(last),
                // What lies before the damage can be read; the damage itself is met by who reads on.
                Err(ScanError::Damaged { .. }) if last.is_some() => return Ok(last),
                Err(error) => return Err(self.scan_error(error)),
            };
            if let Some(expected) = expected.take() {
                if batch.last_offset != expected {
                    let reason = DamageReason::MisleadingIndex {
                        offset: batch.last_offset,
                    };
                    return Err(self.damage(from, reason).into());
                }
                last = Some((from, batch.base_offset));
            }
            if batch.end() > limit {
                return Ok(last);
            }
            last = Some((batch.end(), batch.next_offset()));
        }
    }

    /// Cuts the segment at `position`, where the batch begins that `offset` and all after it are in.
    pub fn truncate_to_position(&self, position: u64, offset: i64) -> Result<(), ReadError> {
        self.offset_index
            .truncate(|entry| entry.offset < offset && u64::from(entry.position) < position)
            .context_with("cut", || self.path(FileKind::OffsetIndex))?;
        self.time_index
            .truncate(|entry| entry.offset < offset)
            .context_with("cut", || self.path(FileKind::TimeIndex))?;
        self.txn_index
            .truncate(offset)
            .context_with("cut", || self.path(FileKind::TxnIndex))?;
        self.set_size(position);
        self.file_or_create()?
            .set_len(position)
            .context_with("cut", || self.path(FileKind::Log))?;
        let max = self.rescan_max_timestamp()?;
        let mut stamps = self.stamps();
        stamps.max = Some(max);
        if position == 0 {
            stamps.first_batch = None;
        }
        Ok(())
    }

    /// The largest timestamp, from the last time index entry and the batches after it.
    pub fn rescan_max_timestamp(&self) -> Result<TimestampOffset, ReadError> {
        let mut max = self.last_indexed_timestamp();
        let from = self
            .offset_index
            .floor(|entry| entry.offset <= max.offset)
            .context_with("read", || self.path(FileKind::OffsetIndex))?
            .map_or(0, |entry| u64::from(entry.position));
        let end = self.size();
        if from >= end {
            return Ok(max);
        }
        let file = self.file()?;
        let mut scan = Scan::new(&file, from, end, LARGE_WINDOW);
        while let Some(batch) = scan.next_header().map_err(|error| self.scan_error(error))? {
            if batch.max_timestamp > max.timestamp {
                max = TimestampOffset {
                    timestamp: batch.max_timestamp,
                    offset: batch.last_offset,
                };
            }
        }
        Ok(max)
    }

    /// Sets the largest timestamp, where it was found by reading.
    pub fn set_max_timestamp(&self, max: TimestampOffset) {
        self.stamps().max = Some(max);
    }

    /// Forgets timestamps and index entries, before they are built again.
    pub fn reset_derived(&self) -> Result<(), StorageError> {
        self.offset_index
            .truncate(|_| false)
            .context_with("cut", || self.path(FileKind::OffsetIndex))?;
        self.time_index
            .truncate(|_| false)
            .context_with("cut", || self.path(FileKind::TimeIndex))?;
        let mut stamps = self.stamps();
        stamps.max = None;
        stamps.first_batch = None;
        Ok(())
    }

    pub fn close_files(&self) {
        self.log.close();
        self.offset_index.close();
        self.time_index.close();
    }

    pub fn scan_error(&self, error: ScanError) -> ReadError {
        match error {
            ScanError::Io(source) => {
                StorageError::new("read", self.path(FileKind::Log), source).into()
            }
            ScanError::Damaged { position, reason } => self.damage(position, reason).into(),
        }
    }

    pub fn damage(&self, position: u64, reason: DamageReason) -> Damage {
        Damage {
            path: self.path(FileKind::Log),
            position,
            reason,
        }
    }

    fn stamps(&self) -> std::sync::MutexGuard<'_, Stamps> {
        self.stamps.lock().expect("segment stamps poisoned")
    }
}
