//! The log directories: made, locked, and checked to be this node's.
//!
//! Invariant: a directory is used by one process at a time, Kafka's own included. A directory that cannot be used for a
//! reason of the disk is offline, and the others go on; one that belongs to somebody else stops the start.
//! Called once at start, before the metadata log and the manager.

use std::collections::HashSet;
use std::fs::{File, OpenOptions, TryLockError};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ottla_protocol::Uuid;
use rustix::fs::{FlockOperation, fcntl_lock};

use super::marker::{self, Marker};
use super::meta_properties::{FILE_NAME, MetaProperties, MetaPropertiesFault};
use super::random_u128;
use crate::environment::{Environment, LogDir};
use crate::error::{Context, StorageError};

const LOCK_FILE: &str = ".lock";

/// Why the log directories cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DirsError {
    #[error("log.dirs names no directory")]
    None,
    #[error("{} is named twice in log.dirs", .0.display())]
    Duplicate(PathBuf),
    #[error("{} is in use by another process ({LOCK_FILE} is locked)", .0.display())]
    InUse(PathBuf),
    #[error("{}: {fault}", path.display())]
    MetaProperties {
        path: PathBuf,
        fault: MetaPropertiesFault,
    },
    #[error("{}: {key} is {found}, but this node's is {expected}", path.display())]
    Foreign {
        path: PathBuf,
        key: &'static str,
        found: String,
        expected: String,
    },
    #[error("{} and {} have the same directory.id", .0.display(), .1.display())]
    SameDirectoryId(PathBuf, PathBuf),
    #[error("no log directory can be used; the last error: {0}")]
    AllFailed(StorageError),
}

/// One log directory that was opened.
#[derive(Debug)]
pub struct OpenDir {
    pub dir: Arc<LogDir>,
    pub directory_id: Uuid,
    pub(crate) marker: Option<Marker>,
    _lock: DirLock,
}

impl OpenDir {
    /// The last stop was clean.
    pub fn is_clean(&self) -> bool {
        self.marker.is_some()
    }
}

/// The log directories of this process.
#[derive(Debug)]
pub struct LogDirs {
    pub(crate) environment: Arc<Environment>,
    pub(crate) dirs: Vec<OpenDir>,
    /// Named in the configuration, but not to be used.
    pub(crate) offline: Vec<PathBuf>,
    cluster_id: String,
}

impl LogDirs {
    /// Opens the directories, and makes those that are not there.
    ///
    /// `cluster_id` is checked if it is given; else it is what the directories say, or one that is drawn here.
    pub fn open(
        environment: Arc<Environment>,
        paths: &[PathBuf],
        node_id: i32,
        cluster_id: Option<&str>,
    ) -> Result<LogDirs, DirsError> {
        let mut locked = Vec::new();
        let mut offline = Vec::new();
        let mut last_error = None;
        let mut seen = HashSet::new();
        for path in paths {
            match prepare(&environment, path, &mut seen) {
                Ok(prepared) => locked.push(prepared),
                Err(PrepareError::Fatal(error)) => return Err(error),
                Err(PrepareError::Storage(error)) => {
                    tracing::error!(dir = %path.display(), %error, "log directory is offline");
                    offline.push(path.clone());
                    last_error = Some(error);
                }
            }
        }
        if locked.is_empty() {
            return Err(last_error.map_or(DirsError::None, DirsError::AllFailed));
        }
        let cluster_id = agree_on_cluster_id(&locked, cluster_id)?;
        let mut dirs: Vec<OpenDir> = Vec::with_capacity(locked.len());
        for (path, lock, properties) in locked {
            match open_dir(&environment, &path, lock, properties, node_id, &cluster_id) {
                Ok(dir) => {
                    let twin = dirs.iter().find(|d| d.directory_id == dir.directory_id);
                    if let Some(twin) = twin {
                        return Err(DirsError::SameDirectoryId(
                            twin.dir.path().to_path_buf(),
                            path,
                        ));
                    }
                    dirs.push(dir);
                }
                Err(PrepareError::Fatal(error)) => return Err(error),
                Err(PrepareError::Storage(error)) => {
                    tracing::error!(dir = %path.display(), %error, "log directory is offline");
                    offline.push(path);
                    last_error = Some(error);
                }
            }
        }
        if dirs.is_empty() {
            return Err(last_error.map_or(DirsError::None, DirsError::AllFailed));
        }
        Ok(LogDirs {
            environment,
            dirs,
            offline,
            cluster_id,
        })
    }

    pub fn cluster_id(&self) -> &str {
        &self.cluster_id
    }

    pub fn environment(&self) -> &Arc<Environment> {
        &self.environment
    }

    /// The directories that can be used, in the order of the configuration.
    pub fn dirs(&self) -> &[OpenDir] {
        &self.dirs
    }
}

