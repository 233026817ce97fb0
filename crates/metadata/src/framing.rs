//! Batches of the metadata log, snapshots, and the bootstrap checkpoint, byte for byte as Kafka writes them.
//!
//! ```text
//! __cluster_metadata-0/*.log       control batch (LeaderChange [, KRaftVersion, Voters]) at each epoch's start,
//!                                  batches of metadata records
//! OFFSET-EPOCH.checkpoint          control batch (SnapshotHeader [, KRaftVersion, Voters]), offset 0 on,
//!                                  batches of metadata records, control batch (SnapshotFooter)
//! bootstrap.checkpoint             the same with the records of a new cluster, at epoch 0
//! ```
//!
//! Invariant: what is written here reads back as the same records; what is read is checked against its CRC.
//! Used by whoever keeps the metadata log on disk; the bytes go in and out, files are not touched.

#[cfg(test)]
mod tests;

use bytes::{Bytes, BytesMut};
use ottla_protocol::log_records::leader_change_message::Voter;
use ottla_protocol::log_records::{
    KRaftVersionRecord, LeaderChangeMessage, SnapshotFooterRecord, SnapshotHeaderRecord,
    VotersRecord,
};
use ottla_protocol::metadata_records::MetadataRecord;
use ottla_protocol::{DecodeError, EncodeError, Message};
use ottla_records::{
    BatchBuilder, BatchError, BuildError, ControlError, ControlType, MAX_DECOMPRESSED_BYTES,
    RawBatch, RecordError, RecordIter, batches,
};

use crate::image::{MetadataImage, Provenance};
use crate::version::MetadataVersion;

/// The version of the control records' values that every reader knows, and the only one of most.
const CONTROL_VERSION: i16 = 0;
/// Bytes of records after which a snapshot begins another batch.
const SNAPSHOT_BATCH_BYTES: usize = 1 << 20;
/// The level of `kraft.version` from which voters are listed in the log.
const KRAFT_VERSION_WITH_VOTERS: i16 = 1;

const CHECKPOINT_SUFFIX: &str = ".checkpoint";

