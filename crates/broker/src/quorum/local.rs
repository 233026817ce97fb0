//! The metadata log of a cluster of one: its own disk is the majority.
//!
//! ```text
//! <metadata.log.dir>/__cluster_metadata-0/
//!     00000000000000000000.log …              batches of metadata records, a LeaderChange at each start
//!     00000000000000000042-0000000003.checkpoint   a snapshot: everything before offset 42, of epoch 3
//!     quorum-state                             the last leader epoch, as Kafka's controllers keep it
//! ```
//!
//! Invariant: each start leads in an epoch of its own, higher than all before.

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use ottla_log::{Environment, LeaderAppend, Log, LogConfig, LogDir, OpenOptions};
use ottla_metadata::{Loader, MetadataImage, Provenance};
use ottla_protocol::ids::TopicPartition;
use ottla_protocol::log_records::LeaderChangeMessage;
use ottla_protocol::log_records::leader_change_message::Voter;
use ottla_protocol::metadata_records::MetadataRecord;
use ottla_protocol::{Decoder, Message, Str};
use ottla_records::{
    BatchBuilder, ControlType, MAX_DECOMPRESSED_BYTES, RawBatch, RecordIter, batches,
};

use super::snapshot::{self, SnapshotId};
use super::{MetadataQuorum, QuorumError, QuorumState, damage};

/// Name of the metadata log's topic.
pub const METADATA_TOPIC: &str = "__cluster_metadata";
/// The log manager's marker of a clean stop, still there when this log is opened.
const CLEAN_SHUTDOWN: &str = ".kafka_cleanshutdown";
/// Bytes that the replay reads at a time.
const REPLAY_BYTES: usize = 1 << 20;
/// Snapshots that are kept: the newest, and one before it in case the newest is damaged.
const SNAPSHOTS_KEPT: usize = 2;
/// Version of the LeaderChange record without voters' directories (`kraft.version` 0).
const LEADER_CHANGE_VERSION: i16 = 0;

/// What the metadata log is configured with.
#[derive(Debug, Clone)]
pub struct LocalQuorumConfig {
    pub node_id: i32,
    pub log: LogConfig,
    /// `metadata.log.max.record.bytes.between.snapshots`
    pub snapshot_after_bytes: u64,
    /// `metadata.log.max.snapshot.interval.ms`
    pub snapshot_interval_ms: Option<i64>,
}

pub struct LocalQuorum {
    config: LocalQuorumConfig,
    log: Arc<Log>,
    epoch: i32,
    bytes_since_snapshot: u64,
    snapshot_ms: i64,
    metadata_version: i16,
}

impl LocalQuorum {
    /// Opens or begins the log; returns what a replay of it yields.
    pub fn open(
        environment: &Arc<Environment>,
        log_dir: &Arc<LogDir>,
        config: LocalQuorumConfig,
        now_ms: i64,
    ) -> Result<(Self, MetadataImage), QuorumError> {
        let partition = TopicPartition {
            topic: Str::from_static(METADATA_TOPIC),
            partition: 0,
        };
        // Everything is scanned after a crash: the log is small, for snapshots cut it short.
        let options = OpenOptions {
            is_clean: false,
            ..OpenOptions::fresh(None, now_ms)
        };
        let is_clean = log_dir.path().join(CLEAN_SHUTDOWN).exists();
        damage::check(
            &log_dir.path().join(format!("{METADATA_TOPIC}-0")),
            is_clean,
        )?;
        let (log, _report) = Log::open(
            environment,
            log_dir,
            &partition,
            Arc::new(config.log.clone()),
            &options,
        )?;
        let (snapshot, mut loader) = newest_snapshot(&log.dir())?;
        if let Some(id) = snapshot
            && id.end_offset > log.log_end_offset()
        {
            // The log was lost after the snapshot was written: it goes on where the snapshot ends.
            log.truncate_fully_and_start_at(id.end_offset, None, now_ms)?;
        }
        let start = snapshot.map_or(log.log_start_offset(), |id| id.end_offset);
        let bytes_since_snapshot = replay(&log, start, &mut loader)?;
        let image = loader.image().clone();
        let state = log.dir().join(snapshot::QUORUM_STATE);
        let epochs = [
            snapshot.map(|id| id.epoch),
            log.latest_epoch(),
            snapshot::read_epoch(&state),
        ];
        let epoch = epochs.into_iter().flatten().max().unwrap_or(0) + 1;
        snapshot::write_quorum_state(&state, epoch, config.node_id)?;
        let metadata_version = metadata_version(&image);
        let mut quorum = Self {
            config,
            log,
            epoch,
            bytes_since_snapshot,
            snapshot_ms: now_ms,
            metadata_version,
        };
        quorum.begin_epoch(now_ms)?;
        Ok((quorum, image))
    }

