//! Views of record batches: the header's fields and the extent of each batch in a run of bytes.
//!
//! Invariant: a [`RawBatch`] holds exactly one complete magic 2 batch, so its getters never read out of bounds. What
//! the fields *mean* is not checked here, save for length and magic; see [`RawBatch::verify`] and `validate_produce`.
//! Called by the log for appends, recovery and reads, and by everything else in this crate.
//!
//! ```text
//! offset  size  field                      under the CRC
//!      0     8  base offset                no   (the broker writes it on append)
//!      8     4  length, of all that follows no
//!     12     4  partition leader epoch     no   (the broker writes it on append)
//!     16     1  magic (2)                  no
//!     17     4  CRC-32C                    no
//!     21     2  attributes                 yes  bits 0-2 codec, 3 timestamp type, 4 transactional, 5 control,
//!                                               6 delete horizon
//!     23     4  last offset delta          yes
//!     27     8  base timestamp             yes  (the delete horizon if attribute bit 6 is set)
//!     35     8  max timestamp              yes
//!     43     8  producer id                yes
//!     51     2  producer epoch             yes
//!     53     4  base sequence              yes
//!     57     4  record count               yes
//!     61        records, compressed as one stream if a codec is set
//! ```

use std::ops::Deref;

use crc_fast::CrcAlgorithm;

/// Bytes of a batch before its records.
pub const HEADER_LEN: usize = 61;
/// Bytes of a batch that its length field does not count: base offset and the length itself.
pub const LOG_OVERHEAD: usize = 12;
/// The only message format that is written; 0 and 1 are recognised in order to be refused.
pub const MAGIC: i8 = 2;

pub const NO_TIMESTAMP: i64 = -1;
pub const NO_PRODUCER_ID: i64 = -1;
pub const NO_PRODUCER_EPOCH: i16 = -1;
pub const NO_SEQUENCE: i32 = -1;
pub const NO_PARTITION_LEADER_EPOCH: i32 = -1;

/// Bytes needed to see the magic of a batch.
const HEADER_UP_TO_MAGIC: usize = 17;
/// The smallest length that any message format allows; less means that these are not records.
const MIN_LENGTH_ANY_MAGIC: i32 = 14;
/// The smallest length of a magic 2 batch.
const MIN_LENGTH: i32 = (HEADER_LEN - LOG_OVERHEAD) as i32;

pub(crate) const BASE_OFFSET_AT: usize = 0;
pub(crate) const LENGTH_AT: usize = 8;
pub(crate) const PARTITION_LEADER_EPOCH_AT: usize = 12;
pub(crate) const MAGIC_AT: usize = 16;
pub(crate) const CRC_AT: usize = 17;
pub(crate) const ATTRIBUTES_AT: usize = 21;
pub(crate) const LAST_OFFSET_DELTA_AT: usize = 23;
pub(crate) const BASE_TIMESTAMP_AT: usize = 27;
pub(crate) const MAX_TIMESTAMP_AT: usize = 35;
pub(crate) const PRODUCER_ID_AT: usize = 43;
pub(crate) const PRODUCER_EPOCH_AT: usize = 51;
pub(crate) const BASE_SEQUENCE_AT: usize = 53;
pub(crate) const RECORD_COUNT_AT: usize = 57;

pub(crate) const CODEC_MASK: i16 = 0x07;
pub(crate) const LOG_APPEND_TIME_BIT: i16 = 0x08;
pub(crate) const TRANSACTIONAL_BIT: i16 = 0x10;
pub(crate) const CONTROL_BIT: i16 = 0x20;
pub(crate) const DELETE_HORIZON_BIT: i16 = 0x40;

/// Why bytes are not a batch that can be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BatchError {
    #[error("record batch length {length} is less than the minimum {min}")]
    LengthTooSmall { length: i32, min: i32 },
    #[error("record batch has the old message format {0}, which is not supported")]
    OldMagic(i8),
    #[error("invalid magic {0} in record batch")]
    UnknownMagic(i8),
    #[error("record batch is corrupt (stored crc = {stored}, computed crc = {computed})")]
    Checksum { stored: u32, computed: u32 },
    #[error("invalid record count {0} in record batch")]
    NegativeRecordCount(i32),
    #[error(
        "invalid offset range in record batch: base offset {base_offset}, last offset delta {last_offset_delta}"
    )]
    OffsetRange {
        base_offset: i64,
        last_offset_delta: i32,
    },
    #[error("unknown compression codec {0} in record batch")]
    UnknownCodec(u8),
}

