//! What is left of one batch: nothing, the bytes as they are, or a batch with fewer records in its place.
//!
//! Invariant: a batch that stands in for another has its base and last offset, producer, epochs, sequence, flags and
//! codec, and its records have the offsets and timestamps that they had. Whatever the bytes say, the answer is a value
//! or what is wrong with them.
//! Called by the cleaner with each batch of a segment; no I/O, no clock.

use std::collections::HashMap;

use bytes::Bytes;
use ottla_records::{
    BatchBuilder, Compression, HEADER_LEN, MAX_DECOMPRESSED_BYTES, RawBatch, RecordError,
    RecordViews, empty_batch,
};

use super::offset_map::{Digest, OffsetMap};
use super::transactions::{CleanedTransactions, MarkerVerdict};
use crate::error::DamageReason;
use crate::txn_index::AbortedTxn;

/// The last thing that a producer, who may go on, has in the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct LastRecord {
    /// Last offset of its last data batch, if that is known.
    pub data_offset: Option<i64>,
    pub producer_epoch: i16,
}

/// What holds for one run of the cleaner over a log.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rules<'a> {
    pub map: &'a OffsetMap,
    pub now_ms: i64,
    pub delete_retention_ms: i64,
    /// The offset before which everything is cleaned; the batch that ends there stays, if need be without records, so
    /// that the log does not seem to end earlier.
    pub upper_bound: i64,
    pub last_records: &'a HashMap<i64, LastRecord>,
}

/// What is left of a batch.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Left {
    Nothing,
    AsItIs,
    Batch(Bytes),
}

/// The outcome for one batch.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Filtered {
    pub left: Left,
    pub records_read: u64,
    pub records_kept: u64,
    /// Records without a key, which a compacted log should not have.
    pub keyless: u64,
    /// Goes into the transaction index of the cleaned segment.
    pub aborted: Option<AbortedTxn>,
}

/// What was decided for a batch before its records are looked at.
#[derive(Debug, Clone, Copy)]
struct BatchVerdict {
    /// None of the records stays.
    discards_records: bool,
    /// Without records the batch still stays.
    keeps_empty: bool,
    /// A marker whose transaction has nothing left: its time begins to run.
    is_orphaned_marker: bool,
}

pub(crate) fn filter(
    batch: &RawBatch<'_>,
    transactions: &mut CleanedTransactions,
    rules: &Rules<'_>,
    scratch: &mut Scratch,
) -> Result<Filtered, DamageReason> {
    let mut filtered = Filtered {
        left: Left::Nothing,
        records_read: 0,
        records_kept: 0,
        keyless: 0,
        aborted: None,
    };
    let verdict = judge(batch, transactions, rules, &mut filtered)?;
    check_producer(batch)?;
    if verdict.discards_records {
        filtered.records_read = batch.record_count().max(0) as u64;
        if verdict.keeps_empty {
            filtered.left = Left::Batch(empty_batch(batch.header()));
        }
        return Ok(filtered);
    }
    let payload = batch.decompress(MAX_DECOMPRESSED_BYTES)?;
    scratch.read(batch, &payload, rules)?;
    let mut has_tombstones = false;
    for found in &scratch.found {
        let keeps = batch.is_control() || keeps_record(batch, found, rules);
        filtered.keyless += u64::from(!found.has_key && !keeps);
        filtered.records_kept += u64::from(keeps);
        has_tombstones |= keeps && found.is_tombstone;
        scratch.kept.push(keeps);
    }
    filtered.records_read = scratch.kept.len() as u64;
    let sets_horizon =
        (has_tombstones || verdict.is_orphaned_marker) && batch.delete_horizon_ms().is_none();
    filtered.left = if filtered.records_kept == 0 {
        if verdict.keeps_empty {
            Left::Batch(empty_batch(batch.header()))
        } else {
            Left::Nothing
        }
    } else if filtered.records_kept == filtered.records_read && !sets_horizon {
        Left::AsItIs
    } else {
        let horizon_ms = if sets_horizon {
            Some(rules.now_ms.saturating_add(rules.delete_retention_ms))
        } else {
            batch.delete_horizon_ms()
        };
        Left::Batch(rebuild(batch, &payload, &scratch.kept, horizon_ms)?)
    };
    Ok(filtered)
}