    /// Writes the record with which a leader begins its epoch.
    fn begin_epoch(&mut self, now_ms: i64) -> Result<(), QuorumError> {
        let voter = || {
            vec![Voter {
                voter_id: self.config.node_id,
                ..Default::default()
            }]
        };
        let change = LeaderChangeMessage {
            version: LEADER_CHANGE_VERSION,
            leader_id: self.config.node_id,
            voters: voter(),
            granting_voters: voter(),
            ..Default::default()
        };
        let mut builder = BatchBuilder::default().control(true);
        builder.append_control(
            now_ms,
            ControlType::LeaderChange,
            &change.to_bytes(LEADER_CHANGE_VERSION)?,
        );
        self.append_batch(build(builder), now_ms)?;
        self.commit()
    }

    fn append_batch(&mut self, batch: Bytes, now_ms: i64) -> Result<i64, QuorumError> {
        self.bytes_since_snapshot += batch.len() as u64;
        let appended =
            self.log
                .append_as_leader(&[batch], &LeaderAppend::coordinator(self.epoch), now_ms)?;
        Ok(appended.first_offset)
    }
}

impl MetadataQuorum for LocalQuorum {
    fn next_offset(&self) -> i64 {
        self.log.log_end_offset()
    }

    fn state(&self) -> QuorumState {
        QuorumState {
            leader_epoch: self.epoch,
            high_watermark: self.log.high_watermark(),
            log_end_offset: self.log.log_end_offset(),
        }
    }

    fn append(&mut self, records: &[MetadataRecord], now_ms: i64) -> Result<i64, QuorumError> {
        let mut builder = BatchBuilder::default();
        for record in records {
            if let MetadataRecord::FeatureLevel(feature) = record
                && *feature.name == *ottla_metadata::METADATA_VERSION_FEATURE
            {
                self.metadata_version = feature.feature_level;
            }
            let value = record.encode_to_bytes(record.version_at(self.metadata_version))?;
            builder.append(now_ms, None, Some(&value));
        }
        self.append_batch(build(builder), now_ms)
    }

    fn commit(&mut self) -> Result<(), QuorumError> {
        self.log.flush()?;
        self.log.set_high_watermark(self.log.log_end_offset());
        Ok(())
    }

    fn maybe_snapshot(&mut self, image: &MetadataImage, now_ms: i64) -> Result<(), QuorumError> {
        let waited_ms = now_ms - self.snapshot_ms;
        let is_time = self
            .config
            .snapshot_interval_ms
            .is_some_and(|interval| waited_ms >= interval);
        let is_due = self.bytes_since_snapshot >= self.config.snapshot_after_bytes
            || (is_time && self.bytes_since_snapshot > 0);
        if !is_due {
            return Ok(());
        }
        // Also when it fails: the next try comes after as much as this one.
        self.bytes_since_snapshot = 0;
        self.snapshot_ms = now_ms;
        let id = SnapshotId {
            end_offset: self.log.log_end_offset(),
            epoch: self.epoch,
        };
        snapshot::write(&self.log.dir(), id, image, self.metadata_version, now_ms)?;
        let kept = snapshot::remove_old(&self.log.dir(), SNAPSHOTS_KEPT)?;
        if let Some(oldest) = kept.first()
            && oldest.end_offset > self.log.log_start_offset()
            && let Err(error) = self.log.advance_log_start_offset(oldest.end_offset)
        {
            tracing::warn!(%error, "the metadata log keeps what a snapshot has");
        }
        self.log.run_retention(now_ms)?;
        Ok(())
    }