/// How the records of a batch are compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Codec {
    None,
    Gzip,
    Snappy,
    Lz4,
    Zstd,
}

impl Codec {
    pub const ALL: [Codec; 5] = [
        Codec::None,
        Codec::Gzip,
        Codec::Snappy,
        Codec::Lz4,
        Codec::Zstd,
    ];

    pub fn from_id(id: u8) -> Option<Codec> {
        Codec::ALL.get(usize::from(id)).copied()
    }

    pub fn id(self) -> u8 {
        self as u8
    }

    /// The name that configuration keys use.
    pub fn name(self) -> &'static str {
        match self {
            Codec::None => "none",
            Codec::Gzip => "gzip",
            Codec::Snappy => "snappy",
            Codec::Lz4 => "lz4",
            Codec::Zstd => "zstd",
        }
    }

    pub fn from_name(name: &str) -> Option<Codec> {
        Codec::ALL.into_iter().find(|codec| codec.name() == name)
    }
}

/// Who set the timestamps of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TimestampType {
    CreateTime,
    LogAppendTime,
}

impl TimestampType {
    /// The name that `message.timestamp.type` uses.
    pub fn name(self) -> &'static str {
        match self {
            TimestampType::CreateTime => "CreateTime",
            TimestampType::LogAppendTime => "LogAppendTime",
        }
    }
}

/// The complete batches at the start of `bytes`, in order.
///
/// A partial batch at the end ends the iteration, as it does in Kafka; [`Batches::consumed`] tells where. After an
/// error nothing more is yielded, because the extent of what follows is unknown.
pub fn batches(bytes: &[u8]) -> Batches<'_> {
    Batches {
        rest: bytes,
        consumed: 0,
        failed: false,
    }
}

#[derive(Debug, Clone)]
pub struct Batches<'a> {
    rest: &'a [u8],
    consumed: usize,
    failed: bool,
}

impl Batches<'_> {
    /// Bytes of the batches yielded so far.
    pub fn consumed(&self) -> usize {
        self.consumed
    }
}

impl<'a> Iterator for Batches<'a> {
    type Item = Result<RawBatch<'a>, BatchError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed {
            return None;
        }
        let batch = RawBatch::first(self.rest).transpose()?;
        match &batch {
            Ok(batch) => {
                self.rest = &self.rest[batch.size()..];
                self.consumed += batch.size();
            }
            Err(_) => self.failed = true,
        }
        Some(batch)
    }
}

/// The header of a magic 2 batch, as it stands in the bytes.
///
/// For scans of a file that read headers and seek over the records; [`RawBatch`] dereferences to it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct BatchHeader<'a> {
    bytes: &'a [u8; HEADER_LEN],
}

