//! Snapshots of the metadata (`.checkpoint` files) and the `quorum-state` file, in Kafka's formats.
//!
//! Invariant: a file of either kind is whole or absent: it is written beside its name, synced, and renamed.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use ottla_metadata::MetadataImage;
use ottla_protocol::Message;
use ottla_protocol::log_records::{SnapshotFooterRecord, SnapshotHeaderRecord};
use ottla_records::{BatchBuilder, ControlType};

use super::QuorumError;

pub const QUORUM_STATE: &str = "quorum-state";
const SUFFIX: &str = ".checkpoint";
/// Bytes of records after which a snapshot begins another batch.
const BATCH_BYTES: usize = 1 << 20;
/// Version of the header and footer records.
const VERSION: i16 = 0;

/// What a snapshot stands for: all records before `end_offset`, the last of them of `epoch`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct SnapshotId {
    pub end_offset: i64,
    pub epoch: i32,
}

impl SnapshotId {
    fn path(self, dir: &Path) -> PathBuf {
        dir.join(format!(
            "{:020}-{:010}{SUFFIX}",
            self.end_offset, self.epoch
        ))
    }

    fn parse(name: &str) -> Option<Self> {
        let (end_offset, epoch) = name.strip_suffix(SUFFIX)?.split_once('-')?;
        Some(Self {
            end_offset: end_offset.parse().ok()?,
            epoch: epoch.parse().ok()?,
        })
    }
}

/// The snapshots in `dir`, oldest first.
pub fn list(dir: &Path) -> Result<Vec<SnapshotId>, QuorumError> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).map_err(|source| at(dir, source))? {
        let name = entry.map_err(|source| at(dir, source))?.file_name();
        found.extend(name.to_str().and_then(SnapshotId::parse));
    }
    found.sort();
    Ok(found)
}

pub fn read(dir: &Path, id: SnapshotId) -> Result<Bytes, QuorumError> {
    let path = id.path(dir);
    fs::read(&path)
        .map(Bytes::from)
        .map_err(|source| at(&path, source))
}

pub fn write(
    dir: &Path,
    id: SnapshotId,
    image: &MetadataImage,
    metadata_version: i16,
    now_ms: i64,
) -> Result<(), QuorumError> {
    let header = SnapshotHeaderRecord {
        version: VERSION,
        last_contained_log_timestamp: image.provenance.timestamp_ms.max(0),
        ..Default::default()
    };
    let mut writer = SnapshotWriter {
        bytes: Vec::new(),
        next_offset: 0,
        epoch: id.epoch,
        now_ms,
    };
    writer.control(ControlType::SnapshotHeader, &header.to_bytes(VERSION)?);
    let mut builder = writer.batch();
    for record in image.to_records() {
        let value = record.encode_to_bytes(record.version_at(metadata_version))?;
        builder.append(now_ms, None, Some(&value));
        if builder.uncompressed_size() >= BATCH_BYTES {
            writer.push(builder);
            builder = writer.batch();
        }
    }
    if !builder.is_empty() {
        writer.push(builder);
    }
    let footer = SnapshotFooterRecord {
        version: VERSION,
        ..Default::default()
    };
    writer.control(ControlType::SnapshotFooter, &footer.to_bytes(VERSION)?);
    write_whole(&id.path(dir), &writer.bytes)
}

/// Removes all but the newest `kept` snapshots; returns those that are left, oldest first.
pub fn remove_old(dir: &Path, kept: usize) -> Result<Vec<SnapshotId>, QuorumError> {
    let mut found = list(dir)?;
    let newest = found.split_off(found.len().saturating_sub(kept));
    for old in found {
        let path = old.path(dir);
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

/// Notes that `node_id` leads in `epoch`; version 0 of Kafka's QuorumStateData, as JSON.
pub fn write_quorum_state(path: &Path, epoch: i32, node_id: i32) -> Result<(), QuorumError> {
    let text = format!(
        "{{\"clusterId\":\"\",\"leaderId\":{node_id},\"leaderEpoch\":{epoch},\"votedId\":-1,\"appliedOffset\":0,\
         \"currentVoters\":[{{\"voterId\":{node_id}}}],\"data_version\":0}}"
    );
    write_whole(path, text.as_bytes())
}

struct SnapshotWriter {
    bytes: Vec<u8>,
    next_offset: i64,
    epoch: i32,
    now_ms: i64,
}

impl SnapshotWriter {
    fn batch(&self) -> BatchBuilder {
        BatchBuilder::default()
            .base_offset(self.next_offset)
            .partition_leader_epoch(self.epoch)
    }

    fn push(&mut self, builder: BatchBuilder) {
        self.next_offset += i64::from(builder.record_count());
        self.bytes.extend_from_slice(
            &builder
                .build()
                .expect("a batch of a snapshot is within the size of a batch"),
        );
    }

    fn control(&mut self, kind: ControlType, value: &[u8]) {
        let mut builder = self.batch().control(true);
        builder.append_control(self.now_ms, kind, value);
        self.push(builder);
    }
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
