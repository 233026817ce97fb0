//! Writing the offset checkpoints of a log directory.
//!
//! Invariant: a file is replaced as a whole, synced, and only when a line of it changes. What it says of a log was true at
//! some moment after the log's mark was taken back, so that a change meanwhile marks it again. Only logs that changed are
//! looked at, save once in a process, at its end, and around moves.
//! Called by the manager's tasks, by truncation, before a log moves in, and at the end.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};

use super::LogManager;
use crate::behind::{Checkpointed, Lines};
use crate::checkpoint::format_offsets;
use crate::environment::LogDir;
use crate::error::{Context, StorageError};
use crate::log::Log;

pub(super) const RECOVERY_POINTS: &str = "recovery-point-offset-checkpoint";
pub(super) const LOG_STARTS: &str = "log-start-offset-checkpoint";
pub(super) const HIGH_WATERMARKS: &str = "replication-offset-checkpoint";
pub(super) const CLEANED: &str = "cleaner-offset-checkpoint";

impl LogManager {
    /// Writes all checkpoints that are behind.
    pub fn checkpoint(&self) -> Result<(), StorageError> {
        for open in self.dirs.dirs() {
            if open.dir.has_failed() {
                continue;
            }
            self.checkpoint_dir(&open.dir)?;
        }
        Ok(())
    }

    pub(super) fn checkpoint_dir(&self, dir: &Arc<LogDir>) -> Result<(), StorageError> {
        self.checkpoint_recovery_points(dir)?;
        self.checkpoint_log_starts(dir)?;
        self.checkpoint_high_watermarks(dir)?;
        self.checkpoint_cleaned(dir)
    }

    pub(super) fn checkpoint_recovery_points(&self, dir: &Arc<LogDir>) -> Result<(), StorageError> {
        self.write_if_due(Checkpointed::RecoveryPoints, dir)
    }

    pub(super) fn checkpoint_log_starts(&self, dir: &Arc<LogDir>) -> Result<(), StorageError> {
        self.write_if_due(Checkpointed::LogStarts, dir)
    }

    pub(super) fn checkpoint_high_watermarks(&self, dir: &Arc<LogDir>) -> Result<(), StorageError> {
        self.write_if_due(Checkpointed::HighWatermarks, dir)
    }

    /// How far each log was cleaned; those that never were are not in it.
    pub(super) fn checkpoint_cleaned(&self, dir: &Arc<LogDir>) -> Result<(), StorageError> {
        self.write_if_due(Checkpointed::Cleaned, dir)
    }

    /// Takes the lines of logs that are gone out of the files, before a log begins that may have one of their names:
    /// after a crash it would be taken to begin, to be durable and to be clean where the other one was.
    pub(super) fn checkpoint_what_is_gone(&self, dir: &Arc<LogDir>) -> Result<(), StorageError> {
        if !dir.stale.gone.swap(false, Ordering::AcqRel) {
            return Ok(());
        }
        self.checkpoint_dir(dir)
            .inspect_err(|_| dir.stale.gone.store(true, Ordering::Release))
    }

    fn write_if_due(&self, file: Checkpointed, dir: &Arc<LogDir>) -> Result<(), StorageError> {
        let behind = dir.stale.behind(file);
        if !behind.is_due.load(Ordering::Acquire) {
            return Ok(());
        }
        let mut written = dir.stale.written();
        if !behind.is_due.swap(false, Ordering::AcqRel) {
            return Ok(());
        }
        let lines = &mut written[file as usize];
        let arriving = self.moves.arriving_in(dir);
        let is_all = behind.is_all.swap(false, Ordering::AcqRel);
        if is_all || !lines.is_known || !arriving.is_empty() {
            behind.take();
            self.look_at_all(file, dir, arriving, lines);
        } else if !self.look_at_changed(file, dir, behind.take(), lines) && !lines.is_wrong {
            return Ok(());
        }
        let path = dir.path().join(name_of(file));
        let offsets = lines.offsets.iter();
        let text = format_offsets(offsets.map(|(partition, &offset)| (partition, offset)));
        let replaced = self
            .dirs
            .environment
            .disk()
            .replace_file(&path, text.as_bytes())
            .context("write", &path);
        lines.is_wrong = replaced.is_err();
        replaced.map_err(|error| {
            behind.is_due.store(true, Ordering::Release);
            dir.note(error)
        })
    }

    /// Makes the lines anew: of all logs in the directory, and of those that are about to move in as much as is durable
    /// there already.
    fn look_at_all(
        &self,
        file: Checkpointed,
        dir: &Arc<LogDir>,
        arriving: Vec<(Arc<Log>, i64)>,
        lines: &mut Lines,
    ) {
        lines.offsets.clear();
        lines.is_known = true;
        for log in self.logs_in(dir) {
            log.unmark_behind(file);
            lines.set(log.partition(), offset_of(file, &log, i64::MAX));
        }
        for (log, durable_end) in arriving {
            // One that moves in this very moment is there twice; the lower offset is true of both.
            let offset = offset_of(file, &log, durable_end);
            let known = lines.offsets.get(log.partition()).copied();
            lines.set(
                log.partition(),
                known.map_or(offset, |known| offset.map(|o| o.min(known))),
            );
        }
    }

    /// Returns whether that changes a line.
    fn look_at_changed(
        &self,
        file: Checkpointed,
        dir: &Arc<LogDir>,
        changed: Vec<Weak<Log>>,
        lines: &mut Lines,
    ) -> bool {
        let mut is_changed = false;
        for log in changed.iter().filter_map(Weak::upgrade) {
            log.unmark_behind(file);
            let is_here = self
                .get(log.partition())
                .is_some_and(|known| Arc::ptr_eq(&known, &log));
            match is_here {
                false => {}
                true if Arc::ptr_eq(&log.log_dir(), dir) => {
                    is_changed |= lines.set(log.partition(), offset_of(file, &log, i64::MAX));
                }
                // It has moved since.
                true => log.note_behind(file),
            }
        }
        is_changed
    }
}

fn name_of(file: Checkpointed) -> &'static str {
    match file {
        Checkpointed::RecoveryPoints => RECOVERY_POINTS,
        Checkpointed::LogStarts => LOG_STARTS,
        Checkpointed::HighWatermarks => HIGH_WATERMARKS,
        Checkpointed::Cleaned => CLEANED,
    }
}

/// What the file says of a log of which everything before `durable_end` is durable in the directory; nothing where its
/// reader takes the right offset anyway: the first segment's, or 0 (which Kafka does, too).
fn offset_of(file: Checkpointed, log: &Log, durable_end: i64) -> Option<i64> {
    let log_start_offset = log.log_start_offset();
    match file {
        Checkpointed::RecoveryPoints => Some(log.recovery_point().min(durable_end)),
        Checkpointed::HighWatermarks => Some(log.high_watermark()),
        Checkpointed::LogStarts => Some(log_start_offset).filter(|&o| o > log.first_base_offset()),
        Checkpointed::Cleaned => return log.cleaned_until(),
    }
    .filter(|&offset| offset > 0)
}