impl<'a> BatchHeader<'a> {
    /// The header at the start of `bytes`, or `None` if too few bytes are there to have one.
    ///
    /// Length and magic are checked as soon as they can be seen, so that garbage shorter than a header is an error too.
    pub fn parse(bytes: &'a [u8]) -> Result<Option<BatchHeader<'a>>, BatchError> {
        if bytes.len() < LOG_OVERHEAD {
            return Ok(None);
        }
        let length = read_i32(bytes, LENGTH_AT);
        if length < MIN_LENGTH_ANY_MAGIC {
            return Err(BatchError::LengthTooSmall {
                length,
                min: MIN_LENGTH_ANY_MAGIC,
            });
        }
        if bytes.len() < HEADER_UP_TO_MAGIC {
            return Ok(None);
        }
        match bytes[MAGIC_AT] as i8 {
            MAGIC => {}
            old @ (0 | 1) => return Err(BatchError::OldMagic(old)),
            unknown => return Err(BatchError::UnknownMagic(unknown)),
        }
        if length < MIN_LENGTH {
            return Err(BatchError::LengthTooSmall {
                length,
                min: MIN_LENGTH,
            });
        }
        Ok(bytes.first_chunk().map(|bytes| BatchHeader { bytes }))
    }

    /// The view of bytes that were a header before.
    pub(crate) fn of(bytes: &'a [u8; HEADER_LEN]) -> BatchHeader<'a> {
        BatchHeader { bytes }
    }

    pub fn as_bytes(&self) -> &'a [u8; HEADER_LEN] {
        self.bytes
    }

    pub fn base_offset(&self) -> i64 {
        read_i64(self.bytes, BASE_OFFSET_AT)
    }

    /// The length field: bytes that follow it.
    pub fn batch_length(&self) -> i32 {
        read_i32(self.bytes, LENGTH_AT)
    }

    /// Bytes of the whole batch.
    pub fn size(&self) -> usize {
        // Parsing refused lengths below MIN_LENGTH, so nothing is lost.
        self.batch_length() as usize + LOG_OVERHEAD
    }

    pub fn partition_leader_epoch(&self) -> i32 {
        read_i32(self.bytes, PARTITION_LEADER_EPOCH_AT)
    }

    pub fn magic(&self) -> i8 {
        self.bytes[MAGIC_AT] as i8
    }

    /// The checksum that the header states.
    pub fn crc(&self) -> u32 {
        read_i32(self.bytes, CRC_AT) as u32
    }

    pub fn attributes(&self) -> i16 {
        i16::from_be_bytes([self.bytes[ATTRIBUTES_AT], self.bytes[ATTRIBUTES_AT + 1]])
    }

    pub fn codec(&self) -> Result<Codec, BatchError> {
        let id = (self.attributes() & CODEC_MASK) as u8;
        Codec::from_id(id).ok_or(BatchError::UnknownCodec(id))
    }

    pub fn timestamp_type(&self) -> TimestampType {
        if self.attributes() & LOG_APPEND_TIME_BIT == 0 {
            TimestampType::CreateTime
        } else {
            TimestampType::LogAppendTime
        }
    }

    pub fn is_transactional(&self) -> bool {
        self.attributes() & TRANSACTIONAL_BIT != 0
    }

    pub fn is_control(&self) -> bool {
        self.attributes() & CONTROL_BIT != 0
    }

    /// When the cleaner may drop the tombstones and markers of this batch, if it has set that.
    pub fn delete_horizon_ms(&self) -> Option<i64> {
        (self.attributes() & DELETE_HORIZON_BIT != 0).then(|| self.base_timestamp())
    }

    pub fn last_offset_delta(&self) -> i32 {
        read_i32(self.bytes, LAST_OFFSET_DELTA_AT)
    }

    /// The timestamp that the records' deltas count from.
    pub fn base_timestamp(&self) -> i64 {
        read_i64(self.bytes, BASE_TIMESTAMP_AT)
    }

    pub fn max_timestamp(&self) -> i64 {
        read_i64(self.bytes, MAX_TIMESTAMP_AT)
    }

    pub fn producer_id(&self) -> i64 {
        read_i64(self.bytes, PRODUCER_ID_AT)
    }

    pub fn has_producer_id(&self) -> bool {
        self.producer_id() > NO_PRODUCER_ID
    }

    pub fn producer_epoch(&self) -> i16 {
        i16::from_be_bytes([
            self.bytes[PRODUCER_EPOCH_AT],
            self.bytes[PRODUCER_EPOCH_AT + 1],
        ])
    }

    pub fn base_sequence(&self) -> i32 {
        read_i32(self.bytes, BASE_SEQUENCE_AT)
    }

    /// The sequence of the last record, or [`NO_SEQUENCE`].
    pub fn last_sequence(&self) -> i32 {
        match self.base_sequence() {
            NO_SEQUENCE => NO_SEQUENCE,
            base => increment_sequence(base, self.last_offset_delta()),
        }
    }

    pub fn record_count(&self) -> i32 {
        read_i32(self.bytes, RECORD_COUNT_AT)
    }

    /// The last offset that the batch covers; its record may have been compacted away.
    pub fn last_offset(&self) -> i64 {
        self.base_offset()
            .saturating_add(i64::from(self.last_offset_delta()))
    }

    /// The offset after the batch.
    pub fn next_offset(&self) -> i64 {
        self.last_offset().saturating_add(1)
    }

    /// Refuses counts and offsets that no writer produces, before arithmetic is done with them.
    pub fn check_ranges(&self) -> Result<(), BatchError> {
        if self.record_count() < 0 {
            return Err(BatchError::NegativeRecordCount(self.record_count()));
        }
        let base_offset = self.base_offset();
        let last_offset_delta = self.last_offset_delta();
        let fits = base_offset
            .checked_add(i64::from(last_offset_delta))
            .is_some_and(|last| last < i64::MAX);
        if base_offset < 0 || last_offset_delta < 0 || !fits {
            return Err(BatchError::OffsetRange {
                base_offset,
                last_offset_delta,
            });
        }
        Ok(())
    }
}

impl std::fmt::Debug for BatchHeader<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BatchHeader")
            .field("base_offset", &self.base_offset())
            .field("last_offset", &self.last_offset())
            .field("size", &self.size())
            .field("partition_leader_epoch", &self.partition_leader_epoch())
            .field("crc", &self.crc())
            .field("attributes", &self.attributes())
            .field("base_timestamp", &self.base_timestamp())
            .field("max_timestamp", &self.max_timestamp())
            .field("producer_id", &self.producer_id())
            .field("producer_epoch", &self.producer_epoch())
            .field("base_sequence", &self.base_sequence())
            .field("record_count", &self.record_count())
            .finish()
    }
}

