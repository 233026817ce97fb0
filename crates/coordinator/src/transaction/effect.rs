//! What the machine wants done: records appended, markers written, callers answered.
//!
//! Invariant: appends are carried out in the order in which they come out. Taken by the shell with
//! `TransactionCoordinator::next_effect` after every call.

use ottla_protocol::{ErrorCode, Str};

use super::answer::Answer;
use super::metadata::Partitions;
use crate::effect::{AppendId, KeyValue};
use crate::request::Token;

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// Append to the partition's log, as one uncompressed batch, and report `handle_committed` once every
    /// in-sync replica has it, or `handle_append_failed`.
    Append {
        id: AppendId,
        records: Vec<KeyValue>,
    },
    /// Write the marker to each of its partitions, through their leaders, and report
    /// `handle_marker_outcome` for each.
    WriteMarkers(Marker),
    /// Answer the caller. `Answer` is of the kind that the request asked for.
    Respond { token: Token, answer: Answer },
}

/// Names the end of one transaction, so that late reports about another are told apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MarkerId(pub u64);

/// What WriteTxnMarkers says about a transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Marker {
    pub id: MarkerId,
    pub transactional_id: Str,
    pub producer_id: i64,
    pub producer_epoch: i16,
    pub coordinator_epoch: i32,
    pub committed: bool,
    /// The `transaction.version` of the client that ended it.
    pub transaction_version: i16,
    pub partitions: Partitions,
}

/// What became of a marker in one partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MarkerOutcome {
    /// The leader answered.
    Answered(ErrorCode),
    /// The leader is not reachable, or did not answer.
    Unreachable,
    /// The cluster knows no such partition: it was deleted, and with it what the marker would end.
    NoSuchPartition,
}
