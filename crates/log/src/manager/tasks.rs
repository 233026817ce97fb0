//! What the manager does by itself: flushes, retention, checkpoints, deletions, and taking failed directories offline.
//!
//! Invariant: the time comes in from outside, and so do the calls: the broker's shell calls [`LogManager::tick`] about
//! once a second on a thread that may block. A tick without anything to do costs next to nothing, however many logs
//! there are.
//! Called by the broker's shell, or by the thread that [`LogManager::run_in_background`] starts.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use ottla_protocol::Uuid;
use ottla_protocol::ids::TopicPartition;

use super::{LogManager, ManagerSettings, marker};
use crate::behind::{Checkpointed, List};
use crate::environment::LogDir;
use crate::error::{Context, StorageError};
use crate::log::Log;
use crate::pressure;

/// How often the background thread calls `tick`.
const TICK: Duration = Duration::from_secs(1);

/// From a flush by age to the checkpoint that tells of it and of those that follow in between.
const CHECKPOINT_AFTER_FLUSH_MS: i64 = 5_000;

/// When each of the periodic tasks is due.
#[derive(Debug)]
pub(crate) struct Schedule {
    flush: Periodic,
    recovery_points: Periodic,
    /// When flushes by age have moved recovery points that should be checkpointed before `recovery_points` is due.
    after_flush_ms: Option<i64>,
    log_starts: Periodic,
    high_watermarks: Periodic,
    retention: Periodic,
    producers: Periodic,
    /// Directories whose failure was handled.
    failed: Vec<PathBuf>,
    /// Logs whose flush is not due yet.
    waiting: Vec<std::sync::Weak<Log>>,
}

#[derive(Debug, Clone, Copy)]
struct Periodic {
    interval_ms: i64,
    next_ms: i64,
}

impl Periodic {
    fn new(interval_ms: i64, now_ms: i64) -> Periodic {
        Periodic {
            interval_ms: interval_ms.max(1),
            next_ms: now_ms.saturating_add(interval_ms),
        }
    }

    fn is_due(&mut self, now_ms: i64) -> bool {
        if now_ms < self.next_ms {
            return false;
        }
        self.next_ms = now_ms.saturating_add(self.interval_ms);
        true
    }
}

impl Schedule {
    pub fn new(settings: &ManagerSettings, now_ms: i64) -> Schedule {
        let every = |interval_ms| Periodic::new(interval_ms, now_ms);
        Schedule {
            flush: every(settings.flush_check_ms),
            recovery_points: every(settings.recovery_point_checkpoint_ms),
            after_flush_ms: None,
            log_starts: every(settings.log_start_checkpoint_ms),
            high_watermarks: every(settings.high_watermark_checkpoint_ms),
            retention: every(settings.retention_check_ms),
            producers: every(settings.producer_expiration_check_ms),
            failed: Vec::new(),
            waiting: Vec::new(),
        }
    }
}

impl Schedule {
    /// At their interval, or earlier after a flush: what a crash scans is what lies behind the checkpoint.
    fn are_recovery_points_due(&mut self, now_ms: i64) -> bool {
        let after_flush = self.after_flush_ms.is_some_and(|due_ms| due_ms <= now_ms);
        if after_flush {
            self.after_flush_ms = None;
        }
        self.recovery_points.is_due(now_ms) || after_flush
    }
}

/// A directory that went offline, and the partitions that went with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DirFailure {
    pub path: PathBuf,
    pub directory_id: Uuid,
    pub reason: String,
    pub partitions: Vec<TopicPartition>,
}