/// One complete magic 2 batch, where it lies.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct RawBatch<'a> {
    header: BatchHeader<'a>,
    bytes: &'a [u8],
}

impl<'a> RawBatch<'a> {
    /// The batch at the start of `bytes`, or `None` if it is not completely there.
    pub fn first(bytes: &'a [u8]) -> Result<Option<RawBatch<'a>>, BatchError> {
        let Some(header) = BatchHeader::parse(bytes)? else {
            return Ok(None);
        };
        Ok(bytes
            .get(..header.size())
            .map(|bytes| RawBatch { header, bytes }))
    }

    pub fn header(&self) -> BatchHeader<'a> {
        self.header
    }

    /// The whole batch.
    pub fn as_bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// What follows the header: the records, compressed if the attributes say so.
    pub fn payload(&self) -> &'a [u8] {
        &self.bytes[HEADER_LEN..]
    }

    pub fn computed_crc(&self) -> u32 {
        crc32c(&self.bytes[ATTRIBUTES_AT..])
    }

    pub fn check_crc(&self) -> Result<(), BatchError> {
        let (stored, computed) = (self.crc(), self.computed_crc());
        if stored != computed {
            return Err(BatchError::Checksum { stored, computed });
        }
        Ok(())
    }

    /// Checks all that a follower or recovery checks: the checksum, then counts and offsets.
    pub fn verify(&self) -> Result<(), BatchError> {
        self.check_crc()?;
        self.check_ranges()
    }
}

impl<'a> Deref for RawBatch<'a> {
    type Target = BatchHeader<'a>;

    fn deref(&self) -> &BatchHeader<'a> {
        &self.header
    }
}

impl std::fmt::Debug for RawBatch<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.header.fmt(f)
    }
}

/// The sequence `increment` after `sequence`: sequences are not negative and wrap from `i32::MAX` to 0.
pub fn increment_sequence(sequence: i32, increment: i32) -> i32 {
    ((i64::from(sequence) + i64::from(increment)) & i64::from(i32::MAX)) as i32
}

/// The sequence `decrement` before `sequence`.
pub fn decrement_sequence(sequence: i32, decrement: i32) -> i32 {
    ((i64::from(sequence) - i64::from(decrement)) & i64::from(i32::MAX)) as i32
}

/// CRC-32C, the checksum of batches.
pub fn crc32c(bytes: &[u8]) -> u32 {
    crc_fast::checksum(CrcAlgorithm::Crc32Iscsi, bytes) as u32
}

fn read_i32(bytes: &[u8], at: usize) -> i32 {
    i32::from_be_bytes(bytes[at..at + 4].try_into().expect("four bytes"))
}

fn read_i64(bytes: &[u8], at: usize) -> i64 {
    i64::from_be_bytes(bytes[at..at + 8].try_into().expect("eight bytes"))
}

#[cfg(test)]
pub(crate) mod tests;
