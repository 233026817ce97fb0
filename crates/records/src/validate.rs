//! Validation of what is to be appended on a leader: one call between the request and the log.
//!
//! Invariant: an accepted batch verifies, reads back record by record, keeps the topic's rules, and has offsets that
//! count up from 0; the bytes that came are never changed. They are passed on as they are unless the codec or the
//! offsets within are not what the log keeps, and only then is a batch written anew.
//! Called by the partition's append, once per partition of a produce and once per append of a coordinator.
//!
//! What is checked, in this order, which decides the error that a client sees:
//!
//! 1. exactly one batch, magic 2, codec allowed by the request's version (what follows it must be less than a batch)
//! 2. base offset 0, size, checksum
//! 3. offset range and record count agree, flags and producer fields are what a client may write
//! 4. each record: structure (ends the check), then key and timestamp (gathered into one error)

mod error;

use bytes::Bytes;

pub use self::error::{RejectReason, RejectedRecord, ValidationError};
use crate::batch::{
    BatchError, Codec, NO_PRODUCER_EPOCH, NO_TIMESTAMP, RawBatch, TimestampType, batches,
};
use crate::builder::{BatchBuilder, Producer};
use crate::compress::Compression;
use crate::decompress::{Decompressor, MAX_DECOMPRESSED_BYTES};
use crate::header_patch::HeaderPatch;
use crate::record::{RecordError, RecordViews};
use crate::wire::{RecordShape, SliceSource, Source, walk_record};

/// The first version of the produce request whose clients all read zstd.
const ZSTD_PRODUCE_VERSION_MIN: i16 = 7;
/// Rejected records that an error lists one by one; it counts the others. A batch of a million keyless records must
/// not become an answer of a hundred megabytes.
const REJECTED_RECORDS_MAX: usize = 1000;
/// Bytes of records that are written anew. They are in memory whole, and twice, unlike those that are only walked over;
/// this is as much as a request may have by default (`socket.request.max.bytes`).
const REBUILT_BYTES_MAX: usize = 100 << 20;

/// What `compression.type` asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TargetCompression {
    /// Whatever the producer chose.
    Producer,
    Fixed(Compression),
}

/// A topic's rules for what is appended to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ValidationRules {
    pub compression: TargetCompression,
    pub timestamp_type: TimestampType,
    /// `message.timestamp.before.max.ms`
    pub timestamp_before_max_ms: i64,
    /// `message.timestamp.after.max.ms`
    pub timestamp_after_max_ms: i64,
    /// Whether `cleanup.policy` has `compact`, which needs keys.
    pub is_compacted: bool,
    /// `max.message.bytes`
    pub batch_bytes_max: usize,
    pub decompressed_bytes_max: usize,
}

impl Default for ValidationRules {
    /// The rules that topics have by default.
    fn default() -> ValidationRules {
        ValidationRules {
            compression: TargetCompression::Producer,
            timestamp_type: TimestampType::CreateTime,
            timestamp_before_max_ms: i64::MAX,
            timestamp_after_max_ms: 3_600_000,
            is_compacted: false,
            batch_bytes_max: 1_048_588,
            decompressed_bytes_max: MAX_DECOMPRESSED_BYTES,
        }
    }
}

/// A batch that may be appended.
#[derive(Debug, Clone)]
pub struct ValidatedBatch {
    /// One batch with everything right but base offset, leader epoch and the log's own timestamp. Shares what came
    /// in, unless `is_rebuilt` or the producer's header had a wrong max timestamp.
    pub bytes: Bytes,
    /// The time that the log's [`HeaderPatch`] must put in, for a topic that has it.
    pub log_append_time_ms: Option<i64>,
    /// Whether the batch was written anew, with another codec or offsets.
    pub is_rebuilt: bool,
}

impl ValidatedBatch {
    pub fn batch(&self) -> RawBatch<'_> {
        RawBatch::first(&self.bytes)
            .ok()
            .flatten()
            .expect("validated")
    }
}

/// Who appends, and when.
#[derive(Debug, Clone, Copy)]
struct Append {
    /// The version of the produce request; `None` is a coordinator of this broker.
    produce_version: Option<i16>,
    now_ms: i64,
}

/// Checks the records of one partition of a produce request.
pub fn validate_produce(
    records: &Bytes,
    rules: &ValidationRules,
    produce_version: i16,
    now_ms: i64,
) -> Result<ValidatedBatch, ValidationError> {
    validate(
        records,
        rules,
        Append {
            produce_version: Some(produce_version),
            now_ms,
        },
    )
}

/// Checks what a coordinator of this broker appends, which may be control records.
pub fn validate_coordinator_append(
    records: &Bytes,
    rules: &ValidationRules,
    now_ms: i64,
) -> Result<ValidatedBatch, ValidationError> {
    validate(
        records,
        rules,
        Append {
            produce_version: None,
            now_ms,
        },
    )
}

