//! Building batches: for the coordinators, the metadata log, recompression on append, and the client.
//!
//! Invariant: what is built verifies, and reads back as what was appended. A batch that its own writer asks for with
//! contradictory producer fields is a bug of ours and panics; only size can fail for reasons of data.
//! Called by everything that writes records of its own.

use bytes::Bytes;

use crate::batch::{
    ATTRIBUTES_AT, BASE_OFFSET_AT, BASE_SEQUENCE_AT, BASE_TIMESTAMP_AT, BatchHeader, CONTROL_BIT,
    CRC_AT, Codec, DELETE_HORIZON_BIT, HEADER_LEN, LAST_OFFSET_DELTA_AT, LENGTH_AT,
    LOG_APPEND_TIME_BIT, LOG_OVERHEAD, MAGIC, MAGIC_AT, MAX_TIMESTAMP_AT,
    NO_PARTITION_LEADER_EPOCH, NO_PRODUCER_EPOCH, NO_PRODUCER_ID, NO_SEQUENCE, NO_TIMESTAMP,
    PARTITION_LEADER_EPOCH_AT, PRODUCER_EPOCH_AT, PRODUCER_ID_AT, RECORD_COUNT_AT,
    TRANSACTIONAL_BIT, TimestampType, crc32c,
};
use crate::compress::Compression;
use crate::wire::{put_varlong, varlong_len};

/// The largest batch that its length field can state.
const BATCH_BYTES_MAX: usize = i32::MAX as usize + LOG_OVERHEAD;

/// Why a batch could not be built.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    #[error("record batch of {bytes} bytes is larger than the format allows")]
    TooLarge { bytes: usize },
    #[error("cannot compress records with {}", codec.name())]
    Compress {
        codec: Codec,
        source: std::io::Error,
    },
}

/// Who produces a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Producer {
    pub id: i64,
    pub epoch: i16,
    pub base_sequence: i32,
}

impl Producer {
    /// No idempotence.
    pub const NONE: Producer = Producer {
        id: NO_PRODUCER_ID,
        epoch: NO_PRODUCER_EPOCH,
        base_sequence: NO_SEQUENCE,
    };
}

/// Gathers records and writes them as one batch.
#[derive(Debug, Clone)]
pub struct BatchBuilder {
    /// Room for the header, then the encoded records.
    bytes: Vec<u8>,
    compression: Compression,
    base_offset: i64,
    last_record_offset: Option<i64>,
    covered_to: Option<i64>,
    partition_leader_epoch: i32,
    producer: Producer,
    is_transactional: bool,
    is_control: bool,
    base_timestamp: Option<i64>,
    max_timestamp: i64,
    log_append_time: Option<i64>,
    delete_horizon_ms: Option<i64>,
    record_count: i32,
}

impl Default for BatchBuilder {
    fn default() -> BatchBuilder {
        BatchBuilder::new(Compression::NONE)
    }
}

impl BatchBuilder {
    pub fn new(compression: Compression) -> BatchBuilder {
        BatchBuilder {
            bytes: vec![0; HEADER_LEN],
            compression,
            base_offset: 0,
            last_record_offset: None,
            covered_to: None,
            partition_leader_epoch: NO_PARTITION_LEADER_EPOCH,
            producer: Producer::NONE,
            is_transactional: false,
            is_control: false,
            base_timestamp: None,
            max_timestamp: NO_TIMESTAMP,
            log_append_time: None,
            delete_horizon_ms: None,
            record_count: 0,
        }
    }

    /// A batch that stands in for another: same base offset, epoch, producer, flags and log append time.
    pub fn like(header: BatchHeader<'_>, compression: Compression) -> BatchBuilder {
        let mut builder = BatchBuilder::new(compression);
        builder.base_offset = header.base_offset();
        builder.partition_leader_epoch = header.partition_leader_epoch();
        builder.producer = Producer {
            id: header.producer_id(),
            epoch: header.producer_epoch(),
            base_sequence: header.base_sequence(),
        };
        builder.is_transactional = header.is_transactional();
        builder.is_control = header.is_control();
        builder.log_append_time = (header.timestamp_type() == TimestampType::LogAppendTime)
            .then(|| header.max_timestamp());
        builder
    }

    /// The offset that the records' offsets count from; set before the first record.
    pub fn base_offset(mut self, base_offset: i64) -> BatchBuilder {
        assert!(
            self.is_empty(),
            "the base offset is set before records are appended"
        );
        self.base_offset = base_offset;
        self
    }

    pub fn partition_leader_epoch(mut self, epoch: i32) -> BatchBuilder {
        self.partition_leader_epoch = epoch;
        self
    }

    pub fn producer(mut self, producer: Producer) -> BatchBuilder {
        self.producer = producer;
        self
    }

