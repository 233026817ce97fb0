//! The header that an append writes in front of records it does not touch.
//!
//! Invariant: patched header and the batch's own payload together are a batch whose checksum holds if it held before.
//! Called by the log's append, which writes `[patch][payload]` in one vectored write while the frame stays immutable.

mod crc_shift;

use crate::batch::{
    ATTRIBUTES_AT, BASE_OFFSET_AT, BatchHeader, CRC_AT, HEADER_LEN, LOG_APPEND_TIME_BIT,
    MAX_TIMESTAMP_AT, PARTITION_LEADER_EPOCH_AT, RawBatch, TimestampType, crc32c,
};

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeaderPatch {
    bytes: [u8; HEADER_LEN],
    payload_len: usize,
}

impl HeaderPatch {
    /// A copy of the batch's header, to be changed.
    pub fn new(batch: RawBatch<'_>) -> HeaderPatch {
        HeaderPatch {
            bytes: *batch.header().as_bytes(),
            payload_len: batch.payload().len(),
        }
    }

    pub fn base_offset(mut self, base_offset: i64) -> HeaderPatch {
        self.put(BASE_OFFSET_AT, &base_offset.to_be_bytes());
        self
    }

    pub fn partition_leader_epoch(mut self, epoch: i32) -> HeaderPatch {
        self.put(PARTITION_LEADER_EPOCH_AT, &epoch.to_be_bytes());
        self
    }

    /// Sets who stamped the batch and its max timestamp, and adjusts the checksum if that changes anything.
    ///
    /// The payload is not read again: a CRC is linear, so the change of the header's part of it, carried over the
    /// length of the payload, is the change of the whole.
    pub fn timestamps(mut self, timestamp_type: TimestampType, max_timestamp: i64) -> HeaderPatch {
        let header = self.header();
        if header.timestamp_type() == timestamp_type && header.max_timestamp() == max_timestamp {
            return self;
        }
        let attributes = match timestamp_type {
            TimestampType::CreateTime => header.attributes() & !LOG_APPEND_TIME_BIT,
            TimestampType::LogAppendTime => header.attributes() | LOG_APPEND_TIME_BIT,
        };
        let stored = header.crc();
        let before = crc32c(&self.bytes[ATTRIBUTES_AT..]);
        self.put(ATTRIBUTES_AT, &attributes.to_be_bytes());
        self.put(MAX_TIMESTAMP_AT, &max_timestamp.to_be_bytes());
        let change = before ^ crc32c(&self.bytes[ATTRIBUTES_AT..]);
        let crc = stored ^ crc_shift::over_bytes(change, self.payload_len);
        self.put(CRC_AT, &crc.to_be_bytes());
        self
    }

    pub fn header(&self) -> BatchHeader<'_> {
        BatchHeader::of(&self.bytes)
    }

    pub fn as_bytes(&self) -> &[u8; HEADER_LEN] {
        &self.bytes
    }

    fn put(&mut self, at: usize, bytes: &[u8]) {
        self.bytes[at..at + bytes.len()].copy_from_slice(bytes);
    }
}

#[cfg(test)]
mod tests;
