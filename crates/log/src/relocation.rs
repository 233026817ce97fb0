//! Moving a log to another log directory while it is in use.
//!
//! ```text
//! source                          target
//! t-0                             t-0.<unique>-future       segments are copied; the log goes on
//! t-0                             t-0.<unique>-future       caught up, and durable
//! ── writer's lock ───────────────────────────────────────
//! t-0                             t-0.<unique>-future       the small rest is copied
//! t-0.<unique>-delete  (durable)  t-0.<unique>-future       from here on the copy is the log: the start promotes it
//! t-0.<unique>-delete             t-0                       readers and appends see the copy
//! ────────────────────────────────────────────────────────
//!                                 t-0  (durable)
//! ```
//!
//! Invariant: whatever is durable in the log is durable in the copy before the source is renamed, so that at each moment
//! one directory holds the log, and a start can tell which: `t-0`, or the future one whose `-delete` has the same unique
//! part. The writer's lock is held over the copy of [`REST_BYTES_MAX`], renames, one sync of the source's directory, and
//! (if something was flushed just then) one of the rest; never over the copying.
//! Called by the manager's movers ([`LogManager`](crate::LogManager)), one thread per move.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, MutexGuard};
use std::time::{Duration, UNIX_EPOCH};

use ottla_protocol::Uuid;

use crate::care::Care;
use crate::checkpoint;
use crate::cleaner::{Pace, Stopped};
use crate::disk::Disk;
use crate::environment::LogDir;
use crate::epoch_cache::EpochEntry;
use crate::error::{Context, StorageError};
use crate::file_cache::DirPath;
use crate::flush::GatePass;
use crate::log::{Log, Place, Writer};
use crate::names::{
    DELETE_DIR_SUFFIX, FUTURE_DIR_SUFFIX, FileKind, LEADER_EPOCH_CHECKPOINT, PARTITION_METADATA,
    dir_name, marked_dir_name,
};
use crate::segment::Segment;

/// Bytes that are copied at a time.
const PIECE_BYTES: u64 = 1 << 20;
/// Bytes that may be left to copy while nobody can append.
const REST_BYTES_MAX: u64 = 1 << 20;
/// How often a sync under way is waited for outside of the writer's lock.
const GATE_TRIES: usize = 100;

/// Why a log did not move. The log is where it was.
#[derive(Debug, thiserror::Error)]
pub(crate) enum MoveError {
    #[error("the move was stopped")]
    Stopped,
    #[error("the log is gone")]
    Gone,
    #[error("the metadata cannot be told of it")]
    Refused,
    #[error("the log's own directory: {0}")]
    Source(StorageError),
    #[error("the directory that it was to move to: {0}")]
    Target(StorageError),
}

impl From<Stopped> for MoveError {
    fn from(_: Stopped) -> Self {
        MoveError::Stopped
    }
}

/// How far a copy has come, for whoever describes it.
#[derive(Debug, Default)]
pub(crate) struct CopyProgress {
    bytes: AtomicU64,
    end_offset: AtomicI64,
}

impl CopyProgress {
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Everything before is copied.
    pub fn end_offset(&self) -> i64 {
        self.end_offset.load(Ordering::Relaxed)
    }
}

/// A log and its unfinished copy.
#[derive(Debug)]
pub(crate) struct Relocation {
    log: Arc<Log>,
    source: Arc<LogDir>,
    target: Arc<LogDir>,
    unique: u128,
    future: Arc<DirPath>,
    copies: Vec<SegmentCopy>,
    /// Producer snapshots that were copied.
    snapshots: BTreeSet<i64>,
    /// What the copy's file of epochs says.
    epochs: Option<Vec<EpochEntry>>,
    topic_id: Option<Uuid>,
    /// The log's count of cuts when the copy was begun.
    truncations: u64,
    /// Everything before is durable in the copy; none if nothing is known to be, or the log was changed since.
    durable_end: Option<i64>,
    progress: Arc<CopyProgress>,
}