    pub fn transactional(mut self, is_transactional: bool) -> BatchBuilder {
        self.is_transactional = is_transactional;
        self
    }

    pub fn control(mut self, is_control: bool) -> BatchBuilder {
        self.is_control = is_control;
        self
    }

    pub(crate) fn set_control(&mut self) {
        self.is_control = true;
    }

    /// Stamps the whole batch with the log's time; the records keep theirs underneath.
    pub fn log_append_time(mut self, now_ms: i64) -> BatchBuilder {
        self.log_append_time = Some(now_ms);
        self
    }

    /// Marks when tombstones in the batch may go, as the cleaner does.
    ///
    /// The field is the base timestamp's, so records that follow count their timestamps from it.
    pub fn delete_horizon_ms(mut self, horizon_ms: i64) -> BatchBuilder {
        assert!(
            self.is_empty(),
            "the delete horizon is set before records are appended"
        );
        self.delete_horizon_ms = Some(horizon_ms);
        self.base_timestamp = Some(horizon_ms);
        self
    }

    /// Lets the batch cover offsets to `last_offset` although records at its end are gone, as the cleaner does.
    pub fn last_offset(mut self, last_offset: i64) -> BatchBuilder {
        self.covered_to = Some(last_offset);
        self
    }

    pub fn is_empty(&self) -> bool {
        self.record_count == 0
    }

    pub fn record_count(&self) -> i32 {
        self.record_count
    }

    pub fn max_timestamp(&self) -> i64 {
        self.max_timestamp
    }

    /// Bytes of the batch so far, before compression.
    pub fn uncompressed_size(&self) -> usize {
        self.bytes.len()
    }

    /// Bytes that a record can add at most, before compression.
    pub fn record_size_max(
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        headers: &[(&[u8], Option<&[u8]>)],
    ) -> usize {
        const OVERHEAD_MAX: usize = 5 + 1 + 10 + 5 + 5 + 5 + 5;
        const HEADER_OVERHEAD_MAX: usize = 5 + 5;
        let len = |bytes: Option<&[u8]>| bytes.map_or(0, <[u8]>::len);
        let headers = headers
            .iter()
            .map(|(key, value)| HEADER_OVERHEAD_MAX + key.len() + len(*value));
        OVERHEAD_MAX + len(key) + len(value) + headers.sum::<usize>()
    }

    /// Appends a record at the next offset.
    pub fn append(&mut self, timestamp: i64, key: Option<&[u8]>, value: Option<&[u8]>) {
        self.append_with_headers(timestamp, key, value, &[]);
    }

    pub fn append_with_headers(
        &mut self,
        timestamp: i64,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        headers: &[(&[u8], Option<&[u8]>)],
    ) {
        let offset = self
            .last_record_offset
            .map_or(self.base_offset, |last| last + 1);
        self.append_at(offset, timestamp, key, value, headers.iter().copied());
    }

