//! Making appended batches durable, rolling to the next segment, and closing.
//!
//! Invariant: no lock that an append needs is held while a file is synced. One thread syncs a log at a time; those that
//! come meanwhile wait, and then one of them syncs for all (group commit). The recovery point moves only after a sync of
//! everything before it, directory entries of fresh files included.
//! Called by the broker's partitions (`flush.messages`), by the manager (interval, bytes, close) and in the
//! background after a roll.

use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};

use crate::background::Job;
use crate::care::Care;
use crate::error::{Context, StorageError};
use crate::log::{Log, Writer};
use crate::names::{FileKind, LEADER_EPOCH_CHECKPOINT, PARTITION_METADATA};
use crate::producer_state::snapshot;
use crate::segment::Segment;

/// Bytes of a segment after which an interval flush also writes a producer snapshot, so that recovery of a large segment
/// need not read it from its beginning.
const SNAPSHOT_INTERVAL_BYTES: u64 = 64 << 20;

/// Lets one thread sync (or cut) the log at a time, and knows who waits for the next sync without a thread of its own.
#[derive(Default)]
pub(crate) struct FlushGate {
    state: Mutex<GateState>,
    released: Condvar,
}

#[derive(Default)]
struct GateState {
    is_taken: bool,
    /// A sync thread is on its way for those in `waiting`.
    is_served: bool,
    waiting: Vec<Waiting>,
}

/// Somebody who is told when everything before `offset` is durable, or that it will not be.
struct Waiting {
    offset: i64,
    tell: Box<dyn FnOnce(bool) + Send>,
}

/// Holds the gate until it is dropped.
#[derive(Debug)]
pub(crate) struct GatePass<'a>(&'a FlushGate);

impl FlushGate {
    /// Waits for the gate until `is_done` says that there is nothing left to do.
    fn enter_unless(&self, is_done: impl Fn() -> bool) -> Option<GatePass<'_>> {
        let mut state = self.state();
        loop {
            if is_done() {
                return None;
            }
            if !state.is_taken {
                state.is_taken = true;
                return Some(GatePass(self));
            }
            state = self.released.wait(state).expect("flush gate poisoned");
        }
    }

    /// Waits for the gate: whoever cuts the log must not do so while it is synced.
    pub fn enter(&self) -> GatePass<'_> {
        self.enter_unless(|| false)
            .expect("there is always something to do")
    }

    /// Takes the gate if nobody has it.
    pub fn try_enter(&self) -> Option<GatePass<'_>> {
        let mut state = self.state();
        (!std::mem::replace(&mut state.is_taken, true)).then(|| GatePass(self))
    }

    /// Notes somebody who waits; returns whether a sync thread has to be sent.
    fn add(&self, waiting: Waiting) -> bool {
        let mut state = self.state();
        state.waiting.push(waiting);
        !std::mem::replace(&mut state.is_served, true)
    }

    /// One turn: flushes, and tells those whose wait is over. Returns whether others are left to be served.
    ///
    /// `flush` says how far everything is durable, or that it failed. `log_end` is asked while nobody can come to wait for
    /// more: what lies behind it was cut. Asked earlier, it would lie before those who appended since.
    fn serve(&self, flush: impl FnOnce() -> Option<i64>, log_end: impl Fn() -> i64) -> bool {
        let reached = flush();
        let is_over =
            |offset| reached.is_none_or(|reached| offset <= reached || offset > log_end());
        let (done, is_served) = self.take_waiting(is_over);
        for waiting in done {
            (waiting.tell)(reached.is_some_and(|reached| waiting.offset <= reached));
        }
        is_served
    }

    /// Takes out those that need not wait longer, as `is_over` says of their offsets while the gate's state is locked;
    /// returns them, and whether others are left to be served.
    fn take_waiting(&self, is_over: impl Fn(i64) -> bool) -> (Vec<Waiting>, bool) {
        let mut state = self.state();
        let (done, left) = std::mem::take(&mut state.waiting)
            .into_iter()
            .partition(|waiting| is_over(waiting.offset));
        state.waiting = left;
        state.is_served = !state.waiting.is_empty();
        (done, state.is_served)
    }

    fn state(&self) -> MutexGuard<'_, GateState> {
        self.state.lock().expect("flush gate poisoned")
    }
}