#[derive(Debug)]
struct SegmentCopy {
    /// If the log has another segment in its place, the copy is worth nothing.
    of: Arc<Segment>,
    copy: Arc<Segment>,
    /// Complete, with its indexes, and durable.
    is_sealed: bool,
    /// Bytes of the copy that are durable.
    synced: u64,
}

impl SegmentCopy {
    fn behind(&self) -> u64 {
        self.of.size().saturating_sub(self.copy.size())
    }

    /// Copies a piece of what is missing; returns its length.
    fn copy_piece(&self, buffer: &mut Vec<u8>) -> Result<u64, StorageError> {
        let position = self.copy.size();
        let len = self.behind().min(PIECE_BYTES);
        buffer.resize(len as usize, 0);
        let path = |segment: &Segment| segment.path(FileKind::Log);
        self.of
            .file()?
            .read_exact_at(buffer, position)
            .context_with("read", || path(&self.of))?;
        let file = self.copy.file_or_create()?;
        file.write_all_at(buffer, position)
            .context_with("write", || path(&self.copy))?;
        self.copy.set_size(position + len);
        self.copy.start_writeback(position, len);
        Ok(len)
    }

    /// Completes the copy of a segment that is not appended to again, and makes it durable.
    fn seal(&mut self) -> Result<(), StorageError> {
        let modified_ms = self.of.modified_ms()?;
        self.of.copy_derived_to(&self.copy)?;
        let path = || self.copy.path(FileKind::Log);
        let file = self.copy.file_or_create()?;
        file.sync_data().context_with("sync", path)?;
        // The directory is synced in any case.
        let _ = self.copy.sync_indexes()?;
        // Retention by time and the cleaner go by it where records have no timestamps.
        let modified = UNIX_EPOCH + Duration::from_millis(modified_ms.max(0) as u64);
        file.file()
            .set_modified(modified)
            .context_with("set the time of", path)?;
        self.copy.close_files();
        self.synced = self.copy.size();
        self.is_sealed = true;
        Ok(())
    }

    /// Makes durable what is copied, with what cannot be built again from it.
    fn sync(&mut self) -> Result<(), StorageError> {
        let size = self.copy.size();
        self.copy
            .file_or_create()?
            .sync_data()
            .context_with("sync", || self.copy.path(FileKind::Log))?;
        let _ = self.copy.sync_txn_index()?;
        self.synced = size;
        Ok(())
    }

    fn remove_files(&self, disk: &Disk) -> Result<(), StorageError> {
        self.copy.close_files();
        for kind in FileKind::ALL {
            if kind != FileKind::Snapshot {
                let path = self.copy.path(kind);
                disk.remove_file_if_exists(&path).context("remove", &path)?;
            }
        }
        Ok(())
    }
}

impl Relocation {
    /// Begins an empty copy in `target`.
    pub fn begin(
        log: &Arc<Log>,
        target: &Arc<LogDir>,
        unique: u128,
        progress: &Arc<CopyProgress>,
    ) -> Result<Relocation, MoveError> {
        let name = future_dir_name(&log.partition.topic, log.partition.partition, unique);
        let path = target.path().join(name);
        let relocation = Relocation {
            log: Arc::clone(log),
            source: log.log_dir(),
            target: Arc::clone(target),
            unique,
            future: DirPath::new(path.clone()),
            copies: Vec::new(),
            snapshots: BTreeSet::new(),
            epochs: None,
            topic_id: None,
            truncations: log.writer().truncations,
            durable_end: None,
            progress: Arc::clone(progress),
        };
        std::fs::create_dir(&path)
            .context("create", &path)
            .map_err(|error| relocation.blame(error))?;
        Ok(relocation)
    }

