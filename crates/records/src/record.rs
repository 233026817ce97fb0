//! The records of a batch: borrowed views for those who look, owned records for those who keep.
//!
//! Invariant: iteration yields exactly the stated number of records and then proves that nothing follows them; after
//! an error it ends. Keys and values of owned records share one buffer: the frame, or what was decompressed.
//! Called by the coordinators and the metadata log for replay, by the log for lookups, and by the client.

use std::borrow::Cow;

use bytes::Bytes;

use crate::batch::{
    BatchError, BatchHeader, Codec, HEADER_LEN, NO_SEQUENCE, RawBatch, TimestampType,
    increment_sequence,
};
use crate::decompress::{DecompressError, Decompressor};
use crate::wire::{Frame, SliceSource, Source, varint, varlong, walk_headers};

/// Why the records of a batch could not be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    #[error(transparent)]
    Batch(#[from] BatchError),
    #[error(transparent)]
    Decompress(#[from] DecompressError),
    #[error("record batch is incomplete")]
    IncompleteBatch,
    #[error("records end in the middle of a record")]
    Truncated,
    #[error("variable-length integer is too long")]
    Varint,
    #[error("invalid record size {0}")]
    NegativeSize(i32),
    #[error("invalid record size: expected {stated} bytes in record payload, but read {actual}")]
    SizeMismatch { stated: i32, actual: u64 },
    #[error("invalid number of record headers {0}")]
    HeaderCount(i32),
    #[error("invalid header key size {0}")]
    HeaderKeyLength(i32),
    #[error("bytes remain after the last record")]
    TrailingBytes,
}

/// A record that owns a share of its batch's bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    pub offset: i64,
    pub timestamp: i64,
    pub key: Option<Bytes>,
    pub value: Option<Bytes>,
    pub headers: Vec<RecordHeader>,
}

/// A header of a record. The key should be UTF-8, which nobody on the way checks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordHeader {
    pub key: Bytes,
    pub value: Option<Bytes>,
}

/// A record that borrows from its batch's (decompressed) payload.
#[derive(Debug, Clone)]
pub struct RecordView<'a> {
    pub offset: i64,
    pub timestamp: i64,
    /// The producer's sequence, or [`NO_SEQUENCE`].
    pub sequence: i32,
    pub key: Option<&'a [u8]>,
    pub value: Option<&'a [u8]>,
    pub headers: HeaderViews<'a>,
}

impl<'a> RawBatch<'a> {
    /// The records' bytes, decompressed if need be, but not more than `max_bytes` of them.
    pub fn decompress(&self, max_bytes: usize) -> Result<Cow<'a, [u8]>, RecordError> {
        match self.codec()? {
            // A batch that was compacted to nothing has not even a frame.
            _ if self.payload().is_empty() => Ok(Cow::Borrowed(&[])),
            Codec::None => Ok(Cow::Borrowed(self.payload())),
            codec => Ok(Cow::Owned(
                Decompressor::new(codec, self.payload(), max_bytes)?.gather()?,
            )),
        }
    }
}

/// Borrowed iteration over the records in `payload`, as [`RawBatch::decompress`] returned it.
#[derive(Debug, Clone)]
pub struct RecordViews<'a> {
    source: SliceSource<'a>,
    origin: Origin,
    remaining: u32,
}

/// What the fields of a record are relative to.
#[derive(Debug, Clone)]
struct Origin {
    base_offset: i64,
    base_timestamp: i64,
    log_append_time: Option<i64>,
    base_sequence: i32,
}