fn judge(
    batch: &RawBatch<'_>,
    transactions: &mut CleanedTransactions,
    rules: &Rules<'_>,
    filtered: &mut Filtered,
) -> Result<BatchVerdict, RecordError> {
    let may_go = if batch.is_control() {
        match transactions.on_control(batch)? {
            MarkerVerdict::Keep => false,
            MarkerVerdict::KeepAborted(txn) => {
                filtered.aborted = Some(txn);
                false
            }
            MarkerVerdict::MayGo => true,
        }
    } else {
        transactions.on_data(batch)
    };
    let is_past_horizon = batch
        .delete_horizon_ms()
        .is_some_and(|horizon_ms| horizon_ms <= rules.now_ms);
    let is_last_of_producer = batch.has_producer_id()
        && rules
            .last_records
            .get(&batch.producer_id())
            .is_some_and(|last| match last.data_offset {
                Some(offset) => batch.last_offset() == offset,
                None => batch.is_control() && batch.producer_epoch() == last.producer_epoch,
            });
    Ok(BatchVerdict {
        discards_records: may_go && (!batch.is_control() || is_past_horizon),
        keeps_empty: is_last_of_producer || batch.next_offset() == rules.upper_bound,
        is_orphaned_marker: may_go && batch.is_control(),
    })
}

/// Memory that one batch after the other uses.
#[derive(Debug, Default)]
pub(crate) struct Scratch {
    found: Vec<Found>,
    kept: Vec<bool>,
}

/// What decides over a record.
#[derive(Debug)]
struct Found {
    offset: i64,
    has_key: bool,
    is_tombstone: bool,
    /// Of the key, where the map has a say.
    digest: Option<Digest>,
}

impl Scratch {
    /// Looks at all records of a batch, and fetches what the map has on them.
    fn read(
        &mut self,
        batch: &RawBatch<'_>,
        payload: &[u8],
        rules: &Rules<'_>,
    ) -> Result<(), DamageReason> {
        self.found.clear();
        self.kept.clear();
        let mut next_offset = batch.base_offset();
        for record in RecordViews::new(batch.header(), payload)? {
            let record = record?;
            if record.offset < next_offset || record.offset > batch.last_offset() {
                return Err(DamageReason::OffsetGoesBack {
                    found: record.offset,
                    expected: next_offset,
                });
            }
            next_offset = record.offset + 1;
            let is_judged = !batch.is_control() && record.offset <= rules.map.latest_offset();
            self.found.push(Found {
                offset: record.offset,
                has_key: record.key.is_some(),
                is_tombstone: record.value.is_none(),
                digest: record
                    .key
                    .filter(|_| is_judged)
                    .map(|key| rules.map.digest(key)),
            });
        }
        rules
            .map
            .fetch(self.found.iter().filter_map(|found| found.digest));
        Ok(())
    }
}

fn keeps_record(batch: &RawBatch<'_>, found: &Found, rules: &Rules<'_>) -> bool {
    if found.offset > rules.map.latest_offset() {
        return true;
    }
    let Some(digest) = found.digest else {
        return false;
    };
    let is_tombstone_over = found.is_tombstone
        && batch
            .delete_horizon_ms()
            .is_some_and(|horizon_ms| rules.now_ms >= horizon_ms);
    let latest = || rules.map.get(digest);
    !is_tombstone_over && latest().is_none_or(|latest| found.offset >= latest)
}

/// Refuses producer fields that no writer combines, before a batch is built with them.
fn check_producer(batch: &RawBatch<'_>) -> Result<(), DamageReason> {
    let has_id = batch.has_producer_id();
    let is_sound = (has_id || !batch.is_transactional())
        && (!has_id
            || (batch.producer_epoch() >= 0 && (batch.base_sequence() >= 0 || batch.is_control())));
    if is_sound {
        Ok(())
    } else {
        Err(DamageReason::ProducerFields)
    }
}

fn rebuild(
    batch: &RawBatch<'_>,
    payload: &[u8],
    kept: &[bool],
    horizon_ms: Option<i64>,
) -> Result<Bytes, DamageReason> {
    let codec = batch.codec().map_err(RecordError::from)?;
    let mut builder = BatchBuilder::like(batch.header(), Compression::new(codec));
    if let Some(horizon_ms) = horizon_ms {
        builder = builder.delete_horizon_ms(horizon_ms);
    }
    builder = builder.last_offset(batch.last_offset());
    for (record, _) in RecordViews::new(batch.header(), payload)?
        .zip(kept)
        .filter(|(_, keeps)| **keeps)
    {
        let record = record?;
        builder.append_at(
            record.offset,
            record.timestamp,
            record.key,
            record.value,
            record.headers,
        );
    }
    builder.build().map_err(|_| DamageReason::NotRebuilt {
        bytes: payload.len() + HEADER_LEN,
    })
}

#[cfg(test)]
mod tests;