/// Ends the background thread when dropped.
#[derive(Debug)]
pub struct BackgroundTicks {
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Drop for BackgroundTicks {
    fn drop(&mut self) {
        self.stop = None;
        if let Some(thread) = self.thread.take() {
            // A panic in there was reported when it happened.
            let _ = thread.join();
        }
    }
}

impl LogManager {
    /// Calls [`LogManager::tick`] every second on a thread of its own, until the answer is dropped.
    pub fn run_in_background(
        self: &Arc<Self>,
        now_ms: impl Fn() -> i64 + Send + 'static,
        on_failure: impl Fn(DirFailure) + Send + 'static,
    ) -> std::io::Result<BackgroundTicks> {
        let manager = Arc::clone(self);
        let (stop, stopped) = channel::<()>();
        let thread = std::thread::Builder::new()
            .name("log-manager".to_owned())
            .spawn(move || {
                while let Err(RecvTimeoutError::Timeout) = stopped.recv_timeout(TICK) {
                    for failure in manager.tick(now_ms()) {
                        on_failure(failure);
                    }
                }
            })?;
        Ok(BackgroundTicks {
            stop: Some(stop),
            thread: Some(thread),
        })
    }

    /// Does what is due. Returns the directories that went offline since the last call.
    pub fn tick(&self, now_ms: i64) -> Vec<DirFailure> {
        let mut schedule = self.schedule.lock().expect("schedule poisoned");
        let failures = self.take_failures(&mut schedule);
        if schedule.flush.is_due(now_ms) {
            self.flush_due(&mut schedule, now_ms);
        }
        self.dirs.environment.run_deletes(now_ms);
        for open in self.dirs.dirs() {
            pressure::look_at_space(&open.dir);
        }
        if schedule.retention.is_due(now_ms) {
            self.run_retention(now_ms);
        }
        if schedule.producers.is_due(now_ms) {
            for log in self.listed(List::Used, Log::is_used) {
                log.remove_expired_producers(now_ms);
            }
        }
        let (recovery_points, log_starts, high_watermarks) = (
            schedule.are_recovery_points_due(now_ms),
            schedule.log_starts.is_due(now_ms),
            schedule.high_watermarks.is_due(now_ms),
        );
        for open in self.dirs.dirs() {
            // An error has taken the directory offline, which the next tick tells.
            if recovery_points && !open.dir.has_failed() {
                let _ = self.checkpoint_recovery_points(&open.dir);
            }
            if log_starts && !open.dir.has_failed() {
                let _ = self.checkpoint_log_starts(&open.dir);
            }
            if high_watermarks && !open.dir.has_failed() {
                let _ = self.checkpoint_high_watermarks(&open.dir);
            }
            // Behind only after a clean, a cut or a removal.
            if !open.dir.has_failed() {
                let _ = self.checkpoint_cleaned(&open.dir);
            }
        }
        failures
    }

    /// Flushes the logs whose oldest unflushed batch is older than `flush.ms`.
    fn flush_due(&self, schedule: &mut Schedule, now_ms: i64) {
        let mut candidates = std::mem::take(&mut schedule.waiting);
        candidates.extend(self.dirs.environment.take_dirty());
        for candidate in candidates {
            let Some(log) = candidate.upgrade() else {
                continue;
            };
            let Some(since_ms) = log.unflushed_since_ms() else {
                log.unlist_as_dirty();
                continue;
            };
            if log.is_out_of_use() {
                continue;
            }
            if now_ms.saturating_sub(since_ms) < log.config().flush_ms {
                schedule.waiting.push(candidate);
                continue;
            }
            log.unlist_as_dirty();
            schedule
                .after_flush_ms
                .get_or_insert(now_ms.saturating_add(CHECKPOINT_AFTER_FLUSH_MS));
            self.dirs.environment.background.run(Box::new(move || {
                if let Err(error) = log.flush_and_settle() {
                    tracing::warn!(partition = %log.partition(), %error, "cannot flush");
                }
            }));
        }
    }

    /// Removes what no log keeps any more. Returns how many segments went.
    pub fn run_retention(&self, now_ms: i64) -> usize {
        let mut removed = 0;
        for log in self.listed(List::Used, Log::is_used) {
            match log.run_retention(now_ms) {
                Ok(count) => removed += count,
                Err(error) => {
                    tracing::warn!(partition = %log.partition(), %error, "cannot remove old segments");
                }
            }
        }
        removed
    }