impl std::fmt::Debug for FlushGate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let state = self.state();
        f.debug_struct("FlushGate")
            .field("is_taken", &state.is_taken)
            .field("waiting", &state.waiting.len())
            .finish()
    }
}

impl Drop for GatePass<'_> {
    fn drop(&mut self) {
        self.0.state().is_taken = false;
        self.0.released.notify_all();
    }
}

impl Log {
    /// Returns when everything before `offset` is durable; blocks the caller for as long as that takes.
    pub fn flush_to(&self, offset: i64) -> Result<(), StorageError> {
        let offset = offset.min(self.log_end_offset());
        let is_done = || self.recovery_point() >= offset || self.check_online().is_err();
        while let Some(_pass) = self.flush.enter_unless(is_done) {
            self.sync()?;
        }
        self.check_online()
    }

    /// Calls `tell` when everything before `offset` is durable (true), or cannot be made so (false): at once, or later
    /// on a sync thread. A `tell` that is dropped uncalled means that the log is gone.
    pub fn flush_then(&self, offset: i64, tell: impl FnOnce(bool) + Send + 'static) {
        if self.recovery_point() >= offset {
            return tell(true);
        }
        let waiting = Waiting {
            offset,
            tell: Box::new(tell),
        };
        if self.flush.add(waiting) {
            self.environment.syncs.run(self.turn());
        }
    }

    /// A sync thread's next turn at this log.
    fn turn(&self) -> Job {
        let me = self.me.clone();
        Box::new(move || {
            if let Some(log) = me.upgrade() {
                log.flush_for_waiting();
            }
        })
    }

    /// Flushes until nobody waits, or it is another log's turn. Those that come while the disk works share the flush
    /// that follows; the longer that has to wait for its turn, the more it serves.
    fn flush_for_waiting(&self) {
        let flush = || self.flush().ok().map(|()| self.recovery_point());
        while self.flush.serve(flush, || self.log_end_offset()) {
            if self.environment.syncs.run_after_others(self.turn()) {
                return;
            }
        }
    }

    /// Makes everything durable that is appended at this moment.
    pub fn flush(&self) -> Result<(), StorageError> {
        self.flush_to(self.log_end_offset())
    }

    /// Bytes that a crash of the machine could lose.
    pub fn unflushed_bytes(&self) -> u64 {
        self.unflushed_bytes.load(Ordering::Relaxed)
    }

    /// When the oldest unflushed batch was appended, if there is one.
    pub fn unflushed_since_ms(&self) -> Option<i64> {
        (self.unflushed_bytes() > 0).then(|| self.unflushed_since_ms.load(Ordering::Relaxed))
    }

    /// Syncs what lies between the recovery point and the end. The caller holds the gate.
    fn sync(&self) -> Result<(), StorageError> {
        self.unflushed_bytes.store(0, Ordering::Relaxed);
        let tail = self.tail.load();
        let segments = self.segments.load_full();
        self.sync_segments(&segments, tail.segment)
            .and_then(|()| self.sync_epochs())
            .map_err(|error| self.note(error))?;
        self.raise_recovery_point(tail.end_offset);
        Ok(())
    }

    fn sync_segments(&self, segments: &[Arc<Segment>], active: i64) -> Result<(), StorageError> {
        let recovery_point = self.recovery_point();
        let first = segments
            .partition_point(|segment| segment.base_offset <= recovery_point)
            .saturating_sub(1);
        let mut has_fresh_files = false;
        for segment in &segments[first..] {
            if segment.base_offset > active {
                break;
            }
            segment
                .file_or_create()?
                .sync_data()
                .context_with("sync", || segment.path(FileKind::Log))?;
            has_fresh_files |= if segment.base_offset < active {
                segment.sync_indexes()?
            } else {
                segment.sync_txn_index()?
            };
            has_fresh_files |= segment.base_offset >= recovery_point;
        }
        if has_fresh_files {
            self.sync_dirs()?;
        }
        Ok(())
    }

