//! Finding the end of a log, and what of its files can be trusted.
//!
//! Invariant: batches before the recovery point were durable: damage there is reported and left as it is, or (where not
//! even the beginnings of batches can be found any more) moved to a file of its own. After it the log is read with checksums, and cut at the first batch that does not check. The work grows with what was not
//! flushed: from the later of the recovery point and the producer snapshot before it.
//! Called by [`open`](crate::open).

use std::fs::File;
use std::io::{Seek, SeekFrom};
use std::path::Path;
use std::sync::Arc;

use crate::OpenOptions;
use crate::disk::with_suffix;
use crate::epoch_cache::EpochCache;
use crate::error::{Context, Damage, DamageReason, OpenError, ReadError, StorageError};
use crate::names::{DELETED_SUFFIX, FileKind};
use crate::open::{Loader, RecoveryNote};
use crate::producer_state::{ProducerState, snapshot};
use crate::replay::{self, read_marker};
use crate::scan::{LARGE_WINDOW, Scan, ScanError, ScannedBatch};
use crate::segment::Segment;
use crate::txn_index::AbortedTxn;

/// Marks a file with a damaged tail; Kafka does not look at such names.
const DAMAGED_SUFFIX: &str = ".damaged";

/// An index that is further behind than this is built again rather than left to long scans.
const INDEX_LAG_BYTES_MAX: u64 = 1 << 20;

/// A log whose end is known.
pub(crate) struct Recovered {
    pub segments: Vec<Arc<Segment>>,
    pub end_offset: i64,
    pub log_start_offset: i64,
    pub recovery_point: i64,
    pub producers: ProducerState,
    pub snapshots: Vec<i64>,
    pub epochs: EpochCache,
    /// The file of epochs does not say what was found here.
    pub is_epoch_file_wrong: bool,
    pub since_index_entry: u64,
    pub unflushed_bytes: u64,
}

/// A recovery under way.
struct Recovery<'l, 'a> {
    loader: &'l mut Loader<'a>,
    /// Offsets below this one were durable.
    protected_until: i64,
    segments: Vec<Arc<Segment>>,
    snapshots: Vec<i64>,
    epochs: EpochCache,
    producers: ProducerState,
    since_index_entry: u64,
}

/// How the scan of a segment ended.
struct SegmentEnd {
    position: u64,
    next_offset: i64,
    outcome: Outcome,
}

enum Outcome {
    Whole,
    /// Nothing behind this can be trusted, and none of it was durable.
    Cut(Damage),
    /// What follows was durable, but is damaged, or where its batches begin cannot be told.
    Broken,
}

pub(crate) fn recover(
    loader: &mut Loader<'_>,
    mut segments: Vec<Arc<Segment>>,
    mut snapshots: Vec<i64>,
    epochs: EpochCache,
) -> Result<Recovered, OpenError> {
    let options = loader.options;
    if segments.is_empty() {
        segments.push(create_segment(loader, options.log_start_offset)?);
    }
    let first_base = segments[0].base_offset;
    let log_start_offset = options.log_start_offset.max(first_base);
    let protected_until = if options.is_clean {
        i64::MAX
    } else {
        options.recovery_point
    };
    let had_snapshots = !snapshots.is_empty();
    let producers = load_producers(loader, &mut snapshots, log_start_offset, protected_until)?;
    let before = epochs.clone();
    let mut recovery = Recovery {
        loader,
        protected_until,
        segments,
        snapshots,
        epochs,
        producers,
        since_index_entry: 0,
    };
    let (mut end_offset, scanned) = if options.is_clean || recovery.loader.is_untouched {
        recovery.find_end(had_snapshots)?
    } else {
        let _turn = options.recoveries.as_ref().map(|turns| turns.take());
        recovery.scan_unflushed()?
    };
    if end_offset < options.recovery_point {
        recovery.loader.note(RecoveryNote::TailMissing {
            end_offset,
            recovery_point: options.recovery_point,
        });
    }
    let log_start_offset =
        recovery.settle_log_start(log_start_offset, first_base, &mut end_offset)?;
    recovery.finish(log_start_offset, end_offset, scanned, &before)
}

