//! Writing the offset checkpoints of a log directory.
//!
//! Invariant: a file is replaced as a whole, synced, and only when it is behind. What it says was true at some moment
//! after the flag was taken, so that a change meanwhile sets the flag again.
//! Called by the manager's tasks, by truncation, before a log moves in, and at the end.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use ottla_protocol::ids::TopicPartition;

use super::LogManager;
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
        self.write_if(
            &dir.stale.recovery_points,
            dir,
            RECOVERY_POINTS,
            |log, durable_end| Some(log.recovery_point().min(durable_end)),
        )
    }

    pub(super) fn checkpoint_log_starts(&self, dir: &Arc<LogDir>) -> Result<(), StorageError> {
        self.write_if(&dir.stale.log_starts, dir, LOG_STARTS, |log, _| {
            let log_start_offset = log.log_start_offset();
            // Where the first segment says the same, nothing needs to be said.
            (log_start_offset > log.first_base_offset()).then_some(log_start_offset)
        })
    }

    pub(super) fn checkpoint_high_watermarks(&self, dir: &Arc<LogDir>) -> Result<(), StorageError> {
        self.write_if(
            &dir.stale.high_watermarks,
            dir,
            HIGH_WATERMARKS,
            |log, _| Some(log.high_watermark()),
        )
    }

    /// How far each log was cleaned; those that never were are not in it.
    pub(super) fn checkpoint_cleaned(&self, dir: &Arc<LogDir>) -> Result<(), StorageError> {
        self.write_if(&dir.stale.cleaned, dir, CLEANED, |log, _| {
            log.cleaned_until()
        })
    }

    /// Takes the lines of logs that are gone out of the files, before a log begins that may have one of their names:
    /// after a crash it would be taken to begin, to be durable and to be clean where the other one was.
    pub(super) fn checkpoint_what_is_gone(&self, dir: &Arc<LogDir>) -> Result<(), StorageError> {
        if !dir.stale.gone.swap(false, Ordering::AcqRel) {
            return Ok(());
        }
        Self::note_all_stale(dir);
        self.checkpoint_dir(dir)
            .inspect_err(|_| dir.stale.gone.store(true, Ordering::Release))
    }

    /// What is checkpointed of logs in the directory is behind.
    pub(super) fn note_all_stale(dir: &LogDir) {
        let stale = &dir.stale;
        for flag in [
            &stale.recovery_points,
            &stale.log_starts,
            &stale.high_watermarks,
            &stale.cleaned,
        ] {
            flag.store(true, Ordering::Release);
        }
    }

    /// `offset_of` is told of a log that is about to move in how much of it is durable in the directory.
    fn write_if(
        &self,
        is_stale: &AtomicBool,
        dir: &Arc<LogDir>,
        name: &str,
        offset_of: impl Fn(&Log, i64) -> Option<i64>,
    ) -> Result<(), StorageError> {
        if !is_stale.load(Ordering::Acquire) {
            return Ok(());
        }
        let _writing = dir.stale.writing.lock().expect("checkpoints poisoned");
        if !is_stale.swap(false, Ordering::AcqRel) {
            return Ok(());
        }
        let logs = self.logs_in(dir).into_iter().map(|log| (log, i64::MAX));
        let logs: Vec<(Arc<Log>, i64)> = logs.chain(self.moves.arriving_in(dir)).collect();
        let mut offsets: Vec<(&TopicPartition, i64)> = logs
            .iter()
            .filter_map(|(log, durable_end)| Some((log.partition(), offset_of(log, *durable_end)?)))
            .collect();
        offsets.sort_unstable();
        // A log that moves in this very moment is there twice; the lower offset is true of both.
        offsets.dedup_by_key(|(partition, _)| *partition);
        let path = dir.path().join(name);
        self.dirs
            .environment
            .disk()
            .replace_file(&path, format_offsets(offsets.into_iter()).as_bytes())
            .context("write", &path)
            .map_err(|error| {
                is_stale.store(true, Ordering::Release);
                dir.note(error)
            })
    }
}