    /// Copies until nothing is left at one moment, at the pace that is given.
    pub fn catch_up(&mut self, pace: &dyn Pace) -> Result<(), MoveError> {
        let mut buffer = Vec::new();
        loop {
            self.check()?;
            let truncations = self.log.writer().truncations;
            self.follow(truncations)?;
            let Some(at) = self.next() else {
                self.note_progress(self.copies.len());
                return Ok(());
            };
            let is_last = at + 1 == self.copies.len();
            let one = &mut self.copies[at];
            let copied = match one.behind() {
                0 if !is_last => one.seal().map(|()| 0),
                _ => one.copy_piece(&mut buffer),
            };
            match copied {
                Ok(bytes) => {
                    self.note_progress(at);
                    pace.spend(bytes)?;
                }
                // Retention or the cleaner was faster.
                Err(_) if !self.is_current(at) => {}
                Err(error) => return Err(self.blame(error)),
            }
        }
    }

    /// Makes the copy durable as it stands after catching up.
    pub fn settle(&mut self, pace: &dyn Pace) -> Result<(), MoveError> {
        // Before the list of segments is looked at, which then has all of it.
        let end = self.log.log_end_offset();
        self.catch_up(pace)?;
        let snapshots = self.log.writer().snapshots.clone();
        let (topic_id, epochs) = (self.log.topic_id(), self.log.epoch_entries());
        let settled = self
            .copy_snapshots(&snapshots, true)
            .and_then(|()| self.write_small_files(topic_id, &epochs))
            .and_then(|()| self.sync());
        settled.map_err(|error| self.blame(error))?;
        // What is cut or replaced from here on is seen by the next look at the log.
        self.durable_end = Some(end);
        Ok(())
    }

    /// The offset before which the copy is durable, and so may say that it is.
    pub fn recovery_point(&self) -> i64 {
        self.log.recovery_point().min(self.durable_end.unwrap_or(0))
    }

    /// Puts the copy in the log's place, unless too much is missing or not durable: then nothing happened.
    pub fn finish(&mut self, now_ms: i64) -> Result<Option<Finished>, MoveError> {
        let log = Arc::clone(&self.log);
        let _reshaping = log.reshaping();
        self.check()?;
        // Whatever was replaced is known before the writer is stopped.
        let truncations = log.writer().truncations;
        self.follow(truncations)?;
        let (mut writer, pass) = stop_writes(&log);
        self.check()?;
        self.follow(writer.truncations)?;
        let rest: u64 = self.copies.iter().map(SegmentCopy::behind).sum();
        let Some(durable_end) = self.durable_end.filter(|_| rest <= REST_BYTES_MAX) else {
            return Ok(None);
        };
        let retired = self.switch(&mut writer, durable_end, now_ms)?;
        drop((writer, pass));
        for one in &self.copies {
            one.of.close_files();
        }
        let is_durable = match self.sync_dir(&self.target) {
            Ok(()) => true,
            Err(error) => {
                self.target.note(error);
                false
            }
        };
        Ok(Some(Finished {
            retired,
            is_durable,
        }))
    }

    /// Takes the copy away. It is renamed first, so that a start does not take it for one.
    pub fn discard(self, fresh: u128, now_ms: i64) {
        if self.target.has_failed() {
            return;
        }
        for one in &self.copies {
            one.copy.close_files();
        }
        let partition = &self.log.partition;
        let name = marked_dir_name(
            &partition.topic,
            partition.partition,
            fresh,
            DELETE_DIR_SUFFIX,
        );
        let to = self.target.path().join(name);
        let environment = &self.log.environment;
        match self.future.rename(environment.disk(), to.clone()) {
            Ok(()) => environment.deletes.add_dir(to, now_ms),
            Err(error) => {
                tracing::warn!(dir = %self.future.path().display(), %error, "an abandoned copy stays");
            }
        }
    }

    fn disk(&self) -> &Disk {
        self.log.environment.disk()
    }