    fn close(&mut self) -> Result<(), QuorumError> {
        Ok(self.log.close()?)
    }
}

fn build(builder: BatchBuilder) -> Bytes {
    builder
        .build()
        .expect("a batch of metadata records is not compressed and within the size of a batch")
}

fn metadata_version(image: &MetadataImage) -> i16 {
    let version = image
        .features
        .metadata_version
        .unwrap_or(ottla_metadata::MetadataVersion::LATEST_PRODUCTION);
    version.level()
}

/// The newest snapshot that can be read, and the state that it holds; an empty state if there is none.
fn newest_snapshot(dir: &Path) -> Result<(Option<SnapshotId>, Loader), QuorumError> {
    for id in snapshot::list(dir)?.into_iter().rev() {
        let mut loader = Loader::default();
        let loaded = snapshot::read(dir, id).and_then(|bytes| {
            each_batch(&bytes, 0, &mut |batch, records| {
                apply(&mut loader, batch, records)
            })
        });
        match loaded {
            Ok(()) => return Ok((Some(id), loader)),
            Err(error) => {
                tracing::error!(%error, "a snapshot of the metadata cannot be read; an older one is tried")
            }
        }
    }
    Ok((None, Loader::default()))
}

/// Replays the log from `start` to its end; returns the bytes read.
fn replay(log: &Log, start: i64, loader: &mut Loader) -> Result<u64, QuorumError> {
    let (mut offset, end, mut read) = (start, log.log_end_offset(), 0);
    while offset < end {
        let range = log.read(offset, REPLAY_BYTES, true, end)?;
        if range.is_empty() {
            break;
        }
        let bytes = range.read().map_err(|source| QuorumError::Io {
            path: log.dir().display().to_string(),
            source,
        })?;
        read += bytes.len() as u64;
        each_batch(&bytes, start, &mut |batch, records| {
            apply(loader, batch, records)
        })?;
        offset = range.end_offset;
    }
    Ok(read)
}

type ApplyBatch<'a> = dyn FnMut(RawBatch<'_>, Vec<MetadataRecord>) -> Result<(), QuorumError> + 'a;

/// Hands each batch that ends after `from` to `apply`, with its metadata records decoded.
fn each_batch(bytes: &Bytes, from: i64, apply: &mut ApplyBatch<'_>) -> Result<(), QuorumError> {
    let mut at = 0;
    for batch in batches(bytes) {
        let unreadable = |offset, reason: String| QuorumError::Batch { offset, reason };
        let batch = batch.map_err(|error| unreadable(-1, error.to_string()))?;
        let offset = batch.base_offset();
        batch
            .verify()
            .map_err(|error| unreadable(offset, error.to_string()))?;
        let whole = bytes.slice(at..at + batch.size());
        at += batch.size();
        if batch.is_control() || batch.last_offset() < from {
            continue;
        }
        let mut records = Vec::new();
        let decoded = RecordIter::new(&whole, MAX_DECOMPRESSED_BYTES);
        for record in decoded.map_err(|error| unreadable(offset, error.to_string()))? {
            let record = record.map_err(|error| unreadable(offset, error.to_string()))?;
            let value = record.value.unwrap_or_default();
            let (decoded, _version) = MetadataRecord::decode(&mut Decoder::copying(&value))
                .map_err(|source| QuorumError::Decode {
                    offset: record.offset,
                    source,
                })?;
            records.push(decoded);
        }
        apply(batch, records)?;
    }
    Ok(())
}

fn apply(
    loader: &mut Loader,
    batch: RawBatch<'_>,
    records: Vec<MetadataRecord>,
) -> Result<(), QuorumError> {
    let provenance = Provenance {
        offset: batch.last_offset(),
        epoch: batch.partition_leader_epoch(),
        timestamp_ms: batch.max_timestamp(),
    };
    loader
        .on_batch(provenance, records)
        .map_err(|source| QuorumError::Replay {
            offset: batch.base_offset(),
            source,
        })?;
    Ok(())
}
