//! Why records were not accepted, and what Kafka calls it.
//!
//! Invariant: each variant has one error code; whatever is retriable in Kafka is a fault of transport (a checksum),
//! never of content.
//! Called by the produce handler, which puts code, message and record errors into the answer.

use ottla_protocol::ErrorCode;

use crate::batch::BatchError;
use crate::builder::BuildError;
use crate::decompress::DecompressError;
use crate::record::RecordError;

#[derive(Debug, thiserror::Error)]
pub enum ValidationError {
    #[error("produce requests must have at least one record batch per partition")]
    NoBatch,
    #[error("produce requests are only allowed to contain exactly one record batch per partition")]
    SeveralBatches,
    #[error(
        "produce requests with version {produce_version} are not allowed to use zstd compression"
    )]
    ZstdNotAllowed { produce_version: i16 },
    #[error("the base offset of the record batch should be 0, but it is {0}")]
    BaseOffset(i64),
    #[error(
        "the record batch size is {bytes} bytes, which exceeds the maximum configured value of {max}"
    )]
    TooLarge { bytes: usize, max: usize },
    #[error(transparent)]
    Batch(#[from] BatchError),
    #[error("the record batch has no records")]
    Empty,
    #[error(
        "the record batch has {count} records, but its last offset delta is {last_offset_delta}"
    )]
    CountMismatch { count: i32, last_offset_delta: i32 },
    #[error("clients are not allowed to write control records")]
    ControlBatch,
    #[error("clients are not allowed to set a delete horizon")]
    DeleteHorizon,
    #[error(
        "invalid sequence number {base_sequence} in record batch with producer id {producer_id}"
    )]
    Sequence {
        producer_id: i64,
        base_sequence: i32,
    },
    #[error(
        "invalid producer epoch {producer_epoch} in record batch with producer id {producer_id}"
    )]
    ProducerEpoch {
        producer_id: i64,
        producer_epoch: i16,
    },
    #[error("transactional record batch without a producer id")]
    TransactionalWithoutProducerId,
    #[error(transparent)]
    Records(#[from] RecordError),
    #[error(
        "{total} records have been rejected, the first of them: {}",
        FirstThree(records)
    )]
    Rejected {
        /// The first of the rejected records.
        records: Vec<RejectedRecord>,
        total: usize,
    },
    #[error("cannot rebuild the record batch: {0}")]
    Rebuild(#[from] BuildError),
}

/// A record that breaks a rule, by its index in the batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RejectedRecord {
    pub index: i32,
    pub reason: RejectReason,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RejectReason {
    #[error("compacted topic cannot accept message without key")]
    MissingKey,
    #[error("timestamp {timestamp} is out of range: it should be within [{earliest}, {latest}]")]
    Timestamp {
        timestamp: i64,
        earliest: i64,
        latest: i64,
    },
    #[error("producers should not set the timestamp type to LogAppendTime")]
    LogAppendTimeByProducer,
}

impl ValidationError {
    /// The records to list in the answer.
    pub fn rejected_records(&self) -> &[RejectedRecord] {
        match self {
            ValidationError::Rejected { records, .. } => records,
            _ => &[],
        }
    }

    /// Kafka's error code.
    pub fn error_code(&self) -> ErrorCode {
        match self {
            ValidationError::NoBatch
            | ValidationError::SeveralBatches
            | ValidationError::BaseOffset(_)
            | ValidationError::Empty
            | ValidationError::CountMismatch { .. }
            | ValidationError::ControlBatch
            | ValidationError::DeleteHorizon
            | ValidationError::Sequence { .. }
            | ValidationError::ProducerEpoch { .. }
            | ValidationError::TransactionalWithoutProducerId => ErrorCode::InvalidRecord,
            ValidationError::ZstdNotAllowed { .. } => ErrorCode::UnsupportedCompressionType,
            ValidationError::TooLarge { .. } => ErrorCode::MessageTooLarge,
            ValidationError::Batch(error) => error.error_code(),
            ValidationError::Records(error) => error.error_code(),
            ValidationError::Rejected { records, .. } => {
                let is_about_time =
                    |record: &RejectedRecord| record.reason != RejectReason::MissingKey;
                if records.iter().any(is_about_time) {
                    ErrorCode::InvalidTimestamp
                } else {
                    ErrorCode::InvalidRecord
                }
            }
            ValidationError::Rebuild(BuildError::TooLarge { .. }) => ErrorCode::MessageTooLarge,
            ValidationError::Rebuild(BuildError::Compress { .. }) => ErrorCode::UnknownServerError,
        }
    }
}

impl BatchError {
    /// Kafka's error code. Bytes that are no batch at all may have been damaged on the way and can be sent again.
    pub fn error_code(&self) -> ErrorCode {
        match self {
            BatchError::LengthTooSmall { .. }
            | BatchError::UnknownMagic(_)
            | BatchError::Checksum { .. } => ErrorCode::CorruptMessage,
            BatchError::OldMagic(_)
            | BatchError::NegativeRecordCount(_)
            | BatchError::OffsetRange { .. } => ErrorCode::InvalidRecord,
            BatchError::UnknownCodec(_) => ErrorCode::UnsupportedCompressionType,
        }
    }
}

impl RecordError {
    /// Kafka's error code.
    pub fn error_code(&self) -> ErrorCode {
        match self {
            RecordError::Batch(error) => error.error_code(),
            RecordError::Decompress(DecompressError::TooLarge { .. }) => ErrorCode::MessageTooLarge,
            RecordError::IncompleteBatch => ErrorCode::CorruptMessage,
            RecordError::Decompress(DecompressError::Corrupt { .. })
            | RecordError::Truncated
            | RecordError::Varint
            | RecordError::NegativeSize(_)
            | RecordError::SizeMismatch { .. }
            | RecordError::HeaderCount(_)
            | RecordError::HeaderKeyLength(_)
            | RecordError::TrailingBytes => ErrorCode::InvalidRecord,
        }
    }
}

struct FirstThree<'a>(&'a [RejectedRecord]);

impl std::fmt::Display for FirstThree<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (place, RejectedRecord { index, reason }) in self.0.iter().take(3).enumerate() {
            let separator = if place == 0 { "" } else { "; " };
            write!(f, "{separator}record {index}: {reason}")?;
        }
        Ok(())
    }
}