enum PrepareError {
    /// The start must stop.
    Fatal(DirsError),
    /// This directory is offline.
    Storage(StorageError),
}

impl From<StorageError> for PrepareError {
    fn from(error: StorageError) -> Self {
        PrepareError::Storage(error)
    }
}

type Prepared = (PathBuf, DirLock, Option<MetaProperties>);

/// Makes and locks a directory, and reads whose it is.
fn prepare(
    environment: &Environment,
    path: &Path,
    seen: &mut HashSet<PathBuf>,
) -> Result<Prepared, PrepareError> {
    if !path.exists() {
        std::fs::create_dir_all(path).context("create", path)?;
        if let Some(parent) = path.parent().filter(|parent| parent.exists()) {
            environment
                .disk()
                .sync_dir(parent)
                .context("sync", parent)?;
        }
    }
    let canonical = path.canonicalize().context("resolve", path)?;
    if !seen.insert(canonical.clone()) {
        return Err(PrepareError::Fatal(DirsError::Duplicate(canonical)));
    }
    let lock = DirLock::take(&canonical)?;
    let file = canonical.join(FILE_NAME);
    let properties = match std::fs::read(&file) {
        Ok(bytes) => Some(MetaProperties::parse(&bytes).map_err(|fault| {
            PrepareError::Fatal(DirsError::MetaProperties { path: file, fault })
        })?),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
        Err(error) => return Err(StorageError::new("read", &file, error).into()),
    };
    Ok((canonical, lock, properties))
}

fn agree_on_cluster_id(dirs: &[Prepared], expected: Option<&str>) -> Result<String, DirsError> {
    let mut agreed = expected.map(str::to_owned);
    for (path, _, properties) in dirs {
        let Some(found) = properties.as_ref().and_then(|p| p.cluster_id.as_ref()) else {
            continue;
        };
        match &agreed {
            None => agreed = Some(found.clone()),
            Some(agreed) if agreed == found => {}
            Some(agreed) => {
                return Err(DirsError::Foreign {
                    path: path.join(FILE_NAME),
                    key: "cluster.id",
                    found: found.clone(),
                    expected: agreed.clone(),
                });
            }
        }
    }
    Ok(agreed.unwrap_or_else(|| random_uuid().to_string()))
}

fn open_dir(
    environment: &Environment,
    path: &Path,
    lock: DirLock,
    properties: Option<MetaProperties>,
    node_id: i32,
    cluster_id: &str,
) -> Result<OpenDir, PrepareError> {
    let file = path.join(FILE_NAME);
    let mut wanted = properties.clone().unwrap_or_default();
    if let Some(found) = wanted.node_id.filter(|&found| found != node_id) {
        return Err(PrepareError::Fatal(DirsError::Foreign {
            path: file,
            key: "node.id",
            found: found.to_string(),
            expected: node_id.to_string(),
        }));
    }
    wanted.node_id = Some(node_id);
    wanted.cluster_id = Some(cluster_id.to_owned());
    let directory_id = *wanted.directory_id.get_or_insert_with(random_uuid);
    if properties.as_ref() != Some(&wanted) {
        environment
            .disk()
            .replace_file(&file, wanted.format().as_bytes())
            .context("write", &file)?;
    }
    let marker = marker::read(path).context("read", path.join(marker::FILE_NAME))?;
    Ok(OpenDir {
        dir: LogDir::new(path),
        directory_id,
        marker,
        _lock: lock,
    })
}

/// A random id that Kafka's tools take: not a reserved one, and not with a dash in front.
fn random_uuid() -> Uuid {
    /// Kafka keeps the first hundred for itself.
    const RESERVED: u128 = 100;
    loop {
        // Version 4, variant 1.
        let bits = (random_u128() & !(0xf << 76) & !(0x3 << 62)) | (0x4 << 76) | (0x2 << 62);
        let id = Uuid::from_u128(bits);
        if bits >= RESERVED && !id.to_string().starts_with('-') {
            return id;
        }
    }
}

/// Holds `.lock` against other processes: Ottla's by `flock`, Kafka's by the record lock that Java takes.
#[derive(Debug)]
struct DirLock {
    _file: File,
}

impl DirLock {
    fn take(dir: &Path) -> Result<DirLock, PrepareError> {
        let path = dir.join(LOCK_FILE);
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .context("open", &path)?;
        let in_use = || PrepareError::Fatal(DirsError::InUse(dir.to_path_buf()));
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(in_use()),
            Err(TryLockError::Error(error)) => {
                return Err(StorageError::new("lock", &path, error).into());
            }
        }
        match fcntl_lock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(DirLock { _file: file }),
            Err(rustix::io::Errno::ACCESS | rustix::io::Errno::AGAIN) => Err(in_use()),
            Err(error) => Err(StorageError::new("lock", &path, error.into()).into()),
        }
    }
}

#[cfg(test)]
mod tests;