#[derive(Debug, thiserror::Error)]
pub enum FramingError {
    #[error("a record cannot be written: {0}")]
    Encode(#[from] EncodeError),
    #[error("a batch cannot be written: {0}")]
    Build(#[from] BuildError),
    #[error("damaged batch: {0}")]
    Batch(#[from] BatchError),
    #[error("damaged record: {0}")]
    Record(#[from] RecordError),
    #[error("damaged control record: {0}")]
    Control(#[from] ControlError),
    #[error("the record at offset {offset} cannot be read: {source}")]
    Decode { offset: i64, source: DecodeError },
    #[error("the record at offset {offset} has no {part}")]
    Incomplete { offset: i64, part: &'static str },
}

/// Where a batch goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BatchPosition {
    pub base_offset: i64,
    pub leader_epoch: i32,
    pub timestamp_ms: i64,
}

/// What the quorum itself writes between the records of the cluster.
#[derive(Debug, Clone, PartialEq)]
pub enum ControlRecord {
    LeaderChange(LeaderChangeMessage),
    SnapshotHeader(SnapshotHeaderRecord),
    SnapshotFooter(SnapshotFooterRecord),
    KRaftVersion(KRaftVersionRecord),
    Voters(VotersRecord),
}

impl ControlRecord {
    fn kind(&self) -> ControlType {
        match self {
            ControlRecord::LeaderChange(_) => ControlType::LeaderChange,
            ControlRecord::SnapshotHeader(_) => ControlType::SnapshotHeader,
            ControlRecord::SnapshotFooter(_) => ControlType::SnapshotFooter,
            ControlRecord::KRaftVersion(_) => ControlType::KRaftVersion,
            ControlRecord::Voters(_) => ControlType::KRaftVoters,
        }
    }

    fn encode(&self) -> Result<Bytes, EncodeError> {
        match self {
            ControlRecord::LeaderChange(m) => m.to_bytes(m.version),
            ControlRecord::SnapshotHeader(m) => m.to_bytes(CONTROL_VERSION),
            ControlRecord::SnapshotFooter(m) => m.to_bytes(CONTROL_VERSION),
            ControlRecord::KRaftVersion(m) => m.to_bytes(CONTROL_VERSION),
            ControlRecord::Voters(m) => m.to_bytes(CONTROL_VERSION),
        }
    }

    /// `None` for a type that says nothing about metadata, which readers pass over.
    fn decode(kind: ControlType, value: &[u8]) -> Result<Option<ControlRecord>, DecodeError> {
        Ok(Some(match kind {
            ControlType::LeaderChange => {
                ControlRecord::LeaderChange(Message::from_slice(value, own_version(value))?)
            }
            ControlType::SnapshotHeader => {
                ControlRecord::SnapshotHeader(Message::from_slice(value, CONTROL_VERSION)?)
            }
            ControlType::SnapshotFooter => {
                ControlRecord::SnapshotFooter(Message::from_slice(value, CONTROL_VERSION)?)
            }
            ControlType::KRaftVersion => {
                ControlRecord::KRaftVersion(Message::from_slice(value, CONTROL_VERSION)?)
            }
            ControlType::KRaftVoters => {
                ControlRecord::Voters(Message::from_slice(value, CONTROL_VERSION)?)
            }
            ControlType::Abort | ControlType::Commit => return Ok(None),
        }))
    }

    fn kraft_version(level: i16) -> ControlRecord {
        ControlRecord::KRaftVersion(KRaftVersionRecord {
            version: CONTROL_VERSION,
            k_raft_version: level,
            ..Default::default()
        })
    }
}

/// The version that a control record says of itself, within those that we know.
fn own_version(value: &[u8]) -> i16 {
    let (oldest, newest) = LeaderChangeMessage::VALID_VERSIONS.into_inner();
    let said = value
        .first_chunk()
        .map_or(oldest, |b| i16::from_be_bytes(*b));
    said.clamp(oldest, newest)
}

/// The record with which a leader begins its epoch.
pub fn leader_change(leader_id: i32, voters: &[i32], granting_voters: &[i32]) -> ControlRecord {
    let list = |ids: &[i32]| {
        ids.iter()
            .map(|id| Voter {
                voter_id: *id,
                ..Default::default()
            })
            .collect()
    };
    ControlRecord::LeaderChange(LeaderChangeMessage {
        version: CONTROL_VERSION,
        leader_id,
        voters: list(voters),
        granting_voters: list(granting_voters),
        ..Default::default()
    })
}

/// One batch of metadata records, in the versions that brokers of the metadata version read.
///
/// Records become visible batch by batch: what is atomic goes into one.
pub fn record_batch(
    position: BatchPosition,
    version: MetadataVersion,
    records: &[MetadataRecord],
) -> Result<Bytes, FramingError> {
    let mut builder = builder(position);
    for record in records {
        append(&mut builder, position, version, record)?;
    }
    Ok(builder.build()?)
}

pub fn control_batch(
    position: BatchPosition,
    records: &[ControlRecord],
) -> Result<Bytes, FramingError> {
    let mut builder = builder(position);
    for record in records {
        builder.append_control(position.timestamp_ms, record.kind(), &record.encode()?);
    }
    Ok(builder.build()?)
}

fn builder(position: BatchPosition) -> BatchBuilder {
    BatchBuilder::default()
        .base_offset(position.base_offset)
        .partition_leader_epoch(position.leader_epoch)
}

fn append(
    builder: &mut BatchBuilder,
    position: BatchPosition,
    version: MetadataVersion,
    record: &MetadataRecord,
) -> Result<(), EncodeError> {
    let value = record.encode_to_bytes(record.version_at(version.level()))?;
    builder.append(position.timestamp_ms, None, Some(&value));
    Ok(())
}

/// What a snapshot stands for: all records before `end_offset`, the last of them of `epoch`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct SnapshotId {
    pub end_offset: i64,
    pub epoch: i32,
}

impl SnapshotId {
    pub fn file_name(self) -> String {
        format!(
            "{:020}-{:010}{CHECKPOINT_SUFFIX}",
            self.end_offset, self.epoch
        )
    }

    pub fn from_file_name(name: &str) -> Option<SnapshotId> {
        let (end_offset, epoch) = name.strip_suffix(CHECKPOINT_SUFFIX)?.split_once('-')?;
        Some(SnapshotId {
            end_offset: end_offset.parse().ok()?,
            epoch: epoch.parse().ok()?,
        })
    }
}

/// What a snapshot says besides its records.
#[derive(Debug, Clone, PartialEq)]
pub struct SnapshotOptions {
    pub epoch: i32,
    pub now_ms: i64,
    /// The timestamp of the last record that the snapshot stands for.
    pub last_contained_log_timestamp_ms: i64,
    /// The voters, where `kraft.version` has them in the log.
    pub voters: Option<VotersRecord>,
}

/// The whole content of a snapshot file.
pub fn snapshot(image: &MetadataImage, options: &SnapshotOptions) -> Result<Bytes, FramingError> {
    let version = image
        .features
        .metadata_version
        .unwrap_or(MetadataVersion::LATEST_PRODUCTION);
    let kraft_version = image.features.kraft_version;
    let mut quorum = Vec::new();
    if kraft_version >= KRAFT_VERSION_WITH_VOTERS {
        quorum.push(ControlRecord::kraft_version(kraft_version));
        quorum.extend(options.voters.clone().map(ControlRecord::Voters));
    }
    checkpoint(options, version, quorum, &image.to_records())
}

/// The content of `bootstrap.checkpoint`: the records that a new cluster begins with.
pub fn bootstrap_checkpoint(
    version: MetadataVersion,
    records: &[MetadataRecord],
    now_ms: i64,
) -> Result<Bytes, FramingError> {
    let options = SnapshotOptions {
        epoch: 0,
        now_ms,
        last_contained_log_timestamp_ms: 0,
        voters: None,
    };
    checkpoint(&options, version, Vec::new(), records)
}

fn checkpoint(
    options: &SnapshotOptions,
    version: MetadataVersion,
    quorum: Vec<ControlRecord>,
    records: &[MetadataRecord],
) -> Result<Bytes, FramingError> {
    let mut position = BatchPosition {
        base_offset: 0,
        leader_epoch: options.epoch,
        timestamp_ms: options.now_ms,
    };
    let mut out = BytesMut::new();
    let mut push = |position: &mut BatchPosition, batch: Bytes| {
        position.base_offset += RawBatch::first(&batch)?.map_or(0, |b| i64::from(b.record_count()));
        out.extend_from_slice(&batch);
        Ok::<(), FramingError>(())
    };
    let header = ControlRecord::SnapshotHeader(SnapshotHeaderRecord {
        version: CONTROL_VERSION,
        last_contained_log_timestamp: options.last_contained_log_timestamp_ms,
        ..Default::default()
    });
    let head: Vec<ControlRecord> = std::iter::once(header).chain(quorum).collect();
    let batch = control_batch(position, &head)?;
    push(&mut position, batch)?;
    let mut batch = builder(position);
    for record in records {
        append(&mut batch, position, version, record)?;
        if batch.uncompressed_size() >= SNAPSHOT_BATCH_BYTES {
            push(&mut position, batch.build()?)?;
            batch = builder(position);
        }
    }
    if !batch.is_empty() {
        push(&mut position, batch.build()?)?;
    }
    let footer = SnapshotFooterRecord {
        version: CONTROL_VERSION,
        ..Default::default()
    };
    let batch = control_batch(position, &[ControlRecord::SnapshotFooter(footer)])?;
    push(&mut position, batch)?;
    Ok(out.freeze())
}

/// A batch of the metadata log or of a snapshot, read.
#[derive(Debug, Clone, PartialEq)]
pub struct LogBatch {
    pub base_offset: i64,
    /// Of the batch's last record.
    pub provenance: Provenance,
    pub content: LogContent,
}

#[derive(Debug, Clone, PartialEq)]
pub enum LogContent {
    Records(Vec<MetadataRecord>),
    Control(Vec<ControlRecord>),
}

/// Reads batches, one after the other. A batch that is cut short at the end is left out; ask
/// [`ottla_records::Batches::consumed`] if it matters how far the bytes reach.
pub fn read_batches(bytes: &Bytes) -> impl Iterator<Item = Result<LogBatch, FramingError>> {
    let mut at = 0;
    batches(bytes).map(move |batch| {
        let batch = batch?;
        batch.verify()?;
        let whole = bytes.slice(at..at + batch.size());
        at += batch.size();
        read_batch(batch, &whole)
    })
}

fn read_batch(batch: RawBatch<'_>, whole: &Bytes) -> Result<LogBatch, FramingError> {
    let records = RecordIter::new(whole, MAX_DECOMPRESSED_BYTES)?;
    let content = if batch.is_control() {
        let mut control = Vec::new();
        for record in records {
            let record = record?;
            let offset = record.offset;
            let key = record.key.ok_or(FramingError::Incomplete {
                offset,
                part: "key",
            })?;
            let value = record.value.ok_or(FramingError::Incomplete {
                offset,
                part: "value",
            })?;
            if let Some(kind) = ControlType::parse(&key)? {
                let decoded = ControlRecord::decode(kind, &value);
                control.extend(decoded.map_err(|source| FramingError::Decode { offset, source })?);
            }
        }
        LogContent::Control(control)
    } else {
        let decode = |record: Result<ottla_records::Record, RecordError>| {
            let record = record?;
            let offset = record.offset;
            let value = record.value.ok_or(FramingError::Incomplete {
                offset,
                part: "value",
            })?;
            MetadataRecord::decode_from(&value)
                .map_err(|source| FramingError::Decode { offset, source })
        };
        LogContent::Records(records.map(decode).collect::<Result<_, _>>()?)
    };
    let provenance = Provenance {
        offset: batch.last_offset(),
        epoch: batch.partition_leader_epoch(),
        timestamp_ms: batch.max_timestamp(),
    };
    Ok(LogBatch {
        base_offset: batch.base_offset(),
        provenance,
        content,
    })
}
