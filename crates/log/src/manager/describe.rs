//! What DescribeLogDirs tells.
//!
//! Invariant: a directory that is offline is described too, without logs.
//! Called by the broker's DescribeLogDirs and by its metrics.

use std::path::PathBuf;

use ottla_protocol::Uuid;
use ottla_protocol::ids::TopicPartition;

use super::LogManager;
use crate::disk::Space;

/// One log directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DirDescription {
    pub path: PathBuf,
    /// `Uuid::ZERO` if the directory could not even be opened.
    pub directory_id: Uuid,
    pub is_offline: bool,
    /// Of the file system; -1 if unknown.
    pub total_bytes: i64,
    /// Of the file system, for this process; -1 if unknown.
    pub usable_bytes: i64,
    pub logs: Vec<LogDescription>,
}

/// One log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogDescription {
    pub partition: TopicPartition,
    pub size: u64,
    /// Offsets between the end of the replica in use and that of a copy of it; 0 of the replica itself.
    pub offset_lag: i64,
    /// A copy that takes the place of the log when it has caught up.
    pub is_future: bool,
}

impl LogManager {
    pub fn describe(&self) -> Vec<DirDescription> {
        let mut described: Vec<DirDescription> = self
            .dirs
            .dirs()
            .iter()
            .map(|open| {
                let is_offline = open.dir.has_failed();
                let logs = if is_offline {
                    Vec::new()
                } else {
                    let logs = self.logs_in(&open.dir);
                    let logs = logs.iter().map(|log| LogDescription {
                        partition: log.partition().clone(),
                        size: log.size(),
                        offset_lag: 0,
                        is_future: false,
                    });
                    logs.chain(self.moves.describe(&open.dir)).collect()
                };
                let (total_bytes, usable_bytes) = space(open.dir.path());
                DirDescription {
                    path: open.dir.path().to_path_buf(),
                    directory_id: open.directory_id,
                    is_offline,
                    total_bytes,
                    usable_bytes,
                    logs,
                }
            })
            .collect();
        described.extend(self.dirs.offline.iter().map(|path| DirDescription {
            path: path.clone(),
            directory_id: Uuid::ZERO,
            is_offline: true,
            total_bytes: -1,
            usable_bytes: -1,
            logs: Vec::new(),
        }));
        described
    }
}

fn space(path: &std::path::Path) -> (i64, i64) {
    let signed = |bytes| i64::try_from(bytes).unwrap_or(i64::MAX);
    Space::of(path).map_or((-1, -1), |space| (signed(space.total), signed(space.free)))
}
