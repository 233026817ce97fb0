//! Record batches where they lie: views over bytes, validation, compression, building, control records.
//!
//! Invariant: no function here does I/O, reads a clock, or trusts a length; whatever the bytes say, the answer is a
//! value or an error, and memory grows only with what really arrived (or with a named limit).
//! Called by the log (append, recovery, reads), the coordinators, the controller and the client.

mod batch;
mod builder;
mod compress;
mod control;
mod decompress;
mod header_patch;
mod lookup;
mod record;
mod validate;
mod wire;

pub use batch::{
    BatchError, BatchHeader, Batches, Codec, HEADER_LEN, LOG_OVERHEAD, MAGIC,
    NO_PARTITION_LEADER_EPOCH, NO_PRODUCER_EPOCH, NO_PRODUCER_ID, NO_SEQUENCE, NO_TIMESTAMP,
    RawBatch, TimestampType, batches, crc32c, decrement_sequence, increment_sequence,
};
pub use builder::{BatchBuilder, BuildError, Producer, empty_batch};
pub use compress::Compression;
pub use control::{ControlError, ControlType, EndTxnMarker, TransactionResult};
pub use decompress::{DecompressError, MAX_DECOMPRESSED_BYTES, Reason, decompress};
pub use header_patch::HeaderPatch;
pub use lookup::TimestampOffset;
pub use record::{
    HeaderViews, Record, RecordError, RecordHeader, RecordIter, RecordView, RecordViews,
};
pub use validate::{
    RejectReason, RejectedRecord, TargetCompression, ValidatedBatch, ValidationError,
    ValidationRules, validate_coordinator_append, validate_produce,
};