    fn check(&self) -> Result<(), MoveError> {
        let offline = |dir: &LogDir| {
            StorageError::new(
                "use offline directory",
                dir.path(),
                std::io::ErrorKind::NotConnected.into(),
            )
        };
        if self.source.has_failed() {
            return Err(MoveError::Source(offline(&self.source)));
        }
        if self.target.has_failed() {
            return Err(MoveError::Target(offline(&self.target)));
        }
        match self.log.is_closed() {
            true => Err(MoveError::Gone),
            false => Ok(()),
        }
    }

    /// Takes the directory offline that the error is of.
    fn blame(&self, error: StorageError) -> MoveError {
        let is_targets =
            error.path.starts_with(&*self.future.path()) || error.path == self.target.path();
        match is_targets {
            true => MoveError::Target(self.target.note(error)),
            false => MoveError::Source(self.log.note(error)),
        }
    }

    /// Brings the list of copies in line with the log's segments. What the log has replaced is removed.
    fn follow(&mut self, truncations: u64) -> Result<(), MoveError> {
        if truncations != self.truncations {
            // Bytes that were copied may have gone, and others have come in their place.
            self.truncations = truncations;
            self.remove(|_| true)?;
            for offset in std::mem::take(&mut self.snapshots) {
                self.remove_snapshot(offset)
                    .map_err(|error| self.blame(error))?;
            }
        }
        let segments = self.log.segments.load_full();
        let is_same = |one: &SegmentCopy, segment: &Arc<Segment>| Arc::ptr_eq(&one.of, segment);
        let known = self.copies.len().min(segments.len());
        let is_prefix = self.copies.len() <= segments.len()
            && std::iter::zip(&self.copies, &*segments).all(|(one, segment)| is_same(one, segment));
        if is_prefix && known == segments.len() {
            return Ok(());
        }
        let is_gone = |one: &SegmentCopy| {
            let at = segments.binary_search_by_key(&one.of.base_offset, |s| s.base_offset);
            at.is_err() || at.is_ok_and(|at| !is_same(one, &segments[at]))
        };
        if !is_prefix {
            self.remove(is_gone)?;
        }
        let mut known = std::mem::take(&mut self.copies).into_iter().peekable();
        for segment in &*segments {
            let copy = match known.next_if(|one| is_same(one, segment)) {
                Some(copy) => copy,
                None => self.begin_segment(segment),
            };
            self.copies.push(copy);
        }
        Ok(())
    }

    fn begin_segment(&self, segment: &Arc<Segment>) -> SegmentCopy {
        let files = &self.log.environment.files;
        let copy = Segment::new(files, &self.future, segment.base_offset, 0, 0);
        SegmentCopy {
            of: Arc::clone(segment),
            copy: Arc::new(copy),
            is_sealed: false,
            synced: 0,
        }
    }

    fn remove(&mut self, is_gone: impl Fn(&SegmentCopy) -> bool) -> Result<(), MoveError> {
        self.durable_end = None;
        let gone: Vec<SegmentCopy> = self.copies.extract_if(.., |one| is_gone(one)).collect();
        for one in gone {
            one.remove_files(self.disk())
                .map_err(|error| self.blame(error))?;
        }
        Ok(())
    }

    /// The first segment that is not copied, or whose copy can be completed.
    fn next(&self) -> Option<usize> {
        let last = self.copies.len().checked_sub(1)?;
        self.copies
            .iter()
            .enumerate()
            .position(|(at, one)| !one.is_sealed && (at < last || one.behind() > 0))
    }

    fn is_current(&self, at: usize) -> bool {
        let segments = self.log.segments.load();
        let of = &self.copies[at].of;
        segments.iter().any(|segment| Arc::ptr_eq(segment, of))
    }

