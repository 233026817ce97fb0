//! What can go wrong, by area, with the ids and places in it.
//!
//! Invariant: a type here tells whose fault it is. [`StorageError`] is the disk's (the log directory is then offline,
//! save for a full disk); the rest is the caller's, and the log goes on.
//! Called by everything here; the broker maps these to Kafka's error codes in one function of its own.

use std::io;
use std::path::{Path, PathBuf};

use ottla_protocol::ids::TopicPartition;
use ottla_records::{BatchError, RecordError};

/// A file operation failed.
#[derive(Debug, thiserror::Error)]
#[error("cannot {action} {}: {source}", path.display())]
pub struct StorageError {
    pub action: &'static str,
    pub path: PathBuf,
    pub source: io::Error,
}

impl StorageError {
    pub(crate) fn new(action: &'static str, path: impl AsRef<Path>, source: io::Error) -> Self {
        StorageError {
            action,
            path: path.as_ref().to_path_buf(),
            source,
        }
    }

    /// The disk (or the quota) is full, which passes; anything else condemns the log directory.
    pub fn is_full(&self) -> bool {
        matches!(
            self.source.kind(),
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
        )
    }
}

/// Gives an I/O error its file and what was done to it.
pub(crate) trait Context<T> {
    fn context(self, action: &'static str, path: impl AsRef<Path>) -> Result<T, StorageError>;

    /// As [`Context::context`], for paths that would have to be put together first.
    fn context_with(
        self,
        action: &'static str,
        path: impl FnOnce() -> PathBuf,
    ) -> Result<T, StorageError>;
}

impl<T> Context<T> for io::Result<T> {
    fn context(self, action: &'static str, path: impl AsRef<Path>) -> Result<T, StorageError> {
        self.map_err(|error| StorageError::new(action, path, error))
    }

    fn context_with(
        self,
        action: &'static str,
        path: impl FnOnce() -> PathBuf,
    ) -> Result<T, StorageError> {
        self.map_err(|error| StorageError::new(action, path(), error))
    }
}

/// Bytes in a file that are not what they should be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}: damaged at position {position}: {reason}", path.display())]
pub struct Damage {
    pub path: PathBuf,
    pub position: u64,
    pub reason: DamageReason,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DamageReason {
    #[error(transparent)]
    Batch(#[from] BatchError),
    #[error(transparent)]
    Record(#[from] RecordError),
    #[error("a batch of {size} bytes begins {available} bytes before the end")]
    Torn { size: u64, available: u64 },
    #[error("offset {found} where at least {expected} was expected")]
    OffsetGoesBack { found: i64, expected: i64 },
    #[error("offset {0} is too far from the segment's base")]
    OffsetOverflow(i64),
    #[error("a batch whose producer id, epoch and sequence cannot belong together")]
    ProducerFields,
    #[error("what the cleaner leaves of a batch of {bytes} bytes makes no batch")]
    NotRebuilt { bytes: usize },
    #[error("the offset index expects another batch than the one that ends with offset {offset}")]
    MisleadingIndex { offset: i64 },
}

/// Why an append did not happen. Nothing of it is in the log then.
#[derive(Debug, thiserror::Error)]
pub enum AppendError {
    #[error("{0} is closed")]
    Closed(TopicPartition),
    #[error("{partition}: the disk is full")]
    DiskFull { partition: TopicPartition },
    #[error(transparent)]
    Storage(#[from] StorageError),
    #[error(transparent)]
    Malformed(#[from] BatchError),
    #[error("{partition}: no complete batch in {bytes} bytes")]
    Incomplete {
        partition: TopicPartition,
        bytes: usize,
    },
    #[error("{partition}: {bytes} bytes of batches are more than the segment size {segment_bytes}")]
    LargerThanSegment {
        partition: TopicPartition,
        bytes: u64,
        segment_bytes: u64,
    },
    #[error(
        "{partition}: offset {first_offset} to append is less than the log end {log_end_offset}"
    )]
    UnexpectedOffset {
        partition: TopicPartition,
        first_offset: i64,
        last_offset: i64,
        log_end_offset: i64,
    },
    #[error("{partition}: offsets to append do not grow ({previous} then {next})")]
    OffsetsOutOfOrder {
        partition: TopicPartition,
        previous: i64,
        next: i64,
    },
    #[error("{partition}: {source}")]
    Producer {
        partition: TopicPartition,
        source: ProducerError,
    },
}

/// A producer's mistake, or that of one who was fenced.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProducerError {
    #[error(
        "out of order sequence number of producer {producer_id} epoch {producer_epoch}: {sequence}, expected {expected}"
    )]
    OutOfOrderSequence {
        producer_id: i64,
        producer_epoch: i16,
        sequence: i32,
        expected: i32,
    },
    #[error(
        "epoch {producer_epoch} of producer {producer_id} is older than the last seen, {current}"
    )]
    InvalidEpoch {
        producer_id: i64,
        producer_epoch: i16,
        current: i16,
    },
    #[error("producer {producer_id} wrote outside of its transaction")]
    InvalidTxnState { producer_id: i64 },
    #[error(
        "coordinator epoch {coordinator_epoch} of producer {producer_id}'s marker is older than the last seen, {current}"
    )]
    CoordinatorFenced {
        producer_id: i64,
        coordinator_epoch: i32,
        current: i32,
    },
    #[error(
        "the control batch of producer {producer_id} holds no transaction marker that can be read"
    )]
    MalformedMarker { producer_id: i64 },
}

/// Why a read gave nothing.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    #[error(
        "offset {offset} of {partition} is out of range [{log_start_offset}, {log_end_offset}]"
    )]
    OffsetOutOfRange {
        partition: TopicPartition,
        offset: i64,
        log_start_offset: i64,
        log_end_offset: i64,
    },
    #[error(transparent)]
    Damaged(#[from] Damage),
    #[error(transparent)]
    Storage(#[from] StorageError),
}

/// Why the log start offset did not move.
#[derive(Debug, thiserror::Error)]
pub enum AdvanceError {
    #[error("offset {offset} of {partition} is beyond the high watermark {high_watermark}")]
    BeyondHighWatermark {
        partition: TopicPartition,
        offset: i64,
        high_watermark: i64,
    },
    #[error(transparent)]
    Storage(#[from] StorageError),
}

/// Why a log could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error("{0:?} is not a name that a log can have")]
    InvalidName(String),
    #[error("{partition} has topic id {found} in {}, not {expected}", path.display())]
    InconsistentTopicId {
        partition: TopicPartition,
        path: PathBuf,
        found: String,
        expected: String,
    },
    #[error(transparent)]
    Storage(#[from] StorageError),
}