    /// Makes the epochs of the batches durable that were just synced.
    fn sync_epochs(&self) -> Result<(), StorageError> {
        if self.has_unwritten_epoch.load(Ordering::Acquire) {
            self.write_epochs_unsynced(&self.epochs())?;
        }
        if !self.has_unsynced_epochs.swap(false, Ordering::AcqRel) {
            return Ok(());
        }
        let place = self.place.load();
        let path = place.dir.path().join(LEADER_EPOCH_CHECKPOINT);
        let disk = self.environment.disk();
        disk.open(&path, false)
            .and_then(|file| file.sync_data())
            .context("sync", &path)?;
        place.dir.sync(disk)
    }

    fn sync_dirs(&self) -> Result<(), StorageError> {
        let place = self.place.load_full();
        let disk = self.environment.disk();
        if self.topic_id().is_some() {
            let _held = place.dir.hold();
            let metadata = place.dir.path().join(PARTITION_METADATA);
            disk.open(&metadata, true)
                .and_then(|file| file.sync_data())
                .context("sync", &metadata)?;
        }
        place.dir.sync(disk)?;
        // The first segment's flush is also the first that needs the log's own directory to be there.
        let log_dir = place.log_dir.path();
        disk.sync_dir(log_dir).context("sync", log_dir)
    }

    /// Flushes, and writes what bounds the recovery of the active segment: its indexes, and a producer snapshot if the
    /// last one is far behind.
    pub(crate) fn flush_and_settle(&self) -> Result<(), StorageError> {
        if self.is_closed() || self.is_broken() {
            return Ok(());
        }
        self.flush()?;
        let active = self.active_segment();
        let since_snapshot = active
            .size()
            .saturating_sub(self.snapshot_position.load(Ordering::Relaxed));
        if since_snapshot < SNAPSHOT_INTERVAL_BYTES {
            return Ok(());
        }
        self.settle(&active).map_err(|error| self.note(error))
    }

    /// The part of [`Log::flush_and_settle`] that follows the flush.
    pub(crate) fn settle(&self, active: &Segment) -> Result<(), StorageError> {
        active.flush_indexes()?;
        // Only the encoding needs the writer; the file does not.
        let (offset, truncations, bytes) = {
            let writer = self.writer();
            let producers = &writer.producers;
            let bytes = snapshot::encode(producers.entries().into_iter());
            (producers.end_offset, writer.truncations, bytes)
        };
        let dir = Arc::clone(&self.place.load().dir);
        let held = dir.hold();
        let path = dir.file(offset, FileKind::Snapshot);
        let disk = self.environment.disk();
        disk.write_file(&path, &bytes, true)
            .context("write", &path)?;
        drop(held);
        let mut writer = self.writer();
        if writer.truncations != truncations {
            disk.remove_file_if_exists(&path).context("remove", &path)?;
            return Ok(());
        }
        if writer.snapshots.last().is_none_or(|&last| last < offset) {
            writer.snapshots.push(offset);
        }
        self.snapshot_position
            .store(active.size(), Ordering::Relaxed);
        self.prune_snapshots(&mut writer, active.base_offset)
    }

    /// Of the snapshots within the active segment the last two stay: the last may lie above the recovery point.
    fn prune_snapshots(&self, writer: &mut Writer, base_offset: i64) -> Result<(), StorageError> {
        let within = writer
            .snapshots
            .partition_point(|&offset| offset <= base_offset);
        let surplus = writer.snapshots.len().saturating_sub(within + 2);
        for offset in writer.snapshots.drain(within..within + surplus) {
            let path = self.snapshot_path(offset);
            self.environment
                .disk()
                .remove_file_if_exists(&path)
                .context("remove", &path)?;
        }
        Ok(())
    }

    /// Begins a segment at the log end.
    pub fn roll(&self, now_ms: i64) -> Result<(), StorageError> {
        let mut writer = self.writer();
        self.roll_to(&mut writer, self.log_end_offset(), now_ms)
            .map_err(|error| self.note(error))
    }

