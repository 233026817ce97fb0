//! Look-ups of offsets: by timestamp, by name (earliest, latest, …), by leader epoch.

use ottla_protocol::ErrorCode;

use super::Partition;
use super::read::Isolation;

const LATEST: i64 = -1;
const EARLIEST: i64 = -2;
const MAX_TIMESTAMP: i64 = -3;
const EARLIEST_LOCAL: i64 = -4;
const LATEST_TIERED: i64 = -5;
const EARLIEST_PENDING_UPLOAD: i64 = -6;

/// What ListOffsets can ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OffsetQuery {
    Latest,
    Earliest,
    /// The record with the largest timestamp.
    MaxTimestamp,
    /// The end of what is in object storage, or the start of what is to go there: nothing without tiering.
    Tiered,
    /// The first record that is not older.
    Timestamp(i64),
}

/// An offset, and what is known of its record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FoundOffset {
    pub offset: i64,
    /// -1 for a position that is not a record.
    pub timestamp: i64,
    /// -1 where it is not known.
    pub leader_epoch: i32,
}

impl OffsetQuery {
    /// Reads the request's field; nothing for a name that the version does not have.
    pub fn from_timestamp(timestamp: i64, version: i16) -> Option<Self> {
        match timestamp {
            LATEST => Some(Self::Latest),
            EARLIEST => Some(Self::Earliest),
            MAX_TIMESTAMP if version >= 7 => Some(Self::MaxTimestamp),
            EARLIEST_LOCAL if version >= 8 => Some(Self::Earliest),
            LATEST_TIERED if version >= 9 => Some(Self::Tiered),
            EARLIEST_PENDING_UPLOAD if version >= 11 => Some(Self::Tiered),
            0.. => Some(Self::Timestamp(timestamp)),
            _ => None,
        }
    }

    /// Whether the answer needs no file.
    pub fn is_in_memory(self) -> bool {
        matches!(self, Self::Latest | Self::Earliest | Self::Tiered)
    }
}

impl Partition {
    pub fn find_offset(
        &self,
        query: OffsetQuery,
        isolation: Isolation,
    ) -> Result<Option<FoundOffset>, ErrorCode> {
        let end = match isolation {
            Isolation::ReadUncommitted => self.log.high_watermark(),
            Isolation::ReadCommitted => self.log.last_stable_offset(),
        };
        let position = |offset, leader_epoch| {
            Ok(Some(FoundOffset {
                offset,
                timestamp: -1,
                leader_epoch,
            }))
        };
        let found = match query {
            OffsetQuery::Latest => return position(end, self.leader_epoch()),
            OffsetQuery::Earliest => {
                let start = self.log.log_start_offset();
                return position(start, self.log.epoch_for_offset(start).unwrap_or(-1));
            }
            OffsetQuery::Tiered => return Ok(None),
            OffsetQuery::MaxTimestamp => self.log.max_timestamp_offset(),
            OffsetQuery::Timestamp(timestamp) => self.log.offset_for_timestamp(timestamp),
        };
        let found = found.map_err(|error| self.unreadable(&error))?;
        // What a consumer may not read yet is not found either.
        Ok(found
            .filter(|found| found.offset < end)
            .map(|found| FoundOffset {
                offset: found.offset,
                timestamp: found.timestamp,
                leader_epoch: self.log.epoch_for_offset(found.offset).unwrap_or(-1),
            }))
    }

    /// The largest epoch that is not later than `epoch`, and where its log ends.
    pub fn epoch_end(&self, epoch: i32) -> Option<(i32, i64)> {
        self.log
            .end_offset_for_epoch(epoch)
            .map(|end| (end.epoch, end.end_offset))
    }
}
