//! Reads of a partition: what a fetch may see, as file ranges.
//!
//! Step 4 of the fetch path; `log/read.rs` is next. No lock is taken that an append could hold, and a disk is waited
//! for on a disk thread only.

use std::sync::Arc;

use ottla_log::{ReadError, ReadRange, cached_only};
use ottla_protocol::ErrorCode;

use super::Partition;
use crate::blocking;
use crate::clock::Clock;

/// Which records a consumer may see.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Isolation {
    /// Up to the high watermark.
    ReadUncommitted,
    /// Up to the last stable offset, with a list of what was aborted.
    ReadCommitted,
}

impl Isolation {
    pub fn from_level(level: i8) -> Self {
        if level == 1 {
            Self::ReadCommitted
        } else {
            Self::ReadUncommitted
        }
    }
}

/// One partition's part of a fetch.
#[derive(Debug, Clone, Copy)]
pub struct PartitionRead {
    pub fetch_offset: i64,
    /// -1 where the client does not know it.
    pub current_leader_epoch: i32,
    /// -1 where the client does not know it.
    pub last_fetched_epoch: i32,
    pub bytes_max: usize,
    /// Return the first batch even if it is larger than `bytes_max`.
    pub at_least_one_batch: bool,
    pub isolation: Isolation,
}

/// What was found.
#[derive(Debug)]
pub struct Read {
    pub high_watermark: i64,
    pub last_stable_offset: i64,
    pub log_start_offset: i64,
    /// Epoch and end offset at which the reader's log parted from ours.
    pub diverging: Option<(i32, i64)>,
    /// Producer id and first offset of each aborted transaction; none where the reader did not ask.
    pub aborted: Option<Vec<(i64, i64)>>,
    pub records: Option<ReadRange>,
}

/// What the files have for a read.
struct Found {
    records: ReadRange,
    aborted: Option<Vec<(i64, i64)>>,
}

impl Read {
    pub fn bytes(&self) -> usize {
        self.records.as_ref().map_or(0, |range| range.len)
    }
}

impl Partition {
    /// What the request may see. Index entries and batch headers that are not in the page cache are read by a disk
    /// thread, so that no thread that serves sockets waits for them.
    pub async fn read(self: &Arc<Self>, request: &PartitionRead) -> Result<Read, ErrorCode> {
        self.check_epoch(request.current_leader_epoch)?;
        // Read before the records, so that what is told never lies before what is sent.
        let mut read = Read {
            high_watermark: self.log.high_watermark(),
            last_stable_offset: self.log.last_stable_offset(),
            log_start_offset: self.log.log_start_offset(),
            diverging: None,
            aborted: None,
            records: None,
        };
        if let Some(diverging) = self.diverging(request)? {
            read.diverging = Some(diverging);
            return Ok(read);
        }
        let upper_bound = match request.isolation {
            Isolation::ReadUncommitted => read.high_watermark,
            Isolation::ReadCommitted => read.last_stable_offset,
        };
        let cached = cached_only(|| self.find(request, upper_bound));
        let found = match cached.map_err(|error| self.unreadable(&error))? {
            Some(found) => found,
            None => {
                let (partition, request) = (Arc::clone(self), *request);
                blocking::READS
                    .run(move || {
                        let found = partition.find(&request, upper_bound);
                        found.map_err(|error| partition.unreadable(&error))
                    })
                    .await?
            }
        };
        read.aborted = found.aborted;
        read.records = (!found.records.is_empty()).then_some(found.records);
        Ok(read)
    }

    /// The part of a read that looks into files.
    fn find(&self, request: &PartitionRead, upper_bound: i64) -> Result<Found, ReadError> {
        let (offset, bytes_max) = (request.fetch_offset, request.bytes_max);
        let min_one = request.at_least_one_batch;
        if request.isolation == Isolation::ReadUncommitted {
            return Ok(Found {
                records: self.log.read(offset, bytes_max, min_one, upper_bound)?,
                aborted: None,
            });
        }
        let (records, aborted) =
            self.log
                .read_committed(offset, bytes_max, min_one, upper_bound)?;
        let pairs = aborted
            .iter()
            .map(|txn| (txn.producer_id, txn.first_offset));
        Ok(Found {
            records,
            aborted: Some(pairs.collect()),
        })
    }

    /// Where the log of the reader, whose last record has `last_fetched_epoch`, parted from this one (KIP-320).
    fn diverging(&self, request: &PartitionRead) -> Result<Option<(i32, i64)>, ErrorCode> {
        if request.last_fetched_epoch < 0 {
            return Ok(None);
        }
        let Some(end) = self.log.end_offset_for_epoch(request.last_fetched_epoch) else {
            // The epoch is older than all that we know: nothing here can continue the reader's log.
            return Err(ErrorCode::OffsetOutOfRange);
        };
        let parted =
            end.epoch < request.last_fetched_epoch || end.end_offset < request.fetch_offset;
        Ok(parted.then_some((end.epoch, end.end_offset)))
    }

    pub(super) fn unreadable(&self, error: &ReadError) -> ErrorCode {
        match error {
            ReadError::OffsetOutOfRange { .. } => ErrorCode::OffsetOutOfRange,
            ReadError::Damaged(_) => {
                if let Some(untold) = self.log.log_dir().damaged_reads.admit(Clock.now_ms()) {
                    tracing::error!(topic = %self.topic, partition = self.index, %error, untold, "damaged data was asked for");
                }
                ErrorCode::CorruptMessage
            }
            ReadError::Storage(_) => {
                if let Some(untold) = self.log.log_dir().refused_reads.admit(Clock.now_ms()) {
                    tracing::error!(topic = %self.topic, partition = self.index, %error, untold, "a read failed");
                }
                ErrorCode::KafkaStorageError
            }
        }
    }
}

#[cfg(test)]
mod tests;
