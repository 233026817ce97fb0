//! What the logs of a process share: open files, background work, files to delete, the state of log directories.
//!
//! Invariant: a log directory that failed once stays failed; its logs refuse everything, others are not touched.
//! Called by every log, and set up by the manager (or by a test).

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use crate::background::Background;
use crate::disk::Disk;
use crate::error::StorageError;
use crate::file_cache::{DEFAULT_OPEN_FILES_MAX, FileCache};

/// Shared by all logs of a process.
#[derive(Debug)]
pub struct Environment {
    pub(crate) files: Arc<FileCache>,
    pub(crate) background: Background,
    pub(crate) deletes: DeleteQueue,
}

impl Environment {
    pub fn new(disk: Disk, open_files_max: usize, background: Background) -> Arc<Environment> {
        Arc::new(Environment {
            files: FileCache::new(disk, open_files_max),
            background,
            deletes: DeleteQueue::default(),
        })
    }

    /// One that does background work at once, on the thread that causes it.
    pub fn inline(disk: Disk) -> Arc<Environment> {
        Environment::new(disk, DEFAULT_OPEN_FILES_MAX, Background::Inline)
    }

    pub fn disk(&self) -> &Disk {
        self.files.disk()
    }

    /// Removes the files whose delay is over.
    pub fn run_deletes(&self, now_ms: i64) {
        self.deletes.run(self.disk(), now_ms);
    }
}

/// Files that were renamed to `.deleted` and go when their delay is over.
#[derive(Debug, Default)]
pub(crate) struct DeleteQueue(Mutex<Vec<Deletion>>);

#[derive(Debug)]
struct Deletion {
    due_ms: i64,
    path: PathBuf,
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
        self.queue().push(Deletion {
            due_ms,
            path,
            is_dir,
        });
    }

    pub fn run(&self, disk: &Disk, now_ms: i64) {
        let due: Vec<Deletion> = {
            let mut queue = self.queue();
            let (due, rest) = std::mem::take(&mut *queue)
                .into_iter()
                .partition(|deletion| deletion.due_ms <= now_ms);
            *queue = rest;
            due
        };
        for deletion in due {
            let result = if deletion.is_dir {
                match std::fs::remove_dir_all(&deletion.path) {
                    Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
                    _ => Ok(()),
                }
            } else {
                disk.remove_file_if_exists(&deletion.path).map(|_| ())
            };
            if let Err(error) = result {
                tracing::warn!(path = %deletion.path.display(), %error, "cannot remove a deleted file");
            }
        }
    }

    fn queue(&self) -> std::sync::MutexGuard<'_, Vec<Deletion>> {
        self.0.lock().expect("delete queue poisoned")
    }
}

type FailureListener = Box<dyn Fn(&Path, &str) + Send + Sync>;

/// One of the directories that logs lie in.
pub struct LogDir {
    path: PathBuf,
    has_failed: AtomicBool,
    on_failure: Option<FailureListener>,
}

impl LogDir {
    pub fn new(path: impl Into<PathBuf>) -> Arc<LogDir> {
        Arc::new(LogDir {
            path: path.into(),
            has_failed: AtomicBool::new(false),
            on_failure: None,
        })
    }

    /// Calls `listener` once, if the directory fails.
    pub fn with_listener(
        path: impl Into<PathBuf>,
        listener: impl Fn(&Path, &str) + Send + Sync + 'static,
    ) -> Arc<LogDir> {
        Arc::new(LogDir {
            path: path.into(),
            has_failed: AtomicBool::new(false),
            on_failure: Some(Box::new(listener)),
        })
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    pub fn has_failed(&self) -> bool {
        self.has_failed.load(Ordering::Acquire)
    }

    /// Takes the directory offline.
    pub fn fail(&self, reason: &str) {
        if self.has_failed.swap(true, Ordering::AcqRel) {
            return;
        }
        tracing::error!(dir = %self.path.display(), reason, "log directory failed, its logs are offline");
        if let Some(listener) = &self.on_failure {
            listener(&self.path, reason);
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

impl fmt::Debug for LogDir {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LogDir")
            .field("path", &self.path)
            .field("has_failed", &self.has_failed())
            .finish_non_exhaustive()
    }
}
