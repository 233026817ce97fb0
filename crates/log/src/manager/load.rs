//! Loading all logs at start, in parallel.
//!
//! Invariant: the clean-shutdown marker is gone before the first log is touched, so that a crash while loading is seen
//! as one. A log that cannot be loaded because of its disk takes that directory offline; the others go on.
//! Called by [`LogManager::start`](super::LogManager::start).

use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ottla_protocol::ids::TopicPartition;

use super::checkpoints::{CLEANED, HIGH_WATERMARKS, LOG_STARTS, RECOVERY_POINTS};
use super::dirs::{LogDirs, OpenDir};
use super::{Loaded, LogManager, ManagerSettings, StartError, marker};
use crate::checkpoint::{self, Offsets, read_offsets};
use crate::config::LogConfig;
use crate::error::{Context, OpenError, StorageError};
use crate::log::Log;
use crate::names::{DirState, parse_dir_name};
use crate::open::{OpenOptions, RecoveryNote};

/// The metadata log, which is opened by its own keeper.
const METADATA_TOPIC: &str = "__cluster_metadata";
/// Tiered storage keeps copies of indexes here.
const REMOTE_INDEX_CACHE: &str = "remote-log-index-cache";
/// How often progress is told.
const PROGRESS_INTERVAL: Duration = Duration::from_secs(5);

type ConfigOf<'a> = &'a (dyn Fn(&TopicPartition) -> Arc<LogConfig> + Sync);

/// What loading found, over all directories.
#[derive(Debug, Default)]
pub struct LoadSummary {
    pub logs: usize,
    /// Directories that had to be recovered.
    pub unclean_dirs: usize,
    pub scanned_bytes: u64,
    /// What recovery found, for those logs that had something to tell.
    pub notes: Vec<(TopicPartition, Vec<RecoveryNote>)>,
    /// Checkpoint files that could not be used.
    pub ignored_checkpoints: Vec<RecoveryNote>,
}

/// A log to load.
struct Job {
    open: usize,
    partition: TopicPartition,
    options: OpenOptions,
    high_watermark: i64,
    cleaned_until: Option<i64>,
}

/// What a directory says about its logs.
struct Checkpoints {
    recovery_points: Offsets,
    log_starts: Offsets,
    high_watermarks: Offsets,
    cleaned: Offsets,
}

pub(super) fn load(
    dirs: &LogDirs,
    settings: &ManagerSettings,
    config_of: ConfigOf<'_>,
    now_ms: i64,
) -> Result<(HashMap<TopicPartition, Arc<Log>>, LoadSummary), StartError> {
    let mut summary = LoadSummary::default();
    let mut jobs = Vec::new();
    for (at, open) in dirs.dirs().iter().enumerate() {
        match list_dir(dirs, open, at, now_ms, &mut summary) {
            Ok(found) => jobs.extend(found),
            Err(error) => {
                open.dir.note(error);
            }
        }
    }
    let threads = settings.recovery_threads_per_dir.max(1) * dirs.dirs().len();
    let mut logs: HashMap<TopicPartition, Arc<Log>> = HashMap::with_capacity(jobs.len());
    let mut duplicate = None;
    run(dirs, jobs, threads, config_of, |(log, report)| {
        summary.logs += 1;
        summary.scanned_bytes += report.scanned_bytes;
        if !report.notes.is_empty() {
            summary.notes.push((log.partition().clone(), report.notes));
        }
        if let Some(other) = logs.insert(log.partition().clone(), Arc::clone(&log)) {
            duplicate = Some(StartError::DuplicateLog {
                partition: log.partition().clone(),
                first: other.dir(),
                second: log.dir(),
            });
        }
    })?;
    match duplicate {
        Some(error) => Err(error),
        None => Ok((logs, summary)),
    }
}

/// Reads the checkpoints of a directory, removes its marker, and lists its logs.
fn list_dir(
    dirs: &LogDirs,
    open: &OpenDir,
    at: usize,
    now_ms: i64,
    summary: &mut LoadSummary,
) -> Result<Vec<Job>, StorageError> {
    let path = open.dir.path();
    let environment = &dirs.environment;
    marker::remove(environment.disk(), path).context("remove", path.join(marker::FILE_NAME))?;
    let checkpoints = Checkpoints {
        recovery_points: read_checkpoint(path, RECOVERY_POINTS, summary)?,
        log_starts: read_checkpoint(path, LOG_STARTS, summary)?,
        high_watermarks: read_checkpoint(path, HIGH_WATERMARKS, summary)?,
        cleaned: read_checkpoint(path, CLEANED, summary)?,
    };
    let mut jobs = Vec::new();
    for entry in std::fs::read_dir(path).context("list", path)? {
        let entry = entry.context("list", path)?;
        let kind = entry.file_type().context("look at", entry.path())?;
        let is_dir = kind.is_dir() || kind.is_symlink() && entry.path().is_dir();
        if !is_dir {
            continue;
        }
        let name = entry.file_name();
        let Some(parsed) = name.to_str().and_then(parse_dir_name) else {
            if name != REMOTE_INDEX_CACHE {
                tracing::warn!(dir = %entry.path().display(), "not a log's directory; it is left alone");
            }
            continue;
        };
        match parsed.state {
            DirState::Live if parsed.topic == METADATA_TOPIC => {}
            DirState::Live => {
                let partition = TopicPartition::new(parsed.topic, parsed.partition);
                jobs.push(checkpoints.job(open, at, partition, now_ms));
            }
            DirState::Delete => environment.deletes.add_dir(entry.path(), now_ms),
            DirState::Stray | DirState::Future => {
                tracing::warn!(dir = %entry.path().display(), "a stray or future log is left alone");
            }
        }
    }
    // A log may have gone just before a crash.
    if checkpoints.name_more_than(&jobs) {
        open.dir.stale.gone.store(true, Ordering::Release);
    }
    if !jobs.is_empty() && !open.is_clean() {
        summary.unclean_dirs += 1;
        tracing::info!(dir = %path.display(), logs = jobs.len(), "recovering after an unclean stop");
    }
    Ok(jobs)
}

