//! The partition's single append point: the checks of a batch, the write, and what its answer waits for.
//!
//! Step 4 of the produce path; `log/append.rs` is next, `replica/leader.rs` after it. The leader's lock is held
//! over the write into the page cache, so that log end and high watermark move together, and never over a disk
//! wait.

use std::sync::Arc;

use bytes::Bytes;
use ottla_config::{CompressionType, TimestampType as TopicTimestampType, TopicConfigs};
use ottla_log::{
    AppendError, AppendInfo, FlushReason, LeaderAppend, ProducerError, TRANSACTION_VERSION_UNKNOWN,
    VerificationGuard,
};
use ottla_protocol::ErrorCode;
use ottla_records::{
    Codec, Compression, MAX_DECOMPRESSED_BYTES, TargetCompression, TimestampType, ValidatedBatch,
    ValidationError, ValidationRules, validate_coordinator_append, validate_produce,
};
use ottla_replica::{AckState, Acks};
use tokio::sync::oneshot;
use tokio::time::{Instant, timeout_at};

use super::Partition;
use crate::waiters::{Waiter, WaiterGuard};

/// `acks` of a producer that waits for all in-sync replicas.
const ACKS_ALL: i16 = -1;

/// Where a batch came to lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Appended {
    pub base_offset: i64,
    /// Offset after the last record.
    pub next_offset: i64,
    /// -1 where the producer's own timestamps were kept.
    pub log_append_time_ms: i64,
    pub log_start_offset: i64,
    /// `flush.messages` is reached: the answer waits for the disk.
    pub flush_due: bool,
}

/// Why a batch was not appended, as the client is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AppendFailure {
    pub code: ErrorCode,
    pub message: Option<String>,
    /// Index in the batch and message of each record that is at fault.
    pub record_errors: Vec<(i32, Option<String>)>,
    /// -1 where the failure does not tell it.
    pub log_start_offset: i64,
}

impl From<ErrorCode> for AppendFailure {
    fn from(code: ErrorCode) -> Self {
        Self {
            code,
            message: None,
            record_errors: Vec::new(),
            log_start_offset: -1,
        }
    }
}

/// What a coordinator's records need besides themselves.
#[derive(Debug, Clone, Copy)]
pub struct CoordinatorAppend {
    /// With which a transaction's first records are let in.
    pub guard: VerificationGuard,
    /// The rules that a transaction marker follows.
    pub transaction_version: i16,
}

impl Default for CoordinatorAppend {
    fn default() -> Self {
        Self {
            guard: VerificationGuard::NONE,
            transaction_version: TRANSACTION_VERSION_UNKNOWN,
        }
    }
}

impl Partition {
    /// Validates and appends one produce's records; `guard` lets in the first ones of a transaction.
    pub fn append_from_client(
        self: &Arc<Self>,
        records: &Bytes,
        acks: i16,
        produce_version: i16,
        guard: VerificationGuard,
        now_ms: i64,
    ) -> Result<Appended, AppendFailure> {
        let rules = self.rules.load();
        let batch = validate_produce(records, &rules.validation, produce_version, now_ms)
            .map_err(|error| self.invalid(&error))?;
        let how = LeaderAppend {
            guard,
            ..LeaderAppend::client(0)
        };
        self.append(batch, how, acks, now_ms)
    }

    /// Appends records that a coordinator of this broker made.
    pub fn append_from_coordinator(
        self: &Arc<Self>,
        records: &Bytes,
        coordinator: CoordinatorAppend,
        now_ms: i64,
    ) -> Result<Appended, AppendFailure> {
        let rules = self.rules.load();
        let batch = validate_coordinator_append(records, &rules.validation, now_ms)
            .map_err(|error| self.invalid(&error))?;
        let how = LeaderAppend {
            guard: coordinator.guard,
            transaction_version: coordinator.transaction_version,
            ..LeaderAppend::coordinator(0)
        };
        self.append(batch, how, ACKS_ALL, now_ms)
    }

    fn append(
        self: &Arc<Self>,
        batch: ValidatedBatch,
        how: LeaderAppend,
        acks: i16,
        now_ms: i64,
    ) -> Result<Appended, AppendFailure> {
        let mut leader = self.leader();
        let acks = if acks == ACKS_ALL {
            Acks::All
        } else {
            Acks::Leader
        };
        leader.check_append(acks).map_err(|_| AppendFailure {
            log_start_offset: self.log.log_start_offset(),
            ..ErrorCode::NotEnoughReplicas.into()
        })?;
        let how = LeaderAppend {
            leader_epoch: leader.leader_epoch(),
            log_append_time_ms: batch.log_append_time_ms,
            ..how
        };
        let info = self
            .log
            .append_as_leader(&[batch.bytes], &how, now_ms)
            .map_err(|error| self.refused(&error, now_ms))?;
        let advanced = leader.on_append(self.log.log_end_offset(), now_ms, |_| None);
        self.follow_high_watermark(leader, advanced);
        if info.needs_flush == Some(FlushReason::Bytes) {
            self.log.flush_then(info.last_offset + 1, |_| {});
        }
        Ok(appended(&info))
    }

    /// Whether the answer has to wait for other replicas or for the disk.
    pub fn must_wait(&self, appended: &Appended, acks: i16) -> bool {
        appended.flush_due || (acks == ACKS_ALL && self.high_watermark() < appended.next_offset)
    }

