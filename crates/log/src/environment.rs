//! What the logs of a process share: open files, background work, files to delete, the state of log directories.
//!
//! Invariant: a log directory that failed once stays failed; its logs refuse everything, others are not touched.
//! Called by every log, and set up by the manager (or by a test).

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize};
use std::sync::{Arc, Mutex, OnceLock, Weak};

use crate::background::{Background, Limit};
use crate::behind::{List, Listing, Stale};
use crate::disk::Disk;
use crate::error::StorageError;
use crate::file_cache::{DEFAULT_OPEN_FILES_MAX, FileCache};
use crate::log::Log;
use crate::pressure::Pressure;
use crate::seldom::Seldom;

/// Logs that are synced at a time because acknowledgements wait, at most.
const SYNC_THREADS: usize = 16;
/// A disk takes several syncs in the time of one, so that so many logs are synced side by side. More are only where many
/// logs wait: a log that waits for its turn gathers requests, which then share one sync.
const SYNC_LIMIT: Limit = Limit {
    at_least: 3,
    jobs_per_thread: 8,
};

/// Shared by all logs of a process.
#[derive(Debug)]
pub struct Environment {
    pub(crate) files: Arc<FileCache>,
    /// Syncs and other work that may take long.
    pub(crate) background: Background,
    /// Preallocation ahead of appends, which must not wait for a disk that is busy with what was written.
    pub(crate) reserves: Background,
    /// Writeback behind appends, which must not wait for a sync.
    pub(crate) writebacks: Background,
    /// Syncs that acknowledgements wait for: as many logs at a time as there are threads.
    pub(crate) syncs: Background,
    pub(crate) deletes: DeleteQueue,
    pressure: Pressure,
    /// Logs with unflushed batches, each once.
    dirty: Mutex<Vec<Weak<Log>>>,
    used: Listing,
    compacted: Listing,
}

impl Environment {
    pub fn new(disk: Disk, open_files_max: usize, background: Background) -> Arc<Environment> {
        let syncs = match &background {
            Background::Inline => Background::Inline,
            Background::Threads(_) => Background::limited(SYNC_THREADS, "log-sync", SYNC_LIMIT),
        };
        Environment::of(FileCache::new(disk, open_files_max), background, syncs)
    }

    fn of(files: Arc<FileCache>, background: Background, syncs: Background) -> Arc<Environment> {
        let one_thread = |name| match &background {
            Background::Inline => Background::Inline,
            Background::Threads(_) => Background::threads(1, name),
        };
        Arc::new(Environment {
            files,
            reserves: one_thread("log-reserve"),
            writebacks: one_thread("log-writeback"),
            background,
            syncs,
            deletes: DeleteQueue::default(),
            pressure: Pressure::default(),
            dirty: Mutex::new(Vec::new()),
            used: Listing::default(),
            compacted: Listing::default(),
        })
    }

    /// One whose acknowledgements wait for these threads, and that does all else at once.
    #[cfg(test)]
    pub(crate) fn with_syncs(disk: Disk, syncs: Background) -> Arc<Environment> {
        let files = FileCache::new(disk, DEFAULT_OPEN_FILES_MAX);
        Environment::of(files, Background::Inline, syncs)
    }

    /// One that does background work at once, on the thread that causes it.
    pub fn inline(disk: Disk) -> Arc<Environment> {
        Environment::new(disk, DEFAULT_OPEN_FILES_MAX, Background::Inline)
    }

    pub fn disk(&self) -> &Disk {
        self.files.disk()
    }

    /// Whether producers have to be slowed down.
    pub fn pressure(&self) -> &Pressure {
        &self.pressure
    }

    pub(crate) fn listing(&self, list: List) -> &Listing {
        match list {
            List::Used => &self.used,
            List::Compacted => &self.compacted,
        }
    }

    /// Notes a log that was clean and is not any more.
    pub(crate) fn note_dirty(&self, log: Weak<Log>) {
        self.dirty.lock().expect("dirty list poisoned").push(log);
    }