    /// Begins a segment at `base_offset` or the log end, whichever is later.
    pub(crate) fn roll_to(
        &self,
        writer: &mut Writer,
        base_offset: i64,
        now_ms: i64,
    ) -> Result<(), StorageError> {
        let base_offset = base_offset.max(self.log_end_offset());
        let old = self.active_segment();
        if old.base_offset == base_offset {
            if old.size() == 0 {
                // Nothing was written yet, so that this segment is as good as a fresh one.
                return old.reset_derived();
            }
            // Only a segment without offsets could have bytes and no range; it is never made.
            debug_assert!(false, "a segment with bytes ends at its base offset");
            return Ok(());
        }
        // Index files are written in the background, with the sync of the segment.
        old.add_last_timestamp()?;
        // The old segment's batches may be durable already; its indexes are not, and the flush that follows has to see it.
        self.lower_recovery_point(base_offset - 1);
        let (segment, care) = self.create_segment(base_offset, now_ms)?;
        let mut segments = self.segments.load().as_ref().clone();
        segments.push(Arc::new(segment));
        self.segments.store(Arc::new(segments));
        self.tail.reset(base_offset, self.log_end_offset(), 0);
        self.snapshot_position.store(0, Ordering::Relaxed);
        writer.care = care;
        writer.since_index_entry = 0;
        writer.roll_jitter_ms = self.roll_jitter(base_offset);
        writer.producers.end_offset = base_offset;
        self.take_snapshot(writer, false)?;
        self.after_roll(old, base_offset);
        Ok(())
    }

    /// Creates the files of a segment, of the log's spare if it has one; readers do not see it yet.
    pub(crate) fn create_segment(
        &self,
        base_offset: i64,
        now_ms: i64,
    ) -> Result<(Segment, Care), StorageError> {
        let segment = Segment::new(
            &self.environment.files,
            &self.place.load().dir,
            base_offset,
            0,
            now_ms,
        );
        let reserved = self.give_spare_to(&segment);
        let file = segment.file_or_create()?;
        if !file
            .is_empty()
            .context_with("look at", || segment.path(FileKind::Log))?
        {
            // Left by a roll whose segment list was never published.
            file.set_len(0)
                .context_with("cut", || segment.path(FileKind::Log))?;
        }
        Ok((segment, Care::of_reserved(reserved, now_ms)))
    }

    /// A roll's file work that nobody waits for.
    fn after_roll(&self, old: Arc<Segment>, base_offset: i64) {
        let me = self.me.clone();
        self.environment.background.run(Box::new(move || {
            let Some(log) = me.upgrade() else {
                return;
            };
            // A log that is gone, or whose directory failed, has said so already.
            if let Err(error) = log.flush_to(base_offset) {
                tracing::warn!(partition = %log.partition, %error, "cannot flush a rolled segment");
            }
            if let Err(error) = log.finish_roll(&old) {
                tracing::warn!(partition = %log.partition, %error, "cannot finish a roll");
                log.note(error);
            }
        }));
    }

    fn finish_roll(&self, old: &Segment) -> Result<(), StorageError> {
        if self.is_out_of_use() {
            return Ok(());
        }
        let is_gone = |error: &StorageError| error.source.kind() == std::io::ErrorKind::NotFound;
        match old.give_back_reserve() {
            // Retention was faster.
            Err(error) if is_gone(&error) => {}
            other => other?,
        }
        // A flush that was under way when the log rolled may have left nothing to do for the one above.
        if old.has_pending_entries() && old.sync_indexes()? {
            self.sync_dirs()?;
        }
        // Kafka expects index files beside every log file.
        self.active_segment().flush_indexes()
    }