    /// Completes with true when every record before `offset` is on disk, with false when the flush failed.
    pub async fn flushed(&self, offset: i64) -> bool {
        let (sender, receiver) = oneshot::channel();
        self.log.flush_then(offset, move |is_flushed| {
            // The receiver may be gone with its connection.
            let _ = sender.send(is_flushed);
        });
        receiver.await.unwrap_or(false)
    }

    /// Completes when the append has what its answer waits for.
    pub async fn acknowledged(
        &self,
        appended: &Appended,
        acks: i16,
        deadline: Instant,
    ) -> Result<(), ErrorCode> {
        if appended.flush_due && !self.flushed(appended.next_offset).await {
            return Err(ErrorCode::KafkaStorageError);
        }
        if acks != ACKS_ALL {
            return Ok(());
        }
        let waiter = Waiter::new();
        let _guard = WaiterGuard(Arc::clone(&waiter));
        loop {
            self.acknowledgers.register(&waiter);
            match self.leader().ack_state(appended.next_offset) {
                AckState::Done => return Ok(()),
                AckState::NotEnoughReplicasAfterAppend => {
                    return Err(ErrorCode::NotEnoughReplicasAfterAppend);
                }
                AckState::Pending => {}
            }
            timeout_at(deadline, waiter.woken())
                .await
                .map_err(|_| ErrorCode::RequestTimedOut)?;
        }
    }

    fn invalid(&self, error: &ValidationError) -> AppendFailure {
        let rejected = error.rejected_records().iter();
        let record_errors: Vec<_> = rejected
            .map(|record| (record.index, Some(record.reason.to_string())))
            .collect();
        // Kafka tells the log start with record errors alone.
        let log_start_offset = if record_errors.is_empty() {
            -1
        } else {
            self.log.log_start_offset()
        };
        AppendFailure {
            code: error.error_code(),
            message: Some(error.to_string()),
            record_errors,
            log_start_offset,
        }
    }

    fn refused(&self, error: &AppendError, now_ms: i64) -> AppendFailure {
        let code = append_error_code(error);
        // A producer that is refused comes again and again.
        if code == ErrorCode::KafkaStorageError
            && let Some(untold) = self.log.log_dir().refused_appends.admit(now_ms)
        {
            tracing::error!(topic = %self.topic, partition = self.index, %error, untold, "an append failed");
        }
        // Kafka tells the log start with what is wrong with the producer, not with its batch or with the partition.
        let log_start_offset = match error {
            AppendError::Producer { .. } => self.log.log_start_offset(),
            _ => -1,
        };
        AppendFailure {
            message: Some(error.to_string()),
            log_start_offset,
            ..code.into()
        }
    }
}

/// What Kafka calls a failed append.
fn append_error_code(error: &AppendError) -> ErrorCode {
    match error {
        AppendError::Closed(_) => ErrorCode::NotLeaderOrFollower,
        AppendError::DiskFull { .. } | AppendError::Storage(_) => ErrorCode::KafkaStorageError,
        AppendError::Malformed(_) | AppendError::Incomplete { .. } => ErrorCode::CorruptMessage,
        AppendError::LargerThanSegment { .. } => ErrorCode::RecordListTooLarge,
        AppendError::UnexpectedOffset { .. } | AppendError::OffsetsOutOfOrder { .. } => {
            ErrorCode::UnknownServerError
        }
        AppendError::Producer { source, .. } => match source {
            ProducerError::OutOfOrderSequence { .. } => ErrorCode::OutOfOrderSequenceNumber,
            ProducerError::InvalidEpoch { .. } => ErrorCode::InvalidProducerEpoch,
            ProducerError::InvalidTxnState { .. } => ErrorCode::InvalidTxnState,
            ProducerError::CoordinatorFenced { .. } => ErrorCode::TransactionCoordinatorFenced,
            ProducerError::MalformedMarker { .. } => ErrorCode::CorruptMessage,
        },
    }
}

fn appended(info: &AppendInfo) -> Appended {
    Appended {
        base_offset: info.first_offset,
        next_offset: info.last_offset + 1,
        log_append_time_ms: info.log_append_time_ms,
        log_start_offset: info.log_start_offset,
        flush_due: info.needs_flush == Some(FlushReason::Messages),
    }
}

/// The validation that a topic's configuration asks for.
pub fn validation_rules(configs: &TopicConfigs) -> ValidationRules {
    ValidationRules {
        compression: target_compression(configs),
        timestamp_type: match configs.message_timestamp_type {
            TopicTimestampType::CreateTime => TimestampType::CreateTime,
            TopicTimestampType::LogAppendTime => TimestampType::LogAppendTime,
        },
        timestamp_before_max_ms: configs.message_timestamp_before_max_ms,
        timestamp_after_max_ms: configs.message_timestamp_after_max_ms,
        is_compacted: configs.cleanup_compact,
        batch_bytes_max: configs.max_message_bytes.max(0) as usize,
        decompressed_bytes_max: MAX_DECOMPRESSED_BYTES,
    }
}

fn target_compression(configs: &TopicConfigs) -> TargetCompression {
    let fixed = match configs.compression_type {
        CompressionType::Producer => return TargetCompression::Producer,
        CompressionType::Uncompressed => Compression::new(Codec::None),
        CompressionType::Snappy => Compression::new(Codec::Snappy),
        CompressionType::Gzip => {
            Compression::with_level(Codec::Gzip, configs.compression_gzip_level)
        }
        CompressionType::Lz4 => Compression::with_level(Codec::Lz4, configs.compression_lz4_level),
        CompressionType::Zstd => {
            Compression::with_level(Codec::Zstd, configs.compression_zstd_level)
        }
    };
    TargetCompression::Fixed(fixed)
}