impl Checkpoints {
    fn name_more_than(&self, jobs: &[Job]) -> bool {
        let found: HashSet<&TopicPartition> = jobs.iter().map(|job| &job.partition).collect();
        let files = [
            &self.recovery_points,
            &self.log_starts,
            &self.high_watermarks,
            &self.cleaned,
        ];
        let mut named = files.into_iter().flat_map(Offsets::keys);
        named.any(|partition| !found.contains(partition))
    }

    fn job(&self, open: &OpenDir, at: usize, partition: TopicPartition, now_ms: i64) -> Job {
        let offset = |offsets: &Offsets| offsets.get(&partition).copied().unwrap_or(0).max(0);
        Job {
            open: at,
            options: OpenOptions {
                log_start_offset: offset(&self.log_starts),
                recovery_point: offset(&self.recovery_points),
                is_clean: open.is_clean(),
                ..OpenOptions::fresh(None, now_ms)
            },
            high_watermark: offset(&self.high_watermarks),
            cleaned_until: self.cleaned.get(&partition).copied(),
            partition,
        }
    }
}

/// A checkpoint that makes no sense says nothing, which is the safe side for each of them.
fn read_checkpoint(
    dir: &Path,
    name: &str,
    summary: &mut LoadSummary,
) -> Result<Offsets, StorageError> {
    let path = dir.join(name);
    match read_offsets(&path).context("read", &path)? {
        checkpoint::Loaded::Present(offsets) => Ok(offsets),
        checkpoint::Loaded::Absent => Ok(Offsets::new()),
        checkpoint::Loaded::Damaged(fault) => {
            tracing::error!(path = %path.display(), %fault, "a checkpoint file is damaged; it is treated as absent");
            summary
                .ignored_checkpoints
                .push(RecoveryNote::CheckpointIgnored { path, fault });
            Ok(Offsets::new())
        }
    }
}

/// Loads on `threads` threads, and hands each log to `take` on this one.
fn run(
    dirs: &LogDirs,
    jobs: Vec<Job>,
    threads: usize,
    config_of: ConfigOf<'_>,
    mut take: impl FnMut(Loaded),
) -> Result<(), StartError> {
    let total = jobs.len();
    let threads = threads.min(total);
    let jobs = Mutex::new(jobs.into_iter());
    let finished = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        let (sender, receiver) = channel();
        for n in 0..threads {
            let (sender, jobs, finished) = (sender.clone(), &jobs, &finished);
            std::thread::Builder::new()
                .name(format!("log-recovery-{n}"))
                .spawn_scoped(scope, move || {
                    work(dirs, jobs, finished, config_of, &sender);
                })
                .map_err(StartError::Thread)?;
        }
        drop(sender);
        loop {
            match receiver.recv_timeout(PROGRESS_INTERVAL) {
                Ok(loaded) => take(loaded),
                Err(RecvTimeoutError::Timeout) => {
                    tracing::info!(
                        finished = finished.load(Ordering::Relaxed),
                        total,
                        "loading logs"
                    );
                }
                Err(RecvTimeoutError::Disconnected) => return Ok(()),
            }
        }
    })
}

fn work(
    dirs: &LogDirs,
    jobs: &Mutex<std::vec::IntoIter<Job>>,
    finished: &AtomicUsize,
    config_of: ConfigOf<'_>,
    loaded: &Sender<Loaded>,
) {
    loop {
        let job = jobs.lock().expect("load jobs poisoned").next();
        let Some(job) = job else {
            return;
        };
        match load_one(dirs, &job, config_of) {
            Ok(log) => {
                // The receiver lives as long as this thread.
                let _ = loaded.send(log);
            }
            // A full disk, or a directory that has failed and has said so.
            Err(error) => {
                tracing::error!(partition = %job.partition, %error, "cannot load a log");
                dirs.dirs()[job.open].dir.fail(&error.to_string());
            }
        }
        finished.fetch_add(1, Ordering::Relaxed);
    }
}

fn load_one(dirs: &LogDirs, job: &Job, config_of: ConfigOf<'_>) -> Result<Loaded, OpenError> {
    let open = &dirs.dirs()[job.open];
    if open.dir.has_failed() {
        return Err(OpenError::Storage(StorageError::new(
            "use offline directory",
            open.dir.path(),
            std::io::ErrorKind::NotConnected.into(),
        )));
    }
    let config = config_of(&job.partition);
    let loaded = Log::open(
        &dirs.environment,
        &open.dir,
        &job.partition,
        config,
        &job.options,
    )?;
    loaded.0.set_high_watermark(job.high_watermark);
    if let Some(checkpoint) = job.cleaned_until {
        LogManager::restore_cleaned(&loaded.0, checkpoint);
    }
    Ok(loaded)
}