fn validate(
    records: &Bytes,
    rules: &ValidationRules,
    append: Append,
) -> Result<ValidatedBatch, ValidationError> {
    let batch = single_batch(records)?;
    let codec = check_batch(batch, rules, append)?;
    let findings = match codec {
        Codec::None => check_records(&mut SliceSource::new(batch.payload()), batch, rules, append)?,
        codec => {
            let decompressor =
                Decompressor::new(codec, batch.payload(), rules.decompressed_bytes_max);
            check_records(
                &mut decompressor.map_err(RecordError::from)?,
                batch,
                rules,
                append,
            )?
        }
    };
    let target = match rules.compression {
        TargetCompression::Producer => Compression::new(codec),
        TargetCompression::Fixed(target) => target,
    };
    // Markers are looked at by everybody who reads, and too small to gain.
    let keeps_codec = target.codec == codec || batch.is_control() && codec == Codec::None;
    if findings.has_dense_offsets && keeps_codec {
        return Ok(pass_through(
            records.slice(..batch.size()),
            batch,
            &findings,
            rules,
            append,
        ));
    }
    rebuild(batch, target, rules, append)
}

fn single_batch(records: &Bytes) -> Result<RawBatch<'_>, ValidationError> {
    let mut found = batches(records);
    let batch = found.next().ok_or(ValidationError::NoBatch)??;
    match found.next() {
        None => Ok(batch),
        Some(Ok(_) | Err(BatchError::OldMagic(_))) => Err(ValidationError::SeveralBatches),
        Some(Err(error)) => Err(error.into()),
    }
}

/// Checks everything that stands in the header, and the checksum.
fn check_batch(
    batch: RawBatch<'_>,
    rules: &ValidationRules,
    append: Append,
) -> Result<Codec, ValidationError> {
    let codec = batch.codec()?;
    if let Some(produce_version) = append.produce_version {
        if codec == Codec::Zstd && produce_version < ZSTD_PRODUCE_VERSION_MIN {
            return Err(ValidationError::ZstdNotAllowed { produce_version });
        }
        if batch.base_offset() != 0 {
            return Err(ValidationError::BaseOffset(batch.base_offset()));
        }
    }
    check_size(batch.size(), rules)?;
    batch.check_crc()?;
    batch.check_ranges()?;
    if append.produce_version.is_some() {
        check_client_header(batch)?;
    }
    Ok(codec)
}

fn check_size(bytes: usize, rules: &ValidationRules) -> Result<(), ValidationError> {
    if bytes > rules.batch_bytes_max {
        return Err(ValidationError::TooLarge {
            bytes,
            max: rules.batch_bytes_max,
        });
    }
    Ok(())
}

fn check_client_header(batch: RawBatch<'_>) -> Result<(), ValidationError> {
    let (count, last_offset_delta) = (batch.record_count(), batch.last_offset_delta());
    if count == 0 {
        return Err(ValidationError::Empty);
    }
    if count - 1 != last_offset_delta {
        return Err(ValidationError::CountMismatch {
            count,
            last_offset_delta,
        });
    }
    if batch.is_control() {
        return Err(ValidationError::ControlBatch);
    }
    if batch.delete_horizon_ms().is_some() {
        return Err(ValidationError::DeleteHorizon);
    }
    let (producer_id, producer_epoch) = (batch.producer_id(), batch.producer_epoch());
    if batch.has_producer_id() {
        if batch.base_sequence() < 0 {
            return Err(ValidationError::Sequence {
                producer_id,
                base_sequence: batch.base_sequence(),
            });
        }
        if producer_epoch <= NO_PRODUCER_EPOCH {
            return Err(ValidationError::ProducerEpoch {
                producer_id,
                producer_epoch,
            });
        }
    } else if batch.is_transactional() {
        return Err(ValidationError::TransactionalWithoutProducerId);
    }
    Ok(())
}

/// What the walk over the records found out.
struct Findings {
    max_timestamp: i64,
    /// Whether offset deltas count up from 0, as the log needs them.
    has_dense_offsets: bool,
}

/// Walks over all records without keeping any.
fn check_records(
    source: &mut impl Source,
    batch: RawBatch<'_>,
    rules: &ValidationRules,
    append: Append,
) -> Result<Findings, ValidationError> {
    let checker = RecordChecker::new(batch, rules, append);
    let mut findings = Findings {
        max_timestamp: NO_TIMESTAMP,
        has_dense_offsets: true,
    };
    let mut rejected = Vec::new();
    let mut rejected_count = 0;
    for index in 0..batch.record_count() {
        let shape = walk_record(source)?;
        let timestamp = checker.timestamp(&shape);
        findings.has_dense_offsets &= shape.offset_delta == index;
        findings.max_timestamp = findings.max_timestamp.max(timestamp);
        if let Err(reason) = checker.check(&shape, timestamp) {
            rejected_count += 1;
            if rejected.len() < REJECTED_RECORDS_MAX {
                rejected.push(RejectedRecord { index, reason });
            }
        }
    }
    if batch.record_count() > 0 && !source.is_at_end()? {
        return Err(RecordError::TrailingBytes.into());
    }
    if rejected_count > 0 {
        return Err(ValidationError::Rejected {
            records: rejected,
            total: rejected_count,
        });
    }
    Ok(findings)
}