fn create_segment(loader: &Loader<'_>, base_offset: i64) -> Result<Arc<Segment>, StorageError> {
    let segment = Segment::new(
        &loader.environment.files,
        &loader.dir,
        base_offset,
        0,
        loader.options.now_ms,
    );
    if loader.is_fresh {
        // Nothing that was there before has to be cut, and nobody needs the files yet.
        for kind in [FileKind::Log, FileKind::OffsetIndex, FileKind::TimeIndex] {
            let path = segment.path(kind);
            loader
                .environment
                .disk()
                .create_new(&path)
                .context("create", &path)?;
        }
        return Ok(Arc::new(segment));
    }
    segment.file_or_create()?;
    segment.reset_derived()?;
    Ok(Arc::new(segment))
}

fn load_producers(
    loader: &mut Loader<'_>,
    snapshots: &mut Vec<i64>,
    log_start_offset: i64,
    protected_until: i64,
) -> Result<ProducerState, OpenError> {
    let mut faults = Vec::new();
    let OpenOptions { now_ms, .. } = *loader.options;
    let state = replay::load_snapshot(
        loader.environment.disk(),
        &loader.dir,
        snapshots,
        (log_start_offset, protected_until),
        (now_ms, loader.config.producer_id_expiration_ms),
        |path, fault| faults.push((path.to_path_buf(), fault)),
    )?;
    for (path, fault) in faults {
        loader.note_snapshot(&path, fault);
    }
    Ok(state)
}

impl Recovery<'_, '_> {
    /// After a clean stop only the bytes behind the last index entry are read.
    fn find_end(&mut self, had_snapshots: bool) -> Result<(i64, u64), OpenError> {
        let last = Arc::clone(self.segments.last().expect("there is a segment"));
        let size = last.size();
        let entry = last.offset_index.last();
        let (mut position, mut expected) = (0, last.base_offset);
        if let Some(entry) = entry
            && let Ok(Some(batch)) = last.batch_at(u64::from(entry.position))
            && batch.last_offset == entry.offset
        {
            (position, expected) = (batch.position, batch.base_offset);
        }
        let end = self.scan_segment(&last, position, expected, false)?;
        self.since_index_entry = end
            .position
            .saturating_sub(entry.map_or(0, |entry| u64::from(entry.position)));
        let end_offset = self.settle_end(&last, &end)?;
        // Without snapshots after a clean stop there were no producers (Kafka, too, starts empty then).
        if had_snapshots || !self.snapshots.is_empty() {
            self.replay_to(end_offset)?;
        } else {
            self.producers = ProducerState::starting_at(end_offset);
        }
        Ok((end_offset, size - position))
    }

    fn replay_to(&mut self, end_offset: i64) -> Result<(), OpenError> {
        let mut damages = Vec::new();
        if self.producers.end_offset > end_offset {
            self.producers = ProducerState::starting_at(end_offset);
        }
        replay::replay(&self.segments, &mut self.producers, end_offset, |damage| {
            damages.push(damage);
        })?;
        for damage in damages {
            self.loader.note(RecoveryNote::Damaged(damage));
        }
        Ok(())
    }

    /// After a crash everything behind the recovery point is read.
    fn scan_unflushed(&mut self) -> Result<(i64, u64), OpenError> {
        let recovery_point = self.protected_until;
        let first = self
            .segments
            .partition_point(|segment| segment.base_offset <= recovery_point)
            .saturating_sub(1);
        self.forget_snapshots_after(recovery_point)?;
        if first > 0 && self.segments[first].base_offset == recovery_point {
            let before = Arc::clone(&self.segments[first - 1]);
            self.complete_indexes(&before)?;
        }
        let first_base = self.segments[first].base_offset;
        if self.producers.end_offset < first_base {
            self.replay_to(first_base)?;
        }
        let mut scanned = 0;
        let mut at = first;
        loop {
            let segment = Arc::clone(&self.segments[at]);
            let is_last = at + 1 == self.segments.len();
            let (position, expected) = self.scan_start(&segment, at == first)?;
            self.since_index_entry = segment
                .offset_index
                .last()
                .map_or(position, |entry| position - u64::from(entry.position));
            let end = self.scan_segment(&segment, position, expected, true)?;
            scanned += segment.size().saturating_sub(position);
            if is_last || matches!(end.outcome, Outcome::Cut(_)) {
                self.remove_segments_behind(at)?;
                return Ok((self.settle_end(&segment, &end)?, scanned));
            }
            if matches!(end.outcome, Outcome::Broken) {
                self.set_tail_aside(&segment, &end)?;
            }
            segment.seal()?;
            at += 1;
            self.snapshot_at(self.segments[at].base_offset)?;
        }
    }

