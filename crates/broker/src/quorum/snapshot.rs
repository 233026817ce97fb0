//! Snapshots of the metadata (`.checkpoint` files) and the `quorum-state` file, in Kafka's formats.
//!
//! Invariant: a file of either kind is whole or absent: it is written beside its name, synced, and renamed.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

use bytes::Bytes;
use ottla_metadata::{MetadataImage, SnapshotId, SnapshotOptions};
use ottla_protocol::log_records::VotersRecord;

use super::QuorumError;

pub const QUORUM_STATE: &str = "quorum-state";
/// The level of `kraft.version` from which `quorum-state` names no voters: the log lists them.
const KRAFT_VERSION_WITH_VOTERS: i16 = 1;

/// The snapshots in `dir`, oldest first.
pub fn list(dir: &Path) -> Result<Vec<SnapshotId>, QuorumError> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).map_err(|source| at(dir, source))? {
        let name = entry.map_err(|source| at(dir, source))?.file_name();
        found.extend(name.to_str().and_then(SnapshotId::from_file_name));
    }
    found.sort();
    Ok(found)
}

pub fn read(dir: &Path, id: SnapshotId) -> Result<Bytes, QuorumError> {
    let path = dir.join(id.file_name());
    fs::read(&path)
        .map(Bytes::from)
        .map_err(|source| at(&path, source))
}

pub fn write(
    dir: &Path,
    id: SnapshotId,
    image: &MetadataImage,
    voters: Option<VotersRecord>,
    now_ms: i64,
) -> Result<(), QuorumError> {
    let options = SnapshotOptions {
        epoch: id.epoch,
        now_ms,
        last_contained_log_timestamp_ms: image.provenance.timestamp_ms.max(0),
        voters,
    };
    let bytes = ottla_metadata::snapshot(image, &options)?;
    write_whole(&dir.join(id.file_name()), &bytes)
}

/// Removes all but the newest `kept` snapshots; returns those that are left, oldest first.
pub fn remove_old(dir: &Path, kept: usize) -> Result<Vec<SnapshotId>, QuorumError> {
    let mut found = list(dir)?;
    let newest = found.split_off(found.len().saturating_sub(kept));
    for old in found {
        let path = dir.join(old.file_name());
        fs::remove_file(&path).map_err(|source| at(&path, source))?;
    }
    Ok(newest)
}

/// The last epoch that this controller led in, as far as the file tells.
pub fn read_epoch(path: &Path) -> Option<i32> {
    let text = fs::read_to_string(path).ok()?;
    let after = text.split("\"leaderEpoch\":").nth(1)?;
    after.split([',', '}']).next()?.trim().parse().ok()
}

/// Notes that `node_id` leads in `epoch`: Kafka's QuorumStateData as JSON, in the version of the quorum.
pub fn write_quorum_state(
    path: &Path,
    epoch: i32,
    node_id: i32,
    kraft_version: i16,
) -> Result<(), QuorumError> {
    let text = if kraft_version >= KRAFT_VERSION_WITH_VOTERS {
        let no_directory = ottla_protocol::Uuid::ZERO;
        format!(
            "{{\"leaderId\":{node_id},\"leaderEpoch\":{epoch},\"votedId\":-1,\
             \"votedDirectoryId\":\"{no_directory}\",\"data_version\":1}}"
        )
    } else {
        format!(
            "{{\"clusterId\":\"\",\"leaderId\":{node_id},\"leaderEpoch\":{epoch},\"votedId\":-1,\"appliedOffset\":0,\
             \"currentVoters\":[{{\"voterId\":{node_id}}}],\"data_version\":0}}"
        )
    };
    write_whole(path, text.as_bytes())
}

fn write_whole(path: &Path, bytes: &[u8]) -> Result<(), QuorumError> {
    let part = path.with_extension("part");
    let write = || -> io::Result<()> {
        let mut file = File::create(&part)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&part, path)?;
        File::open(path.parent().unwrap_or(Path::new(".")))?.sync_all()
    };
    write().map_err(|source| at(path, source))
}

fn at(path: &Path, source: io::Error) -> QuorumError {
    QuorumError::Io {
        path: path.display().to_string(),
        source,
    }
}