    /// Hands out the logs that became dirty since the last call.
    pub(crate) fn take_dirty(&self) -> Vec<Weak<Log>> {
        std::mem::take(&mut *self.dirty.lock().expect("dirty list poisoned"))
    }

    /// Removes the files whose delay is over.
    pub fn run_deletes(&self, now_ms: i64) {
        self.deletes.run(self.disk(), now_ms);
    }
}

/// Files that were renamed to `.deleted` and go when their delay is over.
#[derive(Debug, Default)]
pub(crate) struct DeleteQueue(Mutex<HashMap<PathBuf, Deletion>>);

#[derive(Debug, Clone, Copy)]
struct Deletion {
    due_ms: i64,
    is_dir: bool,
}

impl DeleteQueue {
    pub fn add_file(&self, path: PathBuf, due_ms: i64) {
        self.add(path, due_ms, false);
    }

    pub fn add_dir(&self, path: PathBuf, due_ms: i64) {
        self.add(path, due_ms, true);
    }

    fn add(&self, path: PathBuf, due_ms: i64, is_dir: bool) {
        // A file that took the name of one that waits already begins to wait anew.
        self.queue().insert(path, Deletion { due_ms, is_dir });
    }

    pub fn run(&self, disk: &Disk, now_ms: i64) {
        let due: Vec<(PathBuf, Deletion)> = self
            .queue()
            .extract_if(|_, deletion| deletion.due_ms <= now_ms)
            .collect();
        for (path, deletion) in due {
            let result = if deletion.is_dir {
                match std::fs::remove_dir_all(&path) {
                    Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
                    _ => Ok(()),
                }
            } else {
                disk.remove_file_if_exists(&path).map(|_| ())
            };
            if let Err(error) = result {
                tracing::warn!(path = %path.display(), %error, "cannot remove a deleted file");
            }
        }
    }

    fn queue(&self) -> std::sync::MutexGuard<'_, HashMap<PathBuf, Deletion>> {
        self.0.lock().expect("delete queue poisoned")
    }
}

/// One of the directories that logs lie in.
#[derive(Debug)]
pub struct LogDir {
    path: PathBuf,
    failure: OnceLock<String>,
    /// What was checkpointed of the logs in here is not true any more.
    pub(crate) stale: Stale,
    /// So little space is left that clients' appends are refused.
    pub(crate) is_short: AtomicBool,
    /// Logs of the manager that lie in here.
    pub(crate) log_count: AtomicUsize,
    /// Which of the appends are told that the directory's disk refuses.
    pub refused_appends: Seldom,
    /// Which of the reads are told that its disk refuses.
    pub refused_reads: Seldom,
    /// Which of the reads are told that meet damaged data.
    pub damaged_reads: Seldom,
}

impl LogDir {
    pub fn new(path: impl Into<PathBuf>) -> Arc<LogDir> {
        Arc::new(LogDir {
            path: path.into(),
            failure: OnceLock::new(),
            stale: Stale::default(),
            is_short: AtomicBool::new(false),
            log_count: AtomicUsize::new(0),
            refused_appends: Seldom::default(),
            refused_reads: Seldom::default(),
            damaged_reads: Seldom::default(),
        })
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    pub fn has_failed(&self) -> bool {
        self.failure.get().is_some()
    }

    /// Why the directory is offline.
    pub fn failure(&self) -> Option<&str> {
        self.failure.get().map(String::as_str)
    }

    /// Takes the directory offline.
    pub fn fail(&self, reason: &str) {
        if self.failure.set(reason.to_owned()).is_ok() {
            tracing::error!(dir = %self.path.display(), reason, "log directory failed, its logs are offline");
        }
    }

    /// Takes the directory offline if the error says that the disk cannot be trusted; a full disk can.
    pub(crate) fn note(&self, error: StorageError) -> StorageError {
        if !error.is_full() {
            self.fail(&error.to_string());
        }
        error
    }
}