    /// Tells how far the copy has come, of which the segment at `at` is the last.
    fn note_progress(&self, at: usize) {
        let bytes = self.copies.iter().map(|one| one.copy.size()).sum();
        let end_offset = match self.copies.get(at) {
            None => self.log.log_end_offset(),
            Some(one) => {
                let copied = one.copy.size();
                let end = one.of.last_end_before(0, copied, copied);
                end.ok()
                    .flatten()
                    .map_or(one.of.base_offset, |(_, end)| end)
            }
        };
        self.progress.bytes.store(bytes, Ordering::Relaxed);
        self.progress
            .end_offset
            .store(end_offset, Ordering::Relaxed);
    }

    /// Copies those snapshots of the log that the copy does not have, and removes those that the log does not have.
    fn copy_snapshots(&mut self, wanted: &[i64], sync: bool) -> Result<(), StorageError> {
        let is_wanted = |offset: &i64| wanted.binary_search(offset).is_ok();
        let stale: Vec<i64> = self.snapshots.extract_if(.., |o| !is_wanted(o)).collect();
        for offset in stale {
            self.remove_snapshot(offset)?;
        }
        for &offset in wanted {
            if self.snapshots.contains(&offset) {
                continue;
            }
            let place = self.log.place.load();
            let from = place.dir.file(offset, FileKind::Snapshot);
            let bytes = match std::fs::read(&from) {
                Ok(bytes) => bytes,
                // Retention or the cleaner was faster.
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
                Err(error) => return Err(StorageError::new("read", &from, error)),
            };
            let to = self.future.file(offset, FileKind::Snapshot);
            self.disk()
                .write_file(&to, &bytes, sync)
                .context("write", &to)?;
            self.snapshots.insert(offset);
        }
        Ok(())
    }

    fn remove_snapshot(&self, offset: i64) -> Result<(), StorageError> {
        let path = self.future.file(offset, FileKind::Snapshot);
        let removed = self.disk().remove_file_if_exists(&path);
        removed.context("remove", &path).map(|_| ())
    }

    /// Writes the topic id and the epochs, durably, where the copy has others.
    fn write_small_files(
        &mut self,
        topic_id: Option<Uuid>,
        epochs: &[EpochEntry],
    ) -> Result<(), StorageError> {
        if let Some(id) = topic_id
            && self.topic_id.is_none()
        {
            let path = self.future.path().join(PARTITION_METADATA);
            let text = checkpoint::format_partition_metadata(id);
            self.disk()
                .replace_file(&path, text.as_bytes())
                .context("write", &path)?;
            self.topic_id = topic_id;
        }
        if self.epochs.as_deref() != Some(epochs) {
            let path = self.future.path().join(LEADER_EPOCH_CHECKPOINT);
            checkpoint::write_epochs(self.disk(), &path, epochs).context("write", &path)?;
            self.epochs = Some(epochs.to_vec());
        }
        Ok(())
    }

    /// Makes durable what is copied, and the names of it.
    fn sync(&mut self) -> Result<(), StorageError> {
        for one in self.copies.iter_mut().filter(|one| !one.is_sealed) {
            one.of.copy_txn_index_to(&one.copy)?;
            one.sync()?;
        }
        self.future.sync(self.disk())?;
        self.sync_dir(&self.target)
    }

    fn sync_dir(&self, dir: &LogDir) -> Result<(), StorageError> {
        self.disk().sync_dir(dir.path()).context("sync", dir.path())
    }

    /// Copies the rest, renames, and shows readers and the writer the copy. Nobody appends, cuts, cleans or syncs.
    fn switch(
        &mut self,
        writer: &mut Writer,
        durable_end: i64,
        now_ms: i64,
    ) -> Result<PathBuf, MoveError> {
        let log = Arc::clone(&self.log);
        let topic_id = log.locked(&log.topic_id);
        let epochs = log.epochs();
        self.copy_rest(writer, durable_end, *topic_id, epochs.entries())
            .map_err(|error| self.blame(error))?;
        let retired = self.rename()?;
        let copies = self.copies.iter().map(|one| Arc::clone(&one.copy));
        let segments: Vec<Arc<Segment>> = copies.collect();
        let active = segments.last().expect("a log has a segment");
        writer.care = Care::new(active.size(), now_ms);
        // Whoever began something in the old place can tell.
        writer.truncations += 1;
        writer.snapshots = self.snapshots.iter().copied().collect();
        log.has_unwritten_epoch.store(false, Ordering::Release);
        log.is_epoch_file_wrong.store(false, Ordering::Release);
        log.has_unsynced_epochs.store(false, Ordering::Release);
        // A list with the new segments is of the new place.
        log.place.store(Arc::new(Place {
            log_dir: Arc::clone(&self.target),
            dir: Arc::clone(&self.future),
        }));
        log.segments.store(Arc::new(segments));
        Ok(retired)
    }