impl<'a> RecordViews<'a> {
    pub fn new(header: BatchHeader<'_>, payload: &'a [u8]) -> Result<RecordViews<'a>, RecordError> {
        let count = header.record_count();
        let remaining = u32::try_from(count).map_err(|_| BatchError::NegativeRecordCount(count))?;
        let is_stamped_by_log = header.timestamp_type() == TimestampType::LogAppendTime;
        let origin = Origin {
            base_offset: header.base_offset(),
            base_timestamp: header.base_timestamp(),
            log_append_time: is_stamped_by_log.then(|| header.max_timestamp()),
            base_sequence: header.base_sequence(),
        };
        Ok(RecordViews {
            source: SliceSource::new(payload),
            origin,
            remaining,
        })
    }

    /// Yields the timestamps that the producer gave, even if the log stamped the batch.
    pub(crate) fn with_own_timestamps(mut self) -> RecordViews<'a> {
        self.origin.log_append_time = None;
        self
    }

    fn read(&mut self) -> Result<RecordView<'a>, RecordError> {
        let source = &mut self.source;
        let frame = Frame::open(source)?;
        let _attributes = source.byte()?;
        let timestamp_delta = varlong(source)?;
        let offset_delta = varint(source)?;
        let key = source.nullable()?;
        let value = source.nullable()?;
        let headers_at = source.position();
        let count = walk_headers(source, &frame)?;
        let mut headers = SliceSource::new(source.since(headers_at));
        varint(&mut headers)?;
        frame.close(source)?;

        let origin = &self.origin;
        Ok(RecordView {
            offset: origin.base_offset.wrapping_add(i64::from(offset_delta)),
            timestamp: origin
                .log_append_time
                .unwrap_or(origin.base_timestamp.wrapping_add(timestamp_delta)),
            sequence: match origin.base_sequence {
                base if base < 0 => NO_SEQUENCE,
                base => increment_sequence(base, offset_delta),
            },
            key,
            value,
            headers: HeaderViews {
                source: headers,
                remaining: count,
            },
        })
    }
}

impl<'a> Iterator for RecordViews<'a> {
    type Item = Result<RecordView<'a>, RecordError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.remaining = self.remaining.checked_sub(1)?;
        let mut record = self.read();
        if self.remaining == 0 && record.is_ok() && self.source.is_at_end() != Ok(true) {
            record = Err(RecordError::TrailingBytes);
        }
        if record.is_err() {
            self.remaining = 0;
        }
        Some(record)
    }
}

/// The headers of a record, in order.
#[derive(Debug, Clone)]
pub struct HeaderViews<'a> {
    source: SliceSource<'a>,
    remaining: u32,
}

impl<'a> Iterator for HeaderViews<'a> {
    type Item = (&'a [u8], Option<&'a [u8]>);

    fn next(&mut self) -> Option<Self::Item> {
        self.remaining = self.remaining.checked_sub(1)?;
        // The walk over the record has been here, so none of this fails.
        let key = self.source.nullable().ok().flatten()?;
        let value = self.source.nullable().ok()?;
        Some((key, value))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.remaining as usize, Some(self.remaining as usize))
    }
}

/// Iteration over owned records of one batch.
#[derive(Debug, Clone)]
pub struct RecordIter {
    payload: Bytes,
    at: usize,
    origin: Origin,
    remaining: u32,
}

impl RecordIter {
    /// Reads the batch at the start of `bytes`, decompressing at most `max_bytes`.
    pub fn new(bytes: &Bytes, max_bytes: usize) -> Result<RecordIter, RecordError> {
        let batch = RawBatch::first(bytes)?.ok_or(RecordError::IncompleteBatch)?;
        let payload = match batch.decompress(max_bytes)? {
            Cow::Borrowed(_) => bytes.slice(HEADER_LEN..batch.size()),
            Cow::Owned(payload) => Bytes::from(payload),
        };
        let RecordViews {
            origin, remaining, ..
        } = RecordViews::new(batch.header(), &[])?;
        Ok(RecordIter {
            payload,
            at: 0,
            origin,
            remaining,
        })
    }
}

impl Iterator for RecordIter {
    type Item = Result<Record, RecordError>;

    fn next(&mut self) -> Option<Self::Item> {
        let mut views = RecordViews {
            source: SliceSource::new(&self.payload[self.at..]),
            origin: self.origin.clone(),
            remaining: self.remaining,
        };
        let view = views.next()?;
        let (taken, remaining) = (views.source.position(), views.remaining);
        let record = view.map(|view| view.to_record(&self.payload));
        self.at += taken as usize;
        self.remaining = remaining;
        Some(record)
    }
}

impl RecordView<'_> {
    /// The owned record; the view must borrow from `payload`.
    fn to_record(&self, payload: &Bytes) -> Record {
        let share = |bytes: &[u8]| payload.slice_ref(bytes);
        Record {
            offset: self.offset,
            timestamp: self.timestamp,
            key: self.key.map(share),
            value: self.value.map(share),
            headers: self
                .headers
                .clone()
                .map(|(key, value)| RecordHeader {
                    key: share(key),
                    value: value.map(share),
                })
                .collect(),
        }
    }
}

#[cfg(test)]
pub(crate) mod tests;
