//! All logs of a process, in several log directories.
//!
//! Invariant: a partition has one log here at most. A directory that fails takes its own logs offline and no others.
//! Background work costs what changed: logs that were appended to are in a list, checkpoint files are written when they
//! are behind.
//! Called by the broker: `LogDirs::open`, then [`LogManager::start`], then `get_or_create` and `delete` as the metadata
//! says, and [`LogManager::shutdown`] at the end.

use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, RwLock};

use ottla_protocol::Uuid;
use ottla_protocol::ids::TopicPartition;

use crate::behind::List;
use crate::config::LogConfig;
use crate::environment::LogDir;
use crate::error::{OpenError, ReadError, StorageError};
use crate::log::Log;
use crate::names::{DELETE_DIR_SUFFIX, STRAY_DIR_SUFFIX, marked_dir_name};
use crate::open::{OpenOptions, RecoveryReport};
use crate::pressure::Pressure;
use cleaning::Cleaning;
use dirs::{LogDirs, OpenDir};
use moves::Moves;
use tasks::Schedule;

mod checkpoints;
mod cleaning;
mod describe;
pub(crate) mod dirs;
mod futures;
mod load;
mod marker;
mod meta_properties;
mod movers;
pub(crate) mod moves;
mod tasks;

pub use cleaning::{CleanerSettings, CleanerThreads};
pub use describe::{DirDescription, LogDescription};
pub use load::LoadSummary;
pub use meta_properties::MetaPropertiesFault;
pub use movers::{MoverSettings, MoverThreads};
pub use moves::AlterDirError;
pub use tasks::{BackgroundTicks, DirFailure};

/// How often the manager works, and with how many threads.
#[derive(Debug, Clone)]
pub struct ManagerSettings {
    /// `num.recovery.threads.per.data.dir`: also closes the logs.
    pub recovery_threads_per_dir: usize,
    /// `log.flush.scheduler.interval.ms`: how often logs are looked at that wait for a flush.
    pub flush_check_ms: i64,
    /// `log.flush.offset.checkpoint.interval.ms`.
    pub recovery_point_checkpoint_ms: i64,
    /// `log.flush.start.offset.checkpoint.interval.ms`.
    pub log_start_checkpoint_ms: i64,
    /// `replica.high.watermark.checkpoint.interval.ms`.
    pub high_watermark_checkpoint_ms: i64,
    /// `log.retention.check.interval.ms`.
    pub retention_check_ms: i64,
    /// `producer.id.expiration.check.interval.ms`.
    pub producer_expiration_check_ms: i64,
}

impl Default for ManagerSettings {
    fn default() -> Self {
        ManagerSettings {
            recovery_threads_per_dir: 2,
            flush_check_ms: 1_000,
            recovery_point_checkpoint_ms: 60_000,
            log_start_checkpoint_ms: 60_000,
            high_watermark_checkpoint_ms: 5_000,
            retention_check_ms: 300_000,
            producer_expiration_check_ms: 600_000,
        }
    }
}

/// Why the manager did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("{partition} has two logs, {} and {}; one of them must be removed by hand", .first.display(), .second.display())]
    DuplicateLog {
        partition: TopicPartition,
        first: PathBuf,
        second: PathBuf,
    },
    #[error("cannot start a thread: {0}")]
    Thread(std::io::Error),
}