    /// A crash just after a roll may leave the rolled segment's indexes behind its batches.
    fn complete_indexes(&mut self, segment: &Segment) -> Result<(), OpenError> {
        let indexed = segment
            .offset_index
            .last()
            .map_or(0, |entry| u64::from(entry.position));
        if segment.size() - indexed > INDEX_LAG_BYTES_MAX {
            return rebuild_indexes(self.loader, segment);
        }
        match segment.rescan_max_timestamp() {
            Ok(max) => segment.set_max_timestamp(max),
            // Durable batches that are damaged are met, and told, by who reads them.
            Err(ReadError::Damaged(_)) => return Ok(()),
            Err(error) => return Err(error.into()),
        }
        Ok(segment.seal()?)
    }

    /// Where the scan of a segment begins: all before it stays as it is, indexes included.
    fn scan_start(&mut self, segment: &Segment, is_first: bool) -> Result<(u64, i64), OpenError> {
        let size = segment.size();
        let from_offset = self.producers.end_offset.min(self.protected_until);
        let has_prefix = is_first && from_offset > segment.base_offset;
        let located = if has_prefix && are_indexes_sound(segment)? {
            match segment.locate(from_offset, size, None) {
                Ok(batch) => batch,
                Err(ReadError::Damaged(_)) => None,
                Err(error) => return Err(error.into()),
            }
        } else {
            None
        };
        // The batches behind the last index entry are read again: only they tell their timestamps.
        let start = match located {
            Some(batch) => entry_before(segment, batch.position)?,
            None => None,
        };
        let Some(start) = start else {
            segment.reset_derived()?;
            // Transactions that ended before the producers' state are in no batch that will be taken.
            segment
                .txn_index
                .truncate(from_offset.max(segment.base_offset))
                .context_with("cut", || segment.path(FileKind::TxnIndex))?;
            return Ok((0, segment.base_offset));
        };
        segment
            .offset_index
            .truncate(|entry| u64::from(entry.position) <= start.position)
            .context_with("cut", || segment.path(FileKind::OffsetIndex))?;
        segment
            .time_index
            .truncate(|entry| entry.offset <= start.last_offset)
            .context_with("cut", || segment.path(FileKind::TimeIndex))?;
        segment
            .txn_index
            .truncate(from_offset)
            .context_with("cut", || segment.path(FileKind::TxnIndex))?;
        Ok((start.position, start.base_offset))
    }

    /// Reads a segment from `position` on, with checksums. With `build`, indexes, producers and epochs follow.
    fn scan_segment(
        &mut self,
        segment: &Segment,
        position: u64,
        expected: i64,
        build: bool,
    ) -> Result<SegmentEnd, OpenError> {
        if segment.size() == 0 {
            return Ok(end_of_scan(segment, None, expected));
        }
        let file = segment.file()?;
        let mut scan = Scan::new(&file, position, segment.size(), LARGE_WINDOW).expecting(expected);
        let mut next_offset = expected;
        // The batch before, and the offset that was expected there.
        let mut previous: Option<(ScannedBatch, i64)> = None;
        // Where the damage begins that no good batch follows.
        let mut damaged_from: Option<u64> = None;
        loop {
            let (position, reason) = match scan.next_checked() {
                Ok(Some(batch)) if segment.can_hold(batch.last_offset) => {
                    if build {
                        self.take(segment, &scan, &batch)?;
                    }
                    damaged_from = None;
                    previous = Some((batch, next_offset));
                    next_offset = batch.next_offset();
                    continue;
                }
                Ok(Some(batch)) => {
                    let reason = DamageReason::OffsetOverflow(batch.last_offset);
                    scan.resume_at(batch.position, next_offset);
                    (batch.position, reason)
                }
                Ok(None) => return Ok(end_of_scan(segment, damaged_from, next_offset)),
                Err(ScanError::Damaged { position, reason }) => (position, reason),
                Err(error) => return Err(segment.scan_error(error).into()),
            };
            // Offsets are not under a checksum. If this batch fits behind the one before the last, the last lies.
            let (position, next) = match (&reason, previous.take()) {
                (DamageReason::OffsetGoesBack { found, .. }, Some((batch, before)))
                    if *found >= before =>
                {
                    (batch.position, before)
                }
                _ => (position, next_offset),
            };
            next_offset = next;
            let damage = segment.damage(position, reason);
            if next_offset >= self.protected_until {
                return Ok(SegmentEnd {
                    position,
                    next_offset,
                    outcome: Outcome::Cut(damage),
                });
            }
            self.loader.note(RecoveryNote::Damaged(damage));
            damaged_from.get_or_insert(position);
            if !skip_damage(segment, &mut scan, next_offset)? {
                return Ok(end_of_scan(segment, damaged_from, next_offset));
            }
        }
    }