    fn copy_rest(
        &mut self,
        writer: &Writer,
        durable_end: i64,
        topic_id: Option<Uuid>,
        epochs: &[EpochEntry],
    ) -> Result<(), StorageError> {
        let mut buffer = Vec::new();
        for one in self.copies.iter().filter(|one| !one.is_sealed) {
            while one.behind() > 0 {
                one.copy_piece(&mut buffer)?;
            }
            one.of.copy_derived_to(&one.copy)?;
        }
        self.copy_snapshots(&writer.snapshots, false)?;
        self.write_small_files(topic_id, epochs)?;
        if self.log.recovery_point() <= durable_end {
            return Ok(());
        }
        // What was acknowledged as durable has to be so in the copy.
        for one in self.copies.iter_mut().filter(|one| !one.is_sealed) {
            let _ = one.copy.sync_indexes()?;
            one.sync()?;
        }
        self.future.sync(self.disk())
    }

    /// Renames both directories, or neither: then the log goes on where it is, or is taken out of use.
    fn rename(&self) -> Result<PathBuf, MoveError> {
        let (disk, place) = (self.disk(), self.log.place.load_full());
        let (topic, partition) = (&self.log.partition.topic, self.log.partition.partition);
        let live = dir_name(topic, partition);
        let retired = marked_dir_name(topic, partition, self.unique, DELETE_DIR_SUFFIX);
        let retired = self.source.path().join(retired);
        let rename = |dir: &DirPath, to: PathBuf| {
            let from = dir.path();
            dir.rename(disk, to).context("rename", &*from)
        };
        rename(&place.dir, retired.clone()).map_err(|error| self.blame(error))?;
        let renamed = self
            .sync_dir(&self.source)
            .and_then(|()| rename(&self.future, self.target.path().join(&live)));
        let Err(error) = renamed else {
            return Ok(retired);
        };
        // The old name has to be durable before anything is acknowledged under it.
        let restored = rename(&place.dir, self.source.path().join(&live))
            .and_then(|()| self.sync_dir(&self.source));
        if let Err(error) = restored {
            self.source.note(error);
            self.log.abandon();
        }
        Err(self.blame(error))
    }
}

/// A move that is done.
#[derive(Debug)]
pub(crate) struct Finished {
    /// The directory that the log was in.
    pub retired: PathBuf,
    /// The log is in its target durably, and the old directory can go.
    pub is_durable: bool,
}

/// `topic-partition.<32 hex digits>-future`. Kafka cuts no topic here, and refuses one that is too long.
pub(crate) fn future_dir_name(topic: &str, partition: i32, unique: u128) -> String {
    format!("{topic}-{partition}.{unique:032x}{FUTURE_DIR_SUFFIX}")
}

/// Stops appends and syncs of the log. A sync under way is waited for without stopping appends, if that can be.
fn stop_writes(log: &Log) -> (MutexGuard<'_, Writer>, GatePass<'_>) {
    for _ in 0..GATE_TRIES {
        let writer = log.writer();
        if let Some(pass) = log.flush.try_enter() {
            return (writer, pass);
        }
        drop(writer);
        drop(log.flush.enter());
    }
    (log.writer(), log.flush.enter())
}