    /// Appends a record at an offset of its own, above that of the record before.
    pub fn append_at<'h>(
        &mut self,
        offset: i64,
        timestamp: i64,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        headers: impl Iterator<Item = (&'h [u8], Option<&'h [u8]>)> + Clone,
    ) {
        let offset_delta = offset - self.base_offset;
        let is_after = self.last_record_offset.is_none_or(|last| last < offset);
        assert!(
            is_after && i32::try_from(offset_delta).is_ok_and(|delta| delta >= 0),
            "offset {offset} does not continue a batch from {}",
            self.base_offset
        );
        self.last_record_offset = Some(offset);
        let base_timestamp = *self.base_timestamp.get_or_insert(timestamp);
        let timestamp_delta = timestamp.wrapping_sub(base_timestamp);
        self.max_timestamp = self.max_timestamp.max(timestamp);
        self.record_count += 1;

        let header_sizes = headers
            .clone()
            .map(|(key, value)| nullable_len(Some(key)) + nullable_len(value));
        let header_count = headers.clone().count() as i64;
        let size = 1
            + varlong_len(timestamp_delta)
            + varlong_len(offset_delta)
            + nullable_len(key)
            + nullable_len(value)
            + varlong_len(header_count)
            + header_sizes.sum::<usize>();
        let out = &mut self.bytes;
        put_varlong(out, size as i64);
        out.push(0);
        put_varlong(out, timestamp_delta);
        put_varlong(out, offset_delta);
        put_nullable(out, key);
        put_nullable(out, value);
        put_varlong(out, header_count);
        for (key, value) in headers {
            put_nullable(out, Some(key));
            put_nullable(out, value);
        }
    }

    /// The batch.
    pub fn build(self) -> Result<Bytes, BuildError> {
        self.assert_producer();
        if self.bytes.len() > BATCH_BYTES_MAX {
            return Err(BuildError::TooLarge {
                bytes: self.bytes.len(),
            });
        }
        let mut batch = match self.compression.codec {
            Codec::None => return self.seal_in_place(),
            codec => {
                let mut batch = vec![0; HEADER_LEN];
                self.compression
                    .compress(&self.bytes[HEADER_LEN..], &mut batch)
                    .map_err(|source| BuildError::Compress { codec, source })?;
                batch
            }
        };
        self.write_header(&mut batch)?;
        Ok(Bytes::from(batch))
    }

    fn seal_in_place(mut self) -> Result<Bytes, BuildError> {
        let mut batch = std::mem::take(&mut self.bytes);
        self.write_header(&mut batch)?;
        Ok(Bytes::from(batch))
    }

    fn write_header(&self, batch: &mut [u8]) -> Result<(), BuildError> {
        let bytes = batch.len();
        let length =
            i32::try_from(bytes - LOG_OVERHEAD).map_err(|_| BuildError::TooLarge { bytes })?;
        let last_offset = self
            .covered_to
            .max(self.last_record_offset)
            .unwrap_or(self.base_offset);
        let last_offset_delta =
            i32::try_from(last_offset - self.base_offset).expect("a batch spans fewer offsets");
        let mut put = |at: usize, field: &[u8]| batch[at..at + field.len()].copy_from_slice(field);
        put(BASE_OFFSET_AT, &self.base_offset.to_be_bytes());
        put(LENGTH_AT, &length.to_be_bytes());
        put(
            PARTITION_LEADER_EPOCH_AT,
            &self.partition_leader_epoch.to_be_bytes(),
        );
        put(MAGIC_AT, &MAGIC.to_be_bytes());
        put(ATTRIBUTES_AT, &self.attributes().to_be_bytes());
        put(LAST_OFFSET_DELTA_AT, &last_offset_delta.to_be_bytes());
        put(
            BASE_TIMESTAMP_AT,
            &self.base_timestamp.unwrap_or(NO_TIMESTAMP).to_be_bytes(),
        );
        put(
            MAX_TIMESTAMP_AT,
            &self
                .log_append_time
                .unwrap_or(self.max_timestamp)
                .to_be_bytes(),
        );
        put(PRODUCER_ID_AT, &self.producer.id.to_be_bytes());
        put(PRODUCER_EPOCH_AT, &self.producer.epoch.to_be_bytes());
        put(BASE_SEQUENCE_AT, &self.producer.base_sequence.to_be_bytes());
        put(RECORD_COUNT_AT, &self.record_count.to_be_bytes());
        let crc = crc32c(&batch[ATTRIBUTES_AT..]);
        batch[CRC_AT..CRC_AT + size_of::<u32>()].copy_from_slice(&crc.to_be_bytes());
        Ok(())
    }

    fn attributes(&self) -> i16 {
        let flag = |is_set: bool, bit: i16| if is_set { bit } else { 0 };
        i16::from(self.compression.codec.id())
            | flag(self.log_append_time.is_some(), LOG_APPEND_TIME_BIT)
            | flag(self.is_transactional, TRANSACTIONAL_BIT)
            | flag(self.is_control, CONTROL_BIT)
            | flag(self.delete_horizon_ms.is_some(), DELETE_HORIZON_BIT)
    }

    fn assert_producer(&self) {
        let Producer {
            id,
            epoch,
            base_sequence,
        } = self.producer;
        let has_id = id > NO_PRODUCER_ID;
        assert!(
            has_id || !self.is_transactional,
            "a transactional batch needs a producer id"
        );
        assert!(
            !has_id || epoch > NO_PRODUCER_EPOCH,
            "a producer id needs an epoch"
        );
        assert!(
            !has_id || base_sequence >= 0 || self.is_control,
            "a producer id needs a sequence"
        );
    }
}

/// A batch without records in place of one whose records were all compacted away.
///
/// It keeps the producer's last sequence and the offsets alive, and the max timestamp for the time index.
pub fn empty_batch(header: BatchHeader<'_>) -> Bytes {
    let mut builder = BatchBuilder::like(header, Compression::NONE);
    builder.max_timestamp = header.max_timestamp();
    builder.covered_to = Some(header.last_offset());
    builder
        .build()
        .expect("a header fits and nothing is compressed")
}

fn nullable_len(bytes: Option<&[u8]>) -> usize {
    match bytes {
        None => varlong_len(-1),
        Some(bytes) => varlong_len(bytes.len() as i64) + bytes.len(),
    }
}

fn put_nullable(out: &mut Vec<u8>, bytes: Option<&[u8]>) {
    match bytes {
        None => put_varlong(out, -1),
        Some(bytes) => {
            put_varlong(out, bytes.len() as i64);
            out.extend_from_slice(bytes);
        }
    }
}

#[cfg(test)]
mod tests;