    fn take(
        &mut self,
        segment: &Segment,
        scan: &Scan<'_>,
        batch: &ScannedBatch,
    ) -> Result<(), OpenError> {
        segment.note_batch(
            batch,
            self.loader.config.index_interval_bytes,
            &mut self.since_index_entry,
        )?;
        let latest = self.epochs.latest().map_or(-1, |entry| entry.epoch);
        if batch.leader_epoch > latest {
            self.epochs.assign(batch.leader_epoch, batch.base_offset);
        }
        if batch.base_offset < self.producers.end_offset {
            return Ok(());
        }
        let marker = read_marker(scan, batch).map_err(|error| segment.scan_error(error.into()))?;
        if let Some((completed, last_stable_offset)) = self.producers.replay(batch, marker)
            && completed.is_aborted
        {
            segment
                .txn_index
                .append(AbortedTxn {
                    producer_id: completed.producer_id,
                    first_offset: completed.first_offset,
                    last_offset: completed.last_offset,
                    last_stable_offset,
                })
                .context_with("write", || segment.path(FileKind::TxnIndex))?;
        }
        Ok(())
    }

    /// Brings the last segment into the state that the scan found; returns the log end.
    fn settle_end(&mut self, segment: &Arc<Segment>, end: &SegmentEnd) -> Result<i64, OpenError> {
        match &end.outcome {
            Outcome::Whole => {
                if !self.loader.options.is_clean && !self.loader.is_untouched {
                    // What was reserved behind the end before the crash.
                    segment
                        .file()?
                        .set_len(segment.size())
                        .context_with("trim", || segment.path(FileKind::Log))?;
                }
                Ok(end.next_offset)
            }
            Outcome::Cut(damage) => {
                let bytes = segment.size() - end.position;
                self.loader.note(RecoveryNote::TailCut {
                    damage: damage.clone(),
                    bytes,
                });
                segment.truncate_to_position(end.position, end.next_offset)?;
                Ok(end.next_offset)
            }
            Outcome::Broken => {
                self.set_tail_aside(segment, end)?;
                Ok(end.next_offset)
            }
        }
    }

    /// Cuts off durable bytes that cannot be followed any more, after they were copied to a file of their own.
    ///
    /// The next offset goes on where the good batches end, so that a follower fetches what is missing.
    fn set_tail_aside(&mut self, segment: &Segment, end: &SegmentEnd) -> Result<(), OpenError> {
        let path = segment.path(FileKind::Log);
        let aside = with_suffix(&path, &format!(".{}{DAMAGED_SUFFIX}", end.position));
        copy_tail(&path, &aside, end.position).context("copy the tail of", &path)?;
        self.loader.note(RecoveryNote::TailSetAside {
            path: aside,
            bytes: segment.size() - end.position,
        });
        segment.truncate_to_position(end.position, end.next_offset)?;
        Ok(())
    }

    /// The log start as it can be, given the log end.
    fn settle_log_start(
        &mut self,
        log_start_offset: i64,
        first_base: i64,
        end_offset: &mut i64,
    ) -> Result<i64, OpenError> {
        if log_start_offset <= *end_offset {
            return Ok(log_start_offset);
        }
        self.loader.note(RecoveryNote::LogStartIgnored {
            log_start_offset,
            log_end_offset: *end_offset,
        });
        let options = self.loader.options;
        if options.is_clean && log_start_offset > options.recovery_point {
            // A clean stop leaves no such thing: the checkpoint is wrong.
            return Ok(first_base);
        }
        // The records were deleted, and then the log's tail was lost: offsets must not be given out again.
        let fresh = create_segment(self.loader, log_start_offset)?;
        self.segments.push(fresh);
        self.since_index_entry = 0;
        *end_offset = log_start_offset;
        Ok(log_start_offset)
    }