    /// Takes the logs of failed directories out of use.
    fn take_failures(&self, schedule: &mut Schedule) -> Vec<DirFailure> {
        let mut failures = Vec::new();
        for open in self.dirs.dirs() {
            let Some(reason) = open.dir.failure() else {
                continue;
            };
            let path = open.dir.path().to_path_buf();
            if schedule.failed.contains(&path) {
                continue;
            }
            schedule.failed.push(path.clone());
            let partitions = self.drop_logs_of(&open.dir);
            failures.push(DirFailure {
                path,
                directory_id: open.directory_id,
                reason: reason.to_owned(),
                partitions,
            });
        }
        failures
    }

    fn drop_logs_of(&self, dir: &Arc<LogDir>) -> Vec<TopicPartition> {
        let logs = self.logs_in(dir);
        let mut all = self.write_logs();
        logs.iter()
            .map(|log| {
                log.abandon();
                all.remove(log.partition());
                log.partition().clone()
            })
            .collect()
    }

    /// Closes all logs, writes the checkpoints, and marks the directories as cleanly left.
    ///
    /// A directory whose logs could not all be closed gets no marker. The broker epoch goes into the marker, for the
    /// controller to see at the next start that nothing was lost.
    pub fn shutdown(&self, broker_epoch: i64) {
        let _schedule = self.schedule.lock().expect("schedule poisoned");
        for open in self.dirs.dirs() {
            if open.dir.has_failed() {
                continue;
            }
            let logs = self.logs_in(&open.dir);
            let is_clean = self.close_all(&logs);
            let finished = self.finish_dir(&open.dir, is_clean.then_some(broker_epoch));
            if let Err(error) = finished {
                tracing::error!(dir = %open.dir.path().display(), %error, "cannot leave the directory clean");
            }
        }
    }

    /// Closes logs on several threads; returns whether all could be.
    fn close_all(&self, logs: &[Arc<Log>]) -> bool {
        let threads = self.settings.recovery_threads_per_dir.max(1);
        let share = logs.len().div_ceil(threads).max(1);
        std::thread::scope(|scope| {
            let workers: Vec<_> = logs
                .chunks(share)
                .map(|share| {
                    scope.spawn(move || {
                        let mut is_clean = true;
                        for log in share {
                            if let Err(error) = log.close() {
                                tracing::error!(partition = %log.partition(), %error, "cannot close a log");
                                is_clean = false;
                            }
                        }
                        is_clean
                    })
                })
                .collect();
            workers
                .into_iter()
                .all(|worker| worker.join().unwrap_or(false))
        })
    }

    /// Logs that were begun, cut, recovered or sealed and not appended to have files of which nobody synced the content
    /// or the name, yet the next start takes every file as it finds it. One sync of the file system costs what is not
    /// durable, where one for each log would cost all logs.
    fn finish_dir(&self, dir: &Arc<LogDir>, broker_epoch: Option<i64>) -> Result<(), StorageError> {
        self.dirs
            .environment
            .disk()
            .sync_file_system(dir.path())
            .context("sync the file system of", dir.path())
            .map_err(|error| dir.note(error))?;
        // Closing moved recovery points; the files must say so before the marker says that they do.
        dir.stale.note_all(Checkpointed::RecoveryPoints);
        self.checkpoint_dir(dir)?;
        if let Some(broker_epoch) = broker_epoch {
            marker::write(self.dirs.environment.disk(), dir.path(), broker_epoch)
                .context("write", dir.path().join(marker::FILE_NAME))?;
        }
        Ok(())
    }

    /// The broker epoch of the last clean stop, if all directories agree on it; what a broker tells when it registers.
    pub fn previous_broker_epoch(&self) -> Option<i64> {
        let mut epochs = self
            .dirs
            .dirs()
            .iter()
            .map(|open| open.marker.and_then(|marker| marker.broker_epoch));
        let first = epochs.next()??;
        epochs.all(|epoch| epoch == Some(first)).then_some(first)
    }
}