/// The rules for single records, with what they need of the batch at hand.
struct RecordChecker {
    base_timestamp: i64,
    /// Whether the producer claims to be the log. The claim is not kept, so the records' own timestamps count.
    claims_log_append_time: bool,
    needs_key: bool,
    checks_create_time: bool,
    earliest: i64,
    latest: i64,
}

impl RecordChecker {
    fn new(batch: RawBatch<'_>, rules: &ValidationRules, append: Append) -> RecordChecker {
        RecordChecker {
            base_timestamp: batch.base_timestamp(),
            claims_log_append_time: batch.timestamp_type() == TimestampType::LogAppendTime,
            needs_key: rules.is_compacted,
            checks_create_time: rules.timestamp_type == TimestampType::CreateTime,
            earliest: append.now_ms.saturating_sub(rules.timestamp_before_max_ms),
            latest: append.now_ms.saturating_add(rules.timestamp_after_max_ms),
        }
    }

    #[inline]
    fn timestamp(&self, shape: &RecordShape) -> i64 {
        self.base_timestamp.wrapping_add(shape.timestamp_delta)
    }

    #[inline]
    fn check(&self, shape: &RecordShape, timestamp: i64) -> Result<(), RejectReason> {
        if self.needs_key && !shape.has_key {
            return Err(RejectReason::MissingKey);
        }
        if self.checks_create_time && timestamp != NO_TIMESTAMP {
            let (earliest, latest) = (self.earliest, self.latest);
            if timestamp < earliest || timestamp > latest {
                return Err(RejectReason::Timestamp {
                    timestamp,
                    earliest,
                    latest,
                });
            }
        } else if self.claims_log_append_time {
            return Err(RejectReason::LogAppendTimeByProducer);
        }
        Ok(())
    }
}

/// The bytes as they came, save for a header that must be put right.
fn pass_through(
    bytes: Bytes,
    batch: RawBatch<'_>,
    findings: &Findings,
    rules: &ValidationRules,
    append: Append,
) -> ValidatedBatch {
    if rules.timestamp_type == TimestampType::LogAppendTime {
        return ValidatedBatch {
            bytes,
            log_append_time_ms: Some(append.now_ms),
            is_rebuilt: false,
        };
    }
    let patch =
        HeaderPatch::new(batch).timestamps(TimestampType::CreateTime, findings.max_timestamp);
    let bytes = if patch.header() == batch.header() {
        bytes
    } else {
        Bytes::from([patch.as_bytes(), batch.payload()].concat())
    };
    ValidatedBatch {
        bytes,
        log_append_time_ms: None,
        is_rebuilt: false,
    }
}

/// Writes the batch anew, with dense offsets and the target's codec.
fn rebuild(
    batch: RawBatch<'_>,
    target: Compression,
    rules: &ValidationRules,
    append: Append,
) -> Result<ValidatedBatch, ValidationError> {
    let bytes_max = match target.codec {
        Codec::None => rules.batch_bytes_max,
        _ => REBUILT_BYTES_MAX,
    };
    let payload = batch.decompress(bytes_max.min(rules.decompressed_bytes_max))?;
    let mut builder = BatchBuilder::new(target)
        .producer(Producer {
            id: batch.producer_id(),
            epoch: batch.producer_epoch(),
            base_sequence: batch.base_sequence(),
        })
        .transactional(batch.is_transactional())
        .control(batch.is_control());
    let is_stamped_by_log = rules.timestamp_type == TimestampType::LogAppendTime;
    let log_append_time_ms = is_stamped_by_log.then_some(append.now_ms);
    if let Some(now_ms) = log_append_time_ms {
        builder = builder.log_append_time(now_ms);
    }
    for (offset, record) in
        (0..).zip(RecordViews::new(batch.header(), &payload)?.with_own_timestamps())
    {
        let record = record?;
        builder.append_at(
            offset,
            record.timestamp,
            record.key,
            record.value,
            record.headers,
        );
    }
    let bytes = builder.build()?;
    check_size(bytes.len(), rules)?;
    Ok(ValidatedBatch {
        bytes,
        log_append_time_ms,
        is_rebuilt: true,
    })
}

#[cfg(test)]
mod tests;