    fn finish(
        mut self,
        log_start_offset: i64,
        end_offset: i64,
        scanned: u64,
        epochs_before: &EpochCache,
    ) -> Result<Recovered, OpenError> {
        self.forget_snapshots_after(end_offset)?;
        self.producers.end_offset = end_offset;
        // The high watermark is not known yet, so that decided transactions wait for it no longer than for the start.
        self.producers.on_high_watermark(end_offset);
        self.epochs.truncate_from_start(log_start_offset);
        // An epoch that begins at the end has no batch: who leads next has an epoch of its own.
        self.epochs.truncate_from_end(end_offset);
        // In the file it may stay: whoever leads displaces it there, or has that very epoch.
        let is_epoch_file_wrong = !self.epochs.agrees_before(end_offset, epochs_before);
        let recovery_point = if self.loader.options.is_clean {
            end_offset
        } else {
            self.loader
                .options
                .recovery_point
                .clamp(log_start_offset.min(end_offset), end_offset)
        };
        self.loader.report.scanned_bytes += scanned;
        Ok(Recovered {
            segments: self.segments,
            end_offset,
            log_start_offset,
            recovery_point,
            producers: self.producers,
            snapshots: self.snapshots,
            epochs: self.epochs,
            is_epoch_file_wrong,
            since_index_entry: self.since_index_entry,
            unflushed_bytes: if recovery_point < end_offset {
                scanned
            } else {
                0
            },
        })
    }

    fn forget_snapshots_after(&mut self, offset: i64) -> Result<(), StorageError> {
        let kept = self.snapshots.partition_point(|&at| at <= offset);
        for gone in self.snapshots.drain(kept..) {
            let path = self.loader.dir.file(gone, FileKind::Snapshot);
            self.loader
                .environment
                .disk()
                .remove_file_if_exists(&path)
                .context("remove", &path)?;
        }
        Ok(())
    }

    fn snapshot_at(&mut self, offset: i64) -> Result<(), StorageError> {
        self.producers.end_offset = offset;
        if self.snapshots.last() >= Some(&offset) {
            return Ok(());
        }
        let path = self.loader.dir.file(offset, FileKind::Snapshot);
        let bytes = snapshot::encode(self.producers.entries().into_iter());
        self.loader
            .environment
            .disk()
            .write_file(&path, &bytes, false)
            .context("write", &path)?;
        self.snapshots.push(offset);
        Ok(())
    }

    fn remove_segments_behind(&mut self, at: usize) -> Result<(), OpenError> {
        for segment in self.segments.split_off(at + 1) {
            self.loader.note(RecoveryNote::SegmentRemoved {
                path: segment.path(FileKind::Log),
            });
            segment.close_files();
            for kind in FileKind::ALL {
                let path = segment.path(kind);
                let deleted = with_suffix(&path, DELETED_SUFFIX);
                match self.loader.environment.disk().rename(&path, &deleted) {
                    Ok(()) => self.loader.environment.deletes.add_file(
                        deleted,
                        self.loader
                            .options
                            .now_ms
                            .saturating_add(self.loader.config.file_delete_delay_ms),
                    ),
                    Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                    Err(error) => return Err(StorageError::new("rename", &path, error).into()),
                }
            }
        }
        Ok(())
    }
}

fn copy_tail(from: &Path, to: &Path, position: u64) -> std::io::Result<()> {
    let mut from = File::open(from)?;
    from.seek(SeekFrom::Start(position))?;
    let mut to = File::create(to)?;
    std::io::copy(&mut from, &mut to)?;
    to.sync_all()
}

/// Nothing may be appended behind damage: whatever offsets it had could be given out again.
fn end_of_scan(segment: &Segment, damaged_from: Option<u64>, next_offset: i64) -> SegmentEnd {
    let (position, outcome) = match damaged_from {
        Some(position) => (position, Outcome::Broken),
        None => (segment.size(), Outcome::Whole),
    };
    SegmentEnd {
        position,
        next_offset,
        outcome,
    }
}

