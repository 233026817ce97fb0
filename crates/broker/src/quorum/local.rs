//! The metadata log of a cluster of one: its own disk is the majority.
//!
//! ```text
//! <metadata.log.dir>/__cluster_metadata-0/
//!     00000000000000000000.log …              batches of metadata records, a LeaderChange at each start
//!     00000000000000000042-0000000003.checkpoint   a snapshot: everything before offset 42, of epoch 3
//!     quorum-state                             the last leader epoch, as Kafka's controllers keep it
//! ```
//!
//! Invariant: each start leads in an epoch of its own, higher than all before. A batch is written when all before it are
//! durable, so that a damaged one with another behind it was durable once.

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use ottla_log::{Environment, LeaderAppend, Log, LogConfig, LogDir, OpenOptions};
use ottla_metadata::{
    BatchPosition, ControlRecord, Loader, LogBatch, LogContent, MetadataImage, MetadataVersion,
    SnapshotId, control_batch, leader_change, read_batches, record_batch,
};
use ottla_protocol::Str;
use ottla_protocol::ids::TopicPartition;
use ottla_protocol::log_records::VotersRecord;
use ottla_protocol::metadata_records::MetadataRecord;

use super::snapshot;
use super::{MetadataQuorum, QuorumError, QuorumState, damage};

/// Name of the metadata log's topic.
pub const METADATA_TOPIC: &str = "__cluster_metadata";
/// The log manager's marker of a clean stop, still there when this log is opened.
const CLEAN_SHUTDOWN: &str = ".kafka_cleanshutdown";
/// Bytes that the replay reads at a time.
const REPLAY_BYTES: usize = 1 << 20;
/// Snapshots that are kept: the newest, and one before it in case the newest is damaged.
const SNAPSHOTS_KEPT: usize = 2;

/// Records of a batch, which keeps it below the size that Kafka's quorum takes (8 MiB). What must be seen as a whole is
/// less.
const RECORDS_PER_BATCH_MAX: usize = ottla_controller::RECORDS_PER_COMMAND_MAX;

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
    metadata_version: MetadataVersion,
    /// To be written by the next commit.
    pending: Pending,
    /// The voters, where the log lists them: kept for the snapshots that take its place.
    voters: Option<VotersRecord>,
}

/// Records that wait for a commit.
#[derive(Default)]
struct Pending {
    records: Vec<MetadataRecord>,
    /// Where each decision ends: what was decided at once stays in one batch.
    ends: Vec<usize>,
}

impl Pending {
    fn add(&mut self, records: Vec<MetadataRecord>) {
        self.records.extend(records);
        self.ends.push(self.records.len());
    }

    /// The records in batches: whole decisions, and of those that are too large for a batch parts.
    fn batches(&self) -> Vec<&[MetadataRecord]> {
        let mut batches = Vec::new();
        let (mut start, mut whole) = (0, 0);
        for &end in &self.ends {
            if end - start > RECORDS_PER_BATCH_MAX && whole > start {
                batches.push(&self.records[start..whole]);
                start = whole;
            }
            while end - start > RECORDS_PER_BATCH_MAX {
                batches.push(&self.records[start..start + RECORDS_PER_BATCH_MAX]);
                start += RECORDS_PER_BATCH_MAX;
            }
            whole = end;
        }
        if start < whole {
            batches.push(&self.records[start..whole]);
        }
        batches
    }
}

/// What a replay has come to.
#[derive(Default)]
struct Replayed {
    loader: Loader,
    voters: Option<VotersRecord>,
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
        let (snapshot, mut replayed) = newest_snapshot(&log.dir())?;
        if let Some(id) = snapshot
            && id.end_offset > log.log_end_offset()
        {
            // The log was lost after the snapshot was written: it goes on where the snapshot ends.
            log.truncate_fully_and_start_at(id.end_offset, None, now_ms)?;
        }
        let start = snapshot.map_or(log.log_start_offset(), |id| id.end_offset);
        let bytes_since_snapshot = replay(&log, start, &mut replayed)?;
        let Replayed { loader, voters } = replayed;
        let image = loader.image().clone();
        let state = log.dir().join(snapshot::QUORUM_STATE);
        let epochs = [
            snapshot.map(|id| id.epoch),
            log.latest_epoch(),
            snapshot::read_epoch(&state),
        ];
        let epoch = epochs.into_iter().flatten().max().unwrap_or(0) + 1;
        snapshot::write_quorum_state(&state, epoch, config.node_id, image.features.kraft_version)?;
        let metadata_version = metadata_version(&image);
        let mut quorum = Self {
            config,
            log,
            epoch,
            bytes_since_snapshot,
            snapshot_ms: now_ms,
            metadata_version,
            pending: Pending::default(),
            voters,
        };
        quorum.begin_epoch(now_ms)?;
        Ok((quorum, image))
    }

    /// Writes the record with which a leader begins its epoch.
    fn begin_epoch(&mut self, now_ms: i64) -> Result<(), QuorumError> {
        let ids = [self.config.node_id];
        let change = leader_change(self.config.node_id, &ids, &ids);
        self.append_batch(control_batch(self.position(now_ms), &[change])?, now_ms)
    }

    fn position(&self, timestamp_ms: i64) -> BatchPosition {
        BatchPosition {
            base_offset: self.log.log_end_offset(),
            leader_epoch: self.epoch,
            timestamp_ms,
        }
    }

    /// Writes a batch and makes it durable, with which it is committed.
    fn append_batch(&mut self, batch: Bytes, now_ms: i64) -> Result<(), QuorumError> {
        self.bytes_since_snapshot += batch.len() as u64;
        self.log
            .append_as_leader(&[batch], &LeaderAppend::coordinator(self.epoch), now_ms)?;
        self.log.flush()?;
        self.log.set_high_watermark(self.log.log_end_offset());
        Ok(())
    }
}

