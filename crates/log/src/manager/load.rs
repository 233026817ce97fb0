//! Loading all logs at start, in parallel.
//!
//! Invariant: the clean-shutdown marker is gone before the first log is touched, so that a crash while loading is seen
//! as one. A log that cannot be loaded because of its disk takes that directory offline; the others go on.
//! Called by [`LogManager::start`](super::LogManager::start).

use std::collections::{HashMap, HashSet};
use std::os::unix::fs::DirEntryExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ottla_protocol::Uuid;
use ottla_protocol::ids::TopicPartition;

use super::checkpoints::{CLEANED, HIGH_WATERMARKS, LOG_STARTS, RECOVERY_POINTS};
use super::dirs::{LogDirs, OpenDir};
use super::futures::{Future, Live, Verdict, judge};
use super::{Loaded, LogManager, ManagerSettings, StartError, marker, random_u128};
use crate::checkpoint::{self, Offsets, read_offsets};
use crate::config::LogConfig;
use crate::error::{Context, OpenError, StorageError};
use crate::log::Log;
use crate::names::{
    DELETE_DIR_SUFFIX, DirState, PARTITION_METADATA, ParsedDir, dir_name, marked_dir_name,
    parse_dir_name,
};
use crate::open::{OpenOptions, RecoveryNote};
use crate::turns::Turns;

/// The metadata log, which is opened by its own keeper.
const METADATA_TOPIC: &str = "__cluster_metadata";
/// Tiered storage keeps copies of indexes here.
const REMOTE_INDEX_CACHE: &str = "remote-log-index-cache";
/// Threads that look at a directory's logs side by side, where there are many. With cold caches each log waits for a
/// handful of small reads, so what counts is how many of them the disk has before it. How many logs are read through at a
/// time is for `num.recovery.threads.per.data.dir` to say ([`OpenOptions::recoveries`]).
const LOAD_THREADS_PER_DIR_MAX: usize = 16;
/// Logs that are worth a thread.
const LOGS_PER_THREAD: usize = 64;
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

/// All logs, and what loading them found.
pub(super) struct LoadedLogs {
    pub logs: HashMap<TopicPartition, Arc<Log>>,
    pub summary: LoadSummary,
    /// Moves that a stop interrupted, and the directories that they went to.
    pub unfinished: Vec<(TopicPartition, usize)>,
}

/// What lies in a log directory.
#[derive(Default)]
struct Listed {
    checkpoints: Checkpoints,
    live: Vec<TopicPartition>,
    futures: Vec<Future>,
    /// Directories to be removed, and the unique parts of their names.
    deleted: Vec<(String, PathBuf)>,
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
#[derive(Default)]
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
) -> Result<LoadedLogs, StartError> {
    let mut summary = LoadSummary::default();
    let mut listed = Vec::with_capacity(dirs.dirs().len());
    for (at, open) in dirs.dirs().iter().enumerate() {
        listed.push(
            list_dir(dirs, open, at, &mut summary).unwrap_or_else(|error| {
                open.dir.note(error);
                Listed::default()
            }),
        );
    }
    let unfinished = settle_futures(dirs, &mut listed, now_ms);
    let recoveries_per_dir = settings.recovery_threads_per_dir.max(1);
    let mut jobs = Vec::new();
    for (at, (open, listed)) in dirs.dirs().iter().zip(listed).enumerate() {
        let Listed {
            checkpoints, live, ..
        } = listed;
        // A log may have gone just before a crash.
        if checkpoints.name_more_than(&live) {
            open.dir.stale.note_gone();
        }
        if !live.is_empty() && !open.is_clean() {
            summary.unclean_dirs += 1;
            tracing::info!(dir = %open.dir.path().display(), logs = live.len(), "recovering after an unclean stop");
        }
        let recoveries = Arc::new(Turns::new(recoveries_per_dir));
        jobs.extend(live.into_iter().enumerate().map(|(position, partition)| {
            let mut job = checkpoints.job(open, at, partition, now_ms);
            job.options.recoveries = Some(Arc::clone(&recoveries));
            (position, job)
        }));
    }
    // All disks have something to do until the end.
    jobs.sort_by_key(|(position, _)| *position);
    let jobs: Vec<Job> = jobs.into_iter().map(|(_, job)| job).collect();
    let dir_count = dirs.dirs().len();
    let threads = (jobs.len().div_ceil(LOGS_PER_THREAD))
        .min(LOAD_THREADS_PER_DIR_MAX * dir_count)
        .max(recoveries_per_dir * dir_count);
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
        None => Ok(LoadedLogs {
            logs,
            summary,
            unfinished,
        }),
    }
}

/// Reads the checkpoints of a directory, removes its marker, and lists what lies in it.
fn list_dir(
    dirs: &LogDirs,
    open: &OpenDir,
    at: usize,
    summary: &mut LoadSummary,
) -> Result<Listed, StorageError> {
    let path = open.dir.path();
    let environment = &dirs.environment;
    marker::remove(environment.disk(), path).context("remove", path.join(marker::FILE_NAME))?;
    let checkpoints = Checkpoints {
        recovery_points: read_checkpoint(path, RECOVERY_POINTS, summary)?,
        log_starts: read_checkpoint(path, LOG_STARTS, summary)?,
        high_watermarks: read_checkpoint(path, HIGH_WATERMARKS, summary)?,
        cleaned: read_checkpoint(path, CLEANED, summary)?,
    };
    let mut listed = Listed {
        checkpoints,
        ..Listed::default()
    };
    let mut entries = std::fs::read_dir(path)
        .and_then(Iterator::collect::<std::io::Result<Vec<_>>>)
        .context("list", path)?;
    // What was made one after the other lies side by side on the disk.
    entries.sort_unstable_by_key(DirEntryExt::ino);
    for entry in entries {
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
        listed.add(&parsed, entry.path(), at)?;
    }
    Ok(listed)
}

