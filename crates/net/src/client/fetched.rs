//! From the bytes of a fetch to records.
//!
//! Invariant: only whole batches are read, records before the wanted offset are left out, control
//! records never surface, and with `read_committed` neither do those of aborted transactions.
//! Called by `consumer.rs`.

use std::collections::HashSet;

use bytes::Bytes;
use ottla_protocol::messages::fetch_response::AbortedTransaction;
use ottla_records::{
    BatchHeader, MAX_DECOMPRESSED_BYTES, RawBatch, Record, RecordError, RecordIter, batches,
};

/// Records of one partition, and where to go on.
#[derive(Debug, Default)]
pub(crate) struct Decoded {
    pub(crate) records: Vec<Record>,
    pub(crate) next_offset: i64,
}

/// What stopped the reading, at which offset.
#[derive(Debug)]
pub(crate) struct Undecodable {
    pub(crate) offset: i64,
    pub(crate) source: RecordError,
}

/// Reads the records from `from` on.
pub(crate) fn decode(
    bytes: &Bytes,
    from: i64,
    aborted: &[AbortedTransaction],
) -> Result<Decoded, Undecodable> {
    let mut aborted = Aborted::new(aborted);
    let mut decoded = Decoded {
        records: Vec::new(),
        next_offset: from,
    };
    for batch in batches(bytes) {
        let undecodable = |source: RecordError| Undecodable {
            offset: from,
            source,
        };
        let batch = batch.map_err(|error| undecodable(error.into()))?;
        let header = batch.header();
        if header.last_offset() < from {
            continue;
        }
        let at_batch = |source: RecordError| Undecodable {
            offset: header.base_offset(),
            source,
        };
        batch.check_crc().map_err(|error| at_batch(error.into()))?;
        let is_visible = aborted.admits(&batch).map_err(at_batch)?;
        if is_visible {
            let whole = bytes.slice_ref(batch.as_bytes());
            for record in RecordIter::new(&whole, MAX_DECOMPRESSED_BYTES).map_err(at_batch)? {
                let record = record.map_err(at_batch)?;
                if record.offset >= from {
                    decoded.records.push(record);
                }
            }
        }
        decoded.next_offset = decoded.next_offset.max(header.next_offset());
    }
    Ok(decoded)
}

/// Which producers' transactions are aborted at the place that has been reached.
struct Aborted<'a> {
    /// In ascending order of first offset.
    to_come: Vec<&'a AbortedTransaction>,
    producers: HashSet<i64>,
}

impl<'a> Aborted<'a> {
    fn new(aborted: &'a [AbortedTransaction]) -> Self {
        let mut to_come: Vec<_> = aborted.iter().collect();
        to_come.sort_by_key(|transaction| std::cmp::Reverse(transaction.first_offset));
        Aborted {
            to_come,
            producers: HashSet::new(),
        }
    }

    /// Whether a batch holds records for a reader.
    fn admits(&mut self, batch: &RawBatch<'_>) -> Result<bool, RecordError> {
        let header = batch.header();
        while let Some(next) = self.to_come.last()
            && next.first_offset <= header.last_offset()
        {
            self.producers.insert(next.producer_id);
            self.to_come.pop();
        }
        if header.is_control() {
            if is_abort_marker(batch, &header)? {
                self.producers.remove(&header.producer_id());
            }
            return Ok(false);
        }
        Ok(!(header.is_transactional() && self.producers.contains(&header.producer_id())))
    }
}

/// A control record's key is its version and type; type 0 aborts.
fn is_abort_marker(batch: &RawBatch<'_>, header: &BatchHeader<'_>) -> Result<bool, RecordError> {
    const ABORT: i16 = 0;
    let payload = batch.decompress(MAX_DECOMPRESSED_BYTES)?;
    let Some(record) = ottla_records::RecordViews::new(*header, &payload)?.next() else {
        return Ok(false);
    };
    let kind = record?
        .key
        .and_then(|key| key.get(2..4)?.first_chunk::<2>().copied());
    Ok(kind.map(i16::from_be_bytes) == Some(ABORT))
}

#[cfg(test)]
mod tests;