/// Steps over a damaged batch, by its own length if its head is sound, or else to the next batch that the index knows.
fn skip_damage(
    segment: &Segment,
    scan: &mut Scan<'_>,
    next_offset: i64,
) -> Result<bool, OpenError> {
    let position = scan.position();
    scan.resume_at(position, 0);
    match scan.next_header() {
        Ok(Some(batch)) => {
            scan.resume_at(batch.end(), next_offset);
            return Ok(true);
        }
        Ok(None) => return Ok(false),
        Err(ScanError::Damaged { .. }) => {}
        Err(error) => return Err(segment.scan_error(error).into()),
    }
    let known = segment
        .offset_index
        .ceiling(|entry| u64::from(entry.position) <= position)
        .context_with("read", || segment.path(FileKind::OffsetIndex))?;
    let Some(entry) = known else {
        return Ok(false);
    };
    match segment.batch_at(u64::from(entry.position)) {
        Ok(Some(batch)) if batch.last_offset == entry.offset => {
            scan.resume_at(batch.position, next_offset);
            Ok(true)
        }
        Ok(_) | Err(ReadError::Damaged(_)) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// The batch of the last index entry at or before `position`, if the entry is true.
fn entry_before(segment: &Segment, position: u64) -> Result<Option<ScannedBatch>, OpenError> {
    let entry = segment
        .offset_index
        .floor(|entry| u64::from(entry.position) <= position)
        .context_with("read", || segment.path(FileKind::OffsetIndex))?;
    let Some(entry) = entry else {
        return Ok(None);
    };
    match segment.batch_at(u64::from(entry.position)) {
        Ok(batch) => Ok(batch.filter(|batch| batch.last_offset == entry.offset)),
        Err(ReadError::Damaged(_)) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

fn are_indexes_sound(segment: &Segment) -> Result<bool, StorageError> {
    let size = segment.size();
    let offsets = segment
        .offset_index
        .check(|entry| u64::from(entry.position) < size && entry.offset >= segment.base_offset)
        .context_with("read", || segment.path(FileKind::OffsetIndex))?;
    let times = segment
        .time_index
        .check(|entry| entry.offset >= segment.base_offset)
        .context_with("read", || segment.path(FileKind::TimeIndex))?;
    Ok(offsets.is_ok() && times.is_ok())
}

/// Builds the indexes of a segment again, as far as its batches can be followed.
pub(crate) fn rebuild_indexes(loader: &mut Loader<'_>, segment: &Segment) -> Result<(), OpenError> {
    segment.reset_derived()?;
    let mut since_entry = 0;
    let interval = loader.config.index_interval_bytes;
    for_each_header(segment, |batch| {
        segment.note_batch(batch, interval, &mut since_entry)
    })?;
    segment.seal()?;
    loader.report.scanned_bytes += segment.size();
    Ok(())
}

/// The epochs that the batches name.
pub(crate) fn rebuild_epochs(
    loader: &mut Loader<'_>,
    segments: &[Arc<Segment>],
) -> Result<EpochCache, OpenError> {
    let mut epochs = EpochCache::default();
    for segment in segments {
        for_each_header(segment, |batch| {
            if epochs.latest().map_or(-1, |entry| entry.epoch) < batch.leader_epoch {
                epochs.assign(batch.leader_epoch, batch.base_offset);
            }
            Ok(())
        })?;
        loader.report.scanned_bytes += segment.size();
    }
    Ok(epochs)
}

/// Builds the transaction index of a segment again, from the snapshot at its base on.
pub(crate) fn rebuild_txn_index(
    loader: &mut Loader<'_>,
    segment: &Segment,
) -> Result<(), OpenError> {
    segment
        .txn_index
        .truncate(i64::MIN)
        .context_with("cut", || segment.path(FileKind::TxnIndex))?;
    let base_offset = segment.base_offset;
    let path = loader.dir.file(base_offset, FileKind::Snapshot);
    let entries = std::fs::read(&path)
        .ok()
        .and_then(|bytes| snapshot::decode(&bytes).ok())
        .unwrap_or_default();
    let mut state = ProducerState::from_entries(entries, base_offset, i64::MIN, i64::MAX);
    let file = segment.file()?;
    let mut scan = Scan::new(&file, 0, segment.size(), LARGE_WINDOW);
    while let Ok(Some(batch)) = scan.next_header() {
        let marker =
            read_marker(&scan, &batch).map_err(|error| segment.scan_error(error.into()))?;
        if let Some((completed, last_stable_offset)) = state.replay(&batch, marker)
            && completed.is_aborted
        {
            segment
                .txn_index
                .append(AbortedTxn {
                    producer_id: completed.producer_id,
                    first_offset: completed.first_offset,
                    last_offset: completed.last_offset,
                    last_stable_offset,
                })
                .context_with("write", || segment.path(FileKind::TxnIndex))?;
        }
    }
    Ok(())
}

fn for_each_header(
    segment: &Segment,
    mut take: impl FnMut(&ScannedBatch) -> Result<(), StorageError>,
) -> Result<(), OpenError> {
    let file = segment.file()?;
    let mut scan = Scan::new(&file, 0, segment.size(), LARGE_WINDOW).expecting(segment.base_offset);
    loop {
        match scan.next_header() {
            Ok(Some(batch)) => take(&batch)?,
            // The recovery that follows says what is wrong.
            Ok(None) | Err(ScanError::Damaged { .. }) => return Ok(()),
            Err(error) => return Err(segment.scan_error(error).into()),
        }
    }
}