impl Listed {
    fn add(
        &mut self,
        parsed: &ParsedDir<'_>,
        path: PathBuf,
        open: usize,
    ) -> Result<(), StorageError> {
        let partition = || TopicPartition::new(parsed.topic, parsed.partition);
        let unique = parsed.unique.unwrap_or_default().to_owned();
        match parsed.state {
            DirState::Live if parsed.topic == METADATA_TOPIC => {}
            DirState::Live => self.live.push(partition()),
            DirState::Delete => self.deleted.push((unique, path)),
            DirState::Future => self.futures.push(Future {
                open,
                partition: partition(),
                topic_id: topic_id(&path)?,
                unique,
                path,
            }),
            DirState::Stray => {
                tracing::warn!(dir = %path.display(), "a stray log is left alone");
            }
        }
        Ok(())
    }
}

fn topic_id(dir: &Path) -> Result<Option<Uuid>, StorageError> {
    let path = dir.join(PARTITION_METADATA);
    Ok(
        match checkpoint::read_partition_metadata(&path).context("read", &path)? {
            checkpoint::Loaded::Present(id) => Some(id),
            checkpoint::Loaded::Absent | checkpoint::Loaded::Damaged(_) => None,
        },
    )
}

/// Makes the logs of copies that are complete, has those removed that are not wanted, and returns the moves that begin
/// again. Directories to be deleted go after that: one of them may tell that a copy is complete.
fn settle_futures(
    dirs: &LogDirs,
    listed: &mut [Listed],
    now_ms: i64,
) -> Vec<(TopicPartition, usize)> {
    let futures: Vec<Future> = listed
        .iter_mut()
        .flat_map(|listed| std::mem::take(&mut listed.futures))
        .collect();
    let mut unfinished = Vec::new();
    let mut kept = HashSet::new();
    if !futures.is_empty() {
        let verdicts = judge(&live(dirs, listed), &retired(listed), &futures);
        for (future, verdict) in futures.into_iter().zip(verdicts) {
            let open = &dirs.dirs()[future.open];
            let done = match verdict {
                Verdict::Promote => promote(dirs, open, &future)
                    .inspect(|()| listed[future.open].live.push(future.partition.clone()))
                    .inspect_err(|_| _ = kept.insert(future.unique.clone())),
                Verdict::BeginAgain | Verdict::Remove => {
                    if verdict == Verdict::BeginAgain {
                        unfinished.push((future.partition.clone(), future.open));
                    }
                    remove(dirs, open, &future, now_ms)
                }
                Verdict::LeaveAlone => {
                    tracing::warn!(dir = %future.path.display(), "the copy of a log that is not here is left alone");
                    Ok(())
                }
            };
            if let Err(error) = done {
                open.dir.note(error);
            }
        }
    }
    for (unique, path) in listed
        .iter_mut()
        .flat_map(|l| std::mem::take(&mut l.deleted))
    {
        if !kept.contains(&unique) {
            dirs.environment.deletes.add_dir(path, now_ms);
        }
    }
    unfinished
}

fn live(dirs: &LogDirs, listed: &[Listed]) -> HashMap<TopicPartition, Live> {
    let mut live = HashMap::new();
    for (open, (dir, listed)) in dirs.dirs().iter().zip(listed).enumerate() {
        for partition in &listed.live {
            let path = dir.dir.path();
            let path = path.join(dir_name(&partition.topic, partition.partition));
            // A log whose id cannot be read is told of when it is loaded.
            let topic_id = topic_id(&path).ok().flatten();
            live.insert(partition.clone(), Live { open, topic_id });
        }
    }
    live
}

fn retired(listed: &[Listed]) -> HashSet<String> {
    let deleted = listed.iter().flat_map(|listed| &listed.deleted);
    deleted.map(|(unique, _)| unique.clone()).collect()
}

/// Finishes a move of which only the last rename is missing.
fn promote(dirs: &LogDirs, open: &OpenDir, future: &Future) -> Result<(), StorageError> {
    let partition = &future.partition;
    let to = open.dir.path();
    let to = to.join(dir_name(&partition.topic, partition.partition));
    let disk = dirs.environment.disk();
    disk.rename(&future.path, &to)
        .context("rename", &future.path)?;
    disk.sync_dir(open.dir.path())
        .context("sync", open.dir.path())?;
    tracing::info!(%partition, dir = %to.display(), "a log has moved; the stop came just before");
    Ok(())
}

fn remove(
    dirs: &LogDirs,
    open: &OpenDir,
    future: &Future,
    now_ms: i64,
) -> Result<(), StorageError> {
    let partition = &future.partition;
    let name = marked_dir_name(
        &partition.topic,
        partition.partition,
        random_u128(),
        DELETE_DIR_SUFFIX,
    );
    let to = open.dir.path().join(name);
    let environment = &dirs.environment;
    environment
        .disk()
        .rename(&future.path, &to)
        .context("rename", &future.path)?;
    environment.deletes.add_dir(to, now_ms);
    Ok(())
}

impl Checkpoints {
    fn name_more_than(&self, live: &[TopicPartition]) -> bool {
        let found: HashSet<&TopicPartition> = live.iter().collect();
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
                is_there: true,
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