    /// Up to `segment.jitter.ms`, the same for the same segment, spread over segments.
    pub(crate) fn roll_jitter(&self, base_offset: i64) -> i64 {
        let config = self.config.load();
        let most = config.segment_jitter_ms.min(config.segment_ms);
        if most <= 0 {
            return 0;
        }
        let mut hash = 0xcbf2_9ce4_8422_2325u64;
        let key = self.partition.topic.bytes();
        for byte in key
            .chain(self.partition.partition.to_be_bytes())
            .chain(base_offset.to_be_bytes())
        {
            hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
        (hash % most as u64) as i64
    }

    /// Writes a snapshot of the producers at the state's end, unless there is one.
    pub(crate) fn take_snapshot(
        &self,
        writer: &mut Writer,
        sync: bool,
    ) -> Result<(), StorageError> {
        let offset = writer.producers.end_offset;
        if writer.snapshots.last() >= Some(&offset) {
            return Ok(());
        }
        let path = self.snapshot_path(offset);
        let bytes = snapshot::encode(writer.producers.entries().into_iter());
        self.environment
            .disk()
            .write_file(&path, &bytes, sync)
            .context("write", &path)?;
        writer.snapshots.push(offset);
        Ok(())
    }

    pub(crate) fn snapshot_path(&self, offset: i64) -> PathBuf {
        self.place.load().dir.file(offset, FileKind::Snapshot)
    }

    /// Flushes, writes what is kept in memory, and refuses appends from then on. Reads go on.
    pub fn close(&self) -> Result<(), StorageError> {
        let mut writer = self.writer();
        if self.is_closed.swap(true, Ordering::AcqRel) {
            return Ok(());
        }
        self.check_online()?;
        let result = self.close_files(&mut writer);
        drop(writer);
        result.map_err(|error| self.note(error))
    }

    fn close_files(&self, writer: &mut Writer) -> Result<(), StorageError> {
        let active = self.active_segment();
        let is_dirty = self.recovery_point() < self.log_end_offset();
        let has_file = writer.snapshots.last() == Some(&writer.producers.end_offset);
        if !has_file && (writer.producers.end_offset > 0) {
            self.take_snapshot(writer, true)?;
        }
        // One without batches is begun again by who leads next.
        if self.is_epoch_file_wrong.load(Ordering::Acquire) {
            self.write_epochs_unsynced(&self.epochs())?;
        }
        self.end_spare();
        active.give_back_reserve()?;
        let needs_seal = active.needs_seal();
        if needs_seal {
            active.seal()?;
        }
        if is_dirty {
            let _pass = self.flush.enter();
            self.sync()?;
        }
        let mut has_fresh_files = false;
        if is_dirty || needs_seal {
            has_fresh_files |= active.sync_indexes()?;
        }
        for segment in self.segments.load().iter() {
            if segment.has_pending_entries() {
                has_fresh_files |= segment.sync_indexes()?;
            }
            segment.close_files();
        }
        if has_fresh_files {
            self.sync_dirs()?;
        }
        Ok(())
    }

    /// Takes the log out of use and renames its directory; readers that hold files keep them.
    pub(crate) fn abandon_as(&self, name: &str) -> Result<PathBuf, StorageError> {
        // Nobody appends, cuts, cleans or syncs meanwhile.
        let _reshaping = self.reshaping();
        let _writer = self.writer();
        let _pass = self.flush.enter();
        self.complete_indexes();
        self.abandon();
        let place = self.place.load();
        let to = place.log_dir.path().join(name);
        place
            .dir
            .rename(self.environment.disk(), to.clone())
            .context_with("rename", || self.dir())
            .map_err(|error| self.note(error))?;
        Ok(to)
    }

    /// Writes the index entries that wait in memory, and the index files that a roll has left to the background: whoever
    /// finds the directory (Kafka, for one) expects both beside each log file.
    fn complete_indexes(&self) {
        if self.is_out_of_use() {
            return;
        }
        for segment in self.segments.load().iter() {
            let is_complete = !segment.has_pending_entries() && segment.has_index_files();
            if !is_complete && let Err(error) = segment.flush_indexes() {
                // They can be built again.
                tracing::debug!(partition = %self.partition, %error, "an index of a log that goes stays behind");
            }
        }
    }

    /// Lets go of all files without flushing: the log is gone, or its directory failed.
    pub fn abandon(&self) {
        self.is_closed.store(true, Ordering::Release);
        for segment in self.segments.load().iter() {
            segment.close_files();
        }
    }
}

#[cfg(test)]
mod tests;