impl MetadataQuorum for LocalQuorum {
    fn next_offset(&self) -> i64 {
        let pending = i64::try_from(self.pending.records.len()).unwrap_or(i64::MAX);
        self.log.log_end_offset().saturating_add(pending)
    }

    fn state(&self) -> QuorumState {
        QuorumState {
            leader_epoch: self.epoch,
            high_watermark: self.log.high_watermark(),
            log_end_offset: self.log.log_end_offset(),
        }
    }

    fn append(&mut self, records: Vec<MetadataRecord>, now_ms: i64) -> Result<(), QuorumError> {
        let version = records.iter().rev().find_map(version_of);
        if let Some(version) = version.filter(|version| *version != self.metadata_version) {
            // What was decided before is written in the version of before.
            self.commit(now_ms)?;
            self.metadata_version = version;
        }
        self.pending.add(records);
        Ok(())
    }

    fn commit(&mut self, now_ms: i64) -> Result<(), QuorumError> {
        let pending = std::mem::take(&mut self.pending);
        for records in pending.batches() {
            let batch = record_batch(self.position(now_ms), self.metadata_version, records)?;
            self.append_batch(batch, now_ms)?;
        }
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
        snapshot::write(&self.log.dir(), id, image, self.voters.clone(), now_ms)?;
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

/// The metadata version that a record puts in force.
fn version_of(record: &MetadataRecord) -> Option<MetadataVersion> {
    match record {
        MetadataRecord::FeatureLevel(feature)
            if *feature.name == *ottla_metadata::METADATA_VERSION_FEATURE =>
        {
            MetadataVersion::from_level(feature.feature_level)
        }
        _ => None,
    }
}

fn metadata_version(image: &MetadataImage) -> MetadataVersion {
    image
        .features
        .metadata_version
        .unwrap_or(MetadataVersion::LATEST_PRODUCTION)
}

/// The newest snapshot that can be read, and the state that it holds; an empty state if there is none.
fn newest_snapshot(dir: &Path) -> Result<(Option<SnapshotId>, Replayed), QuorumError> {
    for id in snapshot::list(dir)?.into_iter().rev() {
        let mut replayed = Replayed::default();
        match snapshot::read(dir, id).and_then(|bytes| replayed.take(&bytes, 0)) {
            Ok(()) => return Ok((Some(id), replayed)),
            Err(error) => {
                tracing::error!(%error, "a snapshot of the metadata cannot be read; an older one is tried")
            }
        }
    }
    Ok((None, Replayed::default()))
}

/// Replays the log from `start` to its end; returns the bytes read.
fn replay(log: &Log, start: i64, replayed: &mut Replayed) -> Result<u64, QuorumError> {
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
        replayed.take(&bytes, start)?;
        offset = range.end_offset;
    }
    Ok(read)
}

impl Replayed {
    /// Applies each batch that ends at `from` or after it.
    fn take(&mut self, bytes: &Bytes, from: i64) -> Result<(), QuorumError> {
        for batch in read_batches(bytes) {
            let batch = batch?;
            if batch.provenance.offset >= from {
                self.apply(batch)?;
            }
        }
        Ok(())
    }

    fn apply(&mut self, batch: LogBatch) -> Result<(), QuorumError> {
        if let LogContent::Control(records) = &batch.content {
            for record in records {
                if let ControlRecord::Voters(voters) = record {
                    self.voters = Some(voters.clone());
                }
            }
        }
        let offset = batch.base_offset;
        self.loader
            .on_log_batch(batch)
            .map_err(|source| QuorumError::Replay { offset, source })?;
        Ok(())
    }
}

#[cfg(test)]
mod tests;
