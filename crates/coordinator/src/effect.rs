//! What the machine wants done: records appended, callers answered.
//!
//! Invariant: effects are carried out in the order in which they come out. Taken by the shell with
//! `GroupCoordinator::next_effect` after every call.

use bytes::Bytes;

use crate::answer::Answer;
use crate::consumer::RegexTask;
use crate::request::{EndTransaction, Token};

/// Names an append until the shell reports its fate; ascending in the order of the appends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AppendId(pub u64);

/// Key and value of a record of `__consumer_offsets`; no value is a tombstone.
pub type KeyValue = (Bytes, Option<Bytes>);

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// Append to the partition's log, as one batch, and report `handle_committed` once every in-sync
    /// replica has it, or `handle_append_failed`.
    Append { id: AppendId, batch: AppendBatch },
    /// Answer the caller. `Answer` is of the kind that the request asked for.
    Respond { token: Token, answer: Answer },
    /// Find the topics that match (`RegexTask::resolve`, best without holding the machine), leave out
    /// those that the member may not describe, and call `handle_regexes_resolved`.
    ResolveRegexes(RegexTask),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AppendBatch {
    /// An ordinary batch.
    Records(Vec<KeyValue>),
    /// A transactional batch of this producer.
    Transactional {
        producer_id: i64,
        producer_epoch: i16,
        records: Vec<KeyValue>,
    },
    /// A control batch that ends this producer's transaction.
    EndTransaction(EndTransaction),
}
