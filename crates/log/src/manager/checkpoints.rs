//! Writing the offset checkpoints of a log directory.
//!
//! Invariant: a file is replaced as a whole, synced, and only when it is behind. What it says was true at some moment
//! after the flag was taken, so that a change meanwhile sets the flag again.
//! Called by the manager's tasks, by truncation, and at the end.

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
            self.checkpoint_recovery_points(&open.dir)?;
            self.checkpoint_log_starts(&open.dir)?;
            self.checkpoint_high_watermarks(&open.dir)?;
            self.checkpoint_cleaned(&open.dir)?;
        }
        Ok(())
    }

    pub(super) fn checkpoint_recovery_points(&self, dir: &Arc<LogDir>) -> Result<(), StorageError> {
        self.write_if(&dir.stale.recovery_points, dir, RECOVERY_POINTS, |log| {
            Some(log.recovery_point())
        })
    }

    pub(super) fn checkpoint_log_starts(&self, dir: &Arc<LogDir>) -> Result<(), StorageError> {
        self.write_if(&dir.stale.log_starts, dir, LOG_STARTS, |log| {
            let log_start_offset = log.log_start_offset();
            // Where the first segment says the same, nothing needs to be said.
            (log_start_offset > log.first_base_offset()).then_some(log_start_offset)
        })
    }

    pub(super) fn checkpoint_high_watermarks(&self, dir: &Arc<LogDir>) -> Result<(), StorageError> {
        self.write_if(&dir.stale.high_watermarks, dir, HIGH_WATERMARKS, |log| {
            Some(log.high_watermark())
        })
    }

    /// How far each log was cleaned; those that never were are not in it.
    pub(super) fn checkpoint_cleaned(&self, dir: &Arc<LogDir>) -> Result<(), StorageError> {
        self.write_if(&dir.stale.cleaned, dir, CLEANED, Log::cleaned_until)
    }

    /// Takes the lines of logs that are gone out of the files, before a log begins that may have one of their names:
    /// after a crash it would be taken to begin, to be durable and to be clean where the other one was.
    pub(super) fn checkpoint_what_is_gone(&self, dir: &Arc<LogDir>) -> Result<(), StorageError> {
        if !dir.stale.gone.swap(false, Ordering::AcqRel) {
            return Ok(());
        }
        let stale = &dir.stale;
        for file in [
            &stale.recovery_points,
            &stale.log_starts,
            &stale.high_watermarks,
            &stale.cleaned,
        ] {
            file.store(true, Ordering::Release);
        }
        self.checkpoint_recovery_points(dir)
            .and_then(|()| self.checkpoint_log_starts(dir))
            .and_then(|()| self.checkpoint_high_watermarks(dir))
            .and_then(|()| self.checkpoint_cleaned(dir))
            .inspect_err(|_| stale.gone.store(true, Ordering::Release))
    }

    fn write_if(
        &self,
        is_stale: &AtomicBool,
        dir: &Arc<LogDir>,
        name: &str,
        offset_of: impl Fn(&Log) -> Option<i64>,
    ) -> Result<(), StorageError> {
        if !is_stale.swap(false, Ordering::AcqRel) {
            return Ok(());
        }
        let logs = self.logs_in(dir);
        let mut offsets: Vec<(&TopicPartition, i64)> = logs
            .iter()
            .filter_map(|log| Some((log.partition(), offset_of(log)?)))
            .collect();
        offsets.sort_unstable();
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