/// Why a partition has no log.
#[derive(Debug, thiserror::Error)]
pub enum CreateError {
    #[error("no log directory is online")]
    NoDirectory,
    #[error("log directory {0} is not one of this broker's, or is offline")]
    UnknownDirectory(Uuid),
    #[error("{partition} may lie in a log directory that is offline")]
    MayBeOffline { partition: TopicPartition },
    #[error("the log of {partition} has topic id {found}, not {expected}")]
    InconsistentTopicId {
        partition: TopicPartition,
        found: Uuid,
        expected: Uuid,
    },
    #[error(transparent)]
    Open(#[from] OpenError),
    #[error(transparent)]
    Storage(#[from] StorageError),
}

impl CreateError {
    /// The disk was full, which passes: the same call may succeed later.
    pub fn is_full(&self) -> bool {
        match self {
            CreateError::Open(OpenError::Storage(error)) | CreateError::Storage(error) => {
                error.is_full()
            }
            _ => false,
        }
    }
}

/// All logs of a process.
#[derive(Debug)]
pub struct LogManager {
    dirs: LogDirs,
    settings: ManagerSettings,
    logs: RwLock<HashMap<TopicPartition, Arc<Log>>>,
    /// Held while a log is created or removed, so that two cannot be for one partition.
    changing: Mutex<()>,
    schedule: Mutex<Schedule>,
    cleaning: Cleaning,
    moves: Moves,
}

impl LogManager {
    /// Loads the logs that lie in the directories, recovering those that were not closed.
    ///
    /// `config_of` tells the configuration of a partition; the metadata topic is left to its own keeper.
    pub fn start(
        dirs: LogDirs,
        settings: ManagerSettings,
        config_of: &(dyn Fn(&TopicPartition) -> Arc<LogConfig> + Sync),
        now_ms: i64,
    ) -> Result<(Arc<LogManager>, LoadSummary), StartError> {
        let load::LoadedLogs {
            logs,
            summary,
            unfinished,
        } = load::load(&dirs, &settings, config_of, now_ms)?;
        for log in logs.values() {
            log.log_dir().log_count.fetch_add(1, Ordering::Relaxed);
        }
        let schedule = Mutex::new(Schedule::new(&settings, now_ms));
        let manager = LogManager {
            dirs,
            settings,
            logs: RwLock::new(logs),
            changing: Mutex::new(()),
            schedule,
            cleaning: Cleaning::default(),
            moves: Moves::default(),
        };
        manager.begin_moves_again(unfinished);
        Ok((Arc::new(manager), summary))
    }

    pub fn dirs(&self) -> &LogDirs {
        &self.dirs
    }

    /// Whether producers have to be slowed down.
    pub fn pressure(&self) -> &Pressure {
        self.dirs.environment.pressure()
    }

    pub fn get(&self, partition: &TopicPartition) -> Option<Arc<Log>> {
        self.read_logs().get(partition).cloned()
    }

    /// All logs that are online.
    pub fn logs(&self) -> Vec<Arc<Log>> {
        self.read_logs().values().cloned().collect()
    }

    pub fn len(&self) -> usize {
        self.read_logs().len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The directory that a log lies in, by its id.
    pub fn directory_id(&self, log: &Log) -> Option<Uuid> {
        self.dirs
            .dirs()
            .iter()
            .find(|open| Arc::ptr_eq(&open.dir, &log.log_dir()))
            .map(|open| open.directory_id)
    }

    /// The partition's log; it begins now if there is none.
    ///
    /// A new one goes to `directory`, to the one that was chosen for it, or to that with the fewest logs. Of one that a
    /// full disk does not let begin nothing is left, so that the call can be repeated. `is_new` says that the partition cannot
    /// have had a log before; else none is begun while a directory is offline that could hold it.
    pub fn get_or_create(
        &self,
        partition: &TopicPartition,
        topic_id: Uuid,
        config: Arc<LogConfig>,
        directory: Option<Uuid>,
        is_new: bool,
        now_ms: i64,
    ) -> Result<Arc<Log>, CreateError> {
        let _changing = self.changing.lock().expect("log changes poisoned");
        if let Some(log) = self.get(partition) {
            match log.topic_id() {
                Some(found) if found != topic_id && !topic_id.is_zero() => {
                    return Err(CreateError::InconsistentTopicId {
                        partition: partition.clone(),
                        found,
                        expected: topic_id,
                    });
                }
                Some(_) => {}
                None => log.assign_topic_id(topic_id)?,
            }
            log.set_config(config);
            return Ok(log);
        }
        if !is_new && self.has_offline_dir() {
            return Err(CreateError::MayBeOffline {
                partition: partition.clone(),
            });
        }
        let open = self.place(partition, directory)?;
        self.checkpoint_what_is_gone(&open.dir)?;
        let options = OpenOptions::fresh(Some(topic_id), now_ms);
        let (log, _) = Log::open(
            &self.dirs.environment,
            &open.dir,
            partition,
            config,
            &options,
        )?;
        self.write_logs()
            .insert(log.partition().clone(), Arc::clone(&log));
        log.log_dir().log_count.fetch_add(1, Ordering::Relaxed);
        self.moves.forget_preference(partition);
        Ok(log)
    }

    /// Whether logs may lie where nobody can see them.
    pub fn has_offline_dir(&self) -> bool {
        !self.dirs.offline.is_empty() || self.dirs.dirs().iter().any(|open| open.dir.has_failed())
    }

    /// Where a new log goes.
    fn place(
        &self,
        partition: &TopicPartition,
        directory: Option<Uuid>,
    ) -> Result<&OpenDir, CreateError> {
        let online = || {
            self.dirs
                .dirs()
                .iter()
                .filter(|open| !open.dir.has_failed())
        };
        if let Some(id) = directory {
            return online()
                .find(|open| open.directory_id == id)
                .ok_or(CreateError::UnknownDirectory(id));
        }
        if self.dirs.dirs().len() == 1 {
            return online().next().ok_or(CreateError::NoDirectory);
        }
        let preferred = self.moves.preference(partition);
        let preferred = preferred.and_then(|id| online().find(|open| open.directory_id == id));
        if let Some(open) = preferred {
            return Ok(open);
        }
        // One that is short of room only if all are.
        online()
            .min_by_key(|open| {
                let is_short = open.dir.is_short.load(Ordering::Relaxed);
                (is_short, open.dir.log_count.load(Ordering::Relaxed))
            })
            .ok_or(CreateError::NoDirectory)
    }

    /// Removes the partition's log: its directory is renamed, and goes after `file.delete.delay.ms`.
    ///
    /// With a topic id, a log of another incarnation of the topic stays. Returns whether there was one.
    pub fn delete(
        &self,
        partition: &TopicPartition,
        topic_id: Option<Uuid>,
        now_ms: i64,
    ) -> Result<bool, StorageError> {
        let _changing = self.changing.lock().expect("log changes poisoned");
        let Some(log) = self.get(partition) else {
            return Ok(false);
        };
        if let (Some(expected), Some(found)) = (topic_id, log.topic_id())
            && expected != found
        {
            return Ok(false);
        }
        self.moves.cancel(partition);
        self.write_logs().remove(partition);
        let delay_ms = log.config().file_delete_delay_ms;
        let renamed = self.set_aside(&log, DELETE_DIR_SUFFIX)?;
        self.dirs
            .environment
            .deletes
            .add_dir(renamed, now_ms.saturating_add(delay_ms));
        Ok(true)
    }

    /// Takes a log out of use that the metadata does not know (any more), but keeps it, as `…-stray`.
    pub fn set_aside_as_stray(&self, partition: &TopicPartition) -> Result<bool, StorageError> {
        let _changing = self.changing.lock().expect("log changes poisoned");
        let Some(log) = self.write_logs().remove(partition) else {
            return Ok(false);
        };
        self.moves.cancel(partition);
        let renamed = self.set_aside(&log, STRAY_DIR_SUFFIX)?;
        tracing::warn!(%partition, dir = %renamed.display(), "a log that no metadata knows was set aside");
        Ok(true)
    }

    fn set_aside(&self, log: &Log, suffix: &str) -> Result<PathBuf, StorageError> {
        log.log_dir().log_count.fetch_sub(1, Ordering::Relaxed);
        log.log_dir().stale.forget(log.partition());
        let name = marked_dir_name(
            &log.partition().topic,
            log.partition().partition,
            random_u128(),
            suffix,
        );
        log.abandon_as(&name)
    }

    /// Truncates a log, and checkpoints that before anything is appended again.
    pub fn truncate_to(
        &self,
        partition: &TopicPartition,
        offset: i64,
        now_ms: i64,
    ) -> Result<bool, ReadError> {
        let Some(log) = self.get(partition) else {
            return Ok(false);
        };
        let has_cut = log.truncate_to(offset, now_ms)?;
        if has_cut {
            self.checkpoint_recovery_points(&log.log_dir())?;
            self.checkpoint_cleaned(&log.log_dir())?;
        }
        Ok(has_cut)
    }

    /// Truncates a log wholly, and checkpoints that before anything is appended again.
    pub fn truncate_fully_and_start_at(
        &self,
        partition: &TopicPartition,
        offset: i64,
        log_start_offset: Option<i64>,
        now_ms: i64,
    ) -> Result<(), ReadError> {
        let Some(log) = self.get(partition) else {
            return Ok(());
        };
        log.truncate_fully_and_start_at(offset, log_start_offset, now_ms)?;
        self.checkpoint_recovery_points(&log.log_dir())?;
        self.checkpoint_log_starts(&log.log_dir())?;
        self.checkpoint_cleaned(&log.log_dir())?;
        Ok(())
    }

    /// The logs here that are in the list, and are what `is_one` says.
    fn listed(&self, list: List, is_one: impl Fn(&Log) -> bool) -> Vec<Arc<Log>> {
        let mut listed = self.dirs.environment.listing(list).look(list, is_one);
        let logs = self.read_logs();
        listed.retain(|log| {
            logs.get(log.partition())
                .is_some_and(|known| Arc::ptr_eq(known, log))
        });
        listed
    }

    fn logs_in(&self, dir: &Arc<LogDir>) -> Vec<Arc<Log>> {
        self.read_logs()
            .values()
            .filter(|log| Arc::ptr_eq(&log.log_dir(), dir))
            .cloned()
            .collect()
    }

    fn read_logs(&self) -> std::sync::RwLockReadGuard<'_, HashMap<TopicPartition, Arc<Log>>> {
        self.logs.read().expect("logs poisoned")
    }

    fn write_logs(&self) -> std::sync::RwLockWriteGuard<'_, HashMap<TopicPartition, Arc<Log>>> {
        self.logs.write().expect("logs poisoned")
    }
}

/// Names and ids that nobody else has. The standard library seeds its hash maps from the system; that is enough here.
fn random_u128() -> u128 {
    let draw = || RandomState::new().build_hasher().finish();
    (u128::from(draw()) << 64) | u128::from(draw())
}

/// A log that was loaded, and what its recovery found.
type Loaded = (Arc<Log>, RecoveryReport);

#[cfg(test)]
mod tests;
